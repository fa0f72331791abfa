/* SPDX-License-Identifier: MIT */
/*
 * A guest without a kernel that owns PCI devices: the platform below its parts (interrupts, a second CPU, configuration space by
 * either way), and what it does by its command line.
 *
 * Command line: mode=N (enum pci_guest_mode) ops=N seed=N
 */
#include "pci-guest.h"

#define APIC          0xfee00000ull
#define APIC_ID       0x20
#define APIC_EOI      0xb0
#define APIC_SVR      0xf0
#define APIC_ISR_LAST 0x170
#define APIC_ICR      0x300
#define APIC_TIMER    0x320
#define APIC_COUNT    0x380
#define APIC_DIVIDE   0x3e0
#define APIC_ICR2     0x310
#define ECAM          0xe0000000ull
#define TIMER_VECTOR  0x50
#define START_PAGE    8u /* the second CPU starts at this page */
#define POINTER       0x34

static struct {
    uint16_t off0, sel;
    uint8_t ist, type;
    uint16_t off1;
    uint32_t off2, zero;
} idt[256];

static uint64_t random_state[2] = { 88172645463325252ull, 1181783497276652981ull };
static void (*volatile second_entry)(void);

/* ---- small things ---- */

/* With interrupts off on all CPUs it would be powered off, and its page gone. */
static __attribute__((noreturn)) void end(void)
{
    for (;;)
        __asm__ volatile("sti; hlt");
}

void fail(const char *why)
{
    unsigned i = 0;

    for (; why[i] && i < sizeof(page->text) - 1; i++)
        page->text[i] = why[i];
    page->text[i] = 0;
    page->state = PCI_GUEST_FAILED;
    end();
}

uint64_t counter(void)
{
    uint32_t lo, hi;

    __asm__ volatile("lfence; rdtsc" : "=a"(lo), "=d"(hi) : : "memory");
    return (uint64_t)hi << 32 | lo;
}

uint64_t rnd(unsigned cpu)
{
    uint64_t s = random_state[cpu];

    s ^= s << 13;
    s ^= s >> 7;
    s ^= s << 17;
    return random_state[cpu] = s;
}

uint64_t below(unsigned cpu, uint64_t n)
{
    return rnd(cpu) % n;
}

uint32_t mmio_read(uint64_t address, unsigned size)
{
    switch (size) {
    case 1:
        return *(volatile uint8_t *)address;
    case 2:
        return *(volatile uint16_t *)address;
    default:
        return *(volatile uint32_t *)address;
    }
}

void mmio_write(uint64_t address, unsigned size, uint32_t value)
{
    switch (size) {
    case 1:
        *(volatile uint8_t *)address = (uint8_t)value;
        break;
    case 2:
        *(volatile uint16_t *)address = (uint16_t)value;
        break;
    default:
        *(volatile uint32_t *)address = value;
        break;
    }
}

uint32_t port_read(uint16_t port, unsigned size)
{
    uint32_t value = 0;

    switch (size) {
    case 1:
        __asm__ volatile("inb %w1, %b0" : "+a"(value) : "Nd"(port));
        break;
    case 2:
        __asm__ volatile("inw %w1, %w0" : "+a"(value) : "Nd"(port));
        break;
    default:
        __asm__ volatile("inl %w1, %0" : "+a"(value) : "Nd"(port));
        break;
    }
    return value;
}

void port_write(uint16_t port, unsigned size, uint32_t value)
{
    switch (size) {
    case 1:
        __asm__ volatile("outb %b0, %w1" : : "a"(value), "Nd"(port));
        break;
    case 2:
        __asm__ volatile("outw %w0, %w1" : : "a"(value), "Nd"(port));
        break;
    default:
        __asm__ volatile("outl %0, %w1" : : "a"(value), "Nd"(port));
        break;
    }
}

/* ---- configuration space ---- */

uint32_t config_read(uint32_t function, unsigned reg, unsigned size)
{
    return mmio_read(ECAM + (function << 12) + reg, size);
}

