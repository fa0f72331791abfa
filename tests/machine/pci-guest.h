/* SPDX-License-Identifier: MIT */
/*
 * A guest without a kernel that owns PCI devices, for tests of what it can do with them: what its parts share, and the page of its
 * memory through which it talks to vpci-watch in the control domain.
 */
#ifndef PCI_GUEST_H
#define PCI_GUEST_H

#include <stdbool.h>
#include <stdint.h>

/* ---- the page ---- */

#define PCI_GUEST_PAGE 0x3000000ull /* guest-physical */

enum { PCI_GUEST_RUNS = 1, PCI_GUEST_DONE = 2, PCI_GUEST_FAILED = 3 };
enum pci_guest_mode {
    PCI_GUEST_COST = 1, /* what accesses cost, in units of the time-stamp counter */
    PCI_GUEST_HOSTILE,  /* random accesses; then the device has to work again */
    PCI_GUEST_STORM,    /* forwarded writes from each vCPU without end, each read back */
    PCI_GUEST_DMA,      /* the disk reads without end, whenever it is there */
};

#define PCI_GUEST_FIGURES 16

struct pci_guest_page {
    volatile uint32_t state;              /* PCI_GUEST_RUNS.. */
    volatile uint32_t round;              /* the guest has ended so many rounds, and waits */
    volatile uint32_t ack;                /* until the watcher has said that it may go on */
    volatile uint32_t stop;               /* the watcher: come to an end */
    volatile uint64_t ops[2];             /* accesses made, by vCPU */
    volatile uint64_t wrong;              /* answers that were not as they must be */
    volatile uint64_t irqs[2];            /* interrupts that came, by vCPU */
    volatile uint64_t commands, arrivals; /* of the disk: carried out; times that it was found */
    volatile uint64_t detail
        [4]; /* of the first wrong answer, or of an exception: vector, rip, error code, address */
    char text[256]; /* why it failed */
    struct {
        char name[32];
        uint64_t cost;
    } figure[PCI_GUEST_FIGURES];
};

/* ---- the guest alone ---- */

#ifdef PCI_GUEST
#define page ((struct pci_guest_page *)PCI_GUEST_PAGE)

/* pci-guest-entry.S */
extern uint32_t start_info;
extern uint8_t vectors[], trampoline[], trampoline_end[];
void guest_main(void);
void guest_ap(void);
void on_vector(uint64_t vector, uint64_t rip, uint64_t error);

/* pci-guest.c */
void fail(const char *why) __attribute__((noreturn));
uint64_t counter(void);
uint64_t rnd(unsigned cpu);
uint64_t below(unsigned cpu, uint64_t n);
unsigned this_cpu(void);
/* Until the local APIC's timer has counted so far, or another interrupt came. */
void halt_for(uint32_t ticks);
void start_second_cpu(void (*entry)(void));

/* Configuration space: function is bus << 8 | device << 3 | function. */
uint32_t config_read(uint32_t function, unsigned reg, unsigned size);
void config_write(uint32_t function, unsigned reg, unsigned size, uint32_t value);
unsigned find_capability(uint32_t function, uint8_t id);
/* Gives each port the bus of its slot's number, and turns its link on. */
void number_buses(void);
#define IN_SLOT(slot) ((uint32_t)(slot) << 8)

uint32_t mmio_read(uint64_t address, unsigned size);
void mmio_write(uint64_t address, unsigned size, uint32_t value);
uint32_t port_read(uint16_t port, unsigned size);
void port_write(uint16_t port, unsigned size, uint32_t value);

/* pci-guest-disk.c: an NVMe disk in slot 1 whose registers are at DISK_BAR. */
#define DISK        IN_SLOT(1)
#define DISK_BAR    0xc0000000ull
#define DISK_VECTOR 0x40
/* Reset, BAR placed, MSI-X entry 0 to this CPU, queues made. False: it does not answer, *why says what not. */
bool disk_start(const char **why);
/* One read of a block into memory; false: no answer. By interrupt: it counts only if one came for it. */
bool disk_read(uint64_t block, void *into, bool by_interrupt);
uint64_t disk_table(void); /* address of its MSI-X table */
extern unsigned disk_nr_vectors;

/* The parts of guest_main(). */
void measure(void);
void be_hostile(uint64_t operations);
void be_hostile_too(void); /* the second vCPU */
#endif

#endif
