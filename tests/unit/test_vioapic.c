/* SPDX-License-Identifier: MIT */
/*
 * The virtual IO-APIC: registers, edges, levels with remote IRR, masks, and how physical pins
 * follow; the local APICs behind it are the real ones, the physical side is a fake that remembers.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "irq/girq.h"
#include "lib/errno.h"
#include "trap/trap.h"
#include "vapic_sim.h"
#include "vdev/vioapic.h"

/* ---- the physical side ---- */

#define RESERVED_GSI 4

static struct girq pins[48];
static unsigned binds, destroys;

int girq_gsi_bind(struct domain *dom, uint32_t gsi, bool level, bool active_low, struct girq **out)
{
    assert_ptr_equal(dom, &sim_domain);
    if (gsi == RESERVED_GSI)
        return -EBUSY;
    assert_null(pins[gsi].dom);
    binds++;
    pins[gsi] = (struct girq){ .kind = GIRQ_GSI,
                               .dom = dom,
                               .gsi = gsi,
                               .level = level,
                               .active_low = active_low,
                               .masked = true };
    *out = &pins[gsi];
    return 0;
}

int girq_gsi_set_trigger(struct girq *g, bool level, bool active_low)
{
    assert_true(g->masked);
    g->level = level;
    g->active_low = active_low;
    return 0;
}

void girq_gsi_mask(struct girq *g)
{
    g->masked = true;
}

void girq_gsi_unmask(struct girq *g)
{
    g->masked = false;
}

void girq_eoi(struct girq *g)
{
    if (g->in_service) {
        g->in_service = false;
        g->eois++;
    }
}

void girq_destroy(struct girq *g)
{
    g->dom = NULL;
    destroys++;
}

static unsigned host_ioapics;

int ioapic_get(unsigned index, struct ioapic_info *out)
{
    if (index >= host_ioapics)
        return -ENOENT;
    *out = (struct ioapic_info){ 0xfec00000 + index * 0x1000, 24 * index, 24, (uint8_t)(7 + index),
                                 0x20 };
    return 0;
}

static struct trap_region regions[VAPIC_MAX_IOAPICS];
static unsigned nr_regions, regions_left;
static const struct trap_ops *page_ops;
static int trap_result;

int trap_register_region(struct trap_table *t, enum trap_kind kind, uint64_t first, uint64_t last,
                         const struct trap_ops *ops, void *arg, const char *name,
                         struct trap_region **out)
{
    (void)t, (void)name;
    if (trap_result)
        return trap_result;
    assert_int_equal(kind, TRAP_MMIO);
    regions[nr_regions] = (struct trap_region){ .first = first, .last = last, .arg = arg };
    *out = &regions[nr_regions++];
    regions_left++;
    page_ops = ops;
    return 0;
}

int trap_register(struct trap_table *t, enum trap_kind kind, uint64_t first, uint64_t last,
                  const struct trap_ops *ops, void *arg, const char *name)
{
    (void)t, (void)kind, (void)first, (void)last, (void)ops, (void)arg, (void)name;
    return 0;
}

void trap_unregister(struct trap_table *t, struct trap_region *r)
{
    (void)t, (void)r;
    regions_left--;
}

/* The physical pin interrupts as girq.c delivers it. */
static unsigned fire(unsigned gsi)
{
    struct girq *g = &pins[gsi];

    assert_non_null(g->dom);
    assert_false(g->masked || g->in_service);
    g->in_service = g->level;
    return vioapic_host_irq(g->dom, gsi, g->level);
}

static struct vioapic *io;
static struct vlapic *const l0 = &sim_vcpu[0].vlapic, *const l1 = &sim_vcpu[1].vlapic;

static int setup(void **state)
{
    (void)state;
    sim_vapic_setup();
    memset(pins, 0, sizeof(pins));
    binds = destroys = nr_regions = regions_left = 0;
    trap_result = 0;
    host_ioapics = 2;
    if (vioapic_mirror_host(&sim_domain.vapic, NULL))
        return -1;
    io = sim_domain.vapic.vioapic[0];
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    vioapic_destroy_all(&sim_domain.vapic);
    return regions_left;
}

static uint32_t rd(struct vioapic *v, uint8_t reg)
{
    uint64_t val;

    vioapic_mmio_write(v, 0x00, 4, reg);
    vioapic_mmio_read(v, 0x10, 4, &val);
    return (uint32_t)val;
}

