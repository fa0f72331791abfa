/* SPDX-License-Identifier: MIT */
/*
 * The VT-d code on QEMU's unit, which was written by other people: translation of a real (emulated)
 * device's DMA, stale entries before and after a flush, faults, interrupts through remapping
 * entries. Skipped where QEMU is not installed.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "iommu/iommu.h"
#include "lib/errno.h"
#include "mm/frame.h"
#include "mm/phys.h"
#include "p2m/p2m.h"
#include "qemu_dev.h"

#define EDU     0x0018u
#define EDU_BAR 0xfe000000ULL
#define IOAPIC  0xfec00000ULL

static uint64_t next_frame;
static struct p2m p2m;
static struct iommu_domain dom;

uint64_t frame_alloc(unsigned order, uint16_t owner, unsigned flags)
{
    uint64_t mfn = ALIGN_UP(next_frame, 1ULL << order);

    (void)owner;
    (void)flags;
    next_frame = mfn + (1ULL << order);
    memset(mfn_to_virt(mfn), 0, PAGE_SIZE << order);
    return mfn;
}

uint64_t p2m_root(const struct p2m *p, unsigned levels)
{
    return levels == 4 ? p->root : p->subroot;
}

uint64_t p2m_lookup(const struct p2m *p, uint64_t gfn, enum p2m_type *type, unsigned *order)
{
    (void)p;
    (void)gfn;
    (void)order;
    *type = P2M_NONE;
    return INVALID_MFN;
}

const char *p2m_type_name(enum p2m_type type)
{
    return type == P2M_NONE ? "none" : "other";
}

/* ---- tables by hand ---- */

static uint64_t new_frame(void)
{
    return frame_alloc(0, OWNER_XEN, FRAME_ZERO);
}

static void make_domain(void)
{
    p2m.root = new_frame();
    p2m.subroot = new_frame();
    *(uint64_t *)mfn_to_virt(p2m.root) = p2m.subroot << PAGE_SHIFT | 7;
    assert_int_equal(iommu_domain_init(&dom, 3, &p2m), 0);
}

static void map(uint64_t gfn, uint64_t mfn, unsigned order, unsigned perm)
{
    uint64_t table = p2m.subroot, *e;

    for (unsigned shift = 18;; shift -= 9) {
        e = (uint64_t *)mfn_to_virt(table) + ((gfn >> shift) & 511);
        if (shift == order)
            break;
        if (!*e)
            *e = new_frame() << PAGE_SHIFT | 7;
        table = *e >> PAGE_SHIFT & 0xffffffffffULL;
    }
    /* the bits beside read and write are those of an EPT leaf in use */
    *e = perm ? mfn << PAGE_SHIFT | perm | 4 | 6 << 3 | 3ULL << 52 | (order ? 0x80 : 0) : 0;
}

/* ---- the device ---- */

static void edu_dma(uint64_t iova, bool to_memory, unsigned bytes)
{
    qemu_write(EDU_BAR + 0x80, to_memory ? 0x40000 : iova, 8);
    qemu_write(EDU_BAR + 0x88, to_memory ? iova : 0x40000, 8);
    qemu_write(EDU_BAR + 0x90, bytes, 8);
    qemu_write(EDU_BAR + 0x98, 1 | (to_memory ? 2 : 0), 8);
    for (unsigned i = 0; qemu_read(EDU_BAR + 0x98, 8) & 1; i++) {
        assert_true(i < 1000);
        usleep(5000);
    }
}

static void edu_setup(void)
{
    assert_int_equal(qemu_config_read(EDU, 0, 4), 0x11e81234);
    qemu_config_write(EDU, 0x10, EDU_BAR, 4);
    qemu_config_write(EDU, 4, 6, 2);
}

/* ---- the machine ---- */

