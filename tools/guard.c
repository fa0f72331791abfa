/* SPDX-License-Identifier: MIT */
/*
 * The guard of a guest that is being built: a process in a session of its own that waits on a pipe.
 * If the pipe closes without the word that all is well, because the builder failed or was killed,
 * it destroys whatever domain has the guest's UUID. It later becomes the guest's monitor.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "create.h"
#include "xl.h"

#define LOG_DIR "/var/log/xen-lite"
#define LOG_MAX (256 << 10) /* bytes; a log that is larger starts anew */

struct word {
    uint32_t domid;
    uint32_t monitor;
};

/* Domains that are dying already are somebody else's work. */
static void destroy_by_uuid(const uint8_t uuid[16])
{
    xc_domaininfo_t *list = NULL;
    int count;

    if (xl_open() != 0) {
        return;
    }
    count = xl_domains(&list);
    for (int i = 0; i < count; i++) {
        if (list[i].domain != 0 && memcmp(list[i].handle, uuid, 16) == 0 &&
            (list[i].flags & XEN_DOMINF_dying) == 0 && xl_domain_destroy(list[i].domain) != 0) {
            xl_hv_error("cannot remove the unfinished domain %u", list[i].domain);
        }
    }
    if (count >= 0) {
        free(list);
    }
}

static int guard_run(int pipe, const uint8_t uuid[16], uint32_t *domid)
{
    struct word word;
    ssize_t n;

    do {
        n = read(pipe, &word, sizeof(word));
    } while (n < 0 && errno == EINTR);
    close(pipe);
    if (n != (ssize_t)sizeof(word)) {
        destroy_by_uuid(uuid);
        _exit(0);
    }
    if (word.monitor == 0) {
        _exit(0);
    }
    *domid = word.domid;
    return 1;
}

int guard_start(struct guard *guard, const uint8_t uuid[16], uint32_t *domid)
{
    int ends[2];

    if (pipe2(ends, O_CLOEXEC) != 0) {
        return xl_error("cannot make a pipe: %s", strerror(errno));
    }
    fflush(NULL);
    guard->pid = fork();
    if (guard->pid < 0) {
        close(ends[0]);
        close(ends[1]);
        return xl_error("cannot fork: %s", strerror(errno));
    }
    if (guard->pid == 0) {
        close(ends[1]);
        setsid();
        signal(SIGHUP, SIG_IGN);
        signal(SIGINT, SIG_IGN);
        signal(SIGPIPE, SIG_IGN);
        return guard_run(ends[0], uuid, domid);
    }
    close(ends[0]);
    guard->pipe = ends[1];
    return 0;
}

void guard_release(struct guard *guard, uint32_t domid, bool monitor)
{
    const struct word word = { .domid = domid, .monitor = monitor ? 1 : 0 };

    if (write(guard->pipe, &word, sizeof(word)) != (ssize_t)sizeof(word)) {
        xl_warn("the guest's monitor died: shutting down will leave the domain as it is");
    }
    close(guard->pipe);
    if (!monitor) {
        waitpid(guard->pid, NULL, 0);
    }
}

void guard_abort(struct guard *guard)
{
    close(guard->pipe);
    waitpid(guard->pid, NULL, 0);
}

void guard_detach(const char *name)
{
    const int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    char path[256];
    struct stat st;
    int log;

    snprintf(path, sizeof(path), LOG_DIR "/xl-lite-%s.log", name);
    make_directories(LOG_DIR, 0750);
    log = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0640);
    if (log >= 0 && fstat(log, &st) == 0 && st.st_size > LOG_MAX && ftruncate(log, 0) != 0) {
        close(log);
        log = -1;
    }
    fflush(NULL);
    dup2(null, STDIN_FILENO);
    dup2(log >= 0 ? log : null, STDOUT_FILENO);
    dup2(log >= 0 ? log : null, STDERR_FILENO);
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (log >= 0) {
        close(log);
    }
    close(null);
}
