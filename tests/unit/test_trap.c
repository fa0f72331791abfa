/* SPDX-License-Identifier: MIT */
/*
 * The trap registry against a flat model; counters, hints, deferred freeing, records and rules.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/errno.h"
#include "sim.h"
#include "trap/reclaim.h"
#include "trap/record.h"
#include "trap/rules.h"
#include "trap/trap.h"

static struct trap_table table;
static struct trap_vcpu trap_vcpu = { &table, 3 << 16 | 7 };
#define VCPU ((struct vcpu *)&trap_vcpu)

const struct trap_vcpu *vcpu_trap(const struct vcpu *v)
{
    return (const struct trap_vcpu *)v;
}

static int next_result;
static uint64_t last_written, last_addr;
static unsigned last_size;

static int test_read(struct vcpu *v, struct trap_region *r, uint64_t addr, unsigned size,
                     uint64_t *val)
{
    assert_ptr_equal(v, VCPU);
    assert_true(addr >= r->first && addr + size - 1 <= r->last);
    last_addr = addr;
    last_size = size;
    *val = (uintptr_t)r->arg;
    return next_result;
}

static int test_write(struct vcpu *v, struct trap_region *r, uint64_t addr, unsigned size,
                      uint64_t val)
{
    assert_ptr_equal(v, VCPU);
    assert_true(addr >= r->first && addr + size - 1 <= r->last);
    last_addr = addr;
    last_size = size;
    last_written = val;
    return next_result;
}

static const struct trap_ops ops = { test_read, test_write };

static int setup(void **state)
{
    (void)state;
    trap_table_init(&table, 7);
    next_result = TRAP_DONE;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    trap_table_destroy(&table);
    for (unsigned i = 0; i < 3; i++)
        trap_defer_free(trap_zalloc(1));
    return 0;
}

static void *arg(uintptr_t n)
{
    return (void *)n;
}

static void test_register_errors(void **state)
{
    static const struct trap_ops half = { test_read, NULL };
    struct trap_region *r = (struct trap_region *)&table;

    (void)state;
    assert_int_equal(trap_register(&table, TRAP_PIO, 0, 0x10000, &ops, NULL, "x"), -EINVAL);
    assert_int_equal(trap_register(&table, TRAP_PIO, 5, 4, &ops, NULL, "x"), -EINVAL);
    assert_int_equal(trap_register(&table, TRAP_NR_KINDS, 0, 4, &ops, NULL, "x"), -EINVAL);
    assert_int_equal(trap_register(&table, TRAP_MMIO, 0, 4, &half, NULL, "x"), -EINVAL);
    assert_int_equal(trap_register(&table, TRAP_MMIO, 0, 4, NULL, NULL, "x"), -EINVAL);
    assert_int_equal(trap_register(&table, TRAP_MMIO, 0x1000, 0x1fff, &ops, NULL, "x"), 0);
    assert_int_equal(trap_register_region(&table, TRAP_MMIO, 0x1fff, 0x2fff, &ops, NULL, "x", &r),
                     -EEXIST);
    assert_null(r);
    assert_int_equal(trap_register(&table, TRAP_MMIO, 0, 0x1000, &ops, NULL, "x"), -EEXIST);
    assert_int_equal(trap_register(&table, TRAP_MMIO, 0x1400, 0x14ff, &ops, NULL, "x"), -EEXIST);
    assert_int_equal(trap_register(&table, TRAP_MMIO, 0, ~0ULL, &ops, NULL, "x"), -EEXIST);
    /* The other kind has addresses of its own. */
    assert_int_equal(trap_register(&table, TRAP_PIO, 0x1000, 0x1fff, &ops, NULL, "x"), 0);
    for (unsigned fail = 1; fail <= 2; fail++) {
        sim_heap_fail_after = fail;
        assert_int_equal(trap_register(&table, TRAP_MMIO, 0x5000, 0x5fff, &ops, NULL, "x"),
                         -ENOMEM);
        assert_null(trap_find(&table, TRAP_MMIO, 0x5000));
    }
    sim_heap_fail_after = 0;
}

