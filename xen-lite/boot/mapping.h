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
/*
 * Maps 2^order frames from mfn on as the stack of a CPU, at addresses of its own with nothing below and above. Returns the
 * lowest address, NULL without memory for tables. Boot only.
 */
void *mapping_stack(unsigned cpu, uint64_t mfn, unsigned order);
#define STACKS_BASE 0xffffd00000000000UL
#define STACKS_SLOT (64UL << 10) /* a CPU's part; its upper half can be mapped */
/* Whether an address of the hypervisor's is mapped; for looking around in a panic. */
bool mapping_present(uint64_t va);

#endif
