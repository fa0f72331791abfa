/* SPDX-License-Identifier: MIT */
/*
 * vPCI over simulated functions: the two access mechanisms, the register map's merging, the command
 * register and BARs, sizing, overlaps, bridges, hot plug.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/errno.h"
#include "mm/phys.h"
#include "sim.h"
#include "sim_pci.h"
#include "trap/record.h"

#define NIC       PCI_SBDF(0, 0, 2, 0)
#define DISK      PCI_SBDF(0, 1, 0, 0)
#define PORT      PCI_SBDF(0, 0, 3, 0)
#define ECAM      0xb0000000ULL
#define MMIO(mib) ((uint64_t)(mib) << 20)

static int setup(void **state)
{
    (void)state;
    sim_reset();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    sim_finish();
    return 0;
}

static struct sim_function *nic(void)
{
    struct sim_function *f = sim_add(NIC, 0x8086, 0x10d3);

    sim_bar(f, 0, 128 << 10, MMIO(17), false);
    sim_bar(f, 1, 1 << 20, MMIO(18), true);
    sim_io_bar(f, 3, 32, 0xc000);
    sim_rom(f, 64 << 10, MMIO(20));
    return f;
}

static uint64_t in(uint16_t port, unsigned size)
{
    uint64_t val = 0xdead;

    assert_true(trap_pio_access(SIM_VCPU, port, size, false, &val) <= TRAP_DROPPED);
    return val;
}

static enum trap_result out(uint16_t port, unsigned size, uint64_t val)
{
    return trap_pio_access(SIM_VCPU, port, size, true, &val);
}

static void test_cf8(void **state)
{
    struct sim_function *f = nic();
    uint64_t val;

    (void)state;
    sim_boot();
    assert_int_equal(out(0xcf8, 4, 0x80000000 | NIC << 8), TRAP_DONE);
    assert_int_equal(in(0xcf8, 4), 0x80000000 | NIC << 8);
    assert_int_equal(in(0xcfc, 4), 0x10d38086);
    assert_int_equal(in(0xcfe, 2), 0x10d3);
    assert_int_equal(in(0xcff, 1), 0x10);
    assert_int_equal(in(0xcfd, 2), 0xd380);
    out(0xcf8, 4, 0x80000000 | NIC << 8 | 0x3c);
    assert_int_equal(out(0xcfc, 1, 11), TRAP_DONE);
    assert_int_equal(f->config[0x3c], 11);
    /* Bits 1:0 do not exist; reserved bits are not kept. */
    out(0xcf8, 4, 0xff000003 | NIC << 8 | 0x3c);
    assert_int_equal(in(0xcf8, 4), 0x80000000 | NIC << 8 | 0x3c);
    assert_int_equal(in(0xcfc, 1), 11);
    /* Without the enable bit nothing answers. */
    out(0xcf8, 4, NIC << 8);
    assert_int_equal(in(0xcfc, 4), 0xffffffff);
    assert_int_equal(out(0xcfc, 4, 1), TRAP_DENIED);
    /* Bytes and words beside the latch are ordinary ports, and change nothing. */
    assert_int_equal(out(0xcf9, 1, 6), TRAP_NONE);
    assert_int_equal(trap_pio_access(SIM_VCPU, 0xcfa, 2, false, &val), TRAP_NONE);
    assert_int_equal(in(0xcf8, 4), NIC << 8);
    /* A dword that reaches from the latch into the data port is neither. */
    assert_int_equal(out(0xcfa, 4, ~0u), TRAP_DENIED);
    assert_int_equal(in(0xcfe, 4), 0xffffffff);
}

/* Reads of whole dwords that only the hardware answers go straight through the window. */
static void test_window(void **state)
{
    uint64_t raw;

    (void)state;
    nic();
    sim_window = true;
    sim_boot();
    raw = sim_raw_accesses;
    assert_int_equal(cfg_read(NIC, 0, 4), 0x10d38086);
    assert_int_equal(cfg_read(NIC, 8, 4), 0x02000001);
    assert_int_equal(cfg_read(NIC, 4, 4), PCI_STATUS_CAP_LIST << 16);
    assert_int_equal(sim_raw_accesses, raw);
    assert_int_equal(cfg_read(NIC, 2, 2), 0x10d3);
    assert_int_equal(cfg_read(NIC, 0x10, 4), MMIO(17));
    assert_int_equal(cfg_read(DISK, 0, 4), 0xffffffff);
    assert_true(sim_raw_accesses >= raw + 3);
}

