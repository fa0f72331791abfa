/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Intel VMX emulation for TCG: what a VM exit does: save the guest's state,
 * load the host's, and the lists of MSRs (SDM chapter 28).
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

static uint32_t seg_to_ar(const SegmentCache *sc, int seg)
{
    uint32_t ar = (sc->flags >> 8) & 0xf0ff;

    if (!(sc->flags & DESC_P_MASK)) {
        return ar | AR_UNUSABLE;
    }
    if (sc->flags & DESC_S_MASK) {
        ar |= 1;
    }
    return ar;
}

static void save_seg(CPUX86State *env, int n, const SegmentCache *sc)
{
    env->vmx.f[VF_GUEST_ES_SEL + n] = sc->selector & 0xffff;
    env->vmx.f[VF_GUEST_ES_BASE + n] = sc->base;
    env->vmx.f[VF_GUEST_ES_LIMIT + n] = sc->limit;
    env->vmx.f[VF_GUEST_ES_AR + n] = seg_to_ar(sc, n);
}

void vmx_load_seg(CPUX86State *env, int n, SegmentCache *sc)
{
    uint32_t ar = env->vmx.f[VF_GUEST_ES_AR + n];

    sc->selector = env->vmx.f[VF_GUEST_ES_SEL + n];
    sc->base = env->vmx.f[VF_GUEST_ES_BASE + n];
    sc->limit = env->vmx.f[VF_GUEST_ES_LIMIT + n];
    if (ar & AR_UNUSABLE) {
        /* SS.DPL is the CPL */
        sc->flags = n == R_SS ? (ar & 0x4060) << 8 : 0;
    } else {
        sc->flags = (ar & 0xf0ff) << 8;
    }
}

static void save_pdptes(CPUX86State *env)
{
    if (!env->vmx.ept || !(env->cr[0] & CR0_PG_MASK) ||
        !(env->cr[4] & CR4_PAE_MASK) || (env->efer & MSR_EFER_LMA)) {
        return;
    }
    for (int i = 0; i < 4; i++) {
        env->vmx.f[VF_GUEST_PDPTE0 + i] = env->vmx.pdpte[i];
    }
}

static void save_guest_state(CPUX86State *env)
{
    VMXState *v = &env->vmx;
    uint32_t exit_ctls = F(EXIT_CTLS);
    uint32_t istate = 0;

    for (int i = 0; i < 6; i++) {
        save_seg(env, i, &env->segs[i]);
    }
    save_seg(env, 6, &env->ldt);
    save_seg(env, 7, &env->tr);
    /* a loaded TSS is busy, which the cached type does not show */
    F(GUEST_TR_AR) |= 2;
    F(GUEST_GDTR_BASE) = env->gdt.base;
    F(GUEST_GDTR_LIMIT) = env->gdt.limit & 0xffff;
    F(GUEST_IDTR_BASE) = env->idt.base;
    F(GUEST_IDTR_LIMIT) = env->idt.limit & 0xffff;
    F(GUEST_CR0) = env->cr[0];
    F(GUEST_CR3) = env->cr[3];
    F(GUEST_CR4) = env->cr[4];
    F(GUEST_RSP) = env->regs[R_ESP];
    F(GUEST_RIP) = env->eip;
    F(GUEST_RFLAGS) = cpu_compute_eflags(env);
    F(GUEST_SYSENTER_CS) = env->sysenter_cs;
    F(GUEST_SYSENTER_ESP) = env->sysenter_esp;
    F(GUEST_SYSENTER_EIP) = env->sysenter_eip;
    if (exit_ctls & VMX_VM_EXIT_SAVE_DEBUG_CONTROLS) {
        F(GUEST_DR7) = env->dr[7];
        F(GUEST_DEBUGCTL) = v->debugctl;
    }
    if (exit_ctls & VMX_VM_EXIT_SAVE_IA32_PAT) {
        F(GUEST_PAT) = env->pat;
    }
    if (exit_ctls & VMX_VM_EXIT_SAVE_IA32_EFER) {
        F(GUEST_EFER) = env->efer;
    }
    if (env->efer & MSR_EFER_LMA) {
        F(ENTRY_CTLS) |= VMX_VM_ENTRY_IA32E_MODE;
    } else {
        F(ENTRY_CTLS) &= ~(uint64_t)VMX_VM_ENTRY_IA32E_MODE;
    }
    if (env->hflags & HF_INHIBIT_IRQ_MASK) {
        istate |= v->movss ? ISTATE_MOVSS : ISTATE_STI;
    }
    if (pin_ctls(env) & VMX_PIN_BASED_VIRTUAL_NMIS ? v->virt_nmi_blocked
                                                  : vmx_nmi_blocked(env)) {
        istate |= ISTATE_NMI;
    }
    F(GUEST_INTR_STATE) = istate;
    F(GUEST_ACTIVITY) = v->activity;
    F(GUEST_PENDING_DBG) = v->pending_dbg;
    if (vmx_delivers_virtual(env)) {
        F(INTR_STATUS) = v->svi << 8 | v->rvi;
    }
    v->virtual_intr = false;
    save_pdptes(env);
}

