/* SPDX-License-Identifier: MIT */
/*
 * INTx of guests' functions: silenced one by one, raised in the guest once, asserted again after the guest's end, and kept
 * off behind the guest's back.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "irq/girq.h"
#include "lib/errno.h"
#include "pt_rig.h"
#include "vdev/vintx.h"

#define F(dev) PCI_SBDF(0, 0, dev, 0)

/* ---- the pin and the guest's IO-APIC ---- */

static bool (*pin_claim)(uint32_t gsi);
static unsigned sharers, raises, share_fails;
static uint32_t raised_gsi;

int girq_gsi_share(uint32_t gsi, bool active_low, bool (*claim)(uint32_t gsi))
{
    (void)gsi;
    (void)active_low;
    if (share_fails)
        return -EBUSY;
    pin_claim = claim;
    sharers++;
    return 0;
}

void girq_gsi_unshare(uint32_t gsi)
{
    (void)gsi;
    sharers--;
}

struct vapic_bus *domain_vapic(struct domain *d)
{
    return &d->vapic;
}

int vioapic_set_irq(struct vapic_bus *bus, uint32_t gsi, bool level)
{
    (void)bus;
    assert_true(level);
    raised_gsi = gsi;
    raises++;
    return 0;
}

/* ---- functions ---- */

static struct rig_fn *add(unsigned dev)
{
    struct rig_fn *f = rig_add(0, dev, 0);

    rig_set(f, PCI_REG_INT_PIN, 1, 1);
    return f;
}

static void assert_line(struct rig_fn *f, bool on)
{
    rig_set(f, PCI_REG_STATUS, 2,
            (rig_get(f, PCI_REG_STATUS, 2) & ~(uint32_t)PCI_STATUS_INTERRUPT) |
                (on ? PCI_STATUS_INTERRUPT : 0));
}

static bool is_off(const struct rig_fn *f)
{
    return rig_get(f, PCI_REG_COMMAND, 2) & PCI_COMMAND_NO_INTX;
}

static int setup(void **state)
{
    (void)state;
    rig_begin();
    sharers = raises = share_fails = 0;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    rig_end();
    return 0;
}

static void test_life(void **state)
{
    struct rig_fn *f = add(3);
    struct domain *d = rig_domain(3, true);
    uint64_t count;

    (void)state;
    rig_boot();
    assert_int_equal(vintx_gsi(rig_dev(F(3)), &count), ~0u);
    assert_int_equal(vintx_connect(d, rig_dev(F(3)), 2, 20, true), 0);
    assert_false(is_off(f));
    assert_int_equal(sharers, 1);
    assert_false(pin_claim(20)); /* somebody else's */
    assert_int_equal(raises, 0);
    assert_line(f, true);
    assert_false(pin_claim(21)); /* another pin */
    assert_true(pin_claim(20));
    assert_true(is_off(f));
    assert_int_equal(raises, 1);
    assert_int_equal(raised_gsi, XENLITE_PCI_INTX_GSI(2, 0));
    /* The pin fires for somebody else: this one is silent, and the guest is not told again. */
    assert_false(pin_claim(20));
    assert_int_equal(raises, 1);
    vintx_ended(d, XENLITE_PCI_INTX_GSI(2, 1));
    assert_true(is_off(f));
    vintx_ended(d, XENLITE_PCI_INTX_GSI(2, 0));
    assert_false(is_off(f));
    assert_true(pin_claim(20)); /* still asserted */
    assert_int_equal(raises, 2);
    assert_int_equal(vintx_gsi(rig_dev(F(3)), &count), 20);
    assert_int_equal(count, 2);
    rig_dev(F(3))->held = true;
    vintx_disconnect(rig_dev(F(3)));
    assert_true(is_off(f));
    assert_int_equal(sharers, 0);
    assert_false(pin_claim(20));
}

