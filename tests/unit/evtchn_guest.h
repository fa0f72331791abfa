/* SPDX-License-Identifier: MIT */
/*
 * A guest that uses event channels as the public interface tells it to: both ABIs, one structure a
 * domain.
 */
#ifndef XL_TESTS_EVTCHN_GUEST_H
#define XL_TESTS_EVTCHN_GUEST_H

#include "hc_sim.h"

#define EG_MAX_PORTS   4096u
#define EG_MAX_VCPUS   4u
#define EG_CONTROL_GFN 16u /* one page a vCPU from here */
#define EG_ARRAY_GFN   32u /* event arrays from here */

struct evtchn_guest {
    struct domain *d;
    bool fifo;
    unsigned nr_pages;
    uint32_t head[EG_MAX_VCPUS][EVTCHN_FIFO_MAX_QUEUES];
    void (*handler)(struct evtchn_guest *g, struct vcpu *v, evtchn_port_t port);
    void *data;
};

/* Operations: results as the hypercall gives them; ports positive. */
int eg_alloc_unbound(struct vcpu *v, domid_t dom, domid_t remote);
int eg_bind_interdomain(struct vcpu *v, domid_t rdom, evtchn_port_t rport);
int eg_bind_virq(struct vcpu *v, uint32_t virq, uint32_t vcpu);
int eg_bind_ipi(struct vcpu *v, uint32_t vcpu);
int eg_close(struct vcpu *v, evtchn_port_t port);
int eg_send(struct vcpu *v, evtchn_port_t port);
int eg_status(struct vcpu *v, domid_t dom, evtchn_port_t port, struct evtchn_status *st);
int eg_bind_vcpu(struct vcpu *v, evtchn_port_t port, uint32_t vcpu);
int eg_set_priority(struct vcpu *v, evtchn_port_t port, uint32_t priority);
int eg_reset(struct vcpu *v, domid_t dom);
int eg_init_control(struct vcpu *v, uint64_t gfn, uint32_t offset, uint32_t vcpu);
int eg_expand(struct vcpu *v, uint64_t gfn);

/* Starts with the two-level ABI. */
void eg_init(struct evtchn_guest *g, struct domain *d);
/* Sets up control blocks and enough array pages for `ports`. 0 or the first error. */
int eg_use_fifo(struct evtchn_guest *g, unsigned ports);
void eg_mask(struct evtchn_guest *g, evtchn_port_t port);
/* As guests do: the bit by itself if nothing is pending, else through the hypercall. */
void eg_unmask(struct evtchn_guest *g, struct vcpu *v, evtchn_port_t port);
/*
 * The upcall handler on v: runs while upcall_pending is set; returns the number of events handled.
 */
unsigned eg_upcall(struct evtchn_guest *g, struct vcpu *v);
event_word_t *eg_word(struct evtchn_guest *g, evtchn_port_t port);

#endif
