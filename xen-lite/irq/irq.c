/* SPDX-License-Identifier: MIT */
/*
 * Physical interrupt vectors: allocation on each CPU, dispatch and counters.
 *
 * Freeing a vector races with its interrupt.  A CPU says which vector it is handling before it
 * reads the handler, so that whoever frees one can wait; and a freed number rests for a while, so
 * that a message that was on its way when its source was silenced is counted as stray and does not
 * reach the number's next user.
 */
#include "irq/irq.h"

#include "irq/lapic.h"
#include "lib/assert.h"
#include "lib/atomic.h"
#include "lib/errno.h"
#include "lib/percpu.h"
#include "lib/printf.h"
#include "lib/spinlock.h"
#include "lib/time.h"
#include "mm/heap.h"

#define FIRST       32
#define NR_VECTORS  (256 - FIRST)
#define NR_FIXED    (256 - VECTOR_KICK)
#define NOT_RUNNING 0
#define NR_WORDS    (256 / 32)

/* A CPU opens an interrupt window far more often than this. */
#define RECYCLE_NS (10 * NS_PER_MS)

struct vector_entry {
    irq_handler fn; /* NULL: free */
    void *arg;
    uint64_t count;
    uint64_t freed_at; /* 0: never used */
};

struct irq_cpu {
    spinlock_t lock; /* allocation: fn of a free entry, in_use, in_word, words, cursor */
    unsigned in_use;
    uint8_t in_word[NR_WORDS]; /* of in_use, in each word of the interrupt request register */
    uint32_t words;            /* those that are not 0; read without the lock */
    unsigned cursor;
    uint32_t running; /* vector being handled, NOT_RUNNING */
    uint64_t stray;
    struct vector_entry entry[NR_VECTORS];
};

static struct irq_cpu *irq_cpus[MAX_CPUS];

static struct {
    irq_handler fn;
    void *arg;
} irq_fixed[NR_FIXED];

int irq_init_cpu(unsigned cpu)
{
    struct irq_cpu *c;

    ASSERT(cpu < MAX_CPUS);
    if (irq_cpus[cpu])
        return 0;
    c = xzalloc(sizeof(*c));
    if (!c)
        return -ENOMEM;
    spin_lock_init(&c->lock);
    c->cursor = VECTOR_DYNAMIC_FIRST;
    __atomic_store_n(&irq_cpus[cpu], c, __ATOMIC_RELEASE);
    return 0;
}

static struct irq_cpu *irq_cpu_of(unsigned cpu)
{
    return cpu < MAX_CPUS ? __atomic_load_n(&irq_cpus[cpu], __ATOMIC_ACQUIRE) : NULL;
}

/* The next vector that nobody has and that has rested, 0 if there is none.  Lock held. */
static unsigned find_free(struct irq_cpu *c)
{
    const unsigned span = VECTOR_DYNAMIC_LAST - VECTOR_DYNAMIC_FIRST + 1;
    uint64_t now = now_ns();

    for (unsigned i = 0; i < span; i++) {
        unsigned vec = c->cursor;
        struct vector_entry *e = &c->entry[vec - FIRST];

        c->cursor = vec == VECTOR_DYNAMIC_LAST ? VECTOR_DYNAMIC_FIRST : vec + 1;
        if (!e->fn && (!e->freed_at || now - e->freed_at >= RECYCLE_NS))
            return vec;
    }
    return 0;
}

/* One vector more (or, with -1, less) is in use.  Lock held. */
static void count_vector(struct irq_cpu *c, unsigned vec, int change)
{
    unsigned word = vec / 32;

    c->in_use += (unsigned)change;
    c->in_word[word] = (uint8_t)(c->in_word[word] + change);
    if (c->in_word[word])
        WRITE_ONCE(c->words, c->words | 1u << word);
    else
        WRITE_ONCE(c->words, c->words & ~(1u << word));
}

int irq_alloc_vector(unsigned cpu, irq_handler fn, void *arg)
{
    struct irq_cpu *c = irq_cpu_of(cpu);
    unsigned vec;

    if (!c || !fn)
        return -EINVAL;
    spin_lock(&c->lock);
    vec = find_free(c);
    if (vec) {
        struct vector_entry *e = &c->entry[vec - FIRST];

        e->arg = arg;
        e->count = 0;
        __atomic_store_n(&e->fn, fn, __ATOMIC_RELEASE);
        count_vector(c, vec, 1);
    }
    spin_unlock(&c->lock);
    return vec ? (int)vec : -ENOSPC;
}

