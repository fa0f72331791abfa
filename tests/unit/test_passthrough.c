/* SPDX-License-Identifier: MIT */
/*
 * Hand-overs: every check refused once by name with nothing changed, the order of what is done, resets by a clock that the
 * test moves, failures undone, and the end of a domain.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#include "mm/heap.h"
#include "pt_card.h"
#include "sim.h"

#define MS 1000000ULL

/* ---- checks ---- */

static void test_arguments(void **state)
{
    (void)state;
    rig_boot();
    refused(&(struct pt_request){ PT_ATTACH, 3, NIC, 0x80000000, 0 }, XENLITE_PCI_STAGE_arguments,
            DENY_PT_ARGUMENTS);
    refused(&(struct pt_request){ PT_ATTACH, 3, NIC, 0, XENLITE_PCI_NR_SLOTS + 1 },
            XENLITE_PCI_STAGE_arguments, DENY_PT_ARGUMENTS);
}

static void test_domain(void **state)
{
    (void)state;
    rig_boot();
    refused(&(struct pt_request){ PT_ATTACH, 7, NIC, 0, 0 }, XENLITE_PCI_STAGE_domain,
            DENY_PT_NO_DOMAIN);
    refused(&(struct pt_request){ PT_ATTACH, PT_ANYBODY - 1, NIC, 0, 0 }, XENLITE_PCI_STAGE_domain,
            DENY_PT_NO_DOMAIN);
    rig_domain(5, false);
    refused(&(struct pt_request){ PT_ATTACH, 5, NIC, 0, 0 }, XENLITE_PCI_STAGE_domain,
            DENY_PT_NO_ROOT);
    guest->dying = true;
    REFUSED(NIC, domain, NO_DOMAIN);
    guest->dying = false;
}

static void test_kind(void **state)
{
    struct rig_fn *isa = rig_add(0, 31, 0);

    (void)state;
    rig_set(isa, PCI_REG_CLASS_REV, 4, 0x06010000);
    rig_boot();
    REFUSED(F(9, 0, 0), exists, ABSENT);
    REFUSED(F(0, 1, 0), kind, BRIDGE);
    REFUSED(F(0, 31, 0), kind, PLATFORM);
    rig_dev(NIC)->owner = NULL;
    assert_int_equal(pci_hide(NIC), 0);
    REFUSED(NIC, kind, HIDDEN);
    rig_dev(NIC)->hidden = false;
    pci_nr_hidden = 0;
    nic->present = false;
    REFUSED(NIC, exists, ABSENT);
    nic->present = true;
}

static void test_owner(void **state)
{
    (void)state;
    rig_boot();
    rig_dev(NIC)->owner = other;
    REFUSED(NIC, owner, OWNED);
    rig_dev(NIC)->owner = guest;
    REFUSED(NIC, owner, HAS_IT);
    rig_dev(NIC)->owner = NULL;
    refused(&(struct pt_request){ PT_DETACH, 3, NIC, 0, 0 }, XENLITE_PCI_STAGE_owner,
            DENY_PT_HAS_NOT);
    refused(&(struct pt_request){ PT_DETACH, 0, NIC, 0, 0 }, XENLITE_PCI_STAGE_owner,
            DENY_PT_HAS_NOT);
}

static void test_group(void **state)
{
    struct rig_fn *second = rig_add(1, 0, 1);

    (void)state;
    rig_multi(nic);
    rig_express(second, PCIE_ENDPOINT, true);
    rig_boot();
    REFUSED(NIC, group, GROUP_PARTS);
    rig_dev(F(1, 0, 1))->owner = other;
    REFUSED(NIC, group, GROUP_OWNED);
    rig_dev(F(1, 0, 1))->owner = control_domain;
    rig_dev(F(1, 0, 1))->class_rev = 0x06010000;
    REFUSED(NIC, group, GROUP_FIXED);
}

static void test_large_group(void **state)
{
    struct rig_fn *bridge = rig_bridge(0, 2, 0, 2, 2);

    (void)state;
    rig_express(bridge, PCIE_TO_PCI_BRIDGE, false);
    for (unsigned i = 1; i <= 9; i++)
        rig_add(2, i, 0);
    rig_boot();
    refused(&(struct pt_request){ PT_ATTACH, 3, F(2, 1, 0), XENLITE_PCI_GROUP, 0 },
            XENLITE_PCI_STAGE_group, DENY_PT_GROUP_LARGE);
}

