/* SPDX-License-Identifier: MIT */
/*
 * The small hypercalls: what they answer, whom they refuse, and that bad arguments change nothing.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "acpi/acpi.h"
#include "hc_sim.h"
#include "hypercall/handlers.h"
#include "hypercall/hypercall.h"
#include "lib/errno.h"
#include "lib/string.h"
#include "lib/time.h"
#include "sim.h"
#include "vdev/vpci.h"

#include <xen/features.h>
#include <xen/hvm/hvm_op.h>
#include <xen/physdev.h>
#include <xen/platform.h>
#include <xen/sched.h>
#include <xen/version.h>

static struct domain *dom0, *dom1;
static struct vcpu *v0, *v1;

/* ---- what the handlers call further out ---- */

static uint32_t pci_sbdf, pci_flags, pci_physfn, ecam_calls;
static bool pci_removed, preempt;

int vpci_physdev_add(struct domain *d, uint32_t sbdf, uint32_t flags, uint32_t physfn)
{
    (void)d;
    pci_physfn = physfn;
    pci_sbdf = sbdf;
    pci_flags = flags;
    return 0;
}

int vpci_physdev_remove(struct domain *d, uint32_t sbdf)
{
    (void)d;
    pci_sbdf = sbdf;
    pci_removed = true;
    return 0;
}

int vpci_add_ecam(struct vpci *vpci, uint64_t base, uint16_t segment, uint8_t start_bus,
                  uint8_t end_bus)
{
    (void)vpci;
    (void)base;
    (void)segment;
    (void)start_bus;
    (void)end_bus;
    return ecam_calls++ ? -EEXIST : 0;
}

int acpi_get_madt(struct acpi_madt_info *out)
{
    memset(out, 0, sizeof(*out));
    out->nr_cpus = 2;
    out->cpu[0] = (struct acpi_madt_cpu){ .uid = 10, .apic_id = 0, .enabled = true };
    out->cpu[1] = (struct acpi_madt_cpu){ .uid = 11, .apic_id = 2, .enabled = true };
    return 0;
}

bool hypercall_preempt(struct vcpu *v)
{
    (void)v;
    return preempt;
}

/*
 * Call 1 adds its arguments, call 2 counts its second argument down to 0, restarting each time. sched_op is the real one; what
 * takes the vCPU off its CPU asks for a turn of the scheduler, as the real scheduler's functions do.
 */
long hypercall_call(struct vcpu *v, uint64_t nr, const uint64_t arg[5])
{
    if (nr == 1)
        return (long)(arg[0] + arg[1] + arg[2] + arg[3] + arg[4]);
    if (nr == __HYPERVISOR_sched_op) {
        preempt |= arg[0] == SCHEDOP_yield || arg[0] == SCHEDOP_block || arg[0] == SCHEDOP_poll ||
                   arg[0] == SCHEDOP_shutdown;
        return do_sched_op(v, arg[0], arg[1], arg[2], arg[3], arg[4]);
    }
    if (nr == 3)
        return HYPERCALL_NO_RETURN;
    if (nr != 2)
        return -ENOSYS;
    if (arg[1] == 0)
        return 77;
    hypercall_set_arg(v, 2, arg[1] - 1);
    return HYPERCALL_RESTART;
}

static int setup(void **state)
{
    (void)state;
    hc_reset();
    wallclock_init();
    dom0 = hc_domain(0, 2, 1024);
    dom1 = hc_domain(1, 1, 1024);
    v0 = dom0->vcpu[0];
    v1 = dom1->vcpu[0];
    preempt = false;
    ecam_calls = 0;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    hc_reset();
    return 0;
}

/* ---- xen_version ---- */

