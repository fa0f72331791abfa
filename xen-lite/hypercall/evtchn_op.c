/* SPDX-License-Identifier: MIT */
/*
 * event_channel_op: what guests may do with ports. Arguments are copied in, checked, acted on under
 * the table lock of the domains concerned, and copied out.
 */
#include "hypercall/evtchn.h"

#include "cpu/guest_mem.h"
#include "domain/domain.h"
#include "hypercall/handlers.h"
#include "hypercall/hypercall.h"
#include "lib/errno.h"

/* An interdomain close needs both locks; how often the other end may change before we give up. */
#define CLOSE_TRIES 64
/* Ports that one call of EVTCHNOP_reset looks at before it restarts. */
#define RESET_CHUNK 1024u

static int alloc_unbound(struct vcpu *v, struct evtchn_alloc_unbound *arg)
{
    domid_t remote = arg->remote_dom == DOMID_SELF ? v->domain->domid : arg->remote_dom;
    struct evtchn_port *chn;
    struct domain *d;
    int rc;

    d = hypercall_target(v, arg->dom, &rc);
    if (!d)
        return rc;
    spin_lock(&d->evtchn.lock);
    rc = evtchn_port_alloc(d);
    if (rc > 0) {
        arg->port = (evtchn_port_t)rc;
        chn = evtchn_port_open(&d->evtchn, arg->port, ECS_UNBOUND);
        chn->u.remote.dom = remote;
        rc = 0;
    }
    spin_unlock(&d->evtchn.lock);
    domain_put(d);
    return rc;
}

static int bind_interdomain_locked(struct domain *ld, struct domain *rd,
                                   struct evtchn_bind_interdomain *arg)
{
    struct evtchn_port *rchn = evtchn_port_get(&rd->evtchn, arg->remote_port);
    struct evtchn_port *lchn;
    int port;

    if (!rchn || rchn->state != ECS_UNBOUND || rchn->u.remote.dom != ld->domid || rd->evtchn.dying)
        return -EINVAL;
    port = evtchn_port_alloc(ld);
    if (port < 0)
        return port;
    arg->local_port = (evtchn_port_t)port;
    lchn = evtchn_port_open(&ld->evtchn, arg->local_port, ECS_INTERDOMAIN);
    lchn->u.remote.dom = rd->domid;
    lchn->u.remote.port = arg->remote_port;
    rchn->state = ECS_INTERDOMAIN;
    rchn->u.remote.port = arg->local_port;
    /* The other end may have sent while nobody was bound: the first look is on the house. */
    evtchn_set_pending(ld, lchn, arg->local_port);
    return 0;
}

static int bind_interdomain(struct vcpu *v, struct evtchn_bind_interdomain *arg)
{
    struct domain *rd = domain_get_by_id_or_self(v, arg->remote_dom);
    int rc;

    if (!rd)
        return -ESRCH;
    evtchn_lock_two(v->domain, rd);
    rc = bind_interdomain_locked(v->domain, rd, arg);
    evtchn_unlock_two(v->domain, rd);
    domain_put(rd);
    return rc;
}

/* Kinds that every vCPU has of its own; all others exist once a domain. */
static bool virq_is_per_vcpu(uint32_t virq)
{
    return virq == VIRQ_TIMER || virq == VIRQ_DEBUG || virq == VIRQ_XENOPROF || virq == VIRQ_XENPMU;
}

static int bind_virq(struct domain *d, struct evtchn_bind_virq *arg)
{
    struct evtchn_table *t = &d->evtchn;
    struct vcpu *v;
    int rc;

    if (arg->virq >= NR_VIRQS)
        return -EINVAL;
    if (!virq_is_per_vcpu(arg->virq) && arg->vcpu != 0)
        return -EINVAL;
    if (arg->vcpu >= d->max_vcpus || !d->vcpu[arg->vcpu])
        return -ENOENT;
    v = d->vcpu[arg->vcpu];

    spin_lock(&t->lock);
    rc = v->evt.virq_port[arg->virq] ? -EEXIST : evtchn_port_alloc(d);
    if (rc > 0) {
        struct evtchn_port *chn;

        arg->port = (evtchn_port_t)rc;
        chn = evtchn_port_open(t, arg->port, ECS_VIRQ);
        chn->vcpu = (uint16_t)arg->vcpu;
        chn->u.virq = arg->virq;
        v->evt.virq_port[arg->virq] = arg->port;
        rc = 0;
    }
    spin_unlock(&t->lock);
    return rc;
}

