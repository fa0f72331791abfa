/* SPDX-License-Identifier: MIT */
/*
 * VMX without a CPU: the VMCS table against the SDM's encoding rules, controls against capability registers, guest state,
 * events, translations, and the checker of VM entry's rules.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "cpu/vmx/check.h"
#include "lib/string.h"
#include "vmx_rig.h"

static int setup(void **state)
{
    (void)state;
    rig_start();
    return 0;
}

/* ---- the table ---- */

/* SDM appendix B: bits 11:10 of an encoding are the kind, 14:13 the width, bit 0 and 12 are 0 for whole fields. */
static void test_table(void **state)
{
    static const uint8_t kind[] = { [BY_CAPS] = 0, [BY_VCPU] = 0, [BY_HOST] = 3, [BY_CPU] = 1 };
    uint64_t slots = 0;

    (void)state;
    for (unsigned i = 0; i < vmcs_table_size; i++) {
        const struct vmcs_field *f = &vmcs_table[i];

        assert_int_equal(f->enc & 0x9001, 0);
        for (unsigned k = i + 1; k < vmcs_table_size; k++) {
            assert_int_not_equal(f->enc, vmcs_table[k].enc);
            assert_string_not_equal(f->name, vmcs_table[k].name);
        }
        if (f->by == BY_GUEST) {
            assert_true(f->value < NR_GUEST_SLOTS);
            assert_false(slots & BIT(f->value));
            slots |= BIT(f->value);
            assert_true((f->enc >> 10 & 3) == 2 || f->enc == VMCS_CR0_SHADOW ||
                        f->enc == VMCS_CR4_SHADOW);
            assert_int_equal(vmcs_slot_field[f->value], f->enc);
        } else if (f->by != BY_ENTRY && f->by != BY_APIC && f->by != BY_CONSTANT) {
            assert_int_equal(f->enc >> 10 & 3, kind[f->by]);
        }
    }
    assert_int_equal(slots, GENMASK(NR_GUEST_SLOTS - 1, 0));
}

/* A few encodings as numbers, first and last of the runs. */
static void test_encodings(void **state)
{
    (void)state;
    assert_int_equal(vmcs_slot_field[SLOT_SEL + CPU_SEG_TR], 0x80e);
    assert_int_equal(vmcs_slot_field[SLOT_LIMIT + CPU_SEG_IDTR], 0x4812);
    assert_int_equal(vmcs_slot_field[SLOT_AR + CPU_SEG_TR], 0x4822);
    assert_int_equal(vmcs_slot_field[SLOT_BASE + CPU_SEG_IDTR], 0x6818);
    assert_int_equal(vmcs_slot_field[SLOT_PDPTE + 3], 0x2810);
    assert_string_equal(vmcs_name(0x681e), "guest RIP");
    assert_string_equal(vmcs_name(0x201a), "EPT pointer");
}

/* ---- capabilities ---- */

static const char *probe(void)
{
    static struct vmx_caps caps;

    return vmx_caps_probe(&caps, rig_rdmsr);
}

/* Takes away what word `msr` may have as bit, in the plain and in the true register. */
static void take_away(uint32_t msr, uint32_t true_msr, unsigned bit)
{
    rig.msr[msr - MSR_VMX_BASIC] &= ~BIT(32 + bit);
    rig.msr[true_msr - MSR_VMX_BASIC] &= ~BIT(32 + bit);
}

static void test_controls(void **state)
{
    (void)state;
    assert_int_equal(vmx_caps.revision, 0x12);
    assert_int_equal(vmx_caps.ctl.pin, 0x16 | 0x29);
    assert_int_equal(vmx_caps.ctl.proc, 0x04006172 | 0xb2200c88);
    assert_int_equal(vmx_caps.ctl.proc2, 0x10ea);
    assert_int_equal(vmx_caps.ctl.exit, 0x00036dfb | 0x380204);
    assert_int_equal(vmx_caps.ctl.entry, 0x11fb | 0xc004);
    assert_int_equal(vmx_caps.ctl.cr4_mask, ~0x3767ffull | 0x2000 | 0x6000);
    assert_int_equal(vmx_eptp(&vmx_caps, 0x5000), 0x505e);
    vmx_caps.ept_vpid &= ~BIT(21);
    assert_int_equal(vmx_eptp(&vmx_caps, 0x5000), 0x501e);
}

