/* SPDX-License-Identifier: MIT */
/*
 * Domains and their devices: tags, attaching and detaching, and the flush after a change of a
 * domain's table in exactly the units that have a device of it.
 */
#include "iommu/internal.h"

#include "lib/assert.h"
#include "lib/atomic.h"
#include "lib/errno.h"
#include "lib/leave_out.h"
#include "lib/printf.h"
#include "lib/string.h"
#include "lib/time.h"
#include "mm/frame.h"
#include "p2m/p2m.h"

int iommu_domain_init(struct iommu_domain *d, uint16_t domid, struct p2m *p2m)
{
    unsigned did;

    memset(d, 0, sizeof(*d));
    d->domid = domid;
    d->p2m = p2m;
    if (!iommu.ready)
        return 0;
    spin_lock(&iommu.dev_lock);
    did = find_first_zero_bit(iommu.dids, iommu.nr_dids);
    if (did < iommu.nr_dids) {
        set_bit(iommu.dids, did);
        d->did = (uint16_t)did;
    }
    spin_unlock(&iommu.dev_lock);
    return d->did ? 0 : -ENOSPC;
}

struct iommu_device *iommu_find_device(uint32_t sbdf, unsigned room)
{
    struct vtd_unit *u;
    struct iommu_device *dev;

    ASSERT(spin_is_locked(&iommu.dev_lock));
    for (unsigned i = 0; i < iommu.nr_devs; i++)
        if (iommu.dev[i].sbdf == sbdf)
            return &iommu.dev[i];
    u = room ? iommu_unit_of(sbdf) : NULL;
    if (!u || iommu.nr_devs >= room)
        return NULL;
    dev = &iommu.dev[iommu.nr_devs++];
    memset(dev, 0, sizeof(*dev));
    dev->sbdf = sbdf;
    dev->unit = (uint8_t)u->id;
    dev->state = IOMMU_DEV_BLOCKED;
    dev->since_ns = now_ns();
    return dev;
}

static void set_state(struct iommu_device *dev, enum iommu_dev_state state)
{
    dev->state = state;
    dev->since_ns = now_ns();
    dev->window_faults = 0;
    dev->window_start_ns = dev->since_ns;
}

/* The device's entry gets its owner's table. dev_lock held. */
static int point_to_owner(struct iommu_device *dev)
{
    struct vtd_unit *u = &iommu.unit[dev->unit];
    uint64_t root = p2m_root(dev->owner->p2m, u->levels);
    int err;

    if (root == INVALID_MFN)
        return -EINVAL;
    spin_lock(&u->lock);
    err = vtd_context_set(u, (uint16_t)dev->sbdf, root << PAGE_SHIFT, dev->owner->did);
    spin_unlock(&u->lock);
    return err;
}

static int block(struct iommu_device *dev, bool quiet)
{
    struct vtd_unit *u = &iommu.unit[dev->unit];
    uint16_t did = dev->owner ? dev->owner->did : 0;
    int err;

    spin_lock(&u->lock);
    err = vtd_context_clear(u, (uint16_t)dev->sbdf, did, quiet);
    spin_unlock(&u->lock);
    return err;
}

static void count_use(struct iommu_domain *d, unsigned unit, int change)
{
    d->nr_devices = (uint16_t)(d->nr_devices + change);
    WRITE_ONCE(d->unit_use[unit], (uint16_t)(d->unit_use[unit] + change));
    /*
     * Pairs with the one in flush_units(): a changer of the p2m either sees the use and flushes, or
     * has written its entries before the unit can read the first of them.
     */
    mb();
}

/* One more user for the requester id, who must have the same owner as the others. dev_lock held. */
static int use(struct iommu_device *dev, struct iommu_domain *d)
{
    int err = 0;

    if (dev->state == IOMMU_DEV_QUARANTINED)
        return -EPERM;
    if (dev->owner && dev->owner != d)
        return -EBUSY;
    if (!dev->users) {
        dev->owner = d;
        count_use(d, dev->unit, 1);
        err = point_to_owner(dev);
    }
    if (err) {
        /* an entry that was written before the wait failed must not stay */
        block(dev, false);
        dev->owner = NULL;
        count_use(d, dev->unit, -1);
        return err;
    }
    if (!dev->users++)
        set_state(dev, IOMMU_DEV_ATTACHED);
    return 0;
}

