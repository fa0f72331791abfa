/* SPDX-License-Identifier: MIT */
/*
 * Arithmetic of clocks, free of hardware: ticks to nanoseconds by multiplication, estimating a
 * counter's frequency from paired readings, and the CMOS clock's date.
 */
#ifndef XL_IRQ_TIMESCALE_H
#define XL_IRQ_TIMESCALE_H

#include "lib/types.h"

/*
 * ns = ((ticks << shift) * mul) >> 32, a negative shift going right: the form that the public
 * vcpu_time_info has.
 */
struct time_scale {
    uint32_t mul;
    int8_t shift;
};

/* The scale of a counter with `hz` ticks a second, hz != 0. mul has its top bit set, so it is exact
 * to 2^-31. */
struct time_scale time_scale_from_hz(uint64_t hz);
/* The inverse: nanoseconds to ticks. */
struct time_scale time_scale_to_hz(uint64_t hz);

static inline uint64_t time_scale_apply(struct time_scale s, uint64_t ticks)
{
    if (s.shift < 0)
        ticks >>= -s.shift;
    else
        ticks <<= s.shift;
    return (uint64_t)(((unsigned __int128)ticks * s.mul) >> 32);
}

/*
 * a * b / c with a 128-bit product, ~0 if the quotient does not fit or c is 0.  By instruction, as
 * the compiler's own 128-bit division is a library call.
 */
static inline uint64_t mul_div64(uint64_t a, uint64_t b, uint64_t c)
{
    unsigned __int128 product = (unsigned __int128)a * b;
    uint64_t high = (uint64_t)(product >> 64), low = (uint64_t)product, rest;

    if (high >= c)
        return ~0ULL;
    __asm__("divq %4" : "=a"(low), "=d"(rest) : "0"(low), "1"(high), "rm"(c) : "cc");
    return low;
}

/* A counter of known frequency. read() gives `mask`-wide values that count up. */
struct ref_clock {
    const char *name;
    uint64_t hz;
    uint64_t mask;
    uint64_t (*read)(void);
};

/*
 * Measures the counter `ticks` (64 bits, never wraps) against `ref`.  Returns its frequency in Hz,
 * 0 if the reference stands still, jumps, or disagrees with itself by more than 1/64 over three
 * windows.  Each window is about window_us long and must be shorter than the reference's wrap.
 */
uint64_t ref_clock_measure(const struct ref_clock *ref, uint64_t (*ticks)(void),
                           unsigned window_us);

/* CMOS registers 0, 2, 4, 7, 8, 9, the century (0 if there is none) and status register B. */
struct rtc_regs {
    uint8_t sec, min, hour, day, month, year, century, status_b;
};

/* Seconds since 1970-01-01 UTC; 0 if the registers hold no valid date. */
uint64_t rtc_to_epoch(const struct rtc_regs *r);

#endif
