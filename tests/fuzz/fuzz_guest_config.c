/* SPDX-License-Identifier: MIT */
/* FUZZ_SOURCES: xen-lite/trap/trap.c xen-lite/trap/reclaim.c xen-lite/trap/record.c xen-lite/trap/rules.c xen-lite/vdev/pci.c xen-lite/vdev/pci_probe.c xen-lite/vdev/pci_sriov.c xen-lite/vdev/vpci.c xen-lite/vdev/vpci_sriov.c xen-lite/vdev/vpci_bridge.c xen-lite/vdev/vpci_engine.c xen-lite/vdev/vpci_access.c xen-lite/vdev/vpci_header.c xen-lite/vdev/vpci_bars.c xen-lite/vdev/vpci_cap.c xen-lite/vdev/vmsi.c xen-lite/vdev/vmsix.c xen-lite/vdev/vmsix_page.c xen-lite/vdev/vroot.c xen-lite/vdev/vroot_port.c xen-lite/vdev/vpci_guest.c xen-lite/vdev/vpci_guest_header.c xen-lite/vdev/vpci_guest_bars.c xen-lite/vdev/vpci_guest_caps.c xen-lite/vdev/msi_bind.c xen-lite/vdev/ioreq.c xen-lite/vdev/ioreq_server.c xen-lite/vdev/ioreq_finish.c tests/unit/sim_ioreq.c tests/unit/sim_pci.c tests/unit/sim_guest.c tests/unit/sim.c */
/*
 * A hostile guest: random accesses to the configuration space of its root and of two functions, one
 * of them with capability lists that are random, too; to its device memory and ports; with resets,
 * hot-plug and allocation failures in between. Whatever it does: no crash, what is mapped is the
 * functions' own memory and no interrupt table, inside the root's windows; the hardware's BARs
 * stay; everything can be taken down again.
 */
#include <stdlib.h>
#include <string.h>

#include "lib/assert.h"
#include "mm/phys.h"
#include "sim.h"
#include "sim_guest.h"

#define DISK PCI_SBDF(0, 0, 4, 0)
#define EDU  PCI_SBDF(0, 0, 5, 0)

#define DISK_BAR0 (17ULL << 20)
#define DISK_BAR2 (18ULL << 20)
#define EDU_BAR0  ((20ULL << 20) + 0x800)
#define EDU_BAR1  ((20ULL << 20) + 0xa00)

static struct sim_function *disk, *edu;
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
    disk = sim_add(DISK, 0x1b36, 0x10);
    sim_bar(disk, 0, 16 << 10, DISK_BAR0, true);
    sim_bar(disk, 2, 1 << 20, DISK_BAR2, true);
    sim_cap(disk, PCI_CAP_PCIE, 0x18);
    sim_msix(disk, 65, 0, 0x2040, 0, 0x3000);
    edu = sim_add(EDU, 0x1234, 0x11e8);
    sim_bar(edu, 0, 256, EDU_BAR0, false);
    sim_bar(edu, 1, 256, EDU_BAR1, false);
    sim_io_bar(edu, 2, 32, 0x3000);
    sim_rom(edu, 4096, 21 << 20);
    sim_msi(edu, true, true, 2);
    sim_msix(edu, 2, 1, 0, 1, 0x80);
    /* Where lists lead from there is the input's. */
    for (unsigned i = 0; i < 8; i++) {
        unsigned at = 0x40 + take(1) % 0xc0;

        if (at <= disk->msix + 1 || at >= disk->msix + 12)
            disk->config[at] = (uint8_t)take(1);
    }
    for (unsigned i = 0; i < 16; i++)
        disk->config[0x100 + take(2) % 0x100] = (uint8_t)take(1);
}

static void check_page(uint64_t gfn, uint64_t mfn)
{
    uint64_t gpa = gfn << PAGE_SHIFT, pa = mfn << PAGE_SHIFT;
    /* If the list leads there. */
    unsigned open = pci_find(DISK)->msix.nr ? 0x2000 : 0x4000;

    ASSERT((pa >= DISK_BAR0 && pa < DISK_BAR0 + open) ||
           (pa >= DISK_BAR2 && pa < DISK_BAR2 + (1 << 20)));
    ASSERT((gpa >= XENLITE_PCI_MMIO_BASE && gpa - XENLITE_PCI_MMIO_BASE < XENLITE_PCI_MMIO_SIZE) ||
           (gpa >= XENLITE_PCI_MMIO64_BASE &&
            gpa - XENLITE_PCI_MMIO64_BASE < XENLITE_PCI_MMIO64_SIZE));
}

