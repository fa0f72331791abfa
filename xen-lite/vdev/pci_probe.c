/* SPDX-License-Identifier: MIT */
/*
 * Looking at one physical function: identity, the sizes of its BARs, and the capabilities that the
 * hypervisor manages.  Devices are as careless as firmware: what they say is checked before it is
 * believed.
 */
#include "vdev/pci_probe.h"

#include "lib/errno.h"
#include "lib/printf.h"
#include "vdev/pci_sriov.h"

/* A capability takes at least 4 bytes of the 192 after the header. */
#define MAX_CAPS 48

bool pci_present(uint32_t sbdf)
{
    uint32_t id = pci_conf_read(sbdf, PCI_REG_VENDOR, 4);

    /* PCI 3.0, 6.1: ffff for nobody; some bridges answer 0 for an empty slot. */
    return (id & 0xffff) != 0xffff && id != 0;
}

uint8_t pci_find_cap(uint32_t sbdf, uint8_t id)
{
    unsigned pos, header = pci_conf_read(sbdf, PCI_REG_HEADER_TYPE, 1) & PCI_HEADER_TYPE_MASK;

    if (header > PCI_HEADER_BRIDGE)
        return 0;
    if (!(pci_conf_read(sbdf, PCI_REG_STATUS, 2) & PCI_STATUS_CAP_LIST))
        return 0;
    pos = pci_conf_read(sbdf, PCI_REG_CAP_POINTER, 1) & 0xfc;
    for (unsigned i = 0; i < MAX_CAPS && pos >= 0x40; i++) {
        uint32_t cap = pci_conf_read(sbdf, pos, 2);

        if ((cap & 0xff) == id)
            return (uint8_t)pos;
        pos = cap >> 8 & 0xfc;
    }
    return 0;
}

/* What the register reads after all ones were written; the old value is put back. */
static uint32_t size_mask(uint32_t sbdf, unsigned reg, uint32_t ones, uint32_t old)
{
    uint32_t mask;

    pci_conf_write(sbdf, reg, 4, ones);
    mask = pci_conf_read(sbdf, reg, 4);
    pci_conf_write(sbdf, reg, 4, old);
    return mask;
}

/* PCI 3.0, 6.2.5.1: the lowest writable address bit is the size.  0: not a size. */
static uint64_t size_of(uint64_t mask)
{
    uint64_t size = mask & -mask;

    /* Above the lowest bit all must be writable, or this is no BAR. */
    return mask && (mask | (size - 1)) == ~0ULL ? size : 0;
}

static void probe_io_bar(struct pci_bar *bar, uint32_t old, uint32_t mask)
{
    /* The upper 16 bits may be hardwired to 0 in devices that decode 64 Ki ports. */
    uint32_t m = mask & PCI_BAR_IO_MASK;

    if (m && !(m >> 16))
        m |= 0xffff0000u;
    bar->size = m ? size_of(0xffffffff00000000ULL | m) : 0;
    bar->addr = old & PCI_BAR_IO_MASK;
    bar->kind = bar->size ? PCI_BAR_IO : PCI_BAR_NONE;
}

/* Returns the registers that the BAR takes: 1 or 2; `left` there are. */
static unsigned probe_bar(uint32_t sbdf, unsigned reg, struct pci_bar *bar, unsigned left)
{
    uint32_t old = pci_conf_read(sbdf, reg, 4);
    uint32_t mask = size_mask(sbdf, reg, ~0u, old);
    uint64_t high = ~0ULL << 32, old_high = 0;
    bool is_64;

    if (mask & PCI_BAR_IO_SPACE) {
        probe_io_bar(bar, old, mask);
        return 1;
    }
    is_64 = (mask & PCI_BAR_MEM_TYPE_MASK) == PCI_BAR_MEM_64 && left > 1;
    if (is_64) {
        old_high = pci_conf_read(sbdf, reg + 4, 4);
        high = (uint64_t)size_mask(sbdf, reg + 4, ~0u, (uint32_t)old_high) << 32;
    }
    if (!(mask & PCI_BAR_MEM_MASK) && !is_64)
        return 1;
    bar->prefetchable = mask & PCI_BAR_MEM_PREFETCH;
    bar->size = size_of(high | (mask & PCI_BAR_MEM_MASK));
    bar->addr = old_high << 32 | (old & PCI_BAR_MEM_MASK);
    bar->kind = !bar->size ? PCI_BAR_NONE : is_64 ? PCI_BAR_MEM64 : PCI_BAR_MEM32;
    return is_64 ? 2 : 1;
}

void pci_probe_bars(uint32_t sbdf, unsigned reg, struct pci_bar *bar, unsigned nr)
{
    for (unsigned i = 0; i < nr;)
        i += probe_bar(sbdf, reg + i * 4, &bar[i], nr - i);
}

