/* SPDX-License-Identifier: MIT */
/*
 * Requests to device models: servers, both ways of completing, device models that die in every state, the deadline, messages
 * that change while somebody decides about them, and random schedules in which no write may be lost, doubled or reordered.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "lib/errno.h"
#include "lib/string.h"
#include "mm/phys.h"
#include "sim.h"
#include "sim_pci.h"
#include "trap/rules.h"
#include "vdev/msi_bind.h"

#include <xen/hvm/ioreq.h>

#define DEV   PCI_SBDF(0, 0, 2, 0)
#define BAR0  (17UL << 20)
#define NR    8    /* MSI-X entries */
#define REG   0x80 /* a dword that nobody manages; others follow */
#define ADDR  0xfee01000ULL
#define MSIX  0x1000 /* of the table in BAR 0 */

static struct vpci_policy policy;
static struct sim_function *f;
static uint16_t server;

/* ---- the device model's side ---- */

static struct ioreq_server *at(uint16_t id)
{
    struct ioreq_server *s;

    spin_lock(&sim_ioreq.lock);
    s = ioreq_server_find(&sim_ioreq, id);
    spin_unlock(&sim_ioreq.lock);
    return s;
}

static const struct ioreq *slot(unsigned vcpu)
{
    return &at(server)->slot[vcpu];
}

static const struct xenlite_ioreq_detail *detail(unsigned vcpu)
{
    return &at(server)->detail[vcpu];
}

static uint32_t port(unsigned vcpu)
{
    return slot(vcpu)->vp_eport;
}

/* A device model that has just started: server, the whole segment's functions, ports bound, enabled. */
static void dm_start(void)
{
    assert_int_equal(ioreq_server_create(&sim_ioreq, 0, &server), 0);
    assert_int_equal(ioreq_server_map(&sim_ioreq, server, IOREQ_RANGE_PCI, 0, 0xffff), 0);
    for (unsigned i = 0; i < SIM_VCPUS; i++)
        sim_port_bind(port(i));
    assert_int_equal(ioreq_server_enable(&sim_ioreq, server, true), 0);
}

/* kill -9: the kernel closes what it had. */
static void dm_die(void)
{
    uint32_t ports[SIM_VCPUS];

    for (unsigned i = 0; i < SIM_VCPUS; i++)
        ports[i] = port(i);
    for (unsigned i = 0; i < SIM_VCPUS; i++)
        sim_port_close(ports[i]);
}

static int complete(unsigned vcpu, uint64_t id, uint32_t decision, uint32_t value, uint32_t mask)
{
    struct xenlite_ioreq_complete c = {
        .id = id, .vcpu = vcpu, .decision = decision, .value = value, .mask = mask
    };

    return ioreq_complete(&sim_ioreq, &c);
}

static void respond(unsigned vcpu, uint64_t data)
{
    struct ioreq *s = (struct ioreq *)slot(vcpu);

    s->data = data;
    s->state = STATE_IORESP_READY;
    sim_port_signal(port(vcpu));
}

static void assert_asked(unsigned vcpu, unsigned reg, uint32_t val)
{
    assert_true(sim_vcpu[vcpu].waiting);
    assert_int_equal(slot(vcpu)->state, STATE_IOREQ_READY);
    assert_int_equal(slot(vcpu)->type, IOREQ_TYPE_PCI_CONFIG);
    assert_int_equal(slot(vcpu)->addr, (uint64_t)DEV << 32 | reg);
    assert_int_equal(slot(vcpu)->data, val);
    assert_int_equal(slot(vcpu)->dir, IOREQ_WRITE);
    assert_int_equal(slot(vcpu)->count, 1);
    assert_int_equal(slot(vcpu)->data_is_ptr, 0);
    assert_int_equal(detail(vcpu)->waiting, 1);
    assert_int_equal(detail(vcpu)->kind, XENLITE_IOREQ_CONFIG);
    assert_int_equal(detail(vcpu)->index, reg);
    assert_int_equal(detail(vcpu)->hw_sbdf, DEV);
}

/* ---- the guest's side ---- */

static enum trap_result wr(unsigned vcpu, unsigned reg, unsigned size, uint32_t val)
{
    sim_run_on(vcpu);
    return vpci_write(&sim_vpci, DEV, reg, size, val);
}

static enum trap_result msix_write(unsigned vcpu, unsigned entry, unsigned off, uint32_t val)
{
    sim_run_on(vcpu);
    return mem_write(BAR0 + MSIX + entry * 16 + off, 4, val);
}

