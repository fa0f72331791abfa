/* SPDX-License-Identifier: MIT */
/*
 * The small simulated machine that host builds of the hypervisor's logic run on: physical memory, a settable clock,
 * CPU numbers, messages on standard error, and failures that abort the test. What a test may want to replace is weak.
 */
#include <stdarg.h>
#include <stdlib.h>

#include "lib/assert.h"
#include "lib/percpu.h"
#include "lib/printf.h"
#include "lib/string.h"
#include "lib/time.h"
#include "mm/heap.h"
#include "mm/map.h"
#include "mm/phys.h"
#include "sim.h"

unsigned nr_cpus = 1;
struct percpu percpu_area[MAX_CPUS];
unsigned sim_this_cpu;
uint64_t sim_now_ns;
uint64_t sim_now_step;
unsigned sim_heap_fail_after;
bool sim_verbose;

static unsigned char *sim_mem;
static size_t sim_mem_size;

void sim_phys_init(size_t size)
{
    free(sim_mem);
    sim_mem = aligned_alloc(SZ_2M, ALIGN_UP(size, SZ_2M));
    if (!sim_mem)
        abort();
    memset(sim_mem, 0, ALIGN_UP(size, SZ_2M));
    sim_mem_size = size;
}

void *phys_to_virt(paddr_t pa)
{
    if (!sim_mem)
        sim_phys_init(64UL << 20);
    if (pa >= sim_mem_size)
        panic("physical address %#lx is outside of the simulated memory", (unsigned long)pa);
    return sim_mem + pa;
}

paddr_t virt_to_phys(const void *va)
{
    const unsigned char *p = va;

    if (!sim_mem || p < sim_mem || p >= sim_mem + sim_mem_size)
        panic("pointer %p is not in the simulated memory", va);
    return (paddr_t)(p - sim_mem);
}

__attribute__((weak)) volatile void *mmio_map(paddr_t pa, size_t len)
{
    if (!len || pa >= sim_mem_size || len > sim_mem_size - pa)
        return NULL;
    return phys_to_virt(pa);
}

__attribute__((weak)) uint64_t now_ns(void)
{
    sim_now_ns += sim_now_step;
    return sim_now_ns;
}

__attribute__((weak)) uint64_t clock_ticks(void)
{
    return now_ns();
}

__attribute__((weak)) uint64_t clock_to_ns(uint64_t ticks, unsigned cpu)
{
    (void)cpu;
    return ticks;
}

__attribute__((weak)) void udelay(unsigned us)
{
    sim_now_ns += us * NS_PER_US;
}

static bool heap_fails(void)
{
    return sim_heap_fail_after && --sim_heap_fail_after == 0;
}

__attribute__((weak)) void *xmalloc(size_t size)
{
    return heap_fails() ? NULL : malloc(size);
}

__attribute__((weak)) void *xzalloc(size_t size)
{
    return heap_fails() ? NULL : calloc(1, size);
}

__attribute__((weak)) void xfree(void *p)
{
    free(p);
}

__attribute__((weak)) void printk(enum log_level level, const char *fmt, ...)
{
    va_list ap;

    (void)level;
    if (!sim_verbose)
        return;
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
}

__attribute__((weak)) void panic(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    fprintf(stderr, "panic: ");
    vfprintf(stderr, fmt, ap);
    fprintf(stderr, "\n");
    va_end(ap);
    abort();
}

__attribute__((weak)) void assert_failed(const char *expr, const char *file, int line)
{
    panic("%s:%d: assertion failed: %s", file, line, expr);
}
