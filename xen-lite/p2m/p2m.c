/* SPDX-License-Identifier: MIT */
/*
 * The p2m's public operations: creation and teardown, ranges, batches. Checks arguments, takes the
 * lock, bounds the work, and closes each batch with the flush.
 */
#include "p2m/p2m.h"

#include "lib/string.h"
#include "p2m/internal.h"

struct p2m_limits p2m_limits = { .addr_bits = P2M_MAX_ADDR_BITS, .max_order = P2M_ORDER_2M };

void p2m_set_limits(unsigned addr_bits, unsigned max_order, bool flush_on_map)
{
    ASSERT(addr_bits >= 30 && addr_bits <= P2M_MAX_ADDR_BITS);
    ASSERT(max_order == P2M_ORDER_4K || max_order == P2M_ORDER_2M || max_order == P2M_ORDER_1G);
    p2m_limits.addr_bits = addr_bits;
    p2m_limits.max_order = max_order;
    p2m_limits.flush_on_map = flush_on_map;
}

void p2m_set_nested_paging(bool nested_paging)
{
    p2m_limits.nested_paging = nested_paging;
}

const char *p2m_type_name(enum p2m_type type)
{
    static const char *const names[P2M_NR_TYPES] = {
        [P2M_NONE] = "none",         [P2M_RAM_RW] = "ram-rw",
        [P2M_RAM_RO] = "ram-ro",     [P2M_MMIO_DIRECT] = "mmio-direct",
        [P2M_FOREIGN] = "foreign",   [P2M_GRANT_RW] = "grant-rw",
        [P2M_GRANT_RO] = "grant-ro", [P2M_SPECIAL] = "special",
        [P2M_FIRMWARE] = "firmware",
    };

    return (unsigned)type < P2M_NR_TYPES ? names[type] : "invalid";
}

int p2m_init(struct p2m *p2m, uint16_t domid, const struct p2m_hooks *hooks)
{
    uint64_t *root;

    memset(p2m, 0, sizeof(*p2m));
    spin_lock_init(&p2m->lock);
    p2m->domid = domid;
    p2m->hooks = hooks;
    p2m->addr_bits = (uint8_t)p2m_limits.addr_bits;
    p2m->max_order = (uint8_t)p2m_limits.max_order;
    p2m->max_gfn = (1UL << (p2m_limits.addr_bits - PAGE_SHIFT)) - 1;
    /* Enough to map all of memory in 4 KiB pages twice, and some scattered ones. */
    p2m->max_tables = 1024 + frames_limit() / (ENTRIES / 2);
    p2m->gen = 1; /* so that 0 means "never ran" to the CPUs */
    p2m->root = p2m_table_alloc(p2m);
    if (p2m->root == INVALID_MFN)
        return -ENOMEM;
    p2m->subroot = p2m_table_alloc(p2m);
    if (p2m->subroot == INVALID_MFN) {
        frame_free(p2m->root, 0);
        p2m->root = INVALID_MFN; /* nothing to tear down or destroy */
        return -ENOMEM;
    }
    root = p2m_table(p2m->root);
    p2m_write(p2m, &root[0], entry_make_table(p2m->subroot));
    ++*table_count(root);
    return 0;
}

uint64_t p2m_root(const struct p2m *p2m, unsigned levels)
{
    if (levels == P2M_LEVELS)
        return p2m->root;
    return levels == P2M_LEVELS - 1 ? p2m->subroot : INVALID_MFN;
}

void p2m_begin(struct p2m *p2m)
{
    spin_lock(&p2m->lock);
}

void p2m_end(struct p2m *p2m)
{
    p2m_flush(p2m);
    spin_unlock(&p2m->lock);
}

static int check_frames(uint64_t mfn, uint64_t nr)
{
    return pages_mappable(mfn, nr) ? 0 : -EPERM;
}

static int check_range(const struct p2m *p2m, uint64_t gfn, uint64_t nr)
{
    if (gfn > p2m->max_gfn || nr > p2m->max_gfn + 1 - gfn)
        return -E2BIG;
    return 0;
}

