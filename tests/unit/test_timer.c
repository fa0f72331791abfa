/* SPDX-License-Identifier: MIT */
/*
 * Timers against a sorted model, and the arithmetic of clocks: scales, calibration against
 * simulated references, dates.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "irq/irq.h"
#include "irq/lapic.h"
#include "irq/timer.h"
#include "irq/timescale.h"
#include "lib/percpu.h"
#include "lib/time.h"
#include "sim.h"

/* ---- the local APIC ---- */

static uint64_t armed_delta; /* of the last lapic_timer_arm() */
static unsigned arms;
static unsigned ipis;
static uint32_t ipi_dest;
static uint8_t ipi_vector;
static int ipi_result;

void lapic_timer_arm(uint64_t delta_ns)
{
    armed_delta = delta_ns;
    arms++;
}

int lapic_send_ipi(uint32_t apicid, uint8_t vector)
{
    if (ipi_result)
        return ipi_result;
    ipi_dest = apicid;
    ipi_vector = vector;
    ipis++;
    return 0;
}

static int setup(void **state)
{
    (void)state;
    nr_cpus = 3;
    for (unsigned i = 0; i < nr_cpus; i++) {
        percpu_area[i].id = i;
        percpu_area[i].apicid = 10 + i;
        timer_init_cpu(i);
    }
    sim_this_cpu = 0;
    sim_now_ns = 1000;
    sim_now_step = 0;
    armed_delta = arms = ipis = 0;
    ipi_result = 0;
    return 0;
}

/* ---- timers ---- */

#define MANY 400
static struct timer many[MANY];
static unsigned fired_order[MANY * 4];
static unsigned nr_fired;

static void note(void *arg)
{
    fired_order[nr_fired++] = (unsigned)((struct timer *)arg - many);
}

static void order_is_that_of_deadlines(void **state)
{
    (void)state;
    srand(7);
    nr_fired = 0;
    for (unsigned i = 0; i < MANY; i++) {
        timer_init(&many[i], 0, note, &many[i]);
        timer_set(&many[i], 2000 + (uint64_t)(rand() % 5000));
    }
    /* Some are moved, some cancelled. */
    for (unsigned i = 0; i < MANY; i += 3)
        timer_set(&many[i], 2000 + (uint64_t)(rand() % 5000));
    for (unsigned i = 1; i < MANY; i += 4)
        timer_cancel(&many[i]);
    for (unsigned i = 0; i < MANY; i++)
        assert_int_equal(timer_pending(&many[i]), i % 4 != 1);

    while (timer_next_deadline() != ~0ULL) {
        sim_now_ns = timer_next_deadline();
        timer_interrupt(NULL);
    }
    assert_int_equal(nr_fired, MANY - MANY / 4);
    for (unsigned i = 1; i < nr_fired; i++)
        assert_true(many[fired_order[i - 1]].deadline <= many[fired_order[i]].deadline);
    for (unsigned i = 0; i < nr_fired; i++) {
        assert_int_not_equal(fired_order[i] % 4, 1);
        assert_false(timer_pending(&many[fired_order[i]]));
    }
}

static void random_set_and_cancel_matches_a_model(void **state)
{
    uint64_t model[64]; /* deadline, 0: not queued */

    (void)state;
    srand(11);
    memset(model, 0, sizeof(model));
    for (unsigned i = 0; i < 64; i++)
        timer_init(&many[i], 0, note, &many[i]);
    for (unsigned step = 0; step < 20000; step++) {
        unsigned i = (unsigned)rand() % 64;
        uint64_t first = ~0ULL;

        if (rand() % 3 == 0) {
            timer_cancel(&many[i]);
            model[i] = 0;
        } else {
            model[i] = 5000 + (uint64_t)(rand() % 100000);
            timer_set(&many[i], model[i]);
        }
        for (unsigned k = 0; k < 64; k++)
            if (model[k] && model[k] < first)
                first = model[k];
        assert_int_equal(timer_next_deadline(), first);
    }
    for (unsigned i = 0; i < 64; i++)
        timer_cancel(&many[i]);
    assert_int_equal(timer_next_deadline(), ~0ULL);
}

static void local_apic_is_armed_for_the_first(void **state)
{
    struct timer a, b;

    (void)state;
    timer_init(&a, 0, note, &many[0]);
    timer_init(&b, 0, note, &many[1]);
    nr_fired = 0;
    timer_set(&a, 5000);
    assert_int_equal(arms, 1);
    assert_int_equal(armed_delta, 4000);
    timer_set(&b, 9000); /* later: nothing to do */
    assert_int_equal(arms, 1);
    timer_set(&b, 3000);
    assert_int_equal(arms, 2);
    assert_int_equal(armed_delta, 2000);

    /* An early interrupt fires nothing and arms for the rest. */
    sim_now_ns = 2900;
    timer_interrupt(NULL);
    assert_int_equal(nr_fired, 0);
    assert_int_equal(armed_delta, 100);

    sim_now_ns = 3000;
    timer_interrupt(NULL);
    assert_int_equal(nr_fired, 1);
    assert_int_equal(armed_delta, 2000);

    /* A deadline in the past fires at the next chance. */
    timer_set(&b, 10);
    assert_int_equal(armed_delta, 0);
    timer_interrupt(NULL);
    assert_int_equal(nr_fired, 2);
    timer_cancel(&a);
    arms = 0;
    timer_interrupt(NULL);
    assert_int_equal(arms, 0); /* empty: nothing armed */
}

