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

/* One hardware access of any size and alignment inside a dword, cut where hardware wants it cut. */
uint32_t vpci_raw_read(uint32_t sbdf, unsigned reg, unsigned size);
void vpci_raw_write(uint32_t sbdf, unsigned reg, unsigned size, uint32_t val);

#endif
