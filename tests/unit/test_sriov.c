/* SPDX-License-Identifier: MIT */
/*
 * Virtual functions: which claims of the control domain are believed, where functions and BARs are found, what the control
 * domain may do to them and to their physical function while somebody else has one, and what a guest sees of one.
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
#include "vdev/pci_sriov.h"
#include "vdev/vmsix.h"

#define PF    PCI_SBDF(0, 0, 6, 0)
#define OTHER PCI_SBDF(0, 0, 7, 0) /* a function without the capability */
/* First VF Offset 0x102, stride 2: on another bus, and past function 7. */
#define VF(n)   (PF + 0x102 + 2 * (n))
#define CAP     0x160
#define TOTAL   8
#define VF_BAR0 (24ULL << 20)
#define VF_BAR4 (32ULL << 20)
#define SIZE0   (16ULL << 10)
#define SIZE4   (64ULL << 10)
#define VIRTFN  2u /* XEN_PCI_DEV_VIRTFN */

#define CONTROL (CAP + PCI_SRIOV_CONTROL)
#define ON      (PCI_SRIOV_VFE | PCI_SRIOV_MSE)

static struct sim_function *pf, *vf[TOTAL];
static unsigned express, power;

static void vf_bar(unsigned i, uint64_t size, uint64_t addr, bool is_64)
{
    unsigned reg = CAP + PCI_SRIOV_BAR0 + i * 4;
    uint64_t mask = -size;

    sim_put(pf, reg, 4, (uint32_t)addr | (is_64 ? PCI_BAR_MEM_64 : 0));
    memcpy(&pf->writable[reg], &mask, is_64 ? 8 : 4);
    pf->writable[reg] &= 0xf0;
}

/* As hardware has it, but that the first one obeys a memory bit of its own, as QEMU's do. */
static void make_vf(unsigned n)
{
    vf[n] = sim_add(VF(n), 0xffff, 0xffff);
    sim_put(vf[n], PCI_REG_CLASS_REV, 4, 0x01080202);
    if (n)
        vf[n]->writable[PCI_REG_COMMAND] &= (uint8_t)~PCI_COMMAND_MEMORY;
    sim_put(vf[n], PCI_REG_INT_PIN, 1, 1); /* QEMU's say so */
    sim_msix(vf[n], 4, 0, 0x2000, 0, 0x3000);
    vf[n]->present = false;
}

static void build(void)
{
    pf = sim_add(PF, 0x1b36, 0x10);
    sim_bar(pf, 0, SIZE0, 20ULL << 20, true);
    express = sim_cap(pf, PCI_CAP_PCIE, 0x18);
    memset(&pf->writable[express + PCI_EXP_DEVCTL], 0xff, 2);
    power = sim_cap(pf, PCI_CAP_PM, 8);
    pf->writable[power + PCI_PM_CONTROL] = 3;
    sim_put(pf, PCI_CFG_SIZE, 4, CAP << 20 | 0x0001000e); /* ARI comes first */
    sim_put(pf, CAP, 4, 0x00010000 | PCI_EXT_CAP_SRIOV);
    pf->writable[CONTROL] = 0x1f;
    sim_put(pf, CAP + PCI_SRIOV_TOTAL_VFS, 2, TOTAL);
    memset(&pf->writable[CAP + PCI_SRIOV_NUM_VFS], 0xff, 2);
    sim_put(pf, CAP + PCI_SRIOV_OFFSET, 2, 0x102);
    sim_put(pf, CAP + PCI_SRIOV_STRIDE, 2, 2);
    sim_put(pf, CAP + PCI_SRIOV_VF_DEVICE, 2, 0x1234);
    memset(&pf->writable[CAP + PCI_SRIOV_PAGE_SIZE], 0xff, 4);
    vf_bar(0, SIZE0, VF_BAR0, true);
    vf_bar(4, SIZE4, VF_BAR4, false);
    sim_add(OTHER, 1, 2);
    for (unsigned n = 0; n < TOTAL; n++)
        make_vf(n);
}

