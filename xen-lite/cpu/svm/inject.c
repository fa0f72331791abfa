/* SPDX-License-Identifier: MIT */
/*
 * Events into the guest (APM 15.20 and 15.21): injection, the windows that tell when the guest can take the next one,
 * and events whose delivery an exit interrupted.
 */
#include "cpu/svm/svm.h"

#include "cpu/exit.h"
#include "domain/domain.h"

/* Not for NMI handlers only: an exit that is no longer needed costs one pass, and the guest's IRET runs then. */
static void intercept_iret(struct vmcb *vm)
{
    vm->intercept1 |= (uint32_t)SVM_INTERCEPT_IRET;
    vm->clean &= ~(uint32_t)SVM_CLEAN_INTERCEPTS;
}

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
        intercept_iret(vm);
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

static bool irq_is_being_injected(const struct vmcb *vm)
{
    return (vm->event_inj & SVM_EVENT_VALID) &&
           (vm->event_inj & SVM_EVENT_TYPE_MASK) >> SVM_EVENT_TYPE_SHIFT == SVM_EVENT_INTR;
}

/*
 * A virtual interrupt of the highest priority that is intercepted: the exit comes as soon as the guest could take it, and
 * it is never delivered itself. Where the one virtual interrupt there is takes an interrupt in (svm_enter()), the handler's
 * IRET makes the exit, at the latest.
 */
void svm_request_irq_window(struct cpu_vcpu *c)
{
    struct vmcb *vm = vmcb_of(c);

    if (irq_is_being_injected(vm)) {
        intercept_iret(vm);
        return;
    }
    if (vm->int_ctl & SVM_V_IRQ)
        return;
    vm->int_ctl |= SVM_V_IRQ | SVM_V_IGN_TPR | 0xfULL << SVM_V_PRIO_SHIFT;
    vm->intercept1 |= (uint32_t)SVM_INTERCEPT_VINTR;
    vm->clean &= ~(uint32_t)(SVM_CLEAN_INTERCEPTS | SVM_CLEAN_TPR);
}

void svm_close_irq_window(struct vmcb *vm)
{
    vm->int_ctl &= ~SVM_V_IRQ;
    vm->intercept1 &= ~(uint32_t)SVM_INTERCEPT_VINTR;
    vm->clean &= ~(uint32_t)(SVM_CLEAN_INTERCEPTS | SVM_CLEAN_TPR);
}

/*
 * A request that waits for a lower task priority is due as soon as the guest lowers it, which does not exit otherwise. V_IRQ with
 * the request's own priority (APM 15.21.1) would tell as well, but QEMU 7.2 takes one that equals the task priority for higher.
 */
void svm_watch_cr8(struct cpu_vcpu *c)
{
    struct vmcb *vm = vmcb_of(c);
    bool waits = c->cr8 && c->v->vlapic.blocked;
    uint16_t want = waits ? SVM_INTERCEPT_CR(8) : 0;

    if (want == vm->intercept_cr_write)
        return;
    vm->intercept_cr_write = want;
    vm->clean &= ~(uint32_t)SVM_CLEAN_INTERCEPTS;
}

void svm_exit_vintr(struct cpu_vcpu *c)
{
    svm_close_irq_window(vmcb_of(c));
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

    if (s->nmi_blocked) {
        s->nmi_blocked = false;
        s->iret_at_rip = true;
        s->iret_rip = c->regs.rip;
    }
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
        /* QEMU 7.2 calls the delivery of a virtual interrupt that. */
        ev.type = vector < 32 ? CPU_EVENT_EXCEPTION : CPU_EVENT_INTR;
        break;
    default:
        return;
    }
    c->pending = ev;
}

/*
 * An external interrupt that the guest can take at once goes in as a virtual interrupt rather than through EVENTINJ (APM
 * 15.21.4): the same for the guest, but QEMU 7.2 delivers an injected one again, at any later time and even to the host,
 * when another thread interrupts the emulated CPU (its exception_index stays set after helper_vmrun()).
 */
bool svm_inject_as_virq(struct cpu_vcpu *c)
{
    struct vmcb *vm = vmcb_of(c);

    if (likely(!irq_is_being_injected(vm)) || c->shadow || !(c->regs.rflags & RFLAGS_IF))
        return false;
    /* A window that was asked for before is open now. */
    if (vm->int_ctl & SVM_V_IRQ)
        svm_close_irq_window(vm);
    vm->int_ctl |= SVM_V_IRQ | SVM_V_IGN_TPR | 0xfULL << SVM_V_PRIO_SHIFT |
                   (vm->event_inj & SVM_EVENT_VECTOR_MASK) << SVM_V_VECTOR_SHIFT;
    vm->clean &= ~(uint32_t)SVM_CLEAN_TPR;
    vm->event_inj = 0;
    return true;
}

/* Back in the host: was it taken? A physical interrupt may have come first; then it is due again. */
void svm_after_virq(struct cpu_vcpu *c)
{
    struct vmcb *vm = vmcb_of(c);

    if ((vm->int_ctl & SVM_V_IRQ) && c->pending.type == CPU_EVENT_NONE)
        c->pending = (struct cpu_event){
            .type = CPU_EVENT_INTR,
            .vector = (uint8_t)(vm->int_ctl >> SVM_V_VECTOR_SHIFT),
        };
    vm->int_ctl &= ~(SVM_V_IRQ | 0xffULL << SVM_V_VECTOR_SHIFT);
    vm->clean &= ~(uint32_t)SVM_CLEAN_TPR;
}
