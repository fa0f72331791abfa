/* SPDX-License-Identifier: MIT */
/*
 * Memory maps in E820 terms: sorting, resolving overlaps, and questions about them.
 */
#include "boot/multiboot.h"
#include "lib/errno.h"
#include "lib/string.h"

/* No physical address has more than 52 bits (Intel SDM vol 3, 4.1.4). */
#define MAX_PHYS BIT(52)

static void sort_u64(uint64_t *v, unsigned n)
{
    unsigned i, j;

    for (i = 1; i < n; i++) {
        uint64_t x = v[i];

        for (j = i; j && v[j - 1] > x; j--)
            v[j] = v[j - 1];
        v[j] = x;
    }
}

/* Cuts wrapping ranges and drops those that are empty or out of reach. */
static unsigned clip(struct boot_mem *mem, unsigned nr)
{
    unsigned i, n = 0;

    for (i = 0; i < nr; i++) {
        struct boot_mem m = mem[i];

        if (!m.len || m.base >= MAX_PHYS)
            continue;
        m.len = MIN(m.len, MAX_PHYS - m.base);
        mem[n++] = m;
    }
    return n;
}

/*
 * The strictest type that covers [start, end), which no range's bound lies inside of; 0: none.
 * E820 numbers happen to be ordered by how little may be done with the memory.
 */
static uint32_t type_between(const struct boot_mem *mem, unsigned nr, uint64_t start, uint64_t end)
{
    uint32_t type = 0;
    unsigned i;

    for (i = 0; i < nr; i++)
        if (mem[i].base <= start && mem[i].base + mem[i].len >= end && mem[i].type > type)
            type = mem[i].type;
    return type;
}

int boot_mem_sanitize(struct boot_mem *mem, unsigned nr, unsigned max)
{
    /* Boot CPU only; too large for a stack. */
    static uint64_t bound[2 * BOOT_MAX_MEM];
    static struct boot_mem out[BOOT_MAX_MEM];
    unsigned i, nr_bounds = 0, n = 0;

    if (nr > BOOT_MAX_MEM)
        return -E2BIG;
    nr = clip(mem, nr);
    for (i = 0; i < nr; i++) {
        bound[nr_bounds++] = mem[i].base;
        bound[nr_bounds++] = mem[i].base + mem[i].len;
    }
    sort_u64(bound, nr_bounds);

    for (i = 0; i + 1 < nr_bounds; i++) {
        uint64_t start = bound[i], end = bound[i + 1];
        uint32_t type = start < end ? type_between(mem, nr, start, end) : 0;

        if (!type)
            continue;
        if (n && out[n - 1].type == type && out[n - 1].base + out[n - 1].len == start) {
            out[n - 1].len += end - start;
            continue;
        }
        if (n == MIN(max, (unsigned)BOOT_MAX_MEM))
            return -E2BIG;
        out[n++] = (struct boot_mem){ .base = start, .len = end - start, .type = type };
    }
    memcpy(mem, out, n * sizeof(*mem));
    return (int)n;
}

bool boot_mem_pages(const struct boot_mem *mem, uint64_t *start, uint64_t *end)
{
    uint64_t last = mem->base + mem->len;

    if (mem->type == BOOT_MEM_RAM) {
        *start = ALIGN_UP(mem->base, PAGE_SIZE);
        *end = ALIGN_DOWN(last, PAGE_SIZE);
    } else {
        *start = ALIGN_DOWN(mem->base, PAGE_SIZE);
        *end = ALIGN_UP(last, PAGE_SIZE);
    }
    return *start < *end;
}

uint32_t boot_mem_type(const struct boot_mem *mem, unsigned nr, uint64_t pa)
{
    unsigned i;

    for (i = 0; i < nr; i++)
        if (pa >= mem[i].base && pa - mem[i].base < mem[i].len)
            return mem[i].type;
    return 0;
}

uint64_t boot_mem_ram_end(const struct boot_mem *mem, unsigned nr)
{
    uint64_t end = 0;
    unsigned i;

    for (i = 0; i < nr; i++)
        if (mem[i].type == BOOT_MEM_RAM)
            end = MAX(end, mem[i].base + mem[i].len);
    return end;
}

uint64_t boot_mem_ram_total(const struct boot_mem *mem, unsigned nr)
{
    uint64_t sum = 0;
    unsigned i;

    for (i = 0; i < nr; i++)
        if (mem[i].type == BOOT_MEM_RAM)
            sum += mem[i].len;
    return sum;
}
