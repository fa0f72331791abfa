/* SPDX-License-Identifier: MIT */
/*
 * Per-domain state of two small calls: the watchdog timers of sched_op and the flags that vm_assist
 * switches.
 */
#ifndef XL_HYPERCALL_SCHED_OP_H
#define XL_HYPERCALL_SCHED_OP_H

#include "lib/types.h"

#include "irq/timer.h"
#include "lib/spinlock.h"

struct domain;

#define WATCHDOGS_PER_DOMAIN 2

struct watchdog_slot {
    struct timer timer;
    struct domain *domain;
    bool armed;
};

/* Embedded in struct domain as `watchdog`. */
struct domain_watchdog {
    spinlock_t lock; /* which slots are armed */
    struct watchdog_slot slot[WATCHDOGS_PER_DOMAIN];
};

/* Embedded in struct domain as `assist`. Bits by VMASST_TYPE_ number; changed atomically. */
struct domain_assist {
    uint32_t enabled;
};

void watchdog_init(struct domain *d);
/* Stops the timers. */
void watchdog_destroy(struct domain *d);

/* True when d asked for bit 63 of state_entry_time to mark runstate updates. */
bool assist_runstate_update_flag(const struct domain *d);

#endif
