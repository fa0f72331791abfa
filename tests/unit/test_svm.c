/* SPDX-License-Identifier: MIT */
/*
 * SVM control blocks: what a fresh one holds (offsets and bits as numbers from the APM's appendix B, so that a slip in
 * the header shows), state accessors, MSR permissions, events and windows.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "cpu/svm/svm.h"
#include "lib/string.h"

static struct vmcb vm;
static struct svm_vcpu sv;
static struct cpu_vcpu c;

static uint64_t at(unsigned offset, unsigned bytes)
{
    uint64_t v = 0;

    memcpy(&v, (uint8_t *)&vm + offset, bytes);
    return v;
}

static void put(unsigned offset, uint64_t v)
{
    memcpy((uint8_t *)&vm + offset, &v, 8);
}

static int setup(void **state)
{
    (void)state;
    memset(&sv, 0, sizeof(sv));
    memset(&c, 0, sizeof(c));
    sv.vmcb = &vm;
    c.backend = &sv;
    memset(&vm, 0xaa, sizeof(vm));
    svm_vmcb_init(&vm, 0x11000, 0x22000, 0x33000);
    return 0;
}

static void test_fresh(void **state)
{
    (void)state;
    assert_int_equal(at(0x008, 4), 1u << 1 | 1u << 17 | 1u << 18);
    /* INTR NMI SMI INIT RDPMC CPUID RSM INVD HLT INVLPGA IOIO MSR TASK FERR SHUTDOWN; never IRET or VINTR at first. */
    assert_int_equal(at(0x00c, 4), 0xf | 1u << 15 | 1u << 18 | 1u << 19 | 1u << 22 | 1u << 24 |
                                       1u << 26 | 1u << 27 | 1u << 28 | 1u << 29 | 1u << 30 |
                                       1u << 31);
    assert_true(at(0x010, 4) & 1); /* VMRUN, without which VMRUN fails */
    assert_int_equal(at(0x010, 4) & 0x7f, 0x7f);
    assert_int_equal(at(0x040, 8), 0x11000);
    assert_int_equal(at(0x048, 8), 0x22000);
    assert_int_equal(at(0x060, 8), 1u << 24); /* V_INTR_MASKING alone */
    assert_int_equal(at(0x090, 8), 1);
    assert_int_equal(at(0x0b0, 8), 0x33000);
    assert_int_equal(at(0x0c0, 4), 0);
    assert_int_equal(at(0x4d0, 8), 1u << 12);
    assert_int_equal(at(0x558, 8), 0x10);
    assert_int_equal(at(0x548, 8), 0);
    assert_int_equal(at(0x560, 8), 0x400);
    assert_int_equal(at(0x568, 8), 0xffff0ff0);
    assert_int_equal(at(0x668, 8), 0x0007040600070406ull);
    assert_int_equal(at(0x410, 2), 0xf000);
    assert_int_equal(at(0x418, 8), 0xffff0000);
    assert_int_equal(at(0x412, 2), 0x9b);
    assert_int_equal(at(0x0a8, 8), 0);
    assert_int_equal(at(0x058, 4), 0);
}

static void test_segments(void **state)
{
    static const uint16_t offset[CPU_NR_SEGS] = { 0x400, 0x410, 0x420, 0x430, 0x440,
                                                  0x450, 0x470, 0x490, 0x460, 0x480 };

    (void)state;
    for (unsigned i = 0; i < CPU_NR_SEGS; i++) {
        struct cpu_segment in = { (uint16_t)(8 * i + 8), (uint16_t)(0x490 + i), 0x1000 + i,
                                  0x12345678000 + i },
                           out;

        vm.clean = 0x3ff;
        svm_set_segment(&c, (enum cpu_seg_id)i, &in);
        assert_int_equal(at(offset[i], 2), in.sel);
        assert_int_equal(at(offset[i] + 2u, 2), in.attr);
        assert_int_equal(at(offset[i] + 4u, 4), in.limit);
        assert_int_equal(at(offset[i] + 8u, 8), in.base);
        svm_get_segment(&c, (enum cpu_seg_id)i, &out);
        assert_memory_equal(&in, &out, sizeof(in));
        assert_int_equal(vm.clean & (1u << 7 | 1u << 8), 0);
    }
    svm_set_segment(&c, CPU_SEG_SS, &(struct cpu_segment){ .attr = 0xcf3 });
    assert_int_equal(svm_get_cpl(&c), 3);
}

