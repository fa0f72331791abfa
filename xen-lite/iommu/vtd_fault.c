/* SPDX-License-Identifier: MIT */
/*
 * A unit's fault recording registers and its fault event interrupt (VT-d specification chapter 7).
 * Taking records out is bounded by the caller; what they mean for a device is iommu_fault.c's.
 */
#include "iommu/internal.h"

#include "lib/assert.h"
#include "lib/time.h"

/* How long a unit that floods is not listened to. */
#define MUTE_NS NS_PER_SEC

static unsigned record_reg(const struct vtd_unit *u, unsigned n)
{
    return u->fault_reg + n * 16;
}

void vtd_fault_reset(struct vtd_unit *u)
{
    u->hw.write32(u->hw.ctx, VTD_FECTL, FECTL_IM);
    /* F is cleared by writing it; then the flags that depend on it (11.4.7, 11.4.14) */
    for (unsigned i = 0; i < u->nr_faults; i++)
        u->hw.write64(u->hw.ctx, record_reg(u, i) + 8, FRCD_F);
    u->hw.write32(u->hw.ctx, VTD_FSTS, FSTS_PFO | FSTS_IQE | FSTS_ICE | FSTS_ITE);
}

void vtd_fault_route(struct vtd_unit *u, uint8_t vector, uint32_t apicid)
{
    /* 5.1.6: the unit's own messages are not remapped; the old format, upper id bits in FEUADDR */
    u->hw.write32(u->hw.ctx, VTD_FECTL, FECTL_IM);
    u->hw.write32(u->hw.ctx, VTD_FEDATA, vector);
    u->hw.write32(u->hw.ctx, VTD_FEADDR, 0xfee00000u | (apicid & 0xff) << 12);
    u->hw.write32(u->hw.ctx, VTD_FEUADDR, u->eim ? apicid & 0xffffff00u : 0);
    u->hw.write32(u->hw.ctx, VTD_FECTL, 0);
}

void vtd_fault_mute(struct vtd_unit *u)
{
    u->hw.write32(u->hw.ctx, VTD_FECTL, FECTL_IM);
    u->faults_muted_ns = now_ns() | 1;
}

void vtd_fault_unmute(struct vtd_unit *u)
{
    if (!u->faults_muted_ns || now_ns() - u->faults_muted_ns < MUTE_NS)
        return;
    u->faults_muted_ns = 0;
    /* a fault that came meanwhile is pending in the unit and is reported at once */
    u->hw.write32(u->hw.ctx, VTD_FECTL, 0);
}

static void decode(struct vtd_fault *f, uint64_t lo, uint64_t hi)
{
    f->reason = FRCD_REASON(hi);
    f->sid = FRCD_SID(hi);
    f->interrupt = f->reason >= 0x20 && f->reason < 0x30;
    f->write = !(hi & FRCD_READ) && !f->interrupt;
    f->addr = f->interrupt ? FRCD_IR_INDEX(lo) : lo & PAGE_MASK;
}

unsigned vtd_fault_take(struct vtd_unit *u, struct vtd_fault *out, unsigned max)
{
    uint32_t fsts = u->hw.read32(u->hw.ctx, VTD_FSTS);
    unsigned n = 0, first = FSTS_FRI(fsts);

    ASSERT(spin_is_locked(&u->lock));
    if (fsts == ~0u || (fsts & FSTS_PPF && first >= u->nr_faults)) {
        vtd_fail(u, "fault status makes no sense");
        return 0;
    }
    /*
     * FRI stays where the flags came on, so a record that arrives between two calls may stand
     * anywhere: look at all, from the oldest. As long as one is set the unit raises no further
     * interrupt.
     */
    for (unsigned i = 0; (fsts & FSTS_PPF) && i < u->nr_faults && n < max; i++) {
        unsigned reg = record_reg(u, (first + i) % u->nr_faults);
        uint64_t hi = u->hw.read64(u->hw.ctx, reg + 8);

        if (!(hi & FRCD_F))
            continue;
        decode(&out[n++], u->hw.read64(u->hw.ctx, reg), hi);
        /* after this the unit may use the record again */
        u->hw.write64(u->hw.ctx, reg + 8, FRCD_F);
    }
    /* while PFO stands nothing is recorded: clear it after the records, or they are lost again */
    if ((fsts & FSTS_PFO) && n < max) {
        u->faults_lost++;
        u->hw.write32(u->hw.ctx, VTD_FSTS, FSTS_PFO);
    }
    /* queue errors raise this interrupt too; whoever waits for the queue reports them */
    u->faults += n;
    return n;
}
