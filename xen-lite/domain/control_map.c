/* SPDX-License-Identifier: MIT */
/*
 * The control domain's memory: which RAM it gets, what lies where while it is built, and the identity mapping of RAM and
 * firmware memory in its p2m.
 */
#include "domain/control_map.h"

#include "boot/bootmem.h"
#include "domain/domain.h"
#include "lib/assert.h"
#include "lib/errno.h"
#include "lib/printf.h"
#include "mm/frame.h"
#include "vdev/pci.h"

#define LOW_1M (1UL << 20)
#define VGA_START 0xa0000UL
#define ROM_START 0xc0000UL

extern char __image_start[], __image_end[];

static struct boot_mem range(uint64_t base, uint64_t len, uint32_t type)
{
    return (struct boot_mem){ base, len, type };
}

static void mark_busy(struct ctl_layout *l, uint64_t base, uint64_t len)
{
    if (l->nr_busy == CTL_MAX_BUSY)
        panic("too many pieces in the control domain's memory");
    l->busy[l->nr_busy++] = range(base, len, 0);
}

static void build_map(struct ctl_layout *l, uint64_t quota, const struct boot_mem *carve, unsigned n)
{
    int nr = ctl_memmap_build(l->bi->mem, l->bi->nr_mem, quota, carve, n, l->map, CTL_MAX_MEMMAP,
                              &l->given);

    if (nr < 0)
        panic("the control domain's memory map cannot be built (error %d)", nr);
    l->nr = (unsigned)nr;
}

void ctl_layout_init(struct ctl_layout *l, const struct boot_info *bi, uint64_t quota,
                     uint64_t acpi_size)
{
    paddr_t start, used, end;
    struct boot_mem carve[3];

    bootmem_finish(&start, &used, &end);
    l->bi = bi;
    carve[0] = range((uint64_t)__image_start, ALIGN_UP((uint64_t)__image_end, PAGE_SIZE) - (uint64_t)__image_start,
                     BOOT_MEM_RESERVED);
    carve[1] = range(start, end - start, BOOT_MEM_RESERVED);
    build_map(l, quota, carve, 2);
    for (unsigned i = 0; i < bi->nr_mods; i++)
        mark_busy(l, bi->mod[i].start, bi->mod[i].end - bi->mod[i].start);
    l->acpi_size = acpi_size;
    l->acpi = ctl_layout_take(l, acpi_size, CTL_LOW_4G);
    if (!l->acpi)
        panic("no room for the control domain's ACPI tables");
    carve[2] = range(l->acpi, acpi_size, BOOT_MEM_ACPI);
    build_map(l, quota, carve, 3);
}

uint64_t ctl_layout_take(struct ctl_layout *l, uint64_t size, uint64_t limit)
{
    uint64_t gpa;

    size = ALIGN_UP(size, PAGE_SIZE);
    gpa = ctl_memmap_find_top(l->map, l->nr, l->busy, l->nr_busy, size, PAGE_SIZE, limit);
    if (gpa)
        mark_busy(l, gpa, size);
    return gpa;
}

bool ctl_layout_is_busy(const struct ctl_layout *l, uint64_t gpa, uint64_t size)
{
    /* The modules themselves come first in the list: they have been read, and may be overwritten. */
    for (unsigned i = l->bi->nr_mods; i < l->nr_busy; i++)
        if (gpa < l->busy[i].base + l->busy[i].len && l->busy[i].base < gpa + size)
            return true;
    return false;
}

bool ctl_layout_is_ram(const struct ctl_layout *l, uint64_t gpa, uint64_t size)
{
    for (unsigned i = 0; i < l->nr; i++) {
        const struct boot_mem *m = &l->map[i];

        if (m->type == BOOT_MEM_RAM && gpa >= m->base && size <= m->len &&
            gpa - m->base <= m->len - size)
            return true;
    }
    return false;
}

/* ---- page table ---- */

static void map_identity(struct domain *d, uint64_t start, uint64_t end, enum p2m_type type)
{
    int err;

    if (start >= end)
        return;
    err = p2m_map_range(&d->p2m, start >> PAGE_SHIFT, start >> PAGE_SHIFT,
                        (end - start) >> PAGE_SHIFT, type, NULL);
    if (err)
        panic("mapping %#lx..%#lx for the control domain failed (error %d)", start, end, err);
}

/* Firmware memory page by page where something the hypervisor keeps lies in it (ECAM, IO-APIC, ...), in one piece else. */
static void map_firmware(struct domain *d, uint64_t start, uint64_t end)
{
    uint64_t run = start;

    /* Some maps reserve address space that no memory can have (AMD's 1 TiB hole): beyond the table's width it stays unmapped. */
    end = MIN(end, (d->p2m.max_gfn + 1) << PAGE_SHIFT);
    if (start >= end)
        return;
    if (!pci_reserved(start, end - 1)) {
        map_identity(d, start, end, P2M_FIRMWARE);
        return;
    }
    for (uint64_t a = start; a < end; a += PAGE_SIZE) {
        if (!pci_reserved(a, a + PAGE_SIZE - 1))
            continue;
        map_identity(d, run, a, P2M_FIRMWARE);
        run = a + PAGE_SIZE;
    }
    map_identity(d, run, end, P2M_FIRMWARE);
}

/* RAM that stays with nobody becomes free memory. Unusable entries of the map are that, or were never RAM. */
static void free_rest(const struct ctl_layout *l, const struct boot_mem *m)
{
    for (unsigned i = 0; i < l->bi->nr_mem; i++) {
        const struct boot_mem *h = &l->bi->mem[i];
        uint64_t start, end;

        if (h->type != BOOT_MEM_RAM || !boot_mem_pages(h, &start, &end))
            continue;
        start = MAX(start, m->base);
        end = MIN(end, m->base + m->len);
        if (start < end)
            frames_add(start >> PAGE_SHIFT, (end - start) >> PAGE_SHIFT);
    }
}

static void map_low_memory(struct domain *d)
{
    /* What the map does not list below 1 MiB: VGA memory, option ROMs, BIOS. */
    for (uint64_t a = 0; a < LOW_1M; a += PAGE_SIZE) {
        if (p2m_lookup(&d->p2m, a >> PAGE_SHIFT, NULL, NULL) != INVALID_MFN)
            continue;
        if (a >= ROM_START || a < VGA_START)
            map_identity(d, a, a + PAGE_SIZE, P2M_FIRMWARE);
        else
            map_identity(d, a, a + PAGE_SIZE, P2M_MMIO_DIRECT);
    }
}

void ctl_layout_commit(struct ctl_layout *l, struct domain *d)
{
    for (unsigned i = 0; i < l->nr; i++) {
        const struct boot_mem *m = &l->map[i];
        uint64_t first = ALIGN_DOWN(m->base, PAGE_SIZE);
        uint64_t last = ALIGN_UP(m->base + m->len, PAGE_SIZE);

        if (m->type == BOOT_MEM_RAM || m->base == l->acpi) {
            frames_assign(first >> PAGE_SHIFT, (last - first) >> PAGE_SHIFT, d->domid);
            map_identity(d, first, last, P2M_RAM_RW);
        } else if (m->type == BOOT_MEM_UNUSABLE) {
            free_rest(l, m);
        } else {
            map_firmware(d, first, last);
        }
    }
    map_low_memory(d);
}
