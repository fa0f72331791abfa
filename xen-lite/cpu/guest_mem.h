/* SPDX-License-Identifier: MIT */
/*
 * Guest memory as the hypervisor reaches it: guest-physical through the p2m, and linear through the guest's own page
 * tables (Intel SDM vol. 3, chapter 4), which are read afresh each time. Everything read is hostile and may change
 * between two reads. Frames are held by a reference while they are touched.
 *
 * The functions on linear addresses are for the vCPU that runs on the calling CPU (or is held descheduled).
 */
#ifndef XL_CPU_GUEST_MEM_H
#define XL_CPU_GUEST_MEM_H

#include "cpu/vcpu.h"
#include "lib/types.h"

struct p2m;
struct vcpu;

/* What an access wants; rights are checked as hardware would. */
#define GUEST_WRITE 1u
#define GUEST_FETCH 2u
#define GUEST_USER  4u /* with user rights: CPL 3 */
#define GUEST_SMAP  8u /* a supervisor's explicit access: CR4.SMAP and RFLAGS.AC count */

/* Bits of a page fault's error code (SDM vol. 3, 4.7). */
#define PF_PRESENT  1u
#define PF_WRITE    2u
#define PF_USER     4u
#define PF_RESERVED 8u
#define PF_FETCH    16u
/* Not from the CPU: the address is not canonical, which raises #GP(0) instead of #PF. */
#define PF_NOT_CANONICAL BIT(31)

/* The registers that steer a walk. */
struct guest_paging {
    uint64_t cr0, cr3, cr4, efer;
    bool ac; /* RFLAGS.AC */
};

struct guest_fault {
    uint64_t gva;
    uint32_t error; /* PF_* */
};

/*
 * Translates gva under *pg, with guest page tables in p2m. 0 and *gpa; or -EFAULT and, if fault != NULL, what the page
 * fault would say. Accessed and dirty bits are set as hardware does. chain, if not NULL, receives the entries on the
 * way for a walk that is kept; it is left empty (levels 0) when paging is off.
 */
int guest_walk(const struct guest_paging *pg, const struct p2m *p2m, uint64_t gva, unsigned access,
               uint64_t *gpa, struct guest_fault *fault, struct cpu_walk_cache *chain);

/* The same with the vCPU's registers. */
int guest_gva_to_gpa(struct cpu_vcpu *c, uint64_t gva, unsigned access, uint64_t *gpa,
                     struct guest_fault *fault);

/*
 * Hypercall arguments: linear addresses in v's address space, walked with supervisor rights and never stopped by SMAP.
 * n bytes, any alignment, may cross pages. 0, or -EFAULT (a part may have been copied).
 */
int copy_from_guest(struct vcpu *v, void *dst, uint64_t gva, size_t n);
int copy_to_guest(struct vcpu *v, uint64_t gva, const void *src, size_t n);

/* Emulated accesses: access is GUEST_*; on -EFAULT *fault says what to inject. */
int guest_linear_read(struct cpu_vcpu *c, uint64_t gva, void *dst, size_t n, unsigned access,
                      struct guest_fault *fault);
int guest_linear_write(struct cpu_vcpu *c, uint64_t gva, const void *src, size_t n, unsigned access,
                       struct guest_fault *fault);

/* Raises the exception that *fault stands for. */
void guest_inject_fault(struct cpu_vcpu *c, const struct guest_fault *fault);

/* Guest-physical, RAM only. 0, or -EFAULT (a part may have been copied). */
int copy_from_gpa(const struct p2m *p2m, void *dst, uint64_t gpa, size_t n);
int copy_to_gpa(const struct p2m *p2m, uint64_t gpa, const void *src, size_t n);

/*
 * Up to n bytes of the instruction at CS:RIP, as an instruction fetch sees them; returns how many could be read. Fewer
 * than n only where the next page is not there.
 */
size_t guest_fetch(struct cpu_vcpu *c, uint8_t *bytes, size_t n);
/* The same with the control registers as they are now, and n INSN_MAX_LEN. */
size_t guest_fetch_insn(struct cpu_vcpu *c, const struct cpu_control *control, uint8_t *bytes);

/*
 * The bytes at CS:RIP in place, *avail of them up to the end of the page; NULL if they cannot be reached. Look at them
 * at once: no reference is held, and the guest may write to them.
 */
const uint8_t *guest_fetch_ptr(struct cpu_vcpu *c, size_t *avail);

#endif
