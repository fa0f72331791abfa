/* SPDX-License-Identifier: MIT */
/*
 * The few registers and instructions of the machine beside the VMCS that code needs which also builds for the host, where
 * tests stand in for them.
 */
#ifndef XL_CPU_VMX_HW_H
#define XL_CPU_VMX_HW_H

#include "lib/types.h"

#ifdef XL_HOST
uint64_t hw_read_cr2(void);
void hw_write_cr2(uint64_t val);
uint64_t hw_read_dr6(void);
void hw_write_dr6(uint64_t val);
uint64_t hw_rdmsr(uint32_t msr);
void hw_wrmsr(uint32_t msr, uint64_t val);
void hw_invept(uint64_t type, uint64_t eptp);
void hw_invvpid(uint64_t type, uint64_t vpid);
#else
#include "cpu/x86.h"

#define hw_read_cr2 read_cr2
#define hw_write_cr2 write_cr2
#define hw_rdmsr rdmsr
#define hw_wrmsr wrmsr

static inline uint64_t hw_read_dr6(void)
{
    uint64_t val;

    __asm__ __volatile__("mov %%dr6, %0" : "=r"(val));
    return val;
}

static inline void hw_write_dr6(uint64_t val)
{
    __asm__ __volatile__("mov %0, %%dr6" ::"r"(val));
}

static inline void hw_invept(uint64_t type, uint64_t eptp)
{
    struct {
        uint64_t eptp, reserved;
    } desc = { eptp, 0 };

    __asm__ __volatile__("invept %0, %1" ::"m"(desc), "r"(type) : "memory", "cc");
}

static inline void hw_invvpid(uint64_t type, uint64_t vpid)
{
    struct {
        uint64_t vpid, linear;
    } desc = { vpid, 0 };

    __asm__ __volatile__("invvpid %0, %1" ::"m"(desc), "r"(type) : "memory", "cc");
}
#endif

#endif
