/* SPDX-License-Identifier: MIT */
/*
 * Zstandard frames, blocks and sequences (RFC 8878, 3).  As the output is one flat buffer it serves
 * as window, and a match may reach back to the frame's first byte.
 */
#include "domain/unzstd.h"

#include "domain/zstd_entropy.h"
#include "lib/errno.h"
#include "lib/le.h"
#include "lib/string.h"

#define ZSTD_MAGIC 0xfd2fb528u
#define SKIPPABLE  0x184d2a50u /* to 5f */
#define MAX_BLOCK  (128u << 10)
#define LL_SYMBOLS 36
#define ML_SYMBOLS 53
#define OF_SYMBOLS 32
#define LL_MAX_LOG 9
#define ML_MAX_LOG 9
#define OF_MAX_LOG 8

enum block_type { BLOCK_RAW, BLOCK_RLE, BLOCK_COMPRESSED, BLOCK_RESERVED };
enum literals_type { LITERALS_RAW, LITERALS_RLE, LITERALS_COMPRESSED, LITERALS_TREELESS };
enum table_mode { TABLE_PREDEFINED, TABLE_RLE, TABLE_FSE, TABLE_REPEAT };

struct zstd {
    struct huf_table huf;
    struct fse_table ll, ml, of, weights;
    uint32_t rep[3];
    const uint8_t *lit; /* literals of this block not yet copied */
    size_t lit_left;
    uint8_t *base, *out, *end; /* output: start of the frame, next byte, end of the buffer */
    uint8_t literals[MAX_BLOCK];
};

_Static_assert(sizeof(struct zstd) <= UNZSTD_WORK, "work memory is too small");

/* Base value and extra bits of a code. */
struct code {
    uint32_t base;
    uint8_t bits;
};

static const struct code ll_codes[LL_SYMBOLS] = {
    { 0, 0 },     { 1, 0 },     { 2, 0 },     { 3, 0 },      { 4, 0 },      { 5, 0 },
    { 6, 0 },     { 7, 0 },     { 8, 0 },     { 9, 0 },      { 10, 0 },     { 11, 0 },
    { 12, 0 },    { 13, 0 },    { 14, 0 },    { 15, 0 },     { 16, 1 },     { 18, 1 },
    { 20, 1 },    { 22, 1 },    { 24, 2 },    { 28, 2 },     { 32, 3 },     { 40, 3 },
    { 48, 4 },    { 64, 6 },    { 128, 7 },   { 256, 8 },    { 512, 9 },    { 1024, 10 },
    { 2048, 11 }, { 4096, 12 }, { 8192, 13 }, { 16384, 14 }, { 32768, 15 }, { 65536, 16 },
};

/* Codes 0 to 31 are lengths 3 to 34. */
static const struct code ml_codes[ML_SYMBOLS - 32] = {
    { 35, 1 },     { 37, 1 },     { 39, 1 },     { 41, 1 },    { 43, 2 },    { 47, 2 },
    { 51, 3 },     { 59, 3 },     { 67, 4 },     { 83, 4 },    { 99, 5 },    { 131, 7 },
    { 259, 8 },    { 515, 9 },    { 1027, 10 },  { 2051, 11 }, { 4099, 12 }, { 8195, 13 },
    { 16387, 14 }, { 32771, 15 }, { 65539, 16 },
};

static const int16_t ll_default[LL_SYMBOLS] = {
    4, 3, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 1, 1,  1,  2,  2,
    2, 2, 2, 2, 2, 2, 2, 3, 2, 1, 1, 1, 1, 1, -1, -1, -1, -1,
};

static const int16_t ml_default[ML_SYMBOLS] = {
    1, 4, 3, 2, 2, 2, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,  1,  1,  1,  1,  1,  1,  1,
    1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -1, -1, -1,
};

static const int16_t of_default[29] = {
    1, 1, 1, 1, 1, 1, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -1,
};

/* XXH64 (RFC 8878, 3.1.1: its low 32 bits are the content's checksum) */

#define XXH_P1 0x9e3779b185ebca87ull
#define XXH_P2 0xc2b2ae3d27d4eb4full
#define XXH_P3 0x165667b19e3779f9ull
#define XXH_P4 0x85ebca77c2b2ae63ull
#define XXH_P5 0x27d4eb2f165667c5ull

