/* SPDX-License-Identifier: MIT */
/*
 * Simulated buses, domains, vPCI and IOMMU of pt_rig.h.
 */
#include "pt_rig.h"

#include <stdio.h>
#include <stdlib.h>

#include "lib/assert.h"
#include "lib/errno.h"
#include "lib/string.h"
#include "mm/heap.h"
#include "sim.h"
#include "trap/reclaim.h"
#include "vdev/vintx.h"
#include "vdev/vpci_guest.h"
#include "vdev/vroot.h"

static struct rig_fn fns[RIG_MAX_FUNCTIONS];
static unsigned nr_fns;
static struct domain *domains[8];
struct domain *control_domain;
static char trace[4096];

bool rig_iommu_on, rig_intremap_on, rig_unit_failed, rig_no_unit, rig_slot_taken;
uint8_t rig_address_bits;
uint32_t rig_rmrr;
int rig_guest_attach_fails, rig_iommu_attach_fails;
unsigned rig_free_slot;
paddr_t rig_reserved;

static void note(const char *what, uint32_t sbdf)
{
    size_t n = strlen(trace);

    snprintf(trace + n, sizeof(trace) - n, "%s:%04x ", what, sbdf & 0xffff);
}

const char *rig_log(void)
{
    static char copy[sizeof(trace)];

    memcpy(copy, trace, sizeof(copy));
    trace[0] = '\0';
    return copy;
}

/* ---- configuration space ---- */

struct rig_fn *rig_of(uint32_t sbdf)
{
    for (unsigned i = 0; i < nr_fns; i++)
        if (fns[i].present && fns[i].sbdf == sbdf)
            return &fns[i];
    return NULL;
}

uint32_t rig_get(const struct rig_fn *f, unsigned reg, unsigned size)
{
    uint32_t val = 0;

    for (unsigned i = 0; i < size; i++)
        val |= (uint32_t)f->cfg[reg + i] << i * 8;
    return val;
}

void rig_set(struct rig_fn *f, unsigned reg, unsigned size, uint32_t val)
{
    for (unsigned i = 0; i < size; i++)
        f->cfg[reg + i] = (uint8_t)(val >> i * 8);
}

static void writable(struct rig_fn *f, unsigned reg, unsigned size, uint32_t mask)
{
    for (unsigned i = 0; i < size; i++)
        f->wr[reg + i] = (uint8_t)(mask >> i * 8);
}

static bool is_dead(const struct rig_fn *f)
{
    return f->never ? f->flr + f->pm + f->bus : f->dead_until_ns > sim_now_ns;
}

