/* SPDX-License-Identifier: MIT */
/*
 * Well-formed calls of the toolstack's kind, about domains and the machine. Included by hostile-calls.h alone.
 */

/* ---- domains ---- */

static void domctl_begin(struct xen_domctl *d, uint32_t cmd, uint16_t domid)
{
    memset(d, 0, sizeof(*d));
    d->cmd = cmd;
    d->interface_version = one_in(40) ? (uint32_t)odd() : XEN_DOMCTL_INTERFACE_VERSION;
    d->domain = domid;
}

static void build_create(struct call *c)
{
    struct xen_domctl *d = room(sizeof(*d));
    struct xen_domctl_createdomain *k = &d->u.createdomain;

    domctl_begin(d, XEN_DOMCTL_createdomain, one_in(4) ? any_domid() : 0);
    k->flags = XEN_DOMCTL_CDF_hvm | XEN_DOMCTL_CDF_hap | (one_in(2) ? XEN_DOMCTL_CDF_iommu : 0);
    if (one_in(6))
        k->flags ^= (uint32_t)odd();
    k->max_vcpus = (uint32_t)(one_in(3) ? index_near(64) : 1 + below(3));
    k->max_evtchn_port = one_in(2) ? (uint32_t)odd() : 1023;
    k->max_grant_frames = one_in(4) ? (int32_t)odd() : (int32_t)below(8);
    k->max_maptrack_frames = one_in(4) ? (int32_t)odd() : (int32_t)below(8);
    k->grant_opts = XEN_DOMCTL_GRANT_version(1);
    k->arch.emulation_flags = XEN_X86_EMU_LAPIC;
    if (!one_in(8))
        c->arg[0] = (uintptr_t)d;
    else
        damage(d, sizeof(*d));
    c->op = __HYPERVISOR_domctl;
    c->arg[0] = ptr(d);
    /* No more than a handful at a time; the oldest goes. */
    if (nr_guests == MAX_GUESTS) {
        struct xen_domctl *x = room(sizeof(*x));
        long rc;

        do {
            memset(x, 0, sizeof(*x));
            x->cmd = XEN_DOMCTL_destroydomain;
            x->interface_version = XEN_DOMCTL_INTERFACE_VERSION;
            x->domain = guest[0];
            rc = hypercall(__HYPERVISOR_domctl, (uint64_t[5]){ (uintptr_t)x });
        } while (rc == -EAGAIN || rc == -EINTR);
        memmove(guest, guest + 1, --nr_guests * sizeof(guest[0]));
    }
}

/* A domain's context is read, changed somewhere and written back to it or another. */
static void build_context(struct call *c)
{
    struct xen_domctl *d = room(sizeof(*d));
    uint8_t *buf = room(16384);
    uint16_t from = any_domid();

    domctl_begin(d, XEN_DOMCTL_gethvmcontext, from);
    d->u.hvmcontext.size = one_in(8) ? (uint32_t)below(16384) : 16384;
    set_xen_guest_handle(d->u.hvmcontext.buffer, buf);
    if (one_in(3) || hypercall(__HYPERVISOR_domctl, (uint64_t[5]){ (uintptr_t)d }) != 0) {
        c->op = __HYPERVISOR_domctl;
        c->arg[0] = ptr(d);
        return;
    }
    for (unsigned i = (unsigned)below(20); i > 0; i--) {
        uint64_t v = odd();
        size_t at = below(d->u.hvmcontext.size > 16 ? d->u.hvmcontext.size - 8 : 8);

        memcpy(buf + at, &v, 1u << below(4));
    }
    d->cmd = XEN_DOMCTL_sethvmcontext;
    d->interface_version = XEN_DOMCTL_INTERFACE_VERSION;
    if (nr_guests && !one_in(4))
        d->domain = guest[below(nr_guests)];
    c->op = __HYPERVISOR_domctl;
    c->arg[0] = ptr(d);
}

