/* SPDX-License-Identifier: MIT */
/*
 * What faults mean: counted by device, written to a short history, logged at a bounded rate, and
 * past a limit the device is quarantined. A device can fault as fast as it likes, and can claim
 * other requester ids where the bus lets it, so everything here is bounded: work per interrupt,
 * records, messages.
 */
#include "iommu/internal.h"

#include "lib/errno.h"
#include "lib/printf.h"
#include "lib/string.h"
#include "lib/time.h"
#include "p2m/p2m.h"

/* Records handled in one call before the unit's interrupt is muted for a while. */
#define MAX_PER_CALL 1024u
#define BATCH        16u

/* Messages: a burst, then one a second; the rest is counted and told with the next. */
#define LOG_BURST 8u

/* VT-d specification 7.1.3, legacy mode and interrupt remapping */
static const char *const reasons[] = {
    [0x01] = "no context table for the bus",
    [0x02] = "device is not attached",
    [0x03] = "invalid context entry",
    [0x04] = "address beyond the unit's width",
    [0x05] = "no write permission",
    [0x06] = "no read permission",
    [0x07] = "page table not readable",
    [0x08] = "root table not readable",
    [0x09] = "context table not readable",
    [0x0a] = "reserved bit in root entry",
    [0x0b] = "reserved bit in context entry",
    [0x0c] = "reserved bit in page table entry",
    [0x0d] = "translated request refused",
    [0x20] = "reserved bit in interrupt request",
    [0x21] = "interrupt index beyond the table",
    [0x22] = "interrupt entry not present",
    [0x23] = "interrupt table not readable",
    [0x24] = "reserved bit in interrupt entry",
    [0x25] = "interrupt in compatibility format",
    [0x26] = "interrupt entry of another source",
    [0x27] = "posted-interrupt descriptor not accessible",
    [0x28] = "reserved bit in posted-interrupt descriptor",
};

const char *iommu_fault_reason(uint8_t reason)
{
    const char *s = reason < ARRAY_SIZE(reasons) ? reasons[reason] : NULL;

    return s ? s : "unknown reason";
}

static struct {
    unsigned tokens;
    uint64_t refilled_ns;
    uint64_t suppressed;
} log_rate = { .tokens = LOG_BURST };

/* dev_lock held. True: one message may be written; *missed were not since the last. */
static bool may_log(uint64_t now, uint64_t *missed)
{
    uint64_t seconds = (now - log_rate.refilled_ns) / NS_PER_SEC;

    if (seconds) {
        log_rate.tokens = (unsigned)MIN((uint64_t)LOG_BURST, log_rate.tokens + seconds);
        log_rate.refilled_ns += seconds * NS_PER_SEC;
    }
    if (!log_rate.tokens) {
        log_rate.suppressed++;
        return false;
    }
    log_rate.tokens--;
    *missed = log_rate.suppressed;
    log_rate.suppressed = 0;
    return true;
}

/* What the address is to the device's owner: the one who reads the message need not look it up. */
static void describe_page(const struct iommu_fault *f, char *out, size_t len)
{
    if (f->interrupt || f->domid == IOMMU_DOMID_NONE)
        out[0] = '\0';
    else if (f->mapped != P2M_NONE)
        snprintf(out, len, ", a page of type %s,", p2m_type_name((enum p2m_type)f->mapped));
    else if (f->reserved)
        strlcpy(out, ", its reserved memory, which is not mapped,", len);
    else
        strlcpy(out, ", where nothing is mapped,", len);
}

static void log_fault(const struct iommu_fault *f, uint64_t missed)
{
    char who[24] = "of nobody", page[64];

    describe_page(f, page, sizeof(page));

    if (f->domid != IOMMU_DOMID_NONE)
        snprintf(who, sizeof(who), "of domain %u", f->domid);
    pr_warn("iommu: %04x:%02x:%02x.%x %s: %s %s%#llx%s refused: %s (reason %#x)\n", f->sbdf >> 16,
            (f->sbdf >> 8) & 0xff, (f->sbdf >> 3) & 0x1f, f->sbdf & 7, who,
            f->interrupt ? "interrupt"
            : f->write   ? "DMA write"
                         : "DMA read",
            f->interrupt ? "" : "at ", (unsigned long long)f->addr, page,
            iommu_fault_reason(f->reason), f->reason);
    if (missed)
        pr_warn("iommu: %llu more faults were not logged\n", (unsigned long long)missed);
}

/* Counts towards the limit; true when it is exceeded now. */
static bool over_limit(struct iommu_device *dev, uint64_t now)
{
    if (dev->state == IOMMU_DEV_QUARANTINED)
        return false;
    if (now - dev->window_start_ns > iommu.opt.fault_window_ms * NS_PER_MS) {
        dev->window_start_ns = now;
        dev->window_faults = 0;
    }
    return ++dev->window_faults > iommu.opt.fault_limit;
}

