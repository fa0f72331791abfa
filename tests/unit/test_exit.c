/* SPDX-License-Identifier: MIT */
/*
 * What instructions do that exit, whichever backend they come from (cpu/exit.c): results, faults, and where the guest goes on.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "cpu/cpuid.h"
#include "cpu/exit.h"
#include "cpu/guest_mem.h"
#include "cpu/msr.h"
#include "cpu/state.h"
#include "cpu/x86.h"
#include "cpu_fake.h"
#include "domain/domain.h"
#include "lib/errno.h"
#include "lib/string.h"
#include "trap/trap.h"

#define RIP 0x1000u
#define LEN 3u

static struct vcpu *vcpu;
static struct cpu_vcpu *c;
static struct cpu_domain cd;
static struct cpuid_policy policy;
static struct domain domain;

/* What the layers around were asked, and what they answer. */
static struct {
    unsigned halts, spins, triple_faults, emulated, hypercalls;
    bool halt_interrupts, hypercall_done, has_region;
    char crash[80];
    uint8_t tpr;
    int msr_result, xcr0_result;
    uint32_t msr, leaf, sub;
    uint64_t msr_val, xcr0;
    const struct cpuid_leaf *fixed;
    struct cpuid_vcpu cpuid_vcpu;
    enum trap_result trap;
    uint16_t port;
    unsigned size;
    bool write;
    uint64_t port_val;
} around;

int cpu_state_init(struct cpu_vcpu *v)
{
    (void)v;
    return 0;
}

void cpu_state_destroy(struct cpu_vcpu *v)
{
    (void)v;
}

uint64_t cpu_get_xcr0(const struct cpu_vcpu *v)
{
    (void)v;
    return 7;
}

int cpu_set_xcr0(struct cpu_vcpu *v, uint64_t val)
{
    (void)v;
    around.xcr0 = val;
    return around.xcr0_result;
}

void cpu_load_debug(struct cpu_vcpu *v)
{
    (void)v;
}

void msr_vcpu_init(struct cpu_vcpu *v)
{
    (void)v;
}

int msr_read(struct cpu_vcpu *v, uint32_t msr, uint64_t *val)
{
    (void)v;
    around.msr = msr;
    *val = around.msr_val;
    return around.msr_result;
}

int msr_write(struct cpu_vcpu *v, uint32_t msr, uint64_t val)
{
    (void)v;
    around.msr = msr;
    around.msr_val = val;
    return around.msr_result;
}

const struct cpuid_leaf *cpuid_static(const struct cpuid_policy *p, uint32_t leaf)
{
    assert_ptr_equal(p, &policy);
    around.leaf = leaf;
    return around.fixed;
}

void cpuid_lookup(const struct cpuid_policy *p, const struct cpuid_vcpu *v, uint32_t leaf,
                  uint32_t sub, struct cpuid_leaf *l)
{
    assert_ptr_equal(p, &policy);
    around.cpuid_vcpu = *v;
    around.leaf = leaf;
    around.sub = sub;
    *l = (struct cpuid_leaf){ .a = 0xa, .b = 0xb, .c = 0xc, .d = 0xd };
}

void vcpu_triple_fault(struct vcpu *v)
{
    (void)v;
    around.triple_faults++;
}

void vcpu_crash(struct vcpu *v, const char *fmt, ...)
{
    va_list args;

    (void)v;
    va_start(args, fmt);
    vsnprintf(around.crash, sizeof(around.crash), fmt, args);
    va_end(args);
}

void vcpu_halt(struct vcpu *v, bool interrupts)
{
    (void)v;
    around.halts++;
    around.halt_interrupts = interrupts;
}

void vcpu_spin_hint(struct vcpu *v)
{
    (void)v;
    around.spins++;
}

bool hypercall_dispatch(struct vcpu *v)
{
    (void)v;
    around.hypercalls++;
    return around.hypercall_done;
}

void vlapic_set_tpr(struct vlapic *l, uint8_t tpr)
{
    (void)l;
    around.tpr = tpr;
}

void cpu_emulate(struct cpu_vcpu *v, uint64_t gpa)
{
    (void)v;
    assert_int_equal(gpa, ~0ULL);
    around.emulated++;
}

size_t guest_fetch(struct cpu_vcpu *v, uint8_t *bytes, size_t n)
{
    (void)v;
    (void)bytes;
    (void)n;
    return 0;
}

