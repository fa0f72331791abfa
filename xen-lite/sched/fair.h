/* SPDX-License-Identifier: MIT */
/*
 * Weighted fair queueing of one CPU's runnable vCPUs. Each carries a virtual time that grows as it runs, slower the
 * larger its weight; who is furthest behind runs next. Pure bookkeeping: no clock, no locks (the run queue's lock covers it).
 */
#ifndef XL_SCHED_FAIR_H
#define XL_SCHED_FAIR_H

#include "lib/list.h"
#include "lib/time.h"
#include "lib/types.h"

#define FAIR_WEIGHT_NORMAL 256u
#define FAIR_WEIGHT_MAX 65535u
/* Virtual time that the running one may get ahead before it must give way. */
#define FAIR_GRANULARITY (4 * NS_PER_MS)
/* Credit, in virtual time, of one that has slept: it runs soon, but cannot save up more. */
#define FAIR_SLEEPER_CREDIT (6 * NS_PER_MS)

struct fair_entity {
    struct list_head link;
    uint64_t vtime;
    uint32_t weight;   /* 1..FAIR_WEIGHT_MAX */
    bool queued;
};

struct fair_queue {
    struct list_head ready; /* ascending vtime */
    uint64_t min;           /* never falls: the least virtual time of those that run or wait here */
    uint64_t weight;        /* of all that are queued */
    unsigned nr;
};

void fair_queue_init(struct fair_queue *q);
void fair_entity_init(struct fair_entity *e, uint32_t weight);

/* Queues e. waking: it has not run for a while, so its virtual time is brought up to the others' less a credit. */
void fair_enqueue(struct fair_queue *q, struct fair_entity *e, bool waking);
/* Takes e out, if it is in. */
void fair_dequeue(struct fair_queue *q, struct fair_entity *e);
/* The next to run, still queued; NULL if there is none. */
struct fair_entity *fair_first(const struct fair_queue *q);

/* e, which is not queued, has run for ns. */
void fair_charge(struct fair_queue *q, struct fair_entity *e, uint64_t ns);
/* Must the running e give way to the first in the queue? */
bool fair_must_yield(const struct fair_queue *q, const struct fair_entity *e);
/* For how long e may run before fair_must_yield() is due to become true; ~0 if nobody waits. */
uint64_t fair_slice(const struct fair_queue *q, const struct fair_entity *e);
/* e gives up its turn: the first in the queue comes before it. */
void fair_yield(struct fair_queue *q, struct fair_entity *e);
/* e, queued nowhere, goes from one CPU's queue to another's; keeps its distance to the others. */
void fair_move(const struct fair_queue *from, const struct fair_queue *to, struct fair_entity *e);

/* Changes e's weight, queued in q or not. */
void fair_set_weight(struct fair_queue *q, struct fair_entity *e, uint32_t weight);

/* One side of a comparison: a CPU's queue, and the weight of all that want to run there, the running one included. */
struct fair_side {
    const struct fair_queue *queue;
    uint64_t load;
    unsigned cpu;
};

/* One may leave for another CPU, another come for it; either may be NULL. */
struct fair_exchange {
    struct fair_entity *out, *in;
};

/* May e run on that CPU? */
typedef bool (*fair_may_run)(const struct fair_entity *e, unsigned cpu);

/*
 * Finds what has to change places so that the two loads come closest: one that waits here goes there, or two swap. Only
 * the first few of each queue are looked at. False if nothing is worth moving.
 */
bool fair_balance(const struct fair_side *here, const struct fair_side *there, fair_may_run may,
                  struct fair_exchange *best);

#endif
