/* SPDX-License-Identifier: MIT */
/*
 * What CPUID tells a guest: a policy computed once a domain, so that the exit is a look-up. Pure data: built from a
 * function that reads the machine's leaves, so tests build policies for machines that they make up.
 */
#ifndef XL_CPU_CPUID_H
#define XL_CPU_CPUID_H

#include "lib/types.h"

struct cpuid_leaf {
    uint32_t a, b, c, d;
};

#define CPUID_NR_BASIC 0x20u
#define CPUID_NR_EXT 0x22u
#define CPUID_NR_XEN 6u
#define CPUID_NR_CACHE 8u   /* leaf 4 */
#define CPUID_NR_LEAF7 3u
#define CPUID_NR_XSTATE 20u /* leaf d */

/* The leaf whose answer depends on XCR0. */
#define CPUID_XSTATE 0xdu
#define CPUID_XEN_BASE 0x40000000u
#define CPUID_EXT_BASE 0x80000000u
/* MSR through which a guest asks for its hypercall page. */
#define MSR_XEN_HYPERCALL 0x40000000u

struct cpuid_policy {
    uint32_t max_basic, max_ext;
    struct cpuid_leaf basic[CPUID_NR_BASIC];   /* sub-leaf 0 */
    struct cpuid_leaf ext[CPUID_NR_EXT];
    struct cpuid_leaf xen[CPUID_NR_XEN];
    struct cpuid_leaf xen_tsc[3];              /* Xen leaf 3 */
    struct cpuid_leaf cache[CPUID_NR_CACHE];
    struct cpuid_leaf leaf7[CPUID_NR_LEAF7];
    struct cpuid_leaf xstate[CPUID_NR_XSTATE];
    uint64_t xcr0;                             /* components that the guest may turn on */
    uint16_t nr_vcpus;
    bool leaf4;                                /* caches and cores are in leaf 4, not in 80000005 to 80000008 */
};

struct cpuid_config {
    uint16_t domid;
    unsigned nr_vcpus;
    unsigned addr_bits;    /* guest-physical width; 0: the machine's */
    uint32_t tsc_khz;      /* 0: unknown */
    uint64_t xcr0;         /* components whose state is switched */
    bool iommu;            /* grants may be used for DMA */
    void (*read)(uint32_t leaf, uint32_t sub, struct cpuid_leaf *out); /* the machine's CPUID */
};

/* What of a vCPU shows in CPUID. */
struct cpuid_vcpu {
    uint32_t id, apic_id;
    uint64_t cr4, xcr0;
};

void cpuid_policy_build(struct cpuid_policy *p, const struct cpuid_config *cfg);
/* After features were taken away: the extended state that goes with them, and what is useless without it, goes too. */
void cpuid_policy_trim(struct cpuid_policy *p);

/* The answer to CPUID with eax = leaf, ecx = sub. */
void cpuid_lookup(const struct cpuid_policy *p, const struct cpuid_vcpu *v, uint32_t leaf,
                  uint32_t sub, struct cpuid_leaf *out);

/*
 * Leaves whose answer does not depend on the vCPU or on ecx: the entry itself, else NULL. The exit's fast path; leaves
 * out of range are NULL too.
 */
const struct cpuid_leaf *cpuid_static(const struct cpuid_policy *p, uint32_t leaf);

/* Leaf 1 EAX: family, model, stepping. */
static inline uint32_t cpuid_signature(const struct cpuid_policy *p)
{
    return p->basic[1].a;
}

/* Feature questions of the rest of cpu/. */
static inline bool cpuid_has_xsave(const struct cpuid_policy *p)
{
    return p->basic[1].c & BIT(26);
}

static inline bool cpuid_has_tsc_aux(const struct cpuid_policy *p)
{
    return (p->ext[1].d & BIT(27)) || (p->leaf7[0].c & BIT(22));
}

#endif
