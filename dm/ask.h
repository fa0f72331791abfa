/* SPDX-License-Identifier: MIT */
/*
 * Commands whose answer the hypervisor takes its time for, because it walks tables or waits for a device: the second thread
 * (worker.h) asks and makes the answer, the client gets it when it is there, and nobody else waits.
 */
#ifndef DM_ASK_H
#define DM_ASK_H

#include <stdint.h>

#include <xenctrl.h>

struct dmd;
struct json_object;
struct qmp_error;

/* What is asked about; the meaning is the command's. */
struct subject {
    uint32_t domid;
    uint64_t address;
};

/*
 * On the second thread: the answer, or NULL with *error, as a command gives it. It touches nothing of the daemon's, and writes
 * no message.
 */
typedef struct json_object *ask_fn(xc_interface *xch, const struct subject *subject,
                                   struct qmp_error *error);

/* For a command, which returns what this returns: NULL, and *error if too many wait already. */
struct json_object *ask_later(struct dmd *dmd, ask_fn *ask, const struct subject *subject,
                              struct qmp_error *error);

#endif
