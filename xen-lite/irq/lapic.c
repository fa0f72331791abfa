/* SPDX-License-Identifier: MIT */
/*
 * The physical local APIC.  x2APIC mode is used where firmware left it on and not turned on by
 * choice: without interrupt remapping it brings nothing, and leaving it needs a detour through the
 * disabled state (SDM vol. 3, 11.12.5).
 */
#include "irq/lapic.h"

#include "cpu/x86.h"
#include "irq/irq.h"
#include "irq/time.h"
#include "lib/atomic.h"
#include "lib/errno.h"
#include "lib/mmio.h"
#include "lib/printf.h"
#include "lib/time.h"
#include "mm/map.h"

/* Registers by their number: page offset / 16, and MSR 0x800 + number (SDM vol. 3, tables 11-1 and
 * 11-6). */
enum lapic_reg {
    REG_ID = 0x02,
    REG_TPR = 0x08,
    REG_EOI = 0x0b,
    REG_SVR = 0x0f,
    REG_ISR = 0x10,
    REG_IRR = 0x20,
    REG_ESR = 0x28,
    REG_LVT_CMCI = 0x2f,
    REG_ICR = 0x30,
    REG_ICR_HIGH = 0x31, /* page only */
    REG_LVT_TIMER = 0x32,
    REG_LVT_THERMAL = 0x33,
    REG_LVT_PMC = 0x34,
    REG_LVT_LINT0 = 0x35,
    REG_LVT_LINT1 = 0x36,
    REG_LVT_ERROR = 0x37,
    REG_TIMER_INITIAL = 0x38,
    REG_TIMER_CURRENT = 0x39,
    REG_TIMER_DIVIDE = 0x3e,
    REG_VERSION = 0x03,
};

#define APIC_BASE_EN   BIT(11)
#define APIC_BASE_EXTD BIT(10)

#define SVR_ENABLE       (1u << 8)
#define LVT_MASKED       (1u << 16)
#define LVT_NMI          (4u << 8)
#define TIMER_DIVIDE_BY1 0xbu

#define ICR_NMI       (4u << 8)
#define ICR_INIT      (5u << 8)
#define ICR_STARTUP   (6u << 8)
#define ICR_PENDING   (1u << 12)
#define ICR_ASSERT    (1u << 14)
#define ICR_ALL_OTHER (3u << 18)

/* Three windows of this length; the slowest timers known count at some MHz. */
#define CALIBRATE_WINDOW_US 3000
#define TIMER_MIN_HZ        100000

#define SEND_TIMEOUT_NS (10 * NS_PER_MS)
/* Bound for the same wait while there is no clock yet; each turn is an uncached read. */
#define SEND_TIMEOUT_TURNS 1000000u

static volatile uint8_t *lapic_page;
static bool lapic_x2;
static uint64_t lapic_timer_hz; /* 0: not calibrated */
static struct time_scale lapic_timer_scale;

static uint32_t lapic_read(enum lapic_reg reg)
{
    if (lapic_x2)
        return (uint32_t)rdmsr(0x800 + (uint32_t)reg);
    return mmio_read32(lapic_page + (unsigned)reg * 16);
}

static void lapic_write(enum lapic_reg reg, uint32_t val)
{
    if (lapic_x2)
        wrmsr(0x800 + (uint32_t)reg, val);
    else
        mmio_write32(lapic_page + (unsigned)reg * 16, val);
}

/* The local APIC complains: an illegal vector was sent or received, or a register does not exist.
 */
static void error_interrupt(void *arg)
{
    static unsigned said;
    uint32_t error = lapic_error();

    (void)arg;
    if (said < 16) {
        said++;
        pr_warn("lapic %u: error status %#x", lapic_id(), error);
    }
}

