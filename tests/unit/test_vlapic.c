/* SPDX-License-Identifier: MIT */
/*
 * The virtual local APIC: priorities, end of interrupt, both register views, destinations,
 * inter-processor interrupts, local vectors and the timer.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "irq/girq.h"
#include "lib/errno.h"
#include "lib/time.h"
#include "trap/trap.h"
#include "vapic_sim.h"
#include "vdev/vioapic.h"

#include <xen/xen.h>

#include <xen/hvm/save.h>

#define BASE_X2 (APIC_BASE_EN | APIC_BASE_EXTD)

static unsigned broadcasts;
static uint8_t broadcast_vector;

void vioapic_eoi(struct vapic_bus *bus, uint8_t vector)
{
    (void)bus;
    broadcasts++;
    broadcast_vector = vector;
}

static const struct trap_ops *page_ops;
static uint64_t page_first, page_last;

int trap_register(struct trap_table *t, enum trap_kind kind, uint64_t first, uint64_t last,
                  const struct trap_ops *ops, void *arg, const char *name)
{
    (void)t, (void)kind, (void)arg, (void)name;
    page_ops = ops;
    page_first = first;
    page_last = last;
    return 0;
}

static struct vlapic *const l0 = &sim_vcpu[0].vlapic, *const l1 = &sim_vcpu[1].vlapic;

static int setup(void **state)
{
    (void)state;
    sim_vapic_setup();
    broadcasts = 0;
    return 0;
}

static uint32_t rd(struct vlapic *l, uint32_t offset)
{
    uint64_t val;

    assert_int_equal(vlapic_mmio_read(l, offset, 4, &val), 0);
    return (uint32_t)val;
}

static void wr(struct vlapic *l, uint32_t offset, uint32_t val)
{
    assert_int_equal(vlapic_mmio_write(l, offset, 4, val), 0);
}

static uint64_t rdm(struct vlapic *l, uint32_t msr)
{
    uint64_t val;

    assert_int_equal(vlapic_msr_read(l, msr, &val), 0);
    return val;
}

static void to_x2(struct vlapic *l)
{
    assert_int_equal(vlapic_msr_write(l, 0x1b, rdm(l, 0x1b) | BASE_X2), 0);
}

/* Takes the next interrupt as the run loop does; -1 if there is none. */
static int take(struct vlapic *l)
{
    int vec = vlapic_next_irq(l);

    if (vec >= 0)
        vlapic_ack_irq(l, (uint8_t)vec);
    return vec;
}

/* ---- requests and priorities ---- */

static void reset_state(void **state)
{
    struct vlapic l;

    (void)state;
    memset(&l, 0xa5, sizeof(l));
    assert_int_equal(vlapic_init(&l, &sim_domain.vapic, &sim_vcpu[0], 0), -EEXIST);
    assert_int_equal(vlapic_init(&l, &sim_domain.vapic, &sim_vcpu[0], VAPIC_MAX_VCPUS), -EINVAL);
    assert_int_equal(vlapic_init(&l, &sim_domain.vapic, &sim_vcpu[0], 100), 0);
    assert_int_equal(rd(&l, 0x20), 200u << 24);
    assert_int_equal(rd(&l, 0x30), 0x50014);
    assert_int_equal(rd(&l, 0xf0), 0xff);
    assert_int_equal(rd(&l, 0xe0), 0xffffffff);
    assert_int_equal(rd(&l, 0xd0), 0);
    for (uint32_t off = 0x320; off <= 0x370; off += 0x10)
        assert_int_equal(rd(&l, off), 0x10000);
    assert_int_equal(rdm(&l, 0x1b), 0xfee00800);
    assert_int_equal(rdm(l0, 0x1b), 0xfee00900);           /* boot processor */
    assert_int_equal(vlapic_set_irq(&l, 0x40, false), -1); /* not enabled by software */
    assert_int_equal(vlapic_next_irq(&l), -1);
    vlapic_destroy(&l);
    assert_null(sim_domain.vapic.vlapic[100]);
}

static void one_interrupt_through_its_life(void **state)
{
    (void)state;
    assert_int_equal(l0->pending, 0);
    assert_int_equal(vlapic_set_irq(l0, 0x61, false), 1);
    assert_int_equal(sim_vcpu[0].kicks, 1);
    assert_int_equal(vlapic_set_irq(l0, 0x61, false), 0);
    assert_int_equal(sim_vcpu[0].kicks, 1);
    assert_true(l0->stats.accepted == 1 && l0->stats.coalesced == 1);
    assert_int_equal(rd(l0, 0x200 + 0x30), 1u << 1);
    assert_int_equal(vlapic_next_irq(l0), 0x61);
    assert_int_equal(vlapic_next_irq(l0), 0x61); /* asking changes nothing */
    vlapic_ack_irq(l0, 0x61);
    assert_int_equal(rd(l0, 0x200 + 0x30), 0);
    assert_int_equal(rd(l0, 0x100 + 0x30), 1u << 1);
    assert_int_equal(rd(l0, 0xa0), 0x60);
    assert_int_equal(vlapic_next_irq(l0), -1);
    assert_int_equal(l0->pending, 0); /* and later calls are cheap */
    wr(l0, 0xb0, 0);
    assert_int_equal(rd(l0, 0x100 + 0x30), 0);
    assert_int_equal(rd(l0, 0xa0), 0);
    assert_int_equal(broadcasts, 0);
    wr(l0, 0xb0, 0); /* nothing in service */
    assert_int_equal(vlapic_next_irq(l0), -1);
}

