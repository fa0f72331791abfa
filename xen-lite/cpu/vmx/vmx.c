/* SPDX-License-Identifier: MIT */
/*
 * The VMX backend: whether the machine has it, turning it on for a CPU, a vCPU's life and the entry itself. Guest state is
 * in guest.c, events in inject.c, exits in exits.c, translations in tlb.c.
 */
#include "cpu/vmx/vmx.h"

#include "boot/asm_defs.h"
#include "boot/cmdline.h"
#include "boot/exception.h"
#include "cpu/cpuid.h"
#include "cpu/vmx/apic.h"
#include "cpu/x86.h"
#include "domain/domain.h"
#include "iommu/post.h"
#include "irq/irq.h"
#include "lib/assert.h"
#include "lib/errno.h"
#include "lib/leave_out.h"
#include "lib/printf.h"
#include "lib/string.h"
#include "mm/frame.h"
#include "mm/heap.h"
#include "mm/phys.h"
#include "p2m/p2m.h"
#include "vdev/vlapic.h"

#define CPUID1_ECX_VMX BIT(5)
#define CPUID7_EBX_INVPCID (1u << 10)
#define CPUID7_ECX_RDPID (1u << 22)
#define CPUID80000001_EDX_RDTSCP (1u << 27)

struct vmx_cpu vmx_cpus[MAX_CPUS];

int vmx_run(uint64_t *gpr, uint64_t *host_rsp, bool launched);
extern const char vmx_exit_point[];

/* By the command line: what is not to be used although CPUs have it. */
static bool emulate_apic, no_posting;

static const char *read_caps(struct vmx_caps *caps)
{
    const char *why = vmx_caps_probe(caps, rdmsr_safe);

    if (!why && emulate_apic)
        vmx_caps_emulate_apic(caps);
    if (!why && no_posting)
        vmx_caps_no_posting(caps);
    return why;
}

static const char *vmx_probe(void)
{
    const char *why;
    uint32_t a, b, c, d;
    uint64_t control = 0;

    cpuid(1, 0, &a, &b, &c, &d);
    if (!(c & CPUID1_ECX_VMX))
        return "the CPU has no VMX";
    if (rdmsr_safe(MSR_FEATURE_CONTROL, &control) == 0 && (control & FEATURE_CONTROL_LOCK) &&
        !(control & FEATURE_CONTROL_VMX))
        return "VMX is disabled by the firmware";
    /* Entries' bits 5:3 mean other things to EPT than to nested paging. */
    p2m_set_nested_paging(false);
    vmcs_table_init();
    emulate_apic = cmdline_list_has("apicv", "off");
    no_posting = cmdline_list_has("apicv", "no-posted");
    why = read_caps(&vmx_caps);
    if (!why)
        pr_info("cpu: guests' local APICs: %s%s", vmx_apic_summary(&vmx_caps),
                emulate_apic ? " (apicv=off)" : no_posting ? " (apicv=no-posted)" : "");
    return why;
}

static unsigned vmx_page_order(void)
{
    if (vmx_caps.ept_vpid & EPT_CAP_1G)
        return P2M_ORDER_1G;
    return vmx_caps.ept_vpid & EPT_CAP_2M ? P2M_ORDER_2M : P2M_ORDER_4K;
}

/* Instructions that are undefined in guests without their control (SDM 26.3). */
static void vmx_cpuid_filter(uint32_t leaf, uint32_t sub, struct cpuid_leaf *l)
{
    if (leaf == 7 && sub == 0) {
        if (!(vmx_caps.ctl.proc2 & PROC2_RDTSCP))
            l->c &= ~CPUID7_ECX_RDPID;
        if (!(vmx_caps.ctl.proc2 & PROC2_INVPCID))
            l->b &= ~CPUID7_EBX_INVPCID;
    } else if (leaf == CPUID_EXT_BASE + 1 && !(vmx_caps.ctl.proc2 & PROC2_RDTSCP)) {
        l->d &= ~CPUID80000001_EDX_RDTSCP;
    }
}

/* ---- one CPU ---- */

static void *region_alloc(void)
{
    uint64_t mfn = frame_alloc(0, OWNER_XEN, FRAME_ZERO);
    uint32_t *region;

    if (mfn == INVALID_MFN)
        return NULL;
    region = mfn_to_virt(mfn);
    *region = vmx_caps.revision; /* SDM 25.2, 25.11.5 */
    return region;
}

