/* SPDX-License-Identifier: MIT */
/*
 * Time since boot, for deadlines and time stamps. Implemented by irq/time.c; tests supply their own clock.
 */
#ifndef XL_LIB_TIME_H
#define XL_LIB_TIME_H

#include "lib/types.h"

#define NS_PER_US 1000ULL
#define NS_PER_MS 1000000ULL
#define NS_PER_SEC 1000000000ULL

/* Nanoseconds since boot, monotonic on one CPU. 0 before time_init(). */
uint64_t now_ns(void);
/* Busy-waits for at least us microseconds. */
void udelay(unsigned us);

/*
 * The running CPU's own clock, raw: for who takes the time often and looks at it rarely. clock_to_ns() makes the time that now_ns()
 * gave then of what `cpu` read.
 */
#ifdef XL_HOST
uint64_t clock_ticks(void);
#else
static inline uint64_t clock_ticks(void)
{
    uint32_t lo, hi;

    __asm__ __volatile__("rdtsc" : "=a"(lo), "=d"(hi));
    return (uint64_t)hi << 32 | lo;
}
#endif
uint64_t clock_to_ns(uint64_t ticks, unsigned cpu);

static inline bool deadline_passed(uint64_t deadline_ns)
{
    return (int64_t)(now_ns() - deadline_ns) >= 0;
}

#endif
