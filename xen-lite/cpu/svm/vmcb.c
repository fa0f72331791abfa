/* SPDX-License-Identifier: MIT */
/*
 * The contents of a control block: what is intercepted, the state after INIT, and guest registers that live in it.
 * No privileged instruction here, so this file also builds for the host's tests.
 */
#include "cpu/svm/svm.h"

#include "lib/errno.h"
#include "lib/printf.h"
#include "lib/string.h"

/* Not in cpu/x86.h's reach on the host. */
#define REG_MSR_SYSENTER_CS 0x174
#define REG_MSR_SYSENTER_ESP 0x175
#define REG_MSR_SYSENTER_EIP 0x176
#define REG_MSR_PAT 0x277
#define REG_MSR_STAR 0xc0000081
#define REG_MSR_LSTAR 0xc0000082
#define REG_MSR_CSTAR 0xc0000083
#define REG_MSR_SFMASK 0xc0000084
#define REG_MSR_FS_BASE 0xc0000100
#define REG_MSR_GS_BASE 0xc0000101
#define REG_MSR_KERNEL_GS_BASE 0xc0000102

#define REG_EFER_SVME BIT(12)
#define REG_CR0_ET BIT(4)

#define PAT_AFTER_RESET 0x0007040600070406ULL /* SDM vol. 3, 12.12.4 */
#define DR6_AFTER_RESET 0xffff0ff0ULL
#define DR7_AFTER_RESET 0x400ULL

/* Where each segment register is in a VMCB. */
static const uint16_t seg_offset[CPU_NR_SEGS] = {
    [CPU_SEG_ES] = offsetof(struct vmcb, es),     [CPU_SEG_CS] = offsetof(struct vmcb, cs),
    [CPU_SEG_SS] = offsetof(struct vmcb, ss),     [CPU_SEG_DS] = offsetof(struct vmcb, ds),
    [CPU_SEG_FS] = offsetof(struct vmcb, fs),     [CPU_SEG_GS] = offsetof(struct vmcb, gs),
    [CPU_SEG_LDTR] = offsetof(struct vmcb, ldtr), [CPU_SEG_TR] = offsetof(struct vmcb, tr),
    [CPU_SEG_GDTR] = offsetof(struct vmcb, gdtr), [CPU_SEG_IDTR] = offsetof(struct vmcb, idtr),
};

static struct vmcb_seg *seg_of(struct vmcb *vm, enum cpu_seg_id id)
{
    return (struct vmcb_seg *)((uint8_t *)vm + seg_offset[id]);
}

void svm_vmcb_init(struct vmcb *vm, paddr_t iopm, paddr_t msrpm, uint64_t n_cr3)
{
    memset(vm, 0, sizeof(*vm));
    /* #DB and #AC so that a guest cannot keep the CPU in an endless chain of faults (CVE-2015-5307, -8104); #MC is
     * the machine's business. */
    vm->intercept_exceptions = (1u << X86_DB) | (1u << X86_AC) | (1u << X86_MC);
    vm->intercept1 = SVM_INTERCEPT_INTR | SVM_INTERCEPT_NMI | SVM_INTERCEPT_SMI |
                     SVM_INTERCEPT_INIT | SVM_INTERCEPT_RDPMC | SVM_INTERCEPT_CPUID |
                     SVM_INTERCEPT_RSM | SVM_INTERCEPT_INVD | SVM_INTERCEPT_HLT |
                     SVM_INTERCEPT_INVLPGA | SVM_INTERCEPT_IOIO | SVM_INTERCEPT_MSR |
                     SVM_INTERCEPT_TASK | SVM_INTERCEPT_FERR | SVM_INTERCEPT_SHUTDOWN;
    vm->intercept2 = SVM_INTERCEPT2_VMRUN | SVM_INTERCEPT2_VMMCALL | SVM_INTERCEPT2_VMLOAD |
                     SVM_INTERCEPT2_VMSAVE | SVM_INTERCEPT2_STGI | SVM_INTERCEPT2_CLGI |
                     SVM_INTERCEPT2_SKINIT | SVM_INTERCEPT2_WBINVD | SVM_INTERCEPT2_MONITOR |
                     SVM_INTERCEPT2_MWAIT | SVM_INTERCEPT2_MWAIT_ARMED | SVM_INTERCEPT2_XSETBV |
                     SVM_INTERCEPT2_RDPRU;
    vm->iopm_pa = iopm;
    vm->msrpm_pa = msrpm;
    vm->int_ctl = SVM_V_INTR_MASKING;
    vm->np_ctl = SVM_NP_ENABLE;
    vm->n_cr3 = n_cr3;
    vm->g_pat = PAT_AFTER_RESET;
    svm_vmcb_reset(vm);
}

