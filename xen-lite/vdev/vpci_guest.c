/* SPDX-License-Identifier: MIT */
/*
 * Physical functions in a guest: life cycle, and the registers that no row manages.
 */
#include "vdev/vpci_guest.h"

#include "include/xenlite/pci.h"
#include "lib/errno.h"
#include "vdev/pci_mmcfg.h"
#include "vdev/pci_sriov.h"
#include "vdev/vpci_engine.h"
#include "vdev/vroot.h"

/* ---- registers outside of the map ---- */

enum trap_result vpci_guest_read(struct vpci_dev *vd, unsigned reg, unsigned size, uint32_t *val)
{
    if (unlikely(vpci_guest_hidden(vd->guest, reg)))
        *val = 0;
    else if (likely(vd->config && size == 4))
        *val = mmcfg_read32(vd->config + reg);
    else
        *val = vpci_raw_read(vd->hw_sbdf, reg, size);
    return TRAP_DONE;
}

bool vpci_guest_may_write(struct vpci_dev *vd, unsigned reg, unsigned size, uint32_t val)
{
    (void)size;
    if (likely(!vpci_guest_hidden(vd->guest, reg)))
        return true;
    vpci_deny(vd, DENY_CONFIG_FILTERED, reg, val);
    return false;
}

/* ---- life cycle ---- */

struct vpci_dev *vpci_guest_find(struct vpci *vpci, uint32_t hw_sbdf)
{
    struct vpci_dev *vd;

    list_for_each_entry (vd, &vpci->devices, link)
        if (vd->hw_sbdf == hw_sbdf)
            return vd;
    return NULL;
}

static void note_hardware_bars(struct vpci_dev *vd)
{
    struct vpci_guest *g = vd->guest;

    pci_read_bars(vd->pdev);
    for (unsigned i = 0; i < vd->pdev->nr_bars; i++)
        g->hw[i] = vd->pdev->bar[i].addr;
    g->hw[VPCI_ROM] = vd->pdev->rom.addr;
}

/* As after reset: nothing decoded, no interrupt enabled. */
static void quiet(struct vpci_dev *vd)
{
    uint32_t cmd = vpci_hw_read(vd, PCI_REG_COMMAND, 2);

    cmd &= ~(uint32_t)(PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
    vpci_hw_write(vd, PCI_REG_COMMAND, 2, cmd);
    /* A virtual function decodes as long as its physical one says so. */
    vd->pdev->decode = vd->pdev->physfn && pci_decodes(vd->pdev);
}

static int init_registers(struct vpci_dev *vd)
{
    int rc = vpci_guest_header_init(vd);

    if (!rc)
        rc = vpci_cap_init(vd);
    if (!rc)
        rc = vpci_guest_caps_init(vd);
    return rc;
}

static void free_function(struct vpci_dev *vd)
{
    trap_defer_free(vd->guest);
    vpci_bury(vd);
}

static int make_function(struct vpci *vpci, struct pci_dev *pdev, unsigned slot, unsigned fn,
                         struct vpci_dev **out)
{
    struct vpci_dev *vd = trap_zalloc(sizeof(*vd));
    struct vpci_guest *g = trap_zalloc(sizeof(*g));
    int rc;

    if (!vd || !g) {
        trap_defer_free(vd);
        trap_defer_free(g);
        return -ENOMEM;
    }
    list_init(&vd->link);
    spin_lock_init(&vd->lock);
    vd->vpci = vpci;
    vd->pdev = pdev;
    vd->guest = g;
    vd->sbdf = VROOT_NOWHERE;
    vd->hw_sbdf = pdev->sbdf;
    vd->config = pci_conf_window(pdev->sbdf);
    g->slot = slot;
    g->fn = fn;
    pdev->owner = vpci->domain;
    quiet(vd);
    note_hardware_bars(vd);
    rc = init_registers(vd);
    if (rc)
        free_function(vd);
    else
        *out = vd;
    return rc;
}

static int attach_locked(struct vpci *vpci, struct pci_dev *pdev, unsigned slot, unsigned fn)
{
    struct vpci_dev *vd = NULL;
    int rc;

    if (pdev->hidden)
        return -EPERM;
    if (pdev->owner)
        return -EBUSY;
    if (pdev->physfn && !pci_decodes(pdev))
        return -ENXIO;
    if (vroot_place_taken(vpci->root, slot, fn))
        return -EEXIST;
    rc = make_function(vpci, pdev, slot, fn, &vd);
    if (rc)
        return rc;
    list_add_tail(&vd->link, &vpci->devices);
    vpci->nr_devices++;
    vroot_insert(vpci->root, vd);
    return 0;
}

int vpci_guest_attach(struct domain *d, uint32_t hw_sbdf, unsigned slot, unsigned fn)
{
    struct vpci *vpci = domain_vpci(d);
    struct pci_dev *pdev = pci_find(hw_sbdf);
    int rc;

    if (!pdev || !vpci->root)
        return -ENODEV;
    if (!slot || slot > XENLITE_PCI_NR_SLOTS || fn >= XENLITE_PCI_SLOT_FUNCTIONS ||
        pdev->header != PCI_HEADER_NORMAL)
        return -EINVAL;
    spin_lock(&vpci->lock);
    rc = attach_locked(vpci, pdev, slot, fn);
    spin_unlock(&vpci->lock);
    return rc;
}

static void detach_locked(struct vpci *vpci, struct vpci_dev *vd)
{
    vroot_remove(vpci->root, vd);
    list_del(&vd->link);
    vpci->nr_devices--;
    vpci_guest_ranges_off(vd, true);
    vpci_guest_ranges_off(vd, false);
    quiet(vd);
    /* A reset by the guest may have lost them. */
    vpci_guest_restore_bars(vd);
    free_function(vd);
}

int vpci_guest_detach(struct domain *d, uint32_t hw_sbdf)
{
    struct vpci *vpci = domain_vpci(d);
    struct vpci_dev *vd;

    if (!vpci->root)
        return -ENODEV;
    spin_lock(&vpci->lock);
    vd = vpci_guest_find(vpci, hw_sbdf);
    if (vd)
        detach_locked(vpci, vd);
    spin_unlock(&vpci->lock);
    return vd ? 0 : -ENODEV;
}
