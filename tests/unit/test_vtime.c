/* SPDX-License-Identifier: MIT */
/*
 * Paravirtual time: pvclock records, runstate areas, timers, wall clock, and the calls that reach
 * them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "hc_sim.h"
#include "hypercall/handlers.h"
#include "lib/errno.h"
#include "lib/string.h"
#include "lib/time.h"
#include "sim.h"

#include <xen/sched.h>

static struct domain *dom0;
static struct vcpu *v0, *v1;

static int setup(void **state)
{
    (void)state;
    hc_reset();
    wallclock_init();
    dom0 = hc_domain(0, 2, 1024);
    v0 = dom0->vcpu[0];
    v1 = dom0->vcpu[1];
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    hc_reset();
    return 0;
}

static long vcpu_op(struct vcpu *v, uint64_t cmd, uint64_t id, void *arg, size_t size)
{
    long rc;

    memcpy(hc_mem(dom0, HC_ARG), arg, size);
    rc = do_vcpu_op(v, cmd, id, HC_ARG, 0, 0);
    memcpy(arg, hc_mem(dom0, HC_ARG), size);
    return rc;
}

/* What a guest makes of a record at a TSC value. */
static uint64_t guest_ns(const struct vcpu_time_info *t, uint64_t tsc)
{
    uint64_t delta = tsc - t->tsc_timestamp;

    delta = t->tsc_shift < 0 ? delta >> -t->tsc_shift : delta << t->tsc_shift;
    return t->system_time + (uint64_t)(((unsigned __int128)delta * t->tsc_to_system_mul) >> 32);
}

/* ---- pvclock ---- */

static void test_record(void **state)
{
    struct vcpu_time_info *t = &dom0->shared_info->vcpu_info[0].time;

    (void)state;
    assert_int_equal(t->version, 2); /* there before anybody maps the page */
    assert_true(t->tsc_to_system_mul != 0);
    assert_int_equal(t->flags, XEN_PVCLOCK_TSC_STABLE_BIT);
    /* The boot CPU's TSC is 1000 + 2 * ns. */
    assert_int_equal(guest_ns(t, 1000 + 2 * 123456789ULL), 123456789);

    v0->cpu.tsc_offset = 5000;
    vtime_update(v0);
    assert_int_equal(t->version, 4);
    assert_int_equal(guest_ns(t, 5000 + 1000 + 2 * 77ULL), 77);
    assert_int_equal(t->flags, 0); /* vCPUs differ now */
}

static void test_record_follows_cpu(void **state)
{
    struct vcpu_time_info *t = &dom0->shared_info->vcpu_info[0].time;

    (void)state;
    hc_cpu_tsc_offset = 400; /* CPU 1 lags behind CPU 0 by 400 ticks */
    v0->sched.cpu = 0;
    vtime_runstate_change(v0, RUNSTATE_running);
    assert_int_equal(t->version, 2);
    v0->sched.cpu = 1;
    vtime_runstate_change(v0, RUNSTATE_running);
    assert_int_equal(t->version, 4);
    assert_int_equal(t->flags, 0);
    assert_int_equal(guest_ns(t, 1000 + 2 * 99ULL - 400), 99);
}

static void test_record_moves_with_vcpu_info(void **state)
{
    struct vcpu_register_vcpu_info reg = { .mfn = 9, .offset = 64 };
    struct vcpu_info *info = hc_mem(dom0, 9 * PAGE_SIZE + 64);
    struct vcpu_time_info *old = &dom0->shared_info->vcpu_info[0].time;

    (void)state;
    assert_int_equal(vcpu_op(v0, VCPUOP_register_vcpu_info, 0, &reg, sizeof(reg)), 0);
    assert_int_equal(info->time.version, 4);
    assert_int_equal(guest_ns(&info->time, 1000 + 20), 10);
    assert_true(old->tsc_to_system_mul != 0); /* its rate is read from there again */
    assert_int_equal(vcpu_op(v0, VCPUOP_register_vcpu_info, 0, &reg, sizeof(reg)), -EINVAL);
    /* Another vCPU's may be moved only while that is down. */
    reg.mfn = 10;
    assert_int_equal(vcpu_op(v0, VCPUOP_register_vcpu_info, 1, &reg, sizeof(reg)), -EINVAL);
    v1->wait_for_sipi = true;
    assert_int_equal(vcpu_op(v0, VCPUOP_register_vcpu_info, 1, &reg, sizeof(reg)), 0);
}

