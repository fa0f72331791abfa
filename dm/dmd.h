/* SPDX-License-Identifier: MIT */
/*
 * The daemon as one object: its options, the event loop, the domains it knows and its control socket. One
 * thread runs everything from the loop, so nothing here needs a lock; the worker's touches its own jobs only.
 */
#ifndef DM_DMD_H
#define DM_DMD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

struct control;
struct console;
struct dmd;
struct event;
struct event_base;
struct hv;
struct json_object;
struct model;
struct models;
struct tracing;
struct worker;

struct dmd_options {
    const char *run_dir; /* domains/, console/, control.sock */
    const char *log_dir; /* guests' consoles */
    const char *policy;  /* of configuration writes: a file */
    unsigned patience_ms; /* with the second thread, at the end; 0: as much as is usual */
};

/* One guest that the hypervisor has told of. */
struct domain {
    LIST_ENTRY(domain) link;
    struct dmd *dmd;
    uint16_t domid;
    uint8_t handle[16];
    char uuid[37];
    char *name;        /* from the toolstack's file, else "domain-<domid>" */
    uint64_t file_gfn; /* console frame and port as the file says; 0: ask the hypervisor */
    uint32_t file_port;
    bool being_built; /* the file says so */
    bool seen;        /* by the scan that is running */
    bool shutdown;    /* has been told of */
    struct console *console;
    struct model *model; /* of its devices; NULL: it has no PCI */
    int model_error;     /* errno of why there is none though it has; said already */
};

LIST_HEAD(domain_list, domain);

struct dmd {
    struct dmd_options options;
    struct event_base *base;
    struct hv *hv;
    struct domain_list domains;
    struct control *control;
    struct models *models;
    struct tracing *tracing;
    struct worker *worker; /* for what would keep the loop waiting */
    struct event *scan_timer, *files;
    int inotify;
    int quick_scans; /* how many scans follow close on each other, as something is about to change */
    bool list_failed; /* said already */
};

/* Opens everything below the run directory and starts watching. NULL: a message said why. */
struct dmd *dmd_new(struct event_base *base, struct hv *hv, const struct dmd_options *options);
/* Reads what is left in the consoles, closes everything. Guests are not touched. */
void dmd_free(struct dmd *dmd);
/* Ends the loop soon, when replies that are under way have left. */
void dmd_stop(struct dmd *dmd);
/* Opens guests' logs anew. */
void dmd_reopen_logs(struct dmd *dmd);
/* Looks for domains that came, changed or went; if reload, also at the toolstack's files. */
void dmd_scan(struct dmd *dmd, bool reload);
struct domain *dmd_find(struct dmd *dmd, uint16_t domid);

/* Sends an event with data (taken over; may be NULL) to everybody on the control socket. */
void dmd_event(struct dmd *dmd, const char *name, struct json_object *data);

/* The names of shutdown reasons: "poweroff", "crash"..., "unknown". */
const char *shutdown_reason_name(unsigned reason);

#endif
