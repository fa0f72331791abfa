/* SPDX-License-Identifier: MIT */
/*
 * xenlite_op's commands about traps: counters of regions, functions, registers and exits, refusals,
 * and the session of whoever listens to records.
 */
#include "include/xenlite/trace.h"

#include "cpu/guest_mem.h"
#include "domain/domain.h"
#include "hypercall/xenlite_list.h"
#include "hypercall/xenlite_op.h"
#include "lib/errno.h"
#include "lib/string.h"
#include "mm/heap.h"
#include "trap/record.h"
#include "trap/rules.h"
#include "vdev/vmsi.h"
#include "vdev/vmsix.h"
#include "vdev/vpci.h"

/* Records and constants go to clients as they are. */
_Static_assert(sizeof(struct xenlite_trap_record) == sizeof(struct trap_record), "record");
_Static_assert(offsetof(struct xenlite_trap_record, reason) == offsetof(struct trap_record, reason),
               "record");
_Static_assert((int)XENLITE_TRAP_DECIDE == RECORD_DECIDE && (int)XENLITE_TRAP_MSIX == RECORD_MSIX &&
                   (int)XENLITE_TRAP_DENY == RECORD_DENY &&
                   (int)XENLITE_TRAP_CONFIG == RECORD_CONFIG &&
                   (int)XENLITE_TRAP_PIO == RECORD_PIO && (int)XENLITE_TRAP_MMIO == RECORD_MMIO,
               "kinds of records");
_Static_assert((int)XENLITE_DONE == TRAP_DONE && (int)XENLITE_DENIED == TRAP_DENIED &&
                   (int)XENLITE_DROPPED == TRAP_DROPPED && (int)XENLITE_FORWARDED == TRAP_FORWARD &&
                   (int)XENLITE_RETRIED == TRAP_RETRY && (int)XENLITE_NOBODY == TRAP_NONE,
               "dispositions");
_Static_assert(XENLITE_TRACE_PATIENCE_MS *NS_PER_MS == RECORD_PATIENCE_NS, "patience");

/* ---- regions ---- */

static int put_region(const struct trap_region *r, void *arg)
{
    struct xenlite_trap_region *e = list_next(arg);

    if (!e)
        return 0;
    e->first = r->first;
    e->last = r->last;
    e->reads = READ_ONCE(r->count.reads);
    e->writes = READ_ONCE(r->count.writes);
    e->denied = READ_ONCE(r->count.denied);
    e->dropped = READ_ONCE(r->count.dropped);
    e->forwarded = READ_ONCE(r->count.forwarded);
    e->handler = r->handler;
    e->kind = r->kind;
    strlcpy(e->name, r->name, sizeof(e->name));
    return 0;
}

static void fill_regions(struct list_piece *p, void *arg)
{
    struct domain *d = arg;

    for (unsigned kind = 0; kind < TRAP_NR_KINDS; kind++)
        trap_for_each(&d->traps, (enum trap_kind)kind, put_region, p);
}

/* ---- functions and registers ---- */

static void put_msix(struct xenlite_trap_function *e, struct vpci_dev *vd)
{
    const struct vmsix *m;

    spin_lock(&vd->lock);
    m = vd->msix;
    if (m) {
        e->msix_entries = m->nr;
        e->msix_mask_writes = m->mask_writes;
        e->msix_binds = m->binds;
        e->msix_failed = m->failed;
        e->neighbour_reads = READ_ONCE(m->neighbour_reads);
        e->neighbour_writes = READ_ONCE(m->neighbour_writes);
    }
    for (unsigned i = 0; m && i < m->nr; i++)
        for (unsigned dword = 0; dword < 4; dword++) {
            e->msix_reads += m->entry[i].reads[dword];
            e->msix_writes += m->entry[i].writes[dword];
            e->registers += m->entry[i].reads[dword] || m->entry[i].writes[dword];
        }
    spin_unlock(&vd->lock);
}