/* What the guest says counts when the hypervisor does not need the bit. */
static void test_command(void **state)
{
    struct rig_fn *f = add(3);
    struct domain *d = rig_domain(3, true);
    struct pci_dev *dev;

    (void)state;
    rig_boot();
    dev = rig_dev(F(3));
    dev->intx_held = true;
    pci_command_write(dev, PCI_COMMAND_MASTER);
    assert_true(is_off(f));
    assert_int_equal(pci_command_read(dev), PCI_COMMAND_MASTER);
    assert_int_equal(vintx_connect(d, dev, 1, 20, true), 0);
    assert_false(is_off(f));
    assert_line(f, true);
    assert_true(pin_claim(20));
    /* While it is in service the guest sees its own bit, and cannot take the hypervisor's away. */
    assert_int_equal(pci_command_read(dev), PCI_COMMAND_MASTER);
    pci_command_write(dev, PCI_COMMAND_MEMORY);
    assert_true(is_off(f));
    assert_int_equal(rig_get(f, PCI_REG_COMMAND, 2) & 7, PCI_COMMAND_MEMORY);
    pci_command_write(dev, PCI_COMMAND_NO_INTX);
    vintx_ended(d, XENLITE_PCI_INTX_GSI(1, 0));
    assert_true(is_off(f));
    assert_int_equal(pci_command_read(dev), PCI_COMMAND_NO_INTX);
    pci_command_write(dev, 0);
    assert_false(is_off(f));
    dev->held = true;
    vintx_disconnect(dev);
    assert_true(is_off(f));
}

/* A reset of the function brings the bit down while it is in service: silenced again, told once. */
static void test_reset_meanwhile(void **state)
{
    struct rig_fn *f = add(3);
    struct domain *d = rig_domain(3, true);

    (void)state;
    rig_boot();
    assert_int_equal(vintx_connect(d, rig_dev(F(3)), 1, 20, true), 0);
    assert_line(f, true);
    assert_true(pin_claim(20));
    rig_set(f, PCI_REG_COMMAND, 2, 0);
    assert_true(pin_claim(20));
    assert_true(is_off(f));
    assert_int_equal(raises, 1);
    rig_dev(F(3))->held = true;
    vintx_disconnect(rig_dev(F(3)));
}

static void test_two_guests(void **state)
{
    struct rig_fn *a = add(3), *b = add(4);
    struct domain *d = rig_domain(3, true), *e = rig_domain(4, true);

    (void)state;
    rig_boot();
    assert_int_equal(vintx_connect(d, rig_dev(F(3)), 1, 20, true), 0);
    assert_int_equal(vintx_connect(e, rig_dev(F(4)), 1, 20, true), 0);
    assert_line(b, true);
    assert_true(pin_claim(20));
    assert_false(is_off(a));
    assert_true(is_off(b));
    assert_line(a, true);
    assert_true(pin_claim(20));
    assert_int_equal(raises, 2);
    /* The same pin of another guest. */
    vintx_ended(d, XENLITE_PCI_INTX_GSI(1, 0));
    assert_false(is_off(a));
    assert_true(is_off(b));
    for (unsigned i = 3; i <= 4; i++) {
        rig_dev(F(i))->held = true;
        vintx_disconnect(rig_dev(F(i)));
    }
    assert_int_equal(sharers, 0);
}

static void test_refused(void **state)
{
    struct rig_fn *f = add(3), *g = rig_add(0, 4, 0);
    struct domain *d = rig_domain(3, true);
    uint64_t count;

    (void)state;
    rig_boot();
    assert_int_equal(vintx_connect(d, rig_dev(F(4)), 1, 20, true), -ENODEV);
    rig_set(g, PCI_REG_INT_PIN, 1, 7);
    assert_int_equal(vintx_connect(d, rig_dev(F(4)), 1, 20, true), -ENODEV);
    f->wr[PCI_REG_COMMAND + 1] = 0; /* an old one, without the disable bit */
    assert_int_equal(vintx_connect(d, rig_dev(F(3)), 1, 20, true), -EOPNOTSUPP);
    f->wr[PCI_REG_COMMAND + 1] = 5;
    share_fails = 1;
    assert_int_equal(vintx_connect(d, rig_dev(F(3)), 1, 20, true), -EBUSY);
    assert_true(is_off(f));
    assert_int_equal(vintx_gsi(rig_dev(F(3)), &count), ~0u);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        T(test_life), T(test_command), T(test_reset_meanwhile), T(test_two_guests), T(test_refused),
#undef T
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
