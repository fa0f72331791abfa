/* SPDX-License-Identifier: MIT */
/*
 * The control protocol, apart from sockets: QEMU's Machine Protocol (QMP) with other commands. A greeting,
 * qmp_capabilities, then requests {"execute", "arguments", "id"} that are answered in their order by
 * {"return"} or {"error": {"class", "desc"}}; events come in between.
 */
#ifndef DM_QMP_H
#define DM_QMP_H

#include <stdbool.h>
#include <stddef.h>

struct json_object;

struct qmp_error {
    const char *class; /* NULL: GenericError */
    char desc[600];
};

/*
 * A command. arguments ends with NULL; others are refused before run() is called. run() gets an object (it
 * may be empty) and returns the answer, which becomes the caller's, or NULL with *error filled.
 */
struct qmp_command {
    const char *name;
    const char *const *arguments;
    struct json_object *(*run)(void *context, struct json_object *arguments,
                               struct qmp_error *error);
};

struct qmp_session {
    const struct qmp_command *commands; /* ends with a name of NULL */
    void *context;
    bool negotiated; /* qmp_capabilities was answered */
};

extern const struct qmp_command dmd_commands[];

/* The version object of the greeting and of query-version. */
struct json_object *qmp_version(void);
struct json_object *qmp_greeting(void);
/* Answers one request. The caller owns what is returned; NULL only without memory. */
struct json_object *qmp_request(struct qmp_session *session, const char *text, size_t len);
struct json_object *qmp_error_reply(const char *class, const char *desc);
/* An event with the time of now; data is taken over and may be NULL. */
struct json_object *qmp_event(const char *name, struct json_object *data);

void qmp_set_error(struct qmp_error *error, const char *class, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

#endif