static void test_version(void **state)
{
    struct xen_feature_info fi = { .submap_idx = 0 };
    xen_capabilities_info_t caps;
    xen_commandline_t line;

    (void)state;
    assert_int_equal(do_xen_version(v1, XENVER_version, 0, 0, 0, 0), 0x00040011);
    assert_int_equal(hc_call(do_xen_version, v0, XENVER_capabilities, caps, sizeof(caps)), 0);
    assert_non_null(strstr(caps, "hvm-3.0-x86_32 "));
    assert_int_equal(hc_call(do_xen_version, v0, XENVER_get_features, &fi, sizeof(fi)), 0);
    assert_int_equal(fi.submap, 0x12b05u);
    assert_false(fi.submap & (1u << XENFEAT_hvm_pirqs));
    assert_int_equal(hc_call(do_xen_version, v1, XENVER_get_features, &fi, sizeof(fi)), 0);
    assert_int_equal(fi.submap, 0x12305u);
    fi.submap_idx = 1;
    assert_int_equal(hc_call(do_xen_version, v1, XENVER_get_features, &fi, sizeof(fi)), -EINVAL);
    assert_int_equal(do_xen_version(v1, XENVER_pagesize, 0, 0, 0, 0), 4096);
    assert_int_equal(do_xen_version(v1, XENVER_build_id, 0, 0, 0, 0), -ENODATA);
    assert_int_equal(do_xen_version(v1, 11, 0, 0, 0, 0), -ENOSYS);
    assert_int_equal(do_xen_version(v1, XENVER_extraversion, ~0ULL, 0, 0, 0), -EFAULT);
    xen_version_set_cmdline("console=com1 loglvl=debug");
    assert_int_equal(hc_call(do_xen_version, v0, XENVER_commandline, line, sizeof(line)), 0);
    assert_string_equal(line, "console=com1 loglvl=debug");
    assert_int_equal(hc_call(do_xen_version, v1, XENVER_commandline, line, sizeof(line)), -EPERM);
}

/* ---- sched_op ---- */

static void test_sched(void **state)
{
    struct sched_shutdown down = { .reason = SHUTDOWN_reboot };
    struct sched_remote_shutdown remote = { .domain_id = 1, .reason = SHUTDOWN_crash };

    (void)state;
    assert_int_equal(do_sched_op(v0, SCHEDOP_yield, 0, 0, 0, 0), 0);
    assert_int_equal(hc_log(v0)->yields, 1);
    assert_int_equal(do_sched_op(v0, SCHEDOP_block, 0, 0, 0, 0), 0);
    assert_int_equal(hc_log(v0)->blocks, 1);
    assert_int_equal(hc_call(do_sched_op, v1, SCHEDOP_shutdown, &down, sizeof(down)), 0);
    assert_ptr_equal(hc_shutdown_domain, dom1);
    assert_int_equal(hc_shutdown_code, SHUTDOWN_reboot);
    hc_shutdown_code = -1;
    down.reason = SHUTDOWN_MAX + 1;
    assert_int_equal(hc_call(do_sched_op, v1, SCHEDOP_shutdown, &down, sizeof(down)), -EINVAL);
    assert_int_equal(hc_call(do_sched_op, v1, SCHEDOP_remote_shutdown, &remote, sizeof(remote)),
                     -EPERM);
    assert_int_equal(hc_shutdown_code, -1);
    assert_int_equal(hc_call(do_sched_op, v0, SCHEDOP_remote_shutdown, &remote, sizeof(remote)), 0);
    assert_int_equal(hc_shutdown_code, SHUTDOWN_crash);
    remote.domain_id = 5;
    assert_int_equal(hc_call(do_sched_op, v0, SCHEDOP_remote_shutdown, &remote, sizeof(remote)),
                     -ESRCH);
    assert_int_equal(do_sched_op(v0, SCHEDOP_pin_override, 0, 0, 0, 0), -ENOSYS);
}

static long watchdog(struct vcpu *v, uint32_t id, uint32_t timeout)
{
    struct sched_watchdog w = { .id = id, .timeout = timeout };

    return hc_call(do_sched_op, v, SCHEDOP_watchdog, &w, sizeof(w));
}

