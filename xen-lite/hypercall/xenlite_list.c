/* SPDX-License-Identifier: MIT */
/* Lists for the callers of xenlite_op. */
#include "hypercall/xenlite_list.h"

#include "cpu/guest_mem.h"
#include "lib/errno.h"
#include "lib/string.h"

/* Bytes of a piece, on the stack. */
#define PIECE 1024u
/* Bound of one call; callers come back for more. */
#define ENTRIES_MAX 8192u

void *list_next(struct list_piece *p)
{
    unsigned n = p->total++;
    void *entry = p->at + p->nr * p->size;

    if (n < p->from || p->nr == p->room)
        return NULL;
    p->nr++;
    memset(entry, 0, p->size);
    return entry;
}

long list_to_guest(struct vcpu *v, struct xenlite_list *list, size_t entry_size, list_fill_fn fill,
                   void *arg)
{
    uint64_t piece[PIECE / 8];
    uint32_t max = MIN(list->max, ENTRIES_MAX);
    struct list_piece p = { .at = (uint8_t *)piece, .size = entry_size };

    if (list->entry_size != entry_size || entry_size > sizeof(piece))
        return -EINVAL;
    list->nr = 0;
    do {
        p.from = list->first + list->nr;
        p.room = MIN(max - list->nr, (unsigned)(sizeof(piece) / entry_size));
        p.total = p.nr = 0;
        if (p.from < list->first)
            return -EINVAL;
        fill(&p, arg);
        if (copy_to_guest(v, list->buffer + list->nr * entry_size, piece, p.nr * entry_size))
            return -EFAULT;
        list->nr += p.nr;
    } while (p.nr && list->nr < max);
    list->total = p.total;
    return 0;
}
