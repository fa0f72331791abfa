/* SPDX-License-Identifier: MIT */
/*
 * sysctl and domctl: what the toolstack reads of machine and domains, whom they refuse, and bounds.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "hc_sim.h"
#include "hypercall/dominfo.h"
#include "hypercall/handlers.h"
#include "include/xenlite/sched.h"
#include "lib/errno.h"
#include "lib/printf.h"
#include "lib/string.h"
#include "vdev/pci.h"

#include <xen/sysctl.h>

static struct domain *dom0, *dom1;
static struct vcpu *v0, *v1;

struct pci_dev *pci_find(uint32_t sbdf)
{
    static struct pci_dev dev;

    return sbdf == 0x218 ? &dev : NULL;
}

static int setup(void **state)
{
    (void)state;
    hc_reset();
    dom0 = hc_domain(0, 2, 1024);
    dom1 = hc_domain(1, 1, 1024);
    v0 = dom0->vcpu[0];
    v1 = dom1->vcpu[0];
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    hc_reset();
    return 0;
}

static long sysctl(struct vcpu *v, struct xen_sysctl *op, uint32_t cmd)
{
    long rc;

    op->cmd = cmd;
    op->interface_version = XEN_SYSCTL_INTERFACE_VERSION;
    memcpy(hc_mem(v->domain, HC_ARG), op, sizeof(*op));
    rc = do_sysctl(v, HC_ARG, 0, 0, 0, 0);
    memcpy(op, hc_mem(v->domain, HC_ARG), sizeof(*op));
    return rc;
}

static long domctl(struct vcpu *v, struct xen_domctl *op, uint32_t cmd, domid_t domid)
{
    long rc;

    op->cmd = cmd;
    op->interface_version = XEN_DOMCTL_INTERFACE_VERSION;
    op->domain = domid;
    memcpy(hc_mem(v->domain, HC_ARG), op, sizeof(*op));
    rc = do_domctl(v, HC_ARG, 0, 0, 0, 0);
    memcpy(op, hc_mem(v->domain, HC_ARG), sizeof(*op));
    return rc;
}

static void test_sysctl_machine(void **state)
{
    struct xen_sysctl op = { 0 };
    uint8_t *map = hc_mem(dom0, 0x5000);

    (void)state;
    assert_int_equal(sysctl(v0, &op, XEN_SYSCTL_physinfo), 0);
    assert_int_equal(op.u.physinfo.nr_cpus, 2);
    assert_int_equal(op.u.physinfo.free_pages, 400);
    assert_int_equal(op.u.physinfo.capabilities & 0x10d, 0x10d); /* hvm, directio, hap, grants v1 */
    assert_int_equal(sysctl(v0, &op, XEN_SYSCTL_sched_id), 0);
    assert_int_equal(op.u.sched_id.sched_id, SCHEDULER_ID);

    memset(&op, 0, sizeof(op));
    memset(map, 0xff, 16);
    op.u.cpupool_op.op = XEN_SYSCTL_CPUPOOL_OP_INFO;
    op.u.cpupool_op.cpumap.bitmap.p = (void *)0x5000UL;
    op.u.cpupool_op.cpumap.nr_bits = 72;
    assert_int_equal(sysctl(v0, &op, XEN_SYSCTL_cpupool_op), 0);
    assert_int_equal(op.u.cpupool_op.sched_id, SCHEDULER_ID);
    assert_int_equal(op.u.cpupool_op.n_dom, 2);
    assert_int_equal(map[0], 3);
    assert_int_equal(map[8], 0);
    assert_int_equal(map[9], 0xff); /* not beyond its length */
    op.u.cpupool_op.cpupool_id = 1;
    assert_int_equal(sysctl(v0, &op, XEN_SYSCTL_cpupool_op), -ENOENT);
    op.u.cpupool_op.cpupool_id = 0;
    op.u.cpupool_op.cpumap.nr_bits = ~0u;
    assert_int_equal(sysctl(v0, &op, XEN_SYSCTL_cpupool_op), -EINVAL);

    memset(&op, 0, sizeof(op));
    assert_int_equal(sysctl(v0, &op, XEN_SYSCTL_cputopoinfo), 0);
    assert_int_equal(op.u.cputopoinfo.num_cpus, 2);
    memset(&op, 0, sizeof(op));
    assert_int_equal(sysctl(v0, &op, XEN_SYSCTL_numainfo), 0);
    assert_int_equal(op.u.numainfo.num_nodes, 1);
    memset(&op, 0, sizeof(op));
    op.u.availheap.node = -1;
    assert_int_equal(sysctl(v0, &op, XEN_SYSCTL_availheap), 0);
    assert_int_equal(op.u.availheap.avail_bytes, 400 * 4096);
    assert_int_equal(sysctl(v0, &op, XEN_SYSCTL_tbuf_op), -ENOSYS);
    assert_int_equal(sysctl(v1, &op, XEN_SYSCTL_physinfo), -EPERM);
    op.interface_version--;
    memcpy(hc_mem(dom0, HC_ARG), &op, sizeof(op));
    assert_int_equal(do_sysctl(v0, HC_ARG, 0, 0, 0, 0), -EACCES);
}

