/* SPDX-License-Identifier: MIT */
/*
 * domctl: what the toolstack asks about domains and their vCPUs.
 */
#include "cpu/guest_mem.h"
#include "domain/domain.h"
#include "hypercall/domctl_ops.h"
#include "hypercall/dominfo.h"
#include "hypercall/handlers.h"
#include "hypercall/hypercall.h"
#include "hypercall/pt_irq.h"
#include "irq/time.h"
#include "lib/errno.h"
#include "lib/string.h"

/*
 * An id that is not in use means the next domain that is: that is how the toolstack walks through
 * them. The id found is told in the header too.
 */
static long getdomaininfo(struct xen_domctl *op)
{
    struct domain *d = op->domain < DOMID_FIRST_RESERVED ? domain_get_next(op->domain) : NULL;

    if (!d)
        return -ESRCH;
    domain_info(d, &op->u.getdomaininfo);
    op->domain = d->domid;
    domain_put(d);
    return 0;
}

static struct vcpu *vcpu_of(struct domain *d, uint32_t id)
{
    return id < d->max_vcpus ? d->vcpu[id] : NULL;
}

static long getvcpuinfo(struct domain *d, struct xen_domctl_getvcpuinfo *op)
{
    struct vcpu *t = vcpu_of(d, op->vcpu);

    if (!t)
        return op->vcpu < DOMAIN_MAX_VCPUS ? -ESRCH : -EINVAL;
    op->online = vcpu_is_online(t);
    op->blocked = sched_state(t) == RUNSTATE_blocked;
    op->running = sched_state(t) == RUNSTATE_running;
    op->cpu_time = vtime_cpu_time(t);
    op->cpu = t->sched.cpu;
    return 0;
}

/* As Xen tells them: the soft affinity as it was set, even where the hard one forbids some of it. */
static long getvcpuaffinity(struct vcpu *v, struct domain *d, struct xen_domctl_vcpuaffinity *op)
{
    struct vcpu *t = vcpu_of(d, op->vcpu);
    int rc = 0;

    if (op->flags & ~(XEN_VCPUAFFINITY_HARD | XEN_VCPUAFFINITY_SOFT))
        return -EINVAL;
    if (!t)
        return op->vcpu < DOMAIN_MAX_VCPUS ? -ESRCH : -EINVAL;
    if (op->flags & XEN_VCPUAFFINITY_HARD)
        rc = put_cpumap(v, &op->cpumap_hard, t->sched.affinity);
    if (rc == 0 && (op->flags & XEN_VCPUAFFINITY_SOFT))
        rc = put_cpumap(v, &op->cpumap_soft, t->sched.soft);
    return rc;
}

/* What comes back is what is in force: of the soft affinity, what the hard one allows. One without any CPU is an error. */
static long setvcpuaffinity(struct vcpu *v, struct domain *d, struct xen_domctl_vcpuaffinity *op)
{
    struct vcpu *t = vcpu_of(d, op->vcpu);
    uint64_t hard, soft;
    int rc = 0;

    if (op->flags & ~(XEN_VCPUAFFINITY_HARD | XEN_VCPUAFFINITY_SOFT | XEN_VCPUAFFINITY_FORCE))
        return -EINVAL;
    if (!t)
        return op->vcpu < DOMAIN_MAX_VCPUS ? -ESRCH : -EINVAL;
    if (op->flags & XEN_VCPUAFFINITY_HARD) {
        rc = get_cpumap(v, &op->cpumap_hard, &hard);
        if (rc == 0)
            rc = sched_set_affinity(t, &hard);
        if (rc == 0)
            rc = put_cpumap(v, &op->cpumap_hard, &hard);
    }
    if (rc == 0 && (op->flags & XEN_VCPUAFFINITY_SOFT)) {
        rc = get_cpumap(v, &op->cpumap_soft, &soft);
        if (rc == 0 && !soft)
            rc = -EINVAL;
        if (rc == 0) {
            sched_set_soft_affinity(t, &soft);
            soft &= t->sched.affinity[0];
            rc = put_cpumap(v, &op->cpumap_soft, &soft);
        }
    }
    return rc;
}

