/* SPDX-License-Identifier: MIT */
/*
 * Weighted fair queueing against what it promises: shares by weight, no starvation, no credit without bound.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "sched/fair.h"
#include "sim.h"

#define NR 4

/* Runs n always-runnable entities for `total` ns as a CPU would; run[i] receives each one's time. */
static void compete(struct fair_entity *e, unsigned n, uint64_t total, uint64_t *run)
{
    struct fair_queue q;
    struct fair_entity *cur;
    uint64_t now = 0;

    fair_queue_init(&q);
    for (unsigned i = 0; i < n; i++) {
        run[i] = 0;
        fair_enqueue(&q, &e[i], true);
    }
    while (now < total) {
        cur = fair_first(&q);
        fair_dequeue(&q, cur);
        while (!fair_must_yield(&q, cur)) {
            uint64_t slice = MIN(fair_slice(&q, cur), 50 * NS_PER_MS);

            assert_true(slice > 0);
            fair_charge(&q, cur, slice);
            run[cur - e] += slice;
            now += slice;
        }
        fair_enqueue(&q, cur, false);
    }
}

static void test_shares_follow_weights(void **state)
{
    static const uint32_t weight[NR] = { 256, 512, 128, 1024 };
    struct fair_entity e[NR];
    uint64_t run[NR], total = 60 * NS_PER_SEC, sum = 0;

    (void)state;
    for (unsigned i = 0; i < NR; i++) {
        fair_entity_init(&e[i], weight[i]);
        sum += weight[i];
    }
    compete(e, NR, total, run);
    for (unsigned i = 0; i < NR; i++) {
        uint64_t want = total / sum * weight[i];

        assert_in_range(run[i], want - want / 50, want + want / 50);
    }
}

static void test_extreme_weights_do_not_starve(void **state)
{
    struct fair_entity e[2];
    uint64_t run[2];

    (void)state;
    fair_entity_init(&e[0], 1);
    fair_entity_init(&e[1], FAIR_WEIGHT_MAX);
    compete(e, 2, 3600 * NS_PER_SEC, run);
    assert_true(run[0] > 0);
    assert_true(run[1] > 1000 * run[0]);
}

static void test_sleeper_runs_soon_but_saves_nothing(void **state)
{
    struct fair_queue q;
    struct fair_entity busy, sleeper;

    (void)state;
    fair_queue_init(&q);
    fair_entity_init(&busy, FAIR_WEIGHT_NORMAL);
    fair_entity_init(&sleeper, FAIR_WEIGHT_NORMAL);
    fair_charge(&q, &busy, 1000 * NS_PER_SEC); /* alone for a long time */
    assert_false(fair_must_yield(&q, &busy));
    assert_true(fair_slice(&q, &busy) == ~0ULL);

    fair_enqueue(&q, &sleeper, true);
    assert_true(fair_must_yield(&q, &busy)); /* it preempts at once */
    fair_dequeue(&q, &sleeper);
    fair_enqueue(&q, &busy, false);
    /* and gives way again after its credit and the granularity, not after 1,000 s. */
    fair_charge(&q, &sleeper, FAIR_SLEEPER_CREDIT + FAIR_GRANULARITY);
    assert_true(fair_must_yield(&q, &sleeper));
}

static void test_yield_lets_the_other_go_first(void **state)
{
    struct fair_queue q;
    struct fair_entity a, b;

    (void)state;
    fair_queue_init(&q);
    fair_entity_init(&a, FAIR_WEIGHT_NORMAL);
    fair_entity_init(&b, FAIR_WEIGHT_NORMAL);
    fair_enqueue(&q, &b, false);
    fair_yield(&q, &a);
    fair_enqueue(&q, &a, false);
    assert_ptr_equal(fair_first(&q), &b);
}

