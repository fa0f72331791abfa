/* SPDX-License-Identifier: MIT */
/*
 * What is known of physical functions, for people and programs: owner, group, interrupts, memory, ways to reset.
 */
#include "domain/domain.h"
#include "domain/passthrough.h"
#include "lib/errno.h"
#include "lib/string.h"
#include "mm/heap.h"
#include "vdev/pci_sriov.h"
#include "vdev/vintx.h"

_Static_assert((unsigned)XENLITE_PCI_RESET_flr == PCI_RESET_FLR &&
                   (unsigned)XENLITE_PCI_RESET_bus == PCI_RESET_BUS,
               "one numbering");
_Static_assert((unsigned)XENLITE_PCI_WHY_multifunction == PCI_GROUP_MULTIFUNCTION &&
                   (unsigned)XENLITE_PCI_WHY_bridge == PCI_GROUP_BRIDGE,
               "one numbering");
_Static_assert((unsigned)XENLITE_PCI_BAR_io == PCI_BAR_IO &&
                   (unsigned)XENLITE_PCI_BAR_rom == PCI_BAR_ROM,
               "one numbering");

uint16_t pt_owner(const struct pci_dev *pdev)
{
    if (pdev->hidden)
        return XENLITE_PCI_HYPERVISOR;
    return pdev->owner ? pdev->owner->domid : XENLITE_PCI_NOBODY;
}

struct pt_function *pt_function_of(const struct domain *d, const struct pci_dev *pdev)
{
    struct pt_function *f;

    if (d->control)
        return NULL;
    list_for_each_entry (f, &d->pt.functions, link)
        if (f->pdev == pdev)
            return f;
    return NULL;
}

uint16_t pt_group_name(const struct pci_topology *t, unsigned n)
{
    return (uint16_t)t->node[t->node[n].leader].dev->sbdf;
}

/* ---- owner, place, state ---- */

static uint32_t flags_of(const struct pci_dev *pdev)
{
    uint32_t cmd = pci_conf_read(pdev->sbdf, PCI_REG_COMMAND, 2), flags = 0;
    const struct pt_function *f = pdev->owner ? pt_function_of(pdev->owner, pdev) : NULL;

    flags |= pt_is_endpoint(pdev) ? 0 : XENLITE_PCI_IS_BRIDGE;
    flags |= pci_decodes(pdev) ? XENLITE_PCI_DECODES : 0;
    flags |= pdev->physfn ? XENLITE_PCI_IS_VIRTUAL : 0;
    flags |= cmd & PCI_COMMAND_MASTER ? XENLITE_PCI_MASTERS : 0;
    flags |= pt_moving(pdev) ? XENLITE_PCI_MOVING : 0;
    flags |= f && f->permissive ? XENLITE_PCI_IS_PERMISSIVE : 0;
    flags |= iommu_enabled() && iommu_unit_for(pdev->sbdf) >= 0 ? XENLITE_PCI_TRANSLATED : 0;
    flags |= iommu_intremap() && iommu_unit_for(pdev->sbdf) >= 0 ? XENLITE_PCI_REMAPPED : 0;
    return flags;
}

void pt_entry(const struct pci_topology *t, unsigned n, struct xenlite_pci_entry *out)
{
    const struct pci_dev *pdev = t->node[n].dev;
    const struct pt_function *f = pdev->owner ? pt_function_of(pdev->owner, pdev) : NULL;

    *out = (struct xenlite_pci_entry){
        .sbdf = pdev->sbdf,
        .vendor = pdev->vendor,
        .device = pdev->device,
        .class_rev = pdev->class_rev,
        .owner = pt_owner(pdev),
        .group = pt_group_name(t, n),
        .flags = flags_of(pdev),
        .header = pdev->header,
        .slot = f ? f->slot : 0,
        .fn = f ? f->fn : 0,
    };
}