/* One user less; the last one's going blocks it. 0 or what the unit says. dev_lock held. */
static int unuse(struct iommu_device *dev)
{
    struct iommu_domain *d = dev->owner;
    int err;

    if (--dev->users)
        return 0;
    err = block(dev, dev->state == IOMMU_DEV_QUARANTINED);
    dev->owner = NULL;
    count_use(d, dev->unit, -1);
    /* a quarantine outlives its owner: only iommu_release() ends it */
    if (dev->state == IOMMU_DEV_ATTACHED)
        set_state(dev, IOMMU_DEV_BLOCKED);
    return err;
}

/* Record of the n-th alias; iommu_set_aliases() made it. */
static struct iommu_device *alias_of(const struct iommu_device *dev, unsigned n)
{
    struct iommu_device *a = iommu_find_device((dev->sbdf & ~0xffffu) | dev->alias[n], 0);

    ASSERT(a);
    return a;
}

static int attach_locked(struct iommu_domain *d, uint32_t sbdf)
{
    struct iommu_device *dev = iommu_find_device(sbdf, IOMMU_MAX_DEVICES);
    int err;

    if (!dev)
        return iommu_unit_of(sbdf) ? -ENOSPC : -ENODEV;
    if (dev->attached)
        return dev->state == IOMMU_DEV_QUARANTINED ? -EPERM : -EBUSY;
    err = use(dev, d);
    for (unsigned n = 0; n < dev->nr_aliases && !err; n++) {
        err = use(alias_of(dev, n), d);
        if (!err)
            continue;
        while (n--)
            unuse(alias_of(dev, n));
        unuse(dev);
        break;
    }
    dev->attached = !err;
    return err;
}

int iommu_set_aliases(uint32_t sbdf, const uint16_t *rid, unsigned nr)
{
    struct iommu_device *dev;
    int err = 0;

    if (nr > IOMMU_MAX_ALIASES)
        return -EINVAL;
    if (!iommu.ready)
        return -ENODEV;
    spin_lock(&iommu.dev_lock);
    dev = iommu_find_device(sbdf, IOMMU_MAX_DEVICES);
    if (!dev) {
        err = iommu_unit_of(sbdf) ? -ENOSPC : -ENODEV;
    } else if (dev->nr_aliases != nr || memcmp(dev->alias, rid, nr * sizeof(*rid))) {
        err = dev->attached ? -EBUSY : 0;
        for (unsigned n = 0; n < nr && !err; n++)
            err = iommu_find_device((sbdf & ~0xffffu) | rid[n], IOMMU_MAX_DEVICES) ? 0 : -ENOSPC;
        if (!err)
            memcpy(dev->alias, rid, nr * sizeof(*rid));
        if (!err)
            dev->nr_aliases = (uint8_t)nr;
    }
    spin_unlock(&iommu.dev_lock);
    return err;
}

/* dev_lock held. */
static bool has_alias(const struct iommu_device *dev, uint32_t sbdf)
{
    if (!dev->attached || (dev->sbdf ^ sbdf) >> 16)
        return false;
    for (unsigned n = 0; n < dev->nr_aliases; n++)
        if (dev->alias[n] == (uint16_t)sbdf)
            return true;
    return false;
}

bool iommu_alias_user(uint32_t sbdf, unsigned n, uint32_t *user)
{
    bool found = false;

    spin_lock(&iommu.dev_lock);
    for (unsigned i = 0; i < iommu.nr_devs && !found; i++) {
        if (!has_alias(&iommu.dev[i], sbdf) || n--)
            continue;
        *user = iommu.dev[i].sbdf;
        found = true;
    }
    spin_unlock(&iommu.dev_lock);
    return found;
}

uint32_t iommu_msi_requester(uint32_t sbdf)
{
    struct iommu_device *dev;

    spin_lock(&iommu.dev_lock);
    dev = iommu_find_device(sbdf, 0);
    if (dev && dev->nr_aliases)
        sbdf = (sbdf & ~0xffffu) | dev->alias[dev->nr_aliases - 1];
    spin_unlock(&iommu.dev_lock);
    return sbdf;
}

int iommu_attach(struct iommu_domain *d, uint32_t sbdf)
{
    int err;

    if (!iommu.ready || !d->did)
        return -EOPNOTSUPP;
    spin_lock(&iommu.dev_lock);
    err = attach_locked(d, sbdf);
    spin_unlock(&iommu.dev_lock);
    if (err == -EIO)
        iommu_check_units();
    return err;
}

