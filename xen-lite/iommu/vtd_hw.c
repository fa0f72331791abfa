/* SPDX-License-Identifier: MIT */
/*
 * Access to a real unit's registers, and writing cache lines back for units that read memory past
 * the caches. The only part of iommu/ that the host build leaves out.
 */
#include "cpu/x86.h"
#include "iommu/vtd.h"
#include "lib/atomic.h"
#include "lib/errno.h"
#include "lib/mmio.h"
#include "mm/map.h"

/* CLFLUSH works on whole lines; 64 bytes on every processor that has VT-d or AMD-V */
#define CACHE_LINE 64UL

static uint32_t hw_read32(void *ctx, unsigned reg)
{
    return mmio_read32((volatile uint8_t *)ctx + reg);
}

static uint64_t hw_read64(void *ctx, unsigned reg)
{
    return mmio_read64((volatile uint8_t *)ctx + reg);
}

static void hw_write32(void *ctx, unsigned reg, uint32_t value)
{
    mmio_write32((volatile uint8_t *)ctx + reg, value);
}

static void hw_write64(void *ctx, unsigned reg, uint64_t value)
{
    mmio_write64((volatile uint8_t *)ctx + reg, value);
}

static void hw_writeback(void *ctx, const void *p, size_t len)
{
    uintptr_t line = (uintptr_t)p & ~(CACHE_LINE - 1);

    (void)ctx;
    for (; line < (uintptr_t)p + len; line += CACHE_LINE)
        clflush((const void *)line);
    mb(); /* CLFLUSH is ordered by MFENCE (SDM vol. 2), and the next store rings the unit's bell */
}

int vtd_hw_open(struct vtd_hw *hw, paddr_t base, size_t len)
{
    volatile void *regs = mmio_map(base, len);

    if (!regs)
        return -ENOMEM;
    *hw = (struct vtd_hw){
        .read32 = hw_read32,
        .read64 = hw_read64,
        .write32 = hw_write32,
        .write64 = hw_write64,
        .writeback = hw_writeback,
        .ctx = (void *)(uintptr_t)regs,
    };
    return 0;
}
