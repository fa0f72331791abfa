/* SPDX-License-Identifier: MIT */
/*
 * The scheduler: per-CPU run queues in weighted fair order, wake-ups, start-up signals, and the CPU's main loop. Where a
 * vCPU goes is placing.c's.
 */
#include "sched/sched.h"

#include "lib/types.h"

#include <xen/sched.h>
#include <xen/vcpu.h>

#include "cpu/x86.h"
#include "irq/irq.h"
#include "irq/lapic.h"
#include "lib/assert.h"
#include "lib/errno.h"
#include "lib/printf.h"
#include "lib/time.h"
#include "mm/frame.h"
#include "sched/post.h"
#include "sched/runq.h"

/*
 * Leaving guest mode takes microseconds on hardware; under an emulator the other CPU's thread may have to wait for its turn
 * on a busy host, which is worth a line, but not the end.
 */
#define LEAVE_GUEST_WARN_NS (5 * NS_PER_SEC)
#define LEAVE_GUEST_DEADLINE_NS (30 * NS_PER_SEC)
/* The shortest slice worth a timer interrupt. */
#define MIN_SLICE_NS (NS_PER_MS / 2)
#define SCRUB_AFTER_NS (30 * NS_PER_SEC)

static void slice_over(void *arg)
{
    struct vcpu *v = current_vcpu();

    (void)arg;
    if (v)
        v->sched.slices++;
    this_cpu()->resched = true;
}

void sched_init_cpu(unsigned cpu)
{
    struct runq *rq = &runq[cpu];

    spin_lock_init(&rq->lock);
    fair_queue_init(&rq->queue);
    timer_init(&rq->slice, cpu, slice_over, NULL);
    post_init_cpu(cpu);
}

