/* SPDX-License-Identifier: MIT */
/*
 * Pinned guest memory, see guest_page.h.
 */
#include "hypercall/guest_page.h"

#include "cpu/guest_mem.h"
#include "domain/domain.h"
#include "lib/assert.h"
#include "lib/errno.h"
#include "lib/string.h"
#include "mm/phys.h"

int guest_page_map(struct domain *d, uint64_t gfn, struct guest_page *gp)
{
    enum p2m_type type;
    uint64_t mfn = p2m_get_frame(&d->p2m, gfn, true, &type);

    if (mfn == INVALID_MFN)
        return -EINVAL;
    /* Only the domain's own memory: what belongs to others may not outlive their consent. */
    if (type != P2M_RAM_RW) {
        p2m_put_frame(mfn);
        return -EINVAL;
    }
    gp->va = mfn_to_virt(mfn);
    gp->mfn = mfn;
    gp->d = d;
    __atomic_fetch_add(&d->pinned, 1, __ATOMIC_RELAXED);
    return 0;
}

void guest_page_unmap(struct guest_page *gp)
{
    if (!gp->va)
        return;
    __atomic_fetch_sub(&gp->d->pinned, 1, __ATOMIC_RELAXED);
    p2m_put_frame(gp->mfn);
    *gp = (struct guest_page){ 0 };
}

int guest_area_map(struct vcpu *v, uint64_t gva, uint32_t length, struct guest_area *area)
{
    struct guest_area new = { .offset = (uint32_t)(gva & ~PAGE_MASK), .length = length };
    unsigned pages = new.offset + length > PAGE_SIZE ? 2 : 1;
    uint64_t gpa;
    int rc;

    if (length == 0 || length > PAGE_SIZE)
        return -EINVAL;
    for (unsigned i = 0; i < pages; i++) {
        rc = guest_gva_to_gpa(&v->cpu, (gva & PAGE_MASK) + i * PAGE_SIZE, GUEST_WRITE, &gpa, NULL);
        if (rc == 0)
            rc = guest_page_map(v->domain, gpa >> PAGE_SHIFT, &new.page[i]);
        if (rc < 0) {
            guest_page_unmap(&new.page[0]);
            return rc;
        }
    }
    *area = new;
    return 0;
}

void guest_area_unmap(struct guest_area *area)
{
    guest_page_unmap(&area->page[0]);
    guest_page_unmap(&area->page[1]);
    area->length = 0;
}

void guest_area_write(const struct guest_area *area, uint32_t offset, const void *src, uint32_t len)
{
    uint32_t at = area->offset + offset;
    uint32_t first = at < PAGE_SIZE ? MIN(len, (uint32_t)PAGE_SIZE - at) : 0;

    ASSERT(offset <= area->length && len <= area->length - offset);
    if (first)
        memcpy((uint8_t *)area->page[0].va + at, src, first);
    if (first < len) {
        at = first ? 0 : at - (uint32_t)PAGE_SIZE;
        memcpy((uint8_t *)area->page[1].va + at, (const uint8_t *)src + first, len - first);
    }
}

void *guest_area_ptr(const struct guest_area *area, uint32_t offset, uint32_t len)
{
    uint32_t at = area->offset + offset;

    ASSERT(offset <= area->length && len <= area->length - offset);
    if (at % len || (at < PAGE_SIZE && at + len > PAGE_SIZE))
        return NULL;
    return at < PAGE_SIZE ? (uint8_t *)area->page[0].va + at
                          : (uint8_t *)area->page[1].va + at - PAGE_SIZE;
}
