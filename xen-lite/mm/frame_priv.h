/* SPDX-License-Identifier: MIT */
/*
 * What the files of the frame allocator share: its state, the lists of free blocks, and which free frames are clean.
 */
#ifndef XL_MM_FRAME_PRIV_H
#define XL_MM_FRAME_PRIV_H

#include "lib/spinlock.h"
#include "mm/frame.h"
#include "mm/phys.h"

#define NR_ORDERS            (FRAME_MAX_ORDER + 1)
#define NR_ZONES             2
#define ZONE_LOW             0
#define ZONE_HIGH            1
#define MFN_4G               (1UL << (32 - PAGE_SHIFT))
#define DOMID_FIRST_RESERVED 0x7ff0

/* What each domain owns, changed atomically, and has claimed beyond that, under the lock. */
struct owner_account {
    uint32_t owned, claimed;
};
/* A frame of them for each so many domains. */
#define ACCOUNTS (PAGE_SIZE / sizeof(struct owner_account))

struct frame_allocator {
    spinlock_t lock;
    struct page *table;
    uint64_t nr;
    uint32_t head[NR_ZONES][NR_ORDERS];
    uint64_t blocks[NR_ZONES][NR_ORDERS];
    uint64_t free[NR_ZONES];
    uint64_t total;
    uint64_t reserve; /* free frames that domains may not have */
    uint64_t claimed; /* the sum of what domains have claimed */
    uint64_t xen;
    /* scrub.c */
    uint64_t *clean;   /* a bit for each unit: all of its free frames are zeroes; NULL: none are known to be */
    uint64_t nr_units, next_unit;
    uint64_t to_look;  /* units to look at until it is known that there is nothing to clear */
    uint64_t scrubbing, scrubbing_low; /* free frames that are being cleared, and on no list */
    bool freed;        /* since that clearing began: the search starts again */
    unsigned hold;     /* who wants no clearing to go on; atomic */
};
extern struct frame_allocator fa;

static inline uint64_t mfn_of(const struct page *pg)
{
    return (uint64_t)(pg - fa.table);
}

/*
 * On whose account a frame is: only PAGE_RAM counts for a domain, what the hypervisor shares with
 * it is the hypervisor's.
 */
static inline uint16_t payer(const struct page *pg)
{
    return pg->use == PAGE_RAM ? pg->owner : OWNER_XEN;
}

/* The lists; under the lock. A block goes on the list of its order; off it, its frames are PAGE_FREE. */
void frame_list_push(uint64_t mfn, unsigned order);
void frame_list_pull(uint64_t mfn);
/* A block of PAGE_FREE frames joins the lists, together with its buddies as far as they are free. */
void frame_put_block(uint64_t mfn, unsigned order);
/* First frame of the free block that holds mfn, or INVALID_MFN. */
uint64_t frame_find_block(uint64_t mfn);
/* Frames that nobody uses any more become free. Takes the lock. */
void frames_release_run(uint64_t mfn, uint64_t nr, uint16_t owner);

/* scrub.c: free frames of which nothing is known; whether all of a block are zeroes. Under the lock. */
void frames_mark_dirty(uint64_t mfn, uint64_t nr);
bool frames_are_clean(uint64_t mfn, uint64_t nr);
/* Makes frames zeroes that have been taken off the lists and are nobody's yet. */
void frames_clear(uint64_t mfn, uint64_t nr);
/* Waits, but not for ever, until no frames are being cleared, and lets none be until it is allowed again. */
void frames_hold_scrubbing(void);
void frames_allow_scrubbing(void);
bool frames_scrubbing(void);

#endif
