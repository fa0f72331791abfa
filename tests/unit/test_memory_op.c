/* SPDX-License-Identifier: MIT */
/*
 * The memory hypercall: maps, reservations, places in the physical space, foreign pages and
 * resources; who may do what; and that no sequence of calls, however odd, loses a frame or shows
 * one that must not be seen.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "fake_domain.h"
#include "hypercall/handlers.h"
#include "lib/errno.h"
#include "lib/string.h"
#include "mm/frame.h"
#include "mm/phys.h"

#include <xen/memory.h>

#define GUEST   7
#define PAGES   1024u
#define SCRATCH 0x2000u

static struct domain *dom0, *guest;

static int setup(void **state)
{
    (void)state;
    fake_machine(FAKE_FRAMES);
    dom0 = fake_domain(0, PAGES);
    guest = fake_domain(GUEST, PAGES);
    srand(11);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fake_machine_end();
    return 0;
}

static long op(struct domain *d, uint64_t cmd, const void *arg)
{
    return fake_call(do_memory_op, d, cmd, arg, 0);
}

static enum p2m_type type_at(struct domain *d, uint64_t gfn)
{
    enum p2m_type t;

    p2m_lookup(&d->p2m, gfn, &t, NULL);
    return t;
}

static void test_memory_map(void **state)
{
    struct __packed {
        uint64_t base, len;
        uint32_t type;
    } e[3] = { { 0, 0xa0000, 1 }, { 0x100000, 0x300000, 1 }, { 0xfee00000, 0x1000, 2 } }, back[3];
    struct xen_foreign_memory_map fm = { .domid = GUEST, .map = { .nr_entries = 3 } };
    struct xen_memory_map map = { .nr_entries = 2 };

    (void)state;
    fm.map.buffer.p = e;
    map.buffer.p = back;
    assert_int_equal(op(guest, XENMEM_memory_map, &map), -ENOSYS);
    assert_int_equal(op(guest, XENMEM_set_memory_map, &fm), -EPERM);
    assert_int_equal(op(dom0, XENMEM_set_memory_map, &fm), 0);
    assert_int_equal(op(guest, XENMEM_memory_map, &map), 0);
    assert_int_equal(map.nr_entries, 2);
    assert_memory_equal(back, e, 2 * sizeof(e[0]));
    map.nr_entries = 100;
    assert_int_equal(op(guest, XENMEM_memory_map, &map), 0);
    assert_int_equal(map.nr_entries, 3);
    assert_memory_equal(back, e, sizeof(e));
    fm.map.nr_entries = DOMAIN_MAX_MEMMAP + 1;
    assert_int_equal(op(dom0, XENMEM_set_memory_map, &fm), -EINVAL);
    map.buffer.p = FAKE_BAD;
    assert_int_equal(op(guest, XENMEM_memory_map, &map), -EFAULT);
    assert_int_equal(op(guest, XENMEM_memory_map, FAKE_BAD), -EFAULT);
}

static long reserve(struct domain *d, unsigned cmd, uint16_t domid, xen_pfn_t *gfns, uint64_t nr,
                    unsigned order)
{
    struct xen_memory_reservation r = { .nr_extents = nr, .extent_order = order, .domid = domid };

    r.extent_start.p = gfns;
    return op(d, cmd, &r);
}

static void test_reservations(void **state)
{
    xen_pfn_t gfns[8] = { 10, 11, 12, 900, 13 }, many[200];
    uint64_t before = frames_owned(0), free = frames_free_count();

    (void)state;
    assert_int_equal(reserve(dom0, XENMEM_decrease_reservation, DOMID_SELF, gfns, 4, 0), 4);
    assert_int_equal(frames_owned(0), before - 4);
    assert_int_equal(frames_free_count(), free + 4);
    assert_int_equal(type_at(dom0, 900), P2M_NONE);
    /* A second time there is nothing there. */
    gfns[0] = 13;
    assert_int_equal(reserve(dom0, XENMEM_decrease_reservation, DOMID_SELF, gfns, 2, 0), 1);
    gfns[0] = 10;
    assert_int_equal(reserve(dom0, XENMEM_populate_physmap, DOMID_SELF, gfns, 5, 0), 5);
    assert_int_equal(frames_owned(0), before);
    assert_int_equal(fake_page(dom0, 900)[17], 0); /* clean */
    /* Another domain's: for the control domain only. */
    assert_int_equal(reserve(guest, XENMEM_decrease_reservation, 0, gfns, 1, 0), -EPERM);
    assert_int_equal(reserve(dom0, XENMEM_decrease_reservation, 99, gfns, 1, 0), -ESRCH);
    assert_int_equal(reserve(dom0, XENMEM_decrease_reservation, GUEST, gfns, 1, 0), 1);
    assert_int_equal(type_at(guest, 10), P2M_NONE);
    /* Interrupted all the time, and it still comes out right. */
    fake_preempt_every = 1;
    gfns[0] = 20;
    for (unsigned i = 1; i < 8; i++)
        gfns[i] = 20 + i;
    assert_int_equal(reserve(guest, XENMEM_decrease_reservation, DOMID_SELF, gfns, 8, 0), 8);
    assert_int_equal(reserve(guest, XENMEM_increase_reservation, DOMID_SELF, gfns, 8, 0), 0);
    for (unsigned i = 0; i < 200; i++)
        many[i] = 100 + i;
    fake_cpu_flushes = 0;
    assert_int_equal(reserve(guest, XENMEM_decrease_reservation, DOMID_SELF, many, 200, 0), 200);
    assert_true(fake_restarts >= 6 && fake_cpu_flushes < 14); /* one or two a chunk */
    assert_int_equal(reserve(guest, XENMEM_populate_physmap, DOMID_SELF, many, 200, 0), 200);
    assert_int_equal(type_at(guest, 299), P2M_RAM_RW);
    assert_int_equal(reserve(guest, XENMEM_populate_physmap, DOMID_SELF, FAKE_BAD, 8, 0), 0);
}

