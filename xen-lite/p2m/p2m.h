/* SPDX-License-Identifier: MIT */
/*
 * The p2m: a domain's one second-level page table, walked by the CPU (EPT or nested paging) and by
 * the VT-d units alike.
 *
 * p2m/format.h says what an entry looks like; here is what can be done with the table. Every change
 * goes through one choke point: the entry is written, its cache line written back where a unit
 * walks incoherently (hooks->sync_entry), and when the batch is closed, in this order: generation
 * bumped and CPUs out of the old one (hooks->flush_cpu), IOTLBs of the domain's devices flushed
 * (hooks->flush_iommu), and only then frames that were unmapped handed back (hooks->release) and
 * empty tables freed. Nothing is flushed for entries that were not present before, unless
 * p2m_set_limits() says that a unit caches those too.
 *
 * Locking: p2m.lock is taken inside by all p2m_*() below; p2m_begin()/p2m_end() hold it over
 * several *_locked() calls and flush once at the end. Hooks run with the lock held and must not
 * call back into the same p2m. Order: p2m.lock, then IOMMU locks, then the frame allocator's. Two
 * p2m locks are never held together.
 *
 * p2m_lookup() takes no lock, costs at most four loads, and may run beside any change. Its answer
 * is true at one moment during the call and may be stale at once: use it to look at types or at
 * one's own control structures; whoever touches guest memory takes p2m_get_frame() and
 * p2m_put_frame(), which hold the frame itself.
 */
#ifndef XL_P2M_P2M_H
#define XL_P2M_P2M_H

#include "lib/spinlock.h"
#include "lib/types.h"

/* Stored in bits 56:52 of a leaf: keep below 32. */
enum p2m_type {
    P2M_NONE = 0,    /* not mapped: accesses exit and go to the trap registry */
    P2M_RAM_RW,      /* the domain's memory */
    P2M_RAM_RO,      /* the domain's memory, writes exit and are dropped (ROMs) */
    P2M_MMIO_DIRECT, /* a device's memory, uncached unless the guest's PAT says write-combining */
    P2M_FOREIGN,     /* another domain's frame, held by a reference (the control domain maps it) */
    P2M_GRANT_RW,    /* another domain's frame through its grant table, held by a reference */
    P2M_GRANT_RO,
    P2M_SPECIAL,  /* PAGE_SHARED frame: shared info, grant table, ioreq; held by a reference */
    P2M_FIRMWARE, /* firmware's cached memory (ACPI tables, ROMs): read, write, no owner */
    P2M_NR_TYPES
};

#define P2M_LEVELS        4
#define P2M_MAX_ADDR_BITS 48
#define P2M_ORDER_4K      0u
#define P2M_ORDER_2M      9u
#define P2M_ORDER_1G      18u

struct p2m;

struct p2m_hooks {
    /*
     * `bytes` of entries at `entry` changed: write back the cache lines if a unit that uses this
     * table walks incoherently. May be NULL.
     */
    void (*sync_entry)(struct p2m *p2m, void *entry, size_t bytes);
    /*
     * p2m->gen has been raised: return only when no CPU is in guest mode on this p2m with an older
     * generation. CPUs that are in the hypervisor need not be waited for. May be NULL (tests,
     * tables nobody runs on).
     */
    void (*flush_cpu)(struct p2m *p2m);
    /*
     * Flush the IOTLB for [gfn, gfn + nr) in every unit with a device of the domain, and wait for
     * it. tables_freed: an intermediate entry changed too (no leaf-only hint). nr may be as large
     * as the whole space. May be NULL.
     */
    void (*flush_iommu)(struct p2m *p2m, uint64_t gfn, uint64_t nr, bool tables_freed);
    /*
     * 2^order frames at mfn are no longer mapped at gfn, and no stale translation is left. Called
     * for every type but P2M_NONE, P2M_MMIO_DIRECT and P2M_FIRMWARE. What to drop is the domain's
     * policy: p2m itself holds no reference on frames. May be NULL.
     */
    void (*release)(struct p2m *p2m, uint64_t gfn, uint64_t mfn, unsigned order,
                    enum p2m_type type);
};

/* One range that waits for the flush, and what is to be released after it. */
#define P2M_BATCH_RELEASES 64
struct p2m_pending {
    bool cpu, iommu, tables;
    uint64_t first, last; /* gfns, both included, when iommu */
    unsigned nr_releases;
    struct p2m_release {
        uint64_t gfn, mfn;
        uint8_t order, type; /* type P2M_NONE: a table frame */
    } releases[P2M_BATCH_RELEASES];
};