static void test_sysctl_pci(void **state)
{
    struct physdev_pci_device devs[2] = { { .bus = 2, .devfn = 0x18 }, { .bus = 9 } };
    struct xen_sysctl op = { 0 };
    uint32_t *nodes = hc_mem(dom0, 0x6000);

    (void)state;
    op.u.pcitopoinfo.num_devs = 2;
    assert_int_equal(sysctl(v0, &op, XEN_SYSCTL_pcitopoinfo), -EINVAL);
    memcpy(hc_mem(dom0, 0x5000), devs, sizeof(devs));
    op.u.pcitopoinfo.devs.p = (void *)0x5000UL;
    op.u.pcitopoinfo.nodes.p = (void *)0x6000UL;
    assert_int_equal(sysctl(v0, &op, XEN_SYSCTL_pcitopoinfo), 0);
    assert_int_equal(op.u.pcitopoinfo.num_devs, 2);
    assert_int_equal(nodes[0], 0);
    assert_int_equal(nodes[1], XEN_INVALID_DEV);
    op.u.pcitopoinfo.num_devs = ~0u; /* bounded; zeroes in between are an unknown function */
    assert_int_equal(sysctl(v0, &op, XEN_SYSCTL_pcitopoinfo), 0);
    assert_true(op.u.pcitopoinfo.num_devs < 1000);
}

static void test_sysctl_console(void **state)
{
    struct xen_sysctl op = { 0 };

    (void)state;
    op.u.readconsole.incremental = 1;
    op.u.readconsole.buffer.p = (void *)0x5000UL;
    op.u.readconsole.count = 60;
    assert_int_equal(sysctl(v0, &op, XEN_SYSCTL_readconsole), 0);
    assert_int_equal(op.u.readconsole.count, 60);
    assert_int_equal(op.u.readconsole.index, 60);
    assert_memory_equal(hc_mem(dom0, 0x5000), "abcd", 4);
    assert_int_equal(sysctl(v0, &op, XEN_SYSCTL_readconsole), 0);
    assert_int_equal(op.u.readconsole.count, 40);
    assert_int_equal(sysctl(v0, &op, XEN_SYSCTL_readconsole), 0);
    assert_int_equal(op.u.readconsole.count, 0);
    op.u.readconsole.incremental = 0; /* from the start again */
    op.u.readconsole.count = 1000;
    assert_int_equal(sysctl(v0, &op, XEN_SYSCTL_readconsole), 0);
    assert_int_equal(op.u.readconsole.count, 100);
}

