/* SPDX-License-Identifier: MIT */
/*
 * The SVM backend: whether the machine has it, turning it on for a CPU, a vCPU's control block, address space
 * identifiers and the entry itself. Reading and writing guest state is in vmcb.c, events in inject.c, exits in exits.c.
 */
#include "cpu/svm/svm.h"

#include "boot/exception.h"
#include "cpu/x86.h"
#include "lib/assert.h"
#include "lib/errno.h"
#include "lib/leave_out.h"
#include "lib/printf.h"
#include "lib/string.h"
#include "mm/frame.h"
#include "mm/heap.h"
#include "mm/phys.h"
#include "p2m/p2m.h"

#define MSRPM_ORDER 1 /* SVM_MSRPM_SIZE */

struct svm_cpu svm_cpus[MAX_CPUS];
uint32_t svm_features;
static uint32_t svm_nr_asids;

static const char *svm_probe(void)
{
    uint32_t a, b, c, d;
    uint64_t vm_cr;

    cpuid(0x80000000, 0, &a, &b, &c, &d);
    if (a < 0x8000000a)
        return "the CPU has no SVM";
    cpuid(0x80000001, 0, &a, &b, &c, &d);
    if (!(c & BIT(2)))
        return "the CPU has no SVM";
    if (rdmsr_safe(MSR_VM_CR, &vm_cr) == 0 && (vm_cr & VM_CR_SVMDIS))
        return "SVM is disabled by the firmware";
    cpuid(0x8000000a, 0, &a, &b, &c, &d);
    if (!(d & SVM_FEATURE_NP))
        return "SVM has no nested paging";
    if (b < 2)
        return "SVM has no address space identifiers";
    svm_features = d;
    svm_nr_asids = b;
    /* Entries' bits 5:3 mean other things to nested paging than to EPT. */
    p2m_set_nested_paging(true);
    return NULL;
}

/* Nested tables have the page sizes of the CPU's own (CPUID 80000001H:EDX[26]). */
static unsigned svm_page_order(void)
{
    uint32_t a, b, c, d;

    cpuid(0x80000001, 0, &a, &b, &c, &d);
    return d & BIT(26) ? P2M_ORDER_1G : P2M_ORDER_2M;
}

static void vmsave(paddr_t pa)
{
    __asm__ __volatile__("vmsave %0" ::"a"(pa) : "memory");
}

static int svm_cpu_init(void)
{
    struct svm_cpu *sc = &svm_cpus[cpu_id()];

    if (!sc->hsave) {
        uint64_t mfn = frame_alloc(0, OWNER_XEN, FRAME_ZERO);
        uint64_t host = frame_alloc(0, OWNER_XEN, FRAME_ZERO);

        if (mfn == INVALID_MFN || host == INVALID_MFN) {
            if (mfn != INVALID_MFN)
                frame_free(mfn, 0);
            if (host != INVALID_MFN)
                frame_free(host, 0);
            return -ENOMEM;
        }
        sc->hsave = mfn_to_virt(mfn);
        sc->host = mfn_to_virt(host);
        sc->host_pa = virt_to_phys(sc->host);
    }
    wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_SVME);
    wrmsr(MSR_VM_HSAVE_PA, virt_to_phys(sc->hsave));
    /* GS base, TR and LDTR do not change from here on, so one picture of them serves every exit. */
    vmsave(sc->host_pa);
    /* The first one given out starts a new round, which flushes whatever was there before us. */
    sc->asid_max = svm_nr_asids - 1;
    sc->asid_next = svm_nr_asids;
    sc->asid_gen = 1;
    return 0;
}

static void svm_cpu_exit(void)
{
    wrmsr(MSR_VM_HSAVE_PA, 0);
    wrmsr(MSR_EFER, rdmsr(MSR_EFER) & ~EFER_SVME);
}

static int svm_domain_init(struct cpu_domain *cd)
{
    static const uint32_t free_msrs[] = {
        MSR_STAR,      MSR_LSTAR,          MSR_CSTAR, MSR_SFMASK, MSR_FS_BASE,
        MSR_GS_BASE,   MSR_KERNEL_GS_BASE, 0x174,     0x175,      0x176, /* SYSENTER_* */
    };
    uint64_t mfn = frame_alloc(MSRPM_ORDER, OWNER_XEN, 0);

    if (mfn == INVALID_MFN)
        return -ENOMEM;
    cd->backend = mfn_to_virt(mfn);
    memset(cd->backend, 0xff, SVM_MSRPM_SIZE);
    for (unsigned i = 0; i < ARRAY_SIZE(free_msrs); i++)
        svm_msrpm_allow(cd->backend, free_msrs[i], true, true);
    return 0;
}

static void svm_domain_destroy(struct cpu_domain *cd)
{
    frame_free(virt_to_mfn(cd->backend), MSRPM_ORDER);
    cd->backend = NULL;
}

