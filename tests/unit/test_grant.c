/* SPDX-License-Identifier: MIT */
/*
 * Grant tables: mapping, unmapping and copying between domains, what a hostile table or caller can
 * do, and lifetimes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "fake_domain.h"
#include "lib/errno.h"
#include "lib/string.h"
#include "mm/frame.h"
#include "mm/phys.h"

#define GUEST   7
#define PAGES   64u
#define SCRATCH 0x1000u /* gfns of the control domain where nothing is */

static struct domain *dom0, *guest;

static int setup(void **state)
{
    (void)state;
    fake_machine(FAKE_FRAMES);
    dom0 = fake_domain(0, PAGES);
    guest = fake_domain(GUEST, PAGES);
    srand(3);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fake_machine_end();
    return 0;
}

static volatile grant_entry_v1_t *entry(struct domain *d, uint32_t ref)
{
    return &d->grants.frame[ref / GRANTS_PER_FRAME].shared[ref % GRANTS_PER_FRAME];
}

static void grant(struct domain *d, uint32_t ref, uint16_t to, uint32_t gfn, uint16_t flags)
{
    entry(d, ref)->domid = to;
    entry(d, ref)->frame = gfn;
    entry(d, ref)->flags = GTF_permit_access | flags;
}

static int16_t map(struct domain *d, uint16_t from, uint32_t ref, uint64_t gfn, uint32_t flags,
                   uint32_t *handle)
{
    struct gnttab_map_grant_ref op = { .host_addr = gfn << PAGE_SHIFT,
                                       .flags = GNTMAP_host_map | flags,
                                       .ref = ref,
                                       .dom = from,
                                       .status = 99 };

    assert_int_equal(fake_call(do_grant_table_op, d, GNTTABOP_map_grant_ref, &op, 1), 0);
    if (op.status == GNTST_okay) {
        *handle = op.handle;
        assert_int_equal(op.dev_bus_addr, op.host_addr);
    }
    return op.status;
}

static int16_t unmap(struct domain *d, uint64_t gfn, uint32_t handle)
{
    struct gnttab_unmap_grant_ref op = { .host_addr = gfn << PAGE_SHIFT,
                                         .handle = handle,
                                         .status = 99 };

    assert_int_equal(fake_call(do_grant_table_op, d, GNTTABOP_unmap_grant_ref, &op, 1), 0);
    return op.status;
}

static enum p2m_type type_at(struct domain *d, uint64_t gfn)
{
    enum p2m_type t;

    p2m_lookup(&d->p2m, gfn, &t, NULL);
    return t;
}

static void test_map(void **state)
{
    uint64_t mfn = p2m_lookup(&guest->p2m, 9, NULL, NULL);
    uint32_t h, h2;

    (void)state;
    grant(guest, 20, 0, 9, 0);
    assert_int_equal(map(dom0, GUEST, 20, SCRATCH, 0, &h), GNTST_okay);
    assert_int_equal(type_at(dom0, SCRATCH), P2M_GRANT_RW);
    assert_int_equal(fake_page(dom0, SCRATCH)[100], 9);
    fake_page(dom0, SCRATCH)[100] = 0xaa;
    assert_int_equal(fake_page(guest, 9)[100], 0xaa);
    assert_int_equal(entry(guest, 20)->flags, GTF_permit_access | GTF_reading | GTF_writing);
    assert_int_equal(page_users(mfn), 2); /* the pin and the p2m entry */
    assert_int_equal(guest->refs, 2);
    /* A second time, read-only, elsewhere. */
    assert_int_equal(map(dom0, GUEST, 20, SCRATCH + 1, GNTMAP_readonly, &h2), GNTST_okay);
    assert_int_not_equal(h, h2);
    assert_int_equal(type_at(dom0, SCRATCH + 1), P2M_GRANT_RO);
    assert_int_equal(fake_cpu_flushes, 0);
    assert_int_equal(unmap(dom0, SCRATCH, h), GNTST_okay);
    assert_int_equal(entry(guest, 20)->flags, GTF_permit_access | GTF_reading);
    assert_int_equal(type_at(dom0, SCRATCH), P2M_NONE);
    assert_true(fake_cpu_flushes && fake_io_flushes);
    assert_int_equal(unmap(dom0, SCRATCH + 1, h2), GNTST_okay);
    assert_int_equal(entry(guest, 20)->flags, GTF_permit_access);
    assert_int_equal(page_users(mfn), 0);
    assert_int_equal(guest->refs, 1);
}

