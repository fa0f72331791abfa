/* SPDX-License-Identifier: MIT */
/*
 * xenlite_op, scheduling: dedicated CPUs and a vCPU's counters (include/xenlite/sched.h).
 */
#include "include/xenlite/sched.h"

#include "domain/domain.h"
#include "hypercall/handlers.h"
#include "hypercall/xenlite_op.h"
#include "lib/errno.h"
#include "lib/string.h"

static long dedicate(struct domain *d, const struct xenlite_op *op)
{
    struct xenlite_sched_dedicate arg;
    uint64_t cpus[BITS_TO_WORDS(MAX_CPUS)];

    memcpy(&arg, op->args, sizeof(arg));
    _Static_assert(sizeof(cpus) <= sizeof(arg.cpus), "room for all CPUs");
    for (unsigned cpu = MAX_CPUS; cpu < 8 * sizeof(arg.cpus); cpu++)
        if (test_bit(arg.cpus, cpu))
            return -EINVAL;
    memcpy(cpus, arg.cpus, sizeof(cpus));
    return sched_dedicate(d, cpus);
}

static long get_vcpu(const struct domain *d, struct xenlite_op *op)
{
    struct xenlite_sched_vcpu arg;
    const struct vcpu *v;

    memcpy(&arg, op->args, sizeof(arg));
    if (arg.vcpu >= d->max_vcpus || !d->vcpu[arg.vcpu])
        return -ESRCH;
    v = d->vcpu[arg.vcpu];
    arg.cpu = READ_ONCE(v->sched.cpu);
    arg.dedicated = sched_is_dedicated(arg.cpu, d);
    arg.pad = 0;
    arg.runs = READ_ONCE(v->sched.runs);
    arg.interruptions = READ_ONCE(v->sched.interruptions);
    arg.slices = READ_ONCE(v->sched.slices);
    arg.migrations = READ_ONCE(v->sched.migrations);
    memcpy(op->args, &arg, sizeof(arg));
    return 0;
}

long xenlite_sched_op(struct vcpu *v, struct xenlite_op *op, bool *copy_back)
{
    struct domain *d;
    long rc;
    int err;

    (void)copy_back;
    if (op->cmd != XENLITE_SCHED_dedicate && op->cmd != XENLITE_SCHED_get_vcpu)
        return -ENOSYS;
    d = hypercall_target(v, op->domid, &err);
    if (!d)
        return err;
    rc = op->cmd == XENLITE_SCHED_dedicate ? dedicate(d, op) : get_vcpu(d, op);
    domain_put(d);
    return rc;
}
