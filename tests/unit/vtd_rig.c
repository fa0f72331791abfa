/* SPDX-License-Identifier: MIT */
/*
 * The rig of the VT-d tests: see vtd_rig.h.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "mm/frame.h"
#include "mm/phys.h"
#include "sim.h"
#include "vtd_rig.h"

struct vtd_model rig_model[RIG_UNITS];
uint64_t rig_frames, rig_fail_frame;
unsigned rig_hook_faults, rig_hook_quarantines;
uint32_t rig_quarantined;
char rig_why[64];
void (*rig_memory_init)(void);
static unsigned rig_nr;

/* ---- stand-ins, unless a test links the real ones ---- */

__attribute__((weak)) uint64_t frame_alloc(unsigned order, uint16_t owner, unsigned flags)
{
    uint64_t mfn = ALIGN_UP(rig_frames, 1ULL << order);

    assert_int_equal(owner, OWNER_XEN);
    if (rig_fail_frame && !--rig_fail_frame)
        return INVALID_MFN;
    rig_frames = mfn + (1ULL << order);
    assert_true(rig_frames <= RIG_MEM >> PAGE_SHIFT);
    memset(mfn_to_virt(mfn), flags & FRAME_ZERO ? 0 : 0xee, PAGE_SIZE << order);
    return mfn;
}

__attribute__((weak)) uint64_t p2m_root(const struct p2m *p2m, unsigned levels)
{
    return levels == 4 ? p2m->root : levels == 3 ? p2m->subroot : INVALID_MFN;
}

__attribute__((weak)) uint64_t p2m_lookup(const struct p2m *p2m, uint64_t gfn, enum p2m_type *type,
                                          unsigned *order)
{
    uint64_t mfn = p2m->root, e;

    (void)order;
    for (unsigned shift = 27;; shift -= 9) {
        e = ((uint64_t *)mfn_to_virt(mfn))[(gfn >> shift) & 511];
        mfn = e >> PAGE_SHIFT & 0xffffffffffULL;
        if (!(e & 3))
            return INVALID_MFN;
        if (!shift || (e & 0x80))
            break;
    }
    *type = e & 2 ? P2M_RAM_RW : P2M_RAM_RO;
    return mfn;
}

__attribute__((weak)) const char *p2m_type_name(enum p2m_type type)
{
    return type == P2M_RAM_RO ? "ram-ro" : "other";
}

/* ---- machine ---- */

struct vtd_model rig_qemu(unsigned aw_bits)
{
    return (struct vtd_model){
        .psi = true,
        .queue = true,
        .intremap = true,
        .sagaw = aw_bits > 39 ? 6 : 2,
        .mgaw = aw_bits,
        .mamv = 18,
        .nd = 6,
        .nfr = 1,
    };
}

struct vtd_model rig_variant(unsigned n)
{
    struct vtd_model m = rig_qemu(n == 1 ? 48 : 39);

    switch (n) {
    case 2:
        m.coherent = true;
        m.sagaw = 4;
        m.mgaw = 48;
        break;
    case 3:
        m.caching_mode = true;
        break;
    case 4:
        m.rwbf = true;
        m.coherent = true;
        break;
    case 5:
        m.queue = m.intremap = false;
        break;
    case 6:
        m.psi = false;
        break;
    case 7:
        m.mamv = 0;
        break;
    case 8:
        m.no_1g = true;
        m.nfr = 8;
        break;
    case 9:
        m.queue = m.intremap = m.psi = false;
        m.caching_mode = m.rwbf = m.coherent = true;
        break;
    case 10:
        m.caching_mode = true;
        m.mamv = 9;
        m.sagaw = 6;
        m.mgaw = 48;
        m.nd = 0;
        break;
    default:
        break;
    }
    return m;
}

static size_t put_scope(uint8_t *at, unsigned type, unsigned id, unsigned sid)
{
    const uint8_t s[8] = {
        (uint8_t)type,     8, 0, 0, (uint8_t)id, (uint8_t)(sid >> 8), (uint8_t)(sid >> 3 & 31),
        (uint8_t)(sid & 7)
    };

    memcpy(at, s, 8);
    return 8;
}

static size_t put_unit(uint8_t *at, unsigned n, unsigned nr)
{
    bool all = n + 1 == nr;
    uint64_t base = rig_model[all ? 0 : 1].base;
    size_t len = 16;

    memset(at, 0, 16);
    at[4] = all;
    memcpy(at + 8, &base, 8);
    if (all) {
        len += put_scope(at + len, 3, 2, SID_IOAPIC);
        len += put_scope(at + len, 4, 0, SID_HPET);
    } else {
        len += put_scope(at + len, 1, 0, DEV_C);
    }
    at[2] = (uint8_t)len;
    return len;
}

static size_t put_rmrr(uint8_t *at)
{
    const uint64_t range[2] = { 0x7b000000, 0x7b0fffff };

    memset(at, 0, 24);
    at[0] = 1;
    at[2] = 32;
    memcpy(at + 8, range, 16);
    put_scope(at + 24, 1, 0, DEV_A);
    return 32;
}

static size_t build_table(uint8_t *t, unsigned nr)
{
    size_t len = 48;
    uint8_t sum = 0;

    memset(t, 0, 256);
    memcpy(t, "DMAR", 4);
    t[36] = 47;
    t[37] = 1;
    for (unsigned i = 0; i < nr; i++)
        len += put_unit(t + len, i, nr);
    len += put_rmrr(t + len);
    t[4] = (uint8_t)len;
    for (size_t i = 0; i < len; i++)
        sum = (uint8_t)(sum + t[i]);
    t[9] = (uint8_t)-sum;
    return len;
}

