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
    unsigned nr = games ? (unsigned)atoi(games) : 12;
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
    }
    printf("# %llu requests, %llu bits posted, %llu remapped, %llu received; told %llu, woken %llu; %llu sleeps, "
           "%llu moves, %llu pauses, %llu rebinds\n",
           (unsigned long long)sum.requests, (unsigned long long)sum.posted,
           (unsigned long long)sum.remapped, (unsigned long long)sum.received,
           (unsigned long long)sum.told, (unsigned long long)sum.woken,
           (unsigned long long)sum.sleeps, (unsigned long long)sum.moves,
           (unsigned long long)sum.pauses, (unsigned long long)sum.rebinds);
    /* None of it was left out. */
    assert_true(sum.told > nr * 50 && sum.woken > nr * 50 && sum.remapped > nr * 20);
    assert_true(sum.sleeps > nr * 100 && sum.moves > nr * 20 && sum.rebinds > nr * 10);
    assert_true(sum.pauses > nr);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_games),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
