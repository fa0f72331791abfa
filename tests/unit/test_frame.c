/* SPDX-License-Identifier: MIT */
/*
 * Frame allocator against a flat model of owners and references; the heap on top of it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "lib/assert.h"
#include "lib/errno.h"
#include "lib/string.h"
#include "mm/frame.h"
#include "mm/heap.h"
#include "mm/phys.h"
#include "sim.h"

#define NR         16384u /* 64 MiB */
#define FIRST_FREE 300u
#define ALL        (NR - FIRST_FREE)
#define NR_DOMAINS 4u

static struct page table[NR];

static bool expect_panic;
static jmp_buf on_panic;

/* Replaces the simulated machine's: a test may want to see one. */
void panic(const char *fmt, ...)
{
    va_list ap;

    if (expect_panic)
        longjmp(on_panic, 1);
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    abort();
}

#define ASSERT_PANICS(statement)                                                                   \
    do {                                                                                           \
        volatile bool seen_ = false;                                                               \
        expect_panic = true;                                                                       \
        if (setjmp(on_panic) == 0) {                                                               \
            statement;                                                                             \
        } else {                                                                                   \
            seen_ = true;                                                                          \
        }                                                                                          \
        expect_panic = false;                                                                      \
        assert_true(seen_);                                                                        \
    } while (0)

static int setup(void **state)
{
    (void)state;
    sim_phys_init((size_t)NR << PAGE_SHIFT);
    frames_init(table, NR);
    frames_assign(0, 100, OWNER_XEN);
    frames_add(FIRST_FREE - 1, 1); /* the frame of the domains' counters */
    assert_int_equal(frame_alloc(0, 0, 0), INVALID_MFN);
    frames_add(FIRST_FREE, ALL);

    srand(1);
    return 0;
}

static uint64_t sum_of_blocks(const struct frame_stats *st)
{
    uint64_t sum = 0;

    for (unsigned o = 0; o <= FRAME_MAX_ORDER; o++)
        sum += st->blocks[o] << o;
    return sum;
}

static void test_basics(void **state)
{
    struct frame_stats st;
    uint64_t m;

    (void)state;
    assert_int_equal(frames_free_count(), ALL);
    frame_get_stats(&st);
    assert_int_equal(st.total, ALL + 1);
    assert_int_equal(st.xen, 101);
    assert_int_equal(sum_of_blocks(&st), st.free);
    m = frame_alloc(9, 1, 0);
    assert_int_equal(m & 511, 0);
    assert_int_equal(page_owner(m + 511), 1);
    assert_int_equal(frames_owned(1), 512);
    assert_int_equal(frame_alloc(FRAME_MAX_ORDER, 1, 0), INVALID_MFN);
    assert_int_equal(frame_alloc(FRAME_MAX_ORDER + 1, 1, 0), INVALID_MFN);
    assert_true(page_mappable(m));
    assert_false(page_mappable(50));
    assert_true(page_mappable(200));
    assert_true(page_mappable(NR + 5));
    assert_null(page_of(NR));
    frame_free(m, 9);
    assert_false(page_mappable(m));
    assert_int_equal(frames_owned(1), 0);
    assert_int_equal(frames_free_count(), ALL);
}

static void test_zero(void **state)
{
    uint64_t m;
    unsigned char *p;

    (void)state;
    m = frame_alloc(3, 2, 0);
    memset(mfn_to_virt(m), 0xee, PAGE_SIZE << 3);
    frame_free(m, 3);
    m = frame_alloc(3, 3, FRAME_ZERO | FRAME_BELOW_4G);
    p = mfn_to_virt(m);
    for (size_t i = 0; i < PAGE_SIZE << 3; i++)
        assert_int_equal(p[i], 0);
    frame_free(m, 3);
}

