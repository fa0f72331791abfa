/* SPDX-License-Identifier: MIT */
/*
 * Device memory in the page table: a domain that decodes memory finds its BARs mapped 1:1, except
 * the pages of MSI-X tables and pending bits of any function, and never over memory that is
 * reserved.
 *
 * All functions: vpci->lock held.
 */
#include "lib/errno.h"
#include "lib/printf.h"
#include "p2m/p2m.h"
#include "vdev/pci_sriov.h"
#include "vdev/vmsix.h"
#include "vdev/vpci_engine.h"
#include "vdev/vpci_guest.h"

static void add_hole(struct vpci_holes *h, uint64_t first, uint64_t last)
{
    unsigned i;

    if (last < h->first || first > h->last)
        return;
    if (h->nr == VPCI_MAX_HOLES) {
        h->overflow = true;
        return;
    }
    for (i = h->nr++; i && h->run[i - 1].first > first; i--)
        h->run[i] = h->run[i - 1];
    h->run[i].first = first;
    h->run[i].last = last;
}

static int collect_holes(struct pci_dev *dev, void *arg)
{
    const struct pci_msix_info *m = &dev->msix;
    uint64_t table, pba;

    if (!dev->decode || !m->nr)
        return 0;
    table = dev->bar[m->table_bar].addr + m->table_offset;
    pba = dev->bar[m->pba_bar].addr + m->pba_offset;
    add_hole(arg, PFN_DOWN(table), PFN_DOWN(table + pci_msix_table_len(m) - 1));
    add_hole(arg, PFN_DOWN(pba), PFN_DOWN(pba + pci_msix_pba_len(m) - 1));
    return 0;
}

void vpci_find_holes(struct vpci_holes *h, uint64_t first, uint64_t last)
{
    h->first = first;
    h->last = last;
    h->nr = 0;
    h->overflow = false;
    pci_for_each(collect_holes, h);
}

static int map_run(struct p2m *p2m, uint64_t gfn, uint64_t mfn, uint64_t nr)
{
    uint64_t done;
    int rc;

    /* Bounded by the size of a BAR that exists; each round makes progress. */
    do {
        done = 0;
        rc = p2m_map_range(p2m, gfn, mfn, nr, P2M_MMIO_DIRECT, &done);
        gfn += done;
        mfn += done;
        nr -= done;
    } while (rc == -ERESTART && nr);
    return nr ? rc : 0;
}

void vpci_unmap_run(struct p2m *p2m, uint64_t gfn, uint64_t nr)
{
    uint64_t done;
    int rc;

    do {
        done = 0;
        rc = p2m_unmap(p2m, gfn, nr, &done);
        gfn += done;
        nr -= done;
    } while (rc == -ERESTART && nr);
}

int vpci_map_around(struct p2m *p2m, uint64_t gfn, const struct vpci_holes *h)
{
    uint64_t at = h->first, shift = gfn - h->first;
    int rc = h->overflow ? -ENOSPC : 0;

    for (unsigned i = 0; i < h->nr && !rc; i++) {
        if (h->run[i].first > at)
            rc = map_run(p2m, at + shift, at, h->run[i].first - at);
        at = MAX(at, h->run[i].last + 1);
    }
    if (!rc && at <= h->last)
        rc = map_run(p2m, at + shift, at, h->last - at + 1);
    return rc;
}

static bool overlaps(const struct vpci_range *r, uint64_t first, uint64_t last)
{
    return r->nr && r->gfn <= last && first <= r->gfn + r->nr - 1;
}

static const struct pci_bar *range_bar(const struct vpci_dev *vd, unsigned i)
{
    return i == VPCI_ROM ? &vd->pdev->rom : &vd->pdev->bar[i];
}

/* True if the page table has something else than device memory in [first, last]. */
static bool holds_other(const struct p2m *p2m, uint64_t first, uint64_t last)
{
    enum p2m_type type;
    unsigned order;

    for (uint64_t gfn = first; gfn <= last; gfn = ((gfn >> order) + 1) << order) {
        p2m_lookup(p2m, gfn, &type, &order);
        if (type != P2M_NONE && type != P2M_MMIO_DIRECT && type != P2M_FIRMWARE)
            return true;
    }
    return false;
}

/* True if the frames may be device memory of the domain; otherwise the refusal is on record. */
static bool range_allowed(struct vpci_dev *vd, const struct pci_bar *bar, struct vpci_range *r)
{
    uint64_t last = bar->addr + bar->size - 1;

    r->refused = NULL;
    if (!bar->addr || last < bar->addr)
        r->refused = "not a valid address";
    else if (PFN_DOWN(last) > vd->vpci->p2m->max_gfn)
        r->refused = "above the addresses that the domain can have";
    else if (holds_other(vd->vpci->p2m, PFN_DOWN(bar->addr), PFN_DOWN(last)))
        r->refused = "the domain has memory there";
    else
        r->refused = pci_reserved(bar->addr & PAGE_MASK, last | (PAGE_SIZE - 1));
    if (!r->refused)
        return true;
    /* Address 0 is how firmware leaves what it does not use. */
    if (bar->addr)
        vpci_deny(vd, DENY_BAR_FORBIDDEN, bar->addr, bar->size);
    if (bar->addr && bar->addr != r->warned) {
        r->warned = bar->addr;
        pr_warn("pci " PCI_FMT ": memory at %#llx, size %#llx, is not mapped: %s",
                PCI_ARG(vd->sbdf), (unsigned long long)bar->addr, (unsigned long long)bar->size,
                r->refused);
    }
    return false;
}

