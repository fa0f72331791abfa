/* SPDX-License-Identifier: MIT */
/* A simulated hypervisor for xl-dmd. */
#include "dm_fake_hv.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct hv {
    struct fake_guest guest[FAKE_GUESTS];
    bool fail_list;
    struct fake_pci pci;
};

/* The daemon's end: of a guest's console, or of a vCPU's requests. */
struct hv_port {
    struct hv *hv;
    struct fake_guest *guest;
    struct fake_vcpu *vcpu;
    int fd; /* readable when an event has come */
    bool taken;
};

struct fake_pci *fake_pci(struct hv *hv)
{
    return &hv->pci;
}

struct fake_guest *fake_guests(struct hv *hv)
{
    return hv->guest;
}

struct hv *fake_open(void)
{
    struct hv *hv = calloc(1, sizeof(*hv));

    assert(hv);
    hv->pci.die_in = -1;
    return hv;
}

static void maybe_free(struct fake_guest *guest)
{
    if (guest->listed || guest->mapped)
        return;
    free(guest->page);
    free(guest->io.pages);
    memset(guest, 0, sizeof(*guest));
}

void fake_close(struct hv *hv)
{
    for (unsigned i = 0; i < FAKE_GUESTS; i++) {
        assert(!hv->guest[i].mapped && !hv->guest[i].port);
        if (hv->guest[i].listed)
            fake_remove(&hv->guest[i]);
    }
    free(hv);
}

struct fake_guest *fake_add(struct hv *hv, uint16_t domid, uint8_t uuid_byte)
{
    struct fake_guest *guest = hv->guest;

    while (guest->listed || guest->mapped)
        assert(++guest < hv->guest + FAKE_GUESTS);
    guest->listed = guest->has_console = true;
    guest->page = calloc(1, sizeof(*guest->page));
    assert(guest->page);
    guest->info = (struct hv_domain){
        .domid = domid, .hvm = true, .blocked = true, .shutdown_reason = HV_NO_REASON,
        .vcpus = 2, .memory_kib = 524288, .max_memory_kib = 525312, .cpu_ns = 12345678901,
    };
    memset(guest->info.uuid, uuid_byte, sizeof(guest->info.uuid));
    return guest;
}

void fake_remove(struct fake_guest *guest)
{
    guest->listed = false;
    guest->port = NULL;
    maybe_free(guest);
}

/* As the kernel's driver: it masks the port when the event comes, and the daemon reads of it when it gets there. */
static void deliver(const struct hv *hv, const struct hv_port *port, bool *pending, bool *masked)
{
    const uint64_t one = 1;

    if (!port || !*pending || *masked || hv->pci.dead)
        return;
    *pending = false;
    *masked = true;
    assert(write(port->fd, &one, sizeof(one)) == sizeof(one));
}

void fake_update(struct hv *hv)
{
    for (unsigned i = 0; i < FAKE_GUESTS; i++) {
        struct fake_guest *guest = &hv->guest[i];

        deliver(hv, guest->port, &guest->pending, &guest->masked);
        for (unsigned k = 0; k < FAKE_VCPUS; k++) {
            struct fake_vcpu *v = &guest->io.vcpu[k];

            deliver(hv, v->port, &v->pending, &v->masked);
        }
    }
}

void fake_send_event(struct hv *hv, struct fake_guest *guest)
{
    guest->pending = true;
    fake_update(hv);
}

void fake_write(struct hv *hv, struct fake_guest *guest, const char *text)
{
    struct xencons_interface *page = guest->page;

    for (; *text; text++) {
        assert(page->out_prod - page->out_cons < sizeof(page->out));
        page->out[MASK_XENCONS_IDX(page->out_prod, page->out)] = *text;
        page->out_prod++;
    }
    fake_send_event(hv, guest);
}

size_t fake_read(struct fake_guest *guest, char *buf)
{
    struct xencons_interface *page = guest->page;
    size_t n = 0;

    while (page->in_cons != page->in_prod)
        buf[n++] = page->in[MASK_XENCONS_IDX(page->in_cons++, page->in)];
    return n;
}

void fake_fail_list(struct hv *hv, bool fail)
{
    hv->fail_list = fail;
}

struct hv_port *fake_port(struct hv *hv, struct fake_guest *guest, struct fake_vcpu *v)
{
    struct hv_port *port = calloc(1, sizeof(*port));