static void test_iommu(void **state)
{
    (void)state;
    rig_boot();
    rig_rmrr = NIC;
    REFUSED(NIC, reserved, RMRR);
    rig_rmrr = 0;
    rig_iommu_on = false;
    REFUSED(NIC, iommu, NO_IOMMU);
    rig_iommu_on = true;
    rig_intremap_on = false;
    REFUSED(NIC, iommu, NO_INTREMAP);
    rig_intremap_on = true;
    rig_no_unit = true;
    REFUSED(NIC, iommu, NO_UNIT);
    rig_no_unit = false;
    rig_unit_failed = true;
    REFUSED(NIC, iommu, UNIT_FAILED);
    rig_unit_failed = false;
    guest->p2m.top_gfn = 1ULL << 27;
    REFUSED(NIC, width, WIDTH);
}

/* Reserved memory of the id under which a bridge passes its requests on counts as the function's. */
static void test_alias_reserved(void **state)
{
    struct rig_fn *bridge = rig_bridge(0, 2, 0, 2, 2);

    (void)state;
    rig_express(bridge, PCIE_TO_PCI_BRIDGE, false);
    rig_add(2, 1, 0);
    rig_boot();
    rig_rmrr = 0x0200;
    REFUSED(F(2, 1, 0), reserved, RMRR);
}

static void test_bars(void **state)
{
    struct rig_fn *third = rig_add(0, 3, 0);

    (void)state;
    rig_boot();
    rig_set(nic, PCI_REG_BAR0, 4, 0);
    REFUSED(NIC, bars, BAR_UNPLACED);
    rig_set(nic, PCI_REG_BAR0, 4, (uint32_t)rig_reserved);
    REFUSED(NIC, bars, BAR_RESERVED);
    rig_set(nic, PCI_REG_BAR0, 4, rig_get(third, PCI_REG_BAR0, 4));
    REFUSED(NIC, bars, BAR_OVERLAP);
}

static void test_msix(void **state)
{
    (void)state;
    rig_msix(nic, 4, 0x20 | 5, 0x800);
    rig_boot();
    REFUSED(NIC, interrupts, MSIX_TABLE);
}

static void test_msix_overlap(void **state)
{
    (void)state;
    rig_msix(nic, 4, 0x000, 0x030);
    rig_boot();
    REFUSED(NIC, interrupts, MSIX_OVERLAP);
}

static void test_no_reset(void **state)
{
    (void)state;
    rig_add(0, 4, 0);
    rig_boot();
    REFUSED(F(0, 4, 0), reset, NO_RESET);
    assert_int_equal(attach(F(0, 4, 0), XENLITE_PCI_NO_RESET).stage, XENLITE_PCI_STAGE_done);
}

static void test_slots(void **state)
{
    (void)state;
    rig_boot();
    rig_free_slot = 0;
    REFUSED(NIC, slot, NO_SLOT);
    rig_slot_taken = true;
    refused(&(struct pt_request){ PT_ATTACH, 3, NIC, 0, 2 }, XENLITE_PCI_STAGE_slot,
            DENY_PT_SLOT_TAKEN);
}

static void test_dry_run(void **state)
{
    struct pt_result res;

    (void)state;
    rig_boot();
    rig_free_slot = 9;
    res = attach(NIC, XENLITE_PCI_DRY_RUN);
    assert_int_equal(res.stage, XENLITE_PCI_STAGE_done);
    assert_int_equal(res.nr, 1);
    assert_int_equal(res.slot, 9);
    assert_string_equal(rig_log(), "");
    assert_ptr_equal(rig_dev(NIC)->owner, control_domain);
    assert_int_equal(nic->flr, 0);
    /* For nobody in particular, only as a dry run. */
    res = rig_run(&(struct pt_request){ PT_ATTACH, PT_ANYBODY, NIC, XENLITE_PCI_DRY_RUN, 0 }, NULL);
    assert_int_equal(res.stage, XENLITE_PCI_STAGE_done);
    res = rig_run(&(struct pt_request){ PT_ATTACH, PT_ANYBODY, NIC, 0, 0 }, NULL);
    assert_int_equal(res.stage, XENLITE_PCI_STAGE_domain);
}

/* ---- moves ---- */

