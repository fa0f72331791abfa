/* SPDX-License-Identifier: MIT */
/*
 * The scheduler: per-CPU run queues in weighted fair order, wake-ups, placing, start-up signals, and the CPU's main loop.
 */
#include "sched/sched.h"

#include "lib/types.h"

#include <xen/sched.h>
#include <xen/vcpu.h>

#include "cpu/x86.h"
#include "domain/domain.h"
#include "irq/irq.h"
#include "irq/lapic.h"
#include "irq/timer.h"
#include "lib/assert.h"
#include "lib/errno.h"
#include "lib/printf.h"
#include "lib/spinlock.h"
#include "lib/time.h"

/* Leaving guest mode takes microseconds on hardware; an emulator may need a while to schedule the other CPU. */
#define LEAVE_GUEST_DEADLINE_NS (5 * NS_PER_SEC)
/* The shortest slice worth a timer interrupt. */
#define MIN_SLICE_NS (NS_PER_MS / 2)

struct runq {
    spinlock_t lock;          /* the queue, and the sched fields of the vCPUs assigned to this CPU */
    struct fair_queue queue;  /* runnable vCPUs that do not run */
    struct timer slice;       /* ends the current one's slice while others wait */
};

static struct runq runq[MAX_CPUS];

static struct vcpu *vcpu_of(struct fair_entity *e)
{
    return container_of(e, struct vcpu, sched.fair);
}

/* Makes a CPU look at its run queue: at its next turn, which an interrupt brings about if it is in the guest or idle. */
static void poke(unsigned cpu)
{
    struct percpu *p = percpu_of(cpu);

    WRITE_ONCE(p->resched, true);
    mb();
    if (cpu == cpu_id())
        return;
    if (READ_ONCE(p->in_idle) || READ_ONCE(p->guest_gen) != GEN_NOT_IN_GUEST)
        lapic_send_ipi(p->apicid, VECTOR_KICK);
}

static void slice_over(void *arg)
{
    (void)arg;
    this_cpu()->resched = true;
}

void sched_init_cpu(unsigned cpu)
{
    struct runq *rq = &runq[cpu];

    spin_lock_init(&rq->lock);
    fair_queue_init(&rq->queue);
    timer_init(&rq->slice, cpu, slice_over, NULL);
}

void sched_vcpu_init(struct vcpu *v, unsigned cpu)
{
    struct sched_vcpu *s = &v->sched;

    fair_entity_init(&s->fair, FAIR_WEIGHT_NORMAL);
    s->fair.vtime = runq[cpu].queue.min;
    s->cpu = cpu;
    s->hold = 1;
    for (unsigned i = 0; i < nr_cpus; i++)
        set_bit(s->affinity, i);
}

/* The lock of the queue that v is assigned to now, taken. */
static struct runq *lock_runq_of(const struct vcpu *v)
{
    for (;;) {
        unsigned cpu = READ_ONCE(v->sched.cpu);

        spin_lock(&runq[cpu].lock);
        if (likely(READ_ONCE(v->sched.cpu) == cpu))
            return &runq[cpu];
        spin_unlock(&runq[cpu].lock);
    }
}

void sched_vcpu_destroy(struct vcpu *v)
{
    struct runq *rq = lock_runq_of(v);

    ASSERT(!v->sched.running);
    fair_dequeue(&rq->queue, &v->sched.fair);
    spin_unlock(&rq->lock);
}

static bool may_run(const struct vcpu *v)
{
    const struct sched_vcpu *s = &v->sched;

    return v->initialised && !READ_ONCE(s->blocked) && !READ_ONCE(s->down) && !READ_ONCE(s->hold) &&
           !READ_ONCE(s->waiting) && !READ_ONCE(v->wait_for_sipi);
}

/* Something that ends HLT: an interrupt it would take, an NMI, a start-up signal. */
static bool has_event(struct vcpu *v)
{
    return READ_ONCE(v->cpu.nmi_pending) || READ_ONCE(v->init_signal) || vlapic_has_irq(&v->vlapic) ||
           evtchn_direct_vector(v) >= 0;
}

int sched_state(const struct vcpu *v)
{
    if (READ_ONCE(v->sched.running))
        return RUNSTATE_running;
    if (!v->initialised || READ_ONCE(v->sched.down) || READ_ONCE(v->sched.hold) ||
        READ_ONCE(v->wait_for_sipi))
        return RUNSTATE_offline;
    return READ_ONCE(v->sched.blocked) || READ_ONCE(v->sched.waiting) ? RUNSTATE_blocked
                                                                       : RUNSTATE_runnable;
}

