/* SPDX-License-Identifier: MIT */
/*
 * Executes instructions on emulated memory.  Order matters everywhere: memory is accessed first and
 * registers change last, so that a callback's error leaves the guest as it was.
 */
#include "cpu/emulate_impl.h"

#include "lib/errno.h"

uint64_t emul_get_reg(const struct emul_regs *regs, unsigned reg, bool high, unsigned size)
{
    return get_reg(regs, reg, high, size);
}

void emul_set_reg(struct emul_regs *regs, unsigned reg, bool high, unsigned size, uint64_t val)
{
    set_reg(regs, reg, high, size, val);
}

/* Effective address, not yet cut to the address size. */
static inline uint64_t effective(const struct emul *e)
{
    const struct insn *insn = e->insn;
    uint64_t ea = (uint64_t)insn->disp;

    if (insn->base < REG_NONE)
        ea += e->regs->gpr[insn->base];
    else if (insn->base == REG_RIP)
        ea += e->regs->rip + insn->len;
    if (insn->index < REG_NONE)
        ea += e->regs->gpr[insn->index] << insn->scale;
    return ea;
}

static inline uint64_t operand(const struct emul *e)
{
    return linear(e, e->insn->seg, effective(e) & mask_of(e->insn->addrsize));
}

uint64_t insn_mem_addr(const struct insn *insn, enum cpu_mode mode, const struct emul_regs *regs,
                       const struct emul_ops *ops, void *ctx)
{
    struct emul e = { insn, (struct emul_regs *)(uintptr_t)regs, ops, ctx, mode };

    return operand(&e);
}

/* The operand beside r/m. */
static inline uint64_t source(const struct emul *e)
{
    const struct insn *insn = e->insn;

    if (insn->src == INSN_SRC_IMM)
        return insn->imm & mask_of(insn->opsize);
    return get_reg(e->regs, insn->reg, insn->reg_high, insn->opsize);
}

/* Writes back what was read as `old`, atomically if the instruction is and that is possible. */
static int write_back(const struct emul *e, uint64_t addr, uint64_t old, uint64_t val)
{
    bool locked = e->insn->lock || e->insn->op == INSN_XCHG;

    if (locked && e->ops->cmpxchg)
        return e->ops->cmpxchg(e->ctx, addr, e->insn->memsize, old, val);
    return e->ops->write(e->ctx, addr, e->insn->memsize, val);
}

static uint64_t result_flags(uint64_t res, unsigned size)
{
    uint64_t sign = 1ull << (8 * size - 1);
    uint64_t flags = 0;

    if (!(res & mask_of(size)))
        flags |= FLAG_ZF;
    if (res & sign)
        flags |= FLAG_SF;
    if (!(__builtin_popcountll(res & 0xff) & 1))
        flags |= FLAG_PF;
    return flags;
}

/* a + b + carry; *flags receives all six. */
static uint64_t alu_add(uint64_t a, uint64_t b, unsigned carry, unsigned size, uint64_t *flags)
{
    uint64_t sign = 1ull << (8 * size - 1), res = (a + b + carry) & mask_of(size);

    *flags = result_flags(res, size) | ((a ^ b ^ res) & FLAG_AF);
    if (((a & b) | ((a | b) & ~res)) & sign)
        *flags |= FLAG_CF;
    if ((a ^ res) & (b ^ res) & sign)
        *flags |= FLAG_OF;
    return res;
}

/* a - b - borrow */
static uint64_t alu_sub(uint64_t a, uint64_t b, unsigned borrow, unsigned size, uint64_t *flags)
{
    uint64_t sign = 1ull << (8 * size - 1), res = (a - b - borrow) & mask_of(size);

    *flags = result_flags(res, size) | ((a ^ b ^ res) & FLAG_AF);
    if (((~a & b) | ((~a | b) & res)) & sign)
        *flags |= FLAG_CF;
    if ((a ^ b) & (a ^ res) & sign)
        *flags |= FLAG_OF;
    return res;
}

