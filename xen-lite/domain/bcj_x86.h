/* SPDX-License-Identifier: MIT */
/*
 * The x86 branch filter of XZ, decoding direction: turns the absolute targets of CALL and JMP back
 * into relative ones.
 */
#ifndef XL_DOMAIN_BCJ_X86_H
#define XL_DOMAIN_BCJ_X86_H

#include "lib/types.h"

/* Works in place on a whole block, whose first byte counts as address `start`. */
void bcj_x86_decode(uint8_t *buf, size_t len, uint32_t start);

#endif
