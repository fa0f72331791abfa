/* SPDX-License-Identifier: MIT */
/*
 * Vectors, physical IO-APICs and guests' interrupt sources, on a model of an IO-APIC and a fake
 * remapping unit.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "irq/girq.h"
#include "irq/ioapic.h"
#include "irq/irq.h"
#include "irq_model.h"
#include "lib/errno.h"
#include "lib/percpu.h"
#include "lib/time.h"
#include "sim.h"

/* ---- the guest's side ---- */

static unsigned delivered, host_irqs, accept;
static uint64_t last_addr;
static uint32_t last_data, last_gsi;
static bool dest_known, last_level;
static unsigned dest_cpu;

unsigned vapic_deliver_msi(struct domain *dom, uint64_t addr, uint32_t data)
{
    assert_ptr_equal(dom, (void *)0x1234);
    delivered++;
    last_addr = addr;
    last_data = data;
    return accept;
}

bool vapic_msi_cpu(struct domain *dom, uint64_t addr, uint32_t data, unsigned *cpu)
{
    (void)dom, (void)addr, (void)data;
    *cpu = dest_cpu;
    return dest_known;
}

static struct ir_post *dest_post;

struct ir_post *vapic_msi_post(struct domain *dom, uint64_t addr, uint32_t data, uint8_t *vector)
{
    assert_ptr_equal(dom, (void *)0x1234);
    (void)addr;
    *vector = (uint8_t)data;
    return dest_post;
}

unsigned vioapic_host_irq(struct domain *dom, uint32_t gsi, bool level)
{
    assert_ptr_equal(dom, (void *)0x1234);
    host_irqs++;
    last_gsi = gsi;
    last_level = level;
    return accept;
}

#define DOM ((struct domain *)0x1234)

static struct acpi_madt_info madt;

static int setup(void **state)
{
    (void)state;
    nr_cpus = 2;
    for (unsigned i = 0; i < nr_cpus; i++) {
        percpu_area[i].id = i;
        percpu_area[i].apicid = 4 * i + 1;
        assert_int_equal(irq_init_cpu(i), 0);
    }
    sim_this_cpu = 0;
    sim_now_ns += NS_PER_SEC; /* freed vectors have rested */
    memset(model, 0, sizeof(model));
    for (unsigned i = 0; i < MODEL_IOAPICS; i++)
        model[i].version = (MODEL_PINS - 1) << 16 | 0x20;
    memset(&madt, 0, sizeof(madt));
    madt.nr_ioapics = 2;
    madt.ioapic[0] = (struct acpi_madt_ioapic){ 7, 0, 0xfec00000 };
    madt.ioapic[1] = (struct acpi_madt_ioapic){ 8, 24, 0xfec01000 };
    madt.nr_overrides = 2;
    madt.override[0] = (struct acpi_madt_override){ 0, 0, 0, 2 };
    madt.override[1] = (struct acpi_madt_override){ 0, 9, 0xf, 9 };
    remap = dest_known = ir_posts = false;
    ir_posted = 0;
    dest_post = NULL;
    ir_alloc_result = ir_set_result = 0;
    ir_in_use = ir_sets = 0;
    delivered = host_irqs = eois = 0;
    accept = 1;
    return 0;
}

/* ---- vectors ---- */

static unsigned handled;

static void handler(void *arg)
{
    handled += *(unsigned *)arg;
}

