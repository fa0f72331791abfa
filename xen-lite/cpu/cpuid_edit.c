/* SPDX-License-Identifier: MIT */
/*
 * Policies as lists of leaves, see cpuid_edit.h. Entries come from a tool and may say anything.
 */
#include "cpu/cpuid_edit.h"

#include "lib/errno.h"
#include "lib/string.h"

/* What the public interface's libraries take: more of these leaves' sub-leaves they refuse. */
#define LIST_CACHES   6u
#define LIST_TOPOLOGY 2u

static void add(const struct cpuid_policy *p, struct cpuid_entry *out, unsigned *n, uint32_t leaf,
                uint32_t sub)
{
    static const struct cpuid_vcpu first;
    struct cpuid_entry *e = &out[*n];

    if (*n == CPUID_MAX_ENTRIES)
        return;
    e->leaf = leaf;
    e->sub = sub;
    cpuid_lookup(p, &first, leaf, sub == CPUID_NO_SUBLEAF ? 0 : sub, &e->val);
    (*n)++;
}

static void add_basic(const struct cpuid_policy *p, struct cpuid_entry *out, unsigned *n,
                      uint32_t leaf)
{
    uint32_t subs;

    switch (leaf) {
    case 4:
        subs = LIST_CACHES;
        break;
    case 7:
        subs = MIN(p->leaf7[0].a + 1, CPUID_NR_LEAF7);
        break;
    case 0xb:
        subs = LIST_TOPOLOGY;
        break;
    case 0xd:
        subs = CPUID_NR_XSTATE;
        break;
    default:
        add(p, out, n, leaf, CPUID_NO_SUBLEAF);
        return;
    }
    for (uint32_t sub = 0; sub < subs; sub++)
        /* The libraries list gaps below the last component, too, and want as much room as they were given. */
        if (leaf != 0xd || sub < 2 || p->xcr0 >> sub)
            add(p, out, n, leaf, sub);
}

unsigned cpuid_policy_list(const struct cpuid_policy *p, struct cpuid_entry *out)
{
    unsigned n = 0;

    for (uint32_t leaf = 0; leaf <= p->max_basic; leaf++)
        add_basic(p, out, &n, leaf);
    add(p, out, &n, CPUID_XEN_BASE, CPUID_NO_SUBLEAF);
    for (uint32_t leaf = CPUID_EXT_BASE; leaf <= p->max_ext; leaf++)
        add(p, out, &n, leaf, CPUID_NO_SUBLEAF);
    return n;
}

/* ---- features ---- */

enum reg { A, B, C, D };

/*
 * Where features are. `ours` are bits that follow from something else (the number of vCPUs, CR4,
 * that there is a hypervisor): a tool's opinion on them is not asked.
 */
static const struct feature_word {
    uint32_t leaf, sub;
    uint8_t reg;
    uint64_t ours;
} words[] = {
    /* in the order of the public interface's feature set; leaf 0: nothing there that guests have */
    { 1, CPUID_NO_SUBLEAF, D, BIT(9) | BIT(28) },
    { 1, CPUID_NO_SUBLEAF, C, BIT(27) | BIT(31) },
    { CPUID_EXT_BASE + 1, CPUID_NO_SUBLEAF, D, BIT(9) },
    { CPUID_EXT_BASE + 1, CPUID_NO_SUBLEAF, C, BIT(1) },
    { 0xd, 1, A, 0 },
    { 7, 0, B, 0 },
    { 7, 0, C, BIT(4) },
    { CPUID_EXT_BASE + 7, CPUID_NO_SUBLEAF, D, 0 },
    { CPUID_EXT_BASE + 8, CPUID_NO_SUBLEAF, B, 0 },
    { 7, 0, D, 0 },
    { 7, 1, A, 0 },
    { CPUID_EXT_BASE + 0x21, CPUID_NO_SUBLEAF, A, 0 },
    { 7, 1, B, 0 },
    { 7, 2, D, 0 },
    { 7, 1, C, 0 },
    { 7, 1, D, 0 },
};

