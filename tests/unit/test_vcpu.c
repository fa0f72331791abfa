/* SPDX-License-Identifier: MIT */
/*
 * vCPU start states, exceptions that meet each other, and the end of emulated instructions.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "cpu/cpuid.h"
#include "cpu/exit.h"
#include "cpu/guest_mem.h"
#include "cpu/msr.h"
#include "cpu/state.h"
#include "cpu_fake.h"
#include "domain/domain.h"
#include "lib/errno.h"
#include "lib/string.h"

static struct vcpu *vcpu;
static struct cpu_vcpu *c;
static struct cpu_domain cd;
static struct cpuid_policy policy;
static unsigned triple_faults;

int cpu_state_init(struct cpu_vcpu *v)
{
    v->xcr0 = 1;
    return 0;
}

void cpu_state_destroy(struct cpu_vcpu *v)
{
    (void)v;
}

uint64_t cpu_get_xcr0(const struct cpu_vcpu *v)
{
    return v->xcr0;
}

void cpu_load_debug(struct cpu_vcpu *v)
{
    (void)v;
}

void msr_vcpu_init(struct cpu_vcpu *v)
{
    (void)v;
}

void vcpu_triple_fault(struct vcpu *v)
{
    assert_ptr_equal(v, vcpu);
    triple_faults++;
}

size_t guest_fetch(struct cpu_vcpu *v, uint8_t *bytes, size_t n)
{
    (void)v;
    (void)bytes;
    (void)n;
    return 0;
}

static int setup(void **state)
{
    (void)state;
    cpu_backend = &fake_backend;
    vcpu = calloc(1, sizeof(*vcpu));
    c = &vcpu->cpu;
    cd.cpuid = &policy;
    policy.basic[1].a = 0x60fb1;
    triple_faults = 0;
    assert_int_equal(cpu_vcpu_init(c, vcpu, &cd, NULL, 5), 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    cpu_vcpu_destroy(c);
    free(vcpu);
    return 0;
}

static void test_reset(void **state)
{
    (void)state;
    assert_int_equal(c->apic_id, 10);
    assert_int_equal(c->regs.rip, 0xfff0);
    assert_int_equal(c->regs.rflags, 2);
    assert_int_equal(c->regs.gpr[CPU_RDX], 0x60fb1);
    assert_int_equal(c->pending.type, CPU_EVENT_NONE);
}

static void test_sipi(void **state)
{
    (void)state;
    cpu_vcpu_start_sipi(c, 0x9a);
    assert_int_equal(fake.seg[CPU_SEG_CS].sel, 0x9a00);
    assert_int_equal(fake.seg[CPU_SEG_CS].base, 0x9a000);
    assert_int_equal(c->regs.rip, 0);
    assert_int_equal(cpu_mode_bytes(c), 2);
}

static void test_pvh(void **state)
{
    (void)state;
    c->regs.gpr[CPU_R15] = 77;
    cpu_vcpu_start_pvh(c, 0x1000370, 0x9000);
    assert_int_equal(c->regs.rip, 0x1000370);
    assert_int_equal(c->regs.gpr[CPU_RBX], 0x9000);
    assert_int_equal(c->regs.gpr[CPU_R15], 0);
    assert_int_equal(c->regs.rflags, 2);
    assert_int_equal(fake.cr[0], 0x11);
    assert_int_equal(fake.cr[4], 0);
    assert_int_equal(fake.efer, 0);
    assert_int_equal(fake.seg[CPU_SEG_CS].attr, 0xc9b);
    assert_int_equal(fake.seg[CPU_SEG_CS].limit, 0xffffffff);
    assert_int_equal(fake.seg[CPU_SEG_SS].attr, 0xc93);
    assert_int_equal(fake.seg[CPU_SEG_DS].attr, 0xc93);
    assert_int_equal(fake.seg[CPU_SEG_ES].attr, 0xc93);
    assert_int_equal(fake.seg[CPU_SEG_TR].attr, 0x8b);
    assert_int_equal(fake.seg[CPU_SEG_TR].limit, 0x67);
    assert_int_equal(cpu_mode_bytes(c), 4);
}

static void test_modes(void **state)
{
    (void)state;
    fake.cr[0] = 0x80000011;
    fake.efer = 0xd00;
    fake.seg[CPU_SEG_CS].attr = 0xa9b;
    assert_int_equal(cpu_mode_bytes(c), 8);
    fake.seg[CPU_SEG_CS].attr = 0xc9b;
    assert_int_equal(cpu_mode_bytes(c), 4);
    fake.seg[CPU_SEG_CS].attr = 0x29b; /* L without long mode means nothing */
    fake.efer = 0;
    assert_int_equal(cpu_mode_bytes(c), 2);
    fake.seg[CPU_SEG_CS].attr = 0xc9b;
    c->regs.rflags |= RFLAGS_VM;
    assert_int_equal(cpu_mode_bytes(c), 2);
}

