/* SPDX-License-Identifier: MIT */
/*
 * Device models by Xen's ABI: dm_op with its buffers, real event channels between guest and control domain, the requests of
 * a vCPU, xenlite_op's commands about them; and callers that give anything as arguments.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "evtchn_guest.h"
#include "hc_sim.h"
#include "hypercall/handlers.h"
#include "irq/girq.h"
#include "lib/errno.h"
#include "lib/string.h"
#include "mm/frame.h"
#include "mm/phys.h"
#include "vdev/vmsi.h"
#include "vdev/vmsix.h"
#include "vdev/vpci_engine.h"

#include <xen/domctl.h>
#include <xen/hvm/dm_op.h>
#include <xen/hvm/ioreq.h>
#include <xen/physdev.h>

#define GUEST 7
#define VCPUS 2
#define SBDF  0x0010u
#define FRAME 64u /* mfn of the first one given: below all domains */
#define BUF   0x1100u

static struct domain *dom0, *guest;
static struct evtchn_guest g0;
static unsigned frames_out, holds;
static uint32_t written[64];
static unsigned nr_written, binds, unbinds;
static struct vpci_dev device;

/* ---- what lies around ---- */

struct ioreq_domain *domain_ioreq(struct domain *d)
{
    return &d->ioreq;
}

struct ioreq_vcpu *vcpu_ioreq(struct vcpu *v)
{
    return &v->ioreq;
}

void vcpu_ioreq_wait(struct vcpu *v)
{
    v->sched.waiting = true;
}

void vcpu_ioreq_resume(struct vcpu *v)
{
    v->sched.waiting = false;
}

int ioreq_port_alloc(struct vcpu *v)
{
    return evtchn_alloc_hv(v, CONTROL_DOMID, ioreq_port_event);
}

void ioreq_port_free(struct domain *d, uint32_t port)
{
    evtchn_free_hv(d, port);
}

void ioreq_port_notify(struct domain *d, uint32_t port)
{
    evtchn_notify_hv(d, port);
}

bool ioreq_port_bound(struct domain *d, uint32_t port)
{
    return evtchn_bound_hv(d, port);
}

uint64_t frame_alloc(unsigned order, uint16_t owner, unsigned flags)
{
    static unsigned next;

    assert_int_equal(order, 0);
    assert_int_equal(owner, GUEST);
    assert_int_equal(flags, FRAME_ZERO | FRAME_SHARED);
    frames_out++;
    next = (next + 1) % 64;
    memset(mfn_to_virt(FRAME + next), 0, PAGE_SIZE);
    return FRAME + next;
}

void frame_free(uint64_t mfn, unsigned order)
{
    (void)order;
    assert_true(mfn >= FRAME && mfn < FRAME + 64);
    frames_out--;
}

bool page_get(uint64_t mfn, uint16_t owner)
{
    (void)mfn;
    (void)owner;
    holds++;
    return true;
}

struct vpci *domain_vpci(struct domain *d)
{
    return &d->vpci;
}

uint32_t vpci_raw_read(uint32_t sbdf, unsigned reg, unsigned size)
{
    (void)sbdf;
    (void)reg;
    return (uint32_t)trap_all_ones(size);
}

void vpci_raw_write(uint32_t sbdf, unsigned reg, unsigned size, uint32_t val)
{
    assert_int_equal(sbdf, SBDF);
    (void)reg;
    (void)size;
    written[nr_written++ % ARRAY_SIZE(written)] = val;
}

/* The device has no messages. */
int vmsix_bind(struct vpci_dev *vd, unsigned i, uint64_t address, uint32_t data)
{
    (void)vd, (void)i, (void)address, (void)data;
    return -ENODEV;
}

void vmsix_unbind(struct vpci_dev *vd, unsigned i)
{
    (void)vd, (void)i;
}

void vmsix_settle(struct vpci_dev *vd, unsigned i)
{
    (void)vd, (void)i;
}

bool vmsix_next_unbound(const struct vpci_dev *vd, unsigned from, unsigned *i)
{
    (void)vd, (void)from, (void)i;
    return false;
}

int vmsi_bind(struct vpci_dev *vd, uint64_t address, uint32_t data)
{
    assert_int_equal(address, vd->msi->address);
    assert_int_equal(data, vd->msi->data);
    binds++;
    return 0;
}

