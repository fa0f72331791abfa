/* SPDX-License-Identifier: MIT */
/*
 * From capability MSRs to controls: what must be there, what is used where it is there, and words for what is missing.
 */
#include "cpu/vmx/caps.h"

#include "cpu/vmx/vmcs.h"
#include "lib/printf.h"
#include "lib/string.h"

/* MSR_VMX_BASIC (SDM A.1). */
#define BASIC_REVISION 0x7fffffffu
#define BASIC_TYPE_SHIFT 50
#define BASIC_TYPE_WB 6u
#define BASIC_TRUE_CTLS BIT(55)
/* MSR_VMX_MISC (SDM A.6): exits store EFER.LMA into the entry controls. */
#define MISC_STORES_LMA BIT(5)

/*
 * One control word: what must be 1, what is 1 if the CPU has it, and what may be 1 because a CPU may demand it without
 * harm (the "default1" class of SDM A.2 to A.5, as far as it is nothing that we count on being 0).
 */
struct control_rule {
    uint32_t msr, true_msr;
    uint16_t field;
    uint16_t caps, ctl;   /* offsets */
    uint32_t must, want, harmless;
};

#define RULE_OF(name) offsetof(struct vmx_caps, name), offsetof(struct vmx_controls, name)

static const struct control_rule rules[] = {
    { MSR_VMX_PIN, MSR_VMX_TRUE_PIN, VMCS_PIN_CTL, RULE_OF(pin),
      PIN_EXTERNAL | PIN_NMI | PIN_VIRTUAL_NMI, 0, BIT(1) | BIT(2) | BIT(4) },
    { MSR_VMX_PROC, MSR_VMX_TRUE_PROC, VMCS_PROC_CTL, RULE_OF(proc),
      (uint32_t)(PROC_TSC_OFFSET | PROC_HLT | PROC_MWAIT | PROC_RDPMC | PROC_IO_BITMAPS |
                 PROC_MSR_BITMAPS | PROC_MONITOR | PROC_SECONDARY),
      PROC_TPR_SHADOW,
      BIT(1) | GENMASK(6, 4) | BIT(8) | BIT(13) | BIT(14) | BIT(26) },
    { MSR_VMX_PROC2, MSR_VMX_PROC2, VMCS_PROC2_CTL, RULE_OF(proc2),
      PROC2_EPT | PROC2_UNRESTRICTED | PROC2_WBINVD, PROC2_RDTSCP | PROC2_VPID | PROC2_INVPCID, 0 },
    { MSR_VMX_EXIT, MSR_VMX_TRUE_EXIT, VMCS_EXIT_CTL, RULE_OF(exit),
      EXIT_CTL_SAVE_DEBUG | EXIT_CTL_HOST_64 | EXIT_CTL_LOAD_PAT | EXIT_CTL_SAVE_EFER |
          EXIT_CTL_LOAD_EFER,
      0, GENMASK(8, 0) | BIT(10) | BIT(11) | BIT(13) | BIT(14) | BIT(16) | BIT(17) },
    { MSR_VMX_ENTRY, MSR_VMX_TRUE_ENTRY, VMCS_ENTRY_CTL, RULE_OF(entry),
      ENTRY_CTL_LOAD_DEBUG | ENTRY_CTL_LOAD_PAT | ENTRY_CTL_LOAD_EFER, 0,
      GENMASK(8, 0) | BIT(12) },
};

struct control_name {
    uint16_t field;
    uint8_t bit;
    const char *name;
};

