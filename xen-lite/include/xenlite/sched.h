/* SPDX-License-Identifier: MIT */
/*
 * xenlite_op, subject 0x500: CPUs that one domain has to itself, and how often scheduling took a vCPU out of the guest. Each
 * structure is what struct xenlite_op carries in args.
 */
#ifndef XENLITE_SCHED_H
#define XENLITE_SCHED_H

#include "xenlite.h"

/*
 * Domain domid gets these CPUs to itself; replaces what it had, none gives all back. Its vCPUs' hard affinities stay as they
 * are and say which runs where. -EINVAL: a CPU that is not there, CPU 0, fewer CPUs than vCPUs, the control domain; -EBUSY:
 * a CPU is another domain's already, or some vCPU would have nowhere to run; -ESRCH: no such domain.
 */
#define XENLITE_SCHED_dedicate (XENLITE_SCHED_FIRST + 0)
struct xenlite_sched_dedicate {
    uint64_t cpus[2]; /* IN: bit n of word n / 64: CPU n */
};

/* One vCPU of domid. -ESRCH: no such domain or vCPU. */
#define XENLITE_SCHED_get_vcpu (XENLITE_SCHED_FIRST + 1)
struct xenlite_sched_vcpu {
    uint32_t vcpu;          /* IN */
    uint32_t cpu;           /* OUT: where it runs or ran last */
    uint32_t dedicated;     /* OUT: 1 if that CPU is its domain's alone */
    uint32_t pad;
    uint64_t runs;          /* OUT: times it was put on a CPU */
    uint64_t interruptions; /* OUT: times scheduling took it out of the guest although it wanted to go on */
    uint64_t slices;        /* OUT: of them, those because its slice was over */
    uint64_t migrations;    /* OUT: changes of CPU */
};

#endif