static void test_absent(void **state)
{
    uint64_t before;

    (void)state;
    nic();
    sim_boot();
    out(0xcf8, 4, 0x80000000 | PCI_SBDF(0, 5, 0, 0) << 8);
    assert_int_equal(in(0xcfc, 4), 0xffffffff);
    assert_int_equal(in(0xcfc, 2), 0xffff);
    assert_int_equal(in(0xcfe, 1), 0xff);
    assert_int_equal(sim_vpci.absent_reads, 3);
    before = deny_count(DENY_CONFIG_ABSENT);
    assert_int_equal(out(0xcfc, 4, 0), TRAP_DROPPED);
    assert_int_equal(deny_count(DENY_CONFIG_ABSENT), before + 1);
}

static void test_ecam(void **state)
{
    struct sim_function *f = nic();
    uint64_t base = ECAM + ((uint64_t)NIC << 12), val, before;

    (void)state;
    sim_boot();
    f->config[0x100] = 0x12;
    f->config[0xffc] = 0x34;
    f->writable[0xffc] = 0xff;
    assert_int_equal(vpci_add_ecam(&sim_vpci, ECAM + 1, 0, 0, 255), -EINVAL);
    assert_int_equal(vpci_add_ecam(&sim_vpci, ECAM, 0, 2, 1), -EINVAL);
    assert_int_equal(vpci_add_ecam(&sim_vpci, ECAM, 0, 0, 255), 0);
    assert_int_equal(vpci_add_ecam(&sim_vpci, ECAM + (1 << 20), 0, 0, 0), -EEXIST);
    assert_int_equal(trap_mmio_access(SIM_VCPU, base, 4, false, &val), TRAP_DONE);
    assert_int_equal(val, 0x10d38086);
    assert_int_equal(trap_mmio_access(SIM_VCPU, base + 2, 2, false, &val), TRAP_DONE);
    assert_int_equal(val, 0x10d3);
    assert_int_equal(trap_mmio_access(SIM_VCPU, base + 1, 2, false, &val), TRAP_DONE);
    assert_int_equal(val, 0xd380);
    assert_int_equal(trap_mmio_access(SIM_VCPU, base, 8, false, &val), TRAP_DONE);
    assert_int_equal(val, 0x10d38086 | (uint64_t)PCI_STATUS_CAP_LIST << 48);
    assert_int_equal(trap_mmio_access(SIM_VCPU, base + 0x100, 1, false, &val), TRAP_DONE);
    assert_int_equal(val, 0x12);
    val = 0x56;
    assert_int_equal(trap_mmio_access(SIM_VCPU, base + 0xffc, 4, true, &val), TRAP_DONE);
    assert_int_equal(f->config[0xffc], 0x56);
    /* Bus 0's last function ends where bus 1 begins. */
    assert_int_equal(trap_mmio_access(SIM_VCPU, ECAM + 0xffffc, 4, false, &val), TRAP_DONE);
    assert_int_equal(val, 0xffffffff);
    before = deny_count(DENY_CONFIG_ALIGN);
    assert_int_equal(trap_mmio_access(SIM_VCPU, base + 2, 4, false, &val), TRAP_DENIED);
    assert_int_equal(val, 0xffffffff);
    assert_int_equal(trap_mmio_access(SIM_VCPU, base + 4, 8, true, &val), TRAP_DENIED);
    assert_int_equal(trap_mmio_access(SIM_VCPU, base + 3, 2, true, &val), TRAP_DENIED);
    assert_int_equal(deny_count(DENY_CONFIG_ALIGN), before + 3);
    assert_int_equal(trap_mmio_access(SIM_VCPU, ECAM + (256 << 20), 4, false, &val), TRAP_NONE);
}

/* A dword write of command and status; partial writes keep the other bytes, and clear nothing. */
static void test_merge(void **state)
{
    struct sim_function *f = nic();

    (void)state;
    sim_boot();
    f->config[PCI_REG_STATUS + 1] = 0xf9;
    cfg_write(NIC, PCI_REG_COMMAND, 2, 0x0404);
    assert_int_equal(sim_config32(f, 4), 0xf9100404);
    cfg_write(NIC, PCI_REG_COMMAND, 1, 0x05);
    assert_int_equal(sim_config32(f, 4), 0xf9100405);
    cfg_write(NIC, PCI_REG_COMMAND + 1, 1, 0x01);
    assert_int_equal(sim_config32(f, 4), 0xf9100105);
    cfg_write(NIC, 4, 4, 0x80000004);
    assert_int_equal(sim_config32(f, 4), 0x79100004);
    assert_int_equal(cfg_read(NIC, 4, 4), 0x79100004);
    assert_int_equal(cfg_read(NIC, 5, 2), 0x1000);
    assert_int_equal(cfg_read(NIC, 7, 1), 0x79);
}

static uint32_t reg_store, reg_reads;

static uint32_t model_read(struct vpci_dev *vd, const struct vpci_reg *reg)
{
    (void)vd;
    (void)reg;
    reg_reads++;
    return reg_store;
}

static void model_write(struct vpci_dev *vd, const struct vpci_reg *reg, uint32_t val)
{
    (void)vd;
    (void)reg;
    reg_store = val;
}

