/* SPDX-License-Identifier: MIT */
/*
 * Time as a paravirtual guest sees it: pvclock records, the wall clock in shared_info, runstate
 * areas and the vCPU's timers. Records live in guest memory and are only ever written here.
 *
 * Locking: struct vtime.lock, innermost (it may be taken under the scheduler's lock); timer
 * callbacks run without it.
 */
#ifndef XL_HYPERCALL_VTIME_H
#define XL_HYPERCALL_VTIME_H

#include "lib/types.h"

#include <xen/vcpu.h>
#include <xen/xen.h>

#include "hypercall/guest_page.h"
#include "irq/timer.h"
#include "lib/spinlock.h"

struct domain;
struct vcpu;

/* Embedded in struct vcpu as `time`. */
struct vtime {
    spinlock_t lock;         /* runstate, areas and record */
    uint32_t version;        /* last pvclock version written, even */
    uint64_t record_ahead;   /* guest TSC minus the boot CPU's that the record was made for */
    struct timer singleshot; /* VCPUOP_set_singleshot_timer, set_timer_op */
    struct timer periodic;   /* VCPUOP_set_periodic_timer */
    uint64_t period_ns;      /* 0: off */
    uint64_t period_next;    /* expiry that the periodic timer is armed for */
    struct timer poll;       /* SCHEDOP_poll time-out, or the end of a nap */
    bool napping;            /* a hypercall that waits for hardware put it to sleep; atomic */
    bool started;            /* has left its first state, offline: accounts begin there */
    struct vcpu_runstate_info runstate; /* the authority; areas are copies */
    struct guest_area runstate_area;
    struct guest_area time_area; /* VCPUOP_register_vcpu_time_memory_area */
};

/*
 * With v->sched.cpu set. State starts as RUNSTATE_offline. The first pvclock record is written here
 * if evtchn_vcpu_init() and cpu_vcpu_init() came before, else when v first runs, so a guest finds a
 * valid one whenever it maps shared_info.
 */
void vtime_init(struct vcpu *v);
/* v, which does not run, goes to another physical CPU: its timers follow. */
void vtime_migrate(struct vcpu *v, unsigned cpu);
/* Stops the timers and drops the areas. v must not run any more. */
void vtime_destroy(struct vcpu *v);

/*
 * Writes v's pvclock record to its vcpu_info and its time area. Needed when the record's content
 * changes: at start, after registration of an area, when the guest's TSC offset changed.
 */
void vtime_update(struct vcpu *v);

/* The scheduler's notice of a state change (RUNSTATE_running, _runnable, _blocked, _offline). */
void vtime_runstate_change(struct vcpu *v, int state);
/* A consistent copy with the time in the present state added up to now. */
void vtime_runstate_get(struct vcpu *v, struct vcpu_runstate_info *out);
/* Nanoseconds that v has been running. */
uint64_t vtime_cpu_time(struct vcpu *v);

/*
 * Seconds and nanoseconds since 1970 at system time 0, kept for the whole machine; updates d's
 * shared_info.
 */
void wallclock_init(void);
void wallclock_set(uint64_t seconds, uint32_t nanoseconds, uint64_t system_time_ns);
void wallclock_update(struct domain *d);

/*
 * The sub-operations of vcpu_op and set_timer_op that concern time; same return values as the
 * hypercalls.
 */
long vtime_register_runstate(struct vcpu *v, struct vcpu *target, uint64_t gva);
long vtime_register_time_area(struct vcpu *v, struct vcpu *target, uint64_t gva);
long vtime_set_singleshot(struct vcpu *v, uint64_t deadline_ns);
void vtime_stop_singleshot(struct vcpu *v);
long vtime_set_periodic(struct vcpu *v, uint64_t period_ns);
void vtime_stop_periodic(struct vcpu *v);
/* SCHEDOP_poll's time-out: wakes v at deadline_ns. */
void vtime_set_poll_timeout(struct vcpu *v, uint64_t deadline_ns);
void vtime_stop_poll_timeout(struct vcpu *v);
/*
 * For a hypercall that is about to return HYPERCALL_RESTART and has nothing to do before `until_ns`: v, which makes it, sleeps
 * until then or until something becomes pending for it. vtime_end_nap() at the start of the next turn.
 */
void vtime_nap(struct vcpu *v, uint64_t until_ns);
void vtime_end_nap(struct vcpu *v);

#endif
