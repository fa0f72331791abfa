/* SPDX-License-Identifier: MIT */
/*
 * A control domain of a few kilobytes: it does to its virtual CPU what kernels seldom do, and says as TAP, in frames on
 * the second serial port (scripts/image/vm-agent.c), whether the CPU behaved. Built and run by cpu.t.
 */
#include "bare-guest.h"

static void test_undefined(void)
{
    static const char *const name[] = { "VMRUN", "VMLOAD", "VMSAVE", "STGI", "CLGI", "SKINIT", "INVLPGA" };
    uint64_t got[7];

    got[0] = FAULTS(".byte 0x0f,0x01,0xd8", "a"(0));
    got[1] = FAULTS(".byte 0x0f,0x01,0xda", "a"(0));
    got[2] = FAULTS(".byte 0x0f,0x01,0xdb", "a"(0));
    got[3] = FAULTS(".byte 0x0f,0x01,0xdc", "a"(0));
    got[4] = FAULTS(".byte 0x0f,0x01,0xdd", "a"(0));
    got[5] = FAULTS(".byte 0x0f,0x01,0xde", "a"(0));
    got[6] = FAULTS(".byte 0x0f,0x01,0xdf", "a"(0), "c"(0));
    for (unsigned i = 0; i < 7; i++) {
        char text[60], *p = put_text(text, name[i]);

        *put_text(p, " is undefined") = 0;
        EQ(got[i], 106, text);
    }
    EQ(FAULTS("monitor", "a"(scratch), "c"(0), "d"(0)), 106, "MONITOR is undefined");
    EQ(FAULTS("mwait", "a"(0), "c"(0)), 106, "MWAIT is undefined");
    EQ(FAULTS("rdpmc", "c"(0)), 113, "RDPMC is refused");
    EQ(has_vmcall ? FAULTS("vmmcall", "a"(17)) : FAULTS("vmcall", "a"(17)), 106,
       "the other vendor's call instruction is undefined");
}

static void test_msrs(void)
{
    EQ(FAULTS("rdmsr", "c"(0x12345)), 113, "unknown MSR: read gives #GP at the instruction");
    EQ(seen.error, 0, "with error code 0");
    EQ(FAULTS("wrmsr", "c"(0x12345), "a"(0), "d"(0)), 113, "unknown MSR: write gives #GP");
    EQ(FAULTS("wrmsr", "c"(0xc0000080), "a"(0x1d00), "d"(0)), 113, "EFER.SVME cannot be set");
    EQ(FAULTS("wrmsr", "c"(0xc0000080), "a"(0xc00), "d"(0)), 113, "EFER.LME cannot be cleared under paging");
    EQ(rdmsr(0xc0000080) & 0x1d00, 0xd00, "EFER shows LME, LMA, NXE and no SVME");
    EQ(FAULTS("wrmsr", "c"(0x277), "a"(2), "d"(0)), 113, "PAT takes known types only");
    wrmsr(0x277, 0x0407050600070106);
    EQ(rdmsr(0x277), 0x0407050600070106, "PAT reads back");
    wrmsr(0xc0000102, 0xffff800012345678);
    EQ(rdmsr(0xc0000102), 0xffff800012345678, "KERNEL_GS_BASE reads back");
    uint64_t a = rdtsc(), b = rdmsr(0x10), c = rdtsc();

    EQ(a < b && b < c, 1, "TSC by MSR lies between two by RDTSC");
    EQ(FAULTS("xsetbv", "a"(1), "c"(0), "d"(0)), 106, "XSETBV without OSXSAVE is undefined");
}

/* A prefix, an instruction across a page boundary: rip must end up behind it. */
static void test_lengths(void)
{
    static const uint8_t code[4][6] = {
        { 0x0f, 0xa2, 0xc3 }, { 0x66, 0x0f, 0xa2, 0xc3 }, { 0x67, 0xf3, 0x0f, 0xa2, 0xc3 }, { 0x48, 0x0f, 0xa2, 0xc3 },
    };
    static const char *const name[] = { "CPUID", "CPUID with prefix 66", "CPUID with prefixes 67 F3",
                                        "CPUID with REX.W" };

    for (unsigned i = 0; i < 4; i++) {
        for (unsigned back = 0; back < 4; back++) {
            uint8_t *p = scratch + 4096 - back;
            uint32_t a = 0x40000001, b, c = 0, d;

            for (unsigned n = 0; n < 6; n++)
                p[n] = code[i][n];
            __asm__ volatile("call *%4" : "+a"(a), "=b"(b), "+c"(c), "=d"(d) : "r"(p) : "memory");
            if (a != 0x00040011 || back == 3)
                EQ(a, 0x00040011, name[i]);
        }
    }
}

