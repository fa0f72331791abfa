/* SPDX-License-Identifier: MIT */
/*
 * Paravirtual time: pvclock records, wall clock, runstate accounting and the timers of a vCPU. See
 * vtime.h.
 */
#include "hypercall/vtime.h"

#include "domain/domain.h"
#include "irq/time.h"
#include "lib/assert.h"
#include "lib/atomic.h"
#include "lib/errno.h"
#include "lib/string.h"

#define PERIOD_MIN_NS NS_PER_MS
#define PERIOD_MAX_NS (3600 * NS_PER_SEC)

/* ---- pvclock: ns = scale(guest TSC - tsc_timestamp) + system_time ---- */

/* What the guest's TSC is ahead of the boot CPU's while v runs where it is assigned. */
static uint64_t tsc_ahead(const struct vcpu *v)
{
    return READ_ONCE(v->cpu.tsc_offset) - (uint64_t)tsc_offset_of_cpu(v->sched.cpu);
}

/*
 * One TSC for all CPUs and vCPUs: then every vCPU has the same record for ever, and guests may
 * compare time stamps of different vCPUs.
 */
static bool tsc_is_common(const struct domain *d)
{
    const struct vcpu *v, *first = NULL;

    for (unsigned cpu = 0; cpu < nr_cpus; cpu++)
        if (tsc_offset_of_cpu(cpu) != 0)
            return false;
    for_each_vcpu (d, v) {
        if (!first)
            first = v;
        if (READ_ONCE(v->cpu.tsc_offset) != READ_ONCE(first->cpu.tsc_offset))
            return false;
    }
    return true;
}

static void build_record(const struct vcpu *v, struct vcpu_time_info *rec)
{
    struct time_scale scale;
    uint64_t base;

    memset(rec, 0, sizeof(*rec));
    time_params(&scale, &base);
    rec->tsc_timestamp = base + tsc_ahead(v);
    rec->system_time = 0;
    rec->tsc_to_system_mul = scale.mul;
    rec->tsc_shift = scale.shift;
    rec->flags = tsc_is_common(v->domain) ? XEN_PVCLOCK_TSC_STABLE_BIT : 0;
}

/*
 * The version is kept here and only written there: what the guest makes of its copy is its own
 * affair.
 */
static void put_record_direct(struct vcpu_time_info *dst, struct vcpu_time_info *rec,
                              uint32_t version)
{
    WRITE_ONCE(dst->version, version + 1);
    wmb();
    dst->tsc_timestamp = rec->tsc_timestamp;
    dst->system_time = rec->system_time;
    dst->tsc_to_system_mul = rec->tsc_to_system_mul;
    dst->tsc_shift = rec->tsc_shift;
    dst->flags = rec->flags;
    wmb();
    WRITE_ONCE(dst->version, version + 2);
}

static void put_record_area(const struct guest_area *area, struct vcpu_time_info *rec,
                            uint32_t version)
{
    const uint32_t body = offsetof(struct vcpu_time_info, version) + sizeof(rec->version);

    rec->version = version + 1;
    guest_area_write(area, 0, rec, body);
    wmb();
    guest_area_write(area, body, (const uint8_t *)rec + body, sizeof(*rec) - body);
    wmb();
    rec->version = version + 2;
    guest_area_write(area, 0, rec, body);
}

static void update_locked(struct vcpu *v)
{
    struct vtime *t = &v->time;
    struct vcpu_info *info = READ_ONCE(v->evt.info);
    struct vcpu_time_info rec;

    if (!info)
        return; /* the event channels of v are not set up: done when it first runs */
    build_record(v, &rec);
    put_record_direct(&info->time, &rec, t->version);
    if (t->time_area.length)
        put_record_area(&t->time_area, &rec, t->version);
    t->version += 2;
    t->record_ahead = tsc_ahead(v);
}