void vmsi_unbind(struct vpci_dev *vd)
{
    (void)vd;
    unbinds++;
}

void vmsi_settle(struct vpci_dev *vd)
{
    (void)vd;
}

bool vapic_msi_possible(struct domain *dom, uint64_t addr, uint32_t data)
{
    (void)dom, (void)addr, (void)data;
    return true;
}

static int setup(void **state)
{
    (void)state;
    hc_reset();
    dom0 = hc_domain(0, 1, 1024);
    guest = hc_domain(GUEST, VCPUS, 64);
    eg_init(&g0, dom0);
    ioreq_domain_init(&guest->ioreq, guest, GUEST);
    for (unsigned i = 0; i < VCPUS; i++)
        ioreq_vcpu_init(&guest->vcpu[i]->ioreq, &guest->ioreq, guest->vcpu[i], i);
    memset(&device, 0, sizeof(device));
    device.vpci = &guest->vpci;
    device.sbdf = device.hw_sbdf = SBDF;
    guest->vpci.domain = guest;
    list_init(&guest->vpci.devices);
    list_add_tail(&device.link, &guest->vpci.devices);
    spin_lock_init(&guest->vpci.lock);
    nr_written = holds = binds = unbinds = 0;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    ioreq_domain_destroy(&guest->ioreq);
    assert_int_equal(frames_out, 0);
    hc_reset();
    return 0;
}

/* ---- calls ---- */

static long dm_call(struct domain *d, uint16_t domid, struct xen_dm_op *op, size_t size)
{
    struct xen_dm_op_buf buf = { .size = size };
    long rc;

    buf.h.p = (void *)(uintptr_t)BUF;
    memcpy(hc_mem(d, HC_ARG), &buf, sizeof(buf));
    memcpy(hc_mem(d, BUF), op, sizeof(*op));
    rc = do_dm_op(d->vcpu[0], domid, 1, HC_ARG, 0, 0);
    memcpy(op, hc_mem(d, BUF), sizeof(*op));
    return rc;
}

static long dm(struct xen_dm_op *op)
{
    return dm_call(dom0, GUEST, op, sizeof(*op));
}

static long xl(uint32_t cmd, uint16_t domid, void *args, size_t size)
{
    struct xenlite_op op = { .cmd = cmd, .interface_version = XENLITE_INTERFACE_VERSION, .domid = domid };
    long rc;

    memcpy(op.args, args, size);
    memcpy(hc_mem(dom0, HC_ARG), &op, sizeof(op));
    rc = do_xenlite_op(dom0->vcpu[0], HC_ARG, 0, 0, 0, 0);
    memcpy(args, ((struct xenlite_op *)hc_mem(dom0, HC_ARG))->args, size);
    return rc;
}

static uint16_t create(uint8_t buffered)
{
    struct xen_dm_op op = { .op = XEN_DMOP_create_ioreq_server };

    op.u.create_ioreq_server.handle_bufioreq = buffered;
    assert_int_equal(dm(&op), 0);
    return op.u.create_ioreq_server.id;
}

static long map(uint16_t id, uint32_t type, uint64_t start, uint64_t end)
{
    struct xen_dm_op op = { .op = XEN_DMOP_map_io_range_to_ioreq_server };

    op.u.map_io_range_to_ioreq_server.id = id;
    op.u.map_io_range_to_ioreq_server.type = type;
    op.u.map_io_range_to_ioreq_server.start = start;
    op.u.map_io_range_to_ioreq_server.end = end;
    return dm(&op);
}

static long enable(uint16_t id, bool on)
{
    struct xen_dm_op op = { .op = XEN_DMOP_set_ioreq_server_state };

    op.u.set_ioreq_server_state.id = id;
    op.u.set_ioreq_server_state.enabled = on;
    return dm(&op);
}

static struct ioreq *slots(uint16_t id)
{
    uint64_t mfn;

    assert_int_equal(ioreq_server_frame(&guest->ioreq, id, 1, &mfn), 0);
    return mfn_to_virt(mfn);
}

static evtchn_port_t bind(uint32_t remote)
{
    struct evtchn_bind_interdomain arg = { .remote_dom = GUEST, .remote_port = remote };

    assert_int_equal(hc_call(do_event_channel_op, dom0->vcpu[0], EVTCHNOP_bind_interdomain, &arg, sizeof(arg)), 0);
    return arg.local_port;
}

