/* SPDX-License-Identifier: MIT */
/*
 * The frame allocator: struct page array, buddy lists in two zones (below 4 GiB and above),
 * references, accounting.
 *
 * One lock protects the free lists and the state of free frames. The count of a frame in use
 * changes by atomic operations alone; owner and use of a frame do not change while its count is not
 * 0.
 */
#include "mm/frame.h"

#include "lib/assert.h"
#include "lib/errno.h"
#include "lib/spinlock.h"
#include "lib/string.h"
#include "mm/frame_priv.h"
#include "mm/phys.h"

#define NO_BLOCK 0xffffffffU

/* Lives in the first frame of each free block; a frame that is none has zeroes there if it is clean. */
struct free_link {
    uint32_t prev, next;
};

static struct owner_account *accounts[DIV_ROUND_UP(DOMID_FIRST_RESERVED, ACCOUNTS)];

struct frame_allocator fa;

static unsigned zone_of(uint64_t mfn)
{
    return mfn < MFN_4G ? ZONE_LOW : ZONE_HIGH;
}

uint64_t frames_limit(void)
{
    return fa.nr;
}

struct page *page_of(uint64_t mfn)
{
    return mfn < fa.nr ? &fa.table[mfn] : NULL;
}

static struct free_link *link_of(uint64_t mfn)
{
    return mfn_to_virt(mfn);
}

static bool is_domain(uint16_t owner)
{
    return owner < DOMID_FIRST_RESERVED;
}

/* A domain's account; NULL before it had its first frame, and for owners that are none. */
static struct owner_account *account_of(uint16_t owner)
{
    struct owner_account *page;

    if (!is_domain(owner))
        return NULL;
    page = __atomic_load_n(&accounts[owner / ACCOUNTS], __ATOMIC_ACQUIRE);
    return page ? &page[owner % ACCOUNTS] : NULL;
}

/* Frames went on an account (or, with a negative number, off it). Called without the lock. */
static void account(uint16_t owner, long delta)
{
    struct owner_account *acc = account_of(owner);

    if (owner == OWNER_XEN)
        __atomic_fetch_add(&fa.xen, (uint64_t)delta, __ATOMIC_RELAXED);
    else if (acc)
        __atomic_fetch_add(&acc->owned, (uint32_t)delta, __ATOMIC_RELAXED);
}

uint64_t frames_owned(uint16_t owner)
{
    const struct owner_account *acc = account_of(owner);

    return acc ? __atomic_load_n(&acc->owned, __ATOMIC_RELAXED) : 0;
}

static bool countable(uint16_t owner);

/* ---- claims, under the lock ---- */

/* owner gets nr frames: its claim, if it has one, has come true for so many. */
static void use_claim(uint16_t owner, uint64_t nr)
{
    struct owner_account *acc = account_of(owner);
    uint32_t used = acc ? (uint32_t)MIN((uint64_t)acc->claimed, nr) : 0;

    if (!used)
        return;
    acc->claimed -= used;
    fa.claimed -= used;
}

/* Whether `owner` may have nr more of the free frames: not the hypervisor's reserve, nor what others have claimed. */
static bool within_reserve(uint16_t owner, uint64_t nr)
{
    const struct owner_account *acc = account_of(owner);
    uint64_t own = acc ? acc->claimed : 0;

    return !is_domain(owner) ||
           fa.free[ZONE_LOW] + fa.free[ZONE_HIGH] >= nr + fa.reserve + (fa.claimed - own);
}

int frames_stake(uint16_t owner, uint64_t total)
{
    struct owner_account *acc;
    uint64_t have, free;
    int rc = 0;

    if (!is_domain(owner) || !countable(owner))
        return -ENOMEM;
    acc = account_of(owner);
    spin_lock(&fa.lock);
    have = __atomic_load_n(&acc->owned, __ATOMIC_RELAXED);
    free = fa.free[ZONE_LOW] + fa.free[ZONE_HIGH];
    if (!total) {
        fa.claimed -= acc->claimed;
        acc->claimed = 0;
    } else if (acc->claimed || total <= have) {
        rc = -EINVAL;
    } else if (total - have + fa.claimed + fa.reserve > free) {
        rc = -ENOMEM;
    } else {
        acc->claimed = (uint32_t)(total - have);
        fa.claimed += acc->claimed;
    }
    spin_unlock(&fa.lock);
    return rc;
}

