/* SPDX-License-Identifier: MIT */
/* The control socket: the whole daemon, and dm/schema.json as the word on what it says. */
#include "dm_rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <json-c/json.h>

#include "dm/control.h"
#include "dm_schema.h"

int control_tests(void);

#define NEGOTIATE "{\"execute\": \"qmp_capabilities\"}\n"

static int connect_control(struct rig *rig)
{
    int fd = rig_connect(rig, "control.sock");

    rig_expect(rig, fd, "{ \"QMP\": ");
    rig_expect(rig, fd, "\r\n");
    return fd;
}

static int negotiated(struct rig *rig)
{
    int fd = connect_control(rig);

    rig_send(rig, fd, NEGOTIATE);
    rig_expect(rig, fd, "\"return\"");
    rig_expect(rig, fd, "\r\n");
    return fd;
}

/* The next line of the connection as an object; the caller frees it. */
static struct json_object *next_object(struct rig *rig, int fd)
{
    struct json_object *object;
    char *copy;
    size_t len = 0;

    for (int i = 0; i < 2000 && !memmem(rig->text, rig->len, "\r\n", 2); i++) {
        ssize_t n;

        rig_pump(rig);
        n = read(fd, rig->text + rig->len, sizeof(rig->text) - 1 - rig->len);
        rig->len += n > 0 ? (size_t)n : 0;
        if (n <= 0)
            usleep(1000);
    }
    rig->text[rig->len] = 0;
    len = strcspn(rig->text, "\r");
    copy = strndup(rig->text, len);
    object = json_tokener_parse(copy);
    if (!object)
        fail_msg("no object: '%.200s'", rig->text);
    free(copy);
    rig_expect(rig, fd, "\r\n");
    return object;
}

static void expect_error(struct rig *rig, int fd, const char *class)
{
    struct json_object *object = next_object(rig, fd), *error;

    if (!json_object_object_get_ex(object, "error", &error))
        fail_msg("no error: %s", json_object_to_json_string(object));
    assert_string_equal(schema_string(error, "class"), class);
    assert_true(strlen(schema_string(error, "desc")) > 0);
    json_object_put(object);
}

/* Every command of the schema is answered as the schema says, and the daemon has no others. */
static void test_commands(void **state)
{
    struct rig *rig = *state;
    struct json_object *schema = schema_load(), *commands, *answer, *value;
    struct fake_guest *guest = fake_add(rig->hv, 7, 7), *broken = fake_add(rig->hv, 8, 8);
    int fd;

    guest->io.root = true;
    fake_device(rig->hv, 0x28, 0, 0);
    guest->info.shutdown = true;
    guest->info.shutdown_reason = 3;
    dmd_scan(rig->dmd, false);
    broken->page->out_prod = 99999;
    dmd_scan(rig->dmd, false);
    fake_add(rig->hv, 9, 9)->has_console = false;
    fake_add(rig->hv, 10, 10)->info.dying = true;
    dmd_scan(rig->dmd, false);
    fd = connect_control(rig);
    json_object_object_get_ex(schema, "commands", &commands);
    for (size_t i = 0; i < json_object_array_length(commands); i++) {
        struct json_object *command = json_object_array_get_idx(commands, i);
        const char *name = schema_string(command, "name");

        json_object_object_get_ex(command, "example", &value);
        assert_string_equal(schema_string(value, "execute"), name);
        rig_send(rig, fd, json_object_to_json_string(value));
        while (answer = next_object(rig, fd), json_object_object_get_ex(answer, "event", &value))
            json_object_put(answer);
        if (!json_object_object_get_ex(answer, "return", &value))
            fail_msg("%s: %s", name, json_object_to_json_string(answer));
        schema_check(schema, schema_string(command, "returns"), value, name);
        if (!strcmp(name, "query-commands")) {
            assert_int_equal(json_object_array_length(value), json_object_array_length(commands));
            for (size_t j = 0; j < json_object_array_length(value); j++)
                assert_non_null(schema_find(schema, "commands",
                                            schema_string(json_object_array_get_idx(value, j), "name")));
        }
        json_object_put(answer);
    }
    close(fd);
    json_object_put(schema);
}

