/* SPDX-License-Identifier: MIT */
/*
 * A software VT-d unit for tests, written from the VT-d specification and independently of
 * xen-lite/iommu: it has its own names and numbers. It caches whatever the specification allows a
 * unit to cache, as long as it may, and reads memory only as far as the driver made its stores
 * visible. So a flush or a write-back that the driver forgets shows as a translation that should be
 * gone. What the driver must not do is collected in `violation`.
 */
#ifndef XL_TESTS_VTD_MODEL_H
#define XL_TESTS_VTD_MODEL_H

#include "lib/types.h"

/* Kinds of invalidation, for counters and for `deaf`. */
enum model_inval {
    MI_CONTEXT_GLOBAL,
    MI_CONTEXT_DOMAIN,
    MI_CONTEXT_DEVICE,
    MI_IOTLB_GLOBAL,
    MI_IOTLB_DOMAIN,
    MI_IOTLB_PAGE,
    MI_IEC_GLOBAL,
    MI_IEC_INDEX,
    MI_KINDS
};

#define MODEL_IOTLB   256
#define MODEL_PSC     128
#define MODEL_CTX     64
#define MODEL_IEC     64
#define MODEL_MAX_NFR 32

struct model_iotlb {
    bool valid, present, r, w;
    uint16_t sid, did;
    uint64_t gfn, mfn; /* of the leaf's first page */
    unsigned order;
};

/* A cached non-leaf entry: the table at `table` (of `level`) serves addresses with this prefix. */
struct model_psc {
    bool valid;
    uint16_t sid, did;
    unsigned level;
    uint64_t prefix, table;
};

struct model_ctx {
    bool valid;
    uint16_t sid;
    uint64_t lo, hi;
};

struct model_iec {
    bool valid;
    unsigned index;
    uint64_t lo, hi;
};

struct vtd_model {
    /* configuration, before model_start() */
    uint64_t base;
    bool coherent, caching_mode, rwbf, psi, queue, intremap, eim, no_2m, no_1g;
    unsigned sagaw; /* as in the register: 2 three levels, 4 four, 6 both */
    unsigned mgaw;  /* bits */
    unsigned mamv, nd, nfr;
    bool plmr;
    bool posts; /* posted interrupts, CAP.PI */

    /* misbehaviour */
    uint32_t stuck_gcmd; /* these command bits never complete */
    bool stuck_queue;    /* descriptors are never fetched */
    bool lose_wait;      /* wait descriptors never write their status */
    bool stuck_reg;      /* register invalidation never completes */
    unsigned deaf;       /* bit mask of enum model_inval: accepted but not done */
    bool deaf_writeback; /* cache lines are not written back */
    /*
     * Called between any two descriptors that are not separated by a fence. A device that never
     * stops.
     */
    void (*between)(struct vtd_model *m);

    /* registers and state */
    uint32_t gsts, fsts, fectl, fedata, feaddr, feuaddr, pmen;
    uint64_t rtaddr, iqa, irta, iva, ccmd, iotlb_cmd;
    uint64_t root, root_mode, irt; /* taken over by the one-shot commands */
    unsigned irt_size;
    bool irt_eim;
    unsigned iqh, iqt;
    uint64_t frcd[MODEL_MAX_NFR][2];
    unsigned next_frcd;
    unsigned fault_events;                   /* interrupts sent */
    bool need_context, need_iotlb, need_iec; /* global flushes that a new pointer still needs */

    uint8_t *shadow; /* memory as the unit sees it, NULL: all of it, at once */
    size_t shadow_size, mem_size;
    struct model_iotlb iotlb[MODEL_IOTLB];
    struct model_psc psc[MODEL_PSC];
    struct model_ctx ctx[MODEL_CTX];
    struct model_iec iec[MODEL_IEC];
    unsigned victim;

    unsigned count[MI_KINDS];
    unsigned waits;
    char violation[128];
};

/*
 * Takes it into the machine: vtd_hw_open() of its base finds it. mem_size: of the simulated memory.
 */
void model_start(struct vtd_model *m, size_t mem_size);
/* Forgets all units. */
void model_reset_machine(void);

enum model_result { MODEL_OK, MODEL_FAULT, MODEL_DROPPED };

/* A DMA access by sid: where it goes, or the fault's reason. */
enum model_result model_dma(struct vtd_model *m, uint16_t sid, uint64_t addr, bool write,
                            uint64_t *pa, unsigned *reason);

struct model_irq {
    uint8_t vector, mode;
    bool level;
    uint32_t dest;
    /* a posted request: vector and dest are the notification's, if there is one (mode fixed, edge) */
    bool posted, notified;
    uint64_t descriptor;
};

/* An interrupt message as it arrives from sid. */
enum model_result model_msi(struct vtd_model *m, uint16_t sid, uint64_t addr, uint32_t data,
                            struct model_irq *irq, unsigned *reason);
/* The same from an IO-APIC pin with this redirection entry. */
enum model_result model_ioapic(struct vtd_model *m, uint16_t sid, uint64_t rte,
                               struct model_irq *irq, unsigned *reason);

#endif