static long port_op(struct domain *d, unsigned cmd, evtchn_port_t port)
{
    return hc_call(do_event_channel_op, d->vcpu[0], cmd, &port, sizeof(port));
}

static bool pending(evtchn_port_t port)
{
    return test_and_clear_bit(dom0->shared_info->evtchn_pending, port);
}

static enum trap_result guest_writes(unsigned vcpu, unsigned reg, uint32_t val)
{
    enum trap_result res;

    this_cpu()->current = guest->vcpu[vcpu];
    res = ioreq_config_write(&device, reg, 4, val);
    this_cpu()->current = NULL;
    return res;
}

/* As QEMU does it, from the first call to the last. */
static void test_life(void **state)
{
    struct xen_dm_op op = { .op = XEN_DMOP_get_ioreq_server_info };
    evtchn_port_t port[VCPUS], buffered;
    uint16_t id = create(2), id2;
    struct ioreq *slot;

    (void)state;
    op.u.get_ioreq_server_info.id = id;
    assert_int_equal(dm(&op), -EOPNOTSUPP);
    op.u.get_ioreq_server_info.flags = XEN_DMOP_no_gfns;
    assert_int_equal(dm(&op), 0);
    buffered = bind(op.u.get_ioreq_server_info.bufioreq_port);
    slot = slots(id);
    for (unsigned i = 0; i < VCPUS; i++) {
        port[i] = bind(slot[i].vp_eport);
        assert_true(pending(port[i])); /* the first look is on the house */
    }
    /* The guest may not touch its end. */
    assert_int_equal(port_op(guest, EVTCHNOP_close, slot[0].vp_eport), -EINVAL);
    assert_int_equal(port_op(guest, EVTCHNOP_send, slot[0].vp_eport), -EINVAL);
    assert_int_equal(map(id, XEN_DMOP_IO_RANGE_PCI, SBDF, SBDF), 0);
    assert_int_equal(map(id, XEN_DMOP_IO_RANGE_PCI, SBDF, SBDF), -EEXIST);
    assert_int_equal(guest_writes(1, 0x44, 5), TRAP_FORWARD);
    assert_false(pending(port[1])); /* not enabled yet */
    assert_int_equal(enable(id, true), 0);
    assert_true(pending(port[1]));
    assert_false(pending(port[0]));
    assert_int_equal(slot[1].state, STATE_IOREQ_READY);
    assert_int_equal(slot[1].addr, (uint64_t)SBDF << 32 | 0x44);
    assert_int_equal(slot[1].data, 5);
    assert_true(guest->vcpu[1]->sched.waiting);
    slot[1].state = STATE_IOREQ_INPROCESS;
    assert_int_equal(port_op(dom0, EVTCHNOP_send, port[1]), 0);
    assert_true(guest->vcpu[1]->sched.waiting);
    slot[1].state = STATE_IORESP_READY;
    assert_int_equal(port_op(dom0, EVTCHNOP_send, port[1]), 0);
    assert_false(guest->vcpu[1]->sched.waiting);
    assert_int_equal(nr_written, 0); /* it has done that itself */
    /* It dies: ports are closed one by one. A new one takes over. */
    guest_writes(0, 0x48, 6);
    guest_writes(1, 0x48, 7);
    for (unsigned i = 0; i < VCPUS; i++)
        assert_int_equal(port_op(dom0, EVTCHNOP_close, port[i]), 0);
    assert_int_equal(port_op(dom0, EVTCHNOP_close, buffered), 0);
    assert_int_equal(slot[0].state, STATE_IOREQ_NONE);
    id2 = create(0);
    assert_int_equal(map(id2, XEN_DMOP_IO_RANGE_PCI, 0, 0xffff), 0);
    slot = slots(id2);
    for (unsigned i = 0; i < VCPUS; i++)
        port[i] = bind(slot[i].vp_eport);
    assert_int_equal(enable(id2, true), 0);
    for (unsigned i = 0; i < VCPUS; i++) {
        struct xenlite_ioreq_complete c = { .vcpu = i, .value = slot[i].data, .mask = ~0u };
        struct xenlite_ioreq_query q = { .nr = 0 };

        assert_true(pending(port[i]));
        assert_int_equal(slot[i].data, 6 + i);
        assert_int_equal(xl(XENLITE_IOREQ_query, GUEST, &q, sizeof(q)), 0);
        assert_int_equal(q.waiting, VCPUS - i);
        q.nr = 100;
        q.buffer = BUF;
        assert_int_equal(xl(XENLITE_IOREQ_query, GUEST, &q, sizeof(q)), 0);
        assert_int_equal(q.nr, VCPUS - i);
        c.id = ((struct xenlite_ioreq_pending *)hc_mem(dom0, BUF))->detail.id;
        assert_int_equal(xl(XENLITE_IOREQ_complete, GUEST, &c, sizeof(c)), 0);
        assert_int_equal(xl(XENLITE_IOREQ_complete, GUEST, &c, sizeof(c)), -ESTALE);
        assert_int_equal(nr_written, i + 1);
        assert_int_equal(written[i], 6 + i);
        assert_false(guest->vcpu[i]->sched.waiting);
    }
    op.op = XEN_DMOP_destroy_ioreq_server;
    op.u.destroy_ioreq_server = (struct xen_dm_op_destroy_ioreq_server){ .id = id2 };
    assert_int_equal(dm(&op), 0);
    assert_int_equal(dm(&op), -ENOENT);
}

