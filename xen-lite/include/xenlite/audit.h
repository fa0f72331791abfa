/* SPDX-License-Identifier: MIT */
/*
 * Audit, page tables and DMA remapping, in the hypervisor's interface: proof of the isolation sentences over the live tables, and
 * what these tables say, for people who want to look. See xenlite.h for the call.
 */
#ifndef XENLITE_AUDIT_H
#define XENLITE_AUDIT_H

#include <stdint.h>

#include "trace.h" /* struct xenlite_list, XENLITE_NO_DEVICE */
#include "xenlite.h"

enum {
    XENLITE_AUDIT_run = XENLITE_AUDIT_FIRST, /* struct xenlite_audit_run */
    XENLITE_AUDIT_p2m,     /* domid; struct xenlite_info with struct xenlite_p2m */
    XENLITE_AUDIT_explain, /* domid, arg: address; struct xenlite_info with struct xenlite_explain */
    XENLITE_AUDIT_iommu,   /* struct xenlite_info with struct xenlite_iommu */
    XENLITE_AUDIT_iommu_units,   /* list of struct xenlite_iommu_unit */
    XENLITE_AUDIT_iommu_devices, /* list of struct xenlite_iommu_device */
    XENLITE_AUDIT_iommu_faults,  /* newest first; list of struct xenlite_iommu_fault */
    XENLITE_AUDIT_break,         /* test builds only, else -ENOSYS; struct xenlite_break */
};

/* One structure goes to the caller. 0; -EINVAL another size than the hypervisor's; -EFAULT; with a domid -ESRCH. */
struct xenlite_info {
    uint64_t buffer; /* address of `size` bytes; written */
    uint32_t size;
    uint32_t pad;
    uint64_t arg; /* where the command says so */
};

/* ---- audit ---- */

/*
 * The sentences (docs/architecture.md):
 * A1 no frame of the hypervisor is reachable from any p2m
 * A2 a RAM frame is writable in the p2m of one domain only, except recorded grants and foreign mappings
 * A3 every context entry's root is the p2m root of the device's owner, or the entry blocks
 * A4 no MSI-X table, PBA, ECAM, local APIC, IO-APIC or IOMMU page is mapped
 * A5 every present remapping entry names one requester and a destination, or a vCPU's descriptor, that belong to one owner
 * A6 no stale translation
 */
#define XENLITE_AUDIT_SENTENCES 6

#define XENLITE_NO_DOMAIN 0xffffu
#define XENLITE_NO_FRAME  (~0ull)

struct xenlite_breach {
    uint16_t sentence; /* 1..XENLITE_AUDIT_SENTENCES */
    uint16_t domid;    /* XENLITE_NO_DOMAIN: none */
    uint32_t sbdf;     /* XENLITE_NO_DEVICE: none */
    uint64_t gfn, mfn; /* XENLITE_NO_FRAME: none */
    uint64_t entry;    /* the table's entry as found, or the value that is wrong; of a remapping entry the short form:
                          destination (posted: the descriptor's address / 64) << 32, vector << 16, requester */
    uint64_t expected; /* what should be there instead; 0 where the text says all */
    char text[104];    /* what is wrong, as words without a full stop */
};

/*
 * Takes bounded pieces of time; the call continues by itself. `cursor` holds its place: zero all OUT fields before the call, and
 * do not change the structure while it runs. Changes of the tables during the run are no breaches. A run of frames that are wrong
 * in the same way is one entry in the buffer. 0 (breaches or not); -EFAULT;
 * -EAGAIN another run began before this one ended (start again).
 */
struct xenlite_audit_run {
    uint64_t buffer; /* address of struct xenlite_breach[max] */
    uint32_t max;
    uint32_t nr;       /* OUT: written, the first ones */
    uint64_t breaches; /* OUT: found, written or not */
    uint64_t cursor;   /* OUT: the hypervisor's */
    /* OUT: what was looked at */
    uint32_t domains;
    uint32_t contexts; /* present context entries */
    uint32_t remapping_entries;
    uint32_t grants;
    uint64_t frames; /* mapped, all domains */
    uint64_t tables;
    uint64_t foreign; /* foreign mappings */
    uint64_t ns;
};

/*
 * Breaks a sentence (test builds): -ENOSYS elsewhere. What was broken is put right again by the same call with `undo`.
 * 0; -EINVAL; -EBUSY broken already (or, undo, not broken); -ENOENT there is nothing to break (no device, no guest).
 */
#define XENLITE_BREAK_hypervisor_frame 1 /* A1: a frame of the hypervisor mapped in domid's p2m */
#define XENLITE_BREAK_foreign_frame    2 /* A2: another domain's frame as RAM of domid */
#define XENLITE_BREAK_context_root                                                                 \
    3 /* A3: a context entry of domid's device points to another root */
#define XENLITE_BREAK_context_extra                                                                \
    4 /* A3: a context entry is present for a function without owner */
#define XENLITE_BREAK_forbidden_page 5 /* A4: an IO-APIC page mapped for domid */
#define XENLITE_BREAK_msix_page      6 /* A4: a page of an MSI-X table mapped for domid */
#define XENLITE_BREAK_remap_source   7 /* A5: a present remapping entry accepts another requester */
#define XENLITE_BREAK_remap_target                                                                 \
    8                         /* A5: a present remapping entry without an interrupt of anybody */
#define XENLITE_BREAK_flush 9 /* A6: a unit with a device of domid is left out of its flushes */
#define XENLITE_BREAKS      9

struct xenlite_break {
    uint32_t what; /* XENLITE_BREAK_* */
    uint32_t undo;
};

