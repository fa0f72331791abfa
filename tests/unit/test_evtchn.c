/* SPDX-License-Identifier: MIT */
/*
 * Event channels: every operation's rules, both ABIs against a guest that consumes, random
 * histories against an oracle, real concurrency, hostile shared pages, limits and teardown.
 */
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
    assert_int_equal(hc_call(do_event_channel_op, v, EVTCHNOP_bind_pirq, &pirq, sizeof(pirq)),
                     -EINVAL);
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
    assert_int_equal(eg_bind_vcpu(v, 1, 0), -EINVAL);    /* an IPI */
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
    assert_int_equal(hc_log(v)->irqs, 1);          /* what was pending is not lost */
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

static void drain(struct evtchn_guest *g)
{
    for (unsigned i = 0; i < g->d->max_vcpus; i++)
        eg_upcall(g, g->d->vcpu[i]);
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
    struct vcpu *v = dom1->vcpu[0];
    struct evtchn_fifo_control_block *cb;
    struct evtchn_guest g;
    unsigned p[4];

    (void)state;
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
    assert_int_equal(hc_log(v)->kicks, 0);
    eg_send(v, port); /* masked, and yet */
    assert_int_equal(hc_log(v)->kicks, 1);
    assert_int_equal(dom1->evtchn.nr_polling, 0);
    assert_false(evtchn_poll_begin(v, list, 2, &err));
    assert_int_equal(err, 0);
    test_and_clear_bit(dom1->shared_info->evtchn_pending, port);
    test_and_clear_bit(dom1->shared_info->evtchn_pending, other);
    assert_true(evtchn_poll_begin(v, list, 2, &err));
    eg_send(v, other);
    assert_int_equal(hc_log(v)->kicks, 2);
    evtchn_poll_end(v);
    assert_int_equal(dom1->evtchn.nr_polling, 0);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_interdomain),    T(test_loopback),          T(test_privilege),
        T(test_virq_ipi),       T(test_bad_arguments),     T(test_twolevel_order),
        T(test_upcall_ways),    T(test_vcpu_info),         T(test_many_vcpus),
        T(test_fifo_setup),     T(test_fifo_before_pages), T(test_fifo_priority_order),
        T(test_fifo_busy_port), T(test_hv_port),           T(test_destroy),
        T(test_poll),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