static void test_bound(void **state)
{
    (void)state;
    for (unsigned i = 0; i < TRAP_MAX_REGIONS; i++)
        assert_int_equal(trap_register(&table, TRAP_MMIO, i * 16, i * 16 + 7, &ops, NULL, "x"), 0);
    assert_int_equal(trap_register(&table, TRAP_MMIO, 1 << 20, 1 << 21, &ops, NULL, "x"), -ENOSPC);
    /* A dead span is taken out by the next update: room for one more again. */
    trap_unregister(&table, trap_find(&table, TRAP_MMIO, 0));
    assert_int_equal(trap_register(&table, TRAP_MMIO, 1 << 20, 1 << 21, &ops, NULL, "x"), 0);
}

static void test_results(void **state)
{
    struct trap_region *r;
    uint64_t val;

    (void)state;
    assert_int_equal(
        trap_register_region(&table, TRAP_PIO, 0xcf8, 0xcff, &ops, arg(0x1234), "p", &r), 0);
    assert_int_equal(trap_pio_access(VCPU, 0xcfc, 2, false, &val), TRAP_DONE);
    assert_int_equal(val, 0x1234);
    val = 0xabcd;
    assert_int_equal(trap_pio_access(VCPU, 0xcf8, 4, true, &val), TRAP_DONE);
    assert_int_equal(last_written, 0xabcd);
    assert_int_equal(r->count.reads, 1);
    assert_int_equal(r->count.writes, 1);

    next_result = TRAP_DENIED;
    assert_int_equal(trap_pio_access(VCPU, 0xcfc, 2, false, &val), TRAP_DENIED);
    assert_int_equal(val, 0xffff);
    next_result = -EPERM;
    assert_int_equal(trap_pio_access(VCPU, 0xcfc, 1, false, &val), TRAP_DENIED);
    assert_int_equal(val, 0xff);
    next_result = TRAP_DROPPED;
    assert_int_equal(trap_pio_access(VCPU, 0xcfc, 4, false, &val), TRAP_DROPPED);
    assert_int_equal(val, 0xffffffff);
    next_result = 99;
    assert_int_equal(trap_pio_access(VCPU, 0xcfc, 4, false, &val), TRAP_DENIED);
    next_result = TRAP_FORWARD;
    assert_int_equal(trap_pio_access(VCPU, 0xcfc, 4, true, &val), TRAP_FORWARD);
    next_result = TRAP_NONE;
    assert_int_equal(trap_pio_access(VCPU, 0xcfc, 4, true, &val), TRAP_NONE);
    assert_int_equal(r->count.denied, 3);
    assert_int_equal(r->count.dropped, 1);
    assert_int_equal(r->count.forwarded, 1);
    assert_int_equal(r->count.reads, 5);
    assert_int_equal(r->count.writes, 3);
}

static void test_edges(void **state)
{
    uint64_t val, before = deny_count(DENY_TRAP_STRADDLE);

    (void)state;
    val = 5;
    assert_int_equal(trap_mmio_access(VCPU, 0x1000, 4, false, &val), TRAP_NONE);
    assert_int_equal(table.unclaimed[TRAP_MMIO], 1);
    assert_int_equal(trap_register(&table, TRAP_MMIO, 0x1000, 0x10ff, &ops, arg(1), "a"), 0);
    assert_int_equal(trap_register(&table, TRAP_MMIO, 0x1100, 0x11ff, &ops, arg(2), "b"), 0);
    assert_int_equal(trap_mmio_access(VCPU, 0x10fc, 4, false, &val), TRAP_DONE);
    assert_int_equal(val, 1);
    assert_int_equal(trap_mmio_access(VCPU, 0x1100, 8, false, &val), TRAP_DONE);
    assert_int_equal(val, 2);
    /* From one into the other, into the first from below, out of the last. */
    assert_int_equal(trap_mmio_access(VCPU, 0x10fe, 4, false, &val), TRAP_DENIED);
    assert_int_equal(val, 0xffffffff);
    assert_int_equal(trap_mmio_access(VCPU, 0xffc, 8, true, &val), TRAP_DENIED);
    assert_int_equal(trap_mmio_access(VCPU, 0x11ff, 2, true, &val), TRAP_DENIED);
    assert_int_equal(table.straddled[TRAP_MMIO], 3);
    assert_int_equal(deny_count(DENY_TRAP_STRADDLE), before + 3);
    assert_int_equal(trap_mmio_access(VCPU, 0x1200, 4, true, &val), TRAP_NONE);
    assert_int_equal(trap_mmio_access(VCPU, ~0ULL - 1, 4, true, &val), TRAP_NONE);
    /* Beside a region that went away the edge is still one of the other. */
    trap_unregister(&table, trap_find(&table, TRAP_MMIO, 0x1100));
    assert_int_equal(trap_mmio_access(VCPU, 0x10fe, 4, false, &val), TRAP_DENIED);
    assert_int_equal(trap_mmio_access(VCPU, 0x1100, 4, false, &val), TRAP_NONE);
}

