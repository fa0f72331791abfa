/* SPDX-License-Identifier: MIT */
/*
 * The VMCS as one table: every field that xen-lite uses, with its encoding (SDM vol. 3, appendix B), who sets it and to
 * what. Building, dumping and the guest-state cache all go by this table.
 */
#ifndef XL_CPU_VMX_VMCS_H
#define XL_CPU_VMX_VMCS_H

#include "lib/types.h"

enum vmcs_enc {
    /* B.1: 16 bits; control, guest, host */
    VMCS_VPID = 0x0000,
    VMCS_POSTED_VECTOR = 0x0002,
    VMCS_GUEST_ES_SEL = 0x0800, /* then CS SS DS FS GS LDTR TR */
    VMCS_GUEST_INTR_STATUS = 0x0810,
    VMCS_HOST_ES_SEL = 0x0c00,
    VMCS_HOST_CS_SEL = 0x0c02,
    VMCS_HOST_SS_SEL = 0x0c04,
    VMCS_HOST_DS_SEL = 0x0c06,
    VMCS_HOST_FS_SEL = 0x0c08,
    VMCS_HOST_GS_SEL = 0x0c0a,
    VMCS_HOST_TR_SEL = 0x0c0c,
    /* B.2: 64 bits; control, read-only, guest, host */
    VMCS_IO_BITMAP_A = 0x2000,
    VMCS_IO_BITMAP_B = 0x2002,
    VMCS_MSR_BITMAP = 0x2004,
    VMCS_EXIT_MSR_STORE = 0x2006,
    VMCS_EXIT_MSR_LOAD = 0x2008,
    VMCS_ENTRY_MSR_LOAD = 0x200a,
    VMCS_TSC_OFFSET = 0x2010,
    VMCS_VIRTUAL_APIC = 0x2012,
    VMCS_POSTED_DESCRIPTOR = 0x2016,
    VMCS_EPTP = 0x201a,
    VMCS_EOI_EXIT0 = 0x201c, /* four */
    VMCS_GUEST_PHYSICAL = 0x2400,
    VMCS_LINK_POINTER = 0x2800,
    VMCS_GUEST_DEBUGCTL = 0x2802,
    VMCS_GUEST_PAT = 0x2804,
    VMCS_GUEST_EFER = 0x2806,
    VMCS_GUEST_PDPTE0 = 0x280a,
    VMCS_HOST_PAT = 0x2c00,
    VMCS_HOST_EFER = 0x2c02,
    /* B.3: 32 bits */
    VMCS_PIN_CTL = 0x4000,
    VMCS_PROC_CTL = 0x4002,
    VMCS_EXCEPTION_BITMAP = 0x4004,
    VMCS_PF_MASK = 0x4006,
    VMCS_PF_MATCH = 0x4008,
    VMCS_CR3_TARGETS = 0x400a,
    VMCS_EXIT_CTL = 0x400c,
    VMCS_EXIT_MSR_STORE_COUNT = 0x400e,
    VMCS_EXIT_MSR_LOAD_COUNT = 0x4010,
    VMCS_ENTRY_CTL = 0x4012,
    VMCS_ENTRY_MSR_LOAD_COUNT = 0x4014,
    VMCS_ENTRY_INTR = 0x4016,
    VMCS_ENTRY_INTR_ERROR = 0x4018,
    VMCS_ENTRY_INSN_LEN = 0x401a,
    VMCS_TPR_THRESHOLD = 0x401c,
    VMCS_PROC2_CTL = 0x401e,
    VMCS_INSN_ERROR = 0x4400,
    VMCS_EXIT_REASON = 0x4402,
    VMCS_EXIT_INTR = 0x4404,
    VMCS_EXIT_INTR_ERROR = 0x4406,
    VMCS_IDT_VECTORING = 0x4408,
    VMCS_IDT_VECTORING_ERROR = 0x440a,
    VMCS_EXIT_INSN_LEN = 0x440c,
    VMCS_EXIT_INSN_INFO = 0x440e,
    VMCS_GUEST_ES_LIMIT = 0x4800, /* then CS SS DS FS GS LDTR TR GDTR IDTR */
    VMCS_GUEST_ES_AR = 0x4814,    /* then CS SS DS FS GS LDTR TR */
    VMCS_GUEST_INTERRUPTIBILITY = 0x4824,
    VMCS_GUEST_ACTIVITY = 0x4826,
    VMCS_GUEST_SYSENTER_CS = 0x482a,
    VMCS_HOST_SYSENTER_CS = 0x4c00,
    /* B.4: natural width */
    VMCS_CR0_MASK = 0x6000,
    VMCS_CR4_MASK = 0x6002,
    VMCS_CR0_SHADOW = 0x6004,
    VMCS_CR4_SHADOW = 0x6006,
    VMCS_EXIT_QUALIFICATION = 0x6400,
    VMCS_GUEST_LINEAR = 0x640a,
    VMCS_GUEST_CR0 = 0x6800,
    VMCS_GUEST_CR3 = 0x6802,
    VMCS_GUEST_CR4 = 0x6804,
    VMCS_GUEST_ES_BASE = 0x6806, /* then CS SS DS FS GS LDTR TR GDTR IDTR */
    VMCS_GUEST_DR7 = 0x681a,
    VMCS_GUEST_RSP = 0x681c,
    VMCS_GUEST_RIP = 0x681e,
    VMCS_GUEST_RFLAGS = 0x6820,
    VMCS_GUEST_PENDING_DBG = 0x6822,
    VMCS_GUEST_SYSENTER_ESP = 0x6824,
    VMCS_GUEST_SYSENTER_EIP = 0x6826,
    VMCS_HOST_CR0 = 0x6c00,
    VMCS_HOST_CR3 = 0x6c02,
    VMCS_HOST_CR4 = 0x6c04,
    VMCS_HOST_FS_BASE = 0x6c06,
    VMCS_HOST_GS_BASE = 0x6c08,
    VMCS_HOST_TR_BASE = 0x6c0a,
    VMCS_HOST_GDTR_BASE = 0x6c0c,
    VMCS_HOST_IDTR_BASE = 0x6c0e,
    VMCS_HOST_SYSENTER_ESP = 0x6c10,
    VMCS_HOST_SYSENTER_EIP = 0x6c12,
    VMCS_HOST_RSP = 0x6c14,
    VMCS_HOST_RIP = 0x6c16,
};

