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

static inline bool deadline_passed(uint64_t deadline_ns)
{
    return (int64_t)(now_ns() - deadline_ns) >= 0;
}

#endif
