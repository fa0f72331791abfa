/* SPDX-License-Identifier: MIT */
/*
 * Simulated PCI functions, page table and interrupts; see sim_pci.h.
 */
#include "sim_pci.h"

#include <stdlib.h>

#include "lib/assert.h"
#include "lib/errno.h"
#include "lib/string.h"
#include "mm/phys.h"
#include "sim_guest.h"
#include "trap/reclaim.h"

struct sim_function sim_functions[SIM_MAX_FUNCTIONS];
unsigned sim_nr_functions;
uint64_t sim_raw_accesses;
struct sim_girq sim_girqs[SIM_MAX_GIRQS];
unsigned sim_girqs_used;
bool sim_window, sim_bind_fails, sim_p2m_fails, sim_found_fails;
unsigned sim_found, sim_gone, sim_unmaps;

struct vpci sim_vpci;
struct trap_table sim_traps;
struct p2m sim_p2m;

static uint8_t frames[SIM_MMIO_END >> PAGE_SHIFT]; /* enum p2m_type */

/* ---- configuration space ---- */

struct sim_function *sim_find(uint32_t sbdf)
{
    for (unsigned i = 0; i < sim_nr_functions; i++)
        if (sim_functions[i].present && sim_functions[i].sbdf == sbdf)
            return &sim_functions[i];
    return NULL;
}

void pci_hw_init(const struct acpi_mcfg_info *mcfg)
{
    (void)mcfg;
}

const volatile uint8_t *pci_conf_window(uint32_t sbdf)
{
    return sim_window ? sim_find(sbdf)->config : NULL;
}

bool pci_has_ext_config(uint32_t sbdf)
{
    return PCI_SEG(sbdf) == 0;
}

uint32_t pci_conf_read(uint32_t sbdf, unsigned reg, unsigned size)
{
    struct sim_function *f = sim_find(sbdf);
    uint32_t val = 0;

    sim_raw_accesses++;
    ASSERT((size == 1 || size == 2 || size == 4) && !(reg % size) && reg < PCI_CFG_EXT_SIZE);
    if (!f)
        return (uint32_t)trap_all_ones(size);
    for (unsigned i = 0; i < size; i++)
        val |= (uint32_t)f->config[reg + i] << i * 8;
    return val;
}

static void note_bar_write(struct sim_function *f, unsigned reg, unsigned size, uint32_t val)
{
    uint32_t mask = (uint32_t)trap_all_ones(size);

    if (reg < PCI_REG_BAR0 || reg >= PCI_REG_BAR0 + 24 || f->config[PCI_REG_HEADER_TYPE] & 0x7f)
        return;
    if (!(f->config[PCI_REG_COMMAND] & PCI_COMMAND_MEMORY) || !f->bar_size[(reg - 0x10) / 4])
        return;
    if (((sim_config32(f, reg & ~3u) >> (reg & 3) * 8) & mask) != val)
        f->bar_writes_decoded++;
}

void pci_conf_write(uint32_t sbdf, unsigned reg, unsigned size, uint32_t val)
{
    struct sim_function *f = sim_find(sbdf);

    sim_raw_accesses++;
    ASSERT((size == 1 || size == 2 || size == 4) && !(reg % size) && reg < PCI_CFG_EXT_SIZE);
    if (!f)
        return;
    note_bar_write(f, reg, size, val);
    for (unsigned i = 0; i < size; i++) {
        uint8_t byte = (uint8_t)(val >> i * 8), w = f->writable[reg + i], c = f->w1c[reg + i];
        uint8_t *p = &f->config[reg + i];

        *p = (uint8_t)((*p & ~w) | (byte & w));
        *p = (uint8_t)(*p & ~(byte & c));
    }
}

static void put(uint8_t *bytes, unsigned reg, unsigned size, uint32_t val)
{
    for (unsigned i = 0; i < size; i++)
        bytes[reg + i] = (uint8_t)(val >> i * 8);
}

void sim_put(struct sim_function *f, unsigned reg, unsigned size, uint32_t val)
{
    put(f->config, reg, size, val);
}

uint32_t sim_get(const struct sim_function *f, unsigned reg, unsigned size)
{
    uint32_t val = 0;

    memcpy(&val, &f->config[reg], size);
    return val;
}

