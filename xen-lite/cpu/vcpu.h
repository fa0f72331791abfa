/* SPDX-License-Identifier: MIT */
/*
 * The processor state of one virtual CPU and the contract between the code that handles exits and the backend that
 * runs guests on the machine's virtualisation extension. Nothing here names a vendor: a backend is one const table of
 * functions, chosen once at start-up. struct domain embeds struct cpu_domain, struct vcpu embeds struct cpu_vcpu.
 *
 * Locking: a cpu_vcpu belongs to the CPU that runs it; others touch it only while the vCPU is paused, except the
 * fields marked atomic. A cpu_domain is written at domain creation (or with all its vCPUs paused) and read freely.
 */
#ifndef XL_CPU_VCPU_H
#define XL_CPU_VCPU_H

#include "cpu/emulate.h"
#include "lib/types.h"

struct domain;
struct vcpu;
struct p2m;
struct cpuid_leaf;
struct cpuid_policy;

/* General registers in the order of their encoding (Intel SDM vol. 2, table 3-1), index of regs.gpr. */
enum cpu_gpr {
    CPU_RAX, CPU_RCX, CPU_RDX, CPU_RBX, CPU_RSP, CPU_RBP, CPU_RSI, CPU_RDI,
    CPU_R8, CPU_R9, CPU_R10, CPU_R11, CPU_R12, CPU_R13, CPU_R14, CPU_R15,
};

/* Segment registers in the order of their encoding, then the system ones. */
enum cpu_seg_id {
    CPU_SEG_ES, CPU_SEG_CS, CPU_SEG_SS, CPU_SEG_DS, CPU_SEG_FS, CPU_SEG_GS,
    CPU_SEG_LDTR, CPU_SEG_TR, CPU_SEG_GDTR, CPU_SEG_IDTR, CPU_NR_SEGS,
};

/*
 * attr packs a descriptor's attribute bits: type 3:0, S 4, DPL 6:5, P 7, AVL 8, L 9, D/B 10, G 11. limit counts
 * bytes, whatever G says. GDTR and IDTR use base and limit only.
 */
struct cpu_segment {
    uint16_t sel;
    uint16_t attr;
    uint32_t limit;
    uint64_t base;
};

#define CPU_SEG_ATTR_CODE BIT(3)
#define CPU_SEG_ATTR_DPL(a) (((a) >> 5) & 3u)
#define CPU_SEG_ATTR_P BIT(7)
#define CPU_SEG_ATTR_L BIT(9)
#define CPU_SEG_ATTR_DB BIT(10)

#define RFLAGS_CF BIT(0)
#define RFLAGS_FIXED BIT(1)
#define RFLAGS_TF BIT(8)
#define RFLAGS_IF BIT(9)
#define RFLAGS_DF BIT(10)
#define RFLAGS_RF BIT(16)
#define RFLAGS_VM BIT(17)
#define RFLAGS_AC BIT(18)

/* Exception vectors that are injected by name (Intel SDM vol. 3, table 6-1). */
#define X86_DE 0
#define X86_DB 1
#define X86_NMI 2
#define X86_BP 3
#define X86_OF 4
#define X86_UD 6
#define X86_NM 7
#define X86_DF 8
#define X86_TS 10
#define X86_NP 11
#define X86_SS 12
#define X86_GP 13
#define X86_PF 14
#define X86_AC 17
#define X86_MC 18

/* Kinds of exits that are counted: what guests cause by instructions and accesses, and the machine's interrupts. */
#define CPU_EXITS(X)                                                                               \
    X(cpuid) X(rdmsr) X(wrmsr) X(hlt) X(hypercall) X(pause) X(port) X(memory) X(interrupt)

enum cpu_exit_kind {
#define X(name) CPU_EXIT_##name,
    CPU_EXITS(X)
#undef X
        CPU_NR_EXITS
};

enum cpu_event_type {
    CPU_EVENT_NONE,
    CPU_EVENT_INTR,      /* external interrupt */
    CPU_EVENT_NMI,
    CPU_EVENT_EXCEPTION, /* hardware exception */
    CPU_EVENT_SOFT,      /* INT n, INT3, INTO, whose delivery was cut short by an exit */
};

struct cpu_event {
    uint8_t type;        /* enum cpu_event_type */
    uint8_t vector;
    bool has_error;
    uint32_t error;
};

/*
 * A page of the guest's linear addresses that the hypervisor looked at for this vCPU: the chain of guest page-table entries
 * that leads to it. It is used only while every entry still reads the same and the p2m's generation is the same, so it is as
 * exact as a new walk. See cpu/guest_mem.c.
 */
