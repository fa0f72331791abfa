/* SPDX-License-Identifier: MIT */
/*
 * The CPUID policy: masks of what guests may see, applied to the machine's leaves, and the few bits that follow the
 * vCPU. A bit that is not listed here is hidden, because somebody has to have thought about the state behind it.
 */
#include "cpu/cpuid.h"

#include "lib/string.h"

#define XEN_VERSION 0x00040011u /* 4.17, what the ABI's headers are of */

/* Leaf 1 ECX (SDM vol. 2, CPUID, table 3-10): SSE3, PCLMUL, SSSE3, FMA, CX16, PCID, SSE4.1, SSE4.2, MOVBE, POPCNT, AES,
 * XSAVE, AVX, F16C, RDRAND. */
#define LEAF1_C                                                                                    \
    (BIT(0) | BIT(1) | BIT(9) | BIT(12) | BIT(13) | BIT(17) | BIT(19) | BIT(20) | BIT(22) |        \
     BIT(23) | BIT(25) | BIT(26) | BIT(28) | BIT(29) | BIT(30))
#define LEAF1_C_X2APIC BIT(21)
#define LEAF1_C_XSAVE BIT(26)
#define LEAF1_C_OSXSAVE BIT(27)
#define LEAF1_C_AVX_GROUP (BIT(12) | BIT(28) | BIT(29)) /* useless without XSAVE */
#define LEAF1_C_HYPERVISOR BIT(31)
/* Leaf 1 EDX: FPU to CX8, APIC, SEP, MTRR, PGE, MCA, CMOV, PAT, PSE36, CLFLUSH, MMX, FXSR, SSE, SSE2. */
#define LEAF1_D                                                                                    \
    (GENMASK(9, 0) | BIT(11) | BIT(12) | BIT(13) | BIT(14) | BIT(15) | BIT(16) | BIT(17) |         \
     BIT(19) | BIT(23) | BIT(24) | BIT(25) | BIT(26))
#define LEAF1_D_APIC BIT(9)
#define LEAF1_D_HTT BIT(28)             /* EBX[23:16] counts */
/* Leaf 7 EBX: FSGSBASE, BMI1, AVX2, SMEP, BMI2, ERMS, INVPCID, AVX-512 F/DQ, RDSEED, ADX, SMAP, AVX-512 IFMA, CLFLUSHOPT,
 * CLWB, AVX-512 PF/ER/CD, SHA, AVX-512 BW/VL. */
#define LEAF7_B                                                                                    \
    (BIT(0) | BIT(3) | BIT(5) | BIT(7) | BIT(8) | BIT(9) | BIT(10) | BIT(16) | BIT(17) | BIT(18) | \
     BIT(19) | BIT(20) | BIT(21) | BIT(23) | BIT(24) | GENMASK(31, 26))
#define LEAF7_B_AVX (BIT(5) | BIT(16) | BIT(17) | BIT(21) | GENMASK(28, 26) | BIT(30) | BIT(31))
/* ECX: AVX512_VBMI, UMIP, PKU, AVX512_VBMI2, GFNI, VAES, VPCLMUL, VNNI, BITALG, VPOPCNTDQ, RDPID. */
#define LEAF7_C                                                                                    \
    (BIT(1) | BIT(2) | BIT(3) | BIT(6) | BIT(8) | BIT(9) | BIT(10) | BIT(11) | BIT(12) | BIT(14) | \
     BIT(22))
