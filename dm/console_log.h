/* SPDX-License-Identifier: MIT */
/* The log of a guest's console: LOG-DIR/<name>.log, bounded. */
#ifndef DM_CONSOLE_LOG_H
#define DM_CONSOLE_LOG_H

#include <stddef.h>
#include <stdint.h>

struct console_log;

/*
 * Opens the log of a domain. The name is made safe for a file name; if another console's log or the daemon's
 * has it, "-<domid>" is added. A log that cannot be opened is said, counts what it lost, and is tried again
 * by console_log_reopen(). NULL without memory.
 */
struct console_log *console_log_new(const char *dir, const char *name, uint16_t domid);
void console_log_free(struct console_log *log);
/* A line that says when which domain's text begins. */
void console_log_begin(struct console_log *log, uint16_t domid, const char *uuid);
void console_log_write(struct console_log *log, const char *buf, size_t len);
/* Bytes of the file before a write of len bytes. */
size_t console_log_offset(const struct console_log *log, size_t len);
void console_log_reopen(struct console_log *log);
const char *console_log_path(const struct console_log *log);
uint64_t console_log_lost(const struct console_log *log);

#endif
