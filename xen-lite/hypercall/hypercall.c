/* SPDX-License-Identifier: MIT */
/*
 * The one table from hypercall numbers to handlers, argument registers of both calling conventions, and continuation.
 */
#include "hypercall/hypercall.h"

#include "lib/types.h"

#include <xen/xen.h>

#include "cpu/exit.h"
#include "domain/domain.h"
#include "hypercall/handlers.h"
#include "include/xenlite/xenlite.h"
#include "irq/irq.h"
#include "lib/errno.h"
#include "lib/percpu.h"

typedef long (*hypercall_fn)(struct vcpu *v, uint64_t a1, uint64_t a2, uint64_t a3, uint64_t a4,
                             uint64_t a5);

static const hypercall_fn table[HYPERCALL_MAX] = {
    [__HYPERVISOR_platform_op] = do_platform_op,
    [__HYPERVISOR_memory_op] = do_memory_op,
    [__HYPERVISOR_multicall] = do_multicall,
    [__HYPERVISOR_set_timer_op] = do_set_timer_op,
    [__HYPERVISOR_xen_version] = do_xen_version,
    [__HYPERVISOR_console_io] = do_console_io,
    [__HYPERVISOR_grant_table_op] = do_grant_table_op,
    [__HYPERVISOR_vm_assist] = do_vm_assist,
    [__HYPERVISOR_vcpu_op] = do_vcpu_op,
    [__HYPERVISOR_sched_op] = do_sched_op,
    [__HYPERVISOR_event_channel_op] = do_event_channel_op,
    [__HYPERVISOR_physdev_op] = do_physdev_op,
    [__HYPERVISOR_hvm_op] = do_hvm_op,
    [__HYPERVISOR_sysctl] = do_sysctl,
    [__HYPERVISOR_domctl] = do_domctl,
    [__HYPERVISOR_dm_op] = do_dm_op,
    [XENLITE_HYPERCALL] = do_xenlite_op,
};

/* Registers of the arguments: the public interface's arch-x86/xen-x86_64.h and xen-x86_32.h. */
static const uint8_t arg_regs64[5] = { CPU_RDI, CPU_RSI, CPU_RDX, CPU_R10, CPU_R8 };
static const uint8_t arg_regs32[5] = { CPU_RBX, CPU_RCX, CPU_RDX, CPU_RSI, CPU_RDI };

static uint64_t calls[HYPERCALL_MAX], unknown_calls;

uint64_t hypercall_count(unsigned nr, uint64_t *unknown)
{
    *unknown = unknown_calls;
    return nr < HYPERCALL_MAX ? calls[nr] : 0;
}

void hypercall_set_arg(struct vcpu *v, unsigned n, uint64_t val)
{
    if (cpu_mode_bytes(&v->cpu) == 8)
        v->cpu.regs.gpr[arg_regs64[n - 1]] = val;
    else
        v->cpu.regs.gpr[arg_regs32[n - 1]] = (uint32_t)val;
}

bool hypercall_preempt(struct vcpu *v)
{
    (void)v;
    return READ_ONCE(this_cpu()->resched) || irq_pending();
}

long hypercall_call(struct vcpu *v, uint64_t nr, const uint64_t arg[5])
{
    if (nr >= HYPERCALL_MAX || !table[nr]) {
        __atomic_fetch_add(&unknown_calls, 1, __ATOMIC_RELAXED);
        return -ENOSYS;
    }
    calls[nr]++;
    return table[nr](v, arg[0], arg[1], arg[2], arg[3], arg[4]);
}

bool hypercall_dispatch(struct vcpu *v)
{
    uint64_t *gpr = v->cpu.regs.gpr;
    bool wide = cpu_mode_bytes(&v->cpu) == 8;
    const uint8_t *regs = wide ? arg_regs64 : arg_regs32;
    uint64_t arg[5];
    long ret;

    if (cpu_backend->get_cpl(&v->cpu) != 0) {
        gpr[CPU_RAX] = wide ? (uint64_t)-EPERM : (uint32_t)-EPERM;
        return true;
    }
    for (unsigned i = 0; i < 5; i++)
        arg[i] = wide ? gpr[regs[i]] : (uint32_t)gpr[regs[i]];
    ret = hypercall_call(v, wide ? gpr[CPU_RAX] : (uint32_t)gpr[CPU_RAX], arg);
    if (unlikely(READ_ONCE(domain_reap_wanted)))
        domain_reap();
    if (ret == HYPERCALL_RESTART || ret == HYPERCALL_NO_RETURN)
        return false;
    gpr[CPU_RAX] = wide ? (uint64_t)ret : (uint32_t)ret;
    return true;
}
