/* SPDX-License-Identifier: MIT */
/*
 * What the files of the virtual local APIC share among themselves.
 */
#ifndef XL_VDEV_VLAPIC_PRIV_H
#define XL_VDEV_VLAPIC_PRIV_H

#include "vdev/vlapic.h"

#define SVR_ENABLE        (1u << 8)
#define LVT_MASKED        (1u << 16)
#define LVT_PERIODIC      (1u << 17)
#define LVT_LEVEL         (1u << 15)
#define LVT_VECTOR        0xffu
#define LVT_DELIVERY(lvt) (((lvt) >> 8) & 7)

/* Interrupt command register (SDM vol. 3, 11.6.1). */
#define ICR_DELIVERY(icr)  (((icr) >> 8) & 7)
#define ICR_LOGICAL        BIT(11)
#define ICR_ASSERT         BIT(14)
#define ICR_LEVEL          BIT(15)
#define ICR_SHORTHAND(icr) (((icr) >> 18) & 3)
#define ICR_DEFINED        (GENMASK(63, 32) | GENMASK(19, 18) | GENMASK(15, 14) | GENMASK(11, 0))

/* Error status register (SDM vol. 3, 11.5.3). */
#define ESR_SEND_ILLEGAL    (1u << 5)
#define ESR_RECEIVE_ILLEGAL (1u << 6)

/* Registers by number: page offset / 16, MSR 0x800 + number (SDM vol. 3, tables 11-1 and 11-6). */
enum vlapic_reg {
    REG_ID = 0x02,
    REG_VERSION = 0x03,
    REG_TPR = 0x08,
    REG_APR = 0x09, /* page only, as RRD and DFR */
    REG_PPR = 0x0a,
    REG_EOI = 0x0b,
    REG_RRD = 0x0c,
    REG_LDR = 0x0d,
    REG_DFR = 0x0e,
    REG_SVR = 0x0f,
    REG_ISR = 0x10, /* eight each */
    REG_TMR = 0x18,
    REG_IRR = 0x20,
    REG_ESR = 0x28,
    REG_ICR = 0x30,
    REG_ICR_HIGH = 0x31, /* page only */
    REG_LVT = 0x32,      /* VLAPIC_NR_LVT of them, in the order of enum vlapic_lvt */
    REG_TIMER_INITIAL = 0x38,
    REG_TIMER_CURRENT = 0x39,
    REG_TIMER_DIVIDE = 0x3e,
    REG_SELF_IPI = 0x3f, /* MSR only */
};

static inline bool vec_test(const uint32_t *map, unsigned vec)
{
    return (READ_ONCE(map[vec / 32]) >> (vec % 32)) & 1;
}

/* The highest vector in a map, -1 if it is empty. */
static inline int vec_highest(const uint32_t *map)
{
    for (int i = 7; i >= 0; i--) {
        uint32_t word = READ_ONCE(map[i]);

        if (word)
            return i * 32 + 31 - __builtin_clz(word);
    }
    return -1;
}

/* Words of a register in a page: each has 16 bytes. */
#define VLAPIC_REG_WORDS 4

/* Processor priority: the higher of task priority and what is in service (SDM vol. 3, 11.8.3.1). */
static inline uint8_t vlapic_ppr(const struct vlapic *l)
{
    const uint32_t *page = READ_ONCE(l->page);
    uint8_t tpr, isr;

    if (unlikely(page))
        return (uint8_t)READ_ONCE(page[REG_PPR * VLAPIC_REG_WORDS]);
    tpr = READ_ONCE(l->tpr);
    isr = READ_ONCE(l->isr_top);
    return tpr >> 4 >= isr >> 4 ? tpr : isr & 0xf0;
}

/* vlapic.c */
void vlapic_error(struct vlapic *l, uint32_t esr_bit);

/* vlapic_regs.c: by register number, in either mode; values to write are checked or cut by the caller as its mode demands. */
uint32_t vlapic_reg_read(const struct vlapic *l, unsigned reg);
void vlapic_reg_write(struct vlapic *l, unsigned reg, uint32_t val);

void vlapic_self_ipi(struct vlapic *l, uint8_t vec);

/* vlapic_page.c */
/* After a write to a register of which the page has a copy: brings the copies up to date. */
void vlapic_page_refresh(struct vlapic *l);
/* The highest vector in one of the page's sets, REG_ISR or REG_IRR; -1 if it is empty. */
int vlapic_page_highest(const uint32_t *page, unsigned reg);

/* vlapic_timer.c */
void vlapic_timer_init(struct vlapic *l);
void vlapic_timer_set_initial(struct vlapic *l, uint32_t count);
void vlapic_timer_set_divide(struct vlapic *l, uint32_t divide);
uint32_t vlapic_timer_current(const struct vlapic *l);
void vlapic_timer_stop(struct vlapic *l);
/* The stopped timer goes on as if it had been set to `initial` and had counted down to `left` (0: it is not running). */
void vlapic_timer_resume(struct vlapic *l, uint32_t divide, uint32_t initial, uint32_t left);

/* vapic_bus.c: sends what was written into the interrupt command register. */
void vapic_send_ipi(struct vlapic *sender, uint64_t icr);

#endif