#define LEAF7_C_PKU BIT(3)
#define LEAF7_C_OSPKE BIT(4)
#define LEAF7_C_AVX (BIT(1) | BIT(6) | BIT(9) | BIT(10) | BIT(11) | BIT(12) | BIT(14))
/* EDX: AVX512_4VNNIW, 4FMAPS, FSRM, VP2INTERSECT. Speculation controls need MSRs that are not switched yet. */
#define LEAF7_D (BIT(2) | BIT(3) | BIT(4) | BIT(8))
#define LEAF7_D_AVX (BIT(2) | BIT(3) | BIT(8))
/* Leaf d sub 1 EAX: XSAVEOPT, XSAVEC, XGETBV1; not XSAVES, as XSS is not switched. */
#define LEAFD1_A (BIT(0) | BIT(1) | BIT(2))
#define LEAFD1_A_XSAVEC BIT(1)
#define LEAFD_C_ALIGNED BIT(1)          /* starts at a multiple of 64 in a compacted area */
#define XSAVE_HEADER_END (512u + 64u)   /* legacy region and header */
/* 80000001 ECX (APM vol. 3, appendix E.3.6): LAHF, AltMovCr8, ABM, SSE4A, MisAlignSse, 3DNowPrefetch, XOP, FMA4, TBM. */
#define EXT1_C (BIT(0) | BIT(4) | BIT(5) | BIT(6) | BIT(7) | BIT(8) | BIT(11) | BIT(16) | BIT(21))
#define EXT1_C_AVX (BIT(11) | BIT(16))
#define EXT1_C_CMP_LEGACY BIT(1)        /* what leaf 1 counts are cores, not threads */
/* EDX: what leaf 1 says again on AMD, SYSCALL, NX, MMXEXT, FFXSR, 1 GiB pages, RDTSCP, long mode, 3DNow. */
#define EXT1_D                                                                                     \
    (GENMASK(9, 0) | GENMASK(17, 11) | BIT(20) | BIT(22) | BIT(23) | BIT(24) | BIT(25) | BIT(26) | \
     BIT(27) | BIT(29) | BIT(30) | BIT(31))
#define EXT7_D BIT(8)                   /* invariant TSC */
#define EXT8_B (BIT(0) | BIT(2))        /* CLZERO, XSAVEERPTR */
#define EXT21_A (BIT(2) | BIT(6))       /* LFENCE serialises, null selectors clear the base */

#define CR4_OSXSAVE BIT(18)
#define CR4_PKE BIT(22)
#define XCR0_AVX BIT(2)
#define XCR0_PKRU BIT(9)

/* Xen leaf 4 (public header arch-x86/cpuid.h): IOMMU mappings for grants, vCPU id and domain id valid, upcall vector. */
#define XEN4_IOMMU BIT(2)
#define XEN4_IDS (BIT(3) | BIT(4))
#define XEN4_UPCALL_VECTOR BIT(6)

static uint32_t keep(uint32_t val, uint64_t mask)
{
    return val & (uint32_t)mask;
}

/* Bits of an APIC id that tell the vCPUs apart: ids are 2 * vCPU. */
static unsigned id_bits(const struct cpuid_policy *p)
{
    unsigned bits = 0;

    while (1u << bits <= 2u * (p->nr_vcpus - 1u))
        bits++;
    return bits;
}

static void build_basic(struct cpuid_policy *p, const struct cpuid_config *cfg)
{
    struct cpuid_leaf l;

    cfg->read(0, 0, &l);
    /* Leaf b names the vCPU's APIC id, so it is always there; beyond d there is nothing that guests have. */
    p->max_basic = l.a >= 0xd && p->xcr0 ? 0xd : 0xb;
    p->basic[0] = l;
    p->basic[0].a = p->max_basic;

    cfg->read(1, 0, &l);
    l.b = keep(l.b, 0xff00) | MIN(p->nr_vcpus, 255u) << 16; /* CLFLUSH size; CPUs in the package */
    l.c = keep(l.c, LEAF1_C) | LEAF1_C_X2APIC | (uint32_t)LEAF1_C_HYPERVISOR;
    l.d = keep(l.d, LEAF1_D) | LEAF1_D_APIC | (p->nr_vcpus > 1 ? LEAF1_D_HTT : 0);
    if (!p->xcr0)
        l.c &= ~(uint32_t)LEAF1_C_XSAVE;
    if (!(p->xcr0 & XCR0_AVX))
        l.c &= ~(uint32_t)LEAF1_C_AVX_GROUP;
    p->basic[1] = l;
    if (p->leaf4)
        cfg->read(2, 0, &p->basic[2]);
}

static void build_leaf7(struct cpuid_policy *p, const struct cpuid_config *cfg, uint32_t host_max)
{
    struct cpuid_leaf *l = &p->leaf7[0];

    if (host_max < 7)
        return;
    cfg->read(7, 0, l);
    l->a = 0;
    l->b = keep(l->b, LEAF7_B);
    l->c = keep(l->c, LEAF7_C);
    l->d = keep(l->d, LEAF7_D);
    if (!(p->xcr0 & XCR0_AVX)) {
        l->b &= ~(uint32_t)LEAF7_B_AVX;
        l->c &= ~(uint32_t)LEAF7_C_AVX;
        l->d &= ~(uint32_t)LEAF7_D_AVX;
    }
    if (!(p->xcr0 & XCR0_PKRU))
        l->c &= ~(uint32_t)LEAF7_C_PKU;
}