static int setup(void **state)
{
    (void)state;
    sim_reset();
    build();
    return 0;
}

static int setup_booted(void **state)
{
    setup(state);
    sim_boot();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    sim_finish();
    return 0;
}

static void appear(unsigned nr)
{
    for (unsigned n = 0; n < TOTAL; n++)
        vf[n]->present = n < nr;
}

/* As the control domain's kernel does it. */
static void enable(unsigned nr)
{
    cfg_write(PF, CAP + PCI_SRIOV_NUM_VFS, 2, nr);
    cfg_write(PF, CONTROL, 2, ON);
    appear(sim_get(pf, CONTROL, 2) & PCI_SRIOV_VFE ? nr : 0);
}

static int claim(unsigned n)
{
    return vpci_physdev_add(SIM_DOMAIN, VF(n), VIRTFN, PF);
}

/* ---- which ones there are ---- */

static void refused(uint32_t sbdf, uint32_t physfn, enum deny_rule rule)
{
    uint64_t before = deny_count(rule);

    assert_int_equal(vpci_physdev_add(SIM_DOMAIN, sbdf, VIRTFN, physfn), -deny_errno(rule));
    assert_int_equal(deny_count(rule), before + 1);
    assert_null(vpci_find(&sim_vpci, sbdf));
}

static void test_claims(void **state)
{
    (void)state;
    refused(VF(0), OTHER, DENY_VF_NOT_PHYSICAL);
    refused(VF(0), PCI_SBDF(0, 9, 0, 0), DENY_VF_NOT_PHYSICAL);
    refused(VF(0), PF, DENY_VF_DISABLED);
    enable(3);
    refused(VF(3), PF, DENY_VF_NOT_ONE);
    refused(VF(0) + 1, PF, DENY_VF_NOT_ONE);
    refused(VF(0) - 2, PF, DENY_VF_NOT_ONE);
    refused(VF(0) | 1 << 16, PF, DENY_VF_NOT_ONE);
    vf[2]->present = false;
    refused(VF(2), PF, DENY_VF_SILENT);
    vf[2]->present = true;
    pci_find(PF)->owner = NULL;
    refused(VF(0), PF, DENY_VF_FOREIGN);
    pci_find(PF)->owner = SIM_DOMAIN;
    assert_int_equal(pci_vfs_known(pci_find(PF), NULL), 0);
    for (unsigned n = 0; n < 3; n++)
        assert_int_equal(claim(n), 0);
    assert_int_equal(claim(1), 0);
    assert_int_equal(sim_found, 3);
    assert_int_equal(pci_vfs_known(pci_find(PF), NULL), 3);
    /* A function that is there by itself is no virtual one. */
    assert_int_equal(vpci_physdev_add(SIM_DOMAIN, OTHER, VIRTFN, PF), -EINVAL);
}

/* The capability may say anything. */
static void test_numbers(void **state)
{
    const struct pci_dev *dev = pci_find(PF);

    (void)state;
    enable(3);
    assert_int_equal(pci_vf_index(dev, VF(0)), 0);
    assert_int_equal(pci_vf_index(dev, VF(2)), 2);
    sim_put(pf, CAP + PCI_SRIOV_NUM_VFS, 2, 500); /* more than there are */
    assert_int_equal(pci_vf_index(dev, VF(7)), 7);
    assert_int_equal(pci_vf_index(dev, VF(8)), -1);
    sim_put(pf, CAP + PCI_SRIOV_STRIDE, 2, 0);
    assert_int_equal(pci_vf_index(dev, VF(0)), 0);
    assert_int_equal(pci_vf_index(dev, VF(1)), -1);
    sim_put(pf, CAP + PCI_SRIOV_OFFSET, 2, 0);
    assert_int_equal(pci_vf_index(dev, PF), -1);
    sim_put(pf, CAP + PCI_SRIOV_OFFSET, 2, 0xffff);
    assert_int_equal(pci_vf_index(dev, PF - 1), -1); /* it does not wrap */
    sim_put(pf, CAP + PCI_SRIOV_NUM_VFS, 2, 0);
    sim_put(pf, CAP + PCI_SRIOV_OFFSET, 2, 0x102);
    assert_int_equal(pci_vf_index(dev, VF(0)), -1);
    sim_put(pf, CONTROL, 2, 0xffff); /* does not answer */
    assert_int_equal(pci_vf_index(dev, VF(0)), -1);
    sim_put(pf, CONTROL, 2, 0);
}

