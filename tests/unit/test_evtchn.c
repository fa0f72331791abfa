/* SPDX-License-Identifier: MIT */
/*
 * Event channels: every operation's rules, both ABIs against a guest that consumes, random histories against an oracle,
 * real concurrency, hostile shared pages, limits and teardown.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#include "evtchn_guest.h"
#include "hypercall/handlers.h"
#include "lib/errno.h"
#include "lib/string.h"
#include "sim.h"

static struct domain *dom0, *dom1;
static unsigned handled[EG_MAX_PORTS];

static void count_handler(struct evtchn_guest *g, struct vcpu *v, evtchn_port_t port)
{
    (void)g;
    (void)v;
    handled[port]++;
}

static int setup(void **state)
{
    (void)state;
    hc_reset();
    dom0 = hc_domain(0, 2, EVTCHN_MAX_PORTS);
    dom1 = hc_domain(1, 3, 1024);
    memset(handled, 0, sizeof(handled));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    hc_reset(); /* panics if anything is still pinned or referenced */
    return 0;
}

/* Every interdomain port whose other end exists is named by that end. */
static void check_pairs(struct domain *d)
{
    for (evtchn_port_t p = 1; p < d->evtchn.nr_ports; p++) {
        struct evtchn_port *c = evtchn_port_get(&d->evtchn, p), *rc;
        struct domain *rd;

        if (!c || c->state != ECS_INTERDOMAIN)
            continue;
        rd = domain_get_by_id(c->u.remote.dom);
        assert_non_null(rd);
        rc = evtchn_port_get(&rd->evtchn, c->u.remote.port);
        assert_non_null(rc);
        assert_int_equal(rc->state, ECS_INTERDOMAIN);
        assert_int_equal(rc->u.remote.dom, d->domid);
        assert_int_equal(rc->u.remote.port, p);
        domain_put(rd);
    }
}

/* ---- rules of the operations ---- */

static void test_interdomain(void **state)
{
    struct vcpu *v0 = dom0->vcpu[0], *v1 = dom1->vcpu[0];
    struct evtchn_status st;
    int u, p;

    (void)state;
    u = eg_alloc_unbound(v1, DOMID_SELF, 0);
    assert_true(u > 0);
    assert_int_equal(eg_status(v1, DOMID_SELF, (evtchn_port_t)u, &st), 0);
    assert_int_equal(st.status, EVTCHNSTAT_unbound);
    assert_int_equal(st.u.unbound.dom, 0);
    assert_int_equal(eg_send(v1, (evtchn_port_t)u), 0); /* dropped */

    assert_int_equal(eg_bind_interdomain(v1, DOMID_SELF, (evtchn_port_t)u), -EINVAL);
    assert_int_equal(eg_bind_interdomain(v0, 7, (evtchn_port_t)u), -ESRCH);
    assert_int_equal(eg_bind_interdomain(v0, 1, 500), -EINVAL);
    p = eg_bind_interdomain(v0, 1, (evtchn_port_t)u);
    assert_true(p > 0);
    assert_true(test_bit(dom0->shared_info->evtchn_pending, (unsigned)p));
    assert_int_equal(eg_bind_interdomain(v0, 1, (evtchn_port_t)u), -EINVAL);
    check_pairs(dom0);

    assert_int_equal(eg_send(v0, (evtchn_port_t)p), 0);
    assert_true(test_bit(dom1->shared_info->evtchn_pending, (unsigned)u));
    assert_int_equal(eg_status(v0, 1, (evtchn_port_t)u, &st), 0);
    assert_int_equal(st.status, EVTCHNSTAT_interdomain);
    assert_int_equal(st.u.interdomain.port, p);
    assert_int_equal(eg_status(v1, 0, (evtchn_port_t)p, &st), -EPERM);

    assert_int_equal(eg_close(v0, (evtchn_port_t)p), 0);
    assert_int_equal(eg_close(v0, (evtchn_port_t)p), -EINVAL);
    assert_int_equal(eg_send(v0, (evtchn_port_t)p), -EINVAL);
    assert_int_equal(eg_status(v1, DOMID_SELF, (evtchn_port_t)u, &st), 0);
    assert_int_equal(st.status, EVTCHNSTAT_unbound);
    assert_false(test_bit(dom0->shared_info->evtchn_pending, (unsigned)p));
    assert_true(eg_bind_interdomain(v0, 1, (evtchn_port_t)u) > 0);
}

static void test_loopback(void **state)
{
    struct vcpu *v = dom0->vcpu[0];
    int u = eg_alloc_unbound(v, DOMID_SELF, DOMID_SELF), p;

    (void)state;
    p = eg_bind_interdomain(v, DOMID_SELF, (evtchn_port_t)u);
    assert_true(p > 0 && p != u);
    check_pairs(dom0);
    assert_int_equal(eg_send(v, (evtchn_port_t)u), 0);
    assert_true(test_bit(dom0->shared_info->evtchn_pending, (unsigned)p));
    assert_int_equal(eg_close(v, (evtchn_port_t)u), 0);
    assert_int_equal(evtchn_port_get(&dom0->evtchn, (evtchn_port_t)p)->state, ECS_UNBOUND);
}