static void test_populate(void **state)
{
    xen_pfn_t gfn = 0x4000;
    struct xen_memory_reservation r = { .nr_extents = 1,
                                        .domid = GUEST,
                                        .mem_flags = XENMEMF_populate_on_demand };
    uint64_t owned = frames_owned(GUEST);
    unsigned order;

    (void)state;
    assert_int_equal(reserve(dom0, XENMEM_populate_physmap, GUEST, &gfn, 1, 9), 1);
    p2m_lookup(&guest->p2m, gfn, NULL, &order);
    assert_int_equal(order, 9);
    assert_int_equal(frames_owned(GUEST), owned + 512);
    /* Not beyond the domain's limit (PAGES + 1024). */
    gfn = 0x4200;
    assert_int_equal(reserve(dom0, XENMEM_populate_physmap, GUEST, &gfn, 1, 9), 1);
    gfn = 0x4400;
    assert_int_equal(reserve(dom0, XENMEM_populate_physmap, GUEST, &gfn, 1, 9), 0);
    assert_int_equal(reserve(dom0, XENMEM_populate_physmap, GUEST, &gfn, 1, 0), 0);
    guest->max_pages = 1ull << 40;
    gfn = 0x4401; /* unaligned */
    assert_int_equal(reserve(dom0, XENMEM_populate_physmap, GUEST, &gfn, 1, 9), 0);
    gfn = guest->p2m.max_gfn + 1;
    assert_int_equal(reserve(dom0, XENMEM_populate_physmap, GUEST, &gfn, 1, 0), 0);
    gfn = 0x40000;
    assert_int_equal(reserve(dom0, XENMEM_populate_physmap, GUEST, &gfn, 1, 18), 0);
    /* Whole gigabytes are not given back at once: nothing goes. */
    owned = frames_owned(GUEST);
    gfn = 0;
    assert_int_equal(reserve(guest, XENMEM_decrease_reservation, DOMID_SELF, &gfn, 1, 18), 0);
    assert_int_equal(reserve(dom0, XENMEM_decrease_reservation, GUEST, &gfn, 1, 10), 0);
    assert_int_equal(frames_owned(GUEST), owned);
    gfn = 0x40000;
    assert_int_equal(reserve(dom0, XENMEM_populate_physmap, GUEST, &gfn, 1, 3), 1);
    r.extent_start.p = &gfn;
    assert_int_equal(op(dom0, XENMEM_populate_physmap, &r), -EOPNOTSUPP);
    /* Never over a device. */
    assert_int_equal(p2m_map(&guest->p2m, 0x5003, 0xfe003, 0, P2M_MMIO_DIRECT), 0);
    gfn = 0x5003;
    assert_int_equal(reserve(dom0, XENMEM_populate_physmap, GUEST, &gfn, 1, 0), 0);
    gfn = 0x5000;
    assert_int_equal(reserve(dom0, XENMEM_populate_physmap, GUEST, &gfn, 1, 9), 0);
    assert_int_equal(type_at(guest, 0x5003), P2M_MMIO_DIRECT);
    /* Two megabytes go again, the large page split on the way. */
    gfn = 0x4000;
    owned = frames_owned(GUEST);
    assert_int_equal(reserve(dom0, XENMEM_decrease_reservation, GUEST, &gfn, 1, 9), 1);
    assert_int_equal(frames_owned(GUEST), owned - 512);
    /* Out of tables in the middle: nothing is left behind. */
    owned = frames_owned(GUEST);
    guest->p2m.max_tables = guest->p2m.tables;
    gfn = 0x100000;
    assert_int_equal(reserve(dom0, XENMEM_populate_physmap, GUEST, &gfn, 1, 0), 0);
    assert_int_equal(frames_owned(GUEST), owned);
}

