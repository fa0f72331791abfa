/* SPDX-License-Identifier: MIT */
/*
 * FSE and Huffman decoding (RFC 8878, 4.1 and 4.2).
 */
#include "domain/zstd_entropy.h"

#include "lib/errno.h"
#include "lib/string.h"

int bits_open(struct bits *b, const uint8_t *src, size_t len)
{
    unsigned i;

    if (!len || !src[len - 1])
        return -EINVAL;
    b->start = src;
    if (len >= 8) {
        b->p = src + len - 8;
        b->word = get_le64(b->p);
        b->limit = 64;
    } else {
        b->p = src;
        b->word = 0;
        for (i = 0; i < len; i++)
            b->word |= (uint64_t)src[i] << (8 * (8 - len + i));
        b->limit = 8 * (unsigned)len;
    }
    /* The highest bit that is set marks the end and is not part of the data. */
    b->used = (unsigned)__builtin_clzll(b->word) + 1;
    return 0;
}

/* Forward bits of a table description, with zeros behind its end. */
struct forward {
    const uint8_t *src;
    size_t len, pos; /* bytes; bits */
};

static uint32_t forward_peek(const struct forward *f, unsigned n)
{
    size_t byte = f->pos >> 3;
    uint32_t v = 0;
    unsigned i;

    for (i = 0; i < 4 && byte + i < f->len; i++)
        v |= (uint32_t)f->src[byte + i] << (8 * i);
    return v >> (f->pos & 7) & ((1u << n) - 1);
}

/*
 * One probability: values up to `remaining` + 1 fit in `bits` bits, and the small ones in one bit
 * less (4.1.1).  -1 stands for "less than one".
 */
static int read_prob(struct forward *f, unsigned remaining)
{
    unsigned bits = 32 - (unsigned)__builtin_clz(remaining + 1);
    unsigned lower = (1u << (bits - 1)) - 1, threshold = (1u << bits) - 1 - (remaining + 1);
    uint32_t v = forward_peek(f, bits);

    if ((v & lower) < threshold) {
        f->pos += bits - 1;
        return (int)(v & lower) - 1;
    }
    f->pos += bits;
    if (v > lower)
        v -= threshold;
    return (int)v - 1;
}

/* Two bits tell how many more zero probabilities follow one; 3 means that two more bits do. */
static unsigned read_zeros(struct forward *f)
{
    unsigned n = 0, more;

    do {
        more = forward_peek(f, 2);
        f->pos += 2;
        n += more;
    } while (more == 3 && f->pos < 8 * f->len);
    return n;
}

int fse_read(struct fse_table *t, const uint8_t *src, size_t len, unsigned max_log,
             unsigned nr_symbols)
{
    struct forward f = { .src = src, .len = len };
    int16_t prob[FSE_MAX_SYMBOLS];
    unsigned log, remaining, n = 0;
    int rc;

    log = forward_peek(&f, 4) + 5;
    f.pos = 4;
    if (!len || log > max_log)
        return -EINVAL;
    for (remaining = 1u << log; remaining && n < nr_symbols;) {
        int p = read_prob(&f, remaining);

        prob[n++] = (int16_t)p;
        remaining -= p < 0 ? 1 : (unsigned)p;
        if (!p) {
            unsigned zeros = read_zeros(&f);

            if (zeros > nr_symbols - n)
                return -EINVAL;
            while (zeros--)
                prob[n++] = 0;
        }
        if (f.pos > 8 * len)
            return -EINVAL;
    }
    if (remaining)
        return -EINVAL;
    rc = fse_build(t, prob, n, log);
    return rc ? rc : (int)((f.pos + 7) >> 3);
}

/* Spreads the symbols over the table; those of probability -1 have the last entries. */
static int spread(struct fse_table *t, const int16_t *prob, unsigned nr_symbols, uint16_t *next)
{
    unsigned size = 1u << t->log, mask = size - 1, step = (size >> 1) + (size >> 3) + 3;
    unsigned high = size, pos = 0, s;
    int i;

    for (s = 0; s < nr_symbols; s++) {
        next[s] = prob[s] < 0 ? 1 : (uint16_t)prob[s];
        if (prob[s] < 0) {
            if (!high)
                return -EINVAL;
            t->entry[--high].symbol = (uint8_t)s;
        }
    }
    for (s = 0; s < nr_symbols; s++) {
        for (i = 0; i < prob[s]; i++) {
            t->entry[pos].symbol = (uint8_t)s;
            do
                pos = (pos + step) & mask;
            while (pos >= high && high);
        }
    }
    return pos ? -EINVAL : 0; /* a full round ends where it began */
}