static void test_privilege(void **state)
{
    (void)state;
    assert_int_equal(eg_alloc_unbound(dom1->vcpu[0], 0, 1), -EPERM);
    assert_true(eg_alloc_unbound(dom1->vcpu[0], 1, 0) > 0);
    assert_true(eg_alloc_unbound(dom0->vcpu[0], 1, 0) > 0);
    assert_int_equal(eg_alloc_unbound(dom0->vcpu[0], 9, 0), -ESRCH);
    assert_int_equal(eg_reset(dom1->vcpu[0], 0), -EPERM);
    assert_int_equal(eg_reset(dom0->vcpu[0], 1), -EINVAL); /* not paused */
}

static void test_virq_ipi(void **state)
{
    struct vcpu *v = dom1->vcpu[0];
    int t, g, i;

    (void)state;
    t = eg_bind_virq(v, VIRQ_TIMER, 2);
    assert_true(t > 0);
    assert_int_equal(eg_bind_virq(v, VIRQ_TIMER, 2), -EEXIST);
    assert_int_equal(eg_bind_virq(v, VIRQ_TIMER, 3), -ENOENT);
    assert_int_equal(eg_bind_virq(v, NR_VIRQS, 0), -EINVAL);
    assert_int_equal(eg_bind_virq(v, VIRQ_CONSOLE, 1), -EINVAL);
    assert_int_equal(eg_bind_vcpu(v, (evtchn_port_t)t, 0), -EINVAL);
    send_virq_vcpu(dom1->vcpu[1], VIRQ_TIMER); /* not bound there */
    assert_false(test_bit(dom1->shared_info->evtchn_pending, (unsigned)t));
    send_virq_vcpu(dom1->vcpu[2], VIRQ_TIMER);
    assert_true(test_bit(dom1->shared_info->evtchn_pending, (unsigned)t));
    assert_int_equal(eg_send(v, (evtchn_port_t)t), -EINVAL);

    g = eg_bind_virq(v, VIRQ_DOM_EXC, 0);
    assert_true(g > 0);
    assert_int_equal(eg_bind_vcpu(v, (evtchn_port_t)g, 1), 0);
    send_virq_global(dom1, VIRQ_DOM_EXC);
    assert_true(test_bit(dom1->shared_info->evtchn_pending, (unsigned)g));
    assert_int_equal(eg_close(v, (evtchn_port_t)g), 0);
    g = eg_bind_virq(v, VIRQ_DOM_EXC, 0);
    assert_true(g > 0);

    assert_int_equal(eg_bind_ipi(v, 3), -ENOENT);
    i = eg_bind_ipi(v, 1);
    assert_true(i > 0);
    assert_int_equal(eg_bind_vcpu(v, (evtchn_port_t)i, 0), -EINVAL);
    assert_int_equal(eg_send(v, (evtchn_port_t)i), 0);
    assert_true(test_bit(dom1->shared_info->evtchn_pending, (unsigned)i));
}

static void test_bad_arguments(void **state)
{
    struct vcpu *v = dom1->vcpu[0];
    struct evtchn_bind_pirq pirq = { .pirq = 5 };
    struct evtchn_status st;

    (void)state;
    assert_int_equal(do_event_channel_op(v, 14, HC_ARG, 0, 0, 0), -ENOSYS);
    assert_int_equal(do_event_channel_op(v, ~0ULL, HC_ARG, 0, 0, 0), -ENOSYS);
    assert_int_equal(do_event_channel_op(v, EVTCHNOP_send, ~0ULL, 0, 0, 0), -EFAULT);
    assert_int_equal(hc_call(do_event_channel_op, v, EVTCHNOP_bind_pirq, &pirq, sizeof(pirq)), -EINVAL);
    assert_int_equal(eg_close(v, 0), -EINVAL);
    assert_int_equal(eg_close(v, ~0u), -EINVAL);
    assert_int_equal(eg_send(v, 0), -EINVAL);
    assert_int_equal(eg_status(v, DOMID_SELF, 0, &st), -EINVAL); /* nothing allocated yet */
    assert_int_equal(eg_bind_ipi(v, 0), 1);
    assert_int_equal(eg_status(v, DOMID_SELF, 0, &st), 0);
    assert_int_equal(st.status, EVTCHNSTAT_closed);
    assert_int_equal(eg_status(v, DOMID_SELF, ~0u, &st), -EINVAL);
    assert_int_equal(eg_bind_vcpu(v, 1, ~0u), -ENOENT);
    assert_int_equal(eg_set_priority(v, 1, 16), -EINVAL);
    assert_int_equal(eg_set_priority(v, 1, 3), -ENOSYS); /* two-level */
    assert_int_equal(eg_bind_vcpu(v, 1, 0), -EINVAL); /* an IPI */
    assert_int_equal(eg_expand(v, EG_ARRAY_GFN), -EOPNOTSUPP);
    assert_int_equal(hc_pins(dom1), 0);
}

