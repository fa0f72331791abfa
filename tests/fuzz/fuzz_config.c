/* SPDX-License-Identifier: MIT */
/* FUZZ_SOURCES: xen-lite/trap/trap.c xen-lite/trap/reclaim.c xen-lite/trap/record.c xen-lite/trap/rules.c xen-lite/vdev/pci.c xen-lite/vdev/pci_probe.c xen-lite/vdev/pci_sriov.c xen-lite/vdev/vpci.c xen-lite/vdev/vpci_sriov.c xen-lite/vdev/vpci_bridge.c xen-lite/vdev/vpci_engine.c xen-lite/vdev/vpci_access.c xen-lite/vdev/vpci_header.c xen-lite/vdev/vpci_bars.c xen-lite/vdev/vpci_cap.c xen-lite/vdev/vmsi.c xen-lite/vdev/vmsix.c xen-lite/vdev/vmsix_page.c xen-lite/vdev/vroot.c xen-lite/vdev/vroot_port.c xen-lite/vdev/vpci_guest.c xen-lite/vdev/vpci_guest_header.c xen-lite/vdev/vpci_guest_bars.c xen-lite/vdev/vpci_guest_caps.c xen-lite/vdev/msi_bind.c xen-lite/vdev/ioreq.c xen-lite/vdev/ioreq_server.c xen-lite/vdev/ioreq_finish.c tests/unit/sim_ioreq.c tests/unit/sim_pci.c tests/unit/sim_guest.c tests/unit/sim.c */
/*
 * Random configuration and memory accesses of a control domain to a few functions, with hot plug, resets
 * and allocation failures in between.  Whatever it does: no crash, no page with an interrupt table and
 * no reserved or RAM page is mapped as device memory, what is mapped belongs to a decoding BAR, no entry
 * or capability sends anything but a message of ours, and everything can be taken down again.
 */
#include <stdlib.h>
#include <string.h>

#include "lib/assert.h"
#include "mm/phys.h"
#include "sim.h"
#include "sim_pci.h"

#define NIC   PCI_SBDF(0, 0, 2, 0)
#define EDU   PCI_SBDF(0, 0, 2, 1)
#define PORT  PCI_SBDF(0, 0, 3, 0)
#define DISK  PCI_SBDF(0, 1, 0, 0)
#define SMALL PCI_SBDF(0, 1, 0, 1)
#define ECAM  0xb0000000ULL

static const uint32_t functions[] = { NIC, EDU, PORT, DISK, SMALL, PCI_SBDF(0, 1, 3, 0) };

static const uint8_t *input;
static size_t left;

static uint32_t take(unsigned bytes)
{
    uint32_t val = 0;

    for (unsigned i = 0; i < bytes && left; i++, left--)
        val = val << 8 | *input++;
    return val;
}

static void build(void)
{
    struct sim_function *f = sim_add(NIC, 0x8086, 0x10d3);

    f->config[PCI_REG_HEADER_TYPE] = PCI_HEADER_MULTI;
    sim_bar(f, 0, 128 << 10, 17 << 20, false);
    sim_bar(f, 3, 16 << 10, 18 << 20, false);
    sim_io_bar(f, 2, 32, 0xc000);
    sim_rom(f, 64 << 10, 0);
    sim_msi(f, true, false, 0);
    sim_msix(f, 5, 3, 0, 3, 0x2000);
    f = sim_add(EDU, 0x1234, 0x11e8);
    sim_bar(f, 0, 1 << 20, 19 << 20, false);
    sim_msi(f, true, true, 4);
    f = sim_add(PORT, 0x1b36, 0xc);
    sim_bridge(f, 1, 1);
    sim_bar(f, 0, 4096, 21 << 20, false);
    sim_msix(f, 1, 0, 0, 0, 0x800);
    f = sim_add(DISK, 0x1b36, 0x10);
    f->config[PCI_REG_HEADER_TYPE] = PCI_HEADER_MULTI;
    sim_bar(f, 0, 16 << 10, 22 << 20, true);
    sim_bar(f, 4, 1 << 20, 32 << 20, true);
    sim_msix(f, 65, 0, 0x2200, 0, 0x3000);
    sim_decode(f, true);
    f = sim_add(SMALL, 1, 1);
    sim_bar(f, 0, 256, (22 << 20) + 0x800, false);
    sim_bar(f, 1, 256, (22 << 20) + 0x900, false);
    sim_msix(f, 2, 1, 0, 1, 0x80);
}

static bool decodes(const struct sim_function *f)
{
    return f->present && (f->config[PCI_REG_COMMAND] & PCI_COMMAND_MEMORY);
}

static uint64_t reg_place(const struct sim_function *f, unsigned reg)
{
    uint32_t where = sim_config32(f, f->msix + reg);

    return sim_bar_addr(f, where & 7) + (where & ~7u);
}

static void check_table(const struct sim_function *f)
{
    unsigned nr = (sim_config32(f, f->msix) >> 16 & PCI_MSIX_SIZE_MASK) + 1;
    uint64_t table = reg_place(f, PCI_MSIX_TABLE), pba = reg_place(f, PCI_MSIX_PBA);

    if (!decodes(f))
        return;
    for (uint64_t a = table & PAGE_MASK; a < table + nr * 16; a += PAGE_SIZE)
        ASSERT(!sim_mapped(a));
    for (uint64_t a = pba & PAGE_MASK; a < pba + (nr + 63) / 64 * 8; a += PAGE_SIZE)
        ASSERT(!sim_mapped(a));
}

