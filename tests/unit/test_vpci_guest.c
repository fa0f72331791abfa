/* SPDX-License-Identifier: MIT */
/*
 * Physical functions in a guest: header, BARs that the guest sizes and moves (also to where they
 * must not be), what traps, filtered capabilities, and random accesses with the invariants checked
 * after each.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/errno.h"
#include "mm/phys.h"
#include "sim.h"
#include "sim_guest.h"
#include "vdev/vmsix.h"

#define DISK_HW  PCI_SBDF(0, 0, 4, 0)
#define SMALL_HW PCI_SBDF(0, 0, 5, 0)
#define DISK     PCI_SBDF(0, 1, 0, 0) /* in the guest */
#define SMALL    PCI_SBDF(0, 2, 0, 0)

#define MIB(n)     ((uint64_t)(n) << 20)
#define DISK_BAR0  MIB(17)
#define DISK_BAR2  MIB(18)
#define SMALL_BAR0 (MIB(20) + 0x800)
#define SMALL_BAR1 (MIB(20) + 0xa00)
#define SMALL_ROM  MIB(21)

#define LOW  ((uint64_t)XENLITE_PCI_MMIO_BASE)
#define HIGH ((uint64_t)XENLITE_PCI_MMIO64_BASE)

#define MEM          PCI_COMMAND_MEMORY
#define IO           PCI_COMMAND_IO
#define TABLE_OFFSET 0x2040u
#define PBA_OFFSET   0x3000u

static struct sim_function *disk, *small;

static void put16(struct sim_function *f, unsigned reg, uint16_t val)
{
    f->config[reg] = (uint8_t)val;
    f->config[reg + 1] = (uint8_t)(val >> 8);
}

static void put32(struct sim_function *f, unsigned reg, uint32_t val)
{
    put16(f, reg, (uint16_t)val);
    put16(f, reg + 2, (uint16_t)(val >> 16));
}

static void build(void)
{
    disk = sim_add(DISK_HW, 0x1b36, 0x10);
    sim_bar(disk, 0, 16 << 10, DISK_BAR0, true);
    sim_bar(disk, 2, 1 << 20, DISK_BAR2, true);
    sim_msix(disk, 65, 0, TABLE_OFFSET, 0, PBA_OFFSET);
    small = sim_add(SMALL_HW, 1, 2);
    sim_bar(small, 0, 256, SMALL_BAR0, false);
    sim_bar(small, 1, 256, SMALL_BAR1, false);
    sim_io_bar(small, 2, 32, 0x3000);
    sim_rom(small, 4096, SMALL_ROM);
    sim_msi(small, true, true, 2);
    sim_msix(small, 2, 1, 0, 1, 0x80);
}

static void attach(void)
{
    assert_int_equal(vpci_guest_attach(SIM_DOMAIN, DISK_HW, 1, 0), 0);
    assert_int_equal(vpci_guest_attach(SIM_DOMAIN, SMALL_HW, 2, 0), 0);
    for (unsigned slot = 1; slot <= 2; slot++)
        cfg_write(PCI_SBDF(0, 0, slot, 0), PCI_REG_PRIMARY_BUS, 4, slot << 16 | slot << 8);
}

static int setup(void **state)
{
    (void)state;
    sim_reset();
    build();
    sim_guest_begin();
    return 0;
}

static int setup_attached(void **state)
{
    setup(state);
    attach();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    sim_guest_end();
    sim_finish();
    return 0;
}

static void set_bar(uint32_t sbdf, unsigned i, uint64_t addr, bool is_64)
{
    cfg_write(sbdf, PCI_REG_BAR0 + i * 4, 4, (uint32_t)addr);
    if (is_64)
        cfg_write(sbdf, PCI_REG_BAR0 + i * 4 + 4, 4, (uint32_t)(addr >> 32));
}

static void decode(uint32_t sbdf, uint16_t bits)
{
    cfg_write(sbdf, PCI_REG_COMMAND, 2, bits);
}

static bool maps(uint64_t gpa, uint64_t hw)
{
    return sim_guest_mfn(gpa) == hw >> PAGE_SHIFT;
}

static bool unmapped(uint64_t gpa)
{
    return sim_guest_mfn(gpa) == INVALID_MFN;
}

/* The hardware's BARs never move. */
static void check_hardware(void)
{
    assert_int_equal(sim_bar_addr(disk, 0), DISK_BAR0);
    assert_int_equal(sim_bar_addr(disk, 2), DISK_BAR2);
    assert_int_equal(sim_bar_addr(small, 0), SMALL_BAR0);
    assert_int_equal(sim_bar_addr(small, 1), SMALL_BAR1);
    assert_int_equal(disk->bar_writes_decoded + small->bar_writes_decoded, 0);
}

