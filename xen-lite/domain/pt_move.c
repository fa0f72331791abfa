/* SPDX-License-Identifier: MIT */
/*
 * The acting half of a transaction: functions leave their owner, fall silent, are reset, and get their next owner. Stages
 * work through the items one by one; only the reset waits, by coming back later.
 *
 * From `take` to `give` a function is held: neither a domain's configuration accesses nor a scan can claim it.
 */
#include "domain/domain.h"
#include "domain/passthrough.h"
#include "lib/errno.h"
#include "lib/printf.h"
#include "lib/string.h"
#include "mm/heap.h"
#include "vdev/vintx.h"
#include "vdev/vpci_guest.h"
#include "vdev/vroot.h"

#define MOVE_AGAIN 1 /* the stage has more to do at once */

static struct pt_item *item(struct pt_job *j)
{
    return &j->item[j->at];
}

/* ---- records of guests ---- */

static int add_record(const struct pt_item *it)
{
    struct pt_function *f = xzalloc(sizeof(*f));

    if (!f)
        return -ENOMEM;
    f->pdev = it->pdev;
    f->slot = it->slot;
    f->fn = it->fn;
    f->permissive = it->permissive;
    f->was_held = it->was_held;
    f->method = it->method;
    f->saved = it->saved;
    list_add_tail(&f->link, &it->to->pt.functions);
    return 0;
}

static void drop_record(struct domain *d, const struct pci_dev *pdev)
{
    struct pt_function *f = pt_function_of(d, pdev);

    if (!f)
        return;
    list_del(&f->link);
    xfree(f);
}

/* ---- single steps ---- */

static void take_from(struct domain *d, struct pci_dev *pdev)
{
    pdev->held = true;
    vintx_disconnect(pdev);
    if (d && d->control) {
        vpci_remove_device(d, pdev->sbdf);
    } else if (d) {
        vpci_guest_detach(d, pdev->sbdf);
        drop_record(d, pdev);
    }
}

static void take(struct pt_item *it)
{
    /* What the control domain set up is what comes back after each reset, whatever a guest does to it meanwhile. */
    if (!it->saved.valid)
        pci_save(it->pdev, &it->saved);
    take_from(it->from, it->pdev);
}

static void silence(struct pt_item *it)
{
    int rc;

    pci_silence(it->pdev);
    rc = iommu_detach(it->pdev->sbdf);
    if (rc && rc != -ENODEV)
        pr_err("pci " PCI_FMT ": its IOMMU unit failed while it was blocked (%d)",
               PCI_ARG(it->pdev->sbdf), rc);
}

static int give_to_guest(struct pt_item *it)
{
    int rc = READ_ONCE(it->to->dying) ? -ESRCH : add_record(it);

    if (rc)
        return rc;
    /* Its pin leads nowhere yet, whatever the guest says. */
    it->pdev->intx_held = true;
    it->pdev->no_intx = false;
    rc = vpci_guest_attach(it->to, it->pdev->sbdf, it->slot, it->fn);
    if (rc)
        drop_record(it->to, it->pdev);
    return rc;
}

static int give(struct pt_item *it)
{
    int rc;

    if (!it->to)
        return 0;
    if (it->to->control) {
        it->pdev->intx_held = false;
        it->pdev->held = false;
        rc = vpci_add_device(it->to, it->pdev->sbdf);
        it->pdev->held = rc != 0;
    } else {
        rc = give_to_guest(it);
    }
    it->given = !rc;
    return rc;
}

/* A quarantine was for what the former owner did; a function that has been reset starts anew. */
static int translate(struct pt_job *j, struct pt_item *it)
{
    if (!it->to || !iommu_present())
        return 0;
    if (j->reset && it->method)
        iommu_release(it->pdev->sbdf);
    return pci_dma_attach(&it->to->iommu, it->pdev);
}

/* ---- failures ---- */

/* It can be given to nobody: what it does next is not known. */
static void strand(struct pt_job *j)
{
    for (unsigned i = 0; i < j->nr; i++) {
        j->item[i].to = NULL;
        pr_err("pci " PCI_FMT " is nobody's and blocked", PCI_ARG(j->item[i].pdev->sbdf));
    }
}

/*
 * The next owner did not get it: all go back, from the stage that makes that safe. Whom they came from may not get them either;
 * then they are nobody's.
 */
