/* SPDX-License-Identifier: MIT */
/*
 * The registers of the virtual local APIC as the guest sees them: MSR_APIC_BASE, the x2APIC MSRs
 * and the register page. Both views go through one pair of functions by register number; what
 * differs between them is checked before.
 */
#include "lib/errno.h"
#include "trap/trap.h"
#include "vdev/vlapic_priv.h"

/* Bits that can be set in each local vector (SDM vol. 3, figure 11-8); bits 12 and 14 are
 * read-only. */
static const uint32_t lvt_bits[VLAPIC_NR_LVT] = {
    [VLAPIC_LVT_TIMER] = 0x300ff, /* no TSC deadline */
    [VLAPIC_LVT_THERMAL] = 0x107ff, [VLAPIC_LVT_PMC] = 0x107ff,   [VLAPIC_LVT_LINT0] = 0x1a7ff,
    [VLAPIC_LVT_LINT1] = 0x1a7ff,   [VLAPIC_LVT_ERROR] = 0x100ff,
};
#define LVT_READ_ONLY 0x5000u

/* ---- registers by number, common to both modes ---- */

static uint32_t read_isr(const struct vlapic *l, unsigned i)
{
    return l->page ? READ_ONCE(l->page[(REG_ISR + i) * VLAPIC_REG_WORDS]) : l->isr[i];
}

static uint32_t read_irr(const struct vlapic *l, unsigned i)
{
    uint32_t irr = READ_ONCE(l->irr[i]);

    return l->page ? irr | READ_ONCE(l->page[(REG_IRR + i) * VLAPIC_REG_WORDS]) : irr;
}

uint32_t vlapic_reg_read(const struct vlapic *l, unsigned reg)
{
    switch (reg) {
    case REG_ID:
        return vlapic_is_x2apic(l) ? vlapic_id(l) : vlapic_id(l) << 24;
    case REG_VERSION:
        return VLAPIC_VERSION;
    case REG_TPR:
        return l->tpr;
    case REG_PPR:
        return vlapic_ppr(l);
    case REG_LDR:
        return l->ldr;
    case REG_DFR:
        return l->dfr;
    case REG_SVR:
        return l->svr;
    case REG_ISR ... REG_ISR + 7:
        return read_isr(l, reg - REG_ISR);
    case REG_TMR ... REG_TMR + 7:
        return READ_ONCE(l->tmr[reg - REG_TMR]);
    case REG_IRR ... REG_IRR + 7:
        return read_irr(l, reg - REG_IRR);
    case REG_ESR:
        return l->esr;
    case REG_ICR:
        return (uint32_t)l->icr;
    case REG_ICR_HIGH:
        return (uint32_t)(l->icr >> 32);
    case REG_LVT ... REG_LVT + VLAPIC_NR_LVT - 1:
        return l->lvt[reg - REG_LVT];
    case REG_TIMER_INITIAL:
        return l->timer_initial;
    case REG_TIMER_CURRENT:
        return vlapic_timer_current(l);
    case REG_TIMER_DIVIDE:
        return l->timer_divide;
    default:
        return 0;
    }
}

/* The next entry is to find out whether the CPU keeps the registers from now on. */
static void may_be_kept(struct vlapic *l)
{
    if (vlapic_page_possible(l))
        WRITE_ONCE(l->pending, 1);
}

static void write_svr(struct vlapic *l, uint32_t val)
{
    bool was_enabled = l->svr & SVR_ENABLE;

    /* Off, it refuses what the CPU would still accept. */
    if (!(val & SVR_ENABLE))
        vlapic_from_page(l);
    WRITE_ONCE(l->svr, val & 0x1ff);
    if (val & SVR_ENABLE) {
        if (!was_enabled) {
            may_be_kept(l);
            vcpu_lapic_enabled(l->vcpu);
        }
        return;
    }
    /* Disabled by software: all local vectors are masked, and stay so when it is enabled again
     * (SDM 11.4.7.2). */
    for (unsigned i = 0; i < VLAPIC_NR_LVT; i++)
        WRITE_ONCE(l->lvt[i], l->lvt[i] | LVT_MASKED);
}

static void write_lvt(struct vlapic *l, unsigned which, uint32_t val)
{
    val &= lvt_bits[which];
    if (!(l->svr & SVR_ENABLE))
        val |= LVT_MASKED;
    WRITE_ONCE(l->lvt[which], val);
}

