/* SPDX-License-Identifier: MIT */
/*
 * Second-level faults: which are answered how, with the real p2m, page walker, decoder and emulator, and a made-up
 * device page.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "cpu/exit.h"
#include "cpu/guest_mem.h"
#include "cpu/state.h"
#include "cpu_fake.h"
#include "domain/domain.h"
#include "lib/errno.h"
#include "lib/string.h"
#include "mm/frame.h"
#include "mm/map.h"
#include "mm/phys.h"
#include "sim.h"

#define NR_FRAMES 1024u
#define DOMID     3
#define CODE      0x1000ull /* gfn 1; paging is off, so linear is guest-physical */
#define DEVICE    0x80000ull
#define NOBODY    0x90000ull

const struct cpu_backend *cpu_backend = &fake_backend;
static struct page frames[NR_FRAMES];
static struct domain *dom;
static struct vcpu *vcpu;
static struct cpu_vcpu *c;
static struct p2m *p2m;
#define DIRECT    0x7f000ull /* below the made-up device, and above it: registers that are mapped */
#define DIRECT_PA 0x80000000ull
static uint8_t device[8192], direct[8192];
static unsigned reads, writes, last_size, crashes;
static unsigned touches, touched_size;
static enum trap_result result;
static struct cpu_event injected;

enum trap_result trap_mmio_access(struct vcpu *v, uint64_t gpa, unsigned size, bool write,
                                  uint64_t *val)
{
    assert_ptr_equal(v, vcpu);
    if (gpa < DEVICE || gpa + size > DEVICE + sizeof(device))
        return TRAP_NONE;
    last_size = size;
    if (result == TRAP_DONE && write) {
        memcpy(device + (gpa - DEVICE), val, size);
    } else if (result == TRAP_DONE) {
        *val = 0;
        memcpy(val, device + (gpa - DEVICE), size);
    }
    if (write)
        writes++;
    else
        reads++;
    return result;
}

int cpu_port_access(struct cpu_vcpu *v, uint16_t port, unsigned size, bool write, uint64_t *val)
{
    (void)v;
    assert_int_equal(port, 0xcfc);
    assert_int_equal(size, 4);
    if (write)
        return -1;
    *val = 0x12345678;
    return 0;
}

static bool waiting;

bool vcpu_is_waiting(const struct vcpu *v)
{
    assert_ptr_equal(v, vcpu);
    return waiting;
}

void vcpu_crash(struct vcpu *v, const char *fmt, ...)
{
    (void)fmt;
    assert_ptr_equal(v, vcpu);
    crashes++;
}

void cpu_inject_exception(struct cpu_vcpu *v, uint8_t vector)
{
    (void)v;
    injected = (struct cpu_event){ CPU_EVENT_EXCEPTION, vector, false, 0 };
}

void cpu_inject_exception_error(struct cpu_vcpu *v, uint8_t vector, uint32_t error)
{
    (void)v;
    injected = (struct cpu_event){ CPU_EVENT_EXCEPTION, vector, true, error };
}

void cpu_inject_page_fault(struct cpu_vcpu *v, uint64_t gva, uint32_t error)
{
    (void)gva;
    cpu_inject_exception_error(v, X86_PF, error);
}

unsigned cpu_mode_bytes(const struct cpu_vcpu *v)
{
    struct cpu_control r;

    cpu_backend->get_control(v, &r);
    return cpu_control_bytes(&r, v->regs.rflags);
}

bool mmio_touch(paddr_t pa, unsigned size, bool write, uint64_t *val)
{
    uint8_t *p = direct + (pa - DIRECT_PA);

    assert_true(pa >= DIRECT_PA && pa + size <= DIRECT_PA + sizeof(direct));
    assert_int_equal(pa % size, 0);
    touches++;
    touched_size = size;
    if (!write)
        *val = 0;
    memcpy(write ? (void *)p : val, write ? (void *)val : p, size);
    return true;
}

void cpu_insn_done_flags(struct cpu_vcpu *v)
{
    (void)v;
}

void cpu_get_xmm(struct cpu_vcpu *v, unsigned reg, uint64_t val[2])
{
    (void)v;
    val[0] = 0x1111 * reg;
    val[1] = 0x2222 * reg;
}

