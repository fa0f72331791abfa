/* SPDX-License-Identifier: MIT */
/*
 * What the files of p2m/ share: the choke point (flush.c) and single steps on the table (table.c).
 * Nobody else includes this. Everything here needs p2m->lock.
 */
#ifndef XL_P2M_INTERNAL_H
#define XL_P2M_INTERNAL_H

#include "lib/assert.h"
#include "lib/errno.h"
#include "mm/frame.h"
#include "mm/phys.h"
#include "p2m/format.h"
#include "p2m/p2m.h"

/*
 * Entries looked at or changed between two looks at the outside world by a preemptible operation.
 */
#define P2M_STEPS 1024u

struct p2m_limits {
    unsigned addr_bits, max_order;
    bool flush_on_map, nested_paging;
};
extern struct p2m_limits p2m_limits;

static inline uint64_t *p2m_table(uint64_t mfn)
{
    return mfn_to_virt(mfn);
}

/* Number of used entries of a table, kept as the users of its frame. */
static inline uint32_t *table_count(const void *table)
{
    return &page_of(virt_to_mfn(table))->count;
}

static inline unsigned table_used(const void *table)
{
    return *table_count(table) & ~PAGE_ALLOCATED;
}

/* flush.c: the choke point. */

/* Writes one live entry and its cache line. */
void p2m_write(struct p2m *p2m, uint64_t *entry, uint64_t value);
/* The translations of [gfn, gfn + nr) got weaker or changed. */
void p2m_note_change(struct p2m *p2m, uint64_t gfn, uint64_t nr);
/* A not present range became present. */
void p2m_note_map(struct p2m *p2m, uint64_t gfn, uint64_t nr);
/* An intermediate entry that covers [gfn, gfn + nr) changed. */
void p2m_note_table(struct p2m *p2m, uint64_t gfn, uint64_t nr);
/* To be released after the flush. Flushes on the spot when the batch is full. */
void p2m_note_release(struct p2m *p2m, uint64_t gfn, uint64_t mfn, unsigned order,
                      enum p2m_type type);
void p2m_note_free_table(struct p2m *p2m, uint64_t mfn);
void p2m_flush(struct p2m *p2m);

/* table.c: single steps. */

uint64_t p2m_table_alloc(struct p2m *p2m);
/*
 * Maps the largest piece of at most 2^order frames at gfn that needs one leaf (gfn and mfn aligned
 * to it); *mapped = its order. Splits what is in the way, merges afterwards.
 */
int p2m_map_step(struct p2m *p2m, uint64_t gfn, uint64_t mfn, unsigned order, enum p2m_type type,
                 unsigned *mapped);
/* What one step of a range operation does with a leaf. */
struct p2m_edit {
    enum p2m_type from; /* P2M_NONE: any */
    enum p2m_type to;   /* P2M_NONE: unmap */
    bool keep;          /* unmap, but do not release: the caller goes on using the frame */
};
/*
 * Handles one leaf or hole at gfn, not beyond gfn + nr; *advanced = frames dealt with (at least 1),
 * unless it fails (-ENOMEM for a split).
 */
int p2m_edit_step(struct p2m *p2m, uint64_t gfn, uint64_t nr, const struct p2m_edit *edit,
                  uint64_t *advanced);

#endif