static void test_header(void **state)
{
    (void)state;
    assert_int_equal(cfg_read(DISK, 0, 4), 0x00101b36);
    assert_int_equal(cfg_read(DISK, PCI_REG_HEADER_TYPE, 2), 0);
    cfg_write(DISK, 0, 4, ~0u);
    cfg_write(DISK, PCI_REG_CLASS_REV, 4, ~0u);
    cfg_write(DISK, 0x2c, 4, ~0u);
    assert_int_equal(cfg_read(DISK, 0, 4), 0x00101b36);
    /* The self-test's start bit does not get through; the line register is the guest's own. */
    disk->config[0x0f] = 0x80;
    disk->writable[0x0f] = 0xff;
    assert_int_equal(cfg_read(DISK, 0x0f, 1), 0);
    cfg_write(DISK, 0x0c, 4, 0x40000010);
    assert_int_equal(disk->config[0x0f], 0x80);
    assert_int_equal(disk->config[0x0c], 0x10);
    disk->config[0x3c] = 9;
    disk->config[0x3d] = 1;
    assert_int_equal(cfg_read(DISK, 0x3c, 2), 0x0100);
    cfg_write(DISK, 0x3c, 2, 0xff0b);
    assert_int_equal(cfg_read(DISK, 0x3c, 2), 0x010b);
    assert_int_equal(disk->config[0x3c], 9);
    /* Command: decoding, bus master and INTx are the guest's, the rest is not. */
    disk->config[5] = 0x01;
    cfg_write(DISK, PCI_REG_COMMAND, 2, 0xffff & ~IO);
    assert_int_equal(sim_config32(disk, 4) & 0xffff, 0x0506);
    assert_int_equal(cfg_read(DISK, PCI_REG_COMMAND, 2), 0x0506);
    /* Status: ones clear, bytes that are not written do not. */
    put16(disk, PCI_REG_STATUS, 0xf910);
    assert_int_equal(cfg_read(DISK, PCI_REG_STATUS, 2), 0xf910);
    cfg_write(DISK, PCI_REG_STATUS, 1, 0xff);
    assert_int_equal(cfg_read(DISK, PCI_REG_STATUS, 2), 0xf910);
    cfg_write(DISK, PCI_REG_STATUS, 2, 0x8000);
    assert_int_equal(cfg_read(DISK, PCI_REG_STATUS, 2), 0x7910);
    cfg_write(DISK, PCI_REG_COMMAND, 4, 0x10000404);
    assert_int_equal(cfg_read(DISK, PCI_REG_COMMAND, 4), 0x69100504);
}

static void test_sizing(void **state)
{
    (void)state;
    /* A guest finds no address in a BAR, whatever the hardware's is. */
    for (unsigned i = 0; i < 6; i++)
        assert_int_equal(cfg_read(DISK, PCI_REG_BAR0 + i * 4, 4) & ~0xfu, 0);
    set_bar(DISK, 0, ~0ULL, true);
    assert_int_equal(cfg_read(DISK, 0x10, 4), 0xffffc004);
    assert_int_equal(cfg_read(DISK, 0x14, 4), 0xffffffff);
    set_bar(SMALL, 0, ~0u, false);
    assert_int_equal(cfg_read(SMALL, 0x10, 4), 0xffffff00);
    set_bar(SMALL, 2, ~0u, false);
    assert_int_equal(cfg_read(SMALL, 0x18, 4), 0xffe1);
    set_bar(SMALL, 3, ~0u, false);
    assert_int_equal(cfg_read(SMALL, 0x1c, 4), 0);
    cfg_write(SMALL, PCI_REG_ROM, 4, 0xfffff800);
    assert_int_equal(cfg_read(SMALL, PCI_REG_ROM, 4), 0xfffff000);
    cfg_write(DISK, PCI_REG_ROM, 4, 0xfffff800);
    assert_int_equal(cfg_read(DISK, PCI_REG_ROM, 4), 0);
    /* By bytes, in any order. */
    cfg_write(DISK, 0x13, 1, 0xc1);
    cfg_write(DISK, 0x10, 2, 0x8000);
    cfg_write(DISK, 0x12, 1, 0x23);
    assert_int_equal(cfg_read(DISK, 0x10, 4), 0xc1238004);
    assert_int_equal(cfg_read(DISK, 0x11, 2), 0x2380);
    check_hardware();
}

