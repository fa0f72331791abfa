/* SPDX-License-Identifier: MIT */
/*
 * Virtual PCI: what a domain finds in the configuration space of its functions.  A function is a
 * register map: ranges with declared masks, a read and a write handler and a name.  What happens to
 * registers outside of the map is the policy's: the control domain's reach the hardware, a
 * guest's reads do and its writes are forwarded to the device model.
 */
#ifndef XL_VDEV_VPCI_H
#define XL_VDEV_VPCI_H

#include "lib/list.h"
#include "lib/spinlock.h"
#include "lib/types.h"
#include "trap/rules.h"
#include "trap/trap.h"
#include "vdev/pci.h"

struct domain;
struct p2m;
struct vpci;
struct vpci_dev;
struct vmsi;
struct vmsix;
struct vpci_guest;
struct vroot;
struct vroot_fn;

/* One managed register.  Rows are static const where offsets are fixed, copied otherwise. */
struct vpci_reg {
    uint16_t offset;
    uint8_t size;   /* 1, 2 or 4; offset aligned to it */
    uint8_t index;  /* for the handler: which BAR, which entry */
    uint32_t ro;    /* bits that a write does not change */
    uint32_t rw1c;  /* bits that a written 1 clears: bytes not written count as 0 */
    uint32_t rsvdp; /* reserved bits that a write preserves */
    uint32_t value; /* for the handler: vpci_read_value() */
    /* NULL: the hardware's value.  Handlers are called with vpci->lock held. */
    uint32_t (*read)(struct vpci_dev *vd, const struct vpci_reg *reg);
    /* NULL: the policy's default.  `val` is the whole register as it is to become. */
    void (*write)(struct vpci_dev *vd, const struct vpci_reg *reg, uint32_t val);
    const char *name; /* static string */
    uint16_t handler; /* id of `name`; vpci_add_reg() fills it in */
};

#define VPCI_MAX_REGS 96

/* Ranges of a function: its BARs, then the expansion ROM. */
#define VPCI_ROM       PCI_MAX_BARS
#define VPCI_NR_RANGES (PCI_MAX_BARS + 1)

struct vpci_range {
    uint64_t gfn, nr;    /* in the page table, holes for trapped pages aside; nr 0: not mapped */
    const char *refused; /* why it is not mapped although decoded; NULL: it is, or not decoded */
    uint64_t warned;     /* the address whose refusal was printed: once is enough */
};

struct vpci_dev {
    struct list_head link; /* in vpci->devices */
    struct vpci *vpci;
    struct pci_dev *pdev;
    uint32_t sbdf;                  /* as the domain sees it */
    uint32_t hw_sbdf;               /* the physical function; the same in the control domain */
    const volatile uint8_t *config; /* pci_conf_window() */
    bool dead; /* taken away while an access was under way; vpci->lock and lock */
    bool forwarded; /* a register's write handler has asked the device model; vpci->lock */
    uint8_t map[PCI_CFG_EXT_SIZE / 4]; /* dword -> 1 + index of its first register, 0: none */
    uint64_t read_here[PCI_CFG_EXT_SIZE / 4 / 64]; /* dwords in which a register has a read handler */
    uint8_t nr_regs;
    struct vpci_reg reg[VPCI_MAX_REGS]; /* sorted by offset */
    bool mapped;                        /* memory is decoded and its ranges are in the page table */
    uint8_t probing; /* BAR registers that are being sized while decoding is on */
    struct vpci_range range[VPCI_NR_RANGES];
    spinlock_t lock;    /* *msix: its table is accessed without vpci->lock; taken after that */
    uint32_t warned;    /* the function whose use was given as a reason last: once is enough */
    struct vmsi *msi;   /* NULL: no capability */
    struct vmsix *msix; /* NULL: no usable capability */
    struct vpci_guest *guest; /* what a guest sees in place of the hardware; NULL: the control domain's */
    struct vroot_fn *virt;    /* a function without hardware (pdev is NULL); NULL: a real one */
    uint64_t reads, writes, denied; /* configuration accesses; relaxed atomics */
    /* The same by the dword where they began; two CPUs at a time may lose one. */
    struct {
        uint32_t reads, writes;
    } touched[PCI_CFG_EXT_SIZE / 4];
};