static void msix_set(unsigned vcpu, unsigned entry, uint64_t address, uint32_t data)
{
    msix_write(vcpu, entry, PCI_MSIX_ENTRY_CTRL, PCI_MSIX_CTRL_MASKED);
    msix_write(vcpu, entry, PCI_MSIX_ENTRY_ADDR_LO, (uint32_t)address);
    msix_write(vcpu, entry, PCI_MSIX_ENTRY_DATA, data);
}

static const uint32_t *hw_entry(unsigned i)
{
    return (const uint32_t *)phys_to_virt(BAR0 + MSIX) + i * 4;
}

/* What the device would send for entry i now: NULL if it is masked. */
static struct sim_girq *sends(unsigned i)
{
    const uint32_t *e = hw_entry(i);

    if (e[3] & PCI_MSIX_CTRL_MASKED)
        return NULL;
    return sim_girq_of_message(e[0] | (uint64_t)e[1] << 32, e[2]);
}

static int setup(void **state)
{
    (void)state;
    sim_reset();
    vpci_destroy(&sim_vpci);
    policy = vpci_policy_control;
    policy.asks = true;
    policy.write = vpci_policy_guest.write;
    assert_int_equal(vpci_init(&sim_vpci, SIM_DOMAIN, 0, &sim_traps, &sim_p2m, &policy), 0);
    f = sim_add(DEV, 0x8086, 0x10d3);
    sim_bar(f, 0, 0x4000, BAR0, true);
    sim_msi(f, true, false, 0);
    sim_msix(f, NR, 0, MSIX, 0, MSIX + 0x1000);
    memset(&f->writable[0x80], 0xff, 0x40);
    memset(phys_to_virt(BAR0), 0, 0x4000);
    sim_decode(f, true);
    sim_boot();
    sim_now_ns = 1000;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    sim_finish();
    return 0;
}

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

/* ---- messages ---- */

static void enable_msix(void)
{
    sim_run_on(0);
    vpci_write(&sim_vpci, DEV, f->msix + PCI_MSIX_CONTROL, 2, PCI_MSIX_ENABLE);
}

static void test_msix(void **state)
{
    uint64_t id;

    (void)state;
    dm_start();
    enable_msix();
    assert_false(sim_vcpu[0].waiting); /* all are masked */
    msix_set(1, 3, ADDR, 0x31);
    assert_false(sim_vcpu[1].waiting);
    assert_int_equal(msix_write(1, 3, PCI_MSIX_ENTRY_CTRL, 0), TRAP_FORWARD);
    assert_true(sim_vcpu[1].waiting);
    assert_int_equal(slot(1)->type, IOREQ_TYPE_COPY);
    assert_int_equal(slot(1)->addr, BAR0 + MSIX + 3 * 16 + 12);
    assert_int_equal(slot(1)->size, 4);
    assert_int_equal(slot(1)->data, 0);
    assert_int_equal(detail(1)->kind, XENLITE_IOREQ_MSIX);
    assert_int_equal(detail(1)->index, 3);
    assert_int_equal(detail(1)->address, ADDR);
    assert_int_equal(detail(1)->message, 0x31);
    assert_null(sends(3));
    assert_int_equal(complete(1, detail(1)->id, XENLITE_IOREQ_WRITE, 0, ~0u), -EINVAL);
    sim_bind_fails = true;
    assert_int_equal(complete(1, detail(1)->id, XENLITE_IOREQ_BIND, 0, 0), -EINVAL);
    assert_true(sim_vcpu[1].waiting);
    sim_bind_fails = false;
    assert_int_equal(complete(1, detail(1)->id, XENLITE_IOREQ_BIND, 0, 0), 0);
    assert_false(sim_vcpu[1].waiting);
    assert_non_null(sends(3));
    assert_int_equal(sends(3)->guest_data, 0x31);
    /* Mask and unmask are the hypervisor's own. */
    assert_int_equal(msix_write(1, 3, PCI_MSIX_ENTRY_CTRL, 1), TRAP_DONE);
    assert_null(sends(3));
    assert_int_equal(msix_write(1, 3, PCI_MSIX_ENTRY_CTRL, 0), TRAP_DONE);
    assert_int_equal(sends(3)->guest_data, 0x31);
    /* The same message written again is no new one. */
    msix_set(1, 3, ADDR, 0x31);
    assert_int_equal(msix_write(1, 3, PCI_MSIX_ENTRY_CTRL, 0), TRAP_DONE);
    /* A new one is; refused, nothing is sent. */
    msix_set(1, 3, ADDR, 0x32);
    assert_int_equal(msix_write(1, 3, PCI_MSIX_ENTRY_CTRL, 0), TRAP_FORWARD);
    id = detail(1)->id;
    assert_int_equal(complete(1, id, XENLITE_IOREQ_DENY, 0, 0), 0);
    assert_false(sim_vcpu[1].waiting);
    assert_null(sends(3));
    /* Asked again, the device model has bound it by another call and says so. */
    assert_int_equal(msix_write(1, 3, PCI_MSIX_ENTRY_CTRL, 0), TRAP_FORWARD);
    respond(1, 0);
    assert_null(sends(3)); /* it has not */
}

