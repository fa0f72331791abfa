/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Intel VMX emulation for TCG: the checks of VM entry: controls, host state and
 * guest state (SDM 27.2 and 27.3).
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

bool vmx_canonical(CPUX86State *env, uint64_t addr)
{
    int shift = env->features[FEAT_7_0_ECX] & CPUID_7_0_ECX_LA57 ? 56 : 47;
    int64_t s = (int64_t)addr >> shift;

    return s == 0 || s == -1;
}

bool vmx_phys_ok(CPUX86State *env, uint64_t addr, uint64_t align)
{
    return !(addr & (align - 1)) && !(addr >> env_archcpu(env)->phys_bits);
}

static bool pat_ok(uint64_t pat)
{
    for (int i = 0; i < 8; i++) {
        uint8_t t = pat >> (i * 8);

        if (t == 2 || t == 3 || t > 7) {
            return false;
        }
    }
    return true;
}

static uint64_t efer_supported(CPUX86State *env)
{
    uint64_t ok = MSR_EFER_SCE | MSR_EFER_LME | MSR_EFER_LMA;

    if (env->features[FEAT_8000_0001_EDX] & CPUID_EXT2_NX) {
        ok |= MSR_EFER_NXE;
    }
    if (env->features[FEAT_8000_0001_EDX] & CPUID_EXT2_FFXSR) {
        ok |= MSR_EFER_FFXSR;
    }
    return ok;
}

static bool ctl_ok(uint64_t val, uint64_t caps)
{
    uint32_t must = caps, may = caps >> 32;

    return (val & must) == must && !(val & ~may & 0xffffffffu);
}

static bool msr_area_ok(CPUX86State *env, uint64_t addr, uint32_t count)
{
    if (!count) {
        return true;
    }
    return vmx_phys_ok(env, addr, 16) &&
           vmx_phys_ok(env, (addr + (uint64_t)count * 16 - 1) & ~15ull, 16);
}

bool vmx_eptp_ok(CPUX86State *env, uint64_t eptp)
{
    uint64_t caps = env->features[FEAT_VMX_EPT_VPID_CAPS];
    int mt = eptp & 7;

    return ((mt == 0 && (caps & MSR_VMX_EPT_UC)) ||
            (mt == 6 && (caps & MSR_VMX_EPT_WB))) &&
           ((eptp >> 3) & 7) == 3 &&
           !((eptp & 64) && !(caps & MSR_VMX_EPT_AD_BITS)) &&
           !(eptp & 0xf80) && !(eptp >> env_archcpu(env)->phys_bits);
}

static bool entry_intr_ok(CPUX86State *env)
{
    uint32_t info = F(ENTRY_INTR_INFO);
    int vector = info & 0xff, type = (info >> 8) & 7;
    bool err = info & INTR_ERR_VALID;
    bool ug = proc2_ctls(env) & VMX_SECONDARY_EXEC_UNRESTRICTED_GUEST;
    bool want_err;

    if (!(info & INTR_VALID)) {
        return true;
    }
    if (type == 1 || (info & 0x7ffff000)) {
        return false;
    }
    if (type == IT_OTHER &&
        (vector || !(env->features[FEAT_VMX_PROCBASED_CTLS] &
                     VMX_CPU_BASED_MONITOR_TRAP_FLAG))) {
        return false;
    }
    if ((type == IT_NMI && vector != 2) || (type == IT_HWEXC && vector > 31)) {
        return false;
    }
    want_err = type == IT_HWEXC && exception_has_error_code(vector) &&
               (!ug || (F(GUEST_CR0) & CR0_PE_MASK));
    if (err != want_err) {
        return false;
    }
    if (err && (F(ENTRY_EXC_ERROR) & 0xffff8000)) {
        return false;
    }
    if (type == IT_SOFT || type == IT_PRIV || type == IT_SWEXC) {
        uint32_t len = F(ENTRY_INSN_LEN);

        if (len > 15 || (len == 0 && !(env->features[FEAT_VMX_MISC] &
                                       MSR_VMX_MISC_ZERO_LEN_INJECT))) {
            return false;
        }
    }
    return true;
}

