/* SPDX-License-Identifier: MIT */
/*
 * VMX exits to common handlers: which handler, with what it decodes from the exit qualification.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "cpu/exit.h"
#include "cpu/vmx/apic.h"
#include "domain/domain.h"
#include "irq/irq.h"
#include "lib/string.h"
#include "vmx_rig.h"

/* What the handlers were called with. */
static struct {
    const char *name;
    unsigned len;
    uint64_t val, val2;
    struct cpu_npf npf;
    struct cpu_event event;
} called;

static struct vcpu *vcpu;

#define INSN_HANDLER(handler)                                                                      \
    void handler(struct cpu_vcpu *c, unsigned len)                                                 \
    {                                                                                              \
        assert_ptr_equal(c, &rig_cpu);                                                             \
        called.name = #handler;                                                                    \
        called.len = len;                                                                          \
    }

#define HANDLER(handler)                                                                           \
    void handler(struct cpu_vcpu *c)                                                               \
    {                                                                                              \
        assert_ptr_equal(c, &rig_cpu);                                                             \
        called.name = #handler;                                                                    \
    }

INSN_HANDLER(exit_cpuid)
INSN_HANDLER(exit_rdmsr)
INSN_HANDLER(exit_wrmsr)
INSN_HANDLER(exit_hlt)
INSN_HANDLER(exit_hypercall)
INSN_HANDLER(exit_xsetbv)
INSN_HANDLER(exit_cache_flush)
INSN_HANDLER(exit_pause)
INSN_HANDLER(cpu_skip)
HANDLER(exit_rdpmc)
HANDLER(exit_undefined)
HANDLER(exit_shutdown)
HANDLER(exit_task_switch)
HANDLER(vmx_entry_failed)
HANDLER(vmx_exit_eoi)
HANDLER(vmx_exit_apic_write)

void exit_set_cr8(struct cpu_vcpu *c, unsigned gpr, unsigned len)
{
    assert_ptr_equal(c, &rig_cpu);
    called.name = "exit_set_cr8";
    called.val = gpr;
    called.len = len;
}

void irq_dispatch(uint8_t vector)
{
    called.name = "irq_dispatch";
    called.val = vector;
}

void exit_internal(struct cpu_vcpu *c, const char *what, uint64_t code)
{
    (void)c;
    (void)what;
    called.name = "exit_internal";
    called.val = code;
}

void exit_pio(struct cpu_vcpu *c, uint32_t access, uint64_t next_rip)
{
    (void)c;
    called.name = "exit_pio";
    called.val = access;
    called.val2 = next_rip;
}

void exit_npf(struct cpu_vcpu *c, const struct cpu_npf *npf)
{
    (void)c;
    called.name = "exit_npf";
    called.npf = *npf;
}

void cpu_inject_exception(struct cpu_vcpu *c, uint8_t vector)
{
    (void)c;
    called.name = "exception";
    called.event.vector = vector;
}

void cpu_inject_exception_error(struct cpu_vcpu *c, uint8_t vector, uint32_t error)
{
    (void)c;
    called.name = "exception";
    called.event = (struct cpu_event){ .vector = vector, .has_error = true, .error = error };
}

unsigned cpu_mode_bytes(const struct cpu_vcpu *c)
{
    struct cpu_segment cs;

    vmx_get_segment(c, CPU_SEG_CS, &cs);
    return cs.attr & CPU_SEG_ATTR_L ? 8 : 4;
}

void vlapic_set_tpr(struct vlapic *l, uint8_t tpr)
{
    l->tpr = tpr;
}

static int setup(void **state)
{
    (void)state;
    rig_start();
    vcpu = calloc(1, sizeof(*vcpu));
    rig_cpu.v = vcpu;
    memset(&called, 0, sizeof(called));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    free(vcpu);
    return 0;
}

static void leave(uint32_t reason, uint64_t qualification)
{
    memset(&called, 0, sizeof(called));
    rig.field[VMCS_EXIT_QUALIFICATION] = qualification;
    rig_vmx.exit_reason = reason;
    vmx_handle_exit(&rig_cpu);
}

