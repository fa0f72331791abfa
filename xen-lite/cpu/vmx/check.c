/* SPDX-License-Identifier: MIT */
/*
 * The rules of VM entry, one line each, in the SDM's order and wording as far as a line can hold it.
 */
#include "cpu/vmx/check.h"

#include "cpu/vmx/vmx.h"
#include "lib/string.h"

struct check {
    struct vmx_verdict *out;
    const struct vmx_caps *caps;
    uint64_t addr_mask;         /* bits that an address must not have */
    uint64_t pin, proc, proc2, exit, entry;
    uint64_t cr0, cr4, efer, rflags;
    bool long_mode, unrestricted;
};

/* A rule that goes for several registers is told once. */
static void rule(struct check *k, bool holds, const char *text)
{
    if (holds || (k->out->nr && k->out->nr <= VMX_MAX_BROKEN &&
                  !strcmp(k->out->rule[k->out->nr - 1], text)))
        return;
    if (k->out->nr < VMX_MAX_BROKEN)
        k->out->rule[k->out->nr] = text;
    k->out->nr++;
}

/* a implies b */
static bool implies(bool a, bool b)
{
    return !a || b;
}

static bool canonical(uint64_t a)
{
    return (uint64_t)((int64_t)(a << 16) >> 16) == a;
}

static bool allowed(uint64_t val, uint64_t cap)
{
    return !((uint32_t)cap & ~(uint32_t)val) && !((uint32_t)val & ~(uint32_t)(cap >> 32));
}

static bool page_ok(const struct check *k, uint16_t field)
{
    return !(vmcs_read(field) & (k->addr_mask | 0xfff));
}

static bool pat_ok(uint64_t pat)
{
    for (unsigned b = 0; b < 64; b += 8) {
        unsigned type = pat >> b & 0xff;

        if (type > 7 || type == 2 || type == 3)
            return false;
    }
    return true;
}

/* ---- 27.2.1: controls ---- */

static void check_control_words(struct check *k)
{
    rule(k, allowed(k->pin, k->caps->pin), "27.2.1.1: pin-based controls are what the CPU allows");
    rule(k, allowed(k->proc, k->caps->proc),
         "27.2.1.1: primary controls are what the CPU allows");
    rule(k, allowed(k->proc2, k->caps->proc2),
         "27.2.1.1: secondary controls are what the CPU allows");
    rule(k, allowed(k->exit, k->caps->exit), "27.2.1.2: exit controls are what the CPU allows");
    rule(k, allowed(k->entry, k->caps->entry), "27.2.1.3: entry controls are what the CPU allows");
    rule(k, vmcs_read(VMCS_CR3_TARGETS) <= 4, "27.2.1.1: at most 4 CR3-target values");
}

static void check_execution(struct check *k)
{
    rule(k, implies(k->proc & PROC_IO_BITMAPS,
                    page_ok(k, VMCS_IO_BITMAP_A) && page_ok(k, VMCS_IO_BITMAP_B)),
         "27.2.1.1: I/O bitmaps are pages in the address width");
    rule(k, implies(k->proc & PROC_MSR_BITMAPS, page_ok(k, VMCS_MSR_BITMAP)),
         "27.2.1.1: the MSR bitmap is a page in the address width");
    rule(k, implies(k->proc & PROC_TPR_SHADOW, page_ok(k, VMCS_VIRTUAL_APIC)),
         "27.2.1.1: the virtual-APIC page is a page in the address width");
    rule(k, implies((k->proc & PROC_TPR_SHADOW) && !(k->proc2 & PROC2_VIRTUAL_INTR),
                    vmcs_read(VMCS_TPR_THRESHOLD) <= 15),
         "27.2.1.1: bits 31:4 of the TPR threshold are 0");
    rule(k, implies(!(k->pin & PIN_NMI), !(k->pin & PIN_VIRTUAL_NMI)),
         "27.2.1.1: virtual NMIs need NMI exiting");
    rule(k, implies(!(k->pin & PIN_VIRTUAL_NMI), !(k->proc & PROC_NMI_WINDOW)),
         "27.2.1.1: NMI-window exiting needs virtual NMIs");
    rule(k, implies(k->proc2 & PROC2_VPID, vmcs_read(VMCS_VPID) != 0), "27.2.1.1: the VPID is not 0");
    rule(k, implies(k->unrestricted, k->proc2 & PROC2_EPT),
         "27.2.1.1: unrestricted guest needs EPT");
}