static void test_missing_controls(void **state)
{
    static const struct {
        uint32_t msr, true_msr;
        uint8_t bit;
        const char *reason;
    } missing[] = {
        { MSR_VMX_PIN, MSR_VMX_TRUE_PIN, 0, "VMX has no external-interrupt exiting" },
        { MSR_VMX_PIN, MSR_VMX_TRUE_PIN, 5, "VMX has no virtual NMIs" },
        { MSR_VMX_PROC, MSR_VMX_TRUE_PROC, 3, "VMX has no TSC offsetting" },
        { MSR_VMX_PROC, MSR_VMX_TRUE_PROC, 28, "VMX has no MSR bitmaps" },
        { MSR_VMX_PROC, MSR_VMX_TRUE_PROC, 22, "VMX has no interrupt windows" },
        { MSR_VMX_PROC2, MSR_VMX_PROC2, 1, "VMX has no EPT" },
        { MSR_VMX_PROC2, MSR_VMX_PROC2, 7, "VMX has no unrestricted guest" },
        { MSR_VMX_EXIT, MSR_VMX_TRUE_EXIT, 21, "VMX has no load EFER at exits" },
        { MSR_VMX_ENTRY, MSR_VMX_TRUE_ENTRY, 14, "VMX has no load PAT at entries" },
    };

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(missing); i++) {
        rig_start();
        take_away(missing[i].msr, missing[i].true_msr, missing[i].bit);
        assert_string_equal(probe(), missing[i].reason);
    }
}

static void test_missing_features(void **state)
{
    static const struct {
        uint32_t msr;
        uint64_t clear;
        const char *reason;
    } missing[] = {
        { MSR_VMX_EPT_VPID, BIT(6), "VMX has no EPT tables of four levels" },
        { MSR_VMX_EPT_VPID, BIT(14), "VMX has no write-back and uncached memory types in EPT" },
        { MSR_VMX_EPT_VPID, BIT(20), "VMX has no INVEPT" },
        { MSR_VMX_EPT_VPID, BIT(25) | BIT(26), "VMX has no INVEPT" },
        { MSR_VMX_MISC, BIT(5),
          "VMX has no way to tell a guest's change of mode (EFER.LMA is not stored)" },
        { MSR_VMX_BASIC, GENMASK(53, 50),
          "VMX wants its structures in memory that is not cached write-back" },
    };

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(missing); i++) {
        rig_start();
        rig.msr[missing[i].msr - MSR_VMX_BASIC] &= ~missing[i].clear;
        assert_string_equal(probe(), missing[i].reason);
    }
    rig_start();
    rig.no_msr[MSR_VMX_PROC2 - MSR_VMX_BASIC] = true;
    assert_string_equal(probe(), "VMX has no secondary controls");
}

/* What a CPU insists on and must not: without true controls CR3 accesses exit. */
static void test_demands(void **state)
{
    (void)state;
    rig.msr[0] &= ~BIT(55);
    assert_string_equal(probe(), "VMX insists on CR3-load exiting (bit 15 of the primary "
                                 "processor-based controls)");
    rig_start();
    rig.msr[MSR_VMX_PROC2 - MSR_VMX_BASIC] |= BIT(2);
    assert_string_equal(probe(), "VMX insists on descriptor-table exiting (bit 2 of the secondary "
                                 "processor-based controls)");
    rig_start();
    rig.msr[MSR_VMX_CR4_FIXED0 - MSR_VMX_BASIC] |= BIT(5);
    assert_string_equal(probe(), "VMX fixes bits of CR4 to 1 that guests need: 0x20");
}