void vtime_update(struct vcpu *v)
{
    spin_lock(&v->time.lock);
    update_locked(v);
    spin_unlock(&v->time.lock);
}

/* ---- runstate ---- */

/* The whole area in place, if it lies on one page and its fields can be written as such: nearly always. */
static struct vcpu_runstate_info *runstate_in_place(const struct guest_area *area)
{
    if (area->offset % sizeof(uint64_t) ||
        area->offset > PAGE_SIZE - sizeof(struct vcpu_runstate_info))
        return NULL;
    return (void *)((uint8_t *)area->page[0].va + area->offset);
}

/* Public header vcpu.h: XEN_RUNSTATE_UPDATE is set in state_entry_time while the rest changes. */
static void update_in_place(struct vcpu_runstate_info *to, const struct vcpu_runstate_info *from)
{
    WRITE_ONCE(to->state_entry_time, from->state_entry_time | XEN_RUNSTATE_UPDATE);
    wmb();
    WRITE_ONCE(to->state, from->state);
    for (unsigned i = 0; i < ARRAY_SIZE(to->time); i++)
        WRITE_ONCE(to->time[i], from->time[i]);
    wmb();
    WRITE_ONCE(to->state_entry_time, from->state_entry_time & ~XEN_RUNSTATE_UPDATE);
}

static void put_runstate(struct vcpu *v)
{
    const uint32_t entry_off = offsetof(struct vcpu_runstate_info, state_entry_time);
    struct vtime *t = &v->time;
    struct vcpu_runstate_info copy, *in_place;
    uint64_t *entry;

    if (!t->runstate_area.length)
        return;
    in_place = runstate_in_place(&t->runstate_area);
    if (likely(in_place && assist_runstate_update_flag(v->domain))) {
        update_in_place(in_place, &t->runstate);
        return;
    }
    copy = t->runstate;
    if (!assist_runstate_update_flag(v->domain)) {
        guest_area_write(&t->runstate_area, 0, &copy, sizeof(copy));
        return;
    }
    copy.state_entry_time |= XEN_RUNSTATE_UPDATE;
    guest_area_write(&t->runstate_area, entry_off, &copy.state_entry_time, sizeof(uint64_t));
    wmb();
    guest_area_write(&t->runstate_area, 0, &copy, sizeof(copy));
    wmb();
    copy.state_entry_time &= ~XEN_RUNSTATE_UPDATE;
    entry = guest_area_ptr(&t->runstate_area, entry_off, sizeof(*entry));
    if (entry)
        WRITE_ONCE(*entry, copy.state_entry_time);
    else
        guest_area_write(&t->runstate_area, entry_off, &copy.state_entry_time, sizeof(uint64_t));
}

/* Adds the time since the last change to the state's account. */
static void account(struct vcpu_runstate_info *rs, uint64_t now)
{
    if (now > rs->state_entry_time)
        rs->time[rs->state] += now - rs->state_entry_time;
    rs->state_entry_time = now;
}

void vtime_runstate_change(struct vcpu *v, int state)
{
    struct vtime *t = &v->time;

    ASSERT(state >= RUNSTATE_running && state <= RUNSTATE_offline);
    if (state == RUNSTATE_running)
        evtchn_poll_end(v);
    spin_lock(&t->lock);
    account(&t->runstate, now_ns());
    if (!t->started && state != RUNSTATE_offline) {
        /* What came before its first moment is nobody's: guests take offline time for stolen. */
        memset(t->runstate.time, 0, sizeof(t->runstate.time));
        t->started = true;
    }
    t->runstate.state = state;
    put_runstate(v);
    if (state == RUNSTATE_running && (!t->version || t->record_ahead != tsc_ahead(v)))
        update_locked(v);
    spin_unlock(&t->lock);
}

void vtime_runstate_get(struct vcpu *v, struct vcpu_runstate_info *out)
{
    uint64_t now;

    spin_lock(&v->time.lock);
    *out = v->time.runstate;
    spin_unlock(&v->time.lock);
    now = now_ns();
    if (now > out->state_entry_time)
        out->time[out->state] += now - out->state_entry_time;
}

