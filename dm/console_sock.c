/* SPDX-License-Identifier: MIT */
/* The socket of a console. */
#include "dm/console_sock.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>

#include "dm/console.h"
#include "dm/sock.h"

#define INPUT_KEEP       4096 /* bytes read from a client before the guest takes them */
#define FAREWELL_SECONDS 5    /* how long a client may take for its last bytes */

struct client {
    LIST_ENTRY(client) link;
    struct console_sock *sock; /* NULL: the console is gone, the last bytes are on their way */
    struct bufferevent *bev;
    uint64_t skipped; /* bytes since the client last kept up */
    bool held;        /* the guest has no room for its input: nothing is read */
    bool ending;      /* it closed its side; its input is still on the way to the guest */
};

struct console_sock {
    struct console *console;
    struct evconnlistener *listener;
    char *path;
    LIST_HEAD(, client) clients;
    unsigned nr_clients;
    uint64_t skipped;
};

/* Clients of consoles that are gone, who have not read their last bytes yet. */
static LIST_HEAD(, client) leaving = LIST_HEAD_INITIALIZER(leaving);

static void client_free(struct client *client)
{
    LIST_REMOVE(client, link);
    if (client->sock)
        client->sock->nr_clients--;
    bufferevent_free(client->bev);
    free(client);
}

/* libevent calls back without end for a full buffer that is left full, so reading is switched off. */
static void hold(struct client *client, bool held)
{
    if (client->held == held)
        return;
    client->held = held;
    if (held)
        bufferevent_disable(client->bev, EV_READ);
    else if (!client->ending)
        bufferevent_enable(client->bev, EV_READ);
}

/*
 * What the guest has no room for stays in the buffer, and nothing more is read until it has. The client may
 * be gone afterwards.
 */
static void take_input(struct client *client)
{
    struct evbuffer *input = bufferevent_get_input(client->bev);
    char buf[1024];
    size_t taken;
    ev_ssize_t n;

    do {
        n = evbuffer_copyout(input, buf, sizeof(buf));
        if (n <= 0)
            break;
        taken = console_input(client->sock->console, buf, (size_t)n);
        evbuffer_drain(input, taken);
    } while (taken == (size_t)n);
    if (client->ending && !evbuffer_get_length(input))
        client_free(client);
    else
        hold(client, evbuffer_get_length(input) > 0);
}

static void on_read(struct bufferevent *bev, void *arg)
{
    (void)bev;
    take_input(arg);
}

static void on_written(struct bufferevent *bev, void *arg)
{
    struct client *client = arg;

    (void)bev;
    if (!client->sock)
        client_free(client);
}

static void on_event(struct bufferevent *bev, short what, void *arg)
{
    struct client *client = arg;

    if (!client->sock || !(what & BEV_EVENT_EOF) || client->ending) {
        client_free(client);
        return;
    }
    client->ending = true;
    bufferevent_disable(bev, EV_READ);
    take_input(client);
}

/* Has it gone while nothing was read from it? */
static bool hung_up(struct client *client)
{
    struct pollfd p = { .fd = bufferevent_getfd(client->bev), .events = POLLRDHUP };

    return client->ending ||
           (client->held && poll(&p, 1, 0) == 1 && (p.revents & (POLLRDHUP | POLLHUP)));
}

/* A guest that reads no input must not make clients that have gone take the places of others. */
static bool make_room(struct console_sock *sock)
{
    struct client *client;

    if (sock->nr_clients < CONSOLE_CLIENTS_MAX)
        return true;
    LIST_FOREACH(client, &sock->clients, link)
    {
        if (hung_up(client)) {
            client_free(client);
            return true;
        }
    }
    return false;
}

static void on_connect(struct evconnlistener *listener, evutil_socket_t fd,
                       struct sockaddr *address, int size, void *arg)
{
    struct console_sock *sock = arg;
    struct client *client;

