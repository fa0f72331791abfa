/* SPDX-License-Identifier: MIT */
/*
 * A control domain that does what it should not: reads every model-specific register and I/O port it may, writes
 * configuration space at random, and makes hypercalls with arguments of no sense. Whatever the answers are, the
 * hypervisor has to live. Prints a line for each kind: what was tried and how much of it was answered with success.
 *
 * poke msr | ports | config | hypercalls [SEED]    (with POKE_TRACE set, hypercalls are told before they are made)
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/io.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

struct privcmd_call {
    uint64_t op;
    uint64_t arg[5];
};
#define PRIVCMD_CALL _IOC(_IOC_NONE, 'P', 0, sizeof(struct privcmd_call))
#define HYPERCALL_VCPU_OP 24
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

static uint64_t random_state = 88172645463325252ull;

static uint64_t random64(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

static uint64_t now_ms(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static void poke_msr_range(int fd, uint32_t from, uint32_t to)
{
    unsigned tried = 0, read_ok = 0, write_ok = 0;

    for (uint32_t msr = from; msr < to; msr++) {
        uint64_t v;

        tried++;
        if (pread(fd, &v, 8, msr) != 8)
            continue;
        read_ok++;
        /* Writing back what was read must not hurt, whether it is taken or refused. */
        if (pwrite(fd, &v, 8, msr) == 8)
            write_ok++;
    }
    printf("msr %#x-%#x: tried %u, read %u, written back %u\n", from, to - 1, tried, read_ok, write_ok);
}

static int poke_msr(void)
{
    int fd = open("/dev/cpu/0/msr", O_RDWR);

    if (fd < 0) {
        perror("poke: /dev/cpu/0/msr");
        return 1;
    }
    poke_msr_range(fd, 0x11, 0x1000);
    poke_msr_range(fd, 0x40000000, 0x40000200);
    poke_msr_range(fd, 0xc0000080, 0xc0000081);
    poke_msr_range(fd, 0xc0000104, 0xc0000400);
    poke_msr_range(fd, 0xc0010000, 0xc0010400);
    poke_msr_range(fd, 0xc0011000, 0xc0011100);
    poke_msr_range(fd, 0xdeadbe00, 0xdeadbf00);
    return 0;
}

/* Not: the serial port that carries our output, and what could end or stop the machine by being read. */
static int port_is_left_alone(unsigned port)
{
    return (port >= 0x2f8 && port < 0x300) || port == 0x60 || port == 0x64;
}

static sigjmp_buf after_fault;

static void on_fault(int sig)
{
    (void)sig;
    siglongjmp(after_fault, 1);
}

static int poke_ports(void)
{
    static const uint16_t odd[] = { 0xffff, 0xfffe, 0xfffd, 0xcf5, 0xcf6, 0xcf7, 0xcf9 + 2, 0xcfd, 0xcfe, 0xcff };
    volatile unsigned tried = 0, answered = 0, faults = 0;
    volatile size_t i;

    if (iopl(3) != 0) {
        perror("poke: iopl");
        return 1;
    }
    for (unsigned port = 0; port < 0x10000; port++) {
        if (port_is_left_alone(port))
            continue;
        tried++;
        answered += inb((unsigned short)port) != 0xff;
        if ((port & 0xff) == 0xfe && port < 0xff00) {
            inw((unsigned short)port);
            inl((unsigned short)port);
        }
    }
    /* Accesses that run over the end of the ports, or over the edges of CF8-CFF, may fault. */
    signal(SIGSEGV, on_fault);
    for (i = 0; i < ARRAY_SIZE(odd); i++) {
        if (sigsetjmp(after_fault, 1) == 0)
            inl(odd[i]);
        else
            faults++;
    }
    printf("ports: tried %u, answered %u; %u of %zu odd accesses fault\n", tried, answered, faults, ARRAY_SIZE(odd));
    return 0;
}

