/* SPDX-License-Identifier: MIT */
/*
 * The MSI capability as a domain sees it: its address and data are kept, the device gets the
 * host's message, which leads to the domain's vector.
 */
#ifndef XL_VDEV_VMSI_H
#define XL_VDEV_VMSI_H

#include "lib/types.h"

struct girq;
struct vpci_dev;

struct vmsi {
    uint8_t cap; /* offset of the capability */
    bool is_64bit, maskable;
    bool enabled;        /* as the domain wants it */
    bool active;         /* the device may send: it was enabled with a bound message */
    bool bound;          /* address and data are what girq has */
    uint64_t address;    /* the domain's */
    uint16_t data;       /* the domain's */
    struct girq *girq;   /* NULL until enabled for the first time */
    uint64_t hw_address; /* what the device was given */
    uint32_t hw_data;
    uint64_t binds, failed; /* counters */
};

/* Enters the registers.  The device's MSI is off afterwards.  0 or a negative errno. */
int vmsi_init(struct vpci_dev *vd);
/* MSI off in the device, interrupt destroyed, memory freed. */
void vmsi_cleanup(struct vpci_dev *vd);

/* ---- for those who decide on messages; vpci->lock held ---- */

/*
 * Binds this message, and enables MSI in the device if the domain has.  0; -ESTALE: the domain has
 * written another one meanwhile; or girq's error.  After an error nothing is bound.
 */
int vmsi_bind(struct vpci_dev *vd, uint64_t address, uint32_t data);
/* Messages go nowhere until the next bind. */
void vmsi_unbind(struct vpci_dev *vd);
/* Enables MSI if the domain has and its message is bound. */
void vmsi_settle(struct vpci_dev *vd);

#endif
