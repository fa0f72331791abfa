/* SPDX-License-Identifier: MIT */
/* The control protocol, apart from sockets: requests become answers. */
#include "dm/qmp.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

#include <json-c/json.h>

#include "dm/qmp_frame.h"

struct qmp_later {
    struct qmp_session *session; /* NULL: it has ended */
    struct json_object *id;      /* of the request */
    bool has_id;
};

void qmp_set_error(struct qmp_error *error, const char *class, const char *fmt, ...)
{
    va_list args;

    error->class = class;
    va_start(args, fmt);
    vsnprintf(error->desc, sizeof(error->desc), fmt, args);
    va_end(args);
}

/* Clients of QMP look for the numbers under "qemu"; the package says what really answers. */
struct json_object *qmp_version(void)
{
    struct json_object *numbers = json_object_new_object(), *version = json_object_new_object();
    int major = 0, minor = 0, micro = 0;

    (void)sscanf(PACKAGE_VERSION, "%d.%d.%d", &major, &minor, &micro);
    json_object_object_add(numbers, "major", json_object_new_int(major));
    json_object_object_add(numbers, "minor", json_object_new_int(minor));
    json_object_object_add(numbers, "micro", json_object_new_int(micro));
    json_object_object_add(version, "qemu", numbers);
    json_object_object_add(version, "package", json_object_new_string("xen-lite " PACKAGE_VERSION));
    return version;
}

struct json_object *qmp_greeting(void)
{
    struct json_object *inner = json_object_new_object(), *greeting = json_object_new_object();

    json_object_object_add(inner, "version", qmp_version());
    json_object_object_add(inner, "capabilities", json_object_new_array());
    json_object_object_add(greeting, "QMP", inner);
    return greeting;
}

struct json_object *qmp_error_reply(const char *class, const char *desc)
{
    struct json_object *inner = json_object_new_object(), *reply = json_object_new_object();

    json_object_object_add(inner, "class", json_object_new_string(class ? class : "GenericError"));
    json_object_object_add(inner, "desc", json_object_new_string(desc));
    json_object_object_add(reply, "error", inner);
    return reply;
}

struct json_object *qmp_event(const char *name, struct json_object *data)
{
    struct json_object *event = json_object_new_object(), *stamp = json_object_new_object();
    struct timeval now;

    gettimeofday(&now, NULL);
    json_object_object_add(stamp, "seconds", json_object_new_int64(now.tv_sec));
    json_object_object_add(stamp, "microseconds", json_object_new_int64(now.tv_usec));
    json_object_object_add(event, "event", json_object_new_string(name));
    if (data)
        json_object_object_add(event, "data", data);
    json_object_object_add(event, "timestamp", stamp);
    return event;
}

static bool has_only(struct json_object *object, const char *const *names, const char **other)
{
    json_object_object_foreach(object, key, value) {
        const char *const *name = names;

        (void)value;
        while (*name && strcmp(*name, key))
            name++;
        if (!*name) {
            *other = key;
            return false;
        }
    }
    return true;
}

/* There is nothing to enable; a client that asks for something learns that it does not get it. */
static struct json_object *negotiate(struct qmp_session *session, struct json_object *arguments,
                                     struct qmp_error *error)
{
    static const char *const names[] = { "enable", NULL };
    struct json_object *enable;
    const char *other;

    if (session->negotiated) {
        qmp_set_error(error, "CommandNotFound", "Capabilities negotiation is already complete");
        return NULL;
    }
    if (!has_only(arguments, names, &other)) {
        qmp_set_error(error, NULL, "qmp_capabilities has no argument '%.64s'", other);
        return NULL;
    }
    if (json_object_object_get_ex(arguments, "enable", &enable) &&
        (!json_object_is_type(enable, json_type_array) || json_object_array_length(enable))) {
        qmp_set_error(error, NULL, "'enable' wants an empty array: there is no capability to enable");
        return NULL;
    }
    session->negotiated = true;
    return json_object_new_object();
}

static struct json_object *execute(struct qmp_session *session, const char *name,
                                   struct json_object *arguments, struct qmp_error *error)
{
    const struct qmp_command *command = session->commands;
    const char *other;