static void write_icr(struct vlapic *l, uint64_t val)
{
    l->icr = val & ICR_DEFINED;
    vapic_send_ipi(l, l->icr);
}

/* Values are checked or cut by the caller as its mode demands.  Read-only registers ignore the
 * write. */
void vlapic_reg_write(struct vlapic *l, unsigned reg, uint32_t val)
{
    switch (reg) {
    case REG_EOI:
        vlapic_eoi(l);
        break;
    case REG_TPR:
        vlapic_set_tpr(l, (uint8_t)val);
        break;
    case REG_LDR:
        WRITE_ONCE(l->ldr, val & 0xff000000);
        break;
    case REG_DFR:
        WRITE_ONCE(l->dfr, val | 0x0fffffff);
        break;
    case REG_SVR:
        write_svr(l, val);
        break;
    case REG_ESR:
        l->esr = __atomic_exchange_n(&l->esr_pending, 0, __ATOMIC_RELAXED);
        break;
    case REG_ICR:
        write_icr(l, (l->icr & GENMASK(63, 32)) | val);
        break;
    case REG_ICR_HIGH:
        l->icr = (uint64_t)(val & 0xff000000) << 32 | (uint32_t)l->icr;
        break;
    case REG_LVT ... REG_LVT + VLAPIC_NR_LVT - 1:
        write_lvt(l, reg - REG_LVT, val);
        break;
    case REG_TIMER_INITIAL:
        vlapic_timer_set_initial(l, val);
        break;
    case REG_TIMER_DIVIDE:
        vlapic_timer_set_divide(l, val);
        break;
    default:
        break;
    }
}

/* ---- MSR_APIC_BASE ---- */

/* Moves between disabled, xAPIC and x2APIC as SDM vol. 3, 11.12.5 allows; non-zero: #GP. */
static int write_apic_base(struct vlapic *l, uint64_t val)
{
    uint64_t old = l->apic_base, mode = APIC_BASE_EN | APIC_BASE_EXTD;

    /* The page cannot be moved, and BSP is fixed. */
    if ((val ^ old) & ~mode)
        return -EINVAL;
    switch (val & mode) {
    case 0:
        if (!(old & mode))
            return 0;
        WRITE_ONCE(l->apic_base, val);
        vlapic_reset_init(l);
        return 0;
    case APIC_BASE_EN:
        if (old & APIC_BASE_EXTD)
            return -EINVAL;
        WRITE_ONCE(l->apic_base, val);
        return 0;
    case APIC_BASE_EN | APIC_BASE_EXTD:
        if (!(old & APIC_BASE_EN))
            return -EINVAL;
        if (old & APIC_BASE_EXTD)
            return 0;
        WRITE_ONCE(l->ldr, vlapic_id(l) >> 4 << 16 | 1u << (vlapic_id(l) & 15));
        WRITE_ONCE(l->dfr, ~0u);
        WRITE_ONCE(l->apic_base, val);
        may_be_kept(l);
        return 0;
    default:
        return -EINVAL;
    }
}

/* ---- x2APIC MSRs (SDM vol. 3, table 11-6) ---- */

static bool x2_readable(unsigned reg)
{
    switch (reg) {
    case REG_ID:
    case REG_VERSION:
    case REG_TPR:
    case REG_PPR:
    case REG_LDR:
    case REG_SVR:
    case REG_ISR ... REG_ISR + 7:
    case REG_TMR ... REG_TMR + 7:
    case REG_IRR ... REG_IRR + 7:
    case REG_ESR:
    case REG_ICR:
    case REG_LVT ... REG_LVT + VLAPIC_NR_LVT - 1:
    case REG_TIMER_INITIAL:
    case REG_TIMER_CURRENT:
    case REG_TIMER_DIVIDE:
        return true;
    default:
        return false;
    }
}

