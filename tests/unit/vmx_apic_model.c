/* SPDX-License-Identifier: MIT */
/*
 * See vmx_apic_model.h. Each function is a section of the SDM, volume 3, and follows its pseudo-code.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "vmx_apic_model.h"

#include "cpu/vmx/check.h"
#include "irq/lapic.h"
#include "irq/timer.h"
#include "lib/string.h"
#include "trap/trap.h"
#include "vdev/vlapic.h"

#define OFF_PPR  0xa0u
#define OFF_ISR  0x100u
#define OFF_IRR  0x200u
#define OFF_SELF 0x3f0u

struct vmx_apic_model m;

/* ---- the model: SDM 30.1 to 30.5 on the rig's VMCS ---- */

static bool has(uint64_t bits, uint16_t field)
{
    return (rig.field[field] & bits) == bits;
}

bool model_keeps(void)
{
    return has(PROC2_VIRTUAL_INTR, VMCS_PROC2_CTL);
}

static uint32_t *reg(unsigned offset)
{
    return &m.page[offset / 4];
}

static unsigned highest(unsigned base)
{
    for (unsigned vec = 255; vec; vec--)
        if (*reg(base + (vec & 0xe0) / 2) >> (vec & 31) & 1)
            return vec;
    return 0;
}

static void set_vector(unsigned base, unsigned vec, bool val)
{
    uint32_t *r = reg(base + (vec & 0xe0) / 2), bit = 1u << (vec & 31);

    *r = val ? *r | bit : *r & ~bit;
}

/* 30.1.3 */
static void virtualise_ppr(void)
{
    uint8_t tpr = (uint8_t)*reg(MODEL_TPR);

    *reg(OFF_PPR) = tpr >> 4 >= m.svi >> 4 ? tpr : m.svi & 0xf0;
}

/* 30.2.1 */
static void evaluate(void)
{
    m.recognised = !has(PROC_IRQ_WINDOW, VMCS_PROC_CTL) && m.rvi >> 4 > (*reg(OFF_PPR) & 0xff) >> 4;
}

void model_exit(uint32_t reason, uint64_t qualification)
{
    if (model_keeps())
        rig.field[VMCS_GUEST_INTR_STATUS] = (uint64_t)m.svi << 8 | m.rvi;
    m.recognised = false;
    rig.field[VMCS_EXIT_QUALIFICATION] = qualification;
    rig_vmx.exit_reason = reason;
    m.exits++;
}

/* 30.1.2: NO_EXIT, or the reason of one that follows the instruction. */
uint32_t model_tpr_written(void)
{
    if (!model_keeps())
        return *reg(MODEL_TPR) >> 4 < rig.field[VMCS_TPR_THRESHOLD] ? EXIT_TPR : NO_EXIT;
    virtualise_ppr();
    evaluate();
    return NO_EXIT;
}

/* 30.1.4 */
static uint32_t virtualise_eoi(void)
{
    unsigned vec = m.svi;

    set_vector(OFF_ISR, vec, false);
    m.svi = (uint8_t)highest(OFF_ISR);
    virtualise_ppr();
    rig.field[VMCS_EXIT_QUALIFICATION] = vec;
    if (rig.field[VMCS_EOI_EXIT0 + 2 * (vec / 64)] >> vec % 64 & 1)
        return EXIT_EOI;
    evaluate();
    return NO_EXIT;
}

/* 30.1.5 */
static void virtualise_self_ipi(unsigned vec)
{
    set_vector(OFF_IRR, vec, true);
    if (vec > m.rvi)
        m.rvi = (uint8_t)vec;
    evaluate();
}

/* 30.6 */
bool model_notified(uint64_t *pid)
{
    if (!has(PIN_POSTED, VMCS_PIN_CTL))
        return false;
    pid[4] &= ~1ULL;
    for (unsigned vec = 0; vec < 256; vec++) {
        if (!(pid[vec / 64] >> vec % 64 & 1))
            continue;
        set_vector(OFF_IRR, vec, true);
        if (vec > m.rvi)
            m.rvi = (uint8_t)vec;
    }
    memset(pid, 0, 4 * sizeof(*pid));
    evaluate();
    return true;
}

/* 30.2.2 */
void model_deliver(void)
{
    unsigned vec = m.rvi;

    set_vector(OFF_ISR, vec, true);
    m.svi = (uint8_t)vec;
    *reg(OFF_PPR) = vec & 0xf0;
    set_vector(OFF_IRR, vec, false);
    m.rvi = (uint8_t)highest(OFF_IRR);
    m.recognised = false;
    m.cli = true;
    model_delivered((uint8_t)vec, false);
}

