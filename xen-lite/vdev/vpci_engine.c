/* SPDX-License-Identifier: MIT */
/*
 * The register map at work: cuts an access into managed registers and the rest, merges partial
 * writes under the declared masks, and leaves the rest to the policy.
 */
#include "vdev/vpci_engine.h"

#include "lib/errno.h"
#include "trap/record.h"
#include "vdev/ioreq.h"
#include "vdev/pci_mmcfg.h"
#include "vdev/vpci_guest.h"
#include "vdev/vroot.h"

static inline uint32_t bytes_mask(unsigned size)
{
    return size >= 4 ? ~0u : (1u << size * 8) - 1;
}

/* Largest naturally aligned piece at `reg` of at most `size` bytes. */
static unsigned piece(unsigned reg, unsigned size)
{
    if (size >= 4 && !(reg & 3))
        return 4;
    return size >= 2 && !(reg & 1) ? 2 : 1;
}

static inline bool naturally_aligned(unsigned reg, unsigned size)
{
    return !(reg & (size - 1)) && size != 3;
}

uint32_t vpci_raw_read(uint32_t sbdf, unsigned reg, unsigned size)
{
    uint32_t val = 0;

    if (likely(naturally_aligned(reg, size)))
        return pci_conf_read(sbdf, reg, size);
    for (unsigned done = 0, n; done < size; done += n) {
        n = piece(reg + done, size - done);
        val |= pci_conf_read(sbdf, reg + done, n) << done * 8;
    }
    return val;
}

void vpci_raw_write(uint32_t sbdf, unsigned reg, unsigned size, uint32_t val)
{
    if (likely(naturally_aligned(reg, size))) {
        pci_conf_write(sbdf, reg, size, val);
        return;
    }
    for (unsigned done = 0, n; done < size; done += n) {
        n = piece(reg + done, size - done);
        pci_conf_write(sbdf, reg + done, n, val >> done * 8 & bytes_mask(n));
    }
}

/* ---- policies ---- */

/* Nobody's, or not announced yet: only the hypervisor's own functions are out of sight. */
static __attribute__((noinline)) uint32_t control_read_unknown(struct vpci *vpci, uint32_t sbdf,
                                                               unsigned reg, unsigned size)
{
    uint32_t val = bytes_mask(size);

    if (!pci_is_hidden(sbdf))
        val = vpci_raw_read(sbdf, reg, size);
    if (val == bytes_mask(size))
        __atomic_fetch_add(&vpci->absent_reads, 1, __ATOMIC_RELAXED);
    return val;
}

static enum trap_result control_read(struct vpci *vpci, struct vpci_dev *vd, uint32_t sbdf,
                                     unsigned reg, unsigned size, uint32_t *val)
{
    /* What drivers do most often by far. */
    if (likely(vd && vd->config && size == 4))
        *val = mmcfg_read32(vd->config + reg);
    else if (vd)
        *val = vpci_raw_read(vd->hw_sbdf, reg, size);
    else
        *val = control_read_unknown(vpci, sbdf, reg, size);
    return TRAP_DONE;
}

static enum trap_result control_write(struct vpci *vpci, struct vpci_dev *vd, uint32_t sbdf,
                                      unsigned reg, unsigned size, uint32_t val)
{
    (void)sbdf;
    if (likely(vd)) {
        vpci_raw_write(vd->hw_sbdf, reg, size, val);
        return TRAP_DONE;
    }
    __atomic_fetch_add(&vpci->absent_writes, 1, __ATOMIC_RELAXED);
    return TRAP_DROPPED;
}

static enum trap_result guest_read(struct vpci *vpci, struct vpci_dev *vd, uint32_t sbdf,
                                   unsigned reg, unsigned size, uint32_t *val)
{
    (void)sbdf;
    if (likely(vd))
        return vd->virt ? vroot_read(vd, reg, size, val) : vpci_guest_read(vd, reg, size, val);
    __atomic_fetch_add(&vpci->absent_reads, 1, __ATOMIC_RELAXED);
    *val = bytes_mask(size);
    return TRAP_DONE;
}

