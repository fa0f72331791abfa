/* SPDX-License-Identifier: MIT */
/*
 * Where a guest's BARs are in its memory and ports: pages are mapped to the device's, but for those
 * with interrupt tables; what is smaller than a page, ports and the ROM are reached through a trap.
 *
 * All functions but the handlers: vpci->lock held. A handler reaches the device under its trap's
 * own lock, so that when a range is taken away nobody is still at the device.
 */
#include "include/xenlite/pci.h"
#include "lib/errno.h"
#include "p2m/p2m.h"
#include "vdev/vmsix.h"
#include "vdev/vpci_engine.h"
#include "vdev/vpci_guest.h"

struct vpci_bar_trap {
    spinlock_t lock;
    bool gone;            /* the guest has nothing there any more */
    bool rom;             /* writes do nothing */
    uint64_t base;        /* guest-physical address or port */
    volatile uint8_t *va; /* the device's memory; NULL: ports */
    uint16_t port;
    struct trap_region *region;
};

static const struct pci_bar *bar_of(const struct vpci_dev *vd, unsigned i)
{
    return i == VPCI_ROM ? &vd->pdev->rom : &vd->pdev->bar[i];
}

/* ---- handlers ---- */

static int trap_access(struct vpci_bar_trap *t, uint64_t addr, unsigned size, bool write,
                       uint64_t *val)
{
    uint64_t off = addr - t->base;

    spin_lock(&t->lock);
    if (t->gone) {
        *val = trap_all_ones(size);
    } else if (!t->va) {
        if (write)
            pci_port_write((uint16_t)(t->port + off), size, (uint32_t)*val);
        else
            *val = pci_port_read((uint16_t)(t->port + off), size);
    } else if (!write) {
        *val = vpci_mmio_read(t->va + off, size);
    } else if (!t->rom) {
        vpci_mmio_write(t->va + off, size, *val);
    }
    spin_unlock(&t->lock);
    return TRAP_DONE;
}

static int bar_trap_read(struct vcpu *v, struct trap_region *r, uint64_t addr, unsigned size,
                         uint64_t *val)
{
    (void)v;
    return trap_access(r->arg, addr, size, false, val);
}

static int bar_trap_write(struct vcpu *v, struct trap_region *r, uint64_t addr, unsigned size,
                          uint64_t val)
{
    (void)v;
    return trap_access(r->arg, addr, size, true, &val);
}

static const struct trap_ops bar_trap_ops = { bar_trap_read, bar_trap_write };

static int trap_on(struct vpci_dev *vd, unsigned i)
{
    const struct pci_bar *bar = bar_of(vd, i);
    struct vpci_bar_trap *t = trap_zalloc(sizeof(*t));
    bool io = bar->kind == PCI_BAR_IO;
    int rc = 0;

    if (!t)
        return -ENOMEM;
    spin_lock_init(&t->lock);
    t->rom = i == VPCI_ROM;
    t->base = vd->guest->addr[i];
    t->port = io ? (uint16_t)vd->guest->hw[i] : 0;
    t->va = io ? NULL : pci_window(vd->guest->hw[i], bar->size);
    if (!io && !t->va)
        rc = -ENOSPC;
    if (!rc)
        rc = trap_register_region(vd->vpci->traps, io ? TRAP_PIO : TRAP_MMIO, t->base,
                                  t->base + bar->size - 1, &bar_trap_ops, t,
                                  t->rom ? "rom"
                                  : io   ? "bar-ports"
                                         : "bar-small",
                                  &t->region);
    if (rc) {
        trap_defer_free(t);
        return rc;
    }
    vd->guest->trap[i] = t;
    return 0;
}

static void trap_off(struct vpci_dev *vd, unsigned i)
{
    struct vpci_bar_trap *t = vd->guest->trap[i];

    if (!t)
        return;
    vd->guest->trap[i] = NULL;
    spin_lock(&t->lock);
    t->gone = true;
    spin_unlock(&t->lock);
    trap_unregister(vd->vpci->traps, t->region);
    trap_defer_free(t);
}

/* ---- may it be there? ---- */

static bool within(uint64_t addr, uint64_t size, uint64_t base, uint64_t len)
{
    return addr >= base && size <= len && addr - base <= len - size;
}

static bool in_window(const struct pci_bar *bar, uint64_t addr)
{
    if (bar->kind == PCI_BAR_IO)
        return within(addr, bar->size, XENLITE_PCI_IO_BASE, XENLITE_PCI_IO_SIZE);
    if (within(addr, bar->size, XENLITE_PCI_MMIO_BASE, XENLITE_PCI_MMIO_SIZE))
        return true;
    return bar->kind == PCI_BAR_MEM64 &&
           within(addr, bar->size, XENLITE_PCI_MMIO64_BASE, XENLITE_PCI_MMIO64_SIZE);
}

/*
 * What a BAR holds while its size is asked for, by halves perhaps, and before it was given an
 * address.
 */