    if (!strcmp(name, "qmp_capabilities"))
        return negotiate(session, arguments, error);
    if (!session->negotiated) {
        qmp_set_error(error, "CommandNotFound",
                      "Expecting capabilities negotiation with 'qmp_capabilities'");
        return NULL;
    }
    while (command->name && strcmp(command->name, name))
        command++;
    if (!command->name) {
        qmp_set_error(error, "CommandNotFound", "The command %.64s has not been found", name);
        return NULL;
    }
    if (!has_only(arguments, command->arguments, &other)) {
        qmp_set_error(error, NULL, "%s has no argument '%.64s'", name, other);
        return NULL;
    }
    return command->run(session->context, arguments, error);
}

static struct json_object *checked_execute(struct qmp_session *session, struct json_object *request,
                                           struct qmp_error *error)
{
    static const char *const members[] = { "execute", "arguments", "id", NULL };
    struct json_object *name, *arguments, *none, *answer;
    const char *other;

    if (!json_object_is_type(request, json_type_object)) {
        qmp_set_error(error, NULL, "A request is a JSON object");
        return NULL;
    }
    if (!has_only(request, members, &other)) {
        qmp_set_error(error, NULL, "A request has no member '%.64s'", other);
        return NULL;
    }
    if (!json_object_object_get_ex(request, "execute", &name) ||
        !json_object_is_type(name, json_type_string)) {
        qmp_set_error(error, NULL, "A request names its command in the string 'execute'");
        return NULL;
    }
    if (!json_object_object_get_ex(request, "arguments", &arguments)) {
        none = json_object_new_object();
        answer = execute(session, json_object_get_string(name), none, error);
        json_object_put(none);
        return answer;
    }
    if (!json_object_is_type(arguments, json_type_object)) {
        qmp_set_error(error, NULL, "'arguments' is a JSON object");
        return NULL;
    }
    return execute(session, json_object_get_string(name), arguments, error);
}

static struct json_object *parse(const char *text, size_t len, struct qmp_error *error)
{
    struct json_tokener *tokener = json_tokener_new_ex(QMP_DEPTH_MAX + 2);
    struct json_object *request = NULL;

    if (!tokener || len > QMP_REQUEST_MAX) {
        qmp_set_error(error, NULL, "The request cannot be read");
    } else {
        json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
        request = json_tokener_parse_ex(tokener, text, (int)len);
        if (!request)
            qmp_set_error(error, NULL, "JSON parse error: %s",
                          json_tokener_error_desc(json_tokener_get_error(tokener)));
    }
    if (tokener)
        json_tokener_free(tokener);
    return request;
}

/* id: what the request had, if it had one; null has no object. It stays the caller's. */
static struct json_object *reply_of(struct json_object *answer, const struct qmp_error *error,
                                    bool has_id, struct json_object *id)
{
    struct json_object *reply;

    if (answer) {
        reply = json_object_new_object();
        json_object_object_add(reply, "return", answer);
    } else {
        reply = qmp_error_reply(error->class, error->desc);
    }
    if (has_id)
        json_object_object_add(reply, "id", json_object_get(id));
    return reply;
}

struct json_object *qmp_request(struct qmp_session *session, const char *text, size_t len)
{
    struct qmp_error error = { .desc = "The command gave no reason", .session = session };
    struct json_object *request = parse(text, len, &error), *answer = NULL, *reply = NULL;
    struct json_object *id = NULL;
    bool has_id = false;

    if (request)
        answer = checked_execute(session, request, &error);
    if (json_object_is_type(request, json_type_object))
        has_id = json_object_object_get_ex(request, "id", &id);
    if (session->later) {
        session->later->has_id = has_id;
        session->later->id = json_object_get(id);
    } else {
        reply = reply_of(answer, &error, has_id, id);
    }
    json_object_put(request);
    return reply;
}

struct qmp_later *qmp_defer(struct qmp_error *error)
{
    struct qmp_later *later = calloc(1, sizeof(*later));

    if (!later)
        return NULL;
    later->session = error->session;
    later->session->later = later;
    return later;
}

void qmp_forget(struct qmp_later *later)
{
    if (later->session)
        later->session->later = NULL;
    json_object_put(later->id);
    free(later);
}

void qmp_answer(struct qmp_later *later, struct json_object *answer, const struct qmp_error *error)
{
    struct qmp_session *session = later->session;
    struct json_object *reply = reply_of(answer, error, later->has_id, later->id);

    qmp_forget(later);
    if (session)
        session->answered(session, reply);
    else
        json_object_put(reply);
}

void qmp_session_end(struct qmp_session *session)
{
    if (session->later)
        session->later->session = NULL;
    session->later = NULL;
}
