/* SPDX-License-Identifier: MIT */
/*
 * VT-d units against the software model: order of turning on and off, translation, attach and
 * detach, flushes. Each flush and each write-back is also tried with a unit that does not do it,
 * which must show: a test that could not fail proves nothing.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/errno.h"
#include "mm/phys.h"
#include "sim.h"
#include "vtd_rig.h"

static struct rig_domain dom0, dom1;

static unsigned total(const struct vtd_model *m)
{
    unsigned n = 0;

    for (unsigned i = 0; i < MI_KINDS; i++)
        n += m->count[i];
    return n;
}

/* ---- on and off ---- */

static void test_on_off(void **state)
{
    (void)state;
    for (unsigned v = 0; v < RIG_VARIANTS; v++) {
        struct vtd_model m = rig_variant(v);
        unsigned want = 1u << 31 | 1u << 30;

        if (m.queue)
            want |= 1u << 26 | 1u << 25 | 1u << 24;
        assert_int_equal(rig_start(&m, 1, NULL), 0);
        assert_true(iommu_present());
        assert_false(iommu_enabled());
        assert_null(iommu_share_reason());
        assert_int_equal(rig_model[0].gsts, 0); /* nothing touched so far */
        assert_int_equal(iommu_enable(), 0);
        assert_true(iommu_enabled());
        assert_int_equal(rig_model[0].gsts, want);
        assert_int_equal(iommu_intremap(), m.queue);
        rig_refused(DEV_A, 5, false, 1);
        rig_check();
        iommu_shutdown();
        assert_false(iommu_enabled());
        /* the pointers stay set, all else is off */
        assert_int_equal(rig_model[0].gsts & ~(1u << 30 | 1u << 24), 0);
        assert_int_equal(rig_model[0].fectl & 1u << 31, 1u << 31);
        iommu_shutdown();
        rig_check();
    }
}

static void test_limits(void **state)
{
    struct vtd_model m[2] = { rig_qemu(48), rig_qemu(48) };
    struct iommu_unit_info info;
    paddr_t pa;
    size_t len;

    (void)state;
    rig_up(m, 2);
    assert_int_equal(iommu_address_bits(), 48);
    assert_int_equal(iommu_max_page_order(), 18);
    assert_true(iommu_needs_writeback());
    assert_false(iommu_needs_map_flush());
    m[1] = rig_qemu(39);
    m[1].no_1g = true;
    rig_up(m, 2);
    assert_int_equal(iommu_address_bits(), 39);
    assert_int_equal(iommu_max_page_order(), 9);
    m[0].no_2m = true;
    m[0].caching_mode = true;
    m[0].coherent = m[1].coherent = true;
    rig_up(m, 2);
    assert_int_equal(iommu_max_page_order(), 0);
    assert_false(iommu_needs_writeback());
    assert_true(iommu_needs_map_flush());
    assert_true(iommu_unit_info(0, &info));
    assert_int_equal(info.regs, RIG_BASE + 0x1000);
    assert_int_equal(info.levels, 3);
    assert_true(iommu_unit_info(1, &info));
    assert_true(info.include_all && info.caching_mode && info.intremap);
    assert_int_equal(info.levels, 4);
    assert_false(iommu_unit_info(2, &info));
    assert_true(iommu_unit_mmio(1, &pa, &len));
    assert_int_equal(pa, RIG_BASE);
    assert_int_equal(len, PAGE_SIZE);
    assert_false(iommu_unit_mmio(2, &pa, &len));
    /* one unit without remapping ends it for all */
    m[1].intremap = false;
    rig_up(m, 2);
    assert_false(iommu_intremap());
    assert_int_equal(rig_model[0].gsts >> 25 & 1, 0);
}

