/* SPDX-License-Identifier: MIT */
/*
 * The end of the road: what is printed when the hypervisor finds that it cannot go on. See also lib/assert.h.
 */
#ifndef XL_BOOT_PANIC_H
#define XL_BOOT_PANIC_H

#include "lib/types.h"

struct exc_frame;

void panic_frame(const struct exc_frame *f, const char *fmt, ...) __printf(2, 3) __noreturn;
/* Halts this CPU for good. */
void cpu_park(void) __noreturn;

/* Prints the registers of the vCPU that this CPU was serving, if there is one. Implemented by domain/glue.c. */
void panic_dump_guest(void);

/* The function that contains an address; offset may be NULL. "?" if there is none. */
const char *symbol_name(uint64_t addr, uint64_t *offset);

#endif
