/* SPDX-License-Identifier: MIT */
/* A simulated hypervisor for xl-dmd: devices, requests to a device model, and the extension's calls as libxenlite has them. */
#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <xen/xen.h>
#include <xen/hvm/ioreq.h>

#include "dm_fake_hv.h"
#include "libs/xenlite.h"

#define PAGE 4096

static struct hv *hv_of(xc_interface *xc)
{
    return (struct hv *)xc;
}

xc_interface *hv_worker_xc(struct hv *hv)
{
    return hv_xc(hv);
}

void hv_keep_worker_xc(struct hv *hv)
{
    fake_pci(hv)->kept++;
}

xc_interface *hv_xc(struct hv *hv)
{
    return (xc_interface *)hv;
}

static struct fake_guest *guest_of(struct hv *hv, uint32_t domid)
{
    for (unsigned i = 0; i < FAKE_GUESTS; i++)
        if (fake_guests(hv)[i].listed && fake_guests(hv)[i].info.domid == domid)
            return &fake_guests(hv)[i];
    errno = ESRCH;
    return NULL;
}

static int missing(struct hv *hv)
{
    errno = ENOSYS;
    return fake_pci(hv)->missing ? -1 : 0;
}

/* ---- requests ---- */

static struct xenlite_ioreq_detail *detail_of(struct fake_guest *guest, unsigned vcpu)
{
    return (struct xenlite_ioreq_detail *)((char *)guest->io.pages + PAGE) + vcpu;
}

/* The page shows what waits to the server that is there. */
static void show(struct hv *hv, struct fake_guest *guest, unsigned vcpu)
{
    struct fake_vcpu *v = &guest->io.vcpu[vcpu];
    struct xenlite_ioreq_detail *detail;
    struct ioreq *slot;

    if (!guest->io.server)
        return;
    detail = detail_of(guest, vcpu);
    slot = (struct ioreq *)guest->io.pages + vcpu;
    if (!v->id) {
        detail->waiting = 0;
        return;
    }
    slot->data = v->sent;
    slot->size = guest->io.size;
    detail->kind = guest->io.kind;
    detail->hw_sbdf = guest->io.hw_sbdf;
    detail->address = guest->io.address;
    detail->message = guest->io.message;
    detail->index = guest->io.regs ? guest->io.regs[v->sent % guest->io.nr_regs] : 0;
    detail->waiting = 1;
    detail->id = v->id;
    v->pending = true;
    fake_update(hv);
}

static void next_request(struct hv *hv, struct fake_guest *guest, unsigned vcpu)
{
    struct fake_vcpu *v = &guest->io.vcpu[vcpu];

    v->id = 0;
    if (v->sent < v->last) {
        v->sent++;
        v->id = ((uint64_t)vcpu << 40) + v->sent;
    }
    show(hv, guest, vcpu);
}

void fake_requests(struct hv *hv, struct fake_guest *guest, unsigned vcpu, uint32_t last)
{
    guest->io.vcpu[vcpu].last = last;
    if (!guest->io.vcpu[vcpu].id)
        next_request(hv, guest, vcpu);
}

static int finish(struct hv *hv, struct fake_guest *guest, const struct xenlite_ioreq_complete *c)
{
    struct fake_vcpu *v = &guest->io.vcpu[c->vcpu];

    if (guest->io.complete_error) {
        errno = guest->io.complete_error;
        guest->io.complete_error = 0;
        return -1;
    }
    if (c->id != v->id || !v->id) {
        errno = ESTALE;
        return -1;
    }
    v->disorder += c->id != ((uint64_t)c->vcpu << 40) + v->done + 1;
    assert(c->decision < 5);
    v->decision[c->decision]++;
    v->latest = *c;
    v->done++;
    next_request(hv, guest, c->vcpu);
    return 0;
}

int hv_complete(struct hv *hv, uint16_t domid, const struct xenlite_ioreq_complete *c)
{
    struct fake_pci *pci = fake_pci(hv);
    struct fake_guest *guest = guest_of(hv, domid);
    int r;

    if (pci->dead || (pci->die_before && pci->die_in == 0)) {
        pci->dead = true;
        errno = ESTALE;
        return -1;
    }
    if (!guest)
        return -1;
    assert(c->vcpu < FAKE_VCPUS);
    r = finish(hv, guest, c);
    if (pci->die_in >= 0 && pci->die_in-- == 0)
        pci->dead = true;
    return r;
}

