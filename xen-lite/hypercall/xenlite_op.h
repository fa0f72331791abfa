/* SPDX-License-Identifier: MIT */
/*
 * What the files behind xenlite_op share: one handler a subject. `op` is the hypervisor's copy; it is written back to the
 * caller when the handler returns 0, or another result after setting *copy_back; with HYPERCALL_RESTART the next part of the work
 * then finds what this one left there.
 */
#ifndef XL_HYPERCALL_XENLITE_OP_H
#define XL_HYPERCALL_XENLITE_OP_H

#include "include/xenlite/xenlite.h"
#include "lib/types.h"

struct vcpu;

#define __weak_handler __attribute__((weak))

__weak_handler long xenlite_trace_op(struct vcpu *v, struct xenlite_op *op, bool *copy_back);
__weak_handler long xenlite_audit_op(struct vcpu *v, struct xenlite_op *op, bool *copy_back);
__weak_handler long xenlite_pci_op(struct vcpu *v, struct xenlite_op *op, bool *copy_back);
__weak_handler long xenlite_ioreq_op(struct vcpu *v, struct xenlite_op *op, bool *copy_back);
__weak_handler long xenlite_sched_op(struct vcpu *v, struct xenlite_op *op, bool *copy_back);

struct pt_request;
struct pt_result;
/*
 * Runs a transaction of domain/passthrough.h for v: 0 and *res, or HYPERCALL_RESTART after v has been put to sleep for as long as
 * there is nothing to do.
 */
long pt_hypercall(struct vcpu *v, const struct pt_request *req, struct pt_result *res);

#endif
