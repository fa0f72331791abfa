/* SPDX-License-Identifier: MIT */
/*
 * What a guest's accesses to its device cost, in ticks of its time-stamp counter, which are executed instructions where the machine counts
 * them: medians, less what reading the counter costs.
 */
#include "pci-guest.h"

#define SAMPLES 51u
#define WARM_UP 10
#define CF8     0xcf8
#define CFC     0xcfc

static unsigned pcie, nr_figures;
static uint64_t overhead;

static void nothing(void)
{
}

static void mask(void)
{
    mmio_write(disk_table() + 12, 4, 1);
}

static void unmask(void)
{
    mmio_write(disk_table() + 12, 4, 0);
}

static void table_read(void)
{
    mmio_read(disk_table() + 8, 4);
}

static void port_config_read(void)
{
    port_read(CFC, 4);
}

static void ecam_read_header(void)
{
    config_read(DISK, 0, 4);
}

/* A register that is read from the device. */
static void ecam_read_device(void)
{
    config_read(DISK, pcie + 0x0c, 4);
}

/* Long enough for the control domain to have nothing left to do: nothing is saved by what it was about to look at anyway. */
static void rest(void)
{
    halt_for(2000000);
}

static void handled_write(void)
{
    config_write(DISK, 0x3c, 1, 0);
}

static void forwarded_write(void)
{
    config_write(DISK, pcie + 0x0a, 2, 0);
}

static void forwarded_port_write(void)
{
    port_write(CFC + 2, 2, 0);
}

static void bar_read(void)
{
    mmio_read(DISK_BAR, 4);
}

static uint64_t median(void (*before)(void), void (*op)(void))
{
    static uint64_t sample[SAMPLES];

    for (int i = -WARM_UP; i < (int)SAMPLES; i++) {
        uint64_t cost;
        unsigned at;

        before();
        cost = counter();
        op();
        cost = counter() - cost;
        if (i < 0)
            continue;
        /* Sorted as they come. */
        for (at = (unsigned)i; at && sample[at - 1] > cost; at--)
            sample[at] = sample[at - 1];
        sample[at] = cost;
    }
    return sample[SAMPLES / 2];
}

static void report_after(const char *name, void (*before)(void), void (*op)(void))
{
    const unsigned n = nr_figures++;
    uint64_t cost = median(before, op);
    unsigned i = 0;

    for (; name[i]; i++)
        page->figure[n].name[i] = name[i];
    page->figure[n].cost = cost > overhead ? cost - overhead : 0;
}

static void report(const char *name, void (*op)(void))
{
    report_after(name, nothing, op);
}

static void set_port_address(unsigned reg)
{
    port_write(CF8, 4, 0x80000000u | DISK << 8 | (reg & 0xfc));
}

static void let_go_on(void)
{
    page->round++;
    /* Asleep: who has used more than its share waits longer for others, which is not what is measured. */
    while (page->ack != page->round)
        halt_for(1000000);
}

void measure(void)
{
    static uint8_t block[4096] __attribute__((aligned(4096)));
    const char *why;

    overhead = median(nothing, nothing);
    if (!disk_start(&why))
        fail(why);
    if (!disk_read(0, block, true))
        fail("no interrupt comes from the disk");
    pcie = find_capability(DISK, 0x10);
    /* The watcher changes between the rounds what it listens to. */
    while (!page->stop) {
        nr_figures = 0;
        /* A round of its own: the watcher counts the traps in it. */
        let_go_on();
        report("bar-read", bar_read);
        let_go_on();
        report_after("msix-mask", unmask, mask);
        report_after("msix-unmask", mask, unmask);
        report("msix-read", table_read);
        set_port_address(0);
        report("port-read", port_config_read);
        set_port_address(pcie + 0x0c);
        report("port-read-device", port_config_read);
        report("ecam-read", ecam_read_header);
        report("ecam-read-device", ecam_read_device);
        report("handled-write", handled_write);
        report("forwarded-write-again", forwarded_write);
        report_after("forwarded-write", rest, forwarded_write);
        set_port_address(pcie + 0x08);
        report_after("forwarded-port-write", rest, forwarded_port_write);
        let_go_on();
    }
}
