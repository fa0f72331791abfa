/* SPDX-License-Identifier: MIT */
/*
 * Entries in posted format and their descriptors against the software unit: what it does with a request, who may send one,
 * changes between the formats, and who may write to a descriptor when.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "iommu/internal.h"
#include "iommu/post.h"
#include "lib/errno.h"
#include "mm/phys.h"
#include "sim.h"
#include "vtd_rig.h"

#define NV    0xf3
#define WAKE  0xf4
#define APIC  5
#define OTHER 6

static struct vtd_model posting(unsigned aw_bits)
{
    struct vtd_model m = rig_qemu(aw_bits);

    m.posts = true;
    return m;
}

static enum model_result send(const struct ir_entry *e, uint16_t sid, struct model_irq *irq,
                              unsigned *reason)
{
    uint64_t addr;
    uint32_t data;

    ir_msi_message(e, &addr, &data);
    return model_msi(rig_unit_of(sid), sid, addr, data, irq, reason);
}

/* The request is posted; notify: and told of with this vector at this APIC id. */
static void assert_posts(const struct ir_entry *e, uint16_t sid, const struct ir_post *p,
                         unsigned vector, unsigned dest)
{
    struct model_irq irq;
    unsigned reason;

    assert_int_equal(send(e, sid, &irq, &reason), MODEL_OK);
    assert_true(irq.posted);
    assert_int_equal(irq.descriptor, ir_post_address(p));
    assert_int_equal(irq.notified, vector != 0);
    if (vector) {
        assert_int_equal(irq.vector, vector);
        assert_int_equal(irq.dest, dest);
    }
}

static void assert_takes(struct ir_post *p, unsigned vector)
{
    uint64_t vec[IR_POST_WORDS];

    assert_true(ir_post_take(p, vec));
    for (unsigned i = 0; i < IR_POST_WORDS; i++)
        assert_int_equal(vec[i], vector / 64 == i ? 1ULL << vector % 64 : 0);
    assert_false(ir_post_take(p, vec));
}

static void test_posting(void **state)
{
    (void)state;
    for (unsigned v = 0; v < 3; v++) {
        struct vtd_model m = posting(39);
        struct ir_entry e;
        struct ir_post *p;
        struct model_irq irq;
        unsigned reason;

        m.coherent = v == 1;
        m.caching_mode = v == 2;
        rig_up(&m, 1);
        assert_true(iommu_posts());
        assert_int_equal(ir_alloc(DEV_A, &e), 0);
        assert_true(ir_can_post(&e));
        p = ir_post_alloc();
        assert_non_null(p);
        assert_int_equal(ir_post_address(p) % 64, 0);
        assert_int_equal(ir_set_posted(&e, p, 0xd1), 0);
        /* a new descriptor does not notify */
        assert_posts(&e, DEV_A, p, 0, 0);
        assert_true(ir_post_waiting(p));
        assert_false(ir_post_outstanding(p));
        assert_takes(p, 0xd1);
        /* once, until the requests have been taken */
        ir_post_notify(p, NV, APIC);
        assert_posts(&e, DEV_A, p, NV, APIC);
        assert_true(ir_post_outstanding(p));
        assert_posts(&e, DEV_A, p, 0, 0);
        /* elsewhere from now on: what was told stays told */
        ir_post_notify(p, WAKE, OTHER);
        assert_posts(&e, DEV_A, p, 0, 0);
        assert_takes(p, 0xd1);
        assert_posts(&e, DEV_A, p, WAKE, OTHER);
        assert_takes(p, 0xd1);
        ir_post_suppress(p);
        assert_posts(&e, DEV_A, p, 0, 0);
        assert_takes(p, 0xd1);
        /* nobody else may use it */
        assert_int_equal(send(&e, DEV_B, &irq, &reason), MODEL_FAULT);
        assert_int_equal(reason, 0x26);
        assert_false(ir_post_waiting(p));
        ir_free(&e);
        ir_post_free(p);
        rig_check();
    }
}

static void test_every_vector(void **state)
{
    struct vtd_model m = posting(39);
    uint64_t vec[IR_POST_WORDS];
    struct ir_entry e;
    struct ir_post *p;

    (void)state;
    rig_up(&m, 1);
    assert_int_equal(ir_alloc(DEV_A, &e), 0);
    p = ir_post_alloc();
    assert_int_equal(ir_set_posted(&e, p, 15), -EINVAL);
    for (unsigned v = 16; v < 256; v++) {
        assert_int_equal(ir_set_posted(&e, p, (uint8_t)v), 0);
        assert_posts(&e, DEV_A, p, 0, 0);
        if (v % 3)
            assert_takes(p, v);
        else
            assert_true(ir_post_take(p, vec));
    }
    assert_posts(&e, DEV_A, p, 0, 0);
    assert_int_equal(ir_set_posted(&e, p, 0x40), 0);
    assert_posts(&e, DEV_A, p, 0, 0);
    /* two at once */
    assert_true(ir_post_take(p, vec));
    assert_int_equal(vec[1], 1);
    assert_int_equal(vec[3], 1ULL << 63);
    rig_check();
}

