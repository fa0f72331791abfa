/* SPDX-License-Identifier: MIT */
/*
 * libxenlite: the extension hypercall itself, and its commands about traps, audit, page tables and DMA remapping. Buffers that
 * the hypervisor writes come from libxencall, because only those are sure not to be moved under its hands.
 */
#include "xenlite.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <xencall.h>

#include "xenlite_priv.h"

/* Of a list; doubled when there is more. */
#define FIRST_ROOM 64u
/* More than any list has; a hypervisor that says otherwise is not believed. */
#define MOST_ENTRIES 1000000u
#define AUDIT_TRIES  5

int xenlite_call(xc_interface *xch, uint32_t cmd, uint32_t domid, void *args, size_t size)
{
    xencall_handle *xcall = xc_interface_xcall_handle(xch);
    struct xenlite_op *op;
    int rc, error;

    if (size > XENLITE_OP_ARGS || domid > UINT16_MAX) {
        errno = EINVAL;
        return -1;
    }
    op = xencall_alloc_buffer(xcall, sizeof(*op));
    if (op == NULL) {
        return -1;
    }
    memset(op, 0, sizeof(*op));
    op->cmd = cmd;
    op->interface_version = XENLITE_INTERFACE_VERSION;
    op->domid = (uint16_t)domid;
    if (size != 0) {
        memcpy(op->args, args, size);
    }
    rc = xencall1(xcall, XENLITE_HYPERCALL, (uint64_t)(uintptr_t)op);
    error = errno;
    if (size != 0) {
        memcpy(args, op->args, size);
    }
    xencall_free_buffer(xcall, op);
    errno = error;
    return rc < 0 ? -1 : 0;
}

void *xenlite_buffer(xc_interface *xch, size_t size)
{
    return xencall_alloc_buffer(xc_interface_xcall_handle(xch), size);
}

void xenlite_buffer_free(xc_interface *xch, void *buffer)
{
    const int error = errno;

    if (buffer != NULL) {
        xencall_free_buffer(xc_interface_xcall_handle(xch), buffer);
    }
    errno = error;
}

/* One try with room for so many; *total is what there is. */
static int list_once(xc_interface *xch, uint32_t cmd, uint32_t domid, uint32_t arg, size_t entry,
                     unsigned room, void **out, unsigned *nr, unsigned *total)
{
    struct xenlite_list list = { .entry_size = (uint32_t)entry, .max = room, .arg = arg };
    void *buffer = xenlite_buffer(xch, entry * room);

    if (buffer == NULL) {
        return -1;
    }
    memset(buffer, 0, entry * room);
    list.buffer = (uintptr_t)buffer;
    *out = NULL;
    if (xenlite_call(xch, cmd, domid, &list, sizeof(list)) == 0) {
        *nr = list.nr < room ? list.nr : room;
        *total = list.total;
        *out = malloc(*nr * entry + 1);
        if (*out != NULL) {
            memcpy(*out, buffer, *nr * entry);
        }
    }
    xenlite_buffer_free(xch, buffer);
    return *out != NULL ? 0 : -1;
}

int xenlite_list_all(xc_interface *xch, uint32_t cmd, uint32_t domid, uint32_t arg, size_t entry,
                     void **out, unsigned *nr)
{
    unsigned room = FIRST_ROOM, total = 0;

    for (;;) {
        if (list_once(xch, cmd, domid, arg, entry, room, out, nr, &total) != 0) {
            return -1;
        }
        if (total <= room) {
            return 0;
        }
        free(*out);
        if (total > MOST_ENTRIES) {
            errno = EPROTO;
            return -1;
        }
        /* It may grow meanwhile. */
        room = total + total / 8;
    }
}

static int info(xc_interface *xch, uint32_t cmd, uint32_t domid, uint64_t arg, void *out,
                size_t size)
{
    struct xenlite_info args = { .size = (uint32_t)size, .arg = arg };
    void *buffer = xenlite_buffer(xch, size);
    int rc;

    if (buffer == NULL) {
        return -1;
    }
    memset(buffer, 0, size);
    args.buffer = (uintptr_t)buffer;
    rc = xenlite_call(xch, cmd, domid, &args, sizeof(args));
    if (rc == 0) {
        memcpy(out, buffer, size);
    }
    xenlite_buffer_free(xch, buffer);
    return rc;
}

/* ---- trap counters ---- */

