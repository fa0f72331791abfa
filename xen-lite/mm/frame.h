/* SPDX-License-Identifier: MIT */
/*
 * Machine frames: who owns each one, what it is used for, how many users hold it, and the buddy
 * allocator over the free ones.
 *
 * One struct page of 8 bytes stands for each machine frame, in a flat array indexed by mfn. Links
 * of free blocks live inside the free frames themselves (reached through the direct map), so the
 * array is all the memory that the allocator costs: 0.2 % of RAM.
 *
 * Life of a frame:  RESERVED (not RAM, or not given to us) -> FREE -> in use -> FREE. A frame in
 * use carries a count. Allocation sets the "allocation reference", which frame_free drops;
 * everybody else who keeps using the frame takes a reference with page_get() and gives it back with
 * page_put(). Whoever drops the last one makes it free. Thus a frame that its domain has given up,
 * or whose domain is dead, lives on while a foreign or grant mapping of it exists.
 */
#ifndef XL_MM_FRAME_H
#define XL_MM_FRAME_H

#include "lib/types.h"

/* Owners beside domain ids (0..0x7fef); the numbers are the public ABI's DOMID_*. */
#define OWNER_IO   0x7ff1 /* not RAM: firmware's and devices' memory */
#define OWNER_XEN  0x7ff2 /* the hypervisor's own: never reachable from a p2m */
#define OWNER_NONE 0x7ff4 /* free */

#define FRAME_MAX_ORDER 18 /* 1 GiB */

enum page_use {
    PAGE_RESERVED = 0, /* not under this allocator's control */
    PAGE_FREE,         /* inside a free block */
    PAGE_FREE_HEAD,    /* first frame of a free block; page.order says how large */
    PAGE_RAM,          /* a domain's ordinary memory */
    /* the hypervisor's page that a domain may map: shared info, grant table, ioreq pages */
    PAGE_SHARED,
    PAGE_XEN,  /* the hypervisor's own */
    PAGE_HEAP, /* the hypervisor's own, in mm/heap.c's hands */
    PAGE_P2M,  /* the hypervisor's own, a p2m table: users = number of its used entries */
};

struct page {
    uint16_t owner;
    uint8_t use;    /* enum page_use */
    uint8_t order;  /* of the block, in PAGE_FREE_HEAD; of the object, in PAGE_HEAP */
    uint32_t count; /* PAGE_ALLOCATED | users; changed atomically; 0 in free and reserved frames */
} __attribute__((aligned(8))); /* may be written as a whole at once */

/* In count: the allocation reference is held. The users are counted in the bits below. */
#define PAGE_ALLOCATED 0x80000000U
#define PAGE_USERS_MAX 0x7fffff00U

/*
 * Flags of frame_alloc. Without PAGE_SHARED and for owner OWNER_XEN the use is PAGE_XEN, else
 * PAGE_RAM.
 */
/* fill with zeroes (a domain must never see another's old contents) */
#define FRAME_ZERO     (1u << 0)
#define FRAME_BELOW_4G (1u << 1) /* last byte below 4 GiB */
#define FRAME_SHARED   (1u << 2) /* use PAGE_SHARED: a hypervisor page that its owner may map */
#define FRAME_P2M      (1u << 3) /* use PAGE_P2M */
#define FRAME_CLEAN    (1u << 4) /* with FRAME_ZERO: only if nothing has to be cleared for it */
#define FRAME_CHARGED  (1u << 5) /* for a domain, PAGE_RAM: frames_charge() has counted them */

/*
 * Starts the allocator. `table` has room for nr_frames entries (frames 0..nr_frames-1); all become
 * PAGE_RESERVED, OWNER_IO. Give a table that reaches at least to the last RAM frame; frames beyond
 * it have no page and are never owned. Boot only.
 */
void frames_init(struct page *table, uint64_t nr_frames);
/*
 * Gives the RAM frames [first, first + nr) to the allocator. Panics unless they are PAGE_RESERVED.
 */
void frames_add(uint64_t first, uint64_t nr);
/*
 * Marks PAGE_RESERVED frames that never were given to the allocator as in use by `owner` (domain:
 * PAGE_RAM, OWNER_XEN: PAGE_XEN), each with its allocation reference: the hypervisor's image and
 * tables, device pages no guest may map, memory set aside for the control domain. Frames beyond the
 * table are ignored.
 */
void frames_assign(uint64_t first, uint64_t nr, uint16_t owner);
/*
 * Takes exactly [first, first + nr) out of the free memory for `owner`. Nothing is taken and -EBUSY
 * returned unless all of them are free. Not zeroed.
 */
