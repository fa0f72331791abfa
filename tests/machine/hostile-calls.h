/* SPDX-License-Identifier: MIT */
/*
 * Well-formed hypercalls with fields that are right, nearly right and wrong: one function a call. Included by hostile.c
 * alone, whose generators it uses. build() ends the list.
 */

/* A word of the structure changes now and then, whatever it was. */
static void damage(void *p, size_t n)
{
    if (one_in(12) && n >= 4) {
        uint32_t v = (uint32_t)odd();

        memcpy((uint8_t *)p + below(n / 4) * 4, &v, 4);
    }
}

static void set(struct call *c, uint64_t op, uint64_t cmd, void *p, size_t n)
{
    damage(p, n);
    c->op = op;
    c->arg[0] = cmd;
    c->arg[1] = ptr(p);
}

/* ---- memory ---- */

static unsigned any_order(void)
{
    return one_in(3) ? 9 : one_in(8) ? (unsigned)odd() : (unsigned)below(4);
}

static void build_reservation(struct call *c)
{
    struct xen_memory_reservation *r = room(sizeof(*r));
    static const uint8_t cmds[] = { XENMEM_increase_reservation, XENMEM_decrease_reservation, XENMEM_populate_physmap,
                                    XENMEM_populate_physmap, XENMEM_claim_pages };
    unsigned cmd = cmds[below(ARRAY_SIZE(cmds))];

    memset(r, 0, sizeof(*r));
    r->extent_order = any_order();
    r->nr_extents = one_in(16) ? odd() : below(r->extent_order < 4 ? 200 : 4);
    r->mem_flags = one_in(4) ? (unsigned)odd() : 0;
    r->domid = any_domid();
    set_xen_guest_handle(r->extent_start,
                         gfn_list((unsigned)r->nr_extents, is_self(r->domid) ? any_gfn : guest_gfn, r->extent_order));
    set(c, __HYPERVISOR_memory_op, cmd | (one_in(16) ? below(16) << MEMOP_START_SHIFT : 0), r, sizeof(*r));
}

static void build_physmap(struct call *c)
{
    struct xen_add_to_physmap *a = room(sizeof(*a));

    memset(a, 0, sizeof(*a));
    a->domid = any_domid();
    a->space = (unsigned)index_near(6);
    a->size = (uint16_t)below(64);
    a->idx = a->space == XENMAPSPACE_grant_table ? index_near(70) : is_self(a->domid) ? any_gfn() : guest_gfn();
    if (a->space == XENMAPSPACE_shared_info && !one_in(4))
        a->idx = 0;
    a->gpfn = is_self(a->domid) ? any_gfn() : guest_gfn();
    /* The kernel's grant table and shared page may be mapped twice, but not taken away. */
    set(c, __HYPERVISOR_memory_op, XENMEM_add_to_physmap, a, sizeof(*a));
}

static void build_batch(struct call *c)
{
    struct xen_add_to_physmap_batch *b = room(sizeof(*b));
    int *errs = room(MAX_LIST * sizeof(*errs));

    memset(b, 0, sizeof(*b));
    b->domid = one_in(4) ? any_domid() : DOMID_SELF;
    b->space = one_in(3) ? (uint16_t)index_near(6) : XENMAPSPACE_gmfn_foreign;
    b->size = one_in(20) ? (uint16_t)odd() : (uint16_t)below(64);
    b->u.foreign_domid = any_domid();
    set_xen_guest_handle(b->idxs, gfn_list(b->size, b->space == XENMAPSPACE_gmfn_foreign ? guest_gfn : any_gfn, 0));
    set_xen_guest_handle(b->gpfns, gfn_list(b->size, any_gfn, 0));
    set_xen_guest_handle(b->errs, errs);
    set(c, __HYPERVISOR_memory_op, XENMEM_add_to_physmap_batch, b, sizeof(*b));
}

static void build_remove(struct call *c)
{
    struct xen_remove_from_physmap *r = room(sizeof(*r));

    r->domid = any_domid();
    r->gpfn = is_self(r->domid) ? any_gfn() : guest_gfn();
    set(c, __HYPERVISOR_memory_op, XENMEM_remove_from_physmap, r, sizeof(*r));
}

