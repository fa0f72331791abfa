/* SPDX-License-Identifier: MIT */
/*
 * Drives QEMU's "edu" device from user space of the control domain or a guest, to prove what its DMA and messages can reach.
 * Register layout: QEMU's docs/specs/edu.txt.
 *
 * edu-dma BDF                       DMA from one page of ours to another through the device; they must agree
 * edu-dma BDF write ADDRESS...      lets the device write a pattern to each address; prints what was done
 * edu-dma BDF read ADDRESS...       lets the device read there; prints the first bytes of what it got
 * edu-dma BDF msi APIC-ID VECTOR    writes this message into its MSI capability and lets it interrupt; prints whether its
 *                                   interrupt status shows so. A kernel that has no use for the vector says that it came
 *
 * edu-dma hold ADDRESS              keeps a page of ours at or above that physical address, full of text; prints where it is
 *
 * Addresses are DMA addresses: in the control domain the same as its own physical addresses, in a guest as the guest's.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum {
    EDU_DMA_SRC = 0x80,
    EDU_DMA_DST = 0x88,
    EDU_DMA_COUNT = 0x90,
    EDU_DMA_CMD = 0x98,
    DMA_RUN = 1,
    DMA_TO_MEMORY = 2, /* from the device's buffer; otherwise from memory to it */
    EDU_BUFFER = 0x40000,
    EDU_BAR_SIZE = 0x100000,
    PAGE = 4096,
    CHUNK = PAGE / 2, /* the device refuses a transfer that fills its buffer */
    PCI_COMMAND = 4,
    COMMAND_MEMORY_MASTER = 6,
    PCI_CAPABILITIES = 0x34,
    CAP_MSI = 5,
    MSI_CONTROL = 2,
    MSI_ADDRESS = 4,
    MSI_DATA_64 = 12,
    EDU_IRQ_STATUS = 0x24,
    EDU_IRQ_RAISE = 0x60,
    EDU_IRQ_ACK = 0x64,
    DMA_TIMEOUT_MS = 5000,
};

static volatile uint8_t *regs;

static void die(const char *what)
{
    fprintf(stderr, "edu-dma: %s: %s\n", what, strerror(errno));
    exit(1);
}

static int open_sysfs(const char *bdf, const char *name, int flags)
{
    char path[128];
    int fd;

    snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/%s", bdf, name);
    fd = open(path, flags);
    if (fd < 0)
        die(path);
    return fd;
}

static void device_open(const char *bdf)
{
    uint16_t command;
    int fd = open_sysfs(bdf, "enable", O_WRONLY);

    if (write(fd, "1", 1) != 1)
        die("enable");
    close(fd);
    fd = open_sysfs(bdf, "config", O_RDWR);
    if (pread(fd, &command, 2, PCI_COMMAND) != 2)
        die("config");
    command |= COMMAND_MEMORY_MASTER;
    if (pwrite(fd, &command, 2, PCI_COMMAND) != 2)
        die("config");
    close(fd);
    fd = open_sysfs(bdf, "resource0", O_RDWR | O_SYNC);
    regs = mmap(NULL, EDU_BAR_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (regs == MAP_FAILED)
        die("mmap of BAR 0");
    close(fd);
}

static void reg_write64(unsigned off, uint64_t v)
{
    *(volatile uint64_t *)(regs + off) = v;
}

static uint64_t reg_read64(unsigned off)
{
    return *(volatile uint64_t *)(regs + off);
}

/* One transfer of half a page. The engine clears its run bit when done, however the transfer went. */
static void dma(uint64_t memory, int to_memory)
{
    int ms;

    reg_write64(EDU_DMA_SRC, to_memory ? EDU_BUFFER : memory);
    reg_write64(EDU_DMA_DST, to_memory ? memory : EDU_BUFFER);
    reg_write64(EDU_DMA_COUNT, CHUNK);
    reg_write64(EDU_DMA_CMD, DMA_RUN | (to_memory ? DMA_TO_MEMORY : 0));
    for (ms = 0; reg_read64(EDU_DMA_CMD) & DMA_RUN; ms += 10) {
        struct timespec ts = { .tv_nsec = 10000000 };

        if (ms > DMA_TIMEOUT_MS) {
            fprintf(stderr, "edu-dma: the engine does not finish\n");
            exit(1);
        }
        nanosleep(&ts, NULL);
    }
}

static uint8_t *page_alloc(uint64_t *phys)
{
    uint64_t entry;
    uint8_t *p =
        mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_LOCKED, -1, 0);
    int fd = open("/proc/self/pagemap", O_RDONLY);

    if (p == MAP_FAILED || fd < 0)
        die("page");
    memset(p, 0, PAGE);
    if (pread(fd, &entry, 8, (uintptr_t)p / PAGE * 8) != 8 || !(entry >> 63))
        die("pagemap");
    close(fd);
    *phys = (entry & ((1ull << 55) - 1)) * PAGE;
    return p;
}

