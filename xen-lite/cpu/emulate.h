/* SPDX-License-Identifier: MIT */
/*
 * Executes a decoded instruction whose memory operand is emulated: registers and flags change as
 * on hardware, memory goes through callbacks.  Neither the kind of memory nor the CPU vendor is
 * known here.
 */
#ifndef XL_CPU_EMULATE_H
#define XL_CPU_EMULATE_H

#include "cpu/decode.h"
#include "lib/types.h"

struct emul_regs {
    uint64_t gpr[16]; /* as encoded: rax rcx rdx rbx rsp rbp rsi rdi r8..r15 */
    uint64_t rip, rflags;
};

/*
 * Callbacks.  `addr` is a linear address: effective address plus segment base, cut to 32 bits
 * outside of 64-bit mode.  Whoever knows the physical address of the only memory operand (from
 * the nested page fault) may ignore it.  `size` is 1, 2, 4 or 8; values are zero extended.
 * Each returns 0, or a negative errno, which insn_emulate() hands on with no register changed.
 */
struct emul_ops {
    int (*read)(void *ctx, uint64_t addr, unsigned size, uint64_t *val);
    int (*write)(void *ctx, uint64_t addr, unsigned size, uint64_t val);
    /*
     * Atomic compare and exchange for LOCKed read-modify-write: *old (what was read before) must
     * still be there for `val` to be written; returns -EAGAIN otherwise, and the instruction
     * starts anew.  May be NULL (plain write then: right for device registers).
     */
    int (*cmpxchg)(void *ctx, uint64_t addr, unsigned size, uint64_t old, uint64_t val);
    /* Segment bases (enum insn_seg).  NULL: all are 0.  Not asked for CS..DS in 64-bit mode. */
    uint64_t (*seg_base)(void *ctx, unsigned seg);
    /* xmm registers, val[0] is the low half.  NULL: SSE moves are not supported. */
    void (*get_xmm)(void *ctx, unsigned reg, uint64_t val[2]);
    void (*set_xmm)(void *ctx, unsigned reg, const uint64_t val[2]);
    /* Ports for INS and OUTS.  NULL: not supported. */
    int (*port_in)(void *ctx, uint16_t port, unsigned size, uint64_t *val);
    int (*port_out)(void *ctx, uint16_t port, unsigned size, uint64_t val);
};

/* Iterations of a REP string instruction that one call makes at most. */
#define EMUL_MAX_REPS 64

enum emul_result {
    EMUL_DONE = 0,  /* RIP is behind the instruction */
    EMUL_AGAIN = 1, /* a REP string instruction has iterations left: RIP unchanged, run it again */
};

/*
 * Executes `insn` with the registers in *regs.  EMUL_DONE, EMUL_AGAIN, a callback's error, or
 * -EOPNOTSUPP for an instruction that this file does not execute (nothing has been changed).
 * After an error of a REP string instruction the registers show the iterations done before it.
 */
int insn_emulate(const struct insn *insn, enum cpu_mode mode, struct emul_regs *regs,
                 const struct emul_ops *ops, void *ctx);

/* Linear address of the ModRM or moffs operand. */
uint64_t insn_mem_addr(const struct insn *insn, enum cpu_mode mode, const struct emul_regs *regs,
                       const struct emul_ops *ops, void *ctx);

/* Reads or writes a general register as an operand of `size` bytes; 4 bytes zero the upper half. */
uint64_t emul_get_reg(const struct emul_regs *regs, unsigned reg, bool high, unsigned size);
void emul_set_reg(struct emul_regs *regs, unsigned reg, bool high, unsigned size, uint64_t val);

#endif