static void test_time_area(void **state)
{
    /* Straddles two pages. */
    uint64_t gva = 20 * PAGE_SIZE - 12;
    struct vcpu_time_info t;

    (void)state;
    assert_int_equal(vcpu_op(v0, VCPUOP_register_vcpu_time_memory_area, 0, &gva, sizeof(gva)), 0);
    memcpy(&t, hc_mem(dom0, gva), sizeof(t));
    assert_int_equal(t.version, 4);
    assert_int_equal(guest_ns(&t, 1000 + 2000), 1000);
    assert_int_equal(hc_pins(dom0), 2);
    gva = 30 * PAGE_SIZE;
    assert_int_equal(vcpu_op(v0, VCPUOP_register_vcpu_time_memory_area, 0, &gva, sizeof(gva)), 0);
    assert_int_equal(hc_pins(dom0), 1);
    gva = HC_PAGES * PAGE_SIZE - 8; /* runs out of what is mapped */
    assert_int_equal(vcpu_op(v0, VCPUOP_register_vcpu_time_memory_area, 0, &gva, sizeof(gva)),
                     -EFAULT);
    gva = ~0ULL;
    assert_int_equal(vcpu_op(v0, VCPUOP_register_vcpu_time_memory_area, 0, &gva, sizeof(gva)),
                     -EFAULT);
    assert_int_equal(hc_pins(dom0), 1);
}

/* ---- runstate ---- */

static void test_runstate(void **state)
{
    struct vcpu_runstate_info *rs = hc_mem(dom0, 40 * PAGE_SIZE), got;
    uint64_t gva = 40 * PAGE_SIZE;

    (void)state;
    hc_advance(NS_PER_SEC); /* before the first start: not accounted */
    vtime_runstate_change(v0, RUNSTATE_running);
    assert_int_equal(vcpu_op(v0, VCPUOP_register_runstate_memory_area, 0, &gva, sizeof(gva)), 0);
    assert_int_equal(rs->state, RUNSTATE_running);
    assert_int_equal(rs->time[RUNSTATE_offline], 0);
    hc_advance(500);
    vtime_runstate_change(v0, RUNSTATE_blocked);
    assert_int_equal(rs->state, RUNSTATE_blocked);
    assert_int_equal(rs->time[RUNSTATE_running], 500);
    assert_int_equal(rs->state_entry_time, sim_now_ns);
    hc_advance(70);
    vtime_runstate_change(v0, RUNSTATE_runnable);
    hc_advance(3);
    vtime_runstate_change(v0, RUNSTATE_running);
    assert_int_equal(rs->time[RUNSTATE_blocked], 70);
    assert_int_equal(rs->time[RUNSTATE_runnable], 3);
    hc_advance(11);
    assert_int_equal(vcpu_op(v1, VCPUOP_get_runstate_info, 0, &got, sizeof(got)), 0);
    assert_int_equal(got.time[RUNSTATE_running], 511); /* up to now */
    assert_int_equal(vtime_cpu_time(v0), 511);
}

static void test_runstate_update_flag(void **state)
{
    /* state_entry_time crosses a page border in the first place, and lies whole in the second. */
    static const uint64_t places[] = { 42 * PAGE_SIZE - 12, 44 * PAGE_SIZE };
    struct vcpu_runstate_info rs;

    (void)state;
    assert_int_equal(do_vm_assist(v0, VMASST_CMD_enable, VMASST_TYPE_runstate_update_flag, 0, 0, 0),
                     0);
    for (unsigned i = 0; i < ARRAY_SIZE(places); i++) {
        uint64_t gva = places[i];

        assert_int_equal(vcpu_op(v0, VCPUOP_register_runstate_memory_area, 0, &gva, sizeof(gva)),
                         0);
        hc_advance(5);
        vtime_runstate_change(v0, RUNSTATE_running);
        memcpy(&rs, hc_mem(dom0, places[i]), sizeof(rs));
        assert_int_equal(rs.state_entry_time, sim_now_ns); /* bit 63 is clear again */
        assert_int_equal(rs.state, RUNSTATE_running);
    }
    assert_int_equal(
        do_vm_assist(v0, VMASST_CMD_disable, VMASST_TYPE_runstate_update_flag, 0, 0, 0), 0);
    assert_false(assist_runstate_update_flag(dom0));
    assert_int_equal(do_vm_assist(v0, VMASST_CMD_enable, VMASST_TYPE_4gb_segments, 0, 0, 0),
                     -EINVAL);
    assert_int_equal(do_vm_assist(v0, 7, VMASST_TYPE_runstate_update_flag, 0, 0, 0), -ENOSYS);
}

