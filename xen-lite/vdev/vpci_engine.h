/* SPDX-License-Identifier: MIT */
/*
 * What the files of vPCI share among themselves.
 */
#ifndef XL_VDEV_VPCI_ENGINE_H
#define XL_VDEV_VPCI_ENGINE_H

#include "vdev/vpci.h"

/*
 * Gives the domain a function that exists but that it has not got yet.  0, or -ENODEV, -EBUSY,
 * -EPERM, -ENOMEM...  Takes vpci->lock.
 */
int vpci_discover(struct vpci *vpci, uint32_t sbdf);
/* Unregisters ports and windows. */
void vpci_access_cleanup(struct vpci *vpci);

/*
 * Makes a function findable at `sbdf`, or nothing if vd is NULL (that needs no memory if something was there).  0 or
 * -ENOMEM.  vpci->lock held.
 */
int vpci_set_slot(struct vpci *vpci, uint32_t sbdf, struct vpci_dev *vd);
/* For a function that is not findable any more: its state and memory go.  vpci->lock held. */
void vpci_bury(struct vpci_dev *vd);

/*
 * Refuses a write of the control domain's for the sake of `other`, which is not its own; the log says so once for each. `what`
 * of the function stays as it is. False: there is none (NULL). vpci->lock held.
 */
bool vpci_deny_for(struct vpci_dev *vd, const struct pci_dev *other, enum deny_rule rule,
                   const struct vpci_reg *reg, uint32_t val, const char *what);

/* ---- vpci_bridge.c: bridges in the control domain; vpci->lock held ---- */

/* Enters a bridge's registers, if the domain is the control domain; 0 or a negative errno. */
int vpci_bridge_init(struct vpci_dev *vd);
/* What is to be written to the command register in place of `val`; any function. */
uint32_t vpci_bridge_command(struct vpci_dev *vd, const struct vpci_reg *reg, uint32_t val);
/* A function behind it that is another domain's, or changes hands; NULL: none, or no bridge. */
struct pci_dev *vpci_behind_not_of(const struct pci_dev *bridge, const struct domain *owner);

/* ---- vpci_bars.c: pages of device memory that no domain may have mapped ---- */

/* Runs of frames inside one BAR that stay unmapped.  Two a function with MSI-X at most. */
#define VPCI_MAX_HOLES 64

struct vpci_holes {
    uint64_t first, last; /* the range that is to be mapped, frames */
    unsigned nr;
    bool overflow;
    struct {
        uint64_t first, last;
    } run[VPCI_MAX_HOLES]; /* sorted by first */
};

/* Finds the holes in [first, last]. */
void vpci_find_holes(struct vpci_holes *h, uint64_t first, uint64_t last);
/* Maps the frames at gfn.. but for the holes in them.  0 or what p2m_map_range() returns. */
int vpci_map_around(struct p2m *p2m, uint64_t gfn, const struct vpci_holes *h);
void vpci_unmap_run(struct p2m *p2m, uint64_t gfn, uint64_t nr);

/* The address of BAR `i` as the domain sees it. */
uint64_t vpci_bar_gpa(const struct vpci_dev *vd, unsigned i);

/* One access to device memory, cut at natural alignment; size is 1, 2, 4 or 8. */
uint64_t vpci_mmio_read(const volatile uint8_t *p, unsigned size);
void vpci_mmio_write(volatile uint8_t *p, unsigned size, uint64_t val);

/* One hardware access of any size and alignment inside a dword, cut where hardware wants it cut. */
uint32_t vpci_raw_read(uint32_t sbdf, unsigned reg, unsigned size);
void vpci_raw_write(uint32_t sbdf, unsigned reg, unsigned size, uint32_t val);

#endif