static void test_identity(void **state)
{
    const struct pci_dev *dev;
    uint64_t denied = deny_count(DENY_CONFIG_ABSENT);

    (void)state;
    enable(2);
    /* The kernel writes to it before it tells. */
    cfg_write(VF(1), PCI_REG_COMMAND, 2, PCI_COMMAND_MASTER);
    assert_int_equal(deny_count(DENY_CONFIG_ABSENT), denied);
    dev = pci_find(VF(1));
    assert_ptr_equal(dev->physfn, pci_find(PF));
    assert_int_equal(dev->vf_index, 1);
    assert_int_equal(dev->vendor, 0x1b36);
    assert_int_equal(dev->device, 0x1234);
    assert_int_equal(dev->class_rev, 0x01080202);
    assert_int_equal(pci_identity(dev), 0x12341b36);
    assert_int_equal(pci_intx_pin(dev), 0);
    assert_int_equal(sim_get(vf[1], PCI_REG_COMMAND, 2), PCI_COMMAND_MASTER);
    /* Announced as an ordinary one, it is what it is. */
    assert_int_equal(vpci_physdev_add(SIM_DOMAIN, VF(0), 0, 0), 0);
    assert_ptr_equal(pci_find(VF(0))->physfn, pci_find(PF));
    assert_int_equal(cfg_read(VF(0), 0, 4), ~0u);
    /* After a reset: not ready, ready, another one. */
    sim_put(vf[1], PCI_REG_VENDOR, 4, 0xffff0001);
    assert_int_equal(pci_identity(dev) & 0xffff, 1);
    sim_put(vf[1], PCI_REG_VENDOR, 4, ~0u);
    sim_put(vf[1], PCI_REG_CLASS_REV, 4, 0x01080203);
    assert_int_not_equal(pci_identity(dev), 0x12341b36);
    sim_put(vf[1], PCI_REG_CLASS_REV, 4, ~0u);
    assert_int_equal(pci_identity(dev), ~0u);
}

/* ---- memory ---- */

static void check_bars(unsigned n, bool mapped)
{
    const struct pci_dev *dev = pci_find(VF(n));
    uint64_t addr0 = VF_BAR0 + n * SIZE0, addr4 = VF_BAR4 + n * SIZE4;

    assert_int_equal(sim_mapped(addr0), mapped);
    assert_false(sim_mapped(addr0 + 0x2000)); /* MSI-X table, pending bits */
    assert_false(sim_mapped(addr0 + 0x3000));
    assert_int_equal(sim_mapped(addr4 + SIZE4 - 1), mapped);
    assert_int_equal(dev->decode, mapped);
    if (!mapped)
        return;
    assert_int_equal(dev->bar[0].addr, addr0);
    assert_int_equal(dev->bar[0].kind, PCI_BAR_MEM64);
    assert_int_equal(dev->bar[4].addr, addr4);
    assert_int_equal(dev->bar[4].size, SIZE4);
    assert_int_equal(dev->bar[2].kind, PCI_BAR_NONE);
    assert_int_equal(pci_bar_address(dev, 4), addr4);
}

