/* SPDX-License-Identifier: MIT */
/* The pty of a console. */
#include "dm/console_pty.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include <event2/event.h>

#include "dm/console.h"

struct console_pty {
    struct console *console;
    int master;
    int slave; /* kept open: without it the master would report a hang-up all the time */
    char *link;
    char name[64];
    struct event *readable;
    char held[512]; /* input that was read and for which the guest had no room */
    size_t held_len;
    uint64_t skipped;
};

static void flush_held(struct console_pty *pty)
{
    size_t n = console_input(pty->console, pty->held, pty->held_len);

    pty->held_len -= n;
    memmove(pty->held, pty->held + n, pty->held_len);
}

/* While the guest has no room, nothing is read: whoever writes to the pty waits. */
static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    struct console_pty *pty = arg;
    ssize_t n;

    (void)what;
    n = read(fd, pty->held, sizeof(pty->held));
    if (n <= 0)
        return;
    pty->held_len = (size_t)n;
    flush_held(pty);
    if (pty->held_len)
        event_del(pty->readable);
}

void console_pty_resume(struct console_pty *pty)
{
    if (!pty->held_len)
        return;
    flush_held(pty);
    if (!pty->held_len)
        event_add(pty->readable, NULL);
}

static int open_pair(struct console_pty *pty)
{
    struct termios t;

    pty->master = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
    if (pty->master < 0 || grantpt(pty->master) || unlockpt(pty->master) ||
        ptsname_r(pty->master, pty->name, sizeof(pty->name)))
        return -1;
    pty->slave = open(pty->name, O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (pty->slave < 0 || tcgetattr(pty->slave, &t))
        return -1;
    cfmakeraw(&t);
    return tcsetattr(pty->slave, TCSANOW, &t);
}

/* Replaces a link that a predecessor left, in one step. */
static int make_link(struct console_pty *pty, const char *path)
{
    char *temporary;
    int r;

    pty->link = strdup(path);
    if (!pty->link || asprintf(&temporary, "%s.new", path) < 0)
        return -1;
    unlink(temporary);
    r = symlink(pty->name, temporary);
    if (!r)
        r = rename(temporary, path);
    free(temporary);
    return r;
}

struct console_pty *console_pty_new(struct console *console, const char *link_path)
{
    struct console_pty *pty = calloc(1, sizeof(*pty));
    int err;

    if (!pty)
        return NULL;
    pty->console = console;
    pty->master = pty->slave = -1;
    if (!open_pair(pty) && !make_link(pty, link_path)) {
        pty->readable = event_new(console_base(console), pty->master, EV_READ | EV_PERSIST,
                                  on_readable, pty);
        if (pty->readable && !event_add(pty->readable, NULL))
            return pty;
    }
    err = errno;
    console_pty_free(pty);
    errno = err;
    return NULL;
}

void console_pty_free(struct console_pty *pty)
{
    if (!pty)
        return;
    if (pty->readable)
        event_free(pty->readable);
    if (pty->link)
        unlink(pty->link);
    free(pty->link);
    if (pty->slave >= 0)
        close(pty->slave);
    if (pty->master >= 0)
        close(pty->master);
    free(pty);
}

/*
 * The kernel keeps some 4 KiB for a reader. When nobody took them, the old text goes and the new one is
 * kept: who opens the pty later sees the end of what was said.
 */
void console_pty_output(struct console_pty *pty, const char *buf, size_t len)
{
    int pending = 0;
    ssize_t n = 0;

    for (int attempt = 0; len && attempt < 2; attempt++) {
        n = write(pty->master, buf, len);
        if (n > 0) {
            buf += n;
            len -= (size_t)n;
        }
        if (!len || attempt)
            break;
        if (!ioctl(pty->slave, FIONREAD, &pending) && pending > 0)
            pty->skipped += (unsigned)pending;
        tcflush(pty->slave, TCIFLUSH);
    }
    pty->skipped += len;
}

uint64_t console_pty_skipped(const struct console_pty *pty)
{
    return pty->skipped;
}

const char *console_pty_name(const struct console_pty *pty)
{
    return pty->name;
}
