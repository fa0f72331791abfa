/* SPDX-License-Identifier: MIT */
/* PCI functions as text: segment, bus, device, function. */
#ifndef DM_BDF_H
#define DM_BDF_H

#include <stdbool.h>
#include <stdint.h>

#define BDF_TEXT 16
void format_bdf(char text[BDF_TEXT], uint32_t sbdf);
/* "0000:00:05.0" or "00:05.0", whole. */
bool parse_bdf(const char *text, uint32_t *sbdf);

#endif