static void build_acquire(struct call *c)
{
    struct xen_mem_acquire_resource *q = room(sizeof(*q));

    memset(q, 0, sizeof(*q));
    q->domid = any_domid();
    q->type = (uint16_t)(one_in(4) ? index_near(4) : XENMEM_resource_grant_table);
    q->id = one_in(4) ? (uint32_t)odd() : 0;
    q->nr_frames = (uint32_t)index_near(8);
    q->frame = one_in(2) ? 0 : index_near(64);
    if (!one_in(8))
        set_xen_guest_handle(q->frame_list, gfn_list(q->nr_frames, any_gfn, 0));
    set(c, __HYPERVISOR_memory_op, XENMEM_acquire_resource, q, sizeof(*q));
}

static void build_memory_query(struct call *c)
{
    struct xen_foreign_memory_map *m = room(sizeof(*m));
    struct xen_reserved_device_memory_map *d = room(sizeof(*d));
    struct xen_memory_domain *q = room(sizeof(*q));
    void *buffer = room(4096);

    memset(m, 0, sizeof(*m));
    memset(d, 0, sizeof(*d));
    m->domid = any_domid();
    m->map.nr_entries = (unsigned)index_near(150);
    set_xen_guest_handle(m->map.buffer, buffer);
    d->flags = (uint32_t)index_near(2);
    d->nr_entries = (uint32_t)index_near(10);
    d->dev.pci.devfn = (uint8_t)random64();
    set_xen_guest_handle(d->buffer, buffer);
    q->domid = any_domid();
    switch (below(4)) {
    case 0: set(c, __HYPERVISOR_memory_op, XENMEM_set_memory_map, m, sizeof(*m)); break;
    case 1: set(c, __HYPERVISOR_memory_op, XENMEM_memory_map, &m->map, sizeof(m->map)); break;
    case 2: set(c, __HYPERVISOR_memory_op, XENMEM_reserved_device_memory_map, d, sizeof(*d)); break;
    default: set(c, __HYPERVISOR_memory_op, index_near(28) & MEMOP_CMD, q, sizeof(*q)); break;
    }
}

/* ---- event channels ---- */

static uint32_t any_port(void)
{
    if (nr_ports && !one_in(3))
        return own_port[below(nr_ports)];
    return one_in(2) ? (uint32_t)below(4096) : (uint32_t)odd();
}

static void build_evtchn(struct call *c)
{
    union {
        uint32_t w[8];
        struct evtchn_alloc_unbound unbound;
        struct evtchn_bind_interdomain inter;
        struct evtchn_bind_virq virq;
        struct evtchn_bind_ipi ipi;
        struct evtchn_bind_vcpu vcpu;
        struct evtchn_status status;
        struct evtchn_init_control control;
        struct evtchn_expand_array expand;
        struct evtchn_set_priority priority;
        struct evtchn_reset reset;
    } *e = room(sizeof(*e));
    unsigned cmd = one_in(2) ? (unsigned)index_near(14) : one_in(2) ? EVTCHNOP_alloc_unbound : EVTCHNOP_close;

    memset(e, 0, sizeof(*e));
    e->w[0] = any_port(); /* close, send, unmask */
    switch (cmd) {
    case EVTCHNOP_alloc_unbound: e->unbound.dom = any_domid(); e->unbound.remote_dom = any_domid(); break;
    case EVTCHNOP_bind_interdomain: e->inter.remote_dom = any_domid(); e->inter.remote_port = any_port(); break;
    case EVTCHNOP_bind_virq: e->virq.virq = (uint32_t)index_near(24); e->virq.vcpu = (uint32_t)index_near(3); break;
    case EVTCHNOP_bind_ipi: e->ipi.vcpu = (uint32_t)index_near(3); break;
    case EVTCHNOP_bind_vcpu: e->vcpu.vcpu = (uint32_t)index_near(3); break;
    case EVTCHNOP_status: e->status.dom = any_domid(); e->status.port = any_port(); break;
    case EVTCHNOP_init_control:
        e->control.control_gfn = any_gfn();
        e->control.offset = (uint32_t)odd();
        e->control.vcpu = (uint32_t)index_near(3);
        break;
    /* The kernel's table of events must not be continued in our pages. */
    case EVTCHNOP_expand_array: e->expand.array_gfn = 0x7ffffff | odd() << 30; break;
    case EVTCHNOP_set_priority: e->priority.priority = (uint32_t)index_near(17); break;
    case EVTCHNOP_reset: e->reset.dom = any_domid(); break;
    }
    set(c, __HYPERVISOR_event_channel_op, cmd, e, sizeof(*e) / 2);
    c->arg[3] = one_in(8) ? odd() : 0;
}

