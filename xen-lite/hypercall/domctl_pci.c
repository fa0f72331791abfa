/* SPDX-License-Identifier: MIT */
/*
 * domctl's calls about devices, for clients of Xen's interface: the same transactions as xenlite_op's, without a choice of
 * slot and without the sentence; that is in the trap records.
 */
#include "cpu/guest_mem.h"
#include "domain/domain.h"
#include "domain/passthrough.h"
#include "hypercall/domctl_ops.h"
#include "hypercall/hypercall.h"
#include "hypercall/xenlite_op.h"
#include "lib/errno.h"
#include "lib/time.h"
#include "mm/heap.h"

static long run(struct vcpu *v, const struct pt_request *req)
{
    struct pt_result res;
    long rc = pt_hypercall(v, req, &res);

    if (rc)
        return rc;
    return res.rule == PT_NO_RULE ? 0 : -deny_errno(res.rule);
}

/* d NULL: test_assign_device for nobody in particular. */
static long assign(struct vcpu *v, struct domain *d, const struct xen_domctl *op)
{
    const struct xen_domctl_assign_device *a = &op->u.assign_device;
    struct pt_request req = {
        .kind = op->cmd == XEN_DOMCTL_deassign_device ? PT_DETACH : PT_ATTACH,
        .domid = d ? d->domid : PT_ANYBODY,
        .sbdf = a->u.pci.machine_sbdf,
        .flags = op->cmd == XEN_DOMCTL_test_assign_device ? XENLITE_PCI_DRY_RUN : 0,
    };

    /* Device trees are of another architecture; relaxed handling of reserved memory has no meaning where it is refused. */
    if (a->dev != XEN_DOMCTL_DEV_PCI)
        return -EOPNOTSUPP;
    if (a->flags & ~(uint32_t)XEN_DOMCTL_DEV_RDM_RELAXED)
        return -EINVAL;
    if (d == v->domain)
        return -EINVAL;
    return run(v, &req);
}

/* The others of the group as bus << 16 | devfn << 8, which is how Xen writes them here. */
static long put_group(struct vcpu *v, struct xen_domctl_get_device_group *op,
                      const struct pci_topology *t)
{
    unsigned self = pci_node_of(t, op->machine_sbdf);

    if (self == PCI_NO_NODE)
        return -ENODEV;
    op->num_sdevs = 0;
    for (unsigned i = 0; i < t->nr && op->num_sdevs < op->max_sdevs; i++) {
        uint32_t bdf = (t->node[i].dev->sbdf & 0xffff) << 8;

        if (i == self || !pci_same_group(t, self, i))
            continue;
        if (copy_to_guest(v, (uint64_t)op->sdev_array.p + op->num_sdevs * sizeof(bdf), &bdf,
                          sizeof(bdf)))
            return -EFAULT;
        op->num_sdevs++;
    }
    return 0;
}

static long get_device_group(struct vcpu *v, struct xen_domctl_get_device_group *op)
{
    struct pci_topology *t;
    long rc = -ENOMEM;

    vtime_end_nap(v);
    if (!pt_enter()) {
        vtime_nap(v, now_ns() + NS_PER_MS);
        return HYPERCALL_RESTART;
    }
    t = pci_topology();
    if (t)
        rc = put_group(v, op, t);
    xfree(t);
    pt_leave();
    return rc;
}

long domctl_pci(struct vcpu *v, struct domain *d, struct xen_domctl *op)
{
    switch (op->cmd) {
    case XEN_DOMCTL_assign_device:
    case XEN_DOMCTL_test_assign_device:
    case XEN_DOMCTL_deassign_device:
        return assign(v, d, op);
    case XEN_DOMCTL_get_device_group:
        return get_device_group(v, &op->u.get_device_group);
    default:
        return -ENOSYS;
    }
}
