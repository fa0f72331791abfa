/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Intel VMX emulation for TCG: whether an instruction of a guest exits: control
 * registers, MSRs, ports and what svm_helper.c asks about; and what a guest's
 * access to a control register does when it does not exit.
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

/* Control registers */

static bool cr3_is_target(CPUX86State *env, target_ulong val)
{
    int n = F(CR3_TARGET_COUNT);

    for (int i = 0; i < n && i < 4; i++) {
        if (env->vmx.f[VF_CR3_TARGET0 + i] == val) {
            return true;
        }
    }
    return false;
}

target_ulong vmx_read_cr(CPUX86State *env, int reg)
{
    switch (reg) {
    case 0:
        return (env->cr[0] & ~F(CR0_MASK)) | (F(CR0_SHADOW) & F(CR0_MASK));
    case 4:
        return (env->cr[4] & ~F(CR4_MASK)) | (F(CR4_SHADOW) & F(CR4_MASK));
    case 8:
        return (x86_ldl_phys(env_cpu(env), F(VIRT_APIC_ADDR) + 0x80) >> 4) & 15;
    }
    return env->cr[reg];
}

/*
 * CR0 bits that may not be changed to an unsupported value: in non-root
 * operation PE and PG are exempt for an unrestricted guest.
 */
uint64_t vmx_guest_cr0_fixed0(CPUX86State *env)
{
    if (proc2_ctls(env) & VMX_SECONDARY_EXEC_UNRESTRICTED_GUEST) {
        return CR0_NE_MASK;
    }
    return vmx_cr0_fixed0();
}

/*
 * Checks of MOV to CR0, CR4 and CR8 that any processor makes, and those of VMX
 * operation.
 */
void vmx_check_cr(CPUX86State *env, int reg, target_ulong val,
                       uintptr_t ra)
{
    /* VMX operation is suspended in SMM */
    bool on = env->vmx.on && !(env->hflags & HF_SMM_MASK);

    switch (reg) {
    case 0:
        if ((val >> 32) ||
            ((val & CR0_PG_MASK) && !(val & CR0_PE_MASK)) ||
            ((val & CR0_NW_MASK) && !(val & CR0_CD_MASK)) ||
            ((val & CR0_PG_MASK) && !(env->cr[0] & CR0_PG_MASK) &&
             (env->efer & MSR_EFER_LME) && !(env->cr[4] & CR4_PAE_MASK)) ||
            (!(val & CR0_PG_MASK) && (env->hflags & HF_CS64_MASK))) {
            raise_exception_err_ra(env, EXCP0D_GPF, 0, ra);
        }
        if (on) {
            uint64_t f0 = env->vmx.guest ? vmx_guest_cr0_fixed0(env)
                                         : vmx_cr0_fixed0();
            if (~val & f0) {
                raise_exception_err_ra(env, EXCP0D_GPF, 0, ra);
            }
        }
        break;
    case 4:
        if ((val & cr4_reserved_bits(env)) ||
            ((env->efer & MSR_EFER_LMA) && !(val & CR4_PAE_MASK)) ||
            (on && !(val & CR4_VMXE_MASK))) {
            raise_exception_err_ra(env, EXCP0D_GPF, 0, ra);
        }
        break;
    case 8:
        if (val >> 4) {
            raise_exception_err_ra(env, EXCP0D_GPF, 0, ra);
        }
        break;
    }
}

uint64_t vmx_pdpte_rsvd(CPUX86State *env)
{
    return ~MAKE_64BIT_MASK(0, env_archcpu(env)->phys_bits) | 0x1e6;
}