static struct timer again;
static unsigned again_runs;

static void sets_itself(void *arg)
{
    (void)arg;
    again_runs++;
    timer_set(&again, 1); /* always in the past */
}

static void one_interrupt_is_bounded(void **state)
{
    struct timer_stats st;

    (void)state;
    again_runs = 0;
    timer_init(&again, 0, sets_itself, NULL);
    timer_set(&again, 500);
    timer_interrupt(NULL);
    assert_true(again_runs >= 1 && again_runs <= 64);
    /* What is left comes with another interrupt, at once. */
    assert_int_equal(armed_delta, 0);
    timer_cancel_sync(&again);
    assert_false(timer_pending(&again));
    timer_get_stats(0, &st);
    assert_int_equal(st.fired, again_runs);
    assert_int_equal(st.interrupts, 1);
}

static void foreign_cpu_is_told_once(void **state)
{
    struct timer a, b;

    (void)state;
    timer_init(&a, 2, note, &many[0]);
    timer_init(&b, 2, note, &many[1]);
    timer_set(&a, 8000);
    assert_int_equal(ipis, 1);
    assert_int_equal(ipi_dest, 12);
    assert_int_equal(ipi_vector, VECTOR_TIMER);
    assert_int_equal(arms, 0);
    timer_set(&b, 9000);
    assert_int_equal(ipis, 1);
    timer_set(&b, 7000);
    assert_int_equal(ipis, 2);

    sim_this_cpu = 2;
    timer_interrupt(NULL);
    assert_int_equal(armed_delta, 6000);

    /* A message that could not be sent is sent with the next change. */
    sim_this_cpu = 0;
    ipi_result = -1;
    timer_set(&b, 6000);
    assert_int_equal(ipis, 2);
    ipi_result = 0;
    timer_set(&a, 6500);
    assert_int_equal(ipis, 3);
    timer_cancel(&a);
    timer_cancel(&b);
}

static void moves_with_its_deadline(void **state)
{
    struct timer a;

    (void)state;
    nr_fired = 0;
    timer_init(&a, 0, note, &many[5]);
    timer_set(&a, 4000);
    timer_set_cpu(&a, 1);
    assert_int_equal(timer_next_deadline(), ~0ULL);
    assert_int_equal(ipi_dest, 11);
    sim_now_ns = 4000;
    timer_interrupt(NULL); /* CPU 0 has nothing */
    assert_int_equal(nr_fired, 0);
    sim_this_cpu = 1;
    assert_int_equal(timer_next_deadline(), 4000);
    timer_interrupt(NULL);
    assert_int_equal(nr_fired, 1);
    /* Not queued: moves without a message. */
    ipis = 0;
    timer_set_cpu(&a, 2);
    assert_int_equal(ipis, 0);
    assert_int_equal(a.cpu, 2);
}

/* ---- clocks ---- */

static void scales_are_exact(void **state)
{
    static const uint64_t hz[] = { 1000000,    1193182,    3579545,       24000000,     999999999,
                                   1000000000, 1000000001, 2399999000ULL, 5000000000ULL };

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(hz); i++) {
        struct time_scale to_ns = time_scale_from_hz(hz[i]), to_ticks = time_scale_to_hz(hz[i]);
        uint64_t day = hz[i] * 86400;
        int64_t err = (int64_t)(time_scale_apply(to_ns, day) - 86400ULL * NS_PER_SEC);

        assert_true(to_ns.mul >> 31);
        /* 2^-31 of a day is 40 us. */
        assert_true(err <= 0 && err > -50000);
        err = (int64_t)(time_scale_apply(to_ticks, NS_PER_SEC) - hz[i]);
        assert_true(err <= 0 && err > -4);
        assert_int_equal(time_scale_apply(to_ns, 0), 0);
    }
    /* The public format: 1 GHz is 1:1. */
    assert_int_equal(time_scale_from_hz(1000000000).mul, 0x80000000u);
    assert_int_equal(time_scale_from_hz(1000000000).shift, 1);
    assert_int_equal(mul_div64(~0ULL, ~0ULL, ~0ULL), ~0ULL);
    assert_int_equal(mul_div64(~0ULL, 6, 3), ~0ULL);
    assert_int_equal(mul_div64(7, 5, 0), ~0ULL);
    assert_int_equal(mul_div64(1ULL << 40, 1ULL << 40, 1ULL << 30), 1ULL << 50);
}

/* Simulated time in picoseconds; each reading takes some. */
static uint64_t ps;
static uint64_t tsc_per_us = 2400, ref_hz = 3579545, ref_mask = 0xffffff;
static unsigned readings, hiccup_at;
static bool ref_stands;

static uint64_t sim_tsc(void)
{
    ps += 20000;
    return (uint64_t)((unsigned __int128)ps * tsc_per_us / 1000000);
}

