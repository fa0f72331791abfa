/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Strict mode (-cpu ...,strict-tlb=on): what a processor may remember of
 * second-level translations beyond VM entries and exits, VMX's and SVM's.
 * See strict_tlb.c.
 *
 * This program is free software; you can redistribute it and/or modify
 * it under the terms of the GNU General Public License as published by
 * the Free Software Foundation; either version 2 of the License, or
 * (at your option) any later version.
 */
#ifndef I386_STRICT_TLB_H
#define I386_STRICT_TLB_H

extern bool strict_tlb_on;  /* one switch for all CPUs */

/* Guest-physical mappings, by 4 KiB pages. A tag is never 0. */
bool strict_gpa_get(CPUX86State *env, uint64_t tag, uint64_t gpa,
                    int access_type, hwaddr *paddr, int *prot);
void strict_gpa_put(CPUX86State *env, uint64_t tag, uint64_t gpa,
                    hwaddr paddr, int prot);
/* ... and combined ones with this tag; 0: all. */
void strict_drop_tag(CPUX86State *env, uint64_t tag);

/* Combined mappings, by the VPID as well. */
bool strict_comb_get(CPUX86State *env, uint64_t tag, uint16_t vpid,
                     uint64_t addr, int access_type, int mmu_idx,
                     hwaddr *paddr, int *prot);
void strict_comb_put(CPUX86State *env, uint64_t tag, uint16_t vpid,
                     uint64_t addr, int mmu_idx, hwaddr paddr, int prot);
void strict_drop_page(CPUX86State *env, uint16_t vpid, uint64_t addr);
void strict_drop_vpid(CPUX86State *env, uint16_t vpid);
void strict_drop_all_vpids(CPUX86State *env);

static inline uint64_t strict_tag_of_eptp(uint64_t eptp)
{
    return (eptp & MAKE_64BIT_MASK(12, 40)) | 1;
}

/* VMRUN: this ASID's translations count from now on. */
void strict_vmrun(CPUX86State *env, uint32_t asid, uint8_t tlb_control);
bool strict_npt_get(CPUX86State *env, uint64_t gpa, int access_type,
                    hwaddr *paddr, int *prot);
void strict_npt_put(CPUX86State *env, uint64_t gpa, hwaddr paddr, int prot);

#endif /* I386_STRICT_TLB_H */
