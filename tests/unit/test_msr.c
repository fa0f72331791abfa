/* SPDX-License-Identifier: MIT */
/*
 * The MSR policy: what reads and writes do, and that nothing unknown gets through.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "boot/exception.h"
#include "cpu/cpuid.h"
#include "cpu/guest_mem.h"
#include "cpu/msr.h"
#include "cpu/state.h"
#include "cpu_fake.h"
#include "domain/domain.h"
#include "lib/errno.h"
#include "lib/string.h"

const struct cpu_backend *cpu_backend = &fake_backend;
uint64_t cpu_xcr0_max = 7;

static struct vcpu *vcpu;
static struct cpu_vcpu *c;
static struct cpu_domain cd;
static struct cpuid_policy policy;
static uint8_t guest_page[2 * 4096];
static uint32_t apic_msr;
static uint64_t apic_val;

/* The machine: MTRRs with eight variable ranges. */
int rdmsr_safe(uint32_t msr, uint64_t *val)
{
    if (msr == 0x8b)
        *val = 0x1000065;
    else if (msr == 0xfe)
        *val = 0x508;
    else if (msr == 0x2ff)
        *val = 0xc06;
    else if (msr == 0x200)
        *val = 0x80000000;
    else if (msr == 0x201)
        *val = 0xff80000800ull;
    else if (msr >= 0x202 && msr <= 0x26f)
        *val = msr == 0x259 ? 0 : 0;
    else
        return -EFAULT;
    return 0;
}

int vlapic_msr_read(struct vlapic *l, uint32_t msr, uint64_t *val)
{
    assert_ptr_equal(l, &vcpu->vlapic);
    apic_msr = msr;
    *val = 0x77;
    return msr == 0x8ff ? -1 : 0;
}

int vlapic_msr_write(struct vlapic *l, uint32_t msr, uint64_t val)
{
    assert_ptr_equal(l, &vcpu->vlapic);
    apic_msr = msr;
    apic_val = val;
    return msr == 0x8ff ? -1 : 0;
}

int copy_to_gpa(const struct p2m *p, uint64_t gpa, const void *src, size_t n)
{
    (void)p;
    if (gpa + n > sizeof(guest_page))
        return -EFAULT;
    memcpy(guest_page + gpa, src, n);
    return 0;
}

void cpu_set_tsc_aux(struct cpu_vcpu *v, uint64_t val)
{
    v->tsc_aux = val;
}

static int setup(void **state)
{
    (void)state;
    vcpu = calloc(1, sizeof(*vcpu));
    c = &vcpu->cpu;
    memset(&policy, 0, sizeof(policy));
    policy.ext[1].d = 1u << 20 | 1u << 25 | 1u << 27; /* NX, FFXSR, RDTSCP */
    policy.ext[8].a = 0x3028;
    memset(&cd, 0, sizeof(cd));
    cd.cpuid = &policy;
    cd.control = true;
    c->cd = &cd;
    c->v = vcpu;
    memset(&fake, 0, sizeof(fake));
    msr_probe();
    msr_vcpu_init(c);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    free(vcpu);
    return 0;
}

static uint64_t get(uint32_t msr)
{
    uint64_t val = ~0ull;

    assert_int_equal(msr_read(c, msr, &val), 0);
    return val;
}

static void refused(uint32_t msr, uint64_t val)
{
    assert_int_equal(msr_write(c, msr, val), -EPERM);
}

static void test_unknown(void **state)
{
    static const uint32_t hidden[] = { 0x3a,       0x48,       0x49,       0xe7,       0x10a,
                                       0x1a0,      0x198,      0x345,      0x38f,      0x480,
                                       0x6e0,      0x7ff,      0x900,      0xda0,      0x1000,
                                       0x1fff,     0x3fffffff, 0x40000001, 0xc0000104, 0xc0010117,
                                       0xc0010140, 0xc0011024, 0xffffffff };
    uint64_t val, n = 0;

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(hidden); i++) {
        assert_int_equal(msr_read(c, hidden[i], &val), -EPERM);
        refused(hidden[i], 0);
        n++;
    }
    assert_int_equal(cd.nr_unknown_msr_reads, n);
    assert_int_equal(cd.nr_unknown_msr_writes, n);
}

