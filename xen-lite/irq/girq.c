/* SPDX-License-Identifier: MIT */
/*
 * Interrupts of devices that belong to a guest.
 *
 * Moving a message to another CPU races with messages that are on their way to the old one.  So the
 * old vector stays allocated to the same source, and still delivers, until a message has arrived at
 * the new one; only then may it be freed, and only then may the source move again.  An idle source
 * holds two vectors at most.
 */
#include "irq/girq.h"

#include "iommu/iommu.h"
#include "irq/ioapic.h"
#include "irq/irq.h"
#include "lib/assert.h"
#include "lib/errno.h"
#include "lib/percpu.h"
#include "lib/printf.h"
#include "lib/time.h"
#include "mm/heap.h"

/* Vectors that are freed rest for a while (irq.c): a guest must not use them up by moving to and
 * fro. */
#define MOVE_INTERVAL_NS (100 * NS_PER_MS)

/* Messages of a compatibility-format interrupt (SDM vol. 3, 11.11). */
#define MSI_ADDR_BASE        0xfee00000u
#define MSI_ADDR_DEST_SHIFT  12
#define MSI_DATA_DELIVERY(d) (((d) >> 8) & 7)

static spinlock_t girq_list_lock = SPINLOCK_INIT;
static struct list_head girq_list = LIST_HEAD_INIT(girq_list);

static void count(uint64_t *counter)
{
    __atomic_fetch_add(counter, 1, __ATOMIC_RELAXED);
}

/* ---- delivery (interrupt context) ---- */

static void girq_msi_fire(void *arg)
{
    struct girq *g = arg;
    uint64_t addr;
    uint32_t data;

    count(&g->raised);
    if (unlikely(READ_ONCE(g->has_old)) && cpu_id() == READ_ONCE(g->cpu))
        WRITE_ONCE(g->old_idle, true);
    if (girq_guest_message(g, &addr, &data) && vapic_deliver_msi(g->dom, addr, data))
        count(&g->injected);
    else
        count(&g->dropped);
}

static void girq_gsi_fire(void *arg)
{
    struct girq *g = arg;
    bool level;

    count(&g->raised);
    spin_lock(&g->lock);
    level = g->level;
    if (level) {
        /* Masked before the EOI that follows this handler, or it would fire again and again until
         * the guest's. */
        g->in_service = true;
        ioapic_mask(g->gsi);
    }
    spin_unlock(&g->lock);
    /* Without g's lock: the vIO-APIC takes its own first and then g's. */
    if (!READ_ONCE(g->dying) && vioapic_host_irq(g->dom, g->gsi, level))
        count(&g->injected);
    else
        count(&g->dropped);
}

/* ---- life cycle ---- */

static struct girq *girq_new(enum girq_kind kind, struct domain *dom)
{
    struct girq *g = xzalloc(sizeof(*g));

    if (!g)
        return NULL;
    spin_lock_init(&g->lock);
    list_init(&g->link);
    g->kind = kind;
    g->dom = dom;
    return g;
}

static int take_vector(struct girq *g, unsigned cpu, irq_handler fn)
{
    int vec = irq_alloc_vector(cpu, fn, g);

    if (vec < 0)
        return vec;
    g->cpu = cpu;
    g->vector = (uint8_t)vec;
    return 0;
}

int girq_msi_create(struct domain *dom, uint32_t sbdf, struct girq **out)
{
    struct girq *g = girq_new(GIRQ_MSI, dom);
    int ret;

    if (!g)
        return -ENOMEM;
    g->sbdf = sbdf;
    ret = take_vector(g, irq_pick_cpu(), girq_msi_fire);
    if (ret)
        goto fail;
    if (iommu_intremap()) {
        ret = ir_alloc(sbdf, &g->irte);
        if (ret)
            goto fail_vector;
    }
    spin_lock(&girq_list_lock);
    list_add_tail(&g->link, &girq_list);
    spin_unlock(&girq_list_lock);
    *out = g;
    return 0;

fail_vector:
    irq_free_vector(g->cpu, g->vector);
fail:
    xfree(g);
    return ret;
}