static long getnodeaffinity(struct vcpu *v, struct xen_domctl_nodeaffinity *op)
{
    uint64_t node0 = 1;

    return put_cpumap(v, &op->nodemap, &node0);
}

static long setdomainhandle(struct domain *d, const struct xen_domctl_setdomainhandle *op)
{
    spin_lock(&d->lock);
    memcpy(d->handle, op->handle, sizeof(d->handle));
    spin_unlock(&d->lock);
    return 0;
}

static long gettscinfo(struct xen_domctl_tsc_info *op)
{
    memset(op, 0, sizeof(*op));
    op->tsc_mode = 0;         /* native */
    op->gtsc_khz = tsc_khz(); /* never scaled */
    return 0;
}

/* A caller must not stop itself: it could never start itself again. */
static long pause(struct vcpu *v, struct domain *d)
{
    if (d == v->domain)
        return -EINVAL;
    domain_pause(d);
    return 0;
}

static long unpause(struct vcpu *v, struct domain *d)
{
    if (d == v->domain)
        return -EINVAL;
    return domctl_unpause_one(d) ? 0 : -EINVAL;
}

static long dispatch(struct vcpu *v, struct domain *d, struct xen_domctl *op)
{
    switch (op->cmd) {
    case XEN_DOMCTL_pausedomain:
        return pause(v, d);
    case XEN_DOMCTL_unpausedomain:
        return unpause(v, d);
    case XEN_DOMCTL_getvcpuinfo:
        return getvcpuinfo(d, &op->u.getvcpuinfo);
    case XEN_DOMCTL_setvcpuaffinity:
        return setvcpuaffinity(v, d, &op->u.vcpuaffinity);
    case XEN_DOMCTL_getvcpuaffinity:
        return getvcpuaffinity(v, d, &op->u.vcpuaffinity);
    case XEN_DOMCTL_getnodeaffinity:
        return getnodeaffinity(v, &op->u.nodeaffinity);
    case XEN_DOMCTL_setdomainhandle:
        return setdomainhandle(d, &op->u.setdomainhandle);
    case XEN_DOMCTL_gettscinfo:
        return gettscinfo(&op->u.tsc_info);
    case XEN_DOMCTL_bind_pt_irq:
        return domctl_bind_pt_irq(d, &op->u.bind_pt_irq);
    case XEN_DOMCTL_unbind_pt_irq:
        return domctl_unbind_pt_irq(d, &op->u.bind_pt_irq);
    case XEN_DOMCTL_get_address_size:
        op->u.address_size.size = 64;
        return 0;
    default:
        return domctl_life(v, d, op);
    }
}

long do_domctl(struct vcpu *v, uint64_t argp, uint64_t a2, uint64_t a3, uint64_t a4, uint64_t a5)
{
    struct xen_domctl op;
    struct domain *d;
    long rc;
    int err;

    (void)a2;
    (void)a3;
    (void)a4;
    (void)a5;
    if (copy_from_guest(v, &op, argp, sizeof(op)))
        return -EFAULT;
    if (op.interface_version != XEN_DOMCTL_INTERFACE_VERSION)
        return -EACCES;
    if (!v->domain->control)
        return -EPERM;
    if (op.cmd == XEN_DOMCTL_getdomaininfo) {
        rc = getdomaininfo(&op);
    } else if (op.cmd == XEN_DOMCTL_createdomain) {
        rc = domctl_createdomain(&op);
    } else if (op.cmd == XEN_DOMCTL_test_assign_device && op.domain >= DOMID_FIRST_RESERVED) {
        rc = domctl_pci(v, NULL, &op);
    } else {
        d = hypercall_target(v, op.domain, &err);
        if (!d)
            return err;
        rc = dispatch(v, d, &op);
        domain_put(d);
    }
    /* Which leaf was refused is told with the error. */
    if ((rc == 0 || (op.cmd == XEN_DOMCTL_set_cpu_policy && rc != HYPERCALL_RESTART)) &&
        copy_to_guest(v, argp, &op, sizeof(op)))
        return -EFAULT;
    return rc;
}