static void check_apic(struct check *k)
{
    rule(k, implies(k->proc2 & PROC2_APIC, k->proc & PROC_TPR_SHADOW),
         "27.2.1.1: APIC-register, x2APIC and interrupt virtualisation need the TPR shadow");
    rule(k, implies(k->proc2 & PROC2_X2APIC, !(k->proc2 & PROC2_APIC_ACCESSES)),
         "27.2.1.1: x2APIC mode and APIC accesses are not both virtualised");
    rule(k, implies(k->proc2 & PROC2_VIRTUAL_INTR, k->pin & PIN_EXTERNAL),
         "27.2.1.1: virtual-interrupt delivery needs external-interrupt exiting");
    if (!(k->pin & PIN_POSTED))
        return;
    rule(k, (k->proc2 & PROC2_VIRTUAL_INTR) && (k->exit & EXIT_CTL_ACK_IRQ),
         "27.2.1.1: posted interrupts need virtual-interrupt delivery and acknowledgement on exit");
    rule(k, vmcs_read(VMCS_POSTED_VECTOR) <= 255,
         "27.2.1.1: bits 15:8 of the notification vector are 0");
    rule(k, !(vmcs_read(VMCS_POSTED_DESCRIPTOR) & (k->addr_mask | 63)),
         "27.2.1.1: the posted-interrupt descriptor is on a boundary of 64 bytes in the address width");
}

static void check_eptp(struct check *k)
{
    uint64_t eptp = vmcs_read(VMCS_EPTP), cap = k->caps->ept_vpid;

    if (!(k->proc2 & PROC2_EPT))
        return;
    rule(k, ((eptp & 7) == EPTP_WB && (cap & EPT_CAP_WB)) || (!(eptp & 7) && (cap & EPT_CAP_UC)),
         "27.2.1.1: the EPT pointer's memory type is one that the CPU has");
    rule(k, (eptp & GENMASK(5, 3)) == EPTP_WALK_4, "27.2.1.1: the EPT walk is of length 4");
    rule(k, implies(eptp & EPTP_AD, cap & EPT_CAP_AD),
         "27.2.1.1: the EPT pointer asks for accessed and dirty bits only where there are any");
    rule(k, !(eptp & (GENMASK(11, 7) | k->addr_mask)),
         "27.2.1.1: the EPT pointer's reserved bits are 0");
}

static bool error_code_vector(unsigned vector)
{
    return vector == 8 || (vector >= 10 && vector <= 14) || vector == 17;
}

static void check_event(struct check *k)
{
    uint32_t info = (uint32_t)vmcs_read(VMCS_ENTRY_INTR);
    unsigned type = (info & INTR_TYPE_MASK) >> INTR_TYPE_SHIFT, vector = info & INTR_VECTOR_MASK;
    bool error = info & INTR_ERROR_VALID;
    uint64_t len = vmcs_read(VMCS_ENTRY_INSN_LEN);

    if (!(info & INTR_VALID))
        return;
    rule(k, type != 1 && type != 7, "27.2.1.3: the event's type is defined");
    rule(k, implies(type == INTR_TYPE_NMI, vector == 2), "27.2.1.3: an NMI has vector 2");
    rule(k, implies(type == INTR_TYPE_EXCEPTION, vector <= 31),
         "27.2.1.3: an exception's vector is at most 31");
    rule(k, error == (type == INTR_TYPE_EXCEPTION && error_code_vector(vector) &&
                      (k->cr0 & V_CR0_PE)),
         "27.2.1.3: there is an error code where the exception has one, in protected mode");
    rule(k, !(info & GENMASK(30, 12)), "27.2.1.3: the event's reserved bits are 0");
    rule(k, implies(error, !(vmcs_read(VMCS_ENTRY_INTR_ERROR) >> 16)),
         "27.2.1.3: an error code has 16 bits");
    rule(k, implies(type >= INTR_TYPE_SOFT && type <= INTR_TYPE_SOFT_EXCEPTION,
                    len <= 15 && (len || (k->caps->misc & BIT(30)))),
         "27.2.1.3: a software event's instruction has 1 to 15 bytes (0 where the CPU has it)");
}