/* ---- delivery ---- */

static void test_twolevel_order(void **state)
{
    struct vcpu *v = dom1->vcpu[1];
    struct shared_info *s = dom1->shared_info;
    unsigned port = (unsigned)eg_bind_ipi(v, 1);

    (void)state;
    assert_true(test_bit(s->evtchn_mask, port));
    eg_send(v, port);
    assert_true(test_bit(s->evtchn_pending, port));
    assert_int_equal(v->evt.info->evtchn_upcall_pending, 0); /* masked */
    assert_int_equal(hc_log(v)->kicks, 0);

    do_event_channel_op(v, EVTCHNOP_unmask, HC_ARG, 0, 0, 0); /* the port is still the argument */
    assert_int_equal(v->evt.info->evtchn_upcall_pending, 1);
    assert_int_equal(v->evt.info->evtchn_pending_sel, BIT(port / 64));
    assert_int_equal(hc_log(v)->kicks, 1);

    eg_send(v, port); /* pending already */
    assert_int_equal(hc_log(v)->kicks, 1);
    test_and_clear_bit(s->evtchn_pending, port);
    eg_send(v, port); /* the selector is still set: the guest will look */
    assert_int_equal(hc_log(v)->kicks, 1);
}

static void test_upcall_ways(void **state)
{
    struct vcpu *v = dom1->vcpu[1];
    unsigned port = (unsigned)eg_bind_ipi(v, 1);

    (void)state;
    test_and_clear_bit(dom1->shared_info->evtchn_mask, port);
    assert_int_equal(evtchn_direct_vector(v), -1);
    evtchn_set_callback_vector(dom1, 0x40);
    assert_int_equal(evtchn_direct_vector(v), -1);
    eg_send(v, port);
    assert_int_equal(evtchn_direct_vector(v), 0x40);
    assert_true(evtchn_upcall_pending(v));

    assert_int_equal(evtchn_set_upcall_vector(v, 15), -EINVAL);
    assert_int_equal(evtchn_set_upcall_vector(v, 0xf3), 0);
    assert_int_equal(evtchn_direct_vector(v), -1); /* the vCPU's own vector wins */
    assert_int_equal(hc_log(v)->irqs, 1);         /* what was pending is not lost */
    assert_int_equal(hc_log(v)->last_vector, 0xf3);
}

static void test_vcpu_info(void **state)
{
    struct vcpu *v = dom1->vcpu[1];
    struct vcpu_info *info = hc_mem(dom1, 5 * PAGE_SIZE + 128);
    unsigned port = (unsigned)eg_bind_ipi(v, 1);

    (void)state;
    test_and_clear_bit(dom1->shared_info->evtchn_mask, port);
    assert_int_equal(evtchn_register_vcpu_info(v, 5, 4096 - 63), -ENXIO);
    assert_int_equal(evtchn_register_vcpu_info(v, 5, 129), -ENXIO);
    assert_int_equal(evtchn_register_vcpu_info(v, HC_PAGES, 0), -EINVAL);
    hc_set_type(dom1, 6, P2M_GRANT_RW);
    assert_int_equal(evtchn_register_vcpu_info(v, 6, 0), -EINVAL);
    assert_int_equal(hc_pins(dom1), 0);
    assert_int_equal(evtchn_register_vcpu_info(v, 5, 128), 0);
    assert_int_equal(hc_pins(dom1), 1);
    assert_int_equal(info->evtchn_upcall_pending, 1);
    assert_int_equal(info->evtchn_pending_sel, ~0UL);
    assert_int_equal(evtchn_register_vcpu_info(v, 5, 256), -EINVAL);
    info->evtchn_upcall_pending = 0;
    info->evtchn_pending_sel = 0;
    eg_send(v, port);
    assert_int_equal(info->evtchn_upcall_pending, 1);
    assert_int_equal(info->evtchn_pending_sel, BIT(0));
}

static void test_many_vcpus(void **state)
{
    struct domain *d = hc_domain(5, 40, 64);
    unsigned port = (unsigned)eg_bind_ipi(d->vcpu[0], 39);

    (void)state;
    /* Beyond the slots of shared_info: nothing to write to until the guest registers a place. */
    test_and_clear_bit(d->shared_info->evtchn_mask, port);
    eg_send(d->vcpu[0], port);
    assert_int_equal(evtchn_register_vcpu_info(d->vcpu[39], 3, 0), 0);
    assert_int_equal(((struct vcpu_info *)hc_mem(d, 3 * PAGE_SIZE))->evtchn_pending_sel, ~0UL);
}

