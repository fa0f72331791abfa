/* SPDX-License-Identifier: MIT */
/*
 * The physical local APIC of the CPU that runs this code: enabling, end of interrupt,
 * inter-processor interrupts and the one-shot timer.  xAPIC through its register page, x2APIC where
 * firmware left it on.
 *
 * Locking: none.  Every function touches the calling CPU's own APIC and runs with interrupts off.
 */
#ifndef XL_IRQ_LAPIC_H
#define XL_IRQ_LAPIC_H

#include "lib/types.h"

/*
 * Once, on the boot CPU, before any other function here.  `base` is the register page (MADT); it is
 * mapped even in x2APIC mode.  0, -ENODEV (the APIC is disabled in MSR_APIC_BASE or absent),
 * -ENOMEM (no room for the mapping).
 */
int lapic_init(paddr_t base);

/*
 * Every CPU, boot CPU included, after lapic_init(): brings it into the boot CPU's mode, masks the
 * local vectors, accepts all priorities and turns the APIC on with its spurious, error and timer
 * vectors (irq/irq.h).
 */
void lapic_init_cpu(void);

/*
 * Measures the timer against now_ns(); after time_init().  One result holds for all CPUs.  Takes
 * about 10 ms. 0, or -ETIMEDOUT if the counter does not count.
 */
int lapic_timer_calibrate(void);

/* Physical APIC id of this CPU: 8 bits in xAPIC mode, 32 in x2APIC mode. */
uint32_t lapic_id(void);
bool lapic_is_x2apic(void);

/*
 * Inter-processor interrupts to one physical APIC id.  0, -EINVAL (an id that this mode cannot
 * address, or a vector below 16), -ETIMEDOUT (an earlier message was not accepted within 10 ms;
 * nothing is sent).
 */
int lapic_send_ipi(uint32_t apicid, uint8_t vector);
int lapic_send_nmi(uint32_t apicid);
int lapic_send_init(uint32_t apicid);
/* Start-up message: real-mode entry at vec * 4096.  The caller keeps the delays of SDM vol.
 * 3, 9.4.4. */
int lapic_send_sipi(uint32_t apicid, uint8_t vec);
/* NMI to every other CPU, for a panic. */
int lapic_send_nmi_others(void);

/* Ends the interrupt in service with the highest priority. */
void lapic_eoi(void);

/* Vectors 32 * word .. 32 * word + 31 that wait in this CPU's interrupt request register, one bit each. */
uint32_t lapic_irr(unsigned word);

/*
 * Fires VECTOR_TIMER once after at most delta_ns nanoseconds: a delta beyond the counter's range
 * fires early, and a delta of 0 fires at once.  Replaces an earlier setting.
 */
void lapic_timer_arm(uint64_t delta_ns);
void lapic_timer_stop(void);

/* Reads and clears the error status register (SDM vol. 3, 11.5.3). */
uint32_t lapic_error(void);

#endif
