/* SPDX-License-Identifier: MIT */
/*
 * The p2m, case by case: page sizes, flushes, releases, refusals, lack of memory, audit, and
 * look-ups beside changes.
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

static void test_sizes(void **state)
{
    enum p2m_type type;
    unsigned order;

    (void)state;
    start(48, P2M_ORDER_1G, false, false);
    assert_int_equal(p2m_map(&p2m, 0x40000, 0x80000, P2M_ORDER_1G, P2M_MMIO_DIRECT), 0);
    assert_int_equal(p2m.tables, 2);
    assert_int_equal(p2m.leaves[2], 1);
    assert_int_equal(cpu_flushes, 0); /* nothing was there before */
    assert_int_equal(io_flushes, 0);
    assert_int_equal(p2m_lookup(&p2m, 0x40123, &type, &order), 0x80123);
    assert_int_equal(order, 18);
    /* One page out of it: 1 GiB -> 2 MiB -> 4 KiB. */
    assert_int_equal(p2m_unmap(&p2m, 0x40123, 1, NULL), 0);
    assert_int_equal(p2m.leaves[2], 0);
    assert_int_equal(p2m.leaves[1], 511);
    assert_int_equal(p2m.leaves[0], 511);
    assert_int_equal(cpu_flushes, 1);
    assert_int_equal(io_flushes, 1);
    assert_true(io_first <= 0x40123 && io_last >= 0x40123);
    assert_int_equal(p2m_lookup(&p2m, 0x40123, &type, &order), INVALID_MFN);
    assert_int_equal(type, P2M_NONE);
    assert_int_equal(order, 0);
    /* And back: everything merges again. */
    assert_int_equal(p2m_map(&p2m, 0x40123, 0x80123, 0, P2M_MMIO_DIRECT), 0);
    assert_int_equal(p2m.leaves[2], 1);
    assert_int_equal(p2m.tables, 2);
    /* A last unmap leaves nothing behind. */
    assert_int_equal(p2m_unmap(&p2m, 0, 0x1000000, NULL), 0);
    assert_int_equal(p2m.tables, 2);
    finish();
}

static void test_flush_is_narrow(void **state)
{
    (void)state;
    start(48, P2M_ORDER_2M, false, false);
    assert_int_equal(p2m_map_range(&p2m, 0, FAR_MFN + 1, 1024, P2M_MMIO_DIRECT, NULL), 0);
    assert_int_equal(io_flushes, 0);
    assert_int_equal(p2m_unmap(&p2m, 700, 3, NULL), 0);
    assert_int_equal(io_flushes, 1);
    assert_int_equal(io_first, 700);
    assert_int_equal(io_last, 702);
    /* A whole batch: one flush. */
    cpu_flushes = io_flushes = 0;
    p2m_begin(&p2m);
    for (uint64_t g = 100; g < 120; g++)
        assert_int_equal(p2m_unmap_locked(&p2m, g), 0);
    assert_int_equal(p2m_unmap_locked(&p2m, 100), -ENOENT);
    assert_int_equal(cpu_flushes + io_flushes, 0);
    p2m_end(&p2m);
    assert_int_equal(cpu_flushes, 1);
    assert_int_equal(io_flushes, 1);
    assert_int_equal(io_first, 100);
    assert_int_equal(io_last, 119);
    /*
     * Taking the right to write away is a change like any other; adding it as well, for the CPU may
     * have cached less.
     */
    assert_int_equal(p2m_change_type(&p2m, 10, 1, P2M_MMIO_DIRECT, P2M_RAM_RO, NULL), 0);
    assert_int_equal(cpu_flushes, 2);
    assert_int_equal(io_flushes, 2);
    assert_int_equal(released[P2M_MMIO_DIRECT], 0);
    finish();
}

