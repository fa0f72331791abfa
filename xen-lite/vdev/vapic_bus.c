/* SPDX-License-Identifier: MIT */
/*
 * The bus between the interrupt controllers of one domain: which local APICs a message names, and
 * delivery to them. Messages come from other vCPUs (interrupt command register), from the domain's
 * IO-APICs, and from devices.
 */
#include "irq/girq.h"
#include "lib/atomic.h"
#include "vdev/vlapic_priv.h"

#define BROADCAST      0xffu
#define BROADCAST_WIDE 0xffffffffu

/* ---- destinations (SDM vol. 3, 11.6.2 and 11.12.10) ---- */

static bool matches_logical(const struct vlapic *l, const struct vapic_message *m)
{
    uint32_t ldr = READ_ONCE(l->ldr), dfr = READ_ONCE(l->dfr), lid;

    if (vlapic_is_x2apic(l))
        return m->dest >> 16 == ldr >> 16 && (m->dest & ldr & 0xffff);
    if (m->dest > 0xff)
        return false; /* an xAPIC has no such destination */
    lid = ldr >> 24;
    switch (dfr >> 28) {
    case 0xf: /* flat */
        return lid & m->dest;
    case 0: /* cluster */
        return lid >> 4 == m->dest >> 4 && (lid & m->dest & 0xf);
    default:
        return false;
    }
}

bool vlapic_matches(const struct vlapic *l, const struct vapic_message *m)
{
    if (!vlapic_hw_enabled(l))
        return false;
    if (m->dest == (m->wide ? BROADCAST_WIDE : BROADCAST))
        return true;
    return m->logical ? matches_logical(l, m) : m->dest == vlapic_id(l);
}

static struct vlapic *bus_vlapic(const struct vapic_bus *bus, uint32_t index)
{
    return __atomic_load_n(&bus->vlapic[index], __ATOMIC_ACQUIRE);
}

static uint32_t bus_count(const struct vapic_bus *bus)
{
    return __atomic_load_n(&bus->nr_vlapics, __ATOMIC_ACQUIRE);
}

/* ---- delivery ---- */

/* True if it was accepted. */
static bool deliver_to(struct vlapic *l, const struct vapic_message *m)
{
    switch (m->delivery) {
    case VAPIC_FIXED:
    case VAPIC_LOWEST:
        return vlapic_set_irq(l, m->vector, m->level) >= 0;
    case VAPIC_NMI:
        vcpu_nmi(l->vcpu);
        return true;
    case VAPIC_INIT:
        vcpu_init_signal(l->vcpu);
        return true;
    case VAPIC_STARTUP:
        vcpu_sipi(l->vcpu, m->vector);
        return true;
    default: /* guests have neither SMM nor an 8259 */
        return false;
    }
}

/* Arbitration: the lowest processor priority wins; among equals, whose turn it is. */
static unsigned deliver_lowest(struct vapic_bus *bus, const struct vapic_message *m)
{
    uint32_t n = bus_count(bus);
    uint32_t start = __atomic_fetch_add(&bus->lowest_next, 1, __ATOMIC_RELAXED);
    struct vlapic *best = NULL;

    for (uint32_t i = 0; i < n; i++) {
        struct vlapic *l = bus_vlapic(bus, (start + i) % n);

        if (l && vlapic_sw_enabled(l) && vlapic_matches(l, m) &&
            (!best || vlapic_ppr(l) < vlapic_ppr(best)))
            best = l;
    }
    return best && deliver_to(best, m);
}

/* The only local APIC that a physical destination can name, NULL if there is none such. */
static struct vlapic *by_id(const struct vapic_bus *bus, uint32_t id)
{
    return id % 2 == 0 && id / 2 < bus_count(bus) ? bus_vlapic(bus, id / 2) : NULL;
}

static bool is_unicast(const struct vapic_message *m)
{
    return !m->logical && m->dest != (m->wide ? BROADCAST_WIDE : BROADCAST);
}

unsigned vapic_deliver(struct vapic_bus *bus, const struct vapic_message *m)
{
    unsigned accepted = 0;

    if (is_unicast(m)) {
        struct vlapic *l = by_id(bus, m->dest);

        return l && vlapic_hw_enabled(l) && deliver_to(l, m);
    }
    if (m->delivery == VAPIC_LOWEST)
        return deliver_lowest(bus, m);
    for (uint32_t i = 0; i < bus_count(bus); i++) {
        struct vlapic *l = bus_vlapic(bus, i);

        if (l && vlapic_matches(l, m))
            accepted += deliver_to(l, m);
    }
    return accepted;
}

/* ---- inter-processor interrupts ---- */

enum { SHORTHAND_NONE, SHORTHAND_SELF, SHORTHAND_ALL, SHORTHAND_OTHERS };

