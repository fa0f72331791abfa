/* SPDX-License-Identifier: MIT */
/*
 * Grant tables: the shared frames, the pins on their entries, and the handles of mappings.
 */
#include "hypercall/grant.h"

#include "domain/domain.h"
#include "lib/assert.h"
#include "lib/errno.h"
#include "mm/frame.h"
#include "mm/heap.h"
#include "mm/phys.h"

#define DEFAULT_LIMIT 0xffffffffU
#define NO_HANDLE     0xffffffffU
/* A guest that keeps changing an entry under our hands is told so instead of being waited for. */
#define PIN_TRIES       8
#define PINS_MAX        0xffffU
#define RELEASES_A_CALL 64u

_Static_assert(sizeof(grant_entry_v1_t) == 8, "v1 entries are read and changed as two words");

/* ---- the table ---- */

/* Makes frames up to idx. Under the lock. */
static int grow(struct domain *d, uint32_t idx)
{
    struct grant_table *gt = &d->grants;

    while (gt->nr_frames <= idx) {
        struct grant_frame *f = &gt->frame[gt->nr_frames];
        uint64_t mfn;

        f->pins = xcalloc(GRANTS_PER_FRAME, sizeof(*f->pins));
        if (!f->pins)
            return -ENOMEM;
        mfn = frame_alloc(0, d->domid, FRAME_ZERO | FRAME_SHARED);
        if (mfn == INVALID_MFN) {
            xfree(f->pins);
            f->pins = NULL;
            return -ENOMEM;
        }
        f->mfn = mfn;
        f->shared = mfn_to_virt(mfn);
        gt->nr_frames++;
    }
    return 0;
}

int grant_init(struct domain *d, uint32_t max_frames, uint32_t max_maptrack_frames)
{
    struct grant_table *gt = &d->grants;
    int rc;

    if (max_frames == DEFAULT_LIMIT)
        max_frames = GRANT_DEFAULT_FRAMES;
    if (max_maptrack_frames == DEFAULT_LIMIT)
        max_maptrack_frames = GRANT_DEFAULT_MAPTRACK_FRAMES;
    if (!max_frames || max_frames > GRANT_MAX_FRAMES ||
        max_maptrack_frames > GRANT_MAX_MAPTRACK_FRAMES)
        return -EINVAL;
    spin_lock_init(&gt->lock);
    spin_lock_init(&gt->maptrack_lock);
    gt->free_handle = NO_HANDLE;
    gt->frame = xcalloc(max_frames, sizeof(*gt->frame));
    if (!gt->frame)
        return -ENOMEM;
    gt->max_frames = max_frames;
    if (max_maptrack_frames) {
        gt->chunk = xcalloc(max_maptrack_frames, sizeof(*gt->chunk));
        if (!gt->chunk)
            return -ENOMEM;
    }
    gt->max_chunks = max_maptrack_frames;
    spin_lock(&gt->lock);
    rc = grow(d, 0);
    spin_unlock(&gt->lock);
    return rc;
}

void grant_destroy(struct domain *d)
{
    struct grant_table *gt = &d->grants;

    ASSERT(!gt->nr_mapped);
    for (uint32_t i = 0; i < gt->nr_frames; i++) {
        frame_free(gt->frame[i].mfn, 0);
        xfree(gt->frame[i].pins);
    }
    for (uint32_t i = 0; i < gt->nr_chunks; i++)
        xfree(gt->chunk[i]);
    xfree(gt->frame);
    xfree(gt->chunk);
    gt->frame = NULL;
    gt->chunk = NULL;
    gt->nr_frames = gt->nr_chunks = 0;
}

int grant_shared_frame(struct domain *d, uint32_t idx, uint64_t *mfn)
{
    struct grant_table *gt = &d->grants;
    int rc;

    if (idx >= gt->max_frames)
        return -EINVAL;
    spin_lock(&gt->lock);
    rc = grow(d, idx);
    if (!rc)
        *mfn = gt->frame[idx].mfn;
    spin_unlock(&gt->lock);
    return rc;
}

/* ---- pins ---- */

/* Flags and domain id of an entry: its first word, which changes as one. */
static uint32_t *head_of(grant_entry_v1_t *e)
{
    return (uint32_t *)(void *)e;
}