static void test_control_identity(void **state)
{
    xen_pfn_t gfn = 5000; /* a free machine frame of that number */

    (void)state;
    assert_int_equal(page_owner(gfn), OWNER_NONE);
    assert_int_equal(reserve(dom0, XENMEM_populate_physmap, DOMID_SELF, &gfn, 1, 0), 1);
    assert_int_equal(p2m_lookup(&dom0->p2m, gfn, NULL, NULL), gfn);
    gfn = 0x6000; /* no such frame: another one will do behind an IOMMU */
    assert_int_equal(reserve(dom0, XENMEM_populate_physmap, DOMID_SELF, &gfn, 1, 0), 1);
    fake_iommu = false;
    gfn = 0x6001;
    assert_int_equal(reserve(dom0, XENMEM_populate_physmap, DOMID_SELF, &gfn, 1, 0), 0);
}

static long add(struct domain *d, uint16_t domid, unsigned space, uint64_t idx, uint64_t gfn)
{
    struct xen_add_to_physmap a = { .domid = domid, .space = space, .idx = idx, .gpfn = gfn };

    return op(d, XENMEM_add_to_physmap, &a);
}

static void test_add_to_physmap(void **state)
{
    uint64_t owned = frames_owned(GUEST), si = virt_to_mfn(guest->shared_info);
    uint8_t *page = fake_page(guest, 33);

    (void)state;
    assert_int_equal(add(guest, DOMID_SELF, XENMAPSPACE_shared_info, 0, 4), 0);
    assert_ptr_equal(fake_page(guest, 4), guest->shared_info);
    assert_int_equal(type_at(guest, 4), P2M_SPECIAL);
    assert_int_equal(frames_owned(GUEST), owned - 1); /* the memory that was there */
    assert_int_equal(add(guest, DOMID_SELF, XENMAPSPACE_shared_info, 0, 4), 0); /* again */
    assert_int_equal(page_users(si), 1);
    assert_int_equal(add(guest, DOMID_SELF, XENMAPSPACE_shared_info, 1, 4), -EINVAL);
    /* Grant frames, the highest first. */
    assert_int_equal(add(guest, DOMID_SELF, XENMAPSPACE_grant_table, 3, SCRATCH + 3), 0);
    assert_int_equal(guest->grants.nr_frames, 4);
    assert_int_equal(add(guest, DOMID_SELF, XENMAPSPACE_grant_table, 0, SCRATCH), 0);
    assert_ptr_equal(fake_page(guest, SCRATCH), guest->grants.frame[0].shared);
    assert_int_equal(add(guest, DOMID_SELF, XENMAPSPACE_grant_table, 4, SCRATCH + 4), -EINVAL);
    assert_int_equal(
        add(guest, DOMID_SELF, XENMAPSPACE_grant_table, XENMAPIDX_grant_table_status, SCRATCH),
        -EINVAL);
    assert_int_equal(add(guest, DOMID_SELF, XENMAPSPACE_grant_table, 1ull << 32, SCRATCH), -EINVAL);
    /* Moving a page. */
    owned = frames_owned(GUEST);
    assert_int_equal(add(guest, DOMID_SELF, XENMAPSPACE_gmfn, 33, SCRATCH + 9), 0);
    assert_ptr_equal(fake_page(guest, SCRATCH + 9), page);
    assert_null(fake_page(guest, 33));
    assert_int_equal(frames_owned(GUEST), owned);
    assert_int_equal(add(guest, DOMID_SELF, XENMAPSPACE_gmfn, 33, SCRATCH + 9), -EINVAL);
    assert_int_equal(add(guest, DOMID_SELF, XENMAPSPACE_gmfn, 34, SCRATCH + 9), 0); /* over it */
    assert_int_equal(frames_owned(GUEST), owned - 1);
    assert_int_equal(add(guest, DOMID_SELF, XENMAPSPACE_gmfn, 34, ~0ull), -E2BIG);
    assert_int_equal(add(guest, DOMID_SELF, XENMAPSPACE_shared_info, 0, ~0ull), -E2BIG);
    assert_int_equal(page_users(si), 1);
    /* Devices stay where they are. */
    assert_int_equal(p2m_map(&guest->p2m, 0x5003, 0xfe003, 0, P2M_MMIO_DIRECT), 0);
    assert_int_equal(add(guest, DOMID_SELF, XENMAPSPACE_shared_info, 0, 0x5003), -EPERM);
    assert_int_equal(add(guest, DOMID_SELF, XENMAPSPACE_gmfn, 35, 0x5003), -EPERM);
    assert_int_equal(add(guest, 0, XENMAPSPACE_gmfn, 35, 0x5003), -EPERM);
    assert_int_equal(add(guest, DOMID_SELF, XENMAPSPACE_gmfn_foreign, 35, 0x5003), -ENOSYS);
    assert_int_equal(add(guest, DOMID_SELF, 99, 35, 0x5003), -ENOSYS);
}

