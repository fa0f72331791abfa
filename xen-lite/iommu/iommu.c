/* SPDX-License-Identifier: MIT */
/*
 * The machine's remapping units together: reading the DMAR table, whether and with which limits
 * tables are shared with the processors, turning everything on and off, and what status commands
 * may know of units.
 */
#include "iommu/iommu.h"

#include "iommu/internal.h"
#include "lib/assert.h"
#include "lib/atomic.h"
#include "lib/errno.h"
#include "lib/printf.h"
#include "lib/string.h"
#include "lib/time.h"

#define DEFAULT_FAULT_LIMIT     256u
#define DEFAULT_FAULT_WINDOW_MS 10000u

/* Without initial values: it is large, and the image has room for it only in .bss. */
struct iommu_state iommu;

static bool unit_index(unsigned n)
{
    return n < iommu.dmar.nr_units;
}

/* What every unit can do is what the p2m may use. */
static void gather_limits(void)
{
    for (unsigned i = 0; unit_index(i); i++) {
        const struct vtd_unit *u = &iommu.unit[i];

        iommu.max_order = MIN(iommu.max_order, (unsigned)u->max_order);
        iommu.address_bits = MIN(iommu.address_bits, (unsigned)u->address_bits);
        iommu.nr_dids = MIN(iommu.nr_dids, u->nr_dids);
        iommu.needs_writeback |= !u->coherent;
        iommu.needs_map_flush |= u->caching_mode || u->write_buffer;
    }
}

/* All or none: one unit without it is a way around it. */
static void decide_intremap(void)
{
    bool all = iommu.dmar.intr_remap;

    for (unsigned i = 0; unit_index(i); i++)
        all = all && iommu.unit[i].use_ir;
    for (unsigned i = 0; !all && unit_index(i); i++) {
        iommu.unit[i].use_ir = false;
        iommu.unit[i].eim = false;
        iommu.unit[i].use_post = false;
    }
    iommu.intremap = all;
}

/*
 * One unit that takes only 8-bit destinations binds them all: a vector may move to any unit's
 * device.
 */
static void decide_extended_dest(void)
{
    bool all = true;

    for (unsigned i = 0; unit_index(i); i++)
        all = all && iommu.unit[i].eim;
    for (unsigned i = 0; !all && unit_index(i); i++)
        iommu.unit[i].eim = false;
    /* one descriptor is for all units, and notifications may go to any processor */
    for (unsigned i = 0; !all && iommu.opt.x2apic && unit_index(i); i++)
        iommu.unit[i].use_post = false;
}

static int probe_units(void)
{
    int err;

    for (unsigned i = 0; unit_index(i); i++) {
        iommu.unit[i].id = i;
        err = vtd_probe(&iommu.unit[i], &iommu.dmar.unit[i], &iommu.opt, iommu.reason,
                        sizeof(iommu.reason));
        if (err)
            return err;
    }
    decide_intremap();
    decide_extended_dest();
    for (unsigned i = 0; unit_index(i); i++) {
        err = vtd_build(&iommu.unit[i]);
        if (err) {
            strlcpy(iommu.reason, "no memory for the units' tables", sizeof(iommu.reason));
            return err;
        }
    }
    return 0;
}

static void report_units(void)
{
    for (unsigned i = 0; unit_index(i); i++) {
        const struct vtd_unit *u = &iommu.unit[i];

        pr_info("iommu: unit %u at %#llx: segment %u%s, version %u.%u, %u levels, %u bits, "
                "pages to %s, %s%s%s%s%s\n",
                i, (unsigned long long)u->base, u->segment, u->include_all ? " (all others)" : "",
                u->version >> 4, u->version & 15, u->levels, u->address_bits,
                u->max_order == 18  ? "1 GiB"
                : u->max_order == 9 ? "2 MiB"
                                    : "4 KiB",
                u->use_queue ? "queue" : "registers", u->use_ir ? ", interrupt remapping" : "",
                u->use_post ? ", posted interrupts" : "", u->coherent ? "" : ", not coherent", u->caching_mode ? ", caching mode" : "");
    }
}

