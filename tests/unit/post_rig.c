/* SPDX-License-Identifier: MIT */
/*
 * The machine of test_posted: see post_rig.h. What it wants at the end of each round is exact: as many interrupts in the guests as
 * requests set bits, less those that found their bit set in the local APIC; and during the round, that a notification goes to
 * the CPU that the vCPU is on.
 */
#include "post_rig.h"

#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "iommu/post.h"
#include "irq/irq.h"
#include "irq/lapic.h"
#include "lib/errno.h"
#include "lib/time.h"
#include "mm/frame.h"
#include "mm/phys.h"
#include "sched/runq.h"
#include "sim.h"
#include "vtd_rig.h"

#define HOST_VECTOR  0x50 /* first of those to which remapped sources go */
#define BURST_STEPS  400
#define QUIET_STEPS  40000
#define NO_VECTOR    (-1)

static struct domain *dom;
static struct post_counts count;
static uint64_t rng;

/* ---- failures are told by the main thread, where cmocka can hear them ---- */

static char failure[200];
static bool stop; /* all threads end at their next step */

#define wrong(...)                                                                                 \
    do {                                                                                           \
        if (!failure[0])                                                                           \
            snprintf(failure, sizeof(failure), __VA_ARGS__);                                       \
        stop = true;                                                                               \
    } while (0)

static unsigned roll(unsigned n)
{
    rng ^= rng << 13;
    rng ^= rng >> 7;
    rng ^= rng << 17;
    return (unsigned)(rng >> 11) % n;
}

/* ---- CPUs as threads with one token ---- */

static sem_t token[POST_CPUS], finished;
static pthread_t thread[POST_CPUS];
static unsigned running_cpu;
static bool outside[POST_CPUS]; /* in its guest, or halted */
static uint64_t pending[POST_CPUS][4]; /* vectors in the local APICs */
static struct {
    irq_handler fn;
    void *arg;
} handlers[256];

static void wait_for_token(unsigned self)
{
    sem_wait(&token[self]);
    if (stop) {
        sem_post(&token[(self + 1) % POST_CPUS]);
        sem_post(&finished);
        pthread_exit(NULL);
    }
    sim_this_cpu = self;
}

static void pass(unsigned to)
{
    unsigned self = sim_this_cpu;

    if (to == self && !stop)
        return;
    running_cpu = to;
    sem_post(&token[to]);
    wait_for_token(self);
}

static bool has_pending(unsigned cpu)
{
    return pending[cpu][0] | pending[cpu][1] | pending[cpu][2] | pending[cpu][3];
}

/* As hardware does that keeps local APICs; where games are without it, nothing is ever in a page. */
static bool cpus_take;
static uint32_t pages[POST_VCPUS][1024];

static void raise_vector(unsigned cpu, unsigned vector)
{
    pending[cpu][vector / 64] |= 1ULL << vector % 64;
}

static void take_interrupts(void)
{
    unsigned cpu = sim_this_cpu;

    for (int vector = 255; vector >= 0; vector--) {
        if (!(pending[cpu][vector / 64] >> vector % 64 & 1))
            continue;
        pending[cpu][vector / 64] &= ~(1ULL << vector % 64);
        if (handlers[vector].fn)
            handlers[vector].fn(handlers[vector].arg);
    }
}

void irq_set_fixed(uint8_t vector, irq_handler fn, void *arg)
{
    handlers[vector].fn = fn;
    handlers[vector].arg = arg;
}

static unsigned cpu_of_apicid(uint32_t apicid)
{
    for (unsigned cpu = 0; cpu < POST_CPUS; cpu++)
        if (apicid_of_cpu(cpu) == apicid)
            return cpu;
    wrong("an interrupt goes to APIC id %#x", apicid);
    return 0;
}

int lapic_send_ipi(uint32_t apicid, uint8_t vector)
{
    raise_vector(cpu_of_apicid(apicid), vector);
    return 0;
}

/* ---- devices ---- */

struct source {
    struct ir_entry entry;
    uint16_t sid;
    uint8_t vector;   /* the guest's */
    unsigned vcpu;
    bool changing;
};

static struct source source[POST_SOURCES];
static uint64_t expected[POST_VCPUS]; /* interrupts requested that were not merged before the local APIC */
static uint64_t received[POST_VCPUS];
static bool quiet; /* no requests and no actions: everything has to arrive */
static unsigned steps, rounds_left;