uint64_t emul_arith(unsigned op, uint64_t a, uint64_t b, unsigned size, uint64_t *flags)
{
    uint64_t rest = *flags & ~ARITH_FLAGS, f = 0, res;
    unsigned carry = *flags & FLAG_CF ? 1 : 0;

    switch (op) {
    case INSN_ADD:
    case INSN_XADD:
        res = alu_add(a, b, 0, size, &f);
        break;
    case INSN_ADC:
        res = alu_add(a, b, carry, size, &f);
        break;
    case INSN_SUB:
    case INSN_CMP:
        res = alu_sub(a, b, 0, size, &f);
        break;
    case INSN_SBB:
        res = alu_sub(a, b, carry, size, &f);
        break;
    case INSN_AND:
    case INSN_TEST:
        res = a & b;
        f = result_flags(res, size);
        break;
    case INSN_OR:
        res = a | b;
        f = result_flags(res, size);
        break;
    default: /* INSN_XOR */
        res = a ^ b;
        f = result_flags(res, size);
        break;
    }
    *flags = rest | f;
    return res;
}

static inline int emul_mov(const struct emul *e)
{
    const struct insn *insn = e->insn;
    uint64_t addr = operand(e), val;
    int rc;

    if (insn->access & INSN_READ) {
        rc = e->ops->read(e->ctx, addr, insn->opsize, &val);
        if (rc)
            return rc;
        set_reg(e->regs, insn->reg, insn->reg_high, insn->opsize, val);
        return done(e);
    }
    rc = e->ops->write(e->ctx, addr, insn->opsize, source(e));
    return rc ? rc : done(e);
}

/* MOVZX and MOVSX */
static int emul_extend(const struct emul *e)
{
    const struct insn *insn = e->insn;
    uint64_t val;
    int rc = e->ops->read(e->ctx, operand(e), insn->memsize, &val);

    if (rc)
        return rc;
    if (insn->op == INSN_MOVSX)
        val = (uint64_t)insn_sext(val, insn->memsize);
    set_reg(e->regs, insn->reg, false, insn->opsize, val);
    return done(e);
}

static uint64_t swap_bytes(uint64_t v, unsigned size)
{
    return __builtin_bswap64(v) >> (64 - 8 * size);
}

static int emul_movbe(const struct emul *e)
{
    const struct insn *insn = e->insn;
    uint64_t val;
    int rc;

    if (insn->access & INSN_WRITE) {
        val = swap_bytes(source(e), insn->opsize);
        rc = e->ops->write(e->ctx, operand(e), insn->opsize, val);
    } else {
        rc = e->ops->read(e->ctx, operand(e), insn->opsize, &val);
        if (!rc)
            set_reg(e->regs, insn->reg, false, insn->opsize, swap_bytes(val, insn->opsize));
    }
    return rc ? rc : done(e);
}

/* ADD to CMP, and TEST: with the memory operand on either side. */
static int emul_alu(const struct emul *e)
{
    const struct insn *insn = e->insn;
    uint64_t addr = operand(e), flags = e->regs->rflags, mem, other = source(e), res;
    int rc = e->ops->read(e->ctx, addr, insn->opsize, &mem);

    if (rc)
        return rc;
    if (insn->rm_first)
        res = emul_arith(insn->op, mem, other, insn->opsize, &flags);
    else
        res = emul_arith(insn->op, other, mem, insn->opsize, &flags);
    if (insn->access & INSN_WRITE) {
        rc = write_back(e, addr, mem, res);
        if (rc)
            return rc;
    } else if (!insn->rm_first && insn->op != INSN_CMP) {
        set_reg(e->regs, insn->reg, insn->reg_high, insn->opsize, res);
    }
    e->regs->rflags = flags;
    return done(e);
}

