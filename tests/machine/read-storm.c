/* SPDX-License-Identifier: MIT */
/*
 * Reads a disk with several requests in flight while one of its interrupts moves between processors:
 *   read-storm DISK READS READERS DEPTH [IRQ INTERVAL-US]
 * READERS processes, each held on a processor of its own in turn, read blocks of 4 KiB past the page cache. Each sends DEPTH reads
 * and waits for all of them before it sends more, so that the last interrupt of each round has to arrive: one that is lost is not
 * made up for by a later one. Every block begins with its number, which is looked at. IRQ's affinity changes each INTERVAL-US.
 * Prints one line of figures; exits with 1 if a read failed or returned another block.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <linux/fs.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { BLOCK = 4096, READERS_MAX = 16, DEPTH_MAX = 64 };

/* What a process did; in memory that all share. */
struct tally {
    uint64_t asked, done, failed, wrong, rounds;
    double longest; /* seconds that the slowest round took */
};

static struct {
    struct tally reader[READERS_MAX];
    uint64_t moves, refused;
} *shared;

static double now(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void fail(const char *what)
{
    perror(what);
    _exit(2);
}

static void stay_on(unsigned cpu)
{
    cpu_set_t set;

    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    if (sched_setaffinity(0, sizeof(set), &set))
        fail("sched_setaffinity");
}

/* Sends `n` reads of blocks that no other round has in this order, and waits until each has come back. */
static void round_of(aio_context_t ctx, int fd, uint8_t *buffer, unsigned n, uint64_t blocks, struct tally *t)
{
    struct iocb cb[DEPTH_MAX], *list[DEPTH_MAX];
    struct io_event events[DEPTH_MAX];
    unsigned left = n;

    memset(cb, 0, sizeof(cb));
    for (unsigned i = 0; i < n; i++) {
        uint64_t block = (t->asked++ * 2654435761u) % blocks;

        memset(buffer + i * BLOCK, 0xff, 8);
        cb[i].aio_lio_opcode = IOCB_CMD_PREAD;
        cb[i].aio_fildes = (uint32_t)fd;
        cb[i].aio_buf = (uintptr_t)(buffer + i * BLOCK);
        cb[i].aio_nbytes = BLOCK;
        cb[i].aio_offset = (int64_t)(block * BLOCK);
        cb[i].aio_data = block << 8 | i;
        list[i] = &cb[i];
    }
    for (unsigned sent = 0; sent < n;) {
        long got = syscall(SYS_io_submit, ctx, n - sent, list + sent);

        if (got < 0 && errno != EAGAIN && errno != EINTR)
            fail("io_submit");
        sent += got > 0 ? (unsigned)got : 0;
    }
    while (left) {
        long got = syscall(SYS_io_getevents, ctx, 1, left, events, NULL);

        if (got < 0 && errno != EINTR)
            fail("io_getevents");
        for (long i = 0; i < got; i++) {
            uint64_t number;

            memcpy(&number, buffer + (events[i].data & 0xff) * BLOCK, 8);
            t->failed += events[i].res != BLOCK;
            t->wrong += events[i].res == BLOCK && number != events[i].data >> 8;
            t->done++;
        }
        left -= got > 0 ? (unsigned)got : 0;
    }
}

static void read_all(const char *disk, unsigned who, uint64_t reads, unsigned depth)
{
    struct tally *t = &shared->reader[who];
    aio_context_t ctx = 0;
    uint64_t size;
    uint8_t *buffer;
    int fd = open(disk, O_RDONLY | O_DIRECT);

    if (fd < 0 || ioctl(fd, BLKGETSIZE64, &size) || size < BLOCK)
        fail(disk);
    buffer = mmap(NULL, DEPTH_MAX * BLOCK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (buffer == MAP_FAILED || syscall(SYS_io_setup, DEPTH_MAX, &ctx))
        fail("io_setup");
    while (t->done < reads) {
        uint64_t left = reads - t->done;
        double start = now(), took;

        round_of(ctx, fd, buffer, left < depth ? (unsigned)left : depth, size / BLOCK, t);
        took = now() - start;
        t->longest = took > t->longest ? took : t->longest;
        t->rounds++;
    }
    _exit(0);
}

/* Changes the interrupt's processor each `us` microseconds, until it is killed. */
static void move(const char *irq, unsigned cpus, unsigned us)
{
    char path[64], cpu[16];
    struct timespec pause = { .tv_nsec = us * 1000L };

    snprintf(path, sizeof(path), "/proc/irq/%s/smp_affinity_list", irq);
    for (unsigned n = 1;; n++) {
        int fd = open(path, O_WRONLY), len = snprintf(cpu, sizeof(cpu), "%u", n % cpus);

        if (fd < 0)
            fail(path);
        if (write(fd, cpu, (size_t)len) == len)
            shared->moves++;
        else
            shared->refused++;
        close(fd);
        nanosleep(&pause, NULL);
    }
}

static int report(unsigned readers, double seconds)
{
    struct tally all = { 0 };

    for (unsigned i = 0; i < readers; i++) {
        const struct tally *t = &shared->reader[i];

        all.done += t->done;
        all.failed += t->failed;
        all.wrong += t->wrong;
        all.rounds += t->rounds;
        all.longest = t->longest > all.longest ? t->longest : all.longest;
    }
    printf("reads %llu failed %llu wrong %llu rounds %llu seconds %.1f a-second %.0f longest-ms %.0f moves %llu refused %llu\n",
           (unsigned long long)all.done, (unsigned long long)all.failed, (unsigned long long)all.wrong, (unsigned long long)all.rounds,
           seconds, (double)all.done / seconds, all.longest * 1000, (unsigned long long)shared->moves,
           (unsigned long long)shared->refused);
    return all.failed || all.wrong;
}

int main(int argc, char **argv)
{
    unsigned readers, depth, cpus = (unsigned)sysconf(_SC_NPROCESSORS_ONLN);
    pid_t mover = -1;
    uint64_t reads;
    double start;
    int bad = 0;

    if (argc != 5 && argc != 7)
        return 2;
    reads = strtoull(argv[2], NULL, 0);
    readers = (unsigned)atoi(argv[3]);
    depth = (unsigned)atoi(argv[4]);
    if (!readers || readers > READERS_MAX || !depth || depth > DEPTH_MAX)
        return 2;
    shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED)
        fail("mmap");
    if (argc == 7 && !(mover = fork()))
        move(argv[5], cpus, (unsigned)atoi(argv[6]));
    start = now();
    for (unsigned i = 0; i < readers; i++) {
        if (fork())
            continue;
        stay_on(i % cpus);
        read_all(argv[1], i, reads / readers + (i < reads % readers), depth);
    }
    for (unsigned ended = 0; ended < readers;) {
        int status;
        pid_t who = wait(&status);

        if (who < 0)
            break;
        ended += who != mover;
        bad |= status != 0;
        if (who == mover)
            mover = -1;
    }
    start = now() - start;
    if (mover > 0)
        kill(mover, SIGKILL);
    return report(readers, start) | bad;
}
