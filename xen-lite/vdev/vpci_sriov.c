/* SPDX-License-Identifier: MIT */
/*
 * Virtual functions in the control domain: the registers of a physical function that make them, move them or end them, and a
 * virtual function's own command register. The control domain's kernel enables and places virtual functions as on bare
 * hardware. But while one of them is not its own, a guest's or about to be, nothing that would end it or move its memory
 * gets through: what a guest has mapped stays that function's memory.
 *
 * All functions: vpci->lock held.
 */
#include "vdev/vpci_sriov.h"

#include "lib/errno.h"
#include "vdev/pci_sriov.h"
#include "vdev/vpci_engine.h"

#define MEMORY_ON (PCI_SRIOV_VFE | PCI_SRIOV_MSE)

/* True: one of its virtual functions is not the control domain's; the refusal is on record. */
static bool in_use(struct vpci_dev *vd, const struct vpci_reg *reg, uint32_t val)
{
    return vpci_deny_for(vd, pci_vf_not_of(vd->pdev, vd->vpci->domain), DENY_SRIOV_IN_USE, reg, val,
                         "its virtual functions stay");
}

/* Its virtual functions are gone, or decode nothing any more: the control domain's lose their memory. */
static void all_off(struct vpci_dev *pf)
{
    struct vpci_dev *vd;

    list_for_each_entry (vd, &pf->vpci->devices, link) {
        if (vd->pdev->physfn != pf->pdev)
            continue;
        vpci_unmap_bars(vd);
        vd->pdev->decode = false;
    }
}

/* ---- a virtual function's own ---- */

void vpci_vf_update(struct vpci_dev *vd)
{
    struct pci_dev *pdev = vd->pdev;

    if (!vd->vpci->policy->maps_bars)
        return;
    if (!pci_decodes(pdev)) {
        vpci_unmap_bars(vd);
        pdev->decode = false;
        return;
    }
    pci_vf_set_memory(pdev);
    if (!vd->mapped) {
        pci_read_bars(pdev);
        pdev->decode = true;
        if (vpci_map_bars(vd))
            return;
    }
    /* Also if it was mapped before: a reset may have emptied its MSI-X table. */
    vpci_bars_online(vd);
}

static uint32_t vf_command_read(struct vpci_dev *vd, const struct vpci_reg *reg)
{
    return vpci_hw_read(vd, reg->offset, 2) & ~(uint32_t)PCI_COMMAND_MEMORY;
}

static void vf_command_write(struct vpci_dev *vd, const struct vpci_reg *reg, uint32_t val)
{
    vpci_hw_write(vd, reg->offset, 2, val | PCI_COMMAND_MEMORY);
    vpci_vf_update(vd);
}

int vpci_vf_init(struct vpci_dev *vd)
{
    static const struct vpci_reg command = { .offset = PCI_REG_COMMAND,
                                             .size = 2,
                                             .read = vf_command_read,
                                             .write = vf_command_write,
                                             .name = "command" };

    return vpci_add_reg(vd, &command);
}

/* ---- the physical function's ---- */

/* Sizes are found again whenever decoding comes on; memory is mapped when the control domain announces the functions. */
static void control_write(struct vpci_dev *vd, const struct vpci_reg *reg, uint32_t val)
{
    uint32_t old = vpci_hw_read(vd, reg->offset, 2);
    bool was_on = (old & MEMORY_ON) == MEMORY_ON, on = (val & MEMORY_ON) == MEMORY_ON;

    if ((old & ~val & MEMORY_ON) && in_use(vd, reg, val))
        return;
    /* It changes where they are (PCIe 5.0, 9.3.3.3.5). */
    if ((old & val & PCI_SRIOV_VFE) && ((old ^ val) & PCI_SRIOV_ARI)) {
        vpci_deny(vd, DENY_SRIOV_ON, reg->offset, val);
        return;
    }
    if (on && !was_on)
        pci_sriov_size(vd->pdev);
    vpci_hw_write(vd, reg->offset, 2, val);
    if (!on)
        all_off(vd);
}