static bool no_address(const struct pci_bar *bar, uint64_t addr)
{
    uint64_t mask = ~(bar->size - 1);

    return !addr || addr == mask || addr == (mask & 0xffffffff) || addr == (mask & 0xffff);
}

static bool placed(const struct vpci_dev *vd, unsigned i)
{
    return vd->range[i].nr || vd->guest->trap[i];
}

/* Two memory ranges of the guest's, other than ports: true if one is in the other's way. */
static bool meets(const struct vpci_dev *vd, unsigned i, uint64_t first, uint64_t last)
{
    uint64_t addr = vd->guest->addr[i];
    const struct pci_bar *bar = bar_of(vd, i);

    return placed(vd, i) && bar->kind != PCI_BAR_IO && addr <= last &&
           first <= addr + bar->size - 1;
}

static bool overlaps_another(const struct vpci *vpci, uint64_t first, uint64_t last)
{
    const struct vpci_dev *vd;

    list_for_each_entry (vd, &vpci->devices, link)
        for (unsigned i = 0; i < VPCI_NR_RANGES; i++)
            if (meets(vd, i, first, last))
                return true;
    return false;
}

/* True if the page table has anything at all in [first, last]. */
static bool holds_something(const struct p2m *p2m, uint64_t first, uint64_t last)
{
    enum p2m_type type;
    unsigned order;

    for (uint64_t gfn = first; gfn <= last; gfn = ((gfn >> order) + 1) << order) {
        p2m_lookup(p2m, gfn, &type, &order);
        if (type != P2M_NONE)
            return true;
    }
    return false;
}

static bool memory_allowed(struct vpci_dev *vd, unsigned i, const struct pci_bar *bar)
{
    uint64_t addr = vd->guest->addr[i], last = addr + bar->size - 1, hw = vd->guest->hw[i];
    struct vpci_range *r = &vd->range[i];
    enum deny_rule rule = DENY_BAR_FORBIDDEN;

    if (PFN_DOWN(last) > vd->vpci->p2m->max_gfn) {
        r->refused = "above the addresses that the domain can have";
    } else if (pci_reserved(hw & PAGE_MASK, (hw + bar->size - 1) | (PAGE_SIZE - 1))) {
        r->refused = "the device's own memory is in reserved addresses";
    } else if (overlaps_another(vd->vpci, addr, last)) {
        r->refused = "another BAR is there";
        rule = DENY_BAR_OVERLAP;
    } else if (holds_something(vd->vpci->p2m, PFN_DOWN(addr), PFN_DOWN(last))) {
        r->refused = "the domain has memory there";
    }
    if (r->refused)
        vpci_deny(vd, rule, addr, bar->size);
    return !r->refused;
}

static bool range_allowed(struct vpci_dev *vd, unsigned i)
{
    const struct pci_bar *bar = bar_of(vd, i);
    struct vpci_range *r = &vd->range[i];
    uint64_t addr = vd->guest->addr[i];

    r->refused = NULL;
    if (bar->kind == PCI_BAR_NONE || !bar->size || !vd->guest->hw[i])
        return false;
    if (i == VPCI_ROM && !vd->guest->rom_on)
        return false;
    if (!in_window(bar, addr)) {
        r->refused = "outside of the root's windows";
        if (!no_address(bar, addr))
            vpci_deny(vd, DENY_BAR_WINDOW, addr, bar->size);
        return false;
    }
    return bar->kind == PCI_BAR_IO || memory_allowed(vd, i, bar);
}

/* ---- MSI-X tables, which follow the BARs that they are in ---- */

static bool has_table(const struct vpci_dev *vd, unsigned i)
{
    return vd->msix && (vd->pdev->msix.table_bar == i || vd->pdev->msix.pba_bar == i);
}

/* With both of their BARs in place the tables can be reached. 0 or a negative errno. */
static int table_on(struct vpci_dev *vd)
{
    const struct pci_msix_info *m = &vd->pdev->msix;

    if (vd->msix->trapped || !vd->range[m->table_bar].nr || !vd->range[m->pba_bar].nr)
        return 0;
    return vmsix_map(vd);
}

static void table_off(struct vpci_dev *vd)
{
    if (vd->msix->trapped)
        vmsix_unmap(vd);
}

/* ---- memory ---- */

/*
 * Frames that the guest put there itself meanwhile are not ours to take away. Runs are as long as
 * possible: each ends in a flush.
 */
static void unmap_pages(struct p2m *p2m, uint64_t gfn, uint64_t nr)
{
    uint64_t run = gfn, end = gfn + nr; /* [run, gfn) holds device memory or nothing */
    enum p2m_type type;
    unsigned order;

    while (gfn < end) {
        uint64_t next;

        p2m_lookup(p2m, gfn, &type, &order);
        next = MIN(((gfn >> order) + 1) << order, end);
        if (type != P2M_NONE && type != P2M_MMIO_DIRECT) {
            if (gfn > run)
                vpci_unmap_run(p2m, run, gfn - run);
            run = next;
        }
        gfn = next;
    }
    if (end > run)
        vpci_unmap_run(p2m, run, end - run);
}

