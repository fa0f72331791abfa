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
    q->nr++;
}

void fair_dequeue(struct fair_queue *q, struct fair_entity *e)
{
    if (!e->queued)
        return;
    list_del(&e->link);
    e->queued = false;
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
