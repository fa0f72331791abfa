/* SPDX-License-Identifier: MIT */
/*
 * What this CPU's VMX can do (SDM vol. 3, appendix A) and the controls that follow from it. Pure data: MSRs come from a
 * function, so tests make machines up.
 */
#ifndef XL_CPU_VMX_CAPS_H
#define XL_CPU_VMX_CAPS_H

#include "lib/types.h"

#define MSR_FEATURE_CONTROL 0x3a
#define FEATURE_CONTROL_LOCK BIT(0)
#define FEATURE_CONTROL_VMX BIT(2) /* outside of SMX operation */

#define MSR_VMX_BASIC 0x480
#define MSR_VMX_PIN 0x481
#define MSR_VMX_PROC 0x482
#define MSR_VMX_EXIT 0x483
#define MSR_VMX_ENTRY 0x484
#define MSR_VMX_MISC 0x485
#define MSR_VMX_CR0_FIXED0 0x486
#define MSR_VMX_CR0_FIXED1 0x487
#define MSR_VMX_CR4_FIXED0 0x488
#define MSR_VMX_CR4_FIXED1 0x489
#define MSR_VMX_PROC2 0x48b
#define MSR_VMX_EPT_VPID 0x48c
#define MSR_VMX_TRUE_PIN 0x48d
#define MSR_VMX_TRUE_PROC 0x48e
#define MSR_VMX_TRUE_EXIT 0x48f
#define MSR_VMX_TRUE_ENTRY 0x490

/* Pin-based controls (SDM table 25-5). */
#define PIN_EXTERNAL BIT(0)
#define PIN_NMI BIT(3)
#define PIN_VIRTUAL_NMI BIT(5)
#define PIN_POSTED BIT(7)
/* Primary processor-based controls (SDM table 25-6). */
#define PROC_IRQ_WINDOW BIT(2)
#define PROC_TSC_OFFSET BIT(3)
#define PROC_HLT BIT(7)
#define PROC_INVLPG BIT(9)
#define PROC_MWAIT BIT(10)
#define PROC_RDPMC BIT(11)
#define PROC_RDTSC BIT(12)
#define PROC_CR3_LOAD BIT(15)
#define PROC_CR3_STORE BIT(16)
#define PROC_CR8_LOAD BIT(19)
#define PROC_CR8_STORE BIT(20)
#define PROC_TPR_SHADOW BIT(21)
#define PROC_NMI_WINDOW BIT(22)
#define PROC_MOV_DR BIT(23)
#define PROC_UNCONDITIONAL_IO BIT(24)
#define PROC_IO_BITMAPS BIT(25)
#define PROC_MTF BIT(27)
#define PROC_MSR_BITMAPS BIT(28)
#define PROC_MONITOR BIT(29)
#define PROC_PAUSE BIT(30)
#define PROC_SECONDARY BIT(31)
/* Secondary controls (SDM table 25-7). */
#define PROC2_APIC_ACCESSES BIT(0)
#define PROC2_EPT BIT(1)
#define PROC2_DESCRIPTOR_TABLE BIT(2)
#define PROC2_RDTSCP BIT(3)
#define PROC2_X2APIC BIT(4)
#define PROC2_VPID BIT(5)
#define PROC2_WBINVD BIT(6)
#define PROC2_UNRESTRICTED BIT(7)
#define PROC2_APIC_REGISTERS BIT(8)
#define PROC2_VIRTUAL_INTR BIT(9)
#define PROC2_INVPCID BIT(12)
/* Exit controls (SDM table 25-14). */
#define EXIT_CTL_SAVE_DEBUG BIT(2)
#define EXIT_CTL_HOST_64 BIT(9)
#define EXIT_CTL_PERF_GLOBAL BIT(12)
#define EXIT_CTL_ACK_IRQ BIT(15)
#define EXIT_CTL_SAVE_PAT BIT(18)
#define EXIT_CTL_LOAD_PAT BIT(19)
#define EXIT_CTL_SAVE_EFER BIT(20)
#define EXIT_CTL_LOAD_EFER BIT(21)
/* Entry controls (SDM table 25-17). */
#define ENTRY_CTL_LOAD_DEBUG BIT(2)
#define ENTRY_CTL_IA32E BIT(9)
#define ENTRY_CTL_SMM BIT(10)
#define ENTRY_CTL_DUAL_MONITOR BIT(11)
#define ENTRY_CTL_PERF_GLOBAL BIT(13)
#define ENTRY_CTL_LOAD_PAT BIT(14)
#define ENTRY_CTL_LOAD_EFER BIT(15)

