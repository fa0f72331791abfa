/* SPDX-License-Identifier: MIT */
/*
 * The run loop: what is injected when, the generation protocol with those who flush translations, and when the loop
 * gives the CPU back.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "cpu/exit.h"
#include "cpu_fake.h"
#include "domain/domain.h"
#include "lib/string.h"
#include "sim.h"

const struct cpu_backend *cpu_backend;
static struct cpu_backend backend;
static struct domain *dom;
static struct vcpu *vcpu;
static struct cpu_vcpu *c;
static unsigned entries, turns_left, acked, tpr_set, direct_calls;
static int best_irq, direct_vector;
static struct cpu_event entered_with;
static uint64_t gen_in_guest;
static void (*in_guest)(void);

int vlapic_next_irq_slow(struct vlapic *l)
{
    (void)l;
    return best_irq;
}

void vlapic_ack_irq(struct vlapic *l, uint8_t vec)
{
    l->pending = 0;
    acked = vec;
    best_irq = -1;
}

void vlapic_set_tpr(struct vlapic *l, uint8_t tpr)
{
    l->tpr = tpr;
    tpr_set++;
}

int evtchn_direct_vector(const struct vcpu *v)
{
    (void)v;
    direct_calls++;
    return direct_vector;
}

static void enter(struct cpu_vcpu *v)
{
    assert_ptr_equal(v, c);
    assert_ptr_equal(this_cpu()->guest_p2m, &dom->p2m);
    gen_in_guest = this_cpu()->guest_gen;
    entered_with = fake.injected;
    fake.injected.type = CPU_EVENT_NONE;
    entries++;
    if (in_guest)
        in_guest();
}

static void handle_exit(struct cpu_vcpu *v)
{
    (void)v;
    /* Handlers run outside of guest mode, or those who flush would wait for them. */
    assert_int_equal(this_cpu()->guest_gen, GEN_NOT_IN_GUEST);
    if (!--turns_left)
        this_cpu()->resched = true;
}

static int setup(void **state)
{
    (void)state;
    backend = fake_backend;
    backend.enter = enter;
    backend.handle_exit = handle_exit;
    cpu_backend = &backend;
    dom = calloc(1, sizeof(*dom));
    vcpu = calloc(1, sizeof(*vcpu));
    vcpu->domain = dom;
    c = &vcpu->cpu;
    c->v = vcpu;
    c->p2m = &dom->p2m;
    c->regs.rflags = 0x202;
    dom->p2m.gen = c->tlb_gen = 7;
    memset(&fake, 0, sizeof(fake));
    memset(&entered_with, 0, sizeof(entered_with));
    entries = acked = tpr_set = direct_calls = 0;
    turns_left = 1;
    best_irq = direct_vector = -1;
    in_guest = NULL;
    this_cpu()->resched = false;
    this_cpu()->guest_gen = GEN_NOT_IN_GUEST;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    free(vcpu);
    free(dom);
    return 0;
}

static void test_nothing_to_do(void **state)
{
    (void)state;
    turns_left = 3;
    cpu_run(vcpu);
    assert_int_equal(entries, 3);
    assert_int_equal(c->nr_exits, 3);
    assert_int_equal(entered_with.type, CPU_EVENT_NONE);
    assert_int_equal(gen_in_guest, 7);
    assert_int_equal(this_cpu()->guest_gen, GEN_NOT_IN_GUEST);
    assert_int_equal(fake.tlb_flushes, 0);
    assert_int_equal(direct_calls, 0); /* the fast path looks at flags only */
    assert_int_equal(tpr_set, 0);
}

static void test_resched_first(void **state)
{
    (void)state;
    this_cpu()->resched = true;
    cpu_run(vcpu);
    assert_int_equal(entries, 0);
    assert_int_equal(this_cpu()->guest_gen, GEN_NOT_IN_GUEST);
}

static void test_interrupt(void **state)
{
    (void)state;
    vcpu->vlapic.pending = 1;
    best_irq = 0xec;
    cpu_run(vcpu);
    assert_int_equal(entered_with.type, CPU_EVENT_INTR);
    assert_int_equal(entered_with.vector, 0xec);
    assert_int_equal(acked, 0xec);
    assert_false(fake.irq_window);
}

static void test_interrupt_held_back(void **state)
{
    (void)state;
    vcpu->vlapic.pending = 1;
    best_irq = 0xec;
    c->regs.rflags = 2;
    cpu_run(vcpu);
    assert_int_equal(entered_with.type, CPU_EVENT_NONE);
    assert_int_equal(acked, 0); /* still the local APIC's */
    assert_true(fake.irq_window);

    this_cpu()->resched = false;
    turns_left = 1;
    fake.irq_window = false;
    c->regs.rflags = 0x202;
    c->shadow = 1;
    cpu_run(vcpu);
    assert_int_equal(acked, 0);
    assert_true(fake.irq_window);
}

