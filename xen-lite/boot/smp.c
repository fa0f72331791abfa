/* SPDX-License-Identifier: MIT */
/*
 * Other processors: INIT, SIPI, SIPI by the book (SDM vol. 3, 9.4.4), one at a time, each with a deadline. A CPU that does
 * not answer is left out with a message; the machine runs without it.
 */
#include "boot/smp.h"

#include "boot/asm_defs.h"
#include "boot/exception.h"
#include "boot/mapping.h"
#include "boot/panic.h"
#include "cpu/vcpu.h"
#include "cpu/x86.h"
#include "irq/irq.h"
#include "irq/lapic.h"
#include "irq/time.h"
#include "irq/timer.h"
#include "lib/atomic.h"
#include "lib/percpu.h"
#include "lib/printf.h"
#include "lib/string.h"
#include "lib/time.h"
#include "mm/frame.h"
#include "mm/phys.h"
#include "sched/sched.h"

/* Stack and, above it, the stacks of exceptions that do not use it (exception.c): 16 + 16 KiB. */
#define STACK_ORDER 3
#define AP_DEADLINE_NS (2 * NS_PER_SEC)

unsigned nr_cpus = 1;
struct percpu percpu_area[MAX_CPUS];

extern const char trampoline_start[], trampoline_end[];
extern uint64_t ap_boot_cr3, ap_boot_stack;
extern char boot_stack_top[];

void ap_main(void) __noreturn;

/* The CPU that is starting now; only one does. */
static struct percpu *starting;

static void percpu_init(struct percpu *p, unsigned id, uint32_t apicid, uint64_t stack_top)
{
    p->self = p;
    p->id = id;
    p->apicid = apicid;
    p->stack_top = stack_top;
    p->guest_gen = GEN_NOT_IN_GUEST;
}

void smp_init_bsp(void)
{
    uint32_t a, b, c, d;

    cpuid(1, 0, &a, &b, &c, &d);
    percpu_init(&percpu_area[0], 0, b >> 24, (uint64_t)boot_stack_top);
    percpu_area[0].online = true;
    wrmsr(MSR_GS_BASE, (uint64_t)&percpu_area[0]);
}

/* Runs on the new CPU, on its own stack, with the final page tables. */
void ap_main(void)
{
    struct percpu *p = starting;

    wrmsr(MSR_GS_BASE, (uint64_t)p);
    descriptors_load(p->id);
    lapic_init_cpu();
    time_init_cpu();
    timer_init_cpu(p->id);
    sched_init_cpu(p->id);
    if (cpu_init_this()) {
        pr_err("CPU %u cannot run guests and stays idle", p->id);
        cpu_park();
    }
    stack_self_test(p->id);
    gs_self_test(p->id);
    __atomic_store_n(&p->online, true, __ATOMIC_RELEASE);
    sched_loop();
}

static void start_ipis(uint32_t apicid)
{
    lapic_send_init(apicid);
    udelay(10000);
    lapic_send_sipi(apicid, TRAMPOLINE_PA >> PAGE_SHIFT);
    udelay(200);
    if (!READ_ONCE(starting->online))
        lapic_send_sipi(apicid, TRAMPOLINE_PA >> PAGE_SHIFT);
}

static bool start_one(unsigned id, uint32_t apicid)
{
    uint64_t stack = frame_alloc(STACK_ORDER, OWNER_XEN, FRAME_ZERO);
    uint64_t deadline = now_ns() + AP_DEADLINE_NS;
    void *base = stack == INVALID_MFN ? NULL : mapping_stack(id, stack, STACK_ORDER);

    if (!base || irq_init_cpu(id)) {
        pr_err("no memory for CPU %u", id);
        return false;
    }
    starting = &percpu_area[id];
    percpu_init(starting, id, apicid, (uint64_t)base + STACK_SIZE);
    ap_boot_stack = starting->stack_top;
    ap_boot_cr3 = mapping_root();
    nr_cpus = id + 1; /* before it can send or take interrupts */
    start_ipis(apicid);
    while (!__atomic_load_n(&starting->online, __ATOMIC_ACQUIRE)) {
        time_sync_poll();
        if (deadline_passed(deadline)) {
            pr_err("CPU with APIC id %u did not start within %llu s", apicid,
                   AP_DEADLINE_NS / NS_PER_SEC);
            /* It may still come and use its stack: the frames are never reused, the number is. */
            lapic_send_init(apicid);
            nr_cpus = id;
            return false;
        }
        cpu_relax();
    }
    return true;
}

void smp_start_others(const struct acpi_madt_info *madt)
{
    memcpy(phys_to_virt(TRAMPOLINE_PA), trampoline_start, (size_t)(trampoline_end - trampoline_start));
    for (unsigned i = 0; i < madt->nr_cpus && nr_cpus < MAX_CPUS; i++) {
        const struct acpi_madt_cpu *c = &madt->cpu[i];

        if (c->enabled && c->apic_id != apicid_of_cpu(0))
            start_one(nr_cpus, c->apic_id);
    }
    pr_info("%u CPU%s", nr_cpus, nr_cpus == 1 ? "" : "s");
}

static bool stopping;

bool cpus_stopping(void)
{
    return READ_ONCE(stopping);
}

void stop_other_cpus(void)
{
    WRITE_ONCE(stopping, true);
    mb();
    if (nr_cpus == 1)
        return;
    lapic_send_nmi_others();
    udelay(1000);
}
