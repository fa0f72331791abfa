/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Intel VMX emulation for TCG: local APICs that the processor keeps for guests
 * in x2APIC mode, virtual interrupts and posted ones (SDM chapter 30).  All or
 * nothing of this is used together with the TPR shadow, and APIC accesses in
 * memory are not virtualised.
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

#define VAPIC_TPR       0x80
#define VAPIC_PPR       0xa0
#define VAPIC_ISR       0x100
#define VAPIC_IRR       0x200
#define VAPIC_SELF_IPI  0x3f0

bool vmx_delivers_virtual(CPUX86State *env)
{
    return proc2_ctls(env) & VMX_SECONDARY_EXEC_VIRTUAL_INTR_DELIVERY;
}

static uint32_t vapic_read(CPUX86State *env, unsigned reg)
{
    return x86_ldl_phys(env_cpu(env), F(VIRT_APIC_ADDR) + reg);
}

static void vapic_write(CPUX86State *env, unsigned reg, uint32_t val)
{
    x86_stl_phys(env_cpu(env), F(VIRT_APIC_ADDR) + reg, val);
}

static void vapic_set(CPUX86State *env, unsigned base, unsigned vec, bool val)
{
    unsigned reg = base + vec / 32 * 16;

    vapic_write(env, reg, deposit32(vapic_read(env, reg), vec % 32, 1, val));
}

static uint8_t vapic_highest(CPUX86State *env, unsigned base)
{
    for (int i = 7; i >= 0; i--) {
        uint32_t bits = vapic_read(env, base + i * 16);

        if (bits) {
            return i * 32 + 31 - clz32(bits);
        }
    }
    return 0;
}

/* 30.1.3 */
void vmx_vapic_update_ppr(CPUX86State *env)
{
    uint8_t tpr = vapic_read(env, VAPIC_TPR), svi = env->vmx.svi;

    vapic_write(env, VAPIC_PPR, tpr >> 4 >= svi >> 4 ? tpr : svi & 0xf0);
}

/* 30.2.1 */
void vmx_vapic_evaluate(CPUX86State *env)
{
    bool locked = qemu_mutex_iothread_locked();

    env->vmx.virtual_intr =
        !(proc_ctls(env) & VMX_CPU_BASED_VIRTUAL_INTR_PENDING) &&
        env->vmx.rvi >> 4 > (vapic_read(env, VAPIC_PPR) & 0xff) >> 4;
    if (!env->vmx.virtual_intr) {
        return;
    }
    if (!locked) {
        qemu_mutex_lock_iothread();
    }
    env_cpu(env)->interrupt_request |= CPU_INTERRUPT_VIRQ;
    if (!locked) {
        qemu_mutex_unlock_iothread();
    }
}

static void vapic_request(CPUX86State *env, unsigned vec)
{
    vapic_set(env, VAPIC_IRR, vec, true);
    env->vmx.rvi = MAX(env->vmx.rvi, vec);
}

/* 30.2.2 */
void vmx_deliver_virtual(CPUX86State *env)
{
    VMXState *v = &env->vmx;
    uint8_t vec = v->rvi;

    vapic_set(env, VAPIC_ISR, vec, true);
    v->svi = vec;
    vapic_write(env, VAPIC_PPR, vec & 0xf0);
    vapic_set(env, VAPIC_IRR, vec, false);
    v->rvi = vapic_highest(env, VAPIC_IRR);
    v->virtual_intr = false;
    qemu_log_mask(CPU_LOG_INT, "vmx virtual interrupt %x\n", vec);
    do_interrupt_all(env_archcpu(env), vec, 0, 0, 0, 1);
}

