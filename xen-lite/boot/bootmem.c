/* SPDX-License-Identifier: MIT */
/*
 * The hypervisor's own piece of RAM at boot. Its size follows the machine's: the frame table needs 8 bytes a frame, and
 * the rest is for tables and objects (the budget is 8 MiB and 0.5 % of RAM in all).
 */
#include "boot/bootmem.h"

#include "domain/start_info.h"
#include "lib/assert.h"
#include "lib/printf.h"
#include "lib/string.h"
#include "mm/frame.h"
#include "mm/phys.h"

#define BOOTMEM_FIXED (7UL << 20)

extern char __image_start[], __image_end[];

static paddr_t piece_start, piece_next, piece_end;
static bool done;

void bootmem_init(const struct boot_info *bi)
{
    struct boot_mem busy[BOOT_MAX_MODS + 1];
    uint64_t frames = PFN_UP(boot_mem_ram_end(bi->mem, bi->nr_mem));
    uint64_t size = BOOTMEM_FIXED + ALIGN_UP(frames * sizeof(struct page), PAGE_SIZE);
    unsigned n = 0;

    size = ALIGN_UP(size, SZ_2M);
    busy[n++] = (struct boot_mem){ (uint64_t)__image_start, (uint64_t)(__image_end - __image_start), 0 };
    for (unsigned i = 0; i < bi->nr_mods; i++)
        busy[n++] = (struct boot_mem){ bi->mod[i].start, bi->mod[i].end - bi->mod[i].start, 0 };
    piece_start = ctl_memmap_find_top(bi->mem, bi->nr_mem, busy, n, size, SZ_2M, 1UL << 32);
    if (!piece_start)
        panic("no %lu KiB of free RAM below 4 GiB for the hypervisor", size >> 10);
    piece_next = piece_start;
    piece_end = piece_start + size;
}

void *bootmem_alloc(size_t size)
{
    void *p = phys_to_virt(piece_next);

    ASSERT(!done);
    size = ALIGN_UP(size, PAGE_SIZE);
    if (size > piece_end - piece_next)
        panic("the hypervisor's memory is used up at boot");
    piece_next += size;
    memset(p, 0, size);
    return p;
}

bool bootmem_done(void)
{
    return done;
}

void bootmem_finish(paddr_t *start, paddr_t *used, paddr_t *end)
{
    done = true;
    *start = piece_start;
    *used = piece_next;
    *end = piece_end;
}