/* Registers outside of the map: one constant table a policy. */
struct vpci_policy {
    const char *name;
    bool maps_bars; /* memory decoding maps BARs 1:1 */
    bool asks;      /* messages of MSI and MSI-X are the device model's to decide */
    enum trap_result (*read)(struct vpci *vpci, struct vpci_dev *vd, uint32_t sbdf, unsigned reg,
                             unsigned size, uint32_t *val);
    enum trap_result (*write)(struct vpci *vpci, struct vpci_dev *vd, uint32_t sbdf, unsigned reg,
                              unsigned size, uint32_t val);
};
extern const struct vpci_policy vpci_policy_control; /* pass all */
extern const struct vpci_policy vpci_policy_guest;   /* reads pass, writes are forwarded */

#define VPCI_MAX_SEGMENTS 16

/* From a bus and a function number to the function; read without a lock. */
struct vpci_segment {
    uint16_t segment;
    struct vpci_dev **bus[256]; /* each points to 256 of them; NULL: no function there */
};

/* Embedded in struct domain. */
struct vpci {
    struct domain *domain;
    uint16_t domid;
    struct trap_table *traps;
    struct p2m *p2m;
    const struct vpci_policy *policy;
    spinlock_t lock; /* functions, managed registers, mapping of BARs; before vpci_dev.lock */
    struct list_head devices;
    uint32_t cf8; /* the domain's CONFIG_ADDRESS latch */
    unsigned nr_segments;
    struct vpci_segment *segment[VPCI_MAX_SEGMENTS]; /* read without the lock; only grows */
    struct list_head ecam;                           /* trapped windows */
    struct list_head pages;                          /* trapped pages of device memory */
    unsigned nr_devices;
    struct vroot *root; /* a guest's; NULL: none. Set once, before the domain runs */
    uint64_t absent_reads, absent_writes; /* accesses to functions that do not exist */
};

/* ---- implemented by the domain layer ---- */

struct vpci *domain_vpci(struct domain *d);
/*
 * A function turned up that no scan had seen (hot plug, bus numbers given by the domain): attach it
 * to the domain's DMA translation before the domain may use it.  0 or a negative errno.  Called
 * with vpci->lock held, so it must not call back into vPCI.
 */
int domain_pci_found(struct domain *d, struct pci_dev *pdev);
/* The counterpart: a function left the domain.  vpci->lock held, too. */
void domain_pci_gone(struct domain *d, struct pci_dev *pdev);

/* ---- life cycle ---- */

/* Of every domain, with a PCI root or without: whoever looks for its functions finds none. */
void vpci_prepare(struct vpci *vpci);
/*
 * After vpci_prepare(). `traps` and `p2m` must be initialised and outlive *vpci.  Registers ports CF8-CFF.  0 or a
 * negative errno.  Byte and word accesses to CF8-CFB are TRAP_NONE: CF9 is the reset control
 * register, the caller's.
 */
int vpci_init(struct vpci *vpci, struct domain *d, uint16_t domid, struct trap_table *traps,
              struct p2m *p2m, const struct vpci_policy *policy);
/* Traps an ECAM window: `base` is the guest-physical address of bus 0.  0, -EEXIST, -ENOMEM... */
int vpci_add_ecam(struct vpci *vpci, uint64_t base, uint16_t segment, uint8_t start_bus,
                  uint8_t end_bus);
/* Gives every function back.  No vCPU of the domain may run any more. */
void vpci_destroy(struct vpci *vpci);

/*
 * Gives a known physical function to the domain.  Memory BARs are mapped at once if the function
 * decodes them.  0 (also if the domain has it already), -ENODEV, -EBUSY (somebody else's), -EPERM
 * (the hypervisor's), -ENOMEM, -EEXIST (its capabilities overlap).  DMA attachment is the caller's.
 */
int vpci_add_device(struct domain *d, uint32_t sbdf);
/* Takes it away: BARs unmapped, interrupts destroyed.  0 or -ENODEV. */
int vpci_remove_device(struct domain *d, uint32_t sbdf);

