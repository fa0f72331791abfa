/* SPDX-License-Identifier: MIT */
/*
 * Life of domains: creation, the list, references, pausing and shutdown.
 */
#include "domain/domain.h"

#include "lib/types.h"

#include <xen/sched.h>

#include "boot/power.h"
#include "cpu/x86.h"
#include "irq/time.h"
#include "lib/assert.h"
#include "lib/errno.h"
#include "lib/percpu.h"
#include "lib/printf.h"
#include "lib/string.h"
#include "mm/frame.h"
#include "mm/heap.h"
#include "mm/phys.h"
#include "vdev/vroot.h"

struct list_head domain_list = LIST_HEAD_INIT(domain_list);
struct domain *control_domain;
static spinlock_t list_lock = SPINLOCK_INIT;

void domain_list_lock(void)
{
    spin_lock(&list_lock);
}

void domain_list_unlock(void)
{
    spin_unlock(&list_lock);
}

void domain_get(struct domain *d)
{
    __atomic_add_fetch(&d->refs, 1, __ATOMIC_RELAXED);
}

struct domain *domain_get_by_id(uint16_t domid)
{
    struct domain *d, *found = NULL;

    domain_list_lock();
    for_each_domain(d) {
        if (d->domid == domid) {
            domain_get(d);
            found = d;
            break;
        }
    }
    domain_list_unlock();
    return found;
}

struct domain *domain_get_by_id_or_self(struct vcpu *v, uint16_t domid)
{
    if (domid == DOMID_SELF || domid == v->domain->domid) {
        domain_get(v->domain);
        return v->domain;
    }
    return domain_get_by_id(domid);
}

/* The last one goes under the list lock, where nobody can find the domain and take a new one. */
void domain_put(struct domain *d)
{
    unsigned old = READ_ONCE(d->refs);

    /* Whoever worked on it may have had the last of its frames. */
    if (unlikely(READ_ONCE(d->dying)))
        WRITE_ONCE(domain_reap_wanted, true);
    while (old > 1)
        if (__atomic_compare_exchange_n(&d->refs, &old, old - 1, false, __ATOMIC_ACQ_REL,
                                        __ATOMIC_RELAXED))
            return;
    domain_list_lock();
    if (__atomic_sub_fetch(&d->refs, 1, __ATOMIC_ACQ_REL) == 0) {
        list_del(&d->link);
        domain_dead(d);
    }
    domain_list_unlock();
}

/* ---- the p2m's hooks ---- */

static struct domain *p2m_domain(struct p2m *p2m)
{
    return container_of(p2m, struct domain, p2m);
}

static void hook_sync_entry(struct p2m *p2m, void *entry, size_t bytes)
{
    (void)p2m;
    if (!iommu_needs_writeback())
        return;
    for (uint64_t a = (uint64_t)entry & ~63ULL; a < (uint64_t)entry + bytes; a += 64)
        __asm__ __volatile__("clflush (%0)" ::"r"(a) : "memory");
}

static void hook_flush_cpu(struct p2m *p2m)
{
    sched_flush_p2m(p2m);
}

static void hook_flush_iommu(struct p2m *p2m, uint64_t gfn, uint64_t nr, bool tables_freed)
{
    struct domain *d = p2m_domain(p2m);

    /* A unit that does not answer may still use the old entries: nothing that was mapped may ever be reused. */
    if (iommu_flush_range(&d->iommu, gfn, nr, tables_freed))
        panic("an IOMMU did not complete a flush for domain %u; its memory cannot be isolated", d->domid);
}

static void hook_release(struct p2m *p2m, uint64_t gfn, uint64_t mfn, unsigned order,
                         enum p2m_type type)
{
    domain_p2m_release(p2m_domain(p2m), gfn, mfn, order, type);
    if (!p2m_type_is_ram(type))
        domain_foreign_released();
}

static const struct p2m_hooks p2m_hooks = {
    .sync_entry = hook_sync_entry,
    .flush_cpu = hook_flush_cpu,
    .flush_iommu = hook_flush_iommu,
    .release = hook_release,
};

/* ---- creation ---- */

