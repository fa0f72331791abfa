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
#include "iommu/post.h"
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

/* Interrupts in a row that nobody claims, before a pin without an owner is masked. */
#define MAX_UNCLAIMED 1000

/* Messages of a compatibility-format interrupt (SDM vol. 3, 11.11). */
#define MSI_ADDR_BASE        0xfee00000u
#define MSI_ADDR_DEST_SHIFT  12
#define MSI_DATA_DELIVERY(d) (((d) >> 8) & 7)

static spinlock_t girq_list_lock = SPINLOCK_INIT;
static struct list_head girq_list = LIST_HEAD_INIT(girq_list);
/* Pins get and lose owners and sharers one at a time. After the vIO-APIC's lock, before those of the list and of sources. */
static spinlock_t gsi_lock = SPINLOCK_INIT;

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

/* Somebody wants the pin's interrupts. Lock held. */
static bool pin_wanted(const struct girq *g)
{
    return !g->masked || g->sharers;
}

/* Lock held. */
static void end_service(struct girq *g)
{
    g->in_service = false;
    if (pin_wanted(g))
        ioapic_unmask(g->gsi);
}

/*
 * A shared pin: true if the interrupt is done with. Functions that assert it have been silenced, so the pin may fire again
 * for the others. What nobody claims is the owner's, or, without one, some device's that nobody drives: after a while the pin
 * stays masked, or nothing else would run.
 */