static void test_unusable(void **state)
{
    struct vtd_model m = rig_qemu(39);
    const struct iommu_options reg = { .no_queue = true };
    uint8_t junk[64] = "DMAR";

    (void)state;
    m.sagaw = 8; /* five levels only */
    assert_int_equal(rig_start(&m, 1, NULL), -EINVAL);
    assert_false(iommu_present());
    assert_non_null(strstr(iommu_share_reason(), "neither three nor four levels"));
    assert_int_equal(iommu_enable(), -ENODEV);
    assert_int_equal(iommu_init(NULL, 0, NULL, NULL), -ENODEV);
    assert_non_null(strstr(iommu_share_reason(), "no DMAR"));
    assert_int_equal(iommu_init(junk, sizeof(junk), NULL, NULL), -EINVAL);
    assert_non_null(strstr(iommu_share_reason(), "refused"));
    /* everything else stays harmless */
    memset(&dom0, 0, sizeof(dom0));
    assert_int_equal(iommu_domain_init(&dom0.io, 0, &dom0.p2m), 0);
    assert_int_equal(iommu_attach(&dom0.io, DEV_A), -EOPNOTSUPP);
    assert_int_equal(iommu_detach(DEV_A), -ENODEV);
    assert_int_equal(iommu_flush_range(&dom0.io, 0, 1, true), 0);
    assert_int_equal(iommu_address_bits(), 48);
    assert_int_equal(iommu_max_page_order(), 18);
    assert_null(iommu_owner(DEV_A));
    iommu_fault_irq();
    iommu_shutdown();
    iommu_domain_destroy(&dom0.io);

    /* asked to leave the queue alone */
    m = rig_qemu(39);
    assert_int_equal(rig_start(&m, 1, &reg), 0);
    assert_int_equal(iommu_enable(), 0);
    assert_int_equal(rig_model[0].gsts, 1u << 31 | 1u << 30);
    rig_check();
    /* no memory, at each allocation in turn */
    for (unsigned n = 1; n <= 4; n++) {
        rig_fail_frame = n;
        assert_int_equal(rig_start(&m, 1, NULL), -ENOMEM);
        assert_false(iommu_present());
        assert_non_null(strstr(iommu_share_reason(), "memory"));
    }
}

/* What firmware may have left on. */
static void test_take_over(void **state)
{
    (void)state;
    for (unsigned bits = 0; bits < 16; bits++) {
        struct vtd_model m = rig_qemu(39);

        m.plmr = true;
        m.pmen = 0x80000001;
        m.gsts = (bits & 1 ? 1u << 31 | 1u << 30 : 0) | (bits & 2 ? 1u << 26 : 0) |
                 (bits & 4 ? 1u << 25 | 1u << 24 : 0);
        m.root_mode = bits & 8 ? 0x400 : 0;
        m.rtaddr = bits & 8 ? 0x400 : 0x7000; /* scalable mode: cannot be switched while on */
        m.iqh = m.iqt = 17;
        m.iqa = 0x5000;
        m.fsts = 3;
        m.frcd[0][1] = 1ULL << 63;
        assert_int_equal(rig_start(&m, 1, NULL), 0);
        assert_int_equal(iommu_enable(), 0);
        rig_check();
        assert_int_equal(rig_model[0].gsts, 0xc7000000u & ~(1u << 23));
        assert_int_equal(rig_model[0].pmen, 0);
        assert_int_equal(rig_model[0].fsts & 3, 0);
        assert_int_not_equal(rig_model[0].root, 0x7000);
        rig_domain_init(&dom0, 0);
        rig_pte(&dom0, 5, 50, 0, 3);
        assert_int_equal(iommu_attach(&dom0.io, DEV_A), 0);
        rig_reaches(DEV_A, 5, true, 50);
        rig_check();
    }
}

/* ---- attach and detach ---- */