/* ---- placing ---- */

static bool cpu_is_free(unsigned cpu)
{
    return READ_ONCE(percpu_of(cpu)->online) && !READ_ONCE(percpu_of(cpu)->current) &&
           !READ_ONCE(runq[cpu].queue.nr);
}

static bool may_use(const struct vcpu *v, unsigned cpu)
{
    return cpu < nr_cpus && READ_ONCE(percpu_of(cpu)->online) && test_bit(v->sched.affinity, cpu);
}

/* Where v should wait for its turn: where it was if nobody else is there, else on a free CPU if there is one. */
static unsigned choose_cpu(const struct vcpu *v)
{
    unsigned home = v->sched.cpu, fallback = MAX_CPUS;

    if (may_use(v, home)) {
        if (cpu_is_free(home))
            return home;
        fallback = home;
    }
    for (unsigned cpu = 0; cpu < nr_cpus; cpu++) {
        if (!may_use(v, cpu))
            continue;
        if (cpu_is_free(cpu))
            return cpu;
        if (fallback == MAX_CPUS)
            fallback = cpu;
    }
    return fallback == MAX_CPUS ? home : fallback;
}

/* v, which neither runs nor waits, goes to another CPU. The lock of its old CPU is held. */
static void assign(struct vcpu *v, unsigned cpu)
{
    fair_move(&runq[v->sched.cpu].queue, &runq[cpu].queue, &v->sched.fair);
    WRITE_ONCE(v->sched.cpu, cpu);
    v->sched.migrations++;
    vlapic_migrate(&v->vlapic, cpu);
    vtime_migrate(v, cpu);
}

static bool is_waiting(const struct vcpu *v)
{
    return v->sched.running || v->sched.fair.queued;
}

/* Gives v its place in a queue if it may run and has none. waking: it comes from a sleep. */
static void place(struct vcpu *v, bool waking)
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
        poke(v->sched.cpu);
    }
    spin_unlock(&rq->lock);
}

void vcpu_wake(struct vcpu *v)
{
    WRITE_ONCE(v->sched.blocked, false);
    WRITE_ONCE(v->sched.down, false);
    place(v, true);
}

void vcpu_kick(struct vcpu *v)
{
    struct sched_vcpu *s = &v->sched;

    if (READ_ONCE(s->blocked)) {
        WRITE_ONCE(s->blocked, false);
        place(v, true);
    } else if (READ_ONCE(s->running) && s->cpu != cpu_id() &&
               READ_ONCE(percpu_of(s->cpu)->guest_gen) != GEN_NOT_IN_GUEST) {
        lapic_send_ipi(apicid_of_cpu(s->cpu), VECTOR_KICK);
    }
}

void vcpu_block(struct vcpu *v)
{
    WRITE_ONCE(v->sched.blocked, true);
    /* Pairs with the barrier that whoever raises something executes before vcpu_kick(). */
    mb();
    if (has_event(v))
        WRITE_ONCE(v->sched.blocked, false);
    else
        this_cpu()->resched = true;
}

void vcpu_wait(struct vcpu *v)
{
    WRITE_ONCE(v->sched.waiting, true);
    this_cpu()->resched = true;
}

void vcpu_wait_end(struct vcpu *v)
{
    __atomic_store_n(&v->sched.waiting, false, __ATOMIC_RELEASE);
    place(v, true);
}

void vcpu_yield(struct vcpu *v)
{
    v->sched.yielded = true;
    this_cpu()->resched = true;
}

void vcpu_set_down(struct vcpu *v)
{
    WRITE_ONCE(v->sched.down, true);
    poke(v->sched.cpu);
}

void sched_hold(struct vcpu *v)
{
    uint64_t deadline = 0;

    __atomic_add_fetch(&v->sched.hold, 1, __ATOMIC_SEQ_CST);
    poke(v->sched.cpu);
    if (v == current_vcpu())
        return;
    while (__atomic_load_n(&v->sched.running, __ATOMIC_ACQUIRE)) {
        if (!deadline)
            deadline = now_ns() + LEAVE_GUEST_DEADLINE_NS;
        if (deadline_passed(deadline))
            panic("domain %u vCPU %u does not stop", v->domain->domid, v->id);
        cpu_relax();
    }
}

void sched_unhold(struct vcpu *v)
{
    unsigned left = __atomic_sub_fetch(&v->sched.hold, 1, __ATOMIC_SEQ_CST);

    ASSERT(left != ~0u);
    if (!left)
        place(v, true);
}

