/* SPDX-License-Identifier: MIT */
/*
 * A guest's IO-APICs.  The control domain has one for each physical one, with the same address,
 * GSIs and pins; unmasking a pin there connects the physical pin to it.
 *
 * Locking: one lock an IO-APIC, taken inside; under it come a girq's lock and those below.
 * vapic_deliver() and vcpu_kick() are called under it.
 */
#ifndef XL_VDEV_VIOAPIC_H
#define XL_VDEV_VIOAPIC_H

#include "irq/ioapic.h"
#include "lib/spinlock.h"
#include "lib/types.h"
#include "vdev/vlapic.h"

struct girq;
struct trap_region;
struct trap_table;

#define VIOAPIC_VERSION  0x11
#define VIOAPIC_MAX_PINS 240
#define VIOAPIC_LEN      0x1000

struct vioapic_pin {
    uint64_t rte;      /* as the guest sees it, remote IRR and delivery status included */
    bool line;         /* level: the input is asserted, as far as is known */
    bool refused;      /* the physical pin could not be had; said once */
    struct girq *girq; /* the physical pin, NULL while unconnected */
    uint64_t raised, injected, eois;
};

struct vioapic {
    spinlock_t lock;
    struct vapic_bus *bus;
    struct trap_table *traps;
    struct trap_region *region;
    paddr_t base; /* guest physical address of the register page */
    uint32_t gsi_base;
    uint32_t nr_pins;
    uint8_t id;
    uint8_t select; /* index register */
    bool host;      /* pins connect to the machine's GSIs of the same number */
    /*
     * Pins that several sources share (host is false): after the guest's end of an interrupt, or a change of trigger, the
     * input counts as released, and the sources are asked to assert it again. Called without the lock; NULL: nobody.
     */
    void (*ended)(struct domain *dom, uint32_t gsi);
    uint32_t to_ask; /* pins below 32 for which that is due */
    uint64_t reads, writes;
    struct vioapic_pin *pin; /* nr_pins of them */
};

/*
 * Puts an IO-APIC on the bus.  Ranges of GSIs may not overlap.  0, -EINVAL, -EEXIST (overlap),
 * -ENOSPC, -ENOMEM, or what trap_register_region() returns for its page.
 */
int vioapic_create(struct vapic_bus *bus, struct trap_table *traps, const struct ioapic_info *info,
                   bool host, struct vioapic **out);
/* One for each physical IO-APIC.  0 or the first error, with none left behind. */
int vioapic_mirror_host(struct vapic_bus *bus, struct trap_table *traps);
/*
 * Releases the physical pins and frees all of the bus's IO-APICs.  No vCPU of the domain runs any
 * more, and no lock that delivery takes is held.
 */
void vioapic_destroy_all(struct vapic_bus *bus);

/* Register page accesses (82093AA, 3.1): offset 0..0xfff, 32 bits wide.  Others read ones and write
 * nothing. Always 0. */
int vioapic_mmio_read(struct vioapic *io, uint32_t offset, unsigned size, uint64_t *val);
int vioapic_mmio_write(struct vioapic *io, uint32_t offset, unsigned size, uint64_t val);

/* Sets an input of an emulated device: edges count on rising, levels follow.  -ENOENT: no such GSI.
 */
int vioapic_set_irq(struct vapic_bus *bus, uint32_t gsi, bool level);

/* A local APIC ended a level interrupt: clears remote IRR of the entries with this vector and lets
 * them fire again. */
void vioapic_eoi(struct vapic_bus *bus, uint8_t vector);

/* vioapic_host_irq() is declared in irq/girq.h. */

#endif
