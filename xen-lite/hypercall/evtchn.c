/* SPDX-License-Identifier: MIT */
/*
 * Event channels: port allocation, the two-level ABI, delivery to vCPUs, VIRQs, ports of the
 * hypervisor, and life cycle. What guests ask for through the hypercall is in evtchn_op.c, the FIFO
 * ABI in evtchn_fifo.c.
 */
#include "hypercall/evtchn.h"

#include "domain/domain.h"
#include "lib/assert.h"
#include "lib/errno.h"
#include "lib/string.h"
#include "mm/heap.h"
#include "sched/sched.h"
#include "vdev/vlapic.h"

/*
 * ---- the two-level ABI: one pending and one mask bit a port, one selector bit for 64 ports ----
 */

static void twolevel_upcall(struct domain *d, const struct evtchn_port *chn, evtchn_port_t port)
{
    struct vcpu *v = d->vcpu[chn->vcpu];

    if (!test_and_set_bit(&v->evt.info->evtchn_pending_sel, port / 64))
        evtchn_mark_upcall(v);
}

static void twolevel_set_pending(struct domain *d, const struct evtchn_port *chn,
                                 evtchn_port_t port)
{
    struct shared_info *s = d->evtchn.shared_info;

    if (port >= EVTCHN_2L_NR_CHANNELS || test_and_set_bit(s->evtchn_pending, port))
        return;
    if (!test_bit(s->evtchn_mask, port))
        twolevel_upcall(d, chn, port);
}

static void twolevel_unmask(struct domain *d, const struct evtchn_port *chn, evtchn_port_t port)
{
    struct shared_info *s = d->evtchn.shared_info;

    if (port >= EVTCHN_2L_NR_CHANNELS)
        return;
    if (test_and_clear_bit(s->evtchn_mask, port) && test_bit(s->evtchn_pending, port))
        twolevel_upcall(d, chn, port);
}

/* ---- delivery ---- */

static void signal_vcpu(struct vcpu *v)
{
    /* vlapic_set_irq() kicks the vCPU itself. */
    if (v->evt.upcall_vector)
        vlapic_set_irq(&v->vlapic, v->evt.upcall_vector, false);
    else
        vcpu_kick(v);
}

void evtchn_mark_upcall(struct vcpu *v)
{
    if (!__atomic_exchange_n(&v->evt.info->evtchn_upcall_pending, 1, __ATOMIC_SEQ_CST))
        signal_vcpu(v);
}

int evtchn_direct_vector(const struct vcpu *v)
{
    uint8_t vector = v->domain->evtchn.callback_vector;

    if (!vector || v->evt.upcall_vector || !READ_ONCE(v->evt.info->evtchn_upcall_pending))
        return -1;
    return vector;
}

bool evtchn_upcall_pending(const struct vcpu *v)
{
    return evtchn_direct_vector(v) >= 0;
}

/*
 * Pollers wait for the pending bit, masked or not. One may be woken in vain: it looks again; but one that has gone
 * offline since stays so, which is why this is a kick.
 */
static void wake_pollers(struct domain *d, evtchn_port_t port)
{
    for (unsigned i = 0; READ_ONCE(d->evtchn.nr_polling) && i < d->max_vcpus; i++) {
        struct vcpu *v = d->vcpu[i];

        if (!v || !READ_ONCE(v->evt.polling) || (v->evt.poll_port && v->evt.poll_port != port))
            continue;
        evtchn_poll_end(v);
        vcpu_kick(v);
    }
}

void evtchn_set_pending(struct domain *d, struct evtchn_port *chn, evtchn_port_t port)
{
    if (d->evtchn.fifo)
        evtchn_fifo_set_pending(d, chn, port);
    else
        twolevel_set_pending(d, chn, port);
    wake_pollers(d, port);
}

void evtchn_unmask(struct domain *d, struct evtchn_port *chn, evtchn_port_t port)
{
    if (d->evtchn.fifo)
        evtchn_fifo_unmask(d, chn, port);
    else
        twolevel_unmask(d, chn, port);
}

