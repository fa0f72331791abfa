/* SPDX-License-Identifier: MIT */
/*
 * CPUID policies between toolstack and hypervisor: what the machine offers, what a domain has, and
 * setting the latter before it starts. There are no MSRs to choose.
 */
#include "cpu/cpuid_edit.h"
#include "cpu/guest_mem.h"
#include "domain/domain.h"
#include "hypercall/domctl_ops.h"
#include "lib/errno.h"
#include "lib/string.h"
#include "mm/heap.h"

/* Numbers that clients allocate for; MSRs they send back with values of 0. */
#define MAX_MSRS 2u
/* Nobody has a reason to send more. */
#define MAX_SENT_LEAVES 1024u

#define M_PLATFORM_INFO     0xceu
#define M_ARCH_CAPABILITIES 0x10au

struct policy_list {
    struct cpuid_policy policy;
    struct cpuid_entry entry[CPUID_MAX_ENTRIES];
};

/* Writes the policy's entries to the caller. *nr: room, then how many. */
static long put_leaves(struct vcpu *v, struct policy_list *l, uint64_t dst, uint32_t *nr)
{
    unsigned n = cpuid_policy_list(&l->policy, l->entry);

    if (*nr < n)
        return -ENOBUFS;
    for (unsigned i = 0; i < n; i++) {
        const struct cpuid_entry *e = &l->entry[i];
        xen_cpuid_leaf_t out = { .leaf = e->leaf,
                                 .subleaf = e->sub,
                                 .a = e->val.a,
                                 .b = e->val.b,
                                 .c = e->val.c,
                                 .d = e->val.d };

        if (copy_to_guest(v, dst + i * sizeof(out), &out, sizeof(out)))
            return -EFAULT;
    }
    *nr = n;
    return 0;
}

/* ---- the machine's ---- */

long sysctl_get_cpu_policy(struct vcpu *v, struct xen_sysctl_cpu_policy *op)
{
    struct policy_list *l;
    long rc = 0;

    if (op->_rsvd || op->index > XEN_SYSCTL_cpu_policy_hvm_default)
        return -EINVAL;
    if (op->index == XEN_SYSCTL_cpu_policy_pv_max || op->index == XEN_SYSCTL_cpu_policy_pv_default)
        return -EOPNOTSUPP;
    if (!op->leaves.p && !op->msrs.p) {
        op->nr_leaves = CPUID_MAX_ENTRIES;
        op->nr_msrs = MAX_MSRS;
        return 0;
    }
    l = xmalloc(sizeof(*l));
    if (!l)
        return -ENOMEM;
    cpu_machine_policy(&l->policy);
    if (op->leaves.p)
        rc = put_leaves(v, l, (uint64_t)op->leaves.p, &op->nr_leaves);
    else
        op->nr_leaves = CPUID_MAX_ENTRIES;
    op->nr_msrs = op->msrs.p ? 0 : MAX_MSRS;
    xfree(l);
    return rc;
}

long sysctl_get_cpu_featureset(struct vcpu *v, struct xen_sysctl_cpu_featureset *op)
{
    struct cpuid_policy *p;
    uint32_t room = op->nr_features;
    long rc = 0;

    if (op->index > XEN_SYSCTL_cpu_featureset_hvm_max)
        return -EINVAL;
    if (op->index == XEN_SYSCTL_cpu_featureset_pv || op->index == XEN_SYSCTL_cpu_featureset_pv_max)
        return -EOPNOTSUPP;
    op->nr_features = CPUID_FEATURE_WORDS;
    if (!op->features.p)
        return 0;
    p = xmalloc(sizeof(*p));
    if (!p)
        return -ENOMEM;
    cpu_machine_policy(p);
    op->nr_features = MIN(room, CPUID_FEATURE_WORDS);
    for (unsigned i = 0; i < op->nr_features && !rc; i++) {
        uint32_t word = cpuid_feature_word(p, i);

        if (copy_to_guest(v, (uint64_t)op->features.p + i * sizeof(word), &word, sizeof(word)))
            rc = -EFAULT;
    }
    xfree(p);
    if (!rc && room < CPUID_FEATURE_WORDS)
        rc = -ENOBUFS;
    return rc;
}

/* ---- a domain's ---- */

long domctl_get_cpu_policy(struct vcpu *v, struct domain *d, struct xen_domctl_cpu_policy *op)
{
    struct policy_list *l;
    long rc = 0;

    l = xmalloc(sizeof(*l));
    if (!l)
        return -ENOMEM;
    l->policy = *d->cpu.cpuid;
    if (op->leaves.p)
        rc = put_leaves(v, l, (uint64_t)op->leaves.p, &op->nr_leaves);
    else
        op->nr_leaves = CPUID_MAX_ENTRIES;
    op->nr_msrs = op->msrs.p ? 0 : MAX_MSRS;
    xfree(l);
    return rc;
}

static long take_leaves(struct vcpu *v, const struct domain *d, struct xen_domctl_cpu_policy *op,
                        struct cpuid_policy *p)
{
    for (uint32_t i = 0; i < op->nr_leaves; i++) {
        struct cpuid_entry e;
        xen_cpuid_leaf_t in;

        if (copy_from_guest(v, &in, (uint64_t)op->leaves.p + i * sizeof(in), sizeof(in)))
            return -EFAULT;
        e = (struct cpuid_entry){ in.leaf, in.subleaf, { in.a, in.b, in.c, in.d } };
        if (cpuid_policy_set(p, d->cpu.cpuid_max, &e)) {
            op->err_leaf = in.leaf;
            op->err_subleaf = in.subleaf;
            return -EINVAL;
        }
    }
    return 0;
}

/* No feature in them can be turned on. */
static long check_msrs(struct vcpu *v, struct xen_domctl_cpu_policy *op)
{
    for (uint32_t i = 0; i < op->nr_msrs; i++) {
        xen_msr_entry_t in;

        if (copy_from_guest(v, &in, (uint64_t)op->msrs.p + i * sizeof(in), sizeof(in)))
            return -EFAULT;
        if (in.flags || in.val || (in.idx != M_PLATFORM_INFO && in.idx != M_ARCH_CAPABILITIES)) {
            op->err_msr = in.idx;
            return -EINVAL;
        }
    }
    return 0;
}

long domctl_set_cpu_policy(struct vcpu *v, struct domain *d, struct xen_domctl_cpu_policy *op)
{
    struct cpuid_policy *p;
    long rc;

    op->err_leaf = op->err_subleaf = op->err_msr = ~0u;
    if (d == v->domain)
        return -EINVAL;
    if (READ_ONCE(d->started))
        return -EEXIST;
    if (op->nr_leaves > MAX_SENT_LEAVES || op->nr_msrs > MAX_MSRS)
        return -E2BIG;
    p = xmalloc(sizeof(*p));
    if (!p)
        return -ENOMEM;
    *p = *d->cpu.cpuid;
    rc = take_leaves(v, d, op, p);
    if (!rc)
        rc = check_msrs(v, op);
    if (!rc) {
        cpuid_policy_trim(p);
        spin_lock(&d->lock);
        *d->cpu.cpuid = *p;
        spin_unlock(&d->lock);
    }
    xfree(p);
    return rc;
}
