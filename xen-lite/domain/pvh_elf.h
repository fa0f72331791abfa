/* SPDX-License-Identifier: MIT */
/*
 * ELF64 kernels with a Xen PVH note: checks the file and hands its segments to a callback that
 * places them at their physical addresses.
 */
#ifndef XL_DOMAIN_PVH_ELF_H
#define XL_DOMAIN_PVH_ELF_H

#include "lib/types.h"

struct pvh_elf {
    uint64_t entry;      /* 32-bit entry, physical (note PHYS32_ENTRY); inside of a segment */
    uint64_t start, end; /* physical range that the segments span; below 4 GiB */
    unsigned nr_segments;
};

/*
 * Puts `filesz` bytes from `src` at guest physical `gpa` and zeroes up to `memsz`
 * (>= filesz, > 0).  0 or a negative errno, which ends the loading.
 */
typedef int (*pvh_place_fn)(void *ctx, uint64_t gpa, const void *src, size_t filesz, size_t memsz);

/*
 * Checks everything.  0; -EINVAL: not an x86-64 ELF executable, or malformed; -ENOENT: no PVH
 * entry note; -ERANGE: segments at or above 4 GiB.
 */
int pvh_elf_parse(const void *elf, size_t len, struct pvh_elf *out);

/* Checks like pvh_elf_parse(), then calls `place` for each segment in file order. */
int pvh_elf_load(const void *elf, size_t len, pvh_place_fn place, void *ctx);

#endif
