/* SPDX-License-Identifier: MIT */
/*
 * Sets of physical CPUs as people write them: "0-3,^1,6", "all".
 */
#ifndef TOOLS_CPUS_H
#define TOOLS_CPUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CPU_SET_MAX 256

struct cpu_set {
    uint64_t bits[CPU_SET_MAX / 64];
};

/* Parses text; "all" is every CPU up to CPU_SET_MAX. Returns 0, or -EINVAL (also for an empty set).
 */
int cpu_set_parse(const char *text, struct cpu_set *set);

bool cpu_set_test(const struct cpu_set *set, unsigned cpu);
void cpu_set_add(struct cpu_set *set, unsigned cpu);
bool cpu_set_is_all(const struct cpu_set *set, unsigned nr_cpus);

/*
 * One CPU for each of nr vCPUs, no two the same: out[i] gets vCPU i's. One set is shared out in ascending order; of several,
 * the i-th must name vCPU i's CPU alone. Returns 0, or -EINVAL if that cannot be.
 */
int cpu_set_spread(const struct cpu_set *sets, unsigned nr_sets, unsigned nr, struct cpu_set *out);

/* Highest CPU of a set that is not empty. */
unsigned cpu_set_last(const struct cpu_set *set);

/* Writes the set as ranges ("0-3,6"), or "all" if it has every one of nr_cpus CPUs. Truncates to
 * size. */
void cpu_set_format(const struct cpu_set *set, unsigned nr_cpus, char *out, size_t size);

#endif