static bool all_outside(void)
{
    for (unsigned cpu = 0; cpu < POST_CPUS; cpu++)
        if (!outside[cpu])
            return false;
    return true;
}

/* A notification to a CPU that has nothing to do with the vCPU would be found by nobody. */
static void check_notification(const struct vcpu *v, unsigned vector, unsigned cpu)
{
    bool here = percpu_of(cpu)->current == v;

    if (vector == VECTOR_POSTED) {
        count.told++;
        if (!here)
            wrong("vCPU %u is not on CPU %u, which is told", v->id, cpu);
    } else if (vector == VECTOR_POSTED_WAKE) {
        count.woken++;
        if (all_outside() && (!v->post.listed || v->post.cpu != cpu))
            wrong("vCPU %u does not sleep on CPU %u, which is told", v->id, cpu);
    } else {
        wrong("a notification has vector %#x", vector);
    }
    if (all_outside() && here != (vector == VECTOR_POSTED))
        wrong("vCPU %u runs (%d) and is told of with vector %#x", v->id, here, vector);
}

static struct vcpu *vcpu_of_descriptor(uint64_t pa)
{
    for (unsigned i = 0; i < POST_VCPUS; i++)
        if (ir_post_address(dom->vcpu[i]->vlapic.post) == pa)
            return dom->vcpu[i];
    wrong("a request is posted to %#llx, which is nobody's", (unsigned long long)pa);
    return dom->vcpu[0];
}

static bool bit_is_set(const struct vcpu *v, unsigned vector)
{
    const uint32_t *d = phys_to_virt(ir_post_address(v->vlapic.post));

    return d[vector / 32] >> vector % 32 & 1;
}

/* A device sends its message; what the unit does with it is one step. */
static void request(struct source *s)
{
    uint64_t before[POST_VCPUS];
    struct model_irq irq;
    uint64_t addr;
    uint32_t data;
    unsigned reason;
    struct vcpu *v;

    for (unsigned i = 0; i < POST_VCPUS; i++)
        before[i] = bit_is_set(dom->vcpu[i], s->vector);
    ir_msi_message(&s->entry, &addr, &data);
    count.requests++;
    if (model_msi(rig_unit_of(s->sid), s->sid, addr, data, &irq, &reason) != MODEL_OK) {
        wrong("a request is refused: %#x", reason);
        return;
    }
    if (!irq.posted) {
        unsigned cpu = cpu_of_apicid(irq.dest);

        count.remapped++;
        if (!(pending[cpu][irq.vector / 64] >> irq.vector % 64 & 1))
            expected[s->vcpu]++;
        raise_vector(cpu, irq.vector);
        return;
    }
    v = vcpu_of_descriptor(irq.descriptor);
    if (!before[v->id]) {
        count.posted++;
        expected[v->id]++;
    }
    if (irq.notified) {
        unsigned cpu = cpu_of_apicid(irq.dest);

        check_notification(v, irq.vector, cpu);
        raise_vector(cpu, irq.vector);
    }
}

/* A remapped source's host vector: as girq does it. */
static void host_interrupt(void *arg)
{
    struct source *s = arg;

    if (vlapic_set_irq(&dom->vcpu[s->vcpu]->vlapic, s->vector, false) < 0)
        wrong("a local APIC refuses an interrupt");
}

/* The guest programmes the device anew: another format, another vCPU. */
static void rebind(struct source *s)
{
    unsigned cpu = roll(POST_CPUS), i = (unsigned)(s - source), to = roll(POST_VCPUS);
    bool on_its_way = false;
    int rc;

    for (unsigned c = 0; c < POST_CPUS; c++)
        on_its_way |= pending[c][(HOST_VECTOR + i) / 64] >> (HOST_VECTOR + i) % 64 & 1;
    if (s->changing || on_its_way)
        return;
    s->changing = true;
    s->vcpu = to;
    if (roll(3))
        rc = ir_set_posted(&s->entry, dom->vcpu[to]->vlapic.post, s->vector);
    else
        rc = ir_set(&s->entry, (uint8_t)(HOST_VECTOR + i), apicid_of_cpu(cpu), false, IR_FIXED);
    if (rc)
        wrong("a source cannot be bound: %d", rc);
    count.rebinds++;
    s->changing = false;
}

/* ---- rounds ---- */