static void test_gmfn_range(void **state)
{
    struct xen_add_to_physmap a = {
        .domid = GUEST, .space = XENMAPSPACE_gmfn_range, .size = 20, .idx = 100, .gpfn = SCRATCH
    };

    (void)state;
    fake_preempt_every = 2;
    assert_int_equal(op(dom0, XENMEM_add_to_physmap, &a), 0);
    assert_true(fake_restarts > 5);
    for (unsigned i = 0; i < 20; i++) {
        assert_int_equal(fake_page(guest, SCRATCH + i)[0], 100 + i);
        assert_null(fake_page(guest, 100 + i));
    }
    assert_int_equal(op(dom0, XENMEM_add_to_physmap | (21u << 6), &a), -EINVAL);
}

static void test_foreign(void **state)
{
    xen_ulong_t idx[4] = { 7, PAGES, 8, 4 };
    xen_pfn_t gfn[4] = { SCRATCH, SCRATCH + 1, SCRATCH + 2, SCRATCH + 3 };
    int errs[4] = { 1, 1, 1, 1 };
    struct xen_add_to_physmap_batch b = {
        .domid = DOMID_SELF, .space = XENMAPSPACE_gmfn_foreign, .size = 4, .u.foreign_domid = GUEST
    };
    struct xen_remove_from_physmap r = { .domid = DOMID_SELF, .gpfn = SCRATCH };
    uint64_t mfn = p2m_lookup(&guest->p2m, 7, NULL, NULL);

    (void)state;
    b.idxs.p = idx;
    b.gpfns.p = gfn;
    b.errs.p = errs;
    assert_int_equal(add(guest, DOMID_SELF, XENMAPSPACE_shared_info, 0, 4), 0);
    fake_preempt_every = 1;
    assert_int_equal(op(dom0, XENMEM_add_to_physmap_batch, &b), 0);
    assert_int_equal(errs[0], 0);
    assert_int_equal(errs[1], -EINVAL); /* not there */
    assert_int_equal(errs[2], 0);
    assert_int_equal(errs[3], -EINVAL); /* the hypervisor's page, not the guest's memory */
    assert_int_equal(fake_page(dom0, SCRATCH)[0], 7);
    assert_int_equal(type_at(dom0, SCRATCH), P2M_FOREIGN);
    /* Mapping it again takes no second reference. */
    assert_int_equal(page_users(mfn), 1);
    assert_int_equal(op(dom0, XENMEM_add_to_physmap_batch, &b), 0);
    assert_int_equal(page_users(mfn), 1);
    /* The guest gives the page up. */
    assert_int_equal(p2m_unmap(&guest->p2m, 7, 1, NULL), 0);
    assert_true(page_orphaned(mfn));
    fake_check();
    assert_int_equal(op(dom0, XENMEM_remove_from_physmap, &r), 0);
    assert_int_equal(page_owner(mfn), OWNER_NONE);
    assert_int_equal(op(dom0, XENMEM_remove_from_physmap, &r), -ENOENT);
    r.gpfn = 5; /* own memory is not unhooked this way */
    assert_int_equal(op(dom0, XENMEM_remove_from_physmap, &r), -EINVAL);
    r.gpfn = ~0ull;
    assert_int_equal(op(dom0, XENMEM_remove_from_physmap, &r), -ENOENT);
}

