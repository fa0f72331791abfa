/* SPDX-License-Identifier: MIT */
/* The control socket. */
#include "dm/control.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <json-c/json.h>

#include "dm/dmd.h"
#include "dm/logfile.h"
#include "dm/qmp.h"
#include "dm/qmp_frame.h"
#include "dm/sock.h"

#define INPUT_KEEP 16384     /* bytes read from a client ahead of its turn */
#define REQUESTS_AT_ONCE 32  /* then others get their turn */
#define HALF_SENT_SECONDS 30 /* how long a request may take from its first byte to its last */
#define FAREWELL_SECONDS 5   /* how long a client that has finished may take for its answers */

struct client {
    LIST_ENTRY(client) link;
    struct control *control;
    struct bufferevent *bev;
    struct event *half_sent;
    struct qmp_framer framer;
    struct qmp_session session;
    unsigned lost_events; /* since the client last kept up */
    bool waiting;         /* its requests wait until it has read its answers */
    bool end_of_file;     /* it sends nothing more; what it sent is still being answered */
    bool ending;          /* everything is answered; close when it has the answers */
};

struct control {
    struct dmd *dmd;
    struct evconnlistener *listener;
    char *path;
    LIST_HEAD(, client) clients;
    unsigned nr_clients;
};

static void client_free(struct client *client)
{
    LIST_REMOVE(client, link);
    client->control->nr_clients--;
    qmp_session_end(&client->session);
    if (client->half_sent)
        event_free(client->half_sent);
    if (client->bev)
        bufferevent_free(client->bev);
    qmp_frame_free(&client->framer);
    free(client);
}

static size_t kept_for(struct client *client)
{
    return evbuffer_get_length(bufferevent_get_output(client->bev));
}

static void send_object(struct client *client, struct json_object *object)
{
    struct evbuffer *output = bufferevent_get_output(client->bev);
    const char *text = json_object_to_json_string_ext(object, JSON_C_TO_STRING_SPACED);

    if (text)
        evbuffer_add_printf(output, "%s\r\n", text);
    json_object_put(object);
}

/* Feeds the next bytes; returns whether they ended a request (or what should have been one). */
static bool one_request(struct client *client, struct evbuffer *input)
{
    enum qmp_frame_result result = QMP_FRAME_MORE;
    struct json_object *reply;
    char buf[1024];
    ev_ssize_t n;

    while (result == QMP_FRAME_MORE) {
        n = evbuffer_copyout(input, buf, sizeof(buf));
        if (n <= 0)
            return false;
        evbuffer_drain(input, qmp_frame_feed(&client->framer, buf, (size_t)n, &result));
    }
    if (result == QMP_FRAME_ERROR)
        reply = qmp_error_reply(NULL, client->framer.error);
    else
        reply = qmp_request(&client->session, client->framer.text, client->framer.len);
    if (reply)
        send_object(client, reply);
    return true;
}

static void watch_half_sent(struct client *client)
{
    const struct timeval limit = { .tv_sec = HALF_SENT_SECONDS };

    if (!qmp_frame_partial(&client->framer))
        event_del(client->half_sent);
    else if (!event_pending(client->half_sent, EV_TIMEOUT, NULL))
        event_add(client->half_sent, &limit);
}

static void limit_farewell(struct client *client)
{
    const struct timeval limit = { .tv_sec = FAREWELL_SECONDS };

    bufferevent_disable(client->bev, EV_READ);
    bufferevent_set_timeouts(client->bev, NULL, &limit);
}

/* No more requests from this client; it may still take what is kept for it. */
static void finish(struct client *client)
{
    if (qmp_frame_partial(&client->framer))
        send_object(client, qmp_error_reply(NULL, "The request ends in the middle"));
    qmp_frame_free(&client->framer);
    event_del(client->half_sent);
    if (!kept_for(client)) {
        client_free(client);
        return;
    }
    client->ending = true;
    limit_farewell(client);
}

/*
 * Handles a few requests, as many as the client has room for in its answers. The rest comes when it has
 * read them, or in the loop's next turn; after a request that takes its time, when that is answered.
 */
static void serve(struct client *client)
{
    struct evbuffer *input = bufferevent_get_input(client->bev);
    int done = 0;

    while (kept_for(client) < CONTROL_KEEP && done < REQUESTS_AT_ONCE && !client->session.later &&
           one_request(client, input))
        done++;
    watch_half_sent(client);
    /* libevent calls back without end for a full buffer that is left full: reading is switched off. */
    client->waiting = kept_for(client) >= CONTROL_KEEP;
    if (client->waiting || client->session.later)
        bufferevent_disable(client->bev, EV_READ);
    else if (!client->end_of_file)
        bufferevent_enable(client->bev, EV_READ);
    if (client->session.later)
        return;
    if (client->end_of_file && !evbuffer_get_length(input))
        finish(client);
    else if (done == REQUESTS_AT_ONCE && !client->waiting)
        bufferevent_trigger(client->bev, EV_READ,
                            BEV_TRIG_IGNORE_WATERMARKS | BEV_TRIG_DEFER_CALLBACKS);
}

