/* SPDX-License-Identifier: MIT */
/* Taking a device away from a guest that runs: its kernel is asked to let go, and has a while for it. */
#ifndef DM_EJECT_H
#define DM_EJECT_H

#include <stdbool.h>

struct device;
struct domain;
struct qmp_error;

enum eject_result {
    EJECT_NOW,       /* the guest need not be asked, or has let go: the caller detaches the device */
    EJECT_UNDER_WAY, /* DEVICE_DELETED or DEVICE_UNPLUG_GUEST_ERROR will tell */
    EJECT_FAILED,    /* *error is filled */
};

/* force: at once, without asking. */
enum eject_result eject(struct domain *domain, struct device *device, bool force,
                        struct qmp_error *error);
/*
 * The daemon has just found the device: goes on waiting for its guest, if a daemon before this one has asked it to let go and it has not
 * done so yet. (What it has let go of meanwhile is taken away by the next eject().)
 */
void eject_resume(struct domain *domain, const struct device *device);
/* The domain goes: what is under way ends. */
void eject_forget(struct domain *domain);

#endif
