/* SPDX-License-Identifier: MIT */
/*
 * What the emulator's files share: the state of one emulated instruction, and the smallest steps on
 * registers and addresses.
 */
#ifndef XL_CPU_EMULATE_IMPL_H
#define XL_CPU_EMULATE_IMPL_H

#include "cpu/emulate.h"

#define FLAG_CF     BIT(0)
#define FLAG_PF     BIT(2)
#define FLAG_AF     BIT(4)
#define FLAG_ZF     BIT(6)
#define FLAG_SF     BIT(7)
#define FLAG_DF     BIT(10)
#define FLAG_OF     BIT(11)
#define ARITH_FLAGS (FLAG_CF | FLAG_PF | FLAG_AF | FLAG_ZF | FLAG_SF | FLAG_OF)

/* What each step needs; lives on insn_emulate()'s stack. */
struct emul {
    const struct insn *insn;
    struct emul_regs *regs;
    const struct emul_ops *ops;
    void *ctx;
    enum cpu_mode mode;
};

static inline uint64_t mask_of(unsigned size)
{
    return ~0ull >> (64 - 8 * size);
}

static inline uint64_t get_reg(const struct emul_regs *regs, unsigned reg, bool high, unsigned size)
{
    return regs->gpr[reg] >> (high ? 8 : 0) & mask_of(size);
}

static inline void set_reg(struct emul_regs *regs, unsigned reg, bool high, unsigned size,
                           uint64_t val)
{
    uint64_t mask;

    if (size >= 4) {
        regs->gpr[reg] = val & mask_of(size);
        return;
    }
    mask = mask_of(size) << (high ? 8 : 0);
    regs->gpr[reg] = (regs->gpr[reg] & ~mask) | (val << (high ? 8 : 0) & mask);
}

/* Linear address of an offset into a segment (Intel SDM vol 1, 3.4.2.1 and 3.4.4). */
static inline uint64_t linear(const struct emul *e, unsigned seg, uint64_t offset)
{
    if (e->mode == CPU_MODE_64) {
        if (seg >= SEG_FS && e->ops->seg_base)
            offset += e->ops->seg_base(e->ctx, seg);
        return offset;
    }
    if (e->ops->seg_base)
        offset += e->ops->seg_base(e->ctx, seg);
    return (uint32_t)offset;
}

/* The instruction is complete: moves RIP behind it. */
static inline int done(const struct emul *e)
{
    uint64_t rip = e->regs->rip + e->insn->len;

    if (e->mode != CPU_MODE_64)
        rip &= e->mode == CPU_MODE_32 ? 0xffffffff : 0xffff;
    e->regs->rip = rip;
    return EMUL_DONE;
}

/*
 * One operation (INSN_ADD to INSN_TEST, INSN_XADD) on operands of `size` bytes; *flags holds RFLAGS
 * and receives the new ones.
 */
uint64_t emul_arith(unsigned op, uint64_t a, uint64_t b, unsigned size, uint64_t *flags);

/* MOVS to OUTS, with or without REP; results as insn_emulate(). */
int emul_string(const struct emul *e);

#endif
