/* SPDX-License-Identifier: MIT */
/*
 * The hypervisor's command line: words separated by blanks, each `name` or `name=value`; double
 * quotes keep blanks.  If a name is given more than once the last one counts.
 *
 * Locking: cmdline_init() runs once on the boot CPU; afterwards everything is read only, except
 * that reading marks a word as used (boot CPU only), so that unknown words can be reported.
 */
#ifndef XL_BOOT_CMDLINE_H
#define XL_BOOT_CMDLINE_H

#include "lib/types.h"

#define CMDLINE_MAX_WORDS 64

/* Splits `line` (copied, at most BOOT_CMDLINE_LEN - 1 bytes).  0 or -E2BIG (the rest is lost). */
int cmdline_init(const char *line);

/* The value; "" if the name stands alone; NULL if it is absent. */
const char *cmdline_get(const char *name);

/*
 * Size in bytes with an optional suffix K, M, G or T (powers of 1024, either case); decimal or
 * 0x.  0 and *out set; -ENOENT: absent (*out untouched); -EINVAL: not a size; -ERANGE: too big.
 */
int cmdline_size(const char *name, uint64_t *out);

/* Unsigned number, decimal or 0x; results as cmdline_size(). */
int cmdline_uint(const char *name, unsigned *out);

/* `name`, `name=on|yes|true|1` or `name=off|no|false|0`; anything else or absent: `dflt`. */
bool cmdline_bool(const char *name, bool dflt);

/* True if the value, taken as a list separated by commas, has the item. */
bool cmdline_list_has(const char *name, const char *item);

/* Calls `report` with the name of each word that nobody has asked for; returns their number. */
unsigned cmdline_report_unknown(void (*report)(const char *name));

/* Parsers on strings, same results as above; the whole string must be used up. */
int parse_size(const char *s, uint64_t *out);
int parse_u64(const char *s, uint64_t *out);

#endif