/* Random updates and accesses against an array that says who owns each address. */
#define SPACE 4096

static uint32_t seed = 12345;

static unsigned rnd(unsigned below)
{
    seed = seed * 1103515245 + 12345;
    return (seed >> 8) % below;
}

static void model_check(const uint16_t *owner, unsigned addr, unsigned size)
{
    bool same = true, any = owner[addr] != 0;
    enum trap_result res;
    uint64_t val = 0;

    for (unsigned i = 1; i < size; i++) {
        same &= owner[addr + i] == owner[addr];
        any |= owner[addr + i] != 0;
    }
    res = trap_mmio_access(VCPU, addr, size, false, &val);
    if (!any) {
        assert_int_equal(res, TRAP_NONE);
    } else if (!same) {
        assert_int_equal(res, TRAP_DENIED);
    } else {
        assert_int_equal(res, TRAP_DONE);
        assert_int_equal(val, owner[addr]);
    }
}

static void test_model(void **state)
{
    static uint16_t owner[SPACE + 8];
    static struct trap_region *region[SPACE];

    (void)state;
    memset(owner, 0, sizeof(owner));
    for (unsigned step = 1; step < 3000; step++) {
        unsigned first = rnd(SPACE), last = MIN(first + rnd(24), SPACE - 1u);
        bool is_free = true;
        struct trap_region *r;

        if (owner[first] && rnd(2)) {
            uint16_t id = owner[first];

            trap_unregister(&table, region[id]);
            for (unsigned i = 0; i < SPACE; i++)
                owner[i] = owner[i] == id ? 0 : owner[i];
        }
        for (unsigned i = first; i <= last; i++)
            is_free &= !owner[i];
        assert_int_equal(
            trap_register_region(&table, TRAP_MMIO, first, last, &ops, arg(step), "m", &r),
            is_free ? 0 : -EEXIST);
        for (unsigned i = first; is_free && i <= last; i++)
            owner[i] = (uint16_t)step;
        region[step] = r;
        for (unsigned i = 0; i < 8; i++)
            model_check(owner, rnd(SPACE), 1u << rnd(4));
    }
}

static struct trap_region *self;

/* A handler that takes its own region away still finds it readable. */
static int suicide_write(struct vcpu *v, struct trap_region *r, uint64_t addr, unsigned size,
                         uint64_t val)
{
    (void)v;
    (void)addr;
    (void)size;
    (void)val;
    trap_unregister(&table, r);
    for (unsigned i = 0; i < 10; i++)
        trap_defer_free(trap_zalloc(8));
    return r->ops && r == self ? TRAP_DONE : TRAP_DENIED;
}

static void test_unregister_inside(void **state)
{
    static const struct trap_ops suicide = { test_read, suicide_write };
    uint64_t val = 0;

    (void)state;
    assert_int_equal(trap_register_region(&table, TRAP_MMIO, 0, 7, &suicide, NULL, "s", &self), 0);
    assert_int_equal(trap_mmio_access(VCPU, 0, 4, true, &val), TRAP_DONE);
    assert_int_equal(trap_mmio_access(VCPU, 0, 4, true, &val), TRAP_NONE);
}

/* Another CPU inside an access holds the epoch, and so the memory, back. */
static void test_grace_period(void **state)
{
    uint64_t epoch;
    char *p = trap_zalloc(8);

    (void)state;
    nr_cpus = 2;
    reclaim_enter(&reclaim_cpu[1]);
    assert_true(reclaim_inside(&reclaim_cpu[1]));
    epoch = reclaim_epoch;
    trap_defer_free(p);
    for (unsigned i = 0; i < 10; i++)
        trap_defer_free(trap_zalloc(8));
    assert_true(reclaim_epoch <= epoch + 1);
    assert_int_equal(p[0], 0); /* under the address sanitizer: not freed */
    reclaim_leave(&reclaim_cpu[1]);
    for (unsigned i = 0; i < 3; i++)
        trap_defer_free(trap_zalloc(8));
    assert_true(reclaim_epoch > epoch + 1);
    nr_cpus = 1;
}