static void dispatch_counts_and_ends(void **state)
{
    unsigned one = 1, ten = 10;
    uint64_t stray = irq_stray(0), kicks = irq_count(0, VECTOR_KICK);
    int a = irq_alloc_vector(0, handler, &one), b = irq_alloc_vector(0, handler, &ten);

    (void)state;
    assert_true(a >= VECTOR_DYNAMIC_FIRST && a <= VECTOR_DYNAMIC_LAST);
    assert_true(b >= VECTOR_DYNAMIC_FIRST && b <= VECTOR_DYNAMIC_LAST && a != b);
    handled = 0;
    irq_dispatch((uint8_t)a);
    irq_dispatch((uint8_t)b);
    irq_dispatch((uint8_t)b);
    assert_int_equal(handled, 21);
    assert_int_equal(eois, 3);
    assert_int_equal(irq_count(0, (uint8_t)b), 2);
    /* The same number on another CPU is another vector. */
    sim_this_cpu = 1;
    irq_dispatch((uint8_t)a);
    assert_int_equal(handled, 21);
    assert_int_equal(irq_stray(1), 1);
    sim_this_cpu = 0;

    irq_free_vector(0, (uint8_t)a);
    irq_dispatch((uint8_t)a);
    assert_int_equal(handled, 21);
    assert_int_equal(irq_stray(0), stray + 1);
    irq_free_vector(0, (uint8_t)b);

    eois = 0;
    irq_dispatch(VECTOR_SPURIOUS);
    assert_int_equal(eois, 0); /* no EOI for a spurious interrupt */
    irq_dispatch(VECTOR_KICK);
    assert_int_equal(eois, 1);
    assert_int_equal(irq_count(0, VECTOR_KICK), kicks + 1);
    irq_set_fixed(VECTOR_TIMER, handler, &ten);
    irq_dispatch(VECTOR_TIMER);
    assert_int_equal(handled, 31);
    irq_set_fixed(VECTOR_TIMER, NULL, NULL);
    assert_int_equal(irq_alloc_vector(5, handler, &one), -EINVAL);
    assert_int_equal(irq_alloc_vector(MAX_CPUS, handler, &one), -EINVAL);
}

static void vectors_run_out_and_rest(void **state)
{
    const int span = VECTOR_DYNAMIC_LAST - VECTOR_DYNAMIC_FIRST + 1;
    bool seen[256] = { false };
    unsigned one = 1;
    int vec;

    (void)state;
    for (int i = 0; i < span; i++) {
        vec = irq_alloc_vector(1, handler, &one);
        assert_true(vec > 0 && !seen[vec]);
        seen[vec] = true;
    }
    assert_int_equal(irq_alloc_vector(1, handler, &one), -ENOSPC);
    assert_int_equal(irq_vectors_in_use(1), span);
    assert_int_equal(irq_pick_cpu(), 0);

    irq_free_vector(1, 0x55);
    assert_int_equal(irq_alloc_vector(1, handler, &one), -ENOSPC);
    sim_now_ns += 10 * NS_PER_MS;
    assert_int_equal(irq_alloc_vector(1, handler, &one), 0x55);
    for (vec = VECTOR_DYNAMIC_FIRST; vec <= VECTOR_DYNAMIC_LAST; vec++)
        irq_free_vector(1, (uint8_t)vec);
    assert_int_equal(irq_vectors_in_use(1), 0);
}

/* ---- IO-APICs ---- */

static void start_masks_everything_but_firmwares(void **state)
{
    struct ioapic_info info;

    (void)state;
    model[0].reg[0x10 + 2 * 3] = 0x33;          /* unmasked, fixed */
    model[0].reg[0x10 + 2 * 5] = 2 << 8 | 0x22; /* unmasked SMI */
    assert_int_equal(ioapic_init(&madt), 0);
    assert_int_equal(ioapic_count(), 2);
    for (unsigned pin = 0; pin < MODEL_PINS; pin++)
        assert_true(pin == 5 || (model_rte(0, pin) & RTE_MASKED));
    assert_int_equal(model_rte(0, 5), 2 << 8 | 0x22);
    assert_int_equal(ioapic_route(5, 0, 0x40, false, false), -EBUSY);
    assert_int_equal(ioapic_reserve(5), -EBUSY);
    assert_true(ioapic_is_reserved(5));
    assert_int_equal(ioapic_get(1, &info), 0);
    assert_int_equal(info.gsi_base, 24);
    assert_int_equal(info.nr_pins, MODEL_PINS);
    assert_int_equal(ioapic_get(2, &info), -ENOENT);
}