static int vcpu_create(struct domain *d, unsigned id)
{
    struct vcpu *v = xzalloc(sizeof(*v));
    int err;

    if (!v)
        return -ENOMEM;
    v->domain = d;
    v->id = id;
    v->trap = (struct trap_vcpu){ &d->traps, trap_who(d->domid, id) };
    v->wait_for_sipi = true;
    sched_vcpu_init(v, id % nr_cpus);
    err = vlapic_init(&v->vlapic, &d->vapic, v, id);
    if (err)
        goto free;
    err = post_vcpu_init(v);
    if (err)
        goto no_post;
    err = cpu_vcpu_init(&v->cpu, v, &d->cpu, &d->p2m, id);
    if (err)
        goto no_cpu;
    /* A guest's TSC starts at 0 with the domain, the same for all of its vCPUs; the control domain has the machine's. */
    if (!d->control) {
        v->cpu.tsc_offset = 0 - d->tsc_base;
        cpu_backend->set_tsc_offset(&v->cpu, v->cpu.tsc_offset);
    }
    d->vcpu[id] = v;
    ioreq_vcpu_init(&v->ioreq, &d->ioreq, v, id);
    evtchn_vcpu_init(v);
    vtime_init(v);
    return 0;

no_cpu:
    post_vcpu_destroy(v);
no_post:
    vlapic_destroy(&v->vlapic);
free:
    xfree(v);
    return err;
}

static void vcpu_destroy(struct vcpu *v)
{
    sched_vcpu_destroy(v);
    cpu_vcpu_destroy(&v->cpu);
    post_vcpu_destroy(v);
    vlapic_destroy(&v->vlapic);
    v->domain->vcpu[v->id] = NULL;
    xfree(v);
}

uint64_t domain_shared_info_mfn(const struct domain *d)
{
    return virt_to_mfn(d->shared_info);
}

static int alloc_shared_info(struct domain *d)
{
    uint64_t mfn = frame_alloc(0, d->domid, FRAME_ZERO | FRAME_SHARED);

    if (mfn == INVALID_MFN)
        return -ENOMEM;
    d->shared_info = mfn_to_virt(mfn);
    return 0;
}

/* The parts in the order of their creation; unwound in reverse by domain_free through what is set. */
static int domain_init_parts(struct domain *d, const struct domain_config *cfg)
{
    int err = p2m_init(&d->p2m, d->domid, &p2m_hooks);

    if (err)
        return err;
    err = iommu_domain_init(&d->iommu, d->domid, &d->p2m);
    if (err)
        return err;
    trap_table_init(&d->traps, d->domid);
    vapic_bus_init(&d->vapic, d);
    pt_domain_init(&d->pt);
    ioreq_domain_init(&d->ioreq, d, d->domid);
    pt_irq_init(d);
    err = cpu_domain_init(&d->cpu, &(struct cpu_domain_config){
                                       .domid = d->domid,
                                       .nr_vcpus = cfg->max_vcpus,
                                       .addr_bits = iommu_address_bits(),
                                       .tsc_khz = tsc_khz(),
                                       .control = cfg->control,
                                       .owns_devices = cfg->control,
                                   });
    if (err)
        return err;
    err = alloc_shared_info(d);
    if (err)
        return err;
    evtchn_domain_init(d, d->shared_info, cfg->max_evtchn_ports);
    watchdog_init(d);
    hvm_params_init(d);
    err = grant_init(d, cfg->max_grant_frames, cfg->max_maptrack_frames);
    if (err)
        return err;
    for (unsigned i = 0; i < cfg->max_vcpus; i++) {
        d->max_vcpus = i + 1;
        err = vcpu_create(d, i);
        if (err)
            return err;
    }
    wallclock_update(d);
    if (!d->control) {
        err = domain_hide_pit(d); /* the control domain's builder has ports to set up as a whole */
        if (!err)
            err = domain_debugport_init(d);
        if (err)
            return err;
    }
    return vlapic_register_page(&d->traps);
}

/* Whether there is room for one more. List lock held. */
static bool list_has_room(void)
{
    struct domain *d;
    unsigned n = 0;

    for_each_domain(d)
        n++;
    return n < DOMAIN_MAX;
}

static int domain_link(struct domain *d)
{
    struct domain *other;
    int err = 0;

    domain_list_lock();
    if (!list_has_room())
        err = -ENOSPC;
    for_each_domain(other) {
        if (other->domid == d->domid)
            err = -EEXIST;
        if (other->domid >= d->domid)
            break;
    }
    if (!err)
        list_add_tail(&d->link, &other->link);
    domain_list_unlock();
    return err;
}

/* Ids are given in turn, so that a tool that remembers a dead domain's does not soon meet another one by it. */
uint16_t domain_free_id(void)
{
    static uint16_t last = CONTROL_DOMID;
    struct domain *d;
    uint16_t id;

    domain_list_lock();
    id = list_has_room() ? (uint16_t)(last + 1) : DOMID_INVALID;
    if (id == DOMID_FIRST_RESERVED)
        id = CONTROL_DOMID + 1;
    /* Ascending, so one walk meets all ids that follow; after a turn at the end the walk starts again. */
    for_each_domain(d) {
        if (id == DOMID_INVALID || d->domid != id)
            continue;
        if (++id == DOMID_FIRST_RESERVED) {
            id = CONTROL_DOMID + 1;
            d = control_domain;
        }
    }
    if (id != DOMID_INVALID)
        last = id;
    domain_list_unlock();
    return id;
}