/* ---- INIT and SIPI: the target's own CPU acts on them, unless the target does not run at all ---- */

static void reset_by_init(struct vcpu *v)
{
    WRITE_ONCE(v->init_signal, false);
    cpu_vcpu_reset(&v->cpu);
    vlapic_reset_init(&v->vlapic);
    v->sched.blocked = false;
    v->sched.down = false;
    WRITE_ONCE(v->wait_for_sipi, true);
}

static void start_by_sipi(struct vcpu *v)
{
    unsigned sipi = __atomic_exchange_n(&v->sipi, 0, __ATOMIC_SEQ_CST);

    if (!(sipi & BIT(8)) || !v->wait_for_sipi)
        return;
    cpu_vcpu_start_sipi(&v->cpu, (uint8_t)sipi);
    v->initialised = true;
    WRITE_ONCE(v->sched.down, false);
    WRITE_ONCE(v->wait_for_sipi, false);
}

/* With v's run queue lock held and v not running. */
static void act_on_signals(struct vcpu *v)
{
    if (READ_ONCE(v->init_signal)) {
        fair_dequeue(&runq[v->sched.cpu].queue, &v->sched.fair);
        reset_by_init(v);
    }
    if (READ_ONCE(v->sipi))
        start_by_sipi(v);
}

static void signal_vcpu(struct vcpu *v)
{
    struct runq *rq = lock_runq_of(v);

    if (v->sched.running)
        poke(v->sched.cpu);
    else
        act_on_signals(v);
    spin_unlock(&rq->lock);
    place(v, true);
}

void vcpu_init_signal(struct vcpu *v)
{
    WRITE_ONCE(v->sipi, 0);
    WRITE_ONCE(v->init_signal, true);
    signal_vcpu(v);
}

void vcpu_sipi(struct vcpu *v, uint8_t vector)
{
    WRITE_ONCE(v->sipi, (uint16_t)(BIT(8) | vector));
    signal_vcpu(v);
}

void vcpu_nmi(struct vcpu *v)
{
    cpu_inject_nmi(&v->cpu);
    mb();
    vcpu_kick(v);
}

unsigned vcpu_cpu(const struct vcpu *v)
{
    return v->sched.cpu;
}

/* ---- affinity and weight ---- */

int sched_set_affinity(struct vcpu *v, const uint64_t *cpus)
{
    struct runq *rq;
    bool any = false;

    for (unsigned cpu = 0; cpu < nr_cpus; cpu++)
        any |= test_bit(cpus, cpu) && percpu_of(cpu)->online;
    if (!any)
        return -EINVAL;
    rq = lock_runq_of(v);
    for (unsigned i = 0; i < ARRAY_SIZE(v->sched.affinity); i++)
        v->sched.affinity[i] = cpus[i];
    if (v->sched.running)
        poke(v->sched.cpu); /* its CPU sends it away if need be */
    else if (!may_use(v, v->sched.cpu))
        fair_dequeue(&rq->queue, &v->sched.fair);
    spin_unlock(&rq->lock);
    place(v, false);
    return 0;
}

int sched_set_weight(struct vcpu *v, uint32_t weight)
{
    struct runq *rq;

    if (!weight || weight > FAIR_WEIGHT_MAX)
        return -EINVAL;
    rq = lock_runq_of(v);
    v->sched.fair.weight = weight;
    spin_unlock(&rq->lock);
    return 0;
}

/* ---- the loop ---- */

static void charge(struct runq *rq, struct vcpu *v, uint64_t now)
{
    fair_charge(&rq->queue, &v->sched.fair, now - v->sched.since);
    v->sched.since = now;
}

/* May the current one go on? */
static bool goes_on(struct runq *rq, struct vcpu *v, unsigned cpu)
{
    if (!may_run(v) || READ_ONCE(v->init_signal) || !may_use(v, cpu))
        return false;
    if (!fair_first(&rq->queue))
        return true;
    if (v->sched.yielded)
        fair_yield(&rq->queue, &v->sched.fair);
    return !v->sched.yielded && !fair_must_yield(&rq->queue, &v->sched.fair);
}

static void arm_slice(struct runq *rq, struct vcpu *v, uint64_t now)
{
    uint64_t slice = fair_slice(&rq->queue, &v->sched.fair);

    if (slice == ~0ULL)
        timer_cancel(&rq->slice);
    else
        timer_set(&rq->slice, now + MAX(slice, MIN_SLICE_NS));
}

