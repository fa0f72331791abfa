/* SPDX-License-Identifier: MIT */
/*
 * The timer of the virtual local APIC, one-shot and periodic (SDM vol. 3, 11.5.4), on a bus of 100
 * MHz.  The count is never kept: it follows from the time at which it was started.
 */
#include "lib/time.h"
#include "vdev/vlapic_priv.h"

#define BUS_CYCLE_NS 10

/* Shortest distance between two interrupts of a periodic timer: a guest must not load its CPU with
 * them. */
#define MIN_PERIOD_NS (50 * NS_PER_US)

/* 2, 4, .. 128, 1, from bits 3, 1 and 0. */
static uint64_t tick_ns(const struct vlapic *l)
{
    unsigned code = (l->timer_divide & 3) | ((l->timer_divide >> 1) & 4);

    return (uint64_t)BUS_CYCLE_NS << ((code + 1) & 7);
}

static uint64_t period_ns(const struct vlapic *l)
{
    return l->timer_initial * tick_ns(l);
}

static bool periodic(const struct vlapic *l)
{
    return l->lvt[VLAPIC_LVT_TIMER] & LVT_PERIODIC;
}

static void fire(void *arg)
{
    struct vlapic *l = arg;
    uint64_t now = now_ns();

    if (!l->timer_running)
        return;
    l->stats.timer_fired++;
    vlapic_local_signal(l, VLAPIC_LVT_TIMER);
    if (periodic(l)) {
        uint64_t period = period_ns(l);

        /* Missed periods are not made up for. */
        l->timer_start += (now - l->timer_start) / period * period;
        timer_set(&l->timer, MAX(l->timer_start + period, now + MIN_PERIOD_NS));
    } else {
        l->timer_running = false;
    }
}

/* `at` may be "before" time 0 after a change of the divisor: sums and differences come out right
 * modulo 2^64. */
static void start(struct vlapic *l, uint64_t at)
{
    l->timer_running = true;
    l->timer_start = at;
    timer_set(&l->timer, l->timer_start + period_ns(l));
}

void vlapic_timer_init(struct vlapic *l)
{
    timer_init(&l->timer, vcpu_cpu(l->vcpu), fire, l);
}

void vlapic_timer_stop(struct vlapic *l)
{
    l->timer_running = false;
    timer_cancel(&l->timer);
}

void vlapic_timer_set_initial(struct vlapic *l, uint32_t count)
{
    vlapic_timer_stop(l);
    l->timer_initial = count;
    if (count)
        start(l, now_ns());
}

void vlapic_timer_set_divide(struct vlapic *l, uint32_t divide)
{
    uint32_t left = vlapic_timer_current(l);

    l->timer_divide = divide & 0xb;
    if (!l->timer_running)
        return;
    /* The count goes on from where it is, at the new pace. */
    timer_cancel(&l->timer);
    start(l, now_ns() - (l->timer_initial - left) * tick_ns(l));
}

void vlapic_timer_resume(struct vlapic *l, uint32_t divide, uint32_t initial, uint32_t left)
{
    l->timer_divide = divide & 0xb;
    l->timer_initial = initial;
    if (left)
        start(l, now_ns() - (uint64_t)(initial - left) * tick_ns(l));
}

uint32_t vlapic_timer_current(const struct vlapic *l)
{
    uint64_t elapsed, period = period_ns(l);

    if (!l->timer_running || !period)
        return 0;
    elapsed = now_ns() - l->timer_start;
    if (elapsed >= period) {
        if (!periodic(l))
            return 0;
        elapsed %= period;
    }
    return l->timer_initial - (uint32_t)(elapsed / tick_ns(l));
}
