/* SPDX-License-Identifier: MIT */
/*
 * The guest of evtchn_guest.h: the consumer's half of event channels, written from the public
 * interface's description.
 */
#include "evtchn_guest.h"

#include "hypercall/handlers.h"
#include "lib/string.h"

#define PENDING (1u << EVTCHN_FIFO_PENDING)
#define MASKED  (1u << EVTCHN_FIFO_MASKED)
#define LINKED  (1u << EVTCHN_FIFO_LINKED)
#define BUSY    (1u << EVTCHN_FIFO_BUSY)

/* ---- operations ---- */

#define OP(v, cmd, arg) ((int)hc_call(do_event_channel_op, v, cmd, &(arg), sizeof(arg)))

int eg_alloc_unbound(struct vcpu *v, domid_t dom, domid_t remote)
{
    struct evtchn_alloc_unbound a = { .dom = dom, .remote_dom = remote };
    int rc = OP(v, EVTCHNOP_alloc_unbound, a);

    return rc ? rc : (int)a.port;
}

int eg_bind_interdomain(struct vcpu *v, domid_t rdom, evtchn_port_t rport)
{
    struct evtchn_bind_interdomain a = { .remote_dom = rdom, .remote_port = rport };
    int rc = OP(v, EVTCHNOP_bind_interdomain, a);

    return rc ? rc : (int)a.local_port;
}

int eg_bind_virq(struct vcpu *v, uint32_t virq, uint32_t vcpu)
{
    struct evtchn_bind_virq a = { .virq = virq, .vcpu = vcpu };
    int rc = OP(v, EVTCHNOP_bind_virq, a);

    return rc ? rc : (int)a.port;
}

int eg_bind_ipi(struct vcpu *v, uint32_t vcpu)
{
    struct evtchn_bind_ipi a = { .vcpu = vcpu };
    int rc = OP(v, EVTCHNOP_bind_ipi, a);

    return rc ? rc : (int)a.port;
}

int eg_close(struct vcpu *v, evtchn_port_t port)
{
    struct evtchn_close a = { .port = port };

    return OP(v, EVTCHNOP_close, a);
}

int eg_send(struct vcpu *v, evtchn_port_t port)
{
    struct evtchn_send a = { .port = port };

    return OP(v, EVTCHNOP_send, a);
}

int eg_status(struct vcpu *v, domid_t dom, evtchn_port_t port, struct evtchn_status *st)
{
    memset(st, 0, sizeof(*st));
    st->dom = dom;
    st->port = port;
    return OP(v, EVTCHNOP_status, *st);
}

int eg_bind_vcpu(struct vcpu *v, evtchn_port_t port, uint32_t vcpu)
{
    struct evtchn_bind_vcpu a = { .port = port, .vcpu = vcpu };

    return OP(v, EVTCHNOP_bind_vcpu, a);
}

int eg_set_priority(struct vcpu *v, evtchn_port_t port, uint32_t priority)
{
    struct evtchn_set_priority a = { .port = port, .priority = priority };

    return OP(v, EVTCHNOP_set_priority, a);
}

int eg_reset(struct vcpu *v, domid_t dom)
{
    struct evtchn_reset a = { .dom = dom };

    return OP(v, EVTCHNOP_reset, a);
}

int eg_init_control(struct vcpu *v, uint64_t gfn, uint32_t offset, uint32_t vcpu)
{
    struct evtchn_init_control a = { .control_gfn = gfn, .offset = offset, .vcpu = vcpu };

    return OP(v, EVTCHNOP_init_control, a);
}

int eg_expand(struct vcpu *v, uint64_t gfn)
{
    struct evtchn_expand_array a = { .array_gfn = gfn };

    return OP(v, EVTCHNOP_expand_array, a);
}

/* ---- set-up ---- */

void eg_init(struct evtchn_guest *g, struct domain *d)
{
    memset(g, 0, sizeof(*g));
    g->d = d;
}

int eg_use_fifo(struct evtchn_guest *g, unsigned ports)
{
    int rc;

    for (unsigned i = 0; i < g->d->max_vcpus; i++) {
        rc = eg_init_control(g->d->vcpu[0], EG_CONTROL_GFN + i, 64, i);
        if (rc)
            return rc;
    }
    g->fifo = true;
    while (g->nr_pages * EVTCHN_FIFO_WORDS_PER_PAGE < ports) {
        rc = eg_expand(g->d->vcpu[0], EG_ARRAY_GFN + g->nr_pages);
        if (rc)
            return rc;
        g->nr_pages++;
    }
    return 0;
}

