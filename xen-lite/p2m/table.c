/* SPDX-License-Identifier: MIT */
/*
 * Single steps on the p2m's tables: walk down, split a large leaf, set or clear one, drop an empty
 * table, merge a full one.
 *
 * A table's frame counts its used entries, so that an empty or a full table is known without a
 * scan. The root and the sub-root (the level-3 table under the root's entry 0, where three-level
 * units start) always stay.
 */
#include "lib/string.h"
#include "p2m/internal.h"

/* Where a walk went: table[l] is the table of level l, for l from 4 down to `level`. */
struct walk {
    uint64_t *table[P2M_LEVELS + 1];
    unsigned level; /* the level of `entry` */
    uint64_t *entry;
};

static uint64_t level_frames(unsigned level)
{
    return 1UL << level_order(level);
}

static uint64_t block_start(uint64_t gfn, unsigned level)
{
    return ALIGN_DOWN(gfn, level_frames(level));
}

uint64_t p2m_table_alloc(struct p2m *p2m)
{
    uint64_t mfn;

    if (p2m->tables >= p2m->max_tables)
        return INVALID_MFN;
    mfn = frame_alloc(0, OWNER_XEN, FRAME_ZERO | FRAME_P2M);
    if (mfn == INVALID_MFN)
        return INVALID_MFN;
    p2m->tables++;
    if (p2m->hooks->sync_entry)
        p2m->hooks->sync_entry(p2m, p2m_table(mfn), PAGE_SIZE);
    return mfn;
}

/* Counters of what a leaf stands for; sign is +1 or -1. */
static void count_leaf(struct p2m *p2m, uint64_t e, unsigned level, int sign)
{
    uint64_t frames = level_frames(level);

    p2m->leaves[level - 1] += (uint64_t)(int64_t)sign;
    p2m->frames[entry_type(e)] += sign > 0 ? frames : -frames;
}

static void walk_start(const struct p2m *p2m, struct walk *w, uint64_t gfn)
{
    w->level = P2M_LEVELS;
    w->table[P2M_LEVELS] = p2m_table(p2m->root);
    w->entry = &w->table[P2M_LEVELS][entry_index(gfn, P2M_LEVELS)];
}

static void walk_down(struct walk *w, uint64_t gfn)
{
    w->table[w->level - 1] = p2m_table(entry_mfn(*w->entry));
    w->level--;
    w->entry = &w->table[w->level][entry_index(gfn, w->level)];
}

/* Puts a new, empty table under an empty entry. */
static int add_table(struct p2m *p2m, struct walk *w)
{
    uint64_t mfn = p2m_table_alloc(p2m);

    if (mfn == INVALID_MFN)
        return -ENOMEM;
    ++*table_count(w->table[w->level]);
    p2m_write(p2m, w->entry, entry_make_table(mfn));
    return 0;
}

/*
 * Replaces a large leaf by a table of 512 smaller ones that say the same. No permission changes, so
 * translations that are cached stay right; but units must not keep a large and small ones for the
 * same address once the small ones begin to differ, so the whole block is flushed with the change
 * that follows.
 */
static int split(struct p2m *p2m, struct walk *w, uint64_t gfn)
{
    uint64_t old = *w->entry;
    unsigned child = w->level - 1;
    uint64_t mfn = p2m_table_alloc(p2m);
    uint64_t *table;

    if (mfn == INVALID_MFN)
        return -ENOMEM;
    table = p2m_table(mfn);
    for (unsigned i = 0; i < ENTRIES; i++) {
        table[i] = entry_make_leaf(entry_mfn(old) + i * level_frames(child), child, entry_type(old),
                                   p2m_limits.nested_paging);
    }
    *table_count(table) += ENTRIES;
    if (p2m->hooks->sync_entry)
        p2m->hooks->sync_entry(p2m, table, PAGE_SIZE);
    p2m_write(p2m, w->entry, entry_make_table(mfn));
    p2m->leaves[w->level - 1]--;
    p2m->leaves[child - 1] += ENTRIES;
    p2m->nr_splits++;
    p2m_note_table(p2m, block_start(gfn, w->level), level_frames(w->level));
    return 0;
}