bool vmx_controls_ok(CPUX86State *env)
{
    bool t = vmx_has_true_ctls(env);
    uint32_t pin = pin_ctls(env), proc = proc_ctls(env);
    uint32_t proc2 = proc2_ctls(env);

#define CAPS(name)  vmx_caps(env, t ? MSR_IA32_VMX_TRUE_##name \
                                    : MSR_IA32_VMX_##name)
    if (!ctl_ok(pin, CAPS(PINBASED_CTLS)) ||
        !ctl_ok(proc, CAPS(PROCBASED_CTLS)) ||
        !ctl_ok(proc2, vmx_caps(env, MSR_IA32_VMX_PROCBASED_CTLS2)) ||
        !ctl_ok(F(EXIT_CTLS), CAPS(EXIT_CTLS)) ||
        !ctl_ok(F(ENTRY_CTLS), CAPS(ENTRY_CTLS))) {
        return false;
    }
#undef CAPS
    if (F(CR3_TARGET_COUNT) > 4) {
        return false;
    }
    if ((proc & VMX_CPU_BASED_USE_IO_BITMAPS) &&
        (!vmx_phys_ok(env, F(IO_BITMAP_A), 4096) ||
         !vmx_phys_ok(env, F(IO_BITMAP_B), 4096))) {
        return false;
    }
    if ((proc & VMX_CPU_BASED_USE_MSR_BITMAPS) &&
        !vmx_phys_ok(env, F(MSR_BITMAP), 4096)) {
        return false;
    }
    if (proc & VMX_CPU_BASED_TPR_SHADOW) {
        uint32_t vtpr;

        if (!vmx_phys_ok(env, F(VIRT_APIC_ADDR), 4096) ||
            (!vmx_delivers_virtual(env) && (F(TPR_THRESHOLD) & 0xfffffff0))) {
            return false;
        }
        vtpr = x86_ldl_phys(env_cpu(env), F(VIRT_APIC_ADDR) + 0x80);
        if (!vmx_delivers_virtual(env) &&
            (F(TPR_THRESHOLD) & 15) > ((vtpr >> 4) & 15)) {
            return false;
        }
    } else if (proc2 & (VMX_SECONDARY_EXEC_VIRTUALIZE_X2APIC_MODE |
                        VMX_SECONDARY_EXEC_APIC_REGISTER_VIRT |
                        VMX_SECONDARY_EXEC_VIRTUAL_INTR_DELIVERY)) {
        return false;
    }
    if (vmx_delivers_virtual(env) && !(pin & VMX_PIN_BASED_EXT_INTR_MASK)) {
        return false;
    }
    if ((pin & VMX_PIN_BASED_POSTED_INTR) &&
        (!vmx_delivers_virtual(env) ||
         !(F(EXIT_CTLS) & VMX_VM_EXIT_ACK_INTR_ON_EXIT) ||
         (F(POSTED_VECTOR) & 0xff00) ||
         !vmx_phys_ok(env, F(POSTED_DESC_ADDR), 64))) {
        return false;
    }
    if (!(pin & VMX_PIN_BASED_NMI_EXITING) &&
        (pin & VMX_PIN_BASED_VIRTUAL_NMIS)) {
        return false;
    }
    if (!(pin & VMX_PIN_BASED_VIRTUAL_NMIS) &&
        (proc & VMX_CPU_BASED_VIRTUAL_NMI_PENDING)) {
        return false;
    }
    if (!(pin & VMX_PIN_BASED_VMX_PREEMPTION_TIMER) &&
        (F(EXIT_CTLS) & VMX_VM_EXIT_SAVE_VMX_PREEMPTION_TIMER)) {
        return false;
    }
    if ((proc2 & VMX_SECONDARY_EXEC_ENABLE_VPID) && !F(VPID)) {
        return false;
    }
    if ((proc2 & VMX_SECONDARY_EXEC_ENABLE_EPT) && !vmx_eptp_ok(env, F(EPTP))) {
        return false;
    }
    if ((proc2 & VMX_SECONDARY_EXEC_UNRESTRICTED_GUEST) &&
        !(proc2 & VMX_SECONDARY_EXEC_ENABLE_EPT)) {
        return false;
    }
    if (!msr_area_ok(env, F(EXIT_MSR_STORE_ADDR), F(EXIT_MSR_STORE_COUNT)) ||
        !msr_area_ok(env, F(EXIT_MSR_LOAD_ADDR), F(EXIT_MSR_LOAD_COUNT)) ||
        !msr_area_ok(env, F(ENTRY_MSR_LOAD_ADDR), F(ENTRY_MSR_LOAD_COUNT))) {
        return false;
    }
    return entry_intr_ok(env);
}

