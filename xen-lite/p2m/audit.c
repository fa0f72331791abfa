/* SPDX-License-Identifier: MIT */
/*
 * The p2m's proof: walks the live table and checks that it says nothing that it must not. The walk
 * keeps no place between two steps but a gfn, so that it may stop anywhere and go on in a table that
 * has changed since.
 */
#include "lib/string.h"
#include "p2m/internal.h"

/* Frames of a leaf that one step looks at: bounds it for 1 GiB leaves. */
#define PIECE ((uint64_t)ENTRIES)

struct audit {
    struct p2m *p2m;
    const struct p2m_audit_ops *ops;
    void *arg;
    uint64_t work; /* entries and frames seen */
    bool stop;
};

static void breach(struct audit *a, enum p2m_breach what, uint64_t gfn, uint64_t mfn, uint64_t e,
                   const char *reason)
{
    a->ops->breach(a->arg, what, gfn, mfn, e, 1, reason);
}

/* What is wrong with the frame behind a leaf of this type; NULL: nothing. */
static const char *frame_fault(const struct p2m *p2m, uint64_t mfn, enum p2m_type type,
                               enum p2m_breach *what)
{
    const struct page *pg = page_of(mfn);

    *what = P2M_BREACH_OWNER;
    if (p2m_type_is_ram(type) && (!pg || pg->use != PAGE_RAM || pg->owner != p2m->domid) &&
        page_mappable(mfn))
        return "maps as its memory a frame that the domain does not own";
    if (type == P2M_SPECIAL && (!pg || pg->use != PAGE_SHARED) && page_mappable(mfn))
        return "maps as shared page a frame that is not one";
    *what = P2M_BREACH_HYPERVISOR;
    return page_mappable(mfn) ? NULL : "maps a frame that is free or the hypervisor's";
}

/* One breach for a run of frames that are wrong in the same way. */
static void check_frames(struct audit *a, uint64_t gfn, uint64_t mfn, uint64_t nr,
                         enum p2m_type type, uint64_t e)
{
    const char *run = NULL;
    enum p2m_breach kind = P2M_BREACH_FORM, what;
    uint64_t from = 0;

    for (uint64_t i = 0; i <= nr; i++) {
        const char *fault = i < nr ? frame_fault(a->p2m, mfn + i, type, &what) : NULL;

        if (fault == run)
            continue;
        if (run)
            a->ops->breach(a->arg, kind, gfn + from, mfn + from, e, i - from, run);
        run = fault;
        kind = what;
        from = i;
    }
}

static void check_form(struct audit *a, uint64_t gfn, uint64_t e, unsigned level)
{
    enum p2m_type type = entry_type(e);
    uint64_t mfn = entry_mfn(e), nr = 1UL << level_order(level);

    if (!entry_same(e, entry_make_leaf(mfn, level, type, p2m_limits.nested_paging)))
        breach(a, P2M_BREACH_FORM, gfn, mfn, e, "permissions do not match the type");
    if (level_order(level) > a->p2m->max_order || (mfn & (nr - 1)))
        breach(a, P2M_BREACH_FORM, gfn, mfn, e, "page size or alignment not allowed");
    if (gfn + nr - 1 > a->p2m->max_gfn)
        breach(a, P2M_BREACH_FORM, gfn, mfn, e, "mapped above the address width");
}

/* The piece of a leaf that holds gfn. Returns the gfn behind it. */
static uint64_t check_leaf(struct audit *a, uint64_t gfn, uint64_t e, unsigned level)
{
    uint64_t size = 1UL << level_order(level), first = gfn & ~(size - 1), in = gfn - first;
    uint64_t nr = MIN(size - in, PIECE - in % PIECE);
    enum p2m_type type = entry_type(e);

    if (type == P2M_NONE || (unsigned)type >= P2M_NR_TYPES) {
        breach(a, P2M_BREACH_FORM, first, entry_mfn(e), e, "entry without a valid type");
        return first + size;
    }
    if (!in)
        check_form(a, first, e, level);
    a->work += nr;
    a->stop = !a->ops->leaf(a->arg, &(struct p2m_piece){ .gfn = gfn,
                                                         .mfn = entry_mfn(e) + in,
                                                         .nr = nr,
                                                         .entry = e,
                                                         .type = type,
                                                         .order = level_order(level),
                                                         .first = !in });
    check_frames(a, gfn, entry_mfn(e) + in, nr, type, e);
    return gfn + nr;
}

/* Whether the entry's table can be walked; told about when gfn is the first in it. */
static bool check_table(struct audit *a, uint64_t gfn, uint64_t e, bool first)
{
    uint64_t mfn = entry_mfn(e);
    const struct page *pg = page_of(mfn);

    if (first && !entry_same(e, entry_make_table(mfn)))
        breach(a, P2M_BREACH_FORM, gfn, mfn, e, "malformed intermediate entry");
    if (pg && pg->use == PAGE_P2M && pg->owner == OWNER_XEN)
        return true;
    breach(a, P2M_BREACH_FORM, gfn, mfn, e, "table frame is not one of the hypervisor's");
    return false;
}

static void enter_table(struct audit *a, uint64_t gfn, const uint64_t *table)
{
    unsigned used = 0;

    for (unsigned i = 0; i < ENTRIES; i++)
        used += entry_present(table[i]);
    if (used != table_used(table))
        breach(a, P2M_BREACH_FORM, gfn, virt_to_mfn(table), used,
               "a table's count of entries is wrong");
    a->work += ENTRIES / 8;
    a->ops->table(a->arg, virt_to_mfn(table));
}

