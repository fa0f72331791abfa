/* SPDX-License-Identifier: MIT */
/* Consoles: the whole daemon on a simulated hypervisor. The control socket's tests are in test_dmd_control.c. */
#include "dm_rig.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <event2/event.h>

#include "dm/console.h"
#include "dm/console_mark.h"
#include "dm/console_sock.h"
#include "dm/logfile.h"

#define UUID7 "07070707-0707-0707-0707-070707070707"
#define READY "\"ready\": true, \"console_port\": 5, \"console_gfn\": 65279"

int control_tests(void);
int pci_tests(void);
int ask_tests(void);

static struct fake_guest *guest_seven(struct rig *rig)
{
    struct fake_guest *guest = fake_add(rig->hv, 7, 7);

    dmd_scan(rig->dmd, false);
    rig_pump(rig);
    assert_true(guest->mapped && guest->port);
    return guest;
}

static struct console_info info_of(struct rig *rig, uint16_t domid)
{
    struct domain *domain = dmd_find(rig->dmd, domid);
    struct console_info info;

    assert_non_null(domain);
    console_info(domain->console, &info);
    return info;
}

/* The kernel carries what is written to a pty when it finds the time. */
static void expect_input(struct rig *rig, struct fake_guest *guest, const char *text)
{
    char input[1024];
    size_t got = 0;

    for (int i = 0; i < 2000 && got < strlen(text); i++) {
        rig_pump(rig);
        got += fake_read(guest, input + got);
        if (got < strlen(text))
            usleep(1000);
    }
    assert_int_equal(got, strlen(text));
    assert_memory_equal(input, text, got);
}

/* What the guest writes is in the log, on the socket and on the pty; what they send reaches the guest. */
static void test_three_ways(void **state)
{
    struct rig *rig = *state;
    struct fake_guest *guest = guest_seven(rig);
    int sock = rig_connect(rig, "console/7.sock"), second = rig_connect(rig, "console/7.sock"), pty;
    char path[96];
    unsigned notified = guest->notified;

    snprintf(path, sizeof(path), "%s/console/7.pty", rig->run);
    pty = open(path, O_RDWR | O_NOCTTY | O_NONBLOCK);
    assert_true(pty >= 0);
    fake_write(rig->hv, guest, "Linux\r\n\x1b[0mlogin: ");
    rig_expect(rig, sock, "Linux\r\n\x1b[0mlogin: ");
    assert_true(guest->notified > notified);
    rig->len = 0;
    rig_expect(rig, second, "Linux\r\n\x1b[0mlogin: ");
    rig->len = 0;
    rig_expect(rig, pty, "Linux\r\n\x1b[0mlogin: ");
    assert_non_null(strstr(rig_file(rig->log, "domain-7.log"), "domain 7, " UUID7 "]\nLinux\r\n\x1b[0mlogin: "));

    rig_send(rig, sock, "root\r");
    expect_input(rig, guest, "root\r");
    rig_send(rig, pty, "\x03");
    expect_input(rig, guest, "\x03");
    rig_send(rig, second, "ls");
    expect_input(rig, guest, "ls");
    assert_int_equal(info_of(rig, 7).clients, 2);
    close(second);
    close(pty);
    rig_pump(rig);
    assert_int_equal(info_of(rig, 7).clients, 1);
    fake_write(rig->hv, guest, "more");
    rig_expect(rig, sock, "more");
    close(sock);
}

static void test_modes(void **state)
{
    struct rig *rig = *state;
    char path[96];
    struct stat st;

    guest_seven(rig);
    snprintf(path, sizeof(path), "%s/console/7.sock", rig->run);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    snprintf(path, sizeof(path), "%s/control.sock", rig->run);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    snprintf(path, sizeof(path), "%s/domain-7.log", rig->log);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
}

