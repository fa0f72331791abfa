/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Strict mode (-cpu ...,strict-tlb=on): translations outlive VM entries and
 * exits, as they may on a processor.  Every CPU has its own; QEMU's TLBs are
 * filled from them.  They go when what the hypervisor or the guest executes
 * covers them, when an access that they do not allow makes the processor walk
 * again, and when another takes their place.
 *
 * VMX (SDM 29.4.2): guest-physical mappings are tagged with bits 51:12 of the
 * EPT pointer.  Combined ones, of 4 KiB guest pages, have that tag and the
 * VPID; where the guest has no VPID of its own, nothing outlives an entry or
 * exit.
 *
 * SVM (APM volume 2, 15.16 and 15.25): guest-physical mappings are tagged with
 * the ASID, and go by TLB_CONTROL at VMRUN.  Combined ones are not kept.
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
#include "cpu.h"
#include "strict-tlb.h"

#define STRICT_ENTRIES 16384
#define STRICT_CPUS    256

/* TLB_CONTROL (APM volume 2, 15.16.1); 0: nothing */
#define FLUSH_ALL_ASIDS 1

typedef struct GpaEntry {
    uint64_t tag;       /* 0: empty */
    uint64_t gpa;
    hwaddr pa;
    int prot;
} GpaEntry;

typedef struct CombEntry {
    uint64_t tag;       /* as above */
    uint64_t gen;       /* alive if it is the VPID's */
    uint64_t page;
    hwaddr pa;
    uint16_t vpid;
    uint8_t mmu_idx;    /* the rights below are for this privilege */
    int prot;
} CombEntry;

typedef struct StrictTlb {
    GpaEntry gpa[STRICT_ENTRIES];
    CombEntry comb[STRICT_ENTRIES];
    uint64_t vpid_gen[65536];
    uint64_t asid_tag;  /* of the SVM guest that runs */
} StrictTlb;

bool strict_tlb_on;

static StrictTlb *strict_tlbs[STRICT_CPUS];

static StrictTlb *strict_tlb(CPUX86State *env)
{
    int cpu = env_cpu(env)->cpu_index;

    if (!strict_tlb_on || cpu >= STRICT_CPUS) {
        return NULL;
    }
    if (!strict_tlbs[cpu]) {
        strict_tlbs[cpu] = g_new0(StrictTlb, 1);
    }
    return strict_tlbs[cpu];
}

/* An EPT pointer's is odd (strict-tlb.h). */
static uint64_t tag_of_asid(uint32_t asid)
{
    return (uint64_t)asid << 12 | 2;
}

static int right_for(int access_type)
{
    return access_type == MMU_DATA_STORE ? PAGE_WRITE :
           access_type == MMU_INST_FETCH ? PAGE_EXEC : PAGE_READ;
}

static GpaEntry *gpa_slot(StrictTlb *tlb, uint64_t tag, uint64_t gpa)
{
    return &tlb->gpa[((gpa >> 12) ^ (tag >> 12)) % STRICT_ENTRIES];
}

bool strict_gpa_get(CPUX86State *env, uint64_t tag, uint64_t gpa,
                    int access_type, hwaddr *paddr, int *prot)
{
    StrictTlb *tlb = strict_tlb(env);
    GpaEntry *e = tlb ? gpa_slot(tlb, tag, gpa) : NULL;

    if (!e || e->tag != tag || e->gpa != (gpa & ~0xfffull)) {
        return false;
    }
    if (!(e->prot & right_for(access_type))) {
        e->tag = 0;
        return false;
    }
    *paddr = e->pa | (gpa & 0xfff);
    *prot = e->prot;
    return true;
}

void strict_gpa_put(CPUX86State *env, uint64_t tag, uint64_t gpa,
                    hwaddr paddr, int prot)
{
    StrictTlb *tlb = strict_tlb(env);

    if (tlb) {
        *gpa_slot(tlb, tag, gpa) = (GpaEntry) {
            tag, gpa & ~0xfffull, paddr & ~0xfffull, prot
        };
    }
}

