/* SPDX-License-Identifier: MIT */
/*
 * Port 0xe9 of a guest, where a kernel writes before it has a console (Linux: earlyprintk=xen): whole lines go to the
 * hypervisor's log, with the domain's number. A line is cut at its bound, and so many lines in so much time are enough;
 * the rest is counted.
 */
#ifndef XL_DOMAIN_DEBUGPORT_H
#define XL_DOMAIN_DEBUGPORT_H

#include "lib/spinlock.h"
#include "lib/types.h"

#define DEBUGPORT          0xe9
#define DEBUGPORT_LINE     120u
#define DEBUGPORT_LINES    400u
#define DEBUGPORT_LINES_NS 10000000000ULL

/* Embedded in struct domain; all under lock, which is taken inside. */
struct debugport {
    spinlock_t lock;
    char line[DEBUGPORT_LINE + 1];
    unsigned len;
    unsigned lines;      /* since `since` */
    uint64_t suppressed; /* of them, those that were not logged */
    uint64_t since;      /* ns */
};

/* One character of domain domid at time now (ns). */
void debugport_put(struct debugport *p, uint16_t domid, uint8_t c, uint64_t now);

struct domain;
/* Gives d the port. 0 or what trap_register() returns. */
int domain_debugport_init(struct domain *d);

#endif
