/* SPDX-License-Identifier: MIT */
/*
 * Hand-overs of virtual functions: what is different about them and their physical one in checks, in the reset, and in what is
 * told of them. The rest is as in test_passthrough.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#include "pt_card.h"
#include "sim.h"

#define VF0 F(1, 0, 1)
#define VF1 F(1, 0, 2)

static void with_vfs(void)
{
    rig_sriov(nic, 2);
    rig_boot();
    rig_find_vfs(NIC, 2);
}

static void test_vf_there_and_back(void **state)
{
    struct rig_fn *vf;

    (void)state;
    with_vfs();
    vf = rig_of(VF0);
    assert_int_equal(attach(VF0, 0).stage, XENLITE_PCI_STAGE_done);
    assert_string_equal(rig_log(), "remove:0101 block:0101 attach3:0101 appear1.0:0101 ");
    assert_int_equal(vf->flr, 1);
    assert_int_equal(nic->flr + nic->bus + rig_of(VF1)->flr, 0);
    assert_true(rig_dev(VF0)->decode);
    assert_int_equal(detach(VF0, 0).stage, XENLITE_PCI_STAGE_done);
    assert_string_equal(rig_log(), "vanish:0101 block:0101 attach0:0101 add:0101 ");
    assert_int_equal(vf->flr, 2);
}

static void test_vf_off(void **state)
{
    unsigned pos = nic->ecap_end;

    (void)state;
    with_vfs();
    rig_set(nic, pos + PCI_SRIOV_CONTROL, 2, PCI_SRIOV_VFE);
    REFUSED(VF0, group, VF_OFF);
    rig_set(nic, pos + PCI_SRIOV_CONTROL, 2, 0);
    REFUSED(VF0, group, VF_OFF);
    rig_set(nic, pos + PCI_SRIOV_CONTROL, 2, PCI_SRIOV_VFE | PCI_SRIOV_MSE);
    rig_set(nic, pos + PCI_SRIOV_NUM_VFS, 2, 1);
    REFUSED(VF1, group, VF_OFF);
    rig_set(nic, pos + PCI_SRIOV_NUM_VFS, 2, 2);
    rig_set(nic, pos + PCI_SRIOV_BAR0, 4, 0);
    REFUSED(VF0, bars, BAR_UNPLACED);
    rig_set(nic, pos + PCI_SRIOV_BAR0, 4, (uint32_t)rig_reserved - 0x1000);
    REFUSED(VF1, bars, BAR_RESERVED);
    rig_set(nic, pos + PCI_SRIOV_BAR0, 4, 0xf1000000);
    rig_of(VF0)->present = false;
    REFUSED(VF0, exists, ABSENT);
}

/* The one that they depend on stays where it is. */
static void test_pf_stays(void **state)
{
    struct pt_request out = { PT_DETACH, 0, NIC, 0, 0 };

    (void)state;
    with_vfs();
    REFUSED(NIC, group, PF_HAS_VFS);
    refused(&out, XENLITE_PCI_STAGE_group, DENY_PT_PF_HAS_VFS);
    rig_dev(NIC)->owner = NULL;
    assert_int_equal(pci_remove(NIC), -EBUSY);
    rig_dev(NIC)->owner = control_domain;
    rig_dev(VF0)->owner = rig_dev(VF1)->owner = NULL;
    assert_int_equal(pci_remove(VF0), 0);
    REFUSED(NIC, group, PF_HAS_VFS);
    assert_int_equal(pci_remove(VF1), 0);
    assert_int_equal(attach(NIC, 0).stage, XENLITE_PCI_STAGE_done);
}

/* Another function in its place after the reset: only the class tells. */
static void test_vf_changed(void **state)
{
    struct rig_fn *vf;

    (void)state;
    with_vfs();
    vf = rig_of(VF0);
    rig_set(vf, PCI_REG_CLASS_REV, 4, 0x01080202);
    assert_int_equal(attach(VF0, 0).rule, DENY_PT_CHANGED);
    assert_null(rig_dev(VF0)->owner);
    assert_true(rig_dev(VF0)->held);
}

static void test_vf_info(void **state)
{
    struct xenlite_pci_info info;

    (void)state;
    with_vfs();
    rig_set(rig_of(VF1), PCI_REG_INT_PIN, 1, 1);
    assert_int_equal(pt_info(VF1, &info), 0);
    assert_true(info.flags & XENLITE_PCI_IS_VIRTUAL);
    assert_true(info.flags & XENLITE_PCI_DECODES);
    assert_int_equal(info.physfn, NIC);
    assert_int_equal(info.vendor, 0x1234);
    assert_int_equal(info.device, 0x11e9);
    assert_int_equal(info.intx_pin, 0);
    assert_int_equal(info.reset, XENLITE_PCI_RESET_flr);
    assert_int_equal(info.bar[0].addr, 0xf1001000);
    assert_int_equal(pt_info(NIC, &info), 0);
    assert_int_equal(info.physfn, ~0u);
    assert_int_equal(info.nr_vfs, 2);
    assert_false(info.flags & XENLITE_PCI_IS_VIRTUAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, card_setup, card_teardown)
        T(test_vf_there_and_back), T(test_vf_off),  T(test_pf_stays),
        T(test_vf_changed),        T(test_vf_info),
#undef T
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