static void test_move_keeps_the_distance(void **state)
{
    struct fair_queue from, to;
    struct fair_entity e, x;

    (void)state;
    fair_queue_init(&from);
    fair_queue_init(&to);
    fair_entity_init(&e, FAIR_WEIGHT_NORMAL);
    fair_entity_init(&x, FAIR_WEIGHT_NORMAL);
    fair_charge(&from, &x, 5 * NS_PER_SEC);
    fair_charge(&to, &x, 95 * NS_PER_SEC);
    e.vtime = from.min + 7;
    fair_move(&from, &to, &e);
    assert_int_equal(e.vtime, to.min + 7);
    fair_move(&to, &from, &e);
    assert_int_equal(e.vtime, from.min + 7);
    e.vtime = from.min - 3;
    fair_move(&from, &to, &e);
    assert_int_equal(e.vtime, to.min - 3);
}

static void test_random_order_stays_sorted(void **state)
{
    struct fair_entity e[64];
    struct fair_entity *pos;
    struct fair_queue q;

    (void)state;
    srand(1);
    fair_queue_init(&q);
    for (unsigned i = 0; i < 64; i++)
        fair_entity_init(&e[i], 1 + (unsigned)rand() % 1000);
    for (unsigned round = 0; round < 20000; round++) {
        struct fair_entity *x = &e[rand() % 64];
        uint64_t last = 0, min = q.min;
        unsigned n = 0;

        if (x->queued) {
            fair_dequeue(&q, x);
            fair_charge(&q, x, (uint64_t)rand() % (20 * NS_PER_MS));
        } else {
            fair_enqueue(&q, x, rand() & 1);
        }
        assert_true(q.min >= min);
        list_for_each_entry(pos, &q.ready, link) {
            assert_true(pos->vtime >= last);
            last = pos->vtime;
            n++;
        }
        assert_int_equal(n, q.nr);
    }
}

/* ---- balance ---- */

static uint64_t not_there; /* bit n: entity n of `pool` may not run on CPU 1 */
static struct fair_entity pool[16];

static bool may(const struct fair_entity *e, unsigned cpu)
{
    return cpu == 0 || !(not_there & BIT(e - pool));
}

/* Two CPUs: on each one runs, the others wait. */
static void load(struct fair_side *s, struct fair_queue *q, unsigned cpu, const uint32_t *weights,
                 unsigned n, unsigned first)
{
    fair_queue_init(q);
    *s = (struct fair_side){ .queue = q, .cpu = cpu };
    for (unsigned i = 0; i < n; i++) {
        fair_entity_init(&pool[first + i], weights[i]);
        if (i)
            fair_enqueue(q, &pool[first + i], false);
        s->load += weights[i];
    }
}

static void test_balance_moves_and_swaps(void **state)
{
    struct fair_queue q[2];
    struct fair_side a, b;
    struct fair_exchange x;

    (void)state;
    not_there = 0;
    /* Three against one: one goes. */
    load(&a, &q[0], 0, (uint32_t[]){ 256, 256, 256 }, 3, 0);
    load(&b, &q[1], 1, (uint32_t[]){ 256 }, 1, 8);
    assert_true(fair_balance(&a, &b, may, &x));
    assert_ptr_equal(x.out, &pool[1]);
    assert_null(x.in);
    /* The other way round nobody here can be of use; one comes. */
    assert_true(fair_balance(&b, &a, may, &x));
    assert_null(x.out);
    assert_ptr_equal(x.in, &pool[1]);
    /* Light ones here, heavy ones there: a swap. */
    load(&a, &q[0], 0, (uint32_t[]){ 256, 256 }, 2, 0);
    load(&b, &q[1], 1, (uint32_t[]){ 512, 512 }, 2, 8);
    assert_true(fair_balance(&a, &b, may, &x));
    assert_ptr_equal(x.out, &pool[1]);
    assert_ptr_equal(x.in, &pool[9]);
    /* Affinity forbids it. */
    not_there = BIT(1);
    assert_false(fair_balance(&a, &b, may, &x));
}