static size_t build_dmar(uint8_t *t)
{
    static const uint8_t drhd[24] = { 0, 0, 24, 0, 1, 0, 0, 0, 0, 0,    0xd9, 0xfe,
                                      0, 0, 0,  0, 3, 8, 0, 0, 0, 0xff, 0,    0 };
    uint8_t sum = 0;

    memset(t, 0, 72);
    memcpy(t, "DMAR", 4);
    t[4] = 72;
    t[36] = 47;
    t[37] = 1;
    memcpy(t + 48, drhd, sizeof(drhd));
    for (unsigned i = 0; i < 72; i++)
        sum = (uint8_t)(sum + t[i]);
    t[9] = (uint8_t)-sum;
    return 72;
}

static uint32_t config_read(uint16_t segment, uint16_t bdf, uint16_t reg, unsigned width)
{
    assert_int_equal(segment, 0);
    return qemu_config_read(bdf, reg, width);
}

static void machine(const char *iommu_options, const struct iommu_options *opt)
{
    uint8_t table[72];

    assert_true(qemu_start(iommu_options));
    next_frame = 0x1000; /* 16 MiB */
    edu_setup();
    assert_int_equal(iommu_init(table, build_dmar(table), config_read, opt), 0);
    assert_int_equal(iommu_enable(), 0);
    make_domain();
}

static void assert_fault(uint64_t addr, bool write, unsigned reason)
{
    struct iommu_unit_info before, after;
    struct iommu_fault f;

    assert_true(iommu_unit_info(0, &before));
    iommu_fault_irq();
    assert_true(iommu_unit_info(0, &after));
    assert_int_equal(after.faults, before.faults + 1);
    assert_true(iommu_fault_history(0, &f));
    assert_int_equal(f.sbdf, EDU);
    assert_int_equal(f.addr, addr);
    assert_int_equal(f.write, write);
    assert_int_equal(f.reason, reason);
}

/* ---- tests ---- */

static uint64_t a, b, c; /* frames that the device is given */

/* As the p2m does after entries became present. */
static void mapped(uint64_t gfn, uint64_t nr)
{
    if (iommu_needs_map_flush())
        assert_int_equal(iommu_flush_range(&dom, gfn, nr, false), 0);
}

static void check_small_pages(void)
{

    /* nobody's device is blocked */
    edu_dma(0x100000, false, 16);
    assert_fault(0x100000, false, 1);

    assert_int_equal(iommu_attach(&dom, EDU), 0);
    map(0x100, a, 0, 1);
    map(0x101, b, 0, 3);
    map(0x102, a, 0, 1);
    mapped(0x100, 3);
    memcpy((char *)mfn_to_virt(a) + 0x10, "the quick fox", 14);
    edu_dma(0x100010, false, 16);
    edu_dma(0x101020, true, 16);
    assert_string_equal((char *)mfn_to_virt(b) + 0x20, "the quick fox");
    /* read only is read only */
    edu_dma(0x102000, true, 16);
    assert_fault(0x102000, true, 5);
    /* QEMU refuses this one without a record, as the page is in its cache */
    edu_dma(0x100000, true, 16);
    assert_int_equal(*(uint64_t *)mfn_to_virt(a), 0);

    /* a changed entry: the old one until the flush, never after it */
    map(0x101, c, 0, 3);
    edu_dma(0x101100, true, 16);
    assert_string_equal((char *)mfn_to_virt(b) + 0x100, "the quick fox");
    assert_int_equal(iommu_flush_range(&dom, 0x101, 1, false), 0);
    edu_dma(0x101200, true, 16);
    assert_string_equal((char *)mfn_to_virt(c) + 0x200, "the quick fox");
    assert_int_equal(((char *)mfn_to_virt(b))[0x200], 0);
    map(0x101, 0, 0, 0);
    assert_int_equal(iommu_flush_range(&dom, 0x80, 0x100, false), 0);
    edu_dma(0x101300, true, 16);
    assert_fault(0x101000, true, 5);
    assert_int_equal(((char *)mfn_to_virt(c))[0x300], 0);
}