static void test_watchdog(void **state)
{
    (void)state;
    assert_int_equal(watchdog(v1, 0, 0), -EINVAL);
    assert_int_equal(watchdog(v1, 3, 5), -EINVAL);
    assert_int_equal(watchdog(v1, 1, 5), -EINVAL); /* never given out */
    assert_int_equal(watchdog(v1, 0, 5), 1);
    assert_int_equal(watchdog(v1, 0, 10), 2);
    assert_int_equal(watchdog(v1, 0, 10), -ENOSPC);
    hc_advance(4 * NS_PER_SEC);
    assert_int_equal(watchdog(v1, 1, 5), 0);
    hc_advance(4 * NS_PER_SEC);
    assert_int_equal(watchdog(v1, 1, 0), 0);
    assert_int_equal(hc_shutdown_code, -1);
    hc_advance(4 * NS_PER_SEC);
    assert_int_equal(hc_shutdown_code, SHUTDOWN_watchdog);
    assert_ptr_equal(hc_shutdown_domain, dom1);
}

/* ---- hvm_op ---- */

static long param(struct vcpu *v, bool set, domid_t domid, uint32_t index, uint64_t *value)
{
    struct xen_hvm_param p = { .domid = domid, .index = index, .value = *value };
    long rc = hc_call(do_hvm_op, v, set ? HVMOP_set_param : HVMOP_get_param, &p, sizeof(p));

    *value = p.value;
    return rc;
}

static long param_set(struct vcpu *v, domid_t domid, uint32_t index, uint64_t value)
{
    return param(v, true, domid, index, &value);
}

static void test_params(void **state)
{
    uint64_t val = 0;

    (void)state;
    /* The control domain finds no xenstore of its own: success with 0. */
    val = 5;
    assert_int_equal(param(v0, false, DOMID_SELF, HVM_PARAM_STORE_EVTCHN, &val), 0);
    assert_int_equal(val, 0);
    assert_int_equal(param_set(v0, 1, HVM_PARAM_STORE_PFN, 0xfeffc), 0);
    assert_int_equal(param(v1, false, DOMID_SELF, HVM_PARAM_STORE_PFN, &val), 0);
    assert_int_equal(val, 0xfeffc);
    assert_int_equal(param_set(v1, DOMID_SELF, HVM_PARAM_STORE_PFN, 1), -EPERM);
    assert_int_equal(param(v1, false, DOMID_SELF, HVM_PARAM_IOREQ_SERVER_PFN, &val), -EPERM);
    assert_int_equal(param(v1, false, 0, HVM_PARAM_STORE_PFN, &val), -EPERM);
    assert_int_equal(param_set(v0, 9, HVM_PARAM_STORE_PFN, 1), -ESRCH);
    assert_int_equal(param_set(v0, 1, HVM_NR_PARAMS, 1), -EINVAL);
    assert_int_equal(param_set(v0, 1, ~0u, 1), -EINVAL);
    assert_int_equal(param_set(v0, 1, HVM_PARAM_NR_IOREQ_SERVER_PAGES, 8), 0);
    assert_int_equal(param_set(v0, 1, HVM_PARAM_NR_IOREQ_SERVER_PAGES, 8), 0);
    assert_int_equal(param_set(v0, 1, HVM_PARAM_NR_IOREQ_SERVER_PAGES, 4), -EEXIST);
    assert_int_equal(param_set(v0, 1, HVM_PARAM_ALTP2M, 0), 0);
    assert_int_equal(param_set(v0, 1, HVM_PARAM_ALTP2M, 1), -EINVAL);
    assert_int_equal(param_set(v0, 1, HVM_PARAM_TIMER_MODE, 4), -EINVAL);
    assert_int_equal(param_set(v0, 1, HVM_PARAM_DM_DOMAIN, 0), -EOPNOTSUPP);
    assert_int_equal(param(v0, false, 1, HVM_PARAM_TRIPLE_FAULT_REASON, &val), 0);
    assert_int_equal(val, SHUTDOWN_reboot);
}

