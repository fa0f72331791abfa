/* SPDX-License-Identifier: MIT */
/*
 * xenlite_op's commands about traps over a real registry and virtual PCI: counters by region,
 * function and register, exits, names, and sessions of listeners.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cpu/guest_mem.h"
#include "domain/domain.h"
#include "hypercall/xenlite_op.h"
#include "include/xenlite/trace.h"
#include "lib/errno.h"
#include "sim_pci.h"
#include "trap/record.h"

#define NIC 0x18u

static struct domain dom;
static struct vcpu vcpus[2];
static unsigned refs;

/* The functions hang on this head from now on. */
static void lend(struct list_head *head)
{
    head->next->prev = head;
    head->prev->next = head;
}

struct domain *domain_get_by_id_or_self(struct vcpu *v, uint16_t domid)
{
    (void)v;
    if (domid != dom.domid)
        return NULL;
    /* Updates publish a new index: the copy is fresh at each call. */
    memcpy(&dom.traps, &sim_traps, sizeof(dom.traps));
    memcpy(&dom.vpci, &sim_vpci, sizeof(dom.vpci));
    lend(&dom.vpci.devices);
    refs++;
    return &dom;
}

void domain_put(struct domain *d)
{
    assert_ptr_equal(d, &dom);
    lend(&sim_vpci.devices);
    refs--;
}

int copy_to_guest(struct vcpu *v, uint64_t gva, const void *src, size_t n)
{
    (void)v;
    if (gva < PAGE_SIZE)
        return -EFAULT;
    memcpy((void *)(uintptr_t)gva, src, n);
    return 0;
}

static int setup(void **state)
{
    struct sim_function *f;

    (void)state;
    sim_reset();
    f = sim_add(NIC, 0x8086, 0x10d3);
    sim_bar(f, 0, 0x20000, 24UL << 20, false);
    sim_cap(f, 0x01, 8);
    sim_msix(f, 5, 0, 0x3000, 0, 0x2000);
    sim_decode(f, true);
    sim_boot();
    dom.domid = 3;
    dom.max_vcpus = 2;
    for (unsigned i = 0; i < 2; i++) {
        vcpus[i].id = i;
        dom.vcpu[i] = &vcpus[i];
        memset(&vcpus[i].cpu, 0, sizeof(vcpus[i].cpu));
    }
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    sim_finish();
    assert_int_equal(refs, 0);
    return 0;
}

static long op(unsigned cmd, uint16_t domid, void *args, size_t size)
{
    struct xenlite_op o = { .cmd = cmd, .domid = domid };
    bool copy_back = false;
    long rc;

    memcpy(o.args, args, size);
    rc = xenlite_trace_op(&vcpus[0], &o, &copy_back);
    memcpy(args, o.args, size);
    return rc;
}

/* The whole list into room for `max`; how many there are. */
static unsigned list_of(unsigned cmd, uint32_t arg, void *buffer, size_t entry, unsigned max)
{
    struct xenlite_list l = {
        .buffer = (uintptr_t)buffer, .entry_size = (uint32_t)entry, .max = max, .arg = arg
    };

    assert_int_equal(op(cmd, 3, &l, sizeof(l)), 0);
    assert_int_equal(l.nr, MIN(l.total, max));
    return l.total;
}

static void test_regions(void **state)
{
    struct xenlite_trap_region r[64], one;
    struct xenlite_list l;
    unsigned nr;

    (void)state;
    cfg_read(NIC, 0, 4);
    nr = list_of(XENLITE_TRACE_regions, 0, r, sizeof(r[0]), 64);
    assert_true(nr >= 3);
    /* From anywhere on, with any room: the same list. */
    for (unsigned i = 0; i < nr; i++) {
        l = (struct xenlite_list){
            .buffer = (uintptr_t)&one, .entry_size = sizeof(one), .first = i, .max = 1
        };
        assert_int_equal(op(XENLITE_TRACE_regions, 3, &l, sizeof(l)), 0);
        assert_int_equal(l.nr, 1);
        assert_int_equal(l.total, nr);
        assert_memory_equal(&one, &r[i], sizeof(one));
    }
    l.first = nr;
    assert_int_equal(op(XENLITE_TRACE_regions, 3, &l, sizeof(l)), 0);
    assert_int_equal(l.nr, 0);
    l.first = 0xffffffff;
    l.max = 0xffffffff;
    assert_int_equal(op(XENLITE_TRACE_regions, 3, &l, sizeof(l)), 0);
    assert_int_equal(l.nr, 0);
}

