/* SPDX-License-Identifier: MIT */
/*
 * A VT-d unit as a whole: reading its capabilities, building its tables, turning translation and
 * remapping on and off in the order that the specification asks for, and the deadline of every
 * wait.
 */
#include "iommu/vtd.h"

#include "lib/assert.h"
#include "lib/atomic.h"
#include "lib/errno.h"
#include "lib/leave_out.h"
#include "lib/printf.h"
#include "lib/string.h"
#include "lib/time.h"
#include "mm/frame.h"
#include "mm/phys.h"

/* Commands finish in microseconds; a second is a unit that is gone. */
#define COMMAND_TIMEOUT_NS NS_PER_SEC
/* Registers of real units end within 64 KiB; more is a misread capability. */
#define REGS_MAX (64UL << 10)

void vtd_writeback(struct vtd_unit *u, const void *p, size_t len)
{
    if (u->coherent)
        wmb();
    else
        u->hw.writeback(u->hw.ctx, p, len);
}

void *vtd_alloc_table(struct vtd_unit *u, unsigned order)
{
    uint64_t mfn = frame_alloc(order, OWNER_XEN, FRAME_ZERO);
    void *table;

    if (mfn == INVALID_MFN)
        return NULL;
    table = mfn_to_virt(mfn);
    vtd_writeback(u, table, PAGE_SIZE << order);
    return table;
}

int vtd_fail(struct vtd_unit *u, const char *what)
{
    if (!u->failed) {
        u->failed = true;
        strlcpy(u->failure, what, sizeof(u->failure));
        pr_err("iommu: unit %u at %#llx failed: %s\n", u->id, (unsigned long long)u->base, what);
    }
    return -EIO;
}

bool vtd_wait_reg32(struct vtd_unit *u, unsigned reg, uint32_t mask, uint32_t value)
{
    uint64_t deadline = now_ns() + COMMAND_TIMEOUT_NS;

    for (;;) {
        if ((u->hw.read32(u->hw.ctx, reg) & mask) == value)
            return true;
        if (deadline_passed(deadline))
            return false;
        udelay(1);
    }
}

/* ---- capabilities ---- */

static int refuse(char *why, size_t why_len, const struct vtd_unit *u, const char *what)
{
    snprintf(why, why_len, "unit %u at %#llx %s", u->id, (unsigned long long)u->base, what);
    return -EINVAL;
}

/* The p2m has four levels; a unit takes it whole, or the table one level down. */
static bool choose_levels(struct vtd_unit *u)
{
    unsigned sagaw = CAP_SAGAW(u->cap), mgaw = CAP_MGAW(u->cap);
    bool three = sagaw & BIT(1), four = sagaw & BIT(2);

    if (four && (mgaw > 39 || !three))
        u->levels = 4;
    else if (three)
        u->levels = 3;
    else
        return false;
    u->address_bits = (uint8_t)MIN(mgaw, u->levels == 4 ? 48u : 39u);
    return true;
}

static void read_capabilities(struct vtd_unit *u, const struct iommu_options *opt)
{
    uint64_t cap = u->cap, ecap = u->ecap;
    unsigned sllps = CAP_SLLPS(cap);

    /* a 1 GiB leaf is of no use without 2 MiB ones to split it into */
    u->max_order = !(sllps & 1) ? 0 : (sllps & 2) ? 18 : 9;
    u->coherent = ecap & ECAP_C;
    u->caching_mode = cap & CAP_CM;
    u->write_buffer = cap & CAP_RWBF;
    u->page_selective = cap & CAP_PSI;
    u->mamv = (uint8_t)CAP_MAMV(cap);
    u->nr_dids = 1u << MIN(4 + 2 * CAP_ND(cap), 16u);
    u->iotlb_reg = ECAP_IRO(ecap);
    u->fault_reg = CAP_FRO(cap);
    u->nr_faults = CAP_NFR(cap);
    u->use_queue = (ecap & ECAP_QI) && !opt->no_queue;
    /* entries of the interrupt entry cache can be flushed through the queue only (6.5.1) */
    u->use_ir = (ecap & ECAP_IR) && u->use_queue && !opt->no_intremap;
    u->eim = u->use_ir && (ecap & ECAP_EIM) && opt->x2apic;
    u->use_post = u->use_ir && (cap & CAP_PI) && !opt->no_posted;
}

