/* SPDX-License-Identifier: MIT */
/*
 * See p2m_rig.h.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "lib/errno.h"
#include "lib/string.h"
#include "mm/frame.h"
#include "mm/phys.h"
#include "p2m_rig.h"
#include "sim.h"
#include "walk.h"

struct window windows[NR_WINDOWS] = {
    /* top: set later */
    { 0, 4096 },
    { 0x40000 - 1024, 2048 },
    { 3 * 0x40000, 0x40000 },
    { 0, 1024 }
};
#define MODEL_SIZE (4096 + 2048 + 0x40000 + 1024)

static struct page frame_table[NR_FRAMES];
static struct model model[MODEL_SIZE];
struct p2m p2m;
uint64_t frames_at_start;

/* Caches: one slot a watched gfn. */
#define NR_CACHED 768
struct cached {
    uint64_t gfn;
    bool cpu_valid, cpu_w, io_valid, io_w;
    uint64_t cpu_mfn, io_mfn;
    unsigned cpu_order, io_order; /* of the page that the remembered translation is a part of */
    uint64_t cpu_table[P2M_LEVELS], io_table[P2M_LEVELS]; /* remembered tables of levels 1..3 */
};
static struct cached cache[NR_CACHED];

bool drop_cpu_flushes, drop_io_flushes, drop_table_hint; /* break it on purpose */
bool stale;                                              /* what a check has found */
uint64_t released[P2M_NR_TYPES], sync_bytes;
unsigned cpu_flushes, io_flushes;
uint64_t io_first, io_last;

struct model *model_of(uint64_t gfn)
{
    uint64_t at = 0;

    for (unsigned i = 0; i < NR_WINDOWS; i++) {
        if (gfn - windows[i].base < windows[i].size)
            return &model[at + gfn - windows[i].base];
        at += windows[i].size;
    }
    return NULL;
}

/* Table frames on the way to gfn, read from memory: t[1..3]; 0 where there is none. */
static void tables_of(uint64_t gfn, uint64_t *t)
{
    uint64_t table = p2m.root << PAGE_SHIFT;

    memset(t, 0, P2M_LEVELS * sizeof(*t));
    for (unsigned l = P2M_LEVELS; l > 1; l--) {
        uint64_t e = ((uint64_t *)phys_to_virt(table))[(gfn >> (9 * (l - 1))) & 511];

        if (!(e & 7) || (l < 4 && (e & 0x80)))
            return;
        table = e & 0x000ffffffffff000ull;
        t[l - 1] = table;
    }
}

static void hook_sync(struct p2m *p, void *entry, size_t bytes)
{
    assert_ptr_equal(p, &p2m);
    assert_int_equal((uintptr_t)entry % 8, 0);
    sync_bytes += bytes;
}

static void hook_flush_cpu(struct p2m *p)
{
    assert_ptr_equal(p, &p2m);
    cpu_flushes++;
    if (drop_cpu_flushes)
        return;
    for (unsigned i = 0; i < NR_CACHED; i++) {
        cache[i].cpu_valid = false;
        memset(cache[i].cpu_table, 0, sizeof(cache[i].cpu_table));
    }
}

static void hook_flush_iommu(struct p2m *p, uint64_t gfn, uint64_t nr, bool tables_freed)
{
    assert_ptr_equal(p, &p2m);
    assert_true(nr > 0 && gfn + nr - 1 <= p->max_gfn);
    io_flushes++;
    io_first = gfn;
    io_last = gfn + nr - 1;
    if (drop_io_flushes)
        return;
    for (unsigned i = 0; i < NR_CACHED; i++) {
        uint64_t size = 1ull << cache[i].io_order, first = ALIGN_DOWN(cache[i].gfn, size);

        /* A strict unit: a large translation goes only when all of it is named. */
        if (first >= gfn && first + size <= gfn + nr)
            cache[i].io_valid = false;
        if (cache[i].gfn - gfn >= nr)
            continue;
        if (tables_freed && !drop_table_hint)
            memset(cache[i].io_table, 0, sizeof(cache[i].io_table));
    }
}

