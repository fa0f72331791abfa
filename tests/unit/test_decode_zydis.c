/* SPDX-License-Identifier: MIT */
/*
 * The instruction decoder against libZydis: random bytes, shaped so that every map, group and
 * prefix comes up often.  Whatever Zydis decodes must have the same length here; where the
 * decoder claims to know operands they must agree as well.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <Zydis/Zydis.h>

#include "cpu/decode.h"
#include "lib/errno.h"
#include "lib/string.h"

#define ROUNDS 300000

static ZydisDecoder decoder[3];
static uint64_t rng = 88172645463325252ull;

static uint32_t rnd(uint32_t n)
{
    rng ^= rng << 13;
    rng ^= rng >> 7;
    rng ^= rng << 17;
    return (uint32_t)((rng >> 20) % n);
}

static void make_bytes(uint8_t *b)
{
    static const uint8_t prefixes[] = { 0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0x66, 0x67,
                                        0xf0, 0xf2, 0xf3, 0x66, 0x48, 0x41, 0x4f, 0x40 };
    unsigned i, n = rnd(4);

    for (i = 0; i < 24; i++)
        b[i] = (uint8_t)rnd(256);
    for (i = 0; i < n; i++)
        b[i] = prefixes[rnd(sizeof(prefixes))];
    switch (rnd(5)) {
    case 0:
    case 1:
        b[i++] = 0x0f;
        if (!rnd(4))
            b[i] = rnd(2) ? 0x38 : 0x3a;
        break;
    case 2:
        if (!rnd(4))
            b[i] = (uint8_t)("\xc4\xc5\x62\x8f"[rnd(4)]);
        break;
    default:
        break;
    }
}

static void dump(const uint8_t *b, unsigned mode, const char *why)
{
    unsigned i;

    print_message("mode %u, bytes", mode);
    for (i = 0; i < 15; i++)
        print_message(" %02x", b[i]);
    print_message(": %s\n", why);
}

/* Mnemonics that share an op here; 0 where the names are the same idea one to one. */
static bool same_op(const struct insn *insn, ZydisMnemonic m)
{
    static const uint16_t map[INSN_NR_OPS][6] = {
        [INSN_MOV] = { ZYDIS_MNEMONIC_MOV, ZYDIS_MNEMONIC_MOVNTI },
        [INSN_MOVZX] = { ZYDIS_MNEMONIC_MOVZX },
        [INSN_MOVSX] = { ZYDIS_MNEMONIC_MOVSX, ZYDIS_MNEMONIC_MOVSXD },
        [INSN_MOVBE] = { ZYDIS_MNEMONIC_MOVBE },
        [INSN_ADD] = { ZYDIS_MNEMONIC_ADD },
        [INSN_OR] = { ZYDIS_MNEMONIC_OR },
        [INSN_ADC] = { ZYDIS_MNEMONIC_ADC },
        [INSN_SBB] = { ZYDIS_MNEMONIC_SBB },
        [INSN_AND] = { ZYDIS_MNEMONIC_AND },
        [INSN_SUB] = { ZYDIS_MNEMONIC_SUB },
        [INSN_XOR] = { ZYDIS_MNEMONIC_XOR },
        [INSN_CMP] = { ZYDIS_MNEMONIC_CMP },
        [INSN_TEST] = { ZYDIS_MNEMONIC_TEST },
        [INSN_NOT] = { ZYDIS_MNEMONIC_NOT },
        [INSN_NEG] = { ZYDIS_MNEMONIC_NEG },
        [INSN_INC] = { ZYDIS_MNEMONIC_INC },
        [INSN_DEC] = { ZYDIS_MNEMONIC_DEC },
        [INSN_XCHG] = { ZYDIS_MNEMONIC_XCHG },
        [INSN_CMPXCHG] = { ZYDIS_MNEMONIC_CMPXCHG },
        [INSN_XADD] = { ZYDIS_MNEMONIC_XADD },
        [INSN_BT] = { ZYDIS_MNEMONIC_BT },
        [INSN_BTS] = { ZYDIS_MNEMONIC_BTS },
        [INSN_BTR] = { ZYDIS_MNEMONIC_BTR },
        [INSN_BTC] = { ZYDIS_MNEMONIC_BTC },
        [INSN_MOVS] = { ZYDIS_MNEMONIC_MOVSB, ZYDIS_MNEMONIC_MOVSW, ZYDIS_MNEMONIC_MOVSD,
                        ZYDIS_MNEMONIC_MOVSQ },
        [INSN_STOS] = { ZYDIS_MNEMONIC_STOSB, ZYDIS_MNEMONIC_STOSW, ZYDIS_MNEMONIC_STOSD,
                        ZYDIS_MNEMONIC_STOSQ },
        [INSN_LODS] = { ZYDIS_MNEMONIC_LODSB, ZYDIS_MNEMONIC_LODSW, ZYDIS_MNEMONIC_LODSD,
                        ZYDIS_MNEMONIC_LODSQ },
        [INSN_CMPS] = { ZYDIS_MNEMONIC_CMPSB, ZYDIS_MNEMONIC_CMPSW, ZYDIS_MNEMONIC_CMPSD,
                        ZYDIS_MNEMONIC_CMPSQ },
        [INSN_SCAS] = { ZYDIS_MNEMONIC_SCASB, ZYDIS_MNEMONIC_SCASW, ZYDIS_MNEMONIC_SCASD,
                        ZYDIS_MNEMONIC_SCASQ },
        [INSN_INS] = { ZYDIS_MNEMONIC_INSB, ZYDIS_MNEMONIC_INSW, ZYDIS_MNEMONIC_INSD },
        [INSN_OUTS] = { ZYDIS_MNEMONIC_OUTSB, ZYDIS_MNEMONIC_OUTSW, ZYDIS_MNEMONIC_OUTSD },
        [INSN_PUSH] = { ZYDIS_MNEMONIC_PUSH },
        [INSN_POP] = { ZYDIS_MNEMONIC_POP },
        [INSN_IN] = { ZYDIS_MNEMONIC_IN },
        [INSN_OUT] = { ZYDIS_MNEMONIC_OUT },
        [INSN_CPUID] = { ZYDIS_MNEMONIC_CPUID },
        [INSN_RDMSR] = { ZYDIS_MNEMONIC_RDMSR },
        [INSN_WRMSR] = { ZYDIS_MNEMONIC_WRMSR },
        [INSN_RDTSC] = { ZYDIS_MNEMONIC_RDTSC },
        [INSN_RDTSCP] = { ZYDIS_MNEMONIC_RDTSCP },
        [INSN_RDPMC] = { ZYDIS_MNEMONIC_RDPMC },
        [INSN_RDPID] = { ZYDIS_MNEMONIC_RDPID },
        [INSN_HLT] = { ZYDIS_MNEMONIC_HLT },
        [INSN_PAUSE] = { ZYDIS_MNEMONIC_PAUSE },
        [INSN_MONITOR] = { ZYDIS_MNEMONIC_MONITOR },
        [INSN_MWAIT] = { ZYDIS_MNEMONIC_MWAIT },
        [INSN_XSETBV] = { ZYDIS_MNEMONIC_XSETBV },
        [INSN_XGETBV] = { ZYDIS_MNEMONIC_XGETBV },
        [INSN_INVD] = { ZYDIS_MNEMONIC_INVD },
        [INSN_WBINVD] = { ZYDIS_MNEMONIC_WBINVD },
        [INSN_INVLPG] = { ZYDIS_MNEMONIC_INVLPG },
        [INSN_INVPCID] = { ZYDIS_MNEMONIC_INVPCID },
        [INSN_CLTS] = { ZYDIS_MNEMONIC_CLTS },
        [INSN_MOV_FROM_CR] = { ZYDIS_MNEMONIC_MOV },
        [INSN_MOV_TO_CR] = { ZYDIS_MNEMONIC_MOV },
        [INSN_MOV_FROM_DR] = { ZYDIS_MNEMONIC_MOV },
        [INSN_MOV_TO_DR] = { ZYDIS_MNEMONIC_MOV },
        [INSN_LMSW] = { ZYDIS_MNEMONIC_LMSW },
        [INSN_SMSW] = { ZYDIS_MNEMONIC_SMSW },
        [INSN_LGDT] = { ZYDIS_MNEMONIC_LGDT },
        [INSN_LIDT] = { ZYDIS_MNEMONIC_LIDT },
        [INSN_SGDT] = { ZYDIS_MNEMONIC_SGDT },
        [INSN_SIDT] = { ZYDIS_MNEMONIC_SIDT },
        [INSN_LLDT] = { ZYDIS_MNEMONIC_LLDT },
        [INSN_LTR] = { ZYDIS_MNEMONIC_LTR },
        [INSN_SLDT] = { ZYDIS_MNEMONIC_SLDT },
        [INSN_STR] = { ZYDIS_MNEMONIC_STR },
        [INSN_VMCALL] = { ZYDIS_MNEMONIC_VMCALL },
        [INSN_VMMCALL] = { ZYDIS_MNEMONIC_VMMCALL },
        [INSN_VMRUN] = { ZYDIS_MNEMONIC_VMRUN },
        [INSN_VMLOAD] = { ZYDIS_MNEMONIC_VMLOAD },
        [INSN_VMSAVE] = { ZYDIS_MNEMONIC_VMSAVE },
        [INSN_STGI] = { ZYDIS_MNEMONIC_STGI },
        [INSN_CLGI] = { ZYDIS_MNEMONIC_CLGI },
        [INSN_SKINIT] = { ZYDIS_MNEMONIC_SKINIT },
        [INSN_INVLPGA] = { ZYDIS_MNEMONIC_INVLPGA },
        [INSN_RSM] = { ZYDIS_MNEMONIC_RSM },
        [INSN_IRET] = { ZYDIS_MNEMONIC_IRET, ZYDIS_MNEMONIC_IRETD, ZYDIS_MNEMONIC_IRETQ },
        [INSN_PUSHF] = { ZYDIS_MNEMONIC_PUSHF, ZYDIS_MNEMONIC_PUSHFD, ZYDIS_MNEMONIC_PUSHFQ },
        [INSN_POPF] = { ZYDIS_MNEMONIC_POPF, ZYDIS_MNEMONIC_POPFD, ZYDIS_MNEMONIC_POPFQ },
        [INSN_INT] = { ZYDIS_MNEMONIC_INT },
        [INSN_INT3] = { ZYDIS_MNEMONIC_INT3 },
        [INSN_UD] = { ZYDIS_MNEMONIC_UD0, ZYDIS_MNEMONIC_UD1, ZYDIS_MNEMONIC_UD2 },
    };
    unsigned i;

    if (insn->op == INSN_OTHER || insn->op == INSN_SSE_MOV || insn->op == INSN_CACHE_HINT)
        return true;
    for (i = 0; i < 6; i++)
        if (map[insn->op][i] && map[insn->op][i] == m)
            return true;
    return false;
}