static void test_optional(void **state)
{
    struct vmx_caps caps;

    (void)state;
    take_away(MSR_VMX_PROC, MSR_VMX_TRUE_PROC, 21);
    assert_null(vmx_caps_probe(&caps, rig_rdmsr));
    assert_int_equal(caps.ctl.proc & (BIT(19) | BIT(20) | BIT(21)), BIT(19) | BIT(20));
    take_away(MSR_VMX_PROC, MSR_VMX_TRUE_PROC, 19);
    assert_string_equal(vmx_caps_probe(&caps, rig_rdmsr), "VMX has no TPR shadow nor CR8 exiting");
    rig_start();
    rig.msr[MSR_VMX_EPT_VPID - MSR_VMX_BASIC] &= ~BIT(32);
    assert_null(vmx_caps_probe(&caps, rig_rdmsr));
    assert_false(caps.ctl.proc2 & BIT(5));
}

/* ---- guest state ---- */

static void test_cache(void **state)
{
    (void)state;
    rig_fill_vmcs();
    assert_int_equal(rig_vmx.dirty, 0);
    rig_vmx.valid = SLOTS_KEPT;
    rig.field[VMCS_GUEST_CR3] = 0x7000;
    assert_int_equal(vmx_get_cr(&rig_cpu, 3), 0x7000);
    rig.field[VMCS_GUEST_CR3] = 0x8000;
    assert_int_equal(vmx_get_cr(&rig_cpu, 3), 0x7000); /* read once */
    vmx_set_cr(&rig_cpu, 3, 0x9000);
    assert_int_equal(rig.field[VMCS_GUEST_CR3], 0x8000);
    vmx_write_back(&rig_vmx);
    assert_int_equal(rig.field[VMCS_GUEST_CR3], 0x9000);
    assert_int_equal(rig_vmx.dirty, 0);
    vmx_read_all(&rig_vmx);
    assert_int_equal(rig_vmx.valid, GENMASK(NR_GUEST_SLOTS - 1, 0));
}

static void test_segments(void **state)
{
    struct cpu_segment in = { 0x33, 0xafb, ~0u, 0x1234 }, out;

    (void)state;
    vmx_set_segment(&rig_cpu, CPU_SEG_CS, &in);
    vmx_write_back(&rig_vmx);
    assert_int_equal(rig.field[0x802], 0x33);
    assert_int_equal(rig.field[0x4816], 0xa0fb);
    assert_int_equal(rig.field[0x4802], 0xffffffff);
    assert_int_equal(rig.field[0x6808], 0x1234);
    vmx_get_segment(&rig_cpu, CPU_SEG_CS, &out);
    assert_memory_equal(&in, &out, sizeof(in));
    /* A null SS has a privilege level all the same. */
    vmx_set_segment(&rig_cpu, CPU_SEG_SS, &(struct cpu_segment){ .attr = 0x60 });
    vmx_write_back(&rig_vmx);
    assert_int_equal(rig.field[0x4818], 0x10060);
    assert_int_equal(vmx_get_cpl(&rig_cpu), 3);
    rig.field[0x481a] = 0x100f3;
    rig_vmx.valid &= ~BIT(SLOT_AR + CPU_SEG_DS);
    vmx_get_segment(&rig_cpu, CPU_SEG_DS, &out);
    assert_int_equal(out.attr & CPU_SEG_ATTR_P, 0);
}

