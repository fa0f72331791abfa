/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Intel VMX emulation for TCG: how an exit begins, with what the VMCS says of
 * it, and the exits that exceptions, task switches and interrupts cause.  What
 * an exit saves and loads is in vmx_state.c.
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

G_NORETURN void vmx_exit_now(CPUX86State *env, uint32_t reason,
                             uint64_t qual)
{
    CPUState *cs = env_cpu(env);

    F(EXIT_REASON) = reason;
    F(EXIT_QUAL) = qual;
    env->old_exception = -1;
    cs->exception_index = EXCP_VMEXIT;
    cpu_loop_exit(cs);
}

void vmx_exit_prepare(CPUX86State *env, uintptr_t ra)
{
    cpu_restore_state(env_cpu(env), ra);
    F(EXIT_INTR_INFO) = 0;
    F(EXIT_INTR_ERROR) = 0;
    F(EXIT_INSN_LEN) = 0;
    F(EXIT_INSN_INFO) = 0;
    if (env->vmx.in_delivery) {
        F(IDT_VEC_INFO) = env->vmx.ev_info;
        F(IDT_VEC_ERROR) = env->vmx.ev_error;
        F(EXIT_INSN_LEN) = env->vmx.ev_len;
        env->vmx.in_delivery = false;
    } else {
        F(IDT_VEC_INFO) = 0;
        F(IDT_VEC_ERROR) = 0;
    }
}

G_NORETURN void vmx_exit(CPUX86State *env, uint32_t reason,
                         uint64_t qual, uintptr_t ra)
{
    vmx_exit_prepare(env, ra);
    vmx_exit_now(env, reason, qual);
}

G_NORETURN void vmx_exit_insn(CPUX86State *env, uint32_t reason,
                              uint64_t qual, uint32_t info,
                              const VMXInsn *d, uintptr_t ra)
{
    vmx_exit_prepare(env, ra);
    env->eip = d->eip;
    F(EXIT_INSN_LEN) = d->len;
    F(EXIT_INSN_INFO) = info;
    vmx_exit_now(env, reason, qual);
}

G_NORETURN void vmx_exit_simple(CPUX86State *env, uint32_t reason,
                                uintptr_t ra)
{
    VMXInsn d;

    vmx_decode(env, &d, ra);
    vmx_exit_insn(env, reason, 0, 0, &d, ra);
}

void vmx_advance_insn(CPUX86State *env, const VMXInsn *d)
{
    env->eip = d->eip + d->len;
    if (!(env->hflags & HF_CS64_MASK)) {
        env->eip = (uint32_t)env->eip;
    }
    env->hflags &= ~HF_INHIBIT_IRQ_MASK;
    env->eflags &= ~RF_MASK;
}

/* Intercepts that do not come from instructions */

G_NORETURN void vmx_exit_exception(CPUX86State *env, uint32_t info,
                                   uint32_t error, uint64_t qual,
                                   int len, uintptr_t ra)
{
    vmx_exit_prepare(env, ra);
    F(EXIT_INTR_INFO) = info | INTR_VALID;
    F(EXIT_INTR_ERROR) = error;
    if (len) {
        F(EXIT_INSN_LEN) = len;
    }
    vmx_exit_now(env, XR_EXCEPTION_NMI, qual);
}

static bool exception_exits(CPUX86State *env, int intno, int error_code)
{
    bool bit = F(EXCEPTION_BITMAP) & (1u << intno);

    if (intno == EXCP0E_PAGE) {
        uint32_t mask = F(PF_EC_MASK);
        bool match = (error_code & mask) == (uint32_t)F(PF_EC_MATCH);

        return bit == match;
    }
    return bit;
}

