/* SPDX-License-Identifier: MIT */
/*
 * Registers of the virtual local APIC in a page that the CPU works on while the guest runs: who has them when, and how they
 * get there and back. What is requested meanwhile waits in irr, as ever, until the vCPU's own CPU puts it into the page.
 */
#include "lib/string.h"
#include "vdev/vioapic.h"
#include "vdev/vlapic_priv.h"

#define PAGE_WORDS 8 /* of a set of vectors */

/* What a guest may read there that only writes change, and those come here. */
static const uint8_t copies[] = {
    REG_ID,      REG_VERSION,       REG_LDR,          REG_SVR,     REG_ESR,
    REG_LVT,     REG_LVT + 1,       REG_LVT + 2,      REG_LVT + 3, REG_LVT + 4,
    REG_LVT + 5, REG_TIMER_INITIAL, REG_TIMER_DIVIDE,
};

static uint32_t *word(uint32_t *page, unsigned reg)
{
    return &page[reg * VLAPIC_REG_WORDS];
}

bool vlapic_page_possible(const struct vlapic *l)
{
    return vlapic_is_x2apic(l) && vlapic_sw_enabled(l);
}

void vlapic_page_refresh(struct vlapic *l)
{
    for (unsigned i = 0; i < ARRAY_SIZE(copies); i++)
        *word(l->page, copies[i]) = vlapic_reg_read(l, copies[i]);
}

void vlapic_to_page(struct vlapic *l, uint32_t *page, bool posts)
{
    for (unsigned i = 0; i < PAGE_WORDS; i++) {
        *word(page, REG_ISR + i) = l->isr[i];
        *word(page, REG_IRR + i) = 0;
        l->isr[i] = 0;
    }
    *word(page, REG_TPR) = l->tpr;
    *word(page, REG_PPR) = vlapic_ppr(l);
    WRITE_ONCE(l->isr_top, 0);
    l->blocked = false;
    WRITE_ONCE(l->page_posts, posts);
    WRITE_ONCE(l->page, page);
    vlapic_page_refresh(l);
    WRITE_ONCE(l->pending, 1);
}

void vlapic_from_page(struct vlapic *l)
{
    uint32_t *page = l->page;
    int top;

    if (likely(!page))
        return;
    if (l->page_posts)
        vcpu_take_posted(l->vcpu);
    for (unsigned i = 0; i < PAGE_WORDS; i++) {
        l->isr[i] = *word(page, REG_ISR + i);
        __atomic_fetch_or(&l->irr[i], *word(page, REG_IRR + i), __ATOMIC_SEQ_CST);
        *word(page, REG_ISR + i) = *word(page, REG_IRR + i) = 0;
    }
    top = vec_highest(l->isr);
    WRITE_ONCE(l->tpr, (uint8_t)*word(page, REG_TPR));
    WRITE_ONCE(l->isr_top, (uint8_t)(top < 0 ? 0 : top));
    WRITE_ONCE(l->page, NULL);
    l->blocked = false;
    WRITE_ONCE(l->pending, 1);
}

int vlapic_page_highest(const uint32_t *page, unsigned reg)
{
    for (int i = PAGE_WORDS - 1; i >= 0; i--) {
        uint32_t bits = READ_ONCE(page[(reg + (unsigned)i) * VLAPIC_REG_WORDS]);

        if (bits)
            return i * 32 + 31 - __builtin_clz(bits);
    }
    return -1;
}

uint8_t vlapic_page_requests(struct vlapic *l)
{
    int top;

    /* Cleared before irr is read: a request that comes later sets it again. */
    (void)__atomic_exchange_n(&l->pending, 0, __ATOMIC_SEQ_CST);
    for (unsigned i = 0; i < PAGE_WORDS; i++) {
        if (READ_ONCE(l->irr[i]))
            *word(l->page, REG_IRR + i) |= __atomic_exchange_n(&l->irr[i], 0, __ATOMIC_SEQ_CST);
    }
    top = vlapic_page_highest(l->page, REG_IRR);
    return (uint8_t)(top < 0 ? 0 : top);
}

uint8_t vlapic_page_in_service(const struct vlapic *l)
{
    int top = vlapic_page_highest(l->page, REG_ISR);

    return (uint8_t)(top < 0 ? 0 : top);
}

void vlapic_page_eoi(struct vlapic *l, uint8_t vec)
{
    l->stats.eois++;
    if (vec_test(l->tmr, vec))
        vioapic_eoi(l->bus, vec);
}

int vlapic_page_written(struct vlapic *l, uint32_t offset)
{
    if (!l->page || offset != REG_SELF_IPI * 16)
        return -1;
    vlapic_self_ipi(l, (uint8_t)*word(l->page, REG_SELF_IPI));
    return 0;
}