/* A MOV to CR0, CR3 or CR4 that loads the PDPTEs of PAE paging */
static void vmx_reload_pdptes(CPUX86State *env, target_ulong cr0,
                              target_ulong cr3, target_ulong cr4,
                              uintptr_t ra)
{
    uint64_t e[4], rsvd = vmx_pdpte_rsvd(env);

    if (!(cr0 & CR0_PG_MASK) || !(cr4 & CR4_PAE_MASK) ||
        (env->efer & (MSR_EFER_LMA | MSR_EFER_LME))) {
        return;
    }
    for (int i = 0; i < 4; i++) {
        hwaddr pa = (cr3 & 0xffffffe0) + i * 8;

        if (env->vmx.ept) {
            uint64_t gpa = pa;
            int prot, size;

            if (!vmx_ept_walk(env, gpa, MMU_DATA_LOAD, &pa, &prot, &size)) {
                vmx_exit_prepare(env, ra);
                F(GUEST_PHYS_ADDR) = gpa;
                vmx_exit_now(env, env->vmx.ept_fault_misconfig ?
                             XR_EPT_MISCONFIG : XR_EPT_VIOLATION,
                             env->vmx.ept_fault_misconfig ? 0 :
                             env->vmx.ept_fault_qual);
            }
        }
        e[i] = x86_ldq_phys(env_cpu(env), pa);
        if ((e[i] & 1) && (e[i] & rsvd)) {
            raise_exception_err_ra(env, EXCP0D_GPF, 0, ra);
        }
    }
    memcpy(env->vmx.pdpte, e, sizeof(e));
}

/*
 * MOV to CR, CLTS and LMSW in non-root operation.  Returns the value that
 * the register takes; *done is set if nothing is left to do.
 */
target_ulong vmx_write_cr(CPUX86State *env, int reg, target_ulong val,
                          bool *done, uintptr_t ra)
{
    uint32_t proc = proc_ctls(env);
    target_ulong mask, shadow, cur;
    VMXInsn d;

    *done = false;
    switch (reg) {
    case 0:
    case 4:
        mask = reg ? F(CR4_MASK) : F(CR0_MASK);
        shadow = reg ? F(CR4_SHADOW) : F(CR0_SHADOW);
        cur = env->cr[reg];
        vmx_decode(env, &d, ra);
        if (d.map == 1 && d.op == 0x01) {
            uint32_t m = mask & 0xf;
            uint32_t src = d.has_mem ? cpu_lduw_data_ra(env, d.ea, ra)
                                     : (uint16_t)env->regs[d.rm];

            /* LMSW cannot clear PE */
            if ((m & CR0_PE_MASK & src & ~shadow) ||
                (m & 0xe & (src ^ shadow))) {
                uint64_t qual = (3 << 4) | ((uint64_t)src << 16) |
                                (d.has_mem ? 1 << 6 : 0);

                vmx_exit_prepare(env, ra);
                F(EXIT_INSN_LEN) = d.len;
                F(GUEST_LINEAR_ADDR) = d.has_mem ? d.ea : 0;
                vmx_exit_now(env, XR_CR_ACCESS, qual);
            }
            src = (src & ~m & 0xf) | (cur & m);
            if (cur & CR0_PE_MASK) {
                src |= CR0_PE_MASK;
            }
            val = (cur & ~0xful) | src;
        } else {
            if ((val ^ shadow) & mask) {
                vmx_exit_insn(env, XR_CR_ACCESS, reg | (d.rm << 8), 0, &d, ra);
            }
            val = (val & ~mask) | (cur & mask);
        }
        vmx_check_cr(env, reg, val, ra);
        if (reg == 0) {
            if ((val ^ cur) & (CR0_PG_MASK | CR0_CD_MASK | CR0_NW_MASK)) {
                vmx_reload_pdptes(env, val, env->cr[3], env->cr[4], ra);
            }
            if ((val ^ cur) & (CR0_PG_MASK | CR0_WP_MASK)) {
                vmx_guest_drops_vpid(env);
            }
        } else if ((val ^ cur) & (CR4_PAE_MASK | CR4_PGE_MASK | CR4_PSE_MASK |
                                  CR4_SMEP_MASK)) {
            vmx_reload_pdptes(env, env->cr[0], env->cr[3], val, ra);
        }
        if (reg == 4) {
            vmx_guest_drops_vpid(env);
        }
        return val;
    case 3:
        if ((proc & VMX_CPU_BASED_CR3_LOAD_EXITING) &&
            !cr3_is_target(env, val)) {
            vmx_decode(env, &d, ra);
            vmx_exit_insn(env, XR_CR_ACCESS, 3 | (d.rm << 8), 0, &d, ra);
        }
        vmx_reload_pdptes(env, env->cr[0], val, env->cr[4], ra);
        vmx_guest_drops_vpid(env);
        return val;
    case 8:
        if (proc & VMX_CPU_BASED_CR8_LOAD_EXITING) {
            vmx_decode(env, &d, ra);
            vmx_exit_insn(env, XR_CR_ACCESS, 8 | (d.rm << 8), 0, &d, ra);
        }
        if (val >> 4) {
            raise_exception_err_ra(env, EXCP0D_GPF, 0, ra);
        }
        if (proc & VMX_CPU_BASED_TPR_SHADOW) {
            x86_stl_phys(env_cpu(env), F(VIRT_APIC_ADDR) + 0x80, val << 4);
            if (vmx_tpr_written(env)) {
                /* trap-like exit */
                vmx_decode(env, &d, ra);
                vmx_exit_prepare(env, ra);
                vmx_advance_insn(env, &d);
                vmx_exit_now(env, XR_TPR_BELOW, 0);
            }
            *done = true;
        }
        return val;
    }
    return val;
}

