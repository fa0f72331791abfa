/* SPDX-License-Identifier: MIT */
/* The scheduling commands of xenlite_op (xenlite_sched.h). */
#include "xenlite_sched.h"

#include <errno.h>
#include <string.h>
#include <xencall.h>

/* args: the command's structure, `size` bytes, both ways. */
static int run(uint32_t cmd, uint32_t domid, void *args, size_t size)
{
    xencall_handle *call = xencall_open(NULL, 0);
    struct xenlite_op *op = call != NULL ? xencall_alloc_buffer(call, sizeof(*op)) : NULL;
    int rc = -1, error = ENOMEM;

    if (call == NULL) {
        return -1;
    }
    if (op != NULL) {
        memset(op, 0, sizeof(*op));
        op->cmd = cmd;
        op->interface_version = XENLITE_INTERFACE_VERSION;
        op->domid = (uint16_t)domid;
        memcpy(op->args, args, size);
        rc = xencall1(call, XENLITE_HYPERCALL, (uint64_t)(uintptr_t)op);
        error = errno;
        memcpy(args, op->args, size);
        xencall_free_buffer(call, op);
    }
    xencall_close(call);
    errno = error;
    return rc < 0 ? -1 : 0;
}

int xenlite_sched_dedicate(xc_interface *xch, uint32_t domid,
                           const uint64_t cpus[XENLITE_SCHED_CPUS / 64])
{
    struct xenlite_sched_dedicate args;

    (void)xch;
    memcpy(args.cpus, cpus, sizeof(args.cpus));
    return run(XENLITE_SCHED_dedicate, domid, &args, sizeof(args));
}

int xenlite_sched_get_vcpu(xc_interface *xch, uint32_t domid, unsigned vcpu,
                           struct xenlite_sched_vcpu *out)
{
    (void)xch;
    memset(out, 0, sizeof(*out));
    out->vcpu = vcpu;
    return run(XENLITE_SCHED_get_vcpu, domid, out, sizeof(*out));
}
