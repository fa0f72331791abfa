/* SPDX-License-Identifier: MIT */
/*
 * INTx of guests' functions. Which of the machine's interrupts a pin is only the control domain's kernel knows, from ACPI;
 * xl-lite asks it while it makes a function assignable and leaves the number in the run directory, where we find it: asking
 * takes a privilege that the daemon has given up.
 */
#ifndef DM_INTX_H
#define DM_INTX_H

#include <stdint.h>

struct domain;

/* Connects the pin of a function that the domain has got, if it has a pin and the number is known. Without, MSI works. */
void intx_connect(const struct domain *domain, uint32_t sbdf);

#endif
