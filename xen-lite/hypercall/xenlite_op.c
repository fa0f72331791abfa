/* SPDX-License-Identifier: MIT */
/* xenlite_op: checks what all its commands have in common and finds the subject's handler. */
#include "hypercall/xenlite_op.h"

#include "cpu/guest_mem.h"
#include "domain/domain.h"
#include "hypercall/handlers.h"
#include "hypercall/hypercall.h"
#include "include/xenlite/ioreq.h"
#include "lib/errno.h"

_Static_assert(sizeof(struct xenlite_op) == 128, "fixed layout");

typedef long (*xenlite_fn)(struct vcpu *v, struct xenlite_op *op, bool *copy_back);

/* Indexed by the subject: cmd >> 8. The handlers are weak, so that a test links only those that it tests; the others are NULL. */
static const xenlite_fn subjects[] = {
    [XENLITE_TRACE_FIRST >> 8] = xenlite_trace_op,
    [XENLITE_AUDIT_FIRST >> 8] = xenlite_audit_op,
    [XENLITE_PCI_FIRST >> 8] = xenlite_pci_op,
    [XENLITE_IOREQ_FIRST >> 8] = xenlite_ioreq_op,
    [XENLITE_SCHED_FIRST >> 8] = xenlite_sched_op,
};

long do_xenlite_op(struct vcpu *v, uint64_t argp, uint64_t a2, uint64_t a3, uint64_t a4, uint64_t a5)
{
    struct xenlite_op op;
    unsigned subject;
    bool copy_back = false;
    long rc;

    (void)a2;
    (void)a3;
    (void)a4;
    (void)a5;
    if (!v->domain->control)
        return -EPERM;
    if (copy_from_guest(v, &op, argp, sizeof(op)))
        return -EFAULT;
    if (op.interface_version != XENLITE_INTERFACE_VERSION)
        return -EACCES;
    subject = op.cmd >> 8;
    if (subject >= ARRAY_SIZE(subjects) || !subjects[subject])
        return -ENOSYS;
    rc = subjects[subject](v, &op, &copy_back);
    /* The one command that guests wait for tells its caller nothing but the result. */
    if (op.cmd == XENLITE_IOREQ_complete)
        return rc;
    if ((rc == 0 || copy_back) && copy_to_guest(v, argp, &op, sizeof(op)))
        return -EFAULT;
    return rc;
}
