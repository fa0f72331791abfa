/* SPDX-License-Identifier: MIT */
/*
 * A virtualisation backend for tests: registers are plain variables, injected events are remembered.
 */
#ifndef TEST_CPU_FAKE_H
#define TEST_CPU_FAKE_H

#include "cpu/vcpu.h"

struct fake_cpu {
    uint64_t cr[5], dr[8], efer, tsc_offset;
    uint64_t msr[16];
    uint32_t msr_number[16];
    unsigned nr_msrs, cpl, tlb_flushes;
    struct cpu_segment seg[CPU_NR_SEGS];
    struct cpu_event injected;
    bool irq_window, nmi_window;
};

extern struct fake_cpu fake;
extern const struct cpu_backend fake_backend;

#endif
