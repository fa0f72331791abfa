/* SPDX-License-Identifier: MIT */
/*
 * Which CPU a vCPU waits and runs on: hard and soft affinity, CPUs dedicated to one domain, placing on wake-up, and evening
 * out between CPUs.
 */
#include "lib/types.h"

#include <xen/sched.h>
#include <xen/vcpu.h>

#include "irq/irq.h"
#include "irq/lapic.h"
#include "lib/errno.h"
#include "lib/time.h"
#include "sched/post.h"
#include "sched/runq.h"
#include "sched/sched.h"

/* So often does a CPU on which vCPUs wait look at another one. */
#define BALANCE_PERIOD_NS (20 * NS_PER_MS)

struct runq runq[MAX_CPUS];

/*
 * To which domain each CPU is dedicated; CONTROL_DOMID, which never has any, stands for "all". Changes under the lock,
 * as do hard affinities, so that no vCPU is left without a CPU. Taken before run queue locks.
 */
static uint16_t owner_of[MAX_CPUS];
static spinlock_t owner_lock = SPINLOCK_INIT;

void sched_poke(unsigned cpu)
{
    struct percpu *p = percpu_of(cpu);

    WRITE_ONCE(p->resched, true);
    mb();
    if (cpu == cpu_id())
        return;
    if (READ_ONCE(p->in_idle) || READ_ONCE(p->guest_gen) != GEN_NOT_IN_GUEST)
        lapic_send_ipi(p->apicid, VECTOR_KICK);
}

struct runq *lock_runq_of(const struct vcpu *v)
{
    for (;;) {
        unsigned cpu = READ_ONCE(v->sched.cpu);

        spin_lock(&runq[cpu].lock);
        if (likely(READ_ONCE(v->sched.cpu) == cpu))
            return &runq[cpu];
        spin_unlock(&runq[cpu].lock);
    }
}

static bool open_to(unsigned cpu, uint16_t domid)
{
    uint16_t owner = READ_ONCE(owner_of[cpu]);

    return READ_ONCE(percpu_of(cpu)->online) && (owner == CONTROL_DOMID || owner == domid);
}

bool sched_may_use(const struct vcpu *v, unsigned cpu)
{
    return cpu < nr_cpus && open_to(cpu, v->domain->domid) && test_bit(v->sched.affinity, cpu);
}

void sched_vcpu_init(struct vcpu *v, unsigned cpu)
{
    struct sched_vcpu *s = &v->sched;

    /* Its timers are the CPU's: not on one that is another's. CPU 0 is never dedicated. */
    while (cpu && !open_to(cpu, v->domain->domid))
        cpu--;
    fair_entity_init(&s->fair, FAIR_WEIGHT_NORMAL);
    s->fair.vtime = runq[cpu].queue.min;
    s->cpu = cpu;
    s->hold = 1;
    for (unsigned i = 0; i < nr_cpus; i++) {
        set_bit(s->affinity, i);
        set_bit(s->soft, i);
    }
}

/* ---- placing ---- */

static bool cpu_is_free(unsigned cpu)
{
    return !READ_ONCE(percpu_of(cpu)->current) && !READ_ONCE(runq[cpu].queue.nr);
}

/* How well a CPU suits v: nobody else there counts most, then v's wish, then that it was there before. */
static unsigned merit(const struct vcpu *v, unsigned cpu)
{
    return (cpu_is_free(cpu) ? 4u : 0u) + (test_bit(v->sched.soft, cpu) ? 2u : 0u) +
           (cpu == v->sched.cpu ? 1u : 0u);
}

/* Where v should wait for its turn. */
static unsigned choose_cpu(const struct vcpu *v)
{
    unsigned best = v->sched.cpu, most = 0;
    bool any = sched_may_use(v, best);

    if (any) {
        most = merit(v, best);
        if (most == 7)
            return best;
    }
    for (unsigned cpu = 0; cpu < nr_cpus; cpu++) {
        unsigned m;

        if (!sched_may_use(v, cpu))
            continue;
        m = merit(v, cpu);
        if (!any || m > most) {
            best = cpu;
            most = m;
            any = true;
        }
    }
    return best;
}

/* v, which neither runs nor waits, goes to another CPU. The lock of its old CPU is held. */
static void assign(struct vcpu *v, unsigned cpu)
{
    fair_move(&runq[v->sched.cpu].queue, &runq[cpu].queue, &v->sched.fair);
    /* From the store on it is the other lock that protects v. */
    post_move(v, cpu);
    WRITE_ONCE(v->sched.cpu, cpu);
    v->sched.migrations++;
    vlapic_migrate(&v->vlapic, cpu);
    vtime_migrate(v, cpu);
}