/* ---- 27.2.2 to 27.2.4: host state ---- */

static void check_host(struct check *k)
{
    uint64_t cr0 = vmcs_read(VMCS_HOST_CR0), cr4 = vmcs_read(VMCS_HOST_CR4);
    uint64_t efer = vmcs_read(VMCS_HOST_EFER);
    static const uint16_t selectors[] = { VMCS_HOST_ES_SEL, VMCS_HOST_CS_SEL, VMCS_HOST_SS_SEL,
                                          VMCS_HOST_DS_SEL, VMCS_HOST_FS_SEL, VMCS_HOST_GS_SEL,
                                          VMCS_HOST_TR_SEL };
    static const uint16_t bases[] = { VMCS_HOST_FS_BASE,      VMCS_HOST_GS_BASE,
                                      VMCS_HOST_TR_BASE,      VMCS_HOST_GDTR_BASE,
                                      VMCS_HOST_IDTR_BASE,    VMCS_HOST_SYSENTER_ESP,
                                      VMCS_HOST_SYSENTER_EIP, VMCS_HOST_RIP };

    rule(k, !(k->caps->cr0_fixed0 & ~cr0) && !(cr0 & ~k->caps->cr0_fixed1),
         "27.2.2: host CR0 has the bits that VMX fixes");
    rule(k, !(k->caps->cr4_fixed0 & ~cr4) && !(cr4 & ~k->caps->cr4_fixed1),
         "27.2.2: host CR4 has the bits that VMX fixes");
    rule(k, !(vmcs_read(VMCS_HOST_CR3) & k->addr_mask), "27.2.2: host CR3 is in the address width");
    rule(k, implies(k->exit & EXIT_CTL_LOAD_PAT, pat_ok(vmcs_read(VMCS_HOST_PAT))),
         "27.2.2: host PAT holds memory types");
    rule(k, (efer & V_EFER_LMA) && (efer & V_EFER_LME), "27.2.2: host EFER says 64-bit mode");
    for (unsigned i = 0; i < ARRAY_SIZE(selectors); i++)
        rule(k, !(vmcs_read(selectors[i]) & 7), "27.2.3: host selectors have RPL 0 and no LDT");
    rule(k, vmcs_read(VMCS_HOST_CS_SEL) && vmcs_read(VMCS_HOST_TR_SEL),
         "27.2.3: host CS and TR are not null");
    for (unsigned i = 0; i < ARRAY_SIZE(bases); i++)
        rule(k, canonical(vmcs_read(bases[i])), "27.2.2, 27.2.3: host addresses are canonical");
    rule(k, k->exit & EXIT_CTL_HOST_64, "27.2.4: the exit is into 64-bit mode");
    rule(k, cr4 & V_CR4_PAE, "27.2.4: host CR4.PAE is 1");
}

/* ---- 27.3.1.1: guest control registers, debug registers, MSRs ---- */

