/* SPDX-License-Identifier: MIT */
/*
 * Root and context tables of a unit: which page table a requester's DMA goes through. An entry is
 * only ever changed between present and not present, never from one table to another while present,
 * so that a unit that reads it half written sees "not present".
 */
#include "iommu/vtd.h"

#include "lib/assert.h"
#include "lib/atomic.h"
#include "lib/errno.h"
#include "lib/leave_out.h"
#include "mm/phys.h"

static uint64_t *context_table(struct vtd_unit *u, uint8_t bus)
{
    uint64_t entry = u->root[bus * 2];

    return entry & ROOT_P ? phys_to_virt(entry & ENTRY_ADDR) : NULL;
}

/*
 * The context entry (two words) of a device, its table made if `create`. NULL: none, or no memory.
 */
static uint64_t *context_entry(struct vtd_unit *u, uint16_t bdf, bool create)
{
    uint8_t bus = (uint8_t)(bdf >> 8);
    uint64_t *table = context_table(u, bus);

    if (!table && create) {
        table = vtd_alloc_table(u, 0);
        if (!table)
            return NULL;
        WRITE_ONCE(u->root[bus * 2], virt_to_phys(table) | ROOT_P);
        vtd_writeback(u, &u->root[bus * 2], 16);
    }
    return table ? &table[(bdf & 0xff) * 2] : NULL;
}

int vtd_context_set(struct vtd_unit *u, uint16_t bdf, paddr_t root, uint16_t did)
{
    uint64_t *entry;

    ASSERT(spin_is_locked(&u->lock));
    ASSERT(did && !(root & ~ENTRY_ADDR));
    if (u->failed)
        return -EIO;
    entry = context_entry(u, bdf, true);
    if (!entry)
        return -ENOMEM;
    ASSERT(!(entry[0] & CTX_P));
    /* 9.3: translation type 00, second-level tables only; AW 1 is three levels, 2 is four */
    WRITE_ONCE(entry[1], CTX_HI(u->levels - 2, did));
    wmb();
    WRITE_ONCE(entry[0], root | CTX_P);
    vtd_writeback(u, entry, 16);
    if (!u->caching_mode)
        return vtd_flush_write_buffer(u);
    /* 6.1: what was not present is cached too, under domain id 0 */
    if (flush_due(FLUSH_CONTEXT_ATTACH))
        vtd_inval_context(u, bdf, 0);
    vtd_inval_fence(u);
    if (flush_due(FLUSH_IOTLB_ATTACH))
        vtd_inval_iotlb_domain(u, did);
    return vtd_inval_wait(u);
}

int vtd_context_clear(struct vtd_unit *u, uint16_t bdf, uint16_t did, bool quiet)
{
    uint64_t *entry = context_entry(u, bdf, quiet);

    ASSERT(spin_is_locked(&u->lock));
    if (!entry)
        return quiet ? -ENOMEM : 0;
    WRITE_ONCE(entry[0], quiet ? CTX_FPD : 0);
    wmb();
    WRITE_ONCE(entry[1], 0);
    vtd_writeback(u, entry, 16);
    if (!did && !u->caching_mode)
        return u->failed ? -EIO : vtd_flush_write_buffer(u);
    /*
     * 6.5.1.1: the IOTLB after the context cache is clean, or it is filled again through the old
     * entry
     */
    if (flush_due(FLUSH_CONTEXT_DETACH))
        vtd_inval_context(u, bdf, did);
    vtd_inval_fence(u);
    if (flush_due(FLUSH_IOTLB_DETACH))
        vtd_inval_iotlb_domain(u, did);
    return vtd_inval_wait(u);
}

bool vtd_context_get(struct vtd_unit *u, uint16_t bdf, paddr_t *root, unsigned *levels,
                     uint16_t *did)
{
    const uint64_t *entry = context_entry(u, bdf, false);

    ASSERT(spin_is_locked(&u->lock));
    if (!entry || !(entry[0] & CTX_P))
        return false;
    *root = entry[0] & ENTRY_ADDR;
    *levels = CTX_HI_AW(entry[1]) + 2;
    *did = CTX_HI_DID(entry[1]);
    return true;
}