static bool shared_fire(struct girq *g)
{
    bool (*claim)(uint32_t gsi), claimed, owned;

    spin_lock(&g->lock);
    claim = g->sharers ? g->claim : NULL;
    spin_unlock(&g->lock);
    if (!claim)
        return false;
    claimed = claim(g->gsi);
    spin_lock(&g->lock);
    owned = g->dom && !g->masked;
    if (claimed)
        g->unclaimed = 0;
    if (claimed || (!owned && ++g->unclaimed < MAX_UNCLAIMED))
        end_service(g);
    else if (!owned && g->unclaimed == MAX_UNCLAIMED)
        pr_warn("girq: nobody claims the interrupts of GSI %u; it stays masked", g->gsi);
    spin_unlock(&g->lock);
    count(claimed ? &g->injected : &g->dropped);
    return claimed || !owned;
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
    if (level && unlikely(READ_ONCE(g->sharers)) && shared_fire(g))
        return;
    /* Without g's lock: the vIO-APIC takes its own first and then g's. */
    if (!READ_ONCE(g->dying) && READ_ONCE(g->dom) && vioapic_host_irq(g->dom, g->gsi, level))
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

/* The owner's end: the pin stays for those who share it. */
static bool leave_to_sharers(struct girq *g)
{
    bool shared;

    spin_lock(&g->lock);
    shared = g->kind == GIRQ_GSI && g->sharers && g->dom;
    if (shared) {
        WRITE_ONCE(g->dom, NULL);
        g->masked = true;
        if (g->in_service)
            end_service(g);
    }
    spin_unlock(&g->lock);
    return shared;
}

void girq_destroy(struct girq *g)
{
    if (leave_to_sharers(g))
        return;
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

bool girq_of_entry(unsigned unit, unsigned index, struct girq_entry *out)
{
    struct girq *g;
    bool found = false;

    spin_lock(&girq_list_lock);
    list_for_each_entry (g, &girq_list, link) {
        spin_lock(&g->lock);
        found = g->irte.valid && g->irte.unit == unit && g->irte.index == index;
        if (found) {
            *out = (struct girq_entry){ .dom = g->dom,
                                        .sbdf = g->sbdf,
                                        .sid = g->irte.sid,
                                        .vector = g->vector,
                                        .dest = apicid_of_cpu(g->cpu) };
            if (g->irte.post) {
                out->post = ir_post_address(g->irte.post);
                out->vector = g->irte.vector;
                out->dest = 0;
            }
            ir_inspect(unit, index, &out->entry);
        }
        spin_unlock(&g->lock);
        if (found)
            break;
    }
    spin_unlock(&girq_list_lock);
    return found;
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

/* Requests are posted to the vCPU's descriptor. The host vector stays, for messages on their way and the next bind. Lock held. */
static int post_msi(struct girq *g, struct ir_post *post, uint8_t vector)
{
    if (g->irte.post == post && g->irte.vector == vector)
        return 0;
    return ir_set_posted(&g->irte, post, vector);
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
    struct ir_post *post = NULL;
    uint8_t vector;
    unsigned cpu;
    bool known;
    int ret = 0;

    ASSERT(g->kind == GIRQ_MSI);
    if (!girq_message_allowed(guest_addr, guest_data))
        return -EINVAL;
    if (ir_can_post(&g->irte))
        post = vapic_msi_post(g->dom, guest_addr, guest_data, &vector);
    known = !post && vapic_msi_cpu(g->dom, guest_addr, guest_data, &cpu);
    spin_lock(&g->lock);
    if (post)
        ret = post_msi(g, post, vector);
    else if ((known && move_to(g, cpu)) || !g->live || g->irte.post)
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
    /* A posted request would reach the vCPU: what comes now is to come here, to be dropped. */
    if (g->irte.post && program_msi(g))
        pr_warn("girq: %08x: its interrupts cannot be stopped: the unit failed", g->sbdf);
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
    if (g->irte.valid && !g->irte.post && g->guest_msg && g->live && move_to(g, cpu) &&
        program_msi(g))
        pr_warn("girq: %08x: moving to cpu %u failed", g->sbdf, cpu);
    spin_unlock(&g->lock);
}

void girq_follow(struct domain *dom)
{
    struct girq *g;

    spin_lock(&girq_list_lock);
    list_for_each_entry (g, &girq_list, link) {
        uint64_t addr;
        uint32_t data;
        unsigned cpu;

        if (g->dom == dom && g->kind == GIRQ_MSI && girq_guest_message(g, &addr, &data) &&
            vapic_msi_cpu(dom, addr, data, &cpu) && cpu != READ_ONCE(g->cpu))
            girq_retarget(g, cpu);
    }
    spin_unlock(&girq_list_lock);
}

/* ---- pins ---- */

/* The source of the pin, NULL if it has none. */
static struct girq *of_gsi(uint32_t gsi)
{
    struct girq *g, *found = NULL;

    spin_lock(&girq_list_lock);
    list_for_each_entry (g, &girq_list, link)
        if (g->kind == GIRQ_GSI && g->gsi == gsi)
            found = g;
    spin_unlock(&girq_list_lock);
    return found;
}

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

/* A pin that only sharers have had so far gets an owner, who programmes it as it wants. */
static int adopt(struct girq *g, struct domain *dom, bool level, bool active_low)
{
    int ret = 0;

    spin_lock(&g->lock);
    if (g->level != level || g->active_low != active_low)
        ret = ioapic_route(g->gsi, g->cpu, g->vector, level, active_low);
    if (!ret) {
        g->level = level;
        g->active_low = active_low;
        g->unclaimed = 0;
        end_service(g);
        WRITE_ONCE(g->dom, dom);
    }
    spin_unlock(&g->lock);
    return ret;
}

static int bind_locked(struct domain *dom, uint32_t gsi, bool level, bool active_low,
                       struct girq **out)
{
    struct girq *g = of_gsi(gsi);
    int ret;

    if (ioapic_is_reserved(gsi))
        return -EBUSY;
    if (g && !READ_ONCE(g->dom)) {
        *out = g;
        return adopt(g, dom, level, active_low);
    }
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

int girq_gsi_bind(struct domain *dom, uint32_t gsi, bool level, bool active_low, struct girq **out)
{
    int ret;

    spin_lock(&gsi_lock);
    ret = bind_locked(dom, gsi, level, active_low, out);
    spin_unlock(&gsi_lock);
    return ret;
}

static int share_locked(uint32_t gsi, bool active_low, bool (*claim)(uint32_t gsi))
{
    struct girq *g = of_gsi(gsi);
    int ret = g ? 0 : bind_locked(NULL, gsi, true, active_low, &g);

    if (ret)
        return ret;
    spin_lock(&g->lock);
    if (!g->level)
        ret = -EBUSY;
    if (!ret) {
        g->claim = claim;
        g->sharers++;
        g->unclaimed = 0;
        /* Whoever asserts it says so at once. */
        if (!g->in_service || !g->dom)
            end_service(g);
    }
    spin_unlock(&g->lock);
    return ret;
}

int girq_gsi_share(uint32_t gsi, bool active_low, bool (*claim)(uint32_t gsi))
{
    int ret;

    spin_lock(&gsi_lock);
    ret = share_locked(gsi, active_low, claim);
    spin_unlock(&gsi_lock);
    return ret;
}

/* A source without owner and sharers, off the list and its pin, to be freed; NULL: somebody is left. */
static struct girq *unshare_locked(uint32_t gsi)
{
    struct girq *g = of_gsi(gsi);
    bool unused;

    if (!g)
        return NULL;
    spin_lock(&g->lock);
    g->sharers--;
    unused = !g->sharers && !g->dom;
    if (!pin_wanted(g))
        ioapic_mask(gsi);
    spin_unlock(&g->lock);
    if (!unused)
        return NULL;
    unlink_girq(g);
    ioapic_release(gsi);
    return g;
}

void girq_gsi_unshare(uint32_t gsi)
{
    struct girq *g;

    spin_lock(&gsi_lock);
    g = unshare_locked(gsi);
    spin_unlock(&gsi_lock);
    if (!g)
        return;
    irq_free_vector(g->cpu, g->vector);
    xfree(g);
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
            end_service(g);
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
    if (!pin_wanted(g))
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
        g->eois++;
        end_service(g);
    }
    spin_unlock(&g->lock);
}
