/* SPDX-License-Identifier: MIT */
/*
 * Physical interrupt vectors: who handles which one on which CPU, dispatch from the IDT stubs,
 * counters.
 *
 * Locking: one lock a CPU for allocation, taken inside.  Dispatch takes no lock.
 */
#ifndef XL_IRQ_IRQ_H
#define XL_IRQ_IRQ_H

#include "lib/types.h"

/* Exceptions end at 31; allocation leaves one more priority class to what must come first. */
#define VECTOR_DYNAMIC_FIRST 0x30
#define VECTOR_DYNAMIC_LAST  0xef
#define VECTOR_KICK          0xf0 /* no action: it makes the CPU leave the guest or its idle loop */
#define VECTOR_TIMER         0xf1
#define VECTOR_ERROR         0xf2 /* local APIC error */
#define VECTOR_POSTED        0xf3 /* an interrupt is posted to the vCPU that runs here; its CPU may take it without us */
#define VECTOR_POSTED_WAKE   0xf4 /* ... to one that sleeps and belongs here */
#define VECTOR_SPURIOUS      0xff /* low four bits ones, as older APICs demand (SDM vol. 3, 11.9) */

typedef void (*irq_handler)(void *arg);

/* Each CPU once, by itself or by the boot CPU for it, before it takes interrupts.  0 or -ENOMEM. */
int irq_init_cpu(unsigned cpu);

/*
 * Gives a free vector on `cpu` to fn(arg), which runs with interrupts off and returns soon;
 * dispatch sends the EOI after it.  Returns the vector (VECTOR_DYNAMIC_FIRST..LAST), -EINVAL (no
 * such CPU) or -ENOSPC.
 */
int irq_alloc_vector(unsigned cpu, irq_handler fn, void *arg);

/*
 * Takes it back.  When this returns, fn is not running and will not run.  Not from fn itself.  The
 * interrupt's source must be silent already; the number is not given out again for a while, so that
 * a message on its way finds nobody.
 */
void irq_free_vector(unsigned cpu, uint8_t vector);

/* Sets the handler of a fixed vector (VECTOR_KICK and above) on all CPUs; fn NULL: count it only.
 */
void irq_set_fixed(uint8_t vector, irq_handler fn, void *arg);

/* The CPU with the fewest allocated vectors among those that are initialised. */
unsigned irq_pick_cpu(void);

/* Called by the IDT stubs for vectors 32..255, interrupts off: runs the handler, counts, sends the
 * EOI. */
void irq_dispatch(uint8_t vector);

/*
 * Whether an interrupt waits for this CPU: a fixed vector or an allocated one. Reads one register of the local APIC, and
 * one more for each 32 vectors of which any is allocated here.
 */
bool irq_pending(void);

/* How often `vector` came on `cpu`; 0 for what is not initialised. */
uint64_t irq_count(unsigned cpu, uint8_t vector);
/* Interrupts that found no handler. */
uint64_t irq_stray(unsigned cpu);
unsigned irq_vectors_in_use(unsigned cpu);

#endif
