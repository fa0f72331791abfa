/* SPDX-License-Identifier: MIT */
/*
 * From VMX's exit reasons (SDM appendix C) to the common handlers: a table of one small function a reason.
 */
#include "cpu/vmx/vmx.h"

#include "cpu/exit.h"
#include "cpu/vmx/apic.h"
#include "cpu/x86.h"
#include "domain/domain.h"
#include "irq/irq.h"
#include "vdev/vlapic.h"

typedef void (*exit_fn)(struct cpu_vcpu *c);

static inline unsigned insn_len(void)
{
    return (unsigned)vmcs_read(VMCS_EXIT_INSN_LEN);
}

#define INSN_EXIT(name, handler)                                                                   \
    static void name(struct cpu_vcpu *c)                                                           \
    {                                                                                              \
        handler(c, insn_len());                                                                    \
    }

INSN_EXIT(on_cpuid, exit_cpuid)
INSN_EXIT(on_hlt, exit_hlt)
INSN_EXIT(on_vmcall, exit_hypercall)
INSN_EXIT(on_xsetbv, exit_xsetbv)
INSN_EXIT(on_pause, exit_pause)
INSN_EXIT(on_rdmsr, exit_rdmsr)
INSN_EXIT(on_wrmsr, exit_wrmsr)
INSN_EXIT(on_cache_flush, exit_cache_flush)

/* The interrupt waits at the local APIC until it is let in, unless the exit has taken it from there already. */
static void on_external(struct cpu_vcpu *c)
{
    c->exits[CPU_EXIT_interrupt]++;
    if (vmx_of(c)->ctl.exit & EXIT_CTL_ACK_IRQ)
        irq_dispatch((uint8_t)vmcs_read(VMCS_EXIT_INTR));
    else
        irq_window();
}

/* Nothing to do but to enter again: the loop looks at what is due. */
static void on_nothing(struct cpu_vcpu *c)
{
    (void)c;
}

/*
 * The exit leaves DR6 as it was; what it would have got is in the exit qualification. DR7.GD is cleared by delivery (SDM
 * vol. 3, 18.2.4), which is still to come.
 */
static void on_db(struct cpu_vcpu *c)
{
    uint64_t q = vmcs_read(VMCS_EXIT_QUALIFICATION) & DBQ_DR6;

    vmx_set_dr(c, 6, (vmx_get_dr(c, 6) & ~GENMASK(3, 0)) | q);
    vmx_set_dr(c, 7, vmx_get_dr(c, 7) & ~BIT(13));
    cpu_inject_exception(c, X86_DB);
}

/* Exceptions of ours, and NMIs: the latter and machine checks belong to the hypervisor's own handlers. */
static void on_exception(struct cpu_vcpu *c)
{
    uint32_t info = (uint32_t)vmcs_read(VMCS_EXIT_INTR);
    uint8_t vector = info & INTR_VECTOR_MASK;

    if ((info & INTR_TYPE_MASK) >> INTR_TYPE_SHIFT == INTR_TYPE_NMI) {
        __asm__ __volatile__("int %0" ::"i"(X86_NMI) : "memory");
        return;
    }
    if (vector != X86_DF)
        vmx_restore_nmi_blocking(vmx_of(c), info & EPTQ_NMI_UNBLOCKED);
    if (vector == X86_DB)
        on_db(c);
    else if (vector == X86_AC)
        cpu_inject_exception_error(c, X86_AC, (uint32_t)vmcs_read(VMCS_EXIT_INTR_ERROR));
    else if (vector == X86_MC)
        __asm__ __volatile__("int %0" ::"i"(X86_MC) : "memory");
    else
        exit_internal(c, "exception", info);
}

/* Also during VM entry (reason 41). */
static void on_machine_check(struct cpu_vcpu *c)
{
    __asm__ __volatile__("int %0" ::"i"(X86_MC) : "memory");
    exit_internal(c, "machine check at VM entry", 0);
}

/* ---- control registers ---- */

static uint64_t operand(const struct cpu_vcpu *c, unsigned gpr)
{
    /* Outside of 64-bit code a register operand has 32 bits. */
    return cpu_mode_bytes(c) == 8 ? c->regs.gpr[gpr] : (uint32_t)c->regs.gpr[gpr];
}

/* Without a TPR shadow. */
static void on_cr8(struct cpu_vcpu *c, uint64_t q)
{
    unsigned gpr = CRQ_GPR(q);

    if (CRQ_TYPE(q) == CRQ_MOV_TO) {
        exit_set_cr8(c, gpr, insn_len());
        return;
    }
    c->regs.gpr[gpr] = vlapic_get_cr8(&c->v->vlapic);
    cpu_skip(c, insn_len());
}

/*
 * CR0: the guest changes a bit of CR0_HOST_MASK. CR4: it sets a bit that it cannot have, as bits that it has never exit.
 * CLTS and LMSW do not reach the host's bits.
 */
static void on_cr(struct cpu_vcpu *c)
{
    uint64_t q = vmcs_read(VMCS_EXIT_QUALIFICATION);

    if (CRQ_NUMBER(q) == 8) {
        on_cr8(c, q);
    } else if (CRQ_TYPE(q) != CRQ_MOV_TO || (CRQ_NUMBER(q) != 0 && CRQ_NUMBER(q) != 4)) {
        exit_internal(c, "control register access", q);
    } else if (CRQ_NUMBER(q) == 4 || vmx_write_cr0(c, operand(c, CRQ_GPR(q)))) {
        cpu_inject_exception_error(c, X86_GP, 0);
    } else {
        cpu_skip(c, insn_len());
    }
}

