/* SPDX-License-Identifier: MIT */
/*
 * The machine that test_irq.c runs the interrupt code on: a local APIC, a model of IO-APICs and a fake remapping unit. Its
 * only user includes it once.
 */
#ifndef XL_TESTS_UNIT_IRQ_MODEL_H
#define XL_TESTS_UNIT_IRQ_MODEL_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "iommu/iommu.h"
#include "iommu/post.h"
#include "irq/ioapic.h"
#include "irq/ioapic_hw.h"
#include "irq/lapic.h"
#include "mm/map.h"

static unsigned eois;

void lapic_eoi(void)
{
    eois++;
}

static uint32_t irr[8];
static unsigned irr_reads;

uint32_t lapic_irr(unsigned word)
{
    irr_reads++;
    return irr[word];
}

#define MODEL_IOAPICS 2
#define MODEL_PINS    24

static struct model {
    uint32_t version;
    uint32_t reg[0x100];
    unsigned unmasked_torn; /* high half written while the pin was unmasked */
} model[MODEL_IOAPICS];

volatile void *mmio_map(paddr_t pa, size_t len)
{
    unsigned i = (unsigned)(pa - 0xfec00000) / 0x1000;

    (void)len;
    return i < MODEL_IOAPICS ? &model[i] : NULL;
}

uint32_t ioapic_hw_read(volatile void *regs, uint8_t reg)
{
    struct model *m = (struct model *)(uintptr_t)regs;

    return reg == IOAPIC_REG_VERSION ? m->version : m->reg[reg];
}

void ioapic_hw_write(volatile void *regs, uint8_t reg, uint32_t val)
{
    struct model *m = (struct model *)(uintptr_t)regs;

    assert_true(reg >= 0x10 && reg < 0x10 + 2 * MODEL_PINS);
    if ((reg & 1) && !(m->reg[reg - 1] & RTE_MASKED))
        m->unmasked_torn++;
    m->reg[reg] = val;
}

static uint64_t model_rte(unsigned io, unsigned pin)
{
    return model[io].reg[0x10 + 2 * pin] | (uint64_t)model[io].reg[0x11 + 2 * pin] << 32;
}

static bool remap;
static int ir_alloc_result, ir_set_result;
static unsigned ir_in_use, ir_sets;
static uint16_t ir_next;
static uint32_t ir_last_dest;

bool iommu_intremap(void)
{
    return remap;
}

static int fake_alloc(struct ir_entry *out)
{
    if (ir_alloc_result)
        return ir_alloc_result;
    memset(out, 0, sizeof(*out));
    out->valid = true;
    out->index = ir_next++;
    ir_in_use++;
    return 0;
}

int ir_alloc(uint32_t sbdf, struct ir_entry *out)
{
    int ret = fake_alloc(out);

    if (!ret)
        out->sid = (uint16_t)sbdf;
    return ret;
}

int ir_alloc_ioapic(uint8_t ioapic_id, struct ir_entry *out)
{
    int ret = fake_alloc(out);

    if (!ret)
        out->sid = ioapic_id;
    return ret;
}

int ir_set(struct ir_entry *e, uint8_t vector, uint32_t dest_apicid, bool level,
           enum ir_delivery mode)
{
    assert_true(e->valid);
    assert_int_equal(mode, IR_FIXED);
    if (ir_set_result)
        return ir_set_result;
    ir_sets++;
    e->present = true;
    e->post = NULL;
    e->vector = vector;
    e->dest = ir_last_dest = dest_apicid;
    e->level = level;
    return 0;
}

static bool ir_posts;
static unsigned ir_posted;

bool ir_can_post(const struct ir_entry *e)
{
    return e->valid && ir_posts;
}

int ir_set_posted(struct ir_entry *e, struct ir_post *post, uint8_t vector)
{
    assert_true(e->valid && ir_posts && vector >= 16);
    if (ir_set_result)
        return ir_set_result;
    ir_posted++;
    e->present = true;
    e->vector = vector;
    e->post = post;
    e->dest = 0;
    return 0;
}

paddr_t ir_post_address(const struct ir_post *p)
{
    return (paddr_t)(uintptr_t)p;
}

void ir_free(struct ir_entry *e)
{
    assert_true(e->valid);
    e->valid = e->present = false;
    ir_in_use--;
}

bool ir_inspect(unsigned unit, unsigned index, struct ir_state *out)
{
    (void)unit, (void)index, (void)out;
    return false;
}

void ir_msi_message(const struct ir_entry *e, uint64_t *addr, uint32_t *data)
{
    *addr = 0xfee00010 | (uint64_t)e->index << 5;
    *data = 0;
}

uint64_t ir_ioapic_rte(const struct ir_entry *e, bool active_low, bool masked)
{
    return (uint64_t)e->index << 49 | BIT(48) | (e->level ? RTE_LEVEL : 0) |
           (active_low ? RTE_ACTIVE_LOW : 0) | (masked ? RTE_MASKED : 0) | e->vector;
}

#endif