static int pages_on(struct vpci_dev *vd, unsigned i)
{
    uint64_t first = PFN_DOWN(vd->guest->hw[i]);
    struct vpci_holes holes;
    int rc;

    vpci_find_holes(&holes, first, first + vd->range[i].nr - 1);
    rc = vpci_map_around(vd->vpci->p2m, vd->range[i].gfn, &holes);
    if (rc)
        unmap_pages(vd->vpci->p2m, vd->range[i].gfn, vd->range[i].nr);
    return rc;
}

static int memory_on(struct vpci_dev *vd, unsigned i)
{
    const struct pci_bar *bar = bar_of(vd, i);
    int rc = has_table(vd, i) ? table_on(vd) : 0;

    if (rc)
        return rc;
    if (bar->size >= PAGE_SIZE)
        return pages_on(vd, i);
    /* A small BAR with a table in it is a trapped region already, as a whole. */
    return has_table(vd, i) ? 0 : trap_on(vd, i);
}

/* ---- the hardware's BARs ---- */

static void restore_bar(struct vpci_dev *vd, unsigned reg, uint64_t addr, bool is_64)
{
    if ((vpci_hw_read(vd, reg, 4) & PCI_BAR_MEM_MASK) != ((uint32_t)addr & PCI_BAR_MEM_MASK))
        vpci_hw_write(vd, reg, 4, (uint32_t)addr);
    if (is_64 && vpci_hw_read(vd, reg + 4, 4) != (uint32_t)(addr >> 32))
        vpci_hw_write(vd, reg + 4, 4, (uint32_t)(addr >> 32));
}

/* Called with the decoding in question off: otherwise nothing has to be restored. */
void vpci_guest_restore_bars(struct vpci_dev *vd)
{
    /* A virtual function's are in its physical one, where no reset of it reaches. */
    if (vd->pdev->physfn)
        return;
    for (unsigned i = 0; i < vd->pdev->nr_bars; i++) {
        const struct pci_bar *bar = &vd->pdev->bar[i];

        if (bar->kind != PCI_BAR_NONE)
            restore_bar(vd, PCI_REG_BAR0 + i * 4, vd->guest->hw[i], bar->kind == PCI_BAR_MEM64);
    }
}

static void hw_rom(struct vpci_dev *vd, bool on)
{
    vpci_hw_write(vd, PCI_REG_ROM, 4,
                  (uint32_t)vd->guest->hw[VPCI_ROM] | (on ? PCI_ROM_ENABLE : 0));
}

/* ---- the whole ---- */

void vpci_guest_range_on(struct vpci_dev *vd, unsigned i)
{
    const struct pci_bar *bar = bar_of(vd, i);
    struct vpci_range *r = &vd->range[i];
    uint64_t addr = vd->guest->addr[i];
    int rc;

    if (placed(vd, i) || !range_allowed(vd, i))
        return;
    if (bar->kind == PCI_BAR_IO || i == VPCI_ROM) {
        rc = trap_on(vd, i);
    } else {
        r->gfn = PFN_DOWN(addr);
        r->nr = PFN_DOWN(addr + bar->size - 1) - r->gfn + 1;
        rc = memory_on(vd, i);
    }
    if (rc) {
        vpci_guest_range_off(vd, i);
        r->refused = "no memory for its mapping";
        vpci_deny(vd, DENY_BAR_P2M, addr, bar->size);
        return;
    }
    if (i == VPCI_ROM)
        hw_rom(vd, true);
    /* Moved while it is decoded: the table is where it can be reached again. */
    if (has_table(vd, i) && vd->guest->memory && vd->msix->trapped)
        vmsix_online(vd);
}

void vpci_guest_range_off(struct vpci_dev *vd, unsigned i)
{
    struct vpci_range *r = &vd->range[i];

    if (placed(vd, i) && has_table(vd, i))
        table_off(vd);
    if (i == VPCI_ROM && vd->guest->trap[i])
        hw_rom(vd, false);
    trap_off(vd, i);
    if (r->nr && bar_of(vd, i)->size >= PAGE_SIZE)
        unmap_pages(vd->vpci->p2m, r->gfn, r->nr);
    r->nr = 0;
    r->refused = NULL;
}

static bool is_kind(const struct vpci_dev *vd, unsigned i, bool memory)
{
    return (bar_of(vd, i)->kind == PCI_BAR_IO) != memory;
}

void vpci_guest_ranges_on(struct vpci_dev *vd, bool memory)
{
    for (unsigned i = 0; i < VPCI_NR_RANGES; i++)
        if (is_kind(vd, i, memory))
            vpci_guest_range_on(vd, i);
    if (memory)
        vd->guest->memory = true;
    else
        vd->guest->io = true;
}

void vpci_guest_ranges_off(struct vpci_dev *vd, bool memory)
{
    if (memory)
        vd->guest->memory = false;
    else
        vd->guest->io = false;
    for (unsigned i = 0; i < VPCI_NR_RANGES; i++)
        if (is_kind(vd, i, memory))
            vpci_guest_range_off(vd, i);
}
