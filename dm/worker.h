/* SPDX-License-Identifier: MIT */
/*
 * A second thread for calls of the hypervisor that take their time: while a device is being reset, whoever moves devices or asks which
 * there are waits; and an audit, or a summary of a page table, is a walk through all of the machine's tables. Jobs run one after the other;
 * nothing else of the daemon is done there. Those about devices have an order, that in which they came; so have walks; of both, one
 * runs in turn, so that devices, which guests may be waiting for, never wait for more than one walk.
 */
#ifndef DM_WORKER_H
#define DM_WORKER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include <xenctrl.h>

struct event_base;
struct worker;

/* Jobs of clients that wait at most; the daemon's own are few by themselves. */
#define WORKER_JOBS_MAX 32

/* Longer than the reset of a device takes (11 s at most), shorter than the patience of who ends daemons (systemd: 90 s). */
#define WORKER_PATIENCE_MS 30000

struct job {
    STAILQ_ENTRY(job) link;
    bool walks; /* it only looks, at much */
    /* On the worker's thread. It touches nothing but what belongs to the job, and writes no message. */
    void (*run)(struct job *job, xc_interface *xch);
    /* On the loop's thread afterwards, or with ran false if the daemon ends before its turn. The job is the function's to free. */
    void (*done)(struct job *job, bool ran);
    uint64_t seq; /* worker_submit() numbers them */
};

/* xch is the thread's alone. The thread begins when the loop does, with the rights that the daemon then has. NULL: no memory. */
struct worker *worker_new(struct event_base *base, xc_interface *xch);
/*
 * Waits for the job that runs, `patience_ms` at most; the others are not run. NULL allowed. False, with a message: the job still runs, and its
 * thread goes on using xch, which is therefore not to be closed. The process has to end now, and is gone when the hypervisor's call is.
 */
bool worker_free(struct worker *worker, unsigned patience_ms);
/* False: too many jobs wait, and the job is still the caller's; never with `own`, for what the daemon needs for itself. */
bool worker_submit(struct worker *worker, struct job *job, bool own);
/* Nothing waits, runs, or has run and is not done. */
bool worker_idle(const struct worker *worker);

#endif