static void higher_class_interrupts_lower(void **state)
{
    (void)state;
    vlapic_set_irq(l0, 0x45, false);
    assert_int_equal(take(l0), 0x45);
    vlapic_set_irq(l0, 0x4f, false); /* same class */
    assert_int_equal(take(l0), -1);
    assert_true(l0->blocked);
    vlapic_set_irq(l0, 0x50, false);
    assert_int_equal(take(l0), 0x50);
    assert_int_equal(take(l0), -1);
    vlapic_eoi(l0); /* 0x50; 0x45 is still in service */
    assert_int_equal(take(l0), -1);
    vlapic_eoi(l0);
    assert_int_equal(take(l0), 0x4f);
    vlapic_eoi(l0);
    assert_int_equal(take(l0), -1);
    assert_int_equal(l0->isr_top, 0);
}

static void task_priority_holds_back(void **state)
{
    (void)state;
    wr(l0, 0x80, 0x50);
    assert_int_equal(vlapic_get_cr8(l0), 5);
    vlapic_set_irq(l0, 0x55, false);
    assert_int_equal(take(l0), -1);
    assert_int_equal(vlapic_highest_irr(l0), 0x55);
    vlapic_set_cr8(l0, 4);
    assert_int_equal(rd(l0, 0x80), 0x40);
    assert_int_equal(take(l0), 0x55);
    /* The processor priority is the higher of the two, with the sub-class only of the task's. */
    wr(l0, 0x80, 0x57);
    assert_int_equal(rd(l0, 0xa0), 0x57);
    wr(l0, 0x80, 0x47);
    assert_int_equal(rd(l0, 0xa0), 0x50);
}

/* Random traffic against a model that knows nothing of hints. */
static void random_traffic_matches_a_model(void **state)
{
    bool irr[256] = { false }, isr[256] = { false };
    unsigned tpr = 0;

    (void)state;
    srand(3);
    for (unsigned step = 0; step < 50000; step++) {
        int vec = 16 + rand() % 240, want = -1, top_irr = 0, top_isr = 0;

        switch (rand() % 5) {
        case 0:
            assert_int_equal(vlapic_set_irq(l0, (uint8_t)vec, false), !irr[vec]);
            irr[vec] = true;
            break;
        case 1:
            tpr = (unsigned)rand() % 256;
            wr(l0, 0x80, tpr);
            break;
        case 2:
            vlapic_eoi(l0);
            for (int i = 255; i >= 0; i--)
                if (isr[i]) {
                    isr[i] = false;
                    break;
                }
            break;
        default:
            break;
        }
        for (int i = 0; i < 256; i++) {
            top_irr = irr[i] ? i : top_irr;
            top_isr = isr[i] ? i : top_isr;
        }
        if (top_irr && (unsigned)top_irr / 16 > tpr / 16 && top_irr / 16 > top_isr / 16)
            want = top_irr;
        assert_int_equal(vlapic_next_irq(l0), want);
        if (want >= 0 && rand() % 2) {
            vlapic_ack_irq(l0, (uint8_t)want);
            irr[want] = false;
            isr[want] = true;
        }
    }
}

static void level_interrupts_are_broadcast(void **state)
{
    (void)state;
    vlapic_set_irq(l0, 0x72, true);
    assert_int_equal(rd(l0, 0x180 + 0x30), 1u << 18);
    assert_int_equal(take(l0), 0x72);
    vlapic_eoi(l0);
    assert_true(broadcasts == 1 && broadcast_vector == 0x72);
    vlapic_set_irq(l0, 0x72, false);
    assert_int_equal(rd(l0, 0x180 + 0x30), 0);
    assert_int_equal(take(l0), 0x72);
    vlapic_eoi(l0);
    assert_int_equal(broadcasts, 1);
}

