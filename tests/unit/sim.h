/* SPDX-License-Identifier: MIT */
/*
 * Knobs of the simulated machine (sim.c).
 */
#ifndef XL_TESTS_SIM_H
#define XL_TESTS_SIM_H

#include "lib/types.h"

extern uint64_t sim_now_ns;   /* what now_ns() gives; udelay() moves it on */
extern uint64_t sim_now_step; /* added at each now_ns(), so that loops with deadlines end */
/* 0: never fail; n: the n-th allocation from now fails, once. */
extern unsigned sim_heap_fail_after;
extern bool sim_verbose; /* messages of printk() go to standard error */

#endif