static void test_release(void **state)
{
    (void)state;
    start(48, P2M_ORDER_2M, false, false);
    assert_int_equal(p2m_map(&p2m, 5, FAR_MFN, 0, P2M_FOREIGN), 0);
    assert_int_equal(p2m_map(&p2m, 5, FAR_MFN, 0, P2M_FOREIGN), 0); /* the same again */
    assert_int_equal(released[P2M_FOREIGN], 0);
    assert_int_equal(p2m_map(&p2m, 5, FAR_MFN + 1, 0, P2M_GRANT_RO), 0);
    assert_int_equal(released[P2M_FOREIGN], 1);
    /* The same frame in another role: the old role's reference is given back. */
    assert_int_equal(p2m_map(&p2m, 5, FAR_MFN + 1, 0, P2M_FOREIGN), 0);
    assert_int_equal(released[P2M_GRANT_RO], 1);
    /* The same memory, read-only now: it stays. */
    assert_int_equal(p2m_map(&p2m, 6, FAR_MFN + 7, 0, P2M_RAM_RW), 0);
    assert_int_equal(p2m_map(&p2m, 6, FAR_MFN + 7, 0, P2M_RAM_RO), 0);
    assert_int_equal(released[P2M_RAM_RW], 0);
    assert_int_equal(p2m_unmap(&p2m, 6, 1, NULL), 0);
    assert_int_equal(released[P2M_RAM_RO], 1);
    /* More than a batch holds. */
    assert_int_equal(
        p2m_map_range(&p2m, 1000, FAR_MFN + 77, 3 * P2M_BATCH_RELEASES, P2M_GRANT_RW, NULL), 0);
    assert_int_equal(p2m_unmap(&p2m, 1000, 3 * P2M_BATCH_RELEASES, NULL), 0);
    assert_int_equal(released[P2M_GRANT_RW], 3 * P2M_BATCH_RELEASES);
    /* A change of type gives nothing back. */
    assert_int_equal(p2m_map(&p2m, 7, FAR_MFN + 9, 0, P2M_SPECIAL), 0);
    assert_int_equal(p2m_change_type(&p2m, 7, 1, P2M_SPECIAL, P2M_FOREIGN, NULL), 0);
    assert_int_equal(released[P2M_SPECIAL], 0);
    /* Pages with a reference each never become a large one; memory does. */
    assert_int_equal(p2m_map_range(&p2m, 2049, FAR_MFN + 1, 511, P2M_FOREIGN, NULL), 0);
    assert_int_equal(p2m_map(&p2m, 2048, FAR_MFN, 0, P2M_FOREIGN), 0);
    assert_int_equal(p2m.leaves[1], 0);
    assert_int_equal(p2m_map_range(&p2m, 4097, FAR_MFN + 1, 511, P2M_RAM_RW, NULL), 0);
    assert_int_equal(p2m_map(&p2m, 4096, FAR_MFN, 0, P2M_RAM_RW), 0);
    assert_int_equal(p2m.leaves[1], 1);
    finish();
}

static void test_refusals(void **state)
{
    uint64_t xen, ram, tables, done = 7;

    (void)state;
    start(39, P2M_ORDER_1G, false, false);
    xen = frame_alloc(9, OWNER_XEN, 0);
    ram = frame_alloc(9, DOMID, 0);
    tables = p2m.tables;
    assert_int_equal(p2m_map(&p2m, 1, FAR_MFN, 9, P2M_MMIO_DIRECT), -EINVAL);
    assert_int_equal(p2m_map(&p2m, 512, FAR_MFN + 1, 9, P2M_MMIO_DIRECT), -EINVAL);
    assert_int_equal(p2m_map(&p2m, 0, FAR_MFN, 3, P2M_MMIO_DIRECT), -EINVAL);
    assert_int_equal(p2m_map(&p2m, 0, FAR_MFN, 0, P2M_NONE), -EINVAL);
    assert_int_equal(p2m_map(&p2m, 0, FAR_MFN, 0, P2M_NR_TYPES), -EINVAL);
    assert_int_equal(p2m_map(&p2m, 0, INVALID_MFN, 0, P2M_MMIO_DIRECT), -EINVAL);
    assert_int_equal(p2m_map(&p2m, p2m.max_gfn + 1, FAR_MFN, 0, P2M_MMIO_DIRECT), -E2BIG);
    assert_int_equal(p2m_map(&p2m, INVALID_GFN, FAR_MFN, 0, P2M_MMIO_DIRECT), -E2BIG);
    assert_int_equal(p2m_map_range(&p2m, p2m.max_gfn, FAR_MFN, 2, P2M_MMIO_DIRECT, &done), -E2BIG);
    assert_int_equal(done, 0);
    assert_int_equal(p2m_unmap(&p2m, 1, ~0ull, NULL), -E2BIG);
    assert_int_equal(p2m_lookup(&p2m, INVALID_GFN, NULL, NULL), INVALID_MFN);
    /* What a guest must never see. */
    assert_int_equal(p2m_map(&p2m, 0, xen, 0, P2M_RAM_RW), -EPERM);
    assert_int_equal(p2m_map(&p2m, 0, xen, 0, P2M_MMIO_DIRECT), -EPERM);
    assert_int_equal(p2m_map(&p2m, 0, p2m.root, 0, P2M_FOREIGN), -EPERM);
    assert_int_equal(p2m_map_range(&p2m, 0, xen - 1, 2, P2M_FIRMWARE, NULL), -EPERM);
    assert_int_equal(p2m_unmap(&p2m, 0, 1, NULL), 0);
    assert_int_equal(p2m.tables, tables);
    assert_int_equal(p2m_map(&p2m, 0, ram, 9, P2M_RAM_RW), 0);
    frame_free(xen, 9);
    assert_int_equal(p2m_map(&p2m, 512, xen, 0, P2M_RAM_RW), -EPERM); /* free */
    frames_at_start -= 512;
    finish();
    frame_free(ram, 9);
}

