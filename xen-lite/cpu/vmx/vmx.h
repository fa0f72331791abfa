/* SPDX-License-Identifier: MIT */
/*
 * Intel's Virtual Machine Extensions: bits of controls and exits as in the Software Developer's Manual, volume 3 ("SDM"),
 * chapters 25 to 28 and appendices A to C, and what the files of this directory share. The VMCS's fields are in vmcs.h.
 *
 * A vCPU's VMCS is current on a CPU from vcpu_load to vcpu_save and cleared otherwise, so that any CPU may load it. Guest
 * registers that live in it are read on demand and written back at entry: vmx_get() and vmx_set() work anywhere, because
 * vcpu_save reads all that is not known yet.
 */
#ifndef XL_CPU_VMX_VMX_H
#define XL_CPU_VMX_VMX_H

#include "cpu/vcpu.h"
#include "cpu/vmx/caps.h"
#include "cpu/vmx/vmcs.h"
#include "lib/percpu.h"
#include "lib/types.h"

/* Interruption information, one layout for entry, exit and IDT vectoring (SDM 25.8.3, 25.9.2, 25.9.3). */
#define INTR_VECTOR_MASK 0xffu
#define INTR_TYPE_SHIFT 8
#define INTR_TYPE_MASK (7u << INTR_TYPE_SHIFT)
#define INTR_TYPE_EXTERNAL 0u
#define INTR_TYPE_NMI 2u
#define INTR_TYPE_EXCEPTION 3u
#define INTR_TYPE_SOFT 4u
#define INTR_TYPE_PRIV_SOFT 5u  /* ICEBP */
#define INTR_TYPE_SOFT_EXCEPTION 6u /* INT3, INTO */
#define INTR_ERROR_VALID BIT(11)
#define INTR_VALID BIT(31)

/* Guest interruptibility (SDM table 25-3). */
#define INTR_BLOCK_STI BIT(0)
#define INTR_BLOCK_MOV_SS BIT(1)
#define INTR_BLOCK_SMI BIT(2)
#define INTR_BLOCK_NMI BIT(3)
/* Pending debug exceptions (SDM table 25-4). */
#define PENDING_DBG_BS BIT(14)

/* Access rights beyond those of struct cpu_segment (SDM table 25-2). */
#define AR_UNUSABLE BIT(16)

/* Exit reasons (SDM appendix C). */
#define EXIT_EXCEPTION 0
#define EXIT_EXTERNAL 1
#define EXIT_TRIPLE_FAULT 2
#define EXIT_INIT 3
#define EXIT_SIPI 4
#define EXIT_IRQ_WINDOW 7
#define EXIT_NMI_WINDOW 8
#define EXIT_TASK_SWITCH 9
#define EXIT_CPUID 10
#define EXIT_GETSEC 11
#define EXIT_HLT 12
#define EXIT_INVD 13
#define EXIT_RDPMC 15
#define EXIT_RSM 17
#define EXIT_VMCALL 18
#define EXIT_VMCLEAR 19
#define EXIT_VMLAUNCH 20
#define EXIT_VMPTRLD 21
#define EXIT_VMPTRST 22
#define EXIT_VMREAD 23
#define EXIT_VMRESUME 24
#define EXIT_VMWRITE 25
#define EXIT_VMXOFF 26
#define EXIT_VMXON 27
#define EXIT_CR 28
#define EXIT_IO 30
#define EXIT_RDMSR 31
#define EXIT_WRMSR 32
#define EXIT_GUEST_STATE 33
#define EXIT_MSR_LOADING 34
#define EXIT_MWAIT 36
#define EXIT_MONITOR 39
#define EXIT_PAUSE 40
#define EXIT_MC_AT_ENTRY 41
#define EXIT_TPR 43
#define EXIT_EOI 45
#define EXIT_EPT_VIOLATION 48
#define EXIT_EPT_MISCONFIG 49
#define EXIT_INVEPT 50
#define EXIT_INVVPID 53
#define EXIT_WBINVD 54
#define EXIT_XSETBV 55
#define EXIT_APIC_WRITE 56
#define EXIT_VMFUNC 59
#define EXIT_TABLE_SIZE 60
#define EXIT_REASON_MASK 0xffffu
#define EXIT_ENTRY_FAILED BIT(31)