/* The op that an unknown instruction should have had: nothing that is emulated may be missed. */
static bool missed(const struct insn *insn, const ZydisDecodedInstruction *z,
                   const ZydisDecodedOperand *op)
{
    if (insn->op != INSN_OTHER || z->encoding != ZYDIS_INSTRUCTION_ENCODING_LEGACY || !insn->mem)
        return false;
    switch (z->mnemonic) {
    case ZYDIS_MNEMONIC_MOV: /* but for segment registers */
        return op[0].type != ZYDIS_OPERAND_TYPE_REGISTER || op[1].type != ZYDIS_OPERAND_TYPE_MEMORY
                   ? op[1].type != ZYDIS_OPERAND_TYPE_REGISTER ||
                         op[1].reg.value < ZYDIS_REGISTER_ES || op[1].reg.value > ZYDIS_REGISTER_GS
                   : op[0].reg.value < ZYDIS_REGISTER_ES || op[0].reg.value > ZYDIS_REGISTER_GS;
    case ZYDIS_MNEMONIC_MOVZX:
    case ZYDIS_MNEMONIC_MOVSX:
    case ZYDIS_MNEMONIC_MOVSXD:
    case ZYDIS_MNEMONIC_ADD:
    case ZYDIS_MNEMONIC_OR:
    case ZYDIS_MNEMONIC_ADC:
    case ZYDIS_MNEMONIC_SBB:
    case ZYDIS_MNEMONIC_AND:
    case ZYDIS_MNEMONIC_SUB:
    case ZYDIS_MNEMONIC_XOR:
    case ZYDIS_MNEMONIC_CMP:
    case ZYDIS_MNEMONIC_TEST:
    case ZYDIS_MNEMONIC_XCHG:
    case ZYDIS_MNEMONIC_MOVUPS:
    case ZYDIS_MNEMONIC_MOVAPS:
    case ZYDIS_MNEMONIC_MOVDQU:
    case ZYDIS_MNEMONIC_MOVDQA:
        return true;
    case ZYDIS_MNEMONIC_MOVQ:
        return op[0].reg.value < ZYDIS_REGISTER_MM0 || op[0].reg.value > ZYDIS_REGISTER_MM7
                   ? op[1].reg.value < ZYDIS_REGISTER_MM0 || op[1].reg.value > ZYDIS_REGISTER_MM7
                   : false;
    default:
        return false;
    }
}

