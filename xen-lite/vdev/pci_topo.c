/* SPDX-License-Identifier: MIT */
/*
 * Bridges, requester ids and groups, see pci_topo.h. Groups are made by uniting: each rule unites a bridge with all that is
 * behind it, or the functions of a device; what is united has the one with the lowest address as its leader.
 */
#include "vdev/pci_topo.h"

#include "mm/heap.h"

/* ---- bridges ---- */

struct above {
    uint32_t sbdf;
    struct pci_dev *found;
    uint8_t secondary;
};

static int look_above(struct pci_dev *dev, void *arg)
{
    struct above *a = arg;
    uint8_t secondary, subordinate;

    if (dev->header == PCI_HEADER_NORMAL || PCI_SEG(dev->sbdf) != PCI_SEG(a->sbdf) ||
        !pci_bridge_buses(dev, &secondary, &subordinate))
        return 0;
    if (PCI_BUS(a->sbdf) < secondary || PCI_BUS(a->sbdf) > subordinate || secondary <= a->secondary)
        return 0;
    a->found = dev;
    a->secondary = secondary;
    return 0;
}

struct pci_dev *pci_bridge_above(const struct pci_dev *dev)
{
    struct above a = { .sbdf = dev->sbdf };

    pci_for_each(look_above, &a);
    return a.found;
}

static bool is_port(const struct pci_dev *dev)
{
    return dev->pcie_type == PCIE_ROOT_PORT || dev->pcie_type == PCIE_UPSTREAM ||
           dev->pcie_type == PCIE_DOWNSTREAM;
}

bool pci_is_alias_bridge(const struct pci_dev *dev)
{
    return dev->header != PCI_HEADER_NORMAL && !is_port(dev);
}

unsigned pci_aliases(const struct pci_dev *dev, uint16_t rid[IOMMU_MAX_ALIASES])
{
    const struct pci_dev *bridge = dev;
    unsigned nr = 0;

    /* Each step goes to a lower bus. */
    while ((bridge = pci_bridge_above(bridge))) {
        uint8_t secondary, subordinate;
        uint16_t id = (uint16_t)bridge->sbdf;

        if (!pci_is_alias_bridge(bridge))
            continue;
        /* A PCI Express to PCI bridge takes its secondary bus and number 0; all others their own. */
        if (bridge->pcie_type == PCIE_TO_PCI_BRIDGE &&
            pci_bridge_buses(bridge, &secondary, &subordinate))
            id = (uint16_t)(secondary << 8);
        /* The topmost ones are those that a unit can see; there is room for four of them. */
        if (nr == IOMMU_MAX_ALIASES) {
            for (unsigned i = 1; i < nr; i++)
                rid[i - 1] = rid[i];
            nr--;
        }
        rid[nr++] = id;
    }
    /* The device at number 0 behind such a bridge has that id itself. */
    if (nr == 1 && rid[0] == (uint16_t)dev->sbdf)
        nr = 0;
    return nr;
}

int pci_dma_attach(struct iommu_domain *d, const struct pci_dev *dev)
{
    uint16_t rid[IOMMU_MAX_ALIASES];
    int rc;

    if (pci_is_alias_bridge(dev))
        return 0;
    rc = iommu_set_aliases(dev->sbdf, rid, pci_aliases(dev, rid));
    return rc ? rc : iommu_attach(d, dev->sbdf);
}

/* ---- access control ---- */

void pci_enable_acs(const struct pci_dev *dev)
{
    uint16_t pos = pci_find_ext_cap(dev->sbdf, PCI_EXT_CAP_ACS);
    uint32_t control, want;

    if (!pos || pos + PCI_ACS_CONTROL + 2 > PCI_CFG_EXT_SIZE)
        return;
    control = pci_conf_read(dev->sbdf, pos + PCI_ACS_CONTROL, 2);
    want = control | (pci_conf_read(dev->sbdf, pos + PCI_ACS_CAP, 2) & PCI_ACS_WANTED);
    if (want != control)
        pci_conf_write(dev->sbdf, pos + PCI_ACS_CONTROL, 2, want);
}

/*
 * A function without the capability promises nothing. With it, a protection that it does not list is either always there or
 * not needed (PCIe 5.0, 6.12.1.1), and one that it lists must be on.
 */
static bool has_acs(const struct pci_dev *dev)
{
    uint16_t pos = dev->cap_pcie ? pci_find_ext_cap(dev->sbdf, PCI_EXT_CAP_ACS) : 0;
    uint32_t cap;

    /*
     * A device whose virtual functions can reach others inside of it must have the capability in them (PCIe 5.0, 6.12.1.2).
     * They are made for being apart, so that they are believed this, while other functions without it are not.
     */
    if (!pos && dev->physfn)
        return true;
    if (!pos || pos + PCI_ACS_CONTROL + 2 > PCI_CFG_EXT_SIZE)
        return false;
    cap = pci_conf_read(dev->sbdf, pos + PCI_ACS_CAP, 2) & PCI_ACS_WANTED;
    return (pci_conf_read(dev->sbdf, pos + PCI_ACS_CONTROL, 2) & cap) == cap;
}

/* ---- groups ---- */

static int add_node(struct pci_dev *dev, void *arg)
{
    struct pci_topology *t = arg;
    struct pci_node *n = &t->node[t->nr];

    if (t->nr == PCI_MAX_DEVICES)
        return 1;
    n->dev = dev;
    n->via = ~0u;
    n->leader = (uint16_t)t->nr;
    n->why = PCI_GROUP_SELF;
    n->acs = has_acs(dev);
    pci_bridge_buses(dev, &n->secondary, &n->subordinate);
    t->nr++;
    return 0;
}