static void test_there_and_back(void **state)
{
    uint32_t bar = rig_get(nic, PCI_REG_BAR0, 4), ctl;

    (void)state;
    rig_boot();
    ctl = rig_get(nic, 0x40 + PCI_EXP_DEVCTL, 2);
    assert_int_equal(attach(NIC, 0).stage, XENLITE_PCI_STAGE_done);
    assert_string_equal(rig_log(), "remove:0100 block:0100 attach3:0100 appear1.0:0100 ");
    assert_ptr_equal(rig_dev(NIC)->owner, guest);
    assert_int_equal(nic->flr, 1);
    assert_false(nic->reset_decoding);
    assert_int_equal(rig_get(nic, PCI_REG_BAR0, 4), bar);
    assert_int_equal(rig_get(nic, 0x0c, 1), 0x10);
    assert_int_equal(rig_get(nic, PCI_REG_INT_LINE, 1), 11);
    assert_int_equal(rig_get(nic, 0x40 + PCI_EXP_DEVCTL, 2), ctl);
    assert_int_equal(rig_get(nic, PCI_REG_COMMAND, 2) & 7, 0);
    /* What the guest does to registers does not reach the next owner. */
    rig_set(nic, 0x40 + PCI_EXP_DEVCTL, 2, 0x5000);
    rig_set(nic, PCI_REG_COMMAND, 2, 7);
    assert_int_equal(detach(NIC, 0).stage, XENLITE_PCI_STAGE_done);
    assert_string_equal(rig_log(), "vanish:0100 block:0100 attach0:0100 add:0100 ");
    assert_ptr_equal(rig_dev(NIC)->owner, control_domain);
    assert_false(rig_dev(NIC)->held);
    assert_int_equal(nic->flr, 2);
    assert_false(nic->reset_decoding);
    assert_int_equal(rig_get(nic, 0x40 + PCI_EXP_DEVCTL, 2), ctl);
    assert_int_equal(guest->refs, 1);
}

static void test_nobody(void **state)
{
    struct pt_request out = { PT_DETACH, 0, NIC, 0, 0 }, in = { PT_ATTACH, 0, NIC, 0, 0 };

    (void)state;
    rig_boot();
    assert_int_equal(rig_run(&out, NULL).stage, XENLITE_PCI_STAGE_done);
    assert_string_equal(rig_log(), "remove:0100 block:0100 ");
    assert_null(rig_dev(NIC)->owner);
    assert_true(rig_dev(NIC)->held);
    assert_int_equal(attach(NIC, 0).stage, XENLITE_PCI_STAGE_done);
    assert_string_equal(rig_log(), "block:0100 attach3:0100 appear1.0:0100 ");
    /* Where it came from. */
    assert_int_equal(detach(NIC, 0).stage, XENLITE_PCI_STAGE_done);
    assert_string_equal(rig_log(), "vanish:0100 block:0100 ");
    assert_null(rig_dev(NIC)->owner);
    assert_int_equal(rig_run(&in, NULL).stage, XENLITE_PCI_STAGE_done);
    assert_string_equal(rig_log(), "block:0100 attach0:0100 add:0100 ");
    assert_int_equal(attach(NIC, 0).stage, XENLITE_PCI_STAGE_done);
    assert_int_equal(detach(NIC, XENLITE_PCI_TO_NOBODY).stage, XENLITE_PCI_STAGE_done);
    assert_true(rig_dev(NIC)->held);
}

static void test_whole_group(void **state)
{
    (void)state;
    rig_multi(nic);
    rig_express(rig_add(1, 0, 1), PCIE_ENDPOINT, true);
    rig_boot();
    /* Whichever is named. Function 0 appears last and goes first. */
    assert_int_equal(attach(F(1, 0, 1), XENLITE_PCI_GROUP).nr, 2);
    assert_string_equal(rig_log(), "remove:0100 remove:0101 block:0100 block:0101 attach3:0100 "
                                   "attach3:0101 appear1.1:0101 appear1.0:0100 ");
    assert_int_equal(detach(F(1, 0, 1), 0).nr, 2);
    assert_string_equal(rig_log(), "vanish:0100 vanish:0101 block:0100 block:0101 attach0:0100 "
                                   "attach0:0101 add:0101 add:0100 ");
}

/* ---- resets ---- */