/* Two vCPUs at the same entry while the device model decides. */
static void test_msix_two(void **state)
{
    uint64_t first, second;

    (void)state;
    dm_start();
    enable_msix();
    msix_set(0, 2, ADDR, 0x41);
    msix_write(0, 2, PCI_MSIX_ENTRY_CTRL, 0);
    first = detail(0)->id;
    /* Masked meanwhile: bound, and stays masked. */
    msix_write(1, 2, PCI_MSIX_ENTRY_CTRL, 1);
    assert_false(sim_vcpu[1].waiting);
    assert_int_equal(complete(0, first, XENLITE_IOREQ_BIND, 0, 0), 0);
    assert_null(sends(2));
    assert_int_equal(msix_write(1, 2, PCI_MSIX_ENTRY_CTRL, 0), TRAP_DONE);
    assert_int_equal(sends(2)->guest_data, 0x41);
    /* Rewritten meanwhile: the older message is never bound. */
    msix_set(0, 2, ADDR, 0x42);
    msix_write(0, 2, PCI_MSIX_ENTRY_CTRL, 0);
    first = detail(0)->id;
    assert_int_equal(msix_write(1, 2, PCI_MSIX_ENTRY_DATA, 0x43), TRAP_FORWARD);
    second = detail(1)->id;
    assert_int_equal(detail(1)->message, 0x43);
    assert_int_equal(complete(0, first, XENLITE_IOREQ_BIND, 0, 0), 0);
    assert_null(sends(2));
    assert_int_equal(complete(1, second, XENLITE_IOREQ_BIND, 0, 0), 0);
    assert_int_equal(sends(2)->guest_data, 0x43);
    /* The other way round. */
    msix_set(0, 2, ADDR, 0x44);
    msix_write(0, 2, PCI_MSIX_ENTRY_CTRL, 0);
    first = detail(0)->id;
    msix_write(1, 2, PCI_MSIX_ENTRY_DATA, 0x45);
    second = detail(1)->id;
    assert_int_equal(complete(1, second, XENLITE_IOREQ_BIND, 0, 0), 0);
    assert_int_equal(sends(2)->guest_data, 0x45);
    assert_int_equal(complete(0, first, XENLITE_IOREQ_BIND, 0, 0), 0);
    assert_int_equal(sends(2)->guest_data, 0x45);
}

/* Several entries are put to use by one write. */
static void test_msix_sweep(void **state)
{
    static const unsigned used[] = { 1, 4, 7 };
    unsigned asked = 0;

    (void)state;
    dm_start();
    for (unsigned i = 0; i < ARRAY_SIZE(used); i++) {
        msix_set(0, used[i], ADDR, 0x50 + used[i]);
        msix_write(0, used[i], PCI_MSIX_ENTRY_CTRL, 0);
    }
    assert_false(sim_vcpu[0].waiting);
    sim_run_on(0);
    assert_int_equal(vpci_write(&sim_vpci, DEV, f->msix + PCI_MSIX_CONTROL, 2, PCI_MSIX_ENABLE), TRAP_FORWARD);
    while (sim_vcpu[0].waiting) {
        assert_int_equal(detail(0)->index, used[asked]);
        assert_int_equal(detail(0)->message, 0x50 + used[asked]);
        /* The second one is refused, which is nothing to the others. */
        assert_int_equal(complete(0, detail(0)->id, asked == 1 ? XENLITE_IOREQ_DENY : XENLITE_IOREQ_BIND, 0, 0), 0);
        if (asked++ == 0)
            dm_die(), dm_start();
    }
    assert_int_equal(asked, 3);
    assert_int_equal(sends(1)->guest_data, 0x51);
    assert_null(sends(4));
    assert_int_equal(sends(7)->guest_data, 0x57);
}

