/* SPDX-License-Identifier: MIT */
/*
 * A p2m on a small machine, with a flat model of what it should say, three reference walkers to
 * compare it with, and caches that forget nothing until they are told to: the TLB of a CPU, an
 * IOTLB, and the tables that both remember.
 */
#ifndef XL_TESTS_P2M_RIG_H
#define XL_TESTS_P2M_RIG_H

#include "p2m/p2m.h"

#define NR_FRAMES  8192u /* 32 MiB */
#define FIRST_FREE 16u
#define DOMID      5
#define FAR_MFN    0x100000ull /* no memory of ours: may be mapped in any size */

/* The parts of the guest's space that the random test plays in. */
struct window {
    uint64_t base, size;
};
#define NR_WINDOWS 4
extern struct window windows[NR_WINDOWS];

struct model {
    uint64_t mfn;
    enum p2m_type type;
};

extern struct p2m p2m;
extern uint64_t frames_at_start; /* finish() expects so many to be free again */

extern bool drop_cpu_flushes, drop_io_flushes, drop_table_hint; /* break it on purpose */
extern bool stale;                                              /* what a check has found */
extern uint64_t released[P2M_NR_TYPES], sync_bytes;
extern unsigned cpu_flushes, io_flushes;
extern uint64_t io_first, io_last; /* of the last flush */

void start(unsigned addr_bits, unsigned max_order, bool on_map, bool nested_paging);
void finish(void);

/* What gfn should be; NULL outside of the windows. */
struct model *model_of(uint64_t gfn);
/* One gfn as everybody sees it. */
void check_gfn(uint64_t gfn, bool nested_paging);
uint64_t random_gfn(void);
/* Caches remember whatever a walk of theirs finds. */
void fill_caches(void);
/* Sets stale if a cache knows more than the model allows; looks at gfn touched above all. */
void check_caches(uint64_t touched);
/* Counters, and all that an audit says about a table full of frames that are nobody's. */
void check_audit(void);

#endif