static void hook_fault(const struct iommu_fault *f)
{
    (void)f;
    rig_hook_faults++;
}

static void hook_quarantined(uint32_t sbdf, const char *why)
{
    rig_hook_quarantines++;
    rig_quarantined = sbdf;
    snprintf(rig_why, sizeof(rig_why), "%s", why);
}

int rig_start(const struct vtd_model *units, unsigned nr, const struct iommu_options *opt)
{
    static const struct iommu_hooks hooks = { .fault = hook_fault, .quarantined = hook_quarantined };
    uint8_t table[256];
    int err;

    sim_phys_init(RIG_MEM);
    if (rig_memory_init)
        rig_memory_init();
    model_reset_machine();
    rig_frames = 1;
    rig_nr = nr;
    for (unsigned i = 0; i < nr; i++) {
        rig_model[i] = units[i];
        rig_model[i].base = RIG_BASE + i * 0x1000;
        model_start(&rig_model[i], RIG_MEM);
    }
    err = iommu_init(table, build_table(table, nr), NULL, opt);
    iommu_set_hooks(&hooks);
    rig_hook_faults = rig_hook_quarantines = 0;
    rig_quarantined = 0;
    rig_why[0] = '\0';
    return err;
}

void rig_up(const struct vtd_model *units, unsigned nr)
{
    assert_int_equal(rig_start(units, nr, NULL), 0);
    assert_int_equal(iommu_enable(), 0);
    rig_check();
}

void rig_check(void)
{
    for (unsigned i = 0; i < rig_nr; i++)
        assert_string_equal(rig_model[i].violation, "");
}

struct vtd_model *rig_unit_of(uint16_t sid)
{
    return &rig_model[rig_nr > 1 && (sid == DEV_C || sid == DEV_C_VF)];
}

/* ---- page tables ---- */

static uint64_t new_table(void)
{
    uint64_t mfn = frame_alloc(0, OWNER_XEN, FRAME_ZERO);

    iommu_sync_entry(mfn_to_virt(mfn), PAGE_SIZE);
    return mfn;
}

void rig_domain_init(struct rig_domain *d, uint16_t domid)
{
    uint64_t *root;

    memset(d, 0, sizeof(*d));
    d->p2m.root = new_table();
    d->p2m.subroot = new_table();
    root = mfn_to_virt(d->p2m.root);
    root[0] = d->p2m.subroot << PAGE_SHIFT | 7;
    iommu_sync_entry(root, 8);
    assert_int_equal(iommu_domain_init(&d->io, domid, &d->p2m), 0);
}

static uint64_t *slot_of(struct rig_domain *d, uint64_t gfn, unsigned order)
{
    uint64_t mfn = d->p2m.root;

    for (unsigned shift = 27;; shift -= 9) {
        uint64_t *e = (uint64_t *)mfn_to_virt(mfn) + ((gfn >> shift) & 511);

        if (shift == order)
            return e;
        assert_false(*e & 0x80);
        if (!(*e & 3)) {
            *e = new_table() << PAGE_SHIFT | 7;
            iommu_sync_entry(e, 8);
        }
        mfn = *e >> PAGE_SHIFT & 0xffffffffffULL;
    }
}

static uint64_t leaf(uint64_t mfn, unsigned order, unsigned perm)
{
    /*
     * as the p2m writes them: execute and memory type bits, which a VT-d unit ignores, and
     * accessed, dirty
     */
    return perm ? mfn << PAGE_SHIFT | perm | 4 | 6 << 3 | 1 << 8 | (order ? 0x80 : 0) : 0;
}

void rig_pte(struct rig_domain *d, uint64_t gfn, uint64_t mfn, unsigned order, unsigned perm)
{
    uint64_t *e = slot_of(d, gfn, order);

    *e = leaf(mfn, order, perm);
    iommu_sync_entry(e, 8);
}

uint64_t *rig_collapse(struct rig_domain *d, uint64_t gfn, uint64_t mfn, unsigned perm)
{
    uint64_t *e = slot_of(d, gfn, 9);
    uint64_t *table = mfn_to_virt(*e >> PAGE_SHIFT & 0xffffffffffULL);

    assert_true((*e & 3) && !(*e & 0x80));
    *e = leaf(mfn, 9, perm);
    iommu_sync_entry(e, 8);
    return table;
}

void rig_split(struct rig_domain *d, uint64_t gfn)
{
    uint64_t *e = slot_of(d, gfn, 9), table = new_table(), *t = mfn_to_virt(table);
    uint64_t mfn = *e >> PAGE_SHIFT & 0xffffffffffULL;

    assert_true((*e & 3) && (*e & 0x80));
    for (unsigned i = 0; i < 512; i++)
        t[i] = leaf(mfn + i, 0, *e & 3);
    iommu_sync_entry(t, PAGE_SIZE);
    *e = table << PAGE_SHIFT | 7;
    iommu_sync_entry(e, 8);
}

/* ---- DMA ---- */

void rig_reaches(uint16_t sid, uint64_t gfn, bool write, uint64_t mfn)
{
    uint64_t pa = 0;
    unsigned reason;

    assert_int_equal(
        model_dma(rig_unit_of(sid), sid, (gfn << PAGE_SHIFT) + 0x123, write, &pa, &reason),
        MODEL_OK);
    assert_int_equal(pa, (mfn << PAGE_SHIFT) + 0x123);
}

void rig_refused(uint16_t sid, uint64_t gfn, bool write, unsigned reason)
{
    uint64_t pa;
    unsigned got;

    assert_int_not_equal(model_dma(rig_unit_of(sid), sid, gfn << PAGE_SHIFT, write, &pa, &got),
                         MODEL_OK);
    if (reason)
        assert_int_equal(got, reason);
}