static uint64_t rotl(uint64_t v, unsigned n)
{
    return v << n | v >> (64 - n);
}

static uint64_t xxh_round(uint64_t acc, uint64_t lane)
{
    return rotl(acc + lane * XXH_P2, 31) * XXH_P1;
}

static uint64_t xxh_tail(uint64_t h, const uint8_t *p, size_t len)
{
    for (; len >= 8; len -= 8, p += 8)
        h = rotl(h ^ xxh_round(0, get_le64(p)), 27) * XXH_P1 + XXH_P4;
    if (len >= 4) {
        h = rotl(h ^ get_le32(p) * XXH_P1, 23) * XXH_P2 + XXH_P3;
        p += 4;
        len -= 4;
    }
    while (len--)
        h = rotl(h ^ *p++ * XXH_P5, 11) * XXH_P1;
    h = (h ^ h >> 33) * XXH_P2;
    h = (h ^ h >> 29) * XXH_P3;
    return h ^ h >> 32;
}

static uint64_t xxh64(const uint8_t *p, size_t len)
{
    uint64_t acc[4] = { XXH_P1 + XXH_P2, XXH_P2, 0, -XXH_P1 }, h = XXH_P5, total = len;
    unsigned i;

    if (len >= 32) {
        for (; len >= 32; len -= 32, p += 32)
            for (i = 0; i < 4; i++)
                acc[i] = xxh_round(acc[i], get_le64(p + 8 * i));
        h = rotl(acc[0], 1) + rotl(acc[1], 7) + rotl(acc[2], 12) + rotl(acc[3], 18);
        for (i = 0; i < 4; i++)
            h = (h ^ xxh_round(0, acc[i])) * XXH_P1 + XXH_P4;
    }
    return xxh_tail(h + total, p, len);
}

/* Literals (3.1.1.3.1) */

/* Sizes in the header of a literals section. */
struct literals {
    unsigned type, streams, header;
    size_t regenerated, compressed;
};

static int literals_header(const uint8_t *src, size_t len, struct literals *l)
{
    unsigned format = src[0] >> 2 & 3;
    uint64_t v = 0;
    unsigned i, bits;

    l->type = src[0] & 3;
    l->streams = 1;
    l->compressed = 0;
    if (l->type == LITERALS_RAW || l->type == LITERALS_RLE) {
        l->header = format == 1 ? 2 : format == 3 ? 3 : 1;
        bits = l->header == 1 ? 3 : 4;
    } else {
        l->header = format < 2 ? 3 : format + 2;
        l->streams = format ? 4 : 1;
        bits = 4;
    }
    if (len < l->header)
        return -EINVAL;
    for (i = 0; i < l->header; i++)
        v |= (uint64_t)src[i] << (8 * i);
    v >>= bits;
    if (l->type == LITERALS_RAW || l->type == LITERALS_RLE) {
        l->regenerated = (size_t)v;
    } else {
        bits = l->header == 3 ? 10 : l->header == 4 ? 14 : 18;
        l->regenerated = (size_t)(v & ((1u << bits) - 1));
        l->compressed = (size_t)(v >> bits);
    }
    return l->regenerated <= MAX_BLOCK ? 0 : -EINVAL;
}

/* Four streams, each of a quarter of the output, behind a table of the first three's sizes. */
static int decode_four(struct zstd *z, const uint8_t *src, size_t len, size_t n)
{
    size_t quarter = (n + 3) / 4, size[4], i, pos = 6;

    if (len < 6 || n < 6)
        return -EINVAL;
    for (i = 0; i < 3; i++) {
        size[i] = get_le16(src + 2 * i);
        pos += size[i];
    }
    if (pos > len || 3 * quarter > n)
        return -EINVAL;
    size[3] = len - pos;
    for (i = 0, pos = 6; i < 4; i++) {
        size_t part = i < 3 ? quarter : n - 3 * quarter;

        if (huf_decode(&z->huf, src + pos, size[i], z->literals + i * quarter, part))
            return -EINVAL;
        pos += size[i];
    }
    return 0;
}