static void illegal_vectors_are_errors(void **state)
{
    (void)state;
    assert_int_equal(vlapic_set_irq(l0, 15, false), -1);
    wr(l0, 0x280, 0);
    assert_int_equal(rd(l0, 0x280), 0x40);
    wr(l0, 0x280, 0);
    assert_int_equal(rd(l0, 0x280), 0);
    wr(l0, 0x370, 0xe1);
    wr(l0, 0x300, 0x0000000f); /* sends to id 0 with vector 15 */
    assert_int_equal(take(l0), 0xe1);
    wr(l0, 0x280, 0);
    assert_int_equal(rd(l0, 0x280), 0x20);
    wr(l0, 0x370, 0x05); /* the error vector itself is illegal: no loop */
    wr(l0, 0x300, 0x0000000f);
    wr(l0, 0x280, 0);
    assert_int_equal(rd(l0, 0x280), 0x20);
}

/* ---- modes and registers ---- */

static void mode_changes(void **state)
{
    uint64_t base = 0xfee00900, val;

    (void)state;
    /* EXTD without EN, moving the page, and changing BSP or reserved bits are refused. */
    assert_int_not_equal(vlapic_msr_write(l0, 0x1b, 0xfee00500), 0);
    assert_int_not_equal(vlapic_msr_write(l0, 0x1b, 0xfed00900), 0);
    assert_int_not_equal(vlapic_msr_write(l0, 0x1b, 0xfee00800), 0);
    assert_int_not_equal(vlapic_msr_write(l0, 0x1b, base | 1), 0);
    assert_int_equal(rdm(l0, 0x1b), base);
    assert_int_not_equal(vlapic_msr_read(l0, 0x802, &val), 0); /* not in xAPIC mode */
    assert_int_not_equal(vlapic_msr_write(l0, 0x80b, 0), 0);

    vlapic_set_irq(l0, 0x33, false);
    to_x2(l0);
    assert_int_equal(vlapic_next_irq(l0), 0x33); /* requests survive */
    assert_int_equal(rdm(l0, 0x80f), 0x1ff);
    assert_int_equal(rd(l0, 0x20), 0xffffffff); /* the page is gone */
    wr(l0, 0x80, 0xff);
    assert_int_equal(rdm(l0, 0x808), 0);
    assert_int_not_equal(vlapic_msr_write(l0, 0x1b, base), 0); /* x2APIC to xAPIC */
    assert_int_equal(vlapic_msr_write(l0, 0x1b, base | BASE_X2), 0);
    assert_int_equal(vlapic_msr_write(l0, 0x1b, base & ~BASE_X2), 0); /* off */
    assert_int_equal(vlapic_next_irq(l0), -1);
    assert_int_equal(vlapic_set_irq(l0, 0x44, false), -1);
    assert_int_not_equal(vlapic_msr_write(l0, 0x1b, base | BASE_X2), 0); /* not from off */
    assert_int_equal(vlapic_msr_write(l0, 0x1b, base), 0);
    assert_int_equal(rd(l0, 0xf0), 0xff); /* as after reset */
}

static void x2apic_registers(void **state)
{
    static const uint16_t writable[] = { 0x808, 0x80b, 0x80f, 0x828, 0x830, 0x832, 0x833,
                                         0x834, 0x835, 0x836, 0x837, 0x838, 0x83e, 0x83f };
    static const uint16_t hidden[] = { 0x800, 0x801, 0x804, 0x809, 0x80b, 0x80c, 0x80e,
                                       0x829, 0x82f, 0x831, 0x83a, 0x83f, 0x840, 0x8ff };
    struct vlapic *l = &sim_vcpu[5].vlapic;
    uint64_t val;

    (void)state;
    to_x2(l);
    for (unsigned i = 0; i < ARRAY_SIZE(hidden); i++)
        assert_int_not_equal(vlapic_msr_read(l, hidden[i], &val), 0);
    for (uint32_t msr = 0x800; msr <= 0x8ff; msr++) {
        bool can = false;

        for (unsigned i = 0; i < ARRAY_SIZE(writable); i++)
            can |= writable[i] == msr;
        /* A value of zero is good for every writable register but the self IPI, where it is a bad
         * vector. */
        assert_int_equal(vlapic_msr_write(l, msr, 0) == 0, can);
        if (msr != 0x830) /* only this one has 64 bits */
            assert_int_not_equal(vlapic_msr_write(l, msr, BIT(32)), 0);
    }
    assert_int_equal(rdm(l, 0x802), 10);
    assert_int_equal(rdm(l, 0x80d), 1u << 10);
    assert_int_equal(rdm(l, 0x803), 0x50014);
    assert_int_not_equal(vlapic_msr_write(l, 0x808, 0x100), 0);
    assert_int_not_equal(vlapic_msr_write(l, 0x80b, 1), 0);
    assert_int_not_equal(vlapic_msr_write(l, 0x832, 0x40000), 0); /* no TSC deadline */
    assert_int_not_equal(vlapic_msr_write(l, 0x83e, 4), 0);
    assert_int_equal(vlapic_msr_write(l, 0x80f, 0x1ff), 0);
    assert_int_equal(vlapic_msr_write(l, 0x835, 0x1a7ff), 0);
    assert_int_equal(rdm(l, 0x835), 0x1a7ff);
    assert_int_equal(vlapic_msr_write(l, 0x83f, 0x93), 0);
    assert_int_equal(rdm(l, 0x824), 1u << 19);
    assert_int_equal(take(l), 0x93);
    assert_int_equal(rdm(l, 0x814), 1u << 19);
    assert_int_equal(vlapic_msr_write(l, 0x80b, 0), 0);
    assert_int_equal(rdm(l, 0x814), 0);
}

