/* SPDX-License-Identifier: MIT */
/* The control protocol without sockets: finding requests in bytes, and answering them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <json-c/json.h>

#include "dm/qmp.h"
#include "dm/qmp_frame.h"

/* Feeds text in pieces of step bytes; writes 'R' for a request and 'E' for an error into out. */
static void feed(struct qmp_framer *framer, const char *text, size_t len, size_t step, char *out)
{
    for (size_t at = 0; at < len;) {
        size_t piece = len - at < step ? len - at : step;
        char *copy = malloc(piece);
        enum qmp_frame_result result;

        assert_non_null(copy);
        memcpy(copy, text + at, piece);
        at += qmp_frame_feed(framer, copy, piece, &result);
        free(copy);
        if (result != QMP_FRAME_MORE)
            *out++ = result == QMP_FRAME_REQUEST ? 'R' : 'E';
    }
    *out = 0;
}

/* The result may not depend on how the bytes arrive. */
static void expect(const char *text, size_t len, const char *results)
{
    static const size_t steps[] = { 1, 2, 3, 7, 64, 100000 };
    char out[300];

    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        struct qmp_framer framer = { 0 };

        feed(&framer, text, len, steps[i], out);
        assert_string_equal(out, results);
        assert_false(qmp_frame_partial(&framer) && !*results);
        qmp_frame_free(&framer);
    }
}

#define EXPECT(text, results) expect(text, sizeof(text) - 1, results)

static void test_frames(void **state)
{
    (void)state;
    EXPECT("{}", "R");
    EXPECT("  \r\n{\"a\": [1, {\"b\": 2}]}\n\n", "R");
    EXPECT("{}{}\n{ } {\"a\":{}}", "RRRR");
    EXPECT("{\"brackets\": \"}]{[\", \"quote\": \"\\\"}\\\\\"}{}", "RR");
    EXPECT("", "");
    /* Brackets of the wrong kind end a frame too; the parser refuses what is in it. */
    EXPECT("{]{}", "RR");
}

static void test_garbage(void **state)
{
    (void)state;
    EXPECT("hello\n{}", "ER");
    EXPECT("[1]\n{}", "ER");
    EXPECT("}\n{}", "ER");
    EXPECT("\"{}\n{}", "ER");
    EXPECT("{\"open string}\n{}", "ER");
    EXPECT("{\"a\": \0}\n{}", "ER");
    EXPECT("{\xff}\n{}", "ER");
    EXPECT("GET / HTTP/1.1\r\nHost: x\r\n\r\n{}", "EER");
    EXPECT("garbage {} {} {}", "E");
}

static void test_nesting(void **state)
{
    char text[4 * QMP_DEPTH_MAX + 8];

    (void)state;
    for (unsigned depth = QMP_DEPTH_MAX; depth <= QMP_DEPTH_MAX + 1; depth++) {
        size_t n = 0;

        text[n++] = '{';
        for (unsigned i = 1; i < depth; i++)
            text[n++] = '[';
        for (unsigned i = 1; i < depth; i++)
            text[n++] = ']';
        memcpy(text + n, "}\n{}", 4);
        expect(text, n + 4, depth == QMP_DEPTH_MAX ? "RR" : "ER");
    }
}

static void test_size(void **state)
{
    char *text = malloc(QMP_REQUEST_MAX * 3);

    (void)state;
    assert_non_null(text);
    memset(text, ' ', QMP_REQUEST_MAX * 3);
    text[0] = '{';
    text[QMP_REQUEST_MAX - 1] = '}';
    expect(text, QMP_REQUEST_MAX, "R");
    text[QMP_REQUEST_MAX - 1] = ' ';
    text[QMP_REQUEST_MAX] = '}';
    memcpy(text + QMP_REQUEST_MAX + 1, "\n{}", 3);
    expect(text, QMP_REQUEST_MAX + 4, "ER");
    /* Without a line's end all of it is one error, and none of it is kept. */
    memset(text, '{', 20);
    memset(text + 20, 'a', QMP_REQUEST_MAX * 3 - 20);
    expect(text, QMP_REQUEST_MAX * 3, "E");
    free(text);
}

