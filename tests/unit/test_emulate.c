/* SPDX-License-Identifier: MIT */
/*
 * Emulated instructions against the processor that runs the test: the same bytes are executed on
 * one buffer and emulated on a copy, and registers, flags and memory must come out the same.
 * What cannot be run that way (16-bit code, stacks, ports, errors) is checked by hand.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "cpu/emulate.h"
#include "lib/errno.h"
#include "lib/le.h"
#include "lib/string.h"

#define BUF_LEN 4096
#define CF      0x001u
#define AF      0x010u
#define ZF      0x040u
#define DF      0x400u
#define OF      0x800u
#define FLAGS   0x8d5u

static uint8_t real[BUF_LEN], model[BUF_LEN];
static uint8_t *code; /* executable page */
static uint64_t rng = 0x9e3779b97f4a7c15ull;

static uint64_t rnd64(void)
{
    rng ^= rng << 13;
    rng ^= rng >> 7;
    rng ^= rng << 17;
    return rng * 0x2545f4914f6cdd1dull;
}

static unsigned rnd(unsigned n)
{
    return (unsigned)((rnd64() >> 33) % n);
}

/* Values that hit the edges of carries and signs. */
static uint64_t rnd_value(void)
{
    static const uint64_t edges[] = { 0,
                                      1,
                                      0x7f,
                                      0x80,
                                      0xff,
                                      0x7fff,
                                      0x8000,
                                      0xffff,
                                      0x7fffffff,
                                      0x80000000,
                                      0xffffffff,
                                      0x7fffffffffffffff,
                                      0x8000000000000000,
                                      0xffffffffffffffff };

    return rnd(2) ? edges[rnd(ARRAY_SIZE(edges))] : rnd64();
}

/* The callbacks see addresses in `real` and use `model`. */
static int mem_read(void *ctx, uint64_t addr, unsigned size, uint64_t *val)
{
    uint64_t off = addr - (uintptr_t)real;

    (void)ctx;
    assert_true(off < BUF_LEN && off + size <= BUF_LEN);
    *val = 0;
    memcpy(val, model + off, size);
    return 0;
}

static int mem_write(void *ctx, uint64_t addr, unsigned size, uint64_t val)
{
    uint64_t off = addr - (uintptr_t)real;

    (void)ctx;
    assert_true(off < BUF_LEN && off + size <= BUF_LEN);
    assert_true(size == 8 || !(val >> (8 * size)));
    memcpy(model + off, &val, size);
    return 0;
}

static const struct emul_ops mem_ops = { .read = mem_read, .write = mem_write };

static uint8_t *emit(uint8_t *p, const char *bytes, size_t n)
{
    memcpy(p, bytes, n);
    return p + n;
}

/* mov reg, [r15 + 8 * reg] or back, but for RSP and R15 */
static uint8_t *emit_moves(uint8_t *p, uint8_t opcode)
{
    unsigned r;

    for (r = 0; r < 15; r++) {
        if (r == REG_RSP)
            continue;
        *p++ = r >= 8 ? 0x4d : 0x49;
        *p++ = opcode;
        *p++ = (uint8_t)(0x47 | (r & 7) << 3);
        *p++ = (uint8_t)(8 * r);
    }
    return p;
}

/* Executes one instruction with the registers in *regs (RSP and R15 are left alone). */
static void run_native(const uint8_t *insn, unsigned len, struct emul_regs *regs)
{
    void (*fn)(struct emul_regs *);
    uint8_t *p = code;

    p = emit(p, "\x53\x55\x41\x54\x41\x55\x41\x56\x41\x57\x49\x89\xff",
             13);                                       /* pushes; mov r15, rdi */
    p = emit(p, "\x41\xff\xb7\x88\x00\x00\x00\x9d", 8); /* push flags; popf */
    p = emit_moves(p, 0x8b);
    p = emit(p, (const char *)insn, len);
    p = emit_moves(p, 0x89);
    p = emit(p, "\x9c\x41\x8f\x87\x88\x00\x00\x00\xfc", 9); /* pushf; pop flags; cld */
    emit(p, "\x41\x5f\x41\x5e\x41\x5d\x41\x5c\x5d\x5b\xc3", 11);
    fn = (void (*)(struct emul_regs *))(uintptr_t)code;
    fn(regs);
}

