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

#define FIRST_PORT 10

struct hv {
    struct fake_guest guest[FAKE_GUESTS];
    int fd;
    bool fail_list;
    int last_port;
    unsigned turn; /* whose event is looked for next */
    struct fake_pci pci;
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
    hv->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    hv->last_port = FIRST_PORT;
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
    close(hv->fd);
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
    guest->port = 0;
    maybe_free(guest);
}

void fake_update(struct hv *hv)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < FAKE_GUESTS; i++) {
        value |= hv->guest[i].port && hv->guest[i].pending && !hv->guest[i].masked;
        for (unsigned k = 0; k < FAKE_VCPUS; k++) {
            const struct fake_vcpu *v = &hv->guest[i].io.vcpu[k];

            value |= v->port && v->pending && !v->masked;
        }
    }
    value &= !hv->pci.dead;
    if (value)
        assert(write(hv->fd, &value, sizeof(value)) == sizeof(value));
    else if (read(hv->fd, &value, sizeof(value)) < 0)
        assert(errno == EAGAIN);
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

static struct fake_vcpu *vcpu_by_port(struct hv *hv, int port)
{
    for (unsigned i = 0; port > 0 && i < FAKE_GUESTS; i++)
        for (unsigned k = 0; k < FAKE_VCPUS; k++)
            if (hv->guest[i].io.vcpu[k].port == port)
                return &hv->guest[i].io.vcpu[k];
    return NULL;
}

int fake_next_port(struct hv *hv)
{
    return hv->last_port++;
}

static struct fake_guest *find(struct hv *hv, uint16_t domid)
{
    for (unsigned i = 0; i < FAKE_GUESTS; i++)
        if (hv->guest[i].listed && hv->guest[i].info.domid == domid)
            return &hv->guest[i];
    errno = ESRCH;
    return NULL;
}

static struct fake_guest *by_port(struct hv *hv, int port)
{
    for (unsigned i = 0; i < FAKE_GUESTS; i++)
        if (hv->guest[i].port == port)
            return &hv->guest[i];
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

int hv_bind(struct hv *hv, uint16_t domid, uint32_t remote_port)
{
    struct fake_guest *guest = find(hv, domid);

    if (!guest || remote_port != FAKE_PORT || guest->port_taken || guest->port) {
        errno = EINVAL;
        return -1;
    }
    guest->port = hv->last_port++;
    guest->masked = false;
    return guest->port;
}

void hv_unbind(struct hv *hv, int port)
{
    struct fake_guest *guest = by_port(hv, port);
    struct fake_vcpu *v = vcpu_by_port(hv, port);

    if (guest)
        guest->port = 0;
    if (v)
        v->port = 0;
}

void hv_notify(struct hv *hv, int port)
{
    struct fake_guest *guest = by_port(hv, port);

    if (guest)
        guest->notified++;
}

static int take_console(struct fake_guest *guest)
{
    if (!guest->port || !guest->pending || guest->masked)
        return -1;
    guest->pending = false;
    guest->masked = true;
    return guest->port;
}

static int take_request(struct fake_vcpu *v)
{
    if (!v->port || !v->pending || v->masked)
        return -1;
    v->pending = false;
    v->masked = true;
    return v->port;
}

/* In turn, as the kernel gives them in the order in which they came. */
int hv_pending(struct hv *hv)
{
    int port = -1;

    for (unsigned n = 0; port < 0 && n < FAKE_GUESTS * (FAKE_VCPUS + 1); n++) {
        const unsigned turn = ++hv->turn % (FAKE_GUESTS * (FAKE_VCPUS + 1));
        struct fake_guest *guest = &hv->guest[turn / (FAKE_VCPUS + 1)];
        const unsigned which = turn % (FAKE_VCPUS + 1);

        if (which == FAKE_VCPUS)
            port = take_console(guest);
        else if (!hv->pci.dead)
            port = take_request(&guest->io.vcpu[which]);
    }
    fake_update(hv);
    return port;
}

void hv_unmask(struct hv *hv, int port)
{
    struct fake_guest *guest = by_port(hv, port);

    struct fake_vcpu *v = vcpu_by_port(hv, port);

    if (guest)
        guest->masked = false;
    if (v)
        v->masked = false;
    fake_update(hv);
}

int hv_fd(struct hv *hv)
{
    return hv->fd;
}