int hv_server_open(struct hv *hv, uint16_t domid, struct hv_server *server)
{
    struct fake_guest *guest = guest_of(hv, domid);

    if (!guest)
        return -1;
    if (guest->io.server_error) {
        errno = guest->io.server_error;
        return -1;
    }
    assert(!guest->io.server);
    free(guest->io.pages);
    guest->io.pages = calloc(2, PAGE);
    assert(guest->io.pages);
    guest->io.server = true;
    *server = (struct hv_server){ .domid = domid,
                                  .id = 1,
                                  .nr_vcpus = FAKE_VCPUS,
                                  .slot = guest->io.pages,
                                  .detail = detail_of(guest, 0),
                                  .pages = guest->io.pages };
    for (unsigned i = 0; i < FAKE_VCPUS; i++) {
        guest->io.vcpu[i].port = server->port[i] = fake_port(hv, NULL, &guest->io.vcpu[i]);
        guest->io.vcpu[i].masked = guest->io.vcpu[i].pending = false;
        show(hv, guest, i);
        guest->io.vcpu[i].pending = false; /* the event came before the port was bound */
    }
    return 0;
}

void hv_server_close(struct hv *hv, struct hv_server *server)
{
    struct fake_guest *guest = guest_of(hv, server->domid);

    for (unsigned i = 0; i < FAKE_VCPUS; i++)
        hv_unbind(server->port[i]);
    if (guest)
        guest->io.server = false;
}

void fake_killed(struct hv *hv)
{
    fake_pci(hv)->dead = false;
    fake_pci(hv)->die_in = -1;
    for (unsigned i = 0; i < FAKE_GUESTS; i++) {
        struct fake_io *io = &fake_guests(hv)[i].io;

        io->server = false;
        for (unsigned k = 0; k < FAKE_VCPUS; k++)
            io->vcpu[k].port = NULL;
    }
}

int xenlite_ioreq_statistics(xc_interface *xch, uint32_t domid,
                             struct xenlite_ioreq_statistics *out)
{
    struct fake_guest *guest = guest_of(hv_of(xch), domid);

    memset(out, 0, sizeof(*out));
    if (!guest)
        return -1;
    out->forwarded = guest->io.vcpu[0].sent + guest->io.vcpu[1].sent;
    return 0;
}

/* ---- devices ---- */

struct fake_device *fake_device(struct hv *hv, uint32_t sbdf, uint16_t owner, unsigned slot)
{
    struct fake_device *device = fake_pci(hv)->device;

    while (device->entry.sbdf)
        assert(++device < fake_pci(hv)->device + FAKE_DEVICES);
    device->entry = (struct xenlite_pci_entry){ .sbdf = sbdf,
                                                .vendor = 0x1b36,
                                                .device = 0x10,
                                                .owner = owner,
                                                .class_rev = 0x01080202,
                                                .slot = (uint8_t)slot };
    device->slot_state = slot ? XENLITE_PCI_SLOT_occupied : XENLITE_PCI_SLOT_empty;
    return device;
}

/* As the hypervisor lets wait: not the daemon, but its second thread only. */
static void wait_while(struct hv *hv, const bool *that)
{
    struct timespec pause = { .tv_nsec = 100000 };

    while (__atomic_load_n(that, __ATOMIC_ACQUIRE)) {
        assert(gettid() != getpid());
        __atomic_store_n(&fake_pci(hv)->waits, true, __ATOMIC_RELEASE);
        nanosleep(&pause, NULL);
    }
}

static void wait_for_reset(struct hv *hv)
{
    wait_while(hv, &fake_pci(hv)->resetting);
}

static void note_order(struct hv *hv, char what)
{
    char *order = fake_pci(hv)->order;
    const size_t len = strlen(order);

    if (len + 1 < sizeof(fake_pci(hv)->order))
        order[len] = what;
}

