/* SPDX-License-Identifier: MIT */
/*
 * Timers: a pairing heap of deadlines for each CPU (insertion in constant time, removal in
 * logarithmic time, no memory of its own), and the one-shot timer of the local APIC set for the
 * first of them.
 */
#include "irq/timer.h"

#include "irq/irq.h"
#include "irq/lapic.h"
#include "lib/assert.h"
#include "lib/atomic.h"
#include "lib/percpu.h"
#include "lib/spinlock.h"
#include "lib/time.h"

/* Functions run by one interrupt: what is left over gets an interrupt of its own. */
#define TIMER_BATCH 64
#define NOT_ARMED   (~0ULL)

struct timer_queue {
    spinlock_t lock;
    struct timer *root;
    uint64_t armed;        /* deadline that the local APIC is set for, NOT_ARMED without */
    struct timer *running; /* whose function runs now */
    struct timer_stats stats;
} __aligned(64);

static struct timer_queue timer_queues[MAX_CPUS];

/* ---- the heap ---- */

static struct timer *heap_merge(struct timer *a, struct timer *b)
{
    if (!a || !b)
        return a ? a : b;
    if (b->deadline < a->deadline) {
        struct timer *t = a;

        a = b;
        b = t;
    }
    b->prev = a;
    b->next = a->child;
    if (b->next)
        b->next->prev = b;
    a->child = b;
    return a;
}

/* Makes one heap of a list of siblings: pairs from the left, then all of them from the right. */
static struct timer *heap_merge_siblings(struct timer *first)
{
    struct timer *pairs = NULL, *root = NULL;

    while (first) {
        struct timer *a = first, *b = a->next;

        first = b ? b->next : NULL;
        a->next = a->prev = NULL;
        if (b)
            b->next = b->prev = NULL;
        a = heap_merge(a, b);
        a->next = pairs;
        pairs = a;
    }
    while (pairs) {
        struct timer *next = pairs->next;

        pairs->next = NULL;
        root = heap_merge(root, pairs);
        pairs = next;
    }
    return root;
}

static void queue_insert(struct timer_queue *q, struct timer *t)
{
    t->child = t->next = t->prev = NULL;
    q->root = heap_merge(q->root, t);
    WRITE_ONCE(t->queued, true);
}

static void queue_remove(struct timer_queue *q, struct timer *t)
{
    if (t == q->root) {
        q->root = heap_merge_siblings(t->child);
    } else {
        if (t->prev->child == t)
            t->prev->child = t->next;
        else
            t->prev->next = t->next;
        if (t->next)
            t->next->prev = t->prev;
        q->root = heap_merge(q->root, heap_merge_siblings(t->child));
    }
    t->child = t->next = t->prev = NULL;
    WRITE_ONCE(t->queued, false);
}

/* ---- queues ---- */

/* Locks the queue that the timer belongs to, which may change until the lock is held. */
static struct timer_queue *lock_queue_of(struct timer *t)
{
    for (;;) {
        unsigned cpu = READ_ONCE(t->cpu);
        struct timer_queue *q = &timer_queues[cpu];

        spin_lock(&q->lock);
        if (t->cpu == cpu)
            return q;
        spin_unlock(&q->lock);
    }
}

/* Sets this CPU's local APIC for the first deadline if it is not set for that or an earlier one.
 * Lock held. */
static void arm_local(struct timer_queue *q, uint64_t now)
{
    uint64_t first = q->root ? q->root->deadline : NOT_ARMED;

    if (first >= q->armed)
        return;
    q->armed = first;
    lapic_timer_arm(first > now ? first - now : 0);
}

/* The queue of `cpu` may have an earlier first deadline than its local APIC knows.  Lock held. */
static void queue_changed(struct timer_queue *q, unsigned cpu)
{
    if (cpu == cpu_id()) {
        arm_local(q, now_ns());
        return;
    }
    /* The other CPU's handler sets its local APIC; armed until then, so that one message is enough.
     */
    if (q->root && q->root->deadline < q->armed &&
        lapic_send_ipi(apicid_of_cpu(cpu), VECTOR_TIMER) == 0)
        q->armed = q->root->deadline;
}

