/* SPDX-License-Identifier: MIT */
/*
 * Ticket spin locks. The hypervisor runs with interrupts off except in the idle loop, in the guest and in the
 * short window after an interrupt exit, so no lock is ever taken by a handler that interrupted its holder.
 */
#ifndef XL_LIB_SPINLOCK_H
#define XL_LIB_SPINLOCK_H

#include "lib/atomic.h"
#include "lib/types.h"

typedef struct {
    uint16_t next;
    uint16_t owner;
} spinlock_t;

#define SPINLOCK_INIT                                                                              \
    {                                                                                              \
        0, 0                                                                                       \
    }

static inline void spin_lock_init(spinlock_t *l)
{
    l->next = 0;
    l->owner = 0;
}

static inline void spin_lock(spinlock_t *l)
{
    uint16_t ticket = __atomic_fetch_add(&l->next, 1, __ATOMIC_RELAXED);

    while (__atomic_load_n(&l->owner, __ATOMIC_ACQUIRE) != ticket)
        cpu_relax();
}

static inline bool spin_trylock(spinlock_t *l)
{
    uint16_t owner = __atomic_load_n(&l->owner, __ATOMIC_RELAXED);
    uint16_t ticket = owner;

    return __atomic_compare_exchange_n(&l->next, &ticket, (uint16_t)(owner + 1), false,
                                       __ATOMIC_ACQUIRE, __ATOMIC_RELAXED);
}

static inline void spin_unlock(spinlock_t *l)
{
    __atomic_store_n(&l->owner, (uint16_t)(l->owner + 1), __ATOMIC_RELEASE);
}

/* True while anybody holds the lock: for assertions, never for decisions. */
static inline bool spin_is_locked(const spinlock_t *l)
{
    return __atomic_load_n(&l->next, __ATOMIC_RELAXED) !=
           __atomic_load_n(&l->owner, __ATOMIC_RELAXED);
}

#endif
