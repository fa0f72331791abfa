/* SPDX-License-Identifier: MIT */
/*
 * Breaks the isolation sentences on purpose, so that a test can see the audit find it. Only in the
 * test image (xen-lite/xen-lite-break): it writes into tables behind the backs of those who own
 * them, which is why it knows the insides of p2m/ and iommu/. What it writes is not flushed to
 * processors or units, and devices that may be at work are left alone.
 */
#include "include/xenlite/audit.h"

#include "domain/domain.h"
#include "hypercall/dominfo.h"
#include "hypercall/xenlite_op.h"
#include "iommu/internal.h"
#include "irq/girq.h"
#include "irq/ioapic.h"
#include "p2m/internal.h"
#include "vdev/pci.h"

__weak_handler long xenlite_break(struct domain *d, const struct xenlite_break *b);

/* What undoing needs to know. */
static struct broken {
    bool on;
    uint16_t domid;
    uint64_t gfn;
    uint64_t *word, old; /* a word of a table and what stood there */
    unsigned unit, index;
} broken[XENLITE_BREAKS + 1];

/* An address that nothing is mapped at, far above what guests use. */
static uint64_t free_gfn(const struct domain *d)
{
    uint64_t gfn = d->p2m.max_gfn;

    while (p2m_lookup(&d->p2m, gfn, NULL, NULL) != INVALID_MFN)
        gfn--;
    return gfn;
}

static int map_at_top(struct domain *d, struct broken *x, uint64_t mfn, enum p2m_type type)
{
    x->gfn = free_gfn(d);
    return p2m_map(&d->p2m, x->gfn, mfn, P2M_ORDER_4K, type);
}

static void write_word(struct broken *x, uint64_t *word, uint64_t value)
{
    x->word = word;
    x->old = *word;
    __atomic_store_n(word, value, __ATOMIC_SEQ_CST);
}

/* ---- p2m ---- */

static int break_hypervisor_frame(struct domain *d, struct broken *x)
{
    struct p2m_step step[P2M_LEVELS];
    uint64_t *entry;
    unsigned n;
    /* A frame that nobody minds first: the choke point refuses the other one. */
    int rc = map_at_top(d, x, frames_limit(), P2M_FIRMWARE);

    if (rc)
        return rc;
    n = p2m_explain(&d->p2m, x->gfn, step);
    entry = &p2m_table(step[n - 1].table)[step[n - 1].index];
    write_word(x, entry, (*entry & ~ENTRY_ADDR) | d->p2m.root << PAGE_SHIFT);
    return 0;
}

/* A frame of another domain's memory. */
static uint64_t others_frame(const struct domain *d)
{
    struct domain *o = domain_get_next(d->control ? 1 : 0);
    uint64_t mfn = INVALID_MFN, next = 0;

    if (!o)
        return INVALID_MFN;
    while (mfn == INVALID_MFN && next < frames_limit())
        mfn = frame_find_owned(o->domid, next, 4096, &next);
    domain_put(o);
    return mfn;
}

static int break_foreign_frame(struct domain *d, struct broken *x)
{
    uint64_t mfn = others_frame(d);

    return mfn == INVALID_MFN ? -ENOENT : map_at_top(d, x, mfn, P2M_RAM_RW);
}

static int break_forbidden_page(struct domain *d, struct broken *x)
{
    struct ioapic_info io;

    if (ioapic_get(0, &io))
        return -ENOENT;
    return map_at_top(d, x, io.base >> PAGE_SHIFT, P2M_MMIO_DIRECT);
}

static int has_table(struct pci_dev *dev, void *arg)
{
    uint64_t *mfn = arg;

    if (!dev->decode || !dev->msix.cap || !dev->msix.nr || !pci_msix_in_bars(dev))
        return 0;
    *mfn = (dev->bar[dev->msix.table_bar].addr + dev->msix.table_offset) >> PAGE_SHIFT;
    return 1;
}

static int break_msix_page(struct domain *d, struct broken *x)
{
    uint64_t mfn;

    return pci_for_each(has_table, &mfn) ? map_at_top(d, x, mfn, P2M_MMIO_DIRECT) : -ENOENT;
}

/* ---- units ---- */

/* The device's context entry in its unit's table. */
static uint64_t *context_of(uint32_t sbdf)
{
    struct vtd_unit *u = iommu_unit_of(sbdf);
    uint64_t root = u ? u->root[(sbdf >> 8 & 0xff) * 2] : 0;

    return root & ROOT_P ? (uint64_t *)phys_to_virt(root & ENTRY_ADDR) + (sbdf & 0xff) * 2 : NULL;
}

/* Of a device that does no DMA: what the unit reads there would be nonsense. */
static int break_context_root(struct domain *d, struct broken *x)
{
    struct iommu_dev_info dev;

    for (unsigned i = 0; iommu_device_info(i, &dev); i++) {
        uint64_t *entry = context_of(dev.sbdf);

        if (dev.domid != d->domid || dev.state != IOMMU_DEV_ATTACHED || !entry ||
            pci_conf_read(dev.sbdf, PCI_REG_COMMAND, 2) & PCI_COMMAND_MASTER)
            continue;
        write_word(x, entry, *entry ^ PAGE_SIZE);
        return 0;
    }
    return -ENOENT;
}

