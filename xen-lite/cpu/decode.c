/* SPDX-License-Identifier: MIT */
/*
 * The decoder proper: prefixes, opcode maps, ModRM, immediates (Intel SDM vol 2, chapter 2), then
 * the few opcodes whose meaning depends on ModRM.reg or a prefix.
 *
 * The bytes are first copied into a buffer that is longer than anything they can make the decoder
 * read, so that no step has to check for their end; whether the instruction went on behind
 * them is seen once, in the end.
 */
#include "cpu/decode_table.h"
#include "lib/errno.h"
#include "lib/le.h"
#include "lib/string.h"

/* 15 prefixes, 3 bytes of opcode, ModRM, SIB, displacement, and the longest immediate, rounded up. */
#define BUFFER_LEN 48

#define REX_W 8
#define REX_R 4
#define REX_X 2
#define REX_B 1

struct state {
    const uint8_t *p; /* next byte */
    struct insn *insn;
    enum cpu_mode mode;
    uint32_t attr; /* entry of the opcode map */
    uint8_t opcode;
    bool p66, p67;
    bool vex; /* VEX, EVEX or XOP */
    int8_t seg; /* override, -1: none */
};

/*
 * One prefix byte; false if it is an opcode (INC and DEC in the place of REX).  A legacy prefix
 * behind a REX takes away the REX's meaning.
 */
static inline bool take_prefix(struct state *s, uint8_t b)
{
    if ((b & 0xf0) == 0x40) {
        if (s->mode == CPU_MODE_64)
            s->insn->rex = b;
        else
            s->attr = 0;
        return s->mode == CPU_MODE_64;
    }
    s->insn->rex = 0;
    switch (b) {
    case 0x26:
    case 0x2e:
    case 0x36:
    case 0x3e: /* ignored in 64-bit mode (AMD APM vol 3, 1.2.4), even behind FS or GS */
        if (s->mode != CPU_MODE_64)
            s->seg = (int8_t)(b >> 3 & 3);
        break;
    case 0x64:
    case 0x65:
        s->seg = (int8_t)(b - 0x64 + SEG_FS);
        break;
    case 0x66:
        s->p66 = true;
        break;
    case 0x67:
        s->p67 = true;
        break;
    case 0xf0:
        s->insn->lock = true;
        break;
    case 0xf2:
        s->insn->rep = INSN_REPNE;
        break;
    default:
        s->insn->rep = INSN_REP;
        break;
    }
    return true;
}

/* Map entry of an instruction in VEX, EVEX or XOP encoding; only its length matters. */
static int vector_attr(unsigned map, uint8_t opcode, uint32_t *attr)
{
    switch (map) {
    case 1:
        *attr = opcode == 0x77 ? 0 : MODRM | (two_byte_map[opcode] & IB);
        return 0;
    case 2:
    case 5:
    case 6:
    case 9:
        *attr = MODRM;
        return 0;
    case 3:
    case 8:
        *attr = MODRM | IB;
        return 0;
    case 10:
        *attr = MODRM | IMM(IMM_4);
        return 0;
    default:
        return -EINVAL;
    }
}

/*
 * VEX (C4, C5), EVEX (62) and XOP (8F): s->p is behind the first byte.  X and B of the address are
 * stored inverted.
 */
static int take_vector(struct state *s, uint8_t first)
{
    const uint8_t *p = s->p;
    uint8_t rxb = (uint8_t)(~p[0] >> 5);
    unsigned map = 1, len = 1;

    if (s->insn->rex || s->insn->lock || s->p66 || s->insn->rep)
        return -EINVAL;
    if (first == 0xc5) {
        rxb &= REX_R;
    } else if (first == 0x62) {
        map = p[0] & 7;
        len = 3;
        if (!(p[1] & 4)) /* this bit is fixed */
            return -EINVAL;
    } else {
        map = p[0] & 0x1f;
        len = 2;
        if ((first == 0x8f) != (map >= 8))
            return -EINVAL;
    }
    if (s->mode == CPU_MODE_64)
        s->insn->rex = rxb & 7;
    s->vex = true;
    s->opcode = p[len];
    s->p = p + len + 1;
    return vector_attr(map, s->opcode, &s->attr);
}

