/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Intel VMX emulation for TCG: VM entry after its checks, and how it and the
 * other VMX instructions succeed or fail.
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

static void load_guest_state(CPUX86State *env)
{
    VMXState *v = &env->vmx;
    uint32_t entry = F(ENTRY_CTLS), istate = F(GUEST_INTR_STATE);
    uint32_t pin = pin_ctls(env), proc2 = proc2_ctls(env);
    bool ia32e = entry & VMX_VM_ENTRY_IA32E_MODE;
    uint64_t efer = env->efer;

    v->guest = true;
    env->hflags |= HF_GUEST_MASK;
    v->ept = proc2 & VMX_SECONDARY_EXEC_ENABLE_EPT;
    if (v->ept) {
        v->eptp = F(EPTP);
        v->ept_ad = v->eptp & 64;
        env->hflags2 |= HF2_NPT_MASK;
    } else {
        v->ept_ad = false;
    }
    env->intercept = 0;
    env->intercept_exceptions = 0;
    env->tsc_offset = proc_ctls(env) & VMX_CPU_BASED_USE_TSC_OFFSETING
                      ? F(TSC_OFFSET) : 0;

    if (entry & VMX_VM_ENTRY_LOAD_IA32_EFER) {
        efer = F(GUEST_EFER);
    } else {
        efer &= ~(uint64_t)MSR_EFER_LMA;
        if (ia32e) {
            efer |= MSR_EFER_LMA;
        }
        if (F(GUEST_CR0) & CR0_PG_MASK) {
            efer &= ~(uint64_t)MSR_EFER_LME;
            if (ia32e) {
                efer |= MSR_EFER_LME;
            }
        }
    }
    env->efer = 0;
    /* CD, NW and ET are not changed by VM entry */
    cpu_x86_update_cr0(env, (F(GUEST_CR0) & ~(uint64_t)(CR0_NW_MASK |
                                                        CR0_CD_MASK)) |
                            (env->cr[0] & (CR0_NW_MASK | CR0_CD_MASK)));
    cpu_x86_update_cr4(env, F(GUEST_CR4));
    env->cr[3] = F(GUEST_CR3);
    cpu_load_efer(env, efer);
    if (entry & VMX_VM_ENTRY_LOAD_DEBUG_CONTROLS) {
        cpu_x86_update_dr7(env, F(GUEST_DR7));
        v->debugctl = F(GUEST_DEBUGCTL);
    }
    if (entry & VMX_VM_ENTRY_LOAD_IA32_PAT) {
        env->pat = F(GUEST_PAT);
    }
    env->sysenter_cs = F(GUEST_SYSENTER_CS);
    env->sysenter_esp = F(GUEST_SYSENTER_ESP);
    env->sysenter_eip = F(GUEST_SYSENTER_EIP);

    for (int i = 0; i < 6; i++) {
        vmx_load_seg(env, i, &env->segs[i]);
    }
    vmx_load_seg(env, 6, &env->ldt);
    vmx_load_seg(env, 7, &env->tr);
    env->tr.flags &= ~DESC_TSS_BUSY_MASK;
    env->gdt.base = F(GUEST_GDTR_BASE);
    env->gdt.limit = F(GUEST_GDTR_LIMIT);
    env->idt.base = F(GUEST_IDTR_BASE);
    env->idt.limit = F(GUEST_IDTR_LIMIT);
    env->regs[R_ESP] = F(GUEST_RSP);
    env->eip = F(GUEST_RIP);
    env->eflags = 0;
    cpu_load_eflags(env, F(GUEST_RFLAGS),
                    ~(CC_O | CC_S | CC_Z | CC_A | CC_P | CC_C | DF_MASK));
    x86_update_hflags(env);
    env->hflags &= ~(HF_TF_MASK | HF_VM_MASK | HF_IOPL_MASK);

    env->hflags &= ~HF_INHIBIT_IRQ_MASK;
    if (istate & (ISTATE_STI | ISTATE_MOVSS)) {
        env->hflags |= HF_INHIBIT_IRQ_MASK;
        v->movss = !!(istate & ISTATE_MOVSS);
    }
    v->virt_nmi_blocked = false;
    if (pin & VMX_PIN_BASED_NMI_EXITING) {
        env->hflags2 &= ~HF2_NMI_MASK;
    }
    if (pin & VMX_PIN_BASED_VIRTUAL_NMIS) {
        v->virt_nmi_blocked = istate & ISTATE_NMI;
    } else if (istate & ISTATE_NMI) {
        env->hflags2 |= HF2_NMI_MASK;
    } else {
        env->hflags2 &= ~HF2_NMI_MASK;
    }
    v->activity = F(GUEST_ACTIVITY);
    v->in_delivery = false;
    v->inject = false;
    v->pending_dbg = 0;
    v->mtf = false;
    v->timer_on = false;
    v->timer_expired = false;
    v->virtual_intr = false;
    tlb_flush(env_cpu(env));
}