/* ---- grants ---- */

/*
 * Gives guests entries to map: their first grant frame appears in a hole of ours and is filled with plausible ones.
 */
static void fill_grants(void)
{
    static volatile uint8_t *window;
    struct xen_mem_acquire_resource *q = room(sizeof(*q));
    xen_pfn_t *list = room(sizeof(*list));
    uint64_t gfn = hole_base[1] + NR_HOLES;
    grant_entry_v1_t *e;

    memset(q, 0, sizeof(*q));
    q->domid = guest[below(nr_guests)];
    q->type = XENMEM_resource_grant_table;
    q->nr_frames = 1;
    *list = gfn;
    set_xen_guest_handle(q->frame_list, list);
    if (hypercall(__HYPERVISOR_memory_op, (uint64_t[5]){ XENMEM_acquire_resource, (uintptr_t)q }) != 0)
        return;
    if (!window)
        window = map_phys(gfn * PAGE, PAGE, 0);
    e = (void *)(uintptr_t)window;
    for (unsigned i = 0; e && i < 32; i++)
        e[i] = (grant_entry_v1_t){ .flags = (uint16_t)(one_in(4) ? random64() : one_in(2) ? 1u : 5u),
                                   .domid = one_in(4) ? any_domid() : 0,
                                   .frame = (uint32_t)below(1024) };
}

static void build_grant(struct call *c)
{
    unsigned n = one_in(16) ? (unsigned)odd() : (unsigned)below(8), cmd = (unsigned)index_near(13);
    union {
        struct gnttab_map_grant_ref map;
        struct gnttab_unmap_grant_ref unmap;
        struct gnttab_copy copy;
        struct gnttab_query_size size;
        struct gnttab_set_version version;
        uint8_t bytes[64 * 64];
    } *g = room(sizeof(*g));

    if (one_in(2))
        cmd = one_in(2) ? GNTTABOP_map_grant_ref : one_in(2) ? GNTTABOP_copy : GNTTABOP_unmap_grant_ref;
    if (nr_guests && one_in(4))
        fill_grants();
    memset(g, 0, sizeof(*g));
    for (unsigned i = 0; i < n && i < 8; i++) {
        struct gnttab_map_grant_ref *m = &g->map + i;
        struct gnttab_unmap_grant_ref *u = &g->unmap + i;
        struct gnttab_copy *y = &g->copy + i;

        if (cmd == GNTTABOP_map_grant_ref) {
            m->host_addr = any_gfn() * PAGE + (one_in(8) ? below(4096) : 0);
            m->flags = one_in(4) ? (uint32_t)odd() : GNTMAP_host_map | (one_in(2) ? GNTMAP_readonly : 0);
            m->ref = (uint32_t)index_near(31);
            m->dom = any_domid();
        } else if (cmd == GNTTABOP_unmap_grant_ref) {
            u->handle = nr_handles && !one_in(4) ? own_handle[below(nr_handles)] : (uint32_t)index_near(64);
            u->host_addr = one_in(2) ? 0 : any_gfn() * PAGE;
            u->dev_bus_addr = one_in(4) ? odd() : 0;
        } else if (cmd == GNTTABOP_copy) {
            y->flags = one_in(8) ? (uint16_t)odd() : (uint16_t)below(4);
            y->source.domid = y->flags & GNTCOPY_source_gref ? any_domid() : DOMID_SELF;
            y->dest.domid = y->flags & GNTCOPY_dest_gref ? any_domid() : DOMID_SELF;
            y->source.u.gmfn = y->flags & GNTCOPY_source_gref ? index_near(31) : any_gfn();
            y->dest.u.gmfn = y->flags & GNTCOPY_dest_gref ? index_near(31) : any_gfn();
            y->source.offset = (uint16_t)below(5000);
            y->dest.offset = (uint16_t)below(5000);
            y->len = (uint16_t)below(4200);
        } else {
            g->size.dom = any_domid();
        }
    }
    c->op = __HYPERVISOR_grant_table_op;
    c->arg[0] = cmd;
    c->arg[1] = ptr(g);
    c->arg[2] = n;
}

