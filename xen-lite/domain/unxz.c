/* SPDX-License-Identifier: MIT */
/*
 * XZ container (The .xz File Format 1.1.0): headers, blocks with LZMA2 and perhaps the x86 filter,
 * checks, index and footer of one stream.
 */
#include "domain/unxz.h"

#include "domain/bcj_x86.h"
#include "domain/lzma2.h"
#include "lib/errno.h"
#include "lib/le.h"
#include "lib/string.h"

#define HEADER_LEN   12
#define FOOTER_LEN   12
#define FILTER_X86   0x04
#define FILTER_LZMA2 0x21
#define MAX_BLOCKS   64
#define CRC32_POLY   0xedb88320u
#define CRC64_POLY   0xc96c5795d7870f42ull

enum check { CHECK_NONE = 0, CHECK_CRC32 = 1, CHECK_CRC64 = 4 };

struct block_size {
    uint64_t unpadded, unpacked;
};

struct xz {
    struct lzma2 lzma2;
    uint32_t crc32[8][256]; /* table k: effect of a byte with k bytes behind it */
    uint64_t crc64[256];
    struct block_size block[MAX_BLOCKS];
    unsigned nr_blocks;
    enum check check;
    unsigned check_len;
    const uint8_t *in, *end; /* next byte of input and its end */
};

struct block {
    const uint8_t *header;
    uint64_t packed, unpacked; /* as the header claims; ~0: not given */
    bool x86;
    uint32_t x86_start;
};

_Static_assert(sizeof(struct xz) <= UNXZ_WORK, "work memory is too small");

static void make_tables(struct xz *x)
{
    unsigned i, k;

    for (i = 0; i < 256; i++) {
        uint32_t c32 = i;
        uint64_t c64 = i;

        for (k = 0; k < 8; k++) {
            c32 = c32 >> 1 ^ (CRC32_POLY & -(c32 & 1));
            c64 = c64 >> 1 ^ (CRC64_POLY & -(c64 & 1));
        }
        x->crc32[0][i] = c32;
        x->crc64[i] = c64;
    }
    for (i = 0; i < 256; i++)
        for (k = 1; k < 8; k++)
            x->crc32[k][i] = x->crc32[k - 1][i] >> 8 ^ x->crc32[0][x->crc32[k - 1][i] & 0xff];
}

/* Eight bytes a step: the check of a kernel must not cost as much as unpacking it. */
static uint32_t crc32(const struct xz *x, const uint8_t *p, size_t len)
{
    uint32_t c = ~0u;

    for (; len >= 8; len -= 8, p += 8) {
        uint64_t w = get_le64(p) ^ c;

        c = x->crc32[7][w & 0xff] ^ x->crc32[6][w >> 8 & 0xff] ^ x->crc32[5][w >> 16 & 0xff] ^
            x->crc32[4][w >> 24 & 0xff] ^ x->crc32[3][w >> 32 & 0xff] ^
            x->crc32[2][w >> 40 & 0xff] ^ x->crc32[1][w >> 48 & 0xff] ^ x->crc32[0][w >> 56];
    }
    while (len--)
        c = c >> 8 ^ x->crc32[0][(c ^ *p++) & 0xff];
    return ~c;
}

static uint64_t crc64(const struct xz *x, const uint8_t *p, size_t len)
{
    uint64_t c = ~0ull;

    while (len--)
        c = c >> 8 ^ x->crc64[(c ^ *p++) & 0xff];
    return ~c;
}

/* Variable-length integer (1.2): seven bits a byte, at most nine bytes, no superfluous zeros. */
static int get_vli(const uint8_t **p, const uint8_t *end, uint64_t *out)
{
    uint64_t v = 0;
    unsigned i;

    for (i = 0; i < 9 && *p < end; i++) {
        uint8_t b = *(*p)++;

        v |= (uint64_t)(b & 0x7f) << (7 * i);
        if (!(b & 0x80)) {
            *out = v;
            return b || !i ? 0 : -EINVAL;
        }
    }
    return -EINVAL;
}

/* Stream flags (2.1.1.2): a zero byte and the type of check. */
static int stream_flags(struct xz *x, const uint8_t *flags)
{
    if (flags[0] || flags[1] & 0xf0)
        return -EINVAL;
    x->check = flags[1];
    switch (flags[1]) {
    case CHECK_NONE:
        x->check_len = 0;
        return 0;
    case CHECK_CRC32:
        x->check_len = 4;
        return 0;
    case CHECK_CRC64:
        x->check_len = 8;
        return 0;
    default:
        return -EOPNOTSUPP;
    }
}

static int stream_header(struct xz *x)
{
    const uint8_t *p = x->in;

    if (x->end - p < HEADER_LEN ||
        memcmp(p,
               "\xfd"
               "7zXZ",
               6) ||
        get_le32(p + 8) != crc32(x, p + 6, 2))
        return -EINVAL;
    x->in += HEADER_LEN;
    return stream_flags(x, p + 6);
}

/* One filter's id and properties.  LZMA2 must be the last one. */
static int filter_flags(struct block *b, const uint8_t **p, const uint8_t *end, bool last)
{
    uint64_t id, size;

    if (get_vli(p, end, &id) || get_vli(p, end, &size) || size > (uint64_t)(end - *p))
        return -EINVAL;
    if (last && id != FILTER_LZMA2)
        return -EOPNOTSUPP;
    if (!last && id != FILTER_X86)
        return -EOPNOTSUPP;
    if (id == FILTER_LZMA2) {
        /* The dictionary's size does not matter, all output so far is at hand. */
        if (size != 1 || **p > 40)
            return -EINVAL;
    } else {
        if (size != 0 && size != 4)
            return -EINVAL;
        b->x86 = true;
        b->x86_start = size ? get_le32(*p) : 0;
    }
    *p += size;
    return 0;
}