static const uint32_t *reg_of(const struct cpuid_leaf *l, unsigned reg)
{
    return reg == A ? &l->a : reg == B ? &l->b : reg == C ? &l->c : &l->d;
}

/* The policy's stored leaf for a place where features are. */
static const struct cpuid_leaf *stored(const struct cpuid_policy *p, const struct feature_word *w)
{
    if (w->leaf == 7)
        return &p->leaf7[w->sub];
    if (w->leaf == 0xd)
        return &p->xstate[w->sub];
    return w->leaf >= CPUID_EXT_BASE ? &p->ext[w->leaf - CPUID_EXT_BASE] : &p->basic[w->leaf];
}

uint32_t cpuid_feature_word(const struct cpuid_policy *p, unsigned n)
{
    return n < ARRAY_SIZE(words) ? *reg_of(stored(p, &words[n]), words[n].reg) : 0;
}

/* Bits of a request that the machine, or the hypervisor, does not have. */
static bool asks_too_much(const struct cpuid_policy *max, const struct cpuid_entry *e)
{
    for (unsigned i = 0; i < ARRAY_SIZE(words); i++) {
        const struct feature_word *w = &words[i];
        uint32_t have;

        if (w->leaf != e->leaf || w->sub != e->sub)
            continue;
        have = *reg_of(stored(max, w), w->reg) | (uint32_t)w->ours;
        if (*reg_of(&e->val, w->reg) & ~have)
            return true;
    }
    return false;
}

static void set_features(struct cpuid_policy *p, const struct cpuid_policy *max,
                         const struct cpuid_entry *e)
{
    for (unsigned i = 0; i < ARRAY_SIZE(words); i++) {
        const struct feature_word *w = &words[i];
        uint32_t have;

        if (w->leaf != e->leaf || w->sub != e->sub)
            continue;
        have = *reg_of(stored(max, w), w->reg);
        *(uint32_t *)reg_of(stored(p, w), w->reg) =
            (*reg_of(&e->val, w->reg) & have) | (have & (uint32_t)w->ours);
    }
}

/* ---- the other leaves ---- */

static bool other_vendor(const struct cpuid_policy *max, const struct cpuid_entry *e)
{
    const struct cpuid_leaf *l = e->leaf ? &max->ext[0] : &max->basic[0];

    return e->val.b != l->b || e->val.c != l->c || e->val.d != l->d;
}

static int set_range(struct cpuid_policy *p, const struct cpuid_policy *max,
                     const struct cpuid_entry *e)
{
    bool ext = e->leaf != 0;
    uint32_t first = ext ? CPUID_EXT_BASE : 1;

    if (other_vendor(max, e) || e->val.a < first ||
        e->val.a > (ext ? max->max_ext : max->max_basic))
        return -EINVAL;
    if (ext)
        p->max_ext = p->ext[0].a = e->val.a;
    else
        p->max_basic = p->basic[0].a = e->val.a;
    return 0;
}

int cpuid_policy_set(struct cpuid_policy *p, const struct cpuid_policy *max,
                     const struct cpuid_entry *e)
{
    if (e->leaf == 0 || (e->leaf == CPUID_EXT_BASE && max->max_ext))
        return set_range(p, max, e);
    if (asks_too_much(max, e))
        return -EINVAL;
    set_features(p, max, e);
    if (e->leaf == 1)
        p->basic[1].a = e->val.a; /* family, model, stepping */
    else if (e->leaf == CPUID_EXT_BASE + 1)
        p->ext[1].a = e->val.a;
    else if (e->leaf >= CPUID_EXT_BASE + 2 && e->leaf <= CPUID_EXT_BASE + 4)
        p->ext[e->leaf - CPUID_EXT_BASE] = e->val; /* the processor's name */
    return 0;
}
