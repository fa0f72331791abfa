/* SPDX-License-Identifier: MIT */
/*
 * An NVMe disk (NVM Express base specification 1.4), as far as it takes to see that the device works: reset, its queues, and reads of single
 * blocks, one at a time.
 */
#include "pci-guest.h"

#define CC                      0x14
#define CSTS                    0x1c
#define AQA                     0x24
#define ASQ                     0x28
#define ACQ                     0x30
#define BELL(queue, completion) (0x1000 + (2 * (queue) + (completion)) * 4) /* stride 0 */

#define DEPTH    16u
#define PATIENCE 2000000000ull /* counter ticks: some tenths of a second at least */

struct command {
    uint32_t opcode, nsid, reserved[4];
    uint64_t prp1, prp2;
    uint32_t dword[6];
};

struct completion {
    uint32_t result, reserved;
    uint16_t head, queue, id, status; /* bit 0 of status: the phase */
};

/* Queue 0 is the one for administration. */
static struct queue {
    volatile struct command submitted[DEPTH] __attribute__((aligned(4096)));
    volatile struct completion completed[4096 / sizeof(struct completion)]
        __attribute__((aligned(4096)));
    unsigned tail, head;
    uint16_t phase;
} queues[2];

unsigned disk_nr_vectors;
static uint64_t table;

uint64_t disk_table(void)
{
    return table;
}

static uint32_t reg(unsigned offset)
{
    return mmio_read(DISK_BAR + offset, 4);
}

static void set_reg(unsigned offset, uint32_t value)
{
    mmio_write(DISK_BAR + offset, 4, value);
}

static bool becomes(unsigned offset, uint32_t mask, uint32_t value)
{
    const uint64_t start = counter();

    while ((reg(offset) & mask) != value)
        if (counter() - start > PATIENCE || reg(offset) == ~0u)
            return false;
    return true;
}

/* ---- commands ---- */

static bool is_gone(void)
{
    return (config_read(DISK, 0, 4) & 0xffff) == 0xffff;
}

static bool carry_out(unsigned nr, struct command *command, bool by_interrupt)
{
    struct queue *q = &queues[nr];
    volatile struct completion *answer = &q->completed[q->head];
    const uint64_t start = counter(), before = page->irqs[0] + page->irqs[1];

    q->submitted[q->tail] = *command;
    q->tail = (q->tail + 1) % DEPTH;
    __asm__ volatile("" ::: "memory");
    set_reg(BELL(nr, 0), q->tail);
    for (unsigned n = 1; (answer->status & 1) != q->phase ||
                         (by_interrupt && page->irqs[0] + page->irqs[1] == before);
         n++)
        if (counter() - start > PATIENCE || (n % 65536 == 0 && is_gone()))
            return false;
    q->head = (q->head + 1) % DEPTH;
    if (!q->head)
        q->phase ^= 1;
    set_reg(BELL(nr, 1), q->head);
    return answer->status >> 1 == 0;
}

bool disk_read(uint64_t block, void *into, bool by_interrupt)
{
    struct command c = { .opcode = 2, .nsid = 1, .prp1 = (uint64_t)into };

    c.dword[0] = (uint32_t)block; /* dword 12 has blocks - 1: one */
    return carry_out(1, &c, by_interrupt);
}

static bool make_io_queues(void)
{
    struct command completion = { .opcode = 5, .prp1 = (uint64_t)queues[1].completed };
    struct command submission = { .opcode = 1, .prp1 = (uint64_t)queues[1].submitted };

    completion.dword[0] = (DEPTH - 1) << 16 | 1;
    completion.dword[1] = 3; /* contiguous; interrupts, by vector 0 */
    submission.dword[0] = (DEPTH - 1) << 16 | 1;
    submission.dword[1] = 1 << 16 | 1; /* to completion queue 1; contiguous */
    return carry_out(0, &completion, false) && carry_out(0, &submission, false);
}

/* ---- start ---- */

static void clear_queues(void)
{
    for (unsigned nr = 0; nr < 2; nr++) {
        struct queue *q = &queues[nr];

        for (unsigned i = 0; i < DEPTH; i++)
            q->completed[i].status = 0;
        q->tail = q->head = 0;
        q->phase = 1;
    }
}

static bool start_controller(const char **why)
{
    *why = "the disk's controller does not stop";
    set_reg(CC, 0);
    if (!becomes(CSTS, 1, 0))
        return false;
    clear_queues();
    set_reg(AQA, (DEPTH - 1) << 16 | (DEPTH - 1));
    set_reg(ASQ, (uint32_t)(uint64_t)queues[0].submitted);
    set_reg(ASQ + 4, 0);
    set_reg(ACQ, (uint32_t)(uint64_t)queues[0].completed);
    set_reg(ACQ + 4, 0);
    *why = "the disk's controller does not start";
    set_reg(CC, 4 << 20 | 6 << 16 | 1); /* entries of 16 and 64 bytes */
    return becomes(CSTS, 3, 1);
}

/* All entries masked, entry 0 to the CPU that this runs on first. */
static bool set_up_msix(const char **why)
{
    const unsigned cap = find_capability(DISK, 0x11);
    uint32_t where;

    *why = "the disk has no MSI-X capability";
    if (!cap)
        return false;
    where = config_read(DISK, cap + 4, 4);
    table = DISK_BAR + (where & ~7u);
    disk_nr_vectors = (config_read(DISK, cap + 2, 2) & 0x7ff) + 1;
    config_write(DISK, cap + 2, 2, 0x8000);
    for (unsigned i = 0; i < disk_nr_vectors; i++)
        mmio_write(table + i * 16 + 12, 4, 1);
    mmio_write(table, 4, 0xfee00000);
    mmio_write(table + 4, 4, 0);
    mmio_write(table + 8, 4, DISK_VECTOR);
    mmio_write(table + 12, 4, 0);
    return true;
}

static bool reset(const char **why)
{
    const unsigned pcie = find_capability(DISK, 0x10), pm = find_capability(DISK, 1);
    const uint64_t start = counter();

    *why = "the disk does not come back from a reset";
    if (pm)
        config_write(DISK, pm + 4, 2, 0); /* D0 */
    if (pcie)
        config_write(DISK, pcie + 8, 2, 0x8000); /* function level reset */
    while (is_gone())
        if (counter() - start > PATIENCE)
            return false;
    return true;
}

bool disk_start(const char **why)
{
    number_buses();
    *why = "there is no disk in slot 1";
    if (config_read(DISK, 10, 2) != 0x0108)
        return false;
    config_write(DISK, 4, 2, 0);
    /* Its neighbour may have been put where the disk is to be. */
    config_write(IN_SLOT(2), 4, 2, 0);
    if (!reset(why))
        return false;
    config_write(DISK, 0x10, 4, (uint32_t)DISK_BAR);
    config_write(DISK, 0x14, 4, 0);
    config_write(DISK, 4, 2, 0x0006); /* memory, bus master */
    if (!set_up_msix(why) || !start_controller(why))
        return false;
    *why = "the disk's queues cannot be made";
    return make_io_queues();
}
