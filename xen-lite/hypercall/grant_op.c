/* SPDX-License-Identifier: MIT */
/*
 * The grant table hypercall: map, unmap and copy by reference, and the few questions about a table.
 *
 * An operation's failure goes into its own status field; the call itself fails only when the
 * caller's structures cannot be reached. Long arrays are done in pieces: the guest's argument
 * registers move on.
 */
#include "cpu/exit.h"
#include "cpu/guest_mem.h"
#include "domain/domain.h"
#include "hypercall/grant.h"
#include "hypercall/handlers.h"
#include "hypercall/hypercall.h"
#include "lib/errno.h"
#include "lib/string.h"
#include "mm/frame.h"
#include "mm/phys.h"

#define UNMAP_CHUNK 16u

/* ---- map ---- */

/* The frame appears at gfn of d, where nothing but d's own memory may have been. */
static int16_t map_at(struct domain *d, uint64_t gfn, uint64_t mfn, bool readonly)
{
    enum p2m_type there;
    int16_t status = GNTST_okay;

    if (!page_get_any(mfn)) /* goes with the p2m entry; the pin has its own */
        return GNTST_general_error;
    p2m_begin(&d->p2m);
    p2m_lookup(&d->p2m, gfn, &there, NULL);
    if ((there != P2M_NONE && !p2m_type_is_ram(there)) ||
        p2m_map_locked(&d->p2m, gfn, mfn, 0, readonly ? P2M_GRANT_RO : P2M_GRANT_RW)) {
        status = GNTST_general_error;
    }
    p2m_end(&d->p2m);
    if (status != GNTST_okay)
        page_put(mfn);
    return status;
}

static int16_t pin_and_map(struct domain *d, struct domain *rd, struct gnttab_map_grant_ref *op)
{
    bool readonly = op->flags & GNTMAP_readonly;
    uint64_t gfn = op->host_addr >> PAGE_SHIFT, mfn;
    struct grant_mapping *m;
    uint32_t handle;
    int16_t status;

    m = grant_handle_alloc(d, &handle);
    if (!m)
        return GNTST_no_space;
    status = grant_pin(d, rd, op->ref, readonly, &mfn);
    if (status != GNTST_okay)
        goto no_pin;
    status = map_at(d, gfn, mfn, readonly);
    if (status != GNTST_okay)
        goto no_map;
    m->gfn = gfn;
    m->mfn = (uint32_t)mfn;
    m->ref = op->ref;
    m->readonly = readonly;
    domain_get(rd);
    m->granter = rd;
    grant_handle_keep(d, m);
    op->handle = handle;
    /* Devices see the domain's memory through the same table as its CPUs. */
    op->dev_bus_addr = op->host_addr;
    return GNTST_okay;

no_map:
    grant_unpin(rd, op->ref, readonly);
no_pin:
    grant_handle_free(d, handle);
    return status;
}

static int16_t map_one(struct domain *d, struct gnttab_map_grant_ref *op)
{
    struct domain *rd;
    int16_t status;

    if ((op->flags & (GNTMAP_device_map | GNTMAP_host_map | GNTMAP_application_map |
                      GNTMAP_contains_pte)) != GNTMAP_host_map)
        return GNTST_general_error;
    if ((op->host_addr & ~PAGE_MASK) || op->host_addr >> PAGE_SHIFT > d->p2m.max_gfn)
        return GNTST_bad_virt_addr;
    rd = domain_get_by_id(op->dom);
    if (!rd)
        return GNTST_bad_domain;
    status = READ_ONCE(rd->dying) ? GNTST_bad_domain : pin_and_map(d, rd, op);
    domain_put(rd);
    return status;
}

static long op_map(struct vcpu *v, uint64_t uop)
{
    struct gnttab_map_grant_ref op;

    if (copy_from_guest(v, &op, uop, sizeof(op)))
        return -EFAULT;
    op.status = map_one(v->domain, &op);
    v->domain->grants.nr_maps++;
    return copy_to_guest(v, uop, &op, sizeof(op)) ? -EFAULT : 0;
}

/* ---- unmap: a chunk of handles, one flush ---- */

struct unmap {
    struct gnttab_unmap_grant_ref op;
    struct grant_mapping *m;
};

static int16_t unmap_find(struct domain *d, struct unmap *u)
{
    u->m = grant_handle_take(d, u->op.handle);
    if (!u->m)
        return GNTST_bad_handle;
    if (u->op.host_addr == u->m->gfn << PAGE_SHIFT)
        return GNTST_okay;
    grant_handle_keep(d, u->m);
    u->m = NULL;
    return GNTST_bad_virt_addr;
}

