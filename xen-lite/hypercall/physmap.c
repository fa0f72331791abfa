/* SPDX-License-Identifier: MIT */
/*
 * What appears where in a domain's physical space on request: shared info, grant frames, moved
 * pages, other domains' pages, and resources of other domains. Also what becomes of a frame that
 * leaves a p2m.
 *
 * Each entry of type foreign or special carries one reference on its frame; it goes with the entry.
 */
#include "hypercall/physmap.h"

#include "cpu/guest_mem.h"
#include "domain/domain.h"
#include "hypercall/grant.h"
#include "hypercall/handlers.h"
#include "hypercall/hypercall.h"
#include "lib/assert.h"
#include "lib/errno.h"
#include "mm/frame.h"

#include <xen/memory.h>

void domain_p2m_release(struct domain *d, uint64_t gfn, uint64_t mfn, unsigned order,
                        enum p2m_type type)
{
    (void)d;
    (void)gfn;
    switch (type) {
    case P2M_RAM_RW:
    case P2M_RAM_RO:
        frame_free(mfn, order);
        break;
    case P2M_FOREIGN:
    case P2M_GRANT_RW:
    case P2M_GRANT_RO:
    case P2M_SPECIAL:
        for (uint64_t i = 0; i < 1UL << order; i++)
            page_put(mfn + i);
        break;
    default:
        BUG();
    }
}

/* What a domain may have replaced in its own space. Device and firmware memory stays. */
static bool may_replace(enum p2m_type type)
{
    return type != P2M_MMIO_DIRECT && type != P2M_FIRMWARE;
}

/* Lets mfn appear at gfn. Takes over the caller's reference on the frame, also when it fails. */
static int map_held(struct domain *d, uint64_t gfn, uint64_t mfn, enum p2m_type type)
{
    enum p2m_type there;
    bool same;
    int rc = 0;

    p2m_begin(&d->p2m);
    /* If that is what is there already, its own reference will do. */
    same = p2m_lookup(&d->p2m, gfn, &there, NULL) == mfn && there == type;
    if (!same)
        rc = may_replace(there) ? p2m_map_locked(&d->p2m, gfn, mfn, P2M_ORDER_4K, type) : -EPERM;
    p2m_end(&d->p2m);
    if (rc || same)
        page_put(mfn);
    return rc;
}

static int map_special(struct domain *d, uint64_t gfn, uint64_t mfn)
{
    if (!page_get(mfn, d->domid))
        return -EINVAL;
    return map_held(d, gfn, mfn, P2M_SPECIAL);
}

static int map_grant_frame(struct domain *d, uint64_t gfn, uint64_t idx)
{
    uint64_t mfn;
    int rc;

    /* Status frames belong to version 2. */
    if (idx >> 32 || (idx & XENMAPIDX_grant_table_status))
        return -EINVAL;
    rc = grant_shared_frame(d, (uint32_t)idx, &mfn);
    return rc ? rc : map_special(d, gfn, mfn);
}

/* A page of the domain's own memory moves; the place where it was becomes a hole. */
static int move_page(struct domain *d, uint64_t to, uint64_t from)
{
    enum p2m_type type, there;
    uint64_t mfn;
    int rc = -EINVAL;

    if (to > d->p2m.max_gfn)
        return -E2BIG;
    p2m_begin(&d->p2m);
    mfn = p2m_lookup(&d->p2m, from, &type, NULL);
    p2m_lookup(&d->p2m, to, &there, NULL);
    if (mfn == INVALID_MFN || !p2m_type_is_ram(type))
        goto out;
    rc = 0;
    if (from == to)
        goto out;
    rc = -EPERM;
    if (!may_replace(there))
        goto out;
    /* First the new place, so that a failure changes nothing; no CPU of the domain minds both. */
    rc = p2m_map_locked(&d->p2m, to, mfn, P2M_ORDER_4K, type);
    if (rc)
        goto out;
    rc = p2m_detach_locked(&d->p2m, from);
    if (rc)
        p2m_detach_locked(&d->p2m, to);
out:
    p2m_end(&d->p2m);
    return rc;
}

static int add_one(struct domain *d, unsigned space, uint64_t idx, uint64_t gfn)
{
    switch (space) {
    case XENMAPSPACE_shared_info:
        return idx ? -EINVAL : map_special(d, gfn, domain_shared_info_mfn(d));
    case XENMAPSPACE_grant_table:
        return map_grant_frame(d, gfn, idx);
    case XENMAPSPACE_gmfn:
    case XENMAPSPACE_gmfn_range:
        return move_page(d, gfn, idx);
    default:
        return -ENOSYS;
    }
}