_Static_assert(offsetof(struct emul_regs, rflags) == 0x88, "run_native() knows this offset");

static void show(const uint8_t *b, unsigned len)
{
    unsigned i;

    for (i = 0; i < len; i++)
        print_message("%02x ", b[i]);
    print_message("\n");
}

/* Runs both and compares; flags in `undefined` may differ. */
static void both(const uint8_t *b, unsigned len, const struct emul_regs *start, unsigned undefined)
{
    struct emul_regs native = *start, emulated = *start;
    struct insn insn;
    unsigned i, rounds = 0;
    int rc;

    memcpy(model, real, BUF_LEN);
    assert_int_equal(insn_decode(b, len, CPU_MODE_64, &insn), 0);
    assert_int_equal(insn.len, len);
    run_native(b, len, &native);
    do
        rc = insn_emulate(&insn, CPU_MODE_64, &emulated, &mem_ops, NULL);
    while (rc == EMUL_AGAIN && ++rounds < 100);
    if (rc || memcmp(model, real, BUF_LEN) ||
        ((native.rflags ^ emulated.rflags) & FLAGS & ~undefined))
        show(b, len);
    assert_int_equal(rc, EMUL_DONE);
    assert_int_equal(emulated.rip, start->rip + len);
    for (i = 0; i < 15; i++) {
        if (i != REG_RSP && native.gpr[i] != emulated.gpr[i])
            show(b, len);
        if (i != REG_RSP)
            assert_int_equal(native.gpr[i], emulated.gpr[i]);
    }
    assert_memory_equal(model, real, BUF_LEN);
    assert_int_equal(native.rflags & FLAGS & ~undefined, emulated.rflags & FLAGS & ~undefined);
    assert_int_equal(emulated.rflags & ~(uint64_t)FLAGS, start->rflags & ~(uint64_t)FLAGS);
}

static void random_state(struct emul_regs *r)
{
    unsigned i;

    memset(r, 0, sizeof(*r));
    for (i = 0; i < 15; i++)
        r->gpr[i] = rnd_value();
    for (i = 0; i < BUF_LEN; i += 8) {
        uint64_t v = rnd_value();

        memcpy(real + i, &v, 8);
    }
    r->rflags = (rnd64() & FLAGS) | 0x202;
    r->rip = 0x400000;
}

struct form {
    uint8_t op[3];
    uint8_t op_len;
    uint8_t digit; /* ModRM.reg; 8: any register */
    uint8_t imm;   /* bytes; 4 means 2 with a 16-bit operand */
    bool byte;     /* byte operation */
    bool bit;      /* bit number in the register */
    bool lockable;
    unsigned undefined;
};

#define ALU_FORMS(base)                                                                            \
    { { (base) }, 1, 8, 0, true, false, true, AF },                                                \
        { { (base) + 1 }, 1, 8, 0, false, false, true, AF },                                       \
        { { (base) + 2 }, 1, 8, 0, true, false, false, AF },                                       \
    {                                                                                              \
        { (base) + 3 }, 1, 8, 0, false, false, false, AF                                           \
    }
/* Only logic leaves AF undefined; arithmetic has forms of its own below. */
#define ARITH_FORMS(base)                                                                          \
    { { (base) }, 1, 8, 0, true, false, true, 0 },                                                 \
        { { (base) + 1 }, 1, 8, 0, false, false, true, 0 },                                        \
        { { (base) + 2 }, 1, 8, 0, true, false, false, 0 },                                        \
    {                                                                                              \
        { (base) + 3 }, 1, 8, 0, false, false, false, 0                                            \
    }
#define IMM_FORMS(digit, und)                                                                      \
    { { 0x80 }, 1, (digit), 1, true, false, (digit) != 7, (und) },                                 \
        { { 0x81 }, 1, (digit), 4, false, false, (digit) != 7, (und) },                            \
    {                                                                                              \
        { 0x83 }, 1, (digit), 1, false, false, (digit) != 7, (und)                                 \
    }