uint64_t frames_staked(uint16_t owner)
{
    const struct owner_account *acc = account_of(owner);

    return acc ? READ_ONCE(acc->claimed) : 0;
}

uint64_t frames_staked_total(void)
{
    return READ_ONCE(fa.claimed);
}

bool frames_charge(uint16_t owner, uint64_t nr, uint64_t limit)
{
    struct owner_account *acc;
    uint32_t have;

    if (!countable(owner))
        return false;
    acc = account_of(owner);
    ASSERT(acc);
    have = __atomic_load_n(&acc->owned, __ATOMIC_RELAXED);
    do {
        if (nr > limit || have > limit - nr)
            return false;
    } while (!__atomic_compare_exchange_n(&acc->owned, &have, have + (uint32_t)nr, false,
                                          __ATOMIC_RELAXED, __ATOMIC_RELAXED));
    return true;
}

void frames_uncharge(uint16_t owner, uint64_t nr)
{
    account(owner, -(long)nr);
}

/* ---- the lists of free blocks, under the lock ---- */

void frame_list_push(uint64_t mfn, unsigned order)
{
    unsigned z = zone_of(mfn);
    struct free_link *l = link_of(mfn);

    l->prev = NO_BLOCK;
    l->next = fa.head[z][order];
    if (l->next != NO_BLOCK)
        link_of(l->next)->prev = (uint32_t)mfn;
    fa.head[z][order] = (uint32_t)mfn;
    fa.blocks[z][order]++;
    fa.free[z] += 1UL << order;
    fa.table[mfn].use = PAGE_FREE_HEAD;
    fa.table[mfn].order = (uint8_t)order;
}

/* Takes a block off its list; its frames are PAGE_FREE afterwards. */
void frame_list_pull(uint64_t mfn)
{
    struct page *pg = &fa.table[mfn];
    unsigned z = zone_of(mfn), order = pg->order;
    struct free_link *l = link_of(mfn);

    ASSERT(pg->use == PAGE_FREE_HEAD);
    if (l->prev != NO_BLOCK)
        link_of(l->prev)->next = l->next;
    else
        fa.head[z][order] = l->next;
    if (l->next != NO_BLOCK)
        link_of(l->next)->prev = l->prev;
    *l = (struct free_link){ 0, 0 };
    fa.blocks[z][order]--;
    fa.free[z] -= 1UL << order;
    pg->use = PAGE_FREE;
}

/*
 * A block of PAGE_FREE frames joins the lists, together with its buddies as far as they are free.
 */
void frame_put_block(uint64_t mfn, unsigned order)
{
    while (order < FRAME_MAX_ORDER) {
        uint64_t buddy = mfn ^ (1UL << order);
        const struct page *pg = page_of(buddy);

        if (!pg || pg->use != PAGE_FREE_HEAD || pg->order != order)
            break;
        frame_list_pull(buddy);
        mfn = MIN(mfn, buddy);
        order++;
    }
    frame_list_push(mfn, order);
}

/* Largest order of a naturally aligned block that starts at mfn and has at most nr frames. */
static unsigned fitting_order(uint64_t mfn, uint64_t nr)
{
    unsigned order = 63 - (unsigned)__builtin_clzll(nr);

    if (mfn)
        order = MIN(order, (unsigned)__builtin_ctzll(mfn));
    return MIN(order, (unsigned)FRAME_MAX_ORDER);
}

