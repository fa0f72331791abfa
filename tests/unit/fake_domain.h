/* SPDX-License-Identifier: MIT */
/*
 * Domains with a real p2m, real frames and a real grant table, and nothing else of a machine: for
 * tests of the memory and grant table hypercalls. Linear addresses of a guest are the test's own
 * pointers; the first page of them is not there.
 */
#ifndef XL_TESTS_FAKE_DOMAIN_H
#define XL_TESTS_FAKE_DOMAIN_H

#include "domain/domain.h"

#define FAKE_FRAMES 8192u /* 32 MiB of machine at most */

/* An address that faults. */
#define FAKE_BAD ((void *)8)

/* Fresh machine without domains. */
void fake_machine(uint64_t frames);
/* A domain whose gfns [0, pages) are memory, each frame filled with its gfn. */
struct domain *fake_domain(uint16_t domid, uint64_t pages);
/* Takes all domains apart; panics unless every frame came back and no reference is left. */
void fake_machine_end(void);
void fake_check(void); /* audit of every p2m */

/* First byte of what d has at gfn, or NULL. */
uint8_t *fake_page(struct domain *d, uint64_t gfn);

/* Makes a call and repeats it as a guest would as long as it asks for that. */
typedef long (*fake_fn)(struct vcpu *v, uint64_t a1, uint64_t a2, uint64_t a3, uint64_t a4,
                        uint64_t a5);
long fake_call(fake_fn fn, struct domain *d, uint64_t a1, const void *a2, uint64_t a3);

extern unsigned fake_preempt_every; /* every n-th question is answered "yes"; 0: never */
extern unsigned fake_restarts;      /* seen by fake_call() since fake_machine() */
extern unsigned fake_cpu_flushes, fake_io_flushes;
extern bool fake_iommu;
extern unsigned fake_mode_bytes;
/* Reserved memory ranges of device fake_rmrr_sbdf. */
extern uint32_t fake_rmrr_sbdf;
extern unsigned fake_nr_rmrrs;

#endif
