/* SPDX-License-Identifier: MIT */
/*
 * Reset of physical functions as a machine of states, see pci_reset.h. The times are the specifications' own.
 */
#include "vdev/pci_reset.h"

#include "lib/errno.h"
#include "lib/printf.h"
#include "lib/string.h"
#include "lib/time.h"
#include "vdev/pci_sriov.h"

/* PCIe 5.0, 6.6.2: requests should be done within the longest completion time-out that is usual; then it is reset anyway. */
#define DRAIN_MS 1000
/* 6.6.1, 6.6.2: what a function may take before its registers are touched. */
#define SETTLE_MS 100
/* PCI 3.0, 4.3.2: 2^25 clocks of 33 MHz on a conventional bus. */
#define SETTLE_CONVENTIONAL_MS 1010
/* PCI Bus Power Management 1.2, 5.4: between D0 and D3hot, either way. */
#define POWER_MS 10
/* PCI-to-PCI Bridge 1.2, 3.2.5.18: at least 1 ms. */
#define BUS_RESET_MS 2
#define POLL_MS 10

/* ---- ways ---- */

static unsigned power_control(const struct pci_dev *dev)
{
    return pci_conf_read(dev->sbdf, dev->cap_pm + PCI_PM_CONTROL, 2);
}

/*
 * A bus reset reaches all functions behind the bridge; all of them must be changing hands, and none be a bridge whose
 * numbers would be lost.
 */
static bool owns_bus(const struct pci_dev *dev, const struct pci_topology *t)
{
    const struct pci_dev *bridge = pci_bridge_above(dev);
    unsigned self = pci_node_of(t, dev->sbdf);
    uint8_t secondary, subordinate;

    if (!bridge || self == PCI_NO_NODE || bridge->header != PCI_HEADER_BRIDGE || bridge->hidden ||
        bridge->pcie_type == PCIE_UPSTREAM || !pci_bridge_buses(bridge, &secondary, &subordinate))
        return false;
    for (unsigned i = 0; i < t->nr; i++) {
        const struct pci_dev *d = t->node[i].dev;

        if (PCI_SEG(d->sbdf) != PCI_SEG(dev->sbdf) || PCI_BUS(d->sbdf) < secondary ||
            PCI_BUS(d->sbdf) > subordinate)
            continue;
        if (d->header != PCI_HEADER_NORMAL || !pci_same_group(t, self, i))
            return false;
    }
    return true;
}

unsigned pci_reset_methods(const struct pci_dev *dev, const struct pci_topology *t)
{
    uint32_t sbdf = dev->sbdf;
    unsigned methods = 0, af = PCI_AF_CAP_TP | PCI_AF_CAP_FLR;

    if (dev->cap_pcie && (pci_conf_read(sbdf, dev->cap_pcie + PCI_EXP_DEVCAP, 4) & PCI_EXP_DEVCAP_FLR))
        methods |= PCI_RESET_FLR;
    if (dev->cap_af && (pci_conf_read(sbdf, dev->cap_af + PCI_AF_CAP, 1) & af) == af)
        methods |= PCI_RESET_AF_FLR;
    if (dev->cap_pm && !(power_control(dev) & PCI_PM_NO_SOFT_RESET))
        methods |= PCI_RESET_PM;
    /* On a virtual function's bus there is its physical one, or others of its kind. */
    if (t && !dev->physfn && owns_bus(dev, t))
        methods |= PCI_RESET_BUS;
    return methods;
}

const char *pci_reset_name(unsigned method)
{
    switch (method) {
    case PCI_RESET_FLR:
        return "function level reset";
    case PCI_RESET_AF_FLR:
        return "function level reset (AF)";
    case PCI_RESET_PM:
        return "power management reset";
    case PCI_RESET_BUS:
        return "secondary bus reset";
    default:
        return "wake-up";
    }
}

/* ---- registers ---- */

static uint16_t read_exp(const struct pci_dev *dev, unsigned reg)
{
    return (uint16_t)pci_conf_read(dev->sbdf, dev->cap_pcie + reg, 2);
}

/* Control registers of resizable BARs (PCIe 5.0, 7.8.6): how many, and where the first one is. */
static unsigned rebar_controls(const struct pci_dev *dev, unsigned *first)
{
    uint16_t pos = dev->resizable ? pci_find_ext_cap(dev->sbdf, PCI_EXT_CAP_REBAR) : 0;
    unsigned nr;

    if (!pos || pos + 12u > PCI_CFG_EXT_SIZE)
        return 0;
    *first = pos + 8u;
    nr = pci_conf_read(dev->sbdf, *first, 4) >> 5 & 7;
    return nr <= PCI_MAX_BARS && *first + nr * 8 - 4 <= PCI_CFG_EXT_SIZE ? nr : 0;
}