static void set_64bit(void)
{
    vmx_set_segment(&rig_cpu, CPU_SEG_CS, &(struct cpu_segment){ 8, 0xa9b, ~0u, 0 });
}

static void test_instructions(void **state)
{
    static const struct {
        uint32_t reason;
        const char *handler;
        bool has_len;
    } exits[] = {
        { 10, "exit_cpuid", true },    { 12, "exit_hlt", true },
        { 13, "exit_cache_flush", true }, { 15, "exit_rdpmc", false },
        { 18, "exit_hypercall", true }, { 31, "exit_rdmsr", true },
        { 32, "exit_wrmsr", true },    { 36, "exit_undefined", false },
        { 39, "exit_undefined", false }, { 40, "exit_pause", true },
        { 45, "vmx_exit_eoi", false }, { 56, "vmx_exit_apic_write", false },
        { 54, "exit_cache_flush", true }, { 55, "exit_xsetbv", true },
        { 2, "exit_shutdown", false }, { 9, "exit_task_switch", false },
        { 11, "exit_undefined", false }, { 59, "exit_undefined", false },
    };

    (void)state;
    rig.field[VMCS_EXIT_INSN_LEN] = 5;
    for (unsigned i = 0; i < ARRAY_SIZE(exits); i++) {
        leave(exits[i].reason, 0);
        assert_string_equal(called.name, exits[i].handler);
        assert_int_equal(called.len, exits[i].has_len ? 5 : 0);
    }
    for (uint32_t reason = 19; reason <= 27; reason++) {
        leave(reason, 0);
        assert_string_equal(called.name, "exit_undefined");
    }
}

static void test_unknown(void **state)
{
    (void)state;
    leave(0x80000021, 0);
    assert_string_equal(called.name, "vmx_entry_failed");
    leave(57, 0);
    assert_string_equal(called.name, "exit_internal");
    assert_int_equal(called.val, 57);
    leave(1000, 0);
    assert_string_equal(called.name, "exit_internal");
    leave(49, 0);
    assert_string_equal(called.name, "exit_internal");
}

static void test_ports(void **state)
{
    (void)state;
    rig.field[VMCS_EXIT_INSN_LEN] = 2;
    rig_cpu.regs.rip = 0x1000;
    leave(30, 0xcf80003); /* OUT of 4 bytes */
    assert_string_equal(called.name, "exit_pio");
    assert_int_equal(CPU_PIO_PORT(called.val), 0xcf8);
    assert_int_equal(CPU_PIO_SIZE(called.val), 4);
    assert_false(called.val & (CPU_PIO_IN | CPU_PIO_STRING));
    assert_int_equal(called.val2, 0x1002);
    leave(30, 0xffff0000 | 8); /* IN of one byte */
    assert_int_equal(CPU_PIO_PORT(called.val), 0xffff);
    assert_int_equal(CPU_PIO_SIZE(called.val), 1);
    assert_true(called.val & CPU_PIO_IN);
    leave(30, 0x600000 | 0x38 | 1); /* REP INSW */
    assert_int_equal(CPU_PIO_SIZE(called.val), 2);
    assert_true(called.val & CPU_PIO_STRING);
    rig_cpu.regs.rip = 0xfffffffe;
    leave(30, 0x600000);
    assert_int_equal(called.val2, 0);
    set_64bit();
    leave(30, 0x600000);
    assert_int_equal(called.val2, 0x100000000);
}