void pt_member(const struct pci_topology *t, unsigned n, struct xenlite_pci_member *out)
{
    const struct pci_node *node = &t->node[n];

    *out = (struct xenlite_pci_member){
        .sbdf = node->dev->sbdf,
        .via = node->via,
        .owner = pt_owner(node->dev),
        .why = node->why,
        .class_rev = node->dev->class_rev,
    };
}

/* ---- one function in full ---- */

static void put_identity(const struct pci_dev *pdev, struct xenlite_pci_info *out)
{
    const struct pt_function *f = pdev->owner ? pt_function_of(pdev->owner, pdev) : NULL;
    uint64_t raised;
    uint32_t subsystem = pdev->header == PCI_HEADER_NORMAL
                             ? pci_conf_read(pdev->sbdf, PCI_REG_SUBSYSTEM, 4)
                             : 0;

    out->sbdf = pdev->sbdf;
    out->vendor = pdev->vendor;
    out->device = pdev->device;
    out->subvendor = (uint16_t)subsystem;
    out->subdevice = (uint16_t)(subsystem >> 16);
    out->class_rev = pdev->class_rev;
    out->physfn = pdev->physfn ? pdev->physfn->sbdf : ~0u;
    out->nr_vfs = pci_vfs_known(pdev, NULL);
    out->owner = pt_owner(pdev);
    out->flags = flags_of(pdev);
    out->slot = f ? f->slot : 0;
    out->fn = f ? f->fn : 0;
    out->header = pdev->header;
    out->pcie_type = pdev->pcie_type;
    out->intx_pin = (uint8_t)pci_intx_pin(pdev);
    out->intx_gsi = vintx_gsi(pdev, &raised);
}

static void put_iommu(const struct pci_dev *pdev, struct xenlite_pci_info *out)
{
    uint16_t rid[IOMMU_MAX_ALIASES];
    unsigned nr = pci_aliases(pdev, rid);
    int unit = iommu_unit_for(pdev->sbdf);
    struct iommu_unit_info info;
    struct iommu_dev_info dev;

    out->requester = nr ? (pdev->sbdf & ~0xffffu) | rid[nr - 1] : pdev->sbdf;
    out->unit = unit < 0 ? 0xff : (uint8_t)unit;
    if (unit >= 0 && iommu_unit_info((unsigned)unit, &info))
        out->address_bits = info.address_bits;
    for (unsigned n = 0; iommu_device_info(n, &dev); n++) {
        if (dev.sbdf != pdev->sbdf && dev.sbdf != out->requester)
            continue;
        out->faults += dev.faults;
        if (dev.state == IOMMU_DEV_QUARANTINED)
            out->flags |= XENLITE_PCI_QUARANTINED;
    }
    while (out->nr_rmrr < XENLITE_PCI_NR_RMRR &&
           iommu_rmrr_for(pdev->sbdf, out->nr_rmrr, &out->rmrr[out->nr_rmrr].start,
                          &out->rmrr[out->nr_rmrr].end))
        out->nr_rmrr++;
}

static void put_interrupts(const struct pci_dev *pdev, struct xenlite_pci_info *out)
{
    const struct pci_msix_info *m = &pdev->msix;
    uint32_t msi;

    out->cap_pm = pdev->cap_pm;
    out->cap_msi = pdev->cap_msi;
    out->cap_msix = m->cap;
    out->cap_pcie = pdev->cap_pcie;
    out->cap_af = pdev->cap_af;
    if (pdev->cap_msi) {
        msi = pci_conf_read(pdev->sbdf, pdev->cap_msi + PCI_MSI_CONTROL, 2);
        out->msi_vectors = (uint8_t)(1u << MIN((msi & PCI_MSI_MMC_MASK) >> 1, 5u));
        out->msi_64bit = !!(msi & PCI_MSI_64BIT);
        out->msi_maskable = !!(msi & PCI_MSI_MASKABLE);
    }
    if (pdev->cap_pm)
        out->power_state =
            pci_conf_read(pdev->sbdf, pdev->cap_pm + PCI_PM_CONTROL, 1) & PCI_PM_STATE_MASK;
    if (!m->nr)
        return;
    out->msix_vectors = m->nr;
    out->table_bar = m->table_bar;
    out->table_offset = m->table_offset;
    out->table_size = pci_msix_table_len(m);
    out->pba_bar = m->pba_bar;
    out->pba_offset = m->pba_offset;
    out->pba_size = pci_msix_pba_len(m);
}

