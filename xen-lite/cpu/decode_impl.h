/* SPDX-License-Identifier: MIT */
/*
 * What the decoder's files share: the attributes of an opcode, and the state of decoding.
 */
#ifndef XL_CPU_DECODE_IMPL_H
#define XL_CPU_DECODE_IMPL_H

#include "cpu/decode.h"

/* Bits 7:0 of an entry: enum insn_op, or enum insn_group with GROUP. */
enum insn_group {
    GROUP_ALU, GROUP_POP, GROUP_MOV, GROUP_TEST, GROUP_INC, GROUP_CALL, /* one-byte map */
    GROUP_SYS, GROUP_DESC, GROUP_BIT, GROUP_CX8, GROUP_FENCE, GROUP_SSE, GROUP_JMPE, /* 0F */
    GROUP_MOVNTI,
    GROUP_MOVBE, GROUP_INV, GROUP_NTDQA, /* 0F 38 */
};

#define OP_MASK 0xffu
#define MODRM   BIT32(8)
#define IMM(k)  ((uint32_t)(k) << 9) /* enum imm_kind, bits 12:9 */
#define BYTE    BIT32(13) /* operands of one byte */
#define D64     BIT32(14) /* 64-bit operands by default in 64-bit mode */
#define F64     BIT32(15) /* near branch: 66 is ignored in 64-bit mode */
#define I64     BIT32(16) /* undefined in 64-bit mode */
#define UD      BIT32(17)
#define RD      BIT32(18) /* memory operand is read, */
#define WR      BIT32(19) /* written */
#define FIRST   BIT32(20) /* r/m is the first operand */
#define SREG    BIT32(21) /* the other operand is ModRM.reg */
#define SIMM    BIT32(22) /* or an immediate */
#define GROUP   BIT32(23)
#define MEMONLY BIT32(24) /* undefined with a register */
#define REGONLY BIT32(25) /* always a register, ModRM.mod is ignored */
#define PREFIX  BIT32(26)
#define MEM1    BIT32(27) /* memory operand of 1, 2 bytes whatever the operand size */
#define MEM2    BIT32(28)
#define STRING  BIT32(29)
#define SPECIAL BIT32(30) /* decode_special() has more to say */
#define ESCAPE  BIT32(31) /* 0F, or perhaps VEX, EVEX or XOP */
#define BIT32(n) (1u << (n))

enum imm_kind {
    IMM_NONE,
    IMM_B,     /* 1 byte, sign extended */
    IMM_Z,     /* 2 or 4 bytes, by operand size */
    IMM_V,     /* 2, 4 or 8 bytes */
    IMM_W,     /* 2 bytes */
    IMM_WB,    /* 2 and 1 (ENTER) */
    IMM_FAR,   /* offset of 2 or 4 bytes and selector */
    IMM_MOFFS, /* address */
    IMM_4,     /* 4 bytes */
};

#define IB IMM(IMM_B)
#define IZ IMM(IMM_Z)

#define REX_W 8
#define REX_R 4
#define REX_X 2
#define REX_B 1

struct decode_state {
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
 * Opcodes that ModRM.reg or a prefix tells apart; may add to s->attr and correct the operand size.
 * Returns enum insn_op or an error.
 */
int decode_group(struct decode_state *s);

#endif