/* [mfn, mfn + nr) become free, whatever they were. Under the lock. */
static void put_run(uint64_t mfn, uint64_t nr)
{
    for (uint64_t i = 0; i < nr; i++)
        fa.table[mfn + i] = (struct page){ .owner = OWNER_NONE, .use = PAGE_FREE };
    frames_mark_dirty(mfn, nr);
    while (nr) {
        unsigned order = fitting_order(mfn, nr);

        frame_put_block(mfn, order);
        mfn += 1UL << order;
        nr -= 1UL << order;
    }
}

void frames_release_run(uint64_t mfn, uint64_t nr, uint16_t owner)
{
    spin_lock(&fa.lock);
    put_run(mfn, nr);
    spin_unlock(&fa.lock);
    account(owner, -(long)nr);
}

void frames_init(struct page *table, uint64_t nr_frames)
{
    ASSERT(nr_frames < NO_BLOCK);
    memset(&fa, 0, sizeof(fa));
    memset(accounts, 0, sizeof(accounts));
    spin_lock_init(&fa.lock);
    fa.table = table;
    fa.nr = nr_frames;
    for (unsigned z = 0; z < NR_ZONES; z++)
        for (unsigned o = 0; o < NR_ORDERS; o++)
            fa.head[z][o] = NO_BLOCK;
    for (uint64_t i = 0; i < nr_frames; i++)
        table[i] = (struct page){ .owner = OWNER_IO, .use = PAGE_RESERVED };
}

static void check_range(const char *what, uint64_t first, uint64_t nr)
{
    if (first > fa.nr || nr > fa.nr - first)
        panic("%s: frames %#lx + %#lx are beyond the frame table", what, (unsigned long)first,
              (unsigned long)nr);
}

static void check_reserved(const char *what, uint64_t mfn)
{
    if (fa.table[mfn].use != PAGE_RESERVED)
        panic("%s: frame %#lx is in use already (use %u)", what, (unsigned long)mfn,
              fa.table[mfn].use);
}

void frames_add(uint64_t first, uint64_t nr)
{
    check_range(__func__, first, nr);
    for (uint64_t i = 0; i < nr; i++)
        check_reserved(__func__, first + i);
    spin_lock(&fa.lock);
    put_run(first, nr);
    fa.total += nr;
    spin_unlock(&fa.lock);
}

/*
 * The frames are the caller's alone: mark them as in use. Each page is written at once, as its count makes the frame visible
 * to page_get(); and with as few instructions as can be, for there are a quarter of a million in a gigabyte.
 */
static void mark_used(uint64_t mfn, uint64_t nr, uint16_t owner, enum page_use use)
{
    struct page used = { .owner = owner, .use = (uint8_t)use, .count = PAGE_ALLOCATED };

    for (struct page *pg = &fa.table[mfn], *end = pg + nr; pg < end; pg++)
        __atomic_store(pg, &used, __ATOMIC_RELEASE);
}

/* Makes sure that an owner can be counted, before it gets its first frame. */
static bool countable(uint16_t owner)
{
    struct owner_account **page;
    uint64_t mfn;

    if (!is_domain(owner) || account_of(owner))
        return true;
    page = &accounts[owner / ACCOUNTS];
    mfn = frame_alloc(0, OWNER_XEN, FRAME_ZERO);
    if (mfn == INVALID_MFN)
        return false;
    spin_lock(&fa.lock);
    if (!*page) {
        __atomic_store_n(page, mfn_to_virt(mfn), __ATOMIC_RELEASE);
        mfn = INVALID_MFN;
    }
    spin_unlock(&fa.lock);
    if (mfn != INVALID_MFN) /* another CPU was faster */
        frame_free(mfn, 0);
    return true;
}

void frames_assign(uint64_t first, uint64_t nr, uint16_t owner)
{
    if (first >= fa.nr)
        return;
    nr = MIN(nr, fa.nr - first);
    if (!countable(owner))
        panic("%s: no memory to count what domain %u owns", __func__, owner);
    for (uint64_t i = 0; i < nr; i++)
        check_reserved(__func__, first + i);
    mark_used(first, nr, owner, owner == OWNER_XEN ? PAGE_XEN : PAGE_RAM);
    if (is_domain(owner)) {
        spin_lock(&fa.lock);
        fa.total += nr;
        spin_unlock(&fa.lock);
    }
    account(owner, (long)nr);
}

