/* SPDX-License-Identifier: MIT */
/*
 * A control domain that does to its machine what it should not: model-specific registers, ports, configuration space,
 * device memory and privileged instructions, with every operand that may be one too many for the hypervisor. A refusal
 * (an exception, ones, a lost write) is as good as an answer; afterwards the hypervisor must still answer.
 *
 * hostile-hw msrs | ports | config | mmio | insns   [SEED]
 *
 * Wants iomem=relaxed, the module msr, and a device "edu", whose configuration space is written at random.
 */
#define _GNU_SOURCE
#include "hostile.h"

#include <cpuid.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/io.h>

#include <xen/xen.h>
#include <xen/version.h>

/* Operands may be anything after a fault; what must survive one is volatile. */
#ifndef __clang__
#pragma GCC diagnostic ignored "-Wclobbered"
#endif

static sigjmp_buf after_fault;
static volatile unsigned faults, tried;

static void on_fault(int sig)
{
    (void)sig;
    siglongjmp(after_fault, 1);
}

static void catch_faults(void)
{
    static const int sigs[] = { SIGSEGV, SIGILL, SIGBUS, SIGFPE, SIGTRAP };
    struct sigaction sa = { .sa_handler = on_fault, .sa_flags = SA_NODEFER };

    for (size_t i = 0; i < ARRAY_SIZE(sigs); i++)
        sigaction(sigs[i], &sa, NULL);
}

#define TRY(statement)                                                                             \
    do {                                                                                           \
        tried++;                                                                                   \
        if (sigsetjmp(after_fault, 0) == 0) {                                                      \
            statement;                                                                             \
        } else {                                                                                   \
            faults++;                                                                              \
        }                                                                                          \
    } while (0)

/* ---- model-specific registers ---- */

/*
 * Written with their own value only: another would take the ground from under the kernel (base addresses, entry points,
 * EFER, PAT) or stop its interrupts; setting the TSC makes its clock jump.
 */
static int msr_is_kernels(uint32_t msr)
{
    return msr == 0x10 || msr == 0x1b || (msr >= 0x174 && msr <= 0x176) || msr == 0x277 ||
           (msr >= 0xc0000080 && msr <= 0xc0000103) || (msr >= 0x800 && msr < 0x900);
}

/* Registers of the x2APIC that send interrupts or end them: written, INIT would stop a CPU. */
static int msr_is_icr(uint32_t msr)
{
    return msr == 0x830 || msr == 0x83f || msr == 0x80b;
}

static void poke_msrs(uint32_t from, uint32_t to)
{
    unsigned nr = 0, read_ok = 0, write_ok = 0;
    cpu_set_t first;
    int f = open("/dev/cpu/0/msr", O_RDWR);

    /* On the same CPU an access costs no interrupt to another. */
    CPU_ZERO(&first);
    CPU_SET(0, &first);
    if (f < 0 || sched_setaffinity(0, sizeof(first), &first) != 0)
        die("/dev/cpu/0/msr");
    for (uint32_t msr = from; msr <= to; msr++) {
        uint64_t v = 0, w;

        nr++;
        read_ok += pread(f, &v, 8, msr) == 8;
        if (msr_is_icr(msr))
            continue;
        /* Its own value last, so that what took another is as it was. */
        for (unsigned i = 0; i < 3; i++) {
            if (i < 2 && msr_is_kernels(msr))
                continue;
            /* The hypercall page: 0 and ~0 & page are the kernel's RAM. */
            if (i < 2 && msr == 0x40000000)
                w = i ? ~0ull << 12 : 0xfee00000;
            else
                w = i == 0 ? 0 : i == 1 ? ~0ull : v;
            if (msr == 0x40000000 && i == 2)
                continue;
            write_ok += pwrite(f, &w, 8, msr) == 8;
        }
    }
    close(f);
    printf("msr %#x-%#x: tried %u, %u reads and %u writes succeeded\n", from, to, nr, read_ok, write_ok);
}

