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
#include "mm/phys.h"

#define NR_ORDERS            (FRAME_MAX_ORDER + 1)
#define NR_ZONES             2
#define ZONE_LOW             0
#define ZONE_HIGH            1
#define MFN_4G               (1UL << (32 - PAGE_SHIFT))
#define NO_BLOCK             0xffffffffU
#define DOMID_FIRST_RESERVED 0x7ff0

/* Lives in the first frame of each free block. */
struct free_link {
    uint32_t prev, next;
};

/*
 * Frames that each domain owns, changed atomically; a frame of counters for each thousand domains.
 */
#define COUNTERS (PAGE_SIZE / sizeof(uint32_t))
static uint32_t *owned[DIV_ROUND_UP(DOMID_FIRST_RESERVED, COUNTERS)];

static struct {
    spinlock_t lock;
    struct page *table;
    uint64_t nr;
    uint32_t head[NR_ZONES][NR_ORDERS];
    uint64_t blocks[NR_ZONES][NR_ORDERS];
    uint64_t free[NR_ZONES];
    uint64_t total;
    uint64_t reserve; /* free frames that domains may not have */
    uint64_t xen;
} fa;

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

static uint64_t mfn_of(const struct page *pg)
{
    return (uint64_t)(pg - fa.table);
}

static struct free_link *link_of(uint64_t mfn)
{
    return mfn_to_virt(mfn);
}

static bool is_domain(uint16_t owner)
{
    return owner < DOMID_FIRST_RESERVED;
}

/*
 * On whose account a frame is: only PAGE_RAM counts for a domain, what the hypervisor shares with
 * it is the hypervisor's.
 */
static uint16_t payer(const struct page *pg)
{
    return pg->use == PAGE_RAM ? pg->owner : OWNER_XEN;
}

/* Frames went on an account (or, with a negative number, off it). Called without the lock. */
static void account(uint16_t owner, long delta)
{
    if (owner == OWNER_XEN)
        __atomic_fetch_add(&fa.xen, (uint64_t)delta, __ATOMIC_RELAXED);
    else if (is_domain(owner))
        __atomic_fetch_add(&owned[owner / COUNTERS][owner % COUNTERS], (uint32_t)delta,
                           __ATOMIC_RELAXED);
}

uint64_t frames_owned(uint16_t owner)
{
    const uint32_t *counters;

    if (!is_domain(owner))
        return 0;
    counters = __atomic_load_n(&owned[owner / COUNTERS], __ATOMIC_ACQUIRE);
    return counters ? __atomic_load_n(&counters[owner % COUNTERS], __ATOMIC_RELAXED) : 0;
}

static void list_push(uint64_t mfn, unsigned order)
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
static void list_pull(uint64_t mfn)
{
    struct page *pg = &fa.table[mfn];
    unsigned z = zone_of(mfn), order = pg->order;
    const struct free_link *l = link_of(mfn);

    ASSERT(pg->use == PAGE_FREE_HEAD);
    if (l->prev != NO_BLOCK)
        link_of(l->prev)->next = l->next;
    else
        fa.head[z][order] = l->next;
    if (l->next != NO_BLOCK)
        link_of(l->next)->prev = l->prev;
    fa.blocks[z][order]--;
    fa.free[z] -= 1UL << order;
    pg->use = PAGE_FREE;
}

/*
 * A block of PAGE_FREE frames joins the lists, together with its buddies as far as they are free.
 */
static void put_block(uint64_t mfn, unsigned order)
{
    while (order < FRAME_MAX_ORDER) {
        uint64_t buddy = mfn ^ (1UL << order);
        const struct page *pg = page_of(buddy);

        if (!pg || pg->use != PAGE_FREE_HEAD || pg->order != order)
            break;
        list_pull(buddy);
        mfn = MIN(mfn, buddy);
        order++;
    }
    list_push(mfn, order);
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
    while (nr) {
        unsigned order = fitting_order(mfn, nr);

        put_block(mfn, order);
        mfn += 1UL << order;
        nr -= 1UL << order;
    }
}

static void release_run(uint64_t mfn, uint64_t nr, uint16_t owner)
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
    memset(owned, 0, sizeof(owned));
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
 * The frames are the caller's alone: mark them as in use. The count comes last, it makes the frame
 * visible to page_get().
 */
static void mark_used(uint64_t mfn, uint64_t nr, uint16_t owner, enum page_use use)
{
    for (uint64_t i = 0; i < nr; i++) {
        struct page *pg = &fa.table[mfn + i];

        pg->owner = owner;
        pg->use = (uint8_t)use;
        pg->order = 0;
        __atomic_store_n(&pg->count, PAGE_ALLOCATED, __ATOMIC_RELEASE);
    }
}

