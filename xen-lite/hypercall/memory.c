/* SPDX-License-Identifier: MIT */
/*
 * The memory hypercall: reservations, the memory map, and questions about a domain's memory. Places
 * in the physical space are in physmap.c.
 */
#include "cpu/exit.h"
#include "cpu/guest_mem.h"
#include "domain/domain.h"
#include "hypercall/handlers.h"
#include "hypercall/hypercall.h"
#include "hypercall/physmap.h"
#include "iommu/iommu.h"
#include "lib/errno.h"
#include "lib/string.h"
#include "mm/frame.h"
#include "mm/phys.h"

#include <xen/memory.h>

/* An E820 entry as guests know it. */
struct guest_memmap_entry {
    uint64_t base, len;
    uint32_t type;
} __packed;

/*
 * Whole gigabytes are populated in one piece where one is free and clean: clearing it takes longer
 * than a CPU may be away. Otherwise callers fall back to 2 MiB, which the p2m merges again where the
 * frames allow.
 */
#define POPULATE_MAX_ORDER P2M_ORDER_1G

/* Single pages taken at a time: as many as the p2m keeps until one flush. */
#define EXTENT_CHUNK 32u

long memory_restart(struct vcpu *v, unsigned cmd, uint64_t start)
{
    hypercall_set_arg(v, 1, cmd | (start << MEMOP_CMD_BITS));
    return HYPERCALL_RESTART;
}

/* ---- reservations ---- */

struct reservation {
    struct vcpu *v;
    struct domain *d;
    struct xen_memory_reservation r;
};

/*
 * Frees one extent's memory. False when something else than memory is there. Under the p2m's lock.
 */
static bool decrease_extent(struct domain *d, uint64_t gfn, unsigned order)
{
    for (uint64_t i = 0; i < 1UL << order; i++) {
        enum p2m_type type;

        p2m_lookup(&d->p2m, gfn + i, &type, NULL);
        if (!p2m_type_is_ram(type) || p2m_unmap_locked(&d->p2m, gfn + i))
            return false;
    }
    return true;
}

/* As many of n extents as can be, with one flush. */
static unsigned decrease_chunk(struct domain *d, const xen_pfn_t *gfns, unsigned n, unsigned order)
{
    unsigned done = 0;

    p2m_begin(&d->p2m);
    while (done < n && decrease_extent(d, gfns[done], order))
        done++;
    p2m_end(&d->p2m);
    return done;
}

/*
 * Frames for an extent: for the identity-mapped control domain those of the same number, if they
 * are free.
 */
static uint64_t populate_frames(struct domain *d, uint64_t gfn, unsigned order)
{
    if (d->control) {
        if (!frame_claim(gfn, 1UL << order, d->domid)) {
            frames_uncharge(d->domid, 1UL << order); /* counted there, too */
            memset(mfn_to_virt(gfn), 0, PAGE_SIZE << order);
            return gfn;
        }
        /* Without an IOMMU its devices would take the guest's number for the machine's. */
        if (!iommu_present())
            return INVALID_MFN;
    }
    return frame_alloc(order, d->domid,
                       FRAME_ZERO | FRAME_CHARGED | (order > P2M_ORDER_2M ? FRAME_CLEAN : 0));
}

static bool range_replaceable(struct domain *d, uint64_t gfn, unsigned order)
{
    for (uint64_t i = 0; i < 1UL << order;) {
        enum p2m_type type;
        unsigned leaf;

        p2m_lookup(&d->p2m, gfn + i, &type, &leaf);
        if (type == P2M_MMIO_DIRECT || type == P2M_FIRMWARE)
            return false;
        i += (1UL << leaf) - ((gfn + i) & ((1UL << leaf) - 1));
    }
    return true;
}

