/* SPDX-License-Identifier: MIT */
/*
 * RDMSR and WRMSR. The rule for what is not here is #GP, which kernels expect of a register that a CPU does not have.
 */
#include "cpu/msr.h"

#include "boot/exception.h"
#include "cpu/cpuid.h"
#include "cpu/guest_mem.h"
#include "cpu/state.h"
#include "domain/domain.h"
#include "lib/errno.h"
#include "lib/string.h"
#include "mm/frame.h"
#include "vdev/vlapic.h"

#define M_P5_MC_ADDR 0x0
#define M_P5_MC_TYPE 0x1
#define M_TSC 0x10
#define M_APIC_BASE 0x1b
#define M_EBC_FREQUENCY_ID 0x2c
#define M_PATCH_LEVEL 0x8b
#define M_SYSENTER_CS 0x174
#define M_SYSENTER_EIP 0x176
#define M_MCG_CAP 0x179
#define M_MCG_STATUS 0x17a
#define M_MCG_CTL 0x17b
#define M_MISC_ENABLE 0x1a0
#define M_DEBUGCTL 0x1d9
#define M_LAST_BRANCH_FIRST 0x1db
#define M_LAST_BRANCH_LAST 0x1de
#define M_PAT 0x277
#define M_X2APIC_FIRST 0x800
#define M_X2APIC_LAST 0x8ff
#define M_EFER 0xc0000080
#define M_STAR 0xc0000081
#define M_SFMASK 0xc0000084
#define M_FS_BASE 0xc0000100
#define M_KERNEL_GS_BASE 0xc0000102
#define M_TSC_AUX 0xc0000103
/* AMD (BIOS and kernel developer's guides): performance counters, HWCR, SYSCFG, top of memory and others that kernels
 * read without asking CPUID. */
#define M_K7_PERF_FIRST 0xc0010000
#define M_K7_PERF_LAST 0xc0010007
#define M_SYSCFG 0xc0010010
#define M_HWCR 0xc0010015
#define M_IORR_FIRST 0xc0010016
#define M_IORR_LAST 0xc0010019
#define M_TOP_MEM 0xc001001a
#define M_TOP_MEM2 0xc001001d
#define M_NB_CFG 0xc001001f
#define M_INT_PENDING 0xc0010055
#define M_SMM_BASE 0xc0010112
#define M_SMM_MASK 0xc0010113
#define M_VM_CR 0xc0010114
#define M_PERF_EXT_FIRST 0xc0010200
#define M_PERF_EXT_LAST 0xc001020b
#define M_BU_CFG 0xc0011023
#define M_DE_CFG 0xc0011029
#define M_BU_CFG2 0xc001102a
#define M_EX_CFG 0xc001102c

#define EFER_SCE BIT(0)
#define EFER_LME BIT(8)
#define EFER_LMA BIT(10)
#define EFER_NXE BIT(11)
#define EFER_FFXSR BIT(14)
#define CR0_PG BIT(31)
#define MISC_ENABLE_DEFAULT (BIT(0) | BIT(11) | BIT(12)) /* fast strings, no BTS, no PEBS */
#define DE_CFG_LFENCE BIT(1)
#define DEBUGCTL_KNOWN (BIT(0) | BIT(1))

/* XENMEM page that the guest fills by MSR: slots of 32 bytes. */
#define HYPERCALL_SLOT 32
#define HYPERCALL_IRET 23

static uint64_t patch_level;

void msr_probe(void)
{
    if (rdmsr_safe(M_PATCH_LEVEL, &patch_level))
        patch_level = 0;
    mtrr_probe();
}

void msr_vcpu_init(struct cpu_vcpu *c)
{
    c->misc_enable = MISC_ENABLE_DEFAULT;
    mtrr_vcpu_init(c);
}

static uint64_t host_tsc(void)
{
#ifdef XL_HOST
    return 0;
#else
    uint32_t lo, hi;

    __asm__ __volatile__("rdtsc" : "=a"(lo), "=d"(hi));
    return ((uint64_t)hi << 32) | lo;
#endif
}

static bool canonical(uint64_t a)
{
    return (uint64_t)((int64_t)(a << 16) >> 16) == a;
}

/* APM vol. 2, 3.1.7. LMA follows LME and CR0.PG; what the guest writes there is ignored. */
static int write_efer(struct cpu_vcpu *c, uint64_t val)
{
    const struct cpuid_leaf *ext = &c->cd->cpuid->ext[1];
    uint64_t old = cpu_backend->get_efer(c), allowed = EFER_SCE | EFER_LME | EFER_LMA;

    if (ext->d & BIT(20))
        allowed |= EFER_NXE;
    if (ext->d & BIT(25))
        allowed |= EFER_FFXSR;
    if (val & ~allowed)
        return -EPERM;
    if (((val ^ old) & EFER_LME) && (cpu_backend->get_cr(c, 0) & CR0_PG))
        return -EPERM;
    cpu_backend->set_efer(c, (val & ~EFER_LMA) | (old & EFER_LMA));
    return 0;
}

