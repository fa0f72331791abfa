/* SPDX-License-Identifier: MIT */
/*
 * From physical addresses to pointers and back. The hypervisor maps all RAM and firmware tables once, write-back and
 * never executable, at DIRECTMAP_BASE; host builds point into a simulated memory.
 */
#ifndef XL_MM_PHYS_H
#define XL_MM_PHYS_H

#include "lib/types.h"

#ifdef XL_HOST
void *phys_to_virt(paddr_t pa);
paddr_t virt_to_phys(const void *va);
/* Makes (again) a zeroed physical memory of `size` bytes. Tests call it first. */
void sim_phys_init(size_t size);
#else
#define DIRECTMAP_BASE 0xffff800000000000UL

static inline void *phys_to_virt(paddr_t pa)
{
    return (void *)(DIRECTMAP_BASE + pa);
}

/* Takes direct-map pointers and those into the hypervisor's image, which is linked at its physical address. */
static inline paddr_t virt_to_phys(const void *va)
{
    uint64_t a = (uint64_t)va;

    return a >= DIRECTMAP_BASE ? a - DIRECTMAP_BASE : a;
}
#endif

static inline void *mfn_to_virt(uint64_t mfn)
{
    return phys_to_virt(mfn << PAGE_SHIFT);
}

static inline uint64_t virt_to_mfn(const void *va)
{
    return virt_to_phys(va) >> PAGE_SHIFT;
}

#endif
