/* SPDX-License-Identifier: MIT */
/*
 * An EPT walk after the Intel SDM, volume 3: tables 29-1 to 29-7 for the formats, 29.3.3.1 for what
 * is a misconfiguration.
 */
#include "mm/phys.h"
#include "walk.h"

#define FIELD(v, hi, lo) (((v) >> (lo)) & ((1ull << ((hi) - (lo) + 1)) - 1))

static struct walk_out result(enum walk_status status)
{
    struct walk_out o = { .status = status };

    return o;
}

/* Which bits must be zero in an entry at this level (4: PML4E ... 1: PTE). */
static bool reserved_bits_set(uint64_t e, int level, bool leaf, unsigned maxphyaddr)
{
    if (maxphyaddr < 52 && FIELD(e, 51, maxphyaddr))
        return true;
    if (level == 4)
        return FIELD(e, 7, 3) != 0;
    if (level == 3 && leaf)
        return FIELD(e, 29, 12) != 0;
    if (level == 2 && leaf)
        return FIELD(e, 20, 12) != 0;
    if (!leaf)
        return FIELD(e, 6, 3) != 0;
    return false;
}

static bool bad_memory_type(unsigned mt)
{
    return mt == 2 || mt == 3 || mt == 7;
}

struct walk_out walk_ept(uint64_t root, uint64_t gpa, unsigned maxphyaddr)
{
    struct walk_out o = { .r = true, .w = true, .x = true };
    uint64_t table = root;

    if (gpa >> 48)
        return result(WALK_NOT_PRESENT);
    for (int level = 4; level >= 1; level--) {
        unsigned shift = 12 + 9 * (unsigned)(level - 1);
        const uint64_t *t = phys_to_virt(table);
        uint64_t e = t[(gpa >> shift) & 0x1ff];
        bool leaf = level == 1 || (level < 4 && FIELD(e, 7, 7));

        if (FIELD(e, 2, 0) == 0)
            return result(WALK_NOT_PRESENT);
        /* Writable but not readable. */
        if (FIELD(e, 1, 0) == 2)
            return result(WALK_MALFORMED);
        if (reserved_bits_set(e, level, leaf, maxphyaddr))
            return result(WALK_MALFORMED);
        o.r &= FIELD(e, 0, 0);
        o.w &= FIELD(e, 1, 1);
        o.x &= FIELD(e, 2, 2);
        table = FIELD(e, 51, 12) << 12;
        if (leaf) {
            o.memtype = (unsigned)FIELD(e, 5, 3);
            if (bad_memory_type(o.memtype))
                return result(WALK_MALFORMED);
            o.page_shift = shift;
            o.hpa = table | (gpa & ((1ull << shift) - 1));
            return o;
        }
    }
    return result(WALK_MALFORMED);
}