/* Sets reading (and writing) if the entry lets d have it. */
static int16_t claim_entry(const struct domain *d, grant_entry_v1_t *e, bool readonly)
{
    uint32_t set = GTF_reading | (readonly ? 0 : GTF_writing);
    uint32_t old = __atomic_load_n(head_of(e), __ATOMIC_ACQUIRE);

    for (unsigned i = 0; i < PIN_TRIES; i++) {
        if ((old & GTF_type_mask) != GTF_permit_access || (old >> 16) != d->domid ||
            (!readonly && (old & GTF_readonly)))
            return GNTST_general_error;
        if (__atomic_compare_exchange_n(head_of(e), &old, old | set, false, __ATOMIC_ACQ_REL,
                                        __ATOMIC_ACQUIRE))
            return GNTST_okay;
    }
    return GNTST_general_error;
}

static void clear_flags(grant_entry_v1_t *e, const struct grant_pin *pin)
{
    uint32_t keep = ~0U;

    if (!pin->writers)
        keep &= ~(uint32_t)GTF_writing;
    if (!pin->writers && !pin->readers)
        keep &= ~(uint32_t)GTF_reading;
    __atomic_and_fetch(head_of(e), keep, __ATOMIC_RELEASE);
}

/* The frame that the entry names, with a reference, or INVALID_MFN. */
static uint64_t granted_frame(struct domain *rd, const grant_entry_v1_t *e, bool readonly)
{
    uint64_t gfn = READ_ONCE(e->frame);
    enum p2m_type type;
    uint64_t mfn = p2m_get_frame(&rd->p2m, gfn, !readonly, &type);

    if (mfn == INVALID_MFN || p2m_type_is_ram(type))
        return mfn;
    p2m_put_frame(mfn); /* only what is its own may a domain pass on */
    return INVALID_MFN;
}

/*
 * The first pin fixes the frame; later ones get the same, whatever the entry says by then. Under
 * the lock.
 */
static int16_t pin_frame(struct domain *rd, const grant_entry_v1_t *e, struct grant_pin *pin,
                         bool readonly)
{
    bool first = !pin->readers && !pin->writers;
    uint64_t mfn;

    if ((readonly ? pin->readers : pin->writers) == PINS_MAX)
        return GNTST_eagain;
    if (first || (!readonly && !pin->writers)) {
        mfn = granted_frame(rd, e, readonly);
        if (mfn == INVALID_MFN)
            return GNTST_bad_page;
        if (!first)
            p2m_put_frame(mfn); /* the pin holds a reference already */
        if (!first && mfn != pin->mfn)
            return GNTST_general_error;
        pin->mfn = (uint32_t)mfn;
    }
    if (readonly)
        pin->readers++;
    else
        pin->writers++;
    return GNTST_okay;
}

int16_t grant_pin(struct domain *d, struct domain *rd, uint32_t ref, bool readonly, uint64_t *mfn)
{
    struct grant_table *gt = &rd->grants;
    struct grant_frame *f;
    struct grant_pin *pin;
    grant_entry_v1_t *e;
    int16_t status = GNTST_bad_gntref;

    spin_lock(&gt->lock);
    if (ref / GRANTS_PER_FRAME >= gt->nr_frames)
        goto out;
    f = &gt->frame[ref / GRANTS_PER_FRAME];
    e = &f->shared[ref % GRANTS_PER_FRAME];
    pin = &f->pins[ref % GRANTS_PER_FRAME];
    status = claim_entry(d, e, readonly);
    if (status != GNTST_okay)
        goto out;
    status = pin_frame(rd, e, pin, readonly);
    if (status == GNTST_okay)
        *mfn = pin->mfn;
    else
        clear_flags(e, pin);
out:
    spin_unlock(&gt->lock);
    return status;
}

void grant_unpin(struct domain *rd, uint32_t ref, bool readonly)
{
    struct grant_table *gt = &rd->grants;
    struct grant_frame *f;
    struct grant_pin *pin;

    spin_lock(&gt->lock);
    f = &gt->frame[ref / GRANTS_PER_FRAME];
    pin = &f->pins[ref % GRANTS_PER_FRAME];
    ASSERT(readonly ? pin->readers : pin->writers);
    if (readonly)
        pin->readers--;
    else
        pin->writers--;
    clear_flags(&f->shared[ref % GRANTS_PER_FRAME], pin);
    if (!pin->readers && !pin->writers) {
        p2m_put_frame(pin->mfn);
        pin->mfn = 0;
    }
    spin_unlock(&gt->lock);
}