static void build_policy(struct call *c)
{
    struct xen_domctl *d = room(sizeof(*d));
    xen_cpuid_leaf_t *leaves = room(200 * sizeof(*leaves));
    xen_msr_entry_t *msrs = room(16 * sizeof(*msrs));

    domctl_begin(d, XEN_DOMCTL_get_cpu_policy, any_domid());
    d->u.cpu_policy.nr_leaves = (uint32_t)index_near(200);
    d->u.cpu_policy.nr_msrs = (uint32_t)index_near(16);
    set_xen_guest_handle(d->u.cpu_policy.leaves, leaves);
    set_xen_guest_handle(d->u.cpu_policy.msrs, msrs);
    if (!one_in(3) && hypercall(__HYPERVISOR_domctl, (uint64_t[5]){ (uintptr_t)d }) == 0) {
        unsigned n = d->u.cpu_policy.nr_leaves;

        for (unsigned i = (unsigned)below(6); n && n <= 200 && i > 0; i--)
            damage(&leaves[below(n)], sizeof(*leaves));
        d->cmd = XEN_DOMCTL_set_cpu_policy;
        d->interface_version = XEN_DOMCTL_INTERFACE_VERSION;
    }
    c->op = __HYPERVISOR_domctl;
    c->arg[0] = ptr(d);
}

static void build_domctl(struct call *c)
{
    static const uint16_t cmds[] = {
        XEN_DOMCTL_destroydomain, XEN_DOMCTL_pausedomain, XEN_DOMCTL_unpausedomain, XEN_DOMCTL_unpausedomain,
        XEN_DOMCTL_getdomaininfo, XEN_DOMCTL_setvcpuaffinity, XEN_DOMCTL_max_mem, XEN_DOMCTL_getvcpucontext,
        XEN_DOMCTL_getvcpuinfo, XEN_DOMCTL_max_vcpus, XEN_DOMCTL_scheduler_op, XEN_DOMCTL_setdomainhandle,
        XEN_DOMCTL_settimeoffset, XEN_DOMCTL_getvcpuaffinity, XEN_DOMCTL_resumedomain, XEN_DOMCTL_sendtrigger,
        XEN_DOMCTL_gethvmcontext_partial, XEN_DOMCTL_gettscinfo, XEN_DOMCTL_settscinfo, XEN_DOMCTL_setnodeaffinity,
        XEN_DOMCTL_getnodeaffinity, XEN_DOMCTL_get_paging_mempool_size, XEN_DOMCTL_set_paging_mempool_size,
        XEN_DOMCTL_hypercall_init, XEN_DOMCTL_max_mem, XEN_DOMCTL_iomem_permission, XEN_DOMCTL_assign_device,
        XEN_DOMCTL_memory_mapping, XEN_DOMCTL_shadow_op,
    };
    struct xen_domctl *d = room(sizeof(*d));
    void *buf = room(8192);

    if (one_in(6)) {
        build_create(c);
        return;
    }
    if (one_in(6)) {
        (one_in(2) ? build_policy : build_context)(c);
        return;
    }
    domctl_begin(d, one_in(10) ? (uint32_t)below(100) : cmds[below(ARRAY_SIZE(cmds))], any_domid());
    for (size_t i = 0; i < sizeof(d->u.pad) / 4; i++)
        ((uint32_t *)d->u.pad)[i] = one_in(2) ? 0 : (uint32_t)odd();
    if (d->cmd == XEN_DOMCTL_setvcpuaffinity || d->cmd == XEN_DOMCTL_getvcpuaffinity) {
        d->u.vcpuaffinity.vcpu = (uint32_t)index_near(2);
        d->u.vcpuaffinity.flags = (uint32_t)index_near(7);
        d->u.vcpuaffinity.cpumap_hard.nr_bits = (uint32_t)index_near(70);
        set_xen_guest_handle(d->u.vcpuaffinity.cpumap_hard.bitmap, buf);
        memset(buf, (int)below(256), 64);
        d->u.vcpuaffinity.cpumap_soft = d->u.vcpuaffinity.cpumap_hard;
    } else if (d->cmd == XEN_DOMCTL_getvcpucontext) {
        d->u.vcpucontext.vcpu = (uint32_t)index_near(2);
        set_xen_guest_handle(d->u.vcpucontext.ctxt, buf);
    } else if (d->cmd == XEN_DOMCTL_gethvmcontext_partial) {
        d->u.hvmcontext_partial.type = (uint32_t)index_near(22);
        d->u.hvmcontext_partial.instance = (uint32_t)index_near(2);
        d->u.hvmcontext_partial.bufsz = index_near(8192);
        set_xen_guest_handle(d->u.hvmcontext_partial.buffer, buf);
    } else if (d->cmd == XEN_DOMCTL_scheduler_op) {
        d->u.scheduler_op.sched_id = 4 + (uint32_t)below(4);
        d->u.scheduler_op.cmd = (uint32_t)index_near(4);
    } else if (d->cmd == XEN_DOMCTL_max_mem) {
        /* Our own domain's limit may not fall below what clearing up needs. */
        d->u.max_mem.max_memkb = one_in(4) ? odd() : 1 << 20;
        d->domain = nr_guests ? guest[below(nr_guests)] : DOMID_INVALID;
    }
    damage(d, 24);
    c->op = __HYPERVISOR_domctl;
    c->arg[0] = ptr(d);
}

