/* SPDX-License-Identifier: MIT */
/*
 * A domain of some vCPUs around the virtual interrupt controllers, for test_vlapic and
 * test_vioapic: what the vCPU layer would do is counted.  Included by one file of a program.
 */
#ifndef XL_TESTS_VAPIC_SIM_H
#define XL_TESTS_VAPIC_SIM_H

#include <string.h>

#include "irq/lapic.h"
#include "irq/timer.h"
#include "lib/percpu.h"
#include "sim.h"
#include "vdev/vlapic.h"

#define SIM_VCPUS 6

struct vcpu {
    struct vlapic vlapic;
    unsigned cpu;
    unsigned kicks, nmis, inits, sipis, enables;
    uint8_t sipi_vector;
};

struct domain {
    struct vapic_bus vapic;
};

static struct vcpu sim_vcpu[SIM_VCPUS];
static struct domain sim_domain;

struct vapic_bus *domain_vapic(struct domain *d)
{
    return &d->vapic;
}

struct vlapic *vcpu_vlapic(struct vcpu *v)
{
    return &v->vlapic;
}

unsigned vcpu_cpu(const struct vcpu *v)
{
    return v->cpu;
}

void vcpu_kick(struct vcpu *v)
{
    v->kicks++;
}

/* No CPU here takes posted interrupts. */
enum ir_post_answer ir_post_request(struct ir_post *p, uint8_t vec)
{
    (void)p, (void)vec;
    return IR_POST_TELL;
}

void vcpu_tell_posted(struct vcpu *v)
{
    v->kicks++;
}

void vcpu_take_posted(struct vcpu *v)
{
    (void)v;
}

void vcpu_nmi(struct vcpu *v)
{
    v->nmis++;
}

void vcpu_init_signal(struct vcpu *v)
{
    v->inits++;
}

void vcpu_sipi(struct vcpu *v, uint8_t vector)
{
    v->sipis++;
    v->sipi_vector = vector;
}

void vcpu_lapic_enabled(struct vcpu *v)
{
    v->enables++;
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

/* Moves the clock on and lets the timers that are due run. */
static inline void sim_advance(uint64_t ns)
{
    uint64_t end = sim_now_ns + ns;

    while (timer_next_deadline() <= end) {
        if (timer_next_deadline() > sim_now_ns)
            sim_now_ns = timer_next_deadline();
        timer_interrupt(NULL);
    }
    sim_now_ns = end;
}

/* Fresh vCPUs, all in xAPIC mode and enabled by software with spurious vector 0xff. */
static inline void sim_vapic_setup(void)
{
    nr_cpus = 1;
    sim_this_cpu = 0;
    percpu_area[0].id = 0;
    sim_now_ns = 1000000;
    timer_init_cpu(0);
    memset(sim_vcpu, 0, sizeof(sim_vcpu));
    vapic_bus_init(&sim_domain.vapic, &sim_domain);
    for (unsigned i = 0; i < SIM_VCPUS; i++) {
        (void)vlapic_init(&sim_vcpu[i].vlapic, &sim_domain.vapic, &sim_vcpu[i], i);
        (void)vlapic_mmio_write(&sim_vcpu[i].vlapic, 0xf0, 4, 0x1ff);
    }
}

#endif
