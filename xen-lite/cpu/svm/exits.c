/* SPDX-License-Identifier: MIT */
/*
 * From SVM's exit codes (APM appendix C) to the common handlers: a table of one small function a code. Without next-RIP
 * save the length of the instruction that exited is read from guest memory.
 */
#include "cpu/svm/svm.h"

#include "cpu/decode.h"
#include "cpu/exit.h"
#include "cpu/guest_mem.h"
#include "cpu/x86.h"
#include "lib/string.h"

typedef void (*exit_fn)(struct cpu_vcpu *c);

/* False when the bytes at rip are not that instruction (any more). */
static bool decode_at_rip(struct cpu_vcpu *c, enum insn_op op, struct insn *insn)
{
    static const enum cpu_mode mode[] = { [2] = CPU_MODE_16, [4] = CPU_MODE_32, [8] = CPU_MODE_64 };
    uint8_t bytes[INSN_MAX_LEN];
    size_t n = guest_fetch(c, bytes, sizeof(bytes));

    return !insn_decode(bytes, n, mode[cpu_mode_bytes(c)], insn) && insn->op == op;
}

/* Prefixes are legal and rare. 0 when the bytes are not that instruction (any more). */
static unsigned decoded_len(struct cpu_vcpu *c, enum insn_op op)
{
    struct insn insn;

    return decode_at_rip(c, op, &insn) ? insn.len : 0;
}

/*
 * Length of the instruction at rip, which is `op`; `opcode` are its n bytes without prefixes. 0: another CPU of the guest
 * changed the code meanwhile, so the guest just runs on and does what stands there now.
 */
static unsigned insn_len(struct cpu_vcpu *c, enum insn_op op, const char *opcode, size_t n)
{
    const struct vmcb *vm = vmcb_of(c);
    const uint8_t *p;
    size_t avail;

    if (svm_features & SVM_FEATURE_NRIPS)
        return (unsigned)(vm->next_rip - vm->rip);
    p = guest_fetch_ptr(c, &avail);
    if (likely(p && avail >= n)) {
        const uint8_t *o = (const uint8_t *)opcode;

        /* Opcodes have one to three bytes. */
        if (p[0] == o[0] && (n < 2 || p[1] == o[1]) && (n < 3 || p[2] == o[2]))
            return (unsigned)n;
    }
    return decoded_len(c, op);
}

#define INSN_EXIT(name, op, opcode, handler)                                                       \
    static void name(struct cpu_vcpu *c)                                                           \
    {                                                                                              \
        unsigned len = insn_len(c, op, opcode, sizeof(opcode) - 1);                                \
                                                                                                   \
        if (likely(len))                                                                           \
            handler(c, len);                                                                       \
    }

INSN_EXIT(on_cpuid, INSN_CPUID, "\x0f\xa2", exit_cpuid)
INSN_EXIT(on_hlt, INSN_HLT, "\xf4", exit_hlt)
INSN_EXIT(on_vmmcall, INSN_VMMCALL, "\x0f\x01\xd9", exit_hypercall)
INSN_EXIT(on_xsetbv, INSN_XSETBV, "\x0f\x01\xd1", exit_xsetbv)
INSN_EXIT(on_pause, INSN_PAUSE, "\xf3\x90", exit_pause)
INSN_EXIT(on_rdmsr, INSN_RDMSR, "\x0f\x32", exit_rdmsr)
INSN_EXIT(on_wrmsr, INSN_WRMSR, "\x0f\x30", exit_wrmsr)

/* QEMU 7.2 reports INVD as WBINVD; they get the same answer. */
static void on_cache_flush(struct cpu_vcpu *c)
{
    unsigned len = insn_len(c, INSN_WBINVD, "\x0f\x09", 2);

    if (!len)
        len = insn_len(c, INSN_INVD, "\x0f\x08", 2);
    if (len)
        exit_cache_flush(c, len);
}

static void on_msr(struct cpu_vcpu *c)
{
    if (vmcb_of(c)->exit_info1 & 1)
        on_wrmsr(c);
    else
        on_rdmsr(c);
}

/* The interrupt waits at the local APIC until it is let in. */
static void on_intr(struct cpu_vcpu *c)
{
    c->exits[CPU_EXIT_interrupt]++;
    irq_window();
}

/* STGI has let it in already; SMIs likewise. INIT is how the machine stops a CPU: it takes effect at STGI as well. */
static void on_host_event(struct cpu_vcpu *c)
{
    (void)c;
}

/* See svm_watch_cr8(). If another CPU of the guest changed the code meanwhile, the guest does what stands there now. */
static void on_write_cr8(struct cpu_vcpu *c)
{
    struct insn insn;

    if (decode_at_rip(c, INSN_MOV_TO_CR, &insn) && insn.reg == 8)
        exit_set_cr8(c, insn.rm, insn.len);
}

static void on_db(struct cpu_vcpu *c)
{
    cpu_inject_exception(c, X86_DB);
}

