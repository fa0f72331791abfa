/* SPDX-License-Identifier: MIT */
/*
 * CPUID policies as lists of leaves, the form in which the toolstack reads and writes them.
 */
#ifndef XL_CPU_CPUID_EDIT_H
#define XL_CPU_CPUID_EDIT_H

#include "cpu/cpuid.h"
#include "cpu/vcpu.h"

/* In place of a sub-leaf's number where a leaf has none. */
#define CPUID_NO_SUBLEAF 0xffffffffu
/* No policy has more entries. */
#define CPUID_MAX_ENTRIES 128u

struct cpuid_entry {
    uint32_t leaf, sub;
    struct cpuid_leaf val;
};

/* The policy's entries into out[CPUID_MAX_ENTRIES]; how many. */
unsigned cpuid_policy_list(const struct cpuid_policy *p, struct cpuid_entry *out);

/*
 * Lets one entry replace what p says, as far as a domain may have something else than `max` says:
 * features may be taken away, model and names changed; topology, sizes and addresses stay. -EINVAL,
 * p unchanged, for a feature or a range of leaves that max does not have, and another vendor.
 * cpuid_policy_trim() after the last one.
 */
int cpuid_policy_set(struct cpuid_policy *p, const struct cpuid_policy *max,
                     const struct cpuid_entry *e);

/* Word n of the public interface's feature set; 0 beyond the last. */
uint32_t cpuid_feature_word(const struct cpuid_policy *p, unsigned n);
#define CPUID_FEATURE_WORDS 16u

/* cpu/backend.c: what a guest can have at most on this machine. */
void cpu_machine_policy(struct cpuid_policy *out);

#endif
