/* SPDX-License-Identifier: MIT */
/*
 * The model of hc_sim.h. Functions here stand for domain/, sched/, cpu/, p2m/ and irq/ as far as
 * handlers call them.
 */
#include "hc_sim.h"

#include <stdlib.h>

#include "acpi/acpi.h"
#include "boot/console.h"
#include "cpu/guest_mem.h"
#include "hypercall/hypercall.h"
#include "irq/time.h"
#include "irq/girq.h"
#include "lib/assert.h"
#include "lib/errno.h"
#include "lib/string.h"
#include "mm/frame.h"
#include "mm/heap.h"
#include "mm/phys.h"
#include "sim.h"
#include "vdev/pci.h"
#include "vdev/vpci.h"
#include "vdev/msi_bind.h"

struct hc_domain {
    struct domain d;
    uint64_t base;          /* first machine frame */
    uint8_t type[HC_PAGES]; /* enum p2m_type */
    unsigned pins;          /* atomic */
    struct hc_vcpu_log log[DOMAIN_MAX_VCPUS];
};

struct list_head domain_list;
struct domain *control_domain;
int hc_shutdown_code = -1;
struct domain *hc_shutdown_domain;
int64_t hc_cpu_tsc_offset;
char hc_console[4096];
size_t hc_console_len;
unsigned hc_mode_bytes = 8;

static struct hc_domain *by_slot[HC_MAX_DOMAINS + 1];
static spinlock_t list_lock = SPINLOCK_INIT;
static struct timer *timers;
static bool memory_ready;

static struct hc_domain *hc(const struct domain *d)
{
    return container_of(d, struct hc_domain, d);
}

/* ---- domains ---- */

void hc_reset(void)
{
    while (domain_list.next && !list_empty(&domain_list))
        hc_destroy(list_first_entry(&domain_list, struct domain, link));
    memset(by_slot, 0, sizeof(by_slot));
    list_init(&domain_list);
    control_domain = NULL;
    timers = NULL;
    if (!memory_ready)
        sim_phys_init((HC_MAX_DOMAINS + 2) * HC_PAGES * PAGE_SIZE);
    memory_ready = true;
    sim_now_ns = NS_PER_SEC;
    sim_now_step = 0;
    hc_shutdown_code = -1;
    hc_cpu_tsc_offset = 0;
    hc_console_len = 0;
    hc_mode_bytes = 8;
    nr_cpus = 2;
    for (unsigned i = 0; i < nr_cpus; i++)
        percpu_area[i] = (struct percpu){ .id = i, .apicid = 2 * i, .online = true };
}

static struct vcpu *add_vcpu(struct domain *d, unsigned id)
{
    struct vcpu *v = calloc(1, sizeof(*v));

    if (!v)
        abort();
    v->domain = d;
    v->id = id;
    v->initialised = true;
    v->sched.cpu = id % nr_cpus;
    v->vlapic.vcpu = v;
    v->cpu.v = v;
    hc_set_cpu(v);
    d->vcpu[id] = v;
    evtchn_vcpu_init(v);
    vtime_init(v);
    return v;
}

struct domain *hc_domain(uint16_t domid, unsigned vcpus, uint32_t max_ports)
{
    struct hc_domain *h = calloc(1, sizeof(*h));
    struct domain *d, *before;
    unsigned slot = 1;

    while (slot <= HC_MAX_DOMAINS && by_slot[slot])
        slot++;
    if (!h || slot > HC_MAX_DOMAINS)
        abort();
    by_slot[slot] = h;
    h->base = (uint64_t)slot * HC_PAGES;
    memset(h->type, P2M_RAM_RW, sizeof(h->type));
    d = &h->d;
    memset(hc_mem(d, 0), 0, HC_PAGES * PAGE_SIZE);
    d->domid = domid;
    d->control = domid == 0;
    d->refs = 1;
    d->max_vcpus = vcpus;
    d->p2m.domid = domid;
    d->p2m.addr_bits = 39;
    d->p2m.frames[P2M_RAM_RW] = HC_PAGES;
    d->shared_info = calloc(1, PAGE_SIZE);
    evtchn_domain_init(d, d->shared_info, max_ports);
    pt_irq_init(d);
    watchdog_init(d);
    hvm_params_init(d);
    hc_set_policy(d);
    for (unsigned i = 0; i < vcpus; i++)
        add_vcpu(d, i);
    if (d->control)
        control_domain = d;
    list_for_each_entry (before, &domain_list, link)
        if (before->domid > domid)
            break;
    list_add_tail(&d->link, &before->link);
    return d;
}

