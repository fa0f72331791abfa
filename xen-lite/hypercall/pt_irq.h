/* SPDX-License-Identifier: MIT */
/*
 * Numbers for the messages of passed-through functions, as Xen's calls name them: physdev_op's map_pirq gives one,
 * domctl's bind_pt_irq says where its message goes. They are names only; what is bound belongs to the function.
 */
#ifndef XL_HYPERCALL_PT_IRQ_H
#define XL_HYPERCALL_PT_IRQ_H

#include "lib/spinlock.h"
#include "lib/types.h"

struct domain;
struct vcpu;
struct xen_domctl_bind_pt_irq;

#define PT_IRQ_MAX 1024u /* numbers a domain; 0 is none */

struct pt_irq {
    bool used;
    bool msix; /* else the function's MSI */
    uint16_t entry;
    uint32_t hw_sbdf;
};

/* Embedded in struct domain. */
struct pt_irqs {
    spinlock_t lock;    /* under it only the heap is used */
    struct pt_irq *irq; /* PT_IRQ_MAX of them; NULL until the first is needed */
};

void pt_irq_init(struct domain *d);
void pt_irq_destroy(struct domain *d);

/* PHYSDEVOP_map_pirq, PHYSDEVOP_unmap_pirq. */
long physdev_map_pirq(struct vcpu *v, uint64_t argp);
long physdev_unmap_pirq(struct vcpu *v, uint64_t argp);
/* XEN_DOMCTL_bind_pt_irq, XEN_DOMCTL_unbind_pt_irq. */
long domctl_bind_pt_irq(struct domain *d, const struct xen_domctl_bind_pt_irq *op);
long domctl_unbind_pt_irq(struct domain *d, const struct xen_domctl_bind_pt_irq *op);

#endif