static void test_map_refused(void **state)
{
    struct gnttab_map_grant_ref op = { .dom = GUEST, .ref = 21, .host_addr = SCRATCH << 12 };
    uint32_t h;

    (void)state;
    grant(guest, 20, 5, 9, 0);
    grant(guest, 21, 0, 9, GTF_readonly);
    grant(guest, 22, 0, 0x12345678, 0);
    grant(guest, 23, 0, PAGES, 0);
    grant(guest, 24, 0, 9, 0);
    entry(guest, 24)->flags = GTF_accept_transfer;
    assert_int_equal(map(dom0, GUEST, 20, SCRATCH, 0, &h), GNTST_general_error);
    assert_int_equal(map(dom0, GUEST, 21, SCRATCH, 0, &h), GNTST_general_error);
    assert_int_equal(map(dom0, GUEST, 22, SCRATCH, 0, &h), GNTST_bad_page);
    assert_int_equal(map(dom0, GUEST, 23, SCRATCH, 0, &h), GNTST_bad_page);
    assert_int_equal(entry(guest, 23)->flags, GTF_permit_access);
    assert_int_equal(map(dom0, GUEST, 24, SCRATCH, 0, &h), GNTST_general_error);
    assert_int_equal(map(dom0, GUEST, 511, SCRATCH, 0, &h), GNTST_general_error);
    assert_int_equal(map(dom0, GUEST, 512, SCRATCH, 0, &h), GNTST_bad_gntref);
    assert_int_equal(map(dom0, GUEST, ~0u, SCRATCH, 0, &h), GNTST_bad_gntref);
    assert_int_equal(map(dom0, 99, 21, SCRATCH, 0, &h), GNTST_bad_domain);
    assert_int_equal(map(dom0, GUEST, 21, 1ull << 40, 0, &h), GNTST_bad_virt_addr);
    assert_int_equal(map(dom0, GUEST, 21, SCRATCH, GNTMAP_device_map, &h), GNTST_general_error);
    assert_int_equal(map(guest, GUEST, 21, SCRATCH, 0, &h), GNTST_general_error);
    assert_int_equal(fake_call(do_grant_table_op, dom0, GNTTABOP_map_grant_ref, &op, 1), 0);
    assert_int_equal(op.status, GNTST_general_error); /* without host_map */
    op.host_addr++;
    op.flags = GNTMAP_host_map | GNTMAP_readonly;
    assert_int_equal(fake_call(do_grant_table_op, dom0, GNTTABOP_map_grant_ref, &op, 1), 0);
    assert_int_equal(op.status, GNTST_bad_virt_addr);
    /* Not over devices, and not over another grant. */
    assert_int_equal(p2m_map(&dom0->p2m, SCRATCH, 0xfe000, 0, P2M_MMIO_DIRECT), 0);
    assert_int_equal(map(dom0, GUEST, 21, SCRATCH, GNTMAP_readonly, &h), GNTST_general_error);
    assert_int_equal(entry(guest, 21)->flags, GTF_permit_access | GTF_readonly);
    assert_int_equal(map(dom0, GUEST, 21, SCRATCH + 1, GNTMAP_readonly, &h), GNTST_okay);
    assert_int_equal(map(dom0, GUEST, 21, SCRATCH + 1, GNTMAP_readonly, &h), GNTST_general_error);
    assert_int_equal(unmap(dom0, SCRATCH + 1, h), GNTST_okay);
    guest->dying = true;
    assert_int_equal(map(dom0, GUEST, 21, SCRATCH + 1, GNTMAP_readonly, &h), GNTST_bad_domain);
    assert_int_equal(dom0->grants.nr_mapped, 0);
}

