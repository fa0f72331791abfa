/* SPDX-License-Identifier: MIT */
/*
 * Opcode maps of the decoder (Intel SDM vol 2, appendix A; AMD APM vol 3, appendix A), included by
 * decode.c alone: what follows an opcode, and what the instruction does with its operands.
 */
#ifndef XL_CPU_DECODE_TABLE_H
#define XL_CPU_DECODE_TABLE_H

#include "cpu/decode_impl.h"

/* ADD and its seven relatives: r/m with register both ways, accumulator with immediate. */
#define ALU(base, op, write)                                                                       \
    [(base)] = (op) | MODRM | BYTE | RD | (write) | FIRST | SREG,                                  \
    [(base) + 1] = (op) | MODRM | RD | (write) | FIRST | SREG,                                     \
    [(base) + 2] = (op) | MODRM | BYTE | RD | SREG, [(base) + 3] = (op) | MODRM | RD | SREG,       \
    [(base) + 4] = IB | BYTE, [(base) + 5] = IZ

static const uint32_t one_byte_map[256] = {
    ALU(0x00, INSN_ADD, WR),
    [0x06 ... 0x07] = I64,
    ALU(0x08, INSN_OR, WR),
    [0x0e] = I64,
    ALU(0x10, INSN_ADC, WR),
    [0x16 ... 0x17] = I64,
    ALU(0x18, INSN_SBB, WR),
    [0x1e ... 0x1f] = I64,
    ALU(0x20, INSN_AND, WR),
    [0x26] = PREFIX,
    [0x27] = I64,
    ALU(0x28, INSN_SUB, WR),
    [0x2e] = PREFIX,
    [0x2f] = I64,
    ALU(0x30, INSN_XOR, WR),
    [0x36] = PREFIX,
    [0x37] = I64,
    ALU(0x38, INSN_CMP, 0),
    [0x3e] = PREFIX,
    [0x3f] = I64,
    [0x0f] = ESCAPE,
    [0x40 ... 0x4f] = PREFIX, /* REX, or INC and DEC */
    [0x50 ... 0x5f] = D64,
    [0x60 ... 0x61] = I64,
    [0x62] = MODRM | MEMONLY | I64 | ESCAPE, /* BOUND, or EVEX */
    [0x63] = INSN_MOVSX | MODRM | RD | SREG | SPECIAL, /* ARPL outside of 64-bit mode */
    [0x64 ... 0x67] = PREFIX,
    [0x68] = IZ | D64,
    [0x69] = MODRM | IZ,
    [0x6a] = IB | D64,
    [0x6b] = MODRM | IB,
    [0x6c] = INSN_INS | STRING | BYTE | SPECIAL,
    [0x6d] = INSN_INS | STRING | SPECIAL,
    [0x6e] = INSN_OUTS | STRING | BYTE | SPECIAL,
    [0x6f] = INSN_OUTS | STRING | SPECIAL,
    [0x70 ... 0x7f] = IB,
    [0x80] = GROUP_ALU | GROUP | MODRM | IB | BYTE | RD | FIRST | SIMM,
    [0x81] = GROUP_ALU | GROUP | MODRM | IZ | RD | FIRST | SIMM,
    [0x82] = GROUP_ALU | GROUP | MODRM | IB | BYTE | RD | FIRST | SIMM | I64,
    [0x83] = GROUP_ALU | GROUP | MODRM | IB | RD | FIRST | SIMM,
    [0x84] = INSN_TEST | MODRM | BYTE | RD | FIRST | SREG,
    [0x85] = INSN_TEST | MODRM | RD | FIRST | SREG,
    [0x86] = INSN_XCHG | MODRM | BYTE | RD | WR | FIRST | SREG,
    [0x87] = INSN_XCHG | MODRM | RD | WR | FIRST | SREG,
    [0x88] = INSN_MOV | MODRM | BYTE | WR | FIRST | SREG,
    [0x89] = INSN_MOV | MODRM | WR | FIRST | SREG,
    [0x8a] = INSN_MOV | MODRM | BYTE | RD | SREG,
    [0x8b] = INSN_MOV | MODRM | RD | SREG,
    [0x8c] = MODRM | MEM2,
    [0x8d] = MODRM | MEMONLY,
    [0x8e] = MODRM | MEM2,
    [0x8f] = GROUP_POP | GROUP | MODRM | D64 | WR | ESCAPE, /* or XOP */
    [0x90] = SPECIAL, /* PAUSE with F3 */
    [0x9a] = IMM(IMM_FAR) | I64,
    [0x9c] = INSN_PUSHF | D64,
    [0x9d] = INSN_POPF | D64,
    [0xa0] = INSN_MOV | IMM(IMM_MOFFS) | BYTE | RD | SREG,
    [0xa1] = INSN_MOV | IMM(IMM_MOFFS) | RD | SREG,
    [0xa2] = INSN_MOV | IMM(IMM_MOFFS) | BYTE | WR | FIRST | SREG,
    [0xa3] = INSN_MOV | IMM(IMM_MOFFS) | WR | FIRST | SREG,
    [0xa4] = INSN_MOVS | STRING | BYTE,
    [0xa5] = INSN_MOVS | STRING,
    [0xa6] = INSN_CMPS | STRING | BYTE,
    [0xa7] = INSN_CMPS | STRING,
    [0xa8] = IB | BYTE,
    [0xa9] = IZ,
    [0xaa] = INSN_STOS | STRING | BYTE,
    [0xab] = INSN_STOS | STRING,
    [0xac] = INSN_LODS | STRING | BYTE,
    [0xad] = INSN_LODS | STRING,
    [0xae] = INSN_SCAS | STRING | BYTE,
    [0xaf] = INSN_SCAS | STRING,
    [0xb0 ... 0xb7] = IB | BYTE,
    [0xb8 ... 0xbf] = IMM(IMM_V),
    [0xc0] = MODRM | IB | BYTE,
    [0xc1] = MODRM | IB,
    [0xc2] = IMM(IMM_W) | D64,
    [0xc3] = D64,
    [0xc4 ... 0xc5] = MODRM | MEMONLY | I64 | ESCAPE, /* LES and LDS, or VEX */
    [0xc6] = GROUP_MOV | GROUP | MODRM | IB | BYTE | WR | FIRST | SIMM,
    [0xc7] = GROUP_MOV | GROUP | MODRM | IZ | WR | FIRST | SIMM,
    [0xc8] = IMM(IMM_WB) | D64,
    [0xc9] = D64,
    [0xca] = IMM(IMM_W),
    [0xcc] = INSN_INT3,
    [0xcd] = INSN_INT | IB,
    [0xce] = I64,
    [0xcf] = INSN_IRET,
    [0xd0] = MODRM | BYTE,
    [0xd1] = MODRM,
    [0xd2] = MODRM | BYTE,
    [0xd3] = MODRM,
    [0xd4 ... 0xd5] = IB | I64,
    [0xd6] = I64,
    [0xd8 ... 0xdf] = MODRM,
    [0xe0 ... 0xe3] = IB,
    [0xe4] = INSN_IN | IB | BYTE | SIMM,
    [0xe5] = INSN_IN | IB | SIMM | SPECIAL,
    [0xe6] = INSN_OUT | IB | BYTE | SIMM,
    [0xe7] = INSN_OUT | IB | SIMM | SPECIAL,
    [0xe8 ... 0xe9] = IZ | F64,
    [0xea] = IMM(IMM_FAR) | I64,
    [0xeb] = IB,
    [0xec] = INSN_IN | BYTE,
    [0xed] = INSN_IN | SPECIAL,
    [0xee] = INSN_OUT | BYTE,
    [0xef] = INSN_OUT | SPECIAL,
    [0xf0] = PREFIX,
    [0xf2 ... 0xf3] = PREFIX,
    [0xf4] = INSN_HLT,
    [0xf6] = GROUP_TEST | GROUP | MODRM | BYTE | RD | FIRST,
    [0xf7] = GROUP_TEST | GROUP | MODRM | RD | FIRST,
    [0xfe] = GROUP_INC | GROUP | MODRM | BYTE | RD | WR | FIRST,
    [0xff] = GROUP_CALL | GROUP | MODRM | RD | WR | FIRST,
};