void hc_destroy(struct domain *d)
{
    struct hc_domain *h = hc(d);

    spin_lock(&list_lock);
    list_del(&d->link);
    spin_unlock(&list_lock);
    evtchn_domain_destroy(d);
    watchdog_destroy(d);
    for (unsigned i = 0; i < d->max_vcpus; i++) {
        vtime_destroy(d->vcpu[i]);
        free(d->vcpu[i]);
    }
    if (h->pins)
        panic("domain %u dies with %u pinned frames", d->domid, h->pins);
    if (d->refs != 1)
        panic("domain %u dies with %u references", d->domid, d->refs);
    for (unsigned i = 0; i <= HC_MAX_DOMAINS; i++)
        if (by_slot[i] == h)
            by_slot[i] = NULL;
    free(d->shared_info);
    free(h);
}

struct hc_vcpu_log *hc_log(struct vcpu *v)
{
    return &hc(v->domain)->log[v->id];
}

void domain_list_lock(void)
{
    spin_lock(&list_lock);
}

void domain_list_unlock(void)
{
    spin_unlock(&list_lock);
}

struct domain *domain_get_by_id(uint16_t domid)
{
    struct domain *d, *found = NULL;

    domain_list_lock();
    for_each_domain (d)
        if (d->domid == domid)
            found = d;
    if (found)
        domain_get(found);
    domain_list_unlock();
    return found;
}

struct domain *domain_get_by_id_or_self(struct vcpu *v, uint16_t domid)
{
    if (domid == DOMID_SELF)
        domid = v->domain->domid;
    return domain_get_by_id(domid);
}

void domain_get(struct domain *d)
{
    __atomic_fetch_add(&d->refs, 1, __ATOMIC_SEQ_CST);
}

void domain_put(struct domain *d)
{
    if (__atomic_fetch_sub(&d->refs, 1, __ATOMIC_SEQ_CST) == 1)
        panic("domain %u lost its last reference", d->domid);
}

void domain_shutdown(struct domain *d, unsigned code)
{
    hc_shutdown_domain = d;
    hc_shutdown_code = (int)code;
}

void domain_pause(struct domain *d)
{
    d->pause_count++;
}

void domain_unpause(struct domain *d)
{
    d->pause_count--;
}

uint64_t domain_shared_info_mfn(const struct domain *d)
{
    return hc(d)->base;
}

/* ---- memory ---- */

void *hc_mem(struct domain *d, uint64_t gpa)
{
    return phys_to_virt((hc(d)->base << PAGE_SHIFT) + gpa);
}

void hc_set_type(struct domain *d, uint64_t gfn, enum p2m_type type)
{
    hc(d)->type[gfn] = (uint8_t)type;
}

unsigned hc_pins(struct domain *d)
{
    return hc(d)->pins;
}

uint64_t p2m_get_frame(const struct p2m *p2m, uint64_t gfn, bool write, enum p2m_type *type)
{
    struct hc_domain *h = hc(container_of(p2m, struct domain, p2m));

    *type = gfn < HC_PAGES ? h->type[gfn] : P2M_NONE;
    if (*type == P2M_NONE || *type == P2M_MMIO_DIRECT || (write && !p2m_type_writable(*type)))
        return INVALID_MFN;
    __atomic_fetch_add(&h->pins, 1, __ATOMIC_SEQ_CST);
    return h->base + gfn;
}

