/* SPDX-License-Identifier: MIT */
/*
 * The hypervisor's own piece of RAM, chosen before anything else: page tables and the frame table come out of it
 * one after the other; what is left over goes to the frame allocator.
 */
#ifndef XL_BOOT_BOOTMEM_H
#define XL_BOOT_BOOTMEM_H

#include "boot/multiboot.h"

/* Picks the piece: RAM below 4 GiB, as high as possible, clear of modules and image. Panics when there is none. */
void bootmem_init(const struct boot_info *bi);
/* Zeroed and page aligned. Panics when the piece is used up. Until bootmem_finish(). */
void *bootmem_alloc(size_t size);
bool bootmem_done(void);
/* Ends allocation: [*start, *end) is all that was picked, [*used, *end) of it was never given out. */
void bootmem_finish(paddr_t *start, paddr_t *used, paddr_t *end);

#endif