/* ---- random histories ---- */

struct history {
    bool owed[EG_MAX_PORTS];   /* signalled and not handled since */
    bool masked[EG_MAX_PORTS];
    bool open[EG_MAX_PORTS];
    evtchn_port_t remote[EG_MAX_PORTS]; /* dom0's end; 0: an IPI */
    unsigned nr_open;
};

static void history_handler(struct evtchn_guest *g, struct vcpu *v, evtchn_port_t port)
{
    struct history *h = g->data;

    (void)v;
    assert_true(h->owed[port]);
    assert_false(h->masked[port]);
    h->owed[port] = false;
}

static void drain(struct evtchn_guest *g)
{
    for (unsigned i = 0; i < g->d->max_vcpus; i++)
        eg_upcall(g, g->d->vcpu[i]);
}

/* An IPI, or the end of a pair whose other end is in dom0. */
static void history_open(struct evtchn_guest *g, struct history *h, struct vcpu *v)
{
    bool pair = rand() % 2;
    int rc = pair ? eg_alloc_unbound(v, DOMID_SELF, 0)
                  : eg_bind_ipi(v, (unsigned)rand() % g->d->max_vcpus);
    evtchn_port_t port = (evtchn_port_t)rc;

    assert_true(rc > 0 && rc < 400);
    h->open[port] = true;
    h->owed[port] = false;
    h->masked[port] = g->fifo ? (*eg_word(g, port) >> EVTCHN_FIFO_MASKED) & 1
                              : test_bit(g->d->shared_info->evtchn_mask, port);
    h->remote[port] = 0;
    if (pair) {
        rc = eg_bind_interdomain(dom0->vcpu[0], g->d->domid, port);
        assert_true(rc > 0);
        h->remote[port] = (evtchn_port_t)rc;
    }
}

static void history_close(struct history *h, struct vcpu *v, evtchn_port_t port)
{
    assert_int_equal(eg_close(v, port), 0);
    if (h->remote[port])
        assert_int_equal(eg_close(dom0->vcpu[0], h->remote[port]), 0);
    h->open[port] = h->owed[port] = false;
}

static void random_step(struct evtchn_guest *g, struct history *h)
{
    struct vcpu *v = g->d->vcpu[(unsigned)rand() % g->d->max_vcpus];
    evtchn_port_t port = 1 + (unsigned)rand() % 300;
    unsigned what = (unsigned)rand() % 20;

    if (!h->open[port]) {
        if (h->nr_open < 250) {
            history_open(g, h, v);
            h->nr_open++;
        }
        return;
    }
    if (what < 9) {
        assert_int_equal(h->remote[port] ? eg_send(dom0->vcpu[0], h->remote[port]) : eg_send(v, port), 0);
        h->owed[port] = true;
    } else if (what < 11) {
        eg_mask(g, port);
        h->masked[port] = true;
    } else if (what < 14) {
        h->masked[port] = false;
        eg_unmask(g, v, port);
    } else if (what < 15 && g->fifo) {
        assert_int_equal(eg_set_priority(v, port, (unsigned)rand() % 16), 0);
    } else if (what < 16) {
        history_close(h, v, port);
        h->nr_open--;
    } else if (what < 17) {
        assert_int_equal(eg_bind_vcpu(v, port, (unsigned)rand() % g->d->max_vcpus),
                         h->remote[port] ? 0 : -EINVAL);
    } else {
        eg_upcall(g, v);
    }
}

static void run_history(bool fifo, unsigned seed)
{
    static struct history h;
    struct evtchn_guest g;

    srand(seed);
    memset(&h, 0, sizeof(h));
    eg_init(&g, dom1);
    g.handler = history_handler;
    g.data = &h;
    if (fifo)
        assert_int_equal(eg_use_fifo(&g, 1024), 0);
    for (unsigned i = 0; i < 20000; i++)
        random_step(&g, &h);
    for (evtchn_port_t p = 1; p < 400; p++) {
        h.masked[p] = false;
        if (h.open[p])
            eg_unmask(&g, dom1->vcpu[0], p);
    }
    drain(&g);
    for (evtchn_port_t p = 1; p < 400; p++)
        assert_false(h.open[p] && h.owed[p]);
    assert_int_equal(eg_reset(dom1->vcpu[0], DOMID_SELF), 0);
}

static void test_history_twolevel(void **state)
{
    (void)state;
    for (unsigned seed = 1; seed <= 5; seed++)
        run_history(false, seed);
}

