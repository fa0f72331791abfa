/* SPDX-License-Identifier: MIT */
/*
 * Local APICs that the CPU keeps, on a model of a CPU written from the SDM's chapter 30. Each game is played twice by the real
 * run loop with the same dice, the registers once emulated and once kept by the CPU, which may also take posted interrupts:
 * guests must see the same, that is every vector at the same place, every register with the same value, every EOI that
 * concerns the IO-APICs.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "cpu/exit.h"
#include "cpu/vmx/apic.h"
#include "irq/timer.h"
#include "lib/string.h"
#include "sim.h"
#include "vmx_apic_model.h"

#include <xen/xen.h>

#include <xen/hvm/save.h>

#define STEPS        3000u
#define GAMES        300u
#define LEVEL_VECTOR 0xc0u /* from here on interrupts are level triggered */
#define DIRECT       0xe1  /* has no local APIC behind it */

const struct cpu_backend *cpu_backend;

static struct domain *dom;
static struct vcpu *vcpu, *other;
static struct vlapic *l;
static int direct = -1;

/* ---- what is compared ---- */

struct note {
    uint32_t step, what;
    uint64_t val;
};

enum { DELIVERED, INJECTED, READ, FAULT, TOLD_IOAPIC, AWAKE, RECORD, IPI };

static struct note *trace;
static unsigned nr_notes, max_notes, room, step;
static bool comparing;
static unsigned steps_kept, nr_taken;
static bool asked; /* what comes from outside before the next instruction has come */
static bool tool;  /* a tool works on the vCPU */

static void note(uint32_t what, uint64_t val)
{
    const struct note n = { step, what, val };

    if (comparing) {
        assert_true(nr_notes < max_notes);
        if (memcmp(&trace[nr_notes], &n, sizeof(n)))
            fail_msg("step %u: %u %#lx instead of step %u: %u %#lx", n.step, n.what, n.val,
                     trace[nr_notes].step, trace[nr_notes].what, trace[nr_notes].val);
        nr_notes++;
        return;
    }
    if (nr_notes == room) {
        room = room ? 2 * room : 1024;
        trace = realloc(trace, room * sizeof(*trace));
    }
    memset(&trace[nr_notes], 0, sizeof(n));
    trace[nr_notes++] = n;
}

/* ---- dice ---- */

static uint64_t rng;

static unsigned roll(unsigned n)
{
    rng ^= rng << 13;
    rng ^= rng >> 7;
    rng ^= rng << 17;
    return (unsigned)(rng >> 11) % n;
}

/* ---- what the layers around need ---- */

void vioapic_eoi(struct vapic_bus *bus, uint8_t vector)
{
    (void)bus;
    note(TOLD_IOAPIC, vector);
}

static bool kicked, notified, in_guest;
static uint64_t pid[5]; /* the descriptor */

enum ir_post_answer ir_post_request(struct ir_post *p, uint8_t vec)
{
    uint64_t bit = 1ULL << vec % 64;
    bool merged = pid[vec / 64] & bit, told = pid[4] & 1;

    assert_ptr_equal(p, pid);
    pid[vec / 64] |= bit;
    pid[4] |= !merged;
    return merged ? IR_POST_MERGED : told ? IR_POST_TOLD : IR_POST_TELL;
}

void vcpu_tell_posted(struct vcpu *v)
{
    assert_ptr_equal(v, vcpu);
    notified = in_guest;
}

void vcpu_take_posted(struct vcpu *v)
{
    uint64_t vectors[4];

    assert_ptr_equal(v, vcpu);
    memcpy(vectors, pid, sizeof(vectors));
    memset(pid, 0, sizeof(pid));
    (void)vlapic_accept_posted(l, vectors);
}

void vcpu_kick(struct vcpu *v)
{
    if (v == vcpu)
        kicked = true;
    else
        note(IPI, 0);
}

struct vapic_bus *domain_vapic(struct domain *d)
{
    return &d->vapic;
}

struct vlapic *vcpu_vlapic(struct vcpu *v)
{
    return &v->vlapic;
}

int evtchn_direct_vector(const struct vcpu *v)
{
    (void)v;
    return direct;
}

void exit_internal(struct cpu_vcpu *c, const char *what, uint64_t code)
{
    (void)c;
    fail_msg("unexpected %s %#lx", what, code);
}

/* ---- the guest ---- */

/* The vector that has no local APIC behind it goes in by itself in either mode. */
void model_delivered(uint8_t vec, bool injected)
{
    note(injected && vec == DIRECT ? INJECTED : DELIVERED, vec);
}