static void test_bars(void **state)
{
    (void)state;
    enable(3);
    assert_int_equal(claim(0), 0);
    assert_int_equal(claim(2), 0);
    check_bars(0, true);
    check_bars(2, true);
    assert_false(sim_mapped(VF_BAR0 + SIZE0));
    /* The bit that hardware has not reads as such, and stays on where it is obeyed. */
    cfg_write(VF(0), PCI_REG_COMMAND, 2, 0);
    assert_int_equal(cfg_read(VF(0), PCI_REG_COMMAND, 2), 0);
    assert_int_equal(sim_get(vf[0], PCI_REG_COMMAND, 2), PCI_COMMAND_MEMORY);
    assert_int_equal(cfg_read(VF(2), PCI_REG_COMMAND, 2), 0);
    check_bars(0, true);
    /* BAR registers are nothing special here. */
    cfg_write(VF(0), PCI_REG_BAR0, 4, ~0u);
    assert_int_equal(cfg_read(VF(0), PCI_REG_BAR0, 4), 0);
    /* Off and on in place, as a kernel that saves and restores the physical function does. */
    cfg_write(PF, CONTROL, 2, 0);
    check_bars(0, false);
    check_bars(2, false);
    cfg_write(PF, CAP + PCI_SRIOV_BAR0 + 16, 4, VF_BAR4 + (4 << 20));
    cfg_write(PF, CONTROL, 2, ON);
    check_bars(0, false);
    cfg_write(VF(0), PCI_REG_COMMAND, 2, 4);
    assert_true(sim_mapped(VF_BAR4 + (4 << 20)));
    assert_int_equal(claim(2), 0);
    assert_true(sim_mapped(VF_BAR4 + (4 << 20) + 2 * SIZE4));
}

static void test_forbidden_bar(void **state)
{
    (void)state;
    cfg_write(PF, CAP + PCI_SRIOV_BAR0 + 16, 4, (uint32_t)(SIM_RAM - SIZE4));
    enable(2);
    assert_int_equal(claim(0), 0);
    assert_int_equal(claim(1), 0);
    assert_true(sim_mapped(SIM_RAM - SIZE4));
    assert_false(sim_mapped(SIM_RAM)); /* the second one's is over memory */
    assert_non_null(vpci_find(&sim_vpci, VF(1))->range[4].refused);
}

static void test_sizing(void **state)
{
    struct pci_dev *dev = pci_find(PF);

    (void)state;
    assert_int_equal(dev->cap_sriov, CAP);
    assert_int_equal(dev->vf_bar[0].size, SIZE0);
    assert_int_equal(dev->vf_bar[0].kind, PCI_BAR_MEM64);
    assert_int_equal(dev->vf_bar[4].size, SIZE4);
    /* The kernel sizes them while there are none. */
    cfg_write(PF, CAP + PCI_SRIOV_BAR0 + 16, 4, ~0u);
    assert_int_equal(cfg_read(PF, CAP + PCI_SRIOV_BAR0 + 16, 4), (uint32_t)-SIZE4);
    cfg_write(PF, CAP + PCI_SRIOV_BAR0 + 16, 4, VF_BAR4);
    /* Larger pages make larger BARs; that is seen when they come on. */
    cfg_write(PF, CAP + PCI_SRIOV_PAGE_SIZE, 4, 0x20);
    vf_bar(4, 2 * SIZE4, VF_BAR4, false);
    enable(2);
    assert_int_equal(claim(1), 0);
    assert_int_equal(pci_find(VF(1))->bar[4].addr, VF_BAR4 + 2 * SIZE4);
    assert_int_equal(pci_find(VF(1))->bar[4].size, 2 * SIZE4);
    /* Not while they are on. */
    vf_bar(4, SIZE4, VF_BAR4, false);
    assert_int_equal(pci_sriov_size(dev), -EBUSY);
    assert_int_equal(dev->vf_bar[4].size, 2 * SIZE4);
    cfg_write(PF, CONTROL, 2, ON);
    assert_int_equal(dev->vf_bar[4].size, 2 * SIZE4);
    assert_int_equal(sim_get(pf, CAP + PCI_SRIOV_BAR0 + 16, 4), VF_BAR4);
}

/* Firmware may have left them on: then they are off for a moment. */
static void test_on_at_boot(void **state)
{
    (void)state;
    sim_put(pf, CAP + PCI_SRIOV_NUM_VFS, 2, 2);
    sim_put(pf, CONTROL, 2, ON);
    appear(2);
    sim_boot();
    assert_int_equal(pci_find(PF)->vf_bar[4].size, SIZE4);
    assert_int_equal(sim_get(pf, CONTROL, 2), ON);
    assert_int_equal(claim(0), 0);
    check_bars(0, true);
}