/* ---- handles ---- */

static struct grant_mapping *mapping(const struct grant_table *gt, uint32_t handle)
{
    return &gt->chunk[handle / MAPTRACK_PER_CHUNK][handle % MAPTRACK_PER_CHUNK];
}

/* One more chunk of free handles. Under the maptrack lock. */
static bool add_chunk(struct grant_table *gt)
{
    uint32_t first = gt->nr_chunks * MAPTRACK_PER_CHUNK;
    struct grant_mapping *c;

    if (gt->nr_chunks == gt->max_chunks)
        return false;
    c = xcalloc(MAPTRACK_PER_CHUNK, sizeof(*c));
    if (!c)
        return false;
    for (uint32_t i = 0; i < MAPTRACK_PER_CHUNK; i++)
        c[i].next_free = i + 1 < MAPTRACK_PER_CHUNK ? first + i + 1 : gt->free_handle;
    gt->chunk[gt->nr_chunks++] = c;
    gt->free_handle = first;
    return true;
}

struct grant_mapping *grant_handle_alloc(struct domain *d, uint32_t *handle)
{
    struct grant_table *gt = &d->grants;
    struct grant_mapping *m = NULL;

    spin_lock(&gt->maptrack_lock);
    if (gt->free_handle != NO_HANDLE || add_chunk(gt)) {
        *handle = gt->free_handle;
        m = mapping(gt, gt->free_handle);
        gt->free_handle = m->next_free;
        gt->nr_mapped++;
        m->busy = true;
    }
    spin_unlock(&gt->maptrack_lock);
    return m;
}

int grant_recorded(struct domain *d, uint64_t gfn, uint64_t mfn, bool readonly)
{
    struct grant_table *gt = &d->grants;
    int found = 0;

    spin_lock(&gt->maptrack_lock);
    for (uint32_t h = 0; h < gt->nr_chunks * MAPTRACK_PER_CHUNK && found != 1; h++) {
        const struct grant_mapping *m = mapping(gt, h);

        if (m->granter && m->gfn == gfn && m->mfn == mfn && m->readonly == readonly)
            found = 1;
        else if (m->busy)
            found = -EAGAIN;
    }
    spin_unlock(&gt->maptrack_lock);
    return found;
}

struct grant_mapping *grant_handle_take(struct domain *d, uint32_t handle)
{
    struct grant_table *gt = &d->grants;
    struct grant_mapping *m = NULL;

    spin_lock(&gt->maptrack_lock);
    if (handle / MAPTRACK_PER_CHUNK < gt->nr_chunks) {
        m = mapping(gt, handle);
        if (!m->granter || m->busy)
            m = NULL;
        else
            m->busy = true;
    }
    spin_unlock(&gt->maptrack_lock);
    return m;
}

void grant_handle_keep(struct domain *d, struct grant_mapping *m)
{
    spin_lock(&d->grants.maptrack_lock);
    m->busy = false;
    spin_unlock(&d->grants.maptrack_lock);
}

void grant_handle_free(struct domain *d, uint32_t handle)
{
    struct grant_table *gt = &d->grants;
    struct grant_mapping *m;

    spin_lock(&gt->maptrack_lock);
    m = mapping(gt, handle);
    m->granter = NULL;
    m->busy = false;
    m->next_free = gt->free_handle;
    gt->free_handle = handle;
    gt->nr_mapped--;
    spin_unlock(&gt->maptrack_lock);
}

int grant_release_mappings(struct domain *d)
{
    struct grant_table *gt = &d->grants;

    for (unsigned i = 0; i < RELEASES_A_CALL; i++, gt->released++) {
        struct grant_mapping *m;
        struct domain *rd;

        if (gt->released >= gt->nr_chunks * MAPTRACK_PER_CHUNK)
            return 0;
        m = grant_handle_take(d, gt->released);
        if (!m)
            continue;
        rd = m->granter;
        /* Already gone when the p2m was torn down first. */
        p2m_unmap_exact(&d->p2m, m->gfn, m->mfn, m->readonly ? P2M_GRANT_RO : P2M_GRANT_RW);
        grant_unpin(rd, m->ref, m->readonly);
        grant_handle_free(d, gt->released);
        domain_put(rd);
    }
    return -ERESTART;
}