/* NOT, NEG, INC, DEC */
static int emul_unary(const struct emul *e)
{
    const struct insn *insn = e->insn;
    uint64_t addr = operand(e), flags = e->regs->rflags, cf = flags & FLAG_CF, mem, res;
    int rc = e->ops->read(e->ctx, addr, insn->opsize, &mem);

    if (rc)
        return rc;
    switch (insn->op) {
    case INSN_NOT:
        res = ~mem & mask_of(insn->opsize);
        break;
    case INSN_NEG:
        res = emul_arith(INSN_SUB, 0, mem, insn->opsize, &flags);
        break;
    default: /* the carry survives INC and DEC */
        res = emul_arith(insn->op == INSN_INC ? INSN_ADD : INSN_SUB, mem, 1, insn->opsize, &flags);
        flags = (flags & ~FLAG_CF) | cf;
        break;
    }
    rc = write_back(e, addr, mem, res);
    if (rc)
        return rc;
    e->regs->rflags = flags;
    return done(e);
}

/* XCHG and XADD: the register receives what was in memory. */
static int emul_exchange(const struct emul *e)
{
    const struct insn *insn = e->insn;
    uint64_t addr = operand(e), flags = e->regs->rflags, mem, val = source(e);
    int rc = e->ops->read(e->ctx, addr, insn->opsize, &mem);

    if (rc)
        return rc;
    if (insn->op == INSN_XADD)
        val = emul_arith(INSN_XADD, mem, val, insn->opsize, &flags);
    rc = write_back(e, addr, mem, val);
    if (rc)
        return rc;
    set_reg(e->regs, insn->reg, insn->reg_high, insn->opsize, mem);
    e->regs->rflags = flags;
    return done(e);
}

/* Memory is written in either case, as by hardware (Intel SDM vol 2, CMPXCHG). */
static int emul_cmpxchg(const struct emul *e)
{
    const struct insn *insn = e->insn;
    uint64_t addr = operand(e), flags = e->regs->rflags, mem;
    uint64_t acc = get_reg(e->regs, REG_RAX, false, insn->opsize);
    int rc = e->ops->read(e->ctx, addr, insn->opsize, &mem);

    if (rc)
        return rc;
    emul_arith(INSN_CMP, acc, mem, insn->opsize, &flags);
    rc = write_back(e, addr, mem, acc == mem ? source(e) : mem);
    if (rc)
        return rc;
    if (acc != mem)
        set_reg(e->regs, REG_RAX, false, insn->opsize, mem);
    e->regs->rflags = flags;
    return done(e);
}

/* BT and its relatives.  A bit number in a register reaches beyond the operand, both ways. */
static int emul_bit(const struct emul *e)
{
    const struct insn *insn = e->insn;
    unsigned bits = insn->opsize * 8u;
    uint64_t ea = effective(e), addr, mem, bit, res;
    int64_t number = insn_sext(source(e), insn->opsize);
    int rc;

    if (insn->src == INSN_SRC_REG)
        ea += (uint64_t)(number / bits - (number % (int64_t)bits < 0)) * insn->opsize;
    addr = linear(e, insn->seg, ea & mask_of(insn->addrsize));
    bit = 1ull << ((uint64_t)number & (bits - 1));
    rc = e->ops->read(e->ctx, addr, insn->opsize, &mem);
    if (rc)
        return rc;
    if (insn->op != INSN_BT) {
        res = insn->op == INSN_BTS ? mem | bit : insn->op == INSN_BTR ? mem & ~bit : mem ^ bit;
        rc = write_back(e, addr, mem, res);
        if (rc)
            return rc;
    }
    e->regs->rflags = (e->regs->rflags & ~FLAG_CF) | (mem & bit ? FLAG_CF : 0);
    return done(e);
}

/* Width of the stack pointer.  Outside of 64-bit mode it is taken to be that of the code. */
static unsigned stack_size(const struct emul *e)
{
    return e->mode == CPU_MODE_64 ? 8 : e->mode == CPU_MODE_32 ? 4 : 2;
}

