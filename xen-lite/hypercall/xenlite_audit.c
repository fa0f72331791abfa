/* SPDX-License-Identifier: MIT */
/*
 * xenlite_op's commands about isolation: the audit, what a page table says, and the state of DMA
 * remapping.
 */
#include "include/xenlite/audit.h"

#include "cpu/guest_mem.h"
#include "domain/audit.h"
#include "domain/domain.h"
#include "hypercall/hypercall.h"
#include "hypercall/xenlite_list.h"
#include "hypercall/xenlite_op.h"
#include "iommu/iommu.h"
#include "lib/errno.h"
#include "lib/printf.h"
#include "lib/string.h"
#include "lib/time.h"
#include "mm/frame.h"
#include "mm/heap.h"
#include "vdev/pci.h"

_Static_assert(sizeof(struct xenlite_audit_run) <= XENLITE_OP_ARGS, "arguments");
_Static_assert(P2M_NR_TYPES <= XENLITE_P2M_TYPES, "types");
_Static_assert((int)XENLITE_DEVICE_BLOCKED == IOMMU_DEV_BLOCKED &&
                   (int)XENLITE_DEVICE_ATTACHED == IOMMU_DEV_ATTACHED &&
                   (int)XENLITE_DEVICE_QUARANTINED == IOMMU_DEV_QUARANTINED,
               "states of devices");
_Static_assert(XENLITE_NO_DOMAIN == IOMMU_DOMID_NONE, "no domain");

/* Test images bring it (xenlite_break.c). */
__weak_handler long xenlite_break(struct domain *d, const struct xenlite_break *b);

/* ---- audit ---- */

static long put_breaches(struct vcpu *v, struct xenlite_audit_run *r,
                         const struct audit_result *res)
{
    uint32_t room = r->nr < r->max ? r->max - r->nr : 0, n = MIN(room, (uint32_t)res->nr);

    if (n && copy_to_guest(v, r->buffer + r->nr * sizeof(res->breach[0]), res->breach,
                           n * sizeof(res->breach[0])))
        return -EFAULT;
    r->nr += n;
    r->breaches += res->breaches;
    return 0;
}

static void put_figures(struct xenlite_audit_run *r, const struct audit_figures *f)
{
    r->domains = f->domains;
    r->contexts = f->contexts;
    r->remapping_entries = f->remapping_entries;
    r->grants = f->grants;
    r->frames = f->frames;
    r->tables = f->tables;
    r->foreign = f->foreign;
}

/* Parts until somebody else wants the CPU; the cursor, in the caller's structure, names the run. */
static long run_parts(struct vcpu *v, struct xenlite_audit_run *r, struct audit_result *res)
{
    struct audit_figures figures = { 0 };
    bool more;
    long rc;
    int err;

    do {
        more = audit_part(r->cursor, res, &figures, &err);
        if (err)
            return err;
        rc = put_breaches(v, r, res);
        if (rc)
            return rc;
        put_figures(r, &figures);
    } while (more && !hypercall_preempt(v));
    return more ? HYPERCALL_RESTART : 0;
}

static long audit_run(struct vcpu *v, struct xenlite_audit_run *r, bool *copy_back)
{
    struct audit_result *res = xzalloc(sizeof(*res));
    uint64_t start = now_ns();
    long rc;

    if (!res)
        return -ENOMEM;
    if (!r->cursor) {
        r->cursor = audit_begin();
        r->nr = 0;
        r->breaches = r->ns = 0;
    }
    rc = run_parts(v, r, res);
    r->ns += now_ns() - start;
    *copy_back = rc == HYPERCALL_RESTART;
    xfree(res);
    return rc;
}

/* ---- page tables ---- */

static long put_info(struct vcpu *v, const struct xenlite_info *info, const void *data, size_t size)
{
    if (info->size != size)
        return -EINVAL;
    return copy_to_guest(v, info->buffer, data, size) ? -EFAULT : 0;
}

