/* SPDX-License-Identifier: MIT */
/*
 * The configuration header of a guest's function. Every register of it is managed: none of its
 * writes is anybody else's business. BARs are kept here; command and status are the hardware's, so
 * that the guest sees what a reset has done.
 */
#include "include/xenlite/pci.h"
#include "lib/errno.h"
#include "vdev/pci_sriov.h"
#include "vdev/vmsix.h"
#include "vdev/vpci_engine.h"
#include "vdev/vpci_guest.h"
#include "vdev/vroot.h"

/* reg->index of a BAR register: number of the range, and whether it is an upper half. */
#define BAR_UPPER 0x80

/*
 * The guest's part of the command register: decoding, bus master, INTx. The rest stays as the
 * hardware has it.
 */
#define COMMAND_BITS                                                                               \
    (PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER | PCI_COMMAND_NO_INTX)
#define STATUS_RW1C 0xf900u

static uint32_t hw_command(const struct vpci_dev *vd)
{
    uint32_t val = pci_command_read(vd->pdev);

    /* A virtual function's guest sees one like any other (PCIe 5.0, 9.3.4.1.3: hardware has no bit). */
    if (vd->pdev->physfn && vd->guest->memory)
        val |= PCI_COMMAND_MEMORY;
    return val;
}

static uint32_t command_read(struct vpci_dev *vd, const struct vpci_reg *reg)
{
    (void)reg;
    return hw_command(vd);
}

/* A device that was left without an address for one of its BARs would answer somewhere. */
static bool all_placed(const struct vpci_dev *vd, bool memory)
{
    for (unsigned i = 0; i < vd->pdev->nr_bars; i++) {
        const struct pci_bar *bar = &vd->pdev->bar[i];

        if (bar->kind != PCI_BAR_NONE && (bar->kind != PCI_BAR_IO) == memory && !vd->guest->hw[i])
            return false;
    }
    return true;
}

/* What is left of before a reset, which has turned decoding off, goes first. */
static void command_write(struct vpci_dev *vd, const struct vpci_reg *reg, uint32_t val)
{
    uint32_t old = hw_command(vd);
    bool memory = (val & PCI_COMMAND_MEMORY) && all_placed(vd, true);
    bool io = (val & PCI_COMMAND_IO) && all_placed(vd, false);
    bool fresh = memory && !(vd->guest->memory && (old & PCI_COMMAND_MEMORY));

    (void)reg;
    val &= ~(uint32_t)(PCI_COMMAND_IO | PCI_COMMAND_MEMORY);
    val |= (io ? PCI_COMMAND_IO : 0) | (memory ? PCI_COMMAND_MEMORY : 0);
    /* From before anything is mapped: the pages of its own tables must be holes. */
    vd->pdev->decode = vd->pdev->decode || memory;
    if (fresh)
        vpci_guest_ranges_off(vd, true);
    if (fresh || (io && !(old & PCI_COMMAND_IO)))
        vpci_guest_restore_bars(vd);
    if (fresh)
        vpci_guest_ranges_on(vd, true);
    if (io)
        vpci_guest_ranges_on(vd, false);
    pci_command_write(vd->pdev, val);
    vd->pdev->decode = memory || vd->pdev->physfn;
    if (!memory)
        vpci_guest_ranges_off(vd, true);
    else if ((fresh || vd->pdev->physfn) && vd->msix)
        vmsix_online(vd); /* of a virtual function no bit tells that it was reset */
    if (!io)
        vpci_guest_ranges_off(vd, false);
}

static uint32_t status_read(struct vpci_dev *vd, const struct vpci_reg *reg)
{
    return (vpci_hw_read(vd, reg->offset, 2) & ~(uint32_t)PCI_STATUS_CAP_LIST) | reg->value;
}

/* `val` has ones only where the guest wrote them: the others are masked out as read-only. */
static void status_write(struct vpci_dev *vd, const struct vpci_reg *reg, uint32_t val)
{
    vpci_hw_write(vd, reg->offset, 2, val & STATUS_RW1C);
}

static uint32_t pin_read(struct vpci_dev *vd, const struct vpci_reg *reg)
{
    (void)reg;
    return pci_intx_pin(vd->pdev);
}

static uint32_t header_type_read(struct vpci_dev *vd, const struct vpci_reg *reg)
{
    (void)reg;
    return PCI_HEADER_NORMAL | (vroot_multifunction(vd->vpci->root, vd) ? PCI_HEADER_MULTI : 0);
}

