/* SPDX-License-Identifier: MIT */
/*
 * The rest of the model of hc_sim.h: domains' birth and death and the virtualisation backend, for
 * the tests of domctl. Each says what it was asked for.
 */
#include "hc_sim.h"

#include "cpu/cpuid_edit.h"
#include "cpu/msr.h"
#include "domain/passthrough.h"
#include "hypercall/hypercall.h"
#include "hypercall/xenlite_op.h"
#include "lib/errno.h"
#include "lib/string.h"
#include "mm/heap.h"

#include <xen/hvm/save.h>

struct domain *hc_destroyed;
unsigned hc_destroy_steps;

int domain_create(const struct domain_config *cfg, struct domain **out)
{
    struct domain *d;
    unsigned n = 0;

    domain_list_lock();
    for_each_domain (d)
        n++;
    domain_list_unlock();
    if (n >= HC_MAX_DOMAINS)
        return -ENOSPC;
    d = domain_get_by_id(cfg->domid);
    if (d) {
        domain_put(d);
        return -EEXIST;
    }
    *out = hc_domain(cfg->domid, cfg->max_vcpus, cfg->max_evtchn_ports);
    (*out)->pause_count = 1;
    return 0;
}

uint16_t domain_free_id(void)
{
    struct domain *d;
    uint16_t id = 1;

    domain_list_lock();
    for_each_domain (d)
        if (d->domid == id)
            id++;
    domain_list_unlock();
    return id;
}

int domain_destroy(struct domain *d)
{
    hc_destroyed = d;
    if (hc_destroy_steps) {
        hc_destroy_steps--;
        return -ERESTART;
    }
    return 0;
}

bool iommu_present(void)
{
    return false;
}

int domain_resume(struct domain *d)
{
    return d->is_shut_down ? 0 : -EINVAL;
}

void sched_hold(struct vcpu *v)
{
    v->sched.hold++;
}

void sched_unhold(struct vcpu *v)
{
    v->sched.hold--;
}

void post_sync(struct vcpu *v)
{
    (void)v; /* no unit posts here */
}

int sched_set_weight(struct vcpu *v, uint32_t weight)
{
    if (!weight || weight > FAIR_WEIGHT_MAX)
        return -EINVAL;
    v->sched.fair.weight = weight;
    return 0;
}

/* ---- local APICs: one register; 0xbad is refused ---- */

void vlapic_save(const struct vlapic *l, struct hvm_hw_lapic *hw)
{
    *hw = (struct hvm_hw_lapic){ .apic_base_msr = l->apic_base };
}

void vlapic_save_regs(const struct vlapic *l, struct hvm_hw_lapic_regs *regs)
{
    memset(regs, 0, sizeof(*regs));
    regs->data[0x80] = l->tpr;
}

int vlapic_check(const struct vlapic *l, const struct hvm_hw_lapic *hw)
{
    (void)l;
    return hw->apic_base_msr == 0xbad ? -EINVAL : 0;
}

int vlapic_check_regs(const struct hvm_hw_lapic_regs *regs)
{
    return regs->data[0x80] == 0xba ? -EINVAL : 0;
}

void vlapic_load(struct vlapic *l, const struct hvm_hw_lapic *hw)
{
    l->apic_base = hw->apic_base_msr;
}

void vlapic_load_regs(struct vlapic *l, const struct hvm_hw_lapic_regs *regs)
{
    l->tpr = regs->data[0x80];
}

/* ---- CPU ---- */

static struct {
    struct cpu_segment seg[CPU_NR_SEGS];
    uint64_t cr[5], dr[8], efer, msr;
} cpu;

static void get_segment(const struct cpu_vcpu *c, enum cpu_seg_id id, struct cpu_segment *out)
{
    (void)c;
    *out = cpu.seg[id];
}

static void set_segment(struct cpu_vcpu *c, enum cpu_seg_id id, const struct cpu_segment *in)
{
    (void)c;
    cpu.seg[id] = *in;
}

static uint64_t get_cr(const struct cpu_vcpu *c, unsigned n)
{
    (void)c;
    return cpu.cr[n];
}

static void set_cr(struct cpu_vcpu *c, unsigned n, uint64_t val)
{
    (void)c;
    cpu.cr[n] = val;
}

static uint64_t get_dr(const struct cpu_vcpu *c, unsigned n)
{
    (void)c;
    return cpu.dr[n];
}

static void set_dr(struct cpu_vcpu *c, unsigned n, uint64_t val)
{
    (void)c;
    cpu.dr[n] = val;
}

