/* SPDX-License-Identifier: MIT */
/*
 * What a configuration write costs that goes to xl-dmd and back, in a guest whose clock counts executed instructions: a write to
 * the PCI Express capability's Device Status, less one that the hypervisor answers by itself (interrupt line), through the same
 * system call.
 *
 * forwardcost BDF [ROUNDS]    prints "forwarded N", "handled N", "round-trip N" (medians)
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define ROUNDS_MAX 1000

static int config;

static uint64_t now(void)
{
    uint32_t low, high;

    __asm__ volatile("lfence; rdtsc; lfence" : "=a"(low), "=d"(high)::"memory");
    return (uint64_t)high << 32 | low;
}

static unsigned find_capability(uint8_t id)
{
    uint8_t at = 0, entry[2];

    if (pread(config, &at, 1, 0x34) != 1)
        return 0;
    for (int i = 0; at && i < 48; i++) {
        if (pread(config, entry, 2, at) != 2)
            return 0;
        if (entry[0] == id)
            return at;
        at = entry[1];
    }
    return 0;
}

static int by_value(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

static uint64_t median(unsigned reg, size_t size, unsigned rounds)
{
    static uint64_t cost[ROUNDS_MAX];
    const uint32_t zero = 0;

    for (unsigned i = 0; i < rounds; i++) {
        const uint64_t start = now();

        if (pwrite(config, &zero, size, reg) != (ssize_t)size) {
            perror("forwardcost: pwrite");
            exit(1);
        }
        cost[i] = now() - start;
    }
    qsort(cost, rounds, sizeof(cost[0]), by_value);
    return cost[rounds / 2];
}

int main(int argc, char **argv)
{
    const unsigned rounds = argc > 2 ? (unsigned)atoi(argv[2]) : 100;
    uint64_t forwarded, handled;
    unsigned pcie;
    char path[128];

    snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/config", argc > 1 ? argv[1] : "");
    config = open(path, O_RDWR);
    if (config < 0 || !rounds || rounds > ROUNDS_MAX) {
        perror(path);
        return 1;
    }
    pcie = find_capability(0x10);
    if (!pcie) {
        fprintf(stderr, "forwardcost: the device has no PCI Express capability\n");
        return 1;
    }
    handled = median(0x3c, 1, rounds);
    forwarded = median(pcie + 0x0a, 2, rounds);
    printf("forwarded %llu\nhandled %llu\nround-trip %lld\n", (unsigned long long)forwarded,
           (unsigned long long)handled, (long long)(forwarded - handled));
    return 0;
}