struct table_reg {
    uint16_t limit;
    uint64_t base;
} __attribute__((packed));

/* What exits load: as the CPU is now, which does not change any more. */
static void read_host(struct vmx_host *h)
{
    struct table_reg gdt, idt;
    const uint64_t *tss;
    uint16_t tr, ss;

    __asm__ __volatile__("sgdt %0" : "=m"(gdt));
    __asm__ __volatile__("sidt %0" : "=m"(idt));
    __asm__ __volatile__("str %0" : "=r"(tr));
    __asm__ __volatile__("mov %%ss, %0" : "=r"(ss));
    tss = (const uint64_t *)(gdt.base + tr);
    *h = (struct vmx_host){
        .cr0 = read_cr0(),
        .cr3 = read_cr3(),
        .cr4 = read_cr4(),
        .efer = rdmsr(MSR_EFER),
        .pat = rdmsr(MSR_PAT),
        .cs = SEL_CODE64,
        .ss = ss,
        .tr = tr,
        .gs_base = rdmsr(MSR_GS_BASE),
        /* SDM vol. 3, figure 8-4: base in bits 39:16, 63:56 and the second word. */
        .tr_base = (tss[0] >> 16 & 0xffffff) | (tss[0] >> 56) << 24 | tss[1] << 32,
        .gdtr_base = gdt.base,
        .idtr_base = idt.base,
        .rip = (uint64_t)vmx_exit_point,
    };
}

/* A VMCS goes from CPU to CPU, so its controls must mean the same everywhere. */
static bool same_as_boot_cpu(void)
{
    struct vmx_caps mine;
    const char *why = read_caps(&mine);

    if (!why && mine.revision == vmx_caps.revision && mine.ept_vpid == vmx_caps.ept_vpid &&
        !memcmp(&mine.ctl, &vmx_caps.ctl, sizeof(mine.ctl)))
        return true;
    pr_err("CPU %u has other VMX features than the boot CPU%s%s", cpu_id(), why ? ": " : "",
           why ? why : "");
    return false;
}

static int vmx_cpu_init(void)
{
    struct vmx_cpu *vc = &vmx_cpus[cpu_id()];
    uint64_t control = 0, pa;
    bool failed;

    if (!same_as_boot_cpu())
        return -EIO;
    if (!vc->vmxon)
        vc->vmxon = region_alloc();
    if (!vc->vmxon)
        return -ENOMEM;
    if (rdmsr_safe(MSR_FEATURE_CONTROL, &control) == 0 && !(control & FEATURE_CONTROL_LOCK))
        wrmsr(MSR_FEATURE_CONTROL, control | FEATURE_CONTROL_VMX | FEATURE_CONTROL_LOCK);
    write_cr4(read_cr4() | V_CR4_VMXE);
    if ((vmx_caps.cr0_fixed0 & ~read_cr0()) || (read_cr0() & ~vmx_caps.cr0_fixed1) ||
        (vmx_caps.cr4_fixed0 & ~read_cr4()) || (read_cr4() & ~vmx_caps.cr4_fixed1)) {
        pr_err("VMX cannot be turned on with CR0 %#lx, CR4 %#lx", read_cr0(), read_cr4());
        return -EIO;
    }
    pa = virt_to_phys(vc->vmxon);
    __asm__ __volatile__("vmxon %1" : "=@ccbe"(failed) : "m"(pa) : "memory");
    if (failed) {
        pr_err("VMXON failed");
        return -EIO;
    }
    vc->on = true;
    vmx_tlb_init_cpu();
    read_host(&vc->host);
    return 0;
}

static void vmx_cpu_exit(void)
{
    struct vmx_cpu *vc = &vmx_cpus[cpu_id()];

    if (!vc->on)
        return;
    vc->on = false;
    __asm__ __volatile__("vmxoff" ::: "cc", "memory");
    write_cr4(read_cr4() & ~V_CR4_VMXE);
}

/* ---- domains and vCPUs ---- */

static void *page_alloc(void)
{
    uint64_t mfn = frame_alloc(0, OWNER_XEN, FRAME_ZERO);

    return mfn == INVALID_MFN ? NULL : mfn_to_virt(mfn);
}

