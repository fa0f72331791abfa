/* SPDX-License-Identifier: MIT */
/*
 * Which hypercalls hostile.c does not make, and why: one table. A predicate looks at the arguments, so that the same calls
 * are made with others. Included by hostile.c alone.
 */

struct call {
    uint64_t op;
    uint64_t arg[5];
};

static int in_arena(uint64_t p, size_t n)
{
    return p >= (uintptr_t)arena && p <= (uintptr_t)arena + ARENA_SIZE - n;
}

/* The structure behind a pointer that can be read; NULL: the call will fail by itself. */
static const void *readable(uint64_t p, size_t n)
{
    uint64_t in_mmio = p - (uintptr_t)mmio_page;

    /* The page of the local APIC may have been given RAM. */
    if (in_mmio < PAGE && n <= PAGE - in_mmio)
        return (const void *)(uintptr_t)p;
    return in_arena(p, n) ? (const void *)(uintptr_t)p : NULL;
}

static int lies_in(uint64_t gfn, uint64_t n, uint64_t first, uint64_t nr)
{
    return gfn >= first && n <= nr && gfn - first <= nr - n;
}

/* The kernel's RAM, and places that clearing up would not find again. What the p2m cannot hold may be tried. */
static int kernels(uint64_t gfn, uint64_t n)
{
    if (n == 0 || gfn > P2M_LAST_GFN)
        return 0;
    for (unsigned i = 0; i < ARRAY_SIZE(bad_gfns); i++)
        if (lies_in(gfn, n, bad_gfns[i] & ~511ull, AROUND))
            return 0;
    return !lies_in(gfn, n, 0, LOW_SAFE) && !lies_in(gfn, n, GFN_VICTIM, NR_VICTIMS) &&
           !lies_in(gfn, n, hole_base[0], AROUND) && !lies_in(gfn, n, hole_base[1], AROUND);
}

static int list_has_kernels(uint64_t list, uint64_t n, unsigned order)
{
    for (uint64_t i = 0; i < n && in_arena(list + i * 8, 8); i++)
        if (kernels(((const xen_pfn_t *)(uintptr_t)list)[i], order < 30 ? 1ull << order : ~0ull))
            return 1;
    return 0;
}

static int is_self(uint16_t domid)
{
    return domid == DOMID_SELF || domid == 0;
}

static int ends_machine(const struct call *c)
{
    const struct sched_shutdown *s = readable(c->arg[1], sizeof(*s));

    if ((uint32_t)c->arg[0] != SCHEDOP_shutdown)
        return 0;
    /* What stands in the kernel's text cannot be seen from here; zeros would be a reason. */
    return s ? s->reason <= SHUTDOWN_MAX : c->arg[1] - kernel_text < 2 * PAGE;
}

static int arms_watchdog(const struct call *c)
{
    const struct sched_watchdog *w = readable(c->arg[1], sizeof(*w));

    return (uint32_t)c->arg[0] == SCHEDOP_watchdog && w && w->timeout;
}

/* System time: what time-outs are compared with. */
static uint64_t time_now(void)
{
    struct { uint64_t now; } *t = (void *)(arena + CALL_BYTES * (ARG_BYTES / CALL_BYTES - 1)); /* no call's piece */

    t->now = 0;
    hypercall(__HYPERVISOR_hvm_op, (uint64_t[5]){ HVMOP_get_time, (uintptr_t)t });
    return t->now;
}

static int is_soon(uint64_t ns)
{
    return ns && ns < time_now() + SOON_NS;
}

static int polls_for_ever(const struct call *c)
{
    const struct sched_poll *p = readable(c->arg[1], sizeof(*p));

    return (uint32_t)c->arg[0] == SCHEDOP_poll && p && !is_soon(p->timeout);
}

static int stops_vcpu(const struct call *c)
{
    return (uint32_t)c->arg[0] == VCPUOP_down && (uint32_t)c->arg[1] < 64;
}

static int sends_nmi(const struct call *c)
{
    return (uint32_t)c->arg[0] == VCPUOP_send_nmi && (uint32_t)c->arg[1] < 64 && !c->arg[2];
}

static int triggers_nmi(const struct call *c)
{
    const struct xen_domctl *d = readable(c->arg[0], sizeof(*d));

    return d && d->cmd == XEN_DOMCTL_sendtrigger && is_self(d->domain);
}

