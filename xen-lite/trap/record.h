/* SPDX-License-Identifier: MIT */
/*
 * Trap records: who touched what, who decided, and how long it took.  A ring a CPU is written while
 * somebody listens; while nobody does, the last accesses of each CPU are kept for a panic.  Always on is the
 * ring of refusals.
 */
#ifndef XL_TRAP_RECORD_H
#define XL_TRAP_RECORD_H

#include "lib/percpu.h"
#include "lib/time.h"
#include "lib/types.h"
#include "trap/rules.h"

/* record.kind; MMIO and PIO as in enum trap_kind. */
enum {
    RECORD_MMIO = 0,
    RECORD_PIO = 1,
    RECORD_CONFIG = 2, /* addr is the register, sbdf the function */
    RECORD_DENY = 3,   /* rule, addr and value are the operands */
    RECORD_MSIX = 4,   /* addr is the offset in the MSI-X table, sbdf the function */
    RECORD_DECIDE = 5, /* a device model's decision on what was forwarded: reason, ns is the wait */
};

#define RECORD_NO_VCPU 0xffffu

/* Fixed layout, that of struct xenlite_trap_record: readers outside of the hypervisor parse it. */
struct trap_record {
    uint64_t time;  /* ns since boot, start of the access */
    uint64_t addr;  /* gpa, port, register, or first operand */
    uint64_t value; /* written or read, or second operand */
    uint32_t sbdf;  /* 0xffffffff: none */
    uint32_t ns;    /* spent in the handler */
    uint16_t domid;
    uint16_t vcpu;       /* RECORD_NO_VCPU: none */
    uint16_t handler;    /* trap_handler_name() */
    uint16_t rule;       /* enum deny_rule, of RECORD_DENY */
    uint8_t kind;        /* RECORD_* */
    uint8_t size;        /* bytes */
    uint8_t write;       /* 1: write */
    uint8_t disposition; /* enum trap_result */
    uint32_t reason;     /* of RECORD_DECIDE: the device model's own number */
};

#define RECORD_LAST         16   /* accesses a CPU remembers for a panic */
#define RECORD_DENIALS      64   /* refusals remembered */
#define RECORD_RING         1024 /* records a CPU's ring holds, a power of two */
#define RECORD_MAX_HANDLERS 128

/*
 * Builds for the test that tells what records cost while nobody listens (tests/machine/record-cost.t): 1 leaves out those that
 * listeners get, 2 also the memory of the last accesses.
 */
#ifndef XL_LEAVE_OUT_RECORDS
#define XL_LEAVE_OUT_RECORDS 0
#endif

/* True while somebody listens: the hot path looks at nothing else. */
extern bool record_listening;
static inline bool record_listens(void)
{
    return XL_LEAVE_OUT_RECORDS < 1 && unlikely(READ_ONCE(record_listening));
}

/* A listener that has not read for so long has gone. */
#define RECORD_PATIENCE_NS (10 * NS_PER_SEC)

/*
 * Starts writing, into empty rings; *token names this session.  Their memory is allocated at the
 * first start and kept.  0, -EBUSY (somebody listens already, and reads), -ENOMEM.
 */
int record_start(uint64_t *token);
/* Ends it.  What the rings hold can be read until the next start.  0 or -ESTALE: another session. */
int record_stop(uint64_t token);
/*
 * Takes up to `max` records of a CPU out of its ring, oldest first; *nr is how many, and *lost those
 * that found the ring full since the last call.  One reader at a time (takes a lock).  0; -ESTALE:
 * the session has ended and nothing is left; -EINVAL: no such CPU.
 */
int record_read(uint64_t token, unsigned cpu, struct trap_record *out, unsigned max, unsigned *nr,
                uint64_t *lost);
/* Writes into the running CPU's ring.  Only meaningful while record_listening. */
void record_write(const struct trap_record *rec);

/* A record and what fills it up to a line of the cache, so that its place is found by a shift and no other line is written. */
struct record_slot {
    struct trap_record rec;
    uint64_t pad[2];
};

/*
 * A CPU's ring. The record of an access that is under way is filled in where it will be in the ring; what is recorded meanwhile comes
 * before it (record_write()). Times in it are raw ticks, as `kind` says, until somebody reads it.
 */
struct record_cpu {
    struct trap_record *under; /* of the access under way, in the ring; `spare` while there is none */
    struct record_slot *ring;
    uint64_t head;      /* written; only grows */
    uint64_t limit;     /* how far head may grow as far as is known: no more than tail + RECORD_RING */
    unsigned suspended; /* accesses around the one under way, whose records need room afterwards */
    struct trap_record spare; /* for what is said about accesses that are not recorded */
    uint64_t tail __aligned(64); /* read; only grows */
    uint64_t lost;
} __aligned(64);