static void msrs(void)
{
    poke_msrs(0, 0x2000);
    poke_msrs(0x40000000, 0x400001ff);
    poke_msrs(0xc0000000, 0xc0002000);
    poke_msrs(0xc0010000, 0xc0011fff);
    poke_msrs(0xfffffff0, 0xfffffffe);
}

/* ---- ports ---- */

/* Carries our output, or ends the machine: 2F8 (console), 60 and 64 (keyboard controller), CF9, PM1 control, debug exit. */
static int port_is_left_alone(unsigned port, unsigned size, int write)
{
    static const struct {
        uint16_t first, last;
        uint8_t writes_only;
    } alone[] = { { 0x2f8, 0x2ff, 0 }, { 0x60, 0x64, 0 }, { 0xcf9, 0xcf9, 1 }, { 0x600, 0x67f, 1 },
                  { 0xb2, 0xb3, 1 },   { 0x92, 0x92, 1 }, { 0xf4, 0xf4, 1 },   { 0x501, 0x501, 1 } };

    for (size_t i = 0; i < ARRAY_SIZE(alone); i++)
        if (port + size > alone[i].first && port <= alone[i].last && (write || !alone[i].writes_only))
            return 1;
    return 0;
}

/* Ports that no device of the kernel's has: where a write can do nothing. */
static int port_takes_writes(unsigned port)
{
    static const uint16_t some[] = { 0x20, 0x21, 0xa0, 0xa1, 0x40, 0x43, 0x4d0, 0x4d1, 0x80, 0xcf8, 0xcfa, 0xcfb };

    for (size_t i = 0; i < ARRAY_SIZE(some); i++)
        if (port == some[i])
            return 1;
    return port > 0x1000 && port < 0x5000;
}

static void port_access(unsigned short port, unsigned size)
{
    uint8_t buf[16];
    void *p = buf;
    unsigned long n = 2;

    if (port_is_left_alone(port, size, 0))
        return;
    if (size == 1)
        TRY(inb(port));
    else if (size == 2)
        TRY(inw(port));
    else
        TRY(inl(port));
    if (port % 16 == 0)
        TRY(__asm__ volatile("rep insb" : "+D"(p), "+c"(n) : "d"(port) : "memory"));
    if (port_is_left_alone(port, size, 1) || !port_takes_writes(port))
        return;
    if (size == 1)
        TRY(outb(0xff, port));
    else if (size == 2)
        TRY(outw(0xffff, port));
    else
        TRY(outl(0x7fffffff, port));
    p = buf, n = 2;
    TRY(__asm__ volatile("rep outsb" : "+S"(p), "+c"(n) : "d"(port) : "memory"));
}

static void ports(void)
{
    if (iopl(3) != 0)
        die("iopl");
    for (volatile unsigned port = 0; port < 0x10000; port++)
        for (volatile unsigned size = 1; size <= 4; size *= 2)
            port_access((unsigned short)port, size);
    /* String instructions with operands that fault, in the middle of it too. */
    for (volatile int i = 0; i < 200; i++) {
        uint8_t *page = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        void *p = page + PAGE - below(16);
        unsigned long n = below(64);

        munmap(page + PAGE, PAGE);
        TRY(__asm__ volatile("rep insl" : "+D"(p), "+c"(n) : "d"((uint16_t)0xcfc) : "memory"));
        p = page + PAGE - below(16);
        TRY(__asm__ volatile("rep outsw" : "+S"(p), "+c"(n) : "d"((uint16_t)0x4d0) : "memory"));
        munmap(page, PAGE);
    }
    outl(0, 0xcf8);
    printf("ports: %u accesses, %u faults\n", tried, faults);
}

/* ---- configuration space ---- */

static uint64_t ecam_base(void)
{
    uint64_t base = 0;
    int fd = open("/sys/firmware/acpi/tables/MCFG", O_RDONLY);

    if (fd < 0 || pread(fd, &base, 8, 44) != 8)
        die("MCFG");
    close(fd);
    return base;
}

