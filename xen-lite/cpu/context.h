/* SPDX-License-Identifier: MIT */
/*
 * A vCPU's registers as a whole, in the public interface's records, for the toolstack: reading
 * them, and setting them after everything in them has been checked.
 */
#ifndef XL_CPU_CONTEXT_H
#define XL_CPU_CONTEXT_H

#include "cpu/vcpu.h"

#include <xen/xen.h>

#include <xen/hvm/save.h>

/*
 * All of these: the vCPU does not run and its state is saved. host_tsc: the machine's TSC at the
 * moment that the record's `tsc` belongs to; one value for all vCPUs of a domain keeps their TSCs
 * together.
 */
void cpu_context_get(const struct cpu_vcpu *c, uint64_t host_tsc, struct hvm_hw_cpu *out);
/* 0, or -EINVAL for state that no processor with this domain's CPUID can be in. Changes nothing. */
int cpu_context_check(const struct cpu_vcpu *c, const struct hvm_hw_cpu *in);
/* `in` has passed the check. What it does not say is as after INIT. */
void cpu_context_set(struct cpu_vcpu *c, uint64_t host_tsc, const struct hvm_hw_cpu *in);

void cpu_mtrr_get(const struct cpu_vcpu *c, struct hvm_hw_mtrr *out);
int cpu_mtrr_check(const struct cpu_vcpu *c, const struct hvm_hw_mtrr *in);
void cpu_mtrr_set(struct cpu_vcpu *c, const struct hvm_hw_mtrr *in);

#endif