/* Makes sure that an owner can be counted, before it gets its first frame. */
static bool countable(uint16_t owner)
{
    uint32_t **counters;
    uint64_t mfn;

    if (!is_domain(owner))
        return true;
    counters = &owned[owner / COUNTERS];
    if (__atomic_load_n(counters, __ATOMIC_ACQUIRE))
        return true;
    mfn = frame_alloc(0, OWNER_XEN, FRAME_ZERO);
    if (mfn == INVALID_MFN)
        return false;
    spin_lock(&fa.lock);
    if (!*counters) {
        __atomic_store_n(counters, mfn_to_virt(mfn), __ATOMIC_RELEASE);
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
static uint64_t find_block(uint64_t mfn)
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
        uint64_t head = find_block(m);

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

/* Whether `owner` may have nr more of the free frames. Under the lock. */
static bool within_reserve(uint16_t owner, uint64_t nr)
{
    uint64_t free = fa.free[ZONE_LOW] + fa.free[ZONE_HIGH];

    return !is_domain(owner) || free >= nr + fa.reserve;
}

int frame_claim(uint64_t first, uint64_t nr, uint16_t owner)
{
    uint64_t end = first + nr;

    if (end < first || end > fa.nr)
        return -EINVAL;
    if (!countable(owner))
        return -ENOMEM;
    spin_lock(&fa.lock);
    if (!all_free(first, end) || !within_reserve(owner, nr)) {
        spin_unlock(&fa.lock);
        return -EBUSY;
    }
    for (uint64_t m = first; m < end;) {
        uint64_t head = find_block(m);
        uint64_t size = 1UL << fa.table[head].order;
        uint64_t stop = MIN(end, head + size);

        list_pull(head);
        mark_used(m, stop - m, owner, owner == OWNER_XEN ? PAGE_XEN : PAGE_RAM);
        if (head < m)
            put_run(head, m - head);
        if (stop < head + size)
            put_run(stop, head + size - stop);
        m = stop;
    }
    spin_unlock(&fa.lock);
    account(owner, (long)nr);
    return 0;
}

/* Takes a block of exactly `order` from a zone, splitting a larger one. Under the lock. */
static uint64_t take_block(unsigned zone, unsigned order)
{
    unsigned have = order;
    uint64_t mfn;

    while (have < NR_ORDERS && fa.head[zone][have] == NO_BLOCK)
        have++;
    if (have == NR_ORDERS)
        return INVALID_MFN;
    mfn = fa.head[zone][have];
    list_pull(mfn);
    while (have > order) {
        have--;
        list_push(mfn + (1UL << have), have);
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

uint64_t frame_alloc(unsigned order, uint16_t owner, unsigned flags)
{
    uint64_t mfn = INVALID_MFN;

    if (order > FRAME_MAX_ORDER || !countable(owner))
        return INVALID_MFN;
    spin_lock(&fa.lock);
    if (within_reserve(owner, 1UL << order)) {
        if (!(flags & FRAME_BELOW_4G))
            mfn = take_block(ZONE_HIGH, order);
        if (mfn == INVALID_MFN)
            mfn = take_block(ZONE_LOW, order);
    }
    spin_unlock(&fa.lock);
    if (mfn == INVALID_MFN)
        return INVALID_MFN;
    /* No buddy can join these frames meanwhile: none of them is a PAGE_FREE_HEAD. */
    if (flags & FRAME_ZERO)
        memset(mfn_to_virt(mfn), 0, PAGE_SIZE << order);
    mark_used(mfn, 1UL << order, owner, use_for(owner, flags));
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
            release_run(mfn - run, run, run_owner);
            run = 0;
        }
        if (last) {
            run++;
            run_owner = owner;
        }
    }
    if (run)
        release_run(mfn - run, run, run_owner);
}

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
        release_run(mfn_of(pg), 1, owner);
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

bool page_mappable(uint64_t mfn)
{
    const struct page *pg = page_of(mfn);

    return !pg || pg->use == PAGE_RESERVED || pg->use == PAGE_RAM || pg->use == PAGE_SHARED;
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

uint64_t frames_free_count(void)
{
    return READ_ONCE(fa.free[ZONE_LOW]) + READ_ONCE(fa.free[ZONE_HIGH]);
}

void frame_get_stats(struct frame_stats *st)
{
    spin_lock(&fa.lock);
    st->total = fa.total;
    st->free_low = fa.free[ZONE_LOW];
    st->free = fa.free[ZONE_LOW] + fa.free[ZONE_HIGH];
    st->xen = fa.xen;
    st->counters = 0;
    for (unsigned i = 0; i < ARRAY_SIZE(owned); i++)
        st->counters += owned[i] != NULL;
    for (unsigned o = 0; o < NR_ORDERS; o++)
        st->blocks[o] = fa.blocks[ZONE_LOW][o] + fa.blocks[ZONE_HIGH][o];
    spin_unlock(&fa.lock);
}
