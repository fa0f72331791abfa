/* SPDX-License-Identifier: MIT */
/*
 * What the files of iommu/ share: the machine's units and the table of known devices.
 */
#ifndef XL_IOMMU_INTERNAL_H
#define XL_IOMMU_INTERNAL_H

#include "iommu/dmar.h"
#include "iommu/iommu.h"
#include "iommu/vtd.h"
#include "lib/bitmap.h"
#include "lib/spinlock.h"

#define IOMMU_MAX_DEVICES 512
/*
 * Faults may name requesters that do not exist; they never take the records that attaching needs.
 */
#define IOMMU_MAX_FAULT_DEVICES 384
#define IOMMU_MAX_DIDS          1024
#define IOMMU_FAULT_HISTORY     32

struct iommu_device {
    uint32_t sbdf;
    uint8_t unit;
    enum iommu_dev_state state;
    struct iommu_domain *owner; /* NULL: nobody; stays while quarantined */
    bool attached;              /* itself, not only as an alias of others */
    uint8_t nr_aliases;
    uint16_t users;             /* itself, and those whose alias it is; all of one owner */
    uint16_t alias[IOMMU_MAX_ALIASES];
    uint64_t since_ns;
    uint64_t faults;
    uint64_t window_start_ns; /* of the faults that count for the limit */
    unsigned window_faults;
    struct iommu_fault first, last;
    char why[64];
};

struct iommu_state {
    struct dmar_info dmar;
    struct iommu_options opt;
    bool ready, enabled, intremap;
    char reason[128]; /* why not ready; empty otherwise */
    unsigned max_order, address_bits;
    bool needs_writeback, needs_map_flush;
    struct iommu_hooks hooks;
    struct vtd_unit unit[IOMMU_MAX_UNITS]; /* dmar.nr_units of them */

    spinlock_t dev_lock; /* everything below, owners and use counts of domains */
    struct iommu_device dev[IOMMU_MAX_DEVICES];
    unsigned nr_devs;
    unsigned devs_dropped; /* faults of devices that found no room in the table */
    DECLARE_BITMAP(dids, IOMMU_MAX_DIDS);
    unsigned nr_dids; /* usable: what every unit has */
    struct iommu_fault history[IOMMU_FAULT_HISTORY];
    uint64_t nr_history; /* ever written */

    spinlock_t post_lock;      /* above the frame allocator's only */
    struct ir_post *post_pool; /* descriptors that nobody has; their frames stay for ever, for as many as were needed at a time */
};

extern struct iommu_state iommu;

/* The unit that translates the device, NULL for none. */
struct vtd_unit *iommu_unit_of(uint32_t sbdf);
/*
 * The device's record, made while there are fewer than `room` (0: never). NULL: unknown, or no
 * room. dev_lock held.
 */
struct iommu_device *iommu_find_device(uint32_t sbdf, unsigned room);
/* The id that the device's interrupt messages carry, with its segment. */
uint32_t iommu_msi_requester(uint32_t sbdf);
/* Quarantines all devices of units that have failed since the last call. No lock held. */
void iommu_check_units(void);
/*
 * Cuts the device off and notes why. dev_lock held; the caller then calls the quarantined hook
 * without it. 0 or -EIO, -ENOMEM: noted all the same, but the unit may still let it through.
 */
int iommu_quarantine_locked(struct iommu_device *dev, const char *why);
void iommu_call_quarantined(uint32_t sbdf, const char *why);

#endif