static void test_control_registers(void **state)
{
    (void)state;
    vmx_set_cr(&rig_cpu, 0, 0x60000011); /* CD, NW */
    assert_int_equal(rig_vmx.val[SLOT_CR0], 0x31);
    assert_int_equal(vmx_get_cr(&rig_cpu, 0), 0x60000011);
    vmx_set_cr(&rig_cpu, 4, 0x20);
    assert_int_equal(rig_vmx.val[SLOT_CR4], 0x2020);
    assert_int_equal(vmx_get_cr(&rig_cpu, 4), 0x20);
    vmx_set_cr(&rig_cpu, 2, 0x123);
    assert_int_equal(rig.cr2, 0x123);
    vmx_save_registers(&rig_vmx);
    rig_vmx.loaded = false;
    rig.cr2 = 0;
    assert_int_equal(vmx_get_cr(&rig_cpu, 2), 0x123);
    vmx_set_dr(&rig_cpu, 6, 0xffff0ff1);
    vmx_load_registers(&rig_vmx);
    assert_int_equal(rig.cr2, 0x123);
    assert_int_equal(rig.dr6, 0xffff0ff1);
}

static void test_msrs(void **state)
{
    static uint8_t map[4096];
    uint64_t val;

    (void)state;
    assert_int_equal(vmx_set_msr(&rig_cpu, 0xc0000082, 0x1234), 0);
    assert_int_equal(rig.lazy[LAZY_LSTAR], 0x1234);
    assert_int_equal(vmx_set_msr(&rig_cpu, 0xc0000101, 0x5678), 0);
    assert_int_equal(rig_vmx.val[SLOT_BASE + CPU_SEG_GS], 0x5678);
    assert_int_equal(vmx_get_msr(&rig_cpu, 0xc0000102, &val), 0);
    assert_int_equal(vmx_get_msr(&rig_cpu, 0x3a, &val), -22);
    memset(map, 0xff, sizeof(map));
    assert_int_equal(vmx_msrbm_allow(map, 0x174, true, true), 0);
    assert_int_equal(vmx_msrbm_allow(map, 0xc0000102, true, false), 0);
    assert_int_equal(vmx_msrbm_allow(map, 0x40000000, true, true), -22);
    assert_int_equal(map[0x174 / 8], 0xef);
    assert_int_equal(map[2048 + 0x174 / 8], 0xef);
    assert_int_equal(map[1024 + 0x102 / 8], 0xfb);
    assert_int_equal(map[3072 + 0x102 / 8], 0xff);
}

/* Long mode on and off by MOV to CR0 (SDM vol. 3, 10.8.5). */
static void test_mode_switch(void **state)
{
    (void)state;
    vmx_set_efer(&rig_cpu, 0x100);
    assert_int_not_equal(vmx_write_cr0(&rig_cpu, 0x80000000), 0); /* PG without PE */
    assert_int_not_equal(vmx_write_cr0(&rig_cpu, 0x20000011), 0); /* NW without CD */
    assert_int_not_equal(vmx_write_cr0(&rig_cpu, 0x100000011), 0);
    assert_int_not_equal(vmx_write_cr0(&rig_cpu, 0x80000031), 0); /* LME without PAE */
    assert_int_equal(vmx_get_cr(&rig_cpu, 0), 0x10);
    vmx_set_cr(&rig_cpu, 4, 0x20);
    rig_vmx.flush_vpid = false;
    assert_int_equal(vmx_write_cr0(&rig_cpu, 0x80000031), 0);
    assert_int_equal(vmx_get_efer(&rig_cpu), 0x500);
    assert_true(rig_vmx.flush_vpid);
    vmx_write_back(&rig_vmx);
    assert_int_equal(rig.field[VMCS_ENTRY_CTL] & 0x200, 0x200);
    /* Not from 64-bit code. */
    vmx_set_segment(&rig_cpu, CPU_SEG_CS, &(struct cpu_segment){ 8, 0xa9b, ~0u, 0 });
    assert_int_not_equal(vmx_write_cr0(&rig_cpu, 0x31), 0);
    vmx_set_segment(&rig_cpu, CPU_SEG_CS, &(struct cpu_segment){ 8, 0xc9b, ~0u, 0 });
    assert_int_equal(vmx_write_cr0(&rig_cpu, 0x31), 0);
    assert_int_equal(vmx_get_efer(&rig_cpu), 0x100);
    vmx_write_back(&rig_vmx);
    assert_int_equal(rig.field[VMCS_ENTRY_CTL] & 0x200, 0);
}

