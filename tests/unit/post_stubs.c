/* SPDX-License-Identifier: MIT */
/*
 * What the scheduler and the local APICs need beside what test_posted is about: next to nothing happens here.
 */
#include "domain/domain.h"
#include "lib/assert.h"
#include "vdev/vioapic.h"

struct list_head domain_list = LIST_HEAD_INIT(domain_list);

void domain_list_lock(void)
{
}

void domain_list_unlock(void)
{
}

void domain_get(struct domain *d)
{
    d->refs++;
}

void domain_put(struct domain *d)
{
    if (!--d->refs)
        panic("the domain's last reference is gone");
}

struct vapic_bus *domain_vapic(struct domain *d)
{
    return &d->vapic;
}

struct vlapic *vcpu_vlapic(struct vcpu *v)
{
    return &v->vlapic;
}

bool cpu_takes_posted(void)
{
    return true;
}

void vcpu_lapic_enabled(struct vcpu *v)
{
    (void)v;
}

bool cpu_runs_older(unsigned cpu, const struct p2m *p2m, uint64_t gen)
{
    (void)cpu, (void)p2m, (void)gen;
    return false;
}

bool vcpu_moved(struct vcpu *v)
{
    (void)v;
    return true;
}

int evtchn_direct_vector(const struct vcpu *v)
{
    (void)v;
    return -1;
}

void vtime_runstate_change(struct vcpu *v, int state)
{
    (void)v, (void)state;
}

void vtime_migrate(struct vcpu *v, unsigned cpu)
{
    (void)v, (void)cpu;
}

void cpu_vcpu_load(struct cpu_vcpu *c)
{
    (void)c;
}

void cpu_vcpu_save(struct cpu_vcpu *c)
{
    (void)c;
}

void cpu_vcpu_reset(struct cpu_vcpu *c)
{
    (void)c;
}

void cpu_vcpu_start_sipi(struct cpu_vcpu *c, uint8_t vector)
{
    (void)c, (void)vector;
}

void cpu_inject_nmi(struct cpu_vcpu *c)
{
    (void)c;
}

void vioapic_eoi(struct vapic_bus *bus, uint8_t vector)
{
    (void)bus, (void)vector;
}

int trap_register(struct trap_table *t, enum trap_kind kind, uint64_t first, uint64_t last,
                  const struct trap_ops *ops, void *arg, const char *name)
{
    (void)t, (void)kind, (void)first, (void)last, (void)ops, (void)arg, (void)name;
    return 0;
}

/* Slices end when the guests say so. */
void timer_init(struct timer *t, unsigned cpu, void (*fn)(void *arg), void *arg)
{
    *t = (struct timer){ .cpu = cpu, .fn = fn, .arg = arg };
}

void timer_set(struct timer *t, uint64_t deadline_ns)
{
    (void)t, (void)deadline_ns;
}

void timer_cancel(struct timer *t)
{
    (void)t;
}

void timer_cancel_sync(struct timer *t)
{
    (void)t;
}

void timer_set_cpu(struct timer *t, unsigned cpu)
{
    t->cpu = cpu;
}
