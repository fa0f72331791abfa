/* SPDX-License-Identifier: MIT */
/*
 * Devices and their owners, in the hypervisor's interface: where a guest's PCI lies in its memory, and the commands that
 * describe a physical function, give it to a guest and take it back. See xenlite.h for the call.
 */
#ifndef XENLITE_PCI_H
#define XENLITE_PCI_H

#include <stdint.h>

#include "xenlite.h"

/* ---- the layout of a guest that has PCI: hypervisor, ACPI tables and domain builder agree through these ---- */

/* Configuration space: buses 0..63. */
#define XENLITE_PCI_ECAM_BASE  0xe0000000u
#define XENLITE_PCI_ECAM_SIZE  0x04000000u
#define XENLITE_PCI_NR_BUSES   64
/* Windows of the root for BARs. RAM ends below the first one and goes on at 4 GiB. */
#define XENLITE_PCI_MMIO_BASE  0xc0000000u
#define XENLITE_PCI_MMIO_SIZE  0x20000000u
/* 64 bit, prefetchable; below 2^39 because VT-d units with three levels translate no more. */
#define XENLITE_PCI_MMIO64_BASE 0x4000000000ull
#define XENLITE_PCI_MMIO64_SIZE 0x1000000000ull
/* A port with I/O behind it takes 4 KiB of this: enough for 15 slots. Nothing else of a guest has ports from here on. */
#define XENLITE_PCI_IO_BASE 0x1000u
#define XENLITE_PCI_IO_SIZE 0xf000u

/* Bus 0: host bridge at 00.0, root port of slot n (1..XENLITE_PCI_NR_SLOTS) at n.0; one function or group a slot. */
#define XENLITE_PCI_NR_SLOTS    16
#define XENLITE_PCI_PORT_DEV(slot) (slot)
#define XENLITE_PCI_SLOT_FUNCTIONS 8

/* The guest's IO-APIC. INTx of slot n, pin 0..3 (INTA..INTD), as _PRT says it. */
#define XENLITE_PCI_IOAPIC_BASE 0xfec00000u
#define XENLITE_PCI_IOAPIC_PINS 24
#define XENLITE_PCI_IOAPIC_ID   1 /* vCPUs have the even ids */
#define XENLITE_PCI_INTX_GSI_BASE 16
#define XENLITE_PCI_INTX_GSI(slot, pin) (XENLITE_PCI_INTX_GSI_BASE + ((slot) + (pin)) % 4)

/* ---- commands ---- */

/* Everywhere: segment << 16 | bus << 8 | device << 3 | function of the physical function. */
#define XENLITE_PCI_NOBODY     0xffffu /* owner: no domain; the function's DMA is blocked */
#define XENLITE_PCI_HYPERVISOR 0xfffeu /* owner: the hypervisor, never given away */

enum {
    XENLITE_PCI_root = XENLITE_PCI_FIRST, /* domid: gets a PCI root, before its first unpause. No structure */
    XENLITE_PCI_info,                     /* struct xenlite_pci_info_op */
    XENLITE_PCI_group,                    /* struct xenlite_pci_group_op */
    XENLITE_PCI_list,                     /* struct xenlite_pci_list_op */
    XENLITE_PCI_attach,                   /* domid: to whom; struct xenlite_pci_move */
    XENLITE_PCI_detach,                   /* domid: from whom; struct xenlite_pci_move */
    XENLITE_PCI_slot,                     /* domid: whose; struct xenlite_pci_slot_op */
    XENLITE_PCI_intx,                     /* domid: whose; struct xenlite_pci_intx_op */
};

/*
 * Stages of an attach or detach, in order: X(name, what it makes sure of or does). The first that fails is the answer, the
 * rest never starts. Up to XENLITE_PCI_STAGE_slot they only look; a dry run ends there. When one of the later ones fails,
 * what was done is undone: the functions are then the former owner's again, or nobody's and blocked when even that fails.
 */