/* A change of the format is in force at once, both ways, and leaves what was posted. */
static void test_formats(void **state)
{
    struct vtd_model m = posting(48);
    struct model_irq irq;
    struct ir_state s;
    struct ir_entry e;
    struct ir_post *p, *q;
    unsigned reason;

    (void)state;
    rig_up(&m, 1);
    assert_int_equal(ir_alloc(DEV_A, &e), 0);
    p = ir_post_alloc();
    q = ir_post_alloc();
    assert_ptr_not_equal(p, q);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(ir_set(&e, 0x41, 3, false, IR_FIXED), 0);
        assert_int_equal(send(&e, DEV_A, &irq, &reason), MODEL_OK);
        assert_false(irq.posted);
        assert_int_equal(irq.vector, 0x41);
        assert_int_equal(irq.dest, 3);
        assert_int_equal(ir_set_posted(&e, p, 0x91), 0);
        assert_posts(&e, DEV_A, p, 0, 0);
        assert_true(ir_inspect(0, e.index, &s));
        assert_true(s.present);
        assert_int_equal(s.sbdf, DEV_A);
        assert_int_equal(s.vector, 0x91);
        assert_int_equal(s.dest, 0);
        assert_int_equal(s.post, ir_post_address(p));
        assert_int_equal(ir_set_posted(&e, q, 0x92), 0);
        assert_posts(&e, DEV_A, q, 0, 0);
        assert_takes(p, 0x91);
        assert_takes(q, 0x92);
    }
    assert_int_equal(ir_mask(&e), 0);
    assert_null(e.post);
    assert_int_equal(send(&e, DEV_A, &irq, &reason), MODEL_DROPPED);
    assert_false(ir_post_waiting(q));
    assert_int_equal(ir_set_posted(&e, p, 0x91), 0);
    ir_free(&e);
    e.index = 0;
    assert_int_equal(send(&e, DEV_A, &irq, &reason), MODEL_FAULT);
    assert_int_equal(reason, 0x22);
    assert_false(ir_post_waiting(p));
    rig_check();
}

/* A flush that is forgotten must show: the unit that does not do it goes on with the old format. */
static void test_stale_format(void **state)
{
    struct vtd_model m = posting(39);
    struct model_irq irq;
    struct ir_entry e;
    struct ir_post *p;
    unsigned reason;

    (void)state;
    m.deaf = 1u << MI_IEC_INDEX;
    rig_up(&m, 1);
    assert_int_equal(ir_alloc(DEV_A, &e), 0);
    p = ir_post_alloc();
    assert_int_equal(ir_set(&e, 0x41, 3, false, IR_FIXED), 0);
    assert_int_equal(send(&e, DEV_A, &irq, &reason), MODEL_OK);
    assert_int_equal(ir_set_posted(&e, p, 0x91), 0);
    assert_int_equal(send(&e, DEV_A, &irq, &reason), MODEL_OK);
    assert_false(irq.posted);
}

static void test_wide_destinations(void **state)
{
    const struct iommu_options opt = { .x2apic = true };
    struct vtd_model m = posting(39);
    struct ir_entry e;
    struct ir_post *p;

    (void)state;
    m.eim = true;
    assert_int_equal(rig_start(&m, 1, &opt), 0);
    assert_int_equal(iommu_enable(), 0);
    assert_int_equal(ir_alloc(DEV_A, &e), 0);
    p = ir_post_alloc();
    assert_int_equal(ir_set_posted(&e, p, 0x91), 0);
    ir_post_notify(p, NV, 0x12345);
    assert_posts(&e, DEV_A, p, NV, 0x12345);
    rig_check();
    /* a unit that cannot name all processors does not post */
    m.eim = false;
    assert_int_equal(rig_start(&m, 1, &opt), 0);
    assert_int_equal(iommu_enable(), 0);
    assert_false(iommu_posts());
}