static void test_callback_irq(void **state)
{
    struct xen_hvm_evtchn_upcall_vector up = { .vcpu = 0, .vector = 0xf3 };

    (void)state;
    assert_int_equal(param_set(v0, DOMID_SELF, HVM_PARAM_CALLBACK_IRQ, 1), 0);
    assert_int_equal(dom0->evtchn.callback_vector, 0);
    assert_int_equal(param_set(v0, DOMID_SELF, HVM_PARAM_CALLBACK_IRQ, (2ULL << 56) | 0xf3), 0);
    assert_int_equal(dom0->evtchn.callback_vector, 0xf3);
    assert_int_equal(param_set(v0, DOMID_SELF, HVM_PARAM_CALLBACK_IRQ, (2ULL << 56) | 3), -EINVAL);
    assert_int_equal(param_set(v0, DOMID_SELF, HVM_PARAM_CALLBACK_IRQ, 3ULL << 56), -EINVAL);
    assert_int_equal(dom0->evtchn.callback_vector, 0xf3);
    assert_int_equal(hc_call(do_hvm_op, v0, HVMOP_set_evtchn_upcall_vector, &up, sizeof(up)), 0);
    assert_int_equal(v0->evt.upcall_vector, 0xf3);
    up.vcpu = 2;
    assert_int_equal(hc_call(do_hvm_op, v0, HVMOP_set_evtchn_upcall_vector, &up, sizeof(up)),
                     -ENOENT);
    up.vector = 15;
    assert_int_equal(hc_call(do_hvm_op, v0, HVMOP_set_evtchn_upcall_vector, &up, sizeof(up)),
                     -EINVAL);
    assert_int_equal(do_hvm_op(v0, HVMOP_pagetable_dying, HC_ARG, 0, 0, 0), -ENOSYS);
    assert_int_equal(do_hvm_op(v0, HVMOP_altp2m, HC_ARG, 0, 0, 0), -EOPNOTSUPP);
}

static void test_mem_type(void **state)
{
    struct xen_hvm_get_mem_type t = { .domid = DOMID_SELF, .pfn = 7 };

    (void)state;
    hc_set_type(dom1, 7, P2M_RAM_RO);
    assert_int_equal(hc_call(do_hvm_op, v1, HVMOP_get_mem_type, &t, sizeof(t)), 0);
    assert_int_equal(t.mem_type, HVMMEM_ram_ro);
    t.pfn = 8;
    assert_int_equal(hc_call(do_hvm_op, v1, HVMOP_get_mem_type, &t, sizeof(t)), 0);
    assert_int_equal(t.mem_type, HVMMEM_ram_rw);
    t.pfn = ~0ULL;
    assert_int_equal(hc_call(do_hvm_op, v1, HVMOP_get_mem_type, &t, sizeof(t)), 0);
    assert_int_equal(t.mem_type, HVMMEM_mmio_dm);
    t.domid = 0;
    assert_int_equal(hc_call(do_hvm_op, v1, HVMOP_get_mem_type, &t, sizeof(t)), -EPERM);
}

/* ---- console_io ---- */

static void test_console(void **state)
{
    long rc;

    (void)state;
    memset(hc_mem(dom0, 0x3000), 'x', 3000);
    rc = do_console_io(v0, CONSOLEIO_write, 3000, 0x3000, 0, 0);
    assert_int_equal(rc, HYPERCALL_RESTART);
    while (rc == HYPERCALL_RESTART)
        rc = do_console_io(v0, CONSOLEIO_write, v0->cpu.regs.gpr[CPU_RSI],
                           v0->cpu.regs.gpr[CPU_RDX], 0, 0);
    assert_int_equal(rc, 0);
    assert_int_equal(hc_console_len, 3000);
    assert_int_equal(do_console_io(v0, CONSOLEIO_read, 100, 0x3000, 0, 0), 3);
    assert_memory_equal(hc_mem(dom0, 0x3000), "abc", 3);
    assert_int_equal(do_console_io(v0, CONSOLEIO_read, 2, 0x3000, 0, 0), 2);
    assert_int_equal(do_console_io(v0, CONSOLEIO_write, 0xffffffff, 0x3000, 0, 0), -EINVAL);
    assert_int_equal(do_console_io(v0, CONSOLEIO_write, 10, ~0ULL, 0, 0), -EFAULT);
    assert_int_equal(do_console_io(v0, 2, 0, 0, 0, 0), -ENOSYS);
    assert_int_equal(do_console_io(v1, CONSOLEIO_write, 1, 0x3000, 0, 0), -EPERM);
}