static void test_foreign_refused(void **state)
{
    uint64_t shared = frame_alloc(0, OWNER_XEN, FRAME_ZERO | FRAME_SHARED);
    uint64_t xen = frame_alloc(0, OWNER_XEN, FRAME_ZERO);
    xen_ulong_t idx = 7;
    xen_pfn_t gfn = SCRATCH;
    int err = 1;
    struct xen_add_to_physmap_batch b = { .domid = DOMID_SELF,
                                          .space = XENMAPSPACE_gmfn_foreign,
                                          .size = 1 };

    (void)state;
    b.idxs.p = &idx;
    b.gpfns.p = &gfn;
    b.errs.p = &err;
    /* not the control domain */
    assert_int_equal(op(guest, XENMEM_add_to_physmap_batch, &b), -EPERM);
    b.u.foreign_domid = 0;
    assert_int_equal(op(dom0, XENMEM_add_to_physmap_batch, &b), -EINVAL); /* itself */
    b.u.foreign_domid = DOMID_SELF;
    assert_int_equal(op(dom0, XENMEM_add_to_physmap_batch, &b), -EINVAL);
    b.u.foreign_domid = 99;
    assert_int_equal(op(dom0, XENMEM_add_to_physmap_batch, &b), -ESRCH);
    b.domid = GUEST; /* into another domain */
    b.u.foreign_domid = 0;
    assert_int_equal(op(dom0, XENMEM_add_to_physmap_batch, &b), -EPERM);
    b.domid = DOMID_SELF;
    b.u.foreign_domid = DOMID_XEN;
    idx = xen;
    assert_int_equal(op(dom0, XENMEM_add_to_physmap_batch, &b), 0);
    assert_int_equal(err, -EPERM);
    idx = dom0->p2m.root;
    assert_int_equal(op(dom0, XENMEM_add_to_physmap_batch, &b), 0);
    assert_int_equal(err, -EPERM);
    idx = ~0ull;
    assert_int_equal(op(dom0, XENMEM_add_to_physmap_batch, &b), 0);
    assert_int_equal(err, -EPERM);
    idx = shared;
    assert_int_equal(op(dom0, XENMEM_add_to_physmap_batch, &b), 0);
    assert_int_equal(err, 0);
    assert_ptr_equal(fake_page(dom0, SCRATCH), mfn_to_virt(shared));
    fake_check();
    b.space = XENMAPSPACE_shared_info;
    assert_int_equal(op(dom0, XENMEM_add_to_physmap_batch, &b), -EOPNOTSUPP);
    b.u.res0 = 0;
    b.errs.p = FAKE_BAD;
    assert_int_equal(op(dom0, XENMEM_add_to_physmap_batch, &b), -EFAULT);
    b.space = XENMAPSPACE_gmfn_range;
    assert_int_equal(op(dom0, XENMEM_add_to_physmap_batch, &b), -EINVAL);
    assert_int_equal(p2m_unmap(&dom0->p2m, SCRATCH, 1, NULL), 0);
    frame_free(shared, 0);
    frame_free(xen, 0);
}

