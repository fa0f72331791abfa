/* SPDX-License-Identifier: MIT */
/*
 * Which controls of VMX are used so that the CPU keeps guests' local APICs, and the rules of VM entry about them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "cpu/vmx/check.h"
#include "lib/string.h"
#include "vmx_rig.h"

#define APIC_PROC2 (BIT(4) | BIT(8) | BIT(9))
#define POSTED     BIT(7)
#define ACK        BIT(15)

static struct vmx_caps caps;

/* A machine that may have these bits of a control word, beside those that every one here has. */
static void machine(uint64_t proc2, uint64_t pin, uint64_t exit)
{
    rig_start();
    rig.msr[MSR_VMX_PROC2 - MSR_VMX_BASIC] &= ~(APIC_PROC2 << 32);
    rig.msr[MSR_VMX_PROC2 - MSR_VMX_BASIC] |= proc2 << 32;
    rig.msr[MSR_VMX_TRUE_PIN - MSR_VMX_BASIC] |= pin << 32;
    rig.msr[MSR_VMX_TRUE_EXIT - MSR_VMX_BASIC] &= ~(ACK << 32);
    rig.msr[MSR_VMX_TRUE_EXIT - MSR_VMX_BASIC] |= exit << 32;
}

static void probe(void)
{
    assert_null(vmx_caps_probe(&caps, rig_rdmsr));
    /* Never for a guest whose APIC is in another mode. */
    assert_int_equal(caps.ctl.proc2 & (APIC_PROC2 | BIT(0)), 0);
    assert_int_equal(caps.ctl.pin & POSTED, 0);
}

static void expect(uint64_t proc2, uint64_t pin)
{
    assert_int_equal(caps.ctl.apic_proc2, proc2);
    assert_int_equal(caps.ctl.apic_pin, pin);
    assert_int_equal(caps.ctl.exit & ACK, pin ? ACK : 0);
}

/* All that it takes, or nothing of it. */
static void test_all_or_nothing(void **state)
{
    (void)state;
    machine(APIC_PROC2, POSTED, ACK);
    probe();
    expect(APIC_PROC2, POSTED);
    for (unsigned bit = 4; bit < 10; bit++) {
        if (!(APIC_PROC2 & BIT(bit)))
            continue;
        machine(APIC_PROC2 & ~BIT(bit), POSTED, ACK);
        probe();
        expect(0, 0);
    }
    machine(APIC_PROC2, POSTED, ACK);
    rig.msr[MSR_VMX_TRUE_PROC - MSR_VMX_BASIC] &= ~BIT(32 + 21); /* TPR shadow */
    probe();
    expect(0, 0);
}

static void test_posting(void **state)
{
    (void)state;
    machine(APIC_PROC2, 0, ACK);
    probe();
    expect(APIC_PROC2, 0);
    machine(APIC_PROC2, POSTED, 0);
    probe();
    expect(APIC_PROC2, 0);
}

static void test_turned_off(void **state)
{
    (void)state;
    machine(APIC_PROC2, POSTED, ACK);
    probe();
    vmx_caps_no_posting(&caps);
    expect(APIC_PROC2, 0);
    probe();
    vmx_caps_emulate_apic(&caps);
    expect(0, 0);
}

/* ---- rules ---- */

static void fill(void)
{
    machine(APIC_PROC2, POSTED, ACK);
    probe();
    vmx_caps = caps;
    rig_vmx.ctl = caps.ctl;
    rig_vmx.addr.posted_vector = 0xf3;
    rig_vmx.addr.posted_descriptor = 0x16040;
    rig_fill_vmcs();
    rig.field[VMCS_PROC2_CTL] |= caps.ctl.apic_proc2;
    rig.field[VMCS_PIN_CTL] |= caps.ctl.apic_pin;
    rig.field[VMCS_TPR_THRESHOLD] = 0xffff; /* does not count now */
}

static void test_rules(void **state)
{
    static const struct {
        uint16_t field;
        uint64_t clear, set;
        const char *rule;
    } wrong[] = {
        { 0, 0, 0, NULL },
        { VMCS_PROC_CTL, BIT(21), 0, "need the TPR shadow" },
        { VMCS_PROC2_CTL, 0, BIT(0), "not both virtualised" },
        { VMCS_PIN_CTL, BIT(0), 0, "needs external-interrupt exiting" },
        { VMCS_PROC2_CTL, BIT(9), 0, "posted interrupts need" },
        { VMCS_EXIT_CTL, ACK, 0, "posted interrupts need" },
        { VMCS_POSTED_VECTOR, 0, BIT(8), "notification vector" },
        { VMCS_POSTED_DESCRIPTOR, 0, BIT(5), "boundary of 64 bytes" },
        { VMCS_POSTED_DESCRIPTOR, 0, BIT(40), "in the address width" },
    };

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(wrong); i++) {
        struct vmx_verdict v;
        bool found = false;

        fill();
        rig.field[wrong[i].field] &= ~wrong[i].clear;
        rig.field[wrong[i].field] |= wrong[i].set;
        vmx_check_entry(&vmx_caps, 40, &v);
        for (unsigned k = 0; k < v.nr && k < VMX_MAX_BROKEN; k++)
            found |= wrong[i].rule && strstr(v.rule[k], wrong[i].rule);
        if (!wrong[i].rule && v.nr)
            fail_msg("%s", v.rule[0]);
        if (wrong[i].rule && !found)
            fail_msg("\"%s\" is not found broken", wrong[i].rule);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_or_nothing),
        cmocka_unit_test(test_posting),
        cmocka_unit_test(test_turned_off),
        cmocka_unit_test(test_rules),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