static void fill(uint8_t *p, unsigned seed)
{
    for (int i = 0; i < PAGE; i++)
        p[i] = (uint8_t)(seed + i * 7 + i / 256 * 31);
}

static int round_trip(void)
{
    uint64_t from_phys, to_phys;
    uint8_t *from = page_alloc(&from_phys), *to = page_alloc(&to_phys);

    fill(from, 0x5a);
    dma(from_phys, 0);
    dma(to_phys, 1);
    printf("round trip %#" PRIx64 " %#" PRIx64 " %s\n", from_phys, to_phys,
           memcmp(from, to, CHUNK) ? "differs" : "same");
    return memcmp(from, to, CHUNK) != 0;
}

/* The pattern that a test looks for in the machine's memory afterwards. */
static void write_to(uint64_t address)
{
    uint64_t phys;
    uint8_t *p = page_alloc(&phys);

    for (int i = 0; i < PAGE; i += 16)
        memcpy(p + i, "EDU-DMA-WAS-HERE", 16);
    dma(phys, 0);
    dma(address, 1);
    printf("write %#" PRIx64 " done\n", address);
}

/* Prints the first 64 bytes that the device's buffer holds after it was told to read the address. */
static void read_from(uint64_t address)
{
    uint64_t phys;
    uint8_t *p = page_alloc(&phys);

    fill(p, 0xc3);
    dma(phys, 0);
    dma(address, 0);
    dma(phys, 1);
    printf("read %#" PRIx64 " ", address);
    for (int i = 0; i < 64; i++)
        printf("%02x", p[i]);
    printf("\n");
}

static unsigned config_read(int fd, unsigned reg, unsigned size)
{
    uint32_t value = 0;

    if (pread(fd, &value, size, reg) != (ssize_t)size)
        die("config");
    return value;
}

static void config_write(int fd, unsigned reg, uint32_t value, unsigned size)
{
    if (pwrite(fd, &value, size, reg) != (ssize_t)size)
        die("config");
}

/* Its capability has a 64-bit address (PCI 3.0, 6.8.1); the message is that of the SDM, vol. 3, 11.11. */
static int interrupt(const char *bdf, unsigned apic_id, unsigned vector)
{
    int fd = open_sysfs(bdf, "config", O_RDWR);
    unsigned cap = config_read(fd, PCI_CAPABILITIES, 1), status;

    while (cap && config_read(fd, cap, 1) != CAP_MSI)
        cap = config_read(fd, cap + 1, 1);
    if (!cap) {
        fprintf(stderr, "edu-dma: it has no MSI capability\n");
        return 1;
    }
    config_write(fd, cap + MSI_CONTROL, 0, 2);
    config_write(fd, cap + MSI_ADDRESS, 0xfee00000 | apic_id << 12, 4);
    config_write(fd, cap + MSI_ADDRESS + 4, 0, 4);
    config_write(fd, cap + MSI_DATA_64, vector, 2);
    config_write(fd, cap + MSI_CONTROL, 1, 2);
    *(volatile uint32_t *)(regs + EDU_IRQ_RAISE) = 1;
    status = *(volatile uint32_t *)(regs + EDU_IRQ_STATUS);
    *(volatile uint32_t *)(regs + EDU_IRQ_ACK) = status;
    usleep(100000);
    config_write(fd, cap + MSI_CONTROL, 0, 2);
    close(fd);
    printf("msi to %u vector %u status %u\n", apic_id, vector, status);
    return 0;
}

/* Pages that are too low stay taken, so that the next one is another. */
static int hold(uint64_t lowest)
{
    uint64_t phys = 0;
    uint8_t *p = NULL;

    for (int i = 0; i < 65536 && phys < lowest; i++)
        p = page_alloc(&phys);
    if (phys < lowest)
        return 1;
    for (int i = 0; i < PAGE; i += 16)
        memcpy(p + i, "NOBODY-READS-IT.", 16);
    printf("%#" PRIx64 "\n", phys);
    fflush(stdout);
    pause();
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 3 && !strcmp(argv[1], "hold"))
        return hold(strtoull(argv[2], NULL, 0));
    if (argc < 2 || argc == 3) {
        fprintf(stderr, "usage: edu-dma BDF [write|read ADDRESS... | msi APIC-ID VECTOR]\n");
        return 2;
    }
    device_open(argv[1]);
    if (argc == 2)
        return round_trip();
    if (argc == 5 && !strcmp(argv[2], "msi"))
        return interrupt(argv[1], (unsigned)strtoul(argv[3], NULL, 0),
                         (unsigned)strtoul(argv[4], NULL, 0));
    for (int i = 3; i < argc; i++) {
        uint64_t address = strtoull(argv[i], NULL, 0);

        if (argv[2][0] == 'w')
            write_to(address);
        else
            read_from(address);
    }
    return 0;
}
