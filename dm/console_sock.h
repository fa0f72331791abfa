/* SPDX-License-Identifier: MIT */
/* The socket of a console: raw bytes both ways, for several clients at a time. */
#ifndef DM_CONSOLE_SOCK_H
#define DM_CONSOLE_SOCK_H

#include <stddef.h>
#include <stdint.h>

#define CONSOLE_CLIENTS_MAX 8
#define CONSOLE_CLIENT_KEEP 65536 /* bytes kept for a client that reads slowly */

struct console;
struct console_sock;

/* Listens at path. NULL with errno. */
struct console_sock *console_sock_new(struct console *console, const char *path);
/* Stops listening; clients get what is kept for them (within a deadline), then the end of file. */
void console_sock_free(struct console_sock *sock);
/* At the daemon's end: drops clients that have not read their last bytes yet. */
void console_sock_finish(void);
void console_sock_output(struct console_sock *sock, const char *buf, size_t len);
/* The guest has room again. */
void console_sock_resume(struct console_sock *sock);
unsigned console_sock_clients(const struct console_sock *sock);
/* Bytes that clients did not get as they read too slowly. */
uint64_t console_sock_skipped(const struct console_sock *sock);
const char *console_sock_path(const struct console_sock *sock);

#endif