void pci_save(const struct pci_dev *dev, struct pci_saved *s)
{
    uint32_t sbdf = dev->sbdf;
    unsigned first = 0, nr = rebar_controls(dev, &first);

    memset(s, 0, sizeof(*s));
    for (unsigned i = 0; i < dev->nr_bars; i++)
        s->bar[i] = pci_conf_read(sbdf, PCI_REG_BAR0 + i * 4, 4);
    s->rom = pci_conf_read(sbdf, PCI_REG_ROM, 4) & PCI_ROM_MASK;
    s->cache_line = (uint8_t)pci_conf_read(sbdf, 0x0c, 1);
    s->latency = (uint8_t)pci_conf_read(sbdf, 0x0d, 1);
    s->int_line = (uint8_t)pci_conf_read(sbdf, PCI_REG_INT_LINE, 1);
    if (pci_has_exp(dev, PCI_EXP_LNKCTL)) {
        s->devctl = read_exp(dev, PCI_EXP_DEVCTL) & (uint16_t)~PCI_EXP_DEVCTL_FLR;
        s->lnkctl = read_exp(dev, PCI_EXP_LNKCTL);
    }
    if (pci_has_exp(dev, PCI_EXP_LNKCTL2)) {
        s->devctl2 = read_exp(dev, PCI_EXP_DEVCTL2);
        s->lnkctl2 = read_exp(dev, PCI_EXP_LNKCTL2);
    }
    for (unsigned i = 0; i < nr; i++)
        s->rebar[i] = pci_conf_read(sbdf, first + i * 8, 4);
    s->valid = true;
}

static void write_exp(const struct pci_dev *dev, unsigned reg, uint16_t val)
{
    pci_conf_write(dev->sbdf, dev->cap_pcie + reg, 2, val);
}

void pci_restore(const struct pci_dev *dev, const struct pci_saved *s)
{
    uint32_t sbdf = dev->sbdf;
    unsigned first = 0, nr = rebar_controls(dev, &first);

    if (!s->valid)
        return;
    pci_silence(dev);
    for (unsigned i = 0; i < nr; i++)
        pci_conf_write(sbdf, first + i * 8, 4, s->rebar[i]);
    if (pci_has_exp(dev, PCI_EXP_LNKCTL)) {
        write_exp(dev, PCI_EXP_DEVCTL, s->devctl);
        write_exp(dev, PCI_EXP_LNKCTL, s->lnkctl);
    }
    if (pci_has_exp(dev, PCI_EXP_LNKCTL2)) {
        write_exp(dev, PCI_EXP_DEVCTL2, s->devctl2);
        write_exp(dev, PCI_EXP_LNKCTL2, s->lnkctl2);
    }
    for (unsigned i = 0; i < dev->nr_bars; i++)
        pci_conf_write(sbdf, PCI_REG_BAR0 + i * 4, 4, s->bar[i]);
    pci_conf_write(sbdf, PCI_REG_ROM, 4, s->rom);
    pci_conf_write(sbdf, 0x0c, 1, s->cache_line);
    pci_conf_write(sbdf, 0x0d, 1, s->latency);
    pci_conf_write(sbdf, PCI_REG_INT_LINE, 1, s->int_line);
}