uint32_t sim_config32(const struct sim_function *f, unsigned reg)
{
    uint32_t val;

    memcpy(&val, &f->config[reg], 4);
    return val;
}

struct sim_function *sim_add(uint32_t sbdf, uint16_t vendor, uint16_t device)
{
    struct sim_function *f = &sim_functions[sim_nr_functions++];

    memset(f, 0, sizeof(*f));
    f->sbdf = sbdf;
    f->present = true;
    put(f->config, PCI_REG_VENDOR, 2, vendor);
    put(f->config, PCI_REG_DEVICE, 2, device);
    put(f->config, PCI_REG_CLASS_REV, 4, 0x02000001);
    put(f->config, PCI_REG_STATUS, 2, PCI_STATUS_CAP_LIST);
    put(f->writable, PCI_REG_COMMAND, 2, 0x0547);
    put(f->w1c, PCI_REG_STATUS, 2, 0xf900);
    put(f->writable, 0x0c, 1, 0xff); /* cache line size */
    put(f->writable, 0x3c, 1, 0xff); /* interrupt line */
    return f;
}

void sim_bar(struct sim_function *f, unsigned i, uint64_t size, uint64_t addr, bool is_64)
{
    unsigned reg = PCI_REG_BAR0 + i * 4;

    f->bar_size[i] = size;
    put(f->config, reg, 4, (uint32_t)addr | (is_64 ? PCI_BAR_MEM_64 : 0));
    put(f->writable, reg, 4, (uint32_t)-size & PCI_BAR_MEM_MASK);
    if (!is_64)
        return;
    put(f->config, reg + 4, 4, (uint32_t)(addr >> 32));
    put(f->writable, reg + 4, 4, (uint32_t)(-size >> 32));
}

void sim_io_bar(struct sim_function *f, unsigned i, uint32_t size, uint32_t addr)
{
    put(f->config, PCI_REG_BAR0 + i * 4, 4, addr | PCI_BAR_IO_SPACE);
    put(f->writable, PCI_REG_BAR0 + i * 4, 4, -size & 0xfffc);
}

void sim_rom(struct sim_function *f, uint32_t size, uint32_t addr)
{
    unsigned reg = f->config[PCI_REG_HEADER_TYPE] & 0x7f ? PCI_REG_ROM_BRIDGE : PCI_REG_ROM;

    put(f->config, reg, 4, addr);
    put(f->writable, reg, 4, (-size & PCI_ROM_MASK) | PCI_ROM_ENABLE);
}

void sim_bridge(struct sim_function *f, uint8_t secondary, uint8_t subordinate)
{
    f->config[PCI_REG_HEADER_TYPE] = PCI_HEADER_BRIDGE;
    f->config[PCI_REG_SECONDARY_BUS] = secondary;
    f->config[PCI_REG_SUBORD_BUS] = subordinate;
    memset(&f->writable[PCI_REG_PRIMARY_BUS], 0xff, 3);
    memset(&f->writable[0x20], 0xff, 16);
}

unsigned sim_cap(struct sim_function *f, uint8_t id, unsigned len)
{
    unsigned pos = f->config[PCI_REG_CAP_POINTER], end = 0x40;

    while (pos) {
        end = pos + 0x18;
        if (!f->config[pos + 1])
            break;
        pos = f->config[pos + 1];
    }
    ASSERT(len <= 0x18 && end + len <= 256);
    if (pos)
        f->config[pos + 1] = (uint8_t)end;
    else
        f->config[PCI_REG_CAP_POINTER] = (uint8_t)end;
    f->config[end] = id;
    return end;
}

unsigned sim_msi(struct sim_function *f, bool is_64, bool maskable, unsigned log2_messages)
{
    unsigned cap = sim_cap(f, PCI_CAP_MSI, 0x18), data = is_64 ? 12 : 8;

    f->msi = cap;
    put(f->config, cap + PCI_MSI_CONTROL, 2,
        log2_messages << 1 | (is_64 ? PCI_MSI_64BIT : 0) | (maskable ? PCI_MSI_MASKABLE : 0));
    put(f->writable, cap + PCI_MSI_CONTROL, 2, PCI_MSI_ENABLE | PCI_MSI_MME_MASK);
    put(f->writable, cap + PCI_MSI_ADDR_LO, 4, ~3u);
    if (is_64)
        put(f->writable, cap + PCI_MSI_ADDR_HI, 4, ~0u);
    put(f->writable, cap + data, 2, 0xffff);
    if (maskable)
        put(f->writable, cap + data + 4, 4, (1u << (1u << log2_messages)) - 1);
    return cap;
}