/* Writes to functions that do not exist, and through CF8 at odd widths and offsets, and reads everything of bus 0. */
static int poke_config(void)
{
    unsigned reads = 0, present = 0;

    if (iopl(3) != 0) {
        perror("poke: iopl");
        return 1;
    }
    for (unsigned bdf = 0; bdf < 0x10000; bdf++) {
        unsigned step = bdf < 0x100 ? 4 : 64;

        for (unsigned reg = 0; reg < 256; reg += step) {
            outl(0x80000000u | bdf << 8 | reg, 0xcf8);
            reads++;
            present += inl(0xcfc) != 0xffffffffu;
            if (bdf < 0x100) {
                inb((unsigned short)(0xcfc + random64() % 4));
                inw((unsigned short)(0xcfc + random64() % 4));
                inl((unsigned short)(0xcfc + random64() % 4));
            }
        }
    }
    for (int i = 0; i < 20000; i++) {
        outl(0x80000000u | (0x100 + random64() % 0xff00) << 8 | (random64() & 0xfc), 0xcf8);
        outl((uint32_t)random64(), 0xcfc);
        outw((uint16_t)random64(), 0xcfd);
        outb((uint8_t)random64(), 0xcff);
    }
    outl(0, 0xcf8);
    printf("config: %u reads, %u of something\n", reads, present);
    return 0;
}

/*
 * Left out are calls that may stop or end this domain by right when their arguments happen to be good: set_timer (15),
 * sched_op (29, and 6, its old form) and hvm_op (34).
 */
static const uint8_t hypercalls[] = { 0, 1, 2, 3, 4, 5, 7, 8, 9, 10, 11, 12, 13, 14, 16, 17, 18, 19, 20, 21, 22,
    23, 24, 25, 26, 27, 28, 30, 31, 32, 33, 35, 36, 37, 38, 39, 40, 41, 42, 48, 49, 50, 55, 56, 63 };

static uint64_t odd_argument(void *page)
{
    switch (random64() % 8) {
    case 0: return 0;
    case 1: return random64() % 64;
    case 2: return ~0ull;
    case 3: return 0x8000000000000000ull;
    case 4: return (uint64_t)(uintptr_t)page + 4096 - random64() % 64; /* runs over its end */
    case 5: return random64();
    case 6: return 0xffff880000000000ull + random64() % 4096 * 4096;
    default: return 0x7ffffffff000ull - 8;
    }
}

static int poke_hypercalls(void)
{
    int fd = open("/dev/xen/privcmd", O_RDWR);
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_LOCKED, -1, 0);
    unsigned tried = 0, succeeded = 0;
    int trace = getenv("POKE_TRACE") != NULL;
    struct privcmd_call longest_call = { 0 };
    uint64_t longest = 0, start;

    if (fd < 0 || page == MAP_FAILED) {
        perror("poke: /dev/xen/privcmd");
        return 1;
    }
    for (int round = 0; round < 300; round++) {
        for (size_t i = 0; i < ARRAY_SIZE(hypercalls); i++) {
            struct privcmd_call call = { .op = hypercalls[i] };

            /* A structure of ones means nothing, where one of zeros might mean "reset domain 0". */
            memset(page, 0xff, 4096);
            call.arg[0] = random64() % 40;
            for (int a = 1; a < 5; a++)
                call.arg[a] = odd_argument(page);
            if (call.op == HYPERCALL_VCPU_OP)
                call.arg[1] |= 0x100; /* no vCPU that exists: it might be stopped */
            if (trace) {
                fprintf(stderr, "%u: %#" PRIx64 "(%#" PRIx64 ", %#" PRIx64 ", %#" PRIx64 ", %#" PRIx64 ", %#" PRIx64 ")\n",
                    tried, call.op, call.arg[0], call.arg[1], call.arg[2], call.arg[3], call.arg[4]);
            }
            tried++;
            start = now_ms();
            succeeded += ioctl(fd, PRIVCMD_CALL, &call) >= 0;
            if (now_ms() - start > longest) {
                longest = now_ms() - start;
                longest_call = call;
            }
        }
    }
    printf("hypercalls: tried %u, succeeded %u; longest %" PRIu64 " ms: %" PRIu64 "(%#" PRIx64 ", %#" PRIx64 ", %#" PRIx64
        ")\n", tried, succeeded, longest, longest_call.op, longest_call.arg[0], longest_call.arg[1], longest_call.arg[2]);
    return 0;
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";

    if (argc > 2)
        random_state ^= strtoull(argv[2], NULL, 0) * 0x9e3779b97f4a7c15ull;
    if (strcmp(what, "msr") == 0)
        return poke_msr();
    if (strcmp(what, "ports") == 0)
        return poke_ports();
    if (strcmp(what, "config") == 0)
        return poke_config();
    if (strcmp(what, "hypercalls") == 0)
        return poke_hypercalls();
    fprintf(stderr, "usage: poke msr|ports|config|hypercalls [SEED]\n");
    return 2;
}