static void test_ept_violation(void **state)
{
    (void)state;
    rig.field[VMCS_GUEST_PHYSICAL] = 0xfee00020;
    leave(48, 0x182);
    assert_int_equal(called.npf.gpa, 0xfee00020);
    assert_true(called.npf.write);
    assert_false(called.npf.fetch || called.npf.present || called.npf.table_walk);
    leave(48, 0x1ac); /* fetch, entry present without execute; final access */
    assert_true(called.npf.fetch && called.npf.present);
    assert_false(called.npf.write || called.npf.table_walk);
    leave(48, 0x81); /* the guest's own page tables */
    assert_true(called.npf.table_walk);
    leave(48, 0x1);  /* no linear address: PDPTEs */
    assert_false(called.npf.table_walk);
    leave(48, 0x1181);
    assert_int_equal(vmx_get(&rig_vmx, SLOT_INTERRUPTIBILITY), 8);
}

static void test_exceptions(void **state)
{
    (void)state;
    rig.dr6 = 0xffff0ff1;
    vmx_set_dr(&rig_cpu, 7, 0x2400); /* GD */
    rig.field[VMCS_EXIT_INTR] = 0x80000301;
    leave(0, 0x4002);
    assert_int_equal(called.event.vector, 1);
    assert_int_equal(rig.dr6, 0xffff4ff2);
    assert_int_equal(vmx_get_dr(&rig_cpu, 7), 0x400);
    rig.field[VMCS_EXIT_INTR] = 0x80000b11;
    rig.field[VMCS_EXIT_INTR_ERROR] = 0;
    leave(0, 0);
    assert_int_equal(called.event.vector, 17);
    assert_true(called.event.has_error);
    rig.field[VMCS_EXIT_INTR] = 0x80000b0e;
    leave(0, 0);
    assert_string_equal(called.name, "exit_internal");
}

static void test_control_registers(void **state)
{
    (void)state;
    rig.field[VMCS_EXIT_INSN_LEN] = 3;
    rig_cpu.regs.gpr[CPU_RBX] = 0x31;
    leave(28, 0x300);
    assert_string_equal(called.name, "cpu_skip");
    assert_int_equal(called.len, 3);
    assert_int_equal(vmx_get_cr(&rig_cpu, 0), 0x31);
    rig_cpu.regs.gpr[CPU_RBX] = 0x80000000;
    leave(28, 0x300);
    assert_int_equal(called.event.vector, 13);
    assert_int_equal(vmx_get_cr(&rig_cpu, 0), 0x31);
    /* The upper half of a 32-bit operand is not there. */
    rig_cpu.regs.gpr[CPU_RBX] = 0x100000011;
    leave(28, 0x300);
    assert_int_equal(vmx_get_cr(&rig_cpu, 0), 0x11);
    set_64bit();
    leave(28, 0x300);
    assert_int_equal(called.event.vector, 13);
    leave(28, 0x304); /* CR4: only what cannot be set exits */
    assert_int_equal(called.event.vector, 13);
    leave(28, 0x303);
    assert_string_equal(called.name, "exit_internal");
    /* CR8 without a TPR shadow */
    leave(28, 0x308);
    assert_string_equal(called.name, "exit_set_cr8");
    assert_int_equal(called.val, CPU_RBX);
    assert_int_equal(called.len, 3);
    vcpu->vlapic.tpr = 0x90;
    leave(28, 0x118);
    assert_int_equal(rig_cpu.regs.gpr[CPU_RCX], 9);
}

/* The exit has taken the interrupt from the machine's local APIC, whose handler is to run as ever. */
static void test_external(void **state)
{
    (void)state;
    rig_vmx.ctl.exit |= BIT(15);
    rig.field[VMCS_EXIT_INTR] = 0x800000f3;
    leave(1, 0);
    assert_string_equal(called.name, "irq_dispatch");
    assert_int_equal(called.val, 0xf3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_instructions, setup, teardown),
        cmocka_unit_test_setup_teardown(test_unknown, setup, teardown),
        cmocka_unit_test_setup_teardown(test_ports, setup, teardown),
        cmocka_unit_test_setup_teardown(test_ept_violation, setup, teardown),
        cmocka_unit_test_setup_teardown(test_exceptions, setup, teardown),
        cmocka_unit_test_setup_teardown(test_control_registers, setup, teardown),
        cmocka_unit_test_setup_teardown(test_external, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
