/* SPDX-License-Identifier: MIT */
/*
 * Lists and structures that xenlite_op's handlers give to their caller. A list is made in small
 * pieces on the stack, so that no lock is held while guest memory is written.
 */
#ifndef XL_HYPERCALL_XENLITE_LIST_H
#define XL_HYPERCALL_XENLITE_LIST_H

#include "include/xenlite/trace.h"
#include "lib/types.h"

struct vcpu;

/* One piece of a list under way: what the filler is asked for and what it answers. */
struct list_piece {
    unsigned from, room; /* entries to leave out, entries that fit */
    unsigned total;      /* OUT: entries that there are */
    unsigned nr;         /* OUT: entries put */
    uint8_t *at;
    size_t size;
};

/* For the filler, once an entry: NULL when this one is not wanted, else zeroed room for it. */
void *list_next(struct list_piece *p);

typedef void (*list_fill_fn)(struct list_piece *p, void *arg);

/*
 * Checks *list and copies what fill() puts, piece by piece; fill() goes through the whole list each
 * time. 0, -EINVAL (entry_size), -EFAULT.
 */
long list_to_guest(struct vcpu *v, struct xenlite_list *list, size_t entry_size, list_fill_fn fill,
                   void *arg);

#endif
