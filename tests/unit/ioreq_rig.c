/* SPDX-License-Identifier: MIT */
/*
 * A device model, a guest and their device; see ioreq_rig.h.
 */
#include "ioreq_rig.h"

#include "lib/errno.h"
#include "lib/string.h"
#include "mm/phys.h"
#include "sim.h"

static struct vpci_policy policy;
struct sim_function *f;
uint16_t server;

/* ---- the device model's side ---- */

struct ioreq_server *at(uint16_t id)
{
    struct ioreq_server *s;

    spin_lock(&sim_ioreq.lock);
    s = ioreq_server_find(&sim_ioreq, id);
    spin_unlock(&sim_ioreq.lock);
    return s;
}

const struct ioreq *slot(unsigned vcpu)
{
    return &at(server)->slot[vcpu];
}

const struct xenlite_ioreq_detail *detail(unsigned vcpu)
{
    return &at(server)->detail[vcpu];
}

uint32_t port(unsigned vcpu)
{
    return slot(vcpu)->vp_eport;
}

/* A device model that has just started: server, the whole segment's functions, ports bound, enabled. */
void dm_start(void)
{
    assert_int_equal(ioreq_server_create(&sim_ioreq, 0, &server), 0);
    assert_int_equal(ioreq_server_map(&sim_ioreq, server, IOREQ_RANGE_PCI, 0, 0xffff), 0);
    for (unsigned i = 0; i < SIM_VCPUS; i++)
        sim_port_bind(port(i));
    assert_int_equal(ioreq_server_enable(&sim_ioreq, server, true), 0);
}

/* kill -9: the kernel closes what it had. */
void dm_die(void)
{
    uint32_t ports[SIM_VCPUS];

    for (unsigned i = 0; i < SIM_VCPUS; i++)
        ports[i] = port(i);
    for (unsigned i = 0; i < SIM_VCPUS; i++)
        sim_port_close(ports[i]);
}

int complete(unsigned vcpu, uint64_t id, uint32_t decision, uint32_t value, uint32_t mask)
{
    struct xenlite_ioreq_complete c = {
        .id = id, .vcpu = vcpu, .decision = decision, .value = value, .mask = mask
    };

    return ioreq_complete(&sim_ioreq, &c);
}

void respond(unsigned vcpu, uint64_t data)
{
    struct ioreq *s = (struct ioreq *)slot(vcpu);

    s->data = data;
    s->state = STATE_IORESP_READY;
    sim_port_signal(port(vcpu));
}

void assert_asked(unsigned vcpu, unsigned reg, uint32_t val)
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

enum trap_result wr(unsigned vcpu, unsigned reg, unsigned size, uint32_t val)
{
    sim_run_on(vcpu);
    return vpci_write(&sim_vpci, DEV, reg, size, val);
}

enum trap_result msix_write(unsigned vcpu, unsigned entry, unsigned off, uint32_t val)
{
    sim_run_on(vcpu);
    return mem_write(BAR0 + MSIX + entry * 16 + off, 4, val);
}

void msix_set(unsigned vcpu, unsigned entry, uint64_t address, uint32_t data)
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
struct sim_girq *sends(unsigned i)
{
    const uint32_t *e = hw_entry(i);

    if (e[3] & PCI_MSIX_CTRL_MASKED)
        return NULL;
    return sim_girq_of_message(e[0] | (uint64_t)e[1] << 32, e[2]);
}

int setup(void **state)
{
    (void)state;
    sim_reset();
    vpci_destroy(&sim_vpci);
    policy = vpci_policy_control;
    policy.asks = true;
    policy.write = vpci_policy_guest.write;
    vpci_prepare(&sim_vpci);
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

int teardown(void **state)
{
    (void)state;
    sim_finish();
    return 0;
}