static void reset(struct rig_fn *f)
{
    uint8_t type = f->cfg[PCI_REG_HEADER_TYPE] & 0x7f;

    f->reset_decoding |= f->cfg[PCI_REG_COMMAND] & (PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
    rig_set(f, PCI_REG_COMMAND, 2, 0);
    rig_set(f, 0x0c, 1, 0);
    rig_set(f, PCI_REG_INT_LINE, 1, 0);
    for (unsigned i = 0; i < (type ? 2u : 6u); i++)
        rig_set(f, PCI_REG_BAR0 + i * 4, 4, 0);
    f->dead_until_ns = sim_now_ns + f->ready_ns;
}

static unsigned cap_of(const struct rig_fn *f, uint8_t id)
{
    unsigned pos = f->cfg[PCI_REG_CAP_POINTER];

    for (unsigned i = 0; i < 48 && pos; i++, pos = f->cfg[pos + 1])
        if (f->cfg[pos] == id)
            return pos;
    return 0;
}

static void effects(struct rig_fn *f, unsigned reg, unsigned size, const uint8_t *old)
{
    unsigned exp = cap_of(f, PCI_CAP_PCIE), pm = cap_of(f, PCI_CAP_PM), af = cap_of(f, PCI_CAP_AF);
    bool bridge = f->cfg[PCI_REG_HEADER_TYPE] & 0x7f;

    if (exp && reg == exp + PCI_EXP_DEVCTL && size == 2 && (f->cfg[reg + 1] & 0x80)) {
        f->cfg[reg + 1] &= 0x7f;
        rig_set(f, reg, 2, 0);
        f->flr++;
        reset(f);
    }
    if (af && reg == af + PCI_AF_CONTROL && (f->cfg[reg] & 1)) {
        f->cfg[reg] = 0;
        f->flr++;
        reset(f);
    }
    if (pm && reg == pm + PCI_PM_CONTROL && (old[0] & 3) == 3 && !(f->cfg[reg] & 3) &&
        !(f->cfg[reg] & PCI_PM_NO_SOFT_RESET)) {
        f->pm++;
        reset(f);
    }
    if (bridge && reg == PCI_REG_BRIDGE_CONTROL && (old[0] & 0x40) && !(f->cfg[reg] & 0x40))
        for (unsigned i = 0; i < nr_fns; i++)
            if (PCI_BUS(fns[i].sbdf) >= f->cfg[0x19] && PCI_BUS(fns[i].sbdf) <= f->cfg[0x1a]) {
                fns[i].bus++;
                reset(&fns[i]);
            }
}

uint32_t pci_conf_read(uint32_t sbdf, unsigned reg, unsigned size)
{
    struct rig_fn *f = rig_of(sbdf);
    uint32_t none = size == 4 ? ~0u : (1u << size * 8) - 1;

    ASSERT(!(reg % size) && reg + size <= PCI_CFG_EXT_SIZE);
    if (!f || (is_dead(f) && !f->retries))
        return none;
    if (is_dead(f))
        return reg == 0 ? none & 0xffff0001 : none;
    if (f->stuck && reg == cap_of(f, PCI_CAP_PCIE) + PCI_EXP_DEVSTA)
        return PCI_EXP_DEVSTA_PENDING;
    return rig_get(f, reg, size);
}

void pci_conf_write(uint32_t sbdf, unsigned reg, unsigned size, uint32_t val)
{
    struct rig_fn *f = rig_of(sbdf);
    uint8_t old[4];

    ASSERT(!(reg % size) && reg + size <= PCI_CFG_EXT_SIZE);
    if (!f || is_dead(f))
        return;
    memcpy(old, &f->cfg[reg], size);
    for (unsigned i = 0; i < size; i++)
        f->cfg[reg + i] = (uint8_t)((f->cfg[reg + i] & ~f->wr[reg + i]) |
                                    ((val >> i * 8) & f->wr[reg + i]));
    effects(f, reg, size, old);
}

void pci_hw_init(const struct acpi_mcfg_info *mcfg)
{
    (void)mcfg;
}

const volatile uint8_t *pci_conf_window(uint32_t sbdf)
{
    (void)sbdf;
    return NULL;
}

bool pci_has_ext_config(uint32_t sbdf)
{
    return PCI_SEG(sbdf) == 0;
}

/* ---- building ---- */

struct rig_fn *rig_add(unsigned bus, unsigned dev, unsigned fn)
{
    struct rig_fn *f = &fns[nr_fns++];

    ASSERT(nr_fns <= RIG_MAX_FUNCTIONS);
    memset(f, 0, sizeof(*f));
    f->sbdf = PCI_SBDF(0, bus, dev, fn);
    f->present = true;
    rig_set(f, PCI_REG_VENDOR, 4, 0x11e81234);
    rig_set(f, PCI_REG_CLASS_REV, 4, 0x02000001);
    rig_set(f, PCI_REG_STATUS, 2, PCI_STATUS_CAP_LIST);
    rig_set(f, PCI_REG_BAR0, 4, 0xf0000000 + nr_fns * 0x1000);
    writable(f, PCI_REG_BAR0, 4, 0xfffff000);
    writable(f, PCI_REG_COMMAND, 2, 0x0547);
    rig_set(f, PCI_REG_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
    rig_set(f, 0x0c, 1, 0x10);
    writable(f, 0x0c, 2, 0xffff);
    writable(f, PCI_REG_INT_LINE, 1, 0xff);
    rig_set(f, PCI_REG_INT_LINE, 1, 11);
    f->ecap_end = PCI_CFG_SIZE;
    return f;
}

struct rig_fn *rig_bridge(unsigned bus, unsigned dev, unsigned fn, unsigned secondary,
                          unsigned subordinate)
{
    struct rig_fn *f = rig_add(bus, dev, fn);

    rig_set(f, PCI_REG_CLASS_REV, 4, 0x06040000);
    rig_set(f, PCI_REG_HEADER_TYPE, 1, PCI_HEADER_BRIDGE);
    rig_set(f, PCI_REG_SECONDARY_BUS, 1, secondary);
    rig_set(f, PCI_REG_SUBORD_BUS, 1, subordinate);
    writable(f, PCI_REG_BRIDGE_CONTROL, 2, 0xffff);
    return f;
}

void rig_multi(struct rig_fn *f)
{
    f->cfg[PCI_REG_HEADER_TYPE] |= PCI_HEADER_MULTI;
}

unsigned rig_cap(struct rig_fn *f, uint8_t id, unsigned len)
{
    unsigned pos = 0x40, last = f->cfg[PCI_REG_CAP_POINTER];

    while (last && f->cfg[last + 1])
        last = f->cfg[last + 1];
    if (last)
        pos = last + 0x3c;
    ASSERT(pos + len <= PCI_CFG_SIZE);
    f->cfg[last ? last + 1 : PCI_REG_CAP_POINTER] = (uint8_t)pos;
    f->cfg[pos] = id;
    return pos;
}

unsigned rig_express(struct rig_fn *f, enum pcie_type type, bool flr)
{
    unsigned pos = rig_cap(f, PCI_CAP_PCIE, 0x3c);

    rig_set(f, pos + PCI_EXP_FLAGS, 2, 2 | (uint32_t)type << 4);
    rig_set(f, pos + PCI_EXP_DEVCAP, 4, flr ? PCI_EXP_DEVCAP_FLR : 0);
    writable(f, pos + PCI_EXP_DEVCTL, 2, 0xffff);
    rig_set(f, pos + PCI_EXP_DEVCTL, 2, 0x2810);
    writable(f, pos + PCI_EXP_LNKCTL, 2, 0xffff);
    return pos;
}

void rig_acs(struct rig_fn *f, bool on)
{
    unsigned pos = f->ecap_end;

    rig_set(f, pos, 4, 0x0001000d);
    rig_set(f, pos + 4, 2, 0x1d);
    rig_set(f, pos + 6, 2, on ? 0x1d : 0);
    writable(f, pos + 6, 2, 0x7f);
    f->ecap_end += 8;
}

void rig_pm(struct rig_fn *f, bool soft_reset)
{
    unsigned pos = rig_cap(f, PCI_CAP_PM, 8);

    writable(f, pos + PCI_PM_CONTROL, 2, PCI_PM_STATE_MASK);
    rig_set(f, pos + PCI_PM_CONTROL, 2, soft_reset ? 0 : PCI_PM_NO_SOFT_RESET);
}

void rig_af(struct rig_fn *f)
{
    unsigned pos = rig_cap(f, PCI_CAP_AF, 6);

    rig_set(f, pos + PCI_AF_CAP, 1, PCI_AF_CAP_TP | PCI_AF_CAP_FLR);
    writable(f, pos + PCI_AF_CONTROL, 1, 1);
}

void rig_msix(struct rig_fn *f, unsigned nr, uint32_t table, uint32_t pba)
{
    unsigned pos = rig_cap(f, PCI_CAP_MSIX, 12);

    rig_set(f, pos + PCI_MSIX_CONTROL, 2, nr - 1);
    rig_set(f, pos + PCI_MSIX_TABLE, 4, table);
    rig_set(f, pos + PCI_MSIX_PBA, 4, pba);
}

static void add_vf(const struct rig_fn *pf, unsigned n)
{
    struct rig_fn *f = rig_add(PCI_BUS(pf->sbdf), PCI_DEV(pf->sbdf), PCI_FN(pf->sbdf) + 1 + n);

    rig_set(f, PCI_REG_VENDOR, 4, ~0u);
    rig_set(f, PCI_REG_BAR0, 4, 0);
    writable(f, PCI_REG_BAR0, 4, 0);
    writable(f, PCI_REG_COMMAND, 2, 0x0545);
    rig_express(f, PCIE_ENDPOINT, true);
}

void rig_sriov(struct rig_fn *f, unsigned nr)
{
    unsigned pos = f->ecap_end;

    rig_set(f, pos, 4, 0x00010000 | PCI_EXT_CAP_SRIOV);
    rig_set(f, pos + PCI_SRIOV_CONTROL, 2, PCI_SRIOV_VFE | PCI_SRIOV_MSE);
    rig_set(f, pos + PCI_SRIOV_TOTAL_VFS, 2, nr);
    rig_set(f, pos + PCI_SRIOV_NUM_VFS, 2, nr);
    rig_set(f, pos + PCI_SRIOV_OFFSET, 2, 1);
    rig_set(f, pos + PCI_SRIOV_STRIDE, 2, 1);
    rig_set(f, pos + PCI_SRIOV_VF_DEVICE, 2, 0x11e9);
    rig_set(f, pos + PCI_SRIOV_BAR0, 4, 0xf1000000);
    writable(f, pos + PCI_SRIOV_BAR0, 4, 0xfffff000);
    f->ecap_end += PCI_SRIOV_LEN;
    for (unsigned n = 0; n < nr; n++)
        add_vf(f, n);
}

void rig_find_vfs(uint32_t physfn, unsigned nr)
{
    struct pci_dev *dev;

    for (unsigned n = 0; n < nr; n++) {
        if (pci_add(physfn + 1 + n, &dev) || !dev->physfn)
            abort();
        dev->owner = control_domain;
    }
}

static int give(struct pci_dev *dev, void *arg)
{
    (void)arg;
    dev->owner = control_domain;
    return 0;
}

void rig_boot(void)
{
    if (pci_scan() || pci_for_each(give, NULL))
        abort();
    rig_log();
}

struct pci_dev *rig_dev(uint32_t sbdf)
{
    struct pci_dev *dev = pci_find(sbdf);

    ASSERT(dev);
    return dev;
}

struct domain *rig_domain(uint16_t domid, bool root)
{
    struct domain *d = xzalloc(sizeof(*d));

    ASSERT(d && domid < ARRAY_SIZE(domains) && !domains[domid]);
    d->domid = domid;
    d->control = domid == 0;
    d->refs = 1;
    d->p2m.top_gfn = 0xfffff;
    d->iommu.domid = domid;
    /* The stand-in's way to remember whether it has a root. */
    d->vpci.nr_segments = root;
    pt_domain_init(&d->pt);
    domains[domid] = d;
    if (d->control)
        control_domain = d;
    return d;
}

void rig_begin(void)
{
    static bool reserved;

    nr_fns = 0;
    trace[0] = '\0';
    sim_now_ns = 1000000000;
    rig_iommu_on = rig_intremap_on = true;
    rig_unit_failed = rig_no_unit = rig_slot_taken = false;
    rig_address_bits = 39;
    rig_rmrr = 0;
    rig_guest_attach_fails = rig_iommu_attach_fails = 0;
    rig_free_slot = 1;
    rig_reserved = 0xe0000000;
    if (!reserved && pci_reserve(rig_reserved, rig_reserved + 0xffff, "the test's own"))
        abort();
    reserved = true;
    rig_domain(0, false);
}

/* Virtual functions go before their physical ones, which are older. */
static int last(struct pci_dev *dev, void *arg)
{
    *(uint32_t *)arg = dev->sbdf;
    dev->owner = NULL;
    return 0;
}

void rig_end(void)
{
    uint32_t sbdf;

    while (pci_nr_devices())
        if (pci_for_each(last, &sbdf) || pci_remove(sbdf))
            abort();
    for (unsigned i = 0; i < ARRAY_SIZE(domains); i++) {
        ASSERT(!domains[i] || (domains[i]->refs == 1 && list_empty(&domains[i]->pt.functions)));
        xfree(domains[i]);
        domains[i] = NULL;
    }
    for (unsigned i = 0; i < 3; i++)
        trap_defer_free(trap_zalloc(1));
}

struct pt_result rig_run(const struct pt_request *req, unsigned *waits)
{
    struct pt_result res;
    uint64_t wake_ns;
    unsigned n = 0;

    while (pt_run(req, &res, &wake_ns) == -EAGAIN) {
        ASSERT(wake_ns > sim_now_ns && wake_ns - sim_now_ns < 3000000000ULL && ++n < 10000);
        sim_now_ns = wake_ns;
    }
    if (waits)
        *waits = n;
    return res;
}

/* ---- stand-ins: domains ---- */

struct domain *domain_get_by_id(uint16_t domid)
{
    struct domain *d = domid < ARRAY_SIZE(domains) ? domains[domid] : NULL;

    if (d)
        d->refs++;
    return d;
}

void domain_put(struct domain *d)
{
    d->refs--;
}

/* ---- stand-ins: vPCI ---- */

int vpci_add_device(struct domain *d, uint32_t sbdf)
{
    struct pci_dev *dev = rig_dev(sbdf);

    ASSERT(!dev->owner && !dev->held);
    note("add", sbdf);
    dev->owner = d;
    return 0;
}

int vpci_remove_device(struct domain *d, uint32_t sbdf)
{
    struct pci_dev *dev = rig_dev(sbdf);

    ASSERT(dev->owner == d && dev->held);
    note("remove", sbdf);
    dev->owner = NULL;
    return 0;
}

int vpci_guest_attach(struct domain *d, uint32_t sbdf, unsigned slot, unsigned fn)
{
    struct pci_dev *dev = rig_dev(sbdf);
    char what[32];

    ASSERT(!dev->owner && dev->held);
    snprintf(what, sizeof(what), "appear%u.%u", slot, fn);
    note(what, sbdf);
    if (rig_guest_attach_fails && !--rig_guest_attach_fails)
        return -ENOMEM;
    dev->owner = d;
    return 0;
}

int vpci_guest_detach(struct domain *d, uint32_t sbdf)
{
    struct pci_dev *dev = rig_dev(sbdf);

    ASSERT(dev->owner == d && dev->held);
    note("vanish", sbdf);
    dev->owner = NULL;
    return 0;
}

int vroot_create(struct domain *d)
{
    d->vpci.nr_segments = 1;
    return 0;
}

void vroot_destroy(struct domain *d)
{
    d->vpci.nr_segments = 0;
}

int vroot_slot_state(struct domain *d, unsigned slot)
{
    (void)slot;
    if (!d->vpci.nr_segments)
        return -ENODEV;
    return rig_slot_taken ? XENLITE_PCI_SLOT_occupied : XENLITE_PCI_SLOT_empty;
}

int vroot_free_slot(struct domain *d)
{
    (void)d;
    return rig_free_slot ? (int)rig_free_slot : -ENOSPC;
}

int vioapic_create(struct vapic_bus *bus, struct trap_table *traps, const struct ioapic_info *info,
                   bool host, struct vioapic **out)
{
    (void)bus;
    (void)traps;
    (void)info;
    (void)host;
    *out = NULL;
    return 0;
}

/* ---- stand-ins: IOMMU ---- */

bool iommu_present(void)
{
    return rig_iommu_on;
}

bool iommu_enabled(void)
{
    return rig_iommu_on;
}

bool iommu_intremap(void)
{
    return rig_intremap_on;
}

int iommu_unit_for(uint32_t sbdf)
{
    (void)sbdf;
    return rig_no_unit ? -ENODEV : 0;
}

bool iommu_unit_info(unsigned n, struct iommu_unit_info *out)
{
    memset(out, 0, sizeof(*out));
    out->failed = rig_unit_failed;
    out->address_bits = rig_address_bits;
    return n == 0;
}

bool iommu_rmrr_for(uint32_t sbdf, unsigned n, uint64_t *start, uint64_t *end)
{
    *start = 0x7f000000;
    *end = 0x7f0fffff;
    return rig_rmrr && sbdf == rig_rmrr && n == 0;
}

int iommu_set_aliases(uint32_t sbdf, const uint16_t *rid, unsigned nr)
{
    for (unsigned i = 0; i < nr; i++)
        note("alias", rid[i]);
    (void)sbdf;
    return 0;
}

int iommu_attach(struct iommu_domain *d, uint32_t sbdf)
{
    char what[32];

    snprintf(what, sizeof(what), "attach%u", d->domid);
    note(what, sbdf);
    return rig_iommu_attach_fails && !--rig_iommu_attach_fails ? -EIO : 0;
}

int iommu_detach(uint32_t sbdf)
{
    note("block", sbdf);
    return 0;
}

int iommu_release(uint32_t sbdf)
{
    (void)sbdf;
    return -ENODEV;
}

bool iommu_device_info(unsigned n, struct iommu_dev_info *out)
{
    (void)n;
    (void)out;
    return false;
}

/* ---- stand-ins: what the registry of traps wants, which nobody uses here ---- */

const struct trap_vcpu *vcpu_trap(const struct vcpu *v)
{
    return &v->trap;
}

/* ---- stand-ins: INTx, where the test does not bring the real one ---- */

__attribute__((weak)) void vintx_disconnect(struct pci_dev *pdev)
{
    ASSERT(pdev->held);
}

__attribute__((weak)) int vintx_connect(struct domain *d, struct pci_dev *pdev, unsigned slot, uint32_t gsi, bool active_low)
{
    (void)d;
    (void)pdev;
    (void)slot;
    (void)gsi;
    (void)active_low;
    return 0;
}

__attribute__((weak)) void vintx_ended(struct domain *d, uint32_t gsi)
{
    (void)d;
    (void)gsi;
}

__attribute__((weak)) uint32_t vintx_gsi(const struct pci_dev *pdev, uint64_t *raised)
{
    (void)pdev;
    *raised = 0;
    return ~0u;
}
