/* SPDX-License-Identifier: MIT */
/*
 * Zstandard decoder (RFC 8878), memory to memory: all block types, no dictionaries.  The output
 * buffer is the window.
 */
#ifndef XL_DOMAIN_UNZSTD_H
#define XL_DOMAIN_UNZSTD_H

#include "lib/types.h"

/* Bytes of work memory, aligned to 8. */
#define UNZSTD_WORK (192u << 10)

/*
 * Unpacks the frames at `in` (skippable ones are skipped) up to `in_len`.  *out_len receives the
 * bytes written.  0; -EINVAL: damaged; -ENOSPC: more than `out_max` bytes; -EOPNOTSUPP: needs a
 * dictionary.
 */
int unzstd(const void *in, size_t in_len, void *out, size_t out_max, size_t *out_len, void *work);

#endif