void p2m_put_frame(uint64_t mfn)
{
    struct hc_domain *h = by_slot[mfn / HC_PAGES];

    if (!h || __atomic_fetch_sub(&h->pins, 1, __ATOMIC_SEQ_CST) == 0)
        panic("frame %lx given back too often", (unsigned long)mfn);
}

uint64_t p2m_lookup(const struct p2m *p2m, uint64_t gfn, enum p2m_type *type, unsigned *order)
{
    struct hc_domain *h = hc(container_of(p2m, struct domain, p2m));

    *type = gfn < HC_PAGES ? h->type[gfn] : P2M_NONE;
    if (order)
        *order = 0;
    return *type == P2M_NONE ? INVALID_MFN : h->base + gfn;
}

static void *linear(struct vcpu *v, uint64_t gva, size_t n)
{
    if (gva >= HC_PAGES * PAGE_SIZE || n > HC_PAGES * PAGE_SIZE - gva)
        return NULL;
    return hc_mem(v->domain, gva);
}

int copy_from_guest(struct vcpu *v, void *dst, uint64_t gva, size_t n)
{
    void *p = linear(v, gva, n);

    if (!p)
        return -EFAULT;
    memcpy(dst, p, n);
    return 0;
}

int copy_to_guest(struct vcpu *v, uint64_t gva, const void *src, size_t n)
{
    void *p = linear(v, gva, n);

    if (!p)
        return -EFAULT;
    memcpy(p, src, n);
    return 0;
}

int guest_gva_to_gpa(struct cpu_vcpu *c, uint64_t gva, unsigned access, uint64_t *gpa,
                     struct guest_fault *fault)
{
    (void)access;
    (void)fault;
    if (!linear(c->v, gva, 1))
        return -EFAULT;
    *gpa = gva;
    return 0;
}

unsigned cpu_mode_bytes(const struct cpu_vcpu *c)
{
    (void)c;
    return hc_mode_bytes;
}

long hc_call(hc_handler fn, struct vcpu *v, uint64_t cmd, void *arg, size_t size)
{
    long rc;

    if (size)
        memcpy(hc_mem(v->domain, HC_ARG), arg, size);
    rc = fn(v, cmd, HC_ARG, 0, 0, 0);
    if (size)
        memcpy(arg, hc_mem(v->domain, HC_ARG), size);
    return rc;
}

/* ---- vCPUs ---- */

void vcpu_kick(struct vcpu *v)
{
    __atomic_fetch_add(&hc_log(v)->kicks, 1, __ATOMIC_SEQ_CST);
    v->sched.blocked = false;
}

void vcpu_wake(struct vcpu *v)
{
    __atomic_fetch_add(&hc_log(v)->wakes, 1, __ATOMIC_SEQ_CST);
    v->sched.blocked = false;
    v->sched.down = false;
}

void vcpu_block(struct vcpu *v)
{
    hc_log(v)->blocks++;
    v->sched.blocked = true;
}

void vcpu_yield(struct vcpu *v)
{
    hc_log(v)->yields++;
}

void vcpu_set_down(struct vcpu *v)
{
    v->sched.down = true;
}

int sched_set_affinity(struct vcpu *v, const uint64_t *cpus)
{
    if (!cpus[0])
        return -EINVAL;
    v->sched.affinity[0] = cpus[0];
    return 0;
}

uint64_t frames_staked(uint16_t owner)
{
    return owner;
}

uint64_t frames_staked_total(void)
{
    return 7;
}

void sched_set_soft_affinity(struct vcpu *v, const uint64_t *cpus)
{
    v->sched.soft[0] = cpus[0];
}

/* CPU 3 is somebody else's. */
int sched_dedicate(struct domain *d, const uint64_t *cpus)
{
    if (d->control || test_bit(cpus, 0))
        return -EINVAL;
    return test_bit(cpus, 3) ? -EBUSY : 0;
}

bool sched_is_dedicated(unsigned cpu, const struct domain *d)
{
    return cpu == 1 && !d->control;
}

