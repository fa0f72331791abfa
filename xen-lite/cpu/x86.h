/* SPDX-License-Identifier: MIT */
/*
 * The processor's instructions as functions and the numbers of its registers that more than one place uses
 * (Intel SDM vol. 4 for MSRs, vol. 3 chapter 2 for control registers). Hypervisor build only.
 */
#ifndef XL_CPU_X86_H
#define XL_CPU_X86_H

#include "lib/types.h"

#define MSR_APIC_BASE 0x1b
#define MSR_PAT 0x277
#define MSR_EFER 0xc0000080
#define MSR_STAR 0xc0000081
#define MSR_LSTAR 0xc0000082
#define MSR_CSTAR 0xc0000083
#define MSR_SFMASK 0xc0000084
#define MSR_FS_BASE 0xc0000100
#define MSR_GS_BASE 0xc0000101
#define MSR_KERNEL_GS_BASE 0xc0000102
#define MSR_TSC_AUX 0xc0000103

#define EFER_SCE BIT(0)
#define EFER_LME BIT(8)
#define EFER_LMA BIT(10)
#define EFER_NXE BIT(11)
#define EFER_SVME BIT(12)

#define CR0_PE BIT(0)
#define CR0_MP BIT(1)
#define CR0_EM BIT(2)
#define CR0_TS BIT(3)
#define CR0_ET BIT(4)
#define CR0_NE BIT(5)
#define CR0_WP BIT(16)
#define CR0_AM BIT(18)
#define CR0_NW BIT(29)
#define CR0_CD BIT(30)
#define CR0_PG BIT(31)

#define CR4_PSE BIT(4)
#define CR4_PAE BIT(5)
#define CR4_PGE BIT(7)
#define CR4_OSFXSR BIT(9)
#define CR4_OSXMMEXCPT BIT(10)
#define CR4_LA57 BIT(12)
#define CR4_OSXSAVE BIT(18)
#define CR4_SMEP BIT(20)
#define CR4_SMAP BIT(21)

static inline uint64_t rdmsr(uint32_t msr)
{
    uint32_t lo, hi;

    __asm__ __volatile__("rdmsr" : "=a"(lo), "=d"(hi) : "c"(msr) : "memory");
    return ((uint64_t)hi << 32) | lo;
}

static inline void wrmsr(uint32_t msr, uint64_t v)
{
    __asm__ __volatile__("wrmsr" ::"c"(msr), "a"((uint32_t)v), "d"((uint32_t)(v >> 32)) : "memory");
}

static inline uint64_t rdtsc(void)
{
    uint32_t lo, hi;

    __asm__ __volatile__("rdtsc" : "=a"(lo), "=d"(hi));
    return ((uint64_t)hi << 32) | lo;
}

static inline void cpuid(uint32_t leaf, uint32_t sub, uint32_t *a, uint32_t *b, uint32_t *c,
                         uint32_t *d)
{
    __asm__ __volatile__("cpuid" : "=a"(*a), "=b"(*b), "=c"(*c), "=d"(*d) : "0"(leaf), "2"(sub));
}

#define PORT_ACCESSORS(bits, suffix)                                                               \
    static inline uint##bits##_t in##suffix(uint16_t port)                                         \
    {                                                                                              \
        uint##bits##_t v;                                                                          \
        __asm__ __volatile__("in" #suffix " %1, %0" : "=a"(v) : "Nd"(port) : "memory");            \
        return v;                                                                                  \
    }                                                                                              \
    static inline void out##suffix(uint##bits##_t v, uint16_t port)                                \
    {                                                                                              \
        __asm__ __volatile__("out" #suffix " %0, %1" ::"a"(v), "Nd"(port) : "memory");             \
    }

PORT_ACCESSORS(8, b)
PORT_ACCESSORS(16, w)
PORT_ACCESSORS(32, l)
#undef PORT_ACCESSORS

#define CR_ACCESSORS(n)                                                                            \
    static inline uint64_t read_cr##n(void)                                                        \
    {                                                                                              \
        uint64_t v;                                                                                \
        __asm__ __volatile__("mov %%cr" #n ", %0" : "=r"(v)::"memory");                            \
        return v;                                                                                  \
    }                                                                                              \
    static inline void write_cr##n(uint64_t v)                                                     \
    {                                                                                              \
        __asm__ __volatile__("mov %0, %%cr" #n ::"r"(v) : "memory");                               \
    }

CR_ACCESSORS(0)
CR_ACCESSORS(2)
CR_ACCESSORS(3)
CR_ACCESSORS(4)
#undef CR_ACCESSORS

static inline void invlpg(const volatile void *va)
{
    __asm__ __volatile__("invlpg (%0)" ::"r"(va) : "memory");
}

static inline void clflush(const volatile void *p)
{
    __asm__ __volatile__("clflush (%0)" ::"r"(p) : "memory");
}

static inline void irq_enable(void)
{
    __asm__ __volatile__("sti" ::: "memory");
}

static inline void irq_disable(void)
{
    __asm__ __volatile__("cli" ::: "memory");
}

/* Lets pending physical interrupts in. STI takes effect after the following instruction (SDM vol. 2, STI). */
static inline void irq_window(void)
{
    __asm__ __volatile__("sti; nop; cli" ::: "memory");
}

#endif
