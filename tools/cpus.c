/* SPDX-License-Identifier: MIT */
/*
 * Parses and prints sets of physical CPUs (cpus.h).
 */
#include "cpus.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void cpu_set_add(struct cpu_set *set, unsigned cpu)
{
    set->bits[cpu / 64] |= 1ull << (cpu % 64);
}

bool cpu_set_test(const struct cpu_set *set, unsigned cpu)
{
    return cpu < CPU_SET_MAX && ((set->bits[cpu / 64] >> (cpu % 64)) & 1) != 0;
}

unsigned cpu_set_last(const struct cpu_set *set)
{
    unsigned cpu = CPU_SET_MAX - 1;

    while (cpu > 0 && !cpu_set_test(set, cpu)) {
        cpu--;
    }
    return cpu;
}

bool cpu_set_is_all(const struct cpu_set *set, unsigned nr_cpus)
{
    for (unsigned i = 0; i < nr_cpus && i < CPU_SET_MAX; i++) {
        if (!cpu_set_test(set, i)) {
            return false;
        }
    }
    return true;
}

static int parse_cpu(const char **at, unsigned *cpu)
{
    unsigned value = 0;

    if (!isdigit((unsigned char)**at)) {
        return -EINVAL;
    }
    for (; isdigit((unsigned char)**at); (*at)++) {
        value = value * 10 + (unsigned)(**at - '0');
        if (value >= CPU_SET_MAX) {
            return -EINVAL;
        }
    }
    *cpu = value;
    return 0;
}

/* One part between commas: N, N-M or all, each perhaps after ^, which takes CPUs away again. */
static int parse_part(const char **at, struct cpu_set *set)
{
    unsigned first = 0, last = CPU_SET_MAX - 1;
    const bool away = **at == '^';

    *at += away ? 1 : 0;
    if (strncmp(*at, "all", 3) == 0) {
        *at += 3;
    } else {
        if (parse_cpu(at, &first) != 0) {
            return -EINVAL;
        }
        last = first;
        if (**at == '-') {
            (*at)++;
            if (parse_cpu(at, &last) != 0 || last < first) {
                return -EINVAL;
            }
        }
    }
    for (unsigned i = first; i <= last; i++) {
        if (away) {
            set->bits[i / 64] &= ~(1ull << (i % 64));
        } else {
            cpu_set_add(set, i);
        }
    }
    return 0;
}

int cpu_set_parse(const char *text, struct cpu_set *set)
{
    const char *at = text;
    uint64_t any = 0;

    memset(set, 0, sizeof(*set));
    for (;;) {
        if (parse_part(&at, set) != 0) {
            return -EINVAL;
        }
        if (*at == '\0') {
            break;
        }
        if (*at++ != ',') {
            return -EINVAL;
        }
    }
    for (size_t i = 0; i < sizeof(set->bits) / sizeof(set->bits[0]); i++) {
        any |= set->bits[i];
    }
    return any != 0 ? 0 : -EINVAL;
}

void cpu_set_format(const struct cpu_set *set, unsigned nr_cpus, char *out, size_t size)
{
    size_t used = 0;

    if (size == 0) {
        return;
    }
    out[0] = '\0';
    if (cpu_set_is_all(set, nr_cpus)) {
        snprintf(out, size, "all");
        return;
    }
    for (unsigned i = 0; i < nr_cpus && i < CPU_SET_MAX && used < size; i++) {
        unsigned last = i;

        if (!cpu_set_test(set, i)) {
            continue;
        }
        while (last + 1 < nr_cpus && cpu_set_test(set, last + 1)) {
            last++;
        }
        used += (size_t)snprintf(out + used, size - used, last > i ? "%s%u-%u" : "%s%u",
                                 used != 0 ? "," : "", i, last);
        i = last;
    }
}

static unsigned count(const struct cpu_set *set)
{
    unsigned n = 0;

    for (unsigned i = 0; i < CPU_SET_MAX; i++) {
        n += cpu_set_test(set, i) ? 1 : 0;
    }
    return n;
}

int cpu_set_spread(const struct cpu_set *sets, unsigned nr_sets, unsigned nr, struct cpu_set *out)
{
    struct cpu_set used = { { 0 } };
    unsigned cpu = 0;

    if (nr_sets == 0 || (nr_sets > 1 && nr_sets != nr) || (nr_sets == 1 && count(sets) < nr)) {
        return -EINVAL;
    }
    for (unsigned i = 0; i < nr; i++) {
        const struct cpu_set *from = &sets[nr_sets > 1 ? i : 0];

        if (nr_sets > 1) {
            cpu = cpu_set_last(from);
            if (count(from) != 1 || cpu_set_test(&used, cpu)) {
                return -EINVAL;
            }
        }
        while (!cpu_set_test(from, cpu)) {
            cpu++;
        }
        memset(&out[i], 0, sizeof(out[i]));
        cpu_set_add(&out[i], cpu);
        cpu_set_add(&used, cpu);
        cpu++;
    }
    return 0;
}