static void test_all_memory(void **state)
{
    uint64_t n = 0, m, last = INVALID_MFN;

    (void)state;
    while ((m = frame_alloc(0, 1, 0)) != INVALID_MFN) {
        n++;
        last = m;
    }
    assert_int_equal(n, ALL);
    assert_int_equal(frames_free_count(), 0);
    frame_free(last, 0);
    assert_int_equal(frame_alloc(1, 1, 0), INVALID_MFN);
    assert_int_equal(frame_alloc(0, 1, 0), last);
    frames_free_range(FIRST_FREE, ALL);
    assert_int_equal(frames_free_count(), ALL);
    /* Everything has grown together again. */
    m = frame_alloc(12, 1, 0);
    assert_int_not_equal(m, INVALID_MFN);
    frame_free(m, 12);
}

static void test_reserve(void **state)
{
    uint64_t n = 0, m;

    (void)state;
    frames_set_reserve(100);
    while (frame_alloc(0, 1, 0) != INVALID_MFN)
        n++;
    assert_int_equal(frames_free_count(), 100);
    assert_int_equal(n, ALL - 100);
    m = frame_alloc(0, OWNER_XEN, 0);
    assert_int_not_equal(m, INVALID_MFN);
    frame_free(m, 0);
    assert_int_equal(frame_claim(m, 1, 1), -EBUSY);
    assert_int_equal(frame_claim(m, 1, OWNER_XEN), 0);
    frames_set_reserve(0);
    assert_int_not_equal(frame_alloc(0, 1, 0), INVALID_MFN);
}

static void test_references(void **state)
{
    uint64_t m = frame_alloc(0, 1, 0), x = frame_alloc(0, OWNER_XEN, 0);

    (void)state;
    assert_false(page_get(m, 2));
    assert_true(page_get(m, 1));
    assert_false(page_get(x, OWNER_XEN)); /* a guest never gets one on the hypervisor's */
    assert_false(page_get(200, OWNER_IO));
    assert_int_equal(page_users(m), 1);
    assert_false(page_orphaned(m));
    frame_free(m, 0); /* the owner gives it up, the user keeps it */
    assert_true(page_orphaned(m));
    assert_int_equal(page_owner(m), 1);
    assert_int_equal(frames_owned(1), 1);
    assert_false(page_get(m, 1)); /* nobody new */
    assert_true(page_get_any(m)); /* but whoever holds it may take another */
    page_put(m);
    page_put(m);
    assert_int_equal(page_owner(m), OWNER_NONE);
    assert_int_equal(frames_owned(1), 0);
    assert_false(page_get_any(m));
    frame_free(x, 0);
}

static void test_misuse_panics(void **state)
{
    uint64_t m = frame_alloc(0, 1, 0);

    (void)state;
    frame_free(m, 0);
    ASSERT_PANICS(frame_free(m, 0));
    ASSERT_PANICS(frame_free(200, 0)); /* never ours */
    ASSERT_PANICS(frame_free(NR, 0));
    m = frame_alloc(0, 1, 0);
    ASSERT_PANICS(page_put(m)); /* a reference that nobody took */
    setup(NULL);
    ASSERT_PANICS(frames_add(50, 1)); /* the hypervisor's image */
    ASSERT_PANICS(frames_assign(FIRST_FREE, 1, 1));
}

static void test_claim(void **state)
{
    uint64_t free = frames_free_count(), next;

    (void)state;
    assert_int_equal(frame_claim(1000, 777, 2), 0);
    assert_int_equal(frames_owned(2), 777);
    assert_int_equal(frames_free_count(), free - 777);
    assert_int_equal(page_owner(999), OWNER_NONE);
    assert_int_equal(page_owner(1000), 2);
    assert_int_equal(page_owner(1776), 2);
    assert_int_equal(page_owner(1777), OWNER_NONE);
    assert_int_equal(frame_claim(1700, 200, 3), -EBUSY);
    assert_int_equal(frames_owned(3), 0);
    assert_int_equal(frame_claim(FIRST_FREE - 1, 2, 3), -EBUSY);
    assert_int_equal(frame_claim(NR - 1, 2, 3), -EINVAL);
    assert_int_equal(frame_find_owned(2, 0, NR, &next), 1000);
    assert_int_equal(next, 1001);
    assert_int_equal(frame_find_owned(2, 0, 10, &next), INVALID_MFN);
    assert_int_equal(next, 10);
    assert_int_equal(frame_find_owned(3, 0, 2 * NR, &next), INVALID_MFN);
    assert_int_equal(next, NR);
    frames_free_range(1000, 777);
    assert_int_equal(frames_free_count(), free);
}