/* ---- the machine ---- */

static void build_sysctl(struct call *c)
{
    struct xen_sysctl *s = room(sizeof(*s));
    uint8_t *buf = room(8192), *buf2 = room(8192);

    memset(s, 0, sizeof(*s));
    s->cmd = (uint32_t)index_near(30);
    s->interface_version = one_in(40) ? (uint32_t)odd() : XEN_SYSCTL_INTERFACE_VERSION;
    for (size_t i = 0; i < sizeof(s->u.pad) / 4; i++)
        ((uint32_t *)s->u.pad)[i] = one_in(2) ? 0 : (uint32_t)odd();
    memset(buf, 'h' + (int)below(3), 64);
    switch (s->cmd) {
    case XEN_SYSCTL_readconsole:
        s->u.readconsole.clear = 0;
        s->u.readconsole.count = (uint32_t)below(8192);
        set_xen_guest_handle(s->u.readconsole.buffer, (char *)buf);
        break;
    case XEN_SYSCTL_getdomaininfolist:
        s->u.getdomaininfolist.max_domains = (uint32_t)below(40);
        set_xen_guest_handle(s->u.getdomaininfolist.buffer, (void *)buf);
        break;
    case XEN_SYSCTL_debug_keys:
        s->u.debug_keys.nr_keys = (uint32_t)index_near(2);
        set_xen_guest_handle(s->u.debug_keys.keys, (char *)buf);
        break;
    case XEN_SYSCTL_cputopoinfo:
        s->u.cputopoinfo.num_cpus = (uint32_t)index_near(8);
        set_xen_guest_handle(s->u.cputopoinfo.cputopo, (void *)buf);
        break;
    case XEN_SYSCTL_numainfo:
        set_xen_guest_handle(s->u.numainfo.meminfo, (void *)buf);
        set_xen_guest_handle(s->u.numainfo.distance, (void *)buf2);
        break;
    case XEN_SYSCTL_pcitopoinfo:
        s->u.pcitopoinfo.num_devs = (uint32_t)index_near(300);
        set_xen_guest_handle(s->u.pcitopoinfo.devs, (void *)buf);
        set_xen_guest_handle(s->u.pcitopoinfo.nodes, (void *)buf2);
        break;
    case XEN_SYSCTL_cpupool_op:
        s->u.cpupool_op.op = (uint32_t)index_near(8);
        s->u.cpupool_op.cpupool_id = (uint32_t)index_near(1);
        s->u.cpupool_op.cpumap.nr_bits = (uint32_t)index_near(70);
        set_xen_guest_handle(s->u.cpupool_op.cpumap.bitmap, buf);
        break;
    case XEN_SYSCTL_get_cpu_featureset:
        s->u.cpu_featureset.index = (uint32_t)index_near(4);
        s->u.cpu_featureset.nr_features = (uint32_t)index_near(20);
        set_xen_guest_handle(s->u.cpu_featureset.features, (uint32_t *)buf);
        break;
    case XEN_SYSCTL_get_cpu_policy:
        s->u.cpu_policy.index = (uint32_t)index_near(6);
        s->u.cpu_policy.nr_leaves = (uint32_t)index_near(200);
        s->u.cpu_policy.nr_msrs = (uint32_t)index_near(16);
        set_xen_guest_handle(s->u.cpu_policy.leaves, (void *)buf);
        set_xen_guest_handle(s->u.cpu_policy.msrs, (void *)buf2);
        break;
    }
    damage(s, 16);
    c->op = __HYPERVISOR_sysctl;
    c->arg[0] = ptr(s);
}

