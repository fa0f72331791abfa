/* SPDX-License-Identifier: MIT */
/*
 * The hypervisor's page tables: its image with write and execute kept apart, the direct map of memory, and a window of
 * uncached device pages. Built once; only the window grows. Format: SDM vol. 3, 4.5.
 */
#include "mm/map.h"

#include "boot/asm_defs.h"
#include "boot/bootmem.h"
#include "boot/mapping.h"
#include "cpu/x86.h"
#include "lib/assert.h"
#include "lib/mmio.h"
#include "lib/percpu.h"
#include "lib/printf.h"
#include "lib/spinlock.h"
#include "lib/string.h"
#include "mm/frame.h"
#include "mm/phys.h"

#define PTE_P BIT(0)
#define PTE_W BIT(1)
#define PTE_PWT BIT(3)
#define PTE_PCD BIT(4)
#define PTE_PS BIT(7)
#define PTE_G BIT(8)
#define PTE_NX BIT(63)
#define PTE_ADDR 0x000ffffffffff000ULL

#define MMIO_BASE 0xffffc00000000000UL
#define MMIO_SIZE (1UL << 30)
/* The window's end: a page for each CPU's single accesses. */
#define MMIO_TOUCH (MMIO_BASE + MMIO_SIZE - MAX_CPUS * PAGE_SIZE)
#define PTE_DEVICE (PTE_W | PTE_NX | PTE_PCD | PTE_PWT)
/* Nothing above is a firmware table. */
#define FIRMWARE_LIMIT (1UL << 46)

extern char __image_start[], __rodata_start[], __rodata_end[], __image_end[], boot_stack_guard[];

static uint64_t *pml4;
static bool have_1g;
static spinlock_t mmio_lock = SPINLOCK_INIT;
static uint64_t mmio_next = MMIO_BASE;

static uint64_t *new_table(void)
{
    uint64_t mfn;

    if (!bootmem_done())
        return bootmem_alloc(PAGE_SIZE);
    mfn = frame_alloc(0, OWNER_XEN, FRAME_ZERO);
    return mfn == INVALID_MFN ? NULL : mfn_to_virt(mfn);
}

/* The table below entry e, made if need be; NULL without memory. */
static uint64_t *descend(uint64_t *e)
{
    if (!(*e & PTE_P)) {
        uint64_t *t = new_table();

        if (!t)
            return NULL;
        *e = virt_to_phys(t) | PTE_P | PTE_W;
    }
    ASSERT(!(*e & PTE_PS));
    return phys_to_virt(*e & PTE_ADDR);
}

static bool map_one(uint64_t va, paddr_t pa, unsigned level, uint64_t flags)
{
    uint64_t *t = pml4;

    for (unsigned l = 4; l > level; l--) {
        t = descend(&t[(va >> (12 + 9 * (l - 1))) & 511]);
        if (!t)
            return false;
    }
    t[(va >> (12 + 9 * (level - 1))) & 511] = pa | flags | PTE_P | (level > 1 ? PTE_PS : 0);
    return true;
}

static bool fits(uint64_t va, paddr_t pa, uint64_t left, uint64_t size)
{
    return !((va | pa) & (size - 1)) && left >= size;
}

static bool map_range(uint64_t va, paddr_t pa, uint64_t len, uint64_t flags)
{
    while (len) {
        unsigned level = have_1g && fits(va, pa, len, SZ_1G) ? 3 : fits(va, pa, len, SZ_2M) ? 2 : 1;
        uint64_t size = 1UL << (12 + 9 * (level - 1));

        if (!map_one(va, pa, level, flags))
            return false;
        va += size;
        pa += size;
        len -= size;
    }
    return true;
}

static void map_image(char *start, char *end, uint64_t flags)
{
    uint64_t a = (uint64_t)start;

    if (!map_range(a, a, ALIGN_UP((uint64_t)end, PAGE_SIZE) - a, flags))
        panic("no memory for the hypervisor's page tables");
}

void mapping_init(const struct boot_info *bi)
{
    uint32_t a, b, c, d;

    cpuid(0x80000001, 0, &a, &b, &c, &d);
    have_1g = d & BIT(26);
    pml4 = new_table();
    map_image(__image_start, __rodata_start, 0);
    map_image(__rodata_start, __rodata_end, PTE_NX);
    map_image(__rodata_end, boot_stack_guard, PTE_W | PTE_NX);
    map_image(boot_stack_guard + STACK_GUARD, __image_end, PTE_W | PTE_NX);
    /* The first MiB whatever the map says: firmware's data areas and ROMs are not always listed. */
    map_range(DIRECTMAP_BASE, 0, 1UL << 20, PTE_W | PTE_NX);
    for (unsigned i = 0; i < bi->nr_mem; i++) {
        const struct boot_mem *m = &bi->mem[i];
        uint64_t start = ALIGN_DOWN(m->base, PAGE_SIZE);
        uint64_t end = ALIGN_UP(m->base + m->len, PAGE_SIZE);

        if (m->type != BOOT_MEM_RAM && m->type != BOOT_MEM_ACPI && m->type != BOOT_MEM_NVS)
            continue;
        start = MAX(start, 1UL << 20);
        if (start < end && !map_range(DIRECTMAP_BASE + start, start, end - start, PTE_W | PTE_NX))
            panic("no memory for the hypervisor's page tables");
    }
    write_cr3(virt_to_phys(pml4));
}