/* The entry may have been replaced since: then it is not ours to remove. */
static void unmap_entry(struct domain *d, const struct grant_mapping *m)
{
    enum p2m_type type;

    if (p2m_lookup(&d->p2m, m->gfn, &type, NULL) == m->mfn &&
        type == (m->readonly ? P2M_GRANT_RO : P2M_GRANT_RW))
        p2m_unmap_locked(&d->p2m, m->gfn);
}

static void unmap_finish(struct domain *d, const struct unmap *u)
{
    struct domain *rd = u->m->granter;

    grant_unpin(rd, u->m->ref, u->m->readonly);
    grant_handle_free(d, u->op.handle);
    domain_put(rd);
}

static long op_unmap(struct vcpu *v, uint64_t uop, unsigned n)
{
    struct domain *d = v->domain;
    struct unmap u[UNMAP_CHUNK];
    long rc = 0;

    for (unsigned i = 0; i < n; i++)
        if (copy_from_guest(v, &u[i].op, uop + i * sizeof(u[i].op), sizeof(u[i].op)))
            return -EFAULT;
    for (unsigned i = 0; i < n; i++)
        u[i].op.status = unmap_find(d, &u[i]);
    p2m_begin(&d->p2m);
    for (unsigned i = 0; i < n; i++)
        if (u[i].m)
            unmap_entry(d, u[i].m);
    p2m_end(&d->p2m);
    for (unsigned i = 0; i < n; i++) {
        if (u[i].m)
            unmap_finish(d, &u[i]);
        if (copy_to_guest(v, uop + i * sizeof(u[i].op), &u[i].op, sizeof(u[i].op)))
            rc = -EFAULT;
    }
    d->grants.nr_unmaps += n;
    return rc;
}

/* ---- copy ---- */

/* One side of a copy: a page by reference or the caller's own by frame number. */
struct copy_side {
    struct domain *rd; /* set while a grant is pinned */
    uint32_t ref;
    bool readonly;
    uint64_t mfn;
    uint8_t *va;
};

static int16_t side_by_ref(struct domain *d, struct copy_side *s, uint32_t ref, domid_t domid)
{
    struct domain *rd = domid == DOMID_SELF ? domain_get_by_id(d->domid) : domain_get_by_id(domid);
    int16_t status;

    if (!rd)
        return GNTST_bad_domain;
    status = READ_ONCE(rd->dying) ? GNTST_bad_domain : grant_pin(d, rd, ref, s->readonly, &s->mfn);
    if (status != GNTST_okay) {
        domain_put(rd);
        return status;
    }
    s->rd = rd;
    s->ref = ref;
    return GNTST_okay;
}

static int16_t side_get(struct domain *d, struct copy_side *s, const struct gnttab_copy_ptr *p,
                        bool by_ref)
{
    int16_t status = GNTST_okay;

    if (by_ref) {
        status = side_by_ref(d, s, p->u.ref, p->domid);
    } else if (p->domid != DOMID_SELF && p->domid != d->domid) {
        status = GNTST_permission_denied;
    } else {
        s->mfn = p2m_get_frame(&d->p2m, p->u.gmfn, !s->readonly, NULL);
        if (s->mfn == INVALID_MFN)
            status = GNTST_bad_page;
    }
    if (status == GNTST_okay)
        s->va = mfn_to_virt(s->mfn);
    return status;
}

static void side_put(struct copy_side *s)
{
    if (s->rd) {
        grant_unpin(s->rd, s->ref, s->readonly);
        domain_put(s->rd);
    } else {
        p2m_put_frame(s->mfn);
    }
}

static int16_t copy_one(struct domain *d, const struct gnttab_copy *op)
{
    struct copy_side src = { .readonly = true }, dst = { .readonly = false };
    int16_t status;

    if (op->source.offset >= PAGE_SIZE || op->len > PAGE_SIZE - op->source.offset ||
        op->dest.offset >= PAGE_SIZE || op->len > PAGE_SIZE - op->dest.offset)
        return GNTST_bad_copy_arg;
    if (op->flags & ~(GNTCOPY_source_gref | GNTCOPY_dest_gref))
        return GNTST_bad_copy_arg;
    status = side_get(d, &src, &op->source, op->flags & GNTCOPY_source_gref);
    if (status != GNTST_okay)
        return status;
    status = side_get(d, &dst, &op->dest, op->flags & GNTCOPY_dest_gref);
    if (status == GNTST_okay) {
        memmove(dst.va + op->dest.offset, src.va + op->source.offset, op->len);
        side_put(&dst);
    }
    side_put(&src);
    return status;
}