long memory_add_to_physmap(struct vcpu *v, uint64_t arg, uint64_t start)
{
    struct xen_add_to_physmap a;
    struct domain *d;
    uint64_t nr;
    long rc = 0;
    int err;

    if (copy_from_guest(v, &a, arg, sizeof(a)))
        return -EFAULT;
    /* Foreign pages need the batch form, which has a place for the other domain. */
    if (a.space == XENMAPSPACE_gmfn_foreign)
        return -ENOSYS;
    nr = a.space == XENMAPSPACE_gmfn_range ? a.size : 1;
    if (start > nr)
        return -EINVAL;
    d = hypercall_target(v, a.domid, &err);
    if (!d)
        return err;
    for (uint64_t i = start; i < nr && !rc; i++) {
        if (i > start && hypercall_preempt(v)) {
            rc = memory_restart(v, XENMEM_add_to_physmap, i);
            break;
        }
        rc = add_one(d, a.space, a.idx + i, a.gpfn + i);
    }
    domain_put(d);
    return rc;
}

/* ---- foreign pages ---- */

/*
 * The frame of another domain's page with a reference. A page that is not there or not memory is
 * -EINVAL: clients take -ENOENT for "paged out, try again".
 */
static int foreign_frame(struct domain *fd, uint64_t gfn, uint64_t *mfn)
{
    enum p2m_type type;

    *mfn = p2m_get_frame(&fd->p2m, gfn, false, &type);
    if (*mfn == INVALID_MFN)
        return -EINVAL;
    if (p2m_type_is_ram(type))
        return 0;
    p2m_put_frame(*mfn);
    return -EINVAL;
}

/* The hypervisor's own pages are named by machine frame, and only shared ones can be had. */
static int xen_frame(uint64_t idx, uint64_t *mfn)
{
    if (!page_get(idx, OWNER_XEN))
        return -EPERM;
    *mfn = idx;
    return 0;
}

static int add_foreign(struct domain *d, struct domain *fd, uint64_t idx, uint64_t gfn)
{
    uint64_t mfn;
    int rc = fd ? foreign_frame(fd, idx, &mfn) : xen_frame(idx, &mfn);

    return rc ? rc : map_held(d, gfn, mfn, P2M_FOREIGN);
}

static int batch_one(struct domain *d, struct domain *fd, const struct xen_add_to_physmap_batch *b,
                     uint64_t idx, uint64_t gfn)
{
    if (b->space == XENMAPSPACE_gmfn_foreign)
        return add_foreign(d, fd, idx, gfn);
    return add_one(d, b->space, idx, gfn);
}

static long batch_run(struct vcpu *v, struct domain *d, struct domain *fd,
                      const struct xen_add_to_physmap_batch *b, uint64_t start)
{
    for (uint64_t i = start; i < b->size; i++) {
        xen_ulong_t idx;
        xen_pfn_t gfn;
        int err;

        if (i > start && hypercall_preempt(v))
            return memory_restart(v, XENMEM_add_to_physmap_batch, i);
        if (copy_from_guest(v, &idx, (uint64_t)b->idxs.p + i * sizeof(idx), sizeof(idx)) ||
            copy_from_guest(v, &gfn, (uint64_t)b->gpfns.p + i * sizeof(gfn), sizeof(gfn)))
            return -EFAULT;
        err = batch_one(d, fd, b, idx, gfn);
        if (copy_to_guest(v, (uint64_t)b->errs.p + i * sizeof(err), &err, sizeof(err)))
            return -EFAULT;
    }
    return 0;
}

/* The other domain of a foreign mapping, or none for the hypervisor's pages. */
static int foreign_domain(const struct domain *d, uint16_t domid, struct domain **fd)
{
    *fd = NULL;
    /* Whoever maps foreign pages must be allowed to see all of every domain. */
    if (!d->control)
        return -EPERM;
    if (domid == DOMID_XEN)
        return 0;
    if (domid == DOMID_SELF || domid == d->domid)
        return -EINVAL;
    *fd = domain_get_by_id(domid);
    return *fd ? 0 : -ESRCH;
}

long memory_add_to_physmap_batch(struct vcpu *v, uint64_t arg, uint64_t start)
{
    struct xen_add_to_physmap_batch b;
    struct domain *d, *fd = NULL;
    long rc = 0;
    int err;

    if (copy_from_guest(v, &b, arg, sizeof(b)))
        return -EFAULT;
    if (start > b.size)
        return -EILSEQ;
    if (b.space == XENMAPSPACE_gmfn_range)
        return -EINVAL;
    if (b.space != XENMAPSPACE_gmfn_foreign && b.u.res0)
        return -EOPNOTSUPP;
    d = hypercall_target(v, b.domid, &err);
    if (!d)
        return err;
    if (b.space == XENMAPSPACE_gmfn_foreign)
        rc = foreign_domain(d, b.u.foreign_domid, &fd);
    if (!rc)
        rc = batch_run(v, d, fd, &b, start);
    if (fd)
        domain_put(fd);
    domain_put(d);
    return rc;
}