static const ZydisDecodedOperand *memory_operand(const ZydisDecodedInstruction *z,
                                                 const ZydisDecodedOperand *op)
{
    unsigned i;

    for (i = 0; i < z->operand_count; i++)
        if (op[i].type == ZYDIS_OPERAND_TYPE_MEMORY &&
            op[i].visibility == ZYDIS_OPERAND_VISIBILITY_EXPLICIT)
            return &op[i];
    return NULL;
}

static uint8_t reg_id(ZydisRegister r)
{
    if (r == ZYDIS_REGISTER_NONE)
        return REG_NONE;
    if (r == ZYDIS_REGISTER_RIP || r == ZYDIS_REGISTER_EIP)
        return REG_RIP;
    return (uint8_t)ZydisRegisterGetId(r);
}

static bool accesses(const struct insn *insn)
{
    return insn->op > INSN_OTHER && insn->op <= INSN_SSE_MOV &&
           !(insn->op >= INSN_MOVS && insn->op <= INSN_OUTS);
}

/* Compares the ModRM or moffs operand; what differs, or NULL. */
static const char *compare_mem(const struct insn *insn, const ZydisDecodedInstruction *z,
                               const ZydisDecodedOperand *m)
{
    unsigned want = 0;

    if (!m)
        return insn->mem ? "a memory operand too much" : NULL;
    if (!insn->mem)
        return "no memory operand";
    if (insn->base != reg_id(m->mem.base))
        return "base";
    if (insn->index != reg_id(m->mem.index))
        return "index";
    if (insn->index != REG_NONE && (1u << insn->scale) != m->mem.scale)
        return "scale";
    if (insn->disp != (m->mem.disp.has_displacement ? m->mem.disp.value : 0))
        return "displacement";
    if (insn->seg != ZydisRegisterGetId(m->mem.segment))
        return "segment";
    if (insn->addrsize * 8 != z->address_width)
        return "address size";
    if (!accesses(insn))
        return NULL;
    /* MOVSXD to a 16-bit register reads 16 bits (Intel SDM) or 32 (Zydis). */
    if (insn->memsize * 8 != m->size &&
        !(z->mnemonic == ZYDIS_MNEMONIC_MOVSXD && insn->opsize == 2))
        return "size";
    want |= m->actions & ZYDIS_OPERAND_ACTION_MASK_READ ? INSN_READ : 0;
    want |= m->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE ? INSN_WRITE : 0;
    if (insn->access != want)
        return "access";
    return NULL;
}

