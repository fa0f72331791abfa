/* SPDX-License-Identifier: MIT */
/*
 * AMD's Secure Virtual Machine: the virtual machine control block, exit codes and registers, as in AMD64 Architecture
 * Programmer's Manual volume 2 ("APM"), chapter 15 and appendix B and C; and what the files of this directory share.
 */
#ifndef XL_CPU_SVM_SVM_H
#define XL_CPU_SVM_SVM_H

#include "cpu/vcpu.h"
#include "lib/percpu.h"
#include "lib/types.h"

/* APM 15.30: SVM MSRs. */
#define MSR_VM_CR 0xc0010114
#define VM_CR_SVMDIS BIT(4)
#define MSR_VM_HSAVE_PA 0xc0010117

/* CPUID Fn8000_000A EDX (APM vol. 3, appendix E.4.9). */
#define SVM_FEATURE_NP BIT(0)
#define SVM_FEATURE_NRIPS BIT(3)
#define SVM_FEATURE_CLEAN BIT(5)
#define SVM_FEATURE_FLUSH_ASID BIT(6)
#define SVM_FEATURE_DECODE BIT(7)

#define SVM_INTERCEPT_CR(n) (1u << (n)) /* APM table B-1, offsets 000h and 002h */

/* APM table B-1, offset 00Ch: first intercept vector of instructions and events. */
#define SVM_INTERCEPT_INTR BIT(0)
#define SVM_INTERCEPT_NMI BIT(1)
#define SVM_INTERCEPT_SMI BIT(2)
#define SVM_INTERCEPT_INIT BIT(3)
#define SVM_INTERCEPT_VINTR BIT(4)
#define SVM_INTERCEPT_RDPMC BIT(15)
#define SVM_INTERCEPT_CPUID BIT(18)
#define SVM_INTERCEPT_RSM BIT(19)
#define SVM_INTERCEPT_IRET BIT(20)
#define SVM_INTERCEPT_INVD BIT(22)
#define SVM_INTERCEPT_PAUSE BIT(23)
#define SVM_INTERCEPT_HLT BIT(24)
#define SVM_INTERCEPT_INVLPGA BIT(26)
#define SVM_INTERCEPT_IOIO BIT(27)
#define SVM_INTERCEPT_MSR BIT(28)
#define SVM_INTERCEPT_TASK BIT(29)
#define SVM_INTERCEPT_FERR BIT(30)
#define SVM_INTERCEPT_SHUTDOWN BIT(31)
/* Offset 010h: the second one. */
#define SVM_INTERCEPT2_VMRUN BIT(0)
#define SVM_INTERCEPT2_VMMCALL BIT(1)
#define SVM_INTERCEPT2_VMLOAD BIT(2)
#define SVM_INTERCEPT2_VMSAVE BIT(3)
#define SVM_INTERCEPT2_STGI BIT(4)
#define SVM_INTERCEPT2_CLGI BIT(5)
#define SVM_INTERCEPT2_SKINIT BIT(6)
#define SVM_INTERCEPT2_WBINVD BIT(9)
#define SVM_INTERCEPT2_MONITOR BIT(10)
#define SVM_INTERCEPT2_MWAIT BIT(11)
#define SVM_INTERCEPT2_MWAIT_ARMED BIT(12)
#define SVM_INTERCEPT2_XSETBV BIT(13)
#define SVM_INTERCEPT2_RDPRU BIT(14)

/* Offset 060h: virtual interrupts (APM 15.21). */
#define SVM_V_TPR_MASK 0xffULL
#define SVM_V_IRQ BIT(8)
#define SVM_V_PRIO_SHIFT 16
#define SVM_V_IGN_TPR BIT(20)
#define SVM_V_VECTOR_SHIFT 32
#define SVM_V_INTR_MASKING BIT(24)

#define SVM_NP_ENABLE BIT(0)      /* offset 090h */