static const uint32_t two_byte_map[256] = {
    [0x00] = GROUP_DESC | GROUP | MODRM,
    [0x01] = GROUP_SYS | GROUP | MODRM,
    [0x02 ... 0x03] = MODRM,
    [0x04] = UD,
    [0x06] = INSN_CLTS,
    [0x08] = INSN_INVD,
    [0x09] = INSN_WBINVD,
    [0x0a] = UD,
    [0x0b] = INSN_UD,
    [0x0c] = UD,
    [0x0d] = INSN_CACHE_HINT | MODRM,
    [0x0f] = MODRM | IB, /* 3DNow!: the opcode comes last */
    [0x10 ... 0x13] = GROUP_SSE | GROUP | MODRM,
    [0x14 ... 0x17] = MODRM,
    [0x18] = INSN_CACHE_HINT | MODRM,
    [0x19 ... 0x1f] = MODRM, /* hint NOPs, MPX, CET */
    [0x20] = INSN_MOV_FROM_CR | MODRM | REGONLY | SPECIAL,
    [0x21] = INSN_MOV_FROM_DR | MODRM | REGONLY,
    [0x22] = INSN_MOV_TO_CR | MODRM | REGONLY | SPECIAL,
    [0x23] = INSN_MOV_TO_DR | MODRM | REGONLY,
    [0x24 ... 0x27] = UD,
    [0x28 ... 0x29] = GROUP_SSE | GROUP | MODRM,
    [0x2a] = MODRM,
    [0x2b] = GROUP_SSE | GROUP | MODRM,
    [0x2c ... 0x2f] = MODRM,
    [0x30] = INSN_WRMSR,
    [0x31] = INSN_RDTSC,
    [0x32] = INSN_RDMSR,
    [0x33] = INSN_RDPMC,
    [0x36] = UD,
    [0x38] = UD, /* escapes, handled before */
    [0x39] = UD,
    [0x3a ... 0x3f] = UD,
    [0x40 ... 0x6d] = MODRM,
    [0x6e ... 0x6f] = GROUP_SSE | GROUP | MODRM,
    [0x70 ... 0x73] = MODRM | IB,
    [0x74 ... 0x76] = MODRM,
    [0x78 ... 0x79] = MODRM,
    [0x7a ... 0x7b] = UD,
    [0x7c ... 0x7d] = MODRM,
    [0x7e ... 0x7f] = GROUP_SSE | GROUP | MODRM,
    [0x80 ... 0x8f] = IZ | F64,
    [0x90 ... 0x9f] = MODRM | BYTE,
    [0xa0 ... 0xa1] = D64,
    [0xa2] = INSN_CPUID,
    [0xa3] = INSN_BT | MODRM | RD | FIRST | SREG,
    [0xa4] = MODRM | IB,
    [0xa5] = MODRM,
    [0xa6 ... 0xa7] = MODRM, /* VIA PadLock */
    [0xa8 ... 0xa9] = D64,
    [0xaa] = INSN_RSM,
    [0xab] = INSN_BTS | MODRM | RD | WR | FIRST | SREG,
    [0xac] = MODRM | IB,
    [0xad] = MODRM,
    [0xae] = GROUP_FENCE | GROUP | MODRM,
    [0xaf] = MODRM,
    [0xb0] = INSN_CMPXCHG | MODRM | BYTE | RD | WR | FIRST | SREG,
    [0xb1] = INSN_CMPXCHG | MODRM | RD | WR | FIRST | SREG,
    [0xb2] = MODRM | MEMONLY,
    [0xb3] = INSN_BTR | MODRM | RD | WR | FIRST | SREG,
    [0xb4 ... 0xb5] = MODRM | MEMONLY,
    [0xb6] = INSN_MOVZX | MODRM | RD | SREG | MEM1,
    [0xb7] = INSN_MOVZX | MODRM | RD | SREG | MEM2,
    [0xb8] = GROUP_JMPE | GROUP | MODRM,
    [0xb9] = INSN_UD | MODRM,
    [0xba] = GROUP_BIT | GROUP | MODRM | IB | RD | FIRST | SIMM,
    [0xbb] = INSN_BTC | MODRM | RD | WR | FIRST | SREG,
    [0xbc ... 0xbd] = MODRM,
    [0xbe] = INSN_MOVSX | MODRM | RD | SREG | MEM1,
    [0xbf] = INSN_MOVSX | MODRM | RD | SREG | MEM2,
    [0xc0] = INSN_XADD | MODRM | BYTE | RD | WR | FIRST | SREG,
    [0xc1] = INSN_XADD | MODRM | RD | WR | FIRST | SREG,
    [0xc2] = MODRM | IB,
    [0xc3] = GROUP_MOVNTI | GROUP | MODRM | MEMONLY | WR | FIRST | SREG,
    [0xc4 ... 0xc6] = MODRM | IB,
    [0xc7] = GROUP_CX8 | GROUP | MODRM,
    [0xd0 ... 0xd5] = MODRM,
    [0xd6] = GROUP_SSE | GROUP | MODRM,
    [0xd7 ... 0xe6] = MODRM,
    [0xe7] = GROUP_SSE | GROUP | MODRM,
    [0xe8 ... 0xef] = MODRM,
    [0xf0] = GROUP_SSE | GROUP | MODRM,
    [0xf1 ... 0xfe] = MODRM,
    [0xff] = INSN_UD | MODRM,
};

/* The 0F 38 map has ModRM everywhere and no immediates. */
static inline uint32_t map_0f38(uint8_t opcode)
{
    switch (opcode) {
    case 0x2a:
        return GROUP_NTDQA | GROUP | MODRM;
    case 0x82:
        return GROUP_INV | GROUP | MODRM;
    case 0xf0:
    case 0xf1:
        return GROUP_MOVBE | GROUP | MODRM;
    default:
        return MODRM;
    }
}

#endif