static bool is_waiting(const struct vcpu *v)
{
    return v->sched.running || v->sched.fair.queued;
}

void sched_place(struct vcpu *v, bool waking)
{
    struct runq *rq = lock_runq_of(v);

    /* Twice at most: the second time it stays where it is. */
    if (!is_waiting(v) && may_run(v)) {
        unsigned cpu = choose_cpu(v);

        if (cpu != v->sched.cpu) {
            assign(v, cpu);
            spin_unlock(&rq->lock);
            rq = lock_runq_of(v);
        }
    }
    if (!is_waiting(v) && may_run(v)) {
        fair_enqueue(&rq->queue, &v->sched.fair, waking);
        vtime_runstate_change(v, RUNSTATE_runnable);
        sched_poke(v->sched.cpu);
    }
    spin_unlock(&rq->lock);
}

/* Where v may run has changed: it leaves a CPU that it may not use any more, with its timers. */
static void reseat(struct vcpu *v)
{
    struct runq *rq = lock_runq_of(v);

    if (!sched_may_use(v, v->sched.cpu)) {
        if (v->sched.running) {
            sched_poke(v->sched.cpu); /* its CPU sends it away */
        } else {
            unsigned cpu = choose_cpu(v);

            fair_dequeue(&rq->queue, &v->sched.fair);
            if (cpu != v->sched.cpu)
                assign(v, cpu);
        }
    }
    spin_unlock(&rq->lock);
    sched_place(v, false);
}

/* ---- evening out ---- */

/* Only with locks that are free at once: two are never waited for together. */
struct vcpu *sched_steal(unsigned cpu)
{
    struct fair_entity *e;

    for (unsigned other = 0; other < nr_cpus; other++) {
        struct runq *rq = &runq[other];
        struct vcpu *found = NULL;

        if (other == cpu || !READ_ONCE(rq->queue.nr) || !spin_trylock(&rq->lock))
            continue;
        list_for_each_entry(e, &rq->queue.ready, link) {
            if (may_run(vcpu_of(e)) && sched_may_use(vcpu_of(e), cpu)) {
                found = vcpu_of(e);
                break;
            }
        }
        if (found) {
            fair_dequeue(&rq->queue, &found->sched.fair);
            assign(found, cpu);
        }
        spin_unlock(&rq->lock);
        if (found)
            return found;
    }
    return NULL;
}

static bool may_move(const struct fair_entity *e, unsigned cpu)
{
    return may_run(vcpu_of(e)) && sched_may_use(vcpu_of(e), cpu);
}

static struct fair_side side_of(unsigned cpu)
{
    const struct vcpu *v = percpu_of(cpu)->current;

    return (struct fair_side){ .queue = &runq[cpu].queue,
                               .load = runq[cpu].queue.weight + (v ? v->sched.fair.weight : 0),
                               .cpu = cpu };
}

/* A vCPU that waits on one CPU waits on another instead. Both locks are held. */
static void move_waiting(struct fair_entity *e, unsigned from, unsigned to)
{
    fair_dequeue(&runq[from].queue, e);
    assign(vcpu_of(e), to);
    fair_enqueue(&runq[to].queue, e, false);
    sched_poke(to);
}

void sched_balance(unsigned cpu, uint64_t now)
{
    struct runq *rq = &runq[cpu];
    struct fair_exchange change;
    struct fair_side here, there;
    unsigned other;

    if (!rq->queue.nr || now < rq->balance_at || nr_cpus < 2)
        return;
    rq->balance_at = now + BALANCE_PERIOD_NS;
    /* Another one each time. */
    other = (cpu + 1 + (unsigned)(now / BALANCE_PERIOD_NS) % (nr_cpus - 1)) % nr_cpus;
    if (!spin_trylock(&runq[other].lock))
        return;
    here = side_of(cpu);
    there = side_of(other);
    if (fair_balance(&here, &there, may_move, &change)) {
        if (change.out)
            move_waiting(change.out, cpu, other);
        if (change.in)
            move_waiting(change.in, other, cpu);
    }
    spin_unlock(&runq[other].lock);
}

/* ---- affinity and weight ---- */