/* EVENTINJ and EXITINTINFO (APM 15.20, figure 15-4). */
#define SVM_EVENT_VECTOR_MASK 0xffULL
#define SVM_EVENT_TYPE_SHIFT 8
#define SVM_EVENT_TYPE_MASK (7ULL << SVM_EVENT_TYPE_SHIFT)
#define SVM_EVENT_INTR 0
#define SVM_EVENT_NMI 2
#define SVM_EVENT_EXCEPTION 3
#define SVM_EVENT_SOFT 4
#define SVM_EVENT_ERROR_VALID BIT(11)
#define SVM_EVENT_VALID BIT(31)

/* TLB_CONTROL, offset 05Ch (APM 15.16.1). */
#define SVM_TLB_NOTHING 0
#define SVM_TLB_FLUSH_ALL 1

/* VMCB clean bits (APM 15.15.3): a set bit tells the CPU that the group did not change since the last exit. */
#define SVM_CLEAN_INTERCEPTS BIT(0)
#define SVM_CLEAN_BITMAPS BIT(1)
#define SVM_CLEAN_ASID BIT(2)
#define SVM_CLEAN_TPR BIT(3)
#define SVM_CLEAN_NP BIT(4)
#define SVM_CLEAN_CR BIT(5)
#define SVM_CLEAN_DR BIT(6)
#define SVM_CLEAN_DT BIT(7)
#define SVM_CLEAN_SEG BIT(8)
#define SVM_CLEAN_CR2 BIT(9)
#define SVM_CLEAN_ALL 0x3ffu

/* Exit codes (APM appendix C). */
#define SVM_EXIT_CR_READ(n) (0x00 + (n))
#define SVM_EXIT_CR_WRITE(n) (0x10 + (n))
#define SVM_EXIT_EXCEPTION(n) (0x40 + (n))
#define SVM_EXIT_INTR 0x60
#define SVM_EXIT_NMI 0x61
#define SVM_EXIT_SMI 0x62
#define SVM_EXIT_INIT 0x63
#define SVM_EXIT_VINTR 0x64
#define SVM_EXIT_RDPMC 0x6f
#define SVM_EXIT_CPUID 0x72
#define SVM_EXIT_RSM 0x73
#define SVM_EXIT_IRET 0x74
#define SVM_EXIT_INVD 0x76
#define SVM_EXIT_PAUSE 0x77
#define SVM_EXIT_HLT 0x78
#define SVM_EXIT_INVLPGA 0x7a
#define SVM_EXIT_IOIO 0x7b
#define SVM_EXIT_MSR 0x7c
#define SVM_EXIT_TASK 0x7d
#define SVM_EXIT_FERR 0x7e
#define SVM_EXIT_SHUTDOWN 0x7f
#define SVM_EXIT_VMRUN 0x80
#define SVM_EXIT_VMMCALL 0x81
#define SVM_EXIT_VMLOAD 0x82
#define SVM_EXIT_VMSAVE 0x83
#define SVM_EXIT_STGI 0x84
#define SVM_EXIT_CLGI 0x85
#define SVM_EXIT_SKINIT 0x86
#define SVM_EXIT_WBINVD 0x89
#define SVM_EXIT_MONITOR 0x8a
#define SVM_EXIT_MWAIT 0x8b
#define SVM_EXIT_MWAIT_ARMED 0x8c
#define SVM_EXIT_XSETBV 0x8d
#define SVM_EXIT_RDPRU 0x8e
#define SVM_EXIT_TABLE_SIZE 0x8f
#define SVM_EXIT_NPF 0x400
#define SVM_EXIT_INVALID (~0ULL)

/* EXITINFO1 of an IOIO exit (APM 15.10.2). */
#define SVM_IOIO_IN BIT(0)
#define SVM_IOIO_STRING BIT(2)
#define SVM_IOIO_SIZE_SHIFT 4
#define SVM_IOIO_PORT_SHIFT 16

/* EXITINFO1 of a nested page fault (APM 15.25.6). */
#define SVM_NPF_PRESENT BIT(0)
#define SVM_NPF_WRITE BIT(1)
#define SVM_NPF_FETCH BIT(4)
#define SVM_NPF_FINAL BIT(32)
#define SVM_NPF_TABLE BIT(33)

struct vmcb_seg {
    uint16_t sel;
    uint16_t attr;
    uint32_t limit;
    uint64_t base;
};