static void test_efer(void **state)
{
    (void)state;
    assert_int_equal(msr_write(c, 0xc0000080, 0x901), 0);
    assert_int_equal(fake.efer, 0x901);
    refused(0xc0000080, 0x1000); /* SVME */
    refused(0xc0000080, 1u << 13);
    fake.efer = 0xd01;
    fake.cr[0] = 0x80000001;
    refused(0xc0000080, 0x801); /* LME with paging on */
    assert_int_equal(msr_write(c, 0xc0000080, 0x900), 0);
    assert_int_equal(fake.efer, 0xd00); /* LMA stays */
    policy.ext[1].d = 0;
    refused(0xc0000080, 0x900); /* a CPU without NX */
}

static void test_pat(void **state)
{
    (void)state;
    assert_int_equal(msr_write(c, 0x277, 0x0407050600070106ull), 0);
    assert_int_equal(get(0x277), 0x0407050600070106ull);
    refused(0x277, 2);
    refused(0x277, 3ull << 56);
    refused(0x277, 8ull << 8);
    assert_int_equal(get(0x277), 0x0407050600070106ull);
}

static void test_mtrr(void **state)
{
    (void)state;
    assert_int_equal(get(0xfe), 0x508);
    assert_int_equal(get(0x2ff), 0xc06);
    assert_int_equal(get(0x200), 0x80000000);
    assert_int_equal(get(0x201), 0xff80000800ull);
    assert_int_equal(msr_write(c, 0x202, 0xfee00006), 0);
    assert_int_equal(get(0x202), 0xfee00006);
    refused(0x202, 0xfee00002); /* no such type */
    refused(0x202, 1ull << 40); /* beyond the physical address width */
    refused(0x203, 0x400);      /* mask: valid is bit 11 */
    refused(0xfe, 0);
    refused(0x2ff, 0x1006);
    assert_int_equal(msr_write(c, 0x26f, 0x0605040100060606ull), 0);
    assert_int_equal(get(0x26f), 0x0605040100060606ull);
    refused(0x26f, 0x07);
    assert_int_equal(get(0x250), 0);
    assert_int_equal(msr_write(c, 0x258, 0x0606060606060606ull), 0);
    assert_int_equal(get(0x258), 0x0606060606060606ull);
    assert_int_equal(get(0x259), 0);
    cd.control = false;
    msr_vcpu_init(c);
    assert_int_equal(get(0x2ff), 0xc06);
    assert_int_equal(get(0x250), 0x0606060606060606ull);
}

static void test_addresses(void **state)
{
    (void)state;
    refused(0xc0000082, 0x800000000000ull); /* LSTAR not canonical */
    refused(0xc0000101, 1ull << 60);
    refused(0x176, 1ull << 48);
    assert_int_equal(msr_write(c, 0xc0000082, 0xffffffff81000000ull), 0);
    assert_int_equal(get(0xc0000082), 0xffffffff81000000ull);
    assert_int_equal(msr_write(c, 0xc0000084, 0x47700), 0);
    assert_int_equal(get(0xc0000084), 0x47700);
}

static void test_apic(void **state)
{
    uint64_t val;

    (void)state;
    assert_int_equal(get(0x1b), 0x77);
    assert_int_equal(msr_write(c, 0x830, 0x123), 0);
    assert_int_equal(apic_msr, 0x830);
    assert_int_equal(apic_val, 0x123);
    assert_int_equal(msr_read(c, 0x8ff, &val), -EPERM);
    refused(0x8ff, 0);
}

static void test_tsc(void **state)
{
    (void)state;
    assert_int_equal(msr_write(c, 0x10, 1000), 0); /* the host's TSC is 0 here */
    assert_int_equal(fake.tsc_offset, 1000);
    assert_int_equal(get(0x10), 1000);
    assert_int_equal(msr_write(c, 0xc0000103, 5), 0);
    assert_int_equal(get(0xc0000103), 5);
    refused(0xc0000103, 1ull << 32);
    policy.ext[1].d = 0;
    refused(0xc0000103, 5);
}