#define CPU_WALK_LEVELS 5
struct cpu_walk_cache {
    uint64_t page; /* linear address of the page */
    uint64_t cr3;
    uint64_t mode; /* control bits that select how to walk */
    uint64_t p2m_gen;
    const uint64_t *entry[CPU_WALK_LEVELS]; /* in the direct map */
    uint64_t value[CPU_WALK_LEVELS];
    uint64_t rights; /* of all levels together */
    uint64_t gpa;
    const uint8_t *bytes; /* the page's contents, in the direct map; NULL: not looked for */
    unsigned levels;      /* 0: empty */
};

/* By the page's low bits. Code, stack and arguments of a kernel's few ways into the hypervisor fit. */
#define CPU_NR_WALKS 16

#define CPU_CR0_PE BIT(0)
#define CPU_EFER_LMA BIT(10)

/* What decides how the guest's code and addresses are read. */
struct cpu_control {
    uint64_t cr0, cr3, cr4, efer, cs_base;
    uint16_t cs_attr;
};

#define CPU_NR_MTRR_VAR 8
#define CPU_NR_MTRR_FIXED 11

/* What a domain's vCPUs share. */
struct cpu_domain {
    uint8_t *io_bitmap;           /* one bit a port, 1 = exit; then all ones; CPU_IO_BITMAP_SIZE bytes */
    void *backend;                /* the backend's: MSR permissions and the like */
    struct cpuid_policy *cpuid;   /* owned; what the guest sees */
    struct cpuid_policy *cpuid_max; /* owned; what it may see */
    unsigned nr_vcpus;
    bool control;                 /* MTRRs mirror the machine's */
    bool owns_devices;            /* WBINVD takes effect */
    uint64_t nr_unknown_msr_reads;  /* atomic counters: answered with #GP */
    uint64_t nr_unknown_msr_writes;
    uint64_t nr_not_emulated;       /* instructions with a trapped operand: likewise */
};

struct cpu_vcpu {
    struct emul_regs regs;        /* gpr[16], rip, rflags: whole and current between exit and entry */
    void *backend;                /* the backend's own state */
    struct vcpu *v;
    struct cpu_domain *cd;
    struct p2m *p2m;
    unsigned id;                  /* vCPU number in its domain */
    uint32_t apic_id;             /* 2 * id */

    uint64_t next_rip;            /* of the port access that is being answered */
    struct cpu_event pending;     /* to inject at the next entry, before anything else */
    bool nmi_pending;             /* atomic: an NMI waits */
    uint8_t cr8;                  /* task priority: backend writes it after, reads it before a turn */
    uint8_t shadow;               /* interrupts are held back for one instruction (STI, MOV SS): likewise */
    bool flush_tlb;               /* drop this vCPU's translations at the next entry */
    uint64_t tlb_gen;             /* p2m generation with which the guest ran last */
    bool loaded;                  /* its FPU and debug state is in the registers of a CPU */

    uint64_t xcr0;
    void *fpu;                    /* XSAVE or FXSAVE area, one page or more */
    uint64_t dr[4];               /* DR0-DR3; DR6 and DR7 are the backend's */
    uint64_t tsc_offset;          /* guest TSC minus host TSC */
    uint64_t tsc_aux;
    uint64_t debugctl;
    uint64_t misc_enable;
    uint64_t mtrr_def_type;
    uint64_t mtrr_var[2 * CPU_NR_MTRR_VAR];
    uint64_t mtrr_fixed[CPU_NR_MTRR_FIXED];
    struct cpu_walk_cache walk[CPU_NR_WALKS];
    uint64_t nr_exits;            /* all, those for interrupts and rare ones included */
    uint64_t exits[CPU_NR_EXITS]; /* by kind; written by the CPU that it runs on */
};

/*
 * One virtualisation extension. Functions that take a cpu_vcpu run on the CPU that owns it. `enter` and `handle_exit`
 * are the hot path; all others may be slow.
 */
struct cpu_backend {
    const char *name;
    uint8_t hypercall_insn[3];    /* the guest's call instruction */

    /* NULL when this CPU can run guests, else why not, in words. */
    const char *(*probe)(void);
    /* The largest pages that second-level tables may have: P2M_ORDER_* of p2m/p2m.h. */
    unsigned (*page_order)(void);
    /* Takes from a leaf of the machine's CPUID what guests cannot use although the CPU has it. NULL: there is nothing. */
    void (*cpuid_filter)(uint32_t leaf, uint32_t sub, struct cpuid_leaf *l);
    /* Turns the extension on for the calling CPU. 0 or -ENOMEM/-EIO. */
    int (*cpu_init)(void);
    /* Turns it off again, before a reboot. */
    void (*cpu_exit)(void);