static void bad_ioapics_are_left_out(void **state)
{
    (void)state;
    madt.ioapic[1].gsi_base = 23; /* overlaps the first */
    assert_int_equal(ioapic_init(&madt), 0);
    assert_int_equal(ioapic_count(), 1);
    madt.ioapic[1].gsi_base = 24;
    model[0].version = 0xffffffff;
    assert_int_equal(ioapic_init(&madt), 0);
    assert_int_equal(ioapic_count(), 1);
    model[1].version = 0xff << 16 | 0x20; /* 256 pins */
    assert_int_equal(ioapic_init(&madt), -ENODEV);
    madt.ioapic[0].base = 0xfed00000; /* cannot be mapped */
    assert_int_equal(ioapic_init(&madt), -ENODEV);
    assert_int_equal(ioapic_route(0, 0, 0x40, false, false), -ENOENT);
}

static void overrides_of_isa_interrupts(void **state)
{
    uint32_t gsi;
    bool level, low;

    (void)state;
    assert_int_equal(ioapic_init(&madt), 0);
    ioapic_isa_route(0, &gsi, &level, &low);
    assert_true(gsi == 2 && !level && !low);
    ioapic_isa_route(9, &gsi, &level, &low);
    assert_true(gsi == 9 && level && low);
    ioapic_isa_route(4, &gsi, &level, &low);
    assert_true(gsi == 4 && !level && !low);
}

static void direct_routing(void **state)
{
    (void)state;
    assert_int_equal(ioapic_init(&madt), 0);
    assert_int_equal(ioapic_route(24 + 3, 1, 0x61, true, true), 0);
    assert_int_equal(model_rte(1, 3),
                     0x61 | RTE_LEVEL | RTE_ACTIVE_LOW | RTE_MASKED | 5ULL << RTE_DEST_SHIFT);
    ioapic_unmask(27);
    assert_false(model_rte(1, 3) & RTE_MASKED);
    ioapic_mask(27);
    assert_true(model_rte(1, 3) & RTE_MASKED);
    ioapic_unmask(26); /* not routed */
    assert_true(model_rte(1, 2) & RTE_MASKED);
    ioapic_unmask(27);
    ioapic_release(27);
    assert_int_equal(model_rte(1, 3), RTE_MASKED);
    ioapic_unmask(27);
    assert_int_equal(model_rte(1, 3), RTE_MASKED);
    assert_int_equal(ioapic_route(48, 0, 0x40, false, false), -ENOENT);
    percpu_area[1].apicid = 0x100; /* does not fit 8 bits */
    assert_int_equal(ioapic_route(27, 1, 0x61, true, true), -EINVAL);
    assert_int_equal(model_rte(1, 3), RTE_MASKED);
    assert_int_equal(model[0].unmasked_torn + model[1].unmasked_torn, 0);
}

static void remapped_routing(void **state)
{
    (void)state;
    assert_int_equal(ioapic_init(&madt), 0);
    assert_int_equal(ioapic_route(4, 0, 0x50, false, false), 0);
    ioapic_unmask(4);
    assert_int_equal(model_rte(0, 4), 0x50 | 1ULL << RTE_DEST_SHIFT);
    /* Remapping comes: the routed pin changes its format and keeps its mask. */
    remap = true;
    ir_next = 100;
    ioapic_mask_all();
    assert_true(model_rte(0, 4) & RTE_MASKED);
    assert_int_equal(ioapic_reroute_all(), 0);
    assert_int_equal(ir_in_use, 1);
    assert_int_equal(model_rte(0, 4), 100ULL << 49 | BIT(48) | 0x50);
    /* Another target, same entry. */
    assert_int_equal(ioapic_route(4, 1, 0x51, true, false), 0);
    assert_int_equal(ir_in_use, 1);
    assert_int_equal(ir_last_dest, 5);
    assert_int_equal(model_rte(0, 4), 100ULL << 49 | BIT(48) | RTE_LEVEL | RTE_MASKED | 0x51);
    ioapic_release(4);
    assert_int_equal(ir_in_use, 0);
    assert_int_equal(model_rte(0, 4), RTE_MASKED);

    ir_alloc_result = -ENOSPC;
    assert_int_equal(ioapic_route(4, 1, 0x51, true, false), -ENOSPC);
    ir_alloc_result = 0;
    ir_set_result = -EIO;
    assert_int_equal(ioapic_route(4, 1, 0x51, true, false), -EIO);
    assert_int_equal(ir_in_use, 0);
    assert_int_equal(model_rte(0, 4), RTE_MASKED);
    assert_int_equal(model[0].unmasked_torn, 0);
}