/* The guest dies with text in its ring: the text is kept, clients get it and then the end, nothing stays. */
static void test_last_words(void **state)
{
    struct rig *rig = *state;
    struct fake_guest *guest = guest_seven(rig);
    int sock = rig_connect(rig, "console/7.sock");

    memcpy(guest->page->out, "panic", 5);
    guest->page->out_prod = 5; /* and no event */
    fake_remove(guest);
    dmd_scan(rig->dmd, false);
    rig_expect(rig, sock, "panic");
    rig_expect_end(rig, sock);
    assert_non_null(strstr(rig_file(rig->log, "domain-7.log"), "panic"));
    assert_false(guest->mapped);
    assert_null(dmd_find(rig->dmd, 7));
    assert_string_equal(rig_file(rig->run, "console/7.pty"), "");
    assert_int_equal(access(rig->run, F_OK), 0);
    close(sock);
}

/* Who connected before the guest wrote gets it, in whatever order the daemon comes to know of both. */
static void test_connected_first(void **state)
{
    struct rig *rig = *state;
    struct fake_guest *guest = guest_seven(rig);
    int sock = rig_connect_unseen(rig, "console/7.sock");

    memcpy(guest->page->out, "Linux version", 13);
    guest->page->out_prod = 13;
    dmd_scan(rig->dmd, false);
    rig_expect(rig, sock, "Linux version");
    close(sock);
}

/* A domain that is being destroyed is let go at once: our mapping is what keeps it. */
static void test_dying(void **state)
{
    struct rig *rig = *state;
    struct fake_guest *guest = guest_seven(rig);

    fake_write(rig->hv, guest, "bye");
    guest->info.dying = true;
    dmd_scan(rig->dmd, false);
    assert_false(guest->mapped);
    assert_null(guest->port);
    assert_null(dmd_find(rig->dmd, 7));
    dmd_scan(rig->dmd, false); /* still listed: it does not come back */
    assert_null(dmd_find(rig->dmd, 7));
    assert_non_null(strstr(rig_file(rig->log, "domain-7.log"), "bye"));
}

static void test_restart(void **state)
{
    struct rig *rig = *state;
    struct fake_guest *guest = guest_seven(rig);

    fake_write(rig->hv, guest, "before;");
    rig_pump(rig);
    rig_stop_daemon(rig);
    assert_false(guest->mapped);
    fake_write(rig->hv, guest, "between;");
    rig_start_daemon(rig);
    fake_write(rig->hv, guest, "after;");
    rig_pump(rig);
    const char *log = rig_file(rig->log, "domain-7.log");

    assert_non_null(strstr(log, "before;"));
    assert_non_null(strstr(strstr(log, "before;"), "between;after;"));
    assert_null(strstr(strstr(log, "between;") + 1, "between;"));
}