static void test_map(void **state)
{
    uint64_t val;

    (void)state;
    set_bar(DISK, 0, HIGH + MIB(1), true);
    set_bar(DISK, 2, LOW, true);
    assert_int_equal(sim_guest_nr_mapped(), 0);
    decode(DISK, MEM | PCI_COMMAND_MASTER);
    assert_true(disk->config[4] & MEM);
    assert_true(maps(HIGH + MIB(1), DISK_BAR0));
    assert_true(maps(HIGH + MIB(1) + 0x1000, DISK_BAR0 + 0x1000));
    assert_true(unmapped(HIGH + MIB(1) + 0x2000)); /* table */
    assert_true(unmapped(HIGH + MIB(1) + 0x3000)); /* pending bits */
    assert_true(maps(LOW + MIB(1) - 1, DISK_BAR2 + MIB(1) - 1));
    assert_int_equal(sim_guest_nr_mapped(), 2 + 256);
    /* The table is kept, its neighbours are the device's. */
    val = 0xfee00000;
    assert_int_equal(guest_mem(HIGH + MIB(1) + TABLE_OFFSET, 4, true, &val), TRAP_DONE);
    assert_int_equal(guest_mem(HIGH + MIB(1) + TABLE_OFFSET, 4, false, &val), TRAP_DONE);
    assert_int_equal(val, 0xfee00000);
    val = 0x1122334455667788;
    assert_int_equal(guest_mem(HIGH + MIB(1) + 0x2008, 8, true, &val), TRAP_DONE);
    assert_int_equal(*(uint64_t *)phys_to_virt(DISK_BAR0 + 0x2008), 0x1122334455667788);
    assert_int_equal(guest_mem(HIGH + MIB(1) + 0x2009, 2, false, &val), TRAP_DONE);
    assert_int_equal(val, 0x6677);
    /* Decoding off: nothing is there. */
    decode(DISK, 0);
    assert_int_equal(sim_guest_nr_mapped(), 0);
    assert_int_equal(guest_mem(HIGH + MIB(1) + TABLE_OFFSET, 4, false, &val), TRAP_NONE);
    check_hardware();
}

static void test_move(void **state)
{
    uint64_t val = 0xabc;

    (void)state;
    set_bar(DISK, 0, LOW, true);
    decode(DISK, MEM);
    assert_int_equal(guest_mem(LOW + TABLE_OFFSET + 8, 4, true, &val), TRAP_DONE);
    assert_int_equal(sim_guest_nr_mapped(), 2);
    /* While it decodes: as in hardware it is elsewhere at once, its table with it. */
    cfg_write(DISK, 0x10, 4, (uint32_t)LOW + (uint32_t)MIB(2));
    assert_true(unmapped(LOW));
    assert_true(maps(LOW + MIB(2), DISK_BAR0));
    assert_int_equal(guest_mem(LOW + TABLE_OFFSET + 8, 4, false, &val), TRAP_NONE);
    assert_int_equal(guest_mem(LOW + MIB(2) + TABLE_OFFSET + 8, 4, false, &val), TRAP_DONE);
    assert_int_equal(val, 0xabc);
    /* In two halves, with a place in between that is nowhere. */
    cfg_write(DISK, 0x14, 4, (uint32_t)(HIGH >> 32));
    assert_int_equal(sim_guest_nr_mapped(), 2);
    assert_true(maps(HIGH + LOW + MIB(2), DISK_BAR0));
    cfg_write(DISK, 0x10, 4, 0);
    assert_true(maps(HIGH, DISK_BAR0));
    /* Sized while it decodes. */
    cfg_write(DISK, 0x10, 4, ~0u);
    assert_true(maps(HIGH + 0xffffc000, DISK_BAR0)); /* which happens to be in the window */
    cfg_write(DISK, 0x14, 4, ~0u);
    assert_int_equal(sim_guest_nr_mapped(), 0);
    assert_int_equal(cfg_read(DISK, 0x10, 4), 0xffffc004);
    cfg_write(DISK, 0x14, 4, (uint32_t)(HIGH >> 32));
    cfg_write(DISK, 0x10, 4, 0);
    assert_int_equal(sim_guest_nr_mapped(), 2);
    check_hardware();
}

static void refused(unsigned i, uint64_t addr, enum deny_rule rule)
{
    uint64_t before = deny_count(rule);

    set_bar(DISK, i, addr, true);
    decode(DISK, MEM);
    assert_int_equal(deny_count(rule), before + 1);
    assert_non_null(vpci_find(&sim_vpci, DISK)->range[i].refused);
    decode(DISK, 0);
    set_bar(DISK, i, 0, true);
    assert_int_equal(sim_guest_nr_mapped(), 0);
}