/* ---- timers ---- */

static unsigned bind_timer(struct vcpu *v)
{
    struct evtchn_bind_virq bind = { .virq = VIRQ_TIMER, .vcpu = v->id };

    assert_int_equal(hc_call(do_event_channel_op, v, EVTCHNOP_bind_virq, &bind, sizeof(bind)), 0);
    return bind.port;
}

static bool fired(unsigned port)
{
    return test_and_clear_bit(dom0->shared_info->evtchn_pending, port);
}

static void test_singleshot(void **state)
{
    struct vcpu_set_singleshot_timer arg = { .timeout_abs_ns = sim_now_ns + 1000 };
    unsigned port = bind_timer(v0);

    (void)state;
    assert_int_equal(vcpu_op(v0, VCPUOP_set_singleshot_timer, 0, &arg, sizeof(arg)), 0);
    hc_advance(999);
    assert_false(fired(port));
    hc_advance(1);
    assert_true(fired(port));
    hc_advance(100000);
    assert_false(fired(port));

    arg.timeout_abs_ns = sim_now_ns - 5; /* the past is now */
    assert_int_equal(vcpu_op(v0, VCPUOP_set_singleshot_timer, 0, &arg, sizeof(arg)), 0);
    assert_true(fired(port));
    arg.flags = VCPU_SSHOTTMR_future;
    assert_int_equal(vcpu_op(v0, VCPUOP_set_singleshot_timer, 0, &arg, sizeof(arg)), -ETIME);
    assert_false(fired(port));
    assert_int_equal(vcpu_op(v1, VCPUOP_set_singleshot_timer, 0, &arg, sizeof(arg)), -EINVAL);

    arg.flags = 0;
    arg.timeout_abs_ns = sim_now_ns + 50;
    assert_int_equal(vcpu_op(v0, VCPUOP_set_singleshot_timer, 0, &arg, sizeof(arg)), 0);
    assert_int_equal(do_vcpu_op(v0, VCPUOP_stop_singleshot_timer, 0, 0, 0, 0), 0);
    hc_advance(1000);
    assert_false(fired(port));
    assert_int_equal(do_set_timer_op(v0, sim_now_ns + 10, 0, 0, 0, 0), 0);
    hc_advance(10);
    assert_true(fired(port));
    assert_int_equal(do_set_timer_op(v0, sim_now_ns + 10, 0, 0, 0, 0), 0);
    assert_int_equal(do_set_timer_op(v0, 0, 0, 0, 0, 0), 0);
    hc_advance(100);
    assert_false(fired(port));
}

static void test_periodic(void **state)
{
    struct vcpu_set_periodic_timer arg = { .period_ns = NS_PER_MS - 1 };
    unsigned port = bind_timer(v0), n = 0;

    (void)state;
    assert_int_equal(vcpu_op(v0, VCPUOP_set_periodic_timer, 0, &arg, sizeof(arg)), -EINVAL);
    arg.period_ns = 10 * NS_PER_MS;
    assert_int_equal(vcpu_op(v0, VCPUOP_set_periodic_timer, 0, &arg, sizeof(arg)), 0);
    for (unsigned i = 0; i < 100; i++) {
        hc_advance(NS_PER_MS);
        n += fired(port);
    }
    assert_int_equal(n, 10);
    assert_int_equal(do_vcpu_op(v0, VCPUOP_stop_periodic_timer, 0, 0, 0, 0), 0);
    hc_advance(50 * NS_PER_MS);
    assert_false(fired(port));
    assert_int_equal(do_vcpu_op(v0, VCPUOP_stop_periodic_timer, 0, 0, 0, 0), 0);
}

/* ---- poll through the hypercall ---- */

static long poll_op(struct vcpu *v, evtchn_port_t *ports, unsigned nr, uint64_t timeout)
{
    struct sched_poll arg;

    memset(&arg, 0, sizeof(arg));
    memcpy(hc_mem(dom0, 0x2000), ports, nr * sizeof(ports[0]));
    arg.ports.p = (void *)0x2000UL;
    arg.nr_ports = nr;
    arg.timeout = timeout;
    return hc_call(do_sched_op, v, SCHEDOP_poll, &arg, sizeof(arg));
}