static void host_seg(CPUX86State *env, int seg, int sel, target_ulong base)
{
    SegmentCache *sc = &env->segs[seg];

    sc->selector = sel;
    sc->base = base;
    sc->limit = 0xffffffff;
    sc->flags = sel ? DESC_G_MASK | DESC_B_MASK | DESC_P_MASK | DESC_S_MASK |
                      DESC_W_MASK | DESC_A_MASK : 0;
}

/* Returns the 1-based number of the entry that failed, or 0. */
uint32_t vmx_load_msr_list(CPUX86State *env, hwaddr addr, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        uint64_t e[2], val;
        uint32_t msr;

        if (address_space_read(env_cpu(env)->as, addr + i * 16,
                               MEMTXATTRS_UNSPECIFIED, e, 16) != MEMTX_OK) {
            return i + 1;
        }
        msr = le64_to_cpu(e[0]);
        val = le64_to_cpu(e[1]);
        if ((le64_to_cpu(e[0]) >> 32) ||
            msr == MSR_FSBASE || msr == MSR_GSBASE ||
            (msr >= 0x800 && msr <= 0x8ff) || i >= 512 ||
            !cpu_x86_msr_access(env, true, msr, &val)) {
            return i + 1;
        }
    }
    return 0;
}

static bool store_msr_list(CPUX86State *env, hwaddr addr, uint32_t count)
{
    CPUState *cs = env_cpu(env);

    for (uint32_t i = 0; i < count; i++) {
        uint32_t msr = x86_ldl_phys(cs, addr + i * 16);
        uint64_t val = 0;

        if (x86_ldl_phys(cs, addr + i * 16 + 4) || i >= 512 ||
            (msr >= 0x800 && msr <= 0x8ff) ||
            !cpu_x86_msr_access(env, false, msr, &val)) {
            return false;
        }
        x86_stq_phys(cs, addr + i * 16 + 8, val);
    }
    return true;
}

/* A VMX abort shuts the logical processor down; report it as that. */
static void vmx_abort(CPUX86State *env, uint32_t code)
{
    qemu_log_mask(LOG_GUEST_ERROR, "VMX abort %u\n", code);
    x86_stl_phys(env_cpu(env), env->vmx.vmcs_ptr + 4, code);
    env_cpu(env)->halted = 1;
}