static void test_partial(void **state)
{
    struct qmp_framer framer = { 0 };
    enum qmp_frame_result result;

    (void)state;
    assert_int_equal(qmp_frame_feed(&framer, "{\"exec", 6, &result), 6);
    assert_int_equal(result, QMP_FRAME_MORE);
    assert_true(qmp_frame_partial(&framer));
    assert_int_equal(qmp_frame_feed(&framer, "ute\":1}{", 8, &result), 7);
    assert_int_equal(result, QMP_FRAME_REQUEST);
    assert_int_equal(framer.len, 13);
    assert_memory_equal(framer.text, "{\"execute\":1}", 13);
    assert_false(qmp_frame_partial(&framer));
    qmp_frame_free(&framer);
}

static int runs;

static struct json_object *echo(void *context, struct json_object *arguments, struct qmp_error *error)
{
    struct json_object *text;

    assert_ptr_equal(context, &runs);
    runs++;
    if (json_object_object_get_ex(arguments, "text", &text))
        return json_object_get(text);
    qmp_set_error(error, "DeviceNotFound", "no %s", "text");
    return NULL;
}

static const char *const echo_arguments[] = { "text", NULL };
static struct qmp_later *deferred;

static struct json_object *later(void *context, struct json_object *arguments, struct qmp_error *error)
{
    (void)context;
    (void)arguments;
    deferred = qmp_defer(error);
    assert_non_null(deferred);
    return NULL;
}

static const struct qmp_command commands[] = { { "echo", echo_arguments, echo },
                                               { "later", echo_arguments, later },
                                               { 0 } };

/* Sends a request and compares the answer, written as JSON without spaces. */
static void answers(struct qmp_session *session, const char *request, const char *reply)
{
    struct json_object *object = qmp_request(session, request, strlen(request));
    const char *text = json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN);

    if (!strncmp(reply, "class ", 6)) {
        char expected[80];

        snprintf(expected, sizeof(expected), "{\"error\":{\"class\":\"%s\"", reply + 6);
        assert_memory_equal(text, expected, strlen(expected));
    } else {
        assert_string_equal(text, reply);
    }
    json_object_put(object);
}

static void test_session(void **state)
{
    struct qmp_session session = { .commands = commands, .context = &runs };

    (void)state;
    answers(&session, "{\"execute\":\"echo\",\"arguments\":{\"text\":1}}", "class CommandNotFound");
    answers(&session, "{\"execute\":\"qmp_capabilities\",\"arguments\":{\"enable\":[\"oob\"]}}",
            "class GenericError");
    answers(&session, "{\"execute\":\"qmp_capabilities\",\"arguments\":{\"other\":1}}", "class GenericError");
    assert_false(session.negotiated);
    answers(&session, "{\"execute\":\"qmp_capabilities\",\"arguments\":{\"enable\":[]}}", "{\"return\":{}}");
    answers(&session, "{\"execute\":\"qmp_capabilities\"}", "class CommandNotFound");
    runs = 0;
    answers(&session, "{\"execute\":\"echo\",\"arguments\":{\"text\":\"a\"},\"id\":[1,\"x\"]}",
            "{\"return\":\"a\",\"id\":[1,\"x\"]}");
    answers(&session, "{\"execute\":\"echo\",\"arguments\":{\"text\":2},\"id\":null}",
            "{\"return\":2,\"id\":null}");
    answers(&session, "{\"execute\":\"echo\",\"id\":7}",
            "{\"error\":{\"class\":\"DeviceNotFound\",\"desc\":\"no text\"},\"id\":7}");
    assert_int_equal(runs, 3);
}