/* ---- messages ---- */

static void message_reaches_the_guest(void **state)
{
    struct girq *g;
    uint64_t addr;
    uint32_t data;
    unsigned before = irq_vectors_in_use(0) + irq_vectors_in_use(1);

    (void)state;
    assert_int_equal(girq_msi_create(DOM, 0x10018, &g), 0);
    girq_message(g, &addr, &data);
    assert_int_equal(addr, 0xfee00000 | apicid_of_cpu(g->cpu) << 12);
    assert_int_equal(data, g->vector);
    sim_this_cpu = g->cpu;
    irq_dispatch(g->vector); /* not bound: dropped */
    assert_int_equal(delivered, 0);
    assert_int_equal(g->dropped, 1);

    assert_int_equal(girq_msi_bind(g, 0xfee02000, 0x4041), 0);
    irq_dispatch(g->vector);
    assert_int_equal(delivered, 1);
    assert_true(last_addr == 0xfee02000 && last_data == 0x4041);
    accept = 0;
    irq_dispatch(g->vector);
    assert_true(g->raised == 3 && g->injected == 1 && g->dropped == 2);
    girq_msi_unbind(g);
    irq_dispatch(g->vector);
    assert_int_equal(delivered, 2);
    girq_destroy(g);
    assert_int_equal(irq_vectors_in_use(0) + irq_vectors_in_use(1), before);
}

static void only_interrupt_messages_bind(void **state)
{
    struct girq *g;
    uint64_t addr;
    uint32_t data;

    (void)state;
    assert_int_equal(girq_msi_create(DOM, 0x18, &g), 0);
    assert_int_equal(girq_msi_bind(g, 0xfee00000, 0x0031), 0);
    assert_int_equal(girq_msi_bind(g, 0xfed00000, 0x0031), -EINVAL);
    assert_int_equal(girq_msi_bind(g, 0xfef00000, 0x0031), -EINVAL);
    assert_int_equal(girq_msi_bind(g, 0x1fee00000, 0x0031), -EINVAL);
    assert_int_equal(girq_msi_bind(g, 0, 0), -EINVAL);
    assert_int_equal(girq_msi_bind(g, 0xfee00000, 0x000f), -EINVAL); /* vector 15 */
    assert_int_equal(girq_msi_bind(g, 0xfee00000, 0x0231), -EINVAL); /* SMI */
    assert_int_equal(girq_msi_bind(g, 0xfee00000, 0x0331), -EINVAL);
    assert_int_equal(girq_msi_bind(g, 0xfee00000, 0x0531), -EINVAL); /* INIT */
    assert_int_equal(girq_msi_bind(g, 0xfee00000, 0x0631), -EINVAL); /* start-up */
    assert_int_equal(girq_msi_bind(g, 0xfee00000, 0x0731), -EINVAL); /* ExtINT */
    /* Nothing of that changed the binding. */
    assert_true(girq_guest_message(g, &addr, &data));
    assert_true(addr == 0xfee00000 && data == 0x31);
    assert_int_equal(girq_msi_bind(g, 0xfee00000, 0x0132), 0);
    assert_int_equal(girq_msi_bind(g, 0xfee00000, 0x0400), 0);
    girq_destroy(g);
}

