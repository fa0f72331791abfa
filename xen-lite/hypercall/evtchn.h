/* SPDX-License-Identifier: MIT */
/*
 * Event channels: the ports of a domain, who may signal them, and how a signal reaches a vCPU. Both
 * ABIs of the public interface are here: two-level bitmaps in shared_info and FIFO queues
 * (evtchn_fifo.c).
 *
 * Locking: struct evtchn_table.lock protects a domain's ports and everything derived from them. Two
 * tables are locked in ascending order of domain id, a domain with itself once. Below it in the
 * order: the vLAPIC's and the scheduler's locks.
 */
#ifndef XL_HYPERCALL_EVTCHN_H
#define XL_HYPERCALL_EVTCHN_H

#include "lib/types.h"

#include <xen/event_channel.h>
#include <xen/xen.h>

#include "hypercall/guest_page.h"
#include "lib/bitmap.h"
#include "lib/spinlock.h"

struct domain;
struct vcpu;

#define EVTCHN_PER_BUCKET  128
#define EVTCHN_MAX_BUCKETS 256
/* No domain gets more ports, whatever its limit says: 32768, i.e. at most 768 KiB of port state. */
#define EVTCHN_MAX_PORTS           (EVTCHN_PER_BUCKET * EVTCHN_MAX_BUCKETS)
#define EVTCHN_FIFO_WORDS_PER_PAGE (PAGE_SIZE / sizeof(event_word_t))
#define EVTCHN_FIFO_MAX_PAGES      (EVTCHN_MAX_PORTS / EVTCHN_FIFO_WORDS_PER_PAGE)
#define EVTCHN_MAX_POLL_PORTS      128

enum evtchn_state {
    ECS_FREE,
    ECS_UNBOUND,
    ECS_INTERDOMAIN,
    ECS_VIRQ,
    ECS_IPI,
};

/*
 * Receiver of a port that the hypervisor itself consumes: `v` is the vCPU of the owning domain that
 * the port was allocated for. Called when the other side signals and when it closes its end (see
 * evtchn_bound_hv()). Without the table lock, in the context of the other side's hypercall; it may
 * run for a vCPU that is not on a CPU now.
 */
typedef void (*evtchn_hv_fn)(struct vcpu *v, evtchn_port_t port);

/* One port: 24 bytes, so that a bucket of 128 fits a page. */
struct evtchn_port {
    uint8_t state;         /* enum evtchn_state */
    uint8_t priority;      /* FIFO: queue for the next link */
    uint8_t last_priority; /* FIFO: queue in which it was linked last */
    bool pending;          /* FIFO: signalled before its event word existed */
    uint16_t vcpu;         /* notified vCPU */
    uint16_t last_vcpu;    /* FIFO: vCPU in whose queue it was linked last */
    evtchn_hv_fn hv_fn;    /* set: consumed by the hypervisor, the guest may not touch it */
    union {
        struct {
            evtchn_port_t port; /* interdomain only */
            domid_t dom;
        } remote;
        uint32_t virq;
    } u;
};

/* A domain's ports. Embedded in struct domain as `evtchn`. */
struct evtchn_table {
    spinlock_t lock;
    bool dying;         /* no new ports */
    bool fifo;          /* FIFO ABI in use */
    uint32_t max_ports; /* ports 1..max_ports-1 may exist */
    uint32_t nr_ports; /* ports whose bucket is allocated: always a multiple of EVTCHN_PER_BUCKET */
    uint32_t first_free;             /* no free port below */
    uint32_t nr_active;              /* ports not ECS_FREE, port 0 excluded */
    unsigned nr_polling;             /* vCPUs waiting in SCHEDOP_poll; atomic */
    struct shared_info *shared_info; /* guest-writable; owned by the domain */
    uint8_t callback_vector;         /* HVM_PARAM_CALLBACK_IRQ of type vector; 0: none */
    unsigned nr_fifo_pages;
    struct guest_page fifo_page[EVTCHN_FIFO_MAX_PAGES];
    struct evtchn_port *bucket[EVTCHN_MAX_BUCKETS];
};

/* A vCPU's part. Embedded in struct vcpu as `evt`. Protected by its domain's table lock. */
struct evtchn_vcpu {
    struct vcpu_info *info; /* guest-writable: in shared_info, registered, or `unregistered` */
    struct guest_page info_page;       /* pin of the registered area */
    struct vcpu_info unregistered;     /* stands in for vCPUs beyond the slots of shared_info */
    uint8_t upcall_vector;             /* HVMOP_set_evtchn_upcall_vector; 0: none */
    bool polling;                      /* in SCHEDOP_poll; atomic */
    evtchn_port_t poll_port;           /* the only port of interest, 0: any */
    evtchn_port_t virq_port[NR_VIRQS]; /* 0: not bound */
    struct guest_page fifo_page;       /* holds the FIFO control block */
    struct evtchn_fifo_control_block *fifo; /* guest-writable; NULL until init_control */
    evtchn_port_t fifo_tail[EVTCHN_FIFO_MAX_QUEUES];
};

/*
 * Prepares d's table. shared_info: the domain's page, already zeroed; all ports start masked in it.
 * max_ports is clamped to EVTCHN_MAX_PORTS. evtchn_vcpu_init() afterwards for every vCPU. Neither
 * can fail.
 */
void evtchn_domain_init(struct domain *d, struct shared_info *shared_info, uint32_t max_ports);
void evtchn_vcpu_init(struct vcpu *v);
/*
 * Closes every port, drops all page references and frees the memory. d's vCPUs must not run any
 * more.
 */
