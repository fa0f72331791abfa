/* SPDX-License-Identifier: MIT */
/* A guest's early output: whole lines, of bounded length, bounded in number, harmless to a terminal. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "domain/debugport.h"
#include "lib/printf.h"

static char last[512];
static unsigned lines;

void printk(enum log_level level, const char *fmt, ...)
{
    va_list ap;

    assert_int_equal(level, LOG_DEBUG); /* in the log, not on the serial line */
    va_start(ap, fmt);
    vsnprintf(last, sizeof(last), fmt, ap);
    va_end(ap);
    lines++;
}

static int setup(void **state)
{
    (void)state;
    lines = 0;
    last[0] = 0;
    return 0;
}

static void put(struct debugport *p, const char *text, uint64_t now)
{
    for (; *text; text++)
        debugport_put(p, 7, (uint8_t)*text, now);
}

static void test_lines(void **state)
{
    struct debugport p = { 0 };

    (void)state;
    put(&p, "[    0.000000] Linux", 1);
    assert_int_equal(lines, 0);
    put(&p, " version 6.1\r\n", 1);
    assert_int_equal(lines, 1);
    assert_string_equal(last, "(d7) [    0.000000] Linux version 6.1");
    put(&p, "\033[2J\x07\n", 1);
    assert_string_equal(last, "(d7) .[2J.");
    put(&p, "\n", 1);
    assert_string_equal(last, "(d7) ");
}

static void test_length(void **state)
{
    struct debugport p = { 0 };

    (void)state;
    for (unsigned i = 0; i < 10 * DEBUGPORT_LINE; i++)
        debugport_put(&p, 7, 'x', 1);
    assert_int_equal(lines, 9);
    assert_int_equal(strlen(last), DEBUGPORT_LINE + strlen("(d7) "));
    debugport_put(&p, 7, '\n', 1);
    assert_int_equal(lines, 10);
}

static void test_rate(void **state)
{
    struct debugport p = { 0 };

    (void)state;
    for (unsigned i = 0; i < 5 * DEBUGPORT_LINES; i++)
        put(&p, "noise\n", 1);
    assert_int_equal(lines, DEBUGPORT_LINES);
    put(&p, "later\n", 1 + DEBUGPORT_LINES_NS);
    assert_int_equal(lines, DEBUGPORT_LINES + 2); /* how many were left out, and the line */
    assert_string_equal(last, "(d7) later");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_lines, setup),
        cmocka_unit_test_setup(test_length, setup),
        cmocka_unit_test_setup(test_rate, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