static void test_out_of_tables(void **state)
{
    uint64_t free;

    (void)state;
    start(48, P2M_ORDER_1G, false, false);
    assert_int_equal(p2m_map(&p2m, 0x40000, 0x80000, P2M_ORDER_1G, P2M_MMIO_DIRECT), 0);
    free = frames_free_count();
    for (unsigned room = 0; room < 3; room++) {
        p2m.max_tables = p2m.tables + room;
        if (room < 2)
            assert_int_equal(p2m_unmap(&p2m, 0x40001, 1, NULL), -ENOMEM);
        else
            assert_int_equal(p2m_map(&p2m, 0x8000000, FAR_MFN, 0, P2M_RAM_RW), -ENOMEM);
        /* Either way what was mapped still is. */
        assert_int_equal(p2m_lookup(&p2m, 0x40001, NULL, NULL), 0x80001);
        check_audit();
        assert_int_equal(p2m_map(&p2m, 0x40001, 0x80001, 0, P2M_MMIO_DIRECT), 0);
        if (room == 2)
            assert_int_equal(frames_free_count() + p2m.tables, free + 2);
    }
    p2m.max_tables = ~0ull;
    finish();
}

static void test_frames(void **state)
{
    uint64_t ram, shared;
    enum p2m_type type;

    (void)state;
    start(48, P2M_ORDER_2M, false, false);
    ram = frame_alloc(0, DOMID, 0);
    shared = frame_alloc(0, DOMID + 1, FRAME_SHARED);
    assert_int_equal(p2m_map(&p2m, 1, ram, 0, P2M_RAM_RW), 0);
    assert_int_equal(p2m_map(&p2m, 2, FAR_MFN, 0, P2M_MMIO_DIRECT), 0);
    assert_int_equal(p2m_map(&p2m, 3, shared, 0, P2M_GRANT_RO), 0);
    assert_int_equal(p2m_get_frame(&p2m, 0, false, &type), INVALID_MFN);
    assert_int_equal(type, P2M_NONE);
    assert_int_equal(p2m_get_frame(&p2m, 2, false, NULL), INVALID_MFN);
    assert_int_equal(p2m_get_frame(&p2m, 1, true, &type), ram);
    assert_int_equal(page_users(ram), 1);
    assert_int_equal(p2m_get_frame(&p2m, 3, true, NULL), INVALID_MFN);
    assert_int_equal(p2m_get_frame(&p2m, 3, false, &type), shared);
    assert_int_equal(type, P2M_GRANT_RO);
    p2m_put_frame(shared);
    /* The guest gives the page up while somebody copies: it stays until the copy is done. */
    assert_int_equal(p2m_unmap(&p2m, 1, 1, NULL), 0);
    frame_free(ram, 0);
    assert_int_equal(page_owner(ram), DOMID);
    p2m_put_frame(ram);
    assert_int_equal(page_owner(ram), OWNER_NONE);
    assert_int_equal(p2m_unmap(&p2m, 3, 1, NULL), 0);
    frame_free(shared, 0);
    finish();
}