static void test_acquire_resource(void **state)
{
    xen_pfn_t gfn[3] = { SCRATCH, SCRATCH + 1, 0x5003 };
    struct xen_mem_acquire_resource r = { .domid = GUEST, .type = XENMEM_resource_grant_table };

    (void)state;
    assert_int_equal(op(dom0, XENMEM_acquire_resource, &r), 0);
    assert_int_equal(r.nr_frames, 4); /* the table's limit */
    assert_int_equal(op(dom0, XENMEM_acquire_resource, &r), -EINVAL);
    r.frame_list.p = gfn;
    r.nr_frames = 2;
    fake_preempt_every = 1;
    assert_int_equal(op(dom0, XENMEM_acquire_resource, &r), 0);
    assert_ptr_equal(fake_page(dom0, SCRATCH + 1), guest->grants.frame[1].shared);
    assert_int_equal(type_at(dom0, SCRATCH), P2M_FOREIGN);
    r.frame = 3;
    assert_int_equal(op(dom0, XENMEM_acquire_resource, &r), -EINVAL);
    r.frame = ~0ull;
    assert_int_equal(op(dom0, XENMEM_acquire_resource, &r), -EINVAL);
    r.frame = 0;
    r.nr_frames = 3;
    assert_int_equal(p2m_map(&dom0->p2m, 0x5003, 0xfe003, 0, P2M_MMIO_DIRECT), 0);
    assert_int_equal(op(dom0, XENMEM_acquire_resource, &r), -EIO); /* the third cannot be */
    r.pad = 1;
    assert_int_equal(op(dom0, XENMEM_acquire_resource, &r), -EINVAL);
    r.pad = 0;
    r.id = XENMEM_resource_grant_table_id_status;
    assert_int_equal(op(dom0, XENMEM_acquire_resource, &r), -EINVAL);
    r.type = XENMEM_resource_ioreq_server;
    assert_int_equal(op(dom0, XENMEM_acquire_resource, &r), -EINVAL);
    r.type = 77;
    assert_int_equal(op(dom0, XENMEM_acquire_resource, &r), -EINVAL);
    r.domid = DOMID_SELF;
    assert_int_equal(op(dom0, XENMEM_acquire_resource, &r), -EPERM);
    r.domid = 0;
    assert_int_equal(op(guest, XENMEM_acquire_resource, &r), -EPERM);
    r.domid = 99;
    assert_int_equal(op(dom0, XENMEM_acquire_resource, &r), -ESRCH);
}

/* Frames of a request server: they live until both the server and the last mapping have gone. */
static void test_ioreq_frames(void **state)
{
    xen_pfn_t gfn[3] = { SCRATCH, SCRATCH + 1, SCRATCH + 2 };
    struct xen_mem_acquire_resource r = { .domid = GUEST, .type = XENMEM_resource_ioreq_server };
    struct xen_remove_from_physmap rm = { .domid = DOMID_SELF };
    uint64_t free = frames_free_count(), with_tables;
    uint16_t id;

    (void)state;
    assert_int_equal(ioreq_server_create(&guest->ioreq, 3, &id), -EINVAL);
    assert_int_equal(ioreq_server_create(&guest->ioreq, 2, &id), 0);
    assert_int_equal(frames_free_count(), free - 3);
    assert_int_equal(frames_owned(GUEST), PAGES); /* not at the guest's expense */
    r.id = id;
    assert_int_equal(op(dom0, XENMEM_acquire_resource, &r), 0);
    assert_int_equal(r.nr_frames, 3);
    r.frame_list.p = gfn;
    assert_int_equal(op(dom0, XENMEM_acquire_resource, &r), 0);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(type_at(dom0, gfn[i]), P2M_FOREIGN);
    assert_int_equal(((uint32_t *)fake_page(dom0, SCRATCH + 1))[6], 2); /* slot 0: vp_eport */
    with_tables = frames_free_count();
    r.frame = 1;
    assert_int_equal(op(dom0, XENMEM_acquire_resource, &r), -EINVAL); /* 1 to 3 */
    r.id = id + 0x10000u;
    r.frame = 0;
    assert_int_equal(op(dom0, XENMEM_acquire_resource, &r), -EINVAL);
    assert_int_equal(ioreq_server_destroy(&guest->ioreq, id), 0);
    assert_int_equal(ioreq_server_destroy(&guest->ioreq, id), -ENOENT);
    /* The device model's view outlives the server, and nothing is given away under it. */
    assert_int_equal(frames_free_count(), with_tables);
    memset(fake_page(dom0, SCRATCH), 1, PAGE_SIZE);
    for (unsigned i = 0; i < 3; i++) {
        rm.gpfn = gfn[i];
        assert_int_equal(op(dom0, XENMEM_remove_from_physmap, &rm), 0);
    }
    assert_true(frames_free_count() >= with_tables + 3);
    /* Without buffered requests there is no frame for them. */
    assert_int_equal(ioreq_server_create(&guest->ioreq, 0, &id), 0);
    r.id = id;
    r.frame = 0;
    r.nr_frames = 2;
    assert_int_equal(op(dom0, XENMEM_acquire_resource, &r), -EINVAL);
    r.frame = 1;
    assert_int_equal(op(dom0, XENMEM_acquire_resource, &r), 0);
}

