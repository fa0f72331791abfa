/* SPDX-License-Identifier: MIT */
/*
 * See fake_domain.h.
 */
#include "fake_domain.h"

#include <stdlib.h>

#include "cpu/exit.h"
#include "cpu/guest_mem.h"
#include "hypercall/hypercall.h"
#include "lib/assert.h"
#include "lib/errno.h"
#include "lib/string.h"
#include "mm/frame.h"
#include "mm/phys.h"
#include "sim.h"

#define MAX_DOMAINS 4

unsigned fake_preempt_every, fake_restarts, fake_cpu_flushes, fake_io_flushes;
bool fake_iommu;
unsigned fake_mode_bytes;
uint32_t fake_rmrr_sbdf;
unsigned fake_nr_rmrrs;

static struct page frame_table[FAKE_FRAMES];
static struct domain *domains[MAX_DOMAINS];
static uint64_t free_at_start;
static unsigned preempt_asked;
static uint64_t args[3];

/* ---- what the code under test calls ---- */

struct domain *domain_get_by_id(uint16_t domid)
{
    for (unsigned i = 0; i < MAX_DOMAINS; i++) {
        if (domains[i] && domains[i]->domid == domid) {
            domain_get(domains[i]);
            return domains[i];
        }
    }
    return NULL;
}

struct domain *domain_get_by_id_or_self(struct vcpu *v, uint16_t domid)
{
    return domain_get_by_id(domid == DOMID_SELF ? v->domain->domid : domid);
}

void domain_get(struct domain *d)
{
    d->refs++;
}

void domain_put(struct domain *d)
{
    ASSERT(d->refs > 1);
    d->refs--;
}

uint64_t domain_shared_info_mfn(const struct domain *d)
{
    return virt_to_mfn(d->shared_info);
}

int copy_from_guest(struct vcpu *v, void *dst, uint64_t gva, size_t n)
{
    (void)v;
    if (gva < PAGE_SIZE)
        return -EFAULT;
    memcpy(dst, (const void *)gva, n);
    return 0;
}

int copy_to_guest(struct vcpu *v, uint64_t gva, const void *src, size_t n)
{
    (void)v;
    if (gva < PAGE_SIZE)
        return -EFAULT;
    memcpy((void *)gva, src, n);
    return 0;
}

bool hypercall_preempt(struct vcpu *v)
{
    (void)v;
    return fake_preempt_every && ++preempt_asked % fake_preempt_every == 0;
}

void hypercall_set_arg(struct vcpu *v, unsigned n, uint64_t val)
{
    (void)v;
    ASSERT(n >= 1 && n <= 3);
    args[n - 1] = val;
}

unsigned cpu_mode_bytes(const struct cpu_vcpu *c)
{
    (void)c;
    return fake_mode_bytes;
}

bool iommu_present(void)
{
    return fake_iommu;
}

bool iommu_rmrr_for(uint32_t sbdf, unsigned n, uint64_t *start, uint64_t *end)
{
    if (sbdf != fake_rmrr_sbdf || n >= fake_nr_rmrrs)
        return false;
    *start = 0x7f000000 + n * 0x100000ull;
    *end = *start + 0x1fff;
    return true;
}

bool iommu_rmrr(unsigned n, uint64_t *start, uint64_t *end, uint32_t *sbdfs, unsigned *count,
                unsigned max)
{
    (void)sbdfs;
    ASSERT(max == 0);
    *count = 1;
    return iommu_rmrr_for(fake_rmrr_sbdf, n, start, end);
}

/* ---- request servers without anybody who makes requests ---- */

static unsigned ports;

int ioreq_port_alloc(struct vcpu *v)
{
    (void)v;
    return (int)++ports;
}

void ioreq_port_free(struct domain *d, uint32_t port)
{
    (void)d;
    ASSERT(port && ports);
    ports--;
}

void ioreq_withdraw_all(struct ioreq_domain *io, struct ioreq_server *s)
{
    ASSERT(s && spin_is_locked(&io->lock));
}

void ioreq_present_all(struct ioreq_domain *io)
{
    ASSERT(spin_is_locked(&io->lock));
}

/* ---- domains ---- */

static void flush_cpu(struct p2m *p2m)
{
    (void)p2m;
    fake_cpu_flushes++;
}

static void flush_iommu(struct p2m *p2m, uint64_t gfn, uint64_t nr, bool tables_freed)
{
    (void)tables_freed;
    ASSERT(nr && gfn + nr - 1 <= p2m->max_gfn);
    fake_io_flushes++;
}

static void release(struct p2m *p2m, uint64_t gfn, uint64_t mfn, unsigned order, enum p2m_type type)
{
    domain_p2m_release(container_of(p2m, struct domain, p2m), gfn, mfn, order, type);
}