#define XENLITE_PCI_STAGES(X)                                                                      \
    X(arguments, "the request makes sense")                                                        \
    X(domain, "the domain is alive and has a PCI root")                                            \
    X(exists, "the function answers")                                                              \
    X(kind, "it is an endpoint, not a bridge or the hypervisor's")                                 \
    X(owner, "nobody else owns it")                                                                \
    X(group, "all functions that can only move together do, and are free")                         \
    X(reserved, "firmware reserved no memory for it")                                              \
    X(iommu, "a unit translates its DMA and remaps its interrupts")                                \
    X(width, "the unit translates every address of the domain")                                    \
    X(bars, "its BARs are placed and overlap nothing that must not be mapped")                     \
    X(interrupts, "MSI and MSI-X structures make sense")                                           \
    X(reset, "there is a way to reset it")                                                         \
    X(slot, "the guest has a free slot")                                                           \
    X(take, "the former owner's mappings and interrupts go")                                       \
    X(silence, "bus mastering off, DMA and interrupts blocked")                                    \
    X(do_reset, "reset, and answers again")                                                        \
    X(restore, "header registers back, device in D0")                                              \
    X(translate, "DMA goes through the domain's page table")                                       \
    X(give, "the function appears in the domain")                                                  \
    X(done, "all stages passed")

enum xenlite_pci_stage {
#define X(name, text) XENLITE_PCI_STAGE_##name,
    XENLITE_PCI_STAGES(X)
#undef X
};

/* struct xenlite_pci_move.flags */
#define XENLITE_PCI_DRY_RUN   (1u << 0) /* all checks, no effect */
#define XENLITE_PCI_GROUP     (1u << 1) /* the whole group of the function; without it a larger group is refused */
#define XENLITE_PCI_PERMISSIVE (1u << 2) /* kept for the device model: reported by info and list */
#define XENLITE_PCI_NO_RESET  (1u << 3) /* attach although it cannot be reset: its state leaks to the next owner */
#define XENLITE_PCI_TO_NOBODY (1u << 4) /* detach: leave it blocked, without owner */

/*
 * attach: gives the function to `domid`: from nobody or from the control domain (whose driver the toolstack has unbound). With
 *   domid 0 it goes (back) from nobody to the control domain. With XENLITE_PCI_GROUP all endpoints of the group move; they
 *   become functions 0.. of the slot, in ascending order.
 * detach: takes it from `domid`, resets it and gives it back to where it came from: the control domain, or nobody if it was
 *   nobody's, as always with XENLITE_PCI_TO_NOBODY. What moved together goes back together: all functions of the slot. With
 *   domid 0 it goes from the control domain to nobody (assignable), alone or with the rest of its group (XENLITE_PCI_GROUP).
 *
 * Returns 0, or the errno of the rule that refused; then and on success the fields OUT are valid. Takes up to seconds (a
 * reset); the calling vCPU sleeps in between.
 */
struct xenlite_pci_move {
    uint32_t sbdf;
    uint32_t flags;
    uint32_t slot;     /* attach: 1..XENLITE_PCI_NR_SLOTS, or 0: the first free. OUT: the slot */
    uint32_t nr;       /* OUT: functions that moved (or would) */
    uint32_t stage;    /* OUT: enum xenlite_pci_stage that refused, or XENLITE_PCI_STAGE_done */
    uint32_t rule;     /* OUT: number of the rule that refused */
    uint32_t at;       /* OUT: the function that the rule is about */
    uint32_t text_len; /* bytes at `text` */
    uint64_t a, b;     /* OUT: the rule's operands */
    uint64_t text;     /* address for the refusal as a sentence: what, why, what to do; zero-terminated. 0: not wanted */
    char rule_name[32]; /* OUT */
};

/* ---- what is known of a function ---- */

/* One memory range of a BAR, or the ROM (index 6). */
struct xenlite_pci_bar {
    uint64_t addr, size; /* size 0: none */
    uint8_t kind;        /* XENLITE_PCI_BAR_* */
    uint8_t prefetchable;
    uint8_t mapped;      /* in the owner's page table now */
    uint8_t pad[5];
};
#define XENLITE_PCI_BAR_none  0
#define XENLITE_PCI_BAR_io    1
#define XENLITE_PCI_BAR_mem32 2
#define XENLITE_PCI_BAR_mem64 3
#define XENLITE_PCI_BAR_rom   4
#define XENLITE_PCI_NR_BARS   7

