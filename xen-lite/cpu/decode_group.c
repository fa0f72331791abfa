/* SPDX-License-Identifier: MIT */
/*
 * The opcodes that share a number: groups that ModRM.reg tells apart (Intel SDM vol 2, A.4), and
 * SSE copies, which a prefix does.
 */
#include "cpu/decode_impl.h"

#include "lib/errno.h"

/* 0F 01 with a register: each ModRM byte is an instruction of its own. */
static int decode_sys_reg(struct insn *insn)
{
    static const struct {
        uint8_t modrm, op;
    } ops[] = {
        { 0xc1, INSN_VMCALL },  { 0xc8, INSN_MONITOR }, { 0xc9, INSN_MWAIT },
        { 0xd0, INSN_XGETBV },  { 0xd1, INSN_XSETBV },  { 0xd8, INSN_VMRUN },
        { 0xd9, INSN_VMMCALL }, { 0xda, INSN_VMLOAD },  { 0xdb, INSN_VMSAVE },
        { 0xdc, INSN_STGI },    { 0xdd, INSN_CLGI },    { 0xde, INSN_SKINIT },
        { 0xdf, INSN_INVLPGA }, { 0xf9, INSN_RDTSCP },
    };
    unsigned i;

    for (i = 0; i < ARRAY_SIZE(ops); i++)
        if (ops[i].modrm == insn->modrm)
            return ops[i].op;
    return INSN_OTHER;
}

static int decode_sys(struct insn *insn, unsigned reg)
{
    static const uint8_t mem[8] = { INSN_SGDT, INSN_SIDT,  INSN_LGDT, INSN_LIDT,
                                    INSN_SMSW, INSN_OTHER, INSN_LMSW, INSN_INVLPG };

    if (reg == 4)
        return INSN_SMSW;
    if (reg == 6)
        return INSN_LMSW;
    return insn->mem ? mem[reg] : decode_sys_reg(insn);
}

/* A prefix that selects among SSE instructions: the last of F2 and F3, else 66. */
enum mandatory { PFX_NONE, PFX_F3, PFX_F2, PFX_66 };

static enum mandatory mandatory(const struct decode_state *s)
{
    if (s->insn->rep)
        return (enum mandatory)s->insn->rep;
    return s->p66 ? PFX_66 : PFX_NONE;
}

/* Bytes that a plain SSE copy moves, by opcode and prefix; 0: it does something else. */
static unsigned sse_size(const struct decode_state *s)
{
    static const uint8_t full[4] = { 16, 0, 0, 16 }, movu[4] = { 16, 4, 8, 16 };
    enum mandatory pfx = mandatory(s);
    unsigned word = s->insn->rex & REX_W ? 8 : 4;

    switch (s->opcode) {
    case 0x10: /* MOVUPS, MOVSS, MOVSD, MOVUPD */
    case 0x11:
        return movu[pfx];
    case 0x13: /* MOVLPS, MOVLPD stores */
        return pfx == PFX_NONE || pfx == PFX_66 ? 8 : 0;
    case 0x28: /* MOVAPS, MOVAPD */
    case 0x29:
    case 0x2b: /* MOVNTPS, MOVNTPD */
        return full[pfx];
    case 0x6e: /* MOVD, MOVQ */
        return pfx == PFX_66 ? word : 0;
    case 0x6f: /* MOVDQA, MOVDQU */
    case 0x7f:
        return pfx == PFX_66 || pfx == PFX_F3 ? 16 : 0;
    case 0x7e: /* MOVD, MOVQ */
        return pfx == PFX_66 ? word : pfx == PFX_F3 ? 8 : 0;
    case 0xd6: /* MOVQ */
        return pfx == PFX_66 ? 8 : 0;
    case 0xe7: /* MOVNTDQ */
        return pfx == PFX_66 ? 16 : 0;
    case 0xf0: /* LDDQU */
        return pfx == PFX_F2 ? 16 : 0;
    default:
        return 0;
    }
}

static bool sse_is_store(const struct decode_state *s)
{
    switch (s->opcode) {
    case 0x11:
    case 0x13:
    case 0x29:
    case 0x2b:
    case 0x7f:
    case 0xd6:
    case 0xe7:
        return true;
    case 0x7e:
        return mandatory(s) == PFX_66;
    default:
        return false;
    }
}

static int decode_sse(struct decode_state *s, unsigned size)
{
    if (!size || !s->insn->mem)
        return INSN_OTHER;
    s->insn->opsize = (uint8_t)size;
    s->attr |= SREG | (sse_is_store(s) ? WR | FIRST : RD);
    return INSN_SSE_MOV;
}