static void check_guest_registers(struct check *k)
{
    uint64_t fixed0 = k->caps->cr0_fixed0 & ~(k->unrestricted ? V_CR0_PE | V_CR0_PG : 0);

    /* CD and NW are the host's through an entry and are not looked at (27.3.1.1, A.7). */
    rule(k, !(fixed0 & ~k->cr0) &&
                !(k->cr0 & ~k->caps->cr0_fixed1 & ~(V_CR0_CD | V_CR0_NW)),
         "27.3.1.1: guest CR0 has the bits that VMX fixes");
    rule(k, implies(k->cr0 & V_CR0_PG, k->cr0 & V_CR0_PE), "27.3.1.1: paging needs protected mode");
    rule(k, !(k->caps->cr4_fixed0 & ~k->cr4) && !(k->cr4 & ~k->caps->cr4_fixed1),
         "27.3.1.1: guest CR4 has the bits that VMX fixes");
    rule(k, implies(k->long_mode, (k->cr0 & V_CR0_PG) && (k->cr4 & V_CR4_PAE)),
         "27.3.1.1: IA-32e mode needs paging and PAE");
    rule(k, implies(!k->long_mode, !(k->cr4 & BIT(17))), "27.3.1.1: PCIDE needs IA-32e mode");
    rule(k, !(vmcs_read(VMCS_GUEST_CR3) & k->addr_mask), "27.3.1.1: guest CR3 is in the address width");
    rule(k, implies(k->entry & ENTRY_CTL_LOAD_DEBUG, !(vmcs_read(VMCS_GUEST_DR7) >> 32)),
         "27.3.1.1: bits 63:32 of guest DR7 are 0");
    rule(k, canonical(vmcs_read(VMCS_GUEST_SYSENTER_ESP)) &&
                canonical(vmcs_read(VMCS_GUEST_SYSENTER_EIP)),
         "27.3.1.1: guest SYSENTER_ESP and SYSENTER_EIP are canonical");
    rule(k, implies(k->entry & ENTRY_CTL_LOAD_PAT, pat_ok(vmcs_read(VMCS_GUEST_PAT))),
         "27.3.1.1: guest PAT holds memory types");
    if (!(k->entry & ENTRY_CTL_LOAD_EFER))
        return;
    rule(k, !(k->efer & ~(BIT(0) | V_EFER_LME | V_EFER_LMA | BIT(11))),
         "27.3.1.1: guest EFER's reserved bits are 0");
    rule(k, !!(k->efer & V_EFER_LMA) == k->long_mode,
         "27.3.1.1: guest EFER.LMA is what the entry controls say");
    rule(k, implies(k->cr0 & V_CR0_PG, !!(k->efer & V_EFER_LMA) == !!(k->efer & V_EFER_LME)),
         "27.3.1.1: with paging, guest EFER.LMA equals EFER.LME");
}

/* ---- 27.3.1.2: segments ---- */

#define SEG(field, id) ((uint16_t)(VMCS_GUEST_ES_##field + 2 * (id)))
#define AR_S BIT(4)
#define AR_P BIT(7)
#define AR_L BIT(13)
#define AR_DB BIT(14)
#define AR_G BIT(15)
#define AR_RESERVED (GENMASK(11, 8) | GENMASK(31, 17))

static bool granularity_ok(uint64_t limit, uint64_t ar)
{
    return implies((limit & 0xfff) != 0xfff, !(ar & AR_G)) && implies(limit >> 20, ar & AR_G);
}

static void check_v86(struct check *k)
{
    for (unsigned id = CPU_SEG_ES; id <= CPU_SEG_GS; id++)
        rule(k, vmcs_read(SEG(BASE, id)) == vmcs_read(SEG(SEL, id)) << 4 &&
                    vmcs_read(SEG(LIMIT, id)) == 0xffff && vmcs_read(SEG(AR, id)) == 0xf3,
             "27.3.1.2: in virtual-8086 mode segments are as in real mode");
}

