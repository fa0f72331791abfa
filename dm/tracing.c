/* SPDX-License-Identifier: MIT */
/* Listening to trap records. */
#include "dm/tracing.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>
#include <json-c/json.h>

#include "dm/devices.h"
#include "dm/dmd.h"
#include "dm/hv_server.h"
#include "dm/json.h"
#include "dm/logfile.h"
#include "libs/xenlite.h"

#define READ_MS       200
#define EVENT_RECORDS 100 /* in one event */
#define EVENTS_A_READ                                                                              \
    10 /* more would only fill what clients do not read; the rest counts as lost */

struct tracing {
    struct dmd *dmd;
    struct event *timer;
    bool runs;
    struct xenlite_trace_session session;
    struct trap_filter filter;
    unsigned reads_left;
    int64_t told;
    struct xenlite_handler *handlers;
    struct xenlite_rule *rules;
    unsigned nr_handlers, nr_rules;
    struct xenlite_trap_record kept[TRACING_KEEP];
    unsigned nr_kept;
};

bool trap_matches(const struct trap_filter *f, const struct xenlite_trap_record *r)
{
    return (f->domid < 0 || f->domid == r->domid) && (f->kind < 0 || f->kind == r->kind) &&
           (f->disposition < 0 || f->disposition == r->disposition) &&
           (!f->has_bdf || f->sbdf == r->sbdf);
}

static void add_rule(struct json_object *object, const struct xenlite_trap_record *record,
                     const struct xenlite_rule *rules, unsigned nr)
{
    if (record->kind != XENLITE_TRAP_DENY || record->rule >= nr)
        return;
    add_string(object, "rule", rules[record->rule].name);
    add_string(object, "sentence", rules[record->rule].sentence);
}

struct json_object *describe_record(struct dmd *dmd, const struct xenlite_trap_record *record,
                                    const struct xenlite_handler *handlers, unsigned nr_handlers,
                                    const struct xenlite_rule *rules, unsigned nr_rules)
{
    struct json_object *object = json_object_new_object();
    const struct policy *policy = models_policy(dmd->models);

    add_number(object, "time-ns", record->time);
    if (record->domid < 0x7ff0)
        add_number(object, "domid", record->domid);
    if (record->vcpu != XENLITE_NO_VCPU)
        add_number(object, "vcpu", record->vcpu);
    add_string(object, "kind", xenlite_kind_name(record->kind));
    if (record->sbdf != XENLITE_NO_DEVICE)
        add_bdf(object, "bdf", record->sbdf);
    add_hex(object, "address", record->addr);
    add_number(object, "size", record->size);
    add_bool(object, "write", record->write);
    add_hex(object, "value", record->value);
    add_string(object, "disposition", xenlite_disposition_name(record->disposition));
    if (record->kind != XENLITE_TRAP_DENY && record->handler < nr_handlers)
        add_string(object, "handler", handlers[record->handler].name);
    add_number(object, "ns", record->ns);
    if (record->kind == XENLITE_TRAP_DECIDE) {
        add_string(object, "reason", policy_reason(policy, record->reason));
        add_string(object, "policy-rule", policy_rule_name(policy, record->reason));
    }
    add_rule(object, record, rules, nr_rules);
    return object;
}

/* The newest are kept. */
static void keep(struct tracing *t, const struct xenlite_trap_record *record)
{
    if (t->nr_kept == TRACING_KEEP) {
        memmove(t->kept, t->kept + TRACING_KEEP / 2, TRACING_KEEP / 2 * sizeof(t->kept[0]));
        t->nr_kept = TRACING_KEEP / 2;
    }
    t->kept[t->nr_kept++] = *record;
}

static void send_records(struct tracing *t, struct json_object *array, uint64_t lost)
{
    struct json_object *data = json_object_new_object();

    t->told += (int64_t)json_object_array_length(array);
    json_object_object_add(data, "records", array);
    add_number(data, "lost", lost);
    dmd_event(t->dmd, "TRAP_RECORDS", data);
}

