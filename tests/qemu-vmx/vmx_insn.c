/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Intel VMX emulation for TCG: the VMX instructions, and the VMCS in memory.
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

static const uint16_t field_encoding[VF_COUNT] = {
#define X(name, enc) [VF_##name] = enc,
    VMX_FIELDS(X)
#undef X
};

/* Slot number plus one for each encoding (bit 0 dropped), 0 if none */
static uint8_t field_slot[0x7000 / 2];

static void __attribute__((constructor)) vmx_init_field_slots(void)
{
    for (int i = 0; i < VF_COUNT; i++) {
        field_slot[field_encoding[i] / 2] = i + 1;
    }
}

static void vmcs_flush(CPUX86State *env)
{
    CPUState *cs = env_cpu(env);
    hwaddr a = env->vmx.vmcs_ptr;

    if (!env->vmx.have_vmcs) {
        return;
    }
    x86_stl_phys(cs, a + 8, env->vmx.launch_state);
    for (int i = 0; i < VF_COUNT; i++) {
        x86_stq_phys(cs, a + VMCS_HEADER + i * 8, env->vmx.f[i]);
    }
}

static void vmcs_load(CPUX86State *env, hwaddr a)
{
    CPUState *cs = env_cpu(env);

    env->vmx.vmcs_ptr = a;
    env->vmx.have_vmcs = true;
    env->vmx.launch_state = x86_ldl_phys(cs, a + 8);
    for (int i = 0; i < VF_COUNT; i++) {
        env->vmx.f[i] = x86_ldq_phys(cs, a + VMCS_HEADER + i * 8);
    }
}

static void do_vmxon(CPUX86State *env, uint64_t addr)
{
    VMXState *v = &env->vmx;

    if (!vmx_phys_ok(env, addr, 4096) ||
        x86_ldl_phys(env_cpu(env), addr) != VMX_REVISION) {
        vmx_fail_invalid(env);
        return;
    }
    v->on = true;
    v->guest = false;
    v->have_vmcs = false;
    v->vmxon_ptr = addr;
    strict_drop_tag(env, 0); /* a reset may have come before */
    vmx_succeed(env);
}

static void do_vmclear(CPUX86State *env, uint64_t addr)
{
    VMXState *v = &env->vmx;

    if (!vmx_phys_ok(env, addr, 4096)) {
        vmx_fail(env, VE_VMCLEAR_ADDR);
        return;
    }
    if (addr == v->vmxon_ptr) {
        vmx_fail(env, VE_VMCLEAR_VMXON);
        return;
    }
    if (v->have_vmcs && addr == v->vmcs_ptr) {
        v->launch_state = 0;
        vmcs_flush(env);
        v->have_vmcs = false;
    } else {
        x86_stl_phys(env_cpu(env), addr + 8, 0);
    }
    vmx_succeed(env);
}

static void do_vmptrld(CPUX86State *env, uint64_t addr)
{
    VMXState *v = &env->vmx;

    if (!vmx_phys_ok(env, addr, 4096)) {
        vmx_fail(env, VE_VMPTRLD_ADDR);
        return;
    }
    if (addr == v->vmxon_ptr) {
        vmx_fail(env, VE_VMPTRLD_VMXON);
        return;
    }
    if (x86_ldl_phys(env_cpu(env), addr) != VMX_REVISION) {
        vmx_fail(env, VE_VMPTRLD_REVISION);
        return;
    }
    if (!v->have_vmcs || v->vmcs_ptr != addr) {
        vmcs_flush(env);
        vmcs_load(env, addr);
    }
    vmx_succeed(env);
}

static int find_field(uint64_t enc)
{
    uint64_t full = enc & ~1ull;
    int slot;

    if (enc >= 0x7000) {
        return -1;
    }
    slot = field_slot[full / 2] - 1;
    if (slot >= 0 && (enc & 1) && ((enc >> 13) & 3) != 1) {
        return -1;
    }
    return slot;
}

static uint64_t field_mask(uint64_t enc)
{
    switch ((enc >> 13) & 3) {
    case 0:
        return 0xffff;
    case 2:
        return 0xffffffffu;
    }
    return ~0ull;
}

static void do_vmread(CPUX86State *env, const VMXInsn *d, uintptr_t ra)
{
    bool code64 = env->hflags & HF_CS64_MASK;
    uint64_t enc = env->regs[d->reg];
    uint64_t val;
    int slot;

    if (!code64) {
        enc = (uint32_t)enc;
    }
    if (!env->vmx.have_vmcs) {
        vmx_fail_invalid(env);
        return;
    }
    slot = find_field(enc);
    if (slot < 0) {
        vmx_fail(env, VE_UNSUPPORTED_FIELD);
        return;
    }
    val = env->vmx.f[slot];
    if (enc & 1) {
        val >>= 32;
    }
    if (d->has_mem) {
        if (code64) {
            cpu_stq_data_ra(env, d->ea, val, ra);
        } else {
            cpu_stl_data_ra(env, d->ea, val, ra);
        }
    } else {
        env->regs[d->rm] = code64 ? val : (uint32_t)val;
    }
    vmx_succeed(env);
}

