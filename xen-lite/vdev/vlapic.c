/* SPDX-License-Identifier: MIT */
/*
 * The core of the virtual local APIC: requesting, prioritising, taking and ending interrupts, and
 * its life cycle.
 */
#include "vdev/vlapic.h"

#include "lib/bitmap.h"
#include "lib/errno.h"
#include "lib/string.h"
#include "vdev/vioapic.h"
#include "vdev/vlapic_priv.h"

/* ---- requests, from any CPU ---- */

static void raise_pending(struct vlapic *l)
{
    /* An exchange: the full barrier that vcpu_kick() relies on. */
    (void)__atomic_exchange_n(&l->pending, 1, __ATOMIC_SEQ_CST);
    vcpu_kick(l->vcpu);
}

/* Another CPU may take it from the descriptor into the page while the guest runs. */
static int post(struct vlapic *l, uint8_t vec)
{
    enum ir_post_answer answer = ir_post_request(l->post, vec);

    if (answer == IR_POST_MERGED) {
        __atomic_fetch_add(&l->stats.coalesced, 1, __ATOMIC_RELAXED);
        return 0;
    }
    __atomic_fetch_add(&l->stats.posted, 1, __ATOMIC_RELAXED);
    if (answer == IR_POST_TELL) {
        (void)__atomic_exchange_n(&l->pending, 1, __ATOMIC_SEQ_CST);
        vcpu_tell_posted(l->vcpu);
    }
    return 1;
}

int vlapic_set_irq(struct vlapic *l, uint8_t vec, bool level)
{
    uint32_t bit = 1u << (vec % 32);

    if (!vlapic_sw_enabled(l))
        return -1;
    if (vec < 16) {
        vlapic_error(l, ESR_RECEIVE_ILLEGAL);
        return -1;
    }
    /* tmr is right before irr shows the request. */
    if (level != vec_test(l->tmr, vec)) {
        if (level)
            __atomic_fetch_or(&l->tmr[vec / 32], bit, __ATOMIC_RELAXED);
        else
            __atomic_fetch_and(&l->tmr[vec / 32], ~bit, __ATOMIC_RELAXED);
    }
    if (!level && READ_ONCE(l->page) && READ_ONCE(l->page_posts))
        return post(l, vec);
    if (__atomic_fetch_or(&l->irr[vec / 32], bit, __ATOMIC_SEQ_CST) & bit) {
        __atomic_fetch_add(&l->stats.coalesced, 1, __ATOMIC_RELAXED);
        return 0;
    }
    __atomic_fetch_add(&l->stats.accepted, 1, __ATOMIC_RELAXED);
    raise_pending(l);
    return 1;
}

bool vlapic_accept_posted(struct vlapic *l, const uint64_t vectors[4])
{
    unsigned accepted = 0, merged = 0;

    if (!vlapic_sw_enabled(l))
        return false;
    for (unsigned i = 0; i < 8; i++) {
        uint32_t bits = (uint32_t)(vectors[i / 2] >> 32 * (i % 2)), old;

        if (likely(!bits))
            continue;
        __atomic_fetch_and(&l->tmr[i], ~bits, __ATOMIC_RELAXED);
        old = __atomic_fetch_or(&l->irr[i], bits, __ATOMIC_SEQ_CST);
        merged += word_count(bits & old);
        accepted += word_count(bits & ~old);
    }
    __atomic_fetch_add(&l->stats.coalesced, merged, __ATOMIC_RELAXED);
    __atomic_fetch_add(&l->stats.accepted, accepted, __ATOMIC_RELAXED);
    /* The full barrier that vcpu_kick() relies on. */
    if (accepted)
        (void)__atomic_exchange_n(&l->pending, 1, __ATOMIC_SEQ_CST);
    return accepted;
}

void vlapic_local_signal(struct vlapic *l, enum vlapic_lvt which)
{
    uint32_t lvt = READ_ONCE(l->lvt[which]);

    if (!vlapic_hw_enabled(l) || (lvt & LVT_MASKED))
        return;
    switch (LVT_DELIVERY(lvt)) {
    case VAPIC_FIXED:
        (void)vlapic_set_irq(l, lvt & LVT_VECTOR, which == VLAPIC_LVT_LINT0 && (lvt & LVT_LEVEL));
        break;
    case VAPIC_NMI:
        vcpu_nmi(l->vcpu);
        break;
    case VAPIC_INIT:
        vcpu_init_signal(l->vcpu);
        break;
    default: /* no SMM, no 8259 */
        break;
    }
}

void vlapic_error(struct vlapic *l, uint32_t esr_bit)
{
    uint32_t old = __atomic_fetch_or(&l->esr_pending, esr_bit, __ATOMIC_RELAXED);
    uint32_t lvt = READ_ONCE(l->lvt[VLAPIC_LVT_ERROR]);

    /* An illegal vector in the error entry itself would be an error of its own, for ever. */
    if (!(old & esr_bit) && !(lvt & LVT_MASKED) && (lvt & LVT_VECTOR) >= 16)
        (void)vlapic_set_irq(l, lvt & LVT_VECTOR, false);
}

/* ---- delivery to the vCPU ---- */

int vlapic_highest_irr(const struct vlapic *l)
{
    int vec, in_page;

    if (!vlapic_hw_enabled(l))
        return -1;
    vec = vec_highest(l->irr);
    if (likely(!l->page))
        return vec;
    in_page = vlapic_page_highest(l->page, REG_IRR);
    return MAX(vec, in_page);
}

