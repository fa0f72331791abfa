/* SPDX-License-Identifier: MIT */
/*
 * How physical functions hang together: the bridge above each, the requester ids that an IOMMU sees for its requests, and
 * groups of functions that can reach one another without passing the IOMMU, or that it cannot tell apart, and which
 * therefore have one owner. All of it is read from configuration space each time it is asked for, because the control
 * domain numbers buses and sets up ACS; whatever the registers say, the work is bounded by the number of functions.
 *
 * No locks of its own; callers are serialised with the removal of functions (see pci_for_each()).
 */
#ifndef XL_VDEV_PCI_TOPO_H
#define XL_VDEV_PCI_TOPO_H

#include "iommu/iommu.h"
#include "vdev/pci.h"

/* The innermost bridge with the function's bus behind it; NULL on a root bus. */
struct pci_dev *pci_bridge_above(const struct pci_dev *dev);
/* Conventional PCI on the far side: it issues requests of those behind it under an id of its own. */
bool pci_is_alias_bridge(const struct pci_dev *dev);

/*
 * Requester ids beside its own that requests of the function can carry (PCI Express to PCI Bridge 1.0, 2.3; VT-d 3.4.1), from
 * the function upwards; the last is the one that interrupt messages carry. Returns how many.
 */
unsigned pci_aliases(const struct pci_dev *dev, uint16_t rid[IOMMU_MAX_ALIASES]);

/*
 * Gives the function's DMA, with all its requester ids, to the domain: what everybody calls instead of iommu_attach() for a
 * function. 0 for bridges whose id belongs to those behind them: they keep it. Errors of iommu_attach().
 */
int pci_dma_attach(struct iommu_domain *d, const struct pci_dev *dev);

/* Turns access control on wherever ports and functions have it (PCIe 5.0, 6.12), so that requests pass the IOMMU. */
void pci_enable_acs(const struct pci_dev *dev);

/* Why a function is in the group it is in; numbers of xenlite/pci.h. */
enum pci_group_why {
    PCI_GROUP_SELF = 0,
    PCI_GROUP_MULTIFUNCTION,
    PCI_GROUP_ACS,
    PCI_GROUP_ALIAS,
    PCI_GROUP_BUS,
    PCI_GROUP_BRIDGE,
};

#define PCI_NO_NODE 0xffffu

struct pci_node {
    struct pci_dev *dev;
    uint32_t via;                   /* the bridge that ties it to the group; 0xffffffff: none */
    uint16_t leader;                /* index of the group's function with the lowest address */
    uint8_t why;                    /* enum pci_group_why */
    uint8_t secondary, subordinate; /* buses behind it, 0: no bridge */
    bool multi;                     /* one of several functions of its device */
    bool acs;                       /* requests of other functions, or from below, go up to the IOMMU */
};

struct pci_topology {
    unsigned nr;
    struct pci_node node[];
};

/* All functions with their groups; to be freed with xfree(). NULL: no memory. */
struct pci_topology *pci_topology(void);
/* Index of a function; PCI_NO_NODE. */
unsigned pci_node_of(const struct pci_topology *t, uint32_t sbdf);
static inline bool pci_same_group(const struct pci_topology *t, unsigned i, unsigned k)
{
    return t->node[i].leader == t->node[k].leader;
}

#endif
