/* SPDX-License-Identifier: MIT */
/*
 * Random changes of page tables and owners on two units of all kinds, checked against a flat list
 * of what should be mapped, while the devices never stop: also between any two invalidation
 * requests that no fence holds apart.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "vtd_rig.h"

#define PAGES 2048u /* four blocks of 2 MiB */
static struct shadow_page {
    uint64_t mfn;
    unsigned perm;
} flat[2][PAGES];
static bool block_large[2][PAGES / 512];
static struct rig_domain doms[2];
static const uint16_t devs[] = { DEV_A, DEV_B, DEV_C };
static int owner[3]; /* -1: nobody */

static void stray_dma(struct vtd_model *m)
{
    for (unsigned i = 0; i < 3; i++) {
        uint64_t pa;
        unsigned reason;

        if (rig_unit_of(devs[i]) == m)
            model_dma(m, devs[i], (uint64_t)(rand() % PAGES) << PAGE_SHIFT, rand() & 1, &pa,
                      &reason);
    }
}

static void expect(unsigned dev, unsigned gfn, bool write)
{
    const struct shadow_page *p = owner[dev] < 0 ? NULL : &flat[owner[dev]][gfn];

    if (p && (p->perm & (write ? 2u : 1u)))
        rig_reaches(devs[dev], gfn, write, p->mfn);
    else
        rig_refused(devs[dev], gfn, write, 0);
}

static void change_small(unsigned d, unsigned gfn)
{
    struct shadow_page *p = &flat[d][gfn], old = *p;

    if (block_large[d][gfn / 512]) {
        rig_split(&doms[d], gfn & ~511u);
        block_large[d][gfn / 512] = false;
        assert_int_equal(iommu_flush_range(&doms[d].io, gfn & ~511u, 512, true), 0);
    }
    p->perm = rand() % 4;
    p->perm = p->perm == 2 ? 3 : p->perm;
    p->mfn = p->perm ? 0x10000 + (unsigned)rand() % 0x10000 : 0;
    rig_pte(&doms[d], gfn, p->mfn, 0, p->perm);
    if (old.perm || iommu_needs_map_flush())
        assert_int_equal(iommu_flush_range(&doms[d].io, gfn, 1, false), 0);
}

/* A block becomes another large leaf. */
static void change_large(unsigned d, unsigned block, unsigned mfn)
{
    unsigned gfn = block * 512;

    rig_pte(&doms[d], gfn, mfn, 9, 3);
    assert_int_equal(iommu_flush_range(&doms[d].io, gfn, 512, false), 0);
}

/*
 * A block of small pages becomes one large leaf; its table is freed and at once full of somebody
 * else's data.
 */
static void collapse(unsigned d, unsigned block)
{
    unsigned gfn = block * 512, mfn = 0x40000 + 512 * (unsigned)(rand() % 64);
    uint64_t *table;

    for (unsigned i = 0; i < 512; i++)
        flat[d][gfn + i] = (struct shadow_page){ mfn + i, 3 };
    if (block_large[d][block]) {
        change_large(d, block, mfn);
        return;
    }
    table = rig_collapse(&doms[d], gfn, mfn, 3);
    block_large[d][block] = true;
    assert_int_equal(iommu_flush_range(&doms[d].io, gfn, 512, true), 0);
    for (unsigned i = 0; i < 512; i++)
        table[i] = 0xbad00000003ULL;
    iommu_sync_entry(table, PAGE_SIZE);
}

static void unmap_range(unsigned d)
{
    unsigned gfn = (unsigned)rand() % PAGES, nr = MIN(1 + (unsigned)rand() % 64, PAGES - gfn);

    if (block_large[d][gfn / 512] || block_large[d][(gfn + nr - 1) / 512])
        return;
    for (unsigned i = gfn; i < gfn + nr; i++) {
        flat[d][i].perm = 0;
        rig_pte(&doms[d], i, 0, 0, 0);
    }
    assert_int_equal(iommu_flush_range(&doms[d].io, gfn, nr, false), 0);
}

static void change_owner(unsigned dev)
{
    if (owner[dev] < 0) {
        owner[dev] = rand() & 1;
        assert_int_equal(iommu_attach(&doms[owner[dev]].io, devs[dev]), 0);
    } else {
        owner[dev] = -1;
        assert_int_equal(iommu_detach(devs[dev]), 0);
    }
}

/* All devices have used the page, so that whatever can be cached is. */
static void touch(unsigned gfn)
{
    for (unsigned i = 0; i < 3; i++)
        expect(i, gfn, rand() & 1);
}

static void random_step(void)
{
    unsigned d = rand() & 1;

    switch (rand() % 16) {
    case 0:
        collapse(d, (unsigned)rand() % (PAGES / 512));
        break;
    case 1:
    case 2:
        unmap_range(d);
        break;
    case 3:
        change_owner((unsigned)rand() % 3);
        break;
    default: {
        unsigned gfn = (unsigned)rand() % PAGES;

        touch(gfn);
        change_small(d, gfn);
        touch(gfn);
    }
    }
}

static void run_random(const struct vtd_model *units)
{
    const struct iommu_options opt = { .fault_limit = 1u << 30 };

    memset(flat, 0, sizeof(flat));
    memset(block_large, 0, sizeof(block_large));
    assert_int_equal(rig_start(units, 2, &opt), 0);
    assert_int_equal(iommu_enable(), 0);
    for (unsigned d = 0; d < 2; d++) {
        rig_domain_init(&doms[d], (uint16_t)d);
        for (unsigned b = 0; b < PAGES; b += 512)
            rig_pte(&doms[d], b, 0, 0, 0); /* tables are there */
    }
    owner[0] = owner[1] = owner[2] = -1;
    rig_model[0].between = rig_model[1].between = stray_dma;
    for (unsigned step = 0; step < 1500; step++) {
        random_step();
        for (unsigned i = 0; i < 12; i++)
            expect((unsigned)rand() % 3, (unsigned)rand() % PAGES, rand() & 1);
        iommu_fault_irq();
    }
    for (unsigned gfn = 0; gfn < PAGES; gfn += 3)
        expect(gfn % 3, gfn, gfn & 1);
    rig_check();
}

static void test_random(void **state)
{
    (void)state;
    srand(7);
    for (unsigned v = 0; v < RIG_VARIANTS; v++) {
        struct vtd_model units[2] = { rig_variant(v), rig_variant((v + 3) % RIG_VARIANTS) };

        run_random(units);
    }
}

static int teardown(void **state)
{
    (void)state;
    model_reset_machine();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random),
    };

    return cmocka_run_group_tests(tests, NULL, teardown);
}