static int bind_ipi(struct domain *d, struct evtchn_bind_ipi *arg)
{
    int rc;

    if (arg->vcpu >= d->max_vcpus || !d->vcpu[arg->vcpu])
        return -ENOENT;
    spin_lock(&d->evtchn.lock);
    rc = evtchn_port_alloc(d);
    if (rc > 0) {
        arg->port = (evtchn_port_t)rc;
        evtchn_port_open(&d->evtchn, arg->port, ECS_IPI)->vcpu = (uint16_t)arg->vcpu;
        rc = 0;
    }
    spin_unlock(&d->evtchn.lock);
    return rc;
}

/*
 * The vCPU that keeps the number of a VIRQ's port; a global one may be delivered to another by now.
 */
static void forget_virq(struct domain *d, evtchn_port_t port, uint32_t virq)
{
    struct vcpu *v;

    for_each_vcpu (d, v)
        if (v->evt.virq_port[virq] == port)
            v->evt.virq_port[virq] = 0;
}

/* Who has to be told, when the locks are released, that the other end was closed. */
struct told {
    evtchn_hv_fn fn;
    struct vcpu *v;
    evtchn_port_t port;
};

/*
 * Closes with the locks that are held; rd is the locked other domain, or NULL. -EAGAIN: the port
 * has an end in another domain, *peer, whose lock is needed as well.
 */
static int close_locked(struct domain *d, evtchn_port_t port, bool guest, struct domain *rd,
                        domid_t *peer, struct told *told)
{
    struct evtchn_port *chn = evtchn_port_get(&d->evtchn, port);
    struct evtchn_port *rchn;

    if (!chn || (guest && chn->hv_fn))
        return -EINVAL;
    if (chn->state == ECS_INTERDOMAIN) {
        if (!rd || rd->domid != chn->u.remote.dom) {
            *peer = chn->u.remote.dom;
            return -EAGAIN;
        }
        rchn = evtchn_port_get(&rd->evtchn, chn->u.remote.port);
        /* An id may have been given to a new domain: its ports never name ours. */
        if (rchn && rchn->state == ECS_INTERDOMAIN && rchn->u.remote.dom == d->domid &&
            rchn->u.remote.port == port) {
            *told = (struct told){ rchn->hv_fn, rd->vcpu[rchn->vcpu], chn->u.remote.port };
            rchn->state = ECS_UNBOUND;
            rchn->u.remote.port = 0;
        }
    } else if (chn->state == ECS_VIRQ) {
        forget_virq(d, port, chn->u.virq);
    }
    evtchn_port_free(d, port);
    return 0;
}

int evtchn_close(struct domain *d, evtchn_port_t port, bool guest)
{
    domid_t peer = d->domid, tried;
    struct told told = { NULL, NULL, 0 };
    int rc = -EAGAIN;

    /* The first try assumes that both ends are in d: that is the lock every close needs. */
    for (unsigned i = 0; i < CLOSE_TRIES && rc == -EAGAIN; i++) {
        struct domain *rd = peer == d->domid ? NULL : domain_get_by_id(peer);

        tried = peer;
        evtchn_lock_two(d, rd ? rd : d);
        rc = close_locked(d, port, guest, tried == d->domid ? d : rd, &peer, &told);
        if (rc == -EAGAIN && !rd && peer == tried) {
            /* Its domain has gone and took the other end along. */
            evtchn_port_free(d, port);
            rc = 0;
        }
        evtchn_unlock_two(d, rd ? rd : d);
        if (told.fn)
            told.fn(told.v, told.port); /* rd's vCPUs stay while its reference is held */
        told.fn = NULL;
        if (rd)
            domain_put(rd);
    }
    return rc == -EAGAIN ? -EBUSY : rc;
}

void evtchn_deliver_remote(struct domain *ld, evtchn_port_t lport, domid_t rdom,
                           evtchn_port_t rport)
{
    struct domain *rd = domain_get_by_id(rdom);
    struct evtchn_port *chn;
    evtchn_hv_fn fn = NULL;
    struct vcpu *consumer = NULL;

    if (!rd)
        return;
    spin_lock(&rd->evtchn.lock);
    chn = evtchn_port_get(&rd->evtchn, rport);
    if (chn && chn->state == ECS_INTERDOMAIN && chn->u.remote.dom == ld->domid &&
        chn->u.remote.port == lport) {
        fn = chn->hv_fn;
        consumer = rd->vcpu[chn->vcpu];
        if (!fn)
            evtchn_set_pending(rd, chn, rport);
    }
    spin_unlock(&rd->evtchn.lock);
    if (fn)
        fn(consumer, rport);
    domain_put(rd);
}

