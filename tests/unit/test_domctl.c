/* SPDX-License-Identifier: MIT */
/*
 * domctl's life cycle, CPUID policies and contexts: what is refused, what is stored, and that
 * refusals change nothing.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "cpu/cpuid_edit.h"
#include "hc_sim.h"
#include "hypercall/handlers.h"
#include "hypercall/hypercall.h"
#include "lib/errno.h"
#include "lib/string.h"

#include <xen/domctl.h>
#include <xen/hvm/save.h>
#include <xen/sysctl.h>

#define LIST 0x8000u /* where the tests' lists lie in the control domain */

static struct domain *dom0, *dom1;
static struct vcpu *v0, *v1;

/* Every other step of a destruction is interrupted. */
bool hypercall_preempt(struct vcpu *v)
{
    (void)v;
    return hc_destroy_steps % 2;
}

static int setup(void **state)
{
    (void)state;
    hc_reset();
    hc_destroy_steps = 0;
    dom0 = hc_domain(0, 1, 64);
    dom1 = hc_domain(1, 2, 64);
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

static long domctl(struct vcpu *v, struct xen_domctl *op, uint32_t cmd, domid_t domid)
{
    op->cmd = cmd;
    op->interface_version = XEN_DOMCTL_INTERFACE_VERSION;
    op->domain = domid;
    memcpy(hc_mem(v->domain, HC_ARG), op, sizeof(*op));
    long rc = do_domctl(v, HC_ARG, 0, 0, 0, 0);

    memcpy(op, hc_mem(v->domain, HC_ARG), sizeof(*op));
    return rc;
}

/* ---- creation ---- */

static struct xen_domctl good_create(void)
{
    struct xen_domctl op = { 0 };

    op.u.createdomain = (struct xen_domctl_createdomain){
        .flags = XEN_DOMCTL_CDF_hvm | XEN_DOMCTL_CDF_hap,
        .max_vcpus = 2,
        .max_evtchn_port = 1023,
        .max_grant_frames = -1,
        .max_maptrack_frames = -1,
        .grant_opts = 1,
        .arch.emulation_flags = XEN_X86_EMU_LAPIC,
    };
    return op;
}

static void test_create(void **state)
{
    struct xen_domctl op = good_create();
    struct domain *d;

    (void)state;
    assert_int_equal(domctl(v1, &op, XEN_DOMCTL_createdomain, 0), -EPERM);
    assert_int_equal(domctl(v0, &op, XEN_DOMCTL_createdomain, 0), 0);
    assert_int_equal(op.domain, 2); /* told which */
    d = domain_get_by_id(2);
    assert_non_null(d);
    assert_int_equal(d->pause_count, 1);
    assert_int_equal(d->max_vcpus, 2);
    assert_int_equal(d->evtchn.max_ports, 1024);
    domain_put(d);
    op = good_create();
    assert_int_equal(domctl(v0, &op, XEN_DOMCTL_createdomain, 2), -EEXIST);
    op = good_create();
    assert_int_equal(domctl(v0, &op, XEN_DOMCTL_createdomain, 5), 0);
    assert_int_equal(op.domain, 5);
}

#define REFUSE(change, error)                                                                      \
    do {                                                                                           \
        struct xen_domctl op_ = good_create();                                                     \
        struct xen_domctl_createdomain *c = &op_.u.createdomain;                                   \
        change;                                                                                    \
        assert_int_equal(domctl(v0, &op_, XEN_DOMCTL_createdomain, 0), error);                     \
        assert_null(domain_get_by_id(2));                                                          \
    } while (0)

static void test_create_refused(void **state)
{
    (void)state;
    REFUSE(c->flags = XEN_DOMCTL_CDF_hvm, -EOPNOTSUPP);
    REFUSE(c->flags |= XEN_DOMCTL_CDF_nested_virt, -EOPNOTSUPP);
    REFUSE(c->flags |= XEN_DOMCTL_CDF_vpmu, -EOPNOTSUPP);
    REFUSE(c->flags |= XEN_DOMCTL_CDF_iommu, -EINVAL); /* there is none */
    REFUSE(c->iommu_opts = 1, -EOPNOTSUPP);
    REFUSE(c->vmtrace_size = 4096, -EOPNOTSUPP);
    REFUSE(c->arch.emulation_flags = XEN_X86_EMU_ALL, -EOPNOTSUPP);
    REFUSE(c->arch.emulation_flags = 0, -EOPNOTSUPP);
    REFUSE(c->arch.misc_flags = 1, -EOPNOTSUPP);
    REFUSE(c->cpupool_id = 1, -ENOENT);
    REFUSE(c->grant_opts = 0, -EINVAL);
    REFUSE(c->grant_opts = 0x11, -EINVAL);
    REFUSE(c->max_vcpus = 0, -EINVAL);
    REFUSE(c->max_vcpus = DOMAIN_MAX_VCPUS + 1, -EINVAL);
    REFUSE(c->max_vcpus = ~0u, -EINVAL);
}

/* ---- life ---- */

static void test_life(void **state)
{
    struct xen_domctl op = { 0 };
    uint32_t before;

    (void)state;
    op.u.max_vcpus.max = 3;
    assert_int_equal(domctl(v0, &op, XEN_DOMCTL_max_vcpus, 1), -EINVAL);
    op.u.max_vcpus.max = 2;
    assert_int_equal(domctl(v0, &op, XEN_DOMCTL_max_vcpus, 1), 0);
    op.u.max_mem.max_memkb = 4096 + 3;
    assert_int_equal(domctl(v0, &op, XEN_DOMCTL_max_mem, 1), 0);
    assert_int_equal(dom1->max_pages, 1024);
    assert_int_equal(domctl(v0, &op, XEN_DOMCTL_resumedomain, 1), -EINVAL);
    dom1->is_shut_down = true;
    assert_int_equal(domctl(v0, &op, XEN_DOMCTL_resumedomain, 1), 0);
    assert_int_equal(domctl(v0, &op, XEN_DOMCTL_resumedomain, 0), -EINVAL);
    op.u.sendtrigger.trigger = XEN_DOMCTL_SENDTRIGGER_NMI;
    op.u.sendtrigger.vcpu = 1;
    assert_int_equal(domctl(v0, &op, XEN_DOMCTL_sendtrigger, 1), 0);
    assert_int_equal(hc_log(dom1->vcpu[1])->nmis, 1);
    op.u.sendtrigger.vcpu = 2;
    assert_int_equal(domctl(v0, &op, XEN_DOMCTL_sendtrigger, 1), -ESRCH);
    op.u.sendtrigger.trigger = XEN_DOMCTL_SENDTRIGGER_POWER;
    assert_int_equal(domctl(v0, &op, XEN_DOMCTL_sendtrigger, 1), -ENOSYS);
    memset(&op.u, 0, sizeof(op.u));
    assert_int_equal(domctl(v0, &op, XEN_DOMCTL_settimeoffset, 1), 0);
    op.u.settimeoffset.time_offset_seconds = -3600;
    before = dom1->shared_info->wc_sec;
    assert_int_equal(domctl(v0, &op, XEN_DOMCTL_settimeoffset, 1), 0);
    assert_int_equal(dom1->shared_info->wc_sec, before - 3600);
    wallclock_set(1000000, 0, 0); /* a new date keeps it */
    assert_int_equal(dom1->shared_info->wc_sec, 1000000 - 3600);
    assert_int_equal(dom0->shared_info->wc_sec, 1000000);
}

static void test_pauses(void **state)
{
    struct xen_domctl op = { 0 };

    (void)state;
    assert_int_equal(domctl(v0, &op, XEN_DOMCTL_unpausedomain, 1), -EINVAL);
    assert_false(dom1->started);
    assert_int_equal(domctl(v0, &op, XEN_DOMCTL_pausedomain, 1), 0);
    assert_int_equal(domctl(v0, &op, XEN_DOMCTL_pausedomain, 1), 0);
    assert_int_equal(domctl(v0, &op, XEN_DOMCTL_unpausedomain, 1), 0);
    assert_int_equal(domctl(v0, &op, XEN_DOMCTL_unpausedomain, 1), 0);
    assert_int_equal(domctl(v0, &op, XEN_DOMCTL_unpausedomain, 1), -EINVAL);
    assert_true(dom1->started);
}

static void test_destroy(void **state)
{
    struct xen_domctl op = { 0 };
    unsigned calls = 1;

    (void)state;
    assert_int_equal(domctl(v0, &op, XEN_DOMCTL_destroydomain, 0), -EINVAL);
    assert_int_equal(domctl(v0, &op, XEN_DOMCTL_destroydomain, 7), -ESRCH);
    hc_destroy_steps = 9;
    while (domctl(v0, &op, XEN_DOMCTL_destroydomain, 1) == HYPERCALL_RESTART)
        calls++;
    assert_true(calls > 3);
    assert_ptr_equal(hc_destroyed, dom1);
    assert_int_equal(dom1->refs, 1); /* none was lost on the way */
}

static void test_weight(void **state)
{
    struct xen_domctl op = { 0 };

    (void)state;
    op.u.scheduler_op.sched_id = XEN_SCHEDULER_CREDIT;
    op.u.scheduler_op.cmd = XEN_DOMCTL_SCHEDOP_putinfo;
    op.u.scheduler_op.u.credit.weight = 512;
    assert_int_equal(domctl(v0, &op, XEN_DOMCTL_scheduler_op, 1), 0);
    assert_int_equal(dom1->vcpu[1]->sched.fair.weight, 512);
    op.u.scheduler_op.u.credit.weight = 0;
    assert_int_equal(domctl(v0, &op, XEN_DOMCTL_scheduler_op, 1), -EINVAL);
    op.u.scheduler_op.u.credit.cap = 50;
    assert_int_equal(domctl(v0, &op, XEN_DOMCTL_scheduler_op, 1), -EOPNOTSUPP);
    op.u.scheduler_op.sched_id = XEN_SCHEDULER_CREDIT2;
    op.u.scheduler_op.cmd = XEN_DOMCTL_SCHEDOP_getinfo;
    assert_int_equal(domctl(v0, &op, XEN_DOMCTL_scheduler_op, 1), 0);
    assert_int_equal(op.u.scheduler_op.u.credit2.weight, 512);
    op.u.scheduler_op.sched_id = XEN_SCHEDULER_RTDS;
    assert_int_equal(domctl(v0, &op, XEN_DOMCTL_scheduler_op, 1), -EINVAL);
}

/* ---- policies ---- */

static long get_policy(struct xen_domctl *op, uint32_t room)
{
    memset(op, 0, sizeof(*op));
    op->u.cpu_policy.nr_leaves = room;
    op->u.cpu_policy.leaves.p = (void *)(uintptr_t)LIST;
    return domctl(v0, op, XEN_DOMCTL_get_cpu_policy, 1);
}

static long set_leaf(struct xen_domctl *op, const xen_cpuid_leaf_t *leaf)
{
    memset(op, 0, sizeof(*op));
    op->u.cpu_policy.nr_leaves = 1;
    op->u.cpu_policy.leaves.p = (void *)(uintptr_t)LIST;
    memcpy(hc_mem(dom0, LIST), leaf, sizeof(*leaf));
    return domctl(v0, op, XEN_DOMCTL_set_cpu_policy, 1);
}

static void test_policy_round_trip(void **state)
{
    struct cpuid_policy before = *dom1->cpu.cpuid;
    struct xen_domctl op;
    uint32_t n;

    (void)state;
    assert_int_equal(get_policy(&op, 3), -ENOBUFS);
    assert_int_equal(get_policy(&op, CPUID_MAX_ENTRIES), 0);
    n = op.u.cpu_policy.nr_leaves;
    assert_true(n > 40 && n < CPUID_MAX_ENTRIES);
    memset(&op, 0, sizeof(op));
    op.u.cpu_policy.nr_leaves = n;
    op.u.cpu_policy.leaves.p = (void *)(uintptr_t)LIST;
    assert_int_equal(domctl(v0, &op, XEN_DOMCTL_set_cpu_policy, 1), 0);
    assert_memory_equal(&before, dom1->cpu.cpuid, sizeof(before));
}

static void test_policy_features(void **state)
{
    struct cpuid_policy *p = dom1->cpu.cpuid, before = *p;
    xen_cpuid_leaf_t leaf = { .leaf = 1, .subleaf = XEN_CPUID_NO_SUBLEAF };
    struct xen_domctl op;

    (void)state;
    /* VMX is the machine's, and not virtualised. */
    leaf.c = 1u << 5;
    assert_int_equal(set_leaf(&op, &leaf), -EINVAL);
    assert_int_equal(op.u.cpu_policy.err_leaf, 1);
    assert_int_equal(op.u.cpu_policy.err_subleaf, XEN_CPUID_NO_SUBLEAF);
    assert_memory_equal(&before, p, sizeof(before));
    /* Without AVX its state and what builds on it go. */
    leaf.c = before.basic[1].c & ~(1u << 28);
    leaf.d = before.basic[1].d;
    assert_true(p->xcr0 & 4);
    assert_int_equal(set_leaf(&op, &leaf), 0);
    assert_int_equal(p->xcr0 & 4, 0);
    assert_int_equal(p->basic[1].c & 1u << 28, 0);
    assert_int_equal(p->leaf7[0].b & 1u << 5, 0); /* AVX2 */
    assert_int_equal(p->xstate[2].a, 0);
    assert_true(p->basic[1].c & 1u << 31); /* there is a hypervisor, whatever a tool says */
    /* And back, as long as it has not started. */
    leaf.c = before.basic[1].c;
    assert_int_equal(set_leaf(&op, &leaf), 0);
    dom1->started = true;
    assert_int_equal(set_leaf(&op, &leaf), -EEXIST);
}

/* Components 0 to 2 and 5 to 7, as with AVX-512: the gap is listed, as the libraries list it back into the same room. */
static void test_policy_gaps(void **state)
{
    static struct cpuid_entry list[CPUID_MAX_ENTRIES];
    struct cpuid_policy p = *dom1->cpu.cpuid;
    unsigned subs = 0, n;

    (void)state;
    p.max_basic = 0xd;
    p.xcr0 = 0xe7;
    n = cpuid_policy_list(&p, list);
    for (unsigned i = 0; i < n; i++)
        if (list[i].leaf == 0xd)
            assert_int_equal(list[i].sub, subs++);
    assert_int_equal(subs, 8);
}

static void test_policy_hostile(void **state)
{
    struct cpuid_policy before = *dom1->cpu.cpuid;
    xen_cpuid_leaf_t leaf = { .leaf = 0, .subleaf = XEN_CPUID_NO_SUBLEAF, .a = 0xd, .b = 1 };
    struct xen_domctl op;
    xen_msr_entry_t msr = { .idx = 0xce, .val = 1ULL << 31 };

    (void)state;
    assert_int_equal(set_leaf(&op, &leaf), -EINVAL); /* another vendor */
    leaf.b = before.basic[0].b;
    leaf.c = before.basic[0].c;
    leaf.d = before.basic[0].d;
    leaf.a = before.max_basic + 1;
    assert_int_equal(set_leaf(&op, &leaf), -EINVAL);
    leaf.a = ~0u;
    assert_int_equal(set_leaf(&op, &leaf), -EINVAL);
    memset(&op, 0, sizeof(op));
    op.u.cpu_policy.nr_leaves = ~0u;
    assert_int_equal(domctl(v0, &op, XEN_DOMCTL_set_cpu_policy, 1), -E2BIG);
    op.u.cpu_policy.nr_leaves = 1;
    op.u.cpu_policy.leaves.p = (void *)~0xfffUL;
    assert_int_equal(domctl(v0, &op, XEN_DOMCTL_set_cpu_policy, 1), -EFAULT);
    memset(&op, 0, sizeof(op));
    op.u.cpu_policy.nr_msrs = 1;
    op.u.cpu_policy.msrs.p = (void *)(uintptr_t)LIST;
    memcpy(hc_mem(dom0, LIST), &msr, sizeof(msr));
    assert_int_equal(domctl(v0, &op, XEN_DOMCTL_set_cpu_policy, 1), -EINVAL);
    assert_int_equal(op.u.cpu_policy.err_msr, 0xce);
    assert_memory_equal(&before, dom1->cpu.cpuid, sizeof(before));
    /* Leaves by the thousand with random contents: none gets a feature that max does not have. */
    srand(1);
    for (unsigned i = 0; i < 20000; i++) {
        uint32_t bits = (uint32_t)rand() * 2u ^ (uint32_t)rand();

        leaf = (xen_cpuid_leaf_t){ (uint32_t)rand() % 40 + (rand() % 2 ? CPUID_EXT_BASE : 0),
                                   rand() % 2 ? XEN_CPUID_NO_SUBLEAF : (uint32_t)rand() % 80,
                                   bits,
                                   bits * 3,
                                   bits * 5,
                                   bits * 7 };
        set_leaf(&op, &leaf);
        for (unsigned w = 0; w < CPUID_FEATURE_WORDS; w++)
            assert_int_equal(cpuid_feature_word(dom1->cpu.cpuid, w) &
                                 ~cpuid_feature_word(dom1->cpu.cpuid_max, w),
                             0);
    }
}

static long run_sysctl(struct xen_sysctl *op, uint32_t cmd)
{
    long rc;

    op->cmd = cmd;
    op->interface_version = XEN_SYSCTL_INTERFACE_VERSION;
    memcpy(hc_mem(dom0, HC_ARG), op, sizeof(*op));
    rc = do_sysctl(v0, HC_ARG, 0, 0, 0, 0);
    memcpy(op, hc_mem(dom0, HC_ARG), sizeof(*op));
    return rc;
}

static void test_machine_policy(void **state)
{
    struct xen_sysctl op = { 0 };
    uint32_t *words = hc_mem(dom0, LIST);

    (void)state;
    op.u.cpu_policy.index = XEN_SYSCTL_cpu_policy_hvm_default;
    assert_int_equal(run_sysctl(&op, XEN_SYSCTL_get_cpu_policy), 0);
    assert_int_equal(op.u.cpu_policy.nr_leaves, CPUID_MAX_ENTRIES);
    op.u.cpu_policy.leaves.p = (void *)(uintptr_t)LIST;
    assert_int_equal(run_sysctl(&op, XEN_SYSCTL_get_cpu_policy), 0);
    assert_true(op.u.cpu_policy.nr_leaves > 40);
    op.u.cpu_policy.index = 6;
    assert_int_equal(run_sysctl(&op, XEN_SYSCTL_get_cpu_policy), -EINVAL);
    op.u.cpu_policy.index = XEN_SYSCTL_cpu_policy_pv_max;
    assert_int_equal(run_sysctl(&op, XEN_SYSCTL_get_cpu_policy), -EOPNOTSUPP);
    memset(&op, 0, sizeof(op));
    op.u.cpu_featureset.index = XEN_SYSCTL_cpu_featureset_host;
    op.u.cpu_featureset.nr_features = 64;
    op.u.cpu_featureset.features.p = (void *)(uintptr_t)LIST;
    assert_int_equal(run_sysctl(&op, XEN_SYSCTL_get_cpu_featureset), 0);
    assert_int_equal(op.u.cpu_featureset.nr_features, CPUID_FEATURE_WORDS);
    assert_int_equal(words[1] & 1u << 5, 0);
    assert_true(words[0] & 1);
}

/* ---- contexts: what the stream's form can get wrong; contents are the machine tests' ---- */

static void test_context_form(void **state)
{
    struct hvm_save_descriptor *d = hc_mem(dom0, LIST);
    struct hvm_save_header *h = (void *)(d + 1);
    struct xen_domctl op = { 0 };

    (void)state;
    assert_int_equal(domctl(v0, &op, XEN_DOMCTL_gethvmcontext, 1), 0);
    assert_true(op.u.hvmcontext.size > 2 * sizeof(struct hvm_hw_cpu));
    assert_int_equal(domctl(v0, &op, XEN_DOMCTL_gethvmcontext, 0), -EINVAL);
    op.u.hvmcontext.buffer.p = (void *)(uintptr_t)LIST;
    op.u.hvmcontext.size = 100;
    assert_int_equal(domctl(v0, &op, XEN_DOMCTL_gethvmcontext, 1), -ENOSPC);
    /* nothing, a half descriptor, no header, and a header alone */
    op.u.hvmcontext.size = 0;
    assert_int_equal(domctl(v0, &op, XEN_DOMCTL_sethvmcontext, 1), -ENODATA);
    op.u.hvmcontext.size = 7;
    assert_int_equal(domctl(v0, &op, XEN_DOMCTL_sethvmcontext, 1), -ENODATA);
    op.u.hvmcontext.size = 4096;
    *d = (struct hvm_save_descriptor){ HVM_SAVE_CODE(MTRR), 0, sizeof(struct hvm_hw_mtrr) };
    assert_int_equal(domctl(v0, &op, XEN_DOMCTL_sethvmcontext, 1), -EINVAL);
    *d = (struct hvm_save_descriptor){ HVM_SAVE_CODE(HEADER), 0, sizeof(*h) };
    *h = (struct hvm_save_header){ .magic = HVM_FILE_MAGIC, .version = HVM_FILE_VERSION };
    memset(h + 1, 0, 8); /* END */
    assert_int_equal(domctl(v0, &op, XEN_DOMCTL_sethvmcontext, 1), 0);
    *(uint64_t *)(void *)(h + 1) = 0xffff00000005ULL; /* an unknown kind */
    assert_int_equal(domctl(v0, &op, XEN_DOMCTL_sethvmcontext, 1), -EINVAL);
    op.u.hvmcontext.size = ~0u;
    assert_int_equal(domctl(v0, &op, XEN_DOMCTL_sethvmcontext, 1), -EINVAL);
    dom1->dying = true;
    assert_int_equal(domctl(v0, &op, XEN_DOMCTL_sethvmcontext, 1), -ESRCH);
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(dom1->vcpu[i]->sched.hold, 0);
}

/* ---- and its contents ---- */

struct stream {
    struct hvm_save_descriptor header_d;
    struct hvm_save_header header;
    struct hvm_save_descriptor cpu_d;
    struct hvm_hw_cpu cpu;
    struct hvm_save_descriptor end_d;
};

static struct stream good_stream(void)
{
    struct stream s = { 0 };

    s.header_d = (struct hvm_save_descriptor){ HVM_SAVE_CODE(HEADER), 0, sizeof(s.header) };
    s.header.magic = HVM_FILE_MAGIC;
    s.header.version = HVM_FILE_VERSION;
    s.cpu_d = (struct hvm_save_descriptor){ HVM_SAVE_CODE(CPU), 1, sizeof(s.cpu) };
    s.cpu.cr0 = 0x80000011;
    s.cpu.cr4 = 0x20;
    s.cpu.msr_efer = 0x500;
    s.cpu.cr3 = 0x1000;
    s.cpu.rip = 0x100000;
    s.cpu.cs_arbytes = 0xa9b;
    s.cpu.rbx = 0x1234;
    return s;
}

static long set_stream(const struct stream *s)
{
    struct xen_domctl op = { 0 };

    memcpy(hc_mem(dom0, LIST), s, sizeof(*s));
    op.u.hvmcontext.size = sizeof(*s);
    op.u.hvmcontext.buffer.p = (void *)(uintptr_t)LIST;
    return domctl(v0, &op, XEN_DOMCTL_sethvmcontext, 1);
}

static void test_context_contents(void **state)
{
    struct vcpu *t = dom1->vcpu[1];
    struct xen_domctl op = { 0 };
    struct hvm_hw_cpu *out = hc_mem(dom0, LIST);
    struct stream s;

    (void)state;
    t->initialised = false;
    t->wait_for_sipi = true;
#define BAD(change)                                                                                \
    do {                                                                                           \
        s = good_stream();                                                                         \
        change;                                                                                    \
        assert_int_equal(set_stream(&s), -EINVAL);                                                 \
        assert_false(t->initialised);                                                              \
        assert_true(t->wait_for_sipi);                                                             \
    } while (0)
    BAD(s.cpu_d.instance = 2);
    BAD(s.cpu.cr4 = 0);             /* long mode without PAE */
    BAD(s.cpu.msr_efer = 0x100);    /* paging and LME make LMA */
    BAD(s.cpu.msr_efer |= 1 << 12); /* SVME */
    BAD(s.cpu.cr4 |= 1 << 13);      /* VMXE */
    BAD(s.cpu.cs_arbytes = 0xe9b);  /* L and D */
    BAD(s.cpu.rip = 1ULL << 50);
    BAD(s.cpu.gdtr_base = 1ULL << 63);
    BAD(s.cpu.cr3 = 1ULL << 58);
    BAD(s.cpu.rflags = 1 << 17); /* virtual 8086 mode in long mode */
    BAD(s.cpu.dr6 = 1ULL << 32);
    BAD(s.cpu.pad0 = 1);
    BAD((s.cpu.flags = 1, memset(s.cpu.fpu_regs, 0xff, 64)));
    BAD((s.cpu.pending_valid = 1, s.cpu.pending_type = 1));
    BAD((s.cpu.pending_valid = 1, s.cpu.pending_type = 3, s.cpu.pending_vector = 32));
    BAD((s.cpu.pending_valid = 1, s.cpu.pending_type = 2, s.cpu.pending_vector = 3));
#undef BAD
    s = good_stream();
    assert_int_equal(set_stream(&s), 0);
    assert_true(t->initialised);
    assert_false(t->wait_for_sipi);
    assert_int_equal(t->cpu.regs.gpr[CPU_RBX], 0x1234);
    assert_int_equal(t->cpu.regs.rflags, 2);
    op.u.hvmcontext_partial.type = HVM_SAVE_CODE(CPU);
    op.u.hvmcontext_partial.instance = 1;
    op.u.hvmcontext_partial.bufsz = sizeof(*out);
    op.u.hvmcontext_partial.buffer.p = (void *)(uintptr_t)LIST;
    assert_int_equal(domctl(v0, &op, XEN_DOMCTL_gethvmcontext_partial, 1), 0);
    assert_int_equal(out->rip, s.cpu.rip);
    assert_int_equal(out->cr0, s.cpu.cr0);
    assert_int_equal(out->msr_efer, s.cpu.msr_efer);
    assert_int_equal(out->cs_arbytes, s.cpu.cs_arbytes);
}

/* Whatever was read can be set again: local APICs too. */
static void test_context_local_apic(void **state)
{
    struct vcpu *t = dom1->vcpu[1];
    struct xen_domctl op = { 0 };
    struct hvm_hw_lapic_regs *out = hc_mem(dom0, LIST);
    struct {
        struct hvm_save_descriptor header_d;
        struct hvm_save_header header;
        struct hvm_save_descriptor lapic_d;
        struct hvm_hw_lapic lapic;
        struct hvm_save_descriptor regs_d;
        struct hvm_hw_lapic_regs regs;
        struct hvm_save_descriptor end_d;
    } s = { 0 };

    (void)state;
    s.header_d = (struct hvm_save_descriptor){ HVM_SAVE_CODE(HEADER), 0, sizeof(s.header) };
    s.header.magic = HVM_FILE_MAGIC;
    s.header.version = HVM_FILE_VERSION;
    s.lapic_d = (struct hvm_save_descriptor){ HVM_SAVE_CODE(LAPIC), 1, sizeof(s.lapic) };
    s.regs_d = (struct hvm_save_descriptor){ HVM_SAVE_CODE(LAPIC_REGS), 1, sizeof(s.regs) };
    s.lapic.apic_base_msr = 0x77;
    s.regs.data[0x80] = 0xba;
    memcpy(hc_mem(dom0, LIST), &s, sizeof(s));
    op.u.hvmcontext.size = sizeof(s);
    op.u.hvmcontext.buffer.p = (void *)(uintptr_t)LIST;
    assert_int_equal(domctl(v0, &op, XEN_DOMCTL_sethvmcontext, 1), -EINVAL);
    assert_int_not_equal(t->vlapic.apic_base, 0x77); /* nothing of it was applied */
    s.regs.data[0x80] = 0x50;
    memcpy(hc_mem(dom0, LIST), &s, sizeof(s));
    assert_int_equal(domctl(v0, &op, XEN_DOMCTL_sethvmcontext, 1), 0);
    assert_int_equal(t->vlapic.apic_base, 0x77);
    memset(&op, 0, sizeof(op));
    op.u.hvmcontext_partial.type = HVM_SAVE_CODE(LAPIC_REGS);
    op.u.hvmcontext_partial.instance = 1;
    op.u.hvmcontext_partial.bufsz = sizeof(*out);
    op.u.hvmcontext_partial.buffer.p = (void *)(uintptr_t)LIST;
    assert_int_equal(domctl(v0, &op, XEN_DOMCTL_gethvmcontext_partial, 1), 0);
    assert_int_equal(out->data[0x80], 0x50);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_create),
        T(test_create_refused),
        T(test_life),
        T(test_pauses),
        T(test_destroy),
        T(test_weight),
        T(test_policy_round_trip),
        T(test_policy_features),
        T(test_policy_gaps),
        T(test_policy_hostile),
        T(test_machine_policy),
        T(test_context_form),
        T(test_context_contents),
        T(test_context_local_apic),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