static int svm_vcpu_init(struct cpu_vcpu *c)
{
    struct svm_vcpu *s = xzalloc(sizeof(*s));
    uint64_t mfn;

    if (!s)
        return -ENOMEM;
    mfn = frame_alloc(0, OWNER_XEN, FRAME_ZERO);
    if (mfn == INVALID_MFN) {
        xfree(s);
        return -ENOMEM;
    }
    s->vmcb = mfn_to_virt(mfn);
    s->vmcb_pa = mfn << PAGE_SHIFT;
    c->backend = s;
    svm_vmcb_init(s->vmcb, virt_to_phys(c->cd->io_bitmap), virt_to_phys(c->cd->backend),
                  p2m_root(c->p2m, P2M_LEVELS) << PAGE_SHIFT);
    return 0;
}

static void svm_vcpu_destroy(struct cpu_vcpu *c)
{
    struct svm_vcpu *s = svm_of(c);

    frame_free(virt_to_mfn(s->vmcb), 0);
    xfree(s);
    c->backend = NULL;
}

static void svm_vcpu_reset(struct cpu_vcpu *c)
{
    struct svm_vcpu *s = svm_of(c);

    svm_vmcb_reset(s->vmcb);
    s->nmi_blocked = false;
    s->iret_at_rip = false;
    s->asid_gen = 0; /* no CPU is in generation 0 */
}

/*
 * A fresh ASID has no translations (APM 15.16), so giving one out is also how a guest's translations are dropped. When
 * they are used up, everything is flushed once and all vCPUs of this CPU get new ones.
 */
static void svm_new_asid(struct svm_vcpu *s, struct svm_cpu *sc)
{
    if (sc->asid_next > sc->asid_max) {
        sc->asid_next = 1;
        sc->asid_gen++;
        if (flush_due(FLUSH_P2M_TAGS))
            s->vmcb->tlb_control = SVM_TLB_FLUSH_ALL;
    }
    s->vmcb->asid = sc->asid_next++;
    s->asid_gen = sc->asid_gen;
    if (s->asid_cpu != sc) {
        /* What the new CPU may have cached of this control block is of an earlier stay (APM 15.15.2). */
        s->asid_cpu = sc;
        s->vmcb->clean = 0;
    }
    s->vmcb->clean &= ~(uint32_t)SVM_CLEAN_ASID;
}

static void svm_flush_tlb(struct cpu_vcpu *c)
{
    if (flush_due(FLUSH_P2M_CHANGE))
        svm_of(c)->asid_gen = 0;
}

static void svm_set_tsc_offset(struct cpu_vcpu *c, uint64_t offset)
{
    struct vmcb *vm = vmcb_of(c);

    vm->tsc_offset = offset;
    vm->clean &= ~(uint32_t)SVM_CLEAN_INTERCEPTS;
}

static void svm_vcpu_load(struct cpu_vcpu *c)
{
    struct svm_vcpu *s = svm_of(c);

    s->cpu = &svm_cpus[cpu_id()];
    if (!flush_due(FLUSH_VCPU_MOVE))
        s->asid_gen = s->asid_gen ? s->cpu->asid_gen : 0; /* as if generations were the machine's, not each CPU's */
    else if (s->asid_cpu != s->cpu)
        s->asid_gen = 0;
}

/* All of it is in the control block already. */
static void svm_vcpu_save(struct cpu_vcpu *c)
{
    (void)c;
}

/*
 * Into the guest and out again (APM 15.5 and 15.17); RAX and RSP travel in the control block. Nothing can interrupt
 * between CLGI and STGI, so the host's own GS base and TR may be away meanwhile. RFLAGS.IF is set while GIF is clear:
 * with V_INTR_MASKING it is the host's IF at VMRUN that lets physical interrupts end the guest's run (APM 15.21.1).
 * STI's shadow ends with the next instruction, long before VMRUN. RBP is saved by hand because it is the frame pointer.
 */
