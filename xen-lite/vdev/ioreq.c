/* SPDX-License-Identifier: MIT */
/*
 * The life of requests: made by a vCPU, shown to a server, completed or given up. Which servers there are and what their
 * pages look like is in ioreq_server.c, what a decision does to hardware in ioreq_finish.c.
 */
#include "vdev/ioreq.h"

#include "lib/assert.h"
#include "lib/errno.h"
#include "lib/percpu.h"
#include "lib/string.h"
#include "lib/time.h"
#include "trap/rules.h"
#include "vdev/ioreq_finish.h"
#include "vdev/vpci.h"

#include <xen/hvm/ioreq.h>

/* ---- showing ---- */

static void present(struct ioreq_vcpu *iv)
{
    struct ioreq_domain *io = iv->io;
    struct ioreq_server *s = ioreq_server_for(io, ioreq_head(iv));

    if (!s)
        return; /* the next server that is enabled takes it */
    ioreq_show(s, iv, ioreq_head(iv));
    iv->server = s;
    io->stats.presented++;
    ioreq_port_notify(io->domain, s->port[iv->id]);
}

static void withdraw(struct ioreq_vcpu *iv)
{
    if (iv->server)
        ioreq_hide(iv->server, iv);
    iv->server = NULL;
}

void ioreq_withdraw_all(struct ioreq_domain *io, struct ioreq_server *s)
{
    for (unsigned i = 0; i < io->nr_vcpus; i++)
        if (io->vcpu[i]->server == s)
            withdraw(io->vcpu[i]);
}

void ioreq_present_all(struct ioreq_domain *io)
{
    for (unsigned i = 0; i < io->nr_vcpus && io->nr_waiting; i++)
        if (io->vcpu[i]->nr && !io->vcpu[i]->server)
            present(io->vcpu[i]);
}

/* ---- making ---- */

/* Says why nothing waits, and what is given up. */
static enum trap_result drop(const struct ioreq_domain *io, enum deny_rule rule,
                             const struct ioreq_request *req)
{
    deny(rule, io->domid, req->guest_sbdf,
         req->kind == XENLITE_IOREQ_PORT || req->kind == XENLITE_IOREQ_MEMORY ? req->addr : req->index,
         req->data);
    return TRAP_DROPPED;
}

static enum trap_result enqueue(struct ioreq_vcpu *iv, const struct ioreq_request *req)
{
    struct ioreq_domain *io = iv->io;
    struct ioreq_request *q;

    if (io->dying || !io->had_server || iv->nr == IOREQ_QUEUE)
        return drop(io, DENY_IOREQ_NOBODY, req);
    q = &iv->queue[(iv->first + iv->nr) % IOREQ_QUEUE];
    *q = *req;
    q->id = ++io->last_id;
    q->since = now_ns();
    io->stats.forwarded++;
    if (iv->nr++)
        return TRAP_FORWARD;
    io->nr_waiting++;
    /* One timer for all: it is set again when it finds some that have time left. */
    if (!timer_pending(&io->deadline))
        timer_set(&io->deadline, q->since + XENLITE_IOREQ_DEADLINE_NS);
    vcpu_ioreq_wait(iv->v);
    present(iv);
    return TRAP_FORWARD;
}

static enum trap_result make(struct ioreq_domain *io, const struct ioreq_request *req)
{
    struct vcpu *v = current_vcpu();
    struct ioreq_vcpu *iv = v ? vcpu_ioreq(v) : NULL;
    enum trap_result res;

    /* Only somebody of the domain can wait. */
    if (!iv || iv->io != io)
        return drop(io, DENY_IOREQ_NOBODY, req);
    spin_lock(&io->lock);
    res = enqueue(iv, req);
    spin_unlock(&io->lock);
    return res;
}

/* Xen's encoding: the function above the register (public header, hvm/ioreq.h). */
static uint64_t config_addr(const struct vpci_dev *vd, unsigned reg)
{
    return (uint64_t)vd->sbdf << 32 | reg;
}

enum trap_result ioreq_config_write(struct vpci_dev *vd, unsigned reg, unsigned size, uint32_t val)
{
    struct ioreq_request req = {
        .kind = XENLITE_IOREQ_CONFIG,
        .addr = config_addr(vd, reg),
        .data = val,
        .size = (uint8_t)size,
        .hw_sbdf = vd->hw_sbdf,
        .guest_sbdf = vd->sbdf,
        .index = (uint16_t)reg,
    };

    return make(domain_ioreq(vd->vpci->domain), &req);
}

enum trap_result ioreq_msi(struct vpci_dev *vd, unsigned reg, uint64_t address, uint32_t data)
{
    struct ioreq_request req = {
        .kind = XENLITE_IOREQ_MSI,
        .addr = config_addr(vd, reg),
        .data = PCI_MSI_ENABLE,
        .size = 2,
        .hw_sbdf = vd->hw_sbdf,
        .guest_sbdf = vd->sbdf,
        .address = address,
        .message = data,
    };

    return make(domain_ioreq(vd->vpci->domain), &req);
}

enum trap_result ioreq_msix(struct vpci_dev *vd, unsigned i, bool sweep)
{
    struct ioreq_request req = {
        .kind = XENLITE_IOREQ_MSIX,
        .size = 4,
        .hw_sbdf = vd->hw_sbdf,
        .guest_sbdf = vd->sbdf,
        .sweep = sweep,
    };