static void build_platform(struct call *c)
{
    struct xen_platform_op *p = room(sizeof(*p));

    memset(p, 0, sizeof(*p));
    p->cmd = one_in(3) ? XENPF_settime64 : one_in(3) ? XENPF_get_cpuinfo : (uint32_t)below(70);
    p->interface_version = one_in(20) ? (uint32_t)odd() : XENPF_INTERFACE_VERSION;
    for (unsigned i = 0; i < 8; i++)
        ((uint32_t *)p->u.pad)[i] = one_in(2) ? (uint32_t)below(1000) : (uint32_t)odd();
    c->op = __HYPERVISOR_platform_op;
    c->arg[0] = ptr(p);
}

static void build_physdev(struct call *c)
{
    union {
        struct physdev_pci_device dev;
        struct physdev_manage_pci manage;
        struct physdev_manage_pci_ext ext;
        struct physdev_pci_device_add add;
        struct physdev_pci_mmcfg_reserved mmcfg;
        uint8_t bytes[64];
    } *p = room(sizeof(*p));
    static const uint8_t cmds[] = { PHYSDEVOP_manage_pci_add, PHYSDEVOP_manage_pci_remove, PHYSDEVOP_manage_pci_add_ext,
                                    PHYSDEVOP_pci_device_add, PHYSDEVOP_pci_device_remove, PHYSDEVOP_pci_device_add,
                                    PHYSDEVOP_pci_mmcfg_reserved };
    unsigned cmd = one_in(4) ? (unsigned)index_near(34) : cmds[below(ARRAY_SIZE(cmds))];

    for (size_t i = 0; i < sizeof(*p); i++)
        p->bytes[i] = one_in(3) ? (uint8_t)odd() : 0;
    if (edu >= 0 && one_in(2)) {
        if (cmd >= PHYSDEVOP_pci_device_add)
            p->dev = (struct physdev_pci_device){ .devfn = (uint8_t)edu };
        else
            p->manage = (struct physdev_manage_pci){ .devfn = (uint8_t)edu };
    }
    if (cmd == PHYSDEVOP_pci_mmcfg_reserved) {
        p->mmcfg.address = one_in(2) ? 0xb0000000 : (any_gfn() * PAGE) & ~0xfffffull;
        p->mmcfg.segment = (uint16_t)index_near(2);
        p->mmcfg.start_bus = one_in(2) ? 0 : (uint8_t)odd();
        p->mmcfg.end_bus = one_in(2) ? 255 : (uint8_t)odd();
        p->mmcfg.flags = (uint32_t)index_near(1);
    }
    set(c, __HYPERVISOR_physdev_op, cmd, p, 16);
}