static const struct control_name names[] = {
    { VMCS_PIN_CTL, 0, "external-interrupt exiting" },
    { VMCS_PIN_CTL, 3, "NMI exiting" },
    { VMCS_PIN_CTL, 5, "virtual NMIs" },
    { VMCS_PIN_CTL, 6, "preemption timer" },
    { VMCS_PIN_CTL, 7, "posted interrupts" },
    { VMCS_PROC_CTL, 2, "interrupt-window exiting" },
    { VMCS_PROC_CTL, 3, "TSC offsetting" },
    { VMCS_PROC_CTL, 7, "HLT exiting" },
    { VMCS_PROC_CTL, 9, "INVLPG exiting" },
    { VMCS_PROC_CTL, 10, "MWAIT exiting" },
    { VMCS_PROC_CTL, 11, "RDPMC exiting" },
    { VMCS_PROC_CTL, 12, "RDTSC exiting" },
    { VMCS_PROC_CTL, 15, "CR3-load exiting" },
    { VMCS_PROC_CTL, 16, "CR3-store exiting" },
    { VMCS_PROC_CTL, 19, "CR8-load exiting" },
    { VMCS_PROC_CTL, 20, "CR8-store exiting" },
    { VMCS_PROC_CTL, 21, "TPR shadow" },
    { VMCS_PROC_CTL, 22, "NMI-window exiting" },
    { VMCS_PROC_CTL, 23, "MOV-DR exiting" },
    { VMCS_PROC_CTL, 24, "unconditional I/O exiting" },
    { VMCS_PROC_CTL, 25, "I/O bitmaps" },
    { VMCS_PROC_CTL, 27, "monitor trap flag" },
    { VMCS_PROC_CTL, 28, "MSR bitmaps" },
    { VMCS_PROC_CTL, 29, "MONITOR exiting" },
    { VMCS_PROC_CTL, 30, "PAUSE exiting" },
    { VMCS_PROC_CTL, 31, "secondary controls" },
    { VMCS_PROC2_CTL, 0, "APIC-access virtualisation" },
    { VMCS_PROC2_CTL, 1, "EPT" },
    { VMCS_PROC2_CTL, 2, "descriptor-table exiting" },
    { VMCS_PROC2_CTL, 3, "RDTSCP" },
    { VMCS_PROC2_CTL, 4, "x2APIC virtualisation" },
    { VMCS_PROC2_CTL, 5, "VPID" },
    { VMCS_PROC2_CTL, 6, "WBINVD exiting" },
    { VMCS_PROC2_CTL, 7, "unrestricted guest" },
    { VMCS_PROC2_CTL, 8, "APIC-register virtualisation" },
    { VMCS_PROC2_CTL, 9, "virtual-interrupt delivery" },
    { VMCS_PROC2_CTL, 10, "PAUSE-loop exiting" },
    { VMCS_PROC2_CTL, 12, "INVPCID" },
    { VMCS_EXIT_CTL, 2, "save debug controls at exits" },
    { VMCS_EXIT_CTL, 9, "64-bit host" },
    { VMCS_EXIT_CTL, 15, "acknowledge interrupt on exit" },
    { VMCS_EXIT_CTL, 18, "save PAT at exits" },
    { VMCS_EXIT_CTL, 19, "load PAT at exits" },
    { VMCS_EXIT_CTL, 20, "save EFER at exits" },
    { VMCS_EXIT_CTL, 21, "load EFER at exits" },
    { VMCS_ENTRY_CTL, 2, "load debug controls at entries" },
    { VMCS_ENTRY_CTL, 9, "IA-32e mode guest" },
    { VMCS_ENTRY_CTL, 14, "load PAT at entries" },
    { VMCS_ENTRY_CTL, 15, "load EFER at entries" },
};

const char *vmx_control_name(uint16_t word, unsigned bit)
{
    for (unsigned i = 0; i < ARRAY_SIZE(names); i++) {
        if (names[i].field == word && names[i].bit == bit)
            return names[i].name;
    }
    return NULL;
}

/* The sentence that a probe ends with. */
static char reason[120];

static const char *lacks(const char *what)
{
    snprintf(reason, sizeof(reason), "VMX has no %s", what);
    return reason;
}

/* The lowest of the control bits that are wrong. */
static const char *bit_reason(const struct control_rule *r, uint32_t bits, bool demanded)
{
    unsigned bit = (unsigned)__builtin_ctz(bits);
    const char *name = vmx_control_name(r->field, bit);

    if (!demanded && name)
        return lacks(name);
    snprintf(reason, sizeof(reason), "VMX %s %s (bit %u of the %s)",
             demanded ? "insists on" : "has no", name ? name : "a control that xen-lite does not know",
             bit, vmcs_name(r->field));
    return reason;
}

static uint64_t *at(void *base, uint16_t offset)
{
    return (uint64_t *)((uint8_t *)base + offset);
}

/* SDM A.3.1: bits of the low half must be 1 where they are 1, bits of the high half may be 1 where they are 1. */
static const char *decide(struct vmx_caps *caps, const struct control_rule *r)
{
    uint64_t cap = *at(caps, r->caps);
    uint32_t demanded = (uint32_t)cap, possible = (uint32_t)(cap >> 32);
    uint32_t missing = r->must & ~possible;
    uint32_t odd = demanded & ~(r->must | r->want | r->harmless);

    if (missing)
        return bit_reason(r, missing, false);
    if (odd)
        return bit_reason(r, odd, true);
    *at(&caps->ctl, r->ctl) = r->must | (r->want & possible) | demanded;
    return NULL;
}

static bool may(uint64_t cap, uint64_t bits)
{
    return !(bits & ~(cap >> 32));
}

void vmx_caps_no_posting(struct vmx_caps *caps)
{
    caps->ctl.apic_pin = 0;
    caps->ctl.exit &= ~(uint64_t)EXIT_CTL_ACK_IRQ;
}

void vmx_caps_emulate_apic(struct vmx_caps *caps)
{
    vmx_caps_no_posting(caps);
    caps->ctl.apic_proc2 = 0;
}