/* An instruction whose exit is being answered. */
static struct {
    uint32_t msr;
    uint64_t val;
    bool mmio;
} insn;

static void told(int failed, uint64_t val)
{
    note(failed ? FAULT : READ, failed ? insn.msr : val);
}

static uint32_t guest_rdmsr(uint32_t msr)
{
    uint64_t val;
    uint32_t exit = model_rdmsr(msr, &val);

    insn.msr = msr;
    if (exit == NO_EXIT)
        told(0, val);
    return exit;
}

static uint32_t guest_wrmsr(uint32_t msr, uint64_t val)
{
    bool fault = false;
    uint32_t exit = model_wrmsr(msr, val, &fault);

    insn.msr = msr;
    insn.val = val;
    if (fault)
        note(FAULT, msr);
    return exit;
}

static uint32_t guest_cr8(unsigned val)
{
    m.page[MODEL_TPR / 4] = val << 4;
    return model_tpr_written();
}

static uint32_t some_read(void)
{
    return guest_rdmsr(0x800 + roll(0x40));
}

static uint32_t some_write(void)
{
    static const uint32_t lvt[] = { 0x832, 0x835, 0x836, 0x837, 0x838, 0x83e, 0x828, 0x802 };

    switch (roll(12)) {
    case 0:
        return guest_wrmsr(0x80f, 0x1ff);
    case 1:
        return guest_wrmsr(0x80f, roll(6) ? 0x1ff : 0xff);
    case 2:
        return guest_wrmsr(0x1b, 0xfee00900 | (roll(4) ? 3u : roll(4)) << 10);
    case 3:
        return guest_wrmsr(0x80b, 1);
    case 4:
        return guest_wrmsr(0x808, 0x100);
    case 5:
        return guest_wrmsr(0x830, 1u << 18 | (0x20 + roll(0xa0)));
    case 6:
        return guest_wrmsr(0x830, 2ull << 32 | (0x20 + roll(0xa0)));
    case 7:
        return guest_wrmsr(0x83f, roll(16));
    default:
        return guest_wrmsr(lvt[roll(ARRAY_SIZE(lvt))], 0x10000 | roll(256));
    }
}

/* One instruction: an exit's reason, or NO_EXIT. */
static uint32_t guest_step(void)
{
    steps_kept += model_keeps();
    switch (roll(16)) {
    case 0 ... 3:
        m.shadow = m.cli;
        m.cli = false;
        return NO_EXIT;
    case 4:
        m.cli = true;
        return NO_EXIT;
    case 5 ... 7:
        return guest_wrmsr(0x80b, 0);
    case 8:
        return guest_wrmsr(0x808, roll(3) ? 0 : roll(16) << 4);
    case 9:
        return guest_cr8(roll(3) ? 0 : roll(16));
    case 10:
        return guest_wrmsr(0x83f, 0x10 + roll(0xb0));
    case 11:
        return EXIT_HLT;
    case 12:
        return some_write();
    case 13: /* back to where it all works */
        return roll(2) ? guest_wrmsr(0x1b, 0xfee00d00) : guest_wrmsr(0x80f, 0x1ff);
    default:
        return some_read();
    }
}

/* Something outside: requests by other CPUs, which make the guest exit. */
static bool outside(void)
{
    unsigned vec = 0x10 + roll(0xf0);

    asked = true;
    kicked = notified = false;
    switch (roll(40)) {
    case 0 ... 1:
        if (vec != DIRECT)
            (void)vlapic_set_irq(l, (uint8_t)vec, vec >= LEVEL_VECTOR);
        break;
    case 2:
        direct = DIRECT;
        return true;
    case 3:
        return true; /* an interrupt of the machine */
    case 4:
        tool = true;
        return true;
    default:
        break;
    }
    return kicked;
}

/* An instruction boundary: what comes before the next instruction. */
static bool boundary(void)
{
    bool open = !m.cli && !m.shadow;

    if (open && (rig.field[VMCS_PROC_CTL] & PROC_IRQ_WINDOW)) {
        model_exit(EXIT_IRQ_WINDOW, 0);
        return true;
    }
    if (open && m.recognised)
        model_deliver();
    return false;
}