static int detach_locked(struct iommu_device *dev)
{
    int err = 0, one;

    for (unsigned n = 0; n < dev->nr_aliases; n++) {
        one = unuse(alias_of(dev, n));
        err = err ? err : one;
    }
    dev->attached = false;
    one = unuse(dev);
    return err ? err : one;
}

int iommu_detach(uint32_t sbdf)
{
    struct iommu_device *dev;
    int err = -ENODEV;

    spin_lock(&iommu.dev_lock);
    dev = iommu_find_device(sbdf, 0);
    if (dev && dev->attached)
        err = detach_locked(dev);
    spin_unlock(&iommu.dev_lock);
    if (err == -EIO)
        iommu_check_units();
    return err;
}

struct iommu_domain *iommu_owner(uint32_t sbdf)
{
    struct iommu_device *dev;
    struct iommu_domain *owner;

    spin_lock(&iommu.dev_lock);
    dev = iommu_find_device(sbdf, 0);
    owner = dev ? dev->owner : NULL;
    spin_unlock(&iommu.dev_lock);
    return owner;
}

void iommu_domain_destroy(struct iommu_domain *d)
{
    bool clean = true;

    spin_lock(&iommu.dev_lock);
    for (unsigned i = 0; i < iommu.nr_devs; i++)
        if (iommu.dev[i].owner == d && iommu.dev[i].attached && detach_locked(&iommu.dev[i]))
            clean = false;
    ASSERT(!d->nr_devices);
    /* a tag that a failed unit may still have in its cache is not given to another domain */
    if (d->did && clean)
        clear_bit(iommu.dids, d->did);
    d->did = 0;
    spin_unlock(&iommu.dev_lock);
    if (!clean)
        iommu_check_units();
}

/* ---- flushes ---- */

struct flush {
    uint64_t gfn, nr;
    bool leaf_only;
};

/* One unit, its lock held. */
static int flush_unit(struct vtd_unit *u, struct iommu_domain *d, const struct flush *f)
{
    unsigned pages = 0;

    if (flush_due(FLUSH_IOTLB_RANGE))
        pages = vtd_inval_iotlb_range(u, d->did, f->gfn, f->nr, f->leaf_only);
    __atomic_fetch_add(&d->flush_pages, pages, __ATOMIC_RELAXED);
    if (!pages)
        __atomic_fetch_add(&d->flush_domains, 1, __ATOMIC_RELAXED);
    return vtd_inval_wait(u);
}

static int flush_units(struct iommu_domain *d, const struct flush *f)
{
    bool any = false;
    int err = 0;

    mb(); /* the changed entries are visible before the counts are read; see count_use() */
    for (unsigned i = 0; i < iommu.dmar.nr_units; i++) {
        struct vtd_unit *u = &iommu.unit[i];

        if (!READ_ONCE(d->unit_use[i]))
            continue;
        any = true;
        spin_lock(&u->lock);
        if (flush_unit(u, d, f))
            err = -EIO;
        spin_unlock(&u->lock);
    }
    if (any)
        __atomic_fetch_add(&d->flushes, 1, __ATOMIC_RELAXED);
    if (err)
        iommu_check_units();
    return err;
}

int iommu_flush_range(struct iommu_domain *d, uint64_t gfn, uint64_t nr, bool tables_freed)
{
    struct flush f = { gfn, nr, !tables_freed };
    uint64_t end = 1ULL << (iommu.address_bits - PAGE_SHIFT);

    if (!nr || gfn >= end)
        return 0;
    /* no unit has anything above its width */
    f.nr = MIN(nr, end - gfn);
    return flush_units(d, &f);
}

/* ---- quarantine ---- */

void iommu_call_quarantined(uint32_t sbdf, const char *why)
{
    pr_warn("iommu: %04x:%02x:%02x.%x quarantined: %s\n", sbdf >> 16, (sbdf >> 8) & 0xff,
            (sbdf >> 3) & 0x1f, sbdf & 7, why);
    if (iommu.hooks.quarantined)
        iommu.hooks.quarantined(sbdf, why);
}

static int quarantine_one_id(struct iommu_device *dev, const char *why)
{
    set_state(dev, IOMMU_DEV_QUARANTINED);
    strlcpy(dev->why, why, sizeof(dev->why));
    return block(dev, true);
}