static int decode_huffman(struct zstd *z, const uint8_t *src, const struct literals *l)
{
    size_t len = l->compressed;

    if (l->type == LITERALS_COMPRESSED) {
        int used = huf_read(&z->huf, src, len, &z->weights);

        if (used < 0)
            return used;
        src += used;
        len -= (size_t)used;
    }
    if (!z->huf.valid)
        return -EINVAL;
    if (l->streams == 4)
        return decode_four(z, src, len, l->regenerated);
    return huf_decode(&z->huf, src, len, z->literals, l->regenerated);
}

/* Returns the bytes that the section takes, or an error. */
static int64_t read_literals(struct zstd *z, const uint8_t *src, size_t len)
{
    struct literals l;
    size_t body;

    if (!len || literals_header(src, len, &l))
        return -EINVAL;
    src += l.header;
    len -= l.header;
    body = l.type == LITERALS_RAW ? l.regenerated : l.type == LITERALS_RLE ? 1 : l.compressed;
    if (body > len)
        return -EINVAL;
    z->lit = z->literals;
    z->lit_left = l.regenerated;
    if (l.type == LITERALS_RAW)
        z->lit = src;
    else if (l.type == LITERALS_RLE)
        memset(z->literals, src[0], l.regenerated);
    else if (decode_huffman(z, src, &l))
        return -EINVAL;
    return (int64_t)(l.header + body);
}

/* Sequences (3.1.1.3.2) */

struct table_kind {
    const int16_t *dflt;
    unsigned nr_default, default_log, max_log, nr_symbols;
};

static const struct table_kind kinds[3] = {
    { ll_default, LL_SYMBOLS, 6, LL_MAX_LOG, LL_SYMBOLS },
    { of_default, ARRAY_SIZE(of_default), 5, OF_MAX_LOG, OF_SYMBOLS },
    { ml_default, ML_SYMBOLS, 6, ML_MAX_LOG, ML_SYMBOLS },
};

/* Prepares one of the three tables; returns the bytes of its description. */
static int read_table(struct fse_table *t, const struct table_kind *k, unsigned mode,
                      const uint8_t *src, size_t len)
{
    switch (mode) {
    case TABLE_PREDEFINED:
        return fse_build(t, k->dflt, k->nr_default, k->default_log);
    case TABLE_RLE:
        if (!len || src[0] >= k->nr_symbols)
            return -EINVAL;
        fse_build_rle(t, src[0]);
        return 1;
    case TABLE_FSE:
        return fse_read(t, src, len, k->max_log, k->nr_symbols);
    default:
        return t->valid ? 0 : -EINVAL;
    }
}

/* Number of sequences and tables.  Returns the bytes used. */
static int64_t sequences_header(struct zstd *z, const uint8_t *src, size_t len, unsigned *nr)
{
    struct fse_table *const tables[3] = { &z->ll, &z->of, &z->ml };
    size_t pos = 1;
    unsigned i, modes;

    if (!len)
        return -EINVAL;
    *nr = src[0];
    if (!*nr)
        return 1;
    if (*nr == 255) {
        if (len < 3)
            return -EINVAL;
        *nr = get_le16(src + 1) + 0x7f00u;
        pos = 3;
    } else if (*nr >= 128) {
        if (len < 2)
            return -EINVAL;
        *nr = (*nr - 128) << 8 | src[1];
        pos = 2;
    }
    if (pos >= len || src[pos] & 3)
        return -EINVAL;
    modes = src[pos++];
    for (i = 0; i < 3; i++) {
        int used = read_table(tables[i], &kinds[i], modes >> (6 - 2 * i) & 3, src + pos, len - pos);

        if (used < 0)
            return used;
        pos += (size_t)used;
    }
    return (int64_t)pos;
}

/* Copies up to `room` bytes of which n count; source and destination may overlap from the left. */
static inline void copy(uint8_t *dst, const uint8_t *src, size_t n, bool wide)
{
    uint8_t *end = dst + n;

    if (wide) {
        while (dst < end) {
            put_le64(dst, get_le64(src));
            dst += 8;
            src += 8;
        }
        return;
    }
    while (dst < end)
        *dst++ = *src++;
}