static void test_direct_vector(void **state)
{
    (void)state;
    dom->evtchn.callback_vector = 0xf3;
    direct_vector = 0xf3;
    vcpu->vlapic.pending = 1;
    best_irq = 0xec;
    cpu_run(vcpu);
    assert_int_equal(entered_with.vector, 0xf3);
    assert_int_equal(acked, 0);   /* it has no local APIC behind it */
    assert_true(fake.irq_window); /* the other one's turn comes without an EOI */
}

static bool served;

static bool serve_apic(struct cpu_vcpu *v)
{
    assert_ptr_equal(v, c);
    /* What it is told now takes effect, or somebody sends an interrupt. */
    assert_int_equal(this_cpu()->guest_gen, 7);
    return served;
}

/* Where the CPU delivers what the local APIC has, only what has none behind it is injected. */
static void test_served(void **state)
{
    (void)state;
    backend.serve_apic = serve_apic;
    served = true;
    vcpu->vlapic.pending = 1;
    best_irq = 0xec;
    cpu_run(vcpu);
    assert_int_equal(entered_with.type, CPU_EVENT_NONE);
    assert_false(fake.irq_window);
    dom->evtchn.callback_vector = direct_vector = 0xf3;
    this_cpu()->resched = false;
    turns_left = 1;
    cpu_run(vcpu);
    assert_int_equal(entered_with.vector, 0xf3);
    assert_false(fake.irq_window);
    assert_int_equal(acked, 0);
    direct_vector = -1;
    served = false;
    this_cpu()->resched = false;
    turns_left = 1;
    cpu_run(vcpu);
    assert_int_equal(entered_with.vector, 0xec);
}

static void test_exception_first(void **state)
{
    (void)state;
    c->pending = (struct cpu_event){ CPU_EVENT_EXCEPTION, X86_GP, true, 0x10 };
    vcpu->vlapic.pending = 1;
    best_irq = 0xec;
    cpu_run(vcpu);
    assert_int_equal(entered_with.type, CPU_EVENT_EXCEPTION);
    assert_int_equal(entered_with.vector, X86_GP);
    assert_int_equal(entered_with.error, 0x10);
    assert_int_equal(c->pending.type, CPU_EVENT_NONE);
    assert_int_equal(acked, 0);
    assert_true(fake.irq_window); /* the interrupt comes as soon as it can */
}

static void test_nmi(void **state)
{
    (void)state;
    c->nmi_pending = true;
    vcpu->vlapic.pending = 1;
    best_irq = 0xec;
    cpu_run(vcpu);
    assert_int_equal(entered_with.type, CPU_EVENT_NMI);
    assert_false(c->nmi_pending);
    assert_int_equal(acked, 0);
    assert_true(fake.irq_window);

    this_cpu()->resched = false;
    turns_left = 1;
    c->nmi_pending = true;
    c->shadow = 1;
    best_irq = -1;
    cpu_run(vcpu);
    assert_true(c->nmi_pending);
    assert_true(fake.nmi_window);
}

static void write_cr8(void)
{
    c->cr8 = 9;
}

static void test_priority(void **state)
{
    (void)state;
    vcpu->vlapic.tpr = 0x35;
    in_guest = write_cr8;
    cpu_run(vcpu);
    assert_int_equal(vcpu->vlapic.tpr, 0x90);
    in_guest = NULL;
    this_cpu()->resched = false;
    turns_left = 1;
    cpu_run(vcpu);
    assert_int_equal(c->cr8, 9);
    assert_int_equal(tpr_set, 1);
}

static void somebody_flushes(void)
{
    if (entries > 1)
        return;
    dom->p2m.gen++;
    /* Who flushes sees this CPU with the old generation and nobody else. */
    assert_true(cpu_runs_older(0, &dom->p2m, dom->p2m.gen));
    assert_false(cpu_runs_older(0, &dom->p2m, 7));
    assert_false(cpu_runs_older(0, (struct p2m *)&entries, dom->p2m.gen));
}

static void test_generation(void **state)
{
    (void)state;
    in_guest = somebody_flushes;
    turns_left = 2;
    cpu_run(vcpu);
    assert_int_equal(entries, 2);
    assert_int_equal(gen_in_guest, 8);
    assert_int_equal(fake.tlb_flushes, 1);
    assert_int_equal(c->tlb_gen, 8);
    assert_false(cpu_runs_older(0, &dom->p2m, 9)); /* outside of guest mode */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_nothing_to_do, setup, teardown),
        cmocka_unit_test_setup_teardown(test_resched_first, setup, teardown),
        cmocka_unit_test_setup_teardown(test_interrupt, setup, teardown),
        cmocka_unit_test_setup_teardown(test_interrupt_held_back, setup, teardown),
        cmocka_unit_test_setup_teardown(test_direct_vector, setup, teardown),
        cmocka_unit_test_setup_teardown(test_served, setup, teardown),
        cmocka_unit_test_setup_teardown(test_exception_first, setup, teardown),
        cmocka_unit_test_setup_teardown(test_nmi, setup, teardown),
        cmocka_unit_test_setup_teardown(test_priority, setup, teardown),
        cmocka_unit_test_setup_teardown(test_generation, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
