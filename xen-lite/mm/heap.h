/* SPDX-License-Identifier: MIT */
/*
 * Small objects of the hypervisor: power-of-two size classes from 32 bytes to 2 KiB carved from
 * single frames, whole frames above that. Memory comes from the frame allocator as OWNER_XEN. Freed
 * objects are poisoned; freeing twice or through a wrong pointer panics. Host builds use the C
 * library's heap instead (tests/unit/sim.c), so that the address sanitizer watches every object.
 */
#ifndef XL_MM_HEAP_H
#define XL_MM_HEAP_H

#include "lib/types.h"

#define HEAP_MAX_SIZE (1UL << 20)

/*
 * Returns size bytes, aligned to the size class (at least 32 bytes; whole frames from 2 KiB + 1
 * on), or NULL: no memory, size 0 or size > HEAP_MAX_SIZE. Takes the heap's lock, then possibly the
 * frame allocator's.
 */
void *xmalloc(size_t size);
/* The same, filled with zeroes. */
void *xzalloc(size_t size);
/* NULL is allowed. */
void xfree(void *p);

struct heap_stats {
    uint64_t frames;       /* held from the frame allocator */
    uint64_t bytes_in_use; /* rounded up to the size class */
    uint64_t objects;
    uint64_t failures; /* requests refused for lack of memory */
};
void heap_get_stats(struct heap_stats *st); /* not in host builds */

/* n * size bytes of zeroes; NULL also when the product overflows. */
static inline void *xcalloc(size_t n, size_t size)
{
    return size && n > HEAP_MAX_SIZE / size ? NULL : xzalloc(n * size);
}

#endif