static void check_large_pages(void)
{
    uint64_t large = ALIGN_UP(next_frame, 512);

    /* high up: the last of the 39 bits */
    next_frame = large + 512;
    map(0x7fffe00, large, 9, 3);
    mapped(0x7fffe00, 512);
    edu_dma(0x7fffe03000, true, 16);
    assert_string_equal(mfn_to_virt(large + 3), "the quick fox");
    map(0x4000000, 0, 18, 3);
    mapped(0x4000000, 1 << 18);
    edu_dma((0x4000000 + c) << PAGE_SHIFT, true, 16);
    assert_string_equal(mfn_to_virt(c), "the quick fox");
    map(0x4000000, 0, 18, 0);
    assert_int_equal(iommu_flush_range(&dom, 0x4000000, 1 << 18, false), 0);
    memset(mfn_to_virt(c), 0, PAGE_SIZE);
    edu_dma((0x4000000 + c) << PAGE_SHIFT, true, 16);
    assert_int_equal(*(char *)mfn_to_virt(c), 0);
    assert_fault((0x4000000 + c) << PAGE_SHIFT, true, 5);
    /* beyond the width */
    edu_dma(1ULL << 47 | 1ULL << 39, true, 16);
    iommu_fault_irq();
}

static void check_owner(void)
{
    /* taken away, with its translations */
    map(0x101, b, 0, 3);
    iommu_flush_range(&dom, 0x101, 1, false);
    edu_dma(0x101400, true, 16);
    assert_string_equal((char *)mfn_to_virt(b) + 0x400, "the quick fox");
    assert_int_equal(iommu_detach(EDU), 0);
    edu_dma(0x101500, true, 16);
    assert_fault(0x101000, true, 2);
    assert_int_equal(((char *)mfn_to_virt(b))[0x500], 0);
    assert_int_equal(iommu_quarantine(EDU, "test"), 0);
    edu_dma(0x101500, true, 16);
    iommu_fault_irq();
    assert_int_equal(iommu_release(EDU), 0);
    edu_dma(0x101500, true, 16);
    assert_fault(0x101000, true, 2);
    assert_int_equal(((char *)mfn_to_virt(b))[0x500], 0);
    assert_int_equal(iommu_attach(&dom, EDU), 0);
    edu_dma(0x101600, true, 16);
    assert_string_equal((char *)mfn_to_virt(b) + 0x600, "the quick fox");
    iommu_domain_destroy(&dom);
}

static uint16_t find_msi(void)
{
    uint16_t at = (uint16_t)qemu_config_read(EDU, 0x34, 1);

    while (at && qemu_config_read(EDU, at, 1) != 5)
        at = (uint16_t)qemu_config_read(EDU, at + 1, 1);
    assert_int_not_equal(at, 0);
    return at;
}

static void edu_interrupt(void)
{
    qemu_write(EDU_BAR + 0x60, 1, 4);
    qemu_write(EDU_BAR + 0x64, 1, 4);
}

static void check_msi(void)
{
    uint16_t cap = find_msi();
    struct ir_entry e, foreign;
    uint64_t addr;
    uint32_t data;

    assert_int_equal(ir_alloc(EDU, &e), 0);
    assert_int_equal(ir_set(&e, 0x41, 0, false, IR_FIXED), 0);
    ir_msi_message(&e, &addr, &data);
    qemu_config_write(EDU, cap + 4, (uint32_t)addr, 4);
    qemu_config_write(EDU, cap + 8, 0, 4);
    qemu_config_write(EDU, cap + 12, data, 2);
    qemu_config_write(EDU, cap + 2, 0x81, 2);
    assert_false(qemu_irr(0x41));
    edu_interrupt();
    assert_true(qemu_irr(0x41));
    assert_int_equal(ir_set(&e, 0x52, 0, false, IR_FIXED), 0);
    edu_interrupt();
    assert_true(qemu_irr(0x52));
    assert_int_equal(ir_mask(&e), 0);
    e.vector = 0;
    /* another source's entry */
    assert_int_equal(ir_alloc(0x20, &foreign), 0);
    assert_int_equal(ir_set(&foreign, 0x63, 0, false, IR_FIXED), 0);
    ir_msi_message(&foreign, &addr, &data);
    qemu_config_write(EDU, cap + 4, (uint32_t)addr, 4);
    edu_interrupt();
    assert_false(qemu_irr(0x63));
    assert_int_equal(ir_alloc_ioapic(0, &foreign), 0);
    qemu_config_write(EDU, cap + 2, 0x80, 2);
}