static const struct p2m_hooks hooks = { .flush_cpu = flush_cpu,
                                        .flush_iommu = flush_iommu,
                                        .release = release };

void fake_machine(uint64_t frames)
{
    static uint64_t have;

    ASSERT(frames <= FAKE_FRAMES);
    if (have != frames) /* what it holds does not matter: a new one costs most of a fuzzer's time */
        sim_phys_init((size_t)frames << PAGE_SHIFT);
    have = frames;
    frames_init(frame_table, frames);
    frames_assign(0, 16, OWNER_XEN);
    frames_add(64, frames - 64);
    frame_free(frame_alloc(0, 0, 0), 0); /* makes the counters of domains */
    free_at_start = frames_free_count();
    p2m_set_limits(39, P2M_ORDER_2M, false);
    memset(domains, 0, sizeof(domains));
    fake_preempt_every = fake_restarts = fake_cpu_flushes = fake_io_flushes = 0;
    fake_iommu = true;
    fake_mode_bytes = 8;
    fake_nr_rmrrs = 0;
}

struct domain *fake_domain(uint16_t domid, uint64_t pages)
{
    struct domain *d = calloc(1, sizeof(*d));
    struct vcpu *v = calloc(1, sizeof(*v));
    unsigned slot = 0;

    while (slot < MAX_DOMAINS && domains[slot])
        slot++;
    ASSERT(d && v && slot < MAX_DOMAINS);
    domains[slot] = d;
    d->domid = domid;
    d->control = domid == 0;
    d->refs = 1;
    d->max_pages = pages + 1024;
    d->max_vcpus = 1;
    d->vcpu[0] = v;
    v->domain = d;
    spin_lock_init(&d->lock);
    d->ioreq.domain = d;
    d->ioreq.domid = domid;
    d->ioreq.nr_vcpus = 1;
    d->ioreq.vcpu[0] = &v->ioreq;
    ASSERT(p2m_init(&d->p2m, domid, &hooks) == 0);
    d->shared_info = mfn_to_virt(frame_alloc(0, domid, FRAME_ZERO | FRAME_SHARED));
    ASSERT(grant_init(d, 4, 4) == 0);
    for (uint64_t gfn = 0; gfn < pages; gfn++) {
        uint64_t mfn = frame_alloc(0, domid, 0);

        memset(mfn_to_virt(mfn), (int)gfn, PAGE_SIZE);
        ASSERT(p2m_map(&d->p2m, gfn, mfn, 0, P2M_RAM_RW) == 0);
    }
    return d;
}

void fake_check(void)
{
    for (unsigned i = 0; i < MAX_DOMAINS; i++) {
        struct p2m_audit a;

        if (!domains[i])
            continue;
        p2m_audit(&domains[i]->p2m, &a);
        if (a.breaches)
            panic("domain %u: %s (gfn %#lx, mfn %#lx)", domains[i]->domid, a.reason,
                  (unsigned long)a.gfn, (unsigned long)a.mfn);
    }
}

void fake_machine_end(void)
{
    fake_check();
    for (unsigned i = 0; i < MAX_DOMAINS; i++) {
        if (!domains[i])
            continue;
        ioreq_server_free_all(&domains[i]->ioreq);
        while (grant_release_mappings(domains[i]) == -ERESTART)
            ;
        while (p2m_teardown(&domains[i]->p2m) == -ERESTART)
            ;
    }
    for (unsigned i = 0; i < MAX_DOMAINS; i++) {
        struct domain *d = domains[i];

        if (!d)
            continue;
        ASSERT(d->refs == 1);
        ASSERT(frames_owned(d->domid) == 0);
        grant_destroy(d);
        frame_free(domain_shared_info_mfn(d), 0);
        p2m_destroy(&d->p2m);
        free(d->vcpu[0]);
        free(d);
        domains[i] = NULL;
    }
    ASSERT(frames_free_count() == free_at_start && !ports);
}

uint8_t *fake_page(struct domain *d, uint64_t gfn)
{
    uint64_t mfn = p2m_lookup(&d->p2m, gfn, NULL, NULL);

    return mfn == INVALID_MFN ? NULL : mfn_to_virt(mfn);
}

long fake_call(fake_fn fn, struct domain *d, uint64_t a1, const void *a2, uint64_t a3)
{
    long rc;

    args[0] = a1;
    args[1] = (uint64_t)a2;
    args[2] = a3;
    for (unsigned calls = 0; calls < 100000; calls++) {
        rc = fn(d->vcpu[0], args[0], args[1], args[2], 0, 0);
        if (rc != HYPERCALL_RESTART)
            return rc;
        fake_restarts++;
    }
    panic("the call never ends");
}