#define NOBODYS_BDF 0xfff7 /* of a bus that small machines do not have */

static int break_context_extra(struct domain *d, struct broken *x)
{
    struct vtd_unit *u = &iommu.unit[0];
    int rc;

    (void)x;
    if (!iommu.ready || !d->iommu.did)
        return -ENOENT;
    spin_lock(&u->lock);
    rc = vtd_context_set(u, NOBODYS_BDF, p2m_root(&d->p2m, u->levels) << PAGE_SHIFT, d->iommu.did);
    spin_unlock(&u->lock);
    return rc;
}

static void mend_context_extra(struct domain *d)
{
    struct vtd_unit *u = &iommu.unit[0];

    spin_lock(&u->lock);
    vtd_context_clear(u, NOBODYS_BDF, d->iommu.did, false);
    spin_unlock(&u->lock);
}

static int break_remap_source(struct domain *d, struct broken *x)
{
    struct girq_entry e;

    for (unsigned unit = 0; iommu_intremap() && unit < iommu.dmar.nr_units; unit++)
        for (unsigned i = 0; i < iommu.unit[unit].ir_size; i++) {
            uint64_t *high = &iommu.unit[unit].irt[i * 2 + 1];

            if (!girq_of_entry(unit, i, &e) || !e.entry.present || e.dom != d)
                continue;
            write_word(x, high, *high ^ 0xf8);
            return 0;
        }
    return -ENOENT;
}

static int break_remap_target(struct broken *x)
{
    struct vtd_unit *u = &iommu.unit[0];
    int index;

    if (!iommu_intremap())
        return -ENOENT;
    spin_lock(&u->lock);
    index = vtd_irte_alloc(u, NOBODYS_BDF);
    if (index >= 0)
        u->irt[index * 2] = IRTE_P | IRTE_VECTOR(0xee);
    spin_unlock(&u->lock);
    x->index = (unsigned)index;
    return index < 0 ? index : 0;
}

static void mend_remap_target(const struct broken *x)
{
    struct vtd_unit *u = &iommu.unit[0];

    spin_lock(&u->lock);
    vtd_irte_free(u, x->index);
    spin_unlock(&u->lock);
}

static int break_flush(struct domain *d, struct broken *x)
{
    for (x->unit = 0; x->unit < IOMMU_MAX_UNITS; x->unit++)
        if (d->iommu.unit_use[x->unit]) {
            d->iommu.unit_use[x->unit]--;
            return 0;
        }
    return -ENOENT;
}

/* ---- dispatch ---- */

static int do_break(struct domain *d, uint32_t what, struct broken *x)
{
    switch (what) {
    case XENLITE_BREAK_hypervisor_frame:
        return break_hypervisor_frame(d, x);
    case XENLITE_BREAK_foreign_frame:
        return break_foreign_frame(d, x);
    case XENLITE_BREAK_context_root:
        return break_context_root(d, x);
    case XENLITE_BREAK_context_extra:
        return break_context_extra(d, x);
    case XENLITE_BREAK_forbidden_page:
        return break_forbidden_page(d, x);
    case XENLITE_BREAK_msix_page:
        return break_msix_page(d, x);
    case XENLITE_BREAK_remap_source:
        return break_remap_source(d, x);
    case XENLITE_BREAK_remap_target:
        return break_remap_target(x);
    default:
        return break_flush(d, x);
    }
}

static void mend(struct domain *d, uint32_t what, struct broken *x)
{
    if (x->word)
        __atomic_store_n(x->word, x->old, __ATOMIC_SEQ_CST);
    if (x->gfn && what == XENLITE_BREAK_foreign_frame) {
        /* Without release: the mapping never held a reference. */
        p2m_begin(&d->p2m);
        p2m_detach_locked(&d->p2m, x->gfn);
        p2m_end(&d->p2m);
    } else if (x->gfn) {
        p2m_unmap(&d->p2m, x->gfn, 1, NULL);
    }
    if (what == XENLITE_BREAK_context_extra)
        mend_context_extra(d);
    if (what == XENLITE_BREAK_remap_target)
        mend_remap_target(x);
    if (what == XENLITE_BREAK_flush)
        d->iommu.unit_use[x->unit]++;
}

long xenlite_break(struct domain *d, const struct xenlite_break *b)
{
    struct broken *x;
    int rc;

    if (!b->what || b->what > XENLITE_BREAKS)
        return -EINVAL;
    x = &broken[b->what];
    if (x->on != !!b->undo || (x->on && x->domid != d->domid))
        return -EBUSY;
    if (b->undo) {
        mend(d, b->what, x);
        *x = (struct broken){ .on = false };
        return 0;
    }
    rc = do_break(d, b->what, x);
    if (rc) {
        *x = (struct broken){ .on = false };
        return rc;
    }
    x->on = true;
    x->domid = d->domid;
    return 0;
}
