/* SPDX-License-Identifier: MIT */
/*
 * From the name of a message to the capability or table entry that it is in.
 */
#include "vdev/msi_bind.h"

#include "irq/girq.h"
#include "lib/errno.h"
#include "vdev/vmsi.h"
#include "vdev/vmsix.h"
#include "vdev/vpci.h"

/* Destination, redirection hint, destination mode; vector, delivery mode, trigger mode (Intel SDM vol. 3, 11.11). */
#define ADDR_MEANS 0xfffffffffffff00cULL
#define DATA_MEANS 0x87ffu

struct vpci_dev *msi_function(const struct vpci *vpci, uint32_t hw_sbdf)
{
    struct vpci_dev *vd;

    list_for_each_entry (vd, &vpci->devices, link)
        if (vd->hw_sbdf == hw_sbdf && hw_sbdf != DENY_NO_DEVICE)
            return vd;
    return NULL;
}

static bool has(const struct vpci_dev *vd, const struct msi_name *name)
{
    return name->msix ? vd->msix && name->entry < vd->msix->nr : vd->msi != NULL;
}

/* The function with its locks taken, or NULL. */
static struct vpci_dev *lock_function(struct domain *d, const struct msi_name *name)
{
    struct vpci *vpci = domain_vpci(d);
    struct vpci_dev *vd;

    spin_lock(&vpci->lock);
    vd = msi_function(vpci, name->hw_sbdf);
    if (vd && has(vd, name)) {
        spin_lock(&vd->lock);
        return vd;
    }
    spin_unlock(&vpci->lock);
    return NULL;
}

static void unlock_function(struct vpci_dev *vd)
{
    struct vpci *vpci = vd->vpci;

    spin_unlock(&vd->lock);
    spin_unlock(&vpci->lock);
}

static bool means_the_same(uint64_t addr, uint32_t data, uint64_t addr2, uint32_t data2)
{
    return !((addr ^ addr2) & ADDR_MEANS) && !((data ^ data2) & DATA_MEANS);
}

int msi_exists(struct domain *d, const struct msi_name *name)
{
    struct vpci_dev *vd = lock_function(d, name);

    if (!vd)
        return -ENODEV;
    unlock_function(vd);
    return 0;
}

/* As the guest has it now. Locks held. */
static void guest_message(const struct vpci_dev *vd, const struct msi_name *name, uint64_t *addr,
                          uint32_t *data)
{
    *addr = name->msix ? vd->msix->entry[name->entry].address : vd->msi->address;
    *data = name->msix ? vd->msix->entry[name->entry].data : vd->msi->data;
}

static int bind_locked(struct vpci_dev *vd, const struct msi_name *name, uint64_t addr, uint32_t data)
{
    uint64_t has_addr;
    uint32_t has_data;

    guest_message(vd, name, &has_addr, &has_data);
    if (!means_the_same(addr, data, has_addr, has_data))
        return -ESTALE;
    if (!vapic_msi_possible(vd->vpci->domain, has_addr, has_data))
        return -EINVAL;
    return name->msix ? vmsix_bind(vd, name->entry, has_addr, has_data) : vmsi_bind(vd, has_addr, has_data);
}

int msi_bind(struct domain *d, const struct msi_name *name, uint64_t addr, uint32_t data)
{
    struct vpci_dev *vd = lock_function(d, name);
    int rc;

    if (!vd)
        return -ENODEV;
    rc = bind_locked(vd, name, addr, data);
    unlock_function(vd);
    return rc;
}

int msi_unbind(struct domain *d, const struct msi_name *name)
{
    struct vpci_dev *vd = lock_function(d, name);

    if (!vd)
        return -ENODEV;
    if (name->msix)
        vmsix_unbind(vd, name->entry);
    else
        vmsi_unbind(vd);
    unlock_function(vd);
    return 0;
}