static bool populate_extent(struct domain *d, uint64_t gfn, unsigned order)
{
    uint64_t mfn;

    if (order > POPULATE_MAX_ORDER || (gfn & ((1UL << order) - 1)) || gfn > d->p2m.max_gfn)
        return false;
    if (order > P2M_ORDER_2M && (order != P2M_ORDER_1G || d->control))
        return false;
    if (!range_replaceable(d, gfn, order))
        return false;
    if (!frames_charge(d->domid, 1UL << order, READ_ONCE(d->max_pages)))
        return false;
    mfn = populate_frames(d, gfn, order);
    if (mfn == INVALID_MFN) {
        frames_uncharge(d->domid, 1UL << order);
        return false;
    }
    /* Orders between 4 KiB and 2 MiB, which nobody uses, go page by page. */
    if (p2m_map_range(&d->p2m, gfn, mfn, 1UL << order, P2M_RAM_RW, NULL)) {
        uint64_t i;

        /* What was mapped before the failure is freed with its mapping, the rest here. */
        for (i = 0; i < 1UL << order; i++)
            if (p2m_unmap_exact(&d->p2m, gfn + i, mfn + i, P2M_RAM_RW))
                break;
        frames_free_range(mfn + i, (1UL << order) - i);
        return false;
    }
    return true;
}

static unsigned populate_chunk(struct domain *d, const xen_pfn_t *gfns, unsigned n, unsigned order)
{
    unsigned done = 0;

    while (done < n && populate_extent(d, gfns[done], order))
        done++;
    return done;
}

/* The number of extents done, which is less than asked for when one of them cannot be. */
static long run_extents(struct reservation *res, unsigned cmd, uint64_t start)
{
    const struct xen_memory_reservation *r = &res->r;
    xen_pfn_t gfns[EXTENT_CHUNK];
    uint64_t i = start;

    while (i < r->nr_extents) {
        /* Of large ones each is work enough. */
        unsigned n = r->extent_order ? 1 : (unsigned)MIN(r->nr_extents - i, (uint64_t)EXTENT_CHUNK);
        unsigned done;

        if (i > start && hypercall_preempt(res->v))
            return memory_restart(res->v, cmd, i);
        if (copy_from_guest(res->v, gfns, (uint64_t)r->extent_start.p + i * sizeof(gfns[0]),
                            n * sizeof(gfns[0])))
            break;
        if (cmd == XENMEM_decrease_reservation)
            done = decrease_chunk(res->d, gfns, n, r->extent_order);
        else
            done = populate_chunk(res->d, gfns, n, r->extent_order);
        i += done;
        if (done < n)
            break;
    }
    return (long)i;
}

/*
 * Giving back goes page by page, and guests need no more than large pages: the largest order is for populating by the control
 * domain.
 */
static unsigned max_order(const struct vcpu *v, unsigned cmd)
{
    return cmd == XENMEM_populate_physmap && v->domain->control ? POPULATE_MAX_ORDER : P2M_ORDER_2M;
}

static long reservation(struct vcpu *v, unsigned cmd, uint64_t arg, uint64_t start)
{
    struct reservation res = { .v = v };
    long rc;
    int err;

    if (copy_from_guest(v, &res.r, arg, sizeof(res.r)))
        return (long)start;
    /* As Xen has it: what cannot be done at all is "0 extents", not an error. */
    if (res.r.nr_extents > MEMOP_START_MAX || start > res.r.nr_extents || !res.r.extent_start.p ||
        res.r.extent_order > max_order(v, cmd))
        return (long)start;
    if (cmd == XENMEM_populate_physmap && (res.r.mem_flags & XENMEMF_populate_on_demand))
        return -EOPNOTSUPP;
    res.d = hypercall_target(v, res.r.domid, &err);
    if (!res.d)
        return start ? (long)start : err;
    /*
     * Memory beside the physical map is of no use to a translated guest: increase_reservation gives
     * none.
     */
    rc = cmd == XENMEM_increase_reservation ? (long)start : run_extents(&res, cmd, start);
    domain_put(res.d);
    return rc;
}

/* nr_extents frames in all are promised to the domain; 0: it needs no promise any more. */
static long claim_pages(struct vcpu *v, uint64_t arg)
{
    struct xen_memory_reservation r;
    struct domain *d;
    long rc;
    int err;

    if (copy_from_guest(v, &r, arg, sizeof(r)))
        return -EFAULT;
    if (r.extent_start.p || r.extent_order || r.mem_flags)
        return -EINVAL;
    if (!v->domain->control)
        return -EPERM;
    d = hypercall_target(v, r.domid, &err);
    if (!d)
        return err;
    /* Destruction takes claims back under this lock, too: none comes after that. */
    spin_lock(&d->lock);
    if (READ_ONCE(d->dying) || d->control || r.nr_extents > READ_ONCE(d->max_pages))
        rc = -EINVAL;
    else
        rc = frames_stake(d->domid, r.nr_extents);
    spin_unlock(&d->lock);
    domain_put(d);
    return rc;
}