static void test_audit(void **state)
{
    struct p2m_audit a;
    uint64_t ram, *root;

    (void)state;
    start(48, P2M_ORDER_2M, false, false);
    ram = frame_alloc(0, DOMID, 0);
    assert_int_equal(p2m_map(&p2m, 1, ram, 0, P2M_RAM_RW), 0);
    assert_int_equal(p2m_audit(&p2m, &a), 0);
    page_of(ram)->owner = OWNER_XEN; /* A1 */
    page_of(ram)->use = PAGE_XEN;
    assert_int_equal(p2m_audit(&p2m, &a), 1);
    assert_int_equal(a.gfn, 1);
    assert_int_equal(a.mfn, ram);
    page_of(ram)->use = PAGE_RAM;
    page_of(ram)->owner = DOMID + 1; /* A2 */
    assert_int_equal(p2m_audit(&p2m, &a), 1);
    page_of(ram)->owner = DOMID;
    p2m.frames[P2M_RAM_RW]++;
    assert_int_equal(p2m_audit(&p2m, &a), 1);
    p2m.frames[P2M_RAM_RW]--;
    root = mfn_to_virt(p2m.root);
    root[3] = (ram << PAGE_SHIFT) | 7; /* a guest's page as table */
    assert_true(p2m_audit(&p2m, &a) >= 2);
    root[3] = 0;
    root[0] |= BIT(5); /* accessed: hardware's own doing */
    assert_int_equal(p2m_audit(&p2m, &a), 0);
    frames_at_start--;
    finish();
    frame_free(ram, 0);
}

/*
 * Physical memory of the simulated machine, wrapped (see local.mk) so that something can happen
 * within a walk.
 */
void *__real_phys_to_virt(paddr_t pa);
void *__wrap_phys_to_virt(paddr_t pa);
static void (*midway)(void);
static unsigned midway_after;

void *__wrap_phys_to_virt(paddr_t pa)
{
    void (*fn)(void) = midway;

    if (fn && midway_after-- == 0) {
        midway = NULL;
        fn();
    }
    return __real_phys_to_virt(pa);
}

/*
 * The same index at each level below the root, so that a table reused at any level has an entry
 * there.
 */
#define GFN_A ((1ull << 27) | (5 << 18) | (5 << 9) | 5)
#define GFN_B ((2ull << 27) | (5 << 18) | (5 << 9) | 5)

static void replace_a_by_b(void)
{
    assert_int_equal(p2m_unmap(&p2m, GFN_A, 1, NULL), 0);
    assert_int_equal(p2m_map(&p2m, GFN_B, FAR_MFN + 2, 0, P2M_MMIO_DIRECT), 0);
}

static void keep_a_but_move_tables(void)
{
    assert_int_equal(p2m_unmap(&p2m, GFN_A, 1, NULL), 0);
    assert_int_equal(p2m_map(&p2m, GFN_B, FAR_MFN + 2, 0, P2M_MMIO_DIRECT), 0);
    assert_int_equal(p2m_map(&p2m, GFN_A, FAR_MFN + 1, 0, P2M_MMIO_DIRECT), 0);
}

/*
 * A look-up beside changes that free tables and use them again: its answer is the old one, the new
 * one, never a third.
 */
static void test_lookup_beside_changes(void **state)
{
    (void)state;
    for (unsigned after = 0; after < 6; after++) {
        uint64_t mfn;

        start(48, P2M_ORDER_1G, false, false);
        assert_int_equal(p2m_map(&p2m, GFN_A, FAR_MFN + 1, 0, P2M_MMIO_DIRECT), 0);
        midway_after = after;
        midway = replace_a_by_b;
        mfn = p2m_lookup(&p2m, GFN_A, NULL, NULL);
        if (after > 3) /* the walk was over before */
            assert_ptr_equal(midway, replace_a_by_b);
        assert_int_equal(mfn, after > 3 ? FAR_MFN + 1 : INVALID_MFN);
        midway = NULL;
        finish();
        start(48, P2M_ORDER_1G, false, false);
        assert_int_equal(p2m_map(&p2m, GFN_A, FAR_MFN + 1, 0, P2M_MMIO_DIRECT), 0);
        midway_after = after;
        midway = keep_a_but_move_tables;
        assert_int_equal(p2m_lookup(&p2m, GFN_A, NULL, NULL), FAR_MFN + 1);
        midway = NULL;
        finish();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sizes),         cmocka_unit_test(test_flush_is_narrow),
        cmocka_unit_test(test_release),       cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_out_of_tables), cmocka_unit_test(test_frames),
        cmocka_unit_test(test_audit),         cmocka_unit_test(test_lookup_beside_changes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