static void tell(struct tracing *t, const struct xenlite_trap_record *records, unsigned nr,
                 uint64_t lost)
{
    struct json_object *array = json_object_new_array();
    unsigned events = 0;

    for (unsigned i = 0; i < nr; i++) {
        if (!trap_matches(&t->filter, &records[i]))
            continue;
        keep(t, &records[i]);
        if (events == EVENTS_A_READ) {
            lost++;
            continue;
        }
        json_object_array_add(array, describe_record(t->dmd, &records[i], t->handlers,
                                                     t->nr_handlers, t->rules, t->nr_rules));
        if (json_object_array_length(array) == EVENT_RECORDS) {
            send_records(t, array, 0);
            array = json_object_new_array();
            events++;
        }
    }
    if (json_object_array_length(array) || lost)
        send_records(t, array, lost);
    else
        json_object_put(array);
}

static void end(struct tracing *t, const char *why)
{
    struct json_object *data = json_object_new_object();

    t->runs = false;
    event_del(t->timer);
    free(t->handlers);
    free(t->rules);
    t->handlers = NULL;
    t->rules = NULL;
    t->nr_handlers = t->nr_rules = 0;
    add_string(data, "reason", why);
    add_number(data, "records", (uint64_t)t->told);
    dmd_event(t->dmd, "TRAP_TRACE_STOPPED", data);
}

static bool read_rings(struct tracing *t)
{
    struct xenlite_trap_record *records;
    uint64_t lost = 0;
    unsigned nr;

    if (xenlite_trace_read_all(hv_xc(t->dmd->hv), &t->session, &records, &nr, &lost))
        return false;
    tell(t, records, nr, lost);
    free(records);
    return true;
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    const struct timeval again = { .tv_usec = READ_MS * 1000 };
    struct tracing *t = arg;

    (void)fd;
    (void)what;
    if (!read_rings(t)) {
        end(t, strerror(errno));
    } else if (!--t->reads_left) {
        (void)xenlite_trace_stop(hv_xc(t->dmd->hv), &t->session);
        end(t, "its time is over");
    } else {
        event_add(t->timer, &again);
    }
}

bool tracing_start(struct tracing *t, const struct trap_filter *filter, unsigned seconds,
                   struct qmp_error *error)
{
    const struct timeval soon = { .tv_usec = READ_MS * 1000 };
    xc_interface *xc = hv_xc(t->dmd->hv);

    if (!t->runs) {
        if (xenlite_trace_start(xc, &t->session)) {
            if (errno == EBUSY)
                qmp_set_error(error, NULL, "another program listens to trap records already");
            else
                hv_failed("trap records cannot be listened to", error);
            return false;
        }
        t->runs = true;
        t->told = 0;
        t->nr_kept = 0;
        if (xenlite_handlers(xc, &t->handlers, &t->nr_handlers))
            t->nr_handlers = 0;
        if (xenlite_rules(xc, &t->rules, &t->nr_rules))
            t->nr_rules = 0;
        event_add(t->timer, &soon);
    }
    t->filter = *filter;
    t->reads_left = seconds * 1000 / READ_MS;
    return true;
}

int64_t tracing_stop(struct tracing *t)
{
    if (!t->runs)
        return -1;
    (void)read_rings(t);
    (void)xenlite_trace_stop(hv_xc(t->dmd->hv), &t->session);
    end(t, "it was stopped");
    return t->told;
}

bool tracing_runs(const struct tracing *t)
{
    return t->runs;
}

const struct xenlite_trap_record *tracing_kept(const struct tracing *t, unsigned *nr)
{
    *nr = t->nr_kept;
    return t->kept;
}

struct tracing *tracing_new(struct dmd *dmd)
{
    struct tracing *t = calloc(1, sizeof(*t));

    if (!t)
        return NULL;
    t->dmd = dmd;
    t->timer = evtimer_new(dmd->base, on_timer, t);
    if (t->timer)
        return t;
    message("not enough memory");
    free(t);
    return NULL;
}

void tracing_free(struct tracing *t)
{
    if (!t)
        return;
    if (t->runs)
        (void)xenlite_trace_stop(hv_xc(t->dmd->hv), &t->session);
    event_free(t->timer);
    free(t->handlers);
    free(t->rules);
    free(t);
}