/* Types of the eight entries: UC, WC, WT, WP, WB, UC- (SDM vol. 3, 12.12.2). */
static int write_pat(struct cpu_vcpu *c, uint64_t val)
{
    for (unsigned b = 0; b < 64; b += 8) {
        unsigned type = val >> b & 0xff;

        if (type > 7 || type == 2 || type == 3)
            return -EPERM;
    }
    return cpu_backend->set_msr(c, M_PAT, val) ? -EPERM : 0;
}

/*
 * Writes the hypercall page at the guest-physical address in val: one slot a call number, MOV EAX and the call
 * instruction. Slot 23 is IRET, which a guest with nested paging does itself. Bits 11:0 choose one of several pages.
 */
static int write_hypercall_page(struct cpu_vcpu *c, uint64_t val)
{
    const uint8_t *call = cpu_backend->hypercall_insn;
    uint8_t slot[HYPERCALL_SLOT];

    if (val & ~PAGE_MASK)
        return -EPERM;
    for (uint32_t nr = 0; nr < PAGE_SIZE / HYPERCALL_SLOT; nr++) {
        const uint8_t code[] = { 0xb8, (uint8_t)nr, 0, 0, 0, call[0], call[1], call[2], 0xc3 };

        memset(slot, 0xcc, sizeof(slot));
        if (nr == HYPERCALL_IRET) {
            slot[0] = 0x0f;
            slot[1] = 0x0b;
        } else {
            memcpy(slot, code, sizeof(code));
        }
        if (copy_to_gpa(c->p2m, val + nr * HYPERCALL_SLOT, slot, sizeof(slot)))
            return -EPERM;
    }
    return 0;
}

static int write_tsc(struct cpu_vcpu *c, uint64_t val)
{
    c->tsc_offset = val - host_tsc();
    cpu_backend->set_tsc_offset(c, c->tsc_offset);
    return 0;
}

/* The kind of processor that describes itself in leaf 4 has IA32_MISC_ENABLE, the other one what comes below. */
static bool has_misc_enable(const struct cpu_vcpu *c)
{
    return c->cd->cpuid->leaf4;
}

/* Everything reads as after power-up. */
static int read_k8(const struct cpu_vcpu *c, uint32_t msr, uint64_t *val)
{
    if (has_misc_enable(c))
        return -ENOENT;
    switch (msr) {
    case M_K7_PERF_FIRST ... M_K7_PERF_LAST:
    case M_SYSCFG:
    case M_HWCR:
    case M_IORR_FIRST ... M_IORR_LAST:
    case M_TOP_MEM:
    case M_TOP_MEM2:
    case M_NB_CFG:
    case M_INT_PENDING:
    case M_SMM_BASE:
    case M_SMM_MASK:
    case M_VM_CR:
    case M_PERF_EXT_FIRST ... M_PERF_EXT_LAST:
    case M_BU_CFG:
    case M_BU_CFG2:
    case M_EX_CFG:
        *val = 0;
        return 0;
    case M_DE_CFG:
        *val = DE_CFG_LFENCE;
        return 0;
    default:
        return -ENOENT;
    }
}

/*
 * None of them changes anything for a guest. Counters may be set; of the others, what was read may be written back,
 * except where Xen refuses any write.
 */
static int write_k8(const struct cpu_vcpu *c, uint32_t msr, uint64_t val)
{
    uint64_t now;

    if (read_k8(c, msr, &now))
        return -ENOENT;
    switch (msr) {
    case M_K7_PERF_FIRST ... M_K7_PERF_LAST:
    case M_PERF_EXT_FIRST ... M_PERF_EXT_LAST:
        return 0;
    case M_HWCR:
    case M_IORR_FIRST ... M_IORR_LAST:
    case M_INT_PENDING:
    case M_SMM_BASE:
    case M_SMM_MASK:
        return -EPERM;
    default:
        return val == now ? 0 : -EPERM;
    }
}

static int read_machine(struct cpu_vcpu *c, uint32_t msr, uint64_t *val)
{
    int err = mtrr_read(c, msr, val);

    if (err == -ENOENT)
        err = read_k8(c, msr, val);
    return err;
}

