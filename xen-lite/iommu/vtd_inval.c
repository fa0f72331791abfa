/* SPDX-License-Identifier: MIT */
/*
 * Invalidation of what a unit has cached: through its queue, requests collected and completed by
 * one wait; or through registers, one at a time, where it has no queue (VT-d specification 6.5).
 * Every wait ends: completion, an error that the unit reports, or the deadline; the latter two fail
 * the unit.
 */
#include "iommu/vtd.h"

#include "lib/assert.h"
#include "lib/atomic.h"
#include "lib/errno.h"
#include "lib/time.h"
#include "mm/phys.h"

#define INVAL_TIMEOUT_NS NS_PER_SEC
/* Looks at memory only, before time and registers are read between looks. */
#define QUICK_LOOKS 100u
/* Requests per batch; room is left for the wait, and head may never meet tail. */
#define BATCH_MAX (QUEUE_LEN - 8)
/* Page-selective requests for one range; beyond, the whole domain costs less. */
#define RANGE_MAX_PIECES 16u

static void push(struct vtd_unit *u, uint64_t lo, uint64_t hi)
{
    uint64_t *slot = &u->queue[u->tail * 2];

    slot[0] = lo;
    slot[1] = hi;
    /* ECAP.C promises nothing about the queue, so it gets what the tables get */
    vtd_writeback(u, slot, 16);
    u->tail = (u->tail + 1) % QUEUE_LEN;
    u->pending++;
    u->invalidations++;
}

/* A full batch is completed before more is added: the queue never overruns. */
static void request(struct vtd_unit *u, uint64_t lo, uint64_t hi)
{
    if (u->failed)
        return;
    if (u->pending >= BATCH_MAX && vtd_inval_wait(u))
        return;
    push(u, lo, hi);
}

static int wait_status(struct vtd_unit *u)
{
    uint64_t deadline;

    for (unsigned i = 0; i < QUICK_LOOKS; i++) {
        if (READ_ONCE(u->status[0]) == u->cookie)
            return 0;
        cpu_relax();
    }
    deadline = now_ns() + INVAL_TIMEOUT_NS;
    while (READ_ONCE(u->status[0]) != u->cookie) {
        uint32_t fsts = u->hw.read32(u->hw.ctx, VTD_FSTS);

        if (fsts & FSTS_IQE)
            return vtd_fail(u, "invalidation queue: descriptor refused");
        if (fsts & FSTS_ITE)
            return vtd_fail(u, "invalidation queue: a device did not answer");
        if (deadline_passed(deadline))
            return vtd_fail(u, "invalidation timed out");
        udelay(1);
    }
    return 0;
}

int vtd_inval_wait(struct vtd_unit *u)
{
    ASSERT(spin_is_locked(&u->lock));
    if (u->failed)
        return -EIO;
    if (!u->pending)
        return 0;
    if (vtd_flush_write_buffer(u))
        return -EIO;
    /* a new value each time: a completion that comes late cannot be taken for this one */
    u->cookie++;
    push(u, QI_WAIT | QI_WAIT_SW | QI_WAIT_DATA(u->cookie),
         virt_to_phys((const void *)(uintptr_t)u->status));
    u->pending = 0;
    u->waits++;
    u->hw.write64(u->hw.ctx, VTD_IQT, (uint64_t)u->tail * 16);
    return wait_status(u);
}

void vtd_inval_fence(struct vtd_unit *u)
{
    /*
     * 6.5.2.8: a wait with the fence flag holds back what follows. It writes a status that nobody
     * reads, as some units refuse waits that neither write nor interrupt. In register mode every
     * request was completed already.
     */
    if (u->use_queue)
        request(u, QI_WAIT | QI_WAIT_SW | QI_WAIT_FN | QI_WAIT_DATA(1),
                virt_to_phys((const void *)(uintptr_t)&u->status[1]));
}

/* ---- register interface, 6.5.1 ---- */

/*
 * Writes a command to a 64-bit register, waits for its busy bit (63) to go off and returns the
 * register.
 */
static uint64_t reg_command(struct vtd_unit *u, unsigned reg, uint64_t value, const char *what)
{
    uint64_t deadline = now_ns() + INVAL_TIMEOUT_NS, v;

    u->invalidations++;
    u->waits++;
    u->hw.write64(u->hw.ctx, reg, value);
    while ((v = u->hw.read64(u->hw.ctx, reg)) & BIT(63)) {
        if (deadline_passed(deadline)) {
            vtd_fail(u, what);
            return 0;
        }
        udelay(1);
    }
    return v;
}

static void reg_context(struct vtd_unit *u, uint64_t cmd)
{
    uint64_t v;

    if (u->failed)
        return;
    v = reg_command(u, VTD_CCMD, CCMD_ICC | cmd, "context invalidation timed out");
    if (!u->failed && !CCMD_CAIG(v))
        vtd_fail(u, "context invalidation refused");
}

