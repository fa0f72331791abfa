/* SPDX-License-Identifier: MIT */
/* FUZZ_SOURCES: xen-lite/vdev/vlapic.c xen-lite/vdev/vlapic_regs.c xen-lite/vdev/vlapic_page.c xen-lite/vdev/vlapic_timer.c xen-lite/vdev/vapic_bus.c xen-lite/vdev/vioapic.c xen-lite/irq/timer.c */
/*
 * Any sequence of register accesses, messages, pins and time on a guest's local APICs and IO-APIC.
 * After each step what is in service and requested keeps the architecture's rules, and the hints
 * agree with the registers.
 */
#include <assert.h>

#include "../unit/vapic_sim.h"
#include "irq/girq.h"
#include "lib/errno.h"
#include "trap/trap.h"
#include "vdev/vioapic.h"
#include "vdev/vlapic_priv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define PINS 8

static struct girq pin[PINS];

int girq_gsi_bind(struct domain *dom, uint32_t gsi, bool level, bool active_low, struct girq **out)
{
    assert(dom == &sim_domain && gsi < PINS && !pin[gsi].dom);
    if (gsi == 0)
        return -EBUSY;
    pin[gsi] = (struct girq){ .dom = dom, .gsi = gsi, .level = level, .masked = true };
    pin[gsi].active_low = active_low;
    *out = &pin[gsi];
    return 0;
}

int girq_gsi_set_trigger(struct girq *g, bool level, bool active_low)
{
    assert(g->masked);
    if (g->level != level || g->active_low != active_low)
        g->in_service = false;
    g->level = level;
    g->active_low = active_low;
    return 0;
}

void girq_gsi_mask(struct girq *g)
{
    g->masked = true;
}

void girq_gsi_unmask(struct girq *g)
{
    g->masked = false;
}

void girq_eoi(struct girq *g)
{
    g->in_service = false;
}

void girq_destroy(struct girq *g)
{
    g->dom = NULL;
}

int ioapic_get(unsigned index, struct ioapic_info *out)
{
    (void)index, (void)out;
    return -ENOENT;
}

int trap_register_region(struct trap_table *t, enum trap_kind kind, uint64_t first, uint64_t last,
                         const struct trap_ops *ops, void *arg, const char *name,
                         struct trap_region **out)
{
    (void)t, (void)kind, (void)first, (void)last, (void)ops, (void)arg, (void)name;
    *out = NULL;
    return 0;
}

int trap_register(struct trap_table *t, enum trap_kind kind, uint64_t first, uint64_t last,
                  const struct trap_ops *ops, void *arg, const char *name)
{
    (void)t, (void)kind, (void)first, (void)last, (void)ops, (void)arg, (void)name;
    return 0;
}

void trap_unregister(struct trap_table *t, struct trap_region *r)
{
    (void)t, (void)r;
}

static void check(struct vlapic *l)
{
    int top = vec_highest(l->isr), irr = vlapic_highest_irr(l), next;

    assert(l->isr_top == (top < 0 ? 0 : top));
    assert(!((l->irr[0] | l->isr[0]) & 0xffff));
    assert(l->timer_running == timer_pending(&l->timer));
    next = vlapic_next_irq(l);
    if (irr >= 0 && irr >> 4 > vlapic_ppr(l) >> 4)
        assert(next == irr);
    else
        assert(next == -1);
}

/* A pin that is connected can interrupt again, or somebody still has to end its interrupt. */
static void check_pin(const struct vioapic *io, unsigned n)
{
    const struct vioapic_pin *p = &io->pin[n];

    if (!p->girq)
        return;
    assert(p->girq->masked == !!(p->rte & RTE_MASKED));
    assert(p->girq->level == !!(p->rte & RTE_LEVEL) || p->girq->masked);
    if (p->girq->in_service)
        assert((p->rte & RTE_REMOTE_IRR) || p->line);
}

static void fire(unsigned n)
{
    struct girq *g = &pin[n];

    if (!g->dom || g->masked || g->in_service)
        return;
    g->in_service = g->level;
    (void)vioapic_host_irq(g->dom, n, g->level);
}

static void step(struct vioapic *io, const uint8_t *op)
{
    struct vlapic *l = &sim_vcpu[(op[0] >> 4) % SIM_VCPUS].vlapic;
    uint32_t word =
        (uint32_t)op[2] | (uint32_t)op[3] << 8 | (uint32_t)op[4] << 16 | (uint32_t)op[5] << 24;
    unsigned size = 1u << (op[7] & 3);
    uint64_t val = word | (uint64_t)op[6] << 32;
    int vec;

    switch (op[0] & 15) {
    case 0:
    case 1:
        (void)vlapic_mmio_write(l, (uint32_t)op[1] << 4 | (op[7] >> 4), 4, word);
        break;
    case 2:
        (void)vlapic_mmio_read(l, (uint32_t)op[1] << 4 | (op[7] >> 4), size, &val);
        break;
    case 3:
    case 4:
        (void)vlapic_msr_write(l, 0x800 + op[1], val);
        break;
    case 5:
        (void)vlapic_msr_write(l, 0x1b, (l->apic_base & ~0xfffULL) | (word & 0xfff));
        break;
    case 6:
        (void)vlapic_msr_read(l, 0x800 + op[1], &val);
        break;
    case 7:
    case 8:
        (void)vioapic_mmio_write(io, 0x00, 4, op[1] % 40);
        (void)vioapic_mmio_write(io, op[7] & 0x80 ? op[7] & 0x1f : 0x10, 4, word);
        break;
    case 9:
        (void)vioapic_mmio_read(io, op[1] & 0x1f, size, &val);
        break;
    case 10:
        fire(op[1] % PINS);
        break;
    case 11:
        (void)vapic_deliver_msi(&sim_domain, 0xfee00000 | (word & 0xfffff), op[1] | op[6] << 8);
        break;
    case 12:
        sim_advance(word & 0xfffff);
        break;
    case 13:
        vlapic_set_cr8(l, op[1]);
        break;
    case 14:
        vec = vlapic_next_irq(l);
        if (vec >= 0)
            vlapic_ack_irq(l, (uint8_t)vec);
        break;
    default:
        (void)vlapic_set_irq(l, op[1], op[2] & 1);
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct ioapic_info info = { 0xfec00000, 0, PINS, 1, 0x20 };
    struct vioapic *io;

    sim_vapic_setup();
    memset(pin, 0, sizeof(pin));
    if (vioapic_create(&sim_domain.vapic, NULL, &info, true, &io))
        return 0;
    for (; size >= 8; data += 8, size -= 8) {
        step(io, data);
        for (unsigned i = 0; i < SIM_VCPUS; i++)
            check(&sim_vcpu[i].vlapic);
        for (unsigned n = 0; n < PINS; n++)
            check_pin(io, n);
    }
    for (unsigned i = 0; i < SIM_VCPUS; i++)
        vlapic_destroy(&sim_vcpu[i].vlapic);
    vioapic_destroy_all(&sim_domain.vapic);
    return 0;
}
