/* SPDX-License-Identifier: MIT */
/*
 * Bridges in the control domain: everything passes as long as all behind them is its own; what would harm another domain's
 * function is dropped bit by bit, and the rest of the write arrives; the hypervisor's own bus reset is nobody else's.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/errno.h"
#include "sim.h"
#include "sim_pci.h"
#include "trap/record.h"
#include "vdev/pci_reset.h"
#include "vdev/pci_topo.h"

#define PORT   PCI_SBDF(0, 0, 3, 0) /* a root port, and behind it */
#define BRIDGE PCI_SBDF(0, 1, 0, 0) /* a conventional bridge, and behind that */
#define NIC    PCI_SBDF(0, 2, 4, 0) /* what a guest gets */
#define ASIDE  PCI_SBDF(0, 0, 4, 0) /* another port, with nothing of a guest's behind it */
#define ACS    0x100
#define DPC    0x148
#define GUEST  ((struct domain *)0x1000)

/* pci_topo.c wants these; nobody moves here. */
int iommu_set_aliases(uint32_t sbdf, const uint16_t *rid, unsigned nr)
{
    (void)sbdf;
    (void)rid;
    (void)nr;
    return 0;
}

int iommu_attach(struct iommu_domain *d, uint32_t sbdf)
{
    (void)d;
    (void)sbdf;
    return 0;
}

static struct sim_function *port, *bridge;
static unsigned express, power;

static void writable(struct sim_function *f, unsigned reg, unsigned size, uint32_t val)
{
    memcpy(&f->writable[reg], &val, size);
}

static struct sim_function *make_bridge(uint32_t sbdf, uint8_t secondary, uint8_t subordinate)
{
    struct sim_function *f = sim_add(sbdf, 0x1b36, 0xc);

    sim_bridge(f, secondary, subordinate);
    writable(f, PCI_REG_COMMAND, 2, 0x0547);
    writable(f, PCI_REG_IO_WINDOW, 2, PCI_IO_WINDOW_MASK);
    sim_put(f, PCI_REG_IO_WINDOW, 2, 0x0101); /* 32 address bits, as its read-only bits say */
    f->w1c[0x1f] = 0xf9;
    writable(f, PCI_REG_IO_WINDOW_HI, 4, ~0u);
    writable(f, PCI_REG_BRIDGE_CONTROL, 2, 0x005f);
    f->w1c[PCI_REG_BRIDGE_CONTROL + 1] = PCI_BRIDGE_DISCARDED >> 8;
    return f;
}

static void make_port(void)
{
    port = make_bridge(PORT, 1, 2);
    power = sim_cap(port, PCI_CAP_PM, 8);
    express = sim_cap(port, PCI_CAP_PCIE, 0x18); /* and more: it is the last one */
    sim_put(port, express + PCI_EXP_FLAGS, 2, PCI_EXP_FLAGS_SLOT | PCIE_ROOT_PORT << 4 | 2);
    writable(port, express + PCI_EXP_DEVCTL, 2, 0x7fff);
    writable(port, express + PCI_EXP_LNKCTL, 2, 0x0fdb);
    writable(port, express + PCI_EXP_LNKCTL2, 2, 0xffff);
    writable(port, express + PCI_EXP_SLTCTL, 2, 0x17ff);
    writable(port, power + PCI_PM_CONTROL, 2, 0x0103);
    port->w1c[power + PCI_PM_CONTROL + 1] = PCI_PM_PME_STATUS >> 8;
    sim_put(port, ACS, 4, DPC << 20 | 0x10000 | PCI_EXT_CAP_ACS);
    sim_put(port, ACS + PCI_ACS_CAP, 2, 0x5f);
    writable(port, ACS + PCI_ACS_CONTROL, 2, 0x5f);
    sim_put(port, DPC, 4, 0x10000 | PCI_EXT_CAP_DPC);
    writable(port, DPC + PCI_DPC_CONTROL, 2, 0x00ff);
}

static int setup(void **state)
{
    (void)state;
    sim_reset();
    make_port();
    bridge = make_bridge(BRIDGE, 2, 2);
    make_bridge(ASIDE, 3, 3);
    sim_add(NIC, 0x8086, 0x10d3);
    sim_boot();
    assert_int_equal(pci_nr_devices(), 4);
    return 0;
}