static void do_vmwrite(CPUX86State *env, const VMXInsn *d, uintptr_t ra)
{
    bool code64 = env->hflags & HF_CS64_MASK;
    uint64_t enc = env->regs[d->reg];
    uint64_t val;
    int slot;

    if (!env->vmx.have_vmcs) {
        vmx_fail_invalid(env);
        return;
    }
    if (d->has_mem) {
        val = code64 ? cpu_ldq_data_ra(env, d->ea, ra)
                     : cpu_ldl_data_ra(env, d->ea, ra);
    } else {
        val = env->regs[d->rm];
    }
    if (!code64) {
        enc = (uint32_t)enc;
        val = (uint32_t)val;
    }
    slot = find_field(enc);
    if (slot < 0) {
        vmx_fail(env, VE_UNSUPPORTED_FIELD);
        return;
    }
    if (((enc >> 10) & 3) == 1 &&
        !(env->features[FEAT_VMX_MISC] & MSR_VMX_MISC_VMWRITE_VMEXIT)) {
        vmx_fail(env, VE_READONLY_FIELD);
        return;
    }
    if (enc & 1) {
        val = (env->vmx.f[slot] & 0xffffffffu) | (val << 32);
    } else if (((enc >> 13) & 3) == 1 && !code64) {
        val = (env->vmx.f[slot] & ~0xffffffffull) | val;
    }
    val &= field_mask(enc);
    /* reserved bits of the access rights read as zero */
    if (slot >= VF_GUEST_ES_AR && slot <= VF_GUEST_TR_AR) {
        val &= 0x1f0ff;
    }
    env->vmx.f[slot] = val;
    vmx_succeed(env);
}

static void do_invept(CPUX86State *env, const VMXInsn *d, uintptr_t ra)
{
    uint64_t type = env->regs[d->reg];
    uint64_t eptp, rsvd;

    if (!(env->hflags & HF_CS64_MASK)) {
        type = (uint32_t)type;
    }
    if (type != 1 && type != 2) {
        vmx_fail(env, VE_INVEPT_OPERAND);
        return;
    }
    eptp = cpu_ldq_data_ra(env, d->ea, ra);
    rsvd = cpu_ldq_data_ra(env, d->ea + 8, ra);
    if (type == 1 && (rsvd || !vmx_eptp_ok(env, eptp))) {
        vmx_fail(env, VE_INVEPT_OPERAND);
        return;
    }
    strict_drop_tag(env, type == 1 ? strict_tag_of_eptp(eptp) : 0);
    tlb_flush(env_cpu(env));
    vmx_succeed(env);
}

static void do_invvpid(CPUX86State *env, const VMXInsn *d, uintptr_t ra)
{
    uint64_t type = env->regs[d->reg];
    uint64_t desc, addr;

    if (!(env->hflags & HF_CS64_MASK)) {
        type = (uint32_t)type;
    }
    if (type > 3) {
        vmx_fail(env, VE_INVEPT_OPERAND);
        return;
    }
    desc = cpu_ldq_data_ra(env, d->ea, ra);
    addr = cpu_ldq_data_ra(env, d->ea + 8, ra);
    if ((desc >> 16) || (type != 2 && !(desc & 0xffff)) ||
        (type == 0 && !vmx_canonical(env, addr))) {
        vmx_fail(env, VE_INVEPT_OPERAND);
        return;
    }
    /* type 3 may keep global pages, of which there is no mark here */
    if (type == 0) {
        strict_drop_page(env, desc, addr);
    } else if (type == 2) {
        strict_drop_all_vpids(env);
    } else {
        strict_drop_vpid(env, desc);
    }
    tlb_flush(env_cpu(env));
    vmx_succeed(env);
}

/*
 * All VMX instructions.  The translator has stored CC state and EIP.  Those
 * that end the translation block (VMCALL, VMLAUNCH, VMRESUME, VMXOFF) leave
 * EIP behind the instruction.
 */