static bool exits_for_msr(uint32_t msr, bool write)
{
    const uint8_t *map = rig.field[VMCS_MSR_BITMAP] == MODEL_MAP_APIC ? m.map_apic : m.map_base;

    return map[(write ? 2048 : 0) + msr / 8] >> msr % 8 & 1;
}

/* 30.5. NO_EXIT and *val, else a reason; *fault: #GP. */
uint32_t model_rdmsr(uint32_t msr, uint64_t *val)
{
    if (exits_for_msr(msr, false))
        return EXIT_RDMSR;
    if (!has(PROC2_X2APIC | PROC2_APIC_REGISTERS, VMCS_PROC2_CTL))
        fail_msg("a read of MSR %#x reaches the machine", msr);
    memcpy(val, (uint8_t *)m.page + (msr & 0xff) * 16, sizeof(*val));
    return NO_EXIT;
}

uint32_t model_wrmsr(uint32_t msr, uint64_t val, bool *fault)
{
    if (exits_for_msr(msr, true))
        return EXIT_WRMSR;
    if (!has(PROC2_X2APIC, VMCS_PROC2_CTL) || !model_keeps())
        fail_msg("a write of MSR %#x reaches the machine", msr);
    *fault = msr == 0x80b ? val : val >> 8;
    if (*fault)
        return NO_EXIT;
    switch (msr) {
    case 0x808:
        *reg(MODEL_TPR) = (uint32_t)val;
        return model_tpr_written();
    case 0x80b:
        return virtualise_eoi();
    case 0x83f:
        if (val >= 16) {
            virtualise_self_ipi((unsigned)val);
            return NO_EXIT;
        }
        *reg(OFF_SELF) = (uint32_t)val;
        rig.field[VMCS_EXIT_QUALIFICATION] = OFF_SELF;
        return EXIT_APIC_WRITE;
    default:
        fail_msg("a write of MSR %#x reaches the machine", msr);
        return NO_EXIT;
    }
}

static void check_rules(void)
{
    struct vmx_verdict verdict;

    vmx_check_entry(&vmx_caps, 40, &verdict);
    /* Guest state is not the model's business. */
    for (unsigned i = 0; i < MIN(verdict.nr, (unsigned)VMX_MAX_BROKEN); i++)
        if (!strncmp(verdict.rule[i], "27.2.1", 6))
            fail_msg("%s", verdict.rule[i]);
}

/* 27.3.2.5, 27.6, 27.7 */
void model_entry(void)
{
    uint32_t info = (uint32_t)rig.field[VMCS_ENTRY_INTR];

    check_rules();
    m.recognised = false;
    if (info & INTR_VALID) {
        assert_false(m.cli || m.shadow);
        m.cli = true;
        model_delivered((uint8_t)info, true);
        rig.field[VMCS_ENTRY_INTR] = 0;
    }
    if (!model_keeps())
        return;
    m.rvi = (uint8_t)rig.field[VMCS_GUEST_INTR_STATUS];
    m.svi = (uint8_t)(rig.field[VMCS_GUEST_INTR_STATUS] >> 8);
    assert_int_equal(m.rvi, highest(OFF_IRR));
    assert_int_equal(m.svi, highest(OFF_ISR));
    virtualise_ppr();
    evaluate();
}

/* ---- what the virtual local APIC needs beside it: nothing happens here ---- */

void vcpu_nmi(struct vcpu *v)
{
    (void)v;
}

void vcpu_init_signal(struct vcpu *v)
{
    (void)v;
}

void vcpu_sipi(struct vcpu *v, uint8_t vector)
{
    (void)v, (void)vector;
}

void vcpu_lapic_enabled(struct vcpu *v)
{
    (void)v;
}

unsigned vcpu_cpu(const struct vcpu *v)
{
    (void)v;
    return 0;
}

int trap_register(struct trap_table *t, enum trap_kind kind, uint64_t first, uint64_t last,
                  const struct trap_ops *ops, void *arg, const char *name)
{
    (void)t, (void)kind, (void)first, (void)last, (void)ops, (void)arg, (void)name;
    return 0;
}

void lapic_timer_arm(uint64_t delta_ns)
{
    (void)delta_ns;
}

int lapic_send_ipi(uint32_t apicid, uint8_t vector)
{
    (void)apicid, (void)vector;
    return 0;
}