static void test_domain_lists(void **state)
{
    struct xen_domctl_getdomaininfo *list = hc_mem(dom0, 0x6000);
    struct xen_sysctl op = { 0 };
    struct xen_domctl d = { 0 };

    (void)state;
    hc_domain(7, 3, 64);
    op.u.getdomaininfolist.max_domains = 16;
    op.u.getdomaininfolist.buffer.p = (void *)0x6000UL;
    assert_int_equal(sysctl(v0, &op, XEN_SYSCTL_getdomaininfolist), 0);
    assert_int_equal(op.u.getdomaininfolist.num_domains, 3);
    assert_int_equal(list[2].domain, 7);
    assert_int_equal(list[2].nr_online_vcpus, 3);
    assert_int_equal(list[2].max_vcpu_id, 2);
    assert_int_equal(list[0].tot_pages, HC_PAGES);
    op.u.getdomaininfolist.first_domain = 1;
    op.u.getdomaininfolist.max_domains = 1;
    assert_int_equal(sysctl(v0, &op, XEN_SYSCTL_getdomaininfolist), 0);
    assert_int_equal(op.u.getdomaininfolist.num_domains, 1);
    assert_int_equal(list[0].domain, 1);

    /* An unused id means the next domain. */
    assert_int_equal(domctl(v0, &d, XEN_DOMCTL_getdomaininfo, 2), 0);
    assert_int_equal(d.domain, 7);
    assert_int_equal(d.u.getdomaininfo.domain, 7);
    assert_int_equal(d.u.getdomaininfo.flags & XEN_DOMINF_hvm_guest, XEN_DOMINF_hvm_guest);
    assert_int_equal(domctl(v0, &d, XEN_DOMCTL_getdomaininfo, 8), -ESRCH);
    assert_int_equal(domctl(v0, &d, XEN_DOMCTL_getdomaininfo, 0xffff), -ESRCH);
    assert_int_equal(domctl(v1, &d, XEN_DOMCTL_getdomaininfo, 0), -EPERM);
}

static void test_domctl_vcpu(void **state)
{
    struct xen_domctl d = { 0 };
    uint8_t *map = hc_mem(dom0, 0x5000);

    (void)state;
    vtime_runstate_change(v0, RUNSTATE_running);
    hc_advance(12345);
    assert_int_equal(domctl(v0, &d, XEN_DOMCTL_getvcpuinfo, 0), 0);
    assert_int_equal(d.u.getvcpuinfo.cpu_time, 12345);
    assert_int_equal(d.u.getvcpuinfo.online, 1);
    assert_int_equal(d.u.getvcpuinfo.running, 1);
    d.u.getvcpuinfo.vcpu = 5;
    assert_int_equal(domctl(v0, &d, XEN_DOMCTL_getvcpuinfo, 0), -ESRCH);
    d.u.getvcpuinfo.vcpu = ~0u;
    assert_int_equal(domctl(v0, &d, XEN_DOMCTL_getvcpuinfo, 0), -EINVAL);
    memset(&d, 0, sizeof(d));
    memset(map, 0xff, 4);
    dom0->vcpu[0]->sched.affinity[0] = 2;
    d.u.vcpuaffinity.flags = XEN_VCPUAFFINITY_HARD;
    d.u.vcpuaffinity.cpumap_hard.bitmap.p = (void *)0x5000UL;
    d.u.vcpuaffinity.cpumap_hard.nr_bits = 8;
    assert_int_equal(domctl(v0, &d, XEN_DOMCTL_getvcpuaffinity, 0), 0);
    assert_int_equal(map[0], 2);
    assert_int_equal(map[1], 0xff);
    map[0] = 0xf2; /* CPUs that are not there are dropped */
    map[8] = 0xff;
    d.u.vcpuaffinity.flags |= XEN_VCPUAFFINITY_SOFT;
    d.u.vcpuaffinity.cpumap_soft.bitmap.p = (void *)0x5008UL;
    d.u.vcpuaffinity.cpumap_soft.nr_bits = 8;
    assert_int_equal(domctl(v0, &d, XEN_DOMCTL_setvcpuaffinity, 0), 0);
    assert_int_equal(dom0->vcpu[0]->sched.affinity[0], 2);
    assert_int_equal(map[0], 2);
    assert_int_equal(map[8], 2);
    map[0] = 0xf0;
    assert_int_equal(domctl(v0, &d, XEN_DOMCTL_setvcpuaffinity, 0), -EINVAL);
    assert_int_equal(dom0->vcpu[0]->sched.affinity[0], 2);
    assert_int_equal(domctl(v0, &d, XEN_DOMCTL_pausedomain, 0), -EINVAL); /* oneself */
    assert_int_equal(domctl(v0, &d, XEN_DOMCTL_unpausedomain, 1), -EINVAL);
    assert_int_equal(domctl(v0, &d, XEN_DOMCTL_pausedomain, 1), 0);
    assert_int_equal(dom1->pause_count, 1);
    assert_int_equal(domctl(v0, &d, XEN_DOMCTL_unpausedomain, 1), 0);
    assert_int_equal(domctl(v0, &d, XEN_DOMCTL_createdomain, 5), -EOPNOTSUPP);
    assert_int_equal(domctl(v0, &d, XEN_DOMCTL_getvcpucontext, 0), -EINVAL); /* oneself */
    assert_int_equal(domctl(v0, &d, XEN_DOMCTL_getvcpuinfo, 5), -ESRCH);
}