static void unlink_girq(struct girq *g)
{
    spin_lock(&girq_list_lock);
    list_del(&g->link);
    spin_unlock(&girq_list_lock);
}

void girq_destroy(struct girq *g)
{
    spin_lock(&g->lock);
    WRITE_ONCE(g->dying, true);
    WRITE_ONCE(g->guest_msg, 0);
    spin_unlock(&g->lock);

    unlink_girq(g);
    if (g->kind == GIRQ_GSI)
        ioapic_release(g->gsi);
    else if (g->irte.valid)
        ir_free(&g->irte);
    irq_free_vector(g->cpu, g->vector);
    if (g->has_old)
        irq_free_vector(g->old_cpu, g->old_vector);
    xfree(g);
}

void girq_for_each(bool (*fn)(const struct girq *g, void *arg), void *arg)
{
    struct girq *g;

    spin_lock(&girq_list_lock);
    list_for_each_entry (g, &girq_list, link)
        if (!fn(g, arg))
            break;
    spin_unlock(&girq_list_lock);
}

/* ---- messages ---- */

/* Gives the vector of the last but one target back if nothing can be on its way to it.  Lock held.
 */
static void drop_old_target(struct girq *g)
{
    if (!g->has_old || !g->old_idle)
        return;
    irq_free_vector(g->old_cpu, g->old_vector);
    WRITE_ONCE(g->has_old, false);
    WRITE_ONCE(g->old_idle, false);
}

/* Takes a vector on `cpu` in place of the present one, if that is possible now.  Lock held.  True
 * if it did. */
static bool move_to(struct girq *g, unsigned cpu)
{
    unsigned old_cpu = g->cpu;
    uint8_t old_vector = g->vector;
    uint64_t now = now_ns();

    drop_old_target(g);
    if (cpu == g->cpu || g->has_old || (g->moves && now - g->moved_at < MOVE_INTERVAL_NS))
        return false;
    if (take_vector(g, cpu, girq_msi_fire))
        return false;
    g->moves++;
    g->moved_at = now;
    if (g->live) {
        g->old_cpu = old_cpu;
        g->old_vector = old_vector;
        WRITE_ONCE(g->old_idle, false);
        WRITE_ONCE(g->has_old, true);
    } else {
        irq_free_vector(old_cpu, old_vector);
    }
    return true;
}

/* Lock held. */
static int program_msi(struct girq *g)
{
    int ret = 0;

    if (g->irte.valid)
        ret = ir_set(&g->irte, g->vector, apicid_of_cpu(g->cpu), false, IR_FIXED);
    else if (apicid_of_cpu(g->cpu) > 0xfe)
        ret = -EINVAL;
    if (!ret)
        g->live = true;
    return ret;
}

/* A device may interrupt its guest's vCPUs, and no more: no SMI, INIT or start-up messages. */
bool girq_message_allowed(uint64_t addr, uint32_t data)
{
    if (addr >> 20 != MSI_ADDR_BASE >> 20)
        return false;
    switch (MSI_DATA_DELIVERY(data)) {
    case IR_FIXED:
    case IR_LOWEST:
        return (data & 0xff) >= 16;
    case IR_NMI:
        return true;
    default:
        return false;
    }
}

int girq_msi_bind(struct girq *g, uint64_t guest_addr, uint32_t guest_data)
{
    unsigned cpu;
    bool known;
    int ret = 0;

    ASSERT(g->kind == GIRQ_MSI);
    if (!girq_message_allowed(guest_addr, guest_data))
        return -EINVAL;
    known = vapic_msi_cpu(g->dom, guest_addr, guest_data, &cpu);
    spin_lock(&g->lock);
    if ((known && move_to(g, cpu)) || !g->live)
        ret = program_msi(g);
    if (!ret)
        __atomic_store_n(&g->guest_msg, guest_addr << 32 | guest_data, __ATOMIC_RELEASE);
    spin_unlock(&g->lock);
    return ret;
}

