/* SPDX-License-Identifier: MIT */
/*
 * Requests to device models: servers, both ways of completing, device models that die in every state, the deadline, and random
 * schedules in which no write may be lost, doubled or reordered.
 */
#include <pthread.h>
#include <sched.h>
#include <time.h>

#include "ioreq_rig.h"
#include "lib/errno.h"
#include "lib/string.h"
#include "sim.h"
#include "trap/rules.h"

/* ---- servers ---- */

static void test_server_life(void **state)
{
    uint16_t id[IOREQ_MAX_SERVERS + 1];
    uint32_t buffered;
    uint64_t mfn;

    (void)state;
    assert_int_equal(ioreq_server_create(&sim_ioreq, 3, &id[0]), -EINVAL);
    for (unsigned i = 0; i < IOREQ_MAX_SERVERS; i++) {
        assert_int_equal(ioreq_server_create(&sim_ioreq, i % 3, &id[i]), 0);
        assert_int_equal(ioreq_server_port(&sim_ioreq, id[i], &buffered), 0);
        assert_int_equal(buffered != 0, i % 3 != 0);
        assert_int_equal(ioreq_server_frame(&sim_ioreq, id[i], 0, &mfn), i % 3 ? 0 : -EINVAL);
        assert_int_equal(ioreq_server_frame(&sim_ioreq, id[i], 3, &mfn), -EINVAL);
        for (unsigned v = 0; v < SIM_VCPUS; v++)
            assert_ptr_equal(sim_port[at(id[i])->slot[v].vp_eport].v, &sim_vcpu[v]);
        for (unsigned j = 0; j < i; j++)
            assert_int_not_equal(id[i], id[j]);
    }
    assert_int_equal(ioreq_server_create(&sim_ioreq, 0, &id[8]), -ENOSPC);
    for (unsigned i = 0; i < IOREQ_MAX_SERVERS; i++)
        assert_int_equal(ioreq_server_destroy(&sim_ioreq, id[i]), 0);
    assert_int_equal(ioreq_server_destroy(&sim_ioreq, id[0]), -ENOENT);
    assert_int_equal(ioreq_server_enable(&sim_ioreq, id[0], true), -ENOENT);
    assert_int_equal(ioreq_server_port(&sim_ioreq, id[0], &buffered), -ENOENT);
    assert_int_equal(ioreq_server_map(&sim_ioreq, id[0], 2, 0, 0), -ENOENT);
    assert_int_equal(sim_ports_used(), 0);
    /* Nothing is left behind when something cannot be had. */
    for (unsigned n = 1; n <= SIM_VCPUS + 1; n++) {
        sim_ports_fail_after = n;
        assert_int_equal(ioreq_server_create(&sim_ioreq, 2, &id[0]), -ENOSPC);
        assert_int_equal(sim_ports_used(), 0);
    }
    sim_heap_fail_after = 1;
    assert_int_equal(ioreq_server_create(&sim_ioreq, 2, &id[0]), -ENOMEM);
}

static bool takes(uint16_t id, uint32_t sbdf)
{
    struct ioreq_request req = { .kind = XENLITE_IOREQ_CONFIG, .guest_sbdf = sbdf, .size = 4 };
    struct ioreq_server *s;

    spin_lock(&sim_ioreq.lock);
    s = ioreq_server_for(&sim_ioreq, &req);
    spin_unlock(&sim_ioreq.lock);
    return s && s->id == id;
}

