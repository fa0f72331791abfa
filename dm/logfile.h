/* SPDX-License-Identifier: MIT */
/* Log files of bounded size: FILE, and FILE.1 with what was before it. Also the daemon's own messages. */
#ifndef DM_LOGFILE_H
#define DM_LOGFILE_H

#include <stddef.h>

#define LOGFILE_LIMIT (1024 * 1024) /* bytes of one file; on disk are at most two */

struct logfile;

/* Opens path for appending (created with mode 0600). NULL with errno. */
struct logfile *logfile_open(const char *path, size_t limit);
void logfile_close(struct logfile *log);
/* Appends; moves the file to FILE.1 first if it would grow past its limit. -1 with errno: text was lost. */
int logfile_write(struct logfile *log, const char *text, size_t len);
/* How long the file will be before a write of len bytes: 0 where that begins a new one. */
size_t logfile_offset(const struct logfile *log, size_t len);
/* Opens the path anew, as somebody else may have moved the file away. -1 with errno: the old one stays. */
int logfile_reopen(struct logfile *log);
const char *logfile_path(const struct logfile *log);

/*
 * The daemon's own messages: to standard error until message_to_file(), then to that file. message() takes
 * one line without its end.
 */
int message_to_file(const char *path);
void message_reopen(void);
void message_close(void);
void message(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