static void test_attach(void **state)
{
    (void)state;
    for (unsigned v = 0; v < RIG_VARIANTS; v++) {
        struct vtd_model m = rig_variant(v);
        paddr_t root;
        unsigned levels, flushes;
        uint16_t did;

        rig_up(&m, 1);
        rig_domain_init(&dom0, 0);
        rig_domain_init(&dom1, 1);
        assert_int_not_equal(dom0.io.did, 0);
        assert_int_not_equal(dom0.io.did, dom1.io.did);
        rig_pte(&dom0, 5, 50, 0, 3);
        rig_pte(&dom1, 5, 51, 0, 3);
        rig_refused(DEV_A, 5, false, 1); /* a unit in caching mode remembers this */
        assert_int_equal(iommu_context_of(DEV_A, &root, &levels, &did), 0);
        flushes = rig_model[0].count[MI_IOTLB_DOMAIN];
        assert_int_equal(iommu_attach(&dom0.io, DEV_A), 0);
        /* 6.1: so may it remember, under the domain's tag, that something is absent */
        assert_int_equal(rig_model[0].count[MI_IOTLB_DOMAIN] - flushes, m.caching_mode);
        assert_ptr_equal(iommu_owner(DEV_A), &dom0.io);
        assert_int_equal(iommu_context_of(DEV_A, &root, &levels, &did), 1);
        assert_int_equal(levels, m.sagaw == 2 ? 3 : 4);
        assert_int_equal(root >> PAGE_SHIFT, levels == 3 ? dom0.p2m.subroot : dom0.p2m.root);
        assert_int_equal(did, dom0.io.did);
        rig_reaches(DEV_A, 5, true, 50);
        rig_refused(DEV_B, 5, true, 1);
        rig_refused(DEV_A + 1, 5, true, 2);
        assert_int_equal(iommu_attach(&dom1.io, DEV_A), -EBUSY);
        assert_int_equal(iommu_attach(&dom0.io, DEV_A), -EBUSY);
        assert_int_equal(iommu_attach(&dom0.io, IOMMU_SBDF(1, DEV_A)), -ENODEV);
        /* hand over */
        assert_int_equal(iommu_detach(DEV_A), 0);
        rig_refused(DEV_A, 5, false, 2);
        assert_null(iommu_owner(DEV_A));
        assert_int_equal(iommu_detach(DEV_A), -ENODEV);
        assert_int_equal(iommu_attach(&dom1.io, DEV_A), 0);
        rig_reaches(DEV_A, 5, true, 51);
        assert_int_equal(iommu_attach(&dom0.io, DEV_B), 0);
        rig_reaches(DEV_B, 5, true, 50);
        assert_int_equal(dom0.io.nr_devices, 1);
        /* the end of a domain blocks its devices */
        iommu_domain_destroy(&dom1.io);
        rig_refused(DEV_A, 5, true, 2);
        rig_reaches(DEV_B, 5, true, 50);
        rig_check();
    }
}

static void test_tags(void **state)
{
    struct vtd_model m = rig_qemu(39);
    static struct iommu_domain many[20];

    (void)state;
    m.nd = 0; /* 16 tags */
    rig_up(&m, 1);
    for (unsigned i = 0; i < 15; i++)
        assert_int_equal(iommu_domain_init(&many[i], (uint16_t)i, &dom0.p2m), 0);
    assert_int_equal(iommu_domain_init(&many[15], 15, &dom0.p2m), -ENOSPC);
    iommu_domain_destroy(&many[7]);
    assert_int_equal(iommu_domain_init(&many[15], 15, &dom0.p2m), 0);
    for (unsigned i = 0; i < 16; i++)
        for (unsigned j = 0; j < i; j++)
            assert_true(i == 7 || j == 7 || many[i].did != many[j].did);
}

static void test_rmrr(void **state)
{
    struct vtd_model m = rig_qemu(39);
    uint64_t start, end;
    uint32_t sbdf[2];
    unsigned count;

    (void)state;
    rig_up(&m, 1);
    assert_true(iommu_rmrr_for(DEV_A, 0, &start, &end));
    assert_int_equal(start, 0x7b000000);
    assert_int_equal(end, 0x7b0fffff);
    assert_false(iommu_rmrr_for(DEV_A, 1, &start, &end));
    assert_false(iommu_rmrr_for(DEV_B, 0, &start, &end));
    assert_true(iommu_rmrr(0, &start, &end, sbdf, &count, 2));
    assert_int_equal(count, 1);
    assert_int_equal(sbdf[0], DEV_A);
    assert_false(iommu_rmrr(1, &start, &end, sbdf, &count, 2));
}

/* ---- flushes ---- */

static void one_page(const struct vtd_model *m)
{
    rig_up(m, 1);
    rig_domain_init(&dom0, 0);
    rig_pte(&dom0, 5, 50, 0, 3);
    assert_int_equal(iommu_attach(&dom0.io, DEV_A), 0);
    rig_reaches(DEV_A, 5, true, 50);
}