/* From the level of w upwards: tables without entries go, up to the sub-root and the root. */
static void prune(struct p2m *p2m, struct walk *w, uint64_t gfn)
{
    while (w->level < P2M_LEVELS) {
        uint64_t mfn = virt_to_mfn(w->table[w->level]);

        if (table_used(w->table[w->level]) || mfn == p2m->subroot)
            return;
        w->level++;
        w->entry = &w->table[w->level][entry_index(gfn, w->level)];
        p2m_write(p2m, w->entry, 0);
        --*table_count(w->table[w->level]);
        p2m_note_table(p2m, block_start(gfn, w->level), level_frames(w->level));
        p2m_note_free_table(p2m, mfn);
    }
}

/*
 * Whether what `old` mapped leaves the p2m when e takes its place. The same memory, writable or
 * not, stays; another kind of mapping of the same frame has its own references, so the old one's
 * are given back.
 */
static bool displaces(uint64_t old, uint64_t e)
{
    if (entry_mfn(old) != entry_mfn(e))
        return true;
    return entry_type(old) != entry_type(e) &&
           !(p2m_type_is_ram(entry_type(old)) && p2m_type_is_ram(entry_type(e)));
}

/*
 * Writes a leaf over an empty entry or another leaf, and takes care of everything that depends on
 * it. retype: only the type changes, the references go over to the new one.
 */
static void set_leaf(struct p2m *p2m, struct walk *w, uint64_t gfn, uint64_t e, bool retype)
{
    uint64_t old = *w->entry, start = block_start(gfn, w->level), frames = level_frames(w->level);

    if (!entry_present(old))
        ++*table_count(w->table[w->level]);
    p2m_write(p2m, w->entry, e);
    count_leaf(p2m, e, w->level, 1);
    if (!entry_present(old)) {
        p2m_note_map(p2m, start, frames);
        return;
    }
    count_leaf(p2m, old, w->level, -1);
    p2m_note_change(p2m, start, frames);
    if (!retype && displaces(old, e))
        p2m_note_release(p2m, start, entry_mfn(old), level_order(w->level), entry_type(old));
}

static void clear_leaf(struct p2m *p2m, struct walk *w, uint64_t gfn, bool keep)
{
    uint64_t old = *w->entry, start = block_start(gfn, w->level);

    p2m_write(p2m, w->entry, 0);
    --*table_count(w->table[w->level]);
    count_leaf(p2m, old, w->level, -1);
    p2m_note_change(p2m, start, level_frames(w->level));
    if (!keep)
        p2m_note_release(p2m, start, entry_mfn(old), level_order(w->level), entry_type(old));
    prune(p2m, w, gfn);
}

/* Foreign and granted frames come and go one by one and carry a reference each: keep them apart. */
static bool may_merge(enum p2m_type type)
{
    return p2m_type_is_ram(type) || type == P2M_MMIO_DIRECT || type == P2M_FIRMWARE;
}

/* Whether all 512 entries of a full table continue its first one. */
static bool is_contiguous(const uint64_t *table, unsigned level)
{
    uint64_t step = level_frames(level) << PAGE_SHIFT;

    if (!entry_is_leaf(table[0], level) || (entry_mfn(table[0]) & (level_frames(level + 1) - 1)))
        return false;
    /* The last entry first: nearly always enough to say no. */
    if (!entry_same(table[ENTRIES - 1], table[0] + (ENTRIES - 1) * step))
        return false;
    for (unsigned i = 1; i < ENTRIES - 1; i++)
        if (!entry_same(table[i], table[0] + i * step))
            return false;
    return true;
}