static void wr(struct vioapic *v, uint8_t reg, uint32_t val)
{
    vioapic_mmio_write(v, 0x00, 4, reg);
    vioapic_mmio_write(v, 0x10, 4, val);
}

/* Destination first, as guests do, then the half with the mask. */
static void set_rte(unsigned pin, uint64_t rte)
{
    wr(io, (uint8_t)(0x11 + 2 * pin), (uint32_t)(rte >> 32));
    wr(io, (uint8_t)(0x10 + 2 * pin), (uint32_t)rte);
}

static uint64_t get_rte(unsigned pin)
{
    return rd(io, (uint8_t)(0x10 + 2 * pin)) | (uint64_t)rd(io, (uint8_t)(0x11 + 2 * pin)) << 32;
}

static int take(struct vlapic *l)
{
    int vec = vlapic_next_irq(l);

    if (vec >= 0)
        vlapic_ack_irq(l, (uint8_t)vec);
    return vec;
}

/* ---- registers ---- */

static void registers(void **state)
{
    uint64_t val;

    (void)state;
    assert_int_equal(rd(io, 0), 7u << 24);
    assert_int_equal(rd(io, 1), 23 << 16 | 0x11);
    assert_int_equal(rd(io, 2), 7u << 24);
    assert_int_equal(rd(sim_domain.vapic.vioapic[1], 0), 8u << 24);
    for (unsigned pin = 0; pin < 24; pin++)
        assert_int_equal(get_rte(pin), RTE_MASKED);
    assert_int_equal(rd(io, 0x10 + 48), 0xffffffff); /* past the last pin */
    wr(io, 0x10 + 48, 0);
    wr(io, 0x40, 0); /* no EOI register in this version */
    wr(io, 0, 0x0f000000);
    assert_int_equal(rd(io, 0), 7u << 24);
    /* Read-only and reserved bits of an entry. */
    set_rte(3, ~0ULL & ~RTE_LEVEL);
    assert_int_equal(get_rte(3), 0xff0000000001afffULL & ~(uint64_t)(RTE_LEVEL));
    set_rte(3, RTE_MASKED);
    vioapic_mmio_read(io, 0x00, 4, &val);
    assert_int_equal(val, 0x16);
    vioapic_mmio_read(io, 0x10, 1, &val);
    assert_int_equal(val, 0xff);
    vioapic_mmio_read(io, 0x20, 4, &val);
    assert_int_equal(val, 0xffffffff);
    vioapic_mmio_read(io, 0x08, 8, &val);
    assert_int_equal(val, ~0ULL);
    vioapic_mmio_write(io, 0x10, 2, 0);
    assert_int_equal(get_rte(3), RTE_MASKED);
    /* Through the trap registry. */
    assert_int_equal(regions[1].first, 0xfec01000);
    assert_int_equal(page_ops->write(&sim_vcpu[0], &regions[1], 0xfec01000, 4, 1), 0);
    assert_int_equal(page_ops->read(&sim_vcpu[0], &regions[1], 0xfec01010, 4, &val), 0);
    assert_int_equal(val, 23 << 16 | 0x11);
    assert_int_equal(binds, 0); /* nothing was unmasked */
}

static void creation_checks(void **state)
{
    struct ioapic_info bad = { 0xfec05000, 30, 24, 9, 0x20 };
    struct vapic_bus *bus = &sim_domain.vapic;
    struct vioapic *other;

    (void)state;
    assert_int_equal(vioapic_create(bus, NULL, &bad, false, &other), -EEXIST); /* GSIs overlap */
    bad.gsi_base = 100;
    bad.nr_pins = 0;
    assert_int_equal(vioapic_create(bus, NULL, &bad, false, &other), -EINVAL);
    bad.nr_pins = 241;
    assert_int_equal(vioapic_create(bus, NULL, &bad, false, &other), -EINVAL);
    bad.nr_pins = 1;
    bad.base = 0xfec05010;
    assert_int_equal(vioapic_create(bus, NULL, &bad, false, &other), -EINVAL);
    bad.base = 0xfec05000;
    trap_result = -EEXIST;
    assert_int_equal(vioapic_create(bus, NULL, &bad, false, &other), -EEXIST);
    trap_result = 0;
    for (unsigned n = 1; n <= 2; n++) {
        sim_heap_fail_after = n;
        assert_int_equal(vioapic_create(bus, NULL, &bad, false, &other), -ENOMEM);
    }
    sim_heap_fail_after = 0;
    assert_int_equal(bus->nr_vioapics, 2);
    assert_int_equal(vioapic_create(bus, NULL, &bad, false, &other), 0);
    assert_int_equal(vioapic_set_irq(bus, 100, true), 0);
    assert_int_equal(vioapic_set_irq(bus, 101, true), -ENOENT);
    assert_int_equal(vioapic_host_irq(&sim_domain, 60, false), 0);
}