/* From the start of a machine's work to its end; the result, and the time that it took. */
static int reset_by(struct rig_fn *f, unsigned method, uint64_t *ms)
{
    struct pci_reset r;
    uint64_t begin = sim_now_ns;
    int rc;

    pci_silence(rig_dev(f->sbdf));
    pci_reset_begin(&r, rig_dev(f->sbdf), method);
    while ((rc = pci_reset_step(&r)) == -EAGAIN) {
        assert_true(r.wake_ns > sim_now_ns);
        sim_now_ns = r.wake_ns;
    }
    *ms = (sim_now_ns - begin) / MS;
    return rc;
}

static void test_methods(void **state)
{
    struct pci_topology *t;
    struct rig_fn *old = rig_add(0, 5, 0);

    (void)state;
    rig_af(old);
    rig_pm(old, true);
    rig_pm(nic, false);
    rig_boot();
    t = pci_topology();
    assert_int_equal(pci_reset_methods(rig_dev(NIC), t), PCI_RESET_FLR | PCI_RESET_BUS);
    assert_int_equal(pci_reset_methods(rig_dev(NIC), NULL), PCI_RESET_FLR);
    assert_int_equal(pci_reset_methods(rig_dev(F(0, 5, 0)), t), PCI_RESET_AF_FLR | PCI_RESET_PM);
    xfree(t);
}

/* A capability whose registers would be in the next one, or in extended configuration space, promises nothing. */
static void test_cut_off(void **state)
{
    struct rig_fn *f = rig_add(0, 5, 0);

    (void)state;
    f->cfg[PCI_REG_CAP_POINTER] = 0xf8;
    rig_set(f, 0xf8, 2, PCI_CAP_PCIE | 0xfc00);
    rig_set(f, 0xfc, 4, PCI_CAP_AF | PCI_EXP_DEVCAP_FLR | (PCI_AF_CAP_TP | PCI_AF_CAP_FLR) << 24);
    rig_boot();
    assert_int_equal(pci_reset_methods(rig_dev(F(0, 5, 0)), NULL), 0);
}

static void test_cut_off_power(void **state)
{
    struct rig_fn *f = rig_add(0, 5, 0);

    (void)state;
    f->cfg[PCI_REG_CAP_POINTER] = 0xfc;
    rig_set(f, 0xfc, 2, PCI_CAP_PM);
    rig_boot();
    assert_int_equal(pci_reset_methods(rig_dev(F(0, 5, 0)), NULL), 0);
}

/* A bus is reset only if all on it are of one group and none is a bridge. */
static void test_bus_is_shared(void **state)
{
    struct rig_fn *bridge = rig_bridge(0, 2, 0, 2, 3);
    struct pci_topology *t;

    (void)state;
    rig_express(bridge, PCIE_TO_PCI_BRIDGE, false);
    rig_add(2, 1, 0);
    rig_bridge(2, 2, 0, 3, 3);
    rig_boot();
    t = pci_topology();
    assert_int_equal(pci_reset_methods(rig_dev(F(2, 1, 0)), t), 0);
    xfree(t);
}

static void test_times(void **state)
{
    struct rig_fn *old = rig_add(0, 5, 0), *conv = rig_bridge(0, 2, 0, 2, 2), *card;
    uint64_t ms;

    (void)state;
    rig_express(conv, PCIE_TO_PCI_BRIDGE, false);
    card = rig_add(2, 1, 0);
    rig_af(old);
    rig_pm(old, true);
    rig_boot();
    assert_int_equal(reset_by(nic, PCI_RESET_FLR, &ms), 0);
    assert_int_equal(ms, 100);
    assert_int_equal(nic->flr, 1);
    assert_int_equal(reset_by(old, PCI_RESET_AF_FLR, &ms), 0);
    assert_int_equal(ms, 100);
    assert_int_equal(old->flr, 1);
    assert_int_equal(reset_by(old, PCI_RESET_PM, &ms), 0);
    assert_int_equal(ms, 20);
    assert_int_equal(old->pm, 1);
    assert_int_equal(reset_by(nic, PCI_RESET_BUS, &ms), 0);
    assert_int_equal(ms, 102);
    assert_int_equal(nic->bus, 1);
    assert_int_equal(reset_by(card, PCI_RESET_BUS, &ms), 0);
    assert_int_equal(ms, 1012);
    assert_int_equal(card->bus, 1);
}