/* EPT and VPID (SDM A.10). */
#define EPT_CAP_WALK_4 BIT(6)
#define EPT_CAP_UC BIT(8)
#define EPT_CAP_WB BIT(14)
#define EPT_CAP_2M BIT(16)
#define EPT_CAP_1G BIT(17)
#define EPT_CAP_INVEPT BIT(20)
#define EPT_CAP_AD BIT(21)
#define EPT_CAP_INVEPT_SINGLE BIT(25)
#define EPT_CAP_INVEPT_ALL BIT(26)
#define VPID_CAP_INVVPID BIT(32)
#define VPID_CAP_SINGLE BIT(41)
#define VPID_CAP_ALL BIT(42)
/* The EPT pointer (SDM table 25-9). */
#define EPTP_WB 6ULL
#define EPTP_WALK_4 (3ULL << 3)
#define EPTP_AD BIT(6)

#define V_CR0_PE BIT(0)
#define V_CR0_ET BIT(4)
#define V_CR0_NE BIT(5)
#define V_CR0_NW BIT(29)
#define V_CR0_CD BIT(30)
#define V_CR0_PG BIT(31)
#define V_CR4_PAE BIT(5)
#define V_CR4_VMXE BIT(13)
#define V_EFER_LME BIT(8)
#define V_EFER_LMA BIT(10)

/*
 * What the guest may not decide: NE must be 1 in VMX operation (SDM A.7); with caches off for real a guest would slow the
 * whole machine down.
 */
#define CR0_HOST_MASK (V_CR0_NE | V_CR0_NW | V_CR0_CD)
/* CR4 bits whose state is switched or that need none: VME to OSXMMEXCPT, UMIP, FSGSBASE, PCIDE, OSXSAVE, SMEP, SMAP, PKE. */
#define CR4_GUEST_BITS (GENMASK(10, 0) | BIT(11) | BIT(16) | BIT(17) | BIT(18) | GENMASK(22, 20))

/* With which the CPU keeps a guest's local APIC in x2APIC mode: all or none are used. */
#define PROC2_APIC (PROC2_X2APIC | PROC2_APIC_REGISTERS | PROC2_VIRTUAL_INTR)

/*
 * What the VMCS's control fields hold. The entry controls' mode bit is the guest's. While the CPU keeps the guest's local
 * APIC, `apic_proc2` and `apic_pin` are set as well; both 0: it never does.
 */
struct vmx_controls {
    uint64_t pin, proc, proc2, exit, entry;
    uint64_t cr4_mask;
    uint64_t apic_proc2, apic_pin;
};

struct vmx_caps {
    uint32_t revision;     /* of VMXON regions and VMCSs */
    uint64_t misc, ept_vpid;
    /* By control word: low half: bits that must be 1; high half: bits that may be 1. */
    uint64_t pin, proc, proc2, exit, entry;
    uint64_t cr0_fixed0, cr0_fixed1, cr4_fixed0, cr4_fixed1;
    struct vmx_controls ctl;
};

/*
 * Reads the capability MSRs with `read` (0, or an error where the MSR does not exist) and decides on the controls. NULL, or
 * what is missing, in words, valid until the next call.
 */
const char *vmx_caps_probe(struct vmx_caps *caps, int (*read)(uint32_t msr, uint64_t *val));

/* Takes from the decision that the CPU keeps guests' local APICs, or only that it takes what is posted by itself. */
void vmx_caps_emulate_apic(struct vmx_caps *caps);
void vmx_caps_no_posting(struct vmx_caps *caps);

/* The EPT pointer for a table of four levels at `root`. */
uint64_t vmx_eptp(const struct vmx_caps *caps, uint64_t root);

/* Names of a control word's bits for messages: word is the VMCS field's encoding. NULL: none that we know. */
const char *vmx_control_name(uint16_t word, unsigned bit);

#endif
