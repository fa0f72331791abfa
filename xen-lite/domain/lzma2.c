/* SPDX-License-Identifier: MIT */
/*
 * LZMA2 decoder.  Unpacking the control domain's kernel is a good part of the time that booting
 * takes, so the range decoder's state lives in registers (all helpers are inlined into
 * decode_chunk()) and bounds are checked once a symbol instead of once a byte: input may be
 * read LZMA_SLACK bytes behind a chunk, output never past its end.
 */
#include "domain/lzma2.h"

#include "lib/errno.h"
#include "lib/le.h"
#include "lib/string.h"

#define always_inline static inline __attribute__((always_inline))

#define PROB_BITS 11
#define PROB_INIT (1u << (PROB_BITS - 1))
#define PROB_MOVE 5
#define RANGE_TOP (1u << 24)

#define MATCH_MIN        2
#define LITERAL_STATES   7 /* states below this one follow a literal */
#define DIST_MODEL_START 4
#define DIST_MODEL_END   14
#define DIST_ALIGN_BITS  4

struct range {
    uint32_t range, code;
    const uint8_t *in;
};

always_inline void normalize(struct range *rc)
{
    if (rc->range < RANGE_TOP) {
        rc->range <<= 8;
        rc->code = rc->code << 8 | *rc->in++;
    }
}

/* One bit with an adaptive probability. */
always_inline unsigned get_bit(struct range *rc, uint16_t *prob)
{
    uint32_t p = *prob, bound;

    normalize(rc);
    bound = (rc->range >> PROB_BITS) * p;
    if (rc->code < bound) {
        rc->range = bound;
        *prob = (uint16_t)(p + (((1u << PROB_BITS) - p) >> PROB_MOVE));
        return 0;
    }
    rc->range -= bound;
    rc->code -= bound;
    *prob = (uint16_t)(p - (p >> PROB_MOVE));
    return 1;
}

always_inline unsigned tree_step(struct range *rc, uint16_t *probs, unsigned m)
{
    return m << 1 | get_bit(rc, probs + m);
}

always_inline unsigned tree3(struct range *rc, uint16_t *probs)
{
    unsigned m = tree_step(rc, probs, 1);

    m = tree_step(rc, probs, m);
    return tree_step(rc, probs, m) - 8;
}

always_inline unsigned tree6(struct range *rc, uint16_t *probs)
{
    unsigned m = tree_step(rc, probs, 1);

    m = tree_step(rc, probs, m);
    m = tree_step(rc, probs, m);
    m = tree_step(rc, probs, m);
    m = tree_step(rc, probs, m);
    return tree_step(rc, probs, m) - 64;
}

always_inline unsigned tree8(struct range *rc, uint16_t *probs)
{
    unsigned m = tree_step(rc, probs, 1);

    m = tree_step(rc, probs, m);
    m = tree_step(rc, probs, m);
    m = tree_step(rc, probs, m);
    m = tree_step(rc, probs, m);
    m = tree_step(rc, probs, m);
    m = tree_step(rc, probs, m);
    return tree_step(rc, probs, m) - 256;
}

/* Bits from low to high, with a tree of probabilities that starts at index 1. */
always_inline uint32_t reverse_tree(struct range *rc, uint16_t *probs, unsigned bits)
{
    uint32_t value = 0;
    unsigned m = 1, i;

    for (i = 0; i < bits; i++) {
        unsigned b = get_bit(rc, probs + m);

        m = m << 1 | b;
        value |= b << i;
    }
    return value;
}

/* Bits of equal probability. */
always_inline uint32_t direct_bits(struct range *rc, unsigned bits)
{
    uint32_t value = 0;

    while (bits--) {
        uint32_t below;

        normalize(rc);
        rc->range >>= 1;
        below = -(rc->code < rc->range); /* all ones for a 0 bit */
        rc->code -= rc->range & ~below;
        value = (value << 1) + 1 + below;
    }
    return value;
}

/* A literal after a match: the byte at the last distance predicts it up to the first difference. */
always_inline unsigned matched_literal(struct range *rc, uint16_t *probs, unsigned match)
{
    unsigned m = 1, offset = 0x100;

    do {
        unsigned bit;

        match <<= 1;
        bit = match & offset;
        if (get_bit(rc, probs + offset + bit + m)) {
            m = m << 1 | 1;
            offset &= bit;
        } else {
            m <<= 1;
            offset &= ~bit;
        }
    } while (m < 0x100);
    return m & 0xff;
}

always_inline unsigned get_len(struct range *rc, struct lzma_len_probs *l, unsigned pos_state)
{
    if (!get_bit(rc, &l->choice))
        return MATCH_MIN + tree3(rc, l->low[pos_state]);
    if (!get_bit(rc, &l->choice2))
        return MATCH_MIN + 8 + tree3(rc, l->mid[pos_state]);
    return MATCH_MIN + 16 + tree8(rc, l->high);
}