/*
 * Nothing is populated on demand, so that a target for it changes nothing; tools set one with every
 * change of a guest's size.
 */
static long pod_target(struct vcpu *v, uint64_t arg)
{
    struct xen_pod_target t;
    struct domain *d;
    int err;

    if (!v->domain->control)
        return -EPERM;
    if (copy_from_guest(v, &t, arg, sizeof(t)))
        return -EFAULT;
    d = hypercall_target(v, t.domid, &err);
    if (!d)
        return err;
    t.tot_pages = frames_owned(d->domid);
    t.pod_cache_pages = 0;
    t.pod_entries = 0;
    domain_put(d);
    return copy_to_guest(v, arg, &t, sizeof(t)) ? -EFAULT : 0;
}

/* ---- the memory map ---- */

static long put_entries(struct vcpu *v, const struct domain *d, const struct xen_memory_map *map,
                        unsigned nr)
{
    for (unsigned i = 0; i < nr; i++) {
        struct guest_memmap_entry e = { .base = d->memmap[i].base,
                                        .len = d->memmap[i].len,
                                        .type = d->memmap[i].type };

        if (copy_to_guest(v, (uint64_t)map->buffer.p + i * sizeof(e), &e, sizeof(e)))
            return -EFAULT;
    }
    return 0;
}

static long memory_map(struct vcpu *v, uint64_t arg)
{
    struct domain *d = v->domain;
    struct xen_memory_map map;
    unsigned have = READ_ONCE(d->nr_memmap);
    long rc;

    if (copy_from_guest(v, &map, arg, sizeof(map)))
        return -EFAULT;
    if (!have)
        return -ENOSYS; /* what Xen says of a domain without a map */
    map.nr_entries = MIN(map.nr_entries, have);
    rc = put_entries(v, d, &map, map.nr_entries);
    if (!rc && copy_to_guest(v, arg, &map, sizeof(map)))
        rc = -EFAULT;
    return rc;
}

/* Reads entry by entry into d under its lock, having shown no entries meanwhile. */
static long take_entries(struct vcpu *v, struct domain *d, const struct xen_memory_map *map)
{
    WRITE_ONCE(d->nr_memmap, 0);
    for (unsigned i = 0; i < map->nr_entries; i++) {
        struct guest_memmap_entry e;

        if (copy_from_guest(v, &e, (uint64_t)map->buffer.p + i * sizeof(e), sizeof(e)))
            return -EFAULT;
        d->memmap[i] = (struct domain_memmap_entry){ .base = e.base, .len = e.len, .type = e.type };
    }
    WRITE_ONCE(d->nr_memmap, map->nr_entries);
    return 0;
}

static long set_memory_map(struct vcpu *v, uint64_t arg)
{
    struct xen_foreign_memory_map fm;
    struct domain *d;
    long rc;
    int err;

    if (copy_from_guest(v, &fm, arg, sizeof(fm)))
        return -EFAULT;
    if (fm.map.nr_entries > DOMAIN_MAX_MEMMAP)
        return -EINVAL;
    if (!v->domain->control)
        return -EPERM;
    d = hypercall_target(v, fm.domid, &err);
    if (!d)
        return err;
    spin_lock(&d->lock);
    rc = take_entries(v, d, &fm.map);
    spin_unlock(&d->lock);
    domain_put(d);
    return rc;
}

/* ---- questions ---- */

static long domain_figure(struct vcpu *v, unsigned cmd, uint64_t arg)
{
    struct xen_memory_domain md;
    struct domain *d;
    uint64_t n;
    int err;

    if (copy_from_guest(v, &md, arg, sizeof(md)))
        return -EFAULT;
    d = hypercall_target(v, md.domid, &err);
    if (!d)
        return err;
    if (cmd == XENMEM_current_reservation)
        n = frames_owned(d->domid);
    else if (cmd == XENMEM_maximum_reservation)
        n = READ_ONCE(d->max_pages);
    else
        n = READ_ONCE(d->p2m.top_gfn);
    domain_put(d);
    return (long)MIN(n, (uint64_t)INT64_MAX);
}

