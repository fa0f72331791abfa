/* SPDX-License-Identifier: MIT */
/*
 * xenlite_op's commands about requests to device models: completing one, asking what waits, statistics.
 */
#include "cpu/guest_mem.h"
#include "domain/domain.h"
#include "hypercall/xenlite_op.h"
#include "include/xenlite/ioreq.h"
#include "lib/errno.h"
#include "lib/string.h"
#include "mm/heap.h"

_Static_assert(sizeof(struct xenlite_ioreq_complete) <= XENLITE_OP_ARGS, "fits");
_Static_assert(sizeof(struct xenlite_ioreq_query) <= XENLITE_OP_ARGS, "fits");
_Static_assert(sizeof(struct xenlite_ioreq_statistics) <= XENLITE_OP_ARGS, "fits");

static long query(struct vcpu *v, struct domain *d, struct xenlite_ioreq_query *q)
{
    unsigned room = MIN(q->nr, (uint32_t)IOREQ_MAX_VCPUS);
    struct xenlite_ioreq_pending *list = NULL;
    long rc = 0;

    if (room) {
        list = xmalloc(room * sizeof(*list));
        if (!list)
            return -ENOMEM;
    }
    q->waiting = ioreq_list(&d->ioreq, list, room);
    q->nr = MIN(room, q->waiting);
    if (q->nr && copy_to_guest(v, q->buffer, list, q->nr * sizeof(*list)))
        rc = -EFAULT;
    xfree(list);
    return rc;
}

static long dispatch(struct vcpu *v, struct domain *d, struct xenlite_op *op)
{
    switch (op->cmd) {
    case XENLITE_IOREQ_complete:
        return ioreq_complete(&d->ioreq, (const struct xenlite_ioreq_complete *)op->args);
    case XENLITE_IOREQ_query:
        return query(v, d, (struct xenlite_ioreq_query *)op->args);
    case XENLITE_IOREQ_statistics:
        ioreq_statistics(&d->ioreq, (struct xenlite_ioreq_statistics *)op->args);
        return 0;
    default:
        return -ENOSYS;
    }
}

long xenlite_ioreq_op(struct vcpu *v, struct xenlite_op *op, bool *copy_back)
{
    struct domain *d = domain_get_by_id(op->domid);
    long rc;

    (void)copy_back;
    if (!d)
        return -ESRCH;
    rc = dispatch(v, d, op);
    domain_put(d);
    return rc;
}
