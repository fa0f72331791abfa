/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Intel VMX emulation for TCG: what its files share.
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
 *
 * Overview
 *
 * - The current VMCS is cached in env->vmx.f[]; the copy in guest memory is
 *   read by VMPTRLD and written by VMCLEAR, VMXOFF and by VMPTRLD of another
 *   VMCS.  Its layout is private: an array of 64-bit values, see VMX_FIELDS.
 * - VMX non-root operation sets HF_GUEST_MASK, so that the translator emits
 *   the intercept checks which SVM already needed.  The entry points of
 *   svm_helper.c hand over to vmx_intercept.c while env->vmx.guest is set.
 * - Instruction length, operands and the "VM-exit instruction information"
 *   are obtained by decoding the instruction again at the time of the exit,
 *   which keeps the translator free of VMX details.
 * - EPT uses MMU_NESTED_IDX, as nested paging does.  All TLBs are flushed by
 *   VM entry, VM exit, INVEPT and INVVPID.
 */

#ifndef I386_VMX_INTERNAL_H
#define I386_VMX_INTERNAL_H

#include "qemu/log.h"
#include "qemu/main-loop.h"
#include "qemu/timer.h"
#include "cpu.h"
#include "exec/helper-proto.h"
#include "exec/exec-all.h"
#include "exec/cpu_ldst.h"
#include "hw/i386/apic_internal.h"
#include "tcg/helper-tcg.h"
#include "strict-tlb.h"

#define VMX_REVISION    0x51564d58u     /* "QVMX" */
#define VMCS_HEADER     16
#define VMX_ABORT_MSR   4
#define VMX_TIMER_SHIFT 5

/* Exit reasons */
enum {
    XR_EXCEPTION_NMI = 0,
    XR_EXTERNAL_INT = 1,
    XR_TRIPLE_FAULT = 2,
    XR_INIT = 3,
    XR_SIPI = 4,
    XR_INT_WINDOW = 7,
    XR_NMI_WINDOW = 8,
    XR_TASK_SWITCH = 9,
    XR_CPUID = 10,
    XR_GETSEC = 11,
    XR_HLT = 12,
    XR_INVD = 13,
    XR_INVLPG = 14,
    XR_RDPMC = 15,
    XR_RDTSC = 16,
    XR_VMCALL = 18,
    XR_VMCLEAR = 19,
    XR_VMLAUNCH = 20,
    XR_VMPTRLD = 21,
    XR_VMPTRST = 22,
    XR_VMREAD = 23,
    XR_VMRESUME = 24,
    XR_VMWRITE = 25,
    XR_VMXOFF = 26,
    XR_VMXON = 27,
    XR_CR_ACCESS = 28,
    XR_DR_ACCESS = 29,
    XR_IO = 30,
    XR_RDMSR = 31,
    XR_WRMSR = 32,
    XR_ENTRY_GUEST_STATE = 33,
    XR_ENTRY_MSR_LOAD = 34,
    XR_MWAIT = 36,
    XR_MTF = 37,
    XR_MONITOR = 39,
    XR_PAUSE = 40,
    XR_TPR_BELOW = 43,
    XR_EOI = 45,
    XR_GDTR_IDTR = 46,
    XR_LDTR_TR = 47,
    XR_EPT_VIOLATION = 48,
    XR_EPT_MISCONFIG = 49,
    XR_INVEPT = 50,
    XR_RDTSCP = 51,
    XR_PREEMPTION_TIMER = 52,
    XR_INVVPID = 53,
    XR_WBINVD = 54,
    XR_XSETBV = 55,
    XR_APIC_WRITE = 56,
    XR_RDRAND = 57,
};

/* VM-instruction errors */
enum {
    VE_VMCALL_ROOT = 1,
    VE_VMCLEAR_ADDR = 2,
    VE_VMCLEAR_VMXON = 3,
    VE_VMLAUNCH_NOT_CLEAR = 4,
    VE_VMRESUME_NOT_LAUNCHED = 5,
    VE_ENTRY_CONTROLS = 7,
    VE_ENTRY_HOST_STATE = 8,
    VE_VMPTRLD_ADDR = 9,
    VE_VMPTRLD_VMXON = 10,
    VE_VMPTRLD_REVISION = 11,
    VE_UNSUPPORTED_FIELD = 12,
    VE_READONLY_FIELD = 13,
    VE_VMXON_IN_ROOT = 15,
    VE_ENTRY_MOVSS = 26,
    VE_INVEPT_OPERAND = 28,
};

#define INTR_VALID          (1u << 31)
#define INTR_ERR_VALID      (1u << 11)
#define INTR_TYPE(t)        ((t) << 8)
enum { IT_EXT = 0, IT_NMI = 2, IT_HWEXC = 3, IT_SOFT = 4, IT_PRIV = 5,
       IT_SWEXC = 6, IT_OTHER = 7 };

#define ISTATE_STI      1
#define ISTATE_MOVSS    2
#define ISTATE_SMI      4
#define ISTATE_NMI      8

