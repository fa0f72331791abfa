/* SPDX-License-Identifier: MIT */
/*
 * Bringing up the machine's other processors.
 */
#ifndef XL_BOOT_SMP_H
#define XL_BOOT_SMP_H

#include "acpi/acpi.h"
#include "lib/types.h"

/* Makes the boot CPU's percpu structure known to GS. First thing of all. */
void smp_init_bsp(void);
/* Starts all processors that the MADT has enabled, one by one; those that do not answer in time are left out. */
void smp_start_others(const struct acpi_madt_info *madt);

/* For a panic and for the end: halts all other CPUs, whatever they do, by NMI. Waits a millisecond for them. */
void stop_other_cpus(void);
/* What their NMI handler asks. */
bool cpus_stopping(void);

#endif