static void check_round(void)
{
    for (unsigned i = 0; i < POST_VCPUS; i++) {
        const struct vcpu *v = dom->vcpu[i];
        uint64_t merged = v->vlapic.stats.coalesced;

        if (received[i] != expected[i] - merged)
            wrong("vCPU %u got %llu interrupts of %llu, %llu merged", i,
                  (unsigned long long)received[i], (unsigned long long)expected[i],
                  (unsigned long long)merged);
        if (ir_post_waiting(v->vlapic.post))
            wrong("vCPU %u sleeps on what was posted", i);
        if (!v->post.listed)
            wrong("vCPU %u sleeps and cannot be woken", i);
    }
}

static bool all_asleep(void)
{
    for (unsigned cpu = 0; cpu < POST_CPUS; cpu++)
        if (!percpu_of(cpu)->in_idle || has_pending(cpu) || !outside[cpu])
            return false;
    return true;
}

/* With every CPU in its guest or halted: what waits for a vCPU that runs or sleeps has been said to the CPU that it is on. */
static void check_reachable(void)
{
    for (unsigned i = 0; i < POST_VCPUS; i++) {
        const struct vcpu *v = dom->vcpu[i];
        unsigned cpu = v->sched.cpu;

        if (v->sched.blocked && (!v->post.listed || v->post.cpu != cpu))
            wrong("vCPU %u, of CPU %u, sleeps where it does not belong", i, cpu);
        if ((v->sched.running || v->sched.blocked) && !has_pending(cpu) &&
            ir_post_waiting(v->vlapic.post))
            wrong("vCPU %u has something, and its CPU %u is not told", i, cpu);
    }
}

/* Time goes on by one step: bursts become silence, silence a verdict. */
static void tick(void)
{
    steps++;
    if (all_outside())
        check_reachable();
    if (!quiet && steps > BURST_STEPS) {
        quiet = true;
        steps = 0;
    } else if (quiet && all_asleep()) {
        check_round();
        if (!--rounds_left)
            stop = true;
        quiet = false;
        steps = 0;
        /* Nobody does anything any more unless a device says something. */
        for (unsigned i = 0; i < POST_VCPUS; i++)
            request(&source[roll(POST_SOURCES)]);
    } else if (quiet && steps > QUIET_STEPS) {
        wrong("CPUs do not come to rest");
    }
}

static bool in_step;

/* Anything may come in between here. */
static void step(void)
{
    if (in_step)
        return;
    in_step = true;
    tick();
    if (!quiet && !roll(6))
        request(&source[roll(POST_SOURCES)]);
    in_step = false;
    if (stop || roll(2))
        pass(stop ? (sim_this_cpu + 1) % POST_CPUS : roll(POST_CPUS));
}

void sim_relax(void)
{
    if (dom)
        pass((sim_this_cpu + 1 + roll(POST_CPUS - 1)) % POST_CPUS);
}

/* ---- guests ---- */

static bool paused[POST_VCPUS];

/* vCPU 0 is the toolstack's: it alone stops others, and nobody stops it. */
static void pause_or_go(struct vcpu *v, unsigned other)
{
    if (v->id || !other)
        return;
    count.pauses++;
    if (paused[other])
        sched_unhold(dom->vcpu[other]);
    else
        sched_hold(dom->vcpu[other]);
    paused[other] = !paused[other];
}

static void let_all_go(void)
{
    for (unsigned i = 1; i < POST_VCPUS; i++)
        if (paused[i]) {
            paused[i] = false;
            sched_unhold(dom->vcpu[i]);
        }
}

static void move_somebody(void)
{
    uint64_t cpus[MAX_CPUS / 64] = { 1 + roll((1u << POST_CPUS) - 1) };

    count.moves++;
    if (sched_set_affinity(dom->vcpu[roll(POST_VCPUS)], cpus))
        wrong("an affinity is refused");
}

/* By whatever way the local APIC of the other chooses. */
static void ipi(unsigned to)
{
    expected[to]++;
    count.ipis++;
    if (vlapic_set_irq(&dom->vcpu[to]->vlapic, (uint8_t)(0xd0 + roll(4)), false) < 0)
        wrong("a local APIC refuses an interrupt");
}