/* First frame of the free block that holds mfn, or INVALID_MFN. Under the lock. */
uint64_t frame_find_block(uint64_t mfn)
{
    for (unsigned order = 0; order < NR_ORDERS; order++) {
        uint64_t head = ALIGN_DOWN(mfn, 1UL << order);
        const struct page *pg = &fa.table[head];

        if (pg->use == PAGE_FREE_HEAD && pg->order >= order)
            return head;
    }
    return INVALID_MFN;
}

static bool all_free(uint64_t first, uint64_t end)
{
    for (uint64_t m = first; m < end;) {
        uint64_t head = frame_find_block(m);

        if (head == INVALID_MFN)
            return false;
        m = head + (1UL << fa.table[head].order);
    }
    return true;
}

void frames_set_reserve(uint64_t nr)
{
    WRITE_ONCE(fa.reserve, nr);
}

int frame_claim(uint64_t first, uint64_t nr, uint16_t owner)
{
    uint64_t end = first + nr;

    if (end < first || end > fa.nr)
        return -EINVAL;
    if (!countable(owner))
        return -ENOMEM;
    frames_hold_scrubbing();
    spin_lock(&fa.lock);
    if (!all_free(first, end) || !within_reserve(owner, nr)) {
        spin_unlock(&fa.lock);
        frames_allow_scrubbing();
        return -EBUSY;
    }
    use_claim(owner, nr);
    for (uint64_t m = first; m < end;) {
        uint64_t head = frame_find_block(m);
        uint64_t size = 1UL << fa.table[head].order;
        uint64_t stop = MIN(end, head + size);

        frame_list_pull(head);
        mark_used(m, stop - m, owner, owner == OWNER_XEN ? PAGE_XEN : PAGE_RAM);
        if (head < m)
            put_run(head, m - head);
        if (stop < head + size)
            put_run(stop, head + size - stop);
        m = stop;
    }
    spin_unlock(&fa.lock);
    frames_allow_scrubbing();
    account(owner, (long)nr);
    return 0;
}

/*
 * A block whose contents are zeroes already is taken if there is one on the list, for which a few are looked at; those who
 * want no zeroes leave them to others.
 */
#define LIST_LOOK 8u

static uint64_t choose_block(unsigned zone, unsigned order, bool clean)
{
    uint64_t first = fa.head[zone][order], mfn = first;

    for (unsigned i = 0; i < LIST_LOOK && mfn != NO_BLOCK; i++) {
        if (frames_are_clean(mfn, 1UL << order) == clean)
            return mfn;
        mfn = link_of(mfn)->next;
    }
    return first;
}

/* Takes a block of exactly `order` from a zone, splitting a larger one. Under the lock. */
static uint64_t take_block(unsigned zone, unsigned order, unsigned flags)
{
    unsigned have = order;
    uint64_t mfn;

    while (have < NR_ORDERS && fa.head[zone][have] == NO_BLOCK)
        have++;
    if (have == NR_ORDERS)
        return INVALID_MFN;
    mfn = choose_block(zone, have, flags & FRAME_ZERO);
    if ((flags & FRAME_CLEAN) && !frames_are_clean(mfn, 1UL << order))
        return INVALID_MFN;
    frame_list_pull(mfn);
    while (have > order) {
        have--;
        frame_list_push(mfn + (1UL << have), have);
    }
    return mfn;
}

static enum page_use use_for(uint16_t owner, unsigned flags)
{
    if (flags & FRAME_P2M)
        return PAGE_P2M;
    if (flags & FRAME_SHARED)
        return PAGE_SHARED;
    return owner == OWNER_XEN ? PAGE_XEN : PAGE_RAM;
}