/* Exit qualification of control-register accesses (SDM table 28-3). */
#define CRQ_NUMBER(q) ((unsigned)(q) & 15u)
#define CRQ_TYPE(q) ((unsigned)(q) >> 4 & 3u)
#define CRQ_MOV_TO 0u
#define CRQ_MOV_FROM 1u
#define CRQ_GPR(q) ((unsigned)(q) >> 8 & 15u)
/* Of port accesses (SDM table 28-5). */
#define IOQ_SIZE(q) (((unsigned)(q) & 7u) + 1)
#define IOQ_IN BIT(3)
#define IOQ_STRING BIT(4)
#define IOQ_PORT(q) ((uint16_t)((q) >> 16))
/* Of EPT violations (SDM table 28-7). */
#define EPTQ_WRITE BIT(1)
#define EPTQ_FETCH BIT(2)
#define EPTQ_PERMISSIONS GENMASK(5, 3)
#define EPTQ_LINEAR_VALID BIT(7)
#define EPTQ_FINAL BIT(8)
#define EPTQ_NMI_UNBLOCKED BIT(12)
/* Of debug exceptions (SDM table 28-1): B0-B3, BD, BS as in DR6. */
#define DBQ_DR6 (GENMASK(3, 0) | GENMASK(14, 13))

/* The virtual-APIC page's register that travels at each entry and exit (SDM 30.1.1). */
#define VAPIC_TPR 0x80
/* Guest interrupt status: the highest virtual interrupt requested, and in service (SDM 25.4.2). */
#define INTR_STATUS(rvi, svi) ((uint64_t)(svi) << 8 | (rvi))
#define INTR_STATUS_SVI(status) ((uint8_t)((status) >> 8))
/* Exit qualification of APIC writes: the register's offset in the page (SDM 28.2.1). */
#define APICQ_OFFSET(q) ((uint32_t)(q) & 0xfffu)

/* MSR bitmap (SDM 25.6.9). */
#define VMX_MSRBM_SIZE 4096u

/* What the vCPUs of a domain share beside the bitmap. */
struct vmx_domain {
    uint8_t *msr_bitmap;
    uint8_t *apic_bitmap;         /* while the CPU keeps the local APIC; NULL: it never does */
    /* By CPU: the p2m generation up to which its EPT-derived translations are flushed. Written by that CPU only. */
    uint64_t ept_gen[MAX_CPUS];
};

/* One physical CPU. */
struct vmx_cpu {
    void *vmxon;              /* VMXON region */
    bool on;
    struct vmx_host host;     /* what exits load */
};

/* MSRs that hold the guest's value while it is loaded, because the hypervisor has no use for them. */
enum { LAZY_STAR, LAZY_LSTAR, LAZY_CSTAR, LAZY_SFMASK, LAZY_KERNEL_GS_BASE, NR_LAZY_MSRS };

/* One vCPU. */
struct vmx_vcpu {
    uint64_t val[NR_GUEST_SLOTS]; /* guest state; true where `valid` has the slot's bit */
    uint64_t valid, dirty;        /* dirty: newer than the VMCS */
    struct cpu_vcpu *c;
    void *vmcs;
    uint8_t *vapic;               /* the virtual-APIC page; without TPR shadow only its TPR is used, as the way of CR8 */
    struct vmx_domain *dom;
    const struct vmx_cpu *cpu;    /* whose host state is in the VMCS; NULL: nobody's yet */
    struct vmx_controls ctl;
    struct vmx_addresses addr;
    uint64_t host_rsp;            /* what the VMCS has */
    uint64_t cr2, dr6;            /* while not loaded; then they are in the registers */
    uint64_t lazy[NR_LAZY_MSRS];  /* likewise */
    uint64_t tlb_gen;             /* c->tlb_gen at the last flush_tlb */
    uint32_t exit_reason;
    uint32_t proc_ctl, proc_ctl_vmcs; /* primary controls: as wanted, and as in the VMCS; windows come and go */
    uint32_t tpr_threshold;       /* as in the VMCS */
    uint64_t eoi_exit[4];         /* the EOI-exit bitmap, as in the VMCS */
    uint32_t entry_fail;          /* VM-instruction error + 1 of a VM entry that failed early */
    bool loaded;
    bool keeps_apic;              /* the VMCS tells the CPU to keep the local APIC */
    bool launched;
    bool built;                   /* the VMCS has its constant part */
    bool checked;                 /* the rules of VM entry were looked at once */
    bool injecting;               /* an event waits in the VMCS */
    bool flush_ept, flush_vpid;   /* to look at before the next entry */
    bool attention;               /* dirty, a flush or proc_ctl is to look at before the next entry */
};

extern struct vmx_caps vmx_caps;
extern struct vmx_cpu vmx_cpus[MAX_CPUS];

static inline struct vmx_vcpu *vmx_of(const struct cpu_vcpu *c)
{
    return c->backend;
}

/* ---- guest.c: guest state ---- */

static inline uint64_t vmx_get(struct vmx_vcpu *s, enum guest_slot slot)
{
    if (!(s->valid & BIT(slot))) {
        s->val[slot] = vmcs_read(vmcs_slot_field[slot]);
        s->valid |= BIT(slot);
    }
    return s->val[slot];
}