static void test_ranges(void **state)
{
    static bool model[64];
    uint16_t id;

    (void)state;
    assert_int_equal(ioreq_server_create(&sim_ioreq, 0, &id), 0);
    assert_int_equal(ioreq_server_enable(&sim_ioreq, id, true), 0);
    assert_int_equal(ioreq_server_map(&sim_ioreq, id, 3, 0, 1), -EINVAL);
    assert_int_equal(ioreq_server_map(&sim_ioreq, id, IOREQ_RANGE_PCI, 2, 1), -EINVAL);
    assert_int_equal(ioreq_server_map(&sim_ioreq, id, IOREQ_RANGE_PCI, 0, 1ULL << 32), -EINVAL);
    assert_int_equal(ioreq_server_map(&sim_ioreq, id, IOREQ_RANGE_PORT, 0, 0x10000), -EINVAL);
    assert_int_equal(ioreq_server_map(&sim_ioreq, id, IOREQ_RANGE_MEMORY, 0, ~0ULL), 0);
    assert_int_equal(ioreq_server_unmap(&sim_ioreq, id, IOREQ_RANGE_MEMORY, 1, ~0ULL - 1), 0);
    assert_int_equal(ioreq_server_map(&sim_ioreq, id, IOREQ_RANGE_MEMORY, ~0ULL, ~0ULL), -EEXIST);
    /* Against a model: a bit a function. */
    srand(5);
    for (unsigned step = 0; step < 20000; step++) {
        unsigned first = (unsigned)rand() % 64, last = first + (unsigned)rand() % (64 - first);
        bool map = rand() % 2, any = false, all = true;
        int rc;

        for (unsigned i = first; i <= last; i++) {
            any |= model[i];
            all &= model[i];
        }
        rc = map ? ioreq_server_map(&sim_ioreq, id, IOREQ_RANGE_PCI, first, last)
                 : ioreq_server_unmap(&sim_ioreq, id, IOREQ_RANGE_PCI, first, last);
        assert_int_equal(rc, map ? (any ? -EEXIST : 0) : (all ? 0 : -ENOENT));
        for (unsigned i = first; i <= last && !rc; i++)
            model[i] = map;
        for (unsigned i = 0; i < 64; i++)
            assert_int_equal(takes(id, i), model[i]);
    }
    for (unsigned i = 0; i < 64; i++)
        if (model[i])
            assert_int_equal(ioreq_server_unmap(&sim_ioreq, id, IOREQ_RANGE_PCI, i, i), 0);
    for (unsigned i = 0; i < IOREQ_MAX_RANGES; i++)
        assert_int_equal(ioreq_server_map(&sim_ioreq, id, IOREQ_RANGE_PCI, i * 2, i * 2), 0);
    assert_int_equal(ioreq_server_map(&sim_ioreq, id, IOREQ_RANGE_PCI, 5000, 5000), -ENOSPC);
    assert_int_equal(ioreq_server_destroy(&sim_ioreq, id), 0);
}

/* ---- both ways ---- */

static void test_complete(void **state)
{
    struct xenlite_ioreq_statistics st;
    struct xenlite_ioreq_pending list[SIM_VCPUS];
    uint64_t id;

    (void)state;
    assert_int_equal(wr(0, REG, 4, 1), TRAP_DROPPED); /* nobody was ever there */
    assert_false(sim_vcpu[0].waiting);
    dm_start();
    assert_int_equal(wr(0, REG, 4, 0x11223344), TRAP_FORWARD);
    assert_asked(0, REG, 0x11223344);
    assert_int_equal(sim_config32(f, REG), 0);
    assert_int_equal(sim_port[port(0)].signals, 2);
    id = detail(0)->id;
    assert_int_not_equal(id, 0);
    sim_now_ns += 700;
    assert_int_equal(ioreq_list(&sim_ioreq, list, SIM_VCPUS), 1);
    assert_int_equal(list[0].detail.id, id);
    assert_int_equal(list[0].age_ns, 700);
    assert_int_equal(list[0].server, server);
    assert_int_equal(list[0].data, 0x11223344);
    assert_int_equal(list[0].size, 4);
    /* What does not fit changes nothing. */
    assert_int_equal(complete(0, id + 1, XENLITE_IOREQ_WRITE, 0, ~0u), -ESTALE);
    assert_int_equal(complete(1, id, XENLITE_IOREQ_WRITE, 0, ~0u), -ESTALE);
    assert_int_equal(complete(SIM_VCPUS, id, XENLITE_IOREQ_WRITE, 0, ~0u), -EINVAL);
    assert_int_equal(complete(0, id, 5, 0, 0), -EINVAL);
    assert_int_equal(complete(0, id, XENLITE_IOREQ_BIND, 0, 0), -EINVAL);
    assert_true(sim_vcpu[0].waiting);
    /* The upper half is the guest's value, the rest the hardware's. */
    memset(&f->config[REG], 0x5a, 4);
    assert_int_equal(complete(0, id, XENLITE_IOREQ_WRITE, 0x11223344, 0xffff0000), 0);
    assert_int_equal(sim_config32(f, REG), 0x11225a5a);
    assert_false(sim_vcpu[0].waiting);
    assert_int_equal(slot(0)->state, STATE_IOREQ_NONE);
    assert_int_equal(detail(0)->waiting, 0);
    assert_int_equal(complete(0, id, XENLITE_IOREQ_WRITE, 0, ~0u), -ESTALE);
    assert_int_equal(sim_config32(f, REG), 0x11225a5a);
    ioreq_statistics(&sim_ioreq, &st);
    assert_int_equal(st.forwarded, 1);
    assert_int_equal(st.written, 1);
    assert_int_equal(st.stale, 3);
    assert_int_equal(st.wait_ns, 700);
    assert_int_equal(st.servers, 1);
    assert_int_equal(st.waiting, 0);
}