int xenlite_trap_regions(xc_interface *xch, uint32_t domid, struct xenlite_trap_region **out,
                         unsigned *nr)
{
    return xenlite_list_all(xch, XENLITE_TRACE_regions, domid, 0, sizeof(**out), (void **)out, nr);
}

int xenlite_trap_functions(xc_interface *xch, uint32_t domid, struct xenlite_trap_function **out,
                           unsigned *nr)
{
    return xenlite_list_all(xch, XENLITE_TRACE_functions, domid, 0, sizeof(**out), (void **)out,
                            nr);
}

int xenlite_trap_registers(xc_interface *xch, uint32_t domid, uint32_t sbdf,
                           struct xenlite_trap_register **out, unsigned *nr)
{
    return xenlite_list_all(xch, XENLITE_TRACE_registers, domid, sbdf, sizeof(**out), (void **)out,
                            nr);
}

int xenlite_exit_counts(xc_interface *xch, uint32_t domid, uint32_t vcpu,
                        struct xenlite_exit_count **out, unsigned *nr)
{
    return xenlite_list_all(xch, XENLITE_TRACE_exits, domid, vcpu, sizeof(**out), (void **)out, nr);
}

int xenlite_rules(xc_interface *xch, struct xenlite_rule **out, unsigned *nr)
{
    return xenlite_list_all(xch, XENLITE_TRACE_rules, 0, 0, sizeof(**out), (void **)out, nr);
}

int xenlite_handlers(xc_interface *xch, struct xenlite_handler **out, unsigned *nr)
{
    return xenlite_list_all(xch, XENLITE_TRACE_handlers, 0, 0, sizeof(**out), (void **)out, nr);
}

int xenlite_denials(xc_interface *xch, struct xenlite_trap_record **out, unsigned *nr)
{
    return xenlite_list_all(xch, XENLITE_TRACE_denials, 0, 0, sizeof(**out), (void **)out, nr);
}

int xenlite_capabilities(xc_interface *xch, uint32_t hw_sbdf, struct xenlite_capability **out,
                         unsigned *nr)
{
    return xenlite_list_all(xch, XENLITE_TRACE_capabilities, 0, hw_sbdf, sizeof(**out),
                            (void **)out, nr);
}

/* ---- trap records ---- */

int xenlite_trace_start(xc_interface *xch, struct xenlite_trace_session *session)
{
    memset(session, 0, sizeof(*session));
    return xenlite_call(xch, XENLITE_TRACE_start, 0, session, sizeof(*session));
}

int xenlite_trace_stop(xc_interface *xch, const struct xenlite_trace_session *session)
{
    struct xenlite_trace_session copy = *session;

    return xenlite_call(xch, XENLITE_TRACE_stop, 0, &copy, sizeof(copy));
}

/* `buffer` is the hypervisor's to write. */
static int read_ring(xc_interface *xch, const struct xenlite_trace_session *session, unsigned cpu,
                     struct xenlite_trap_record *buffer, unsigned max, unsigned *nr, uint64_t *lost)
{
    struct xenlite_trace_read args = {
        .token = session->token, .buffer = (uintptr_t)buffer, .cpu = cpu, .max = max
    };

    if (xenlite_call(xch, XENLITE_TRACE_read, 0, &args, sizeof(args)) != 0) {
        return -1;
    }
    *nr = args.nr < max ? args.nr : max;
    if (lost != NULL) {
        *lost += args.lost;
    }
    return 0;
}

int xenlite_trace_read(xc_interface *xch, const struct xenlite_trace_session *session, unsigned cpu,
                       struct xenlite_trap_record *records, unsigned max, unsigned *nr,
                       uint64_t *lost)
{
    struct xenlite_trap_record *buffer =
        xenlite_buffer(xch, (max != 0 ? max : 1) * sizeof(*buffer));
    int rc;

    if (buffer == NULL) {
        return -1;
    }
    memset(buffer, 0, max * sizeof(*buffer));
    if (lost != NULL) {
        *lost = 0;
    }
    rc = read_ring(xch, session, cpu, buffer, max, nr, lost);
    if (rc == 0) {
        memcpy(records, buffer, *nr * sizeof(*buffer));
    }
    xenlite_buffer_free(xch, buffer);
    return rc;
}

static int by_time(const void *a, const void *b)
{
    const struct xenlite_trap_record *x = a, *y = b;

    return x->time < y->time ? -1 : x->time > y->time;
}

