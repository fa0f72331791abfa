/* SPDX-License-Identifier: MIT */
/* The hypervisor, through Xen's own client libraries. */
#include "dm/hv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <unistd.h>
#include <xen/hvm/params.h>
#include <xencall.h>
#include <xenlite/xenlite.h>

#include "dm/hv_priv.h"

#define LIST_STEP 64u
/* Domain numbers end at DOMID_FIRST_RESERVED: a longer list is a hypervisor that lies or a loop. */
#define LIST_MAX DOMID_FIRST_RESERVED

struct hv_port {
    xenevtchn_handle *handle;
    evtchn_port_t port; /* ours */
};

static xenevtchn_handle *open_evtchn(void)
{
    xenevtchn_handle *handle = xenevtchn_open(NULL, 0);
    int flags;

    if (!handle)
        return NULL;
    flags = fcntl(xenevtchn_fd(handle), F_GETFL);
    if (flags >= 0 && !fcntl(xenevtchn_fd(handle), F_SETFL, flags | O_NONBLOCK))
        return handle;
    flags = errno;
    xenevtchn_close(handle);
    errno = flags;
    return NULL;
}

/* Is the driver there? Each channel opens it again. */
static bool can_open_evtchn(void)
{
    xenevtchn_handle *handle = open_evtchn();

    return handle && !xenevtchn_close(handle);
}

struct hv *hv_open(const char **what)
{
    struct hv *hv = calloc(1, sizeof(*hv));
    int error;

    *what = "memory";
    if (!hv)
        return NULL;
    *what = "/dev/xen/privcmd (libxenctrl)";
    hv->xc = xc_interface_open(NULL, NULL, 0);
    hv->worker_xc = xc_interface_open(NULL, NULL, 0);
    if (hv->xc && hv->worker_xc)
        *what = "/dev/xen/evtchn (libxenevtchn)";
    if (hv->xc && hv->worker_xc && can_open_evtchn()) {
        *what = "/dev/xen/privcmd (libxenforeignmemory)";
        hv->fmem = xenforeignmemory_open(NULL, 0);
    }
    if (hv->fmem) {
        *what = "/dev/xen/privcmd (libxendevicemodel)";
        hv->dmod = xendevicemodel_open(NULL, 0);
    }
    if (hv->dmod)
        hv->complete =
            xencall_alloc_buffer(xc_interface_xcall_handle(hv->xc), sizeof(*hv->complete));
    if (hv->complete) {
        memset(hv->complete, 0, sizeof(*hv->complete));
        return hv;
    }
    error = errno;
    hv_close(hv);
    errno = error;
    return NULL;
}

void hv_close(struct hv *hv)
{
    if (!hv)
        return;
    if (hv->complete)
        xencall_free_buffer(xc_interface_xcall_handle(hv->xc), hv->complete);
    if (hv->dmod)
        xendevicemodel_close(hv->dmod);
    if (hv->fmem)
        xenforeignmemory_close(hv->fmem);
    if (hv->worker_xc)
        xc_interface_close(hv->worker_xc);
    if (hv->xc)
        xc_interface_close(hv->xc);
    free(hv);
}

int hv_version(struct hv *hv, char *buf, size_t size)
{
    xen_extraversion_t extra = "";
    int version = xc_version(hv->xc, XENVER_version, NULL);

    if (version < 0 || xc_version(hv->xc, XENVER_extraversion, &extra) < 0)
        return -1;
    extra[sizeof(extra) - 1] = 0;
    snprintf(buf, size, "%d.%d%s", version >> 16, version & 0xffff, extra);
    return 0;
}

