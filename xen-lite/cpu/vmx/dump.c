/* SPDX-License-Identifier: MIT */
/*
 * For people: the VMCS in words, and why VM entry failed.
 */
#include "cpu/vmx/vmx.h"

#include "cpu/exit.h"
#include "cpu/vmx/check.h"
#include "cpu/x86.h"
#include "lib/printf.h"
#include "lib/string.h"

/* SDM vol. 3, 31.4, table 31-1: the numbers that VMLAUNCH and VMRESUME can give. */
static const char *insn_error(uint32_t number)
{
    switch (number) {
    case 4:
        return "VMLAUNCH with a VMCS that is not clear";
    case 5:
        return "VMRESUME with a VMCS that was not launched";
    case 6:
        return "VMRESUME after VMXOFF";
    case 7:
        return "control fields are invalid";
    case 8:
        return "host state is invalid";
    case 25:
        return "VMCS-executive pointer is invalid";
    case 26:
        return "events are blocked by MOV SS";
    default:
        return number ? "another error" : "no current VMCS";
    }
}

static const char *entry_reason(uint32_t reason)
{
    switch (reason & EXIT_REASON_MASK) {
    case EXIT_GUEST_STATE:
        return "guest state is invalid";
    case EXIT_MSR_LOADING:
        return "an MSR could not be loaded";
    case EXIT_MC_AT_ENTRY:
        return "a machine check";
    default:
        return "an unknown reason";
    }
}

static void print_controls(uint16_t field, uint32_t val)
{
    char text[400];
    size_t n = 0;

    for (unsigned bit = 0; bit < 32; bit++) {
        const char *name = vmx_control_name(field, bit);

        if (!(val & BIT(bit)) || !name || n > sizeof(text) - 50)
            continue;
        n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%s", n ? ", " : "", name);
    }
    if (n)
        pr_info("    %s", text);
}

/* Fields of features that are not used may not be there. */
static bool exists(const struct vmcs_field *f)
{
    if (f->enc == VMCS_POSTED_VECTOR || f->enc == VMCS_POSTED_DESCRIPTOR)
        return vmx_caps.ctl.apic_pin;
    return f->by != BY_APIC || vmx_caps.ctl.apic_proc2;
}

void vmx_dump_vmcs(void)
{
    for (unsigned i = 0; i < vmcs_table_size; i++) {
        const struct vmcs_field *f = &vmcs_table[i];
        uint64_t val;

        if (!exists(f))
            continue;
        val = vmcs_read(f->enc);
        pr_info("  %04x %-34s %016lx", f->enc, f->name, val);
        if (f->by == BY_CAPS)
            print_controls(f->enc, (uint32_t)val);
    }
}

static unsigned addr_bits(void)
{
    uint32_t a, b, c, d;

    cpuid(0x80000008, 0, &a, &b, &c, &d);
    return MIN(a & 0xff, 52u);
}

static void print_broken(void)
{
    struct vmx_verdict verdict;

    vmx_check_entry(&vmx_caps, addr_bits(), &verdict);
    if (!verdict.nr)
        pr_err("  no rule of VM entry that xen-lite knows is broken");
    for (unsigned i = 0; i < MIN(verdict.nr, (unsigned)VMX_MAX_BROKEN); i++)
        pr_err("  broken: SDM vol. 3, %s", verdict.rule[i]);
}

void vmx_entry_failed(struct cpu_vcpu *c)
{
    const struct vmx_vcpu *s = vmx_of(c);
    const char *why = s->entry_fail ? insn_error(s->entry_fail - 1) : entry_reason(s->exit_reason);

    pr_err("VM entry failed: %s (%s %u, qualification %#lx)", why,
           s->entry_fail ? "error" : "reason",
           s->entry_fail ? s->entry_fail - 1 : s->exit_reason & (uint32_t)EXIT_REASON_MASK,
           vmcs_read(VMCS_EXIT_QUALIFICATION));
    print_broken();
    vmx_dump_vmcs();
    vcpu_crash(c->v, "VM entry failed: %s", why);
}

/* A rule that is broken here is a bug of ours, or a tool's nonsense. */
void vmx_first_check(struct vmx_vcpu *s)
{
    struct vmx_verdict verdict;

    s->checked = true;
    vmx_check_entry(&vmx_caps, addr_bits(), &verdict);
    if (verdict.nr)
        print_broken();
}

void vmx_dump(const struct cpu_vcpu *c)
{
    const struct vmx_vcpu *s = vmx_of(c);

    if (!s->loaded)
        return;
    pr_info("  exit %#x qualification %#lx gpa %#lx intr %#lx idt %#lx interruptibility %#lx vpid %lu",
            s->exit_reason, vmcs_read(VMCS_EXIT_QUALIFICATION), vmcs_read(VMCS_GUEST_PHYSICAL),
            vmcs_read(VMCS_EXIT_INTR), vmcs_read(VMCS_IDT_VECTORING),
            vmcs_read(VMCS_GUEST_INTERRUPTIBILITY), s->addr.vpid);
    if (s->keeps_apic)
        pr_info("  the CPU keeps the local APIC: interrupt status %#lx, task priority %#x",
                vmcs_read(VMCS_GUEST_INTR_STATUS), s->vapic[VAPIC_TPR]);
}
