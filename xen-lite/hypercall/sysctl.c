/* SPDX-License-Identifier: MIT */
/*
 * sysctl: the machine as the toolstack sees it. Questions are answered; what changes the machine is
 * refused.
 */
#include "boot/console.h"
#include "cpu/guest_mem.h"
#include "domain/domain.h"
#include "hypercall/domctl_ops.h"
#include "hypercall/dominfo.h"
#include "hypercall/handlers.h"
#include "iommu/iommu.h"
#include "irq/time.h"
#include "lib/assert.h"
#include "lib/errno.h"
#include "lib/string.h"
#include "mm/frame.h"
#include "vdev/pci.h"
#ifndef XL_HOST
#include "cpu/x86.h"
#endif

#include <xen/sysctl.h>

/* Bounds of one call; callers come back for more. */
#define CONSOLE_MAX 65536u
#define DOMAINS_MAX 1024u
#define DEVICES_MAX 256u

/* ---- the log ring ---- */

static long readconsole(struct vcpu *v, struct xen_sysctl_readconsole *op)
{
    char buf[512];
    uint32_t index = op->incremental ? op->index : 0;
    uint32_t max = MIN(op->count, CONSOLE_MAX), done = 0;
    size_t n;

    while (done < max) {
        n = conring_read(&index, buf, MIN((size_t)(max - done), sizeof(buf)), op->clear);
        if (n == 0)
            break;
        if (copy_to_guest(v, (uint64_t)op->buffer.p + done, buf, n))
            return -EFAULT;
        done += (uint32_t)n;
    }
    op->count = done;
    op->index = index;
    return 0;
}

/* ---- the machine ---- */

/* CPUID words in the order of the interface's feature sets; tools print them as "hw_caps". */
static void hw_caps(uint32_t cap[8])
{
    memset(cap, 0, 8 * sizeof(cap[0]));
#ifndef XL_HOST
    uint32_t a, b, c, d, max, max_ext;

    cpuid(0, 0, &max, &b, &c, &d);
    cpuid(0x80000000, 0, &max_ext, &b, &c, &d);
    cpuid(1, 0, &a, &b, &cap[1], &cap[0]);
    if (max_ext >= 0x80000001)
        cpuid(0x80000001, 0, &a, &b, &cap[3], &cap[2]);
    if (max >= 0xd)
        cpuid(0xd, 1, &cap[4], &b, &c, &d);
    if (max >= 7)
        cpuid(7, 0, &a, &cap[5], &cap[6], &d);
    if (max_ext >= 0x80000007)
        cpuid(0x80000007, 0, &a, &b, &c, &cap[7]);
#endif
}

static long physinfo(struct xen_sysctl_physinfo *op)
{
    struct frame_stats st;

    memset(op, 0, sizeof(*op));
    frame_get_stats(&st);
    op->threads_per_core = 1;
    op->cores_per_socket = nr_cpus;
    op->nr_cpus = nr_cpus;
    op->max_cpu_id = nr_cpus - 1;
    op->nr_nodes = 1;
    op->cpu_khz = tsc_khz();
    op->capabilities =
        XEN_SYSCTL_PHYSCAP_hvm | XEN_SYSCTL_PHYSCAP_hap | XEN_SYSCTL_PHYSCAP_gnttab_v1;
    if (iommu_enabled())
        op->capabilities |= XEN_SYSCTL_PHYSCAP_directio | XEN_SYSCTL_PHYSCAP_iommu_hap_pt_share;
    op->total_pages = st.total;
    op->free_pages = st.free;
    op->outstanding_pages = frames_staked_total();
    op->max_mfn = frames_limit() - 1;
    hw_caps(op->hw_cap);
    return 0;
}