/* Saved in the middle of things, set in another APIC of the same index: it goes on alike. */
static void saved_and_set_again(void **state)
{
    struct hvm_hw_lapic hw;
    struct hvm_hw_lapic_regs regs, again;
    uint32_t left;

    (void)state;
    wr(l1, 0xf0, 0x1ff);
    wr(l1, 0x80, 0x20);
    wr(l1, 0xd0, 0x12000000);
    wr(l1, 0x3e0, 0xb);
    wr(l1, 0x320, 0x20040);
    wr(l1, 0x350, 0x10400);
    wr(l1, 0x380, 1000000);
    assert_int_equal(vlapic_set_irq(l1, 0x61, true), 1);
    vlapic_ack_irq(l1, 0x61);
    assert_int_equal(vlapic_set_irq(l1, 0x35, false), 1);
    sim_now_ns += 2000000;
    left = (uint32_t)rd(l1, 0x390);
    assert_in_range(left, 1, 999999);
    vlapic_save(l1, &hw);
    vlapic_save_regs(l1, &regs);
    assert_int_equal(hw.timer_divisor, 1);
    assert_int_equal(hw.disabled, 0);
    vlapic_reset(l1);
    assert_int_equal(vlapic_check(l1, &hw), 0);
    assert_int_equal(vlapic_check_regs(&regs), 0);
    vlapic_load(l1, &hw);
    vlapic_load_regs(l1, &regs);
    vlapic_save_regs(l1, &again);
    assert_memory_equal(&regs, &again, sizeof(regs));
    assert_int_equal(rd(l1, 0x390), left);
    assert_int_equal(vlapic_next_irq(l1), -1); /* 0x61 is in service */
    vlapic_eoi(l1);
    assert_int_equal(vlapic_next_irq(l1), 0x35);
    /* What cannot be. */
    assert_int_equal(vlapic_check(&sim_vcpu[0].vlapic, &hw), -EINVAL); /* BSP is fixed */
    hw.apic_base_msr ^= 0x1000;
    assert_int_equal(vlapic_check(l1, &hw), -EINVAL);
    hw.apic_base_msr ^= 0x1000 ^ APIC_BASE_EN ^ APIC_BASE_EXTD;
    assert_int_equal(vlapic_check(l1, &hw), -EINVAL);
    regs.data[0x200] = 1; /* vector 0 requested */
    assert_int_equal(vlapic_check_regs(&regs), -EINVAL);
    regs.data[0x200] = 0;
    memset(&regs.data[0x390], 0xff, 4);
    assert_int_equal(vlapic_check_regs(&regs), -EINVAL);
}

static void page_accesses_of_odd_shape(void **state)
{
    uint64_t val;

    (void)state;
    vlapic_mmio_read(l1, 0x20, 8, &val);
    assert_int_equal(val, 2u << 24);
    vlapic_mmio_read(l1, 0x23, 1, &val);
    assert_int_equal(val, 2);
    vlapic_mmio_read(l1, 0x24, 4, &val);
    assert_int_equal(val, 0);
    vlapic_mmio_read(l1, 0xff0, 4, &val);
    assert_int_equal(val, 0);
    vlapic_mmio_write(l1, 0x80, 1, 0x30);
    vlapic_mmio_write(l1, 0x80, 8, 0x30);
    vlapic_mmio_write(l1, 0x84, 4, 0x30);
    assert_int_equal(rd(l1, 0x80), 0);
    wr(l1, 0x20, 0); /* read-only */
    assert_int_equal(rd(l1, 0x20), 2u << 24);
    wr(l1, 0xd0, 0x12345678);
    assert_int_equal(rd(l1, 0xd0), 0x12000000);
    wr(l1, 0xe0, 0);
    assert_int_equal(rd(l1, 0xe0), 0x0fffffff);
    wr(l1, 0x320, 0xffffffff);
    assert_int_equal(rd(l1, 0x320), 0x300ff);

    /* Through the trap registry: the vCPU that accesses it sees its own. */
    assert_int_equal(vlapic_register_page(NULL), 0);
    assert_true(page_first == 0xfee00000 && page_last == 0xfee00fff);
    struct trap_region r = { .first = page_first };

    assert_int_equal(page_ops->write(&sim_vcpu[3], &r, 0xfee00080, 4, 0x70), 0);
    assert_int_equal(page_ops->read(&sim_vcpu[3], &r, 0xfee00080, 4, &val), 0);
    assert_int_equal(val, 0x70);
    assert_int_equal(sim_vcpu[3].vlapic.tpr, 0x70);
}

