/* SPDX-License-Identifier: MIT */
/*
 * Events into the guest (APM 15.20 and 15.21): injection, the windows that tell when the guest can take the next one,
 * and events whose delivery an exit interrupted.
 */
#include "cpu/svm/svm.h"

#include "cpu/exit.h"

void svm_inject(struct cpu_vcpu *c, const struct cpu_event *ev)
{
    static const uint8_t type[] = {
        [CPU_EVENT_INTR] = SVM_EVENT_INTR,
        [CPU_EVENT_NMI] = SVM_EVENT_NMI,
        [CPU_EVENT_EXCEPTION] = SVM_EVENT_EXCEPTION,
        [CPU_EVENT_SOFT] = SVM_EVENT_SOFT,
    };
    struct svm_vcpu *s = svm_of(c);
    struct vmcb *vm = s->vmcb;

    vm->event_inj = SVM_EVENT_VALID | (uint64_t)type[ev->type] << SVM_EVENT_TYPE_SHIFT | ev->vector;
    if (ev->has_error)
        vm->event_inj |= SVM_EVENT_ERROR_VALID | (uint64_t)ev->error << 32;
    if (ev->type == CPU_EVENT_NMI) {
        /* Without virtual NMIs the end of the handler shows in its IRET only. */
        s->nmi_blocked = true;
        s->iret_at_rip = false;
        vm->intercept1 |= (uint32_t)SVM_INTERCEPT_IRET;
        vm->clean &= ~(uint32_t)SVM_CLEAN_INTERCEPTS;
    }
}

bool svm_can_inject_irq(const struct cpu_vcpu *c)
{
    const struct vmcb *vm = vmcb_of(c);

    return (c->regs.rflags & RFLAGS_IF) && !c->shadow && !(vm->event_inj & SVM_EVENT_VALID);
}

bool svm_can_inject_nmi(const struct cpu_vcpu *c)
{
    struct svm_vcpu *s = svm_of(c);

    /* The IRET that ends the handler has not been executed yet. */
    if (s->iret_at_rip && s->iret_rip == c->regs.rip)
        return false;
    return !s->nmi_blocked && !c->shadow && !(s->vmcb->event_inj & SVM_EVENT_VALID);
}

/*
 * A virtual interrupt of the highest priority that is intercepted: the exit comes as soon as the guest could take it. It
 * is never delivered itself; interrupts are injected as events.
 */
void svm_request_irq_window(struct cpu_vcpu *c)
{
    struct vmcb *vm = vmcb_of(c);

    if (vm->int_ctl & SVM_V_IRQ)
        return;
    vm->int_ctl |= SVM_V_IRQ | SVM_V_IGN_TPR | 0xfULL << SVM_V_PRIO_SHIFT;
    vm->intercept1 |= (uint32_t)SVM_INTERCEPT_VINTR;
    vm->clean &= ~(uint32_t)(SVM_CLEAN_INTERCEPTS | SVM_CLEAN_TPR);
}

void svm_exit_vintr(struct cpu_vcpu *c)
{
    struct vmcb *vm = vmcb_of(c);

    vm->int_ctl &= ~SVM_V_IRQ;
    vm->intercept1 &= ~(uint32_t)SVM_INTERCEPT_VINTR;
    vm->clean &= ~(uint32_t)(SVM_CLEAN_INTERCEPTS | SVM_CLEAN_TPR);
}

/* The IRET intercept is on whenever a handler runs; an interrupt shadow ends by itself before the next exit. */
void svm_request_nmi_window(struct cpu_vcpu *c)
{
    if (c->shadow)
        svm_request_irq_window(c);
}

void svm_exit_iret(struct cpu_vcpu *c)
{
    struct svm_vcpu *s = svm_of(c);

    s->nmi_blocked = false;
    s->iret_at_rip = true;
    s->iret_rip = c->regs.rip;
    s->vmcb->intercept1 &= ~(uint32_t)SVM_INTERCEPT_IRET;
    s->vmcb->clean &= ~(uint32_t)SVM_CLEAN_INTERCEPTS;
}

/*
 * EXITINTINFO (APM 15.7.2) says what was being delivered. Software interrupts, and INT3 and INTO, are not repeated:
 * rip is still on their instruction, which will run again.
 */
void svm_take_interrupted_event(struct cpu_vcpu *c)
{
    struct svm_vcpu *s = svm_of(c);
    uint64_t info = s->vmcb->exit_int_info;
    unsigned type = (info & SVM_EVENT_TYPE_MASK) >> SVM_EVENT_TYPE_SHIFT;
    uint8_t vector = info & SVM_EVENT_VECTOR_MASK;
    struct cpu_event ev = {
        .vector = vector,
        .has_error = info & SVM_EVENT_ERROR_VALID,
        .error = (uint32_t)(info >> 32),
    };

    switch (type) {
    case SVM_EVENT_INTR:
        ev.type = CPU_EVENT_INTR;
        break;
    case SVM_EVENT_NMI:
        ev.type = CPU_EVENT_NMI;
        break;
    case SVM_EVENT_EXCEPTION:
        if (vector == X86_BP || vector == X86_OF)
            return;
        ev.type = CPU_EVENT_EXCEPTION;
        break;
    default:
        return;
    }
    c->pending = ev;
}