int fse_build(struct fse_table *t, const int16_t *prob, unsigned nr_symbols, unsigned log)
{
    uint16_t next[FSE_MAX_SYMBOLS];
    unsigned i;

    t->valid = false;
    t->log = log;
    if (spread(t, prob, nr_symbols, next))
        return -EINVAL;
    for (i = 0; i < 1u << log; i++) {
        unsigned state = next[t->entry[i].symbol]++;
        unsigned bits = log - (31 - (unsigned)__builtin_clz(state));

        t->entry[i].bits = (uint8_t)bits;
        t->entry[i].base = (uint16_t)((state << bits) - (1u << log));
    }
    t->valid = true;
    return 0;
}

void fse_build_rle(struct fse_table *t, uint8_t symbol)
{
    t->log = 0;
    t->entry[0].symbol = symbol;
    t->entry[0].bits = 0;
    t->entry[0].base = 0;
    t->valid = true;
}

/* One symbol of a state, and the step to the next; false when the bits for that are not there. */
static bool weight_step(const struct fse_table *t, struct bits *b, unsigned *state, uint8_t *out)
{
    *out = t->entry[*state].symbol;
    bits_refill(b);
    *state = t->entry[*state].base + bits_take(b, t->entry[*state].bits);
    return !bits_overrun(b);
}

/* Weights in FSE coding: two states take turns until the bits run out (4.2.1.2). */
static int read_fse_weights(struct fse_table *t, const uint8_t *src, size_t len, uint8_t *weight)
{
    int used = fse_read(t, src, len, 6, FSE_MAX_SYMBOLS);
    unsigned n = 0, state[2];
    struct bits b;

    if (used < 0 || bits_open(&b, src + used, len - (size_t)used))
        return -EINVAL;
    state[0] = bits_take(&b, t->log);
    state[1] = bits_take(&b, t->log);
    if (bits_overrun(&b))
        return -EINVAL;
    while (n < 254) {
        if (!weight_step(t, &b, &state[n & 1], &weight[n])) {
            n++;
            weight[n] = t->entry[state[n & 1]].symbol;
            return (int)n + 1;
        }
        n++;
    }
    return -EINVAL;
}

/*
 * Fills the table from the weights of n symbols.  The last symbol's weight is not sent, it is what
 * makes the sum a power of two.
 */
static int huf_build(struct huf_table *t, uint8_t *weight, unsigned n)
{
    unsigned sum = 0, rest, i, w, pos = 0, k;

    for (i = 0; i < n; i++) {
        if (weight[i] > HUF_MAX_LOG)
            return -EINVAL;
        sum += weight[i] ? 1u << (weight[i] - 1) : 0;
    }
    if (!sum || sum >= 1u << HUF_MAX_LOG)
        return -EINVAL;
    t->log = 32 - (unsigned)__builtin_clz(sum);
    rest = (1u << t->log) - sum;
    if (rest & (rest - 1))
        return -EINVAL;
    weight[n++] = (uint8_t)(32 - __builtin_clz(rest));

    for (w = 1; w <= t->log; w++) {
        for (i = 0; i < n; i++) {
            if (weight[i] != w)
                continue;
            for (k = 0; k < 1u << (w - 1); k++, pos++) {
                t->entry[pos].symbol = (uint8_t)i;
                t->entry[pos].bits = (uint8_t)(t->log + 1 - w);
            }
        }
    }
    t->valid = pos == 1u << t->log;
    return t->valid ? 0 : -EINVAL;
}

int huf_read(struct huf_table *t, const uint8_t *src, size_t len, struct fse_table *weights)
{
    uint8_t weight[FSE_MAX_SYMBOLS + 1];
    size_t bytes, i;
    int n;

    t->valid = false;
    if (!len)
        return -EINVAL;
    if (src[0] < 128) {
        bytes = src[0];
        if (bytes > len - 1)
            return -EINVAL;
        n = read_fse_weights(weights, src + 1, bytes, weight);
        if (n < 0)
            return n;
    } else {
        n = src[0] - 127;
        bytes = ((size_t)n + 1) / 2;
        if (bytes > len - 1)
            return -EINVAL;
        for (i = 0; i < (size_t)n; i++)
            weight[i] = i & 1 ? src[1 + i / 2] & 15 : src[1 + i / 2] >> 4;
    }
    if (n > 255)
        return -EINVAL;
    n = huf_build(t, weight, (unsigned)n);
    return n ? n : (int)bytes + 1;
}

int huf_decode(const struct huf_table *t, const uint8_t *src, size_t len, uint8_t *dst, size_t n)
{
    uint8_t *const end = dst + n;
    const unsigned log = t->log;
    struct bits b;

    if (bits_open(&b, src, len))
        return -EINVAL;
    while (dst < end) {
        unsigned i, batch = (unsigned)MIN((size_t)(end - dst), (size_t)5); /* 5 * 11 bits */

        bits_refill(&b);
        for (i = 0; i < batch; i++) {
            uint32_t index = bits_peek(&b, log);

            *dst++ = t->entry[index].symbol;
            b.used += t->entry[index].bits;
        }
        if (bits_overrun(&b))
            return -EINVAL;
    }
    bits_refill(&b);
    return bits_finished(&b) ? 0 : -EINVAL;
}
