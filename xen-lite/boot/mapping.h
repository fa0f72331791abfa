/* SPDX-License-Identifier: MIT */
/*
 * Building the hypervisor's own page tables at boot; mm/map.h has what others use later.
 */
#ifndef XL_BOOT_MAPPING_H
#define XL_BOOT_MAPPING_H

#include "boot/multiboot.h"

/* Makes the final tables from bootmem and switches the boot CPU to them. */
void mapping_init(const struct boot_info *bi);
/* Physical address of the root, for other CPUs. */
paddr_t mapping_root(void);
/*
 * Firmware tables lie in memory that the map calls reserved, which the direct map leaves out: adds their pages to it, write-back.
 * NULL for addresses beyond reason or without memory for tables. Boot only.
 */
const void *mapping_firmware(paddr_t pa, size_t len);

#endif