enum { ACT_ACTIVE, ACT_HLT, ACT_SHUTDOWN, ACT_WAIT_SIPI };

#define AR_UNUSABLE     0x10000

#define F(name)     (env->vmx.f[VF_##name])

static inline uint32_t pin_ctls(CPUX86State *env)
{
    return F(PIN_CTLS);
}

static inline uint32_t proc_ctls(CPUX86State *env)
{
    return F(PROC_CTLS);
}

static inline uint32_t proc2_ctls(CPUX86State *env)
{
    return F(PROC_CTLS) & VMX_CPU_BASED_ACTIVATE_SECONDARY_CONTROLS
           ? F(PROC2_CTLS) : 0;
}

typedef struct VMXInsn {
    target_ulong eip;
    uint8_t len;
    uint8_t map;            /* 0: one byte, 1: 0F, 2: 0F 38 */
    uint8_t op;
    uint8_t modrm, mod, reg, rm;
    uint8_t rex;
    bool rep, repne, data16, has_mem;
    int asize, osize;       /* 0: 16 bits, 1: 32 bits, 2: 64 bits */
    int seg, base, index, scale;
    bool rip_rel;
    int64_t disp;
    uint64_t imm;
    target_ulong ea;        /* linear address of the memory operand */
} VMXInsn;

/* vmx_caps.c */
bool vmx_has_true_ctls(CPUX86State *env);
uint64_t vmx_cr0_fixed0(void);
uint64_t vmx_caps(CPUX86State *env, uint32_t msr);

/* vmx_decode.c */
target_ulong vmx_asize_mask(int asize, target_ulong v);
void vmx_decode_at(CPUX86State *env, VMXInsn *d, target_ulong eip);
void vmx_decode(CPUX86State *env, VMXInsn *d, uintptr_t ra);
uint32_t vmx_insn_info(const VMXInsn *d);

/* vmx_exit.c */
G_NORETURN void vmx_exit_now(CPUX86State *env, uint32_t reason, uint64_t qual);
void vmx_exit_prepare(CPUX86State *env, uintptr_t ra);
G_NORETURN void vmx_exit(CPUX86State *env, uint32_t reason, uint64_t qual,
                         uintptr_t ra);
G_NORETURN void vmx_exit_insn(CPUX86State *env, uint32_t reason, uint64_t qual,
                              uint32_t info, const VMXInsn *d, uintptr_t ra);
G_NORETURN void vmx_exit_simple(CPUX86State *env, uint32_t reason,
                                uintptr_t ra);
void vmx_advance_insn(CPUX86State *env, const VMXInsn *d);
G_NORETURN void vmx_exit_exception(CPUX86State *env, uint32_t info,
                                   uint32_t error, uint64_t qual, int len,
                                   uintptr_t ra);
void vmx_check_softint(CPUX86State *env, uintptr_t ra);
G_NORETURN void vmx_exit_external(CPUX86State *env);

/* vmx_intercept.c */
uint64_t vmx_guest_cr0_fixed0(CPUX86State *env);
uint64_t vmx_pdpte_rsvd(CPUX86State *env);

/* vmx_apic.c */
bool vmx_delivers_virtual(CPUX86State *env);
void vmx_vapic_update_ppr(CPUX86State *env);
void vmx_vapic_evaluate(CPUX86State *env);
void vmx_deliver_virtual(CPUX86State *env);
void vmx_take_posted(CPUX86State *env);
bool vmx_tpr_written(CPUX86State *env);
void vmx_virtual_msr(CPUX86State *env, bool write, uintptr_t ra);

/* vmx_ept.c */
uint64_t *vmx_ept_entry_host(CPUX86State *env, hwaddr pa);
void vmx_guest_drops_vpid(CPUX86State *env);

/* vmx_event.c */
bool vmx_movss_shadow(CPUX86State *env);
bool vmx_nmi_blocked(CPUX86State *env);
void vmx_preempt_timer_start(CPUX86State *env);
void vmx_preempt_timer_stop(CPUX86State *env);

/* vmx_state.c */
void vmx_load_seg(CPUX86State *env, int n, SegmentCache *sc);
uint32_t vmx_load_msr_list(CPUX86State *env, hwaddr addr, uint32_t count);
void vmx_load_host_state(CPUX86State *env);

/* vmx_check.c */
bool vmx_canonical(CPUX86State *env, uint64_t addr);
bool vmx_phys_ok(CPUX86State *env, uint64_t addr, uint64_t align);
bool vmx_eptp_ok(CPUX86State *env, uint64_t eptp);
bool vmx_controls_ok(CPUX86State *env);
bool vmx_host_state_ok(CPUX86State *env);
bool vmx_guest_state_ok(CPUX86State *env, uint64_t *qual);

/* vmx_entry.c */
void vmx_succeed(CPUX86State *env);
void vmx_fail_invalid(CPUX86State *env);
void vmx_fail(CPUX86State *env, int error);
void vmx_entry(CPUX86State *env, bool launch, const VMXInsn *d);

#endif /* I386_VMX_INTERNAL_H */
