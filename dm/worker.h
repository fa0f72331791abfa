/* SPDX-License-Identifier: MIT */
/*
 * A second thread for calls of the hypervisor that take their time: while a device is being reset, whoever moves devices or asks which
 * there are waits. Jobs run one after the other, in the order in which they came; nothing else of the daemon is done there.
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

struct job {
    STAILQ_ENTRY(job) link;
    /* On the worker's thread. It touches nothing but what belongs to the job, and writes no message. */
    void (*run)(struct job *job, xc_interface *xch);
    /* On the loop's thread afterwards, or with ran false if the daemon ends before its turn. The job is the function's to free. */
    void (*done)(struct job *job, bool ran);
    uint64_t seq; /* worker_submit() numbers them */
};

/* xch is the thread's alone. The thread begins when the loop does, with the rights that the daemon then has. NULL: no memory. */
struct worker *worker_new(struct event_base *base, xc_interface *xch);
/* Waits for the job that runs; the others are not run. NULL allowed. */
void worker_free(struct worker *worker);
/* False: too many jobs wait, and the job is still the caller's; never with `own`, for what the daemon needs for itself. */
bool worker_submit(struct worker *worker, struct job *job, bool own);
/* Nothing waits, runs, or has run and is not done. */
bool worker_idle(const struct worker *worker);

#endif