static void append_to(const char *path, const char *text)
{
    FILE *file = fopen(path, "a");

    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

/* What a daemon leaves that is killed after it wrote `logged` of the ring's text to the log, and before it said so. */
static void leave_mark(struct rig *rig, const struct fake_guest *guest, const char *text, const char *logged)
{
    char mark_path[128], kept_path[128], log_path[128];
    uint8_t uuid[16];
    struct console_mark *mark;

    snprintf(mark_path, sizeof(mark_path), "%s/console/7.mark", rig->run);
    snprintf(kept_path, sizeof(kept_path), "%s/console/kept", rig->run);
    snprintf(log_path, sizeof(log_path), "%s/domain-7.log", rig->log);
    memset(uuid, 7, sizeof(uuid));
    mark = console_mark_open(mark_path, uuid);
    assert_non_null(mark);
    console_mark_set(mark, guest->page->out_cons, (uint32_t)strlen(text),
                     strlen(rig_file(rig->log, "domain-7.log")));
    assert_int_equal(link(mark_path, kept_path), 0);
    console_mark_free(mark);
    assert_int_equal(rename(kept_path, mark_path), 0);
    append_to(log_path, logged);
}

/* Killed between log and ring, at any byte: the successor writes the rest, once. */
static void test_killed_while_logging(void **state)
{
    static const char *const logged[] = { "", "x", "text=", "text=1;" };
    struct rig *rig = *state;
    struct fake_guest *guest = guest_seven(rig);

    for (size_t i = 0; i < sizeof(logged) / sizeof(logged[0]); i++) {
        const char *log;
        char text[16] = "text=1;", rest[16];

        if (logged[i][0] == 'x') /* somebody else's line came into the log: then rather twice than not at all */
            strcpy(text, "other=1;");
        rig_stop_daemon(rig);
        fake_write(rig->hv, guest, text);
        leave_mark(rig, guest, text, logged[i][0] == 'x' ? "a line that is longer" : logged[i]);
        rig_start_daemon(rig);
        rig_pump(rig);
        log = rig_file(rig->log, "domain-7.log");
        snprintf(rest, sizeof(rest), "]\n%s", text + (logged[i][0] == 'x' ? 0 : strlen(logged[i])));
        assert_string_equal(log + strlen(log) - strlen(rest), rest);
    }
}

static void test_names(void **state)
{
    struct rig *rig = *state;
    struct fake_guest *guest;

    rig_domain_file(rig, 7,
                    "{\"domid\": 7, \"uuid\": \"" UUID7 "\", \"name\": \"../web/1\"," READY "}");
    guest = fake_add(rig->hv, 7, 7);
    guest->has_console = false; /* the file alone says where it is */
    dmd_scan(rig->dmd, false);
    assert_true(guest->mapped && guest->port);
    assert_string_equal(dmd_find(rig->dmd, 7)->name, "../web/1");
    fake_write(rig->hv, guest, "one;");
    rig_pump(rig);
    assert_non_null(strstr(rig_file(rig->log, "_./web/1.log"), "")); /* no such directory */
    assert_non_null(strstr(rig_file(rig->log, "_._web_1.log"), "one;"));

    /* A rename takes effect at once. */
    rig_domain_file(rig, 7, "{\"domid\": 7, \"uuid\": \"" UUID7 "\", \"name\": \"web\"," READY "}");
    fake_write(rig->hv, guest, "two;");
    rig_pump(rig);
    assert_non_null(strstr(rig_file(rig->log, "web.log"), "two;"));
    assert_null(strstr(rig_file(rig->log, "_._web_1.log"), "two;"));
}

/* While the toolstack builds a guest nobody else touches its console, whatever its parameters say. */
static void test_being_built(void **state)
{
    struct rig *rig = *state;
    struct fake_guest *guest = fake_add(rig->hv, 7, 7);

    rig_domain_file(rig, 7, "{\"domid\": 7, \"uuid\": \"" UUID7 "\", \"name\": \"web\", \"ready\": false}");
    dmd_scan(rig->dmd, false);
    assert_string_equal(dmd_find(rig->dmd, 7)->name, "web");
    assert_false(guest->mapped);
    rig_domain_file(rig, 7, "{\"domid\": 7, \"uuid\": \"" UUID7 "\", \"name\": \"web\"," READY "}");
    assert_true(guest->mapped && guest->port);
}

static void test_bad_files(void **state)
{
    static const char *const bad[] = {
        "", "{", "[]", "1", "{\"domid\": 7}", "{\"domid\": 8, \"uuid\": \"" UUID7 "\", \"name\": \"x\"}",
        "{\"domid\": 7, \"uuid\": \"08080808-0808-0808-0808-080808080808\", \"name\": \"x\"}",
        "{\"domid\": 7, \"uuid\": 7, \"name\": \"x\"}",
        "{\"domid\": 7, \"uuid\": \"" UUID7 "\", \"name\": 3, \"console_port\": -1, \"console_gfn\": []}",
    };
    struct rig *rig = *state;
    struct fake_guest *guest = NULL;

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        rig_domain_file(rig, 7, bad[i]);
        guest = guest_seven(rig);
        assert_string_equal(dmd_find(rig->dmd, 7)->name, "domain-7");
        fake_remove(guest);
        dmd_scan(rig->dmd, false);
    }
}

