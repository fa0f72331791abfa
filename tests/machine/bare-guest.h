/* SPDX-License-Identifier: MIT */
/*
 * What bare-metal guests that run as the control domain share (cpu-guest.c, wild-guest.c): TAP output in frames on the
 * second serial port (scripts/image/vm-agent.c), exceptions, and instructions that may fault. Each includes it once.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct frame {
    uint64_t r15, r14, r13, r12, r11, r10, r9, r8, rdi, rsi, rbp, rbx, rdx, rcx, rax;
    uint64_t vector, error, rip, cs, rflags, rsp, ss;
};

/* What the last exception or interrupt was, and where to go on after a fault. */
static volatile struct {
    uint64_t vector, error, rip, cr2, dr6;
    unsigned count;
} seen;
static uint64_t resume;
static volatile unsigned nmi_depth, nmi_max_depth, nmis;

extern uint8_t stubs[256][16], scratch[8192], ap_code[], ap_code_end[], leave_ring3[];
extern uint64_t pml4[512], pdpt[512];
extern uint8_t tss[104];
uint64_t in_ring3(void);
void ring3_at(const void *code);
uint32_t has_vmcall; /* Intel's call instruction, not AMD's */
void guest_main(void);
void on_exception(struct frame *f);

#define APIC 0xfee00000ull
#define EQ(got, want, name) check((uint64_t)(got), (uint64_t)(want), name)

static inline void outb(uint8_t v, uint16_t p)
{
    __asm__ volatile("outb %0, %1" ::"a"(v), "Nd"(p));
}

static inline uint8_t inb(uint16_t p)
{
    uint8_t v;

    __asm__ volatile("inb %1, %0" : "=a"(v) : "Nd"(p));
    return v;
}

static inline uint64_t rdmsr(uint32_t m)
{
    uint32_t a, d;

    __asm__ volatile("rdmsr" : "=a"(a), "=d"(d) : "c"(m));
    return (uint64_t)d << 32 | a;
}

static inline void wrmsr(uint32_t m, uint64_t v)
{
    __asm__ volatile("wrmsr" ::"c"(m), "a"((uint32_t)v), "d"((uint32_t)(v >> 32)) : "memory");
}

static inline uint64_t rdtsc(void)
{
    uint32_t a, d;

    __asm__ volatile("rdtsc" : "=a"(a), "=d"(d));
    return (uint64_t)d << 32 | a;
}

/* ---- output ---- */

static void com2(const void *buf, unsigned len)
{
    const uint8_t *p = buf;

    while (len--) {
        while (!(inb(0x2fd) & 0x20))
            ;
        outb(*p++, 0x2f8);
    }
}

static void send(char type, const char *text)
{
    uint8_t head[8] = { 1, 'X', 'L', (uint8_t)type, 0, 0, 0, 0 };
    unsigned len = 0;

    while (text[len])
        len++;
    head[4] = (uint8_t)len;
    head[5] = (uint8_t)(len >> 8);
    com2(head, 8);
    com2(text, len);
}

static char *put_text(char *p, const char *s)
{
    while (*s)
        *p++ = *s++;
    return p;
}

static char *put_hex(char *p, uint64_t v)
{
    p = put_text(p, "0x");
    for (int s = 60; s >= 0; s -= 4) {
        if (v >> s || !s)
            *p++ = "0123456789abcdef"[v >> s & 15];
    }
    return p;
}

static unsigned tests, failures;

static void check(uint64_t got, uint64_t want, const char *name)
{
    static char line[300];
    char *p = line;

    tests++;
    if (got != want)
        failures++;
    p = put_text(p, got == want ? "ok " : "not ok ");
    if (tests >= 100)
        *p++ = (char)('0' + tests / 100);
    if (tests >= 10)
        *p++ = (char)('0' + tests / 10 % 10);
    *p++ = (char)('0' + tests % 10);
    p = put_text(p, " - ");
    p = put_text(p, name);
    if (got != want) {
        p = put_text(p, "\n# got ");
        p = put_hex(p, got);
        p = put_text(p, ", expected ");
        p = put_hex(p, want);
    }
    *p++ = '\n';
    *p = 0;
    send('O', line);
}

