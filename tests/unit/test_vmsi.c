/* SPDX-License-Identifier: MIT */
/*
 * The MSI capability: all four layouts; what the domain reads back, what the device is given,
 * changes while enabled, refusals, resets.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/errno.h"
#include "sim.h"
#include "sim_pci.h"

#define DEV PCI_SBDF(0, 0, 2, 0)

static struct sim_function *f;
static bool is_64, maskable;
static unsigned cap;

static void boot(bool b64, bool mask, unsigned log2)
{
    sim_reset();
    is_64 = b64;
    maskable = mask;
    f = sim_add(DEV, 0x1234, 0x11e8);
    sim_bar(f, 0, 4096, 17 << 20, false);
    cap = sim_msi(f, is_64, maskable, log2);
    /* Firmware left it on. */
    f->config[cap + PCI_MSI_CONTROL] |= PCI_MSI_ENABLE;
    sim_boot();
}

static unsigned data_reg(void)
{
    return cap + (is_64 ? 12 : 8);
}

static uint64_t hw_address(void)
{
    return sim_config32(f, cap + 4) | (is_64 ? (uint64_t)sim_config32(f, cap + 8) << 32 : 0);
}

static uint32_t hw_data(void)
{
    return sim_config32(f, data_reg()) & 0xffff;
}

static bool hw_enabled(void)
{
    return f->config[cap + PCI_MSI_CONTROL] & PCI_MSI_ENABLE;
}

static void write_message(uint32_t address, uint16_t data)
{
    cfg_write(DEV, cap + 4, 4, address);
    if (is_64)
        cfg_write(DEV, cap + 8, 4, 0);
    cfg_write(DEV, data_reg(), 2, data);
}

static void enable(bool on)
{
    uint32_t control = cfg_read(DEV, cap + 2, 2);

    cfg_write(DEV, cap + 2, 2, on ? control | 1 : control & ~1u);
}

static void check_delivers(uint64_t address, uint32_t data)
{
    struct sim_girq *g = sim_girq_of_message(hw_address(), hw_data());

    assert_true(hw_enabled());
    assert_non_null(g);
    assert_true(g->bound);
    assert_int_equal(g->guest_addr, address);
    assert_int_equal(g->guest_data, data);
    assert_int_equal(g->g.sbdf, DEV);
}

static void check_layout(bool b64, bool mask)
{
    boot(b64, mask, 0);
    assert_false(hw_enabled());
    write_message(0xfee01003, 0x4041);
    assert_int_equal(cfg_read(DEV, cap + 4, 4), 0xfee01000);
    assert_int_equal(cfg_read(DEV, data_reg(), 2), 0x4041);
    assert_int_equal(sim_girqs_used, 0);
    enable(true);
    assert_int_equal(cfg_read(DEV, cap + 2, 2) & 1, 1);
    check_delivers(0xfee01000, 0x4041);
    assert_int_equal(cfg_read(DEV, cap + 4, 4), 0xfee01000);
    assert_int_equal(cfg_read(DEV, data_reg(), 2), 0x4041);
    if (is_64)
        assert_int_equal(cfg_read(DEV, cap + 8, 4), 0);
    /* The affinity changes while it is on: no second interrupt is made. */
    write_message(0xfee02000, 0x55);
    check_delivers(0xfee02000, 0x55);
    assert_int_equal(sim_girqs_used, 1);
    /* The next capability and the header of this one are the device's. */
    assert_int_equal(cfg_read(DEV, cap, 1), PCI_CAP_MSI);
    enable(false);
    assert_false(hw_enabled());
    assert_false(sim_girqs[0].bound);
    assert_int_equal(cfg_read(DEV, cap + 2, 2) & 1, 0);
    enable(true);
    check_delivers(0xfee02000, 0x55);
    sim_finish();
}

static void test_layouts(void **state)
{
    (void)state;
    check_layout(false, false);
    check_layout(true, false);
    check_layout(false, true);
    check_layout(true, true);
}