static uint64_t take(unsigned order, uint16_t owner, unsigned flags)
{
    uint64_t mfn = INVALID_MFN;

    spin_lock(&fa.lock);
    if (within_reserve(owner, 1UL << order)) {
        if (!(flags & FRAME_BELOW_4G))
            mfn = take_block(ZONE_HIGH, order, flags);
        if (mfn == INVALID_MFN)
            mfn = take_block(ZONE_LOW, order, flags);
    }
    if (mfn != INVALID_MFN && use_for(owner, flags) == PAGE_RAM)
        use_claim(owner, 1UL << order);
    spin_unlock(&fa.lock);
    return mfn;
}

uint64_t frame_alloc(unsigned order, uint16_t owner, unsigned flags)
{
    uint64_t mfn;

    if (order > FRAME_MAX_ORDER || !countable(owner))
        return INVALID_MFN;
    mfn = take(order, owner, flags);
    if (mfn == INVALID_MFN && frames_scrubbing()) {
        /* What is being cleared is free, too. */
        frames_hold_scrubbing();
        mfn = take(order, owner, flags);
        frames_allow_scrubbing();
    }
    if (mfn == INVALID_MFN)
        return INVALID_MFN;
    /* No buddy can join these frames meanwhile: none of them is a PAGE_FREE_HEAD. */
    if (flags & FRAME_ZERO)
        frames_clear(mfn, 1UL << order);
    mark_used(mfn, 1UL << order, owner, use_for(owner, flags));
    if (!(flags & FRAME_CHARGED))
        account(payer(&fa.table[mfn]), 1L << order);
    return mfn;
}

void frame_free(uint64_t mfn, unsigned order)
{
    ASSERT(order <= FRAME_MAX_ORDER);
    frames_free_range(mfn, 1UL << order);
}

/* Drops the allocation reference; true if nobody else uses the frame. */
static bool drop_allocation(uint64_t mfn)
{
    struct page *pg = &fa.table[mfn];
    uint32_t old = __atomic_fetch_and(&pg->count, ~PAGE_ALLOCATED, __ATOMIC_ACQ_REL);

    if (!(old & PAGE_ALLOCATED))
        panic("frame %#lx freed twice or never allocated (owner %#x, use %u, count %#x)",
              (unsigned long)mfn, pg->owner, pg->use, old);
    return old == PAGE_ALLOCATED;
}

void frames_free_range(uint64_t mfn, uint64_t nr)
{
    uint64_t run = 0; /* frames before mfn that wait to be released together */
    uint16_t run_owner = OWNER_NONE;

    check_range(__func__, mfn, nr);
    for (; nr; mfn++, nr--) {
        uint16_t owner = payer(&fa.table[mfn]);
        bool last = drop_allocation(mfn);

        if (run && (!last || owner != run_owner)) {
            frames_release_run(mfn - run, run, run_owner);
            run = 0;
        }
        if (last) {
            run++;
            run_owner = owner;
        }
    }
    if (run)
        frames_release_run(mfn - run, run, run_owner);
}

uint64_t frames_free_count(void)
{
    return READ_ONCE(fa.free[ZONE_LOW]) + READ_ONCE(fa.free[ZONE_HIGH]) + READ_ONCE(fa.scrubbing);
}

void frame_get_stats(struct frame_stats *st)
{
    spin_lock(&fa.lock);
    st->total = fa.total;
    st->free_low = fa.free[ZONE_LOW];
    st->free = fa.free[ZONE_LOW] + fa.free[ZONE_HIGH] + fa.scrubbing;
    st->free_low += fa.scrubbing_low;
    st->xen = fa.xen;
    st->counters = 0;
    for (unsigned i = 0; i < ARRAY_SIZE(accounts); i++)
        st->counters += accounts[i] != NULL;
    for (unsigned o = 0; o < NR_ORDERS; o++)
        st->blocks[o] = fa.blocks[ZONE_LOW][o] + fa.blocks[ZONE_HIGH][o];
    spin_unlock(&fa.lock);
}