struct p2m {
    /* Protects the tables and all members; gen and seq are read without it. */
    spinlock_t lock;
    uint64_t root; /* mfn of the level-4 table */
    /* mfn of the level-3 table under entry 0, the root of three-level units; always there. */
    uint64_t subroot;
    /* Raised with each CPU flush. A CPU that last entered with an older one flushes its ASID. */
    uint64_t gen;
    /* Raised when a table is unhooked: tells lock-free walkers to start again. */
    uint64_t seq;
    uint64_t max_gfn; /* nothing above is ever mapped */
    uint16_t domid;
    uint8_t addr_bits;
    uint8_t max_order;             /* largest leaf: 0, 9 or 18 */
    bool dying;                    /* p2m_teardown has begun: no new mappings (-ESRCH) */
    uint64_t top_gfn;              /* the highest gfn that was ever mapped */
    uint64_t torn_down;            /* p2m_teardown: everything below this gfn is unmapped */
    uint64_t tables;               /* table frames in use, root included */
    uint64_t max_tables;           /* bound; -ENOMEM beyond */
    uint64_t frames[P2M_NR_TYPES]; /* 4 KiB frames mapped, by type */
    uint64_t leaves[3];            /* leaf entries of 4 KiB, 2 MiB, 1 GiB */
    /* Since creation. */
    uint64_t nr_splits, nr_merges, nr_cpu_flushes, nr_iommu_flushes;
    uint64_t nr_writes; /* of live entries */
    const struct p2m_hooks *hooks;
    struct p2m_pending pending;
};

/*
 * What the machine's CPUs and VT-d units allow, for every p2m created afterwards. addr_bits:
 * 30..48, the smallest of all; max_order: P2M_ORDER_*, the largest page size that CPUs and all
 * units take; flush_on_map: a unit caches non-present entries (VT-d CAP.CM) or needs its write
 * buffer flushed (CAP.RWBF), so that new mappings are flushed as well. Before it is called: 48,
 * P2M_ORDER_2M, false.
 */
void p2m_set_limits(unsigned addr_bits, unsigned max_order, bool flush_on_map);
/*
 * The bits 5:3 of leaves are read by EPT as memory type, by nested paging as PWT, PCD and accessed.
 * Default: EPT's. See p2m/format.h.
 */
void p2m_set_nested_paging(bool nested_paging);

/*
 * Creates an empty p2m: root and sub-root tables. hooks must outlive it. -ENOMEM; p2m_teardown and
 * p2m_destroy do nothing then.
 */
int p2m_init(struct p2m *p2m, uint16_t domid, const struct p2m_hooks *hooks);
/*
 * Unmaps everything (with flushes and releases) in pieces: -ERESTART until done, then 0. From the
 * first call on nothing can be mapped any more.
 */
int p2m_teardown(struct p2m *p2m);
/*
 * Frees the remaining tables. After p2m_teardown has returned 0, and when no CPU and no unit uses
 * the root.
 */
void p2m_destroy(struct p2m *p2m);

/*
 * Maps 2^order frames at gfn. Both must be aligned to order, which is 0, 9 or 18; an order above
 * p2m->max_order is mapped in smaller leaves. What was mapped there before goes through the release
 * hook; mapping the very same again changes nothing (0, no release). Errors, nothing changed:
 * -EINVAL (alignment, order, type), -E2BIG (beyond max_gfn), -EPERM (a frame that a guest must
 * never see: free or the hypervisor's), -ENOMEM (no table frame; a replaced large page may have
 * been split), -ESRCH (dying).
 */
int p2m_map(struct p2m *p2m, uint64_t gfn, uint64_t mfn, unsigned order, enum p2m_type type);

/*
 * Ranges of any size, in the largest leaves that alignment allows. Preemptible when done != NULL:
 * after a bounded amount of work they return -ERESTART with *done = frames finished; call again
 * with gfn, mfn and nr advanced by that. With done == NULL they run to the end (boot only). All
 * errors leave *done = frames finished before.
 */
int p2m_map_range(struct p2m *p2m, uint64_t gfn, uint64_t mfn, uint64_t nr, enum p2m_type type,
                  uint64_t *done);
/* Holes in the range are skipped. */
int p2m_unmap(struct p2m *p2m, uint64_t gfn, uint64_t nr, uint64_t *done);
/* Leaves of type `from` become `to`: same frames, no release. Others stay. */
int p2m_change_type(struct p2m *p2m, uint64_t gfn, uint64_t nr, enum p2m_type from,
                    enum p2m_type to, uint64_t *done);
/*
 * Unmaps one 4 KiB gfn only if it maps exactly mfn with this type: -ENOENT otherwise. For grant
 * unmap, foreign removal and the like, where what is there decides.
 */
int p2m_unmap_exact(struct p2m *p2m, uint64_t gfn, uint64_t mfn, enum p2m_type type);

/*
 * Several changes, one flush: the lock is held in between, so keep it short (a hypercall's chunk).
 */
void p2m_begin(struct p2m *p2m);
int p2m_map_locked(struct p2m *p2m, uint64_t gfn, uint64_t mfn, unsigned order, enum p2m_type type);
/* One 4 KiB gfn; -ENOENT when nothing is there. */
int p2m_unmap_locked(struct p2m *p2m, uint64_t gfn);
/* The same without release: the caller maps the frame elsewhere in the same p2m. */
int p2m_detach_locked(struct p2m *p2m, uint64_t gfn);
/* After it no stale translation of what was changed is left. */
void p2m_end(struct p2m *p2m);

