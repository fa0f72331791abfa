/* SPDX-License-Identifier: MIT */
/*
 * A mark of what is being moved from a guest's ring to its log, in a file that outlives the daemon: a successor learns from it how
 * much of the ring's text is in the log already, so that a daemon killed at any moment loses no text and writes none twice.
 */
#ifndef DM_CONSOLE_MARK_H
#define DM_CONSOLE_MARK_H

#include <stddef.h>
#include <stdint.h>

struct console_mark;

/* Opens or makes the file; a mark of another domain's (uuid) is forgotten. NULL with errno. */
struct console_mark *console_mark_open(const char *path, const uint8_t uuid[16]);
/* Removes the file. */
void console_mark_free(struct console_mark *mark);
/* len bytes from index out_cons of the ring on are about to be appended to a log of log_size bytes. */
void console_mark_set(struct console_mark *mark, uint32_t out_cons, uint32_t len, size_t log_size);
/* They are, and the ring's index says so. */
void console_mark_clear(struct console_mark *mark);
/* How many bytes of the ring from out_cons on a predecessor has logged, given the size of the log now. */
uint32_t console_mark_logged(const struct console_mark *mark, uint32_t out_cons, size_t log_size);

#endif