static void model_run(void)
{
    model_entry();
    for (;;) {
        uint32_t reason;

        if (boundary())
            return;
        if (!asked) {
            bool exits = outside();

            if (notified) {
                exits = !model_notified(pid);
                nr_taken++;
            }
            if (exits) {
                model_exit(EXIT_EXTERNAL, 0);
                return;
            }
            continue; /* the same boundary again */
        }
        asked = m.shadow = false;
        if (step++ == STEPS) {
            model_exit(EXIT_EXTERNAL, 0);
            this_cpu()->resched = true;
            return;
        }
        reason = guest_step();
        if (reason != NO_EXIT) {
            model_exit(reason, rig.field[VMCS_EXIT_QUALIFICATION]);
            return;
        }
    }
}

/* ---- the backend ---- */

static void enter(struct cpu_vcpu *c)
{
    struct vmx_vcpu *s = vmx_of(c);

    vmx_apic_enter(c, s);
    if (s->proc_ctl != s->proc_ctl_vmcs) {
        vmcs_write(VMCS_PROC_CTL, s->proc_ctl);
        s->proc_ctl_vmcs = s->proc_ctl;
    }
    in_guest = true;
    model_run();
    in_guest = false;
    vmx_apic_leave(c, s);
    c->regs.rflags = m.cli ? 2 : 0x202;
    c->shadow = m.shadow;
    s->injecting = false;
}

/* Things that a tool, or another vCPU, does to one that does not run. */
static void from_outside(void)
{
    struct hvm_hw_lapic hw;
    struct hvm_hw_lapic_regs regs;

    tool = false;
    switch (roll(4)) {
    case 0:
        vcpu_take_posted(vcpu);
        vlapic_save(l, &hw);
        vlapic_save_regs(l, &regs);
        for (unsigned i = 0; i < 1024; i += 16)
            note(RECORD, *(uint32_t *)&regs.data[i]);
        if (roll(2)) {
            assert_int_equal(vlapic_check(l, &hw), 0);
            assert_int_equal(vlapic_check_regs(&regs), 0);
            vlapic_load(l, &hw);
            vlapic_load_regs(l, &regs);
        }
        break;
    case 1:
        memset(pid, 0, sizeof(pid));
        vlapic_reset_init(l);
        break;
    default:
        break;
    }
}

static void handle_exit(struct cpu_vcpu *c)
{
    uint64_t val = 0;
    int failed;

    switch (vmx_of(c)->exit_reason) {
    case EXIT_RDMSR:
        failed = vlapic_msr_read(l, insn.msr, &val);
        told(failed, val);
        break;
    case EXIT_WRMSR:
        if (vlapic_msr_write(l, insn.msr, insn.val))
            note(FAULT, insn.msr);
        break;
    case EXIT_EOI:
        vmx_exit_eoi(c);
        break;
    case EXIT_APIC_WRITE:
        vmx_exit_apic_write(c);
        break;
    case EXIT_IRQ_WINDOW:
        vmx_exit_irq_window(c);
        return;
    case EXIT_HLT:
        note(AWAKE, vlapic_has_irq(l));
        break;
    case EXIT_EXTERNAL:
        if (tool)
            from_outside();
        break;
    case EXIT_TPR:
        break;
    default:
        fail_msg("exit %u", vmx_of(c)->exit_reason);
    }
}

/* The vector without a local APIC has been taken. */
static void inject(struct cpu_vcpu *c, const struct cpu_event *ev)
{
    if (direct >= 0 && ev->vector == direct)
        direct = -1;
    else
        assert_null(l->page); /* else the CPU does it */
    vmx_inject(c, ev);
}

static const struct cpu_backend backend = {
    .enter = enter,
    .handle_exit = handle_exit,
    .inject = inject,
    .can_inject_irq = vmx_can_inject_irq,
    .request_irq_window = vmx_request_irq_window,
    .serve_apic = vmx_serve_apic,
};

/* ---- games ---- */

enum mode { EMULATED, KEPT, POSTED };