static void message_moves_with_its_vcpu(void **state)
{
    struct girq *g;
    uint64_t addr, addr2;
    uint32_t data;
    unsigned cpu0, old_cpu;
    uint8_t old_vector;

    (void)state;
    remap = true;
    assert_int_equal(girq_msi_create(DOM, 0x18, &g), 0);
    assert_int_equal(ir_in_use, 1);
    girq_message(g, &addr, &data);
    cpu0 = g->cpu;
    dest_known = true;
    dest_cpu = !cpu0;
    assert_int_equal(girq_msi_bind(g, 0xfee02000, 0x41), 0);
    /* Never programmed before: moves at once, with nothing left behind. */
    assert_int_equal(g->cpu, dest_cpu);
    assert_false(g->has_old);
    assert_int_equal(ir_last_dest, apicid_of_cpu(dest_cpu));
    girq_message(g, &addr2, &data);
    assert_int_equal(addr, addr2); /* the device's message never changes with remapping */

    sim_now_ns += NS_PER_SEC;
    old_cpu = g->cpu;
    old_vector = g->vector;
    dest_cpu = cpu0;
    assert_int_equal(girq_msi_bind(g, 0xfee00000, 0x42), 0);
    assert_int_equal(g->cpu, cpu0);
    assert_true(g->has_old && g->old_cpu == old_cpu && g->old_vector == old_vector);
    /* One that was on its way to the old target is not lost. */
    sim_this_cpu = old_cpu;
    irq_dispatch(old_vector);
    assert_int_equal(delivered, 1);
    assert_int_equal(last_data, 0x42);

    /* The next move waits until the new target has proved itself. */
    sim_now_ns += NS_PER_SEC;
    girq_retarget(g, old_cpu);
    assert_int_equal(g->cpu, cpu0);
    sim_this_cpu = cpu0;
    irq_dispatch(g->vector);
    assert_int_equal(delivered, 2);
    girq_retarget(g, old_cpu);
    assert_int_equal(g->cpu, old_cpu);
    assert_int_not_equal(g->vector, old_vector); /* the freed number rests */
    sim_this_cpu = old_cpu;
    irq_dispatch(old_vector);
    assert_int_equal(delivered, 2); /* freed by now: stray */

    /* And moves are rare by force. */
    irq_dispatch(g->vector);
    girq_retarget(g, cpu0);
    assert_int_equal(g->cpu, old_cpu);
    sim_now_ns += NS_PER_SEC;
    girq_retarget(g, cpu0);
    assert_int_equal(g->cpu, cpu0);

    /* The vCPU has moved: its messages follow, those of others and those of nobody in particular stay. */
    sim_this_cpu = cpu0;
    irq_dispatch(g->vector);
    sim_now_ns += NS_PER_SEC;
    dest_cpu = old_cpu;
    girq_follow((struct domain *)0x4321);
    assert_int_equal(g->cpu, cpu0);
    dest_known = false;
    girq_follow(DOM);
    assert_int_equal(g->cpu, cpu0);
    dest_known = true;
    girq_follow(DOM);
    assert_int_equal(g->cpu, old_cpu);
    assert_int_equal(ir_last_dest, apicid_of_cpu(old_cpu));
    girq_destroy(g);
    assert_int_equal(ir_in_use, 0);
    assert_int_equal(irq_vectors_in_use(0) + irq_vectors_in_use(1), 0);
}

