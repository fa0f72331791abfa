/* SPDX-License-Identifier: MIT */
/*
 * Reference walkers of second-level tables, each written from its own specification and sharing
 * nothing with the hypervisor's code but physical memory: what hardware would make of the bits.
 */
#ifndef XL_TESTS_WALK_H
#define XL_TESTS_WALK_H

#include <stdbool.h>
#include <stdint.h>

enum walk_status { WALK_OK, WALK_NOT_PRESENT, WALK_MALFORMED };

struct walk_out {
    enum walk_status status;
    uint64_t hpa;        /* of the byte asked for */
    unsigned page_shift; /* 12, 21 or 30 */
    bool r, w, x;
    unsigned memtype; /* EPT: memory type; NPT: PAT index; VT-d: 0 */
};

/* Intel SDM vol. 3, 29.3.2 and 29.3.3. maxphyaddr in bits. */
struct walk_out walk_ept(uint64_t root, uint64_t gpa, unsigned maxphyaddr);
/*
 * VT-d specification 3.7 (first-level-free legacy mode) and 9.8; levels 3 or 4, haw: host address
 * width in bits.
 */
struct walk_out walk_vtd(uint64_t root, uint64_t iova, unsigned levels, unsigned haw);
/* AMD APM vol. 2, 5.3 and 15.25. Sets accessed and dirty bits as the CPU does when set_ad. */
struct walk_out walk_npt(uint64_t root, uint64_t gpa, bool write, bool set_ad);

#endif
