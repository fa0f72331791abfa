/* SPDX-License-Identifier: MIT */
/*
 * Executes instructions on emulated memory.  Order matters everywhere: memory is accessed first and
 * registers change last, so that a callback's error leaves the guest as it was.
 */
#include "cpu/emulate.h"

#include "lib/errno.h"

#define FLAG_CF BIT(0)
#define FLAG_PF BIT(2)
#define FLAG_AF BIT(4)
#define FLAG_ZF BIT(6)
#define FLAG_SF BIT(7)
#define FLAG_DF BIT(10)
#define FLAG_OF BIT(11)
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

uint64_t emul_get_reg(const struct emul_regs *regs, unsigned reg, bool high, unsigned size)
{
    return get_reg(regs, reg, high, size);
}

void emul_set_reg(struct emul_regs *regs, unsigned reg, bool high, unsigned size, uint64_t val)
{
    set_reg(regs, reg, high, size, val);
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

static inline int done(const struct emul *e)
{
    uint64_t rip = e->regs->rip + e->insn->len;

    if (e->mode != CPU_MODE_64)
        rip &= e->mode == CPU_MODE_32 ? 0xffffffff : 0xffff;
    e->regs->rip = rip;
    return EMUL_DONE;
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

/* One operation with two operands; `flags` holds RFLAGS and receives the new ones. */
static uint64_t alu(unsigned op, uint64_t a, uint64_t b, unsigned size, uint64_t *flags)
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
        res = alu(insn->op, mem, other, insn->opsize, &flags);
    else
        res = alu(insn->op, other, mem, insn->opsize, &flags);
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
        res = alu(INSN_SUB, 0, mem, insn->opsize, &flags);
        break;
    default: /* the carry survives INC and DEC */
        res = alu(insn->op == INSN_INC ? INSN_ADD : INSN_SUB, mem, 1, insn->opsize, &flags);
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
        val = alu(INSN_XADD, mem, val, insn->opsize, &flags);
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
    alu(INSN_CMP, acc, mem, insn->opsize, &flags);
    rc = write_back(e, addr, mem, acc == mem ? source(e) : mem);
    if (rc)
        return rc;
    if (acc != mem)
        set_reg(e->regs, REG_RAX, false, insn->opsize, mem);
    e->regs->rflags = flags;
    return done(e);
}

/* BT and its relatives.  A bit number in a register reaches beyond the operand, in both directions. */
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

/* Width of the stack pointer.  Outside of 64-bit mode code and stack are taken to be of one size. */
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
    rc = store ? e->ops->write(e->ctx, addr, part, val[0] & mask_of(part)) :
                 e->ops->read(e->ctx, addr, part, &val[0]);
    if (!rc && size == 16)
        rc = store ? e->ops->write(e->ctx, addr + 8, 8, val[1]) :
                     e->ops->read(e->ctx, addr + 8, 8, &val[1]);
    if (rc)
        return rc;
    if (!store)
        e->ops->set_xmm(e->ctx, insn->reg, val);
    return done(e);
}

/* String instructions */

static uint64_t string_addr(const struct emul *e, unsigned reg)
{
    uint64_t offset = get_reg(e->regs, reg, false, e->insn->addrsize);

    return linear(e, reg == REG_RDI ? SEG_ES : e->insn->seg, offset);
}

/* Moves rSI or rDI to the next element. */
static void string_step(const struct emul *e, unsigned reg)
{
    unsigned width = e->insn->addrsize;
    uint64_t v = get_reg(e->regs, reg, false, width);

    v = e->regs->rflags & FLAG_DF ? v - e->insn->opsize : v + e->insn->opsize;
    set_reg(e->regs, reg, false, width, v);
}

static int string_read(const struct emul *e, unsigned reg, uint64_t *val)
{
    return e->ops->read(e->ctx, string_addr(e, reg), e->insn->opsize, val);
}

static int string_write(const struct emul *e, uint64_t val)
{
    return e->ops->write(e->ctx, string_addr(e, REG_RDI), e->insn->opsize, val);
}

/* MOVS, STOS, LODS: one element. */
static int string_copy(const struct emul *e)
{
    unsigned size = e->insn->opsize, op = e->insn->op;
    uint64_t val = get_reg(e->regs, REG_RAX, false, size);
    int rc = 0;

    if (op != INSN_STOS)
        rc = string_read(e, REG_RSI, &val);
    if (!rc && op != INSN_LODS)
        rc = string_write(e, val);
    if (rc)
        return rc;
    if (op == INSN_LODS)
        set_reg(e->regs, REG_RAX, false, size, val);
    if (op != INSN_STOS)
        string_step(e, REG_RSI);
    if (op != INSN_LODS)
        string_step(e, REG_RDI);
    return 0;
}

/* CMPS and SCAS: one element. */
static int string_compare(const struct emul *e)
{
    unsigned size = e->insn->opsize;
    uint64_t a = get_reg(e->regs, REG_RAX, false, size), b;
    int rc = 0;

    if (e->insn->op == INSN_CMPS)
        rc = string_read(e, REG_RSI, &a);
    if (!rc)
        rc = string_read(e, REG_RDI, &b);
    if (rc)
        return rc;
    alu(INSN_CMP, a, b, size, &e->regs->rflags);
    if (e->insn->op == INSN_CMPS)
        string_step(e, REG_RSI);
    string_step(e, REG_RDI);
    return 0;
}

/* INS and OUTS: one element. */
static int string_port(const struct emul *e)
{
    uint16_t port = (uint16_t)e->regs->gpr[REG_RDX];
    unsigned size = e->insn->opsize;
    uint64_t val;
    int rc;

    if (!e->ops->port_in || !e->ops->port_out)
        return -EOPNOTSUPP;
    if (e->insn->op == INSN_INS) {
        rc = e->ops->port_in(e->ctx, port, size, &val);
        if (!rc)
            rc = string_write(e, val);
    } else {
        rc = string_read(e, REG_RSI, &val);
        if (!rc)
            rc = e->ops->port_out(e->ctx, port, size, val);
    }
    if (!rc)
        string_step(e, e->insn->op == INSN_INS ? REG_RDI : REG_RSI);
    return rc;
}

static int string_element(const struct emul *e)
{
    switch (e->insn->op) {
    case INSN_CMPS:
    case INSN_SCAS:
        return string_compare(e);
    case INSN_INS:
    case INSN_OUTS:
        return string_port(e);
    default:
        return string_copy(e);
    }
}

/* REPE ends at a difference, REPNE at a match; other instructions only count. */
static bool string_ends(const struct emul *e)
{
    bool zf = e->regs->rflags & FLAG_ZF;

    if (e->insn->op != INSN_CMPS && e->insn->op != INSN_SCAS)
        return false;
    return e->insn->rep == INSN_REP ? !zf : zf;
}

static int emul_string(const struct emul *e)
{
    unsigned i, width = e->insn->addrsize;
    int rc;

    if (!e->insn->rep) {
        rc = string_element(e);
        return rc ? rc : done(e);
    }
    for (i = 0; i < EMUL_MAX_REPS; i++) {
        uint64_t count = get_reg(e->regs, REG_RCX, false, width);

        if (!count)
            return done(e);
        rc = string_element(e);
        if (rc)
            return rc;
        set_reg(e->regs, REG_RCX, false, width, count - 1);
        if (count == 1 || string_ends(e))
            return done(e);
    }
    return EMUL_AGAIN;
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
