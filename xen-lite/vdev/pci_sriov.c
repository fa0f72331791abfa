/* SPDX-License-Identifier: MIT */
/*
 * Virtual functions as hardware has them, see pci_sriov.h. What the capability says is checked before it is believed: numbers
 * that lead outside of the segment's functions name no function.
 */
#include "vdev/pci_sriov.h"

#include "lib/errno.h"
#include "trap/rules.h"
#include "vdev/pci_probe.h"

#define MEMORY_ON (PCI_SRIOV_VFE | PCI_SRIOV_MSE)

static uint32_t read_cap(const struct pci_dev *pf, unsigned reg, unsigned size)
{
    return pci_conf_read(pf->sbdf, pf->cap_sriov + reg, size);
}

/* ---- physical functions ---- */

uint32_t pci_sriov_state(const struct pci_dev *pf)
{
    uint32_t control = pf->cap_sriov ? read_cap(pf, PCI_SRIOV_CONTROL, 2) : 0;

    /* All ones: the function is in a reset, which ends all of its virtual ones. */
    return control == 0xffff ? 0 : control & MEMORY_ON;
}

/* Only memory BARs exist here (PCIe 5.0, 9.3.3.14). */
static void size_bars(struct pci_dev *pf)
{
    for (unsigned i = 0; i < PCI_MAX_BARS; i++)
        pf->vf_bar[i] = (struct pci_bar){ .kind = PCI_BAR_NONE };
    pci_probe_bars(pf->sbdf, pf->cap_sriov + PCI_SRIOV_BAR0, pf->vf_bar, PCI_MAX_BARS);
    for (unsigned i = 0; i < PCI_MAX_BARS; i++)
        if (!pci_bar_is_memory(&pf->vf_bar[i]))
            pf->vf_bar[i] = (struct pci_bar){ .kind = PCI_BAR_NONE };
}

int pci_sriov_size(struct pci_dev *pf)
{
    if (pci_sriov_state(pf) == MEMORY_ON)
        return -EBUSY;
    size_bars(pf);
    return 0;
}

/* Nobody can use its virtual functions yet: they become known only when it is. */
void pci_sriov_probe(struct pci_dev *pf)
{
    uint16_t pos = pf->cap_pcie ? pci_find_ext_cap(pf->sbdf, PCI_EXT_CAP_SRIOV) : 0;
    uint32_t control;

    if (!pos || pos + PCI_SRIOV_LEN > PCI_CFG_EXT_SIZE)
        return;
    pf->cap_sriov = pos;
    control = read_cap(pf, PCI_SRIOV_CONTROL, 2);
    if (control & PCI_SRIOV_MSE)
        pci_conf_write(pf->sbdf, pos + PCI_SRIOV_CONTROL, 2, control & ~(uint32_t)PCI_SRIOV_MSE);
    size_bars(pf);
    if (control & PCI_SRIOV_MSE)
        pci_conf_write(pf->sbdf, pos + PCI_SRIOV_CONTROL, 2, control);
}

/* PCIe 5.0, 9.2.1.2: offset and stride are added to requester ids, bus number and all. */
int pci_vf_index(const struct pci_dev *pf, uint32_t sbdf)
{
    uint32_t nr, offset, stride, rid = (uint16_t)sbdf;

    if (PCI_SEG(pf->sbdf) != PCI_SEG(sbdf) || !(pci_sriov_state(pf) & PCI_SRIOV_VFE))
        return -1;
    nr = MIN(read_cap(pf, PCI_SRIOV_NUM_VFS, 2), read_cap(pf, PCI_SRIOV_TOTAL_VFS, 2));
    offset = (uint16_t)pf->sbdf + read_cap(pf, PCI_SRIOV_OFFSET, 2);
    stride = read_cap(pf, PCI_SRIOV_STRIDE, 2);
    if (!nr || rid < offset || offset == (uint16_t)pf->sbdf)
        return -1;
    if (rid == offset)
        return 0;
    if (!stride || (rid - offset) % stride || (rid - offset) / stride >= nr)
        return -1;
    return (int)((rid - offset) / stride);
}

struct search {
    const struct pci_dev *pf;
    const struct domain *owner;
    struct pci_dev *found;
    unsigned nr;
};

static int count_vf(struct pci_dev *dev, void *arg)
{
    struct search *s = arg;

    if (dev->physfn != s->pf)
        return 0;
    s->found = s->nr++ ? s->found : dev;
    return 0;
}

unsigned pci_vfs_known(const struct pci_dev *pf, struct pci_dev **first)
{
    struct search s = { .pf = pf };

    if (pf->cap_sriov)
        pci_for_each(count_vf, &s);
    if (first)
        *first = s.found;
    return s.nr;
}

/* Also while it is held: it may be about to become a guest's. */
static int find_not_of(struct pci_dev *dev, void *arg)
{
    struct search *s = arg;

    if (dev->physfn != s->pf || (dev->owner == s->owner && !READ_ONCE(dev->held)))
        return 0;
    s->found = dev;
    return 1;
}

