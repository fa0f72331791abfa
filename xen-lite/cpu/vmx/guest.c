/* SPDX-License-Identifier: MIT */
/*
 * Guest registers: those in the VMCS through the cache of vmx.h, those that stay in the CPU's own registers while the
 * vCPU is loaded, and the control registers, of which a guest owns a part only.
 */
#include "cpu/vmx/vmx.h"

#include "cpu/cpuid.h"
#include "cpu/guest_mem.h"
#include "cpu/vmx/hw.h"
#include "lib/errno.h"
#include "lib/leave_out.h"
#include "lib/string.h"

#define G_MSR_SYSENTER_CS 0x174
#define G_MSR_SYSENTER_ESP 0x175
#define G_MSR_SYSENTER_EIP 0x176
#define G_MSR_PAT 0x277
#define G_MSR_FS_BASE 0xc0000100
#define G_MSR_GS_BASE 0xc0000101

#define PAT_AFTER_RESET 0x0007040600070406ULL /* SDM vol. 3, 12.12.4 */
#define DR6_AFTER_RESET 0xffff0ff0ULL
#define DR7_AFTER_RESET 0x400ULL

#define AR_TYPE_MASK 15u
#define AR_TSS16_BUSY 3u

/* SDM vol. 3, 4.4.1: a present PDPTE's reserved bits below the address width. */
#define PDPTE_PRESENT BIT(0)
#define PDPTE_RESERVED (GENMASK(2, 1) | GENMASK(8, 5))

struct vmx_caps vmx_caps;

const uint32_t vmx_lazy_msr[NR_LAZY_MSRS] = {
    [LAZY_STAR] = 0xc0000081,   [LAZY_LSTAR] = 0xc0000082,          [LAZY_CSTAR] = 0xc0000083,
    [LAZY_SFMASK] = 0xc0000084, [LAZY_KERNEL_GS_BASE] = 0xc0000102,
};

/* ---- segments ---- */

static uint16_t segment_attr(uint32_t ar)
{
    return (uint16_t)((ar & 0xff) | (ar >> 4 & 0xf00));
}

void vmx_get_segment(const struct cpu_vcpu *c, enum cpu_seg_id id, struct cpu_segment *out)
{
    struct vmx_vcpu *s = vmx_of(c);
    uint32_t ar;

    *out = (struct cpu_segment){ .limit = (uint32_t)vmx_get(s, SLOT_LIMIT + id),
                                 .base = vmx_get(s, SLOT_BASE + id) };
    if (id == CPU_SEG_GDTR || id == CPU_SEG_IDTR)
        return;
    out->sel = (uint16_t)vmx_get(s, SLOT_SEL + id);
    ar = (uint32_t)vmx_get(s, SLOT_AR + id);
    out->attr = segment_attr(ar);
    if (ar & AR_UNUSABLE)
        out->attr &= (uint16_t)~CPU_SEG_ATTR_P;
}

void vmx_set_segment(struct cpu_vcpu *c, enum cpu_seg_id id, const struct cpu_segment *in)
{
    struct vmx_vcpu *s = vmx_of(c);
    uint64_t ar = (in->attr & 0xffu) | (in->attr & 0xf00u) << 4;

    vmx_set(s, SLOT_LIMIT + id, in->limit);
    vmx_set(s, SLOT_BASE + id, in->base);
    if (id == CPU_SEG_GDTR || id == CPU_SEG_IDTR)
        return;
    if (!(in->attr & CPU_SEG_ATTR_P))
        ar |= AR_UNUSABLE;
    vmx_set(s, SLOT_SEL + id, in->sel);
    vmx_set(s, SLOT_AR + id, ar);
}

/* SDM 25.4.1: the CPL is the DPL of SS, whatever else SS is. */
unsigned vmx_get_cpl(const struct cpu_vcpu *c)
{
    return CPU_SEG_ATTR_DPL(vmx_get(vmx_of(c), SLOT_AR + CPU_SEG_SS));
}