static int teardown(void **state)
{
    struct pci_dev *nic = pci_find(NIC);

    (void)state;
    if (nic && nic->owner == GUEST)
        nic->owner = NULL;
    sim_finish();
    return 0;
}

static void give_away(void)
{
    assert_int_equal(vpci_remove_device(SIM_DOMAIN, NIC), 0);
    pci_find(NIC)->owner = GUEST;
}

/* What a kernel writes in the course of its life: register, size, before, and whether a part of it harms who is behind. */
struct change {
    struct sim_function **f;
    unsigned reg, size;
    uint32_t before, after; /* as the register is, and as the write wants it */
    uint32_t kept;          /* as it becomes if a guest has the function */
};

static const struct change *changes(unsigned *nr)
{
    static struct change c[32];
    const struct change list[] = {
        { &port, PCI_REG_COMMAND, 2, 0x0007, 0x0540, 0x0547 },
        { &port, PCI_REG_COMMAND, 2, 0x0007, 0x0003, 0x0007 },
        { &port, PCI_REG_COMMAND, 4, 0x00100407, 0x00100000, 0x00100007 },
        { &bridge, PCI_REG_COMMAND, 1, 0x07, 0x05, 0x07 },
        { &port, PCI_REG_PRIMARY_BUS, 1, 0, 5, 0 },
        { &port, PCI_REG_SUBORD_BUS, 1, 2, 1, 2 },
        { &port, PCI_REG_PRIMARY_BUS, 4, 0x00020100, 0x00ff0100, 0x00020100 },
        { &port, PCI_REG_IO_WINDOW, 2, 0x1101, 0x01f1, 0x1101 },
        { &port, PCI_REG_IO_WINDOW, 1, 0x11, 0x21, 0x11 },
        { &port, PCI_REG_MEM_WINDOW, 4, 0xfe00fd00, 0x0000fff0, 0xfe00fd00 },
        { &bridge, PCI_REG_MEM_WINDOW, 2, 0xfd00, 0xfd10, 0xfd00 },
        { &port, PCI_REG_PREF_WINDOW, 4, 0x10011001, 0x20012001, 0x10011001 },
        { &port, PCI_REG_PREF_BASE_HI, 4, 8, 9, 8 },
        { &port, PCI_REG_PREF_LIMIT_HI, 4, 8, 0, 8 },
        { &port, PCI_REG_IO_WINDOW_HI, 4, 0, 0x0000ffff, 0 },
        { &port, PCI_REG_BRIDGE_CONTROL, 2, 0x0002, 0x0043, 0x0003 },
        { &port, PCI_REG_BRIDGE_CONTROL, 1, 0x02, 0x40, 0x00 },
        { &bridge, PCI_REG_BRIDGE_CONTROL, 2, 0, PCI_BRIDGE_RESET, 0 },
    };

    *nr = ARRAY_SIZE(list);
    memcpy(c, list, sizeof(list));
    c[*nr] = (struct change){ &port, express + PCI_EXP_LNKCTL, 2, 0x0040, 0x0051, 0x0041 };
    c[*nr + 1] = (struct change){ &port, express + PCI_EXP_SLTCTL, 2, 0x0001, 0x0402, 0x0002 };
    c[*nr + 2] = (struct change){ &port, power + PCI_PM_CONTROL, 2, 0, 0x0103, 0x0100 };
    c[*nr + 3] = (struct change){ &port, ACS + PCI_ACS_CONTROL, 2, 0x1d, 0x41, 0x5d };
    c[*nr + 4] = (struct change){ &port, DPC + PCI_DPC_CONTROL, 2, 0x01, 0x42, 0x02 };
    c[*nr + 5] = (struct change){ &port, express + PCI_EXP_DEVCTL, 2, 0x0020, 0x0049, 0x0029 };
    c[*nr + 6] = (struct change){ &port, express + PCI_EXP_LNKCTL2, 2, 0x0003, 0x0012, 0x0002 };
    *nr += 7;
    return c;
}