int xenlite_pci_list(xc_interface *xch, struct xenlite_pci_entry **out, unsigned *nr)
{
    wait_for_reset(hv_of(xch));
    note_order(hv_of(xch), 'l');
    if (missing(hv_of(xch)))
        return -1;
    *nr = 0;
    *out = calloc(FAKE_DEVICES, sizeof(**out));
    assert(*out);
    for (unsigned i = 0; i < FAKE_DEVICES; i++)
        if (fake_pci(hv_of(xch))->device[i].entry.sbdf)
            (*out)[(*nr)++] = fake_pci(hv_of(xch))->device[i].entry;
    return 0;
}

static struct fake_device *device_of(struct hv *hv, uint32_t sbdf)
{
    for (unsigned i = 0; i < FAKE_DEVICES; i++)
        if (fake_pci(hv)->device[i].entry.sbdf == sbdf)
            return &fake_pci(hv)->device[i];
    errno = ENODEV;
    return NULL;
}

int xenlite_pci_info(xc_interface *xch, uint32_t sbdf, struct xenlite_pci_info *out)
{
    wait_for_reset(hv_of(xch));
    memset(out, 0, sizeof(*out));
    if (missing(hv_of(xch)) || !device_of(hv_of(xch), sbdf))
        return -1;
    out->sbdf = sbdf;
    out->reset = XENLITE_PCI_RESET_flr | XENLITE_PCI_RESET_bus;
    out->bar[0] = (struct xenlite_pci_bar){ .addr = 0xfe000000,
                                            .size = 0x4000,
                                            .kind = XENLITE_PCI_BAR_mem64 };
    out->nr_group = 1;
    out->intx_pin = 1;
    out->intx_gsi = device_of(hv_of(xch), sbdf)->gsi;
    return 0;
}

int xenlite_pci_intx(xc_interface *xch, uint32_t domid, uint32_t sbdf, uint32_t gsi, uint32_t flags)
{
    struct fake_device *device;

    wait_for_reset(hv_of(xch));
    device = device_of(hv_of(xch), sbdf);
    if (!device || device->entry.owner != domid || flags) {
        errno = ENODEV;
        return -1;
    }
    device->gsi = gsi;
    device->connected++;
    return 0;
}

int xenlite_capabilities(xc_interface *xch, uint32_t hw_sbdf, struct xenlite_capability **out,
                         unsigned *nr)
{
    static const struct xenlite_capability caps[] = {
        { .offset = 0x40, .id = 1 },
        { .offset = 0x60, .id = 0x10 },
        { .offset = 0xb0, .id = 9 },
    };

    if (missing(hv_of(xch)) || !device_of(hv_of(xch), hw_sbdf))
        return -1;
    *out = malloc(sizeof(caps));
    memcpy(*out, caps, sizeof(caps));
    *nr = 3;
    return 0;
}

static int refuse(struct hv *hv, struct xenlite_pci_move *move, char *text, size_t len)
{
    struct fake_pci *pci = fake_pci(hv);

    snprintf(text, len, "%s", pci->refusal ? pci->refusal : "");
    if (!pci->refusal)
        return 0;
    pci->refusal = NULL;
    move->stage = XENLITE_PCI_STAGE_reserved;
    snprintf(move->rule_name, sizeof(move->rule_name), "DEVICE_RESERVED");
    errno = EPERM;
    return -1;
}

int xenlite_pci_attach(xc_interface *xch, uint32_t domid, struct xenlite_pci_move *move, char *text,
                       size_t len)
{
    struct fake_device *device = device_of(hv_of(xch), move->sbdf);

    wait_for_reset(hv_of(xch));
    if (missing(hv_of(xch)) || refuse(hv_of(xch), move, text, len) || !device ||
        !guest_of(hv_of(xch), domid))
        return -1;
    move->nr = 1;
    move->slot = move->slot ? move->slot : 1;
    if (move->flags & XENLITE_PCI_DRY_RUN)
        return 0;
    device->entry.owner = (uint16_t)domid;
    device->entry.slot = (uint8_t)move->slot;
    device->entry.flags = move->flags & XENLITE_PCI_PERMISSIVE ? XENLITE_PCI_IS_PERMISSIVE : 0;
    device->slot_state = XENLITE_PCI_SLOT_occupied;
    return 0;
}