struct trap_region *trap_find(struct trap_table *t, enum trap_kind kind, uint64_t addr)
{
    static struct trap_region region;

    (void)t;
    (void)addr;
    assert_int_equal(kind, TRAP_PIO);
    return around.has_region ? &region : NULL;
}

enum trap_result trap_pio_access(struct vcpu *v, uint16_t port, unsigned size, bool write,
                                 uint64_t *val)
{
    (void)v;
    around.port = port;
    around.size = size;
    around.write = write;
    if (write)
        around.port_val = *val;
    else
        *val = around.port_val;
    return around.trap;
}

static int setup(void **state)
{
    (void)state;
    cpu_backend = &fake_backend;
    memset(&around, 0, sizeof(around));
    memset(&cd, 0, sizeof(cd));
    memset(&policy, 0, sizeof(policy));
    vcpu = calloc(1, sizeof(*vcpu));
    vcpu->domain = &domain;
    c = &vcpu->cpu;
    cd.cpuid = &policy;
    assert_int_equal(cpu_vcpu_init(c, vcpu, &cd, NULL, 5), 0);
    /* 64-bit code at ring 0. */
    fake.cr[0] = 0x80000011;
    fake.efer = 0xd00;
    fake.seg[CPU_SEG_CS].attr = 0xa9b;
    c->regs.rip = RIP;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    cpu_vcpu_destroy(c);
    free(vcpu);
    return 0;
}

/* The instruction is over; nothing was raised. */
static void assert_went_on(void)
{
    assert_int_equal(c->regs.rip, RIP + LEN);
    assert_int_equal(c->pending.type, CPU_EVENT_NONE);
}

/* The guest is at the same instruction, with an exception. Forgets it. */
static void assert_raised(uint8_t vector)
{
    assert_int_equal(c->regs.rip, RIP);
    assert_int_equal(c->pending.type, CPU_EVENT_EXCEPTION);
    assert_int_equal(c->pending.vector, vector);
    assert_int_equal(c->pending.has_error, vector == X86_GP);
    assert_int_equal(c->pending.error, 0);
    c->pending.type = CPU_EVENT_NONE;
}

static void again(void)
{
    c->regs.rip = RIP;
}

static void test_cpuid(void **state)
{
    static const struct cpuid_leaf fixed = { .a = 1, .b = 2, .c = 3, .d = 4 };

    (void)state;
    c->regs.gpr[CPU_RAX] = 0xffffffff00000007;
    c->regs.gpr[CPU_RCX] = 0xffffffff00000001;
    fake.cr[4] = 0x40000;
    exit_cpuid(c, LEN);
    assert_went_on();
    assert_int_equal(around.leaf, 7);
    assert_int_equal(around.sub, 1);
    assert_int_equal(around.cpuid_vcpu.id, 5);
    assert_int_equal(around.cpuid_vcpu.apic_id, 10);
    assert_int_equal(around.cpuid_vcpu.cr4, 0x40000);
    assert_int_equal(c->regs.gpr[CPU_RAX], 0xa);
    assert_int_equal(c->regs.gpr[CPU_RBX], 0xb);
    assert_int_equal(c->regs.gpr[CPU_RCX], 0xc);
    assert_int_equal(c->regs.gpr[CPU_RDX], 0xd);

    again();
    c->regs.gpr[CPU_RAX] = CPUID_XSTATE;
    exit_cpuid(c, LEN);
    assert_int_equal(around.cpuid_vcpu.xcr0, 7);

    again();
    around.fixed = &fixed;
    exit_cpuid(c, LEN);
    assert_went_on();
    assert_int_equal(c->regs.gpr[CPU_RAX], 1);
    assert_int_equal(c->regs.gpr[CPU_RDX], 4);
    assert_int_equal(c->exits[CPU_EXIT_cpuid], 3);
}