static void hw_byte_write(struct vpci_dev *vd, const struct vpci_reg *reg, uint32_t val)
{
    vpci_hw_write(vd, reg->offset, reg->size, val);
}

static uint32_t line_read(struct vpci_dev *vd, const struct vpci_reg *reg)
{
    (void)reg;
    return vd->guest->line;
}

static void line_write(struct vpci_dev *vd, const struct vpci_reg *reg, uint32_t val)
{
    (void)reg;
    vd->guest->line = (uint8_t)val;
}

/* ---- BARs ---- */

static const struct pci_bar *bar_of(const struct vpci_dev *vd, unsigned i)
{
    return i == VPCI_ROM ? &vd->pdev->rom : &vd->pdev->bar[i];
}

static uint32_t bar_flags(const struct pci_bar *bar)
{
    switch (bar->kind) {
    case PCI_BAR_IO:
        return PCI_BAR_IO_SPACE;
    case PCI_BAR_MEM64:
        return PCI_BAR_MEM_64 | (bar->prefetchable ? PCI_BAR_MEM_PREFETCH : 0);
    case PCI_BAR_MEM32:
        return bar->prefetchable ? PCI_BAR_MEM_PREFETCH : 0;
    default:
        return 0;
    }
}

static uint32_t bar_read(struct vpci_dev *vd, const struct vpci_reg *reg)
{
    unsigned i = reg->index & ~BAR_UPPER;

    if (reg->index & BAR_UPPER)
        return (uint32_t)(vd->guest->addr[i] >> 32);
    return (uint32_t)vd->guest->addr[i] | bar_flags(bar_of(vd, i));
}

/* Address bits below the size are 0, which is how the size is asked for (PCI 3.0, 6.2.5.1). */
static uint64_t address_mask(const struct pci_bar *bar)
{
    uint64_t width = bar->kind == PCI_BAR_IO      ? 0xffff
                     : bar->kind == PCI_BAR_MEM64 ? ~0ULL
                                                  : 0xffffffff;

    return width & ~(bar->size - 1);
}

/*
 * As in hardware a BAR moves when it is written, decoding or not; between two halves it may be
 * anywhere.
 */
static void bar_write(struct vpci_dev *vd, const struct vpci_reg *reg, uint32_t val)
{
    unsigned i = reg->index & ~BAR_UPPER;
    const struct pci_bar *bar = &vd->pdev->bar[i];
    bool decoded = bar->kind == PCI_BAR_IO ? vd->guest->io : vd->guest->memory;
    uint64_t addr = vd->guest->addr[i];

    if (reg->index & BAR_UPPER)
        addr = (addr & 0xffffffff) | (uint64_t)val << 32;
    else
        addr = (addr & ~0xffffffffULL) | val;
    addr &= address_mask(bar);
    if (addr == vd->guest->addr[i])
        return;
    vpci_guest_range_off(vd, i);
    vd->guest->addr[i] = addr;
    if (decoded)
        vpci_guest_range_on(vd, i);
}

static uint32_t rom_read(struct vpci_dev *vd, const struct vpci_reg *reg)
{
    (void)reg;
    return (uint32_t)vd->guest->addr[VPCI_ROM] | (vd->guest->rom_on ? PCI_ROM_ENABLE : 0);
}

/* The ROM needs its own enable bit beside the command register's (PCI 3.0, 6.2.5.2). */
static void rom_write(struct vpci_dev *vd, const struct vpci_reg *reg, uint32_t val)
{
    (void)reg;
    vpci_guest_range_off(vd, VPCI_ROM);
    vd->guest->addr[VPCI_ROM] = val & PCI_ROM_MASK & address_mask(&vd->pdev->rom);
    vd->guest->rom_on = val & PCI_ROM_ENABLE;
    if (vd->guest->memory)
        vpci_guest_range_on(vd, VPCI_ROM);
}

/* A BAR that the hardware decodes nowhere cannot be shown: the guest finds none. */
static bool bar_usable(const struct vpci_dev *vd, unsigned i)
{
    const struct pci_bar *bar = bar_of(vd, i);

    return bar->kind != PCI_BAR_NONE && bar->size && vd->guest->hw[i];
}