/* No cache may still know what is given back. */
static void hook_release(struct p2m *p, uint64_t gfn, uint64_t mfn, unsigned order,
                         enum p2m_type type)
{
    uint64_t nr = 1ull << order;

    assert_ptr_equal(p, &p2m);
    released[type] += nr;
    for (unsigned i = 0; i < NR_CACHED; i++) {
        const struct cached *c = &cache[i];

        if (c->gfn - gfn >= nr)
            continue;
        if ((c->cpu_valid && c->cpu_mfn == mfn + c->gfn - gfn) ||
            (c->io_valid && c->io_mfn == mfn + c->gfn - gfn))
            stale = true;
    }
}

static const struct p2m_hooks hooks = {
    .sync_entry = hook_sync,
    .flush_cpu = hook_flush_cpu,
    .flush_iommu = hook_flush_iommu,
    .release = hook_release,
};

void start(unsigned addr_bits, unsigned max_order, bool on_map, bool nested_paging)
{
    sim_phys_init((size_t)NR_FRAMES << PAGE_SHIFT);
    frames_init(frame_table, NR_FRAMES);
    frames_add(FIRST_FREE, NR_FRAMES - FIRST_FREE);
    frame_free(frame_alloc(0, 0, 0), 0); /* makes the counters of domains */
    frames_at_start = frames_free_count();
    p2m_set_limits(addr_bits, max_order, on_map);
    p2m_set_nested_paging(nested_paging);
    assert_int_equal(p2m_init(&p2m, DOMID, &hooks), 0);
    windows[3].base = p2m.max_gfn + 1 - windows[3].size;
    memset(model, 0, sizeof(model));
    memset(cache, 0, sizeof(cache));
    memset(released, 0, sizeof(released));
    drop_cpu_flushes = drop_io_flushes = drop_table_hint = stale = false;
    cpu_flushes = io_flushes = 0;
    srand(7);
}

void finish(void)
{
    while (p2m_teardown(&p2m) == -ERESTART)
        ;
    assert_int_equal(p2m_teardown(&p2m), 0);
    assert_int_equal(p2m.tables, 2);
    assert_int_equal(p2m_map(&p2m, 1, FAR_MFN, 0, P2M_MMIO_DIRECT), -ESRCH);
    p2m_destroy(&p2m);
    assert_int_equal(frames_free_count(), frames_at_start);
}

static bool writable(enum p2m_type t)
{
    return t == P2M_RAM_RW || t == P2M_MMIO_DIRECT || t == P2M_FOREIGN || t == P2M_GRANT_RW ||
           t == P2M_SPECIAL || t == P2M_FIRMWARE;
}

static void check_walk(const struct walk_out *o, const struct model *m, uint64_t offset)
{
    assert_int_not_equal(o->status, WALK_MALFORMED);
    if (m->type == P2M_NONE) {
        assert_int_equal(o->status, WALK_NOT_PRESENT);
        return;
    }
    assert_int_equal(o->status, WALK_OK);
    assert_int_equal(o->hpa, (m->mfn << PAGE_SHIFT) | offset);
    assert_true(o->r);
    assert_int_equal(o->w, writable(m->type));
}

/* One gfn as everybody sees it. */
void check_gfn(uint64_t gfn, bool nested_paging)
{
    const struct model *m = model_of(gfn);
    uint64_t root = p2m_root(&p2m, 4) << PAGE_SHIFT;
    uint64_t off = (gfn * 37) & 4095, gpa = (gfn << PAGE_SHIFT) | off;
    struct walk_out o;
    enum p2m_type type;
    unsigned order;

    assert_int_equal(p2m_lookup(&p2m, gfn, &type, &order),
                     m->type == P2M_NONE ? INVALID_MFN : m->mfn);
    assert_int_equal(type, m->type);
    if (nested_paging) {
        o = walk_npt(root, gpa, rand() % 2, rand() % 2);
        check_walk(&o, m, off);
        if (m->type != P2M_NONE)
            assert_int_equal(o.memtype, m->type == P2M_MMIO_DIRECT ? 2 : 0);
    } else {
        o = walk_ept(root, gpa, 46);
        check_walk(&o, m, off);
        if (m->type != P2M_NONE) {
            assert_int_equal(o.memtype, m->type == P2M_MMIO_DIRECT ? 0 : 6);
            assert_int_equal(o.page_shift, 12 + order);
            assert_true(o.x);
        }
    }
    o = walk_vtd(root, gpa, 4, 46);
    check_walk(&o, m, off);
    if (!(gpa >> 39)) {
        o = walk_vtd(p2m_root(&p2m, 3) << PAGE_SHIFT, gpa, 3, 39);
        check_walk(&o, m, off);
    }
}

