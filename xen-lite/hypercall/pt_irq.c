/* SPDX-License-Identifier: MIT */
/*
 * map_pirq, unmap_pirq, bind_pt_irq and unbind_pt_irq for messages of passed-through functions: what stock device models
 * and tools use. A message can only be bound as the guest has written it.
 */
#include "hypercall/pt_irq.h"

#include "cpu/guest_mem.h"
#include "domain/domain.h"
#include "lib/errno.h"
#include "mm/heap.h"
#include "vdev/msi_bind.h"

#include <xen/domctl.h>
#include <xen/physdev.h>

void pt_irq_init(struct domain *d)
{
    spin_lock_init(&d->pt_irqs.lock);
    d->pt_irqs.irq = NULL;
}

void pt_irq_destroy(struct domain *d)
{
    xfree(d->pt_irqs.irq);
    d->pt_irqs.irq = NULL;
}

static bool same(const struct pt_irq *a, const struct pt_irq *b)
{
    return a->used && a->msix == b->msix && a->entry == b->entry && a->hw_sbdf == b->hw_sbdf;
}

/* The number that `irq` has, or gets. Lock held. */
static int number_for(struct pt_irqs *t, const struct pt_irq *irq)
{
    unsigned free = 0;

    if (!t->irq)
        t->irq = xzalloc(PT_IRQ_MAX * sizeof(*t->irq));
    if (!t->irq)
        return -ENOMEM;
    for (unsigned i = PT_IRQ_MAX; i-- > 1;) {
        if (same(&t->irq[i], irq))
            return (int)i;
        if (!t->irq[i].used)
            free = i;
    }
    if (!free)
        return -ENOSPC;
    t->irq[free] = *irq;
    return (int)free;
}

static int look_up(struct pt_irqs *t, uint32_t number, struct pt_irq *out)
{
    int rc = -EINVAL;

    spin_lock(&t->lock);
    if (t->irq && number && number < PT_IRQ_MAX && t->irq[number].used) {
        *out = t->irq[number];
        rc = 0;
    }
    spin_unlock(&t->lock);
    return rc;
}

static struct msi_name name_of(const struct pt_irq *irq)
{
    return (struct msi_name){ .hw_sbdf = irq->hw_sbdf, .msix = irq->msix, .entry = irq->entry };
}

/* ---- physdev_op ---- */

/* Bus numbers carry the segment in the newer forms. Pins are the virtual IO-APIC's. */
static int parse(const struct physdev_map_pirq *arg, struct pt_irq *irq)
{
    bool wide = arg->type == MAP_PIRQ_TYPE_MSI_SEG || arg->type == MAP_PIRQ_TYPE_MULTI_MSI;

    if (!wide && arg->type != MAP_PIRQ_TYPE_MSI)
        return -EOPNOTSUPP;
    if (arg->devfn < 0 || arg->devfn > 0xff || arg->entry_nr < 0 || arg->entry_nr > 0xffff ||
        (!wide && (arg->bus < 0 || arg->bus > 0xff)) || ((uint32_t)arg->bus & 0xff00))
        return -EINVAL;
    /* Several messages of MSI are not shown to guests. */
    if (arg->type == MAP_PIRQ_TYPE_MULTI_MSI && arg->entry_nr > 1)
        return -EOPNOTSUPP;
    irq->used = true;
    irq->msix = arg->table_base != 0;
    irq->entry = irq->msix ? (uint16_t)arg->entry_nr : 0;
    irq->hw_sbdf = ((uint32_t)arg->bus & 0xffff0000) | ((uint32_t)arg->bus & 0xff) << 8 | (uint32_t)arg->devfn;
    return 0;
}

static int map(struct domain *d, struct physdev_map_pirq *arg)
{
    struct pt_irq irq;
    struct msi_name name;
    int rc = parse(arg, &irq);

    if (rc)
        return rc;
    name = name_of(&irq);
    rc = msi_exists(d, &name);
    if (rc)
        return rc;
    spin_lock(&d->pt_irqs.lock);
    rc = number_for(&d->pt_irqs, &irq);
    spin_unlock(&d->pt_irqs.lock);
    if (rc < 0)
        return rc;
    /* Who asks for a number gets that or none. */
    if (arg->pirq >= 0 && arg->pirq != rc)
        return -EINVAL;
    arg->pirq = rc;
    return 0;
}