int lapic_init(paddr_t base)
{
    uint32_t a, b, c, d;
    uint64_t msr;

    cpuid(1, 0, &a, &b, &c, &d);
    if (!(d & (1u << 9)))
        return -ENODEV;
    msr = rdmsr(MSR_APIC_BASE);
    if (!(msr & APIC_BASE_EN))
        return -ENODEV;
    if ((msr & GENMASK(51, 12)) != base)
        pr_warn("lapic: the MADT says %#lx, the CPU %#lx: taking the CPU's", (unsigned long)base,
                (unsigned long)(msr & GENMASK(51, 12)));
    lapic_page = mmio_map(msr & GENMASK(51, 12), PAGE_SIZE);
    if (!lapic_page)
        return -ENOMEM;
    lapic_x2 = msr & APIC_BASE_EXTD;
    irq_set_fixed(VECTOR_ERROR, error_interrupt, NULL);
    pr_info("lapic: %s mode, id %u, version %#x", lapic_x2 ? "x2APIC" : "xAPIC", lapic_id(),
            lapic_read(REG_VERSION));
    return 0;
}

/* Brings this CPU's APIC into the boot CPU's mode. */
static void match_mode(void)
{
    uint64_t msr = rdmsr(MSR_APIC_BASE);

    if (lapic_x2 && !(msr & APIC_BASE_EXTD)) {
        wrmsr(MSR_APIC_BASE, msr | APIC_BASE_EN);
        wrmsr(MSR_APIC_BASE, msr | APIC_BASE_EN | APIC_BASE_EXTD);
    } else if (!lapic_x2 && (msr & APIC_BASE_EXTD)) {
        /* x2APIC goes to xAPIC through disabled only. */
        wrmsr(MSR_APIC_BASE, msr & ~(APIC_BASE_EN | APIC_BASE_EXTD));
        wrmsr(MSR_APIC_BASE, (msr & ~APIC_BASE_EXTD) | APIC_BASE_EN);
    } else if (!(msr & APIC_BASE_EN)) {
        wrmsr(MSR_APIC_BASE, msr | APIC_BASE_EN);
    }
}

/* Ends what firmware or an earlier kernel left in service: it would hold back everything of lower
 * priority. */
static void drain_in_service(void)
{
    for (unsigned turn = 0; turn < 256; turn++) {
        uint32_t any = 0;

        for (unsigned i = 0; i < 8; i++)
            any |= lapic_read((enum lapic_reg)(REG_ISR + i));
        if (!any)
            return;
        lapic_eoi();
    }
    pr_warn("lapic %u: an interrupt stays in service", lapic_id());
}

void lapic_init_cpu(void)
{
    unsigned max_lvt;

    match_mode();
    max_lvt = (lapic_read(REG_VERSION) >> 16) & 0xff;
    lapic_write(REG_SVR, SVR_ENABLE | VECTOR_SPURIOUS);
    lapic_write(REG_TPR, 0);
    if (max_lvt >= 6)
        lapic_write(REG_LVT_CMCI, LVT_MASKED);
    lapic_write(REG_LVT_TIMER, LVT_MASKED | VECTOR_TIMER);
    if (max_lvt >= 5)
        lapic_write(REG_LVT_THERMAL, LVT_MASKED);
    if (max_lvt >= 4)
        lapic_write(REG_LVT_PMC, LVT_MASKED);
    lapic_write(REG_LVT_LINT0, LVT_MASKED);
    lapic_write(REG_LVT_LINT1, LVT_NMI);
    drain_in_service();
    (void)lapic_error();
    if (max_lvt >= 3)
        lapic_write(REG_LVT_ERROR, VECTOR_ERROR);
    lapic_write(REG_TIMER_DIVIDE, TIMER_DIVIDE_BY1);
    lapic_write(REG_TIMER_INITIAL, 0);
    lapic_write(REG_LVT_TIMER, VECTOR_TIMER); /* one-shot: bits 18:17 are 0 */
}

/* The timer's count as a counter that goes up from 0. */
static uint64_t timer_elapsed(void)
{
    return ~0u - lapic_read(REG_TIMER_CURRENT);
}

