/* SPDX-License-Identifier: MIT */
/*
 * Which vCPU runs on which CPU. Each CPU has a run queue; a vCPU is runnable, blocked (HLT, poll), or held (paused, not
 * started). Nothing waits on a stack: functions here change states, the CPU's loop acts on them at its next turn.
 *
 * Locking: one lock a run queue, innermost but for timer queues and the allocator. A vCPU's sched fields belong to the lock of
 * the CPU it is assigned to.
 */
#ifndef XL_SCHED_SCHED_H
#define XL_SCHED_SCHED_H

#include "lib/bitmap.h"
#include "lib/list.h"
#include "lib/percpu.h"
#include "lib/types.h"

struct vcpu;

/* Embedded in struct vcpu as `sched`. */
struct sched_vcpu {
    struct list_head link;     /* in the run queue while runnable and not running */
    unsigned cpu;              /* physical CPU to which it is assigned */
    bool running;              /* current on that CPU; atomic for readers */
    bool blocked;              /* waits for an event */
    bool yielded;              /* goes behind the others at the next turn */
    bool down;                 /* offline: HLT with interrupts off, VCPUOP_down, before SIPI; atomic */
    unsigned hold;             /* reasons to hold it back: pauses; atomic */
    uint64_t slice_end;        /* ns; when others get their turn */
    uint32_t weight;           /* share of the CPU, 256 is normal */
    DECLARE_BITMAP(affinity, MAX_CPUS);
};

void sched_init_cpu(unsigned cpu);
/* Assigns the vCPU to a CPU, held back once (sched_unhold lets it run). */
void sched_vcpu_init(struct vcpu *v, unsigned cpu);

/* The CPU's loop; does not return. */
void sched_loop(void) __noreturn;

/* Something became pending for v: ends HLT or poll, or takes it out of the guest on another CPU. Any CPU. */
void vcpu_kick(struct vcpu *v);
/* v leaves HLT or poll, or comes back from offline, whatever is pending. */
void vcpu_wake(struct vcpu *v);
/* v (the caller's current) runs no further than its next turn until vcpu_kick finds something or vcpu_wake comes. */
void vcpu_block(struct vcpu *v);
void vcpu_yield(struct vcpu *v);
/* v is offline until vcpu_wake or SIPI. */
void vcpu_set_down(struct vcpu *v);

/* One more, or one less, reason to hold v back. sched_hold waits until it does not run, unless it is the caller's own. */
void sched_hold(struct vcpu *v);
void sched_unhold(struct vcpu *v);

/* RUNSTATE_* of v. */
int sched_state(const struct vcpu *v);

/* Makes every CPU that runs a guest on p2m with a generation below gen leave it, and waits; see struct p2m_hooks.flush_cpu. */
struct p2m;
void sched_flush_p2m(struct p2m *p2m);

#endif