void cpu_set_xmm(struct cpu_vcpu *v, unsigned reg, const uint64_t val[2])
{
    (void)v;
    (void)reg;
    (void)val;
}

static const struct p2m_hooks hooks = { 0 };

static int setup(void **state)
{
    (void)state;
    sim_phys_init((size_t)NR_FRAMES << PAGE_SHIFT);
    frames_init(frames, NR_FRAMES);
    frames_add(16, NR_FRAMES - 16);
    dom = calloc(1, sizeof(*dom));
    vcpu = calloc(1, sizeof(*vcpu));
    vcpu->domain = dom;
    c = &vcpu->cpu;
    c->v = vcpu;
    c->cd = &dom->cpu;
    p2m = c->p2m = &dom->p2m;
    assert_int_equal(p2m_init(p2m, DOMID, &hooks), 0);
    for (uint64_t gfn = 0; gfn < 16; gfn++)
        assert_int_equal(p2m_map(p2m, gfn, frame_alloc(0, DOMID, FRAME_ZERO), 0, P2M_RAM_RW), 0);
    memset(&fake, 0, sizeof(fake));
    fake.cr[0] = 0x11;
    fake.seg[CPU_SEG_CS].attr = 0xc9b;
    memset(&injected, 0, sizeof(injected));
    for (unsigned i = 0; i < sizeof(device); i++)
        device[i] = (uint8_t)(i + 1);
    for (unsigned i = 0; i < sizeof(direct); i++)
        direct[i] = (uint8_t)(3 * i + 0x80);
    reads = writes = crashes = touches = 0;
    result = TRAP_DONE;
    c->regs.rip = CODE;
    c->regs.rflags = 2;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    while (p2m_teardown(p2m))
        ;
    p2m_destroy(p2m);
    free(vcpu);
    free(dom);
    return 0;
}

static uint8_t *ram(uint64_t gpa)
{
    return (uint8_t *)mfn_to_virt(p2m_lookup(p2m, gpa >> PAGE_SHIFT, NULL, NULL)) + (gpa & 0xfff);
}

static void code(const char *bytes, size_t n)
{
    memcpy(ram(CODE), bytes, n);
}
#define CODE_IS(s) code(s, sizeof(s) - 1)

static void fault(uint64_t gpa, bool write)
{
    struct cpu_npf npf = { .gpa = gpa, .write = write };

    exit_npf(c, &npf);
}

static void test_read_write(void **state)
{
    (void)state;
    c->regs.gpr[CPU_RBX] = DEVICE + 4;
    CODE_IS("\x8b\x03"); /* mov (%ebx), %eax */
    fault(DEVICE + 4, false);
    assert_int_equal(c->regs.gpr[CPU_RAX], 0x08070605);
    assert_int_equal(c->regs.rip, CODE + 2);
    c->regs.rip = CODE;
    c->regs.gpr[CPU_RAX] = 0xaabbccdd;
    CODE_IS("\x66\x89\x43\x10"); /* mov %ax, 0x10(%ebx) */
    fault(DEVICE + 0x14, true);
    assert_int_equal(last_size, 2);
    assert_memory_equal(device + 0x14, "\xdd\xcc\x17", 3);
    assert_int_equal(reads, 1);
    assert_int_equal(writes, 1);
}

static void test_undecided(void **state)
{
    (void)state;
    c->regs.gpr[CPU_RBX] = DEVICE;
    c->regs.gpr[CPU_RAX] = 77;
    CODE_IS("\x8b\x03");
    result = TRAP_FORWARD;
    fault(DEVICE, false);
    assert_int_equal(c->regs.rip, CODE); /* the same instruction later */
    assert_int_equal(c->regs.gpr[CPU_RAX], 77);
    result = TRAP_RETRY;
    fault(DEVICE, false);
    assert_int_equal(c->regs.rip, CODE);
    assert_int_equal(injected.type, CPU_EVENT_NONE);
}