/* Number and page size may change only while there are none (PCIe 5.0, 9.3.3.7 and 9.3.3.13). */
static void fixed_write(struct vpci_dev *vd, const struct vpci_reg *reg, uint32_t val)
{
    bool on = vpci_hw_read(vd, vd->pdev->cap_sriov + PCI_SRIOV_CONTROL, 2) & PCI_SRIOV_VFE;

    if (!on)
        vpci_hw_write(vd, reg->offset, reg->size, val);
    else if (val != vpci_hw_read(vd, reg->offset, reg->size))
        vpci_deny(vd, DENY_SRIOV_ON, reg->offset, val);
}

static void vf_bar_write(struct vpci_dev *vd, const struct vpci_reg *reg, uint32_t val)
{
    uint32_t control = vpci_hw_read(vd, vd->pdev->cap_sriov + PCI_SRIOV_CONTROL, 2);

    if ((control & MEMORY_ON) != MEMORY_ON)
        vpci_hw_write(vd, reg->offset, 4, val);
    else if (val != vpci_hw_read(vd, reg->offset, 4))
        vpci_deny(vd, DENY_BAR_DECODE_ON, reg->offset, val);
}

/* A reset of the physical function is the end of all virtual ones (PCIe 5.0, 9.2.2.3). */
static void devctl_write(struct vpci_dev *vd, const struct vpci_reg *reg, uint32_t val)
{
    if ((val & PCI_EXP_DEVCTL_FLR) && in_use(vd, reg, val))
        return;
    vpci_hw_write(vd, reg->offset, 2, val);
    if (val & PCI_EXP_DEVCTL_FLR)
        all_off(vd);
}

/* And so is what the way back from D3hot may do to it (PCIe 5.0, 9.6.2). */
static void power_write(struct vpci_dev *vd, const struct vpci_reg *reg, uint32_t val)
{
    if ((val & PCI_PM_STATE_MASK) && in_use(vd, reg, val))
        return;
    vpci_hw_write(vd, reg->offset, 2, val);
}

static int add(struct vpci_dev *vd, unsigned offset, unsigned size, const char *name,
               void (*write)(struct vpci_dev *vd, const struct vpci_reg *reg, uint32_t val))
{
    const struct vpci_reg reg = {
        .offset = (uint16_t)offset, .size = (uint8_t)size, .write = write, .name = name
    };

    return vpci_add_reg(vd, &reg);
}

int vpci_sriov_init(struct vpci_dev *vd)
{
    const struct pci_dev *pdev = vd->pdev;
    unsigned cap = pdev->cap_sriov;
    int rc;

    if (!cap || !vd->vpci->policy->maps_bars)
        return 0;
    rc = add(vd, cap + PCI_SRIOV_CONTROL, 2, "sriov-control", control_write);
    if (!rc)
        rc = add(vd, cap + PCI_SRIOV_NUM_VFS, 2, "sriov-number", fixed_write);
    if (!rc)
        rc = add(vd, cap + PCI_SRIOV_PAGE_SIZE, 4, "sriov-page-size", fixed_write);
    for (unsigned i = 0; i < PCI_MAX_BARS && !rc; i++)
        rc = add(vd, cap + PCI_SRIOV_BAR0 + i * 4, 4, "vf-bar", vf_bar_write);
    if (!rc)
        rc = add(vd, pdev->cap_pcie + PCI_EXP_DEVCTL, 2, "pcie-control", devctl_write);
    if (!rc && pdev->cap_pm)
        rc = vpci_add_reg(vd,
                          &(struct vpci_reg){ .offset = (uint16_t)(pdev->cap_pm + PCI_PM_CONTROL),
                                              .size = 2,
                                              .rw1c = PCI_PM_PME_STATUS,
                                              .write = power_write,
                                              .name = "power-control" });
    return rc;
}