int vtd_probe(struct vtd_unit *u, const struct dmar_unit *d, const struct iommu_options *opt,
              char *why, size_t why_len)
{
    size_t need;

    spin_lock_init(&u->lock);
    u->base = d->base;
    u->len = d->size;
    u->segment = d->segment;
    u->include_all = d->include_all;
    if (vtd_hw_open(&u->hw, u->base, u->len))
        return refuse(why, why_len, u, "cannot be mapped");
    u->version = (uint8_t)u->hw.read32(u->hw.ctx, VTD_VER);
    u->cap = u->hw.read64(u->hw.ctx, VTD_CAP);
    u->ecap = u->hw.read64(u->hw.ctx, VTD_ECAP);
    if (!u->cap || u->cap == ~0ULL || u->ecap == ~0ULL || !(u->version >> 4))
        return refuse(why, why_len, u, "does not answer");
    if (!choose_levels(u))
        return refuse(why, why_len, u, "has neither three nor four levels");
    read_capabilities(u, opt);
    if (u->iotlb_reg < VTD_REGS_MIN || u->fault_reg < VTD_REGS_MIN)
        return refuse(why, why_len, u, "has registers that overlap");
    need = MAX(u->iotlb_reg + 16u, u->fault_reg + 16u * u->nr_faults);
    if (need > REGS_MAX)
        return refuse(why, why_len, u, "has registers out of reach");
    if (need > u->len) {
        u->len = ALIGN_UP(need, PAGE_SIZE);
        if (vtd_hw_open(&u->hw, u->base, u->len))
            return refuse(why, why_len, u, "cannot be mapped");
    }
    return 0;
}

int vtd_build(struct vtd_unit *u)
{
    u->root = vtd_alloc_table(u, 0);
    if (!u->root)
        return -ENOMEM;
    if (u->use_queue) {
        u->queue = vtd_alloc_table(u, 0);
        u->status = vtd_alloc_table(u, 0);
        if (!u->queue || !u->status)
            return -ENOMEM;
    }
    return u->use_ir ? vtd_irt_build(u) : 0;
}

/* ---- global commands ---- */

/*
 * Writes the command register with all states kept: writing a state bit as 0 would end it (11.4.4).
 */
static void write_gcmd(struct vtd_unit *u, uint32_t bits)
{
    u->hw.write32(u->hw.ctx, VTD_GCMD, bits);
}

/* A one-shot command: its status bit comes on when it is done. */
static int command(struct vtd_unit *u, uint32_t bit, const char *what)
{
    write_gcmd(u, u->gcmd | bit);
    if (!vtd_wait_reg32(u, VTD_GSTS, bit, bit))
        return vtd_fail(u, what);
    return 0;
}

static int set_state(struct vtd_unit *u, uint32_t bit, bool on, const char *what)
{
    uint32_t want = on ? u->gcmd | bit : u->gcmd & ~bit;

    write_gcmd(u, want);
    if (!vtd_wait_reg32(u, VTD_GSTS, bit, on ? bit : 0))
        return vtd_fail(u, what);
    u->gcmd = want;
    return 0;
}

int vtd_flush_write_buffer(struct vtd_unit *u)
{
    if (!u->write_buffer)
        return 0;
    if (u->failed)
        return -EIO;
    write_gcmd(u, u->gcmd | (uint32_t)GCMD_WBF);
    /* this one is done when its status bit goes off */
    if (!vtd_wait_reg32(u, VTD_GSTS, GCMD_WBF, 0))
        return vtd_fail(u, "write buffer flush timed out");
    return 0;
}

/* Waits for a queue that is on to run dry: it must not be turned off before (6.5.2). */
static bool queue_drained(struct vtd_unit *u)
{
    uint64_t deadline = now_ns() + COMMAND_TIMEOUT_NS;

    while (u->hw.read64(u->hw.ctx, VTD_IQH) != u->hw.read64(u->hw.ctx, VTD_IQT)) {
        if (deadline_passed(deadline))
            return false;
        udelay(1);
    }
    return true;
}

/*
 * Whatever firmware or an earlier kernel left on. Translation stays on while its tables are
 * replaced, if they are of the same kind, so that a device that firmware had shut out does not get
 * a moment of free access.
 */
