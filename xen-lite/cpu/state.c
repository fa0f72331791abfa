/* SPDX-License-Identifier: MIT */
/*
 * Saving and restoring the FPU, vector and debug registers (XSAVE where the machine has it, else FXSAVE). The hypervisor
 * is compiled without these registers, so they hold the current vCPU's values the whole time.
 */
#include "cpu/state.h"

#include "cpu/cpuid.h"
#include "cpu/x86.h"
#include "lib/errno.h"
#include "lib/string.h"
#include "mm/frame.h"
#include "mm/phys.h"

#define CPUID1_ECX_XSAVE         BIT(26)
#define CPUID80000001_EDX_RDTSCP BIT(27)
#define CPUID7_ECX_RDPID         BIT(22)

#define XCR0_X87    BIT(0)
#define XCR0_SSE    BIT(1)
#define XCR0_AVX    BIT(2)
#define XCR0_AVX512 GENMASK(7, 5)
#define XCR0_PKRU   BIT(9)
#define XCR0_KNOWN  (XCR0_X87 | XCR0_SSE | XCR0_AVX | XCR0_AVX512 | XCR0_PKRU)

/* Legacy region of the save area (SDM vol. 1, table 10-2). */
#define FPU_FCW         0
#define FPU_MXCSR       24
#define FPU_XMM         160
#define FPU_LEGACY_SIZE 512
#define FCW_RESET       0x37f
#define MXCSR_RESET     0x1f80

uint64_t cpu_xcr0_max;
static bool have_tsc_aux;
static unsigned area_order;

static void xsetbv(uint64_t val)
{
    __asm__ __volatile__("xsetbv" ::"c"(0), "a"((uint32_t)val), "d"((uint32_t)(val >> 32)));
}

