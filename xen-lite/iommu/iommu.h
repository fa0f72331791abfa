/* SPDX-License-Identifier: MIT */
/*
 * DMA and interrupt remapping for the rest of the hypervisor, without any vendor's register names:
 * which unit translates which device, which domain owns it, flushes after a change of a domain's
 * page table, and interrupt remapping entries.
 *
 * A device translates through the very table of its owner's processors: its context entry holds the
 * p2m's root (or the sub-root one level down on a unit with 39-bit addresses). Devices that nobody
 * owns are blocked, their accesses fault and are counted.
 *
 * Locking: two levels. The device lock (inside iommu.c) protects owners, states and fault counters;
 * each unit's lock protects its tables, its invalidation queue and its registers. Device lock
 * before unit locks, never two unit locks at once. Both are leaves for everybody else: no function
 * here calls back into another subsystem with a lock held, except the hooks set with
 * iommu_set_hooks(), which say so. All functions run with interrupts off, like the whole
 * hypervisor.
 */
#ifndef XL_IOMMU_IOMMU_H
#define XL_IOMMU_IOMMU_H

#include "lib/types.h"

struct ir_post; /* iommu/post.h */
struct p2m;

#define IOMMU_MAX_UNITS 16
/*
 * A device's address everywhere in this interface: segment << 16 | bus << 8 | device << 3 |
 * function.
 */
#define IOMMU_SBDF(seg, bdf) (((uint32_t)(seg) << 16) | (uint16_t)(bdf))
#define IOMMU_DOMID_NONE     0xffffu

struct iommu_options {
    bool no_intremap;     /* leave interrupt remapping off although units have it */
    bool no_posted;       /* do not post interrupts although units can */
    bool no_queue;        /* use the register interface for invalidation (implies no_intremap) */
    bool x2apic;          /* the processors run in x2APIC mode: destinations have 32 bits */
    unsigned fault_limit; /* faults in fault_window_ms that quarantine a device; 0: default (256) */
    unsigned fault_window_ms; /* 0: default (10,000 ms) */
};

/*
 * Reads `width` (1, 2 or 4) bytes of PCI configuration space; all ones where nothing answers.
 * Called at initialisation only, to follow device-scope paths through bridges.
 */
typedef uint32_t (*iommu_cfg_read_fn)(uint16_t segment, uint16_t bdf, uint16_t reg, unsigned width);

/* ---- start and end ---- */

/*
 * Reads the DMAR table (`len` bytes), maps and checks every unit, builds empty tables: every device
 * blocked. Nothing in the hardware changes yet.
 * `dmar` NULL: there is no table. Returns 0, -ENODEV (no table, no unit), -EINVAL (malformed table,
 * unusable unit), -ENOMEM. After an error iommu_present() is false and iommu_share_reason() says
 * why.
 */
int iommu_init(const void *dmar, size_t len, iommu_cfg_read_fn cfg_read,
               const struct iommu_options *opt);

/*
 * Turns on translation and, where every unit can, interrupt remapping. From here on only attached
 * devices reach memory, and only messages in remappable format reach a processor: IO-APIC pins must
 * be masked or rewritten (ir_ioapic_rte()) by the caller around the call. 0, -ENODEV, or -EIO when
 * a unit did not answer in time (all units are then off again).
 */
int iommu_enable(void);

/*
 * Hands the units back: remapping, translation and queue off, fault interrupt masked. For reboot,
 * shutdown and panic: takes locks only when they are free within a bound, and may be called at any
 * time and twice.
 */
void iommu_shutdown(void);

bool iommu_present(void);  /* initialised and usable, whether enabled yet or not */
bool iommu_enabled(void);  /* translation is on */
bool iommu_intremap(void); /* interrupt remapping is (after iommu_enable(): will be) on */
bool iommu_posts(void);    /* at least one unit can post interrupts, and is asked to */
/* True where interrupt messages and FECTL-like registers can name destinations over 255. */
bool iommu_extended_dest(void);

/*
 * Reports of faults go to `vector` of the CPU whose APIC id is `apicid`; the owner of that vector
 * calls iommu_fault_irq(). 0 or -ENODEV, -ERANGE when the destination does not fit.
 */
int iommu_enable_fault_irq(uint8_t vector, uint32_t apicid);
/* Reads and clears the fault records of all units; also safe to call by polling. */
void iommu_fault_irq(void);