static long p2m_info(struct vcpu *v, struct domain *d, const struct xenlite_info *info)
{
    struct p2m *p2m = &d->p2m;
    struct xenlite_p2m out = { .devices = READ_ONCE(d->iommu.nr_devices) };
    const char *why = iommu_share_reason();

    spin_lock(&p2m->lock);
    out.root = p2m->root;
    out.subroot = p2m->subroot;
    out.max_gfn = p2m->max_gfn;
    out.top_gfn = p2m->top_gfn;
    out.tables = p2m->tables;
    out.max_tables = p2m->max_tables;
    memcpy(out.leaves, p2m->leaves, sizeof(out.leaves));
    memcpy(out.frames, p2m->frames, sizeof(p2m->frames));
    out.splits = p2m->nr_splits;
    out.merges = p2m->nr_merges;
    out.cpu_flushes = p2m->nr_cpu_flushes;
    out.iommu_flushes = p2m->nr_iommu_flushes;
    out.generation = p2m->gen;
    out.address_bits = p2m->addr_bits;
    out.max_order = p2m->max_order;
    spin_unlock(&p2m->lock);
    for (unsigned i = 0; i < P2M_NR_TYPES; i++)
        strlcpy(out.type[i], p2m_type_name((enum p2m_type)i), sizeof(out.type[i]));
    strlcpy(out.shared, why ? why : "", sizeof(out.shared));
    return put_info(v, info, &out, sizeof(out));
}

static const char *use_name(uint64_t mfn)
{
    static const char *const names[] = {
        [PAGE_RESERVED] = "device", [PAGE_FREE] = "free",      [PAGE_FREE_HEAD] = "free",
        [PAGE_RAM] = "memory",      [PAGE_SHARED] = "shared",  [PAGE_XEN] = "hypervisor",
        [PAGE_HEAP] = "hypervisor", [PAGE_P2M] = "page table",
    };
    const struct page *pg = page_of(mfn);

    return pg && pg->use < ARRAY_SIZE(names) ? names[pg->use] : "device";
}

static void explain_frame(struct domain *d, struct xenlite_explain *out)
{
    const char *why =
        pci_reserved(out->mfn << PAGE_SHIFT, (out->mfn << PAGE_SHIFT) + PAGE_SIZE - 1);
    enum p2m_type type = (enum p2m_type)out->type;

    (void)d;
    out->owner = page_owner(out->mfn);
    out->users = page_of(out->mfn) ? page_users(out->mfn) : 0;
    out->writable = p2m_type_writable(type);
    out->cached = type != P2M_MMIO_DIRECT;
    strlcpy(out->use, use_name(out->mfn), sizeof(out->use));
    strlcpy(out->reserved, why && !p2m_type_is_ram(type) ? why : "", sizeof(out->reserved));
}

static long explain(struct vcpu *v, struct domain *d, const struct xenlite_info *info)
{
    struct xenlite_explain out = { .gfn = info->arg >> PAGE_SHIFT, .owner = XENLITE_NO_DOMAIN };
    struct p2m_step step[P2M_LEVELS];
    const struct trap_region *region;
    enum p2m_type type;
    unsigned order = 0;

    out.levels = p2m_explain(&d->p2m, out.gfn, step);
    for (unsigned i = 0; i < out.levels; i++) {
        out.step[i].table = step[i].table;
        out.step[i].entry = step[i].entry;
        out.step[i].index = step[i].index;
        out.step[i].level = step[i].level;
    }
    out.mfn = p2m_lookup(&d->p2m, out.gfn, &type, &order);
    out.order = order;
    out.type = type;
    strlcpy(out.type_name, p2m_type_name(type), sizeof(out.type_name));
    if (out.mfn == INVALID_MFN)
        out.mfn = XENLITE_NO_FRAME;
    else
        explain_frame(d, &out);
    region = trap_find(&d->traps, TRAP_MMIO, info->arg);
    strlcpy(out.region, region ? region->name : "", sizeof(out.region));
    return put_info(v, info, &out, sizeof(out));
}