void timer_init_cpu(unsigned cpu)
{
    struct timer_queue *q = &timer_queues[cpu];

    ASSERT(cpu < MAX_CPUS);
    spin_lock_init(&q->lock);
    q->root = NULL;
    q->running = NULL;
    q->armed = NOT_ARMED;
    q->stats = (struct timer_stats){ 0, 0, 0 };
}

void timer_init(struct timer *t, unsigned cpu, void (*fn)(void *arg), void *arg)
{
    ASSERT(cpu < MAX_CPUS);
    *t = (struct timer){ .fn = fn, .arg = arg, .cpu = cpu };
}

void timer_set(struct timer *t, uint64_t deadline_ns)
{
    struct timer_queue *q = lock_queue_of(t);

    if (t->queued)
        queue_remove(q, t);
    t->deadline = MIN(deadline_ns, NOT_ARMED - 1);
    queue_insert(q, t);
    queue_changed(q, t->cpu);
    spin_unlock(&q->lock);
}

void timer_cancel(struct timer *t)
{
    struct timer_queue *q = lock_queue_of(t);

    /* The local APIC stays set: one early interrupt costs less than setting it anew each time. */
    if (t->queued)
        queue_remove(q, t);
    spin_unlock(&q->lock);
}

void timer_cancel_sync(struct timer *t)
{
    timer_cancel(t);
    for (unsigned cpu = 0; cpu < nr_cpus; cpu++) {
        while (__atomic_load_n(&timer_queues[cpu].running, __ATOMIC_ACQUIRE) == t) {
            ASSERT(cpu != cpu_id());
            cpu_relax();
        }
    }
    /* Its function may have set it again before it ended. */
    timer_cancel(t);
}

void timer_set_cpu(struct timer *t, unsigned cpu)
{
    ASSERT(cpu < MAX_CPUS);
    for (;;) {
        unsigned old = READ_ONCE(t->cpu);
        struct timer_queue *low = &timer_queues[MIN(old, cpu)];
        struct timer_queue *high = &timer_queues[MAX(old, cpu)];
        bool done;

        if (old == cpu)
            return;
        spin_lock(&low->lock);
        spin_lock(&high->lock);
        done = t->cpu == old;
        if (done) {
            bool queued = t->queued;

            if (queued)
                queue_remove(&timer_queues[old], t);
            WRITE_ONCE(t->cpu, cpu);
            if (queued) {
                queue_insert(&timer_queues[cpu], t);
                queue_changed(&timer_queues[cpu], cpu);
            }
        }
        spin_unlock(&high->lock);
        spin_unlock(&low->lock);
        if (done)
            return;
    }
}

/* Takes the first timer that is due out of the queue and marks it running.  Lock held. */
static struct timer *take_due(struct timer_queue *q, uint64_t now)
{
    struct timer *t = q->root;

    if (!t || t->deadline > now)
        return NULL;
    queue_remove(q, t);
    __atomic_store_n(&q->running, t, __ATOMIC_RELEASE);
    q->stats.fired++;
    return t;
}

void timer_interrupt(void *arg)
{
    struct timer_queue *q = &timer_queues[cpu_id()];
    uint64_t now = now_ns();
    unsigned ran = 0;
    struct timer *t;

    (void)arg;
    spin_lock(&q->lock);
    q->stats.interrupts++;
    while (ran < TIMER_BATCH && (t = take_due(q, now)) != NULL) {
        void (*fn)(void *) = t->fn;
        void *fn_arg = t->arg;

        ran++;
        spin_unlock(&q->lock);
        fn(fn_arg);
        spin_lock(&q->lock);
        __atomic_store_n(&q->running, NULL, __ATOMIC_RELEASE);
    }
    if (!ran && q->root)
        q->stats.early++;
    q->armed = NOT_ARMED;
    arm_local(q, now_ns());
    spin_unlock(&q->lock);
}

uint64_t timer_next_deadline(void)
{
    struct timer_queue *q = &timer_queues[cpu_id()];
    uint64_t deadline;

    spin_lock(&q->lock);
    deadline = q->root ? q->root->deadline : ~0ULL;
    spin_unlock(&q->lock);
    return deadline;
}

void timer_get_stats(unsigned cpu, struct timer_stats *out)
{
    struct timer_queue *q = &timer_queues[cpu];

    spin_lock(&q->lock);
    *out = q->stats;
    spin_unlock(&q->lock);
}