static void test_msrs(void **state)
{
    (void)state;
    c->regs.gpr[CPU_RCX] = 0xffffffffc0000080;
    c->regs.gpr[CPU_RAX] = c->regs.gpr[CPU_RDX] = ~0ULL;
    around.msr_val = 0x1122334455667788;
    exit_rdmsr(c, LEN);
    assert_went_on();
    assert_int_equal(around.msr, 0xc0000080);
    assert_int_equal(c->regs.gpr[CPU_RAX], 0x55667788);
    assert_int_equal(c->regs.gpr[CPU_RDX], 0x11223344);

    again();
    c->regs.gpr[CPU_RAX] = 0xffffffff00000001;
    c->regs.gpr[CPU_RDX] = 0xffffffff00000002;
    exit_wrmsr(c, LEN);
    assert_went_on();
    assert_int_equal(around.msr_val, 0x200000001);

    again();
    around.msr_result = -EINVAL;
    exit_wrmsr(c, LEN);
    assert_raised(X86_GP);
    exit_rdmsr(c, LEN);
    assert_raised(X86_GP);
    assert_int_equal(c->regs.gpr[CPU_RAX], 0xffffffff00000001); /* a refused read changes nothing */
    assert_int_equal(c->exits[CPU_EXIT_rdmsr] + c->exits[CPU_EXIT_wrmsr], 4);
}

/* What waits already ends it before it has begun. */
static void test_hlt(void **state)
{
    (void)state;
    exit_hlt(c, LEN);
    assert_went_on();
    assert_int_equal(around.halts, 1);
    assert_false(around.halt_interrupts);
    assert_int_equal(c->exits[CPU_EXIT_hlt], 1);
    c->regs.rflags |= RFLAGS_IF;
    exit_hlt(c, LEN);
    assert_true(around.halt_interrupts);
    c->nmi_pending = true;
    exit_hlt(c, LEN);
    assert_int_equal(around.halts, 2);
    c->nmi_pending = false;
    c->regs.rflags |= RFLAGS_TF; /* single-stepped: #DB waits */
    exit_hlt(c, LEN);
    assert_int_equal(around.halts, 2);
    assert_int_equal(c->pending.vector, X86_DB);
}

static void test_hypercall(void **state)
{
    (void)state;
    exit_hypercall(c, LEN);
    assert_int_equal(c->regs.rip, RIP); /* to be continued */
    around.hypercall_done = true;
    exit_hypercall(c, LEN);
    assert_went_on();
    assert_int_equal(around.hypercalls, 2);
}

/* SDM vol. 3, 11.8.6: bits 63:4 of CR8 are reserved. */
static void test_cr8(void **state)
{
    (void)state;
    c->regs.gpr[CPU_R9] = 0xd;
    exit_set_cr8(c, CPU_R9, LEN);
    assert_went_on();
    assert_int_equal(around.tpr, 0xd0);
    for (unsigned bit = 4; bit < 64; bit++) {
        again();
        c->regs.gpr[CPU_R9] = BIT(bit) | 1;
        exit_set_cr8(c, CPU_R9, LEN);
        assert_raised(X86_GP);
        assert_int_equal(around.tpr, 0xd0);
    }
    fake.seg[CPU_SEG_CS].attr = 0xc9b; /* 32-bit code does not have the upper half */
    c->regs.gpr[CPU_R9] = 0xffffffff00000002;
    exit_set_cr8(c, CPU_R9, LEN);
    assert_went_on();
    assert_int_equal(around.tpr, 0x20);
}

static void test_xsetbv(void **state)
{
    (void)state;
    c->regs.gpr[CPU_RAX] = 0xffffffff00000007;
    c->regs.gpr[CPU_RDX] = 1;
    exit_xsetbv(c, LEN);
    assert_raised(X86_UD); /* no XSAVE */
    policy.basic[1].c = 1u << 26;
    exit_xsetbv(c, LEN);
    assert_raised(X86_UD); /* not turned on */
    fake.cr[4] = CR4_OSXSAVE;
    fake.cpl = 3;
    exit_xsetbv(c, LEN);
    assert_raised(X86_GP);
    fake.cpl = 0;
    c->regs.gpr[CPU_RCX] = 1;
    exit_xsetbv(c, LEN);
    assert_raised(X86_GP); /* there is XCR0 alone */
    assert_int_equal(around.xcr0, 0);
    c->regs.gpr[CPU_RCX] = 0xffffffff00000000;
    around.xcr0_result = -EINVAL;
    exit_xsetbv(c, LEN);
    assert_raised(X86_GP);
    around.xcr0_result = 0;
    exit_xsetbv(c, LEN);
    assert_went_on();
    assert_int_equal(around.xcr0, 0x100000007);
}

