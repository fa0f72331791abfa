/* SPDX-License-Identifier: MIT */
/*
 * Guests' state files: written and read back, replaced as a whole, and not believed when others can
 * have written them.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "libs/guest_state.h"

static char top[] = "/tmp/test_guest_state.XXXXXX";
static char dir[64], file[96];

static int setup(void **state)
{
    (void)state;
    if (mkdtemp(top) == NULL) {
        return -1;
    }
    snprintf(dir, sizeof(dir), "%s/a/domains", top);
    snprintf(file, sizeof(file), "%s/3.json", dir);
    return 0;
}

static int teardown(void **state)
{
    char command[128];

    (void)state;
    snprintf(command, sizeof(command), "rm -rf %s", top);
    return system(command);
}

static struct guest_state example(void)
{
    struct guest_state s = { .domid = 3,
                             .name = "web \"1\"",
                             .uuid = "01234567-89ab-cdef-0123-456789abcdef",
                             .ready = true,
                             .console_port = 2,
                             .console_gfn = 0xfefff,
                             .store = true,
                             .on_poweroff = "destroy",
                             .on_reboot = "restart",
                             .on_crash = "preserve",
                             .created = 1700000000,
                             .creator = 77 };

    s.config_file = (char *)"/etc/x.cfg";
    s.config = (char *)"name = \"x\"\n";
    return s;
}

static void put_text(const char *text)
{
    FILE *out = fopen(file, "w");

    assert_non_null(out);
    fputs(text, out);
    fclose(out);
    assert_int_equal(chmod(file, 0600), 0);
}

static void test_round_trip(void **state)
{
    const struct guest_state in = example();
    struct guest_state out;
    struct stat st;

    (void)state;
    assert_int_equal(guest_state_read(dir, 3, &out), -ENOENT);
    assert_int_equal(guest_state_write(dir, &in), 0);
    assert_int_equal(stat(dir, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    assert_int_equal(stat(file, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(guest_state_read(dir, 3, &out), 0);
    assert_string_equal(out.name, in.name);
    assert_string_equal(out.uuid, in.uuid);
    assert_true(out.ready);
    assert_true(out.store);
    assert_int_equal(out.console_port, 2);
    assert_int_equal(out.console_gfn, 0xfefff);
    assert_string_equal(out.on_crash, "preserve");
    assert_string_equal(out.config, in.config);
    assert_string_equal(out.config_file, in.config_file);
    assert_int_equal(out.created, in.created);
    assert_int_equal(out.creator, 77);
    guest_state_free(&out);
    assert_int_equal(guest_state_remove(dir, 3), 0);
    assert_int_equal(guest_state_remove(dir, 3), 0);
}

static void test_unfinished(void **state)
{
    struct guest_state in = example(), out;

    (void)state;
    in.ready = false;
    in.config = in.config_file = NULL;
    assert_int_equal(guest_state_write(dir, &in), 0);
    assert_int_equal(guest_state_read(dir, 3, &out), 0);
    assert_false(out.ready);
    assert_int_equal(out.console_port, 0);
    assert_null(out.config);
    guest_state_free(&out);
}

static void test_garbage(void **state)
{
    static const char *const texts[] = {
        "",
        "x",
        "[]",
        "3",
        "{",
        "{}",
        "{\"domid\":3}",
        "{\"domid\":4,\"name\":\"a\",\"uuid\":\"b\"}",
        "{\"domid\":3,\"name\":7,\"uuid\":\"b\"}",
        "{\"domid\":\"3\",\"name\":\"a\",\"uuid\":\"b\"}",
        "{\"domid\":3,\"name\":\"a\",\"uuid\":\"0123456789012345678901234567890123456789\"}",
        ("{\"domid\":3,\"name\":\"a\",\"uuid\":\"b\",\"ready\":true,"
         "\"console_port\":-1,\"console_gfn\":1}"),
        "{\"domid\":3,\"name\":\"a\",\"uuid\":\"b\",\"ready\":true}",
    };
    struct guest_state out;

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        put_text(texts[i]);
        assert_int_equal(guest_state_read(dir, 3, &out), -EINVAL);
        guest_state_free(&out);
    }
}

static void test_trust(void **state)
{
    const struct guest_state in = example();
    struct guest_state out;
    char other[128];

    (void)state;
    assert_int_equal(guest_state_write(dir, &in), 0);
    assert_int_equal(chmod(file, 0666), 0);
    assert_int_equal(guest_state_read(dir, 3, &out), -EPERM);
    guest_state_free(&out);
    assert_int_equal(chmod(file, 0600), 0);
    snprintf(other, sizeof(other), "%s.other", file);
    assert_int_equal(rename(file, other), 0);
    assert_int_equal(symlink(other, file), 0);
    assert_int_equal(guest_state_read(dir, 3, &out), -ELOOP);
    guest_state_free(&out);
    /* A new file takes the link's place; what it pointed to stays. */
    assert_int_equal(guest_state_write(dir, &in), 0);
    assert_int_equal(guest_state_read(dir, 3, &out), 0);
    guest_state_free(&out);
    if (geteuid() == 0) {
        assert_int_equal(chown(file, 12345, 0), 0);
        assert_int_equal(guest_state_read(dir, 3, &out), -EPERM);
        guest_state_free(&out);
    }
}

static void test_lock(void **state)
{
    int first = guest_state_lock(top, 0), second;

    (void)state;
    assert_true(first >= 0);
    assert_int_equal(guest_state_lock(top, 40), -ETIMEDOUT);
    close(first);
    second = guest_state_lock(top, 0);
    assert_true(second >= 0);
    close(second);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip), cmocka_unit_test(test_unfinished),
        cmocka_unit_test(test_garbage),    cmocka_unit_test(test_trust),
        cmocka_unit_test(test_lock),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
