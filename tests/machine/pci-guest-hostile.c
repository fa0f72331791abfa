/* SPDX-License-Identifier: MIT */
/*
 * A guest at its worst: accesses of every width and alignment to configuration space by both ways, BARs put where they must not be, MSI-X
 * entries rewritten by both CPUs while interrupts come. After each thousand it waits for the watcher; in the end, reset, the disk has
 * to work.
 *
 * What it leaves out: messages with the vectors of exceptions, which would look like its own, and doorbells, whose DMA into
 * nowhere gets the disk cut off, as it should.
 */
#include "pci-guest.h"

#define CF8   0xcf8
#define CFC   0xcfc
#define ECAM  0xe0000000ull
#define ROUND 1000

enum { IDLE, CONFIG, MSIX, END };

static volatile uint32_t phase, second_in; /* what the second CPU is to do, and does */

static uint32_t any_value(unsigned cpu)
{
    static const uint32_t list[] = { 0,          ~0u,        1,          0x80000000,
                                     0xfee00000, 0xfec00000, 0xc0000000, 0xc0002000,
                                     0xc0004000, 0xdffff000, 0xe0000000, 0x01000000,
                                     0x03000000, 0xfffff000, 0x000a0000, 0x40 };

    return below(cpu, 2) ? (uint32_t)rnd(cpu) : list[below(cpu, sizeof(list) / sizeof(list[0]))];
}

/* Mostly the two devices, then the ports that they are behind, then anything that there is or is not. */
static uint32_t any_function(unsigned cpu)
{
    const unsigned kind = (unsigned)below(cpu, 16);

    return kind < 12   ? IN_SLOT(1 + kind % 2)
           : kind < 14 ? (uint32_t)(1 + kind % 2) << 3
                       : (uint32_t)rnd(cpu) & 0x3fff;
}

/* The messages of the ports' own events could have any vector and mode. */
static bool is_ports_message(uint32_t function, unsigned reg)
{
    return function < 256 && reg + 8 > 0x40 && reg < 0x50;
}

static unsigned any_register(unsigned cpu)
{
    switch (below(cpu, 4)) {
    case 0:
        return (unsigned)below(cpu, 0x40);
    case 1:
        return (unsigned)below(cpu, 0x1000);
    default:
        return (unsigned)below(cpu, 0x100);
    }
}

static void access_memory(unsigned cpu, uint64_t address, unsigned log_size, bool write,
                          uint32_t value)
{
    if (log_size < 3) {
        if (write)
            mmio_write(address, 1u << log_size, value);
        else
            mmio_read(address, 1u << log_size);
    } else if (write) {
        *(volatile uint64_t *)address = (uint64_t)value << 32 | any_value(cpu);
    } else {
        (void)*(volatile uint64_t *)address;
    }
}

static void by_ecam(unsigned cpu)
{
    const uint32_t function = any_function(cpu);
    const unsigned reg = any_register(cpu);

    access_memory(cpu, ECAM + (function << 12) + reg, (unsigned)below(cpu, 4),
                  below(cpu, 2) && !is_ports_message(function, reg), any_value(cpu));
}

static void by_ports(unsigned cpu)
{
    const uint32_t function = any_function(cpu);
    const unsigned reg = any_register(cpu) & 0xff, size = 1u << below(cpu, 3);

    /* The other CPU may move the address in between: anything is hit, ports' messages never, as nobody names them. */
    if (is_ports_message(function, reg))
        return;
    port_write(CF8, below(cpu, 16) ? 4 : size,
               below(cpu, 16) ? 0x80000000u | function << 8 | (reg & 0xfc)
                              : any_value(cpu) & 0x80ffff00);
    if (below(cpu, 2) && below(cpu, 16))
        port_write((uint16_t)(CFC + below(cpu, 4)), size, any_value(cpu));
    else
        port_read((uint16_t)(CF8 + below(cpu, 8)), size);
}

static void move_bar(unsigned cpu)
{
    static const uint64_t list[] = {
        DISK_BAR,     DISK_BAR + 0x2000, DISK_BAR + 0x1000, 0xc0010000,         0xc0020000,
        0xfee00000,   0xfec00000,        0xe0000000,        0xe0100000,         0x01000000,
        0x03000000,   0x00000000,        0xdffff000,        0xdfff0000,         0x4000000000,
        0x4fffff0000, 0x5000000000,      0x7ffffff000,      0xfffffffffffff000, 0x0000000100000000,
        0xc001,
    };
    const uint64_t to = list[below(cpu, sizeof(list) / sizeof(list[0]))];
    const uint32_t function = IN_SLOT(1 + below(cpu, 2));
    const unsigned reg = 0x10 + 4 * (unsigned)below(cpu, 6);

    if (!below(cpu, 4))
        config_write(function, 4, 2, (uint32_t)rnd(cpu) & 7);
    config_write(function, reg, 4, (uint32_t)to);
    if (below(cpu, 2) && reg < 0x24)
        config_write(function, reg + 4, 4, (uint32_t)(to >> 32));
    if (below(cpu, 2))
        config_write(function, 4, 2, 7);
}

/* Where a BAR may be just now: page of registers only read. */
static void touch(unsigned cpu)
{
    const uint64_t table = DISK_BAR + 0x2000 + below(cpu, 0x2000);

    access_memory(cpu, below(cpu, 2) ? table : 0xc0010000 + below(cpu, 0x20000),
                  (unsigned)below(cpu, 4), false, 0);
}

