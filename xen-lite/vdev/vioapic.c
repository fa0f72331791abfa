/* SPDX-License-Identifier: MIT */
/*
 * A guest's IO-APICs (82093AA data sheet).  A pin that mirrors a physical one is connected when the
 * guest first unmasks it, with the trigger and polarity that the guest programmed; from then on the
 * guest's mask is the physical one.  A level interrupt holds its physical pin masked until the
 * guest's local APIC ends it.
 */
#include "vdev/vioapic.h"

#include "irq/girq.h"
#include "lib/errno.h"
#include "lib/printf.h"
#include "mm/heap.h"
#include "trap/trap.h"

#define IOREGSEL 0x00
#define IOWIN    0x10

#define REG_ID      0x00
#define REG_VERSION 0x01
#define REG_ARB     0x02
#define REG_RTE     0x10

#define RTE_READ_ONLY (RTE_DELIVERY_STATUS | RTE_REMOTE_IRR)
#define RTE_RESERVED  GENMASK(55, 17)

/* ---- interrupts; lock held in all of these ---- */

/* Sends the pin's interrupt if it may.  How many local APICs accepted it. */
static unsigned deliver(struct vioapic *io, struct vioapic_pin *p)
{
    struct vapic_message m = {
        .dest = (uint32_t)(p->rte >> RTE_DEST_SHIFT),
        .logical = p->rte & RTE_DEST_LOGICAL,
        .delivery = RTE_DELIVERY(p->rte),
        .vector = (uint8_t)p->rte,
        .level = p->rte & RTE_LEVEL,
    };
    unsigned accepted;

    if (p->rte & (RTE_MASKED | RTE_REMOTE_IRR))
        return 0;
    /* INIT and NMI come as edges whatever the trigger mode says; a pin must not start vCPUs. */
    if (m.delivery == VAPIC_STARTUP)
        return 0;
    accepted = vapic_deliver(io->bus, &m);
    if (accepted) {
        p->injected++;
        if (m.level && (m.delivery == VAPIC_FIXED || m.delivery == VAPIC_LOWEST))
            p->rte |= RTE_REMOTE_IRR;
    }
    return accepted;
}

/* The input of a level pin is (still) asserted, or an edge came. */
static unsigned pin_raise(struct vioapic *io, struct vioapic_pin *p, bool level)
{
    p->raised++;
    p->line = level;
    return deliver(io, p);
}

static bool level_line_waits(const struct vioapic_pin *p)
{
    return p->line && (p->rte & RTE_LEVEL);
}

static void release_input(struct vioapic *io, unsigned n)
{
    io->pin[n].line = false;
    if (io->ended && n < 32)
        io->to_ask |= 1u << n;
}

/* Without the lock: who shares a pin that was released asserts it again. */
static void ask_sources(struct vioapic *io, uint32_t pins)
{
    for (; pins; pins &= pins - 1)
        io->ended(io->bus->dom, io->gsi_base + (unsigned)__builtin_ctz(pins));
}

static uint32_t take_to_ask(struct vioapic *io)
{
    uint32_t pins = io->to_ask;

    io->to_ask = 0;
    return pins;
}

/* ---- the physical pin ---- */

static void connect_pin(struct vioapic *io, unsigned n)
{
    struct vioapic_pin *p = &io->pin[n];
    bool level = p->rte & RTE_LEVEL, active_low = p->rte & RTE_ACTIVE_LOW;
    int ret;

    if (p->girq)
        ret = girq_gsi_set_trigger(p->girq, level, active_low);
    else
        ret = girq_gsi_bind(io->bus->dom, io->gsi_base + n, level, active_low, &p->girq);
    if (ret) {
        if (!p->refused)
            pr_warn("vioapic: GSI %u is not available to the guest (%d)", io->gsi_base + n, ret);
        p->refused = true;
        return;
    }
    p->refused = false;
    girq_gsi_unmask(p->girq);
}

/* Follows a change of the guest's mask or trigger to the physical pin. */
static void update_host_pin(struct vioapic *io, unsigned n, uint64_t old)
{
    struct vioapic_pin *p = &io->pin[n];
    uint64_t changed = old ^ p->rte;

    if (!io->host || !(changed & (RTE_MASKED | RTE_LEVEL | RTE_ACTIVE_LOW)))
        return;
    if (p->girq) {
        girq_gsi_mask(p->girq);
        /* Remote IRR is gone with the level trigger, and no end of interrupt will come for it. */
        if (changed & RTE_LEVEL)
            girq_eoi(p->girq);
    }
    if (!(p->rte & RTE_MASKED))
        connect_pin(io, n);
}