static void test_broken_capability(void **state)
{
    (void)state;
    sim_put(pf, PCI_CFG_SIZE, 4, 0xfd0u << 20 | 0x0001000e);
    sim_put(pf, 0xfd0, 4, 0x00010000 | PCI_EXT_CAP_SRIOV); /* runs past the end */
    sim_boot();
    assert_int_equal(pci_find(PF)->cap_sriov, 0);
    assert_int_equal(claim(0), -EINVAL);
}

/* ---- what the control domain may do ---- */

static void check_fixed(void)
{
    uint8_t before[PCI_SRIOV_LEN];
    uint64_t in_use = deny_count(DENY_SRIOV_IN_USE), on = deny_count(DENY_SRIOV_ON);
    uint64_t bar = deny_count(DENY_BAR_DECODE_ON);

    memcpy(before, &pf->config[CAP], sizeof(before));
    cfg_write(PF, CONTROL, 2, 0);
    cfg_write(PF, CONTROL, 1, PCI_SRIOV_VFE);
    cfg_write(PF, CONTROL, 4, PCI_SRIOV_MSE);
    cfg_write(PF, express + PCI_EXP_DEVCTL, 2, PCI_EXP_DEVCTL_FLR);
    cfg_write(PF, express + PCI_EXP_DEVCTL, 4, PCI_EXP_DEVCTL_FLR);
    cfg_write(PF, power + PCI_PM_CONTROL, 2, 3);
    assert_int_equal(deny_count(DENY_SRIOV_IN_USE), in_use + 6);
    cfg_write(PF, CAP + PCI_SRIOV_NUM_VFS, 2, 0);
    cfg_write(PF, CAP + PCI_SRIOV_PAGE_SIZE, 4, 2);
    cfg_write(PF, CONTROL, 2, ON | PCI_SRIOV_ARI);
    assert_int_equal(deny_count(DENY_SRIOV_ON), on + 3);
    cfg_write(PF, CAP + PCI_SRIOV_BAR0, 4, VF_BAR4);
    cfg_write(PF, CAP + PCI_SRIOV_BAR0 + 4, 4, 1);
    cfg_write(PF, CAP + PCI_SRIOV_BAR0 + 17, 1, 0x55);
    assert_int_equal(deny_count(DENY_BAR_DECODE_ON), bar + 3);
    assert_memory_equal(before, &pf->config[CAP], sizeof(before));
    assert_int_equal(sim_get(pf, express + PCI_EXP_DEVCTL, 2), 0);
    assert_int_equal(sim_get(pf, power + PCI_PM_CONTROL, 2), 0);
    /* What harms nobody goes on. */
    cfg_write(PF, express + PCI_EXP_DEVCTL, 2, 0x2810);
    assert_int_equal(sim_get(pf, express + PCI_EXP_DEVCTL, 2), 0x2810);
    cfg_write(PF, express + PCI_EXP_DEVCTL, 2, 0);
    cfg_write(PF, CONTROL, 2, ON);
    cfg_write(PF, CAP + PCI_SRIOV_NUM_VFS, 2, 2);
    assert_int_equal(deny_count(DENY_SRIOV_ON), on + 3);
}