static void software_disable_masks(void **state)
{
    (void)state;
    wr(l0, 0x350, 0x41);
    wr(l0, 0xf0, 0xff);
    assert_int_equal(rd(l0, 0x350), 0x10041);
    wr(l0, 0x350, 0x42); /* cannot be unmasked now */
    assert_int_equal(rd(l0, 0x350), 0x10042);
    assert_int_equal(vlapic_set_irq(l0, 0x77, false), -1);
    assert_int_equal(sim_vcpu[0].enables, 1); /* by the set-up */
    wr(l0, 0xf0, 0x1ff);
    assert_int_equal(sim_vcpu[0].enables, 2); /* what was refused is raised again */
    wr(l0, 0xf0, 0x1f0);
    assert_int_equal(sim_vcpu[0].enables, 2);
    assert_int_equal(rd(l0, 0x350), 0x10042);
    assert_int_equal(vlapic_set_irq(l0, 0x77, false), 1);
}

static void local_vectors(void **state)
{
    (void)state;
    vlapic_local_signal(l0, VLAPIC_LVT_LINT0);
    assert_int_equal(take(l0), -1);
    wr(l0, 0x350, 0x8066); /* fixed, level */
    vlapic_local_signal(l0, VLAPIC_LVT_LINT0);
    assert_int_equal(take(l0), 0x66);
    vlapic_eoi(l0);
    assert_int_equal(broadcasts, 1);
    wr(l0, 0x360, 4 << 8);
    vlapic_local_signal(l0, VLAPIC_LVT_LINT1);
    assert_int_equal(sim_vcpu[0].nmis, 1);
    wr(l0, 0x350, 7 << 8); /* ExtINT: there is no 8259 */
    vlapic_local_signal(l0, VLAPIC_LVT_LINT0);
    assert_int_equal(take(l0), -1);
}

static void init_resets_and_keeps_the_mode(void **state)
{
    (void)state;
    to_x2(l1);
    vlapic_msr_write(l1, 0x838, 1000);
    vlapic_set_irq(l1, 0x80, true);
    assert_int_equal(take(l1), 0x80);
    vlapic_set_irq(l1, 0x90, false);
    vlapic_reset_init(l1);
    assert_true(vlapic_is_x2apic(l1));
    assert_int_equal(rdm(l1, 0x80d), 1u << 2);
    assert_int_equal(rdm(l1, 0x80f), 0xff);
    assert_int_equal(vlapic_next_irq(l1), -1);
    assert_int_equal(l1->isr_top, 0);
    assert_false(timer_pending(&l1->timer));
    vlapic_reset(l1);
    assert_false(vlapic_is_x2apic(l1));
    assert_int_equal(rd(l1, 0x20), 2u << 24);
}

/* ---- destinations ---- */

/* Who accepts: a bit for each vCPU. */
static unsigned send(uint32_t dest, bool logical, bool wide)
{
    struct vapic_message m = { .dest = dest, .logical = logical, .wide = wide, .vector = 0x60 };
    unsigned got = 0, n;

    for (unsigned i = 0; i < SIM_VCPUS; i++)
        sim_vcpu[i].vlapic.irr[3] = 0;
    n = vapic_deliver(&sim_domain.vapic, &m);
    for (unsigned i = 0; i < SIM_VCPUS; i++)
        got |= (sim_vcpu[i].vlapic.irr[3] & 1u) << i;
    assert_int_equal(n, __builtin_popcount(got));
    return got;
}

static void destinations_xapic(void **state)
{
    (void)state;
    assert_int_equal(send(0, false, false), 1);
    assert_int_equal(send(4, false, false), 4);
    assert_int_equal(send(3, false, false), 0); /* odd: nobody */
    assert_int_equal(send(12, false, false), 0);
    assert_int_equal(send(0xff, false, false), 0x3f);
    /* Flat. */
    assert_int_equal(send(0xff, true, false), 0x3f);
    for (unsigned i = 0; i < SIM_VCPUS; i++)
        wr(&sim_vcpu[i].vlapic, 0xd0, 1u << (24 + i));
    assert_int_equal(send(0x15, true, false), 0x15);
    assert_int_equal(send(0xc0, true, false), 0);
    /* Cluster: 0-2 are members 1, 2, 4 of cluster 1; 3-5 of cluster 2. */
    for (unsigned i = 0; i < SIM_VCPUS; i++) {
        wr(&sim_vcpu[i].vlapic, 0xe0, 0x0fffffff);
        wr(&sim_vcpu[i].vlapic, 0xd0, ((i / 3 + 1) << 4 | 1u << (i % 3)) << 24);
    }
    assert_int_equal(send(0x13, true, false), 0x03);
    assert_int_equal(send(0x26, true, false), 0x30);
    assert_int_equal(send(0x3f, true, false), 0);
    assert_int_equal(send(0xff, true, false), 0x3f);
    wr(l0, 0xe0, 0x50000000); /* no such model */
    assert_int_equal(send(0x13, true, false), 0x02);
    wr(l1, 0xf0, 0xff); /* disabled by software: accepts nothing */
    assert_int_equal(send(0xff, false, false), 0x3d);
}