static void test_hostile(void **state)
{
    static const uint64_t nowhere[] = { 0x100000,      0xfee00000,
                                        0xfec00000,    XENLITE_PCI_ECAM_BASE,
                                        LOW - MIB(1),  MIB(4096),
                                        HIGH - MIB(1), HIGH + XENLITE_PCI_MMIO64_SIZE,
                                        1ULL << 52,    1ULL << 63 };

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(nowhere); i++)
        refused(2, nowhere[i], DENY_BAR_WINDOW);
    /* RAM that lies in the window. */
    sim_guest_ram((LOW + MIB(3)) >> PAGE_SHIFT);
    refused(2, LOW + MIB(3), DENY_BAR_FORBIDDEN);
    assert_int_equal(sim_guest_mfn(LOW + MIB(3)), SIM_RAM >> PAGE_SHIFT);
    /* The ends of the windows are inside. */
    set_bar(DISK, 2, LOW + XENLITE_PCI_MMIO_SIZE - MIB(1), true);
    decode(DISK, MEM);
    assert_int_equal(sim_guest_nr_mapped(), 256);
    decode(DISK, 0);
    set_bar(DISK, 2, HIGH + XENLITE_PCI_MMIO64_SIZE - MIB(1), true);
    decode(DISK, MEM);
    assert_int_equal(sim_guest_nr_mapped(), 256);
}

static void test_overlap(void **state)
{
    uint64_t before = deny_count(DENY_BAR_OVERLAP), val;

    (void)state;
    set_bar(DISK, 0, LOW + MIB(1), true);
    set_bar(DISK, 2, LOW + MIB(1), true);
    decode(DISK, MEM);
    assert_int_equal(deny_count(DENY_BAR_OVERLAP), before + 1);
    assert_true(maps(LOW + MIB(1), DISK_BAR0));
    assert_int_equal(sim_guest_nr_mapped(), 2);
    /* The other one onto the table, while it is in use. */
    assert_true(unmapped(LOW + MIB(1) + 0x2000));
    /* Another function onto it, and into the page of the table. */
    set_bar(SMALL, 0, LOW + MIB(1) + 0x2000, false);
    decode(SMALL, MEM);
    assert_int_equal(deny_count(DENY_BAR_OVERLAP), before + 2);
    assert_int_equal(guest_mem(LOW + MIB(1) + 0x2000, 4, false, &val), TRAP_DONE);
    assert_null(vpci_find(&sim_vpci, SMALL)->guest->trap[0]);
    /* When the first one goes away, its place is free for the next that asks. */
    decode(DISK, 0);
    decode(SMALL, 0);
    decode(SMALL, MEM);
    assert_non_null(vpci_find(&sim_vpci, SMALL)->guest->trap[0]);
    decode(DISK, MEM);
    assert_true(unmapped(LOW + MIB(1)));
    check_hardware();
}

static void test_small(void **state)
{
    uint8_t *hw;
    uint64_t val;

    (void)state;
    hw = phys_to_virt(SMALL_BAR0);
    memset(phys_to_virt(MIB(20)), 0x5a, PAGE_SIZE);
    set_bar(SMALL, 0, LOW + 0x500, false);
    set_bar(SMALL, 1, LOW + 0x600, false);
    decode(SMALL, MEM);
    assert_int_equal(sim_guest_nr_mapped(), 0);
    /* Byte-exact, any width, and not a byte beside. */
    val = 0xa1;
    assert_int_equal(guest_mem(LOW + 0x503, 1, true, &val), TRAP_DONE);
    assert_int_equal(hw[3], 0xa1);
    assert_int_equal(hw[2], 0x5a);
    assert_int_equal(hw[4], 0x5a);
    val = 0x1122334455667788;
    assert_int_equal(guest_mem(LOW + 0x501, 8, true, &val), TRAP_DONE);
    assert_int_equal(guest_mem(LOW + 0x502, 4, false, &val), TRAP_DONE);
    assert_int_equal(val, 0x44556677);
    assert_int_equal(guest_mem(LOW + 0x5fe, 4, false, &val), TRAP_DENIED);
    assert_int_equal(guest_mem(LOW + 0x4ff, 1, false, &val), TRAP_NONE);
    assert_int_equal(guest_mem(LOW + 0x700, 1, false, &val), TRAP_NONE);
    /* The second one holds the table and the pending bits. */
    val = 0x77;
    assert_int_equal(guest_mem(LOW + 0x608, 4, true, &val), TRAP_DONE);
    assert_int_equal(guest_mem(LOW + 0x608, 4, false, &val), TRAP_DONE);
    assert_int_equal(val, 0x77);
    assert_int_not_equal(*(uint32_t *)phys_to_virt(SMALL_BAR1 + 8), 0x77);
    assert_int_equal(guest_mem(LOW + 0x680, 8, true, &val), TRAP_DENIED);
    val = 0x99;
    assert_int_equal(guest_mem(LOW + 0x6f0, 1, true, &val), TRAP_DONE);
    assert_int_equal(*(uint8_t *)phys_to_virt(SMALL_BAR1 + 0xf0), 0x99);
    decode(SMALL, 0);
    assert_int_equal(guest_mem(LOW + 0x503, 1, false, &val), TRAP_NONE);
    assert_int_equal(guest_mem(LOW + 0x608, 4, false, &val), TRAP_NONE);
}

