/* SPDX-License-Identifier: MIT */
/* One guest's console: attaching, and the traffic between its ring and the pty, the log and the socket. */
#include "dm/console.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <event2/event.h>
#include <json-c/json.h>

#include "dm/console_log.h"
#include "dm/console_mark.h"
#include "dm/console_pty.h"
#include "dm/console_sock.h"
#include "dm/dmd.h"
#include "dm/hv.h"
#include "dm/logfile.h"
#include "dm/ring.h"

/*
 * A guest that does nothing but send events gets this many answered in a window; its port then stays masked
 * until the window is over. Two rings a millisecond are far more than any console needs.
 */
#define WINDOW_MS 200
#define WINDOW_EVENTS 400

struct console {
    struct domain *domain;
    enum console_state state;
    char reason[160];
    struct console_ring ring;
    struct hv_port *port; /* NULL: not bound */
    struct event *port_event;
    uint32_t remote_port;
    struct console_log *log;
    struct console_mark *mark; /* NULL: could not be made; a daemon that is killed may write text twice then */
    struct console_pty *pty;
    struct console_sock *sock;
    struct event *window_timer;
    uint64_t window_start_ms;
    unsigned window_events;
    uint64_t output_bytes, input_bytes;
};

static struct hv *hv_of(const struct console *console)
{
    return console->domain->dmd->hv;
}

struct event_base *console_base(const struct console *console)
{
    return console->domain->dmd->base;
}

/* Notes why the console is not attached; says so once a reason. */
__attribute__((format(printf, 2, 3))) static void set_reason(struct console *console, const char *fmt,
                                                             ...)
{
    char text[sizeof(console->reason)];
    va_list args;

    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    if (!strcmp(text, console->reason))
        return;
    strcpy(console->reason, text);
    message("console of %s (domain %u): %s", console->domain->name, console->domain->domid, text);
}

struct console *console_new(struct domain *domain)
{
    struct console *console = calloc(1, sizeof(*console));

    if (!console)
        return NULL;
    console->domain = domain;
    strcpy(console->reason, "the domain's builder has not made its console yet");
    return console;
}

static void output(struct console *console, const char *buf, size_t len)
{
    console_log_write(console->log, buf, len);
    console_pty_output(console->pty, buf, len);
    console_sock_output(console->sock, buf, len);
}

/* Gives the guest's page and port back. The pty, the log and the clients stay. */
static void release_ring(struct console *console)
{
    if (console->port_event)
        event_free(console->port_event);
    console->port_event = NULL;
    hv_unbind(console->port);
    console->port = NULL;
    if (console->ring.page)
        hv_unmap(hv_of(console), console->ring.page);
    console->ring.page = NULL;
}

static void disable_broken(struct console *console)
{
    static const char note[] = "\r\n[xl-dmd: the guest broke its console ring; this console is off]\r\n";
    struct json_object *data = json_object_new_object();

    console->state = CONSOLE_BROKEN;
    set_reason(console, "the guest's ring indexes make no sense; the console is off");
    output(console, note, sizeof(note) - 1);
    release_ring(console);
    json_object_object_add(data, "domid", json_object_new_int(console->domain->domid));
    json_object_object_add(data, "name", json_object_new_string(console->domain->name));
    json_object_object_add(data, "reason", json_object_new_string(console->reason));
    dmd_event(console->domain->dmd, "CONSOLE_BROKEN", data);
}

/*
 * Reads what the ring held when this began, and no more: a guest that goes on writing sends an event for
 * it, and others get their turn first.
 */
static void read_ring(struct console *console)
{
    char buf[sizeof(console->ring.page->out)];
    int n = ring_peek(&console->ring, buf, sizeof(buf));

    if (n < 0) {
        disable_broken(console);
        return;
    }
    if (!n)
        return;
    console->output_bytes += (unsigned)n;
    console_mark_set(console->mark, console->ring.out_cons, (uint32_t)n,
                     console_log_offset(console->log, (size_t)n));
    output(console, buf, (size_t)n);
    /* Only now: what a killed daemon has not logged is still in the ring. */
    ring_done(&console->ring, (uint32_t)n);
    console_mark_clear(console->mark);
    hv_notify(console->port);
}

/* Skips what a predecessor logged without coming to tell the guest. */
static void skip_logged(struct console *console)
{
    char buf[sizeof(console->ring.page->out)];
    uint32_t logged = console_mark_logged(console->mark, console->ring.out_cons,
                                          console_log_offset(console->log, 0));
    int n = ring_peek(&console->ring, buf, logged);

    if (n > 0)
        ring_done(&console->ring, (uint32_t)n);
    console_mark_clear(console->mark);
}

void console_poll(struct console *console)
{
    if (console->state == CONSOLE_ATTACHED)
        read_ring(console);
}

static void offer_room(struct console *console)
{
    if (console->state == CONSOLE_ATTACHED && ring_space(&console->ring)) {
        console_pty_resume(console->pty);
        console_sock_resume(console->sock);
    }
    if (console->state == CONSOLE_ATTACHED && console->ring.broken)
        disable_broken(console);
}

static uint64_t now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* Has the guest sent so many events that the next ones have to wait? */
static bool over_limit(struct console *console)
{
    const uint64_t now = now_ms();

    if (now - console->window_start_ms >= WINDOW_MS) {
        console->window_start_ms = now;
        console->window_events = 0;
    }
    return ++console->window_events > WINDOW_EVENTS;
}

static void on_window_end(evutil_socket_t fd, short what, void *arg)
{
    struct console *console = arg;

    (void)fd;
    (void)what;
    console_poll(console);
    offer_room(console);
    if (console->port)
        hv_unmask(console->port);
}

