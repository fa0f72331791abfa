/* SPDX-License-Identifier: MIT */
/*
 * Indirect access to an IO-APIC: index at offset 0x00, data at 0x10 (82093AA data sheet, 3.1).
 */
#include "irq/ioapic_hw.h"

#include "lib/mmio.h"

#define IOREGSEL 0x00
#define IOWIN    0x10

uint32_t ioapic_hw_read(volatile void *regs, uint8_t reg)
{
    mmio_write32((volatile uint8_t *)regs + IOREGSEL, reg);
    return mmio_read32((volatile uint8_t *)regs + IOWIN);
}

void ioapic_hw_write(volatile void *regs, uint8_t reg, uint32_t val)
{
    mmio_write32((volatile uint8_t *)regs + IOREGSEL, reg);
    mmio_write32((volatile uint8_t *)regs + IOWIN, val);
}