bool evtchn_is_pending(const struct domain *d, evtchn_port_t port)
{
    if (d->evtchn.fifo)
        return evtchn_fifo_is_pending(d, port);
    return port < EVTCHN_2L_NR_CHANNELS && test_bit(d->evtchn.shared_info->evtchn_pending, port);
}

/* ---- ports ---- */

/* The structure of an allocated port, free or not; NULL for numbers that have none. */
static struct evtchn_port *port_slot(const struct evtchn_table *t, evtchn_port_t port)
{
    if (port == 0 || port >= t->nr_ports)
        return NULL;
    return &t->bucket[port / EVTCHN_PER_BUCKET][port % EVTCHN_PER_BUCKET];
}

struct evtchn_port *evtchn_port_get(struct evtchn_table *t, evtchn_port_t port)
{
    struct evtchn_port *chn = port_slot(t, port);

    return chn && chn->state != ECS_FREE ? chn : NULL;
}

static int add_bucket(struct evtchn_table *t)
{
    unsigned nr = t->nr_ports / EVTCHN_PER_BUCKET;

    t->bucket[nr] = xzalloc(EVTCHN_PER_BUCKET * sizeof(struct evtchn_port));
    if (!t->bucket[nr])
        return -ENOMEM;
    for (unsigned i = 0; i < EVTCHN_PER_BUCKET; i++)
        t->bucket[nr][i].last_priority = t->bucket[nr][i].priority = EVTCHN_FIFO_PRIORITY_DEFAULT;
    t->nr_ports += EVTCHN_PER_BUCKET;
    return 0;
}

int evtchn_port_alloc(struct domain *d)
{
    struct evtchn_table *t = &d->evtchn;
    uint32_t limit = t->fifo ? t->max_ports : MIN(t->max_ports, (uint32_t)EVTCHN_2L_NR_CHANNELS);
    evtchn_port_t port;
    bool skipped = false;

    if (t->dying)
        return -ESRCH;
    for (port = t->first_free; port < limit; port++) {
        if (port >= t->nr_ports && add_bucket(t) < 0)
            return -ENOMEM;
        if (port_slot(t, port)->state != ECS_FREE)
            continue;
        if (!t->fifo || !evtchn_fifo_is_busy(d, port))
            break;
        if (!skipped)
            t->first_free = port;
        skipped = true;
    }
    if (port >= limit)
        return -ENOSPC;
    if (!skipped)
        t->first_free = port + 1;
    port_slot(t, port)->priority = EVTCHN_FIFO_PRIORITY_DEFAULT;
    t->nr_active++;
    return (int)port;
}

struct evtchn_port *evtchn_port_open(struct evtchn_table *t, evtchn_port_t port,
                                     enum evtchn_state state)
{
    struct evtchn_port *chn = port_slot(t, port);

    chn->state = (uint8_t)state;
    return chn;
}

/* last_vcpu and last_priority stay: the event word may still be linked in that queue. */
void evtchn_port_free(struct domain *d, evtchn_port_t port)
{
    struct evtchn_table *t = &d->evtchn;
    struct evtchn_port *chn = port_slot(t, port);

    if (t->fifo)
        evtchn_fifo_clear_pending(d, port);
    else if (port < EVTCHN_2L_NR_CHANNELS)
        test_and_clear_bit(t->shared_info->evtchn_pending, port);
    chn->state = ECS_FREE;
    chn->pending = false;
    chn->hv_fn = NULL;
    chn->vcpu = 0;
    memset(&chn->u, 0, sizeof(chn->u));
    t->nr_active--;
    t->first_free = MIN(t->first_free, port);
}

void evtchn_lock_two(struct domain *a, struct domain *b)
{
    if (a->domid > b->domid) {
        struct domain *swap = a;

        a = b;
        b = swap;
    }
    spin_lock(&a->evtchn.lock);
    if (a != b)
        spin_lock(&b->evtchn.lock);
}

void evtchn_unlock_two(struct domain *a, struct domain *b)
{
    spin_unlock(&a->evtchn.lock);
    if (a != b)
        spin_unlock(&b->evtchn.lock);
}