static void test_flush_page(void **state)
{
    (void)state;
    for (unsigned v = 0; v < RIG_VARIANTS; v++) {
        struct vtd_model m = rig_variant(v);

        one_page(&m);
        rig_pte(&dom0, 5, 0, 0, 0);
        rig_reaches(DEV_A, 5, true, 50); /* the model does cache */
        assert_int_equal(iommu_flush_range(&dom0.io, 5, 1, false), 0);
        rig_refused(DEV_A, 5, true, 5);
        /* from read only to writable needs a flush as well */
        rig_pte(&dom0, 6, 60, 0, 1);
        if (iommu_needs_map_flush())
            assert_int_equal(iommu_flush_range(&dom0.io, 6, 1, false), 0);
        rig_reaches(DEV_A, 6, false, 60);
        rig_pte(&dom0, 6, 60, 0, 3);
        rig_refused(DEV_A, 6, true, 5);
        assert_int_equal(iommu_flush_range(&dom0.io, 6, 1, false), 0);
        rig_reaches(DEV_A, 6, true, 60);
        rig_check();
    }
}

/*
 * A unit that ignores one kind of flush: what the tests above would look like with that flush
 * forgotten.
 */
static void test_forgotten(void **state)
{
    struct vtd_model m = rig_qemu(39);
    uint64_t *table;

    (void)state;
    m.deaf = 1u << MI_IOTLB_PAGE;
    one_page(&m);
    rig_pte(&dom0, 5, 0, 0, 0);
    assert_int_equal(iommu_flush_range(&dom0.io, 5, 1, false), 0);
    rig_reaches(DEV_A, 5, true, 50);

    m.deaf = 1u << MI_IOTLB_DOMAIN;
    one_page(&m);
    assert_int_equal(iommu_detach(DEV_A), 0);
    rig_reaches(DEV_A, 5, true, 50);

    m.deaf = 1u << MI_CONTEXT_DEVICE;
    one_page(&m);
    assert_int_equal(iommu_detach(DEV_A), 0);
    rig_reaches(DEV_A, 5, true, 50);

    m.deaf = 0;
    m.deaf_writeback = true;
    assert_int_equal(rig_start(&m, 1, NULL), 0);
    assert_int_equal(iommu_enable(), -EIO); /* it cannot even read its queue */

    m.deaf_writeback = false;
    one_page(&m);
    rig_model[0].deaf_writeback = true;
    rig_pte(&dom0, 5, 0, 0, 0);
    rig_model[0].deaf_writeback = false;
    assert_int_equal(iommu_flush_range(&dom0.io, 5, 1, false), 0);
    rig_reaches(DEV_A, 5, true, 50);

    /* the hint that no table went away, given wrongly: the unit walks on through the freed table */
    one_page(&m);
    table = rig_collapse(&dom0, 0, 512, 3);
    assert_int_equal(iommu_flush_range(&dom0.io, 0, 512, false), 0);
    table[7] = 0x66ULL << PAGE_SHIFT | 3;
    iommu_sync_entry(&table[7], 8);
    rig_reaches(DEV_A, 7, true, 0x66);
    assert_int_equal(iommu_flush_range(&dom0.io, 0, 512, true), 0);
    rig_reaches(DEV_A, 7, true, 512 + 7);
}

static void test_flush_width(void **state)
{
    static const struct {
        uint64_t gfn, nr;
        unsigned pages, domains;
    } cases[] = {
        { 5, 1, 1, 0 },
        { 0, 512, 1, 0 },
        { 512, 1024, 2, 0 },
        { 1, 2, 2, 0 },
        { 0, 1 << 18, 1, 0 },
        { 0, 1 << 19, 2, 0 },
        { 1, 512, 10, 0 },
        { 1, (1 << 18) - 2, 0, 1 },
        { 0, ~0ULL, 0, 1 },
        { 1ULL << 27, 1, 0, 0 },
        { (1ULL << 27) - 1, 9, 1, 0 },
        { 7, 0, 0, 0 },
    };
    struct vtd_model m = rig_qemu(39), blind = rig_qemu(39);

    (void)state;
    one_page(&m);
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        unsigned pages = rig_model[0].count[MI_IOTLB_PAGE];
        unsigned domains = rig_model[0].count[MI_IOTLB_DOMAIN], waits = rig_model[0].waits;

        assert_int_equal(iommu_flush_range(&dom0.io, cases[i].gfn, cases[i].nr, false), 0);
        assert_int_equal(rig_model[0].count[MI_IOTLB_PAGE] - pages, cases[i].pages);
        assert_int_equal(rig_model[0].count[MI_IOTLB_DOMAIN] - domains, cases[i].domains);
        /* however many, one wait */
        assert_int_equal(rig_model[0].waits - waits, !!(cases[i].pages + cases[i].domains));
    }
    assert_int_equal(rig_model[0].count[MI_IOTLB_GLOBAL], 1); /* the one at the start */
    rig_check();

    blind.psi = false;
    one_page(&blind);
    assert_int_equal(iommu_flush_range(&dom0.io, 5, 1, false), 0);
    assert_int_equal(rig_model[0].count[MI_IOTLB_PAGE], 0);
    assert_int_equal(dom0.io.flush_domains, 1);
}

