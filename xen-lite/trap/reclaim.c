/* SPDX-License-Identifier: MIT */
/*
 * Deferred freeing of what the trap registry's lock-free readers may still look at; see reclaim.h.
 */
#include "trap/reclaim.h"

#include "lib/spinlock.h"
#include "mm/heap.h"
#include "trap/trap.h"

/* In front of each block; readers never see it, so it may be written while they read the block. */
struct reclaim_header {
    struct reclaim_header *next;
    uint64_t epoch; /* in which it was given up */
} __aligned(16);

struct reclaim_cpu reclaim_cpu[MAX_CPUS];
uint64_t reclaim_epoch = 1;

static spinlock_t lock = SPINLOCK_INIT; /* all below, and advancing the epoch */
static struct reclaim_header *oldest;
static struct reclaim_header **newest = &oldest;
static unsigned waiting; /* in the queue */

static bool all_in_current_epoch(void)
{
    for (unsigned i = 0; i < nr_cpus; i++) {
        uint64_t s = __atomic_load_n(&reclaim_cpu[i].state, __ATOMIC_SEQ_CST);

        if (s && s >> 1 != reclaim_epoch)
            return false;
    }
    return true;
}

/* Takes what is free off the queue and returns it as a list. */
static struct reclaim_header *collect(void)
{
    struct reclaim_header *list = oldest, *h = NULL;

    for (unsigned i = 0; i < 2 && all_in_current_epoch(); i++)
        __atomic_store_n(&reclaim_epoch, reclaim_epoch + 1, __ATOMIC_SEQ_CST);
    while (oldest && oldest->epoch + 2 <= reclaim_epoch) {
        h = oldest;
        oldest = h->next;
        waiting--;
    }
    if (!h)
        return NULL;
    h->next = NULL;
    if (!oldest)
        newest = &oldest;
    return list;
}

void *trap_zalloc(size_t size)
{
    struct reclaim_header *h = xzalloc(sizeof(*h) + size);

    return h ? h + 1 : NULL;
}

void trap_defer_free(void *p)
{
    struct reclaim_header *h, *list;

    if (!p)
        return;
    h = (struct reclaim_header *)p - 1;
    spin_lock(&lock);
    h->next = NULL;
    h->epoch = reclaim_epoch;
    *newest = h;
    newest = &h->next;
    waiting++;
    list = collect();
    spin_unlock(&lock);
    while (list) {
        h = list->next;
        xfree(list);
        list = h;
    }
}

unsigned trap_deferred(void)
{
    return READ_ONCE(waiting);
}