/* One leaf piece or hole at gfn. Returns the gfn behind it. */
static uint64_t step(struct audit *a, uint64_t gfn)
{
    uint64_t e = entry_make_table(a->p2m->root);

    a->work++;
    for (unsigned level = P2M_LEVELS;; level--) {
        uint64_t size = 1UL << level_order(level);
        /* Below the first entry of a table nothing was seen of it yet. */
        bool first = !(gfn & (size * ENTRIES - 1));
        const uint64_t *table;

        if (!check_table(a, gfn, e, first))
            return (gfn | (size * ENTRIES - 1)) + 1;
        table = p2m_table(entry_mfn(e));
        if (first)
            enter_table(a, gfn, table);
        e = table[entry_index(gfn, level)];
        if (entry_is_table(e, level))
            continue;
        if (entry_present(e))
            return check_leaf(a, gfn, e, level);
        if (e)
            breach(a, P2M_BREACH_FORM, gfn, entry_mfn(e), e, "entry not present but not zero");
        return (gfn | (size - 1)) + 1;
    }
}

static uint64_t walk(struct audit *a, uint64_t gfn, uint64_t budget)
{
    const uint64_t end = 1UL << level_order(P2M_LEVELS + 1);

    while (gfn < end && a->work < budget && !a->stop)
        gfn = step(a, gfn);
    return gfn < end ? gfn : INVALID_GFN;
}

uint64_t p2m_audit_part(struct p2m *p2m, uint64_t gfn, uint64_t budget,
                        const struct p2m_audit_ops *ops, void *arg)
{
    struct audit a = { .p2m = p2m, .ops = ops, .arg = arg };

    spin_lock(&p2m->lock);
    if (!gfn && !entry_same(p2m_table(p2m->root)[0], entry_make_table(p2m->subroot)))
        breach(&a, P2M_BREACH_FORM, 0, p2m->subroot, p2m_table(p2m->root)[0],
               "the sub-root is not the table under the root's first entry");
    gfn = walk(&a, gfn, budget);
    spin_unlock(&p2m->lock);
    return gfn;
}

const char *p2m_audit_flushed(struct p2m *p2m)
{
    const struct p2m_pending *pd = &p2m->pending;
    const char *fault = NULL;

    /* Whoever holds the lock may be between a change and its flush; nobody else. */
    spin_lock(&p2m->lock);
    if (pd->cpu)
        fault = "processors were not flushed after a change";
    else if (pd->iommu || pd->tables)
        fault = "units were not flushed after a change";
    else if (pd->nr_releases)
        fault = "frames wait for a flush that nobody makes";
    spin_unlock(&p2m->lock);
    return fault;
}

/* ---- all at once ---- */

static bool sum_leaf(void *arg, const struct p2m_piece *piece)
{
    struct p2m_audit *r = arg;

    r->frames[piece->type] += piece->nr;
    r->leaves[piece->order / LEVEL_BITS] += piece->first;
    return true;
}

static void sum_breach(void *arg, enum p2m_breach what, uint64_t gfn, uint64_t mfn, uint64_t entry,
                       uint64_t frames, const char *reason)
{
    struct p2m_audit *r = arg;

    (void)what;
    (void)entry;
    if (!r->breaches) {
        r->gfn = gfn;
        r->mfn = mfn;
        r->reason = reason;
    }
    r->breaches += frames;
}

static void sum_table(void *arg, uint64_t mfn)
{
    struct p2m_audit *r = arg;

    (void)mfn;
    r->tables++;
}

static const struct p2m_audit_ops sum_ops = { sum_leaf, sum_breach, sum_table };

/* Lock held. */
static bool agrees(const struct p2m *p2m, const struct p2m_audit *r)
{
    return !memcmp(r->frames, p2m->frames, sizeof(r->frames)) &&
           !memcmp(r->leaves, p2m->leaves, sizeof(r->leaves)) && r->tables == p2m->tables;
}

bool p2m_audit_agrees(struct p2m *p2m, const struct p2m_audit *seen, uint64_t writes)
{
    bool ok;

    spin_lock(&p2m->lock);
    ok = p2m->nr_writes != writes || agrees(p2m, seen);
    spin_unlock(&p2m->lock);
    return ok;
}

uint64_t p2m_audit(struct p2m *p2m, struct p2m_audit *r)
{
    struct audit a = { .p2m = p2m, .ops = &sum_ops, .arg = r };
    const uint64_t *root = p2m_table(p2m->root);

    memset(r, 0, sizeof(*r));
    spin_lock(&p2m->lock);
    walk(&a, 0, ~0ULL);
    if (!entry_same(root[0], entry_make_table(p2m->subroot)))
        sum_breach(r, P2M_BREACH_FORM, 0, p2m->subroot, root[0], 1,
                   "the sub-root is not the table under the root's first entry");
    if (!agrees(p2m, r))
        sum_breach(r, P2M_BREACH_FORM, INVALID_GFN, INVALID_MFN, 0, 1,
                   "counters differ from what the table holds");
    spin_unlock(&p2m->lock);
    return r->breaches;
}

unsigned p2m_explain(struct p2m *p2m, uint64_t gfn, struct p2m_step step[P2M_LEVELS])
{
    uint64_t e = entry_make_table(p2m->root);
    unsigned n = 0;

    if (gfn >> level_order(P2M_LEVELS + 1))
        return 0;
    spin_lock(&p2m->lock);
    for (unsigned level = P2M_LEVELS; level && entry_is_table(e, level + 1); level--, n++) {
        step[n].table = entry_mfn(e);
        step[n].level = level;
        step[n].index = entry_index(gfn, level);
        e = p2m_table(entry_mfn(e))[step[n].index];
        step[n].entry = e;
    }
    spin_unlock(&p2m->lock);
    return n;
}