/* As long as the table that holds w's entry is full and contiguous, one large leaf replaces it. */
static void merge(struct p2m *p2m, struct walk *w, uint64_t gfn)
{
    while (level_order(w->level + 1) <= p2m->max_order) {
        uint64_t *table = w->table[w->level];
        unsigned level = w->level;
        uint64_t e;

        if (table_used(table) != ENTRIES || !may_merge(entry_type(*w->entry)) ||
            !is_contiguous(table, level))
            return;
        e = entry_make_leaf(entry_mfn(table[0]), level + 1, entry_type(table[0]),
                            p2m_limits.nested_paging);
        w->level++;
        w->entry = &w->table[w->level][entry_index(gfn, w->level)];
        p2m_write(p2m, w->entry, e);
        p2m->leaves[level - 1] -= ENTRIES;
        p2m->leaves[level]++;
        p2m->nr_merges++;
        p2m_note_table(p2m, block_start(gfn, w->level), level_frames(w->level));
        p2m_note_free_table(p2m, virt_to_mfn(table));
    }
}

/* Gets from the entry of w down to the next level, making the table if there is none. */
static int walk_make(struct p2m *p2m, struct walk *w, uint64_t gfn)
{
    int rc = 0;

    if (!entry_present(*w->entry))
        rc = add_table(p2m, w);
    else if (entry_is_leaf(*w->entry, w->level))
        rc = split(p2m, w, gfn);
    if (!rc)
        walk_down(w, gfn);
    return rc;
}

int p2m_map_step(struct p2m *p2m, uint64_t gfn, uint64_t mfn, unsigned order, enum p2m_type type,
                 unsigned *mapped)
{
    unsigned level = order_level(order);
    struct walk w;
    uint64_t e;

    walk_start(p2m, &w, gfn);
    for (;;) {
        int rc;

        if (entry_is_leaf(*w.entry, w.level) && entry_type(*w.entry) == type &&
            entry_mfn(*w.entry) + (gfn - block_start(gfn, w.level)) == mfn) {
            *mapped = MIN(level_order(w.level), order); /* there already */
            return 0;
        }
        if (w.level <= level && !entry_is_table(*w.entry, w.level))
            break;
        rc = walk_make(p2m, &w, gfn);
        if (rc) {
            prune(p2m, &w, gfn);
            return rc;
        }
    }
    e = entry_make_leaf(mfn, w.level, type, p2m_limits.nested_paging);
    *mapped = level_order(w.level);
    set_leaf(p2m, &w, gfn, e, false);
    merge(p2m, &w, gfn);
    return 0;
}

static void edit_leaf(struct p2m *p2m, struct walk *w, uint64_t gfn, const struct p2m_edit *edit)
{
    if (edit->to == P2M_NONE) {
        clear_leaf(p2m, w, gfn, edit->keep);
        return;
    }
    set_leaf(p2m, w, gfn,
             entry_make_leaf(entry_mfn(*w->entry), w->level, edit->to, p2m_limits.nested_paging),
             true);
    merge(p2m, w, gfn);
}

int p2m_edit_step(struct p2m *p2m, uint64_t gfn, uint64_t nr, const struct p2m_edit *edit,
                  uint64_t *advanced)
{
    struct walk w;

    walk_start(p2m, &w, gfn);
    while (entry_is_table(*w.entry, w.level))
        walk_down(&w, gfn);
    for (;;) {
        uint64_t left = level_frames(w.level) - (gfn - block_start(gfn, w.level));
        uint64_t size = level_frames(w.level);
        int rc;

        if (!entry_present(*w.entry) ||
            (edit->from != P2M_NONE && entry_type(*w.entry) != edit->from)) {
            *advanced = MIN(left, nr);
            return 0;
        }
        if (left == size && nr >= size) {
            *advanced = size;
            edit_leaf(p2m, &w, gfn, edit);
            return 0;
        }
        rc = split(p2m, &w, gfn);
        if (rc)
            return rc;
        walk_down(&w, gfn);
    }
}