/* ---- what the p2m must know before any domain exists ---- */

/* NULL: the domain's p2m and the units share one table. Otherwise why not, as a sentence. */
const char *iommu_share_reason(void);
/* Largest leaf that every unit accepts: 0 (4 KiB), 9 (2 MiB) or 18 (1 GiB). 18 without an IOMMU. */
unsigned iommu_max_page_order(void);
/*
 * Address bits that every unit translates (39 or 48); 48 without an IOMMU. A gfn must stay below
 * it.
 */
unsigned iommu_address_bits(void);
/*
 * Units read tables past the caches: every changed p2m entry's cache line must be written back
 * before a flush.
 */
bool iommu_needs_writeback(void);
/* Writes the lines of changed p2m entries back if that is needed; for the p2m's sync_entry hook. */
void iommu_sync_entry(const void *entry, size_t bytes);
/* Entries made present where nothing was need iommu_flush_range() as well (caching mode, or write buffers to flush). */
bool iommu_needs_map_flush(void);

/* ---- domains ---- */

struct iommu_domain {
    struct p2m *p2m;     /* whose root the context entries hold */
    uint16_t domid;      /* for reports */
    uint16_t did;        /* the units' tag of cached translations, 0: none (no IOMMU) */
    uint16_t nr_devices; /* attached, all units; device lock */
    uint16_t unit_use[IOMMU_MAX_UNITS]; /* attached by unit; written under the device lock, read
                                           without */
    uint64_t flushes;                   /* calls that reached at least one unit */
    uint64_t flush_pages;               /* page-selective descriptors */
    uint64_t flush_domains;             /* whole-domain flushes */
};

/* 0; -ENOSPC when all tags are in use. Works (with tag 0) without an IOMMU. */
int iommu_domain_init(struct iommu_domain *d, uint16_t domid, struct p2m *p2m);
/* Detaches what is left, flushes and frees the tag. */
void iommu_domain_destroy(struct iommu_domain *d);

/*
 * After entries of [gfn, gfn + nr) lost a permission, changed their frame or went away;
 * `tables_freed`: a table page went away as well (or a leaf became a table). When it returns 0 no
 * unit uses an old translation and the frames may be reused. -EIO: a unit did not complete in time;
 * its devices were quarantined, their bus mastering cut by the hook, before this returns. A caller
 * that can should keep the frames. Costs nothing when no device is attached.
 */
int iommu_flush_range(struct iommu_domain *d, uint64_t gfn, uint64_t nr, bool tables_freed);

/* ---- devices ---- */

/* Requester ids beside its own that one device's requests can carry. */
#define IOMMU_MAX_ALIASES 4

/*
 * Says under which further requester ids (bus << 8 | devfn, same segment) requests of the device
 * reach its unit: those of bridges that take requests over. Attaching and detaching then covers
 * these ids, which devices of one domain share; interrupt messages carry the last of them. An alias
 * is not attached as a device of its own. 0; -ENODEV no unit has it; -EBUSY it is attached (with
 * other ones); -EINVAL too many; -ENOSPC.
 */
int iommu_set_aliases(uint32_t sbdf, const uint16_t *rid, unsigned nr);
/* The n-th device that is attached and has `sbdf` as an alias. False after the last. */
bool iommu_alias_user(uint32_t sbdf, unsigned n, uint32_t *user);

/*
 * Gives the device to the domain: its DMA goes through the domain's p2m from now on. 0; -ENODEV no
 * unit has it; -EBUSY it, or an alias of it, has another owner; -EPERM it is quarantined; -EIO the unit failed;
 * -ENOMEM, -ENOSPC. Without an IOMMU -EOPNOTSUPP.
 */
int iommu_attach(struct iommu_domain *d, uint32_t sbdf);
/* Blocks the device; old translations are gone when it returns 0. -ENODEV if nobody owned it. */
int iommu_detach(uint32_t sbdf);
/* The owner, NULL for none. */
struct iommu_domain *iommu_owner(uint32_t sbdf);

/*
 * Cuts the device off, its owner unchanged: its accesses are dropped without a report. 0 or
 * -ENODEV.
 */
int iommu_quarantine(uint32_t sbdf, const char *why);
/* Ends a quarantine: the device has its owner's table again (or is plainly blocked without one). */
int iommu_release(uint32_t sbdf);