static const struct form forms[] = {
    ARITH_FORMS(0x00),
    ALU_FORMS(0x08),
    ARITH_FORMS(0x10),
    ARITH_FORMS(0x18),
    ALU_FORMS(0x20),
    ARITH_FORMS(0x28),
    ALU_FORMS(0x30),
    { { 0x38 }, 1, 8, 0, true, false, false, 0 },
    { { 0x39 }, 1, 8, 0, false, false, false, 0 },
    { { 0x3a }, 1, 8, 0, true, false, false, 0 },
    { { 0x3b }, 1, 8, 0, false, false, false, 0 },
    IMM_FORMS(0, 0),
    IMM_FORMS(1, AF),
    IMM_FORMS(2, 0),
    IMM_FORMS(3, 0),
    IMM_FORMS(4, AF),
    IMM_FORMS(5, 0),
    IMM_FORMS(6, AF),
    IMM_FORMS(7, 0),
    { { 0x63 }, 1, 8, 0, false, false, false, 0 },
    { { 0x84 }, 1, 8, 0, true, false, false, AF },
    { { 0x85 }, 1, 8, 0, false, false, false, AF },
    { { 0x86 }, 1, 8, 0, true, false, true, 0 },
    { { 0x87 }, 1, 8, 0, false, false, true, 0 },
    { { 0x88 }, 1, 8, 0, true, false, false, 0 },
    { { 0x89 }, 1, 8, 0, false, false, false, 0 },
    { { 0x8a }, 1, 8, 0, true, false, false, 0 },
    { { 0x8b }, 1, 8, 0, false, false, false, 0 },
    { { 0xc6 }, 1, 0, 1, true, false, false, 0 },
    { { 0xc7 }, 1, 0, 4, false, false, false, 0 },
    { { 0xf6 }, 1, 0, 1, true, false, false, AF },
    { { 0xf7 }, 1, 0, 4, false, false, false, AF },
    { { 0xf6 }, 1, 2, 0, true, false, true, 0 },
    { { 0xf7 }, 1, 2, 0, false, false, true, 0 },
    { { 0xf6 }, 1, 3, 0, true, false, true, 0 },
    { { 0xf7 }, 1, 3, 0, false, false, true, 0 },
    { { 0xfe }, 1, 0, 0, true, false, true, 0 },
    { { 0xff }, 1, 0, 0, false, false, true, 0 },
    { { 0xfe }, 1, 1, 0, true, false, true, 0 },
    { { 0xff }, 1, 1, 0, false, false, true, 0 },
    { { 0x0f, 0xb0 }, 2, 8, 0, true, false, true, 0 },
    { { 0x0f, 0xb1 }, 2, 8, 0, false, false, true, 0 },
    { { 0x0f, 0xc0 }, 2, 8, 0, true, false, true, 0 },
    { { 0x0f, 0xc1 }, 2, 8, 0, false, false, true, 0 },
    { { 0x0f, 0xb6 }, 2, 8, 0, false, false, false, 0 },
    { { 0x0f, 0xb7 }, 2, 8, 0, false, false, false, 0 },
    { { 0x0f, 0xbe }, 2, 8, 0, false, false, false, 0 },
    { { 0x0f, 0xbf }, 2, 8, 0, false, false, false, 0 },
    { { 0x0f, 0xa3 }, 2, 8, 0, false, true, false, FLAGS & ~(CF | ZF) },
    { { 0x0f, 0xab }, 2, 8, 0, false, true, true, FLAGS & ~(CF | ZF) },
    { { 0x0f, 0xb3 }, 2, 8, 0, false, true, true, FLAGS & ~(CF | ZF) },
    { { 0x0f, 0xbb }, 2, 8, 0, false, true, true, FLAGS & ~(CF | ZF) },
    { { 0x0f, 0xba }, 2, 4, 1, false, false, false, FLAGS & ~(CF | ZF) },
    { { 0x0f, 0xba }, 2, 5, 1, false, false, true, FLAGS & ~(CF | ZF) },
    { { 0x0f, 0xba }, 2, 6, 1, false, false, true, FLAGS & ~(CF | ZF) },
    { { 0x0f, 0xba }, 2, 7, 1, false, false, true, FLAGS & ~(CF | ZF) },
};

/* Can this instruction be a plain register destination of this test?  Not RSP and not R15. */
static unsigned pick_reg(bool byte, unsigned rex)
{
    for (;;) {
        unsigned r = rnd(rex ? 16 : 8);

        if (r == 15 || (r == REG_RSP && !(byte && !rex)))
            continue;
        return r;
    }
}