void config_write(uint32_t function, unsigned reg, unsigned size, uint32_t value)
{
    mmio_write(ECAM + (function << 12) + reg, size, value);
}

unsigned find_capability(uint32_t function, uint8_t id)
{
    unsigned at = config_read(function, POINTER, 1) & 0xfc;

    for (unsigned i = 0; at && i < 48; i++) {
        uint32_t head = config_read(function, at, 2);

        if ((head & 0xff) == id)
            return at;
        at = head >> 8 & 0xfc;
    }
    return 0;
}

void number_buses(void)
{
    for (unsigned slot = 1; slot <= 16; slot++) {
        const unsigned pcie = find_capability(slot << 3, 0x10);

        config_write(slot << 3, 0x19, 1, slot);
        config_write(slot << 3, 0x1a, 1, slot);
        if (pcie && (config_read(slot << 3, pcie + 0x10, 2) & 0x10))
            config_write(slot << 3, pcie + 0x10, 2, 0);
    }
}

/* ---- interrupts and CPUs ---- */

unsigned this_cpu(void)
{
    return mmio_read(APIC + APIC_ID, 4) >> 24 ? 1 : 0;
}

void on_vector(uint64_t vector, uint64_t rip, uint64_t error)
{
    if (vector >= 32 || vector == 2) {
        /* A spurious one has vector 0xff as well, and is not in service. */
        if (vector != 2 && (vector != 0xff || mmio_read(APIC + APIC_ISR_LAST, 4) >> 31))
            mmio_write(APIC + APIC_EOI, 4, 0);
        page->irqs[this_cpu()]++;
        return;
    }
    page->detail[0] = vector;
    page->detail[1] = rip;
    page->detail[2] = error;
    __asm__ volatile("mov %%cr2, %0" : "=r"(page->detail[3]));
    fail("exception");
}

static void set_up_interrupts(void)
{
    struct {
        uint16_t limit;
        uint64_t base;
    } __attribute__((packed)) desc = { sizeof(idt) - 1, (uint64_t)idt };

    for (unsigned i = 0; i < 256; i++) {
        uint64_t at = (uint64_t)vectors + i * 16;

        idt[i].off0 = (uint16_t)at;
        idt[i].sel = 8;
        idt[i].type = 0x8e;
        idt[i].off1 = (uint16_t)(at >> 16);
        idt[i].off2 = (uint32_t)(at >> 32);
    }
    __asm__ volatile("lidt %0" ::"m"(desc));
    mmio_write(APIC + APIC_SVR, 4, 0x1ff);
    __asm__ volatile("sti");
}

/* SDM vol. 3, 11.5.4: one shot, divided by 1. */
void halt_for(uint32_t ticks)
{
    const uint64_t before = page->irqs[this_cpu()];

    __asm__ volatile("cli");
    mmio_write(APIC + APIC_DIVIDE, 4, 0xb);
    mmio_write(APIC + APIC_TIMER, 4, TIMER_VECTOR);
    mmio_write(APIC + APIC_COUNT, 4, ticks);
    while (page->irqs[this_cpu()] == before)
        __asm__ volatile("sti; hlt; cli");
    __asm__ volatile("sti");
}

void guest_ap(void)
{
    set_up_interrupts();
    second_entry();
    for (;;)
        __asm__ volatile("hlt");
}

void start_second_cpu(void (*entry)(void))
{
    uint8_t *to = (uint8_t *)(uint64_t)(START_PAGE << 12);
    const uint32_t id = 2u << 24; /* vCPUs have the even ids */

    second_entry = entry;
    for (unsigned i = 0; i < (unsigned)(trampoline_end - trampoline); i++)
        to[i] = trampoline[i];
    mmio_write(APIC + APIC_ICR2, 4, id);
    mmio_write(APIC + APIC_ICR, 4, 0x4500); /* INIT, SDM vol. 3, 9.4.4 */
    mmio_write(APIC + APIC_ICR2, 4, id);
    mmio_write(APIC + APIC_ICR, 4, 0x4600 | START_PAGE);
}

