/* SPDX-License-Identifier: MIT */
/*
 * Which vCPU runs on which CPU. Each CPU has a run queue (sched/fair.h orders it); a vCPU is running, runnable, blocked (HLT,
 * poll), waiting (for a device model), or held (paused, not started). Nothing waits on a stack: functions here change states, the CPU's loop acts on them
 * at its next turn.
 *
 * A vCPU stays on its CPU until that is busy with another when it wakes up, until its affinity forbids it, or until an
 * idle CPU takes it over, or until CPUs with vCPUs that wait even out. A CPU whose queue is empty has no scheduling timer at
 * all; a CPU dedicated to a domain is used by its vCPUs alone, and so, with one of them, never interrupted by scheduling.
 *
 * Locking: one lock a run queue. A vCPU's sched fields belong to the lock of the CPU it is assigned to; `cpu` changes only
 * under that lock and while the vCPU does not run. Two run queue locks are never waited for together. Below it in the
 * order: vtime, timer queues. Above them: the lock of CPUs' owners, which hard affinities are changed under, too.
 */
#ifndef XL_SCHED_SCHED_H
#define XL_SCHED_SCHED_H

#include "lib/bitmap.h"
#include "lib/percpu.h"
#include "lib/types.h"
#include "sched/fair.h"

struct domain;
struct vcpu;
struct p2m;

/* Embedded in struct vcpu as `sched`. */
struct sched_vcpu {
    struct fair_entity fair;   /* in the run queue while runnable and not running */
    unsigned cpu;              /* physical CPU to which it is assigned */
    bool running;              /* its state is loaded on that CPU; atomic for readers */
    bool blocked;              /* waits for an event; atomic */
    bool yielded;              /* lets the next one go first at the next turn */
    bool waiting;              /* for a device model's answer, whatever else happens; atomic */
    bool down;                 /* offline: HLT with interrupts off, VCPUOP_down; atomic */
    unsigned hold;             /* reasons to hold it back: pauses; atomic */
    uint64_t since;            /* ns; up to when its running time has been charged */
    uint64_t migrations;       /* changes of cpu since creation */
    uint64_t followed;         /* of these, what its devices' interrupts have been told of; its CPU's own */
    uint64_t runs;             /* times it was put on a CPU */
    uint64_t interruptions;    /* times it wanted to go on and the scheduler looked who is next: an exit each */
    uint64_t slices;           /* of them, those at the end of its slice */
    DECLARE_BITMAP(affinity, MAX_CPUS); /* where it may run */
    DECLARE_BITMAP(soft, MAX_CPUS);     /* where it should run, if there is a choice */
};

/*
 * Implemented by the domain layer: v has moved to this CPU, and its devices' interrupts may follow. Called without locks. False: not
 * now, ask again at its next turn.
 */
bool vcpu_moved(struct vcpu *v);

void sched_init_cpu(unsigned cpu);
/* Assigns the vCPU to a CPU, held back once (sched_unhold lets it run); it may run anywhere, with normal weight. */
void sched_vcpu_init(struct vcpu *v, unsigned cpu);

/* Takes v, which is held back for good and does not run, out of the scheduler. */
void sched_vcpu_destroy(struct vcpu *v);

/* The CPU's loop; does not return. */
void sched_loop(void) __noreturn;

/* Something became pending for v: ends HLT or poll, or takes it out of the guest on another CPU. Any CPU. */
void vcpu_kick(struct vcpu *v);
/* v leaves HLT or poll, or comes back from offline, whatever is pending. */
void vcpu_wake(struct vcpu *v);
/* v (the caller's current) runs no further than its next turn until vcpu_kick finds something or vcpu_wake comes. */
void vcpu_block(struct vcpu *v);
/*
 * v (the caller's current) runs no further than its next turn until vcpu_wait_end(): no event, and no interrupt, lets it
 * run before that.
 */
void vcpu_wait(struct vcpu *v);
void vcpu_wait_end(struct vcpu *v);
void vcpu_yield(struct vcpu *v);
/* v is offline until vcpu_wake or SIPI. */
void vcpu_set_down(struct vcpu *v);

/*
 * One more, or one less, reason to hold v back. sched_hold returns when v does not run and its state is saved, unless it is the
 * caller's own; not with a lock held that v's hypercalls take.
 */
void sched_hold(struct vcpu *v);
void sched_unhold(struct vcpu *v);

/*
 * v may run on these CPUs only; takes effect at once. -EINVAL if none of them is online and open to its domain (nothing
 * changes).
 */
int sched_set_affinity(struct vcpu *v, const uint64_t *cpus);
/* v should run on these CPUs, where it has the choice between equally busy ones. */
void sched_set_soft_affinity(struct vcpu *v, const uint64_t *cpus);
/* v's share among those that compete: 1..FAIR_WEIGHT_MAX, FAIR_WEIGHT_NORMAL is normal. -EINVAL otherwise. */
int sched_set_weight(struct vcpu *v, uint32_t weight);

/*
 * d gets these CPUs (a map of MAX_CPUS bits) to itself: no other domain's vCPU runs there. Replaces what it had; an empty map
 * gives all back. CPU 0 and the control domain stay as they are. -EINVAL: CPUs that are not there, CPU 0, fewer CPUs than
 * vCPUs, the control domain or a dying one; -EBUSY: a CPU is another domain's, or a vCPU would have nowhere to run. Takes
 * the list lock.
 */
int sched_dedicate(struct domain *d, const uint64_t *cpus);
/* d is dying: its CPUs are everybody's again. */
void sched_undedicate(const struct domain *d);
bool sched_is_dedicated(unsigned cpu, const struct domain *d);

/* RUNSTATE_* of v. */
int sched_state(const struct vcpu *v);

/* Makes every CPU that runs a guest on p2m with a generation below gen leave it, and waits; see struct p2m_hooks.flush_cpu. */
void sched_flush_p2m(struct p2m *p2m);

#endif
