/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Intel VMX emulation for TCG: delivery and injection of events, windows, NMI
 * blocking, the preemption timer, and what a guest's CPU does next when it is
 * interrupted.
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

void vmx_begin_event(CPUX86State *env, int intno, int is_int,
                     int error_code, target_ulong next_eip, int is_hw)
{
    VMXState *v = &env->vmx;
    uint32_t type;

    v->activity = ACT_ACTIVE;
    if (v->inject) {
        v->inject = false;
        v->in_delivery = true;
        return;
    }
    v->ev_error = 0;
    v->ev_len = 0;
    if (is_hw) {
        type = intno == EXCP02_NMI ? IT_NMI : IT_EXT;
    } else if (is_int) {
        type = IT_SOFT;
        v->ev_len = (uint32_t)(next_eip - env->eip);
        if ((intno == EXCP03_INT3 || intno == EXCP04_INTO) && v->ev_len == 1) {
            type = IT_SWEXC;
        }
    } else {
        type = IT_HWEXC;
    }
    v->ev_info = intno | INTR_TYPE(type) | INTR_VALID;
    if (type == IT_HWEXC && (env->cr[0] & CR0_PE_MASK) &&
        exception_has_error_code(intno)) {
        v->ev_info |= INTR_ERR_VALID;
        v->ev_error = error_code;
    }
    v->in_delivery = true;
}

/* Deliver the event that VM entry injects; called from the main loop. */
void vmx_do_inject(CPUX86State *env)
{
    X86CPU *cpu = env_archcpu(env);
    VMXState *v = &env->vmx;
    int vector = v->ev_info & 0xff;
    int type = (v->ev_info >> 8) & 7;

    switch (type) {
    case IT_EXT:
        do_interrupt_all(cpu, vector, 0, 0, 0, 1);
        break;
    case IT_NMI:
        if (pin_ctls(env) & VMX_PIN_BASED_VIRTUAL_NMIS) {
            v->virt_nmi_blocked = true;
        } else {
            env->hflags2 |= HF2_NMI_MASK;
        }
        do_interrupt_all(cpu, vector, 0, 0, 0, 1);
        break;
    case IT_HWEXC:
        if (vector == EXCP00_DIVZ || (vector >= 10 && vector <= 14) ||
            vector == EXCP08_DBLE) {
            env->old_exception = vector;
        }
        do_interrupt_all(cpu, vector, 0, v->ev_error, 0, 0);
        break;
    case IT_PRIV:
        env->eip += v->ev_len;
        do_interrupt_all(cpu, vector, 0, 0, 0, 0);
        break;
    default:
        do_interrupt_all(cpu, vector, 1, 0, env->eip + v->ev_len, 0);
        break;
    }
}

bool vmx_movss_shadow(CPUX86State *env)
{
    return (env->hflags & HF_INHIBIT_IRQ_MASK) && env->vmx.movss;
}

bool vmx_nmi_blocked(CPUX86State *env)
{
    return env->hflags2 & HF2_NMI_MASK;
}

static bool nmi_window_open(CPUX86State *env)
{
    return (proc_ctls(env) & VMX_CPU_BASED_VIRTUAL_NMI_PENDING) &&
           !env->vmx.virt_nmi_blocked &&
           !(env->hflags & HF_INHIBIT_IRQ_MASK);
}

static bool int_window_open(CPUX86State *env)
{
    return (proc_ctls(env) & VMX_CPU_BASED_VIRTUAL_INTR_PENDING) &&
           (env->eflags & IF_MASK) && !(env->hflags & HF_INHIBIT_IRQ_MASK);
}

static bool virtual_intr_open(CPUX86State *env)
{
    return env->vmx.virtual_intr && (env->eflags & IF_MASK) &&
           !(env->hflags & HF_INHIBIT_IRQ_MASK);
}

/*
 * VMX-preemption timer.  The virtual clock and the TSC start together, which
 * gives their ratio.
 */
static void preempt_timer_arm(CPUX86State *env)
{
    int64_t tsc = cpu_get_tsc(env);
    int64_t left = env->vmx.timer_deadline - tsc;
    int64_t now = qemu_clock_get_ns(QEMU_CLOCK_VIRTUAL);
    double ratio = tsc > 0 ? (double)now / tsc : 1;

    timer_mod(env->vmx_timer, now + (int64_t)(MAX(left, 0) * ratio) + 1);
}

static void preempt_timer_cb(void *opaque)
{
    CPUX86State *env = opaque;

    if (!env->vmx.guest || !env->vmx.timer_on) {
        return;
    }
    if ((int64_t)cpu_get_tsc(env) < env->vmx.timer_deadline) {
        preempt_timer_arm(env);
        return;
    }
    env->vmx.timer_expired = true;
    cpu_interrupt(env_cpu(env), CPU_INTERRUPT_VIRQ);
}

void vmx_preempt_timer_start(CPUX86State *env)
{
    uint64_t ticks = F(PREEMPTION_TIMER) << VMX_TIMER_SHIFT;

    env->vmx.timer_on = true;
    env->vmx.timer_deadline = cpu_get_tsc(env) + ticks;
    env->vmx.timer_expired = !ticks;
    if (!ticks) {
        return;
    }
    if (!env->vmx_timer) {
        env->vmx_timer = timer_new_ns(QEMU_CLOCK_VIRTUAL, preempt_timer_cb,
                                      env);
    }
    preempt_timer_arm(env);
}