/* What a device model has to decide on: the instruction is over, and no other begins before it has. */
static void test_posted(void **state)
{
    (void)state;
    result = TRAP_FORWARD;
    c->regs.gpr[CPU_RBX] = DEVICE;
    CODE_IS("\x09\x03"); /* or %eax, (%ebx): read, then written */
    c->regs.gpr[CPU_RAX] = 0x80;
    fault(DEVICE, true);
    assert_int_equal(c->regs.rip, CODE); /* the read has to wait */
    assert_int_equal(writes, 0);
    CODE_IS("\x89\x03");
    fault(DEVICE, true);
    assert_int_equal(c->regs.rip, CODE + 2);
    assert_int_equal(writes, 1);
    /* All of an access that crosses pages is one instruction's. */
    c->regs.rip = CODE;
    c->regs.gpr[CPU_RBX] = DEVICE + 0xffe;
    fault(DEVICE + 0xffe, true);
    assert_int_equal(c->regs.rip, CODE + 2);
    assert_int_equal(writes, 3); /* two bytes on either side */
    /* Of a repeated one each element waits for the one before. */
    CODE_IS("\xf3\xab"); /* rep stosl */
    c->regs.gpr[CPU_RDI] = DEVICE;
    c->regs.gpr[CPU_RCX] = 3;
    for (unsigned left = 2; left; left--) {
        c->regs.rip = CODE;
        fault(DEVICE, true);
        assert_int_equal(c->regs.rip, CODE);
        assert_int_equal(c->regs.gpr[CPU_RCX], left);
        assert_int_equal(writes, 6 - left);
    }
    fault(DEVICE, true);
    assert_int_equal(c->regs.rip, CODE + 2);
    assert_int_equal(c->regs.gpr[CPU_RCX], 0);
    assert_int_equal(c->regs.gpr[CPU_RDI], DEVICE + 12);
    assert_int_equal(writes, 6);
}

static void test_nobody(void **state)
{
    (void)state;
    c->regs.gpr[CPU_RBX] = NOBODY;
    CODE_IS("\x8b\x03");
    fault(NOBODY, false);
    assert_int_equal(c->regs.gpr[CPU_RAX], 0xffffffff);
    c->regs.rip = CODE;
    CODE_IS("\x89\x03");
    fault(NOBODY, true);
    assert_int_equal(c->regs.rip, CODE + 2);
}

static void test_crosses_pages(void **state)
{
    (void)state;
    /* The last two bytes of RAM and the first two of nowhere; then device to device. */
    c->regs.gpr[CPU_RBX] = 0xfffe;
    memcpy(ram(0xfffe), "\x21\x43", 2);
    CODE_IS("\x8b\x03");
    fault(0x10000, false);
    assert_int_equal(c->regs.gpr[CPU_RAX], 0xffff4321);
    c->regs.rip = CODE;
    c->regs.gpr[CPU_RBX] = DEVICE + 0xffe;
    fault(DEVICE + 0xffe, false);
    assert_int_equal(c->regs.gpr[CPU_RAX], 0x0201 << 16 | (uint8_t)(0xfff + 1) << 8 | 0xff);
    assert_int_equal(last_size, 2);
}

/* A byte as the guest sees it around the made-up device. */
static uint8_t *at(uint64_t gpa)
{
    if (gpa < DEVICE)
        return &direct[gpa - DIRECT];
    return gpa < DEVICE + 8192 ? &device[gpa - DEVICE] : &direct[gpa - DEVICE - 4096];
}

static void map_direct(void)
{
    assert_int_equal(p2m_map(p2m, DIRECT >> 12, DIRECT_PA >> 12, 0, P2M_MMIO_DIRECT), 0);
    assert_int_equal(p2m_map(p2m, (DEVICE >> 12) + 2, (DIRECT_PA >> 12) + 1, 0, P2M_MMIO_DIRECT), 0);
}

/* MOV of `size` bytes between rAX and (rBX), as the CPU reports it: for the side that is not mapped. */
static void move(uint64_t gpa, unsigned size, bool write, uint64_t faulting)
{
    static const char *const load[] = { "\x66\x8b\x03", "\x8b\x03", "\x48\x8b\x03" };
    static const char *const store[] = { "\x66\x89\x03", "\x89\x03", "\x48\x89\x03" };
    const unsigned i = size == 2 ? 0 : size == 4 ? 1 : 2;

    code(write ? store[i] : load[i], 3);
    c->regs.rip = CODE;
    c->regs.gpr[CPU_RBX] = gpa;
    fault(faulting, write);
    assert_int_equal(c->regs.rip, CODE + (i == 1 ? 2 : 3));
    assert_int_equal(injected.type, CPU_EVENT_NONE);
}

