/* SPDX-License-Identifier: MIT */
/*
 * XZ decoder, memory to memory: container, LZMA2, the x86 BCJ filter, checks none, CRC32 and
 * CRC64.  One stream; the output buffer is the dictionary.
 */
#ifndef XL_DOMAIN_UNXZ_H
#define XL_DOMAIN_UNXZ_H

#include "lib/types.h"

/* Bytes of work memory, aligned to 8. */
#define UNXZ_WORK (128u << 10)

/*
 * Unpacks the stream at `in`; `in_len` may be longer than it.  *out_len receives the bytes written.
 * 0; -EINVAL: damaged; -ENOSPC: more than `out_max` bytes; -EOPNOTSUPP: a filter or a check that
 * is not supported.
 */
int unxz(const void *in, size_t in_len, void *out, size_t out_max, size_t *out_len, void *work);

#endif
