/* SPDX-License-Identifier: MIT */
/*
 * The hardware's two ways into configuration space: ECAM windows (PCIe 5.0, 7.2.2) and, for
 * segments without one, ports CF8/CFC (PCI 3.0, 3.2.2.3.2).  Host builds put a simulated set of
 * functions in place of this file.
 */
#include "acpi/acpi.h"
#include "cpu/x86.h"
#include "lib/printf.h"
#include "lib/spinlock.h"
#include "mm/heap.h"
#include "mm/map.h"
#include "vdev/pci.h"
#include "vdev/pci_mmcfg.h"

#define ECAM_BUS_SHIFT 20
#define ECAM_BUS_SIZE  (1UL << ECAM_BUS_SHIFT)

struct ecam {
    struct acpi_mcfg_segment win;
    /* Mapped when first used: most buses of a window do not exist.  NULL: not yet. */
    volatile uint8_t *bus[256];
    bool unmappable[256];
};

static struct ecam *ecam[ACPI_MAX_MCFG];
static unsigned nr_ecam;
/* Holds the pair of accesses to CF8 and CFC together. */
static spinlock_t port_lock = SPINLOCK_INIT;
/* Mapping of a bus; readers look at the pointer without it. */
static spinlock_t map_lock = SPINLOCK_INIT;

static bool window_valid(const struct acpi_mcfg_segment *w)
{
    uint64_t last = w->base + (((uint64_t)w->end_bus + 1) << ECAM_BUS_SHIFT) - 1;

    return w->start_bus <= w->end_bus && w->base && !(w->base & (ECAM_BUS_SIZE - 1)) &&
           last > w->base && last < BIT(52);
}

void pci_hw_init(const struct acpi_mcfg_info *mcfg)
{
    for (unsigned i = 0; mcfg && i < mcfg->nr_segments && nr_ecam < ACPI_MAX_MCFG; i++) {
        const struct acpi_mcfg_segment *w = &mcfg->segment[i];

        if (!window_valid(w)) {
            pr_warn("pci: ECAM window at %#llx, buses %02x-%02x: not usable",
                    (unsigned long long)w->base, w->start_bus, w->end_bus);
            continue;
        }
        pci_reserve(w->base + ((uint64_t)w->start_bus << ECAM_BUS_SHIFT),
                    w->base + (((uint64_t)w->end_bus + 1) << ECAM_BUS_SHIFT) - 1, "ECAM");
        ecam[nr_ecam] = xzalloc(sizeof(struct ecam));
        if (!ecam[nr_ecam]) {
            pr_warn("pci: no memory for the ECAM window of segment %u", w->segment);
            continue;
        }
        ecam[nr_ecam++]->win = *w;
        pci_add_root(w->segment, w->start_bus);
    }
}

static struct ecam *ecam_of(uint32_t sbdf)
{
    for (unsigned i = 0; i < nr_ecam; i++) {
        const struct acpi_mcfg_segment *w = &ecam[i]->win;

        if (w->segment == PCI_SEG(sbdf) && PCI_BUS(sbdf) >= w->start_bus &&
            PCI_BUS(sbdf) <= w->end_bus)
            return ecam[i];
    }
    return NULL;
}

static volatile uint8_t *map_bus(struct ecam *e, unsigned bus)
{
    volatile uint8_t *va;

    spin_lock(&map_lock);
    va = e->bus[bus];
    if (!va && !e->unmappable[bus]) {
        va = mmio_map(e->win.base + ((uint64_t)bus << ECAM_BUS_SHIFT), ECAM_BUS_SIZE);
        e->unmappable[bus] = !va;
        __atomic_store_n(&e->bus[bus], va, __ATOMIC_RELEASE);
    }
    spin_unlock(&map_lock);
    return va;
}

/* Address of a register in the ECAM window; NULL: there is none, the ports serve. */
static inline volatile uint8_t *ecam_reg(uint32_t sbdf, unsigned reg)
{
    struct ecam *e = ecam_of(sbdf);
    volatile uint8_t *va;

    if (!e)
        return NULL;
    va = __atomic_load_n(&e->bus[PCI_BUS(sbdf)], __ATOMIC_ACQUIRE);
    if (unlikely(!va)) {
        va = map_bus(e, PCI_BUS(sbdf));
        if (!va)
            return NULL;
    }
    return va + ((size_t)PCI_DEVFN(sbdf) << 12) + reg;
}

static uint32_t port_address(uint32_t sbdf, unsigned reg)
{
    return PCI_CONFIG_ENABLE | (sbdf & 0xffff) << 8 | (reg & 0xfc);
}

static bool port_reaches(uint32_t sbdf, unsigned reg)
{
    return PCI_SEG(sbdf) == 0 && reg < PCI_CFG_SIZE;
}

static uint32_t port_read(uint32_t sbdf, unsigned reg, unsigned size)
{
    uint16_t data = (uint16_t)(PCI_CONFIG_DATA + (reg & 3));
    uint32_t val;

    spin_lock(&port_lock);
    outl(port_address(sbdf, reg), PCI_CONFIG_ADDRESS);
    val = size == 1 ? inb(data) : size == 2 ? inw(data) : inl(data);
    spin_unlock(&port_lock);
    return val;
}

static void port_write(uint32_t sbdf, unsigned reg, unsigned size, uint32_t val)
{
    uint16_t data = (uint16_t)(PCI_CONFIG_DATA + (reg & 3));

    spin_lock(&port_lock);
    outl(port_address(sbdf, reg), PCI_CONFIG_ADDRESS);
    if (size == 1)
        outb((uint8_t)val, data);
    else if (size == 2)
        outw((uint16_t)val, data);
    else
        outl(val, data);
    spin_unlock(&port_lock);
}

uint32_t pci_conf_read(uint32_t sbdf, unsigned reg, unsigned size)
{
    volatile uint8_t *p = ecam_reg(sbdf, reg);

    if (likely(p))
        return size == 4 ? mmcfg_read32(p) : size == 2 ? mmcfg_read16(p) : mmcfg_read8(p);
    if (port_reaches(sbdf, reg))
        return port_read(sbdf, reg, size);
    return size == 4 ? ~0u : (1u << size * 8) - 1;
}

void pci_conf_write(uint32_t sbdf, unsigned reg, unsigned size, uint32_t val)
{
    volatile uint8_t *p = ecam_reg(sbdf, reg);

    if (likely(p && size == 4))
        mmcfg_write32(p, val);
    else if (p && size == 2)
        mmcfg_write16(p, (uint16_t)val);
    else if (p)
        mmcfg_write8(p, (uint8_t)val);
    else if (port_reaches(sbdf, reg))
        port_write(sbdf, reg, size, val);
}

uint32_t pci_port_read(uint16_t port, unsigned size)
{
    return size == 1 ? inb(port) : size == 2 ? inw(port) : inl(port);
}

void pci_port_write(uint16_t port, unsigned size, uint32_t val)
{
    if (size == 1)
        outb((uint8_t)val, port);
    else if (size == 2)
        outw((uint16_t)val, port);
    else
        outl(val, port);
}

const volatile uint8_t *pci_conf_window(uint32_t sbdf)
{
    return ecam_reg(sbdf, 0);
}

bool pci_has_ext_config(uint32_t sbdf)
{
    return ecam_reg(sbdf, 0) != NULL;
}
