/* SPDX-License-Identifier: MIT */
/*
 * See vmx_rig.h. The capability values are those of a CPU with EPT, VPID and unrestricted guest, as numbers from the SDM's
 * appendix A, so that a slip in the header shows.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "vmx_rig.h"

#include "cpu/cpuid.h"
#include "cpu/guest_mem.h"
#include "cpu/vmx/hw.h"
#include "lib/errno.h"
#include "lib/string.h"

struct vmx_rig rig;
struct cpu_vcpu rig_cpu;
struct vmx_vcpu rig_vmx;
static struct vmx_domain dom;
static struct cpu_domain cd;
static struct cpuid_policy policy;

uint64_t vmcs_read(uint16_t enc)
{
    assert_true(enc < RIG_FIELDS);
    return rig.field[enc];
}

void vmcs_write(uint16_t enc, uint64_t val)
{
    assert_true(enc < RIG_FIELDS);
    rig.field[enc] = val;
    rig.writes[enc]++;
}

uint64_t hw_read_cr2(void)
{
    return rig.cr2;
}

void hw_write_cr2(uint64_t val)
{
    rig.cr2 = val;
}

uint64_t hw_read_dr6(void)
{
    return rig.dr6;
}

void hw_write_dr6(uint64_t val)
{
    rig.dr6 = val;
}

static uint64_t *lazy(uint32_t msr)
{
    for (unsigned i = 0; i < NR_LAZY_MSRS; i++) {
        if (vmx_lazy_msr[i] == msr)
            return &rig.lazy[i];
    }
    fail_msg("MSR %#x is not one that stays in the CPU", msr);
    return NULL;
}

uint64_t hw_rdmsr(uint32_t msr)
{
    return *lazy(msr);
}

void hw_wrmsr(uint32_t msr, uint64_t val)
{
    *lazy(msr) = val;
}

void hw_invept(uint64_t type, uint64_t eptp)
{
    rig.invepts++;
    rig.last_invept_type = type;
    rig.last_eptp = eptp;
}

void hw_invvpid(uint64_t type, uint64_t vpid)
{
    rig.invvpids++;
    rig.last_invvpid_type = type;
    rig.last_vpid = vpid;
}

int copy_from_gpa(const struct p2m *p2m, void *dst, uint64_t gpa, size_t n)
{
    (void)p2m;
    (void)gpa;
    memcpy(dst, rig.pdpte, n);
    return 0;
}

int rig_rdmsr(uint32_t msr, uint64_t *val)
{
    uint32_t i = msr - MSR_VMX_BASIC;

    assert_true(i < RIG_MSRS);
    *val = rig.msr[i];
    return rig.no_msr[i] ? -EFAULT : 0;
}

static void good_msrs(void)
{
    static const uint64_t good[RIG_MSRS] = {
        [0x0] = 0x00d8100000000012, /* revision 12h, 4 KiB, write-back, true controls */
        [0x1] = 0x0000007f00000016, [0x2] = 0xfff9fffe0401e172,
        [0x3] = 0x003fffff00036dff, [0x4] = 0x0000ffff000011ff,
        [0x5] = 0x400001e5,         /* zero-length injection, HLT etc., EFER.LMA is stored */
        [0x6] = 0x80000021,         [0x7] = 0xffffffff,
        [0x8] = 0x2000,             [0x9] = 0x3767ff,
        [0xa] = 0x2a,               [0xb] = 0x000010ff00000000,
        [0xc] = 0x00000f0106334141, [0xd] = 0x0000007f00000016,
        [0xe] = 0xfff9fffe04006172, [0xf] = 0x003fffff00036dfb,
        [0x10] = 0x0000ffff000011fb,
    };

    memcpy(rig.msr, good, sizeof(good));
}

void rig_start(void)
{
    memset(&rig, 0, sizeof(rig));
    memset(&rig_cpu, 0, sizeof(rig_cpu));
    memset(&rig_vmx, 0, sizeof(rig_vmx));
    memset(&dom, 0, sizeof(dom));
    good_msrs();
    vmcs_table_init();
    assert_null(vmx_caps_probe(&vmx_caps, rig_rdmsr));
    policy.ext[8].a = 40;
    cd.cpuid = &policy;
    rig_cpu.cd = &cd;
    rig_cpu.backend = &rig_vmx;
    rig_cpu.regs.rflags = 2;
    rig_vmx.c = &rig_cpu;
    rig_vmx.dom = &dom;
    rig_vmx.ctl = vmx_caps.ctl;
    rig_vmx.loaded = true;
    rig_vmx.addr = (struct vmx_addresses){ .vpid = 7,
                                           .io_bitmap_a = 0x10000,
                                           .io_bitmap_b = 0x11000,
                                           .msr_bitmap = 0x12000,
                                           .virtual_apic = 0x13000,
                                           .eptp = vmx_eptp(&vmx_caps, 0x14000) };
    vmx_guest_reset(&rig_vmx);
}

void rig_fill_vmcs(void)
{
    static const struct vmx_host host = {
        .cr0 = 0x80010033,  .cr3 = 0x200000,    .cr4 = 0x2620,         .efer = 0x500,
        .pat = 0x7040600070406, .cs = 8,        .ss = 16,              .tr = 32,
        .gs_base = 0x300000, .tr_base = 0x301000, .gdtr_base = 0x302000, .idtr_base = 0x303000,
        .rip = 0x204000,
    };

    vmcs_write_set(BY_CONSTANT, NULL);
    vmcs_write_set(BY_CAPS, &rig_vmx.ctl);
    vmcs_write_set(BY_VCPU, &rig_vmx.addr);
    vmcs_write_set(BY_HOST, &host);
    vmx_write_back(&rig_vmx);
}