/*
 * Assembles a form with its operand at [rbx + disp8], [rbx + disp32] or [rbx + rcx * 4 + disp8].
 * The registers in *r are set accordingly.
 */
static unsigned assemble(const struct form *f, uint8_t *b, struct emul_regs *r)
{
    unsigned n = 0, rex = rnd(2) ? 0x40 | (rnd(2) ? 8 : 0) : 0, kind = rnd(3), reg, i;
    bool p66 = !f->byte && rnd(3) == 0;

    if (f->op[0] == 0x63)
        p66 = false; /* processors differ in what they read */
    reg = f->digit < 8 ? f->digit : pick_reg(f->byte, rex);
    if (reg >= 8 && f->digit == 8)
        rex |= 4;
    if (f->lockable && rnd(4) == 0 && f->op[0] != 0x86 && f->op[0] != 0x87 && (f->op[0] & 2) == 0)
        b[n++] = 0xf0;
    if (p66)
        b[n++] = 0x66;
    if (rex)
        b[n++] = (uint8_t)rex;
    for (i = 0; i < f->op_len; i++)
        b[n++] = f->op[i];
    r->gpr[REG_RBX] = (uintptr_t)real + BUF_LEN / 2;
    if (f->bit && (reg & 15) != REG_RBX)
        r->gpr[reg & 15] = (uint64_t)((int64_t)rnd(4000) - 2000);
    if (kind == 2) {
        if (!(f->bit && reg == REG_RCX))
            r->gpr[REG_RCX] = rnd(100);
        else
            kind = 0;
    }
    b[n++] = (uint8_t)((kind == 1 ? 0x80 : 0x40) | (reg & 7) << 3 | (kind == 2 ? 4 : 3));
    if (kind == 2)
        b[n++] = 0x8b; /* rbx + rcx * 4 */
    if (kind == 1) {
        put_le32(b + n, rnd(256) - 128u);
        n += 4;
    } else {
        b[n++] = (uint8_t)rnd(256);
    }
    for (i = 0; i < (f->imm == 4 && p66 && !(rex & 8) ? 2 : f->imm); i++)
        b[n++] = (uint8_t)rnd_value();
    return n;
}

static void agrees_with_this_processor(void **state)
{
    unsigned i, round;

    (void)state;
    for (round = 0; round < 60; round++) {
        for (i = 0; i < ARRAY_SIZE(forms); i++) {
            struct emul_regs r;
            uint8_t b[16];
            unsigned n;

            random_state(&r);
            r.rflags &= ~(uint64_t)DF;
            n = assemble(&forms[i], b, &r);
            if (forms[i].bit && (b[n - 1] == 0x03))
                continue;
            if (forms[i].bit) {
                struct insn insn;

                /* Bit numbers in RBX would lead far away. */
                if (insn_decode(b, n, CPU_MODE_64, &insn) || insn.reg == REG_RBX)
                    continue;
            }
            if (forms[i].op[1] == 0xb1 && rnd(2)) /* make CMPXCHG succeed at times */
                memset(real, 0x55, BUF_LEN), r.gpr[0] = 0x5555555555555555ull;
            both(b, n, &r, forms[i].undefined);
        }
    }
}

static void strings_agree_with_this_processor(void **state)
{
    static const uint8_t ops[] = { 0xa4, 0xa5, 0xa6, 0xa7, 0xaa, 0xab, 0xac, 0xad, 0xae, 0xaf };
    static const uint8_t reps[] = { 0, 0xf2, 0xf3 };
    unsigned i, round;

    (void)state;
    for (round = 0; round < 3000; round++) {
        struct emul_regs r;
        uint8_t b[16];
        unsigned n = 0;

        random_state(&r);
        for (i = 0; i < BUF_LEN; i++)
            real[i] = (uint8_t)(rnd(20) ? 7 : 8);
        r.gpr[REG_RAX] = 0x0707070707070707ull;
        r.gpr[REG_RSI] = (uintptr_t)real + BUF_LEN / 2 + rnd(64);
        r.gpr[REG_RDI] = (uintptr_t)real + BUF_LEN / 2 + rnd(64);
        r.gpr[REG_RCX] = rnd(3) ? rnd(100) : rnd(200);
        if (reps[round % 3])
            b[n++] = reps[round % 3];
        if (rnd(3) == 0)
            b[n++] = 0x66;
        if (rnd(3) == 0)
            b[n++] = 0x48;
        b[n++] = ops[rnd(ARRAY_SIZE(ops))];
        both(b, n, &r, 0);
    }
}