static void check_change(const struct change *c, bool guarded)
{
    uint64_t before = deny_count(DENY_BRIDGE_IN_USE);
    struct sim_function *f = *c->f;
    uint8_t all[PCI_CFG_EXT_SIZE];
    uint32_t want = guarded ? c->kept : c->after;

    sim_put(f, c->reg, c->size, c->before);
    memcpy(all, f->config, sizeof(all));
    memcpy(&all[c->reg], &want, c->size);
    cfg_write(f->sbdf, c->reg, c->size, c->after);
    if (memcmp(all, f->config, sizeof(all)))
        print_error("register %#x: %#x, expected %#x\n", c->reg, sim_get(f, c->reg, c->size), want);
    assert_memory_equal(all, f->config, sizeof(all));
    assert_int_equal(deny_count(DENY_BRIDGE_IN_USE), before + guarded);
    /* What is there already may be written at any time. */
    sim_put(f, c->reg, c->size, c->before);
    cfg_write(f->sbdf, c->reg, c->size, c->before);
    assert_int_equal(sim_get(f, c->reg, c->size), c->before);
    assert_int_equal(deny_count(DENY_BRIDGE_IN_USE), before + guarded);
}

static void check_all(bool guarded)
{
    uint8_t first[2][PCI_CFG_EXT_SIZE];
    unsigned nr;
    const struct change *c = changes(&nr);

    memcpy(first[0], port->config, sizeof(first[0]));
    memcpy(first[1], bridge->config, sizeof(first[1]));
    for (unsigned i = 0; i < nr; i++) {
        check_change(&c[i], guarded);
        memcpy(port->config, first[0], sizeof(first[0]));
        memcpy(bridge->config, first[1], sizeof(first[1]));
    }
}

static void test_own(void **state)
{
    (void)state;
    check_all(false);
    /* Nobody's, because the control domain does not want it, is not another's. */
    assert_int_equal(vpci_remove_device(SIM_DOMAIN, NIC), 0);
    check_all(false);
}

static void test_guests(void **state)
{
    struct pci_dev *nic = pci_find(NIC);

    (void)state;
    nic->held = true; /* on its way */
    check_all(true);
    nic->held = false;
    give_away();
    check_all(true);
    /* Its bridge is nobody's business while it is a guest's; another one is. */
    cfg_write(ASIDE, PCI_REG_BRIDGE_CONTROL, 2, PCI_BRIDGE_RESET);
    assert_int_equal(sim_get(sim_find(ASIDE), PCI_REG_BRIDGE_CONTROL, 2), PCI_BRIDGE_RESET);
    nic->owner = NULL;
    nic->held = true; /* nobody's, and blocked */
    check_all(true);
    nic->held = false;
    assert_int_equal(vpci_add_device(SIM_DOMAIN, NIC), 0);
    check_all(false);
}

/* Bits that are cleared by writing 1 are cleared by whoever writes 1 to them, and by nobody else. */
static void test_status(void **state)
{
    (void)state;
    give_away();
    sim_put(port, 0x1e, 2, 0xa000);
    cfg_write(PORT, PCI_REG_IO_WINDOW, 2, 0x2121);
    assert_int_equal(sim_get(port, 0x1e, 2), 0xa000);
    cfg_write(PORT, PCI_REG_IO_WINDOW, 4, 0x80002121);
    assert_int_equal(sim_get(port, 0x1e, 2), 0x2000);
    sim_put(port, PCI_REG_BRIDGE_CONTROL, 2, PCI_BRIDGE_DISCARDED);
    cfg_write(PORT, PCI_REG_BRIDGE_CONTROL, 1, PCI_BRIDGE_RESET | 1);
    assert_int_equal(sim_get(port, PCI_REG_BRIDGE_CONTROL, 2), PCI_BRIDGE_DISCARDED | 1);
    sim_put(port, power + PCI_PM_CONTROL, 2, PCI_PM_PME_STATUS);
    cfg_write(PORT, power + PCI_PM_CONTROL, 1, 3);
    assert_int_equal(sim_get(port, power + PCI_PM_CONTROL, 2), PCI_PM_PME_STATUS);
}