/* ---- debug keys ---- */

static char printed[8192];

void printk(enum log_level level, const char *fmt, ...)
{
    size_t used = strlen(printed);
    va_list ap;

    (void)level;
    va_start(ap, fmt);
    vsnprintf(printed + used, sizeof(printed) - used, fmt, ap);
    va_end(ap);
}

static long press(struct vcpu *v, const char *keys)
{
    struct xen_sysctl op;

    memset(&op, 0, sizeof(op));
    memcpy(hc_mem(v->domain, 0x3000), keys, strlen(keys));
    op.u.debug_keys.keys.p = (void *)0x3000;
    op.u.debug_keys.nr_keys = (uint32_t)strlen(keys);
    printed[0] = '\0';
    return sysctl(v, &op, XEN_SYSCTL_debug_keys);
}

static void test_debug_keys(void **state)
{
    struct xen_sysctl op;
    char many[66];

    (void)state;
    v0->domain->cpu.nr_unknown_msr_reads = 11;
    v0->domain->traps.unclaimed[TRAP_PIO] = 13;
    assert_int_equal(press(v0, "z"), 0);
    assert_string_equal(printed, "");
    assert_int_equal(press(v0, "h"), 0);
    assert_non_null(strstr(printed, "key m: "));
    assert_int_equal(press(v0, "pp"), 0);
    assert_null(strstr(strstr(printed, "hypercall 35: 1") + 1, "hypercall 35: 1"));
    assert_non_null(strstr(printed, "hypercall 35: 1"));
    assert_non_null(strstr(printed, "unknown numbers: 7"));
    assert_non_null(strstr(printed, "d0: 0 exits; unknown: 11 MSR reads, 0 MSR writes, 13 port"));
    assert_int_equal(press(v0, "mq"), 0);
    assert_non_null(strstr(printed, "memory: d1: "));
    assert_non_null(strstr(printed, "memory: all: 1000 frames, 400 free"));
    assert_non_null(strstr(printed, "d0v0: CPU 0"));

    memset(many, 'z', 65);
    many[65] = '\0';
    assert_int_equal(press(v0, many), -E2BIG);
    assert_int_equal(press(v1, "q"), -EPERM);
    memset(&op, 0, sizeof(op));
    op.u.debug_keys.nr_keys = 1;
    op.u.debug_keys.keys.p = (void *)~0ull;
    assert_int_equal(sysctl(v0, &op, XEN_SYSCTL_debug_keys), -EFAULT);
    assert_string_equal(printed, "");
}

/* ---- what Xen has no call for ---- */

