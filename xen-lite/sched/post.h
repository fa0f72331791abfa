/* SPDX-License-Identifier: MIT */
/*
 * Where units tell of interrupts that they have posted for a vCPU: to the CPU that it runs on, to nobody while it waits for
 * its turn, to the CPU where it fell asleep while it is blocked. What was posted reaches the virtual local APIC when
 * the unit has told of it, or when the vCPU comes to a CPU, whichever is first.
 *
 * Where CPUs in guest mode take by themselves what was posted, other CPUs post as well (vdev/vlapic.c).
 * Without either, a vCPU has no descriptor and all of this is one comparison.
 *
 * Locking: where v's notifications go changes with its run state: on its own CPU while it runs, with its run queue's lock held
 * otherwise. Each CPU has a list of those that sleep there, with a lock below run queue locks.
 */
#ifndef XL_SCHED_POST_H
#define XL_SCHED_POST_H

#include "lib/list.h"
#include "lib/types.h"

struct vcpu;

/* Embedded in struct vcpu as `post`. The descriptor is the local APIC's: vlapic.post. */
struct post_vcpu {
    struct list_head link; /* in the list of those that sleep on `cpu`, while `listed` */
    bool listed;
    unsigned cpu;
    uint64_t taken;    /* interrupts that were posted and went to the virtual local APIC; atomic */
    uint64_t wakeups;  /* times that a unit's word found it asleep; its CPU's list lock */
};

/* Before CPUs take interrupts. */
void post_init_cpu(unsigned cpu);
/* Makes the descriptor, if anybody posts. After vlapic_init(). 0 or -ENOMEM. */
int post_vcpu_init(struct vcpu *v);
/* No remapping entry names it any more. */
void post_vcpu_destroy(struct vcpu *v);

/* v is current on this CPU and goes on, or begins: requests are told of here, and those that wait are delivered. */
void post_run(struct vcpu *v);
/* The same for one that was about to sleep; costs nothing for one that was not. */
void post_stay(struct vcpu *v);
/*
 * v, current on this CPU, is marked as blocked and about to sleep: requests wake it from now on. Whoever calls looks at
 * post_waiting() afterwards.
 */
void post_sleep(struct vcpu *v);
/* Requests wait for v that have not been delivered. */
bool post_waiting(const struct vcpu *v);
/* v leaves this CPU: asleep it can be woken, otherwise requests wait until it comes to one. */
void post_leave(struct vcpu *v);
/* v, which does not run, is being assigned to another CPU: if it sleeps, it is woken there. */
void post_move(struct vcpu *v, unsigned cpu);
/* v will never run again. */
void post_stop(struct vcpu *v);
/* Delivers what waits, any CPU. No run queue lock held: v may be woken by it. */
void post_sync(struct vcpu *v);
/* v is being reset: what waits is lost, like what the local APIC had. */
void post_discard(struct vcpu *v);

#endif