/* By hand */

struct trace {
    unsigned reads, writes;
    uint64_t addr, val, give;
    unsigned size;
    int fail; /* error of the write */
    uint16_t port;
    uint64_t out;
};

static int trace_read(void *ctx, uint64_t addr, unsigned size, uint64_t *val)
{
    struct trace *t = ctx;

    t->reads++;
    t->addr = addr;
    t->size = size;
    *val = t->give & (~0ull >> (64 - 8 * size));
    return t->fail == -ENXIO ? -ENXIO : 0;
}

static int trace_write(void *ctx, uint64_t addr, unsigned size, uint64_t val)
{
    struct trace *t = ctx;

    t->writes++;
    t->addr = addr;
    t->size = size;
    t->val = val;
    return t->fail;
}

static uint64_t trace_seg(void *ctx, unsigned seg)
{
    (void)ctx;
    return seg == SEG_SS   ? 0x50000
           : seg == SEG_ES ? 0x60000
           : seg == SEG_FS ? 0x700000000000ull
                           : 0x10000;
}

static int trace_in(void *ctx, uint16_t port, unsigned size, uint64_t *val)
{
    struct trace *t = ctx;

    t->port = port;
    *val = 0xa1b2c3d4 & (~0ull >> (64 - 8 * size));
    return 0;
}

static int trace_out(void *ctx, uint16_t port, unsigned size, uint64_t val)
{
    struct trace *t = ctx;

    (void)size;
    t->port = port;
    t->out = val;
    return 0;
}

static uint64_t xmm[2];

static void get_xmm(void *ctx, unsigned reg, uint64_t val[2])
{
    (void)ctx;
    val[0] = xmm[0] + reg;
    val[1] = xmm[1];
}

static void set_xmm(void *ctx, unsigned reg, const uint64_t val[2])
{
    (void)ctx;
    (void)reg;
    xmm[0] = val[0];
    xmm[1] = val[1];
}

static const struct emul_ops trace_ops = {
    .read = trace_read,
    .write = trace_write,
    .seg_base = trace_seg,
    .port_in = trace_in,
    .port_out = trace_out,
    .get_xmm = get_xmm,
    .set_xmm = set_xmm,
};

static int step(const char *bytes, unsigned len, enum cpu_mode mode, struct emul_regs *r,
                struct trace *t)
{
    struct insn insn;

    assert_int_equal(insn_decode((const uint8_t *)bytes, len, mode, &insn), 0);
    assert_int_equal(insn.len, len);
    return insn_emulate(&insn, mode, r, &trace_ops, t);
}