/* The offset that a value stands for, with the three last ones kept up to date (3.1.1.5). */
static inline uint32_t use_offset(uint32_t *rep, uint32_t value, bool no_literals)
{
    uint32_t offset;
    unsigned which;

    if (value > 3) {
        rep[2] = rep[1];
        rep[1] = rep[0];
        return rep[0] = value - 3;
    }
    which = value - 1 + no_literals;
    if (!which)
        return rep[0];
    offset = which == 3 ? rep[0] - 1 : rep[which];
    if (which != 1)
        rep[2] = rep[1];
    rep[1] = rep[0];
    return rep[0] = offset;
}

static inline unsigned next_state(const struct fse_table *t, unsigned state, struct bits *b)
{
    return t->entry[state].base + bits_take(b, t->entry[state].bits);
}

/* Executes one sequence: literals, then a match. */
static inline int execute(struct zstd *z, size_t ll, size_t ml, size_t offset)
{
    size_t room = (size_t)(z->end - z->out);

    if (ll > z->lit_left)
        return -EINVAL;
    if (ll + ml > room)
        return -ENOSPC;
    copy(z->out, z->lit, ll, z->lit_left >= ll + 8 && room >= ll + 8);
    z->out += ll;
    z->lit += ll;
    z->lit_left -= ll;
    if (!offset || offset > (size_t)(z->out - z->base))
        return -EINVAL;
    copy(z->out, z->out - offset, ml, offset >= 8 && room - ll >= ml + 8);
    z->out += ml;
    return 0;
}

static int run_sequences(struct zstd *z, const uint8_t *src, size_t len, unsigned nr)
{
    unsigned ll_state, of_state, ml_state;
    struct bits b;
    int rc = 0;

    if (bits_open(&b, src, len))
        return -EINVAL;
    ll_state = bits_take(&b, z->ll.log);
    of_state = bits_take(&b, z->of.log);
    ml_state = bits_take(&b, z->ml.log);
    while (!rc) {
        unsigned ll_code = z->ll.entry[ll_state].symbol, ml_code = z->ml.entry[ml_state].symbol;
        unsigned of_code = z->of.entry[of_state].symbol;
        size_t ll, ml;
        uint32_t value;

        bits_refill(&b);
        value = (1u << of_code) + bits_take(&b, of_code);
        bits_refill(&b);
        ml = ml_code + 3;
        if (ml_code >= 32)
            ml = ml_codes[ml_code - 32].base + bits_take(&b, ml_codes[ml_code - 32].bits);
        ll = ll_codes[ll_code].base + bits_take(&b, ll_codes[ll_code].bits);
        if (bits_overrun(&b))
            return -EINVAL;
        rc = execute(z, ll, ml, use_offset(z->rep, value, !ll));
        if (!--nr)
            break;
        bits_refill(&b);
        ll_state = next_state(&z->ll, ll_state, &b);
        ml_state = next_state(&z->ml, ml_state, &b);
        of_state = next_state(&z->of, of_state, &b);
    }
    bits_refill(&b);
    return rc ? rc : bits_finished(&b) ? 0 : -EINVAL;
}

static int compressed_block(struct zstd *z, const uint8_t *src, size_t len)
{
    int64_t used = read_literals(z, src, len), header;
    unsigned nr = 0;
    int rc = 0;

    if (used < 0)
        return -EINVAL;
    src += used;
    len -= (size_t)used;
    header = sequences_header(z, src, len, &nr);
    if (header < 0)
        return -EINVAL;
    if (nr)
        rc = run_sequences(z, src + header, len - (size_t)header, nr);
    else if ((size_t)header != len)
        rc = -EINVAL;
    if (rc)
        return rc;
    if (z->lit_left > (size_t)(z->end - z->out))
        return -ENOSPC;
    memcpy(z->out, z->lit, z->lit_left);
    z->out += z->lit_left;
    return 0;
}