int xenlite_pci_detach(xc_interface *xch, uint32_t domid, struct xenlite_pci_move *move, char *text,
                       size_t len)
{
    struct fake_device *device = device_of(hv_of(xch), move->sbdf);

    wait_for_reset(hv_of(xch));
    if (refuse(hv_of(xch), move, text, len) || !device || device->entry.owner != domid)
        return -1;
    device->entry.owner = 0;
    device->entry.slot = 0;
    return 0;
}

int xenlite_pci_slot(xc_interface *xch, uint32_t domid, struct xenlite_pci_slot_op *slot)
{
    struct fake_guest *guest = guest_of(hv_of(xch), domid);

    if (missing(hv_of(xch)) || !guest)
        return -1;
    if (!guest->io.root) {
        errno = ENODEV;
        return -1;
    }
    slot->state = XENLITE_PCI_SLOT_empty;
    for (unsigned i = 0; i < FAKE_DEVICES; i++) {
        struct fake_device *device = &fake_pci(hv_of(xch))->device[i];

        if (device->entry.owner != domid || device->entry.slot != slot->slot)
            continue;
        if (slot->action == XENLITE_PCI_SLOT_eject)
            device->slot_state = XENLITE_PCI_SLOT_ejecting;
        slot->state = device->slot_state;
    }
    return 0;
}

const char *xenlite_pci_stage_name(unsigned stage)
{
    return stage == XENLITE_PCI_STAGE_reserved ? "reserved" : NULL;
}

/* ---- traps, audit, tables: one plausible entry each ---- */

static int one(struct hv *hv, uint32_t domid, size_t size, void **out, unsigned *nr)
{
    if (missing(hv) || (domid && !guest_of(hv, domid)))
        return -1;
    *out = calloc(1, size);
    assert(*out);
    *nr = 1;
    return 0;
}

int xenlite_trap_regions(xc_interface *xch, uint32_t domid, struct xenlite_trap_region **out,
                         unsigned *nr)
{
    if (one(hv_of(xch), domid, sizeof(**out), (void **)out, nr))
        return -1;
    **out = (struct xenlite_trap_region){
        .first = 0xe0000000, .last = 0xe3ffffff, .reads = 12, .name = "ecam"
    };
    return 0;
}

int xenlite_trap_functions(xc_interface *xch, uint32_t domid, struct xenlite_trap_function **out,
                           unsigned *nr)
{
    if (one(hv_of(xch), domid, sizeof(**out), (void **)out, nr))
        return -1;
    **out = (struct xenlite_trap_function){ .sbdf = 0x100, .hw_sbdf = 0x28, .writes = 3 };
    return 0;
}

int xenlite_trap_registers(xc_interface *xch, uint32_t domid, uint32_t sbdf,
                           struct xenlite_trap_register **out, unsigned *nr)
{
    (void)sbdf;
    if (one(hv_of(xch), domid, sizeof(**out), (void **)out, nr))
        return -1;
    **out = (struct xenlite_trap_register){ .offset = 0x68, .writes = 3 };
    return 0;
}

int xenlite_exit_counts(xc_interface *xch, uint32_t domid, uint32_t vcpu,
                        struct xenlite_exit_count **out, unsigned *nr)
{
    (void)vcpu;
    if (one(hv_of(xch), domid, sizeof(**out), (void **)out, nr))
        return -1;
    **out = (struct xenlite_exit_count){ .name = "cpuid", .count = 5 };
    return 0;
}

int xenlite_rules(xc_interface *xch, struct xenlite_rule **out, unsigned *nr)
{
    if (one(hv_of(xch), 0, sizeof(**out), (void **)out, nr))
        return -1;
    **out = (struct xenlite_rule){ .name = "CONFIG_FILTERED", .sentence = "a register is hidden" };
    return 0;
}

int xenlite_handlers(xc_interface *xch, struct xenlite_handler **out, unsigned *nr)
{
    if (one(hv_of(xch), 0, sizeof(**out), (void **)out, nr))
        return -1;
    **out = (struct xenlite_handler){ .name = "vpci" };
    return 0;
}

