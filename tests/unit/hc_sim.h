/* SPDX-License-Identifier: MIT */
/*
 * A model of everything around the hypercall handlers: domains with memory and vCPUs, a scheduler
 * that only notes what it is asked, timers on the settable clock, a console. A guest's frame g is
 * machine frame base + g, linear addresses are guest-physical.
 */
#ifndef XL_TESTS_HC_SIM_H
#define XL_TESTS_HC_SIM_H

#include "domain/domain.h"
#include "lib/types.h"

#define HC_PAGES       256u /* of memory a domain */
#define HC_MAX_DOMAINS 8u

/* What happened to a vCPU; tests read and clear. */
struct hc_vcpu_log {
    unsigned kicks, wakes, blocks, yields, irqs, nmis;
    uint8_t last_vector;
};

/* Forgets all domains. A new one finds its memory zeroed. */
void hc_reset(void);
/* A domain with `vcpus` vCPUs, all of them online; number 0 is the control domain. */
struct domain *hc_domain(uint16_t domid, unsigned vcpus, uint32_t max_ports);
/* Takes it off the list and frees it, with event channels and time torn down. */
void hc_destroy(struct domain *d);
struct hc_vcpu_log *hc_log(struct vcpu *v);

/* A pointer to guest memory. */
void *hc_mem(struct domain *d, uint64_t gpa);
/* Whether gfn can be pinned: RAM by default. */
void hc_set_type(struct domain *d, uint64_t gfn, enum p2m_type type);
/* Frames of d that are pinned now. */
unsigned hc_pins(struct domain *d);

/* Moves the clock on and runs the timers that are due. */
void hc_advance(uint64_t ns);

/* Copies *arg to guest address HC_ARG, makes the call, and copies *arg back. */
#define HC_ARG 0x1000u
typedef long (*hc_handler)(struct vcpu *v, uint64_t a1, uint64_t a2, uint64_t a3, uint64_t a4,
                           uint64_t a5);
long hc_call(hc_handler fn, struct vcpu *v, uint64_t cmd, void *arg, size_t size);

/* Recorded by domain_shutdown(); -1: not called. */
extern int hc_shutdown_code;
extern struct domain *hc_shutdown_domain;
/* What TSCs look like to the paravirtual clock. */
extern int64_t hc_cpu_tsc_offset;
extern char hc_console[4096];
extern size_t hc_console_len;
extern unsigned hc_mode_bytes; /* code size of every vCPU, 8 by default */

/* hc_life.c: gives d the CPUID policy of a machine with every feature. */
void hc_set_policy(struct domain *d);
/* What a context's registers go to: plain variables, one set for all vCPUs. */
void hc_set_cpu(struct vcpu *v);
/* What domain_destroy() was called for, and how often it asks to be called again. */
extern struct domain *hc_destroyed;
extern unsigned hc_destroy_steps;

#endif
