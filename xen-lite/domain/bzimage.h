/* SPDX-License-Identifier: MIT */
/*
 * Linux kernel images: recognises a bzImage (or a bare ELF), finds the payload in it and unpacks
 * it into memory that the caller provides.
 */
#ifndef XL_DOMAIN_BZIMAGE_H
#define XL_DOMAIN_BZIMAGE_H

#include "lib/types.h"

enum kernel_payload { KERNEL_ELF, KERNEL_XZ, KERNEL_ZSTD, KERNEL_GZIP };

struct kernel_image {
    enum kernel_payload type;
    const uint8_t *payload; /* points into the image */
    size_t payload_len;     /* bytes; without the size word behind compressed payloads */
    uint64_t unpacked_len;  /* bytes as the image claims: a bound for unpacking, not a promise */
    char version[96];       /* "6.1.0-37-amd64 (...) ..."; empty if the image does not say */
};

/* Work memory for kernel_image_unpack(), enough for every supported format. */
#define KERNEL_UNPACK_WORK (256u << 10)

/* Most that a kernel may claim to unpack to. */
#define KERNEL_MAX_UNPACKED (256ull << 20)

/*
 * 0; -EINVAL: neither a bzImage (boot protocol 2.08 or later) nor an ELF, or its fields point
 * outside of the image; -EOPNOTSUPP: a compression that is not supported.
 */
int kernel_image_parse(const void *image, size_t len, struct kernel_image *out);

/*
 * Unpacks into `out` (`out_max` bytes; unpacked_len is enough); *out_len receives the length.
 * `work` is KERNEL_UNPACK_WORK bytes, aligned to 8; not needed for KERNEL_ELF, which is copied.
 * 0; -EINVAL: damaged; -ENOSPC: `out_max` is too small; -EOPNOTSUPP: an option not supported.
 */
int kernel_image_unpack(const struct kernel_image *image, void *out, size_t out_max,
                        size_t *out_len, void *work);

#endif
