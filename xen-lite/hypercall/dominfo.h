/* SPDX-License-Identifier: MIT */
/*
 * What sysctl and domctl share: descriptions of domains, and CPU maps as the toolstack passes them.
 */
#ifndef XL_HYPERCALL_DOMINFO_H
#define XL_HYPERCALL_DOMINFO_H

#include "lib/types.h"

#include <xen/domctl.h>

struct domain;
struct vcpu;

/*
 * What the scheduler tells its name is: it has weights, and run queues in the order of a weighted time, as credit2 has.
 */
#define SCHEDULER_ID 6 /* XEN_SCHEDULER_CREDIT2 */

/* The first domain with an id of at least `from`, with a reference; NULL when there is none. */
struct domain *domain_get_next(uint16_t from);

/*
 * Started and not offline: counts for the guest as a CPU that it has up, whether it runs now or
 * not.
 */
bool vcpu_is_online(const struct vcpu *v);

/* Pages of RAM that d has in its p2m. */
uint64_t domain_ram_pages(const struct domain *d);

/* Fills in every byte of *info. */
void domain_info(struct domain *d, struct xen_domctl_getdomaininfo *info);

/*
 * Writes the first nr_cpus bits of `map` (one word for 64 CPUs) into the caller's bitmap of
 * whatever length, the rest of it as zeroes. 0, -EFAULT, or -EINVAL for a bitmap longer than 64
 * KiB.
 */
int put_cpumap(struct vcpu *v, const struct xenctl_bitmap *dst, const uint64_t *map);
/*
 * The reverse: bits beyond the caller's bitmap are 0, those for CPUs that are not there are
 * dropped. 0 or -EFAULT.
 */
int get_cpumap(struct vcpu *v, const struct xenctl_bitmap *src, uint64_t *map);

#endif
