/* SPDX-License-Identifier: MIT */
/* The control socket, RUN-DIR/control.sock: connections, their limits, and events. The protocol is qmp.h's. */
#ifndef DM_CONTROL_H
#define DM_CONTROL_H

#define CONTROL_CLIENTS_MAX 16
#define CONTROL_KEEP 65536 /* bytes of answers kept for a client before its requests have to wait */

struct control;
struct dmd;
struct json_object;

/* Listens. NULL: a message said why. */
struct control *control_new(struct dmd *dmd);
/* Closes every connection after one attempt to send what is left. */
void control_free(struct control *control);
/* Sends an event to every client that has finished its negotiation; data is taken over. */
void control_event(struct control *control, const char *name, struct json_object *data);

#endif
