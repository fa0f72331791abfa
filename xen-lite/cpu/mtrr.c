/* SPDX-License-Identifier: MIT */
/*
 * A guest's MTRRs. They are kept, checked and given back, and nothing more: memory types of RAM and devices come from
 * the second-level table and the guest's PAT. The control domain starts with the machine's values, so that its kernel
 * agrees with the firmware about what is uncached.
 */
#include "cpu/msr.h"

#include "boot/exception.h"
#include "cpu/cpuid.h"
#include "lib/errno.h"
#include "lib/string.h"

#define MTRR_CAP       0xfe
#define MTRR_VAR_FIRST 0x200
#define MTRR_FIX_64K   0x250
#define MTRR_FIX_16K   0x258
#define MTRR_FIX_4K    0x268
#define MTRR_DEF_TYPE  0x2ff

#define MTRR_CAP_FIX     BIT(8)
#define MTRR_CAP_WC      BIT(10)
#define MTRR_DEF_ENABLES (BIT(11) | BIT(10))

/* The machine's, read once. */
static uint64_t host_def_type, host_var[2 * CPU_NR_MTRR_VAR], host_fixed[CPU_NR_MTRR_FIXED];

/* Fixed-range register i of the eleven. */
static uint32_t fixed_msr(unsigned i)
{
    return i == 0 ? MTRR_FIX_64K : i < 3 ? MTRR_FIX_16K + i - 1 : MTRR_FIX_4K + i - 3;
}

static int fixed_index(uint32_t msr)
{
    for (unsigned i = 0; i < CPU_NR_MTRR_FIXED; i++) {
        if (fixed_msr(i) == msr)
            return (int)i;
    }
    return -1;
}

void mtrr_probe(void)
{
    uint64_t cap;

    if (rdmsr_safe(MTRR_CAP, &cap) || rdmsr_safe(MTRR_DEF_TYPE, &host_def_type)) {
        host_def_type = 0;
        return;
    }
    for (unsigned i = 0; i < 2 * MIN(cap & 0xff, (uint64_t)CPU_NR_MTRR_VAR); i++) {
        if (rdmsr_safe(MTRR_VAR_FIRST + i, &host_var[i]))
            host_var[i] = 0;
    }
    for (unsigned i = 0; (cap & MTRR_CAP_FIX) && i < CPU_NR_MTRR_FIXED; i++) {
        if (rdmsr_safe(fixed_msr(i), &host_fixed[i]))
            host_fixed[i] = 0;
    }
}

static unsigned addr_bits(const struct cpu_vcpu *c)
{
    unsigned bits = c->cd->cpuid->ext[8].a & 0xff;

    return bits >= 32 && bits <= 52 ? bits : 36;
}

/* The bits of variable-range register i that are not reserved: address, and type (base) or valid (mask). */
static uint64_t var_bits(const struct cpu_vcpu *c, unsigned i)
{
    return GENMASK(addr_bits(c) - 1, 12) | (i & 1 ? BIT(11) : 0xff);
}

void mtrr_vcpu_init(struct cpu_vcpu *c)
{
    if (!c->cd->control) {
        /* All write-back: a guest without devices has no memory of another type. */
        c->mtrr_def_type = MTRR_DEF_ENABLES | 6;
        memset(c->mtrr_fixed, 6, sizeof(c->mtrr_fixed));
        return;
    }
    c->mtrr_def_type = host_def_type;
    /* The machine's addresses may be wider than the domain's: what it reads it can write back. */
    for (unsigned i = 0; i < ARRAY_SIZE(host_var); i++)
        c->mtrr_var[i] = host_var[i] & var_bits(c, i);
    memcpy(c->mtrr_fixed, host_fixed, sizeof(host_fixed));
}

int mtrr_read(const struct cpu_vcpu *c, uint32_t msr, uint64_t *val)
{
    int i = fixed_index(msr);

    if (i >= 0)
        *val = c->mtrr_fixed[i];
    else if (msr == MTRR_CAP)
        *val = CPU_NR_MTRR_VAR | MTRR_CAP_FIX | MTRR_CAP_WC;
    else if (msr == MTRR_DEF_TYPE)
        *val = c->mtrr_def_type;
    else if (msr >= MTRR_VAR_FIRST && msr < MTRR_VAR_FIRST + 2 * CPU_NR_MTRR_VAR)
        *val = c->mtrr_var[msr - MTRR_VAR_FIRST];
    else
        return -ENOENT;
    return 0;
}

/* UC, WC, WT, WP, WB. */
static bool valid_type(unsigned type)
{
    return type == 0 || type == 1 || (type >= 4 && type <= 6);
}

static int write_variable(struct cpu_vcpu *c, unsigned i, uint64_t val)
{
    if (val & ~var_bits(c, i))
        return -EPERM;
    if (!(i & 1) && !valid_type(val & 0xff))
        return -EPERM;
    c->mtrr_var[i] = val;
    return 0;
}

int mtrr_write(struct cpu_vcpu *c, uint32_t msr, uint64_t val)
{
    int i = fixed_index(msr);

    if (i >= 0) {
        for (unsigned b = 0; b < 64; b += 8) {
            if (!valid_type(val >> b & 0xff))
                return -EPERM;
        }
        c->mtrr_fixed[i] = val;
        return 0;
    }
    if (msr == MTRR_DEF_TYPE) {
        if ((val & ~(MTRR_DEF_ENABLES | 0xff)) || !valid_type(val & 0xff))
            return -EPERM;
        c->mtrr_def_type = val;
        return 0;
    }
    if (msr >= MTRR_VAR_FIRST && msr < MTRR_VAR_FIRST + 2 * CPU_NR_MTRR_VAR)
        return write_variable(c, msr - MTRR_VAR_FIRST, val);
    return msr == MTRR_CAP ? -EPERM : -ENOENT;
}