/* ---- edges ---- */

static void edge_binds_and_delivers(void **state)
{
    (void)state;
    set_rte(9, 2ULL << 56 | RTE_MASKED | 0x51);
    assert_int_equal(binds, 0);
    set_rte(9, 2ULL << 56 | 0x51);
    assert_int_equal(binds, 1);
    assert_true(!pins[9].masked && !pins[9].level && !pins[9].active_low);
    assert_int_equal(fire(9), 1);
    assert_int_equal(take(l1), 0x51);
    assert_int_equal(get_rte(9), 2ULL << 56 | 0x51); /* no remote IRR */
    vlapic_eoi(l1);
    assert_int_equal(fire(9), 1);
    assert_int_equal(take(l1), 0x51);
    vlapic_eoi(l1);
    set_rte(9, 2ULL << 56 | RTE_MASKED | 0x51);
    assert_true(pins[9].masked);
    assert_int_equal(vioapic_host_irq(&sim_domain, 9, false), 0); /* one that was on its way */
    assert_int_equal(take(l1), -1);
    set_rte(9, 0x52); /* another destination and vector, unmasked again: the same binding */
    assert_int_equal(binds, 1);
    assert_false(pins[9].masked);
    assert_int_equal(fire(9), 1);
    assert_int_equal(take(l0), 0x52);
    assert_true(io->pin[9].raised == 4 && io->pin[9].injected == 3);
    set_rte(9, 77ULL << 56 | 0x52); /* nobody there */
    assert_int_equal(fire(9), 0);
}

static void delivery_modes(void **state)
{
    (void)state;
    set_rte(1, 0x400); /* NMI */
    assert_int_equal(fire(1), 1);
    assert_int_equal(sim_vcpu[0].nmis, 1);
    set_rte(1, 0x600); /* start-up: not from a pin */
    assert_int_equal(fire(1), 0);
    assert_int_equal(sim_vcpu[0].sipis, 0);
    for (unsigned i = 0; i < SIM_VCPUS; i++)
        vlapic_mmio_write(&sim_vcpu[i].vlapic, 0xd0, 4, 1u << (24 + i));
    set_rte(1, 0x6ULL << 56 | RTE_DEST_LOGICAL | 0x61);
    assert_int_equal(fire(1), 2);
    assert_true(take(l1) == 0x61 && take(&sim_vcpu[2].vlapic) == 0x61 && take(l0) == -1);
    set_rte(1, 0x6ULL << 56 | RTE_DEST_LOGICAL | 1 << 8 | 0x71); /* lowest priority */
    assert_int_equal(fire(1), 1);
}

static void reserved_pin_is_refused(void **state)
{
    (void)state;
    set_rte(RESERVED_GSI, 0x44);
    assert_int_equal(binds, 0);
    assert_null(io->pin[RESERVED_GSI].girq);
    assert_int_equal(get_rte(RESERVED_GSI), 0x44); /* the guest sees what it wrote */
    set_rte(RESERVED_GSI, RTE_MASKED | 0x44);
    set_rte(RESERVED_GSI, 0x44);
    assert_null(io->pin[RESERVED_GSI].girq);
}

/* ---- levels ---- */