static long op_copy(struct vcpu *v, uint64_t uop)
{
    struct gnttab_copy op;

    if (copy_from_guest(v, &op, uop, sizeof(op)))
        return -EFAULT;
    op.status = copy_one(v->domain, &op);
    v->domain->grants.nr_copies++;
    return copy_to_guest(v, uop + offsetof(struct gnttab_copy, status), &op.status,
                         sizeof(op.status))
               ? -EFAULT
               : 0;
}

/* ---- questions ---- */

static long op_query_size(struct vcpu *v, uint64_t uop)
{
    struct gnttab_query_size q;
    struct domain *d;
    int rc;

    if (copy_from_guest(v, &q, uop, sizeof(q)))
        return -EFAULT;
    d = hypercall_target(v, q.dom, &rc);
    if (d) {
        q.nr_frames = READ_ONCE(d->grants.nr_frames);
        q.max_nr_frames = d->grants.max_frames;
        q.status = GNTST_okay;
        domain_put(d);
    } else {
        q.status = rc == -EPERM ? GNTST_permission_denied : GNTST_bad_domain;
    }
    return copy_to_guest(v, uop, &q, sizeof(q)) ? -EFAULT : 0;
}

static long op_set_version(struct vcpu *v, uint64_t uop)
{
    struct gnttab_set_version s;

    if (copy_from_guest(v, &s, uop, sizeof(s)))
        return -EFAULT;
    if (s.version != 1 && s.version != 2)
        return -EINVAL;
    return s.version == 1 ? 0 : -EOPNOTSUPP;
}

static long op_get_version(struct vcpu *v, uint64_t uop)
{
    struct gnttab_get_version g;
    struct domain *d;
    int rc;

    if (copy_from_guest(v, &g, uop, sizeof(g)))
        return -EFAULT;
    d = hypercall_target(v, g.dom, &rc);
    if (!d)
        return rc;
    domain_put(d);
    g.version = 1;
    return copy_to_guest(v, uop, &g, sizeof(g)) ? -EFAULT : 0;
}

/* ---- dispatch ---- */

/* Bytes of one operation's structure; 0 for what is not there. */
static unsigned op_size(uint64_t cmd)
{
    switch (cmd) {
    case GNTTABOP_map_grant_ref:
        return sizeof(struct gnttab_map_grant_ref);
    case GNTTABOP_unmap_grant_ref:
        return sizeof(struct gnttab_unmap_grant_ref);
    case GNTTABOP_copy:
        return sizeof(struct gnttab_copy);
    case GNTTABOP_query_size:
        return sizeof(struct gnttab_query_size);
    case GNTTABOP_set_version:
        return sizeof(struct gnttab_set_version);
    case GNTTABOP_get_version:
        return sizeof(struct gnttab_get_version);
    default:
        return 0;
    }
}

/* Does n operations (more than one only for unmap). */
static long run(struct vcpu *v, uint64_t cmd, uint64_t uop, unsigned n)
{
    switch (cmd) {
    case GNTTABOP_map_grant_ref:
        return op_map(v, uop);
    case GNTTABOP_unmap_grant_ref:
        return op_unmap(v, uop, n);
    case GNTTABOP_copy:
        return op_copy(v, uop);
    case GNTTABOP_query_size:
        return op_query_size(v, uop);
    case GNTTABOP_set_version:
        return op_set_version(v, uop);
    default:
        return op_get_version(v, uop);
    }
}

long do_grant_table_op(struct vcpu *v, uint64_t cmd, uint64_t uop, uint64_t count, uint64_t a4,
                       uint64_t a5)
{
    unsigned chunk = cmd == GNTTABOP_unmap_grant_ref ? UNMAP_CHUNK : 1, left = (unsigned)count;
    unsigned size = op_size(cmd);
    bool several =
        cmd == GNTTABOP_map_grant_ref || cmd == GNTTABOP_unmap_grant_ref || cmd == GNTTABOP_copy;

    (void)a4;
    (void)a5;
    /* The structures of 32-bit callers differ. */
    if (!size || cpu_mode_bytes(&v->cpu) != 8)
        return -ENOSYS;
    if ((int)left < 0 || (!several && left != 1))
        return -EINVAL;
    while (left) {
        unsigned n = MIN(left, chunk);
        long rc = run(v, cmd, uop, n);

        if (rc)
            return rc;
        left -= n;
        uop += (uint64_t)n * size;
        if (left && hypercall_preempt(v)) {
            hypercall_set_arg(v, 2, uop);
            hypercall_set_arg(v, 3, left);
            return HYPERCALL_RESTART;
        }
    }
    return 0;
}