static void put_function(struct list_piece *p, struct vpci_dev *vd)
{
    struct xenlite_trap_function *e = list_next(p);

    if (!e)
        return;
    e->sbdf = vd->sbdf;
    e->hw_sbdf = vd->pdev ? vd->hw_sbdf : XENLITE_NO_DEVICE;
    e->reads = READ_ONCE(vd->reads);
    e->writes = READ_ONCE(vd->writes);
    e->denied = READ_ONCE(vd->denied);
    if (vd->msi) {
        e->msi = 1;
        e->msi_binds = vd->msi->binds;
        e->msi_failed = vd->msi->failed;
    }
    put_msix(e, vd);
    for (unsigned i = 0; i < ARRAY_SIZE(vd->touched); i++)
        e->registers += vd->touched[i].reads || vd->touched[i].writes;
}

static void fill_functions(struct list_piece *p, void *arg)
{
    struct domain *d = arg;
    struct vpci_dev *vd;

    spin_lock(&d->vpci.lock);
    list_for_each_entry (vd, &d->vpci.devices, link)
        put_function(p, vd);
    spin_unlock(&d->vpci.lock);
}

struct registers {
    struct domain *d;
    uint32_t sbdf;
    bool found;
};

static void put_register(struct list_piece *p, unsigned space, uint32_t offset, uint32_t reads,
                         uint32_t writes, const char *name)
{
    struct xenlite_trap_register *e;

    if (!reads && !writes)
        return;
    e = list_next(p);
    if (!e)
        return;
    e->space = (uint8_t)space;
    e->offset = offset;
    e->reads = reads;
    e->writes = writes;
    e->managed = name != NULL;
    strlcpy(e->name, name ? name : "", sizeof(e->name));
}

static void put_registers(struct list_piece *p, struct vpci_dev *vd)
{
    for (unsigned i = 0; i < ARRAY_SIZE(vd->touched); i++)
        put_register(p, XENLITE_SPACE_CONFIG, i * 4, vd->touched[i].reads, vd->touched[i].writes,
                     vd->map[i] ? vd->reg[vd->map[i] - 1].name : NULL);
    spin_lock(&vd->lock);
    for (unsigned i = 0; vd->msix && i < vd->msix->nr * 4u; i++)
        put_register(p, XENLITE_SPACE_MSIX, i * 4, vd->msix->entry[i / 4].reads[i % 4],
                     vd->msix->entry[i / 4].writes[i % 4], "");
    spin_unlock(&vd->lock);
}

static void fill_registers(struct list_piece *p, void *arg)
{
    struct registers *r = arg;
    struct vpci_dev *vd;

    spin_lock(&r->d->vpci.lock);
    list_for_each_entry (vd, &r->d->vpci.devices, link)
        if (vd->sbdf == r->sbdf) {
            r->found = true;
            put_registers(p, vd);
            break;
        }
    spin_unlock(&r->d->vpci.lock);
}

static long registers(struct vcpu *v, struct domain *d, struct xenlite_list *list)
{
    struct registers r = { .d = d, .sbdf = list->arg };
    long rc = list_to_guest(v, list, sizeof(struct xenlite_trap_register), fill_registers, &r);

    return rc ? rc : r.found ? 0 : -ENODEV;
}

/* ---- capabilities ---- */

/* PCI 3.0, 6.7: a list in the 192 bytes behind the header, of dword-aligned structures. */
static void conventional_capabilities(struct list_piece *p, uint32_t sbdf)
{
    unsigned at = 0;

    if (pci_conf_read(sbdf, PCI_REG_STATUS, 2) & PCI_STATUS_CAP_LIST)
        at = pci_conf_read(sbdf, PCI_REG_CAP_POINTER, 1) & 0xfc;
    for (unsigned n = 0; at >= 0x40 && n < 48; n++) {
        struct xenlite_capability *e = list_next(p);

        if (e) {
            e->offset = (uint16_t)at;
            e->id = (uint16_t)pci_conf_read(sbdf, at, 1);
            e->control = (uint16_t)pci_conf_read(sbdf, at + 2, 2);
        }
        at = pci_conf_read(sbdf, at + 1, 1) & 0xfc;
    }
}

