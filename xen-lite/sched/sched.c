/* SPDX-License-Identifier: MIT */
/*
 * The scheduler: per-CPU run queues, round robin with weighted slices, wake-ups and the CPU's main loop.
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
#include "lib/printf.h"
#include "lib/spinlock.h"
#include "lib/time.h"

#define SLICE_NS (10 * NS_PER_MS)
#define WEIGHT_NORMAL 256
/* Leaving guest mode takes microseconds on hardware; an emulator may need a while to schedule the other CPU. */
#define LEAVE_GUEST_DEADLINE_NS (5 * NS_PER_SEC)

struct runq {
    spinlock_t lock;          /* the list, and the sched fields of the vCPUs assigned to this CPU */
    struct list_head ready;   /* runnable vCPUs that do not run */
    struct timer slice;       /* ends the current one's slice while others wait */
};

static struct runq runq[MAX_CPUS];

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
    list_init(&rq->ready);
    timer_init(&rq->slice, cpu, slice_over, NULL);
}

void sched_vcpu_init(struct vcpu *v, unsigned cpu)
{
    struct sched_vcpu *s = &v->sched;

    list_init(&s->link);
    s->cpu = cpu;
    s->hold = 1;
    s->weight = WEIGHT_NORMAL;
    for (unsigned i = 0; i < nr_cpus; i++)
        set_bit(s->affinity, i);
}

static bool may_run(const struct vcpu *v)
{
    const struct sched_vcpu *s = &v->sched;

    return v->initialised && !READ_ONCE(s->blocked) && !READ_ONCE(s->down) && !READ_ONCE(s->hold) &&
           !READ_ONCE(v->wait_for_sipi);
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
    return READ_ONCE(v->sched.blocked) ? RUNSTATE_blocked : RUNSTATE_runnable;
}

/* Queues v if it may run and does not; its CPU's lock is held. */
static void enqueue(struct vcpu *v)
{
    struct runq *rq = &runq[v->sched.cpu];

    if (v->sched.running || !may_run(v) || !list_empty(&v->sched.link))
        return;
    list_add_tail(&v->sched.link, &rq->ready);
    vtime_runstate_change(v, RUNSTATE_runnable);
    poke(v->sched.cpu);
}

static void update(struct vcpu *v)
{
    spin_lock(&runq[v->sched.cpu].lock);
    enqueue(v);
    spin_unlock(&runq[v->sched.cpu].lock);
}

void vcpu_wake(struct vcpu *v)
{
    WRITE_ONCE(v->sched.blocked, false);
    WRITE_ONCE(v->sched.down, false);
    update(v);
}

void vcpu_kick(struct vcpu *v)
{
    struct sched_vcpu *s = &v->sched;

    if (READ_ONCE(s->blocked)) {
        WRITE_ONCE(s->blocked, false);
        update(v);
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
    __atomic_add_fetch(&v->sched.hold, 1, __ATOMIC_SEQ_CST);
    poke(v->sched.cpu);
    if (v == current_vcpu())
        return;
    while (READ_ONCE(v->sched.running))
        cpu_relax();
}

void sched_unhold(struct vcpu *v)
{
    unsigned left = __atomic_sub_fetch(&v->sched.hold, 1, __ATOMIC_SEQ_CST);

    ASSERT(left != ~0u);
    if (!left)
        update(v);
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
        list_del(&v->sched.link);
        reset_by_init(v);
    }
    if (READ_ONCE(v->sipi))
        start_by_sipi(v);
}

static void signal_vcpu(struct vcpu *v)
{
    struct runq *rq = &runq[v->sched.cpu];

    spin_lock(&rq->lock);
    if (v->sched.running) {
        poke(v->sched.cpu);
    } else {
        act_on_signals(v);
        enqueue(v);
    }
    spin_unlock(&rq->lock);
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

/* ---- the loop ---- */

static void put_back(struct runq *rq, struct vcpu *v)
{
    v->sched.running = false;
    act_on_signals(v);
    if (may_run(v))
        list_add_tail(&v->sched.link, &rq->ready);
}

static void switch_to(struct percpu *p, struct vcpu *prev, struct vcpu *next)
{
    if (prev) {
        cpu_vcpu_save(&prev->cpu);
        vtime_runstate_change(prev, sched_state(prev));
    }
    p->current = next;
    if (next) {
        cpu_vcpu_load(&next->cpu);
        vtime_runstate_change(next, RUNSTATE_running);
    }
}

static bool slice_left(const struct vcpu *v)
{
    return !v->sched.yielded && !deadline_passed(v->sched.slice_end);
}

/* Chooses who runs next on this CPU. */
static void schedule(struct percpu *p)
{
    struct runq *rq = &runq[p->id];
    struct vcpu *prev = p->current, *next;

    WRITE_ONCE(p->resched, false);
    mb();
    spin_lock(&rq->lock);
    if (prev && may_run(prev) && !READ_ONCE(prev->init_signal) &&
        (list_empty(&rq->ready) || slice_left(prev))) {
        prev->sched.yielded = false;
        if (!list_empty(&rq->ready))
            timer_set(&rq->slice, prev->sched.slice_end);
        spin_unlock(&rq->lock);
        return;
    }
    next = prev;
    if (prev)
        put_back(rq, prev);
    next = list_empty(&rq->ready) ? NULL : list_first_entry(&rq->ready, struct vcpu, sched.link);
    if (next) {
        list_del(&next->sched.link);
        next->sched.running = true;
        next->sched.yielded = false;
        next->sched.slice_end = now_ns() + SLICE_NS * next->sched.weight / WEIGHT_NORMAL;
        if (list_empty(&rq->ready))
            timer_cancel(&rq->slice);
        else
            timer_set(&rq->slice, next->sched.slice_end);
    }
    spin_unlock(&rq->lock);
    if (next != prev)
        switch_to(p, prev, next);
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
