/* SPDX-License-Identifier: MIT */
/*
 * The clock: TSC calibration at boot, time since boot (lib/time.h), offsets of other CPUs' TSCs,
 * and the numbers that paravirtual clocks of guests are made of.
 *
 * Locking: written by the boot CPU before others come up, and by each CPU for its own slot; read
 * only afterwards.
 */
#ifndef XL_IRQ_TIME_H
#define XL_IRQ_TIME_H

#include "irq/timescale.h"
#include "lib/time.h"
#include "lib/types.h"

/*
 * Boot CPU, once: measures the TSC against the HPET, the ACPI PM timer or the PIT, whichever of
 * them is there and gives consistent readings, and reads the CMOS clock.  Needs the ACPI tables
 * indexed and mmio_map(). 0, or -ENODEV: no reference counts (the clock then assumes 1 GHz).
 */
int time_init(void);

/*
 * Each other CPU during its bring-up: measures its TSC against the boot CPU's, which must be in
 * time_sync_poll() meanwhile.  The difference is remembered if it exceeds what the measurement can
 * err.
 */
void time_init_cpu(void);

/* Boot CPU, in the loop in which it waits for another CPU: answers time_init_cpu().  Returns at
 * once. */
void time_sync_poll(void);

uint32_t tsc_khz(void);
/* Name of the reference that the TSC was measured against, for messages and the toolstack. */
const char *time_reference(void);

/* Seconds since 1970-01-01 UTC when now_ns() was 0; 0 if the CMOS clock is unusable. */
uint64_t wallclock_sec_at_boot(void);

/* This CPU's TSC on the boot CPU's scale. */
uint64_t tsc_synced(void);
/* What must be added to a CPU's TSC to get the boot CPU's.  0 where they are synchronous. */
int64_t tsc_offset_of_cpu(unsigned cpu);

/*
 * The clock as a paravirtual clock wants it: ns = scale(tsc - *tsc_base), tsc on the boot CPU's
 * scale.
 */
void time_params(struct time_scale *scale, uint64_t *tsc_base);

/* The TSC value (boot CPU's scale) at which now_ns() is `ns`, to the precision of the scale. */
uint64_t time_ns_to_tsc(uint64_t ns);

#endif
