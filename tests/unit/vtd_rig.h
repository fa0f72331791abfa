/* SPDX-License-Identifier: MIT */
/*
 * What the VT-d tests share: a machine of software units described by a DMAR table, domains with
 * page tables that the tests write themselves, and stand-ins for the frame allocator and the p2m.
 */
#ifndef XL_TESTS_VTD_RIG_H
#define XL_TESTS_VTD_RIG_H

#include "iommu/iommu.h"
#include "p2m/p2m.h"
#include "vtd_model.h"

#define RIG_MEM   (4UL << 20)
#define RIG_UNITS 2
#define RIG_BASE  0xfed90000ULL

/*
 * Devices: everything is unit 0's but what has device number 0x10 and above on bus 0, which unit 1
 * names if there is one.
 */
#define DEV_A      0x0018u /* 00:03.0, unit 0, has an RMRR */
#define DEV_B      0x0120u /* 01:04.0, unit 0 */
#define DEV_C      0x0080u /* 00:10.0, unit 1 */
#define DEV_C_VF   0x0181u /* 01:10.1, a virtual function of it */
#define SID_IOAPIC 0xff00u
#define SID_HPET   0xff08u

struct rig_domain {
    struct iommu_domain io;
    struct p2m p2m; /* only root and subroot are used */
};

extern struct vtd_model rig_model[RIG_UNITS];
extern uint64_t rig_frames;     /* frames given out so far */
extern uint64_t rig_fail_frame; /* n: the n-th allocation from now fails, once */
/* Called by rig_start() when memory is new and empty; NULL: nothing to do. */
extern void (*rig_memory_init)(void);
/* what the hooks were called with */
extern unsigned rig_hook_faults, rig_hook_quarantines;
extern uint32_t rig_quarantined;
extern char rig_why[64];

/* A unit as QEMU 7.2 has it: not coherent, queue, interrupt remapping, one fault record. */
struct vtd_model rig_qemu(unsigned aw_bits);
/* Units of every kind that the code tells apart: n below RIG_VARIANTS. */
#define RIG_VARIANTS 11
struct vtd_model rig_variant(unsigned n);
/*
 * Puts units in the machine and calls iommu_init() with a table that describes them. Returns what
 * that returns.
 */
int rig_start(const struct vtd_model *units, unsigned nr, const struct iommu_options *opt);
/* rig_start() that must succeed, and iommu_enable(). */
void rig_up(const struct vtd_model *units, unsigned nr);
/* Nobody broke a rule. */
void rig_check(void);

void rig_domain_init(struct rig_domain *d, uint16_t domid);
/* Tables by hand, no flush: perm bit 0 read, bit 1 write, 0 removes the entry. order 0, 9, 18. */
void rig_pte(struct rig_domain *d, uint64_t gfn, uint64_t mfn, unsigned order, unsigned perm);
/*
 * The table below the 2 MiB (order 9) entry is unhooked and `perm` leaf put in its place. Returns
 * the table.
 */
uint64_t *rig_collapse(struct rig_domain *d, uint64_t gfn, uint64_t mfn, unsigned perm);
/* A table with the leaf's 512 pages takes the place of a 2 MiB leaf. */
void rig_split(struct rig_domain *d, uint64_t gfn);

/* DMA that must reach this frame, or must fault or be dropped (reason 0: any). */
void rig_reaches(uint16_t sid, uint64_t gfn, bool write, uint64_t mfn);
void rig_refused(uint16_t sid, uint64_t gfn, bool write, unsigned reason);
struct vtd_model *rig_unit_of(uint16_t sid);

#endif