static void test_slow_devices(void **state)
{
    uint64_t ms;

    (void)state;
    rig_boot();
    nic->ready_ns = 750 * MS;
    assert_int_equal(reset_by(nic, PCI_RESET_FLR, &ms), 0);
    assert_int_equal(ms, 750);
    nic->retries = true; /* shows vendor 1 meanwhile */
    nic->ready_ns = 2005 * MS;
    assert_int_equal(reset_by(nic, PCI_RESET_FLR, &ms), 0);
    assert_int_equal(ms, 2010);
    nic->stuck = true;
    nic->ready_ns = 0;
    assert_int_equal(reset_by(nic, PCI_RESET_FLR, &ms), 0);
    assert_int_equal(ms, 1100);
}

/* Asleep: it is woken before anything else. */
static void test_asleep(void **state)
{
    unsigned pm;
    uint64_t ms;

    (void)state;
    rig_pm(nic, false);
    rig_boot();
    pm = rig_dev(NIC)->cap_pm;
    rig_set(nic, pm + PCI_PM_CONTROL, 2, PCI_PM_NO_SOFT_RESET | 3);
    assert_int_equal(reset_by(nic, PCI_RESET_FLR, &ms), 0);
    assert_int_equal(ms, 110);
    assert_int_equal(rig_get(nic, pm + PCI_PM_CONTROL, 2) & 3, 0);
}

static void test_one_bus_reset(void **state)
{
    struct rig_fn *bridge = rig_bridge(0, 2, 0, 2, 2), *a, *b;

    (void)state;
    rig_express(bridge, PCIE_TO_PCI_BRIDGE, false);
    a = rig_add(2, 1, 0);
    b = rig_add(2, 2, 0);
    rig_boot();
    assert_int_equal(attach(F(2, 1, 0), XENLITE_PCI_GROUP).stage, XENLITE_PCI_STAGE_done);
    assert_int_equal(a->bus, 1);
    assert_int_equal(b->bus, 1);
    assert_true(rig_get(a, PCI_REG_BAR0, 4) && rig_get(b, PCI_REG_BAR0, 4));
    assert_non_null(strstr(rig_log(), "alias:0200 attach3:0208 alias:0200 attach3:0210"));
}

/* ---- failures ---- */

static void test_never_back(void **state)
{
    struct pt_result res;
    uint64_t begin = sim_now_ns;

    (void)state;
    nic->never = true;
    rig_boot();
    res = attach(NIC, 0);
    assert_int_equal(res.stage, XENLITE_PCI_STAGE_do_reset);
    assert_int_equal(res.rule, DENY_PT_TIMEOUT);
    assert_in_range((sim_now_ns - begin) / MS, 10100, 10200);
    assert_string_equal(rig_log(), "remove:0100 block:0100 ");
    assert_null(rig_dev(NIC)->owner);
    assert_true(rig_dev(NIC)->held);
    assert_true(list_empty(&guest->pt.functions));
}

static void test_other_device(void **state)
{
    (void)state;
    rig_boot();
    rig_set(nic, PCI_REG_VENDOR, 4, 0xabcd1234);
    assert_int_equal(attach(NIC, 0).rule, DENY_PT_CHANGED);
    assert_true(rig_dev(NIC)->held);
}

/* The IOMMU does not take it: nobody has touched it, it goes straight back. */
static void test_no_translation(void **state)
{
    struct pt_result res;

    (void)state;
    rig_boot();
    rig_iommu_attach_fails = 1;
    res = attach(NIC, 0);
    assert_int_equal(res.stage, XENLITE_PCI_STAGE_translate);
    assert_int_equal(res.rule, DENY_PT_DMA);
    assert_string_equal(rig_log(),
                        "remove:0100 block:0100 attach3:0100 block:0100 attach0:0100 add:0100 ");
    assert_ptr_equal(rig_dev(NIC)->owner, control_domain);
    assert_int_equal(nic->flr, 1);
}

