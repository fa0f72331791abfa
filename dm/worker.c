/* SPDX-License-Identifier: MIT */
/* The second thread and its queue, see worker.h. */
#include "dm/worker.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include <event2/event.h>

#include "dm/logfile.h"

STAILQ_HEAD(jobs, job);

struct worker {
    xc_interface *xch;
    struct event *start, *wake;
    int fd; /* readable when a job is done */
    uint64_t seq;
    unsigned nr; /* jobs whose done() was not called yet; the loop's thread only */
    bool running;
    pthread_t thread;
    /* Under the lock: */
    pthread_mutex_t lock;
    pthread_cond_t more;
    struct jobs waiting, walks, ready;
    bool walked; /* the last job was a walk */
    struct job *running_job;
    bool ending;
};

/* What a thread that could not be waited for still uses: nobody looks here but those who search for leaks. */
static struct worker *volatile left_behind;

static struct job *next_job(struct worker *worker)
{
    struct jobs *jobs = &worker->waiting;
    struct job *job;

    if (STAILQ_EMPTY(jobs) || (!worker->walked && !STAILQ_EMPTY(&worker->walks)))
        jobs = &worker->walks;
    job = STAILQ_FIRST(jobs);
    if (!job)
        return NULL;
    STAILQ_REMOVE_HEAD(jobs, link);
    worker->walked = job->walks;
    return job;
}

static struct job *take(struct worker *worker)
{
    struct job *job = NULL;

    pthread_mutex_lock(&worker->lock);
    while (!worker->ending && !(job = next_job(worker)))
        pthread_cond_wait(&worker->more, &worker->lock);
    worker->running_job = job;
    pthread_mutex_unlock(&worker->lock);
    return job;
}

static void *work(void *arg)
{
    struct worker *worker = arg;
    struct job *job;

    while ((job = take(worker))) {
        job->run(job, worker->xch);
        pthread_mutex_lock(&worker->lock);
        STAILQ_INSERT_TAIL(&worker->ready, job, link);
        pthread_mutex_unlock(&worker->lock);
        (void)eventfd_write(worker->fd, 1);
    }
    return NULL;
}

/* Signals are the loop's. */
static void on_start(evutil_socket_t fd, short what, void *arg)
{
    struct worker *worker = arg;
    sigset_t all, before;
    int error;

    (void)fd;
    (void)what;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    error = pthread_create(&worker->thread, NULL, work, worker);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    worker->running = !error;
    if (error) {
        const struct timeval again = { .tv_sec = 1 };

        message("cannot start a thread: %s", strerror(error));
        event_add(worker->start, &again);
    }
}

static void finish(struct worker *worker, struct jobs *jobs, bool ran)
{
    struct job *job;

    while ((job = STAILQ_FIRST(jobs))) {
        STAILQ_REMOVE_HEAD(jobs, link);
        worker->nr--;
        job->done(job, ran);
    }
}

static void take_all(struct worker *worker, struct jobs *from, struct jobs *to)
{
    STAILQ_INIT(to);
    pthread_mutex_lock(&worker->lock);
    STAILQ_CONCAT(to, from);
    pthread_mutex_unlock(&worker->lock);
}

static void on_wake(evutil_socket_t fd, short what, void *arg)
{
    struct worker *worker = arg;
    struct jobs jobs;
    eventfd_t n;

    (void)what;
    (void)eventfd_read(fd, &n);
    take_all(worker, &worker->ready, &jobs);
    finish(worker, &jobs, true);
}

struct worker *worker_new(struct event_base *base, xc_interface *xch)
{
    const struct timeval now = { 0 };
    struct worker *worker = calloc(1, sizeof(*worker));

    if (!worker)
        return NULL;
    worker->xch = xch;
    STAILQ_INIT(&worker->waiting);
    STAILQ_INIT(&worker->walks);
    STAILQ_INIT(&worker->ready);
    pthread_mutex_init(&worker->lock, NULL);
    pthread_cond_init(&worker->more, NULL);
    worker->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (worker->fd >= 0) {
        worker->wake = event_new(base, worker->fd, EV_READ | EV_PERSIST, on_wake, worker);
        worker->start = evtimer_new(base, on_start, worker);
    }
    if (worker->wake && worker->start && !event_add(worker->wake, NULL) &&
        !event_add(worker->start, &now))
        return worker;
    worker_free(worker, 0);
    return NULL;
}

/* False: it is still in a call of the hypervisor's. */
static bool join(struct worker *worker, unsigned patience_ms)
{
    struct timespec until;

    pthread_mutex_lock(&worker->lock);
    worker->ending = true;
    pthread_cond_signal(&worker->more);
    pthread_mutex_unlock(&worker->lock);
    if (!worker->running)
        return true;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += patience_ms / 1000;
    until.tv_nsec += patience_ms % 1000 * 1000000L;
    if (until.tv_nsec >= 1000000000L) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000L;
    }
    return pthread_clockjoin_np(worker->thread, NULL, CLOCK_MONOTONIC, &until) != ETIMEDOUT;
}

static void leave_behind(struct worker *worker, unsigned patience_ms)
{
    bool walks;

    pthread_mutex_lock(&worker->lock);
    walks = worker->running_job && worker->running_job->walks;
    pthread_mutex_unlock(&worker->lock);
    message("the hypervisor has not ended a call within %u.%u s (%s): leaving without its answer. "
            "This process is gone when the call is over",
            patience_ms / 1000, patience_ms % 1000 / 100,
            walks ? "it walks tables" : "it moves or resets a device");
    pthread_detach(worker->thread);
    left_behind = worker;
}

bool worker_free(struct worker *worker, unsigned patience_ms)
{
    struct jobs jobs;
    bool ended;

    if (!worker)
        return true;
    ended = join(worker, patience_ms);
    take_all(worker, &worker->ready, &jobs);
    finish(worker, &jobs, false);
    take_all(worker, &worker->waiting, &jobs);
    finish(worker, &jobs, false);
    take_all(worker, &worker->walks, &jobs);
    finish(worker, &jobs, false);
    if (worker->wake)
        event_free(worker->wake);
    if (worker->start)
        event_free(worker->start);
    if (!ended) {
        leave_behind(worker, patience_ms);
        return false;
    }
    if (worker->fd >= 0)
        close(worker->fd);
    pthread_cond_destroy(&worker->more);
    pthread_mutex_destroy(&worker->lock);
    free(worker);
    return true;
}

bool worker_submit(struct worker *worker, struct job *job, bool own)
{
    if (!own && worker->nr >= WORKER_JOBS_MAX)
        return false;
    job->seq = ++worker->seq;
    worker->nr++;
    pthread_mutex_lock(&worker->lock);
    if (job->walks)
        STAILQ_INSERT_TAIL(&worker->walks, job, link);
    else
        STAILQ_INSERT_TAIL(&worker->waiting, job, link);
    pthread_cond_signal(&worker->more);
    pthread_mutex_unlock(&worker->lock);
    return true;
}

bool worker_idle(const struct worker *worker)
{
    return !worker->nr;
}