/* ---- control and debug registers ---- */

/* What the guest sees: its own bits from the register, the others from the read shadow (SDM 25.6.6). */
static uint64_t seen(uint64_t reg, uint64_t shadow, uint64_t mask)
{
    return (reg & ~mask) | (shadow & mask);
}

uint64_t vmx_get_cr(const struct cpu_vcpu *c, unsigned n)
{
    struct vmx_vcpu *s = vmx_of(c);

    switch (n) {
    case 0:
        return seen(vmx_get(s, SLOT_CR0), vmx_get(s, SLOT_CR0_SHADOW), CR0_HOST_MASK);
    case 2:
        return s->loaded ? hw_read_cr2() : s->cr2;
    case 3:
        return vmx_get(s, SLOT_CR3);
    default:
        return seen(vmx_get(s, SLOT_CR4), vmx_get(s, SLOT_CR4_SHADOW), vmx_caps.ctl.cr4_mask);
    }
}

/* Of what vmx_get_control() wants, that which is not known after an exit; the shadows are among SLOTS_KEPT. */
#define CONTROL_SLOTS                                                                              \
    (BIT(SLOT_CR0) | BIT(SLOT_CR3) | BIT(SLOT_CR4) | BIT(SLOT_EFER) |                              \
     BIT(SLOT_BASE + CPU_SEG_CS) | BIT(SLOT_AR + CPU_SEG_CS))

/* Some may be changed already: those are only in the cache. */
static __attribute__((noinline)) void read_control_one_by_one(struct vmx_vcpu *s)
{
    for (unsigned slot = 0; slot < NR_GUEST_SLOTS; slot++) {
        if (CONTROL_SLOTS & BIT(slot))
            vmx_get(s, slot);
    }
}

static inline void read_control(struct vmx_vcpu *s)
{
    s->val[SLOT_CR0] = vmcs_read(VMCS_GUEST_CR0);
    s->val[SLOT_CR3] = vmcs_read(VMCS_GUEST_CR3);
    s->val[SLOT_CR4] = vmcs_read(VMCS_GUEST_CR4);
    s->val[SLOT_EFER] = vmcs_read(VMCS_GUEST_EFER);
    s->val[SLOT_BASE + CPU_SEG_CS] = vmcs_read(VMCS_GUEST_ES_BASE + 2 * CPU_SEG_CS);
    s->val[SLOT_AR + CPU_SEG_CS] = vmcs_read(VMCS_GUEST_ES_AR + 2 * CPU_SEG_CS);
    s->valid |= CONTROL_SLOTS;
}

/* All that a walk of the guest's tables and the decoder ask for: every access that is emulated begins with it. */
void vmx_get_control(const struct cpu_vcpu *c, struct cpu_control *out)
{
    struct vmx_vcpu *s = vmx_of(c);

    if (!(s->valid & CONTROL_SLOTS))
        read_control(s);
    else if (~s->valid & CONTROL_SLOTS)
        read_control_one_by_one(s);
    out->cr0 = seen(s->val[SLOT_CR0], vmx_get(s, SLOT_CR0_SHADOW), CR0_HOST_MASK);
    out->cr3 = s->val[SLOT_CR3];
    out->cr4 = seen(s->val[SLOT_CR4], vmx_get(s, SLOT_CR4_SHADOW), vmx_caps.ctl.cr4_mask);
    out->efer = s->val[SLOT_EFER];
    out->cs_base = s->val[SLOT_BASE + CPU_SEG_CS];
    /* Of CS alone the SDM knows no "unusable" (27.3.1.2). */
    out->cs_attr = segment_attr((uint32_t)s->val[SLOT_AR + CPU_SEG_CS]);
}

/* What the CPU does when a guest writes to CR3 or CR4, or changes CR0.PG, it does not do for us (SDM vol. 3, 4.10.4.1). */
static void forget_translations(struct vmx_vcpu *s)
{
    s->flush_vpid |= flush_due(FLUSH_VCPU_MODE);
    s->attention = true;
}

