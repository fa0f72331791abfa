/* SPDX-License-Identifier: MIT */
/*
 * The x86 branch filter of XZ.  An E8 or E9 byte with a plausible operand (highest byte 00 or FF)
 * had its target made absolute by the encoder.  A byte that looks like an opcode but was left alone
 * makes those in the next bytes, which overlap its operand, doubtful; encoder and decoder track
 * the same doubt in a mask of the last three bytes, bit 0 being the nearest.
 */
#include "domain/bcj_x86.h"

#include "lib/le.h"

static bool is_opcode(uint8_t b)
{
    return (b & 0xfe) == 0xe8;
}

static bool is_sign(uint8_t b)
{
    return b == 0x00 || b == 0xff;
}

/* Index of the next opcode byte at or after i; `end` if there is none. */
static size_t next_opcode(const uint8_t *buf, size_t i, size_t end)
{
    const uint64_t ones = 0x0101010101010101ull;

    while (i + 8 <= end) {
        /* The classic test for a zero byte: exact about whether there is one. */
        uint64_t x = (get_le64(buf + i) & (0xfe * ones)) ^ (0xe8 * ones);

        if ((x - ones) & ~x & (0x80 * ones))
            break;
        i += 8;
    }
    while (i < end && !is_opcode(buf[i]))
        i++;
    return i;
}

/* How many bytes back the oldest doubtful opcode lies whose operand's top byte matters; 0: none. */
static unsigned doubt_depth(unsigned mask)
{
    if (mask & 4)
        return 3;
    return mask & 2 ? 2 : mask & 1;
}

/*
 * May the opcode be converted in spite of the mask?  Not with two neighbours in doubt (but for the
 * two nearest bits' exclusions below), nor if the doubtful operand's top byte is a sign byte.
 */
static bool convertible(unsigned mask, const uint8_t *op)
{
    static const uint8_t allowed = 1 << 0 | 1 << 1 | 1 << 2 | 1 << 4;

    if (!mask)
        return true;
    return (allowed >> mask & 1) && !is_sign(op[4 - doubt_depth(mask)]);
}

static uint32_t to_relative(uint32_t target, uint32_t next_ip, unsigned mask)
{
    uint32_t rel = target - next_ip;
    unsigned shift = 8 * doubt_depth(mask);

    /* Where the byte in doubt came out as a sign byte the encoder had gone round once more. */
    while (mask && is_sign((uint8_t)(rel >> (24 - shift))))
        rel = (rel ^ (uint32_t)((1ull << (32 - shift)) - 1)) - next_ip;

    rel &= 0x01ffffff;
    return rel | -(rel & 0x01000000);
}

void bcj_x86_decode(uint8_t *buf, size_t len, uint32_t start)
{
    size_t i = 0, last = 0, end;
    unsigned mask = 0;
    bool any = false; /* an opcode was seen, at `last` */

    if (len < 5)
        return;
    end = len - 4;
    while ((i = next_opcode(buf, i, end)) < end) {
        size_t gap = i - last;

        /* Without an earlier opcode the start of the buffer, less one, takes its place. */
        if (!any)
            gap = i + 1;
        mask = gap > 3 ? 0 : mask << (gap - 1) & 7;
        any = true;
        last = i;
        if (!convertible(mask, buf + i) || !is_sign(buf[i + 4])) {
            mask = mask << 1 | 1;
            i++;
            continue;
        }
        put_le32(buf + i + 1, to_relative(get_le32(buf + i + 1), start + (uint32_t)i + 5, mask));
        i += 5;
    }
}
