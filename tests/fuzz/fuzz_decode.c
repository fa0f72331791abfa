/* SPDX-License-Identifier: MIT */
/* FUZZ_SOURCES: xen-lite/cpu/decode.c xen-lite/cpu/decode_group.c xen-lite/cpu/emulate.c xen-lite/cpu/emulate_string.c */
/*
 * Fuzz target: any bytes decode without overrun to something consistent, and emulating it ends,
 * touches only what the access bits announce, and moves RIP by the instruction's length.
 */
#include <stdlib.h>
#include <string.h>

#include "cpu/emulate.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct seen {
    unsigned reads, writes;
    uint64_t value;
};

static int fuzz_read(void *ctx, uint64_t addr, unsigned size, uint64_t *val)
{
    struct seen *s = ctx;

    if (size != 1 && size != 2 && size != 4 && size != 8)
        abort();
    s->reads++;
    *val = (s->value ^ addr) & (~0ull >> (64 - 8 * size));
    return 0;
}

static int fuzz_write(void *ctx, uint64_t addr, unsigned size, uint64_t val)
{
    struct seen *s = ctx;

    (void)addr;
    if (size < 8 && val >> (8 * size))
        abort();
    s->writes++;
    s->value += val;
    return 0;
}

static int fuzz_in(void *ctx, uint16_t port, unsigned size, uint64_t *val)
{
    (void)ctx;
    (void)size;
    *val = port & 0xff;
    return 0;
}

static int fuzz_out(void *ctx, uint16_t port, unsigned size, uint64_t val)
{
    (void)ctx;
    (void)port;
    if (size > 4 || (size < 4 && val >> (8 * size)))
        abort();
    return 0;
}

static void fuzz_get_xmm(void *ctx, unsigned reg, uint64_t val[2])
{
    (void)ctx;
    if (reg > 15)
        abort();
    val[0] = val[1] = ~0ull;
}

static void fuzz_set_xmm(void *ctx, unsigned reg, const uint64_t val[2])
{
    (void)ctx;
    (void)val;
    if (reg > 15)
        abort();
}

static const struct emul_ops ops = {
    .read = fuzz_read,
    .write = fuzz_write,
    .get_xmm = fuzz_get_xmm,
    .set_xmm = fuzz_set_xmm,
    .port_in = fuzz_in,
    .port_out = fuzz_out,
};

static void check(const struct insn *insn, size_t n)
{
    if (!insn->len || insn->len > INSN_MAX_LEN || insn->len > n || insn->op >= INSN_NR_OPS)
        abort();
    if (insn->mem &&
        (insn->base > REG_RIP || insn->index > REG_NONE || insn->scale > 3 || insn->seg > SEG_GS))
        abort();
    if (insn->rm > 15 || (insn->op != INSN_OTHER && insn->reg > 15))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct emul_regs regs;
    struct seen seen = { 0 };
    struct insn insn;
    unsigned mode, i;
    uint64_t rip;
    int rc;

    if (size < 2)
        return 0;
    mode = data[0] % 3;
    if (insn_decode(data + 1, size - 1, (enum cpu_mode)mode, &insn))
        return 0;
    check(&insn, size - 1);
    for (i = 0; i < 16; i++)
        regs.gpr[i] = 0x0123456789abcdefull * (i + data[0]);
    regs.rflags = 2 | (uint64_t)(data[0] & 4) << 8;
    regs.rip = rip = 0x1000;
    rc = insn_emulate(&insn, (enum cpu_mode)mode, &regs, &ops, &seen);
    if (rc == EMUL_DONE && regs.rip != rip + insn.len)
        abort();
    if (rc != EMUL_DONE && regs.rip != rip)
        abort();
    if (rc == EMUL_DONE && insn.mem && insn.op != INSN_PUSH && insn.op != INSN_POP &&
        ((seen.reads && !(insn.access & INSN_READ)) ||
         (seen.writes && !(insn.access & INSN_WRITE))))
        abort();
    if (seen.reads + seen.writes > 2 * EMUL_MAX_REPS)
        abort();
    return 0;
}