static uint32_t find_edu(void)
{
    for (uint32_t devfn = 0; devfn < 256; devfn++) {
        outl(0x80000000u | devfn << 8, 0xcf8);
        if (inl(0xcfc) == 0x11e81234)
            return devfn;
    }
    fprintf(stderr, "hostile-hw: no device edu\n");
    exit(2);
}

static void conf_access(uint32_t bdf, unsigned reg, unsigned size, int write, uint32_t v)
{
    unsigned short port = (unsigned short)(0xcfc + (reg & 3));

    outl(0x80000000u | bdf << 8 | (reg & 0xfc), 0xcf8);
    if (!write)
        size == 1 ? inb(port) : size == 2 ? inw(port) : inl(port);
    else if (size == 1)
        outb((uint8_t)v, port);
    else if (size == 2)
        outw((uint16_t)v, port);
    else
        outl(v, port);
}

static void mem_access(volatile uint8_t *p, unsigned size, int write, uint64_t v)
{
    switch (size) {
    case 1:
        if (write)
            *p = (uint8_t)v;
        else
            (void)*p;
        break;
    case 2:
        if (write)
            *(volatile uint16_t *)p = (uint16_t)v;
        else
            (void)*(volatile uint16_t *)p;
        break;
    case 4:
        if (write)
            *(volatile uint32_t *)p = (uint32_t)v;
        else
            (void)*(volatile uint32_t *)p;
        break;
    default:
        if (write)
            *(volatile uint64_t *)p = v;
        else
            (void)*(volatile uint64_t *)p;
        break;
    }
}

/* What is written back is what was read, wherever that has no effect of its own: status bits are cleared by ones. */
static void write_same(volatile uint8_t *ecam)
{
    for (unsigned devfn = 0; devfn < 256; devfn++) {
        volatile uint32_t *f = (volatile uint32_t *)(ecam + devfn * PAGE);

        if (f[0] == 0xffffffff)
            continue;
        for (unsigned reg = 0; reg < 256; reg += 4) {
            uint32_t v = f[reg / 4];

            if (reg == 4)
                v &= 0xffff;
            f[reg / 4] = v;
            tried++;
        }
    }
}

/* All of a function's registers at random; its memory decoding among them. */
static void maul(volatile uint8_t *f, uint32_t bdf, volatile unsigned n)
{
    static const uint8_t sizes[] = { 1, 2, 4, 8 };

    for (; n > 0; n--) {
        unsigned size = sizes[below(4)], reg = (unsigned)below(one_in(2) ? 256 : 4096);
        uint64_t v = one_in(4) ? ~0ull : one_in(4) ? 0 : random64();

        if (reg + size > 4096)
            reg = 4096 - size;
        /* BARs would put the device over others, and the kernel's RAM: only their sizing pattern. */
        if (reg < 0x34 && reg + size > 0x10)
            v = ~0ull;
        TRY(mem_access(f + reg, size, one_in(2), v));
        if (one_in(2)) {
            reg &= 0xff;
            if (reg < 0x34 && reg + 4 > 0x10)
                v = ~0ull;
            conf_access(bdf, reg, sizes[below(3)], one_in(2), (uint32_t)v);
        }
    }
}