struct pci_dev *pci_vf_not_of(const struct pci_dev *pf, const struct domain *owner)
{
    struct search s = { .pf = pf, .owner = owner };

    pci_for_each(find_not_of, &s);
    return s.found;
}

int pci_vf_claim(const struct domain *owner, uint16_t domid, uint32_t sbdf, uint32_t physfn)
{
    const struct pci_dev *pf = pci_find(physfn), *known = pci_find(sbdf);
    struct pci_dev vf = { .sbdf = sbdf, .physfn = (struct pci_dev *)pf };

    if (!pf || !pf->cap_sriov)
        return deny(DENY_VF_NOT_PHYSICAL, domid, sbdf, physfn, 0);
    if (pf->owner != owner)
        return deny(DENY_VF_FOREIGN, domid, sbdf, physfn, 0);
    if (!(pci_sriov_state(pf) & PCI_SRIOV_VFE))
        return deny(DENY_VF_DISABLED, domid, sbdf, physfn, 0);
    if (pci_vf_index(pf, sbdf) < 0 || (known && known->physfn != pf))
        return deny(DENY_VF_NOT_ONE, domid, sbdf, physfn, read_cap(pf, PCI_SRIOV_NUM_VFS, 2));
    if (pci_vf_identity(&vf) == ~0u)
        return deny(DENY_VF_SILENT, domid, sbdf, physfn, (unsigned)pci_vf_index(pf, sbdf));
    return 0;
}

/* ---- virtual functions ---- */

/* PCIe 5.0, 9.3.4.1.1 and 9.3.4.1.2: the vendor is the physical function's, the device in its capability. */
uint32_t pci_vf_identity(const struct pci_dev *vf)
{
    const struct pci_dev *pf = vf->physfn;
    uint32_t id = pci_conf_read(vf->sbdf, PCI_REG_VENDOR, 4);

    if ((id & 0xffff) == 1)
        return id; /* not ready yet (PCIe 5.0, 2.3.2) */
    if (pci_conf_read(vf->sbdf, PCI_REG_CLASS_REV, 4) == ~0u)
        return ~0u;
    return read_cap(pf, PCI_SRIOV_VF_DEVICE, 2) << 16 | pf->vendor;
}

/* PCIe 5.0, 9.2.1.1.1: they lie one behind the other. */
uint64_t pci_bar_address(const struct pci_dev *dev, unsigned i)
{
    const struct pci_dev *pf = dev->physfn;
    const struct pci_bar *bar = pf ? &pf->vf_bar[i] : &dev->bar[i];
    unsigned reg = i * 4 + (pf ? pf->cap_sriov + (unsigned)PCI_SRIOV_BAR0 : (unsigned)PCI_REG_BAR0);
    uint32_t sbdf = pf ? pf->sbdf : dev->sbdf;
    uint64_t addr;

    if (!pci_bar_is_memory(bar))
        return 0;
    addr = pci_conf_read(sbdf, reg, 4) & PCI_BAR_MEM_MASK;
    if (bar->kind == PCI_BAR_MEM64)
        addr |= (uint64_t)pci_conf_read(sbdf, reg + 4, 4) << 32;
    return pf && addr ? addr + dev->vf_index * bar->size : addr;
}

void pci_vf_read_bars(struct pci_dev *vf)
{
    int index = pci_vf_index(vf->physfn, vf->sbdf);

    if (index >= 0)
        vf->vf_index = (uint16_t)index;
    for (unsigned i = 0; i < PCI_MAX_BARS; i++) {
        vf->bar[i] = vf->physfn->vf_bar[i];
        vf->bar[i].addr = index >= 0 ? pci_bar_address(vf, i) : 0;
    }
}

void pci_vf_set_memory(const struct pci_dev *vf)
{
    uint32_t cmd = pci_conf_read(vf->sbdf, PCI_REG_COMMAND, 2);

    pci_conf_write(vf->sbdf, PCI_REG_COMMAND, 2, cmd | PCI_COMMAND_MEMORY);
}

/* ---- any function ---- */

bool pci_decodes(const struct pci_dev *dev)
{
    if (!dev->physfn)
        return pci_conf_read(dev->sbdf, PCI_REG_COMMAND, 2) & PCI_COMMAND_MEMORY;
    return pci_sriov_state(dev->physfn) == MEMORY_ON && pci_vf_index(dev->physfn, dev->sbdf) >= 0;
}

unsigned pci_intx_pin(const struct pci_dev *dev)
{
    return dev->physfn ? 0 : pci_conf_read(dev->sbdf, PCI_REG_INT_PIN, 1);
}

uint32_t pci_identity(const struct pci_dev *dev)
{
    uint32_t id;

    if (!dev->physfn)
        return pci_conf_read(dev->sbdf, PCI_REG_VENDOR, 4);
    id = pci_vf_identity(dev);
    if (id == ~0u || (id & 0xffff) == 1)
        return id;
    /* The capability, not the function, tells the id: the class is the function's own. */
    return pci_conf_read(dev->sbdf, PCI_REG_CLASS_REV, 4) == dev->class_rev ? id : 0;
}