static int emul_push(const struct emul *e)
{
    unsigned size = e->insn->opsize, width = stack_size(e);
    uint64_t sp = (get_reg(e->regs, REG_RSP, false, width) - size) & mask_of(width), val;
    int rc = e->ops->read(e->ctx, operand(e), size, &val);

    if (!rc)
        rc = e->ops->write(e->ctx, linear(e, SEG_SS, sp), size, val);
    if (rc)
        return rc;
    set_reg(e->regs, REG_RSP, false, width, sp);
    return done(e);
}

/* An address with rSP in it is that after the increment (Intel SDM vol 2, POP). */
static int emul_pop(const struct emul *e)
{
    unsigned size = e->insn->opsize, width = stack_size(e);
    uint64_t old = e->regs->gpr[REG_RSP], val;
    uint64_t sp = get_reg(e->regs, REG_RSP, false, width);
    int rc = e->ops->read(e->ctx, linear(e, SEG_SS, sp), size, &val);

    if (rc)
        return rc;
    set_reg(e->regs, REG_RSP, false, width, (sp + size) & mask_of(width));
    rc = e->ops->write(e->ctx, operand(e), size, val);
    if (rc) {
        e->regs->gpr[REG_RSP] = old;
        return rc;
    }
    return done(e);
}

static int emul_sse(const struct emul *e)
{
    const struct insn *insn = e->insn;
    unsigned size = insn->opsize, part = MIN(size, 8u);
    uint64_t addr = operand(e), val[2] = { 0, 0 };
    bool store = insn->access & INSN_WRITE;
    int rc;

    if (!e->ops->get_xmm || !e->ops->set_xmm)
        return -EOPNOTSUPP;
    if (store)
        e->ops->get_xmm(e->ctx, insn->reg, val);
    rc = store ? e->ops->write(e->ctx, addr, part, val[0] & mask_of(part))
               : e->ops->read(e->ctx, addr, part, &val[0]);
    if (!rc && size == 16)
        rc = store ? e->ops->write(e->ctx, addr + 8, 8, val[1])
                   : e->ops->read(e->ctx, addr + 8, 8, &val[1]);
    if (rc)
        return rc;
    if (!store)
        e->ops->set_xmm(e->ctx, insn->reg, val);
    return done(e);
}

static int emul_memory(const struct emul *e)
{
    switch (e->insn->op) {
    case INSN_MOVZX:
    case INSN_MOVSX:
        return emul_extend(e);
    case INSN_MOVBE:
        return emul_movbe(e);
    case INSN_NOT:
    case INSN_NEG:
    case INSN_INC:
    case INSN_DEC:
        return emul_unary(e);
    case INSN_XCHG:
    case INSN_XADD:
        return emul_exchange(e);
    case INSN_CMPXCHG:
        return emul_cmpxchg(e);
    case INSN_BT:
    case INSN_BTS:
    case INSN_BTR:
    case INSN_BTC:
        return emul_bit(e);
    case INSN_PUSH:
        return emul_push(e);
    case INSN_POP:
        return emul_pop(e);
    case INSN_SSE_MOV:
        return emul_sse(e);
    case INSN_CACHE_HINT:
        return done(e);
    default:
        return e->insn->op >= INSN_ADD && e->insn->op <= INSN_TEST ? emul_alu(e) : -EOPNOTSUPP;
    }
}

int insn_emulate(const struct insn *insn, enum cpu_mode mode, struct emul_regs *regs,
                 const struct emul_ops *ops, void *ctx)
{
    struct emul e = { insn, regs, ops, ctx, mode };

    if (!insn->mem)
        return insn->op >= INSN_MOVS && insn->op <= INSN_OUTS ? emul_string(&e) : -EOPNOTSUPP;
    if (likely(insn->op == INSN_MOV))
        return emul_mov(&e);
    return emul_memory(&e);
}
