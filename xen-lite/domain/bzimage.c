/* SPDX-License-Identifier: MIT */
/*
 * Finds the payload of a Linux bzImage (Documentation/x86/boot.rst, protocol 2.08 and later) and
 * unpacks it by its magic number.
 */
#include "domain/bzimage.h"

#include "domain/unxz.h"
#include "domain/unzstd.h"
#include "lib/errno.h"
#include "lib/le.h"
#include "lib/string.h"

#define SETUP_SECTS      0x1f1
#define BOOT_FLAG        0x1fe
#define HEADER_MAGIC     0x202
#define PROTOCOL         0x206
#define KERNEL_VERSION   0x20e
#define PAYLOAD_OFFSET   0x248
#define PAYLOAD_LENGTH   0x24c
#define SETUP_HEADER_END 0x250
#define SECTOR           512u
#define PROTOCOL_MIN     0x208 /* has the payload fields */

_Static_assert(UNXZ_WORK <= KERNEL_UNPACK_WORK && UNZSTD_WORK <= KERNEL_UNPACK_WORK,
               "work memory must suit every format");

static bool is_elf(const uint8_t *p, size_t len)
{
    return len >= 4 && !memcmp(p, "\177ELF", 4);
}

/* The build's name; its offset does not count the first sector. */
static void read_version(const uint8_t *image, size_t len, struct kernel_image *out)
{
    uint16_t off = get_le16(image + KERNEL_VERSION);
    size_t start = (size_t)off + 0x200, n;

    out->version[0] = '\0';
    if (!off || start >= len)
        return;
    n = strnlen((const char *)image + start, MIN(len - start, sizeof(out->version) - 1));
    memcpy(out->version, image + start, n);
    out->version[n] = '\0';
}

static int payload_type(const uint8_t *p, size_t len, enum kernel_payload *type)
{
    if (is_elf(p, len))
        *type = KERNEL_ELF;
    else if (len >= 6 && !memcmp(p,
                                 "\xfd"
                                 "7zXZ",
                                 6))
        *type = KERNEL_XZ;
    else if (len >= 4 && get_le32(p) == 0xfd2fb528)
        *type = KERNEL_ZSTD;
    else if (len >= 2 && get_le16(p) == 0x8b1f)
        *type = KERNEL_GZIP;
    else
        return -EOPNOTSUPP;
    return 0;
}

/* The kernel's build appends the unpacked length to every format; in gzip it is the last field. */
static int split_length(struct kernel_image *out)
{
    if (out->type == KERNEL_ELF) {
        out->unpacked_len = out->payload_len;
        return 0;
    }
    if (out->payload_len < 8)
        return -EINVAL;
    out->unpacked_len = get_le32(out->payload + out->payload_len - 4);
    if (out->type != KERNEL_GZIP)
        out->payload_len -= 4;
    return out->unpacked_len && out->unpacked_len <= KERNEL_MAX_UNPACKED ? 0 : -EINVAL;
}

int kernel_image_parse(const void *image, size_t len, struct kernel_image *out)
{
    const uint8_t *p = image;
    uint64_t start, size;
    int rc;

    memset(out, 0, sizeof(*out));
    if (is_elf(p, len)) {
        out->type = KERNEL_ELF;
        out->payload = p;
        out->payload_len = out->unpacked_len = len;
        return 0;
    }
    if (len < SETUP_HEADER_END || get_le16(p + BOOT_FLAG) != 0xaa55 ||
        memcmp(p + HEADER_MAGIC, "HdrS", 4) || get_le16(p + PROTOCOL) < PROTOCOL_MIN)
        return -EINVAL;
    /* boot.rst: 0 stands for 4 sectors. */
    start = ((p[SETUP_SECTS] ? p[SETUP_SECTS] : 4) + 1) * (uint64_t)SECTOR +
            get_le32(p + PAYLOAD_OFFSET);
    size = get_le32(p + PAYLOAD_LENGTH);
    if (!size || start > len || size > len - start)
        return -EINVAL;
    out->payload = p + start;
    out->payload_len = size;
    read_version(p, len, out);
    rc = payload_type(out->payload, out->payload_len, &out->type);
    return rc ? rc : split_length(out);
}

int kernel_image_unpack(const struct kernel_image *image, void *out, size_t out_max,
                        size_t *out_len, void *work)
{
    switch (image->type) {
    case KERNEL_ELF:
        if (image->payload_len > out_max)
            return -ENOSPC;
        memcpy(out, image->payload, image->payload_len);
        *out_len = image->payload_len;
        return 0;
    case KERNEL_XZ:
        return unxz(image->payload, image->payload_len, out, out_max, out_len, work);
    case KERNEL_ZSTD:
        return unzstd(image->payload, image->payload_len, out, out_max, out_len, work);
    default:
        return -EOPNOTSUPP;
    }
}