static void test_bad_requests(void **state)
{
    static const char *const bad[] = {
        "{}", "{\"execute\":1}", "{\"execute\":null}", "{\"execute\":\"echo\",\"arguments\":[]}",
        "{\"execute\":\"echo\",\"arguments\":null}", "{\"execute\":\"echo\",\"more\":1}",
        "{\"execute\":\"echo\",\"arguments\":{\"txet\":1}}", "{\"execute\" \"echo\"}", "{]", "{'a':1}",
        "{\"execute\":\"\xc3\x28\"}", "{\"a\":01}", "{\"a\":nan}", "{\"a\":1,}", "{", "", "[]", "1",
    };
    struct qmp_session session = { .commands = commands, .context = &runs, .negotiated = true };

    (void)state;
    runs = 0;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        answers(&session, bad[i], "class GenericError");
    answers(&session, "{\"execute\":\"ech\"}", "class CommandNotFound");
    answers(&session, "{\"execute\":\"\"}", "class CommandNotFound");
    assert_int_equal(runs, 0);
    /* The id comes back with an error, too, wherever the request can be read. */
    answers(&session, "{\"id\":3,\"execute\":{}}",
            "{\"error\":{\"class\":\"GenericError\",\"desc\":\"A request names its command in the string "
            "'execute'\"},\"id\":3}");
}

static char answered[256];

static void on_answered(struct qmp_session *session, struct json_object *reply)
{
    assert_null(session->later);
    snprintf(answered, sizeof(answered), "%s",
             json_object_to_json_string_ext(reply, JSON_C_TO_STRING_PLAIN));
    json_object_put(reply);
}

/* An answer that comes later has its request's id; one for a session that has ended goes nowhere. */
static void test_later(void **state)
{
    static const char request[] = "{\"execute\":\"later\",\"id\":[1]}";
    struct qmp_session session = {
        .commands = commands, .context = &runs, .negotiated = true, .answered = on_answered
    };
    struct qmp_error error = { 0 };

    (void)state;
    assert_null(qmp_request(&session, request, strlen(request)));
    assert_ptr_equal(session.later, deferred);
    qmp_answer(deferred, json_object_new_int(5), NULL);
    assert_string_equal(answered, "{\"return\":5,\"id\":[1]}");
    assert_null(qmp_request(&session, "{\"execute\":\"later\"}", 19));
    qmp_set_error(&error, NULL, "no");
    qmp_answer(deferred, NULL, &error);
    assert_string_equal(answered, "{\"error\":{\"class\":\"GenericError\",\"desc\":\"no\"}}");
    answered[0] = 0;
    assert_null(qmp_request(&session, request, strlen(request)));
    qmp_session_end(&session);
    qmp_answer(deferred, json_object_new_int(5), NULL);
    assert_string_equal(answered, "");
    assert_null(qmp_request(&session, request, strlen(request)));
    qmp_forget(deferred);
    assert_null(session.later);
}

static void test_greeting_and_event(void **state)
{
    struct json_object *greeting = qmp_greeting(), *event = qmp_event("X", NULL), *inner, *value;

    (void)state;
    assert_true(json_object_object_get_ex(greeting, "QMP", &inner));
    assert_true(json_object_object_get_ex(inner, "version", &value));
    assert_true(json_object_object_get_ex(value, "qemu", &value));
    assert_true(json_object_object_get_ex(inner, "capabilities", &value));
    assert_true(json_object_is_type(value, json_type_array));
    assert_true(json_object_object_get_ex(event, "timestamp", &value));
    assert_true(json_object_object_get_ex(value, "microseconds", &inner));
    assert_true(json_object_get_int(inner) >= 0 && json_object_get_int(inner) < 1000000);
    assert_false(json_object_object_get_ex(event, "data", &value));
    json_object_put(greeting);
    json_object_put(event);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_frames),  cmocka_unit_test(test_garbage),
        cmocka_unit_test(test_nesting), cmocka_unit_test(test_size),
        cmocka_unit_test(test_partial), cmocka_unit_test(test_session),
        cmocka_unit_test(test_later), cmocka_unit_test(test_bad_requests), cmocka_unit_test(test_greeting_and_event),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