/* Compares the register or immediate beside the r/m operand. */
static const char *compare_src(const struct insn *insn, const ZydisDecodedOperand *op)
{
    const ZydisDecodedOperand *other = &op[insn->rm_first ? 1 : 0];

    if (!accesses(insn) || insn->op == INSN_SSE_MOV)
        return NULL;
    if (insn->src == INSN_SRC_IMM) {
        uint64_t mask = insn->opsize == 8 ? ~0ull : (1ull << 8 * insn->opsize) - 1;

        if (insn->op >= INSN_BT && insn->op <= INSN_BTC)
            mask = 0xff; /* taken modulo the operand size, so its sign does not matter */
        if (op[1].type != ZYDIS_OPERAND_TYPE_IMMEDIATE)
            return "should be no immediate";
        return (op[1].imm.value.u & mask) == (insn->imm & mask) ? NULL : "immediate";
    }
    if (insn->src == INSN_SRC_REG) {
        bool high;
        ZydisRegister r = other->reg.value;

        if (other->type != ZYDIS_OPERAND_TYPE_REGISTER)
            return "should be no register";
        high = r >= ZYDIS_REGISTER_AH && r <= ZYDIS_REGISTER_BH;
        if (high != insn->reg_high)
            return "high byte";
        if (insn->reg != (high ? r - ZYDIS_REGISTER_AH : reg_id(r)))
            /* Zydis numbers SPL to DIL on from BL as it does AH to BH. */
            if (insn->opsize != 1 || insn->reg != r - ZYDIS_REGISTER_SPL + 4)
                return "register";
        if (insn->opsize * 8u != other->size)
            return "operand size";
    }
    return NULL;
}