static void map_range(struct vpci_dev *vd, unsigned i)
{
    const struct pci_bar *bar = range_bar(vd, i);
    struct vpci_range *r = &vd->range[i];
    struct vpci_holes holes;
    int rc;

    if (!range_allowed(vd, bar, r))
        return;
    vpci_find_holes(&holes, PFN_DOWN(bar->addr), PFN_DOWN(bar->addr + bar->size - 1));
    rc = vpci_map_around(vd->vpci->p2m, holes.first, &holes);
    r->gfn = holes.first;
    r->nr = holes.last - holes.first + 1;
    if (!rc)
        return;
    vpci_unmap_run(vd->vpci->p2m, r->gfn, r->nr);
    r->nr = 0;
    r->refused = "the page table did not take it";
    vpci_deny(vd, DENY_BAR_P2M, bar->addr, bar->size);
}

/* True if another mapped range of the domain has a page in [first, last]. */
static bool shared(const struct vpci *vpci, uint64_t first, uint64_t last)
{
    struct vpci_dev *vd;

    list_for_each_entry (vd, &vpci->devices, link)
        for (unsigned i = 0; i < VPCI_NR_RANGES; i++)
            if (overlaps(&vd->range[i], first, last))
                return true;
    return false;
}

/* Maps again what other functions have in [first, last]: BARs that overlap, or share a page. */
static void map_others(struct vpci *vpci, uint64_t first, uint64_t last)
{
    struct vpci_dev *vd;

    list_for_each_entry (vd, &vpci->devices, link)
        for (unsigned i = 0; i < VPCI_NR_RANGES; i++)
            if (vd->mapped && overlaps(&vd->range[i], first, last))
                map_range(vd, i);
}

static void unmap_range(struct vpci_dev *vd, unsigned i)
{
    struct vpci_range r = vd->range[i];

    vd->range[i].nr = 0;
    vd->range[i].refused = NULL;
    if (!r.nr)
        return;
    /* A page that several small BARs share is never missing in between. */
    if (r.nr > 1 || !shared(vd->vpci, r.gfn, r.gfn))
        vpci_unmap_run(vd->vpci->p2m, r.gfn, r.nr);
    map_others(vd->vpci, r.gfn, r.gfn + r.nr - 1);
}

static bool rom_enabled(const struct vpci_dev *vd)
{
    unsigned reg = vd->pdev->header == PCI_HEADER_NORMAL ? PCI_REG_ROM : PCI_REG_ROM_BRIDGE;

    return vd->pdev->rom.kind == PCI_BAR_ROM && (vpci_hw_read(vd, reg, 4) & PCI_ROM_ENABLE);
}

int vpci_map_bars(struct vpci_dev *vd)
{
    int rc = vd->msix ? vmsix_map(vd) : 0;

    if (rc)
        return rc;
    /* First of all, so that the pages of its own tables are holes for itself, too. */
    vd->pdev->decode = true;
    vd->mapped = true;
    for (unsigned i = 0; i < vd->pdev->nr_bars; i++)
        if (pci_bar_is_memory(&vd->pdev->bar[i]))
            map_range(vd, i);
    if (rom_enabled(vd))
        map_range(vd, VPCI_ROM);
    return 0;
}

void vpci_bars_online(struct vpci_dev *vd)
{
    if (vd->mapped && vd->msix)
        vmsix_online(vd);
}

void vpci_unmap_bars(struct vpci_dev *vd)
{
    if (!vd->mapped)
        return;
    vd->mapped = false;
    /* As long as it decodes, its tables are holes in everybody's BARs. */
    vd->pdev->decode = pci_decodes(vd->pdev);
    if (vd->msix)
        vmsix_unmap(vd);
    for (unsigned i = 0; i < VPCI_NR_RANGES; i++)
        unmap_range(vd, i);
}

void vpci_map_rom(struct vpci_dev *vd)
{
    if (vd->mapped)
        map_range(vd, VPCI_ROM);
}

void vpci_unmap_rom(struct vpci_dev *vd)
{
    unmap_range(vd, VPCI_ROM);
}

uint64_t vpci_bar_gpa(const struct vpci_dev *vd, unsigned i)
{
    return vd->guest ? vd->guest->addr[i] : range_bar(vd, i)->addr;
}

bool vpci_covers(const struct vpci *vpci, uint64_t gpa, unsigned size)
{
    struct vpci_dev *vd;

    list_for_each_entry (vd, &vpci->devices, link)
        for (unsigned i = 0; i < VPCI_NR_RANGES; i++) {
            const struct pci_bar *bar = range_bar(vd, i);

            if (vd->range[i].nr && gpa >= bar->addr && size <= bar->size &&
                gpa - bar->addr <= bar->size - size)
                return true;
        }
    return false;
}
