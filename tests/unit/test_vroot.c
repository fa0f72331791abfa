/* SPDX-License-Identifier: MIT */
/*
 * A guest's root ports: registers and their masks, bus numbers, and hot-plug as Linux's pciehp
 * drives it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/errno.h"
#include "sim.h"
#include "sim_guest.h"

#define HW       PCI_SBDF(0, 0, 4, 0)
#define HW2      PCI_SBDF(0, 0, 4, 1)
#define PORT(n)  PCI_SBDF(0, 0, n, 0)
#define MIB(n)   ((uint64_t)(n) << 20)
#define SLOT     3
#define BUS      7
#define FUNCTION PCI_SBDF(0, BUS, 0, 0)

/* PCI Express capability and slot registers, found as a driver finds them. */
static unsigned cap_of(uint32_t sbdf, uint8_t id)
{
    unsigned pos = cfg_read(sbdf, PCI_REG_CAP_POINTER, 1);

    for (unsigned i = 0; i < 48 && pos >= 0x40; i++) {
        if (cfg_read(sbdf, pos, 1) == id)
            return pos;
        pos = cfg_read(sbdf, pos + 1, 1);
    }
    return 0;
}

static unsigned exp_cap(unsigned slot)
{
    return cap_of(PORT(slot), PCI_CAP_PCIE);
}

#define LNKCAP 0x0c
#define LNKCTL 0x10
#define LNKSTA 0x12
#define SLTCAP 0x14
#define SLTCTL 0x18
#define SLTSTA 0x1a

#define ABP   0x0001
#define PDC   0x0008
#define CC    0x0010
#define PDS   0x0040
#define DLLSC 0x0100

static uint32_t exp_read(unsigned slot, unsigned reg, unsigned size)
{
    return cfg_read(PORT(slot), exp_cap(slot) + reg, size);
}

static void exp_write(unsigned slot, unsigned reg, unsigned size, uint32_t val)
{
    cfg_write(PORT(slot), exp_cap(slot) + reg, size, val);
}

static int setup(void **state)
{
    struct sim_function *f;

    (void)state;
    sim_reset();
    f = sim_add(HW, 0x1b36, 0x10);
    f->config[PCI_REG_HEADER_TYPE] = PCI_HEADER_MULTI;
    sim_bar(f, 0, 16 << 10, MIB(17), true);
    f = sim_add(HW2, 0x1b36, 0x11);
    sim_bar(f, 0, 4096, MIB(18), false);
    sim_guest_begin();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    sim_guest_end();
    sim_finish();
    return 0;
}

static void test_bus_zero(void **state)
{
    (void)state;
    assert_int_equal(cfg_read(PCI_SBDF(0, 0, 0, 0), 0, 4), VROOT_HOST_BRIDGE << 16 | VROOT_VENDOR);
    assert_int_equal(cfg_read(PCI_SBDF(0, 0, 0, 0), 8, 4) >> 8, 0x060000);
    for (unsigned slot = 1; slot <= 16; slot++) {
        assert_int_equal(cfg_read(PORT(slot), 0, 4), VROOT_PORT << 16 | VROOT_VENDOR);
        assert_int_equal(cfg_read(PORT(slot), 8, 4) >> 8, 0x060400);
        assert_int_equal(cfg_read(PORT(slot), PCI_REG_HEADER_TYPE, 1), PCI_HEADER_BRIDGE);
        assert_int_equal(exp_read(slot, SLTCAP, 4) >> 19, slot);
        assert_int_equal(exp_read(slot, SLTCAP, 4) & 0x7f, 0x79);
        assert_int_equal(exp_read(slot, PCI_EXP_FLAGS, 2), 0x0142);
        assert_true(exp_read(slot, LNKCAP, 4) & 1 << 20);
        assert_int_equal(exp_read(slot, SLTSTA, 2), 0);
        assert_int_equal(exp_read(slot, LNKSTA, 2), 0);
        assert_int_equal(cfg_read(PORT(slot), 0x100, 4), 0);
    }
    /* One function each, and nothing behind the last port. */
    assert_int_equal(cfg_read(PCI_SBDF(0, 0, 1, 1), 0, 4), 0xffffffff);
    assert_int_equal(cfg_read(PCI_SBDF(0, 0, 17, 0), 0, 4), 0xffffffff);
    assert_int_equal(cfg_read(PCI_SBDF(0, 1, 0, 0), 0, 4), 0xffffffff);
    /* The machine's own functions are nowhere. */
    assert_int_equal(cfg_read(HW2, 0, 4), 0xffffffff);
    assert_int_equal(vroot_create(SIM_DOMAIN), -EEXIST);
}

