/* SPDX-License-Identifier: MIT */
/*
 * The encoding of p2m entries: one 64-bit value that three walkers understand.
 *
 *   bit     EPT (SDM vol. 3, 29.3.2)    VT-d (spec 9.8)                 nested paging (APM 2, 15.25)
 *   0       read                        read                            present
 *   1       write                       write                           writable
 *   2       execute                     ignored (legacy mode)           user (every nested walk is one)
 *   5:3     leaf: memory type           ignored (legacy mode)           PWT, PCD, accessed
 *   6       leaf: ignore guest PAT      ignored                         dirty
 *   7       page size                   page size                       page size (4 KiB leaf: PAT)
 *   8, 9    accessed, dirty if enabled  ignored                         global, available
 *   10      ignored                     ignored                         available
 *   11      ignored                     snoop: reserved without SC      available
 *   51:12   address                     address (reserved above width)  address
 *   56:52   ignored                     ignored                         available
 *   62:57   features that are off       61:57 ignored, 62 reserved      protection key, off
 *   63      suppress #VE                ignored                         no execute
 *
 * So read, write and execute are bits 0, 1 and 2 with execute always set (nested paging needs the
 * user bit); an entry that denies reading is not used (write without read is an EPT
 * misconfiguration). Intermediate entries are address | 7: EPT reserves their bits 7:3, and nested
 * paging sets accessed there by itself, which no walker on the same machine minds. Bits 56:52 hold
 * our type; QEMU's VT-d takes them too, and would refuse bit 11 and bit 62.
 *
 * Bits 5:3 are the one place where the CPU's flavour matters. EPT wants a memory type: WB is 6, UC
 * is 0. Nested paging reads the same bits as PWT and PCD, where WB is 0 and UC- (the guest may make
 * it WC) is PCD. VT-d ignores them. Entries are well formed for all walkers either way;
 * p2m_set_nested_paging() says which meaning is the right one. Hardware sets bits 5 and 6 (nested
 * paging) or 8 and 9 (EPT, when enabled) as it walks, so comparisons leave them out.
 */
#ifndef XL_P2M_FORMAT_H
#define XL_P2M_FORMAT_H

#include "p2m/p2m.h"

#define ENTRY_R          BIT(0)
#define ENTRY_W          BIT(1)
#define ENTRY_X          BIT(2)
#define ENTRY_RWX        (ENTRY_R | ENTRY_W | ENTRY_X)
#define ENTRY_MT_SHIFT   3
#define ENTRY_MT_MASK    GENMASK(5, 3)
#define ENTRY_PS         BIT(7)
#define ENTRY_ADDR       GENMASK(51, 12)
#define ENTRY_TYPE_SHIFT 52
#define ENTRY_TYPE_MASK  GENMASK(56, 52)
/* What hardware may set behind our back. */
#define ENTRY_HW (BIT(5) | BIT(6) | BIT(8) | BIT(9))

#define MT_UC 0ULL
#define MT_WB 6ULL
#define LEAF_PCD   BIT(4)

#define ENTRIES    512u
#define LEVEL_BITS 9u

/* Level 1 holds 4 KiB leaves, level 4 is the root. */
static inline unsigned level_order(unsigned level)
{
    return (level - 1) * LEVEL_BITS;
}

static inline unsigned order_level(unsigned order)
{
    return order / LEVEL_BITS + 1;
}

static inline unsigned entry_index(uint64_t gfn, unsigned level)
{
    return (unsigned)(gfn >> level_order(level)) & (ENTRIES - 1);
}

static inline bool entry_present(uint64_t e)
{
    return e & ENTRY_RWX;
}

static inline bool entry_is_leaf(uint64_t e, unsigned level)
{
    return entry_present(e) && (level == 1 || (e & ENTRY_PS));
}

static inline bool entry_is_table(uint64_t e, unsigned level)
{
    return entry_present(e) && level > 1 && !(e & ENTRY_PS);
}

static inline uint64_t entry_mfn(uint64_t e)
{
    return (e & ENTRY_ADDR) >> PAGE_SHIFT;
}

static inline enum p2m_type entry_type(uint64_t e)
{
    return (enum p2m_type)((e & ENTRY_TYPE_MASK) >> ENTRY_TYPE_SHIFT);
}

static inline uint64_t entry_make_table(uint64_t mfn)
{
    return (mfn << PAGE_SHIFT) | ENTRY_RWX;
}

/* Whether two leaves say the same, apart from what hardware has set. */
static inline bool entry_same(uint64_t a, uint64_t b)
{
    return ((a ^ b) & ~ENTRY_HW) == 0;
}

/* A leaf at `level` for mfn. nested_paging: see above. */
static inline uint64_t entry_make_leaf(uint64_t mfn, unsigned level, enum p2m_type type,
                                       bool nested_paging)
{
    uint64_t e = (mfn << PAGE_SHIFT) | ((uint64_t)type << ENTRY_TYPE_SHIFT) | ENTRY_R | ENTRY_X;
    bool uncached = type == P2M_MMIO_DIRECT;

    if (p2m_type_writable(type))
        e |= ENTRY_W;
    if (nested_paging)
        e |= uncached ? LEAF_PCD : 0;
    else
        e |= (uncached ? MT_UC : MT_WB) << ENTRY_MT_SHIFT;
    if (level > 1)
        e |= ENTRY_PS;
    return e;
}

#endif