static uint64_t sim_ref(void)
{
    ps += 400000;
    if (++readings == hiccup_at)
        ps += 300000000000ULL; /* 300 ms away */
    return ref_stands ? 42
                      : (uint64_t)((unsigned __int128)ps * ref_hz / 1000000000000ULL) & ref_mask;
}

static uint64_t run_measure(uint64_t hz, uint64_t mask)
{
    struct ref_clock ref = { "test", hz, mask, sim_ref };

    ref_hz = hz;
    ref_mask = mask;
    readings = 0;
    return ref_clock_measure(&ref, sim_tsc, 10000);
}

static void assert_close(uint64_t got, uint64_t want, uint64_t ppm)
{
    uint64_t diff = got > want ? got - want : want - got;

    assert_true(diff <= want / 1000000 * ppm);
}

static void calibration_finds_the_frequency(void **state)
{
    (void)state;
    ref_stands = false;
    hiccup_at = 0;
    tsc_per_us = 2400;
    assert_close(run_measure(3579545, 0xffffff), 2400000000ULL, 50);
    assert_close(run_measure(1193182, 0xffff), 2400000000ULL, 100);
    assert_close(run_measure(100000000, 0xffffffff), 2400000000ULL, 20);
    tsc_per_us = 1000;
    assert_close(run_measure(1193182, 0xffff), 1000000000ULL, 100);

    /* Away in the middle of a window, over several wraps of the PIT: found out and repeated. */
    hiccup_at = 10000;
    assert_close(run_measure(1193182, 0xffff), 1000000000ULL, 100);
    assert_true(readings > 10000);
    hiccup_at = 0;
    ref_stands = true;
    assert_int_equal(run_measure(3579545, 0xffffff), 0);
    ref_stands = false;
}

static void dates(void **state)
{
    /* 2026-11-21 07:36:23, BCD, 24 hours. */
    struct rtc_regs r = { 0x23, 0x36, 0x07, 0x21, 0x11, 0x26, 0x20, 0x02 };

    (void)state;
    assert_int_equal(rtc_to_epoch(&r), 1795246583);
    r.century = 0xff; /* no such register */
    assert_int_equal(rtc_to_epoch(&r), 1795246583);
    r = (struct rtc_regs){ 23, 36, 7, 21, 11, 26, 0x20, 0x06 }; /* binary */
    assert_int_equal(rtc_to_epoch(&r), 1795246583);
    r = (struct rtc_regs){ 0x23, 0x36, 0x87, 0x21, 0x11, 0x26, 0x20, 0x00 }; /* 7 pm, 12 hours */
    assert_int_equal(rtc_to_epoch(&r), 1795246583 + 12 * 3600);
    r.hour = 0x12; /* midnight */
    assert_int_equal(rtc_to_epoch(&r), 1795246583 - 7 * 3600);
    r.hour = 0x92; /* noon */
    assert_int_equal(rtc_to_epoch(&r), 1795246583 + 5 * 3600);
    r = (struct rtc_regs){ 0, 0, 0, 0x01, 0x03, 0x24, 0x20, 0x02 }; /* after a leap day */
    assert_int_equal(rtc_to_epoch(&r), 1709251200);
    r = (struct rtc_regs){ 0, 0, 0, 0x01, 0x01, 0x70, 0, 0x02 };
    assert_int_equal(rtc_to_epoch(&r), 0);
    r = (struct rtc_regs){ 0x59, 0x59, 0x23, 0x31, 0x12, 0x99, 0x21, 0x02 }; /* 2199 */
    assert_int_equal(rtc_to_epoch(&r), 7258118399ULL);

    r = (struct rtc_regs){ 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };
    assert_int_equal(rtc_to_epoch(&r), 0);
    r = (struct rtc_regs){ 0x23, 0x36, 0x24, 0x21, 0x11, 0x26, 0x20, 0x02 };
    assert_int_equal(rtc_to_epoch(&r), 0);
    r = (struct rtc_regs){ 0x23, 0x36, 0x07, 0x21, 0x13, 0x26, 0x20, 0x02 };
    assert_int_equal(rtc_to_epoch(&r), 0);
    r = (struct rtc_regs){ 0x23, 0x36, 0x07, 0x00, 0x11, 0x26, 0x20, 0x02 };
    assert_int_equal(rtc_to_epoch(&r), 0);
    r = (struct rtc_regs){ 0x23, 0x36, 0x13, 0x21, 0x11, 0x26, 0x20, 0x00 };
    assert_int_equal(rtc_to_epoch(&r), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(order_is_that_of_deadlines, setup),
        cmocka_unit_test_setup(random_set_and_cancel_matches_a_model, setup),
        cmocka_unit_test_setup(local_apic_is_armed_for_the_first, setup),
        cmocka_unit_test_setup(one_interrupt_is_bounded, setup),
        cmocka_unit_test_setup(foreign_cpu_is_told_once, setup),
        cmocka_unit_test_setup(moves_with_its_deadline, setup),
        cmocka_unit_test(scales_are_exact),
        cmocka_unit_test(calibration_finds_the_frequency),
        cmocka_unit_test(dates),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
