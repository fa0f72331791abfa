/* SPDX-License-Identifier: MIT */
/*
 * The trap registry: updates, look-up and the two entry points of the hot path.
 *
 * Readers take no lock.  They load the pointer to an immutable, sorted index; a writer publishes a
 * changed copy, or sets one span's region to NULL.  What was replaced is freed by trap/reclaim.c
 * once no CPU can be inside an access that began before.
 */
#include "trap/trap.h"

#include "lib/errno.h"
#include "lib/string.h"
#include "lib/time.h"
#include "trap/reclaim.h"
#include "trap/record.h"
#include "trap/rules.h"

void trap_table_init(struct trap_table *t, uint16_t domid)
{
    memset(t, 0, sizeof(*t));
    t->domid = domid;
    spin_lock_init(&t->lock);
}

void trap_table_destroy(struct trap_table *t)
{
    for (unsigned k = 0; k < TRAP_NR_KINDS; k++) {
        struct trap_index *ix = t->index[k];

        __atomic_store_n(&t->index[k], NULL, __ATOMIC_RELEASE);
        for (unsigned i = 0; ix && i < ix->nr; i++)
            trap_defer_free(ix->span[i].region);
        trap_defer_free(ix);
    }
}

/* Number of spans that begin at or below `addr`. */
static unsigned spans_up_to(const struct trap_index *ix, uint64_t addr)
{
    unsigned low = 0, high = ix->nr;

    while (low < high) {
        unsigned mid = (low + high) / 2;

        if (ix->span[mid].first <= addr)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

/*
 * The span with the highest address that overlaps [addr, end] and is still registered; its number
 * in *at.  NULL if nothing overlaps.
 */
static const struct trap_span *overlapping(const struct trap_index *ix, uint64_t addr, uint64_t end,
                                           unsigned *at)
{
    unsigned i = spans_up_to(ix, end);

    while (i && !READ_ONCE(ix->span[i - 1].region))
        i--;
    if (!i || ix->span[i - 1].last < addr)
        return NULL;
    *at = i - 1;
    return &ix->span[i - 1];
}

static bool range_valid(enum trap_kind kind, uint64_t first, uint64_t last)
{
    if (kind == TRAP_PIO)
        return first <= last && last <= 0xffff;
    return kind == TRAP_MMIO && first <= last;
}

/* A copy of `old` without its dead spans and with `r` in its place.  NULL: no memory. */
static struct trap_index *index_with(const struct trap_index *old, struct trap_region *r)
{
    unsigned n = old ? old->nr : 0, k = 0, i = 0;
    struct trap_index *ix = trap_zalloc(sizeof(*ix) + (n + 1) * sizeof(ix->span[0]));

    if (!ix)
        return NULL;
    for (; i < n && old->span[i].first < r->first; i++)
        if (old->span[i].region)
            ix->span[k++] = old->span[i];
    ix->span[k++] = (struct trap_span){ r->first, r->last, r };
    for (; i < n; i++)
        if (old->span[i].region)
            ix->span[k++] = old->span[i];
    ix->nr = k;
    return ix;
}

static unsigned nr_live(const struct trap_index *ix)
{
    unsigned n = 0;

    for (unsigned i = 0; i < ix->nr; i++)
        n += ix->span[i].region != NULL;
    return n;
}

static int insert(struct trap_table *t, struct trap_region *r)
{
    struct trap_index *old = t->index[r->kind], *ix;
    unsigned at;

    if (old && overlapping(old, r->first, r->last, &at))
        return -EEXIST;
    if (old && nr_live(old) >= TRAP_MAX_REGIONS)
        return -ENOSPC;
    ix = index_with(old, r);
    if (!ix)
        return -ENOMEM;
    __atomic_store_n(&t->index[r->kind], ix, __ATOMIC_RELEASE);
    trap_defer_free(old);
    return 0;
}

int trap_register_region(struct trap_table *t, enum trap_kind kind, uint64_t first, uint64_t last,
                         const struct trap_ops *ops, void *arg, const char *name,
                         struct trap_region **out)
{
    struct trap_region *r;
    int rc;

    if (!range_valid(kind, first, last) || !ops || !ops->read || !ops->write || !name)
        return -EINVAL;
    r = trap_zalloc(sizeof(*r));
    if (!r)
        return -ENOMEM;
    r->first = first;
    r->last = last;
    r->ops = ops;
    r->arg = arg;
    r->name = name;
    r->handler = trap_handler_id(name);
    r->kind = (uint8_t)kind;

    /* Before it is published: whoever finds the region may want to know it. */
    if (out)
        *out = r;
    spin_lock(&t->lock);
    rc = insert(t, r);
    spin_unlock(&t->lock);
    if (rc) {
        trap_defer_free(r);
        if (out)
            *out = NULL;
    }
    return rc;
}

int trap_register(struct trap_table *t, enum trap_kind kind, uint64_t first, uint64_t last,
                  const struct trap_ops *ops, void *arg, const char *name)
{
    return trap_register_region(t, kind, first, last, ops, arg, name, NULL);
}

void trap_unregister(struct trap_table *t, struct trap_region *r)
{
    struct trap_index *ix;

    if (!r)
        return;
    spin_lock(&t->lock);
    ix = t->index[r->kind];
    for (unsigned i = 0; ix && i < ix->nr; i++)
        if (ix->span[i].region == r)
            WRITE_ONCE(ix->span[i].region, NULL);
    spin_unlock(&t->lock);
    trap_defer_free(r);
}

static void count(uint64_t *counter)
{
    __atomic_fetch_add(counter, 1, __ATOMIC_RELAXED);
}

/*
 * Neighbouring registers and pages share a slot, so that a driver's habits stay in the table. Where regions begin the low
 * bits of their pages are mostly 0: the higher ones tell local APIC, IO-APIC and ECAM apart.
 */
static unsigned hint_slot(enum trap_kind kind, uint64_t addr)
{
    uint64_t at = kind == TRAP_PIO ? addr >> 2 : addr >> PAGE_SHIFT ^ addr >> 20;

    return (unsigned)at & (TRAP_HINTS - 1);
}

/* What the hint for this place says, if it is right: the region that holds the whole access. */
static inline struct trap_region *find_hinted(const struct trap_table *t, enum trap_kind kind,
                                              uint64_t addr, uint64_t end)
{
    const struct trap_index *ix = __atomic_load_n(&t->index[kind], __ATOMIC_ACQUIRE);
    unsigned at = READ_ONCE(t->hint[kind][hint_slot(kind, addr)]);
    const struct trap_span *s;

    if (unlikely(!ix || at >= ix->nr))
        return NULL;
    s = &ix->span[at];
    /* An access that wraps around ends below the region's start. */
    return s->first <= addr && end <= s->last && end >= s->first ? READ_ONCE(s->region) : NULL;
}

/*
 * The region that holds the whole access.  NULL with *straddles set if a region holds a part of it
 * only, NULL without if none does.
 */
static struct trap_region *find(struct trap_table *t, enum trap_kind kind, uint64_t addr,
                                uint64_t end, bool *straddles)
{
    const struct trap_index *ix = __atomic_load_n(&t->index[kind], __ATOMIC_ACQUIRE);
    const struct trap_span *s;
    unsigned at;

    if (!ix || end < addr)
        return NULL;
    s = overlapping(ix, addr, end, &at);
    if (!s)
        return NULL;
    if (addr < s->first || end > s->last) {
        *straddles = true;
        return NULL;
    }
    WRITE_ONCE(t->hint[kind][hint_slot(kind, addr)], (uint16_t)at);
    return READ_ONCE(s->region);
}

static inline int call_handler(struct vcpu *v, struct trap_region *r, uint64_t addr, unsigned size,
                               bool write, uint64_t *val)
{
    count(write ? &r->count.writes : &r->count.reads);
    return write ? r->ops->write(v, r, addr, size, *val) : r->ops->read(v, r, addr, size, val);
}

/* Out of the hot path: what a handler returned is not "done". */
static __attribute__((noinline)) enum trap_result not_done(struct trap_region *r, int res,
                                                           unsigned size, bool write, uint64_t *val)
{
    if (res < 0 || res > TRAP_NONE)
        res = TRAP_DENIED;
    if (res == TRAP_DENIED)
        count(&r->count.denied);
    else if (res == TRAP_DROPPED)
        count(&r->count.dropped);
    else if (res == TRAP_FORWARD)
        count(&r->count.forwarded);
    if (!write && (res == TRAP_DENIED || res == TRAP_DROPPED))
        *val = trap_all_ones(size);
    return (enum trap_result)res;
}

/*
 * The access is performed and timed, and a record of it written, for which there is room. Handlers annotate what is under way; what
 * they make records of comes first.
 */
static inline __attribute__((always_inline)) int
recorded_call(struct record_cpu *c, struct vcpu *v, uint32_t who, struct trap_region *r,
              enum trap_kind kind, uint64_t addr, unsigned size, bool write, uint64_t *val)
{
    int res;

    record_begin(c, kind, addr, size, write, who, r->handler);
    res = call_handler(v, r, addr, size, write, val);
    if (likely(res == TRAP_DONE))
        record_end(*val, TRAP_DONE);
    else
        record_end(write ? *val : trap_all_ones(size), res < 0 ? TRAP_DENIED : (unsigned)res);
    return res;
}

/*
 * Perhaps an access that a handler makes: what is under way around it goes on afterwards. Perhaps there is no room, and the record is
 * lost.
 */
static __attribute__((noinline)) int recorded_slowly(struct vcpu *v, uint32_t who,
                                                     struct trap_region *r, enum trap_kind kind,
                                                     uint64_t addr, unsigned size, bool write,
                                                     uint64_t *val)
{
    struct record_cpu *c = this_cpu()->record;
    struct trap_record outer;
    bool inner = record_suspend(c, &outer);
    int res;

    if (record_room(c, 1 + c->suspended)) {
        res = recorded_call(c, v, who, r, kind, addr, size, write, val);
    } else {
        record_lose(c);
        res = call_handler(v, r, addr, size, write, val);
    }
    if (inner)
        record_resume(c, &outer);
    return res;
}

static enum trap_result not_found(struct trap_table *t, enum trap_kind kind, uint64_t addr,
                                  unsigned size, bool write, uint64_t *val, bool straddles)
{
    if (!straddles) {
        count(&t->unclaimed[kind]);
        return TRAP_NONE;
    }
    count(&t->straddled[kind]);
    deny(DENY_TRAP_STRADDLE, t->domid, DENY_NO_DEVICE, addr, size);
    if (!write)
        *val = trap_all_ones(size);
    return TRAP_DENIED;
}

/* The hint was wrong, or a handler makes an access. */
static __attribute__((noinline)) enum trap_result
access_slowly(struct vcpu *v, const struct trap_vcpu *tv, enum trap_kind kind, uint64_t addr,
              unsigned size, bool write, uint64_t *val)
{
    bool straddles = false;
    struct trap_region *r = find(tv->table, kind, addr, addr + size - 1, &straddles);
    int res;

    if (!r)
        return not_found(tv->table, kind, addr, size, write, val, straddles);
    if (record_listens())
        res = recorded_slowly(v, tv->who, r, kind, addr, size, write, val);
    else
        res = call_handler(v, r, addr, size, write, val);
    return res == TRAP_DONE ? TRAP_DONE : not_done(r, res, size, write, val);
}

/* Each of the four kinds of access is compiled for itself: what is known of it costs nothing then. */
static inline __attribute__((always_inline)) enum trap_result
access(struct vcpu *v, enum trap_kind kind, uint64_t addr, unsigned size, bool write, uint64_t *val)
{
    const struct trap_vcpu *tv = vcpu_trap(v);
    unsigned cpu = cpu_id();
    struct reclaim_cpu *rc = &reclaim_cpu[cpu];
    struct trap_region *r;
    bool recorded = false;
    int res;

    /* A handler that makes an access itself is inside one already. */
    if (unlikely(reclaim_inside(rc)))
        return access_slowly(v, tv, kind, addr, size, write, val);
    reclaim_enter(rc);
    r = find_hinted(tv->table, kind, addr, addr + size - 1);
    if (unlikely(!r)) {
        res = access_slowly(v, tv, kind, addr, size, write, val);
    } else if (!record_listens()) {
        res = call_handler(v, r, addr, size, write, val);
    } else {
        struct record_cpu *c = this_cpu()->record;

        recorded = c->head != c->limit;
        if (likely(recorded))
            res = recorded_call(c, v, tv->who, r, kind, addr, size, write, val);
        else
            res = recorded_slowly(v, tv->who, r, kind, addr, size, write, val);
    }
    if (r && unlikely(res != TRAP_DONE))
        res = not_done(r, res, size, write, val);
    reclaim_leave(rc);
    /* In a panic the record tells of it. */
    if (!recorded)
        record_last(cpu, tv->table->domid, kind, addr, size, write, (unsigned)res, *val);
    return (enum trap_result)res;
}

enum trap_result trap_mmio_access(struct vcpu *v, uint64_t gpa, unsigned size, bool write,
                                  uint64_t *val)
{
    return write ? access(v, TRAP_MMIO, gpa, size, true, val)
                 : access(v, TRAP_MMIO, gpa, size, false, val);
}

enum trap_result trap_pio_access(struct vcpu *v, uint16_t port, unsigned size, bool write,
                                 uint64_t *val)
{
    return write ? access(v, TRAP_PIO, port, size, true, val)
                 : access(v, TRAP_PIO, port, size, false, val);
}

int trap_for_each(struct trap_table *t, enum trap_kind kind,
                  int (*fn)(const struct trap_region *r, void *arg), void *arg)
{
    const struct trap_index *ix;
    int rc = 0;

    spin_lock(&t->lock);
    ix = t->index[kind];
    for (unsigned i = 0; ix && i < ix->nr && !rc; i++)
        if (ix->span[i].region)
            rc = fn(ix->span[i].region, arg);
    spin_unlock(&t->lock);
    return rc;
}

struct trap_region *trap_find(struct trap_table *t, enum trap_kind kind, uint64_t addr)
{
    struct reclaim_cpu *c = reclaim_this_cpu();
    bool outermost = !reclaim_inside(c), straddles = false;
    struct trap_region *r;

    if (outermost)
        reclaim_enter(c);
    r = find(t, kind, addr, addr, &straddles);
    if (outermost)
        reclaim_leave(c);
    return r;
}
