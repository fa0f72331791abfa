/* SPDX-License-Identifier: MIT */
/*
 * Arrays of bits in 64-bit words. The plain operations need the caller's lock; the test_and_ ones are atomic.
 */
#ifndef XL_LIB_BITMAP_H
#define XL_LIB_BITMAP_H

#include "lib/types.h"

#define BITS_TO_WORDS(bits) (((bits) + 63) / 64)
#define DECLARE_BITMAP(name, bits) uint64_t name[BITS_TO_WORDS(bits)]

static inline void set_bit(uint64_t *map, unsigned nr)
{
    map[nr / 64] |= BIT(nr % 64);
}

static inline void clear_bit(uint64_t *map, unsigned nr)
{
    map[nr / 64] &= ~BIT(nr % 64);
}

static inline bool test_bit(const uint64_t *map, unsigned nr)
{
    return (map[nr / 64] >> (nr % 64)) & 1;
}

static inline bool test_and_set_bit(uint64_t *map, unsigned nr)
{
    return __atomic_fetch_or(&map[nr / 64], BIT(nr % 64), __ATOMIC_SEQ_CST) & BIT(nr % 64);
}

static inline bool test_and_clear_bit(uint64_t *map, unsigned nr)
{
    return __atomic_fetch_and(&map[nr / 64], ~BIT(nr % 64), __ATOMIC_SEQ_CST) & BIT(nr % 64);
}

/* Bits set in a word: one step each, for words of few. */
static inline unsigned word_count(uint64_t word)
{
    unsigned n = 0;

    for (; word; word &= word - 1)
        n++;
    return n;
}

/* The first bit at or after `from` that is set (or clear, with invert = ~0); `bits` if there is none. */
static inline unsigned bitmap_scan_(const uint64_t *map, unsigned bits, unsigned from,
                                    uint64_t invert)
{
    while (from < bits) {
        uint64_t word = (map[from / 64] ^ invert) >> (from % 64);

        if (word) {
            unsigned nr = from + (unsigned)__builtin_ctzll(word);
            return nr < bits ? nr : bits;
        }
        from = (from / 64 + 1) * 64;
    }
    return bits;
}

static inline unsigned find_next_bit(const uint64_t *map, unsigned bits, unsigned from)
{
    return bitmap_scan_(map, bits, from, 0);
}

static inline unsigned find_first_bit(const uint64_t *map, unsigned bits)
{
    return bitmap_scan_(map, bits, 0, 0);
}

static inline unsigned find_next_zero_bit(const uint64_t *map, unsigned bits, unsigned from)
{
    return bitmap_scan_(map, bits, from, ~0ULL);
}

static inline unsigned find_first_zero_bit(const uint64_t *map, unsigned bits)
{
    return bitmap_scan_(map, bits, 0, ~0ULL);
}

#endif
