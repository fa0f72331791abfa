/* SPDX-License-Identifier: MIT */
/*
 * Posted-interrupt descriptors (VT-d 5.2, 9.12). A unit changes one in a single locked step on its cache line: it sets the
 * request's bit, and if no notification is outstanding (ON) and none is suppressed (SN) it sets ON and sends one. So do we
 * with our words of it, and in an order that loses nothing: whoever takes requests clears ON first.
 * Units snoop descriptors whatever they do with tables: nothing is written back here.
 */
#include "iommu/post.h"

#include "iommu/internal.h"
#include "lib/assert.h"
#include "lib/printf.h"
#include "lib/string.h"
#include "mm/frame.h"
#include "mm/phys.h"

/* What a unit sees. Its reserved words stay 0, or requests are refused (fault reason 28h). */
struct vtd_pid {
    uint64_t request[IR_POST_WORDS];
    uint64_t control; /* PID_* */
    uint64_t reserved[3];
};

struct ir_post {
    struct vtd_pid pid; /* on a cache line of its own */
    uint32_t users;     /* remapping entries that name it, and may-be ones of failed units; atomic */
    struct ir_post *next; /* while it is free; iommu.post_lock */
} __attribute__((aligned(64)));

#define PER_FRAME (PAGE_SIZE / sizeof(struct ir_post))

_Static_assert(sizeof(struct vtd_pid) == 64, "VT-d 9.12");

#ifdef XL_HOST
void (*ir_post_between)(void);
#define between()                                                                                  \
    do {                                                                                           \
        if (ir_post_between)                                                                       \
            ir_post_between();                                                                     \
    } while (0)
#else
#define between() ((void)0)
#endif

/* ---- life ---- */

/* Lock held. */
static void refill(void)
{
    uint64_t mfn = frame_alloc(0, OWNER_XEN, FRAME_ZERO);
    struct ir_post *p;

    if (mfn == INVALID_MFN)
        return;
    p = mfn_to_virt(mfn);
    for (unsigned i = 0; i < PER_FRAME; i++) {
        p[i].next = iommu.post_pool;
        iommu.post_pool = &p[i];
    }
}

struct ir_post *ir_post_alloc(void)
{
    struct ir_post *p;

    spin_lock(&iommu.post_lock);
    if (!iommu.post_pool)
        refill();
    p = iommu.post_pool;
    if (p)
        iommu.post_pool = p->next;
    spin_unlock(&iommu.post_lock);
    if (!p)
        return NULL;
    memset(p, 0, sizeof(*p));
    p->pid.control = PID_SN;
    return p;
}

void ir_post_free(struct ir_post *p)
{
    if (!p)
        return;
    if (__atomic_load_n(&p->users, __ATOMIC_ACQUIRE)) {
        pr_warn("iommu: the descriptor at %#llx may still be written to; it is left alone\n",
                (unsigned long long)ir_post_address(p));
        return;
    }
    spin_lock(&iommu.post_lock);
    p->next = iommu.post_pool;
    iommu.post_pool = p;
    spin_unlock(&iommu.post_lock);
}

paddr_t ir_post_address(const struct ir_post *p)
{
    return virt_to_phys(&p->pid);
}

void ir_post_use(struct ir_post *p, int change)
{
    if (p)
        __atomic_add_fetch(&p->users, (uint32_t)change, __ATOMIC_ACQ_REL);
}

/* ---- notification ---- */

void ir_post_notify(struct ir_post *p, uint8_t vector, uint32_t apicid)
{
    uint64_t old = READ_ONCE(p->pid.control), want = PID_NV(vector);

    want |= iommu_extended_dest() ? PID_NDST(apicid) : PID_NDST_XAPIC(apicid);
    /* ON is the unit's to set: it stays as it is */
    do
        between();
    while (!__atomic_compare_exchange_n(&p->pid.control, &old, want | (old & PID_ON), false,
                                        __ATOMIC_SEQ_CST, __ATOMIC_RELAXED));
    between();
}

void ir_post_suppress(struct ir_post *p)
{
    between();
    __atomic_fetch_or(&p->pid.control, PID_SN, __ATOMIC_SEQ_CST);
    between();
}

bool ir_post_outstanding(const struct ir_post *p)
{
    return __atomic_load_n(&p->pid.control, __ATOMIC_SEQ_CST) & PID_ON;
}

bool ir_post_waiting(const struct ir_post *p)
{
    uint64_t any = 0;

    between();
    for (unsigned i = 0; i < IR_POST_WORDS; i++)
        any |= __atomic_load_n(&p->pid.request[i], __ATOMIC_SEQ_CST);
    return any || ir_post_outstanding(p);
}

enum ir_post_answer ir_post_request(struct ir_post *p, uint8_t vector)
{
    uint64_t bit = BIT(vector % 64);

    between();
    if (__atomic_fetch_or(&p->pid.request[vector / 64], bit, __ATOMIC_SEQ_CST) & bit)
        return IR_POST_MERGED;
    between();
    if (__atomic_fetch_or(&p->pid.control, PID_ON, __ATOMIC_SEQ_CST) & PID_ON)
        return IR_POST_TOLD;
    between();
    return IR_POST_TELL;
}

bool ir_post_take(struct ir_post *p, uint64_t vectors[IR_POST_WORDS])
{
    if (!ir_post_waiting(p))
        return false;
    between();
    /* Before the requests are read: one that comes after this is told of anew. */
    __atomic_fetch_and(&p->pid.control, ~PID_ON, __ATOMIC_SEQ_CST);
    for (unsigned i = 0; i < IR_POST_WORDS; i++) {
        between();
        vectors[i] = READ_ONCE(p->pid.request[i])
                         ? __atomic_exchange_n(&p->pid.request[i], 0, __ATOMIC_SEQ_CST)
                         : 0;
    }
    return true;
}
