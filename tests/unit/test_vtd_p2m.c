/* SPDX-License-Identifier: MIT */
/*
 * The p2m and the VT-d units on one table, as in the machine: random changes through the p2m's own
 * interface, devices that come, go and never stop their DMA. After each change no device reaches
 * anything but what the p2m says now, and a frame is released only when no device can reach it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/errno.h"
#include "mm/frame.h"
#include "mm/phys.h"
#include "sim.h"
#include "vtd_rig.h"

#define FRAMES    (RIG_MEM / PAGE_SIZE)
#define PAGES     4096u        /* of guest addresses in use: eight blocks of 2 MiB */
#define FAR_GFN   (1ULL << 26) /* and one far away: under another level-3 entry */
#define GUEST_MFN 0x100000ULL  /* guest frames: beyond the frame table, never touched */

static struct page table[FRAMES];
static struct rig_domain doms[2];
static const uint16_t devs[] = { DEV_A, DEV_B, DEV_C };
static int owner[3];
static unsigned released;
static bool forget_sync, forget_flush;

static struct iommu_domain *io_of(struct p2m *p2m)
{
    return &container_of(p2m, struct rig_domain, p2m)->io;
}

static void sync_entry(struct p2m *p2m, void *entry, size_t bytes)
{
    (void)p2m;
    if (!forget_sync)
        iommu_sync_entry(entry, bytes);
}

static void flush_iommu(struct p2m *p2m, uint64_t gfn, uint64_t nr, bool tables_freed)
{
    if (!forget_flush)
        assert_int_equal(iommu_flush_range(io_of(p2m), gfn, nr, tables_freed), 0);
}

static bool device_reaches(unsigned dev, uint64_t gfn, uint64_t mfn)
{
    uint64_t pa;
    unsigned reason;

    return model_dma(rig_unit_of(devs[dev]), devs[dev], gfn << PAGE_SHIFT, false, &pa, &reason) ==
               MODEL_OK &&
           pa >> PAGE_SHIFT == mfn;
}

/* A6: what is handed back here may belong to somebody else the next moment. */
static void release(struct p2m *p2m, uint64_t gfn, uint64_t mfn, unsigned order, enum p2m_type type)
{
    (void)type;
    released++;
    for (unsigned i = 0; i < 3; i++)
        if (owner[i] >= 0 && &doms[owner[i]].p2m == p2m)
            for (unsigned k = 0; k < 3; k++) {
                uint64_t at = (unsigned)rand() % (1u << order);

                /* the same frame may have been mapped again, as another type */
                if (p2m_lookup(p2m, gfn + at, NULL, NULL) != mfn + at)
                    assert_false(device_reaches(i, gfn + at, mfn + at));
            }
}

static const struct p2m_hooks hooks = { sync_entry, NULL, flush_iommu, release };

static void stray_dma(struct vtd_model *m)
{
    for (unsigned i = 0; i < 3; i++) {
        uint64_t pa, gfn = (unsigned)rand() % PAGES;
        unsigned reason;

        if (rig_unit_of(devs[i]) == m)
            model_dma(m, devs[i], (rand() & 7 ? gfn : FAR_GFN + gfn) << PAGE_SHIFT, rand() & 1, &pa,
                      &reason);
    }
}

static void expect(unsigned dev, uint64_t gfn, bool write)
{
    enum p2m_type type = P2M_NONE;
    uint64_t mfn = INVALID_MFN;

    if (owner[dev] >= 0)
        mfn = p2m_lookup(&doms[owner[dev]].p2m, gfn, &type, NULL);
    if (mfn != INVALID_MFN && (!write || p2m_type_writable(type)))
        rig_reaches(devs[dev], gfn, write, mfn);
    else
        rig_refused(devs[dev], gfn, write, 0);
}

static uint64_t random_gfn(void)
{
    uint64_t gfn = (unsigned)rand() % PAGES;

    return rand() % 8 ? gfn : FAR_GFN + gfn;
}

static void look(uint64_t gfn)
{
    for (unsigned i = 0; i < 3; i++)
        expect(i, gfn, rand() & 1);
}

static void check_map(int err)
{
    assert_true(err == 0 || err == -ENOMEM);
}