static int add_bar(struct vpci_dev *vd, unsigned i)
{
    struct vpci_reg reg = { .offset = (uint16_t)(PCI_REG_BAR0 + i * 4),
                            .size = 4,
                            .index = (uint8_t)i,
                            .read = bar_read,
                            .write = bar_write,
                            .name = "bar" };
    int rc;

    if (!bar_usable(vd, i)) {
        reg.read = vpci_read_value;
        reg.write = vpci_write_ignored;
    }
    rc = vpci_add_reg(vd, &reg);
    if (rc || vd->pdev->bar[i].kind != PCI_BAR_MEM64)
        return rc;
    reg.offset = (uint16_t)(reg.offset + 4);
    reg.index |= BAR_UPPER;
    reg.name = "bar-high";
    return vpci_add_reg(vd, &reg);
}

static int add_bars(struct vpci_dev *vd)
{
    int rc = 0;

    for (unsigned i = 0; i < PCI_MAX_BARS && !rc; i++) {
        rc = add_bar(vd, i);
        i += vd->pdev->bar[i].kind == PCI_BAR_MEM64;
    }
    return rc;
}

static int add_rom(struct vpci_dev *vd)
{
    struct vpci_reg reg = {
        .offset = PCI_REG_ROM, .size = 4, .read = rom_read, .write = rom_write, .name = "rom"
    };

    if (!bar_usable(vd, VPCI_ROM)) {
        reg.read = vpci_read_value;
        reg.write = vpci_write_ignored;
    }
    return vpci_add_reg(vd, &reg);
}

/* BARs, the ROM and the list of capabilities aside. read NULL: the hardware's value. */
static const struct vpci_reg header[] = {
    { .offset = PCI_REG_COMMAND,
      .size = 2,
      .ro = 0xffff & ~(uint32_t)COMMAND_BITS,
      .read = command_read,
      .write = command_write,
      .name = "command" },
    { .offset = PCI_REG_CLASS_REV, .size = 4, .write = vpci_write_ignored, .name = "class" },
    { .offset = 0x0c, .size = 1, .write = hw_byte_write, .name = "cache-line" },
    { .offset = 0x0d, .size = 1, .write = hw_byte_write, .name = "latency" },
    { .offset = PCI_REG_HEADER_TYPE,
      .size = 1,
      .read = header_type_read,
      .write = vpci_write_ignored,
      .name = "header-type" },
    { .offset = 0x0f,
      .size = 1,
      .read = vpci_read_value,
      .write = vpci_write_ignored,
      .name = "bist" },
    { .offset = 0x28, .size = 4, .write = vpci_write_ignored, .name = "cardbus" },
    { .offset = 0x2c, .size = 4, .write = vpci_write_ignored, .name = "subsystem" },
    { .offset = 0x38,
      .size = 4,
      .read = vpci_read_value,
      .write = vpci_write_ignored,
      .name = "reserved" },
    { .offset = 0x3c, .size = 1, .read = line_read, .write = line_write, .name = "interrupt-line" },
    { .offset = PCI_REG_INT_PIN,
      .size = 1,
      .read = pin_read,
      .write = vpci_write_ignored,
      .name = "interrupt-pin" },
    { .offset = 0x3e, .size = 2, .write = vpci_write_ignored, .name = "latencies" },
};

int vpci_guest_header_init(struct vpci_dev *vd)
{
    struct vpci_reg status = { .offset = PCI_REG_STATUS,
                               .size = 2,
                               .ro = 0xffff & ~STATUS_RW1C,
                               .rw1c = STATUS_RW1C,
                               .value = PCI_STATUS_CAP_LIST,
                               .read = status_read,
                               .write = status_write,
                               .name = "status" };
    /* A virtual function's own register is empty. */
    struct vpci_reg id = { .offset = PCI_REG_VENDOR,
                           .size = 4,
                           .value = (uint32_t)vd->pdev->device << 16 | vd->pdev->vendor,
                           .read = vd->pdev->physfn ? vpci_read_value : NULL,
                           .write = vpci_write_ignored,
                           .name = "id" };
    int rc = vpci_add_reg(vd, &status);

    if (!rc)
        rc = vpci_add_reg(vd, &id);
    for (unsigned i = 0; i < ARRAY_SIZE(header) && !rc; i++)
        rc = vpci_add_reg(vd, &header[i]);
    if (!rc)
        rc = add_bars(vd);
    if (!rc)
        rc = add_rom(vd);
    return rc;
}