#define RECORD_TICKS 0x80u /* in kind, never seen by readers: time and ns are ticks of the CPU */

/* Room for `n` more records in the ring, whatever it takes to find out. */
bool record_room(struct record_cpu *c, unsigned n);
/* There was none: counts it. */
void record_lose(struct record_cpu *c);

/* Where the next record goes, if there is room for it. */
static inline struct trap_record *record_place(const struct record_cpu *c)
{
    return &c->ring[c->head & (RECORD_RING - 1)].rec;
}

/* Makes what was filled in there visible. */
static inline void record_publish(struct record_cpu *c)
{
    __atomic_store_n(&c->head, c->head + 1, __ATOMIC_RELEASE);
}

/*
 * Says what the access under way on this CPU is about (RECORD_CONFIG or RECORD_MSIX), and who handles it (0: as said before). Without
 * one it does nothing that is seen. Only while record_listening, or after it was.
 */
static inline void record_annotate(unsigned kind, uint32_t sbdf, uint32_t reg, uint16_t handler)
{
    struct trap_record *rec = this_cpu()->record->under;

    rec->kind = (uint8_t)(kind | RECORD_TICKS);
    rec->sbdf = sbdf;
    rec->addr = reg;
    if (handler)
        rec->handler = handler;
}

/*
 * An access begins; there is room for its record. `who` is trap_who(). Fields that lie side by side are stored together, as this is
 * done for each access while somebody listens.
 */
static inline void record_begin(struct record_cpu *c, unsigned kind, uint64_t addr, unsigned size,
                                bool write, uint32_t who, uint32_t handler)
{
    struct trap_record *rec = record_place(c);
    uint64_t what = kind | RECORD_TICKS | (unsigned)write << 16 | size << 8;

    c->under = rec;
    rec->addr = addr;
    rec->sbdf = DENY_NO_DEVICE;
    __builtin_memcpy(&rec->domid, &who, sizeof(who));
    __builtin_memcpy(&rec->handler, &handler, sizeof(handler));
    __builtin_memcpy(&rec->kind, &what, sizeof(what)); /* done, as most are, and without a reason */
    rec->time = clock_ticks();
}

/* The access that has begun last on this CPU ends. */
static inline void record_end(uint64_t value, unsigned disposition)
{
    struct record_cpu *c = this_cpu()->record;
    struct trap_record *rec = c->under;

    rec->value = value;
    if (disposition)
        rec->disposition = (uint8_t)disposition;
    rec->ns = (uint32_t)clock_ticks() - (uint32_t)rec->time;
    record_publish(c);
    c->under = &c->spare;
}

/*
 * One access inside another: between the two calls there may be a record_begin() and record_end() of its own, if there is room for
 * 1 + c->suspended records. Returns whether there is one around it.
 */
bool record_suspend(struct record_cpu *c, struct trap_record *outer);
void record_resume(struct record_cpu *c, const struct trap_record *outer);

/* One access that a CPU remembers for a panic. */
struct record_last {
    uint64_t addr, value;
    uint16_t domid;
    uint8_t kind, size, write, disposition;
    uint16_t valid;
    uint64_t pad; /* 32 bytes: found by a shift */
};

struct record_last_ring {
    struct record_last entry[RECORD_LAST];
    unsigned next;
} __aligned(64);
extern struct record_last_ring record_last_ring[];

/* Remembers an access that is not recorded for a panic, in a few stores. */
static inline void record_last(unsigned cpu, uint16_t domid, unsigned kind, uint64_t addr,
                               unsigned size, bool write, unsigned disposition, uint64_t value)
{
    struct record_last_ring *ring = &record_last_ring[cpu];
    struct record_last *e = &ring->entry[ring->next % RECORD_LAST];

    if (XL_LEAVE_OUT_RECORDS >= 2)
        return;
    ring->next++;
    e->addr = addr;
    e->value = value;
    e->domid = domid;
    e->kind = (uint8_t)kind;
    e->size = (uint8_t)size;
    e->write = write;
    e->disposition = (uint8_t)disposition;
    e->valid = 1;
}

/* Keeps a refusal in the always-on ring, and in the CPU's ring if somebody listens. */
void record_denial(const struct trap_record *rec);
/* Copies up to `max` of the newest refusals, oldest first; returns how many. */
unsigned record_denials(struct trap_record *out, unsigned max);

/* Prints the last accesses of each CPU, and the last of those that were recorded.  For panics: takes no lock, allocates nothing. */
void trap_dump_last(void);

/*
 * Ids of names, so that a record is of fixed size.  `name` must be a static string; equal strings
 * have one id.  0 ("none") when the table is full.
 */
uint16_t trap_handler_id(const char *name);
const char *trap_handler_name(uint16_t id);
/* Ids that are in use: 0..n-1. */
unsigned trap_nr_handlers(void);

#endif