/*
 * Random writes to the table by all vCPUs, decisions at random times: an entry that can send has the message that is in
 * the guest's table, and when nobody waits, an entry that the guest uses can send.
 */
static void test_msix_random(void **state)
{
    struct {
        uint32_t data, ctrl;
        uint64_t address;
    } model[NR];
    unsigned binds = 0;

    (void)state;
    srand(7);
    dm_start();
    enable_msix();
    for (unsigned i = 0; i < NR; i++) {
        model[i].ctrl = 1;
        model[i].data = 0;
        model[i].address = 0;
    }
    for (unsigned step = 0; step < 40000; step++) {
        unsigned v = (unsigned)rand() % SIM_VCPUS, i = (unsigned)rand() % NR;
        uint32_t val = 0x30 + (unsigned)rand() % 4;

        if (sim_vcpu[v].waiting) {
            assert_int_equal(complete(v, detail(v)->id, XENLITE_IOREQ_BIND, 0, 0), 0);
            binds++;
        } else if (rand() % 3 == 0) {
            model[i].ctrl = val & 1;
            msix_write(v, i, PCI_MSIX_ENTRY_CTRL, val & 1);
        } else if (rand() % 2) {
            model[i].data = val;
            msix_write(v, i, PCI_MSIX_ENTRY_DATA, val);
        } else {
            model[i].address = 0xfee00000 | val << 12;
            msix_write(v, i, PCI_MSIX_ENTRY_ADDR_LO, 0xfee00000 | val << 12);
        }
        if (rand() % 500 == 0) {
            dm_die();
            dm_start();
        }
        for (unsigned e = 0; e < NR; e++) {
            const struct sim_girq *g = sends(e);

            if (!g)
                continue;
            assert_int_equal(model[e].ctrl, 0);
            assert_int_equal(g->guest_data, model[e].data);
            assert_int_equal(g->guest_addr, model[e].address);
        }
        if (step % 50)
            continue;
        for (unsigned w = 0; w < SIM_VCPUS; w++)
            while (sim_vcpu[w].waiting)
                if (complete(w, detail(w)->id, XENLITE_IOREQ_BIND, 0, 0)) /* an address of zero */
                    complete(w, detail(w)->id, XENLITE_IOREQ_DENY, 0, 0);
        for (unsigned e = 0; e < NR; e++)
            if (!model[e].ctrl && model[e].address)
                assert_non_null(sends(e));
    }
    assert_true(binds > 3000);
}

static void test_msi(void **state)
{
    unsigned ctrl;
    struct sim_girq *g = &sim_girqs[0];

    (void)state;
    ctrl = f->msi + PCI_MSI_CONTROL;
    dm_start();
    assert_int_equal(wr(0, f->msi + PCI_MSI_ADDR_LO, 4, (uint32_t)ADDR), TRAP_DONE);
    assert_int_equal(wr(0, f->msi + PCI_MSI_DATA_64, 2, 0x61), TRAP_DONE);
    assert_int_equal(wr(0, ctrl, 2, PCI_MSI_ENABLE), TRAP_FORWARD);
    assert_int_equal(detail(0)->kind, XENLITE_IOREQ_MSI);
    assert_int_equal(detail(0)->address, ADDR);
    assert_int_equal(detail(0)->message, 0x61);
    assert_int_equal(slot(0)->type, IOREQ_TYPE_PCI_CONFIG);
    assert_int_equal(slot(0)->addr, (uint64_t)DEV << 32 | ctrl);
    assert_int_equal(f->config[ctrl] & PCI_MSI_ENABLE, 0);
    assert_int_equal(complete(0, detail(0)->id, XENLITE_IOREQ_BIND, 0, 0), 0);
    assert_int_equal(f->config[ctrl] & PCI_MSI_ENABLE, PCI_MSI_ENABLE);
    assert_int_equal(g->guest_data, 0x61);
    /* A new message while it is on: the old one until the new one is bound. */
    assert_int_equal(wr(1, f->msi + PCI_MSI_DATA_64, 2, 0x62), TRAP_FORWARD);
    assert_int_equal(g->guest_data, 0x61);
    /* Turned off meanwhile by another vCPU: nothing is enabled. */
    assert_int_equal(wr(0, ctrl, 2, 0), TRAP_DONE);
    assert_int_equal(complete(1, detail(1)->id, XENLITE_IOREQ_BIND, 0, 0), 0);
    assert_int_equal(f->config[ctrl] & PCI_MSI_ENABLE, 0);
    /* Refused: off, although the guest reads back what it wrote. */
    assert_int_equal(wr(0, f->msi + PCI_MSI_DATA_64, 2, 0x63), TRAP_DONE);
    assert_int_equal(wr(0, ctrl, 2, PCI_MSI_ENABLE), TRAP_FORWARD);
    assert_int_equal(complete(0, detail(0)->id, XENLITE_IOREQ_DENY, 0, 0), 0);
    assert_int_equal(f->config[ctrl] & PCI_MSI_ENABLE, 0);
    assert_int_equal(cfg_read(DEV, ctrl, 2) & PCI_MSI_ENABLE, PCI_MSI_ENABLE);
}

