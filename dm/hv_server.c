/* SPDX-License-Identifier: MIT */
/* Ioreq servers, through Xen's client libraries and libxenlite. */
#include "dm/hv_server.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include <xen/hvm/dm_op.h>
#include <xen/hvm/hvm_op.h>
#include <xen/hvm/ioreq.h>
#include <xen/memory.h>
#include <xencall.h>

#include "dm/hv.h"
#include "dm/hv_priv.h"

#define LAST_SBDF 0xffffu /* of segment 0, which is all that a guest has */

xc_interface *hv_xc(struct hv *hv)
{
    return hv->xc;
}

xc_interface *hv_worker_xc(struct hv *hv)
{
    return hv->worker_xc;
}

void hv_keep_worker_xc(struct hv *hv)
{
    hv->worker_xc = NULL;
}

/*
 * All functions at once: a guest numbers its buses itself, so nobody knows beforehand which it will have. libxendevicemodel's
 * function takes one only.
 */
static int map_functions(struct hv *hv, const struct hv_server *server)
{
    xencall_handle *xcall = xc_interface_xcall_handle(hv->xc);
    struct {
        struct xen_dm_op op;
        struct xen_dm_op_buf buf;
    } *args = xencall_alloc_buffer(xcall, sizeof(*args));
    struct xen_dm_op_ioreq_server_range *range;
    int r, error;

    if (!args)
        return -1;
    memset(args, 0, sizeof(*args));
    args->op.op = XEN_DMOP_map_io_range_to_ioreq_server;
    range = &args->op.u.map_io_range_to_ioreq_server;
    range->id = server->id;
    range->type = XEN_DMOP_IO_RANGE_PCI;
    range->end = LAST_SBDF;
    set_xen_guest_handle_raw(args->buf.h, &args->op);
    args->buf.size = sizeof(args->op);
    r = xencall3(xcall, __HYPERVISOR_dm_op, server->domid, 1, (uint64_t)(uintptr_t)&args->buf);
    error = errno;
    xencall_free_buffer(xcall, args);
    errno = error;
    return r < 0 ? -1 : 0;
}

static int map_pages(struct hv *hv, struct hv_server *server)
{
    void *pages = NULL;

    server->pages = xenforeignmemory_map_resource(
        hv->fmem, server->domid, XENMEM_resource_ioreq_server, server->id,
        XENLITE_IOREQ_FRAME_SLOTS, 2, &pages, PROT_READ | PROT_WRITE, 0);
    if (!server->pages)
        return -1;
    server->slot = pages;
    server->detail = (void *)((char *)pages + XC_PAGE_SIZE);
    return 0;
}

/* Ports are in the slots from the moment the server is enabled. */
static int bind_ports(struct hv *hv, struct hv_server *server)
{
    for (unsigned i = 0; i < server->nr_vcpus; i++) {
        server->port[i] = hv_bind(hv, server->domid, server->slot[i].vp_eport);
        if (!server->port[i])
            return -1;
    }
    return 0;
}

int hv_server_open(struct hv *hv, uint16_t domid, struct hv_server *server)
{
    ioservid_t id;
    unsigned nr = 0;
    int error;

    memset(server, 0, sizeof(*server));
    if (xendevicemodel_nr_vcpus(hv->dmod, domid, &nr) ||
        xendevicemodel_create_ioreq_server(hv->dmod, domid, HVM_IOREQSRV_BUFIOREQ_OFF, &id))
        return -1;
    server->domid = domid;
    server->id = id;
    server->nr_vcpus = nr > HV_VCPUS_MAX ? HV_VCPUS_MAX : nr;
    if (!map_functions(hv, server) && !map_pages(hv, server) &&
        !xendevicemodel_set_ioreq_server_state(hv->dmod, domid, id, 1) && !bind_ports(hv, server))
        return 0;
    error = errno;
    hv_server_close(hv, server);
    errno = error;
    return -1;
}

void hv_server_close(struct hv *hv, struct hv_server *server)
{
    for (unsigned i = 0; i < server->nr_vcpus; i++)
        hv_unbind(server->port[i]);
    if (server->pages)
        xenforeignmemory_unmap_resource(hv->fmem, server->pages);
    (void)xendevicemodel_destroy_ioreq_server(hv->dmod, server->domid, server->id);
    memset(server, 0, sizeof(*server));
}

int hv_complete(struct hv *hv, uint16_t domid, const struct xenlite_ioreq_complete *complete)
{
    struct xenlite_op *op = hv->complete;

    op->cmd = XENLITE_IOREQ_complete;
    op->interface_version = XENLITE_INTERFACE_VERSION;
    op->domid = domid;
    memcpy(op->args, complete, sizeof(*complete));
    return xencall1(xc_interface_xcall_handle(hv->xc), XENLITE_HYPERCALL, (uint64_t)(uintptr_t)op) <
                   0
               ? -1
               : 0;
}
