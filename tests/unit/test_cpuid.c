/* SPDX-License-Identifier: MIT */
/*
 * CPUID policies for machines that the test makes up: one whose every bit is set, one like a small AMD CPU.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "cpu/cpuid.h"
#include "lib/string.h"

static struct cpuid_policy pol;
static const struct cpuid_vcpu v3 = { .id = 3, .apic_id = 6, .cr4 = 0, .xcr0 = 1 };

/* A CPU that has everything, now and in times to come. */
static void read_all(uint32_t leaf, uint32_t sub, struct cpuid_leaf *out)
{
    *out = (struct cpuid_leaf){ ~0u, ~0u, ~0u, ~0u };
    if (leaf == 0)
        *out = (struct cpuid_leaf){ 0x20, 0x68747541, 0x444d4163, 0x69746e65 };
    else if (leaf == 0x80000000)
        *out = (struct cpuid_leaf){ 0x80000030, 0, 0, 0 };
    else if (leaf == 0x80000008)
        *out = (struct cpuid_leaf){ 0x00003034, ~0u, ~0u, ~0u };
    else if (leaf == 0xd && sub == 2)
        *out = (struct cpuid_leaf){ 256, 576, 0, 0 };
    else if (leaf == 0xd && sub == 9)
        *out = (struct cpuid_leaf){ 8, 2688, 2, 0 };
}

/* A CPU without XSAVE, leaf 7 and leaf b. */
static void read_small(uint32_t leaf, uint32_t sub, struct cpuid_leaf *out)
{
    (void)sub;
    *out = (struct cpuid_leaf){ 0 };
    switch (leaf) {
    case 0:
        *out = (struct cpuid_leaf){ 5, 0x68747541, 0x444d4163, 0x69746e65 };
        break;
    case 1:
        *out = (struct cpuid_leaf){ 0x60fb1, 0x01000800, 0x80802001, 0x078bfbfd };
        break;
    case 0x80000000:
        *out = (struct cpuid_leaf){ 0x8000000a, 0, 0, 0 };
        break;
    case 0x80000001:
        *out = (struct cpuid_leaf){ 0x60fb1, 0, 0x65, 0x2191abfd };
        break;
    case 0x80000008:
        *out = (struct cpuid_leaf){ 0x3028, 0, 0, 0 };
        break;
    case 0x8000000a:
        *out = (struct cpuid_leaf){ 1, 0x10, 0, 0xff };
        break;
    }
}

static void build(void (*read)(uint32_t, uint32_t, struct cpuid_leaf *), uint64_t xcr0, bool iommu)
{
    struct cpuid_config cfg = { .domid = 0x123, .nr_vcpus = 4, .addr_bits = 39, .tsc_khz = 1234567,
                                .xcr0 = xcr0, .iommu = iommu, .read = read };

    cpuid_policy_build(&pol, &cfg);
}

static struct cpuid_leaf ask(const struct cpuid_vcpu *v, uint32_t leaf, uint32_t sub)
{
    struct cpuid_leaf l;

    memset(&l, 0x5a, sizeof(l));
    cpuid_lookup(&pol, v, leaf, sub, &l);
    return l;
}

static void test_hidden(void **state)
{
    struct cpuid_leaf l;

    (void)state;
    build(read_all, 0x2e7, true);
    l = ask(&v3, 1, 0);
    /* MONITOR, VMX, SMX, PDCM, DCA, TSC deadline are hidden; OSXSAVE follows CR4. */
    assert_int_equal(l.c & (1u << 3 | 1u << 5 | 1u << 6 | 1u << 15 | 1u << 18 | 1u << 24 | 1u << 27), 0);
    assert_int_equal(l.c & (1u << 21 | 1u << 31 | 1u << 26 | 1u << 13), 1u << 21 | 1u << 31 | 1u << 26 | 1u << 13);
    /* PSN, DS, ACPI, TM, PBE. */
    assert_int_equal(l.d & (1u << 18 | 1u << 21 | 1u << 22 | 1u << 29 | 1u << 31), 0);
    l = ask(&v3, 7, 0);
    assert_int_equal(l.a, 0);
    /* TSC_ADJUST, SGX, HLE, RDT, RTM, MPX, RDT, PT. */
    assert_int_equal(l.b & (1u << 1 | 1u << 2 | 1u << 4 | 1u << 11 | 1u << 12 | 1u << 14 | 1u << 15 | 1u << 25), 0);
    /* WAITPKG, CET, LA57, SGX_LC, PKS. */
    assert_int_equal(l.c & (1u << 5 | 1u << 7 | 1u << 16 | 1u << 30 | 1u << 31), 0);
    assert_int_equal(l.d & 0xfc000000, 0); /* IBRS to SSBD and ARCH_CAPABILITIES */
    for (uint32_t leaf = 5; leaf <= 0xa; leaf++) {
        if (leaf == 7)
            continue;
        l = ask(&v3, leaf, 0);
        assert_int_equal(l.a | l.b | l.c | l.d, 0);
    }
    l = ask(&v3, 0x80000001, 0);
    /* SVM, extended APIC, OSVW, IBS, SKINIT, WDT, LWP, topology, counters, MONITORX. */
    assert_int_equal(l.c & (1u << 2 | 1u << 3 | 1u << 9 | 1u << 10 | 1u << 12 | 1u << 13 | 1u << 15 |
                            1u << 22 | 1u << 23 | 1u << 24 | 1u << 27 | 1u << 28 | 1u << 29), 0);
    l = ask(&v3, 0x8000000a, 0);
    assert_int_equal(l.a | l.b | l.c | l.d, 0);
    l = ask(&v3, 0x8000001f, 0);
    assert_int_equal(l.a | l.b | l.c | l.d, 0);
    l = ask(&v3, 0xd, 1);
    assert_int_equal(l.a, 7); /* no XSAVES */
    assert_int_equal(l.b, 576);
    assert_int_equal(l.c | l.d, 0);
}

