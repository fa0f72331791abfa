/* SPDX-License-Identifier: MIT */
/*
 * Turns of the current vCPU: publish the p2m generation, drop stale translations, inject what is due, run, answer the
 * exit. This is the path that every exit pays for, so it does nothing that an earlier layer could have done.
 */
#include "cpu/exit.h"
#include "cpu/vcpu.h"

#include "domain/domain.h"
#include "hypercall/evtchn.h"
#include "lib/percpu.h"
#include "p2m/p2m.h"
#include "vdev/vlapic.h"

bool cpu_runs_older(unsigned cpu, const struct p2m *p2m, uint64_t gen)
{
    struct percpu *pc = percpu_of(cpu);
    uint64_t in = __atomic_load_n(&pc->guest_gen, __ATOMIC_ACQUIRE);

    return in != GEN_NOT_IN_GUEST && in < gen && READ_ONCE(pc->guest_p2m) == p2m;
}

/*
 * From the exchange on this CPU counts as in guest mode, with the generation that it says. Whoever raises the
 * generation later sees it and sends an interrupt, which ends the guest's run at once if it comes before it began. The
 * full barrier also orders this before the look at pending interrupts (vdev/vlapic.h).
 */
static void publish_generation(struct percpu *pc, struct cpu_vcpu *c)
{
    uint64_t gen = READ_ONCE(c->p2m->gen), now;

    WRITE_ONCE(pc->guest_p2m, c->p2m);
    for (;;) {
        __atomic_exchange_n(&pc->guest_gen, gen, __ATOMIC_SEQ_CST);
        now = READ_ONCE(c->p2m->gen);
        if (likely(now == gen))
            break;
        gen = now;
    }
    if (unlikely(c->tlb_gen != gen)) {
        c->tlb_gen = gen;
        cpu_backend->flush_tlb(c);
    }
}

static void inject_nmi(struct cpu_vcpu *c)
{
    static const struct cpu_event nmi = { .type = CPU_EVENT_NMI, .vector = X86_NMI };

    if (cpu_backend->can_inject_nmi(c)) {
        __atomic_store_n(&c->nmi_pending, false, __ATOMIC_SEQ_CST);
        cpu_backend->inject(c, &nmi);
    } else {
        cpu_backend->request_nmi_window(c);
    }
}

static __attribute__((noinline)) void inject_waiting(struct vcpu *v, struct cpu_vcpu *c)
{
    bool served = cpu_backend->serve_apic && cpu_backend->serve_apic(c);
    struct cpu_event ev = { .type = CPU_EVENT_INTR };
    int vector = evtchn_direct_vector(v);
    bool direct = vector >= 0; /* it has no local APIC behind it */

    if (c->pending.type != CPU_EVENT_NONE) {
        cpu_backend->inject(c, &c->pending);
        c->pending.type = CPU_EVENT_NONE;
    }
    if (READ_ONCE(c->nmi_pending))
        inject_nmi(c);
    if (!direct && !served)
        vector = vlapic_next_irq(&v->vlapic);
    if (vector < 0)
        return;
    if (!cpu_backend->can_inject_irq(c)) {
        cpu_backend->request_irq_window(c);
        return;
    }
    ev.vector = (uint8_t)vector;
    cpu_backend->inject(c, &ev);
    if (!direct)
        vlapic_ack_irq(&v->vlapic, ev.vector);
    /* Whatever else is due must not wait for an exit that may never come: the handler need not end with an EOI. */
    if (!served && vlapic_next_irq(&v->vlapic) >= 0)
        cpu_backend->request_irq_window(c);
}

/* Anything at all to look at? Cheap, and may say yes in vain. */
static inline bool may_inject(const struct vcpu *v, const struct cpu_vcpu *c)
{
    return READ_ONCE(v->vlapic.pending) || c->pending.type != CPU_EVENT_NONE ||
           READ_ONCE(c->nmi_pending) || v->domain->evtchn.callback_vector;
}

void cpu_run(struct vcpu *v)
{
    struct cpu_vcpu *c = &v->cpu;
    struct percpu *pc = this_cpu();

    for (;;) {
        publish_generation(pc, c);
        /* Whoever asks for another vCPU here does so before it looks whether this CPU is in guest mode. */
        if (unlikely(READ_ONCE(pc->resched)))
            break;
        c->cr8 = vlapic_get_cr8(&v->vlapic);
        if (unlikely(may_inject(v, c)))
            inject_waiting(v, c);
        cpu_backend->enter(c);
        __atomic_store_n(&pc->guest_gen, GEN_NOT_IN_GUEST, __ATOMIC_RELEASE);
        vlapic_set_cr8(&v->vlapic, c->cr8);
        c->nr_exits++;
        cpu_backend->handle_exit(c);
    }
    __atomic_store_n(&pc->guest_gen, GEN_NOT_IN_GUEST, __ATOMIC_RELEASE);
}