static void reg_iotlb(struct vtd_unit *u, uint64_t cmd)
{
    uint64_t v, drain = 0;

    if (u->failed)
        return;
    if (u->cap & CAP_DRD)
        drain |= IOTLB_DR;
    if (u->cap & CAP_DWD)
        drain |= IOTLB_DW;
    v = reg_command(u, u->iotlb_reg + 8, IOTLB_IVT | cmd | drain, "IOTLB invalidation timed out");
    if (!u->failed && !IOTLB_IAIG(v))
        vtd_fail(u, "IOTLB invalidation refused");
}

/* ---- requests ---- */

void vtd_inval_context_global(struct vtd_unit *u)
{
    if (u->use_queue)
        request(u, QI_CONTEXT | QI_G_GLOBAL, 0);
    else
        reg_context(u, CCMD_GLOBAL);
}

void vtd_inval_context(struct vtd_unit *u, uint16_t bdf, uint16_t did)
{
    if (u->use_queue)
        request(u, QI_CONTEXT | QI_G_FINE | QI_DID(did) | QI_SID(bdf), 0);
    else
        reg_context(u, CCMD_DEVICE | CCMD_SID(bdf) | CCMD_DID(did));
}

static uint64_t queue_drain_bits(const struct vtd_unit *u)
{
    return (u->cap & CAP_DRD ? QI_IOTLB_DR : 0) | (u->cap & CAP_DWD ? QI_IOTLB_DW : 0);
}

void vtd_inval_iotlb_global(struct vtd_unit *u)
{
    if (u->use_queue)
        request(u, QI_IOTLB | QI_G_GLOBAL | queue_drain_bits(u), 0);
    else
        reg_iotlb(u, IOTLB_GLOBAL);
}

void vtd_inval_iotlb_domain(struct vtd_unit *u, uint16_t did)
{
    if (u->use_queue)
        request(u, QI_IOTLB | QI_G_DOMAIN | QI_DID(did) | queue_drain_bits(u), 0);
    else
        reg_iotlb(u, IOTLB_DOMAIN | IOTLB_DID(did));
}

/* 2^order pages from gfn, which is aligned to that. */
static void inval_pages(struct vtd_unit *u, uint16_t did, uint64_t gfn, unsigned order,
                        bool leaf_only)
{
    uint64_t addr = (gfn << PAGE_SHIFT) | order;

    if (u->use_queue) {
        request(u, QI_IOTLB | QI_G_FINE | QI_DID(did) | queue_drain_bits(u),
                addr | (leaf_only ? QI_IOTLB_IH : 0));
        return;
    }
    if (u->failed)
        return;
    u->hw.write64(u->hw.ctx, u->iotlb_reg, addr | (leaf_only ? IVA_IH : 0));
    reg_iotlb(u, IOTLB_PAGE | IOTLB_DID(did));
}

/*
 * The largest naturally aligned block at gfn that lies in nr pages and that one request may cover.
 */
static unsigned piece_order(const struct vtd_unit *u, uint64_t gfn, uint64_t nr)
{
    unsigned fit = 63u - (unsigned)__builtin_clzll(nr);
    unsigned align = gfn ? (unsigned)__builtin_ctzll(gfn) : 63u;
    unsigned order = MIN(fit, align);

    return MIN(order, (unsigned)u->mamv);
}

unsigned vtd_inval_iotlb_range(struct vtd_unit *u, uint16_t did, uint64_t gfn, uint64_t nr,
                               bool leaf_only)
{
    unsigned pieces = 0;
    uint64_t at = gfn, left = nr;

    if (u->page_selective) {
        while (left && pieces <= RANGE_MAX_PIECES) {
            unsigned order = piece_order(u, at, left);

            at += 1ULL << order;
            left -= 1ULL << order;
            pieces++;
        }
    }
    if (!u->page_selective || pieces > RANGE_MAX_PIECES) {
        vtd_inval_iotlb_domain(u, did);
        return 0;
    }
    while (nr) {
        unsigned order = piece_order(u, gfn, nr);

        inval_pages(u, did, gfn, order, leaf_only);
        gfn += 1ULL << order;
        nr -= 1ULL << order;
    }
    return pieces;
}

/* Interrupt entries exist only where there is a queue (see read_capabilities()). */
void vtd_inval_iec_global(struct vtd_unit *u)
{
    request(u, QI_IEC, 0);
}

void vtd_inval_iec(struct vtd_unit *u, unsigned index)
{
    request(u, QI_IEC | QI_IEC_INDEX | QI_IEC_IM(0) | QI_IEC_IIDX(index), 0);
}
