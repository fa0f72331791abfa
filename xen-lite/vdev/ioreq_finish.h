/* SPDX-License-Identifier: MIT */
/*
 * Between ioreq.c and ioreq_finish.c.
 */
#ifndef XL_VDEV_IOREQ_FINISH_H
#define XL_VDEV_IOREQ_FINISH_H

#include "vdev/ioreq.h"

/* What a request is about. */
void ioreq_fill_detail(struct xenlite_ioreq_detail *out, const struct ioreq_request *req);
/* Entry `i` of vd's table, as it is now, becomes what the request is about. vd->lock held. */
void ioreq_fill_entry(struct ioreq_request *req, const struct vpci_dev *vd, unsigned i);

/* ---- ioreq.c; ioreq_domain.lock held ---- */

/* The first request is over; a read has `result`. The next one is shown, or the vCPU goes on. */
void ioreq_end(struct ioreq_vcpu *iv, uint64_t result);
/* The first request has become another one, with a new id. */
void ioreq_again(struct ioreq_vcpu *iv);

#endif
