/* SPDX-License-Identifier: MIT */
/*
 * INTx of guests' functions: who is connected to which pin, see vintx.h.
 */
#include "vdev/vintx.h"

#include "include/xenlite/pci.h"
#include "irq/girq.h"
#include "lib/errno.h"
#include "lib/spinlock.h"
#include "mm/heap.h"
#include "vdev/pci_sriov.h"
#include "vdev/vioapic.h"

struct vintx {
    struct list_head link;
    struct domain *d;
    struct pci_dev *pdev;
    uint32_t gsi;      /* the machine's */
    uint32_t guest_gsi;
    bool asserted;     /* silenced until the guest's end of interrupt */
    uint64_t raised;
};

static struct list_head connections = LIST_HEAD_INIT(connections);
static spinlock_t lock = SPINLOCK_INIT;

/* True if the function asserts the pin; it does not any more. Also one that was silenced already: a reset undoes that. */
static bool silence(struct pci_dev *pdev)
{
    if (pci_conf_read(pdev->sbdf, PCI_REG_COMMAND, 2) & PCI_COMMAND_NO_INTX)
        return false;
    if (!(pci_conf_read(pdev->sbdf, PCI_REG_STATUS, 2) & PCI_STATUS_INTERRUPT))
        return false;
    pci_hold_intx(pdev);
    return true;
}

/* In the interrupt. Under the lock to the end: a connection's domain stays as long as the connection. */
static bool claim(uint32_t gsi)
{
    struct vintx *c;
    bool any = false;

    spin_lock(&lock);
    list_for_each_entry (c, &connections, link) {
        if (c->gsi != gsi || !silence(c->pdev))
            continue;
        any = true;
        if (c->asserted)
            continue;
        c->asserted = true;
        c->raised++;
        vioapic_set_irq(domain_vapic(c->d), c->guest_gsi, true);
    }
    spin_unlock(&lock);
    return any;
}

void vintx_ended(struct domain *d, uint32_t gsi)
{
    struct vintx *c;

    spin_lock(&lock);
    list_for_each_entry (c, &connections, link) {
        if (c->d != d || c->guest_gsi != gsi || !c->asserted)
            continue;
        c->asserted = false;
        pci_release_intx(c->pdev);
    }
    spin_unlock(&lock);
}

/* ---- connections ---- */

static struct vintx *of_function(const struct pci_dev *pdev)
{
    struct vintx *c;

    list_for_each_entry (c, &connections, link)
        if (c->pdev == pdev)
            return c;
    return NULL;
}

void vintx_disconnect(struct pci_dev *pdev)
{
    struct vintx *c;

    pci_hold_intx(pdev);
    spin_lock(&lock);
    c = of_function(pdev);
    if (c)
        list_del(&c->link);
    spin_unlock(&lock);
    if (!c)
        return;
    girq_gsi_unshare(c->gsi);
    xfree(c);
}

uint32_t vintx_gsi(const struct pci_dev *pdev, uint64_t *raised)
{
    const struct vintx *c;
    uint32_t gsi = ~0u;

    *raised = 0;
    spin_lock(&lock);
    c = of_function(pdev);
    if (c) {
        gsi = c->gsi;
        *raised = c->raised;
    }
    spin_unlock(&lock);
    return gsi;
}

/* It is off now: hold it, and see whether the bit is there. */
static bool can_hold(struct pci_dev *pdev)
{
    pci_hold_intx(pdev);
    return pci_conf_read(pdev->sbdf, PCI_REG_COMMAND, 2) & PCI_COMMAND_NO_INTX;
}

int vintx_connect(struct domain *d, struct pci_dev *pdev, unsigned slot, uint32_t gsi,
                  bool active_low)
{
    unsigned pin = pci_intx_pin(pdev);
    struct vintx *c;
    int rc;

    if (!pin || pin > 4)
        return -ENODEV;
    vintx_disconnect(pdev);
    if (!can_hold(pdev))
        return -EOPNOTSUPP;
    c = xzalloc(sizeof(*c));
    if (!c)
        return -ENOMEM;
    c->d = d;
    c->pdev = pdev;
    c->gsi = gsi;
    c->guest_gsi = XENLITE_PCI_INTX_GSI(slot, pin - 1);
    spin_lock(&lock);
    list_add_tail(&c->link, &connections);
    spin_unlock(&lock);
    rc = girq_gsi_share(gsi, active_low, claim);
    if (!rc) {
        pci_release_intx(pdev);
        return 0;
    }
    spin_lock(&lock);
    list_del(&c->link);
    spin_unlock(&lock);
    xfree(c);
    return rc;
}