static void random_change(void)
{
    static const enum p2m_type types[] = { P2M_RAM_RW, P2M_RAM_RO, P2M_MMIO_DIRECT, P2M_FIRMWARE };
    struct p2m *p2m = &doms[rand() & 1].p2m;
    uint64_t gfn = random_gfn(), mfn = GUEST_MFN + (unsigned)rand() % 0x10000;
    enum p2m_type type = types[rand() % 4];
    unsigned order = 0;

    look(gfn);
    switch (rand() % 8) {
    case 0:
        order = 9;
        gfn &= ~511ULL;
        mfn &= ~511ULL;
        /* fall through */
    case 1:
    case 2:
    case 3:
        check_map(p2m_map(p2m, gfn, mfn, order, type));
        break;
    case 4:
        check_map(p2m_unmap(p2m, gfn, 1 + (unsigned)rand() % 600, NULL));
        break;
    case 5:
        check_map(
            p2m_change_type(p2m, gfn, 1 + (unsigned)rand() % 600, P2M_RAM_RW, P2M_RAM_RO, NULL));
        break;
    case 6:
        check_map(
            p2m_change_type(p2m, gfn, 1 + (unsigned)rand() % 600, P2M_RAM_RO, P2M_RAM_RW, NULL));
        break;
    default:
        p2m_begin(p2m);
        for (unsigned i = 0; i < 20; i++) {
            check_map(p2m_map_locked(p2m, gfn + i, mfn + i, 0, type));
            if (i % 3 == 0)
                p2m_unmap_locked(p2m, gfn + i);
        }
        p2m_end(p2m);
    }
    look(gfn);
    look(gfn + (unsigned)rand() % 64);
}

static void change_owner(unsigned dev)
{
    if (owner[dev] < 0) {
        owner[dev] = rand() & 1;
        assert_int_equal(iommu_attach(&doms[owner[dev]].io, devs[dev]), 0);
    } else {
        owner[dev] = -1;
        assert_int_equal(iommu_detach(devs[dev]), 0);
    }
}

static void memory_init(void)
{
    memset(table, 0, sizeof(table));
    frames_init(table, FRAMES);
    frames_add(1, FRAMES - 1);
}

static void up(const struct vtd_model *units)
{
    const struct iommu_options opt = { .fault_limit = 1u << 30 };

    rig_memory_init = memory_init;
    assert_int_equal(rig_start(units, 2, &opt), 0);
    assert_int_equal(iommu_enable(), 0);
    p2m_set_limits(iommu_address_bits(), iommu_max_page_order(), iommu_needs_map_flush());
    p2m_set_nested_paging(rand() & 1);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(p2m_init(&doms[i].p2m, (uint16_t)i, &hooks), 0);
        assert_int_equal(iommu_domain_init(&doms[i].io, (uint16_t)i, &doms[i].p2m), 0);
    }
    owner[0] = owner[1] = owner[2] = -1;
    forget_flush = forget_sync = false;
    released = 0;
}

static void down(void)
{
    for (unsigned i = 0; i < 2; i++) {
        while (p2m_teardown(&doms[i].p2m) == -ERESTART)
            ;
        for (unsigned gfn = 0; gfn < PAGES; gfn += 7)
            look(gfn);
        iommu_domain_destroy(&doms[i].io);
        p2m_destroy(&doms[i].p2m);
        for (unsigned k = 0; k < 3; k++)
            owner[k] = owner[k] == (int)i ? -1 : owner[k];
    }
    rig_check();
}

static struct vtd_model kind(unsigned n)
{
    struct vtd_model m = rig_qemu(n & 1 ? 48 : 39);

    m.caching_mode = n == 2;
    m.coherent = n == 3 || n == 4;
    m.rwbf = n == 4;
    m.no_1g = n == 5;
    m.no_2m = n == 6;
    if (n == 7)
        m.queue = m.intremap = m.psi = false;
    return m;
}

static void test_random(void **state)
{
    (void)state;
    srand(11);
    for (unsigned n = 0; n < 8; n++) {
        struct vtd_model units[2] = { kind(n), kind((n * 3 + 1) % 8) };

        up(units);
        rig_model[0].between = rig_model[1].between = stray_dma;
        for (unsigned step = 0; step < 700; step++) {
            if (rand() % 12)
                random_change();
            else
                change_owner((unsigned)rand() % 3);
            look(random_gfn());
            iommu_fault_irq();
        }
        assert_true(released > 100);
        rig_check();
        down();
    }
}

/* With the flush, or the write-back of entries, left out the device goes on where it must not. */
static void test_forgotten(void **state)
{
    const struct vtd_model units[2] = { rig_qemu(39), rig_qemu(39) };

    (void)state;
    for (unsigned what = 0; what < 3; what++) {
        up(units);
        assert_int_equal(iommu_attach(&doms[0].io, DEV_A), 0);
        /* so that no release looks at it */
        assert_int_equal(p2m_map(&doms[0].p2m, 5, GUEST_MFN, 0, P2M_MMIO_DIRECT), 0);
        rig_reaches(DEV_A, 5, true, GUEST_MFN);
        forget_flush = what == 1;
        forget_sync = what == 2;
        assert_int_equal(p2m_unmap(&doms[0].p2m, 5, 1, NULL), 0);
        if (what)
            rig_reaches(DEV_A, 5, true, GUEST_MFN);
        else
            rig_refused(DEV_A, 5, true, 0);
        rig_check();
    }
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
        cmocka_unit_test(test_random),
        cmocka_unit_test(test_forgotten),
    };

    return cmocka_run_group_tests(tests, NULL, teardown);
}
