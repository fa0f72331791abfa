/* SPDX-License-Identifier: MIT */
/*
 * References to machine frames, and questions about single ones. Lock-free: the count of a frame in use changes by atomic
 * operations alone, and its owner and use do not change while the count is not 0.
 */
#include "lib/assert.h"
#include "mm/frame.h"
#include "mm/frame_priv.h"

/* Adds a user if (count & must) is not 0. */
static bool count_up(struct page *pg, uint32_t must)
{
    uint32_t c = __atomic_load_n(&pg->count, __ATOMIC_ACQUIRE);

    do {
        if (!(c & must) || (c & ~PAGE_ALLOCATED) >= PAGE_USERS_MAX)
            return false;
    } while (!__atomic_compare_exchange_n(&pg->count, &c, c + 1, false, __ATOMIC_ACQ_REL,
                                          __ATOMIC_ACQUIRE));
    return true;
}

bool page_get(uint64_t mfn, uint16_t owner)
{
    struct page *pg = page_of(mfn);

    if (!pg || !count_up(pg, PAGE_ALLOCATED))
        return false;
    /* Counted, the frame cannot change hands any more: now its owner can be looked at. */
    if (pg->owner == owner && (pg->use == PAGE_RAM || pg->use == PAGE_SHARED))
        return true;
    page_put(mfn);
    return false;
}

bool page_get_any(uint64_t mfn)
{
    struct page *pg = page_of(mfn);

    return pg && count_up(pg, ~0U);
}

void page_put(uint64_t mfn)
{
    struct page *pg = page_of(mfn);
    uint16_t owner;
    uint32_t old;

    ASSERT(pg);
    owner = payer(pg);
    old = __atomic_fetch_sub(&pg->count, 1, __ATOMIC_ACQ_REL);
    if (!(old & ~PAGE_ALLOCATED))
        panic("reference to frame %#lx given back twice (owner %#x)", (unsigned long)mfn, owner);
    if (old == 1)
        frames_release_run(mfn_of(pg), 1, owner);
}

bool page_orphaned(uint64_t mfn)
{
    const struct page *pg = page_of(mfn);
    uint32_t c = pg ? __atomic_load_n(&pg->count, __ATOMIC_RELAXED) : 0;

    return c && !(c & PAGE_ALLOCATED);
}

uint32_t page_users(uint64_t mfn)
{
    const struct page *pg = page_of(mfn);

    return pg ? __atomic_load_n(&pg->count, __ATOMIC_RELAXED) & ~PAGE_ALLOCATED : 0;
}

uint16_t page_owner(uint64_t mfn)
{
    const struct page *pg = page_of(mfn);

    return pg ? pg->owner : OWNER_IO;
}

#define MAPPABLE_USES (1u << PAGE_RESERVED | 1u << PAGE_RAM | 1u << PAGE_SHARED)

bool pages_mappable(uint64_t mfn, uint64_t nr)
{
    const struct page *pg, *end;

    if (mfn >= fa.nr)
        return true;
    pg = &fa.table[mfn];
    for (end = pg + MIN(nr, fa.nr - mfn); pg < end; pg++)
        if (!(MAPPABLE_USES >> pg->use & 1))
            return false;
    return true;
}

bool page_mappable(uint64_t mfn)
{
    return pages_mappable(mfn, 1);
}

uint64_t frame_find_owned(uint16_t owner, uint64_t from, uint64_t budget, uint64_t *next)
{
    uint64_t mfn = from;

    for (; mfn < fa.nr && budget; mfn++, budget--) {
        const struct page *pg = &fa.table[mfn];

        if (pg->owner == owner &&
            (__atomic_load_n(&pg->count, __ATOMIC_ACQUIRE) & PAGE_ALLOCATED)) {
            *next = mfn + 1;
            return mfn;
        }
    }
    *next = MIN(mfn, fa.nr);
    return INVALID_MFN;
}