static void on_ac(struct cpu_vcpu *c)
{
    cpu_inject_exception_error(c, X86_AC, (uint32_t)vmcb_of(c)->exit_info1);
}

/* A machine check belongs to the hypervisor: hand it to its own exception handler. */
static void on_mc(struct cpu_vcpu *c)
{
    (void)c;
    __asm__ __volatile__("int %0" ::"i"(X86_MC) : "memory");
}

/* EXITINFO1 is what the common code takes, and EXITINFO2 the address of the next instruction (APM 15.10.2). */
_Static_assert(CPU_PIO_IN == SVM_IOIO_IN && CPU_PIO_STRING == SVM_IOIO_STRING, "port access bits");
_Static_assert(CPU_PIO_SIZE(4u << SVM_IOIO_SIZE_SHIFT) == 4, "port access size");
_Static_assert(CPU_PIO_PORT(0xcf8u << SVM_IOIO_PORT_SHIFT) == 0xcf8, "port access number");

static void on_ioio(struct cpu_vcpu *c)
{
    const struct vmcb *vm = vmcb_of(c);

    exit_pio(c, (uint32_t)vm->exit_info1, vm->exit_info2);
}

/*
 * QEMU's TCG with a thread for each CPU may save the host's registers over the guest's at #VMEXIT (docs/emulators.md). The
 * guest is lost; what can be done is to say so.
 */
static bool lost_state(const struct vmcb *vm, const struct cpu_npf *npf)
{
    return npf->table_walk && vm->cr3 == read_cr3() && !((npf->gpa ^ vm->cr3) & PAGE_MASK);
}

static void on_npf(struct cpu_vcpu *c)
{
    const struct vmcb *vm = vmcb_of(c);
    uint64_t info = vm->exit_info1;
    struct cpu_npf npf = {
        .gpa = vm->exit_info2,
        .write = info & SVM_NPF_WRITE,
        .fetch = info & SVM_NPF_FETCH,
        .present = info & SVM_NPF_PRESENT,
        .table_walk = info & SVM_NPF_TABLE,
    };

    if (unlikely(lost_state(vm, &npf))) {
        vcpu_crash(c->v,
                   "its registers are the hypervisor's: the emulated CPU lost them at #VMEXIT");
        return;
    }
    exit_npf(c, &npf);
}

static const exit_fn exit_table[SVM_EXIT_TABLE_SIZE] = {
    [SVM_EXIT_CR_WRITE(8)] = on_write_cr8,
    [SVM_EXIT_EXCEPTION(X86_DB)] = on_db,
    [SVM_EXIT_EXCEPTION(X86_AC)] = on_ac,
    [SVM_EXIT_EXCEPTION(X86_MC)] = on_mc,
    [SVM_EXIT_INTR] = on_intr,
    [SVM_EXIT_NMI] = on_host_event,
    [SVM_EXIT_SMI] = on_host_event,
    [SVM_EXIT_INIT] = on_host_event,
    [SVM_EXIT_VINTR] = svm_exit_vintr,
    [SVM_EXIT_RDPMC] = exit_rdpmc,
    [SVM_EXIT_CPUID] = on_cpuid,
    [SVM_EXIT_RSM] = exit_undefined,
    [SVM_EXIT_IRET] = svm_exit_iret,
    [SVM_EXIT_INVD] = on_cache_flush,
    [SVM_EXIT_PAUSE] = on_pause,
    [SVM_EXIT_HLT] = on_hlt,
    [SVM_EXIT_INVLPGA] = exit_undefined,
    [SVM_EXIT_IOIO] = on_ioio,
    [SVM_EXIT_MSR] = on_msr,
    [SVM_EXIT_TASK] = exit_task_switch,
    [SVM_EXIT_FERR] = on_host_event,
    [SVM_EXIT_SHUTDOWN] = exit_shutdown,
    [SVM_EXIT_VMRUN] = exit_undefined,
    [SVM_EXIT_VMMCALL] = on_vmmcall,
    [SVM_EXIT_VMLOAD] = exit_undefined,
    [SVM_EXIT_VMSAVE] = exit_undefined,
    [SVM_EXIT_STGI] = exit_undefined,
    [SVM_EXIT_CLGI] = exit_undefined,
    [SVM_EXIT_SKINIT] = exit_undefined,
    [SVM_EXIT_WBINVD] = on_cache_flush,
    [SVM_EXIT_MONITOR] = exit_undefined,
    [SVM_EXIT_MWAIT] = exit_undefined,
    [SVM_EXIT_MWAIT_ARMED] = exit_undefined,
    [SVM_EXIT_XSETBV] = on_xsetbv,
    [SVM_EXIT_RDPRU] = exit_undefined,
};

void svm_handle_exit(struct cpu_vcpu *c)
{
    uint64_t code = vmcb_of(c)->exit_code;

    if (likely(code < SVM_EXIT_TABLE_SIZE && exit_table[code]))
        exit_table[code](c);
    else if (code == SVM_EXIT_NPF)
        on_npf(c);
    else
        exit_internal(c, "exit code", code);
}
