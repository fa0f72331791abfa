/* SPDX-License-Identifier: MIT */
/*
 * LZMA2 decoder on flat buffers: the output is the dictionary.  Used by unxz.c alone.
 */
#ifndef XL_DOMAIN_LZMA2_H
#define XL_DOMAIN_LZMA2_H

#include "lib/types.h"

/* Most bits that choose a literal's probability set: lc + lp <= 4 in LZMA2. */
#define LZMA_LITERAL_SETS 16
#define LZMA_STATES       12
#define LZMA_POS_STATES   16

/* Lengths of matches: 2-9, 10-17 or 18-273, told apart by two choice bits. */
struct lzma_len_probs {
    uint16_t choice, choice2;
    uint16_t low[LZMA_POS_STATES][8];
    uint16_t mid[LZMA_POS_STATES][8];
    uint16_t high[256];
};

struct lzma_probs {
    uint16_t is_match[LZMA_STATES][LZMA_POS_STATES];
    uint16_t is_rep[LZMA_STATES];
    uint16_t is_rep0[LZMA_STATES];
    uint16_t is_rep1[LZMA_STATES];
    uint16_t is_rep2[LZMA_STATES];
    uint16_t is_rep0_long[LZMA_STATES][LZMA_POS_STATES];
    uint16_t dist_slot[4][64];
    uint16_t dist_special[128];
    uint16_t dist_align[16];
    struct lzma_len_probs match_len, rep_len;
    uint16_t literal[LZMA_LITERAL_SETS][0x300];
};

/* A symbol takes at most 21 bytes of input, so so many may be read behind a chunk's end. */
#define LZMA_SLACK     32
#define LZMA2_MAX_PACK (64u << 10)

struct lzma2 {
    struct lzma_probs probs;
    uint32_t rep[4]; /* last four distances, less one */
    uint32_t state;
    uint32_t lc, lp_mask, pb_mask;
    bool have_props, have_state;
    uint8_t *base, *out, *end; /* output: start of the dictionary, next byte, end of the buffer */
    uint8_t tail[LZMA2_MAX_PACK + LZMA_SLACK]; /* the last chunk, where slack would overrun */
};

/*
 * Decodes the LZMA2 data at `in` into `out`.  *in_used and *out_len receive the bytes read and
 * written.  0, -EINVAL (damaged), -ENOSPC (`out_max` is too small).
 */
int lzma2_decode(struct lzma2 *s, const uint8_t *in, size_t in_len, size_t *in_used, uint8_t *out,
                 size_t out_max, size_t *out_len);

#endif
