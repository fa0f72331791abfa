/* SPDX-License-Identifier: MIT */
/*
 * Guest memory that the hypervisor keeps a pointer into for longer than one hypercall: event
 * channel pages, vcpu_info, runstate and time areas. A reference pins the frame, so a guest that
 * later unmaps the page only loses sight of it. The content stays hostile: read once, check, never
 * trust twice.
 */
#ifndef XL_HYPERCALL_GUEST_PAGE_H
#define XL_HYPERCALL_GUEST_PAGE_H

#include "lib/types.h"

struct domain;
struct vcpu;
struct page;

/* One pinned page of a guest. va is NULL while nothing is mapped. */
struct guest_page {
    void *va;         /* start of the page in the hypervisor's direct map */
    uint64_t mfn;     /* the pinned frame, valid while va is set */
    struct domain *d; /* whose it is; outlives its pins */
};

/*
 * A linear range of a guest, resolved once, of at most one page in length: it touches one or two
 * pages.
 */
struct guest_area {
    struct guest_page page[2];
    uint32_t offset; /* of the first byte in page[0] */
    uint32_t length; /* bytes; 0 while nothing is registered */
};

/*
 * Pins the writable RAM page at gfn of d and fills *gp. Returns 0, -EINVAL when gfn is not ordinary
 * writable RAM. Nothing changes on failure. The caller serialises use of *gp.
 */
int guest_page_map(struct domain *d, uint64_t gfn, struct guest_page *gp);

/* Drops the pin; harmless on an empty one. */
void guest_page_unmap(struct guest_page *gp);

/*
 * Resolves [gva, gva + length) through v's page tables as they are now and pins it. v must be the
 * calling vCPU. Returns 0, -EINVAL for a length of 0 or above one page, -EFAULT when a part is not
 * mapped, or guest_page_map()'s error.
 */
int guest_area_map(struct vcpu *v, uint64_t gva, uint32_t length, struct guest_area *area);
void guest_area_unmap(struct guest_area *area);

/* Copies len bytes to `offset` within the area. Out of range parts are a bug of the caller. */
void guest_area_write(const struct guest_area *area, uint32_t offset, const void *src,
                      uint32_t len);

/* A pointer to len bytes (a power of two) of the area if they are aligned to len, else NULL. */
void *guest_area_ptr(const struct guest_area *area, uint32_t offset, uint32_t len);

#endif