/* Two guests of one name get a log each; nobody gets the daemon's own. */
static void test_log_names_clash(void **state)
{
    struct rig *rig = *state;

    rig_domain_file(rig, 7, "{\"domid\": 7, \"uuid\": \"" UUID7 "\", \"name\": \"domain-8\"," READY "}");
    rig_domain_file(rig, 9,
                    "{\"domid\": 9, \"uuid\": \"09090909-0909-0909-0909-090909090909\", \"name\": \"xl-dmd\"," READY "}");
    fake_add(rig->hv, 7, 7);
    fake_add(rig->hv, 8, 8);
    fake_add(rig->hv, 9, 9);
    dmd_scan(rig->dmd, false);
    assert_string_not_equal(info_of(rig, 7).log, info_of(rig, 8).log);
    assert_non_null(strstr(info_of(rig, 9).log, "/xl-dmd-9.log"));
}

/* A domid that comes back within one look belongs to another guest. */
static void test_number_reused(void **state)
{
    struct rig *rig = *state;
    struct fake_guest *guest = guest_seven(rig), *other;

    fake_write(rig->hv, guest, "first");
    fake_remove(guest);
    other = fake_add(rig->hv, 7, 0x77);
    dmd_scan(rig->dmd, false);
    assert_true(other->mapped && !guest->mapped);
    fake_write(rig->hv, other, "second");
    rig_pump(rig);
    assert_non_null(strstr(rig_file(rig->log, "domain-7.log"), "first"));
    assert_non_null(strstr(rig_file(rig->log, "domain-7.log"), "77777777-7777"));
}

static void test_console_comes_late(void **state)
{
    struct rig *rig = *state;
    struct fake_guest *guest = fake_add(rig->hv, 7, 0);

    guest->has_console = false;
    dmd_scan(rig->dmd, false);
    assert_int_equal(info_of(rig, 7).state, CONSOLE_WAITING);
    memset(guest->info.uuid, 7, sizeof(guest->info.uuid)); /* as libxl does it, in a second call */
    guest->has_console = true;
    guest->bind_error = EINVAL;
    dmd_scan(rig->dmd, false);
    assert_int_equal(info_of(rig, 7).state, CONSOLE_WAITING);
    assert_string_equal(
        info_of(rig, 7).reason,
        "event channel 5 cannot be bound: Invalid argument (has another program it?)");
    assert_false(guest->mapped);
    guest->bind_error = EMFILE;
    dmd_scan(rig->dmd, false);
    assert_string_equal(info_of(rig, 7).reason,
                        "event channel 5 cannot be bound: Too many open files");
    guest->bind_error = 0;
    dmd_scan(rig->dmd, false);
    assert_int_equal(info_of(rig, 7).state, CONSOLE_ATTACHED);
    assert_string_equal(dmd_find(rig->dmd, 7)->uuid, UUID7);
}

static void test_broken_ring(void **state)
{
    struct rig *rig = *state;
    struct fake_guest *guest = guest_seven(rig), *other = fake_add(rig->hv, 8, 8);
    int sock = rig_connect(rig, "console/7.sock");

    dmd_scan(rig->dmd, false);
    guest->page->out_prod = 0x80000000;
    fake_send_event(rig->hv, guest);
    rig_expect(rig, sock, "the guest broke its console ring");
    assert_int_equal(info_of(rig, 7).state, CONSOLE_BROKEN);
    assert_false(guest->mapped);
    assert_null(guest->port);
    rig_send(rig, sock, "input for nobody");
    dmd_scan(rig->dmd, false);
    assert_false(guest->mapped); /* it is not tried again */
    fake_write(rig->hv, other, "fine");
    rig_pump(rig);
    assert_non_null(strstr(rig_file(rig->log, "domain-8.log"), "fine"));

    /* The input side can be broken, too. */
    other->page->in_cons = 5;
    close(sock);
    sock = rig_connect(rig, "console/8.sock");
    rig_send(rig, sock, "x");
    dmd_scan(rig->dmd, false);
    assert_int_equal(info_of(rig, 8).state, CONSOLE_BROKEN);
    close(sock);
}

