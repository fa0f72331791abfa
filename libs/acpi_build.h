/* SPDX-License-Identifier: MIT */
/*
 * The ACPI tables of a PVH guest, made by the toolstack: RSDP, XSDT, FADT (hardware-reduced), MADT
 * and an empty DSDT in one blob that is copied to a fixed guest-physical address.
 */
#ifndef LIBS_ACPI_BUILD_H
#define LIBS_ACPI_BUILD_H

#include <stddef.h>
#include <stdint.h>

/* The RSDP is the blob's first byte. */
#define GUEST_ACPI_ADDRESS 0xfc000000u

#define GUEST_ACPI_MAX_VCPUS 512

/* Bytes that the tables of max_vcpus vCPUs take; 0 if there are no such tables. */
size_t guest_acpi_size(unsigned max_vcpus);

/*
 * Builds the tables into blob (guest_acpi_size() bytes) for a guest that finds them at address.
 * vCPU n has local APIC id 2n and processor UID n; those from vcpus on are present but not enabled.
 * Returns 0, or -EINVAL for counts out of range.
 */
int guest_acpi_build(void *blob, size_t size, uint64_t address, unsigned vcpus, unsigned max_vcpus);

#endif