static void test_history_fifo(void **state)
{
    (void)state;
    for (unsigned seed = 1; seed <= 5; seed++) {
        memset(hc_mem(dom1, EG_CONTROL_GFN << PAGE_SHIFT), 0, 32 * PAGE_SIZE);
        run_history(true, seed);
    }
}

/* ---- FIFO set-up ---- */

static void test_fifo_setup(void **state)
{
    struct vcpu *v = dom1->vcpu[0];
    struct evtchn_guest g;
    unsigned ipi = (unsigned)eg_bind_ipi(v, 2);

    (void)state;
    eg_init(&g, dom1);
    g.handler = count_handler;
    eg_send(v, ipi); /* pending in the two-level bitmap */
    assert_int_equal(eg_init_control(v, EG_CONTROL_GFN, 4096 - 64, 0), -EINVAL);
    assert_int_equal(eg_init_control(v, EG_CONTROL_GFN, 4, 0), -EINVAL);
    assert_int_equal(eg_init_control(v, EG_CONTROL_GFN, 0, 9), -ENOENT);
    assert_int_equal(eg_init_control(v, HC_PAGES, 0, 0), -EINVAL);
    assert_int_equal(eg_use_fifo(&g, 1024), 0);
    assert_int_equal(hc_pins(dom1), 4);
    assert_int_equal(eg_init_control(v, EG_CONTROL_GFN, 64, 0), -EINVAL);
    assert_int_equal(eg_expand(v, EG_ARRAY_GFN + 1), -ENOSPC); /* limit of 1024 ports */
    assert_int_equal(hc_pins(dom1), 4);
    drain(&g);
    assert_int_equal(handled[ipi], 1); /* carried over */
    assert_int_equal(eg_reset(v, DOMID_SELF), 0);
    assert_int_equal(hc_pins(dom1), 0);
    assert_false(dom1->evtchn.fifo);
}

static void test_fifo_before_pages(void **state)
{
    struct vcpu *v = dom1->vcpu[0];
    struct evtchn_guest g;
    unsigned a = (unsigned)eg_bind_ipi(v, 0), b = (unsigned)eg_bind_ipi(v, 1);

    (void)state;
    eg_init(&g, dom1);
    g.handler = count_handler;
    g.fifo = true;
    assert_int_equal(eg_init_control(v, EG_CONTROL_GFN, 64, 0), 0);
    eg_send(v, a); /* no word yet */
    assert_int_equal(eg_expand(v, EG_ARRAY_GFN), 0);
    eg_send(v, b); /* word, but its vCPU has no control block yet */
    assert_int_equal(eg_upcall(&g, dom1->vcpu[0]), 1);
    assert_int_equal(eg_init_control(v, EG_CONTROL_GFN + 1, 64, 1), 0);
    assert_int_equal(eg_upcall(&g, dom1->vcpu[1]), 1);
    assert_int_equal(handled[a], 1);
    assert_int_equal(handled[b], 1);
}

static void test_fifo_priority_order(void **state)
{
    static evtchn_port_t order[8];
    struct vcpu *v = dom1->vcpu[0];
    struct evtchn_fifo_control_block *cb;
    struct evtchn_guest g;
    unsigned p[4];

    (void)state;
    (void)order;
    eg_init(&g, dom1);
    g.handler = count_handler;
    assert_int_equal(eg_use_fifo(&g, 1024), 0);
    cb = hc_mem(dom1, (EG_CONTROL_GFN << PAGE_SHIFT) + 64);
    for (unsigned i = 0; i < 4; i++)
        p[i] = (unsigned)eg_bind_ipi(v, 0);
    assert_int_equal(eg_set_priority(v, p[3], 0), 0);
    for (unsigned i = 0; i < 4; i++)
        eg_send(v, p[i]);
    assert_int_equal(cb->ready, (1u << 7) | 1u);
    assert_int_equal(cb->head[0], p[3]);
    assert_int_equal(cb->head[7], p[0]);
    assert_int_equal(*eg_word(&g, p[0]) & EVTCHN_FIFO_LINK_MASK, p[1]);
    assert_int_equal(*eg_word(&g, p[1]) & EVTCHN_FIFO_LINK_MASK, p[2]);
    assert_int_equal(*eg_word(&g, p[2]) & EVTCHN_FIFO_LINK_MASK, 0);
    assert_int_equal(hc_log(v)->kicks, 1);
}

/* A port that was closed while linked is not handed out before the guest has unlinked it. */
static void test_fifo_busy_port(void **state)
{
    struct vcpu *v = dom1->vcpu[0];
    struct evtchn_guest g;
    int a, b;

    (void)state;
    eg_init(&g, dom1);
    g.handler = count_handler;
    assert_int_equal(eg_use_fifo(&g, 1024), 0);
    a = eg_bind_ipi(v, 0);
    eg_send(v, (evtchn_port_t)a);
    assert_int_equal(eg_close(v, (evtchn_port_t)a), 0);
    b = eg_bind_ipi(v, 0);
    assert_int_not_equal(a, b);
    assert_int_equal(eg_upcall(&g, v), 0); /* no longer pending */
    assert_int_equal(eg_bind_ipi(v, 0), a);
}