struct rdm_query {
    struct xen_reserved_device_memory_map q;
    uint32_t sbdf;
    unsigned used;
};

/* One reserved range goes to the caller if it is asked for. */
static int rdm_entry(struct vcpu *v, struct rdm_query *m, uint64_t start, uint64_t end)
{
    struct xen_reserved_device_memory e = { .start_pfn = start >> PAGE_SHIFT,
                                            .nr_pages = PFN_UP(end + 1) - (start >> PAGE_SHIFT) };
    unsigned n = m->used++;

    if (n >= m->q.nr_entries)
        return 0;
    return copy_to_guest(v, (uint64_t)m->q.buffer.p + n * sizeof(e), &e, sizeof(e));
}

static bool rdm_next(const struct rdm_query *m, unsigned n, uint64_t *start, uint64_t *end)
{
    unsigned count;

    if (m->q.flags & XENMEM_RDM_ALL)
        return iommu_rmrr(n, start, end, NULL, &count, 0);
    return iommu_rmrr_for(m->sbdf, n, start, end);
}

static long reserved_device_memory(struct vcpu *v, uint64_t arg)
{
    struct rdm_query m = { .used = 0 };
    uint64_t start, end;
    unsigned have;

    if (!v->domain->control)
        return -EPERM;
    if (copy_from_guest(v, &m.q, arg, sizeof(m.q)))
        return -EFAULT;
    if (m.q.flags & ~XENMEM_RDM_ALL)
        return -EINVAL;
    m.sbdf =
        ((uint32_t)m.q.dev.pci.seg << 16) | ((uint32_t)m.q.dev.pci.bus << 8) | m.q.dev.pci.devfn;
    if (iommu_present())
        for (unsigned n = 0; rdm_next(&m, n, &start, &end); n++)
            if (rdm_entry(v, &m, start, end))
                return -EFAULT;
    have = m.q.nr_entries;
    m.q.nr_entries = m.used;
    if (copy_to_guest(v, arg, &m.q, sizeof(m.q)))
        return -EFAULT;
    return m.used > have ? -ENOBUFS : 0;
}

long do_memory_op(struct vcpu *v, uint64_t cmd, uint64_t arg, uint64_t a3, uint64_t a4, uint64_t a5)
{
    unsigned op = (unsigned)cmd & MEMOP_CMD_MASK;
    uint64_t start = (uint32_t)cmd >> MEMOP_CMD_BITS;

    (void)a3;
    (void)a4;
    (void)a5;
    /* The structures of 32-bit callers differ. */
    if (cpu_mode_bytes(&v->cpu) != 8)
        return -ENOSYS;
    switch (op) {
    case XENMEM_increase_reservation:
    case XENMEM_decrease_reservation:
    case XENMEM_populate_physmap:
        return reservation(v, op, arg, start);
    case XENMEM_claim_pages:
        return claim_pages(v, arg);
    case XENMEM_set_pod_target:
    case XENMEM_get_pod_target:
        return pod_target(v, arg);
    case XENMEM_memory_map:
        return memory_map(v, arg);
    case XENMEM_set_memory_map:
        return set_memory_map(v, arg);
    case XENMEM_maximum_ram_page:
        return (long)frames_limit() - 1;
    case XENMEM_current_reservation:
    case XENMEM_maximum_reservation:
    case XENMEM_maximum_gpfn:
        return domain_figure(v, op, arg);
    case XENMEM_add_to_physmap:
        return memory_add_to_physmap(v, arg, start);
    case XENMEM_add_to_physmap_batch:
        return memory_add_to_physmap_batch(v, arg, start);
    case XENMEM_remove_from_physmap:
        return memory_remove_from_physmap(v, arg);
    case XENMEM_acquire_resource:
        return memory_acquire_resource(v, arg, start);
    case XENMEM_reserved_device_memory_map:
        return reserved_device_memory(v, arg);
    case XENMEM_exchange:
    case XENMEM_get_vnumainfo:
        return -EOPNOTSUPP;
    default:
        return -ENOSYS;
    }
}