unsigned sim_msix(struct sim_function *f, unsigned nr, unsigned table_bar, uint32_t table_offset,
                  unsigned pba_bar, uint32_t pba_offset)
{
    unsigned cap = sim_cap(f, PCI_CAP_MSIX, 12);

    f->msix = cap;
    put(f->config, cap + PCI_MSIX_CONTROL, 2, nr - 1);
    put(f->writable, cap + PCI_MSIX_CONTROL, 2, PCI_MSIX_ENABLE | PCI_MSIX_FMASK);
    put(f->config, cap + PCI_MSIX_TABLE, 4, table_offset | table_bar);
    put(f->config, cap + PCI_MSIX_PBA, 4, pba_offset | pba_bar);
    return cap;
}

void sim_decode(struct sim_function *f, bool on)
{
    uint8_t *cmd = &f->config[PCI_REG_COMMAND];

    *cmd = (uint8_t)(on ? *cmd | PCI_COMMAND_MEMORY : *cmd & ~PCI_COMMAND_MEMORY);
}

uint64_t sim_bar_addr(const struct sim_function *f, unsigned i)
{
    uint64_t low = sim_config32(f, PCI_REG_BAR0 + i * 4);

    if ((low & PCI_BAR_MEM_TYPE_MASK) == PCI_BAR_MEM_64)
        low |= (uint64_t)sim_config32(f, PCI_REG_BAR0 + i * 4 + 4) << 32;
    return low & ~0xfULL;
}

void sim_flr(struct sim_function *f)
{
    f->config[PCI_REG_COMMAND] = f->config[PCI_REG_COMMAND + 1] = 0;
    if (f->msi)
        f->config[f->msi + PCI_MSI_CONTROL] &= (uint8_t) ~(PCI_MSI_ENABLE | PCI_MSI_MME_MASK);
    if (f->msix) {
        uint32_t where = sim_config32(f, f->msix + PCI_MSIX_TABLE);
        unsigned nr = (sim_config32(f, f->msix) >> 16 & PCI_MSIX_SIZE_MASK) + 1;
        uint32_t *table = phys_to_virt(sim_bar_addr(f, where & 7) + (where & ~7u));

        f->config[f->msix + PCI_MSIX_CONTROL + 1] &= 0x3f;
        for (unsigned i = 0; i < nr; i++)
            table[i * 4 + 3] = PCI_MSIX_CTRL_MASKED;
    }
    for (unsigned i = 0; i < PCI_MAX_BARS; i++)
        if (f->bar_size[i])
            sim_bar(f, i, f->bar_size[i], 0, f->config[PCI_REG_BAR0 + i * 4] & PCI_BAR_MEM_64);
}

/* ---- page table ---- */

static bool in_map(uint64_t gfn)
{
    return gfn < ARRAY_SIZE(frames);
}

int p2m_map_range(struct p2m *p2m, uint64_t gfn, uint64_t mfn, uint64_t nr, enum p2m_type type,
                  uint64_t *done)
{
    uint64_t i, n = MIN(nr, (uint64_t)300); /* as if more took too long */

    (void)p2m;
    if (sim_guest_on)
        return sim_guest_map_range(gfn, mfn, nr, type, done);
    ASSERT(gfn == mfn && type == P2M_MMIO_DIRECT && nr);
    *done = 0;
    if (sim_p2m_fails)
        return -ENOMEM;
    for (i = 0; i < n; i++)
        if (in_map(gfn + i)) {
            ASSERT(frames[gfn + i] == P2M_NONE || frames[gfn + i] == P2M_MMIO_DIRECT);
            frames[gfn + i] = P2M_MMIO_DIRECT;
        }
    *done = n;
    return n < nr ? -ERESTART : 0;
}