void vmx_set_cr(struct cpu_vcpu *c, unsigned n, uint64_t val)
{
    struct vmx_vcpu *s = vmx_of(c);

    switch (n) {
    case 0:
        vmx_set(s, SLOT_CR0, (val & ~CR0_HOST_MASK) | V_CR0_NE);
        vmx_set(s, SLOT_CR0_SHADOW, val);
        break;
    case 2:
        if (s->loaded)
            hw_write_cr2(val);
        else
            s->cr2 = val;
        break;
    case 3:
        vmx_set(s, SLOT_CR3, val);
        forget_translations(s);
        break;
    default:
        forget_translations(s);
        vmx_set(s, SLOT_CR4, (val & ~vmx_caps.ctl.cr4_mask) | V_CR4_VMXE);
        vmx_set(s, SLOT_CR4_SHADOW, val);
        break;
    }
}

uint64_t vmx_get_dr(const struct cpu_vcpu *c, unsigned n)
{
    struct vmx_vcpu *s = vmx_of(c);

    if (n == 7)
        return vmx_get(s, SLOT_DR7);
    return s->loaded ? hw_read_dr6() : s->dr6;
}

void vmx_set_dr(struct cpu_vcpu *c, unsigned n, uint64_t val)
{
    struct vmx_vcpu *s = vmx_of(c);

    if (n == 7)
        vmx_set(s, SLOT_DR7, val);
    else if (s->loaded)
        hw_write_dr6(val);
    else
        s->dr6 = val;
}

uint64_t vmx_get_efer(const struct cpu_vcpu *c)
{
    return vmx_get(vmx_of(c), SLOT_EFER);
}

void vmx_set_efer(struct cpu_vcpu *c, uint64_t efer)
{
    vmx_set(vmx_of(c), SLOT_EFER, efer);
}

/* ---- MSRs ---- */

static int msr_slot(uint32_t msr)
{
    switch (msr) {
    case G_MSR_SYSENTER_CS:
        return SLOT_SYSENTER_CS;
    case G_MSR_SYSENTER_ESP:
        return SLOT_SYSENTER_ESP;
    case G_MSR_SYSENTER_EIP:
        return SLOT_SYSENTER_EIP;
    case G_MSR_PAT:
        return SLOT_PAT;
    case G_MSR_FS_BASE:
        return SLOT_BASE + CPU_SEG_FS;
    case G_MSR_GS_BASE:
        return SLOT_BASE + CPU_SEG_GS;
    default:
        return -1;
    }
}

static int lazy_index(uint32_t msr)
{
    for (int i = 0; i < NR_LAZY_MSRS; i++) {
        if (vmx_lazy_msr[i] == msr)
            return i;
    }
    return -1;
}

int vmx_get_msr(const struct cpu_vcpu *c, uint32_t msr, uint64_t *val)
{
    struct vmx_vcpu *s = vmx_of(c);
    int slot = msr_slot(msr), lazy = lazy_index(msr);

    if (slot < 0 && lazy < 0)
        return -EINVAL;
    if (slot >= 0)
        *val = vmx_get(s, (enum guest_slot)slot);
    else
        *val = s->loaded ? hw_rdmsr(msr) : s->lazy[lazy];
    return 0;
}

int vmx_set_msr(struct cpu_vcpu *c, uint32_t msr, uint64_t val)
{
    struct vmx_vcpu *s = vmx_of(c);
    int slot = msr_slot(msr), lazy = lazy_index(msr);

    if (slot < 0 && lazy < 0)
        return -EINVAL;
    if (slot >= 0)
        vmx_set(s, (enum guest_slot)slot, val);
    else if (s->loaded)
        hw_wrmsr(msr, val);
    else
        s->lazy[lazy] = val;
    return 0;
}