int frame_claim(uint64_t first, uint64_t nr, uint16_t owner);

/*
 * Keeps nr free frames for the hypervisor itself: what would leave fewer is refused to domains by
 * frame_alloc and frame_claim. 0 at first.
 */
void frames_set_reserve(uint64_t nr);

/*
 * Claims: a domain is promised so many frames in all, those that it owns included; others then cannot have them. What it
 * allocates counts; 0 takes the claim back. -EINVAL: it has a claim already, or as many frames; -ENOMEM: not so many are
 * free and unclaimed. Nothing changes with an error. Taken back by whoever destroys the domain.
 */
int frames_stake(uint16_t owner, uint64_t total);
/* What a domain, and what all together, have claimed and not got yet. */
uint64_t frames_staked(uint16_t owner);
uint64_t frames_staked_total(void);

/*
 * Counts nr frames to a domain that it is about to get with FRAME_CHARGED, unless it then had more than limit. Who does not
 * get them gives the charge back.
 */
bool frames_charge(uint16_t owner, uint64_t nr, uint64_t limit);
void frames_uncharge(uint16_t owner, uint64_t nr);

/* Boot, once: from now on it is known which free memory is clean. */
void frames_start_scrubbing(void);
/*
 * Clears free memory, in steps between which it asks whether to go on. One CPU at a time. No lock held. False if there was
 * nothing to do.
 */
#define SCRUB_STEP_FRAMES 16u
bool frames_scrub(bool (*go_on)(void));

/* The largest mfn + 1 that has a struct page. */
uint64_t frames_limit(void);
/* NULL for frames beyond the table. */
struct page *page_of(uint64_t mfn);

/*
 * Allocates 2^order frames, naturally aligned. Returns the first mfn or INVALID_MFN (none left, or
 * order > FRAME_MAX_ORDER). Each frame gets a page of its own with the allocation reference. Takes
 * the allocator's lock.
 */
uint64_t frame_alloc(unsigned order, uint16_t owner, unsigned flags);
/*
 * Drops the allocation reference of 2^order frames; those without other users become free, the
 * others with their last page_put(). Panics on a frame that is free, reserved or already given back
 * (a bug of the hypervisor's, never a guest's doing).
 */
void frame_free(uint64_t mfn, unsigned order);
/* The same for any number of frames that need not be one allocation. */
void frames_free_range(uint64_t mfn, uint64_t nr);

/*
 * Takes a reference if the frame is in use by `owner` as PAGE_RAM or PAGE_SHARED. False otherwise,
 * or when the count is at its limit. Lock-free. The answer is final only together with a look at
 * the mapping that named the frame: see p2m_get_frame().
 */
bool page_get(uint64_t mfn, uint16_t owner);
/* Takes a reference whoever owns it. */
bool page_get_any(uint64_t mfn);
/* Gives a reference back; the last one makes the frame free. */
void page_put(uint64_t mfn);
/*
 * True if the owner has dropped the allocation reference and only others' references keep the
 * frame.
 */
bool page_orphaned(uint64_t mfn);
/* References beside the allocation's own. */
uint32_t page_users(uint64_t mfn);
/* Owner of a frame, OWNER_IO beyond the table. */
uint16_t page_owner(uint64_t mfn);
/*
 * Whether a guest may see the frame: not free, not the hypervisor's own. Frames beyond the table
 * and RESERVED ones: yes.
 */
bool page_mappable(uint64_t mfn);
/* The same for all of [mfn, mfn + nr). */
bool pages_mappable(uint64_t mfn, uint64_t nr);

/*
 * How many PAGE_RAM frames a domain owns: allocated, assigned or claimed for it and not free again,
 * orphaned ones included. Any context.
 */
uint64_t frames_owned(uint16_t owner);

/*
 * The first frame at or after `from` whose allocation reference `owner` still holds, looking at
 * most at `budget` frames. Returns its mfn; or INVALID_MFN with *next == frames_limit() when there
 * is none, or another *next to continue from.
 */
uint64_t frame_find_owned(uint16_t owner, uint64_t from, uint64_t budget, uint64_t *next);

struct frame_stats {
    uint64_t total;    /* frames ever given to the allocator */
    uint64_t free;     /* now */
    uint64_t free_low; /* of them below 4 GiB */
    /* frames in use by the hypervisor, those it shares included */
    uint64_t xen;
    uint64_t counters; /* of these: pages that count what domains own; they stay */
    uint64_t blocks[FRAME_MAX_ORDER + 1]; /* free blocks of each order */
};
void frame_get_stats(struct frame_stats *st);
uint64_t frames_free_count(void);

#endif
