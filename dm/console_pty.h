/* SPDX-License-Identifier: MIT */
/* The pty of a console. The daemon keeps both ends, so that programs may come and go on the other one. */
#ifndef DM_CONSOLE_PTY_H
#define DM_CONSOLE_PTY_H

#include <stddef.h>
#include <stdint.h>

struct console;
struct console_pty;

/* Makes a pty and a symbolic link to it. NULL with errno. */
struct console_pty *console_pty_new(struct console *console, const char *link_path);
void console_pty_free(struct console_pty *pty);
void console_pty_output(struct console_pty *pty, const char *buf, size_t len);
/* The guest has room again. */
void console_pty_resume(struct console_pty *pty);
/* Bytes that found nobody to read them. */
uint64_t console_pty_skipped(const struct console_pty *pty);
const char *console_pty_name(const struct console_pty *pty);

#endif