/* ---- registers ---- */

static uint32_t reg_read(const struct vioapic *io, uint8_t reg)
{
    switch (reg) {
    case REG_ID:
    case REG_ARB:
        return (uint32_t)io->id << 24;
    case REG_VERSION:
        return (io->nr_pins - 1) << 16 | VIOAPIC_VERSION;
    default:
        break;
    }
    if (reg >= REG_RTE && (reg - REG_RTE) / 2u < io->nr_pins)
        return (uint32_t)(io->pin[(reg - REG_RTE) / 2].rte >> (reg & 1) * 32);
    return ~0u;
}

static void write_rte(struct vioapic *io, unsigned n, bool high, uint32_t val)
{
    struct vioapic_pin *p = &io->pin[n];
    uint64_t old = p->rte, rte;

    if (high)
        rte = (old & 0xffffffff) | (uint64_t)val << 32;
    else
        rte = (old & GENMASK(63, 32)) | val;
    rte = (rte & ~(RTE_READ_ONLY | RTE_RESERVED)) | (old & RTE_READ_ONLY);
    /* Old guests clear a stuck remote IRR by turning the entry into an edge one. */
    if (!(rte & RTE_LEVEL))
        rte &= ~RTE_REMOTE_IRR;
    p->rte = rte;
    if ((old ^ rte) & RTE_LEVEL)
        release_input(io, n); /* whatever was known of it belonged to the other kind of trigger */
    update_host_pin(io, n, old);
    if (level_line_waits(p))
        (void)deliver(io, p);
}

static void reg_write(struct vioapic *io, uint8_t reg, uint32_t val)
{
    /* The id is the machine's, and everything else is read-only. */
    if (reg >= REG_RTE && (reg - REG_RTE) / 2u < io->nr_pins)
        write_rte(io, (reg - REG_RTE) / 2u, reg & 1, val);
}

int vioapic_mmio_read(struct vioapic *io, uint32_t offset, unsigned size, uint64_t *val)
{
    *val = trap_all_ones(size);
    spin_lock(&io->lock);
    io->reads++;
    if (offset == IOREGSEL && size <= 4)
        *val = io->select;
    else if (offset == IOWIN && size == 4)
        *val = reg_read(io, io->select);
    spin_unlock(&io->lock);
    return 0;
}

int vioapic_mmio_write(struct vioapic *io, uint32_t offset, unsigned size, uint64_t val)
{
    uint32_t pins;

    spin_lock(&io->lock);
    io->writes++;
    if (offset == IOREGSEL && size <= 4)
        io->select = (uint8_t)val;
    else if (offset == IOWIN && size == 4)
        reg_write(io, io->select, (uint32_t)val);
    pins = take_to_ask(io);
    spin_unlock(&io->lock);
    ask_sources(io, pins);
    return 0;
}

static int page_read(struct vcpu *v, struct trap_region *r, uint64_t addr, unsigned size,
                     uint64_t *val)
{
    (void)v;
    return vioapic_mmio_read(r->arg, (uint32_t)(addr - r->first), size, val);
}

static int page_write(struct vcpu *v, struct trap_region *r, uint64_t addr, unsigned size,
                      uint64_t val)
{
    (void)v;
    return vioapic_mmio_write(r->arg, (uint32_t)(addr - r->first), size, val);
}

static const struct trap_ops page_ops = { page_read, page_write };

/* ---- inputs and ends ---- */

static struct vioapic *by_gsi(struct vapic_bus *bus, uint32_t gsi)
{
    for (uint32_t i = 0; i < bus->nr_vioapics; i++) {
        struct vioapic *io = bus->vioapic[i];

        if (gsi >= io->gsi_base && gsi - io->gsi_base < io->nr_pins)
            return io;
    }
    return NULL;
}

int vioapic_set_irq(struct vapic_bus *bus, uint32_t gsi, bool level)
{
    struct vioapic *io = by_gsi(bus, gsi);
    struct vioapic_pin *p;

    if (!io)
        return -ENOENT;
    p = &io->pin[gsi - io->gsi_base];
    spin_lock(&io->lock);
    if (!level)
        p->line = false;
    else if (!p->line)
        (void)pin_raise(io, p, true);
    spin_unlock(&io->lock);
    return 0;
}

unsigned vioapic_host_irq(struct domain *dom, uint32_t gsi, bool level)
{
    struct vioapic *io = by_gsi(domain_vapic(dom), gsi);
    unsigned accepted;

    if (!io)
        return 0;
    spin_lock(&io->lock);
    /* The trigger may have been changed between the physical interrupt and here: then it is stale.
     */
    if (level == !!(io->pin[gsi - io->gsi_base].rte & RTE_LEVEL))
        accepted = pin_raise(io, &io->pin[gsi - io->gsi_base], level);
    else
        accepted = 0;
    spin_unlock(&io->lock);
    return accepted;
}