static uint64_t get_efer(const struct cpu_vcpu *c)
{
    (void)c;
    return cpu.efer;
}

static void set_efer(struct cpu_vcpu *c, uint64_t val)
{
    (void)c;
    cpu.efer = val;
}

static void get_control(const struct cpu_vcpu *c, struct cpu_control *out)
{
    (void)c;
    *out = (struct cpu_control){ .cr0 = cpu.cr[0],
                                 .cr3 = cpu.cr[3],
                                 .cr4 = cpu.cr[4],
                                 .efer = cpu.efer,
                                 .cs_base = cpu.seg[CPU_SEG_CS].base,
                                 .cs_attr = cpu.seg[CPU_SEG_CS].attr };
}

static int get_msr(const struct cpu_vcpu *c, uint32_t msr, uint64_t *val)
{
    (void)c;
    (void)msr;
    *val = cpu.msr;
    return 0;
}

static int set_msr(struct cpu_vcpu *c, uint32_t msr, uint64_t val)
{
    (void)c;
    (void)msr;
    cpu.msr = val;
    return 0;
}

static void set_tsc_offset(struct cpu_vcpu *c, uint64_t offset)
{
    (void)c;
    (void)offset;
}

static const struct cpu_backend backend = {
    .get_segment = get_segment,
    .set_segment = set_segment,
    .get_cr = get_cr,
    .set_cr = set_cr,
    .get_dr = get_dr,
    .set_dr = set_dr,
    .get_efer = get_efer,
    .set_efer = set_efer,
    .get_control = get_control,
    .get_msr = get_msr,
    .set_msr = set_msr,
    .set_tsc_offset = set_tsc_offset,
};
const struct cpu_backend *cpu_backend = &backend;

void hc_set_cpu(struct vcpu *v)
{
    static _Alignas(64) uint8_t fpu[4096];

    v->cpu.cd = &v->domain->cpu;
    v->cpu.fpu = fpu;
}

void cpu_vcpu_reset(struct cpu_vcpu *c)
{
    c->regs.rip = 0xfff0;
}

int mtrr_read(const struct cpu_vcpu *c, uint32_t msr, uint64_t *val)
{
    (void)c;
    *val = msr;
    return 0;
}

/* A machine with features in every word. */
static void read_leaf(uint32_t leaf, uint32_t sub, struct cpuid_leaf *out)
{
    *out = (struct cpuid_leaf){ ~0u, ~0u, ~0u, ~0u };
    (void)sub;
    if (leaf == 0)
        *out = (struct cpuid_leaf){ 0xd, 0x68747541, 0x444d4163, 0x69746e65 };
    if (leaf == CPUID_EXT_BASE)
        *out = (struct cpuid_leaf){ CPUID_EXT_BASE + 0x21, 0x68747541, 0x444d4163, 0x69746e65 };
    if (leaf == CPUID_EXT_BASE + 8)
        out->a = 0x3028;
    if (leaf == 0xd)
        *out = (struct cpuid_leaf){ 256, 576, 0, 0 };
    if (leaf == 7)
        out->a = 2;
}

void cpu_machine_policy(struct cpuid_policy *out)
{
    struct cpuid_config cfg = { .nr_vcpus = 1, .xcr0 = 7, .read = read_leaf };

    cpuid_policy_build(out, &cfg);
}

void hc_set_policy(struct domain *d)
{
    static struct cpuid_policy current[HC_MAX_DOMAINS], max;

    cpu_machine_policy(&max);
    d->cpu.cpuid_max = &max;
    d->cpu.cpuid = &current[d->domid % HC_MAX_DOMAINS];
    *d->cpu.cpuid = max;
}

/* ---- devices: no machine has any here; transactions are what the test says ---- */

struct pt_request hc_pt_request;
struct pt_result hc_pt_result = { .rule = PT_NO_RULE };

long pt_hypercall(struct vcpu *v, const struct pt_request *req, struct pt_result *res)
{
    (void)v;
    hc_pt_request = *req;
    *res = hc_pt_result;
    return 0;
}

bool pt_enter(void)
{
    return true;
}

bool pt_moving(const struct pci_dev *pdev)
{
    (void)pdev;
    return false;
}

void pt_leave(void)
{
}

struct pci_topology *pci_topology(void)
{
    return xzalloc(sizeof(struct pci_topology));
}

unsigned pci_node_of(const struct pci_topology *t, uint32_t sbdf)
{
    (void)t;
    (void)sbdf;
    return PCI_NO_NODE;
}

__attribute__((weak)) int deny_errno(enum deny_rule rule)
{
    (void)rule;
    return EPERM;
}