static void check_cs(struct check *k)
{
    uint64_t ar = vmcs_read(SEG(AR, CPU_SEG_CS)), ss = vmcs_read(SEG(AR, CPU_SEG_SS));
    unsigned type = ar & 15, dpl = CPU_SEG_ATTR_DPL(ar), cpl = CPU_SEG_ATTR_DPL(ss);

    rule(k, (type & 9) == 9 || (k->unrestricted && type == 3),
         "27.3.1.2: CS is accessed code (or data for an unrestricted guest)");
    rule(k, ar & AR_S, "27.3.1.2: CS is a code or data segment");
    rule(k, ar & AR_P, "27.3.1.2: CS is present");
    rule(k, implies(type == 3, dpl == 0), "27.3.1.2: the DPL of a data CS is 0");
    rule(k, implies(type == 9 || type == 11, dpl == cpl),
         "27.3.1.2: the DPL of non-conforming CS is that of SS");
    rule(k, implies(type == 13 || type == 15, dpl <= cpl),
         "27.3.1.2: the DPL of conforming CS is at most that of SS");
    rule(k, implies(k->long_mode && (ar & AR_L), !(ar & AR_DB)),
         "27.3.1.2: a 64-bit CS has no default size");
    rule(k, !(ar & (AR_RESERVED | AR_UNUSABLE)), "27.3.1.2: CS is usable, its reserved bits are 0");
    rule(k, granularity_ok(vmcs_read(SEG(LIMIT, CPU_SEG_CS)), ar),
         "27.3.1.2: CS limit and granularity agree");
    rule(k, !(vmcs_read(SEG(BASE, CPU_SEG_CS)) >> 32), "27.3.1.2: bits 63:32 of the CS base are 0");
}

static void check_ss(struct check *k)
{
    uint64_t ar = vmcs_read(SEG(AR, CPU_SEG_SS)), cs = vmcs_read(SEG(AR, CPU_SEG_CS));
    unsigned dpl = CPU_SEG_ATTR_DPL(ar);

    rule(k, implies(!k->unrestricted, (vmcs_read(SEG(SEL, CPU_SEG_SS)) & 3) ==
                                          (vmcs_read(SEG(SEL, CPU_SEG_CS)) & 3)),
         "27.3.1.2: SS and CS have the same RPL");
    rule(k, implies(!(k->cr0 & V_CR0_PE) || (cs & 15) == 3, dpl == 0),
         "27.3.1.2: the DPL of SS is 0 in real mode");
    if (ar & AR_UNUSABLE)
        return;
    rule(k, (ar & 15) == 3 || (ar & 15) == 7, "27.3.1.2: SS is accessed writable data");
    rule(k, (ar & AR_S) && (ar & AR_P) && !(ar & AR_RESERVED),
         "27.3.1.2: SS is present data, its reserved bits are 0");
    rule(k, granularity_ok(vmcs_read(SEG(LIMIT, CPU_SEG_SS)), ar),
         "27.3.1.2: SS limit and granularity agree");
    rule(k, !(vmcs_read(SEG(BASE, CPU_SEG_SS)) >> 32), "27.3.1.2: bits 63:32 of the SS base are 0");
}

static void check_data(struct check *k, unsigned id)
{
    uint64_t ar = vmcs_read(SEG(AR, id)), base = vmcs_read(SEG(BASE, id));

    rule(k, implies(id == CPU_SEG_FS || id == CPU_SEG_GS, canonical(base)),
         "27.3.1.2: FS and GS bases are canonical");
    if (ar & AR_UNUSABLE)
        return;
    rule(k, implies(id == CPU_SEG_ES || id == CPU_SEG_DS, !(base >> 32)),
         "27.3.1.2: bits 63:32 of the DS and ES bases are 0");
    rule(k, (ar & 1) && implies(ar & 8, ar & 2), "27.3.1.2: DS, ES, FS, GS are accessed and readable");
    rule(k, (ar & AR_S) && (ar & AR_P) && !(ar & AR_RESERVED),
         "27.3.1.2: DS, ES, FS, GS are present, their reserved bits are 0");
    rule(k, granularity_ok(vmcs_read(SEG(LIMIT, id)), ar),
         "27.3.1.2: DS, ES, FS, GS limit and granularity agree");
}

