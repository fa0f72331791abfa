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

/*
 * Refusals to hand a function over: what, why, what to do. Operands are shown where the sentence names them: {a} in
 * hexadecimal, {a:u} decimal, {a:f} as a function's address.
 */
#define DENY_PT_RULES(X)                                                                           \
    X(PT_ARGUMENTS, EINVAL, "the request's flags {a} or slot {b:u} do not exist; correct it")      \
    X(PT_NO_DOMAIN, ESRCH, "domain {a:u} does not exist or is being destroyed; name one that runs") \
    X(PT_NO_ROOT, EOPNOTSUPP, "domain {a:u} has no PCI root, which it must get before it first "   \
      "runs; create it with pci = [] or pci = [ devices ] in its configuration")                   \
    X(PT_ABSENT, ENODEV, "no function answers at this address; take one from the list of "         \
      "assignable functions")                                                                      \
    X(PT_HIDDEN, EPERM, "the hypervisor uses this function itself; take another one")              \
    X(PT_BRIDGE, EINVAL, "bridges stay where they are; attach functions behind it instead")        \
    X(PT_PLATFORM, EPERM, "functions of class {a} are part of the machine (host and ISA bridges, " \
      "system peripherals) and are not given away; take another one")                              \
    X(PT_OWNED, EBUSY, "it belongs to domain {a:u}; detach it there first")                        \
    X(PT_HAS_IT, EEXIST, "domain {a:u} has it already; nothing to do")                             \
    X(PT_HAS_NOT, ENODEV, "it does not belong to domain {a:u}; look at its owner in the list of "  \
      "functions")                                                                                 \
    X(PT_GROUP_PARTS, EPERM, "it is in one group with {a:f}, {b:u} functions in all, which the "   \
      "IOMMU cannot keep apart; attach the whole group")                                           \
    X(PT_GROUP_OWNED, EBUSY, "{a:f} of its group belongs to domain {b:u}, and a group has one "    \
      "owner; detach that one first")                                                              \
    X(PT_GROUP_FIXED, EPERM, "{a:f} of its group, class {b}, cannot be given away, so this one "   \
      "cannot either; move the card to another slot")                                              \
    X(PT_GROUP_LARGE, E2BIG, "its group has {a:u} functions and a guest's slot holds {b:u}; move " \
      "cards so that fewer share a bus")                                                           \
    X(PT_PF_HAS_VFS, EBUSY, "it has {a:u} virtual functions, {b:f} among them, which depend on it; " \
      "disable them first (echo 0 to its file sriov_numvfs)")                                      \
    X(PT_VF_OFF, ENXIO, "{a:f}, whose virtual function it is, has it not enabled or is not the "   \
      "control domain's; enable it there (a number to its file sriov_numvfs)")                     \
    X(PT_RMRR, EPERM, "firmware reserved memory {a} to {b} for its DMA and may use it at any "     \
      "time; turn off the firmware feature that does (legacy USB, management, graphics)")          \
    X(PT_NO_IOMMU, EOPNOTSUPP, "no IOMMU keeps its DMA from other memory; turn VT-d on in the "    \
      "firmware's set-up and leave out iommu=off")                                                 \
    X(PT_NO_UNIT, ENODEV, "no IOMMU unit covers it; update the firmware, whose DMAR table says so") \
    X(PT_NO_INTREMAP, EOPNOTSUPP, "without interrupt remapping its messages could reach any "      \
      "vector of the machine; turn it on in the firmware's set-up and leave out iommu=no-intremap") \
    X(PT_UNIT_FAILED, EIO, "IOMMU unit {a:u} has failed; restart the machine")                     \
    X(PT_WIDTH, ERANGE, "the domain has memory up to page {a} and the IOMMU unit translates {b:u} " \
      "address bits; give the domain less memory")                                                 \
    X(PT_BAR_UNPLACED, ENXIO, "BAR {a:u} of {b} bytes has no address; start the control domain "   \
      "with pci=realloc")                                                                          \
    X(PT_BAR_RESERVED, EPERM, "BAR {a:u} at {b} lies over memory that no domain may have; start "  \
      "the control domain with pci=realloc")                                                       \
    X(PT_BAR_OVERLAP, EPERM, "BAR {a:u} overlaps one of {b:f}, which has another owner; start the " \
      "control domain with pci=realloc")                                                           \
    X(PT_MSIX_TABLE, EPERM, "its MSI-X table or pending bits lie outside of its memory BARs, where " \
      "they cannot be guarded; take another one")                                                  \
    X(PT_MSIX_OVERLAP, EPERM, "its MSI-X table and pending bits overlap at {a}, so that writes "   \
      "to one change the other; take another one")                                                 \
    X(PT_NO_RESET, EOPNOTSUPP, "it has no function level reset, keeps its state in D3hot and "     \
      "shares its bus: what one owner leaves in it reaches the next; permit that (no reset), or "  \
      "take another one")                                                                          \
    X(PT_NO_SLOT, ENOSPC, "all {a:u} slots of the domain are occupied; detach something first")    \
    X(PT_SLOT_TAKEN, EBUSY, "slot {a:u} of the domain is occupied; leave the choice of a slot out") \
    X(PT_TIMEOUT, ETIMEDOUT, "it did not answer within {a:u} ms after its reset; it is blocked and " \
      "nobody's until the machine has been off")                                                   \
    X(PT_CHANGED, EIO, "after its reset another function answered in its place; it is blocked and " \
      "nobody's until the machine has been restarted")                                             \
    X(PT_DMA, EIO, "the IOMMU did not take it (error {a:u}); see its faults")                      \
    X(PT_VPCI, EIO, "the domain's configuration space did not take it (error {a:u}); see the "     \
      "hypervisor's log")                                                                          \
    X(PT_MEMORY, ENOMEM, "the hypervisor has no memory for it; shut a domain down")

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
    X(BRIDGE_IN_USE, EBUSY, "write of b to register a would reset, cut off, move or expose functions " \
      "behind the bridge that guests have; detach them first")                                     \
    X(BRIDGE_KEPT, EBUSY, "bridge not removed before a, which is behind it and a guest's; detach it " \
      "first")                                                                                     \
    X(VF_NOT_PHYSICAL, EINVAL, "virtual function of a, which has no SR-IOV capability")            \
    X(VF_FOREIGN, EPERM, "virtual function of a, which is not the control domain's")               \
    X(VF_DISABLED, ENXIO, "virtual function of a, which has none enabled")                         \
    X(VF_NOT_ONE, EINVAL, "it is none of the b virtual functions that a has enabled")              \
    X(VF_SILENT, ENODEV, "virtual function of a, number b, does not answer")                       \
    X(VF_OWNED, EBUSY, "virtual function of a: not removed, because it is a guest's; detach it first") \
    X(PF_HAS_VFS, EBUSY, "not removed before its a virtual functions, one of which is b")          \
    X(SRIOV_IN_USE, EBUSY, "write of b to register a would end virtual functions that guests have; " \
      "detach them first")                                                                         \
    X(SRIOV_ON, EBUSY, "register a of the SR-IOV capability written with b while there are "       \
      "virtual functions")                                                                         \
    X(MSI_BIND, EINVAL, "message with address a and data b cannot be delivered")                   \
    X(MSIX_ALIGN, EINVAL, "access at a of b bytes to an MSI-X table is not an aligned dword")      \
    X(MMIO_NOBODY, ENXIO, "access at a of b bytes beside an interrupt table, in nobody's BAR")     \
    X(MSIX_PBA_WRITE, EPERM, "write at a of b bytes to a pending bit array")                       \
    X(IOREQ_NOBODY, ENXIO, "write of b to register a: the domain has no device model to ask")      \
    X(IOREQ_DEADLINE, ETIMEDOUT, "write of b to register a: no device model decided in time")      \
    X(IOREQ_REFUSED, EPERM, "write of b to register a: refused by the device model")               \
    X(IOREQ_GONE, ENODEV, "write of b to register a of a function that was taken away meanwhile") \
    DENY_PT_RULES(X)

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
/*
 * The refusal as one line: function, rule's sentence with the operands in it. Always terminated; returns the length that it
 * would have.
 */
size_t deny_describe(enum deny_rule rule, uint32_t sbdf, uint64_t a, uint64_t b, char *out,
                     size_t len);

#endif