static void test_limits(void **state)
{
    static const uint32_t beyond[] = { 0xe, 0x14, 0x1f, 0x20, 0x21, 0x3fffffff, 0x40000006, 0x40000100,
                                       0x7fffffff, 0x80000022, 0x80000030, 0xc0000000, 0xffffffff };

    (void)state;
    build(read_all, 0x2e7, true);
    assert_int_equal(ask(&v3, 0, 0).a, 0xd);
    assert_int_equal(ask(&v3, 0x80000000, 0).a, 0x80000021);
    for (unsigned i = 0; i < ARRAY_SIZE(beyond); i++) {
        struct cpuid_leaf l = ask(&v3, beyond[i], 0);

        assert_int_equal(l.a | l.b | l.c | l.d, 0);
        assert_null(cpuid_static(&pol, beyond[i]));
    }
    assert_int_equal(ask(&v3, 0x80000008, 0).a, 0x3027); /* the p2m's 39 bits */
    for (uint32_t sub = 0; sub < 100; sub++) { /* sub-leaves never reach outside of a table */
        ask(&v3, 4, sub * 0x1000003);
        ask(&v3, 7, sub);
        ask(&v3, 0xb, sub);
        ask(&v3, 0xd, sub);
        ask(&v3, 0x40000003, sub);
    }
}

static void test_small_machine(void **state)
{
    struct cpuid_leaf l;

    (void)state;
    build(read_small, 0, false);
    assert_int_equal(ask(&v3, 0, 0).a, 0xb);
    assert_int_equal(ask(&v3, 0, 0).b, 0x68747541);
    l = ask(&v3, 1, 0);
    assert_int_equal(l.a, 0x60fb1);
    assert_int_equal(cpuid_signature(&pol), 0x60fb1);
    assert_int_equal(l.b, 6u << 24 | 4u << 16 | 0x0800);
    assert_int_equal(l.c & (1u << 26 | 1u << 28), 0);
    assert_int_equal(l.d, (0x078bfbfd & ~(1u << 18)) | 1u << 28);
    l = ask(&v3, 7, 0);
    assert_int_equal(l.a | l.b | l.c | l.d, 0);
    l = ask(&v3, 0xd, 0);
    assert_int_equal(l.a | l.b | l.c | l.d, 0);
    assert_int_equal(ask(&v3, 0x80000001, 0).c & 4, 0);
    assert_false(cpuid_has_xsave(&pol));
    assert_false(cpuid_has_tsc_aux(&pol));
    assert_int_equal(ask(&v3, 0x80000008, 0).a & 0xff, 39);
    assert_int_equal(ask(&v3, 0x40000004, 0).a & 4, 0); /* no IOMMU */
}

static void test_follows_vcpu(void **state)
{
    struct cpuid_vcpu v = { .id = 1, .apic_id = 2, .cr4 = 1u << 18 | 1u << 22, .xcr0 = 3 };

    (void)state;
    build(read_all, 0x207, true);
    assert_true(ask(&v, 1, 0).c & 1u << 27);
    assert_true(ask(&v, 7, 0).c & 1u << 4);
    assert_int_equal(ask(&v, 0xd, 0).b, 576);
    assert_int_equal(ask(&v, 0xd, 0).c, 2696);
    assert_int_equal(ask(&v, 0xd, 0).a, 0x207);
    v.xcr0 = 7;
    assert_int_equal(ask(&v, 0xd, 0).b, 832);
    assert_int_equal(ask(&v, 0xd, 1).b, 832);
    v.xcr0 = 0x207; /* compacted: right behind */
    assert_int_equal(ask(&v, 0xd, 0).b, 2696);
    assert_int_equal(ask(&v, 0xd, 1).b, 840);
    v.xcr0 = 7;
    v.cr4 = 0;
    assert_false(ask(&v, 1, 0).c & 1u << 27);
    assert_false(ask(&v, 7, 0).c & 1u << 4);
    /* Without AVX state nothing that needs it. */
    build(read_all, 3, true);
    assert_int_equal(ask(&v, 1, 0).c & (1u << 28 | 1u << 12 | 1u << 29), 0);
    assert_int_equal(ask(&v, 7, 0).b & (1u << 5 | 1u << 16), 0);
    assert_int_equal(ask(&v, 7, 0).c & 1u << 3, 0);
    assert_int_equal(ask(&v, 0xd, 2).a, 0);
}

