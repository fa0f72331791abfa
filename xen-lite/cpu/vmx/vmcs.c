/* SPDX-License-Identifier: MIT */
/*
 * The table of VMCS fields, in the order of SDM vol. 3, appendix B, and the loops that set fields from it.
 */
#include "cpu/vmx/vmcs.h"

#include "cpu/vmx/caps.h"

/* #DB and #AC so that a guest cannot keep the CPU in an endless chain of faults (CVE-2015-5307, -8104); #MC is the
 * machine's business. */
#define EXCEPTIONS (BIT(1) | BIT(17) | BIT(18))

#define CAPS(member) BY_CAPS, offsetof(struct vmx_controls, member)
#define VCPU(member) BY_VCPU, offsetof(struct vmx_addresses, member)
#define HOST(member) BY_HOST, offsetof(struct vmx_host, member)

/* A field of the eight (ten) segments: encodings and slots both go up by one field. */
#define SEGMENT(n, name)                                                                           \
    { VMCS_GUEST_ES_SEL + 2 * (n), BY_GUEST, SLOT_SEL + (n), "guest " name " selector" },          \
    { VMCS_GUEST_ES_AR + 2 * (n), BY_GUEST, SLOT_AR + (n), "guest " name " access rights" },       \
    TABLE_SEGMENT(n, name)
#define TABLE_SEGMENT(n, name)                                                                     \
    { VMCS_GUEST_ES_LIMIT + 2 * (n), BY_GUEST, SLOT_LIMIT + (n), "guest " name " limit" },         \
    { VMCS_GUEST_ES_BASE + 2 * (n), BY_GUEST, SLOT_BASE + (n), "guest " name " base" }