    int (*domain_init)(struct cpu_domain *cd);
    void (*domain_destroy)(struct cpu_domain *cd);
    int (*vcpu_init)(struct cpu_vcpu *c);
    void (*vcpu_destroy)(struct cpu_vcpu *c);
    /* The state after INIT (Intel SDM vol. 3, table 9-1). */
    void (*vcpu_reset)(struct cpu_vcpu *c);
    /* It becomes this CPU's current vCPU. */
    void (*vcpu_load)(struct cpu_vcpu *c);
    /* It is about to cease to be it: afterwards any CPU may read and change its state, or load it. */
    void (*vcpu_save)(struct cpu_vcpu *c);

    /* Runs the guest until its next exit. IF is 0 before and after. */
    void (*enter)(struct cpu_vcpu *c);
    /* Answers the exit that `enter` came back with. */
    void (*handle_exit)(struct cpu_vcpu *c);

    void (*get_segment)(const struct cpu_vcpu *c, enum cpu_seg_id id, struct cpu_segment *out);
    void (*set_segment)(struct cpu_vcpu *c, enum cpu_seg_id id, const struct cpu_segment *in);
    /* n: 0, 2, 3 or 4. */
    uint64_t (*get_cr)(const struct cpu_vcpu *c, unsigned n);
    void (*set_cr)(struct cpu_vcpu *c, unsigned n, uint64_t val);
    /* n: 6 or 7. */
    uint64_t (*get_dr)(const struct cpu_vcpu *c, unsigned n);
    void (*set_dr)(struct cpu_vcpu *c, unsigned n, uint64_t val);
    /* As the guest sees it: without the bits that the extension itself needs. */
    uint64_t (*get_efer)(const struct cpu_vcpu *c);
    void (*set_efer)(struct cpu_vcpu *c, uint64_t efer);
    /* MSRs that live in the backend's state: STAR to SFMASK, FS/GS/KERNEL_GS base, SYSENTER, PAT. -EINVAL: others. */
    int (*get_msr)(const struct cpu_vcpu *c, uint32_t msr, uint64_t *val);
    int (*set_msr)(struct cpu_vcpu *c, uint32_t msr, uint64_t val);
    unsigned (*get_cpl)(const struct cpu_vcpu *c);
    /* The same as get_cr, get_efer and get_segment say, at once. */
    void (*get_control)(const struct cpu_vcpu *c, struct cpu_control *out);

    /* Makes the next entry deliver *ev. At most one event an entry. */
    void (*inject)(struct cpu_vcpu *c, const struct cpu_event *ev);
    /* An external interrupt could be delivered at the next entry. */
    bool (*can_inject_irq)(const struct cpu_vcpu *c);
    bool (*can_inject_nmi)(const struct cpu_vcpu *c);
    /* Exit as soon as can_inject_irq (or _nmi) becomes true. */
    void (*request_irq_window)(struct cpu_vcpu *c);
    void (*request_nmi_window)(struct cpu_vcpu *c);
    /*
     * Before an entry: from it on the CPU delivers by itself what the vCPU's local APIC has requested. False: it does
     * not, now or ever (NULL), and interrupts are injected.
     */
    bool (*serve_apic)(struct cpu_vcpu *c);
    /* CPUs in guest mode that serve a local APIC take posted interrupts without an exit. NULL: they do not. */
    bool (*takes_posted)(void);
    void (*flush_tlb)(struct cpu_vcpu *c);
    void (*set_tsc_offset)(struct cpu_vcpu *c, uint64_t offset);
    void (*dump)(const struct cpu_vcpu *c);
};

/* The backend in use; NULL until cpu_backend_init() returned 0. */
extern const struct cpu_backend *cpu_backend;

/*
 * Boot CPU, once: asks every backend, takes the first that can work, reads the machine's features that CPU state
 * switching needs. 0, or -ENODEV after printing each backend's reason.
 */
int cpu_backend_init(void);
/* See struct cpu_backend. */
bool cpu_takes_posted(void);
/* Every CPU, also the boot CPU, after its percpu structure and page tables are in place. 0 or an errno. */
int cpu_init_this(void);
/* Every CPU, before a reboot. */
void cpu_exit_this(void);

#define CPU_IO_BITMAP_SIZE (3 * 4096u)

struct cpu_domain_config {
    uint16_t domid;
    unsigned nr_vcpus;
    unsigned addr_bits;           /* width of guest-physical addresses that the p2m can map */
    uint32_t tsc_khz;             /* rate of the guest's TSC; 0: do not say */
    bool control;                 /* the control domain */
    bool owns_devices;            /* cache flushes by the guest must reach the machine */
};

/*
 * Domain state. All ports exit at first, and all MSRs but those that are part of a vCPU's state. cd must be zeroed.
 * 0, or -ENOMEM with nothing left behind. Builds the CPUID policy as well (cpu/cpuid.h).
 */