/* ---- parts that are short ---- */

static void storm_write(uint32_t function, unsigned reg, uint32_t value)
{
    config_write(function, reg, 2, value);
    page->ops[this_cpu()]++;
}

/*
 * A register whose writes all go to the device model, and of which some bits stay as they are written: the severity of uncorrectable errors
 * (PCIe 5.0, 7.8.4.4), at the start of extended configuration space in e1000e. Returns these bits.
 */
static uint32_t find_register(uint32_t function, unsigned *reg)
{
    uint32_t stay;

    if (config_read(function, 0x100, 2) != 0x0001)
        fail("a device without error reporting");
    *reg = 0x10c;
    storm_write(function, *reg, 0xffff);
    stay = config_read(function, *reg, 2);
    storm_write(function, *reg, 0);
    stay &= ~config_read(function, *reg, 2);
    if (!(stay & (stay - 1)))
        fail("its error severity cannot be written");
    return stay;
}

/*
 * Each value differs from those before and after it, so that a write that is lost, late or made twice is seen; the hypervisor's count of
 * what reached hardware says the rest.
 */
static void storm(void)
{
    const unsigned cpu = this_cpu();
    const uint32_t function = IN_SLOT(cpu + 1);
    unsigned reg;
    const uint32_t bits = find_register(function, &reg);

    for (uint32_t value = bits; !page->stop;
         value = (value - 1) & bits) { /* all subsets of the bits, in turn */
        uint32_t seen;

        storm_write(function, reg, value);
        seen = config_read(function, reg, 2) & bits;
        if (seen != value && !page->wrong++) {
            page->detail[0] = cpu;
            page->detail[1] = reg;
            page->detail[2] = value;
            page->detail[3] = seen;
        }
    }
    if (cpu)
        page->round++;
}

static void storm_of_two(void)
{
    start_second_cpu(storm);
    storm();
    while (!page->round)
        __asm__ volatile("pause");
}

/* Reads as fast as they go; the disk may go and come again at any moment. */
static void read_for_ever(void)
{
    static uint8_t block[4096] __attribute__((aligned(4096)));
    const char *why;
    uint64_t n = 0;

    while (!page->stop) {
        if (!disk_start(&why))
            continue;
        page->arrivals++;
        while (!page->stop && disk_read(n++ % 1024, block, false))
            page->commands++;
    }
}

/* ---- */

static uint64_t number(const char *text, const char *key, uint64_t standard)
{
    uint64_t n = 0;

    for (; *text; text++) {
        unsigned i = 0;

        while (key[i] && text[i] == key[i])
            i++;
        if (key[i])
            continue;
        for (text += i; *text >= '0' && *text <= '9'; text++)
            n = n * 10 + (uint64_t)(*text - '0');
        return n;
    }
    return standard;
}

void guest_main(void)
{
    /* The start info of the PVH boot protocol: the command line's address at offset 24. */
    const char *line = (const char *)*(uint64_t *)((uint64_t)start_info + 24);
    uint64_t seed = number(line, "seed=", 1);

    set_up_interrupts();
    for (unsigned cpu = 0; cpu < 2; cpu++)
        random_state[cpu] ^= seed * 0x9e3779b97f4a7c15ull;
    number_buses();
    page->state = PCI_GUEST_RUNS;
    switch (number(line, "mode=", 0)) {
    case PCI_GUEST_COST:
        measure();
        break;
    case PCI_GUEST_HOSTILE:
        be_hostile(number(line, "ops=", 1000));
        break;
    case PCI_GUEST_STORM:
        storm_of_two();
        break;
    case PCI_GUEST_DMA:
        read_for_ever();
        break;
    default:
        fail("no such mode");
    }
    page->state = PCI_GUEST_DONE;
    end();
}
