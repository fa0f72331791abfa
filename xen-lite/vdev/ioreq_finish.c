/* SPDX-License-Identifier: MIT */
/*
 * What becomes of a request when somebody has decided: the hardware is written or the message bound, and the request ends,
 * under one hold of the locks. Nobody sees one without the other.
 */
#include "vdev/ioreq_finish.h"

#include "irq/girq.h"
#include "lib/errno.h"
#include "lib/time.h"
#include "trap/record.h"
#include "trap/rules.h"
#include "vdev/msi_bind.h"
#include "vdev/pci.h"
#include "vdev/vmsi.h"
#include "vdev/vmsix.h"
#include "vdev/vpci_engine.h"

struct decision {
    uint32_t what; /* XENLITE_IOREQ_WRITE.. */
    uint64_t value;
    uint32_t mask, w1c, reason;
    bool classic; /* told through the page */
};

void ioreq_fill_entry(struct ioreq_request *req, const struct vpci_dev *vd, unsigned i)
{
    const struct vmsix *m = vd->msix;

    req->index = (uint16_t)i;
    req->addr = m->table + i * PCI_MSIX_ENTRY_SIZE + PCI_MSIX_ENTRY_CTRL;
    req->data = m->entry[i].ctrl;
    req->address = m->entry[i].address;
    req->message = m->entry[i].data;
}

static struct ioreq_vcpu *vcpu_of(struct ioreq_domain *io, uint32_t id)
{
    return id < io->nr_vcpus ? io->vcpu[id] : NULL;
}

/* Is it still what iv waits for? Lock held. */
static bool is_current(const struct ioreq_domain *io, struct ioreq_vcpu *iv, uint64_t id)
{
    return !io->dying && iv->nr && ioreq_head(iv)->id == id;
}

/* ---- what decisions do ---- */

static void write_config(struct vpci_dev *vd, const struct ioreq_request *req,
                         const struct decision *dec)
{
    uint32_t keep = (uint32_t)trap_all_ones(req->size) & ~dec->mask & ~dec->w1c;
    uint32_t val = (uint32_t)dec->value & dec->mask;

    if (keep)
        val |= vpci_raw_read(vd->hw_sbdf, req->index, req->size) & keep;
    vpci_raw_write(vd->hw_sbdf, req->index, req->size, val);
}

/*
 * When the guest has written something else meanwhile, nothing is bound: whoever wrote the newest message into an entry
 * in use has a request of its own, and who has not yet put it to use will have one.
 */
static int bind(struct vpci_dev *vd, const struct ioreq_request *req)
{
    int rc;

    if (!vapic_msi_possible(vd->vpci->domain, req->address, req->message))
        return -EINVAL;
    rc = req->kind == XENLITE_IOREQ_MSIX ? vmsix_bind(vd, req->index, req->address, req->message)
                                         : vmsi_bind(vd, req->address, req->message);
    return rc == -ESTALE ? 0 : rc;
}

/* The device model may have bound it by another call: what is bound takes effect. */
static void settle(struct vpci_dev *vd, const struct ioreq_request *req)
{
    if (req->kind == XENLITE_IOREQ_MSIX)
        vmsix_settle(vd, req->index);
    else if (req->kind == XENLITE_IOREQ_MSI)
        vmsi_settle(vd);
}

static void refused(const struct ioreq_domain *io, const struct ioreq_request *req, enum deny_rule rule)
{
    deny(rule, io->domid, req->guest_sbdf, req->hw_sbdf == DENY_NO_DEVICE ? req->addr : req->index,
         req->data);
}