/* ---- VIRQs ---- */

void send_virq_vcpu(struct vcpu *v, unsigned virq)
{
    struct evtchn_table *t = &v->domain->evtchn;
    struct evtchn_port *chn;

    ASSERT(virq < NR_VIRQS);
    spin_lock(&t->lock);
    chn = evtchn_port_get(t, v->evt.virq_port[virq]);
    if (chn)
        evtchn_set_pending(v->domain, chn, v->evt.virq_port[virq]);
    spin_unlock(&t->lock);
}

/* Global VIRQs are recorded with vCPU 0; the port's own vcpu says whom to notify. */
void send_virq_global(struct domain *d, unsigned virq)
{
    if (d->max_vcpus && d->vcpu[0])
        send_virq_vcpu(d->vcpu[0], virq);
}

/* ---- ports that the hypervisor consumes ---- */

int evtchn_alloc_hv(struct vcpu *v, domid_t remote, evtchn_hv_fn fn)
{
    struct evtchn_table *t = &v->domain->evtchn;
    int port;

    ASSERT(fn);
    spin_lock(&t->lock);
    port = evtchn_port_alloc(v->domain);
    if (port > 0) {
        struct evtchn_port *chn = evtchn_port_open(t, (evtchn_port_t)port, ECS_UNBOUND);

        chn->u.remote.dom = remote;
        chn->vcpu = (uint16_t)v->id;
        chn->hv_fn = fn;
    }
    spin_unlock(&t->lock);
    return port;
}

void evtchn_free_hv(struct domain *d, evtchn_port_t port)
{
    if (port)
        evtchn_close(d, port, false);
}

void evtchn_notify_hv(struct domain *d, evtchn_port_t port)
{
    struct evtchn_port *chn;
    domid_t rdom = DOMID_INVALID;
    evtchn_port_t rport = 0;

    spin_lock(&d->evtchn.lock);
    chn = evtchn_port_get(&d->evtchn, port);
    if (chn && chn->hv_fn && chn->state == ECS_INTERDOMAIN) {
        rdom = chn->u.remote.dom;
        rport = chn->u.remote.port;
    }
    spin_unlock(&d->evtchn.lock);
    if (rport)
        evtchn_deliver_remote(d, port, rdom, rport);
}

bool evtchn_bound_hv(struct domain *d, evtchn_port_t port)
{
    const struct evtchn_port *chn;
    bool bound;

    spin_lock(&d->evtchn.lock);
    chn = evtchn_port_get(&d->evtchn, port);
    bound = chn && chn->hv_fn && chn->state == ECS_INTERDOMAIN;
    spin_unlock(&d->evtchn.lock);
    return bound;
}

/* ---- vCPU settings ---- */

int evtchn_register_vcpu_info(struct vcpu *v, uint64_t gfn, uint32_t offset)
{
    struct evtchn_table *t = &v->domain->evtchn;
    struct guest_page page = { 0 };
    struct vcpu_info *info;
    int rc;

    if (offset > PAGE_SIZE - sizeof(*info) || offset % sizeof(uint64_t))
        return -ENXIO;
    rc = guest_page_map(v->domain, gfn, &page);
    if (rc < 0)
        return rc;

    spin_lock(&t->lock);
    if (v->evt.info_page.va || t->dying) {
        spin_unlock(&t->lock);
        guest_page_unmap(&page);
        return -EINVAL;
    }
    info = (struct vcpu_info *)((uint8_t *)page.va + offset);
    memcpy(info, v->evt.info, sizeof(*info));
    v->evt.info_page = page;
    WRITE_ONCE(v->evt.info, info);
    /* The guest looked at the old place until now: let it find everything at the new one. */
    __atomic_store_n(&info->evtchn_pending_sel, ~0UL, __ATOMIC_SEQ_CST);
    __atomic_store_n(&info->evtchn_upcall_pending, 1, __ATOMIC_SEQ_CST);
    signal_vcpu(v);
    spin_unlock(&t->lock);
    return 0;
}