/* Status of unmapping a handle from each of n pages at once: the one that was right, if any, has been unmapped. */
static void unmap_from(uint32_t handle, uint64_t gfn, unsigned n)
{
    struct gnttab_unmap_grant_ref *u = (void *)arena;

    while (n > 0) {
        unsigned chunk = n < 512 ? n : 512;

        memset(u, 0, chunk * sizeof(*u));
        for (unsigned i = 0; i < chunk; i++, gfn++) {
            u[i].handle = handle;
            u[i].host_addr = gfn * PAGE;
        }
        hypercall(__HYPERVISOR_grant_table_op, (uint64_t[5]){ GNTTABOP_unmap_grant_ref, (uintptr_t)u, chunk });
        n -= chunk;
    }
}

/* A mapping is only given up at the page where it was made: all those that may be it are tried. */
static void unmap_all(void)
{
    struct gnttab_unmap_grant_ref *u = (void *)arena;

    for (uint32_t h = 0; h < 4096; h++) {
        memset(u, 0, sizeof(*u));
        u->handle = h;
        hypercall(__HYPERVISOR_grant_table_op, (uint64_t[5]){ GNTTABOP_unmap_grant_ref, (uintptr_t)u, 1 });
        if (u->status != GNTST_bad_virt_addr)
            continue;
        unmap_from(h, 0, LOW_SAFE);
        unmap_from(h, GFN_VICTIM, NR_VICTIMS);
        for (unsigned i = 0; i < ARRAY_SIZE(hole_base); i++)
            unmap_from(h, hole_base[i], AROUND);
        for (unsigned i = 0; i < ARRAY_SIZE(bad_gfns); i++)
            unmap_from(h, bad_gfns[i] & ~511ull, AROUND);
    }
    nr_handles = 0;
}

#include "hostile-tools.h"

/* ---- the caller itself ---- */

static void build_vcpu(struct call *c)
{
    union {
        uint64_t q[4];
        struct vcpu_register_vcpu_info info;
        struct vcpu_set_singleshot_timer single;
        uint8_t bytes[128];
    } *u = room(sizeof(*u));

    memset(u, 0, sizeof(*u));
    c->op = __HYPERVISOR_vcpu_op;
    c->arg[0] = index_near(14);
    c->arg[1] = index_near(2);
    if (c->arg[0] == VCPUOP_register_vcpu_info) {
        u->info.mfn = any_gfn();
        u->info.offset = (uint32_t)(one_in(2) ? below(512) * 8 : odd());
    } else if (c->arg[0] == VCPUOP_set_singleshot_timer) {
        u->single.timeout_abs_ns = odd();
        u->single.flags = (uint32_t)index_near(2);
    } else if (c->arg[0] == VCPUOP_set_periodic_timer) {
        u->q[0] = one_in(2) ? odd() : 0;
    } else {
        u->q[0] = one_in(8) ? odd() : (uintptr_t)arena + ARG_BYTES - below(CALL_BYTES);
    }
    c->arg[2] = ptr(u);
}

static void build_sched(struct call *c)
{
    union {
        struct sched_poll poll;
        struct sched_remote_shutdown remote;
        struct sched_watchdog watchdog;
        struct sched_shutdown shutdown;
    } *s = room(sizeof(*s));
    evtchn_port_t *ports = room(200 * sizeof(*ports));

    memset(s, 0, sizeof(*s));
    for (unsigned i = 0; i < 200; i++)
        ports[i] = any_port();
    c->arg[0] = index_near(7);
    if (c->arg[0] == SCHEDOP_poll) {
        set_xen_guest_handle(s->poll.ports, ports);
        s->poll.nr_ports = (unsigned)index_near(130);
        s->poll.timeout = one_in(2) ? 1 + below(1000) : time_now() + below(2000000);
    } else if (c->arg[0] == SCHEDOP_remote_shutdown) {
        s->remote.domain_id = any_domid();
        s->remote.reason = (unsigned)index_near(6);
    } else if (c->arg[0] == SCHEDOP_watchdog) {
        s->watchdog.id = (uint32_t)index_near(3);
    } else {
        s->shutdown.reason = SHUTDOWN_MAX + 1 + (unsigned)below(100);
    }
    c->op = __HYPERVISOR_sched_op;
    c->arg[1] = ptr(s);
}