/*
 * Who owns the device and what the owner has at the address. Under the device lock the owner stays,
 * and p2m_lookup() takes no lock; the table may have changed since the access.
 */
static void look_up(struct iommu_fault *f, const struct iommu_device *dev)
{
    enum p2m_type type = P2M_NONE;
    uint64_t start, end;

    f->domid = IOMMU_DOMID_NONE;
    f->mapped = P2M_NONE;
    if (!dev || !dev->owner)
        return;
    f->domid = dev->owner->domid;
    if (f->interrupt)
        return;
    p2m_lookup(dev->owner->p2m, f->addr >> PAGE_SHIFT, &type, NULL);
    f->mapped = (uint8_t)type;
    for (unsigned n = 0; iommu_rmrr_for(f->sbdf, n, &start, &end); n++)
        f->reserved |= f->addr >= start && f->addr <= end;
}

/*
 * What one fault changes, under the device lock. Returns true if the device was quarantined for it.
 */
static bool account(struct iommu_fault *f, bool *log, uint64_t *missed, char *why, size_t why_len)
{
    struct iommu_device *dev = iommu_find_device(f->sbdf, IOMMU_MAX_FAULT_DEVICES);
    bool over = false;

    look_up(f, dev);
    iommu.history[iommu.nr_history++ % IOMMU_FAULT_HISTORY] = *f;
    *log = may_log(f->time_ns, missed);
    if (!dev) {
        iommu.devs_dropped++;
        return false;
    }
    if (!dev->faults++)
        dev->first = *f;
    dev->last = *f;
    over = over_limit(dev, f->time_ns);
    if (over) {
        snprintf(why, why_len, "more than %u faults in %u ms", iommu.opt.fault_limit,
                 iommu.opt.fault_window_ms);
        iommu_quarantine_locked(dev, why);
    }
    return over;
}

static void handle(const struct vtd_unit *u, const struct vtd_fault *raw)
{
    struct iommu_fault f = {
        .time_ns = now_ns(),
        .addr = raw->addr,
        .sbdf = IOMMU_SBDF(u->segment, raw->sid),
        .unit = (uint8_t)u->id,
        .reason = raw->reason,
        .write = raw->write,
        .interrupt = raw->interrupt,
    };
    uint64_t missed = 0;
    bool log, cut;
    char why[64];

    spin_lock(&iommu.dev_lock);
    cut = account(&f, &log, &missed, why, sizeof(why));
    spin_unlock(&iommu.dev_lock);
    if (log)
        log_fault(&f, missed);
    if (iommu.hooks.fault)
        iommu.hooks.fault(&f);
    if (cut)
        iommu_call_quarantined(f.sbdf, why);
}

static void drain_unit(struct vtd_unit *u)
{
    struct vtd_fault batch[BATCH];
    unsigned n, total = 0;

    do {
        spin_lock(&u->lock);
        if (!total)
            vtd_fault_unmute(u);
        n = u->failed ? 0 : vtd_fault_take(u, batch, BATCH);
        total += n;
        if (total >= MAX_PER_CALL)
            vtd_fault_mute(u);
        spin_unlock(&u->lock);
        for (unsigned i = 0; i < n; i++)
            handle(u, &batch[i]);
    } while (n && total < MAX_PER_CALL);
    if (total >= MAX_PER_CALL)
        pr_warn("iommu: unit %u floods, its fault interrupt is off for a second\n", u->id);
}

void iommu_fault_irq(void)
{
    for (unsigned i = 0; i < iommu.dmar.nr_units; i++)
        drain_unit(&iommu.unit[i]);
    iommu_check_units();
}

int iommu_enable_fault_irq(uint8_t vector, uint32_t apicid)
{
    if (!iommu.ready)
        return -ENODEV;
    if (apicid > 0xfe && !iommu_extended_dest())
        return -ERANGE;
    for (unsigned i = 0; i < iommu.dmar.nr_units; i++) {
        spin_lock(&iommu.unit[i].lock);
        vtd_fault_route(&iommu.unit[i], vector, apicid);
        spin_unlock(&iommu.unit[i].lock);
    }
    return 0;
}

bool iommu_fault_history(unsigned n, struct iommu_fault *out)
{
    bool found;

    spin_lock(&iommu.dev_lock);
    found = n < IOMMU_FAULT_HISTORY && n < iommu.nr_history;
    if (found)
        *out = iommu.history[(iommu.nr_history - 1 - n) % IOMMU_FAULT_HISTORY];
    spin_unlock(&iommu.dev_lock);
    return found;
}