void vmx_load_registers(const struct vmx_vcpu *s)
{
    hw_write_cr2(s->cr2);
    hw_write_dr6(s->dr6);
    for (unsigned i = 0; i < NR_LAZY_MSRS; i++)
        hw_wrmsr(vmx_lazy_msr[i], s->lazy[i]);
}

void vmx_save_registers(struct vmx_vcpu *s)
{
    s->cr2 = hw_read_cr2();
    s->dr6 = hw_read_dr6();
    for (unsigned i = 0; i < NR_LAZY_MSRS; i++)
        s->lazy[i] = hw_rdmsr(vmx_lazy_msr[i]);
}

int vmx_msrbm_allow(uint8_t *map, uint32_t msr, bool read, bool write)
{
    uint32_t base = 0;

    if (msr >= 0xc0000000u) {
        msr -= 0xc0000000u;
        base = 1024;
    }
    if (msr >= 0x2000)
        return -EINVAL;
    if (read)
        map[base + msr / 8] &= (uint8_t) ~(1u << msr % 8);
    if (write)
        map[2048 + base + msr / 8] &= (uint8_t) ~(1u << msr % 8);
    return 0;
}

/* ---- modes ---- */

static bool pae_paging(struct vmx_vcpu *s)
{
    return (vmx_get(s, SLOT_CR0) & V_CR0_PG) && (vmx_get(s, SLOT_CR4) & V_CR4_PAE) &&
           !(vmx_get(s, SLOT_EFER) & V_EFER_LMA);
}

/* With EPT the CPU takes a PAE guest's top entries from the VMCS at entry (SDM 27.3.2.4). -EPERM: reserved bits. */
static int load_pdptes(struct vmx_vcpu *s)
{
    unsigned bits = s->c->cd->cpuid->ext[8].a & 0xff;
    uint64_t reserved = PDPTE_RESERVED | ~GENMASK(bits >= 32 && bits <= 52 ? bits - 1 : 35, 0);
    uint64_t pdpte[4], gpa = (uint32_t)vmx_get(s, SLOT_CR3) & ~31u;

    if (copy_from_gpa(s->c->p2m, pdpte, gpa, sizeof(pdpte)))
        memset(pdpte, 0, sizeof(pdpte));
    for (unsigned i = 0; i < 4; i++) {
        if ((pdpte[i] & PDPTE_PRESENT) && (pdpte[i] & reserved))
            return -EPERM;
    }
    for (unsigned i = 0; i < 4; i++)
        vmx_set(s, SLOT_PDPTE + i, pdpte[i]);
    return 0;
}

/* Turning paging on or off switches long mode (SDM vol. 3, 10.8.5). */
static int switch_paging(struct cpu_vcpu *c, uint64_t val, uint64_t *efer)
{
    struct vmx_vcpu *s = vmx_of(c);
    struct cpu_segment cs;
    uint64_t cr4 = vmx_get(s, SLOT_CR4);

    vmx_get_segment(c, CPU_SEG_CS, &cs);
    if (!(val & V_CR0_PG)) {
        if ((*efer & V_EFER_LMA) && ((cs.attr & CPU_SEG_ATTR_L) || (cr4 & BIT(17)))) /* PCIDE */
            return -EPERM;
        *efer &= ~V_EFER_LMA;
        return 0;
    }
    if (!(*efer & V_EFER_LME))
        return 0;
    if (!(cr4 & V_CR4_PAE) || (cs.attr & CPU_SEG_ATTR_L) ||
        (vmx_get(s, SLOT_AR + CPU_SEG_TR) & AR_TYPE_MASK) == AR_TSS16_BUSY)
        return -EPERM;
    *efer |= V_EFER_LMA;
    return 0;
}