/* Bytes of a BAR that are not mapped for a guest but trap, in whole pages (or less in a BAR smaller than a page). */
struct xenlite_pci_trapped {
    uint64_t offset, size;
    uint8_t bar;
    uint8_t why; /* XENLITE_PCI_TRAP_* */
    uint8_t pad[6];
};
#define XENLITE_PCI_TRAP_msix_table 1
#define XENLITE_PCI_TRAP_msix_pba   2
#define XENLITE_PCI_TRAP_subpage    3 /* shares its page with another BAR, or is not page aligned */
#define XENLITE_PCI_NR_TRAPPED      10

/* struct xenlite_pci_info.reset: ways to reset it, a mask; the lowest bit is tried first */
#define XENLITE_PCI_RESET_flr    (1u << 0) /* PCI Express function level reset */
#define XENLITE_PCI_RESET_af_flr (1u << 1) /* the same by the Advanced Features capability */
#define XENLITE_PCI_RESET_pm     (1u << 2) /* D3hot and back */
#define XENLITE_PCI_RESET_bus    (1u << 3) /* secondary bus reset: the whole bus is in its group */

/* struct xenlite_pci_info.flags, struct xenlite_pci_entry.flags */
#define XENLITE_PCI_IS_BRIDGE     (1u << 0)
#define XENLITE_PCI_DECODES       (1u << 1) /* memory decoding is on */
#define XENLITE_PCI_MASTERS       (1u << 2) /* bus mastering is on */
#define XENLITE_PCI_TRANSLATED    (1u << 3) /* a unit covers it and translates */
#define XENLITE_PCI_REMAPPED      (1u << 4) /* that unit remaps interrupts */
#define XENLITE_PCI_QUARANTINED   (1u << 5) /* cut off after too many faults */
#define XENLITE_PCI_IS_PERMISSIVE (1u << 6)
#define XENLITE_PCI_MOVING        (1u << 7) /* an attach or detach is under way */
#define XENLITE_PCI_IS_VIRTUAL    (1u << 8) /* an SR-IOV virtual function */

#define XENLITE_PCI_NR_RMRR 4

struct xenlite_pci_info {
    uint32_t sbdf;
    uint16_t vendor, device, subvendor, subdevice;
    uint32_t class_rev; /* class code << 8 | revision */
    uint16_t owner;     /* domid, XENLITE_PCI_NOBODY, XENLITE_PCI_HYPERVISOR */
    uint16_t group;     /* name of its group: the lowest bus, device and function in it */
    uint32_t flags;
    uint32_t slot, fn;  /* in the guest that owns it; slot 0: in none */
    uint32_t physfn;    /* the function whose virtual function it is; 0xffffffff: it is none */
    uint32_t nr_vfs;    /* virtual functions that it has; while there are any, it stays where it is */
    uint32_t requester; /* segment << 16 | requester id that its requests carry behind bridges */
    uint32_t reset;
    uint8_t header;     /* header type without the multi-function bit */
    uint8_t pcie_type;  /* device/port type of its PCI Express capability; 0xff: none */
    uint8_t intx_pin;   /* 1..4, 0: none */
    uint8_t unit;       /* of the IOMMU; 0xff: none */
    uint8_t address_bits; /* that the unit translates */
    uint8_t cap_pm, cap_msi, cap_msix, cap_pcie, cap_af; /* offsets, 0: none */
    uint8_t msi_vectors, msi_64bit, msi_maskable;
    uint8_t table_bar, pba_bar;
    uint8_t power_state; /* 0..3 */
    uint16_t msix_vectors;
    uint16_t nr_group;   /* functions in its group, itself included */
    uint32_t table_offset, table_size, pba_offset, pba_size;
    uint32_t intx_gsi;   /* physical GSI; 0xffffffff: not known */
    uint32_t nr_trapped, nr_rmrr; /* valid entries below */
    uint64_t faults;     /* DMA and interrupt faults since boot */
    struct xenlite_pci_bar bar[XENLITE_PCI_NR_BARS];
    struct xenlite_pci_trapped trapped[XENLITE_PCI_NR_TRAPPED];
    struct {
        uint64_t start, end; /* end included */
    } rmrr[XENLITE_PCI_NR_RMRR];
};

/* 0; -ENODEV no such function; -EFAULT. */
struct xenlite_pci_info_op {
    uint32_t sbdf;
    uint32_t size;   /* sizeof(struct xenlite_pci_info) */
    uint64_t info;   /* address of it; written */
};

