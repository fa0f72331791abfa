/* SPDX-License-Identifier: MIT */
/*
 * The clock.  The TSC is measured against the best reference that the machine has; time since boot
 * is the TSC scaled. TSCs of the CPUs are expected to be synchronous and each is checked when it
 * comes up.
 */
#include "irq/time.h"

#include "acpi/acpi.h"
#include "cpu/x86.h"
#include "lib/atomic.h"
#include "lib/errno.h"
#include "lib/mmio.h"
#include "lib/percpu.h"
#include "lib/printf.h"
#include "mm/map.h"

#define WINDOW_US 10000
/* Without any reference: wrong, but deadlines pass. */
#define TSC_HZ_FALLBACK 1000000000ULL

static uint64_t tsc_hz;
static uint64_t tsc_base;
static struct time_scale tsc_scale;
static struct time_scale tsc_unscale;
static const char *reference = "none";
static uint64_t wallclock_boot;

static int64_t tsc_offset[MAX_CPUS];
static bool tsc_any_offset; /* keeps the common case off the per-CPU look-up */

/* ---- references ---- */

/* IA-PC HPET 1.0a, 2.3. */
#define HPET_CAPABILITIES 0x000
#define HPET_CONFIG       0x010
#define HPET_COUNTER      0x0f0
#define HPET_ENABLE       1u
#define HPET_MAX_PERIOD   100000000u /* femtoseconds */

static volatile uint8_t *hpet_regs;

static uint64_t hpet_read(void)
{
    return mmio_read32(hpet_regs + HPET_COUNTER);
}

static bool hpet_reference(struct ref_clock *ref)
{
    struct acpi_hpet_info info;
    uint32_t period;

    if (acpi_get_hpet(&info) || !info.base)
        return false;
    hpet_regs = mmio_map(info.base, 0x400);
    if (!hpet_regs)
        return false;
    period = mmio_read32(hpet_regs + HPET_CAPABILITIES + 4);
    if (!period || period > HPET_MAX_PERIOD)
        return false;
    mmio_write32(hpet_regs + HPET_CONFIG, mmio_read32(hpet_regs + HPET_CONFIG) | HPET_ENABLE);
    *ref = (struct ref_clock){ "HPET", 1000000000000000ULL / period, 0xffffffff, hpet_read };
    return true;
}

#define PM_TIMER_HZ 3579545 /* ACPI 6.4, 4.8.2.1 */

static uint16_t pm_timer_port;

static uint64_t pm_timer_read(void)
{
    return inl(pm_timer_port);
}

static bool pm_timer_reference(struct ref_clock *ref)
{
    struct acpi_fadt_info fadt;

    if (acpi_get_fadt(&fadt) || fadt.pm_timer_len != 4 || !fadt.pm_timer.address ||
        fadt.pm_timer.space != ACPI_SPACE_IO || fadt.pm_timer.address > 0xfffc)
        return false;
    pm_timer_port = (uint16_t)fadt.pm_timer.address;
    *ref = (struct ref_clock){ "ACPI PM timer", PM_TIMER_HZ, 0xffffff, pm_timer_read };
    return true;
}

#define PIT_HZ       1193182
#define PIT_CHANNEL2 0x42
#define PIT_COMMAND  0x43
#define PORT_B       0x61

/* Channel 2 counts down from 65536 again and again (mode 2); a latched reading is consistent. */
static uint64_t pit_read(void)
{
    uint16_t low, high;

    outb(0x80, PIT_COMMAND);
    low = inb(PIT_CHANNEL2);
    high = inb(PIT_CHANNEL2);
    return (uint16_t)(0u - (uint16_t)(high << 8 | low));
}

static bool pit_reference(struct ref_clock *ref)
{
    /* Gate on, speaker off. */
    outb((uint8_t)((inb(PORT_B) & ~2u) | 1u), PORT_B);
    outb(0xb4, PIT_COMMAND); /* channel 2, both bytes, mode 2, binary */
    outb(0, PIT_CHANNEL2);
    outb(0, PIT_CHANNEL2);
    *ref = (struct ref_clock){ "PIT", PIT_HZ, 0xffff, pit_read };
    return true;
}

/* What CPUID says, 0 if nothing: leaf 0x15, crystal frequency times a ratio. */
static uint64_t cpuid_tsc_hz(void)
{
    uint32_t max, a, b, c, d;

    cpuid(0, 0, &max, &b, &c, &d);
    if (max < 0x15)
        return 0;
    cpuid(0x15, 0, &a, &b, &c, &d);
    return a && b && c ? (uint64_t)c * b / a : 0;
}

static uint64_t measure_tsc(void)
{
    static bool (*const references[])(struct ref_clock *) = { hpet_reference, pm_timer_reference,
                                                              pit_reference };
    uint64_t said = cpuid_tsc_hz();

    for (unsigned i = 0; i < ARRAY_SIZE(references); i++) {
        struct ref_clock ref;
        uint64_t hz, diff;

        if (!references[i](&ref))
            continue;
        hz = ref_clock_measure(&ref, rdtsc, WINDOW_US);
        if (!hz) {
            pr_warn("time: %s is no steady reference", ref.name);
            continue;
        }
        reference = ref.name;
        diff = hz > said ? hz - said : said - hz;
        /* CPUID's figure is exact where it is not nonsense. */
        return said && diff < hz / 64 ? said : hz;
    }
    return 0;
}

/* ---- CMOS clock ---- */

#define CMOS_INDEX 0x70
#define CMOS_DATA  0x71
#define CMOS_UIP   0x80 /* register A: update in progress */

static uint8_t cmos_read(uint8_t reg)
{
    outb(reg, CMOS_INDEX);
    return inb(CMOS_DATA);
}