static G_NORETURN void entry_failed(CPUX86State *env, uint32_t reason,
                                    uint64_t qual)
{
    CPUState *cs = env_cpu(env);

    F(EXIT_REASON) = reason | (1u << 31);
    F(EXIT_QUAL) = qual;
    F(EXIT_INTR_INFO) = 0;
    F(IDT_VEC_INFO) = 0;
    vmx_load_host_state(env);
    cs->exception_index = -1;
    cpu_loop_exit(cs);
}

/* Flags of VMsucceed, VMfailInvalid and VMfailValid */
void vmx_succeed(CPUX86State *env)
{
    CC_SRC = 0;
    CC_OP = CC_OP_EFLAGS;
}

void vmx_fail_invalid(CPUX86State *env)
{
    CC_SRC = CC_C;
    CC_OP = CC_OP_EFLAGS;
}

void vmx_fail(CPUX86State *env, int error)
{
    if (!env->vmx.have_vmcs) {
        vmx_fail_invalid(env);
        return;
    }
    F(INSN_ERROR) = error;
    CC_SRC = CC_Z;
    CC_OP = CC_OP_EFLAGS;
}

void vmx_entry(CPUX86State *env, bool launch, const VMXInsn *d)
{
    CPUState *cs = env_cpu(env);
    VMXState *v = &env->vmx;
    uint32_t proc, info;
    uint64_t qual, dbg;
    uint32_t n;

    if (!v->have_vmcs) {
        vmx_fail_invalid(env);
        return;
    }
    if (vmx_movss_shadow(env)) {
        vmx_fail(env, VE_ENTRY_MOVSS);
        return;
    }
    if (launch && v->launch_state) {
        vmx_fail(env, VE_VMLAUNCH_NOT_CLEAR);
        return;
    }
    if (!launch && !v->launch_state) {
        vmx_fail(env, VE_VMRESUME_NOT_LAUNCHED);
        return;
    }
    if (!vmx_controls_ok(env)) {
        vmx_fail(env, VE_ENTRY_CONTROLS);
        return;
    }
    if (!vmx_host_state_ok(env)) {
        vmx_fail(env, VE_ENTRY_HOST_STATE);
        return;
    }
    if (!vmx_guest_state_ok(env, &qual)) {
        entry_failed(env, XR_ENTRY_GUEST_STATE, qual);
    }
    load_guest_state(env);
    n = vmx_load_msr_list(env, F(ENTRY_MSR_LOAD_ADDR), F(ENTRY_MSR_LOAD_COUNT));
    if (n) {
        entry_failed(env, XR_ENTRY_MSR_LOAD, n);
    }
    v->launch_state = 1;

    info = F(ENTRY_INTR_INFO);
    dbg = F(GUEST_PENDING_DBG);
    cs->exception_index = -1;
    env->old_exception = -1;
    proc = proc_ctls(env);
    v->mtf = proc & VMX_CPU_BASED_MONITOR_TRAP_FLAG;
    if ((info & INTR_VALID) && ((info >> 8) & 7) == IT_OTHER) {
        v->mtf = true;
    } else if (info & INTR_VALID) {
        v->inject = true;
        v->ev_info = info;
        v->ev_error = info & INTR_ERR_VALID ? F(ENTRY_EXC_ERROR) : 0;
        v->ev_len = 0;
        if (((info >> 8) & 7) >= IT_SOFT) {
            v->ev_len = F(ENTRY_INSN_LEN);
        }
        cs->exception_index = EXCP_VMX_INJECT;
    } else {
        if ((dbg & DR6_BS) || ((dbg & 0x1000) && (dbg & 0xf))) {
            v->pending_dbg = dbg & (DR6_BS | 0xf);
        }
        if (v->activity != ACT_ACTIVE) {
            cs->halted = 1;
            cs->exception_index = EXCP_HLT;
        } else if (v->mtf) {
            /* one instruction, and no interrupts before it */
            cs->cflags_next_tb = curr_cflags(cs) | 1 | CF_NOIRQ | CF_LAST_IO |
                                 CF_NO_GOTO_TB | CF_NO_GOTO_PTR;
        }
    }
    if (pin_ctls(env) & VMX_PIN_BASED_VMX_PREEMPTION_TIMER) {
        vmx_preempt_timer_start(env);
    }
    if (vmx_delivers_virtual(env)) {
        v->rvi = F(INTR_STATUS);
        v->svi = F(INTR_STATUS) >> 8;
        vmx_vapic_update_ppr(env);
        vmx_vapic_evaluate(env);
    }
    if (v->pending_dbg || v->mtf || v->timer_expired ||
        (proc & (VMX_CPU_BASED_VIRTUAL_INTR_PENDING |
                 VMX_CPU_BASED_VIRTUAL_NMI_PENDING))) {
        qemu_mutex_lock_iothread();
        cs->interrupt_request |= CPU_INTERRUPT_VIRQ;
        qemu_mutex_unlock_iothread();
    }
    qemu_log_mask(CPU_LOG_INT, "vmx entry: rip " TARGET_FMT_lx
                  " inject %x\n", env->eip, info);
    cpu_loop_exit(cs);
}
