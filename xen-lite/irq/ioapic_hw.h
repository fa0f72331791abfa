/* SPDX-License-Identifier: MIT */
/*
 * Indirect access to the registers of one physical IO-APIC.  Host builds put a model behind these
 * two.
 */
#ifndef XL_IRQ_IOAPIC_HW_H
#define XL_IRQ_IOAPIC_HW_H

#include "lib/types.h"

#define IOAPIC_REG_ID      0x00
#define IOAPIC_REG_VERSION 0x01
#define IOAPIC_REG_RTE(n)  ((uint8_t)(0x10 + 2 * (n))) /* low half; the high one follows */

/* `regs` is the mapped register page.  The caller holds the IO-APIC's lock: index and data are two
 * accesses. */
uint32_t ioapic_hw_read(volatile void *regs, uint8_t reg);
void ioapic_hw_write(volatile void *regs, uint8_t reg, uint32_t val);

#endif
