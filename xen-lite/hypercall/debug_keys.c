/* SPDX-License-Identifier: MIT */
/*
 * Debug keys: single characters of the toolstack (`xl debug-keys`) that print parts of the hypervisor's state into its log.
 *
 * Reports go to the log ring alone, unless the serial port gets everything: thousands of lines on a slow line, with locks
 * held, would keep other CPUs waiting for longer than they wait.
 */
#include "cpu/guest_mem.h"
#include "domain/domain.h"
#include "hypercall/dominfo.h"
#include "hypercall/handlers.h"
#include "hypercall/hypercall.h"
#include "lib/assert.h"
#include "lib/errno.h"
#include "lib/printf.h"
#include "lib/string.h"
#include "mm/frame.h"
#include "mm/heap.h"

#define KEYS_MAX 64u

#define report(...) pr_debug(__VA_ARGS__)

static void print_help(void);

/* Interrupts that were posted and not taken by us went into the guest without an exit. */
static void print_vcpu(const struct domain *d, const struct vcpu *v)
{
    report("d%uv%u: CPU %u, state %d, upcall vector %u, %s pending, %lu interrupts posted by CPUs, "
           "%lu posted ones taken",
           d->domid, v->id, v->sched.cpu, sched_state(v), v->evt.upcall_vector,
           READ_ONCE(v->evt.info->evtchn_upcall_pending) ? "events" : "nothing",
           READ_ONCE(v->vlapic.stats.posted), READ_ONCE(v->post.taken));
}

static void print_domains(void)
{
    struct domain *d;
    struct vcpu *v;

    domain_list_lock();
    for_each_domain (d) {
        report("d%u: %u vCPUs, %lu pages, %u references, %u event channels", d->domid, d->max_vcpus,
               domain_ram_pages(d), READ_ONCE(d->refs), READ_ONCE(d->evtchn.nr_active));
        for_each_vcpu (d, v)
            print_vcpu(d, v);
    }
    domain_list_unlock();
}

struct region_counts {
    unsigned all, ecam;
};

static int count_region(const struct trap_region *r, void *arg)
{
    struct region_counts *n = arg;

    n->all++;
    n->ecam += strcmp(r->name, "pci-ecam") == 0;
    return 0;
}

/* What a domain costs beside its memory: all that is bounded by its limits and stays until it is gone. */
static void print_domain_memory(struct domain *d, uint64_t *tables, uint64_t *shared)
{
    struct region_counts n = { 0 };

    trap_for_each(&d->traps, TRAP_MMIO, count_region, &n);
    trap_for_each(&d->traps, TRAP_PIO, count_region, &n);
    *tables += READ_ONCE(d->p2m.tables);
    *shared += READ_ONCE(d->grants.nr_frames) + 1; /* and its shared info */
    report("memory: d%u: %lu pages, %lu p2m tables, %u grant frames, %u handle chunks, %u event "
           "buckets, "
           "%u trap regions (%u ECAM windows), %u pinned pages",
           d->domid, domain_ram_pages(d), READ_ONCE(d->p2m.tables), READ_ONCE(d->grants.nr_frames),
           READ_ONCE(d->grants.nr_chunks), READ_ONCE(d->evtchn.nr_ports) / EVTCHN_PER_BUCKET, n.all,
           n.ecam, READ_ONCE(d->pinned));
}

static void print_memory(void)
{
    uint64_t tables = 0, shared = 0;
    struct frame_stats st;
    struct heap_stats heap;
    struct domain *d;

    domain_list_lock();
    for_each_domain (d)
        print_domain_memory(d, &tables, &shared);
    domain_list_unlock();
    frame_get_stats(&st);
    heap_get_stats(&heap);
    report("memory: heap: %lu objects of %lu bytes in %lu frames, %u wait to be freed, %lu "
           "requests refused",
           heap.objects, heap.bytes_in_use, heap.frames, trap_deferred(), heap.failures);
    report("memory: all: %lu frames, %lu free, %lu the hypervisor's: %lu p2m tables, %lu shared, "
           "%lu heap, "
           "%lu counters, %lu others",
           st.total, st.free, st.xen, tables, shared, heap.frames, st.counters,
           st.xen - tables - shared - heap.frames - st.counters);
}

/* What was answered though nobody knew it, as a processor or Xen would: #GP, ones, -ENOSYS. */
static void print_domain_counters(struct domain *d)
{
    uint64_t exits = 0;
    struct vcpu *v;

    for_each_vcpu (d, v)
        exits += READ_ONCE(v->cpu.nr_exits);
    report("counters: d%u: %lu exits; unknown: %lu MSR reads, %lu MSR writes, %lu port accesses, "
           "%lu memory accesses; "
           "refused: %lu instructions, %lu accesses across a region's end",
           d->domid, exits, READ_ONCE(d->cpu.nr_unknown_msr_reads),
           READ_ONCE(d->cpu.nr_unknown_msr_writes), READ_ONCE(d->traps.unclaimed[TRAP_PIO]),
           READ_ONCE(d->traps.unclaimed[TRAP_MMIO]), READ_ONCE(d->cpu.nr_not_emulated),
           READ_ONCE(d->traps.straddled[TRAP_PIO]) + READ_ONCE(d->traps.straddled[TRAP_MMIO]));
}

static void print_counters(void)
{
    uint64_t unknown = 0;
    struct domain *d;

    for (unsigned nr = 0; nr < HYPERCALL_MAX; nr++) {
        uint64_t n = hypercall_count(nr, &unknown);

        if (n)
            report("counters: hypercall %u: %lu", nr, n);
    }
    report("counters: hypercalls with unknown numbers: %lu", unknown);
    domain_list_lock();
    for_each_domain (d)
        print_domain_counters(d);
    domain_list_unlock();
}

static void stop(void)
{
    panic("asked for by the debug key C");
}

static const struct {
    char key;
    const char *what;
    void (*fn)(void);
} keys[] = {
    { 'h', "this help", print_help },
    { 'm', "memory, by what it is used for", print_memory },
    { 'p', "counters of calls, and of what nobody knew", print_counters },
    { 'q', "domains and vCPUs", print_domains },
    { 'C', "stop with a panic", stop },
};

static void print_help(void)
{
    for (unsigned i = 0; i < ARRAY_SIZE(keys); i++)
        report("key %c: %s", keys[i].key, keys[i].what);
}

long debug_keys(struct vcpu *v, uint64_t gva, uint32_t nr)
{
    unsigned pressed = 0;
    char key;

    if (nr > KEYS_MAX)
        return -E2BIG;
    for (uint32_t i = 0; i < nr; i++) {
        if (copy_from_guest(v, &key, gva + i, 1))
            return -EFAULT;
        for (unsigned k = 0; k < ARRAY_SIZE(keys); k++) {
            if (keys[k].key != key || pressed & 1u << k)
                continue; /* twice in a call would say nothing new */
            pressed |= 1u << k;
            keys[k].fn();
        }
    }
    return 0;
}
