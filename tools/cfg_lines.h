/* SPDX-License-Identifier: MIT */
/*
 * Finds on which line of a configuration each key is set. libxlutil parses the text but tells
 * neither which keys there are nor where; messages need both.
 */
#ifndef TOOLS_CFG_LINES_H
#define TOOLS_CFG_LINES_H

#include <stddef.h>

#define CFG_KEY_MAX   32
#define CFG_LINES_MAX 512

struct cfg_key {
    char name[CFG_KEY_MAX]; /* cut off if longer */
    int line;               /* from 1 */
};

/*
 * Writes the assignments of text, in its order, to keys (at most max). Returns how many there are.
 * Text that libxlutil would refuse gives some answer, and never more than max.
 */
size_t cfg_find_keys(const char *text, size_t len, struct cfg_key *keys, size_t max);

#endif