/* Takes prev off the CPU. True if it has to be placed on another one, after the lock is released. */
static bool take_off(struct runq *rq, struct percpu *p, struct vcpu *prev)
{
    cpu_vcpu_save(&prev->cpu);
    p->current = NULL;
    __atomic_store_n(&prev->sched.running, false, __ATOMIC_RELEASE);
    prev->sched.yielded = false;
    act_on_signals(prev);
    vtime_runstate_change(prev, sched_state(prev));
    if (!may_run(prev))
        return false;
    if (!may_use(prev, p->id))
        return true;
    fair_enqueue(&rq->queue, &prev->sched.fair, false);
    return false;
}

/* This CPU has nothing to do: takes over a vCPU that waits elsewhere. Only with locks that are free at once. */
static struct vcpu *steal(unsigned cpu)
{
    struct fair_entity *e;

    for (unsigned other = 0; other < nr_cpus; other++) {
        struct runq *rq = &runq[other];
        struct vcpu *found = NULL;

        if (other == cpu || !READ_ONCE(rq->queue.nr) || !spin_trylock(&rq->lock))
            continue;
        list_for_each_entry(e, &rq->queue.ready, link) {
            if (may_run(vcpu_of(e)) && may_use(vcpu_of(e), cpu)) {
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

static struct vcpu *pick(struct runq *rq, unsigned cpu)
{
    struct fair_entity *e;

    while ((e = fair_first(&rq->queue)) != NULL) {
        fair_dequeue(&rq->queue, e);
        /* One that was held back while it waited finds its place again when it is let go. */
        if (may_run(vcpu_of(e)))
            return vcpu_of(e);
    }
    return steal(cpu);
}

static void put_on(struct runq *rq, struct percpu *p, struct vcpu *next, uint64_t now)
{
    next->sched.running = true;
    next->sched.since = now;
    p->current = next;
    cpu_vcpu_load(&next->cpu);
    vtime_runstate_change(next, RUNSTATE_running);
    arm_slice(rq, next, now);
}

/* Chooses who runs next on this CPU. */
static void schedule(struct percpu *p)
{
    struct runq *rq = &runq[p->id];
    struct vcpu *prev = p->current, *next;
    uint64_t now = now_ns();
    bool homeless = false;

    WRITE_ONCE(p->resched, false);
    mb();
    spin_lock(&rq->lock);
    if (prev) {
        charge(rq, prev, now);
        if (goes_on(rq, prev, p->id)) {
            prev->sched.yielded = false;
            arm_slice(rq, prev, now);
            spin_unlock(&rq->lock);
            return;
        }
        homeless = take_off(rq, p, prev);
    }
    next = pick(rq, p->id);
    if (next)
        put_on(rq, p, next, now);
    spin_unlock(&rq->lock);
    if (homeless)
        place(prev, false);
    if (next && unlikely(next->sched.followed != next->sched.migrations)) {
        uint64_t migrations = next->sched.migrations;

        if (vcpu_moved(next))
            next->sched.followed = migrations;
    }
}

static void idle(struct percpu *p)
{
    WRITE_ONCE(p->in_idle, true);
    mb();
    /* STI lets interrupts in only after HLT has begun, so a wake-up between check and HLT is not lost. */
    if (!READ_ONCE(p->resched))
        __asm__ __volatile__("sti; hlt; cli" ::: "memory");
    WRITE_ONCE(p->in_idle, false);
}

void sched_loop(void)
{
    struct percpu *p = this_cpu();

    p->resched = true;
    for (;;) {
        if (unlikely(READ_ONCE(p->resched)))
            schedule(p);
        if (likely(p->current))
            cpu_run(p->current);
        else
            idle(p);
    }
}

/* ---- translations ---- */

void sched_flush_p2m(struct p2m *p2m)
{
    uint64_t gen = READ_ONCE(p2m->gen);
    uint64_t deadline = 0;
    unsigned self = cpu_id();

    mb();
    for (unsigned cpu = 0; cpu < nr_cpus; cpu++)
        if (cpu != self && cpu_runs_older(cpu, p2m, gen))
            lapic_send_ipi(apicid_of_cpu(cpu), VECTOR_KICK);
    for (unsigned cpu = 0; cpu < nr_cpus; cpu++) {
        while (cpu != self && cpu_runs_older(cpu, p2m, gen)) {
            if (!deadline)
                deadline = now_ns() + LEAVE_GUEST_DEADLINE_NS;
            if (deadline_passed(deadline))
                panic("CPU %u does not leave its guest", cpu);
            cpu_relax();
        }
    }
}