/* Reads events up to and including `last`, each of which the schema must describe; counts the kinds. */
static unsigned read_events(struct rig *rig, int fd, struct json_object *schema, const char *last)
{
    unsigned seen = 0;

    for (;;) {
        struct json_object *object = next_object(rig, fd), *data, *described, *members;
        char name[64];

        snprintf(name, sizeof(name), "%s", schema_string(object, "event"));
        described = schema_find(schema, "events", name);
        if (!described)
            fail_msg("the schema has no event %s", name);
        json_object_object_get_ex(described, "data", &members);
        if (json_object_object_get_ex(object, "data", &data))
            schema_check_members(schema, members, data, name);
        else
            assert_int_equal(json_object_object_length(members), 0);
        json_object_put(object);
        seen++;
        if (!strcmp(name, last))
            return seen;
    }
}

static void test_events(void **state)
{
    struct rig *rig = *state;
    struct json_object *schema = schema_load();
    int fd = negotiated(rig), silent = connect_control(rig);
    struct fake_guest *guest = fake_add(rig->hv, 7, 7);

    dmd_scan(rig->dmd, false);
    assert_int_equal(read_events(rig, fd, schema, "DOMAIN_ADDED"), 1);
    dmd_scan(rig->dmd, false);
    guest->info.shutdown = true;
    guest->info.shutdown_reason = 0;
    dmd_scan(rig->dmd, false);
    dmd_scan(rig->dmd, false);
    assert_int_equal(read_events(rig, fd, schema, "DOMAIN_SHUTDOWN"), 1);
    guest->page->out_prod = 5000;
    fake_send_event(rig->hv, guest);
    assert_int_equal(read_events(rig, fd, schema, "CONSOLE_BROKEN"), 1);
    fake_remove(guest);
    dmd_scan(rig->dmd, false);
    assert_int_equal(read_events(rig, fd, schema, "DOMAIN_REMOVED"), 1);
    rig_send(rig, fd, "{\"execute\": \"quit\"}");
    rig_expect(rig, fd, "\"DAEMON_STOP\"");
    rig_expect(rig, fd, "\"return\"");
    /* Who has not negotiated gets no events, only the end. */
    assert_int_equal(read(silent, rig->text, 1), -1);
    close(fd);
    close(silent);
    json_object_put(schema);
}

/* Bad requests cost the one who sends them an error, and others nothing. */
static void test_bad_input(void **state)
{
    struct rig *rig = *state;
    int fd = negotiated(rig), other = negotiated(rig);

    rig_send(rig, fd, "what?\n");
    expect_error(rig, fd, "GenericError");
    rig_send(rig, fd, "{\"execute\": \"query-domains\", }\n");
    expect_error(rig, fd, "GenericError");
    rig_send(rig, fd, "{\"execute\": \"no-such\"}{\"execute\": \"query-domains\", \"arguments\": {\"x\": 1}}");
    expect_error(rig, fd, "CommandNotFound");
    expect_error(rig, fd, "GenericError");
    rig_send(rig, fd, "{\"execute\": \"query-domains\", \"arguments\": {\"domid\": 4242}}");
    expect_error(rig, fd, "DeviceNotFound");
    rig_send(rig, fd, "{\"execute\": \"query-consoles\", \"arguments\": {\"domid\": \"1\"}}");
    expect_error(rig, fd, "GenericError");
    rig_send(rig, fd, "{\"execute\": \"query-consoles\", \"arguments\": {\"domid\": 18446744073709551615}}");
    expect_error(rig, fd, "GenericError");
    rig_send(rig, fd, "{\"execute\": \"query-version\", \"id\": 9}");
    rig_expect(rig, fd, "\"id\": 9");
    rig->len = 0;
    rig_send(rig, other, "{\"execute\": \"query-version\", \"id\": 10}");
    rig_expect(rig, other, "\"id\": 10");
    close(fd);
    close(other);
}

static void test_oversized(void **state)
{
    struct rig *rig = *state;
    int fd = negotiated(rig);
    char piece[1001];

    memset(piece, 'a', sizeof(piece) - 1);
    piece[sizeof(piece) - 1] = 0;
    rig_send(rig, fd, "{\"execute\": \"");
    for (int i = 0; i < 300; i++)
        rig_send(rig, fd, piece);
    expect_error(rig, fd, "GenericError");
    rig_send(rig, fd, "\"}\n{\"execute\": \"query-version\", \"id\": 1}");
    rig_expect(rig, fd, "\"id\": 1");
    close(fd);
}

