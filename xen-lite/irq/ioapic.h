/* SPDX-License-Identifier: MIT */
/*
 * Physical IO-APICs: redirection entries, direct or through interrupt remapping.
 *
 * Locking: one lock an IO-APIC, taken inside; under it only the remapping unit's.
 */
#ifndef XL_IRQ_IOAPIC_H
#define XL_IRQ_IOAPIC_H

#include "acpi/acpi.h"
#include "lib/types.h"

#define IOAPIC_MAX ACPI_MAX_IOAPICS
#define IOAPIC_MAX_PINS                                                                            \
    240 /* the version register's field is 8 bits, 240 the architecture's limit */

/* Redirection entry (82093AA data sheet, 3.2.4). */
#define RTE_VECTOR(v)       ((uint64_t)(v)&0xff)
#define RTE_DELIVERY(rte)   (((rte) >> 8) & 7)
#define RTE_DEST_LOGICAL    BIT(11)
#define RTE_DELIVERY_STATUS BIT(12)
#define RTE_ACTIVE_LOW      BIT(13)
#define RTE_REMOTE_IRR      BIT(14)
#define RTE_LEVEL           BIT(15)
#define RTE_MASKED          BIT(16)
#define RTE_DEST_SHIFT      56

struct ioapic_info {
    paddr_t base;
    uint32_t gsi_base;
    unsigned nr_pins;
    uint8_t id;
    uint8_t version;
};

/*
 * Boot CPU, once: maps the IO-APICs that the MADT names, checks them against each other, and masks
 * every pin. IO-APICs that cannot be used are left out with a message.  0, or -ENODEV if none is
 * usable.
 */
int ioapic_init(const struct acpi_madt_info *madt);

unsigned ioapic_count(void);
/* 0 or -ENOENT. */
int ioapic_get(unsigned index, struct ioapic_info *out);

/* Trigger and polarity that firmware's overrides give an ISA IRQ, and its GSI. */
void ioapic_isa_route(unsigned isa_irq, uint32_t *gsi, bool *level, bool *active_low);

/*
 * Keeps a GSI for the hypervisor: girq_gsi_bind() then refuses it.  0, -ENOENT (no such pin),
 * -EBUSY (reserved, routed or firmware's already).
 */
int ioapic_reserve(uint32_t gsi);
bool ioapic_is_reserved(uint32_t gsi);

/*
 * Points a GSI at (cpu, vector), masked.  With interrupt remapping on, an entry is allocated for
 * it, which ioapic_release() gives back.  Routing again changes the target; reserved or not makes
 * no difference here. 0, -ENOENT, -EBUSY (firmware's), -EINVAL (APIC id too large without
 * remapping), or what interrupt remapping returns.
 */
int ioapic_route(uint32_t gsi, unsigned cpu, uint8_t vector, bool level, bool active_low);
void ioapic_release(uint32_t gsi);

/*
 * The pin that has this remapping entry: its GSI, the requester id that it was allocated for, and
 * whether the entry says what the pin's route does.  False: none has it.
 */
bool ioapic_of_entry(unsigned unit, unsigned index, uint32_t *gsi, uint16_t *sid, bool *agrees);

/* Both do nothing for a GSI that is not routed. */
void ioapic_mask(uint32_t gsi);
void ioapic_unmask(uint32_t gsi);

/* Masks every pin in the hardware, whatever its state here; before remapping is turned on, and
 * before a reboot. */
void ioapic_mask_all(void);

/*
 * After interrupt remapping was turned on or off: writes every routed pin anew in the other format,
 * keeping masks. Boot CPU, interrupts off.  0 or the first error; the pins concerned are left
 * masked.
 */
int ioapic_reroute_all(void);

#endif
