/* SPDX-License-Identifier: MIT */
/*
 * The parts of domctl that have files of their own. Results as the hypercall's: 0, -errno, or
 * HYPERCALL_RESTART. The caller has checked version and privilege, holds a reference on d, and
 * copies *op back on success.
 */
#ifndef XL_HYPERCALL_DOMCTL_OPS_H
#define XL_HYPERCALL_DOMCTL_OPS_H

#include "lib/types.h"

#include <xen/domctl.h>
#include <xen/sysctl.h>

struct domain;
struct vcpu;

/* domctl_life.c: creation, limits, scheduling parameters, signals, destruction. -ENOSYS for what is
 * not here. */
long domctl_createdomain(struct xen_domctl *op);
long domctl_life(struct vcpu *v, struct domain *d, struct xen_domctl *op);
/* True if d was paused by a tool, which is one pause less now. */
bool domctl_unpause_one(struct domain *d);

/* domctl_pci.c: devices and their groups; d is NULL for test_assign_device for nobody in particular. -ENOSYS for what is not
 * here. */
long domctl_pci(struct vcpu *v, struct domain *d, struct xen_domctl *op);

/* domctl_context.c: registers of vCPUs, as HVM save records and as the older structure. */
long domctl_get_hvmcontext(struct vcpu *v, struct domain *d, struct xen_domctl_hvmcontext *op);
long domctl_set_hvmcontext(struct vcpu *v, struct domain *d,
                           const struct xen_domctl_hvmcontext *op);
long domctl_get_hvmcontext_partial(struct vcpu *v, struct domain *d,
                                   struct xen_domctl_hvmcontext_partial *op);
long domctl_getvcpucontext(struct vcpu *v, struct domain *d,
                           const struct xen_domctl_vcpucontext *op);

/* domctl_policy.c: what CPUID says. Setting fills in err_* also when it fails: the caller copies
 * *op back then too. */
long domctl_get_cpu_policy(struct vcpu *v, struct domain *d, struct xen_domctl_cpu_policy *op);
long domctl_set_cpu_policy(struct vcpu *v, struct domain *d, struct xen_domctl_cpu_policy *op);
long sysctl_get_cpu_policy(struct vcpu *v, struct xen_sysctl_cpu_policy *op);
/* Also fills *op in when it answers -ENOBUFS. */
long sysctl_get_cpu_featureset(struct vcpu *v, struct xen_sysctl_cpu_featureset *op);

#endif