int evtchn_set_upcall_vector(struct vcpu *v, uint8_t vector)
{
    struct evtchn_table *t = &v->domain->evtchn;

    if (vector < 16)
        return -EINVAL;
    spin_lock(&t->lock);
    v->evt.upcall_vector = vector;
    if (READ_ONCE(v->evt.info->evtchn_upcall_pending))
        signal_vcpu(v);
    spin_unlock(&t->lock);
    return 0;
}

void evtchn_lapic_enabled(struct vcpu *v)
{
    spin_lock(&v->domain->evtchn.lock);
    if (v->evt.upcall_vector && READ_ONCE(v->evt.info->evtchn_upcall_pending))
        signal_vcpu(v);
    spin_unlock(&v->domain->evtchn.lock);
}

void evtchn_set_callback_vector(struct domain *d, uint8_t vector)
{
    spin_lock(&d->evtchn.lock);
    d->evtchn.callback_vector = vector;
    spin_unlock(&d->evtchn.lock);
}

/* ---- polling ---- */

void evtchn_poll_end(struct vcpu *v)
{
    if (READ_ONCE(v->evt.polling) && __atomic_exchange_n(&v->evt.polling, false, __ATOMIC_SEQ_CST))
        __atomic_fetch_sub(&v->domain->evtchn.nr_polling, 1, __ATOMIC_SEQ_CST);
}

bool evtchn_poll_begin(struct vcpu *v, const evtchn_port_t *ports, unsigned nr, int *err)
{
    struct evtchn_table *t = &v->domain->evtchn;
    bool wait = true;

    *err = 0;
    evtchn_poll_end(v);
    spin_lock(&t->lock);
    for (unsigned i = 0; i < nr && wait; i++) {
        if (!evtchn_port_get(t, ports[i])) {
            *err = -EINVAL;
            wait = false;
        } else if (evtchn_is_pending(v->domain, ports[i])) {
            wait = false;
        }
    }
    if (wait) {
        v->evt.poll_port = nr == 1 ? ports[0] : 0;
        __atomic_store_n(&v->evt.polling, true, __ATOMIC_SEQ_CST);
        __atomic_fetch_add(&t->nr_polling, 1, __ATOMIC_SEQ_CST);
    }
    spin_unlock(&t->lock);
    return wait;
}

/* ---- life cycle ---- */

void evtchn_domain_init(struct domain *d, struct shared_info *shared_info, uint32_t max_ports)
{
    struct evtchn_table *t = &d->evtchn;

    memset(t, 0, sizeof(*t));
    spin_lock_init(&t->lock);
    t->max_ports = MIN(max_ports, (uint32_t)EVTCHN_MAX_PORTS);
    t->first_free = 1;
    t->shared_info = shared_info;
    memset(shared_info->evtchn_mask, 0xff, sizeof(shared_info->evtchn_mask));
}

void evtchn_vcpu_init(struct vcpu *v)
{
    memset(&v->evt, 0, sizeof(v->evt));
    if (v->id < XEN_LEGACY_MAX_VCPUS)
        v->evt.info = &v->domain->evtchn.shared_info->vcpu_info[v->id];
    else
        v->evt.info = &v->evt.unregistered;
}

void evtchn_domain_destroy(struct domain *d)
{
    struct evtchn_table *t = &d->evtchn;

    spin_lock(&t->lock);
    t->dying = true;
    spin_unlock(&t->lock);

    for (evtchn_port_t port = 1; port < t->nr_ports; port++)
        evtchn_close(d, port, false);

    spin_lock(&t->lock);
    if (t->fifo)
        evtchn_fifo_destroy(d);
    for (unsigned i = 0; i < d->max_vcpus; i++) {
        if (!d->vcpu[i])
            continue;
        d->vcpu[i]->evt.info = &d->vcpu[i]->evt.unregistered;
        guest_page_unmap(&d->vcpu[i]->evt.info_page);
    }
    for (unsigned i = 0; i < t->nr_ports / EVTCHN_PER_BUCKET; i++) {
        xfree(t->bucket[i]);
        t->bucket[i] = NULL;
    }
    t->nr_ports = 0;
    spin_unlock(&t->lock);
}
