/* SPDX-License-Identifier: MIT */
/*
 * What happens after an exit: one function a reason, the same for every backend. A backend decodes its own exit code,
 * calls one of these with c->regs current, and re-enters. The second half names what this layer needs from those that
 * tie things together (hypercall/, sched/, domain/, vdev/).
 */
#ifndef XL_CPU_EXIT_H
#define XL_CPU_EXIT_H

#include "cpu/vcpu.h"

/* A port access in one word; rights have been checked by the CPU. */
#define CPU_PIO_IN BIT(0)
#define CPU_PIO_STRING BIT(2)           /* INS or OUTS: decoded and emulated as a whole */
#define CPU_PIO_SIZE(a) ((a) >> 4 & 7u) /* 1, 2 or 4 */
#define CPU_PIO_PORT(a) ((uint16_t)((a) >> 16))

/* Why a guest-physical access did not go through (second-level fault). */
struct cpu_npf {
    uint64_t gpa;
    bool write;
    bool fetch;
    bool present;         /* a mapping exists but forbids this access */
    bool table_walk;      /* the guest's own page tables lie there */
};

/* len: instruction length in bytes. */
void exit_cpuid(struct cpu_vcpu *c, unsigned len);
void exit_rdmsr(struct cpu_vcpu *c, unsigned len);
void exit_wrmsr(struct cpu_vcpu *c, unsigned len);
void exit_hlt(struct cpu_vcpu *c, unsigned len);
void exit_hypercall(struct cpu_vcpu *c, unsigned len);
void exit_xsetbv(struct cpu_vcpu *c, unsigned len);
/* MOV to CR8 from register `gpr`. */
void exit_set_cr8(struct cpu_vcpu *c, unsigned gpr, unsigned len);
void exit_cache_flush(struct cpu_vcpu *c, unsigned len);
void exit_pause(struct cpu_vcpu *c, unsigned len);
void exit_rdpmc(struct cpu_vcpu *c);
/*
 * Ports that exit but that no trap region covers read as ones and ignore writes. Where a region's handler returns
 * TRAP_NONE, the control domain's access goes to the machine.
 */
void exit_pio(struct cpu_vcpu *c, uint32_t access, uint64_t next_rip);
void exit_npf(struct cpu_vcpu *c, const struct cpu_npf *npf);
/* An instruction that guests do not have. */
void exit_undefined(struct cpu_vcpu *c);
void exit_shutdown(struct cpu_vcpu *c);
/* A task switch through a task gate or TSS: not emulated, the domain is stopped with a message. */
void exit_task_switch(struct cpu_vcpu *c);
/* The backend found its state inconsistent or an exit it does not know: the domain is stopped. */
void exit_internal(struct cpu_vcpu *c, const char *what, uint64_t code);

/*
 * One access to a port through the trap registry. 0 and *val for a read; -1: not decided yet (a device model has it),
 * run the instruction again.
 */
int cpu_port_access(struct cpu_vcpu *c, uint16_t port, unsigned size, bool write, uint64_t *val);

/*
 * Decodes and executes the guest's instruction at rip, whose memory operand at guest-physical address gpa (~0: unknown)
 * or whose port is not the guest's own. Faults that this raises are injected. cpu/mmio.c.
 */
void cpu_emulate(struct cpu_vcpu *c, uint64_t gpa);

/* ---- needed from above ---- */

/*
 * hypercall/: number in rax, arguments in registers, result to rax. Called with rip still on the call instruction.
 * Returns true when done (the caller moves rip on), false to leave rip where it is (continuation, or replaced state).
 */
bool hypercall_dispatch(struct vcpu *v);
/* sched/: the guest executed HLT; rip is past it. interrupts: RFLAGS.IF. */
void vcpu_halt(struct vcpu *v, bool interrupts);
/* vdev/: v wrote something that a device model has to decide on, and does not run before it has. */
bool vcpu_is_waiting(const struct vcpu *v);
/* sched/: PAUSE loop seen. */
void vcpu_spin_hint(struct vcpu *v);
/* domain/: stop the whole domain as crashed, message to the log; never returns to the guest. */
void vcpu_crash(struct vcpu *v, const char *fmt, ...) __printf(2, 3);
/* domain/: triple fault: the guest asked for a reset. */
void vcpu_triple_fault(struct vcpu *v);
#endif