static void destinations_x2apic(void **state)
{
    (void)state;
    for (unsigned i = 0; i < SIM_VCPUS; i++)
        to_x2(&sim_vcpu[i].vlapic);
    assert_int_equal(send(10, false, true), 0x20);
    assert_int_equal(send(0xff, false, true), 0); /* an ordinary id here */
    assert_int_equal(send(0xffffffff, false, true), 0x3f);
    assert_int_equal(send(0xff, false, false), 0x3f);            /* a device's broadcast */
    assert_int_equal(send(1u << 0 | 1u << 4, true, true), 0x05); /* ids 0 and 4 */
    assert_int_equal(send(1u << 16 | 1, true, true), 0);         /* cluster 1 is empty */
    assert_int_equal(send(0xffffffff, true, true), 0x3f);
    assert_int_equal(send(0x14, true, false), 0x06); /* 8 bits of cluster 0: ids 2 and 4 */
}

static void lowest_priority_arbitrates(void **state)
{
    struct vapic_message m = { .dest = 0xff, .delivery = VAPIC_LOWEST, .vector = 0x60 };
    unsigned got[SIM_VCPUS] = { 0 };

    (void)state;
    wr(l0, 0x80, 0x20);
    for (unsigned n = 0; n < 50; n++) {
        assert_int_equal(vapic_deliver(&sim_domain.vapic, &m), 1);
        for (unsigned i = 0; i < SIM_VCPUS; i++) {
            got[i] += sim_vcpu[i].vlapic.irr[3] & 1;
            sim_vcpu[i].vlapic.irr[3] = 0;
        }
    }
    assert_int_equal(got[0], 0);
    for (unsigned i = 1; i < SIM_VCPUS; i++)
        assert_true(got[i] >= 5);
    for (unsigned i = 1; i < SIM_VCPUS; i++)
        wr(&sim_vcpu[i].vlapic, 0x80, 0x30);
    assert_int_equal(vapic_deliver(&sim_domain.vapic, &m), 1);
    assert_int_equal(l0->irr[3], 1);
}

/* ---- inter-processor interrupts ---- */

static void ipi_xapic(void **state)
{
    (void)state;
    wr(l0, 0x310, 2u << 24);
    wr(l0, 0x300, 0x4500); /* INIT, assert */
    assert_int_equal(sim_vcpu[1].inits, 1);
    wr(l0, 0x300, 0x8500); /* INIT level de-assert: ignored */
    assert_int_equal(sim_vcpu[1].inits, 1);
    wr(l0, 0x300, 0x4609);
    assert_true(sim_vcpu[1].sipis == 1 && sim_vcpu[1].sipi_vector == 9);
    wr(l0, 0x300, 0x4400);
    assert_int_equal(sim_vcpu[1].nmis, 1);
    wr(l0, 0x300, 0x40fd);
    assert_int_equal(take(l1), 0xfd);
    assert_int_equal(rd(l0, 0x300), 0x40fd);
    assert_int_equal(rd(l0, 0x310), 2u << 24);
    wr(l0, 0x300, 0x1040fd); /* reserved bits and the delivery status never show */
    assert_int_equal(rd(l0, 0x300) & 0x1000, 0);

    wr(l0, 0x300, 0x44031); /* self */
    assert_int_equal(take(l0), 0x31);
    vlapic_eoi(l0);
    wr(l0, 0x300, 0x44400); /* NMI to self: not defined */
    assert_int_equal(sim_vcpu[0].nmis, 0);
    wr(l0, 0x300, 0x84032); /* all */
    for (unsigned i = 0; i < SIM_VCPUS; i++)
        assert_int_equal(sim_vcpu[i].vlapic.irr[1], 1u << 18);
    assert_int_equal(take(l0), 0x32);
    wr(l0, 0x300, 0xc4400); /* NMI to all others */
    for (unsigned i = 0; i < SIM_VCPUS; i++)
        assert_int_equal(sim_vcpu[i].nmis, (i == 1) + (i != 0));
    wr(l0, 0x310, 0xffu << 24);
    wr(l0, 0x300, 0x4033); /* broadcast includes the sender */
    assert_int_equal(l0->irr[1] >> 19 & 1, 1);
    wr(l0, 0x300, 0xcc500); /* INIT to all others, as Linux does at reboot */
    assert_int_equal(sim_vcpu[2].inits, 1);
    assert_int_equal(sim_vcpu[0].inits, 0);
}

