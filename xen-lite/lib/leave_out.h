/* SPDX-License-Identifier: MIT */
/*
 * The invalidations that the hypervisor makes, by number. A build with -DXL_LEAVE_OUT=N leaves one kind of them out, so
 * that a test can show that each is missed (tests/machine/flushes.t). In other builds this costs nothing.
 */
#ifndef XL_LIB_LEAVE_OUT_H
#define XL_LIB_LEAVE_OUT_H

enum flush_number {
    FLUSH_P2M_START = 1,      /* second-level translations, when a CPU is brought into use */
    FLUSH_P2M_CHANGE,         /* ... when a p2m has changed since the CPU ran the domain */
    FLUSH_P2M_FIRST,          /* ... before the domain's first entry on the CPU */
    FLUSH_P2M_TAGS,           /* ... when tags of guests are given out anew */
    FLUSH_VCPU_START,         /* a guest's own translations, when a CPU is brought into use */
    FLUSH_VCPU_MOVE,          /* ... when the vCPU comes to another CPU */
    FLUSH_VCPU_MODE,          /* ... when its registers that choose page tables are set for it */
    FLUSH_IOTLB_START,        /* a unit's translations, when it is turned on */
    FLUSH_IOTLB_RANGE,        /* ... when a p2m has changed */
    FLUSH_IOTLB_ATTACH,       /* ... when a device gets a domain, where absence is cached */
    FLUSH_IOTLB_DETACH,       /* ... when a device loses its domain */
    FLUSH_CONTEXT_START,      /* a unit's context entries, when it is turned on */
    FLUSH_CONTEXT_ATTACH,
    FLUSH_CONTEXT_DETACH,
    FLUSH_INTERRUPT_START,    /* a unit's interrupt entries */
    FLUSH_INTERRUPT_CHANGE,
    NR_FLUSHES
};

#ifndef XL_LEAVE_OUT
#define XL_LEAVE_OUT 0
#endif

/* False in the build that leaves this one out. */
#define flush_due(number) ((number) != XL_LEAVE_OUT)

#endif
