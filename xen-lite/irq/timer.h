/* SPDX-License-Identifier: MIT */
/*
 * Timers.  Each CPU has a queue ordered by deadline and programs its local APIC for the first one.
 *
 * Locking: each queue has a lock, taken inside; nobody may call in here with a lock held that a
 * timer's function takes. A function runs on the timer's CPU from the timer interrupt, with
 * interrupts off and no lock held; it may set or cancel any timer, its own included.
 */
#ifndef XL_IRQ_TIMER_H
#define XL_IRQ_TIMER_H

#include "lib/types.h"

struct timer {
    void (*fn)(void *arg);
    void *arg;
    uint64_t deadline; /* nanoseconds, now_ns() scale */
    unsigned cpu;      /* whose queue; changes under both queues' locks */
    bool queued;       /* under the queue's lock */
    /* Pairing heap: first child, next sibling, and previous sibling or parent. */
    struct timer *child, *next, *prev;
};

/* Every CPU once, before its first timer; the CPU's interrupt may come from then on. */
void timer_init_cpu(unsigned cpu);

/* Prepares a timer that is not queued.  It stays on `cpu` until timer_set_cpu(). */
void timer_init(struct timer *t, unsigned cpu, void (*fn)(void *arg), void *arg);

/*
 * Queues it, or moves it if it is queued.  A deadline in the past fires as soon as the CPU takes
 * interrupts. Callable on any CPU: a foreign CPU is told by an inter-processor interrupt when its
 * first deadline moves forward.
 */
void timer_set(struct timer *t, uint64_t deadline_ns);

/* Takes it out of its queue.  The function may still be running on another CPU when this returns.
 */
void timer_cancel(struct timer *t);

/*
 * Takes it out and waits until its function is not running.  Not from the function itself, nor
 * holding a lock that it takes.  The timer's memory may be freed afterwards, if nobody sets it
 * again.
 */
void timer_cancel_sync(struct timer *t);

/* Moves it, with its deadline, to another CPU's queue. */
void timer_set_cpu(struct timer *t, unsigned cpu);

/* True while it waits in a queue; a hint, as it may fire meanwhile. */
static inline bool timer_pending(const struct timer *t)
{
    return READ_ONCE(t->queued);
}

/* The timer vector's handler: runs what is due on this CPU and programs the next.  Bounded: see
 * timer.c. */
void timer_interrupt(void *arg);

/* The next deadline of this CPU's queue, ~0 if it is empty. */
uint64_t timer_next_deadline(void);

struct timer_stats {
    uint64_t interrupts, fired, early;
};
void timer_get_stats(unsigned cpu, struct timer_stats *out);

#endif