static void on_read(struct bufferevent *bev, void *arg)
{
    struct client *client = arg;

    (void)bev;
    if (!client->ending && !client->waiting && !client->session.later)
        serve(client);
}

static void on_answered(struct qmp_session *session, struct json_object *reply)
{
    struct client *client = (struct client *)((char *)session - offsetof(struct client, session));

    send_object(client, reply);
    serve(client);
}

static void on_written(struct bufferevent *bev, void *arg)
{
    struct client *client = arg;
    struct json_object *data;

    (void)bev;
    if (client->ending) {
        client_free(client);
        return;
    }
    if (client->lost_events) {
        data = json_object_new_object();
        json_object_object_add(data, "count", json_object_new_int64(client->lost_events));
        client->lost_events = 0;
        send_object(client, qmp_event("EVENTS_LOST", data));
    }
    if (client->waiting && !client->session.later)
        serve(client);
}

static void on_event(struct bufferevent *bev, short what, void *arg)
{
    struct client *client = arg;

    (void)bev;
    if (client->end_of_file || client->ending || !(what & BEV_EVENT_EOF)) {
        client_free(client);
        return;
    }
    /* The other side may close as soon as it has sent its requests. */
    client->end_of_file = true;
    limit_farewell(client);
    serve(client);
}

static void on_half_sent(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    finish(arg);
}

static struct client *client_new(struct control *control, evutil_socket_t fd)
{
    struct event_base *base = evconnlistener_get_base(control->listener);
    struct client *client = calloc(1, sizeof(*client));

    if (!client) {
        close(fd);
        return NULL;
    }
    client->control = control;
    client->session.commands = dmd_commands;
    client->session.context = control->dmd;
    client->session.answered = on_answered;
    LIST_INSERT_HEAD(&control->clients, client, link);
    control->nr_clients++;
    client->bev = bufferevent_socket_new(base, fd, BEV_OPT_CLOSE_ON_FREE);
    if (!client->bev)
        close(fd);
    client->half_sent = evtimer_new(base, on_half_sent, client);
    if (client->bev && client->half_sent)
        return client;
    client_free(client);
    return NULL;
}

static void on_connect(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *address,
                       int size, void *arg)
{
    struct control *control = arg;
    struct client *client;

    (void)listener;
    (void)address;
    (void)size;
    if (control->nr_clients >= CONTROL_CLIENTS_MAX || !sock_peer_allowed(fd)) {
        close(fd);
        return;
    }
    client = client_new(control, fd);
    if (!client)
        return;
    bufferevent_setcb(client->bev, on_read, on_written, on_event, client);
    bufferevent_setwatermark(client->bev, EV_READ, 0, INPUT_KEEP);
    send_object(client, qmp_greeting());
    bufferevent_enable(client->bev, EV_READ | EV_WRITE);
}

struct control *control_new(struct dmd *dmd)
{
    struct control *control = calloc(1, sizeof(*control));

    if (!control)
        return NULL;
    control->dmd = dmd;
    LIST_INIT(&control->clients);
    if (asprintf(&control->path, "%s/control.sock", dmd->options.run_dir) < 0)
        control->path = NULL;
    if (control->path)
        control->listener = sock_listen(dmd->base, control->path, on_connect, control);
    if (control->listener)
        return control;
    message("cannot listen at %s: %m", control->path ? control->path : "the control socket");
    free(control->path);
    free(control);
    return NULL;
}

void control_free(struct control *control)
{
    struct client *client;

    if (!control)
        return;
    while ((client = LIST_FIRST(&control->clients))) {
        (void)evbuffer_write(bufferevent_get_output(client->bev), bufferevent_getfd(client->bev));
        client_free(client);
    }
    evconnlistener_free(control->listener);
    unlink(control->path);
    free(control->path);
    free(control);
}

void control_event(struct control *control, const char *name, struct json_object *data)
{
    struct json_object *event = qmp_event(name, data);
    struct client *client;

    LIST_FOREACH(client, &control->clients, link) {
        if (!client->session.negotiated || client->ending)
            continue;
        if (kept_for(client) < CONTROL_KEEP)
            send_object(client, json_object_get(event));
        else
            client->lost_events++;
    }
    json_object_put(event);
}
