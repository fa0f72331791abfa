/* SPDX-License-Identifier: MIT */
/*
 * multicall: several hypercalls for one exit.
 */
#include "cpu/guest_mem.h"
#include "domain/domain.h"
#include "hypercall/handlers.h"
#include "hypercall/hypercall.h"
#include "lib/errno.h"

/* Entries of one call before it restarts, so that interrupts get their turn. */
#define MULTICALL_CHUNK 32u

static const uint8_t arg_regs[5] = { CPU_RDI, CPU_RSI, CPU_RDX, CPU_R10, CPU_R8 };

/*
 * A handler that wants to restart changes the caller's argument registers. Here those belong to the
 * multicall: let it have them, and carry its progress into the entry in the guest's memory.
 */
static long run_entry(struct vcpu *v, struct multicall_entry *e)
{
    uint64_t *gpr = v->cpu.regs.gpr;
    uint64_t saved[5], arg[5];
    long ret;

    for (unsigned i = 0; i < 5; i++) {
        saved[i] = gpr[arg_regs[i]];
        gpr[arg_regs[i]] = arg[i] = e->args[i];
    }
    ret = hypercall_call(v, e->op, arg);
    for (unsigned i = 0; i < 5; i++) {
        e->args[i] = gpr[arg_regs[i]];
        gpr[arg_regs[i]] = saved[i];
    }
    return ret;
}

long do_multicall(struct vcpu *v, uint64_t gva, uint64_t nr, uint64_t a3, uint64_t a4, uint64_t a5)
{
    struct multicall_entry e;
    long ret;

    (void)a3;
    (void)a4;
    (void)a5;
    if (cpu_mode_bytes(&v->cpu) != 8)
        return -ENOSYS;
    nr = (uint32_t)nr;
    for (unsigned i = 0; nr; i++, nr--, gva += sizeof(e)) {
        if (i == MULTICALL_CHUNK || (i && hypercall_preempt(v)))
            goto restart;
        if (copy_from_guest(v, &e, gva, sizeof(e)))
            return -EFAULT;
        ret = e.op == __HYPERVISOR_multicall ? -EINVAL : run_entry(v, &e);
        if (ret == HYPERCALL_NO_RETURN)
            return ret;
        if (ret == HYPERCALL_RESTART) {
            if (copy_to_guest(v, gva + offsetof(struct multicall_entry, args), e.args,
                              sizeof(e.args)))
                return -EFAULT;
            goto restart;
        }
        e.result = (uint64_t)ret;
        if (copy_to_guest(v, gva + offsetof(struct multicall_entry, result), &e.result,
                          sizeof(e.result)))
            return -EFAULT;
    }
    return 0;

restart:
    hypercall_set_arg(v, 1, gva);
    hypercall_set_arg(v, 2, nr);
    return HYPERCALL_RESTART;
}