static void vmx_check_clts(CPUX86State *env, uintptr_t ra)
{
    if (F(CR0_MASK) & F(CR0_SHADOW) & CR0_TS_MASK) {
        VMXInsn d;

        vmx_decode(env, &d, ra);
        vmx_exit_insn(env, XR_CR_ACCESS, 2 << 4, 0, &d, ra);
    }
}

static bool msr_exits(CPUX86State *env, bool write)
{
    uint32_t msr = env->regs[R_ECX];
    hwaddr addr = F(MSR_BITMAP);

    if (!(proc_ctls(env) & VMX_CPU_BASED_USE_MSR_BITMAPS)) {
        return true;
    }
    if (write) {
        addr += 0x800;
    }
    if (msr >= 0xc0000000 && msr <= 0xc0001fff) {
        addr += 0x400;
        msr -= 0xc0000000;
    } else if (msr > 0x1fff) {
        return true;
    }
    return x86_ldub_phys(env_cpu(env), addr + msr / 8) & (1 << (msr & 7));
}

void vmx_check_intercept(CPUX86State *env, uint32_t type, uint64_t param,
                         uintptr_t ra)
{
    uint32_t proc = proc_ctls(env), proc2 = proc2_ctls(env);
    VMXInsn d;

    switch (type) {
    case SVM_EXIT_READ_CR3:
        if (proc & VMX_CPU_BASED_CR3_STORE_EXITING) {
            vmx_decode(env, &d, ra);
            vmx_exit_insn(env, XR_CR_ACCESS, 3 | (1 << 4) | (d.rm << 8),
                          0, &d, ra);
        }
        break;
    case SVM_EXIT_READ_CR8:
        if (proc & VMX_CPU_BASED_CR8_STORE_EXITING) {
            vmx_decode(env, &d, ra);
            vmx_exit_insn(env, XR_CR_ACCESS, 8 | (1 << 4) | (d.rm << 8),
                          0, &d, ra);
        }
        break;
    case SVM_EXIT_READ_DR0 ... SVM_EXIT_READ_DR7:
    case SVM_EXIT_WRITE_DR0 ... SVM_EXIT_WRITE_DR7:
        if (proc & VMX_CPU_BASED_MOV_DR_EXITING) {
            vmx_decode(env, &d, ra);
            vmx_exit_insn(env, XR_DR_ACCESS, (d.reg & 7) | (d.rm << 8) |
                          (type < SVM_EXIT_WRITE_DR0 ? 1 << 4 : 0), 0, &d, ra);
        }
        break;
    case SVM_EXIT_EXCP_BASE ... SVM_EXIT_EXCP_BASE + 31:
        vmx_check_exception(env, type - SVM_EXIT_EXCP_BASE, param, ra);
        break;
    case SVM_EXIT_SWINT:
        vmx_check_softint(env, ra);
        break;
    case SVM_EXIT_INTR:
        if (pin_ctls(env) & VMX_PIN_BASED_EXT_INTR_MASK) {
            vmx_exit_external(env);
        }
        break;
    case SVM_EXIT_NMI:
        if (pin_ctls(env) & VMX_PIN_BASED_NMI_EXITING) {
            env_cpu(env)->interrupt_request &= ~CPU_INTERRUPT_NMI;
            vmx_exit_exception(env, EXCP02_NMI | INTR_TYPE(IT_NMI), 0, 0, 0,
                               ra);
        }
        break;
    case SVM_EXIT_INIT:
        env_cpu(env)->interrupt_request &= ~CPU_INTERRUPT_INIT;
        vmx_exit(env, XR_INIT, 0, ra);
        break;
    case SVM_EXIT_IDTR_READ:
    case SVM_EXIT_GDTR_READ:
    case SVM_EXIT_IDTR_WRITE:
    case SVM_EXIT_GDTR_WRITE:
    case SVM_EXIT_LDTR_READ:
    case SVM_EXIT_TR_READ:
    case SVM_EXIT_LDTR_WRITE:
    case SVM_EXIT_TR_WRITE:
        if (proc2 & VMX_SECONDARY_EXEC_DESC) {
            uint32_t info;

            vmx_decode(env, &d, ra);
            info = vmx_insn_info(&d);
            if (d.op == 0x01) {
                /* 0 SGDT, 1 SIDT, 2 LGDT, 3 LIDT */
                info |= (d.reg & 3) << 28;
                info |= (env->hflags & HF_CS64_MASK || d.osize) << 11;
                vmx_exit_insn(env, XR_GDTR_IDTR, d.disp, info, &d, ra);
            }
            /* 0 SLDT, 1 STR, 2 LLDT, 3 LTR */
            info |= (d.reg & 3) << 28;
            vmx_exit_insn(env, XR_LDTR_TR, d.has_mem ? d.disp : 0, info,
                          &d, ra);
        }
        break;
    case SVM_EXIT_RDTSC:
        if (!(proc & VMX_CPU_BASED_RDTSC_EXITING) &&
            (proc2 & VMX_SECONDARY_EXEC_RDTSCP)) {
            break;
        }
        vmx_decode(env, &d, ra);
        if (d.op == 0x01 && !(proc2 & VMX_SECONDARY_EXEC_RDTSCP)) {
            raise_exception_ra(env, EXCP06_ILLOP, ra);
        }
        if (proc & VMX_CPU_BASED_RDTSC_EXITING) {
            vmx_exit_insn(env, d.op == 0x01 ? XR_RDTSCP : XR_RDTSC, 0, 0,
                          &d, ra);
        }
        break;
    case SVM_EXIT_RDPMC:
        if (proc & VMX_CPU_BASED_RDPMC_EXITING) {
            vmx_exit_simple(env, XR_RDPMC, ra);
        }
        break;
    case SVM_EXIT_CPUID:
        vmx_exit_simple(env, XR_CPUID, ra);
        break;
    case SVM_EXIT_INVD:
    case SVM_EXIT_WBINVD:
        vmx_decode(env, &d, ra);
        if (d.op == 0x08) {
            vmx_exit_insn(env, XR_INVD, 0, 0, &d, ra);
        } else if (proc2 & VMX_SECONDARY_EXEC_WBINVD_EXITING) {
            vmx_exit_insn(env, XR_WBINVD, 0, 0, &d, ra);
        }
        break;
    case SVM_EXIT_HLT:
        if (proc & VMX_CPU_BASED_HLT_EXITING) {
            vmx_exit_simple(env, XR_HLT, ra);
        }
        break;
    case SVM_EXIT_PAUSE:
        if (proc & VMX_CPU_BASED_PAUSE_EXITING) {
            vmx_exit_simple(env, XR_PAUSE, ra);
        }
        break;
    case SVM_EXIT_INVLPG:
        if (proc & VMX_CPU_BASED_INVLPG_EXITING) {
            vmx_decode(env, &d, ra);
            vmx_exit_insn(env, XR_INVLPG, d.ea, 0, &d, ra);
        }
        break;
    case SVM_EXIT_MONITOR:
        if (proc & VMX_CPU_BASED_MONITOR_EXITING) {
            vmx_exit_simple(env, XR_MONITOR, ra);
        }
        break;
    case SVM_EXIT_MWAIT:
        if (proc & VMX_CPU_BASED_MWAIT_EXITING) {
            vmx_exit_simple(env, XR_MWAIT, ra);
        }
        break;
    case SVM_EXIT_MSR:
        if (msr_exits(env, param)) {
            vmx_exit_simple(env, param ? XR_WRMSR : XR_RDMSR, ra);
        }
        vmx_virtual_msr(env, param, ra);
        break;
    case SVM_EXIT_SHUTDOWN:
        vmx_exit(env, XR_TRIPLE_FAULT, 0, ra);
        break;
    case VMX_ICPT_XSETBV:
        vmx_exit_simple(env, XR_XSETBV, ra);
        break;
    case VMX_ICPT_RDRAND:
        /* RDSEED is not among TCG's features */
        if (proc2 & VMX_SECONDARY_EXEC_RDRAND_EXITING) {
            vmx_decode(env, &d, ra);
            vmx_exit_insn(env, XR_RDRAND, 0, (d.rm << 3) | (d.osize << 11),
                          &d, ra);
        }
        break;
    case VMX_ICPT_CLTS:
        vmx_check_clts(env, ra);
        break;
    default:
        break;
    }
}