/* ---- multicall ---- */

static void test_multicall(void **state)
{
    struct multicall_entry *e = hc_mem(dom0, 0x4000);
    uint64_t *gpr = v0->cpu.regs.gpr;
    long rc;
    unsigned turns = 0;

    (void)state;
    for (unsigned i = 0; i < 40; i++)
        e[i] = (struct multicall_entry){ .op = 1, .args = { i, 1, 2, 3, 4 } };
    e[5].op = __HYPERVISOR_multicall;
    e[6] = (struct multicall_entry){ .op = 2, .args = { 9, 3, 8 } };
    e[7].op = 50;
    gpr[CPU_RDI] = 0x4000;
    gpr[CPU_RSI] = 40;
    gpr[CPU_RDX] = 0x1234;
    do {
        rc = do_multicall(v0, gpr[CPU_RDI], gpr[CPU_RSI], gpr[CPU_RDX], gpr[CPU_R10], gpr[CPU_R8]);
        turns++;
    } while (rc == HYPERCALL_RESTART && turns < 20);
    assert_int_equal(rc, 0);
    assert_int_equal(turns, 5); /* three restarts of the inner call, one after 32 entries */
    assert_int_equal(gpr[CPU_RDX], 0x1234);
    assert_int_equal(e[0].result, 10);
    assert_int_equal(e[39].result, 49);
    assert_int_equal(e[5].result, (uint64_t)-EINVAL);
    assert_int_equal(e[6].result, 77);
    assert_int_equal(e[7].result, (uint64_t)-ENOSYS);
    assert_int_equal(do_multicall(v0, ~0ULL, 1, 0, 0, 0), -EFAULT);
    assert_int_equal(do_multicall(v0, ~0ULL, 0, 0, 0, 0), 0);
}

/* One turn of the multicall whose progress is in v0's registers. */
static long multicall_turn(void)
{
    const uint64_t *gpr = v0->cpu.regs.gpr;

    preempt = false; /* the scheduler has had its turn */
    return do_multicall(v0, gpr[CPU_RDI], gpr[CPU_RSI], gpr[CPU_RDX], gpr[CPU_R10], gpr[CPU_R8]);
}

/*
 * Entries that take the vCPU off its CPU end the turn after their own result is written, and what follows them is done
 * when the vCPU runs again: once each, whatever woke it.
 */