void helper_vmx_insn(CPUX86State *env)
{
    uintptr_t ra = GETPC();
    VMXState *v = &env->vmx;
    uint32_t reason, info;
    bool mem_operand = true;
    VMXInsn d;

    vmx_decode_at(env, &d, env->eip);
    if (d.map == 1 && d.op == 0x01) {
        static const uint8_t r[4] = { XR_VMCALL, XR_VMLAUNCH, XR_VMRESUME,
                                      XR_VMXOFF };
        reason = r[(d.modrm - 0xc1) & 3];
        mem_operand = false;
    } else if (d.map == 1 && d.op == 0xc7) {
        if ((d.modrm & 0x38) == 0x38) {
            reason = XR_VMPTRST;
        } else {
            reason = d.rep ? XR_VMXON : d.data16 ? XR_VMCLEAR : XR_VMPTRLD;
        }
    } else if (d.map == 1) {
        reason = d.op == 0x78 ? XR_VMREAD : XR_VMWRITE;
    } else {
        reason = d.op == 0x80 ? XR_INVEPT : XR_INVVPID;
    }

    /* A guest's VMCALL exits in every mode and at every privilege level */
    if (v->guest && reason == XR_VMCALL) {
        vmx_exit_insn(env, reason, 0, 0, &d, ra);
    }
    /* Conditions that come before the other VM exits */
    if (!(env->cr[0] & CR0_PE_MASK) || (env->eflags & VM_MASK) ||
        ((env->efer & MSR_EFER_LMA) && !(env->hflags & HF_CS64_MASK)) ||
        (reason == XR_VMXON && !(env->cr[4] & CR4_VMXE_MASK)) ||
        (reason != XR_VMXON && !v->on)) {
        raise_exception_ra(env, EXCP06_ILLOP, ra);
    }
    if (v->guest) {
        uint64_t qual = 0;

        info = 0;
        if (mem_operand) {
            info = vmx_insn_info(&d);
            qual = d.has_mem ? d.disp : 0;
            if (reason == XR_VMREAD || reason == XR_VMWRITE ||
                reason == XR_INVEPT || reason == XR_INVVPID) {
                info |= (uint32_t)d.reg << 28;
            }
        }
        vmx_exit_insn(env, reason, qual, info, &d, ra);
    }
    if (reason == XR_VMCALL) {
        if (env->hflags & HF_CPL_MASK) {
            raise_exception_err_ra(env, EXCP0D_GPF, 0, ra);
        }
        /* there is no SMM-transfer monitor */
        vmx_fail(env, VE_VMCALL_ROOT);
        env->eip += d.len;
        return;
    }
    if (env->hflags & HF_CPL_MASK) {
        raise_exception_err_ra(env, EXCP0D_GPF, 0, ra);
    }

    if (d.has_mem && d.seg == R_SS && (env->hflags & HF_CS64_MASK)) {
        int64_t sext = (int64_t)d.ea >> (env->cr[4] & CR4_LA57_MASK ? 56 : 47);

        if (sext != 0 && sext != -1) {
            raise_exception_err_ra(env, EXCP0C_STACK, 0, ra);
        }
    }

    switch (reason) {
    case XR_VMXON:
        if (v->on) {
            vmx_fail(env, VE_VMXON_IN_ROOT);
            break;
        }
        if ((~env->cr[0] & vmx_cr0_fixed0()) || (env->cr[0] >> 32) ||
            (env->cr[4] & cr4_reserved_bits(env)) ||
            (env->msr_ia32_feature_control &
             (FEATURE_CONTROL_LOCKED |
              FEATURE_CONTROL_VMXON_ENABLED_OUTSIDE_SMX)) !=
            (FEATURE_CONTROL_LOCKED |
             FEATURE_CONTROL_VMXON_ENABLED_OUTSIDE_SMX)) {
            raise_exception_err_ra(env, EXCP0D_GPF, 0, ra);
        }
        do_vmxon(env, cpu_ldq_data_ra(env, d.ea, ra));
        break;
    case XR_VMXOFF:
        vmcs_flush(env);
        v->on = false;
        v->have_vmcs = false;
        vmx_succeed(env);
        env->eip += d.len;
        break;
    case XR_VMCLEAR:
        do_vmclear(env, cpu_ldq_data_ra(env, d.ea, ra));
        break;
    case XR_VMPTRLD:
        do_vmptrld(env, cpu_ldq_data_ra(env, d.ea, ra));
        break;
    case XR_VMPTRST:
        cpu_stq_data_ra(env, d.ea, v->have_vmcs ? v->vmcs_ptr : ~0ull, ra);
        vmx_succeed(env);
        break;
    case XR_VMREAD:
        do_vmread(env, &d, ra);
        break;
    case XR_VMWRITE:
        do_vmwrite(env, &d, ra);
        break;
    case XR_VMLAUNCH:
    case XR_VMRESUME:
        vmx_entry(env, reason == XR_VMLAUNCH, &d);
        env->eip += d.len;
        break;
    case XR_INVEPT:
        do_invept(env, &d, ra);
        break;
    case XR_INVVPID:
        do_invvpid(env, &d, ra);
        break;
    }
}