/* The pin's interrupt has ended: a physical pin shows by itself whether it is still asserted. Lock
 * held. */
static void end_pin(struct vioapic *io, unsigned n)
{
    struct vioapic_pin *p = &io->pin[n];

    p->rte &= ~RTE_REMOTE_IRR;
    p->eois++;
    if (p->girq) {
        p->line = false;
        girq_eoi(p->girq);
    } else if (io->ended) {
        release_input(io, n);
    } else if (level_line_waits(p)) {
        (void)deliver(io, p);
    }
}

void vioapic_eoi(struct vapic_bus *bus, uint8_t vector)
{
    for (uint32_t i = 0; i < bus->nr_vioapics; i++) {
        struct vioapic *io = bus->vioapic[i];
        uint32_t pins;

        spin_lock(&io->lock);
        for (unsigned n = 0; n < io->nr_pins; n++) {
            const struct vioapic_pin *p = &io->pin[n];

            if ((uint8_t)p->rte == vector && (p->rte & RTE_REMOTE_IRR))
                end_pin(io, n);
        }
        pins = take_to_ask(io);
        spin_unlock(&io->lock);
        ask_sources(io, pins);
    }
}

/* ---- life cycle ---- */

static bool overlaps(const struct vapic_bus *bus, const struct ioapic_info *info)
{
    for (uint32_t i = 0; i < bus->nr_vioapics; i++) {
        const struct vioapic *o = bus->vioapic[i];

        if (info->gsi_base < o->gsi_base + o->nr_pins &&
            o->gsi_base < info->gsi_base + info->nr_pins)
            return true;
    }
    return false;
}

int vioapic_create(struct vapic_bus *bus, struct trap_table *traps, const struct ioapic_info *info,
                   bool host, struct vioapic **out)
{
    struct vioapic *io;
    int ret;

    if (!info->nr_pins || info->nr_pins > VIOAPIC_MAX_PINS || info->gsi_base > 0xffff ||
        (info->base & ~PAGE_MASK))
        return -EINVAL;
    if (bus->nr_vioapics == VAPIC_MAX_IOAPICS)
        return -ENOSPC;
    if (overlaps(bus, info))
        return -EEXIST;
    io = xzalloc(sizeof(*io));
    if (!io)
        return -ENOMEM;
    io->pin = xcalloc(info->nr_pins, sizeof(*io->pin));
    if (!io->pin) {
        xfree(io);
        return -ENOMEM;
    }
    spin_lock_init(&io->lock);
    io->bus = bus;
    io->traps = traps;
    io->base = info->base;
    io->gsi_base = info->gsi_base;
    io->nr_pins = info->nr_pins;
    io->id = info->id;
    io->host = host;
    for (unsigned n = 0; n < io->nr_pins; n++)
        io->pin[n].rte = RTE_MASKED;
    ret = trap_register_region(traps, TRAP_MMIO, io->base, io->base + VIOAPIC_LEN - 1, &page_ops,
                               io, "vioapic", &io->region);
    if (ret) {
        xfree(io->pin);
        xfree(io);
        return ret;
    }
    bus->vioapic[bus->nr_vioapics++] = io;
    if (out)
        *out = io;
    return 0;
}

int vioapic_mirror_host(struct vapic_bus *bus, struct trap_table *traps)
{
    struct ioapic_info info;

    for (unsigned i = 0; ioapic_get(i, &info) == 0; i++) {
        int ret = vioapic_create(bus, traps, &info, true, NULL);

        if (ret) {
            vioapic_destroy_all(bus);
            return ret;
        }
    }
    return 0;
}

void vioapic_destroy_all(struct vapic_bus *bus)
{
    /* All physical pins first: until then their handlers look through all of the IO-APICs. */
    for (uint32_t i = 0; i < bus->nr_vioapics; i++) {
        struct vioapic *io = bus->vioapic[i];

        for (unsigned n = 0; n < io->nr_pins; n++) {
            if (io->pin[n].girq)
                girq_destroy(io->pin[n].girq);
            io->pin[n].girq = NULL;
        }
    }
    while (bus->nr_vioapics) {
        struct vioapic *io = bus->vioapic[--bus->nr_vioapics];

        bus->vioapic[bus->nr_vioapics] = NULL;
        trap_unregister(io->traps, io->region);
        xfree(io->pin);
        xfree(io);
    }
}