static int takes_kernels_port(const struct call *c)
{
    const struct evtchn_close *e = readable(c->arg[1], sizeof(*e)); /* and evtchn_unmask */
    const struct evtchn_reset *r = (const void *)e;

    if (!e)
        return 0;
    /* Linux keeps ports masked that it polls (spin locks), and has a BUG() behind them. */
    if ((uint32_t)c->arg[0] == EVTCHNOP_close || (uint32_t)c->arg[0] == EVTCHNOP_unmask)
        return e->port < 32768 && (kernel_port[e->port / 8] >> e->port % 8 & 1);
    return (uint32_t)c->arg[0] == EVTCHNOP_reset && is_self(r->dom);
}

static int moves_upcall(const struct call *c)
{
    const struct xen_hvm_param *p = readable(c->arg[1], sizeof(*p));
    const struct xen_hvm_evtchn_upcall_vector *u = (const void *)p;

    if (!p)
        return 0;
    if ((uint32_t)c->arg[0] == HVMOP_set_param)
        return p->index == HVM_PARAM_CALLBACK_IRQ && is_self(p->domid);
    return (uint32_t)c->arg[0] == HVMOP_set_evtchn_upcall_vector && u->vcpu < 64;
}

static int takes_kernels_memory(const struct call *c)
{
    unsigned cmd = c->arg[0] & MEMOP_CMD;
    const struct xen_memory_reservation *r = readable(c->arg[1], sizeof(*r));
    const struct xen_add_to_physmap *a = (const void *)r;
    const struct xen_remove_from_physmap *m = (const void *)r;
    const struct xen_add_to_physmap_batch *b = (const void *)r;
    const struct xen_mem_acquire_resource *q = (const void *)r;

    if (!r)
        return 0;
    switch (cmd) {
    case XENMEM_decrease_reservation:
    case XENMEM_populate_physmap:
        return is_self(r->domid) && list_has_kernels((uintptr_t)r->extent_start.p, r->nr_extents, r->extent_order);
    case XENMEM_add_to_physmap:
        if (!is_self(a->domid))
            return 0;
        return kernels(a->gpfn, a->space == XENMAPSPACE_gmfn_range ? a->size : 1) ||
               ((a->space == XENMAPSPACE_gmfn || a->space == XENMAPSPACE_gmfn_range) &&
                kernels(a->idx, a->space == XENMAPSPACE_gmfn_range ? a->size : 1));
    case XENMEM_add_to_physmap_batch:
        return is_self(b->domid) && (list_has_kernels((uintptr_t)b->gpfns.p, b->size, 0) ||
                                     (b->space == XENMAPSPACE_gmfn &&
                                      list_has_kernels((uintptr_t)b->idxs.p, b->size, 0)));
    case XENMEM_remove_from_physmap:
        return is_self(m->domid) && kernels(m->gpfn, 1);
    case XENMEM_acquire_resource:
        return list_has_kernels((uintptr_t)q->frame_list.p, q->nr_frames, 0);
    default:
        return 0;
    }
}

static int maps_over_kernel(const struct call *c)
{
    uint32_t cmd = (uint32_t)c->arg[0];

    for (uint32_t i = 0; i < (uint32_t)c->arg[2] && i < MAX_LIST; i++) {
        const struct gnttab_map_grant_ref *m = readable(c->arg[1] + i * sizeof(*m), sizeof(*m));
        const struct gnttab_copy *y = readable(c->arg[1] + i * sizeof(*y), sizeof(*y));

        if (cmd == GNTTABOP_map_grant_ref && m && kernels(m->host_addr / PAGE, 1))
            return 1;
        if (cmd == GNTTABOP_copy && y && is_self(y->dest.domid) && !(y->flags & GNTCOPY_dest_gref) &&
            kernels(y->dest.u.gmfn, 1))
            return 1;
    }
    return 0;
}

static int floods_console(const struct call *c)
{
    return (uint32_t)c->arg[0] == 0 && (uint32_t)c->arg[1] > 128 && (uint32_t)c->arg[1] <= INT32_MAX;
}

