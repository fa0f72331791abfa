/* SPDX-License-Identifier: MIT */
/* Copies between a guest's console ring and our buffers; see ring.h for what may be trusted. */
#include "dm/ring.h"

#include <string.h>

void ring_attach(struct console_ring *ring, struct xencons_interface *page)
{
    *ring = (struct console_ring){
        .page = page,
        .out_cons = __atomic_load_n(&page->out_cons, __ATOMIC_RELAXED),
        .in_prod = __atomic_load_n(&page->in_prod, __ATOMIC_RELAXED),
    };
}

int ring_peek(struct console_ring *ring, char *buf, size_t size)
{
    struct xencons_interface *page = ring->page;
    uint32_t used, start, first;

    if (ring->broken)
        return -1;
    /* Acquire: the bytes are read after the index that announces them. */
    used = __atomic_load_n(&page->out_prod, __ATOMIC_ACQUIRE) - ring->out_cons;
    if (used > sizeof(page->out)) {
        ring->broken = true;
        return -1;
    }
    if (used > size)
        used = (uint32_t)size;
    if (!used)
        return 0;
    start = MASK_XENCONS_IDX(ring->out_cons, page->out);
    first = (uint32_t)sizeof(page->out) - start;
    if (first > used)
        first = used;
    memcpy(buf, page->out + start, first);
    memcpy(buf + first, page->out, used - first);
    return (int)used;
}

void ring_done(struct console_ring *ring, uint32_t n)
{
    ring->out_cons += n;
    /* Release: the guest may overwrite the bytes only once they are copied. */
    __atomic_store_n(&ring->page->out_cons, ring->out_cons, __ATOMIC_RELEASE);
}

size_t ring_space(struct console_ring *ring)
{
    struct xencons_interface *page = ring->page;
    uint32_t used;

    if (ring->broken)
        return 0;
    used = ring->in_prod - __atomic_load_n(&page->in_cons, __ATOMIC_ACQUIRE);
    if (used > sizeof(page->in)) {
        ring->broken = true;
        return 0;
    }
    return sizeof(page->in) - used;
}

size_t ring_write(struct console_ring *ring, const char *buf, size_t len)
{
    struct xencons_interface *page = ring->page;
    size_t space = ring_space(ring), start, first;

    if (len > space)
        len = space;
    if (!len)
        return 0;
    start = MASK_XENCONS_IDX(ring->in_prod, page->in);
    first = sizeof(page->in) - start;
    if (first > len)
        first = len;
    memcpy(page->in + start, buf, first);
    memcpy(page->in, buf + first, len - first);
    ring->in_prod += (uint32_t)len;
    __atomic_store_n(&page->in_prod, ring->in_prod, __ATOMIC_RELEASE);
    return len;
}