static void add_trapped(struct xenlite_pci_info *out, unsigned bar, unsigned why, uint64_t offset,
                        uint64_t size)
{
    struct xenlite_pci_trapped *t = &out->trapped[out->nr_trapped];

    if (out->nr_trapped == XENLITE_PCI_NR_TRAPPED)
        return;
    t->bar = (uint8_t)bar;
    t->why = (uint8_t)why;
    t->offset = offset;
    t->size = size;
    out->nr_trapped++;
}

/* Whole pages of the BAR around [offset, offset + len). */
static void add_table(struct xenlite_pci_info *out, const struct pci_dev *pdev, unsigned bar,
                      unsigned why, uint64_t offset, uint64_t len)
{
    const struct pci_bar *b = &pdev->bar[bar];
    uint64_t first = (b->addr + offset) & PAGE_MASK;
    uint64_t end = ALIGN_UP(b->addr + offset + len, PAGE_SIZE);

    first = MAX(first, b->addr);
    end = MIN(end, b->addr + b->size);
    add_trapped(out, bar, why, first - b->addr, end - first);
}

static void put_bars(const struct pci_dev *pdev, struct xenlite_pci_info *out)
{
    const struct pci_msix_info *m = &pdev->msix;

    for (unsigned i = 0; i < XENLITE_PCI_NR_BARS; i++) {
        const struct pci_bar *bar = i < PCI_MAX_BARS ? &pdev->bar[i] : &pdev->rom;

        if (i < PCI_MAX_BARS && i >= pdev->nr_bars)
            continue;
        out->bar[i] = (struct xenlite_pci_bar){
            .addr = bar->addr,
            .size = bar->size,
            .kind = bar->kind,
            .prefetchable = bar->prefetchable,
            .mapped = pdev->decode && pci_bar_is_memory(bar),
        };
        if (pci_bar_is_memory(bar) && ((bar->addr | bar->size) & ~PAGE_MASK))
            add_trapped(out, i, XENLITE_PCI_TRAP_subpage, 0, bar->size);
    }
    if (!m->nr)
        return;
    add_table(out, pdev, m->table_bar, XENLITE_PCI_TRAP_msix_table, m->table_offset,
              pci_msix_table_len(m));
    add_table(out, pdev, m->pba_bar, XENLITE_PCI_TRAP_msix_pba, m->pba_offset,
              pci_msix_pba_len(m));
}

int pt_info(uint32_t sbdf, struct xenlite_pci_info *out)
{
    struct pci_topology *t = pci_topology();
    unsigned n = t ? pci_node_of(t, sbdf) : PCI_NO_NODE;
    const struct pci_dev *pdev;

    memset(out, 0, sizeof(*out));
    if (!t || n == PCI_NO_NODE) {
        xfree(t);
        return t ? -ENODEV : -ENOMEM;
    }
    pdev = t->node[n].dev;
    put_identity(pdev, out);
    put_iommu(pdev, out);
    put_interrupts(pdev, out);
    put_bars(pdev, out);
    out->group = pt_group_name(t, n);
    out->reset = pt_is_endpoint(pdev) ? pci_reset_methods(pdev, t) : 0;
    for (unsigned i = 0; i < t->nr; i++)
        out->nr_group += pci_same_group(t, n, i);
    xfree(t);
    return 0;
}
