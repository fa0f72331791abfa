/* SPDX-License-Identifier: MIT */
/*
 * Panic: message, registers, a backtrace with the names that link.sh put into the image, the last trap records; then
 * the machine stops (or restarts, with `panic=reboot`).
 */
#include "boot/panic.h"

#include "boot/cmdline.h"
#include "boot/console.h"
#include "boot/exception.h"
#include "boot/mapping.h"
#include "boot/power.h"
#include "boot/smp.h"
#include "cpu/x86.h"
#include "lib/assert.h"
#include "lib/percpu.h"
#include "lib/printf.h"
#include "lib/string.h"
#include "trap/record.h"

extern const uint64_t symtab_count;
extern const struct {
    uint32_t addr, name;
} symtab_entries[];
extern const char symtab_names[];
extern char __image_start[], __text_end[], __image_end[];

static bool panicking;

void cpu_park(void)
{
    for (;;)
        __asm__ __volatile__("cli; hlt");
}

const char *symbol_name(uint64_t addr, uint64_t *offset)
{
    uint64_t lo = 0, hi = symtab_count;

    if (addr < (uint64_t)__image_start || addr >= (uint64_t)__text_end)
        return "?";
    while (lo < hi) {
        uint64_t mid = (lo + hi) / 2;

        if (symtab_entries[mid].addr <= addr)
            lo = mid + 1;
        else
            hi = mid;
    }
    if (!lo)
        return "?";
    if (offset)
        *offset = addr - symtab_entries[lo - 1].addr;
    return symtab_names + symtab_entries[lo - 1].name;
}

static void print_place(uint64_t addr)
{
    uint64_t offset = 0;
    const char *name = symbol_name(addr, &offset);

    pr_err("  [%#lx] %s+%#lx", addr, name, offset);
}

/* A stack lies in the image (the boot CPU's) or among the others' stacks; anything else ends the walk. */
static bool stack_address_ok(uint64_t a)
{
    if (a & 7)
        return false;
    if (a >= (uint64_t)__image_start && a < (uint64_t)__image_end - 16)
        return mapping_present(a) && mapping_present(a + 8);
    return a >= STACKS_BASE && a < STACKS_BASE + MAX_CPUS * STACKS_SLOT && mapping_present(a) &&
           mapping_present(a + 8);
}

void backtrace(uint64_t rip, uint64_t rbp)
{
    pr_err("Call trace:");
    if (rip)
        print_place(rip);
    for (unsigned depth = 0; depth < 32 && stack_address_ok(rbp); depth++) {
        const uint64_t *frame = (const uint64_t *)rbp;

        if (!frame[1])
            return;
        print_place(frame[1] - 1);
        if (frame[0] <= rbp)
            return;
        rbp = frame[0];
    }
}

void frame_dump(const struct exc_frame *f)
{
    pr_err("CPU %u  rip %04lx:%016lx  rflags %08lx  rsp %016lx", cpu_id(), f->cs, f->rip, f->rflags,
           f->rsp);
    pr_err("rax %016lx  rbx %016lx  rcx %016lx  rdx %016lx", f->rax, f->rbx, f->rcx, f->rdx);
    pr_err("rsi %016lx  rdi %016lx  rbp %016lx  r8  %016lx", f->rsi, f->rdi, f->rbp, f->r8);
    pr_err("r9  %016lx  r10 %016lx  r11 %016lx  r12 %016lx", f->r9, f->r10, f->r11, f->r12);
    pr_err("r13 %016lx  r14 %016lx  r15 %016lx", f->r13, f->r14, f->r15);
    pr_err("cr0 %08lx  cr3 %016lx  cr4 %08lx", read_cr0(), read_cr3(), read_cr4());
    backtrace(f->rip, f->rbp);
}

/*
 * What broke may have left GS with a guest's base, and everything below finds the CPU through it. The APIC id tells
 * which CPU this is (SDM vol. 2, CPUID leaf 1, EBX 31:24). Returns the wrong base, 0 if it was right.
 */
static uint64_t mend_gs(void)
{
    uint64_t base = rdmsr(MSR_GS_BASE);
    uint32_t a, b, c, d;

    cpuid(1, 0, &a, &b, &c, &d);
    for (unsigned cpu = 0; cpu < nr_cpus; cpu++) {
        if ((apicid_of_cpu(cpu) & 0xff) != b >> 24 || base == (uint64_t)percpu_of(cpu))
            continue;
        wrmsr(MSR_GS_BASE, (uint64_t)percpu_of(cpu));
        return base;
    }
    return 0;
}

/* A panic within a panic must end; what can be said without a lock or the CPU's own data is said once. */
static void __noreturn panic_again(const struct exc_frame *f)
{
    static bool said;
    char line[160];

    if (f && !__atomic_exchange_n(&said, true, __ATOMIC_SEQ_CST)) {
        snprintf(line, sizeof(line),
                 "PANIC again, here or on another CPU: vector %lu, error code %#lx, rip %#lx, cr2 "
                 "%#lx, rsp %#lx\n",
                 f->vector, f->error, f->rip, read_cr2(), f->rsp);
        console_write(line, strlen(line));
    }
    cpu_park();
}

static void panic_begin(const struct exc_frame *f)
{
    uint64_t gs;

    if (__atomic_exchange_n(&panicking, true, __ATOMIC_SEQ_CST))
        panic_again(f);
    console_force();
    gs = mend_gs();
    stop_other_cpus();
    /* A line of its own that scripts can wait for. */
    console_write("\nPANIC\n", 7);
    if (gs)
        pr_err("GS base was %#lx", gs);
}

static void __noreturn panic_end(void)
{
    const char *mode = cmdline_get("panic");

    trap_dump_last();
    panic_dump_guest();
    if (mode && !strcmp(mode, "reboot")) {
        pr_err("Restarting.");
        machine_reset();
    }
    pr_err("The hypervisor has stopped. Restart the machine by hand.");
    machine_halted();
    cpu_park();
}

void panic(const char *fmt, ...)
{
    char text[256];
    va_list ap;

    irq_disable();
    panic_begin(NULL);
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    pr_err("PANIC on CPU %u: %s", cpu_id(), text);
    pr_err("rsp %016lx  cr0 %08lx  cr3 %016lx  cr4 %08lx", (uint64_t)__builtin_frame_address(0),
           read_cr0(), read_cr3(), read_cr4());
    backtrace(0, (uint64_t)__builtin_frame_address(0));
    panic_end();
}

void panic_frame(const struct exc_frame *f, const char *fmt, ...)
{
    char text[256];
    va_list ap;

    irq_disable();
    panic_begin(f);
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    pr_err("PANIC on CPU %u: %s", cpu_id(), text);
    frame_dump(f);
    panic_end();
}

void assert_failed(const char *expr, const char *file, int line)
{
    panic("%s:%d: assertion failed: %s", file, line, expr);
}