/* 30.6; the vector has been taken from the APIC */
void vmx_take_posted(CPUX86State *env)
{
    CPUState *cs = env_cpu(env);
    APICCommonState *apic = APIC_COMMON(env_archcpu(env)->apic_state);
    uint64_t *pid = vmx_ept_entry_host(env, F(POSTED_DESC_ADDR));

    if (pid) {
        qatomic_and(&pid[4], ~1ull);
    }
    x86_stl_phys(cs, (apic->apicbase & MSR_IA32_APICBASE_BASE) + 0xb0, 0);
    for (int i = 0; pid && i < 4; i++) {
        uint64_t bits = qatomic_xchg(&pid[i], 0);

        for (; bits; bits &= bits - 1) {
            vapic_request(env, i * 64 + ctz64(bits));
        }
    }
    vmx_vapic_evaluate(env);
}

/* 30.1.2: true if an exit follows the instruction */
bool vmx_tpr_written(CPUX86State *env)
{
    if (!vmx_delivers_virtual(env)) {
        return vapic_read(env, VAPIC_TPR) >> 4 < (F(TPR_THRESHOLD) & 15);
    }
    vmx_vapic_update_ppr(env);
    vmx_vapic_evaluate(env);
    return false;
}

/* 30.1.4: true if an exit follows, with the vector */
static bool eoi_written(CPUX86State *env, uint8_t *vec)
{
    VMXState *v = &env->vmx;

    *vec = v->svi;
    vapic_set(env, VAPIC_ISR, *vec, false);
    v->svi = vapic_highest(env, VAPIC_ISR);
    vmx_vapic_update_ppr(env);
    if (v->f[VF_EOI_EXIT0 + *vec / 64] >> (*vec % 64) & 1) {
        return true;
    }
    vmx_vapic_evaluate(env);
    return false;
}

/*
 * 30.5: RDMSR and WRMSR that do not exit by the bitmap. Does not return if
 * the access is virtualised.
 */
void vmx_virtual_msr(CPUX86State *env, bool write, uintptr_t ra)
{
    CPUState *cs = env_cpu(env);
    uint32_t proc2 = proc2_ctls(env), msr = env->regs[R_ECX];
    uint64_t val = (uint32_t)env->regs[R_EAX] |
                   (uint64_t)(uint32_t)env->regs[R_EDX] << 32;
    uint32_t reason = 0, qual = 0;
    uint8_t vec;
    VMXInsn d;

    if (!(proc2 & VMX_SECONDARY_EXEC_VIRTUALIZE_X2APIC_MODE) ||
        msr < 0x800 || msr > 0x8ff) {
        return;
    }
    if (!write && msr != 0x808 &&
        !(proc2 & VMX_SECONDARY_EXEC_APIC_REGISTER_VIRT)) {
        return;
    }
    if (write && msr != 0x808 &&
        (!vmx_delivers_virtual(env) || (msr != 0x80b && msr != 0x83f))) {
        return;
    }
    if (write && (msr == 0x80b ? val : val >> 8)) {
        raise_exception_err_ra(env, EXCP0D_GPF, 0, ra);
    }
    vmx_decode(env, &d, ra);
    cpu_restore_state(cs, ra);
    vmx_advance_insn(env, &d);
    if (!write) {
        hwaddr reg = F(VIRT_APIC_ADDR) + (msr & 0xff) * 16;

        env->regs[R_EAX] = x86_ldl_phys(cs, reg);
        env->regs[R_EDX] = x86_ldl_phys(cs, reg + 4);
    } else if (msr == 0x808) {
        vapic_write(env, VAPIC_TPR, val);
        vapic_write(env, VAPIC_TPR + 4, 0);
        if (vmx_tpr_written(env)) {
            reason = XR_TPR_BELOW;
        }
    } else if (msr == 0x80b) {
        if (eoi_written(env, &vec)) {
            reason = XR_EOI;
            qual = vec;
        }
    } else if (val < 16) {
        vapic_write(env, VAPIC_SELF_IPI, val);
        reason = XR_APIC_WRITE;
        qual = VAPIC_SELF_IPI;
    } else {
        vapic_request(env, val);
        vmx_vapic_evaluate(env);
    }
    if (reason) {
        vmx_exit_prepare(env, 0);
        vmx_exit_now(env, reason, qual);
    }
    cs->exception_index = -1;
    cpu_loop_exit(cs);
}