static int presses_C(const struct call *c)
{
    const struct xen_sysctl *s = readable(c->arg[0], sizeof(*s));

    if (!s || s->cmd != XEN_SYSCTL_debug_keys || s->u.debug_keys.nr_keys > 64)
        return 0;
    if (!in_arena((uintptr_t)s->u.debug_keys.keys.p, 64))
        return 1;
    return memchr(s->u.debug_keys.keys.p, 'C', s->u.debug_keys.nr_keys) != NULL;
}

/* The device that is there for us, on bus 0; -1 if it is not. */
static int find_edu(void)
{
    char path[64];
    unsigned id;

    for (int devfn = 0; devfn < 256; devfn++) {
        FILE *f;
        int n;

        snprintf(path, sizeof(path), "/sys/bus/pci/devices/0000:00:%02x.%d/device", devfn >> 3, devfn & 7);
        f = fopen(path, "r");
        if (!f)
            continue;
        n = fscanf(f, "%x", &id);
        fclose(f);
        if (n == 1 && id == 0x11e8)
            return devfn;
    }
    return -1;
}

/* Devices that the kernel uses: all on bus 0 but one. */
static int takes_device(const struct call *c)
{
    const struct physdev_pci_device *d = readable(c->arg[1], sizeof(*d));
    const struct physdev_manage_pci *m = (const void *)d;

    if (!d)
        return 0;
    if ((uint32_t)c->arg[0] == PHYSDEVOP_pci_device_remove)
        return d->seg == 0 && d->bus == 0 && d->devfn != edu;
    return (uint32_t)c->arg[0] == PHYSDEVOP_manage_pci_remove && m->bus == 0 && m->devfn != edu;
}

static const struct {
    uint64_t op;
    int (*is)(const struct call *c);
    const char *why;
} left_out[] = {
    { __HYPERVISOR_sched_op, ends_machine, "ends the machine, as it should" },
    { __HYPERVISOR_sched_op, arms_watchdog, "ends the machine, as it should" },
    { __HYPERVISOR_sched_op, polls_for_ever, "waits for events that the kernel's vCPU may not get" },
    { __HYPERVISOR_vcpu_op, stops_vcpu, "stops the kernel's vCPU" },
    { __HYPERVISOR_vcpu_op, sends_nmi, "the kernel looks for an NMI's source for seconds" },
    { __HYPERVISOR_domctl, triggers_nmi, "the same" },
    { __HYPERVISOR_event_channel_op, takes_kernels_port, "the kernel's own ports" },
    { __HYPERVISOR_hvm_op, moves_upcall, "the kernel would get its events elsewhere" },
    { __HYPERVISOR_memory_op, takes_kernels_memory, "memory that the kernel uses" },
    { __HYPERVISOR_grant_table_op, maps_over_kernel, "memory that the kernel uses" },
    { __HYPERVISOR_console_io, floods_console, "a serial line is slow" },
    { __HYPERVISOR_sysctl, presses_C, "asks for a panic" },
    { __HYPERVISOR_physdev_op, takes_device, "devices that the kernel uses" },
};

/* Waits until somebody wakes the vCPU; another entry may have stopped the timer that would, unless it was set just before. */
static int blocks_for_ever(const struct call *c, const multicall_entry_t *before)
{
    return c->op == __HYPERVISOR_sched_op && (uint32_t)c->arg[0] == SCHEDOP_block &&
           !(before && before->op == __HYPERVISOR_set_timer_op && is_soon(before->args[0]));
}

static int is_left_out(const struct call *c)
{
    const multicall_entry_t *e;

    for (size_t i = 0; i < ARRAY_SIZE(left_out); i++)
        if (c->op == left_out[i].op && left_out[i].is(c))
            return 1;
    for (uint32_t i = 0; c->op == __HYPERVISOR_multicall && i < (uint32_t)c->arg[1]; i++) {
        struct call sub;

        e = readable(c->arg[0] + i * sizeof(*e), sizeof(*e));
        if (!e)
            break;
        sub.op = e->op;
        memcpy(sub.arg, (const void *)e->args, sizeof(sub.arg));
        if (sub.op != __HYPERVISOR_multicall && is_left_out(&sub))
            return 1;
        if (blocks_for_ever(&sub, i ? e - 1 : NULL))
            return 1;
    }
    return 0;
}