void sched_vcpu_destroy(struct vcpu *v)
{
    struct runq *rq = lock_runq_of(v);

    ASSERT(!v->sched.running);
    fair_dequeue(&rq->queue, &v->sched.fair);
    spin_unlock(&rq->lock);
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

void vcpu_wake(struct vcpu *v)
{
    WRITE_ONCE(v->sched.blocked, false);
    WRITE_ONCE(v->sched.down, false);
    sched_place(v, true);
}

static void kick(struct vcpu *v, uint8_t vector)
{
    struct sched_vcpu *s = &v->sched;

    if (READ_ONCE(s->blocked)) {
        WRITE_ONCE(s->blocked, false);
        sched_place(v, true);
    } else if (READ_ONCE(s->running) && s->cpu != cpu_id() &&
               READ_ONCE(percpu_of(s->cpu)->guest_gen) != GEN_NOT_IN_GUEST) {
        lapic_send_ipi(apicid_of_cpu(s->cpu), vector);
    }
}

void vcpu_kick(struct vcpu *v)
{
    kick(v, VECTOR_KICK);
}

void vcpu_tell_posted(struct vcpu *v)
{
    kick(v, VECTOR_POSTED);
}

void vcpu_block(struct vcpu *v)
{
    WRITE_ONCE(v->sched.blocked, true);
    /* Pairs with the barrier that whoever raises something executes before vcpu_kick(). */
    mb();
    post_sleep(v);
    if (has_event(v) || post_waiting(v)) {
        WRITE_ONCE(v->sched.blocked, false);
        post_run(v);
    } else {
        this_cpu()->resched = true;
    }
}

void vcpu_wait(struct vcpu *v)
{
    WRITE_ONCE(v->sched.waiting, true);
    this_cpu()->resched = true;
}

void vcpu_wait_end(struct vcpu *v)
{
    __atomic_store_n(&v->sched.waiting, false, __ATOMIC_RELEASE);
    sched_place(v, true);
}

void vcpu_yield(struct vcpu *v)
{
    v->sched.yielded = true;
    this_cpu()->resched = true;
}

void vcpu_set_down(struct vcpu *v)
{
    WRITE_ONCE(v->sched.down, true);
    sched_poke(v->sched.cpu);
}

/* One wait for another CPU. All zero at first. */
struct leave_wait {
    uint64_t begin;
    bool told;
};

/* Another look was in vain. Returns for as long as there is hope. */
static void wait_for_cpu(struct leave_wait *w, unsigned cpu)
{
    uint64_t now = now_ns();

    if (!w->begin)
        w->begin = now;
    if (now - w->begin > LEAVE_GUEST_DEADLINE_NS)
        panic("CPU %u does not leave its guest", cpu);
    if (now - w->begin > LEAVE_GUEST_WARN_NS && !w->told) {
        pr_warn("CPU %u has not left its guest for %llu s", cpu, LEAVE_GUEST_WARN_NS / NS_PER_SEC);
        w->told = true;
    }
    cpu_relax();
}

void sched_hold(struct vcpu *v)
{
    struct leave_wait w = { 0 };

    __atomic_add_fetch(&v->sched.hold, 1, __ATOMIC_SEQ_CST);
    sched_poke(v->sched.cpu);
    if (v == current_vcpu())
        return;
    while (__atomic_load_n(&v->sched.running, __ATOMIC_ACQUIRE))
        wait_for_cpu(&w, v->sched.cpu);
}

void sched_unhold(struct vcpu *v)
{
    unsigned left = __atomic_sub_fetch(&v->sched.hold, 1, __ATOMIC_SEQ_CST);

    ASSERT(left != ~0u);
    if (!left)
        sched_place(v, true);
}

/* ---- INIT and SIPI: the target's own CPU acts on them, unless the target does not run at all ---- */

static void reset_by_init(struct vcpu *v)
{
    WRITE_ONCE(v->init_signal, false);
    cpu_vcpu_reset(&v->cpu);
    post_discard(v);
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
        sched_poke(v->sched.cpu);
    else
        act_on_signals(v);
    spin_unlock(&rq->lock);
    sched_place(v, true);
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

static void charge(struct runq *rq, struct vcpu *v, uint64_t now)
{
    fair_charge(&rq->queue, &v->sched.fair, now - v->sched.since);
    v->sched.since = now;
}

/* May the current one go on? */
static bool goes_on(struct runq *rq, struct vcpu *v, unsigned cpu)
{
    if (!may_run(v) || READ_ONCE(v->init_signal) || !sched_may_use(v, cpu))
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
    post_leave(prev);
    p->current = NULL;
    __atomic_store_n(&prev->sched.running, false, __ATOMIC_RELEASE);
    prev->sched.yielded = false;
    act_on_signals(prev);
    vtime_runstate_change(prev, sched_state(prev));
    if (!may_run(prev))
        return false;
    if (!sched_may_use(prev, p->id))
        return true;
    fair_enqueue(&rq->queue, &prev->sched.fair, false);
    return false;
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
    return sched_steal(cpu);
}

static void put_on(struct percpu *p, struct vcpu *next, uint64_t now)
{
    next->sched.running = true;
    next->sched.since = now;
    next->sched.runs++;
    p->current = next;
    cpu_vcpu_load(&next->cpu);
    post_run(next);
    vtime_runstate_change(next, RUNSTATE_running);
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
        if (may_run(prev) && !prev->sched.yielded)
            prev->sched.interruptions++;
        if (goes_on(rq, prev, p->id)) {
            prev->sched.yielded = false;
            post_stay(prev);
            sched_balance(p->id, now);
            arm_slice(rq, prev, now);
            spin_unlock(&rq->lock);
            return;
        }
        homeless = take_off(rq, p, prev);
    }
    next = pick(rq, p->id);
    if (next) {
        put_on(p, next, now);
        sched_balance(p->id, now);
        arm_slice(rq, next, now);
    }
    spin_unlock(&rq->lock);
    if (homeless)
        sched_place(prev, false);
    if (next && unlikely(next->sched.followed != next->sched.migrations)) {
        uint64_t migrations = next->sched.migrations;

        if (vcpu_moved(next))
            next->sched.followed = migrations;
    }
}

/* Between two pieces of work of an idle CPU: interrupts are taken, and whatever they bring comes first. */
static bool stays_idle(void)
{
    __asm__ __volatile__("sti; nop; cli" ::: "memory");
    return !READ_ONCE(this_cpu()->resched);
}

/* Starting up is left alone: free memory that has never been used is cleared when things have calmed down. */
static bool scrub(void)
{
    return now_ns() > SCRUB_AFTER_NS && frames_scrub(stays_idle);
}

static void idle(struct percpu *p)
{
    WRITE_ONCE(p->in_idle, true);
    mb();
    /* STI lets interrupts in only after HLT has begun, so a wake-up between check and HLT is not lost. */
    if (!READ_ONCE(p->resched) && !scrub() && !READ_ONCE(p->resched))
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
    struct leave_wait w = { 0 };
    unsigned self = cpu_id();

    mb();
    for (unsigned cpu = 0; cpu < nr_cpus; cpu++)
        if (cpu != self && cpu_runs_older(cpu, p2m, gen))
            lapic_send_ipi(apicid_of_cpu(cpu), VECTOR_KICK);
    for (unsigned cpu = 0; cpu < nr_cpus; cpu++)
        while (cpu != self && cpu_runs_older(cpu, p2m, gen))
            wait_for_cpu(&w, cpu);
}
