/* SPDX-License-Identifier: MIT */
/*
 * Reads a disk from its beginning past the page cache: read-speed DISK MIB PASSES. Requests of 1 MiB, one at a time; prints the best
 * pass and the median in MiB a second. On a busy host the best pass says most.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum { REQUEST = 1 << 20, PASSES_MAX = 100 };

static double now(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static int by_size(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
    double speed[PASSES_MAX];
    int fd, mib, passes;
    void *buffer;

    if (argc != 4)
        return 2;
    mib = atoi(argv[2]);
    passes = atoi(argv[3]);
    fd = open(argv[1], O_RDONLY | O_DIRECT);
    buffer = mmap(NULL, REQUEST, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (fd < 0 || buffer == MAP_FAILED || mib < 1 || passes < 1 || passes > PASSES_MAX) {
        perror(argv[1]);
        return 1;
    }
    for (int pass = 0; pass < passes; pass++) {
        const double start = now();

        for (int i = 0; i < mib; i++) {
            if (pread(fd, buffer, REQUEST, (off_t)i * REQUEST) != REQUEST) {
                perror("read");
                return 1;
            }
        }
        speed[pass] = mib / (now() - start);
    }
    qsort(speed, (size_t)passes, sizeof(speed[0]), by_size);
    printf("best %.0f median %.0f requests %d\n", speed[passes - 1], speed[passes / 2], mib * passes);
    return 0;
}
