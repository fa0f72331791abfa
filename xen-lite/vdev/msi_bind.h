/* SPDX-License-Identifier: MIT */
/*
 * Binding the messages of a guest's functions for a device model that names them: MSI or an MSI-X entry of a physical
 * function. Each call takes vPCI's locks.
 */
#ifndef XL_VDEV_MSI_BIND_H
#define XL_VDEV_MSI_BIND_H

#include "lib/types.h"

struct domain;
struct vpci;
struct vpci_dev;

struct msi_name {
    uint32_t hw_sbdf;
    bool msix;
    uint16_t entry; /* msix */
};

/* 0; -ENODEV: the domain has no such function, or that has no such message. */
int msi_exists(struct domain *d, const struct msi_name *name);
/*
 * Binds the message that the guest has written, if that is what addr and data describe; bits without a meaning do not
 * count. 0, -ENODEV, -ESTALE (the guest has written another one), -EINVAL (it may not be sent, or nobody can receive it),
 * -ENOMEM, -ENOSPC, -EIO.
 */
int msi_bind(struct domain *d, const struct msi_name *name, uint64_t addr, uint32_t data);
/* 0 or -ENODEV. */
int msi_unbind(struct domain *d, const struct msi_name *name);

/* The domain's function, NULL if it has none such. vpci->lock held. */
struct vpci_dev *msi_function(const struct vpci *vpci, uint32_t hw_sbdf);

#endif