static void reset_state(const struct iommu_options *opt)
{
    memset(&iommu, 0, sizeof(iommu));
    spin_lock_init(&iommu.dev_lock);
    iommu.max_order = 18;
    iommu.address_bits = 48;
    iommu.nr_dids = IOMMU_MAX_DIDS;
    if (opt)
        iommu.opt = *opt;
    if (!iommu.opt.fault_limit)
        iommu.opt.fault_limit = DEFAULT_FAULT_LIMIT;
    if (!iommu.opt.fault_window_ms)
        iommu.opt.fault_window_ms = DEFAULT_FAULT_WINDOW_MS;
}

static int start(const void *dmar, size_t len, iommu_cfg_read_fn cfg_read)
{
    char why[96];
    unsigned missing;
    int err;

    if (!dmar) {
        strlcpy(iommu.reason, "the machine has no DMAR table", sizeof(iommu.reason));
        return -ENODEV;
    }
    err = dmar_parse(dmar, len, &iommu.dmar, why, sizeof(why));
    if (err) {
        snprintf(iommu.reason, sizeof(iommu.reason), "DMAR table refused: %s", why);
        return -EINVAL;
    }
    missing = cfg_read ? dmar_resolve(&iommu.dmar, cfg_read) : 0;
    if (missing)
        pr_warn("iommu: %u devices that the DMAR table names do not exist\n", missing);
    err = probe_units();
    if (err)
        return err;
    gather_limits();
    /* 0 is kept for what caching units cache of entries that are not present */
    set_bit(iommu.dids, 0);
    return 0;
}

int iommu_init(const void *dmar, size_t len, iommu_cfg_read_fn cfg_read,
               const struct iommu_options *opt)
{
    int err;

    reset_state(opt);
    err = start(dmar, len, cfg_read);
    if (err) {
        pr_warn("iommu: none: %s\n", iommu.reason);
        memset(&iommu.dmar, 0, sizeof(iommu.dmar));
        iommu.intremap = false;
        return err;
    }
    iommu.ready = true;
    report_units();
    return 0;
}

int iommu_enable(void)
{
    if (!iommu.ready)
        return -ENODEV;
    for (unsigned i = 0; unit_index(i); i++) {
        struct vtd_unit *u = &iommu.unit[i];
        int err;

        spin_lock(&u->lock);
        err = vtd_turn_on(u);
        spin_unlock(&u->lock);
        if (err) {
            snprintf(iommu.reason, sizeof(iommu.reason), "unit %u at %#llx: %s", i,
                     (unsigned long long)u->base, u->failure);
            iommu_shutdown();
            iommu.ready = false;
            iommu.intremap = false;
            return -EIO;
        }
    }
    iommu.enabled = true;
    pr_info("iommu: translation on%s, tables shared with the processors\n",
            iommu.intremap ? ", interrupt remapping on" : "");
    return 0;
}

/* A lock whose holder may be a CPU that panicked. */
static bool lock_within_bound(spinlock_t *lock)
{
    for (unsigned i = 0; i < 1000; i++) {
        if (spin_trylock(lock))
            return true;
        udelay(10);
    }
    return false;
}

void iommu_shutdown(void)
{
    for (unsigned i = 0; unit_index(i); i++) {
        struct vtd_unit *u = &iommu.unit[i];
        bool locked = lock_within_bound(&u->lock);

        vtd_turn_off(u);
        if (locked)
            spin_unlock(&u->lock);
    }
    iommu.enabled = false;
}

bool iommu_present(void)
{
    return iommu.ready;
}

bool iommu_enabled(void)
{
    return iommu.enabled;
}

bool iommu_intremap(void)
{
    return iommu.ready && iommu.intremap;
}

bool iommu_posts(void)
{
    bool any = false;

    for (unsigned i = 0; iommu_intremap() && unit_index(i); i++)
        any = any || iommu.unit[i].use_post;
    return any;
}

bool iommu_extended_dest(void)
{
    return iommu.ready && iommu.unit[0].eim;
}

const char *iommu_share_reason(void)
{
    if (iommu.ready)
        return NULL;
    return iommu.reason[0] ? iommu.reason : "not initialised";
}

unsigned iommu_max_page_order(void)
{
    return iommu.ready ? iommu.max_order : 18;
}

