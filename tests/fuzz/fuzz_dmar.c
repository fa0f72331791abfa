/* SPDX-License-Identifier: MIT */
/* FUZZ_SOURCES: xen-lite/iommu/dmar.c */
/*
 * Any bytes as a DMAR table and as the bridges that its paths lead through. A table that is refused
 * leaves nothing behind; one that is accepted obeys its own rules, and every look-up on it ends.
 */
#include <assert.h>

#include "iommu/dmar.h"
#include "lib/string.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define TABLE_MAX 4096

static const uint8_t *bridge_bytes;
static size_t nr_bridge_bytes;

/* Configuration space made of the input: any answer is possible, also one that leads in circles. */
static uint32_t cfg_read(uint16_t segment, uint16_t bdf, uint16_t reg, unsigned width)
{
    uint32_t v;

    if (!nr_bridge_bytes)
        return ~0u;
    v = bridge_bytes[(size_t)(segment + bdf * 7u + reg) % nr_bridge_bytes];
    return reg == 0x0e ? v & 0x81 : width == 1 ? v : v << 8 | v;
}

static void check_unit(const struct dmar_info *info, unsigned i)
{
    const struct dmar_unit *u = &info->unit[i];

    assert(u->base && !(u->base & ~PAGE_MASK) && u->size >= PAGE_SIZE);
    assert(u->scopes.first + u->scopes.count <= info->nr_scopes);
    for (unsigned j = 0; j < i; j++)
        assert(u->base + u->size <= info->unit[j].base ||
               info->unit[j].base + info->unit[j].size <= u->base);
    for (unsigned j = 0; j < info->nr_rmrrs; j++)
        assert(info->rmrr[j].end < u->base || info->rmrr[j].base >= u->base + u->size);
}

static void check(const struct dmar_info *info)
{
    assert(info->nr_units >= 1 && info->nr_units <= DMAR_MAX_UNITS);
    assert(info->nr_rmrrs <= DMAR_MAX_RMRRS && info->nr_scopes <= DMAR_MAX_SCOPES);
    for (unsigned i = 0; i < info->nr_units; i++)
        check_unit(info, i);
    for (unsigned i = 0; i < info->nr_rmrrs; i++)
        assert(info->rmrr[i].base < info->rmrr[i].end && !(info->rmrr[i].base & ~PAGE_MASK));
    for (unsigned bdf = 0; bdf < 0x10000; bdf += 61) {
        uint16_t segment = info->unit[bdf % info->nr_units].segment;
        int unit = dmar_unit_for(info, segment, (uint16_t)bdf);

        assert(unit < 0 || info->unit[unit].segment == segment);
        for (unsigned n = 0; dmar_rmrr_for(info, segment, (uint16_t)bdf, n); n++)
            assert(n < info->nr_rmrrs);
    }
}

/* The fuzzer need not find the checksum: it is made right, unless the input asks for the error. */
static void seal(uint8_t *table, size_t len)
{
    uint32_t l = (uint32_t)len;
    uint8_t sum = 0;

    memcpy(table, "DMAR", 4);
    memcpy(table + 4, &l, 4);
    table[9] = 0;
    for (size_t i = 0; i < len; i++)
        sum = (uint8_t)(sum + table[i]);
    table[9] = (uint8_t)-sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct dmar_info none;
    static struct dmar_info info;
    static uint8_t table[TABLE_MAX];
    uint8_t mode;
    char why[96];

    if (!size || size - 1 > TABLE_MAX)
        return 0;
    mode = data[0];
    bridge_bytes = ++data;
    nr_bridge_bytes = --size;
    memcpy(table, data, size);
    if (size >= 48 && !(mode & 1))
        seal(table, size);
    if (dmar_parse(table, size, &info, why, sizeof(why))) {
        assert(!memcmp(&info, &none, sizeof(info)));
        assert(memchr(why, 0, sizeof(why)));
        return 0;
    }
    check(&info);
    dmar_resolve(&info, cfg_read);
    check(&info);
    return 0;
}