uint64_t vtime_cpu_time(struct vcpu *v)
{
    struct vcpu_runstate_info rs;

    vtime_runstate_get(v, &rs);
    return rs.time[RUNSTATE_running];
}

/* ---- registration of areas ---- */

/* Puts a newly mapped area in place of *slot; the old one is dropped after the lock is gone. */
static void replace_area(struct guest_area *slot, struct guest_area *area)
{
    struct guest_area old = *slot;

    *slot = *area;
    *area = old;
}

long vtime_register_runstate(struct vcpu *v, struct vcpu *target, uint64_t gva)
{
    struct guest_area area = { 0 };
    int rc = guest_area_map(v, gva, sizeof(struct vcpu_runstate_info), &area);

    if (rc < 0)
        return rc;
    spin_lock(&target->time.lock);
    replace_area(&target->time.runstate_area, &area);
    account(&target->time.runstate, now_ns());
    put_runstate(target);
    spin_unlock(&target->time.lock);
    guest_area_unmap(&area);
    return 0;
}

long vtime_register_time_area(struct vcpu *v, struct vcpu *target, uint64_t gva)
{
    struct guest_area area = { 0 };
    int rc = guest_area_map(v, gva, sizeof(struct vcpu_time_info), &area);

    if (rc < 0)
        return rc;
    spin_lock(&target->time.lock);
    replace_area(&target->time.time_area, &area);
    update_locked(target);
    spin_unlock(&target->time.lock);
    guest_area_unmap(&area);
    return 0;
}

/*
 * ---- timers. No lock of ours is held around timer_*(): their functions take the event channel
 * lock. ----
 */

static void timer_event(void *arg)
{
    send_virq_vcpu(arg, VIRQ_TIMER);
}

static void periodic_event(void *arg)
{
    struct vcpu *v = arg;
    uint64_t period = READ_ONCE(v->time.period_ns);
    uint64_t now = now_ns();

    if (!period)
        return;
    send_virq_vcpu(v, VIRQ_TIMER);
    /* Ticks that were missed are not made up for; the phase is kept. */
    v->time.period_next += period;
    if (v->time.period_next <= now)
        v->time.period_next += ((now - v->time.period_next) / period + 1) * period;
    timer_set(&v->time.periodic, v->time.period_next);
}

static void poll_timeout(void *arg)
{
    struct vcpu *v = arg;

    if (READ_ONCE(v->evt.polling))
        vcpu_kick(v); /* not vcpu_wake(): it may have gone offline since */
    else if (READ_ONCE(v->time.napping))
        vcpu_wake(v);
}

/* The timer goes to the CPU that arms it, so that programming it needs no message to another. */
static void arm(struct timer *t, uint64_t deadline_ns)
{
    if (t->cpu != cpu_id())
        timer_set_cpu(t, cpu_id());
    timer_set(t, deadline_ns);
}

long vtime_set_singleshot(struct vcpu *v, uint64_t deadline_ns)
{
    if (deadline_passed(deadline_ns)) {
        timer_cancel(&v->time.singleshot);
        send_virq_vcpu(v, VIRQ_TIMER);
    } else {
        arm(&v->time.singleshot, deadline_ns);
    }
    return 0;
}

void vtime_stop_singleshot(struct vcpu *v)
{
    timer_cancel(&v->time.singleshot);
}

long vtime_set_periodic(struct vcpu *v, uint64_t period_ns)
{
    if (period_ns < PERIOD_MIN_NS || period_ns > PERIOD_MAX_NS)
        return -EINVAL;
    vtime_stop_periodic(v);
    v->time.period_next = now_ns() + period_ns;
    WRITE_ONCE(v->time.period_ns, period_ns);
    arm(&v->time.periodic, v->time.period_next);
    return 0;
}