/* Domains have no such numbers of their own. */
static struct domain *target(struct vcpu *v, uint16_t domid, long *rc)
{
    struct domain *d = NULL;

    *rc = -EINVAL;
    if (domid == DOMID_SELF || domid == v->domain->domid)
        return NULL;
    d = domain_get_by_id(domid);
    *rc = d ? 0 : -ESRCH;
    return d;
}

long physdev_map_pirq(struct vcpu *v, uint64_t argp)
{
    struct physdev_map_pirq arg;
    struct domain *d;
    long rc;

    if (copy_from_guest(v, &arg, argp, sizeof(arg)))
        return -EFAULT;
    d = target(v, arg.domid, &rc);
    if (!d)
        return rc;
    rc = map(d, &arg);
    domain_put(d);
    if (!rc && copy_to_guest(v, argp, &arg, sizeof(arg)))
        rc = -EFAULT;
    return rc;
}

static long unmap(struct domain *d, uint32_t number)
{
    struct pt_irqs *t = &d->pt_irqs;
    struct msi_name name;
    struct pt_irq irq;

    if (look_up(t, number, &irq))
        return -EINVAL;
    name = name_of(&irq);
    msi_unbind(d, &name); /* the function may be gone, and with it what was bound */
    spin_lock(&t->lock);
    if (same(&t->irq[number], &irq))
        t->irq[number].used = false;
    spin_unlock(&t->lock);
    return 0;
}

long physdev_unmap_pirq(struct vcpu *v, uint64_t argp)
{
    struct physdev_unmap_pirq arg;
    struct domain *d;
    long rc;

    if (copy_from_guest(v, &arg, argp, sizeof(arg)))
        return -EFAULT;
    d = target(v, arg.domid, &rc);
    if (!d)
        return rc;
    rc = arg.pirq < 0 ? -EINVAL : unmap(d, (uint32_t)arg.pirq);
    domain_put(d);
    return rc;
}

/* ---- domctl ---- */

/* The message that vector and flags describe (Intel SDM vol. 3, 11.11). */
static void compose(uint8_t gvec, uint32_t gflags, uint64_t *addr, uint32_t *data)
{
    *addr = 0xfee00000u | (gflags & XEN_DOMCTL_VMSI_X86_DEST_ID_MASK) << 12;
    *addr |= gflags & XEN_DOMCTL_VMSI_X86_RH_MASK ? BIT(3) : 0;
    *addr |= gflags & XEN_DOMCTL_VMSI_X86_DM_MASK ? BIT(2) : 0;
    *data = gvec | (gflags & XEN_DOMCTL_VMSI_X86_DELIV_MASK) >> 12 << 8;
    *data |= gflags & XEN_DOMCTL_VMSI_X86_TRIG_MASK ? BIT(15) : 0;
}

static int named(struct domain *d, const struct xen_domctl_bind_pt_irq *op, struct msi_name *name)
{
    struct pt_irq irq;

    if (op->irq_type != PT_IRQ_TYPE_MSI)
        return -EOPNOTSUPP;
    if (look_up(&d->pt_irqs, op->machine_irq, &irq))
        return -EINVAL;
    *name = name_of(&irq);
    return 0;
}

long domctl_bind_pt_irq(struct domain *d, const struct xen_domctl_bind_pt_irq *op)
{
    struct msi_name name;
    uint64_t addr;
    uint32_t data;
    int rc = named(d, op, &name);

    if (rc)
        return rc;
    compose(op->u.msi.gvec, op->u.msi.gflags, &addr, &data);
    return msi_bind(d, &name, addr, data);
}

long domctl_unbind_pt_irq(struct domain *d, const struct xen_domctl_bind_pt_irq *op)
{
    struct msi_name name;
    int rc = named(d, op, &name);

    return rc ? rc : msi_unbind(d, &name);
}
