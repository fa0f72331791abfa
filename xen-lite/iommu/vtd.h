/* SPDX-License-Identifier: MIT */
/*
 * One VT-d unit: its registers behind a few functions that a software model can stand in for, its
 * root, context and interrupt remapping tables, its invalidation queue. Used only inside iommu/.
 *
 * Locking: vtd_unit.lock is held by the caller of every function here except vtd_probe() and
 * vtd_build(), which run before anybody else knows the unit.
 *
 * Errors: the first wait that misses its deadline makes the unit fail: `failed` stays set,
 * `failure` says what it was, and everything that needs the hardware's answer returns -EIO from
 * then on without waiting again.
 */
#ifndef XL_IOMMU_VTD_H
#define XL_IOMMU_VTD_H

#include "iommu/dmar.h"
#include "iommu/iommu.h"
#include "iommu/vtd_regs.h"
#include "lib/bitmap.h"
#include "lib/spinlock.h"
#include "lib/types.h"

struct vtd_hw {
    uint32_t (*read32)(void *ctx, unsigned reg);
    uint64_t (*read64)(void *ctx, unsigned reg);
    void (*write32)(void *ctx, unsigned reg, uint32_t value);
    void (*write64)(void *ctx, unsigned reg, uint64_t value);
    /* Makes stores to [p, p + len) visible to a unit that does not snoop the caches. */
    void (*writeback)(void *ctx, const void *p, size_t len);
    void *ctx;
};

/*
 * Fills *hw for the registers at [base, base + len). 0 or -ENOMEM. vtd_hw.c does it for real
 * registers, tests bring their own. May be called again with a larger length.
 */
int vtd_hw_open(struct vtd_hw *hw, paddr_t base, size_t len);

/* 4,096 entries of 16 bytes: more than vectors of 16 CPUs, and 64 KiB. */
#define VTD_IRT_ORDER 4u
#define VTD_IRT_SIZE  ((unsigned)(PAGE_SIZE << VTD_IRT_ORDER) / 16u)

struct vtd_unit {
    spinlock_t lock;
    struct vtd_hw hw;
    unsigned id;
    paddr_t base;
    size_t len; /* bytes of registers */
    uint16_t segment;
    bool include_all;

    /* what it is, from its capability registers; constant after vtd_probe() */
    uint64_t cap, ecap;
    uint8_t version; /* major << 4 | minor */
    uint8_t levels;  /* of page tables, 3 or 4 */
    uint8_t address_bits;
    uint8_t max_order; /* of leaves: 0, 9, 18 */
    uint8_t mamv;      /* log2 of the most pages one page-selective flush covers */
    bool coherent, caching_mode, write_buffer, page_selective;
    bool use_queue, use_ir, eim, use_post; /* has it, and is asked to use it */
    unsigned nr_dids;            /* domain ids 0..nr_dids-1 */
    unsigned iotlb_reg, fault_reg, nr_faults;

    /* state */
    uint32_t gcmd; /* states that are on */
    bool failed;
    bool failure_handled; /* iommu.c has quarantined the unit's devices */
    char failure[64];

    uint64_t *root;            /* 256 entries of two words */
    uint64_t *queue;           /* QUEUE_LEN descriptors of two words; NULL without */
    volatile uint32_t *status; /* [0]: completions are written here; [1]: where fences write */
    unsigned tail;             /* next free descriptor */
    unsigned pending;          /* descriptors since the last wait */
    uint32_t cookie;           /* value of the last completion */

    uint64_t *irt;                        /* ir_size entries of two words; NULL without */
    DECLARE_BITMAP(ir_map, VTD_IRT_SIZE); /* entries in use */
    unsigned ir_size, ir_used;

    uint64_t faults, faults_lost; /* records read; times that records were lost */
    uint64_t faults_muted_ns;     /* the fault interrupt is off since, 0: it is not */
    uint64_t invalidations, waits;
};

/* ---- vtd.c: what the unit is; on and off ---- */
int vtd_probe(struct vtd_unit *u, const struct dmar_unit *d, const struct iommu_options *opt,
              char *why, size_t why_len);
