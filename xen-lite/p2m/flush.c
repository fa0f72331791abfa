/* SPDX-License-Identifier: MIT */
/*
 * The choke point of all p2m changes: entries are written here, what must be flushed is collected,
 * and nothing that was unmapped is given back before CPUs and IOMMU units have forgotten it.
 */
#include "p2m/internal.h"

void p2m_write(struct p2m *p2m, uint64_t *entry, uint64_t value)
{
    /*
     * One locked store: nested walks set accessed and dirty bits in the same word by locked
     * operations.
     */
    __atomic_store_n(entry, value, __ATOMIC_SEQ_CST);
    p2m->nr_writes++;
    if (p2m->hooks->sync_entry)
        p2m->hooks->sync_entry(p2m, entry, sizeof(*entry));
}

static void widen(struct p2m_pending *pd, uint64_t gfn, uint64_t nr)
{
    uint64_t last = gfn + nr - 1;

    pd->first = pd->iommu ? MIN(pd->first, gfn) : gfn;
    pd->last = pd->iommu ? MAX(pd->last, last) : last;
    pd->iommu = true;
}

void p2m_note_change(struct p2m *p2m, uint64_t gfn, uint64_t nr)
{
    p2m->pending.cpu = true;
    widen(&p2m->pending, gfn, nr);
}

void p2m_note_map(struct p2m *p2m, uint64_t gfn, uint64_t nr)
{
    if (p2m_limits.flush_on_map)
        widen(&p2m->pending, gfn, nr);
}

void p2m_note_table(struct p2m *p2m, uint64_t gfn, uint64_t nr)
{
    p2m->pending.cpu = true;
    p2m->pending.tables = true;
    widen(&p2m->pending, gfn, nr);
}

static void push_release(struct p2m *p2m, uint64_t gfn, uint64_t mfn, unsigned order,
                         enum p2m_type type)
{
    struct p2m_pending *pd = &p2m->pending;

    if (pd->nr_releases == P2M_BATCH_RELEASES)
        p2m_flush(p2m);
    pd->releases[pd->nr_releases++] = (struct p2m_release){
        .gfn = gfn, .mfn = mfn, .order = (uint8_t)order, .type = (uint8_t)type
    };
}

void p2m_note_release(struct p2m *p2m, uint64_t gfn, uint64_t mfn, unsigned order,
                      enum p2m_type type)
{
    /* Devices' and firmware's memory belongs to nobody. */
    if (type != P2M_MMIO_DIRECT && type != P2M_FIRMWARE)
        push_release(p2m, gfn, mfn, order, type);
}

void p2m_note_free_table(struct p2m *p2m, uint64_t mfn)
{
    /*
     * A lock-free walker that came through the old entry sees the new number before the frame can
     * hold anything else.
     */
    __atomic_fetch_add(&p2m->seq, 1, __ATOMIC_SEQ_CST);
    push_release(p2m, INVALID_GFN, mfn, 0, P2M_NONE);
}

static void release_one(struct p2m *p2m, const struct p2m_release *r)
{
    if (r->type == P2M_NONE) {
        page_of(r->mfn)->count =
            PAGE_ALLOCATED; /* the entries that it counted died with the table */
        frame_free(r->mfn, 0);
        p2m->tables--;
    } else if (p2m->hooks->release) {
        p2m->hooks->release(p2m, r->gfn, r->mfn, r->order, (enum p2m_type)r->type);
    }
}

void p2m_flush(struct p2m *p2m)
{
    struct p2m_pending *pd = &p2m->pending;

    ASSERT(spin_is_locked(&p2m->lock));
    if (pd->cpu) {
        __atomic_fetch_add(&p2m->gen, 1, __ATOMIC_SEQ_CST);
        p2m->nr_cpu_flushes++;
        if (p2m->hooks->flush_cpu)
            p2m->hooks->flush_cpu(p2m);
    }
    if (pd->iommu) {
        p2m->nr_iommu_flushes++;
        if (p2m->hooks->flush_iommu)
            p2m->hooks->flush_iommu(p2m, pd->first, pd->last - pd->first + 1, pd->tables);
    }
    for (unsigned i = 0; i < pd->nr_releases; i++)
        release_one(p2m, &pd->releases[i]);
    pd->nr_releases = 0;
    pd->cpu = pd->iommu = pd->tables = false;
}