static enum trap_result guest_write(struct vpci *vpci, struct vpci_dev *vd, uint32_t sbdf,
                                    unsigned reg, unsigned size, uint32_t val)
{
    (void)sbdf;
    if (vd && vd->virt)
        return vroot_write(vd, reg, size, val);
    if (vd && !vpci_guest_may_write(vd, reg, size, val))
        return TRAP_DENIED;
    if (vd)
        return ioreq_config_write(vd, reg, size, val);
    __atomic_fetch_add(&vpci->absent_writes, 1, __ATOMIC_RELAXED);
    return TRAP_DROPPED;
}

const struct vpci_policy vpci_policy_control = {
    .name = "control",
    .maps_bars = true,
    .read = control_read,
    .write = control_write,
};

const struct vpci_policy vpci_policy_guest = {
    .name = "guest",
    .asks = true,
    .read = guest_read,
    .write = guest_write,
};

/* ---- managed registers ---- */

/* First register that ends after `pos` in the dword of `pos`; NULL: none. */
static const struct vpci_reg *next_reg(const struct vpci_dev *vd, unsigned pos)
{
    unsigned i = vd->map[pos / 4];

    if (!i)
        return NULL;
    for (i--; i < vd->nr_regs && vd->reg[i].offset / 4 == pos / 4; i++)
        if (vd->reg[i].offset + vd->reg[i].size > pos)
            return &vd->reg[i];
    return NULL;
}

static uint32_t reg_value(struct vpci_dev *vd, const struct vpci_reg *r)
{
    return r->read ? r->read(vd, r) : vpci_hw_read(vd, r->offset, r->size);
}

static inline void annotate(uint32_t sbdf, unsigned reg, const struct vpci_reg *r)
{
    if (record_listens())
        record_annotate(RECORD_CONFIG, sbdf, reg, r ? r->handler : 0);
}

/* Lays `val`, a value of `size` bytes at register `at`, over the bytes of the access [reg, reg +
 * len). */
static uint32_t overlay(uint32_t acc, unsigned reg, unsigned len, unsigned at, unsigned size,
                        uint32_t val)
{
    uint64_t mask = bytes_mask(size), bits = val;

    if (at >= reg) {
        mask <<= (at - reg) * 8;
        bits <<= (at - reg) * 8;
    } else {
        mask >>= (reg - at) * 8;
        bits >>= (reg - at) * 8;
    }
    mask &= bytes_mask(len);
    return (uint32_t)((acc & ~mask) | (bits & mask));
}

static enum trap_result managed_read_locked(struct vpci *vpci, struct vpci_dev *vd, unsigned reg,
                                            unsigned size, uint32_t *val)
{
    unsigned pos = reg, end = reg + size;
    enum trap_result res = TRAP_DONE;

    *val = 0;
    while (pos < end) {
        const struct vpci_reg *r = next_reg(vd, pos);
        unsigned stop = r ? r->offset : end;
        uint32_t v;

        if (r && r->offset <= pos) {
            annotate(vd->sbdf, reg, r);
            *val = overlay(*val, reg, size, r->offset, r->size, reg_value(vd, r));
            pos = r->offset + r->size;
            continue;
        }
        stop = MIN(stop, end);
        res = vpci->policy->read(vpci, vd, vd->sbdf, pos, stop - pos, &v);
        if (res != TRAP_DONE)
            return res;
        *val = overlay(*val, reg, size, pos, stop - pos, v);
        pos = stop;
    }
    return res;
}

/* Kept out of line, as is its counterpart: most accesses go straight to the hardware. */
static __attribute__((noinline)) enum trap_result
managed_read(struct vpci *vpci, struct vpci_dev *vd, unsigned reg, unsigned size, uint32_t *val)
{
    enum trap_result res = TRAP_DONE;

    spin_lock(&vpci->lock);
    if (likely(!vd->dead))
        res = managed_read_locked(vpci, vd, reg, size, val);
    else
        *val = bytes_mask(size);
    spin_unlock(&vpci->lock);
    return res;
}

/* The register as it is to become when its bytes from `pos` to `stop` are written with `val`. */
static uint32_t merge(struct vpci_dev *vd, const struct vpci_reg *r, unsigned pos, unsigned stop,
                      uint32_t val)
{
    uint32_t written = bytes_mask(stop - pos) << (pos - r->offset) * 8;
    uint32_t keep = (r->ro | r->rsvdp | ~written) & bytes_mask(r->size);
    uint32_t new = val << (pos - r->offset) * 8 & written;

    if (!keep)
        return new;
    /* Bytes that are not written must not clear anything. */
    return (new & ~keep) | (reg_value(vd, r) & keep & ~(r->rw1c & ~written));
}