/* Tables, all blocking. Frames stay the unit's for ever. 0 or -ENOMEM. */
int vtd_build(struct vtd_unit *u);
/* 0 or -EIO; after an error the unit is off or has failed. */
int vtd_turn_on(struct vtd_unit *u);
void vtd_turn_off(struct vtd_unit *u);
/* Flushes write buffers where the unit has some (6.8). */
int vtd_flush_write_buffer(struct vtd_unit *u);
/* Waits until (register & mask) == value. False when the deadline passed. */
bool vtd_wait_reg32(struct vtd_unit *u, unsigned reg, uint32_t mask, uint32_t value);
/* Marks the unit failed (the first reason stays) and returns -EIO. */
int vtd_fail(struct vtd_unit *u, const char *what);
void vtd_writeback(struct vtd_unit *u, const void *p, size_t len);
/* Zeroed frames as a table that the unit may read. NULL: none left. */
void *vtd_alloc_table(struct vtd_unit *u, unsigned order);

/* ---- vtd_root.c ---- */
/* The device's entry becomes present. It must not be. 0, -ENOMEM, -EIO. */
int vtd_context_set(struct vtd_unit *u, uint16_t bdf, paddr_t root, uint16_t did);
/*
 * The device's entry blocks, and nothing of it or of translations tagged `did` is cached any more;
 * quiet: without fault records. did 0: it was not present. 0; -ENOMEM (only if quiet); -EIO: blocks
 * in memory, but the unit may still use what it cached.
 */
int vtd_context_clear(struct vtd_unit *u, uint16_t bdf, uint16_t did, bool quiet);
/* The entry as it stands in memory. False: not present. */
bool vtd_context_get(struct vtd_unit *u, uint16_t bdf, paddr_t *root, unsigned *levels,
                     uint16_t *did);

/* ---- vtd_inval.c: requests, then vtd_inval_wait() once ---- */
int vtd_queue_enable(struct vtd_unit *u);
void vtd_inval_context(struct vtd_unit *u, uint16_t bdf, uint16_t did);
void vtd_inval_context_global(struct vtd_unit *u);
void vtd_inval_iotlb_global(struct vtd_unit *u);
void vtd_inval_iotlb_domain(struct vtd_unit *u, uint16_t did);
/*
 * Picks page-selective or domain-selective. leaf_only: no table page was unhooked. Returns page
 * descriptors used.
 */
unsigned vtd_inval_iotlb_range(struct vtd_unit *u, uint16_t did, uint64_t gfn, uint64_t nr,
                               bool leaf_only);
void vtd_inval_iec_global(struct vtd_unit *u);
void vtd_inval_iec(struct vtd_unit *u, unsigned index);
/* Later requests start only when the earlier ones are complete. */
void vtd_inval_fence(struct vtd_unit *u);
/* All requests so far are complete. 0 or -EIO. */
int vtd_inval_wait(struct vtd_unit *u);

/* ---- vtd_ir.c ---- */
int vtd_irt_build(struct vtd_unit *u);
int vtd_irt_enable(struct vtd_unit *u);
/* An entry for one source, blocking. Its index, or -ENOSPC. */
int vtd_irte_alloc(struct vtd_unit *u, uint16_t sid);
/*
 * Both words in one store for the unit, and its cached copy gone. 0 or -EIO.
 */
int vtd_irte_write(struct vtd_unit *u, unsigned index, uint64_t low, uint64_t high);
void vtd_irte_free(struct vtd_unit *u, unsigned index);

/* ---- vtd_fault.c ---- */
struct vtd_fault {
    uint64_t addr;
    uint16_t sid;
    uint8_t reason;
    bool write, interrupt;
};
/* Masks the fault interrupt and clears what an earlier owner left. */
void vtd_fault_reset(struct vtd_unit *u);
void vtd_fault_route(struct vtd_unit *u, uint8_t vector, uint32_t apicid);
/* Mutes the fault interrupt for a while, or lets it come again once that is over. */
void vtd_fault_mute(struct vtd_unit *u);
void vtd_fault_unmute(struct vtd_unit *u);
/* Takes up to max records out of the registers. Returns their number. */
unsigned vtd_fault_take(struct vtd_unit *u, struct vtd_fault *out, unsigned max);

#endif