void vmx_preempt_timer_stop(CPUX86State *env)
{
    if (!env->vmx.timer_on) {
        return;
    }
    env->vmx.timer_on = false;
    if (env->vmx_timer) {
        timer_del(env->vmx_timer);
    }
    if (F(EXIT_CTLS) & VMX_VM_EXIT_SAVE_VMX_PREEMPTION_TIMER) {
        int64_t left = env->vmx.timer_deadline - (int64_t)cpu_get_tsc(env);

        F(PREEMPTION_TIMER) = left > 0 && !env->vmx.timer_expired
                              ? left >> VMX_TIMER_SHIFT : 0;
    }
}

/* Like x86_cpu_pending_interrupt, for VMX non-root operation. */
int vmx_pending_interrupt(CPUX86State *env, int req)
{
    bool shadow = env->hflags & HF_INHIBIT_IRQ_MASK;

    if (req & CPU_INTERRUPT_SIPI) {
        return CPU_INTERRUPT_SIPI;
    }
    if (env->vmx.activity == ACT_WAIT_SIPI) {
        return 0;
    }
    if (req & CPU_INTERRUPT_INIT) {
        return CPU_INTERRUPT_INIT;
    }
    if (env->vmx.mtf) {
        return CPU_INTERRUPT_VIRQ;
    }
    if (env->vmx.pending_dbg && !vmx_movss_shadow(env)) {
        return CPU_INTERRUPT_VIRQ;
    }
    if (env->vmx.timer_on && env->vmx.timer_expired) {
        return CPU_INTERRUPT_VIRQ;
    }
    if (nmi_window_open(env)) {
        return CPU_INTERRUPT_VIRQ;
    }
    if ((req & CPU_INTERRUPT_NMI) && !vmx_nmi_blocked(env) &&
        !vmx_movss_shadow(env)) {
        return CPU_INTERRUPT_NMI;
    }
    if (req & CPU_INTERRUPT_MCE) {
        return CPU_INTERRUPT_MCE;
    }
    if (int_window_open(env) || virtual_intr_open(env)) {
        return CPU_INTERRUPT_VIRQ;
    }
    if (req & CPU_INTERRUPT_HARD) {
        if ((pin_ctls(env) & VMX_PIN_BASED_EXT_INTR_MASK) ||
            ((env->eflags & IF_MASK) && !shadow)) {
            return CPU_INTERRUPT_HARD;
        }
    }
    return 0;
}

void vmx_exec_virq(CPUX86State *env)
{
    if (env->vmx.mtf) {
        vmx_exit(env, XR_MTF, 0, 0);
    }
    if (env->vmx.pending_dbg && !vmx_movss_shadow(env)) {
        uint64_t bits = env->vmx.pending_dbg & (0xf | DR6_BS);

        env->vmx.pending_dbg = 0;
        env->vmx.old_dr6 = env->dr[6];
        env->dr[6] = (env->dr[6] & ~(uint64_t)(0xf | DR6_BS)) | bits;
        vmx_check_exception(env, EXCP01_DB, 0, 0);
        do_interrupt_all(env_archcpu(env), EXCP01_DB, 0, 0, 0, 0);
        return;
    }
    if (env->vmx.timer_on && env->vmx.timer_expired) {
        vmx_exit(env, XR_PREEMPTION_TIMER, 0, 0);
    }
    if (nmi_window_open(env)) {
        vmx_exit(env, XR_NMI_WINDOW, 0, 0);
    }
    if (int_window_open(env)) {
        vmx_exit(env, XR_INT_WINDOW, 0, 0);
    }
    if (virtual_intr_open(env)) {
        vmx_deliver_virtual(env);
    }
}

/* Returns true if the SIPI has been consumed. */
bool vmx_sipi(CPUX86State *env)
{
    APICCommonState *apic;

    if (!env->vmx.on) {
        return false;
    }
    if (env->vmx.guest && env->vmx.activity == ACT_WAIT_SIPI) {
        apic = APIC_COMMON(env_archcpu(env)->apic_state);
        vmx_exit(env, XR_SIPI, apic->sipi_vector & 0xff, 0);
    }
    return true;
}

bool vmx_init_blocked(CPUX86State *env)
{
    return env->vmx.on &&
           (!env->vmx.guest || env->vmx.activity == ACT_WAIT_SIPI);
}

void vmx_hlt(CPUX86State *env)
{
    if (env->vmx.guest) {
        env->vmx.activity = ACT_HLT;
    }
}

void vmx_iret(CPUX86State *env)
{
    uint32_t pin;

    if (!env->vmx.guest) {
        env->hflags2 &= ~HF2_NMI_MASK;
        return;
    }
    pin = pin_ctls(env);
    if (pin & VMX_PIN_BASED_VIRTUAL_NMIS) {
        env->vmx.virt_nmi_blocked = false;
    } else if (!(pin & VMX_PIN_BASED_NMI_EXITING)) {
        env->hflags2 &= ~HF2_NMI_MASK;
    }
}