static enum trap_result managed_write_locked(struct vpci *vpci, struct vpci_dev *vd, unsigned reg,
                                             unsigned size, uint32_t val)
{
    unsigned pos = reg, end = reg + size;
    enum trap_result res = TRAP_DONE, one;

    while (pos < end) {
        const struct vpci_reg *r = next_reg(vd, pos);
        bool inside = r && r->offset <= pos;
        unsigned stop = MIN(end, inside ? r->offset + (unsigned)r->size : r ? r->offset : end);
        uint32_t part = val >> (pos - reg) * 8 & bytes_mask(stop - pos);

        if (inside && r->write) {
            annotate(vd->sbdf, reg, r);
            vd->forwarded = false;
            r->write(vd, r, merge(vd, r, pos, stop, part));
            res = vd->forwarded ? TRAP_FORWARD : res;
        } else {
            one = vpci->policy->write(vpci, vd, vd->sbdf, pos, stop - pos, part);
            res = one == TRAP_DONE ? res : one;
        }
        pos = stop;
    }
    return res;
}

static __attribute__((noinline)) enum trap_result
managed_write(struct vpci *vpci, struct vpci_dev *vd, unsigned reg, unsigned size, uint32_t val)
{
    enum trap_result res = TRAP_DROPPED;

    spin_lock(&vpci->lock);
    if (likely(!vd->dead))
        res = managed_write_locked(vpci, vd, reg, size, val);
    spin_unlock(&vpci->lock);
    return res;
}

/* True if a register of the map may be touched; the lock is needed then. */
static inline bool managed(const struct vpci_dev *vd, unsigned reg)
{
    return vd->map[reg / 4] != 0;
}

/*
 * True if a register of the map that is managed has something to say about a read. The others, which are managed for
 * their writes, are the hardware's.
 */
static inline bool managed_for_read(const struct vpci_dev *vd, unsigned reg)
{
    return vd->read_here[reg / 4 / 64] >> (reg / 4 % 64) & 1;
}

enum trap_result vpci_read(struct vpci *vpci, uint32_t sbdf, unsigned reg, unsigned size,
                           uint32_t *val)
{
    struct vpci_dev *vd = vpci_find(vpci, sbdf);

    if (vd) {
        __atomic_fetch_add(&vd->reads, 1, __ATOMIC_RELAXED);
        WRITE_ONCE(vd->touched[reg / 4].reads, vd->touched[reg / 4].reads + 1);
    }
    if (likely(!vd || !managed(vd, reg))) {
        annotate(sbdf, reg, NULL);
        return vpci->policy->read(vpci, vd, sbdf, reg, size, val);
    }
    annotate(sbdf, reg, &vd->reg[vd->map[reg / 4] - 1]);
    if (!managed_for_read(vd, reg))
        return vpci->policy->read(vpci, vd, sbdf, reg, size, val);
    return managed_read(vpci, vd, reg, size, val);
}

/* A write to a function that the domain has not got: it may have turned up since the last scan. */
static struct vpci_dev *find_for_write(struct vpci *vpci, uint32_t sbdf, unsigned reg)
{
    int rc;

    if (vpci->policy != &vpci_policy_control)
        return NULL;
    rc = vpci_discover(vpci, sbdf);
    if (!rc)
        return vpci_find(vpci, sbdf);
    deny(rc == -ENODEV ? DENY_CONFIG_ABSENT : DENY_CONFIG_HIDDEN, vpci->domid, sbdf, reg, 0);
    return NULL;
}

enum trap_result vpci_write(struct vpci *vpci, uint32_t sbdf, unsigned reg, unsigned size,
                            uint32_t val)
{
    struct vpci_dev *vd = vpci_find(vpci, sbdf);

    annotate(sbdf, reg, NULL);
    if (unlikely(!vd))
        vd = find_for_write(vpci, sbdf, reg);
    if (vd) {
        __atomic_fetch_add(&vd->writes, 1, __ATOMIC_RELAXED);
        WRITE_ONCE(vd->touched[reg / 4].writes, vd->touched[reg / 4].writes + 1);
    }
    if (likely(!vd || !managed(vd, reg)))
        return vpci->policy->write(vpci, vd, sbdf, reg, size, val);
    return managed_write(vpci, vd, reg, size, val);
}
