/* SPDX-License-Identifier: MIT */
/*
 * The p2m's proof: walks the live table and checks that it says nothing that it must not.
 */
#include "lib/string.h"
#include "p2m/internal.h"

static void breach(struct p2m_audit *r, uint64_t gfn, uint64_t mfn, const char *reason)
{
    if (!r->breaches++) {
        r->gfn = gfn;
        r->mfn = mfn;
        r->reason = reason;
    }
}

static void check_frame(const struct p2m *p2m, struct p2m_audit *r, uint64_t gfn, uint64_t mfn,
                        enum p2m_type type)
{
    const struct page *pg = page_of(mfn);

    if (!page_mappable(mfn))
        breach(r, gfn, mfn, "maps a frame that is free or the hypervisor's");
    if (p2m_type_is_ram(type) && (!pg || pg->use != PAGE_RAM || pg->owner != p2m->domid))
        breach(r, gfn, mfn, "maps as its memory a frame that the domain does not own");
    if (type == P2M_SPECIAL && (!pg || pg->use != PAGE_SHARED))
        breach(r, gfn, mfn, "maps as shared page a frame that is not one");
}

static void check_leaf(const struct p2m *p2m, struct p2m_audit *r, uint64_t gfn, uint64_t e,
                       unsigned level)
{
    enum p2m_type type = entry_type(e);
    uint64_t nr = 1UL << level_order(level);

    if (type == P2M_NONE || (unsigned)type >= P2M_NR_TYPES) {
        breach(r, gfn, entry_mfn(e), "entry without a valid type");
        return;
    }
    if (!entry_same(e, entry_make_leaf(entry_mfn(e), level, type, p2m_limits.nested_paging)))
        breach(r, gfn, entry_mfn(e), "permissions do not match the type");
    if (level_order(level) > p2m->max_order || (entry_mfn(e) & (nr - 1)))
        breach(r, gfn, entry_mfn(e), "page size or alignment not allowed");
    if (gfn + nr - 1 > p2m->max_gfn)
        breach(r, gfn, entry_mfn(e), "mapped above the address width");
    r->leaves[level - 1]++;
    r->frames[type] += nr;
    for (uint64_t i = 0; i < nr; i++)
        check_frame(p2m, r, gfn + i, entry_mfn(e) + i, type);
}

/* Returns the table's mfn, or INVALID_MFN when it is none that can be walked. */
static uint64_t check_table(struct p2m_audit *r, uint64_t gfn, uint64_t e)
{
    uint64_t mfn = entry_mfn(e);
    const struct page *pg = page_of(mfn);

    if (!entry_same(e, entry_make_table(mfn)))
        breach(r, gfn, mfn, "malformed intermediate entry");
    if (pg && pg->use == PAGE_P2M && pg->owner == OWNER_XEN) {
        r->tables++;
        return mfn;
    }
    breach(r, gfn, mfn, "table frame is not one of the hypervisor's");
    return INVALID_MFN;
}

static void check_used(struct p2m_audit *r, uint64_t gfn, const uint64_t *table)
{
    unsigned used = 0;

    for (unsigned i = 0; i < ENTRIES; i++)
        used += entry_present(table[i]);
    if (used != table_used(table))
        breach(r, gfn, virt_to_mfn(table), "a table's count of entries is wrong");
}

/* Depth first with an explicit stack of one position a level. */
static void walk_all(struct p2m *p2m, struct p2m_audit *r)
{
    const uint64_t *table[P2M_LEVELS + 1];
    unsigned index[P2M_LEVELS + 1];
    unsigned l = P2M_LEVELS;
    uint64_t gfn = 0;

    table[l] = p2m_table(check_table(r, 0, entry_make_table(p2m->root)));
    index[l] = 0;
    check_used(r, 0, table[l]);
    for (;;) {
        uint64_t e, mfn;

        if (index[l] == ENTRIES) {
            if (l == P2M_LEVELS)
                return;
            l++;
            continue;
        }
        e = table[l][index[l]++];
        if (entry_is_table(e, l)) {
            mfn = check_table(r, gfn, e);
            if (mfn != INVALID_MFN) {
                l--;
                table[l] = p2m_table(mfn);
                index[l] = 0;
                check_used(r, gfn, table[l]);
                continue;
            }
        } else if (entry_present(e)) {
            check_leaf(p2m, r, gfn, e, l);
        } else if (e) {
            breach(r, gfn, entry_mfn(e), "entry not present but not zero");
        }
        gfn += 1UL << level_order(l);
    }
}

uint64_t p2m_audit(struct p2m *p2m, struct p2m_audit *r)
{
    const uint64_t *root = p2m_table(p2m->root);

    memset(r, 0, sizeof(*r));
    spin_lock(&p2m->lock);
    walk_all(p2m, r);
    if (!entry_same(root[0], entry_make_table(p2m->subroot)))
        breach(r, 0, p2m->subroot, "the sub-root is not the table under the root's first entry");
    if (memcmp(r->frames, p2m->frames, sizeof(r->frames)) ||
        memcmp(r->leaves, p2m->leaves, sizeof(r->leaves)) || r->tables != p2m->tables)
        breach(r, INVALID_GFN, INVALID_MFN, "counters differ from what the table holds");
    spin_unlock(&p2m->lock);
    return r->breaches;
}
