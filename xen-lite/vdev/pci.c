/* SPDX-License-Identifier: MIT */
/*
 * The functions that exist: finding them by walking the buses, the list of them, and the ranges of
 * memory that no BAR may be mapped over.
 */
#include "vdev/pci.h"

#include "lib/bitmap.h"
#include "lib/errno.h"
#include "lib/spinlock.h"
#include "mm/map.h"
#include "trap/trap.h"
#include "vdev/pci_probe.h"
#include "vdev/pci_sriov.h"

#define MAX_RESERVED 256
#define MAX_ROOTS    32

static struct {
    paddr_t first, last;
    const char *why;
} reserved[MAX_RESERVED];
static unsigned nr_reserved;

/* Buses to start from: 0 of segment 0 always, and the first one of each ECAM window. */
static struct {
    uint16_t segment;
    uint8_t bus;
} roots[MAX_ROOTS];
static unsigned nr_roots = 1;

/* Mapped device memory; entries are never given back. */
#define MAX_WINDOWS 256
static struct {
    paddr_t pa;
    size_t len;
    volatile uint8_t *va;
} windows[MAX_WINDOWS];
static unsigned nr_windows;
static spinlock_t window_lock = SPINLOCK_INIT;

unsigned pci_nr_hidden;

static struct list_head devices = LIST_HEAD_INIT(devices);
static unsigned nr_devices;
/* The list, and the probing of a function that is to enter it. */
static spinlock_t pci_lock = SPINLOCK_INIT;

int pci_reserve(paddr_t first, paddr_t last, const char *why)
{
    if (first > last)
        return -EINVAL;
    if (nr_reserved == MAX_RESERVED)
        return -ENOSPC;
    reserved[nr_reserved].first = first;
    reserved[nr_reserved].last = last;
    reserved[nr_reserved].why = why;
    nr_reserved++;
    return 0;
}

const char *pci_reserved(paddr_t first, paddr_t last)
{
    for (unsigned i = 0; i < nr_reserved; i++)
        if (first <= reserved[i].last && last >= reserved[i].first)
            return reserved[i].why;
    return NULL;
}

void pci_add_root(uint16_t segment, uint8_t bus)
{
    for (unsigned i = 0; i < nr_roots; i++)
        if (roots[i].segment == segment && roots[i].bus == bus)
            return;
    if (nr_roots == MAX_ROOTS)
        return;
    roots[nr_roots].segment = segment;
    roots[nr_roots].bus = bus;
    nr_roots++;
}

static struct pci_dev *find_locked(uint32_t sbdf)
{
    struct pci_dev *dev;

    list_for_each_entry (dev, &devices, link)
        if (dev->sbdf == sbdf)
            return dev;
    return NULL;
}

struct pci_dev *pci_find(uint32_t sbdf)
{
    struct pci_dev *dev;

    spin_lock(&pci_lock);
    dev = find_locked(sbdf);
    spin_unlock(&pci_lock);
    return dev;
}

unsigned pci_nr_devices(void)
{
    return READ_ONCE(nr_devices);
}

int pci_for_each(int (*fn)(struct pci_dev *dev, void *arg), void *arg)
{
    struct pci_dev *dev, *tmp;
    int rc = 0;

    /*
     * Not under the lock: fn may look functions up.  Entries are added at the end, and removed only
     * under the control domain's hand, which serialises removal with whatever calls this.
     */
    list_for_each_entry_safe (dev, tmp, &devices, link) {
        rc = fn(dev, arg);
        if (rc)
            break;
    }
    return rc;
}

int pci_hide(uint32_t sbdf)
{
    struct pci_dev *dev = pci_find(sbdf);

    if (!dev)
        return -ENODEV;
    if (dev->owner)
        return -EBUSY;
    if (!dev->hidden)
        pci_nr_hidden++;
    dev->hidden = true;
    return 0;
}

bool pci_is_hidden(uint32_t sbdf)
{
    struct pci_dev *dev;

    if (likely(!pci_nr_hidden))
        return false;
    dev = pci_find(sbdf);
    return dev && dev->hidden;
}

