/* SPDX-License-Identifier: MIT */
/*
 * Model-specific registers as a guest sees them. Registers that belong to a vCPU's state never come here, because the
 * backend lets the guest have them; the others answer from the vCPU's structure, from the local APIC, or with #GP.
 */
#ifndef XL_CPU_MSR_H
#define XL_CPU_MSR_H

#include "cpu/vcpu.h"

/* Boot CPU: what guests see of the machine's registers (microcode level, MTRRs). */
void msr_probe(void);

/* Reset values; the control domain's MTRRs are the machine's. */
void msr_vcpu_init(struct cpu_vcpu *c);

/*
 * RDMSR and WRMSR of the vCPU that is current. 0, or -EPERM: the guest gets #GP(0) and nothing has changed; what is not
 * known is counted in the cpu_domain.
 */
int msr_read(struct cpu_vcpu *c, uint32_t msr, uint64_t *val);
int msr_write(struct cpu_vcpu *c, uint32_t msr, uint64_t val);

/* MTRRs (SDM vol. 3, 12.11): -ENOENT if msr is not one of them, -EPERM for values that hardware refuses. mtrr.c. */
void mtrr_probe(void);
void mtrr_vcpu_init(struct cpu_vcpu *c);
int mtrr_read(const struct cpu_vcpu *c, uint32_t msr, uint64_t *val);
int mtrr_write(struct cpu_vcpu *c, uint32_t msr, uint64_t val);

#endif