/* 0; -ENODEV: nothing could be done, but it is over; other errors: it is not over. */
static int act(struct ioreq_domain *io, const struct ioreq_request *req, struct vpci_dev *vd,
               const struct decision *dec)
{
    struct xenlite_ioreq_statistics *st = &io->stats;
    int rc = 0;

    if (!vd && req->hw_sbdf != DENY_NO_DEVICE && dec->what != XENLITE_IOREQ_DENY) {
        refused(io, req, DENY_IOREQ_GONE);
        st->dropped++;
        return -ENODEV;
    }
    switch (dec->what) {
    case XENLITE_IOREQ_WRITE:
        write_config(vd, req, dec);
        st->written++;
        break;
    case XENLITE_IOREQ_BIND:
        rc = bind(vd, req);
        st->bound += !rc;
        break;
    case XENLITE_IOREQ_DONE:
        if (vd)
            settle(vd, req);
        if (dec->classic)
            st->classic++;
        else
            st->done++;
        break;
    case XENLITE_IOREQ_DENY:
        refused(io, req, DENY_IOREQ_REFUSED);
        st->denied++;
        break;
    default:
        st->dropped++;
        break;
    }
    return rc;
}

/* ---- the record ---- */

static uint8_t disposition(const struct decision *dec)
{
    return dec->what == XENLITE_IOREQ_DENY ? TRAP_DENIED : dec->what == XENLITE_IOREQ_DROP ? TRAP_DROPPED : TRAP_DONE;
}

/* Beside the record of the access itself, which says "forwarded". */
static void record(const struct ioreq_vcpu *iv, const struct ioreq_request *req,
                   const struct decision *dec)
{
    static uint16_t handler; /* looked up once: its name is compared with all others */
    uint64_t ns = now_ns() - req->since;
    struct trap_record rec = {
        .time = req->since,
        .addr = req->hw_sbdf == DENY_NO_DEVICE ? req->addr : req->index,
        .value = dec->what == XENLITE_IOREQ_WRITE ? dec->value : req->data,
        .sbdf = req->guest_sbdf,
        .ns = (uint32_t)MIN(ns, (uint64_t)UINT32_MAX),
        .domid = iv->io->domid,
        .vcpu = (uint16_t)iv->id,
        .kind = RECORD_DECIDE,
        .size = req->size,
        .write = !req->read,
        .disposition = disposition(dec),
        .reason = dec->reason,
    };

    if (unlikely(!READ_ONCE(handler)))
        WRITE_ONCE(handler, trap_handler_id("device-model"));
    rec.handler = READ_ONCE(handler);
    record_write(&rec);
}

/* ---- the end of a request ---- */

/* The next entry that the same write of the guest put to use, if this was about one of several. */
static bool next_of_sweep(struct ioreq_request *req, struct vpci_dev *vd)
{
    unsigned i;

    if (!req->sweep || !vd || !vd->msix || !vmsix_next_unbound(vd, req->index + 1u, &i))
        return false;
    ioreq_fill_entry(req, vd, i);
    return true;
}

static int finish_locked(struct ioreq_domain *io, struct ioreq_vcpu *iv, uint64_t id,
                         struct vpci_dev *vd, const struct decision *dec)
{
    struct ioreq_request *req = ioreq_head(iv);
    uint64_t result = trap_all_ones(req->size);
    int rc;

    if (!is_current(io, iv, id))
        return -ESTALE;
    rc = act(io, req, vd, dec);
    if (rc && rc != -ENODEV)
        return rc;
    if (record_listens())
        record(iv, req, dec);
    if (dec->what == XENLITE_IOREQ_DONE)
        result = dec->value & trap_all_ones(req->size);
    if (next_of_sweep(req, vd))
        ioreq_again(iv);
    else
        ioreq_end(iv, result);
    return rc;
}

/* What a request is about, for those who have to take other locks first. */
static int look(struct ioreq_domain *io, struct ioreq_vcpu *iv, uint64_t id, struct ioreq_request *out)
{
    int rc = -ESTALE;

    spin_lock(&io->lock);
    if (is_current(io, iv, id)) {
        *out = *ioreq_head(iv);
        rc = 0;
    }
    spin_unlock(&io->lock);
    return rc;
}

