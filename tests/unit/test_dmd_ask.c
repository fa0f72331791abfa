/* SPDX-License-Identifier: MIT */
/* The daemon while the hypervisor walks large tables for it: nobody else waits, answers keep their order, and it can end. */
#include "dm_rig.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <event2/event.h>

#include "dm/control.h"
#include "dm/moves.h"
#include "dm/worker.h"

int ask_tests(void);

#define AUDIT "{\"execute\": \"audit\", \"id\": \"audit\"}"
#define P2M   "{\"execute\": \"query-p2m\", \"arguments\": {\"domid\": 7}, \"id\": \"p2m\"}"
#define NEXT  "{\"execute\": \"query-version\", \"id\": \"next\"}"

static int connected(struct rig *rig)
{
    int fd = rig_connect(rig, "control.sock");

    rig_send(rig, fd, "{\"execute\": \"qmp_capabilities\"}\n");
    rig_expect(rig, fd, "\"return\"");
    return fd;
}

static void set_walking(struct rig *rig, bool on)
{
    __atomic_store_n(&fake_pci(rig->hv)->walking, on, __ATOMIC_RELEASE);
}

static bool thread_waits(struct rig *rig)
{
    return __atomic_load_n(&fake_pci(rig->hv)->waits, __ATOMIC_ACQUIRE);
}

/* A walk that does not come to its end before set_walking(). */
static void begin_walk(struct rig *rig, int fd, const char *request)
{
    struct timespec pause = { .tv_nsec = 100000 };

    rig_settle(rig);
    __atomic_store_n(&fake_pci(rig->hv)->waits, false, __ATOMIC_RELEASE);
    set_walking(rig, true);
    rig_send(rig, fd, request);
    for (int i = 0; i < 20000 && !thread_waits(rig); i++) {
        rig_pump(rig);
        nanosleep(&pause, NULL);
    }
    assert_true(thread_waits(rig));
    memset(fake_pci(rig->hv)->order, 0, sizeof(fake_pci(rig->hv)->order));
}

/* No answer has come; events may have. */
static void expect_silence(struct rig *rig, int fd)
{
    char text[4096];
    ssize_t n;

    rig_pump(rig);
    while ((n = read(fd, text, sizeof(text) - 1)) > 0) {
        text[n] = 0;
        assert_null(strstr(text, "\"return\""));
        assert_null(strstr(text, "\"error\""));
    }
}

static void test_nobody_waits(void **state)
{
    struct rig *rig = *state;
    struct fake_guest *guest = fake_add(rig->hv, 7, 7);
    int fd = connected(rig), other = connected(rig), third = connected(rig), console;

    rig_scan(rig);
    console = rig_connect(rig, "console/7.sock");
    begin_walk(rig, fd, AUDIT NEXT);
    fake_write(rig->hv, guest, "still here\n");
    rig_expect(rig, console, "still here");
    rig_send(rig, other, "{\"execute\": \"query-domains\"}");
    rig_expect(rig, other, "domain-7");
    rig_send(rig, other, P2M);
    rig_send(rig, third, "{\"execute\": \"query-iommu\"}");
    for (int i = 0; i < 100; i++)
        dmd_scan(rig->dmd, false);
    expect_silence(rig, fd);
    expect_silence(rig, other);
    expect_silence(rig, third);
    set_walking(rig, false);
    rig_expect(rig, fd, "\"clean\": false");
    rig_expect(rig, fd, "\"id\": \"audit\"");
    rig_expect(rig, fd, "\"id\": \"next\"");
    rig_expect(rig, other, "131072");
    rig_expect(rig, other, "\"id\": \"p2m\"");
    rig_expect(rig, third, "\"interrupt-remapping\"");
    close(console);
    close(third);
    close(other);
    close(fd);
}

/* Who has devices to move, or to ask for, waits for one walk and not for all. */
static void test_devices_in_between(void **state)
{
    struct rig *rig = *state;
    int fd[3];

    fake_add(rig->hv, 7, 7);
    rig_scan(rig);
    for (unsigned i = 0; i < 3; i++)
        fd[i] = connected(rig);
    begin_walk(rig, fd[0], AUDIT);
    rig_send(rig, fd[1], P2M);
    rig_send(rig, fd[2], AUDIT);
    for (unsigned i = 0; i < 2; i++)
        assert_true(move_submit(move_new(rig->dmd, MOVE_LIST, NULL), true, NULL));
    set_walking(rig, false);
    rig_settle(rig);
    assert_memory_equal(fake_pci(rig->hv)->order, "alpla", 5);
    rig_expect(rig, fd[1], "\"id\": \"p2m\"");
    for (unsigned i = 0; i < 3; i++)
        close(fd[i]);
}