static void act(struct vcpu *v)
{
    unsigned what = quiet ? 0 : roll(16);

    if (what < 6) {
        /* Whoever could let the others go must do so before it sleeps. */
        if (!v->id)
            let_all_go();
        count.sleeps++;
        vcpu_block(v);
    } else if (what < 9) {
        this_cpu()->resched = true;
    } else if (what < 10) {
        vcpu_yield(v);
    } else if (what < 12) {
        move_somebody();
    } else if (what < 13) {
        pause_or_go(v, roll(POST_VCPUS));
    } else if (what < 14) {
        rebind(&source[roll(POST_SOURCES)]);
    } else if (what < 15) {
        post_sync(dom->vcpu[roll(POST_VCPUS)]);
    } else {
        ipi(roll(POST_VCPUS));
        if (!roll(4))
            vlapic_from_page(&v->vlapic);
    }
}

/* The CPU delivers all that the page has: guests hold nothing back. */
static void deliver_page(struct vcpu *v)
{
    for (unsigned i = 0; i < 8; i++) {
        uint32_t *irr = &v->vlapic.page[(0x20 + i) * 4];

        for (; *irr; *irr &= *irr - 1) {
            received[v->id]++;
            count.received++;
        }
    }
}

/* SDM vol. 3, 30.6: the notification is taken in guest mode. */
static void take_notification(struct vcpu *v)
{
    uint64_t vectors[IR_POST_WORDS];
    bool taken;

    pending[sim_this_cpu][VECTOR_POSTED / 64] &= ~(1ULL << VECTOR_POSTED % 64);
    in_step = true; /* a CPU is not interrupted here */
    taken = ir_post_take(v->vlapic.post, vectors);
    in_step = false;
    if (!taken)
        return;
    for (unsigned vec = 0; vec < 256; vec++)
        if (vectors[vec / 64] >> vec % 64 & 1) {
            v->vlapic.page[(0x20 + vec / 32) * 4] |= 1u << vec % 32;
            count.taken++;
        }
    deliver_page(v);
}

static bool exits(struct vcpu *v)
{
    unsigned cpu = sim_this_cpu;

    if (v->vlapic.page && pending[cpu][VECTOR_POSTED / 64] >> VECTOR_POSTED % 64 & 1)
        take_notification(v);
    return has_pending(cpu);
}

static void inject(struct vcpu *v)
{
    int vector;

    if (v->vlapic.pending)
        vcpu_take_posted(v);
    if (cpus_take && !v->vlapic.page && roll(2))
        vlapic_to_page(&v->vlapic, pages[v->id], true);
    if (v->vlapic.page) {
        if (v->vlapic.pending)
            (void)vlapic_page_requests(&v->vlapic);
        deliver_page(v);
        return;
    }
    while ((vector = vlapic_next_irq(&v->vlapic)) != NO_VECTOR) {
        vlapic_ack_irq(&v->vlapic, (uint8_t)vector);
        vlapic_eoi(&v->vlapic);
        received[v->id]++;
        count.received++;
    }
}

void cpu_run(struct vcpu *v)
{
    struct percpu *pc = this_cpu();

    for (;;) {
        __atomic_exchange_n(&pc->guest_gen, 1, __ATOMIC_SEQ_CST);
        if (READ_ONCE(pc->resched))
            break;
        if (pc->current != v || !v->sched.running)
            wrong("vCPU %u runs where it is not", v->id);
        inject(v);
        outside[pc->id] = true;
        do
            step();
        while (!exits(v) && roll(4));
        outside[pc->id] = false;
        pc->guest_gen = GEN_NOT_IN_GUEST;
        take_interrupts();
        step();
        act(v);
    }
    pc->guest_gen = GEN_NOT_IN_GUEST;
}

/* An idle CPU halts here, not with the instruction, which is not for us. */
bool frames_scrub(bool (*go_on)(void))
{
    struct percpu *pc = this_cpu();

    (void)go_on;
    outside[pc->id] = true;
    while (!has_pending(pc->id))
        step();
    outside[pc->id] = false;
    take_interrupts();
    return true;
}

/* ---- a game ---- */

static void make_vcpu(unsigned id)
{
    struct vcpu *v = calloc(1, sizeof(*v));

    assert_non_null(v);
    dom->vcpu[id] = v;
    v->domain = dom;
    v->id = id;
    v->initialised = true;
    sched_vcpu_init(v, id % POST_CPUS);
    assert_int_equal(vlapic_init(&v->vlapic, &dom->vapic, v, id), 0);
    assert_int_equal(vlapic_mmio_write(&v->vlapic, 0xf0, 4, 0x1ff), 0);
    assert_int_equal(post_vcpu_init(v), 0);
    assert_non_null(v->vlapic.post);
}