/* Instructions of Knights Corner, and a wrong answer of Zydis 4.0. */
static bool ignored(const struct insn *insn, const ZydisDecodedInstruction *z)
{
    if (z->encoding == ZYDIS_INSTRUCTION_ENCODING_MVEX || z->mnemonic == ZYDIS_MNEMONIC_JKZD ||
        z->mnemonic == ZYDIS_MNEMONIC_JKNZD)
        return true;
    /* With address size 32 and REX.B it sees R13 where there is no base (SDM vol 2, table 2-5). */
    return insn->mem && insn->rex & 1 && insn->addrsize == 4 && z->raw.modrm.mod == 0 &&
           z->raw.modrm.rm == 4 && z->raw.sib.base == 5;
}

static const char *compare(const struct insn *insn, const ZydisDecodedInstruction *z,
                           const ZydisDecodedOperand *op)
{
    const char *why = NULL;

    if (insn->len != z->length)
        return "length";
    if (z->encoding != ZYDIS_INSTRUCTION_ENCODING_LEGACY)
        return insn->op == INSN_OTHER ? NULL : "a vector instruction is taken for another";
    if (!same_op(insn, z->mnemonic))
        return "op";
    if (missed(insn, z, op))
        return "not recognised";
    if (insn->op != INSN_OTHER && !(insn->op >= INSN_MOVS && insn->op <= INSN_OUTS))
        why = compare_mem(insn, z, memory_operand(z, op));
    return why ? why : compare_src(insn, op);
}

static void random_bytes_agree(void **state)
{
    static const enum cpu_mode modes[] = { CPU_MODE_16, CPU_MODE_32, CPU_MODE_64 };
    unsigned i, k, known = 0, failures = 0;

    (void)state;
    for (i = 0; i < ROUNDS; i++) {
        ZydisDecodedOperand op[ZYDIS_MAX_OPERAND_COUNT];
        ZydisDecodedInstruction z;
        struct insn insn;
        uint8_t b[24];
        const char *why;
        int rc;

        make_bytes(b);
        k = rnd(5);
        k = k > 2 ? 2 : k;
        if (!ZYAN_SUCCESS(ZydisDecoderDecodeFull(&decoder[k], b, 15, &z, op)))
            continue;
        rc = insn_decode(b, 15, modes[k], &insn);
        if (ignored(&insn, &z))
            continue;
        why = rc ? "refused" : compare(&insn, &z, op);
        if (why && failures++ < 40) {
            dump(b, k, why);
            print_message("   Zydis: %s, %u bytes; here: rc %d, op %u, %u bytes\n",
                          ZydisMnemonicGetString(z.mnemonic), z.length, rc, insn.op, insn.len);
        }
        if (why)
            continue;
        known += insn.op != INSN_OTHER;
        /* Exactly the bytes it needs are enough, one less are not. */
        assert_int_equal(insn_decode(b, insn.len, modes[k], &insn), 0);
        assert_int_equal(insn_decode(b, insn.len - 1u, modes[k], &insn), -ENODATA);
    }
    assert_int_equal(failures, 0);
    assert_true(known > ROUNDS / 10);
}

static int setup(void **state)
{
    (void)state;
    ZydisDecoderInit(&decoder[0], ZYDIS_MACHINE_MODE_LEGACY_16, ZYDIS_STACK_WIDTH_16);
    ZydisDecoderInit(&decoder[1], ZYDIS_MACHINE_MODE_LEGACY_32, ZYDIS_STACK_WIDTH_32);
    ZydisDecoderInit(&decoder[2], ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_bytes_agree),
    };

    return cmocka_run_group_tests(tests, setup, NULL);
}
