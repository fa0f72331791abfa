/* SPDX-License-Identifier: MIT */
/*
 * Weighted fair queueing: a sorted list is enough for the few vCPUs that share a CPU.
 */
#include "sched/fair.h"

#include "lib/assert.h"

void fair_queue_init(struct fair_queue *q)
{
    list_init(&q->ready);
    q->min = 0;
    q->weight = 0;
    q->nr = 0;
}

void fair_entity_init(struct fair_entity *e, uint32_t weight)
{
    list_init(&e->link);
    e->vtime = 0;
    e->weight = weight;
    e->queued = false;
}

struct fair_entity *fair_first(const struct fair_queue *q)
{
    return list_empty(&q->ready) ? NULL : list_first_entry(&q->ready, struct fair_entity, link);
}

void fair_enqueue(struct fair_queue *q, struct fair_entity *e, bool waking)
{
    struct fair_entity *pos;

    ASSERT(!e->queued);
    if (waking) {
        uint64_t floor = q->min > FAIR_SLEEPER_CREDIT ? q->min - FAIR_SLEEPER_CREDIT : 0;

        e->vtime = MAX(e->vtime, floor);
    }
    list_for_each_entry(pos, &q->ready, link)
        if (pos->vtime > e->vtime)
            break;
    list_add_tail(&e->link, &pos->link);
    e->queued = true;
    q->weight += e->weight;
    q->nr++;
}

void fair_dequeue(struct fair_queue *q, struct fair_entity *e)
{
    if (!e->queued)
        return;
    list_del(&e->link);
    e->queued = false;
    q->weight -= e->weight;
    q->nr--;
}

void fair_charge(struct fair_queue *q, struct fair_entity *e, uint64_t ns)
{
    const struct fair_entity *first = fair_first(q);
    uint64_t least;

    e->vtime += ns * FAIR_WEIGHT_NORMAL / e->weight;
    least = first ? MIN(first->vtime, e->vtime) : e->vtime;
    q->min = MAX(q->min, least);
}

bool fair_must_yield(const struct fair_queue *q, const struct fair_entity *e)
{
    const struct fair_entity *first = fair_first(q);

    return first && e->vtime >= first->vtime + FAIR_GRANULARITY;
}

uint64_t fair_slice(const struct fair_queue *q, const struct fair_entity *e)
{
    const struct fair_entity *first = fair_first(q);
    uint64_t limit;

    if (!first)
        return ~0ULL;
    limit = first->vtime + FAIR_GRANULARITY;
    if (e->vtime >= limit)
        return 0;
    return (limit - e->vtime) * e->weight / FAIR_WEIGHT_NORMAL + 1;
}

void fair_yield(struct fair_queue *q, struct fair_entity *e)
{
    const struct fair_entity *first = fair_first(q);

    if (first && e->vtime <= first->vtime)
        e->vtime = first->vtime + 1;
}

void fair_move(const struct fair_queue *from, const struct fair_queue *to, struct fair_entity *e)
{
    ASSERT(!e->queued);
    if (e->vtime >= from->min)
        e->vtime = to->min + (e->vtime - from->min);
    else
        e->vtime = to->min > from->min - e->vtime ? to->min - (from->min - e->vtime) : 0;
}

void fair_set_weight(struct fair_queue *q, struct fair_entity *e, uint32_t weight)
{
    if (e->queued)
        q->weight += weight - (uint64_t)e->weight;
    e->weight = weight;
}

/* ---- balance between two CPUs ---- */

/* How many of each queue are candidates: those that run next there. */
#define BALANCE_LOOK 8u

/* Up to BALANCE_LOOK of q that may run on cpu, with NULL for "nobody" as the first. Returns how many. */
static unsigned candidates(const struct fair_queue *q, unsigned cpu, fair_may_run may,
                           struct fair_entity *out[BALANCE_LOOK + 1])
{
    struct fair_entity *e;
    unsigned n = 0;

    out[n++] = NULL;
    list_for_each_entry(e, &q->ready, link) {
        if (n > BALANCE_LOOK)
            break;
        if (may(e, cpu))
            out[n++] = e;
    }
    return n;
}

static uint64_t distance(int64_t diff)
{
    return (uint64_t)(diff < 0 ? -diff : diff);
}

bool fair_balance(const struct fair_side *here, const struct fair_side *there, fair_may_run may,
                  struct fair_exchange *best)
{
    struct fair_entity *mine[BALANCE_LOOK + 1], *theirs[BALANCE_LOOK + 1];
    unsigned nr_mine = candidates(here->queue, there->cpu, may, mine);
    unsigned nr_theirs = candidates(there->queue, here->cpu, may, theirs);
    int64_t diff = (int64_t)here->load - (int64_t)there->load;
    /* A gain of less than a sixteenth is not worth a cold cache. */
    uint64_t worth = (here->load + there->load) / 32, least = distance(diff);

    *best = (struct fair_exchange){ NULL, NULL };
    if (least <= worth)
        return false;
    least -= worth;
    for (unsigned i = 0; i < nr_mine; i++) {
        for (unsigned k = 0; k < nr_theirs; k++) {
            int64_t out = mine[i] ? mine[i]->weight : 0, in = theirs[k] ? theirs[k]->weight : 0;
            uint64_t left = distance(diff - 2 * (out - in));

            if (left < least) {
                least = left;
                *best = (struct fair_exchange){ mine[i], theirs[k] };
            }
        }
    }
    return best->out || best->in;
}
