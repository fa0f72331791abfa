/* SPDX-License-Identifier: MIT */
/*
 * The control domain's memory map, made from the machine's.
 */
#include "domain/start_info.h"
#include "lib/errno.h"
#include "lib/string.h"

struct list {
    struct boot_mem mem[BOOT_MAX_MEM];
    unsigned nr;
    bool full;
};

static void add(struct list *l, uint64_t start, uint64_t end, uint32_t type)
{
    if (start >= end)
        return;
    if (l->nr == BOOT_MAX_MEM) {
        l->full = true;
        return;
    }
    l->mem[l->nr++] = (struct boot_mem){ .base = start, .len = end - start, .type = type };
}

/* One of the machine's ranges in whole pages. */
static void add_host(struct list *l, const struct boot_mem *m)
{
    uint64_t end = m->base + m->len, first = ALIGN_DOWN(m->base, PAGE_SIZE);
    uint64_t ram_start, ram_end;

    if (m->type != BOOT_MEM_RAM) {
        add(l, first, ALIGN_UP(end, PAGE_SIZE), m->type);
        return;
    }
    ram_start = ALIGN_UP(m->base, PAGE_SIZE);
    ram_end = ALIGN_DOWN(end, PAGE_SIZE);
    add(l, first, ram_start, BOOT_MEM_RESERVED);
    add(l, ram_start, ram_end, BOOT_MEM_RAM);
    add(l, MAX(ram_end, first), ALIGN_UP(end, PAGE_SIZE), BOOT_MEM_RESERVED);
}

static int add_carve(struct list *l, const struct boot_mem *m)
{
    if (!m->len || m->base + m->len < m->base || m->base + m->len > BIT(52) ||
        m->type == BOOT_MEM_RAM || m->type > BOOT_MEM_UNUSABLE)
        return -EINVAL;
    add(l, ALIGN_DOWN(m->base, PAGE_SIZE), ALIGN_UP(m->base + m->len, PAGE_SIZE), m->type);
    return 0;
}

/* Takes away what is beyond the quota: RAM of `in` becomes RAM, then unusable, in `out`. */
static uint64_t apply_quota(const struct list *in, uint64_t quota, struct list *out)
{
    uint64_t given = 0;
    unsigned i;

    for (i = 0; i < in->nr; i++) {
        const struct boot_mem *m = &in->mem[i];
        uint64_t end = m->base + m->len, take;

        if (m->type != BOOT_MEM_RAM) {
            add(out, m->base, end, m->type);
            continue;
        }
        take = MIN(m->len, ALIGN_DOWN(quota - given, PAGE_SIZE));
        add(out, m->base, m->base + take, BOOT_MEM_RAM);
        add(out, m->base + take, end, BOOT_MEM_UNUSABLE);
        given += take;
    }
    return given;
}

int ctl_memmap_build(const struct boot_mem *host, unsigned nr_host, uint64_t quota,
                     const struct boot_mem *carve, unsigned nr_carve, struct boot_mem *out,
                     unsigned max, uint64_t *given)
{
    static struct list all, split; /* boot CPU only; too large for a stack */
    uint64_t sum;
    unsigned i;
    int nr;

    memset(&all, 0, sizeof(all));
    memset(&split, 0, sizeof(split));
    for (i = 0; i < nr_host; i++)
        add_host(&all, &host[i]);
    for (i = 0; i < nr_carve; i++)
        if (add_carve(&all, &carve[i]))
            return -EINVAL;
    nr = all.full ? -E2BIG : boot_mem_sanitize(all.mem, all.nr, BOOT_MAX_MEM);
    if (nr < 0)
        return nr;
    all.nr = (unsigned)nr;

    sum = apply_quota(&all, quota, &split);
    nr = split.full ? -E2BIG
                    : boot_mem_sanitize(split.mem, split.nr, MIN(max, (unsigned)CTL_MAX_MEMMAP));
    if (nr < 0)
        return nr;
    memcpy(out, split.mem, (unsigned)nr * sizeof(*out));
    if (given)
        *given = sum;
    return nr;
}

/* The lowest busy range that reaches into [start, end); NULL if there is none. */
static const struct boot_mem *first_busy(const struct boot_mem *busy, unsigned nr, uint64_t start,
                                         uint64_t end)
{
    const struct boot_mem *found = NULL;
    unsigned i;

    for (i = 0; i < nr; i++)
        if (busy[i].len && busy[i].base < end && busy[i].base + busy[i].len > start &&
            (!found || busy[i].base < found->base))
            found = &busy[i];
    return found;
}

/* Highest place in one range. */
static uint64_t find_in(const struct boot_mem *m, const struct boot_mem *busy, unsigned nr_busy,
                        uint64_t size, uint64_t align, uint64_t limit)
{
    uint64_t end = MIN(m->base + m->len, limit);

    while (end >= size) {
        uint64_t start = ALIGN_DOWN(end - size, align);
        const struct boot_mem *b;

        if (start < m->base || !start)
            return 0;
        b = first_busy(busy, nr_busy, start, start + size);
        if (!b)
            return start;
        end = MIN(b->base, end - 1);
    }
    return 0;
}

uint64_t ctl_memmap_find_top(const struct boot_mem *map, unsigned nr, const struct boot_mem *busy,
                             unsigned nr_busy, uint64_t size, uint64_t align, uint64_t limit)
{
    unsigned i = nr;

    if (!size || size > BIT(52) || align < PAGE_SIZE || align & (align - 1))
        return 0;
    size = ALIGN_UP(size, PAGE_SIZE);
    while (i--) {
        uint64_t found = 0;

        if (map[i].type == BOOT_MEM_RAM)
            found = find_in(&map[i], busy, nr_busy, size, align, limit);
        if (found)
            return found;
    }
    return 0;
}