/* Shorthands "all": an ordinary delivery with a destination of everybody, less the sender perhaps.
 */
static void send_to_all(struct vlapic *sender, const struct vapic_message *m, bool others_only)
{
    for (uint32_t i = 0; i < bus_count(sender->bus); i++) {
        struct vlapic *l = bus_vlapic(sender->bus, i);

        if (l && vlapic_hw_enabled(l) && !(others_only && l == sender))
            (void)deliver_to(l, m);
    }
}

void vapic_send_ipi(struct vlapic *sender, uint64_t icr)
{
    bool x2 = vlapic_is_x2apic(sender);
    struct vapic_message m = {
        .dest = (uint32_t)(x2 ? icr >> 32 : icr >> 56),
        .logical = icr & ICR_LOGICAL,
        .wide = x2,
        .delivery = ICR_DELIVERY(icr),
        .vector = (uint8_t)icr,
        /* IPIs are edges: the trigger bit only tells INIT from its de-assertion (SDM vol.
           3, 11.6.1). */
        .level = false,
    };

    sender->stats.ipis_sent++;
    if (m.delivery == VAPIC_INIT && (icr & ICR_LEVEL) && !(icr & ICR_ASSERT))
        return;
    if (m.delivery <= VAPIC_LOWEST && m.vector < 16) {
        vlapic_error(sender, ESR_SEND_ILLEGAL);
        return;
    }
    switch (ICR_SHORTHAND(icr)) {
    case SHORTHAND_NONE:
        (void)vapic_deliver(sender->bus, &m);
        break;
    case SHORTHAND_SELF:
        if (m.delivery == VAPIC_FIXED) /* the only mode that goes with it */
            (void)deliver_to(sender, &m);
        break;
    case SHORTHAND_ALL:
        if (m.delivery == VAPIC_FIXED)
            send_to_all(sender, &m, false);
        break;
    case SHORTHAND_OTHERS:
        send_to_all(sender, &m, true);
        break;
    }
}

/* ---- devices' messages ---- */

#define MSI_ADDR_REDIRECT BIT(3)
#define MSI_ADDR_LOGICAL  BIT(2)
#define MSI_DATA_LEVEL    BIT(15)

void vapic_decode_msi(uint64_t addr, uint32_t data, struct vapic_message *m)
{
    m->dest = (addr >> 12) & 0xff;
    m->logical = addr & MSI_ADDR_LOGICAL;
    m->wide = false;
    m->delivery = (data >> 8) & 7;
    m->vector = (uint8_t)data;
    m->level = data & MSI_DATA_LEVEL;
    /* A redirectable logical message goes to one of those it names. */
    if (m->delivery == VAPIC_FIXED && m->logical && (addr & MSI_ADDR_REDIRECT))
        m->delivery = VAPIC_LOWEST;
}

unsigned vapic_deliver_msi(struct domain *dom, uint64_t addr, uint32_t data)
{
    struct vapic_bus *bus = domain_vapic(dom);
    struct vapic_message m;
    unsigned accepted;

    vapic_decode_msi(addr, data, &m);
    /* A message has no end that could be told to an IO-APIC: always an edge here. */
    m.level = false;
    accepted = vapic_deliver(bus, &m);
    __atomic_fetch_add(accepted ? &bus->msi_delivered : &bus->msi_unclaimed, 1, __ATOMIC_RELAXED);
    return accepted;
}

bool vapic_msi_cpu(struct domain *dom, uint64_t addr, uint32_t data, unsigned *cpu)
{
    struct vapic_bus *bus = domain_vapic(dom);
    struct vlapic *only = NULL;
    struct vapic_message m;

    vapic_decode_msi(addr, data, &m);
    for (uint32_t i = 0; i < bus_count(bus); i++) {
        struct vlapic *l = bus_vlapic(bus, i);

        if (!l || !vlapic_matches(l, &m))
            continue;
        if (only)
            return false;
        only = l;
    }
    if (!only)
        return false;
    *cpu = vcpu_cpu(only->vcpu);
    return true;
}

struct ir_post *vapic_msi_post(struct domain *dom, uint64_t addr, uint32_t data, uint8_t *vector)
{
    struct vapic_message m;
    struct vlapic *l;

    vapic_decode_msi(addr, data, &m);
    if (!is_unicast(&m) || m.level || (m.delivery != VAPIC_FIXED && m.delivery != VAPIC_LOWEST))
        return NULL;
    l = by_id(domain_vapic(dom), m.dest);
    *vector = m.vector;
    return l ? l->post : NULL;
}

bool vapic_msi_possible(struct domain *dom, uint64_t addr, uint32_t data)
{
    struct vapic_message m;

    vapic_decode_msi(addr, data, &m);
    /* Logical ids are the guest's to change at any time. */
    return !is_unicast(&m) || by_id(domain_vapic(dom), m.dest);
}
