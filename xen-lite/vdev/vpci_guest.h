/* SPDX-License-Identifier: MIT */
/*
 * Physical functions in a guest: giving them and taking them away, and what the guest sees in place
 * of their registers. A guest's BARs are its own: it sizes and moves them, the hardware's stay
 * where they are, and the page table leads from the one to the other. Capabilities that a guest
 * could do harm with are not in its list.
 */
#ifndef XL_VDEV_VPCI_GUEST_H
#define XL_VDEV_VPCI_GUEST_H

#include "vdev/vpci.h"

struct vpci_bar_trap;

/* vpci->lock. */
struct vpci_guest {
    unsigned slot, fn;
    uint64_t addr[VPCI_NR_RANGES]; /* where the guest wants them: memory or ports, without flags */
    uint64_t hw[VPCI_NR_RANGES];   /* where the hardware has them, ever since it was given away */
    struct vpci_bar_trap *trap[VPCI_NR_RANGES]; /* of a range that is not mapped; NULL: none */
    bool memory, io; /* the guest decodes them: ranges are in place where they may be */
    bool rom_on;     /* enable bit of the ROM's BAR */
    uint8_t line;    /* interrupt line register: the guest's notes */
    /* Dwords that are not shown: read as 0, writes are refused. */
    uint64_t hidden[PCI_CFG_EXT_SIZE / 4 / 64];
};

/*
 * The function appears at function `fn` of `slot` (1..XENLITE_PCI_NR_SLOTS); function 0 is what
 * makes the slot occupied and tells the guest, so others come before it. Nobody may own the
 * function; it has been reset, its BARs are placed, and its DMA is attached to the domain already.
 * 0; -ENXIO (a virtual function that is off), -ENODEV (no such function, or the domain has no root), -EINVAL (slot, fn, a bridge), -EPERM
 * (the hypervisor's), -EBUSY (owned), -EEXIST (the place is taken, capabilities overlap), -ENOSPC,
 * -ENOMEM. Takes vpci->lock.
 */
int vpci_guest_attach(struct domain *d, uint32_t hw_sbdf, unsigned slot, unsigned fn);
/*
 * The function vanishes at once, noticed or not: nothing of it is mapped, trapped or interrupts any
 * more when this returns. 0 or -ENODEV. Takes vpci->lock.
 */
int vpci_guest_detach(struct domain *d, uint32_t hw_sbdf);
/* Is it `vpci`'s, and where. vpci->lock held. */
struct vpci_dev *vpci_guest_find(struct vpci *vpci, uint32_t hw_sbdf);

/* A function that vpci_add_device() gave to a guest hides nothing. */
static inline bool vpci_guest_hidden(const struct vpci_guest *g, unsigned reg)
{
    return g && g->hidden[reg / 4 / 64] >> (reg / 4 % 64) & 1;
}

/* Registers outside of the map, for the policy. */
enum trap_result vpci_guest_read(struct vpci_dev *vd, unsigned reg, unsigned size, uint32_t *val);
/* False: the register is not the guest's; refused and on record. */
bool vpci_guest_may_write(struct vpci_dev *vd, unsigned reg, unsigned size, uint32_t val);

/* ---- between the vpci_guest*.c files; vpci->lock held ---- */

/* vpci_guest_header.c, vpci_guest_caps.c: enter their registers; 0 or a negative errno. */
int vpci_guest_header_init(struct vpci_dev *vd);
int vpci_guest_caps_init(struct vpci_dev *vd);

/*
 * vpci_guest_bars.c. Puts a range where the guest wants it, if that is possible and it is not
 * there; takes it away. A range that may not be there is left out, with the refusal on record.
 */
void vpci_guest_range_on(struct vpci_dev *vd, unsigned i);
void vpci_guest_range_off(struct vpci_dev *vd, unsigned i);
/* All memory ranges whose decoding is on, or all ports. */
void vpci_guest_ranges_on(struct vpci_dev *vd, bool memory);
void vpci_guest_ranges_off(struct vpci_dev *vd, bool memory);
/*
 * The hardware's own BARs are where they were when it was attached, whatever a reset has done to
 * them.
 */
void vpci_guest_restore_bars(struct vpci_dev *vd);

#endif