void strict_drop_tag(CPUX86State *env, uint64_t tag)
{
    StrictTlb *tlb = strict_tlb(env);

    for (int i = 0; tlb && i < STRICT_ENTRIES; i++) {
        if (!tag || tlb->gpa[i].tag == tag) {
            tlb->gpa[i].tag = 0;
        }
        if (!tag || tlb->comb[i].tag == tag) {
            tlb->comb[i].tag = 0;
        }
    }
}

static CombEntry *comb_slot(StrictTlb *tlb, uint16_t vpid, uint64_t addr)
{
    return &tlb->comb[((addr >> 12) ^ (vpid * 2477u)) % STRICT_ENTRIES];
}

bool strict_comb_get(CPUX86State *env, uint64_t tag, uint16_t vpid,
                     uint64_t addr, int access_type, int mmu_idx,
                     hwaddr *paddr, int *prot)
{
    StrictTlb *tlb = strict_tlb(env);
    const CombEntry *e = tlb ? comb_slot(tlb, vpid, addr) : NULL;

    if (!e || e->tag != tag || e->vpid != vpid ||
        e->gen != tlb->vpid_gen[vpid] || e->page != (addr & ~0xfffull) ||
        e->mmu_idx != mmu_idx || !(e->prot & right_for(access_type))) {
        return false;
    }
    *paddr = e->pa | (addr & 0xfff);
    *prot = e->prot;
    return true;
}

void strict_comb_put(CPUX86State *env, uint64_t tag, uint16_t vpid,
                     uint64_t addr, int mmu_idx, hwaddr paddr, int prot)
{
    StrictTlb *tlb = strict_tlb(env);

    if (tlb) {
        *comb_slot(tlb, vpid, addr) = (CombEntry) {
            .tag = tag, .gen = tlb->vpid_gen[vpid], .page = addr & ~0xfffull,
            .pa = paddr & ~0xfffull, .vpid = vpid, .mmu_idx = mmu_idx,
            .prot = prot,
        };
    }
}

void strict_drop_page(CPUX86State *env, uint16_t vpid, uint64_t addr)
{
    StrictTlb *tlb = strict_tlb(env);
    CombEntry *e = tlb ? comb_slot(tlb, vpid, addr) : NULL;

    if (e && e->vpid == vpid && e->page == (addr & ~0xfffull)) {
        e->tag = 0;
    }
}

void strict_drop_vpid(CPUX86State *env, uint16_t vpid)
{
    StrictTlb *tlb = strict_tlb(env);

    if (tlb) {
        tlb->vpid_gen[vpid]++;
    }
}

void strict_drop_all_vpids(CPUX86State *env)
{
    StrictTlb *tlb = strict_tlb(env);

    for (int i = 0; tlb && i < STRICT_ENTRIES; i++) {
        tlb->comb[i].tag = 0;
    }
}

void strict_vmrun(CPUX86State *env, uint32_t asid, uint8_t tlb_control)
{
    StrictTlb *tlb = strict_tlb(env);

    if (!tlb) {
        return;
    }
    tlb->asid_tag = tag_of_asid(asid);
    if (tlb_control) {
        strict_drop_tag(env, tlb_control == FLUSH_ALL_ASIDS ? 0 : tlb->asid_tag);
    }
}

bool strict_npt_get(CPUX86State *env, uint64_t gpa, int access_type,
                    hwaddr *paddr, int *prot)
{
    StrictTlb *tlb = strict_tlb(env);

    return tlb &&
           strict_gpa_get(env, tlb->asid_tag, gpa, access_type, paddr, prot);
}

void strict_npt_put(CPUX86State *env, uint64_t gpa, hwaddr paddr, int prot)
{
    StrictTlb *tlb = strict_tlb(env);

    if (tlb) {
        strict_gpa_put(env, tlb->asid_tag, gpa, paddr, prot);
    }
}