/* A guest that takes no input makes the sender wait; nothing is lost and memory stays bounded. */
static void test_input_waits(void **state)
{
    struct rig *rig = *state;
    struct fake_guest *guest = guest_seven(rig);
    int sock = rig_connect(rig, "console/7.sock");
    char piece[1024], input[1024];
    size_t sent = 0, got = 0;

    for (size_t i = 0; i < sizeof(piece); i++)
        piece[i] = (char)('a' + i % 26);
    for (int i = 0; i < 200; i++) {
        ssize_t n = write(sock, piece, sizeof(piece));

        if (n > 0)
            sent += (size_t)n;
        rig_pump(rig);
        if (n != sizeof(piece))
            break;
    }
    /* The socket's own buffer filled up: the daemon stopped reading at a few KiB. */
    assert_true(sent < 1000000);
    assert_int_equal(info_of(rig, 7).input_bytes, 1024);
    close(sock); /* what it has sent still arrives */
    for (int i = 0; i < 4000 && info_of(rig, 7).clients; i++) {
        size_t n = fake_read(guest, input);

        for (size_t j = 0; j < n; j++, got++)
            assert_int_equal(input[j], 'a' + got % sizeof(piece) % 26);
        fake_send_event(rig->hv, guest);
        rig_pump(rig);
        if (guest->masked) /* it is being held for a while, as so many came */
            usleep(1000);
    }
    got += fake_read(guest, input);
    assert_int_equal(got, sent);
    assert_int_equal(info_of(rig, 7).clients, 0);
}

/* Who reads nothing holds nobody up, is told what was skipped, and costs a bounded amount of memory. */
static void test_slow_reader(void **state)
{
    struct rig *rig = *state;
    struct fake_guest *guest = guest_seven(rig);
    int slow = rig_connect(rig, "console/7.sock");
    char text[1025];

    memset(text, 'x', sizeof(text) - 1);
    text[1024] = 0;
    for (int i = 0; i < 1500; i++) {
        fake_write(rig->hv, guest, text);
        rig_pump(rig);
        /* The limit for storms of events does not matter here. */
        dmd_scan(rig->dmd, false);
    }
    assert_int_equal(info_of(rig, 7).output_bytes, 1500 * 1024);
    assert_true(info_of(rig, 7).skipped_bytes > 500 * 1024);
    for (int i = 0; i < 100; i++) {
        while (read(slow, text, sizeof(text)) > 0)
            ;
        rig_pump(rig);
    }
    fake_write(rig->hv, guest, "end");
    dmd_scan(rig->dmd, false);
    rig_expect(rig, slow, "bytes skipped");
    rig_expect(rig, slow, "end");
    /* The log is bounded as well, and has the end. */
    assert_true(strlen(rig_file(rig->log, "domain-7.log")) <= LOGFILE_LIMIT);
    assert_true(strlen(rig_file(rig->log, "domain-7.log.1")) <= LOGFILE_LIMIT);
    assert_true(strlen(rig_file(rig->log, "domain-7.log.1")) > LOGFILE_LIMIT - 4096);
    assert_non_null(strstr(rig_file(rig->log, "domain-7.log"), "xxxend"));
    close(slow);
}