static void test_registers(void **state)
{
    uint64_t val;

    (void)state;
    svm_set_cr(&c, 0, 0x80000011);
    svm_set_cr(&c, 2, 0x2222);
    svm_set_cr(&c, 3, 0x3000);
    svm_set_cr(&c, 4, 0x40);
    assert_int_equal(at(0x558, 8), 0x80000011);
    assert_int_equal(at(0x640, 8), 0x2222);
    assert_int_equal(at(0x550, 8), 0x3000);
    assert_int_equal(at(0x548, 8), 0x40);
    assert_int_equal(svm_get_cr(&c, 0), 0x80000011);
    assert_int_equal(svm_get_cr(&c, 2), 0x2222);
    assert_int_equal(svm_get_cr(&c, 3), 0x3000);
    assert_int_equal(svm_get_cr(&c, 4), 0x40);
    svm_set_efer(&c, 0xd01);
    assert_int_equal(at(0x4d0, 8), 0x1d01);
    assert_int_equal(svm_get_efer(&c), 0xd01);
    assert_int_equal(svm_set_msr(&c, 0xc0000082, 0x1234), 0);
    assert_int_equal(at(0x608, 8), 0x1234);
    assert_int_equal(svm_set_msr(&c, 0xc0000101, 0x5678), 0);
    assert_int_equal(at(0x458, 8), 0x5678);
    assert_int_equal(svm_set_msr(&c, 0xc0000102, 0x9abc), 0);
    assert_int_equal(at(0x620, 8), 0x9abc);
    assert_int_equal(svm_set_msr(&c, 0x176, 0x777), 0);
    assert_int_equal(at(0x638, 8), 0x777);
    assert_int_equal(svm_get_msr(&c, 0x176, &val), 0);
    assert_int_equal(val, 0x777);
    assert_int_not_equal(svm_get_msr(&c, 0x1234, &val), 0);
    assert_int_not_equal(svm_set_msr(&c, 0x1234, 0), 0);
}

static void test_msrpm(void **state)
{
    static uint8_t map[SVM_MSRPM_SIZE];
    unsigned changed = 0;

    (void)state;
    memset(map, 0xff, sizeof(map));
    assert_int_equal(svm_msrpm_allow(map, 0x174, true, true), 0);
    assert_int_equal(map[0x174 / 4], 0xfc);
    assert_int_equal(svm_msrpm_allow(map, 0xc0000081, true, false), 0);
    assert_int_equal(map[0x800 + 0x81 / 4], 0xff & ~4);
    assert_int_equal(svm_msrpm_allow(map, 0xc0010015, false, true), 0);
    assert_int_equal(map[0x1000 + 0x15 / 4], 0xff & ~8);
    assert_int_equal(svm_msrpm_allow(map, 0x1fff, true, true), 0);
    assert_int_equal(map[0x7ff], 0x3f);
    assert_int_not_equal(svm_msrpm_allow(map, 0x2000, true, true), 0);
    assert_int_not_equal(svm_msrpm_allow(map, 0x40000000, true, true), 0);
    assert_int_not_equal(svm_msrpm_allow(map, 0xc0002000, true, true), 0);
    for (unsigned i = 0; i < sizeof(map); i++)
        changed += map[i] != 0xff;
    assert_int_equal(changed, 4);
}