static void test_unmap_refused(void **state)
{
    struct gnttab_unmap_grant_ref two[2];
    uint32_t h;

    (void)state;
    grant(guest, 20, 0, 9, 0);
    assert_int_equal(unmap(dom0, SCRATCH, 0), GNTST_bad_handle);
    assert_int_equal(map(dom0, GUEST, 20, SCRATCH, 0, &h), GNTST_okay);
    assert_int_equal(unmap(dom0, SCRATCH, h + 1), GNTST_bad_handle);
    assert_int_equal(unmap(dom0, SCRATCH, ~0u), GNTST_bad_handle);
    assert_int_equal(unmap(dom0, SCRATCH + 1, h), GNTST_bad_virt_addr);
    assert_int_equal(unmap(guest, SCRATCH, h), GNTST_bad_handle);
    assert_int_equal(type_at(dom0, SCRATCH), P2M_GRANT_RW);
    /* The same handle twice in one call. */
    for (unsigned i = 0; i < 2; i++)
        two[i] = (struct gnttab_unmap_grant_ref){ .host_addr = SCRATCH << 12, .handle = h };
    assert_int_equal(fake_call(do_grant_table_op, dom0, GNTTABOP_unmap_grant_ref, two, 2), 0);
    assert_int_equal(two[0].status, GNTST_okay);
    assert_int_equal(two[1].status, GNTST_bad_handle);
}

static void test_lifetime(void **state)
{
    uint64_t mfn = p2m_lookup(&guest->p2m, 9, NULL, NULL);
    uint32_t h, h2;

    (void)state;
    grant(guest, 20, 0, 9, 0);
    assert_int_equal(map(dom0, GUEST, 20, SCRATCH, 0, &h), GNTST_okay);
    /* The guest gives the page away: it stays what it was for whoever has it mapped. */
    assert_int_equal(p2m_unmap(&guest->p2m, 9, 1, NULL), 0);
    assert_true(page_orphaned(mfn));
    assert_int_equal(fake_page(dom0, SCRATCH)[5], 9);
    /* The entry now names another page; a further mapping still gets the pinned one. */
    entry(guest, 20)->frame = 10;
    assert_int_equal(map(dom0, GUEST, 20, SCRATCH + 1, 0, &h2), GNTST_okay);
    assert_ptr_equal(fake_page(dom0, SCRATCH + 1), fake_page(dom0, SCRATCH));
    assert_int_equal(unmap(dom0, SCRATCH + 1, h2), GNTST_okay);
    /* The mapping is replaced behind the handle's back: the handle still ends well. */
    assert_int_equal(p2m_unmap(&dom0->p2m, SCRATCH, 1, NULL), 0);
    assert_int_equal(page_users(mfn), 1);
    assert_int_equal(unmap(dom0, SCRATCH, h), GNTST_okay);
    assert_int_equal(page_owner(mfn), OWNER_NONE);
    /* Read first, then write on a page that the domain itself may only read. */
    assert_int_equal(p2m_change_type(&guest->p2m, 11, 1, P2M_RAM_RW, P2M_RAM_RO, NULL), 0);
    grant(guest, 21, 0, 11, 0);
    assert_int_equal(map(dom0, GUEST, 21, SCRATCH, GNTMAP_readonly, &h), GNTST_okay);
    assert_int_equal(map(dom0, GUEST, 21, SCRATCH + 1, 0, &h2), GNTST_bad_page);
    assert_int_equal(entry(guest, 21)->flags, GTF_permit_access | GTF_reading);
    /* The domain ends with mappings in place: fake_machine_end() checks that all come back. */
}

static void test_many(void **state)
{
    struct gnttab_map_grant_ref ops[PAGES];
    struct gnttab_unmap_grant_ref un[PAGES];

    (void)state;
    for (unsigned i = 0; i < PAGES; i++) {
        grant(guest, 8 + i, 0, i, 0);
        ops[i] = (struct gnttab_map_grant_ref){ .host_addr = (uint64_t)(SCRATCH + i) << 12,
                                                .flags = GNTMAP_host_map,
                                                .ref = 8 + i,
                                                .dom = GUEST,
                                                .status = 99 };
    }
    fake_preempt_every = 3;
    assert_int_equal(fake_call(do_grant_table_op, dom0, GNTTABOP_map_grant_ref, ops, PAGES), 0);
    assert_true(fake_restarts >= PAGES / 4);
    for (unsigned i = 0; i < PAGES; i++) {
        assert_int_equal(ops[i].status, GNTST_okay);
        assert_int_equal(fake_page(dom0, SCRATCH + i)[0], i);
        un[i] = (struct gnttab_unmap_grant_ref){ .host_addr = ops[i].host_addr,
                                                 .handle = ops[i].handle,
                                                 .status = 99 };
    }
    fake_check();
    fake_preempt_every = 1;
    fake_cpu_flushes = 0;
    assert_int_equal(fake_call(do_grant_table_op, dom0, GNTTABOP_unmap_grant_ref, un, PAGES), 0);
    for (unsigned i = 0; i < PAGES; i++)
        assert_int_equal(un[i].status, GNTST_okay);
    assert_int_equal(fake_cpu_flushes, PAGES / 16); /* one a chunk */
    assert_int_equal(dom0->grants.nr_mapped, 0);
}