static unsigned rom_reg(const struct pci_dev *dev)
{
    return dev->header == PCI_HEADER_BRIDGE ? PCI_REG_ROM_BRIDGE : PCI_REG_ROM;
}

static void probe_rom(struct pci_dev *dev)
{
    unsigned reg = rom_reg(dev);
    uint32_t old = pci_conf_read(dev->sbdf, reg, 4);
    /* Never with the enable bit: it may share the decoder with a BAR (PCI 3.0, 6.2.5.2). */
    uint32_t mask = size_mask(dev->sbdf, reg, PCI_ROM_MASK, old) & PCI_ROM_MASK;

    dev->rom.size = mask ? size_of(~0ULL << 32 | mask) : 0;
    dev->rom.addr = old & PCI_ROM_MASK;
    dev->rom.kind = dev->rom.size ? PCI_BAR_ROM : PCI_BAR_NONE;
}

/*
 * With decoding off, or the device would answer at the addresses that sizing writes.  Nothing is
 * printed meanwhile: the function may be what the console writes to.
 */
void pci_size_bars(struct pci_dev *dev)
{
    uint32_t cmd = pci_conf_read(dev->sbdf, PCI_REG_COMMAND, 2);
    uint32_t off = cmd & ~(uint32_t)(PCI_COMMAND_IO | PCI_COMMAND_MEMORY);

    if (!dev->nr_bars)
        return;
    if (dev->physfn) {
        pci_read_bars(dev);
        return;
    }
    if (off != cmd)
        pci_conf_write(dev->sbdf, PCI_REG_COMMAND, 2, off);
    pci_probe_bars(dev->sbdf, PCI_REG_BAR0, dev->bar, dev->nr_bars);
    probe_rom(dev);
    if (off != cmd)
        pci_conf_write(dev->sbdf, PCI_REG_COMMAND, 2, cmd);
}

void pci_read_bars(struct pci_dev *dev)
{
    if (dev->physfn) {
        pci_vf_read_bars(dev);
        return;
    }
    for (unsigned i = 0; i < dev->nr_bars; i++) {
        struct pci_bar *bar = &dev->bar[i];
        uint64_t val = pci_conf_read(dev->sbdf, PCI_REG_BAR0 + i * 4, 4);

        if (bar->kind == PCI_BAR_IO)
            bar->addr = val & PCI_BAR_IO_MASK;
        if (bar->kind == PCI_BAR_MEM32)
            bar->addr = val & PCI_BAR_MEM_MASK;
        if (bar->kind == PCI_BAR_MEM64)
            bar->addr = (val & PCI_BAR_MEM_MASK) |
                        (uint64_t)pci_conf_read(dev->sbdf, PCI_REG_BAR0 + i * 4 + 4, 4) << 32;
    }
    if (dev->rom.kind == PCI_BAR_ROM)
        dev->rom.addr = pci_conf_read(dev->sbdf, rom_reg(dev), 4) & PCI_ROM_MASK;
}

static bool in_memory_bar(const struct pci_dev *dev, unsigned bar, uint64_t offset, uint64_t len)
{
    if (bar >= dev->nr_bars || !pci_bar_is_memory(&dev->bar[bar]))
        return false;
    return offset + len <= dev->bar[bar].size;
}

bool pci_msix_in_bars(const struct pci_dev *dev)
{
    const struct pci_msix_info *m = &dev->msix;

    return in_memory_bar(dev, m->table_bar, m->table_offset, pci_msix_table_len(m)) &&
           in_memory_bar(dev, m->pba_bar, m->pba_offset, pci_msix_pba_len(m));
}

static void probe_msix(struct pci_dev *dev)
{
    struct pci_msix_info *m = &dev->msix;
    uint32_t table, pba;

    m->cap = pci_find_cap(dev->sbdf, PCI_CAP_MSIX);
    if (!m->cap || m->cap + PCI_MSIX_PBA + 4 > PCI_CFG_SIZE) {
        m->cap = 0;
        return;
    }
    table = pci_conf_read(dev->sbdf, m->cap + PCI_MSIX_TABLE, 4);
    pba = pci_conf_read(dev->sbdf, m->cap + PCI_MSIX_PBA, 4);
    m->nr =
        (uint16_t)((pci_conf_read(dev->sbdf, m->cap + PCI_MSIX_CONTROL, 2) & PCI_MSIX_SIZE_MASK) +
                   1);
    m->table_bar = table & PCI_MSIX_BIR_MASK;
    m->table_offset = table & ~(uint32_t)PCI_MSIX_BIR_MASK;
    m->pba_bar = pba & PCI_MSIX_BIR_MASK;
    m->pba_offset = pba & ~(uint32_t)PCI_MSIX_BIR_MASK;
    if (pci_msix_in_bars(dev))
        return;
    /* Where the table really is cannot be known, so it cannot be trapped: the capability stays off.
     */
    m->nr = 0;
    pr_warn("pci " PCI_FMT ": MSI-X table or pending bits outside of a memory BAR, not used",
            PCI_ARG(dev->sbdf));
}