static void config(void)
{
    volatile uint8_t *ecam = map_phys(ecam_base(), 256 << 20, O_SYNC);
    uint32_t edu;

    if (!ecam || iopl(3) != 0)
        die("ECAM or iopl");
    edu = find_edu();
    for (volatile unsigned bdf = 0; bdf < 0x10000; bdf++) {
        unsigned reg = (unsigned)below(4096);

        TRY(mem_access(ecam + bdf * PAGE + (reg & ~7u), 1u << below(4), 0, 0));
        if (bdf % 16 == 0)
            TRY(mem_access(ecam + bdf * PAGE + reg, 1u << below(4), 0, 0)); /* unaligned, and over the page's end */
        /* Absent functions: everything behind bus 0 but what its bridges may have. */
        if (bdf >= 0x1000) {
            TRY(mem_access(ecam + bdf * PAGE + (reg & ~7u), 1u << below(4), 1, random64()));
            conf_access(bdf, reg & 0xff, 1u << below(3), one_in(2), (uint32_t)random64());
        }
    }
    for (volatile unsigned i = 0; i < 4000; i++) {
        outl((uint32_t)random64() & 0x7fffffffu, 0xcf8); /* not enabled */
        inl(0xcfc);
        outl((uint32_t)random64(), 0xcfc);
        TRY(inl((unsigned short)(0xcf5 + below(12))));
        TRY(inw((unsigned short)(0xcf6 + below(10))));
    }
    write_same(ecam);
    maul(ecam + edu * PAGE, edu, 20000);
    conf_access(edu, 4, 2, 1, 0);
    outl(0, 0xcf8);
    printf("config: %u accesses, %u faults\n", tried, faults);
}

/* ---- device memory ---- */

static void odd_instructions(volatile uint8_t *p, int write)
{
    static uint8_t buf[64] __attribute__((aligned(16)));
    uint64_t a = 0, b = random64();
    volatile uint8_t *s, *d;
    unsigned long n;

    TRY(__asm__ volatile("movdqu %0, %%xmm0" : : "m"(*(volatile uint8_t(*)[16])p) : "xmm0"));
    TRY(__asm__ volatile("movzbl %1, %k0" : "=r"(a) : "m"(*p)));
    TRY(__asm__ volatile("movswq %1, %0" : "=r"(a) : "m"(*(volatile uint16_t *)p)));
    TRY(__asm__ volatile("testl $1, %0" : : "m"(*(volatile uint32_t *)p) : "cc"));
    TRY(__asm__ volatile("cmpq %1, %0" : : "m"(*(volatile uint64_t *)p), "r"(b) : "cc"));
    TRY(__asm__ volatile("bt %1, %0" : : "m"(*(volatile uint32_t *)p), "r"((uint32_t)b & 31) : "cc"));
    TRY(__asm__ volatile("fldl %0; fstp %%st" : : "m"(*(volatile double *)p)));
    TRY(__asm__ volatile("imull %1, %k0" : "+r"(a) : "m"(*(volatile uint32_t *)p) : "cc"));
    TRY(__asm__ volatile("push %0; pop %%rax" : : "m"(*(volatile uint64_t *)p) : "rax"));
    TRY(__asm__ volatile("prefetcht0 %0; clflush %0" : : "m"(*p)));
    s = p, d = buf, n = 1 + below(16);
    TRY(__asm__ volatile("rep movsb" : "+S"(s), "+D"(d), "+c"(n) : : "memory"));
    s = p, d = buf, n = 4;
    TRY(__asm__ volatile("repe cmpsl" : "+S"(s), "+D"(d), "+c"(n) : : "memory", "cc"));
    d = p, n = 4;
    TRY(__asm__ volatile("repne scasw" : "+D"(d), "+c"(n), "+a"(a) : : "memory", "cc"));
    s = p;
    TRY(__asm__ volatile("std; lodsq; cld" : "+S"(s), "+a"(a)));
    if (!write)
        return;
    TRY(__asm__ volatile("xchgl %0, %k1" : "+m"(*(volatile uint32_t *)p), "+r"(b)));
    TRY(__asm__ volatile("lock cmpxchgl %k2, %0" : "+m"(*(volatile uint32_t *)p), "+a"(a) : "r"(b) : "cc"));
    TRY(__asm__ volatile("lock addq %1, %0" : "+m"(*(volatile uint64_t *)p) : "r"(b) : "cc"));
    TRY(__asm__ volatile("lock xaddw %w1, %0" : "+m"(*(volatile uint16_t *)p), "+r"(b) : : "cc"));
    TRY(__asm__ volatile("lock cmpxchg16b %0" : "+m"(*(volatile uint8_t(*)[16])p) : : "rax", "rbx", "rcx", "rdx", "cc"));
    TRY(__asm__ volatile("movdqu %%xmm0, %0" : "=m"(*(volatile uint8_t(*)[16])p)));
    TRY(__asm__ volatile("movntil %k1, %0; sfence" : "=m"(*(volatile uint32_t *)p) : "r"(b)));
    TRY(__asm__ volatile("bts %1, %0" : "+m"(*(volatile uint32_t *)p) : "r"((uint32_t)b & 31) : "cc"));
    TRY(__asm__ volatile("notb %0; negw %0; incl %0; shlq $3, %0" : "+m"(*p) : : "cc"));
    TRY(__asm__ volatile("push %%rax; pop %0" : "=m"(*(volatile uint64_t *)p)));
    TRY(__asm__ volatile("setc %0" : "=m"(*p)));
    TRY(__asm__ volatile("fistpll %0" : "=m"(*(volatile uint64_t *)p)));
    d = p, n = 1 + below(8);
    TRY(__asm__ volatile("rep stosl" : "+D"(d), "+c"(n) : "a"((uint32_t)b) : "memory"));
    s = buf, d = p, n = 1 + below(8);
    TRY(__asm__ volatile("rep movsw" : "+S"(s), "+D"(d), "+c"(n) : : "memory"));
    s = p, d = p + 64, n = 2;
    TRY(__asm__ volatile("rep movsq" : "+S"(s), "+D"(d), "+c"(n) : : "memory"));
}