/* What one control needs of others: SDM 27.2.1.1. */
static void decide_apic(struct vmx_caps *caps)
{
    if (!(caps->ctl.proc & PROC_TPR_SHADOW) || !may(caps->proc2, PROC2_APIC))
        return;
    caps->ctl.apic_proc2 = PROC2_APIC;
    if (!may(caps->pin, PIN_POSTED) || !may(caps->exit, EXIT_CTL_ACK_IRQ))
        return;
    caps->ctl.apic_pin = PIN_POSTED;
    caps->ctl.exit |= EXIT_CTL_ACK_IRQ;
}

static const char *read_controls(struct vmx_caps *caps, bool true_ctls,
                                 int (*read)(uint32_t msr, uint64_t *val))
{
    for (unsigned i = 0; i < ARRAY_SIZE(rules); i++) {
        const struct control_rule *r = &rules[i];
        const char *why;

        if (read(true_ctls ? r->true_msr : r->msr, at(caps, r->caps)))
            return r->msr == MSR_VMX_PROC2 ? lacks("secondary controls")
                                           : "VMX capability registers cannot be read";
        why = decide(caps, r);
        if (why)
            return why;
    }
    return NULL;
}

static const char *check_ept(struct vmx_caps *caps)
{
    uint64_t e = caps->ept_vpid;

    if (!(e & EPT_CAP_WALK_4))
        return lacks("EPT tables of four levels");
    if (!(e & EPT_CAP_WB) || !(e & EPT_CAP_UC))
        return lacks("write-back and uncached memory types in EPT");
    if (!(e & EPT_CAP_INVEPT) || !(e & (EPT_CAP_INVEPT_SINGLE | EPT_CAP_INVEPT_ALL)))
        return lacks("INVEPT");
    /* Without a way to drop what a VPID tags, do without VPIDs. */
    if (!(e & VPID_CAP_INVVPID) || !(e & (VPID_CAP_SINGLE | VPID_CAP_ALL)))
        caps->ctl.proc2 &= ~(uint64_t)PROC2_VPID;
    return NULL;
}

/* Bits that VMX operation fixes (SDM A.7, A.8); PE and PG are free with unrestricted guests. */
static const char *check_fixed(struct vmx_caps *caps)
{
    uint64_t cr0 = caps->cr0_fixed0 & ~(V_CR0_PE | V_CR0_PG | V_CR0_NE);
    uint64_t cr4 = caps->cr4_fixed0 & ~V_CR4_VMXE;

    if (cr0 || cr4) {
        snprintf(reason, sizeof(reason), "VMX fixes bits of CR%c to 1 that guests need: %#lx",
                 cr0 ? '0' : '4', cr0 ? cr0 : cr4);
        return reason;
    }
    caps->ctl.cr4_mask = ~(CR4_GUEST_BITS & caps->cr4_fixed1);
    return NULL;
}

const char *vmx_caps_probe(struct vmx_caps *caps, int (*read)(uint32_t msr, uint64_t *val))
{
    uint64_t basic;
    const char *why;

    memset(caps, 0, sizeof(*caps));
    if (read(MSR_VMX_BASIC, &basic) || read(MSR_VMX_MISC, &caps->misc) ||
        read(MSR_VMX_CR0_FIXED0, &caps->cr0_fixed0) ||
        read(MSR_VMX_CR0_FIXED1, &caps->cr0_fixed1) ||
        read(MSR_VMX_CR4_FIXED0, &caps->cr4_fixed0) || read(MSR_VMX_CR4_FIXED1, &caps->cr4_fixed1))
        return "VMX capability registers cannot be read";
    caps->revision = (uint32_t)basic & BASIC_REVISION;
    if ((basic >> BASIC_TYPE_SHIFT & 15) != BASIC_TYPE_WB)
        return "VMX wants its structures in memory that is not cached write-back";
    why = read_controls(caps, basic & BASIC_TRUE_CTLS, read);
    if (why)
        return why;
    if (read(MSR_VMX_EPT_VPID, &caps->ept_vpid))
        return lacks("EPT capability register");
    if (!(caps->misc & MISC_STORES_LMA))
        return lacks("way to tell a guest's change of mode (EFER.LMA is not stored)");
    why = check_ept(caps);
    if (why)
        return why;
    if (~(caps->proc >> 32) & (PROC_IRQ_WINDOW | PROC_NMI_WINDOW))
        return lacks("interrupt windows");
    if (!(caps->ctl.proc & PROC_TPR_SHADOW)) {
        if (~(caps->proc >> 32) & (PROC_CR8_LOAD | PROC_CR8_STORE))
            return lacks("TPR shadow nor CR8 exiting");
        caps->ctl.proc |= PROC_CR8_LOAD | PROC_CR8_STORE;
    }
    decide_apic(caps);
    return check_fixed(caps);
}

uint64_t vmx_eptp(const struct vmx_caps *caps, uint64_t root)
{
    return root | EPTP_WB | EPTP_WALK_4 | (caps->ept_vpid & EPT_CAP_AD ? EPTP_AD : 0);
}
