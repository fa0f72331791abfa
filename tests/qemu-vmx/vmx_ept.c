/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Intel VMX emulation for TCG: the walk through EPT, its violations and
 * misconfigurations, and what strict mode keeps of translations by VPID.
 *
 * This program is free software; you can redistribute it and/or modify
 * it under the terms of the GNU General Public License as published by
 * the Free Software Foundation; either version 2 of the License, or
 * (at your option) any later version.
 *
 * This program is distributed in the hope that it will be useful,
 * but WITHOUT ANY WARRANTY; without even the implied warranty of
 * MERCHANTABILITY or FITNESS FOR A PARTICULAR PURPOSE.  See the
 * GNU General Public License for more details.
 *
 * You should have received a copy of the GNU General Public License along
 * with this program; if not, see <http://www.gnu.org/licenses/>.
 */

#include "qemu/osdep.h"
#include "vmx_internal.h"

#define EPT_R   1
#define EPT_W   2
#define EPT_X   4
#define EPT_PS  (1 << 7)
#define EPT_A   (1 << 8)
#define EPT_D   (1 << 9)

uint64_t *vmx_ept_entry_host(CPUX86State *env, hwaddr pa)
{
    CPUTLBEntryFull *full;
    void *host = NULL;
    int flags;

    flags = probe_access_full(env, pa, MMU_DATA_STORE, MMU_PHYS_IDX, true,
                              &host, &full, 0);
    return flags & TLB_INVALID_MASK ? NULL : host;
}

static bool ept_walk(CPUX86State *env, uint64_t gpa, int access_type,
                     hwaddr *paddr, int *prot, int *page_size)
{
    CPUState *cs = env_cpu(env);
    uint64_t rsvd_addr, access, perms, e;
    uint64_t *host[4], old[4];
    hwaddr pa[4], table;
    int level, shift;

    rsvd_addr = ~MAKE_64BIT_MASK(0, env_archcpu(env)->phys_bits) &
                MAKE_64BIT_MASK(0, 52);
    switch (access_type) {
    case MMU_DATA_STORE:
        access = EPT_W;
        break;
    case MMU_INST_FETCH:
        access = EPT_X;
        break;
    default:
        access = EPT_R;
        break;
    }

 restart:
    env->vmx.ept_fault_misconfig = false;
    perms = EPT_R | EPT_W | EPT_X;
    if (gpa >> 48) {
        perms = 0;
        goto violation;
    }
    table = env->vmx.eptp & rsvd_addr ? 0 :
            env->vmx.eptp & MAKE_64BIT_MASK(12, 40);
    for (level = 3; ; level--) {
        shift = 12 + 9 * level;
        pa[level] = table + ((gpa >> shift) & 0x1ff) * 8;
        host[level] = vmx_ept_entry_host(env, pa[level]);
        e = host[level] ? ldq_p(host[level]) : x86_ldq_phys(cs, pa[level]);
        old[level] = e;

        if (!(e & (EPT_R | EPT_W | EPT_X))) {
            perms = 0;
            goto violation;
        }
        if ((e & (EPT_R | EPT_W)) == EPT_W) {
            goto misconfig;
        }
        if ((e & 7) == EPT_X && !(env->features[FEAT_VMX_EPT_VPID_CAPS] &
                                  MSR_VMX_EPT_EXECONLY)) {
            goto misconfig;
        }
        if (e & rsvd_addr) {
            goto misconfig;
        }
        if (level == 0 || (level < 3 && (e & EPT_PS))) {
            int mt = (e >> 3) & 7;

            if (mt == 2 || mt == 3 || mt == 7) {
                goto misconfig;
            }
            if (level && (e & MAKE_64BIT_MASK(12, shift - 12))) {
                goto misconfig;
            }
            if ((level == 2 && !(env->features[FEAT_VMX_EPT_VPID_CAPS] &
                                 MSR_VMX_EPT_1GB)) ||
                (level == 1 && !(env->features[FEAT_VMX_EPT_VPID_CAPS] &
                                 MSR_VMX_EPT_2MB))) {
                goto misconfig;
            }
            perms &= e;
            break;
        }
        /* bits 6:3 are reserved; so is bit 7 in a PML4 entry */
        if (e & (level == 3 ? 0xf8 : 0x78)) {
            goto misconfig;
        }
        perms &= e;
        table = e & MAKE_64BIT_MASK(12, 40);
    }

    if (!(perms & access)) {
        goto violation;
    }

    *prot = (perms & EPT_R ? PAGE_READ : 0) | (perms & EPT_W ? PAGE_WRITE : 0) |
            (perms & EPT_X ? PAGE_EXEC : 0);
    if (env->vmx.ept_ad) {
        for (int l = 3; l >= level; l--) {
            uint64_t set = EPT_A;

            if (l == level) {
                if (access == EPT_W) {
                    set |= EPT_D;
                } else if (!(old[l] & EPT_D)) {
                    *prot &= ~PAGE_WRITE;
                }
            }
            if (set & ~old[l]) {
                if (host[l]) {
                    if (qatomic_cmpxchg(host[l], cpu_to_le64(old[l]),
                                        cpu_to_le64(old[l] | set)) !=
                        cpu_to_le64(old[l])) {
                        goto restart;
                    }
                } else {
                    x86_stq_phys(cs, pa[l], old[l] | set);
                }
            }
        }
    }
    *page_size = 1 << shift;
    *paddr = (e & MAKE_64BIT_MASK(12, 40) & ~((1ull << shift) - 1)) |
             (gpa & ((1ull << shift) - 1));
    return true;

 misconfig:
    env->vmx.ept_fault_misconfig = true;
    return false;

 violation:
    env->vmx.ept_fault_qual = access | ((perms & 7) << 3);
    return false;
}