static int annotated_read(struct vcpu *v, struct trap_region *r, uint64_t addr, unsigned size,
                          uint64_t *val)
{
    (void)v;
    (void)r;
    (void)addr;
    (void)size;
    sim_now_ns += 250;
    record_annotate(RECORD_CONFIG, 0x10042, 0x64, trap_handler_id("msi-data"));
    *val = 0x77;
    return TRAP_DONE;
}

/* A handler that has something refused, makes an access itself, and says what it is about before and after. */
static int nesting_read(struct vcpu *v, struct trap_region *r, uint64_t addr, unsigned size,
                        uint64_t *val)
{
    uint64_t inner = 5;

    (void)r;
    (void)addr;
    record_annotate(RECORD_CONFIG, 0x10042, 0x64, 0);
    deny(DENY_CONFIG_ABSENT, 7, 0x10042, 4, 0);
    trap_mmio_access(v, 0x2008, size, true, &inner);
    *val = 0x78;
    return TRAP_DONE;
}

static void test_nested_records(void **state)
{
    static const struct trap_ops nesting = { nesting_read, test_write };
    struct trap_record rec[8];
    uint64_t val = 0, lost = 0, token = 0;
    unsigned n;

    (void)state;
    assert_int_equal(trap_register(&table, TRAP_MMIO, 0x1000, 0x1fff, &nesting, NULL, "outer"), 0);
    assert_int_equal(trap_register(&table, TRAP_MMIO, 0x2000, 0x2fff, &nesting, NULL, "inner"), 0);
    assert_int_equal(record_start(&token), 0);
    for (int i = 0; i < 2; i++) {
        trap_mmio_access(VCPU, 0x1004, 4, false, &val);
        assert_int_equal(record_read(token, 0, rec, 8, &n, &lost), 0);
        assert_int_equal(n, 3);
        assert_int_equal(rec[0].kind, RECORD_DENY);
        assert_int_equal(rec[1].kind, RECORD_MMIO);
        assert_int_equal(rec[1].addr, 0x2008);
        assert_int_equal(rec[1].value, 5);
        assert_string_equal(trap_handler_name(rec[1].handler), "inner");
        assert_int_equal(rec[2].kind, RECORD_CONFIG);
        assert_int_equal(rec[2].sbdf, 0x10042);
        assert_int_equal(rec[2].addr, 0x64);
        assert_int_equal(rec[2].value, 0x78);
        assert_int_equal(rec[2].write, 0);
        assert_string_equal(trap_handler_name(rec[2].handler), "outer");
    }
    /* Nothing is under way: what is annotated reaches no record. */
    record_annotate(RECORD_MSIX, 1, 2, 3);
    assert_int_equal(record_read(token, 0, rec, 8, &n, &lost), 0);
    assert_int_equal(n, 0);
    assert_int_equal(record_stop(token), 0);
}

/* In a ring that is almost full, each access that is under way keeps its place: what comes between is lost first, and counted. */
static void test_nested_in_full_ring(void **state)
{
    static const struct trap_ops nesting = { nesting_read, test_write };
    static const struct trap_ops plain = { test_read, test_write };
    static struct trap_record rec[RECORD_RING];
    uint64_t val = 0, lost = 0, token = 0;
    unsigned n;

    (void)state;
    assert_int_equal(trap_register(&table, TRAP_MMIO, 0x1000, 0x1fff, &nesting, NULL, "outer"), 0);
    assert_int_equal(trap_register(&table, TRAP_MMIO, 0x2000, 0x2fff, &nesting, NULL, "inner"), 0);
    assert_int_equal(trap_register(&table, TRAP_MMIO, 0x3000, 0x3fff, &plain, NULL, "plain"), 0);
    assert_int_equal(record_start(&token), 0);
    for (unsigned room = 0; room <= 4; room++) {
        const unsigned kept = MIN(room, 3u);

        for (unsigned i = room; i < RECORD_RING; i++)
            trap_mmio_access(VCPU, 0x3000, 4, false, &val);
        trap_mmio_access(VCPU, 0x1004, 4, false, &val);
        assert_int_equal(record_read(token, 0, rec, RECORD_RING, &n, &lost), 0);
        assert_int_equal(n, RECORD_RING - room + kept);
        assert_int_equal(lost, 3 - kept);
        for (unsigned i = 0; i < RECORD_RING - room; i++)
            assert_string_equal(trap_handler_name(rec[i].handler), "plain");
        if (!kept)
            continue;
        assert_int_equal(rec[n - 1].kind, RECORD_CONFIG);
        assert_int_equal(rec[n - 1].value, 0x78);
        assert_int_equal(rec[n - kept].kind, kept == 1 ? RECORD_CONFIG : RECORD_DENY);
        if (kept == 3)
            assert_string_equal(trap_handler_name(rec[n - 2].handler), "inner");
    }
    trap_dump_last();
    assert_int_equal(record_stop(token), 0);
}

