/* SPDX-License-Identifier: MIT */
/*
 * domctl: the life of domains as the toolstack commands it, from creation through limits, weights
 * and signals to destruction.
 */
#include "cpu/guest_mem.h"
#include "domain/domain.h"
#include "hypercall/domctl_ops.h"
#include "hypercall/dominfo.h"
#include "hypercall/hypercall.h"
#include "lib/errno.h"
#include "lib/string.h"

/* What a domain is at least, and what can be asked for besides: out-of-sync shadows are of no
 * concern without shadows. */
#define CREATE_FLAGS_NEEDED (XEN_DOMCTL_CDF_hvm | XEN_DOMCTL_CDF_hap)
#define CREATE_FLAGS_KNOWN  (CREATE_FLAGS_NEEDED | XEN_DOMCTL_CDF_oos_off | XEN_DOMCTL_CDF_iommu)

static long check_create(const struct xen_domctl_createdomain *c)
{
    if ((c->flags & CREATE_FLAGS_NEEDED) != CREATE_FLAGS_NEEDED || (c->flags & ~CREATE_FLAGS_KNOWN))
        return -EOPNOTSUPP;
    if ((c->flags & XEN_DOMCTL_CDF_iommu) && !iommu_present())
        return -EINVAL;
    if (c->iommu_opts || c->vmtrace_size || c->arch.misc_flags ||
        c->arch.emulation_flags != XEN_X86_EMU_LAPIC)
        return -EOPNOTSUPP;
    if (c->cpupool_id)
        return -ENOENT;
    if (!XEN_DOMCTL_GRANT_version(c->grant_opts) ||
        (c->grant_opts & ~XEN_DOMCTL_GRANT_version_mask))
        return -EINVAL;
    if (!c->max_vcpus || c->max_vcpus > DOMAIN_MAX_VCPUS)
        return -EINVAL;
    return 0;
}

/* Negative means "as many as usual". */
static uint32_t limit_or(int32_t limit, uint32_t usual)
{
    return limit < 0 ? usual : (uint32_t)limit;
}

long domctl_createdomain(struct xen_domctl *op)
{
    const struct xen_domctl_createdomain *c = &op->u.createdomain;
    struct domain_config cfg = {
        .max_vcpus = c->max_vcpus,
        .max_evtchn_ports = MIN(c->max_evtchn_port, (uint32_t)EVTCHN_MAX_PORTS - 1) + 1,
        .max_grant_frames = limit_or(c->max_grant_frames, GRANT_DEFAULT_FRAMES),
        .max_maptrack_frames = limit_or(c->max_maptrack_frames, GRANT_DEFAULT_MAPTRACK_FRAMES),
    };
    struct domain *d;
    long rc = check_create(c);

    if (rc)
        return rc;
    memcpy(cfg.handle, c->handle, sizeof(cfg.handle));
    /* 0 and ids that no domain can have mean: any that is free. */
    cfg.domid = op->domain;
    if (cfg.domid == CONTROL_DOMID || cfg.domid >= DOMID_FIRST_RESERVED)
        cfg.domid = domain_free_id();
    if (cfg.domid == DOMID_INVALID)
        return -ENOSPC;
    rc = domain_create(&cfg, &d);
    if (!rc)
        op->domain = cfg.domid;
    return rc;
}

/* ---- limits ---- */

static long max_mem(struct domain *d, const struct xen_domctl_max_mem *op)
{
    spin_lock(&d->lock);
    WRITE_ONCE(d->max_pages, op->max_memkb >> (PAGE_SHIFT - 10));
    spin_unlock(&d->lock);
    return 0;
}

/* There is one node. A set without it would leave the domain without memory. */
static long setnodeaffinity(struct vcpu *v, const struct xen_domctl_nodeaffinity *op)
{
    uint8_t first;

    if (!op->nodemap.nr_bits)
        return -EINVAL;
    if (copy_from_guest(v, &first, (uint64_t)op->nodemap.bitmap.p, 1))
        return -EFAULT;
    return first & 1 ? 0 : -EINVAL;
}

/* The TSC is the machine's, offset: what "default" and "native" ask for. It is never emulated. */
static long settscinfo(struct vcpu *v, const struct domain *d, const struct xen_domctl_tsc_info *op)
{
    if (d == v->domain || op->tsc_mode > 2)
        return -EINVAL;
    return op->tsc_mode == 1 ? -EOPNOTSUPP : 0;
}

/* The p2m's tables come out of the hypervisor's own memory, up to a bound that a domain's size
 * gives. */
static long get_mempool_size(const struct domain *d, struct xen_domctl_paging_mempool *op)
{
    op->size = d->p2m.max_tables << PAGE_SHIFT;
    return 0;
}

/* ---- weights ---- */

static uint32_t weight_of(const struct domain *d)
{
    const struct vcpu *v;

    for_each_vcpu (d, v)
        return v->sched.fair.weight;
    return 0;
}

static long set_weight(struct domain *d, uint32_t weight)
{
    struct vcpu *v;
    int rc = 0;

    for_each_vcpu (d, v)
        if (!rc)
            rc = sched_set_weight(v, weight);
    return rc;
}

