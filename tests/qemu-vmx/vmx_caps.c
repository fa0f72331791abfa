/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Intel VMX emulation for TCG: the capability MSRs (SDM volume 3, appendix A)
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

#define PIN_DEFAULT1    0x00000016u
#define PROC_DEFAULT1   0x0401e172u
#define EXIT_DEFAULT1   0x00036dffu
#define ENTRY_DEFAULT1  0x000011ffu

/*
 * A feature bit that belongs to the default1 class means that the control
 * may be 0, see the "noexit"/"nosave" names in feature_word_info.
 */
static uint64_t ctl_caps(uint32_t features, uint32_t default1, bool true_ctl)
{
    uint32_t must = default1;

    if (true_ctl) {
        must &= ~features;
    }
    return must | ((uint64_t)(features | default1) << 32);
}

static uint32_t exit_features(CPUX86State *env)
{
    uint32_t f = env->features[FEAT_VMX_EXIT_CTLS];

    if (env->features[FEAT_8000_0001_EDX] & CPUID_EXT2_LM) {
        f |= VMX_VM_EXIT_HOST_ADDR_SPACE_SIZE;
    }
    return f;
}

bool vmx_has_true_ctls(CPUX86State *env)
{
    return env->features[FEAT_VMX_BASIC] & MSR_VMX_BASIC_TRUE_CTLS;
}

uint64_t vmx_cr0_fixed0(void)
{
    return CR0_PE_MASK | CR0_NE_MASK | CR0_PG_MASK;
}

uint64_t vmx_caps(CPUX86State *env, uint32_t msr)
{
    uint32_t proc2 = env->features[FEAT_VMX_SECONDARY_CTLS];
    bool t = vmx_has_true_ctls(env);

    switch (msr) {
    case MSR_IA32_VMX_BASIC:
        return VMX_REVISION | (4096ull << 32) | (6ull << 50) |
               env->features[FEAT_VMX_BASIC];
    case MSR_IA32_VMX_PINBASED_CTLS:
    case MSR_IA32_VMX_TRUE_PINBASED_CTLS:
        return ctl_caps(env->features[FEAT_VMX_PINBASED_CTLS], PIN_DEFAULT1,
                        t && msr == MSR_IA32_VMX_TRUE_PINBASED_CTLS);
    case MSR_IA32_VMX_PROCBASED_CTLS:
    case MSR_IA32_VMX_TRUE_PROCBASED_CTLS:
        return ctl_caps(env->features[FEAT_VMX_PROCBASED_CTLS], PROC_DEFAULT1,
                        t && msr == MSR_IA32_VMX_TRUE_PROCBASED_CTLS);
    case MSR_IA32_VMX_EXIT_CTLS:
    case MSR_IA32_VMX_TRUE_EXIT_CTLS:
        return ctl_caps(exit_features(env), EXIT_DEFAULT1,
                        t && msr == MSR_IA32_VMX_TRUE_EXIT_CTLS);
    case MSR_IA32_VMX_ENTRY_CTLS:
    case MSR_IA32_VMX_TRUE_ENTRY_CTLS:
        return ctl_caps(env->features[FEAT_VMX_ENTRY_CTLS], ENTRY_DEFAULT1,
                        t && msr == MSR_IA32_VMX_TRUE_ENTRY_CTLS);
    case MSR_IA32_VMX_MISC:
        return env->features[FEAT_VMX_MISC] | (4ull << 16) | VMX_TIMER_SHIFT;
    case MSR_IA32_VMX_CR0_FIXED0:
        return vmx_cr0_fixed0();
    case MSR_IA32_VMX_CR0_FIXED1:
        return 0xffffffffull;
    case MSR_IA32_VMX_CR4_FIXED0:
        return CR4_VMXE_MASK;
    case MSR_IA32_VMX_CR4_FIXED1:
        return (uint32_t)~cr4_reserved_bits(env);
    case MSR_IA32_VMX_VMCS_ENUM:
        return 0x2e;
    case MSR_IA32_VMX_PROCBASED_CTLS2:
        return (uint64_t)proc2 << 32;
    case MSR_IA32_VMX_EPT_VPID_CAP:
        return env->features[FEAT_VMX_EPT_VPID_CAPS];
    }
    return 0;
}

bool vmx_rdmsr(CPUX86State *env, uint32_t msr, uint64_t *val)
{
    if (!cpu_has_vmx(env)) {
        return false;
    }
    if (msr == MSR_IA32_FEATURE_CONTROL) {
        *val = env->msr_ia32_feature_control;
        return true;
    }
    if (msr < MSR_IA32_VMX_BASIC || msr > MSR_IA32_VMX_TRUE_ENTRY_CTLS) {
        return false;
    }
    *val = vmx_caps(env, msr);
    return true;
}