/* ---- hostile pages ---- */

static void scribble(struct domain *d)
{
    uint32_t *page = hc_mem(d, (EG_CONTROL_GFN << PAGE_SHIFT));

    for (unsigned i = 0; i < 64; i++) {
        unsigned where = (unsigned)rand() % (20 * 1024);

        page[where] = (uint32_t)rand() ^ (uint32_t)rand() << 16;
    }
}

static void test_fifo_hostile(void **state)
{
    struct vcpu *v = dom1->vcpu[0];
    struct evtchn_guest g;

    (void)state;
    srand(42);
    eg_init(&g, dom1);
    assert_int_equal(eg_use_fifo(&g, 1024), 0);
    for (unsigned i = 0; i < 200; i++)
        eg_bind_ipi(v, i % 3);
    for (unsigned i = 0; i < 20000; i++) {
        evtchn_port_t port = 1 + (unsigned)rand() % 200;

        if (i % 16 == 0)
            scribble(dom1);
        if (evtchn_port_get(&dom1->evtchn, port))
            assert_int_equal(eg_send(v, port), 0);
        else
            (void)eg_bind_ipi(v, (unsigned)rand() % 3);
        if (rand() % 50 == 0)
            eg_close(v, port);
        if (rand() % 50 == 0)
            eg_set_priority(v, port, (unsigned)rand() % 16);
    }
    /* Another domain is none the worse for it. */
    assert_true(eg_bind_ipi(dom0->vcpu[0], 1) > 0);
}

static void test_fifo_link_contention(void **state)
{
    struct vcpu *v = dom1->vcpu[0];
    struct evtchn_guest g;
    unsigned a, b;

    (void)state;
    eg_init(&g, dom1);
    g.handler = count_handler;
    assert_int_equal(eg_use_fifo(&g, 1024), 0);
    a = (unsigned)eg_bind_ipi(v, 0);
    b = (unsigned)eg_bind_ipi(v, 0);
    eg_send(v, a);
    /* The guest claims that the tail has left the queue: the next event starts a new one. */
    *eg_word(&g, a) &= ~(1u << EVTCHN_FIFO_LINKED);
    eg_send(v, b);
    assert_int_equal(((struct evtchn_fifo_control_block *)hc_mem(dom1, (EG_CONTROL_GFN << PAGE_SHIFT) + 64))->head[7], b);
}

/* ---- limits ---- */

static void test_limits(void **state)
{
    struct vcpu *v = dom1->vcpu[0], *v0 = dom0->vcpu[0];
    struct evtchn_guest g;
    unsigned n = 0;
    int rc;

    (void)state;
    while ((rc = eg_bind_ipi(v, 0)) > 0)
        n++;
    assert_int_equal(rc, -ENOSPC);
    assert_int_equal(n, 1023);
    assert_int_equal(dom1->evtchn.nr_active, 1023);
    assert_int_equal(eg_close(v, 77), 0);
    assert_int_equal(eg_bind_ipi(v, 0), 77);

    for (n = 0; eg_bind_ipi(v0, 0) > 0; n++)
        ;
    assert_int_equal(n, EVTCHN_2L_NR_CHANNELS - 1);
    eg_init(&g, dom0);
    assert_int_equal(eg_use_fifo(&g, EVTCHN_MAX_PORTS), 0);
    assert_int_equal(eg_expand(v0, EG_ARRAY_GFN + g.nr_pages), -ENOSPC);
    for (; eg_bind_ipi(v0, 0) > 0; n++)
        ;
    assert_int_equal(n, EVTCHN_MAX_PORTS - 1);
}

static void test_no_memory(void **state)
{
    (void)state;
    sim_heap_fail_after = 1;
    assert_int_equal(eg_bind_ipi(dom1->vcpu[0], 0), -ENOMEM);
    assert_int_equal(dom1->evtchn.nr_active, 0);
    assert_int_equal(eg_bind_ipi(dom1->vcpu[0], 0), 1);
}

static void test_reset_restarts(void **state)
{
    struct vcpu *v0 = dom0->vcpu[0];
    struct evtchn_reset arg = { .dom = DOMID_SELF };
    long rc;
    unsigned calls = 0;

    (void)state;
    for (unsigned i = 0; i < 3000; i++)
        assert_true(eg_bind_ipi(v0, 0) > 0);
    memcpy(hc_mem(dom0, HC_ARG), &arg, sizeof(arg));
    v0->cpu.regs.gpr[CPU_R10] = 0;
    do {
        rc = do_event_channel_op(v0, EVTCHNOP_reset, HC_ARG, 0, v0->cpu.regs.gpr[CPU_R10], 0);
        calls++;
    } while (rc != 0 && calls < 10);
    assert_int_equal(rc, 0);
    assert_true(calls > 2);
    assert_int_equal(dom0->evtchn.nr_active, 0);
}