/* What was done before the guest got it may be taken back. */
static void test_ways_back(void **state)
{
    uint64_t before = deny_count(DENY_BRIDGE_IN_USE);

    (void)state;
    cfg_write(PORT, PCI_REG_BRIDGE_CONTROL, 2, PCI_BRIDGE_RESET);
    cfg_write(PORT, express + PCI_EXP_LNKCTL, 2, PCI_EXP_LNKCTL_DISABLE);
    cfg_write(PORT, power + PCI_PM_CONTROL, 2, 3);
    give_away();
    cfg_write(PORT, PCI_REG_BRIDGE_CONTROL, 2, 0);
    cfg_write(PORT, express + PCI_EXP_LNKCTL, 2, 0);
    cfg_write(PORT, power + PCI_PM_CONTROL, 2, 0);
    cfg_write(PORT, ACS + PCI_ACS_CONTROL, 2, PCI_ACS_WANTED);
    /* Bits that say how wide a window is are no part of it. */
    cfg_write(PORT, PCI_REG_IO_WINDOW, 2, 0);
    assert_int_equal(sim_get(port, PCI_REG_IO_WINDOW, 2), 0x0101);
    assert_int_equal(sim_get(port, PCI_REG_BRIDGE_CONTROL, 2), 0);
    assert_int_equal(sim_get(port, express + PCI_EXP_LNKCTL, 2), 0);
    assert_int_equal(sim_get(port, power + PCI_PM_CONTROL, 2), 0);
    assert_int_equal(sim_get(port, ACS + PCI_ACS_CONTROL, 2), PCI_ACS_WANTED);
    assert_int_equal(deny_count(DENY_BRIDGE_IN_USE), before);
}

/* The refusal is on record with the function, the register and what was to be written. */
static void test_record(void **state)
{
    struct trap_record rec[RECORD_DENIALS];
    unsigned nr;

    (void)state;
    give_away();
    cfg_write(PORT, PCI_REG_BRIDGE_CONTROL, 2, PCI_BRIDGE_RESET | 2);
    nr = record_denials(rec, RECORD_DENIALS);
    assert_true(nr > 0);
    assert_int_equal(rec[nr - 1].rule, DENY_BRIDGE_IN_USE);
    assert_int_equal(rec[nr - 1].disposition, TRAP_DENIED);
    assert_int_equal(rec[nr - 1].sbdf, PORT);
    assert_int_equal(rec[nr - 1].addr, PCI_REG_BRIDGE_CONTROL);
    assert_int_equal(rec[nr - 1].value, PCI_BRIDGE_RESET | 2);
    assert_int_equal(vpci_find(&sim_vpci, PORT)->denied, 1);
    assert_int_equal(vpci_find(&sim_vpci, PORT)->warned, NIC);
}

/* While the hypervisor resets the bus, the control domain neither ends that nor goes on with it. */
static void test_own_reset(void **state)
{
    struct pci_reset r;
    struct pci_dev *nic = pci_find(NIC);

    (void)state;
    nic->held = true;
    assert_int_equal(vpci_remove_device(SIM_DOMAIN, NIC), 0);
    pci_reset_begin(&r, nic, PCI_RESET_BUS);
    while (!(sim_get(bridge, PCI_REG_BRIDGE_CONTROL, 2) & PCI_BRIDGE_RESET)) {
        assert_int_equal(pci_reset_step(&r), -EAGAIN);
        sim_now_ns = MAX(sim_now_ns, r.wake_ns);
    }
    cfg_write(BRIDGE, PCI_REG_BRIDGE_CONTROL, 2, 2);
    assert_int_equal(sim_get(bridge, PCI_REG_BRIDGE_CONTROL, 2), PCI_BRIDGE_RESET | 2);
    cfg_write(BRIDGE, PCI_REG_BRIDGE_CONTROL, 2, PCI_BRIDGE_RESET | 3);
    while (pci_reset_step(&r) == -EAGAIN)
        sim_now_ns = MAX(sim_now_ns, r.wake_ns);
    assert_int_equal(r.state, PCI_RESET_DONE);
    assert_int_equal(sim_get(bridge, PCI_REG_BRIDGE_CONTROL, 2), 3);
    /* What it has read meanwhile, it cannot write back. */
    cfg_write(BRIDGE, PCI_REG_BRIDGE_CONTROL, 2, PCI_BRIDGE_RESET | 3);
    assert_int_equal(sim_get(bridge, PCI_REG_BRIDGE_CONTROL, 2), 3);
    nic->held = false;
}