static void test_ports(void **state)
{
    uint64_t val, before = deny_count(DENY_BAR_WINDOW);

    (void)state;
    set_bar(SMALL, 2, 0x60, false); /* the keyboard's, if there were one */
    decode(SMALL, IO);
    assert_int_equal(deny_count(DENY_BAR_WINDOW), before + 1);
    assert_true(small->config[4] & IO);
    set_bar(SMALL, 2, 0xc120, false);
    val = 0x1234;
    assert_int_equal(trap_pio_access(SIM_VCPU, 0xc124, 2, true, &val), TRAP_DONE);
    assert_int_equal(sim_port_last, 0x3004);
    assert_int_equal(sim_port_value, 0x1234);
    assert_int_equal(trap_pio_access(SIM_VCPU, 0xc13f, 1, false, &val), TRAP_DONE);
    assert_int_equal(val, 0x34);
    assert_int_equal(sim_port_last, 0x301f);
    assert_int_equal(trap_pio_access(SIM_VCPU, 0xc140, 1, false, &val), TRAP_NONE);
    decode(SMALL, 0);
    assert_int_equal(trap_pio_access(SIM_VCPU, 0xc124, 2, false, &val), TRAP_NONE);
    assert_false(small->config[4] & IO);
}

static void test_rom(void **state)
{
    uint64_t val;
    uint8_t *hw;

    (void)state;
    hw = phys_to_virt(SMALL_ROM);
    hw[0] = 0x55;
    hw[1] = 0xaa;
    cfg_write(SMALL, PCI_REG_ROM, 4, (uint32_t)LOW | PCI_ROM_ENABLE);
    assert_int_equal(guest_mem(LOW, 2, false, &val), TRAP_NONE);
    decode(SMALL, MEM);
    assert_int_equal(guest_mem(LOW, 2, false, &val), TRAP_DONE);
    assert_int_equal(val, 0xaa55);
    assert_int_equal(sim_config32(small, PCI_REG_ROM), SMALL_ROM | PCI_ROM_ENABLE);
    val = 0;
    assert_int_equal(guest_mem(LOW, 2, true, &val), TRAP_DONE);
    assert_int_equal(hw[0], 0x55);
    cfg_write(SMALL, PCI_REG_ROM, 4, (uint32_t)LOW);
    assert_int_equal(guest_mem(LOW, 2, false, &val), TRAP_NONE);
    assert_int_equal(sim_config32(small, PCI_REG_ROM), SMALL_ROM);
    assert_int_equal(cfg_read(SMALL, PCI_REG_ROM, 4), (uint32_t)LOW);
}

/* Memory that the guest puts where its BAR is stays when the BAR goes, and nothing but that. */
static void test_covered(void **state)
{
    (void)state;
    set_bar(DISK, 2, LOW, true);
    decode(DISK, MEM);
    sim_guest_ram((LOW >> PAGE_SHIFT) + 7);
    sim_guest_ram((LOW >> PAGE_SHIFT) + 255);
    sim_unmaps = 0;
    decode(DISK, 0);
    assert_int_equal(sim_guest_nr_mapped(), 0);
    assert_int_equal(sim_unmaps, 2);
    assert_int_equal(sim_guest_mfn(LOW + 7 * PAGE_SIZE), SIM_RAM >> PAGE_SHIFT);
    assert_int_equal(sim_guest_mfn(LOW + 255 * PAGE_SIZE), SIM_RAM >> PAGE_SHIFT);
}

/*
 * A function level reset behind our back: the guest sees it, restores the command register, and
 * everything is as it was.
 */
static void test_reset(void **state)
{
    (void)state;
    set_bar(DISK, 0, HIGH, true);
    decode(DISK, MEM | PCI_COMMAND_MASTER);
    sim_flr(disk);
    assert_int_equal(cfg_read(DISK, PCI_REG_COMMAND, 2), 0);
    assert_int_equal(cfg_read(DISK, 0x14, 4), (uint32_t)(HIGH >> 32));
    decode(DISK, MEM | PCI_COMMAND_MASTER);
    check_hardware();
    assert_int_equal(disk->config[4], MEM | PCI_COMMAND_MASTER);
    assert_true(maps(HIGH, DISK_BAR0));
}