/* SDM vol. 3, table 9-1, column INIT; but caches stay on (CR0.CD clear), as with nested paging CD would take effect. */
void svm_vmcb_reset(struct vmcb *vm)
{
    static const struct vmcb_seg data = { 0, 0x93, 0xffff, 0 };

    vm->es = vm->ss = vm->ds = vm->fs = vm->gs = data;
    vm->cs = (struct vmcb_seg){ 0xf000, 0x9b, 0xffff, 0xffff0000 };
    vm->gdtr = vm->idtr = (struct vmcb_seg){ 0, 0, 0xffff, 0 };
    vm->ldtr = (struct vmcb_seg){ 0, 0x82, 0xffff, 0 };
    vm->tr = (struct vmcb_seg){ 0, 0x8b, 0xffff, 0 };
    vm->cpl = 0;
    vm->efer = REG_EFER_SVME;
    vm->cr0 = REG_CR0_ET;
    vm->cr2 = vm->cr3 = vm->cr4 = 0;
    vm->dr6 = DR6_AFTER_RESET;
    vm->dr7 = DR7_AFTER_RESET;
    vm->star = vm->lstar = vm->cstar = vm->sfmask = vm->kernel_gs_base = 0;
    vm->sysenter_cs = vm->sysenter_esp = vm->sysenter_eip = 0;
    vm->int_state = 0;
    vm->event_inj = 0;
    vm->int_ctl &= ~(SVM_V_IRQ | SVM_V_TPR_MASK);
    vm->intercept1 &= ~(uint32_t)(SVM_INTERCEPT_VINTR | SVM_INTERCEPT_IRET);
    vm->clean = 0;
}

void svm_get_segment(const struct cpu_vcpu *c, enum cpu_seg_id id, struct cpu_segment *out)
{
    const struct vmcb_seg *s = seg_of(vmcb_of(c), id);

    *out = (struct cpu_segment){ .sel = s->sel, .attr = s->attr & 0xfff, .limit = s->limit,
                                 .base = s->base };
}

void svm_set_segment(struct cpu_vcpu *c, enum cpu_seg_id id, const struct cpu_segment *in)
{
    struct vmcb *vm = vmcb_of(c);

    *seg_of(vm, id) = (struct vmcb_seg){ .sel = in->sel, .attr = in->attr & 0xfff,
                                         .limit = in->limit, .base = in->base };
    if (id == CPU_SEG_SS)
        vm->cpl = (uint8_t)CPU_SEG_ATTR_DPL(in->attr);
    vm->clean &= ~(uint32_t)(SVM_CLEAN_SEG | SVM_CLEAN_DT);
}

uint64_t svm_get_cr(const struct cpu_vcpu *c, unsigned n)
{
    const struct vmcb *vm = vmcb_of(c);

    return n == 0 ? vm->cr0 : n == 2 ? vm->cr2 : n == 3 ? vm->cr3 : vm->cr4;
}

void svm_set_cr(struct cpu_vcpu *c, unsigned n, uint64_t val)
{
    struct vmcb *vm = vmcb_of(c);

    *(n == 0 ? &vm->cr0 : n == 2 ? &vm->cr2 : n == 3 ? &vm->cr3 : &vm->cr4) = val;
    vm->clean &= ~(uint32_t)(n == 2 ? SVM_CLEAN_CR2 : SVM_CLEAN_CR);
}

uint64_t svm_get_dr(const struct cpu_vcpu *c, unsigned n)
{
    return n == 6 ? vmcb_of(c)->dr6 : vmcb_of(c)->dr7;
}

