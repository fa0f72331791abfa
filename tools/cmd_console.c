/* SPDX-License-Identifier: MIT */
/*
 * xl-lite console: joins this terminal to a guest's console, which xl-dmd keeps and offers as a
 * socket of raw bytes. Ctrl-] detaches.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "xl.h"

#define DETACH_KEY 0x1d /* Ctrl-] */

static struct termios saved;
static bool changed;

static void restore_terminal(void)
{
    if (changed) {
        tcsetattr(STDIN_FILENO, TCSANOW, &saved);
        changed = false;
    }
}

static void on_signal(int number)
{
    /* tcsetattr() is safe here; the terminal must not stay raw. */
    restore_terminal();
    _exit(128 + number);
}

static void make_raw(void)
{
    struct termios raw;

    if (tcgetattr(STDIN_FILENO, &saved) != 0) {
        return;
    }
    raw = saved;
    cfmakeraw(&raw);
    if (tcsetattr(STDIN_FILENO, TCSANOW, &raw) == 0) {
        changed = true;
        signal(SIGTERM, on_signal);
        signal(SIGHUP, on_signal);
        signal(SIGINT, on_signal);
        atexit(restore_terminal);
    }
}

static int connect_once(uint32_t domid)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0) {
        return -errno;
    }
    snprintf(address.sun_path, sizeof(address.sun_path), STATE_CONSOLE_DIR "/%u.sock", domid);
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0) {
        const int error = errno;

        close(fd);
        return -error;
    }
    return fd;
}

int xl_console_open(uint32_t domid, unsigned wait_ms)
{
    const struct timespec nap = { .tv_nsec = 50 * 1000 * 1000 };
    int fd = connect_once(domid);

    for (unsigned waited = 0; fd < 0 && waited < wait_ms; waited += 50) {
        nanosleep(&nap, NULL);
        fd = connect_once(domid);
    }
    if (fd == -ENOENT || fd == -ECONNREFUSED) {
        xl_error("domain %u has no console open: is xl-dmd running?", domid);
    } else if (fd < 0) {
        xl_error("cannot connect to the console of domain %u: %s", domid, strerror(-fd));
    }
    return fd;
}

static int send_all(int fd, const char *data, size_t len)
{
    while (len > 0) {
        const ssize_t n = write(fd, data, len);

        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return -1;
        }
        data += n;
        len -= (size_t)n;
    }
    return 0;
}

/* One read from the keyboard. Returns 1 to detach, 0 to go on, -1 if the console is gone. */
static int from_keyboard(int fd, bool *open)
{
    char data[512];
    const ssize_t n = read(STDIN_FILENO, data, sizeof(data));
    const char *key;

    if (n <= 0) {
        /* Input ended (a pipe or /dev/null): go on printing. */
        *open = false;
        return 0;
    }
    key = changed ? memchr(data, DETACH_KEY, (size_t)n) : NULL;
    if (send_all(fd, data, key != NULL ? (size_t)(key - data) : (size_t)n) != 0) {
        return -1;
    }
    return key != NULL ? 1 : 0;
}

static int relay(int fd)
{
    bool keyboard = true;

    for (;;) {
        struct pollfd fds[] = { { .fd = fd, .events = POLLIN },
                                { .fd = keyboard ? STDIN_FILENO : -1, .events = POLLIN } };
        char data[4096];

        if (poll(fds, 2, -1) < 0 && errno != EINTR) {
            return -1;
        }
        if ((fds[0].revents & (POLLIN | POLLHUP | POLLERR)) != 0) {
            const ssize_t n = read(fd, data, sizeof(data));

            if (n <= 0) {
                return 0;
            }
            if (send_all(STDOUT_FILENO, data, (size_t)n) != 0) {
                return -1;
            }
        }
        if ((fds[1].revents & (POLLIN | POLLHUP | POLLERR)) != 0) {
            const int rc = from_keyboard(fd, &keyboard);

            if (rc != 0) {
                return rc > 0 ? 0 : -1;
            }
        }
    }
}

int xl_console_relay(int fd)
{
    int rc;

    fflush(stdout);
    make_raw();
    signal(SIGPIPE, SIG_IGN);
    rc = relay(fd);
    restore_terminal();
    close(fd);
    return rc == 0 ? XL_OK : XL_FAILED;
}

int cmd_console(int argc, char **argv)
{
    uint32_t domid;
    int fd, status = XL_USAGE;

    if (xl_getopt(argc, argv, "", NULL, &status) != -1) {
        return status;
    }
    if (xl_arguments(argc, 1, 1) != 0) {
        return XL_USAGE;
    }
    if (xl_find_domain(argv[optind], &domid) != 0) {
        return XL_FAILED;
    }
    if (domid == 0) {
        xl_error("the control domain's console is this machine's own");
        return XL_FAILED;
    }
    fd = xl_console_open(domid, 0);
    return fd < 0 ? XL_FAILED : xl_console_relay(fd);
}
