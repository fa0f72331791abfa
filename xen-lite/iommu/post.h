/* SPDX-License-Identifier: MIT */
/*
 * Descriptors of posted interrupts: 64 bytes of memory into which units, and CPUs, put the requests for one vCPU, a bit a
 * vector, and which say whether, with which vector and to which CPU a unit tells of them. It tells once; then not again until
 * the requests have been taken. A CPU in guest mode may take them by itself (SDM vol. 3, 30.6).
 *
 * Locking: none. Units write to a descriptor at any time, and every function here may run beside any other. Whose turn it
 * is to say where notifications go, the caller knows.
 */
#ifndef XL_IOMMU_POST_H
#define XL_IOMMU_POST_H

#include "lib/types.h"

struct ir_post;

#define IR_POST_WORDS 4 /* of 64 vectors each */

/* A descriptor without requests that does not notify. NULL: no memory. */
struct ir_post *ir_post_alloc(void);
/* NULL is allowed. One that a remapping entry still names, or that a failed unit may write to, is never used again. */
void ir_post_free(struct ir_post *p);
/* Its physical address: what a remapping entry names. */
paddr_t ir_post_address(const struct ir_post *p);
/* One remapping entry more (1) or less (-1) names it; for vtd_ir.c. NULL is allowed. */
void ir_post_use(struct ir_post *p, int change);

/* From now on requests are told of with `vector` at the CPU with this APIC id, unless that has happened and they wait. */
void ir_post_notify(struct ir_post *p, uint8_t vector, uint32_t apicid);
/* From now on they are not told of. */
void ir_post_suppress(struct ir_post *p);
/* Somebody has told of requests that wait: no unit does so again until they are taken. */
bool ir_post_outstanding(const struct ir_post *p);
/* Requests wait, whether they were told of or not. */
bool ir_post_waiting(const struct ir_post *p);
enum ir_post_answer {
    IR_POST_MERGED, /* the vector had been requested and not been taken yet */
    IR_POST_TOLD,   /* somebody has told of requests that wait, or is about to */
    IR_POST_TELL,   /* it is the caller's to tell of it */
};
/* Requests a vector (16..255) as a unit does, but for the notification. */
enum ir_post_answer ir_post_request(struct ir_post *p, uint8_t vector);

/*
 * Takes the requests that wait: each is in the answer of one call. Those that come later are told of again. False:
 * there were none (vectors[] is not written then).
 */
bool ir_post_take(struct ir_post *p, uint64_t vectors[IR_POST_WORDS]);

#ifdef XL_HOST
/* Called between any two accesses of a descriptor, so that a test can let a unit, or another CPU, come in between. */
extern void (*ir_post_between)(void);
#endif

#endif