static void test_single_step(void)
{
    uint64_t next, a = 0x40000000;

    seen.count = 0;
    __asm__ volatile("lea 1f(%%rip), %0\n\t"
                     "pushfq; orl $0x100, (%%rsp); popfq\n\t"
                     "cpuid\n1:\tnop"
                     : "=&S"(next), "+a"(a)
                     :
                     : "rbx", "rcx", "rdx", "memory", "cc");
    EQ(seen.count, 1, "single step over CPUID: one #DB");
    EQ(seen.rip, next, "right behind it");
    EQ(seen.dr6 & 0x4000, 0x4000, "DR6 says so");
    EQ((uint32_t)a, 0x40000005, "and CPUID did its work");
}

static void test_breakpoint(void)
{
    uint64_t at;

    __asm__ volatile("lea 1f(%%rip), %0\n\tmov %0, %%dr0\n\tmov %1, %%dr7\n\t"
                     "mov $0x40000000, %%eax\n\tcpuid\n1:\tnop\n"
                     : "=&S"(at)
                     : "D"(0x402ull)
                     : "rax", "rbx", "rcx", "rdx", "memory");
    EQ(seen.rip, at, "a breakpoint in DR0 survives exits and hits");
    EQ(seen.dr6 & 0xf, 1, "DR6 names it");
    __asm__ volatile("mov %0, %%dr7" ::"r"(0x400ull));
}

static void test_mmio(void)
{
    volatile uint8_t *apic = (volatile uint8_t *)APIC;
    uint64_t v = 0, w = 0x1111111111111111;
    uint32_t copy[2] = { 0, 0 };
    const volatile uint8_t *src = apic + 0x30;
    void *dst = copy;
    uint64_t n = 1;

    __asm__ volatile("movl 0x30(%1), %k0" : "=r"(v) : "r"(apic));
    EQ(v & 0xff00ff, 0x50014, "MOV from a register page");
    __asm__ volatile("movl 0x30(%1,%2,4), %k0" : "+r"(w) : "r"(apic), "r"(0ull));
    EQ(w >> 32, 0, "a 32-bit load clears the upper half");
    *(volatile uint32_t *)(apic + 0x80) = 0x20;
    __asm__ volatile("orl $0x10, 0x80(%0)" ::"r"(apic) : "memory");
    EQ(*(volatile uint32_t *)(apic + 0x80), 0x30, "OR to a register");
    __asm__ volatile("xorl %%edx, %%edx; testl $0x10, 0x80(%1); setnz %%dl" : "=&d"(v) : "r"(apic) : "cc");
    EQ(v, 1, "TEST with a register");
    v = 0x40;
    __asm__ volatile("xchgl %k0, 0x80(%1)" : "+r"(v) : "r"(apic) : "memory");
    EQ(v, 0x30, "XCHG with a register");
    *(volatile uint32_t *)(apic + 0x80) = 0;
    __asm__ volatile("cld; rep movsl" : "+S"(src), "+D"(dst), "+c"(n)::"memory");
    EQ(copy[0] & 0xff00ff, 0x50014, "REP MOVSL from a register page to memory");
    EQ((uint64_t)src, APIC + 0x34, "and RSI moved on");
    /* 256 GiB: nobody lives there. */
    pdpt[256] = 0x4000000000ull | 0x87;
    pdpt[5] = 0; /* PML4 slot 0 covers it */
    v = 0;
    __asm__ volatile("movq (%1), %0" : "=r"(v) : "r"(0x4000000000ull));
    EQ(v, ~0ull, "a hole reads as ones");
    EQ(FAULTS("movq $0, (%2)", "r"(0x4000000000ull)), 0, "and takes writes");
    EQ(FAULTS("jmp *%2", "r"(0x4000000000ull)) % 100, 6, "code from a hole is undefined");
}