bool pci_bridge_buses(const struct pci_dev *dev, uint8_t *secondary, uint8_t *subordinate)
{
    uint32_t val;

    *secondary = *subordinate = 0;
    if (dev->header == PCI_HEADER_NORMAL)
        return false;
    val = pci_conf_read(dev->sbdf, PCI_REG_PRIMARY_BUS, 4);
    *secondary = (uint8_t)(val >> 8);
    *subordinate = (uint8_t)(val >> 16);
    /* Numbers rise on the way down: so no loop can be made of them. */
    if (*secondary > PCI_BUS(dev->sbdf) && *subordinate >= *secondary)
        return true;
    *secondary = *subordinate = 0;
    return false;
}

bool pci_bus_in_use(uint16_t seg, uint8_t bus)
{
    struct pci_dev *dev;
    bool used = false;

    spin_lock(&pci_lock);
    list_for_each_entry (dev, &devices, link)
        if (PCI_SEG(dev->sbdf) == seg && PCI_BUS(dev->sbdf) == bus)
            used = true;
    spin_unlock(&pci_lock);
    return used;
}

/* The function that has a virtual one at `sbdf` now; NULL: none. */
static struct pci_dev *physfn_locked(uint32_t sbdf)
{
    struct pci_dev *dev;

    list_for_each_entry (dev, &devices, link)
        if (dev->cap_sriov && pci_vf_index(dev, sbdf) >= 0)
            return dev;
    return NULL;
}

static int add_locked(uint32_t sbdf, struct pci_dev **out)
{
    struct pci_dev *dev = find_locked(sbdf), *physfn;
    int rc;

    if (!dev) {
        physfn = physfn_locked(sbdf);
        /* Virtual functions show no vendor (PCIe 5.0, 9.3.4.1.1). */
        if (!physfn && !pci_present(sbdf))
            return -ENODEV;
        if (nr_devices >= PCI_MAX_DEVICES)
            return -ENOSPC;
        dev = trap_zalloc(sizeof(*dev));
        if (!dev)
            return -ENOMEM;
        dev->sbdf = sbdf;
        dev->physfn = physfn;
        rc = pci_probe(dev);
        if (rc) {
            trap_defer_free(dev);
            return rc;
        }
        list_add_tail(&dev->link, &devices);
        WRITE_ONCE(nr_devices, nr_devices + 1);
    }
    if (out)
        *out = dev;
    return 0;
}

int pci_add(uint32_t sbdf, struct pci_dev **out)
{
    int rc;

    spin_lock(&pci_lock);
    rc = add_locked(sbdf, out);
    spin_unlock(&pci_lock);
    return rc;
}

/* Of those that are known. */
static bool has_vfs_locked(const struct pci_dev *physfn)
{
    struct pci_dev *dev;

    list_for_each_entry (dev, &devices, link)
        if (dev->physfn == physfn)
            return true;
    return false;
}

int pci_remove(uint32_t sbdf)
{
    struct pci_dev *dev;
    int rc = 0;

    spin_lock(&pci_lock);
    dev = find_locked(sbdf);
    if (!dev) {
        rc = -ENODEV;
    } else if (dev->owner || has_vfs_locked(dev)) {
        rc = -EBUSY;
    } else {
        list_del(&dev->link);
        WRITE_ONCE(nr_devices, nr_devices - 1);
    }
    spin_unlock(&pci_lock);
    if (!rc)
        trap_defer_free(dev); /* an access under way may still look at it */
    return rc;
}

static volatile uint8_t *window_locked(paddr_t first, size_t len)
{
    volatile uint8_t *va;

    for (unsigned i = 0; i < nr_windows; i++)
        if (first >= windows[i].pa && first + len <= windows[i].pa + windows[i].len)
            return windows[i].va + (first - windows[i].pa);
    if (nr_windows == MAX_WINDOWS)
        return NULL;
    va = mmio_map(first, len);
    if (!va)
        return NULL;
    windows[nr_windows].pa = first;
    windows[nr_windows].len = len;
    windows[nr_windows].va = va;
    nr_windows++;
    return va;
}

volatile uint8_t *pci_window(paddr_t pa, size_t len)
{
    paddr_t first = pa & PAGE_MASK;
    volatile uint8_t *va;

    spin_lock(&window_lock);
    va = window_locked(first, ALIGN_UP(pa + len, PAGE_SIZE) - first);
    spin_unlock(&window_lock);
    return va ? va + (pa - first) : NULL;
}