int p2m_unmap(struct p2m *p2m, uint64_t gfn, uint64_t nr, uint64_t *done)
{
    uint64_t n = MIN(nr, (uint64_t)300);

    sim_unmaps++;
    (void)p2m;
    ASSERT(nr);
    if (sim_guest_on)
        return sim_guest_unmap(gfn, nr, done);
    for (uint64_t i = 0; i < n; i++)
        if (in_map(gfn + i)) {
            ASSERT(frames[gfn + i] == P2M_NONE || frames[gfn + i] == P2M_MMIO_DIRECT);
            frames[gfn + i] = P2M_NONE;
        }
    *done = n;
    return n < nr ? -ERESTART : 0;
}

uint64_t p2m_lookup(const struct p2m *p2m, uint64_t gfn, enum p2m_type *type, unsigned *order)
{
    (void)p2m;
    if (sim_guest_on)
        return sim_guest_lookup(gfn, type, order);
    *type = in_map(gfn) ? (enum p2m_type)frames[gfn] : P2M_NONE;
    *order = in_map(gfn) ? 0 : 18;
    return *type == P2M_NONE ? INVALID_MFN : gfn;
}

bool sim_mapped(uint64_t gpa)
{
    return in_map(gpa >> PAGE_SHIFT) && frames[gpa >> PAGE_SHIFT] == P2M_MMIO_DIRECT;
}

unsigned sim_nr_mapped(void)
{
    unsigned n = 0;

    for (unsigned i = 0; i < ARRAY_SIZE(frames); i++)
        n += frames[i] == P2M_MMIO_DIRECT;
    return n;
}

/* ---- interrupts ---- */

int girq_msi_create(struct domain *dom, uint32_t sbdf, struct girq **out)
{
    (void)dom;
    for (unsigned i = 0; i < SIM_MAX_GIRQS; i++) {
        if (sim_girqs[i].used)
            continue;
        memset(&sim_girqs[i], 0, sizeof(sim_girqs[i]));
        sim_girqs[i].used = true;
        sim_girqs[i].id = i;
        sim_girqs[i].g.sbdf = sbdf;
        sim_girqs_used++;
        *out = &sim_girqs[i].g;
        return 0;
    }
    return -ENOSPC;
}

int girq_msi_bind(struct girq *g, uint64_t guest_addr, uint32_t guest_data)
{
    struct sim_girq *s = container_of(g, struct sim_girq, g);

    if (sim_bind_fails || guest_addr >> 20 != 0xfee)
        return -EINVAL;
    s->guest_addr = guest_addr;
    s->guest_data = guest_data;
    s->bound = true;
    return 0;
}

void girq_msi_unbind(struct girq *g)
{
    container_of(g, struct sim_girq, g)->bound = false;
}

void girq_message(const struct girq *g, uint64_t *addr, uint32_t *data)
{
    const struct sim_girq *s = container_of(g, struct sim_girq, g);

    /* Like a remapped message: the address names the entry. */
    *addr = 0xfee00010 | ((uint64_t)s->id << 5 & 0xfffe0);
    *data = 0xab00;
}

bool vapic_msi_possible(struct domain *dom, uint64_t addr, uint32_t data)
{
    (void)dom;
    (void)addr;
    (void)data;
    return true;
}

void girq_destroy(struct girq *g)
{
    struct sim_girq *s = container_of(g, struct sim_girq, g);

    ASSERT(s->used);
    s->used = false;
    sim_girqs_used--;
}

struct sim_girq *sim_girq_of_message(uint64_t addr, uint32_t data)
{
    unsigned id = (unsigned)(addr >> 5 & 0x7fff);

    if (addr >> 20 != 0xfee || !(addr & 0x10) || data != 0xab00 || id >= SIM_MAX_GIRQS)
        return NULL;
    return sim_girqs[id].used ? &sim_girqs[id] : NULL;
}

/* ---- the domain layer ---- */

const struct trap_vcpu *vcpu_trap(const struct vcpu *v)
{
    static struct trap_vcpu tv[SIM_VCPUS];
    const unsigned id = v ? ((const struct sim_vcpu *)v)->id : 0;

    tv[id] = (struct trap_vcpu){ &sim_traps, trap_who(sim_traps.domid, id) };
    return &tv[id];
}