/* Deterministic cache parameters: sizes are the machine's, sharing between CPUs is not shown; cores in the package. */
static void build_cache(struct cpuid_policy *p, const struct cpuid_config *cfg)
{
    struct cpuid_leaf *out = p->cache;
    uint32_t cores = MIN(1u << id_bits(p), 64u);

    for (uint32_t sub = 0; sub < CPUID_NR_CACHE; sub++) {
        cfg->read(4, sub, &out[sub]);
        if (!(out[sub].a & 0x1f)) {
            out[sub] = (struct cpuid_leaf){ 0 };
            return;
        }
        out[sub].a = keep(out[sub].a, GENMASK(13, 0)) | (cores - 1) << 26;
    }
}

static void build_xstate(struct cpuid_policy *p, const struct cpuid_config *cfg)
{
    struct cpuid_leaf *x = p->xstate;
    uint32_t size = XSAVE_HEADER_END;

    if (!p->xcr0)
        return;
    for (uint32_t sub = 2; sub < CPUID_NR_XSTATE; sub++) {
        struct cpuid_leaf l;

        if (!(p->xcr0 & BIT(sub)))
            continue;
        cfg->read(0xd, sub, &l);
        x[sub] = (struct cpuid_leaf){ .a = l.a, .b = l.b, .c = keep(l.c, LEAFD_C_ALIGNED) };
        size = MAX(size, l.a + l.b);
    }
    x[0] = (struct cpuid_leaf){ .a = (uint32_t)p->xcr0, .c = size, .d = (uint32_t)(p->xcr0 >> 32) };
    cfg->read(0xd, 1, &x[1]);
    x[1] = (struct cpuid_leaf){ .a = keep(x[1].a, LEAFD1_A) };
}

static void build_ext(struct cpuid_policy *p, const struct cpuid_config *cfg)
{
    static const uint8_t copied[] = { 2, 3, 4, 5, 6, 0x19, 0x1a }; /* name, caches, TLBs */
    struct cpuid_leaf l;

    cfg->read(CPUID_EXT_BASE, 0, &l);
    if (l.a < CPUID_EXT_BASE)
        return;
    p->max_ext = MIN(l.a, CPUID_EXT_BASE + CPUID_NR_EXT - 1);
    l.a = p->max_ext;
    p->ext[0] = l;
    for (unsigned i = 0; i < sizeof(copied); i++) {
        if (CPUID_EXT_BASE + copied[i] <= p->max_ext)
            cfg->read(CPUID_EXT_BASE + copied[i], 0, &p->ext[copied[i]]);
    }
    cfg->read(CPUID_EXT_BASE + 1, 0, &l);
    l.c = keep(l.c, EXT1_C);
    l.d = keep(l.d, EXT1_D);
    if (!(p->xcr0 & XCR0_AVX))
        l.c &= ~(uint32_t)EXT1_C_AVX;
    if (p->nr_vcpus > 1 && !p->leaf4)
        l.c |= EXT1_C_CMP_LEGACY;
    p->ext[1] = l;
    if (p->max_ext >= CPUID_EXT_BASE + 7) {
        cfg->read(CPUID_EXT_BASE + 7, 0, &l);
        p->ext[7].d = keep(l.d, EXT7_D);
    }
    if (p->max_ext >= CPUID_EXT_BASE + 8) {
        uint32_t bits;

        cfg->read(CPUID_EXT_BASE + 8, 0, &l);
        bits = l.a & 0xff;
        if (cfg->addr_bits && cfg->addr_bits < bits)
            bits = cfg->addr_bits;
        p->ext[8].a = keep(l.a, 0xff00) | bits;
        p->ext[8].b = keep(l.b, EXT8_B);
        if (!p->leaf4) /* cores less one, and how many bits of the APIC id name them */
            p->ext[8].c = MIN(p->nr_vcpus - 1u, 255u) | id_bits(p) << 12;
    }
    if (p->max_ext >= CPUID_EXT_BASE + 0x21) {
        cfg->read(CPUID_EXT_BASE + 0x21, 0, &l);
        p->ext[0x21].a = keep(l.a, EXT21_A);
    }
}

