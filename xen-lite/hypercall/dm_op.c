/* SPDX-License-Identifier: MIT */
/*
 * dm_op: what a device model in the control domain asks for another domain. The operation and its arguments are in the
 * first of an array of buffers; what is not implemented gets -EOPNOTSUPP.
 */
#include "cpu/guest_mem.h"
#include "domain/domain.h"
#include "hypercall/handlers.h"
#include "irq/girq.h"
#include "lib/errno.h"
#include "lib/string.h"

#include <xen/hvm/dm_op.h>
#include <xen/sched.h>

/* No operation has more. */
#define MAX_BUFS 2u
/* op and pad, in front of the operation's own structure */
#define HEADER offsetof(struct xen_dm_op, u)

/* Sizes of what is implemented; 0: it is not. `in`: nothing is handed back. */
static const struct {
    uint8_t size;
    bool in;
} ops[] = {
    [XEN_DMOP_create_ioreq_server] = { sizeof(struct xen_dm_op_create_ioreq_server), false },
    [XEN_DMOP_get_ioreq_server_info] = { sizeof(struct xen_dm_op_get_ioreq_server_info), false },
    [XEN_DMOP_map_io_range_to_ioreq_server] = { sizeof(struct xen_dm_op_ioreq_server_range), true },
    [XEN_DMOP_unmap_io_range_from_ioreq_server] = { sizeof(struct xen_dm_op_ioreq_server_range), true },
    [XEN_DMOP_set_ioreq_server_state] = { sizeof(struct xen_dm_op_set_ioreq_server_state), true },
    [XEN_DMOP_destroy_ioreq_server] = { sizeof(struct xen_dm_op_destroy_ioreq_server), true },
    [XEN_DMOP_inject_msi] = { sizeof(struct xen_dm_op_inject_msi), true },
    [XEN_DMOP_remote_shutdown] = { sizeof(struct xen_dm_op_remote_shutdown), true },
    [XEN_DMOP_nr_vcpus] = { sizeof(struct xen_dm_op_nr_vcpus), false },
};

static long create(struct domain *d, struct xen_dm_op_create_ioreq_server *op)
{
    if (op->pad[0] || op->pad[1] || op->pad[2])
        return -EINVAL;
    return ioreq_server_create(&d->ioreq, op->handle_bufioreq, &op->id);
}

/* Pages can be had as a resource only: there is no place for them in a PVH guest's memory. */
static long get_info(struct domain *d, struct xen_dm_op_get_ioreq_server_info *op)
{
    if (op->flags & ~XEN_DMOP_no_gfns)
        return -EINVAL;
    if (!(op->flags & XEN_DMOP_no_gfns))
        return -EOPNOTSUPP;
    return ioreq_server_port(&d->ioreq, op->id, &op->bufioreq_port);
}

static long range(struct domain *d, const struct xen_dm_op_ioreq_server_range *op, bool map)
{
    _Static_assert(IOREQ_RANGE_PORT == XEN_DMOP_IO_RANGE_PORT &&
                       IOREQ_RANGE_MEMORY == XEN_DMOP_IO_RANGE_MEMORY &&
                       IOREQ_RANGE_PCI == XEN_DMOP_IO_RANGE_PCI,
                   "the interface's numbers");

    if (op->pad || op->type > XEN_DMOP_IO_RANGE_PCI)
        return -EINVAL;
    /* What the guest does there is never forwarded: only configuration space and messages are. */
    if (op->type != XEN_DMOP_IO_RANGE_PCI)
        return -EOPNOTSUPP;
    return map ? ioreq_server_map(&d->ioreq, op->id, op->type, op->start, op->end)
               : ioreq_server_unmap(&d->ioreq, op->id, op->type, op->start, op->end);
}

static long set_state(struct domain *d, const struct xen_dm_op_set_ioreq_server_state *op)
{
    if (op->pad)
        return -EINVAL;
    return ioreq_server_enable(&d->ioreq, op->id, op->enabled);
}