static void page_free(void *page)
{
    if (page)
        frame_free(virt_to_mfn(page), 0);
}

static void vmx_domain_destroy(struct cpu_domain *cd)
{
    struct vmx_domain *vd = cd->backend;

    page_free(vd->msr_bitmap);
    page_free(vd->apic_bitmap);
    xfree(vd);
    cd->backend = NULL;
}

static int vmx_domain_init(struct cpu_domain *cd)
{
    static const uint32_t free_msrs[] = {
        MSR_STAR,      MSR_LSTAR,          MSR_CSTAR, MSR_SFMASK, MSR_FS_BASE,
        MSR_GS_BASE,   MSR_KERNEL_GS_BASE, 0x174,     0x175,      0x176, /* SYSENTER_* */
    };
    struct vmx_domain *vd = xzalloc(sizeof(*vd));

    if (!vd)
        return -ENOMEM;
    cd->backend = vd;
    vd->msr_bitmap = page_alloc();
    if (vmx_caps.ctl.apic_proc2)
        vd->apic_bitmap = page_alloc();
    if (!vd->msr_bitmap || (!vd->apic_bitmap && vmx_caps.ctl.apic_proc2)) {
        vmx_domain_destroy(cd);
        return -ENOMEM;
    }
    memset(vd->msr_bitmap, 0xff, VMX_MSRBM_SIZE);
    for (unsigned i = 0; i < ARRAY_SIZE(free_msrs); i++)
        vmx_msrbm_allow(vd->msr_bitmap, free_msrs[i], true, true);
    if (vd->apic_bitmap) {
        memcpy(vd->apic_bitmap, vd->msr_bitmap, VMX_MSRBM_SIZE);
        vmx_apic_open_msrs(vd->apic_bitmap);
    }
    return 0;
}

static void vmx_vcpu_destroy(struct cpu_vcpu *c)
{
    struct vmx_vcpu *s = vmx_of(c);

    vmx_vpid_free((uint16_t)s->addr.vpid);
    c->v->vlapic.page = NULL; /* nobody asks any more */
    page_free(s->vmcs);
    page_free(s->vapic);
    xfree(s);
    c->backend = NULL;
}

static bool vmx_takes_posted(void)
{
    return vmx_caps.ctl.apic_pin;
}

static int vmx_vcpu_init(struct cpu_vcpu *c)
{
    struct vmx_vcpu *s = xzalloc(sizeof(*s));

    if (!s)
        return -ENOMEM;
    c->backend = s;
    s->c = c;
    s->dom = c->cd->backend;
    s->ctl = vmx_caps.ctl;
    s->vmcs = region_alloc();
    s->vapic = page_alloc();
    if (!s->vmcs || !s->vapic) {
        vmx_vcpu_destroy(c);
        return -ENOMEM;
    }
    s->addr = (struct vmx_addresses){
        .vpid = vmx_vpid_alloc(),
        .io_bitmap_a = virt_to_phys(c->cd->io_bitmap),
        .io_bitmap_b = virt_to_phys(c->cd->io_bitmap) + PAGE_SIZE,
        .msr_bitmap = virt_to_phys(s->dom->msr_bitmap),
        .apic_bitmap = s->dom->apic_bitmap ? virt_to_phys(s->dom->apic_bitmap) : 0,
        .virtual_apic = s->ctl.proc & PROC_TPR_SHADOW ? virt_to_phys(s->vapic) : 0,
        .eptp = vmx_eptp(&vmx_caps, p2m_root(c->p2m, P2M_LEVELS) << PAGE_SHIFT),
    };
    if (vmx_takes_posted() && c->v->vlapic.post) {
        s->addr.posted_vector = VECTOR_POSTED;
        s->addr.posted_descriptor = ir_post_address(c->v->vlapic.post);
    } else {
        s->ctl.apic_pin = 0;
    }
    if (!s->addr.vpid)
        s->ctl.proc2 &= ~(uint64_t)PROC2_VPID;
    return 0;
}

static void vmx_vcpu_reset(struct cpu_vcpu *c)
{
    vmx_guest_reset(vmx_of(c));
}

