/* SPDX-License-Identifier: MIT */
/*
 * vcpu_op: a guest's own vCPUs, their shared areas and their timers.
 */
#include "cpu/guest_mem.h"
#include "domain/domain.h"
#include "hypercall/dominfo.h"
#include "hypercall/handlers.h"
#include "lib/errno.h"
#include "lib/time.h"

#include <xen/vcpu.h>

static long register_info(struct vcpu *v, struct vcpu *target, uint64_t argp)
{
    struct vcpu_register_vcpu_info arg;
    long rc;

    if (copy_from_guest(v, &arg, argp, sizeof(arg)))
        return -EFAULT;
    /* A running vCPU may be looking at the old place right now: only its own call can move it. */
    if (target != v && vcpu_is_online(target))
        return -EINVAL;
    rc = evtchn_register_vcpu_info(target, arg.mfn, arg.offset);
    if (rc == 0)
        vtime_update(target);
    return rc;
}

/*
 * The two linear-address registrations have one form: a 64-bit address. 32-bit callers have
 * another.
 */
static long register_area(struct vcpu *v, struct vcpu *target, uint64_t argp,
                          long (*fn)(struct vcpu *, struct vcpu *, uint64_t))
{
    uint64_t gva;

    if (cpu_mode_bytes(&v->cpu) != 8)
        return -ENOSYS;
    if (copy_from_guest(v, &gva, argp, sizeof(gva)))
        return -EFAULT;
    return fn(v, target, gva);
}

static long set_singleshot(struct vcpu *v, struct vcpu *target, uint64_t argp)
{
    struct vcpu_set_singleshot_timer arg;

    if (target != v)
        return -EINVAL;
    if (copy_from_guest(v, &arg, argp, sizeof(arg)))
        return -EFAULT;
    if ((arg.flags & VCPU_SSHOTTMR_future) && deadline_passed(arg.timeout_abs_ns))
        return -ETIME;
    return vtime_set_singleshot(v, arg.timeout_abs_ns);
}

static long set_periodic(struct vcpu *v, struct vcpu *target, uint64_t argp)
{
    struct vcpu_set_periodic_timer arg;

    if (copy_from_guest(v, &arg, argp, sizeof(arg)))
        return -EFAULT;
    return target == v ? vtime_set_periodic(v, arg.period_ns) : -EINVAL;
}

static long get_runstate(struct vcpu *v, struct vcpu *target, uint64_t argp)
{
    struct vcpu_runstate_info info;

    vtime_runstate_get(target, &info);
    return copy_to_guest(v, argp, &info, sizeof(info)) ? -EFAULT : 0;
}

static long set_up(struct vcpu *target)
{
    if (!target->initialised || READ_ONCE(target->wait_for_sipi))
        return -EINVAL;
    if (READ_ONCE(target->sched.down))
        vcpu_wake(target);
    return 0;
}

static long set_down(struct vcpu *v, struct vcpu *target)
{
    /* Others are stopped by their own HLT with interrupts off. */
    if (target != v)
        return -EOPNOTSUPP;
    vcpu_set_down(v);
    return 0;
}

static long send_nmi(struct vcpu *target, uint64_t argp)
{
    if (argp)
        return -EINVAL;
    vcpu_nmi(target);
    return 0;
}

long do_vcpu_op(struct vcpu *v, uint64_t cmd, uint64_t id, uint64_t argp, uint64_t a4, uint64_t a5)
{
    struct vcpu *target;

    (void)a4;
    (void)a5;
    id = (uint32_t)id;
    if (id >= v->domain->max_vcpus || !v->domain->vcpu[id])
        return -ENOENT;
    target = v->domain->vcpu[id];

    switch ((uint32_t)cmd) {
    case VCPUOP_up:
        return set_up(target);
    case VCPUOP_down:
        return set_down(v, target);
    case VCPUOP_is_up:
        return vcpu_is_online(target);
    case VCPUOP_get_runstate_info:
        return get_runstate(v, target, argp);
    case VCPUOP_register_runstate_memory_area:
        return register_area(v, target, argp, vtime_register_runstate);
    case VCPUOP_set_periodic_timer:
        return set_periodic(v, target, argp);
    case VCPUOP_stop_periodic_timer:
        vtime_stop_periodic(target);
        return 0;
    case VCPUOP_set_singleshot_timer:
        return set_singleshot(v, target, argp);
    case VCPUOP_stop_singleshot_timer:
        if (target != v)
            return -EINVAL;
        vtime_stop_singleshot(v);
        return 0;
    case VCPUOP_register_vcpu_info:
        return register_info(v, target, argp);
    case VCPUOP_send_nmi:
        return send_nmi(target, argp);
    case VCPUOP_get_physid:
        return -EINVAL; /* vCPUs are not tied to processors that a guest could name */
    case VCPUOP_register_vcpu_time_memory_area:
        return register_area(v, target, argp, vtime_register_time_area);
    default:
        return -ENOSYS;
    }
}
