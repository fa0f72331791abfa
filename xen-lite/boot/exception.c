/* SPDX-License-Identifier: MIT */
/*
 * Descriptor tables and the dispatch of exceptions and interrupts that happen in the hypervisor itself. An exception
 * is a bug unless the exception table names its instruction.
 */
#include "boot/exception.h"

#include "boot/asm_defs.h"
#include "boot/cmdline.h"
#include "boot/panic.h"
#include "boot/smp.h"
#include "cpu/vcpu.h"
#include "cpu/x86.h"
#include "irq/irq.h"
#include "lib/assert.h"
#include "lib/errno.h"
#include "lib/percpu.h"
#include "lib/printf.h"
#include "lib/string.h"

#define VEC_DB 1
#define VEC_NMI 2
#define VEC_DF 8
#define VEC_MC 18

#define IST_DF 1
#define IST_NMI 2
#define IST_MC 3
#define NR_IST 3
/* A double fault ends in a panic, which wants more room than the others. */
#define IST_DF_STACK 8192
#define IST_STACK 4096
#define IST_STACKS (IST_DF_STACK + 2 * IST_STACK)

struct idt_gate {
    uint16_t offset_lo, selector;
    uint8_t ist, type;
    uint16_t offset_mid;
    uint32_t offset_hi, reserved;
};
_Static_assert(sizeof(struct idt_gate) == 16, "gate size, SDM vol. 3, 6.14.1");

struct tss {
    uint32_t reserved0;
    uint64_t rsp[3];
    uint64_t reserved1;
    uint64_t ist[7];
    uint64_t reserved2;
    uint16_t reserved3, iomap;
} __packed;
_Static_assert(sizeof(struct tss) == 104, "TSS size, SDM vol. 3, 7.7");

struct table_desc {
    uint16_t limit;
    uint64_t base;
} __packed;

/* One record of the exception table; 32-bit addresses do, the image lies below 4 GiB. */
struct extable_entry {
    uint32_t insn, fixup;
};

extern const uint8_t exc_stubs[256][16];
extern const struct extable_entry __extable_start[], __extable_end[];

static struct idt_gate idt[256] __aligned(16);
static uint64_t gdt[MAX_CPUS][6] __aligned(16);
static struct tss tss[MAX_CPUS] __aligned(16);
/* The boot CPU's stacks for faults that must not use the current one; other CPUs' lie above their main stack. */
static uint8_t boot_ist[IST_STACKS] __aligned(16);

void exc_dispatch(struct exc_frame *f);

void idt_init(void)
{
    for (unsigned v = 0; v < 256; v++) {
        uint64_t a = (uint64_t)exc_stubs[v];

        idt[v] = (struct idt_gate){
            .offset_lo = (uint16_t)a,
            .selector = SEL_CODE64,
            .ist = v == VEC_DF ? IST_DF : v == VEC_NMI ? IST_NMI : v == VEC_MC ? IST_MC : 0,
            .type = 0x8e, /* present, interrupt gate */
            .offset_mid = (uint16_t)(a >> 16),
            .offset_hi = (uint32_t)(a >> 32),
        };
    }
}

void descriptors_load(unsigned cpu)
{
    struct tss *t = &tss[cpu];
    uint64_t base = (uint64_t)t;
    uint64_t *g = gdt[cpu];
    struct table_desc gd = { sizeof(gdt[0]) - 1, (uint64_t)g };
    struct table_desc id = { sizeof(idt) - 1, (uint64_t)idt };
    uint64_t ist = cpu ? percpu_of(cpu)->stack_top : (uint64_t)boot_ist;

    memset(t, 0, sizeof(*t));
    for (unsigned i = 0; i < NR_IST; i++)
        t->ist[i] = ist + IST_DF_STACK + i * IST_STACK; /* IST_DF is the first */
    t->iomap = sizeof(*t);
    g[0] = 0;
    g[SEL_CODE64 / 8] = 0x00af9a000000ffff;
    g[SEL_DATA / 8] = 0x00cf92000000ffff;
    g[SEL_CODE32 / 8] = 0x00cf9a000000ffff;
    /* 64-bit TSS descriptor, available (SDM vol. 3, 7.2.3). */
    g[SEL_TSS / 8] = (sizeof(*t) - 1) | (base & 0xffffff) << 16 | 0x89ULL << 40 |
                     (base >> 24 & 0xff) << 56;
    g[SEL_TSS / 8 + 1] = base >> 32;

    __asm__ __volatile__("lgdt %0" ::"m"(gd));
    __asm__ __volatile__("lidt %0" ::"m"(id));
    __asm__ __volatile__("ltr %0" ::"r"((uint16_t)SEL_TSS));
}

