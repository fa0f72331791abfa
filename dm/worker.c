/* SPDX-License-Identifier: MIT */
/* The second thread and its queue, see worker.h. */
#include "dm/worker.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
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
    struct jobs waiting, ready;
    bool ending;
};

static struct job *take(struct worker *worker)
{
    struct job *job;

    pthread_mutex_lock(&worker->lock);
    while (STAILQ_EMPTY(&worker->waiting) && !worker->ending)
        pthread_cond_wait(&worker->more, &worker->lock);
    job = worker->ending ? NULL : STAILQ_FIRST(&worker->waiting);
    if (job)
        STAILQ_REMOVE_HEAD(&worker->waiting, link);
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
    worker_free(worker);
    return NULL;
}

void worker_free(struct worker *worker)
{
    struct jobs jobs;

    if (!worker)
        return;
    pthread_mutex_lock(&worker->lock);
    worker->ending = true;
    pthread_cond_signal(&worker->more);
    pthread_mutex_unlock(&worker->lock);
    if (worker->running)
        pthread_join(worker->thread, NULL);
    take_all(worker, &worker->ready, &jobs);
    finish(worker, &jobs, false);
    take_all(worker, &worker->waiting, &jobs);
    finish(worker, &jobs, false);
    if (worker->wake)
        event_free(worker->wake);
    if (worker->start)
        event_free(worker->start);
    if (worker->fd >= 0)
        close(worker->fd);
    pthread_cond_destroy(&worker->more);
    pthread_mutex_destroy(&worker->lock);
    free(worker);
}

bool worker_submit(struct worker *worker, struct job *job, bool own)
{
    if (!own && worker->nr >= WORKER_JOBS_MAX)
        return false;
    job->seq = ++worker->seq;
    worker->nr++;
    pthread_mutex_lock(&worker->lock);
    STAILQ_INSERT_TAIL(&worker->waiting, job, link);
    pthread_cond_signal(&worker->more);
    pthread_mutex_unlock(&worker->lock);
    return true;
}

bool worker_idle(const struct worker *worker)
{
    return !worker->nr;
}