static void one_config(unsigned cpu)
{
    switch (below(cpu, 8)) {
    case 0:
    case 1:
    case 2:
        by_ecam(cpu);
        break;
    case 3:
    case 4:
    case 5:
        by_ports(cpu);
        break;
    case 6:
        move_bar(cpu);
        break;
    default:
        touch(cpu);
        break;
    }
}

/* ---- MSI-X ---- */

/* Any address, any mode, any vector but those of exceptions. */
static uint32_t any_message(unsigned cpu)
{
    uint32_t data = below(cpu, 4) ? (uint32_t)below(cpu, 0x200) : (uint32_t)rnd(cpu);

    return (data & 0xf0) == 0x10 ? data | 0x20 : data;
}

static uint32_t any_address(unsigned cpu)
{
    return below(cpu, 4) ? 0xfee00000 | (uint32_t)below(cpu, 4) << 13 | (uint32_t)(rnd(cpu) & 0xc)
                         : any_value(cpu);
}

static void one_msix(unsigned cpu)
{
    const uint64_t entry = disk_table() + 16 * (below(cpu, 4) ? 0 : below(cpu, disk_nr_vectors));

    switch (below(cpu, 8)) {
    case 0:
        mmio_write(entry, 4, any_address(cpu));
        break;
    case 1:
        mmio_write(entry + 4, 4, below(cpu, 4) ? 0 : any_value(cpu));
        break;
    case 2:
        mmio_write(entry + 8, 4, any_message(cpu));
        break;
    case 3:
        *(volatile uint64_t *)(entry + 8) = (rnd(cpu) & 1) << 32 | any_message(cpu);
        break;
    case 4:
        access_memory(cpu, entry + below(cpu, 16), (unsigned)below(cpu, 4), false, 0);
        break;
    case 5:
        config_write(DISK, find_capability(DISK, 0x11) + 2, 2,
                     below(cpu, 8) ? 0x8000 : (uint32_t)rnd(cpu) & 0xc000);
        break;
    default:
        mmio_write(entry + 12, 4, (uint32_t)below(cpu, 2));
        break;
    }
}

/* ---- rounds ---- */

void be_hostile_too(void)
{
    for (;;) {
        const uint32_t now = phase;

        second_in = now;
        if (now == END)
            return;
        if (now == IDLE) {
            __asm__ volatile("pause");
            continue;
        }
        if (now == CONFIG)
            one_config(1);
        else
            one_msix(1);
        page->ops[1]++;
    }
}

static void second_does(uint32_t what)
{
    phase = what;
    while (second_in != what)
        __asm__ volatile("pause");
}

static void config_round(uint64_t until)
{
    second_does(CONFIG);
    while (page->ops[0] + page->ops[1] < until) {
        one_config(0);
        page->ops[0]++;
    }
    second_does(IDLE);
}

/* The disk reads meanwhile; whether it tells of it by an interrupt, and by which, is chance. */
static void msix_round(uint64_t until, uint8_t *block)
{
    const char *why;

    if (!disk_start(&why))
        fail(why);
    second_does(MSIX);
    while (page->ops[0] + page->ops[1] < until) {
        one_msix(0);
        page->ops[0]++;
        if (!disk_read(page->commands++ % 1024, block, false))
            fail("the disk does not answer while its interrupts change");
    }
    second_does(IDLE);
}

/*
 * The disk's registers right below the network card's, so that its last page, which traps (pending bits), is followed by one that is
 * mapped: a read of eight bytes across the border is what two of four are.
 */
static void read_across(void)
{
    const uint64_t border = DISK_BAR + 0x20000;
    const uint32_t card = IN_SLOT(2);
    const unsigned pm = find_capability(card, 1);
    uint32_t low, high;
    uint64_t both;

    config_write(DISK, 4, 2, 0);
    config_write(card, 4, 2, 0);
    if (pm)
        config_write(card, pm + 4, 2, 0); /* D0 */
    for (unsigned reg = 0x14; reg < 0x28; reg += 4)
        config_write(card, reg, 4, 0);
    config_write(card, 0x10, 4, (uint32_t)border);
    config_write(DISK, 0x10, 4, (uint32_t)border - 0x4000);
    config_write(DISK, 0x14, 4, 0);
    config_write(DISK, 4, 2, 2);
    config_write(card, 4, 2, 2);
    low = mmio_read(border - 4, 4);
    high = mmio_read(border, 4); /* CTRL: never 0 or all ones after a reset */
    both = *(volatile uint64_t *)(border - 4);
    page->detail[0] = low;
    page->detail[1] = high;
    page->detail[2] = both;
    if (!high || high == ~0u || low == ~0u)
        fail("the registers on both sides of the border do not answer");
    if (both != ((uint64_t)high << 32 | low))
        fail("a read across the border between trapped and mapped registers is wrong");
}

void be_hostile(uint64_t operations)
{
    static uint8_t block[4096] __attribute__((aligned(4096)));
    const char *why;

    start_second_cpu(be_hostile_too);
    for (uint64_t done = 0; done < operations; done += ROUND) {
        if (done / ROUND % 4 == 3)
            msix_round(done + ROUND, block);
        else
            config_round(done + ROUND);
        page->round++;
        while (page->ack != page->round)
            __asm__ volatile("pause");
    }
    second_does(END);
    if (!disk_start(&why))
        fail(why);
    /* The test has written each block's number into it. */
    for (uint64_t n = 0; n < 64; n++)
        if (!disk_read(n, block, true))
            fail("after its reset the disk does not read with an interrupt");
        else if (*(uint32_t *)block != n + 1)
            fail("after its reset the disk reads something else");
    read_across();
}