/* F6 and F7: TEST, which alone has an immediate, NOT, NEG, and multiplications. */
static int decode_test(struct decode_state *s, unsigned reg)
{
    if (reg <= 1) {
        s->attr |= SIMM | (s->insn->opsize == 1 ? IB : IZ);
        return INSN_TEST;
    }
    if (reg > 3)
        return INSN_OTHER;
    s->attr |= WR;
    return reg == 2 ? INSN_NOT : INSN_NEG;
}

/* FF: INC, DEC, calls and jumps, PUSH. */
static int decode_call(struct decode_state *s, unsigned reg)
{
    if (reg < 2)
        return reg ? INSN_DEC : INSN_INC;
    if (reg == 7 || (!s->insn->mem && (reg == 3 || reg == 5)))
        return -EINVAL;
    s->attr &= ~WR;
    if (reg == 6 || reg == 2 || reg == 4) {
        /* Near branches and PUSH work on 64 bits; 66 makes PUSH a 16-bit one. */
        if (s->mode == CPU_MODE_64 && !(reg == 6 && s->p66 && !(s->insn->rex & REX_W)))
            s->insn->opsize = 8;
    }
    return reg == 6 && s->insn->mem ? INSN_PUSH : INSN_OTHER;
}

static int decode_fence(struct decode_state *s, unsigned reg)
{
    bool hint = s->insn->mem && !s->insn->rep && (reg == 7 || (reg == 6 && s->p66));

    return hint ? INSN_CACHE_HINT : INSN_OTHER;
}

static int decode_movbe(struct decode_state *s)
{
    if (s->insn->rep == INSN_REPNE) { /* CRC32 */
        return INSN_OTHER;
    }
    if (!s->insn->mem)
        return -EINVAL;
    s->attr |= SREG | (s->opcode == 0xf1 ? WR | FIRST : RD);
    return INSN_MOVBE;
}

int decode_group(struct decode_state *s)
{
    static const uint8_t alu[8] = { INSN_ADD, INSN_OR,  INSN_ADC, INSN_SBB,
                                    INSN_AND, INSN_SUB, INSN_XOR, INSN_CMP };
    static const uint8_t bit[4] = { INSN_BT, INSN_BTS, INSN_BTR, INSN_BTC };
    static const uint8_t desc[4] = { INSN_SLDT, INSN_STR, INSN_LLDT, INSN_LTR };
    struct insn *insn = s->insn;
    unsigned reg = insn->modrm >> 3 & 7;

    switch (s->attr & OP_MASK) {
    case GROUP_ALU:
        s->attr |= reg == 7 ? 0 : WR;
        return alu[reg];
    case GROUP_POP:
        return reg ? -EINVAL : insn->mem ? INSN_POP : INSN_OTHER;
    case GROUP_MOV:
        if (insn->modrm == 0xf8) /* XABORT, XBEGIN */
            return INSN_OTHER;
        return reg ? -EINVAL : INSN_MOV;
    case GROUP_TEST:
        return decode_test(s, reg);
    case GROUP_INC:
        return reg > 1 ? -EINVAL : reg ? INSN_DEC : INSN_INC;
    case GROUP_CALL:
        return decode_call(s, reg);
    case GROUP_SYS:
        return decode_sys(insn, reg);
    case GROUP_DESC:
        return reg < 4 ? desc[reg] : INSN_OTHER; /* VERR, VERW */
    case GROUP_BIT:
        s->attr |= reg == 4 ? 0 : WR;
        return reg < 4 ? -EINVAL : bit[reg - 4];
    case GROUP_CX8:
        return !insn->mem && reg == 7 && insn->rep == INSN_REP ? INSN_RDPID : INSN_OTHER;
    case GROUP_FENCE:
        return decode_fence(s, reg);
    case GROUP_SSE:
        return decode_sse(s, sse_size(s));
    case GROUP_JMPE: /* POPCNT with F3 */
        return insn->rep == INSN_REP ? INSN_OTHER : -EINVAL;
    case GROUP_MOVNTI: /* 32 bits at least, 66 is no size prefix here */
        insn->opsize = MAX(insn->opsize, (uint8_t)4);
        return INSN_MOV;
    case GROUP_MOVBE:
        return decode_movbe(s);
    case GROUP_INV:
        return insn->mem && s->p66 ? INSN_INVPCID : -EINVAL;
    case GROUP_NTDQA:
        return decode_sse(s, s->p66 ? 16 : 0);
    default:
        return -EINVAL;
    }
}
