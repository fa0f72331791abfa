/* SPDX-License-Identifier: MIT */
/*
 * x86 instruction decoder: the length of any legacy, VEX or EVEX encoded instruction, and full
 * operand information for those that reach emulated memory or leave the guest.  It knows nothing
 * of virtualisation, memory or CPU state: bytes in, struct insn out.
 */
#ifndef XL_CPU_DECODE_H
#define XL_CPU_DECODE_H

#include "lib/types.h"

#define INSN_MAX_LEN 15 /* Intel SDM vol 2, 2.3.11 */

/* Default operand and address size: 64-bit code, else the D bit of CS. */
enum cpu_mode { CPU_MODE_16, CPU_MODE_32, CPU_MODE_64 };

/* Register numbers as encoded; the order of emul_regs.gpr. */
enum insn_reg {
    REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
    REG_NONE = 16, /* no base or no index */
    REG_RIP = 17,  /* base only: address of the next instruction */
};

/* Segments as encoded in ModRM.reg of MOV Sreg. */
enum insn_seg { SEG_ES, SEG_CS, SEG_SS, SEG_DS, SEG_FS, SEG_GS };

enum insn_op {
    INSN_OTHER, /* only length, prefixes and memory operand are known */

    /* Those that emulate.c executes. */
    INSN_MOV, /* MOVNTI too */
    INSN_MOVZX, INSN_MOVSX, INSN_MOVBE,
    INSN_ADD, INSN_OR, INSN_ADC, INSN_SBB, INSN_AND, INSN_SUB, INSN_XOR, INSN_CMP,
    INSN_TEST, INSN_NOT, INSN_NEG, INSN_INC, INSN_DEC,
    INSN_XCHG, INSN_CMPXCHG, INSN_XADD,
    INSN_BT, INSN_BTS, INSN_BTR, INSN_BTC,
    INSN_MOVS, INSN_STOS, INSN_LODS, INSN_CMPS, INSN_SCAS,
    INSN_INS, INSN_OUTS,
    INSN_PUSH, INSN_POP, /* memory operand forms only */
    INSN_SSE_MOV,        /* whole-operand copies between xmm (or its low part) and memory */
    INSN_CACHE_HINT,     /* prefetches, CLFLUSH: memory is named, not touched */

    /* Those that leave a guest; operands in reg, imm. */
    INSN_IN, INSN_OUT, /* port in imm if src is INSN_SRC_IMM, else in DX */
    INSN_CPUID, INSN_RDMSR, INSN_WRMSR, INSN_RDTSC, INSN_RDTSCP, INSN_RDPMC, INSN_RDPID,
    INSN_HLT, INSN_PAUSE, INSN_MONITOR, INSN_MWAIT,
    INSN_XSETBV, INSN_XGETBV, INSN_INVD, INSN_WBINVD, INSN_INVLPG, INSN_INVPCID, INSN_CLTS,
    INSN_MOV_FROM_CR, INSN_MOV_TO_CR, /* cr: reg, gpr: rm */
    INSN_MOV_FROM_DR, INSN_MOV_TO_DR, /* dr: reg, gpr: rm */
    INSN_LMSW, INSN_SMSW,
    INSN_LGDT, INSN_LIDT, INSN_SGDT, INSN_SIDT, INSN_LLDT, INSN_LTR, INSN_SLDT, INSN_STR,
    INSN_VMCALL, INSN_VMMCALL, INSN_VMRUN, INSN_VMLOAD, INSN_VMSAVE, INSN_STGI, INSN_CLGI,
    INSN_SKINIT, INSN_INVLPGA, INSN_RSM, INSN_IRET, INSN_PUSHF, INSN_POPF, INSN_INT, INSN_INT3,
    INSN_UD,
    INSN_NR_OPS,
};

/* Where the operand that is not the r/m one comes from. */
enum insn_src { INSN_SRC_NONE, INSN_SRC_REG, INSN_SRC_IMM };

#define INSN_READ  1 /* memory operand is read */
#define INSN_WRITE 2 /* memory operand is written */

#define INSN_REP   1 /* F3 */
#define INSN_REPNE 2 /* F2 */

struct insn {
    uint8_t op;  /* enum insn_op */
    uint8_t len; /* bytes */
    uint8_t opsize;  /* bytes of the operation: 1, 2, 4, 8, or 16 for SSE */
    uint8_t memsize; /* bytes touched in memory; differs from opsize for MOVZX, MOVSX */
    uint8_t addrsize; /* 2, 4, 8 */
    uint8_t access; /* INSN_READ | INSN_WRITE of that operand; 0: not known (INSN_OTHER), or none */
    bool mem;       /* there is a ModRM or moffs memory operand */
    bool rm_first;  /* the r/m operand is the first one (destination of ADD, left side of CMP) */
    uint8_t src;    /* enum insn_src */
    uint8_t reg;    /* register operand (GPR, xmm, CR or DR as op says) */
    uint8_t rm;     /* register number of the r/m operand if !mem */
    bool reg_high;  /* reg means bits 15:8 of rAX..rBX, i.e. AH, CH, DH, BH */
    bool rm_high;   /* rm likewise */
    uint8_t seg;    /* enum insn_seg of the memory operand, overrides applied; strings: of rSI */
    uint8_t base, index, scale; /* enum insn_reg; scale is a shift, 0 to 3 */
    uint8_t rep;    /* INSN_REP or INSN_REPNE prefix (the last one counts) */
    bool lock;
    uint8_t rex;    /* REX prefix byte, 0 if none */
    uint8_t modrm;  /* valid if has_modrm */
    bool has_modrm;
    int64_t disp;   /* displacement or moffs, sign extended; of EVEX forms not yet scaled */
    uint64_t imm;   /* sign extended to 64 bits as the operation wants it */
};

/*
 * Decodes the instruction at `bytes`, of which `n` are there.
 * 0; -ENODATA: it goes on beyond `n` bytes; -EINVAL: undefined, or longer than 15 bytes.
 * *out is meaningful only on success.
 */
int insn_decode(const uint8_t *bytes, size_t n, enum cpu_mode mode, struct insn *out);

/* Sign-extends the low `size` (1, 2, 4, 8) bytes of v. */
static inline int64_t insn_sext(uint64_t v, unsigned size)
{
    unsigned shift = 64 - 8 * size;

    return (int64_t)(v << shift) >> shift;
}

#endif