/* Weights mean the same to all of Xen's weighted schedulers; caps and periods do not exist here. */
static long scheduler_op(struct domain *d, struct xen_domctl_scheduler_op *op)
{
    bool credit = op->sched_id == XEN_SCHEDULER_CREDIT;

    if (!credit && op->sched_id != XEN_SCHEDULER_CREDIT2)
        return -EINVAL;
    switch (op->cmd) {
    case XEN_DOMCTL_SCHEDOP_getinfo:
        memset(&op->u, 0, sizeof(op->u));
        if (credit)
            op->u.credit.weight = (uint16_t)weight_of(d);
        else
            op->u.credit2.weight = (uint16_t)weight_of(d);
        return 0;
    case XEN_DOMCTL_SCHEDOP_putinfo:
        if (credit ? op->u.credit.cap && op->u.credit.cap != 0xffff
                   : op->u.credit2.cap && op->u.credit2.cap != 0xffff)
            return -EOPNOTSUPP;
        return set_weight(d, credit ? op->u.credit.weight : op->u.credit2.weight);
    default:
        return -EINVAL;
    }
}

/* ---- running and not running ---- */

bool domctl_unpause_one(struct domain *d)
{
    unsigned old = READ_ONCE(d->pause_count);

    /* Only one of two who come at the same time finds the last one. */
    while (old)
        if (__atomic_compare_exchange_n(&d->pause_count, &old, old - 1, false, __ATOMIC_SEQ_CST,
                                        __ATOMIC_RELAXED)) {
            struct vcpu *t;

            __atomic_store_n(&d->started, true, __ATOMIC_SEQ_CST);
            for_each_vcpu (d, t)
                sched_unhold(t);
            return true;
        }
    return false;
}

static long sendtrigger(struct domain *d, const struct xen_domctl_sendtrigger *op)
{
    if (op->trigger != XEN_DOMCTL_SENDTRIGGER_NMI)
        return -ENOSYS; /* there are no buttons */
    if (op->vcpu >= d->max_vcpus || !d->vcpu[op->vcpu])
        return -ESRCH;
    vcpu_nmi(d->vcpu[op->vcpu]);
    return 0;
}

static long destroydomain(struct vcpu *v, struct domain *d)
{
    int rc;

    if (d == v->domain)
        return -EINVAL;
    vtime_end_nap(v);
    do
        rc = domain_destroy(d);
    while (rc == -ERESTART && deadline_passed(d->destroy.wake_ns) && !hypercall_preempt(v));
    if (rc == -ERESTART && !deadline_passed(d->destroy.wake_ns))
        vtime_nap(v, d->destroy.wake_ns);
    return rc == -ERESTART ? HYPERCALL_RESTART : rc;
}

long domctl_life(struct vcpu *v, struct domain *d, struct xen_domctl *op)
{
    switch (op->cmd) {
    case XEN_DOMCTL_destroydomain:
        return destroydomain(v, d);
    case XEN_DOMCTL_resumedomain:
        return d == v->domain ? -EINVAL : domain_resume(d);
    case XEN_DOMCTL_max_mem:
        return max_mem(d, &op->u.max_mem);
    case XEN_DOMCTL_max_vcpus:
        return op->u.max_vcpus.max == d->max_vcpus ? 0 : -EINVAL;
    case XEN_DOMCTL_setnodeaffinity:
        return setnodeaffinity(v, &op->u.nodeaffinity);
    case XEN_DOMCTL_settscinfo:
        return settscinfo(v, d, &op->u.tsc_info);
    case XEN_DOMCTL_settimeoffset:
        WRITE_ONCE(d->time_offset, op->u.settimeoffset.time_offset_seconds);
        wallclock_update(d);
        return 0;
    case XEN_DOMCTL_get_paging_mempool_size:
        return get_mempool_size(d, &op->u.paging_mempool);
    case XEN_DOMCTL_set_paging_mempool_size:
        return 0;
    case XEN_DOMCTL_scheduler_op:
        return scheduler_op(d, &op->u.scheduler_op);
    case XEN_DOMCTL_sendtrigger:
        return sendtrigger(d, &op->u.sendtrigger);
    case XEN_DOMCTL_gethvmcontext:
        return domctl_get_hvmcontext(v, d, &op->u.hvmcontext);
    case XEN_DOMCTL_sethvmcontext:
        return domctl_set_hvmcontext(v, d, &op->u.hvmcontext);
    case XEN_DOMCTL_gethvmcontext_partial:
        return domctl_get_hvmcontext_partial(v, d, &op->u.hvmcontext_partial);
    case XEN_DOMCTL_getvcpucontext:
        return domctl_getvcpucontext(v, d, &op->u.vcpucontext);
    case XEN_DOMCTL_get_cpu_policy:
        return domctl_get_cpu_policy(v, d, &op->u.cpu_policy);
    case XEN_DOMCTL_set_cpu_policy:
        return domctl_set_cpu_policy(v, d, &op->u.cpu_policy);
    default:
        return domctl_pci(v, d, op);
    }
}