static void test_ecam(void **state)
{
    uint64_t val;

    (void)state;
    assert_int_equal(trap_mmio_access(SIM_VCPU, XENLITE_PCI_ECAM_BASE + (5 << 15), 4, false, &val),
                     TRAP_DONE);
    assert_int_equal(val, VROOT_PORT << 16 | VROOT_VENDOR);
    assert_int_equal(trap_mmio_access(SIM_VCPU, XENLITE_PCI_ECAM_BASE + XENLITE_PCI_ECAM_SIZE - 4,
                                      4, false, &val),
                     TRAP_DONE);
    assert_int_equal(val, 0xffffffff);
    assert_int_equal(
        trap_mmio_access(SIM_VCPU, XENLITE_PCI_ECAM_BASE + XENLITE_PCI_ECAM_SIZE, 4, false, &val),
        TRAP_NONE);
}

static void test_masks(void **state)
{
    (void)state;
    /* Windows are kept, flags of their width stay. */
    cfg_write(PORT(2), 0x20, 4, 0xffffffff);
    assert_int_equal(cfg_read(PORT(2), 0x20, 4), 0xfff0fff0);
    cfg_write(PORT(2), 0x24, 4, 0);
    assert_int_equal(cfg_read(PORT(2), 0x24, 4), 0x00010001);
    cfg_write(PORT(2), 0x28, 4, 0x12345678);
    assert_int_equal(cfg_read(PORT(2), 0x28, 4), 0x12345678);
    cfg_write(PORT(2), 0x1c, 2, 0xffff);
    assert_int_equal(cfg_read(PORT(2), 0x1c, 2), 0xf0f0);
    cfg_write(PORT(2), PCI_REG_COMMAND, 2, 0xffff);
    assert_int_equal(cfg_read(PORT(2), PCI_REG_COMMAND, 4), 0x0547 | PCI_STATUS_CAP_LIST << 16);
    /* There are no BARs and no ROM. */
    cfg_write(PORT(2), PCI_REG_BAR0, 4, ~0u);
    cfg_write(PORT(2), PCI_REG_ROM_BRIDGE, 4, ~0u);
    assert_int_equal(cfg_read(PORT(2), PCI_REG_BAR0, 4), 0);
    assert_int_equal(cfg_read(PORT(2), PCI_REG_ROM_BRIDGE, 4), 0);
    cfg_write(PORT(2), 0, 4, 0);
    assert_int_equal(cfg_read(PORT(2), 0, 4), VROOT_PORT << 16 | VROOT_VENDOR);
    /* Bytes of their own. */
    cfg_write(PORT(2), 0x29, 1, 0xab);
    assert_int_equal(cfg_read(PORT(2), 0x28, 4), 0x1234ab78);
    assert_int_equal(cfg_read(PORT(3), 0x28, 4), 0xffffffff);
    cfg_write(PORT(2), 0xfc, 4, ~0u);
    assert_int_equal(cfg_read(PORT(2), 0xfc, 4), 0);
    cfg_write(PORT(2), 0x200, 4, ~0u);
    assert_int_equal(cfg_read(PORT(2), 0x200, 4), 0);
}

static void set_bus(unsigned slot, uint8_t secondary, uint8_t subordinate)
{
    cfg_write(PORT(slot), PCI_REG_PRIMARY_BUS, 4,
              (uint32_t)subordinate << 16 | (uint32_t)secondary << 8);
}

