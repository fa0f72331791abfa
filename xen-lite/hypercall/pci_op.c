/* SPDX-License-Identifier: MIT */
/*
 * xenlite_op's commands about devices: arguments of xenlite/pci.h to and from domain/passthrough.h.
 */
#include "cpu/guest_mem.h"
#include "domain/domain.h"
#include "domain/passthrough.h"
#include "hypercall/handlers.h"
#include "hypercall/hypercall.h"
#include "hypercall/xenlite_op.h"
#include "include/xenlite/pci.h"
#include "lib/errno.h"
#include "lib/string.h"
#include "lib/time.h"
#include "mm/heap.h"
#include "vdev/vroot.h"

_Static_assert(sizeof(struct xenlite_pci_move) <= XENLITE_OP_ARGS, "fits");

#define TEXT_MAX 512

/* ---- moving ---- */

static int put_text(struct vcpu *v, const struct xenlite_pci_move *m, const struct pt_result *res)
{
    char text[TEXT_MAX] = "";
    size_t len;

    if (!m->text || !m->text_len)
        return 0;
    if (res->rule != PT_NO_RULE)
        deny_describe(res->rule, res->at, res->a, res->b, text, sizeof(text));
    len = MIN(strlen(text) + 1, (size_t)m->text_len);
    text[len - 1] = '\0';
    return copy_to_guest(v, m->text, text, len) ? -EFAULT : 0;
}

static long put_result(struct vcpu *v, struct xenlite_pci_move *m, const struct pt_result *res)
{
    int rc = put_text(v, m, res);

    m->slot = res->slot;
    m->nr = res->nr;
    m->stage = res->stage;
    m->rule = res->rule;
    m->at = res->at;
    m->a = res->a;
    m->b = res->b;
    memset(m->rule_name, 0, sizeof(m->rule_name));
    if (res->rule != PT_NO_RULE)
        strlcpy(m->rule_name, deny_name(res->rule), sizeof(m->rule_name));
    if (rc)
        return rc;
    return res->rule == PT_NO_RULE ? 0 : -deny_errno(res->rule);
}

/* Runs a transaction for v: its result, or HYPERCALL_RESTART after v has been put to sleep. */
long pt_hypercall(struct vcpu *v, const struct pt_request *req, struct pt_result *res)
{
    uint64_t wake_ns;

    vtime_end_nap(v);
    if (pt_run(req, res, &wake_ns) == 0)
        return 0;
    vtime_nap(v, wake_ns);
    return HYPERCALL_RESTART;
}

static long move(struct vcpu *v, struct xenlite_op *op, bool *copy_back)
{
    struct xenlite_pci_move *m = (struct xenlite_pci_move *)op->args;
    struct pt_request req = {
        .kind = op->cmd == XENLITE_PCI_attach ? PT_ATTACH : PT_DETACH,
        .domid = op->domid,
        .sbdf = m->sbdf,
        .flags = m->flags,
        .slot = m->slot,
    };
    struct pt_result res;
    long rc = pt_hypercall(v, &req, &res);

    if (rc)
        return rc;
    *copy_back = true;
    return put_result(v, m, &res);
}

/* ---- questions; entered ---- */

static long info(struct vcpu *v, struct xenlite_pci_info_op *op)
{
    struct xenlite_pci_info *out;
    long rc;

    if (op->size != sizeof(*out))
        return -EINVAL;
    out = xzalloc(sizeof(*out));
    if (!out)
        return -ENOMEM;
    rc = pt_info(op->sbdf, out);
    if (!rc && copy_to_guest(v, op->info, out, sizeof(*out)))
        rc = -EFAULT;
    xfree(out);
    return rc;
}

static long group_in(struct vcpu *v, struct xenlite_pci_group_op *op, const struct pci_topology *t)
{
    unsigned self = pci_node_of(t, op->sbdf);
    struct xenlite_pci_member m;

    if (self == PCI_NO_NODE)
        return -ENODEV;
    op->nr = 0;
    op->group = pt_group_name(t, self);
    for (unsigned i = 0; i < t->nr; i++) {
        if (!pci_same_group(t, self, i))
            continue;
        pt_member(t, i, &m);
        if (op->nr < op->max &&
            copy_to_guest(v, op->members + (uint64_t)op->nr * sizeof(m), &m, sizeof(m)))
            return -EFAULT;
        op->nr++;
    }
    return 0;
}