struct vmcb {
    /* Control area, APM table B-1. */
    uint16_t intercept_cr_read, intercept_cr_write;
    uint16_t intercept_dr_read, intercept_dr_write;
    uint32_t intercept_exceptions;
    uint32_t intercept1, intercept2, intercept3;
    uint8_t reserved_018[0x3c - 0x18];
    uint16_t pause_threshold, pause_count;
    uint64_t iopm_pa;
    uint64_t msrpm_pa;
    uint64_t tsc_offset;
    uint32_t asid;
    uint32_t tlb_control;
    uint64_t int_ctl;
    uint64_t int_state;
    uint64_t exit_code;
    uint64_t exit_info1, exit_info2;
    uint64_t exit_int_info;
    uint64_t np_ctl;
    uint8_t reserved_098[0xa8 - 0x98];
    uint64_t event_inj;
    uint64_t n_cr3;
    uint64_t lbr_ctl;
    uint32_t clean;
    uint32_t reserved_0c4;
    uint64_t next_rip;
    uint8_t insn_count;
    uint8_t insn_bytes[15];
    uint8_t reserved_0e0[0x400 - 0xe0];

    /* State save area, APM table B-2. */
    struct vmcb_seg es, cs, ss, ds, fs, gs, gdtr, ldtr, idtr, tr;
    uint8_t reserved_4a0[0x4cb - 0x4a0];
    uint8_t cpl;
    uint32_t reserved_4cc;
    uint64_t efer;
    uint8_t reserved_4d8[0x548 - 0x4d8];
    uint64_t cr4, cr3, cr0;
    uint64_t dr7, dr6;
    uint64_t rflags, rip;
    uint8_t reserved_580[0x5d8 - 0x580];
    uint64_t rsp;
    uint64_t s_cet, ssp, isst;
    uint64_t rax;
    uint64_t star, lstar, cstar, sfmask, kernel_gs_base;
    uint64_t sysenter_cs, sysenter_esp, sysenter_eip;
    uint64_t cr2;
    uint8_t reserved_648[0x668 - 0x648];
    uint64_t g_pat;
    uint64_t dbgctl;
    uint64_t br_from, br_to, last_excp_from, last_excp_to;
    uint8_t reserved_698[0x1000 - 0x698];
};