static void test_errors(void **state)
{
    struct xenlite_trap_region r[4];
    struct xenlite_list l = { .buffer = (uintptr_t)r, .entry_size = sizeof(r[0]) - 1, .max = 4 };

    (void)state;
    assert_int_equal(op(XENLITE_TRACE_regions, 3, &l, sizeof(l)), -EINVAL);
    l.entry_size++;
    assert_int_equal(op(XENLITE_TRACE_regions, 4, &l, sizeof(l)), -ESRCH);
    l.buffer = 8;
    assert_int_equal(op(XENLITE_TRACE_regions, 3, &l, sizeof(l)), -EFAULT);
    l.entry_size = sizeof(struct xenlite_trap_register);
    l.arg = NIC + 1;
    l.buffer = (uintptr_t)r;
    assert_int_equal(op(XENLITE_TRACE_registers, 3, &l, sizeof(l)), -ENODEV);
    l.entry_size = sizeof(struct xenlite_capability);
    assert_int_equal(op(XENLITE_TRACE_capabilities, 3, &l, sizeof(l)), -ENODEV);
    l.entry_size = sizeof(struct xenlite_exit_count);
    l.arg = 2;
    assert_int_equal(op(XENLITE_TRACE_exits, 3, &l, sizeof(l)), -EINVAL);
    assert_int_equal(op(XENLITE_TRACE_capabilities + 1, 3, &l, sizeof(l)), -ENOSYS);
}

static const struct xenlite_trap_register *find(const struct xenlite_trap_register *r, unsigned nr,
                                                unsigned space, unsigned offset)
{
    for (unsigned i = 0; i < nr; i++)
        if (r[i].space == space && r[i].offset == offset)
            return &r[i];
    return NULL;
}

static void test_registers(void **state)
{
    struct xenlite_trap_register r[64];
    struct xenlite_trap_function f[4];
    const struct xenlite_trap_register *e;
    uint64_t val;
    unsigned nr;

    (void)state;
    for (unsigned i = 0; i < 7; i++)
        cfg_read(NIC, 0, 4);
    cfg_write(NIC, 0x3c, 1, 9);
    cfg_read(NIC, 6, 2);
    mem_read((24UL << 20) + 0x3000 + 16 + 8, 4, &val);
    mem_write((24UL << 20) + 0x3000 + 2 * 16 + 12, 4, 1);
    mem_write((24UL << 20) + 0x3000 + 2 * 16 + 12, 4, 1);
    assert_int_equal(list_of(XENLITE_TRACE_functions, 0, f, sizeof(f[0]), 4), 1);
    assert_int_equal(f[0].sbdf, NIC);
    assert_int_equal(f[0].hw_sbdf, NIC);
    assert_int_equal(f[0].reads, 8);
    assert_int_equal(f[0].writes, 1);
    assert_int_equal(f[0].msix_entries, 5);
    assert_int_equal(f[0].msix_reads, 1);
    assert_int_equal(f[0].msix_writes, 2);
    assert_int_equal(f[0].msix_mask_writes, 2);
    nr = list_of(XENLITE_TRACE_registers, NIC, r, sizeof(r[0]), 64);
    assert_int_equal(nr, f[0].registers);
    assert_int_equal(nr, 5);
    e = find(r, nr, XENLITE_SPACE_CONFIG, 0);
    assert_int_equal(e->reads, 7);
    assert_int_equal(e->managed, 0);
    e = find(r, nr, XENLITE_SPACE_CONFIG, 0x3c);
    assert_int_equal(e->writes, 1);
    e = find(r, nr, XENLITE_SPACE_CONFIG, 4);
    assert_int_equal(e->reads, 1);
    assert_int_equal(e->managed, 1);
    assert_string_equal(e->name, "command");
    e = find(r, nr, XENLITE_SPACE_MSIX, 16 + 8);
    assert_int_equal(e->reads, 1);
    e = find(r, nr, XENLITE_SPACE_MSIX, 2 * 16 + 12);
    assert_int_equal(e->writes, 2);
}

static void test_capabilities(void **state)
{
    struct xenlite_capability c[16];
    unsigned nr;

    (void)state;
    nr = list_of(XENLITE_TRACE_capabilities, NIC, c, sizeof(c[0]), 16);
    assert_int_equal(nr, 2);
    assert_int_equal(c[0].id, 0x01);
    assert_int_equal(c[1].id, 0x11);
    assert_int_equal(c[1].extended, 0);
    assert_int_equal(c[1].control & 0x7ff, 4);
}