/* Clients that go away leave what they asked for, up to a bound; guests that go leave an error. */
static void test_gone(void **state)
{
    struct rig *rig = *state;
    struct fake_guest *guest = fake_add(rig->hv, 7, 7);
    unsigned jobs = 0;
    int fd = connected(rig), patient = connected(rig);

    rig_scan(rig);
    begin_walk(rig, fd, AUDIT);
    rig_send(rig, patient, P2M);
    for (unsigned i = 0; i < CONTROL_CLIENTS_MAX / 2; i++) {
        close(fd);
        rig_pump(rig);
        fd = connected(rig);
        rig_send(rig, fd, i % 2 ? P2M : AUDIT);
        rig_pump(rig);
    }
    while (move_submit(move_new(rig->dmd, MOVE_LIST, NULL), false, NULL))
        assert_true(++jobs <= WORKER_JOBS_MAX);
    close(fd);
    fd = connected(rig);
    rig_send(rig, fd, AUDIT NEXT);
    rig_expect(rig, fd, "too many requests wait for the hypervisor already");
    rig_expect(rig, fd, "\"id\": \"next\"");
    fake_remove(guest);
    dmd_scan(rig->dmd, false);
    set_walking(rig, false);
    rig_expect(rig, patient, "DeviceNotFound");
    rig_settle(rig);
    rig_send(rig, fd, AUDIT);
    rig_expect(rig, fd, "\"id\": \"audit\"");
    close(patient);
    close(fd);
}

static unsigned threads(void)
{
    DIR *dir = opendir("/proc/self/task");
    const struct dirent *entry;
    unsigned nr = 0;

    assert_non_null(dir);
    while ((entry = readdir(dir)))
        nr += entry->d_name[0] != '.';
    closedir(dir);
    return nr;
}

/* The end in the middle of a walk: waited for, unless it takes too long; then the message says what it is. */
static void test_end(void **state)
{
    struct timespec pause = { .tv_nsec = 1000000 };
    struct rig *rig = *state;
    unsigned before;
    time_t start;
    char dir[64];
    int fd;

    snprintf(dir, sizeof(dir), "%s", rig->run);
    *strrchr(dir, '/') = 0;
    fd = connected(rig);
    begin_walk(rig, fd, AUDIT NEXT);
    set_walking(rig, false);
    rig_stop_daemon(rig);
    assert_int_equal(fake_pci(rig->hv)->kept, 0);
    close(fd);
    before = threads();
    rig_start_daemon(rig);
    fd = connected(rig);
    begin_walk(rig, fd, AUDIT);
    rig_send(rig, fd, P2M);
    rig->dmd->options.patience_ms = 1100;
    start = time(NULL);
    rig_stop_daemon(rig);
    assert_in_range(time(NULL) - start, 1, 10);
    assert_int_equal(fake_pci(rig->hv)->kept, 1);
    assert_non_null(
        strstr(rig_file(dir, "messages"), "has not ended a call within 1.1 s (it walks tables)"));
    close(fd);
    assert_int_equal(threads(), before + 1);
    set_walking(rig, false);
    for (unsigned i = 0; i < 5000 && threads() != before; i++)
        nanosleep(&pause, NULL);
    assert_int_equal(threads(), before);
    rig_start_daemon(rig);
    fd = connected(rig);
    rig_send(rig, fd, AUDIT);
    rig_expect(rig, fd, "\"id\": \"audit\"");
    close(fd);
}

/* Also after a failure: nobody waits for ever. */
static int teardown(void **state)
{
    set_walking(*state, false);
    return rig_teardown(state);
}

#define T(test) cmocka_unit_test_setup_teardown(test, rig_setup, teardown)

int ask_tests(void)
{
    const struct CMUnitTest tests[] = {
        T(test_nobody_waits),
        T(test_devices_in_between),
        T(test_gone),
        T(test_end),
    };

    return cmocka_run_group_tests_name("ask", tests, NULL, NULL);
}
