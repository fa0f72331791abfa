/* SPDX-License-Identifier: MIT */
/* Bounded log files and the daemon's messages. */
#include "dm/logfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

struct logfile {
    char *path, *old_path;
    int fd;
    size_t size, limit;
};

static struct logfile *message_log;

/* A symbolic link is not followed: the directory is root's, but names in it come from guests' files. */
static int open_log(const char *path, size_t *size)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);
    struct stat st;

    if (fd < 0)
        return -1;
    if (fstat(fd, &st) || !S_ISREG(st.st_mode)) {
        close(fd);
        errno = EINVAL;
        return -1;
    }
    *size = (size_t)st.st_size;
    return fd;
}

struct logfile *logfile_open(const char *path, size_t limit)
{
    struct logfile *log = calloc(1, sizeof(*log));
    int err;

    if (!log)
        return NULL;
    log->fd = -1;
    log->limit = limit;
    log->path = strdup(path);
    if (log->path && asprintf(&log->old_path, "%s.1", path) >= 0)
        log->fd = open_log(path, &log->size);
    if (log->fd >= 0)
        return log;
    err = errno;
    logfile_close(log);
    errno = err;
    return NULL;
}

void logfile_close(struct logfile *log)
{
    if (!log)
        return;
    if (log->fd >= 0)
        close(log->fd);
    free(log->path);
    free(log->old_path);
    free(log);
}

int logfile_reopen(struct logfile *log)
{
    size_t size;
    int fd = open_log(log->path, &size);

    if (fd < 0)
        return -1;
    close(log->fd);
    log->fd = fd;
    log->size = size;
    return 0;
}

const char *logfile_path(const struct logfile *log)
{
    return log->path;
}

static int rotate(struct logfile *log)
{
    if (!rename(log->path, log->old_path) || errno == ENOENT)
        return logfile_reopen(log);
    /* It cannot be moved: beginning anew keeps the bound, which matters more than the old text. */
    if (ftruncate(log->fd, 0))
        return -1;
    log->size = 0;
    return 0;
}

size_t logfile_offset(const struct logfile *log, size_t len)
{
    return log->size + len > log->limit ? 0 : log->size;
}

int logfile_write(struct logfile *log, const char *text, size_t len)
{
    ssize_t n;

    if (log->size && !logfile_offset(log, len) && rotate(log))
        return -1;
    while (len) {
        n = write(log->fd, text, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return -1;
        log->size += (size_t)n;
        text += n;
        len -= (size_t)n;
    }
    return 0;
}

int message_to_file(const char *path)
{
    struct logfile *log = logfile_open(path, LOGFILE_LIMIT);

    if (!log)
        return -1;
    message_close();
    message_log = log;
    return 0;
}

void message_reopen(void)
{
    if (message_log && logfile_reopen(message_log))
        message("cannot reopen %s: %m", message_log->path);
}

void message_close(void)
{
    logfile_close(message_log);
    message_log = NULL;
}

void message(const char *fmt, ...)
{
    char line[512], stamp[32] = "";
    time_t now = time(NULL);
    struct tm tm;
    va_list args;
    int n, used, err = errno;

    va_start(args, fmt);
    if (!message_log)
        n = snprintf(line, sizeof(line), "xl-dmd: ");
    else {
        if (gmtime_r(&now, &tm))
            strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%SZ", &tm);
        n = snprintf(line, sizeof(line), "%s ", stamp);
    }
    errno = err; /* for %m */
    used = vsnprintf(line + n, sizeof(line) - (size_t)n - 1, fmt, args);
    va_end(args);
    if (used < 0)
        return;
    n = (int)strlen(line);
    /* What came from outside may not fake lines or talk to a terminal. */
    for (int i = 0; i < n; i++)
        if ((unsigned char)line[i] < ' ' || line[i] == 127)
            line[i] = '?';
    line[n++] = '\n';
    if (message_log)
        (void)logfile_write(message_log, line, (size_t)n);
    else
        (void)!write(STDERR_FILENO, line, (size_t)n);
}