static unsigned leader_of(struct pci_topology *t, unsigned i)
{
    while (t->node[i].leader != i) {
        /* Paths are halved on the way, so that chains stay short. */
        t->node[i].leader = t->node[t->node[i].leader].leader;
        i = t->node[i].leader;
    }
    return i;
}

static void explain(struct pci_node *n, enum pci_group_why why, uint32_t via)
{
    if (n->why != PCI_GROUP_SELF)
        return;
    n->why = (uint8_t)(n->secondary && why != PCI_GROUP_MULTIFUNCTION ? PCI_GROUP_BRIDGE : why);
    n->via = via;
}

static void unite(struct pci_topology *t, unsigned i, unsigned k, enum pci_group_why why,
                  uint32_t via)
{
    unsigned a = leader_of(t, i), b = leader_of(t, k);

    explain(&t->node[i], why, via);
    explain(&t->node[k], why, via);
    if (t->node[a].dev->sbdf < t->node[b].dev->sbdf)
        t->node[b].leader = (uint16_t)a;
    else
        t->node[a].leader = (uint16_t)b;
}

static bool is_behind(const struct pci_node *bridge, const struct pci_node *n)
{
    return bridge->secondary && PCI_SEG(bridge->dev->sbdf) == PCI_SEG(n->dev->sbdf) &&
           PCI_BUS(n->dev->sbdf) >= bridge->secondary && PCI_BUS(n->dev->sbdf) <= bridge->subordinate;
}

/* Unites with `head` all that is behind the bridge, and the bridge itself. */
static void unite_behind(struct pci_topology *t, unsigned head, unsigned bridge,
                         enum pci_group_why why)
{
    uint32_t via = t->node[bridge].dev->sbdf;

    unite(t, head, bridge, why, via);
    for (unsigned k = 0; k < t->nr; k++)
        if (k != bridge && is_behind(&t->node[bridge], &t->node[k]))
            unite(t, head, k, why, via);
}

/*
 * Requests between functions of a device need not leave it. Bridges among them bring along what is behind them: it can be
 * reached, or reaches others, in the same way.
 */
static void group_functions(struct pci_topology *t, unsigned i)
{
    for (unsigned k = 0; k < t->nr; k++) {
        struct pci_node *a = &t->node[i], *b = &t->node[k];

        if (k == i || (a->dev->sbdf ^ b->dev->sbdf) >> 3)
            continue;
        a->multi = b->multi = true;
        if (k < i || (a->acs && b->acs) || a->dev->physfn || b->dev->physfn)
            continue;
        unite(t, i, k, PCI_GROUP_MULTIFUNCTION, ~0u);
        if (a->secondary)
            unite_behind(t, i, i, PCI_GROUP_MULTIFUNCTION);
        if (b->secondary)
            unite_behind(t, i, k, PCI_GROUP_MULTIFUNCTION);
    }
}

/* Also on other buses or above function 7. One that sends nothing up to the root may reach its physical one, and that others. */
static void group_virtual(struct pci_topology *t, unsigned i)
{
    const struct pci_node *n = &t->node[i];
    unsigned k = n->dev->physfn && !n->acs ? pci_node_of(t, n->dev->physfn->sbdf) : PCI_NO_NODE;

    if (k != PCI_NO_NODE)
        unite(t, i, k, PCI_GROUP_MULTIFUNCTION, ~0u);
}

/*
 * A downstream port that does not send requests from below up to the root passes them to its sister ports: with them, all
 * behind the switch's upstream port is within reach.
 */
static void group_switch(struct pci_topology *t, unsigned port)
{
    struct pci_dev *up = pci_bridge_above(t->node[port].dev);
    unsigned i = up ? pci_node_of(t, up->sbdf) : PCI_NO_NODE;

    unite_behind(t, port, i == PCI_NO_NODE ? port : i, PCI_GROUP_ACS);
}

static void group_behind(struct pci_topology *t, unsigned i)
{
    struct pci_node *n = &t->node[i];

    if (!n->secondary)
        return;
    if (pci_is_alias_bridge(n->dev))
        unite_behind(t, i, i, PCI_GROUP_ALIAS);
    else if (n->dev->pcie_type == PCIE_DOWNSTREAM && !n->acs)
        group_switch(t, i);
    else if (n->dev->pcie_type == PCIE_ROOT_PORT && !n->acs)
        unite_behind(t, i, i, PCI_GROUP_ACS);
}

unsigned pci_node_of(const struct pci_topology *t, uint32_t sbdf)
{
    for (unsigned i = 0; i < t->nr; i++)
        if (t->node[i].dev->sbdf == sbdf)
            return i;
    return PCI_NO_NODE;
}

struct pci_topology *pci_topology(void)
{
    struct pci_topology *t = xzalloc(sizeof(*t) + PCI_MAX_DEVICES * sizeof(t->node[0]));

    if (!t)
        return NULL;
    pci_for_each(add_node, t);
    for (unsigned i = 0; i < t->nr; i++) {
        group_functions(t, i);
        group_virtual(t, i);
        group_behind(t, i);
    }
    for (unsigned i = 0; i < t->nr; i++)
        t->node[i].leader = (uint16_t)leader_of(t, i);
    return t;
}
