/* SPDX-License-Identifier: MIT */
/*
 * The two entropy coders of Zstandard (RFC 8878, 4): FSE and Huffman, and the bit stream that both
 * read from its end to its start.  Used by unzstd.c alone.
 */
#ifndef XL_DOMAIN_ZSTD_ENTROPY_H
#define XL_DOMAIN_ZSTD_ENTROPY_H

#include "lib/le.h"
#include "lib/types.h"

#define FSE_MAX_LOG     9
#define FSE_MAX_SYMBOLS 256
#define HUF_MAX_LOG     11

struct fse_table {
    unsigned log;
    bool valid;
    struct {
        uint8_t symbol, bits;
        uint16_t base;
    } entry[1 << FSE_MAX_LOG];
};

struct huf_table {
    unsigned log;
    bool valid;
    struct {
        uint8_t symbol, bits;
    } entry[1 << HUF_MAX_LOG];
};

/*
 * Reader of a backward bit stream.  The word's upper bits come next; `used` of them are gone.  Bits
 * before the start of the stream read as anything and show as overrun.
 */
struct bits {
    const uint8_t *start, *p; /* p: where `word` was loaded from */
    uint64_t word;
    unsigned used, limit; /* limit: bits that `word` holds once p is at the start */
};

/* 0, or -EINVAL for an empty stream or one without its end mark. */
int bits_open(struct bits *b, const uint8_t *src, size_t len);

/* Moves on to the left, so that at least 56 bits (if there are so many) are at hand. */
static inline void bits_refill(struct bits *b)
{
    size_t bytes = b->used >> 3;

    if (bytes > (size_t)(b->p - b->start))
        bytes = (size_t)(b->p - b->start);
    if (!bytes)
        return;
    b->p -= bytes;
    b->used -= 8 * (unsigned)bytes;
    b->word = get_le64(b->p);
}

/* The next n bits, 0 <= n <= 32, without taking them. */
static inline uint32_t bits_peek(const struct bits *b, unsigned n)
{
    return (uint32_t)(b->word << (b->used & 63) >> 1 >> (63 - n));
}

static inline uint32_t bits_take(struct bits *b, unsigned n)
{
    uint32_t v = bits_peek(b, n);

    b->used += n;
    return v;
}

static inline bool bits_overrun(const struct bits *b)
{
    return b->p == b->start && b->used > b->limit;
}

static inline bool bits_finished(const struct bits *b)
{
    return b->p == b->start && b->used == b->limit;
}

/*
 * Reads a table description.  `max_log` and `nr_symbols` bound it.  Returns the bytes it takes, or
 * -EINVAL.
 */
int fse_read(struct fse_table *t, const uint8_t *src, size_t len, unsigned max_log,
             unsigned nr_symbols);

/* Builds a table of size 1 << log from probabilities (-1: less than one).  0 or -EINVAL. */
int fse_build(struct fse_table *t, const int16_t *prob, unsigned nr_symbols, unsigned log);

/* A table of one symbol that takes no bits. */
void fse_build_rle(struct fse_table *t, uint8_t symbol);

/* Reads a tree description, using `weights` on the way.  Returns its bytes or -EINVAL. */
int huf_read(struct huf_table *t, const uint8_t *src, size_t len, struct fse_table *weights);

/* Decodes one stream to exactly `n` bytes.  0 or -EINVAL. */
int huf_decode(const struct huf_table *t, const uint8_t *src, size_t len, uint8_t *dst, size_t n);

#endif