static void test_ports(void)
{
    uint32_t address = 0x80000000, id, id2 = 0;
    void *p = &address;
    uint64_t rax = 0x1111111122222222;

    __asm__ volatile("outl %0, %w1" ::"a"(address), "d"(0xcf8));
    __asm__ volatile("inl %w1, %0" : "=a"(id) : "d"(0xcfc));
    EQ(id != 0xffffffff && id != 0, 1, "the host bridge answers at CFC");
    __asm__ volatile("outsl" : "+S"(p) : "d"(0xcf8) : "memory");
    p = &id2;
    __asm__ volatile("insl" : "+D"(p) : "d"(0xcfc) : "memory");
    EQ(id2, id, "OUTS and INS do the same");
    EQ((uint64_t)p, (uint64_t)(&id2 + 1), "INS moves RDI");
    __asm__ volatile("inw %w1, %w0" : "+a"(rax) : "d"(0xcfc));
    EQ(rax, 0x1111111122220000 | (id & 0xffff), "a 16-bit IN leaves the rest of RAX alone");
    __asm__ volatile("inb %w1, %b0" : "=a"(rax) : "d"(0x21));
    EQ(rax & 0xff, 0xff, "the interrupt controller's port reads as ones");
}

static void ipi(uint32_t icr)
{
    *(volatile uint32_t *)(APIC + 0x310) = 0;
    *(volatile uint32_t *)(APIC + 0x300) = icr;
}

static void test_interrupts(void)
{
    uint64_t next;

    *(volatile uint32_t *)(APIC + 0xf0) = 0x1ff;
    seen.count = 0;
    ipi(0x4051);
    EQ(seen.count, 0, "an interrupt waits while IF is clear");
    /* STI holds it back for one instruction, also one that exits. */
    __asm__ volatile("lea 1f(%%rip), %0\n\txorl %%eax, %%eax\n\tsti\n\tcpuid\n1:\tnop\n\tcli"
                     : "=&S"(next)::"rax", "rbx", "rcx", "rdx", "memory");
    EQ(seen.vector, 0x51, "it comes after STI");
    EQ(seen.rip, next, "but not before the instruction behind STI, which exited");
    seen.count = 0;
    ipi(0x4052);
    __asm__ volatile("lea 1f(%%rip), %0\n\tsti\n\thlt\n1:\tcli" : "=&S"(next)::"memory");
    EQ(seen.vector, 0x52, "an interrupt that waits ends HLT at once");
    EQ(seen.rip, next, "behind the HLT");
    __asm__ volatile("mov %0, %%cr8" ::"r"(6ull));
    EQ(*(volatile uint32_t *)(APIC + 0x80), 0x60, "CR8 is the task priority");
    seen.count = 0;
    ipi(0x4053);
    __asm__ volatile("sti; nop; nop");
    (void)*(volatile uint32_t *)(APIC + 0x20);
    EQ(seen.count, 0, "a lower priority waits for CR8");
    __asm__ volatile("mov %0, %%cr8" ::"r"(5ull));
    (void)*(volatile uint32_t *)(APIC + 0x20);
    EQ(seen.count, 0, "also for one of its own class");
    EQ(FAULTS("mov %2, %%cr8", "r"(16ull)), 113, "CR8 above 15 meanwhile: #GP");
    seen.count = 0;
    __asm__ volatile("lea 1f(%%rip), %0\n\tmov %1, %%cr8\n1:\tnop\n\tcli"
                     : "=&S"(next) : "r"(4ull) : "memory");
    EQ(seen.count == 1 && seen.vector == 0x53, 1, "and comes when CR8 allows it");
    EQ(seen.rip, next, "at once");
    __asm__ volatile("mov %0, %%cr8" ::"r"(0ull));
    ipi(0x400);
    for (int i = 0; i < 3; i++)
        (void)*(volatile uint32_t *)(APIC + 0x20);
    EQ(nmis, 2, "two NMIs, one sent from the other's handler");
    EQ(nmi_max_depth, 1, "did not nest");
}

