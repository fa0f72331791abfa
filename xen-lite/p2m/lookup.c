/* SPDX-License-Identifier: MIT */
/*
 * Reading the p2m without its lock: the way of every emulation and of every copy from and to
 * guests.
 */
#include "p2m/internal.h"

struct found {
    uint64_t entry;
    unsigned level;
};

/*
 * The entry for gfn in the table that f->entry points to. A table may be unhooked and freed while
 * we look, but p2m->seq is raised before its frame is used again (p2m_note_free_table): what was
 * read counts only if seq is still what it was before the walk. Reading the frame itself is always
 * possible, the direct map holds all memory.
 */
static inline bool descend(const struct p2m *p2m, uint64_t seq, uint64_t gfn, unsigned level,
                           struct found *f)
{
    const uint64_t *table = p2m_table(entry_mfn(f->entry));

    f->entry = __atomic_load_n(&table[entry_index(gfn, level)], __ATOMIC_ACQUIRE);
    f->level = level;
    return __atomic_load_n(&p2m->seq, __ATOMIC_ACQUIRE) == seq;
}

/*
 * False: start again. Root and sub-root are never freed, and nearly all walks begin at the latter.
 */
static inline bool walk_once(const struct p2m *p2m, uint64_t gfn, struct found *f)
{
    uint64_t seq = __atomic_load_n(&p2m->seq, __ATOMIC_ACQUIRE);

    if (likely(gfn < 1UL << level_order(P2M_LEVELS))) {
        f->level = P2M_LEVELS - 1;
        f->entry = __atomic_load_n(&p2m_table(p2m->subroot)[entry_index(gfn, P2M_LEVELS - 1)],
                                   __ATOMIC_ACQUIRE);
    } else {
        f->level = P2M_LEVELS;
        f->entry =
            __atomic_load_n(&p2m_table(p2m->root)[entry_index(gfn, P2M_LEVELS)], __ATOMIC_ACQUIRE);
        if (entry_is_table(f->entry, P2M_LEVELS) && !descend(p2m, seq, gfn, 3, f))
            return false;
    }
    if (f->level != 3 || !entry_is_table(f->entry, 3))
        return true;
    if (!descend(p2m, seq, gfn, 2, f))
        return false;
    return !entry_is_table(f->entry, 2) || descend(p2m, seq, gfn, 1, f);
}

uint64_t p2m_lookup(const struct p2m *p2m, uint64_t gfn, enum p2m_type *type, unsigned *order)
{
    struct found f = { .entry = 0, .level = P2M_LEVELS };

    /* Repeated only when a table was unhooked meanwhile, which takes a flush of CPUs: it ends. */
    if (likely(gfn <= p2m->max_gfn))
        while (unlikely(!walk_once(p2m, gfn, &f)))
            cpu_relax();
    if (order)
        *order = level_order(f.level);
    if (unlikely(!entry_present(f.entry))) {
        if (type)
            *type = P2M_NONE;
        return INVALID_MFN;
    }
    if (type)
        *type = entry_type(f.entry);
    return entry_mfn(f.entry) + (gfn & ((1UL << level_order(f.level)) - 1));
}

/*
 * Frames that the domain itself owns: the owner says that the reference is rightly held, whatever
 * the p2m says by now.
 */
static bool is_own(enum p2m_type type)
{
    return p2m_type_is_ram(type) || type == P2M_SPECIAL;
}

uint64_t p2m_get_frame(const struct p2m *p2m, uint64_t gfn, bool write, enum p2m_type *type)
{
    /*
     * Another vCPU may remap the page between look-up and reference; it will not manage to do so
     * for ever.
     */
    for (unsigned tries = 0; tries < 16; tries++) {
        enum p2m_type t, now;
        uint64_t mfn = p2m_lookup(p2m, gfn, &t, NULL);

        if (type)
            *type = t;
        if (mfn == INVALID_MFN || t == P2M_MMIO_DIRECT || t == P2M_FIRMWARE ||
            (write && !p2m_type_writable(t)))
            return INVALID_MFN;
        if (is_own(t) && page_get(mfn, p2m->domid))
            return mfn;
        if (!page_get_any(mfn))
            continue;
        if (p2m_lookup(p2m, gfn, &now, NULL) == mfn && now == t)
            return mfn;
        page_put(mfn);
    }
    return INVALID_MFN;
}

void p2m_put_frame(uint64_t mfn)
{
    page_put(mfn);
}