int domain_create(const struct domain_config *cfg, struct domain **out)
{
    struct domain *d;
    int err;

    if (!cfg->max_vcpus || cfg->max_vcpus > DOMAIN_MAX_VCPUS || cfg->domid >= DOMID_FIRST_RESERVED)
        return -EINVAL;
    d = xzalloc(sizeof(*d));
    if (!d)
        return -ENOMEM;
    d->domid = cfg->domid;
    d->control = cfg->control;
    d->refs = 1;
    d->pause_count = cfg->control ? 0 : 1; /* which is how the scheduler holds a new vCPU */
    d->max_pages = cfg->control ? ~0ULL : 0;
    d->tsc_base = cfg->control ? 0 : rdtsc();
    list_init(&d->link);
    list_init(&d->destroy.link);
    vpci_prepare(&d->vpci);
    memcpy(d->handle, cfg->handle, sizeof(d->handle));
    err = domain_init_parts(d, cfg);
    if (!err)
        err = domain_link(d);
    if (err) {
        domain_put(d);
        return err;
    }
    *out = d;
    return 0;
}

/*
 * Also for a domain that came into being only in part. Destruction has done most of it already for one that lived; each
 * part may be told twice.
 */
void domain_free(struct domain *d)
{
    struct vcpu *v;

    ASSERT(list_empty(&d->link) && !d->control);
    for_each_vcpu(d, v)
        vtime_destroy(v);
    if (d->shared_info) {
        ioreq_domain_destroy(&d->ioreq);
        watchdog_destroy(d);
        evtchn_domain_destroy(d);
    }
    for_each_vcpu(d, v)
        vcpu_destroy(v);
    while (grant_release_mappings(d) == -ERESTART || p2m_teardown(&d->p2m) == -ERESTART)
        ;
    grant_destroy(d);
    if (d->shared_info)
        frame_free(domain_shared_info_mfn(d), 0);
    if (d->cpu.io_bitmap)
        cpu_domain_destroy(&d->cpu);
    vroot_destroy(d);
    vioapic_destroy_all(&d->vapic);
    trap_table_destroy(&d->traps);
    iommu_domain_destroy(&d->iommu);
    pt_irq_destroy(d);
    p2m_destroy(&d->p2m);
    xfree(d);
}

/* ---- pausing and shutdown ---- */

void domain_pause(struct domain *d)
{
    struct vcpu *v;

    __atomic_add_fetch(&d->pause_count, 1, __ATOMIC_SEQ_CST);
    for_each_vcpu(d, v)
        sched_hold(v);
}

void domain_unpause(struct domain *d)
{
    struct vcpu *v;

    __atomic_sub_fetch(&d->pause_count, 1, __ATOMIC_SEQ_CST);
    for_each_vcpu(d, v)
        sched_unhold(v);
}

static void __noreturn control_shutdown(unsigned code)
{
    static const char *const names[] = { "power-off", "reboot", "suspend", "crash", "watchdog",
                                         "soft reset" };

    pr_info("The control domain asks for %s.", code < ARRAY_SIZE(names) ? names[code] : "shutdown");
    if (code == SHUTDOWN_poweroff)
        machine_poweroff();
    machine_restart();
}

void domain_shutdown(struct domain *d, unsigned code)
{
    struct vcpu *v;
    bool first;

    if (d->control)
        control_shutdown(code);
    spin_lock(&d->lock);
    first = !d->shutting_down;
    d->shutting_down = true;
    if (first)
        d->shutdown_code = (uint8_t)code;
    spin_unlock(&d->lock);
    if (!first)
        return;
    for_each_vcpu(d, v)
        sched_hold(v);
    spin_lock(&d->lock);
    d->is_shut_down = true;
    spin_unlock(&d->lock);
    send_virq_global(control_domain, VIRQ_DOM_EXC);
}

int domain_resume(struct domain *d)
{
    struct vcpu *v;
    bool was;

    spin_lock(&d->lock);
    was = d->is_shut_down && !READ_ONCE(d->dying);
    if (was)
        d->is_shut_down = d->shutting_down = false;
    spin_unlock(&d->lock);
    if (!was)
        return -EINVAL;
    for_each_vcpu(d, v)
        sched_unhold(v);
    return 0;
}

void domain_vcpu_went_down(struct domain *d)
{
    struct vcpu *v;

    for_each_vcpu(d, v)
        if (v->initialised && !READ_ONCE(v->wait_for_sipi) && !READ_ONCE(v->sched.down))
            return;
    domain_shutdown(d, SHUTDOWN_poweroff);
}
