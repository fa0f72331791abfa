/* SPDX-License-Identifier: MIT */
/*
 * Formatted output: snprintf for everybody and the leveled messages that go to the log ring and the console.
 */
#ifndef XL_LIB_PRINTF_H
#define XL_LIB_PRINTF_H

#include <stdarg.h>

#include "lib/types.h"

enum log_level { LOG_ERR, LOG_WARN, LOG_INFO, LOG_DEBUG };

#ifdef XL_HOST
#include <stdio.h>
#else
int vsnprintf(char *buf, size_t size, const char *fmt, va_list ap) __printf(3, 0);
int snprintf(char *buf, size_t size, const char *fmt, ...) __printf(3, 4);
#endif

/* Writes one message to the log ring and, if level <= the `loglvl=` limit, to the console. Any context. */
void printk(enum log_level level, const char *fmt, ...) __printf(2, 3);

#define pr_err(...) printk(LOG_ERR, __VA_ARGS__)
#define pr_warn(...) printk(LOG_WARN, __VA_ARGS__)
#define pr_info(...) printk(LOG_INFO, __VA_ARGS__)
#define pr_debug(...) printk(LOG_DEBUG, __VA_ARGS__)

#endif