/* One block; returns bytes used, or an error. */
static int64_t read_block(struct zstd *z, const uint8_t *src, size_t len, bool *last)
{
    uint32_t header, size, type;
    const uint8_t *start = z->out;
    int rc = 0;

    if (len < 3)
        return -EINVAL;
    header = get_le16(src) | (uint32_t)src[2] << 16;
    *last = header & 1;
    type = header >> 1 & 3;
    size = header >> 3;
    src += 3;
    len -= 3;
    if (type == BLOCK_RESERVED || size > MAX_BLOCK || (type == BLOCK_RLE ? 1 : size) > len)
        return -EINVAL;
    if (type == BLOCK_COMPRESSED) {
        rc = compressed_block(z, src, size);
        if (!rc && z->out - start > (ptrdiff_t)MAX_BLOCK)
            rc = -EINVAL;
        return rc ? rc : (int64_t)size + 3;
    }
    if (size > (size_t)(z->end - z->out))
        return -ENOSPC;
    if (type == BLOCK_RAW)
        memcpy(z->out, src, size);
    else
        memset(z->out, src[0], size);
    z->out += size;
    return (int64_t)(type == BLOCK_RAW ? size : 1) + 3;
}

/* Frame header (3.1.1.1) behind the magic number: returns its length. */
static int frame_header(const uint8_t *src, size_t len, uint64_t *content, bool *checksum)
{
    static const uint8_t dict_len[4] = { 0, 1, 2, 4 }, content_len[4] = { 0, 2, 4, 8 };
    unsigned flags, dict, fcs, pos, i;
    bool single;

    if (!len)
        return -EINVAL;
    flags = src[0];
    single = flags & 0x20;
    dict = dict_len[flags & 3];
    fcs = flags >> 6 ? content_len[flags >> 6] : single;
    pos = 1 + !single;
    if (flags & 8 || len < pos + dict + fcs)
        return -EINVAL;
    for (i = 0; i < dict; i++)
        if (src[pos + i])
            return -EOPNOTSUPP;
    pos += dict;
    *content = ~0ull;
    if (fcs) {
        *content = 0;
        for (i = 0; i < fcs; i++)
            *content |= (uint64_t)src[pos + i] << (8 * i);
        if (fcs == 2)
            *content += 256;
    }
    *checksum = flags & 4;
    return (int)(pos + fcs);
}

/* One frame; returns bytes used, or an error. */
static int64_t read_frame(struct zstd *z, const uint8_t *src, size_t len)
{
    uint64_t content;
    bool checksum, last = false;
    size_t pos = 4;
    int64_t used = frame_header(src + 4, len - 4, &content, &checksum);

    z->rep[0] = 1;
    z->rep[1] = 4;
    z->rep[2] = 8;
    z->huf.valid = z->ll.valid = z->ml.valid = z->of.valid = false;
    z->base = z->out;
    if (used < 0)
        return used;
    for (pos += (size_t)used; !last; pos += (size_t)used) {
        used = read_block(z, src + pos, len - pos, &last);
        if (used < 0)
            return used;
    }
    if (content != ~0ull && content != (uint64_t)(z->out - z->base))
        return -EINVAL;
    if (!checksum)
        return (int64_t)pos;
    if (len - pos < 4 ||
        get_le32(src + pos) != (uint32_t)xxh64(z->base, (size_t)(z->out - z->base)))
        return -EINVAL;
    return (int64_t)pos + 4;
}

int unzstd(const void *in, size_t in_len, void *out, size_t out_max, size_t *out_len, void *work)
{
    const uint8_t *src = in;
    struct zstd *z = work;
    bool any = false;

    z->out = out;
    z->end = z->out + out_max;
    while (in_len >= 8) {
        uint32_t magic = get_le32(src);
        int64_t used;

        if ((magic & ~15u) == SKIPPABLE) {
            used = (int64_t)get_le32(src + 4) + 8;
        } else if (magic == ZSTD_MAGIC) {
            used = read_frame(z, src, in_len);
            any = true;
        } else {
            return -EINVAL;
        }
        if (used < 0)
            return (int)used;
        if ((uint64_t)used > in_len)
            return -EINVAL;
        src += used;
        in_len -= (size_t)used;
    }
    if (!any || in_len)
        return -EINVAL;
    *out_len = (size_t)(z->out - (uint8_t *)out);
    return 0;
}
