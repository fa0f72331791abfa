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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shares_follow_weights),
        cmocka_unit_test(test_extreme_weights_do_not_starve),
        cmocka_unit_test(test_sleeper_runs_soon_but_saves_nothing),
        cmocka_unit_test(test_yield_lets_the_other_go_first),
        cmocka_unit_test(test_move_keeps_the_distance),
        cmocka_unit_test(test_random_order_stays_sorted),
    };

    return cmocka_run_group_tests_name("fair", tests, NULL, NULL);
}
