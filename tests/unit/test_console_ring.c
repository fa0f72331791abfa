/* SPDX-License-Identifier: MIT */
/* The console ring: order, wrap, partial copies, and guests that lie about their indexes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "dm/ring.h"

#define OUT_SIZE sizeof(((struct xencons_interface *)0)->out)
#define IN_SIZE sizeof(((struct xencons_interface *)0)->in)

/* The page has its real size and lies alone on the heap, so that the sanitizer sees what goes past it. */
/* As the daemon does, without a log in between. */
static int ring_read(struct console_ring *ring, char *buf, size_t size)
{
    int n = ring_peek(ring, buf, size);

    if (n > 0)
        ring_done(ring, (uint32_t)n);
    return n;
}

static struct xencons_interface *new_page(uint32_t out, uint32_t in)
{
    struct xencons_interface *page = calloc(1, sizeof(*page));

    assert_non_null(page);
    page->out_cons = page->out_prod = out;
    page->in_cons = page->in_prod = in;
    return page;
}

static void guest_writes(struct xencons_interface *page, const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        page->out[MASK_XENCONS_IDX(page->out_prod++, page->out)] = text[i];
}

static size_t guest_reads(struct xencons_interface *page, char *buf)
{
    size_t n = 0;

    while (page->in_cons != page->in_prod)
        buf[n++] = page->in[MASK_XENCONS_IDX(page->in_cons++, page->in)];
    return n;
}

static void test_simple(void **state)
{
    struct xencons_interface *page = new_page(0, 0);
    struct console_ring ring;
    char buf[OUT_SIZE];

    (void)state;
    ring_attach(&ring, page);
    assert_int_equal(ring_read(&ring, buf, sizeof(buf)), 0);
    guest_writes(page, "hello", 5);
    assert_int_equal(ring_read(&ring, buf, sizeof(buf)), 5);
    assert_memory_equal(buf, "hello", 5);
    assert_int_equal(page->out_cons, 5);
    assert_int_equal(ring_read(&ring, buf, sizeof(buf)), 0);
    assert_int_equal(ring_write(&ring, "ls\n", 3), 3);
    assert_int_equal(guest_reads(page, buf), 3);
    assert_memory_equal(buf, "ls\n", 3);
    free(page);
}

/* What a daemon before this one left is read by the next one, from where the first stopped. */
static void test_attach_again(void **state)
{
    struct xencons_interface *page = new_page(77, 5);
    struct console_ring ring;
    char buf[OUT_SIZE];

    (void)state;
    guest_writes(page, "one", 3);
    ring_attach(&ring, page);
    assert_int_equal(ring_read(&ring, buf, sizeof(buf)), 3);
    guest_writes(page, "two", 3);
    ring_attach(&ring, page);
    assert_int_equal(ring_read(&ring, buf, sizeof(buf)), 3);
    assert_memory_equal(buf, "two", 3);
    free(page);
}

/* Every place in the ring, and the 32-bit overflow of the indexes, with pieces of every size up to 97. */
static void test_wrap(void **state)
{
    struct xencons_interface *page = new_page(UINT32_MAX - 3000, UINT32_MAX - 1000);
    struct console_ring ring;
    char text[97], buf[OUT_SIZE];
    unsigned char next = 0;

    (void)state;
    ring_attach(&ring, page);
    for (unsigned round = 0; round < 500; round++) {
        const size_t len = 1 + round % sizeof(text);

        for (size_t i = 0; i < len; i++)
            text[i] = (char)next++;
        guest_writes(page, text, len);
        assert_int_equal(ring_read(&ring, buf, sizeof(buf)), len);
        assert_memory_equal(buf, text, len);
        assert_int_equal(ring_write(&ring, text, len), len);
        assert_int_equal(guest_reads(page, buf), len);
        assert_memory_equal(buf, text, len);
    }
    assert_true(page->out_cons < 100000);
    free(page);
}