static void test_pae(void **state)
{
    (void)state;
    vmx_set_cr(&rig_cpu, 4, 0x20);
    rig.pdpte[2] = 0x3000 | 3; /* reserved bit 1 */
    assert_int_not_equal(vmx_write_cr0(&rig_cpu, 0x80000031), 0);
    assert_int_equal(vmx_get_cr(&rig_cpu, 0), 0x10);
    rig.pdpte[2] = 0x3001;
    assert_int_equal(vmx_write_cr0(&rig_cpu, 0x80000031), 0);
    vmx_write_back(&rig_vmx);
    assert_int_equal(rig.field[0x280e], 0x3001);
}

/* ---- events ---- */

static void test_inject(void **state)
{
    (void)state;
    vmx_inject(&rig_cpu, &(struct cpu_event){ .type = CPU_EVENT_INTR, .vector = 0x31 });
    assert_int_equal(rig.field[VMCS_ENTRY_INTR], 0x80000031);
    assert_false(vmx_can_inject_nmi(&rig_cpu));
    vmx_inject(&rig_cpu, &(struct cpu_event){ .type = CPU_EVENT_NMI, .vector = 2 });
    assert_int_equal(rig.field[VMCS_ENTRY_INTR], 0x80000202);
    /* Real mode has no error codes. */
    vmx_inject(&rig_cpu, &(struct cpu_event){ .type = CPU_EVENT_EXCEPTION, .vector = 13,
                                              .has_error = true, .error = 8 });
    assert_int_equal(rig.field[VMCS_ENTRY_INTR], 0x8000030d);
    vmx_set_cr(&rig_cpu, 0, 0x11);
    vmx_inject(&rig_cpu, &(struct cpu_event){ .type = CPU_EVENT_EXCEPTION, .vector = 13,
                                              .has_error = true, .error = 8 });
    assert_int_equal(rig.field[VMCS_ENTRY_INTR], 0x80000b0d);
    assert_int_equal(rig.field[VMCS_ENTRY_INTR_ERROR], 8);
    /* #UD has none whatever the caller says. */
    vmx_inject(&rig_cpu, &(struct cpu_event){ .type = CPU_EVENT_EXCEPTION, .vector = 6,
                                              .has_error = true });
    assert_int_equal(rig.field[VMCS_ENTRY_INTR], 0x80000306);
}

static void test_windows(void **state)
{
    uint32_t none = rig_vmx.proc_ctl;

    (void)state;
    rig_cpu.regs.rflags = 0x202;
    assert_true(vmx_can_inject_irq(&rig_cpu));
    rig_cpu.shadow = 1;
    assert_false(vmx_can_inject_irq(&rig_cpu));
    assert_false(vmx_can_inject_nmi(&rig_cpu));
    rig_cpu.shadow = 0;
    vmx_set(&rig_vmx, SLOT_INTERRUPTIBILITY, 8);
    assert_false(vmx_can_inject_nmi(&rig_cpu));
    assert_true(vmx_can_inject_irq(&rig_cpu));
    rig_vmx.attention = false;
    vmx_request_irq_window(&rig_cpu);
    vmx_request_nmi_window(&rig_cpu);
    assert_int_equal(rig_vmx.proc_ctl, none | BIT(2) | BIT(22));
    assert_true(rig_vmx.attention);
    vmx_exit_irq_window(&rig_cpu);
    vmx_exit_nmi_window(&rig_cpu);
    assert_int_equal(rig_vmx.proc_ctl, none);
}

