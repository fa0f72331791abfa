/* SPDX-License-Identifier: MIT */
/*
 * Restarting and switching off the machine.
 */
#ifndef XL_BOOT_POWER_H
#define XL_BOOT_POWER_H

#include "lib/types.h"

/* boot/main.c: walks the start-up steps backwards: IOMMUs handed back, virtualisation off. */
void boot_steps_exit(void);
/* The same, then resets: ACPI reset register, keyboard controller, port CF9, triple fault. */
void machine_restart(void) __noreturn;
/* The same without touching the IOMMUs: for panic(). */
void machine_reset(void) __noreturn;
/* The same, then switches off through ACPI S5 where the FADT gives a way; halts otherwise. */
void machine_poweroff(void) __noreturn;
/* Tells an emulator that asked for it (isa-debug-exit through `debug-exit=PORT`) that the machine has stopped. */
void machine_halted(void);

#endif