unsigned iommu_address_bits(void)
{
    return iommu.ready ? iommu.address_bits : 48;
}

bool iommu_needs_writeback(void)
{
    return iommu.ready && iommu.needs_writeback;
}

bool iommu_needs_map_flush(void)
{
    return iommu.ready && iommu.needs_map_flush;
}

void iommu_sync_entry(const void *entry, size_t bytes)
{
    if (iommu_needs_writeback())
        iommu.unit[0].hw.writeback(iommu.unit[0].hw.ctx, entry, bytes);
}

void iommu_set_hooks(const struct iommu_hooks *hooks)
{
    iommu.hooks = *hooks;
}

struct vtd_unit *iommu_unit_of(uint32_t sbdf)
{
    int unit;

    if (!iommu.ready)
        return NULL;
    if (iommu.hooks.scope_of)
        sbdf = iommu.hooks.scope_of(sbdf);
    unit = dmar_unit_for(&iommu.dmar, (uint16_t)(sbdf >> 16), (uint16_t)sbdf);
    return unit < 0 ? NULL : &iommu.unit[unit];
}

int iommu_unit_for(uint32_t sbdf)
{
    const struct vtd_unit *u = iommu_unit_of(sbdf);

    return u ? (int)u->id : -ENODEV;
}

bool iommu_unit_mmio(unsigned n, paddr_t *start_pa, size_t *len)
{
    if (!iommu.ready || !unit_index(n))
        return false;
    *start_pa = iommu.unit[n].base;
    *len = iommu.unit[n].len;
    return true;
}

bool iommu_rmrr_for(uint32_t sbdf, unsigned n, uint64_t *start_pa, uint64_t *end)
{
    const struct dmar_rmrr *r =
        dmar_rmrr_for(&iommu.dmar, (uint16_t)(sbdf >> 16), (uint16_t)sbdf, n);

    if (!r)
        return false;
    *start_pa = r->base;
    *end = r->end;
    return true;
}

bool iommu_rmrr(unsigned n, uint64_t *start_pa, uint64_t *end, uint32_t *sbdfs, unsigned *count,
                unsigned max)
{
    const struct dmar_rmrr *r;

    if (n >= iommu.dmar.nr_rmrrs)
        return false;
    r = &iommu.dmar.rmrr[n];
    *start_pa = r->base;
    *end = r->end;
    *count = 0;
    for (unsigned i = 0; i < r->scopes.count; i++) {
        const struct dmar_scope *s = &iommu.dmar.scope[r->scopes.first + i];

        if (s->type != DMAR_SCOPE_ENDPOINT && s->type != DMAR_SCOPE_BRIDGE)
            continue;
        if (s->resolved && *count < max)
            sbdfs[(*count)++] = IOMMU_SBDF(r->segment, s->bdf);
    }
    return true;
}

static void describe(struct vtd_unit *u, struct iommu_unit_info *out)
{
    *out = (struct iommu_unit_info){
        .regs = u->base,
        .segment = u->segment,
        .include_all = u->include_all,
        .failed = u->failed,
        .version = u->version,
        .levels = u->levels,
        .address_bits = u->address_bits,
        .max_page_order = u->max_order,
        .coherent = u->coherent,
        .caching_mode = u->caching_mode,
        .queue = u->use_queue,
        .intremap = u->use_ir,
        .extended_dest = u->eim,
        .page_selective = u->page_selective,
        .write_buffer = u->write_buffer,
        .can_post = u->cap & CAP_PI,
        .posts = u->use_post,
        .cap = u->cap,
        .ecap = u->ecap,
        .faults = u->faults,
        .faults_lost = u->faults_lost,
        .invalidations = u->invalidations,
        .waits = u->waits,
        .ir_used = u->ir_used,
        .ir_size = u->ir_size,
    };
    strlcpy(out->failure, u->failure, sizeof(out->failure));
}

bool iommu_unit_info(unsigned n, struct iommu_unit_info *out)
{
    if (!unit_index(n))
        return false;
    spin_lock(&iommu.unit[n].lock);
    describe(&iommu.unit[n], out);
    spin_unlock(&iommu.unit[n].lock);
    return true;
}
