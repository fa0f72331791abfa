/* SPDX-License-Identifier: MIT */
/*
 * vCPU state to and from the public interface's save records, see context.h. The records come from
 * a tool and may say anything: a processor would refuse some combinations at entry (the domain
 * would crash), and loading others faults in the hypervisor.
 */
#include "cpu/context.h"

#include "cpu/cpuid.h"
#include "cpu/msr.h"
#include "lib/errno.h"
#include "lib/string.h"

#define C_CR0_PE       BIT(0)
#define C_CR0_ET       BIT(4)
#define C_CR0_NW       BIT(29)
#define C_CR0_CD       BIT(30)
#define C_CR0_PG       BIT(31)
#define C_CR4_PAE      BIT(5)
#define C_CR4_PCIDE    BIT(17)
#define C_EFER_LME     BIT(8)
#define C_EFER_LMA     BIT(10)
#define C_RFLAGS_KNOWN 0x3f7fd7ULL /* SDM vol. 1, 3.4.3 */

#define C_SYSENTER_CS    0x174
#define C_SYSENTER_ESP   0x175
#define C_SYSENTER_EIP   0x176
#define C_PAT            0x277
#define C_STAR           0xc0000081
#define C_LSTAR          0xc0000082
#define C_CSTAR          0xc0000083
#define C_SFMASK         0xc0000084
#define C_KERNEL_GS_BASE 0xc0000102
#define C_MTRR_CAP       0xfe
#define C_MTRR_VAR_FIRST 0x200
#define C_MTRR_DEF_TYPE  0x2ff

/* Legacy save area and XSAVE header (SDM vol. 1, 13.4). */
#define FPU_LEGACY       512
#define FPU_MXCSR        24
#define FPU_XSTATE_BV    512
#define FPU_XSAVE_HEADER 64
#define MXCSR_KNOWN      0xffffu

/* ---- segments: the record's fields are named one by one ---- */

struct seg_ref {
    uint8_t id;
    uint16_t sel, limit, base, attr; /* offsets in the record */
};

