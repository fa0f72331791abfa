/* SPDX-License-Identifier: MIT */
/*
 * Buses of simulated functions for tests of groups, resets and hand-overs: configuration space that knows what a reset does,
 * a clock that the test moves, and stand-ins for vPCI and IOMMU that write down what they are asked, in order.
 */
#ifndef XL_TESTS_PT_RIG_H
#define XL_TESTS_PT_RIG_H

#include "domain/domain.h"
#include "domain/passthrough.h"
#include "vdev/pci_topo.h"

#define RIG_MAX_FUNCTIONS 64

struct rig_fn {
    uint32_t sbdf;
    bool present;
    uint8_t cfg[PCI_CFG_EXT_SIZE], wr[PCI_CFG_EXT_SIZE];
    unsigned ecap_end;           /* where the next extended capability goes */
    unsigned flr, pm, bus;       /* resets by kind */
    uint64_t dead_until_ns;      /* shows nothing before */
    bool retries;                /* while it is dead it shows vendor 1 */
    uint64_t ready_ns;           /* how long it is dead after a reset */
    bool never;                  /* does not come back at all */
    bool stuck;                  /* requests stay pending */
    bool reset_decoding;         /* it was reset while decoding or mastering */
};

void rig_begin(void);
void rig_end(void);

/* A function with a memory BAR of 4 KiB, without capabilities. Addresses as in PCI_SBDF(0, bus, dev, fn). */
struct rig_fn *rig_add(unsigned bus, unsigned dev, unsigned fn);
struct rig_fn *rig_bridge(unsigned bus, unsigned dev, unsigned fn, unsigned secondary,
                          unsigned subordinate);
struct rig_fn *rig_of(uint32_t sbdf);
unsigned rig_cap(struct rig_fn *f, uint8_t id, unsigned len);
unsigned rig_express(struct rig_fn *f, enum pcie_type type, bool flr);
/* Access control that can be turned on, and is if `on`. */
void rig_acs(struct rig_fn *f, bool on);
void rig_pm(struct rig_fn *f, bool soft_reset);
void rig_af(struct rig_fn *f);
void rig_msix(struct rig_fn *f, unsigned nr, uint32_t table, uint32_t pba);
/* `nr` virtual functions of f right behind it, enabled, with a BAR of 4 KiB and a reset. They are there after rig_find_vfs(). */
void rig_sriov(struct rig_fn *f, unsigned nr);
/* Finds them, and gives them to the control domain. */
void rig_find_vfs(uint32_t physfn, unsigned nr);
uint32_t rig_get(const struct rig_fn *f, unsigned reg, unsigned size);
void rig_set(struct rig_fn *f, unsigned reg, unsigned size, uint32_t val);
void rig_multi(struct rig_fn *f);
/* Scans, and gives everything to the control domain. */
void rig_boot(void);
struct pci_dev *rig_dev(uint32_t sbdf);

/* Domains: 0 is the control domain; others have a root if `root`. */
struct domain *rig_domain(uint16_t domid, bool root);

/* What was asked of the stand-ins, one word each with a space after it: "remove:0100 detach:0100 ..."; emptied by the call. */
const char *rig_log(void);

/* Behaviour of the stand-ins. */
extern bool rig_iommu_on, rig_intremap_on;
extern uint8_t rig_address_bits;
extern bool rig_unit_failed, rig_no_unit;
extern uint32_t rig_rmrr;       /* function with reserved memory, 0: none */
extern int rig_guest_attach_fails; /* the n-th from now, 1: the next */
extern int rig_iommu_attach_fails;
extern unsigned rig_free_slot;  /* 0: all are occupied */
extern bool rig_slot_taken;
extern paddr_t rig_reserved;    /* a page that no BAR may lie over */

/* Runs the request to its end, moving the clock; -EAGAINs are counted. */
struct pt_result rig_run(const struct pt_request *req, unsigned *waits);

#endif
