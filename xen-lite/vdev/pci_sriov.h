/* SPDX-License-Identifier: MIT */
/*
 * Virtual functions (SR-IOV, PCIe 5.0, chapter 9) as they are: which ones a physical function has, where they and their BARs
 * lie, and what is true of them that is not of other functions: they show no vendor, their BAR registers are empty, and
 * whether they decode memory is said in the physical function.
 *
 * No locks: registers that this depends on change only while no virtual function is anybody's but the control domain's
 * (vdev/vpci_sriov.c), and then under its vpci->lock.
 */
#ifndef XL_VDEV_PCI_SRIOV_H
#define XL_VDEV_PCI_SRIOV_H

#include "vdev/pci.h"

/* ---- physical functions ---- */

/* Looks for the capability and sizes the virtual functions' BARs, with their decoding off for a moment. At discovery. */
void pci_sriov_probe(struct pci_dev *pf);
/* Sizes them anew: the system page size or a resizable BAR changes them. Nothing while they decode, as -EBUSY says. */
int pci_sriov_size(struct pci_dev *pf);
/* PCI_SRIOV_VFE and PCI_SRIOV_MSE, as they are; 0 without the capability or if the function does not answer. */
uint32_t pci_sriov_state(const struct pci_dev *pf);
/* The number, from 0, of its virtual function at `sbdf`, which may be on another bus; -1: it has none there now. */
int pci_vf_index(const struct pci_dev *pf, uint32_t sbdf);
/* How many of its virtual functions are known; *first, if not NULL, is one of them. */
unsigned pci_vfs_known(const struct pci_dev *pf, struct pci_dev **first);
/* One of them that is not `owner`'s; NULL: none. */
struct pci_dev *pci_vf_not_of(const struct pci_dev *pf, const struct domain *owner);

/*
 * Is there a virtual function of `physfn` at `sbdf`, as the control domain, `owner`, says? 0, or the errno of the rule by which
 * the claim is refused, with the refusal on record.
 */
int pci_vf_claim(const struct domain *owner, uint16_t domid, uint32_t sbdf, uint32_t physfn);

/* ---- virtual functions ---- */

/* Vendor and device, as a physical function shows them in its first register; ~0: it does not answer. Before it is probed. */
uint32_t pci_vf_identity(const struct pci_dev *vf);
/* Numbers it anew, and finds its BARs; for pci_read_bars(). */
void pci_vf_read_bars(struct pci_dev *vf);
/*
 * Hardware has no memory decoding bit in a virtual function (PCIe 5.0, 9.3.4.1.3), but emulated ones may obey it: it stays on,
 * and is put back after a reset.
 */
void pci_vf_set_memory(const struct pci_dev *vf);

/* ---- any function ---- */

/* Does it decode memory now? */
bool pci_decodes(const struct pci_dev *dev);
/*
 * Vendor and device of a known function as it answers now: ~0 if it does not, 1 in the lower half if it is not ready, anything
 * but its own if another function answers in its place.
 */
uint32_t pci_identity(const struct pci_dev *dev);
/* Its INTx pin, 1..4; 0: none, as virtual functions always have it (PCIe 5.0, 9.3.4.1). */
unsigned pci_intx_pin(const struct pci_dev *dev);
/* Address of a memory BAR now, asked of the hardware; 0: none. */
uint64_t pci_bar_address(const struct pci_dev *dev, unsigned i);

#endif
