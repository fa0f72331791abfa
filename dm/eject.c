/* SPDX-License-Identifier: MIT */
/* Taking devices away from guests. */
#include "dm/eject.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>
#include <json-c/json.h>

#include "dm/devices.h"
#include "dm/dmd.h"
#include "dm/hv_server.h"
#include "dm/json.h"
#include "dm/logfile.h"
#include "dm/moves.h"
#include "libs/xenlite.h"

/* Linux waits 5 s after the button was pressed, in case it is pressed again, and then removes the device. */
#define LOOK_MS    100
#define PATIENCE_S 20

struct ejection {
    LIST_ENTRY(ejection) link;
    struct domain *domain;
    struct event *timer;
    uint32_t sbdf;
    unsigned slot, looks;
    bool letting_go; /* the guest has, and the device is being taken away */
};

static LIST_HEAD(, ejection) ejections = LIST_HEAD_INITIALIZER(ejections);

static void finish(struct ejection *ejection)
{
    LIST_REMOVE(ejection, link);
    if (ejection->timer)
        event_free(ejection->timer);
    free(ejection);
}

void eject_forget(struct domain *domain)
{
    struct ejection *ejection, *next;

    for (ejection = LIST_FIRST(&ejections); ejection; ejection = next) {
        next = LIST_NEXT(ejection, link);
        if (ejection->domain == domain)
            finish(ejection);
    }
}

static struct ejection *find(const struct domain *domain, unsigned slot)
{
    struct ejection *ejection;

    LIST_FOREACH(ejection, &ejections, link)
    if (ejection->domain == domain && ejection->slot == slot)
        return ejection;
    return NULL;
}

/* -1: the call failed. */
static int slot_state(struct domain *domain, unsigned slot, unsigned action)
{
    struct xenlite_pci_slot_op op = { .slot = slot, .action = action };

    return xenlite_pci_slot(hv_xc(domain->dmd->hv), domain->domid, &op) ? -1 : (int)op.state;
}

static void tell_failure(struct ejection *ejection, const char *reason)
{
    struct json_object *data = json_object_new_object();

    add_number(data, "domid", ejection->domain->domid);
    add_string(data, "name", ejection->domain->name);
    add_bdf(data, "bdf", ejection->sbdf);
    add_string(data, "reason", reason);
    message("%s (domain %u): a device is not taken away: %s", ejection->domain->name,
            ejection->domain->domid, reason);
    dmd_event(ejection->domain->dmd, "DEVICE_UNPLUG_GUEST_ERROR", data);
}

/* The guest has let go, and the device was taken away, or not. */
static void detached(struct move *move, struct domain *domain)
{
    struct ejection *ejection = domain ? find(domain, move->pci.slot) : NULL;

    if (!ejection || !ejection->letting_go)
        return;
    if (move->error)
        tell_failure(ejection, move->sentence[0] ? move->sentence : strerror(move->error));
    finish(ejection);
}

static void let_go(struct ejection *ejection)
{
    struct move *move = move_new(ejection->domain->dmd, MOVE_DETACH, ejection->domain);

    if (!move) {
        tell_failure(ejection, "not enough memory");
        finish(ejection);
        return;
    }
    move->pci.sbdf = ejection->sbdf;
    move->pci.slot = ejection->slot;
    move->then = detached;
    ejection->letting_go = true;
    move_submit(move, true, NULL);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    const struct timeval again = { .tv_usec = LOOK_MS * 1000 };
    struct ejection *ejection = arg;
    const int state = slot_state(ejection->domain, ejection->slot, XENLITE_PCI_SLOT_query);

    (void)fd;
    (void)what;
    if (state == XENLITE_PCI_SLOT_off) {
        let_go(ejection);
    } else if (state < 0 || state == XENLITE_PCI_SLOT_empty) {
        finish(ejection); /* somebody else took it; the next look tells */
    } else if (++ejection->looks >= PATIENCE_S * 1000 / LOOK_MS) {
        (void)slot_state(ejection->domain, ejection->slot, XENLITE_PCI_SLOT_cancel);
        tell_failure(ejection, "the guest's kernel did not let go of it in time (take it away with "
                               "force, or end the guest)");
        finish(ejection);
    } else {
        event_add(ejection->timer, &again);
    }
}

/* Looks from time to time what becomes of the slot, until it is over. False: not enough memory. */
static bool watch(struct domain *domain, const struct device *device)
{
    const struct timeval soon = { .tv_usec = LOOK_MS * 1000 };
    struct ejection *ejection = calloc(1, sizeof(*ejection));

    if (ejection)
        ejection->timer = evtimer_new(domain->dmd->base, on_timer, ejection);
    if (!ejection || !ejection->timer) {
        free(ejection);
        return false;
    }
    ejection->domain = domain;
    ejection->sbdf = device->sbdf;
    ejection->slot = device->slot;
    LIST_INSERT_HEAD(&ejections, ejection, link);
    event_add(ejection->timer, &soon);
    return true;
}

void eject_resume(struct domain *domain, const struct device *device)
{
    if (!find(domain, device->slot) &&
        slot_state(domain, device->slot, XENLITE_PCI_SLOT_query) == XENLITE_PCI_SLOT_ejecting)
        (void)watch(domain, device);
}

enum eject_result eject(struct domain *domain, struct device *device, bool force,
                        struct qmp_error *error)
{
    struct ejection *ejection = find(domain, device->slot);
    int state = slot_state(domain, device->slot, XENLITE_PCI_SLOT_query);

    if (ejection && ejection->letting_go)
        return EJECT_UNDER_WAY;
    if (force || state == XENLITE_PCI_SLOT_off) {
        if (ejection)
            finish(ejection);
        return EJECT_NOW;
    }
    if (ejection)
        return EJECT_UNDER_WAY;
    if (slot_state(domain, device->slot, XENLITE_PCI_SLOT_eject) < 0) {
        hv_failed("the guest cannot be asked to let go of the device", error);
        return EJECT_FAILED;
    }
    if (!watch(domain, device)) {
        qmp_set_error(error, NULL, "not enough memory");
        return EJECT_FAILED;
    }
    return EJECT_UNDER_WAY;
}