static void test_msix(void **state)
{
    unsigned control = disk->msix + PCI_MSIX_CONTROL;
    uint64_t table = LOW + TABLE_OFFSET, val;
    volatile uint32_t *hw;

    (void)state;
    hw = phys_to_virt(DISK_BAR0 + TABLE_OFFSET);
    hw[3] = 0;
    set_bar(DISK, 0, LOW, true);
    decode(DISK, MEM);
    assert_int_equal(hw[3], 1);
    cfg_write(DISK, control, 2, PCI_MSIX_ENABLE);
    assert_true(disk->config[control + 1] & 0x80);
    /* Its place is not the guest's to write, nor anybody's to decide. */
    assert_int_equal(vpci_write(&sim_vpci, DISK, control + 2, 4, ~0u), TRAP_DONE);
    assert_int_equal(cfg_read(DISK, control + 2, 4), TABLE_OFFSET);
    val = 0xfee00000;
    guest_mem(table, 4, true, &val);
    val = 0;
    guest_mem(table + 12, 4, true, &val);
    assert_int_equal(guest_mem(table + 12, 4, false, &val), TRAP_DONE);
    assert_int_equal(val, 0);
    /* Moved away, the table is out of reach, for the guest and for everybody else. */
    cfg_write(DISK, 0x10, 4, 0x1000000);
    assert_int_equal(guest_mem(table, 4, false, &val), TRAP_NONE);
    assert_false(vpci_find(&sim_vpci, DISK)->msix->trapped);
    cfg_write(DISK, 0x10, 4, (uint32_t)LOW);
    assert_int_equal(guest_mem(table, 4, false, &val), TRAP_DONE);
    assert_int_equal(val, 0xfee00000);
    assert_int_equal(vpci_guest_detach(SIM_DOMAIN, DISK_HW), 0);
    assert_int_equal(guest_mem(table, 4, false, &val), TRAP_NONE);
    assert_false(disk->config[control + 1] & 0x80);
    assert_int_equal(disk->config[4], 0);
}

static void test_page_table_fails(void **state)
{
    uint64_t before = deny_count(DENY_BAR_P2M);

    (void)state;
    set_bar(DISK, 2, LOW, true);
    sim_p2m_fails = true;
    decode(DISK, MEM);
    assert_int_equal(deny_count(DENY_BAR_P2M), before + 1);
    assert_int_equal(sim_guest_nr_mapped(), 0);
    sim_p2m_fails = false;
    decode(DISK, 0);
    decode(DISK, MEM);
    assert_int_equal(sim_guest_nr_mapped(), 256);
}

/* ---- capabilities ---- */

static void cap_at(struct sim_function *f, unsigned pos, uint8_t id, unsigned next)
{
    f->config[pos] = id;
    f->config[pos + 1] = (uint8_t)next;
}

static void ext_at(struct sim_function *f, unsigned pos, uint16_t id, unsigned next)
{
    put32(f, pos, next << 20 | 1u << 16 | id);
}

static struct sim_function *with_caps(void)
{
    struct sim_function *f = sim_add(PCI_SBDF(0, 0, 6, 0), 3, 4);

    memset(&f->config[0x40], 0xee, sizeof(f->config) - 0x40);
    f->config[PCI_REG_CAP_POINTER] = 0x43; /* the low bits do not count */
    cap_at(f, 0x40, 0x12, 0x50);           /* SATA: hidden */
    cap_at(f, 0x50, PCI_CAP_PM, 0x58);
    cap_at(f, 0x58, PCI_CAP_AF, 0xc0); /* hidden */
    cap_at(f, 0xc0, 0x09, 0x70);
    cap_at(f, 0x70, PCI_CAP_PCIE, 0xb0);
    put16(f, 0x72, 0x0292);        /* an integrated endpoint, version 2, message 1 */
    cap_at(f, 0xb0, 0x03, 0x50);   /* and back: a loop */
    ext_at(f, 0x100, 0x0d, 0x110); /* ACS: hidden */
    ext_at(f, 0x110, 0x01, 0x200);
    ext_at(f, 0x200, 0x10, 0x160); /* SR-IOV: hidden */
    ext_at(f, 0x160, 0x15, 0x180); /* resizable BARs: hidden */
    ext_at(f, 0x180, 0x03, 0x110); /* a loop */
    return f;
}

static void start_with(struct sim_function *f)
{
    sim_guest_begin();
    assert_int_equal(vpci_guest_attach(SIM_DOMAIN, f->sbdf, 1, 0), 0);
    cfg_write(PCI_SBDF(0, 0, 1, 0), PCI_REG_PRIMARY_BUS, 4, 0x010100);
}

