/* SPDX-License-Identifier: MIT */
/*
 * Arithmetic of clocks: scales, frequency estimation, and the CMOS clock's date.  No hardware is
 * touched here but through the reading functions that the caller passes.
 */
#include "irq/timescale.h"

#include "lib/types.h"

/* mul / 2^32 * 2^shift = num / den, with mul's top bit set; the ratio lies within 2^-31..2^32. */
static struct time_scale scale_from_ratio(uint64_t num, uint64_t den)
{
    struct time_scale s = { 0, 0 };
    int shift = 32;
    uint64_t mul;

    /* From the largest shift down, the first whose quotient has 32 bits. */
    do {
        shift--;
        mul = mul_div64(num, 1ULL << (32 - shift), den);
    } while (!(mul >> 31) && shift > -31);
    s.mul = (uint32_t)MIN(mul, 0xffffffffULL);
    s.shift = (int8_t)shift;
    return s;
}

struct time_scale time_scale_from_hz(uint64_t hz)
{
    return scale_from_ratio(1000000000ULL, hz);
}

struct time_scale time_scale_to_hz(uint64_t hz)
{
    return scale_from_ratio(hz, 1000000000ULL);
}

struct paired_sample {
    uint64_t ticks;
    uint64_t ref;
};

/* The closest of some pairs: an interrupted or slow reading shows as a wide one and loses. */
static struct paired_sample sample_pair(const struct ref_clock *ref, uint64_t (*ticks)(void))
{
    struct paired_sample best = { 0, 0 };
    uint64_t best_width = ~0ULL;

    for (unsigned i = 0; i < 8; i++) {
        uint64_t before = ticks();
        uint64_t r = ref->read() & ref->mask;
        uint64_t after = ticks();

        if (after - before < best_width) {
            best_width = after - before;
            best.ticks = before + (after - before) / 2;
            best.ref = r;
        }
    }
    return best;
}

/* Waits until the reference has moved `window` on from `start`; false if it does not move. */
static bool wait_window(const struct ref_clock *ref, uint64_t start, uint64_t window)
{
    for (unsigned i = 0; i < 1000000; i++)
        if (((ref->read() - start) & ref->mask) >= window)
            return true;
    return false;
}

#define WINDOWS 3

/* One attempt; 0 if the windows disagree. */
static uint64_t measure_once(const struct ref_clock *ref, uint64_t (*ticks)(void), uint64_t window)
{
    struct paired_sample first = sample_pair(ref, ticks), prev = first, cur = first;
    uint64_t lo = ~0ULL, hi = 0, ref_total = 0;

    for (unsigned i = 0; i < WINDOWS; i++) {
        uint64_t delta, hz;

        if (!wait_window(ref, prev.ref, window))
            return 0;
        cur = sample_pair(ref, ticks);
        delta = (cur.ref - prev.ref) & ref->mask;
        if (delta < window / 2 || cur.ticks <= prev.ticks)
            return 0;
        hz = mul_div64(cur.ticks - prev.ticks, ref->hz, delta);
        lo = MIN(lo, hz);
        hi = MAX(hi, hz);
        ref_total += delta;
        prev = cur;
    }
    if (hi - lo > hi / 64)
        return 0;
    return mul_div64(cur.ticks - first.ticks, ref->hz, ref_total);
}

uint64_t ref_clock_measure(const struct ref_clock *ref, uint64_t (*ticks)(void), unsigned window_us)
{
    uint64_t window = ref->hz * window_us / 1000000;

    /* A delay of the whole machine may span a wrap of a narrow reference: then the windows
     * disagree. */
    for (unsigned attempt = 0; attempt < 3; attempt++) {
        uint64_t hz = measure_once(ref, ticks, window);

        if (hz)
            return hz;
    }
    return 0;
}

/* ---- CMOS date ---- */

#define RTC_B_24H    0x02
#define RTC_B_BINARY 0x04
#define RTC_HOUR_PM  0x80

/* False if a digit is not decimal. */
static bool from_bcd(uint8_t *v)
{
    if ((*v & 15) > 9 || (*v >> 4) > 9)
        return false;
    *v = (uint8_t)((*v >> 4) * 10 + (*v & 15));
    return true;
}

/* Days from 1970-01-01 to a date of the Gregorian calendar, year >= 1970. */
static uint64_t days_from_epoch(unsigned year, unsigned month, unsigned day)
{
    static const uint16_t before_month[12] = {
        0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334
    };
    unsigned y = year - 1;
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    uint64_t days = (uint64_t)(year - 1970) * 365;

    /* Leap years in 1..year-1, less those in 1..1969. */
    days += (y / 4 - y / 100 + y / 400) - (1969 / 4 - 1969 / 100 + 1969 / 400);
    return days + before_month[month - 1] + (leap && month > 2) + day - 1;
}

uint64_t rtc_to_epoch(const struct rtc_regs *regs)
{
    struct rtc_regs r = *regs;
    bool pm = r.hour & RTC_HOUR_PM;
    unsigned year;

    if (!(r.status_b & RTC_B_24H))
        r.hour &= (uint8_t)~RTC_HOUR_PM;
    if (!(r.status_b & RTC_B_BINARY) &&
        !(from_bcd(&r.sec) && from_bcd(&r.min) && from_bcd(&r.hour) && from_bcd(&r.day) &&
          from_bcd(&r.month) && from_bcd(&r.year)))
        return 0;
    if (!(r.status_b & RTC_B_24H)) {
        if (r.hour < 1 || r.hour > 12)
            return 0;
        r.hour = (uint8_t)(r.hour % 12 + (pm ? 12 : 0));
    }
    if (r.sec > 59 || r.min > 59 || r.hour > 23 || r.day < 1 || r.day > 31 || r.month < 1 ||
        r.month > 12 || r.year > 99)
        return 0;
    /* The century's place is firmware's choice: believe it only if it makes sense, else 1970..2069.
     */
    if (from_bcd(&r.century) && r.century >= 20 && r.century <= 21)
        year = r.century * 100u + r.year;
    else
        year = r.year < 70 ? 2000u + r.year : 1900u + r.year;
    return days_from_epoch(year, r.month, r.day) * 86400 + r.hour * 3600u + r.min * 60u + r.sec;
}