/* PCIe 5.0, 7.6.3: id 15:0, version 19:16, next 31:20. */
static void extended_capabilities(struct list_piece *p, uint32_t sbdf)
{
    unsigned at = 0x100;

    for (unsigned n = 0; at >= 0x100 && n < 480 && pci_has_ext_config(sbdf); n++) {
        uint32_t header = pci_conf_read(sbdf, at, 4);
        struct xenlite_capability *e;

        if (!header || header == 0xffffffff)
            return;
        e = list_next(p);
        if (e) {
            e->offset = (uint16_t)at;
            e->id = (uint16_t)header;
            e->extended = 1;
            e->version = header >> 16 & 0xf;
            e->control = (uint16_t)pci_conf_read(sbdf, at + 4, 2);
        }
        at = header >> 20 & 0xffc;
    }
}

static void fill_capabilities(struct list_piece *p, void *arg)
{
    const uint32_t *sbdf = arg;

    conventional_capabilities(p, *sbdf);
    extended_capabilities(p, *sbdf);
}

/* ---- exits, names, refusals ---- */

struct exits {
    const struct domain *d;
    uint32_t vcpu;
};

static void fill_exits(struct list_piece *p, void *arg)
{
    static const char *const names[CPU_NR_EXITS + 1] = {
#define X(name) #name,
        CPU_EXITS(X)
#undef X
            "other",
    };
    const struct exits *x = arg;
    uint64_t sum[CPU_NR_EXITS + 1] = { 0 };
    struct vcpu *v;

    for_each_vcpu (x->d, v) {
        uint64_t known = 0, all = READ_ONCE(v->cpu.nr_exits);

        if (x->vcpu != XENLITE_ALL_VCPUS && x->vcpu != v->id)
            continue;
        for (unsigned i = 0; i < CPU_NR_EXITS; i++) {
            uint64_t n = READ_ONCE(v->cpu.exits[i]);

            sum[i] += n;
            known += n;
        }
        /* It runs: a kind may have been counted since. */
        sum[CPU_NR_EXITS] += all > known ? all - known : 0;
    }
    for (unsigned i = 0; i <= CPU_NR_EXITS; i++) {
        struct xenlite_exit_count *e = list_next(p);

        if (!e)
            continue;
        strlcpy(e->name, names[i], sizeof(e->name));
        e->count = sum[i];
    }
}

static long exits(struct vcpu *v, struct domain *d, struct xenlite_list *list)
{
    struct exits x = { .d = d, .vcpu = list->arg };

    if (list->arg != XENLITE_ALL_VCPUS && (list->arg >= d->max_vcpus || !d->vcpu[list->arg]))
        return -EINVAL;
    return list_to_guest(v, list, sizeof(struct xenlite_exit_count), fill_exits, &x);
}

static void fill_rules(struct list_piece *p, void *arg)
{
    (void)arg;
    for (unsigned i = 0; i < DENY_NR_RULES; i++) {
        struct xenlite_rule *e = list_next(p);

        if (!e)
            continue;
        strlcpy(e->name, deny_name((enum deny_rule)i), sizeof(e->name));
        strlcpy(e->sentence, deny_sentence((enum deny_rule)i), sizeof(e->sentence));
        e->error = deny_errno((enum deny_rule)i);
        e->count = deny_count((enum deny_rule)i);
    }
}

static void fill_handlers(struct list_piece *p, void *arg)
{
    (void)arg;
    for (unsigned i = 0; i < trap_nr_handlers(); i++) {
        struct xenlite_handler *e = list_next(p);

        if (e)
            strlcpy(e->name, trap_handler_name((uint16_t)i), sizeof(e->name));
    }
}

struct denials {
    struct trap_record rec[RECORD_DENIALS];
    unsigned nr;
};

static void fill_denials(struct list_piece *p, void *arg)
{
    const struct denials *den = arg;

    for (unsigned i = 0; i < den->nr; i++) {
        struct trap_record *e = list_next(p);

        if (e)
            *e = den->rec[i];
    }
}