/* The function stays while vpci->lock is held, its table while its own is. */
static int finish(struct ioreq_domain *io, struct ioreq_vcpu *iv, const struct ioreq_request *seen,
                  const struct decision *dec)
{
    struct vpci *vpci = domain_vpci(io->domain);
    struct vpci_dev *vd;
    int rc;

    spin_lock(&vpci->lock);
    vd = msi_function(vpci, seen->hw_sbdf);
    /* Attached again, it is another one: without a table in the place of the old one. */
    if (vd && seen->kind == XENLITE_IOREQ_MSIX && (!vd->msix || seen->index >= vd->msix->nr))
        vd = NULL;
    if (vd && seen->kind == XENLITE_IOREQ_MSI && !vd->msi)
        vd = NULL;
    if (vd)
        spin_lock(&vd->lock);
    spin_lock(&io->lock);
    rc = finish_locked(io, iv, seen->id, vd, dec);
    spin_unlock(&io->lock);
    if (vd)
        spin_unlock(&vd->lock);
    spin_unlock(&vpci->lock);
    return rc;
}

/* ---- who decides ---- */

static bool decision_fits(const struct ioreq_request *req, const struct decision *dec)
{
    switch (dec->what) {
    case XENLITE_IOREQ_WRITE:
        return req->kind == XENLITE_IOREQ_CONFIG && !((dec->mask | dec->w1c) & ~trap_all_ones(req->size));
    case XENLITE_IOREQ_BIND:
        return req->kind == XENLITE_IOREQ_MSI || req->kind == XENLITE_IOREQ_MSIX;
    default:
        return dec->what <= XENLITE_IOREQ_DENY;
    }
}

static void count_stale(struct ioreq_domain *io)
{
    spin_lock(&io->lock);
    io->stats.stale++;
    spin_unlock(&io->lock);
}

int ioreq_complete(struct ioreq_domain *io, const struct xenlite_ioreq_complete *c)
{
    struct decision dec = { .what = c->decision,
                            .value = c->value,
                            .mask = c->mask,
                            .w1c = c->w1c,
                            .reason = c->reason };
    struct ioreq_vcpu *iv = vcpu_of(io, c->vcpu);
    struct ioreq_request req;
    int rc;

    if (!iv || c->pad)
        return -EINVAL;
    rc = look(io, iv, c->id, &req);
    if (!rc && !decision_fits(&req, &dec))
        return -EINVAL;
    if (!rc)
        rc = finish(io, iv, &req, &dec);
    if (rc == -ESTALE)
        count_stale(io);
    return rc;
}

/* The server that has this port of iv's. Lock held. */
static struct ioreq_server *server_of(struct ioreq_domain *io, const struct ioreq_vcpu *iv,
                                      uint32_t port)
{
    for (unsigned i = 0; i < IOREQ_MAX_SERVERS; i++) {
        struct ioreq_server *s = io->server[i];

        if (s && (s->port[iv->id] == port || s->buffered_port == port))
            return s;
    }
    return NULL;
}

/* The request that the page of iv's server answers. Lock held. */
static bool take_answer(struct ioreq_domain *io, struct ioreq_vcpu *iv, uint32_t port,
                        struct ioreq_request *req, struct decision *dec)
{
    struct ioreq_server *s = server_of(io, iv, port);

    if (!s)
        return false;
    if (!ioreq_port_bound(io->domain, port)) {
        s->abandoned = true;
        ioreq_withdraw_all(io, s);
        ioreq_present_all(io);
        return false;
    }
    if (!iv->nr || iv->server != s || !ioreq_answered(s, iv, &dec->value))
        return false;
    *req = *ioreq_head(iv);
    return true;
}

void ioreq_port_event(struct vcpu *v, uint32_t port)
{
    struct decision dec = { .what = XENLITE_IOREQ_DONE, .classic = true };
    struct ioreq_vcpu *iv = vcpu_ioreq(v);
    struct ioreq_request req;
    bool answered;

    spin_lock(&iv->io->lock);
    answered = take_answer(iv->io, iv, port, &req, &dec);
    spin_unlock(&iv->io->lock);
    if (answered)
        finish(iv->io, iv, &req, &dec);
}