/* A CPU posts beside a unit: whoever finds that nobody has told tells, once until the requests are taken. */
static void test_cpu_requests(void **state)
{
    struct vtd_model m = posting(39);
    struct ir_entry e;
    uint64_t vec[IR_POST_WORDS];
    struct ir_post *p;

    (void)state;
    rig_up(&m, 1);
    assert_int_equal(ir_alloc(DEV_A, &e), 0);
    p = ir_post_alloc();
    ir_post_notify(p, NV, 6);
    assert_int_equal(ir_set_posted(&e, p, 0x91), 0);
    assert_int_equal(ir_post_request(p, 0x40), IR_POST_TELL);
    assert_true(ir_post_outstanding(p));
    assert_int_equal(ir_post_request(p, 0x41), IR_POST_TOLD);
    assert_int_equal(ir_post_request(p, 0x41), IR_POST_MERGED);
    assert_posts(&e, DEV_A, p, 0, 0); /* the unit is quiet */
    assert_true(ir_post_take(p, vec));
    assert_int_equal(vec[1], 3);
    assert_int_equal(vec[2], 1ull << 0x11);
    assert_posts(&e, DEV_A, p, NV, 6); /* and now it is not */
    assert_int_equal(ir_post_request(p, 0xff), IR_POST_TOLD);
    assert_true(ir_post_take(p, vec));
    assert_int_equal(vec[3], 1ull << 63);
    ir_free(&e);
    rig_check();
}

/* Urgent entries, which we do not make, notify although that is suppressed; reserved bits are refused. The model's rules. */
static void test_model(void **state)
{
    struct vtd_model m = posting(39);
    struct model_irq irq;
    struct ir_entry e;
    struct ir_post *p;
    unsigned reason;
    uint32_t *d;

    (void)state;
    m.coherent = true;
    rig_up(&m, 1);
    assert_int_equal(ir_alloc(DEV_A, &e), 0);
    p = ir_post_alloc();
    d = phys_to_virt(ir_post_address(p));
    assert_int_equal(ir_set_posted(&e, p, 0x91), 0);
    ir_post_notify(p, NV, APIC);
    ir_post_suppress(p);
    iommu.unit[0].irt[e.index * 2] |= 1ULL << 14;
    assert_posts(&e, DEV_A, p, NV, APIC);
    assert_posts(&e, DEV_A, p, 0, 0);
    assert_takes(p, 0x91);
    iommu.unit[0].irt[e.index * 2] &= ~(1ULL << 14);
    for (unsigned word = 8; word < 16; word++) {
        /* reserved in every word: of the ninth the id's upper half */
        d[word] ^= 1u << 31;
        assert_int_equal(send(&e, DEV_A, &irq, &reason), MODEL_FAULT);
        assert_int_equal(reason, 0x28);
        d[word] ^= 1u << 31;
    }
    assert_false(ir_post_waiting(p));
}

static void test_without(void **state)
{
    static const struct iommu_options off = { .no_posted = true }, no_ir = { .no_intremap = true };
    struct vtd_model m[2] = { rig_qemu(39), posting(39) };
    struct iommu_unit_info info;
    struct ir_entry e, none = { 0 };
    struct ir_post *p;

    (void)state;
    rig_up(m, 1);
    assert_false(iommu_posts());
    assert_int_equal(ir_alloc(DEV_A, &e), 0);
    assert_false(ir_can_post(&e));
    assert_true(iommu_unit_info(0, &info));
    assert_false(info.can_post || info.posts);
    /* each unit for itself */
    rig_up(m, 2);
    assert_true(iommu_posts());
    p = ir_post_alloc();
    assert_non_null(p);
    assert_int_equal(ir_alloc(DEV_A, &e), 0);
    assert_false(ir_can_post(&e));
    assert_int_equal(ir_set_posted(&e, p, 0x91), -EOPNOTSUPP);
    assert_int_equal(ir_set_posted(&none, p, 0x91), -EINVAL);
    assert_int_equal(ir_alloc(DEV_C, &e), 0);
    assert_true(ir_can_post(&e));
    assert_int_equal(ir_set_posted(&e, p, 0x91), 0);
    assert_posts(&e, DEV_C, p, 0, 0);
    assert_true(iommu_unit_info((unsigned)iommu_unit_for(DEV_C), &info));
    assert_true(info.can_post && info.posts);
    assert_true(iommu_unit_info((unsigned)iommu_unit_for(DEV_A), &info));
    assert_false(info.can_post || info.posts);
    /* switched off */
    assert_int_equal(rig_start(&m[1], 1, &off), 0);
    assert_false(iommu_posts());
    assert_true(iommu_unit_info(0, &info));
    assert_true(info.can_post && !info.posts);
    assert_int_equal(rig_start(&m[1], 1, &no_ir), 0);
    assert_false(iommu_posts());
    rig_check();
}

