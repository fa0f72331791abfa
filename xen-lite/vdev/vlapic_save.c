/* SPDX-License-Identifier: MIT */
/*
 * The virtual local APIC as the toolstack's save records have it: what the public interface calls LAPIC and LAPIC_REGS, the
 * latter with each register at its page offset.
 */
#include "lib/errno.h"
#include "lib/string.h"
#include "lib/time.h"
#include "vdev/vlapic_priv.h"

#include <xen/xen.h>

#include <xen/hvm/save.h>

/* In hvm_hw_lapic.disabled. */
#define HW_DISABLED 1u
#define SW_DISABLED 2u

#define NR_REGS (sizeof(((struct hvm_hw_lapic_regs *)0)->data) / 16)

static uint32_t get(const struct hvm_hw_lapic_regs *r, unsigned reg)
{
    uint32_t val;

    memcpy(&val, &r->data[reg * 16], sizeof(val));
    return val;
}

void vlapic_save(const struct vlapic *l, struct hvm_hw_lapic *hw)
{
    unsigned code = (l->timer_divide & 3) | ((l->timer_divide >> 1) & 4);

    *hw = (struct hvm_hw_lapic){
        .apic_base_msr = l->apic_base,
        .disabled = (vlapic_hw_enabled(l) ? 0 : HW_DISABLED) | (l->svr & SVR_ENABLE ? 0 : SW_DISABLED),
        .timer_divisor = 1u << ((code + 1) & 7),
    };
}

void vlapic_save_regs(const struct vlapic *l, struct hvm_hw_lapic_regs *regs)
{
    memset(regs, 0, sizeof(*regs));
    for (unsigned reg = 0; reg < NR_REGS; reg++) {
        uint32_t val = vlapic_reg_read(l, reg);

        memcpy(&regs->data[reg * 16], &val, sizeof(val));
    }
}

int vlapic_check(const struct vlapic *l, const struct hvm_hw_lapic *hw)
{
    uint64_t mode = hw->apic_base_msr & (APIC_BASE_EN | APIC_BASE_EXTD);
    uint64_t fixed = VLAPIC_DEFAULT_BASE | (l->index == 0 ? APIC_BASE_BSP : 0);

    if (hw->apic_base_msr != (fixed | mode) || mode == APIC_BASE_EXTD)
        return -EINVAL;
    return hw->tdt_msr ? -EINVAL : 0; /* there is no TSC deadline timer */
}

/* No interrupt has a vector below 16, and the timer has not more left than it began with. */
int vlapic_check_regs(const struct hvm_hw_lapic_regs *regs)
{
    if ((get(regs, REG_ISR) | get(regs, REG_IRR) | get(regs, REG_TMR)) & 0xffff)
        return -EINVAL;
    return get(regs, REG_TIMER_CURRENT) > get(regs, REG_TIMER_INITIAL) ? -EINVAL : 0;
}

/* Only the mode: what belongs to the registers comes with them. */
void vlapic_load(struct vlapic *l, const struct hvm_hw_lapic *hw)
{
    vlapic_from_page(l);
    WRITE_ONCE(l->apic_base, hw->apic_base_msr);
}

static void load_vectors(struct vlapic *l, const struct hvm_hw_lapic_regs *regs)
{
    int top;

    for (unsigned i = 0; i < 8; i++) {
        l->isr[i] = get(regs, REG_ISR + i);
        __atomic_store_n(&l->tmr[i], get(regs, REG_TMR + i), __ATOMIC_RELAXED);
        __atomic_store_n(&l->irr[i], get(regs, REG_IRR + i), __ATOMIC_SEQ_CST);
    }
    top = vec_highest(l->isr);
    WRITE_ONCE(l->isr_top, (uint8_t)(top < 0 ? 0 : top));
    l->blocked = false;
    WRITE_ONCE(l->pending, 1);
}

void vlapic_load_regs(struct vlapic *l, const struct hvm_hw_lapic_regs *regs)
{
    vlapic_from_page(l);
    vlapic_timer_stop(l);
    vlapic_reg_write(l, REG_TPR, get(regs, REG_TPR));
    if (!vlapic_is_x2apic(l)) { /* else it follows from the id */
        vlapic_reg_write(l, REG_LDR, get(regs, REG_LDR));
        vlapic_reg_write(l, REG_DFR, get(regs, REG_DFR));
    }
    /* Enabled while the local vectors are written, which may then be unmasked. */
    vlapic_reg_write(l, REG_SVR, get(regs, REG_SVR) | SVR_ENABLE);
    for (unsigned i = 0; i < VLAPIC_NR_LVT; i++)
        vlapic_reg_write(l, REG_LVT + i, get(regs, REG_LVT + i));
    vlapic_reg_write(l, REG_SVR, get(regs, REG_SVR));
    l->esr = get(regs, REG_ESR);
    l->icr = ((uint64_t)get(regs, REG_ICR_HIGH) << 32 | get(regs, REG_ICR)) & ICR_DEFINED;
    load_vectors(l, regs);
    vlapic_timer_resume(l, get(regs, REG_TIMER_DIVIDE), get(regs, REG_TIMER_INITIAL),
                        get(regs, REG_TIMER_CURRENT));
}