/* SDM volume 3, table 6-5: first (row) and second (column) exception. 's': the second is handled; 'd': #DF. */
static void test_double_faults(void **state)
{
    static const uint8_t kind[3] = { X86_UD, X86_GP, X86_PF };
    static const char rule[3][3] = { { 's', 's', 's' }, { 's', 'd', 's' }, { 's', 'd', 'd' } };

    (void)state;
    for (unsigned a = 0; a < 3; a++) {
        for (unsigned b = 0; b < 3; b++) {
            c->pending.type = CPU_EVENT_NONE;
            cpu_inject_exception_error(c, kind[a], 1);
            cpu_inject_exception_error(c, kind[b], 2);
            assert_int_equal(c->pending.vector, rule[a][b] == 'd' ? X86_DF : kind[b]);
            if (rule[a][b] == 'd')
                assert_int_equal(c->pending.error, 0);
        }
    }
    c->pending.type = CPU_EVENT_NONE;
    cpu_inject_exception_error(c, X86_DF, 0);
    cpu_inject_exception(c, X86_UD);
    assert_int_equal(triple_faults, 0);
    c->pending.vector = X86_DF;
    cpu_inject_page_fault(c, 0x1234, 2);
    assert_int_equal(triple_faults, 1);
    assert_int_equal(fake.cr[2], 0x1234);
    /* An interrupt whose delivery was interrupted is never lost. */
    c->pending = (struct cpu_event){ .type = CPU_EVENT_INTR, .vector = 0xec };
    cpu_inject_exception(c, X86_DB);
    assert_int_equal(c->pending.type, CPU_EVENT_INTR);
    assert_int_equal(c->pending.vector, 0xec);
}

static void test_skip(void **state)
{
    (void)state;
    c->shadow = 1;
    c->regs.rip = 0x1000;
    c->regs.rflags |= RFLAGS_RF;
    cpu_skip(c, 3);
    assert_int_equal(c->regs.rip, 0x1003);
    assert_int_equal(c->shadow, 0);
    assert_int_equal(c->regs.rflags & RFLAGS_RF, 0);
    assert_int_equal(c->pending.type, CPU_EVENT_NONE);

    fake.cr[0] = 0x11;
    fake.seg[CPU_SEG_CS].attr = 0xc9b;
    c->regs.rip = 0xfffffffe;
    cpu_skip(c, 2);
    assert_int_equal(c->regs.rip, 0); /* 32-bit code wraps */
    fake.cr[0] = 0x80000011;
    fake.efer = 0xd00;
    fake.seg[CPU_SEG_CS].attr = 0xa9b;
    c->regs.rip = 0xfffffffe;
    cpu_skip(c, 2);
    assert_int_equal(c->regs.rip, 0x100000000);

    c->regs.rflags |= RFLAGS_TF;
    cpu_skip(c, 2);
    assert_int_equal(c->pending.vector, X86_DB);
    assert_int_equal(fake.dr[6] & 1u << 14, 1u << 14);
}

static void test_iobitmap(void **state)
{
    static uint8_t map[CPU_IO_BITMAP_SIZE];
    struct cpu_domain d = { .io_bitmap = map };

    (void)state;
    memset(map, 0xff, sizeof(map));
    cpu_iobitmap_allow(&d, 0, 0xffff);
    cpu_iobitmap_deny(&d, 0xcf8, 0xcff);
    assert_true(cpu_iobitmap_allowed(&d, 0xcf7, 1));
    assert_false(cpu_iobitmap_allowed(&d, 0xcf7, 2));
    assert_false(cpu_iobitmap_allowed(&d, 0xcff, 1));
    assert_true(cpu_iobitmap_allowed(&d, 0xd00, 4));
    assert_true(cpu_iobitmap_allowed(&d, 0xffff, 1));
    assert_false(cpu_iobitmap_allowed(&d, 0xffff, 2)); /* over the end */
    assert_int_equal(map[0xcf8 / 8], 0xff);
    assert_int_equal(map[0xcf8 / 8 - 1] | map[0xd00 / 8], 0);
    cpu_iobitmap_deny(&d, 0xffff, 0xffff);
    assert_int_equal(map[0xffff / 8], 0x80);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_reset, setup, teardown),
        cmocka_unit_test_setup_teardown(test_sipi, setup, teardown),
        cmocka_unit_test_setup_teardown(test_pvh, setup, teardown),
        cmocka_unit_test_setup_teardown(test_modes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_double_faults, setup, teardown),
        cmocka_unit_test_setup_teardown(test_skip, setup, teardown),
        cmocka_unit_test(test_iobitmap),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
