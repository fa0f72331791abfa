/* SPDX-License-Identifier: MIT */
/* The connection to the hypervisor, shared by hv.c and hv_server.c. */
#ifndef DM_HV_PRIV_H
#define DM_HV_PRIV_H

#include <stdint.h>

#include <xenctrl.h>
#include <xendevicemodel.h>
#include <xenevtchn.h>
#include <xenforeignmemory.h>

struct xenlite_op;

struct hv {
    xc_interface *xc, *worker_xc;
    xenforeignmemory_handle *fmem;
    xendevicemodel_handle *dmod;
    struct xenlite_op *complete; /* a buffer for hv_complete(), kept so that it allocates nothing */
};

#endif
