/* SPDX-License-Identifier: MIT */
/*
 * What the units' tables in memory say, compared with the books: context entries with owners and
 * their page tables, and whether every change reaches every unit that may have cached it.
 */
#include "iommu/internal.h"

#include "lib/assert.h"
#include "mm/phys.h"
#include "p2m/p2m.h"

/* ---- context entries ---- */

static uint64_t expected_root(const struct iommu_device *dev, const struct vtd_unit *u)
{
    uint64_t root = p2m_root(dev->owner->p2m, u->levels);

    return root == INVALID_MFN ? 0 : root << PAGE_SHIFT;
}

/* A present entry (two words). dev_lock and the unit's lock are held. */
static void check_context(const struct vtd_unit *u, uint32_t sbdf, const uint64_t *entry,
                          iommu_breach_fn fn, void *arg)
{
    const struct iommu_device *dev = iommu_find_device(sbdf, 0);
    struct iommu_breach b = {
        .kind = IOMMU_BREACH_CONTEXT, .sbdf = sbdf, .domid = IOMMU_DOMID_NONE, .entry = entry[0]
    };

    if (dev && dev->owner)
        b.domid = dev->owner->domid;
    if (!dev || !dev->owner) {
        b.reason = "a context entry is present for a requester that nobody owns";
    } else if (dev->state != IOMMU_DEV_ATTACHED) {
        b.reason = "the context entry of a device that was cut off is present";
    } else if ((entry[0] & ENTRY_ADDR) != expected_root(dev, u)) {
        b.expected = expected_root(dev, u) | CTX_P;
        b.reason = "the context entry's root is not its owner's page table";
    } else if (CTX_HI_DID(entry[1]) != dev->owner->did || CTX_HI_AW(entry[1]) != u->levels - 2u) {
        b.entry = entry[1];
        b.expected = CTX_HI(u->levels - 2u, dev->owner->did);
        b.reason = "the context entry has another tag or depth than its owner";
    } else {
        return;
    }
    fn(&b, arg);
}

int iommu_audit_bus(unsigned unit, unsigned bus, iommu_breach_fn fn, void *arg)
{
    struct vtd_unit *u;
    const uint64_t *table;
    int present = 0;

    if (!iommu.ready || unit >= iommu.dmar.nr_units)
        return -1;
    u = &iommu.unit[unit];
    spin_lock(&iommu.dev_lock);
    spin_lock(&u->lock);
    table = u->root[bus * 2] & ROOT_P ? phys_to_virt(u->root[bus * 2] & ENTRY_ADDR) : NULL;
    for (unsigned devfn = 0; table && devfn < 256; devfn++) {
        const uint64_t *entry = &table[devfn * 2];

        if (!(entry[0] & CTX_P))
            continue;
        present++;
        check_context(u, IOMMU_SBDF(u->segment, bus << 8 | devfn), entry, fn, arg);
    }
    spin_unlock(&u->lock);
    spin_unlock(&iommu.dev_lock);
    return present;
}

/* ---- units ---- */

static void unit_breach(const char *reason, uint64_t entry, uint64_t expected,
                        enum iommu_breach_kind kind, iommu_breach_fn fn, void *arg)
{
    struct iommu_breach b = { .kind = kind,
                              .sbdf = IOMMU_SBDF_NONE,
                              .domid = IOMMU_DOMID_NONE,
                              .entry = entry,
                              .expected = expected,
                              .reason = reason };

    fn(&b, arg);
}

bool iommu_audit_unit(unsigned unit, iommu_breach_fn fn, void *arg)
{
    struct vtd_unit *u;
    uint64_t root;

    if (!iommu.ready || unit >= iommu.dmar.nr_units)
        return false;
    u = &iommu.unit[unit];
    spin_lock(&u->lock);
    if (iommu.enabled && !u->failed) {
        root = u->hw.read64(u->hw.ctx, VTD_RTADDR);
        if (root != virt_to_phys(u->root))
            unit_breach("the unit walks another root table than ours", root, virt_to_phys(u->root),
                        IOMMU_BREACH_CONTEXT, fn, arg);
        if (!(u->hw.read32(u->hw.ctx, VTD_GSTS) & GCMD_TE))
            unit_breach("the unit does not translate", u->hw.read32(u->hw.ctx, VTD_GSTS), GCMD_TE,
                        IOMMU_BREACH_CONTEXT, fn, arg);
        /* With the lock free every request has been waited for. */
        if (u->pending)
            unit_breach("invalidations were requested and not waited for", u->pending, 0,
                        IOMMU_BREACH_FLUSH, fn, arg);
    }
    spin_unlock(&u->lock);
    return true;
}

/* ---- domains ---- */

void iommu_audit_domain(const struct iommu_domain *d, iommu_breach_fn fn, void *arg)
{
    uint16_t use[IOMMU_MAX_UNITS] = { 0 };
    struct iommu_breach b = { .kind = IOMMU_BREACH_FLUSH,
                              .sbdf = IOMMU_SBDF_NONE,
                              .domid = d->domid };

    spin_lock(&iommu.dev_lock);
    for (unsigned i = 0; i < iommu.nr_devs; i++) {
        const struct iommu_device *dev = &iommu.dev[i];

        if (dev->owner != d)
            continue;
        use[dev->unit]++;
        b.sbdf = dev->sbdf;
    }
    for (unsigned i = 0; i < IOMMU_MAX_UNITS; i++) {
        if (use[i] == d->unit_use[i])
            continue;
        b.entry = d->unit_use[i];
        b.expected = use[i];
        b.reason = "a unit that has devices of the domain is left out of its flushes, or counted "
                   "wrongly";
        fn(&b, arg);
    }
    spin_unlock(&iommu.dev_lock);
}