#define SEG(ID, name)                                                                              \
    {                                                                                              \
        CPU_SEG_##ID, offsetof(struct hvm_hw_cpu, name##_sel),                                     \
            offsetof(struct hvm_hw_cpu, name##_limit), offsetof(struct hvm_hw_cpu, name##_base),   \
            offsetof(struct hvm_hw_cpu, name##_arbytes)                                            \
    }

static const struct seg_ref segs[] = {
    SEG(ES, es), SEG(CS, cs), SEG(SS, ss),     SEG(DS, ds),
    SEG(FS, fs), SEG(GS, gs), SEG(LDTR, ldtr), SEG(TR, tr),
};

static void put32(struct hvm_hw_cpu *r, uint16_t offset, uint32_t val)
{
    memcpy((char *)r + offset, &val, sizeof(val));
}

static void put64(struct hvm_hw_cpu *r, uint16_t offset, uint64_t val)
{
    memcpy((char *)r + offset, &val, sizeof(val));
}

static uint32_t take32(const struct hvm_hw_cpu *r, uint16_t offset)
{
    uint32_t val;

    memcpy(&val, (const char *)r + offset, sizeof(val));
    return val;
}

static uint64_t take64(const struct hvm_hw_cpu *r, uint16_t offset)
{
    uint64_t val;

    memcpy(&val, (const char *)r + offset, sizeof(val));
    return val;
}

static void get_segments(const struct cpu_vcpu *c, struct hvm_hw_cpu *out)
{
    struct cpu_segment s;

    for (unsigned i = 0; i < ARRAY_SIZE(segs); i++) {
        cpu_backend->get_segment(c, (enum cpu_seg_id)segs[i].id, &s);
        put32(out, segs[i].sel, s.sel);
        put32(out, segs[i].limit, s.limit);
        put32(out, segs[i].attr, s.attr);
        put64(out, segs[i].base, s.base);
    }
    cpu_backend->get_segment(c, CPU_SEG_GDTR, &s);
    out->gdtr_base = s.base;
    out->gdtr_limit = s.limit;
    cpu_backend->get_segment(c, CPU_SEG_IDTR, &s);
    out->idtr_base = s.base;
    out->idtr_limit = s.limit;
}

static void set_segments(struct cpu_vcpu *c, const struct hvm_hw_cpu *in)
{
    struct cpu_segment table = { .limit = in->gdtr_limit, .base = in->gdtr_base };

    for (unsigned i = 0; i < ARRAY_SIZE(segs); i++) {
        struct cpu_segment s = {
            .sel = (uint16_t)take32(in, segs[i].sel),
            .attr = (uint16_t)(take32(in, segs[i].attr) & 0xfff),
            .limit = take32(in, segs[i].limit),
            .base = take64(in, segs[i].base),
        };

        cpu_backend->set_segment(c, (enum cpu_seg_id)segs[i].id, &s);
    }
    cpu_backend->set_segment(c, CPU_SEG_GDTR, &table);
    table = (struct cpu_segment){ .limit = in->idtr_limit, .base = in->idtr_base };
    cpu_backend->set_segment(c, CPU_SEG_IDTR, &table);
}

/* ---- general registers: the record's order is its own ---- */

static void get_gprs(const struct cpu_vcpu *c, struct hvm_hw_cpu *out)
{
    const uint64_t *g = c->regs.gpr;

    out->rax = g[CPU_RAX];
    out->rbx = g[CPU_RBX];
    out->rcx = g[CPU_RCX];
    out->rdx = g[CPU_RDX];
    out->rbp = g[CPU_RBP];
    out->rsi = g[CPU_RSI];
    out->rdi = g[CPU_RDI];
    out->rsp = g[CPU_RSP];
    memcpy(&out->r8, &g[CPU_R8], 8 * sizeof(uint64_t));
    out->rip = c->regs.rip;
    out->rflags = c->regs.rflags;
}

static void set_gprs(struct cpu_vcpu *c, const struct hvm_hw_cpu *in)
{
    uint64_t *g = c->regs.gpr;

    g[CPU_RAX] = in->rax;
    g[CPU_RBX] = in->rbx;
    g[CPU_RCX] = in->rcx;
    g[CPU_RDX] = in->rdx;
    g[CPU_RBP] = in->rbp;
    g[CPU_RSI] = in->rsi;
    g[CPU_RDI] = in->rdi;
    g[CPU_RSP] = in->rsp;
    memcpy(&g[CPU_R8], &in->r8, 8 * sizeof(uint64_t));
    c->regs.rip = in->rip;
    /* Tools leave the bit that is always 1 out. */
    c->regs.rflags = in->rflags | RFLAGS_FIXED;
}

/* ---- MSRs that live in the backend ---- */

struct msr_ref {
    uint32_t msr;
    uint16_t offset;
    bool address; /* must be canonical */
};

#define MSR(nr, name, addr)                                                                        \
    {                                                                                              \
        nr, offsetof(struct hvm_hw_cpu, name), addr                                                \
    }

static const struct msr_ref msrs[] = {
    MSR(C_SYSENTER_CS, sysenter_cs, false),  MSR(C_SYSENTER_ESP, sysenter_esp, true),
    MSR(C_SYSENTER_EIP, sysenter_eip, true), MSR(C_KERNEL_GS_BASE, shadow_gs, true),
    MSR(C_LSTAR, msr_lstar, true),           MSR(C_STAR, msr_star, false),
    MSR(C_CSTAR, msr_cstar, true),           MSR(C_SFMASK, msr_syscall_mask, false),
};

/* ---- reading ---- */

static void get_event(const struct cpu_vcpu *c, struct hvm_hw_cpu *out)
{
    /* The interface's numbers are those of an SVM event's type field. */
    static const uint8_t types[] = {
        [CPU_EVENT_INTR] = 0, [CPU_EVENT_NMI] = 2, [CPU_EVENT_EXCEPTION] = 3, [CPU_EVENT_SOFT] = 4
    };

    if (c->pending.type == CPU_EVENT_NONE)
        return;
    out->pending_vector = c->pending.vector;
    out->pending_type = types[c->pending.type] & 7u;
    out->pending_error_valid = c->pending.has_error;
    out->pending_valid = 1;
    out->error_code = c->pending.error;
}

void cpu_context_get(const struct cpu_vcpu *c, uint64_t host_tsc, struct hvm_hw_cpu *out)
{
    memset(out, 0, sizeof(*out));
    memcpy(out->fpu_regs, c->fpu, FPU_LEGACY);
    out->flags = XEN_X86_FPU_INITIALISED;
    get_gprs(c, out);
    out->cr0 = cpu_backend->get_cr(c, 0);
    out->cr2 = cpu_backend->get_cr(c, 2);
    out->cr3 = cpu_backend->get_cr(c, 3);
    out->cr4 = cpu_backend->get_cr(c, 4);
    memcpy(&out->dr0, c->dr, 4 * sizeof(uint64_t));
    out->dr6 = cpu_backend->get_dr(c, 6);
    out->dr7 = cpu_backend->get_dr(c, 7);
    get_segments(c, out);
    for (unsigned i = 0; i < ARRAY_SIZE(msrs); i++) {
        uint64_t val = 0;

        cpu_backend->get_msr(c, msrs[i].msr, &val);
        put64(out, msrs[i].offset, val);
    }
    out->msr_efer = cpu_backend->get_efer(c);
    out->msr_tsc_aux = c->tsc_aux;
    out->tsc = host_tsc + c->tsc_offset;
    get_event(c, out);
}

/* ---- checks ---- */

static bool is_canonical(uint64_t a)
{
    return (uint64_t)((int64_t)(a << 16) >> 16) == a;
}

static unsigned phys_bits(const struct cpu_vcpu *c)
{
    unsigned bits = c->cd->cpuid->ext[8].a & 0xff;

    return bits >= 32 && bits <= 52 ? bits : 36;
}

/* CR4 bits that the domain's CPUID stands for (SDM vol. 3, 2.5). */
static uint64_t cr4_allowed(const struct cpuid_policy *p)
{
    uint64_t allowed = GENMASK(7, 0) | BIT(9) | BIT(10); /* VME to PGE, OSFXSR, OSXMMEXCPT */

    if (p->leaf7[0].c & BIT(2))
        allowed |= BIT(11); /* UMIP */
    if (p->leaf7[0].b & BIT(0))
        allowed |= BIT(16); /* FSGSBASE */
    if (p->basic[1].c & BIT(17))
        allowed |= C_CR4_PCIDE;
    if (cpuid_has_xsave(p))
        allowed |= BIT(18); /* OSXSAVE */
    if (p->leaf7[0].b & BIT(7))
        allowed |= BIT(20); /* SMEP */
    if (p->leaf7[0].b & BIT(20))
        allowed |= BIT(21); /* SMAP */
    if (p->leaf7[0].c & BIT(3))
        allowed |= BIT(22); /* PKE */
    return allowed;
}

static uint64_t efer_allowed(const struct cpuid_policy *p)
{
    uint64_t allowed = BIT(0) | C_EFER_LME | C_EFER_LMA; /* SCE */

    if (p->ext[1].d & BIT(20))
        allowed |= BIT(11); /* NXE */
    if (p->ext[1].d & BIT(25))
        allowed |= BIT(14); /* FFXSR */
    return allowed;
}

static bool control_ok(const struct cpu_vcpu *c, const struct hvm_hw_cpu *in)
{
    const struct cpuid_policy *p = c->cd->cpuid;
    bool paging = in->cr0 & C_CR0_PG, lme = in->msr_efer & C_EFER_LME;
    bool lma = in->msr_efer & C_EFER_LMA;

    if (in->cr0 >> 32 || (paging && !(in->cr0 & C_CR0_PE)) ||
        ((in->cr0 & C_CR0_NW) && !(in->cr0 & C_CR0_CD)))
        return false;
    if ((in->cr4 & ~cr4_allowed(p)) || (in->msr_efer & ~efer_allowed(p)))
        return false;
    if (lma != (lme && paging) || (lma && !(in->cr4 & C_CR4_PAE)))
        return false;
    if ((in->cr4 & C_CR4_PCIDE) && !lma)
        return false;
    return !(in->cr3 & ~GENMASK(phys_bits(c) - 1, 0));
}

static bool addresses_ok(const struct hvm_hw_cpu *in)
{
    if (!is_canonical(in->gdtr_base) || !is_canonical(in->idtr_base))
        return false;
    for (unsigned i = 0; i < ARRAY_SIZE(segs); i++)
        if (!is_canonical(take64(in, segs[i].base)))
            return false;
    for (unsigned i = 0; i < ARRAY_SIZE(msrs); i++)
        if (msrs[i].address && !is_canonical(take64(in, msrs[i].offset)))
            return false;
    return is_canonical(in->rip);
}

static bool event_ok(const struct hvm_hw_cpu *in)
{
    if (!in->pending_valid)
        return true;
    switch (in->pending_type) {
    case 0: /* interrupt */
        return in->pending_vector >= 16;
    case 2:
        return in->pending_vector == X86_NMI;
    case 3: /* exception */
        return in->pending_vector < 32 && in->pending_vector != X86_NMI;
    case 4:
        return true;
    default:
        return false;
    }
}

int cpu_context_check(const struct cpu_vcpu *c, const struct hvm_hw_cpu *in)
{
    bool lma = in->msr_efer & C_EFER_LMA;
    uint32_t mxcsr;

    memcpy(&mxcsr, in->fpu_regs + FPU_MXCSR, sizeof(mxcsr));
    if (!control_ok(c, in) || !addresses_ok(in) || !event_ok(in))
        return -EINVAL;
    if ((in->rflags & ~C_RFLAGS_KNOWN) || ((in->rflags & RFLAGS_VM) && lma))
        return -EINVAL;
    /* A 64-bit code segment has no default size (APM vol. 2, 15.5.1: VMRUN refuses it). */
    if (lma && (in->cs_arbytes & CPU_SEG_ATTR_L) && (in->cs_arbytes & CPU_SEG_ATTR_DB))
        return -EINVAL;
    if (in->dr6 >> 32 || in->dr7 >> 32 || in->msr_tsc_aux >> 32)
        return -EINVAL;
    if ((in->flags & ~XEN_X86_FPU_INITIALISED) || in->pad0)
        return -EINVAL;
    /* Loading reserved bits of MXCSR faults, and it is the hypervisor that loads. */
    if ((in->flags & XEN_X86_FPU_INITIALISED) && (mxcsr & ~MXCSR_KNOWN))
        return -EINVAL;
    return 0;
}

/* ---- setting ---- */

static void set_event(struct cpu_vcpu *c, const struct hvm_hw_cpu *in)
{
    static const uint8_t types[] = { CPU_EVENT_INTR, CPU_EVENT_NONE, CPU_EVENT_NMI,
                                     CPU_EVENT_EXCEPTION, CPU_EVENT_SOFT };

    if (!in->pending_valid)
        return;
    c->pending = (struct cpu_event){ .type = types[in->pending_type],
                                     .vector = (uint8_t)in->pending_vector,
                                     .has_error = in->pending_error_valid,
                                     .error = in->error_code };
}

static void set_fpu(struct cpu_vcpu *c, const struct hvm_hw_cpu *in)
{
    uint64_t legacy = 3; /* x87 and SSE are in the area, everything else is in its initial state */

    if (!(in->flags & XEN_X86_FPU_INITIALISED))
        return;
    memcpy(c->fpu, in->fpu_regs, FPU_LEGACY);
    memset((char *)c->fpu + FPU_XSTATE_BV, 0, FPU_XSAVE_HEADER);
    memcpy((char *)c->fpu + FPU_XSTATE_BV, &legacy, sizeof(legacy));
}

void cpu_context_set(struct cpu_vcpu *c, uint64_t host_tsc, const struct hvm_hw_cpu *in)
{
    cpu_vcpu_reset(c);
    set_fpu(c, in);
    set_gprs(c, in);
    /* Caches stay on: with nested paging CD would take effect. */
    cpu_backend->set_cr(c, 0, (in->cr0 & ~(C_CR0_CD | C_CR0_NW)) | C_CR0_ET);
    cpu_backend->set_cr(c, 2, in->cr2);
    cpu_backend->set_cr(c, 3, in->cr3);
    cpu_backend->set_cr(c, 4, in->cr4);
    cpu_backend->set_efer(c, in->msr_efer);
    memcpy(c->dr, &in->dr0, sizeof(c->dr));
    cpu_backend->set_dr(c, 6, in->dr6);
    cpu_backend->set_dr(c, 7, in->dr7);
    set_segments(c, in);
    for (unsigned i = 0; i < ARRAY_SIZE(msrs); i++)
        cpu_backend->set_msr(c, msrs[i].msr, take64(in, msrs[i].offset));
    c->tsc_aux = in->msr_tsc_aux;
    c->tsc_offset = in->tsc - host_tsc;
    cpu_backend->set_tsc_offset(c, c->tsc_offset);
    set_event(c, in);
}

/* ---- MTRRs ---- */

void cpu_mtrr_get(const struct cpu_vcpu *c, struct hvm_hw_mtrr *out)
{
    memset(out, 0, sizeof(*out));
    cpu_backend->get_msr(c, C_PAT, &out->msr_pat_cr);
    memcpy(out->msr_mtrr_var, c->mtrr_var, sizeof(out->msr_mtrr_var));
    memcpy(out->msr_mtrr_fixed, c->mtrr_fixed, sizeof(out->msr_mtrr_fixed));
    mtrr_read(c, C_MTRR_CAP, &out->msr_mtrr_cap);
    out->msr_mtrr_def_type = c->mtrr_def_type;
}

/* A memory type that MTRRs (or, with `pat`, the PAT) know. */
static bool memory_type_ok(unsigned type, bool pat)
{
    return type == 0 || type == 1 || (type >= 4 && type <= (pat ? 7u : 6u));
}

static bool types_ok(uint64_t val, bool pat)
{
    for (unsigned b = 0; b < 64; b += 8)
        if (!memory_type_ok(val >> b & 0xff, pat))
            return false;
    return true;
}

int cpu_mtrr_check(const struct cpu_vcpu *c, const struct hvm_hw_mtrr *in)
{
    uint64_t address = GENMASK(phys_bits(c) - 1, 12);

    if (!types_ok(in->msr_pat_cr, true))
        return -EINVAL;
    for (unsigned i = 0; i < NUM_FIXED_MSR; i++)
        if (!types_ok(in->msr_mtrr_fixed[i], false))
            return -EINVAL;
    for (unsigned i = 0; i < 2 * MTRR_VCNT; i++) {
        uint64_t low = i & 1 ? BIT(11) : 0xff;

        if ((in->msr_mtrr_var[i] & ~(address | low)) ||
            (!(i & 1) && !memory_type_ok(in->msr_mtrr_var[i] & 0xff, false)))
            return -EINVAL;
    }
    /* Enable bits and the default type (SDM vol. 3, 12.11.2.1). */
    if ((in->msr_mtrr_def_type & ~(BIT(11) | BIT(10) | 0xff)) ||
        !memory_type_ok(in->msr_mtrr_def_type & 0xff, false))
        return -EINVAL;
    return 0;
}

void cpu_mtrr_set(struct cpu_vcpu *c, const struct hvm_hw_mtrr *in)
{
    cpu_backend->set_msr(c, C_PAT, in->msr_pat_cr);
    memcpy(c->mtrr_var, in->msr_mtrr_var, sizeof(in->msr_mtrr_var));
    memcpy(c->mtrr_fixed, in->msr_mtrr_fixed, sizeof(in->msr_mtrr_fixed));
    c->mtrr_def_type = in->msr_mtrr_def_type;
}