    ioreq_fill_entry(&req, vd, i);
    return make(domain_ioreq(vd->vpci->domain), &req);
}

/* ---- ends ---- */

static void resume(struct ioreq_vcpu *iv, uint64_t since)
{
    struct ioreq_domain *io = iv->io;
    uint64_t waited = now_ns() - since;

    io->nr_waiting--;
    io->stats.wait_ns += waited;
    io->stats.wait_max_ns = MAX(io->stats.wait_max_ns, waited);
    vcpu_ioreq_resume(iv->v);
}

void ioreq_end(struct ioreq_vcpu *iv, uint64_t result)
{
    struct ioreq_request *req = ioreq_head(iv);
    uint64_t since = req->since;

    withdraw(iv);
    if (req->read) {
        iv->answer = *req;
        iv->answer.data = result;
        iv->answered = true;
    }
    iv->first = (iv->first + 1) % IOREQ_QUEUE;
    WRITE_ONCE(iv->nr, iv->nr - 1);
    if (iv->nr)
        present(iv);
    else
        resume(iv, since);
}

void ioreq_again(struct ioreq_vcpu *iv)
{
    withdraw(iv);
    ioreq_head(iv)->id = ++iv->io->last_id;
    iv->io->stats.forwarded++;
    present(iv);
}

/* Gives up what is too old. When the next one will be: ns, ~0 if nothing waits. */
static uint64_t expire_one(struct ioreq_vcpu *iv, uint64_t now)
{
    while (iv->nr) {
        const struct ioreq_request *req = ioreq_head(iv);

        if (req->since + XENLITE_IOREQ_DEADLINE_NS > now)
            return req->since + XENLITE_IOREQ_DEADLINE_NS;
        iv->io->stats.expired++;
        drop(iv->io, DENY_IOREQ_DEADLINE, req);
        ioreq_end(iv, trap_all_ones(req->size));
    }
    return ~0ULL;
}

static void expire(void *arg)
{
    struct ioreq_domain *io = arg;
    uint64_t next = ~0ULL, now = now_ns();

    spin_lock(&io->lock);
    for (unsigned i = 0; i < io->nr_vcpus; i++) {
        uint64_t at = expire_one(io->vcpu[i], now);

        next = MIN(next, at);
    }
    if (next != ~0ULL && !io->dying)
        timer_set(&io->deadline, next);
    spin_unlock(&io->lock);
}

/* ---- questions ---- */

static void describe(const struct ioreq_vcpu *iv, uint64_t now, struct xenlite_ioreq_pending *out)
{
    const struct ioreq_request *req = &iv->queue[iv->first];

    *out = (struct xenlite_ioreq_pending){
        .addr = req->addr,
        .data = req->data,
        .age_ns = now - req->since,
        .vcpu = iv->id,
        .server = iv->server ? iv->server->id : XENLITE_IOREQ_NO_SERVER,
        .size = req->size,
        .read = req->read,
    };
    ioreq_fill_detail(&out->detail, req);
}

unsigned ioreq_list(struct ioreq_domain *io, struct xenlite_ioreq_pending *out, unsigned room)
{
    uint64_t now = now_ns();
    unsigned n = 0;

    spin_lock(&io->lock);
    for (unsigned i = 0; i < io->nr_vcpus; i++) {
        if (!io->vcpu[i]->nr)
            continue;
        if (n < room)
            describe(io->vcpu[i], now, &out[n]);
        n++;
    }
    spin_unlock(&io->lock);
    return n;
}

void ioreq_statistics(struct ioreq_domain *io, struct xenlite_ioreq_statistics *out)
{
    spin_lock(&io->lock);
    *out = io->stats;
    for (unsigned i = 0; i < IOREQ_MAX_SERVERS; i++)
        out->servers += io->server[i] != NULL;
    out->waiting = io->nr_waiting;
    spin_unlock(&io->lock);
}

/* ---- life cycle ---- */

void ioreq_domain_init(struct ioreq_domain *io, struct domain *d, uint16_t domid)
{
    memset(io, 0, sizeof(*io));
    spin_lock_init(&io->lock);
    io->domain = d;
    io->domid = domid;
    timer_init(&io->deadline, cpu_id(), expire, io);
}

void ioreq_vcpu_init(struct ioreq_vcpu *iv, struct ioreq_domain *io, struct vcpu *v, unsigned id)
{
    ASSERT(id < IOREQ_MAX_VCPUS && id == io->nr_vcpus);
    memset(iv, 0, sizeof(*iv));
    iv->io = io;
    iv->v = v;
    iv->id = id;
    io->vcpu[id] = iv;
    io->nr_vcpus = id + 1;
}

void ioreq_domain_destroy(struct ioreq_domain *io)
{
    spin_lock(&io->lock);
    io->dying = true;
    for (unsigned i = 0; i < io->nr_vcpus; i++) {
        withdraw(io->vcpu[i]);
        io->vcpu[i]->nr = 0;
    }
    io->nr_waiting = 0;
    spin_unlock(&io->lock);
    timer_cancel_sync(&io->deadline);
    ioreq_server_free_all(io);
}
