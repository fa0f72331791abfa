/* SPDX-License-Identifier: MIT */
/*
 * The managed registers of the configuration header: command, memory BARs, expansion ROM, and a
 * bridge's secondary bus number.  BARs are the hardware's own; what is managed is when they may
 * change and what is in the page table for them.  State is asked of the hardware where a reset of
 * the function could have changed it behind our back.
 */
#include "lib/errno.h"
#include "vdev/vpci_engine.h"

/* reg->index of a BAR register: number of the register, and whether it is an upper half. */
#define BAR_UPPER 0x80

static bool decodes(const struct vpci_dev *vd)
{
    return vpci_hw_read(vd, PCI_REG_COMMAND, 2) & PCI_COMMAND_MEMORY;
}

/* The page table follows before decoding comes on, and after it went off. */
static void command_write(struct vpci_dev *vd, const struct vpci_reg *reg, uint32_t val)
{
    struct pci_dev *pdev = vd->pdev;
    bool on, fresh;

    if (!vd->vpci->policy->maps_bars) {
        vpci_hw_write(vd, reg->offset, 2, val);
        return;
    }
    val = vpci_bridge_command(vd, reg, val);
    on = val & PCI_COMMAND_MEMORY;
    fresh = on && !(vd->mapped && decodes(vd));
    if (fresh) {
        vpci_unmap_bars(vd); /* what is left from before a reset */
        if (pdev->resizable)
            pci_size_bars(pdev);
        else
            pci_read_bars(pdev);
        vd->probing = 0;
        if (vpci_map_bars(vd)) {
            on = fresh = false;
            val &= ~(uint32_t)PCI_COMMAND_MEMORY;
        }
    }
    vpci_hw_write(vd, reg->offset, 2, val);
    if (!on)
        vpci_unmap_bars(vd);
    else if (fresh)
        vpci_bars_online(vd);
}

/* All ones where the register has address bits: the question for the size (PCI 3.0, 6.2.5.1). */
static uint32_t address_bits(const struct vpci_reg *reg)
{
    return reg->index & BAR_UPPER ? ~0u : PCI_BAR_MEM_MASK;
}

static unsigned bar_register(const struct vpci_reg *reg)
{
    return (reg->offset - PCI_REG_BAR0) / 4;
}

static uint32_t bar_read(struct vpci_dev *vd, const struct vpci_reg *reg)
{
    const struct pci_bar *bar = &vd->pdev->bar[reg->index & ~BAR_UPPER];
    uint32_t hw = vpci_hw_read(vd, reg->offset, 4);

    if (likely(!(vd->probing & 1u << bar_register(reg))))
        return hw;
    if (reg->index & BAR_UPPER)
        return (uint32_t)(-bar->size >> 32);
    return ((uint32_t)-bar->size & PCI_BAR_MEM_MASK) | (hw & ~PCI_BAR_MEM_MASK);
}

/*
 * With decoding on the address cannot change, but some software sizes BARs without turning it off:
 * the question is answered from what the boot-time sizing found, and writing the address back ends
 * it.
 */
static void bar_write_decoded(struct vpci_dev *vd, const struct vpci_reg *reg, uint32_t val)
{
    uint32_t mask = address_bits(reg), hw = vpci_hw_read(vd, reg->offset, 4);
    uint8_t bit = (uint8_t)(1u << bar_register(reg));

    if ((val & mask) == mask && (hw & mask) != mask) {
        vd->probing |= bit;
        return;
    }
    vd->probing &= (uint8_t)~bit;
    if ((val & mask) != (hw & mask))
        vpci_deny(vd, DENY_BAR_DECODE_ON, reg->offset, val);
}

static void bar_write(struct vpci_dev *vd, const struct vpci_reg *reg, uint32_t val)
{
    if (decodes(vd)) {
        bar_write_decoded(vd, reg, val);
        return;
    }
    vpci_unmap_bars(vd); /* mapped still: a reset turned decoding off */
    vd->probing = 0;
    vpci_hw_write(vd, reg->offset, 4, val);
}

/* The ROM needs its own enable bit beside the command register's (PCI 3.0, 6.2.5.2). */
static void rom_write(struct vpci_dev *vd, const struct vpci_reg *reg, uint32_t val)
{
    uint32_t old = vpci_hw_read(vd, reg->offset, 4);
    bool on = val & PCI_ROM_ENABLE;

    if (!decodes(vd)) {
        vpci_hw_write(vd, reg->offset, 4, val);
        return;
    }
    if (on && (old & PCI_ROM_ENABLE)) {
        if ((old ^ val) & PCI_ROM_MASK)
            vpci_deny(vd, DENY_BAR_DECODE_ON, reg->offset, val);
        return;
    }
    vpci_hw_write(vd, reg->offset, 4, val);
    if (!on) {
        vpci_unmap_rom(vd);
        return;
    }
    vd->pdev->rom.addr = vpci_hw_read(vd, reg->offset, 4) & PCI_ROM_MASK;
    vpci_map_rom(vd);
}

/* A known function is known by its number: that may change only while nothing known is behind the
 * bridge. */
static void secondary_write(struct vpci_dev *vd, const struct vpci_reg *reg, uint32_t val)
{
    uint32_t old = vpci_hw_read(vd, reg->offset, 1);

    if (val == old)
        return;
    if (old && pci_bus_in_use((uint16_t)PCI_SEG(vd->hw_sbdf), (uint8_t)old)) {
        vpci_deny(vd, DENY_BUS_RENUMBER, old, val);
        return;
    }
    vpci_hw_write(vd, reg->offset, 1, val);
}

static int add_bars(struct vpci_dev *vd)
{
    struct vpci_reg reg = { .size = 4, .read = bar_read, .write = bar_write };
    int rc = 0;

    for (unsigned i = 0; i < vd->pdev->nr_bars && !rc; i++) {
        if (!pci_bar_is_memory(&vd->pdev->bar[i]))
            continue;
        reg.offset = (uint16_t)(PCI_REG_BAR0 + i * 4);
        reg.index = (uint8_t)i;
        reg.name = "bar";
        rc = vpci_add_reg(vd, &reg);
        if (rc || vd->pdev->bar[i].kind != PCI_BAR_MEM64)
            continue;
        reg.offset = (uint16_t)(reg.offset + 4);
        reg.index = (uint8_t)(i | BAR_UPPER);
        reg.name = "bar-high";
        rc = vpci_add_reg(vd, &reg);
    }
    return rc;
}

int vpci_header_init(struct vpci_dev *vd)
{
    static const struct vpci_reg command = {
        .offset = PCI_REG_COMMAND, .size = 2, .write = command_write, .name = "command"
    };
    static const struct vpci_reg secondary = { .offset = PCI_REG_SECONDARY_BUS,
                                               .size = 1,
                                               .write = secondary_write,
                                               .name = "secondary-bus" };
    struct vpci_reg rom = { .size = 4, .write = rom_write, .name = "rom" };
    bool bridge = vd->pdev->header != PCI_HEADER_NORMAL;
    int rc = vpci_add_reg(vd, &command);

    if (!rc)
        rc = add_bars(vd);
    if (!rc && bridge)
        rc = vpci_add_reg(vd, &secondary);
    if (!rc && vd->pdev->rom.kind == PCI_BAR_ROM) {
        rom.offset = bridge ? PCI_REG_ROM_BRIDGE : PCI_REG_ROM;
        rc = vpci_add_reg(vd, &rom);
    }
    return rc;
}