static void test_interrupted(void **state)
{
    (void)state;
    vmx_take_interrupted_event(&rig_cpu, 0x80000041);
    assert_int_equal(rig_cpu.pending.type, CPU_EVENT_INTR);
    assert_int_equal(rig_cpu.pending.vector, 0x41);
    rig.field[VMCS_IDT_VECTORING_ERROR] = 0x7;
    vmx_take_interrupted_event(&rig_cpu, 0x80000b0e);
    assert_int_equal(rig_cpu.pending.type, CPU_EVENT_EXCEPTION);
    assert_true(rig_cpu.pending.has_error);
    assert_int_equal(rig_cpu.pending.error, 7);
    /* An NMI goes in again, so it does not block itself. */
    vmx_set(&rig_vmx, SLOT_INTERRUPTIBILITY, 8);
    vmx_take_interrupted_event(&rig_cpu, 0x80000202);
    assert_int_equal(rig_cpu.pending.type, CPU_EVENT_NMI);
    assert_int_equal(rig_vmx.val[SLOT_INTERRUPTIBILITY], 0);
    /* INT n, INT1, INT3: their instruction runs again. */
    for (unsigned type = 4; type <= 6; type++) {
        rig_cpu.pending.type = CPU_EVENT_NONE;
        vmx_take_interrupted_event(&rig_cpu, 0x80000003 | type << 8);
        assert_int_equal(rig_cpu.pending.type, CPU_EVENT_NONE);
    }
    /* IRET had unblocked NMIs and did not complete. */
    rig.field[VMCS_IDT_VECTORING] = 0x80000b0e;
    vmx_restore_nmi_blocking(&rig_vmx, true);
    assert_int_equal(rig_vmx.val[SLOT_INTERRUPTIBILITY], 0);
    rig.field[VMCS_IDT_VECTORING] = 0;
    vmx_restore_nmi_blocking(&rig_vmx, false);
    assert_int_equal(rig_vmx.val[SLOT_INTERRUPTIBILITY], 0);
    vmx_restore_nmi_blocking(&rig_vmx, true);
    assert_int_equal(rig_vmx.val[SLOT_INTERRUPTIBILITY], 8);
}

/* ---- translations ---- */

static void test_tlb(void **state)
{
    (void)state;
    rig_vmx.flush_vpid = false;
    rig_cpu.tlb_gen = 5;
    vmx_flush_tlb(&rig_cpu);
    vmx_tlb_sync(&rig_vmx, 0);
    assert_int_equal(rig.invepts, 1);
    assert_int_equal(rig.last_invept_type, 1);
    assert_int_equal(rig.last_eptp, rig_vmx.addr.eptp);
    assert_int_equal(rig.invvpids, 0);
    /* Another vCPU of the domain, same CPU, same generation: nothing to do. */
    rig_vmx.tlb_gen = 0;
    vmx_flush_tlb(&rig_cpu);
    vmx_tlb_sync(&rig_vmx, 0);
    assert_int_equal(rig.invepts, 1);
    /* Another CPU has to. */
    rig_vmx.flush_ept = rig_vmx.flush_vpid = true;
    vmx_tlb_sync(&rig_vmx, 1);
    assert_int_equal(rig.invepts, 2);
    assert_int_equal(rig.invvpids, 1);
    assert_int_equal(rig.last_invvpid_type, 1);
    assert_int_equal(rig.last_vpid, 7);
    /* Somebody doubts this CPU's translations though the generation is the same. */
    vmx_flush_tlb(&rig_cpu);
    vmx_tlb_sync(&rig_vmx, 0);
    assert_int_equal(rig.invepts, 3);
    rig_cpu.tlb_gen = 6;
    vmx_flush_tlb(&rig_cpu);
    vmx_tlb_sync(&rig_vmx, 0);
    assert_int_equal(rig.invepts, 4);
}

/* What a CPU may remember from before us goes, by the widest kinds that it has. */
static void test_tlb_start(void **state)
{
    (void)state;
    vmx_tlb_init_cpu();
    assert_int_equal(rig.invepts, 1);
    assert_int_equal(rig.last_invept_type, 2);
    assert_int_equal(rig.invvpids, 1);
    assert_int_equal(rig.last_invvpid_type, 2);
    vmx_caps.ept_vpid &= ~(EPT_CAP_INVEPT_ALL | VPID_CAP_ALL);
    vmx_tlb_init_cpu();
    assert_int_equal(rig.invepts, 1);
    assert_int_equal(rig.invvpids, 1);
}