/* Random allocations, frees, claims and references against who should own what. */
struct chunk {
    uint64_t mfn;
    unsigned order;
    uint16_t owner;
    bool held;
};

static void check_chunk(const struct chunk *c)
{
    for (uint64_t i = 0; i < 1u << c->order; i++) {
        const struct page *pg = page_of(c->mfn + i);

        assert_int_equal(pg->owner, c->owner);
        assert_int_equal(pg->use, PAGE_RAM);
    }
    assert_int_equal(*(uint64_t *)mfn_to_virt(c->mfn), c->mfn * 31 + c->owner);
}

static void drop_chunk(struct chunk *c)
{
    check_chunk(c);
    frame_free(c->mfn, c->order);
    if (c->held) {
        assert_int_equal(page_owner(c->mfn), c->owner);
        page_put(c->mfn);
    }
    assert_int_equal(page_owner(c->mfn), OWNER_NONE);
    c->owner = OWNER_NONE;
}

static void test_random(void **state)
{
    enum { CHUNKS = 200 };
    static struct chunk chunks[CHUNKS];
    long owned[NR_DOMAINS] = { 0 };
    struct frame_stats st;

    (void)state;
    for (unsigned i = 0; i < CHUNKS; i++)
        chunks[i].owner = OWNER_NONE;
    for (unsigned step = 0; step < 6000; step++) {
        struct chunk *c = &chunks[rand() % CHUNKS];

        if (c->owner != OWNER_NONE) {
            owned[c->owner] -= 1L << c->order;
            drop_chunk(c);
            continue;
        }
        c->order = (unsigned)(rand() % 10) * (unsigned)(rand() % 2);
        c->mfn = frame_alloc(c->order, (uint16_t)(step % NR_DOMAINS), 0);
        if (c->mfn == INVALID_MFN)
            continue;
        assert_int_equal(c->mfn & ((1u << c->order) - 1), 0);
        assert_true(c->mfn >= FIRST_FREE);
        c->owner = (uint16_t)(step % NR_DOMAINS);
        owned[c->owner] += 1L << c->order;
        *(uint64_t *)mfn_to_virt(c->mfn) = c->mfn * 31 + c->owner;
        c->held = rand() % 4 == 0 && page_get(c->mfn, c->owner);
    }
    for (uint16_t i = 0; i < NR_DOMAINS; i++)
        assert_int_equal(frames_owned(i), owned[i]);
    for (unsigned i = 0; i < CHUNKS; i++)
        if (chunks[i].owner != OWNER_NONE)
            drop_chunk(&chunks[i]);
    frame_get_stats(&st);
    assert_int_equal(st.free, ALL);
    assert_int_equal(sum_of_blocks(&st), st.free);
    assert_int_equal(st.blocks[13], 1); /* everything has grown together again */
    assert_int_equal(st.blocks[12], 1);
}