static void test_balance_leaves_what_is_even(void **state)
{
    struct fair_queue q[2];
    struct fair_side a, b;
    struct fair_exchange x;

    (void)state;
    not_there = 0;
    load(&a, &q[0], 0, (uint32_t[]){ 256, 512 }, 2, 0);
    load(&b, &q[1], 1, (uint32_t[]){ 512, 256 }, 2, 8);
    assert_false(fair_balance(&a, &b, may, &x));
    /* One more somewhere cannot be evened out by moving it. */
    load(&b, &q[1], 1, (uint32_t[]){ 256, 256, 512 }, 3, 8);
    assert_false(fair_balance(&a, &b, may, &x));
    /* Nor is a small difference worth a move. */
    load(&a, &q[0], 0, (uint32_t[]){ 1000, 20 }, 2, 0);
    load(&b, &q[1], 1, (uint32_t[]){ 980 }, 1, 8);
    assert_false(fair_balance(&a, &b, may, &x));
    load(&a, &q[0], 0, NULL, 0, 0);
    load(&b, &q[1], 1, NULL, 0, 8);
    assert_false(fair_balance(&a, &b, may, &x));
}

/* Whatever the loads: the difference shrinks with each exchange, so exchanges come to an end. */
static void test_balance_ends(void **state)
{
    struct fair_queue q[2];
    struct fair_side s[2];
    struct fair_exchange x;

    (void)state;
    not_there = 0;
    srand(7);
    for (unsigned round = 0; round < 2000; round++) {
        uint32_t w[2][6];
        unsigned n = 0;

        for (unsigned i = 0; i < 12; i++)
            w[i / 6][i % 6] = 1 + (uint32_t)rand() % 1000;
        load(&s[0], &q[0], 0, w[0], 1 + (unsigned)rand() % 6, 0);
        load(&s[1], &q[1], 1, w[1], 1 + (unsigned)rand() % 6, 8);
        while (fair_balance(&s[n % 2], &s[(n + 1) % 2], may, &x)) {
            struct fair_side *here = &s[n % 2], *there = &s[(n + 1) % 2];
            int64_t before = (int64_t)here->load - (int64_t)there->load, after;
            struct fair_queue *qh = &q[n % 2], *qt = &q[(n + 1) % 2];

            if (x.out) {
                fair_dequeue(qh, x.out);
                fair_enqueue(qt, x.out, false);
                here->load -= x.out->weight;
                there->load += x.out->weight;
            }
            if (x.in) {
                fair_dequeue(qt, x.in);
                fair_enqueue(qh, x.in, false);
                there->load -= x.in->weight;
                here->load += x.in->weight;
            }
            after = (int64_t)here->load - (int64_t)there->load;
            assert_true(llabs(after) < llabs(before));
            assert_true(++n < 100);
        }
        /* The sums that queues keep are those of their members. */
        for (unsigned k = 0; k < 2; k++) {
            struct fair_entity *e;
            uint64_t sum = 0;

            list_for_each_entry(e, &q[k].ready, link)
                sum += e->weight;
            assert_int_equal(sum, q[k].weight);
        }
    }
}

static void test_weight_changes(void **state)
{
    struct fair_queue q;
    struct fair_entity e;

    (void)state;
    fair_queue_init(&q);
    fair_entity_init(&e, 256);
    fair_set_weight(&q, &e, 100);
    assert_int_equal(q.weight, 0);
    fair_enqueue(&q, &e, false);
    fair_set_weight(&q, &e, 700);
    assert_int_equal(q.weight, 700);
    fair_set_weight(&q, &e, 7);
    assert_int_equal(q.weight, 7);
    fair_dequeue(&q, &e);
    assert_int_equal(q.weight, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shares_follow_weights),
        cmocka_unit_test(test_extreme_weights_do_not_starve),
        cmocka_unit_test(test_sleeper_runs_soon_but_saves_nothing),
        cmocka_unit_test(test_yield_lets_the_other_go_first),
        cmocka_unit_test(test_move_keeps_the_distance),
        cmocka_unit_test(test_random_order_stays_sorted),
        cmocka_unit_test(test_balance_moves_and_swaps),
        cmocka_unit_test(test_balance_leaves_what_is_even),
        cmocka_unit_test(test_balance_ends),
        cmocka_unit_test(test_weight_changes),
    };

    return cmocka_run_group_tests_name("fair", tests, NULL, NULL);
}