/* Outside of 64-bit mode the first bytes of VEX and EVEX are old opcodes unless ModRM is a register. */
static inline bool is_vector(const struct state *s, uint8_t b)
{
    if (b == 0x8f)
        return (s->p[0] & 0x1f) >= 8;
    return s->mode == CPU_MODE_64 || s->p[0] >= 0xc0;
}

/* Behind a 0F byte. */
static void take_two_byte(struct state *s)
{
    s->opcode = *s->p++;
    if (s->opcode == 0x38) {
        s->opcode = *s->p++;
        s->attr = map_0f38(s->opcode);
    } else if (s->opcode == 0x3a) {
        s->opcode = *s->p++;
        s->attr = MODRM | IB;
    } else {
        s->attr = two_byte_map[s->opcode];
        /* SSE4a: EXTRQ and INSERTQ with two immediate bytes */
        if (s->opcode == 0x78 && (s->p66 || s->insn->rep == INSN_REPNE))
            s->attr |= REGONLY | IMM(IMM_W);
    }
}

/* Prefixes and opcode.  Sets s->attr. */
static inline int take_opcode(struct state *s)
{
    const uint8_t *const limit = s->p + INSN_MAX_LEN;
    uint8_t b;

    do {
        b = *s->p++;
        s->attr = one_byte_map[b];
    } while (s->attr & PREFIX && take_prefix(s, b) && s->p < limit);

    s->opcode = b;
    if (likely(!(s->attr & (PREFIX | ESCAPE | I64))))
        return 0;
    if (s->attr & PREFIX)
        return -EINVAL; /* nothing else in 15 bytes */
    if (b == 0x0f) {
        take_two_byte(s);
        return s->attr & UD ? -EINVAL : 0;
    }
    if (s->attr & ESCAPE && is_vector(s, b))
        return take_vector(s, b);
    return s->attr & I64 && s->mode == CPU_MODE_64 ? -EINVAL : 0;
}

static inline void set_sizes(struct state *s)
{
    struct insn *insn = s->insn;

    if (s->mode == CPU_MODE_64) {
        insn->addrsize = s->p67 ? 4 : 8;
        if (insn->rex & REX_W || s->attr & F64)
            insn->opsize = 8;
        else if (s->p66)
            insn->opsize = 2;
        else
            insn->opsize = s->attr & D64 ? 8 : 4;
    } else {
        bool wide = s->mode == CPU_MODE_32;

        insn->addrsize = wide != s->p67 ? 4 : 2;
        insn->opsize = wide != s->p66 ? 4 : 2;
    }
    if (s->attr & BYTE)
        insn->opsize = 1;
}

/* 16-bit addressing (Intel SDM vol 2, table 2-1). */
static void take_mem16(struct state *s, unsigned mod, unsigned rm)
{
    static const uint8_t bases[8] = { REG_RBX, REG_RBX, REG_RBP, REG_RBP,
                                      REG_RSI, REG_RDI, REG_RBP, REG_RBX };
    static const uint8_t indexes[8] = { REG_RSI, REG_RDI, REG_RSI, REG_RDI,
                                        REG_NONE, REG_NONE, REG_NONE, REG_NONE };
    struct insn *insn = s->insn;

    insn->base = bases[rm];
    insn->index = indexes[rm];
    if (mod == 0 && rm == 6) {
        insn->base = REG_NONE;
        mod = 2;
    }
    if (mod == 1) {
        insn->disp = (int8_t)*s->p++;
    } else if (mod == 2) {
        insn->disp = (int16_t)get_le16(s->p);
        s->p += 2;
    }
    insn->seg = insn->base == REG_RBP ? SEG_SS : SEG_DS;
}