static void level_waits_for_the_guests_end(void **state)
{
    (void)state;
    set_rte(16, RTE_LEVEL | RTE_ACTIVE_LOW | 0x81);
    assert_true(pins[16].level && pins[16].active_low && !pins[16].masked);
    assert_int_equal(fire(16), 1);
    assert_int_equal(get_rte(16), RTE_LEVEL | RTE_ACTIVE_LOW | RTE_REMOTE_IRR | 0x81);
    assert_int_equal(take(l0), 0x81);
    assert_true(pins[16].in_service);
    vlapic_eoi(l0);
    assert_false(pins[16].in_service);
    assert_int_equal(pins[16].eois, 1);
    assert_false(get_rte(16) & RTE_REMOTE_IRR);
    assert_int_equal(take(l0), -1);
    /* Still asserted: the physical pin interrupts again by itself. */
    assert_int_equal(fire(16), 1);
    assert_int_equal(take(l0), 0x81);
    vlapic_eoi(l0);
    /* The end of another vector, or of an edge with this one, is no end here. */
    fire(16);
    assert_int_equal(take(l0), 0x81);
    vlapic_set_irq(l0, 0x91, true);
    assert_int_equal(take(l0), 0x91);
    vlapic_eoi(l0);
    assert_true(pins[16].in_service);
    vlapic_eoi(l0);
    assert_false(pins[16].in_service);
}

static void level_while_masked_is_remembered(void **state)
{
    (void)state;
    set_rte(17, RTE_LEVEL | 0x82);
    /* The guest masks in the very moment in which the pin fires. */
    pins[17].in_service = true;
    set_rte(17, RTE_LEVEL | RTE_MASKED | 0x82);
    assert_int_equal(vioapic_host_irq(&sim_domain, 17, true), 0);
    assert_int_equal(take(l0), -1);
    set_rte(17, RTE_LEVEL | 0x82);
    assert_int_equal(take(l0), 0x82);
    vlapic_eoi(l0);
    assert_false(pins[17].in_service);

    /* Masked during service, as for threaded handlers: the end comes through all the same. */
    fire(17);
    assert_int_equal(take(l0), 0x82);
    set_rte(17, RTE_LEVEL | RTE_MASKED | 0x82);
    vlapic_eoi(l0);
    assert_false(pins[17].in_service);
    assert_true(pins[17].masked);
    set_rte(17, RTE_LEVEL | 0x82);
    assert_false(pins[17].masked);
    assert_int_equal(take(l0), -1);
}

static void level_without_taker_is_not_lost(void **state)
{
    (void)state;
    set_rte(18, 77ULL << 56 | RTE_LEVEL | 0x83);
    assert_int_equal(fire(18), 0);
    assert_false(get_rte(18) & RTE_REMOTE_IRR);
    set_rte(18, RTE_LEVEL | 0x83); /* its destination is corrected */
    assert_int_equal(take(l0), 0x83);
    vlapic_eoi(l0);
    assert_false(pins[18].in_service);
}

static void stuck_remote_irr_can_be_cleared(void **state)
{
    (void)state;
    set_rte(19, RTE_LEVEL | 0x84);
    fire(19);
    vlapic_reset_init(l0); /* the local APIC forgets: no end will ever come */
    vlapic_mmio_write(l0, 0xf0, 4, 0x1ff);
    assert_true(get_rte(19) & RTE_REMOTE_IRR);
    wr(io, 0x10 + 38, RTE_MASKED | 0x84); /* edge and masked, then as before */
    assert_false(get_rte(19) & RTE_REMOTE_IRR);
    wr(io, 0x10 + 38, RTE_LEVEL | 0x84);
    assert_false(pins[19].in_service || pins[19].masked);
    assert_true(pins[19].level);
    assert_int_equal(fire(19), 1);
    assert_int_equal(take(l0), 0x84);
    vlapic_eoi(l0);
    assert_int_equal(pins[19].in_service, false);
}

static void shared_vector_ends_all_of_its_pins(void **state)
{
    (void)state;
    set_rte(20, RTE_LEVEL | 0x85);
    set_rte(21, RTE_LEVEL | 0x85);
    fire(20);
    assert_int_equal(fire(21), 1);
    assert_int_equal(take(l0), 0x85);
    assert_int_equal(take(l0), -1);
    vlapic_eoi(l0);
    assert_false(pins[20].in_service || pins[21].in_service);
}