static void build_xen(struct cpuid_policy *p, const struct cpuid_config *cfg)
{
    struct cpuid_leaf *x = p->xen;

    /* "XenVMMXenVMM" */
    x[0] = (struct cpuid_leaf){ CPUID_XEN_BASE + 5, 0x566e6558, 0x65584d4d, 0x4d4d566e };
    x[1].a = XEN_VERSION;
    x[2] = (struct cpuid_leaf){ .a = 1, .b = MSR_XEN_HYPERCALL };
    /* The TSC is native: not emulated, no incarnations. */
    p->xen_tsc[0] = (struct cpuid_leaf){ .a = BIT(1), .c = cfg->tsc_khz };
    if (p->ext[1].d & BIT(27))
        p->xen_tsc[0].a |= BIT(2);
    p->xen_tsc[2].a = cfg->tsc_khz;
    x[4].a = XEN4_IDS | XEN4_UPCALL_VECTOR | (cfg->iommu ? XEN4_IOMMU : 0);
    x[4].c = cfg->domid;
}

void cpuid_policy_build(struct cpuid_policy *p, const struct cpuid_config *cfg)
{
    struct cpuid_leaf host0, cache;

    memset(p, 0, sizeof(*p));
    p->xcr0 = cfg->xcr0;
    p->nr_vcpus = (uint16_t)MAX(cfg->nr_vcpus, 1u);
    cfg->read(0, 0, &host0);
    if (host0.a >= 4) {
        cfg->read(4, 0, &cache);
        p->leaf4 = cache.a & 0x1f; /* the first cache's type */
    }
    build_basic(p, cfg);
    build_leaf7(p, cfg, host0.a);
    if (p->leaf4)
        build_cache(p, cfg);
    build_xstate(p, cfg);
    build_ext(p, cfg);
    build_xen(p, cfg);
}

#define XCR0_LEGACY GENMASK(1, 0)
#define XCR0_AVX512 GENMASK(7, 5)
#define LEAF1_C_AVX BIT(28)
#define LEAF7_B_AVX512F BIT(16)

void cpuid_policy_trim(struct cpuid_policy *p)
{
    uint64_t keep_xcr0 = 0;
    uint32_t size = 512 + 64;

    if (p->basic[1].c & LEAF1_C_XSAVE)
        keep_xcr0 |= XCR0_LEGACY;
    if (keep_xcr0 && (p->basic[1].c & LEAF1_C_AVX))
        keep_xcr0 |= XCR0_AVX;
    if ((keep_xcr0 & XCR0_AVX) && (p->leaf7[0].b & LEAF7_B_AVX512F))
        keep_xcr0 |= XCR0_AVX512;
    if (keep_xcr0 && (p->leaf7[0].c & LEAF7_C_PKU))
        keep_xcr0 |= XCR0_PKRU;
    p->xcr0 &= keep_xcr0;
    if (!(p->xcr0 & XCR0_AVX)) {
        p->basic[1].c &= ~(uint32_t)LEAF1_C_AVX_GROUP;
        p->leaf7[0].b &= ~(uint32_t)LEAF7_B_AVX;
        p->leaf7[0].c &= ~(uint32_t)LEAF7_C_AVX;
        p->leaf7[0].d &= ~(uint32_t)LEAF7_D_AVX;
        p->ext[1].c &= ~(uint32_t)EXT1_C_AVX;
    }
    if (!(p->xcr0 & XCR0_PKRU))
        p->leaf7[0].c &= ~(uint32_t)LEAF7_C_PKU;
    for (uint32_t sub = 2; sub < CPUID_NR_XSTATE; sub++) {
        if (p->xcr0 & BIT(sub))
            size = MAX(size, p->xstate[sub].a + p->xstate[sub].b);
        else
            p->xstate[sub] = (struct cpuid_leaf){ 0 };
    }
    p->xstate[0] = (struct cpuid_leaf){ 0 };
    if (p->xcr0)
        p->xstate[0] = (struct cpuid_leaf){ .a = (uint32_t)p->xcr0, .c = size,
                                            .d = (uint32_t)(p->xcr0 >> 32) };
    else
        p->xstate[1] = (struct cpuid_leaf){ 0 };
}