static void ipi_x2apic(void **state)
{
    (void)state;
    to_x2(l0);
    assert_int_equal(vlapic_msr_write(l0, 0x830, 2ULL << 32 | 0x4500), 0);
    assert_int_equal(vlapic_msr_write(l0, 0x830, 2ULL << 32 | 0x4608), 0);
    assert_true(sim_vcpu[1].inits == 1 && sim_vcpu[1].sipis == 1 && sim_vcpu[1].sipi_vector == 8);
    assert_int_equal(rdm(l0, 0x830), 2ULL << 32 | 0x4608);
    assert_int_equal(vlapic_msr_write(l0, 0x830, 0x100000000000400), 0);     /* nobody's id */
    assert_int_not_equal(vlapic_msr_write(l0, 0x830, 1ULL << 20 | 0x40), 0); /* reserved */
    assert_int_equal(vlapic_msr_write(l0, 0x830, 0xffffffff000000ee), 0);
    for (unsigned i = 0; i < SIM_VCPUS; i++)
        assert_int_equal(take(&sim_vcpu[i].vlapic), 0xee);
    assert_int_equal(l0->stats.ipis_sent, 4);
}

static void device_messages(void **state)
{
    unsigned cpu = 99;

    (void)state;
    sim_vcpu[1].cpu = 7;
    assert_int_equal(vapic_deliver_msi(&sim_domain, 0xfee02000, 0xc055),
                     1); /* "level" is no use here */
    assert_int_equal(take(l1), 0x55);
    vlapic_eoi(l1);
    assert_int_equal(broadcasts, 0);
    assert_true(vapic_msi_cpu(&sim_domain, 0xfee02000, 0x55, &cpu));
    assert_int_equal(cpu, 7);
    assert_int_equal(vapic_deliver_msi(&sim_domain, 0xfee01000, 0x55), 0);
    assert_false(vapic_msi_cpu(&sim_domain, 0xfee01000, 0x55, &cpu));
    assert_false(vapic_msi_cpu(&sim_domain, 0xfeeff000, 0x55, &cpu));
    assert_true(sim_domain.vapic.msi_delivered == 1 && sim_domain.vapic.msi_unclaimed == 1);
    /* Logical with redirection hint: one of them. */
    wr(l0, 0xd0, 1u << 24);
    wr(l1, 0xd0, 2u << 24);
    assert_int_equal(vapic_deliver_msi(&sim_domain, 0xfee0300c, 0x56), 1);
    assert_int_equal(vapic_deliver_msi(&sim_domain, 0xfee03004, 0x57), 2);
    assert_int_equal(vapic_deliver_msi(&sim_domain, 0xfee00000, 0x0400), 1);
    assert_int_equal(sim_vcpu[0].nmis, 1);
}

/* Only what can never be for another vCPU, nor anything but an edge, may go past this code. */
static void messages_that_can_be_posted(void **state)
{
    struct ir_post *const first = (struct ir_post *)0x1000, *const second = (struct ir_post *)0x1040;
    uint8_t vector = 0;

    (void)state;
    assert_null(vapic_msi_post(&sim_domain, 0xfee02000, 0x55, &vector)); /* no unit posts */
    l0->post = first;
    l1->post = second;
    assert_ptr_equal(vapic_msi_post(&sim_domain, 0xfee02000, 0x55, &vector), second);
    assert_int_equal(vector, 0x55);
    assert_ptr_equal(vapic_msi_post(&sim_domain, 0xfee00000, 0x156, &vector), first); /* lowest */
    assert_int_equal(vector, 0x56);
    assert_ptr_equal(vapic_msi_post(&sim_domain, 0xfee00008, 0x57, &vector), first); /* redirectable */
    assert_null(vapic_msi_post(&sim_domain, 0xfee01000, 0x55, &vector)); /* nobody's id */
    assert_null(vapic_msi_post(&sim_domain, 0xfeeff000, 0x55, &vector)); /* everybody */
    assert_null(vapic_msi_post(&sim_domain, 0xfee02004, 0x55, &vector)); /* logical */
    assert_null(vapic_msi_post(&sim_domain, 0xfee02000, 0x455, &vector)); /* NMI */
    assert_null(vapic_msi_post(&sim_domain, 0xfee02000, 0x8055, &vector)); /* level */
}

/* ---- timer ---- */