static inline void run_guest(paddr_t vmcb, paddr_t host, uint64_t *gpr)
{
    __asm__ __volatile__("pushq %%rbp\n\t"
                         "pushq %%rdx\n\t"
                         "pushq %%rcx\n\t"
                         "clgi\n\t"
                         "sti\n\t"
                         "movq 2*8(%%rcx), %%rdx\n\t"
                         "movq 3*8(%%rcx), %%rbx\n\t"
                         "movq 5*8(%%rcx), %%rbp\n\t"
                         "movq 6*8(%%rcx), %%rsi\n\t"
                         "movq 7*8(%%rcx), %%rdi\n\t"
                         "movq 8*8(%%rcx), %%r8\n\t"
                         "movq 9*8(%%rcx), %%r9\n\t"
                         "movq 10*8(%%rcx), %%r10\n\t"
                         "movq 11*8(%%rcx), %%r11\n\t"
                         "movq 12*8(%%rcx), %%r12\n\t"
                         "movq 13*8(%%rcx), %%r13\n\t"
                         "movq 14*8(%%rcx), %%r14\n\t"
                         "movq 15*8(%%rcx), %%r15\n\t"
                         "movq 1*8(%%rcx), %%rcx\n\t"
                         "vmload %%rax\n\t"
                         "vmrun %%rax\n\t"
                         "vmsave %%rax\n\t" /* rax is the host's again */
                         "cli\n\t"
                         "pushq %%rcx\n\t"
                         "movq 8(%%rsp), %%rcx\n\t"
                         "movq %%rdx, 2*8(%%rcx)\n\t"
                         "movq %%rbx, 3*8(%%rcx)\n\t"
                         "movq %%rbp, 5*8(%%rcx)\n\t"
                         "movq %%rsi, 6*8(%%rcx)\n\t"
                         "movq %%rdi, 7*8(%%rcx)\n\t"
                         "movq %%r8, 8*8(%%rcx)\n\t"
                         "movq %%r9, 9*8(%%rcx)\n\t"
                         "movq %%r10, 10*8(%%rcx)\n\t"
                         "movq %%r11, 11*8(%%rcx)\n\t"
                         "movq %%r12, 12*8(%%rcx)\n\t"
                         "movq %%r13, 13*8(%%rcx)\n\t"
                         "movq %%r14, 14*8(%%rcx)\n\t"
                         "movq %%r15, 15*8(%%rcx)\n\t"
                         "popq 1*8(%%rcx)\n\t"
                         "popq %%rcx\n\t"
                         "popq %%rax\n\t"
                         "vmload %%rax\n\t"
                         "stgi\n\t"
                         "popq %%rbp"
                         : "+a"(vmcb), "+d"(host), "+c"(gpr)
                         :
                         : "rbx", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15",
                           "memory", "cc");
}

static void svm_enter(struct cpu_vcpu *c)
{
    struct svm_vcpu *s = svm_of(c);
    struct svm_cpu *sc = s->cpu;
    struct vmcb *vm = s->vmcb;
    bool virq;

    if (unlikely(s->asid_gen != sc->asid_gen))
        svm_new_asid(s, sc);
    if (unlikely((uint8_t)vm->int_ctl != c->cr8)) {
        vm->int_ctl = (vm->int_ctl & ~SVM_V_TPR_MASK) | c->cr8;
        vm->clean &= ~(uint32_t)SVM_CLEAN_TPR;
    }
    if (unlikely(c->cr8 | vm->intercept_cr_write))
        svm_watch_cr8(c);
    vm->int_state = c->shadow;
    vm->rax = c->regs.gpr[CPU_RAX];
    vm->rsp = c->regs.gpr[CPU_RSP];
    vm->rip = c->regs.rip;
    vm->rflags = c->regs.rflags;

    virq = svm_inject_as_virq(c);

    run_guest(s->vmcb_pa, sc->host_pa, c->regs.gpr);

    vm = vmcb_of(c);
    c->regs.gpr[CPU_RAX] = vm->rax;
    c->regs.gpr[CPU_RSP] = vm->rsp;
    c->regs.rip = vm->rip;
    c->regs.rflags = vm->rflags;
    c->cr8 = (uint8_t)vm->int_ctl;
    c->shadow = (uint8_t)vm->int_state;
    vm->tlb_control = SVM_TLB_NOTHING;
    vm->event_inj = 0;
    vm->clean = SVM_CLEAN_ALL; /* ignored by CPUs without the feature */
    if (unlikely(vm->exit_int_info & SVM_EVENT_VALID))
        svm_take_interrupted_event(c);
    if (unlikely(virq))
        svm_after_virq(c);
}

const struct cpu_backend svm_backend = {
    .name = "SVM",
    .hypercall_insn = { 0x0f, 0x01, 0xd9 }, /* VMMCALL */
    .probe = svm_probe,
    .page_order = svm_page_order,
    .cpu_init = svm_cpu_init,
    .cpu_exit = svm_cpu_exit,
    .domain_init = svm_domain_init,
    .domain_destroy = svm_domain_destroy,
    .vcpu_init = svm_vcpu_init,
    .vcpu_destroy = svm_vcpu_destroy,
    .vcpu_reset = svm_vcpu_reset,
    .vcpu_load = svm_vcpu_load,
    .vcpu_save = svm_vcpu_save,
    .enter = svm_enter,
    .handle_exit = svm_handle_exit,
    .get_segment = svm_get_segment,
    .set_segment = svm_set_segment,
    .get_cr = svm_get_cr,
    .get_control = svm_get_control,
    .set_cr = svm_set_cr,
    .get_dr = svm_get_dr,
    .set_dr = svm_set_dr,
    .get_efer = svm_get_efer,
    .set_efer = svm_set_efer,
    .get_msr = svm_get_msr,
    .set_msr = svm_set_msr,
    .get_cpl = svm_get_cpl,
    .inject = svm_inject,
    .can_inject_irq = svm_can_inject_irq,
    .can_inject_nmi = svm_can_inject_nmi,
    .request_irq_window = svm_request_irq_window,
    .request_nmi_window = svm_request_nmi_window,
    .flush_tlb = svm_flush_tlb,
    .set_tsc_offset = svm_set_tsc_offset,
    .dump = svm_dump,
};
