/* SPDX-License-Identifier: MIT */
/*
 * HVM parameters: small numbers by which toolstack, guest and hypervisor tell one another where
 * shared pages and event channels are. Rules of who may set what are in hvm_op.c.
 */
#ifndef XL_HYPERCALL_PARAMS_H
#define XL_HYPERCALL_PARAMS_H

#include "lib/types.h"

#include <xen/hvm/params.h>

/*
 * Embedded in struct domain as `hvm_params`. Protected by the domain's lock in hvm_op.c; single
 * values may be read freely.
 */
struct hvm_params {
    uint64_t value[HVM_NR_PARAMS];
};

struct domain;

/* All 0 but the reason of a triple fault, which is a reboot. */
void hvm_params_init(struct domain *d);

#endif