static void test_in_use(void **state)
{
    struct domain *guest = (struct domain *)0x1000;
    struct pci_dev *dev;

    (void)state;
    enable(2);
    assert_int_equal(claim(0), 0);
    assert_int_equal(claim(1), 0);
    dev = pci_find(VF(1));
    dev->held = true; /* on its way */
    check_fixed();
    dev->held = false;
    assert_int_equal(vpci_remove_device(SIM_DOMAIN, VF(1)), 0);
    dev->owner = guest;
    check_fixed();
    assert_int_equal(vpci_physdev_remove(SIM_DOMAIN, VF(1)), -EBUSY);
    assert_int_equal(vpci_physdev_remove(SIM_DOMAIN, PF), -EBUSY);
    assert_non_null(vpci_find(&sim_vpci, PF));
    assert_ptr_equal(dev->owner, guest);
    /* Nobody's, but about to be a guest's, perhaps. */
    dev->owner = NULL;
    dev->held = true;
    check_fixed();
    assert_int_equal(claim(1), -EBUSY);
    check_bars(0, true);
    /* The control domain's other one goes, and then nobody's, too. */
    assert_int_equal(vpci_physdev_remove(SIM_DOMAIN, VF(0)), 0);
    check_fixed();
    assert_int_equal(vpci_physdev_remove(SIM_DOMAIN, VF(1)), 0);
    assert_null(pci_find(VF(1)));
    assert_int_equal(sim_gone, 2);
    cfg_write(PF, CONTROL, 2, 0);
    assert_int_equal(sim_get(pf, CONTROL, 2), 0);
    appear(0);
    cfg_write(PF, CAP + PCI_SRIOV_NUM_VFS, 2, 0);
    assert_int_equal(sim_get(pf, CAP + PCI_SRIOV_NUM_VFS, 2), 0);
    assert_int_equal(vpci_physdev_remove(SIM_DOMAIN, VF(1)), -ENODEV);
    assert_int_equal(vpci_physdev_remove(SIM_DOMAIN, PF), 0);
}

static void test_own(void **state)
{
    (void)state;
    enable(2);
    assert_int_equal(claim(0), 0);
    check_bars(0, true);
    cfg_write(PF, express + PCI_EXP_DEVCTL, 2, PCI_EXP_DEVCTL_FLR);
    assert_int_equal(sim_get(pf, express + PCI_EXP_DEVCTL, 2), PCI_EXP_DEVCTL_FLR);
    check_bars(0, false);
    cfg_write(VF(0), PCI_REG_COMMAND, 2, 0);
    check_bars(0, true);
    cfg_write(PF, CONTROL, 2, PCI_SRIOV_VFE);
    check_bars(0, false);
    assert_int_equal(claim(1), 0); /* there, but without memory */
    check_bars(1, false);
    cfg_write(PF, CONTROL, 2, ON);
    cfg_write(VF(1), PCI_REG_COMMAND, 2, 0);
    check_bars(1, true);
}

/* A reset empties its MSI-X table; what the domain wants of it goes in again. */
static void test_msix_after_reset(void **state)
{
    volatile uint32_t *hw;
    unsigned control;

    (void)state;
    enable(2);
    assert_int_equal(claim(1), 0);
    control = vf[1]->msix + PCI_MSIX_CONTROL;
    hw = phys_to_virt(VF_BAR0 + SIZE0 + 0x2000);
    mem_write(VF_BAR0 + SIZE0 + 0x2000, 4, 0xfee00000);
    mem_write(VF_BAR0 + SIZE0 + 0x200c, 4, 0);
    cfg_write(VF(1), control, 2, PCI_MSIX_ENABLE);
    assert_int_equal(hw[3], 0);
    cfg_write(VF(1), control, 2, 0);
    sim_put(vf[1], control, 2, 3);
    hw[0] = 0;
    hw[3] = 1;
    cfg_write(VF(1), PCI_REG_COMMAND, 2, PCI_COMMAND_MASTER);
    cfg_write(VF(1), control, 2, PCI_MSIX_ENABLE);
    assert_int_equal(hw[3], 0);
    assert_int_not_equal(hw[0], 0);
}

/* ---- in a guest ---- */

#define GUEST PCI_SBDF(0, 1, 0, 0)
#define LOW   ((uint64_t)XENLITE_PCI_MMIO_BASE)

static void guest_bar(unsigned i, uint64_t addr)
{
    cfg_write(GUEST, PCI_REG_BAR0 + i * 4, 4, (uint32_t)addr);
}