/* ---- exceptions ---- */

static void to_ring0(struct frame *f)
{
    f->rip = (uint64_t)leave_ring3;
    f->cs = 8;
    f->ss = 16;
    f->rflags = 2;
}

void on_exception(struct frame *f)
{
    if (f->vector == 2) {
        nmis++;
        nmi_depth++;
        if (nmi_depth > nmi_max_depth)
            nmi_max_depth = nmi_depth;
        if (nmis == 1) {
            *(volatile uint32_t *)(APIC + 0x310) = 0;
            *(volatile uint32_t *)(APIC + 0x300) = 0x400; /* another one, while this one is served */
            for (int i = 0; i < 3; i++)
                (void)*(volatile uint32_t *)(APIC + 0x20); /* exits, at which it could come */
        }
        nmi_depth--;
        return;
    }
    seen.vector = f->vector;
    seen.error = f->error;
    seen.rip = f->rip;
    __asm__ volatile("mov %%cr2, %0" : "=r"(*(uint64_t *)&seen.cr2));
    seen.count++;
    if (f->vector == 1) {
        __asm__ volatile("mov %%dr6, %0" : "=r"(*(uint64_t *)&seen.dr6));
        __asm__ volatile("mov %0, %%dr6" ::"r"(0xffff0ff0ull));
        f->rflags = (f->rflags & ~0x100ull) | 0x10000; /* no TF, RF */
    }
    if (f->vector == 0x80 || (f->vector < 32 && (f->cs & 3))) { /* what was to be done in ring 3 ended, or faulted */
        to_ring0(f);
        return;
    }
    if (f->vector < 32 && resume) {
        f->rip = resume;
        resume = 0;
    }
    if (f->vector >= 32)
        *(volatile uint32_t *)(APIC + 0xb0) = 0; /* EOI */
}

static struct {
    uint16_t off0, sel;
    uint8_t ist, type;
    uint16_t off1;
    uint32_t off2, zero;
} __attribute__((packed)) idt[256];

static void setup_idt(void)
{
    struct {
        uint16_t limit;
        uint64_t base;
    } __attribute__((packed)) d = { sizeof(idt) - 1, (uint64_t)idt };

    for (unsigned v = 0; v < 256; v++) {
        uint64_t a = (uint64_t)stubs[v];

        idt[v].off0 = (uint16_t)a;
        idt[v].sel = 8;
        idt[v].type = v == 0x80 ? 0xee : 0x8e;
        idt[v].off1 = (uint16_t)(a >> 16);
        idt[v].off2 = (uint32_t)(a >> 32);
    }
    __asm__ volatile("lidt %0" ::"m"(d));
}

/* Runs one instruction; v becomes 100 + vector if it faulted at itself, 200 + vector if elsewhere, 0 if it did not. */
#define FAULTS(insn, ...)                                                                          \
    ({                                                                                             \
        uint64_t at_;                                                                              \
        seen.count = 0;                                                                            \
        seen.vector = 0;                                                                           \
        __asm__ volatile("lea 2f(%%rip), %0\n\tmov %0, %1\n\tlea 1f(%%rip), %0\n1: " insn "\n2:"    \
                         : "=&b"(at_), "=m"(resume)                                                \
                         : __VA_ARGS__                                                             \
                         : "memory");                                                              \
        resume = 0;                                                                                \
        seen.count ? (seen.rip == at_ ? 100 : 200) + seen.vector : 0;                              \
    })

static void choose_call(void)
{
    uint32_t a = 0, b, c = 0, d;

    __asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
    has_vmcall = b == 0x756e6547; /* "Genu" */
}