static void on_event(evutil_socket_t fd, short what, void *arg)
{
    const struct timeval window = { .tv_usec = WINDOW_MS * 1000 };
    struct console *console = arg;

    (void)fd;
    (void)what;
    if (!hv_take(console->port))
        return;
    console_poll(console);
    offer_room(console);
    if (!console->port)
        return;
    if (over_limit(console))
        event_add(console->window_timer, &window);
    else
        hv_unmask(console->port);
}

size_t console_input(struct console *console, const char *buf, size_t len)
{
    size_t n;

    if (console->state != CONSOLE_ATTACHED)
        return len; /* nobody will ever read it */
    n = ring_write(&console->ring, buf, len);
    if (n) {
        console->input_bytes += n;
        hv_notify(console->port);
    }
    return n;
}

static char *console_path(const struct console *console, const char *end)
{
    char *path;

    if (asprintf(&path, "%s/console/%u.%s", console->domain->dmd->options.run_dir,
                 console->domain->domid, end) < 0)
        return NULL;
    return path;
}

/* What does not depend on the guest: kept when a later step has to be tried again. */
static bool open_outlets(struct console *console)
{
    const struct domain *domain = console->domain;
    char *pty_path = console_path(console, "pty"), *sock_path = console_path(console, "sock");
    char *mark_path = console_path(console, "mark");

    if (!console->window_timer)
        console->window_timer = evtimer_new(console_base(console), on_window_end, console);
    if (!console->log)
        console->log = console_log_new(domain->dmd->options.log_dir, domain->name, domain->domid);
    if (!console->pty && pty_path)
        console->pty = console_pty_new(console, pty_path);
    if (!console->pty)
        set_reason(console, "cannot make a pty: %m");
    else if (!console->sock && sock_path)
        console->sock = console_sock_new(console, sock_path);
    if (console->pty && !console->sock)
        set_reason(console, "cannot listen at %s: %m", sock_path ? sock_path : "its socket");
    if (!console->mark && mark_path)
        console->mark = console_mark_open(mark_path, domain->handle);
    free(pty_path);
    free(sock_path);
    free(mark_path);
    return console->log && console->pty && console->sock && console->window_timer;
}

static bool find_ring(struct console *console, uint64_t *gfn, uint32_t *port)
{
    const struct domain *domain = console->domain;

    *gfn = domain->file_gfn;
    *port = domain->file_port;
    if (*gfn && *port)
        return true;
    if (hv_console_params(hv_of(console), domain->domid, gfn, port)) {
        set_reason(console, "its parameters cannot be read: %m");
        return false;
    }
    /* Zero is what the parameters are before the builder sets them, and in a guest without console. */
    return *gfn && *port;
}

static int bind_port(struct console *console, uint32_t remote)
{
    console->port = hv_bind(hv_of(console), console->domain->domid, remote);
    if (!console->port) {
        set_reason(console, "event channel %u cannot be bound: %m%s", remote,
                   errno == EINVAL ? " (has another program it?)" : "");
        return -1;
    }
    console->port_event = event_new(console_base(console), hv_port_fd(console->port),
                                    EV_READ | EV_PERSIST, on_event, console);
    if (console->port_event && !event_add(console->port_event, NULL))
        return 0;
    set_reason(console, "not enough memory");
    return -1;
}

void console_attach(struct console *console)
{
    const struct domain *domain = console->domain;
    uint64_t gfn;
    uint32_t port;
    void *page;

    if (console->state != CONSOLE_WAITING || !find_ring(console, &gfn, &port) ||
        !open_outlets(console))
        return;
    page = hv_map(hv_of(console), domain->domid, gfn);
    if (!page) {
        set_reason(console, "frame 0x%llx cannot be mapped: %m", (unsigned long long)gfn);
        return;
    }
    ring_attach(&console->ring, page);
    if (bind_port(console, port)) {
        release_ring(console);
        return;
    }
    console->remote_port = port;
    console->state = CONSOLE_ATTACHED;
    console->reason[0] = 0;
    skip_logged(console);
    console_log_begin(console->log, domain->domid, domain->uuid);
    /* Not unmasked: an event that has come already waits to be taken. */
    console_poll(console);
    offer_room(console);
}

void console_free(struct console *console)
{
    if (!console)
        return;
    console_poll(console);
    release_ring(console);
    if (console->window_timer)
        event_free(console->window_timer);
    console_sock_free(console->sock);
    console_pty_free(console->pty);
    console_log_free(console->log);
    console_mark_free(console->mark);
    free(console);
}

void console_reopen_log(struct console *console)
{
    if (console->log)
        console_log_reopen(console->log);
}

void console_renamed(struct console *console)
{
    const struct domain *domain = console->domain;

    if (!console->log)
        return;
    console_log_free(console->log);
    console->log = console_log_new(domain->dmd->options.log_dir, domain->name, domain->domid);
    if (console->state == CONSOLE_ATTACHED)
        console_log_begin(console->log, domain->domid, domain->uuid);
}

void console_info(const struct console *console, struct console_info *info)
{
    *info = (struct console_info){
        .state = console->state,
        .reason = console->reason,
        .pty = console->pty ? console_pty_name(console->pty) : "",
        .socket = console->sock ? console_sock_path(console->sock) : "",
        .log = console->log ? console_log_path(console->log) : "",
        .output_bytes = console->output_bytes,
        .input_bytes = console->input_bytes,
        .log_lost_bytes = console->log ? console_log_lost(console->log) : 0,
        .port = console->remote_port,
    };
    if (console->pty)
        info->skipped_bytes += console_pty_skipped(console->pty);
    if (console->sock) {
        info->skipped_bytes += console_sock_skipped(console->sock);
        info->clients = console_sock_clients(console->sock);
    }
}