static void test_widths(void **state)
{
    (void)state;
    dm_start();
    wr(0, REG + 1, 1, 0xab);
    assert_int_equal(slot(0)->size, 1);
    assert_int_equal(complete(0, detail(0)->id, XENLITE_IOREQ_WRITE, 0xab, 0x100), -EINVAL);
    assert_int_equal(complete(0, detail(0)->id, XENLITE_IOREQ_WRITE, 0xab, 0xff), 0);
    wr(0, REG + 2, 2, 0xcdef);
    assert_int_equal(complete(0, detail(0)->id, XENLITE_IOREQ_WRITE, 0xcdef, 0xffff), 0);
    assert_int_equal(sim_config32(f, REG), 0xcdefab00);
    /* Bits that a written 1 clears are not written back. */
    f->w1c[REG + 4] = 0xff;
    f->writable[REG + 4] = 0;
    f->config[REG + 4] = 0xf0;
    wr(0, REG + 4, 4, 0x500);
    {
        struct xenlite_ioreq_complete c = { .id = detail(0)->id,
                                            .decision = XENLITE_IOREQ_WRITE,
                                            .value = 0x500,
                                            .mask = 0xff00,
                                            .w1c = 0xff };

        assert_int_equal(ioreq_complete(&sim_ioreq, &c), 0);
    }
    assert_int_equal(sim_config32(f, REG + 4), 0x5f0);
}

static void test_other_decisions(void **state)
{
    uint64_t refused = deny_count(DENY_IOREQ_REFUSED);
    struct xenlite_ioreq_statistics st;

    (void)state;
    dm_start();
    wr(0, REG, 4, 1);
    assert_int_equal(complete(0, detail(0)->id, XENLITE_IOREQ_DENY, 0, 0), 0);
    wr(0, REG, 4, 2);
    assert_int_equal(complete(0, detail(0)->id, XENLITE_IOREQ_DROP, 0, 0), 0);
    wr(0, REG, 4, 3);
    assert_int_equal(complete(0, detail(0)->id, XENLITE_IOREQ_DONE, 0, 0), 0);
    wr(0, REG, 4, 4);
    respond(0, 99);
    assert_false(sim_vcpu[0].waiting);
    assert_int_equal(sim_config32(f, REG), 0);
    ioreq_statistics(&sim_ioreq, &st);
    assert_int_equal(st.denied, 1);
    assert_int_equal(st.dropped, 1);
    assert_int_equal(st.done, 1);
    assert_int_equal(st.classic, 1);
    assert_int_equal(deny_count(DENY_IOREQ_REFUSED), refused + 1);
    /* Signals that mean nothing. */
    sim_port_signal(port(0));
    wr(0, REG, 4, 5);
    sim_port_signal(port(0));
    assert_asked(0, REG, 5);
    ((struct ioreq *)slot(1))->state = STATE_IORESP_READY; /* which nobody waits for */
    sim_port_signal(port(1));
    assert_asked(0, REG, 5);
    respond(0, 0);
    assert_false(sim_vcpu[0].waiting);
}