static void test_filter(void **state)
{
    uint64_t before = deny_count(DENY_CONFIG_FILTERED);

    (void)state;
    sim_reset();
    start_with(with_caps());
    assert_int_equal(cfg_read(DISK, PCI_REG_CAP_POINTER, 1), 0x50);
    assert_int_equal(cfg_read(DISK, 0x50, 2), 0xc000 | PCI_CAP_PM);
    assert_int_equal(cfg_read(DISK, 0xc0, 2), 0x7009);
    assert_int_equal(cfg_read(DISK, 0x70, 4), 0x02020000 | 0xb000 | PCI_CAP_PCIE);
    assert_int_equal(cfg_read(DISK, 0xb0, 2), 0x0003);
    /* What is hidden reads as 0 and is nobody's to write; its neighbours are not hidden. */
    assert_int_equal(cfg_read(DISK, 0x40, 4), 0);
    assert_int_equal(cfg_read(DISK, 0x4c, 4), 0);
    assert_int_equal(cfg_read(DISK, 0x5c, 4), 0);
    assert_int_equal(cfg_read(DISK, 0x60, 4), 0xeeeeeeee);
    assert_int_equal(cfg_read(DISK, 0x54, 4), 0xeeeeeeee);
    assert_int_equal(vpci_write(&sim_vpci, DISK, 0x44, 2, 1), TRAP_DENIED);
    assert_int_equal(deny_count(DENY_CONFIG_FILTERED), before + 1);
    /* Extended ones: the list begins with nothing, since its first is hidden. */
    assert_int_equal(cfg_read(DISK, 0x100, 4), 0x11000000);
    assert_int_equal(cfg_read(DISK, 0x104, 4), 0);
    assert_int_equal(cfg_read(DISK, 0x110, 4), 0x18010001);
    assert_int_equal(cfg_read(DISK, 0x114, 4), 0xeeeeeeee);
    assert_int_equal(cfg_read(DISK, 0x160, 4), 0);
    assert_int_equal(cfg_read(DISK, 0x17c, 4), 0);
    assert_int_equal(cfg_read(DISK, 0x180, 4), 0x00010003);
    assert_int_equal(cfg_read(DISK, 0x184, 4), 0xeeeeeeee);
    assert_int_equal(cfg_read(DISK, 0x200, 4), 0);
    assert_int_equal(cfg_read(DISK, 0xffc, 4), 0);
    assert_int_equal(vpci_write(&sim_vpci, DISK, 0x208, 4, 1), TRAP_DENIED);
    /* Visible and unmanaged: the device model's. There is none here. */
    assert_int_not_equal(vpci_write(&sim_vpci, DISK, 0x54, 2, 3), TRAP_DONE);
    assert_int_not_equal(vpci_write(&sim_vpci, DISK, 0x118, 4, 0), TRAP_DONE);
    sim_guest_end();
    sim_finish();
}

/*
 * Lists from broken hardware: whatever they say, the guest's ends, and nothing outside is looked
 * at.
 */
static void test_broken_lists(void **state)
{
    (void)state;
    srand(7);
    for (unsigned round = 0; round < 300; round++) {
        struct sim_function *f;
        unsigned n = 0, pos;

        sim_reset();
        f = sim_add(PCI_SBDF(0, 0, 6, 0), 3, 4);
        for (unsigned i = 0x40; i < PCI_CFG_EXT_SIZE; i++)
            f->config[i] = (uint8_t)(rand() % 3 ? rand() % 0x14 : rand());
        f->config[PCI_REG_CAP_POINTER] = (uint8_t)rand();
        sim_guest_begin();
        /* Refused where registers would overlap, and then nothing is left of it. */
        if (vpci_guest_attach(SIM_DOMAIN, f->sbdf, 1, 0)) {
            assert_null(pci_find(f->sbdf)->owner);
        } else {
            cfg_write(PCI_SBDF(0, 0, 1, 0), PCI_REG_PRIMARY_BUS, 4, 0x010100);
            for (pos = cfg_read(DISK, PCI_REG_CAP_POINTER, 1); pos;
                 pos = cfg_read(DISK, pos + 1, 1)) {
                uint8_t id = (uint8_t)cfg_read(DISK, pos, 1);

                assert_true(n++ < 48 && pos >= 0x40);
                assert_true(id == 1 || id == 3 || id == 5 || id == 9 || id == 0x10 || id == 0x11);
            }
            n = 0;
            for (pos = 0x100; pos; pos = cfg_read(DISK, pos, 4) >> 20)
                assert_true(n++ < 70 && pos >= 0x100);
        }
        sim_guest_end();
        sim_finish();
    }
}

/* ---- random accesses ---- */

static void check_page(uint64_t gfn, uint64_t mfn)
{
    uint64_t gpa = gfn << PAGE_SHIFT, pa = mfn << PAGE_SHIFT;
    bool in_disk0 = pa >= DISK_BAR0 && pa < DISK_BAR0 + 0x2000;
    bool in_disk2 = pa >= DISK_BAR2 && pa < DISK_BAR2 + MIB(1);

    assert_true(in_disk0 || in_disk2);
    assert_true((gpa >= LOW && gpa < LOW + XENLITE_PCI_MMIO_SIZE) ||
                (gpa >= HIGH && gpa < HIGH + XENLITE_PCI_MMIO64_SIZE));
}