static void test_inject(void **state)
{
    struct cpu_event irq = { .type = CPU_EVENT_INTR, .vector = 0xf3 };
    struct cpu_event pf = {
        .type = CPU_EVENT_EXCEPTION, .vector = 14, .has_error = true, .error = 6
    };

    (void)state;
    c.regs.rflags = 2;
    assert_false(svm_can_inject_irq(&c));
    c.regs.rflags = 0x202;
    assert_true(svm_can_inject_irq(&c));
    c.shadow = 1;
    assert_false(svm_can_inject_irq(&c));
    c.shadow = 0;
    assert_true(svm_can_inject_irq(&c));
    svm_inject(&c, &irq);
    assert_int_equal(at(0xa8, 8), 0x800000f3);
    assert_false(svm_can_inject_irq(&c)); /* one event an entry */
    svm_inject(&c, &pf);
    assert_int_equal(at(0xa8, 8), 0x680000b0eull | 0x80000000);
}

static void test_windows(void **state)
{
    struct cpu_event nmi = { .type = CPU_EVENT_NMI, .vector = 2 };

    (void)state;
    svm_request_irq_window(&c);
    assert_int_equal(at(0x60, 8), 1u << 24 | 1u << 8 | 0xfu << 16 | 1u << 20);
    assert_true(at(0xc, 4) & 1u << 4);
    svm_exit_vintr(&c);
    assert_int_equal(at(0x60, 8) & 1u << 8, 0);
    assert_int_equal(at(0xc, 4) & 1u << 4, 0);

    assert_true(svm_can_inject_nmi(&c));
    svm_inject(&c, &nmi);
    assert_int_equal(at(0xa8, 8), 0x80000202);
    assert_true(at(0xc, 4) & 1u << 20); /* IRET */
    vm.event_inj = 0;                   /* delivered */
    assert_false(svm_can_inject_nmi(&c));
    c.regs.rip = 0x5000;
    svm_exit_iret(&c);
    assert_int_equal(at(0xc, 4) & 1u << 20, 0);
    assert_false(svm_can_inject_nmi(&c)); /* IRET has yet to be executed */
    c.regs.rip = 0x6000;
    assert_true(svm_can_inject_nmi(&c));
}

static void test_interrupted_delivery(void **state)
{
    (void)state;
    put(0x88, 0x800000ec); /* external interrupt */
    svm_take_interrupted_event(&c);
    assert_int_equal(c.pending.type, CPU_EVENT_INTR);
    assert_int_equal(c.pending.vector, 0xec);
    put(0x88, 0x400000b0eull | 0x80000000); /* page fault with error code 4 */
    svm_take_interrupted_event(&c);
    assert_int_equal(c.pending.type, CPU_EVENT_EXCEPTION);
    assert_int_equal(c.pending.vector, 14);
    assert_true(c.pending.has_error);
    assert_int_equal(c.pending.error, 4);
    put(0x88, 0x80000202);
    svm_take_interrupted_event(&c);
    assert_int_equal(c.pending.type, CPU_EVENT_NMI);
    /* INT n and INT3 run again by themselves. */
    c.pending.type = CPU_EVENT_NONE;
    put(0x88, 0x80000480);
    svm_take_interrupted_event(&c);
    assert_int_equal(c.pending.type, CPU_EVENT_NONE);
    put(0x88, 0x800003f3); /* QEMU 7.2's way to say 0x800000f3 */
    svm_take_interrupted_event(&c);
    assert_int_equal(c.pending.type, CPU_EVENT_INTR);
    assert_int_equal(c.pending.vector, 0xf3);
    c.pending.type = CPU_EVENT_NONE;
    put(0x88, 0x80000303);
    svm_take_interrupted_event(&c);
    assert_int_equal(c.pending.type, CPU_EVENT_NONE);
}