static void test_routing(void **state)
{
    (void)state;
    assert_int_equal(vpci_guest_attach(SIM_DOMAIN, HW, SLOT, 0), 0);
    for (unsigned bus = 0; bus < 256; bus++)
        assert_int_not_equal(cfg_read(PCI_SBDF(0, bus, 0, 0), 0, 4), 0x00101b36);
    set_bus(SLOT, BUS, BUS);
    assert_int_equal(cfg_read(FUNCTION, 0, 4), 0x00101b36);
    assert_int_equal(cfg_read(FUNCTION | 1, 0, 4), 0xffffffff);
    assert_int_equal(cfg_read(PCI_SBDF(0, BUS, 1, 0), 0, 4), 0xffffffff);
    /*
     * Moved; a range that ends below it; none; the root's own bus; beyond the configuration window.
     */
    set_bus(SLOT, BUS + 1, BUS + 3);
    assert_int_equal(cfg_read(FUNCTION, 0, 4), 0xffffffff);
    assert_int_equal(cfg_read(PCI_SBDF(0, BUS + 1, 0, 0), 0, 4), 0x00101b36);
    set_bus(SLOT, BUS, BUS - 1);
    assert_int_equal(cfg_read(FUNCTION, 0, 4), 0xffffffff);
    set_bus(SLOT, 0, 63);
    assert_int_equal(cfg_read(PCI_SBDF(0, 0, 0, 0), 0, 4), VROOT_HOST_BRIDGE << 16 | VROOT_VENDOR);
    set_bus(SLOT, 64, 64);
    assert_int_equal(cfg_read(PCI_SBDF(0, 64, 0, 0), 0, 4), 0xffffffff);
    /* Two ports with the same number: one function answers, and moving away gives it back. */
    assert_int_equal(vpci_guest_attach(SIM_DOMAIN, HW2, SLOT + 1, 0), 0);
    set_bus(SLOT, BUS, BUS);
    set_bus(SLOT + 1, BUS, BUS);
    assert_int_equal(cfg_read(FUNCTION, 0, 4), 0x00101b36);
    set_bus(SLOT, 9, 9);
    assert_int_equal(cfg_read(FUNCTION, 0, 4), 0x00111b36);
    assert_int_equal(cfg_read(PCI_SBDF(0, 9, 0, 0), 0, 4), 0x00101b36);
    /* With the link off nobody is there. */
    exp_write(SLOT, LNKCTL, 2, 0x10);
    assert_int_equal(cfg_read(PCI_SBDF(0, 9, 0, 0), 0, 4), 0xffffffff);
    assert_int_equal(exp_read(SLOT, LNKSTA, 2) & 0x2000, 0);
    exp_write(SLOT, LNKCTL, 2, 0);
    assert_int_equal(cfg_read(PCI_SBDF(0, 9, 0, 0), 0, 4), 0x00101b36);
}

static void test_attach_errors(void **state)
{
    (void)state;
    assert_int_equal(vpci_guest_attach(SIM_DOMAIN, PCI_SBDF(0, 3, 0, 0), 1, 0), -ENODEV);
    assert_int_equal(vpci_guest_attach(SIM_DOMAIN, HW, 0, 0), -EINVAL);
    assert_int_equal(vpci_guest_attach(SIM_DOMAIN, HW, 17, 0), -EINVAL);
    assert_int_equal(vpci_guest_attach(SIM_DOMAIN, HW, 1, 8), -EINVAL);
    assert_int_equal(vpci_guest_detach(SIM_DOMAIN, HW), -ENODEV);
    assert_int_equal(vpci_guest_attach(SIM_DOMAIN, HW, 1, 0), 0);
    assert_int_equal(vpci_guest_attach(SIM_DOMAIN, HW, 2, 0), -EBUSY);
    assert_int_equal(vpci_guest_attach(SIM_DOMAIN, HW2, 1, 0), -EEXIST);
    assert_null(pci_find(HW2)->owner);
    assert_int_equal(vpci_guest_detach(SIM_DOMAIN, HW), 0);
    assert_null(pci_find(HW)->owner);
    /* Each allocation may be the one that fails. */
    for (unsigned n = 1; n < 8; n++) {
        sim_heap_fail_after = n;
        if (!vpci_guest_attach(SIM_DOMAIN, HW, 1, 0))
            break;
        assert_null(pci_find(HW)->owner);
    }
    sim_heap_fail_after = 0;
    assert_ptr_equal(pci_find(HW)->owner, SIM_DOMAIN);
}