/* The second one, attached; hardware's registers as the control domain would have left them. */
static void give_to_guest(void)
{
    sim_put(pf, CAP + PCI_SRIOV_NUM_VFS, 2, 2);
    sim_put(pf, CONTROL, 2, ON);
    appear(2);
    sim_guest_begin();
    assert_int_equal(pci_add(VF(1), NULL), 0);
    sim_put(pf, CONTROL, 2, PCI_SRIOV_VFE);
    assert_int_equal(vpci_guest_attach(SIM_DOMAIN, VF(1), 1, 0), -ENXIO);
    sim_put(pf, CONTROL, 2, ON);
    assert_int_equal(vpci_guest_attach(SIM_DOMAIN, VF(1), 1, 0), 0);
    cfg_write(PCI_SBDF(0, 0, 1, 0), PCI_REG_PRIMARY_BUS, 4, 1 << 16 | 1 << 8);
}

static void test_guest(void **state)
{
    uint64_t table = LOW + 0x2000, val;
    const struct vpci_dev *vd;

    (void)state;
    give_to_guest();
    vd = vpci_find(&sim_vpci, GUEST);
    assert_int_equal(cfg_read(GUEST, PCI_REG_VENDOR, 4), 0x12341b36);
    assert_int_equal(cfg_read(GUEST, PCI_REG_DEVICE, 2), 0x1234);
    assert_int_equal(cfg_read(GUEST, PCI_REG_CLASS_REV, 4), 0x01080202);
    assert_int_equal(cfg_read(GUEST, PCI_REG_INT_PIN, 1), 0);
    assert_int_equal(cfg_read(GUEST, PCI_REG_COMMAND, 2), 0);
    guest_bar(0, ~0u);
    assert_int_equal(cfg_read(GUEST, PCI_REG_BAR0, 4), (uint32_t)-SIZE0 | PCI_BAR_MEM_64);
    guest_bar(4, ~0u);
    assert_int_equal(cfg_read(GUEST, PCI_REG_BAR0 + 16, 4), (uint32_t)-SIZE4);
    assert_int_equal(sim_guest_nr_mapped(), 0);
    guest_bar(0, LOW);
    guest_bar(1, 0);
    guest_bar(4, LOW + SIZE4);
    cfg_write(GUEST, PCI_REG_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
    assert_int_equal(cfg_read(GUEST, PCI_REG_COMMAND, 2), PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
    assert_int_equal(sim_guest_mfn(LOW), (VF_BAR0 + SIZE0) >> PAGE_SHIFT);
    assert_int_equal(sim_guest_mfn(table), INVALID_MFN);
    assert_int_equal(sim_guest_mfn(LOW + SIZE4), (VF_BAR4 + SIZE4) >> PAGE_SHIFT);
    assert_true(vd->msix->trapped);
    assert_int_equal(guest_mem(table + 12, 4, false, &val), TRAP_DONE);
    assert_int_equal(val, 1);
    /* The hardware's registers: none was written but its own. */
    assert_int_equal(sim_get(pf, CAP + PCI_SRIOV_BAR0, 4), VF_BAR0 | PCI_BAR_MEM_64);
    assert_int_equal(sim_get(vf[1], PCI_REG_BAR0, 4), 0);
    cfg_write(GUEST, PCI_REG_COMMAND, 2, 0);
    assert_int_equal(sim_guest_nr_mapped(), 0);
    assert_true(pci_find(VF(1))->decode); /* its table stays a hole for everybody */
    assert_int_equal(vpci_guest_detach(SIM_DOMAIN, VF(1)), 0);
    sim_guest_end();
}

int main(void)
{
#define TEST(fn)      cmocka_unit_test_setup_teardown(fn, setup_booted, teardown)
#define TEST_COLD(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_claims),           TEST(test_numbers),
        TEST(test_identity),         TEST(test_bars),
        TEST(test_forbidden_bar),    TEST(test_sizing),
        TEST_COLD(test_on_at_boot),  TEST_COLD(test_broken_capability),
        TEST(test_in_use),           TEST(test_own),
        TEST(test_msix_after_reset), TEST_COLD(test_guest),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