/* ---- the way out ---- */

static long remove_page(struct domain *d, uint64_t gfn)
{
    enum p2m_type type;
    long rc;

    p2m_begin(&d->p2m);
    if (p2m_lookup(&d->p2m, gfn, &type, NULL) == INVALID_MFN)
        rc = -ENOENT;
    else if (type == P2M_FOREIGN || type == P2M_SPECIAL || p2m_type_is_grant(type))
        rc = p2m_unmap_locked(&d->p2m, gfn);
    else
        rc = -EINVAL; /* memory goes by decrease_reservation, devices not at all */
    p2m_end(&d->p2m);
    return rc;
}

long memory_remove_from_physmap(struct vcpu *v, uint64_t arg)
{
    struct xen_remove_from_physmap r;
    struct domain *d;
    long rc;
    int err;

    if (copy_from_guest(v, &r, arg, sizeof(r)))
        return -EFAULT;
    d = hypercall_target(v, r.domid, &err);
    if (!d)
        return err;
    rc = remove_page(d, r.gpfn);
    domain_put(d);
    return rc;
}

/* ---- resources ---- */

/* How many frames there are; 0 when there is no such thing. */
static uint32_t resource_size(struct domain *d, unsigned type, unsigned id)
{
    uint32_t port;

    if (type == XENMEM_resource_grant_table && id == XENMEM_resource_grant_table_id_shared)
        return d->grants.max_frames;
    if (type == XENMEM_resource_ioreq_server && id <= UINT16_MAX &&
        !ioreq_server_port(&d->ioreq, (uint16_t)id, &port))
        return IOREQ_FRAMES;
    return 0;
}

/* One frame of it, with a reference. */
static int resource_frame(struct domain *d, const struct xen_mem_acquire_resource *r, uint64_t i,
                          uint64_t *mfn)
{
    int rc;

    if (r->type == XENMEM_resource_ioreq_server)
        return ioreq_server_frame(&d->ioreq, (uint16_t)r->id, i, mfn);
    rc = grant_shared_frame(d, (uint32_t)i, mfn);
    if (!rc && !page_get(*mfn, d->domid))
        rc = -EINVAL;
    return rc;
}

static long acquire_frames(struct vcpu *v, struct domain *d,
                           const struct xen_mem_acquire_resource *r, uint64_t start)
{
    for (uint64_t i = start; i < r->nr_frames; i++) {
        xen_pfn_t gfn;
        uint64_t mfn;
        long rc;

        if (i > start && hypercall_preempt(v))
            return memory_restart(v, XENMEM_acquire_resource, i);
        if (copy_from_guest(v, &gfn, (uint64_t)r->frame_list.p + i * sizeof(gfn), sizeof(gfn)))
            return -EFAULT;
        rc = resource_frame(d, r, r->frame + i, &mfn);
        if (!rc)
            rc = map_held(v->domain, gfn, mfn, P2M_FOREIGN);
        if (rc)
            return i ? -EIO : rc; /* part of the list is mapped: the caller's to undo */
    }
    return 0;
}

static long acquire(struct vcpu *v, struct domain *d, uint64_t arg,
                    struct xen_mem_acquire_resource *r, uint64_t start)
{
    uint32_t size = resource_size(d, r->type, r->id);

    if (!size)
        return -EINVAL;
    if (!r->frame_list.p) {
        if (r->nr_frames)
            return -EINVAL;
        return copy_to_guest(v, arg + offsetof(struct xen_mem_acquire_resource, nr_frames), &size,
                             sizeof(size))
                   ? -EFAULT
                   : 0;
    }
    if (r->nr_frames > MEMOP_START_MAX)
        return -E2BIG;
    if (r->frame > size || r->nr_frames > size - r->frame || start > r->nr_frames)
        return -EINVAL;
    return acquire_frames(v, d, r, start);
}

long memory_acquire_resource(struct vcpu *v, uint64_t arg, uint64_t start)
{
    struct xen_mem_acquire_resource r;
    struct domain *d;
    long rc;

    if (copy_from_guest(v, &r, arg, sizeof(r)))
        return -EFAULT;
    if (r.pad)
        return -EINVAL;
    if (!v->domain->control || r.domid == DOMID_SELF || r.domid == v->domain->domid)
        return -EPERM;
    d = domain_get_by_id(r.domid);
    if (!d)
        return -ESRCH;
    rc = acquire(v, d, arg, &r, start);
    domain_put(d);
    return rc;
}