void pci_silence(const struct pci_dev *dev)
{
    uint32_t cmd = pci_conf_read(dev->sbdf, PCI_REG_COMMAND, 2);

    cmd &= ~(uint32_t)(PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
    pci_conf_write(dev->sbdf, PCI_REG_COMMAND, 2, cmd | PCI_COMMAND_NO_INTX);
}

/* ---- the machine ---- */

static void wait(struct pci_reset *r, enum pci_reset_state next, unsigned ms)
{
    r->state = next;
    r->wake_ns = now_ns() + ms * NS_PER_MS;
}

static void poll_until(struct pci_reset *r, enum pci_reset_state next, unsigned ms)
{
    r->state = next;
    r->deadline_ns = now_ns() + ms * NS_PER_MS;
}

void pci_reset_begin(struct pci_reset *r, const struct pci_dev *dev, unsigned method)
{
    memset(r, 0, sizeof(*r));
    r->dev = dev;
    r->method = method;
    r->state = PCI_RESET_WAKE;
    r->wake_ns = now_ns();
    if (method == PCI_RESET_BUS)
        r->bridge = pci_bridge_above(dev);
}

static void set_power(const struct pci_dev *dev, unsigned state)
{
    uint32_t val = power_control(dev) & ~(uint32_t)(PCI_PM_STATE_MASK | PCI_PM_PME_STATUS);

    pci_conf_write(dev->sbdf, dev->cap_pm + PCI_PM_CONTROL, 2, val | state);
}

/* The register stays the control domain's meanwhile, but for this bit: vdev/vpci_bridge.c. */
static void set_bus_reset(const struct pci_reset *r, bool on)
{
    uint32_t val;

    spin_lock(&r->bridge->command_lock);
    r->bridge->bus_reset = on;
    val = pci_conf_read(r->bridge->sbdf, PCI_REG_BRIDGE_CONTROL, 2);
    val = on ? val | PCI_BRIDGE_RESET : val & ~(uint32_t)PCI_BRIDGE_RESET;
    pci_conf_write(r->bridge->sbdf, PCI_REG_BRIDGE_CONTROL, 2, val);
    spin_unlock(&r->bridge->command_lock);
}

static bool requests_pending(const struct pci_reset *r)
{
    const struct pci_dev *dev = r->dev;

    if (r->method == PCI_RESET_AF_FLR)
        return pci_conf_read(dev->sbdf, dev->cap_af + PCI_AF_STATUS, 1) & PCI_AF_STATUS_PENDING;
    return dev->cap_pcie && (read_exp(dev, PCI_EXP_DEVSTA) & PCI_EXP_DEVSTA_PENDING);
}

static void step_wake(struct pci_reset *r)
{
    if (r->dev->cap_pm && (power_control(r->dev) & PCI_PM_STATE_MASK)) {
        set_power(r->dev, 0);
        wait(r, PCI_RESET_DRAIN, POWER_MS);
    }
    poll_until(r, PCI_RESET_DRAIN, DRAIN_MS);
}

static void step_drain(struct pci_reset *r)
{
    r->polled++;
    if (r->method && requests_pending(r) && !deadline_passed(r->deadline_ns)) {
        wait(r, PCI_RESET_DRAIN, POLL_MS);
        return;
    }
    if (r->method && requests_pending(r))
        pr_warn("pci " PCI_FMT ": requests still pending after %u ms, reset all the same",
                PCI_ARG(r->dev->sbdf), DRAIN_MS);
    r->state = r->method ? PCI_RESET_TRIGGER : PCI_RESET_READY;
    poll_until(r, r->state, PCI_RESET_READY_MS);
}

static void step_trigger(struct pci_reset *r)
{
    const struct pci_dev *dev = r->dev;

    switch (r->method) {
    case PCI_RESET_FLR:
        write_exp(dev, PCI_EXP_DEVCTL, read_exp(dev, PCI_EXP_DEVCTL) | PCI_EXP_DEVCTL_FLR);
        wait(r, PCI_RESET_SETTLE, SETTLE_MS);
        break;
    case PCI_RESET_AF_FLR:
        pci_conf_write(dev->sbdf, dev->cap_af + PCI_AF_CONTROL, 1, PCI_AF_CONTROL_FLR);
        wait(r, PCI_RESET_SETTLE, SETTLE_MS);
        break;
    case PCI_RESET_PM:
        set_power(dev, 3);
        wait(r, PCI_RESET_RAISE, POWER_MS);
        break;
    default:
        set_bus_reset(r, true);
        wait(r, PCI_RESET_RAISE, BUS_RESET_MS);
        break;
    }
}

static void step_raise(struct pci_reset *r)
{
    if (r->method == PCI_RESET_PM) {
        set_power(r->dev, 0);
        wait(r, PCI_RESET_SETTLE, POWER_MS);
        return;
    }
    set_bus_reset(r, false);
    wait(r, PCI_RESET_SETTLE,
         pci_is_alias_bridge(r->bridge) ? SETTLE_CONVENTIONAL_MS : SETTLE_MS);
}

/* PCIe 5.0, 2.3.2: a function that is not ready yet shows nothing, or vendor 1 where the root makes retries visible. */
static int step_ready(struct pci_reset *r)
{
    uint32_t id = pci_identity(r->dev);

    r->polled++;
    if (id != ~0u && (id & 0xffff) != 1) {
        r->state = PCI_RESET_DONE;
        return id == ((uint32_t)r->dev->device << 16 | r->dev->vendor) ? 0 : -EIO;
    }
    if (deadline_passed(r->deadline_ns))
        return -ETIMEDOUT;
    wait(r, PCI_RESET_READY, POLL_MS);
    return 0;
}

int pci_reset_step(struct pci_reset *r)
{
    int rc = 0;

    if (r->method == PCI_RESET_BUS && !r->bridge)
        return -EIO;
    while (r->state != PCI_RESET_DONE && !rc) {
        if (!deadline_passed(r->wake_ns))
            return -EAGAIN;
        switch (r->state) {
        case PCI_RESET_WAKE:
            step_wake(r);
            break;
        case PCI_RESET_DRAIN:
            step_drain(r);
            break;
        case PCI_RESET_TRIGGER:
            step_trigger(r);
            break;
        case PCI_RESET_RAISE:
            step_raise(r);
            break;
        case PCI_RESET_SETTLE:
            poll_until(r, PCI_RESET_READY, PCI_RESET_READY_MS);
            break;
        default:
            rc = step_ready(r);
            break;
        }
    }
    return rc;
}