static void addresses(void **state)
{
    struct emul_regs r = { .gpr = { [REG_RBX] = 0x1fff0, [REG_RSI] = 0x20, [REG_RBP] = 0x100 } };
    struct trace t = { .give = 0x1122334455667788ull };

    (void)state;
    /* mov ax, [bx + si]: wraps at 64 KiB, DS base added */
    r.rip = 0xfffe;
    assert_int_equal(step("\x8b\x00", 2, CPU_MODE_16, &r, &t), 0);
    assert_int_equal(t.addr, 0x10010);
    assert_int_equal(t.size, 2);
    assert_int_equal(r.gpr[REG_RAX], 0x7788);
    assert_int_equal(r.rip, 0);
    /* mov [bp + 4], al: stack segment; with an override it is ES */
    assert_int_equal(step("\x88\x46\x04", 3, CPU_MODE_16, &r, &t), 0);
    assert_int_equal(t.addr, 0x50104);
    assert_int_equal(step("\x26\x88\x46\x04", 4, CPU_MODE_16, &r, &t), 0);
    assert_int_equal(t.addr, 0x60104);
    /* big real mode: mov eax, [esi] with 66 and 67 */
    r.gpr[REG_RSI] = 0xfee00020;
    assert_int_equal(step("\x66\x67\x8b\x06", 4, CPU_MODE_16, &r, &t), 0);
    assert_int_equal(t.addr, 0xfee10020);
    assert_int_equal(r.gpr[REG_RAX], 0x55667788);
    /* 32 bits: wraps at 4 GiB */
    r.gpr[REG_RBX] = 0xffffffff;
    assert_int_equal(step("\x8b\x43\x01", 3, CPU_MODE_32, &r, &t), 0);
    assert_int_equal(t.addr, 0x10000);
    /* 64 bits: RIP-relative counts from the next instruction, immediates included */
    r.rip = 0x1000;
    assert_int_equal(step("\xc7\x05\x10\x00\x00\x00\xff\xff\xff\xff", 10, CPU_MODE_64, &r, &t), 0);
    assert_int_equal(t.addr, 0x101a);
    assert_int_equal(t.val, 0xffffffff);
    assert_int_equal(step("\x48\xc7\x05\x10\x00\x00\x00\xff\xff\xff\xff", 11, CPU_MODE_64, &r, &t),
                     0);
    assert_int_equal(t.val, ~0ull);
    /* FS base in 64-bit mode, DS none; a 32-bit address size cuts the offset only */
    r.gpr[REG_RBX] = 0x100000010;
    assert_int_equal(step("\x64\x67\x8b\x03", 4, CPU_MODE_64, &r, &t), 0);
    assert_int_equal(t.addr, 0x700000000010ull);
    assert_int_equal(step("\x3e\x8b\x03", 3, CPU_MODE_64, &r, &t), 0);
    assert_int_equal(t.addr, 0x100000010);
    /* moffs */
    assert_int_equal(step("\x48\xa1\x88\x77\x66\x55\x44\x33\x22\x11", 10, CPU_MODE_64, &r, &t), 0);
    assert_int_equal(t.addr, 0x1122334455667788ull);
    assert_int_equal(r.gpr[0], 0x1122334455667788ull);
}

static void stack_operands(void **state)
{
    struct emul_regs r = { .gpr = { [REG_RSP] = 0x8000, [REG_RBX] = 0x3000 }, .rip = 0x100 };
    struct trace t = { .give = 0x1234567890abcdefull };

    (void)state;
    assert_int_equal(step("\xff\x33", 2, CPU_MODE_64, &r, &t), 0); /* push [rbx] */
    assert_int_equal(r.gpr[REG_RSP], 0x7ff8);
    assert_int_equal(t.addr, 0x7ff8);
    assert_int_equal(t.val, 0x1234567890abcdefull);
    assert_int_equal(step("\x66\xff\x33", 3, CPU_MODE_64, &r, &t), 0);
    assert_int_equal(r.gpr[REG_RSP], 0x7ff6);
    assert_int_equal(t.val, 0xcdef);
    r.gpr[REG_RSP] = 0x8000;
    assert_int_equal(step("\x8f\x44\x24\x10", 4, CPU_MODE_64, &r, &t), 0); /* pop [rsp + 16] */
    assert_int_equal(r.gpr[REG_RSP], 0x8008);
    assert_int_equal(t.addr, 0x8018);
    t.fail = -EFAULT;
    assert_int_equal(step("\x8f\x03", 2, CPU_MODE_64, &r, &t), -EFAULT);
    assert_int_equal(r.gpr[REG_RSP], 0x8008);
    assert_int_equal(step("\xff\x33", 2, CPU_MODE_64, &r, &t), -EFAULT);
    assert_int_equal(r.gpr[REG_RSP], 0x8008);
}

