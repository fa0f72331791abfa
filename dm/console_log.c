/* SPDX-License-Identifier: MIT */
/* The log of a guest's console. */
#include "dm/console_log.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <time.h>

#include "dm/logfile.h"

#define NAME_MAX_BYTES 80

struct console_log {
    LIST_ENTRY(console_log) link;
    char *path;
    struct logfile *file; /* NULL: could not be opened */
    uint64_t lost;
    bool failing; /* has been said */
};

/* All that are open: two domains may not share a file, as each would move it away under the other. */
static LIST_HEAD(, console_log) all_logs = LIST_HEAD_INITIALIZER(all_logs);

static void safe_name(char *out, const char *name)
{
    size_t n = 0;

    for (; *name && n < NAME_MAX_BYTES; name++)
        out[n++] = isalnum((unsigned char)*name) || strchr("-_+.", *name) ? *name : '_';
    out[n] = 0;
    if (!n || out[0] == '.')
        memcpy(out, "_", n ? 1 : 2);
}

static bool taken(const char *path)
{
    struct console_log *log;

    LIST_FOREACH(log, &all_logs, link)
        if (log->path && !strcmp(log->path, path))
            return true;
    return false;
}

static char *choose_path(const char *dir, const char *name, uint16_t domid)
{
    char safe[NAME_MAX_BYTES + 2], *path;

    safe_name(safe, name);
    if (asprintf(&path, "%s/%s.log", dir, safe) < 0)
        return NULL;
    if (strcmp(safe, "xl-dmd") && !taken(path))
        return path;
    free(path);
    return asprintf(&path, "%s/%s-%u.log", dir, safe, domid) < 0 ? NULL : path;
}

static void failed(struct console_log *log)
{
    if (!log->failing)
        message("%s cannot be written: %m; text is lost", log->path);
    log->failing = true;
}

struct console_log *console_log_new(const char *dir, const char *name, uint16_t domid)
{
    struct console_log *log = calloc(1, sizeof(*log));

    if (!log)
        return NULL;
    log->path = choose_path(dir, name, domid);
    if (!log->path) {
        free(log);
        return NULL;
    }
    LIST_INSERT_HEAD(&all_logs, log, link);
    log->file = logfile_open(log->path, LOGFILE_LIMIT);
    if (!log->file)
        failed(log);
    return log;
}

void console_log_free(struct console_log *log)
{
    if (!log)
        return;
    LIST_REMOVE(log, link);
    logfile_close(log->file);
    free(log->path);
    free(log);
}

void console_log_begin(struct console_log *log, uint16_t domid, const char *uuid)
{
    char line[128], stamp[32] = "";
    time_t now = time(NULL);
    struct tm tm;

    if (gmtime_r(&now, &tm))
        strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%SZ", &tm);
    snprintf(line, sizeof(line), "[xl-dmd: %s, domain %u, %s]\n", stamp, domid, uuid);
    console_log_write(log, line, strlen(line));
}

void console_log_write(struct console_log *log, const char *buf, size_t len)
{
    if (!log)
        return;
    if (log->file && !logfile_write(log->file, buf, len)) {
        log->failing = false;
        return;
    }
    log->lost += len;
    if (log->file)
        failed(log);
}

size_t console_log_offset(const struct console_log *log, size_t len)
{
    return log && log->file ? logfile_offset(log->file, len) : 0;
}

void console_log_reopen(struct console_log *log)
{
    log->failing = false;
    if (!log->file)
        log->file = logfile_open(log->path, LOGFILE_LIMIT);
    else if (!logfile_reopen(log->file))
        return;
    if (!log->file)
        failed(log);
}

const char *console_log_path(const struct console_log *log)
{
    return log->path;
}

uint64_t console_log_lost(const struct console_log *log)
{
    return log->lost;
}