/*
 * Guest state that is cached outside of the VMCS. Of the segments in the order of enum cpu_seg_id, which is also the
 * SDM's: GDTR and IDTR have base and limit only.
 */
enum guest_slot {
    SLOT_SEL,                        /* ES CS SS DS FS GS LDTR TR */
    SLOT_AR = SLOT_SEL + 8,
    SLOT_LIMIT = SLOT_AR + 8,        /* and GDTR, IDTR */
    SLOT_BASE = SLOT_LIMIT + 10,
    SLOT_CR0 = SLOT_BASE + 10,
    SLOT_CR3,
    SLOT_CR4,
    SLOT_CR0_SHADOW,
    SLOT_CR4_SHADOW,
    SLOT_DR7,
    SLOT_EFER,
    SLOT_PAT,
    SLOT_DEBUGCTL,
    SLOT_SYSENTER_CS,
    SLOT_SYSENTER_ESP,
    SLOT_SYSENTER_EIP,
    SLOT_PDPTE,                      /* four */
    SLOT_PENDING_DBG = SLOT_PDPTE + 4,
    SLOT_ACTIVITY,
    /* Travel at every entry and exit. */
    SLOT_INTERRUPTIBILITY,
    SLOT_RIP,
    SLOT_RSP,
    SLOT_RFLAGS,
    NR_GUEST_SLOTS
};
_Static_assert(NR_GUEST_SLOTS <= 64, "one bit a slot");

/* What a guest cannot change without an exit. */
#define SLOTS_KEPT                                                                                 \
    (BIT(SLOT_CR0_SHADOW) | BIT(SLOT_CR4_SHADOW) | BIT(SLOT_PAT) | BIT(SLOT_DEBUGCTL) |            \
     BIT(SLOT_ACTIVITY))

/* By slot: the field's encoding, from the table. */
extern uint16_t vmcs_slot_field[NR_GUEST_SLOTS];

/* Addresses and numbers that belong to one vCPU or its domain. */
struct vmx_addresses {
    uint64_t vpid, io_bitmap_a, io_bitmap_b, msr_bitmap, virtual_apic, eptp;
    uint64_t posted_vector, posted_descriptor;
    uint64_t apic_bitmap; /* in msr_bitmap's place while the CPU keeps the local APIC */
};

/* What an exit loads (SDM 25.5): the CPU's own values. */
struct vmx_host {
    uint64_t cr0, cr3, cr4, efer, pat;
    uint64_t cs, ss, tr;                  /* selectors; the other segments are null */
    uint64_t gs_base, tr_base, gdtr_base, idtr_base;
    uint64_t rip;
};

enum vmcs_setter {
    BY_CONSTANT,  /* `value`, once */
    BY_CAPS,      /* once, member of struct vmx_controls at offset `value` */
    BY_VCPU,      /* once, member of struct vmx_addresses */
    BY_HOST,      /* when the vCPU comes to a CPU, member of struct vmx_host */
    BY_GUEST,     /* guest state: slot `value` */
    BY_ENTRY,     /* by the code around VM entry, or when it changes */
    BY_APIC,      /* likewise; where the CPU can keep a guest's local APIC */
    BY_CPU,       /* by exits; read-only */
};

struct vmcs_field {
    uint16_t enc;
    uint8_t by; /* enum vmcs_setter */
    uint64_t value;
    const char *name;
};

extern const struct vmcs_field vmcs_table[];
extern const unsigned vmcs_table_size;

/* Fills vmcs_slot_field; once, before anything else here. */
void vmcs_table_init(void);
const char *vmcs_name(uint16_t enc);
/* Writes the fields of one setter into the current VMCS; from: the struct that holds their values, or NULL. */
void vmcs_write_set(enum vmcs_setter by, const void *from);

#ifdef XL_HOST
uint64_t vmcs_read(uint16_t enc);
void vmcs_write(uint16_t enc, uint64_t val);
#else
/* A field of the current VMCS, which this CPU must have: on the path of every exit nobody asks whether VMREAD worked. */
static inline uint64_t vmcs_read(uint16_t enc)
{
    uint64_t val;

    __asm__ __volatile__("vmread %1, %0" : "=r"(val) : "r"((uint64_t)enc) : "cc");
    return val;
}

void vmcs_write_failed(uint16_t enc, uint64_t val);

static inline void vmcs_write(uint16_t enc, uint64_t val)
{
    bool failed;

    __asm__ __volatile__("vmwrite %1, %2" : "=@ccbe"(failed) : "rm"(val), "r"((uint64_t)enc));
    if (unlikely(failed))
        vmcs_write_failed(enc, val);
}
#endif

#endif