static uint64_t call(uint64_t nr, uint64_t first, uint64_t second)
{
    uint64_t ret;

    if (has_vmcall)
        __asm__ volatile("vmcall" : "=a"(ret) : "0"(nr), "D"(first), "S"(second) : "memory");
    else
        __asm__ volatile("vmmcall" : "=a"(ret) : "0"(nr), "D"(first), "S"(second) : "memory");
    return ret;
}

static void test_hypercalls(void)
{
    uint64_t ret, arg = 0;
    uint8_t *page = scratch;

    EQ(call(17, 0, 0), 0x00040011, "xen_version");
    EQ(call(63, 0, 0), (uint64_t)-38, "an unknown hypercall is -ENOSYS");
    EQ(in_ring3(), (uint64_t)-1, "ring 3 gets -EPERM");
    wrmsr(0x40000000, (uint64_t)page);
    __asm__ volatile("call *%3" : "=a"(ret) : "D"(arg), "S"(0ull), "r"(page + 17 * 32) : "memory");
    EQ(ret, 0x00040011, "xen_version through the hypercall page");
    EQ(FAULTS("wrmsr", "c"(0x40000000), "a"(0xfee00000), "d"(0)), 113, "no hypercall page outside of memory");
    EQ(FAULTS("wrmsr", "c"(0x40000000), "a"((uint32_t)(uint64_t)page | 1), "d"(0)), 113, "nor a second one");
}

static void test_state(void)
{
    static uint64_t in[2] = { 0x0123456789abcdef, 0xfedcba9876543210 }, out[2];

    __asm__ volatile("movups (%0), %%xmm5" ::"r"(in));
    for (int i = 0; i < 50; i++) {
        uint32_t a = 0, b, c = 0, d;

        __asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
    }
    __asm__ volatile("movups %%xmm5, (%0)" ::"r"(out) : "memory");
    EQ(out[0] == in[0] && out[1] == in[1], 1, "vector registers survive exits");
    __asm__ volatile("wbinvd; invd" ::: "memory");
    EQ(in[0], 0x0123456789abcdef, "INVD does not lose memory");
}

/* VCPUOP_is_up (public header vcpu.h) of vCPU 1: -ENOENT if there is none. */
static bool has_second_vcpu(void)
{
    return call(24, 3, 1) == 0;
}

static void test_real_mode(void)
{
    volatile uint32_t *result = (volatile uint32_t *)0x9000;
    uint32_t a = 0, b, c = 0, d;
    uint64_t until = rdtsc() + 20000000000ull;

    for (unsigned i = 0; ap_code + i < ap_code_end; i++)
        ((volatile uint8_t *)0x8000)[i] = ap_code[i];
    result[0] = result[1] = result[2] = 0;
    *(volatile uint32_t *)(APIC + 0x310) = 2u << 24; /* APIC id of vCPU 1 */
    *(volatile uint32_t *)(APIC + 0x300) = 0x4500;   /* INIT */
    *(volatile uint32_t *)(APIC + 0x310) = 2u << 24;
    *(volatile uint32_t *)(APIC + 0x300) = 0x4608;   /* SIPI, 0x8000 */
    while (result[2] != 0x12345678 && rdtsc() < until)
        ;
    EQ(result[2], 0x12345678, "a second vCPU ran in real mode");
    __asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
    EQ(result[0], b, "CPUID in real mode");
    EQ(result[1], d, "CPUID with a prefix in real mode");
}

void guest_main(void)
{
    outb(3, 0x2fb); /* eight bits a character */
    choose_call();
    static char plan[] = "1..00\n";

    *(uint64_t *)(tss + 4) = (uint64_t)(scratch + 8192); /* RSP0; scratch's end is not executed from */
    setup_idt();
    test_undefined();
    test_msrs();
    test_lengths();
    test_single_step();
    test_breakpoint();
    test_mmio();
    test_ports();
    test_interrupts();
    test_hypercalls();
    test_state();
    if (has_second_vcpu())
        test_real_mode();
    plan[3] = (char)('0' + tests / 10);
    plan[4] = (char)('0' + tests % 10);
    send('O', plan);
    send('Q', failures ? "1" : "0");
}
