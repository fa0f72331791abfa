/* SPDX-License-Identifier: MIT */
/*
 * UUIDs of domains: text form, random ones.
 */
#ifndef TOOLS_UUID_H
#define TOOLS_UUID_H

#include <stdint.h>

/* Exactly the form 8-4-4-4-12 of hexadecimal digits. Returns 0 or -EINVAL. */
int uuid_parse_text(const char *text, uint8_t uuid[16]);

/* Writes 36 characters and a 0. */
void uuid_format(const uint8_t uuid[16], char text[37]);

/* Version 4 (random). Returns 0 or a negative errno. */
int uuid_random(uint8_t uuid[16]);

#endif