static void ioapic_write(unsigned pin, uint64_t rte)
{
    qemu_write(IOAPIC, 0x11 + 2 * pin, 4);
    qemu_write(IOAPIC + 0x10, (uint32_t)(rte >> 32), 4);
    qemu_write(IOAPIC, 0x10 + 2 * pin, 4);
    qemu_write(IOAPIC + 0x10, (uint32_t)rte, 4);
}

/* Pins 16 to 23 take the PCI interrupts; the chipset decides which of them is the device's. */
static void check_ioapic(void)
{
    struct ir_entry e[8];
    bool any = false;

    for (unsigned i = 0; i < 8; i++) {
        assert_int_equal(ir_alloc_ioapic(0, &e[i]), 0);
        assert_int_equal(ir_set(&e[i], (uint8_t)(0x70 + i), 0, true, IR_FIXED), 0);
        ioapic_write(16 + i, ir_ioapic_rte(&e[i], false, false));
    }
    qemu_write(EDU_BAR + 0x60, 1, 4);
    for (unsigned i = 0; i < 8; i++)
        any |= qemu_irr(0x70 + i);
    qemu_write(EDU_BAR + 0x64, 1, 4);
    assert_true(any);
}

static void run(const char *iommu_options, const struct iommu_options *opt, unsigned bits)
{
    uint64_t frame;

    machine(iommu_options, opt);
    assert_int_equal(iommu_address_bits(), bits);
    a = new_frame();
    b = new_frame();
    c = new_frame();
    check_small_pages();
    check_large_pages();
    check_owner();
    if (iommu_intremap()) {
        check_msi();
        check_ioapic();
        assert_int_equal(iommu_enable_fault_irq(0x91, 0), 0);
        edu_dma(0x100000, true, 16);
        assert_true(qemu_irr(0x91));
    }
    /* handed back: addresses are machine addresses again */
    iommu_shutdown();
    assert_int_equal(qemu_read(0xfed9001c, 4) & 0x86800000, 0);
    frame = new_frame();
    edu_dma(frame << PAGE_SHIFT, true, 16);
    assert_string_equal(mfn_to_virt(frame), "the quick fox");
}

static void test_39(void **state)
{
    (void)state;
    run("", NULL, 39);
}

static void test_48(void **state)
{
    (void)state;
    run(",aw-bits=48", NULL, 48);
}

static void test_caching_mode(void **state)
{
    (void)state;
    run(",caching-mode=on", NULL, 39);
}

static void test_registers(void **state)
{
    const struct iommu_options opt = { .no_queue = true };

    (void)state;
    run(",aw-bits=48", &opt, 48);
}

static int teardown(void **state)
{
    (void)state;
    qemu_stop();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_39, teardown),
        cmocka_unit_test_teardown(test_48, teardown),
        cmocka_unit_test_teardown(test_caching_mode, teardown),
        cmocka_unit_test_teardown(test_registers, teardown),
    };

    signal(SIGPIPE, SIG_IGN);
    alarm(120);
    if (!qemu_start("")) {
        puts("no QEMU here: skipped");
        return 77; /* Automake: skipped */
    }
    qemu_stop();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