static void test_others(void **state)
{
    (void)state;
    exit_cache_flush(c, LEN); /* with a device it would flush the machine's caches */
    assert_went_on();
    again();
    exit_pause(c, LEN);
    assert_went_on();
    assert_int_equal(around.spins, 1);
    again();
    exit_rdpmc(c);
    assert_raised(X86_GP);
    exit_undefined(c);
    assert_raised(X86_UD);
    exit_shutdown(c);
    assert_int_equal(around.triple_faults, 1);
    exit_task_switch(c);
    assert_string_equal(around.crash, "hardware task switches are not supported");
    exit_internal(c, "exit reason", 0x4d);
    assert_string_equal(around.crash, "unexpected exit reason 0x4d");
}

/* ---- ports ---- */

static uint32_t access_of(uint16_t port, unsigned size, uint32_t kind)
{
    return (uint32_t)port << 16 | size << 4 | kind;
}

static void test_port_sizes(void **state)
{
    static const struct {
        unsigned size;
        uint64_t rax, written;
    } cases[] = {
        { 1, 0xffeeddccbbaa9988, 0x66 },
        { 2, 0xffeeddccbbaa7788, 0x5566 },
        { 4, 0x0000000055667788, 0x33445566 },
    };

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        again();
        around.port_val = 0x55667788 & trap_all_ones(cases[i].size);
        c->regs.gpr[CPU_RAX] = 0xffeeddccbbaa9900;
        exit_pio(c, access_of(0xcfc, cases[i].size, CPU_PIO_IN), RIP + LEN);
        assert_went_on();
        assert_int_equal(c->regs.gpr[CPU_RAX], cases[i].rax);
        assert_int_equal(around.port, 0xcfc);
        assert_int_equal(around.size, cases[i].size);
        assert_false(around.write);

        again();
        c->regs.gpr[CPU_RAX] = 0x1122334433445566;
        exit_pio(c, access_of(0xffff, cases[i].size, 0), RIP + LEN);
        assert_went_on();
        assert_int_equal(around.port, 0xffff);
        assert_true(around.write);
        assert_int_equal(around.port_val, cases[i].written);
        assert_int_equal(c->regs.gpr[CPU_RAX], 0x1122334433445566);
    }
    assert_int_equal(c->exits[CPU_EXIT_port], 2 * ARRAY_SIZE(cases));
    exit_pio(c, access_of(0x3f8, 1, CPU_PIO_STRING), RIP + LEN);
    assert_int_equal(around.emulated, 1);
}

/* A write that is forwarded is over for the guest, which waits; a read, and what is to be tried again, is repeated. */
static void test_port_results(void **state)
{
    static const struct {
        enum trap_result trap;
        bool read_done, write_done;
    } cases[] = {
        { TRAP_DENIED, true, true },
        { TRAP_DROPPED, true, true },
        { TRAP_FORWARD, false, true },
        { TRAP_RETRY, false, false },
    };

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        around.trap = cases[i].trap;
        again();
        c->regs.gpr[CPU_RAX] = 0x77;
        exit_pio(c, access_of(0xcfc, 4, CPU_PIO_IN), RIP + LEN);
        assert_int_equal(c->regs.rip, cases[i].read_done ? RIP + LEN : RIP);
        if (!cases[i].read_done)
            assert_int_equal(c->regs.gpr[CPU_RAX], 0x77);
        again();
        exit_pio(c, access_of(0xcfc, 4, 0), RIP + LEN);
        assert_int_equal(c->regs.rip, cases[i].write_done ? RIP + LEN : RIP);
    }
}

/* Ports of nobody; neither a guest nor the control domain gets to the machine's by them. */
static void test_port_of_nobody(void **state)
{
    (void)state;
    around.trap = TRAP_NONE;
    for (unsigned i = 0; i < 3; i++) {
        cd.control = i == 1;
        around.has_region = i == 2;
        again();
        c->regs.gpr[CPU_RAX] = 0;
        exit_pio(c, access_of(0x510, 2, CPU_PIO_IN), RIP + LEN);
        assert_went_on();
        assert_int_equal(c->regs.gpr[CPU_RAX], 0xffff);
        again();
        exit_pio(c, access_of(0x510, 2, 0), RIP + LEN);
        assert_went_on();
    }
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_cpuid),          TEST(test_msrs),       TEST(test_hlt),
        TEST(test_hypercall),      TEST(test_cr8),        TEST(test_xsetbv),
        TEST(test_others),         TEST(test_port_sizes), TEST(test_port_results),
        TEST(test_port_of_nobody),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