bool vmx_host_state_ok(CPUX86State *env)
{
    bool host64 = F(EXIT_CTLS) & VMX_VM_EXIT_HOST_ADDR_SPACE_SIZE;
    uint64_t cr0 = F(HOST_CR0), cr4 = F(HOST_CR4);

    if ((~cr0 & vmx_cr0_fixed0()) || (cr0 >> 32) ||
        !(cr4 & CR4_VMXE_MASK) || (cr4 & cr4_reserved_bits(env)) ||
        (cr4 >> 32) || (F(HOST_CR3) >> env_archcpu(env)->phys_bits)) {
        return false;
    }
    if (!vmx_canonical(env, F(HOST_SYSENTER_ESP)) ||
        !vmx_canonical(env, F(HOST_SYSENTER_EIP))) {
        return false;
    }
    if ((F(EXIT_CTLS) & VMX_VM_EXIT_LOAD_IA32_PAT) && !pat_ok(F(HOST_PAT))) {
        return false;
    }
    if (F(EXIT_CTLS) & VMX_VM_EXIT_LOAD_IA32_EFER) {
        uint64_t efer = F(HOST_EFER);

        if ((efer & ~efer_supported(env)) ||
            !(efer & MSR_EFER_LMA) == host64 ||
            !(efer & MSR_EFER_LME) == host64) {
            return false;
        }
    }
    if ((F(HOST_CS_SEL) | F(HOST_SS_SEL) | F(HOST_DS_SEL) | F(HOST_ES_SEL) |
         F(HOST_FS_SEL) | F(HOST_GS_SEL) | F(HOST_TR_SEL)) & 7) {
        return false;
    }
    if (!F(HOST_CS_SEL) || !F(HOST_TR_SEL) ||
        (!host64 && !F(HOST_SS_SEL))) {
        return false;
    }
    if (!vmx_canonical(env, F(HOST_FS_BASE)) ||
        !vmx_canonical(env, F(HOST_GS_BASE)) ||
        !vmx_canonical(env, F(HOST_GDTR_BASE)) ||
        !vmx_canonical(env, F(HOST_IDTR_BASE)) ||
        !vmx_canonical(env, F(HOST_TR_BASE))) {
        return false;
    }
    if (env->efer & MSR_EFER_LMA) {
        if (!host64) {
            return false;
        }
    } else if (host64 || (F(ENTRY_CTLS) & VMX_VM_ENTRY_IA32E_MODE)) {
        return false;
    }
    if (host64) {
        return (cr4 & CR4_PAE_MASK) && vmx_canonical(env, F(HOST_RIP));
    }
    return !(cr4 & CR4_PCIDE_MASK) && !(F(HOST_RIP) >> 32);
}

