/* SPDX-License-Identifier: MIT */
/*
 * Posted interrupts while vCPUs run, wait, sleep, are paused and move: whatever comes between what, every request arrives, once,
 * and CPUs are told of those that are theirs.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "post_rig.h"

static void test_games(void **state)
{
    const char *games = getenv("XEN_LITE_POSTED_GAMES");
    unsigned nr = games ? (unsigned)atoi(games) : 40;
    struct post_counts sum = { 0 };

    (void)state;
    for (unsigned seed = 1; seed <= nr; seed++) {
        struct post_counts c;

        post_play(seed, 20, &c);
        sum.requests += c.requests;
        sum.posted += c.posted;
        sum.told += c.told;
        sum.woken += c.woken;
        sum.remapped += c.remapped;
        sum.received += c.received;
        sum.sleeps += c.sleeps;
        sum.moves += c.moves;
        sum.pauses += c.pauses;
        sum.rebinds += c.rebinds;
        sum.ipis += c.ipis;
        sum.taken += c.taken;
    }
    printf("# %llu requests, %llu bits posted, %llu remapped, %llu received; told %llu, woken %llu; %llu sleeps, "
           "%llu moves, %llu pauses, %llu rebinds; %llu IPIs, %llu taken in guest mode\n",
           (unsigned long long)sum.requests, (unsigned long long)sum.posted,
           (unsigned long long)sum.remapped, (unsigned long long)sum.received,
           (unsigned long long)sum.told, (unsigned long long)sum.woken,
           (unsigned long long)sum.sleeps, (unsigned long long)sum.moves,
           (unsigned long long)sum.pauses, (unsigned long long)sum.rebinds,
           (unsigned long long)sum.ipis, (unsigned long long)sum.taken);
    /* None of it was left out. */
    assert_true(sum.told > nr * 50 && sum.woken > nr * 50 && sum.remapped > nr * 20);
    assert_true(sum.sleeps > nr * 100 && sum.moves > nr * 20 && sum.rebinds > nr * 10);
    assert_true(sum.pauses > nr && sum.ipis > nr * 20 && sum.taken > nr * 10);
}

/* INIT takes away what the local APIC has requested, and what is on the way there. */
static void test_init(void **state)
{
    struct vcpu *v;

    (void)state;
    post_begin(1);
    v = post_vcpu(2);
    post_request(2);
    assert_true(post_waiting(v));
    assert_int_equal(vlapic_highest_irr(&v->vlapic), -1);
    vcpu_init_signal(v);
    assert_false(post_waiting(v));
    post_sync(v);
    assert_int_equal(vlapic_highest_irr(&v->vlapic), -1);
    post_end();
}

/* A toolstack that reads the local APIC of a vCPU that does not run sees what was posted. */
static void test_sync(void **state)
{
    struct vcpu *v;

    (void)state;
    post_begin(2);
    v = post_vcpu(3);
    post_request(3);
    post_sync(v);
    assert_int_equal(vlapic_highest_irr(&v->vlapic), 0x31 + 17 * 3);
    assert_int_equal(v->post.taken, 1);
    assert_false(post_waiting(v));
    post_end();
}

/* Nobody is told of requests for one that has been stopped for good. */
static void test_stop(void **state)
{
    struct vcpu *v;

    (void)state;
    post_begin(3);
    v = post_vcpu(1);
    v->sched.running = true;
    this_cpu()->current = v;
    post_sleep(v);
    assert_true(v->post.listed);
    v->sched.running = false;
    this_cpu()->current = NULL;
    post_stop(v);
    assert_false(v->post.listed);
    post_request(1); /* would be told to a CPU that has nothing to do with it */
    assert_true(post_waiting(v));
    post_end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_games),
        cmocka_unit_test(test_init),
        cmocka_unit_test(test_sync),
        cmocka_unit_test(test_stop),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
