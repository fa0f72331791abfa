/* SPDX-License-Identifier: MIT */
/*
 * Trap records: rings, annotations, the memory of the last accesses, and ids of handlers' names.
 *
 * A ring has one writer, its own CPU with interrupts off, and one reader at a time, under a lock.
 * The writer never waits: a full ring loses the new record and counts it.
 */
#include "trap/record.h"

#include "lib/errno.h"
#include "lib/percpu.h"
#include "lib/printf.h"
#include "lib/spinlock.h"
#include "lib/string.h"
#include "mm/heap.h"
#include "trap/rules.h"
#include "trap/trap.h"

_Static_assert(sizeof(struct trap_record) == 48, "readers parse this layout");

struct record_cpu {
    struct trap_record *ring; /* NULL: never started */
    uint64_t head, tail;      /* written, read; both only grow */
    uint64_t lost;
    uint32_t note_sbdf;
    uint16_t note_reg, note_handler;
    bool noted;
} __aligned(64);

bool record_listening;

struct record_last_ring record_last_ring[MAX_CPUS];

static struct record_cpu cpus[MAX_CPUS];
static spinlock_t reader_lock = SPINLOCK_INIT; /* start, stop and read */

static struct trap_record denials[RECORD_DENIALS];
static uint64_t nr_denials;
static spinlock_t denial_lock = SPINLOCK_INIT;

static const char *handler_names[RECORD_MAX_HANDLERS] = { "none" };
static unsigned nr_handlers = 1;
static spinlock_t handler_lock = SPINLOCK_INIT;

int record_start(void)
{
    int rc = 0;

    spin_lock(&reader_lock);
    if (record_listening)
        rc = -EBUSY;
    for (unsigned i = 0; i < nr_cpus && !rc; i++) {
        if (!cpus[i].ring)
            cpus[i].ring = xzalloc(RECORD_RING * sizeof(*cpus[i].ring));
        if (!cpus[i].ring)
            rc = -ENOMEM;
        /* The reader's side alone moves: a CPU may still be finishing a record of before. */
        cpus[i].tail = __atomic_load_n(&cpus[i].head, __ATOMIC_ACQUIRE);
        __atomic_store_n(&cpus[i].lost, 0, __ATOMIC_RELAXED);
    }
    if (!rc)
        __atomic_store_n(&record_listening, true, __ATOMIC_RELEASE);
    spin_unlock(&reader_lock);
    return rc;
}

void record_stop(void)
{
    spin_lock(&reader_lock);
    WRITE_ONCE(record_listening, false);
    spin_unlock(&reader_lock);
}

unsigned record_read(unsigned cpu, struct trap_record *out, unsigned max, uint64_t *lost)
{
    struct record_cpu *c;
    uint64_t head;
    unsigned n = 0;

    if (cpu >= nr_cpus)
        return 0;
    c = &cpus[cpu];
    spin_lock(&reader_lock);
    head = __atomic_load_n(&c->head, __ATOMIC_ACQUIRE);
    for (uint64_t t = c->tail; c->ring && t != head && n < max; t++)
        out[n++] = c->ring[t & (RECORD_RING - 1)];
    /* The slots are the writer's again only after they were copied. */
    __atomic_store_n(&c->tail, c->tail + n, __ATOMIC_RELEASE);
    *lost += __atomic_exchange_n(&c->lost, 0, __ATOMIC_RELAXED);
    spin_unlock(&reader_lock);
    return n;
}

void record_write(const struct trap_record *rec)
{
    struct record_cpu *c = &cpus[cpu_id()];

    if (!c->ring)
        return;
    if (c->head - __atomic_load_n(&c->tail, __ATOMIC_ACQUIRE) >= RECORD_RING) {
        __atomic_fetch_add(&c->lost, 1, __ATOMIC_RELAXED);
        return;
    }
    c->ring[c->head & (RECORD_RING - 1)] = *rec;
    __atomic_store_n(&c->head, c->head + 1, __ATOMIC_RELEASE);
}