static void test_full_and_partial(void **state)
{
    struct xencons_interface *page = new_page(100, 100);
    struct console_ring ring;
    char text[OUT_SIZE], buf[OUT_SIZE];

    (void)state;
    for (size_t i = 0; i < sizeof(text); i++)
        text[i] = (char)(i * 7);
    ring_attach(&ring, page);
    guest_writes(page, text, sizeof(text));
    assert_int_equal(ring_read(&ring, buf, 1000), 1000);
    assert_memory_equal(buf, text, 1000);
    assert_int_equal(ring_read(&ring, buf, sizeof(buf)), sizeof(text) - 1000);
    assert_memory_equal(buf, text + 1000, sizeof(text) - 1000);

    assert_int_equal(ring_space(&ring), IN_SIZE);
    assert_int_equal(ring_write(&ring, text, sizeof(text)), IN_SIZE);
    assert_int_equal(ring_space(&ring), 0);
    assert_int_equal(ring_write(&ring, "x", 1), 0);
    page->in_cons += 3;
    assert_int_equal(ring_write(&ring, "abcdef", 6), 3);
    assert_int_equal(page->in[MASK_XENCONS_IDX(page->in_prod - 1, page->in)], 'c');
    assert_false(ring.broken);
    free(page);
}

static void test_hostile_output(void **state)
{
    static const uint32_t lies[] = { OUT_SIZE + 1, 0x7fffffff, 0x80000000, UINT32_MAX };
    char buf[OUT_SIZE];

    (void)state;
    for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
        struct xencons_interface *page = new_page(0, 0);
        struct console_ring ring;

        ring_attach(&ring, page);
        page->out_prod = lies[i];
        assert_int_equal(ring_read(&ring, buf, sizeof(buf)), -1);
        assert_true(ring.broken);
        /* Broken for good: the guest cannot talk its way back, and nothing more is written to its page. */
        page->out_prod = 1;
        assert_int_equal(ring_read(&ring, buf, sizeof(buf)), -1);
        assert_int_equal(ring_write(&ring, "x", 1), 0);
        assert_int_equal(page->out_cons, 0);
        assert_int_equal(page->in_prod, 0);
        free(page);
    }
}

static void test_hostile_input(void **state)
{
    static const uint32_t lies[] = { 1, 0x80000000, UINT32_MAX - IN_SIZE };

    (void)state;
    for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
        struct xencons_interface *page = new_page(0, 0);
        struct console_ring ring;

        ring_attach(&ring, page);
        page->in_cons = lies[i];
        assert_int_equal(ring_write(&ring, "x", 1), 0);
        assert_true(ring.broken);
        assert_int_equal(ring_space(&ring), 0);
        assert_int_equal(page->in_prod, 0);
        free(page);
    }
}

/* Our own indexes in the guest's page are for the guest to read: what it writes there changes nothing. */
static void test_hostile_own_indexes(void **state)
{
    struct xencons_interface *page = new_page(0, 0);
    struct console_ring ring;
    char buf[OUT_SIZE];

    (void)state;
    ring_attach(&ring, page);
    guest_writes(page, "abc", 3);
    assert_int_equal(ring_read(&ring, buf, sizeof(buf)), 3);
    page->out_cons = 0xdeadbeef;
    page->in_prod = 0xdeadbeef;
    guest_writes(page, "def", 3);
    assert_int_equal(ring_read(&ring, buf, sizeof(buf)), 3);
    assert_memory_equal(buf, "def", 3);
    assert_int_equal(page->out_cons, 6);
    assert_int_equal(ring_write(&ring, "xy", 2), 2);
    assert_int_equal(page->in_prod, 2);
    assert_memory_equal(page->in, "xy", 2);
    free(page);
}

/* A page full of anything is attached without harm, whatever comes of it. */
static void test_random_pages(void **state)
{
    struct xencons_interface *page = new_page(0, 0);
    struct console_ring ring;
    char buf[OUT_SIZE];
    uint32_t seed = 1;

    (void)state;
    for (unsigned round = 0; round < 2000; round++) {
        uint32_t *word = (uint32_t *)page->out;

        for (unsigned i = 0; i < 4; i++) {
            seed = seed * 1664525 + 1013904223;
            (&page->in_cons)[i] = round & 1 ? seed : seed >> 22;
        }
        word[round % 16] = seed;
        ring_attach(&ring, page);
        assert_true(ring_read(&ring, buf, 1 + seed % sizeof(buf)) <= (int)sizeof(buf));
        assert_true(ring_write(&ring, buf, seed % sizeof(buf)) <= IN_SIZE);
    }
    free(page);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_simple),         cmocka_unit_test(test_attach_again),
        cmocka_unit_test(test_wrap),           cmocka_unit_test(test_full_and_partial),
        cmocka_unit_test(test_hostile_output), cmocka_unit_test(test_hostile_input),
        cmocka_unit_test(test_hostile_own_indexes), cmocka_unit_test(test_random_pages),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
