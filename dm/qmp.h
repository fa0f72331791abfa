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
struct qmp_later;
struct qmp_session;

struct qmp_error {
    const char *class; /* NULL: GenericError */
    char desc[600];
    struct qmp_session *session; /* whose request is being answered: for qmp_defer() */
};

/*
 * A command. arguments ends with NULL; others are refused before run() is called. run() gets an object (it
 * may be empty) and returns the answer, which becomes the caller's, or NULL with *error filled, or NULL after
 * qmp_defer(): the answer comes later.
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
    /* A request whose answer comes later: no other may be given to qmp_request() before. NULL: none. */
    struct qmp_later *later;
    /* Takes such an answer (it becomes the session's); called from the loop. */
    void (*answered)(struct qmp_session *session, struct json_object *reply);
};

extern const struct qmp_command dmd_commands[];

/* The version object of the greeting and of query-version. */
struct json_object *qmp_version(void);
struct json_object *qmp_greeting(void);
/* Answers one request. The caller owns what is returned; NULL without memory, or if the answer comes later (session->later). */
struct json_object *qmp_request(struct qmp_session *session, const char *text, size_t len);
/* For a command: its answer will come by qmp_answer(), or not at all: qmp_forget(). NULL: no memory. */
struct qmp_later *qmp_defer(struct qmp_error *error);
/* What run() would have returned; frees `later`. The session may have ended meanwhile. */
void qmp_answer(struct qmp_later *later, struct json_object *answer, const struct qmp_error *error);
void qmp_forget(struct qmp_later *later);
/* The session ends: what it waits for is answered to nobody. */
void qmp_session_end(struct qmp_session *session);
struct json_object *qmp_error_reply(const char *class, const char *desc);
/* An event with the time of now; data is taken over and may be NULL. */
struct json_object *qmp_event(const char *name, struct json_object *data);

void qmp_set_error(struct qmp_error *error, const char *class, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

#endif