static void convert(struct hv_domain *out, const xc_domaininfo_t *in)
{
    const unsigned flags = in->flags;

    *out = (struct hv_domain){
        .domid = in->domain,
        .hvm = flags & XEN_DOMINF_hvm_guest,
        .running = flags & XEN_DOMINF_running,
        .blocked = flags & XEN_DOMINF_blocked,
        .paused = flags & XEN_DOMINF_paused,
        .shutdown = flags & XEN_DOMINF_shutdown,
        .dying = flags & XEN_DOMINF_dying,
        .shutdown_reason = HV_NO_REASON,
        .vcpus = in->nr_online_vcpus,
        .memory_kib = in->tot_pages * 4,
        .max_memory_kib = in->max_pages > UINT64_MAX / 4 ? UINT64_MAX : in->max_pages * 4,
        .cpu_ns = in->cpu_time,
    };
    if (out->shutdown)
        out->shutdown_reason = flags >> XEN_DOMINF_shutdownshift & XEN_DOMINF_shutdownmask;
    memcpy(out->uuid, in->handle, sizeof(out->uuid));
}

int hv_list(struct hv *hv, struct hv_domain **list)
{
    xc_domaininfo_t part[LIST_STEP];
    struct hv_domain *all = NULL, *more;
    unsigned total = 0, first = 0;
    int n;

    do {
        n = xc_domain_getinfolist(hv->xc, first, LIST_STEP, part);
        if (n < 0 || n > (int)LIST_STEP || total > LIST_MAX)
            goto fail;
        more = realloc(all, (total + LIST_STEP) * sizeof(*all));
        if (!more)
            goto fail;
        all = more;
        for (int i = 0; i < n; i++)
            convert(&all[total++], &part[i]);
        if (n)
            first = part[n - 1].domain + 1u;
    } while (n == (int)LIST_STEP);
    *list = all;
    return (int)total;
fail:
    free(all);
    return -1;
}

int hv_console_params(struct hv *hv, uint16_t domid, uint64_t *gfn, uint32_t *port)
{
    uint64_t value;

    if (xc_hvm_param_get(hv->xc, domid, HVM_PARAM_CONSOLE_PFN, gfn) ||
        xc_hvm_param_get(hv->xc, domid, HVM_PARAM_CONSOLE_EVTCHN, &value))
        return -1;
    *port = value > UINT32_MAX ? 0 : (uint32_t)value;
    return 0;
}

void *hv_map(struct hv *hv, uint16_t domid, uint64_t gfn)
{
    xen_pfn_t frame = gfn;
    int err = 0;
    void *page = xenforeignmemory_map(hv->fmem, domid, PROT_READ | PROT_WRITE, 1, &frame, &err);

    if (page && err) {
        xenforeignmemory_unmap(hv->fmem, page, 1);
        errno = err < 0 ? -err : err;
        return NULL;
    }
    return page;
}

void hv_unmap(struct hv *hv, void *page)
{
    xenforeignmemory_unmap(hv->fmem, page, 1);
}

struct hv_port *hv_bind(struct hv *hv, uint16_t domid, uint32_t remote_port)
{
    struct hv_port *port = calloc(1, sizeof(*port));
    xenevtchn_port_or_error_t ours = -1;
    int error;

    (void)hv;
    if (!port)
        return NULL;
    port->handle = open_evtchn();
    if (port->handle)
        ours = xenevtchn_bind_interdomain(port->handle, domid, remote_port);
    if (ours >= 0) {
        port->port = (evtchn_port_t)ours;
        return port;
    }
    error = errno;
    hv_unbind(port);
    errno = error;
    return NULL;
}

/* The driver unbinds what is bound when its file is closed. */
void hv_unbind(struct hv_port *port)
{
    if (!port)
        return;
    if (port->handle)
        xenevtchn_close(port->handle);
    free(port);
}

void hv_notify(struct hv_port *port)
{
    xenevtchn_notify(port->handle, port->port);
}

bool hv_take(struct hv_port *port)
{
    return xenevtchn_pending(port->handle) >= 0;
}

void hv_unmask(struct hv_port *port)
{
    xenevtchn_unmask(port->handle, port->port);
}

int hv_port_fd(const struct hv_port *port)
{
    return xenevtchn_fd(port->handle);
}
