/* SPDX-License-Identifier: MIT */
/*
 * What the hostile programs share: a random generator that repeats, hypercalls through privcmd, and pieces of physical
 * memory. Everything is static: each program is one source and this.
 */
#ifndef HOSTILE_H
#define HOSTILE_H

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE 4096ull
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

static uint64_t random_state = 88172645463325252ull;

static inline void random_seed(uint64_t seed)
{
    random_state = 88172645463325252ull ^ seed * 0x9e3779b97f4a7c15ull;
}

static inline uint64_t random64(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

static inline uint64_t below(uint64_t n)
{
    return random64() % n;
}

static inline int one_in(unsigned n)
{
    return below(n) == 0;
}

static inline void die(const char *what)
{
    fprintf(stderr, "hostile: %s: %s\n", what, strerror(errno));
    exit(1);
}

/* Physical memory through /dev/mem (the kernel wants iomem=relaxed). NULL if the kernel refuses. */
static inline volatile uint8_t *map_phys(uint64_t phys, size_t len, int flags)
{
    int fd = open("/dev/mem", O_RDWR | flags);
    void *p;

    if (fd < 0)
        die("/dev/mem");
    p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)phys);
    close(fd);
    return p == MAP_FAILED ? NULL : p;
}

/* The request of Linux' privcmd driver that makes a hypercall. */
struct privcmd_call {
    uint64_t op;
    uint64_t arg[5];
};
#define PRIVCMD_CALL _IOC(_IOC_NONE, 'P', 0, sizeof(struct privcmd_call))

static int privcmd = -1;

static inline long hypercall(uint64_t op, const uint64_t arg[5])
{
    struct privcmd_call call = { .op = op };
    int rc;

    memcpy(call.arg, arg, sizeof(call.arg));
    rc = ioctl(privcmd, PRIVCMD_CALL, &call);
    return rc < 0 ? -errno : rc;
}

static inline void privcmd_open(void)
{
    privcmd = open("/dev/xen/privcmd", O_RDWR);
    if (privcmd < 0)
        die("/dev/xen/privcmd");
}

#endif
