/* SPDX-License-Identifier: MIT */
/*
 * Looking at one physical function: identity, BARs and capabilities.  For vdev/pci.c only.
 */
#ifndef XL_VDEV_PCI_PROBE_H
#define XL_VDEV_PCI_PROBE_H

#include "vdev/pci.h"

/* True if a function answers. */
bool pci_present(uint32_t sbdf);
/* Fills *dev, whose sbdf is set.  0, or -ENODEV if what answers makes no sense. */
int pci_probe(struct pci_dev *dev);

/* The BARs in `nr` registers from `reg` on. Nothing may decode them. */
void pci_probe_bars(uint32_t sbdf, unsigned reg, struct pci_bar *bar, unsigned nr);

#endif
