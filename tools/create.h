/* SPDX-License-Identifier: MIT */
/*
 * Starting a guest from a checked configuration, and the process that looks after it.
 */
#ifndef TOOLS_CREATE_H
#define TOOLS_CREATE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "guest_cfg.h"

struct start_options {
    bool paused;             /* leave it paused */
    bool monitor;            /* keep a process that carries out on_poweroff and so on */
    bool foreground;         /* that process is this one */
    const char *config_file; /* absolute path for the state file, or NULL */
};

/*
 * Creates the guest, and on any error (or when this process is killed) leaves nothing of it. The
 * connection to the hypervisor must be closed: guards are forked before it is opened. Returns 0 and
 * the domain's number, or -1 after having said why.
 */
int guest_start(struct guest_cfg *cfg, const struct start_options *options, uint32_t *domid);

/*
 * Watches the domain until it is gone and does what the configuration says when it shuts down. A
 * restart may change its number. Returns the exit code.
 */
int guest_watch(struct guest_cfg *cfg, const struct start_options *options, uint32_t domid);

/* -------- guard.c: a process that removes a half-built guest if its builder dies -------- */

struct guard {
    pid_t pid;
    int pipe; /* closing it without guard_release() makes the guard act */
};

/*
 * Forks the guard of the guest with that UUID. Returns 0 in the caller. In the guard itself it
 * returns 1 once the guest is built and guard_release() asked for a monitor; *domid is then the
 * guest's. -1: cannot fork (said why).
 */
int guard_start(struct guard *guard, const uint8_t uuid[16], uint32_t *domid);

/* The guest is complete. With monitor, the guard goes on as its monitor; otherwise it ends. */
void guard_release(struct guard *guard, uint32_t domid, bool monitor);

/* The guest failed: waits until the guard has cleaned up. */
void guard_abort(struct guard *guard);

/* Leaves the terminal: standard streams go to /dev/null and a log of that guest. */
void guard_detach(const char *name);

#endif