int iommu_quarantine_locked(struct iommu_device *dev, const char *why)
{
    int err = quarantine_one_id(dev, why), one;

    ASSERT(spin_is_locked(&iommu.dev_lock));
    /* Its requests come under these too; whoever shares them is cut off with it. */
    for (unsigned n = 0; dev->attached && n < dev->nr_aliases; n++) {
        one = quarantine_one_id(alias_of(dev, n), why);
        err = err ? err : one;
    }
    return err;
}

int iommu_quarantine(uint32_t sbdf, const char *why)
{
    struct iommu_device *dev;
    int err = -ENODEV;

    spin_lock(&iommu.dev_lock);
    dev = iommu_find_device(sbdf, IOMMU_MAX_DEVICES);
    if (dev)
        err = iommu_quarantine_locked(dev, why);
    spin_unlock(&iommu.dev_lock);
    if (dev)
        iommu_call_quarantined(sbdf, why);
    if (err == -EIO)
        iommu_check_units();
    return err;
}

/* dev_lock held. */
static int release_locked(struct iommu_device *dev)
{
    int err;

    if (dev->state != IOMMU_DEV_QUARANTINED)
        return -ENODEV;
    err = dev->owner ? point_to_owner(dev) : block(dev, false);
    if (err)
        return err;
    set_state(dev, dev->owner ? IOMMU_DEV_ATTACHED : IOMMU_DEV_BLOCKED);
    dev->why[0] = '\0';
    return 0;
}

int iommu_release(uint32_t sbdf)
{
    struct iommu_device *dev;
    int err = -ENODEV, one;

    spin_lock(&iommu.dev_lock);
    dev = iommu_find_device(sbdf, 0);
    if (dev)
        err = release_locked(dev);
    for (unsigned n = 0; dev && n < dev->nr_aliases; n++) {
        one = release_locked(alias_of(dev, n));
        err = one && one != -ENODEV ? one : err;
    }
    spin_unlock(&iommu.dev_lock);
    return err;
}

/* The next device of a failed unit that is not quarantined yet; marks it. dev_lock held. */
static bool quarantine_one(unsigned unit, uint32_t *sbdf, char *why, size_t why_len)
{
    for (unsigned i = 0; i < iommu.nr_devs; i++) {
        struct iommu_device *dev = &iommu.dev[i];

        if (dev->unit != unit || dev->state != IOMMU_DEV_ATTACHED)
            continue;
        snprintf(why, why_len, "unit %u: %s", unit, iommu.unit[unit].failure);
        iommu_quarantine_locked(dev, why);
        *sbdf = dev->sbdf;
        return true;
    }
    return false;
}

void iommu_check_units(void)
{
    for (unsigned i = 0; i < iommu.dmar.nr_units; i++) {
        struct vtd_unit *u = &iommu.unit[i];
        char why[64];
        uint32_t sbdf;
        bool more;

        if (!READ_ONCE(u->failed) ||
            __atomic_exchange_n(&u->failure_handled, true, __ATOMIC_ACQ_REL))
            continue;
        do {
            spin_lock(&iommu.dev_lock);
            more = quarantine_one(i, &sbdf, why, sizeof(why));
            spin_unlock(&iommu.dev_lock);
            /* the unit no longer obeys: only the device's own bus mastering is left to cut */
            if (more)
                iommu_call_quarantined(sbdf, why);
        } while (more);
    }
}

/* ---- queries ---- */

bool iommu_device_info(unsigned n, struct iommu_dev_info *out)
{
    bool found;

    spin_lock(&iommu.dev_lock);
    found = n < iommu.nr_devs;
    if (found) {
        const struct iommu_device *dev = &iommu.dev[n];

        *out = (struct iommu_dev_info){
            .sbdf = dev->sbdf,
            .domid = dev->owner ? dev->owner->domid : IOMMU_DOMID_NONE,
            .unit = dev->unit,
            .alias = dev->users && !dev->attached,
            .state = dev->state,
            .faults = dev->faults,
            .since_ns = dev->since_ns,
            .first = dev->first,
            .last = dev->last,
        };
        strlcpy(out->why, dev->why, sizeof(out->why));
    }
    spin_unlock(&iommu.dev_lock);
    return found;
}

int iommu_context_of(uint32_t sbdf, paddr_t *root, unsigned *levels, uint16_t *did)
{
    struct vtd_unit *u = iommu_unit_of(sbdf);
    bool present;

    if (!u)
        return -ENODEV;
    spin_lock(&u->lock);
    present = vtd_context_get(u, (uint16_t)sbdf, root, levels, did);
    spin_unlock(&u->lock);
    return present;
}