/* The guest may have seen part of the group: all of it is reset again before it goes back. */
static void test_not_taken(void **state)
{
    struct rig_fn *second = rig_add(1, 0, 1);
    struct pt_result res;

    (void)state;
    rig_multi(nic);
    rig_express(second, PCIE_ENDPOINT, true);
    rig_boot();
    rig_guest_attach_fails = 2;
    res = attach(NIC, XENLITE_PCI_GROUP);
    assert_int_equal(res.stage, XENLITE_PCI_STAGE_give);
    assert_int_equal(res.rule, DENY_PT_VPCI);
    assert_int_equal(res.at, NIC);
    assert_string_equal(rig_log(),
                        "remove:0100 remove:0101 block:0100 block:0101 attach3:0100 attach3:0101 "
                        "appear1.1:0101 appear1.0:0100 block:0100 vanish:0101 block:0101 "
                        "attach0:0100 attach0:0101 add:0101 add:0100 ");
    assert_int_equal(second->flr, 2);
    assert_ptr_equal(rig_dev(F(1, 0, 1))->owner, control_domain);
    assert_true(list_empty(&guest->pt.functions));
}

/* Not even the former owner can have it: it is nobody's. */
static void test_nowhere(void **state)
{
    (void)state;
    rig_boot();
    rig_guest_attach_fails = 1;
    rig_iommu_attach_fails = 2;
    assert_int_equal(attach(NIC, 0).stage, XENLITE_PCI_STAGE_give);
    assert_null(rig_dev(NIC)->owner);
    assert_true(rig_dev(NIC)->held);
}

/* ---- several at a time ---- */

static void test_others_wait(void **state)
{
    struct pt_request a = { PT_ATTACH, 3, NIC, 0, 0 }, b = { PT_ATTACH, 4, F(0, 4, 0), 0, 0 };
    struct pt_result res;
    struct rig_fn *second = rig_add(0, 4, 0);
    uint64_t wake;

    (void)state;
    rig_express(second, PCIE_RC_ENDPOINT, true);
    rig_boot();
    assert_int_equal(pt_run(&a, &res, &wake), -EAGAIN);
    assert_int_equal(pt_run(&b, &res, &wake), -EAGAIN);
    assert_int_equal(second->flr, 0);
    assert_true(pt_moving(rig_dev(NIC)));
    assert_false(pt_moving(rig_dev(F(0, 4, 0))));
    /* b's caller pushes a on to its end, but does not take its result. */
    sim_now_ns += 200 * MS;
    assert_int_equal(pt_run(&b, &res, &wake), -EAGAIN);
    assert_ptr_equal(rig_dev(NIC)->owner, guest);
    assert_int_equal(second->flr, 0);
    assert_int_equal(pt_run(&a, &res, &wake), 0);
    assert_int_equal(res.stage, XENLITE_PCI_STAGE_done);
    assert_int_equal(rig_run(&b, NULL).stage, XENLITE_PCI_STAGE_done);
    /* A result that nobody fetches does not stay in the way. */
    a.kind = PT_DETACH;
    assert_int_equal(pt_run(&a, &res, &wake), -EAGAIN);
    sim_now_ns += 200 * MS;
    b.kind = PT_DETACH;
    assert_int_equal(rig_run(&b, NULL).stage, XENLITE_PCI_STAGE_done);
    assert_ptr_equal(rig_dev(NIC)->owner, control_domain);
}

static void test_entered(void **state)
{
    struct pt_request a = { PT_ATTACH, 3, NIC, 0, 0 };
    struct pt_result res;
    uint64_t wake;

    (void)state;
    rig_boot();
    assert_true(pt_enter());
    assert_false(pt_enter());
    assert_int_equal(pt_run(&a, &res, &wake), -EAGAIN);
    assert_string_equal(rig_log(), "");
    pt_leave();
    assert_int_equal(rig_run(&a, NULL).stage, XENLITE_PCI_STAGE_done);
}

/* ---- the end of a domain ---- */

static void test_destroy(void **state)
{
    struct rig_fn *second = rig_add(0, 4, 0);
    uint64_t wake;
    unsigned n = 0;

    (void)state;
    rig_express(second, PCIE_RC_ENDPOINT, true);
    rig_boot();
    assert_int_equal(attach(NIC, 0).stage, XENLITE_PCI_STAGE_done);
    rig_free_slot = 2;
    assert_int_equal(attach(F(0, 4, 0), 0).stage, XENLITE_PCI_STAGE_done);
    rig_log();
    rig_set(nic, PCI_REG_COMMAND, 2, 7);
    rig_set(second, PCI_REG_COMMAND, 2, 7);
    guest->dying = true;
    assert_int_equal(pt_release_all(guest, &wake), -EAGAIN);
    /* All of them at the first call, before any reset has ended. */
    assert_int_equal(rig_get(nic, PCI_REG_COMMAND, 2) & 7, 0);
    assert_int_equal(rig_get(second, PCI_REG_COMMAND, 2) & 7, 0);
    assert_non_null(strstr(rig_log(), "block:0100 block:0020 "));
    while (pt_release_all(guest, &wake)) {
        assert_true(++n < 1000);
        sim_now_ns = wake;
    }
    assert_int_equal(nic->flr, 2);
    assert_int_equal(second->flr, 2);
    assert_ptr_equal(rig_dev(NIC)->owner, control_domain);
    assert_ptr_equal(rig_dev(F(0, 4, 0))->owner, control_domain);
    assert_int_equal(guest->refs, 1);
    assert_int_equal(pt_release_all(guest, &wake), 0);
}