static void check_tr_ldtr(struct check *k)
{
    uint64_t tr = vmcs_read(SEG(AR, CPU_SEG_TR)), ldtr = vmcs_read(SEG(AR, CPU_SEG_LDTR));

    rule(k, !(vmcs_read(SEG(SEL, CPU_SEG_TR)) & 4), "27.3.1.2: TR is not in the LDT");
    rule(k, (tr & 15) == 11 || (!k->long_mode && (tr & 15) == 3), "27.3.1.2: TR is a busy TSS");
    rule(k, !(tr & AR_S) && (tr & AR_P) && !(tr & (AR_RESERVED | AR_UNUSABLE)),
         "27.3.1.2: TR is a present, usable system segment");
    rule(k, granularity_ok(vmcs_read(SEG(LIMIT, CPU_SEG_TR)), tr),
         "27.3.1.2: TR limit and granularity agree");
    rule(k, canonical(vmcs_read(SEG(BASE, CPU_SEG_TR))), "27.3.1.2: the TR base is canonical");
    if (ldtr & AR_UNUSABLE)
        return;
    rule(k, !(vmcs_read(SEG(SEL, CPU_SEG_LDTR)) & 4), "27.3.1.2: LDTR is not in the LDT");
    rule(k, (ldtr & 15) == 2 && !(ldtr & AR_S) && (ldtr & AR_P) && !(ldtr & AR_RESERVED),
         "27.3.1.2: LDTR is a present LDT");
    rule(k, granularity_ok(vmcs_read(SEG(LIMIT, CPU_SEG_LDTR)), ldtr),
         "27.3.1.2: LDTR limit and granularity agree");
    rule(k, canonical(vmcs_read(SEG(BASE, CPU_SEG_LDTR))), "27.3.1.2: the LDTR base is canonical");
}

static void check_segments(struct check *k)
{
    if (k->rflags & RFLAGS_VM) {
        check_v86(k);
    } else {
        check_cs(k);
        check_ss(k);
        check_data(k, CPU_SEG_ES);
        check_data(k, CPU_SEG_DS);
        check_data(k, CPU_SEG_FS);
        check_data(k, CPU_SEG_GS);
    }
    check_tr_ldtr(k);
    for (unsigned id = CPU_SEG_GDTR; id <= CPU_SEG_IDTR; id++) {
        rule(k, canonical(vmcs_read(SEG(BASE, id))),
             "27.3.1.3: GDTR and IDTR bases are canonical");
        rule(k, vmcs_read(SEG(LIMIT, id)) <= 0xffff,
             "27.3.1.3: GDTR and IDTR limits have 16 bits");
    }
}

/* ---- 27.3.1.4 to 27.3.1.6: RIP, RFLAGS, non-register state, PDPTEs ---- */

static void check_flow(struct check *k)
{
    uint64_t rip = vmcs_read(VMCS_GUEST_RIP), cs = vmcs_read(SEG(AR, CPU_SEG_CS));
    uint32_t event = (uint32_t)vmcs_read(VMCS_ENTRY_INTR);

    rule(k, implies(!k->long_mode || !(cs & AR_L), !(rip >> 32)),
         "27.3.1.4: bits 63:32 of RIP are 0 outside of 64-bit mode");
    rule(k, implies(k->long_mode && (cs & AR_L), canonical(rip)),
         "27.3.1.4: RIP is canonical in 64-bit mode");
    rule(k, (k->rflags & RFLAGS_FIXED) && !(k->rflags & (BIT(3) | BIT(5) | BIT(15) | ~GENMASK(21, 0))),
         "27.3.1.4: the reserved bits of RFLAGS are what they must be");
    rule(k, implies(k->rflags & RFLAGS_VM, !k->long_mode && (k->cr0 & V_CR0_PE)),
         "27.3.1.4: virtual-8086 mode is in protected mode, outside of IA-32e mode");
    rule(k, implies((event & INTR_VALID) && !(event & INTR_TYPE_MASK), k->rflags & RFLAGS_IF),
         "27.3.1.4: an external interrupt goes in with RFLAGS.IF only");
}