/* A write of eight bytes is two requests: one after the other. */
static void test_queue(void **state)
{
    uint64_t id;

    (void)state;
    dm_start();
    sim_run_on(2);
    assert_int_equal(vpci_write(&sim_vpci, DEV, REG, 4, 0xa), TRAP_FORWARD);
    assert_int_equal(vpci_write(&sim_vpci, DEV, REG + 4, 4, 0xb), TRAP_FORWARD);
    assert_asked(2, REG, 0xa);
    id = detail(2)->id;
    assert_int_equal(complete(2, id + 1, XENLITE_IOREQ_WRITE, 0xb, ~0u), -ESTALE);
    assert_int_equal(complete(2, id, XENLITE_IOREQ_WRITE, 0xa, ~0u), 0);
    assert_asked(2, REG + 4, 0xb);
    assert_int_equal(sim_vcpu[2].resumes, 0);
    respond(2, 0);
    assert_int_equal(sim_vcpu[2].resumes, 1);
    /* As many as fit, and one more. */
    for (unsigned i = 0; i < IOREQ_QUEUE; i++)
        assert_int_equal(vpci_write(&sim_vpci, DEV, REG + i, 1, i), TRAP_FORWARD);
    assert_int_equal(vpci_write(&sim_vpci, DEV, REG, 1, 0), TRAP_DROPPED);
    for (unsigned i = 0; i < IOREQ_QUEUE; i++)
        assert_int_equal(complete(2, detail(2)->id, XENLITE_IOREQ_WRITE, i, 0xff), 0);
    assert_false(sim_vcpu[2].waiting);
}

/* ---- device models that go ---- */

static void new_one_finishes(uint32_t val)
{
    uint16_t old = server;

    dm_start();
    assert_int_not_equal(server, old);
    assert_asked(0, REG, val);
    assert_int_equal(complete(0, detail(0)->id, XENLITE_IOREQ_WRITE, val, ~0u), 0);
    assert_int_equal(sim_config32(f, REG), val);
    assert_false(sim_vcpu[0].waiting);
    assert_int_equal(ioreq_server_destroy(&sim_ioreq, server), 0);
}

static void test_death(void **state)
{
    uint16_t old;
    uint64_t id;

    (void)state;
    /* Before it has read the request. */
    dm_start();
    wr(0, REG, 4, 1);
    dm_die();
    assert_true(sim_vcpu[0].waiting);
    new_one_finishes(1);
    /* After it has begun: what the page says is nothing. */
    dm_start();
    wr(0, REG, 4, 2);
    ((struct ioreq *)slot(0))->state = STATE_IOREQ_INPROCESS;
    dm_die();
    new_one_finishes(2);
    /* After the answer, before the signal: not completed. */
    dm_start();
    wr(0, REG, 4, 3);
    ((struct ioreq *)slot(0))->state = STATE_IORESP_READY;
    dm_die();
    new_one_finishes(3);
    /* After the completion: done once. */
    dm_start();
    wr(0, REG, 4, 4);
    id = detail(0)->id;
    complete(0, id, XENLITE_IOREQ_WRITE, 4, ~0u);
    f->config[REG] = 0x77;
    dm_die();
    assert_int_equal(complete(0, id, XENLITE_IOREQ_WRITE, 4, ~0u), -ESTALE);
    assert_int_equal(f->config[REG], 0x77);
    /* While nobody is there. */
    assert_int_equal(wr(0, REG, 4, 5), TRAP_FORWARD);
    assert_true(sim_vcpu[0].waiting);
    new_one_finishes(5);
    /* It says so itself: disabled, destroyed. */
    dm_start();
    wr(0, REG, 4, 6);
    assert_int_equal(ioreq_server_enable(&sim_ioreq, server, false), 0);
    assert_int_equal(slot(0)->state, STATE_IOREQ_NONE);
    assert_int_equal(ioreq_server_enable(&sim_ioreq, server, true), 0);
    assert_asked(0, REG, 6);
    assert_int_equal(ioreq_server_destroy(&sim_ioreq, server), 0);
    new_one_finishes(6);
    /* The new one comes first, the old one goes then; the request stays where it was shown. */
    dm_start();
    wr(0, REG, 4, 7);
    old = server;
    dm_start();
    assert_int_equal(slot(0)->state, STATE_IOREQ_NONE);
    assert_int_equal(ioreq_server_destroy(&sim_ioreq, old), 0);
    assert_asked(0, REG, 7);
    respond(0, 0);
    assert_int_equal(ioreq_server_destroy(&sim_ioreq, server), 0);
    /* An abandoned server makes room. */
    for (unsigned i = 0; i < 3 * IOREQ_MAX_SERVERS; i++) {
        dm_start();
        dm_die();
    }
    assert_int_equal(sim_ports_used(), SIM_VCPUS);
}