const struct vmcs_field vmcs_table[] = {
    /* 25.6.1 to 25.6.22: execution controls */
    { VMCS_PIN_CTL, CAPS(pin), "pin-based controls" },
    { VMCS_PROC_CTL, CAPS(proc), "primary processor-based controls" },
    { VMCS_PROC2_CTL, CAPS(proc2), "secondary processor-based controls" },
    { VMCS_EXCEPTION_BITMAP, BY_CONSTANT, EXCEPTIONS, "exception bitmap" },
    { VMCS_PF_MASK, BY_CONSTANT, 0, "page-fault error-code mask" },
    { VMCS_PF_MATCH, BY_CONSTANT, 0, "page-fault error-code match" },
    { VMCS_IO_BITMAP_A, VCPU(io_bitmap_a), "I/O bitmap A" },
    { VMCS_IO_BITMAP_B, VCPU(io_bitmap_b), "I/O bitmap B" },
    { VMCS_TSC_OFFSET, BY_ENTRY, 0, "TSC offset" },
    { VMCS_CR0_MASK, BY_CONSTANT, CR0_HOST_MASK, "CR0 guest/host mask" },
    { VMCS_CR4_MASK, CAPS(cr4_mask), "CR4 guest/host mask" },
    { VMCS_CR0_SHADOW, BY_GUEST, SLOT_CR0_SHADOW, "CR0 read shadow" },
    { VMCS_CR4_SHADOW, BY_GUEST, SLOT_CR4_SHADOW, "CR4 read shadow" },
    { VMCS_CR3_TARGETS, BY_CONSTANT, 0, "CR3-target count" },
    { VMCS_VIRTUAL_APIC, VCPU(virtual_apic), "virtual-APIC page" },
    { VMCS_TPR_THRESHOLD, BY_ENTRY, 0, "TPR threshold" },
    { VMCS_EOI_EXIT0, BY_APIC, 0, "EOI-exit bitmap 0" },
    { VMCS_EOI_EXIT0 + 2, BY_APIC, 0, "EOI-exit bitmap 1" },
    { VMCS_EOI_EXIT0 + 4, BY_APIC, 0, "EOI-exit bitmap 2" },
    { VMCS_EOI_EXIT0 + 6, BY_APIC, 0, "EOI-exit bitmap 3" },
    { VMCS_POSTED_VECTOR, VCPU(posted_vector), "posted-interrupt notification vector" },
    { VMCS_POSTED_DESCRIPTOR, VCPU(posted_descriptor), "posted-interrupt descriptor" },
    { VMCS_MSR_BITMAP, VCPU(msr_bitmap), "MSR bitmaps" },
    { VMCS_EPTP, VCPU(eptp), "EPT pointer" },
    { VMCS_VPID, VCPU(vpid), "VPID" },
    /* 25.7: exit controls */
    { VMCS_EXIT_CTL, CAPS(exit), "VM-exit controls" },
    { VMCS_EXIT_MSR_STORE_COUNT, BY_CONSTANT, 0, "VM-exit MSR-store count" },
    { VMCS_EXIT_MSR_LOAD_COUNT, BY_CONSTANT, 0, "VM-exit MSR-load count" },
    { VMCS_EXIT_MSR_STORE, BY_CONSTANT, 0, "VM-exit MSR-store address" },
    { VMCS_EXIT_MSR_LOAD, BY_CONSTANT, 0, "VM-exit MSR-load address" },
    /* 25.8: entry controls */
    { VMCS_ENTRY_CTL, CAPS(entry), "VM-entry controls" },
    { VMCS_ENTRY_MSR_LOAD_COUNT, BY_CONSTANT, 0, "VM-entry MSR-load count" },
    { VMCS_ENTRY_MSR_LOAD, BY_CONSTANT, 0, "VM-entry MSR-load address" },
    { VMCS_ENTRY_INTR, BY_CONSTANT, 0, "VM-entry interruption information" },
    { VMCS_ENTRY_INTR_ERROR, BY_CONSTANT, 0, "VM-entry exception error code" },
    { VMCS_ENTRY_INSN_LEN, BY_CONSTANT, 0, "VM-entry instruction length" },
    /* 25.4.1: guest registers */
    { VMCS_GUEST_CR0, BY_GUEST, SLOT_CR0, "guest CR0" },
    { VMCS_GUEST_CR3, BY_GUEST, SLOT_CR3, "guest CR3" },
    { VMCS_GUEST_CR4, BY_GUEST, SLOT_CR4, "guest CR4" },
    { VMCS_GUEST_DR7, BY_GUEST, SLOT_DR7, "guest DR7" },
    { VMCS_GUEST_RSP, BY_GUEST, SLOT_RSP, "guest RSP" },
    { VMCS_GUEST_RIP, BY_GUEST, SLOT_RIP, "guest RIP" },
    { VMCS_GUEST_RFLAGS, BY_GUEST, SLOT_RFLAGS, "guest RFLAGS" },
    SEGMENT(0, "ES"),
    SEGMENT(1, "CS"),
    SEGMENT(2, "SS"),
    SEGMENT(3, "DS"),
    SEGMENT(4, "FS"),
    SEGMENT(5, "GS"),
    SEGMENT(6, "LDTR"),
    SEGMENT(7, "TR"),
    TABLE_SEGMENT(8, "GDTR"),
    TABLE_SEGMENT(9, "IDTR"),
    { VMCS_GUEST_DEBUGCTL, BY_GUEST, SLOT_DEBUGCTL, "guest DEBUGCTL" },
    { VMCS_GUEST_SYSENTER_CS, BY_GUEST, SLOT_SYSENTER_CS, "guest SYSENTER_CS" },
    { VMCS_GUEST_SYSENTER_ESP, BY_GUEST, SLOT_SYSENTER_ESP, "guest SYSENTER_ESP" },
    { VMCS_GUEST_SYSENTER_EIP, BY_GUEST, SLOT_SYSENTER_EIP, "guest SYSENTER_EIP" },
    { VMCS_GUEST_PAT, BY_GUEST, SLOT_PAT, "guest PAT" },
    { VMCS_GUEST_EFER, BY_GUEST, SLOT_EFER, "guest EFER" },
    /* 25.4.2: the rest of guest state */
    { VMCS_GUEST_ACTIVITY, BY_GUEST, SLOT_ACTIVITY, "guest activity state" },
    { VMCS_GUEST_INTERRUPTIBILITY, BY_GUEST, SLOT_INTERRUPTIBILITY, "guest interruptibility" },
    { VMCS_GUEST_PENDING_DBG, BY_GUEST, SLOT_PENDING_DBG, "guest pending debug exceptions" },
    { VMCS_GUEST_INTR_STATUS, BY_APIC, 0, "guest interrupt status" },
    { VMCS_LINK_POINTER, BY_CONSTANT, ~0ULL, "VMCS link pointer" },
    { VMCS_GUEST_PDPTE0, BY_GUEST, SLOT_PDPTE, "guest PDPTE0" },
    { VMCS_GUEST_PDPTE0 + 2, BY_GUEST, SLOT_PDPTE + 1, "guest PDPTE1" },
    { VMCS_GUEST_PDPTE0 + 4, BY_GUEST, SLOT_PDPTE + 2, "guest PDPTE2" },
    { VMCS_GUEST_PDPTE0 + 6, BY_GUEST, SLOT_PDPTE + 3, "guest PDPTE3" },
    /* 25.5: host state */
    { VMCS_HOST_CR0, HOST(cr0), "host CR0" },
    { VMCS_HOST_CR3, HOST(cr3), "host CR3" },
    { VMCS_HOST_CR4, HOST(cr4), "host CR4" },
    { VMCS_HOST_RSP, BY_ENTRY, 0, "host RSP" },
    { VMCS_HOST_RIP, HOST(rip), "host RIP" },
    { VMCS_HOST_CS_SEL, HOST(cs), "host CS selector" },
    { VMCS_HOST_SS_SEL, HOST(ss), "host SS selector" },
    { VMCS_HOST_DS_SEL, BY_CONSTANT, 0, "host DS selector" },
    { VMCS_HOST_ES_SEL, BY_CONSTANT, 0, "host ES selector" },
    { VMCS_HOST_FS_SEL, BY_CONSTANT, 0, "host FS selector" },
    { VMCS_HOST_GS_SEL, BY_CONSTANT, 0, "host GS selector" },
    { VMCS_HOST_TR_SEL, HOST(tr), "host TR selector" },
    { VMCS_HOST_FS_BASE, BY_CONSTANT, 0, "host FS base" },
    { VMCS_HOST_GS_BASE, HOST(gs_base), "host GS base" },
    { VMCS_HOST_TR_BASE, HOST(tr_base), "host TR base" },
    { VMCS_HOST_GDTR_BASE, HOST(gdtr_base), "host GDTR base" },
    { VMCS_HOST_IDTR_BASE, HOST(idtr_base), "host IDTR base" },
    { VMCS_HOST_SYSENTER_CS, BY_CONSTANT, 0, "host SYSENTER_CS" },
    { VMCS_HOST_SYSENTER_ESP, BY_CONSTANT, 0, "host SYSENTER_ESP" },
    { VMCS_HOST_SYSENTER_EIP, BY_CONSTANT, 0, "host SYSENTER_EIP" },
    { VMCS_HOST_PAT, HOST(pat), "host PAT" },
    { VMCS_HOST_EFER, HOST(efer), "host EFER" },
    /* 25.9: what exits tell */
    { VMCS_INSN_ERROR, BY_CPU, 0, "VM-instruction error" },
    { VMCS_EXIT_REASON, BY_CPU, 0, "exit reason" },
    { VMCS_EXIT_QUALIFICATION, BY_CPU, 0, "exit qualification" },
    { VMCS_GUEST_LINEAR, BY_CPU, 0, "guest-linear address" },
    { VMCS_GUEST_PHYSICAL, BY_CPU, 0, "guest-physical address" },
    { VMCS_EXIT_INTR, BY_CPU, 0, "VM-exit interruption information" },
    { VMCS_EXIT_INTR_ERROR, BY_CPU, 0, "VM-exit interruption error code" },
    { VMCS_IDT_VECTORING, BY_CPU, 0, "IDT-vectoring information" },
    { VMCS_IDT_VECTORING_ERROR, BY_CPU, 0, "IDT-vectoring error code" },
    { VMCS_EXIT_INSN_LEN, BY_CPU, 0, "VM-exit instruction length" },
    { VMCS_EXIT_INSN_INFO, BY_CPU, 0, "VM-exit instruction information" },
};
const unsigned vmcs_table_size = ARRAY_SIZE(vmcs_table);
uint16_t vmcs_slot_field[NR_GUEST_SLOTS];

void vmcs_table_init(void)
{
    for (unsigned i = 0; i < vmcs_table_size; i++) {
        if (vmcs_table[i].by == BY_GUEST)
            vmcs_slot_field[vmcs_table[i].value] = vmcs_table[i].enc;
    }
}

/* A vCPU's address of 0 stands for a feature that this CPU does not have: nor does it have the field. */
void vmcs_write_set(enum vmcs_setter by, const void *from)
{
    for (unsigned i = 0; i < vmcs_table_size; i++) {
        const struct vmcs_field *f = &vmcs_table[i];
        uint64_t val = f->value;

        if (f->by != by)
            continue;
        if (from)
            val = *(const uint64_t *)((const uint8_t *)from + f->value);
        if (val || by != BY_VCPU)
            vmcs_write(f->enc, val);
    }
}

const char *vmcs_name(uint16_t enc)
{
    for (unsigned i = 0; i < vmcs_table_size; i++) {
        if (vmcs_table[i].enc == enc)
            return vmcs_table[i].name;
    }
    return "unknown field";
}