static int check_map(const struct p2m *p2m, uint64_t gfn, uint64_t mfn, uint64_t nr,
                     enum p2m_type type)
{
    if (type == P2M_NONE || (unsigned)type >= P2M_NR_TYPES)
        return -EINVAL;
    /* Frame numbers are as wide as the entry's address field at most. */
    if (mfn >> 40 || nr > BIT(40) - mfn)
        return -EINVAL;
    if (p2m->dying)
        return -ESRCH;
    return check_range(p2m, gfn, nr);
}

/* The largest of the three orders that gfn, mfn and what is left allow. */
static unsigned best_order(const struct p2m *p2m, uint64_t gfn, uint64_t mfn, uint64_t nr)
{
    unsigned order = p2m->max_order;

    while (order && (((gfn | mfn) & ((1UL << order) - 1)) || nr < (1UL << order)))
        order -= LEVEL_BITS;
    return order;
}

int p2m_map_locked(struct p2m *p2m, uint64_t gfn, uint64_t mfn, unsigned order, enum p2m_type type)
{
    uint64_t nr = 1UL << order;
    int rc;

    if (order != P2M_ORDER_4K && order != P2M_ORDER_2M && order != P2M_ORDER_1G)
        return -EINVAL;
    if ((gfn | mfn) & (nr - 1))
        return -EINVAL;
    rc = check_map(p2m, gfn, mfn, nr, type);
    if (!rc)
        rc = check_frames(mfn, nr);
    while (!rc && nr) {
        unsigned mapped;

        rc = p2m_map_step(p2m, gfn, mfn, best_order(p2m, gfn, mfn, nr), type, &mapped);
        if (rc)
            break;
        gfn += 1UL << mapped;
        p2m->top_gfn = MAX(p2m->top_gfn, gfn - 1);
        mfn += 1UL << mapped;
        nr -= 1UL << mapped;
    }
    return rc;
}

int p2m_map(struct p2m *p2m, uint64_t gfn, uint64_t mfn, unsigned order, enum p2m_type type)
{
    int rc;

    p2m_begin(p2m);
    rc = p2m_map_locked(p2m, gfn, mfn, order, type);
    p2m_end(p2m);
    return rc;
}

/* One bounded part of p2m_map_range; advances *at. */
static int map_some(struct p2m *p2m, uint64_t gfn, uint64_t mfn, uint64_t nr, enum p2m_type type,
                    uint64_t *at)
{
    for (unsigned steps = 0; *at < nr; steps++) {
        unsigned order = best_order(p2m, gfn + *at, mfn + *at, nr - *at), mapped;
        int rc;

        if (steps == P2M_STEPS)
            return -ERESTART;
        /* Looking at 2^18 frames is as much work as some hundred entries: count it. */
        steps += order == P2M_ORDER_1G ? P2M_STEPS / 4 : 0;
        rc = check_frames(mfn + *at, 1UL << order);
        if (!rc)
            rc = p2m_map_step(p2m, gfn + *at, mfn + *at, order, type, &mapped);
        if (rc)
            return rc;
        *at += 1UL << mapped;
        p2m->top_gfn = MAX(p2m->top_gfn, gfn + *at - 1);
    }
    return 0;
}

int p2m_map_range(struct p2m *p2m, uint64_t gfn, uint64_t mfn, uint64_t nr, enum p2m_type type,
                  uint64_t *done)
{
    uint64_t at = 0;
    int rc;

    do {
        p2m_begin(p2m);
        rc = check_map(p2m, gfn, mfn, nr, type);
        if (!rc)
            rc = map_some(p2m, gfn, mfn, nr, type, &at);
        p2m_end(p2m);
    } while (rc == -ERESTART && !done);
    if (done)
        *done = at;
    return rc;
}

