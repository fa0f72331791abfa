/* SPDX-License-Identifier: MIT */
/*
 * One guest's console: what the guest writes to its ring goes to a pty, to a bounded log file and to the
 * clients of a socket; what comes from the pty and the socket goes to the guest. Nobody who reads slowly can
 * hold the guest up, and no guest can make the daemon keep more than a bounded amount for it.
 */
#ifndef DM_CONSOLE_H
#define DM_CONSOLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct console;
struct domain;

enum console_state {
    CONSOLE_WAITING,  /* not attached yet; the reason says what is missing */
    CONSOLE_ATTACHED,
    CONSOLE_BROKEN,   /* the guest wrote nonsense into its ring */
};

struct console_info {
    enum console_state state;
    const char *reason, *pty, *socket, *log; /* "" where there is none */
    uint64_t output_bytes, input_bytes, skipped_bytes, log_lost_bytes;
    unsigned clients;
    uint32_t port;
};

/* A console in the state CONSOLE_WAITING. NULL without memory. */
struct console *console_new(struct domain *domain);
/* Reads what is left, tells the clients and closes everything. */
void console_free(struct console *console);

/* Attaches if that is possible by now, else notes why not. Does nothing to an attached or broken one. */
void console_attach(struct console *console);
/* Reads the ring without an event. */
void console_poll(struct console *console);
void console_reopen_log(struct console *console);
/* The domain has another name: the log goes on under that one. */
void console_renamed(struct console *console);
void console_info(const struct console *console, struct console_info *info);

/* For the pty and the socket: input for the guest; returns how much was taken. The rest is asked for later. */
size_t console_input(struct console *console, const char *buf, size_t len);
struct event_base *console_base(const struct console *console);

#endif
