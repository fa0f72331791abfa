/* SPDX-License-Identifier: MIT */
/*
 * Assertions that stay on in release builds, and the end of the road: panic().
 */
#ifndef XL_LIB_ASSERT_H
#define XL_LIB_ASSERT_H

#include "lib/types.h"

/* Prints the message, registers, a symbolised backtrace and the last trap records, then stops the machine. */
void panic(const char *fmt, ...) __printf(1, 2) __noreturn;
void assert_failed(const char *expr, const char *file, int line) __noreturn;

#define ASSERT(x)                                                                                  \
    do {                                                                                           \
        if (unlikely(!(x)))                                                                        \
            assert_failed(#x, __FILE__, __LINE__);                                                 \
    } while (0)
#define BUG() assert_failed("reached", __FILE__, __LINE__)

#endif