static void write_constant_part(struct vmx_vcpu *s)
{
    vmcs_write_set(BY_CONSTANT, NULL);
    vmcs_write_set(BY_CAPS, &s->ctl);
    vmcs_write_set(BY_VCPU, &s->addr);
    if (s->ctl.proc & PROC_TPR_SHADOW)
        vmcs_write(VMCS_TPR_THRESHOLD, 0);
    if (s->ctl.apic_proc2)
        vmcs_write_set(BY_APIC, NULL);
    s->tpr_threshold = 0;
    s->proc_ctl_vmcs = (uint32_t)s->ctl.proc;
    s->built = true;
}

static void vmclear(const void *vmcs)
{
    uint64_t pa = virt_to_phys(vmcs);

    __asm__ __volatile__("vmclear %0" ::"m"(pa) : "memory", "cc");
}

static void vmx_vcpu_load(struct cpu_vcpu *c)
{
    struct vmx_vcpu *s = vmx_of(c);
    const struct vmx_cpu *vc = &vmx_cpus[cpu_id()];
    uint64_t pa = virt_to_phys(s->vmcs);

    if (!s->built)
        vmclear(s->vmcs);
    __asm__ __volatile__("vmptrld %0" ::"m"(pa) : "memory", "cc");
    if (!s->built)
        write_constant_part(s);
    if (s->cpu != vc) {
        vmcs_write_set(BY_HOST, &vc->host);
        s->cpu = vc;
        s->host_rsp = 0;
        s->flush_ept = s->attention = true;
        s->flush_vpid |= flush_due(FLUSH_VCPU_MOVE);
    }
    vmcs_write(VMCS_TSC_OFFSET, c->tsc_offset);
    vmx_load_registers(s);
    s->loaded = true;
}

/* From here on any CPU may look at the state, or load the vCPU. */
static void vmx_vcpu_save(struct cpu_vcpu *c)
{
    struct vmx_vcpu *s = vmx_of(c);

    vmx_read_all(s);
    vmx_save_registers(s);
    s->loaded = false;
    s->launched = false;
    vmclear(s->vmcs);
}

static void vmx_set_tsc_offset(struct cpu_vcpu *c, uint64_t offset)
{
    struct vmx_vcpu *s = vmx_of(c);

    if (s->loaded)
        vmcs_write(VMCS_TSC_OFFSET, offset);
    /* else vmx_vcpu_load() does it */
}

/* ---- entry ---- */

/* The interrupt shadow as the common code left it; with it goes single-stepping that waits for its end. */
static void set_shadow(struct cpu_vcpu *c, struct vmx_vcpu *s, uint64_t old)
{
    vmx_set(s, SLOT_INTERRUPTIBILITY, (old & ~3ULL) | c->shadow);
    vmx_set(s, SLOT_PENDING_DBG, c->shadow && (c->regs.rflags & RFLAGS_TF) ? PENDING_DBG_BS : 0);
}

/* Anything of this is rare; `attention` says that some of it is due. */
static __attribute__((noinline)) void prepare_rest(struct cpu_vcpu *c, struct vmx_vcpu *s)
{
    s->attention = false;
    if (s->dirty) {
        s->val[SLOT_RIP] = c->regs.rip;
        s->val[SLOT_RSP] = c->regs.gpr[CPU_RSP];
        s->val[SLOT_RFLAGS] = c->regs.rflags;
        vmx_write_back(s);
    }
    if (s->flush_ept || s->flush_vpid)
        vmx_tlb_sync(s, cpu_id());
    if (s->proc_ctl != s->proc_ctl_vmcs) {
        vmcs_write(VMCS_PROC_CTL, s->proc_ctl);
        s->proc_ctl_vmcs = s->proc_ctl;
    }
}

static inline void prepare(struct cpu_vcpu *c, struct vmx_vcpu *s)
{
    uint64_t old = s->val[SLOT_INTERRUPTIBILITY];

    if (unlikely((old & 3) != c->shadow))
        set_shadow(c, s, old);
    vmcs_write(VMCS_GUEST_RIP, c->regs.rip);
    if (unlikely(s->val[SLOT_RSP] != c->regs.gpr[CPU_RSP]))
        vmcs_write(VMCS_GUEST_RSP, c->regs.gpr[CPU_RSP]);
    if (unlikely(s->val[SLOT_RFLAGS] != c->regs.rflags))
        vmcs_write(VMCS_GUEST_RFLAGS, c->regs.rflags);
    vmx_apic_enter(c, s);
    if (unlikely(s->attention))
        prepare_rest(c, s);
    if (unlikely(!s->launched) && !s->checked)
        vmx_first_check(s);
}