int msr_read(struct cpu_vcpu *c, uint32_t msr, uint64_t *val)
{
    int err = 0;

    switch (msr) {
    case M_X2APIC_FIRST ... M_X2APIC_LAST:
    case M_APIC_BASE:
        return vlapic_msr_read(&c->v->vlapic, msr, val) ? -EPERM : 0;
    case M_EFER:
        *val = cpu_backend->get_efer(c);
        break;
    case M_TSC:
        *val = host_tsc() + c->tsc_offset;
        break;
    case M_PATCH_LEVEL:
        *val = patch_level;
        break;
    case M_SYSENTER_CS ... M_SYSENTER_EIP:
    case M_STAR ... M_SFMASK:
    case M_FS_BASE ... M_KERNEL_GS_BASE:
    case M_PAT:
        err = cpu_backend->get_msr(c, msr, val);
        break;
    case M_TSC_AUX:
        if (!cpuid_has_tsc_aux(c->cd->cpuid))
            err = -EPERM;
        *val = c->tsc_aux;
        break;
    case M_DEBUGCTL:
        *val = c->debugctl;
        break;
    case M_MISC_ENABLE:
        *val = c->misc_enable;
        err = has_misc_enable(c) ? 0 : -EPERM;
        break;
    case M_P5_MC_ADDR:
    case M_P5_MC_TYPE:
    case M_EBC_FREQUENCY_ID:
    case M_MCG_CAP: /* no banks */
    case M_MCG_STATUS:
    case M_LAST_BRANCH_FIRST ... M_LAST_BRANCH_LAST:
    case MSR_XEN_HYPERCALL:
        *val = 0;
        break;
    default:
        err = read_machine(c, msr, val);
        break;
    }
    if (unlikely(err)) {
        __atomic_fetch_add(&c->cd->nr_unknown_msr_reads, 1, __ATOMIC_RELAXED);
        return -EPERM;
    }
    return 0;
}

static int write_machine(struct cpu_vcpu *c, uint32_t msr, uint64_t val)
{
    int err = mtrr_write(c, msr, val);

    if (err == -ENOENT)
        err = write_k8(c, msr, val);
    return err;
}

static int write_address(struct cpu_vcpu *c, uint32_t msr, uint64_t val)
{
    return canonical(val) ? cpu_backend->set_msr(c, msr, val) : -EPERM;
}

static int write_tsc_aux(struct cpu_vcpu *c, uint64_t val)
{
    if (!cpuid_has_tsc_aux(c->cd->cpuid) || val >> 32)
        return -EPERM;
    cpu_set_tsc_aux(c, val);
    return 0;
}

int msr_write(struct cpu_vcpu *c, uint32_t msr, uint64_t val)
{
    int err = 0;

    switch (msr) {
    case M_X2APIC_FIRST ... M_X2APIC_LAST:
    case M_APIC_BASE:
        return vlapic_msr_write(&c->v->vlapic, msr, val) ? -EPERM : 0;
    case M_EFER:
        err = write_efer(c, val);
        break;
    case M_TSC:
        err = write_tsc(c, val);
        break;
    case M_PAT:
        err = write_pat(c, val);
        break;
    case M_SYSENTER_CS:
    case M_STAR:
    case M_SFMASK:
        err = cpu_backend->set_msr(c, msr, val);
        break;
    case M_SYSENTER_CS + 1 ... M_SYSENTER_EIP:
    case M_STAR + 1 ... M_SFMASK - 1:
    case M_FS_BASE ... M_KERNEL_GS_BASE:
        err = write_address(c, msr, val);
        break;
    case M_TSC_AUX:
        err = write_tsc_aux(c, val);
        break;
    case M_DEBUGCTL: /* branch records and single-stepping by branches do not take effect */
        err = val & ~DEBUGCTL_KNOWN ? -EPERM : 0;
        break;
    case M_PATCH_LEVEL: /* BIOS update signature: written with 0 before it is read (SDM vol. 3, 10.11.7) */
    case M_MCG_STATUS:
    case M_LAST_BRANCH_FIRST ... M_LAST_BRANCH_LAST: /* a processor would keep the value; nothing is recorded here */
        err = val ? -EPERM : 0;
        break;
    case M_MISC_ENABLE:
        err = has_misc_enable(c) && !((val ^ c->misc_enable) & ~BIT(0)) ? 0 : -EPERM;
        break;
    case MSR_XEN_HYPERCALL:
        err = write_hypercall_page(c, val);
        break;
    default:
        err = write_machine(c, msr, val);
        break;
    }
    if (unlikely(err)) {
        __atomic_fetch_add(&c->cd->nr_unknown_msr_writes, 1, __ATOMIC_RELAXED);
        return -EPERM;
    }
    return 0;
}