uint64_t random_gfn(void)
{
    const struct window *w = &windows[rand() % NR_WINDOWS];

    return w->base + ((uint64_t)rand() % w->size);
}

/* Caches remember whatever a walk of theirs finds. */
void fill_caches(void)
{
    for (unsigned i = 0; i < NR_CACHED; i++) {
        struct cached *c = &cache[i];
        struct walk_out o;
        uint64_t t[P2M_LEVELS];

        if (rand() % 16 == 0) {
            memset(c, 0, sizeof(*c));
            c->gfn = random_gfn();
        }
        if (c->cpu_valid && c->io_valid)
            continue;
        tables_of(c->gfn, t);
        o = walk_ept(p2m.root << PAGE_SHIFT, c->gfn << PAGE_SHIFT, 46);
        if (!c->cpu_valid) {
            memcpy(c->cpu_table, t, sizeof(t));
            c->cpu_valid = o.status == WALK_OK;
            c->cpu_mfn = o.hpa >> PAGE_SHIFT;
            c->cpu_w = o.w;
            c->cpu_order = c->cpu_valid ? o.page_shift - PAGE_SHIFT : 0;
        }
        if (!c->io_valid) {
            memcpy(c->io_table, t, sizeof(t));
            c->io_valid = o.status == WALK_OK;
            c->io_mfn = o.hpa >> PAGE_SHIFT;
            c->io_w = o.w;
            c->io_order = c->io_valid ? o.page_shift - PAGE_SHIFT : 0;
        }
    }
}

/*
 * Whether a page-sized translation seen from gfn would say something wrong of gfn `at`, a part of
 * it.
 */
static bool wrong_at(uint64_t gfn, uint64_t mfn, bool w, uint64_t at)
{
    const struct model *m = model_of(at);

    return m && (m->type == P2M_NONE || mfn + at - gfn != m->mfn || (w && !writable(m->type)));
}

static bool wrong(uint64_t gfn, uint64_t mfn, bool w, unsigned order, uint64_t touched)
{
    return wrong_at(gfn, mfn, w, gfn) ||
           (gfn >> order == touched >> order && wrong_at(gfn, mfn, w, touched));
}

/*
 * A remembered translation may lack rights that were added, but must not go beyond the table; a
 * remembered table must still be one.
 */
void check_caches(uint64_t touched)
{
    for (unsigned i = 0; i < NR_CACHED; i++) {
        const struct cached *c = &cache[i];
        uint64_t t[P2M_LEVELS];

        if (c->cpu_valid && wrong(c->gfn, c->cpu_mfn, c->cpu_w, c->cpu_order, touched))
            stale = true;
        if (c->io_valid && wrong(c->gfn, c->io_mfn, c->io_w, c->io_order, touched))
            stale = true;
        tables_of(c->gfn, t);
        for (unsigned l = 1; l < P2M_LEVELS; l++)
            if ((c->cpu_table[l] && c->cpu_table[l] != t[l]) ||
                (c->io_table[l] && c->io_table[l] != t[l]))
                stale = true;
    }
}

/* RAM types show frames without a page here: audit finds those, and nothing else may be wrong. */
void check_audit(void)
{
    struct p2m_audit a;

    p2m_audit(&p2m, &a);
    if (a.breaches)
        assert_true(strstr(a.reason, "does not own") || strstr(a.reason, "shared page"));
    assert_memory_equal(a.frames, p2m.frames, sizeof(a.frames));
    assert_memory_equal(a.leaves, p2m.leaves, sizeof(a.leaves));
    assert_int_equal(a.tables, p2m.tables);
}