int xenlite_trace_read_all(xc_interface *xch, const struct xenlite_trace_session *session,
                           struct xenlite_trap_record **out, unsigned *nr, uint64_t *lost)
{
    struct xenlite_trap_record *buffer, *all;
    unsigned got = 0;
    int rc = 0;

    *lost = 0;
    *nr = 0;
    if (session->cpus == 0 || session->ring == 0 || session->cpus > 4096 ||
        session->ring > MOST_ENTRIES) {
        errno = EINVAL;
        return -1;
    }
    buffer = xenlite_buffer(xch, session->ring * sizeof(*buffer));
    all = buffer != NULL ? malloc((size_t)session->cpus * session->ring * sizeof(*all)) : NULL;
    if (all == NULL) {
        xenlite_buffer_free(xch, buffer);
        return -1;
    }
    memset(buffer, 0, session->ring * sizeof(*buffer));
    for (unsigned cpu = 0; cpu < session->cpus && rc == 0; cpu++) {
        rc = read_ring(xch, session, cpu, buffer, session->ring, &got, lost);
        if (rc == 0) {
            memcpy(all + *nr, buffer, got * sizeof(*buffer));
            *nr += got;
        }
    }
    xenlite_buffer_free(xch, buffer);
    if (rc != 0) {
        const int error = errno;

        free(all);
        errno = error;
        return -1;
    }
    qsort(all, *nr, sizeof(*all), by_time);
    *out = all;
    return 0;
}

/* ---- audit ---- */

static int audit_once(xc_interface *xch, struct xenlite_breach *buffer, unsigned max,
                      struct xenlite_audit_run *result)
{
    memset(result, 0, sizeof(*result));
    result->buffer = (uintptr_t)buffer;
    result->max = max;
    return xenlite_call(xch, XENLITE_AUDIT_run, 0, result, sizeof(*result));
}

int xenlite_audit(xc_interface *xch, struct xenlite_breach *breaches, unsigned max,
                  struct xenlite_audit_run *result)
{
    const size_t size = (max != 0 ? max : 1) * sizeof(*breaches);
    struct xenlite_breach *buffer = xenlite_buffer(xch, size);
    int rc = -1;

    if (buffer == NULL) {
        return -1;
    }
    memset(buffer, 0, size);
    for (unsigned tries = 0; tries < AUDIT_TRIES; tries++) {
        rc = audit_once(xch, buffer, max, result);
        if (rc == 0 || errno != EAGAIN) {
            break;
        }
    }
    if (rc == 0) {
        result->nr = result->nr < max ? result->nr : max;
        memcpy(breaches, buffer, result->nr * sizeof(*breaches));
    }
    result->buffer = 0;
    xenlite_buffer_free(xch, buffer);
    return rc;
}

int xenlite_audit_break(xc_interface *xch, uint32_t domid, unsigned what, int undo)
{
    struct xenlite_break args = { .what = what, .undo = undo != 0 };

    return xenlite_call(xch, XENLITE_AUDIT_break, domid, &args, sizeof(args));
}

/* ---- page tables and DMA remapping ---- */

int xenlite_p2m(xc_interface *xch, uint32_t domid, struct xenlite_p2m *out)
{
    return info(xch, XENLITE_AUDIT_p2m, domid, 0, out, sizeof(*out));
}

int xenlite_explain(xc_interface *xch, uint32_t domid, uint64_t address,
                    struct xenlite_explain *out)
{
    return info(xch, XENLITE_AUDIT_explain, domid, address, out, sizeof(*out));
}

int xenlite_iommu(xc_interface *xch, struct xenlite_iommu *out)
{
    return info(xch, XENLITE_AUDIT_iommu, 0, 0, out, sizeof(*out));
}

int xenlite_iommu_units(xc_interface *xch, struct xenlite_iommu_unit **out, unsigned *nr)
{
    return xenlite_list_all(xch, XENLITE_AUDIT_iommu_units, 0, 0, sizeof(**out), (void **)out, nr);
}

int xenlite_iommu_devices(xc_interface *xch, struct xenlite_iommu_device **out, unsigned *nr)
{
    return xenlite_list_all(xch, XENLITE_AUDIT_iommu_devices, 0, 0, sizeof(**out), (void **)out,
                            nr);
}

int xenlite_iommu_faults(xc_interface *xch, struct xenlite_iommu_fault **out, unsigned *nr)
{
    return xenlite_list_all(xch, XENLITE_AUDIT_iommu_faults, 0, 0, sizeof(**out), (void **)out, nr);
}