static void check(void)
{
    ASSERT(sim_guest_nr_mapped() <= 4 + 256);
    sim_guest_for_each(check_page);
    ASSERT(!disk->bar_writes_decoded && !edu->bar_writes_decoded);
}

/* Values that mean something where they are written. */
static uint32_t some_value(void)
{
    switch (take(1) % 6) {
    case 0:
        return ~0u;
    case 1:
        return XENLITE_PCI_MMIO_BASE + (take(1) << 12);
    case 2:
        return (uint32_t)(XENLITE_PCI_MMIO64_BASE >> 32);
    case 3:
        return take(1);
    case 4:
        return 0xfee00000 | take(1) << 12;
    default:
        return take(4);
    }
}

static uint32_t some_function(void)
{
    unsigned slot = take(1);

    return slot & 3 ? PCI_SBDF(0, 1 + slot % 3, 0, slot >> 6) : PCI_SBDF(0, 0, slot >> 2 & 0x1f, 0);
}

static void config_access(void)
{
    uint32_t sbdf = some_function();
    unsigned reg = take(2) & 0x1ff, size = 1u << take(1) % 4;
    uint64_t addr = XENLITE_PCI_ECAM_BASE + ((uint64_t)sbdf << 12) + reg, val = some_value();

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

static void device_access(void)
{
    uint64_t val = some_value(),
             base = take(1) & 1 ? XENLITE_PCI_MMIO_BASE : XENLITE_PCI_MMIO64_BASE;
    uint64_t gpa = base + (take(3) & 0x1fffff);
    unsigned size = 1u << take(1) % 4;

    if (take(1) & 1)
        trap_pio_access(SIM_VCPU, (uint16_t)(XENLITE_PCI_IO_BASE + take(2) % XENLITE_PCI_IO_SIZE),
                        size > 4 ? 4 : size, take(1) & 1, &val);
    else if ((gpa & (PAGE_SIZE - 1)) + size <= PAGE_SIZE)
        guest_mem(gpa, size, take(1) & 1, &val);
}

static void event(void)
{
    uint32_t sbdf = take(1) & 1 ? DISK : EDU;
    unsigned slot = 1 + take(1) % 3;

    switch (take(1) % 8) {
    case 0:
        vpci_guest_attach(SIM_DOMAIN, sbdf, slot, take(1) & 1);
        break;
    case 1:
        vpci_guest_detach(SIM_DOMAIN, sbdf);
        break;
    case 2:
        sim_flr(sbdf == DISK ? disk : edu);
        break;
    case 3:
        sim_heap_fail_after = take(1) % 8;
        break;
    case 4:
        sim_p2m_fails = !sim_p2m_fails;
        break;
    case 5:
        sim_bind_fails = !sim_bind_fails;
        break;
    case 6:
        vroot_request_eject(SIM_DOMAIN, slot);
        break;
    default:
        sim_guest_started = true;
        break;
    }
}

/* Bus n + 1 is behind port n + 1, both functions are there. */
static void begin(void)
{
    sim_guest_begin();
    vpci_guest_attach(SIM_DOMAIN, DISK, 1, 0);
    vpci_guest_attach(SIM_DOMAIN, EDU, 2, 0);
    for (unsigned slot = 1; slot <= 3; slot++)
        cfg_write(PCI_SBDF(0, 0, slot, 0), PCI_REG_PRIMARY_BUS, 4, slot << 16 | slot << 8);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    input = data;
    left = size;
    sim_heap_fail_after = 0;
    sim_reset();
    build();
    begin();
    while (left) {
        unsigned what = take(1) % 16;

        if (what < 10)
            config_access();
        else if (what < 14)
            device_access();
        else
            event();
        check();
    }
    sim_heap_fail_after = 0;
    sim_p2m_fails = false;
    sim_guest_end();
    sim_finish();
    return 0;
}