/* An instruction that is fetched from there. */
static void execute_at(volatile uint8_t *p)
{
    TRY(((void (*)(void))(uintptr_t)p)());
}

static void poke_page(const char *name, uint64_t phys, int write)
{
    volatile uint8_t *p = map_phys(phys, 2 * PAGE, O_SYNC);
    unsigned before = faults;

    if (!p) {
        printf("mmio %s: the kernel does not map it\n", name);
        return;
    }
    for (volatile unsigned i = 0; i < 1200; i++) {
        unsigned size = 1u << below(4), at = one_in(4) ? (unsigned)below(PAGE) : (unsigned)below(PAGE / 16) * 16;

        TRY(mem_access(p + at, size, write && one_in(2), random64()));
        if (i % 8 == 0)
            odd_instructions(p + at, write);
    }
    execute_at(p);
    munmap((void *)(uintptr_t)p, 2 * PAGE);
    printf("mmio %s: %u faults\n", name, faults - before);
}

/* The MSI-X table of the first function that has one, or 0. */
static uint64_t msix_table(void)
{
    for (uint32_t devfn = 0; devfn < 256; devfn++) {
        uint32_t cap, table, bar;

        outl(0x80000000u | devfn << 8, 0xcf8);
        if (inl(0xcfc) == 0xffffffff)
            continue;
        outl(0x80000000u | devfn << 8 | 0x34, 0xcf8);
        for (cap = inl(0xcfc) & 0xfc; cap; cap = inl(0xcfc) >> 8 & 0xfc) {
            outl(0x80000000u | devfn << 8 | cap, 0xcf8);
            if ((inl(0xcfc) & 0xff) == 0x11)
                break;
        }
        if (!cap)
            continue;
        outl(0x80000000u | devfn << 8 | (cap + 4), 0xcf8);
        table = inl(0xcfc);
        outl(0x80000000u | devfn << 8 | (0x10 + (table & 7) * 4), 0xcf8);
        bar = inl(0xcfc) & ~0xfu;
        if (bar)
            return bar + (table & ~7u);
    }
    return 0;
}

