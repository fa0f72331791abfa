/* SPDX-License-Identifier: MIT */
/*
 * Between memory.c (dispatch, reservations) and physmap.c (what appears where in a domain's space).
 */
#ifndef XL_HYPERCALL_PHYSMAP_H
#define XL_HYPERCALL_PHYSMAP_H

#include "lib/types.h"

struct vcpu;

/*
 * Continuation of memory_op: extents done so far live above the command's bits (public/memory.h).
 */
#define MEMOP_CMD_BITS  6
#define MEMOP_CMD_MASK  ((1u << MEMOP_CMD_BITS) - 1)
#define MEMOP_START_MAX (~0U >> MEMOP_CMD_BITS)

/* "Call again from extent start": moves the guest's first argument. Returns HYPERCALL_RESTART. */
long memory_restart(struct vcpu *v, unsigned cmd, uint64_t start);

/* The sub-operations: arg is a linear address; start: extents finished by earlier calls. */
long memory_add_to_physmap(struct vcpu *v, uint64_t arg, uint64_t start);
long memory_add_to_physmap_batch(struct vcpu *v, uint64_t arg, uint64_t start);
long memory_remove_from_physmap(struct vcpu *v, uint64_t arg);
long memory_acquire_resource(struct vcpu *v, uint64_t arg, uint64_t start);

#endif