static bool rtc_read_once(struct rtc_regs *r)
{
    unsigned turn;

    /* An update lasts 2 ms at most; without a chip there the register reads as ones. */
    for (turn = 0; turn < 10000 && (cmos_read(0x0a) & CMOS_UIP); turn++)
        cpu_relax();
    if (turn == 10000)
        return false;
    r->sec = cmos_read(0x00);
    r->min = cmos_read(0x02);
    r->hour = cmos_read(0x04);
    r->day = cmos_read(0x07);
    r->month = cmos_read(0x08);
    r->year = cmos_read(0x09);
    r->century = cmos_read(0x32);
    r->status_b = cmos_read(0x0b);
    return true;
}

static void read_wallclock(void)
{
    struct rtc_regs a, b;
    uint64_t sec;

    for (unsigned turn = 0; turn < 5; turn++) {
        if (!rtc_read_once(&a) || !rtc_read_once(&b))
            break;
        sec = rtc_to_epoch(&a);
        /* Two equal readings: none of them was torn by an update. */
        if (sec && sec == rtc_to_epoch(&b)) {
            wallclock_boot = sec - now_ns() / NS_PER_SEC;
            return;
        }
    }
    pr_warn("time: the CMOS clock holds no date");
}

/* ---- start ---- */

int time_init(void)
{
    uint64_t start = rdtsc();
    int ret = 0;

    tsc_hz = measure_tsc();
    if (!tsc_hz) {
        tsc_hz = TSC_HZ_FALLBACK;
        ret = -ENODEV;
    }
    tsc_base = start;
    tsc_unscale = time_scale_to_hz(tsc_hz);
    tsc_scale = time_scale_from_hz(tsc_hz);
    read_wallclock();
    return ret;
}

uint64_t tsc_synced(void)
{
    uint64_t tsc = rdtsc();

    if (unlikely(tsc_any_offset))
        tsc += (uint64_t)tsc_offset[cpu_id()];
    return tsc;
}

static uint64_t since_base(uint64_t tsc)
{
    int64_t delta = (int64_t)(tsc - tsc_base);

    /* A CPU whose offset was measured a little too small may be before the base for an instant. */
    return delta > 0 ? time_scale_apply(tsc_scale, (uint64_t)delta) : 0;
}

uint64_t now_ns(void)
{
    return since_base(tsc_synced());
}

uint64_t clock_to_ns(uint64_t ticks, unsigned cpu)
{
    return since_base(ticks + (uint64_t)tsc_offset_of_cpu(cpu));
}

void udelay(unsigned us)
{
    uint64_t start = rdtsc();
    /* Before calibration: 5 GHz is not exceeded by much, so the delay is long enough. */
    uint64_t ticks = us * (tsc_hz ? DIV_ROUND_UP(tsc_hz, 1000000) : 5000);

    while (rdtsc() - start < ticks)
        cpu_relax();
}

uint32_t tsc_khz(void)
{
    return (uint32_t)(tsc_hz / 1000);
}

const char *time_reference(void)
{
    return reference;
}

uint64_t wallclock_sec_at_boot(void)
{
    return wallclock_boot;
}

int64_t tsc_offset_of_cpu(unsigned cpu)
{
    return tsc_offset[cpu];
}

void time_params(struct time_scale *scale, uint64_t *base)
{
    *scale = tsc_scale;
    *base = tsc_base;
}

uint64_t time_ns_to_tsc(uint64_t ns)
{
    return tsc_base + time_scale_apply(tsc_unscale, ns);
}

/* ---- other CPUs ---- */

#define SYNC_ROUNDS 16

/* One question at a time: the CPU that comes up asks by raising `asked`, the boot CPU answers. */
static struct {
    uint32_t asked;
    uint32_t answered;
    uint64_t tsc; /* the boot CPU's; valid once answered == asked */
} sync __aligned(64);

void time_sync_poll(void)
{
    uint32_t asked = __atomic_load_n(&sync.asked, __ATOMIC_ACQUIRE);

    if (asked == sync.answered)
        return;
    sync.tsc = rdtsc();
    __atomic_store_n(&sync.answered, asked, __ATOMIC_RELEASE);
}

/* Asks once.  False if nobody answers within 100 ms. */
static bool sync_ask(uint64_t *before, uint64_t *theirs, uint64_t *after)
{
    uint32_t n = sync.asked + 1;

    *before = rdtsc();
    __atomic_store_n(&sync.asked, n, __ATOMIC_RELEASE);
    while (__atomic_load_n(&sync.answered, __ATOMIC_ACQUIRE) != n) {
        if (rdtsc() - *before > tsc_hz / 10)
            return false;
        cpu_relax();
    }
    *after = rdtsc();
    *theirs = sync.tsc;
    return true;
}

void time_init_cpu(void)
{
    uint64_t best_width = ~0ULL;
    int64_t offset = 0;

    for (unsigned i = 0; i < SYNC_ROUNDS; i++) {
        uint64_t before, theirs, after;

        if (!sync_ask(&before, &theirs, &after)) {
            pr_warn("time: cpu %u: the boot CPU does not answer, TSC taken as synchronous",
                    cpu_id());
            return;
        }
        if (after - before < best_width) {
            best_width = after - before;
            offset = (int64_t)(theirs - (before + best_width / 2));
        }
    }
    /* The answer was read somewhere between before and after: less than half of it proves nothing.
     */
    if ((uint64_t)(offset < 0 ? -offset : offset) <= best_width / 2)
        return;
    tsc_offset[cpu_id()] = offset;
    __atomic_store_n(&tsc_any_offset, true, __ATOMIC_RELEASE);
    pr_warn("time: cpu %u: TSC is %ld ticks behind the boot CPU's (+-%lu)", cpu_id(), (long)offset,
            (unsigned long)(best_width / 2));
}
