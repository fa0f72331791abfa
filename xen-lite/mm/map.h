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

#endif
