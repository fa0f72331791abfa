/* SPDX-License-Identifier: MIT */
/*
 * sched_op: giving up the CPU, waiting for event channels, shutting down, and the domain watchdog.
 * set_timer_op and vm_assist, which are as small, are here too.
 */
#include "cpu/guest_mem.h"
#include "domain/domain.h"
#include "hypercall/handlers.h"
#include "lib/errno.h"
#include "lib/string.h"
#include "lib/time.h"

#include <xen/sched.h>

/* ---- poll ---- */

static long sched_poll(struct vcpu *v, uint64_t argp)
{
    evtchn_port_t ports[EVTCHN_MAX_POLL_PORTS];
    struct sched_poll arg;
    uint64_t handle;
    int err;

    /* 32-bit callers have a shorter structure: handle and time-out lie elsewhere. */
    if (cpu_mode_bytes(&v->cpu) != 8)
        return -ENOSYS;
    if (copy_from_guest(v, &arg, argp, sizeof(arg)))
        return -EFAULT;
    if (arg.nr_ports > EVTCHN_MAX_POLL_PORTS)
        return -EINVAL;
    handle = (uint64_t)arg.ports.p;
    if (arg.nr_ports && copy_from_guest(v, ports, handle, arg.nr_ports * sizeof(ports[0])))
        return -EFAULT;

    vtime_stop_poll_timeout(v);
    if (arg.timeout && deadline_passed(arg.timeout))
        return 0;
    /*
     * Marked as blocked before the ports are looked at: an event that comes in between finds a
     * blocked vCPU and wakes it, and nothing is lost.
     */
    vcpu_block(v);
    if (!evtchn_poll_begin(v, ports, arg.nr_ports, &err)) {
        vcpu_wake(v);
        return err;
    }
    if (arg.timeout)
        vtime_set_poll_timeout(v, arg.timeout);
    return 0;
}

/* ---- shutdown ---- */

static long sched_shutdown(struct vcpu *v, uint64_t argp)
{
    struct sched_shutdown arg;

    if (copy_from_guest(v, &arg, argp, sizeof(arg)))
        return -EFAULT;
    if (arg.reason > SHUTDOWN_MAX)
        return -EINVAL;
    domain_shutdown(v->domain, arg.reason);
    return 0;
}

static long sched_remote_shutdown(struct vcpu *v, uint64_t argp)
{
    struct sched_remote_shutdown arg;
    struct domain *d;
    int rc;

    if (copy_from_guest(v, &arg, argp, sizeof(arg)))
        return -EFAULT;
    if (!v->domain->control)
        return -EPERM;
    if (arg.reason > SHUTDOWN_MAX)
        return -EINVAL;
    d = hypercall_target(v, arg.domain_id, &rc);
    if (!d)
        return rc;
    if (d == v->domain)
        rc = -EINVAL;
    else
        domain_shutdown(d, arg.reason);
    domain_put(d);
    return rc;
}

/* ---- watchdog ---- */

static void watchdog_fired(void *arg)
{
    struct watchdog_slot *slot = arg;

    domain_shutdown(slot->domain, SHUTDOWN_watchdog);
}

void watchdog_init(struct domain *d)
{
    memset(&d->watchdog, 0, sizeof(d->watchdog));
    spin_lock_init(&d->watchdog.lock);
    for (unsigned i = 0; i < WATCHDOGS_PER_DOMAIN; i++) {
        d->watchdog.slot[i].domain = d;
        timer_init(&d->watchdog.slot[i].timer, 0, watchdog_fired, &d->watchdog.slot[i]);
    }
}

void watchdog_destroy(struct domain *d)
{
    for (unsigned i = 0; i < WATCHDOGS_PER_DOMAIN; i++)
        timer_cancel_sync(&d->watchdog.slot[i].timer);
}

/* The timer functions take no lock of ours, so timers may be set under it. */
static long watchdog_set(struct domain *d, uint32_t id, uint32_t timeout_s)
{
    struct domain_watchdog *w = &d->watchdog;
    uint64_t deadline = now_ns() + timeout_s * NS_PER_SEC;
    long rc = 0;

    if (id > WATCHDOGS_PER_DOMAIN)
        return -EINVAL;
    spin_lock(&w->lock);
    if (id == 0) {
        if (timeout_s == 0)
            rc = -EINVAL;
        while (rc == 0 && id < WATCHDOGS_PER_DOMAIN && w->slot[id].armed)
            id++;
        if (rc == 0 && id == WATCHDOGS_PER_DOMAIN)
            rc = -ENOSPC;
        if (rc == 0)
            rc = ++id;
    } else if (!w->slot[id - 1].armed) {
        rc = -EINVAL;
    }
    if (rc >= 0) {
        w->slot[id - 1].armed = timeout_s != 0;
        if (timeout_s)
            timer_set(&w->slot[id - 1].timer, deadline);
        else
            timer_cancel(&w->slot[id - 1].timer);
    }
    spin_unlock(&w->lock);
    return rc;
}

static long sched_watchdog(struct vcpu *v, uint64_t argp)
{
    struct sched_watchdog arg;

    if (copy_from_guest(v, &arg, argp, sizeof(arg)))
        return -EFAULT;
    return watchdog_set(v->domain, arg.id, arg.timeout);
}

long do_sched_op(struct vcpu *v, uint64_t cmd, uint64_t argp, uint64_t a3, uint64_t a4, uint64_t a5)
{
    (void)a3;
    (void)a4;
    (void)a5;
    switch ((uint32_t)cmd) {
    case SCHEDOP_yield:
        vcpu_yield(v);
        return 0;
    case SCHEDOP_block:
        vcpu_block(v);
        return 0;
    case SCHEDOP_shutdown:
        return sched_shutdown(v, argp);
    case SCHEDOP_poll:
        return sched_poll(v, argp);
    case SCHEDOP_remote_shutdown:
        return sched_remote_shutdown(v, argp);
    case SCHEDOP_watchdog:
        return sched_watchdog(v, argp);
    default:
        return -ENOSYS; /* shutdown_code, pin_override */
    }
}

/* ---- set_timer_op: the singleshot timer by another name; 0 stops it ---- */

long do_set_timer_op(struct vcpu *v, uint64_t deadline, uint64_t a2, uint64_t a3, uint64_t a4,
                     uint64_t a5)
{
    (void)a2;
    (void)a3;
    (void)a4;
    (void)a5;
    if (deadline)
        return vtime_set_singleshot(v, deadline);
    vtime_stop_singleshot(v);
    return 0;
}

/* ---- vm_assist ---- */

bool assist_runstate_update_flag(const struct domain *d)
{
    return READ_ONCE(d->assist.enabled) & (1u << VMASST_TYPE_runstate_update_flag);
}

long do_vm_assist(struct vcpu *v, uint64_t cmd, uint64_t type, uint64_t a3, uint64_t a4,
                  uint64_t a5)
{
    uint32_t *enabled = &v->domain->assist.enabled;

    (void)a3;
    (void)a4;
    (void)a5;
    /* All others concern paravirtual page tables and segments. */
    if ((uint32_t)type != VMASST_TYPE_runstate_update_flag)
        return -EINVAL;
    switch ((uint32_t)cmd) {
    case VMASST_CMD_enable:
        __atomic_fetch_or(enabled, 1u << VMASST_TYPE_runstate_update_flag, __ATOMIC_RELAXED);
        return 0;
    case VMASST_CMD_disable:
        __atomic_fetch_and(enabled, ~(1u << VMASST_TYPE_runstate_update_flag), __ATOMIC_RELAXED);
        return 0;
    default:
        return -ENOSYS;
    }
}