/* Mapped registers on one side, trapped ones on the other, both ways round: each gets its bytes, and no other is touched. */
static void test_direct_and_trapped(void **state)
{
    static const uint64_t edges[] = { DEVICE, DEVICE + 8192 };

    (void)state;
    map_direct();
    fake.seg[CPU_SEG_CS].attr = 0xa9b;
    fake.efer = CPU_EFER_LMA;
    for (unsigned k = 0; k < 2; k++) {
        for (unsigned size = 2; size <= 8; size *= 2) {
            for (unsigned before = 1; before < size; before++) {
                const uint64_t gpa = edges[k] - before, faulting = k ? gpa : edges[k];
                uint64_t want = 0, value = 0x1122334455667788ull * (before + 3);
                uint8_t around[24];

                for (unsigned i = 0; i < size; i++)
                    want |= (uint64_t)*at(gpa + i) << 8 * i;
                c->regs.gpr[CPU_RAX] = 0;
                move(gpa, size, false, faulting);
                assert_int_equal(c->regs.gpr[CPU_RAX], want);
                for (unsigned i = 0; i < 24; i++)
                    around[i] = *at(gpa - 8 + i);
                memcpy(around + 8, &value, size);
                c->regs.gpr[CPU_RAX] = value;
                move(gpa, size, true, faulting);
                for (unsigned i = 0; i < 24; i++)
                    assert_int_equal(*at(gpa - 8 + i), around[i]);
            }
        }
    }
    /* The largest pieces that are aligned. */
    reads = touches = 0;
    move(DEVICE - 4, 8, false, DEVICE);
    assert_int_equal(reads, 1);
    assert_int_equal(last_size, 4);
    assert_int_equal(touches, 1);
    assert_int_equal(touched_size, 4);
    move(DEVICE - 3, 8, false, DEVICE);
    assert_int_equal(touches, 1 + 2);
    assert_int_equal(reads, 1 + 2);
    assert_int_equal(c->cd->nr_not_emulated, 0);
}

/* What another CPU does between two looks at the page table: it unmaps the page above the device, and maps it again or not. */
#define ABOVE (DEVICE + 8192)
static unsigned unmappings; /* from now on */
static bool map_again;

void __real_p2m_begin(struct p2m *t);
void __real_p2m_end(struct p2m *t);
void __wrap_p2m_begin(struct p2m *t);
void __wrap_p2m_end(struct p2m *t);

void __wrap_p2m_begin(struct p2m *t)
{
    if (unmappings)
        assert_int_equal(p2m_unmap(t, ABOVE >> 12, 1, NULL), 0);
    __real_p2m_begin(t);
}

void __wrap_p2m_end(struct p2m *t)
{
    __real_p2m_end(t);
    if (unmappings && --unmappings && map_again)
        assert_int_equal(p2m_map(t, ABOVE >> 12, (DIRECT_PA >> 12) + 1, 0, P2M_MMIO_DIRECT), 0);
}

/* The second page goes in the very moment when it is its turn: the first side has been made, and is not made twice. */
static void test_second_page_goes(void **state)
{
    static const unsigned times[] = { 1, 2, 1000 };
    uint8_t before[4];

    (void)state;
    map_direct();
    for (unsigned i = 0; i < 3; i++) {
        if (i)
            assert_int_equal(p2m_map(p2m, ABOVE >> 12, (DIRECT_PA >> 12) + 1, 0, P2M_MMIO_DIRECT), 0);
        memcpy(before, &direct[4096], 4);
        map_again = i > 0;
        reads = writes = touches = 0;
        unmappings = times[i];
        c->regs.gpr[CPU_RAX] = 0x44332211 * (i + 1);
        move(ABOVE - 2, 4, true, ABOVE - 2);
        unmappings = 0;
        assert_int_equal(writes, 1);
        assert_int_equal(touches, 0);
        assert_memory_equal(&device[8190], &c->regs.gpr[CPU_RAX], 2);
        assert_memory_equal(&direct[4096], before, 4);
        if (p2m_lookup(p2m, ABOVE >> 12, NULL, NULL) == INVALID_MFN)
            assert_int_equal(p2m_map(p2m, ABOVE >> 12, (DIRECT_PA >> 12) + 1, 0, P2M_MMIO_DIRECT), 0);
        unmappings = times[i];
        move(ABOVE - 2, 4, false, ABOVE - 2);
        unmappings = 0;
        assert_int_equal(reads, 1);
        assert_int_equal((uint32_t)c->regs.gpr[CPU_RAX] >> 16, 0xffff);
        assert_memory_equal(&device[8190], &c->regs.gpr[CPU_RAX], 2);
        p2m_unmap(p2m, ABOVE >> 12, 1, NULL);
    }
    /* Nothing has been touched yet: the guest's own attempt shows what is true. */
    assert_int_equal(p2m_map(p2m, ABOVE >> 12, (DIRECT_PA >> 12) + 1, 0, P2M_MMIO_DIRECT), 0);
    reads = writes = touches = 0;
    unmappings = 1000;
    c->regs.rip = CODE;
    c->regs.gpr[CPU_RSI] = ABOVE;
    c->regs.gpr[CPU_RDI] = DEVICE;
    CODE_IS("\xa5"); /* movsl */
    fault(DEVICE, true);
    unmappings = 0;
    assert_int_equal(c->regs.rip, CODE);
    assert_int_equal(reads + writes + touches, 0);
}

