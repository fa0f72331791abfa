/* SPDX-License-Identifier: MIT */
/* xl-dmd in a test: the whole daemon on a simulated hypervisor, in directories of its own, and its clients. */
#ifndef TESTS_DM_RIG_H
#define TESTS_DM_RIG_H

#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "dm/dmd.h"
#include "dm_fake_hv.h"

struct rig {
    char run[64], log[64];
    struct event_base *base;
    struct hv *hv;
    struct dmd *dmd;
    char text[262144]; /* what rig_expect() has read and not yet passed over */
    size_t len;
};

/* cmocka's set-up and tear-down of a test; *state is the rig. */
int rig_setup(void **state);
int rig_teardown(void **state);
void rig_stop_daemon(struct rig *rig);
void rig_start_daemon(struct rig *rig);
/* Lets the loop run until it has nothing to do. */
void rig_pump(struct rig *rig);
/* Lets the loop run until the second thread has nothing to do either. */
void rig_settle(struct rig *rig);
/* A look at the domains, and at their devices, that has come to its end. */
void rig_scan(struct rig *rig);
/* Connects to a socket below the run directory; not blocking. */
int rig_connect(struct rig *rig, const char *name);
/* The same, before the daemon has looked. */
int rig_connect_unseen(struct rig *rig, const char *name);
/* Reads until text comes, and passes over it; fails after two seconds. */
void rig_expect(struct rig *rig, int fd, const char *text);
/* Expects the end of file; what comes before it is thrown away. */
void rig_expect_end(struct rig *rig, int fd);
void rig_send(struct rig *rig, int fd, const char *text);
/* The whole of a file, in a buffer that the next call overwrites; "" if there is none. */
const char *rig_file(const char *dir, const char *name);
/* Writes the toolstack's file of a domain, in one step as the toolstack does. */
void rig_domain_file(struct rig *rig, unsigned domid, const char *text);

#endif
