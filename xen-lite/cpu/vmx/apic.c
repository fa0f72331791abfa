/* SPDX-License-Identifier: MIT */
/*
 * Local APICs of guests that the CPU keeps (SDM chapter 30): in x2APIC mode, with APIC-register virtualisation and
 * virtual-interrupt delivery. Reads of most registers, writes of the task priority, EOIs and self-IPIs do not exit, and an
 * interrupt is delivered by the CPU as soon as the guest can take it, without a window.
 *
 * The registers are in the virtual-APIC page then (vdev/vlapic_page.c), which nobody but this CPU writes to. What is requested
 * waits in the virtual local APIC, and goes into the page before the next entry. Where the CPU processes posted interrupts
 * (SDM 30.6), edges are posted instead, by units and by other CPUs, and while the guest runs the CPU takes them into the
 * page when the notification comes, without an exit. In xAPIC mode, and while the guest has its APIC off, the registers are
 * emulated: the page at FEE00000h traps.
 */
#include "cpu/vmx/apic.h"

#include "cpu/exit.h"

#define MSR_X2APIC(reg) (VLAPIC_MSR_X2APIC + (reg))

const char *vmx_apic_summary(const struct vmx_caps *caps)
{
    if (caps->ctl.apic_pin)
        return "the CPU keeps those in x2APIC mode and takes posted interrupts";
    return caps->ctl.apic_proc2 ? "the CPU keeps those in x2APIC mode" : "emulated";
}

/*
 * What is read from the page without an exit (SDM 30.5) must be right there: vlapic_page.c sees to it for these. Not for the
 * trigger modes, which are not in the page, the timer's count, which runs, and the ICR, whose halves the page has apart.
 * A write of any other register would reach the machine's own APIC if it did not exit.
 */
void vmx_apic_open_msrs(uint8_t *map)
{
    static const struct {
        uint8_t first, last;
        bool write;
    } open[] = {
        { 0x02, 0x03, false }, /* id, version */
        { 0x08, 0x08, true },  /* task priority */
        { 0x0a, 0x0a, false }, /* processor priority */
        { 0x0d, 0x0d, false }, /* logical destination */
        { 0x0f, 0x17, false }, /* spurious vector, in service */
        { 0x20, 0x28, false }, /* requests, errors */
        { 0x32, 0x38, false }, /* local vectors, initial count */
        { 0x3e, 0x3e, false }, /* divisor */
    };

    for (unsigned i = 0; i < ARRAY_SIZE(open); i++)
        for (uint32_t reg = open[i].first; reg <= open[i].last; reg++)
            (void)vmx_msrbm_allow(map, MSR_X2APIC(reg), true, open[i].write);
    (void)vmx_msrbm_allow(map, MSR_X2APIC(0x0b), false, true); /* EOI */
    (void)vmx_msrbm_allow(map, MSR_X2APIC(0x3f), false, true); /* self-IPI */
}

/* Without a TPR shadow writes of CR8 exit anyway. */
void vmx_set_tpr_threshold(struct vmx_vcpu *s, uint32_t threshold)
{
    if (threshold == s->tpr_threshold)
        return;
    if (s->ctl.proc & PROC_TPR_SHADOW)
        vmcs_write(VMCS_TPR_THRESHOLD, threshold);
    s->tpr_threshold = threshold;
}

static void set_controls(struct vmx_vcpu *s, bool keep)
{
    vmcs_write(VMCS_PROC2_CTL, s->ctl.proc2 | (keep ? s->ctl.apic_proc2 : 0));
    vmcs_write(VMCS_PIN_CTL, s->ctl.pin | (keep ? s->ctl.apic_pin : 0));
    vmcs_write(VMCS_MSR_BITMAP, keep ? s->addr.apic_bitmap : s->addr.msr_bitmap);
    s->keeps_apic = keep;
}

void vmx_apic_off(struct vmx_vcpu *s)
{
    set_controls(s, false);
}

static void keep(struct cpu_vcpu *c, struct vmx_vcpu *s)
{
    struct vlapic *l = &c->v->vlapic;

    vlapic_to_page(l, (uint32_t *)s->vapic, s->ctl.apic_pin);
    vmcs_write(VMCS_GUEST_INTR_STATUS, INTR_STATUS(0, vlapic_page_in_service(l)));
    set_controls(s, true);
}

/* Only EOIs of level-triggered interrupts concern anybody else. */
static void sync_eoi_exits(struct vmx_vcpu *s, const struct vlapic *l)
{
    for (unsigned i = 0; i < ARRAY_SIZE(s->eoi_exit); i++) {
        uint64_t level = vlapic_level_vectors(l, i);

        if (likely(level == s->eoi_exit[i]))
            continue;
        vmcs_write((uint16_t)(VMCS_EOI_EXIT0 + 2 * i), level);
        s->eoi_exit[i] = level;
    }
}

/*
 * The CPU takes note of what was requested: it looks at RVI at the entry, and later when priorities change (SDM 30.2.1).
 * False: the registers are emulated.
 */
bool vmx_serve_apic(struct cpu_vcpu *c)
{
    struct vmx_vcpu *s = vmx_of(c);
    struct vlapic *l = &c->v->vlapic;
    uint64_t old, status;

    if (!s->ctl.apic_proc2)
        return false;
    if (s->ctl.apic_pin && READ_ONCE(l->pending))
        vcpu_take_posted(c->v);
    if (unlikely(!l->page)) {
        if (!vlapic_page_possible(l))
            return false;
        keep(c, s);
    }
    if (!READ_ONCE(l->pending))
        return true;
    old = vmcs_read(VMCS_GUEST_INTR_STATUS);
    status = INTR_STATUS(vlapic_page_requests(l), INTR_STATUS_SVI(old));
    if (status != old)
        vmcs_write(VMCS_GUEST_INTR_STATUS, status);
    sync_eoi_exits(s, l);
    return true;
}

/* ---- exits, which come after the instruction (SDM 30.1.4, 30.4.3.3) ---- */

void vmx_exit_eoi(struct cpu_vcpu *c)
{
    vlapic_page_eoi(&c->v->vlapic, (uint8_t)vmcs_read(VMCS_EXIT_QUALIFICATION));
}

/* A self-IPI with a vector below 16, which is an error. */
void vmx_exit_apic_write(struct cpu_vcpu *c)
{
    uint64_t q = vmcs_read(VMCS_EXIT_QUALIFICATION);

    if (vlapic_page_written(&c->v->vlapic, APICQ_OFFSET(q)))
        exit_internal(c, "APIC write", q);
}