void evtchn_domain_destroy(struct domain *d);

/*
 * Raise a VIRQ. The global kind goes to whichever vCPU the port is bound to. Unbound ones are
 * dropped.
 */
void send_virq_vcpu(struct vcpu *v, unsigned virq);
void send_virq_global(struct domain *d, unsigned virq);

/*
 * Allocates in v's domain a port that `remote` may bind, and that delivers to fn here. Returns the
 * port or -errno (-ENOSPC, -ENOMEM, -ESRCH when the domain is dying).
 */
int evtchn_alloc_hv(struct vcpu *v, domid_t remote, evtchn_hv_fn fn);
void evtchn_free_hv(struct domain *d, evtchn_port_t port);
/* Signals the other end of such a port; nothing happens while nobody is bound. */
void evtchn_notify_hv(struct domain *d, evtchn_port_t port);
/* True while somebody has bound the other end. */
bool evtchn_bound_hv(struct domain *d, evtchn_port_t port);

/* VCPUOP_register_vcpu_info. -ENXIO bad offset, -EINVAL second time or bad gfn. */
int evtchn_register_vcpu_info(struct vcpu *v, uint64_t gfn, uint32_t offset);
/* HVMOP_set_evtchn_upcall_vector: -EINVAL for vectors below 16. */
int evtchn_set_upcall_vector(struct vcpu *v, uint8_t vector);
/* v's local APIC takes interrupts from now on: an upcall that it refused is signalled again. */
void evtchn_lapic_enabled(struct vcpu *v);
/* HVM_PARAM_CALLBACK_IRQ of type vector; 0 turns it off. */
void evtchn_set_callback_vector(struct domain *d, uint8_t vector);

/*
 * True when v has an upcall that has not been taken and that may wake it from HLT. Cheap, no lock.
 */
bool evtchn_upcall_pending(const struct vcpu *v);
/*
 * The vector to inject directly at the next entry, for domains that chose the vector-type callback
 * without per-vCPU vectors, or -1. The caller checks that v is interruptible; there is no EOI and
 * nothing to clear.
 */
int evtchn_direct_vector(const struct vcpu *v);

/*
 * SCHEDOP_poll: returns true if v is now waiting for one of the ports (poll_port set, caller blocks
 * it), false if one was pending already, -EINVAL through *err for bad ports. evtchn_poll_end() when
 * it runs again, whatever woke it: takes no lock, nothing happens if v does not poll.
 */
bool evtchn_poll_begin(struct vcpu *v, const evtchn_port_t *ports, unsigned nr, int *err);
void evtchn_poll_end(struct vcpu *v);

/*
 * Closes a port: 0, -EINVAL if it is not open or, with `guest` set, belongs to the hypervisor,
 * -EBUSY if the other end keeps changing under it. Takes the table locks.
 */
int evtchn_close(struct domain *d, evtchn_port_t port, bool guest);

/* ---- between the evtchn*.c files ---- */

/* Both locks, in order. a may be b. */
void evtchn_lock_two(struct domain *a, struct domain *b);
void evtchn_unlock_two(struct domain *a, struct domain *b);
/*
 * Signals (rdom, rport) if it is still the other end of (ld, lport). Takes the remote lock; the
 * caller holds none, so that a sender never has two.
 */
void evtchn_deliver_remote(struct domain *ld, evtchn_port_t lport, domid_t rdom,
                           evtchn_port_t rport);

/* The rest expects the table lock to be held. */

/* The port's structure if it is open, else NULL. */
struct evtchn_port *evtchn_port_get(struct evtchn_table *t, evtchn_port_t port);
/*
 * Opens a free port (the caller fills in its state): its number, -ENOSPC, -ENOMEM or -ESRCH
 * (dying).
 */
int evtchn_port_alloc(struct domain *d);
/* Marks a port that evtchn_port_alloc() returned as open and gives its structure. */
struct evtchn_port *evtchn_port_open(struct evtchn_table *t, evtchn_port_t port,
                                     enum evtchn_state state);
void evtchn_port_free(struct domain *d, evtchn_port_t port);
void evtchn_set_pending(struct domain *d, struct evtchn_port *chn, evtchn_port_t port);
void evtchn_unmask(struct domain *d, struct evtchn_port *chn, evtchn_port_t port);
bool evtchn_is_pending(const struct domain *d, evtchn_port_t port);
/* Tells v that it has events: sets upcall_pending and signals if it was clear. */
void evtchn_mark_upcall(struct vcpu *v);

int evtchn_fifo_init_control(struct domain *d, struct evtchn_init_control *arg);
int evtchn_fifo_expand_array(struct domain *d, const struct evtchn_expand_array *arg);
/* Back to the two-level ABI; drops all pages. */
void evtchn_fifo_destroy(struct domain *d);
void evtchn_fifo_set_pending(struct domain *d, struct evtchn_port *chn, evtchn_port_t port);
void evtchn_fifo_clear_pending(struct domain *d, evtchn_port_t port);
void evtchn_fifo_unmask(struct domain *d, struct evtchn_port *chn, evtchn_port_t port);
bool evtchn_fifo_is_pending(const struct domain *d, evtchn_port_t port);
/* A free port whose word is still in a queue must not be handed out again yet. */
bool evtchn_fifo_is_busy(const struct domain *d, evtchn_port_t port);

#endif
