/* SPDX-License-Identifier: MIT */
/*
 * The two ways in which a domain reaches configuration space: ports CF8-CFF (PCI 3.0, 3.2.2.3.2)
 * with an address latch of its own, and windows of memory (ECAM, PCIe 5.0, 7.2.2).
 */
#include "lib/errno.h"
#include "mm/heap.h"
#include "vdev/vpci_engine.h"

struct vpci_ecam {
    struct list_head link; /* in vpci->ecam */
    struct vpci *vpci;
    uint64_t base; /* of bus 0 */
    uint16_t segment;
    uint8_t start_bus, end_bus;
    struct trap_region *region;
};

static int latch_read(struct vcpu *v, struct trap_region *r, uint64_t addr, unsigned size,
                      uint64_t *val)
{
    const struct vpci *vpci = r->arg;

    (void)v;
    (void)addr;
    /* Only whole dwords reach the latch; anything else is an ordinary port. */
    if (size != 4)
        return TRAP_NONE;
    *val = READ_ONCE(vpci->cf8);
    return TRAP_DONE;
}

static int latch_write(struct vcpu *v, struct trap_region *r, uint64_t addr, unsigned size,
                       uint64_t val)
{
    struct vpci *vpci = r->arg;

    (void)v;
    (void)addr;
    if (size != 4)
        return TRAP_NONE;
    /* Bits 30:24 are reserved and bits 1:0 read as 0 (PCI 3.0, 3.2.2.3.2). */
    WRITE_ONCE(vpci->cf8, (uint32_t)val & 0x80fffffc);
    return TRAP_DONE;
}

static int data_read(struct vcpu *v, struct trap_region *r, uint64_t addr, unsigned size,
                     uint64_t *val)
{
    struct vpci *vpci = r->arg;
    uint32_t cf8 = READ_ONCE(vpci->cf8), val32;
    int res;

    (void)v;
    if (unlikely(!(cf8 & PCI_CONFIG_ENABLE)))
        return deny(DENY_CONFIG_RAW, vpci->domid, DENY_NO_DEVICE, addr, size);
    res = vpci_read(vpci, cf8 >> 8 & 0xffff, (cf8 & 0xfc) | (addr & 3), size, &val32);
    *val = val32;
    return res;
}

static int data_write(struct vcpu *v, struct trap_region *r, uint64_t addr, unsigned size,
                      uint64_t val)
{
    struct vpci *vpci = r->arg;
    uint32_t cf8 = READ_ONCE(vpci->cf8);

    (void)v;
    if (unlikely(!(cf8 & PCI_CONFIG_ENABLE)))
        return deny(DENY_CONFIG_RAW, vpci->domid, DENY_NO_DEVICE, addr, size);
    return vpci_write(vpci, cf8 >> 8 & 0xffff, (cf8 & 0xfc) | (addr & 3), size, (uint32_t)val);
}

static uint32_t ecam_sbdf(const struct vpci_ecam *e, uint64_t addr)
{
    return (uint32_t)e->segment << 16 | (uint32_t)((addr - e->base) >> 12 & 0xffff);
}

/* 1, 2 or 4 bytes inside a dword, or an aligned quadword, which is two dwords to the device. */
static bool ecam_aligned(uint64_t addr, unsigned size)
{
    return (addr & 3) + size <= 4 || (size == 8 && !(addr & 7));
}

static int ecam_read(struct vcpu *v, struct trap_region *r, uint64_t addr, unsigned size,
                     uint64_t *val)
{
    const struct vpci_ecam *e = r->arg;
    uint32_t sbdf = ecam_sbdf(e, addr), low = 0, high = 0;
    unsigned reg = addr & (PCI_CFG_EXT_SIZE - 1);
    int res;

    (void)v;
    if (unlikely(!ecam_aligned(addr, size)))
        return deny(DENY_CONFIG_ALIGN, e->vpci->domid, sbdf, reg, size);
    res = vpci_read(e->vpci, sbdf, reg, MIN(size, 4u), &low);
    if (unlikely(size == 8 && res == TRAP_DONE))
        res = vpci_read(e->vpci, sbdf, reg + 4, 4, &high);
    *val = (uint64_t)high << 32 | low;
    return res;
}

static int ecam_write(struct vcpu *v, struct trap_region *r, uint64_t addr, unsigned size,
                      uint64_t val)
{
    const struct vpci_ecam *e = r->arg;
    uint32_t sbdf = ecam_sbdf(e, addr);
    unsigned reg = addr & (PCI_CFG_EXT_SIZE - 1);
    int res;

    (void)v;
    if (unlikely(!ecam_aligned(addr, size)))
        return deny(DENY_CONFIG_ALIGN, e->vpci->domid, sbdf, reg, size);
    res = vpci_write(e->vpci, sbdf, reg, MIN(size, 4u), (uint32_t)val);
    if (unlikely(size == 8 && res == TRAP_DONE))
        res = vpci_write(e->vpci, sbdf, reg + 4, 4, (uint32_t)(val >> 32));
    return res;
}

static const struct trap_ops latch_ops = { latch_read, latch_write };
static const struct trap_ops data_ops = { data_read, data_write };
static const struct trap_ops ecam_ops = { ecam_read, ecam_write };

int vpci_access_init(struct vpci *vpci)
{
    int rc = trap_register(vpci->traps, TRAP_PIO, PCI_CONFIG_ADDRESS, PCI_CONFIG_ADDRESS + 3,
                           &latch_ops, vpci, "pci-address");

    if (rc)
        return rc;
    rc = trap_register(vpci->traps, TRAP_PIO, PCI_CONFIG_DATA, PCI_CONFIG_DATA + 3, &data_ops, vpci,
                       "pci-data");
    if (rc)
        trap_unregister(vpci->traps, trap_find(vpci->traps, TRAP_PIO, PCI_CONFIG_ADDRESS));
    return rc;
}

int vpci_add_ecam(struct vpci *vpci, uint64_t base, uint16_t segment, uint8_t start_bus,
                  uint8_t end_bus)
{
    struct vpci_ecam *e;
    int rc;

    /* Function and register come straight from the address bits. */
    if (start_bus > end_bus || base & 0xfffff || base >> 52)
        return -EINVAL;
    e = trap_zalloc(sizeof(*e));
    if (!e)
        return -ENOMEM;
    e->vpci = vpci;
    e->base = base;
    e->segment = segment;
    e->start_bus = start_bus;
    e->end_bus = end_bus;
    rc = trap_register_region(vpci->traps, TRAP_MMIO, base + ((uint64_t)start_bus << 20),
                              base + ((uint64_t)end_bus << 20) + 0xfffff, &ecam_ops, e, "pci-ecam",
                              &e->region);
    if (rc) {
        trap_defer_free(e);
        return rc;
    }
    spin_lock(&vpci->lock);
    list_add_tail(&e->link, &vpci->ecam);
    spin_unlock(&vpci->lock);
    return 0;
}

void vpci_access_cleanup(struct vpci *vpci)
{
    trap_unregister(vpci->traps, trap_find(vpci->traps, TRAP_PIO, PCI_CONFIG_ADDRESS));
    trap_unregister(vpci->traps, trap_find(vpci->traps, TRAP_PIO, PCI_CONFIG_DATA));
    while (!list_empty(&vpci->ecam)) {
        struct vpci_ecam *e = list_first_entry(&vpci->ecam, struct vpci_ecam, link);

        list_del(&e->link);
        trap_unregister(vpci->traps, e->region);
        trap_defer_free(e);
    }
}
