/* SPDX-License-Identifier: MIT */
/*
 * Dispatch of hypercalls by number, and the convention for long ones.
 */
#ifndef XL_HYPERCALL_HYPERCALL_H
#define XL_HYPERCALL_HYPERCALL_H

#include "lib/types.h"

struct vcpu;

/*
 * A handler that has done a bounded part of its work stores its progress in the guest's argument registers with
 * hypercall_set_arg() (or in the guest's own structures) and returns this. The guest stays on its call instruction and
 * calls again; interrupts are served in between. No error number has this value.
 */
#define HYPERCALL_RESTART (-1000000L)

/* The handler's work is done but rip must not move and rax stay: the vCPU's state was replaced. */
#define HYPERCALL_NO_RETURN (-1000001L)

/* Argument n (1..5) as the guest passes it: rdi, rsi, rdx, r10, r8 in 64-bit mode, ebx, ecx, edx, esi, edi else. */
void hypercall_set_arg(struct vcpu *v, unsigned n, uint64_t val);

/* One call by number with explicit arguments, as multicall makes them. Result or HYPERCALL_*. */
long hypercall_call(struct vcpu *v, uint64_t nr, const uint64_t arg[5]);

/* True when long work should pause: something waits for this CPU. */
bool hypercall_preempt(struct vcpu *v);

#define HYPERCALL_MAX 64
/* How often call number nr was made, and how often it was answered -ENOSYS. Relaxed counters. */
uint64_t hypercall_count(unsigned nr, uint64_t *unknown);

#endif