/* Posted as soon as and as long as the unit can and the message has one vCPU; by way of the host vector otherwise. */
static void message_is_posted_to_its_vcpu(void **state)
{
    struct ir_post *const first = (struct ir_post *)0x1000, *const second = (struct ir_post *)0x1040;
    struct girq_entry entry;
    struct girq *g;

    (void)state;
    remap = true;
    dest_post = first;
    assert_int_equal(girq_msi_create(DOM, 0x18, &g), 0);
    assert_int_equal(girq_msi_bind(g, 0xfee00000, 0x41), 0);
    assert_int_equal(ir_posted, 0); /* a unit that does not */
    assert_null(g->irte.post);
    ir_posts = true;
    assert_int_equal(girq_msi_bind(g, 0xfee00000, 0x41), 0);
    assert_int_equal(ir_posted, 1);
    assert_ptr_equal(g->irte.post, first);
    assert_int_equal(g->irte.vector, 0x41);
    assert_true(girq_of_entry(0, g->irte.index, &entry));
    assert_true(entry.post == 0x1000 && entry.vector == 0x41 && entry.dest == 0);
    /* What was on its way to the host vector is still the guest's. */
    sim_this_cpu = g->cpu;
    irq_dispatch(g->vector);
    assert_true(delivered == 1 && last_data == 0x41);
    /* The same again changes nothing; another vector or vCPU does. */
    assert_int_equal(girq_msi_bind(g, 0xfee00000, 0x41), 0);
    assert_int_equal(ir_posted, 1);
    assert_int_equal(girq_msi_bind(g, 0xfee00000, 0x42), 0);
    assert_int_equal(ir_posted, 2);
    dest_post = second;
    assert_int_equal(girq_msi_bind(g, 0xfee02000, 0x42), 0);
    assert_true(ir_posted == 3 && g->irte.post == second);
    /* It does not move with its vCPU: the descriptor does. */
    dest_known = true;
    dest_cpu = !g->cpu;
    sim_now_ns += NS_PER_SEC;
    ir_sets = 0;
    girq_follow(DOM);
    assert_int_equal(ir_sets, 0);
    /* Nobody in particular. */
    dest_known = false;
    dest_post = NULL;
    assert_int_equal(girq_msi_bind(g, 0xfeeff000, 0x42), 0);
    assert_int_equal(ir_sets, 1);
    assert_null(g->irte.post);
    assert_true(girq_of_entry(0, g->irte.index, &entry));
    assert_true(entry.post == 0 && entry.vector == g->vector && entry.dest == apicid_of_cpu(g->cpu));
    /* Unbound, a request must not reach the vCPU any more. */
    dest_post = first;
    assert_int_equal(girq_msi_bind(g, 0xfee00000, 0x43), 0);
    assert_ptr_equal(g->irte.post, first);
    girq_msi_unbind(g);
    assert_null(g->irte.post);
    sim_this_cpu = g->cpu;
    irq_dispatch(g->vector);
    assert_int_equal(delivered, 1);
    /* A unit that fails changes nothing. */
    ir_set_result = -EIO;
    assert_int_equal(girq_msi_bind(g, 0xfee00000, 0x43), -EIO);
    assert_int_equal(g->guest_msg, 0);
    ir_set_result = 0;
    girq_destroy(g);
    assert_int_equal(ir_in_use, 0);
    assert_int_equal(irq_vectors_in_use(0) + irq_vectors_in_use(1), 0);
}

static void creation_fails_cleanly(void **state)
{
    struct girq *g;

    (void)state;
    remap = true;
    ir_alloc_result = -ENODEV;
    assert_int_equal(girq_msi_create(DOM, 0x18, &g), -ENODEV);
    assert_int_equal(irq_vectors_in_use(0) + irq_vectors_in_use(1), 0);
    ir_alloc_result = 0;
    sim_heap_fail_after = 1;
    assert_int_equal(girq_msi_create(DOM, 0x18, &g), -ENOMEM);
    sim_heap_fail_after = 0;
    assert_int_equal(girq_msi_create(DOM, 0x18, &g), 0);
    ir_set_result = -EIO;
    assert_int_equal(girq_msi_bind(g, 0xfee00000, 0x41), -EIO);
    assert_int_equal(g->guest_msg, 0);
    girq_destroy(g);
    assert_int_equal(ir_in_use, 0);
}

/* ---- pins ---- */

static bool count_girq(const struct girq *g, void *arg)
{
    (void)g;
    ++*(unsigned *)arg;
    return true;
}