static int send_port(struct domain *d, evtchn_port_t port)
{
    struct evtchn_port *chn;
    domid_t rdom = DOMID_INVALID;
    evtchn_port_t rport = 0;
    int rc = 0;

    spin_lock(&d->evtchn.lock);
    chn = evtchn_port_get(&d->evtchn, port);
    if (!chn || chn->hv_fn) {
        rc = -EINVAL;
    } else if (chn->state == ECS_INTERDOMAIN) {
        rdom = chn->u.remote.dom;
        rport = chn->u.remote.port;
    } else if (chn->state == ECS_IPI) {
        evtchn_set_pending(d, chn, port);
    } else if (chn->state != ECS_UNBOUND) {
        rc = -EINVAL;
    }
    spin_unlock(&d->evtchn.lock);
    if (rport)
        evtchn_deliver_remote(d, port, rdom, rport);
    return rc;
}

static void fill_status(const struct evtchn_port *chn, struct evtchn_status *st)
{
    st->vcpu = chn->vcpu;
    switch (chn->state) {
    case ECS_UNBOUND:
        st->status = EVTCHNSTAT_unbound;
        st->u.unbound.dom = chn->u.remote.dom;
        break;
    case ECS_INTERDOMAIN:
        st->status = EVTCHNSTAT_interdomain;
        st->u.interdomain.dom = chn->u.remote.dom;
        st->u.interdomain.port = chn->u.remote.port;
        break;
    case ECS_VIRQ:
        st->status = EVTCHNSTAT_virq;
        st->u.virq = chn->u.virq;
        break;
    default:
        st->status = EVTCHNSTAT_ipi;
        break;
    }
}

static int port_status(struct vcpu *v, struct evtchn_status *arg)
{
    struct evtchn_status st = { .dom = arg->dom, .port = arg->port };
    struct evtchn_port *chn;
    struct domain *d;
    int rc;

    d = hypercall_target(v, arg->dom, &rc);
    if (!d)
        return rc;
    spin_lock(&d->evtchn.lock);
    chn = evtchn_port_get(&d->evtchn, arg->port);
    if (chn)
        fill_status(chn, &st);
    else if (arg->port < d->evtchn.nr_ports)
        st.status =
            EVTCHNSTAT_closed; /* port 0 too: tools begin there and stop at the first error */
    else
        rc = -EINVAL;
    spin_unlock(&d->evtchn.lock);
    domain_put(d);
    *arg = st;
    return rc;
}

static int bind_vcpu(struct domain *d, const struct evtchn_bind_vcpu *arg)
{
    struct evtchn_port *chn;
    int rc = 0;

    if (arg->vcpu >= d->max_vcpus || !d->vcpu[arg->vcpu])
        return -ENOENT;
    spin_lock(&d->evtchn.lock);
    chn = evtchn_port_get(&d->evtchn, arg->port);
    if (!chn || chn->hv_fn || chn->state == ECS_IPI ||
        (chn->state == ECS_VIRQ && virq_is_per_vcpu(chn->u.virq)))
        rc = -EINVAL;
    else
        chn->vcpu = (uint16_t)arg->vcpu;
    spin_unlock(&d->evtchn.lock);
    return rc;
}

static int unmask_port(struct domain *d, const struct evtchn_unmask *arg)
{
    struct evtchn_port *chn;
    int rc = 0;

    spin_lock(&d->evtchn.lock);
    chn = evtchn_port_get(&d->evtchn, arg->port);
    if (!chn || chn->hv_fn)
        rc = -EINVAL;
    else
        evtchn_unmask(d, chn, arg->port);
    spin_unlock(&d->evtchn.lock);
    return rc;
}

static int set_priority(struct domain *d, const struct evtchn_set_priority *arg)
{
    struct evtchn_port *chn;
    int rc = 0;

    if (arg->priority > EVTCHN_FIFO_PRIORITY_MIN)
        return -EINVAL;
    spin_lock(&d->evtchn.lock);
    chn = evtchn_port_get(&d->evtchn, arg->port);
    if (!d->evtchn.fifo)
        rc = -ENOSYS;
    else if (!chn || chn->hv_fn)
        rc = -EINVAL;
    else
        chn->priority = (uint8_t)arg->priority;
    spin_unlock(&d->evtchn.lock);
    return rc;
}

/*
 * Closes every port of the guest and goes back to the two-level ABI. Progress is in the fourth
 * argument, which the interface leaves unused; a forged value only makes the guest skip ports of
 * its own.
 */
static long reset_ports(struct vcpu *v, domid_t dom, uint64_t from)
{
    struct domain *d;
    uint64_t port;
    int rc;

    d = hypercall_target(v, dom, &rc);
    if (!d)
        return rc;
    if (d != v->domain && !__atomic_load_n(&d->pause_count, __ATOMIC_SEQ_CST)) {
        domain_put(d);
        return -EINVAL;
    }
    for (port = MAX(from, (uint64_t)1); port < READ_ONCE(d->evtchn.nr_ports); port++) {
        if (port >= from + RESET_CHUNK) {
            domain_put(d);
            hypercall_set_arg(v, 4, port);
            return HYPERCALL_RESTART;
        }
        evtchn_close(d, (evtchn_port_t)port, true);
    }
    spin_lock(&d->evtchn.lock);
    if (d->evtchn.fifo)
        evtchn_fifo_destroy(d);
    spin_unlock(&d->evtchn.lock);
    domain_put(d);
    return 0;
}