    assert(port);
    *port = (struct hv_port){ .hv = hv, .guest = guest, .vcpu = v };
    port->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    assert(port->fd >= 0);
    return port;
}

static struct fake_guest *find(struct hv *hv, uint16_t domid)
{
    for (unsigned i = 0; i < FAKE_GUESTS; i++)
        if (hv->guest[i].listed && hv->guest[i].info.domid == domid)
            return &hv->guest[i];
    errno = ESRCH;
    return NULL;
}

int hv_version(struct hv *hv, char *buf, size_t size)
{
    (void)hv;
    snprintf(buf, size, "4.17-fake");
    return 0;
}

int hv_list(struct hv *hv, struct hv_domain **list)
{
    int n = 0;

    if (hv->fail_list) {
        errno = EACCES;
        return -1;
    }
    *list = calloc(FAKE_GUESTS + 1, sizeof(**list));
    assert(*list);
    (*list)[n++] = (struct hv_domain){ .running = true, .vcpus = 2, .max_memory_kib = UINT64_MAX };
    for (unsigned i = 0; i < FAKE_GUESTS; i++)
        if (hv->guest[i].listed)
            (*list)[n++] = hv->guest[i].info;
    return n;
}

int hv_console_params(struct hv *hv, uint16_t domid, uint64_t *gfn, uint32_t *port)
{
    struct fake_guest *guest = find(hv, domid);

    if (!guest)
        return -1;
    *gfn = guest->has_console ? FAKE_GFN : 0;
    *port = guest->has_console ? FAKE_PORT : 0;
    return 0;
}

void *hv_map(struct hv *hv, uint16_t domid, uint64_t gfn)
{
    struct fake_guest *guest = find(hv, domid);

    if (!guest || gfn != FAKE_GFN) {
        errno = EINVAL;
        return NULL;
    }
    assert(!guest->mapped);
    guest->mapped = true;
    return guest->page;
}

void hv_unmap(struct hv *hv, void *page)
{
    for (unsigned i = 0; i < FAKE_GUESTS; i++) {
        if (hv->guest[i].page == page) {
            assert(hv->guest[i].mapped);
            hv->guest[i].mapped = false;
            maybe_free(&hv->guest[i]);
            return;
        }
    }
    assert(!"unmapping what is not mapped");
}

struct hv_port *hv_bind(struct hv *hv, uint16_t domid, uint32_t remote_port)
{
    struct fake_guest *guest = find(hv, domid);

    if (!guest || remote_port != FAKE_PORT || guest->bind_error || guest->port) {
        errno = guest && guest->bind_error ? guest->bind_error : EINVAL;
        return NULL;
    }
    guest->port = fake_port(hv, guest, NULL);
    guest->masked = false;
    fake_update(hv);
    return guest->port;
}

/* Guests go, and daemons are killed: the other side may be another's by now. */
static struct fake_guest *console_of(const struct hv_port *port)
{
    return port->guest && port->guest->port == port ? port->guest : NULL;
}

static struct fake_vcpu *vcpu_of(const struct hv_port *port)
{
    return port->vcpu && port->vcpu->port == port ? port->vcpu : NULL;
}

void hv_unbind(struct hv_port *port)
{
    if (!port)
        return;
    if (console_of(port))
        port->guest->port = NULL;
    if (vcpu_of(port))
        port->vcpu->port = NULL;
    close(port->fd);
    free(port);
}

void hv_notify(struct hv_port *port)
{
    if (console_of(port))
        port->guest->notified++;
}

bool hv_take(struct hv_port *port)
{
    uint64_t value;

    if (port->hv->pci.dead || read(port->fd, &value, sizeof(value)) != sizeof(value))
        return false;
    assert(!port->taken);
    port->taken = true;
    return true;
}

void hv_unmask(struct hv_port *port)
{
    struct fake_guest *guest = console_of(port);
    struct fake_vcpu *v = vcpu_of(port);

    /* Otherwise the kernel's ring would have its port twice, see hv.h. */
    assert(port->taken);
    port->taken = false;
    if (guest)
        guest->masked = false;
    if (v)
        v->masked = false;
    fake_update(port->hv);
}

int hv_port_fd(const struct hv_port *port)
{
    return port->fd;
}