static long destroy(struct domain *d, const struct xen_dm_op_destroy_ioreq_server *op)
{
    if (op->pad)
        return -EINVAL;
    return ioreq_server_destroy(&d->ioreq, op->id);
}

/* As a device's message; one that nobody takes is no error, as on a bus. */
static long inject_msi(struct domain *d, const struct xen_dm_op_inject_msi *op)
{
    if (op->pad || !girq_message_allowed(op->addr, op->data))
        return -EINVAL;
    vapic_deliver_msi(d, op->addr, op->data);
    return 0;
}

static long remote_shutdown(struct domain *d, const struct xen_dm_op_remote_shutdown *op)
{
    if (op->reason > SHUTDOWN_MAX)
        return -EINVAL;
    domain_shutdown(d, op->reason);
    return 0;
}

static long dispatch(struct domain *d, struct xen_dm_op *op)
{
    switch (op->op) {
    case XEN_DMOP_create_ioreq_server:
        return create(d, &op->u.create_ioreq_server);
    case XEN_DMOP_get_ioreq_server_info:
        return get_info(d, &op->u.get_ioreq_server_info);
    case XEN_DMOP_map_io_range_to_ioreq_server:
        return range(d, &op->u.map_io_range_to_ioreq_server, true);
    case XEN_DMOP_unmap_io_range_from_ioreq_server:
        return range(d, &op->u.unmap_io_range_from_ioreq_server, false);
    case XEN_DMOP_set_ioreq_server_state:
        return set_state(d, &op->u.set_ioreq_server_state);
    case XEN_DMOP_destroy_ioreq_server:
        return destroy(d, &op->u.destroy_ioreq_server);
    case XEN_DMOP_inject_msi:
        return inject_msi(d, &op->u.inject_msi);
    case XEN_DMOP_remote_shutdown:
        return remote_shutdown(d, &op->u.remote_shutdown);
    default:
        op->u.nr_vcpus.vcpus = d->max_vcpus;
        return 0;
    }
}

static long run(struct vcpu *v, struct domain *d, const struct xen_dm_op_buf *buf)
{
    struct xen_dm_op op;
    uint64_t at = (uint64_t)buf->h.p;
    unsigned size;
    long rc;

    memset(&op, 0, sizeof(op));
    if (buf->size < HEADER || copy_from_guest(v, &op, at, HEADER))
        return -EFAULT;
    if (op.op >= ARRAY_SIZE(ops) || !ops[op.op].size)
        return -EOPNOTSUPP;
    size = ops[op.op].size;
    if (buf->size < HEADER + size || copy_from_guest(v, &op.u, at + HEADER, size))
        return -EFAULT;
    if (op.pad)
        return -EINVAL;
    rc = dispatch(d, &op);
    if (!rc && !ops[op.op].in && copy_to_guest(v, at + HEADER, &op.u, size))
        return -EFAULT;
    return rc;
}

long do_dm_op(struct vcpu *v, uint64_t domid, uint64_t nr_bufs, uint64_t bufs, uint64_t a4, uint64_t a5)
{
    struct xen_dm_op_buf buf;
    struct domain *d;
    long rc;

    (void)a4;
    (void)a5;
    if ((uint32_t)nr_bufs > MAX_BUFS)
        return -E2BIG;
    /* Device models have no business with their own domain. */
    if (!v->domain->control || (uint16_t)domid == DOMID_SELF || (uint16_t)domid == v->domain->domid)
        return -EPERM;
    if (!(uint32_t)nr_bufs || copy_from_guest(v, &buf, bufs, sizeof(buf)))
        return -EFAULT;
    d = domain_get_by_id((uint16_t)domid);
    if (!d)
        return -ESRCH;
    rc = run(v, d, &buf);
    domain_put(d);
    return rc;
}