/* 32- and 64-bit addressing (tables 2-2 and 2-3). */
static inline void take_mem(struct state *s, unsigned mod, unsigned rm)
{
    struct insn *insn = s->insn;
    unsigned base = rm;

    insn->index = REG_NONE;
    if (rm == 4) {
        uint8_t sib = *s->p++;
        unsigned index = (sib >> 3 & 7) | (insn->rex & REX_X) << 2;

        base = sib & 7;
        if (index != 4) {
            insn->index = (uint8_t)index;
            insn->scale = sib >> 6;
        }
    }
    if (base == 5 && mod == 0) {
        insn->base = rm == 5 && s->mode == CPU_MODE_64 ? REG_RIP : REG_NONE;
        mod = 2;
    } else {
        insn->base = (uint8_t)(base | (insn->rex & REX_B) << 3);
    }
    if (mod == 1) {
        insn->disp = (int8_t)*s->p++;
    } else if (mod == 2) {
        insn->disp = (int32_t)get_le32(s->p);
        s->p += 4;
    }
    insn->seg = insn->base == REG_RBP || insn->base == REG_RSP ? SEG_SS : SEG_DS;
}

/* Register number of a byte operand: without REX, 4 to 7 are the high bytes of 0 to 3. */
static inline uint8_t byte_reg(const struct insn *insn, uint8_t reg, bool *high)
{
    if (insn->rex || reg < 4)
        return reg;
    *high = true;
    return reg - 4;
}

static inline int take_modrm(struct state *s)
{
    struct insn *insn = s->insn;
    uint8_t modrm = *s->p++;
    unsigned mod = modrm >> 6;

    insn->modrm = modrm;
    insn->has_modrm = true;
    insn->reg = (uint8_t)((modrm >> 3 & 7) | (insn->rex & REX_R) << 1);
    if (mod == 3 || s->attr & REGONLY) {
        insn->rm = (uint8_t)((modrm & 7) | (insn->rex & REX_B) << 3);
        return s->attr & MEMONLY ? -EINVAL : 0;
    }
    insn->mem = true;
    if (insn->addrsize == 2)
        take_mem16(s, mod, modrm & 7);
    else
        take_mem(s, mod, modrm & 7);
    if (s->seg >= 0)
        insn->seg = (uint8_t)s->seg;
    return 0;
}

static uint64_t take_value(struct state *s, unsigned size)
{
    const uint8_t *p = s->p;

    s->p += size;
    switch (size) {
    case 1:
        return (uint64_t)(int8_t)*p;
    case 2:
        return (uint64_t)(int16_t)get_le16(p);
    case 4:
        return (uint64_t)(int32_t)get_le32(p);
    default:
        return get_le64(p);
    }
}

/* Absolute address in the instruction (MOV with A0 to A3). */
static void take_moffs(struct state *s)
{
    struct insn *insn = s->insn;

    insn->mem = true;
    insn->base = REG_NONE;
    insn->index = REG_NONE;
    insn->seg = s->seg >= 0 ? (uint8_t)s->seg : SEG_DS;
    insn->disp = (int64_t)take_value(s, insn->addrsize);
}

static void take_imm(struct state *s)
{
    struct insn *insn = s->insn;
    unsigned z = insn->opsize == 2 ? 2 : 4;

    switch (s->attr >> 9 & 15) {
    case IMM_B:
        insn->imm = take_value(s, 1);
        break;
    case IMM_Z:
        insn->imm = take_value(s, z);
        break;
    case IMM_V:
        insn->imm = take_value(s, insn->opsize);
        break;
    case IMM_W:
        insn->imm = take_value(s, 2);
        break;
    case IMM_WB:
        s->p += 3;
        break;
    case IMM_FAR:
        s->p += z + 2;
        break;
    case IMM_MOFFS:
        take_moffs(s);
        break;
    case IMM_4:
        insn->imm = take_value(s, 4);
        break;
    default:
        break;
    }
}

