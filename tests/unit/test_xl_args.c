/* SPDX-License-Identifier: MIT */
/*
 * xl-lite's handling of arguments: options, help, exit codes, numbers.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "tools/xl.h"

static const struct xl_command command = { "test", NULL, "[-a] <X>", "Tests", "  -a\tx\n" };
static const struct option options[] = { { "all", no_argument, NULL, 'a' },
                                         { "size", required_argument, NULL, 's' },
                                         { NULL, 0, NULL, 0 } };

/* Runs xl_getopt() once over the words. Returns its result. */
static int get(int argc, const char *const *words, int *status)
{
    char *argv[8];

    for (int i = 0; i < argc; i++) {
        argv[i] = (char *)(uintptr_t)words[i];
    }
    argv[argc] = NULL;
    optind = 0;
    xl_current = &command;
    return xl_getopt(argc, argv, "as:", options, status);
}

static void test_options(void **state)
{
    int status = -1;

    (void)state;
    assert_int_equal(get(2, (const char *[]){ "test", "-a" }, &status), 'a');
    assert_int_equal(get(2, (const char *[]){ "test", "--all" }, &status), 'a');
    assert_int_equal(get(3, (const char *[]){ "test", "-s", "x" }, &status), 's');
    assert_string_equal(optarg, "x");
    assert_int_equal(get(2, (const char *[]){ "test", "x" }, &status), -1);
    assert_int_equal(status, -1);
}

static void test_wrong_options(void **state)
{
    static const char *const wrong[][3] = { { "test", "-x", NULL },
                                            { "test", "--none", NULL },
                                            { "test", "-s", NULL },
                                            { "test", "--size", NULL },
                                            { "test", "--all=3", NULL } };

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        int status = -1;

        assert_int_equal(get(2, wrong[i], &status), 0);
        assert_int_equal(status, XL_USAGE);
    }
}

static void test_help(void **state)
{
    int status = -1;

    (void)state;
    assert_int_equal(get(2, (const char *[]){ "test", "-h" }, &status), 0);
    assert_int_equal(status, XL_OK);
    status = -1;
    assert_int_equal(get(2, (const char *[]){ "test", "--help" }, &status), 0);
    assert_int_equal(status, XL_OK);
}

static void test_argument_counts(void **state)
{
    (void)state;
    xl_current = &command;
    optind = 1;
    assert_int_equal(xl_arguments(2, 1, 1), 0);
    assert_int_equal(xl_arguments(1, 1, 1), XL_USAGE);
    assert_int_equal(xl_arguments(3, 1, 1), XL_USAGE);
    assert_int_equal(xl_arguments(1, 0, 1), 0);
}

static void test_numbers(void **state)
{
    static const char *const wrong[] = { "",   "-1", "+1",  " 1", "1 ",
                                         "x",  "0x", "0xg", "1k", "18446744073709551616",
                                         "101" };
    uint64_t value = 7;

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        assert_int_not_equal(xl_number(wrong[i], 100, &value), 0);
        assert_int_equal(value, 7);
    }
    assert_int_equal(xl_number("100", 100, &value), 0);
    assert_int_equal(value, 100);
    assert_int_equal(xl_number("0x10", UINT64_MAX, &value), 0);
    assert_int_equal(value, 16);
    assert_int_equal(xl_number("010", UINT64_MAX, &value), 0);
    assert_int_equal(value, 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_options), cmocka_unit_test(test_wrong_options),
        cmocka_unit_test(test_help),    cmocka_unit_test(test_argument_counts),
        cmocka_unit_test(test_numbers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