/* A side that cannot be written in the guest's stead: the other one is not, either. */
static void test_second_page_refused(void **state)
{
    (void)state;
    assert_int_equal(p2m_map(p2m, ABOVE >> 12, DIRECT_PA >> 12, 0, P2M_FIRMWARE), 0);
    c->regs.gpr[CPU_RBX] = ABOVE - 2;
    CODE_IS("\x89\x03");
    fault(ABOVE - 2, true);
    assert_int_equal(injected.vector, X86_GP);
    assert_int_equal(c->regs.rip, CODE);
    assert_int_equal(writes, 0);
    assert_int_equal(dom->cpu.nr_not_emulated, 1);
}

/* If the second page is not there, the first is not touched: the instruction is going to be executed again. */
static void test_second_page_faults(void **state)
{
    uint32_t *directory = (uint32_t *)ram(0xa000), *table = (uint32_t *)ram(0xb000);

    (void)state;
    for (uint32_t i = 0; i < 1024; i++)
        table[i] = i << 12 | 3;
    table[(DEVICE >> 12) + 1] = 0;
    directory[0] = 0xb003;
    fake.cr[0] |= BIT(31);
    fake.cr[3] = 0xa000;
    CODE_IS("\x89\x03");
    c->regs.gpr[CPU_RBX] = DEVICE + 0xffe;
    fault(DEVICE + 0xffe, true);
    assert_int_equal(injected.vector, X86_PF);
    assert_int_equal(injected.error & 3, 2);
    assert_int_equal(c->regs.rip, CODE);
    assert_int_equal(writes, 0);
    table[(DEVICE >> 12) + 1] = 0x3003; /* and memory elsewhere */
    c->regs.gpr[CPU_RAX] = 0xd4c3b2a1;
    fault(DEVICE + 0xffe, true);
    assert_int_equal(c->regs.rip, CODE + 2);
    assert_int_equal(writes, 1);
    assert_memory_equal(device + 0xffe, "\xa1\xb2", 2);
    assert_memory_equal(ram(0x3000), "\xc3\xd4", 2);
}

static void test_strings(void **state)
{
    (void)state;
    c->regs.gpr[CPU_RSI] = DEVICE;
    c->regs.gpr[CPU_RDI] = 0x3ffc;
    c->regs.gpr[CPU_RCX] = 4;
    CODE_IS("\xf3\xa5"); /* rep movsl */
    fault(DEVICE, false);
    assert_int_equal(c->regs.rip, CODE + 2);
    assert_int_equal(c->regs.gpr[CPU_RCX], 0);
    assert_int_equal(c->regs.gpr[CPU_RSI], DEVICE + 16);
    assert_memory_equal(ram(0x3ffc), device, 4);
    assert_memory_equal(ram(0x4000), device + 4, 12);
    assert_int_equal(reads, 4);
    /* INS into memory. */
    c->regs.rip = CODE;
    c->regs.gpr[CPU_RDX] = 0xcfc;
    c->regs.gpr[CPU_RDI] = 0x5000;
    CODE_IS("\x6d");
    cpu_emulate(c, ~0ull);
    assert_memory_equal(ram(0x5000), "\x78\x56\x34\x12", 4);
    assert_int_equal(c->regs.gpr[CPU_RDI], 0x5004);
    /* OUTS that waits for an answer. */
    c->regs.rip = CODE;
    CODE_IS("\x6f");
    cpu_emulate(c, ~0ull);
    assert_int_equal(c->regs.rip, CODE);
}