static void sse_and_movbe(void **state)
{
    struct emul_regs r = { .gpr = { [REG_RBX] = 0x3000, [REG_RCX] = 0x1122334455667788ull } };
    struct trace t = { .give = 0x1234567890abcdefull };

    (void)state;
    assert_int_equal(step("\x0f\x10\x0b", 3, CPU_MODE_64, &r, &t), 0); /* movups xmm1, [rbx] */
    assert_int_equal(t.reads, 2);
    assert_int_equal(xmm[1], 0x1234567890abcdefull);
    assert_int_equal(step("\xf3\x0f\x10\x0b", 4, CPU_MODE_64, &r, &t),
                     0); /* movss: zeroes the rest */
    assert_int_equal(xmm[0], 0x90abcdef);
    assert_int_equal(xmm[1], 0);
    xmm[0] = 0x100;
    xmm[1] = 0x200;
    assert_int_equal(step("\x66\x44\x0f\x7f\x0b", 5, CPU_MODE_64, &r, &t),
                     0); /* movdqa [rbx], xmm9 */
    assert_int_equal(t.writes, 2);
    assert_int_equal(t.addr, 0x3008);
    assert_int_equal(t.val, 0x200);
    assert_int_equal(step("\x66\x44\x0f\xd6\x0b", 5, CPU_MODE_64, &r, &t),
                     0); /* movq [rbx], xmm9 */
    assert_int_equal(t.val, 0x109);
    assert_int_equal(step("\x48\x0f\x38\xf1\x0b", 5, CPU_MODE_64, &r, &t),
                     0); /* movbe [rbx], rcx */
    assert_int_equal(t.val, 0x8877665544332211ull);
    assert_int_equal(step("\x66\x0f\x38\xf0\x0b", 5, CPU_MODE_64, &r, &t), 0); /* movbe cx, [rbx] */
    assert_int_equal(r.gpr[REG_RCX], 0x112233445566efcdull);
    assert_int_equal(step("\x0f\xae\x3b", 3, CPU_MODE_64, &r, &t), 0); /* clflush [rbx] */
}

static void port_strings(void **state)
{
    struct emul_regs r = {
        .gpr = { [REG_RDX] = 0x10cfc, [REG_RDI] = 0x1000, [REG_RSI] = 0x2000, [REG_RCX] = 3 }
    };
    struct trace t = { .give = 0x77 };

    (void)state;
    assert_int_equal(step("\xf3\x6d", 2, CPU_MODE_64, &r, &t), 0); /* rep insd */
    assert_int_equal(t.port, 0xcfc);
    assert_int_equal(t.writes, 3);
    assert_int_equal(t.addr, 0x1008);
    assert_int_equal(t.val, 0xa1b2c3d4);
    assert_int_equal(r.gpr[REG_RCX], 0);
    assert_int_equal(r.gpr[REG_RDI], 0x100c);
    r.rflags = DF;
    assert_int_equal(step("\x6e", 1, CPU_MODE_64, &r, &t), 0); /* outsb */
    assert_int_equal(t.out, 0x77);
    assert_int_equal(r.gpr[REG_RSI], 0x1fff);
    assert_int_equal(step("\xf3\x67\x6e", 3, CPU_MODE_64, &r, &t), 0); /* count 0: nothing */
    assert_int_equal(r.gpr[REG_RSI], 0x1fff);
    r.gpr[REG_RCX] = 0x100000000ull; /* ECX is 0 */
    assert_int_equal(step("\xf3\x67\xaa", 3, CPU_MODE_64, &r, &t), 0);
    assert_int_equal(t.writes, 3);
}

static void long_strings_are_cut(void **state)
{
    struct emul_regs r = { .gpr = { [REG_RCX] = 100, [REG_RDI] = 0x1000 }, .rip = 0x500 };
    struct trace t = { 0 };

    (void)state;
    assert_int_equal(step("\xf3\xaa", 2, CPU_MODE_64, &r, &t), EMUL_AGAIN);
    assert_int_equal(r.gpr[REG_RCX], 100 - EMUL_MAX_REPS);
    assert_int_equal(r.rip, 0x500);
    t.fail = -EFAULT;
    assert_int_equal(step("\xf3\xaa", 2, CPU_MODE_64, &r, &t), -EFAULT);
    assert_int_equal(r.gpr[REG_RCX], 100 - EMUL_MAX_REPS);
    t.fail = 0;
    assert_int_equal(step("\xf3\xaa", 2, CPU_MODE_64, &r, &t), EMUL_DONE);
    assert_int_equal(r.gpr[REG_RCX], 0);
    assert_int_equal(r.gpr[REG_RDI], 0x1000 + 100);
    assert_int_equal(r.rip, 0x502);
}

