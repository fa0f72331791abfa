/* SPDX-License-Identifier: MIT */
/* The control socket's client. Every message of the daemon is one line. */
#include "dmd_client.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "xl.h"

#define SOCKET      STATE_RUN_DIR "/control.sock"
#define MESSAGE_MAX (4u << 20)
#define HELLO_MS    5000

static int64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* One read more, before the deadline. Returns 0 or -1. */
static int read_more(struct dmd_client *client, int64_t deadline)
{
    struct pollfd poll_fd = { .fd = client->fd, .events = POLLIN };
    const int64_t left = deadline - now_ms();
    ssize_t n;

    if (left <= 0 || poll(&poll_fd, 1, (int)left) <= 0) {
        return xl_error("xl-dmd does not answer in time");
    }
    if (client->len + 1 >= MESSAGE_MAX) {
        return xl_error("xl-dmd's answer is too long");
    }
    n = read(client->fd, client->text + client->len, MESSAGE_MAX - 1 - client->len);
    if (n <= 0) {
        return xl_error("xl-dmd has closed the connection%s%s", n < 0 ? ": " : "",
                        n < 0 ? strerror(errno) : "");
    }
    client->len += (size_t)n;
    return 0;
}

/* The next message, or NULL. */
static struct json_object *next_message(struct dmd_client *client, int64_t deadline)
{
    for (;;) {
        char *end = memchr(client->text, '\n', client->len);
        struct json_object *message;

        if (end == NULL) {
            if (read_more(client, deadline) != 0) {
                return NULL;
            }
            continue;
        }
        *end = '\0';
        message = json_tokener_parse(client->text);
        client->len -= (size_t)(end + 1 - client->text);
        memmove(client->text, end + 1, client->len);
        if (message == NULL) {
            xl_error("xl-dmd's answer makes no sense");
        }
        return message;
    }
}

static int send_command(struct dmd_client *client, const char *command,
                        struct json_object *arguments)
{
    struct json_object *request = json_object_new_object();
    const char *text;
    size_t len;
    int rc = 0;

    json_object_object_add(request, "execute", json_object_new_string(command));
    if (arguments != NULL) {
        json_object_object_add(request, "arguments", arguments);
    }
    text = json_object_to_json_string_length(request, JSON_C_TO_STRING_PLAIN, &len);
    while (len > 0) {
        const ssize_t n = send(client->fd, text, len, MSG_NOSIGNAL);

        if (n <= 0 && errno != EINTR) {
            rc = xl_error("cannot write to xl-dmd: %s", strerror(errno));
            break;
        }
        text += n > 0 ? n : 0;
        len -= n > 0 ? (size_t)n : 0;
    }
    json_object_put(request);
    return rc;
}

struct json_object *dmd_execute(struct dmd_client *client, const char *command,
                                struct json_object *arguments, unsigned timeout_ms, char **error)
{
    const int64_t deadline = now_ms() + timeout_ms;
    struct json_object *message, *value, *text;

    *error = NULL;
    if (send_command(client, command, arguments) != 0) {
        return NULL;
    }
    while ((message = next_message(client, deadline)) != NULL) {
        if (json_object_object_get_ex(message, "return", &value)) {
            value = json_object_get(value);
            json_object_put(message);
            return value;
        }
        if (json_object_object_get_ex(message, "error", &value)) {
            json_object_object_get_ex(value, "desc", &text);
            *error = strdup(json_object_get_string(text));
            json_object_put(message);
            return NULL;
        }
        json_object_put(message);
    }
    return NULL;
}

int dmd_open(struct dmd_client *client)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = SOCKET };
    struct json_object *answer;
    char *error = NULL;

    memset(client, 0, sizeof(*client));
    client->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    client->text = malloc(MESSAGE_MAX);
    if (client->fd < 0 || client->text == NULL) {
        return xl_error("cannot make a socket: %s", strerror(errno));
    }
    if (connect(client->fd, (struct sockaddr *)&address, sizeof(address)) != 0) {
        return xl_error("xl-dmd does not answer at " SOCKET
                        " (%s): devices need it; start xl-dmd first",
                        strerror(errno));
    }
    answer = dmd_execute(client, "qmp_capabilities", NULL, HELLO_MS, &error);
    if (answer == NULL) {
        if (error != NULL) {
            xl_error("xl-dmd: %s", error);
        }
        free(error);
        return -1;
    }
    json_object_put(answer);
    return 0;
}

void dmd_close(struct dmd_client *client)
{
    if (client->fd >= 0) {
        close(client->fd);
    }
    free(client->text);
    client->fd = -1;
    client->text = NULL;
}

static bool is_wanted(struct json_object *message, const char *const *names, const char *bdf)
{
    struct json_object *event, *data, *value;

    if (!json_object_object_get_ex(message, "event", &event) ||
        !json_object_object_get_ex(message, "data", &data) ||
        !json_object_object_get_ex(data, "bdf", &value) ||
        strcmp(json_object_get_string(value), bdf) != 0) {
        return false;
    }
    for (; *names != NULL; names++) {
        if (strcmp(json_object_get_string(event), *names) == 0) {
            return true;
        }
    }
    return false;
}

struct json_object *dmd_wait(struct dmd_client *client, const char *const *names, const char *bdf,
                             unsigned timeout_ms)
{
    const int64_t deadline = now_ms() + timeout_ms;
    struct json_object *message;

    while ((message = next_message(client, deadline)) != NULL && !is_wanted(message, names, bdf)) {
        json_object_put(message);
    }
    return message;
}