static void mmio(void)
{
    uint64_t table;

    if (iopl(3) != 0)
        die("iopl");
    table = msix_table();
    outl(0, 0xcf8);
    /* Written at random only where no interrupt of the kernel's is configured. */
    poke_page("local APIC", 0xfee00000, 0);
    poke_page("IO-APIC", 0xfec00000, 0);
    if (table)
        poke_page("MSI-X table", table & ~(PAGE - 1), 0);
    else
        printf("mmio: no MSI-X table\n");
    poke_page("VT-d unit", 0xfed90000, 1);
    poke_page("HPET", 0xfed00000, 1);
    poke_page("hole below 4 GiB", 0xfe800000, 1);
    poke_page("end of 32 bits", 0xfffff000 - PAGE, 1);
    poke_page("hypervisor", 0x200000, 1);
    poke_page("free RAM", 0x60000000, 1);
    poke_page("hole above RAM", 0x300000000, 1);
    poke_page("end of the space", (1ull << 39) - 2 * PAGE, 1);
    poke_page("behind the p2m", 1ull << 39, 1);
    printf("mmio: %u accesses, %u faults\n", tried, faults);
}

/* ---- instructions ---- */

#define MUST_FAULT(text)                                                                           \
    do {                                                                                           \
        unsigned before_ = faults;                                                                 \
        TRY(__asm__ volatile(text : : "a"(0), "b"(0), "c"(0), "d"(0) : "memory", "cc"));           \
        if (faults == before_) {                                                                   \
            printf("not refused: %s\n", text);                                                     \
            bad++;                                                                                 \
        }                                                                                          \
    } while (0)

/* Intel's call instruction is there, else AMD's. */
static int has_vmcall(void)
{
    unsigned a, b, c, d;

    __cpuid(0, a, b, c, d);
    return b == signature_INTEL_ebx;
}

/* VMX, SMX and others that this CPU has not got at all are #UD, and no less worth a try. */
static int privileged(void)
{
    volatile int bad = 0;

    MUST_FAULT("vmrun");
    MUST_FAULT("vmload");
    MUST_FAULT("vmsave");
    MUST_FAULT("clgi");
    MUST_FAULT("stgi");
    MUST_FAULT("skinit");
    MUST_FAULT(".byte 0x0f, 0x01, 0xdf"); /* invlpga */
    if (has_vmcall())
        MUST_FAULT("vmmcall");
    else
        MUST_FAULT("vmcall");
    MUST_FAULT("vmlaunch");
    MUST_FAULT("vmxoff");
    MUST_FAULT("hlt");
    MUST_FAULT("rdmsr");
    MUST_FAULT("wrmsr");
    MUST_FAULT("rdpmc");
    MUST_FAULT("invd");
    MUST_FAULT("wbinvd");
    MUST_FAULT("monitor");
    MUST_FAULT("mwait");
    MUST_FAULT("xsetbv");
    MUST_FAULT("clts");
    MUST_FAULT("mov %%cr0, %%rax");
    MUST_FAULT("mov %%rax, %%cr0");
    MUST_FAULT("mov %%rax, %%cr3");
    MUST_FAULT("mov %%rax, %%cr4");
    MUST_FAULT("mov %%rax, %%cr8");
    MUST_FAULT("mov %%rax, %%dr7");
    MUST_FAULT("lmsw %%ax");
    MUST_FAULT("ltr %%ax");
    MUST_FAULT("lldt %%ax");
    MUST_FAULT("invlpg (%%rax)");
    MUST_FAULT("lgdt (%%rsp)");
    MUST_FAULT("lidt (%%rsp)");
    MUST_FAULT("swapgs");
    MUST_FAULT("sysretq");
    MUST_FAULT("rsm");
    MUST_FAULT("cli");
    MUST_FAULT("in $0x64, %%al");
    MUST_FAULT("int $8");
    MUST_FAULT("int $2");
    MUST_FAULT("ud2");
    MUST_FAULT(".byte 0x0f, 0x37"); /* getsec */
    MUST_FAULT(".byte 0x0f, 0x01, 0xfd"); /* rdpru */
    return bad;
}

