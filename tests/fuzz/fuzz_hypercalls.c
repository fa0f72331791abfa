/* SPDX-License-Identifier: MIT */
/*
 * FUZZ_SOURCES: tests/unit/hc_sim.c tests/unit/sim.c xen-lite/hypercall/guest_page.c
 * FUZZ_SOURCES: xen-lite/hypercall/target.c xen-lite/hypercall/evtchn.c
 * FUZZ_SOURCES: xen-lite/hypercall/evtchn_op.c xen-lite/hypercall/evtchn_fifo.c
 * FUZZ_SOURCES: xen-lite/hypercall/vtime.c xen-lite/hypercall/vcpu_op.c
 * FUZZ_SOURCES: xen-lite/hypercall/sched_op.c xen-lite/hypercall/hvm_op.c
 * FUZZ_SOURCES: xen-lite/hypercall/xen_version.c xen-lite/hypercall/console_io.c
 * FUZZ_SOURCES: xen-lite/hypercall/multicall.c xen-lite/hypercall/physdev_op.c
 * FUZZ_SOURCES: xen-lite/hypercall/platform_op.c xen-lite/hypercall/dominfo.c
 * FUZZ_SOURCES: xen-lite/hypercall/sysctl.c xen-lite/hypercall/xenlite_op.c xen-lite/hypercall/xenlite_sched.c xen-lite/hypercall/domctl.c
 * FUZZ_SOURCES: xen-lite/hypercall/pt_irq.c xen-lite/hypercall/dm_op.c
 * FUZZ_SOURCES: xen-lite/hypercall/domctl_life.c xen-lite/hypercall/domctl_context.c
 * FUZZ_SOURCES: xen-lite/hypercall/domctl_policy.c xen-lite/hypercall/domctl_pci.c tests/unit/hc_life.c
 * FUZZ_SOURCES: xen-lite/hypercall/debug_keys.c
 * FUZZ_SOURCES: xen-lite/cpu/context.c xen-lite/cpu/cpuid.c xen-lite/cpu/cpuid_edit.c
 *
 * Hypercalls with arbitrary arguments from two domains, over guest memory that changes between
 * the calls. Nothing may crash, and when the domains die nothing may be left pinned or referenced.
 */
#include "hc_sim.h"
#include "hypercall/handlers.h"
#include "hypercall/hypercall.h"
#include "include/xenlite/xenlite.h"
#include "lib/errno.h"
#include "lib/string.h"

#include <xen/platform.h>
#include <xen/sysctl.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Argument bytes of one call in the input. */
#define FUZZ_ARG 40u
#define RESTARTS 64u

struct fuzz_call {
    uint8_t handler, cmd;
    uint8_t who;      /* bit 0: domain, bit 1: vCPU */
    uint8_t scribble; /* != 0: a word of shared pages changes first */
    uint16_t where;
    uint16_t small; /* a second argument */
    uint8_t arg[FUZZ_ARG];
};

static const struct {
    hc_handler fn;
    uint32_t version; /* the argument begins with number and version */
    bool id_first;    /* (number, id, pointer) */
} handlers[] = {
    { do_event_channel_op, 0, false },
    { do_event_channel_op, 0, false }, /* twice: it has the most state */
    { do_vcpu_op, 0, true },
    { do_sched_op, 0, false },
    { do_hvm_op, 0, false },
    { do_xen_version, 0, false },
    { do_console_io, 0, true },
    { do_physdev_op, 0, false },
    { do_platform_op, XENPF_INTERFACE_VERSION, false },
    { do_sysctl, XEN_SYSCTL_INTERFACE_VERSION, false },
    { do_domctl, XEN_DOMCTL_INTERFACE_VERSION, false },
    { do_xenlite_op, XENLITE_INTERFACE_VERSION, false },
    { do_vm_assist, 0, true },
    { do_set_timer_op, 0, true },
};

/* The pages that event channels and areas are likely to be in are the first 8 of the domain. */
static void scribble(struct domain *d, const struct fuzz_call *c)
{
    uint32_t value = (uint32_t)c->scribble * 0x01010101u ^ c->small;

    memcpy(hc_mem(d, c->where % (8 * PAGE_SIZE - 4)), &value, sizeof(value));
    ((uint8_t *)d->shared_info)[c->where % sizeof(struct shared_info)] = c->scribble;
}

static void one_call(const struct fuzz_call *c)
{
    unsigned h = c->handler % ARRAY_SIZE(handlers);
    struct domain *d = domain_get_by_id(c->who & 1);
    struct vcpu *v = d->vcpu[c->who >> 1 & 1];
    uint8_t *arg = hc_mem(d, HC_ARG);
    uint32_t head[2] = { c->cmd, handlers[h].version };
    long rc = HYPERCALL_RESTART;

    domain_put(d);
    if (c->scribble)
        scribble(d, c);
    memcpy(arg, c->arg, sizeof(c->arg));
    if (handlers[h].version)
        memcpy(arg, head, sizeof(head));
    v->cpu.regs.gpr[CPU_R10] = 0;
    for (unsigned i = 0; i < RESTARTS && rc == HYPERCALL_RESTART; i++) {
        if (handlers[h].version)
            rc = handlers[h].fn(v, HC_ARG, 0, 0, 0, 0);
        else if (handlers[h].id_first)
            rc = handlers[h].fn(v, c->cmd, c->small, HC_ARG, 0, 0);
        else
            rc = handlers[h].fn(v, c->cmd, HC_ARG, 0, v->cpu.regs.gpr[CPU_R10], 0);
    }
    hc_advance(c->small);
    vtime_runstate_change(v, c->small % 4);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_call c;

    hc_reset();
    wallclock_init();
    hc_domain(0, 2, 4096);
    hc_domain(1, 2, 1024);
    for (; size >= sizeof(c); data += sizeof(c), size -= sizeof(c)) {
        memcpy(&c, data, sizeof(c));
        one_call(&c);
    }
    hc_reset();
    return 0;
}
