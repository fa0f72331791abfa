/* SPDX-License-Identifier: MIT */
/*
 * Reads and writes guests' state files (guest_state.h): JSON through json-c, replaced by rename,
 * trusted only if no one but root (or the caller, for tests) can have written them.
 */
#include "guest_state.h"

#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define STATE_FILE_MAX (1 << 20) /* bytes: a configuration is text that a person wrote */

int make_directories(const char *path, unsigned mode)
{
    char part[512];
    size_t len = strlen(path);

    if (len == 0 || len >= sizeof(part)) {
        return -ENAMETOOLONG;
    }
    for (size_t i = 1; i <= len; i++) {
        if (path[i] != '/' && path[i] != '\0') {
            continue;
        }
        memcpy(part, path, i);
        part[i] = '\0';
        /* Only the last one carries the caller's mode; those above must stay passable. */
        if (mkdir(part, i == len ? mode : 0755) != 0 && errno != EEXIST) {
            return -errno;
        }
    }
    return 0;
}

static int state_path(char *path, size_t size, const char *dir, unsigned domid, const char *suffix)
{
    int n = snprintf(path, size, "%s/%u.json%s", dir, domid, suffix);

    return n < 0 || (size_t)n >= size ? -ENAMETOOLONG : 0;
}

static void add_string(struct json_object *object, const char *key, const char *value)
{
    if (value != NULL) {
        json_object_object_add(object, key, json_object_new_string(value));
    }
}

static struct json_object *state_to_json(const struct guest_state *state)
{
    struct json_object *object = json_object_new_object();

    if (object == NULL) {
        return NULL;
    }
    json_object_object_add(object, "domid", json_object_new_int64(state->domid));
    add_string(object, "name", state->name);
    add_string(object, "uuid", state->uuid);
    json_object_object_add(object, "ready", json_object_new_boolean(state->ready));
    if (state->ready) {
        json_object_object_add(object, "console_port", json_object_new_int64(state->console_port));
        json_object_object_add(object, "console_gfn",
                               json_object_new_int64((int64_t)state->console_gfn));
    }
    json_object_object_add(object, "store", json_object_new_boolean(state->store));
    add_string(object, "on_poweroff", state->on_poweroff);
    add_string(object, "on_reboot", state->on_reboot);
    add_string(object, "on_crash", state->on_crash);
    add_string(object, "config_file", state->config_file);
    add_string(object, "config", state->config);
    json_object_object_add(object, "created", json_object_new_int64(state->created));
    json_object_object_add(object, "creator", json_object_new_int64(state->creator));
    return object;
}

static int write_all(int fd, const char *data, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, data, len);

        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return -errno;
        }
        data += n;
        len -= (size_t)n;
    }
    return 0;
}

/* The text goes to a file of its own first, so that a full file system leaves the old state in
 * place. */
static int replace_file(const char *path, const char *temporary, const char *text)
{
    int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    int rc;

    if (fd < 0) {
        return -errno;
    }
    rc = write_all(fd, text, strlen(text));
    if (close(fd) != 0 && rc == 0) {
        rc = -errno;
    }
    if (rc == 0 && rename(temporary, path) != 0) {
        rc = -errno;
    }
    if (rc != 0) {
        unlink(temporary);
    }
    return rc;
}

int guest_state_write(const char *dir, const struct guest_state *state)
{
    char path[512], temporary[512], suffix[32];
    struct json_object *object;
    const char *text;
    int rc;

    snprintf(suffix, sizeof(suffix), ".%ld", (long)getpid());
    rc = state_path(path, sizeof(path), dir, state->domid, "");
    if (rc == 0) {
        rc = state_path(temporary, sizeof(temporary), dir, state->domid, suffix);
    }
    if (rc == 0) {
        rc = make_directories(dir, 0700);
    }
    if (rc != 0) {
        return rc;
    }
    object = state_to_json(state);
    text = object != NULL ? json_object_to_json_string_ext(object, JSON_C_TO_STRING_PRETTY) : NULL;
    rc = text != NULL ? replace_file(path, temporary, text) : -ENOMEM;
    json_object_put(object);
    return rc;
}

/* Opens a file only if nobody but its rightful owners can have written it. */
static int open_trusted(const char *path, size_t *size)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);

    if (fd < 0) {
        return -errno;
    }
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || (st.st_uid != 0 && st.st_uid != geteuid()) ||
        (st.st_mode & 022) != 0) {
        close(fd);
        return -EPERM;
    }
    if (st.st_size <= 0 || st.st_size > STATE_FILE_MAX) {
        close(fd);
        return -EINVAL;
    }
    *size = (size_t)st.st_size;
    return fd;
}

