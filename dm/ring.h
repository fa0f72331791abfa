/* SPDX-License-Identifier: MIT */
/*
 * The console ring that a guest shares with us (xen/io/console.h). The page is the guest's: every index in
 * it may change at any moment to any value. Our own two indexes are therefore kept here and only
 * published there, and the guest's two are read once an operation and checked before use.
 */
#ifndef DM_RING_H
#define DM_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <xen/io/console.h>

struct console_ring {
    struct xencons_interface *page;
    uint32_t out_cons; /* how far we have read the guest's output */
    uint32_t in_prod;  /* how far we have written its input */
    bool broken;       /* the guest's indexes made no sense; nothing is read or written any more */
};

/* Takes over the ring in page with the indexes it has, so that what a predecessor left is read. */
void ring_attach(struct console_ring *ring, struct xencons_interface *page);

/*
 * Copies what the guest has written, at most size bytes, and leaves it in the ring. Returns the number of bytes, or -1 if
 * the ring is broken.
 */
int ring_peek(struct console_ring *ring, char *buf, size_t size);
/* Tells the guest that n bytes, which ring_peek() gave, were read; the caller sends the event. */
void ring_done(struct console_ring *ring, uint32_t n);

/* Bytes of input the guest has room for; 0 if the ring is, or proves to be, broken. */
size_t ring_space(struct console_ring *ring);

/* Writes as much of buf as there is room for and returns how much that was. */
size_t ring_write(struct console_ring *ring, const char *buf, size_t len);

#endif