static uint32_t random_value(void)
{
    switch (rand() % 6) {
    case 0:
        return ~0u;
    case 1:
        return 0;
    case 2:
        return (uint32_t)LOW + ((uint32_t)rand() % 64 << 12);
    case 3:
        return (uint32_t)(HIGH >> 32);
    case 4:
        return (uint32_t)rand() & 7;
    default:
        return (uint32_t)rand() << 4;
    }
}

static void random_access(void)
{
    static const uint32_t where[] = { DISK, SMALL, PCI_SBDF(0, 0, 1, 0), PCI_SBDF(0, 0, 2, 0) };
    uint32_t sbdf = where[rand() % 4];
    unsigned reg = (unsigned)rand() % (rand() % 4 ? 0x60 : 0x200), size = 1 + (unsigned)rand() % 4;
    uint32_t val;

    size = MIN(size, 4 - (reg & 3));
    if (size == 3)
        size = 2;
    /* Keep the numbers of the buses most of the time, or nobody is reached. */
    if (sbdf >> 3 < 3 && reg / 4 == 6 && rand() % 16)
        return;
    if (rand() % 3)
        vpci_write(&sim_vpci, sbdf, reg, size, random_value());
    else
        vpci_read(&sim_vpci, sbdf, reg, size, &val);
}

static void random_memory(void)
{
    uint64_t val = random_value(), gpa = (rand() & 1 ? LOW : HIGH) + (uint64_t)rand() % 0x40000;
    unsigned size = 1u << rand() % 4;

    if ((gpa & (PAGE_SIZE - 1)) + size <= PAGE_SIZE)
        guest_mem(gpa, size, rand() & 1, &val);
}

static void test_random(void **state)
{
    (void)state;
    srand(1);
    for (unsigned n = 0; n < 100000; n++) {
        random_access();
        if (!(n & 3))
            random_memory();
        if (rand() % 500 == 0)
            cfg_write(PCI_SBDF(0, 0, 1 + rand() % 2, 0), PCI_REG_PRIMARY_BUS, 4,
                      rand() & 1 ? 0x010100 : 0x020200);
        if (rand() % 1000 == 0) {
            vpci_guest_detach(SIM_DOMAIN, DISK_HW);
            vpci_guest_attach(SIM_DOMAIN, DISK_HW, 1, 0);
        }
        if (rand() % 1000 == 0)
            sim_flr(rand() & 1 ? disk : small);
        sim_p2m_fails = rand() % 100 == 0;
        if (sim_guest_nr_mapped() < 300)
            sim_guest_for_each(check_page);
        else
            fail();
    }
    sim_p2m_fails = false;
    assert_int_equal(disk->bar_writes_decoded + small->bar_writes_decoded, 0);
    /* After all of that the device works when it is set up anew. */
    vpci_guest_detach(SIM_DOMAIN, DISK_HW);
    vpci_guest_detach(SIM_DOMAIN, SMALL_HW);
    check_hardware();
    assert_int_equal(vpci_guest_attach(SIM_DOMAIN, DISK_HW, 1, 0), 0);
    cfg_write(PCI_SBDF(0, 0, 2, 0), PCI_REG_PRIMARY_BUS, 4, 0x020200);
    cfg_write(PCI_SBDF(0, 0, 1, 0), PCI_REG_PRIMARY_BUS, 4, 0x010100);
    cfg_write(PCI_SBDF(0, 0, 1, 0), 0x50 + 0x10, 2, 0);
    test_map(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_header, setup_attached, teardown),
        cmocka_unit_test_setup_teardown(test_sizing, setup_attached, teardown),
        cmocka_unit_test_setup_teardown(test_map, setup_attached, teardown),
        cmocka_unit_test_setup_teardown(test_move, setup_attached, teardown),
        cmocka_unit_test_setup_teardown(test_hostile, setup_attached, teardown),
        cmocka_unit_test_setup_teardown(test_overlap, setup_attached, teardown),
        cmocka_unit_test_setup_teardown(test_small, setup_attached, teardown),
        cmocka_unit_test_setup_teardown(test_ports, setup_attached, teardown),
        cmocka_unit_test_setup_teardown(test_rom, setup_attached, teardown),
        cmocka_unit_test_setup_teardown(test_covered, setup_attached, teardown),
        cmocka_unit_test_setup_teardown(test_reset, setup_attached, teardown),
        cmocka_unit_test_setup_teardown(test_msix, setup_attached, teardown),
        cmocka_unit_test_setup_teardown(test_page_table_fails, setup_attached, teardown),
        cmocka_unit_test(test_filter),
        cmocka_unit_test(test_broken_lists),
        cmocka_unit_test_setup_teardown(test_random, setup_attached, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