void svm_set_dr(struct cpu_vcpu *c, unsigned n, uint64_t val)
{
    struct vmcb *vm = vmcb_of(c);

    *(n == 6 ? &vm->dr6 : &vm->dr7) = val;
    vm->clean &= ~(uint32_t)SVM_CLEAN_DR;
}

/* VMRUN demands SVME in the guest's EFER (APM 15.5.1); the guest has no SVM and must not see it. */
uint64_t svm_get_efer(const struct cpu_vcpu *c)
{
    return vmcb_of(c)->efer & ~REG_EFER_SVME;
}

void svm_set_efer(struct cpu_vcpu *c, uint64_t efer)
{
    struct vmcb *vm = vmcb_of(c);

    vm->efer = efer | REG_EFER_SVME;
    vm->clean &= ~(uint32_t)SVM_CLEAN_CR;
}

void svm_get_control(const struct cpu_vcpu *c, struct cpu_control *out)
{
    const struct vmcb *vm = vmcb_of(c);

    out->cr0 = vm->cr0;
    out->cr3 = vm->cr3;
    out->cr4 = vm->cr4;
    out->efer = vm->efer & ~REG_EFER_SVME;
    out->cs_base = vm->cs.base;
    out->cs_attr = vm->cs.attr & 0xfff;
}

static uint64_t *msr_field(struct vmcb *vm, uint32_t msr)
{
    switch (msr) {
    case REG_MSR_STAR:
        return &vm->star;
    case REG_MSR_LSTAR:
        return &vm->lstar;
    case REG_MSR_CSTAR:
        return &vm->cstar;
    case REG_MSR_SFMASK:
        return &vm->sfmask;
    case REG_MSR_FS_BASE:
        return &vm->fs.base;
    case REG_MSR_GS_BASE:
        return &vm->gs.base;
    case REG_MSR_KERNEL_GS_BASE:
        return &vm->kernel_gs_base;
    case REG_MSR_SYSENTER_CS:
        return &vm->sysenter_cs;
    case REG_MSR_SYSENTER_ESP:
        return &vm->sysenter_esp;
    case REG_MSR_SYSENTER_EIP:
        return &vm->sysenter_eip;
    case REG_MSR_PAT:
        return &vm->g_pat;
    default:
        return NULL;
    }
}

int svm_get_msr(const struct cpu_vcpu *c, uint32_t msr, uint64_t *val)
{
    const uint64_t *field = msr_field(vmcb_of(c), msr);

    if (!field)
        return -EINVAL;
    *val = *field;
    return 0;
}

int svm_set_msr(struct cpu_vcpu *c, uint32_t msr, uint64_t val)
{
    struct vmcb *vm = vmcb_of(c);
    uint64_t *field = msr_field(vm, msr);

    if (!field)
        return -EINVAL;
    *field = val;
    vm->clean &= ~(uint32_t)(SVM_CLEAN_SEG | SVM_CLEAN_NP); /* NP covers G_PAT */
    return 0;
}

unsigned svm_get_cpl(const struct cpu_vcpu *c)
{
    return vmcb_of(c)->cpl;
}

int svm_msrpm_allow(uint8_t *map, uint32_t msr, bool read, bool write)
{
    static const uint32_t range[] = { 0, 0xc0000000, 0xc0010000 };

    for (unsigned i = 0; i < ARRAY_SIZE(range); i++) {
        uint32_t bit;

        if (msr - range[i] >= 0x2000)
            continue;
        bit = i * 0x4000 + (msr - range[i]) * 2; /* 800h bytes a range */
        if (read)
            map[bit / 8] &= (uint8_t) ~(1u << bit % 8);
        if (write)
            map[bit / 8] &= (uint8_t) ~(2u << bit % 8);
        return 0;
    }
    return -EINVAL;
}

void svm_dump(const struct cpu_vcpu *c)
{
    const struct vmcb *vm = vmcb_of(c);

    pr_info("  exit %#lx info %#lx %#lx intinfo %#lx inj %#lx int_ctl %#lx shadow %lu asid %u",
            vm->exit_code, vm->exit_info1, vm->exit_info2, vm->exit_int_info, vm->event_inj,
            vm->int_ctl, vm->int_state, vm->asid);
}