/* Distance less one; a match of length 2, 3, 4 and longer has slot probabilities of its own. */
always_inline uint32_t get_dist(struct range *rc, struct lzma_probs *p, unsigned len)
{
    unsigned set = len < MATCH_MIN + 4 ? len - MATCH_MIN : 3;
    uint32_t slot = tree6(rc, p->dist_slot[set]), dist;
    unsigned bits;

    if (slot < DIST_MODEL_START)
        return slot;
    bits = (slot >> 1) - 1;
    dist = (2 | (slot & 1)) << bits;
    /* The special probabilities of a slot start at dist - slot, its tree at index 1. */
    if (slot < DIST_MODEL_END)
        return dist + reverse_tree(rc, p->dist_special + dist - slot, bits);
    dist += direct_bits(rc, bits - DIST_ALIGN_BITS) << DIST_ALIGN_BITS;
    return dist + reverse_tree(rc, p->dist_align, DIST_ALIGN_BITS);
}

/* Copies a match; may write up to `room` bytes, of which `len` count. */
always_inline void copy_match(uint8_t *out, size_t dist, unsigned len, size_t room)
{
    const uint8_t *src = out - dist;
    uint8_t *end = out + len;

    if (dist >= 8 && room >= (size_t)len + 8) {
        do {
            put_le64(out, get_le64(src));
            out += 8;
            src += 8;
        } while (out < end);
        return;
    }
    do
        *out++ = *src++;
    while (out < end);
}

/* The four ways to repeat a distance: moves the one used to the front.  rep[0] is `d[0]`. */
always_inline void use_rep(struct range *rc, struct lzma_probs *p, unsigned state, uint32_t *d)
{
    uint32_t dist = d[1];

    if (get_bit(rc, &p->is_rep1[state])) {
        if (get_bit(rc, &p->is_rep2[state])) {
            dist = d[3];
            d[3] = d[2];
        } else {
            dist = d[2];
        }
        d[2] = d[1];
    }
    d[1] = d[0];
    d[0] = dist;
}

/*
 * What follows the bit that says "match": updates state and distances; returns the length, 1
 * for a short repetition.
 */
always_inline unsigned get_match(struct range *rc, struct lzma_probs *p, unsigned *state,
                                 unsigned pos_state, uint32_t *d)
{
    unsigned st = *state, len;
    bool lit = st < LITERAL_STATES;

    if (!get_bit(rc, &p->is_rep[st])) {
        *state = lit ? 7 : 10;
        d[3] = d[2];
        d[2] = d[1];
        d[1] = d[0];
        len = get_len(rc, &p->match_len, pos_state);
        d[0] = get_dist(rc, p, len);
        return len;
    }
    if (get_bit(rc, &p->is_rep0[st])) {
        use_rep(rc, p, st, d);
    } else if (!get_bit(rc, &p->is_rep0_long[st][pos_state])) {
        *state = lit ? 9 : 11;
        return 1;
    }
    *state = lit ? 8 : 11;
    return get_len(rc, &p->rep_len, pos_state);
}

always_inline unsigned state_after_literal(unsigned state)
{
    if (state < 4)
        return 0;
    return state < 10 ? state - 3 : state - 6;
}

/*
 * Decodes one LZMA chunk: `unpacked` bytes of output from `in`, whose packed data ends at
 * `in_end`.  Up to LZMA_SLACK bytes behind that must be readable.
 */
static int decode_chunk(struct lzma2 *s, const uint8_t *in, const uint8_t *in_end, size_t unpacked)
{
    struct range rc = { .range = 0xffffffff, .code = get_be32(in + 1), .in = in + 5 };
    struct lzma_probs *p = &s->probs;
    uint8_t *out = s->out, *const out_end = out + unpacked, *const base = s->base;
    uint32_t d[4] = { s->rep[0], s->rep[1], s->rep[2], s->rep[3] };
    const uint32_t lc = s->lc, lp_mask = s->lp_mask, pb_mask = s->pb_mask;
    unsigned state = s->state;

    if (in[0]) /* the first byte that the encoder makes is always zero */
        return -EINVAL;
    while (out < out_end) {
        uint32_t pos = (uint32_t)(out - base);
        unsigned pos_state = pos & pb_mask, len;

        if (rc.in > in_end)
            return -EINVAL;
        if (!get_bit(&rc, &p->is_match[state][pos_state])) {
            unsigned prev = pos ? out[-1] : 0;
            uint16_t *lit = p->literal[((pos & lp_mask) << lc) + (prev >> (8 - lc))];

            if (state < LITERAL_STATES)
                *out = (uint8_t)tree8(&rc, lit);
            else
                *out = (uint8_t)matched_literal(&rc, lit, out[-1 - (ptrdiff_t)d[0]]);
            out++;
            state = state_after_literal(state);
            continue;
        }
        len = get_match(&rc, p, &state, pos_state, d);
        if (d[0] >= (size_t)(out - base) || len > (size_t)(out_end - out))
            return -EINVAL;
        copy_match(out, (size_t)d[0] + 1, len, (size_t)(out_end - out));
        out += len;
    }
    normalize(&rc);
    memcpy(s->rep, d, sizeof(d));
    s->state = state;
    s->out = out;
    /* 5 bytes started the decoder; a sound chunk is used up exactly and leaves no code. */
    return rc.in == in_end && !rc.code ? 0 : -EINVAL;
}

