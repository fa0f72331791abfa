/* SPDX-License-Identifier: MIT */
/*
 * Random maps, unmaps, splits, merges and type changes of the p2m against the flat model, the
 * walkers (EPT, VT-d with three and four levels, nested paging) and the caches, after every step.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "lib/errno.h"
#include "lib/string.h"
#include "mm/frame.h"
#include "mm/phys.h"
#include "p2m_rig.h"

static void model_map(uint64_t gfn, uint64_t mfn, uint64_t nr, enum p2m_type type)
{
    for (uint64_t i = 0; i < nr; i++)
        *model_of(gfn + i) = (struct model){ .mfn = type ? mfn + i : 0, .type = type };
}

static enum p2m_type random_type(void)
{
    return (enum p2m_type)(1 + rand() % (P2M_NR_TYPES - 1));
}

/* A random piece of one window; sizes from one page to all of it. */
static uint64_t random_range(uint64_t *gfn)
{
    const struct window *w = &windows[rand() % NR_WINDOWS];
    uint64_t nr;

    switch (rand() % 6) {
    case 0:
        *gfn = w->base;
        return w->size;
    case 1:
        nr = 512;
        break;
    case 2:
        nr = 1 + (uint64_t)rand() % 2000;
        break;
    default:
        nr = 1 + (uint64_t)rand() % 20;
    }
    nr = MIN(nr, w->size);
    *gfn = w->base + (uint64_t)rand() % (w->size - nr + 1);
    if (rand() % 2 && ALIGN_DOWN(*gfn, 512ul) >= w->base)
        *gfn = ALIGN_DOWN(*gfn, 512ul);
    return nr;
}

static int run_map(uint64_t gfn, uint64_t mfn, uint64_t nr, enum p2m_type type)
{
    uint64_t done, at = 0;
    int rc;

    do {
        rc = p2m_map_range(&p2m, gfn + at, mfn + at, nr - at, type, &done);
        at += done;
    } while (rc == -ERESTART);
    assert_true(rc || at == nr);
    return rc;
}

static int run_unmap(uint64_t gfn, uint64_t nr)
{
    uint64_t done, at = 0;
    int rc;

    do {
        rc = p2m_unmap(&p2m, gfn + at, nr - at, &done);
        at += done;
    } while (rc == -ERESTART);
    return rc;
}

static int run_change(uint64_t gfn, uint64_t nr, enum p2m_type from, enum p2m_type to)
{
    uint64_t done, at = 0;
    int rc;

    do {
        rc = p2m_change_type(&p2m, gfn + at, nr - at, from, to, &done);
        at += done;
    } while (rc == -ERESTART);
    if (!rc)
        for (uint64_t i = 0; i < nr; i++)
            if (model_of(gfn + i)->type == from)
                model_of(gfn + i)->type = to;
    return rc;
}

/* Frames that continue what stands before gfn make merges likely. */
static uint64_t random_mfn(uint64_t gfn)
{
    return rand() % 4 ? FAR_MFN + gfn % 0x80000 : FAR_MFN + (uint64_t)rand() % 0x200000;
}

static void random_step(uint64_t *gfn, uint64_t *nr)
{
    enum p2m_type type = random_type(), to = random_type();
    uint64_t mfn;

    *nr = random_range(gfn);
    switch (rand() % 8) {
    case 0:
    case 1:
        assert_int_equal(run_unmap(*gfn, *nr), 0);
        model_map(*gfn, 0, *nr, P2M_NONE);
        break;
    case 2:
        assert_int_equal(run_change(*gfn, *nr, type, to), 0);
        break;
    case 3:
        /* A hole and its repair: split, then merge. */
        *nr = 1;
        if (model_of(*gfn)->type == P2M_NONE)
            break;
        type = model_of(*gfn)->type;
        mfn = model_of(*gfn)->mfn;
        assert_int_equal(p2m_unmap_exact(&p2m, *gfn, mfn, type), 0);
        assert_int_equal(p2m_unmap_exact(&p2m, *gfn, mfn, type), -ENOENT);
        assert_int_equal(p2m_map(&p2m, *gfn, mfn, 0, type), 0);
        break;
    default:
        mfn = random_mfn(*gfn);
        type = rand() % 2 ? type : P2M_MMIO_DIRECT;
        assert_int_equal(run_map(*gfn, mfn, *nr, type), 0);
        model_map(*gfn, mfn, *nr, type);
    }
}

static void random_run(unsigned bits, unsigned order, bool on_map, bool nested, unsigned steps)
{
    start(bits, order, on_map, nested);
    for (unsigned step = 0; step < steps; step++) {
        uint64_t gfn, nr, stride;

        fill_caches();
        random_step(&gfn, &nr);
        assert_false(p2m.pending.cpu || p2m.pending.iommu || p2m.pending.nr_releases);
        check_caches(gfn);
        assert_false(stale);
        stride = 1 + nr / 64;
        for (uint64_t i = 0; i < nr; i += stride)
            check_gfn(gfn + i, nested);
        for (unsigned i = 0; i < 64; i++)
            check_gfn(random_gfn(), nested);
        if (step % 50 == 49)
            check_audit();
    }
    for (unsigned w = 0; w < NR_WINDOWS; w++)
        for (uint64_t i = 0; i < windows[w].size; i += w == 2 ? 7 : 1)
            check_gfn(windows[w].base + i, nested);
    assert_true(order == 0 || (p2m.nr_splits > 0 && p2m.nr_merges > 0));
    finish();
}

static void test_random_1g(void **state)
{
    (void)state;
    random_run(48, P2M_ORDER_1G, false, false, 300);
}

static void test_random_2m_39_bits(void **state)
{
    (void)state;
    random_run(39, P2M_ORDER_2M, true, false, 200);
}

static void test_random_nested_paging(void **state)
{
    (void)state;
    random_run(48, P2M_ORDER_1G, false, true, 200);
}

static void test_random_4k(void **state)
{
    (void)state;
    windows[2].size = 8192; /* 4 KiB leaves for all of 1 GiB are more tables than the memory here */
    random_run(39, P2M_ORDER_4K, false, false, 100);
    windows[2].size = 0x40000;
}

/* The test of the test: without any one of the flushes, the caches must show something stale. */
static unsigned stale_steps(bool *drop)
{
    unsigned found = 0;

    start(48, P2M_ORDER_1G, false, false);
    *drop = true;
    for (unsigned step = 0; step < 40; step++) {
        uint64_t gfn, nr;

        fill_caches();
        random_step(&gfn, &nr);
        check_caches(gfn);
        found += stale;
        stale = false;
    }
    *drop = false;
    finish();
    return found;
}

static void test_missing_flush_shows(void **state)
{
    (void)state;
    assert_true(stale_steps(&drop_cpu_flushes) > 0);
    assert_true(stale_steps(&drop_io_flushes) > 0);
    assert_true(stale_steps(&drop_table_hint) > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_1g),
        cmocka_unit_test(test_random_2m_39_bits),
        cmocka_unit_test(test_random_nested_paging),
        cmocka_unit_test(test_random_4k),
        cmocka_unit_test(test_missing_flush_shows),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
