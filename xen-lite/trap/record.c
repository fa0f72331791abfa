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
#include "lib/time.h"
#include "mm/heap.h"
#include "trap/rules.h"
#include "trap/trap.h"

_Static_assert(sizeof(struct trap_record) == 48, "readers parse this layout");

struct record_cpu {
    struct trap_record *ring; /* NULL: never started */
    uint64_t head, tail;      /* written, read; both only grow */
    uint64_t lost;
    uint32_t note_sbdf;
    uint32_t note_reg;
    uint16_t note_handler;
    uint8_t note_kind; /* RECORD_*, or NOTHING_NOTED */
} __aligned(64);

#define NOTHING_NOTED 0xff

bool record_listening;

struct record_last_ring record_last_ring[MAX_CPUS];

static struct record_cpu cpus[MAX_CPUS];
static spinlock_t reader_lock = SPINLOCK_INIT; /* start, stop and read */
static uint64_t session;                       /* the last one's token; under reader_lock */
static uint64_t last_read_ns;                  /* by anybody, or the start */

static struct trap_record denials[RECORD_DENIALS];
static uint64_t nr_denials;
static spinlock_t denial_lock = SPINLOCK_INIT;

static const char *handler_names[RECORD_MAX_HANDLERS] = { "none" };
static unsigned nr_handlers = 1;
static spinlock_t handler_lock = SPINLOCK_INIT;

static bool reader_gone(void)
{
    return now_ns() - READ_ONCE(last_read_ns) > RECORD_PATIENCE_NS;
}

int record_start(uint64_t *token)
{
    int rc = 0;

    spin_lock(&reader_lock);
    if (record_listening && !reader_gone())
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
    if (!rc) {
        *token = ++session;
        WRITE_ONCE(last_read_ns, now_ns());
        __atomic_store_n(&record_listening, true, __ATOMIC_RELEASE);
    }
    spin_unlock(&reader_lock);
    return rc;
}

int record_stop(uint64_t token)
{
    int rc = -ESTALE;

    spin_lock(&reader_lock);
    if (token == session && record_listening) {
        WRITE_ONCE(record_listening, false);
        rc = 0;
    }
    spin_unlock(&reader_lock);
    return rc;
}

/* reader_lock held. */
static unsigned take(struct record_cpu *c, struct trap_record *out, unsigned max)
{
    uint64_t head = __atomic_load_n(&c->head, __ATOMIC_ACQUIRE);
    unsigned n = 0;

    for (uint64_t t = c->tail; c->ring && t != head && n < max; t++)
        out[n++] = c->ring[t & (RECORD_RING - 1)];
    /* The slots are the writer's again only after they were copied. */
    __atomic_store_n(&c->tail, c->tail + n, __ATOMIC_RELEASE);
    return n;
}

int record_read(uint64_t token, unsigned cpu, struct trap_record *out, unsigned max, unsigned *nr,
                uint64_t *lost)
{
    int rc = 0;

    *nr = 0;
    *lost = 0;
    if (cpu >= nr_cpus)
        return -EINVAL;
    spin_lock(&reader_lock);
    if (token != session) {
        rc = -ESTALE;
    } else {
        WRITE_ONCE(last_read_ns, now_ns());
        *nr = take(&cpus[cpu], out, max);
        *lost = __atomic_exchange_n(&cpus[cpu].lost, 0, __ATOMIC_RELAXED);
        if (!*nr && !*lost && max && !record_listening)
            rc = -ESTALE;
    }
    spin_unlock(&reader_lock);
    return rc;
}

/* The ring is full: usually its reader is slow, sometimes nobody will ever come. */
static __attribute__((noinline)) void lose(struct record_cpu *c)
{
    __atomic_fetch_add(&c->lost, 1, __ATOMIC_RELAXED);
    if (reader_gone())
        WRITE_ONCE(record_listening, false);
}

struct trap_record *record_place(void)
{
    struct record_cpu *c = &cpus[cpu_id()];

    if (unlikely(!c->ring))
        return NULL;
    if (unlikely(c->head - __atomic_load_n(&c->tail, __ATOMIC_ACQUIRE) >= RECORD_RING)) {
        lose(c);
        return NULL;
    }
    return &c->ring[c->head & (RECORD_RING - 1)];
}

void record_done(void)
{
    struct record_cpu *c = &cpus[cpu_id()];

    __atomic_store_n(&c->head, c->head + 1, __ATOMIC_RELEASE);
}

void record_write(const struct trap_record *rec)
{
    struct trap_record *place = record_place();

    if (!place)
        return;
    *place = *rec;
    record_done();
}

void record_annotate(unsigned kind, uint32_t sbdf, uint32_t reg, uint16_t handler)
{
    struct record_cpu *c = &cpus[cpu_id()];

    c->note_sbdf = sbdf;
    c->note_reg = reg;
    c->note_handler = handler;
    c->note_kind = (uint8_t)kind;
}

void record_begin(void)
{
    cpus[cpu_id()].note_kind = NOTHING_NOTED;
}

void record_take_annotation(struct trap_record *rec)
{
    struct record_cpu *c = &cpus[cpu_id()];

    if (c->note_kind == NOTHING_NOTED)
        return;
    rec->kind = c->note_kind;
    c->note_kind = NOTHING_NOTED;
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

unsigned trap_nr_handlers(void)
{
    return READ_ONCE(nr_handlers);
}

const char *trap_handler_name(uint16_t id)
{
    return id < READ_ONCE(nr_handlers) ? handler_names[id] : handler_names[0];
}
