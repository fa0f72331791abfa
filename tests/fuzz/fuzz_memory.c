/* SPDX-License-Identifier: MIT */
/* FUZZ_SOURCES: xen-lite/hypercall/memory.c xen-lite/hypercall/physmap.c xen-lite/hypercall/grant.c */
/* FUZZ_SOURCES: xen-lite/hypercall/grant_op.c xen-lite/hypercall/target.c xen-lite/p2m/p2m.c */
/* FUZZ_SOURCES: xen-lite/p2m/table.c xen-lite/p2m/flush.c xen-lite/p2m/lookup.c */
/* FUZZ_SOURCES: xen-lite/p2m/audit.c xen-lite/vdev/ioreq_server.c xen-lite/mm/frame.c xen-lite/mm/page.c xen-lite/mm/scrub.c tests/unit/fake_domain.c tests/unit/sim.c */
/*
 * Any bytes as memory and grant table hypercalls of a control domain and a guest, and as what the
 * guest writes into its grant table. Every call ends, the tables of both pass the audit, and after
 * the end every frame has come back.
 */
#include "fake_domain.h"

#include "hypercall/handlers.h"
#include "lib/string.h"

#include <xen/memory.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define GUEST 7
#define PAGES 48u
#define CALLS 256u
#define LIST  8u

struct input {
    const uint8_t *data;
    size_t left;
};

static void take(struct input *in, void *p, size_t n)
{
    size_t have = n < in->left ? n : in->left;

    memset(p, 0, n);
    memcpy(p, in->data, have);
    in->data += have;
    in->left -= have;
}

static uint8_t byte(struct input *in)
{
    uint8_t b;

    take(in, &b, 1);
    return b;
}

/* Mostly small numbers, sometimes anything. */
static uint64_t number(struct input *in)
{
    uint64_t n;

    if (byte(in) & 0x80) {
        take(in, &n, sizeof(n));
        return n;
    }
    return byte(in) % (2 * PAGES);
}

static uint16_t domid(struct input *in)
{
    static const uint16_t ids[] = { 0, GUEST, DOMID_SELF, DOMID_XEN, DOMID_IO, 99 };

    return ids[byte(in) % 6];
}

static xen_pfn_t list_a[LIST], list_b[LIST];

static void lists(struct input *in)
{
    for (unsigned i = 0; i < LIST; i++) {
        list_a[i] = number(in);
        list_b[i] = number(in);
    }
}

static void reservation(struct domain *d, struct input *in)
{
    struct xen_memory_reservation r = { .nr_extents = byte(in) % (LIST + 1) };
    unsigned cmd = byte(in) % 2 ? XENMEM_decrease_reservation : XENMEM_populate_physmap;

    lists(in);
    r.extent_order = byte(in) % 11;
    r.mem_flags = byte(in) & 0x80 ? (uint32_t)number(in) : 0;
    r.domid = domid(in);
    r.extent_start.p = list_a;
    fake_call(do_memory_op, d, cmd, &r, 0);
}

static void physmap(struct domain *d, struct input *in)
{
    struct xen_add_to_physmap a = { .domid = domid(in), .size = byte(in), .space = byte(in) % 7 };

    a.idx = number(in);
    a.gpfn = number(in);
    fake_call(do_memory_op, d, XENMEM_add_to_physmap, &a, 0);
}

static void batch(struct domain *d, struct input *in)
{
    int errs[LIST];
    struct xen_add_to_physmap_batch b = { .domid = domid(in),
                                          .space = byte(in) % 7,
                                          .size = byte(in) % (LIST + 1),
                                          .u.foreign_domid = domid(in) };

    lists(in);
    b.idxs.p = list_a;
    b.gpfns.p = list_b;
    b.errs.p = errs;
    fake_call(do_memory_op, d, XENMEM_add_to_physmap_batch | (byte(in) & 0x80 ? 3u << 6 : 0), &b,
              0);
}

static void remove_page(struct domain *d, struct input *in)
{
    struct xen_remove_from_physmap r = { .domid = domid(in), .gpfn = number(in) };

    fake_call(do_memory_op, d, XENMEM_remove_from_physmap, &r, 0);
}

static void resource(struct domain *d, struct input *in)
{
    struct xen_mem_acquire_resource r = { .domid = domid(in), .type = byte(in) % 4 };

    lists(in);
    r.id = byte(in) % 3;
    r.nr_frames = byte(in) % (LIST + 1);
    r.frame = number(in);
    r.frame_list.p = byte(in) & 0x80 ? NULL : list_a;
    fake_call(do_memory_op, d, XENMEM_acquire_resource, &r, 0);
}

static void map_grants(struct domain *d, struct input *in)
{
    struct gnttab_map_grant_ref op[4];
    unsigned n = byte(in) % 5;

    for (unsigned i = 0; i < 4; i++)
        op[i] =
            (struct gnttab_map_grant_ref){ .host_addr = number(in) << PAGE_SHIFT,
                                           .flags = byte(in) & 0x80 ? byte(in) : GNTMAP_host_map,
                                           .ref = (uint32_t)number(in),
                                           .dom = domid(in) };
    fake_call(do_grant_table_op, d, GNTTABOP_map_grant_ref, op, n);
}

static void unmap_grants(struct domain *d, struct input *in)
{
    struct gnttab_unmap_grant_ref op[4];
    unsigned n = byte(in) % 5;

    for (unsigned i = 0; i < 4; i++)
        op[i] = (struct gnttab_unmap_grant_ref){ .host_addr = number(in) << PAGE_SHIFT,
                                                 .handle = byte(in) % 16 };
    fake_call(do_grant_table_op, d, GNTTABOP_unmap_grant_ref, op, n);
}

static void copy_grants(struct domain *d, struct input *in)
{
    struct gnttab_copy op = { .flags = byte(in) % 4 };

    op.source = (struct gnttab_copy_ptr){ .domid = domid(in), .offset = byte(in) * 17u };
    op.source.u.gmfn = number(in);
    op.dest = (struct gnttab_copy_ptr){ .domid = domid(in), .offset = byte(in) * 17u };
    op.dest.u.gmfn = number(in);
    op.len = byte(in) * 17u;
    fake_call(do_grant_table_op, d, GNTTABOP_copy, &op, 1);
}

/* What the owner of a table may do to it at any time. */
static void write_entry(struct domain *d, struct input *in)
{
    unsigned ref = byte(in) % (2 * PAGES);
    grant_entry_v1_t *e = &d->grants.frame[0].shared[ref];

    e->flags = byte(in) & 0x80 ? byte(in) : GTF_permit_access;
    e->domid = domid(in);
    e->frame = (uint32_t)number(in);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const action[])(struct domain *, struct input *) = {
        reservation, physmap,      batch,       remove_page, resource,
        map_grants,  unmap_grants, copy_grants, write_entry, write_entry,
    };
    struct input in = { data, size };
    struct domain *d[2];

    fake_machine(512);
    d[0] = fake_domain(0, PAGES);
    d[1] = fake_domain(GUEST, PAGES);
    fake_preempt_every = byte(&in) % 4;
    for (unsigned i = 0; i < CALLS && in.left; i++) {
        uint8_t b = byte(&in);

        action[(b >> 1) % ARRAY_SIZE(action)](d[b & 1], &in);
    }
    fake_machine_end();
    return 0;
}
