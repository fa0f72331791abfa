/* SPDX-License-Identifier: MIT */
/* xl-dmd in a test. */
#include "dm_rig.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <event2/event.h>

#include "dm/logfile.h"
#include "dm/worker.h"

#define PATIENCE_MS 2000

void rig_start_daemon(struct rig *rig)
{
    const struct dmd_options options = {
        .run_dir = rig->run, .log_dir = rig->log, .policy = SOURCE_DIR "/configs/policy.json"
    };

    rig->base = event_base_new();
    assert_non_null(rig->base);
    rig->dmd = dmd_new(rig->base, rig->hv, &options);
    assert_non_null(rig->dmd);
}

void rig_stop_daemon(struct rig *rig)
{
    dmd_free(rig->dmd);
    rig->dmd = NULL;
    event_base_free(rig->base);
}

int rig_setup(void **state)
{
    struct rig *rig = calloc(1, sizeof(*rig));
    char dir[] = "/tmp/test-dmd.XXXXXX", messages[96];

    assert_non_null(rig);
    signal(SIGPIPE, SIG_IGN); /* as the daemon does */
    assert_non_null(mkdtemp(dir));
    snprintf(rig->run, sizeof(rig->run), "%s/run", dir);
    snprintf(rig->log, sizeof(rig->log), "%s/log", dir);
    snprintf(messages, sizeof(messages), "%s/messages", dir);
    assert_int_equal(message_to_file(messages), 0);
    rig->hv = fake_open();
    rig_start_daemon(rig);
    *state = rig;
    return 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

int rig_teardown(void **state)
{
    struct rig *rig = *state;

    if (rig->dmd)
        rig_stop_daemon(rig);
    message_close();
    fake_close(rig->hv);
    *strrchr(rig->run, '/') = 0;
    nftw(rig->run, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    free(rig);
    return 0;
}

void rig_pump(struct rig *rig)
{
    for (int i = 0; i < 4; i++)
        event_base_loop(rig->base, EVLOOP_NONBLOCK);
}

void rig_settle(struct rig *rig)
{
    struct timespec pause = { .tv_nsec = 100000 };

    for (int i = 0; i < PATIENCE_MS * 10; i++) {
        rig_pump(rig);
        if (worker_idle(rig->dmd->worker))
            return;
        nanosleep(&pause, NULL);
    }
    fail_msg("the second thread does not come to its end");
}

void rig_scan(struct rig *rig)
{
    rig_settle(rig);
    dmd_scan(rig->dmd, false);
    rig_settle(rig);
}

int rig_connect_unseen(struct rig *rig, const char *name)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    snprintf(address.sun_path, sizeof(address.sun_path), "%.60s/%.40s", rig->run, name);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    rig->len = 0;
    return fd;
}

int rig_connect(struct rig *rig, const char *name)
{
    int fd = rig_connect_unseen(rig, name);

    rig_pump(rig);
    return fd;
}

/* One attempt to read more; returns 0 at the end of file. */
static int read_more(struct rig *rig, int fd)
{
    struct timespec pause = { .tv_nsec = 1000000 };
    ssize_t n;

    rig_pump(rig);
    assert_true(rig->len < sizeof(rig->text) - 1);
    n = read(fd, rig->text + rig->len, sizeof(rig->text) - 1 - rig->len);
    if (n > 0)
        rig->len += (size_t)n;
    else if (n < 0 && errno == EAGAIN)
        nanosleep(&pause, NULL);
    else
        return 0;
    return 1;
}

void rig_expect(struct rig *rig, int fd, const char *text)
{
    char *found;

    for (int i = 0; i < PATIENCE_MS; i++) {
        rig->text[rig->len] = 0;
        found = memmem(rig->text, rig->len, text, strlen(text));
        if (found) {
            found += strlen(text);
            rig->len -= (size_t)(found - rig->text);
            memmove(rig->text, found, rig->len);
            return;
        }
        if (!read_more(rig, fd))
            break;
    }
    print_error("read '%.500s', expected '%s'\n", rig->text, text);
    fail();
}

void rig_expect_end(struct rig *rig, int fd)
{
    for (int i = 0; i < PATIENCE_MS; i++) {
        rig->len = 0;
        if (!read_more(rig, fd))
            return;
    }
    fail_msg("the connection does not end");
}

void rig_send(struct rig *rig, int fd, const char *text)
{
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    rig_pump(rig);
}

const char *rig_file(const char *dir, const char *name)
{
    static char text[2 * LOGFILE_LIMIT];
    char path[128];
    ssize_t n = 0;
    int fd;

    snprintf(path, sizeof(path), "%s/%s", dir, name);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        n = read(fd, text, sizeof(text) - 1);
        assert_true(n >= 0);
        close(fd);
    }
    text[n] = 0;
    return text;
}

void rig_domain_file(struct rig *rig, unsigned domid, const char *text)
{
    char temporary[96], path[96];
    FILE *file;

    snprintf(temporary, sizeof(temporary), "%s/new.tmp", rig->run);
    snprintf(path, sizeof(path), "%s/domains/%u.json", rig->run, domid);
    file = fopen(temporary, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
    assert_int_equal(rename(temporary, path), 0);
    rig_pump(rig);
}
