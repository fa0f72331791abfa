/* SPDX-License-Identifier: MIT */
/*
 * The device model of one guest: its ioreq server, its devices, and what becomes of their requests. All that must not be lost
 * is the hypervisor's: a daemon that starts finds the devices and the requests that wait, and goes on.
 */
#ifndef DM_DEVICES_H
#define DM_DEVICES_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "dm/bdf.h"
#include "dm/policy.h"

struct dmd;
struct domain;
struct json_object;
struct models;

/* One physical function of a guest. */
struct device {
    LIST_ENTRY(device) link;
    uint32_t sbdf; /* physical */
    uint16_t vendor, device;
    uint32_t class_rev;
    unsigned slot, fn; /* in the guest */
    bool permissive;
    bool quarantined;
    bool seen; /* by the look that is under way */
    /* Decisions since the daemon knows it. */
    uint64_t written, partly, refused, bound, bind_failed;
    struct policy_table table;
};

LIST_HEAD(device_list, device);

/* Counters of a guest's server, since the daemon attached to it. */
struct model_counters {
    uint64_t requests, stale, failed;
};

struct model; /* of a guest */
struct move;

/* What all guests' models share: the policy. NULL: a message said why. */
struct models *models_new(struct dmd *dmd);
void models_free(struct models *models);
const struct policy *models_policy(const struct models *models);
/* Another policy, taken over; every table is compiled anew. */
void models_set_policy(struct models *models, struct policy *policy);
/*
 * Where a policy given at run time is kept for a daemon that is started anew: it goes before the installed one. Written to path, of
 * PATH_MAX bytes.
 */
#define POLICY_PATH_MAX 4096
void models_policy_path(const struct dmd *dmd, char path[POLICY_PATH_MAX]);

/*
 * Makes the guest's model if the guest has a PCI root and none yet; which devices it has comes later. Called at each scan and before
 * a device is attached. Does nothing, cheaply, for guests without PCI.
 */
void model_poll(struct domain *domain);
void model_free(struct model *model);

/* NULL: not there. */
struct device *model_device(struct model *model, uint32_t sbdf);
const struct device_list *model_devices(const struct model *model);
const struct model_counters *model_counters(const struct model *model);
/* Asks for the list of devices, for all models, unless that is under way. */
void models_look(struct models *models);
/* A job has brought the list. */
void models_listed(struct models *models, const struct move *move);

#endif
