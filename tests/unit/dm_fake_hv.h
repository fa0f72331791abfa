/* SPDX-License-Identifier: MIT */
/* A simulated hypervisor for xl-dmd: guests that exist, write to their consoles, lie, die. */
#ifndef TESTS_DM_FAKE_HV_H
#define TESTS_DM_FAKE_HV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <xen/io/console.h>

#include "dm/hv.h"

#define FAKE_GUESTS 8
#define FAKE_PORT 5     /* the guest's console port */
#define FAKE_GFN 0xfeff /* and frame */

struct fake_guest {
    struct hv_domain info;
    struct xencons_interface *page; /* freed when it is neither listed nor mapped */
    bool listed, has_console, port_taken, mapped;
    int port; /* the daemon's; 0 when not bound */
    bool pending, masked;
    unsigned notified; /* by the daemon */
};

struct hv *fake_open(void);
/* Frees everything; fails if something is still mapped or bound. */
void fake_close(struct hv *hv);

struct fake_guest *fake_add(struct hv *hv, uint16_t domid, uint8_t uuid_byte);
/* The guest leaves the list; its page stays while it is mapped. */
void fake_remove(struct fake_guest *guest);
void fake_send_event(struct hv *hv, struct fake_guest *guest);
/* The guest writes text and sends an event; the ring must have room. */
void fake_write(struct hv *hv, struct fake_guest *guest, const char *text);
/* Takes all input; returns its length. buf has room for the whole ring. */
size_t fake_read(struct fake_guest *guest, char *buf);
/* Makes listing fail. */
void fake_fail_list(struct hv *hv, bool fail);

#endif