/*
 * physdev_op pci_device_add and pci_device_remove, for the hypercall layer.  `flags` as in the
 * interface; `physfn` is looked at if they say that it is a virtual function.  Adding a known
 * function is 0.  A virtual function goes only while it is the domain's own or nobody's, a physical
 * one only after its virtual ones.
 */
int vpci_physdev_add(struct domain *d, uint32_t sbdf, uint32_t flags, uint32_t physfn);
int vpci_physdev_remove(struct domain *d, uint32_t sbdf);

/* ---- access ---- */

/*
 * A configuration access as the domain makes it; reg < 4096, size 1, 2 or 4 inside one dword.
 * Returns as a trap handler does.  *val is set for reads that are not forwarded.
 */
enum trap_result vpci_read(struct vpci *vpci, uint32_t sbdf, unsigned reg, unsigned size,
                           uint32_t *val);
enum trap_result vpci_write(struct vpci *vpci, uint32_t sbdf, unsigned reg, unsigned size,
                            uint32_t val);

/* ---- for handlers inside vdev/ ---- */

/* Handlers: reg->value; and nothing happens. */
uint32_t vpci_read_value(struct vpci_dev *vd, const struct vpci_reg *reg);
void vpci_write_ignored(struct vpci_dev *vd, const struct vpci_reg *reg, uint32_t val);
/* Adds a copy of *reg.  0, -EEXIST (overlap), -ENOSPC, -EINVAL.  Before the function is visible. */
int vpci_add_reg(struct vpci_dev *vd, const struct vpci_reg *reg);
static inline struct vpci_segment *vpci_segment_of(const struct vpci *vpci, uint32_t sbdf)
{
    unsigned n = __atomic_load_n(&vpci->nr_segments, __ATOMIC_ACQUIRE);

    for (unsigned i = 0; i < n; i++)
        if (vpci->segment[i]->segment == PCI_SEG(sbdf))
            return vpci->segment[i];
    return NULL;
}

/* The function at `sbdf`, or NULL.  Valid during the access that asks. */
static inline struct vpci_dev *vpci_find(const struct vpci *vpci, uint32_t sbdf)
{
    struct vpci_segment *seg = vpci_segment_of(vpci, sbdf);
    struct vpci_dev **bus;

    if (unlikely(!seg))
        return NULL;
    bus = __atomic_load_n(&seg->bus[PCI_BUS(sbdf)], __ATOMIC_ACQUIRE);
    return bus ? __atomic_load_n(&bus[PCI_DEVFN(sbdf)], __ATOMIC_ACQUIRE) : NULL;
}

static inline uint32_t vpci_hw_read(const struct vpci_dev *vd, unsigned reg, unsigned size)
{
    return pci_conf_read(vd->hw_sbdf, reg, size);
}

static inline void vpci_hw_write(const struct vpci_dev *vd, unsigned reg, unsigned size,
                                 uint32_t val)
{
    pci_conf_write(vd->hw_sbdf, reg, size, val);
}

/* Refuses something of this function: counts, records, returns a negative errno. */
int vpci_deny(struct vpci_dev *vd, enum deny_rule rule, uint64_t a, uint64_t b);

/* vpci_header.c, vpci_cap.c: enter their registers; 0 or a negative errno. */
int vpci_header_init(struct vpci_dev *vd);
int vpci_cap_init(struct vpci_dev *vd);
void vpci_cap_cleanup(struct vpci_dev *vd);

/*
 * vpci_bars.c; vpci->lock held.  BARs are where the hardware has them now.  An error of
 * vpci_map_bars() (an interrupt table cannot be kept from the domain) has mapped nothing, and
 * decoding must stay off; BARs that are refused are no error.
 */
int vpci_map_bars(struct vpci_dev *vd);
/* After vpci_map_bars(), once the function decodes memory. */
void vpci_bars_online(struct vpci_dev *vd);
void vpci_unmap_bars(struct vpci_dev *vd);
void vpci_map_rom(struct vpci_dev *vd);
void vpci_unmap_rom(struct vpci_dev *vd);
/* True if [gpa, gpa + size) lies inside a memory range that a function of the domain decodes. */
bool vpci_covers(const struct vpci *vpci, uint64_t gpa, unsigned size);

/* vpci_access.c */
int vpci_access_init(struct vpci *vpci);

#endif