void vmx_check_io(CPUX86State *env, uint32_t port, uint32_t param,
                  uintptr_t ra)
{
    uint32_t proc = proc_ctls(env);
    int size = (param >> SVM_IOIO_SIZE_SHIFT) & 7;
    bool in = param & SVM_IOIO_TYPE_MASK;
    bool str = param & SVM_IOIO_STR_MASK;
    bool rep = param & SVM_IOIO_REP_MASK;
    bool hit = false;
    uint64_t qual;
    uint32_t info = 0;
    VMXInsn d;

    port &= 0xffff;
    if (proc & VMX_CPU_BASED_USE_IO_BITMAPS) {
        for (int i = 0; i < size; i++) {
            uint32_t p = port + i;
            hwaddr a;

            if (p > 0xffff) {
                hit = true;
                break;
            }
            a = (p & 0x8000 ? F(IO_BITMAP_B) : F(IO_BITMAP_A)) +
                (p & 0x7fff) / 8;
            if (x86_ldub_phys(env_cpu(env), a) & (1 << (p & 7))) {
                hit = true;
                break;
            }
        }
    } else {
        hit = proc & VMX_CPU_BASED_UNCOND_IO_EXITING;
    }
    if (!hit) {
        return;
    }
    vmx_decode(env, &d, ra);
    if (str && rep && !vmx_asize_mask(d.asize, env->regs[R_ECX])) {
        return;
    }
    qual = (size - 1) | (in ? 8 : 0) | (str ? 16 : 0) | (rep ? 32 : 0) |
           ((uint64_t)port << 16);
    if (!str && d.op >= 0xe4 && d.op <= 0xe7) {
        qual |= 64;
    }
    vmx_exit_prepare(env, ra);
    if (str) {
        int seg = in ? R_ES : d.seg;
        target_ulong off = vmx_asize_mask(d.asize,
                                          env->regs[in ? R_EDI : R_ESI]);

        if (!(env->hflags & HF_CS64_MASK) || seg == R_FS || seg == R_GS) {
            off += env->segs[seg].base;
        }
        if (!(env->hflags & HF_CS64_MASK)) {
            off = (uint32_t)off;
        }
        F(GUEST_LINEAR_ADDR) = off;
        info = (d.asize << 7) | (seg << 15);
    }
    F(IO_RCX) = env->regs[R_ECX];
    F(IO_RSI) = env->regs[R_ESI];
    F(IO_RDI) = env->regs[R_EDI];
    F(IO_RIP) = env->eip;
    F(EXIT_INSN_LEN) = d.len;
    F(EXIT_INSN_INFO) = info;
    vmx_exit_now(env, XR_IO, qual);
}
