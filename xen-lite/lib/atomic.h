/* SPDX-License-Identifier: MIT */
/*
 * Memory barriers and the spin-wait hint. Atomic operations themselves are the compiler's __atomic builtins.
 */
#ifndef XL_LIB_ATOMIC_H
#define XL_LIB_ATOMIC_H

#include "lib/types.h"

#define barrier() __asm__ __volatile__("" ::: "memory")
#define mb() __atomic_thread_fence(__ATOMIC_SEQ_CST)
/* x86 keeps loads in order and stores in order (Intel SDM vol. 3, 9.2.2): the compiler is the only one to stop. */
#define rmb() barrier()
#define wmb() barrier()

#ifdef XL_HOST
/* A test may let another CPU go on while this one waits for it. */
void sim_relax(void) __attribute__((weak));
#endif

static inline void cpu_relax(void)
{
#ifdef XL_HOST
    if (sim_relax)
        sim_relax();
#endif
    __asm__ __volatile__("pause" ::: "memory");
}

#endif