/* A hypercall from user space is no hypercall: -EPERM, whatever its number and arguments. */
static int user_hypercalls(void)
{
    volatile int bad = 0;

    for (volatile unsigned nr = 0; nr < 80; nr++) {
        volatile uint64_t rax = nr;

        TRY({
            register uint64_t r10 __asm__("r10") = 0;
            register uint64_t r8 __asm__("r8") = 0;
            uint64_t a = nr;

            if (has_vmcall())
                __asm__ volatile("vmcall" : "+a"(a) : "D"(2ul), "S"(0ul), "d"(0ul), "r"(r10), "r"(r8) : "memory");
            else
                __asm__ volatile("vmmcall" : "+a"(a) : "D"(2ul), "S"(0ul), "d"(0ul), "r"(r10), "r"(r8) : "memory");
            rax = a;
        });
        if (rax != nr && rax != (uint64_t)-EPERM) {
            printf("hypercall %u from user space: %" PRId64 "\n", nr, (int64_t)rax);
            bad++;
        }
    }
    return bad;
}

static void cpuid_leaves(void)
{
    static const uint32_t bases[] = { 0, 0x40000000, 0x40000100, 0x80000000, 0x80860000, 0xc0000000, 0xfffffff0 };

    for (volatile size_t i = 0; i < ARRAY_SIZE(bases); i++)
        for (volatile uint32_t leaf = 0; leaf < 64; leaf++)
            for (volatile uint32_t sub = 0; sub < 70; sub += sub < 8 ? 1 : 31) {
                uint32_t a = bases[i] + leaf, b, c = sub, d;

                TRY(__asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d)));
            }
}

/* Bytes at random as code, with what the exit handlers look at in front. */
static void random_code(void)
{
    static const uint8_t starts[][3] = { { 0x0f, 0x01, 0xd9 }, { 0x0f, 0x01, 0xc1 }, { 0x0f, 0x01, 0xd8 }, { 0x0f, 0xa2, 0x90 },
                                         { 0xf3, 0x90, 0x90 }, { 0x0f, 0x32, 0x90 }, { 0x66, 0x0f, 0x01 } };
    uint8_t *code = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    for (volatile unsigned i = 0; i < 64; i++) {
        const uint8_t *s = starts[i % ARRAY_SIZE(starts)];
        uint8_t *p = code + PAGE - 1 - i / ARRAY_SIZE(starts); /* over the page's end */

        memset(code, 0xcc, 2 * PAGE);
        for (unsigned k = 0; k < i / 16; k++)
            *p++ = (uint8_t)("\x66\x67\xf2\x48"[k]); /* prefixes */
        memcpy(p, s, 3);
        TRY(((void (*)(void))(uintptr_t)(code + PAGE - 1 - i / ARRAY_SIZE(starts)))());
    }
}

static int insns(void)
{
    int bad;

    bad = privileged() + user_hypercalls();
    cpuid_leaves();
    random_code();
    printf("insns: %u tried, %u faults, %d not refused\n", tried, faults, bad);
    return bad != 0;
}

/* ---- afterwards ---- */

static int hypervisor_answers(void)
{
    long v;

    privcmd_open();
    v = hypercall(__HYPERVISOR_xen_version, (uint64_t[5]){ XENVER_version });
    printf("xen_version: %ld.%ld\n", v >> 16, v & 0xffff);
    return v > 0;
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";
    int rc = 0;

    random_seed(argc > 2 ? strtoull(argv[2], NULL, 0) : 1);
    setvbuf(stdout, NULL, _IOLBF, 0);
    catch_faults();
    if (strcmp(what, "msrs") == 0)
        msrs();
    else if (strcmp(what, "ports") == 0)
        ports();
    else if (strcmp(what, "config") == 0)
        config();
    else if (strcmp(what, "mmio") == 0)
        mmio();
    else if (strcmp(what, "insns") == 0)
        rc = insns();
    else
        rc = 2;
    return hypervisor_answers() ? rc : 1;
}