/* The bits that may be set in a register; false: it cannot be written. */
static bool x2_writable(unsigned reg, uint64_t *bits)
{
    switch (reg) {
    case REG_TPR:
    case REG_SELF_IPI:
        *bits = 0xff;
        return true;
    case REG_EOI:
    case REG_ESR:
        *bits = 0;
        return true;
    case REG_SVR:
        *bits = 0x1ff;
        return true;
    case REG_ICR:
        /* The delivery status bit is gone in this mode but has always been accepted. */
        *bits = ICR_DEFINED | BIT(12);
        return true;
    case REG_LVT ... REG_LVT + VLAPIC_NR_LVT - 1:
        *bits = lvt_bits[reg - REG_LVT] | LVT_READ_ONLY;
        return true;
    case REG_TIMER_INITIAL:
        *bits = 0xffffffff;
        return true;
    case REG_TIMER_DIVIDE:
        *bits = 0xb;
        return true;
    default:
        return false;
    }
}

int vlapic_msr_read(struct vlapic *l, uint32_t msr, uint64_t *val)
{
    unsigned reg = msr - VLAPIC_MSR_X2APIC;

    l->stats.msr_reads++;
    if (msr == VLAPIC_MSR_APIC_BASE) {
        *val = l->apic_base;
        return 0;
    }
    if (!vlapic_is_x2apic(l) || msr < VLAPIC_MSR_X2APIC || !x2_readable(reg))
        return -EINVAL;
    *val = reg == REG_ICR ? l->icr : vlapic_reg_read(l, reg);
    return 0;
}

/* As an ICR write with destination shorthand "self" (SDM 11.12.11). */
void vlapic_self_ipi(struct vlapic *l, uint8_t vec)
{
    vapic_send_ipi(l, 1u << 18 | vec);
}

int vlapic_msr_write(struct vlapic *l, uint32_t msr, uint64_t val)
{
    unsigned reg = msr - VLAPIC_MSR_X2APIC;
    uint64_t bits;

    l->stats.msr_writes++;
    if (msr == VLAPIC_MSR_APIC_BASE)
        return write_apic_base(l, val);
    if (!vlapic_is_x2apic(l) || msr < VLAPIC_MSR_X2APIC || !x2_writable(reg, &bits) ||
        (val & ~bits))
        return -EINVAL;
    if (reg == REG_ICR) {
        write_icr(l, val);
        return 0;
    }
    if (reg == REG_SELF_IPI)
        vlapic_self_ipi(l, (uint8_t)val);
    else
        vlapic_reg_write(l, reg, (uint32_t)val);
    if (unlikely(l->page))
        vlapic_page_refresh(l);
    return 0;
}

/* ---- register page ---- */

static bool page_decodes(const struct vlapic *l)
{
    return vlapic_hw_enabled(l) && !vlapic_is_x2apic(l);
}

int vlapic_mmio_read(struct vlapic *l, uint32_t offset, unsigned size, uint64_t *val)
{
    uint64_t reg;

    l->stats.mmio_reads++;
    if (!page_decodes(l)) {
        *val = trap_all_ones(size);
        return 0;
    }
    /* Registers are 32 bits on 16-byte boundaries; narrower reads get their part, what lies between
     * reads as 0. */
    reg = (offset & 0xf) < 4 ? vlapic_reg_read(l, (offset & 0xfff) >> 4) : 0;
    *val = (reg >> (offset & 3) * 8) & trap_all_ones(size);
    return 0;
}

int vlapic_mmio_write(struct vlapic *l, uint32_t offset, unsigned size, uint64_t val)
{
    l->stats.mmio_writes++;
    if (page_decodes(l) && size == 4 && !(offset & 0xf))
        vlapic_reg_write(l, (offset & 0xfff) >> 4, (uint32_t)val);
    return 0;
}

static int page_read(struct vcpu *v, struct trap_region *r, uint64_t addr, unsigned size,
                     uint64_t *val)
{
    return vlapic_mmio_read(vcpu_vlapic(v), (uint32_t)(addr - r->first), size, val);
}

static int page_write(struct vcpu *v, struct trap_region *r, uint64_t addr, unsigned size,
                      uint64_t val)
{
    return vlapic_mmio_write(vcpu_vlapic(v), (uint32_t)(addr - r->first), size, val);
}

static const struct trap_ops page_ops = { page_read, page_write };

int vlapic_register_page(struct trap_table *traps)
{
    return trap_register(traps, TRAP_MMIO, VLAPIC_DEFAULT_BASE, VLAPIC_DEFAULT_BASE + PAGE_SIZE - 1,
                         &page_ops, NULL, "vlapic");
}