    (void)address;
    (void)size;
    if (!sock_peer_allowed(fd) || !make_room(sock)) {
        close(fd);
        return;
    }
    client = calloc(1, sizeof(*client));
    if (client)
        client->bev =
            bufferevent_socket_new(evconnlistener_get_base(listener), fd, BEV_OPT_CLOSE_ON_FREE);
    if (!client || !client->bev) {
        free(client);
        close(fd);
        return;
    }
    client->sock = sock;
    LIST_INSERT_HEAD(&sock->clients, client, link);
    sock->nr_clients++;
    bufferevent_setcb(client->bev, on_read, on_written, on_event, client);
    bufferevent_setwatermark(client->bev, EV_READ, 0, INPUT_KEEP);
    bufferevent_enable(client->bev, EV_READ | EV_WRITE);
}

struct console_sock *console_sock_new(struct console *console, const char *path)
{
    struct console_sock *sock = calloc(1, sizeof(*sock));
    int err;

    if (!sock)
        return NULL;
    LIST_INIT(&sock->clients);
    sock->console = console;
    sock->path = strdup(path);
    if (sock->path)
        sock->listener = sock_listen(console_base(console), path, on_connect, sock);
    if (sock->listener)
        return sock;
    err = errno;
    free(sock->path);
    free(sock);
    errno = err;
    return NULL;
}

static void say_goodbye(struct client *client)
{
    const struct timeval limit = { .tv_sec = FAREWELL_SECONDS };

    if (!evbuffer_get_length(bufferevent_get_output(client->bev))) {
        client_free(client);
        return;
    }
    LIST_REMOVE(client, link);
    client->sock = NULL;
    LIST_INSERT_HEAD(&leaving, client, link);
    bufferevent_disable(client->bev, EV_READ);
    bufferevent_set_timeouts(client->bev, NULL, &limit);
}

void console_sock_free(struct console_sock *sock)
{
    struct client *client;

    if (!sock)
        return;
    while ((client = LIST_FIRST(&sock->clients)))
        say_goodbye(client);
    evconnlistener_free(sock->listener);
    unlink(sock->path);
    free(sock->path);
    free(sock);
}

void console_sock_finish(void)
{
    struct client *client;

    while ((client = LIST_FIRST(&leaving)))
        client_free(client);
}

static void client_output(struct client *client, const char *buf, size_t len)
{
    struct evbuffer *output = bufferevent_get_output(client->bev);
    size_t kept = evbuffer_get_length(output);

    /* Who fell behind gets more when half is free, so that there is not a note for every line. */
    if (kept + len > CONSOLE_CLIENT_KEEP || (client->skipped && kept > CONSOLE_CLIENT_KEEP / 2)) {
        client->skipped += len;
        client->sock->skipped += len;
        return;
    }
    if (client->skipped)
        evbuffer_add_printf(output,
                            "\r\n[xl-dmd: %llu bytes skipped, as this client reads slowly]\r\n",
                            (unsigned long long)client->skipped);
    client->skipped = 0;
    evbuffer_add(output, buf, len);
}

/* Who has connected before the guest wrote is to see it, also if the loop looks at the guest's event first. */
static void accept_waiting(struct console_sock *sock)
{
    int fd;

    for (unsigned n = 0; n < CONSOLE_CLIENTS_MAX; n++) {
        fd = accept4(evconnlistener_get_fd(sock->listener), NULL, NULL,
                     SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0)
            return;
        on_connect(sock->listener, fd, NULL, 0, sock);
    }
}

void console_sock_output(struct console_sock *sock, const char *buf, size_t len)
{
    struct client *client;

    accept_waiting(sock);
    LIST_FOREACH(client, &sock->clients, link)
    client_output(client, buf, len);
}

void console_sock_resume(struct console_sock *sock)
{
    struct client *client, *next;

    for (client = LIST_FIRST(&sock->clients); client; client = next) {
        next = LIST_NEXT(client, link);
        take_input(client);
    }
}

unsigned console_sock_clients(const struct console_sock *sock)
{
    return sock->nr_clients;
}

uint64_t console_sock_skipped(const struct console_sock *sock)
{
    return sock->skipped;
}

const char *console_sock_path(const struct console_sock *sock)
{
    return sock->path;
}
