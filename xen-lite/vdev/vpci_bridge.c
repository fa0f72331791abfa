/* SPDX-License-Identifier: MIT */
/*
 * Bridges in the control domain: what of their registers reaches functions behind them. The control domain's kernel sets
 * bridges up as on bare hardware. But while a function behind one is not its own, a guest's or about to be, nothing gets
 * through that would reset that function, cut it off, move it or let others reach it past the IOMMU: of such a write only
 * these bits are dropped, so that the rest of the register stays the kernel's. A write that changes none of them is always
 * let through. The hypervisor's own resets (vdev/pci_reset.c) do not come by here.
 *
 * All functions: vpci->lock held.
 */
#include "lib/errno.h"
#include "lib/printf.h"
#include "vdev/vpci_engine.h"

/* reg->index of a guarded register: which changes of the bits in reg->value count. */
enum guard {
    GUARD_ANY,
    GUARD_SET,
    GUARD_CLEARED,
};

struct search {
    const struct domain *owner;
    struct pci_dev *found;
    uint32_t segment;
    uint8_t first, last;
};

/* Nobody's functions count only while they are held: others the control domain has not got yet. */
static int not_of(struct pci_dev *dev, void *arg)
{
    struct search *s = arg;
    unsigned bus = PCI_BUS(dev->sbdf);

    if (PCI_SEG(dev->sbdf) != s->segment || bus < s->first || bus > s->last)
        return 0;
    if (!READ_ONCE(dev->held) && (!dev->owner || dev->owner == s->owner))
        return 0;
    s->found = dev;
    return 1;
}

struct pci_dev *vpci_behind_not_of(const struct pci_dev *bridge, const struct domain *owner)
{
    struct search s = { .owner = owner, .segment = PCI_SEG(bridge->sbdf) };

    if (pci_bridge_buses(bridge, &s.first, &s.last))
        pci_for_each(not_of, &s);
    return s.found;
}

static bool in_use(struct vpci_dev *vd, const struct vpci_reg *reg, uint32_t val)
{
    return vpci_deny_for(vd, vpci_behind_not_of(vd->pdev, vd->vpci->domain), DENY_BRIDGE_IN_USE,
                         reg, val, "this bridge and what is behind it stay");
}

/* `val` without the changes of `bits` that are refused. */
static uint32_t filter(struct vpci_dev *vd, const struct vpci_reg *reg, uint32_t val, uint32_t bits,
                       enum guard guard)
{
    uint32_t old = vpci_hw_read(vd, reg->offset, reg->size), changed = (old ^ val) & bits;

    if (guard != GUARD_ANY)
        changed &= guard == GUARD_SET ? val : old;
    return changed && in_use(vd, reg, val) ? val ^ changed : val;
}

static void guarded_write(struct vpci_dev *vd, const struct vpci_reg *reg, uint32_t val)
{
    val = filter(vd, reg, val, reg->value, (enum guard)reg->index);
    vpci_hw_write(vd, reg->offset, reg->size, val);
}

/* The hypervisor's own reset of the bus may begin or end at any moment, and its bit is not the control domain's then. */
static void control_write(struct vpci_dev *vd, const struct vpci_reg *reg, uint32_t val)
{
    struct pci_dev *bridge = vd->pdev;

    spin_lock(&bridge->command_lock);
    if (bridge->bus_reset)
        val |= PCI_BRIDGE_RESET;
    else
        val = filter(vd, reg, val, PCI_BRIDGE_RESET, GUARD_SET);
    vpci_hw_write(vd, reg->offset, 2, val);
    spin_unlock(&bridge->command_lock);
}

/* A bridge forwards nothing down without the first two, and nothing up without the third (PCI-to-PCI Bridge 1.2, 3.2.4.3). */
uint32_t vpci_bridge_command(struct vpci_dev *vd, const struct vpci_reg *reg, uint32_t val)
{
    if (vd->pdev->header != PCI_HEADER_BRIDGE)
        return val;
    return filter(vd, reg, val, PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER,
                  GUARD_CLEARED);
}

/*
 * Two registers in one place are a bridge that says nonsense about itself. It is the control domain's all the same, and who came
 * first watches over the place.
 */
static int add(struct vpci_dev *vd, const struct vpci_reg *reg)
{
    int rc = vpci_add_reg(vd, reg);

    if (rc != -EEXIST)
        return rc;
    pr_warn("pci " PCI_FMT ": its capabilities overlap at register %#x, which is not guarded as %s",
            PCI_ARG(vd->sbdf), reg->offset, reg->name);
    return 0;
}

static int guard(struct vpci_dev *vd, unsigned offset, unsigned size, enum guard kind,
                 uint32_t bits, const char *name)
{
    const struct vpci_reg reg = { .offset = (uint16_t)offset,
                                  .size = (uint8_t)size,
                                  .index = (uint8_t)kind,
                                  .value = bits,
                                  .write = guarded_write,
                                  .name = name };

    return add(vd, &reg);
}

static int guard_exp(struct vpci_dev *vd, unsigned reg, enum guard kind, uint32_t bits,
                     const char *name)
{
    return pci_has_exp(vd->pdev, reg) ? guard(vd, vd->pdev->cap_pcie + reg, 2, kind, bits, name)
                                      : 0;
}