/* Whatever fails, registers are as before. */
static void errors_change_nothing(void **state)
{
    static const struct {
        const char *bytes;
        unsigned len;
    } insns[] = {
        { "\x01\x03", 2 },     { "\x03\x03", 2 },     { "\x89\x03", 2 },
        { "\x8b\x03", 2 },     { "\x87\x03", 2 },     { "\x0f\xb1\x03", 3 },
        { "\x0f\xc1\x03", 3 }, { "\xff\x03", 2 },     { "\x0f\xab\x03", 3 },
        { "\xf7\x1b", 2 },     { "\x0f\xb6\x03", 3 }, { "\xff\x33", 2 },
        { "\x8f\x03", 2 },     { "\xa5", 1 },         { "\xf3\xab", 2 },
        { "\x0f\x11\x03", 3 }, { "\x0f\x10\x03", 3 }, { "\x0f\x38\xf1\x03", 4 },
    };
    unsigned i, k;

    (void)state;
    for (i = 0; i < ARRAY_SIZE(insns); i++) {
        for (k = 0; k < 2; k++) {
            struct emul_regs r, before;
            struct trace t = { .give = 5, .fail = k ? -ENXIO : -EFAULT };
            int rc;

            random_state(&r);
            r.gpr[REG_RCX] = 5;
            before = r;
            rc = step(insns[i].bytes, insns[i].len, CPU_MODE_64, &r, &t);
            if (rc) /* loads do not write */
                assert_memory_equal(&r, &before, sizeof(r));
            assert_true(rc == t.fail || (!rc && !k && !t.writes));
        }
    }
}

static void unknown_ones_are_refused(void **state)
{
    struct emul_regs r = { .rip = 1 };
    struct trace t = { 0 };

    (void)state;
    assert_int_equal(step("\x0f\xa2", 2, CPU_MODE_64, &r, &t), -EOPNOTSUPP);         /* cpuid */
    assert_int_equal(step("\x01\xc0", 2, CPU_MODE_64, &r, &t), -EOPNOTSUPP);         /* no memory */
    assert_int_equal(step("\xd1\x23", 2, CPU_MODE_64, &r, &t), -EOPNOTSUPP);         /* shl [rbx] */
    assert_int_equal(step("\xc5\xf8\x10\x03", 4, CPU_MODE_64, &r, &t), -EOPNOTSUPP); /* vmovups */
    assert_int_equal(r.rip, 1);
    assert_int_equal(t.reads + t.writes, 0);
}

static int racing(void *ctx, uint64_t addr, unsigned size, uint64_t old, uint64_t val)
{
    struct trace *t = ctx;

    (void)addr;
    (void)size;
    t->val = val;
    return t->give == old + 1 ? -EAGAIN : 0;
}

static void locked_ones_use_cmpxchg(void **state)
{
    struct emul_ops ops = { .read = trace_read, .write = trace_write, .cmpxchg = racing };
    struct emul_regs r = { .gpr = { [REG_RAX] = 3 } };
    struct trace t = { .give = 7 };
    struct insn insn;

    (void)state;
    assert_int_equal(insn_decode((const uint8_t *)"\xf0\x01\x03", 3, CPU_MODE_64, &insn), 0);
    assert_int_equal(insn_emulate(&insn, CPU_MODE_64, &r, &ops, &t), 0);
    assert_int_equal(t.val, 10);
    assert_int_equal(t.writes, 0);
    assert_int_equal(insn_decode((const uint8_t *)"\x87\x03", 2, CPU_MODE_64, &insn), 0);
    assert_int_equal(insn_emulate(&insn, CPU_MODE_64, &r, &ops, &t), 0);
    assert_int_equal(t.val, 3);
    assert_int_equal(t.writes, 0);
    assert_int_equal(r.gpr[REG_RAX], 7);
}

static int setup(void **state)
{
    (void)state;
    code = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return code == MAP_FAILED ? -1 : 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_this_processor),
        cmocka_unit_test(strings_agree_with_this_processor),
        cmocka_unit_test(addresses),
        cmocka_unit_test(stack_operands),
        cmocka_unit_test(sse_and_movbe),
        cmocka_unit_test(port_strings),
        cmocka_unit_test(long_strings_are_cut),
        cmocka_unit_test(errors_change_nothing),
        cmocka_unit_test(unknown_ones_are_refused),
        cmocka_unit_test(locked_ones_use_cmpxchg),
    };

    return cmocka_run_group_tests(tests, setup, NULL);
}