static void emulated_devices_lines(void **state)
{
    struct ioapic_info info = { 0xfec05000, 100, 8, 9, 0x11 };
    struct vapic_bus *bus = &sim_domain.vapic;

    (void)state;
    assert_int_equal(vioapic_create(bus, NULL, &info, false, &io), 0);
    set_rte(0, 0x46);
    set_rte(1, RTE_LEVEL | 0x47);
    assert_int_equal(binds, 0); /* no physical pin behind these */
    vioapic_set_irq(bus, 100, true);
    assert_int_equal(take(l0), 0x46);
    vlapic_eoi(l0);
    vioapic_set_irq(bus, 100, true); /* no new edge */
    assert_int_equal(take(l0), -1);
    vioapic_set_irq(bus, 100, false);
    vioapic_set_irq(bus, 100, true);
    assert_int_equal(take(l0), 0x46);
    vlapic_eoi(l0);

    vioapic_set_irq(bus, 101, true);
    assert_int_equal(take(l0), 0x47);
    vlapic_eoi(l0); /* still asserted: again */
    assert_int_equal(take(l0), 0x47);
    vioapic_set_irq(bus, 101, false);
    vlapic_eoi(l0);
    assert_int_equal(take(l0), -1);
    wr(io, 0x12, RTE_LEVEL | RTE_MASKED | 0x47);
    vioapic_set_irq(bus, 101, true);
    assert_int_equal(take(l0), -1);
    wr(io, 0x12, RTE_LEVEL | 0x47);
    assert_int_equal(take(l0), 0x47);
}

static struct vapic_bus *ended_bus;
static uint32_t ended_gsi;
static unsigned ended_calls;
static bool ended_again;

/* As a source that still asserts the pin. */
static void ended(struct domain *dom, uint32_t gsi)
{
    assert_ptr_equal(dom, &sim_domain);
    ended_gsi = gsi;
    ended_calls++;
    if (ended_again)
        vioapic_set_irq(ended_bus, gsi, true);
}

static void sources_are_asked_again(void **state)
{
    struct ioapic_info info = { 0xfec05000, 100, 8, 9, 0x11 };

    (void)state;
    ended_bus = &sim_domain.vapic;
    ended_calls = 0;
    ended_again = false;
    assert_int_equal(vioapic_create(ended_bus, NULL, &info, false, &io), 0);
    io->ended = ended;
    vioapic_set_irq(ended_bus, 101, true); /* before the guest has said that it is a level */
    wr(io, 0x12, RTE_LEVEL | RTE_MASKED | 0x47);
    assert_true(ended_calls == 1 && ended_gsi == 101);
    vioapic_set_irq(ended_bus, 101, true);
    assert_int_equal(take(l0), -1);
    wr(io, 0x12, RTE_LEVEL | 0x47);
    assert_int_equal(take(l0), 0x47);
    ended_again = true;
    vlapic_eoi(l0);
    assert_int_equal(ended_calls, 2);
    assert_int_equal(take(l0), 0x47);
    ended_again = false;
    vlapic_eoi(l0);
    assert_int_equal(ended_calls, 3);
    assert_int_equal(take(l0), -1);
}

static void destruction_releases_pins(void **state)
{
    (void)state;
    set_rte(9, 0x51);
    set_rte(16, RTE_LEVEL | 0x81);
    vioapic_destroy_all(&sim_domain.vapic);
    assert_int_equal(destroys, 2);
    assert_int_equal(sim_domain.vapic.nr_vioapics, 0);
    assert_int_equal(regions_left, 0);
    trap_result = -ENOMEM;
    assert_int_equal(vioapic_mirror_host(&sim_domain.vapic, NULL), -ENOMEM);
    assert_int_equal(sim_domain.vapic.nr_vioapics, 0);
    trap_result = 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(registers, setup, teardown),
        cmocka_unit_test_setup_teardown(creation_checks, setup, teardown),
        cmocka_unit_test_setup_teardown(edge_binds_and_delivers, setup, teardown),
        cmocka_unit_test_setup_teardown(delivery_modes, setup, teardown),
        cmocka_unit_test_setup_teardown(reserved_pin_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(level_waits_for_the_guests_end, setup, teardown),
        cmocka_unit_test_setup_teardown(level_while_masked_is_remembered, setup, teardown),
        cmocka_unit_test_setup_teardown(level_without_taker_is_not_lost, setup, teardown),
        cmocka_unit_test_setup_teardown(stuck_remote_irr_can_be_cleared, setup, teardown),
        cmocka_unit_test_setup_teardown(shared_vector_ends_all_of_its_pins, setup, teardown),
        cmocka_unit_test_setup_teardown(emulated_devices_lines, setup, teardown),
        cmocka_unit_test_setup_teardown(sources_are_asked_again, setup, teardown),
        cmocka_unit_test_setup_teardown(destruction_releases_pins, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