/* A bridge stays known as long as a guest has something behind it. */
static void test_removed(void **state)
{
    uint64_t before = deny_count(DENY_BRIDGE_KEPT);

    (void)state;
    give_away();
    assert_int_equal(vpci_physdev_remove(SIM_DOMAIN, BRIDGE), -EBUSY);
    assert_int_equal(vpci_physdev_remove(SIM_DOMAIN, PORT), -EBUSY);
    assert_int_equal(deny_count(DENY_BRIDGE_KEPT), before + 2);
    assert_int_equal(vpci_physdev_add(SIM_DOMAIN, BRIDGE, 0, 0), 0);
    check_all(true);
    assert_int_equal(vpci_physdev_remove(SIM_DOMAIN, ASIDE), 0);
    pci_find(NIC)->owner = NULL;
    assert_int_equal(vpci_physdev_remove(SIM_DOMAIN, BRIDGE), 0);
}

/* Registers for a slot are somebody else's where there is none. */
static void test_no_slot(void **state)
{
    (void)state;
    assert_int_equal(vpci_physdev_remove(SIM_DOMAIN, PORT), 0);
    sim_put(port, express + PCI_EXP_FLAGS, 2, PCIE_ROOT_PORT << 4 | 2);
    assert_int_equal(vpci_physdev_add(SIM_DOMAIN, PORT, 0, 0), 0);
    give_away();
    cfg_write(PORT, express + PCI_EXP_SLTCTL, 2, 0x0402);
    assert_int_equal(sim_get(port, express + PCI_EXP_SLTCTL, 2), 0x0402);
    cfg_write(PORT, express + PCI_EXP_LNKCTL, 2, 0x0010);
    assert_int_equal(sim_get(port, express + PCI_EXP_LNKCTL, 2), 0);
}

/* The port is found again, with the capability elsewhere: where a part of it does not fit, or something else is as well. */
static void move_cap(unsigned *cap, unsigned to)
{
    unsigned pos = PCI_REG_CAP_POINTER;
    uint32_t begin = sim_get(port, *cap, 4);

    assert_int_equal(vpci_physdev_remove(SIM_DOMAIN, PORT), 0);
    while (port->config[pos] != *cap)
        pos = port->config[pos] + 1u;
    port->config[pos] = (uint8_t)to;
    sim_put(port, to, 4, begin);
    *cap = to;
    assert_int_equal(vpci_physdev_add(SIM_DOMAIN, PORT, 0, 0), 0);
    assert_non_null(vpci_find(&sim_vpci, PORT));
    give_away();
}

/* What does not fit is no register of the capability's, least of all one of the extended space; the rest is guarded. */
static void test_cut_off(void **state)
{
    (void)state;
    move_cap(&express, PCI_CFG_SIZE - PCI_EXP_LNKCTL - 4);
    writable(port, express + PCI_EXP_LNKCTL, 2, 0x0fdb);
    cfg_write(PORT, express + PCI_EXP_LNKCTL, 2, PCI_EXP_LNKCTL_DISABLE);
    assert_int_equal(sim_get(port, express + PCI_EXP_LNKCTL, 2), 0);
    writable(port, express + PCI_EXP_SLTCTL, 2, 0xffff);
    cfg_write(PORT, express + PCI_EXP_SLTCTL, 2, 0x0402);
    assert_int_equal(sim_get(port, express + PCI_EXP_SLTCTL, 2), 0x0402);
}

/* A bridge whose capabilities overlap is not lost for that; who came first watches over the place. */
static void test_overlap(void **state)
{
    (void)state;
    move_cap(&power, express + PCI_EXP_LNKCTL - PCI_PM_CONTROL);
    cfg_write(PORT, express + PCI_EXP_LNKCTL, 2, PCI_EXP_LNKCTL_DISABLE | 1);
    assert_int_equal(sim_get(port, express + PCI_EXP_LNKCTL, 2), 1);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_own),     TEST(test_guests),    TEST(test_status),  TEST(test_ways_back),
        TEST(test_record),  TEST(test_own_reset), TEST(test_removed), TEST(test_no_slot),
        TEST(test_cut_off), TEST(test_overlap),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