static void test_deadline(void **state)
{
    uint64_t rule = deny_count(DENY_IOREQ_DEADLINE);
    struct xenlite_ioreq_statistics st;

    (void)state;
    dm_start();
    wr(0, REG, 4, 1);
    wr(0, REG + 4, 4, 2); /* of the same instruction */
    sim_now_ns += XENLITE_IOREQ_DEADLINE_NS / 2;
    wr(1, REG, 4, 3);
    sim_ioreq_timer();
    assert_true(sim_vcpu[0].waiting);
    sim_now_ns += XENLITE_IOREQ_DEADLINE_NS / 2;
    sim_ioreq_timer();
    assert_false(sim_vcpu[0].waiting);
    assert_true(sim_vcpu[1].waiting);
    assert_int_equal(slot(0)->state, STATE_IOREQ_NONE);
    sim_now_ns += XENLITE_IOREQ_DEADLINE_NS / 2;
    sim_ioreq_timer();
    assert_false(sim_vcpu[1].waiting);
    assert_int_equal(sim_config32(f, REG), 0);
    assert_false(sim_ioreq.deadline.queued);
    ioreq_statistics(&sim_ioreq, &st);
    assert_int_equal(st.expired, 3);
    assert_int_equal(deny_count(DENY_IOREQ_DEADLINE), rule + 3);
    assert_int_equal(complete(1, detail(1)->id, XENLITE_IOREQ_WRITE, 3, ~0u), -ESTALE);
    /* It works again afterwards. */
    wr(0, REG, 4, 9);
    assert_int_equal(complete(0, detail(0)->id, XENLITE_IOREQ_WRITE, 9, ~0u), 0);
    assert_int_equal(f->config[REG], 9);
}

static void test_destroy(void **state)
{
    uint64_t id;

    (void)state;
    dm_start();
    wr(0, REG, 4, 1);
    wr(1, REG, 4, 1);
    id = detail(0)->id;
    ioreq_domain_destroy(&sim_ioreq);
    assert_int_equal(complete(0, id, XENLITE_IOREQ_WRITE, 1, ~0u), -ESTALE);
    assert_int_equal(ioreq_list(&sim_ioreq, NULL, 0), 0);
    assert_int_equal(ioreq_server_create(&sim_ioreq, 0, &server), -ESRCH);
    assert_int_equal(wr(2, REG, 4, 1), TRAP_DROPPED);
    assert_int_equal(sim_config32(f, REG), 0);
    assert_int_equal(sim_vcpu[0].resumes, 0);
}

/* The function goes while its write waits. */
static void test_function_gone(void **state)
{
    (void)state;
    dm_start();
    wr(0, REG, 4, 1);
    wr(1, REG, 4, 2);
    assert_int_equal(vpci_remove_device(SIM_DOMAIN, DEV), 0);
    assert_int_equal(complete(0, detail(0)->id, XENLITE_IOREQ_WRITE, 1, ~0u), -ENODEV);
    assert_false(sim_vcpu[0].waiting);
    assert_int_equal(complete(1, detail(1)->id, XENLITE_IOREQ_DENY, 0, 0), 0);
    assert_false(sim_vcpu[1].waiting);
    assert_int_equal(sim_config32(f, REG), 0);
}

/* ---- random schedules ---- */

/*
 * Each vCPU writes 1, 2, 3... to its own register whenever it may run; device models come and go at every point. At the
 * end of each request the hardware must have gone from the value before to the next one.
 */