int lapic_timer_calibrate(void)
{
    const struct ref_clock clock = { "TSC", NS_PER_SEC, ~0ULL, now_ns };
    uint64_t hz;

    lapic_write(REG_LVT_TIMER, LVT_MASKED | VECTOR_TIMER);
    lapic_write(REG_TIMER_DIVIDE, TIMER_DIVIDE_BY1);
    lapic_write(REG_TIMER_INITIAL, ~0u);
    hz = ref_clock_measure(&clock, timer_elapsed, CALIBRATE_WINDOW_US);
    lapic_timer_stop();
    lapic_write(REG_LVT_TIMER, VECTOR_TIMER);
    if (hz < TIMER_MIN_HZ)
        return -ETIMEDOUT;
    lapic_timer_hz = hz;
    lapic_timer_scale = time_scale_to_hz(hz);
    pr_info("lapic: timer at %lu.%03lu MHz", (unsigned long)(hz / 1000000),
            (unsigned long)(hz / 1000 % 1000));
    return 0;
}

uint32_t lapic_id(void)
{
    uint32_t id = lapic_read(REG_ID);

    return lapic_x2 ? id : id >> 24;
}

bool lapic_is_x2apic(void)
{
    return lapic_x2;
}

static int wait_sent(void)
{
    uint64_t deadline = now_ns() + SEND_TIMEOUT_NS;

    for (unsigned turn = 0; turn < SEND_TIMEOUT_TURNS; turn++) {
        if (!(lapic_read(REG_ICR) & ICR_PENDING))
            return 0;
        if (deadline_passed(deadline))
            break;
        cpu_relax();
    }
    return -ETIMEDOUT;
}

static int send(uint32_t apicid, uint32_t command)
{
    int ret;

    if (lapic_x2) {
        /* WRMSR to x2APIC registers is not serialising: what the receiver is to see must be out
         * (SDM 11.12.3). */
        __asm__ __volatile__("mfence; lfence" ::: "memory");
        wrmsr(0x800 + REG_ICR, ((uint64_t)apicid << 32) | command);
        return 0;
    }
    if (apicid > 0xfe)
        return -EINVAL;
    ret = wait_sent();
    if (ret)
        return ret;
    lapic_write(REG_ICR_HIGH, apicid << 24);
    lapic_write(REG_ICR, command);
    return 0;
}

int lapic_send_ipi(uint32_t apicid, uint8_t vector)
{
    return vector < 16 ? -EINVAL : send(apicid, ICR_ASSERT | vector);
}

int lapic_send_nmi(uint32_t apicid)
{
    return send(apicid, ICR_ASSERT | ICR_NMI);
}

int lapic_send_init(uint32_t apicid)
{
    return send(apicid, ICR_ASSERT | ICR_INIT);
}

int lapic_send_sipi(uint32_t apicid, uint8_t vec)
{
    return send(apicid, ICR_ASSERT | ICR_STARTUP | vec);
}

int lapic_send_nmi_others(void)
{
    return send(0, ICR_ALL_OTHER | ICR_ASSERT | ICR_NMI);
}

void lapic_eoi(void)
{
    lapic_write(REG_EOI, 0);
}

uint32_t lapic_irr(unsigned word)
{
    return lapic_read((enum lapic_reg)(REG_IRR + word));
}

void lapic_timer_arm(uint64_t delta_ns)
{
    uint64_t count;

    if (!lapic_timer_hz)
        return;
    /* Keeps the product small; who asked sees an early interrupt and asks again. */
    if (delta_ns > NS_PER_SEC)
        delta_ns = NS_PER_SEC;
    count = time_scale_apply(lapic_timer_scale, delta_ns) + 1;
    lapic_write(REG_TIMER_INITIAL, (uint32_t)MIN(count, 0xffffffffULL));
}

void lapic_timer_stop(void)
{
    lapic_write(REG_TIMER_INITIAL, 0);
}

uint32_t lapic_error(void)
{
    lapic_write(REG_ESR, 0);
    return lapic_read(REG_ESR);
}