/* It dies while it is being given something. */
static void test_destroy_meanwhile(void **state)
{
    struct pt_request a = { PT_ATTACH, 3, NIC, 0, 0 };
    struct pt_result res;
    uint64_t wake;

    (void)state;
    rig_boot();
    assert_int_equal(pt_run(&a, &res, &wake), -EAGAIN);
    guest->dying = true;
    while (pt_release_all(guest, &wake))
        sim_now_ns = wake;
    assert_ptr_equal(rig_dev(NIC)->owner, control_domain);
    assert_int_equal(pt_run(&a, &res, &wake), 0);
    assert_int_equal(res.stage, XENLITE_PCI_STAGE_give);
}

/* A function that its reset kills does not keep the domain. */
static void test_destroy_dead(void **state)
{
    uint64_t wake;

    (void)state;
    rig_boot();
    assert_int_equal(attach(NIC, 0).stage, XENLITE_PCI_STAGE_done);
    nic->never = true;
    nic->flr = 0;
    guest->dying = true;
    while (pt_release_all(guest, &wake))
        sim_now_ns = wake;
    assert_null(rig_dev(NIC)->owner);
    assert_true(rig_dev(NIC)->held);
}

/* ---- questions ---- */

static void test_info(void **state)
{
    struct xenlite_pci_info info;

    (void)state;
    rig_msix(nic, 4, 0x000, 0x800);
    rig_boot();
    assert_int_equal(pt_info(F(9, 0, 0), &info), -ENODEV);
    assert_int_equal(pt_info(NIC, &info), 0);
    assert_int_equal(info.owner, 0);
    assert_int_equal(info.nr_group, 1);
    assert_int_equal(info.group, 0x100);
    assert_int_equal(info.reset, XENLITE_PCI_RESET_flr | XENLITE_PCI_RESET_bus);
    assert_int_equal(info.msix_vectors, 4);
    assert_int_equal(info.table_size, 64);
    assert_int_equal(info.nr_trapped, 2);
    assert_int_equal(info.trapped[0].why, XENLITE_PCI_TRAP_msix_table);
    assert_int_equal(info.trapped[0].size, 0x1000);
    assert_int_equal(info.requester, NIC);
    assert_int_equal(attach(NIC, XENLITE_PCI_PERMISSIVE).stage, XENLITE_PCI_STAGE_done);
    assert_int_equal(pt_info(NIC, &info), 0);
    assert_int_equal(info.owner, 3);
    assert_int_equal(info.slot, 1);
    assert_true(info.flags & XENLITE_PCI_IS_PERMISSIVE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, card_setup, card_teardown)
        T(test_arguments),      T(test_domain),
        T(test_kind),           T(test_owner),
        T(test_group),          T(test_large_group),
        T(test_iommu),          T(test_alias_reserved),
        T(test_bars),           T(test_msix),
        T(test_msix_overlap),   T(test_no_reset),
        T(test_slots),          T(test_dry_run),
        T(test_there_and_back), T(test_nobody),
        T(test_whole_group),    T(test_methods),
        T(test_cut_off),        T(test_cut_off_power),
        T(test_bus_is_shared),  T(test_times),
        T(test_slow_devices),   T(test_asleep),
        T(test_one_bus_reset),  T(test_never_back),
        T(test_other_device),   T(test_no_translation),
        T(test_not_taken),      T(test_nowhere),
        T(test_others_wait),    T(test_entered),
        T(test_destroy),        T(test_destroy_meanwhile),
        T(test_destroy_dead),   T(test_info),
#undef T
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