/* Guest segment registers, SDM 27.3.1.2 */
static bool guest_segs_ok(CPUX86State *env)
{
    bool v86 = F(GUEST_RFLAGS) & VM_MASK;
    bool ug = proc2_ctls(env) & VMX_SECONDARY_EXEC_UNRESTRICTED_GUEST;
    bool ia32e = F(ENTRY_CTLS) & VMX_VM_ENTRY_IA32E_MODE;
    bool pe = F(GUEST_CR0) & CR0_PE_MASK;
    uint32_t tr = F(GUEST_TR_AR), ldtr = F(GUEST_LDTR_AR);
    uint32_t cs = F(GUEST_CS_AR), ss = F(GUEST_SS_AR);
    int ss_dpl = (ss >> 5) & 3;

#define LIMIT_OK(lim, ar)                                               \
    (!((((lim) & 0xfff) != 0xfff) && ((ar) & 0x8000)) &&                \
     !(((lim) & 0xfff00000) && !((ar) & 0x8000)))

    if (F(GUEST_TR_SEL) & 4) {
        return false;
    }
    if (!(ldtr & AR_UNUSABLE) && (F(GUEST_LDTR_SEL) & 4)) {
        return false;
    }
    if (!v86 && !ug && ((F(GUEST_SS_SEL) ^ F(GUEST_CS_SEL)) & 3)) {
        return false;
    }
    for (int i = 0; i < 6; i++) {
        uint32_t ar = env->vmx.f[VF_GUEST_ES_AR + i];
        uint64_t base = env->vmx.f[VF_GUEST_ES_BASE + i];
        uint32_t lim = env->vmx.f[VF_GUEST_ES_LIMIT + i];
        uint16_t sel = env->vmx.f[VF_GUEST_ES_SEL + i];
        bool usable = !(ar & AR_UNUSABLE);
        int type = ar & 15, dpl = (ar >> 5) & 3;

        if (v86) {
            if (base != (uint64_t)sel << 4 || lim != 0xffff || ar != 0xf3) {
                return false;
            }
            continue;
        }
        if (i == R_FS || i == R_GS) {
            if (!vmx_canonical(env, base)) {
                return false;
            }
        } else if (i == R_CS) {
            if (base >> 32) {
                return false;
            }
        } else if (usable && (base >> 32)) {
            return false;
        }
        if (i == R_CS) {
            switch (type) {
            case 3:
                if (!ug || dpl != 0) {
                    return false;
                }
                break;
            case 9:
            case 11:
                if (dpl != ss_dpl) {
                    return false;
                }
                break;
            case 13:
            case 15:
                if (dpl > ss_dpl) {
                    return false;
                }
                break;
            default:
                return false;
            }
            if (!usable && (ar & 0xfffe0f00)) {
                return false;
            }
            if (!(ar & 0x10) || !(ar & 0x80) || (ar & 0xfffe0f00) ||
                !LIMIT_OK(lim, ar)) {
                return false;
            }
            if (ia32e && (ar & 0x2000) && (ar & 0x4000)) {
                return false;
            }
            continue;
        }
        if (i == R_SS) {
            if (usable && type != 3 && type != 7) {
                return false;
            }
            if (!ug && dpl != (sel & 3)) {
                return false;
            }
            if (((cs & 15) == 3 || !pe) && dpl != 0) {
                return false;
            }
        } else if (usable) {
            if (!(type & 1) || ((type & 8) && !(type & 2))) {
                return false;
            }
            if (!ug && type <= 11 && dpl < (sel & 3)) {
                return false;
            }
        }
        if (usable && (!(ar & 0x10) || !(ar & 0x80) || (ar & 0xfffe0f00) ||
                       !LIMIT_OK(lim, ar))) {
            return false;
        }
    }
    /* TR */
    if (!vmx_canonical(env, F(GUEST_TR_BASE)) ||
        ((tr & 15) != 11 && (ia32e || (tr & 15) != 3)) ||
        (tr & 0x10) || !(tr & 0x80) || (tr & 0xffff0f00) ||
        !LIMIT_OK(F(GUEST_TR_LIMIT), tr)) {
        return false;
    }
    /* LDTR */
    if (!(ldtr & AR_UNUSABLE) &&
        (!vmx_canonical(env, F(GUEST_LDTR_BASE)) || (ldtr & 15) != 2 ||
         (ldtr & 0x10) || !(ldtr & 0x80) || (ldtr & 0xfffe0f00) ||
         !LIMIT_OK(F(GUEST_LDTR_LIMIT), ldtr))) {
        return false;
    }
#undef LIMIT_OK
    return vmx_canonical(env, F(GUEST_GDTR_BASE)) &&
           vmx_canonical(env, F(GUEST_IDTR_BASE)) &&
           !(F(GUEST_GDTR_LIMIT) >> 16) && !(F(GUEST_IDTR_LIMIT) >> 16);
}