/*
 * The mfn that gfn maps to, or INVALID_MFN. *type is P2M_NONE then. *order: of the leaf that holds
 * it (for INVALID_MFN: of the hole, that is the largest aligned block around gfn known to be
 * empty). type and order may be NULL. Lock-free, see above.
 */
uint64_t p2m_lookup(const struct p2m *p2m, uint64_t gfn, enum p2m_type *type, unsigned *order);

/*
 * The frame behind gfn with a reference held, for reading (and writing if `write`), whatever
 * happens to the mapping meanwhile. NULL type allowed. INVALID_MFN: nothing there, MMIO, or
 * read-only and `write` (types P2M_RAM_RO, P2M_GRANT_RO). Give it back with p2m_put_frame().
 */
uint64_t p2m_get_frame(const struct p2m *p2m, uint64_t gfn, bool write, enum p2m_type *type);
void p2m_put_frame(uint64_t mfn);

/*
 * mfn of the table that a walker with `levels` levels (3 or 4) starts from; INVALID_MFN for others.
 */
uint64_t p2m_root(const struct p2m *p2m, unsigned levels);

static inline bool p2m_type_is_ram(enum p2m_type t)
{
    return t == P2M_RAM_RW || t == P2M_RAM_RO;
}

static inline bool p2m_type_is_grant(enum p2m_type t)
{
    return t == P2M_GRANT_RW || t == P2M_GRANT_RO;
}

static inline bool p2m_type_writable(enum p2m_type t)
{
    return t != P2M_NONE && t != P2M_RAM_RO && t != P2M_GRANT_RO;
}

const char *p2m_type_name(enum p2m_type type);

/* ---- p2m/audit.c ---- */

enum p2m_breach {
    P2M_BREACH_HYPERVISOR, /* shows a frame that is free or the hypervisor's */
    P2M_BREACH_OWNER,      /* shows as the domain's memory what is not */
    P2M_BREACH_FORM,       /* an entry or a table that this code does not write */
};

/* A leaf, or 512 frames of a larger one: [gfn, gfn + nr) shows [mfn, mfn + nr). */
struct p2m_piece {
    uint64_t gfn, mfn, nr;
    uint64_t entry; /* of the leaf */
    enum p2m_type type;
    unsigned order; /* of the leaf */
    bool first;     /* in it */
};

/* Told with the lock held; must not call back into this p2m. */
struct p2m_audit_ops {
    bool (*leaf)(void *arg, const struct p2m_piece *piece); /* false: the part ends behind it */
    /* `frames` of such a piece, beginning at gfn, or one entry. */
    void (*breach)(void *arg, enum p2m_breach what, uint64_t gfn, uint64_t mfn, uint64_t entry,
                   uint64_t frames, const char *reason);
    void (*table)(void *arg, uint64_t mfn); /* a table that is walked */
};

/*
 * Walks a part of the live table from gfn on, entry by entry: every table is a PAGE_P2M frame, every
 * entry is well formed, no leaf shows a frame that is free or the hypervisor's, memory leaves show
 * frames that the domain owns. Ends after `budget` entries and frames, roughly. Returns the gfn to
 * go on from, INVALID_GFN at the end. Takes the lock.
 */
uint64_t p2m_audit_part(struct p2m *p2m, uint64_t gfn, uint64_t budget,
                        const struct p2m_audit_ops *ops, void *arg);

/* Flushes that are due and were not made; NULL: none. With nothing else going on, there are none. */
const char *p2m_audit_flushed(struct p2m *p2m);

/* What p2m_audit() found. The first breach is described; counts are of all. */
struct p2m_audit {
    uint64_t leaves[3], frames[P2M_NR_TYPES], tables;
    uint64_t breaches;
    uint64_t gfn, mfn;  /* of the first breach */
    const char *reason; /* of the first breach; NULL when there is none */
};
/*
 * Whether the books agree with what a walk in parts has seen (leaves, frames, tables); true also when
 * live entries were written since nr_writes was `writes`. Takes the lock.
 */
bool p2m_audit_agrees(struct p2m *p2m, const struct p2m_audit *seen, uint64_t writes);

/*
 * The whole table at once, and whether counters agree with it. Holds the lock throughout: for tests.
 * Returns breaches.
 */
uint64_t p2m_audit(struct p2m *p2m, struct p2m_audit *result);

struct p2m_step {
    uint64_t table; /* mfn */
    uint64_t entry;
    unsigned index, level;
};
/* The entries that lead to gfn, from level 4 down. Returns how many. Takes the lock. */
unsigned p2m_explain(struct p2m *p2m, uint64_t gfn, struct p2m_step step[P2M_LEVELS]);

#endif
