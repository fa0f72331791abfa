/* SPDX-License-Identifier: MIT */
/*
 * Two clients of the control socket: overtake PATH FIRST SECOND. One sends FIRST, then the other SECOND. Prints in which order the
 * answers come, and after how many milliseconds; ends with 0 if SECOND's comes before FIRST's, else 1.
 */
#define _GNU_SOURCE
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { PATIENCE_MS = 30000 };

struct client {
    int fd;
    char text[65536]; /* what has come since the request was sent */
    size_t len;
};

static double now_ms(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec * 1000 + (double)ts.tv_nsec / 1e6;
}

static void fail(const char *what)
{
    perror(what);
    exit(2);
}

static void say(struct client *c, const char *request)
{
    c->len = 0;
    c->text[0] = 0;
    if (write(c->fd, request, strlen(request)) != (ssize_t)strlen(request))
        fail("write");
}

/* Whether an answer is there, events apart. */
static int has_answer(const struct client *c)
{
    return strstr(c->text, "\"return\"") || strstr(c->text, "\"error\"");
}

static void take(struct client *c)
{
    ssize_t n = read(c->fd, c->text + c->len, sizeof(c->text) - 1 - c->len);

    if (n <= 0)
        fail("read");
    c->len += (size_t)n;
    c->text[c->len] = 0;
}

static void await(struct client *c)
{
    while (!has_answer(c))
        take(c);
}

static void open_client(struct client *c, const char *path)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };

    strncpy(address.sun_path, path, sizeof(address.sun_path) - 1);
    c->fd = socket(AF_UNIX, SOCK_STREAM, 0);
    if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&address, sizeof(address)))
        fail(path);
    say(c, "{\"execute\": \"qmp_capabilities\"}");
    await(c);
}

int main(int argc, char **argv)
{
    static struct client client[2];
    struct pollfd fds[2];
    int order[2], nr = 0;
    double start;

    if (argc != 4)
        return 2;
    for (int i = 0; i < 2; i++) {
        open_client(&client[i], argv[1]);
        fds[i] = (struct pollfd){ .fd = client[i].fd, .events = POLLIN };
    }
    start = now_ms();
    for (int i = 0; i < 2; i++)
        say(&client[i], argv[2 + i]);
    while (nr < 2) {
        if (poll(fds, 2, PATIENCE_MS) <= 0)
            fail("poll");
        for (int i = 0; i < 2; i++) {
            if (!(fds[i].revents & POLLIN))
                continue;
            take(&client[i]);
            if (!has_answer(&client[i]))
                continue;
            fds[i].fd = -1;
            order[nr++] = i;
            printf("%s after %.1f ms: %s\n", i ? "second" : "first", now_ms() - start, client[i].text);
        }
    }
    return order[0] == 1 ? 0 : 1;
}
