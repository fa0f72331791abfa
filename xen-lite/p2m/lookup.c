/* SPDX-License-Identifier: MIT */
/*
 * Reading the p2m without its lock: the way of every emulation and of every copy from and to
 * guests.
 */
#include "p2m/internal.h"

/*
 * A walk may follow an entry into a table that is unhooked at the same time. The table's frame is
 * not reused before p2m->seq was raised (p2m_note_free_table), so an entry counts only if seq is
 * still what it was before the walk. Reading the frame itself is always possible: the direct map
 * holds all memory.
 */
static bool walk_once(const struct p2m *p2m, uint64_t gfn, uint64_t *entry, unsigned *level)
{
    uint64_t seq = __atomic_load_n(&p2m->seq, __ATOMIC_ACQUIRE);
    uint64_t e = entry_make_table(p2m->root);

    for (unsigned l = P2M_LEVELS; l > 0; l--) {
        const uint64_t *table = p2m_table(entry_mfn(e));

        e = __atomic_load_n(&table[entry_index(gfn, l)], __ATOMIC_ACQUIRE);
        if (__atomic_load_n(&p2m->seq, __ATOMIC_ACQUIRE) != seq)
            return false;
        *level = l;
        if (!entry_is_table(e, l))
            break;
    }
    *entry = e;
    return true;
}

uint64_t p2m_lookup(const struct p2m *p2m, uint64_t gfn, enum p2m_type *type, unsigned *order)
{
    uint64_t e = 0;
    unsigned level = P2M_LEVELS;

    /*
     * Each repetition takes a table that somebody unhooked meanwhile, with a flush of CPUs: it
     * ends.
     */
    if (gfn <= p2m->max_gfn)
        while (!walk_once(p2m, gfn, &e, &level))
            cpu_relax();
    if (order)
        *order = level_order(level);
    if (type)
        *type = entry_present(e) ? entry_type(e) : P2M_NONE;
    if (!entry_present(e))
        return INVALID_MFN;
    return entry_mfn(e) + (gfn & ((1UL << level_order(level)) - 1));
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