/* ---- DMA remapping ---- */

static unsigned count_units(void)
{
    struct iommu_unit_info u;
    unsigned n = 0;

    while (iommu_unit_info(n, &u))
        n++;
    return n;
}

static long iommu_info(struct vcpu *v, const struct xenlite_info *info)
{
    const char *why = iommu_share_reason();
    struct xenlite_iommu out = {
        .present = iommu_present(),
        .enabled = iommu_enabled(),
        .interrupt_remapping = iommu_intremap(),
        .posted_interrupts = iommu_posts(),
        .shared = !why,
        .address_bits = (uint8_t)iommu_address_bits(),
        .max_order = (uint8_t)iommu_max_page_order(),
    };
    struct iommu_dev_info dev;

    if (out.present)
        out.units = count_units();
    while (out.present && iommu_device_info(out.devices, &dev))
        out.devices++;
    strlcpy(out.reason, why ? why : "", sizeof(out.reason));
    return put_info(v, info, &out, sizeof(out));
}

static uint32_t unit_flags(const struct iommu_unit_info *u)
{
    return (u->include_all ? XENLITE_UNIT_ALL_OTHERS : 0) |
           (u->coherent ? XENLITE_UNIT_COHERENT : 0) |
           (u->caching_mode ? XENLITE_UNIT_CACHING : 0) | (u->queue ? XENLITE_UNIT_QUEUE : 0) |
           (u->intremap ? XENLITE_UNIT_REMAPS : 0) |
           (u->extended_dest ? XENLITE_UNIT_EXTENDED : 0) |
           (u->page_selective ? XENLITE_UNIT_PAGE_SELECTIVE : 0) |
           (u->write_buffer ? XENLITE_UNIT_WRITE_BUFFER : 0) |
           (u->failed ? XENLITE_UNIT_FAILED : 0) | (u->can_post ? XENLITE_UNIT_CAN_POST : 0) |
           (u->posts ? XENLITE_UNIT_POSTS : 0);
}

static void fill_units(struct list_piece *p, void *arg)
{
    struct iommu_unit_info u;

    (void)arg;
    for (unsigned i = 0; iommu_present() && iommu_unit_info(i, &u); i++) {
        struct xenlite_iommu_unit *e = list_next(p);

        if (!e)
            continue;
        e->registers = u.regs;
        e->cap = u.cap;
        e->ecap = u.ecap;
        e->faults = u.faults;
        e->faults_lost = u.faults_lost;
        e->invalidations = u.invalidations;
        e->waits = u.waits;
        e->flags = unit_flags(&u);
        e->segment = u.segment;
        e->version = u.version;
        e->levels = u.levels;
        e->address_bits = u.address_bits;
        e->max_order = u.max_page_order;
        e->remap_used = u.ir_used;
        e->remap_size = u.ir_size;
        strlcpy(e->failure, u.failure, sizeof(e->failure));
    }
}

/* What lies at the address for the device's owner, as words. */
static void describe_address(const struct iommu_fault *f, char *out, size_t len)
{
    if (f->interrupt)
        snprintf(out, len, "remapping entry %llu", (unsigned long long)f->addr);
    else if (f->domid == IOMMU_DOMID_NONE)
        strlcpy(out, "the device had no owner", len);
    else if (f->mapped != P2M_NONE)
        snprintf(out, len, "a page of type %s of domain %u",
                 p2m_type_name((enum p2m_type)f->mapped), f->domid);
    else if (f->reserved)
        strlcpy(out, "memory that firmware reserved for it, not mapped", len);
    else
        snprintf(out, len, "nothing that is mapped for domain %u", f->domid);
}