static void test_handles_run_out(void **state)
{
    uint32_t h, n = 0;
    int16_t status;

    (void)state;
    grant(guest, 20, 0, 9, 0);
    while ((status = map(dom0, GUEST, 20, SCRATCH + n, 0, &h)) == GNTST_okay)
        n++;
    assert_int_equal(status, GNTST_no_space);
    assert_int_equal(n, 4 * MAPTRACK_PER_CHUNK);
}

static int16_t copy(struct domain *d, struct gnttab_copy op)
{
    op.status = 99;
    assert_int_equal(fake_call(do_grant_table_op, d, GNTTABOP_copy, &op, 1), 0);
    return op.status;
}

static void test_copy(void **state)
{
    struct gnttab_copy op = { .source = { .u.ref = 20, .domid = GUEST, .offset = 4000 },
                              .dest = { .u.gmfn = 3, .domid = DOMID_SELF, .offset = 10 },
                              .len = 96,
                              .flags = GNTCOPY_source_gref };

    (void)state;
    grant(guest, 20, 0, 9, GTF_readonly);
    grant(guest, 21, 0, 12, 0);
    assert_int_equal(copy(dom0, op), GNTST_okay);
    assert_int_equal(fake_page(dom0, 3)[9], 3);
    assert_int_equal(fake_page(dom0, 3)[10], 9);
    assert_int_equal(fake_page(dom0, 3)[105], 9);
    assert_int_equal(fake_page(dom0, 3)[106], 3);
    assert_int_equal(entry(guest, 20)->flags, GTF_permit_access | GTF_readonly);
    op.len = 97; /* one byte too far */
    assert_int_equal(copy(dom0, op), GNTST_bad_copy_arg);
    op.len = 1;
    op.dest.offset = 4096;
    assert_int_equal(copy(dom0, op), GNTST_bad_copy_arg);
    /* To a reference. */
    op = (struct gnttab_copy){ .source = { .u.gmfn = 3, .domid = DOMID_SELF },
                               .dest = { .u.ref = 21, .domid = GUEST },
                               .len = 4096,
                               .flags = GNTCOPY_dest_gref };
    assert_int_equal(copy(dom0, op), GNTST_okay);
    assert_memory_equal(fake_page(guest, 12), fake_page(dom0, 3), 4096);
    op.dest.u.ref = 20; /* read-only */
    assert_int_equal(copy(dom0, op), GNTST_general_error);
    op.source.u.gmfn = PAGES;
    op.dest.u.ref = 21;
    assert_int_equal(copy(dom0, op), GNTST_bad_page);
    /* Another domain's page without a reference: never, not even for the control domain. */
    op.source = (struct gnttab_copy_ptr){ .u.gmfn = 3, .domid = GUEST };
    assert_int_equal(copy(dom0, op), GNTST_permission_denied);
    op.flags = 4;
    assert_int_equal(copy(dom0, op), GNTST_bad_copy_arg);
}

