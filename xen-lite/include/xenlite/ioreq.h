/* SPDX-License-Identifier: MIT */
/*
 * Requests to a device model, as far as Xen's interface does not go: naming a request, completing it in one step, asking
 * what is pending. Servers are made, enabled and destroyed by dm_op; their pages come from XENMEM_acquire_resource
 * (type ioreq_server) as on Xen, with one more frame:
 *
 *   frame 0  buffered requests, as on Xen (never written: nothing is buffered)
 *   frame 1  struct ioreq[128], indexed by vCPU, as on Xen
 *   frame 2  struct xenlite_ioreq_detail[128], indexed by vCPU: what is asked, beside slot n of frame 1
 *
 * What a guest waits for is kept in the hypervisor, not in these pages. The page shows it to one server at a time; when
 * that server is destroyed or its event channel is closed by the other side, the request stays, and the next enabled
 * server that takes it finds it in its page when it is enabled, with a pending event. The order of one vCPU's requests
 * never changes: it has one outstanding at a time.
 *
 * Two ways to complete: the classic one (write struct ioreq's data, state = STATE_IORESP_READY, notify vp_eport), for
 * device models that have done the work themselves; or XENLITE_IOREQ_complete, where the hypervisor writes the hardware,
 * ends the request and lets the vCPU go on in one step: whoever dies before the call has done nothing, and the request is
 * presented again; after it everything is done, and a second completion of the same request gets -ESTALE.
 *
 * A request that nobody has completed 30 s after it was made is dropped: as if nothing had been written, counted,
 * recorded (rule IOREQ_DEADLINE).
 */
#ifndef XENLITE_IOREQ_H
#define XENLITE_IOREQ_H

#include <stdint.h>

#include "xenlite.h"

#define XENLITE_IOREQ_complete   (XENLITE_IOREQ_FIRST + 0)
#define XENLITE_IOREQ_query      (XENLITE_IOREQ_FIRST + 1)
#define XENLITE_IOREQ_statistics (XENLITE_IOREQ_FIRST + 2)

#define XENLITE_IOREQ_DEADLINE_NS 30000000000ull

/* Frames of the resource (frame 0 is Xen's for buffered requests). */
#define XENLITE_IOREQ_FRAME_SLOTS  1
#define XENLITE_IOREQ_FRAME_DETAIL 2

/* What is asked: detail.kind. */
#define XENLITE_IOREQ_CONFIG 1 /* write to a configuration register; ioreq type PCI_CONFIG */
#define XENLITE_IOREQ_MSI    2 /* MSI is enabled with a new message (write to Message Control); type PCI_CONFIG */
#define XENLITE_IOREQ_MSIX   3 /* an entry with a new message is unmasked; type COPY, addr is that of Vector Control */
#define XENLITE_IOREQ_PORT   4 /* port access; type PIO */
#define XENLITE_IOREQ_MEMORY 5 /* memory access; type COPY */

/*
 * 32 bytes. `id` is written last, after the slot too, and never 0; it names this request among all that ever were in this domain. Who
 * looks without waiting for the event reads the id first and compares it again at the end; what it read in between belongs to it then,
 * or the request has ended and XENLITE_IOREQ_complete says -ESTALE.
 */
struct xenlite_ioreq_detail {
    uint64_t id;
    uint64_t address;    /* MSI, MSI-X: the message's address as the guest wrote it */
    uint32_t message;    /* MSI, MSI-X: the message's data */
    uint32_t hw_sbdf;    /* physical function: segment << 16 | bus << 8 | devfn; 0xffffffff: none */
    uint32_t guest_sbdf; /* the function as the guest names it */
    uint16_t index;      /* configuration register; MSI: log2 of the messages enabled; MSI-X: entry */
    uint8_t kind;        /* XENLITE_IOREQ_* above */
    uint8_t waiting;     /* 1: the guest waits for it; 0: the slot is empty, the rest is stale */
};

/*
 * XENLITE_IOREQ_complete: op.domid names the guest. 0; -ESRCH (no such domain), -EINVAL (vCPU, decision for this kind, mask
 * beyond the size), -ESTALE (the vCPU does not wait for request `id`: completed, dropped, domain on its way out),
 * -ENODEV (the function has been taken away; the request is dropped), BIND: -EINVAL (the message cannot be delivered in
 * the guest), -ENOSPC, -ENOMEM, -EIO. After an error other than -ESTALE and -ENODEV the request is still pending.
 */
#define XENLITE_IOREQ_WRITE 0 /* CONFIG: write (value & mask) | (hardware & ~mask & ~w1c) and end */
#define XENLITE_IOREQ_DONE  1 /* whatever had to be done has been done; for reads `value` is the result */
#define XENLITE_IOREQ_DROP  2 /* nothing is done; counted as dropped. Reads give all ones */
#define XENLITE_IOREQ_DENY  3 /* the same, counted as denied */
#define XENLITE_IOREQ_BIND  4 /* MSI, MSIX: bind the message and enable or unmask what the guest wanted */

struct xenlite_ioreq_complete {
    uint64_t id;       /* detail.id */
    uint64_t value;    /* WRITE; result of a read */
    uint32_t vcpu;
    uint32_t decision; /* XENLITE_IOREQ_WRITE.. */
    uint32_t mask;     /* WRITE: bits taken from value; the others are read from the hardware and written back, */
    uint32_t w1c;      /* WRITE: but these, if not in mask, are written as 0 (hardware clears them when written 1) */
    uint32_t reason;   /* the device model's own number; goes into the trap record and is not looked at */
    uint32_t pad;      /* 0 */
};

/* One pending request, for XENLITE_IOREQ_query. */
struct xenlite_ioreq_pending {
    struct xenlite_ioreq_detail detail;
    uint64_t addr;     /* as in struct ioreq */
    uint64_t data;     /* what the guest wrote */
    uint64_t age_ns;
    uint32_t vcpu;
    uint16_t server;   /* whose page shows it; 0xffff: nobody's */
    uint8_t size;      /* bytes */
    uint8_t read;      /* 1: the guest reads */
};

#define XENLITE_IOREQ_NO_SERVER 0xffffu

/* XENLITE_IOREQ_query: op.domid. 0, -ESRCH, -EFAULT. */
struct xenlite_ioreq_query {
    uint64_t buffer;   /* IN: of struct xenlite_ioreq_pending; ascending vCPU */
    uint32_t nr;       /* IN: room for so many, at most 128. OUT: written */
    uint32_t waiting;  /* OUT: all that wait, written or not */
};

/* XENLITE_IOREQ_statistics: op.domid. All OUT, since the domain was created. 0, -ESRCH. */
struct xenlite_ioreq_statistics {
    uint64_t forwarded; /* requests made */
    uint64_t written;   /* of these: completed by WRITE */
    uint64_t bound;     /* by BIND */
    uint64_t done;      /* by DONE */
    uint64_t classic;   /* by STATE_IORESP_READY */
    uint64_t dropped;   /* by DROP, or because the function went away */
    uint64_t denied;    /* by DENY */
    uint64_t expired;   /* by the deadline */
    uint64_t presented; /* times that a request was shown to a server; more than forwarded after a server's death */
    uint64_t stale;     /* completions refused with -ESTALE */
    uint64_t wait_ns;   /* time that vCPUs waited, all together */
    uint64_t wait_max_ns;
    uint32_t servers;   /* now */
    uint32_t waiting;   /* requests pending now */
};

#endif