static void test_create_fails(void **state)
{
    unsigned n = 1;

    (void)state;
    for (;; n++) {
        vroot_destroy(SIM_DOMAIN);
        vpci_prepare(&sim_vpci);
        sim_heap_fail_after = n;
        if (!vroot_create(SIM_DOMAIN))
            break;
        assert_null(sim_vpci.root);
        assert_null(trap_find(&sim_traps, TRAP_PIO, 0xcf8));
    }
    assert_true(n > 17);
    sim_heap_fail_after = 0;
    vroot_destroy(SIM_DOMAIN);
    vpci_prepare(&sim_vpci);
    sim_guest_started = true;
    assert_int_equal(vroot_create(SIM_DOMAIN), -EBUSY);
    sim_guest_started = false;
    assert_int_equal(vroot_create(SIM_DOMAIN), 0);
}

static void test_bus_reset(void **state)
{
    struct sim_function *f = sim_find(HW);
    unsigned cap = sim_cap(f, PCI_CAP_PCIE, 0x18);

    (void)state;
    f->config[cap + 2] = 2;
    f->config[cap + 7] = 0x10; /* function level reset */
    f->writable[cap + 9] = 0x80;
    pci_find(HW)->cap_pcie = (uint8_t)cap;
    assert_int_equal(vpci_guest_attach(SIM_DOMAIN, HW, SLOT, 0), 0);
    cfg_write(PORT(SLOT + 1), 0x3e, 2, 0x40);
    assert_int_equal(f->config[cap + 9], 0);
    cfg_write(PORT(SLOT), 0x3e, 2, 0x40);
    assert_int_equal(f->config[cap + 9], 0x80);
    /* Once, however often it is written; again after it was taken back. */
    f->config[cap + 9] = 0;
    cfg_write(PORT(SLOT), 0x3e, 2, 0x43);
    cfg_write(PORT(SLOT), 0x3e, 2, 0x03);
    assert_int_equal(f->config[cap + 9], 0);
    cfg_write(PORT(SLOT), 0x3c, 4, 0x00400000);
    assert_int_equal(f->config[cap + 9], 0x80);
}

/* As portdrv and pciehp begin: MSI, then clear events, then enable notification. */
static void driver_starts(unsigned slot)
{
    unsigned msi = cap_of(PORT(slot), PCI_CAP_MSI);

    cfg_write(PORT(slot), msi + 4, 4, 0xfee01000);
    cfg_write(PORT(slot), msi + 8, 4, 0);
    cfg_write(PORT(slot), msi + 12, 2, 0x41);
    cfg_write(PORT(slot), msi + 2, 2, cfg_read(PORT(slot), msi + 2, 2) | 1);
    exp_write(slot, SLTSTA, 2, ABP | 2 | 4 | CC | DLLSC);
    exp_write(slot, SLTCTL, 2, (exp_read(slot, SLTCTL, 2) & 0xfc0) | 0x1031);
}

/* The interrupt handler: reads and clears events until there are none. */
static uint32_t driver_events(unsigned slot)
{
    uint32_t events = 0, sta;

    while ((sta = exp_read(slot, SLTSTA, 2) & (ABP | 2 | PDC | CC | DLLSC))) {
        events |= sta;
        exp_write(slot, SLTSTA, 2, sta);
    }
    return events;
}

/* A slot command; Linux waits for its completion. */
static void command(unsigned slot, uint32_t mask, uint32_t val)
{
    unsigned before = sim_messages;

    exp_write(slot, SLTCTL, 2, (exp_read(slot, SLTCTL, 2) & ~mask) | val);
    assert_int_equal(sim_messages, before + 1);
    assert_int_equal(driver_events(slot), CC);
}

static void test_cold(void **state)
{
    (void)state;
    assert_int_equal(vpci_guest_attach(SIM_DOMAIN, HW, SLOT, 0), 0);
    /* Present, and no news in that. */
    assert_int_equal(exp_read(SLOT, SLTSTA, 2), PDS);
    assert_int_equal(exp_read(SLOT, LNKSTA, 2), 0x2104);
    assert_int_equal(exp_read(SLOT, SLTCTL, 2) >> 8 & 3, 1);
    assert_int_equal(vroot_slot_state(SIM_DOMAIN, SLOT), XENLITE_PCI_SLOT_occupied);
    assert_int_equal(vroot_slot_state(SIM_DOMAIN, 1), XENLITE_PCI_SLOT_empty);
    assert_int_equal(vroot_slot_state(SIM_DOMAIN, 0), -ENODEV);
    assert_int_equal(vroot_slot_state(SIM_DOMAIN, 17), -ENODEV);
    sim_guest_started = true;
    driver_starts(SLOT);
    assert_int_equal(sim_messages, 1);
    assert_int_equal(driver_events(SLOT), CC);
    assert_int_equal(sim_message_addr, 0xfee01000);
    assert_int_equal(sim_message_data, 0x41);
}