static void test_poll(void **state)
{
    evtchn_port_t port = bind_timer(v0), bad = 99;
    struct sched_poll big = { .nr_ports = EVTCHN_MAX_POLL_PORTS + 1 };

    (void)state;
    assert_int_equal(hc_call(do_sched_op, v0, SCHEDOP_poll, &big, sizeof(big)), -EINVAL);
    assert_int_equal(poll_op(v0, &bad, 1, 0), -EINVAL);
    assert_false(v0->sched.blocked);
    assert_int_equal(poll_op(v0, &port, 1, sim_now_ns - 1), 0);
    assert_false(v0->sched.blocked);
    assert_int_equal(poll_op(v0, &port, 1, sim_now_ns + 500), 0);
    assert_true(v0->sched.blocked);
    hc_advance(499);
    assert_true(v0->sched.blocked);
    hc_advance(1);
    assert_false(v0->sched.blocked);
    assert_int_equal(poll_op(v0, &port, 1, sim_now_ns + 500), 0);
    send_virq_vcpu(v0, VIRQ_TIMER);
    assert_false(v0->sched.blocked);
    vtime_runstate_change(v0, RUNSTATE_running);
    hc_log(v0)->kicks = 0;
    hc_advance(5000); /* the time-out finds nobody polling */
    assert_int_equal(hc_log(v0)->kicks, 0);
    assert_int_equal(poll_op(v0, &port, 1, 0), 0); /* pending already */
    assert_false(v0->sched.blocked);
    hc_mode_bytes = 4;
    assert_int_equal(poll_op(v0, &port, 1, 0), -ENOSYS);
}

/* ---- wall clock ---- */

static void test_wallclock(void **state)
{
    struct shared_info *s = dom0->shared_info;

    (void)state;
    wallclock_update(dom0);
    assert_int_equal(s->wc_sec, 1700000000);
    assert_int_equal(s->wc_version & 1, 0);
    /* It is 5000000000.2 s of the epoch at system time 10.7 s. */
    wallclock_set(5000000000ULL, 200000000, 10 * NS_PER_SEC + 700000000);
    assert_int_equal(s->wc_sec | (uint64_t)s->wc_sec_hi << 32, 5000000000ULL - 11);
    assert_int_equal(s->wc_nsec, 500000000);
    assert_int_equal(s->wc_version & 1, 0);
}

static void test_vcpu_op_arguments(void **state)
{
    uint64_t gva = 0;

    (void)state;
    assert_int_equal(do_vcpu_op(v0, VCPUOP_is_up, 2, 0, 0, 0), -ENOENT);
    assert_int_equal(do_vcpu_op(v0, VCPUOP_is_up, 1, 0, 0, 0), 1);
    assert_int_equal(do_vcpu_op(v0, VCPUOP_down, 1, 0, 0, 0), -EOPNOTSUPP);
    assert_int_equal(do_vcpu_op(v1, VCPUOP_down, 1, 0, 0, 0), 0);
    assert_int_equal(do_vcpu_op(v0, VCPUOP_is_up, 1, 0, 0, 0), 0);
    assert_int_equal(do_vcpu_op(v0, VCPUOP_up, 1, 0, 0, 0), 0);
    assert_int_equal(do_vcpu_op(v0, VCPUOP_is_up, 1, 0, 0, 0), 1);
    v1->wait_for_sipi = true;
    assert_int_equal(do_vcpu_op(v0, VCPUOP_up, 1, 0, 0, 0), -EINVAL);
    assert_int_equal(do_vcpu_op(v0, VCPUOP_send_nmi, 0, 0, 0, 0), 0);
    assert_int_equal(hc_log(v0)->nmis, 1);
    assert_int_equal(do_vcpu_op(v0, VCPUOP_send_nmi, 0, 1, 0, 0), -EINVAL);
    assert_int_equal(do_vcpu_op(v0, VCPUOP_initialise, 0, 0, 0, 0), -ENOSYS);
    assert_int_equal(do_vcpu_op(v0, 99, 0, 0, 0, 0), -ENOSYS);
    assert_int_equal(do_vcpu_op(v0, VCPUOP_get_physid, 0, 0, 0, 0), -EINVAL);
    assert_int_equal(do_vcpu_op(v0, VCPUOP_register_vcpu_info, 0, ~0ULL, 0, 0), -EFAULT);
    hc_mode_bytes = 4;
    assert_int_equal(vcpu_op(v0, VCPUOP_register_runstate_memory_area, 0, &gva, sizeof(gva)),
                     -ENOSYS);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_record),     T(test_record_follows_cpu), T(test_record_moves_with_vcpu_info),
        T(test_time_area),  T(test_runstate),           T(test_runstate_update_flag),
        T(test_singleshot), T(test_periodic),           T(test_poll),
        T(test_wallclock),  T(test_vcpu_op_arguments),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