/* Registers that choose page tables, set by others than the guest. */
static void test_tlb_mode(void **state)
{
    (void)state;
    for (unsigned n = 3; n <= 4; n++) {
        rig_vmx.flush_vpid = false;
        vmx_set_cr(&rig_cpu, n, 0x2000);
        assert_true(rig_vmx.flush_vpid && rig_vmx.attention);
    }
    rig_vmx.flush_vpid = false;
    vmx_set_cr(&rig_cpu, 2, 0x2000);
    assert_false(rig_vmx.flush_vpid);
    vmx_guest_reset(&rig_vmx);
    assert_true(rig_vmx.flush_vpid);
}

static void test_vpids(void **state)
{
    uint16_t a = vmx_vpid_alloc(), b = vmx_vpid_alloc(), last = b;

    (void)state;
    assert_int_not_equal(a, 0);
    assert_int_not_equal(a, b);
    vmx_vpid_free(a);
    assert_int_equal(vmx_vpid_alloc(), a);
    for (unsigned i = 0; last && i < 70000; i++)
        last = vmx_vpid_alloc();
    assert_int_equal(last, 0);
}

/* ---- the checker ---- */

static void verdict(struct vmx_verdict *v)
{
    vmx_check_entry(&vmx_caps, 40, v);
}

static void test_reset_state_enters(void **state)
{
    struct vmx_verdict v;

    (void)state;
    rig_fill_vmcs();
    verdict(&v);
    if (v.nr)
        fail_msg("%s", v.rule[0]);
}

static void test_rules(void **state)
{
    static const struct {
        uint16_t field;
        uint64_t val;
        const char *rule;
    } wrong[] = {
        { VMCS_PIN_CTL, 0, "pin-based controls are what" },
        { VMCS_VPID, 0, "the VPID is not 0" },
        { VMCS_MSR_BITMAP, 0x12001, "MSR bitmap is a page" },
        { VMCS_VIRTUAL_APIC, 1ull << 45, "virtual-APIC page" },
        { VMCS_TPR_THRESHOLD, 16, "TPR threshold" },
        { VMCS_EPTP, 0x14056, "EPT walk" },
        { VMCS_EPTP, 0x1405d, "EPT pointer's memory type" },
        { VMCS_ENTRY_INTR, 0x80000b0d, "there is an error code where" },
        { VMCS_ENTRY_INTR, 0x80000203, "an NMI has vector 2" },
        { VMCS_ENTRY_INTR, 0x80000041, "goes in with RFLAGS.IF" },
        { VMCS_HOST_CR0, 0x80010013, "host CR0" },
        { VMCS_HOST_CR4, 0x620, "host CR4 has" },
        { VMCS_HOST_TR_SEL, 0, "host CS and TR" },
        { VMCS_HOST_DS_SEL, 0x13, "RPL 0" },
        { VMCS_HOST_GS_BASE, 1ull << 60, "host addresses" },
        { VMCS_HOST_PAT, 2, "host PAT" },
        { VMCS_HOST_EFER, 0, "host EFER" },
        { VMCS_GUEST_CR0, 0x10, "guest CR0" },
        { VMCS_GUEST_CR0, 0x80000030, "paging needs protected mode" },
        { VMCS_GUEST_CR4, 0, "guest CR4" },
        { VMCS_GUEST_CR4, 0x22000, "PCIDE" },
        { VMCS_GUEST_CR3, 1ull << 41, "guest CR3" },
        { VMCS_GUEST_DR7, 1ull << 32, "DR7" },
        { VMCS_GUEST_PAT, 3, "guest PAT" },
        { VMCS_GUEST_EFER, 0x1000, "EFER's reserved" },
        { VMCS_GUEST_EFER, 0x500, "EFER.LMA is what" },
        { VMCS_GUEST_SYSENTER_EIP, 1ull << 50, "SYSENTER" },
        { 0x4816, 0x9a, "CS is accessed code" },
        { 0x4816, 0x1009b, "CS is usable" },
        { 0x4816, 0x1b, "CS is present" },
        { 0x4816, 0xfb, "DPL of non-conforming" },
        { 0x4802, 0x12ffff, "CS limit" },
        { 0x6808, 1ull << 32, "CS base" },
        { 0x4818, 0xf3, "DPL of SS is 0" },
        { 0x4818, 0x91, "SS is accessed writable" },
        { 0x481a, 0x92, "accessed and readable" },
        { 0x4820, 0x83, "LDTR is a present LDT" },
        { 0x4822, 0x89, "TR is a busy TSS" },
        { 0x4822, 0x1008b, "TR is a present" },
        { 0x080e, 4, "TR is not in the LDT" },
        { 0x4812, 0x10000, "IDTR limits" },
        { VMCS_GUEST_RIP, 1ull << 32, "bits 63:32 of RIP" },
        { VMCS_GUEST_RFLAGS, 0, "RFLAGS are what" },
        { VMCS_GUEST_INTERRUPTIBILITY, 3, "not both" },
        { VMCS_GUEST_INTERRUPTIBILITY, 1, "STI needs RFLAGS.IF" },
        { VMCS_GUEST_ACTIVITY, 4, "activity" },
        { VMCS_GUEST_PENDING_DBG, 0x20, "pending debug" },
        { VMCS_LINK_POINTER, 0, "link pointer" },
    };

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(wrong); i++) {
        struct vmx_verdict v;
        bool found = false;

        rig_start();
        rig_fill_vmcs();
        rig.field[wrong[i].field] = wrong[i].val;
        verdict(&v);
        for (unsigned k = 0; k < v.nr && k < VMX_MAX_BROKEN; k++)
            found |= strstr(v.rule[k], wrong[i].rule) != NULL;
        if (!found)
            fail_msg("field %#x = %#llx: \"%s\" is not found broken", wrong[i].field,
                     (unsigned long long)wrong[i].val, wrong[i].rule);
    }
}