static void test_masks(void **state)
{
    struct vpci_reg reg = { .offset = 0xc0,
                            .size = 4,
                            .ro = 0xff,
                            .rw1c = 0xff0000,
                            .rsvdp = 0xff00,
                            .read = model_read,
                            .write = model_write,
                            .name = "model" };
    struct vpci_reg bad = reg;
    struct vpci_dev *vd;
    struct sim_function *f = nic();

    (void)state;
    sim_boot();
    vd = vpci_find(&sim_vpci, NIC);
    assert_int_equal(vpci_add_reg(vd, &reg), 0);
    assert_int_equal(vpci_add_reg(vd, &reg), -EEXIST);
    bad.offset = 0xc2;
    assert_int_equal(vpci_add_reg(vd, &bad), -EINVAL);
    bad.size = 2;
    assert_int_equal(vpci_add_reg(vd, &bad), -EEXIST);
    bad.offset = 0x1000;
    assert_int_equal(vpci_add_reg(vd, &bad), -EINVAL);
    bad.offset = 0xbe;
    assert_int_equal(vpci_add_reg(vd, &bad), 0);
    reg_store = 0x11223344;
    cfg_write(NIC, 0xc0, 4, 0xaabbccdd);
    assert_int_equal(reg_store, 0xaabb3344);
    /* Byte 3 alone: byte 2's clearing bits are not written, so they are 0. */
    cfg_write(NIC, 0xc3, 1, 0x55);
    assert_int_equal(reg_store, 0x55003344);
    reg_store = 0x11223344;
    assert_int_equal(cfg_read(NIC, 0xc1, 2), 0x2233);
    /* One access over an unmanaged half and a managed one. */
    f->config[0xbc] = 0x66;
    f->writable[0xbc] = 0xff;
    reg_store = 0x9988;
    assert_int_equal(cfg_read(NIC, 0xbc, 4), 0x99880066);
    cfg_write(NIC, 0xbc, 4, 0x12345677);
    assert_int_equal(f->config[0xbc], 0x77);
    /* Three bytes beside one: nothing that hardware would take in one access. */
    bad = (struct vpci_reg){
        .offset = 0xc8, .size = 1, .read = model_read, .write = model_write, .name = "first"
    };
    assert_int_equal(vpci_add_reg(vd, &bad), 0);
    bad.offset = 0xcf;
    assert_int_equal(vpci_add_reg(vd, &bad), 0);
    memset(&f->writable[0xc8], 0xff, 8);
    cfg_write(NIC, 0xc8, 4, 0x11223344);
    assert_int_equal(reg_store, 0x44);
    assert_int_equal(sim_config32(f, 0xc8), 0x11223300);
    assert_int_equal(cfg_read(NIC, 0xc8, 4), 0x11223344);
    cfg_write(NIC, 0xcc, 4, 0x55667788);
    assert_int_equal(reg_store, 0x55);
    assert_int_equal(sim_config32(f, 0xcc), 0x00667788);
    assert_int_equal(cfg_read(NIC, 0xcc, 4), 0x55667788);
}

static void check_nic_mapped(bool on)
{
    assert_int_equal(sim_mapped(MMIO(17)), on);
    assert_int_equal(sim_mapped(MMIO(17) + (128 << 10) - 1), on);
    assert_int_equal(sim_mapped(MMIO(18)), on);
    assert_int_equal(sim_mapped(MMIO(19) - 1), on);
    assert_false(sim_mapped(MMIO(20)));
    assert_int_equal(sim_nr_mapped(), on ? 32 + 256 : 0);
}

