/* SPDX-License-Identifier: MIT */
/*
 * String instructions on emulated memory and ports, element by element.  Registers move on after
 * each element, so that an error, or the limit of a call, leaves the guest where it can go on.
 */
#include "cpu/emulate_impl.h"
#include "lib/errno.h"

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
    emul_arith(INSN_CMP, a, b, size, &e->regs->rflags);
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

int emul_string(const struct emul *e)
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