/*
 * What may outlive entries and exits: see strict_tlb.c.
 * 0: the guest shares the host's VPID, and nothing of it is kept.
 */
static uint16_t guest_vpid(CPUX86State *env)
{
    return (proc2_ctls(env) & VMX_SECONDARY_EXEC_ENABLE_VPID) ? F(VPID) : 0;
}

/* The guest's own invalidations: INVLPG, and MOV to CR0, CR3 and CR4. */
void vmx_invlpg(CPUX86State *env, uint64_t addr)
{
    if (env->vmx.guest) {
        strict_drop_page(env, guest_vpid(env), addr);
    }
}

void vmx_guest_drops_vpid(CPUX86State *env)
{
    strict_drop_vpid(env, guest_vpid(env));
}

/* With paging off there are guest-physical mappings only. */
static bool keeps_combined(CPUX86State *env)
{
    return strict_tlb_on && guest_vpid(env) && env->vmx.ept &&
           (env->cr[0] & CR0_PG_MASK);
}

bool vmx_comb_lookup(CPUX86State *env, uint64_t addr, int access_type,
                     int mmu_idx, hwaddr *paddr, int *prot, int *page_size)
{
    *page_size = 4096;
    return keeps_combined(env) &&
           strict_comb_get(env, strict_tag_of_eptp(env->vmx.eptp),
                           guest_vpid(env), addr, access_type, mmu_idx, paddr,
                           prot);
}

/* INVLPG of one page of a large one would have to find all of it: not kept. */
void vmx_comb_fill(CPUX86State *env, uint64_t addr, int mmu_idx, hwaddr paddr,
                   int prot, int page_size)
{
    if (keeps_combined(env) && page_size == 4096) {
        strict_comb_put(env, strict_tag_of_eptp(env->vmx.eptp),
                        guest_vpid(env), addr, mmu_idx, paddr, prot);
    }
}

bool vmx_ept_walk(CPUX86State *env, uint64_t gpa, int access_type,
                  hwaddr *paddr, int *prot, int *page_size)
{
    uint64_t tag = strict_tag_of_eptp(env->vmx.eptp);

    if (!strict_tlb_on) {
        return ept_walk(env, gpa, access_type, paddr, prot, page_size);
    }
    *page_size = 4096;
    if (strict_gpa_get(env, tag, gpa, access_type, paddr, prot)) {
        return true;
    }
    if (!ept_walk(env, gpa, access_type, paddr, prot, page_size)) {
        return false;
    }
    *page_size = 4096; /* so that callers can tell the guest's large pages */
    strict_gpa_put(env, tag, gpa, *paddr, *prot);
    return true;
}

/*
 * @final: the access was to the translation of @linear, rather than to a
 * paging-structure entry.
 */
G_NORETURN void vmx_exit_ept(CPUX86State *env, uint64_t gpa, bool final,
                             target_ulong linear, uintptr_t ra)
{
    uint64_t qual;

    vmx_exit_prepare(env, ra);
    F(GUEST_PHYS_ADDR) = gpa;
    if (env->vmx.ept_fault_misconfig) {
        vmx_exit_now(env, XR_EPT_MISCONFIG, 0);
    }
    qual = env->vmx.ept_fault_qual | (1 << 7);
    if (final) {
        qual |= 1 << 8;
    } else if (env->vmx.ept_ad) {
        /* with A/D flags, accesses to paging structures are writes */
        qual |= EPT_R | EPT_W;
    } else if (qual & EPT_W) {
        /* ... and updates of their A/D flags are reads and writes */
        qual |= EPT_R;
    }
    F(GUEST_LINEAR_ADDR) = linear;
    vmx_exit_now(env, XR_EPT_VIOLATION, qual);
}
