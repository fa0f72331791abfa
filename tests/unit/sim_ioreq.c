/* SPDX-License-Identifier: MIT */
/*
 * Surroundings of requests to device models; see sim_ioreq.h.
 */
#include "sim_ioreq.h"

#include "lib/assert.h"
#include "lib/errno.h"
#include "lib/percpu.h"
#include "lib/string.h"
#include "lib/time.h"
#include "mm/frame.h"
#include "mm/phys.h"

struct sim_vcpu sim_vcpu[SIM_VCPUS];
struct ioreq_domain sim_ioreq;
struct ioreq_vcpu sim_ioreq_vcpu[SIM_VCPUS];
struct sim_port sim_port[SIM_PORTS];
struct sim_frame sim_frame[SIM_FRAMES];
unsigned sim_ports_fail_after;

static struct vcpu *vcpu_at(unsigned id)
{
    return (struct vcpu *)&sim_vcpu[id];
}

/* ---- the domain layer ---- */

struct ioreq_domain *domain_ioreq(struct domain *d)
{
    (void)d;
    return &sim_ioreq;
}

struct ioreq_vcpu *vcpu_ioreq(struct vcpu *v)
{
    return &sim_ioreq_vcpu[((struct sim_vcpu *)v)->id];
}

void vcpu_ioreq_wait(struct vcpu *v)
{
    struct sim_vcpu *s = (struct sim_vcpu *)v;

    ASSERT(!s->waiting && v == current_vcpu());
    s->waiting = true;
    s->waits++;
}

void vcpu_ioreq_resume(struct vcpu *v)
{
    struct sim_vcpu *s = (struct sim_vcpu *)v;

    ASSERT(s->waiting);
    s->waiting = false;
    s->resumes++;
}

/* ---- event channels ---- */

int ioreq_port_alloc(struct vcpu *v)
{
    if (sim_ports_fail_after && --sim_ports_fail_after == 0)
        return -ENOSPC;
    for (int i = 1; i < SIM_PORTS; i++) {
        if (sim_port[i].used)
            continue;
        sim_port[i] = (struct sim_port){ .used = true, .v = v };
        return i;
    }
    return -ENOSPC;
}

void ioreq_port_free(struct domain *d, uint32_t port)
{
    (void)d;
    ASSERT(port && sim_port[port].used && !spin_is_locked(&sim_ioreq.lock));
    sim_port[port].used = sim_port[port].bound = false;
}

void ioreq_port_notify(struct domain *d, uint32_t port)
{
    (void)d;
    ASSERT(sim_port[port].used);
    sim_port[port].signals += sim_port[port].bound;
}

bool ioreq_port_bound(struct domain *d, uint32_t port)
{
    (void)d;
    return sim_port[port].used && sim_port[port].bound;
}

void sim_port_bind(uint32_t port)
{
    ASSERT(sim_port[port].used && !sim_port[port].bound);
    sim_port[port].bound = true;
    sim_port[port].signals++; /* the first look is on the house */
}

void sim_port_close(uint32_t port)
{
    if (!sim_port[port].used || !sim_port[port].bound)
        return;
    sim_port[port].bound = false;
    ioreq_port_event(sim_port[port].v, port);
}

void sim_port_signal(uint32_t port)
{
    if (sim_port[port].used && sim_port[port].bound)
        ioreq_port_event(sim_port[port].v, port);
}

unsigned sim_ports_used(void)
{
    unsigned n = 0;

    for (unsigned i = 0; i < SIM_PORTS; i++)
        n += sim_port[i].used;
    return n;
}

/* ---- frames ---- */

static struct sim_frame *frame_at(uint64_t mfn)
{
    ASSERT(mfn >= SIM_FRAME_AT && mfn < SIM_FRAME_AT + SIM_FRAMES);
    return &sim_frame[mfn - SIM_FRAME_AT];
}

uint64_t frame_alloc(unsigned order, uint16_t owner, unsigned flags)
{
    (void)owner;
    ASSERT(order == 0 && flags == (FRAME_ZERO | FRAME_SHARED));
    for (unsigned i = 0; i < SIM_FRAMES; i++) {
        if (sim_frame[i].allocated || sim_frame[i].users)
            continue;
        sim_frame[i].allocated = true;
        memset(mfn_to_virt(SIM_FRAME_AT + i), 0, PAGE_SIZE);
        return SIM_FRAME_AT + i;
    }
    return INVALID_MFN;
}

void frame_free(uint64_t mfn, unsigned order)
{
    ASSERT(order == 0 && frame_at(mfn)->allocated);
    frame_at(mfn)->allocated = false;
}

bool page_get(uint64_t mfn, uint16_t owner)
{
    (void)owner;
    ASSERT(frame_at(mfn)->allocated);
    frame_at(mfn)->users++;
    return true;
}

/* ---- the timer ---- */

void timer_init(struct timer *t, unsigned cpu, void (*fn)(void *arg), void *arg)
{
    memset(t, 0, sizeof(*t));
    t->cpu = cpu;
    t->fn = fn;
    t->arg = arg;
}

void timer_set(struct timer *t, uint64_t deadline_ns)
{
    t->deadline = deadline_ns;
    t->queued = true;
}

void timer_cancel_sync(struct timer *t)
{
    ASSERT(!spin_is_locked(&sim_ioreq.lock));
    t->queued = false;
}

void sim_ioreq_timer(void)
{
    struct timer *t = &sim_ioreq.deadline;

    if (!t->queued || t->deadline > now_ns())
        return;
    t->queued = false;
    t->fn(t->arg);
}

/* ---- the whole ---- */

void sim_run_on(unsigned vcpu)
{
    this_cpu()->current = vcpu_at(vcpu);
}

void sim_ioreq_reset(struct domain *d)
{
    memset(sim_vcpu, 0, sizeof(sim_vcpu));
    memset(sim_port, 0, sizeof(sim_port));
    memset(sim_frame, 0, sizeof(sim_frame));
    sim_ports_fail_after = 0;
    ioreq_domain_init(&sim_ioreq, d, 0);
    for (unsigned i = 0; i < SIM_VCPUS; i++) {
        sim_vcpu[i].id = i;
        ioreq_vcpu_init(&sim_ioreq_vcpu[i], &sim_ioreq, vcpu_at(i), i);
    }
    sim_run_on(0);
}

void sim_ioreq_finish(void)
{
    ioreq_domain_destroy(&sim_ioreq);
    ASSERT(!sim_ports_used() && !sim_ioreq.deadline.queued);
    for (unsigned i = 0; i < SIM_FRAMES; i++)
        ASSERT(!sim_frame[i].allocated);
}