static bool fixup(struct exc_frame *f)
{
    for (const struct extable_entry *e = __extable_start; e < __extable_end; e++) {
        if (e->insn == f->rip) {
            f->rip = e->fixup;
            return true;
        }
    }
    return false;
}

#define EXTABLE(from, to) ".pushsection .extable, \"a\"; .long " from ", " to "; .popsection\n"

int rdmsr_safe(uint32_t msr, uint64_t *val)
{
    uint32_t lo = 0, hi = 0;
    int err = 0;

    __asm__ __volatile__("1: rdmsr\n"
                         "2:\n"
                         ".pushsection .text.fixup, \"ax\"\n"
                         "3: mov %3, %0; jmp 2b\n"
                         ".popsection\n" EXTABLE("1b", "3b")
                         : "+r"(err), "+a"(lo), "+d"(hi)
                         : "i"(-EFAULT), "c"(msr));
    *val = ((uint64_t)hi << 32) | lo;
    return err;
}

int wrmsr_safe(uint32_t msr, uint64_t val)
{
    int err = 0;

    __asm__ __volatile__("1: wrmsr\n"
                         "2:\n"
                         ".pushsection .text.fixup, \"ax\"\n"
                         "3: mov %1, %0; jmp 2b\n"
                         ".popsection\n" EXTABLE("1b", "3b")
                         : "+r"(err)
                         : "i"(-EFAULT), "c"(msr), "a"((uint32_t)val), "d"((uint32_t)(val >> 32))
                         : "memory");
    return err;
}

static const char *const exc_name[32] = {
    "divide error",     "debug",          "NMI",       "breakpoint",
    "overflow",         "bound range",    "invalid opcode", "device not available",
    "double fault",     "coprocessor segment", "invalid TSS", "segment not present",
    "stack fault",      "general protection",  "page fault", "reserved",
    "x87 error",        "alignment check", "machine check", "SIMD error",
    "virtualisation",   "control protection",
};

/*
 * A push into the page below the stack faults, and so does the push of that fault's frame, which is a double fault on a
 * stack of its own (SDM vol. 3, 6.15, interrupt 8). CR2 keeps where the first one was.
 */
static bool in_stack_guard(uint64_t addr)
{
    uint64_t end = this_cpu()->stack_top - STACK_SIZE;

    return addr < end && addr >= end - STACK_GUARD;
}

static __attribute__((noinline)) unsigned run_off(unsigned depth)
{
    volatile uint8_t frame[200];

    frame[0] = (uint8_t)depth;
    return depth > STACK_SIZE ? depth : run_off(depth + 1) + frame[0];
}

void stack_self_test(unsigned cpu)
{
    unsigned which;

    if (!cmdline_uint("stack-test", &which) && which == cpu)
        pr_err("CPU %u did not run off its stack (%u)", cpu, run_off(0));
}

void gs_self_test(unsigned cpu)
{
    unsigned which;

    if (cmdline_uint("gs-test", &which) || which != cpu)
        return;
    wrmsr(MSR_GS_BASE, 0xffffe00000000000); /* nothing is mapped there */
    pr_err("CPU %u did not miss its GS base", cpu_id());
}

void exc_dispatch(struct exc_frame *f)
{
    if (f->vector >= 32) {
        irq_dispatch((uint8_t)f->vector);
        return;
    }
    if (f->vector == VEC_NMI) {
        if (cpus_stopping()) {
            cpu_exit_this(); /* with its extension on a CPU may not listen to INIT (SDM vol. 3, 26.8) */
            cpu_park();
        }
        return; /* nobody sends others; a stray one must not stop the machine */
    }
    if (fixup(f))
        return;
    if (f->vector == VEC_DF && in_stack_guard(read_cr2()))
        panic_frame(f, "stack overflow: %#lx was touched, the stack ends at %#lx", read_cr2(),
                    this_cpu()->stack_top - STACK_SIZE);
    panic_frame(f, "%s (vector %lu, error code %#lx, cr2 %#lx)",
                exc_name[f->vector] ? exc_name[f->vector] : "exception", f->vector, f->error,
                read_cr2());
}