static void check_msi(const struct sim_function *f)
{
    uint32_t control = sim_config32(f, f->msi) >> 16;
    uint64_t addr = sim_config32(f, f->msi + 4) | (uint64_t)sim_config32(f, f->msi + 8) << 32;

    if (!(control & PCI_MSI_ENABLE) || !vpci_find(&sim_vpci, f->sbdf))
        return;
    ASSERT(control & PCI_MSI_64BIT);
    ASSERT(!(control & PCI_MSI_MME_MASK));
    ASSERT(sim_girq_of_message(addr, sim_config32(f, f->msi + 12) & 0xffff));
}

static bool in_decoding_bar(uint64_t page)
{
    for (unsigned i = 0; i < sim_nr_functions; i++) {
        const struct vpci_dev *vd = vpci_find(&sim_vpci, sim_functions[i].sbdf);

        for (unsigned b = 0; vd && b < VPCI_NR_RANGES; b++)
            if (vd->range[b].nr && page >> PAGE_SHIFT >= vd->range[b].gfn &&
                page >> PAGE_SHIFT < vd->range[b].gfn + vd->range[b].nr)
                return true;
    }
    return false;
}

static void check(void)
{
    for (uint64_t a = SIM_RESERVED; a < SIM_RESERVED_END; a += PAGE_SIZE)
        ASSERT(!sim_mapped(a));
    for (uint64_t a = SIM_RAM; a < SIM_RAM_END; a += PAGE_SIZE)
        ASSERT(!sim_mapped(a));
    for (uint64_t a = 0; a < SIM_MMIO_END; a += PAGE_SIZE)
        ASSERT(!sim_mapped(a) || in_decoding_bar(a));
    for (unsigned i = 0; i < sim_nr_functions; i++) {
        if (sim_functions[i].msix)
            check_table(&sim_functions[i]);
        if (sim_functions[i].msi)
            check_msi(&sim_functions[i]);
        ASSERT(!sim_functions[i].bar_writes_decoded);
    }
}

/* Values that mean something where they are written: addresses, all ones, messages. */
static uint32_t some_value(void)
{
    switch (take(1) % 6) {
    case 0:
        return ~0u;
    case 1:
        return (16 + take(1) % 48) << 20 | (take(1) & 0xf) << 12;
    case 2:
        return 0xfee00000 | take(1) << 12;
    case 3:
        return take(1);
    case 4:
        return (22u << 20) + (take(1) << 8);
    default:
        return take(4);
    }
}

static void config_access(void)
{
    uint32_t sbdf = functions[take(1) % ARRAY_SIZE(functions)];
    unsigned reg = take(1), size = 1u << take(1) % 4;
    uint64_t addr = ECAM + ((uint64_t)sbdf << 12) + reg, val = some_value();

    if (take(1) & 1) {
        trap_mmio_access(SIM_VCPU, addr, size, take(1) & 3, &val);
        return;
    }
    val = 0x80000000 | sbdf << 8 | (reg & 0xfc);
    trap_pio_access(SIM_VCPU, 0xcf8, 4, true, &val);
    val = some_value();
    trap_pio_access(SIM_VCPU, (uint16_t)(0xcfc + (reg & 3)), size > 4 ? 4 : size, take(1) & 3,
                    &val);
}

/* Where device memory may be: anywhere in its space, or in somebody's interrupt table. */
static void memory_access(void)
{
    const struct sim_function *f = &sim_functions[take(1) % sim_nr_functions];
    uint64_t gpa = (uint64_t)(16 + take(1) % 48) << 20 | (take(2) & 0xfffff), val;
    unsigned size = 1u << take(1) % 4;

    if (f->msix && take(1) & 3)
        gpa = reg_place(f, PCI_MSIX_TABLE) + take(1);
    if (gpa + size > SIM_MMIO_END || gpa < SIM_MMIO_FIRST)
        return;
    if ((gpa & (PAGE_SIZE - 1)) + size > PAGE_SIZE)
        return;
    if (take(1) & 1)
        mem_read(gpa, size, &val);
    else
        mem_write(gpa, size, some_value());
}

static void event(void)
{
    struct sim_function *f = &sim_functions[take(1) % sim_nr_functions];

    switch (take(1) % 8) {
    case 0:
        f->present = !f->present;
        break;
    case 1:
        if (f->present && !(f->config[PCI_REG_HEADER_TYPE] & 0x7f))
            f->config[PCI_REG_COMMAND] = 0; /* the part of a reset that matters most */
        break;
    case 2:
        vpci_physdev_add(SIM_DOMAIN, f->sbdf, take(1), take(2));
        break;
    case 3:
        vpci_physdev_remove(SIM_DOMAIN, f->sbdf);
        break;
    case 4:
        sim_heap_fail_after = take(1) % 8;
        break;
    case 5:
        sim_p2m_fails = !sim_p2m_fails;
        break;
    case 6:
        sim_bind_fails = !sim_bind_fails;
        break;
    default:
        sim_found_fails = !sim_found_fails;
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    input = data;
    left = size;
    sim_heap_fail_after = 0;
    sim_reset();
    build();
    vpci_add_ecam(&sim_vpci, ECAM, 0, 0, 255);
    sim_boot();
    check();
    while (left) {
        unsigned what = take(1) % 16;

        if (what < 11)
            config_access();
        else if (what < 15)
            memory_access();
        else
            event();
    }
    check();
    sim_heap_fail_after = 0;
    sim_finish();
    return 0;
}
