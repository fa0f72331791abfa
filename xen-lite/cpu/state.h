/* SPDX-License-Identifier: MIT */
/*
 * State that stays in a CPU's registers while the hypervisor handles exits, because the hypervisor does not use it: FPU
 * and vector registers, DR0-DR3, TSC_AUX. It changes hands when another vCPU becomes current.
 */
#ifndef XL_CPU_STATE_H
#define XL_CPU_STATE_H

#include "cpu/vcpu.h"

/* Extended state components (XCR0 bits) of this machine that guests may use; 0 where there is no XSAVE. */
extern uint64_t cpu_xcr0_max;

/* Boot CPU: finds out what there is to switch. */
void cpu_state_probe(void);
/* Every CPU: turns on what guests need in CR0 and CR4. */
void cpu_state_init_this(void);

/* Allocates the vCPU's save area with the FPU's reset state. 0 or -ENOMEM. */
int cpu_state_init(struct cpu_vcpu *c);
void cpu_state_destroy(struct cpu_vcpu *c);

/* DR0-DR3 alone, for a reset of the current vCPU. */
void cpu_load_debug(struct cpu_vcpu *c);

/*
 * The vCPU's XCR0. While it is loaded the register itself is asked: QEMU 7.2 knows the intercept of XSETBV but does not
 * take it, so the guest's write may not have been seen.
 */
uint64_t cpu_get_xcr0(const struct cpu_vcpu *c);
/* The guest writes XCR0. 0, or -EINVAL: #GP (SDM vol. 1, 13.3). */
int cpu_set_xcr0(struct cpu_vcpu *c, uint64_t val);
/* The vCPU's TSC_AUX, in its structure and, as it is the current one, in this CPU. */
void cpu_set_tsc_aux(struct cpu_vcpu *c, uint64_t val);

/* XMM register `reg` of the current vCPU, low half first. */
void cpu_get_xmm(struct cpu_vcpu *c, unsigned reg, uint64_t val[2]);
void cpu_set_xmm(struct cpu_vcpu *c, unsigned reg, const uint64_t val[2]);

#endif