static void test_refusals(void **state)
{
    struct xen_dm_op op = { .op = XEN_DMOP_nr_vcpus };
    struct xenlite_ioreq_statistics st = { 0 };
    struct xenlite_ioreq_query q = { .nr = 1, .buffer = ~0ull };
    uint16_t id = create(0);

    (void)state;
    assert_int_equal(dm(&op), 0);
    assert_int_equal(op.u.nr_vcpus.vcpus, VCPUS);
    assert_int_equal(dm_call(guest, 0, &op, sizeof(op)), -EPERM);
    assert_int_equal(dm_call(guest, GUEST, &op, sizeof(op)), -EPERM);
    assert_int_equal(dm_call(dom0, 0, &op, sizeof(op)), -EPERM);
    assert_int_equal(dm_call(dom0, DOMID_SELF, &op, sizeof(op)), -EPERM);
    assert_int_equal(dm_call(dom0, 99, &op, sizeof(op)), -ESRCH);
    for (size_t size = 0; size < 12; size++)
        assert_int_equal(dm_call(dom0, GUEST, &op, size), -EFAULT);
    assert_int_equal(do_dm_op(dom0->vcpu[0], GUEST, 0, HC_ARG, 0, 0), -EFAULT);
    assert_int_equal(do_dm_op(dom0->vcpu[0], GUEST, 3, HC_ARG, 0, 0), -E2BIG);
    assert_int_equal(do_dm_op(dom0->vcpu[0], GUEST, 1, ~0ull, 0, 0), -EFAULT);
    op.pad = 1;
    assert_int_equal(dm(&op), -EINVAL);
    op.pad = 0;
    op.op = 0;
    assert_int_equal(dm(&op), -EOPNOTSUPP);
    op.op = ~0u;
    assert_int_equal(dm(&op), -EOPNOTSUPP);
    op.op = XEN_DMOP_create_ioreq_server;
    op.u.create_ioreq_server.handle_bufioreq = 3;
    assert_int_equal(dm(&op), -EINVAL);
    assert_int_equal(map(id, XEN_DMOP_IO_RANGE_PORT, 0x60, 0x60), -EOPNOTSUPP);
    assert_int_equal(map(id, XEN_DMOP_IO_RANGE_MEMORY, 0x60, 0x60), -EOPNOTSUPP);
    assert_int_equal(map(id, 3, 0x60, 0x60), -EINVAL);
    assert_int_equal(map(id, XEN_DMOP_IO_RANGE_PCI, 5, 4), -EINVAL);
    assert_int_equal(map(id + 1, XEN_DMOP_IO_RANGE_PCI, 4, 4), -ENOENT);
    op.op = XEN_DMOP_inject_msi;
    op.u.inject_msi = (struct xen_dm_op_inject_msi){ .addr = 0x1000 };
    assert_int_equal(dm(&op), -EINVAL);
    op.u.inject_msi.addr = 0xfee00000;
    assert_int_equal(dm(&op), 0);
    op.op = XEN_DMOP_remote_shutdown;
    op.u.remote_shutdown.reason = 77;
    assert_int_equal(dm(&op), -EINVAL);
    assert_int_equal(hc_shutdown_code, -1);
    assert_int_equal(xl(XENLITE_IOREQ_statistics, 99, &st, sizeof(st)), -ESRCH);
    assert_int_equal(xl(XENLITE_IOREQ_statistics, GUEST, &st, sizeof(st)), 0);
    assert_int_equal(st.servers, 1);
    assert_int_equal(xl(XENLITE_IOREQ_FIRST + 3, GUEST, &st, sizeof(st)), -ENOSYS);
    assert_int_equal(enable(id, true), 0);
    guest_writes(0, 0x40, 1);
    assert_int_equal(xl(XENLITE_IOREQ_query, GUEST, &q, sizeof(q)), -EFAULT);
}