static void test_amd(void **state)
{
    (void)state;
    assert_int_equal(get(0x8b), 0x1000065);
    assert_int_equal(get(0xc0010055), 0);
    assert_int_equal(get(0xc0011029), 2);
    assert_int_equal(msr_write(c, 0xc0011029, 2), 0);
    refused(0xc0010015, 1u << 6);
    assert_int_equal(msr_write(c, 0xc0010000, 0x53003c), 0);
    assert_int_equal(get(0xc0010000), 0);
    policy.leaf4 = true;
    assert_int_equal(get(0x1a0), 0x1801);
    refused(0x1a0, 1ull << 34);
    refused(0xc0010015, 0);
}

/*
 * What Xen 4.17 answered its control domain on an emulated AMD processor, for registers that kernels touch without asking
 * CPUID: all read as below, and were then written with the same value. Where we differ is in docs/compatibility.md.
 */
static void test_as_xen(void **state)
{
    static const struct {
        uint32_t first, last;
        bool writable;
    } zero[] = {
        { 0x0, 0x1, false },                { 0x2c, 0x2c, false },             { 0x17a, 0x17a, true },
        { 0x1d9, 0x1d9, true },             { 0x1db, 0x1de, true },            { 0xc0010000, 0xc0010007, true },
        { 0xc0010010, 0xc0010010, true },   { 0xc0010015, 0xc0010019, false }, { 0xc001001a, 0xc001001a, true },
        { 0xc001001d, 0xc001001d, true },   { 0xc001001f, 0xc001001f, true },  { 0xc0010055, 0xc0010055, false },
        { 0xc0010112, 0xc0010113, false },  { 0xc0010114, 0xc0010114, true },  { 0xc0010200, 0xc001020b, true },
        { 0xc0011023, 0xc0011023, true },   { 0xc001102a, 0xc001102a, true },  { 0xc001102c, 0xc001102c, true },
    };

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(zero); i++) {
        for (uint32_t msr = zero[i].first; msr <= zero[i].last; msr++) {
            assert_int_equal(get(msr), 0);
            assert_int_equal(msr_write(c, msr, 0), zero[i].writable ? 0 : -EPERM);
        }
    }
}

/* The machine's MTRRs may be wider than the domain's addresses: what is read can be written back all the same. */
static void test_narrow_mtrr(void **state)
{
    (void)state;
    policy.ext[8].a = 0x3027;
    msr_vcpu_init(c);
    assert_int_equal(get(0x201), 0x7f80000800ull);
    assert_int_equal(msr_write(c, 0x201, get(0x201)), 0);
    refused(0x201, 0xff80000800ull);
}

static void test_hypercall_page(void **state)
{
    const uint8_t slot1[] = { 0xb8, 1, 0, 0, 0, 0x0f, 0x01, 0xd9, 0xc3, 0xcc };

    (void)state;
    assert_int_equal(get(0x40000000), 0);
    assert_int_equal(msr_write(c, 0x40000000, 0x1000), 0);
    assert_memory_equal(guest_page + 0x1020, slot1, sizeof(slot1));
    assert_int_equal(guest_page[0x1000 + 127 * 32 + 1], 127);
    assert_int_equal(guest_page[0x1000 + 23 * 32], 0x0f);
    assert_int_equal(guest_page[0x1000 + 23 * 32 + 1], 0x0b);
    assert_int_equal(guest_page[0xfff], 0);
    refused(0x40000000, 0x1001); /* there is one page */
    refused(0x40000000, 0x2000); /* no memory */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_unknown, setup, teardown),
        cmocka_unit_test_setup_teardown(test_efer, setup, teardown),
        cmocka_unit_test_setup_teardown(test_pat, setup, teardown),
        cmocka_unit_test_setup_teardown(test_mtrr, setup, teardown),
        cmocka_unit_test_setup_teardown(test_addresses, setup, teardown),
        cmocka_unit_test_setup_teardown(test_apic, setup, teardown),
        cmocka_unit_test_setup_teardown(test_tsc, setup, teardown),
        cmocka_unit_test_setup_teardown(test_amd, setup, teardown),
        cmocka_unit_test_setup_teardown(test_as_xen, setup, teardown),
        cmocka_unit_test_setup_teardown(test_narrow_mtrr, setup, teardown),
        cmocka_unit_test_setup_teardown(test_hypercall_page, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