/* The slots of RIP, RSP and RFLAGS keep what the VMCS has; the registers themselves are in c->regs. */
static inline void take_exit(struct cpu_vcpu *c, struct vmx_vcpu *s)
{
    uint32_t info;

    s->valid = SLOTS_KEPT | BIT(SLOT_INTERRUPTIBILITY);
    s->exit_reason = (uint32_t)vmcs_read(VMCS_EXIT_REASON);
    c->regs.rip = vmcs_read(VMCS_GUEST_RIP);
    c->regs.gpr[CPU_RSP] = s->val[SLOT_RSP] = vmcs_read(VMCS_GUEST_RSP);
    c->regs.rflags = s->val[SLOT_RFLAGS] = vmcs_read(VMCS_GUEST_RFLAGS);
    s->val[SLOT_INTERRUPTIBILITY] = vmcs_read(VMCS_GUEST_INTERRUPTIBILITY);
    c->shadow = s->val[SLOT_INTERRUPTIBILITY] & 3;
    vmx_apic_leave(c, s);
    s->injecting = false;
    info = (uint32_t)vmcs_read(VMCS_IDT_VECTORING);
    if (unlikely(info & INTR_VALID))
        vmx_take_interrupted_event(c, info);
}

static void vmx_enter(struct cpu_vcpu *c)
{
    struct vmx_vcpu *s = vmx_of(c);

    prepare(c, s);
    if (unlikely(vmx_run(c->regs.gpr, &s->host_rsp, s->launched))) {
        s->entry_fail = (uint32_t)vmcs_read(VMCS_INSN_ERROR) + 1;
        s->exit_reason = (uint32_t)EXIT_ENTRY_FAILED;
        return;
    }
    s->launched = true;
    take_exit(c, s);
}

void vmcs_write_failed(uint16_t enc, uint64_t val)
{
    panic("VMWRITE of %#lx to the VMCS's %s (%#x) failed", val, vmcs_name(enc), enc);
}

const struct cpu_backend vmx_backend = {
    .name = "VMX",
    .hypercall_insn = { 0x0f, 0x01, 0xc1 }, /* VMCALL */
    .probe = vmx_probe,
    .page_order = vmx_page_order,
    .cpuid_filter = vmx_cpuid_filter,
    .cpu_init = vmx_cpu_init,
    .cpu_exit = vmx_cpu_exit,
    .domain_init = vmx_domain_init,
    .domain_destroy = vmx_domain_destroy,
    .vcpu_init = vmx_vcpu_init,
    .vcpu_destroy = vmx_vcpu_destroy,
    .vcpu_reset = vmx_vcpu_reset,
    .vcpu_load = vmx_vcpu_load,
    .vcpu_save = vmx_vcpu_save,
    .enter = vmx_enter,
    .handle_exit = vmx_handle_exit,
    .get_segment = vmx_get_segment,
    .set_segment = vmx_set_segment,
    .get_cr = vmx_get_cr,
    .get_control = vmx_get_control,
    .set_cr = vmx_set_cr,
    .get_dr = vmx_get_dr,
    .set_dr = vmx_set_dr,
    .get_efer = vmx_get_efer,
    .set_efer = vmx_set_efer,
    .get_msr = vmx_get_msr,
    .set_msr = vmx_set_msr,
    .get_cpl = vmx_get_cpl,
    .inject = vmx_inject,
    .can_inject_irq = vmx_can_inject_irq,
    .can_inject_nmi = vmx_can_inject_nmi,
    .request_irq_window = vmx_request_irq_window,
    .request_nmi_window = vmx_request_nmi_window,
    .serve_apic = vmx_serve_apic,
    .takes_posted = vmx_takes_posted,
    .flush_tlb = vmx_flush_tlb,
    .set_tsc_offset = vmx_set_tsc_offset,
    .dump = vmx_dump,
};