static void check_interruptibility(struct check *k)
{
    uint64_t in = vmcs_read(VMCS_GUEST_INTERRUPTIBILITY), act = vmcs_read(VMCS_GUEST_ACTIVITY);
    uint64_t dbg = vmcs_read(VMCS_GUEST_PENDING_DBG);
    uint32_t event = (uint32_t)vmcs_read(VMCS_ENTRY_INTR);
    unsigned type = (event & INTR_TYPE_MASK) >> INTR_TYPE_SHIFT;
    bool shadow = in & (INTR_BLOCK_STI | INTR_BLOCK_MOV_SS), valid = event & INTR_VALID;

    rule(k, act <= 3, "27.3.1.5: the activity state is one that the CPU has");
    rule(k, implies(shadow, act == 0), "27.3.1.5: blocking by STI or MOV SS is for an active CPU");
    rule(k, !(in >> 5), "27.3.1.5: reserved bits of interruptibility are 0");
    rule(k, (in & 3) != 3, "27.3.1.5: blocking is by STI or by MOV SS, not both");
    rule(k, implies(in & INTR_BLOCK_STI, k->rflags & RFLAGS_IF), "27.3.1.5: blocking by STI needs RFLAGS.IF");
    rule(k, implies(valid && type == INTR_TYPE_EXTERNAL, !shadow),
         "27.3.1.5: no external interrupt goes in while it is blocked");
    rule(k, implies(valid && type == INTR_TYPE_NMI, !(in & (INTR_BLOCK_MOV_SS | INTR_BLOCK_NMI))),
         "27.3.1.5: no NMI goes in while it is blocked");
    rule(k, !(dbg & ~(GENMASK(3, 0) | BIT(12) | PENDING_DBG_BS | BIT(16))),
         "27.3.1.5: reserved bits of pending debug exceptions are 0");
    rule(k, implies(shadow || act == 1,
                    !!(dbg & PENDING_DBG_BS) ==
                        ((k->rflags & RFLAGS_TF) && !(vmcs_read(VMCS_GUEST_DEBUGCTL) & BIT(1)))),
         "27.3.1.5: pending BS goes with RFLAGS.TF while events are blocked");
    rule(k, vmcs_read(VMCS_LINK_POINTER) == ~0ULL, "27.3.1.5: the VMCS link pointer is all ones");
}

static void check_pdptes(struct check *k)
{
    if (!(k->cr0 & V_CR0_PG) || !(k->cr4 & V_CR4_PAE) || k->long_mode)
        return;
    for (unsigned i = 0; i < 4; i++) {
        uint64_t e = vmcs_read((uint16_t)(VMCS_GUEST_PDPTE0 + 2 * i));

        rule(k, implies(e & 1, !(e & (GENMASK(2, 1) | GENMASK(8, 5) | k->addr_mask))),
             "27.3.1.6: reserved bits of present PDPTEs are 0");
    }
}

void vmx_check_entry(const struct vmx_caps *caps, unsigned addr_bits, struct vmx_verdict *out)
{
    struct check k = {
        .out = out,
        .caps = caps,
        .addr_mask = ~GENMASK(addr_bits - 1, 0),
        .pin = vmcs_read(VMCS_PIN_CTL),
        .proc = vmcs_read(VMCS_PROC_CTL),
        .proc2 = vmcs_read(VMCS_PROC2_CTL),
        .exit = vmcs_read(VMCS_EXIT_CTL),
        .entry = vmcs_read(VMCS_ENTRY_CTL),
        .cr0 = vmcs_read(VMCS_GUEST_CR0),
        .cr4 = vmcs_read(VMCS_GUEST_CR4),
        .efer = vmcs_read(VMCS_GUEST_EFER),
        .rflags = vmcs_read(VMCS_GUEST_RFLAGS),
    };

    memset(out, 0, sizeof(*out));
    k.long_mode = k.entry & ENTRY_CTL_IA32E;
    k.unrestricted = k.proc2 & PROC2_UNRESTRICTED;
    check_control_words(&k);
    check_execution(&k);
    check_apic(&k);
    check_eptp(&k);
    check_event(&k);
    check_host(&k);
    check_guest_registers(&k);
    check_segments(&k);
    check_flow(&k);
    check_interruptibility(&k);
    check_pdptes(&k);
}