/* ---- ports and memory ---- */

/* Bits 3 and 4 go to 0 and 2, the size less one to bits 6:4 as the size; the port stays. */
uint32_t vmx_pio_access(uint64_t q)
{
    return ((uint32_t)q & 0xffff0000u) | IOQ_SIZE(q) << 4 | ((uint32_t)(q & IOQ_IN) >> 3) |
           ((uint32_t)(q & IOQ_STRING) >> 2);
}

/* Outside of 64-bit code the instruction pointer has 32 bits. */
static __attribute__((noinline)) uint64_t wrap_rip(const struct cpu_vcpu *c, uint64_t rip)
{
    return cpu_mode_bytes(c) == 8 ? rip : (uint32_t)rip;
}

static void on_io(struct cpu_vcpu *c)
{
    uint64_t next = c->regs.rip + insn_len();

    if (unlikely((next ^ c->regs.rip) >> 32))
        next = wrap_rip(c, next);
    exit_pio(c, vmx_pio_access(vmcs_read(VMCS_EXIT_QUALIFICATION)), next);
}

static void on_ept_violation(struct cpu_vcpu *c)
{
    uint64_t q = vmcs_read(VMCS_EXIT_QUALIFICATION);
    struct cpu_npf npf = {
        .gpa = vmcs_read(VMCS_GUEST_PHYSICAL),
        .write = q & EPTQ_WRITE,
        .fetch = q & EPTQ_FETCH,
        .present = q & EPTQ_PERMISSIONS,
        .table_walk = (q & EPTQ_LINEAR_VALID) && !(q & EPTQ_FINAL),
    };

    if (unlikely(q & EPTQ_NMI_UNBLOCKED))
        vmx_restore_nmi_blocking(vmx_of(c), true);
    exit_npf(c, &npf);
}

/* Nothing writes such an entry, so memory is corrupt. */
static void on_ept_misconfig(struct cpu_vcpu *c)
{
    exit_internal(c, "EPT misconfiguration at", vmcs_read(VMCS_GUEST_PHYSICAL));
}

static const exit_fn exit_table[EXIT_TABLE_SIZE] = {
    [EXIT_EXCEPTION] = on_exception,
    [EXIT_EXTERNAL] = on_external,
    [EXIT_TRIPLE_FAULT] = exit_shutdown,
    [EXIT_INIT] = on_nothing, /* INIT is how the machine stops a CPU: it takes effect at VMXOFF */
    [EXIT_SIPI] = on_nothing,
    [EXIT_IRQ_WINDOW] = vmx_exit_irq_window,
    [EXIT_NMI_WINDOW] = vmx_exit_nmi_window,
    [EXIT_TASK_SWITCH] = exit_task_switch,
    [EXIT_CPUID] = on_cpuid,
    [EXIT_GETSEC] = exit_undefined,
    [EXIT_HLT] = on_hlt,
    [EXIT_INVD] = on_cache_flush,
    [EXIT_RDPMC] = exit_rdpmc,
    [EXIT_RSM] = exit_undefined,
    [EXIT_VMCALL] = on_vmcall,
    [EXIT_VMCLEAR] = exit_undefined,
    [EXIT_VMLAUNCH] = exit_undefined,
    [EXIT_VMPTRLD] = exit_undefined,
    [EXIT_VMPTRST] = exit_undefined,
    [EXIT_VMREAD] = exit_undefined,
    [EXIT_VMRESUME] = exit_undefined,
    [EXIT_VMWRITE] = exit_undefined,
    [EXIT_VMXOFF] = exit_undefined,
    [EXIT_VMXON] = exit_undefined,
    [EXIT_CR] = on_cr,
    [EXIT_IO] = on_io,
    [EXIT_RDMSR] = on_rdmsr,
    [EXIT_WRMSR] = on_wrmsr,
    [EXIT_MWAIT] = exit_undefined,
    [EXIT_MONITOR] = exit_undefined,
    [EXIT_PAUSE] = on_pause,
    [EXIT_MC_AT_ENTRY] = on_machine_check,
    [EXIT_TPR] = on_nothing,
    [EXIT_EOI] = vmx_exit_eoi,
    [EXIT_EPT_VIOLATION] = on_ept_violation,
    [EXIT_EPT_MISCONFIG] = on_ept_misconfig,
    [EXIT_INVEPT] = exit_undefined,
    [EXIT_INVVPID] = exit_undefined,
    [EXIT_WBINVD] = on_cache_flush,
    [EXIT_XSETBV] = on_xsetbv,
    [EXIT_APIC_WRITE] = vmx_exit_apic_write,
    [EXIT_VMFUNC] = exit_undefined,
};

void vmx_handle_exit(struct cpu_vcpu *c)
{
    const struct vmx_vcpu *s = vmx_of(c);
    uint32_t reason = s->exit_reason;

    if (likely(reason < EXIT_TABLE_SIZE && exit_table[reason]))
        exit_table[reason](c);
    else if (s->entry_fail || (reason & EXIT_ENTRY_FAILED))
        vmx_entry_failed(c);
    else
        exit_internal(c, "exit reason", reason);
}
