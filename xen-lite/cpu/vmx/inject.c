/* SPDX-License-Identifier: MIT */
/*
 * Events into the guest (SDM 27.6), the windows that tell when it can take the next one (SDM 26.2), and events whose
 * delivery an exit interrupted (SDM 28.2.4).
 */
#include "cpu/vmx/vmx.h"

#include "cpu/exit.h"

/* SDM vol. 3, table 6-1: the exceptions that push an error code; an entry that says otherwise fails (SDM 27.2.1.3). */
static bool pushes_error(uint8_t vector)
{
    return vector == X86_DF || (vector >= X86_TS && vector <= X86_PF) || vector == X86_AC;
}

void vmx_inject(struct cpu_vcpu *c, const struct cpu_event *ev)
{
    static const uint8_t type[] = {
        [CPU_EVENT_INTR] = INTR_TYPE_EXTERNAL,
        [CPU_EVENT_NMI] = INTR_TYPE_NMI,
        [CPU_EVENT_EXCEPTION] = INTR_TYPE_EXCEPTION,
        [CPU_EVENT_SOFT] = INTR_TYPE_SOFT,
    };
    struct vmx_vcpu *s = vmx_of(c);
    uint32_t info = (uint32_t)INTR_VALID | (uint32_t)type[ev->type] << INTR_TYPE_SHIFT | ev->vector;

    /* rip is where delivery is to return to, so the instruction counts as having no length. */
    if (ev->type == CPU_EVENT_SOFT)
        vmcs_write(VMCS_ENTRY_INSN_LEN, 0);
    /* There are no error codes in real mode. */
    if (ev->type == CPU_EVENT_EXCEPTION && pushes_error(ev->vector) &&
        (vmx_get(s, SLOT_CR0) & V_CR0_PE)) {
        info |= (uint32_t)INTR_ERROR_VALID;
        vmcs_write(VMCS_ENTRY_INTR_ERROR, ev->has_error ? ev->error & 0xffff : 0);
    }
    vmcs_write(VMCS_ENTRY_INTR, info);
    s->injecting = true;
}

bool vmx_can_inject_irq(const struct cpu_vcpu *c)
{
    return (c->regs.rflags & RFLAGS_IF) && !c->shadow && !vmx_of(c)->injecting;
}

bool vmx_can_inject_nmi(const struct cpu_vcpu *c)
{
    struct vmx_vcpu *s = vmx_of(c);

    return !(vmx_get(s, SLOT_INTERRUPTIBILITY) & INTR_BLOCK_NMI) && !c->shadow && !s->injecting;
}

static void set_proc_ctl(struct vmx_vcpu *s, uint32_t val)
{
    s->proc_ctl = val;
    s->attention = true;
}

void vmx_request_irq_window(struct cpu_vcpu *c)
{
    set_proc_ctl(vmx_of(c), vmx_of(c)->proc_ctl | (uint32_t)PROC_IRQ_WINDOW);
}

void vmx_request_nmi_window(struct cpu_vcpu *c)
{
    set_proc_ctl(vmx_of(c), vmx_of(c)->proc_ctl | (uint32_t)PROC_NMI_WINDOW);
}

void vmx_exit_irq_window(struct cpu_vcpu *c)
{
    set_proc_ctl(vmx_of(c), vmx_of(c)->proc_ctl & ~(uint32_t)PROC_IRQ_WINDOW);
}

void vmx_exit_nmi_window(struct cpu_vcpu *c)
{
    set_proc_ctl(vmx_of(c), vmx_of(c)->proc_ctl & ~(uint32_t)PROC_NMI_WINDOW);
}

void vmx_restore_nmi_blocking(struct vmx_vcpu *s, bool unblocked)
{
    if (unblocked && !(vmcs_read(VMCS_IDT_VECTORING) & INTR_VALID))
        vmx_set(s, SLOT_INTERRUPTIBILITY, vmx_get(s, SLOT_INTERRUPTIBILITY) | INTR_BLOCK_NMI);
}

/*
 * Software interrupts, INT3, INTO and ICEBP are not repeated: rip is still on their instruction, which will run again. An
 * NMI that goes in again must not find itself blocked (SDM 27.2.1.3).
 */
void vmx_take_interrupted_event(struct cpu_vcpu *c, uint32_t info)
{
    struct vmx_vcpu *s = vmx_of(c);
    struct cpu_event ev = { .vector = (uint8_t)(info & INTR_VECTOR_MASK) };

    switch ((info & INTR_TYPE_MASK) >> INTR_TYPE_SHIFT) {
    case INTR_TYPE_EXTERNAL:
        ev.type = CPU_EVENT_INTR;
        break;
    case INTR_TYPE_NMI:
        ev.type = CPU_EVENT_NMI;
        vmx_set(s, SLOT_INTERRUPTIBILITY, vmx_get(s, SLOT_INTERRUPTIBILITY) & ~INTR_BLOCK_NMI);
        break;
    case INTR_TYPE_EXCEPTION:
        ev.type = CPU_EVENT_EXCEPTION;
        ev.has_error = info & INTR_ERROR_VALID;
        if (ev.has_error)
            ev.error = (uint32_t)vmcs_read(VMCS_IDT_VECTORING_ERROR);
        break;
    default:
        return;
    }
    c->pending = ev;
}