static void test_records(void **state)
{
    static const struct trap_ops noted = { annotated_read, test_write };
    struct trap_record rec[RECORD_RING + 8];
    uint64_t val = 0x99, lost = 0, token = 0, other = 0;
    unsigned n;

    (void)state;
    assert_int_equal(trap_register(&table, TRAP_MMIO, 0x1000, 0x1fff, &noted, NULL, "ecam"), 0);
    sim_now_ns = 1000;
    assert_int_equal(record_read(1, 0, rec, 8, &n, &lost), -ESTALE);
    sim_heap_fail_after = 1;
    assert_int_equal(record_start(&token), -ENOMEM);
    assert_false(record_listening);
    assert_int_equal(record_start(&token), 0);
    assert_int_equal(record_start(&other), -EBUSY);
    assert_int_equal(record_read(token + 1, 0, rec, 8, &n, &lost), -ESTALE);
    assert_int_equal(record_read(token, nr_cpus, rec, 8, &n, &lost), -EINVAL);
    trap_mmio_access(VCPU, 0x1064, 4, false, &val);
    val = 0x99;
    trap_mmio_access(VCPU, 0x1008, 2, true, &val);
    deny(DENY_CONFIG_ABSENT, 7, 0x10042, 4, 0);
    assert_int_equal(record_read(token, 0, rec, 8, &n, &lost), 0);
    assert_int_equal(n, 3);
    assert_int_equal(rec[0].kind, RECORD_CONFIG);
    assert_int_equal(rec[0].sbdf, 0x10042);
    assert_int_equal(rec[0].addr, 0x64);
    assert_int_equal(rec[0].ns, 250);
    assert_int_equal(rec[0].time, 1000);
    assert_int_equal(rec[0].value, 0x77);
    assert_int_equal(rec[0].domid, 7);
    assert_int_equal(rec[0].vcpu, 3);
    assert_string_equal(trap_handler_name(rec[0].handler), "msi-data");
    assert_int_equal(rec[1].kind, RECORD_MMIO);
    assert_int_equal(rec[1].write, 1);
    assert_int_equal(rec[1].value, 0x99);
    assert_int_equal(rec[1].addr, 0x1008);
    assert_string_equal(trap_handler_name(rec[1].handler), "ecam");
    assert_int_equal(rec[2].kind, RECORD_DENY);
    assert_int_equal(rec[2].rule, DENY_CONFIG_ABSENT);
    assert_int_equal(lost, 0);
    for (unsigned i = 0; i < RECORD_RING + 5; i++)
        trap_mmio_access(VCPU, 0x1000 + i, 1, true, &val);
    assert_int_equal(record_read(token, 0, rec, ARRAY_SIZE(rec), &n, &lost), 0);
    assert_int_equal(n, RECORD_RING);
    assert_int_equal(lost, 5);
    assert_int_equal(rec[0].addr, 0x1000);
    trap_mmio_access(VCPU, 0x1000, 1, true, &val);
    assert_int_equal(record_stop(token + 1), -ESTALE);
    assert_int_equal(record_stop(token), 0);
    assert_int_equal(record_stop(token), -ESTALE);
    trap_mmio_access(VCPU, 0x1001, 1, true, &val);
    /* What was recorded before the end is still there, and then it is over. */
    assert_int_equal(record_read(token, 0, rec, 8, &n, &lost), 0);
    assert_int_equal(n, 1);
    assert_int_equal(record_read(token, 0, rec, 8, &n, &lost), -ESTALE);
    assert_int_equal(record_start(&other), 0);
    assert_int_equal(record_read(token, 0, rec, 8, &n, &lost), -ESTALE);
    assert_int_equal(record_stop(token), -ESTALE);
    assert_int_equal(record_stop(other), 0);
}