event_word_t *eg_word(struct evtchn_guest *g, evtchn_port_t port)
{
    return (event_word_t *)hc_mem(g->d, EG_ARRAY_GFN << PAGE_SHIFT) + port;
}

/* ---- masks ---- */

void eg_mask(struct evtchn_guest *g, evtchn_port_t port)
{
    if (g->fifo)
        __atomic_fetch_or(eg_word(g, port), MASKED, __ATOMIC_SEQ_CST);
    else
        test_and_set_bit(g->d->shared_info->evtchn_mask, port);
}

static bool fifo_unmask_alone(event_word_t *word)
{
    event_word_t w = __atomic_load_n(word, __ATOMIC_SEQ_CST);

    for (;;) {
        event_word_t old = w & ~BUSY;

        if (!(w & MASKED))
            return true;
        if (w & PENDING)
            return false;
        w = old;
        if (__atomic_compare_exchange_n(word, &w, old & ~MASKED, false, __ATOMIC_SEQ_CST,
                                        __ATOMIC_SEQ_CST))
            return true;
    }
}

void eg_unmask(struct evtchn_guest *g, struct vcpu *v, evtchn_port_t port)
{
    struct evtchn_unmask a = { .port = port };

    if (g->fifo && fifo_unmask_alone(eg_word(g, port)))
        return;
    (void)OP(v, EVTCHNOP_unmask, a);
}

/* ---- upcall ---- */

static unsigned upcall_twolevel(struct evtchn_guest *g, struct vcpu *v)
{
    struct shared_info *s = g->d->shared_info;
    uint64_t sel = __atomic_exchange_n(&v->evt.info->evtchn_pending_sel, 0, __ATOMIC_SEQ_CST);
    unsigned n = 0;

    for (unsigned w = 0; w < 64; w++) {
        if (!(sel & BIT(w)))
            continue;
        for (unsigned b = 0; b < 64; b++) {
            evtchn_port_t port = w * 64 + b;

            if (test_bit(s->evtchn_mask, port) || !test_and_clear_bit(s->evtchn_pending, port))
                continue;
            g->handler(g, v, port);
            n++;
        }
    }
    return n;
}

static bool consume_one(struct evtchn_guest *g, struct vcpu *v,
                        struct evtchn_fifo_control_block *cb, unsigned q, uint32_t *ready)
{
    uint32_t head = g->head[v->id][q];
    event_word_t *word, w;
    evtchn_port_t port;

    if (head == 0)
        head = __atomic_load_n(&cb->head[q], __ATOMIC_SEQ_CST);
    port = head;
    word = eg_word(g, port);
    w = __atomic_load_n(word, __ATOMIC_SEQ_CST);
    while (!__atomic_compare_exchange_n(word, &w, w & ~(LINKED | EVTCHN_FIFO_LINK_MASK), false,
                                        __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
        ;
    head = w & EVTCHN_FIFO_LINK_MASK;
    if (head == 0)
        *ready &= ~(1u << q);
    g->head[v->id][q] = head;
    w = __atomic_load_n(word, __ATOMIC_SEQ_CST);
    if (!(w & PENDING) || (w & MASKED))
        return false;
    __atomic_fetch_and(word, ~PENDING, __ATOMIC_SEQ_CST);
    g->handler(g, v, port);
    return true;
}

static unsigned upcall_fifo(struct evtchn_guest *g, struct vcpu *v)
{
    struct evtchn_fifo_control_block *cb =
        hc_mem(g->d, ((EG_CONTROL_GFN + v->id) << PAGE_SHIFT) + 64);
    uint32_t ready = __atomic_exchange_n(&cb->ready, 0, __ATOMIC_SEQ_CST);
    unsigned n = 0;

    while (ready) {
        n += consume_one(g, v, cb, (unsigned)__builtin_ctz(ready), &ready);
        ready |= __atomic_exchange_n(&cb->ready, 0, __ATOMIC_SEQ_CST);
    }
    return n;
}

unsigned eg_upcall(struct evtchn_guest *g, struct vcpu *v)
{
    unsigned n = 0;

    while (__atomic_exchange_n(&v->evt.info->evtchn_upcall_pending, 0, __ATOMIC_SEQ_CST))
        n += g->fifo ? upcall_fifo(g, v) : upcall_twolevel(g, v);
    return n;
}