static int take_over(struct vtd_unit *u)
{
    int err = 0;

    u->gcmd = u->hw.read32(u->hw.ctx, VTD_GSTS) & (uint32_t)GCMD_STATES;
    if (u->gcmd)
        pr_info("iommu: unit %u was left on by firmware (status %#x)\n", u->id, u->gcmd);
    if (u->gcmd & GCMD_IRE)
        err = set_state(u, GCMD_IRE, false, "firmware's remapping stays on");
    if (!err && (u->gcmd & GCMD_QIE)) {
        if (!queue_drained(u))
            return vtd_fail(u, "firmware's queue never ends");
        err = set_state(u, GCMD_QIE, false, "firmware's queue stays on");
    }
    if (!err && (u->gcmd & GCMD_EAFL))
        err = set_state(u, GCMD_EAFL, false, "firmware's fault log stays on");
    if (!err && (u->gcmd & GCMD_TE) && (u->hw.read64(u->hw.ctx, VTD_RTADDR) & RTADDR_MODE))
        err = set_state(u, GCMD_TE, false, "firmware's translation stays on");
    /* CFI has a status but no wait of its own: the next command carries it off */
    u->gcmd &= ~(uint32_t)GCMD_CFI;
    return err;
}

/* Firmware's other way to shut devices out; translation has taken over from it (11.4.8). */
static int protected_memory_off(struct vtd_unit *u)
{
    if (!(u->cap & (CAP_PLMR | CAP_PHMR)))
        return 0;
    u->hw.write32(u->hw.ctx, VTD_PMEN, 0);
    if (!vtd_wait_reg32(u, VTD_PMEN, PMEN_PRS, 0))
        return vtd_fail(u, "protected memory stays on");
    return 0;
}

int vtd_turn_on(struct vtd_unit *u)
{
    int err = take_over(u);

    if (err)
        return err;
    vtd_fault_reset(u);
    err = vtd_flush_write_buffer(u);
    if (!err && u->use_queue)
        err = vtd_queue_enable(u);
    if (err)
        return err;

    u->hw.write64(u->hw.ctx, VTD_RTADDR, virt_to_phys(u->root));
    err = command(u, GCMD_SRTP, "root table pointer not taken");
    if (err)
        return err;
    /* 6.5.1.1: the context cache first, since the IOTLB is filled through it */
    if (flush_due(FLUSH_CONTEXT_START))
        vtd_inval_context_global(u);
    vtd_inval_fence(u);
    if (flush_due(FLUSH_IOTLB_START))
        vtd_inval_iotlb_global(u);
    err = vtd_inval_wait(u);
    if (!err && u->use_ir)
        err = vtd_irt_enable(u);
    if (!err)
        err = set_state(u, GCMD_TE, true, "translation does not start");
    if (!err)
        err = protected_memory_off(u);
    return err;
}

int vtd_queue_enable(struct vtd_unit *u)
{
    u->tail = 0;
    u->pending = 0;
    u->hw.write64(u->hw.ctx, VTD_IQT, 0);
    u->hw.write64(u->hw.ctx, VTD_IQA, virt_to_phys(u->queue));
    return set_state(u, GCMD_QIE, true, "queue does not start");
}

int vtd_irt_enable(struct vtd_unit *u)
{
    uint64_t irta = virt_to_phys(u->irt) | (uint64_t)(__builtin_ctz(u->ir_size) - 1);
    int err;

    u->hw.write64(u->hw.ctx, VTD_IRTA, irta | (u->eim ? IRTA_EIME : 0));
    err = command(u, GCMD_SIRTP, "interrupt table pointer not taken");
    if (err)
        return err;
    if (flush_due(FLUSH_INTERRUPT_START))
        vtd_inval_iec_global(u);
    err = vtd_inval_wait(u);
    /* CFI stays 0: messages in the old format are blocked (5.1.4) */
    return err ? err : set_state(u, GCMD_IRE, true, "interrupt remapping does not start");
}

void vtd_turn_off(struct vtd_unit *u)
{
    u->hw.write32(u->hw.ctx, VTD_FECTL, FECTL_IM);
    if (u->gcmd & GCMD_TE)
        set_state(u, GCMD_TE, false, "translation does not stop");
    if (u->gcmd & GCMD_IRE)
        set_state(u, GCMD_IRE, false, "interrupt remapping does not stop");
    if ((u->gcmd & GCMD_QIE) && queue_drained(u))
        set_state(u, GCMD_QIE, false, "queue does not stop");
}
