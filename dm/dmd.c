/* SPDX-License-Identifier: MIT */
/* The daemon as one object: directories, timers, event channels and the watch on the toolstack's files. */
#include "dm/dmd.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <event2/event.h>
#include <json-c/json.h>

#include "dm/console.h"
#include "dm/console_sock.h"
#include "dm/control.h"
#include "dm/devices.h"
#include "dm/domains.h"
#include "dm/hv.h"
#include "dm/hv_server.h"
#include "dm/logfile.h"
#include "dm/tracing.h"
#include "dm/worker.h"

/*
 * The virtual interrupt that tells of domains' ends (VIRQ_DOM_EXC) has one owner, and xenstored does not
 * start without it; nothing at all tells when a builder has finished. Hence a look every half second, and
 * more often after the toolstack touched a file.
 */
#define SCAN_MS       500
#define QUICK_SCAN_MS 50
#define QUICK_SCANS   20
#define STOP_MS        100

static void next_scan(struct dmd *dmd)
{
    struct timeval delay = { .tv_usec = SCAN_MS * 1000 };

    if (dmd->quick_scans) {
        dmd->quick_scans--;
        delay = (struct timeval){ .tv_usec = QUICK_SCAN_MS * 1000 };
    }
    event_add(dmd->scan_timer, &delay);
}

static void on_scan(evutil_socket_t fd, short what, void *arg)
{
    struct dmd *dmd = arg;

    (void)fd;
    (void)what;
    dmd_scan(dmd, false);
    next_scan(dmd);
}

static void on_files(evutil_socket_t fd, short what, void *arg)
{
    char buf[4096] __attribute__((aligned(__alignof__(struct inotify_event))));
    struct dmd *dmd = arg;

    (void)what;
    /* Which file it was does not matter: everything is looked at. */
    while (read(fd, buf, sizeof(buf)) > 0)
        ;
    dmd->quick_scans = QUICK_SCANS;
    dmd_scan(dmd, true);
    next_scan(dmd);
}

static int make_directory(const char *path, const char *below, mode_t mode)
{
    char full[4096];

    snprintf(full, sizeof(full), "%s%s", path, below);
    if (!mkdir(full, mode) || errno == EEXIST)
        return 0;
    message("cannot make the directory %s: %m", full);
    return -1;
}

static int watch_files(struct dmd *dmd)
{
    const uint32_t mask = IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_ONLYDIR;
    char path[4096];

    snprintf(path, sizeof(path), "%s/domains", dmd->options.run_dir);
    dmd->inotify = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (dmd->inotify >= 0 && inotify_add_watch(dmd->inotify, path, mask) >= 0)
        return 0;
    message("cannot watch %s: %m", path);
    return -1;
}

static int start(struct dmd *dmd)
{
    const char *run = dmd->options.run_dir;

    if (make_directory(run, "", 0755) || make_directory(run, "/domains", 0700) ||
        make_directory(run, "/console", 0700) || make_directory(dmd->options.log_dir, "", 0700) ||
        watch_files(dmd))
        return -1;
    dmd->worker = worker_new(dmd->base, hv_worker_xc(dmd->hv));
    if (!dmd->worker) {
        message("not enough memory");
        return -1;
    }
    dmd->models = models_new(dmd);
    dmd->tracing = dmd->models ? tracing_new(dmd) : NULL;
    if (!dmd->tracing)
        return -1;
    dmd->control = control_new(dmd);
    if (!dmd->control)
        return -1;
    dmd->files = event_new(dmd->base, dmd->inotify, EV_READ | EV_PERSIST, on_files, dmd);
    dmd->scan_timer = evtimer_new(dmd->base, on_scan, dmd);
    if (!dmd->files || !dmd->scan_timer || event_add(dmd->files, NULL)) {
        message("not enough memory");
        return -1;
    }
    dmd_scan(dmd, false);
    next_scan(dmd);
    return 0;
}

struct dmd *dmd_new(struct event_base *base, struct hv *hv, const struct dmd_options *options)
{
    struct dmd *dmd = calloc(1, sizeof(*dmd));

    if (!dmd)
        return NULL;
    dmd->base = base;
    dmd->hv = hv;
    dmd->options = *options;
    dmd->inotify = -1;
    LIST_INIT(&dmd->domains);
    if (!start(dmd))
        return dmd;
    dmd_free(dmd);
    return NULL;
}

void dmd_free(struct dmd *dmd)
{
    struct event *events[] = { dmd->scan_timer, dmd->files };
    const unsigned patience_ms = dmd->options.patience_ms;

    /* A device that is being moved gets where it is to be first. */
    if (!worker_free(dmd->worker, patience_ms ? patience_ms : WORKER_PATIENCE_MS))
        hv_keep_worker_xc(dmd->hv);
    domains_forget(dmd);
    console_sock_finish();
    control_free(dmd->control);
    tracing_free(dmd->tracing);
    models_free(dmd->models);
    for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++)
        if (events[i])
            event_free(events[i]);
    if (dmd->inotify >= 0)
        close(dmd->inotify);
    free(dmd);
}

void dmd_stop(struct dmd *dmd)
{
    const struct timeval soon = { .tv_usec = STOP_MS * 1000 };

    dmd_event(dmd, "DAEMON_STOP", NULL);
    event_base_loopexit(dmd->base, &soon);
}

void dmd_event(struct dmd *dmd, const char *name, struct json_object *data)
{
    if (dmd->control)
        control_event(dmd->control, name, data);
    else
        json_object_put(data);
}