/* An interrupt goes in as a virtual one, also where a window for it was asked for before. */
static void test_virq(void **state)
{
    struct cpu_event irq = { .type = CPU_EVENT_INTR, .vector = 0xf3 };

    (void)state;
    c.regs.rflags = 0x202;
    assert_false(svm_inject_as_virq(&c)); /* nothing to inject */
    svm_request_irq_window(&c);
    svm_inject(&c, &irq);
    assert_true(svm_inject_as_virq(&c));
    assert_int_equal(at(0xa8, 8), 0);
    assert_int_equal(at(0x60, 8), 0xf3ull << 32 | 1u << 24 | 1u << 8 | 0xfu << 16 | 1u << 20);
    assert_int_equal(at(0xc, 4) & 1u << 4, 0); /* VINTR: it is to be delivered, not to exit */
    vm.int_ctl &= ~(1ull << 8);                /* taken */
    svm_after_virq(&c);
    assert_int_equal(c.pending.type, CPU_EVENT_NONE);
    assert_int_equal(at(0x64, 4), 0);

    svm_inject(&c, &irq);
    assert_true(svm_inject_as_virq(&c));
    svm_after_virq(&c); /* not taken: a physical interrupt came first */
    assert_int_equal(c.pending.type, CPU_EVENT_INTR);
    assert_int_equal(c.pending.vector, 0xf3);
    assert_int_equal(at(0x60, 8) & 1u << 8, 0);

    c.shadow = 1; /* cannot be taken at once: stays an event */
    svm_inject(&c, &irq);
    assert_false(svm_inject_as_virq(&c));
    assert_int_equal(at(0xa8, 8), 0x800000f3);
}

/* A second interrupt is due: the exit comes with the first one's IRET, and asks for the window then. */
static void test_window_behind_virq(void **state)
{
    struct cpu_event irq = { .type = CPU_EVENT_INTR, .vector = 0xf3 };

    (void)state;
    c.regs.rflags = 0x202;
    svm_inject(&c, &irq);
    svm_request_irq_window(&c);
    assert_int_equal(at(0xc, 4) & 1u << 4, 0);
    assert_true(at(0xc, 4) & 1u << 20); /* IRET */
    assert_true(svm_inject_as_virq(&c));
    vm.int_ctl &= ~(1ull << 8);
    svm_after_virq(&c);
    c.regs.rip = 0x5000;
    svm_exit_iret(&c);
    assert_int_equal(at(0xc, 4) & 1u << 20, 0);
    assert_true(svm_can_inject_nmi(&c)); /* it was no NMI's */
    svm_request_irq_window(&c);
    assert_true(at(0xc, 4) & 1u << 4);
}

static void test_reset_keeps_wiring(void **state)
{
    (void)state;
    svm_request_irq_window(&c);
    svm_set_cr(&c, 0, 0x80000011);
    vm.event_inj = 0x800000f3;
    svm_vmcb_reset(&vm);
    assert_int_equal(at(0x40, 8), 0x11000);
    assert_int_equal(at(0xb0, 8), 0x33000);
    assert_int_equal(at(0x60, 8) & (1u << 24 | 1u << 8), 1u << 24);
    assert_int_equal(at(0xc, 4) & (1u << 4 | 1u << 20), 0);
    assert_int_equal(at(0xa8, 8), 0);
    assert_int_equal(at(0x558, 8), 0x10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_fresh, setup),
        cmocka_unit_test_setup(test_segments, setup),
        cmocka_unit_test_setup(test_registers, setup),
        cmocka_unit_test_setup(test_msrpm, setup),
        cmocka_unit_test_setup(test_inject, setup),
        cmocka_unit_test_setup(test_windows, setup),
        cmocka_unit_test_setup(test_interrupted_delivery, setup),
        cmocka_unit_test_setup(test_virq, setup),
        cmocka_unit_test_setup(test_window_behind_virq, setup),
        cmocka_unit_test_setup(test_reset_keeps_wiring, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