static void undo(struct pt_job *j)
{
    bool second = j->undoing;

    for (unsigned i = 0; i < j->nr; i++) {
        struct pt_item *it = &j->item[i];

        if (it->given)
            take_from(it->to, it->pdev);
        silence(it);
        it->given = false;
        it->to = second || (it->from && !it->from->control) ? NULL : it->from;
    }
    if (second)
        strand(j);
    j->undoing = true;
    /* If the guest could have used it, it is reset again. */
    j->stage = j->stage == XENLITE_PCI_STAGE_give && !second ? XENLITE_PCI_STAGE_do_reset
                                                             : XENLITE_PCI_STAGE_translate;
}

static int fail(struct pt_job *j, enum deny_rule rule, uint64_t a, uint64_t b)
{
    if (!j->undoing) {
        pt_refuse(j, j->stage, rule, item(j)->pdev->sbdf, a, b);
        deny(rule, j->req.domid, item(j)->pdev->sbdf, a, b);
    }
    undo(j);
    return MOVE_AGAIN;
}

/* ---- the reset ---- */

static int reset_failed(struct pt_job *j, int rc)
{
    enum deny_rule rule = rc == -ETIMEDOUT ? DENY_PT_TIMEOUT : DENY_PT_CHANGED;

    if (!j->undoing) {
        pt_refuse(j, j->stage, rule, item(j)->pdev->sbdf, PCI_RESET_READY_MS, item(j)->method);
        deny(rule, j->req.domid, item(j)->pdev->sbdf, PCI_RESET_READY_MS, item(j)->method);
    }
    strand(j);
    j->undoing = true;
    j->stage = XENLITE_PCI_STAGE_give; /* to nobody */
    return MOVE_AGAIN;
}

/* One bus reset is for all of the bus; the others only have to answer again. */
static void begin_reset(struct pt_job *j)
{
    unsigned method = item(j)->method;

    if (method == PCI_RESET_BUS && j->bus_done)
        method = 0;
    j->bus_done |= method == PCI_RESET_BUS;
    pci_reset_begin(&j->machine, item(j)->pdev, method);
}

static int do_reset(struct pt_job *j)
{
    int rc;

    if (j->machine.dev != item(j)->pdev)
        begin_reset(j);
    rc = pci_reset_step(&j->machine);
    if (rc == -EAGAIN) {
        j->wake_ns = j->machine.wake_ns;
        return -EAGAIN;
    }
    if (rc)
        return reset_failed(j, rc);
    j->machine.dev = NULL;
    return 0;
}

/* ---- stages ---- */

/* One item of the stage. 0: go on with the next; MOVE_AGAIN: the stage was changed; -EAGAIN: wait. */
static int act(struct pt_job *j)
{
    struct pt_item *it = item(j);
    int rc;

    switch (j->stage) {
    case XENLITE_PCI_STAGE_take:
        take(it);
        return 0;
    case XENLITE_PCI_STAGE_silence:
        silence(it);
        return 0;
    case XENLITE_PCI_STAGE_do_reset:
        return j->reset ? do_reset(j) : 0;
    case XENLITE_PCI_STAGE_restore:
        pci_restore(it->pdev, &it->saved);
        return 0;
    case XENLITE_PCI_STAGE_translate:
        rc = translate(j, it);
        return rc ? fail(j, DENY_PT_DMA, (unsigned)-rc, 0) : 0;
    default:
        rc = give(it);
        return rc ? fail(j, DENY_PT_VPCI, (unsigned)-rc, 0) : 0;
    }
}

/* Function 0 makes a guest's slot occupied or empty: it is taken first, and given last. */
static bool backwards(const struct pt_job *j)
{
    return j->stage == XENLITE_PCI_STAGE_give;
}

static void start_stage(struct pt_job *j)
{
    j->at = backwards(j) ? j->nr - 1 : 0;
    j->machine.dev = NULL;
    j->bus_done = false;
}

/* False: that was the last one. */
static bool next_item(struct pt_job *j)
{
    if (backwards(j))
        return j->at-- > 0;
    return ++j->at < j->nr;
}

int pt_move(struct pt_job *j)
{
    int rc = 0;

    while (j->stage != XENLITE_PCI_STAGE_done && rc != -EAGAIN) {
        rc = act(j);
        if (rc == MOVE_AGAIN) {
            start_stage(j);
        } else if (!rc && !next_item(j)) {
            j->stage++;
            start_stage(j);
        }
    }
    if (rc == -EAGAIN)
        return rc;
    if (!j->undoing)
        j->res.stage = XENLITE_PCI_STAGE_done;
    return 0;
}