static void test_multicall_waits(void **state)
{
    struct multicall_entry *e = hc_mem(dom0, 0x4000);
    struct sched_poll *poll = hc_mem(dom0, 0x5000);
    struct sched_shutdown *off = hc_mem(dom0, 0x5100);
    uint64_t *gpr = v0->cpu.regs.gpr;

    (void)state;
    memset(poll, 0, sizeof(*poll));
    poll->timeout = now_ns() + NS_PER_SEC;
    off->reason = SHUTDOWN_suspend;
    e[0] = (struct multicall_entry){ .op = __HYPERVISOR_sched_op, .args = { SCHEDOP_block }, .result = 99 };
    e[1] = (struct multicall_entry){ .op = __HYPERVISOR_sched_op, .args = { SCHEDOP_poll, 0x5000 }, .result = 99 };
    e[2] = (struct multicall_entry){ .op = __HYPERVISOR_sched_op, .args = { SCHEDOP_yield }, .result = 99 };
    e[3] = (struct multicall_entry){ .op = 1, .args = { 1, 2 } };
    e[4] = (struct multicall_entry){ .op = __HYPERVISOR_sched_op, .args = { SCHEDOP_shutdown, 0x5100 }, .result = 99 };
    e[5] = (struct multicall_entry){ .op = 2, .args = { 0, 1 } };
    e[6] = (struct multicall_entry){ .op = __HYPERVISOR_sched_op, .args = { SCHEDOP_block }, .result = 99 };
    gpr[CPU_RDI] = 0x4000;
    gpr[CPU_RSI] = 7;

    assert_int_equal(multicall_turn(), HYPERCALL_RESTART); /* block */
    assert_true(v0->sched.blocked);
    assert_int_equal(e[0].result, 0);
    assert_int_equal(e[1].result, 99);
    vcpu_kick(v0);
    assert_int_equal(multicall_turn(), HYPERCALL_RESTART); /* poll */
    assert_true(v0->sched.blocked);
    assert_int_equal(e[1].result, 0);
    hc_advance(2 * NS_PER_SEC);
    assert_false(v0->sched.blocked); /* its own time-out ends it */
    assert_int_equal(multicall_turn(), HYPERCALL_RESTART); /* yield */
    assert_int_equal(hc_log(v0)->yields, 1);
    assert_int_equal(e[3].result, 0);
    assert_int_equal(multicall_turn(), HYPERCALL_RESTART); /* the sum, shutdown */
    assert_int_equal(e[3].result, 3);
    assert_int_equal(hc_shutdown_code, SHUTDOWN_suspend);
    assert_int_equal(multicall_turn(), HYPERCALL_RESTART); /* the one that restarts once */
    assert_int_equal(multicall_turn(), 0);                 /* its second half; and a block as the last entry */
    assert_int_equal(e[5].result, 77);
    assert_true(v0->sched.blocked);
    assert_int_equal(e[6].result, 0);
    assert_int_equal(hc_log(v0)->blocks, 3);

    e[0] = (struct multicall_entry){ .op = 3 };
    gpr[CPU_RDI] = 0x4000;
    gpr[CPU_RSI] = 2;
    assert_int_equal(multicall_turn(), HYPERCALL_NO_RETURN);
    assert_int_equal(gpr[CPU_RSI], 2);
}

/* A time-out or an event that comes for a wait which is over does not bring back a vCPU that went offline since. */
static void test_poll_then_down(void **state)
{
    struct sched_poll poll = { .timeout = now_ns() + NS_PER_SEC };

    (void)state;
    assert_int_equal(hc_call(do_sched_op, v0, SCHEDOP_poll, &poll, sizeof(poll)), 0);
    v0->sched.blocked = false; /* an interrupt came, and the vCPU never left its CPU */
    vcpu_set_down(v0);
    hc_advance(2 * NS_PER_SEC);
    assert_true(v0->sched.down);
}

/* ---- physdev_op ---- */