/* Registers that are mapped, as the other operand of a trapped one; misaligned, in pieces. */
static void test_direct_operand(void **state)
{
    (void)state;
    map_direct();
    c->regs.gpr[CPU_RSI] = DIRECT + 0x101;
    c->regs.gpr[CPU_RDI] = DEVICE;
    CODE_IS("\xa5"); /* movsl */
    fault(DEVICE, true);
    assert_int_equal(c->regs.rip, CODE + 1);
    assert_memory_equal(device, direct + 0x101, 4);
    assert_int_equal(touches, 3);
    assert_int_equal(writes, 1);
    assert_int_equal(dom->cpu.nr_not_emulated, 0);
}

static void test_rom(void **state)
{
    (void)state;
    assert_int_equal(p2m_change_type(p2m, 6, 1, P2M_RAM_RW, P2M_RAM_RO, NULL), 0);
    c->regs.gpr[CPU_RBX] = 0x6000;
    c->regs.gpr[CPU_RAX] = 0x55;
    CODE_IS("\x89\x03");
    fault(0x6000, true);
    assert_int_equal(c->regs.rip, CODE + 2);
    assert_int_equal(ram(0x6000)[0], 0); /* dropped */
    assert_int_equal(writes, 0);
}

static void test_mapped_meanwhile(void **state)
{
    struct cpu_npf npf = { .gpa = 0x7000, .write = true, .present = true };

    (void)state;
    CODE_IS("\x89\x03");
    exit_npf(c, &npf);
    assert_int_equal(c->regs.rip, CODE); /* it just runs again */
    assert_int_equal(fake.tlb_flushes, 1);
    assert_int_equal(injected.type, CPU_EVENT_NONE);
}

static void test_refusals(void **state)
{
    struct cpu_npf fetch = { .gpa = NOBODY, .fetch = true };
    struct cpu_npf tables = { .gpa = NOBODY, .table_walk = true };

    (void)state;
    exit_npf(c, &fetch);
    assert_int_equal(injected.vector, X86_UD);
    exit_npf(c, &tables);
    assert_int_equal(injected.vector, X86_GP);
    CODE_IS("\xdd\x03"); /* fldl (%ebx): not emulated */
    c->regs.gpr[CPU_RBX] = DEVICE;
    injected.type = CPU_EVENT_NONE;
    fault(DEVICE, false);
    assert_int_equal(injected.vector, X86_GP);
    assert_int_equal(c->regs.rip, CODE);
    assert_int_equal(dom->cpu.nr_not_emulated, 2);
    CODE_IS("\x0f\x0b"); /* changed by another CPU to something undefined */
    fault(DEVICE, false);
    assert_int_equal(injected.vector, X86_UD);
    assert_int_equal(writes, 0);
    assert_int_equal(crashes, 0);
    /* An event cannot be delivered: nothing can go on. */
    c->pending = (struct cpu_event){ CPU_EVENT_INTR, 0x30, false, 0 };
    fault(NOBODY, true);
    assert_int_equal(crashes, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_read_write, setup, teardown),
        cmocka_unit_test_setup_teardown(test_undecided, setup, teardown),
        cmocka_unit_test_setup_teardown(test_posted, setup, teardown),
        cmocka_unit_test_setup_teardown(test_nobody, setup, teardown),
        cmocka_unit_test_setup_teardown(test_crosses_pages, setup, teardown),
        cmocka_unit_test_setup_teardown(test_direct_and_trapped, setup, teardown),
        cmocka_unit_test_setup_teardown(test_second_page_faults, setup, teardown),
        cmocka_unit_test_setup_teardown(test_second_page_goes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_second_page_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_direct_operand, setup, teardown),
        cmocka_unit_test_setup_teardown(test_strings, setup, teardown),
        cmocka_unit_test_setup_teardown(test_rom, setup, teardown),
        cmocka_unit_test_setup_teardown(test_mapped_meanwhile, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refusals, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