/* ---- page tables ---- */

#define XENLITE_P2M_TYPES 16

struct xenlite_p2m {
    uint64_t root,
        subroot; /* mfns of the level-4 table and of the level-3 table that three-level units start from */
    uint64_t max_gfn, top_gfn;
    uint64_t tables, max_tables;        /* frames of tables */
    uint64_t leaves[3];                 /* 4 KiB, 2 MiB, 1 GiB */
    uint64_t frames[XENLITE_P2M_TYPES]; /* 4 KiB frames by type; type 0 is not mapped */
    char type[XENLITE_P2M_TYPES][12];   /* its name, "" past the last */
    uint64_t splits, merges, cpu_flushes, iommu_flushes;
    uint64_t generation;
    uint32_t address_bits;
    uint32_t max_order; /* of leaves: 0, 9 or 18 */
    uint32_t devices;   /* whose DMA goes through it */
    uint32_t pad;
    char shared[128]; /* "": CPUs and units share it; otherwise why they do not */
};

struct xenlite_explain {
    uint64_t gfn;
    uint32_t levels; /* entries below that were read, from level 4 down */
    uint32_t order;  /* of the leaf, or of the hole around the address */
    struct {
        uint64_t table; /* mfn */
        uint64_t entry;
        uint32_t index;
        uint32_t level; /* 4..1 */
    } step[4];
    uint64_t mfn;   /* XENLITE_NO_FRAME: not mapped */
    uint32_t type;  /* 0: not mapped */
    uint16_t owner; /* of the frame: domid or DOMID_*; XENLITE_NO_DOMAIN not mapped */
    uint8_t writable;
    uint8_t cached;
    uint32_t users; /* references beside the owner's */
    char type_name[12];
    char use[16];      /* of the frame */
    char region[24];   /* the trapped region that answers there; "" none */
    char reserved[64]; /* why no domain may map the frame; "" */
};

/* ---- DMA remapping ---- */

struct xenlite_iommu {
    uint8_t present, enabled, interrupt_remapping;
    uint8_t posted_interrupts; /* 1: some unit posts them; 0: none can, or is asked to */
    uint8_t shared;            /* processors and units walk the same tables */
    uint8_t address_bits;
    uint8_t max_order;
    uint8_t pad;
    uint32_t units;
    uint32_t devices;
    char reason[128]; /* why not present or not shared; "" */
};

#define XENLITE_UNIT_ALL_OTHERS                                                                    \
    (1u << 0) /* has every device of the segment that no other unit names */
#define XENLITE_UNIT_COHERENT       (1u << 1)
#define XENLITE_UNIT_CACHING        (1u << 2)
#define XENLITE_UNIT_QUEUE          (1u << 3)
#define XENLITE_UNIT_REMAPS         (1u << 4)
#define XENLITE_UNIT_EXTENDED       (1u << 5) /* 32-bit destinations */
#define XENLITE_UNIT_PAGE_SELECTIVE (1u << 6)
#define XENLITE_UNIT_WRITE_BUFFER   (1u << 7)
#define XENLITE_UNIT_FAILED         (1u << 8)
#define XENLITE_UNIT_CAN_POST       (1u << 9) /* the unit is able to post interrupts */
#define XENLITE_UNIT_POSTS          (1u << 10) /* ... and does */

struct xenlite_iommu_unit {
    uint64_t registers; /* physical address */
    uint64_t cap, ecap;
    uint64_t faults, faults_lost, invalidations, waits;
    uint32_t flags; /* XENLITE_UNIT_* */
    uint16_t segment;
    uint8_t version; /* major << 4 | minor */
    uint8_t levels;
    uint8_t address_bits;
    uint8_t max_order;
    uint8_t pad[6];
    uint32_t remap_used, remap_size;
    char failure[64];
};

struct xenlite_iommu_fault {
    uint64_t time; /* ns since boot; 0: none */
    uint64_t addr; /* page, or index of the remapping entry */
    uint32_t sbdf;
    uint16_t domid; /* the device's owner then; XENLITE_NO_DOMAIN */
    uint8_t unit;
    uint8_t reason;
    uint8_t write, interrupt; /* interrupt: a message was refused */
    uint8_t reserved;         /* in memory that firmware reserved for the device */
    uint8_t type;             /* of the page in the owner's p2m; 0: nothing mapped */
    uint8_t pad[4];
    char text[64];  /* of the reason */
    char there[96]; /* what lies at the address for the owner */
};

#define XENLITE_DEVICE_BLOCKED     0
#define XENLITE_DEVICE_ATTACHED    1
#define XENLITE_DEVICE_QUARANTINED 2

struct xenlite_iommu_device {
    uint32_t sbdf;
    uint16_t domid; /* owner; XENLITE_NO_DOMAIN */
    uint8_t unit;
    uint8_t state;  /* XENLITE_DEVICE_* */
    uint64_t since; /* ns since boot */
    uint64_t
        context_root; /* address in the context entry, read from the unit's table; 0: it blocks */
    uint64_t
        p2m_root; /* address of the table that the owner's processors walk, at the unit's depth; 0: no owner */
    uint16_t tag;   /* domain id in the context entry */
    uint8_t levels; /* that the unit walks from context_root */
    uint8_t shared; /* 1: context_root == p2m_root */
    uint32_t pad;
    uint64_t cpu_root; /* what the processors' root register holds for the owner; 0: no owner */
    uint64_t faults;
    struct xenlite_iommu_fault last; /* valid if faults > 0 */
    char why[64];                    /* of a quarantine */
};

#endif