/* Changes nothing: `pending` is for the next entry, which puts irr into the page. */
static int next_in_page(const struct vlapic *l)
{
    int vec = vlapic_highest_irr(l);

    return vec >> 4 > vlapic_ppr(l) >> 4 ? vec : -1;
}

int vlapic_next_irq_slow(struct vlapic *l)
{
    int vec;

    if (l->page)
        return next_in_page(l);
    /* Cleared before irr is read: a request that comes later sets it again. */
    (void)__atomic_exchange_n(&l->pending, 0, __ATOMIC_SEQ_CST);
    vec = vlapic_highest_irr(l);
    if (vec < 0)
        return -1;
    if (vec >> 4 <= vlapic_ppr(l) >> 4) {
        l->blocked = true;
        return -1;
    }
    WRITE_ONCE(l->pending, 1);
    return vec;
}

/* The priorities may have dropped. */
static void priority_changed(struct vlapic *l)
{
    if (l->blocked) {
        l->blocked = false;
        WRITE_ONCE(l->pending, 1);
    }
}

void vlapic_ack_irq(struct vlapic *l, uint8_t vec)
{
    vlapic_from_page(l);
    __atomic_fetch_and(&l->irr[vec / 32], ~(1u << (vec % 32)), __ATOMIC_SEQ_CST);
    l->isr[vec / 32] |= 1u << (vec % 32);
    if (vec > l->isr_top)
        WRITE_ONCE(l->isr_top, vec);
    l->stats.acked++;
}

void vlapic_set_tpr(struct vlapic *l, uint8_t tpr)
{
    vlapic_from_page(l);
    WRITE_ONCE(l->tpr, tpr);
    priority_changed(l);
}

void vlapic_eoi(struct vlapic *l)
{
    unsigned vec;
    int top;

    vlapic_from_page(l);
    vec = l->isr_top;
    l->stats.eois++;
    if (!vec)
        return; /* nothing in service: hardware ignores it as well */
    l->isr[vec / 32] &= ~(1u << (vec % 32));
    top = vec_highest(l->isr);
    WRITE_ONCE(l->isr_top, (uint8_t)(top < 0 ? 0 : top));
    priority_changed(l);
    if (unlikely(vec_test(l->tmr, vec)))
        vioapic_eoi(l->bus, (uint8_t)vec);
}

/* ---- life cycle ---- */

void vapic_bus_init(struct vapic_bus *bus, struct domain *dom)
{
    memset(bus, 0, sizeof(*bus));
    bus->dom = dom;
}

int vlapic_init(struct vlapic *l, struct vapic_bus *bus, struct vcpu *v, uint32_t index)
{
    if (index >= VAPIC_MAX_VCPUS)
        return -EINVAL;
    if (bus->vlapic[index])
        return -EEXIST;
    memset(l, 0, sizeof(*l));
    l->vcpu = v;
    l->bus = bus;
    l->index = index;
    vlapic_timer_init(l);
    vlapic_reset(l);
    /* Complete before other vCPUs' messages can find it. */
    __atomic_store_n(&bus->vlapic[index], l, __ATOMIC_RELEASE);
    if (index >= bus->nr_vlapics)
        __atomic_store_n(&bus->nr_vlapics, index + 1, __ATOMIC_RELEASE);
    return 0;
}

void vlapic_destroy(struct vlapic *l)
{
    if (!l->bus || l->bus->vlapic[l->index] != l)
        return;
    timer_cancel_sync(&l->timer);
    __atomic_store_n(&l->bus->vlapic[l->index], NULL, __ATOMIC_RELEASE);
}

void vlapic_reset_init(struct vlapic *l)
{
    vlapic_from_page(l);
    vlapic_timer_stop(l);
    for (unsigned i = 0; i < 8; i++) {
        __atomic_store_n(&l->irr[i], 0, __ATOMIC_SEQ_CST);
        __atomic_store_n(&l->tmr[i], 0, __ATOMIC_RELAXED);
        l->isr[i] = 0;
    }
    WRITE_ONCE(l->isr_top, 0);
    WRITE_ONCE(l->tpr, 0);
    l->blocked = false;
    WRITE_ONCE(l->svr, 0xff);
    WRITE_ONCE(l->dfr, ~0u);
    /* Read-only in x2APIC mode: cluster and bit of the id (SDM vol. 3, 11.12.10.2). */
    WRITE_ONCE(l->ldr,
               vlapic_is_x2apic(l) ? vlapic_id(l) >> 4 << 16 | 1u << (vlapic_id(l) & 15) : 0);
    l->esr = 0;
    __atomic_store_n(&l->esr_pending, 0, __ATOMIC_RELAXED);
    l->icr = 0;
    for (unsigned i = 0; i < VLAPIC_NR_LVT; i++)
        WRITE_ONCE(l->lvt[i], LVT_MASKED);
    l->timer_initial = 0;
    l->timer_divide = 0;
}

void vlapic_reset(struct vlapic *l)
{
    WRITE_ONCE(l->apic_base,
               VLAPIC_DEFAULT_BASE | APIC_BASE_EN | (l->index == 0 ? APIC_BASE_BSP : 0));
    vlapic_reset_init(l);
}

void vlapic_migrate(struct vlapic *l, unsigned cpu)
{
    timer_set_cpu(&l->timer, cpu);
}