static uint32_t scope_of(uint32_t sbdf)
{
    return sbdf == DEV_C_VF ? DEV_C : sbdf;
}

/* The tables name the physical function; its virtual ones are the same unit's. */
static void test_virtual_function(void **state)
{
    static const struct iommu_hooks hooks = { .scope_of = scope_of };
    struct vtd_model m[2] = { rig_qemu(48), rig_qemu(39) };

    (void)state;
    rig_up(m, 2);
    assert_int_equal(iommu_unit_for(DEV_C), 0);
    assert_int_equal(iommu_unit_for(DEV_C_VF), 1);
    iommu_set_hooks(&hooks);
    assert_int_equal(iommu_unit_for(DEV_C_VF), 0);
    assert_int_equal(iommu_unit_for(DEV_A), 1);
    rig_domain_init(&dom0, 0);
    rig_domain_init(&dom1, 1);
    rig_pte(&dom0, 5, 50, 0, 3);
    rig_pte(&dom1, 5, 51, 0, 3);
    assert_int_equal(iommu_attach(&dom0.io, DEV_C), 0);
    assert_int_equal(iommu_attach(&dom1.io, DEV_C_VF), 0);
    rig_reaches(DEV_C, 5, true, 50);
    rig_reaches(DEV_C_VF, 5, true, 51);
    assert_int_equal(iommu_detach(DEV_C_VF), 0);
    rig_refused(DEV_C_VF, 5, true, 2); /* no context entry */
    rig_reaches(DEV_C, 5, true, 50);
    rig_check();
}

static void test_flush_units(void **state)
{
    struct vtd_model m[2] = { rig_qemu(48), rig_qemu(39) };
    unsigned before[2];

    (void)state;
    rig_up(m, 2);
    rig_domain_init(&dom0, 0);
    rig_domain_init(&dom1, 1);
    rig_pte(&dom0, 5, 50, 0, 3);
    rig_pte(&dom1, 5, 51, 0, 3);
    before[0] = total(&rig_model[0]);
    before[1] = total(&rig_model[1]);
    assert_int_equal(iommu_flush_range(&dom0.io, 5, 1, true), 0);
    assert_int_equal(total(&rig_model[0]) + total(&rig_model[1]), before[0] + before[1]);
    assert_int_equal(iommu_attach(&dom0.io, DEV_A), 0);
    assert_int_equal(iommu_attach(&dom1.io, DEV_C), 0);
    rig_reaches(DEV_A, 5, true, 50);
    rig_reaches(DEV_C, 5, true, 51);
    before[0] = total(&rig_model[0]);
    before[1] = total(&rig_model[1]);
    assert_int_equal(iommu_flush_range(&dom0.io, 5, 1, true), 0);
    assert_int_equal(total(&rig_model[0]), before[0] + 1);
    assert_int_equal(total(&rig_model[1]), before[1]);
    assert_int_equal(iommu_flush_range(&dom1.io, 5, 1, true), 0);
    assert_int_equal(total(&rig_model[1]), before[1] + 1);
    /* both, one table at two depths */
    assert_int_equal(iommu_detach(DEV_C), 0);
    assert_int_equal(iommu_attach(&dom0.io, DEV_C), 0);
    rig_reaches(DEV_C, 5, true, 50);
    rig_pte(&dom0, 5, 0, 0, 0);
    assert_int_equal(iommu_flush_range(&dom0.io, 5, 1, false), 0);
    rig_refused(DEV_A, 5, true, 5);
    rig_refused(DEV_C, 5, true, 5);
    assert_int_equal(iommu_detach(DEV_C), 0);
    before[1] = total(&rig_model[1]);
    assert_int_equal(iommu_flush_range(&dom0.io, 5, 1, false), 0);
    assert_int_equal(total(&rig_model[1]), before[1]);
    rig_check();
}