union evtchn_arg {
    struct evtchn_alloc_unbound alloc_unbound;
    struct evtchn_bind_interdomain bind_interdomain;
    struct evtchn_bind_virq bind_virq;
    struct evtchn_bind_pirq bind_pirq;
    struct evtchn_bind_ipi bind_ipi;
    struct evtchn_close close;
    struct evtchn_send send;
    struct evtchn_status status;
    struct evtchn_bind_vcpu bind_vcpu;
    struct evtchn_unmask unmask;
    struct evtchn_reset reset;
    struct evtchn_init_control init_control;
    struct evtchn_expand_array expand_array;
    struct evtchn_set_priority set_priority;
};

/* Size of each operation's argument and whether it carries results. */
static const struct {
    uint8_t size;
    bool out;
} op_arg[] = {
    [EVTCHNOP_bind_interdomain] = { sizeof(struct evtchn_bind_interdomain), true },
    [EVTCHNOP_bind_virq] = { sizeof(struct evtchn_bind_virq), true },
    [EVTCHNOP_bind_pirq] = { sizeof(struct evtchn_bind_pirq), true },
    [EVTCHNOP_close] = { sizeof(struct evtchn_close), false },
    [EVTCHNOP_send] = { sizeof(struct evtchn_send), false },
    [EVTCHNOP_status] = { sizeof(struct evtchn_status), true },
    [EVTCHNOP_alloc_unbound] = { sizeof(struct evtchn_alloc_unbound), true },
    [EVTCHNOP_bind_ipi] = { sizeof(struct evtchn_bind_ipi), true },
    [EVTCHNOP_bind_vcpu] = { sizeof(struct evtchn_bind_vcpu), false },
    [EVTCHNOP_unmask] = { sizeof(struct evtchn_unmask), false },
    [EVTCHNOP_reset] = { sizeof(struct evtchn_reset), false },
    [EVTCHNOP_init_control] = { sizeof(struct evtchn_init_control), true },
    [EVTCHNOP_expand_array] = { sizeof(struct evtchn_expand_array), false },
    [EVTCHNOP_set_priority] = { sizeof(struct evtchn_set_priority), false },
};

static long dispatch(struct vcpu *v, uint64_t cmd, union evtchn_arg *arg, uint64_t progress)
{
    struct domain *d = v->domain;

    switch (cmd) {
    case EVTCHNOP_send:
        return send_port(d, arg->send.port);
    case EVTCHNOP_unmask:
        return unmask_port(d, &arg->unmask);
    case EVTCHNOP_bind_interdomain:
        return bind_interdomain(v, &arg->bind_interdomain);
    case EVTCHNOP_bind_virq:
        return bind_virq(d, &arg->bind_virq);
    case EVTCHNOP_bind_pirq:
        return -EINVAL; /* there are no physical interrupts to bind: no number is valid */
    case EVTCHNOP_close:
        return evtchn_close(d, arg->close.port, true);
    case EVTCHNOP_status:
        return port_status(v, &arg->status);
    case EVTCHNOP_alloc_unbound:
        return alloc_unbound(v, &arg->alloc_unbound);
    case EVTCHNOP_bind_ipi:
        return bind_ipi(d, &arg->bind_ipi);
    case EVTCHNOP_bind_vcpu:
        return bind_vcpu(d, &arg->bind_vcpu);
    case EVTCHNOP_reset:
        return reset_ports(v, arg->reset.dom, progress);
    case EVTCHNOP_init_control:
        return evtchn_fifo_init_control(d, &arg->init_control);
    case EVTCHNOP_expand_array:
        return evtchn_fifo_expand_array(d, &arg->expand_array);
    case EVTCHNOP_set_priority:
        return set_priority(d, &arg->set_priority);
    default:
        return -ENOSYS;
    }
}

long do_event_channel_op(struct vcpu *v, uint64_t cmd, uint64_t argp, uint64_t a3, uint64_t a4,
                         uint64_t a5)
{
    union evtchn_arg arg;
    long rc;

    (void)a3;
    (void)a5;
    cmd = (uint32_t)cmd;
    if (cmd >= ARRAY_SIZE(op_arg))
        return -ENOSYS;
    if (copy_from_guest(v, &arg, argp, op_arg[cmd].size))
        return -EFAULT;
    rc = dispatch(v, cmd, &arg, cmd == EVTCHNOP_reset ? a4 : 0);
    if (rc == 0 && op_arg[cmd].out && copy_to_guest(v, argp, &arg, op_arg[cmd].size))
        return -EFAULT;
    return rc;
}