/* Anything at all, from the control domain and from the guest, while the guest writes. */
static void test_hostile(void **state)
{
    (void)state;
    srand(3);
    for (unsigned step = 0; step < 50000; step++) {
        struct xen_dm_op op;
        unsigned v = (unsigned)rand() % VCPUS;

        for (unsigned i = 0; i < sizeof(op); i++)
            ((uint8_t *)&op)[i] = (uint8_t)(rand() % 3 ? 0 : rand() % 4 ? rand() % 8 : rand());
        op.op = (uint32_t)rand() % 22;
        op.pad = rand() % 20 == 0;
        if (op.op == XEN_DMOP_remote_shutdown)
            continue;
        dm_call(rand() % 8 ? dom0 : guest, rand() % 8 ? GUEST : (uint16_t)rand(), &op,
                rand() % 4 ? sizeof(op) : (size_t)rand() % sizeof(op));
        if (!guest->vcpu[v]->sched.waiting)
            guest_writes(v, 0x40 + 4 * v, step);
        if (rand() % 4 == 0) {
            struct xenlite_ioreq_complete c = {
                .id = guest->ioreq.last_id - (unsigned)rand() % 3,
                .vcpu = (unsigned)rand() % (VCPUS + 1),
                .decision = (unsigned)rand() % 6,
                .mask = (uint32_t)rand(),
            };

            xl(XENLITE_IOREQ_complete, GUEST, &c, sizeof(c));
        }
    }
    /* Whoever waits is somebody with a request, and the other way round. */
    for (unsigned i = 0; i < VCPUS; i++)
        assert_int_equal(guest->vcpu[i]->sched.waiting, ioreq_pending(&guest->vcpu[i]->ioreq));
}

/* The deadline comes by the machine's timer. */
static void test_deadline(void **state)
{
    (void)state;
    enable(create(0), true);
    guest_writes(0, 0x40, 1);
    hc_advance(XENLITE_IOREQ_DEADLINE_NS - 1);
    assert_true(guest->vcpu[0]->sched.waiting);
    hc_advance(1);
    assert_false(guest->vcpu[0]->sched.waiting);
    assert_int_equal(nr_written, 0);
}

static long map_pirq(struct physdev_map_pirq *arg)
{
    return hc_call(do_physdev_op, dom0->vcpu[0], PHYSDEVOP_map_pirq, arg, sizeof(*arg));
}

static long pt_op(uint32_t cmd, uint32_t pirq, uint32_t type, uint8_t vector, uint32_t flags)
{
    struct xen_domctl op = { .cmd = cmd, .interface_version = XEN_DOMCTL_INTERFACE_VERSION, .domain = GUEST };

    op.u.bind_pt_irq.machine_irq = pirq;
    op.u.bind_pt_irq.irq_type = type;
    op.u.bind_pt_irq.u.msi.gvec = vector;
    op.u.bind_pt_irq.u.msi.gflags = flags;
    memcpy(hc_mem(dom0, HC_ARG), &op, sizeof(op));
    return do_domctl(dom0->vcpu[0], HC_ARG, 0, 0, 0, 0);
}

