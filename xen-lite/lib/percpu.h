/* SPDX-License-Identifier: MIT */
/*
 * What belongs to one physical CPU. In the hypervisor GS points at the running CPU's structure; host builds have one.
 */
#ifndef XL_LIB_PERCPU_H
#define XL_LIB_PERCPU_H

#include "lib/types.h"

#define MAX_CPUS 64

struct record_cpu;
struct vcpu;

struct percpu {
    struct percpu *self;       /* at offset 0: this_cpu() is one load */
    uint64_t stack_top;        /* at offset 8: entry code's stack */
    struct vcpu *current;      /* at offset 16: vCPU whose state is loaded, or NULL */
    unsigned id;               /* logical number, 0..nr_cpus-1 */
    uint32_t apicid;           /* physical APIC id */
    bool online;
    bool in_idle;
    /* TLB protocol: the p2m generation with which this CPU is in guest mode, or GEN_NOT_IN_GUEST. */
    uint64_t guest_gen;
    void *guest_p2m;           /* the p2m it runs on while guest_gen is set */
    bool resched;              /* look at the run queue before the next entry */
    struct record_cpu *record; /* its ring of trap records; NULL before somebody has listened */
};

#define GEN_NOT_IN_GUEST (~0ULL)

extern unsigned nr_cpus;
extern struct percpu percpu_area[MAX_CPUS];

static inline struct percpu *percpu_of(unsigned cpu)
{
    return &percpu_area[cpu];
}

static inline uint32_t apicid_of_cpu(unsigned cpu)
{
    return percpu_area[cpu].apicid;
}

#ifdef XL_HOST
extern unsigned sim_this_cpu;
static inline struct percpu *this_cpu(void)
{
    return &percpu_area[sim_this_cpu];
}
#else
static inline struct percpu *this_cpu(void)
{
    struct percpu *p;

    __asm__ __volatile__("mov %%gs:0, %0" : "=r"(p));
    return p;
}
#endif

static inline unsigned cpu_id(void)
{
    return this_cpu()->id;
}

static inline struct vcpu *current_vcpu(void)
{
    return this_cpu()->current;
}

#endif