/*
 * The n-th memory range (n from 0) that firmware demands to be mapped 1:1 for the device, [*start,
 * *end] in bytes, page aligned, end included. False after the last.
 */
bool iommu_rmrr_for(uint32_t sbdf, unsigned n, uint64_t *start, uint64_t *end);
/*
 * The n-th reserved range of the whole machine, and the devices it is for (count; sbdfs filled up
 * to max).
 */
bool iommu_rmrr(unsigned n, uint64_t *start, uint64_t *end, uint32_t *sbdfs, unsigned *count,
                unsigned max);
/* The n-th unit's registers: never to be mapped for a domain. False after the last. */
bool iommu_unit_mmio(unsigned n, paddr_t *start, size_t *len);

/* ---- interrupt remapping ---- */

enum ir_delivery {
    IR_FIXED = 0,
    IR_LOWEST = 1,
    IR_SMI = 2,
    IR_NMI = 4,
    IR_INIT = 5,
    IR_EXTINT = 7,
};

/* One remapping entry; who allocated it keeps it and serialises calls on it. */
struct ir_entry {
    uint8_t unit;
    uint8_t vector; /* the processor's; of a posted entry the guest's */
    bool valid;   /* allocated */
    bool present; /* delivers */
    bool level;
    uint16_t index;
    uint16_t sid;  /* the only requester that may use it */
    uint32_t dest; /* APIC id, physical destination mode */
    struct ir_post *post; /* posted to this descriptor; NULL: remapped to vector and dest */
};

/*
 * Takes an entry that only `sbdf` (by requester id), the IO-APIC or the HPET block can use; it does
 * not deliver until ir_set(). 0; -EOPNOTSUPP without interrupt remapping, -ENODEV no unit has the
 * requester, -ENOSPC.
 */
int ir_alloc(uint32_t sbdf, struct ir_entry *out);
int ir_alloc_ioapic(uint8_t ioapic_id, struct ir_entry *out);
int ir_alloc_hpet(uint8_t hpet_id, struct ir_entry *out);
/*
 * Programs and unmasks. When it returns 0 the unit uses the new values. -EINVAL: not allocated,
 * vector under 16 in a mode that has one, destination too wide. -EIO: the unit failed.
 */
int ir_set(struct ir_entry *e, uint8_t vector, uint32_t dest_apicid, bool level,
           enum ir_delivery mode);
/* Whether the entry's unit posts interrupts, so that ir_set_posted() can work. */
bool ir_can_post(const struct ir_entry *e);
/*
 * Programs and unmasks: requests are posted to the descriptor with the guest's vector (16..255), until ir_set(), ir_mask()
 * or ir_free(). The change between the two is one store for the unit; when it returns 0 the unit uses the new values. The
 * descriptor has one user more for as long. -EINVAL: not allocated, bad vector; -EOPNOTSUPP: the unit does not post;
 * -EIO: the unit failed.
 */
int ir_set_posted(struct ir_entry *e, struct ir_post *post, uint8_t vector);
/* Stops delivery, values kept; requests are dropped without a fault. */
int ir_mask(struct ir_entry *e);
/* Blocks and gives the entry back. */
void ir_free(struct ir_entry *e);
/* Message for a device's MSI capability or MSI-X entry. */
void ir_msi_message(const struct ir_entry *e, uint64_t *addr, uint32_t *data);
/*
 * The redirection entry for an IO-APIC pin; the vector is the entry's, which the IO-APIC's EOI
 * matching needs. active_low: pin polarity.
 */
uint64_t ir_ioapic_rte(const struct ir_entry *e, bool active_low, bool masked);

/* An entry as it stands in the unit's table. */
struct ir_state {
    bool present; /* it delivers; false: not in use */
    uint32_t sbdf;
    uint8_t vector;
    uint32_t dest; /* 0 if posted */
    paddr_t post;  /* address of the descriptor; 0: remapped format */
};

/* What an audit checks of entry `index` of unit `unit`. False past the end. */
bool ir_inspect(unsigned unit, unsigned index, struct ir_state *out);

/* ---- faults and state, for status and audit ---- */