static void make_source(unsigned i)
{
    static const uint16_t device[] = { DEV_A, DEV_B, DEV_C };
    struct source *s = &source[i];

    memset(s, 0, sizeof(*s));
    s->sid = device[i % 3];
    s->vector = (uint8_t)(0x31 + 17 * i);
    s->vcpu = i % POST_VCPUS;
    assert_int_equal(ir_alloc(s->sid, &s->entry), 0);
    assert_int_equal(ir_set_posted(&s->entry, dom->vcpu[s->vcpu]->vlapic.post, s->vector), 0);
    handlers[HOST_VECTOR + i].fn = host_interrupt;
    handlers[HOST_VECTOR + i].arg = s;
}

static void set_up(uint64_t seed)
{
    struct vtd_model m[2] = { rig_qemu(39), rig_qemu(39) };

    m[0].posts = m[1].posts = true;
    m[0].coherent = seed & 1;
    cpus_take = seed & 2;
    memset(pages, 0, sizeof(pages));
    rig_up(m, 2);
    rng = seed * 0x9e3779b97f4a7c15ULL + 1;
    memset(&count, 0, sizeof(count));
    memset(pending, 0, sizeof(pending));
    memset(expected, 0, sizeof(expected));
    memset(received, 0, sizeof(received));
    memset(paused, 0, sizeof(paused));
    memset(outside, 0, sizeof(outside));
    stop = quiet = in_step = false;
    failure[0] = '\0';
    steps = 0;
    nr_cpus = POST_CPUS;
    sim_now_ns = 60 * NS_PER_SEC;
    sim_now_step = 20 * NS_PER_US;
    for (unsigned cpu = 0; cpu < POST_CPUS; cpu++) {
        percpu_area[cpu] = (struct percpu){ .id = cpu,
                                            .apicid = 2 * cpu + 1,
                                            .online = true,
                                            .guest_gen = GEN_NOT_IN_GUEST };
        sim_this_cpu = cpu;
        sched_init_cpu(cpu);
        sem_init(&token[cpu], 0, 0);
    }
    sem_init(&finished, 0, 0);
    sim_this_cpu = 0;
    dom = calloc(1, sizeof(*dom));
    assert_non_null(dom);
    dom->refs = 1;
    dom->domid = 7;
    dom->max_vcpus = POST_VCPUS;
    vapic_bus_init(&dom->vapic, dom);
}

static void *cpu_thread(void *arg)
{
    wait_for_token((unsigned)(uintptr_t)arg);
    sched_loop();
}

static void take_down(void)
{
    sim_this_cpu = 0;
    for (unsigned i = 0; i < POST_SOURCES; i++)
        ir_free(&source[i].entry);
    for (unsigned i = 0; i < POST_VCPUS; i++) {
        post_stop(dom->vcpu[i]);
        post_vcpu_destroy(dom->vcpu[i]);
        free(dom->vcpu[i]);
    }
    free(dom);
    dom = NULL;
    sim_now_step = 0;
}

void post_begin(uint64_t seed)
{
    set_up(seed);
    for (unsigned i = 0; i < POST_VCPUS; i++)
        make_vcpu(i);
    for (unsigned i = 0; i < POST_SOURCES; i++)
        make_source(i);
}

struct vcpu *post_vcpu(unsigned n)
{
    return dom->vcpu[n];
}

void post_request(unsigned n)
{
    request(&source[n]);
    assert_string_equal(failure, "");
}

void post_end(void)
{
    rig_check();
    take_down();
}

void post_play(uint64_t seed, unsigned rounds, struct post_counts *counts)
{
    post_begin(seed);
    for (unsigned i = 0; i < POST_VCPUS; i++)
        sched_unhold(dom->vcpu[i]);
    rounds_left = rounds;
    for (unsigned cpu = 0; cpu < POST_CPUS; cpu++)
        assert_int_equal(pthread_create(&thread[cpu], NULL, cpu_thread, (void *)(uintptr_t)cpu), 0);
    ir_post_between = step;
    sem_post(&token[0]);
    for (unsigned cpu = 0; cpu < POST_CPUS; cpu++)
        sem_wait(&finished);
    for (unsigned cpu = 0; cpu < POST_CPUS; cpu++)
        pthread_join(thread[cpu], NULL);
    ir_post_between = NULL;
    if (failure[0])
        fail_msg("seed %llu, round %u: %s", (unsigned long long)seed, rounds - rounds_left,
                 failure);
    post_end();
    *counts = count;
}