static void test_random(void **state)
{
    uint32_t next[SIM_VCPUS] = { 0 };
    unsigned deaths = 0, done = 0;
    uint64_t last_id[SIM_VCPUS] = { 0 };

    (void)state;
    srand(42);
    dm_start();
    for (unsigned step = 0; step < 60000; step++) {
        unsigned v = (unsigned)rand() % SIM_VCPUS, reg = REG + v * 4;
        int rc;

        sim_now_ns += 1000;
        switch (rand() % 12) {
        case 0:
            if (rand() % 8)
                break;
            dm_die();
            deaths++;
            if (rand() % 2)
                wr(v, reg, 4, sim_vcpu[v].waiting ? next[v] : ++next[v]);
            /* A vCPU that waits makes no accesses: what was written above is the queue's second. */
            dm_start();
            break;
        case 1:
            ((struct ioreq *)slot(v))->state = (unsigned)rand() % 5;
            break;
        case 2:
            rc = complete(v, last_id[v], XENLITE_IOREQ_WRITE, 0xdead, ~0u);
            assert_true(rc == -ESTALE || last_id[v] == detail(v)->id);
            if (rc == 0)
                fail_msg("an old id was taken");
            break;
        case 3:
        case 4:
        case 5:
        case 6:
            if (!sim_vcpu[v].waiting)
                assert_int_equal(wr(v, reg, 4, ++next[v]), TRAP_FORWARD);
            break;
        default:
            if (!sim_vcpu[v].waiting || !detail(v)->waiting)
                break;
            assert_int_equal(detail(v)->index, reg);
            if (slot(v)->data != sim_config32(f, reg))
                assert_int_equal(slot(v)->data, sim_config32(f, reg) + 1);
            rc = complete(v, detail(v)->id, XENLITE_IOREQ_WRITE, (uint32_t)slot(v)->data, ~0u);
            assert_int_equal(rc, 0);
            last_id[v] = 0;
            done++;
        }
    }
    for (unsigned v = 0; v < SIM_VCPUS; v++) {
        while (sim_vcpu[v].waiting)
            assert_int_equal(complete(v, detail(v)->id, XENLITE_IOREQ_WRITE, (uint32_t)slot(v)->data, ~0u), 0);
        assert_int_equal(sim_config32(f, REG + v * 4), next[v]);
    }
    assert_true(deaths > 300 && done > 10000);
}

/* ---- a device model on another CPU, that looks all the time ---- */

#define LOOKS      20000u
#define PATIENCE_S 60

struct looker {
    const volatile struct xenlite_ioreq_detail *detail;
    const volatile struct ioreq *slot;
    uint64_t seen; /* the last request that was taken; atomic */
    unsigned wrong;
    bool stop; /* atomic */
};

static void *look(void *arg)
{
    struct looker *looker = arg;
    uint64_t id, data, last = 0;

    while (last < LOOKS && !__atomic_load_n(&looker->stop, __ATOMIC_RELAXED)) {
        id = __atomic_load_n(&looker->detail->id, __ATOMIC_ACQUIRE);
        data = looker->slot->data;
        __atomic_thread_fence(__ATOMIC_ACQUIRE);
        if (!looker->detail->waiting || id == last || id != looker->detail->id)
            continue;
        looker->wrong += data != ~id;
        last = id;
        __atomic_store_n(&looker->seen, id, __ATOMIC_RELEASE);
    }
    return NULL;
}

/* Whoever goes by the id alone finds the slot that belongs to it, without waiting for the event. */
static void test_look(void **state)
{
    const time_t end = time(NULL) + PATIENCE_S;
    struct looker looker = { 0 };
    struct ioreq_server *s;
    pthread_t thread;

    (void)state;
    dm_start();
    s = at(server);
    looker.detail = detail(0);
    looker.slot = slot(0);
    assert_int_equal(pthread_create(&thread, NULL, look, &looker), 0);
    for (uint64_t id = 1; id <= LOOKS; id++) {
        const struct ioreq_request req = {
            .kind = XENLITE_IOREQ_CONFIG, .id = id, .data = ~id, .size = 4
        };

        ioreq_show(s, sim_ioreq.vcpu[0], &req);
        while (__atomic_load_n(&looker.seen, __ATOMIC_ACQUIRE) != id && time(NULL) < end)
            sched_yield();
        ioreq_hide(s, sim_ioreq.vcpu[0]);
    }
    __atomic_store_n(&looker.stop, true, __ATOMIC_RELAXED);
    pthread_join(thread, NULL);
    assert_int_equal(looker.seen, LOOKS);
    assert_int_equal(looker.wrong, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_server_life, setup, teardown),
        cmocka_unit_test_setup_teardown(test_ranges, setup, teardown),
        cmocka_unit_test_setup_teardown(test_complete, setup, teardown),
        cmocka_unit_test_setup_teardown(test_widths, setup, teardown),
        cmocka_unit_test_setup_teardown(test_other_decisions, setup, teardown),
        cmocka_unit_test_setup_teardown(test_queue, setup, teardown),
        cmocka_unit_test_setup_teardown(test_death, setup, teardown),
        cmocka_unit_test_setup_teardown(test_deadline, setup, teardown),
        cmocka_unit_test_setup_teardown(test_destroy, setup, teardown),
        cmocka_unit_test_setup_teardown(test_function_gone, setup, teardown),
        cmocka_unit_test_setup_teardown(test_random, setup, teardown),
        cmocka_unit_test_setup_teardown(test_look, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