static long availheap(struct xen_sysctl_availheap *op)
{
    struct frame_stats st;

    frame_get_stats(&st);
    if (op->node > 0 || op->node < -1 || op->min_bitwidth > 64)
        return -EINVAL;
    /* The allocator counts free memory on both sides of one border: 4 GiB. */
    if (op->min_bitwidth == 0 && (op->max_bitwidth == 0 || op->max_bitwidth >= 52))
        op->avail_bytes = st.free << PAGE_SHIFT;
    else if (op->min_bitwidth <= 32 && op->max_bitwidth == 32)
        op->avail_bytes = st.free_low << PAGE_SHIFT;
    else
        return -EOPNOTSUPP;
    return 0;
}

/* A NULL array asks for the number of entries. */
static long cputopoinfo(struct vcpu *v, struct xen_sysctl_cputopoinfo *op)
{
    uint64_t gva = (uint64_t)op->cputopo.p;
    uint32_t nr = MIN(op->num_cpus, nr_cpus);

    for (uint32_t cpu = 0; gva && cpu < nr; cpu++) {
        struct xen_sysctl_cputopo topo = { .core = cpu };

        if (copy_to_guest(v, gva + cpu * sizeof(topo), &topo, sizeof(topo)))
            return -EFAULT;
    }
    op->num_cpus = gva ? nr : nr_cpus;
    return 0;
}

static long numainfo(struct vcpu *v, struct xen_sysctl_numainfo *op)
{
    uint64_t mem_gva = (uint64_t)op->meminfo.p, dist_gva = (uint64_t)op->distance.p;
    struct xen_sysctl_meminfo mem;
    struct frame_stats st;
    uint32_t local = 10; /* ACPI SLIT: the distance to oneself */

    frame_get_stats(&st);
    mem.memsize = st.total << PAGE_SHIFT;
    mem.memfree = st.free << PAGE_SHIFT;
    if (op->num_nodes && mem_gva && copy_to_guest(v, mem_gva, &mem, sizeof(mem)))
        return -EFAULT;
    if (op->num_nodes && dist_gva && copy_to_guest(v, dist_gva, &local, sizeof(local)))
        return -EFAULT;
    op->num_nodes = 1;
    return 0;
}

/* One node, and so every function that we know is on it. Tools go on behind what was done. */
static long pcitopoinfo(struct vcpu *v, struct xen_sysctl_pcitopoinfo *op)
{
    uint64_t devs = (uint64_t)op->devs.p, nodes = (uint64_t)op->nodes.p;
    uint32_t nr = MIN(op->num_devs, DEVICES_MAX);

    if (!devs || !nodes)
        return -EINVAL;
    for (uint32_t i = 0; i < nr; i++) {
        struct physdev_pci_device dev;
        uint32_t node;

        if (copy_from_guest(v, &dev, devs + i * sizeof(dev), sizeof(dev)))
            return -EFAULT;
        node = pci_find((uint32_t)dev.seg << 16 | (uint32_t)dev.bus << 8 | dev.devfn)
                   ? 0
                   : XEN_INVALID_DEV;
        if (copy_to_guest(v, nodes + i * sizeof(node), &node, sizeof(node)))
            return -EFAULT;
    }
    op->num_devs = nr;
    return 0;
}

/* ---- domains and pools ---- */

static long getdomaininfolist(struct vcpu *v, struct xen_sysctl_getdomaininfolist *op)
{
    struct xen_domctl_getdomaininfo info;
    uint32_t max = MIN(op->max_domains, DOMAINS_MAX), nr = 0;
    uint32_t next = op->first_domain;
    struct domain *d;

    while (nr < max && next < DOMID_FIRST_RESERVED) {
        d = domain_get_next((uint16_t)next);
        if (!d)
            break;
        domain_info(d, &info);
        next = d->domid + 1u;
        domain_put(d);
        if (copy_to_guest(v, (uint64_t)op->buffer.p + nr * sizeof(info), &info, sizeof(info)))
            return -EFAULT;
        nr++;
    }
    op->num_domains = nr;
    return 0;
}

static uint32_t count_domains(void)
{
    struct domain *d;
    uint32_t n = 0;

    domain_list_lock();
    for_each_domain (d)
        n++;
    domain_list_unlock();
    return n;
}