paddr_t mapping_root(void)
{
    return virt_to_phys(pml4);
}

bool mapping_present(uint64_t va)
{
    const uint64_t *t = pml4;

    for (unsigned l = 4; l > 0; l--) {
        uint64_t e = t[(va >> (12 + 9 * (l - 1))) & 511];

        if (!(e & PTE_P))
            return false;
        if (l > 1 && (e & PTE_PS))
            return true;
        t = phys_to_virt(e & PTE_ADDR);
    }
    return true;
}

const void *mapping_firmware(paddr_t pa, size_t len)
{
    paddr_t end;

    if (!len || pa >= FIRMWARE_LIMIT || len > FIRMWARE_LIMIT - pa)
        return NULL;
    end = ALIGN_UP(pa + len, PAGE_SIZE);
    for (paddr_t a = ALIGN_DOWN(pa, PAGE_SIZE); a < end; a += PAGE_SIZE)
        if (!mapping_present(DIRECTMAP_BASE + a) && !map_one(DIRECTMAP_BASE + a, a, 1, PTE_W | PTE_NX))
            return NULL;
    return phys_to_virt(pa);
}

void *mapping_stack(unsigned cpu, uint64_t mfn, unsigned order)
{
    uint64_t va = STACKS_BASE + cpu * STACKS_SLOT + STACKS_SLOT / 2;

    ASSERT(PAGE_SIZE << order <= STACKS_SLOT / 2);
    for (uint64_t i = 0; i < 1UL << order; i++)
        if (!map_one(va + i * PAGE_SIZE, (mfn + i) << PAGE_SHIFT, 1, PTE_W | PTE_NX))
            return NULL;
    return (void *)va;
}

volatile void *mmio_map(paddr_t pa, size_t len)
{
    paddr_t start = ALIGN_DOWN(pa, PAGE_SIZE);
    uint64_t size = ALIGN_UP(pa + len, PAGE_SIZE) - start;
    uint64_t va;
    bool ok;

    if (!len || len > MMIO_SIZE)
        return NULL;
    spin_lock(&mmio_lock);
    /* Large windows get the alignment of large pages. */
    va = size >= SZ_2M ? ALIGN_UP(mmio_next, SZ_2M) + (start & (SZ_2M - 1)) : mmio_next;
    ok = va + size <= MMIO_TOUCH && map_range(va, start, size, PTE_DEVICE);
    if (ok)
        mmio_next = va + size;
    spin_unlock(&mmio_lock);
    return ok ? (volatile void *)(va + (pa - start)) : NULL;
}

static void touch(volatile void *p, unsigned size, bool write, uint64_t *val)
{
    if (size == 8)
        write ? mmio_write64(p, *val) : (void)(*val = mmio_read64(p));
    else if (size == 4)
        write ? mmio_write32(p, (uint32_t)*val) : (void)(*val = mmio_read32(p));
    else if (size == 2)
        write ? mmio_write16(p, (uint16_t)*val) : (void)(*val = mmio_read16(p));
    else
        write ? mmio_write8(p, (uint8_t)*val) : (void)(*val = mmio_read8(p));
}

bool mmio_touch(paddr_t pa, unsigned size, bool write, uint64_t *val)
{
    /* No other CPU uses this address, and interrupts are off: only this CPU's translation of it has to go afterwards. */
    const uint64_t va = MMIO_TOUCH + cpu_id() * PAGE_SIZE;
    uint64_t *t = pml4;
    bool ok;

    spin_lock(&mmio_lock);
    ok = map_one(va, ALIGN_DOWN(pa, PAGE_SIZE), 1, PTE_DEVICE);
    spin_unlock(&mmio_lock);
    if (!ok)
        return false;
    touch((volatile void *)(va + (pa & ~PAGE_MASK)), size, write, val);
    for (unsigned l = 4; l > 1; l--)
        t = phys_to_virt(t[va >> (12 + 9 * (l - 1)) & 511] & PTE_ADDR);
    t[va >> 12 & 511] = 0;
    invlpg((volatile void *)va);
    return true;
}
