/* SPDX-License-Identifier: MIT */
/*
 * A nested page table walk after the AMD APM, volume 2: 5.3 (long mode formats), 15.25.6 (nested
 * walks are user accesses), 15.25.8 (memory types), and the accessed and dirty bits that the
 * processor sets as it walks (5.4.2).
 */
#include "mm/phys.h"
#include "walk.h"

#define P       (1ull << 0)
#define RW      (1ull << 1)
#define US      (1ull << 2)
#define PWT     (1ull << 3)
#define PCD     (1ull << 4)
#define A       (1ull << 5)
#define D       (1ull << 6)
#define PS      (1ull << 7)
#define NX      (1ull << 63)
#define ADDRESS 0x000ffffffffff000ull

static unsigned pat_index(uint64_t e, unsigned pat_bit)
{
    return (e & PWT ? 1u : 0) | (e & PCD ? 2u : 0) | ((e >> pat_bit) & 1 ? 4u : 0);
}

struct walk_out walk_npt(uint64_t root, uint64_t gpa, bool write, bool set_ad)
{
    static const unsigned shift_of[] = { 0, 12, 21, 30, 39 };
    struct walk_out o = { .status = WALK_OK, .r = true, .w = true, .x = true };
    uint64_t *path[5];
    unsigned l = 4;

    for (uint64_t table = root;; l--) {
        uint64_t e;

        path[l] = (uint64_t *)phys_to_virt(table) + ((gpa >> shift_of[l]) & 511);
        e = *path[l];
        if (!(e & P) || !(e & US)) {
            o.status = WALK_NOT_PRESENT;
            return o;
        }
        if (l == 4 && (e & (PS | (1ull << 8)))) {
            o.status = WALK_MALFORMED;
            return o;
        }
        o.w &= !!(e & RW);
        o.x &= !(e & NX);
        table = e & ADDRESS;
        if (l > 1 && !((l < 4) && (e & PS)))
            continue;
        /* Below a large page's size only the PAT bit (12) may be set. */
        if (l > 1 && (table & ((1ull << shift_of[l]) - 1) & ~(1ull << 12))) {
            o.status = WALK_MALFORMED;
            return o;
        }
        o.memtype = pat_index(e, l == 1 ? 7 : 12);
        o.page_shift = shift_of[l];
        o.hpa = (table & ~((1ull << shift_of[l]) - 1)) | (gpa & ((1ull << shift_of[l]) - 1));
        break;
    }
    if (set_ad) {
        for (unsigned i = l; i <= 4; i++)
            *path[i] |= A;
        if (write && o.w)
            *path[l] |= D;
    }
    return o;
}
