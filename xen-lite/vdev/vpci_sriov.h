/* SPDX-License-Identifier: MIT */
/*
 * Virtual functions in the control domain: managed registers of both sides. For the vpci*.c files; vpci->lock held.
 */
#ifndef XL_VDEV_VPCI_SRIOV_H
#define XL_VDEV_VPCI_SRIOV_H

#include "vdev/vpci.h"

/* A physical function's registers, if it has the capability and is the control domain's; 0 or a negative errno. */
int vpci_sriov_init(struct vpci_dev *vd);
/* A virtual function's header in the control domain; 0 or a negative errno. */
int vpci_vf_init(struct vpci_dev *vd);
/* Maps the control domain's virtual function where it is, if it decodes; takes it out of the page table if not. */
void vpci_vf_update(struct vpci_dev *vd);

#endif
