/* SPDX-License-Identifier: MIT */
/*
 * The hypervisor's command line: splitting, sizes, lists, words nobody knows.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "boot/cmdline.h"
#include "boot/multiboot.h"
#include "lib/errno.h"
#include "lib/string.h"

static void words_and_values(void **state)
{
    (void)state;
    assert_int_equal(
        cmdline_init("  console=com1,vga \tloglvl=info flag  \"a b\"=\"c  d\" x=1=2 loglvl=debug "),
        0);
    assert_string_equal(cmdline_get("console"), "com1,vga");
    assert_string_equal(cmdline_get("loglvl"), "debug");
    assert_string_equal(cmdline_get("flag"), "");
    assert_string_equal(cmdline_get("a b"), "c  d");
    assert_string_equal(cmdline_get("x"), "1=2");
    assert_null(cmdline_get("consol"));
    assert_null(cmdline_get("consolex"));
    assert_true(cmdline_list_has("console", "com1"));
    assert_true(cmdline_list_has("console", "vga"));
    assert_false(cmdline_list_has("console", "com"));
    assert_false(cmdline_list_has("console", "com1,v"));
    assert_false(cmdline_list_has("absent", "com1"));
}

static void sizes(void **state)
{
    uint64_t v = 77;
    unsigned u = 5;

    (void)state;
    cmdline_init("a=512 b=64K c=2048m d=1G e=0x10g f=1T g= h=1Q i=1GB j=16777216T "
                 "k=18446744073709551616 l=-1 "
                 "m=0x n=17179869183G cpus=4 many=4294967296");
    assert_int_equal(cmdline_size("zz", &v), -ENOENT);
    assert_int_equal(v, 77);
    assert_int_equal(cmdline_size("a", &v), 0);
    assert_int_equal(v, 512);
    assert_int_equal(cmdline_size("b", &v), 0);
    assert_int_equal(v, 65536);
    assert_int_equal(cmdline_size("c", &v), 0);
    assert_int_equal(v, 1ull << 31);
    assert_int_equal(cmdline_size("d", &v), 0);
    assert_int_equal(v, 1ull << 30);
    assert_int_equal(cmdline_size("e", &v), 0);
    assert_int_equal(v, 1ull << 34);
    assert_int_equal(cmdline_size("f", &v), 0);
    assert_int_equal(v, 1ull << 40);
    assert_int_equal(cmdline_size("g", &v), -EINVAL);
    assert_int_equal(cmdline_size("h", &v), -EINVAL);
    assert_int_equal(cmdline_size("i", &v), -EINVAL);
    assert_int_equal(cmdline_size("j", &v), -ERANGE);
    assert_int_equal(cmdline_size("k", &v), -ERANGE);
    assert_int_equal(cmdline_size("l", &v), -EINVAL);
    assert_int_equal(cmdline_size("m", &v), -EINVAL);
    assert_int_equal(v, 1ull << 40);
    assert_int_equal(cmdline_size("n", &v), 0);
    assert_int_equal(v, 17179869183ull << 30);
    assert_int_equal(cmdline_uint("cpus", &u), 0);
    assert_int_equal(u, 4);
    assert_int_equal(cmdline_uint("many", &u), -ERANGE);
    assert_int_equal(cmdline_uint("b", &u), -EINVAL);
    assert_int_equal(u, 4);
}

static void booleans(void **state)
{
    (void)state;
    cmdline_init("a b=off c=yes d=maybe");
    assert_true(cmdline_bool("a", false));
    assert_false(cmdline_bool("b", true));
    assert_true(cmdline_bool("c", false));
    assert_true(cmdline_bool("d", true));
    assert_false(cmdline_bool("d", false));
    assert_true(cmdline_bool("e", true));
}

static char reported[64];

static void report(const char *name)
{
    strcat(reported, name);
    strcat(reported, ";");
}

static void unknown_words_are_reported(void **state)
{
    (void)state;
    cmdline_init("console=com1 typo=3 placeholder");
    cmdline_get("console");
    assert_int_equal(cmdline_report_unknown(report), 2);
    assert_string_equal(reported, "typo;placeholder;");
}

static void too_much_is_cut(void **state)
{
    char line[BOOT_CMDLINE_LEN + 10];
    unsigned i;

    (void)state;
    memset(line, 'a', sizeof(line) - 1);
    line[sizeof(line) - 1] = '\0';
    assert_int_equal(cmdline_init(line), -E2BIG);
    line[0] = '\0';
    for (i = 0; i < CMDLINE_MAX_WORDS + 1; i++)
        strcat(line, "w ");
    assert_int_equal(cmdline_init(line), -E2BIG);
    assert_non_null(cmdline_get("w"));
    assert_int_equal(cmdline_init(""), 0);
    assert_null(cmdline_get("w"));
    assert_int_equal(cmdline_init("\"open quote = x"), 0);
    assert_string_equal(cmdline_get("open quote "), " x");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_and_values), cmocka_unit_test(sizes),
        cmocka_unit_test(booleans),         cmocka_unit_test(unknown_words_are_reported),
        cmocka_unit_test(too_much_is_cut),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
