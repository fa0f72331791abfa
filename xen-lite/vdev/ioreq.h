/* SPDX-License-Identifier: MIT */
/*
 * Requests to device models: what a guest does that the hypervisor does not decide by itself waits here for somebody who
 * does. The request belongs to the vCPU that made it, and lives in the hypervisor; a server's page only shows it. So
 * servers may come, die and come again: a request is completed exactly once, and those of one vCPU in their order.
 *
 * A write is posted: the instruction is finished at once, and its vCPU does not run until everything it posted has been
 * completed, so that nobody sees the difference, and nothing is executed twice. A read is repeated: its instruction is
 * executed again when the result is there (cpu_replay()), before anything else happens to the vCPU.
 *
 * Locking: ioreq_domain.lock protects requests and servers. In the order it comes after vPCI's locks and before those of
 * event channels, interrupts and the scheduler.
 */
#ifndef XL_VDEV_IOREQ_H
#define XL_VDEV_IOREQ_H

#include "include/xenlite/ioreq.h"
#include "irq/timer.h"
#include "lib/spinlock.h"
#include "lib/types.h"
#include "trap/trap.h"

struct domain;
struct vcpu;
struct vpci;
struct vpci_dev;
struct ioreq; /* Xen's: one slot of a page */

/* As many as a page has slots. */
#define IOREQ_MAX_VCPUS   128
#define IOREQ_MAX_SERVERS 8
#define IOREQ_MAX_RANGES  128 /* of one kind, a server */
#define IOREQ_FRAMES      3   /* buffered requests, slots, details */
/* One element of an instruction writes 16 bytes at most, and in the worst case byte by byte. */
#define IOREQ_QUEUE 16

struct ioreq_request {
    uint64_t id;
    uint64_t addr, data; /* as in struct ioreq */
    uint64_t since;      /* ns */
    uint64_t address;    /* MSI, MSI-X: the message */
    uint32_t message;
    uint32_t hw_sbdf;    /* 0xffffffff: no function */
    uint32_t guest_sbdf;
    uint16_t index;      /* register, or entry of a table */
    uint8_t kind;        /* XENLITE_IOREQ_CONFIG.. */
    uint8_t size;
    bool read;
    bool sweep;          /* MSI-X: entries that follow have to be asked about as well */
};

/* Embedded in struct vcpu. Under ioreq_domain.lock, where nothing else is said. */
struct ioreq_vcpu {
    struct ioreq_domain *io;
    struct vcpu *v;
    unsigned id;
    unsigned first, nr; /* of queue[]: a ring */
    struct ioreq_request queue[IOREQ_QUEUE];
    struct ioreq_server *server; /* whose page shows the first one; NULL: nobody's */
    bool answered;               /* a read has its result; the vCPU's own while it runs */
    struct ioreq_request answer; /* which read; .data is the result */
};

struct ioreq_range {
    uint64_t first, last;
};

enum { IOREQ_RANGE_PORT, IOREQ_RANGE_MEMORY, IOREQ_RANGE_PCI, IOREQ_NR_RANGES };

struct ioreq_server {
    uint16_t id;
    bool enabled;
    bool abandoned;             /* the other side has closed a port: nothing is shown to it */
    uint64_t mfn[IOREQ_FRAMES]; /* INVALID_MFN: there is no such frame */
    struct ioreq *slot;
    struct xenlite_ioreq_detail *detail;
    uint32_t buffered_port; /* 0: none */
    uint32_t port[IOREQ_MAX_VCPUS];
    unsigned nr_ranges[IOREQ_NR_RANGES];
    struct ioreq_range range[IOREQ_NR_RANGES][IOREQ_MAX_RANGES]; /* ascending, disjoint */
};

/* Embedded in struct domain. */
struct ioreq_domain {
    spinlock_t lock;
    struct domain *domain;
    uint16_t domid;
    bool dying;
    bool had_server; /* one is expected to come back */
    unsigned nr_vcpus;
    struct ioreq_vcpu *vcpu[IOREQ_MAX_VCPUS]; /* written at creation */
    uint16_t last_server;                     /* id given last */
    struct ioreq_server *server[IOREQ_MAX_SERVERS];
    uint64_t last_id;
    unsigned nr_waiting; /* vCPUs with requests */
    struct timer deadline;
    struct xenlite_ioreq_statistics stats;
};

/* ---- implemented by the domain layer ---- */

struct ioreq_domain *domain_ioreq(struct domain *d);
struct ioreq_vcpu *vcpu_ioreq(struct vcpu *v);
/* v, the caller's current, does not go on until vcpu_ioreq_resume(). */
void vcpu_ioreq_wait(struct vcpu *v);
void vcpu_ioreq_resume(struct vcpu *v);
/*
 * Event channels to the control domain, one a vCPU and server. ioreq_port_event(v, port) is called, without locks, when
 * the other side signals and when it closes. Port or negative errno.
 */
