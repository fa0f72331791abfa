/* SPDX-License-Identifier: MIT */
/*
 * What the traps of the domain that it runs in cost, in units of the time-stamp counter: under scripts/vm --icount that is executed
 * instructions, the hypervisor's included. For each kind of trap the median of many is printed as "name cycles", with
 * the cost of reading the counter subtracted (which may itself be a trap).
 *
 * trapcost [FUNCTION-OFFSET]  (offset of a PCI function in ECAM; default 0, the host bridge 00:00.0)
 * Needs iomem=relaxed on the kernel's command line.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/io.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
    SAMPLES = 400,
    WARM_UP = 20,
    CF8 = 0xcf8,
    CFC = 0xcfc,
    CF8_ENABLE = (int)0x80000000u,
    REG_INTERRUPT_LINE = 0x3c, /* software's own byte: writing it disturbs nobody */
    MCFG_FIRST_BASE = 44,      /* offset of the first base address in the ACPI table */
    PAGE = 4096,
    HYPERCALL_XEN_VERSION = 17,
};

/* The request of Linux' privcmd driver that makes a hypercall. */
struct privcmd_call {
    uint64_t op;
    uint64_t arg[5];
};
#define PRIVCMD_CALL _IOC(_IOC_NONE, 'P', 0, sizeof(struct privcmd_call))

static volatile uint8_t *ecam;
static uint32_t cf8_address = (uint32_t)CF8_ENABLE;
static int privcmd = -1;

static inline uint64_t counter(void)
{
    uint32_t lo, hi;

    __asm__ volatile("lfence; rdtsc" : "=a"(lo), "=d"(hi) : : "memory");
    return (uint64_t)hi << 32 | lo;
}

static void nothing(void)
{
}

static void do_cpuid(void)
{
    uint32_t a = 0, b, c = 0, d;

    __asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
}

static void cf8_write(void)
{
    outl(cf8_address, CF8);
}

static void cfc_read(void)
{
    inl(CFC);
}

static void ecam_read(void)
{
    (void)*(volatile uint32_t *)ecam;
}

static void ecam_write(void)
{
    *(ecam + REG_INTERRUPT_LINE) = 10;
}

static void xen_version(void)
{
    struct privcmd_call call = { .op = HYPERCALL_XEN_VERSION };

    ioctl(privcmd, PRIVCMD_CALL, &call);
}

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

static uint64_t median_cost(void (*op)(void))
{
    static uint64_t samples[SAMPLES];
    int i;

    for (i = -WARM_UP; i < SAMPLES; i++) {
        uint64_t start, end;

        start = counter();
        op();
        end = counter();
        if (i >= 0)
            samples[i] = end - start;
    }
    qsort(samples, SAMPLES, sizeof(samples[0]), compare);
    return samples[SAMPLES / 2];
}

static void report(const char *name, void (*op)(void), uint64_t overhead)
{
    uint64_t cost = median_cost(op);

    printf("%s %" PRIu64 "\n", name, cost > overhead ? cost - overhead : 0);
    fflush(stdout);
}

static int map_ecam(uint64_t function)
{
    uint64_t base;
    int fd = open("/sys/firmware/acpi/tables/MCFG", O_RDONLY);

    if (fd < 0 || pread(fd, &base, 8, MCFG_FIRST_BASE) != 8) {
        perror("trapcost: MCFG");
        return -1;
    }
    close(fd);
    fd = open("/dev/mem", O_RDWR | O_SYNC);
    if (fd < 0) {
        perror("trapcost: /dev/mem");
        return -1;
    }
    ecam = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)(base + function));
    close(fd);
    if (ecam == MAP_FAILED) {
        perror("trapcost: ECAM");
        return -1;
    }
    return 0;
}

int main(int argc, char **argv)
{
    uint64_t overhead = median_cost(nothing), function = argc > 1 ? strtoull(argv[1], NULL, 0) : 0;

    printf("rdtsc %" PRIu64 "\n", overhead);
    report("cpuid", do_cpuid, overhead);
    if (iopl(3) != 0) {
        perror("trapcost: iopl");
        return 1;
    }
    cf8_address |= (uint32_t)(function >> 4);
    report("cf8_write", cf8_write, overhead);
    cf8_write();
    report("cfc_read", cfc_read, overhead);
    if (map_ecam(function) < 0)
        return 1;
    report("ecam_read", ecam_read, overhead);
    report("ecam_write", ecam_write, overhead);
    privcmd = open("/dev/xen/privcmd", O_RDWR);
    if (privcmd >= 0)
        report("xen_version", xen_version, overhead);
    return 0;
}
