/* SPDX-License-Identifier: MIT */
/*
 * QEMU as a box of devices for host tests: its processor sleeps, the test reaches registers through
 * the qtest protocol and shares the machine's memory.
 */
#ifndef XL_TESTS_QEMU_DEV_H
#define XL_TESTS_QEMU_DEV_H

#include "lib/types.h"

#define QEMU_MEM (64UL << 20)

/*
 * Starts it with the iommu's and further options; its memory becomes the simulated physical memory.
 * False when there is no QEMU on this machine.
 */
bool qemu_start(const char *iommu_options);
/* Does nothing when none runs. */
void qemu_stop(void);

uint64_t qemu_read(uint64_t addr, unsigned bytes);
void qemu_write(uint64_t addr, uint64_t value, unsigned bytes);
/* PCI configuration space through ports CF8 and CFC. */
uint32_t qemu_config_read(uint16_t bdf, uint16_t reg, unsigned width);
void qemu_config_write(uint16_t bdf, uint16_t reg, uint32_t value, unsigned width);
/* True if the local APIC of processor 0 has the vector in its request register. */
bool qemu_irr(unsigned vector);

#endif