static uint64_t xgetbv(void)
{
    uint32_t lo, hi;

    __asm__ __volatile__("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
    return ((uint64_t)hi << 32) | lo;
}

uint64_t cpu_get_xcr0(const struct cpu_vcpu *c)
{
    return cpu_xcr0_max && c->loaded ? xgetbv() & cpu_xcr0_max : c->xcr0;
}

void cpu_state_probe(void)
{
    uint32_t a, b, c, d, max, size = FPU_LEGACY_SIZE;

    cpuid(0, 0, &max, &b, &c, &d);
    cpuid(1, 0, &a, &b, &c, &d);
    if ((c & CPUID1_ECX_XSAVE) && max >= 0xd) {
        cpuid(0xd, 0, &a, &b, &c, &d);
        cpu_xcr0_max = (((uint64_t)d << 32) | a) & XCR0_KNOWN;
        size = c; /* for all components that the machine has: enough for those that we turn on */
    }
    while ((PAGE_SIZE << area_order) < size)
        area_order++;
    cpuid(0x80000001, 0, &a, &b, &c, &d);
    have_tsc_aux = d & CPUID80000001_EDX_RDTSCP;
    if (max >= 7) {
        cpuid(7, 0, &a, &b, &c, &d);
        have_tsc_aux |= (c & CPUID7_ECX_RDPID) != 0;
    }
}

void cpu_state_init_this(void)
{
    write_cr0((read_cr0() | CR0_MP | CR0_NE) & ~(CR0_EM | CR0_TS));
    write_cr4(read_cr4() | CR4_OSFXSR | CR4_OSXMMEXCPT | (cpu_xcr0_max ? CR4_OSXSAVE : 0));
    if (cpu_xcr0_max)
        xsetbv(cpu_xcr0_max);
}

int cpu_state_init(struct cpu_vcpu *c)
{
    uint64_t mfn = frame_alloc(area_order, OWNER_XEN, FRAME_ZERO);
    uint8_t *area;

    if (mfn == INVALID_MFN)
        return -ENOMEM;
    area = mfn_to_virt(mfn);
    *(uint16_t *)(area + FPU_FCW) = FCW_RESET;
    *(uint32_t *)(area + FPU_MXCSR) = MXCSR_RESET;
    c->fpu = area;
    c->xcr0 = XCR0_X87;
    return 0;
}

void cpu_state_destroy(struct cpu_vcpu *c)
{
    frame_free(virt_to_mfn(c->fpu), area_order);
    c->fpu = NULL;
}

/*
 * All components are switched, also those that the guest has turned off at the moment: it may turn them on again and
 * find its values there.
 */
void cpu_fpu_save(struct cpu_vcpu *c)
{
    if (cpu_xcr0_max) {
        c->xcr0 = xgetbv() & cpu_xcr0_max;
        xsetbv(cpu_xcr0_max);
        __asm__ __volatile__("xsave64 (%0)" ::"r"(c->fpu), "a"(~0u), "d"(~0u) : "memory");
        xsetbv(c->xcr0);
    } else {
        __asm__ __volatile__("fxsave64 (%0)" ::"r"(c->fpu) : "memory");
    }
}

void cpu_fpu_restore(struct cpu_vcpu *c)
{
    static const uint32_t zero;

    /*
     * AMD's CPUs keep the last x87 instruction's addresses when no exception is pending in the restored state (APM
     * vol. 5, FXRSTOR): overwrite them, or the next guest could read the last one's.
     */
    __asm__ __volatile__("fnclex; ffree %%st(7); fildl %0" ::"m"(zero));
    if (cpu_xcr0_max) {
        xsetbv(cpu_xcr0_max);
        __asm__ __volatile__("xrstor64 (%0)" ::"r"(c->fpu), "a"(~0u), "d"(~0u) : "memory");
        xsetbv(c->xcr0);
    } else {
        __asm__ __volatile__("fxrstor64 (%0)" ::"r"(c->fpu) : "memory");
    }
}

void cpu_load_debug(struct cpu_vcpu *c)
{
    __asm__ __volatile__("mov %0, %%dr0" ::"r"(c->dr[0]));
    __asm__ __volatile__("mov %0, %%dr1" ::"r"(c->dr[1]));
    __asm__ __volatile__("mov %0, %%dr2" ::"r"(c->dr[2]));
    __asm__ __volatile__("mov %0, %%dr3" ::"r"(c->dr[3]));
}

void cpu_vcpu_load(struct cpu_vcpu *c)
{
    cpu_fpu_restore(c);
    cpu_load_debug(c);
    if (have_tsc_aux)
        wrmsr(MSR_TSC_AUX, c->tsc_aux);
    cpu_backend->vcpu_load(c);
    c->loaded = true;
}

void cpu_vcpu_save(struct cpu_vcpu *c)
{
    cpu_fpu_save(c);
    __asm__ __volatile__("mov %%dr0, %0" : "=r"(c->dr[0]));
    __asm__ __volatile__("mov %%dr1, %0" : "=r"(c->dr[1]));
    __asm__ __volatile__("mov %%dr2, %0" : "=r"(c->dr[2]));
    __asm__ __volatile__("mov %%dr3, %0" : "=r"(c->dr[3]));
    cpu_backend->vcpu_save(c);
    c->loaded = false;
}

int cpu_set_xcr0(struct cpu_vcpu *c, uint64_t val)
{
    if (!(val & XCR0_X87) || (val & ~c->cd->cpuid->xcr0))
        return -EINVAL;
    if ((val & XCR0_AVX) && !(val & XCR0_SSE))
        return -EINVAL;
    if ((val & XCR0_AVX512) && ((val & XCR0_AVX512) != XCR0_AVX512 || !(val & XCR0_AVX)))
        return -EINVAL;
    c->xcr0 = val;
    xsetbv(val);
    return 0;
}

void cpu_set_tsc_aux(struct cpu_vcpu *c, uint64_t val)
{
    c->tsc_aux = val;
    if (have_tsc_aux)
        wrmsr(MSR_TSC_AUX, val);
}

/* The save area is free to use while the vCPU's state is in the registers. */
void cpu_get_xmm(struct cpu_vcpu *c, unsigned reg, uint64_t val[2])
{
    __asm__ __volatile__("fxsave64 (%0)" ::"r"(c->fpu) : "memory");
    memcpy(val, (uint8_t *)c->fpu + FPU_XMM + 16 * reg, 16);
}

void cpu_set_xmm(struct cpu_vcpu *c, unsigned reg, const uint64_t val[2])
{
    __asm__ __volatile__("fxsave64 (%0)" ::"r"(c->fpu) : "memory");
    memcpy((uint8_t *)c->fpu + FPU_XMM + 16 * reg, val, 16);
    __asm__ __volatile__("fxrstor64 (%0)" ::"r"(c->fpu) : "memory");
}