/* Adds what is at one function number; a bridge's buses are noted in `todo`.  0 or -ENOMEM. */
static int scan_function(uint32_t sbdf, uint64_t *todo)
{
    struct pci_dev *dev = NULL;
    int rc = pci_add(sbdf, &dev);
    uint8_t secondary;

    if (rc == -ENODEV)
        return 0;
    if (rc)
        return rc;
    if (dev->header == PCI_HEADER_NORMAL)
        return 0;
    /* Cardbus bridges have the same bus number registers. */
    secondary = (uint8_t)pci_conf_read(sbdf, PCI_REG_SECONDARY_BUS, 1);
    if (secondary)
        set_bit(todo, secondary);
    return 0;
}

static int scan_bus(uint16_t seg, unsigned bus, uint64_t *todo)
{
    int rc;

    for (unsigned slot = 0; slot < 32; slot++) {
        uint32_t sbdf = PCI_SBDF(seg, bus, slot, 0);
        unsigned last = 0;

        if (!pci_present(sbdf))
            continue;
        if (pci_conf_read(sbdf, PCI_REG_HEADER_TYPE, 1) & PCI_HEADER_MULTI)
            last = 7;
        for (unsigned fn = 0; fn <= last; fn++) {
            rc = scan_function(sbdf | fn, todo);
            if (rc)
                return rc;
        }
    }
    return 0;
}

/* Each bus once, so that bridges whose numbers loop do no harm. */
static int scan_from(uint16_t seg, uint8_t root)
{
    DECLARE_BITMAP(todo, 256) = { 0 };
    DECLARE_BITMAP(done, 256) = { 0 };
    unsigned bus;
    int rc;

    set_bit(todo, root);
    while ((bus = find_first_bit(todo, 256)) < 256) {
        clear_bit(todo, bus);
        if (test_bit(done, bus))
            continue;
        set_bit(done, bus);
        rc = scan_bus(seg, bus, todo);
        if (rc)
            return rc;
    }
    return 0;
}

int pci_scan(void)
{
    int rc = 0;

    for (unsigned i = 0; i < nr_roots && !rc; i++)
        rc = scan_from(roots[i].segment, roots[i].bus);
    return rc;
}

/* ---- INTx ---- */

uint32_t pci_command_read(struct pci_dev *dev)
{
    uint32_t val = pci_conf_read(dev->sbdf, PCI_REG_COMMAND, 2);

    if (dev->physfn)
        val &= ~(uint32_t)PCI_COMMAND_MEMORY;
    if (!READ_ONCE(dev->intx_held))
        return val;
    val &= ~(uint32_t)PCI_COMMAND_NO_INTX;
    return val | (READ_ONCE(dev->no_intx) ? PCI_COMMAND_NO_INTX : 0);
}

void pci_command_write(struct pci_dev *dev, uint32_t val)
{
    spin_lock(&dev->command_lock);
    WRITE_ONCE(dev->no_intx, !!(val & PCI_COMMAND_NO_INTX));
    val |= dev->physfn ? PCI_COMMAND_MEMORY : 0;
    pci_conf_write(dev->sbdf, PCI_REG_COMMAND, 2, val | (dev->intx_held ? PCI_COMMAND_NO_INTX : 0));
    spin_unlock(&dev->command_lock);
}

/* command_lock held. */
static void put_intx(struct pci_dev *dev, bool off)
{
    uint32_t old = pci_conf_read(dev->sbdf, PCI_REG_COMMAND, 2);
    uint32_t val = off ? old | PCI_COMMAND_NO_INTX : old & ~(uint32_t)PCI_COMMAND_NO_INTX;

    if (val != old)
        pci_conf_write(dev->sbdf, PCI_REG_COMMAND, 2, val);
}

void pci_hold_intx(struct pci_dev *dev)
{
    spin_lock(&dev->command_lock);
    WRITE_ONCE(dev->intx_held, true);
    put_intx(dev, true);
    spin_unlock(&dev->command_lock);
}

void pci_release_intx(struct pci_dev *dev)
{
    spin_lock(&dev->command_lock);
    WRITE_ONCE(dev->intx_held, false);
    put_intx(dev, dev->no_intx);
    spin_unlock(&dev->command_lock);
}