int sched_state(const struct vcpu *v)
{
    if (v->sched.down)
        return RUNSTATE_offline;
    return v->sched.blocked ? RUNSTATE_blocked : RUNSTATE_running;
}

void vcpu_nmi(struct vcpu *v)
{
    hc_log(v)->nmis++;
}

int vlapic_set_irq(struct vlapic *l, uint8_t vec, bool level)
{
    (void)level;
    __atomic_fetch_add(&hc_log(l->vcpu)->irqs, 1, __ATOMIC_SEQ_CST);
    hc_log(l->vcpu)->last_vector = vec;
    vcpu_kick(l->vcpu);
    return 1;
}

void hypercall_set_arg(struct vcpu *v, unsigned n, uint64_t val)
{
    static const uint8_t regs[5] = { CPU_RDI, CPU_RSI, CPU_RDX, CPU_R10, CPU_R8 };

    v->cpu.regs.gpr[regs[n - 1]] = val;
}

/* ---- clock and timers ---- */

void timer_init(struct timer *t, unsigned cpu, void (*fn)(void *arg), void *arg)
{
    memset(t, 0, sizeof(*t));
    t->cpu = cpu;
    t->fn = fn;
    t->arg = arg;
}

void timer_cancel(struct timer *t)
{
    struct timer **p = &timers;

    while (*p && *p != t)
        p = &(*p)->next;
    if (*p)
        *p = t->next;
    t->queued = false;
}

void timer_cancel_sync(struct timer *t)
{
    timer_cancel(t);
}

void timer_set(struct timer *t, uint64_t deadline_ns)
{
    timer_cancel(t);
    t->deadline = deadline_ns;
    t->queued = true;
    t->next = timers;
    timers = t;
}

void timer_set_cpu(struct timer *t, unsigned cpu)
{
    t->cpu = cpu;
}

static struct timer *first_due(uint64_t until)
{
    struct timer *best = NULL;

    for (struct timer *t = timers; t; t = t->next)
        if (t->deadline <= until && (!best || t->deadline < best->deadline))
            best = t;
    return best;
}

void hc_advance(uint64_t ns)
{
    uint64_t end = sim_now_ns + ns;
    struct timer *t;

    while ((t = first_due(end)) != NULL) {
        sim_now_ns = MAX(sim_now_ns, t->deadline);
        timer_cancel(t);
        t->fn(t->arg);
    }
    sim_now_ns = end;
}

uint32_t tsc_khz(void)
{
    return 2000000;
}

/* 2 GHz: two ticks a nanosecond. */
void time_params(struct time_scale *scale, uint64_t *tsc_base)
{
    scale->mul = 0x80000000u;
    scale->shift = 0;
    *tsc_base = 1000;
}

int64_t tsc_offset_of_cpu(unsigned cpu)
{
    return cpu == 1 ? hc_cpu_tsc_offset : 0;
}

uint64_t wallclock_sec_at_boot(void)
{
    return 1700000000;
}

/* ---- console ---- */

void console_write(const char *s, size_t n)
{
    for (size_t i = 0; i < n && hc_console_len < sizeof(hc_console); i++)
        hc_console[hc_console_len++] = s[i];
}

size_t console_read(char *buf, size_t n)
{
    n = MIN(n, (size_t)3);
    memcpy(buf, "abc", n);
    return n;
}

void console_set_input_hook(void (*fn)(void))
{
    (void)fn;
}

/* The ring holds the letters a to z over and over, 100 of them. */
size_t conring_read(uint32_t *index, char *buf, size_t n, bool clear)
{
    size_t done = 0;

    (void)clear;
    while (done < n && *index < 100)
        buf[done++] = (char)('a' + (*index)++ % 26);
    return done;
}

/* ---- machine ---- */

void frame_get_stats(struct frame_stats *st)
{
    memset(st, 0, sizeof(*st));
    st->total = 1000;
    st->free = 400;
    st->free_low = 300;
}