static char *read_trusted(const char *path, int *error)
{
    size_t size = 0, done = 0;
    int fd = open_trusted(path, &size);
    char *text;

    if (fd < 0) {
        *error = fd;
        return NULL;
    }
    text = malloc(size + 1);
    while (text != NULL && done < size) {
        ssize_t n = read(fd, text + done, size - done);

        if (n <= 0) {
            break;
        }
        done += (size_t)n;
    }
    close(fd);
    if (text == NULL) {
        *error = -ENOMEM;
        return NULL;
    }
    text[done] = '\0';
    return text;
}

static bool take_string(struct json_object *object, const char *key, char *out, size_t size)
{
    struct json_object *member;
    const char *value;

    if (!json_object_object_get_ex(object, key, &member) ||
        !json_object_is_type(member, json_type_string)) {
        return false;
    }
    value = json_object_get_string(member);
    if (strlen(value) >= size) {
        return false;
    }
    memcpy(out, value, strlen(value) + 1);
    return true;
}

static char *dup_string(struct json_object *object, const char *key)
{
    struct json_object *member;

    if (!json_object_object_get_ex(object, key, &member) ||
        !json_object_is_type(member, json_type_string)) {
        return NULL;
    }
    return strdup(json_object_get_string(member));
}

/* A number that is missing, no integer or out of its range makes the file no state file. */
static bool take_number(struct json_object *object, const char *key, int64_t max, int64_t *out)
{
    struct json_object *member;
    int64_t value;

    if (!json_object_object_get_ex(object, key, &member) ||
        !json_object_is_type(member, json_type_int)) {
        return false;
    }
    value = json_object_get_int64(member);
    if (value < 0 || value > max) {
        return false;
    }
    *out = value;
    return true;
}

static bool take_bool(struct json_object *object, const char *key)
{
    struct json_object *member;

    return json_object_object_get_ex(object, key, &member) && json_object_get_boolean(member);
}

static int state_from_json(struct json_object *object, unsigned domid, struct guest_state *state)
{
    int64_t number, port = 0, gfn = 0;

    if (!json_object_is_type(object, json_type_object) ||
        !take_number(object, "domid", 0x7fef, &number) || number != domid ||
        !take_string(object, "name", state->name, sizeof(state->name)) ||
        !take_string(object, "uuid", state->uuid, sizeof(state->uuid))) {
        return -EINVAL;
    }
    state->domid = domid;
    state->ready = take_bool(object, "ready");
    state->store = take_bool(object, "store");
    if (state->ready && (!take_number(object, "console_port", INT32_MAX, &port) ||
                         !take_number(object, "console_gfn", INT64_MAX, &gfn))) {
        return -EINVAL;
    }
    state->console_port = (uint32_t)port;
    state->console_gfn = (uint64_t)gfn;
    take_string(object, "on_poweroff", state->on_poweroff, sizeof(state->on_poweroff));
    take_string(object, "on_reboot", state->on_reboot, sizeof(state->on_reboot));
    take_string(object, "on_crash", state->on_crash, sizeof(state->on_crash));
    state->config_file = dup_string(object, "config_file");
    state->config = dup_string(object, "config");
    take_number(object, "created", INT64_MAX, &state->created);
    take_number(object, "creator", INT32_MAX, &state->creator);
    return 0;
}

int guest_state_read(const char *dir, unsigned domid, struct guest_state *state)
{
    char path[512], *text;
    struct json_object *object;
    int rc;

    memset(state, 0, sizeof(*state));
    rc = state_path(path, sizeof(path), dir, domid, "");
    if (rc != 0) {
        return rc;
    }
    text = read_trusted(path, &rc);
    if (text == NULL) {
        return rc;
    }
    object = json_tokener_parse(text);
    free(text);
    if (object == NULL) {
        return -EINVAL;
    }
    rc = state_from_json(object, domid, state);
    json_object_put(object);
    return rc;
}

int guest_state_remove(const char *dir, unsigned domid)
{
    char path[512];
    int rc = state_path(path, sizeof(path), dir, domid, "");

    if (rc == 0 && unlink(path) != 0 && errno != ENOENT) {
        rc = -errno;
    }
    return rc;
}

void guest_state_free(struct guest_state *state)
{
    free(state->config_file);
    free(state->config);
    memset(state, 0, sizeof(*state));
}

int guest_state_lock(const char *run_dir, unsigned timeout_ms)
{
    const struct timespec nap = { .tv_nsec = 20 * 1000 * 1000 };
    char path[512];
    int fd, rc = make_directories(run_dir, 0755);

    if (rc != 0) {
        return rc;
    }
    snprintf(path, sizeof(path), "%s/lock", run_dir);
    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        return -errno;
    }
    for (unsigned waited = 0; flock(fd, LOCK_EX | LOCK_NB) != 0; waited += 20) {
        if (errno != EWOULDBLOCK || waited >= timeout_ms) {
            rc = errno == EWOULDBLOCK ? -ETIMEDOUT : -errno;
            close(fd);
            return rc;
        }
        nanosleep(&nap, NULL);
    }
    return fd;
}