/* A full batch is completed before the queue could overrun; the ring goes around. */
static void test_queue_wrap(void **state)
{
    struct vtd_model m = rig_qemu(39);

    (void)state;
    one_page(&m);
    for (unsigned i = 0; i < 2000; i++)
        assert_int_equal(iommu_flush_range(&dom0.io, 1, 1 + i % 600, i & 1), 0);
    assert_true(rig_model[0].count[MI_IOTLB_PAGE] > 2000);
    rig_check();
}

/* ---- timeouts ---- */

static void assert_dead(const char *why)
{
    struct iommu_unit_info info;
    struct iommu_dev_info dev;

    assert_true(iommu_unit_info(0, &info));
    assert_true(info.failed);
    assert_string_equal(info.failure, why);
    assert_int_equal(rig_hook_quarantines, 1);
    assert_int_equal(rig_quarantined, DEV_A);
    assert_non_null(strstr(rig_why, why));
    assert_true(iommu_device_info(0, &dev));
    assert_int_equal(dev.state, IOMMU_DEV_QUARANTINED);
    /* no second wait: everything fails at once */
    sim_now_step = 0;
    uint64_t before = sim_now_ns;

    assert_int_equal(iommu_flush_range(&dom0.io, 5, 1, true), -EIO);
    assert_int_equal(iommu_attach(&dom0.io, DEV_B), -EIO);
    assert_int_equal(iommu_detach(DEV_A), -EIO);
    assert_int_equal(iommu_attach(&dom0.io, DEV_A), -EPERM);
    assert_true(sim_now_ns - before < 1000000);
    iommu_domain_destroy(&dom0.io);
    iommu_shutdown();
}

static void test_timeouts(void **state)
{
    struct vtd_model m = rig_qemu(39), reg = rig_qemu(39);
    uint64_t before;

    (void)state;
    one_page(&m);
    rig_model[0].stuck_queue = true;
    before = sim_now_ns;
    assert_int_equal(iommu_flush_range(&dom0.io, 5, 1, true), -EIO);
    assert_in_range(sim_now_ns - before, 900000000, 1200000000);
    assert_dead("invalidation timed out");

    one_page(&m);
    rig_model[0].lose_wait = true;
    assert_int_equal(iommu_flush_range(&dom0.io, 5, 1, true), -EIO);
    assert_dead("invalidation timed out");

    one_page(&m);
    rig_model[0].psi = false; /* refuses the descriptor it promised to take */
    before = sim_now_ns;
    assert_int_equal(iommu_flush_range(&dom0.io, 5, 1, true), -EIO);
    assert_true(sim_now_ns - before < 1000000);
    assert_dead("invalidation queue: descriptor refused");

    one_page(&m);
    rig_model[0].stuck_queue = true;
    assert_int_equal(iommu_detach(DEV_A), -EIO);
    assert_null(iommu_owner(DEV_A));
    iommu_domain_destroy(&dom0.io);

    reg.queue = reg.intremap = false;
    one_page(&reg);
    rig_model[0].stuck_reg = true;
    assert_int_equal(iommu_flush_range(&dom0.io, 5, 1, true), -EIO);
    assert_dead("IOTLB invalidation timed out");
    one_page(&reg);
    rig_model[0].psi = false;
    assert_int_equal(iommu_flush_range(&dom0.io, 5, 1, true), -EIO);
    assert_dead("IOTLB invalidation refused");
}

static void test_stuck_start(void **state)
{
    static const struct {
        uint32_t bit, before;
        const char *why;
    } cases[] = {
        { 1u << 31, 0, "translation does not start" },
        { 1u << 30, 0, "root table pointer not taken" },
        { 1u << 27, 0, "write buffer flush timed out" },
        { 1u << 26, 0, "queue does not start" },
        { 1u << 25, 0, "interrupt remapping does not start" },
        { 1u << 24, 0, "interrupt table pointer not taken" },
        { 1u << 26, 1u << 26, "firmware's queue stays on" },
        { 1u << 25, 1u << 25, "firmware's remapping stays on" },
    };

    (void)state;
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct vtd_model m = rig_qemu(39);

        m.stuck_gcmd = cases[i].bit;
        m.gsts = cases[i].before;
        m.rwbf = cases[i].bit == 1u << 27;
        m.coherent = m.rwbf;
        assert_int_equal(rig_start(&m, 1, NULL), 0);
        assert_int_equal(iommu_enable(), -EIO);
        assert_false(iommu_enabled());
        assert_false(iommu_present());
        assert_non_null(strstr(iommu_share_reason(), cases[i].why));
        assert_int_equal(rig_model[0].gsts >> 31, 0);
    }
}

