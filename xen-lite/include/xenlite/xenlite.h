/* SPDX-License-Identifier: MIT */
/*
 * The one hypercall that xen-lite has beside Xen's: what Xen has no call for goes through it. For the control domain only
 * (others: -EPERM). This header and the ones it includes are for the hypervisor and for its clients; libxenlite wraps every
 * command in a function.
 *
 * rdi: address of a struct xenlite_op. Returns 0 or a negative errno; fields marked OUT are then valid, and after errors
 * only where a command says so. Pointers are virtual addresses of the caller in uint64_t; with libxencall that means buffers
 * from xencall_alloc_buffer().
 */
#ifndef XENLITE_XENLITE_H
#define XENLITE_XENLITE_H

#include <stdint.h>

/* __HYPERVISOR_arch_7 of xen/xen.h, which no Xen for x86 uses. */
#define XENLITE_HYPERCALL 55
/* Changes whenever a structure does; another one is refused with -EACCES. */
#define XENLITE_INTERFACE_VERSION 1

/* Commands by subject; each has its own header. */
#define XENLITE_TRACE_FIRST 0x100 /* trap counters and records: xenlite/trace.h */
#define XENLITE_AUDIT_FIRST 0x200 /* audit, page table, IOMMU: xenlite/audit.h */
#define XENLITE_PCI_FIRST   0x300 /* devices and their owners: xenlite/pci.h */
#define XENLITE_IOREQ_FIRST 0x400 /* requests to a device model: xenlite/ioreq.h */

#define XENLITE_OP_ARGS 112

struct xenlite_op {
    uint32_t cmd;
    uint32_t interface_version; /* XENLITE_INTERFACE_VERSION */
    uint16_t domid;             /* whom it is about, where a command says so */
    uint16_t pad[3];            /* 0 */
    /* The command's own structure, at most that long. */
    uint64_t args[XENLITE_OP_ARGS / 8];
};

#endif