void record_annotate(uint32_t sbdf, uint16_t reg, uint16_t handler)
{
    struct record_cpu *c = &cpus[cpu_id()];

    c->note_sbdf = sbdf;
    c->note_reg = reg;
    c->note_handler = handler;
    c->noted = true;
}

void record_begin(void)
{
    cpus[cpu_id()].noted = false;
}

void record_take_annotation(struct trap_record *rec)
{
    struct record_cpu *c = &cpus[cpu_id()];

    if (!c->noted)
        return;
    c->noted = false;
    rec->kind = RECORD_CONFIG;
    rec->sbdf = c->note_sbdf;
    rec->addr = c->note_reg;
    if (c->note_handler)
        rec->handler = c->note_handler;
}

void record_denial(const struct trap_record *rec)
{
    /* A guest that has much refused on many CPUs must not make them queue here. */
    if (spin_trylock(&denial_lock)) {
        denials[nr_denials++ % RECORD_DENIALS] = *rec;
        spin_unlock(&denial_lock);
    }
    if (unlikely(READ_ONCE(record_listening)))
        record_write(rec);
}

unsigned record_denials(struct trap_record *out, unsigned max)
{
    uint64_t held;
    unsigned n = 0;

    spin_lock(&denial_lock);
    held = MIN(nr_denials, (uint64_t)RECORD_DENIALS);
    held = MIN(held, (uint64_t)max);
    for (uint64_t i = nr_denials - held; i < nr_denials; i++)
        out[n++] = denials[i % RECORD_DENIALS];
    spin_unlock(&denial_lock);
    return n;
}

static void dump_cpu(unsigned cpu)
{
    static const char *const kinds[] = { "mmio", "port" };
    static const char *const results[] = { "done",      "denied", "dropped",
                                           "forwarded", "retry",  "nobody" };
    const struct record_last_ring *ring = &record_last_ring[cpu];

    for (unsigned i = 0; i < RECORD_LAST; i++) {
        const struct record_last *a = &ring->entry[(ring->next + i) % RECORD_LAST];

        if (!a->valid || a->kind >= ARRAY_SIZE(kinds) || a->disposition >= ARRAY_SIZE(results))
            continue;
        pr_err("  cpu%u d%u %s %s %#llx/%u %#llx: %s", cpu, a->domid, a->write ? "write" : "read",
               kinds[a->kind], (unsigned long long)a->addr, a->size, (unsigned long long)a->value,
               results[a->disposition]);
    }
}

static void dump_denials(void)
{
    uint64_t end = nr_denials, n = MIN(end, (uint64_t)8);

    for (uint64_t i = end - n; i < end; i++) {
        const struct trap_record *rec = &denials[i % RECORD_DENIALS];

        pr_err("  denied d%u %08x %s a=%#llx b=%#llx", rec->domid, rec->sbdf,
               deny_name((enum deny_rule)rec->rule), (unsigned long long)rec->addr,
               (unsigned long long)rec->value);
    }
}

void trap_dump_last(void)
{
    pr_err("last trapped accesses, oldest first:");
    for (unsigned i = 0; i < MIN(nr_cpus, (unsigned)MAX_CPUS); i++)
        dump_cpu(i);
    dump_denials();
}

uint16_t trap_handler_id(const char *name)
{
    unsigned i;

    spin_lock(&handler_lock);
    for (i = 0; i < nr_handlers; i++)
        if (!strcmp(handler_names[i], name))
            break;
    if (i == RECORD_MAX_HANDLERS) {
        i = 0;
    } else if (i == nr_handlers) {
        handler_names[i] = name;
        WRITE_ONCE(nr_handlers, i + 1);
    }
    spin_unlock(&handler_lock);
    return (uint16_t)i;
}

const char *trap_handler_name(uint16_t id)
{
    return id < READ_ONCE(nr_handlers) ? handler_names[id] : handler_names[0];
}
