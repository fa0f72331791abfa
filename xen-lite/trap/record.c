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
_Static_assert(sizeof(struct record_slot) == 64, "a line of the cache");

bool record_listening;

struct record_last_ring record_last_ring[MAX_CPUS];

static struct record_cpu record_cpu[MAX_CPUS];
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

/* An empty ring. reader_lock held. */
static int prepare(unsigned cpu)
{
    struct record_cpu *c = &record_cpu[cpu];

    if (!c->ring) {
        c->ring = xzalloc(RECORD_RING * sizeof(*c->ring));
        if (!c->ring)
            return -ENOMEM;
        c->under = &c->spare;
        c->limit = RECORD_RING;
        __atomic_store_n(&percpu_of(cpu)->record, c, __ATOMIC_RELEASE);
    }
    /* The reader's side alone moves: a CPU may still be finishing a record of before. */
    c->tail = __atomic_load_n(&c->head, __ATOMIC_ACQUIRE);
    __atomic_store_n(&c->lost, 0, __ATOMIC_RELAXED);
    return 0;
}

int record_start(uint64_t *token)
{
    int rc = 0;

    spin_lock(&reader_lock);
    if (record_listening && !reader_gone())
        rc = -EBUSY;
    for (unsigned i = 0; i < nr_cpus && !rc; i++)
        rc = prepare(i);
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

static struct trap_record readable(struct trap_record rec, unsigned cpu)
{
    uint64_t end;

    if (!(rec.kind & RECORD_TICKS))
        return rec;
    rec.kind &= (uint8_t)~RECORD_TICKS;
    end = clock_to_ns(rec.time + rec.ns, cpu);
    rec.time = clock_to_ns(rec.time, cpu);
    rec.ns = (uint32_t)(end - rec.time);
    return rec;
}

/* reader_lock held. */
static unsigned take(unsigned cpu, struct trap_record *out, unsigned max)
{
    struct record_cpu *c = &record_cpu[cpu];
    uint64_t head = __atomic_load_n(&c->head, __ATOMIC_ACQUIRE);
    unsigned n = 0;

    for (uint64_t t = c->tail; c->ring && t != head && n < max; t++)
        out[n++] = readable(c->ring[t & (RECORD_RING - 1)].rec, cpu);
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
        *nr = take(cpu, out, max);
        *lost = __atomic_exchange_n(&record_cpu[cpu].lost, 0, __ATOMIC_RELAXED);
        if (!*nr && !*lost && max && !record_listening)
            rc = -ESTALE;
    }
    spin_unlock(&reader_lock);
    return rc;
}

bool record_room(struct record_cpu *c, unsigned n)
{
    if (likely(c->head + n <= c->limit))
        return true;
    c->limit = __atomic_load_n(&c->tail, __ATOMIC_ACQUIRE) + RECORD_RING;
    return c->head + n <= c->limit;
}

/* The ring is full: usually its reader is slow, sometimes nobody will ever come. */
void record_lose(struct record_cpu *c)
{
    __atomic_fetch_add(&c->lost, 1, __ATOMIC_RELAXED);
    if (reader_gone())
        WRITE_ONCE(record_listening, false);
}

bool record_suspend(struct record_cpu *c, struct trap_record *outer)
{
    if (c->under == &c->spare)
        return false;
    *outer = *c->under;
    c->under = &c->spare;
    c->suspended++;
    return true;
}

void record_resume(struct record_cpu *c, const struct trap_record *outer)
{
    c->suspended--;
    c->under = record_place(c);
    *c->under = *outer;
}

/* What is under way moves up by one, for which there must be room as well. */
void record_write(const struct trap_record *rec)
{
    struct record_cpu *c = this_cpu()->record;
    bool around = c->under != &c->spare;
    struct trap_record under = *c->under;

    if (!record_room(c, 1 + around + c->suspended)) {
        record_lose(c);
        return;
    }
    *record_place(c) = *rec;
    record_publish(c);
    if (around) {
        c->under = record_place(c);
        *c->under = under;
    }
}

void record_denial(const struct trap_record *rec)
{
    /* A guest that has much refused on many CPUs must not make them queue here. */
    if (spin_trylock(&denial_lock)) {
        denials[nr_denials++ % RECORD_DENIALS] = *rec;
        spin_unlock(&denial_lock);
    }
    if (record_listens())
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

static void dump_one(const char *how, unsigned cpu, unsigned domid, unsigned kind, uint64_t addr,
                     unsigned size, bool write, unsigned result, uint64_t value)
{
    static const char *const kinds[] = { "mmio", "port", "config", NULL, "msi-x" };
    static const char *const results[] = { "done",      "denied", "dropped",
                                           "forwarded", "retry",  "nobody" };

    if (kind < ARRAY_SIZE(kinds) && kinds[kind] && result < ARRAY_SIZE(results))
        pr_err("  %scpu%u d%u %s %s %#llx/%u %#llx: %s", how, cpu, domid, write ? "write" : "read",
               kinds[kind], (unsigned long long)addr, size, (unsigned long long)value,
               results[result]);
}

static void dump_cpu(unsigned cpu)
{
    const struct record_last_ring *last = &record_last_ring[cpu];
    const struct record_cpu *c = &record_cpu[cpu];
    uint64_t end = c->ring ? c->head : 0, n = MIN(end, (uint64_t)RECORD_LAST);

    for (unsigned i = 0; i < RECORD_LAST; i++) {
        const struct record_last *a = &last->entry[(last->next + i) % RECORD_LAST];

        if (a->valid)
            dump_one("", cpu, a->domid, a->kind, a->addr, a->size, a->write, a->disposition,
                     a->value);
    }
    for (uint64_t i = end - n; i < end; i++) {
        const struct trap_record *rec = &c->ring[i & (RECORD_RING - 1)].rec;

        dump_one("recorded ", cpu, rec->domid, rec->kind & ~RECORD_TICKS, rec->addr, rec->size,
                 rec->write, rec->disposition, rec->value);
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
