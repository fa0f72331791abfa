/* SPDX-License-Identifier: MIT */
/*
 * The serial console, which hypervisor and control domain share, and the log ring behind `xl dmesg`.
 *
 * Locking: one lock, innermost of all; every function may be called from anywhere with interrupts off.
 */
#ifndef XL_BOOT_CONSOLE_H
#define XL_BOOT_CONSOLE_H

#include "lib/printf.h"
#include "lib/types.h"

/* Finds the port from the command line (`console=com1|com2|none`, `loglvl=err|warn|info|debug`). */
void console_init(void);
/* After interrupts work: takes the port's interrupt for input. */
void console_init_irq(void);

/* The control domain's output: to the port, and line by line into the log ring. */
void console_write(const char *s, size_t n);
/* Typed characters, oldest first; returns their number. */
size_t console_read(char *buf, size_t n);
/* Called from interrupt context when input has come. */
void console_set_input_hook(void (*fn)(void));

/*
 * Copies from the log ring, starting at absolute position *index (older text may be gone: then from the oldest that is
 * there), moves *index behind what was copied. clear: what is copied is not shown again to readers that start at 0.
 */
size_t conring_read(uint32_t *index, char *buf, size_t n, bool clear);

/* For panics: prints everything, whatever the level and whoever holds the lock. */
void console_force(void);

/* I/O ports first..last of the hypervisor's own UART; false without one. */
bool console_ports(uint16_t *first, uint16_t *last);

#endif
