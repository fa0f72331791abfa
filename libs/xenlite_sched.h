/* SPDX-License-Identifier: MIT */
/*
 * Scheduling that Xen has no call for, in libxenctrl's style: each function returns 0, or -1 with errno (ENOSYS where the
 * hypervisor is another one). The errors are in xenlite/sched.h.
 */
#ifndef LIBS_XENLITE_SCHED_H
#define LIBS_XENLITE_SCHED_H

#include <stdint.h>
#include <xenctrl.h>

#include "../xen-lite/include/xenlite/sched.h"

#define XENLITE_SCHED_CPUS 128

/* Gives a domain these CPUs to itself; bit n % 64 of word n / 64 is CPU n. None: it has none to itself any more. */
int xenlite_sched_dedicate(xc_interface *xch, uint32_t domid,
                           const uint64_t cpus[XENLITE_SCHED_CPUS / 64]);

/* Where a vCPU runs, and how often scheduling interrupted it. */
int xenlite_sched_get_vcpu(xc_interface *xch, uint32_t domid, unsigned vcpu,
                           struct xenlite_sched_vcpu *out);

#endif