int vmx_write_cr0(struct cpu_vcpu *c, uint64_t val)
{
    struct vmx_vcpu *s = vmx_of(c);
    uint64_t old = vmx_get_cr(c, 0), old_efer = vmx_get_efer(c), efer = old_efer;

    if (val >> 32 || ((val & V_CR0_PG) && !(val & V_CR0_PE)) ||
        ((val & V_CR0_NW) && !(val & V_CR0_CD)))
        return -EPERM;
    if (((old ^ val) & V_CR0_PG) && switch_paging(c, val, &efer))
        return -EPERM;
    vmx_set_efer(c, efer);
    vmx_set_cr(c, 0, val | V_CR0_ET);
    if (pae_paging(s) && load_pdptes(s)) {
        vmx_set_efer(c, old_efer);
        vmx_set_cr(c, 0, old);
        return -EPERM;
    }
    if ((old ^ val) & V_CR0_PG)
        forget_translations(s);
    return 0;
}

/* ---- the cache ---- */

#define SLOTS_MODE (BIT(SLOT_CR0) | BIT(SLOT_CR3) | BIT(SLOT_CR4) | BIT(SLOT_EFER))

void vmx_write_back(struct vmx_vcpu *s)
{
    /* What a tool loads may be nonsense; then the entry fails and says so. */
    if ((s->dirty & SLOTS_MODE) && pae_paging(s))
        (void)load_pdptes(s);
    if (s->dirty & BIT(SLOT_EFER))
        vmcs_write(VMCS_ENTRY_CTL, s->ctl.entry | (s->val[SLOT_EFER] & V_EFER_LMA ? ENTRY_CTL_IA32E : 0));
    while (s->dirty) {
        unsigned slot = (unsigned)__builtin_ctzll(s->dirty);

        vmcs_write(vmcs_slot_field[slot], s->val[slot]);
        s->dirty &= s->dirty - 1;
    }
}

void vmx_read_all(struct vmx_vcpu *s)
{
    for (unsigned slot = 0; slot < NR_GUEST_SLOTS; slot++)
        vmx_get(s, slot);
}

void vmx_guest_reset(struct vmx_vcpu *s)
{
    static const struct cpu_segment data = { .attr = 0x93, .limit = 0xffff };
    static const struct cpu_segment code = { 0xf000, 0x9b, 0xffff, 0xffff0000 };
    static const struct cpu_segment ldt = { .attr = 0x82, .limit = 0xffff };
    static const struct cpu_segment tss = { .attr = 0x8b, .limit = 0xffff };
    struct cpu_vcpu *c = s->c;
    uint64_t pat = s->val[SLOT_PAT]; /* kept by INIT */

    memset(s->val, 0, sizeof(s->val));
    s->valid = s->dirty = GENMASK(NR_GUEST_SLOTS - 1, 0);
    s->val[SLOT_PAT] = pat ? pat : PAT_AFTER_RESET;
    for (unsigned id = CPU_SEG_ES; id <= CPU_SEG_GS; id++)
        vmx_set_segment(c, (enum cpu_seg_id)id, id == CPU_SEG_CS ? &code : &data);
    vmx_set_segment(c, CPU_SEG_LDTR, &ldt);
    vmx_set_segment(c, CPU_SEG_TR, &tss);
    vmx_set_segment(c, CPU_SEG_GDTR, &data);
    vmx_set_segment(c, CPU_SEG_IDTR, &data);
    vmx_set_cr(c, 0, V_CR0_ET);
    vmx_set_cr(c, 2, 0);
    vmx_set_cr(c, 4, 0);
    vmx_set_dr(c, 6, DR6_AFTER_RESET);
    vmx_set_dr(c, 7, DR7_AFTER_RESET);
    for (unsigned i = 0; i < NR_LAZY_MSRS; i++)
        vmx_set_msr(c, vmx_lazy_msr[i], 0);
    s->val[SLOT_RFLAGS] = RFLAGS_FIXED;
    s->proc_ctl = (uint32_t)s->ctl.proc;
    s->injecting = false;
    s->tlb_gen = 0;
    forget_translations(s);
}