/* A storm of events is answered for a while; then the port stays masked, and is taken up again. */
static void test_event_storm(void **state)
{
    const struct timeval while_away = { .tv_usec = 400000 };
    struct rig *rig = *state;
    struct fake_guest *guest = guest_seven(rig);

    for (int i = 0; i < 2000 && !guest->masked; i++) {
        fake_send_event(rig->hv, guest);
        event_base_loop(rig->base, EVLOOP_NONBLOCK);
    }
    assert_true(guest->masked);
    fake_write(rig->hv, guest, "late");
    event_base_loopexit(rig->base, &while_away);
    event_base_dispatch(rig->base);
    assert_false(guest->masked);
    assert_non_null(strstr(rig_file(rig->log, "domain-7.log"), "late"));
}

static void test_too_many_clients(void **state)
{
    struct rig *rig = *state;
    int fd[CONSOLE_CLIENTS_MAX + 1];

    guest_seven(rig);
    for (int i = 0; i <= CONSOLE_CLIENTS_MAX; i++)
        fd[i] = rig_connect(rig, "console/7.sock");
    rig_expect_end(rig, fd[CONSOLE_CLIENTS_MAX]);
    assert_int_equal(info_of(rig, 7).clients, CONSOLE_CLIENTS_MAX);
    for (int i = 0; i <= CONSOLE_CLIENTS_MAX; i++)
        close(fd[i]);
    rig_pump(rig);
    assert_int_equal(info_of(rig, 7).clients, 0);
}

/* Somebody moved the log away: after a hang-up signal the daemon writes to a new one. */
static void test_reopen(void **state)
{
    struct rig *rig = *state;
    struct fake_guest *guest = guest_seven(rig);
    char from[96], to[96];

    snprintf(from, sizeof(from), "%s/domain-7.log", rig->log);
    snprintf(to, sizeof(to), "%s/away", rig->log);
    assert_int_equal(rename(from, to), 0);
    fake_write(rig->hv, guest, "old");
    rig_pump(rig);
    dmd_reopen_logs(rig->dmd);
    fake_write(rig->hv, guest, "new");
    rig_pump(rig);
    assert_non_null(strstr(rig_file(rig->log, "away"), "old"));
    assert_string_equal(rig_file(rig->log, "domain-7.log"), "new");
}

/* A link in the place of a log is not written through. */
static void test_log_link(void **state)
{
    struct rig *rig = *state;
    char path[96], target[96];

    snprintf(path, sizeof(path), "%s/domain-7.log", rig->log);
    snprintf(target, sizeof(target), "%s/target", rig->log);
    assert_int_equal(symlink(target, path), 0);
    fake_write(rig->hv, guest_seven(rig), "text");
    rig_pump(rig);
    assert_int_equal(access(target, F_OK), -1);
    assert_true(info_of(rig, 7).log_lost_bytes >= 4);
    assert_int_equal(info_of(rig, 7).state, CONSOLE_ATTACHED);
}

static void test_list_fails(void **state)
{
    struct rig *rig = *state;
    struct fake_guest *guest = guest_seven(rig);

    fake_fail_list(rig->hv, true);
    dmd_scan(rig->dmd, false);
    assert_non_null(dmd_find(rig->dmd, 7)); /* no answer is not "no domains" */
    fake_fail_list(rig->hv, false);
    dmd_scan(rig->dmd, false);
    assert_true(guest->mapped && guest->port);
}

#define T(test) cmocka_unit_test_setup_teardown(test, rig_setup, rig_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_three_ways),      T(test_modes),           T(test_last_words),    T(test_dying),
        T(test_connected_first),
        T(test_restart),         T(test_killed_while_logging),
              T(test_names),           T(test_being_built),     T(test_bad_files),     T(test_log_names_clash),
        T(test_number_reused),   T(test_console_comes_late), T(test_broken_ring), T(test_input_waits),
        T(test_slow_reader),     T(test_event_storm),     T(test_too_many_clients), T(test_reopen),
        T(test_log_link),        T(test_list_fails),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);

    return failed + control_tests() + pci_tests() + ask_tests() ? 1 : 0;
}