/* There is one pool with all CPUs and all domains in it. */
static long cpupool_op(struct vcpu *v, struct xen_sysctl_cpupool_op *op)
{
    uint64_t map;

    switch (op->op) {
    case XEN_SYSCTL_CPUPOOL_OP_INFO:
        if (op->cpupool_id != 0)
            return -ENOENT;
        op->sched_id = SCHEDULER_ID;
        op->n_dom = count_domains();
        map = ~0ULL;
        return put_cpumap(v, &op->cpumap, &map);
    case XEN_SYSCTL_CPUPOOL_OP_FREEINFO:
        map = 0;
        return put_cpumap(v, &op->cpumap, &map);
    case XEN_SYSCTL_CPUPOOL_OP_MOVEDOMAIN:
        return op->cpupool_id == 0 ? 0 : -ENOENT;
    default:
        return -EOPNOTSUPP;
    }
}

/* Nothing limits how soon after another a vCPU may be preempted: a rate limit of 0, which stays. */
static long scheduler_op(struct xen_sysctl_scheduler_op *op)
{
    if (op->cpupool_id)
        return -ESRCH;
    if (op->sched_id != SCHEDULER_ID)
        return -EINVAL;
    switch (op->cmd) {
    case XEN_SYSCTL_SCHEDOP_getinfo:
        op->u.sched_credit2.ratelimit_us = 0;
        return 0;
    case XEN_SYSCTL_SCHEDOP_putinfo:
        return op->u.sched_credit2.ratelimit_us ? -EOPNOTSUPP : 0;
    default:
        return -EINVAL;
    }
}

static long dispatch(struct vcpu *v, struct xen_sysctl *op)
{
    switch (op->cmd) {
    case XEN_SYSCTL_readconsole:
        return readconsole(v, &op->u.readconsole);
    case XEN_SYSCTL_physinfo:
        return physinfo(&op->u.physinfo);
    case XEN_SYSCTL_sched_id:
        op->u.sched_id.sched_id = SCHEDULER_ID;
        return 0;
    case XEN_SYSCTL_getdomaininfolist:
        return getdomaininfolist(v, &op->u.getdomaininfolist);
    case XEN_SYSCTL_debug_keys:
        return debug_keys(v, (uint64_t)op->u.debug_keys.keys.p, op->u.debug_keys.nr_keys);
    case XEN_SYSCTL_availheap:
        return availheap(&op->u.availheap);
    case XEN_SYSCTL_cputopoinfo:
        return cputopoinfo(v, &op->u.cputopoinfo);
    case XEN_SYSCTL_numainfo:
        return numainfo(v, &op->u.numainfo);
    case XEN_SYSCTL_pcitopoinfo:
        return pcitopoinfo(v, &op->u.pcitopoinfo);
    case XEN_SYSCTL_cpupool_op:
        return cpupool_op(v, &op->u.cpupool_op);
    case XEN_SYSCTL_scheduler_op:
        return scheduler_op(&op->u.scheduler_op);
    case XEN_SYSCTL_get_cpu_policy:
        return sysctl_get_cpu_policy(v, &op->u.cpu_policy);
    case XEN_SYSCTL_get_cpu_featureset:
        return sysctl_get_cpu_featureset(v, &op->u.cpu_featureset);
    case XEN_SYSCTL_get_cpu_levelling_caps:
        op->u.cpu_levelling_caps.caps = 0;
        return 0;
    default:
        return -ENOSYS;
    }
}

long do_sysctl(struct vcpu *v, uint64_t argp, uint64_t a2, uint64_t a3, uint64_t a4, uint64_t a5)
{
    struct xen_sysctl op;
    long rc;

    (void)a2;
    (void)a3;
    (void)a4;
    (void)a5;
    if (copy_from_guest(v, &op, argp, sizeof(op)))
        return -EFAULT;
    if (op.interface_version != XEN_SYSCTL_INTERFACE_VERSION)
        return -EACCES;
    if (!v->domain->control)
        return -EPERM;
    rc = dispatch(v, &op);
    if (rc == 0 && copy_to_guest(v, argp, &op, sizeof(op)))
        return -EFAULT;
    return rc;
}
