/* SPDX-License-Identifier: MIT */
/*
 * Refusals.  One table holds each rule's name, errno and sentence; from it come the enum, the
 * strings for people and programs, and the counters.  `return deny(RULE, ...)` counts, records and
 * gives errno.
 */
#ifndef XL_TRAP_RULES_H
#define XL_TRAP_RULES_H

#include "lib/errno.h"
#include "lib/types.h"

/* X(NAME, errno, sentence); a and b are the operands that the record keeps. */
#define DENY_RULES(X)                                                                              \
    X(TRAP_STRADDLE, EFAULT, "access a of b bytes crosses the edge of a trapped region")           \
    X(CONFIG_ALIGN, EINVAL, "configuration access at register a of b bytes crosses a dword")       \
    X(CONFIG_ABSENT, ENODEV, "write to register a of a function that does not exist")              \
    X(CONFIG_HIDDEN, EPERM, "the function belongs to the hypervisor")                              \
    X(CONFIG_RAW, EPERM, "access to port a without the enable bit in CONFIG_ADDRESS")              \
    X(BAR_DECODE_ON, EBUSY, "BAR register a written with b while memory decoding is on")           \
    X(BAR_FORBIDDEN, EPERM, "BAR at a, size b, overlaps memory that must not be mapped")           \
    X(BAR_P2M, ENOMEM, "mapping the BAR at a of size b failed in the page table")                  \
    X(BAR_TRAP, EEXIST, "the page a of an interrupt table cannot be trapped")                      \
    X(BAR_WINDOW, EPERM, "BAR at a, size b, is outside of the root's windows")                     \
    X(BAR_OVERLAP, EEXIST, "BAR at a, size b, is in the way of another BAR")                       \
    X(CONFIG_FILTERED, EPERM, "write of b to register a of a capability that guests do not have")  \
    X(BUS_RENUMBER, EBUSY, "bus numbers a of a bridge with known functions behind it kept")        \
    X(VF_UNSUPPORTED, EOPNOTSUPP, "virtual functions cannot be added yet")                         \
    X(MSI_BIND, EINVAL, "message with address a and data b cannot be delivered")                   \
    X(MSIX_ALIGN, EINVAL, "access at a of b bytes to an MSI-X table is not an aligned dword")      \
    X(MMIO_NOBODY, ENXIO, "access at a of b bytes beside an interrupt table, in nobody's BAR")     \
    X(MSIX_PBA_WRITE, EPERM, "write at a of b bytes to a pending bit array")

enum deny_rule {
#define X(name, err, text) DENY_##name,
    DENY_RULES(X)
#undef X
        DENY_NR_RULES
};

#define DENY_NO_DOMAIN 0xffffu
#define DENY_NO_DEVICE 0xffffffffu

/*
 * Counts and records a refusal and returns the rule's negative errno.  `sbdf` is segment << 16 |
 * BDF, or DENY_NO_DEVICE.  Never blocks, needs no memory; callable anywhere with interrupts off.
 */
int deny(enum deny_rule rule, uint16_t domid, uint32_t sbdf, uint64_t a, uint64_t b);

const char *deny_name(enum deny_rule rule);
const char *deny_sentence(enum deny_rule rule);
uint64_t deny_count(enum deny_rule rule);
/* Positive. */
int deny_errno(enum deny_rule rule);

#endif