/* PCI 3.0, 6.8.1: what the capability takes, from its control word. */
static unsigned msi_len(uint32_t control)
{
    unsigned len = control & PCI_MSI_64BIT ? PCI_MSI_DATA_64 + 2 : PCI_MSI_DATA_32 + 2;

    if (control & PCI_MSI_MASKABLE)
        len = (control & PCI_MSI_64BIT ? PCI_MSI_MASK_64 : PCI_MSI_MASK_32) + 8;
    return len;
}

static void probe_msi(struct pci_dev *dev)
{
    uint8_t cap = pci_find_cap(dev->sbdf, PCI_CAP_MSI);

    if (cap && cap + msi_len(pci_conf_read(dev->sbdf, cap + PCI_MSI_CONTROL, 2)) <= PCI_CFG_SIZE)
        dev->cap_msi = cap;
}

/* PCIe 5.0, 7.6.2: the list of extended capabilities begins at 256; each takes at least 8 bytes. */
uint16_t pci_find_ext_cap(uint32_t sbdf, uint16_t id)
{
    unsigned pos = PCI_CFG_SIZE;

    if (!pci_has_ext_config(sbdf))
        return 0;
    for (unsigned i = 0; i < (PCI_CFG_EXT_SIZE - PCI_CFG_SIZE) / 8 && pos >= PCI_CFG_SIZE; i++) {
        uint32_t cap = pci_conf_read(sbdf, pos, 4);

        if (!cap || cap == ~0u)
            return 0;
        if ((cap & 0xffff) == id)
            return (uint16_t)pos;
        pos = cap >> 20 & 0xffc;
    }
    return 0;
}

/* PCIe 5.0, 7.5.3: registers of slots are there with a slot, the second set with version 2. */
bool pci_has_exp(const struct pci_dev *dev, unsigned reg)
{
    uint32_t flags;

    if (!dev->cap_pcie || dev->cap_pcie + reg + 2 > PCI_CFG_SIZE)
        return false;
    flags = pci_conf_read(dev->sbdf, dev->cap_pcie + PCI_EXP_FLAGS, 2);
    if (reg >= PCI_EXP_DEVCTL2)
        return (flags & PCI_EXP_FLAGS_VERSION) >= 2;
    return reg != PCI_EXP_SLTCTL || (flags & PCI_EXP_FLAGS_SLOT);
}

/* A capability that does not end before the end of configuration space is none. */
static uint8_t find_whole_cap(const struct pci_dev *dev, uint8_t id, unsigned len)
{
    uint8_t cap = pci_find_cap(dev->sbdf, id);

    return cap + len <= PCI_CFG_SIZE ? cap : 0;
}

static void probe_caps(struct pci_dev *dev)
{
    dev->cap_pm = find_whole_cap(dev, PCI_CAP_PM, PCI_PM_LEN);
    dev->cap_pcie = find_whole_cap(dev, PCI_CAP_PCIE, PCI_EXP_LEN_MIN);
    dev->cap_af = find_whole_cap(dev, PCI_CAP_AF, PCI_AF_LEN);
    dev->pcie_type = PCIE_NONE;
    if (dev->cap_pcie)
        dev->pcie_type =
            (uint8_t)(pci_conf_read(dev->sbdf, dev->cap_pcie + PCI_EXP_FLAGS, 2) >> 4 & 0xf);
    dev->resizable = !dev->physfn && dev->cap_pcie && pci_find_ext_cap(dev->sbdf, PCI_EXT_CAP_REBAR);
    probe_msi(dev);
    probe_msix(dev);
}

int pci_probe(struct pci_dev *dev)
{
    uint32_t id = dev->physfn ? pci_vf_identity(dev) : pci_conf_read(dev->sbdf, PCI_REG_VENDOR, 4);

    if ((id & 0xffff) == 0xffff)
        return -ENODEV;
    dev->vendor = (uint16_t)id;
    dev->device = (uint16_t)(id >> 16);
    dev->class_rev = pci_conf_read(dev->sbdf, PCI_REG_CLASS_REV, 4);
    dev->header = pci_conf_read(dev->sbdf, PCI_REG_HEADER_TYPE, 1) & PCI_HEADER_TYPE_MASK;
    dev->nr_bars = dev->header == PCI_HEADER_NORMAL ? 6 : dev->header == PCI_HEADER_BRIDGE ? 2 : 0;
    dev->decode = pci_decodes(dev);
    pci_size_bars(dev);
    probe_caps(dev);
    if (!dev->physfn)
        pci_sriov_probe(dev);
    return 0;
}
