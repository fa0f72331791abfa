/* SPDX-License-Identifier: MIT */
/*
 * When may memory that lock-free readers looked at be freed?  Epochs: a CPU publishes the epoch in
 * which its access began; the epoch advances when every CPU inside an access began in the current
 * one; what was given up two epochs ago is free.  Only the trap registry enters and leaves.
 */
#ifndef XL_TRAP_RECLAIM_H
#define XL_TRAP_RECLAIM_H

#include "lib/percpu.h"
#include "lib/types.h"

struct reclaim_cpu {
    uint64_t state; /* epoch << 1 | 1 inside an access, 0 outside */
} __aligned(64);

extern struct reclaim_cpu reclaim_cpu[MAX_CPUS];
extern uint64_t reclaim_epoch;

static inline struct reclaim_cpu *reclaim_this_cpu(void)
{
    return &reclaim_cpu[cpu_id()];
}

static inline bool reclaim_inside(const struct reclaim_cpu *c)
{
    return c->state != 0;
}

/* An access begins on this CPU, which must not be inside one. */
static inline void reclaim_enter(struct reclaim_cpu *c)
{
    /*
     * Exchange, not a store: it must be visible before the pointers that follow are loaded.  An
     * epoch that has grown old between the two is harmless: it only holds up the next advance.
     */
    __atomic_exchange_n(&c->state, READ_ONCE(reclaim_epoch) << 1 | 1, __ATOMIC_SEQ_CST);
}

static inline void reclaim_leave(struct reclaim_cpu *c)
{
    __atomic_store_n(&c->state, 0, __ATOMIC_RELEASE);
}

#endif
