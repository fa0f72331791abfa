/* SPDX-License-Identifier: MIT */
/*
 * The hypervisor's own mappings: the direct map of memory and uncached windows on device registers.
 */
#ifndef XL_MM_MAP_H
#define XL_MM_MAP_H

#include "lib/types.h"

/*
 * Maps [pa, pa + len) uncached and not executable, in whole pages.
 * Returns a pointer to pa itself, NULL when the window or table memory is used up. Mappings stay for ever. Takes the
 * map lock; callable once the frame allocator runs.
 */
volatile void *mmio_map(paddr_t pa, size_t len);

/*
 * One access of `size` (1, 2, 4 or 8) bytes to device memory at pa, which is aligned to that, uncached and without leaving a mapping
 * behind. A read sets *val, zero extended. False: no memory for the first table. Takes the map lock.
 */
bool mmio_touch(paddr_t pa, unsigned size, bool write, uint64_t *val);

#endif