int sched_set_affinity(struct vcpu *v, const uint64_t *cpus)
{
    struct runq *rq;
    bool any = false;

    spin_lock(&owner_lock);
    for (unsigned cpu = 0; cpu < nr_cpus; cpu++)
        any |= test_bit(cpus, cpu) && open_to(cpu, v->domain->domid);
    if (!any) {
        spin_unlock(&owner_lock);
        return -EINVAL;
    }
    rq = lock_runq_of(v);
    for (unsigned i = 0; i < ARRAY_SIZE(v->sched.affinity); i++)
        v->sched.affinity[i] = cpus[i];
    spin_unlock(&rq->lock);
    spin_unlock(&owner_lock);
    reseat(v);
    return 0;
}

void sched_set_soft_affinity(struct vcpu *v, const uint64_t *cpus)
{
    struct runq *rq = lock_runq_of(v);

    for (unsigned i = 0; i < ARRAY_SIZE(v->sched.soft); i++)
        v->sched.soft[i] = cpus[i];
    spin_unlock(&rq->lock);
}

int sched_set_weight(struct vcpu *v, uint32_t weight)
{
    struct runq *rq;

    if (!weight || weight > FAIR_WEIGHT_MAX)
        return -EINVAL;
    rq = lock_runq_of(v);
    fair_set_weight(&rq->queue, &v->sched.fair, weight);
    spin_unlock(&rq->lock);
    return 0;
}

/* ---- dedicated CPUs ---- */

/* Would v still have a CPU if `cpus` were domid's alone, and its others everybody's? Under the owner lock. */
static bool keeps_a_cpu(const struct vcpu *v, uint16_t domid, const uint64_t *cpus)
{
    uint16_t own = v->domain->domid;

    for (unsigned cpu = 0; cpu < nr_cpus; cpu++) {
        uint16_t owner = owner_of[cpu] == domid ? CONTROL_DOMID : owner_of[cpu];

        if (test_bit(cpus, cpu))
            owner = domid;
        if (percpu_of(cpu)->online && test_bit(v->sched.affinity, cpu) &&
            (owner == CONTROL_DOMID || owner == own))
            return true;
    }
    return false;
}

/* 0 if d may have these CPUs. List and owner lock held. */
static int check_dedication(const struct domain *d, const uint64_t *cpus)
{
    const struct domain *other;
    const struct vcpu *v;
    unsigned nr = 0;

    if (d->control || READ_ONCE(d->dying) || test_bit(cpus, 0))
        return -EINVAL;
    for (unsigned cpu = 0; cpu < MAX_CPUS; cpu++) {
        if (!test_bit(cpus, cpu))
            continue;
        if (cpu >= nr_cpus || !percpu_of(cpu)->online)
            return -EINVAL;
        if (owner_of[cpu] != CONTROL_DOMID && owner_of[cpu] != d->domid)
            return -EBUSY;
        nr++;
    }
    if (nr && nr < d->max_vcpus)
        return -EINVAL;
    for_each_domain(other) {
        for_each_vcpu(other, v) {
            if (!keeps_a_cpu(v, d->domid, cpus))
                return -EBUSY;
        }
    }
    return 0;
}

int sched_dedicate(struct domain *d, const uint64_t *cpus)
{
    struct domain *other;
    struct vcpu *v;
    int rc;

    domain_list_lock();
    spin_lock(&owner_lock);
    rc = check_dedication(d, cpus);
    for (unsigned cpu = 0; !rc && cpu < nr_cpus; cpu++) {
        if (test_bit(cpus, cpu))
            WRITE_ONCE(owner_of[cpu], d->domid);
        else if (owner_of[cpu] == d->domid)
            WRITE_ONCE(owner_of[cpu], CONTROL_DOMID);
    }
    spin_unlock(&owner_lock);
    for_each_domain(other) {
        for_each_vcpu(other, v) {
            if (!rc)
                reseat(v);
        }
    }
    domain_list_unlock();
    return rc;
}

void sched_undedicate(const struct domain *d)
{
    spin_lock(&owner_lock);
    for (unsigned cpu = 0; cpu < nr_cpus; cpu++) {
        if (d->control || owner_of[cpu] != d->domid)
            continue;
        WRITE_ONCE(owner_of[cpu], CONTROL_DOMID);
        sched_poke(cpu); /* it may take over what waits elsewhere */
    }
    spin_unlock(&owner_lock);
}

bool sched_is_dedicated(unsigned cpu, const struct domain *d)
{
    return !d->control && cpu < nr_cpus && READ_ONCE(owner_of[cpu]) == d->domid;
}