static long xenlite(struct vcpu *v, struct xenlite_op *op, uint32_t cmd, uint16_t domid)
{
    long rc;

    op->cmd = cmd;
    op->interface_version = XENLITE_INTERFACE_VERSION;
    op->domid = domid;
    memcpy(hc_mem(v->domain, HC_ARG), op, sizeof(*op));
    rc = do_xenlite_op(v, HC_ARG, 0, 0, 0, 0);
    memcpy(op, hc_mem(v->domain, HC_ARG), sizeof(*op));
    return rc;
}

static void test_xenlite_sched(void **state)
{
    struct xenlite_op op = { 0 };
    struct xenlite_sched_vcpu out;

    (void)state;
    assert_int_equal(xenlite(dom1->vcpu[0], &op, XENLITE_SCHED_dedicate, 1), -EPERM);
    assert_int_equal(xenlite(v0, &op, XENLITE_SCHED_FIRST + 99, 1), -ENOSYS);
    assert_int_equal(xenlite(v0, &op, XENLITE_SCHED_dedicate, 77), -ESRCH);
    op.args[0] = BIT(2);
    assert_int_equal(xenlite(v0, &op, XENLITE_SCHED_dedicate, 1), 0);
    assert_int_equal(xenlite(v0, &op, XENLITE_SCHED_dedicate, 0), -EINVAL);
    op.args[0] = BIT(3);
    assert_int_equal(xenlite(v0, &op, XENLITE_SCHED_dedicate, 1), -EBUSY);
    op.args[0] = BIT(2);
    op.args[1] = BIT(3); /* CPU 67: more than there can be */
    assert_int_equal(xenlite(v0, &op, XENLITE_SCHED_dedicate, 1), -EINVAL);
    dom1->vcpu[0]->sched.cpu = 1;
    dom1->vcpu[0]->sched.interruptions = 5;
    memset(&op, 0, sizeof(op));
    assert_int_equal(xenlite(v0, &op, XENLITE_SCHED_get_vcpu, 1), 0);
    memcpy(&out, op.args, sizeof(out));
    assert_int_equal(out.cpu, 1);
    assert_int_equal(out.dedicated, 1);
    assert_int_equal(out.interruptions, 5);
    op.args[0] = 50;
    assert_int_equal(xenlite(v0, &op, XENLITE_SCHED_get_vcpu, 1), -ESRCH);
    op.args[0] = ~0u;
    assert_int_equal(xenlite(v0, &op, XENLITE_SCHED_get_vcpu, 1), -ESRCH);
}

static void test_sysctl_scheduler(void **state)
{
    struct xen_sysctl op = { 0 };

    (void)state;
    op.u.scheduler_op.sched_id = XEN_SCHEDULER_CREDIT2;
    op.u.scheduler_op.cmd = XEN_SYSCTL_SCHEDOP_getinfo;
    op.u.scheduler_op.u.sched_credit2.ratelimit_us = 7;
    assert_int_equal(sysctl(v0, &op, XEN_SYSCTL_scheduler_op), 0);
    assert_int_equal(op.u.scheduler_op.u.sched_credit2.ratelimit_us, 0);
    op.u.scheduler_op.cmd = XEN_SYSCTL_SCHEDOP_putinfo;
    assert_int_equal(sysctl(v0, &op, XEN_SYSCTL_scheduler_op), 0);
    op.u.scheduler_op.u.sched_credit2.ratelimit_us = 1000;
    assert_int_equal(sysctl(v0, &op, XEN_SYSCTL_scheduler_op), -EOPNOTSUPP);
    op.u.scheduler_op.sched_id = XEN_SCHEDULER_RTDS;
    assert_int_equal(sysctl(v0, &op, XEN_SYSCTL_scheduler_op), -EINVAL);
    op.u.scheduler_op.cpupool_id = 1;
    assert_int_equal(sysctl(v0, &op, XEN_SYSCTL_scheduler_op), -ESRCH);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_sysctl_machine), T(test_sysctl_pci),  T(test_sysctl_console),
        T(test_domain_lists),   T(test_domctl_vcpu), T(test_debug_keys),
        T(test_xenlite_sched),  T(test_sysctl_scheduler),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