static void test_hot_add(void **state)
{
    (void)state;
    sim_guest_started = true;
    set_bus(SLOT, BUS, BUS);
    driver_starts(SLOT);
    driver_events(SLOT);
    sim_messages = 0;
    assert_int_equal(vpci_guest_attach(SIM_DOMAIN, HW2, SLOT, 1), 0);
    assert_int_equal(sim_messages, 0); /* function 0 comes last */
    assert_int_equal(vpci_guest_attach(SIM_DOMAIN, HW, SLOT, 0), 0);
    assert_int_equal(sim_messages, 1);
    assert_int_equal(driver_events(SLOT), PDC | DLLSC);
    assert_int_equal(exp_read(SLOT, SLTSTA, 2), PDS);
    assert_int_equal(exp_read(SLOT, LNKSTA, 2), 0x2104);
    command(SLOT, 0x300, 0x200); /* power indicator blinks */
    assert_int_equal(cfg_read(FUNCTION, 0, 4), 0x00101b36);
    assert_int_equal(cfg_read(FUNCTION, PCI_REG_HEADER_TYPE, 1), PCI_HEADER_MULTI);
    assert_int_equal(cfg_read(FUNCTION | 1, 0, 4), 0x00111b36);
    command(SLOT, 0x300, 0x100);
    assert_int_equal(vroot_slot_state(SIM_DOMAIN, SLOT), XENLITE_PCI_SLOT_occupied);
    /* Both go at once, without a word. */
    sim_messages = 0;
    assert_int_equal(vpci_guest_detach(SIM_DOMAIN, HW), 0);
    assert_int_equal(sim_messages, 1);
    assert_int_equal(cfg_read(FUNCTION | 1, 0, 4), 0xffffffff);
    assert_int_equal(vpci_guest_detach(SIM_DOMAIN, HW2), 0);
    assert_int_equal(sim_messages, 1);
    assert_int_equal(cfg_read(FUNCTION, 0, 4), 0xffffffff);
    assert_int_equal(driver_events(SLOT), PDC | DLLSC);
    assert_int_equal(exp_read(SLOT, SLTSTA, 2), 0);
    assert_int_equal(exp_read(SLOT, LNKSTA, 2), 0);
}

static void test_eject(void **state)
{
    struct xenlite_pci_slot_op op = { .slot = SLOT };

    (void)state;
    sim_guest_started = true;
    driver_starts(SLOT);
    driver_events(SLOT);
    assert_int_equal(vroot_request_eject(SIM_DOMAIN, SLOT), -ENOENT);
    assert_int_equal(vpci_guest_attach(SIM_DOMAIN, HW, SLOT, 0), 0);
    driver_events(SLOT);
    command(SLOT, 0x300, 0x100);
    assert_int_equal(vroot_cancel_eject(SIM_DOMAIN, SLOT), -EBUSY);
    sim_messages = 0;
    assert_int_equal(vroot_request_eject(SIM_DOMAIN, SLOT), 0);
    assert_int_equal(vroot_request_eject(SIM_DOMAIN, SLOT), -EBUSY);
    assert_int_equal(sim_messages, 1);
    assert_int_equal(driver_events(SLOT), ABP);
    command(SLOT, 0x300, 0x200);
    assert_int_equal(vroot_slot_state(SIM_DOMAIN, SLOT), XENLITE_PCI_SLOT_ejecting);
    assert_int_equal(vroot_cancel_eject(SIM_DOMAIN, SLOT), 0);
    assert_int_equal(driver_events(SLOT), ABP);
    command(SLOT, 0x300, 0x100);
    assert_int_equal(vroot_slot_state(SIM_DOMAIN, SLOT), XENLITE_PCI_SLOT_occupied);
    /* And now for good. */
    assert_int_equal(vroot_request_eject(SIM_DOMAIN, SLOT), 0);
    driver_events(SLOT);
    command(SLOT, 0x300, 0x200);
    command(SLOT, 0x300, 0x300);
    assert_int_equal(vroot_slot_query(SIM_DOMAIN, &op), 0);
    assert_int_equal(op.state, XENLITE_PCI_SLOT_off);
    assert_int_equal(op.nr, 1);
    assert_int_equal(op.sbdf[0], HW);
    assert_int_equal(vpci_guest_detach(SIM_DOMAIN, HW), 0);
    assert_int_equal(driver_events(SLOT), PDC | DLLSC);
    assert_int_equal(vroot_slot_state(SIM_DOMAIN, SLOT), XENLITE_PCI_SLOT_empty);
    assert_int_equal(vpci_guest_attach(SIM_DOMAIN, HW, SLOT, 0), 0);
    assert_int_equal(vroot_slot_state(SIM_DOMAIN, SLOT), XENLITE_PCI_SLOT_occupied);
    assert_int_equal(vroot_free_slot(SIM_DOMAIN), 1);
}