void vmx_load_host_state(CPUX86State *env)
{
    VMXState *v = &env->vmx;
    CPUState *cs = env_cpu(env);
    uint32_t exit_ctls = F(EXIT_CTLS);
    bool host64 = exit_ctls & VMX_VM_EXIT_HOST_ADDR_SPACE_SIZE;
    uint64_t efer = env->efer, cr4;

    v->guest = false;
    v->ept = false;
    v->inject = false;
    v->mtf = false;
    v->in_delivery = false;
    v->pending_dbg = 0;
    v->activity = ACT_ACTIVE;
    env->hflags &= ~(HF_GUEST_MASK | HF_INHIBIT_IRQ_MASK);
    env->hflags2 &= ~HF2_NPT_MASK;
    env->tsc_offset = 0;
    env->intercept = 0;
    env->intercept_exceptions = 0;
    env->old_exception = -1;

    if (exit_ctls & VMX_VM_EXIT_LOAD_IA32_EFER) {
        efer = F(HOST_EFER);
    }
    efer &= ~(uint64_t)(MSR_EFER_LMA | MSR_EFER_LME);
    if (host64) {
        efer |= MSR_EFER_LMA | MSR_EFER_LME;
    }
    /* bits that VM exit does not change */
    cr4 = F(HOST_CR4) | CR4_VMXE_MASK;
    if (host64) {
        cr4 |= CR4_PAE_MASK;
    } else {
        cr4 &= ~(uint64_t)CR4_PCIDE_MASK;
    }
    env->efer = 0;
    cpu_x86_update_cr0(env, (F(HOST_CR0) & ~(uint64_t)(CR0_ET_MASK |
                             CR0_NW_MASK | CR0_CD_MASK)) |
                            (env->cr[0] & (CR0_NW_MASK | CR0_CD_MASK)) |
                            vmx_cr0_fixed0());
    cpu_x86_update_cr4(env, cr4);
    env->cr[3] = F(HOST_CR3);
    cpu_load_efer(env, efer);
    cpu_x86_update_dr7(env, DR7_FIXED_1);
    v->debugctl = 0;
    env->sysenter_cs = F(HOST_SYSENTER_CS);
    env->sysenter_esp = F(HOST_SYSENTER_ESP);
    env->sysenter_eip = F(HOST_SYSENTER_EIP);
    if (exit_ctls & VMX_VM_EXIT_LOAD_IA32_PAT) {
        env->pat = F(HOST_PAT);
    }

    host_seg(env, R_ES, F(HOST_ES_SEL), 0);
    host_seg(env, R_SS, F(HOST_SS_SEL), 0);
    host_seg(env, R_DS, F(HOST_DS_SEL), 0);
    host_seg(env, R_FS, F(HOST_FS_SEL), F(HOST_FS_BASE));
    host_seg(env, R_GS, F(HOST_GS_SEL), F(HOST_GS_BASE));
    env->segs[R_CS].selector = F(HOST_CS_SEL);
    env->segs[R_CS].base = 0;
    env->segs[R_CS].limit = 0xffffffff;
    env->segs[R_CS].flags = DESC_G_MASK | DESC_P_MASK | DESC_S_MASK |
                            DESC_CS_MASK | DESC_R_MASK | DESC_A_MASK |
                            (host64 ? DESC_L_MASK : DESC_B_MASK);
    memset(&env->ldt, 0, sizeof(env->ldt));
    env->tr.selector = F(HOST_TR_SEL);
    env->tr.base = F(HOST_TR_BASE);
    env->tr.limit = 0x67;
    env->tr.flags = DESC_P_MASK | (9 << DESC_TYPE_SHIFT);
    env->gdt.base = F(HOST_GDTR_BASE);
    env->gdt.limit = 0xffff;
    env->idt.base = F(HOST_IDTR_BASE);
    env->idt.limit = 0xffff;

    env->eip = F(HOST_RIP);
    env->regs[R_ESP] = F(HOST_RSP);
    env->eflags = 0;
    cpu_load_eflags(env, 2, ~0);
    x86_update_hflags(env);
    env->hflags &= ~(HF_TF_MASK | HF_VM_MASK | HF_IOPL_MASK);
    tlb_flush(cs);

    if (vmx_load_msr_list(env, F(EXIT_MSR_LOAD_ADDR), F(EXIT_MSR_LOAD_COUNT))) {
        vmx_abort(env, VMX_ABORT_MSR);
    }
}

/* Called from the main loop, with the iothread lock held. */
void vmx_do_vmexit(CPUX86State *env)
{
    CPUState *cs = env_cpu(env);
    bool nmi = F(EXIT_REASON) == XR_EXCEPTION_NMI &&
               ((F(EXIT_INTR_INFO) >> 8) & 7) == IT_NMI;

    qemu_log_mask(CPU_LOG_INT, "vmx exit: reason %" PRIu64 " qual %" PRIx64
                  " rip " TARGET_FMT_lx "\n", F(EXIT_REASON), F(EXIT_QUAL),
                  env->eip);
    vmx_preempt_timer_stop(env);
    save_guest_state(env);
    F(ENTRY_INTR_INFO) &= ~(uint64_t)INTR_VALID;
    cs->interrupt_request &= ~CPU_INTERRUPT_VIRQ;
    /* the lists are in the time domain of the host */
    env->tsc_offset = 0;
    if (!store_msr_list(env, F(EXIT_MSR_STORE_ADDR),
                        F(EXIT_MSR_STORE_COUNT))) {
        vmx_abort(env, 1);
    }
    vmx_load_host_state(env);
    if (nmi) {
        env->hflags2 |= HF2_NMI_MASK;
    }
}