void girq_msi_unbind(struct girq *g)
{
    ASSERT(g->kind == GIRQ_MSI);
    spin_lock(&g->lock);
    WRITE_ONCE(g->guest_msg, 0);
    spin_unlock(&g->lock);
}

void girq_message(const struct girq *g, uint64_t *addr, uint32_t *data)
{
    ASSERT(g->kind == GIRQ_MSI);
    if (g->irte.valid) {
        ir_msi_message(&g->irte, addr, data);
        return;
    }
    /* Physical destination, fixed delivery, edge. */
    *addr = MSI_ADDR_BASE | (uint64_t)apicid_of_cpu(g->cpu) << MSI_ADDR_DEST_SHIFT;
    *data = g->vector;
}

void girq_retarget(struct girq *g, unsigned cpu)
{
    if (g->kind != GIRQ_MSI)
        return;
    spin_lock(&g->lock);
    /* Without remapping the message in the device would have to change with it: only at a bind. */
    if (g->irte.valid && g->guest_msg && g->live && move_to(g, cpu) && program_msi(g))
        pr_warn("girq: %08x: moving to cpu %u failed", g->sbdf, cpu);
    spin_unlock(&g->lock);
}

/* ---- pins ---- */

/* Puts g on the list unless the pin has an owner already. */
static int link_gsi(struct girq *g)
{
    struct girq *other;
    int ret = 0;

    spin_lock(&girq_list_lock);
    list_for_each_entry (other, &girq_list, link)
        if (other->kind == GIRQ_GSI && other->gsi == g->gsi)
            ret = -EBUSY;
    if (!ret)
        list_add_tail(&g->link, &girq_list);
    spin_unlock(&girq_list_lock);
    return ret;
}

int girq_gsi_bind(struct domain *dom, uint32_t gsi, bool level, bool active_low, struct girq **out)
{
    struct girq *g;
    int ret;

    if (ioapic_is_reserved(gsi))
        return -EBUSY;
    g = girq_new(GIRQ_GSI, dom);
    if (!g)
        return -ENOMEM;
    g->gsi = gsi;
    g->level = level;
    g->active_low = active_low;
    g->masked = true;
    ret = link_gsi(g);
    if (ret)
        goto fail;
    ret = take_vector(g, irq_pick_cpu(), girq_gsi_fire);
    if (ret)
        goto fail_link;
    ret = ioapic_route(gsi, g->cpu, g->vector, level, active_low);
    if (ret)
        goto fail_vector;
    *out = g;
    return 0;

fail_vector:
    irq_free_vector(g->cpu, g->vector);
fail_link:
    unlink_girq(g);
fail:
    xfree(g);
    return ret;
}

int girq_gsi_set_trigger(struct girq *g, bool level, bool active_low)
{
    int ret = 0;

    ASSERT(g->kind == GIRQ_GSI);
    spin_lock(&g->lock);
    if (!g->masked) {
        ret = -EBUSY;
    } else if (g->level != level || g->active_low != active_low) {
        ret = ioapic_route(g->gsi, g->cpu, g->vector, level, active_low);
        if (!ret) {
            g->level = level;
            g->active_low = active_low;
            g->in_service = false;
        }
    }
    spin_unlock(&g->lock);
    return ret;
}

void girq_gsi_mask(struct girq *g)
{
    ASSERT(g->kind == GIRQ_GSI);
    spin_lock(&g->lock);
    g->masked = true;
    ioapic_mask(g->gsi);
    spin_unlock(&g->lock);
}

void girq_gsi_unmask(struct girq *g)
{
    ASSERT(g->kind == GIRQ_GSI);
    spin_lock(&g->lock);
    g->masked = false;
    if (!g->in_service)
        ioapic_unmask(g->gsi);
    spin_unlock(&g->lock);
}

void girq_eoi(struct girq *g)
{
    ASSERT(g->kind == GIRQ_GSI);
    spin_lock(&g->lock);
    if (g->in_service) {
        g->in_service = false;
        g->eois++;
        if (!g->masked)
            ioapic_unmask(g->gsi);
    }
    spin_unlock(&g->lock);
}
