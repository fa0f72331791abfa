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

/* 15 prefixes, 3 bytes of opcode, ModRM, SIB, displacement, longest immediate, rounded up. */
#define BUFFER_LEN 48

/*
 * One prefix byte; false if it is an opcode (INC and DEC in the place of REX).  A legacy prefix
 * behind a REX takes away the REX's meaning.
 */
static inline bool take_prefix(struct decode_state *s, uint8_t b)
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
static int take_vector(struct decode_state *s, uint8_t first)
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

/* Outside of 64-bit mode VEX and EVEX start like old opcodes, unless ModRM is a register. */
static inline bool is_vector(const struct decode_state *s, uint8_t b)
{
    if (b == 0x8f)
        return (s->p[0] & 0x1f) >= 8;
    return s->mode == CPU_MODE_64 || s->p[0] >= 0xc0;
}

/* Behind a 0F byte. */
static void take_two_byte(struct decode_state *s)
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
static inline int take_opcode(struct decode_state *s)
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

static inline void set_sizes(struct decode_state *s)
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
static void take_mem16(struct decode_state *s, unsigned mod, unsigned rm)
{
    static const uint8_t bases[8] = { REG_RBX, REG_RBX, REG_RBP, REG_RBP,
                                      REG_RSI, REG_RDI, REG_RBP, REG_RBX };
    static const uint8_t indexes[8] = { REG_RSI,  REG_RDI,  REG_RSI,  REG_RDI,
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
static inline void take_mem(struct decode_state *s, unsigned mod, unsigned rm)
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

static inline int take_modrm(struct decode_state *s)
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

static uint64_t take_value(struct decode_state *s, unsigned size)
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
static void take_moffs(struct decode_state *s)
{
    struct insn *insn = s->insn;

    insn->mem = true;
    insn->base = REG_NONE;
    insn->index = REG_NONE;
    insn->seg = s->seg >= 0 ? (uint8_t)s->seg : SEG_DS;
    insn->disp = (int64_t)take_value(s, insn->addrsize);
}

static void take_imm(struct decode_state *s)
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

/* Single opcodes whose meaning depends on mode or prefix. */
static int decode_special(struct decode_state *s, int op)
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
static inline void decode_meaning(struct decode_state *s)
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

static inline int decode(struct decode_state *s)
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
 * Nearly every access to device memory is a plain MOV in 64-bit code with a base register: that
 * form is decoded here, in half of the time.  Returns its length, 0 if it is something else.  15
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
        .op = INSN_MOV,
        .opsize = (uint8_t)size,
        .memsize = (uint8_t)size,
        .addrsize = 8,
        .access = *p & 2 ? INSN_READ : INSN_WRITE,
        .mem = true,
        .rm_first = !(*p & 2),
        .src = INSN_SRC_REG,
        .reg = (uint8_t)((p[1] >> 3 & 7) | (rex & REX_R) << 1),
        .seg = base == REG_RBP ? SEG_SS : SEG_DS,
        .base = (uint8_t)base,
        .index = REG_NONE,
        .rex = (uint8_t)rex,
        .modrm = p[1],
        .has_modrm = true,
        .disp = mod == 1   ? (int8_t)p[2]
                : mod == 2 ? (int32_t)get_le32(p + 2)
                           : 0,
    };
    return out->len = (uint8_t)(p - bytes + 2 + (mod == 2 ? 4 : mod));
}

static __attribute__((noinline)) int decode_any(const uint8_t *bytes, size_t n, enum cpu_mode mode,
                                                struct insn *out)
{
    uint8_t buf[BUFFER_LEN] = { 0 };
    struct decode_state s = { .p = buf, .insn = out, .mode = mode, .seg = -1 };
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