/* Leaves that cpuid_lookup() treats, by number. */
#define BASIC_SPECIAL (BIT(1) | BIT(4) | BIT(7) | BIT(0xb) | BIT(0xd) | BIT(0x1f))
#define XEN_SPECIAL (BIT(3) | BIT(4))

const struct cpuid_leaf *cpuid_static(const struct cpuid_policy *p, uint32_t leaf)
{
    uint32_t i = leaf - CPUID_XEN_BASE;

    if (leaf <= p->max_basic)
        return BASIC_SPECIAL & BIT(leaf) ? NULL : &p->basic[leaf];
    if (i < CPUID_NR_XEN)
        return XEN_SPECIAL & BIT(i) ? NULL : &p->xen[i];
    i = leaf - CPUID_EXT_BASE;
    return i < CPUID_NR_EXT && leaf <= p->max_ext ? &p->ext[i] : NULL;
}

/* Two APIC ids a vCPU, all vCPUs in one package (SDM vol. 2, CPUID leaf 0bh). */
static void topology(const struct cpuid_policy *p, const struct cpuid_vcpu *v, uint32_t sub,
                     struct cpuid_leaf *out)
{
    *out = (struct cpuid_leaf){ .c = sub & 0xff, .d = v->apic_id };
    if (sub == 0) {
        out->a = 1;
        out->b = 1;
        out->c |= 1u << 8; /* SMT */
    } else if (sub == 1) {
        out->a = 8;
        out->b = p->nr_vcpus;
        out->c |= 2u << 8; /* core */
    }
}

static void xstate_leaf(const struct cpuid_policy *p, const struct cpuid_vcpu *v, uint32_t sub,
                        struct cpuid_leaf *out)
{
    uint32_t size = XSAVE_HEADER_END, compact = XSAVE_HEADER_END;

    if (sub >= CPUID_NR_XSTATE)
        return;
    *out = p->xstate[sub];
    if (sub > 1 || !p->xcr0)
        return;
    /* EBX: room for what is turned on now, in the standard and in the compacted format (SDM vol. 1, 13.4.3). */
    for (unsigned i = 2; i < CPUID_NR_XSTATE; i++) {
        const struct cpuid_leaf *x = &p->xstate[i];

        if (!(v->xcr0 & BIT(i)))
            continue;
        size = MAX(size, x->a + x->b);
        compact = (x->c & LEAFD_C_ALIGNED ? ALIGN_UP(compact, 64u) : compact) + x->a;
    }
    if (sub == 0)
        out->b = size;
    else if (out->a & LEAFD1_A_XSAVEC)
        out->b = compact;
}

static void basic_leaf(const struct cpuid_policy *p, const struct cpuid_vcpu *v, uint32_t leaf,
                       uint32_t sub, struct cpuid_leaf *out)
{
    switch (leaf) {
    case 1:
        *out = p->basic[1];
        out->b |= v->apic_id << 24;
        if ((v->cr4 & CR4_OSXSAVE) && (out->c & LEAF1_C_XSAVE))
            out->c |= LEAF1_C_OSXSAVE;
        break;
    case 4:
        if (sub < CPUID_NR_CACHE)
            *out = p->cache[sub];
        break;
    case 7:
        if (sub < CPUID_NR_LEAF7)
            *out = p->leaf7[sub];
        if (sub == 0 && (v->cr4 & CR4_PKE) && (out->c & LEAF7_C_PKU))
            out->c |= LEAF7_C_OSPKE;
        break;
    case 0xb:
        topology(p, v, sub, out);
        break;
    case 0xd:
        xstate_leaf(p, v, sub, out);
        break;
    }
}

void cpuid_lookup(const struct cpuid_policy *p, const struct cpuid_vcpu *v, uint32_t leaf,
                  uint32_t sub, struct cpuid_leaf *out)
{
    const struct cpuid_leaf *fixed = cpuid_static(p, leaf);

    *out = (struct cpuid_leaf){ 0 };
    if (fixed) {
        *out = *fixed;
    } else if (leaf <= p->max_basic) {
        basic_leaf(p, v, leaf, sub, out);
    } else if (leaf == CPUID_XEN_BASE + 3) {
        if (sub < ARRAY_SIZE(p->xen_tsc))
            *out = p->xen_tsc[sub];
    } else if (leaf == CPUID_XEN_BASE + 4) {
        *out = p->xen[4];
        if (sub == 0)
            out->b = v->id;
    }
}