static void start(enum mode mode)
{
    rig_start();
    rig.msr[MSR_VMX_PROC2 - MSR_VMX_BASIC] |= BIT(32 + 8) | BIT(32 + 9);
    rig.msr[MSR_VMX_TRUE_PIN - MSR_VMX_BASIC] |= PIN_POSTED << 32;
    assert_null(vmx_caps_probe(&vmx_caps, rig_rdmsr));
    assert_int_equal(vmx_caps.ctl.apic_pin, PIN_POSTED);
    if (mode == EMULATED)
        vmx_caps_emulate_apic(&vmx_caps);
    else if (mode == KEPT)
        vmx_caps_no_posting(&vmx_caps);
    rig_vmx.ctl = vmx_caps.ctl;
    rig_vmx.proc_ctl = rig_vmx.proc_ctl_vmcs = (uint32_t)vmx_caps.ctl.proc;
    rig_vmx.vapic = (uint8_t *)m.page;
    rig_vmx.addr.msr_bitmap = MODEL_MAP_BASE;
    rig_vmx.addr.apic_bitmap = MODEL_MAP_APIC;
    rig_vmx.addr.posted_vector = 0xf3;
    rig_vmx.addr.posted_descriptor = 0x16000;
    memset(&m, 0, sizeof(m));
    m.cli = true;
    memset(m.map_base, 0xff, sizeof(m.map_base));
    memcpy(m.map_apic, m.map_base, sizeof(m.map_base));
    vmx_apic_open_msrs(m.map_apic);
    rig_fill_vmcs();
    if (rig_vmx.ctl.apic_proc2)
        vmcs_write_set(BY_APIC, NULL);

    memset(dom, 0, sizeof(*dom));
    memset(vcpu, 0, sizeof(*vcpu));
    memset(other, 0, sizeof(*other));
    vapic_bus_init(&dom->vapic, dom);
    vcpu->domain = other->domain = dom;
    vcpu->cpu = rig_cpu;
    vcpu->cpu.v = vcpu;
    vcpu->cpu.p2m = &dom->p2m;
    dom->p2m.gen = vcpu->cpu.tlb_gen = 1;
    dom->evtchn.callback_vector = DIRECT;
    rig_vmx.c = &vcpu->cpu;
    assert_int_equal(vlapic_init(&vcpu->vlapic, &dom->vapic, vcpu, 0), 0);
    vcpu->vlapic.post = (struct ir_post *)pid;
    assert_int_equal(vlapic_init(&other->vlapic, &dom->vapic, other, 1), 0);
    assert_int_equal(vlapic_mmio_write(&other->vlapic, 0xf0, 4, 0x1ff), 0);
    assert_int_equal(vlapic_msr_write(l, 0x1b, 0xfee00d00), 0);
    assert_int_equal(vlapic_msr_write(l, 0x80f, 0x1ff), 0);
    direct = -1;
    step = 0;
    nr_notes = steps_kept = nr_taken = 0;
    memset(pid, 0, sizeof(pid));
    asked = tool = false;
    this_cpu()->resched = false;
    this_cpu()->guest_gen = GEN_NOT_IN_GUEST;
}

static void play(uint64_t seed, enum mode mode)
{
    start(mode);
    rng = seed;
    comparing = mode != EMULATED;
    cpu_backend = &backend;
    cpu_run(vcpu);
    if (comparing)
        assert_int_equal(nr_notes, max_notes);
    max_notes = nr_notes;
}

static int setup(void **state)
{
    (void)state;
    dom = calloc(1, sizeof(*dom));
    vcpu = calloc(1, sizeof(*vcpu));
    other = calloc(1, sizeof(*other));
    l = &vcpu->vlapic;
    nr_cpus = 1;
    timer_init_cpu(0);
    sim_now_ns = 1000000;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    free(dom);
    free(vcpu);
    free(other);
    free(trace);
    trace = NULL;
    room = 0;
    return 0;
}

static void test_games(void **state)
{
    unsigned exits[3] = { 0 }, kept[3] = { 0 }, taken[3] = { 0 };

    (void)state;
    for (uint64_t game = 1; game <= GAMES; game++) {
        max_notes = 0;
        for (enum mode mode = EMULATED; mode <= POSTED; mode++) {
            play(game * 0x9e3779b97f4a7c15ull, mode);
            exits[mode] += m.exits;
            kept[mode] += steps_kept;
            taken[mode] += nr_taken;
        }
    }
    print_message("%u exits emulated, %u kept, %u posted; the CPU kept it for %u of %u "
                  "instructions, took %u\n",
                  exits[EMULATED], exits[KEPT], exits[POSTED], kept[KEPT], GAMES * STEPS,
                  taken[POSTED]);
    assert_int_equal(kept[EMULATED] + taken[EMULATED] + taken[KEPT], 0);
    assert_true(kept[KEPT] > GAMES * STEPS / 2 && taken[POSTED] > GAMES * 10);
    assert_true(3 * exits[KEPT] < 2 * exits[EMULATED] &&
                exits[POSTED] + taken[POSTED] / 2 < exits[KEPT]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_games, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
