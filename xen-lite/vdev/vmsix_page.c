/* SPDX-License-Identifier: MIT */
/*
 * Pages of device memory that hold MSI-X tables or pending bits: which function an access means,
 * and whether it goes to the kept table or, byte-exact, to the device.
 */
#include "lib/errno.h"
#include "lib/mmio.h"
#include "p2m/p2m.h"
#include "trap/record.h"
#include "vdev/vmsix.h"
#include "vdev/vpci_engine.h"

enum what {
    TABLE,
    PBA,
    OTHER,     /* a register beside them, inside the BAR of an owner of the page */
    ELSEWHERE, /* not inside the BAR of an owner */
    ACROSS,    /* partly table or pending bits */
};

/* True if the access lies inside [start, start + len); *partly if only a part of it does. */
static bool inside(uint64_t addr, unsigned size, uint64_t start, uint32_t len, bool *partly)
{
    if (addr >= start + len || addr + size <= start)
        return false;
    if (addr >= start && addr + size <= start + len)
        return true;
    *partly = true;
    return false;
}

/* Largest naturally aligned piece at `addr` of at most `size` bytes, a power of two. */
static unsigned piece(uintptr_t addr, unsigned size)
{
    while (addr & (size - 1))
        size /= 2;
    return size;
}

uint64_t vpci_mmio_read(const volatile uint8_t *p, unsigned size)
{
    unsigned n = piece((uintptr_t)p, size);
    uint64_t val = 0;

    for (unsigned done = 0; done < size; done += n, p += n) {
        uint64_t v = n == 8   ? mmio_read64(p)
                     : n == 4 ? mmio_read32(p)
                     : n == 2 ? mmio_read16(p)
                              : mmio_read8(p);

        val |= v << done * 8;
    }
    return val;
}

void vpci_mmio_write(volatile uint8_t *p, unsigned size, uint64_t val)
{
    unsigned n = piece((uintptr_t)p, size);

    for (unsigned done = 0; done < size; done += n, p += n) {
        if (n == 8)
            mmio_write64(p, val);
        else if (n == 4)
            mmio_write32(p, (uint32_t)(val >> done * 8));
        else if (n == 2)
            mmio_write16(p, (uint16_t)(val >> done * 8));
        else
            mmio_write8(p, (uint8_t)(val >> done * 8));
    }
}

static void device_access(const struct vmsix_page *page, uint64_t addr, unsigned size, bool write,
                          uint64_t *val)
{
    volatile uint8_t *p = page->va + (addr - page->first);

    if (write)
        vpci_mmio_write(p, size, *val);
    else
        *val = vpci_mmio_read(p, size);
}

/* What the access means; *vd is whose it is.  page->lock held. */
static enum what classify(const struct vmsix_page *page, uint64_t addr, unsigned size,
                          struct vpci_dev **vd)
{
    enum what what = ELSEWHERE;
    bool partly = false;

    for (unsigned i = 0; i < VMSIX_PAGE_OWNERS && what > PBA; i++) {
        const struct vmsix_owner *o = &page->owner[i];
        const struct vmsix *m;

        if (!o->vd)
            continue;
        m = o->vd->msix;
        if (inside(addr, size, m->table, m->table_len, &partly))
            what = TABLE;
        else if (inside(addr, size, m->pba, m->pba_len, &partly))
            what = PBA;
        else if (addr >= o->first && addr + size - 1 <= o->last)
            what = OTHER;
        else
            continue;
        *vd = o->vd;
    }
    return partly && what > PBA ? ACROSS : what;
}

/* A BAR smaller than a page may have neighbours that are other functions of the domain. */
static bool covered(struct vmsix_page *page, uint64_t addr, unsigned size)
{
    bool yes;

    spin_lock(&page->vpci->lock);
    yes = vpci_covers(page->vpci, addr, size);
    spin_unlock(&page->vpci->lock);
    return yes;
}

static int table_access(struct vpci_dev *vd, uint64_t addr, unsigned size, bool write,
                        uint64_t *val)
{
    int res = TRAP_DENIED;
    struct vmsix *m;

    spin_lock(&vd->lock);
    m = vd->msix;
    if (record_listens())
        record_annotate(RECORD_MSIX, vd->sbdf, (uint32_t)(addr - m->table), 0);
    if (!vd->dead && m->reachable)
        res = write ? vmsix_table_write(vd, (uint32_t)(addr - m->table), size, *val)
                    : vmsix_table_read(vd, (uint32_t)(addr - m->table), size, val);
    spin_unlock(&vd->lock);
    return res;
}

static void count_neighbour(struct vpci_dev *vd, bool write)
{
    struct vmsix *m = vd->msix;

    __atomic_fetch_add(write ? &m->neighbour_writes : &m->neighbour_reads, 1, __ATOMIC_RELAXED);
}

/*
 * Device registers of an owner are reached under the page's lock: once the owner is off the page, nobody does that for it
 * any more.
 */
static enum what owner_access(struct vmsix_page *page, uint64_t addr, unsigned size, bool write,
                              uint64_t *val, struct vpci_dev **vd)
{
    enum what what;

    spin_lock(&page->lock);
    what = classify(page, addr, size, vd);
    if (what == OTHER)
        count_neighbour(*vd, write);
    if (what == OTHER || (what == PBA && !write))
        device_access(page, addr, size, write, val);
    spin_unlock(&page->lock);
    return what;
}