void vtime_stop_periodic(struct vcpu *v)
{
    if (!v->time.period_ns)
        return;
    WRITE_ONCE(v->time.period_ns, 0);
    timer_cancel_sync(&v->time.periodic);
}

void vtime_set_poll_timeout(struct vcpu *v, uint64_t deadline_ns)
{
    arm(&v->time.poll, deadline_ns);
}

void vtime_stop_poll_timeout(struct vcpu *v)
{
    timer_cancel(&v->time.poll);
}

void vtime_nap(struct vcpu *v, uint64_t until_ns)
{
    WRITE_ONCE(v->time.napping, true);
    vcpu_block(v);
    arm(&v->time.poll, until_ns);
}

void vtime_end_nap(struct vcpu *v)
{
    if (!READ_ONCE(v->time.napping))
        return;
    WRITE_ONCE(v->time.napping, false);
    timer_cancel(&v->time.poll);
}

/* ---- life cycle ---- */

void vtime_init(struct vcpu *v)
{
    struct vtime *t = &v->time;

    memset(t, 0, sizeof(*t));
    spin_lock_init(&t->lock);
    timer_init(&t->singleshot, v->sched.cpu, timer_event, v);
    timer_init(&t->periodic, v->sched.cpu, periodic_event, v);
    timer_init(&t->poll, v->sched.cpu, poll_timeout, v);
    t->runstate.state = RUNSTATE_offline;
    t->runstate.state_entry_time = now_ns();
    vtime_update(v);
}

void vtime_migrate(struct vcpu *v, unsigned cpu)
{
    timer_set_cpu(&v->time.singleshot, cpu);
    timer_set_cpu(&v->time.periodic, cpu);
    timer_set_cpu(&v->time.poll, cpu);
}

void vtime_destroy(struct vcpu *v)
{
    struct vtime *t = &v->time;

    WRITE_ONCE(t->period_ns, 0);
    timer_cancel_sync(&t->singleshot);
    timer_cancel_sync(&t->periodic);
    timer_cancel_sync(&t->poll);
    guest_area_unmap(&t->runstate_area);
    guest_area_unmap(&t->time_area);
}

/* ---- wall clock: the date at system time 0 ---- */

static spinlock_t wc_lock = SPINLOCK_INIT;
static uint64_t wc_sec;
static uint32_t wc_nsec;
static uint32_t wc_version;

void wallclock_init(void)
{
    wc_sec = wallclock_sec_at_boot();
    wc_nsec = 0;
    wc_version = 0;
}

void wallclock_update(struct domain *d)
{
    struct shared_info *s = d->shared_info;
    uint64_t sec;

    spin_lock(&wc_lock);
    sec = wc_sec + (uint64_t)READ_ONCE(d->time_offset);
    WRITE_ONCE(s->wc_version, wc_version + 1);
    wmb();
    s->wc_sec = (uint32_t)sec;
    s->wc_sec_hi = (uint32_t)(sec >> 32);
    s->wc_nsec = wc_nsec;
    wmb();
    WRITE_ONCE(s->wc_version, wc_version + 2);
    wc_version += 2;
    spin_unlock(&wc_lock);
}

void wallclock_set(uint64_t seconds, uint32_t nanoseconds, uint64_t system_time_ns)
{
    uint64_t sys_sec = system_time_ns / NS_PER_SEC;
    uint32_t sys_nsec = (uint32_t)(system_time_ns % NS_PER_SEC);
    struct domain *d;

    spin_lock(&wc_lock);
    wc_sec = seconds - sys_sec;
    if (nanoseconds < sys_nsec) {
        wc_sec--;
        nanoseconds += NS_PER_SEC;
    }
    wc_nsec = nanoseconds - sys_nsec;
    spin_unlock(&wc_lock);

    domain_list_lock();
    for_each_domain (d)
        wallclock_update(d);
    domain_list_unlock();
}