/* Returns true if fine; *qual is the exit qualification otherwise. */
bool vmx_guest_state_ok(CPUX86State *env, uint64_t *qual)
{
    uint32_t entry = F(ENTRY_CTLS), info = F(ENTRY_INTR_INFO);
    uint64_t cr0 = F(GUEST_CR0), cr4 = F(GUEST_CR4), rfl = F(GUEST_RFLAGS);
    bool ia32e = entry & VMX_VM_ENTRY_IA32E_MODE;
    uint32_t cs = F(GUEST_CS_AR), istate = F(GUEST_INTR_STATE);
    uint32_t activity = F(GUEST_ACTIVITY);
    int type = (info >> 8) & 7, vector = info & 0xff;
    bool valid = info & INTR_VALID;
    uint64_t dbg = F(GUEST_PENDING_DBG);

    *qual = 0;
    if ((~cr0 & vmx_guest_cr0_fixed0(env)) || (cr0 >> 32) ||
        ((cr0 & CR0_PG_MASK) && !(cr0 & CR0_PE_MASK))) {
        return false;
    }
    if (!(cr4 & CR4_VMXE_MASK) || (cr4 & cr4_reserved_bits(env)) ||
        (cr4 >> 32)) {
        return false;
    }
    if ((entry & VMX_VM_ENTRY_LOAD_DEBUG_CONTROLS) &&
        ((F(GUEST_DEBUGCTL) & ~0xddc3ull) || (F(GUEST_DR7) >> 32))) {
        return false;
    }
    if (ia32e && !((cr0 & CR0_PG_MASK) && (cr4 & CR4_PAE_MASK))) {
        return false;
    }
    if (!ia32e && (cr4 & CR4_PCIDE_MASK)) {
        return false;
    }
    if (F(GUEST_CR3) >> env_archcpu(env)->phys_bits) {
        return false;
    }
    if (!vmx_canonical(env, F(GUEST_SYSENTER_ESP)) ||
        !vmx_canonical(env, F(GUEST_SYSENTER_EIP))) {
        return false;
    }
    if ((entry & VMX_VM_ENTRY_LOAD_IA32_PAT) && !pat_ok(F(GUEST_PAT))) {
        return false;
    }
    if (entry & VMX_VM_ENTRY_LOAD_IA32_EFER) {
        uint64_t efer = F(GUEST_EFER);

        if ((efer & ~efer_supported(env)) ||
            !(efer & MSR_EFER_LMA) == ia32e ||
            ((cr0 & CR0_PG_MASK) &&
             !(efer & MSR_EFER_LMA) != !(efer & MSR_EFER_LME))) {
            return false;
        }
    }
    if (!guest_segs_ok(env)) {
        return false;
    }
    /* RIP and RFLAGS */
    if (!ia32e || !(cs & 0x2000)) {
        if (F(GUEST_RIP) >> 32) {
            return false;
        }
    } else if (!vmx_canonical(env, F(GUEST_RIP))) {
        return false;
    }
    if ((rfl & ~0x3f7fd7ull) || !(rfl & 2) ||
        ((rfl & VM_MASK) && (ia32e || !(cr0 & CR0_PE_MASK)))) {
        return false;
    }
    if (valid && type == IT_EXT && !(rfl & IF_MASK)) {
        return false;
    }
    /* non-register state */
    if (activity > ACT_WAIT_SIPI || activity == ACT_SHUTDOWN ||
        (activity == ACT_HLT && !(env->features[FEAT_VMX_MISC] &
                                  MSR_VMX_MISC_ACTIVITY_HLT)) ||
        (activity == ACT_WAIT_SIPI && !(env->features[FEAT_VMX_MISC] &
                                        MSR_VMX_MISC_ACTIVITY_WAIT_SIPI))) {
        return false;
    }
    if (activity == ACT_HLT && ((F(GUEST_SS_AR) >> 5) & 3)) {
        return false;
    }
    if (activity != ACT_ACTIVE && (istate & (ISTATE_STI | ISTATE_MOVSS))) {
        return false;
    }
    if (valid && activity == ACT_HLT) {
        if (!(type == IT_EXT || type == IT_NMI || type == IT_OTHER ||
              (type == IT_HWEXC && (vector == 1 || vector == 18)))) {
            return false;
        }
    }
    if (valid && activity == ACT_WAIT_SIPI) {
        return false;
    }
    if ((istate & ~0xfu) || (istate & ISTATE_SMI) ||
        (istate & 3) == 3 || (!(rfl & IF_MASK) && (istate & ISTATE_STI))) {
        return false;
    }
    if (valid && type == IT_EXT && (istate & 3)) {
        return false;
    }
    if (valid && type == IT_NMI &&
        ((istate & ISTATE_MOVSS) ||
         ((pin_ctls(env) & VMX_PIN_BASED_VIRTUAL_NMIS) &&
          (istate & ISTATE_NMI)))) {
        return false;
    }
    if (dbg & ~0x1500full) {
        return false;
    }
    if ((istate & 3) || activity == ACT_HLT) {
        bool tf = rfl & TF_MASK, btf = F(GUEST_DEBUGCTL) & 2;

        if ((tf && !btf) != !!(dbg & DR6_BS)) {
            return false;
        }
    }
    if (F(VMCS_LINK_PTR) != ~0ull) {
        uint64_t link = F(VMCS_LINK_PTR);

        /* VMCS shadowing is not offered: only the basic checks */
        *qual = 4;
        if (!vmx_phys_ok(env, link, 4096) || link == env->vmx.vmcs_ptr ||
            x86_ldl_phys(env_cpu(env), link) != VMX_REVISION) {
            return false;
        }
        *qual = 0;
    }
    /* PDPTEs */
    if ((cr0 & CR0_PG_MASK) && (cr4 & CR4_PAE_MASK) && !ia32e) {
        uint64_t rsvd = vmx_pdpte_rsvd(env);

        *qual = 2;
        for (int i = 0; i < 4; i++) {
            uint64_t e;

            if (proc2_ctls(env) & VMX_SECONDARY_EXEC_ENABLE_EPT) {
                e = env->vmx.f[VF_GUEST_PDPTE0 + i];
            } else {
                e = x86_ldq_phys(env_cpu(env),
                                 (F(GUEST_CR3) & 0xffffffe0) + i * 8);
            }
            if ((e & 1) && (e & rsvd)) {
                return false;
            }
            env->vmx.pdpte[i] = e;
        }
        *qual = 0;
    }
    return true;
}