static void put_fault(struct xenlite_iommu_fault *e, const struct iommu_fault *f)
{
    e->time = f->time_ns;
    e->addr = f->addr;
    e->sbdf = f->sbdf;
    e->domid = f->domid;
    e->unit = f->unit;
    e->reason = f->reason;
    e->write = f->write;
    e->interrupt = f->interrupt;
    e->reserved = f->reserved;
    e->type = f->mapped;
    strlcpy(e->text, iommu_fault_reason(f->reason), sizeof(e->text));
    describe_address(f, e->there, sizeof(e->there));
}

static void fill_faults(struct list_piece *p, void *arg)
{
    struct iommu_fault f;

    (void)arg;
    for (unsigned i = 0; iommu_present() && iommu_fault_history(i, &f); i++) {
        struct xenlite_iommu_fault *e = list_next(p);

        if (e)
            put_fault(e, &f);
    }
}

/* The roots as the unit's table and the owner's page table have them. */
static void put_roots(struct xenlite_iommu_device *e)
{
    struct domain *d;
    unsigned levels = 0;
    paddr_t root = 0;
    uint16_t tag = 0;

    if (iommu_context_of(e->sbdf, &root, &levels, &tag) == 1) {
        e->context_root = root;
        e->levels = (uint8_t)levels;
        e->tag = tag;
    }
    d = e->domid != XENLITE_NO_DOMAIN ? domain_get_by_id(e->domid) : NULL;
    if (!d)
        return;
    e->cpu_root = d->p2m.root << PAGE_SHIFT;
    if (p2m_root(&d->p2m, levels ? levels : P2M_LEVELS) != INVALID_MFN)
        e->p2m_root = p2m_root(&d->p2m, levels ? levels : P2M_LEVELS) << PAGE_SHIFT;
    e->shared = e->context_root && e->context_root == e->p2m_root;
    domain_put(d);
}

static void fill_devices(struct list_piece *p, void *arg)
{
    struct iommu_dev_info dev;

    (void)arg;
    for (unsigned i = 0; iommu_present() && iommu_device_info(i, &dev); i++) {
        struct xenlite_iommu_device *e = list_next(p);

        if (!e)
            continue;
        e->sbdf = dev.sbdf;
        e->domid = dev.domid;
        e->unit = dev.unit;
        e->state = (uint8_t)dev.state;
        e->since = dev.since_ns;
        e->faults = dev.faults;
        if (dev.faults)
            put_fault(&e->last, &dev.last);
        strlcpy(e->why, dev.why, sizeof(e->why));
        put_roots(e);
    }
}

/* ---- dispatch ---- */

static long of_domain(struct vcpu *v, const struct xenlite_op *op, const void *args)
{
    struct domain *d = domain_get_by_id_or_self(v, op->domid);
    long rc = -ENOSYS;

    if (!d)
        return -ESRCH;
    if (op->cmd == XENLITE_AUDIT_p2m)
        rc = p2m_info(v, d, args);
    else if (op->cmd == XENLITE_AUDIT_explain)
        rc = explain(v, d, args);
    else if (xenlite_break)
        rc = xenlite_break(d, args);
    domain_put(d);
    return rc;
}

long xenlite_audit_op(struct vcpu *v, struct xenlite_op *op, bool *copy_back)
{
    void *args = op->args;

    switch (op->cmd) {
    case XENLITE_AUDIT_run:
        return audit_run(v, args, copy_back);
    case XENLITE_AUDIT_p2m:
    case XENLITE_AUDIT_explain:
    case XENLITE_AUDIT_break:
        return of_domain(v, op, args);
    case XENLITE_AUDIT_iommu:
        return iommu_info(v, args);
    case XENLITE_AUDIT_iommu_units:
        return list_to_guest(v, args, sizeof(struct xenlite_iommu_unit), fill_units, NULL);
    case XENLITE_AUDIT_iommu_devices:
        return list_to_guest(v, args, sizeof(struct xenlite_iommu_device), fill_devices, NULL);
    case XENLITE_AUDIT_iommu_faults:
        return list_to_guest(v, args, sizeof(struct xenlite_iommu_fault), fill_faults, NULL);
    default:
        return -ENOSYS;
    }
}