static void level_pin_is_held_until_the_guest_ends_it(void **state)
{
    struct girq *g, *g2;
    unsigned n = 0;

    (void)state;
    assert_int_equal(ioapic_init(&madt), 0);
    assert_int_equal(ioapic_reserve(4), 0);
    assert_int_equal(girq_gsi_bind(DOM, 4, false, false, &g), -EBUSY);
    assert_int_equal(girq_gsi_bind(DOM, 99, false, false, &g), -ENOENT);
    assert_int_equal(girq_gsi_bind(DOM, 10, true, true, &g), 0);
    assert_int_equal(girq_gsi_bind(DOM, 10, true, true, &g2), -EBUSY);
    girq_for_each(count_girq, &n);
    assert_int_equal(n, 1);
    assert_int_equal(model_rte(0, 10) & 0x1ffff,
                     g->vector | RTE_LEVEL | RTE_ACTIVE_LOW | RTE_MASKED);
    girq_gsi_unmask(g);
    assert_false(model_rte(0, 10) & RTE_MASKED);

    sim_this_cpu = g->cpu;
    irq_dispatch(g->vector);
    assert_true(host_irqs == 1 && last_gsi == 10 && last_level);
    assert_true(model_rte(0, 10) & RTE_MASKED);
    girq_gsi_unmask(g); /* the guest's mask has no say while it is in service */
    assert_true(model_rte(0, 10) & RTE_MASKED);
    girq_eoi(g);
    assert_false(model_rte(0, 10) & RTE_MASKED);
    girq_eoi(g);
    assert_int_equal(g->eois, 1);

    irq_dispatch(g->vector);
    girq_gsi_mask(g);
    girq_eoi(g);
    assert_true(model_rte(0, 10) & RTE_MASKED); /* masked by the guest meanwhile */
    assert_int_equal(girq_gsi_set_trigger(g, false, false), 0);
    girq_gsi_unmask(g);
    assert_int_equal(girq_gsi_set_trigger(g, true, false), -EBUSY);
    irq_dispatch(g->vector);
    assert_false(last_level);
    assert_false(model_rte(0, 10) & RTE_MASKED); /* edges are not held */
    girq_destroy(g);
    assert_int_equal(model_rte(0, 10), RTE_MASKED);
    n = 0;
    girq_for_each(count_girq, &n);
    assert_int_equal(n, 0);
}

/* ---- pins that guests' functions share ---- */

static unsigned claims;
static bool claim_result;

static bool claim(uint32_t gsi)
{
    assert_int_equal(gsi, 10);
    claims++;
    return claim_result;
}

static bool find_girq(const struct girq *g, void *arg)
{
    *(const struct girq **)arg = g;
    return true;
}

static const struct girq *only_girq(void)
{
    const struct girq *g = NULL;

    girq_for_each(find_girq, &g);
    return g;
}

static void fire(const struct girq *g)
{
    sim_this_cpu = g->cpu;
    irq_dispatch(g->vector);
}

static void shared_pin_without_owner(void **state)
{
    const struct girq *g;

    (void)state;
    claims = 0;
    assert_int_equal(ioapic_init(&madt), 0);
    assert_int_equal(girq_gsi_share(99, true, claim), -ENOENT);
    assert_int_equal(girq_gsi_share(10, true, claim), 0);
    assert_int_equal(girq_gsi_share(10, true, claim), 0);
    g = only_girq();
    assert_int_equal(model_rte(0, 10) & 0x1ffff, g->vector | RTE_LEVEL | RTE_ACTIVE_LOW);
    claim_result = true;
    fire(g);
    assert_int_equal(claims, 1);
    assert_int_equal(host_irqs, 0);
    assert_false(model_rte(0, 10) & RTE_MASKED);
    /* A device that nobody drives holds the pin: that ends, and begins again with the next who shares it. */
    claim_result = false;
    for (unsigned i = 0; i < 1000; i++)
        fire(g);
    assert_true(model_rte(0, 10) & RTE_MASKED);
    assert_int_equal(girq_gsi_share(10, true, claim), 0);
    assert_false(model_rte(0, 10) & RTE_MASKED);
    for (unsigned i = 0; i < 3; i++) {
        assert_non_null(only_girq());
        girq_gsi_unshare(10);
    }
    assert_null(only_girq());
    assert_int_equal(model_rte(0, 10), RTE_MASKED);
}

static void shared_pin_with_owner(void **state)
{
    struct girq *g;

    (void)state;
    claims = 0;
    assert_int_equal(ioapic_init(&madt), 0);
    assert_int_equal(girq_gsi_bind(DOM, 10, true, true, &g), 0);
    assert_int_equal(girq_gsi_share(10, true, claim), 0);
    /* For the guest's function: its owner has masked it. */
    assert_false(model_rte(0, 10) & RTE_MASKED);
    claim_result = false;
    fire(g);
    assert_int_equal(host_irqs, 0); /* the owner does not want it */
    girq_gsi_unmask(g);
    fire(g);
    assert_int_equal(host_irqs, 1); /* nobody else's: the owner's, and held until its end */
    assert_true(model_rte(0, 10) & RTE_MASKED);
    girq_eoi(g);
    claim_result = true;
    fire(g);
    assert_int_equal(host_irqs, 1);
    assert_false(model_rte(0, 10) & RTE_MASKED);
    girq_gsi_mask(g);
    assert_false(model_rte(0, 10) & RTE_MASKED);
    girq_gsi_unshare(10);
    assert_true(model_rte(0, 10) & RTE_MASKED);
    girq_destroy(g);
    assert_null(only_girq());
}