static void test_command(void **state)
{
    struct sim_function *f = nic();

    (void)state;
    sim_boot();
    check_nic_mapped(false);
    cfg_write(NIC, PCI_REG_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
    check_nic_mapped(true);
    assert_int_equal(f->config[4], 6);
    cfg_write(NIC, PCI_REG_COMMAND, 2, PCI_COMMAND_MEMORY);
    check_nic_mapped(true);
    cfg_write(NIC, PCI_REG_COMMAND, 2, PCI_COMMAND_IO);
    check_nic_mapped(false);
    cfg_write(NIC, PCI_REG_COMMAND, 1, PCI_COMMAND_MEMORY);
    check_nic_mapped(true);
    /* Only the upper byte: decoding as before. */
    cfg_write(NIC, PCI_REG_COMMAND + 1, 1, 4);
    check_nic_mapped(true);
}

static void test_decoding_at_boot(void **state)
{
    struct sim_function *f = nic();

    (void)state;
    sim_decode(f, true);
    sim_boot();
    check_nic_mapped(true);
    assert_int_equal(f->config[4], 2);
    assert_int_equal(f->bar_writes_decoded, 0);
}

static void test_sizing(void **state)
{
    struct sim_function *f = nic();

    (void)state;
    sim_boot();
    cfg_write(NIC, 0x10, 4, ~0u);
    assert_int_equal(cfg_read(NIC, 0x10, 4), 0xfffe0000);
    cfg_write(NIC, 0x10, 4, MMIO(22));
    cfg_write(NIC, 0x14, 4, ~0u);
    cfg_write(NIC, 0x18, 4, ~0u);
    assert_int_equal(cfg_read(NIC, 0x14, 4), 0xfff00004);
    assert_int_equal(cfg_read(NIC, 0x18, 4), 0xffffffff);
    cfg_write(NIC, 0x14, 4, MMIO(24));
    cfg_write(NIC, 0x18, 4, 0);
    cfg_write(NIC, 0x1c, 4, ~0u);
    assert_int_equal(cfg_read(NIC, 0x1c, 4), 0xffe1);
    cfg_write(NIC, PCI_REG_COMMAND, 2, PCI_COMMAND_MEMORY);
    assert_true(sim_mapped(MMIO(22)) && sim_mapped(MMIO(24)));
    assert_false(sim_mapped(MMIO(17)) || sim_mapped(MMIO(18)));
    assert_int_equal(sim_nr_mapped(), 32 + 256);
    /* Byte by byte is a write as well. */
    cfg_write(NIC, PCI_REG_COMMAND, 2, 0);
    cfg_write(NIC, 0x12, 1, MMIO(26) >> 16 & 0xff);
    cfg_write(NIC, 0x13, 1, MMIO(26) >> 24);
    assert_int_equal(sim_bar_addr(f, 0), MMIO(26));
    assert_int_equal(f->bar_writes_decoded, 0);
}

/* Some software sizes BARs with decoding on: it gets its answer and the BAR does not move. */
static void test_sizing_decoded(void **state)
{
    struct sim_function *f = nic();
    uint64_t before = deny_count(DENY_BAR_DECODE_ON);

    (void)state;
    sim_boot();
    cfg_write(NIC, PCI_REG_COMMAND, 2, PCI_COMMAND_MEMORY);
    for (unsigned reg = 0x10; reg <= 0x18; reg += 4)
        cfg_write(NIC, reg, 4, ~0u);
    assert_int_equal(cfg_read(NIC, 0x10, 4), 0xfffe0000);
    assert_int_equal(cfg_read(NIC, 0x14, 4), 0xfff00004);
    assert_int_equal(cfg_read(NIC, 0x18, 4), 0xffffffff);
    cfg_write(NIC, 0x10, 4, MMIO(17));
    cfg_write(NIC, 0x14, 4, MMIO(18) | 4);
    cfg_write(NIC, 0x18, 4, 0);
    assert_int_equal(cfg_read(NIC, 0x10, 4), MMIO(17));
    assert_int_equal(cfg_read(NIC, 0x14, 4), MMIO(18) | 4);
    assert_int_equal(cfg_read(NIC, 0x18, 4), 0);
    assert_int_equal(deny_count(DENY_BAR_DECODE_ON), before);
    check_nic_mapped(true);
    cfg_write(NIC, 0x10, 4, MMIO(30));
    assert_int_equal(deny_count(DENY_BAR_DECODE_ON), before + 1);
    assert_int_equal(cfg_read(NIC, 0x10, 4), MMIO(17));
    assert_int_equal(f->bar_writes_decoded, 0);
    check_nic_mapped(true);
}

static void test_bar_above_4g(void **state)
{
    struct sim_function *f = sim_add(NIC, 1, 1);
    struct vpci_dev *vd;

    (void)state;
    sim_bar(f, 2, 8ULL << 30, 64ULL << 30, true);
    sim_boot();
    vd = vpci_find(&sim_vpci, NIC);
    assert_int_equal(vd->pdev->bar[2].size, 8ULL << 30);
    assert_int_equal(vd->pdev->bar[2].kind, PCI_BAR_MEM64);
    assert_int_equal(vd->pdev->bar[3].kind, PCI_BAR_NONE);
    cfg_write(NIC, 4, 2, 2);
    assert_int_equal(vd->range[2].gfn, 64ULL << 18);
    assert_int_equal(vd->range[2].nr, 8ULL << 18);
    cfg_write(NIC, 4, 2, 0);
    /* Above what the domain's page table may hold. */
    cfg_write(NIC, 0x1c, 4, 0x80);
    cfg_write(NIC, 4, 2, 2);
    assert_int_equal(vd->range[2].nr, 0);
    assert_non_null(vd->range[2].refused);
}

static void test_rom(void **state)
{
    struct sim_function *f = nic();
    uint64_t before = deny_count(DENY_BAR_DECODE_ON);

    (void)state;
    sim_boot();
    cfg_write(NIC, PCI_REG_ROM, 4, PCI_ROM_MASK);
    assert_int_equal(cfg_read(NIC, PCI_REG_ROM, 4), 0xffff0000);
    cfg_write(NIC, PCI_REG_ROM, 4, MMIO(20));
    cfg_write(NIC, 4, 2, 2);
    check_nic_mapped(true);
    cfg_write(NIC, PCI_REG_ROM, 4, MMIO(21) | 1);
    assert_true(sim_mapped(MMIO(21)) && sim_mapped(MMIO(21) + 0xffff));
    assert_false(sim_mapped(MMIO(20)));
    cfg_write(NIC, PCI_REG_ROM, 4, MMIO(20) | 1);
    assert_int_equal(deny_count(DENY_BAR_DECODE_ON), before + 1);
    assert_int_equal(sim_config32(f, PCI_REG_ROM), MMIO(21) | 1);
    cfg_write(NIC, PCI_REG_ROM, 4, MMIO(20));
    check_nic_mapped(true);
    /* Enabled while decoding is off: mapped with the rest. */
    cfg_write(NIC, 4, 2, 0);
    cfg_write(NIC, PCI_REG_ROM, 4, MMIO(20) | 1);
    assert_int_equal(sim_nr_mapped(), 0);
    cfg_write(NIC, 4, 2, 2);
    assert_true(sim_mapped(MMIO(20)));
    assert_int_equal(sim_nr_mapped(), 32 + 256 + 16);
    cfg_write(NIC, 4, 2, 0);
    assert_int_equal(sim_nr_mapped(), 0);
}

static void refused_at(uint64_t addr)
{
    struct vpci_dev *vd = vpci_find(&sim_vpci, NIC);
    uint64_t before = deny_count(DENY_BAR_FORBIDDEN);

    cfg_write(NIC, 4, 2, 0);
    cfg_write(NIC, 0x10, 4, (uint32_t)addr);
    cfg_write(NIC, 4, 2, 2);
    assert_int_equal(deny_count(DENY_BAR_FORBIDDEN), before + 1);
    assert_non_null(vd->range[0].refused);
    assert_int_equal(vd->range[0].nr, 0);
    assert_false(sim_mapped(addr));
    /* The others are not affected. */
    assert_true(sim_mapped(MMIO(18)));
    assert_int_equal(sim_nr_mapped(), 256);
}

static void test_forbidden(void **state)
{
    (void)state;
    nic();
    sim_boot();
    refused_at(SIM_RESERVED);
    refused_at(SIM_RESERVED + 0x20000);
    refused_at(SIM_RESERVED_END - 0x20000);
    refused_at(SIM_RAM);
    refused_at(SIM_RAM_END - 0x20000);
    cfg_write(NIC, 4, 2, 0);
    cfg_write(NIC, 0x10, 4, SIM_RESERVED - 0x20000);
    cfg_write(NIC, 4, 2, 2);
    assert_true(sim_mapped(SIM_RESERVED - 1));
    assert_null(vpci_find(&sim_vpci, NIC)->range[0].refused);
    /* Address 0 is how unused BARs are left: nothing mapped, nothing said. */
    cfg_write(NIC, 4, 2, 0);
    cfg_write(NIC, 0x10, 4, 0);
    cfg_write(NIC, 4, 2, 2);
    assert_non_null(vpci_find(&sim_vpci, NIC)->range[0].refused);
    assert_int_equal(sim_nr_mapped(), 256);
}

static void test_no_memory(void **state)
{
    uint64_t before = deny_count(DENY_BAR_P2M);

    (void)state;
    nic();
    sim_boot();
    sim_p2m_fails = true;
    cfg_write(NIC, 4, 2, 2);
    assert_int_equal(sim_nr_mapped(), 0);
    assert_int_equal(deny_count(DENY_BAR_P2M), before + 2);
    cfg_write(NIC, 4, 2, 0);
    sim_p2m_fails = false;
    cfg_write(NIC, 4, 2, 2);
    check_nic_mapped(true);
}

/* Two BARs of 256 bytes on one page, and a larger one over them. */
static void test_shared_page(void **state)
{
    struct sim_function *a = sim_add(PCI_SBDF(0, 0, 4, 0), 1, 1);
    struct sim_function *b = sim_add(PCI_SBDF(0, 0, 5, 0), 1, 1);
    struct sim_function *c = sim_add(PCI_SBDF(0, 0, 6, 0), 1, 1);
    unsigned unmaps;

    (void)state;
    sim_bar(a, 0, 256, MMIO(30), false);
    sim_bar(a, 1, 256, MMIO(30) + 0x200, false);
    sim_bar(b, 0, 256, MMIO(30) + 0x100, false);
    sim_bar(c, 0, 0x4000, MMIO(30), false);
    sim_boot();
    cfg_write(a->sbdf, 4, 2, 2);
    cfg_write(b->sbdf, 4, 2, 2);
    assert_int_equal(sim_nr_mapped(), 1);
    unmaps = sim_unmaps;
    cfg_write(a->sbdf, 4, 2, 0);
    assert_int_equal(sim_nr_mapped(), 1);
    assert_int_equal(sim_unmaps, unmaps); /* never missing in between */
    cfg_write(b->sbdf, 4, 2, 0);
    assert_int_equal(sim_nr_mapped(), 0);
    cfg_write(b->sbdf, 4, 2, 2);
    cfg_write(c->sbdf, 4, 2, 2);
    assert_int_equal(sim_nr_mapped(), 4);
    cfg_write(c->sbdf, 4, 2, 0);
    assert_int_equal(sim_nr_mapped(), 1);
    assert_true(sim_mapped(MMIO(30)));
}

/* A reset puts BARs and decoding back without a write that we saw. */
static void test_reset(void **state)
{
    struct sim_function *f = nic();

    (void)state;
    sim_boot();
    cfg_write(NIC, 4, 2, 2);
    check_nic_mapped(true);
    sim_flr(f);
    cfg_write(NIC, 0x10, 4, MMIO(40));
    assert_int_equal(sim_nr_mapped(), 0);
    cfg_write(NIC, 0x14, 4, MMIO(41));
    cfg_write(NIC, 4, 2, 2);
    assert_true(sim_mapped(MMIO(40)) && sim_mapped(MMIO(41)));
    assert_int_equal(sim_nr_mapped(), 32 + 256);
    /* Decoding turned on again without writing BARs: what was mapped goes. */
    sim_flr(f);
    cfg_write(NIC, 4, 2, 2);
    assert_int_equal(sim_nr_mapped(), 0);
}

static struct sim_function *port_and_disk(void)
{
    struct sim_function *port = sim_add(PORT, 0x1b36, 0xc);
    struct sim_function *disk = sim_add(DISK, 0x1b36, 0x10);

    sim_bridge(port, 1, 1);
    sim_bar(port, 0, 4096, MMIO(44), false);
    sim_bar(disk, 0, 16384, MMIO(45), true);
    return disk;
}

static void test_bridge(void **state)
{
    uint64_t before = deny_count(DENY_BUS_RENUMBER);

    (void)state;
    port_and_disk();
    sim_boot();
    assert_int_equal(pci_nr_devices(), 2);
    assert_non_null(vpci_find(&sim_vpci, DISK));
    /* Windows and other bus numbers pass. */
    cfg_write(PORT, 0x20, 4, 0x12341230);
    assert_int_equal(cfg_read(PORT, 0x20, 4), 0x12341230);
    cfg_write(PORT, 0x18, 4, 0x00050100);
    assert_int_equal(cfg_read(PORT, 0x18, 4), 0x00050100);
    assert_int_equal(deny_count(DENY_BUS_RENUMBER), before);
    cfg_write(PORT, 0x18, 4, 0x00030300);
    assert_int_equal(cfg_read(PORT, 0x18, 4), 0x00030100);
    assert_int_equal(deny_count(DENY_BUS_RENUMBER), before + 1);
    /* With nobody behind it may change. */
    assert_int_equal(vpci_physdev_remove(SIM_DOMAIN, DISK), 0);
    sim_find(DISK)->present = false;
    cfg_write(PORT, 0x19, 1, 7);
    assert_int_equal(cfg_read(PORT, 0x19, 1), 7);
    /* Its own BARs are like any others. */
    cfg_write(PORT, 4, 2, 2);
    assert_true(sim_mapped(MMIO(44)));
    assert_int_equal(sim_nr_mapped(), 1);
}

static void test_hot_plug(void **state)
{
    struct sim_function *disk = port_and_disk();

    (void)state;
    disk->present = false;
    sim_boot();
    assert_int_equal(cfg_read(DISK, 0, 4), 0xffffffff);
    assert_int_equal(vpci_physdev_add(SIM_DOMAIN, DISK, 0, 0), -ENODEV);
    disk->present = true;
    assert_int_equal(cfg_read(DISK, 0, 4), 0x00101b36);
    sim_found_fails = true;
    assert_int_equal(vpci_physdev_add(SIM_DOMAIN, DISK, 0, 0), -EIO);
    assert_null(vpci_find(&sim_vpci, DISK));
    sim_found_fails = false;
    /* A write before the announcement finds it, too: the kernel sizes BARs first. */
    cfg_write(DISK, 0x10, 4, ~0u);
    assert_int_equal(cfg_read(DISK, 0x10, 4), 0xffffc004);
    assert_int_equal(sim_found, 1);
    assert_int_equal(vpci_physdev_add(SIM_DOMAIN, DISK, 0, 0), 0);
    assert_int_equal(sim_found, 1);
    cfg_write(DISK, 0x10, 4, MMIO(46));
    cfg_write(DISK, 4, 2, 2);
    assert_true(sim_mapped(MMIO(46)));
    assert_int_equal(vpci_physdev_remove(SIM_DOMAIN, DISK), 0);
    assert_int_equal(sim_gone, 1);
    assert_int_equal(sim_nr_mapped(), 0);
    assert_int_equal(vpci_physdev_remove(SIM_DOMAIN, DISK), -ENODEV);
    assert_int_equal(vpci_physdev_add(SIM_DOMAIN, PCI_SBDF(0, 9, 0, 0), 2, DISK), -EINVAL);
}

static void test_ownership(void **state)
{
    struct pci_dev *dev;

    (void)state;
    nic();
    port_and_disk();
    assert_int_equal(pci_scan(), 0);
    assert_int_equal(vpci_add_device(SIM_DOMAIN, PCI_SBDF(0, 7, 0, 0)), -ENODEV);
    assert_int_equal(pci_hide(DISK), 0);
    assert_int_equal(vpci_add_device(SIM_DOMAIN, DISK), -EPERM);
    assert_int_equal(cfg_read(DISK, 0, 4), 0xffffffff);
    cfg_write(DISK, 4, 2, 2);
    assert_int_equal(sim_find(DISK)->config[4], 0);
    dev = pci_find(DISK);
    dev->hidden = false;
    pci_nr_hidden = 0;
    assert_int_equal(vpci_add_device(SIM_DOMAIN, NIC), 0);
    assert_int_equal(vpci_add_device(SIM_DOMAIN, NIC), 0);
    assert_int_equal(pci_remove(NIC), -EBUSY);
    assert_int_equal(pci_hide(NIC), -EBUSY);
    dev = pci_find(PORT);
    dev->owner = (struct domain *)dev;
    assert_int_equal(vpci_add_device(SIM_DOMAIN, PORT), -EBUSY);
    cfg_write(PORT, 4, 2, 2);
    assert_int_equal(sim_find(PORT)->config[4], 0);
    dev->owner = NULL;
}

/* Every allocation on the way may fail: the call fails, nothing stays behind, the next one
 * succeeds. */
static void test_add_without_memory(void **state)
{
    struct sim_function *f = nic();
    unsigned failures = 0;
    int rc;

    (void)state;
    sim_msi(f, true, true, 0);
    sim_msix(f, 4, 0, 0x2000, 0, 0x3000);
    sim_decode(f, true);
    assert_int_equal(pci_scan(), 0);
    for (unsigned n = 1;; n++) {
        sim_heap_fail_after = n;
        rc = vpci_add_device(SIM_DOMAIN, NIC);
        if (!rc)
            break;
        failures++;
        assert_int_equal(rc, -ENOMEM);
        assert_null(pci_find(NIC)->owner);
        assert_null(vpci_find(&sim_vpci, NIC));
        assert_int_equal(sim_nr_mapped(), 0);
    }
    assert_true(failures >= 3);
    /* The table's page could not be trapped, so the function does not decode until that succeeds.
     */
    assert_int_equal(sim_nr_mapped(), 0);
    assert_int_equal(f->config[4], 0);
    assert_int_equal(sim_heap_fail_after, 0);
    sim_heap_fail_after = 1;
    cfg_write(NIC, 4, 2, 6);
    assert_int_equal(sim_nr_mapped(), 0);
    assert_int_equal(f->config[4], 4);
    cfg_write(NIC, 4, 2, 6);
    assert_int_equal(f->config[4], 6);
    assert_int_equal(sim_nr_mapped(), 32 + 256 - 2);
}

/* Careless devices: loops in the capability list, sizes that are none, capabilities past the end.
 */
static void test_odd_functions(void **state)
{
    struct sim_function *f = sim_add(PCI_SBDF(0, 0, 8, 0), 1, 1);
    struct sim_function *g = sim_add(PCI_SBDF(0, 0, 9, 0), 1, 1);

    (void)state;
    f->config[PCI_REG_CAP_POINTER] = 0x43;
    f->config[0x40] = 0x77;
    f->config[0x41] = 0x40;
    memset(&f->writable[0x10], 0xff, 4); /* 16 bytes */
    f->writable[0x10] = 0xf0;
    f->writable[0x14] = 0xf0;
    f->writable[0x15] = 0x0f;         /* a hole in the mask */
    f->config[0x24] = PCI_BAR_MEM_64; /* the last register has no upper half */
    memset(&f->writable[0x25], 0xff, 3);
    g->config[PCI_REG_HEADER_TYPE] = 0x7f;
    sim_bar(g, 0, 4096, MMIO(33), false);
    sim_cap(g, PCI_CAP_PM, 8);
    g->config[0x41] = 0xfc;
    g->config[0xfc] = PCI_CAP_MSI;
    sim_boot();
    assert_int_equal(pci_find_cap(f->sbdf, PCI_CAP_MSI), 0);
    assert_int_equal(pci_find_cap(f->sbdf, 0x77), 0x40);
    assert_int_equal(pci_find(f->sbdf)->bar[0].size, 16);
    assert_int_equal(pci_find(f->sbdf)->bar[1].kind, PCI_BAR_NONE);
    assert_int_equal(pci_find(f->sbdf)->bar[5].kind, PCI_BAR_MEM32);
    assert_int_equal(pci_find(g->sbdf)->nr_bars, 0);
    cfg_write(g->sbdf, 4, 2, 2);
    assert_int_equal(sim_nr_mapped(), 0);
}

static void test_multi_function_and_loops(void **state)
{
    struct sim_function *f = sim_add(PCI_SBDF(0, 0, 1, 0), 1, 1);
    struct sim_function *b = sim_add(PCI_SBDF(0, 0, 2, 0), 1, 2);

    (void)state;
    f->config[PCI_REG_HEADER_TYPE] = PCI_HEADER_MULTI;
    sim_add(PCI_SBDF(0, 0, 1, 5), 1, 3);
    sim_add(PCI_SBDF(0, 0, 2, 1), 1, 4); /* not multi-function: not looked at */
    sim_bridge(b, 0, 0xff);
    assert_int_equal(pci_scan(), 0);
    assert_int_equal(pci_nr_devices(), 3);
    assert_non_null(pci_find(PCI_SBDF(0, 0, 1, 5)));
    b->config[PCI_REG_SECONDARY_BUS] = 4;
    sim_bridge(sim_add(PCI_SBDF(0, 4, 0, 0), 1, 5), 4, 4);
    assert_int_equal(pci_scan(), 0);
    assert_int_equal(pci_nr_devices(), 4);
}

/* A guest: reads reach the hardware, unknown writes are forwarded, nothing is mapped. */
static void test_guest_policy(void **state)
{
    struct sim_function *f = nic();
    uint16_t server;
    uint64_t raw;
    uint32_t val;

    (void)state;
    vpci_destroy(&sim_vpci);
    vpci_prepare(&sim_vpci);
    assert_int_equal(vpci_init(&sim_vpci, SIM_DOMAIN, 5, &sim_traps, &sim_p2m, &vpci_policy_guest),
                     0);
    sim_decode(f, true);
    sim_boot();
    assert_int_equal(sim_nr_mapped(), 0);
    assert_int_equal(cfg_read(NIC, 0, 4), 0x10d38086);
    assert_int_equal(vpci_write(&sim_vpci, NIC, 0x3c, 1, 9), TRAP_DROPPED); /* nobody to ask */
    assert_int_equal(ioreq_server_create(&sim_ioreq, 0, &server), 0);
    assert_int_equal(vpci_write(&sim_vpci, NIC, 0x3c, 1, 9), TRAP_FORWARD);
    assert_int_equal(f->config[0x3c], 0);
    raw = sim_raw_accesses;
    assert_int_equal(vpci_read(&sim_vpci, DISK, 0, 4, &val), TRAP_DONE);
    assert_int_equal(val, 0xffffffff);
    assert_int_equal(vpci_write(&sim_vpci, DISK, 4, 2, 2), TRAP_DROPPED);
    assert_int_equal(sim_raw_accesses, raw);
}

static void test_recorded(void **state)
{
    struct trap_record rec[4];
    uint64_t lost = 0, token;
    unsigned n;

    (void)state;
    nic();
    sim_boot();
    assert_int_equal(record_start(&token), 0);
    out(0xcf8, 4, 0x80000000 | NIC << 8 | 4);
    out(0xcfc, 2, 4);
    in(0xcfc, 4);
    assert_int_equal(record_stop(token), 0);
    assert_int_equal(record_read(token, 0, rec, 4, &n, &lost), 0);
    assert_int_equal(n, 3);
    assert_int_equal(rec[0].kind, RECORD_PIO);
    assert_int_equal(rec[1].kind, RECORD_CONFIG);
    assert_int_equal(rec[1].sbdf, NIC);
    assert_int_equal(rec[1].addr, 4);
    assert_int_equal(rec[1].value, 4);
    assert_string_equal(trap_handler_name(rec[1].handler), "command");
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_cf8),           TEST(test_window),
        TEST(test_absent),        TEST(test_ecam),
        TEST(test_merge),         TEST(test_masks),
        TEST(test_command),       TEST(test_decoding_at_boot),
        TEST(test_sizing),        TEST(test_sizing_decoded),
        TEST(test_bar_above_4g),  TEST(test_rom),
        TEST(test_forbidden),     TEST(test_no_memory),
        TEST(test_shared_page),   TEST(test_reset),
        TEST(test_bridge),        TEST(test_hot_plug),
        TEST(test_ownership),     TEST(test_add_without_memory),
        TEST(test_odd_functions), TEST(test_multi_function_and_loops),
        TEST(test_guest_policy),  TEST(test_recorded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
