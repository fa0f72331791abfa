/* SPDX-License-Identifier: MIT */
/*
 * The hypercall handlers that one table dispatches to. All have the same form: v is the calling
 * vCPU, a1..a5 the arguments as the guest passed them (every one of them hostile), the result goes
 * back to the guest: >= 0 or -errno. Handlers run at CPL 0 of a 64-bit caller; pointers are linear
 * addresses of v's current address space.
 */
#ifndef XL_HYPERCALL_HANDLERS_H
#define XL_HYPERCALL_HANDLERS_H

#include "lib/types.h"

struct domain;
struct vcpu;

#define HYPERCALL_HANDLER(name)                                                                    \
    long do_##name(struct vcpu *v, uint64_t a1, uint64_t a2, uint64_t a3, uint64_t a4, uint64_t a5)

HYPERCALL_HANDLER(platform_op);      /* 7 */
HYPERCALL_HANDLER(memory_op);        /* 12 */
HYPERCALL_HANDLER(multicall);        /* 13 */
HYPERCALL_HANDLER(set_timer_op);     /* 15 */
HYPERCALL_HANDLER(xen_version);      /* 17 */
HYPERCALL_HANDLER(console_io);       /* 18 */
HYPERCALL_HANDLER(vm_assist);        /* 21 */
HYPERCALL_HANDLER(vcpu_op);          /* 24 */
HYPERCALL_HANDLER(sched_op);         /* 29 */
HYPERCALL_HANDLER(event_channel_op); /* 32 */
HYPERCALL_HANDLER(physdev_op);       /* 33 */
HYPERCALL_HANDLER(hvm_op);           /* 34 */
HYPERCALL_HANDLER(sysctl);           /* 35 */
HYPERCALL_HANDLER(domctl);           /* 36 */
HYPERCALL_HANDLER(dm_op);            /* 41 */
HYPERCALL_HANDLER(xenlite_op);       /* 55: include/xenlite/xenlite.h */

/*
 * The domain that an operation names, with a reference (domain_put): DOMID_SELF or v's own for
 * everybody, any other only for the control domain. NULL and *err = -EPERM or -ESRCH. *err is 0 on
 * success.
 */
struct domain *hypercall_target(struct vcpu *v, uint16_t domid, int *err);

/*
 * XEN_SYSCTL_debug_keys: acts on each of nr characters at gva, prints what they ask for; unknown ones do nothing.
 * 0, -E2BIG, -EFAULT.
 */
long debug_keys(struct vcpu *v, uint64_t gva, uint32_t nr);

/* The hypervisor's command line, for XENVER_commandline. Boot CPU, once; copied. */
void xen_version_set_cmdline(const char *text);

#endif