/* Block header (3.1); x->in is at its first byte, which is not 0. */
static int block_header(struct xz *x, struct block *b)
{
    size_t len = ((size_t)x->in[0] + 1) * 4;
    const uint8_t *p = x->in + 2, *end;
    unsigned flags, filters;
    int rc;

    if (len > (size_t)(x->end - x->in))
        return -EINVAL;
    end = x->in + len - 4;
    if (get_le32(end) != crc32(x, x->in, len - 4))
        return -EINVAL;
    flags = x->in[1];
    filters = (flags & 3) + 1;
    if (flags & 0x3c || filters > 2)
        return flags & 0x3c ? -EINVAL : -EOPNOTSUPP;

    memset(b, 0, sizeof(*b));
    b->header = x->in;
    b->packed = b->unpacked = ~0ull;
    if (flags & 0x40 && get_vli(&p, end, &b->packed))
        return -EINVAL;
    if (flags & 0x80 && get_vli(&p, end, &b->unpacked))
        return -EINVAL;
    while (filters) {
        rc = filter_flags(b, &p, end, filters-- == 1);
        if (rc)
            return rc;
    }
    while (p < end)
        if (*p++)
            return -EINVAL;
    x->in += len;
    return 0;
}

static int block_check(struct xz *x, const uint8_t *out, size_t len)
{
    bool good = true;

    if (x->check_len > (size_t)(x->end - x->in))
        return -EINVAL;
    if (x->check == CHECK_CRC32)
        good = get_le32(x->in) == crc32(x, out, len);
    else if (x->check == CHECK_CRC64)
        good = get_le64(x->in) == crc64(x, out, len);
    x->in += x->check_len;
    return good ? 0 : -EINVAL;
}

/* Zero bytes up to a multiple of four from `start`. */
static int padding(struct xz *x, const uint8_t *start)
{
    while ((x->in - start) & 3)
        if (x->in == x->end || *x->in++)
            return -EINVAL;
    return 0;
}

static int read_block(struct xz *x, uint8_t *out, size_t out_max, size_t *out_len)
{
    struct block b;
    const uint8_t *data;
    size_t used;
    int rc;

    if (x->nr_blocks == MAX_BLOCKS)
        return -EOPNOTSUPP;
    rc = block_header(x, &b);
    if (rc)
        return rc;
    data = x->in;
    rc = lzma2_decode(&x->lzma2, data, (size_t)(x->end - data), &used, out, out_max, out_len);
    if (rc)
        return rc;
    if ((b.packed != ~0ull && b.packed != used) || (b.unpacked != ~0ull && b.unpacked != *out_len))
        return -EINVAL;
    x->in += used;
    x->block[x->nr_blocks++] = (struct block_size){
        .unpadded = (uint64_t)(x->in - b.header) + x->check_len,
        .unpacked = *out_len,
    };
    if (padding(x, b.header))
        return -EINVAL;
    if (b.x86)
        bcj_x86_decode(out, *out_len, b.x86_start);
    return block_check(x, out, *out_len);
}

/* Index (4): must name the blocks as they were; x->in is at its zero byte. */
static int read_index(struct xz *x, uint32_t *index_len)
{
    const uint8_t *start = x->in;
    uint64_t nr, unpadded, unpacked;
    unsigned i;

    x->in++;
    if (get_vli(&x->in, x->end, &nr) || nr != x->nr_blocks)
        return -EINVAL;
    for (i = 0; i < x->nr_blocks; i++) {
        if (get_vli(&x->in, x->end, &unpadded) || get_vli(&x->in, x->end, &unpacked))
            return -EINVAL;
        if (unpadded != x->block[i].unpadded || unpacked != x->block[i].unpacked)
            return -EINVAL;
    }
    if (padding(x, start) || x->end - x->in < 4 ||
        get_le32(x->in) != crc32(x, start, (size_t)(x->in - start)))
        return -EINVAL;
    x->in += 4;
    *index_len = (uint32_t)(x->in - start);
    return 0;
}

/* Stream footer (2.1.2). */
static int stream_footer(struct xz *x, uint32_t index_len)
{
    const uint8_t *p = x->in;

    if (x->end - p < FOOTER_LEN || p[10] != 'Y' || p[11] != 'Z' || p[8] || p[9] != x->check ||
        get_le32(p) != crc32(x, p + 4, 6) || ((uint64_t)get_le32(p + 4) + 1) * 4 != index_len)
        return -EINVAL;
    return 0;
}

int unxz(const void *in, size_t in_len, void *out, size_t out_max, size_t *out_len, void *work)
{
    struct xz *x = work;
    uint32_t index_len;
    size_t done = 0, len;
    int rc;

    x->in = in;
    x->end = x->in + in_len;
    x->nr_blocks = 0;
    make_tables(x);
    rc = stream_header(x);
    if (rc)
        return rc;
    while (x->in < x->end && *x->in) {
        rc = read_block(x, (uint8_t *)out + done, out_max - done, &len);
        if (rc)
            return rc;
        done += len;
    }
    if (x->in == x->end)
        return -EINVAL;
    rc = read_index(x, &index_len);
    if (!rc)
        rc = stream_footer(x, index_len);
    if (!rc)
        *out_len = done;
    return rc;
}