static int edit_some(struct p2m *p2m, uint64_t gfn, uint64_t nr, const struct p2m_edit *edit,
                     uint64_t *at)
{
    for (unsigned steps = 0; *at < nr; steps++) {
        uint64_t advanced;
        int rc;

        if (steps == P2M_STEPS)
            return -ERESTART;
        rc = p2m_edit_step(p2m, gfn + *at, nr - *at, edit, &advanced);
        if (rc)
            return rc;
        *at += advanced;
    }
    return 0;
}

static int edit_range(struct p2m *p2m, uint64_t gfn, uint64_t nr, const struct p2m_edit *edit,
                      uint64_t *done)
{
    uint64_t at = 0;
    int rc;

    do {
        p2m_begin(p2m);
        rc = check_range(p2m, gfn, nr);
        if (!rc)
            rc = edit_some(p2m, gfn, nr, edit, &at);
        p2m_end(p2m);
    } while (rc == -ERESTART && !done);
    if (done)
        *done = at;
    return rc;
}

int p2m_unmap(struct p2m *p2m, uint64_t gfn, uint64_t nr, uint64_t *done)
{
    const struct p2m_edit edit = { .from = P2M_NONE, .to = P2M_NONE };

    return edit_range(p2m, gfn, nr, &edit, done);
}

int p2m_change_type(struct p2m *p2m, uint64_t gfn, uint64_t nr, enum p2m_type from,
                    enum p2m_type to, uint64_t *done)
{
    const struct p2m_edit edit = { .from = from, .to = to };

    if (from == P2M_NONE || to == P2M_NONE || (unsigned)from >= P2M_NR_TYPES ||
        (unsigned)to >= P2M_NR_TYPES) {
        if (done)
            *done = 0;
        return -EINVAL;
    }
    return edit_range(p2m, gfn, nr, &edit, done);
}

static int unmap_one(struct p2m *p2m, uint64_t gfn, bool keep)
{
    const struct p2m_edit edit = { .from = P2M_NONE, .to = P2M_NONE, .keep = keep };
    uint64_t advanced;
    int rc = check_range(p2m, gfn, 1);

    if (rc)
        return rc;
    if (p2m_lookup(p2m, gfn, NULL, NULL) == INVALID_MFN)
        return -ENOENT;
    return p2m_edit_step(p2m, gfn, 1, &edit, &advanced);
}

int p2m_unmap_locked(struct p2m *p2m, uint64_t gfn)
{
    return unmap_one(p2m, gfn, false);
}

int p2m_detach_locked(struct p2m *p2m, uint64_t gfn)
{
    return unmap_one(p2m, gfn, true);
}

int p2m_unmap_exact(struct p2m *p2m, uint64_t gfn, uint64_t mfn, enum p2m_type type)
{
    enum p2m_type now;
    int rc = -ENOENT;

    p2m_begin(p2m);
    if (p2m_lookup(p2m, gfn, &now, NULL) == mfn && now == type)
        rc = p2m_unmap_locked(p2m, gfn);
    p2m_end(p2m);
    return rc;
}

int p2m_teardown(struct p2m *p2m)
{
    uint64_t done;
    int rc;

    if (p2m->root == INVALID_MFN)
        return 0;
    p2m_begin(p2m);
    p2m->dying = true; /* from here on only this function changes torn_down */
    p2m_end(p2m);
    if (p2m->torn_down > p2m->max_gfn)
        return 0;
    rc = p2m_unmap(p2m, p2m->torn_down, p2m->max_gfn + 1 - p2m->torn_down, &done);
    p2m->torn_down += done;
    return rc;
}

void p2m_destroy(struct p2m *p2m)
{
    const uint64_t tables[] = { p2m->subroot, p2m->root };

    if (p2m->root == INVALID_MFN)
        return;
    ASSERT(p2m->dying && p2m->tables == ARRAY_SIZE(tables));
    for (unsigned i = 0; i < ARRAY_SIZE(tables); i++) {
        page_of(tables[i])->count = PAGE_ALLOCATED;
        frame_free(tables[i], 0);
    }
    p2m->root = p2m->subroot = INVALID_MFN;
    p2m->tables = 0;
}