int cpu_domain_init(struct cpu_domain *cd, const struct cpu_domain_config *cfg);
void cpu_domain_destroy(struct cpu_domain *cd);
/* Ports first..last go to the machine without an exit, or exit again. The vCPUs must not be running. */
void cpu_iobitmap_allow(struct cpu_domain *cd, uint16_t first, uint16_t last);
void cpu_iobitmap_deny(struct cpu_domain *cd, uint16_t first, uint16_t last);
bool cpu_iobitmap_allowed(const struct cpu_domain *cd, uint16_t port, unsigned size);

/*
 * vCPU state: c zeroed, embedded in *v. After cpu_vcpu_init the vCPU is in INIT state. 0 or -ENOMEM.
 */
int cpu_vcpu_init(struct cpu_vcpu *c, struct vcpu *v, struct cpu_domain *cd, struct p2m *p2m,
                  unsigned id);
void cpu_vcpu_destroy(struct cpu_vcpu *c);
/* INIT: registers as after reset, FPU and MTRRs left alone. */
void cpu_vcpu_reset(struct cpu_vcpu *c);
/* SIPI after INIT: real mode at vector << 12. */
void cpu_vcpu_start_sipi(struct cpu_vcpu *c, uint8_t vector);
/* Entry of a PVH kernel: 32-bit protected mode without paging, ebx = GPA of hvm_start_info. */
void cpu_vcpu_start_pvh(struct cpu_vcpu *c, uint32_t eip, uint32_t ebx);

/* Puts the state that stays in registers between exits (FPU, DR0-3, some MSRs) into this CPU, or saves it from there.
 * Whoever changes this_cpu()->current calls save for the old and load for the new one. */
void cpu_vcpu_load(struct cpu_vcpu *c);
void cpu_vcpu_save(struct cpu_vcpu *c);
/* The FPU part of it alone, for callers that must look at a vCPU's FPU area. */
void cpu_fpu_save(struct cpu_vcpu *c);
void cpu_fpu_restore(struct cpu_vcpu *c);

/*
 * Runs v, the current and loaded vCPU of the calling CPU: injects what is due, runs the guest until an exit, answers it,
 * and so on until this_cpu()->resched is set. Host interrupts are taken inside.
 */
void cpu_run(struct vcpu *v);

/*
 * True while this physical CPU is, or is about to be, in guest mode on p2m with a generation older than gen. The caller
 * has raised p2m->gen and executed a full barrier before it asks.
 */
bool cpu_runs_older(unsigned cpu, const struct p2m *p2m, uint64_t gen);

/* Queue an event; a second exception while one is pending becomes #DF or a shutdown by the rules of SDM table 6-5. */
void cpu_inject_exception(struct cpu_vcpu *c, uint8_t vector);
void cpu_inject_exception_error(struct cpu_vcpu *c, uint8_t vector, uint32_t error);
void cpu_inject_page_fault(struct cpu_vcpu *c, uint64_t gva, uint32_t error);
/* May be called from any CPU; the caller kicks it. */
void cpu_inject_nmi(struct cpu_vcpu *c);

/* Completes an emulated instruction: rip past it, RF and the interrupt shadow cleared, #DB if it was single-stepped. */
void cpu_skip(struct cpu_vcpu *c, unsigned len);
/* The rare part of cpu_insn_done(): RF was set, or the guest single-steps. */
void cpu_insn_done_flags(struct cpu_vcpu *c);
/* The same as cpu_skip() where rip is past the instruction already. */
static inline void cpu_insn_done(struct cpu_vcpu *c)
{
    c->shadow = 0;
    if (unlikely(c->regs.rflags & (RFLAGS_RF | RFLAGS_TF)))
        cpu_insn_done_flags(c);
}

/* The guest's code size: 2, 4 or 8 bytes of address (SDM vol. 3, 3.4.5). */
unsigned cpu_mode_bytes(const struct cpu_vcpu *c);

/* The same for who has these registers already. */
static inline unsigned cpu_control_bytes(const struct cpu_control *r, uint64_t rflags)
{
    if (!(r->cr0 & CPU_CR0_PE) || (rflags & RFLAGS_VM))
        return 2;
    if ((r->cs_attr & CPU_SEG_ATTR_L) && (r->efer & CPU_EFER_LMA))
        return 8;
    return r->cs_attr & CPU_SEG_ATTR_DB ? 4 : 2;
}

/* Prints the guest's registers to the log. */
void cpu_dump(struct vcpu *v);

static inline uint64_t cpu_gpr32(const struct cpu_vcpu *c, enum cpu_gpr r)
{
    return (uint32_t)c->regs.gpr[r];
}

#endif