int xenlite_denials(xc_interface *xch, struct xenlite_trap_record **out, unsigned *nr)
{
    if (one(hv_of(xch), 0, sizeof(**out), (void **)out, nr))
        return -1;
    **out = (struct xenlite_trap_record){
        .kind = XENLITE_TRAP_DENY, .domid = 7, .sbdf = 0x28, .disposition = XENLITE_DENIED
    };
    return 0;
}

int xenlite_trace_start(xc_interface *xch, struct xenlite_trace_session *session)
{
    if (missing(hv_of(xch)))
        return -1;
    if (fake_pci(hv_of(xch))->tracing) {
        errno = EBUSY;
        return -1;
    }
    fake_pci(hv_of(xch))->tracing = true;
    session->cpus = 1;
    return 0;
}

int xenlite_trace_stop(xc_interface *xch, const struct xenlite_trace_session *session)
{
    (void)session;
    fake_pci(hv_of(xch))->tracing = false;
    return 0;
}

int xenlite_trace_read_all(xc_interface *xch, const struct xenlite_trace_session *session,
                           struct xenlite_trap_record **out, unsigned *nr, uint64_t *lost)
{
    struct fake_pci *pci = fake_pci(hv_of(xch));

    (void)session;
    *nr = pci->records;
    *lost = 0;
    pci->records = 0;
    *out = calloc(*nr + 1, sizeof(**out));
    assert(*out);
    for (unsigned i = 0; i < *nr; i++)
        (*out)[i] = (struct xenlite_trap_record){ .time = i,
                                                  .domid = i % 2 ? 7 : 8,
                                                  .kind = XENLITE_TRAP_DECIDE,
                                                  .sbdf = XENLITE_NO_DEVICE,
                                                  .reason = 4,
                                                  .size = 4 };
    return 0;
}

int xenlite_audit(xc_interface *xch, struct xenlite_breach *breaches, unsigned max,
                  struct xenlite_audit_run *result)
{
    assert(gettid() != getpid());
    wait_while(hv_of(xch), &fake_pci(hv_of(xch))->walking);
    note_order(hv_of(xch), 'a');
    if (missing(hv_of(xch)))
        return -1;
    assert(max >= 1);
    breaches[0] = (struct xenlite_breach){
        .sentence = 1, .domid = 7, .sbdf = XENLITE_NO_DEVICE, .gfn = 5, .mfn = 6, .text = "a frame"
    };
    *result = (struct xenlite_audit_run){ .nr = 1, .breaches = 1, .frames = 1000 };
    return 0;
}

int xenlite_p2m(xc_interface *xch, uint32_t domid, struct xenlite_p2m *out)
{
    assert(gettid() != getpid());
    wait_while(hv_of(xch), &fake_pci(hv_of(xch))->walking);
    note_order(hv_of(xch), 'p');
    if (missing(hv_of(xch)) || !guest_of(hv_of(xch), domid))
        return -1;
    memset(out, 0, sizeof(*out));
    strcpy(out->type[1], "ram");
    out->frames[1] = 131072;
    return 0;
}

int xenlite_explain(xc_interface *xch, uint32_t domid, uint64_t address,
                    struct xenlite_explain *out)
{
    (void)domid;
    (void)xch;
    memset(out, 0, sizeof(*out));
    out->gfn = address >> 12;
    out->levels = 4;
    strcpy(out->type_name, "ram");
    return 0;
}

int xenlite_iommu(xc_interface *xch, struct xenlite_iommu *out)
{
    memset(out, 0, sizeof(*out));
    out->present = 1;
    return missing(hv_of(xch));
}

int xenlite_iommu_units(xc_interface *xch, struct xenlite_iommu_unit **out, unsigned *nr)
{
    return one(hv_of(xch), 0, sizeof(**out), (void **)out, nr);
}

int xenlite_iommu_devices(xc_interface *xch, struct xenlite_iommu_device **out, unsigned *nr)
{
    return one(hv_of(xch), 0, sizeof(**out), (void **)out, nr);
}

int xenlite_iommu_faults(xc_interface *xch, struct xenlite_iommu_fault **out, unsigned *nr)
{
    return one(hv_of(xch), 0, sizeof(**out), (void **)out, nr);
}