#define VMCB_AT(field, off)                                                                        \
    _Static_assert(offsetof(struct vmcb, field) == (off), "VMCB layout: " #field)
VMCB_AT(intercept_exceptions, 0x008);
VMCB_AT(intercept2, 0x010);
VMCB_AT(pause_threshold, 0x03c);
VMCB_AT(iopm_pa, 0x040);
VMCB_AT(tsc_offset, 0x050);
VMCB_AT(tlb_control, 0x05c);
VMCB_AT(int_ctl, 0x060);
VMCB_AT(exit_code, 0x070);
VMCB_AT(exit_int_info, 0x088);
VMCB_AT(np_ctl, 0x090);
VMCB_AT(event_inj, 0x0a8);
VMCB_AT(n_cr3, 0x0b0);
VMCB_AT(clean, 0x0c0);
VMCB_AT(next_rip, 0x0c8);
VMCB_AT(insn_count, 0x0d0);
VMCB_AT(es, 0x400);
VMCB_AT(tr, 0x490);
VMCB_AT(cpl, 0x4cb);
VMCB_AT(efer, 0x4d0);
VMCB_AT(cr4, 0x548);
VMCB_AT(rip, 0x578);
VMCB_AT(rsp, 0x5d8);
VMCB_AT(rax, 0x5f8);
VMCB_AT(star, 0x600);
VMCB_AT(cr2, 0x640);
VMCB_AT(g_pat, 0x668);
VMCB_AT(last_excp_to, 0x690);
_Static_assert(sizeof(struct vmcb) == 4096, "a VMCB is one page");
#undef VMCB_AT

struct svm_cpu;

/* One vCPU. */
struct svm_vcpu {
    struct vmcb *vmcb;
    paddr_t vmcb_pa;
    uint64_t asid_gen;        /* generation of the CPU's ASIDs in which vmcb->asid was given out */
    struct svm_cpu *cpu;      /* on which it is loaded, or was last */
    const struct svm_cpu *asid_cpu; /* CPU to which the ASID belongs; NULL: none yet */
    bool nmi_blocked;         /* an NMI handler runs: until IRET */
    bool iret_at_rip;         /* IRET was seen at iret_rip and will execute at the next entry */
    uint64_t iret_rip;
};

/* One physical CPU. */
struct svm_cpu {
    void *hsave;              /* VM_HSAVE_PA page, the CPU's own */
    struct vmcb *host;        /* FS, GS, TR, LDTR and system call MSRs of the hypervisor */
    paddr_t host_pa;
    uint32_t asid_next;       /* next ASID to give out */
    uint32_t asid_max;
    uint64_t asid_gen;        /* grows when ASIDs start anew */
};

extern struct svm_cpu svm_cpus[MAX_CPUS];
extern uint32_t svm_features;     /* CPUID Fn8000_000A EDX */

static inline struct svm_vcpu *svm_of(const struct cpu_vcpu *c)
{
    return c->backend;
}

static inline struct vmcb *vmcb_of(const struct cpu_vcpu *c)
{
    return svm_of(c)->vmcb;
}

/* vmcb.c: building a VMCB and reading and writing guest state in it. */
void svm_vmcb_init(struct vmcb *vmcb, paddr_t iopm, paddr_t msrpm, uint64_t n_cr3);
void svm_vmcb_reset(struct vmcb *vmcb);
void svm_get_segment(const struct cpu_vcpu *c, enum cpu_seg_id id, struct cpu_segment *out);
void svm_set_segment(struct cpu_vcpu *c, enum cpu_seg_id id, const struct cpu_segment *in);
uint64_t svm_get_cr(const struct cpu_vcpu *c, unsigned n);
void svm_get_control(const struct cpu_vcpu *c, struct cpu_control *out);
void svm_set_cr(struct cpu_vcpu *c, unsigned n, uint64_t val);
uint64_t svm_get_dr(const struct cpu_vcpu *c, unsigned n);
void svm_set_dr(struct cpu_vcpu *c, unsigned n, uint64_t val);
uint64_t svm_get_efer(const struct cpu_vcpu *c);
void svm_set_efer(struct cpu_vcpu *c, uint64_t efer);
int svm_get_msr(const struct cpu_vcpu *c, uint32_t msr, uint64_t *val);
int svm_set_msr(struct cpu_vcpu *c, uint32_t msr, uint64_t val);
unsigned svm_get_cpl(const struct cpu_vcpu *c);
void svm_dump(const struct cpu_vcpu *c);

/* MSR permission map (APM 15.11): two bits an MSR. 2 pages. */
#define SVM_MSRPM_SIZE 8192u
/* Lets reads and writes of msr through. -EINVAL: the map has no bits for it. */
int svm_msrpm_allow(uint8_t *map, uint32_t msr, bool read, bool write);

/* inject.c: events and windows. */
void svm_inject(struct cpu_vcpu *c, const struct cpu_event *ev);
bool svm_can_inject_irq(const struct cpu_vcpu *c);
bool svm_can_inject_nmi(const struct cpu_vcpu *c);
void svm_request_irq_window(struct cpu_vcpu *c);
void svm_request_nmi_window(struct cpu_vcpu *c);
/* Takes over an event whose delivery the exit cut short (EXITINTINFO). */
void svm_take_interrupted_event(struct cpu_vcpu *c);
/* svm_enter(): has writes of CR8 exit while something waits for a lower task priority, and not otherwise. */
void svm_watch_cr8(struct cpu_vcpu *c);
void svm_exit_vintr(struct cpu_vcpu *c);
/* svm_enter(): turns an interrupt in EVENTINJ into a virtual one if that can be; true if it did. */
bool svm_inject_as_virq(struct cpu_vcpu *c);
/* And after the guest's run: takes it back, to be injected again if it was not taken. */
void svm_after_virq(struct cpu_vcpu *c);
/* Takes back what svm_request_irq_window() asked for. */
void svm_close_irq_window(struct vmcb *vm);
void svm_exit_iret(struct cpu_vcpu *c);

/* exits.c */
void svm_handle_exit(struct cpu_vcpu *c);

#endif