struct vpci *domain_vpci(struct domain *d)
{
    return (struct vpci *)d;
}

int domain_pci_found(struct domain *d, struct pci_dev *pdev)
{
    (void)d;
    (void)pdev;
    if (sim_found_fails)
        return -EIO;
    sim_found++;
    return 0;
}

void domain_pci_gone(struct domain *d, struct pci_dev *pdev)
{
    (void)d;
    ASSERT(!pdev->owner);
    sim_gone++;
}

/* ---- the whole ---- */

void sim_reset(void)
{
    static bool reserved;

    sim_nr_functions = 0;
    sim_window = sim_bind_fails = sim_p2m_fails = sim_found_fails = false;
    sim_found = sim_gone = 0;
    phys_to_virt(0); /* makes the simulated memory, if it is not there yet */
    memset(frames, P2M_NONE, sizeof(frames));
    memset(&frames[SIM_RAM >> PAGE_SHIFT], P2M_RAM_RW, (SIM_RAM_END - SIM_RAM) >> PAGE_SHIFT);
    if (!reserved)
        pci_reserve(SIM_RESERVED, SIM_RESERVED_END - 1, "the test's own");
    reserved = true;
    trap_table_init(&sim_traps, 0);
    memset(&sim_p2m, 0, sizeof(sim_p2m));
    sim_p2m.max_gfn = BIT(39 - PAGE_SHIFT) - 1;
    sim_ioreq_reset(SIM_DOMAIN);
    vpci_prepare(&sim_vpci);
    if (vpci_init(&sim_vpci, SIM_DOMAIN, 0, &sim_traps, &sim_p2m, &vpci_policy_control))
        abort();
}

/* The youngest: virtual functions go before their physical ones. */
static int collect(struct pci_dev *dev, void *arg)
{
    *(uint32_t *)arg = dev->sbdf;
    return 0;
}

static int count_region(const struct trap_region *r, void *arg)
{
    (void)r;
    ++*(unsigned *)arg;
    return 0;
}

void sim_finish(void)
{
    unsigned regions = 0;
    uint32_t sbdf;

    vpci_destroy(&sim_vpci);
    sim_ioreq_finish();
    while (pci_nr_devices()) {
        pci_for_each(collect, &sbdf);
        ASSERT(!pci_remove(sbdf));
    }
    ASSERT(!sim_nr_mapped());
    ASSERT(!sim_girqs_used);
    trap_for_each(&sim_traps, TRAP_MMIO, count_region, &regions);
    trap_for_each(&sim_traps, TRAP_PIO, count_region, &regions);
    ASSERT(!regions);
    trap_table_destroy(&sim_traps);
    /* Each call moves the epoch on: nothing stays behind for the leak checker. */
    for (unsigned i = 0; i < 3; i++)
        trap_defer_free(trap_zalloc(1));
}

static int give(struct pci_dev *dev, void *arg)
{
    (void)arg;
    return vpci_add_device(SIM_DOMAIN, dev->sbdf);
}

void sim_boot(void)
{
    ASSERT(!pci_scan());
    ASSERT(!pci_for_each(give, NULL));
}

uint32_t cfg_read(uint32_t sbdf, unsigned reg, unsigned size)
{
    uint32_t val = 0;

    ASSERT(vpci_read(&sim_vpci, sbdf, reg, size, &val) == TRAP_DONE);
    return val;
}

void cfg_write(uint32_t sbdf, unsigned reg, unsigned size, uint32_t val)
{
    vpci_write(&sim_vpci, sbdf, reg, size, val);
}

enum trap_result mem_read(uint64_t gpa, unsigned size, uint64_t *val)
{
    *val = 0;
    if (!sim_mapped(gpa))
        return trap_mmio_access(SIM_VCPU, gpa, size, false, val);
    memcpy(val, phys_to_virt(gpa), size);
    return TRAP_DONE;
}

enum trap_result mem_write(uint64_t gpa, unsigned size, uint64_t val)
{
    if (!sim_mapped(gpa))
        return trap_mmio_access(SIM_VCPU, gpa, size, true, &val);
    memcpy(phys_to_virt(gpa), &val, size);
    return TRAP_DONE;
}