/* The secondary bus number is fixed by whatever is known behind the bridge: vdev/vpci_header.c. */
static int guard_header(struct vpci_dev *vd)
{
    static const struct {
        uint8_t offset, size;
        uint32_t bits;
        const char *name;
    } rows[] = {
        { PCI_REG_PRIMARY_BUS, 1, 0xff, "primary-bus" },
        { PCI_REG_SUBORD_BUS, 1, 0xff, "subordinate-bus" },
        { PCI_REG_IO_WINDOW, 2, PCI_IO_WINDOW_MASK, "bridge-window" },
        { PCI_REG_MEM_WINDOW, 4, PCI_MEM_WINDOW_MASK, "bridge-window" },
        { PCI_REG_PREF_WINDOW, 4, PCI_MEM_WINDOW_MASK, "bridge-window" },
        { PCI_REG_PREF_BASE_HI, 4, ~0u, "bridge-window" },
        { PCI_REG_PREF_LIMIT_HI, 4, ~0u, "bridge-window" },
        { PCI_REG_IO_WINDOW_HI, 4, ~0u, "bridge-window" },
    };
    const struct vpci_reg control = { .offset = PCI_REG_BRIDGE_CONTROL,
                                      .size = 2,
                                      .rw1c = PCI_BRIDGE_DISCARDED,
                                      .write = control_write,
                                      .name = "bridge-control" };
    int rc = vpci_add_reg(vd, &control);

    for (unsigned i = 0; i < ARRAY_SIZE(rows) && !rc; i++)
        rc = guard(vd, rows[i].offset, rows[i].size, GUARD_ANY, rows[i].bits, rows[i].name);
    return rc;
}

/* Ports whose link is behind them. The power controller's bit and the interlock's are there only with a slot. */
static int guard_link(struct vpci_dev *vd)
{
    static const struct {
        uint8_t reg;
        uint32_t bits;
        const char *name;
    } rows[] = {
        { PCI_EXP_LNKCTL, PCI_EXP_LNKCTL_DISABLE, "link-control" },
        { PCI_EXP_LNKCTL2, PCI_EXP_LNKCTL2_COMPLIANCE, "link-control-2" },
        { PCI_EXP_SLTCTL, PCI_EXP_SLTCTL_POWER_OFF | PCI_EXP_SLTCTL_INTERLOCK, "slot-control" },
    };
    const struct pci_dev *pdev = vd->pdev;
    unsigned dpc;
    int rc = 0;

    if (pdev->pcie_type != PCIE_ROOT_PORT && pdev->pcie_type != PCIE_DOWNSTREAM &&
        pdev->pcie_type != PCI_TO_PCIE_BRIDGE)
        return 0;
    for (unsigned i = 0; i < ARRAY_SIZE(rows) && !rc; i++)
        rc = guard_exp(vd, rows[i].reg, GUARD_SET, rows[i].bits, rows[i].name);
    dpc = pci_find_ext_cap(pdev->sbdf, PCI_EXT_CAP_DPC);
    if (!rc && dpc && dpc + PCI_DPC_CONTROL + 2 <= PCI_CFG_EXT_SIZE)
        rc = guard(vd, dpc + PCI_DPC_CONTROL, 2, GUARD_SET, PCI_DPC_TRIGGER, "containment-control");
    return rc;
}

/* In a sleeping state a bridge forwards nothing (PCI Bus Power Management 1.2, 4.7.1). Waking up is always possible. */
static int guard_power(struct vpci_dev *vd)
{
    const struct vpci_reg control = { .offset = (uint16_t)(vd->pdev->cap_pm + PCI_PM_CONTROL),
                                      .size = 2,
                                      .rw1c = PCI_PM_PME_STATUS,
                                      .index = GUARD_SET,
                                      .value = PCI_PM_STATE_MASK,
                                      .write = guarded_write,
                                      .name = "power-control" };

    if (!vd->pdev->cap_pm)
        return 0;
    return add(vd, &control);
}

int vpci_bridge_init(struct vpci_dev *vd)
{
    const struct pci_dev *pdev = vd->pdev;
    unsigned acs;
    int rc;

    if (pdev->header != PCI_HEADER_BRIDGE || !vd->vpci->policy->maps_bars)
        return 0;
    rc = guard_header(vd);
    /* A packet that is larger than a port on its way takes is malformed, for both ends of the link (PCIe 5.0, 2.2.2). */
    if (!rc)
        rc = guard_exp(vd, PCI_EXP_DEVCTL, GUARD_ANY, PCI_EXP_DEVCTL_PAYLOAD, "device-control");
    if (!rc && pdev->cap_pcie)
        rc = guard_link(vd);
    if (!rc)
        rc = guard_power(vd);
    acs = pdev->cap_pcie ? pci_find_ext_cap(pdev->sbdf, PCI_EXT_CAP_ACS) : 0;
    if (!rc && acs && acs + PCI_ACS_CONTROL + 2 <= PCI_CFG_EXT_SIZE)
        rc = guard(vd, acs + PCI_ACS_CONTROL, 2, GUARD_CLEARED, PCI_ACS_WANTED, "acs-control");
    return rc;
}