/* A stock device model binds by name, and says afterwards that it has. */
static void test_bind_by_name(void **state)
{
    struct msi_name name = { .hw_sbdf = DEV, .msix = true, .entry = 5 };
    struct msi_name other = { .hw_sbdf = DEV + 1, .msix = true, .entry = 5 };

    (void)state;
    dm_start();
    enable_msix();
    assert_int_equal(msi_exists(SIM_DOMAIN, &name), 0);
    assert_int_equal(msi_exists(SIM_DOMAIN, &other), -ENODEV);
    other = (struct msi_name){ .hw_sbdf = DEV, .msix = true, .entry = NR };
    assert_int_equal(msi_bind(SIM_DOMAIN, &other, ADDR, 0x71), -ENODEV);
    msix_set(0, 5, ADDR, 0x71);
    msix_write(0, 5, PCI_MSIX_ENTRY_CTRL, 0);
    assert_true(sim_vcpu[0].waiting);
    assert_int_equal(msi_bind(SIM_DOMAIN, &name, ADDR, 0x72), -ESTALE);
    assert_int_equal(msi_bind(SIM_DOMAIN, &name, ADDR + 0x1000, 0x71), -ESTALE);
    assert_int_equal(msi_bind(SIM_DOMAIN, &name, ADDR | 0xff0, 0x71 | BIT(14)), 0); /* no meaning */
    assert_int_equal(sends(5)->guest_data, 0x71);
    assert_true(sim_vcpu[0].waiting);
    respond(0, 0);
    assert_false(sim_vcpu[0].waiting);
    assert_int_equal(sends(5)->guest_data, 0x71);
    assert_int_equal(msi_unbind(SIM_DOMAIN, &name), 0);
    assert_null(sends(5));
    /* The next unmask asks again. */
    msix_write(0, 5, PCI_MSIX_ENTRY_CTRL, 1);
    assert_int_equal(msix_write(0, 5, PCI_MSIX_ENTRY_CTRL, 0), TRAP_FORWARD);
    assert_int_equal(complete(0, detail(0)->id, XENLITE_IOREQ_BIND, 0, 0), 0);
    assert_non_null(sends(5));
    name.msix = false;
    wr(0, f->msi + PCI_MSI_ADDR_LO, 4, (uint32_t)ADDR);
    wr(0, f->msi + PCI_MSI_DATA_64, 2, 0x74);
    wr(0, f->msi + PCI_MSI_CONTROL, 2, PCI_MSI_ENABLE);
    assert_int_equal(msi_bind(SIM_DOMAIN, &name, ADDR, 0x74), 0);
    assert_int_equal(complete(0, detail(0)->id, XENLITE_IOREQ_DONE, 0, 0), 0);
    assert_int_equal(f->config[f->msi + PCI_MSI_CONTROL] & PCI_MSI_ENABLE, PCI_MSI_ENABLE);
    assert_int_equal(msi_unbind(SIM_DOMAIN, &name), 0);
    assert_int_equal(f->config[f->msi + PCI_MSI_CONTROL] & PCI_MSI_ENABLE, 0);
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
        cmocka_unit_test_setup_teardown(test_msix, setup, teardown),
        cmocka_unit_test_setup_teardown(test_msix_two, setup, teardown),
        cmocka_unit_test_setup_teardown(test_msix_sweep, setup, teardown),
        cmocka_unit_test_setup_teardown(test_msix_random, setup, teardown),
        cmocka_unit_test_setup_teardown(test_msi, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bind_by_name, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
