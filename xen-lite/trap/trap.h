/* SPDX-License-Identifier: MIT */
/*
 * The registry of trapped regions of a domain: which handler answers an access to a guest-physical
 * address or an I/O port that is not mapped through.  Configuration space is layered on both kinds
 * by vPCI.  Every access is counted; handlers decide, the registry only finds them.
 */
#ifndef XL_TRAP_TRAP_H
#define XL_TRAP_TRAP_H

#include "lib/list.h"
#include "lib/percpu.h"
#include "lib/spinlock.h"
#include "lib/types.h"

struct vcpu;
struct trap_region;

enum trap_kind {
    TRAP_MMIO, /* addresses are guest-physical */
    TRAP_PIO,  /* addresses are port numbers */
    TRAP_NR_KINDS
};

/*
 * What became of an access.  Handlers return one of these, or a negative errno, which counts as
 * TRAP_DENIED.  In every case but TRAP_FORWARD, TRAP_NONE and TRAP_RETRY the access is complete:
 * the caller advances the guest, and *val of a read holds what the guest is to see.
 */
enum trap_result {
    TRAP_DONE = 0, /* handled */
    TRAP_DENIED,   /* refused: write ignored, read gives all ones; counted and recorded */
    TRAP_DROPPED,  /* nobody there to decide: as TRAP_DENIED */
    TRAP_FORWARD,  /* a device model has to decide; the vCPU waits for it */
    TRAP_RETRY,    /* state changed meanwhile: run the instruction again */
    TRAP_NONE,     /* no region covers it, or it is an ordinary port access: the caller's default */
};

struct trap_ops {
    /* `size` is 1, 2, 4 or 8 (ports: up to 4), and the whole access lies inside the region. */
    int (*read)(struct vcpu *v, struct trap_region *r, uint64_t addr, unsigned size, uint64_t *val);
    int (*write)(struct vcpu *v, struct trap_region *r, uint64_t addr, unsigned size, uint64_t val);
};

/* Counters of a region; relaxed atomics, readable at any time. */
struct trap_counters {
    uint64_t reads, writes;              /* accesses, whatever became of them */
    uint64_t denied, dropped, forwarded; /* of these */
};

struct trap_region {
    uint64_t first, last; /* both included */
    const struct trap_ops *ops;
    void *arg;        /* for the handler */
    const char *name; /* static string, e.g. "pci-ecam" */
    uint16_t handler; /* id of `name`, see trap_handler_name() */
    uint8_t kind;     /* enum trap_kind */
    struct trap_counters count;
};

/* Most regions of one kind that a domain may have; bounds memory and the time of an update. */
#define TRAP_MAX_REGIONS 4096
/* Slots of the table of lookup hints, a power of two. */
#define TRAP_HINTS 16

struct trap_span {
    uint64_t first, last;
    struct trap_region *region; /* NULL: unregistered since */
};

/* Once published only `region` changes, to NULL; any other update publishes a changed copy. */
struct trap_index {
    unsigned nr;
    struct trap_span span[]; /* sorted, disjoint */
};

struct trap_table {
    uint16_t domid;
    spinlock_t lock;                          /* updates of index[] */
    struct trap_index *index[TRAP_NR_KINDS];  /* read without the lock; NULL: empty */
    uint16_t hint[TRAP_NR_KINDS][TRAP_HINTS]; /* guesses into index[], verified at use */
    uint64_t unclaimed[TRAP_NR_KINDS];        /* accesses that no region covered */
    uint64_t straddled[TRAP_NR_KINDS];        /* accesses that crossed a region's edge (denied) */
};

/* ---- implemented by the domain layer ---- */

/* What a vCPU is to the registry; part of it, and filled in when it is made. */
struct trap_vcpu {
    struct trap_table *table;
    uint32_t who; /* trap_who(): for records */
};

static inline uint32_t trap_who(uint16_t domid, unsigned vcpu)
{
    return domid | (uint32_t)vcpu << 16;
}

const struct trap_vcpu *vcpu_trap(const struct vcpu *v);

/* ---- life cycle ---- */

void trap_table_init(struct trap_table *t, uint16_t domid);
/* Frees all regions.  No vCPU of the domain may run any more. */
void trap_table_destroy(struct trap_table *t);

/*
 * Registers [first, last].  `name` must be a static string.  *out (may be NULL) is the region,
 * valid until it is unregistered.  0, -EINVAL (range, kind or handlers), -EEXIST (overlaps a
 * region), -ENOSPC (too many), -ENOMEM.  Takes the table's lock; callable from within handlers.
 */
int trap_register_region(struct trap_table *t, enum trap_kind kind, uint64_t first, uint64_t last,
                         const struct trap_ops *ops, void *arg, const char *name,
                         struct trap_region **out);
/* The same for those who never unregister. */
int trap_register(struct trap_table *t, enum trap_kind kind, uint64_t first, uint64_t last,
                  const struct trap_ops *ops, void *arg, const char *name);
/*
 * Takes a region out of the table.  New accesses miss it on return; a handler that another CPU
 * entered before may still run, so what `arg` points to has to be freed with trap_defer_free().
 * Needs no memory, cannot fail.
 */
void trap_unregister(struct trap_table *t, struct trap_region *r);

/*
 * Zeroed memory for what handlers look at without a lock, to be given back with trap_defer_free():
 * the room for its place in the queue comes with it.  NULL when there is none.
 */
void *trap_zalloc(size_t size);
/*
 * Frees memory from trap_zalloc() (or NULL) when no CPU can still be inside an access that began
 * before this call.  What waits is bounded: an access is bounded in time, and each later call (on
 * any CPU) frees what has become free.
 */
void trap_defer_free(void *p);
/* How many blocks wait to become free. */
unsigned trap_deferred(void);

/* ---- the hot path ---- */

/*
 * Performs one access for a vCPU on its own CPU.  A read that is not TRAP_FORWARD, TRAP_RETRY or
 * TRAP_NONE sets *val (zero extended).  An access that begins or ends inside a region but does not
 * lie inside it entirely is TRAP_DENIED.
 */
enum trap_result trap_mmio_access(struct vcpu *v, uint64_t gpa, unsigned size, bool write,
                                  uint64_t *val);
enum trap_result trap_pio_access(struct vcpu *v, uint16_t port, unsigned size, bool write,
                                 uint64_t *val);

/* ---- for status and tests ---- */

/* Calls fn for each region in order of address, holding the lock; stops at a non-zero result. */
int trap_for_each(struct trap_table *t, enum trap_kind kind,
                  int (*fn)(const struct trap_region *r, void *arg), void *arg);
/* The region that holds `addr`, or NULL.  Valid while nobody unregisters it. */
struct trap_region *trap_find(struct trap_table *t, enum trap_kind kind, uint64_t addr);

static inline uint64_t trap_all_ones(unsigned size)
{
    return size >= 8 ? ~0ULL : BIT(size * 8) - 1;
}

#endif