/* Why a function is in the group. */
#define XENLITE_PCI_WHY_self          0
#define XENLITE_PCI_WHY_multifunction 1 /* a function of one device, whose functions may reach each other unseen by the IOMMU */
#define XENLITE_PCI_WHY_acs           2 /* a port above, `via`, passes requests between them: no (full) ACS */
#define XENLITE_PCI_WHY_alias         3 /* its requests carry the requester id of `via`, a bridge, as the others' do */
#define XENLITE_PCI_WHY_bus           4 /* shares a conventional PCI bus below `via` */
#define XENLITE_PCI_WHY_bridge        5 /* a bridge between them; stays where it is when they move */

struct xenlite_pci_member {
    uint32_t sbdf;
    uint32_t via;    /* 0xffffffff: none */
    uint16_t owner;
    uint8_t why;     /* XENLITE_PCI_WHY_* */
    uint8_t pad;
    uint32_t class_rev;
};

/* 0; -ENODEV; -EFAULT. */
struct xenlite_pci_group_op {
    uint32_t sbdf;
    uint32_t max;     /* entries at `members` */
    uint32_t nr;      /* OUT: functions in the group, also when that is more than max */
    uint32_t group;   /* OUT */
    uint64_t members; /* address of struct xenlite_pci_member[max] */
};

struct xenlite_pci_entry {
    uint32_t sbdf;
    uint16_t vendor, device;
    uint32_t class_rev;
    uint16_t owner;
    uint16_t group;
    uint32_t flags;
    uint8_t header;
    uint8_t slot, fn; /* slot 0: not in a guest */
    uint8_t pad;
};

/* 0; -EFAULT. Functions appear and go: call again when total changed. */
struct xenlite_pci_list_op {
    uint32_t start;   /* leave out so many */
    uint32_t max;     /* entries at `entries` */
    uint32_t nr;      /* OUT: written */
    uint32_t total;   /* OUT: known functions */
    uint64_t entries; /* address of struct xenlite_pci_entry[max] */
};

/* Slots of a guest and the way out for a device that the guest's kernel is to let go first. */
#define XENLITE_PCI_SLOT_query 0
#define XENLITE_PCI_SLOT_eject 1 /* presses the attention button; the guest's kernel powers the slot off when it is ready */
#define XENLITE_PCI_SLOT_cancel 2

#define XENLITE_PCI_SLOT_empty    0
#define XENLITE_PCI_SLOT_occupied 1 /* power on: the guest may use it */
#define XENLITE_PCI_SLOT_off      2 /* occupied, and the guest has let go: detach does not surprise it */
#define XENLITE_PCI_SLOT_ejecting 3 /* the button was pressed, the guest has not let go yet */

/* 0; -ESRCH no such domain; -EINVAL no such slot or action; -ENODEV the domain has no root. */
struct xenlite_pci_slot_op {
    uint32_t slot;   /* 1..XENLITE_PCI_NR_SLOTS */
    uint32_t action; /* XENLITE_PCI_SLOT_* of the first three */
    uint32_t state;  /* OUT */
    uint32_t nr;     /* OUT: functions in it */
    uint32_t sbdf[XENLITE_PCI_SLOT_FUNCTIONS]; /* OUT */
};

/*
 * Connects INTx of a guest's function to the guest's IO-APIC. Only the machine's ACPI tables say which interrupt the function's
 * pin is: the control domain's kernel knows (the file irq in sysfs after a write of 1 to the file enable). Until then, and without
 * it, INTx stays off whatever the guest says; MSI and MSI-X need nothing of this. The pin may be shared with anybody.
 * 0; -ENODEV not the domain's, or no pin; -ENOENT no such GSI; -EBUSY the hypervisor's own; -EOPNOTSUPP its interrupt disable
 * bit does not work, so that it cannot share.
 */
struct xenlite_pci_intx_op {
    uint32_t sbdf;
    uint32_t gsi;   /* of the machine */
    uint32_t flags; /* XENLITE_PCI_INTX_ACTIVE_HIGH; PCI's is active low unless the tables say otherwise */
    uint32_t pad;   /* 0 */
};
#define XENLITE_PCI_INTX_ACTIVE_HIGH 1u

#endif