/* ---- ports of the hypervisor ---- */

static struct vcpu *hv_called;
static evtchn_port_t hv_port;

static void hv_fn(struct vcpu *v, evtchn_port_t port)
{
    hv_called = v;
    hv_port = port;
}

static void test_hv_port(void **state)
{
    struct vcpu *v1 = dom1->vcpu[2], *v0 = dom0->vcpu[0];
    int h, p;

    (void)state;
    hv_called = NULL;
    h = evtchn_alloc_hv(v1, 0, hv_fn);
    assert_true(h > 0);
    /* The guest may not touch it. */
    assert_int_equal(eg_close(v1, (evtchn_port_t)h), -EINVAL);
    assert_int_equal(eg_send(v1, (evtchn_port_t)h), -EINVAL);
    assert_int_equal(eg_bind_vcpu(v1, (evtchn_port_t)h, 0), -EINVAL);
    evtchn_notify_hv(dom1, (evtchn_port_t)h); /* nobody there */
    p = eg_bind_interdomain(v0, 1, (evtchn_port_t)h);
    assert_true(p > 0);
    test_and_clear_bit(dom0->shared_info->evtchn_pending, (unsigned)p);
    assert_int_equal(eg_send(v0, (evtchn_port_t)p), 0);
    assert_ptr_equal(hv_called, v1);
    assert_int_equal(hv_port, h);
    evtchn_notify_hv(dom1, (evtchn_port_t)h);
    assert_true(test_bit(dom0->shared_info->evtchn_pending, (unsigned)p));
    assert_int_equal(eg_reset(v1, DOMID_SELF), 0); /* stays */
    assert_non_null(evtchn_port_get(&dom1->evtchn, (evtchn_port_t)h));
    evtchn_free_hv(dom1, (evtchn_port_t)h);
    assert_int_equal(evtchn_port_get(&dom0->evtchn, (evtchn_port_t)p)->state, ECS_UNBOUND);
    hv_called = NULL;
    assert_int_equal(eg_send(v0, (evtchn_port_t)p), 0);
    assert_null(hv_called);
}

/* ---- domain death ---- */

static void test_destroy(void **state)
{
    struct vcpu *v0 = dom0->vcpu[0];
    struct domain *d = hc_domain(3, 1, 64);
    struct evtchn_guest g;
    int u = eg_alloc_unbound(v0, DOMID_SELF, 3), p;

    (void)state;
    eg_init(&g, d);
    assert_int_equal(eg_use_fifo(&g, 64), 0);
    assert_int_equal(evtchn_register_vcpu_info(d->vcpu[0], 3, 0), 0);
    p = eg_bind_interdomain(d->vcpu[0], 0, (evtchn_port_t)u);
    assert_true(p > 0);
    hc_destroy(d); /* panics if it leaves a pin behind */
    assert_int_equal(evtchn_port_get(&dom0->evtchn, (evtchn_port_t)u)->state, ECS_UNBOUND);
    assert_int_equal(eg_send(v0, (evtchn_port_t)u), 0);
    assert_int_equal(eg_close(v0, (evtchn_port_t)u), 0);
}

/* ---- polling ---- */

static void test_poll(void **state)
{
    struct vcpu *v = dom1->vcpu[1];
    evtchn_port_t port = (evtchn_port_t)eg_bind_ipi(v, 0), other = (evtchn_port_t)eg_bind_ipi(v, 0);
    evtchn_port_t list[2] = { port, other }, bad = 900;
    int err;

    (void)state;
    assert_false(evtchn_poll_begin(v, &bad, 1, &err));
    assert_int_equal(err, -EINVAL);
    assert_true(evtchn_poll_begin(v, &port, 1, &err));
    eg_send(v, other);
    assert_int_equal(hc_log(v)->wakes, 0);
    eg_send(v, port); /* masked, and yet */
    assert_int_equal(hc_log(v)->wakes, 1);
    assert_int_equal(dom1->evtchn.nr_polling, 0);
    assert_false(evtchn_poll_begin(v, list, 2, &err));
    assert_int_equal(err, 0);
    test_and_clear_bit(dom1->shared_info->evtchn_pending, port);
    test_and_clear_bit(dom1->shared_info->evtchn_pending, other);
    assert_true(evtchn_poll_begin(v, list, 2, &err));
    eg_send(v, other);
    assert_int_equal(hc_log(v)->wakes, 2);
    evtchn_poll_end(v);
    assert_int_equal(dom1->evtchn.nr_polling, 0);
}

