/* SPDX-License-Identifier: MIT */
/*
 * What the scheduler's own files share: the run queues and where vCPUs are placed. Not for others: see sched/sched.h.
 */
#ifndef XL_SCHED_RUNQ_H
#define XL_SCHED_RUNQ_H

#include "domain/domain.h"
#include "irq/timer.h"
#include "lib/spinlock.h"
#include "sched/fair.h"

struct runq {
    spinlock_t lock;         /* the queue, and the sched fields of the vCPUs assigned to this CPU */
    struct fair_queue queue; /* runnable vCPUs that do not run */
    struct timer slice;      /* ends the current one's slice while others wait */
    uint64_t balance_at;     /* ns; not before then is it compared with others again */
};

extern struct runq runq[MAX_CPUS];

static inline struct vcpu *vcpu_of(const struct fair_entity *e)
{
    return container_of(e, struct vcpu, sched.fair);
}

/* Nothing holds v back: it waits for its turn, or has it. */
static inline bool may_run(const struct vcpu *v)
{
    const struct sched_vcpu *s = &v->sched;

    return v->initialised && !READ_ONCE(s->blocked) && !READ_ONCE(s->down) && !READ_ONCE(s->hold) &&
           !READ_ONCE(s->waiting) && !READ_ONCE(v->wait_for_sipi);
}

/* Makes a CPU look at its run queue: at its next turn, which an interrupt brings about if it is in the guest or idle. */
void sched_poke(unsigned cpu);
/* The lock of the queue that v is assigned to now, taken. */
struct runq *lock_runq_of(const struct vcpu *v);
/* Whether v's hard affinity, and whom the CPU is dedicated to, let it run there. */
bool sched_may_use(const struct vcpu *v, unsigned cpu);
/* Gives v its place in a queue if it may run and has none. waking: it comes from a sleep. No run queue lock held. */
void sched_place(struct vcpu *v, bool waking);
/* This CPU has nothing to do: takes over a vCPU that waits elsewhere; NULL if there is none. This queue's lock is held. */
struct vcpu *sched_steal(unsigned cpu);
/* Compares this CPU with the next other one, and moves vCPUs that wait so that both have equal loads. This queue's lock is held. */
void sched_balance(unsigned cpu, uint64_t now);

#endif