void vmx_check_exception(CPUX86State *env, int intno, int error_code,
                         uintptr_t ra)
{
    uint32_t info;
    uint64_t qual = 0, merged = 0;

    if (intno == EXCP01_DB && env->vmx.mtf && (env->dr[6] & DR6_BS)) {
        /* the exit has priority, the trap remains pending */
        uint64_t bits = env->dr[6] & (0xf | DR6_BS);

        cpu_restore_state(env_cpu(env), ra);
        env->dr[6] = env->vmx.old_dr6;
        env->vmx.pending_dbg |= bits | (bits & 0xf ? 0x1000 : 0);
        vmx_exit(env, XR_MTF, 0, 0);
    }
    if (intno == EXCP01_DB && env->vmx.pending_dbg) {
        env->dr[6] |= env->vmx.pending_dbg & (0xf | DR6_BS);
        merged = env->vmx.pending_dbg & (0xf | DR6_BS);
        env->vmx.pending_dbg = 0;
    }
    if (intno > 31 || !exception_exits(env, intno, error_code)) {
        return;
    }
    info = intno | INTR_TYPE(IT_HWEXC);
    if ((env->cr[0] & CR0_PE_MASK) && exception_has_error_code(intno)) {
        info |= INTR_ERR_VALID;
    } else {
        error_code = 0;
    }
    if (intno == EXCP0E_PAGE) {
        qual = env->vmx.fault_addr;
    } else if (intno == EXCP01_DB) {
        qual = (env->dr[6] & (0xf | DR6_BD | DR6_BS)) | merged;
        env->dr[6] = env->vmx.old_dr6;
    }
    vmx_exit_exception(env, info, error_code, qual, 0, ra);
}

void vmx_check_page_fault(CPUX86State *env, int error_code,
                          target_ulong addr, uintptr_t ra)
{
    env->vmx.fault_addr = addr;
    vmx_check_exception(env, EXCP0E_PAGE, error_code, ra);
}

/* INT3 and INTO are subject to the exception bitmap, INT n is not. */
void vmx_check_softint(CPUX86State *env, uintptr_t ra)
{
    VMXInsn d;
    int vector;

    if (!(F(EXCEPTION_BITMAP) & ((1 << EXCP03_INT3) | (1 << EXCP04_INTO)))) {
        return;
    }
    vmx_decode(env, &d, ra);
    if (d.map == 0 && d.op == 0xcc) {
        vector = EXCP03_INT3;
    } else if (d.map == 0 && d.op == 0xce) {
        vector = EXCP04_INTO;
    } else {
        return;
    }
    if (F(EXCEPTION_BITMAP) & (1 << vector)) {
        vmx_exit_exception(env, vector | INTR_TYPE(IT_SWEXC), 0, 0, d.len, ra);
    }
}

G_NORETURN void helper_vmx_int1(CPUX86State *env, int len)
{
    if (env->vmx.guest && (F(EXCEPTION_BITMAP) & (1 << EXCP01_DB))) {
        vmx_exit_exception(env, EXCP01_DB | INTR_TYPE(IT_PRIV), 0, 0, len,
                           GETPC());
    }
    env->eip += len;
    raise_exception(env, EXCP01_DB);
}

void vmx_check_task_switch(CPUX86State *env, int selector, int source,
                           uintptr_t ra)
{
    /* source: SWITCH_TSS_JMP 0, SWITCH_TSS_IRET 1, SWITCH_TSS_CALL 2 */
    static const uint8_t map[3] = { 2, 1, 0 };
    bool gate = env->vmx.in_delivery;
    uint64_t qual = (selector & 0xffff) |
                    ((uint64_t)(gate ? 3 : map[source]) << 30);
    VMXInsn d;

    if (gate) {
        vmx_exit(env, XR_TASK_SWITCH, qual, ra);
    }
    vmx_decode(env, &d, ra);
    vmx_exit_insn(env, XR_TASK_SWITCH, qual, 0, &d, ra);
}

G_NORETURN void vmx_exit_external(CPUX86State *env)
{
    CPUState *cs = env_cpu(env);
    uint32_t info = 0;

    if (F(EXIT_CTLS) & VMX_VM_EXIT_ACK_INTR_ON_EXIT) {
        int intno;

        cs->interrupt_request &= ~CPU_INTERRUPT_HARD;
        intno = cpu_get_pic_interrupt(env);
        if (intno < 0) {
            cs->exception_index = -1;
            cpu_loop_exit(cs);
        }
        if ((pin_ctls(env) & VMX_PIN_BASED_POSTED_INTR) &&
            intno == F(POSTED_VECTOR)) {
            vmx_take_posted(env);
            cs->exception_index = -1;
            cpu_loop_exit(cs);
        }
        info = intno | INTR_TYPE(IT_EXT) | INTR_VALID;
    }
    vmx_exit_prepare(env, 0);
    F(EXIT_INTR_INFO) = info;
    vmx_exit_now(env, XR_EXTERNAL_INT, 0);
}