static void test_mask_is_the_devices(void **state)
{
    (void)state;
    boot(true, true, 0);
    write_message(0xfee00000, 0x31);
    enable(true);
    cfg_write(DEV, cap + 16, 4, 1);
    assert_int_equal(sim_config32(f, cap + 16), 1);
    write_message(0xfee01000, 0x32);
    assert_int_equal(sim_config32(f, cap + 16), 1);
    check_delivers(0xfee01000, 0x32);
    f->config[cap + 20] = 1;
    assert_int_equal(cfg_read(DEV, cap + 20, 4), 1);
    sim_finish();
}

/* Several messages would need entries in a row: the function shows one, and uses one. */
static void test_multiple(void **state)
{
    (void)state;
    boot(true, false, 5);
    assert_int_equal(cfg_read(DEV, cap + 2, 2) & (PCI_MSI_MMC_MASK | PCI_MSI_MME_MASK), 0);
    assert_int_equal(cfg_read(DEV, cap + 2, 2) & PCI_MSI_64BIT, PCI_MSI_64BIT);
    write_message(0xfee00000, 0x40);
    cfg_write(DEV, cap + 2, 2, 0x51);
    assert_int_equal(f->config[cap + 2] & PCI_MSI_MME_MASK, 0);
    assert_int_equal(cfg_read(DEV, cap + 2, 2) & PCI_MSI_MME_MASK, 0);
    check_delivers(0xfee00000, 0x40);
    sim_finish();
}

static void test_refused(void **state)
{
    uint64_t before = deny_count(DENY_MSI_BIND);

    (void)state;
    boot(true, false, 0);
    write_message(0x1000, 0x40); /* not the interrupt window: DMA */
    enable(true);
    assert_false(hw_enabled());
    assert_int_equal(deny_count(DENY_MSI_BIND), before + 1);
    assert_int_equal(cfg_read(DEV, cap + 2, 2) & 1, 1);
    /* As soon as the message is one, it works. */
    cfg_write(DEV, cap + 4, 4, 0xfee00000);
    check_delivers(0xfee00000, 0x40);
    /* Half of a new message that makes no sense leaves the old one. */
    cfg_write(DEV, cap + 8, 4, 1);
    assert_int_equal(deny_count(DENY_MSI_BIND), before + 2);
    check_delivers(0xfee00000, 0x40);
    assert_int_equal(cfg_read(DEV, cap + 8, 4), 1);
    cfg_write(DEV, cap + 8, 4, 0);
    check_delivers(0xfee00000, 0x40);
    sim_finish();
}

/* A dword write of the capability's header and control; the control byte by byte. */
static void test_partial(void **state)
{
    (void)state;
    boot(false, false, 0);
    write_message(0xfee00000, 0x66);
    cfg_write(DEV, cap, 4, 0x00010000);
    check_delivers(0xfee00000, 0x66);
    cfg_write(DEV, cap + 3, 1, 0xff);
    check_delivers(0xfee00000, 0x66);
    cfg_write(DEV, cap + 2, 1, 0);
    assert_false(hw_enabled());
    cfg_write(DEV, cap + 5, 1, 0x30);
    assert_int_equal(cfg_read(DEV, cap + 4, 4), 0xfee03000);
    cfg_write(DEV, data_reg() + 1, 1, 0x41);
    assert_int_equal(cfg_read(DEV, data_reg(), 2), 0x4166);
    sim_finish();
}

static void test_reset_and_removal(void **state)
{
    (void)state;
    boot(true, false, 0);
    write_message(0xfee00000, 0x66);
    enable(true);
    sim_flr(f);
    memset(&f->config[cap + 4], 0, 10);
    assert_false(hw_enabled());
    /* The kernel restores what it knows: the message, then the control. */
    write_message(0xfee00000, 0x66);
    cfg_write(DEV, cap + 2, 2, 0x81);
    check_delivers(0xfee00000, 0x66);
    assert_int_equal(vpci_remove_device(SIM_DOMAIN, DEV), 0);
    assert_false(hw_enabled());
    assert_int_equal(sim_girqs_used, 0);
    assert_int_equal(vpci_remove_device(SIM_DOMAIN, DEV), -ENODEV);
    sim_finish();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_layouts),  cmocka_unit_test(test_mask_is_the_devices),
        cmocka_unit_test(test_multiple), cmocka_unit_test(test_refused),
        cmocka_unit_test(test_partial),  cmocka_unit_test(test_reset_and_removal),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