struct iommu_fault {
    uint64_t time_ns;
    uint64_t addr; /* page address, or interrupt index for remapping faults */
    uint32_t sbdf;
    uint16_t domid; /* owner, IOMMU_DOMID_NONE without one */
    uint8_t unit;
    uint8_t reason; /* the unit's code */
    bool write;     /* a write request; false: read */
    bool interrupt; /* an interrupt request was refused, addr is its index */
    bool reserved;  /* addr lies in memory that firmware reserved for this device (RMRR) */
    uint8_t mapped; /* enum p2m_type of the page in the owner's p2m when the report was read */
};

const char *iommu_fault_reason(uint8_t reason);

struct iommu_hooks {
    /* After a fault was counted; no lock held. For records. */
    void (*fault)(const struct iommu_fault *f);
    /* A device was quarantined: cut its bus mastering. No lock held. */
    void (*quarantined)(uint32_t sbdf, const char *why);
    /*
     * The function whose unit it is: a virtual function is in the scope of its physical one (VT-d 8.3), whose number the
     * tables may name.  Itself otherwise.  Called with locks held: calls nothing here.  NULL: all are their own.
     */
    uint32_t (*scope_of)(uint32_t sbdf);
};
void iommu_set_hooks(const struct iommu_hooks *hooks);

enum iommu_dev_state {
    IOMMU_DEV_BLOCKED, /* nobody's */
    IOMMU_DEV_ATTACHED,
    IOMMU_DEV_QUARANTINED,
};

struct iommu_dev_info {
    uint32_t sbdf;
    uint16_t domid;
    uint8_t unit;
    bool alias; /* of others; nobody attached it itself */
    enum iommu_dev_state state;
    uint64_t faults;                /* since boot */
    uint64_t since_ns;              /* of the state */
    struct iommu_fault first, last; /* valid if faults > 0 */
    char why[64];                   /* of a quarantine */
};

/* The n-th known device: once attached, or seen in a fault. False after the last. */
bool iommu_device_info(unsigned n, struct iommu_dev_info *out);
/* The n-th newest fault (0 newest) of a short history. */
bool iommu_fault_history(unsigned n, struct iommu_fault *out);

struct iommu_unit_info {
    paddr_t regs;
    uint16_t segment;
    bool include_all;
    bool failed;
    uint8_t version;
    uint8_t levels;
    uint8_t address_bits;
    uint8_t max_page_order;
    bool coherent, caching_mode, queue, intremap, extended_dest, page_selective, write_buffer;
    bool can_post, posts; /* interrupts: the unit is able to, and it is used */
    uint64_t cap, ecap;
    uint64_t faults, faults_lost;
    uint64_t invalidations; /* descriptors or register commands */
    uint64_t waits;         /* completions waited for */
    unsigned ir_used, ir_size;
    char failure[64];
};
bool iommu_unit_info(unsigned n, struct iommu_unit_info *out);
/* Number of the unit that translates the device; -ENODEV. */
int iommu_unit_for(uint32_t sbdf);

/*
 * Audit: what the unit's own tables say of the device, read from memory, not from our books. *root:
 * the page table's address, *did its tag. Returns 1 present, 0 blocked, -ENODEV without a unit.
 */
int iommu_context_of(uint32_t sbdf, paddr_t *root, unsigned *levels, uint16_t *did);

/* ---- iommu_audit.c: tables in memory against the books ---- */

#define IOMMU_SBDF_NONE 0xffffffffu

enum iommu_breach_kind {
    IOMMU_BREACH_CONTEXT, /* a device translates through what is not its owner's */
    IOMMU_BREACH_FLUSH,   /* a change would not reach, or has not reached, a unit */
};

struct iommu_breach {
    enum iommu_breach_kind kind;
    uint32_t sbdf;  /* IOMMU_SBDF_NONE: of no device */
    uint16_t domid; /* owner, IOMMU_DOMID_NONE */
    uint64_t entry, expected;
    const char *reason;
};

/* Told with locks held: must not call back. */
typedef void (*iommu_breach_fn)(const struct iommu_breach *b, void *arg);

/* All context entries of a bus (0..255). How many are present; -1 past the last unit. */
int iommu_audit_bus(unsigned unit, unsigned bus, iommu_breach_fn fn, void *arg);
/* The unit's registers and queue. False past the last. */
bool iommu_audit_unit(unsigned unit, iommu_breach_fn fn, void *arg);
/* Whether flushes of the domain's table reach each unit that has a device of it. */
void iommu_audit_domain(const struct iommu_domain *d, iommu_breach_fn fn, void *arg);

#endif