static void test_heap(void **state)
{
    enum { OBJECTS = 300 };
    static struct {
        unsigned char *p;
        size_t n;
    } obj[OBJECTS];
    struct heap_stats before, st;
    uint64_t free;

    (void)state;
    xfree(xmalloc(1)); /* makes the class lists */
    heap_get_stats(&before);
    free = frames_free_count();
    memset(obj, 0, sizeof(obj));
    for (unsigned step = 0; step < 8000; step++) {
        unsigned i = (unsigned)rand() % OBJECTS;

        if (obj[i].p) {
            for (size_t b = 0; b < obj[i].n; b++)
                assert_int_equal(obj[i].p[b], (unsigned char)i);
            xfree(obj[i].p);
            obj[i].p = NULL;
            continue;
        }
        obj[i].n = 1 + (size_t)rand() % (rand() % 8 ? 300 : 9000);
        obj[i].p = xzalloc(obj[i].n);
        assert_non_null(obj[i].p);
        for (size_t b = 0; b < obj[i].n; b++)
            assert_int_equal(obj[i].p[b], 0);
        memset(obj[i].p, (int)i, obj[i].n);
    }
    for (unsigned i = 0; i < OBJECTS; i++)
        xfree(obj[i].p);
    heap_get_stats(&st);
    assert_int_equal(st.objects, before.objects);
    assert_int_equal(st.bytes_in_use, before.bytes_in_use);
    /* One empty slab a size class may stay. */
    assert_true(st.frames <= 8 && free - frames_free_count() <= 8);
    assert_null(xmalloc(0));
    assert_null(xmalloc(HEAP_MAX_SIZE + 1));
    assert_null(xcalloc(HEAP_MAX_SIZE, HEAP_MAX_SIZE));
}

/* Each panic leaves the heap's lock held: only the last misuse of a test may take it. */
static void test_heap_double_free(void **state)
{
    char *p = xmalloc(100), *q = xmalloc(100);

    (void)state;
    xfree(p);
    ASSERT_PANICS(xfree(p));
    (void)q;
}

/* ---- clearing in advance ---- */

static unsigned steps_left;

static bool go_on(void)
{
    return steps_left && steps_left--;
}

static bool scrub_all(void)
{
    for (unsigned i = 0; i < 1000; i++) {
        steps_left = 1000;
        if (!frames_scrub(go_on))
            return true;
    }
    return false;
}

static bool is_zero(uint64_t mfn, unsigned order)
{
    const uint64_t *p = mfn_to_virt(mfn);

    for (size_t i = 0; i < (PAGE_SIZE << order) / 8; i++)
        if (p[i])
            return false;
    return true;
}

static void test_scrubbing(void **state)
{
    uint64_t m, free;

    (void)state;
    memset(mfn_to_virt(FIRST_FREE + 212), 0x55, (size_t)(NR - 512 - 1) << PAGE_SHIFT);
    setup(NULL);
    assert_false(frames_scrub(go_on)); /* not started */
    assert_int_equal(frame_alloc(9, 1, FRAME_ZERO | FRAME_CLEAN), INVALID_MFN);
    frames_start_scrubbing();
    free = frames_free_count();
    assert_int_equal(frame_alloc(9, 1, FRAME_ZERO | FRAME_CLEAN), INVALID_MFN);
    /* Interrupted in the middle it is not clean, and not lost. */
    for (unsigned i = 0; i < 40; i++) {
        steps_left = i % 32;
        frames_scrub(go_on);
        assert_int_equal(frames_free_count(), free);
    }
    assert_true(scrub_all());
    assert_int_equal(frames_free_count(), free);
    for (unsigned order = 9; order <= 13; order++) {
        m = frame_alloc(order, 1, FRAME_ZERO | FRAME_CLEAN);
        assert_int_not_equal(m, INVALID_MFN);
        assert_true(is_zero(m, order));
        memset(mfn_to_virt(m), 0xaa, PAGE_SIZE << order);
        frame_free(m, order);
        /* What was freed is not taken for clean. */
        m = frame_alloc(order, 1, FRAME_ZERO);
        assert_true(is_zero(m, order));
        frame_free(m, order);
        assert_true(scrub_all());
    }
}