static void test_questions(void **state)
{
    struct xen_memory_domain md = { .domid = DOMID_SELF };
    struct xen_memory_reservation claim = { .nr_extents = PAGES + 100, .domid = GUEST };
    struct xen_reserved_device_memory rdm[2] = { { 0 } };
    struct xen_reserved_device_memory_map q = { .nr_entries = 0 };
    struct xen_pod_target pod = { 0 };

    (void)state;
    assert_int_equal(op(guest, XENMEM_maximum_ram_page, NULL), FAKE_FRAMES - 1);
    assert_int_equal(op(guest, XENMEM_current_reservation, &md), PAGES);
    assert_int_equal(op(guest, XENMEM_maximum_reservation, &md), PAGES + 1024);
    assert_int_equal(op(guest, XENMEM_maximum_gpfn, &md), PAGES - 1);
    md.domid = 0;
    assert_int_equal(op(guest, XENMEM_current_reservation, &md), -EPERM);
    assert_int_equal(op(dom0, XENMEM_claim_pages, &claim), 0);
    assert_int_equal(frames_staked(GUEST), 100);
    assert_int_equal(op(dom0, XENMEM_claim_pages, &claim), -EINVAL); /* it has one */
    claim.nr_extents = 0;
    assert_int_equal(op(dom0, XENMEM_claim_pages, &claim), 0);
    assert_int_equal(frames_staked_total(), 0);
    claim.nr_extents = FAKE_FRAMES;
    assert_int_equal(op(dom0, XENMEM_claim_pages, &claim), -EINVAL); /* beyond its limit */
    guest->max_pages = FAKE_FRAMES;
    assert_int_equal(op(dom0, XENMEM_claim_pages, &claim), -ENOMEM);
    claim.nr_extents = 0;
    assert_int_equal(op(dom0, XENMEM_claim_pages, &claim), 0);
    guest->max_pages = PAGES + 1024;
    pod.domid = GUEST;
    assert_int_equal(op(dom0, XENMEM_set_pod_target, &pod), 0);
    assert_int_equal(op(dom0, XENMEM_get_pod_target, &pod), 0);
    assert_int_equal(pod.tot_pages, PAGES);
    assert_int_equal(pod.pod_entries, 0);
    assert_int_equal(op(guest, XENMEM_set_pod_target, &pod), -EPERM);
    assert_int_equal(op(guest, XENMEM_claim_pages, &claim), -EPERM);
    for (unsigned cmd = XENMEM_get_sharing_freed_pages; cmd <= XENMEM_sharing_op; cmd++)
        assert_int_equal(op(dom0, cmd, &claim), -ENOSYS);
    assert_int_equal(op(dom0, XENMEM_machine_memory_map, &claim), -ENOSYS);
    assert_int_equal(op(dom0, XENMEM_exchange, &claim), -EOPNOTSUPP);
    assert_int_equal(op(dom0, XENMEM_get_vnumainfo, &claim), -EOPNOTSUPP);
    assert_int_equal(op(dom0, 63, &claim), -ENOSYS);
    /* Reserved ranges of a device: none, too many for the buffer, all. */
    q.dev.pci.bus = 3;
    assert_int_equal(op(dom0, XENMEM_reserved_device_memory_map, &q), 0);
    assert_int_equal(q.nr_entries, 0);
    fake_nr_rmrrs = 2;
    fake_rmrr_sbdf = 3 << 8;
    q.buffer.p = rdm;
    q.nr_entries = 1;
    assert_int_equal(op(dom0, XENMEM_reserved_device_memory_map, &q), -ENOBUFS);
    assert_int_equal(q.nr_entries, 2);
    assert_int_equal(op(dom0, XENMEM_reserved_device_memory_map, &q), 0);
    assert_int_equal(rdm[1].start_pfn, 0x7f100);
    assert_int_equal(rdm[1].nr_pages, 2);
    q.dev.pci.bus = 4;
    assert_int_equal(op(dom0, XENMEM_reserved_device_memory_map, &q), 0);
    assert_int_equal(q.nr_entries, 0);
    q.flags = XENMEM_RDM_ALL;
    q.nr_entries = 2;
    assert_int_equal(op(dom0, XENMEM_reserved_device_memory_map, &q), 0);
    assert_int_equal(q.nr_entries, 2);
    assert_int_equal(op(guest, XENMEM_reserved_device_memory_map, &q), -EPERM);
    fake_mode_bytes = 4;
    assert_int_equal(op(dom0, XENMEM_maximum_ram_page, NULL), -ENOSYS);
}

