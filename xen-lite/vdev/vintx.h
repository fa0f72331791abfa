/* SPDX-License-Identifier: MIT */
/*
 * INTx of guests' functions. The physical pin may be shared by anybody, so a function that asserts it is silenced by its own
 * interrupt disable bit, not by masking the pin: whoever else uses the pin, the control domain included, goes on. The guest's pin
 * is raised; at the guest's end of the interrupt the function may assert again.
 *
 * Locking: one lock, taken inside; after it command_lock, or a vIO-APIC's lock and those below.
 */
#ifndef XL_VDEV_VINTX_H
#define XL_VDEV_VINTX_H

#include "vdev/pci.h"

struct domain;

/*
 * Connects INTx of the function, which is fn 0..7 of `slot` in d, to physical interrupt `gsi`. A former connection is replaced.
 * 0; -ENODEV (it has no pin), -EOPNOTSUPP (its interrupt disable bit does not work, so it cannot share), -ENOMEM, or the errors
 * of girq_gsi_share(). Serialised by the caller.
 */
int vintx_connect(struct domain *d, struct pci_dev *pdev, unsigned slot, uint32_t gsi,
                  bool active_low);
/* Before the function leaves d: INTx is off when it returns. Nothing happens without a connection. */
void vintx_disconnect(struct pci_dev *pdev);
/* Physical interrupt, ~0 without a connection; *raised: how often the guest's pin was. */
uint32_t vintx_gsi(const struct pci_dev *pdev, uint64_t *raised);

/* For struct vioapic.ended. */
void vintx_ended(struct domain *d, uint32_t gsi);

#endif