/* Whatever is allocated, used and freed in whatever order: zeroes are zeroes. */
static void test_scrubbing_random(void **state)
{
    static struct {
        uint64_t mfn;
        unsigned order;
    } held[64];
    uint64_t before;

    (void)state;
    frames_start_scrubbing();
    before = frames_free_count();
    for (unsigned i = 0; i < 30000; i++) {
        unsigned k = (unsigned)rand() % 64;

        if (held[k].mfn) {
            memset(mfn_to_virt(held[k].mfn), rand(), PAGE_SIZE << held[k].order);
            frame_free(held[k].mfn, held[k].order);
            held[k].mfn = 0;
        } else {
            uint64_t m = frame_alloc(held[k].order = (unsigned)rand() % (rand() % 4 ? 4 : 11), 2,
                                     FRAME_ZERO | (rand() % 4 ? 0 : FRAME_CLEAN));

            if (m == INVALID_MFN)
                continue;
            assert_true(is_zero(m, held[k].order));
            held[k].mfn = m;
        }
        if (rand() % 8 == 0) {
            steps_left = (unsigned)rand() % 64;
            frames_scrub(go_on);
        }
    }
    for (unsigned k = 0; k < 64; k++)
        if (held[k].mfn)
            frame_free(held[k].mfn, held[k].order);
    assert_int_equal(frames_free_count(), before);
}

static void test_stakes(void **state)
{
    uint64_t n = 0;

    (void)state;
    assert_int_equal(frames_stake(1, ALL + 1), -ENOMEM);
    assert_int_equal(frames_stake(1, 1000), 0);
    assert_int_equal(frames_stake(1, 2000), -EINVAL); /* one at a time */
    assert_int_equal(frames_staked(1), 1000);
    assert_int_equal(frames_stake(2, ALL - 999), -ENOMEM);
    while (frame_alloc(0, 2, 0) != INVALID_MFN)
        n++;
    assert_int_equal(n, ALL - 1000); /* the rest is promised */
    assert_int_not_equal(frame_alloc(0, OWNER_XEN, 0), INVALID_MFN); /* not to the hypervisor */
    assert_int_not_equal(frame_alloc(4, 1, 0), INVALID_MFN);
    assert_int_equal(frames_staked(1), 984);
    assert_int_equal(frames_stake(1, 16), -EINVAL); /* has a claim */
    assert_int_equal(frames_stake(1, 0), 0);
    assert_int_equal(frames_staked_total(), 0);
    assert_int_equal(frames_stake(1, 16), -EINVAL); /* owns as many */
    assert_int_not_equal(frame_alloc(0, 2, 0), INVALID_MFN);
}

static void test_charges(void **state)
{
    uint64_t m;

    (void)state;
    assert_true(frames_charge(1, 512, 600));
    assert_false(frames_charge(1, 89, 600));
    assert_true(frames_charge(1, 88, 600));
    assert_false(frames_charge(1, 1, 600));
    assert_false(frames_charge(1, 601, 600));
    frames_uncharge(1, 88);
    m = frame_alloc(9, 1, FRAME_CHARGED);
    assert_int_equal(frames_owned(1), 512);
    frame_free(m, 9);
    assert_int_equal(frames_owned(1), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_basics, setup),
        cmocka_unit_test_setup(test_zero, setup),
        cmocka_unit_test_setup(test_all_memory, setup),
        cmocka_unit_test_setup(test_reserve, setup),
        cmocka_unit_test_setup(test_references, setup),
        cmocka_unit_test_setup(test_misuse_panics, setup),
        cmocka_unit_test_setup(test_claim, setup),
        cmocka_unit_test_setup(test_random, setup),
        cmocka_unit_test_setup(test_scrubbing, setup),
        cmocka_unit_test_setup(test_scrubbing_random, setup),
        cmocka_unit_test_setup(test_stakes, setup),
        cmocka_unit_test_setup(test_charges, setup),
        cmocka_unit_test_setup(test_heap, setup),
        cmocka_unit_test(test_heap_double_free),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