static void timer_one_shot(void **state)
{
    (void)state;
    wr(l0, 0x3e0, 0xb); /* by 1: 10 ns a tick */
    wr(l0, 0x320, 0x40);
    wr(l0, 0x380, 1000);
    sim_advance(2500);
    assert_int_equal(rd(l0, 0x390), 750);
    assert_int_equal(take(l0), -1);
    sim_advance(7500);
    assert_int_equal(take(l0), 0x40);
    vlapic_eoi(l0);
    assert_int_equal(rd(l0, 0x390), 0);
    assert_int_equal(rd(l0, 0x380), 1000);
    sim_advance(100000);
    assert_int_equal(take(l0), -1);
    wr(l0, 0x380, 1000);
    wr(l0, 0x380, 0); /* stops it */
    assert_int_equal(rd(l0, 0x390), 0);
    sim_advance(100000);
    assert_int_equal(l0->stats.timer_fired, 1);
    wr(l0, 0x320, 0x10040); /* masked: counts without a word */
    wr(l0, 0x380, 1000);
    sim_advance(20000);
    assert_int_equal(take(l0), -1);
    assert_int_equal(rd(l0, 0x390), 0);
}

static void timer_divisors(void **state)
{
    static const struct {
        uint32_t code, div;
    } d[] = {
        { 0, 2 }, { 1, 4 }, { 2, 8 }, { 3, 16 }, { 8, 32 }, { 9, 64 }, { 10, 128 }, { 11, 1 }
    };

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(d); i++) {
        wr(l0, 0x3e0, d[i].code);
        assert_int_equal(rd(l0, 0x3e0), d[i].code);
        wr(l0, 0x380, 1000000);
        sim_advance(1280 * 100);
        assert_int_equal(rd(l0, 0x390), 1000000 - 12800 / d[i].div);
    }
    /* A change while it counts keeps the count, even one whose start would lie before time 0. */
    wr(l0, 0x3e0, 0xb);
    wr(l0, 0x380, 3000000);
    sim_advance(20000000);
    assert_int_equal(rd(l0, 0x390), 1000000);
    wr(l0, 0x3e0, 0xa);
    assert_int_equal(rd(l0, 0x390), 1000000);
    wr(l0, 0x320, 0x41);
    sim_advance(1279000000);
    assert_int_equal(take(l0), -1);
    sim_advance(1000000);
    assert_int_equal(take(l0), 0x41);
}

static void timer_periodic(void **state)
{
    (void)state;
    wr(l0, 0x3e0, 0xb);
    wr(l0, 0x320, 0x20040);
    wr(l0, 0x380, 100000); /* 1 ms */
    for (unsigned i = 0; i < 10; i++) {
        sim_advance(NS_PER_MS);
        assert_int_equal(take(l0), 0x40);
        vlapic_eoi(l0);
    }
    sim_advance(NS_PER_MS / 4);
    assert_int_equal(rd(l0, 0x390), 75000);
    /* Late: periods that were missed are not made up for, and the phase stays. */
    sim_now_ns += 5 * NS_PER_MS;
    l0->stats.timer_fired = 0;
    sim_advance(0);
    assert_int_equal(l0->stats.timer_fired, 1);
    assert_int_equal(rd(l0, 0x390), 75000);
    /* A period that nobody could stand is stretched. */
    wr(l0, 0x380, 1);
    l0->stats.timer_fired = 0;
    sim_advance(10 * NS_PER_MS);
    assert_true(l0->stats.timer_fired > 100 && l0->stats.timer_fired <= 201);
    vlapic_destroy(l0);
    assert_false(timer_pending(&l0->timer));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(reset_state, setup),
        cmocka_unit_test_setup(one_interrupt_through_its_life, setup),
        cmocka_unit_test_setup(higher_class_interrupts_lower, setup),
        cmocka_unit_test_setup(task_priority_holds_back, setup),
        cmocka_unit_test_setup(random_traffic_matches_a_model, setup),
        cmocka_unit_test_setup(level_interrupts_are_broadcast, setup),
        cmocka_unit_test_setup(illegal_vectors_are_errors, setup),
        cmocka_unit_test_setup(mode_changes, setup),
        cmocka_unit_test_setup(x2apic_registers, setup),
        cmocka_unit_test_setup(saved_and_set_again, setup),
        cmocka_unit_test_setup(page_accesses_of_odd_shape, setup),
        cmocka_unit_test_setup(software_disable_masks, setup),
        cmocka_unit_test_setup(local_vectors, setup),
        cmocka_unit_test_setup(init_resets_and_keeps_the_mode, setup),
        cmocka_unit_test_setup(destinations_xapic, setup),
        cmocka_unit_test_setup(destinations_x2apic, setup),
        cmocka_unit_test_setup(lowest_priority_arbitrates, setup),
        cmocka_unit_test_setup(ipi_xapic, setup),
        cmocka_unit_test_setup(ipi_x2apic, setup),
        cmocka_unit_test_setup(device_messages, setup),
        cmocka_unit_test_setup(messages_that_can_be_posted, setup),
        cmocka_unit_test_setup(timer_one_shot, setup),
        cmocka_unit_test_setup(timer_divisors, setup),
        cmocka_unit_test_setup(timer_periodic, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