static void test_questions(void **state)
{
    struct gnttab_query_size q = { .dom = DOMID_SELF };
    struct gnttab_set_version s = { .version = 1 };
    struct gnttab_get_version g = { .dom = DOMID_SELF, .version = 9 };
    struct gnttab_setup_table t = { .dom = DOMID_SELF, .nr_frames = 1 };

    (void)state;
    assert_int_equal(fake_call(do_grant_table_op, guest, GNTTABOP_query_size, &q, 1), 0);
    assert_int_equal(q.status, GNTST_okay);
    assert_int_equal(q.nr_frames, 1);
    assert_int_equal(q.max_nr_frames, 4);
    q.dom = 0;
    assert_int_equal(fake_call(do_grant_table_op, guest, GNTTABOP_query_size, &q, 1), 0);
    assert_int_equal(q.status, GNTST_permission_denied);
    q.dom = 33;
    assert_int_equal(fake_call(do_grant_table_op, dom0, GNTTABOP_query_size, &q, 1), 0);
    assert_int_equal(q.status, GNTST_bad_domain);
    assert_int_equal(fake_call(do_grant_table_op, guest, GNTTABOP_query_size, &q, 2), -EINVAL);
    assert_int_equal(fake_call(do_grant_table_op, guest, GNTTABOP_query_size, FAKE_BAD, 1),
                     -EFAULT);
    assert_int_equal(fake_call(do_grant_table_op, guest, GNTTABOP_set_version, &s, 1), 0);
    s.version = 2;
    assert_int_equal(fake_call(do_grant_table_op, guest, GNTTABOP_set_version, &s, 1), -EOPNOTSUPP);
    assert_int_equal(fake_call(do_grant_table_op, guest, GNTTABOP_get_version, &g, 1), 0);
    assert_int_equal(g.version, 1);
    assert_int_equal(fake_call(do_grant_table_op, guest, GNTTABOP_setup_table, &t, 1), -ENOSYS);
    assert_int_equal(fake_call(do_grant_table_op, guest, 77, &t, 1), -ENOSYS);
    assert_int_equal(fake_call(do_grant_table_op, guest, GNTTABOP_copy, &t, 0x80000000u), -EINVAL);
    assert_int_equal(fake_call(do_grant_table_op, guest, GNTTABOP_copy, FAKE_BAD, 3), -EFAULT);
    fake_mode_bytes = 4;
    assert_int_equal(fake_call(do_grant_table_op, guest, GNTTABOP_query_size, &q, 1), -ENOSYS);
}

/* A guest that scribbles over its table while the control domain maps and unmaps at random. */
static void test_hostile_table(void **state)
{
    enum { SLOTS = 24 };
    struct {
        bool used;
        uint32_t handle;
    } slot[SLOTS];
    unsigned mapped = 0;

    (void)state;
    memset(slot, 0, sizeof(slot));
    for (unsigned step = 0; step < 6000; step++) {
        unsigned i = (unsigned)rand() % SLOTS;
        uint32_t ref = (uint32_t)rand() % 16;

        switch (rand() % 8) {
        case 0:
            grant(guest, ref, 0, (uint32_t)rand() % (PAGES + 2), rand() % 2 ? 0 : GTF_readonly);
            break;
        case 1:
            entry(guest, ref)->flags = (uint16_t)rand();
            break;
        case 2:
            entry(guest, ref)->frame = (uint32_t)rand() % PAGES;
            break;
        case 3:
            if (rand() % 20 == 0)
                p2m_unmap(&guest->p2m, (uint64_t)rand() % PAGES, 1, NULL);
            break;
        case 4:
            p2m_unmap(&dom0->p2m, SCRATCH + i, rand() % 4 == 0, NULL);
            break;
        default:
            if (slot[i].used) {
                assert_int_equal(unmap(dom0, SCRATCH + i, slot[i].handle), GNTST_okay);
                slot[i].used = false;
            } else {
                slot[i].used = map(dom0, GUEST, ref, SCRATCH + i, rand() % 2 ? GNTMAP_readonly : 0,
                                   &slot[i].handle) == GNTST_okay;
                mapped += slot[i].used;
            }
        }
        if (step % 500 == 0)
            fake_check();
    }
    assert_true(mapped > 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_map, setup, teardown),
        cmocka_unit_test_setup_teardown(test_map_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_unmap_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_lifetime, setup, teardown),
        cmocka_unit_test_setup_teardown(test_many, setup, teardown),
        cmocka_unit_test_setup_teardown(test_handles_run_out, setup, teardown),
        cmocka_unit_test_setup_teardown(test_copy, setup, teardown),
        cmocka_unit_test_setup_teardown(test_questions, setup, teardown),
        cmocka_unit_test_setup_teardown(test_hostile_table, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