static long denials(struct vcpu *v, struct xenlite_list *list)
{
    struct denials *den = xzalloc(sizeof(*den));
    long rc;

    if (!den)
        return -ENOMEM;
    den->nr = record_denials(den->rec, RECORD_DENIALS);
    rc = list_to_guest(v, list, sizeof(struct trap_record), fill_denials, den);
    xfree(den);
    return rc;
}

/* ---- records ---- */

static long start(struct xenlite_trace_session *s)
{
    long rc = record_start(&s->token);

    s->cpus = nr_cpus;
    s->ring = RECORD_RING;
    return rc;
}

/* In pieces: what was taken out of the ring and cannot be written is lost, so the room is tried first. */
static long read_records(struct vcpu *v, struct xenlite_trace_read *r)
{
    struct trap_record piece[16];
    uint32_t max = MIN(r->max, (uint32_t)RECORD_RING);
    unsigned n;

    r->nr = 0;
    r->lost = 0;
    do {
        uint64_t lost;
        unsigned want = MIN(max - r->nr, (unsigned)ARRAY_SIZE(piece));
        uint64_t to = r->buffer + r->nr * sizeof(piece[0]);
        long rc;

        memset(piece, 0, sizeof(piece));
        if (copy_to_guest(v, to, piece, want * sizeof(piece[0])))
            return -EFAULT;
        rc = record_read(r->token, r->cpu, piece, want, &n, &lost);
        /* After the last record of a session that has ended: next time. */
        if (rc)
            return r->nr ? 0 : rc;
        if (copy_to_guest(v, to, piece, n * sizeof(piece[0])))
            return -EFAULT;
        r->nr += n;
        r->lost += lost;
    } while (n && r->nr < max);
    return 0;
}

/* ---- dispatch ---- */

static long of_domain(struct vcpu *v, const struct xenlite_op *op, struct xenlite_list *list)
{
    struct domain *d = domain_get_by_id_or_self(v, op->domid);
    long rc = -ENOSYS;

    if (!d)
        return -ESRCH;
    switch (op->cmd) {
    case XENLITE_TRACE_regions:
        rc = list_to_guest(v, list, sizeof(struct xenlite_trap_region), fill_regions, d);
        break;
    case XENLITE_TRACE_functions:
        rc = list_to_guest(v, list, sizeof(struct xenlite_trap_function), fill_functions, d);
        break;
    case XENLITE_TRACE_registers:
        rc = registers(v, d, list);
        break;
    case XENLITE_TRACE_exits:
        rc = exits(v, d, list);
        break;
    }
    domain_put(d);
    return rc;
}

long xenlite_trace_op(struct vcpu *v, struct xenlite_op *op, bool *copy_back)
{
    void *args = op->args;
    struct xenlite_list *list = args;

    (void)copy_back;
    switch (op->cmd) {
    case XENLITE_TRACE_regions:
    case XENLITE_TRACE_functions:
    case XENLITE_TRACE_registers:
    case XENLITE_TRACE_exits:
        return of_domain(v, op, list);
    case XENLITE_TRACE_capabilities:
        if (!pci_find(list->arg))
            return -ENODEV;
        return list_to_guest(v, list, sizeof(struct xenlite_capability), fill_capabilities,
                             &list->arg);
    case XENLITE_TRACE_rules:
        return list_to_guest(v, list, sizeof(struct xenlite_rule), fill_rules, NULL);
    case XENLITE_TRACE_handlers:
        return list_to_guest(v, list, sizeof(struct xenlite_handler), fill_handlers, NULL);
    case XENLITE_TRACE_denials:
        return denials(v, list);
    case XENLITE_TRACE_start:
        return start(args);
    case XENLITE_TRACE_stop:
        return record_stop(((struct xenlite_trace_session *)args)->token);
    case XENLITE_TRACE_read:
        return read_records(v, args);
    default:
        return -ENOSYS;
    }
}