/* ---- requester ids of bridges ---- */

#define BEHIND_1 0x0508u /* 05:01.0 and 05:02.0 behind a bridge that uses 05:00.0 */
#define BEHIND_2 0x0510u
#define BRIDGE   0x0500u

static void test_aliases(void **state)
{
    static const uint16_t alias = BRIDGE;
    struct vtd_model m = rig_variant(0);
    struct iommu_dev_info info;
    struct ir_entry e;
    uint32_t user;

    (void)state;
    rig_up(&m, 1);
    rig_domain_init(&dom0, 0);
    rig_domain_init(&dom1, 1);
    rig_pte(&dom0, 5, 50, 0, 3);
    rig_pte(&dom1, 5, 51, 0, 3);
    assert_int_equal(iommu_set_aliases(BEHIND_1, &alias, 1), 0);
    assert_int_equal(iommu_set_aliases(BEHIND_2, &alias, 1), 0);
    rig_refused(BRIDGE, 5, true, 0);
    assert_int_equal(iommu_attach(&dom0.io, BEHIND_1), 0);
    rig_reaches(BEHIND_1, 5, true, 50);
    rig_reaches(BRIDGE, 5, true, 50);
    /* They cannot be told apart: one owner, until the last one has gone. */
    assert_int_equal(iommu_attach(&dom1.io, BEHIND_2), -EBUSY);
    rig_refused(BEHIND_2, 5, true, 0);
    assert_null(iommu_owner(BEHIND_2));
    assert_int_equal(iommu_attach(&dom0.io, BEHIND_2), 0);
    assert_int_equal(iommu_set_aliases(BEHIND_2, NULL, 0), -EBUSY);
    assert_int_equal(dom0.io.nr_devices, 3);
    assert_int_equal(iommu_detach(BEHIND_1), 0);
    rig_refused(BEHIND_1, 5, true, 0);
    rig_reaches(BRIDGE, 5, true, 50);
    assert_true(iommu_alias_user(BRIDGE, 0, &user));
    assert_int_equal(user, BEHIND_2);
    assert_false(iommu_alias_user(BRIDGE, 1, &user));
    /* Cut off under each id. */
    assert_int_equal(iommu_quarantine(BEHIND_2, "test"), 0);
    rig_refused(BRIDGE, 5, true, 0);
    assert_int_equal(iommu_release(BEHIND_2), 0);
    rig_reaches(BRIDGE, 5, true, 50);
    if (iommu_intremap()) {
        assert_int_equal(ir_alloc(BEHIND_2, &e), 0);
        assert_int_equal(e.sid, BRIDGE);
        ir_free(&e);
    }
    for (unsigned n = 0; iommu_device_info(n, &info); n++)
        assert_int_equal(info.alias, info.sbdf == BRIDGE);
    assert_int_equal(iommu_detach(BEHIND_2), 0);
    rig_refused(BRIDGE, 5, true, 0);
    assert_int_equal(dom0.io.nr_devices, 0);
    assert_int_equal(iommu_attach(&dom1.io, BEHIND_1), 0);
    rig_reaches(BRIDGE, 5, true, 51);
    iommu_domain_destroy(&dom1.io);
    rig_refused(BRIDGE, 5, true, 0);
    rig_check();
}

static int teardown(void **state)
{
    (void)state;
    model_reset_machine();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_on_off),      cmocka_unit_test(test_limits),
        cmocka_unit_test(test_unusable),    cmocka_unit_test(test_take_over),
        cmocka_unit_test(test_attach),      cmocka_unit_test(test_tags),
        cmocka_unit_test(test_rmrr),        cmocka_unit_test(test_flush_page),
        cmocka_unit_test(test_forgotten),   cmocka_unit_test(test_flush_width),
        cmocka_unit_test(test_flush_units), cmocka_unit_test(test_queue_wrap),
        cmocka_unit_test(test_timeouts),    cmocka_unit_test(test_stuck_start),
        cmocka_unit_test(test_aliases),     cmocka_unit_test(test_virtual_function),
    };

    return cmocka_run_group_tests(tests, NULL, teardown);
}