/* A listener that went away without a word neither costs for ever nor keeps others out. */
static void test_listener_gone(void **state)
{
    struct trap_record rec[8];
    uint64_t val = 0, lost = 0, token, other;
    unsigned n;

    (void)state;
    assert_int_equal(trap_register(&table, TRAP_MMIO, 0x1000, 0x1fff, &ops, NULL, "x"), 0);
    assert_int_equal(record_start(&token), 0);
    for (unsigned i = 0; i < RECORD_RING; i++)
        trap_mmio_access(VCPU, 0x1000, 4, true, &val);
    sim_now_ns += RECORD_PATIENCE_NS - 1;
    trap_mmio_access(VCPU, 0x1000, 4, true, &val);
    assert_true(record_listening);
    assert_int_equal(record_start(&other), -EBUSY);
    assert_int_equal(record_read(token, 0, rec, 1, &n, &lost), 0);
    assert_int_equal(lost, 1);
    sim_now_ns += RECORD_PATIENCE_NS;
    trap_mmio_access(VCPU, 0x1000, 4, true, &val);
    trap_mmio_access(VCPU, 0x1000, 4, true, &val);
    assert_true(record_listening);
    sim_now_ns += 1;
    trap_mmio_access(VCPU, 0x1000, 4, true, &val);
    assert_false(record_listening);
    assert_int_equal(record_start(&other), 0);
    sim_now_ns += RECORD_PATIENCE_NS + 1;
    assert_int_equal(record_start(&token), 0);
    assert_int_not_equal(token, other);
    assert_int_equal(record_stop(other), -ESTALE);
    assert_int_equal(record_stop(token), 0);
}

static void test_rules(void **state)
{
    struct trap_record rec[RECORD_DENIALS];
    uint64_t before = deny_count(DENY_BAR_FORBIDDEN);

    (void)state;
    assert_int_equal(deny(DENY_BAR_FORBIDDEN, 0, 0x18, 0xfee00000, 4096), -EPERM);
    assert_int_equal(deny_count(DENY_BAR_FORBIDDEN), before + 1);
    for (unsigned i = 0; i < DENY_NR_RULES; i++) {
        assert_true(strlen(deny_name((enum deny_rule)i)) > 3);
        assert_true(strlen(deny_sentence((enum deny_rule)i)) > 10);
        assert_true(deny((enum deny_rule)i, 0, 0, i, 0) < 0);
    }
    assert_string_equal(deny_name(DENY_NR_RULES), "?");
    assert_true(record_denials(rec, 2) == 2);
    assert_int_equal(rec[1].rule, DENY_NR_RULES - 1);
    assert_int_equal(rec[0].rule, DENY_NR_RULES - 2);
    for (unsigned i = 0; i < 200; i++)
        deny(DENY_CONFIG_RAW, 0, 0, i, 0);
    assert_int_equal(record_denials(rec, RECORD_DENIALS), RECORD_DENIALS);
    assert_int_equal(rec[0].addr, 200 - RECORD_DENIALS);
    trap_dump_last();
}

static void test_handler_ids(void **state)
{
    static char names[RECORD_MAX_HANDLERS + 4][8];
    uint16_t id = trap_handler_id("some-name");
    char copy[] = "some-name";

    (void)state;
    assert_true(id != 0);
    assert_int_equal(trap_handler_id(copy), id);
    assert_string_equal(trap_handler_name(id), "some-name");
    assert_string_equal(trap_handler_name(0xffff), "none");
    for (unsigned i = 0; i < ARRAY_SIZE(names); i++) {
        snprintf(names[i], sizeof(names[i]), "n%u", i);
        id = trap_handler_id(names[i]);
    }
    assert_int_equal(id, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_register_errors, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bound, setup, teardown),
        cmocka_unit_test_setup_teardown(test_results, setup, teardown),
        cmocka_unit_test_setup_teardown(test_edges, setup, teardown),
        cmocka_unit_test_setup_teardown(test_model, setup, teardown),
        cmocka_unit_test_setup_teardown(test_unregister_inside, setup, teardown),
        cmocka_unit_test_setup_teardown(test_grace_period, setup, teardown),
        cmocka_unit_test_setup_teardown(test_records, setup, teardown),
        cmocka_unit_test_setup_teardown(test_nested_records, setup, teardown),
        cmocka_unit_test_setup_teardown(test_nested_in_full_ring, setup, teardown),
        cmocka_unit_test_setup_teardown(test_listener_gone, setup, teardown),
        cmocka_unit_test_setup_teardown(test_rules, setup, teardown),
        cmocka_unit_test_setup_teardown(test_handler_ids, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