static void test_physdev(void **state)
{
    struct physdev_pci_mmcfg_reserved m = { .address = 0xb0000000, .end_bus = 255, .flags = 1 };
    struct physdev_pci_device_add a = {
        .seg = 1, .bus = 2, .devfn = 0x18, .flags = XEN_PCI_DEV_EXTFN, .physfn = { .bus = 1, .devfn = 9 }
    };
    struct physdev_pci_device r = { .seg = 1, .bus = 2, .devfn = 0x18 };
    struct physdev_manage_pci_ext ext = {
        .bus = 3, .devfn = 8, .is_virtfn = 1, .physfn = { .bus = 2, .devfn = 7 }
    };

    (void)state;
    assert_int_equal(hc_call(do_physdev_op, v0, PHYSDEVOP_pci_mmcfg_reserved, &m, sizeof(m)), 0);
    assert_int_equal(hc_call(do_physdev_op, v0, PHYSDEVOP_pci_mmcfg_reserved, &m, sizeof(m)), 0);
    assert_int_equal(ecam_calls, 2);
    m.start_bus = 9;
    m.end_bus = 8;
    assert_int_equal(hc_call(do_physdev_op, v0, PHYSDEVOP_pci_mmcfg_reserved, &m, sizeof(m)),
                     -EINVAL);
    assert_int_equal(hc_call(do_physdev_op, v0, PHYSDEVOP_pci_device_add, &a, sizeof(a)), 0);
    assert_int_equal(pci_sbdf, 0x10218);
    assert_int_equal(pci_flags, XEN_PCI_DEV_EXTFN);
    assert_int_equal(pci_physfn, 0x10109);
    assert_int_equal(hc_call(do_physdev_op, v0, PHYSDEVOP_pci_device_remove, &r, sizeof(r)), 0);
    assert_true(pci_removed);
    assert_int_equal(hc_call(do_physdev_op, v0, PHYSDEVOP_manage_pci_add_ext, &ext, sizeof(ext)),
                     0);
    assert_int_equal(pci_sbdf, 0x308);
    assert_int_equal(pci_flags, XEN_PCI_DEV_VIRTFN);
    assert_int_equal(pci_physfn, 0x207);
    ext.is_extfn = 2;
    assert_int_equal(hc_call(do_physdev_op, v0, PHYSDEVOP_manage_pci_add_ext, &ext, sizeof(ext)),
                     -EINVAL);
    assert_int_equal(hc_call(do_physdev_op, v1, PHYSDEVOP_pci_device_add, &a, sizeof(a)), -EPERM);
    assert_int_equal(hc_call(do_physdev_op, v0, PHYSDEVOP_prepare_msix, &r, sizeof(r)), -ENOSYS);
    assert_int_equal(hc_call(do_physdev_op, v0, PHYSDEVOP_restore_msi_ext, &r, sizeof(r)), -ENOSYS);
}

/* ---- platform_op ---- */

static long platform(struct vcpu *v, struct xen_platform_op *op, uint32_t cmd)
{
    long rc;

    op->cmd = cmd;
    op->interface_version = XENPF_INTERFACE_VERSION;
    memcpy(hc_mem(v->domain, HC_ARG), op, sizeof(*op));
    rc = do_platform_op(v, HC_ARG, 0, 0, 0, 0);
    memcpy(op, hc_mem(v->domain, HC_ARG), sizeof(*op));
    return rc;
}

static void test_platform(void **state)
{
    struct xen_platform_op op;

    (void)state;
    memset(&op, 0, sizeof(op));
    assert_int_equal(platform(v0, &op, 64 /* get_dom0_console */), -ENOSYS);
    op.u.pcpu_info.xen_cpuid = 1;
    assert_int_equal(platform(v0, &op, XENPF_get_cpuinfo), 0);
    assert_int_equal(op.u.pcpu_info.max_present, 1);
    assert_int_equal(op.u.pcpu_info.flags, XEN_PCPU_FLAGS_ONLINE);
    assert_int_equal(op.u.pcpu_info.acpi_id, 11);
    op.u.pcpu_info.xen_cpuid = 2;
    assert_int_equal(platform(v0, &op, XENPF_get_cpuinfo), 0);
    assert_int_equal(op.u.pcpu_info.flags, XEN_PCPU_FLAGS_INVALID);
    memset(&op, 0, sizeof(op));
    op.u.settime64.secs = 1800000000;
    op.u.settime64.system_time = NS_PER_SEC;
    assert_int_equal(platform(v0, &op, XENPF_settime64), 0);
    assert_int_equal(dom0->shared_info->wc_sec, 1799999999);
    assert_int_equal(dom1->shared_info->wc_sec, 1799999999);
    op.u.settime64.mbz = 1;
    assert_int_equal(platform(v0, &op, XENPF_settime64), -EINVAL);
    assert_int_equal(platform(v1, &op, XENPF_get_cpuinfo), -EPERM);
    op.interface_version = 1;
    memcpy(hc_mem(dom0, HC_ARG), &op, sizeof(op));
    assert_int_equal(do_platform_op(v0, HC_ARG, 0, 0, 0, 0), -EACCES);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_version),  T(test_sched),   T(test_watchdog),  T(test_params),  T(test_callback_irq),
        T(test_mem_type), T(test_console), T(test_multicall), T(test_multicall_waits),
        T(test_poll_then_down), T(test_physdev), T(test_platform),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