/* The control domain comes to a pin that a guest's function has, and goes again. */
static void shared_pin_is_adopted(void **state)
{
    struct girq *g, *other;

    (void)state;
    assert_int_equal(ioapic_init(&madt), 0);
    assert_int_equal(girq_gsi_share(10, true, claim), 0);
    assert_int_equal(girq_gsi_bind(DOM, 10, true, false, &g), 0);
    assert_int_equal(girq_gsi_bind(DOM, 10, true, false, &other), -EBUSY);
    assert_int_equal(model_rte(0, 10) & 0x1ffff, g->vector | RTE_LEVEL);
    claim_result = false;
    girq_gsi_unmask(g);
    fire(g);
    assert_int_equal(host_irqs, 1);
    girq_destroy(g);
    assert_ptr_equal(only_girq(), g);
    assert_false(model_rte(0, 10) & RTE_MASKED);
    girq_gsi_unshare(10);
    assert_null(only_girq());
}

/* No IO-APIC at all: forgets those of the last test. */
static int teardown(void **state)
{
    (void)state;
    memset(&madt, 0, sizeof(madt));
    return ioapic_init(&madt) == -ENODEV ? 0 : -1;
}

static void nothing(void *arg)
{
    (void)arg;
}

static void pending_interrupts_are_seen(void **state)
{
    unsigned last = irq_vectors_in_use(0);
    int vec;

    (void)state;
    memset(irr, 0, sizeof(irr));
    assert_false(irq_pending());
    irr[VECTOR_TIMER / 32] = 1u << VECTOR_TIMER % 32;
    assert_true(irq_pending());
    irr[VECTOR_TIMER / 32] = 0;
    vec = irq_alloc_vector(0, nothing, NULL);
    assert_true(vec >= VECTOR_DYNAMIC_FIRST);
    irr_reads = 0;
    assert_false(irq_pending());
    assert_true(irr_reads <= last + 2); /* not the words that nobody uses */
    irr[vec / 32] = 1u << vec % 32;
    assert_true(irq_pending());
    irr[vec / 32] = 0;
    irq_free_vector(0, (uint8_t)vec);
    assert_false(irq_pending());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(dispatch_counts_and_ends, setup),
        cmocka_unit_test_setup(vectors_run_out_and_rest, setup),
        cmocka_unit_test_setup(pending_interrupts_are_seen, setup),
        cmocka_unit_test_setup(start_masks_everything_but_firmwares, setup),
        cmocka_unit_test_setup(bad_ioapics_are_left_out, setup),
        cmocka_unit_test_setup(overrides_of_isa_interrupts, setup),
        cmocka_unit_test_setup(direct_routing, setup),
        cmocka_unit_test_setup(remapped_routing, setup),
        cmocka_unit_test_setup(message_reaches_the_guest, setup),
        cmocka_unit_test_setup(only_interrupt_messages_bind, setup),
        cmocka_unit_test_setup(message_moves_with_its_vcpu, setup),
        cmocka_unit_test_setup(message_is_posted_to_its_vcpu, setup),
        cmocka_unit_test_setup(creation_fails_cleanly, setup),
        cmocka_unit_test_setup(level_pin_is_held_until_the_guest_ends_it, setup),
        cmocka_unit_test_setup(shared_pin_without_owner, setup),
        cmocka_unit_test_setup(shared_pin_with_owner, setup),
        cmocka_unit_test_setup(shared_pin_is_adopted, setup),
    };

    return cmocka_run_group_tests(tests, NULL, teardown);
}