void irq_free_vector(unsigned cpu, uint8_t vector)
{
    struct irq_cpu *c = irq_cpu_of(cpu);
    struct vector_entry *e;

    ASSERT(c && vector >= VECTOR_DYNAMIC_FIRST && vector <= VECTOR_DYNAMIC_LAST);
    e = &c->entry[vector - FIRST];
    spin_lock(&c->lock);
    ASSERT(e->fn);
    /* freed_at first: the entry counts as free from the moment that fn is NULL. */
    e->freed_at = MAX(now_ns(), 1ULL);
    __atomic_store_n(&e->fn, NULL, __ATOMIC_SEQ_CST);
    count_vector(c, vector, -1);
    spin_unlock(&c->lock);

    /* Pairs with the exchange in irq_dispatch(): either it sees NULL, or `running` shows it here.
     */
    mb();
    while (__atomic_load_n(&c->running, __ATOMIC_ACQUIRE) == vector) {
        ASSERT(cpu != cpu_id());
        cpu_relax();
    }
}

void irq_set_fixed(uint8_t vector, irq_handler fn, void *arg)
{
    ASSERT(vector >= VECTOR_KICK);
    irq_fixed[vector - VECTOR_KICK].arg = arg;
    __atomic_store_n(&irq_fixed[vector - VECTOR_KICK].fn, fn, __ATOMIC_RELEASE);
}

unsigned irq_pick_cpu(void)
{
    unsigned best = 0, best_use = ~0U;

    for (unsigned cpu = 0; cpu < nr_cpus; cpu++) {
        struct irq_cpu *c = irq_cpu_of(cpu);

        if (c && READ_ONCE(c->in_use) < best_use) {
            best = cpu;
            best_use = READ_ONCE(c->in_use);
        }
    }
    return best;
}

static void dispatch_dynamic(struct irq_cpu *c, struct vector_entry *e, uint8_t vector)
{
    irq_handler fn;

    (void)__atomic_exchange_n(&c->running, vector, __ATOMIC_SEQ_CST);
    fn = __atomic_load_n(&e->fn, __ATOMIC_ACQUIRE);
    if (fn)
        fn(e->arg);
    else
        c->stray++;
    __atomic_store_n(&c->running, NOT_RUNNING, __ATOMIC_RELEASE);
}

void irq_dispatch(uint8_t vector)
{
    struct irq_cpu *c = irq_cpu_of(cpu_id());

    ASSERT(vector >= FIRST);
    if (likely(c)) {
        struct vector_entry *e = &c->entry[vector - FIRST];

        e->count++;
        if (vector == VECTOR_SPURIOUS)
            return; /* nothing is in service: an EOI would end another interrupt (SDM vol. 3, 11.9)
                     */
        if (vector < VECTOR_KICK)
            dispatch_dynamic(c, e, vector);
        else if (irq_fixed[vector - VECTOR_KICK].fn)
            irq_fixed[vector - VECTOR_KICK].fn(irq_fixed[vector - VECTOR_KICK].arg);
    }
    lapic_eoi();
}

bool irq_pending(void)
{
    const struct irq_cpu *c = irq_cpu_of(cpu_id());
    uint32_t words = 1u << (VECTOR_KICK / 32);

    if (likely(c))
        words |= READ_ONCE(c->words);
    for (; words; words &= words - 1)
        if (lapic_irr((unsigned)__builtin_ctz(words)))
            return true;
    return false;
}

uint64_t irq_count(unsigned cpu, uint8_t vector)
{
    struct irq_cpu *c = irq_cpu_of(cpu);

    return c && vector >= FIRST ? READ_ONCE(c->entry[vector - FIRST].count) : 0;
}

uint64_t irq_stray(unsigned cpu)
{
    struct irq_cpu *c = irq_cpu_of(cpu);

    return c ? READ_ONCE(c->stray) : 0;
}

unsigned irq_vectors_in_use(unsigned cpu)
{
    struct irq_cpu *c = irq_cpu_of(cpu);

    return c ? READ_ONCE(c->in_use) : 0;
}