static void test_names_and_exits(void **state)
{
    struct xenlite_exit_count x[16];
    struct xenlite_handler h[RECORD_MAX_HANDLERS];
    struct xenlite_rule r[DENY_NR_RULES];
    unsigned nr;

    (void)state;
    nr = list_of(XENLITE_TRACE_handlers, 0, h, sizeof(h[0]), RECORD_MAX_HANDLERS);
    assert_true(nr > 1);
    assert_string_equal(h[0].name, "none");
    for (unsigned i = 0; i < nr; i++)
        assert_string_equal(h[i].name, trap_handler_name((uint16_t)i));
    deny(DENY_CONFIG_ABSENT, 3, NIC, 0, 0);
    assert_int_equal(list_of(XENLITE_TRACE_rules, 0, r, sizeof(r[0]), DENY_NR_RULES),
                     DENY_NR_RULES);
    assert_string_equal(r[DENY_CONFIG_ABSENT].name, "CONFIG_ABSENT");
    assert_int_equal(r[DENY_CONFIG_ABSENT].error, ENODEV);
    assert_true(r[DENY_CONFIG_ABSENT].count >= 1);
    for (unsigned i = 0; i < DENY_NR_RULES; i++) /* none is cut off */
        assert_string_equal(r[i].sentence, deny_sentence((enum deny_rule)i));
    vcpus[0].cpu.exits[CPU_EXIT_cpuid] = 5;
    vcpus[0].cpu.nr_exits = 8;
    vcpus[1].cpu.exits[CPU_EXIT_cpuid] = 2;
    vcpus[1].cpu.nr_exits = 1; /* counted since it was read */
    nr = list_of(XENLITE_TRACE_exits, XENLITE_ALL_VCPUS, x, sizeof(x[0]), 16);
    assert_int_equal(nr, CPU_NR_EXITS + 1);
    assert_string_equal(x[CPU_EXIT_cpuid].name, "cpuid");
    assert_int_equal(x[CPU_EXIT_cpuid].count, 7);
    assert_string_equal(x[CPU_NR_EXITS].name, "other");
    assert_int_equal(x[CPU_NR_EXITS].count, 3);
    list_of(XENLITE_TRACE_exits, 1, x, sizeof(x[0]), 16);
    assert_int_equal(x[CPU_EXIT_cpuid].count, 2);
}

static void test_session(void **state)
{
    struct xenlite_trap_record rec[64];
    struct xenlite_trace_session s = { .token = 0 }, t = { .token = 0 };
    struct xenlite_trace_read r = { .buffer = (uintptr_t)rec, .max = 64 };
    uint64_t val;

    (void)state;
    assert_int_equal(op(XENLITE_TRACE_start, 0, &s, sizeof(s)), 0);
    assert_int_equal(s.cpus, nr_cpus);
    assert_int_equal(s.ring, RECORD_RING);
    assert_int_equal(op(XENLITE_TRACE_start, 0, &t, sizeof(t)), -EBUSY);
    for (unsigned i = 0; i < 40; i++)
        mem_read((24UL << 20) + 0x3000 + 16 * (i % 5) + 12, 4, &val);
    r.token = s.token;
    r.buffer = 8; /* nothing is taken out when it cannot be written */
    assert_int_equal(op(XENLITE_TRACE_read, 0, &r, sizeof(r)), -EFAULT);
    r.buffer = (uintptr_t)rec;
    assert_int_equal(op(XENLITE_TRACE_read, 0, &r, sizeof(r)), 0);
    assert_int_equal(r.nr, 40);
    assert_int_equal(r.lost, 0);
    for (unsigned i = 0; i < 40; i++) {
        assert_int_equal(rec[i].kind, XENLITE_TRAP_MSIX);
        assert_int_equal(rec[i].sbdf, NIC);
        assert_int_equal(rec[i].addr, 16 * (i % 5) + 12);
        assert_int_equal(rec[i].disposition, XENLITE_DONE);
    }
    r.cpu = nr_cpus;
    assert_int_equal(op(XENLITE_TRACE_read, 0, &r, sizeof(r)), -EINVAL);
    t.token = s.token + 1;
    assert_int_equal(op(XENLITE_TRACE_stop, 0, &t, sizeof(t)), -ESTALE);
    assert_int_equal(op(XENLITE_TRACE_stop, 0, &s, sizeof(s)), 0);
    r.cpu = 0;
    assert_int_equal(op(XENLITE_TRACE_read, 0, &r, sizeof(r)), -ESTALE);
}

static void test_denials(void **state)
{
    struct xenlite_trap_record rec[RECORD_DENIALS];
    unsigned nr;

    (void)state;
    for (unsigned i = 0; i < RECORD_DENIALS + 5; i++)
        deny(DENY_CONFIG_HIDDEN, 3, NIC, i, 0);
    nr = list_of(XENLITE_TRACE_denials, 0, rec, sizeof(rec[0]), RECORD_DENIALS);
    assert_int_equal(nr, RECORD_DENIALS);
    assert_int_equal(rec[0].addr, 5);
    assert_int_equal(rec[nr - 1].addr, RECORD_DENIALS + 4);
    assert_int_equal(rec[0].rule, DENY_CONFIG_HIDDEN);
    assert_int_equal(rec[0].kind, XENLITE_TRAP_DENY);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_regions),      TEST(test_errors),          TEST(test_registers),
        TEST(test_capabilities), TEST(test_names_and_exits), TEST(test_session),
        TEST(test_denials),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