static inline void vmx_set(struct vmx_vcpu *s, enum guest_slot slot, uint64_t val)
{
    s->val[slot] = val;
    s->valid |= BIT(slot);
    s->dirty |= BIT(slot);
    s->attention = true;
}

/* Before an entry: what was set goes into the VMCS, with what follows from it (mode, PDPTEs). */
void vmx_write_back(struct vmx_vcpu *s);
/* Reads in all guest state that is not known. */
void vmx_read_all(struct vmx_vcpu *s);
/* The state after INIT (SDM table 10-1); caches stay on. */
void vmx_guest_reset(struct vmx_vcpu *s);

void vmx_get_segment(const struct cpu_vcpu *c, enum cpu_seg_id id, struct cpu_segment *out);
void vmx_set_segment(struct cpu_vcpu *c, enum cpu_seg_id id, const struct cpu_segment *in);
uint64_t vmx_get_cr(const struct cpu_vcpu *c, unsigned n);
void vmx_get_control(const struct cpu_vcpu *c, struct cpu_control *out);
void vmx_set_cr(struct cpu_vcpu *c, unsigned n, uint64_t val);
uint64_t vmx_get_efer(const struct cpu_vcpu *c);
void vmx_set_efer(struct cpu_vcpu *c, uint64_t efer);
uint64_t vmx_get_dr(const struct cpu_vcpu *c, unsigned n);
void vmx_set_dr(struct cpu_vcpu *c, unsigned n, uint64_t val);
int vmx_get_msr(const struct cpu_vcpu *c, uint32_t msr, uint64_t *val);
int vmx_set_msr(struct cpu_vcpu *c, uint32_t msr, uint64_t val);
unsigned vmx_get_cpl(const struct cpu_vcpu *c);
/* MSR numbers of the lazy ones, by LAZY_*. */
extern const uint32_t vmx_lazy_msr[NR_LAZY_MSRS];
/* What stays in the CPU's registers while the vCPU is loaded: in at vcpu_load, out at vcpu_save. */
void vmx_load_registers(const struct vmx_vcpu *s);
void vmx_save_registers(struct vmx_vcpu *s);
/*
 * The guest's MOV to CR0 with bits that it may not decide alone. 0, or -EPERM: #GP (SDM vol. 2, MOV to control
 * registers), nothing has changed.
 */
int vmx_write_cr0(struct cpu_vcpu *c, uint64_t val);

/* Clears the bitmap's bits so that reads or writes do not exit. -EINVAL: the bitmap has no bit for msr. */
int vmx_msrbm_allow(uint8_t *map, uint32_t msr, bool read, bool write);

/* ---- inject.c: events and windows ---- */

void vmx_inject(struct cpu_vcpu *c, const struct cpu_event *ev);
bool vmx_can_inject_irq(const struct cpu_vcpu *c);
bool vmx_can_inject_nmi(const struct cpu_vcpu *c);
void vmx_request_irq_window(struct cpu_vcpu *c);
void vmx_request_nmi_window(struct cpu_vcpu *c);
/* After an exit whose IDT-vectoring information is valid: takes the event over that it cut short. */
void vmx_take_interrupted_event(struct cpu_vcpu *c, uint32_t info);
/* The exit found IRET done halfway: NMIs are still blocked (SDM 28.2.3, table 28-7). */
void vmx_restore_nmi_blocking(struct vmx_vcpu *s, bool unblocked);
void vmx_exit_irq_window(struct cpu_vcpu *c);
void vmx_exit_nmi_window(struct cpu_vcpu *c);

/* ---- tlb.c: VPIDs and invalidation ---- */

/* A VPID of its own for a vCPU; 0 when there are none (left): the CPU then flushes at every entry and exit. */
uint16_t vmx_vpid_alloc(void);
void vmx_vpid_free(uint16_t vpid);
/* This CPU forgets everything it may have cached in VMX operation before. */
void vmx_tlb_init_cpu(void);
/* Before an entry on `cpu`, when flush_ept or flush_vpid is set. */
void vmx_tlb_sync(struct vmx_vcpu *s, unsigned cpu);
void vmx_flush_tlb(struct cpu_vcpu *c);

/* ---- exits.c ---- */

void vmx_handle_exit(struct cpu_vcpu *c);
/* A port access's exit qualification in the common code's form (cpu/exit.h). */
uint32_t vmx_pio_access(uint64_t qualification);

/* ---- dump.c ---- */

void vmx_dump(const struct cpu_vcpu *c);
/* Every field of the current VMCS by name, controls decoded. */
void vmx_dump_vmcs(void);
/* Before a vCPU's first entry: prints the rules of VM entry that are broken, if any. */
void vmx_first_check(struct vmx_vcpu *s);
/* Says why VM entry failed, with the rules that are broken, and stops the domain. */
void vmx_entry_failed(struct cpu_vcpu *c);

#endif
