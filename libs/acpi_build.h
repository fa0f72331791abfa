/* SPDX-License-Identifier: MIT */
/*
 * The ACPI tables of a PVH guest, made by the toolstack: RSDP, XSDT, FADT (hardware-reduced), MADT and
 * DSDT, and for a guest that may own PCI devices MCFG too, in one blob that is copied to a fixed
 * guest-physical address.
 */
#ifndef LIBS_ACPI_BUILD_H
#define LIBS_ACPI_BUILD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The RSDP is the blob's first byte. */
#define GUEST_ACPI_ADDRESS 0xfc000000u

#define GUEST_ACPI_MAX_VCPUS 512

#define GUEST_IOAPIC_ID 1 /* vCPUs have the even ids */

struct guest_acpi {
    uint64_t address;          /* where the guest finds the blob */
    unsigned vcpus, max_vcpus; /* those from vcpus on are present but not enabled */
    bool pci;                  /* has a PCI root; the layout is xenlite/pci.h's */
};

/* Bytes that the tables of max_vcpus vCPUs take; 0 if there are no such tables. */
size_t guest_acpi_size(unsigned max_vcpus, bool pci);

/*
 * Builds the tables into blob (guest_acpi_size() bytes). vCPU n has local APIC id 2n and processor UID n. Returns
 * 0, or -EINVAL for counts out of range.
 */
int guest_acpi_build(void *blob, size_t size, const struct guest_acpi *guest);

#endif
