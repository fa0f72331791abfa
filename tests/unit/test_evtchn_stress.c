/* SPDX-License-Identifier: MIT */
/*
 * Event channels under stress: random histories against an oracle, hostile shared pages, limits,
 * and real concurrency.
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

/* ---- random histories ---- */

struct history {
    bool owed[EG_MAX_PORTS]; /* signalled and not handled since */
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
        assert_int_equal(
            h->remote[port] ? eg_send(dom0->vcpu[0], h->remote[port]) : eg_send(v, port), 0);
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
    assert_int_equal(
        ((struct evtchn_fifo_control_block *)hc_mem(dom1, (EG_CONTROL_GFN << PAGE_SHIFT) + 64))
            ->head[7],
        b);
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

/* ---- real concurrency ---- */

#define RACE_PORTS  16u
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
        T(test_history_twolevel),     T(test_history_fifo),  T(test_fifo_hostile),
        T(test_fifo_link_contention), T(test_limits),        T(test_no_memory),
        T(test_reset_restarts),       T(test_race_twolevel), T(test_race_fifo),
        T(test_race_close),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