int trap_for_each(struct trap_table *t, enum trap_kind kind,
                  int (*fn)(const struct trap_region *r, void *arg), void *arg)
{
    (void)t;
    (void)kind;
    (void)fn;
    (void)arg;
    return 0;
}

unsigned trap_deferred(void)
{
    return 0;
}

void heap_get_stats(struct heap_stats *st)
{
    memset(st, 0, sizeof(*st));
}

uint64_t frames_limit(void)
{
    return 1000;
}

bool iommu_enabled(void)
{
    return true;
}

/* ---- what a test may want to replace ---- */

#define WEAK __attribute__((weak))

WEAK int vpci_physdev_add(struct domain *d, uint32_t sbdf, uint32_t flags, uint32_t physfn)
{
    (void)physfn;
    (void)d;
    (void)sbdf;
    (void)flags;
    return 0;
}

WEAK int vpci_physdev_remove(struct domain *d, uint32_t sbdf)
{
    (void)d;
    (void)sbdf;
    return 0;
}

WEAK int vpci_add_ecam(struct vpci *vpci, uint64_t base, uint16_t segment, uint8_t start_bus,
                       uint8_t end_bus)
{
    (void)vpci;
    (void)base;
    (void)segment;
    (void)start_bus;
    (void)end_bus;
    return 0;
}

WEAK int msi_exists(struct domain *d, const struct msi_name *name)
{
    (void)d;
    (void)name;
    return -ENODEV;
}

WEAK int msi_bind(struct domain *d, const struct msi_name *name, uint64_t addr, uint32_t data)
{
    (void)addr;
    (void)data;
    return msi_exists(d, name);
}

WEAK int msi_unbind(struct domain *d, const struct msi_name *name)
{
    return msi_exists(d, name);
}

/* Nobody makes requests here: there are no servers. */
WEAK int ioreq_server_create(struct ioreq_domain *io, unsigned buffered, uint16_t *id)
{
    (void)io;
    (void)buffered;
    (void)id;
    return -ENOMEM;
}

WEAK int ioreq_server_destroy(struct ioreq_domain *io, uint16_t id)
{
    (void)io;
    (void)id;
    return -ENOENT;
}

WEAK int ioreq_server_enable(struct ioreq_domain *io, uint16_t id, bool on)
{
    (void)on;
    return ioreq_server_destroy(io, id);
}

WEAK int ioreq_server_port(struct ioreq_domain *io, uint16_t id, uint32_t *buffered_port)
{
    (void)buffered_port;
    return ioreq_server_destroy(io, id);
}

WEAK int ioreq_server_map(struct ioreq_domain *io, uint16_t id, unsigned kind, uint64_t first, uint64_t last)
{
    (void)kind;
    (void)first;
    (void)last;
    return ioreq_server_destroy(io, id);
}

WEAK int ioreq_server_unmap(struct ioreq_domain *io, uint16_t id, unsigned kind, uint64_t first, uint64_t last)
{
    return ioreq_server_map(io, id, kind, first, last);
}

WEAK bool girq_message_allowed(uint64_t addr, uint32_t data)
{
    (void)data;
    return addr >> 20 == 0xfee;
}

WEAK unsigned vapic_deliver_msi(struct domain *dom, uint64_t addr, uint32_t data)
{
    (void)dom;
    (void)addr;
    (void)data;
    return 0;
}

WEAK struct pci_dev *pci_find(uint32_t sbdf)
{
    (void)sbdf;
    return NULL;
}

WEAK int acpi_get_madt(struct acpi_madt_info *out)
{
    (void)out;
    return -ENOENT;
}

WEAK bool hypercall_preempt(struct vcpu *v)
{
    (void)v;
    return false;
}

WEAK uint64_t hypercall_count(unsigned nr, uint64_t *unknown)
{
    *unknown = 7;
    return nr == __HYPERVISOR_sysctl;
}

WEAK long hypercall_call(struct vcpu *v, uint64_t nr, const uint64_t arg[5])
{
    (void)v;
    (void)nr;
    (void)arg;
    return -ENOSYS;
}