/*
 * 6.7.3.4: one message until all enabled events are cleared; none without the interrupt's enable
 * bit, or MSI's.
 */
static void test_messages(void **state)
{
    unsigned msi = cap_of(PORT(SLOT), PCI_CAP_MSI);

    (void)state;
    sim_guest_started = true;
    driver_starts(SLOT);
    assert_int_equal(sim_messages, 1); /* of the command that enabled it */
    exp_write(SLOT, SLTCTL, 2, 0x13f1 & 0x1031);
    assert_int_equal(sim_messages, 1);
    driver_events(SLOT);
    assert_int_equal(vpci_guest_attach(SIM_DOMAIN, HW, SLOT, 0), 0);
    assert_int_equal(sim_messages, 2);
    /* An event more while the first ones are pending. */
    assert_int_equal(vroot_request_eject(SIM_DOMAIN, SLOT), 0);
    assert_int_equal(sim_messages, 2);
    exp_write(SLOT, SLTSTA, 2, PDC | DLLSC);
    assert_int_equal(exp_read(SLOT, SLTSTA, 2), PDS | ABP);
    assert_int_equal(sim_messages, 2);
    exp_write(SLOT, SLTSTA, 1, ABP);
    /* Not enabled: recorded, no message. Enabled later: one. */
    exp_write(SLOT, SLTCTL, 2, 0);
    driver_events(SLOT);
    assert_int_equal(vpci_guest_detach(SIM_DOMAIN, HW), 0);
    assert_int_equal(sim_messages, 2);
    exp_write(SLOT, SLTCTL, 2, 0x1020);
    assert_int_equal(sim_messages, 3);
    driver_events(SLOT);
    cfg_write(PORT(SLOT), msi + 2, 2, 0);
    assert_int_equal(vpci_guest_attach(SIM_DOMAIN, HW, SLOT, 0), 0);
    assert_int_equal(sim_messages, 3);
    driver_events(SLOT);
    cfg_write(PORT(SLOT), msi + 2, 2, 1);
    /* To an address that is not the local APICs': nowhere. */
    cfg_write(PORT(SLOT), msi + 4, 4, 0x1000);
    assert_int_equal(vpci_guest_detach(SIM_DOMAIN, HW), 0);
    assert_int_equal(sim_messages, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_bus_zero, setup, teardown),
        cmocka_unit_test_setup_teardown(test_ecam, setup, teardown),
        cmocka_unit_test_setup_teardown(test_masks, setup, teardown),
        cmocka_unit_test_setup_teardown(test_routing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bus_reset, setup, teardown),
        cmocka_unit_test_setup_teardown(test_attach_errors, setup, teardown),
        cmocka_unit_test_setup_teardown(test_create_fails, setup, teardown),
        cmocka_unit_test_setup_teardown(test_cold, setup, teardown),
        cmocka_unit_test_setup_teardown(test_hot_add, setup, teardown),
        cmocka_unit_test_setup_teardown(test_eject, setup, teardown),
        cmocka_unit_test_setup_teardown(test_messages, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