/* Memory that a unit may write to is never anything else. */
static void test_life(void **state)
{
    struct vtd_model m = posting(39);
    struct ir_entry e;
    struct ir_post *p, *q, *all[40];

    (void)state;
    rig_up(&m, 1);
    p = ir_post_alloc();
    ir_post_free(p);
    assert_ptr_equal(ir_post_alloc(), p);
    assert_int_equal(ir_alloc(DEV_A, &e), 0);
    assert_int_equal(ir_set_posted(&e, p, 0x91), 0);
    ir_post_free(p); /* an entry names it: refused */
    q = ir_post_alloc();
    assert_ptr_not_equal(q, p);
    ir_free(&e);
    ir_post_free(p);
    assert_ptr_equal(ir_post_alloc(), p);
    ir_post_free(NULL);

    /* more than a frame has, each a cache line of its own */
    for (unsigned i = 0; i < 40; i++) {
        all[i] = ir_post_alloc();
        assert_non_null(all[i]);
        for (unsigned j = 0; j < i; j++)
            assert_true(llabs((long long)ir_post_address(all[i]) -
                              (long long)ir_post_address(all[j])) >= 64);
    }
    for (unsigned i = 0; i < 40; i++)
        ir_post_free(all[i]);
    rig_fail_frame = 1;
    for (unsigned i = 0; i < 64 && rig_fail_frame; i++)
        p = ir_post_alloc();
    assert_null(p);

    /* a unit that did not take an entry away may go on writing */
    q = ir_post_alloc();
    assert_int_equal(ir_alloc(DEV_A, &e), 0);
    assert_int_equal(ir_set_posted(&e, q, 0x91), 0);
    rig_model[0].lose_wait = true;
    sim_now_step = 1000000;
    assert_int_equal(ir_set(&e, 0x41, 3, false, IR_FIXED), -EIO);
    sim_now_step = 0;
    ir_post_free(q);
    for (unsigned i = 0; i < 64; i++)
        assert_ptr_not_equal(ir_post_alloc(), q);
}

/* ---- both words of an entry change in one store ---- */

static volatile uint64_t *stepped;
static volatile unsigned nr_steps, nr_torn, nr_changes;
static volatile uint64_t last_low;

/* After each instruction, as a unit might read it. The halves of the words that are looked at are always written as equal. */
static void on_step(int signal)
{
    uint64_t low = stepped[0], high = stepped[1];

    (void)signal;
    nr_steps++;
    nr_torn += low >> 32 != high >> 32;
    nr_changes += low != last_low;
    last_low = low;
}

static void single_step(bool on)
{
    if (on)
        __asm__ __volatile__("lea -128(%%rsp), %%rsp; pushfq; orl $0x100, (%%rsp); popfq;"
                             "lea 128(%%rsp), %%rsp" ::: "cc", "memory");
    else
        __asm__ __volatile__("lea -128(%%rsp), %%rsp; pushfq; andl $~0x100, (%%rsp); popfq;"
                             "lea 128(%%rsp), %%rsp" ::: "cc", "memory");
}

static void test_whole_stores(void **state)
{
    struct sigaction action = { .sa_handler = on_step }, old;
    struct vtd_model m = posting(39);
    struct vtd_unit *u = &iommu.unit[0];
    struct ir_entry e;

    (void)state;
    m.coherent = true;
    rig_up(&m, 1);
    assert_int_equal(ir_alloc(DEV_A, &e), 0);
    stepped = &u->irt[e.index * 2];
    nr_steps = nr_torn = nr_changes = 0;
    last_low = stepped[0];
    assert_int_equal(sigaction(SIGTRAP, &action, &old), 0);
    spin_lock(&u->lock);
    for (uint64_t i = 1; i <= 3; i++) {
        int err;

        single_step(true);
        err = vtd_irte_write(u, e.index, i << 32 | 1, i << 32 | DEV_A);
        single_step(false);
        assert_int_equal(err, 0);
    }
    spin_unlock(&u->lock);
    assert_int_equal(sigaction(SIGTRAP, &old, NULL), 0);
    assert_true(nr_steps > 100);
    assert_int_equal(nr_changes, 3);
    assert_int_equal(nr_torn, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_posting),      cmocka_unit_test(test_every_vector),
        cmocka_unit_test(test_formats),      cmocka_unit_test(test_stale_format),
        cmocka_unit_test(test_wide_destinations), cmocka_unit_test(test_model),
        cmocka_unit_test(test_without),      cmocka_unit_test(test_life),
        cmocka_unit_test(test_whole_stores), cmocka_unit_test(test_cpu_requests),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