static int set_props(struct lzma2 *s, unsigned props)
{
    unsigned lc, lp, pb;

    if (props >= 9 * 5 * 5)
        return -EINVAL;
    lc = props % 9;
    lp = props / 9 % 5;
    pb = props / 45;
    if (lc + lp > 4)
        return -EINVAL;
    s->lc = lc;
    s->lp_mask = (1u << lp) - 1;
    s->pb_mask = (1u << pb) - 1;
    s->have_props = true;
    return 0;
}

static void reset_state(struct lzma2 *s)
{
    uint16_t *p = (uint16_t *)&s->probs;
    size_t i;

    for (i = 0; i < sizeof(s->probs) / sizeof(*p); i++)
        p[i] = PROB_INIT;
    memset(s->rep, 0, sizeof(s->rep));
    s->state = 0;
    s->have_state = true;
}

/* An LZMA chunk, control byte 0x80 and up.  Returns bytes of input used, or an error. */
static int64_t lzma_chunk(struct lzma2 *s, const uint8_t *in, size_t avail)
{
    unsigned control = in[0], reset = control >> 5 & 3, header = reset >= 2 ? 6 : 5;
    size_t unpacked, packed;
    int rc;

    if (avail < header)
        return -EINVAL;
    unpacked = ((size_t)(control & 0x1f) << 16 | (size_t)in[1] << 8 | in[2]) + 1;
    packed = ((size_t)in[3] << 8 | in[4]) + 1;
    if (packed > avail - header || packed < 5)
        return -EINVAL;
    if (unpacked > (size_t)(s->end - s->out))
        return -ENOSPC;
    if (reset == 3)
        s->base = s->out;
    if (reset >= 2 && set_props(s, in[5]))
        return -EINVAL;
    if (reset)
        reset_state(s);
    if (!s->base || !s->have_props || !s->have_state)
        return -EINVAL;

    in += header;
    if (avail - header - packed < LZMA_SLACK) {
        memcpy(s->tail, in, packed);
        memset(s->tail + packed, 0, LZMA_SLACK);
        in = s->tail;
    }
    rc = decode_chunk(s, in, in + packed, unpacked);
    return rc ? rc : (int64_t)(header + packed);
}

/* A chunk that is stored, control byte 1 (which forgets the dictionary) or 2. */
static int64_t stored_chunk(struct lzma2 *s, const uint8_t *in, size_t avail)
{
    size_t len;

    if (avail < 3)
        return -EINVAL;
    len = ((size_t)in[1] << 8 | in[2]) + 1;
    if (len > avail - 3)
        return -EINVAL;
    if (len > (size_t)(s->end - s->out))
        return -ENOSPC;
    if (in[0] == 1) {
        s->base = s->out;
        s->have_props = false; /* the next LZMA chunk has to start afresh */
    }
    if (!s->base)
        return -EINVAL;
    memcpy(s->out, in + 3, len);
    s->out += len;
    return (int64_t)(len + 3);
}

int lzma2_decode(struct lzma2 *s, const uint8_t *in, size_t in_len, size_t *in_used, uint8_t *out,
                 size_t out_max, size_t *out_len)
{
    size_t pos = 0;

    s->have_props = false;
    s->have_state = false;
    s->base = NULL;
    s->out = out;
    s->end = out + out_max;

    while (pos < in_len) {
        unsigned control = in[pos];
        int64_t used;

        if (!control) {
            *in_used = pos + 1;
            *out_len = (size_t)(s->out - out);
            return 0;
        }
        if (control >= 0x80)
            used = lzma_chunk(s, in + pos, in_len - pos);
        else
            used = control <= 2 ? stored_chunk(s, in + pos, in_len - pos) : -EINVAL;
        if (used < 0)
            return (int)used;
        pos += (size_t)used;
    }
    return -EINVAL;
}