static void build_hvm(struct call *c)
{
    struct xen_hvm_param *p = room(sizeof(*p));

    memset(p, 0, sizeof(*p));
    p->domid = any_domid();
    p->index = (uint32_t)index_near(HVM_NR_PARAMS + 2);
    p->value = odd();
    set(c, __HYPERVISOR_hvm_op, one_in(2) ? below(2) : index_near(26), p, sizeof(*p));
}

static void build_small(struct call *c)
{
    void *buf = room(2048);

    switch (below(4)) {
    case 0:
        c->op = __HYPERVISOR_xen_version;
        c->arg[0] = index_near(12);
        c->arg[1] = ptr(buf);
        break;
    case 1:
        c->op = __HYPERVISOR_vm_assist;
        c->arg[0] = index_near(3);
        c->arg[1] = index_near(6);
        break;
    case 2:
        c->op = __HYPERVISOR_set_timer_op;
        c->arg[0] = odd();
        break;
    default:
        memset(buf, '.', 128);
        c->op = __HYPERVISOR_console_io;
        c->arg[0] = one_in(30) ? 0 : index_near(2) | 1;
        c->arg[1] = index_near(4);
        c->arg[2] = ptr(buf);
        break;
    }
}

static void build(struct call *c);

/* Two entries that wait: a timer that is set, and the wait that it ends. */
static void make_wait(multicall_entry_t *e)
{
    memset(e, 0, 2 * sizeof(*e));
    e[0].op = __HYPERVISOR_set_timer_op;
    e[0].args[0] = time_now() + below(2000000);
    e[1].op = __HYPERVISOR_sched_op;
    e[1].args[0] = one_in(4) ? SCHEDOP_yield : SCHEDOP_block;
}

static void build_multicall(struct call *c)
{
    unsigned n = one_in(8) ? 100 : (unsigned)below(6);
    multicall_entry_t *e = room(100 * sizeof(*e));

    for (unsigned i = 0; i < n; i++) {
        struct call sub = { 0 };

        /* What does not fit into this call's piece of memory is made of the first entries again. */
        if (i < 4)
            build(&sub);
        else
            sub = (struct call){ e[i % 4].op, { 0 } };
        memset(&e[i], 0, sizeof(e[i]));
        e[i].op = sub.op;
        memcpy((void *)e[i].args, i < 4 ? sub.arg : (void *)e[i % 4].args, sizeof(sub.arg));
    }
    if (n >= 2 && one_in(3))
        make_wait(&e[below(n - 1)]);
    c->op = __HYPERVISOR_multicall;
    c->arg[0] = ptr(e);
    c->arg[1] = one_in(16) ? odd() : n;
}

static void learn_guests(void)
{
    struct xen_sysctl *s = room(sizeof(*s));
    xen_domctl_getdomaininfo_t *info = room(MAX_GUESTS * 2 * sizeof(*info));

    memset(s, 0, sizeof(*s));
    s->cmd = XEN_SYSCTL_getdomaininfolist;
    s->interface_version = XEN_SYSCTL_INTERFACE_VERSION;
    s->u.getdomaininfolist.first_domain = 1;
    s->u.getdomaininfolist.max_domains = MAX_GUESTS * 2;
    set_xen_guest_handle(s->u.getdomaininfolist.buffer, info);
    nr_guests = 0;
    if (hypercall(__HYPERVISOR_sysctl, (uint64_t[5]){ (uintptr_t)s }) == 0)
        for (unsigned i = 0; i < s->u.getdomaininfolist.num_domains && nr_guests < MAX_GUESTS; i++)
            guest[nr_guests++] = info[i].domain;
}

static void build(struct call *c)
{
    static void (*const builders[])(struct call *) = {
        build_reservation, build_reservation, build_reservation, build_physmap, build_batch, build_batch,
        build_remove, build_acquire, build_memory_query, build_evtchn, build_evtchn, build_grant, build_grant,
        build_domctl, build_domctl, build_domctl, build_sysctl, build_platform, build_physdev, build_vcpu,
        build_sched, build_hvm, build_small, build_multicall,
    };
    static unsigned depth;
    unsigned pick = (unsigned)below(ARRAY_SIZE(builders) - (depth ? 1 : 0));

    if (one_in(32))
        learn_guests();
    depth++;
    builders[pick](c);
    depth--;
}
