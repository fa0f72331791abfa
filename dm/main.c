/* SPDX-License-Identifier: MIT */
/* xl-dmd: the program around the daemon (dmd.h): start, signals, end. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <event2/event.h>

#include "dm/dmd.h"
#include "dm/hv.h"
#include "dm/logfile.h"
#include "dm/options.h"
#include "dm/process.h"

static void on_end_signal(evutil_socket_t signal_number, short what, void *arg)
{
    (void)what;
    message("ended by %s", strsignal(signal_number));
    dmd_stop(arg);
}

static void on_hangup(evutil_socket_t signal_number, short what, void *arg)
{
    (void)signal_number;
    (void)what;
    message_reopen();
    dmd_reopen_logs(arg);
}

static int run_loop(struct event_base *base, struct dmd *dmd)
{
    struct event *signals[] = {
        evsignal_new(base, SIGTERM, on_end_signal, dmd),
        evsignal_new(base, SIGINT, on_end_signal, dmd),
        evsignal_new(base, SIGHUP, on_hangup, dmd),
    };
    const size_t nr = sizeof(signals) / sizeof(signals[0]);
    int r = 0;

    for (size_t i = 0; i < nr; i++)
        if (!signals[i] || event_add(signals[i], NULL))
            r = -1;
    if (!r)
        r = event_base_dispatch(base);
    for (size_t i = 0; i < nr; i++)
        if (signals[i])
            event_free(signals[i]);
    return r < 0 ? -1 : 0;
}

static int open_log(const struct options *options)
{
    char path[4096];

    if (options->foreground && !options->log)
        return 0;
    snprintf(path, sizeof(path), "%s/xl-dmd.log", options->log_dir);
    /* A missing directory is only this daemon's to make if it is the default place. */
    if (!options->log && mkdir(options->log_dir, 0700) && errno != EEXIST) {
        message("cannot make the directory %s: %m", options->log_dir);
        return -1;
    }
    if (!message_to_file(options->log ? options->log : path))
        return 0;
    message("cannot write %s: %m", options->log ? options->log : path);
    return -1;
}

/* The last steps, when everything is open: what can fail is said where the person who starts us sees it. */
static int settle(const struct options *options, int lock, int parent)
{
    if (process_write_pid(lock) || (options->pidfile && process_write_pidfile(options->pidfile))) {
        message("cannot write the process's number: %m");
        return -1;
    }
    if (!options->keep_privileges && process_drop_privileges()) {
        message("cannot give up privileges: %m");
        return -1;
    }
    if (open_log(options))
        return -1;
    if (parent >= 0)
        process_ready(parent);
    return 0;
}

static int serve(const struct options *options, struct hv *hv, int lock, int parent)
{
    const struct dmd_options dmd_options = {
        .run_dir = options->run_dir, .log_dir = options->log_dir, .policy = options->policy
    };
    struct event_base *base = event_base_new();
    struct dmd *dmd = base ? dmd_new(base, hv, &dmd_options) : NULL;
    int r = -1;

    if (dmd && !settle(options, lock, parent)) {
        message("started");
        r = run_loop(base, dmd);
    }
    if (dmd)
        dmd_free(dmd);
    if (base)
        event_base_free(base);
    return r;
}

static int start(const struct options *options)
{
    struct hv *hv;
    const char *what;
    int lock, parent = -1, r;

    umask(077);
    process_allow_files();
    signal(SIGPIPE, SIG_IGN);
    if (!options->foreground) {
        parent = process_background();
        if (parent < 0)
            return 1;
    }
    lock = process_lock(options->run_dir);
    if (lock < 0)
        return 1;
    hv = hv_open(&what);
    if (!hv) {
        message(
            "cannot open %s: %m. Is this a control domain, with xen-privcmd and xen-evtchn loaded?",
            what);
        return 1;
    }
    r = chdir("/") ? -1 : serve(options, hv, lock, parent);
    hv_close(hv);
    if (options->pidfile && !r)
        unlink(options->pidfile);
    message_close();
    return r ? 1 : 0;
}

int main(int argc, char **argv)
{
    struct options options;

    if (parse_options(&options, argc, argv))
        return 2;
    if (options.help) {
        print_help();
        return 0;
    }
    if (options.version) {
        printf("xl-dmd (xen-lite) %s\n", PACKAGE_VERSION);
        return 0;
    }
    return start(&options);
}
