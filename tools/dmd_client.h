/* SPDX-License-Identifier: MIT */
/* xl-lite's side of xl-dmd's control socket (docs/control-socket.md). */
#ifndef TOOLS_DMD_CLIENT_H
#define TOOLS_DMD_CLIENT_H

#include <json-c/json.h>
#include <stdbool.h>

struct dmd_client {
    int fd;
    char *text; /* what has been read and not looked at */
    size_t len;
};

/* Connects and negotiates. Returns 0, or -1 after having said that xl-dmd does not answer. dmd_close() in either case. */
int dmd_open(struct dmd_client *client);
void dmd_close(struct dmd_client *client);

/*
 * Executes a command; arguments are taken over. Returns what it returned (the caller's), or NULL: *error is then the daemon's
 * sentence (the caller's to free), or NULL when the connection failed, which has been said.
 */
struct json_object *dmd_execute(struct dmd_client *client, const char *command,
                                struct json_object *arguments, unsigned timeout_ms, char **error);

/*
 * Waits for one of the events (ends with NULL) whose data has this bdf. Returns the event (the caller's) or NULL after having said
 * why.
 */
struct json_object *dmd_wait(struct dmd_client *client, const char *const *names, const char *bdf,
                             unsigned timeout_ms);

#endif