static int page_access(struct vmsix_page *page, uint64_t addr, unsigned size, bool write,
                       uint64_t *val)
{
    struct vpci_dev *vd = NULL;

    switch (owner_access(page, addr, size, write, val, &vd)) {
    case TABLE:
        return table_access(vd, addr, size, write, val);
    case PBA:
        return write ? vpci_deny(vd, DENY_MSIX_PBA_WRITE, addr, size) : TRAP_DONE;
    case OTHER:
        return TRAP_DONE;
    case ACROSS:
        return deny(DENY_MSIX_ALIGN, page->vpci->domid, DENY_NO_DEVICE, addr, size);
    default:
        break;
    }
    if (!covered(page, addr, size))
        return deny(DENY_MMIO_NOBODY, page->vpci->domid, DENY_NO_DEVICE, addr, size);
    device_access(page, addr, size, write, val);
    return TRAP_DONE;
}

static int page_read(struct vcpu *v, struct trap_region *r, uint64_t addr, unsigned size,
                     uint64_t *val)
{
    (void)v;
    return page_access(r->arg, addr, size, false, val);
}

static int page_write(struct vcpu *v, struct trap_region *r, uint64_t addr, unsigned size,
                      uint64_t val)
{
    (void)v;
    return page_access(r->arg, addr, size, true, &val);
}

static const struct trap_ops page_ops = { page_read, page_write };

static struct vmsix_page *find_page(const struct vpci *vpci, uint64_t first)
{
    struct vmsix_page *page;

    list_for_each_entry (page, &vpci->pages, link)
        if (page->first == first)
            return page;
    return NULL;
}

/* `hw` is the device's memory behind [first, last], which is a page or lies in one. */
static int make_page(struct vpci *vpci, uint64_t first, uint64_t last, uint64_t hw,
                     struct vmsix_page **out)
{
    struct vmsix_page *page = trap_zalloc(sizeof(*page));
    int rc;

    if (!page)
        return -ENOMEM;
    spin_lock_init(&page->lock);
    page->first = first;
    page->vpci = vpci;
    page->va = pci_window(hw, last - first + 1);
    rc = page->va ? trap_register_region(vpci->traps, TRAP_MMIO, first, last, &page_ops, page,
                                         "msix-page", &page->region)
                  : -ENOSPC;
    if (rc) {
        trap_defer_free(page);
        return rc;
    }
    list_add_tail(&page->link, &vpci->pages);
    *out = page;
    return 0;
}

static void drop_page_if_unused(struct vmsix_page *page)
{
    for (unsigned i = 0; i < VMSIX_PAGE_OWNERS; i++)
        if (page->owner[i].vd)
            return;
    list_del(&page->link);
    trap_unregister(page->vpci->traps, page->region);
    trap_defer_free(page);
}

/* A place of its own for each BAR of a function on the page: table and pending bits may share one.
 */
static int add_owner(struct vmsix_page *page, const struct vmsix_owner *owner)
{
    struct vmsix_owner *place = NULL;

    spin_lock(&page->lock);
    for (unsigned i = VMSIX_PAGE_OWNERS; i-- > 0;) {
        struct vmsix_owner *o = &page->owner[i];

        if (!o->vd || (o->vd == owner->vd && o->first == owner->first))
            place = o;
    }
    if (place)
        *place = *owner;
    spin_unlock(&page->lock);
    return place ? 0 : -ENOSPC;
}

static int get_page(struct vpci_dev *vd, unsigned bar, uint64_t gfn)
{
    uint64_t start = gfn << PAGE_SHIFT, end = start + PAGE_SIZE - 1;
    uint64_t base = vpci_bar_gpa(vd, bar);
    struct vmsix_owner owner = {
        .vd = vd,
        .first = MAX(base, start),
        .last = MIN(base + vd->pdev->bar[bar].size - 1, end),
    };
    /*
     * In the control domain a page is one region, whoever else has BARs there.  In a guest every BAR has its own, so
     * that pages which other BARs share may lie elsewhere in the machine.
     */
    uint64_t first = vd->guest ? owner.first : start, last = vd->guest ? owner.last : end;
    struct vmsix_page *page = find_page(vd->vpci, first);
    uint64_t done;
    int rc = page ? 0 : make_page(vd->vpci, first, last, vd->pdev->bar[bar].addr + first - base, &page);

    if (rc)
        return rc;
    /* Another function's BAR may have been mapped over it. */
    rc = vd->guest ? 0 : p2m_unmap(vd->vpci->p2m, gfn, 1, &done);
    if (!rc)
        rc = add_owner(page, &owner);
    drop_page_if_unused(page);
    return rc;
}

int vmsix_pages_get(struct vpci_dev *vd, unsigned bar, uint64_t gpa, uint32_t len)
{
    int rc = 0;

    for (uint64_t gfn = PFN_DOWN(gpa); gfn <= PFN_DOWN(gpa + len - 1) && !rc; gfn++)
        rc = get_page(vd, bar, gfn);
    return rc;
}

void vmsix_pages_put(struct vpci_dev *vd)
{
    struct vmsix_page *page, *tmp;

    list_for_each_entry_safe (page, tmp, &vd->vpci->pages, link) {
        spin_lock(&page->lock);
        for (unsigned i = 0; i < VMSIX_PAGE_OWNERS; i++)
            if (page->owner[i].vd == vd)
                page->owner[i].vd = NULL;
        spin_unlock(&page->lock);
        drop_page_if_unused(page);
    }
}