static long list_in(struct vcpu *v, struct xenlite_pci_list_op *op, const struct pci_topology *t)
{
    struct xenlite_pci_entry e;

    op->total = t->nr;
    op->nr = 0;
    for (unsigned i = op->start; i < t->nr && op->nr < op->max; i++) {
        pt_entry(t, i, &e);
        if (copy_to_guest(v, op->entries + (uint64_t)op->nr * sizeof(e), &e, sizeof(e)))
            return -EFAULT;
        op->nr++;
    }
    return 0;
}

static long with_topology(struct vcpu *v, struct xenlite_op *op)
{
    struct pci_topology *t = pci_topology();
    long rc;

    if (!t)
        return -ENOMEM;
    if (op->cmd == XENLITE_PCI_group)
        rc = group_in(v, (struct xenlite_pci_group_op *)op->args, t);
    else
        rc = list_in(v, (struct xenlite_pci_list_op *)op->args, t);
    xfree(t);
    return rc;
}

/* Owners and records stay as they are while it is answered. */
static long ask(struct vcpu *v, struct xenlite_op *op)
{
    long rc;

    vtime_end_nap(v);
    if (!pt_enter()) {
        vtime_nap(v, now_ns() + NS_PER_MS);
        return HYPERCALL_RESTART;
    }
    if (op->cmd == XENLITE_PCI_info)
        rc = info(v, (struct xenlite_pci_info_op *)op->args);
    else
        rc = with_topology(v, op);
    pt_leave();
    return rc;
}

/* ---- a guest's root, slots and interrupts ---- */

static long intx_op(struct vcpu *v, struct domain *d, const struct xenlite_pci_intx_op *op)
{
    long rc;

    if (op->flags & ~XENLITE_PCI_INTX_ACTIVE_HIGH)
        return -EINVAL;
    vtime_end_nap(v);
    if (!pt_enter()) {
        vtime_nap(v, now_ns() + NS_PER_MS);
        return HYPERCALL_RESTART;
    }
    rc = pt_connect_intx(d, op->sbdf, op->gsi, !(op->flags & XENLITE_PCI_INTX_ACTIVE_HIGH));
    pt_leave();
    return rc;
}

static long slot_op(struct domain *d, struct xenlite_pci_slot_op *op)
{
    int rc = 0;

    if (!op->slot || op->slot > XENLITE_PCI_NR_SLOTS)
        return -EINVAL;
    if (op->action == XENLITE_PCI_SLOT_eject)
        rc = vroot_request_eject(d, op->slot);
    else if (op->action == XENLITE_PCI_SLOT_cancel)
        rc = vroot_cancel_eject(d, op->slot);
    else if (op->action != XENLITE_PCI_SLOT_query)
        rc = -EINVAL;
    return rc ? rc : vroot_slot_query(d, op);
}

static long about_domain(struct vcpu *v, struct xenlite_op *op)
{
    int err;
    struct domain *d = hypercall_target(v, op->domid, &err);
    long rc;

    if (!d)
        return err;
    if (d->control || READ_ONCE(d->dying))
        rc = -EINVAL;
    else if (op->cmd == XENLITE_PCI_root)
        rc = pt_create_root(d);
    else if (op->cmd == XENLITE_PCI_intx)
        rc = intx_op(v, d, (const struct xenlite_pci_intx_op *)op->args);
    else
        rc = slot_op(d, (struct xenlite_pci_slot_op *)op->args);
    domain_put(d);
    return rc;
}

long xenlite_pci_op(struct vcpu *v, struct xenlite_op *op, bool *copy_back)
{
    switch (op->cmd) {
    case XENLITE_PCI_root:
    case XENLITE_PCI_slot:
    case XENLITE_PCI_intx:
        return about_domain(v, op);
    case XENLITE_PCI_info:
    case XENLITE_PCI_group:
    case XENLITE_PCI_list:
        return ask(v, op);
    case XENLITE_PCI_attach:
    case XENLITE_PCI_detach:
        return move(v, op, copy_back);
    default:
        return -ENOSYS;
    }
}