int ioreq_port_alloc(struct vcpu *v);
void ioreq_port_free(struct domain *d, uint32_t port);
void ioreq_port_notify(struct domain *d, uint32_t port);
bool ioreq_port_bound(struct domain *d, uint32_t port);

/* ---- life cycle ---- */

void ioreq_domain_init(struct ioreq_domain *io, struct domain *d, uint16_t domid);
void ioreq_vcpu_init(struct ioreq_vcpu *iv, struct ioreq_domain *io, struct vcpu *v, unsigned id);
/* Requests and servers vanish. No vCPU of the domain may run any more. Harmless when repeated. */
void ioreq_domain_destroy(struct ioreq_domain *io);

/* ---- making requests: on the CPU that runs the vCPU, inside of an access that it makes ---- */

/*
 * Each returns TRAP_FORWARD: the vCPU waits; or TRAP_DROPPED, counted and recorded: the domain never had a server, or it
 * is on its way out.
 */
/* An unmanaged configuration write. vpci->lock may be held. */
enum trap_result ioreq_config_write(struct vpci_dev *vd, unsigned reg, unsigned size, uint32_t val);
/* MSI is to be enabled with a message that is not bound. vpci->lock held. */
enum trap_result ioreq_msi(struct vpci_dev *vd, unsigned reg, uint64_t address, uint32_t data);
/*
 * Entry `i` is to be unmasked with a message that is not bound. sweep: others that follow are, too, by the
 * same write. vd->lock held.
 */
enum trap_result ioreq_msix(struct vpci_dev *vd, unsigned i, bool sweep);

/* True if v made a request that is not completed: it must not start anything else. */
static inline bool ioreq_pending(const struct ioreq_vcpu *iv)
{
    return READ_ONCE(iv->nr) != 0;
}

/* ---- completing them ---- */

/* XENLITE_IOREQ_complete: see there for results. Takes vPCI's locks. */
int ioreq_complete(struct ioreq_domain *io, const struct xenlite_ioreq_complete *c);
/* A port of v's domain was signalled or closed. */
void ioreq_port_event(struct vcpu *v, uint32_t port);
/* What waits, ascending vCPU: writes up to `room` to out; returns how many wait in all. */
unsigned ioreq_list(struct ioreq_domain *io, struct xenlite_ioreq_pending *out, unsigned room);
void ioreq_statistics(struct ioreq_domain *io, struct xenlite_ioreq_statistics *out);

/* ---- servers: dm_op's arguments and errors ---- */

/* `buffered`: HVM_IOREQSRV_BUFIOREQ_*. 0 and *id; -EINVAL, -ENOMEM, -ENOSPC, -ESRCH (dying). */
int ioreq_server_create(struct ioreq_domain *io, unsigned buffered, uint16_t *id);
/* The following: -ENOENT when there is no such server. */
int ioreq_server_destroy(struct ioreq_domain *io, uint16_t id);
int ioreq_server_enable(struct ioreq_domain *io, uint16_t id, bool on);
int ioreq_server_port(struct ioreq_domain *io, uint16_t id, uint32_t *buffered_port);
/* -EINVAL (kind, order, beyond the kind's space), -EEXIST (overlaps one of its own), -ENOSPC. */
int ioreq_server_map(struct ioreq_domain *io, uint16_t id, unsigned kind, uint64_t first, uint64_t last);
/* -ENOENT also when not all of it is mapped. */
int ioreq_server_unmap(struct ioreq_domain *io, uint16_t id, unsigned kind, uint64_t first, uint64_t last);
/* A frame of the server's with a reference (page_put()). -EINVAL when it has none of that number. */
int ioreq_server_frame(struct ioreq_domain *io, uint16_t id, uint64_t frame, uint64_t *mfn);

/* ---- between the ioreq*.c files; lock held ---- */

struct ioreq_server *ioreq_server_find(struct ioreq_domain *io, uint16_t id);
/* Who would take the request now; NULL: nobody. */
struct ioreq_server *ioreq_server_for(struct ioreq_domain *io, const struct ioreq_request *req);
void ioreq_show(struct ioreq_server *s, const struct ioreq_vcpu *iv, const struct ioreq_request *req);
void ioreq_hide(struct ioreq_server *s, const struct ioreq_vcpu *iv);
/* The device model's answer in the slot: true, with *data, when it is there. */
bool ioreq_answered(struct ioreq_server *s, const struct ioreq_vcpu *iv, uint64_t *data);
/* Takes what this server shows away from it, or gives what nobody shows to whom it concerns. */
void ioreq_withdraw_all(struct ioreq_domain *io, struct ioreq_server *s);
void ioreq_present_all(struct ioreq_domain *io);
void ioreq_server_free_all(struct ioreq_domain *io);

static inline struct ioreq_request *ioreq_head(struct ioreq_vcpu *iv)
{
    return &iv->queue[iv->first];
}

#endif