/* Numbers for messages, and what is bound under them. */
static void test_pirq(void **state)
{
    struct vmsi msi = { .address = 0xfee02004, .data = 0x0131 };
    struct physdev_map_pirq arg = { .domid = GUEST, .index = -1, .pirq = -1, .devfn = SBDF };
    struct physdev_unmap_pirq un = { .domid = GUEST };
    int first;

    (void)state;
    assert_int_equal(map_pirq(&arg), -ENODEV); /* it has no messages */
    device.msi = &msi;
    assert_int_equal(map_pirq(&arg), 0);
    first = arg.pirq;
    assert_true(first > 0);
    arg.pirq = -1;
    arg.type = MAP_PIRQ_TYPE_MSI_SEG;
    assert_int_equal(map_pirq(&arg), 0);
    assert_int_equal(arg.pirq, first); /* the same thing */
    arg.pirq = first + 1;
    assert_int_equal(map_pirq(&arg), -EINVAL);
    arg.pirq = -1;
    arg.table_base = 0x1000;
    assert_int_equal(map_pirq(&arg), -ENODEV);
    arg.table_base = 0;
    arg.bus = 0x10000; /* segment 1 */
    assert_int_equal(map_pirq(&arg), -ENODEV);
    arg.bus = 0x100;
    assert_int_equal(map_pirq(&arg), -EINVAL);
    arg.bus = 0;
    arg.devfn = 256;
    assert_int_equal(map_pirq(&arg), -EINVAL);
    arg.devfn = SBDF;
    arg.type = MAP_PIRQ_TYPE_GSI;
    assert_int_equal(map_pirq(&arg), -EOPNOTSUPP);
    arg.type = MAP_PIRQ_TYPE_MULTI_MSI;
    arg.entry_nr = 2;
    assert_int_equal(map_pirq(&arg), -EOPNOTSUPP);
    arg.domid = 0;
    assert_int_equal(map_pirq(&arg), -EINVAL);
    arg.domid = 99;
    assert_int_equal(map_pirq(&arg), -ESRCH);
    /* Vector 0x31 at id 2, logical, lowest priority: as the guest has it, or not at all. */
    assert_int_equal(pt_op(XEN_DOMCTL_bind_pt_irq, (uint32_t)first, PT_IRQ_TYPE_MSI, 0x31, 0x1202), 0);
    assert_int_equal(binds, 1);
    assert_int_equal(pt_op(XEN_DOMCTL_bind_pt_irq, (uint32_t)first, PT_IRQ_TYPE_MSI, 0x32, 0x1202), -ESTALE);
    assert_int_equal(pt_op(XEN_DOMCTL_bind_pt_irq, (uint32_t)first, PT_IRQ_TYPE_MSI, 0x31, 0x0202), -ESTALE);
    assert_int_equal(pt_op(XEN_DOMCTL_bind_pt_irq, (uint32_t)first + 1, PT_IRQ_TYPE_MSI, 0x31, 0x1202), -EINVAL);
    assert_int_equal(pt_op(XEN_DOMCTL_bind_pt_irq, ~0u, PT_IRQ_TYPE_MSI, 0x31, 0x1202), -EINVAL);
    assert_int_equal(pt_op(XEN_DOMCTL_bind_pt_irq, (uint32_t)first, PT_IRQ_TYPE_PCI, 0x31, 0x1202), -EOPNOTSUPP);
    assert_int_equal(pt_op(XEN_DOMCTL_unbind_pt_irq, (uint32_t)first, PT_IRQ_TYPE_MSI, 0, 0), 0);
    assert_int_equal(unbinds, 1);
    un.pirq = first;
    assert_int_equal(hc_call(do_physdev_op, dom0->vcpu[0], PHYSDEVOP_unmap_pirq, &un, sizeof(un)), 0);
    assert_int_equal(hc_call(do_physdev_op, dom0->vcpu[0], PHYSDEVOP_unmap_pirq, &un, sizeof(un)), -EINVAL);
    un.pirq = -1;
    assert_int_equal(hc_call(do_physdev_op, dom0->vcpu[0], PHYSDEVOP_unmap_pirq, &un, sizeof(un)), -EINVAL);
    assert_int_equal(binds, 1);
    assert_int_equal(unbinds, 2);
    pt_irq_destroy(guest);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_life, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refusals, setup, teardown),
        cmocka_unit_test_setup_teardown(test_hostile, setup, teardown),
        cmocka_unit_test_setup_teardown(test_deadline, setup, teardown),
        cmocka_unit_test_setup_teardown(test_pirq, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