static void test_topology(void **state)
{
    (void)state;
    build(read_small, 0, false);
    assert_int_equal(ask(&v3, 1, 0).b >> 24, 6);
    assert_int_equal(ask(&v3, 0xb, 0).a, 1);
    assert_int_equal(ask(&v3, 0xb, 0).b, 1);
    assert_int_equal(ask(&v3, 0xb, 0).c, 0x100);
    assert_int_equal(ask(&v3, 0xb, 1).b, 4);
    assert_int_equal(ask(&v3, 0xb, 1).c, 0x201);
    assert_int_equal(ask(&v3, 0xb, 2).c, 2);
    assert_int_equal(ask(&v3, 0xb, 2).b, 0);
    for (uint32_t sub = 0; sub < 4; sub++)
        assert_int_equal(ask(&v3, 0xb, sub).d, 6);
    /* Four cores whose ids, 0 to 6, need three bits: all in one package. */
    assert_int_equal(ask(&v3, 0x80000008, 0).c, 3 | 3 << 12);
    assert_int_equal(ask(&v3, 0x80000001, 0).c & 2, 2);
}

static void test_one_vcpu(void **state)
{
    struct cpuid_config cfg = { .nr_vcpus = 1, .read = read_small };
    struct cpuid_vcpu v = { 0, 0, 0, 0 };

    (void)state;
    cpuid_policy_build(&pol, &cfg);
    assert_int_equal(ask(&v, 1, 0).d & 1u << 28, 0);
    assert_int_equal(ask(&v, 1, 0).b, 1u << 16 | 0x0800);
    assert_int_equal(ask(&v, 0x80000001, 0).c & 2, 0);
    assert_int_equal(ask(&v, 0x80000008, 0).c, 0);
    assert_int_equal(ask(&v, 0x80000008, 0).a & 0xff, 40); /* no limit of the p2m: the machine's */
}

static void test_xen_leaves(void **state)
{
    struct cpuid_leaf l;

    (void)state;
    build(read_all, 7, true);
    l = ask(&v3, 0x40000000, 0);
    assert_int_equal(l.a, 0x40000005);
    assert_memory_equal(&l.b, "XenVMMXenVMM", 12);
    assert_int_equal(ask(&v3, 0x40000001, 0).a, 0x00040011);
    l = ask(&v3, 0x40000002, 0);
    assert_int_equal(l.a, 1);
    assert_int_equal(l.b, 0x40000000);
    assert_int_equal(l.c, 0);
    assert_int_equal(ask(&v3, 0x40000003, 0).c, 1234567);
    assert_int_equal(ask(&v3, 0x40000003, 2).a, 1234567);
    l = ask(&v3, 0x40000004, 0);
    assert_int_equal(l.a, 1u << 2 | 1u << 3 | 1u << 4 | 1u << 6);
    assert_int_equal(l.b, 3);
    assert_int_equal(l.c, 0x123);
}

/* The fast path of the exit gives what the slow one gives. */
static void test_static(void **state)
{
    static const uint32_t base[] = { 0, 0x40000000, 0x80000000 };
    struct cpuid_vcpu a = { 0, 0, 0, 1 }, b = { 7, 14, ~0ull, 0x207 };

    (void)state;
    build(read_all, 0x207, true);
    for (unsigned i = 0; i < 3; i++) {
        for (uint32_t n = 0; n < 0x30; n++) {
            const struct cpuid_leaf *s = cpuid_static(&pol, base[i] + n);

            for (uint32_t sub = 0; s && sub < 3; sub++) {
                struct cpuid_leaf x = ask(&a, base[i] + n, sub), y = ask(&b, base[i] + n, sub);

                assert_memory_equal(s, &x, sizeof(x));
                assert_memory_equal(s, &y, sizeof(y));
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hidden),       cmocka_unit_test(test_limits),
        cmocka_unit_test(test_small_machine), cmocka_unit_test(test_follows_vcpu),
        cmocka_unit_test(test_topology),     cmocka_unit_test(test_xen_leaves),
        cmocka_unit_test(test_static),       cmocka_unit_test(test_one_vcpu),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