static uint64_t odd_number(void)
{
    static const uint64_t odd[] = { 0,      1,           511,   512,      PAGES - 1,  PAGES,
                                    0x8000, 0x7ffffffff, ~0ull, 1u << 31, 0x80000000, SCRATCH };

    return rand() % 2 ? (uint64_t)rand() % (2 * PAGES) : odd[(unsigned)rand() % ARRAY_SIZE(odd)];
}

static uint16_t odd_domid(void)
{
    static const uint16_t odd[] = { 0, GUEST, DOMID_SELF, DOMID_XEN, DOMID_IO, 99 };

    return odd[(unsigned)rand() % ARRAY_SIZE(odd)];
}

/* Nonsense and near-sense from both sides; fake_machine_end() counts the frames. */
static void test_hostile(void **state)
{
    xen_pfn_t list[64];
    xen_ulong_t idx[64];
    int errs[64];

    (void)state;
    fake_preempt_every = 5;
    for (unsigned step = 0; step < 20000; step++) {
        struct domain *d = rand() % 2 ? dom0 : guest;
        unsigned nr = 1 + (unsigned)rand() % 8;

        for (unsigned i = 0; i < 64; i++) {
            list[i] = odd_number();
            idx[i] = odd_number();
        }
        switch (rand() % 5) {
        case 0:
            reserve(d, rand() % 2 ? XENMEM_decrease_reservation : XENMEM_populate_physmap,
                    odd_domid(), list, nr, rand() % 8 ? 0 : (unsigned)rand() % 20);
            break;
        case 1:
            add(d, odd_domid(), (unsigned)rand() % 6, odd_number(), odd_number());
            break;
        case 2: {
            struct xen_add_to_physmap_batch b = { .domid = odd_domid(),
                                                  .space = (uint16_t)(rand() % 6),
                                                  .size = (uint16_t)nr,
                                                  .u.foreign_domid = odd_domid() };

            b.idxs.p = idx;
            b.gpfns.p = list;
            b.errs.p = errs;
            op(d, XENMEM_add_to_physmap_batch | (rand() % 16 ? 0 : (unsigned)rand() << 6), &b);
            break;
        }
        case 3: {
            struct xen_remove_from_physmap r = { .domid = odd_domid(), .gpfn = odd_number() };

            op(d, XENMEM_remove_from_physmap, &r);
            break;
        }
        default: {
            struct xen_mem_acquire_resource r = { .domid = odd_domid(),
                                                  .type = (uint16_t)(rand() % 3),
                                                  .nr_frames = (uint32_t)(rand() % 6),
                                                  .frame = (uint64_t)(rand() % 6) };

            r.frame_list.p = list;
            op(d, XENMEM_acquire_resource, &r);
        }
        }
        if (step % 1000 == 0)
            fake_check();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_memory_map, setup, teardown),
        cmocka_unit_test_setup_teardown(test_reservations, setup, teardown),
        cmocka_unit_test_setup_teardown(test_populate, setup, teardown),
        cmocka_unit_test_setup_teardown(test_control_identity, setup, teardown),
        cmocka_unit_test_setup_teardown(test_add_to_physmap, setup, teardown),
        cmocka_unit_test_setup_teardown(test_gmfn_range, setup, teardown),
        cmocka_unit_test_setup_teardown(test_foreign, setup, teardown),
        cmocka_unit_test_setup_teardown(test_foreign_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_acquire_resource, setup, teardown),
        cmocka_unit_test_setup_teardown(test_ioreq_frames, setup, teardown),
        cmocka_unit_test_setup_teardown(test_questions, setup, teardown),
        cmocka_unit_test_setup_teardown(test_hostile, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