/* 0F 01 with a register: each ModRM byte is an instruction of its own. */
static int decode_sys_reg(struct insn *insn)
{
    static const struct { uint8_t modrm, op; } ops[] = {
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

static enum mandatory mandatory(const struct state *s)
{
    if (s->insn->rep)
        return (enum mandatory)s->insn->rep;
    return s->p66 ? PFX_66 : PFX_NONE;
}

/* Bytes that a plain SSE copy moves, by opcode and prefix; 0: it does something else. */
static unsigned sse_size(const struct state *s)
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

static bool sse_is_store(const struct state *s)
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

static int decode_sse(struct state *s, unsigned size)
{
    if (!size || !s->insn->mem)
        return INSN_OTHER;
    s->insn->opsize = (uint8_t)size;
    s->attr |= SREG | (sse_is_store(s) ? WR | FIRST : RD);
    return INSN_SSE_MOV;
}

/* F6 and F7: TEST, which alone has an immediate, NOT, NEG, and multiplications. */
static int decode_test(struct state *s, unsigned reg)
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
static int decode_call(struct state *s, unsigned reg)
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

static int decode_fence(struct state *s, unsigned reg)
{
    bool hint = s->insn->mem && !s->insn->rep && (reg == 7 || (reg == 6 && s->p66));

    return hint ? INSN_CACHE_HINT : INSN_OTHER;
}

static int decode_movbe(struct state *s)
{
    if (s->insn->rep == INSN_REPNE) { /* CRC32 */
        return INSN_OTHER;
    }
    if (!s->insn->mem)
        return -EINVAL;
    s->attr |= SREG | (s->opcode == 0xf1 ? WR | FIRST : RD);
    return INSN_MOVBE;
}

/* Opcodes that ModRM.reg or a prefix tells apart: returns enum insn_op or an error. */
static int decode_group(struct state *s)
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

/* Single opcodes whose meaning depends on mode or prefix. */
static int decode_special(struct state *s, int op)
{
    struct insn *insn = s->insn;

    switch (op) {
    case INSN_MOVSX: /* MOVSXD in 64-bit mode, ARPL elsewhere */
        insn->memsize = MIN(insn->opsize, (uint8_t)4);
        return s->mode == CPU_MODE_64 ? INSN_MOVSX : INSN_OTHER;
    case INSN_MOV_FROM_CR:
    case INSN_MOV_TO_CR:
        if (insn->lock && !insn->reg) /* AMD APM vol 3, MOV CRn: LOCK MOV CR0 is CR8 */
            insn->reg = 8;
        return op;
    case INSN_OTHER: /* 90 */
        return insn->rep == INSN_REP && !(insn->rex & REX_B) ? INSN_PAUSE : INSN_OTHER;
    default: /* INS, OUTS, IN, OUT: there are no 64-bit ports */
        insn->opsize = insn->memsize = MIN(insn->opsize, (uint8_t)4);
        return op;
    }
}

/* What the instruction does: op, operands' sizes, and registers of byte operands. */
static inline void decode_meaning(struct state *s)
{
    struct insn *insn = s->insn;
    int op = (int)(s->attr & OP_MASK);

    insn->memsize = insn->opsize;
    if (unlikely(s->attr & SPECIAL))
        op = decode_special(s, op);
    insn->op = (uint8_t)op;
    insn->access = (uint8_t)(s->attr >> 18 & 3);
    insn->rm_first = s->attr & FIRST;
    insn->src = s->attr & SREG ? INSN_SRC_REG : s->attr & SIMM ? INSN_SRC_IMM : INSN_SRC_NONE;
    if (s->attr & (MEM1 | MEM2))
        insn->memsize = s->attr & MEM1 ? 1 : 2;
    if (insn->opsize == 1 && s->attr & SREG && insn->has_modrm)
        insn->reg = byte_reg(insn, insn->reg, &insn->reg_high);
    if (insn->memsize == 1 && insn->has_modrm && !insn->mem)
        insn->rm = byte_reg(insn, insn->rm, &insn->rm_high);
    if (s->attr & STRING)
        insn->seg = s->seg >= 0 ? (uint8_t)s->seg : SEG_DS;
}

static inline int decode(struct state *s)
{
    int rc = take_opcode(s), op;

    if (rc)
        return rc;
    set_sizes(s);
    if (s->attr & MODRM) {
        rc = take_modrm(s);
        if (rc)
            return rc;
    }
    if (unlikely(s->attr & GROUP)) {
        op = decode_group(s);
        if (op < 0)
            return op;
        s->attr = (s->attr & ~OP_MASK) | (uint32_t)op;
    }
    if (s->attr & IMM(15))
        take_imm(s);
    decode_meaning(s);
    return 0;
}

/*
 * Nearly every access to device memory is a plain MOV in 64-bit code with a base register: that form is
 * decoded here, in a third of the time.  Returns its length, 0 if it is something else.  15
 * bytes must be there.
 */
static inline unsigned quick_mov(const uint8_t *bytes, struct insn *out)
{
    const uint8_t *p = bytes;
    bool p66 = *p == 0x66;
    unsigned rex = 0, mod, rm, base, size;

    p += p66;
    if ((*p & 0xf0) == 0x40)
        rex = *p++;
    if ((*p & 0xfc) != 0x88) /* 88 to 8B */
        return 0;
    mod = p[1] >> 6;
    rm = p[1] & 7;
    if (mod == 3 || rm == 4 || (mod == 0 && rm == 5))
        return 0;
    base = rm | (rex & REX_B) << 3;
    size = !(*p & 1) ? 1 : rex & REX_W ? 8 : p66 ? 2 : 4;
    if (size == 1 && !rex && p[1] & 0x20) /* AH to BH */
        return 0;
    *out = (struct insn){
        .op = INSN_MOV, .opsize = (uint8_t)size, .memsize = (uint8_t)size, .addrsize = 8,
        .access = *p & 2 ? INSN_READ : INSN_WRITE, .mem = true, .rm_first = !(*p & 2),
        .src = INSN_SRC_REG, .reg = (uint8_t)((p[1] >> 3 & 7) | (rex & REX_R) << 1),
        .seg = base == REG_RBP ? SEG_SS : SEG_DS, .base = (uint8_t)base, .index = REG_NONE,
        .rex = (uint8_t)rex, .modrm = p[1], .has_modrm = true,
        .disp = mod == 1 ? (int8_t)p[2] : mod == 2 ? (int32_t)get_le32(p + 2) : 0,
    };
    return out->len = (uint8_t)(p - bytes + 2 + (mod == 2 ? 4 : mod));
}

static __attribute__((noinline)) int decode_any(const uint8_t *bytes, size_t n, enum cpu_mode mode,
                                                struct insn *out)
{
    uint8_t buf[BUFFER_LEN] = { 0 };
    struct state s = { .p = buf, .insn = out, .mode = mode, .seg = -1 };
    size_t len;
    int rc;

    if (likely(n >= INSN_MAX_LEN)) {
        put_le64(buf, get_le64(bytes));
        put_le64(buf + 7, get_le64(bytes + 7));
        n = INSN_MAX_LEN;
    } else {
        memcpy(buf, bytes, n);
    }
    *out = (struct insn){ 0 };
    rc = decode(&s);
    len = (size_t)(s.p - buf);
    if (len > n)
        return n < INSN_MAX_LEN ? -ENODATA : -EINVAL;
    out->len = (uint8_t)len;
    return rc;
}

int insn_decode(const uint8_t *bytes, size_t n, enum cpu_mode mode, struct insn *out)
{
    if (likely(n >= INSN_MAX_LEN && mode == CPU_MODE_64) && quick_mov(bytes, out))
        return 0;
    return decode_any(bytes, n, mode, out);
}