static void test_blocked_single_step(void **state)
{
    struct vmx_verdict v;

    (void)state;
    rig_fill_vmcs();
    rig.field[VMCS_GUEST_RFLAGS] = 0x302;
    rig.field[VMCS_GUEST_INTERRUPTIBILITY] = 1;
    verdict(&v);
    assert_int_equal(v.nr, 1);
    rig.field[VMCS_GUEST_PENDING_DBG] = 0x4000;
    verdict(&v);
    assert_int_equal(v.nr, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_table, setup),
        cmocka_unit_test_setup(test_encodings, setup),
        cmocka_unit_test_setup(test_controls, setup),
        cmocka_unit_test_setup(test_missing_controls, setup),
        cmocka_unit_test_setup(test_missing_features, setup),
        cmocka_unit_test_setup(test_demands, setup),
        cmocka_unit_test_setup(test_optional, setup),
        cmocka_unit_test_setup(test_cache, setup),
        cmocka_unit_test_setup(test_segments, setup),
        cmocka_unit_test_setup(test_control_registers, setup),
        cmocka_unit_test_setup(test_msrs, setup),
        cmocka_unit_test_setup(test_mode_switch, setup),
        cmocka_unit_test_setup(test_pae, setup),
        cmocka_unit_test_setup(test_inject, setup),
        cmocka_unit_test_setup(test_windows, setup),
        cmocka_unit_test_setup(test_interrupted, setup),
        cmocka_unit_test_setup(test_tlb, setup),
        cmocka_unit_test_setup(test_tlb_start, setup),
        cmocka_unit_test_setup(test_tlb_mode, setup),
        cmocka_unit_test_setup(test_vpids, setup),
        cmocka_unit_test_setup(test_reset_state_enters, setup),
        cmocka_unit_test_setup(test_rules, setup),
        cmocka_unit_test_setup(test_blocked_single_step, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