/* ---- real concurrency ---- */

#define RACE_PORTS 16u
#define RACE_ROUNDS 6000u

struct race {
    struct evtchn_guest g;
    evtchn_port_t send[RACE_PORTS], receive[RACE_PORTS];
    unsigned sent[RACE_PORTS], seen[EG_MAX_PORTS];
    evtchn_port_t first;
    bool done;
};

static void race_handler(struct evtchn_guest *g, struct vcpu *v, evtchn_port_t port)
{
    struct race *r = g->data;

    (void)v;
    for (unsigned i = 0; i < RACE_PORTS; i++)
        if (r->receive[i] == port)
            r->seen[i] = __atomic_load_n(&r->sent[i], __ATOMIC_SEQ_CST);
}

static void *race_consumer(void *arg)
{
    struct race *r = arg;
    unsigned seed = 7;

    while (!__atomic_load_n(&r->done, __ATOMIC_SEQ_CST)) {
        evtchn_port_t port = r->receive[(unsigned)rand_r(&seed) % RACE_PORTS];

        eg_mask(&r->g, port);
        eg_upcall(&r->g, dom0->vcpu[0]);
        eg_unmask(&r->g, dom0->vcpu[0], port);
    }
    return NULL;
}

static void run_race(bool fifo)
{
    static struct race r;
    pthread_t consumer;
    unsigned seed = 3;

    memset(&r, 0, sizeof(r));
    eg_init(&r.g, dom0);
    r.g.handler = race_handler;
    r.g.data = &r;
    if (fifo)
        assert_int_equal(eg_use_fifo(&r.g, 1024), 0);
    for (unsigned i = 0; i < RACE_PORTS; i++) {
        r.send[i] = (evtchn_port_t)eg_alloc_unbound(dom1->vcpu[0], DOMID_SELF, 0);
        r.receive[i] = (evtchn_port_t)eg_bind_interdomain(dom0->vcpu[0], 1, r.send[i]);
        eg_unmask(&r.g, dom0->vcpu[0], r.receive[i]);
    }
    assert_int_equal(pthread_create(&consumer, NULL, race_consumer, &r), 0);
    for (unsigned n = 0; n < RACE_ROUNDS; n++) {
        unsigned i = (unsigned)rand_r(&seed) % RACE_PORTS;

        __atomic_fetch_add(&r.sent[i], 1, __ATOMIC_SEQ_CST);
        assert_int_equal(eg_send(dom1->vcpu[0], r.send[i]), 0);
    }
    __atomic_store_n(&r.done, true, __ATOMIC_SEQ_CST);
    pthread_join(consumer, NULL);
    eg_upcall(&r.g, dom0->vcpu[0]);
    for (unsigned i = 0; i < RACE_PORTS; i++)
        assert_int_equal(r.seen[i], r.sent[i]); /* no last signal was lost */
}

static void test_race_twolevel(void **state)
{
    (void)state;
    run_race(false);
}

static void test_race_fifo(void **state)
{
    (void)state;
    run_race(true);
}

/* Both ends of pairs come, signal and go at once, in both lock orders. */
static void *churn(void *arg)
{
    struct domain *me = arg, *other = me == dom0 ? dom1 : dom0;
    struct vcpu *v = me->vcpu[0];
    unsigned seed = 11 + me->domid;

    for (unsigned i = 0; i < 4000; i++) {
        evtchn_port_t port = 1 + (unsigned)rand_r(&seed) % 24;

        switch (rand_r(&seed) % 4) {
        case 0:
            eg_alloc_unbound(v, DOMID_SELF, other->domid);
            break;
        case 1:
            eg_bind_interdomain(v, other->domid, port);
            break;
        case 2:
            eg_send(v, port);
            break;
        default:
            eg_close(v, port);
            break;
        }
    }
    return NULL;
}

static void test_race_close(void **state)
{
    pthread_t t;

    (void)state;
    assert_int_equal(pthread_create(&t, NULL, churn, dom1), 0);
    churn(dom0);
    pthread_join(t, NULL);
    check_pairs(dom0);
    check_pairs(dom1);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_interdomain), T(test_loopback), T(test_privilege), T(test_virq_ipi),
        T(test_bad_arguments), T(test_twolevel_order), T(test_upcall_ways), T(test_vcpu_info),
        T(test_many_vcpus), T(test_history_twolevel), T(test_history_fifo), T(test_fifo_setup),
        T(test_fifo_before_pages), T(test_fifo_priority_order), T(test_fifo_busy_port),
        T(test_fifo_hostile), T(test_fifo_link_contention), T(test_limits), T(test_no_memory),
        T(test_reset_restarts), T(test_hv_port), T(test_destroy), T(test_poll),
        T(test_race_twolevel), T(test_race_fifo), T(test_race_close),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
