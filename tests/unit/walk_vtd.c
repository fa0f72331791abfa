/* SPDX-License-Identifier: MIT */
/*
 * A VT-d second-level walk in legacy mode after the VT-d specification: 3.6 and 3.7 for the walk,
 * 9.8 for the formats of SL-PML4E, SL-PDPE, SL-PDE and SL-PTE. The unit is a strict one: no snoop
 * control, no transient mappings, no execute requests.
 */
#include "mm/phys.h"
#include "walk.h"

enum { SL_READ = 1 << 0, SL_WRITE = 1 << 1, SL_SIZE = 1 << 7, SL_SNOOP = 1 << 11 };

static uint64_t mask_bits(unsigned from, unsigned to)
{
    uint64_t m = 0;

    for (unsigned b = from; b <= to; b++)
        m |= (uint64_t)1 << b;
    return m;
}

static uint64_t must_be_zero(unsigned level, uint64_t e, unsigned haw)
{
    uint64_t m = mask_bits(haw, 51) | SL_SNOOP | ((uint64_t)1 << 62);

    if (level == 4)
        m |= SL_SIZE;
    if (level == 3 && (e & SL_SIZE))
        m |= mask_bits(12, 29);
    if (level == 2 && (e & SL_SIZE))
        m |= mask_bits(12, 20);
    return m;
}

struct walk_out walk_vtd(uint64_t root, uint64_t iova, unsigned levels, unsigned haw)
{
    struct walk_out out = { .status = WALK_OK, .r = true, .w = true };
    unsigned width = 12 + 9 * levels;
    uint64_t base = root;

    if (iova >> width) {
        out.status = WALK_NOT_PRESENT; /* beyond the adjusted guest address width */
        return out;
    }
    for (unsigned level = levels;; level--) {
        unsigned low = 12 + 9 * (level - 1);
        uint64_t e = ((const uint64_t *)phys_to_virt(base))[iova << (64 - low - 9) >> 55];

        if (!(e & (SL_READ | SL_WRITE))) {
            out.status = WALK_NOT_PRESENT;
            return out;
        }
        if (e & must_be_zero(level, e, haw)) {
            out.status = WALK_MALFORMED;
            return out;
        }
        out.r = out.r && (e & SL_READ);
        out.w = out.w && (e & SL_WRITE);
        base = e & mask_bits(12, haw - 1);
        if (level == 1 || (level < 4 && (e & SL_SIZE))) {
            out.page_shift = low;
            out.hpa = base + (iova & mask_bits(0, low - 1));
            return out;
        }
    }
}