/* A request cut off by the end of the connection: what came before is answered, and the rest is an error. */
static void test_half_sent(void **state)
{
    struct rig *rig = *state;
    int fd = connect_control(rig);

    rig_send(rig, fd, NEGOTIATE "{\"execute\": \"query-version\", \"id\": 4} {\"execute\": \"qu");
    assert_int_equal(shutdown(fd, SHUT_WR), 0);
    rig_expect(rig, fd, "\"id\": 4");
    rig_expect(rig, fd, "in the middle");
    rig_expect_end(rig, fd);
    close(fd);
}

/* Thousands of requests in one go, and answers that are not read: all are answered in the end, in order. */
static void test_pipeline(void **state)
{
    static const char request[] = "{\"execute\": \"query-commands\", \"id\": 12345}\n";
    struct rig *rig = *state;
    int fd = negotiated(rig), other = negotiated(rig);
    size_t sent = 0, answers = 0, at = 0;

    for (int i = 0; i < 20000; i++) {
        ssize_t n = write(fd, request + at, sizeof(request) - 1 - at);

        rig_pump(rig);
        if (n <= 0)
            break; /* the daemon has stopped reading */
        at = (at + (size_t)n) % (sizeof(request) - 1);
        sent += !at;
    }
    assert_true(sent > 100 && sent < 20000);
    rig_send(rig, other, "{\"execute\": \"query-version\", \"id\": 10}");
    rig_expect(rig, other, "\"id\": 10");
    rig->len = 0;
    while (answers < sent) {
        rig_expect(rig, fd, "\"id\": 12345");
        answers++;
    }
    close(fd);
    close(other);
}

/* A client that reads nothing misses events, learns how many, and the daemon keeps a bounded amount. */
static void test_events_lost(void **state)
{
    struct rig *rig = *state;
    struct json_object *schema = schema_load();
    int fd = negotiated(rig);
    unsigned sent = 0;

    for (; sent < 4000; sent++) {
        struct json_object *data = json_object_new_object();
        char reason[501];

        memset(reason, 'r', sizeof(reason) - 1);
        reason[sizeof(reason) - 1] = 0;
        json_object_object_add(data, "domid", json_object_new_int(7));
        json_object_object_add(data, "name", json_object_new_string("x"));
        json_object_object_add(data, "reason", json_object_new_string(reason));
        dmd_event(rig->dmd, "CONSOLE_BROKEN", data);
        rig_pump(rig);
    }
    assert_true(read_events(rig, fd, schema, "EVENTS_LOST") < sent);
    rig_send(rig, fd, "{\"execute\": \"query-version\", \"id\": 10}");
    rig_expect(rig, fd, "\"id\": 10");
    close(fd);
    json_object_put(schema);
}

static void test_client_limit(void **state)
{
    struct rig *rig = *state;
    int fd[CONTROL_CLIENTS_MAX + 1];

    for (int i = 0; i < CONTROL_CLIENTS_MAX; i++)
        fd[i] = connect_control(rig);
    fd[CONTROL_CLIENTS_MAX] = rig_connect(rig, "control.sock");
    rig_expect_end(rig, fd[CONTROL_CLIENTS_MAX]);
    for (int i = 0; i <= CONTROL_CLIENTS_MAX; i++)
        close(fd[i]);
    rig_pump(rig);
    close(negotiated(rig));
}

static void test_document(void **state)
{
    (void)state;
    assert_int_equal(system(SOURCE_DIR "/scripts/control-socket-doc --check"), 0);
}

#define T(test) cmocka_unit_test_setup_teardown(test, rig_setup, rig_teardown)

int control_tests(void)
{
    const struct CMUnitTest tests[] = {
        T(test_commands),  T(test_events),   T(test_bad_input),   T(test_oversized),
        T(test_half_sent), T(test_pipeline), T(test_events_lost), T(test_client_limit),
        cmocka_unit_test(test_document),
    };

    return cmocka_run_group_tests_name("control", tests, NULL, NULL);
}
