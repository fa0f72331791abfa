/* SPDX-License-Identifier: MIT */
/*
 * What the boot loader says, in one form: command line, memory map, modules and the firmware's
 * tables, read from a multiboot 1 information structure or from multiboot 2 tags.  Everything is
 * copied, so the loader's memory may be reused afterwards (the modules' contents apart).
 */
#ifndef XL_BOOT_MULTIBOOT_H
#define XL_BOOT_MULTIBOOT_H

#include "lib/types.h"

#define MULTIBOOT1_MAGIC 0x2badb002u /* in EAX at entry */
#define MULTIBOOT2_MAGIC 0x36d76289u

#define BOOT_MAX_MEM     128
#define BOOT_MAX_MODS    8
#define BOOT_CMDLINE_LEN 1024
#define BOOT_MOD_CMDLINE 2048
#define BOOT_RSDP_LEN    36

/* E820 types (ACPI 6.4, 15.1). */
enum boot_mem_type {
    BOOT_MEM_RAM = 1,
    BOOT_MEM_RESERVED = 2,
    BOOT_MEM_ACPI = 3,
    BOOT_MEM_NVS = 4,
    BOOT_MEM_UNUSABLE = 5,
};

struct boot_mem {
    uint64_t base, len; /* bytes; len is never 0 and base + len never wraps */
    uint32_t type;      /* enum boot_mem_type; unknown types have become reserved */
};

struct boot_module {
    paddr_t start, end;             /* [start, end), end > start */
    char cmdline[BOOT_MOD_CMDLINE]; /* arguments; a leading file name is taken off */
};

struct boot_info {
    char cmdline[BOOT_CMDLINE_LEN]; /* arguments; a leading file name is taken off */
    char loader[64];
    struct boot_mem mem[BOOT_MAX_MEM]; /* sorted, without overlaps, neighbours of one type joined */
    unsigned nr_mem;
    struct boot_module mod[BOOT_MAX_MODS];
    unsigned nr_mods;
    uint8_t rsdp[BOOT_RSDP_LEN]; /* copy of the ACPI root pointer */
    unsigned rsdp_len;           /* 0 (unknown), 20 or 36 bytes */
    paddr_t efi_system_table;    /* 0: unknown */
    bool efi;                    /* booted by UEFI */
};

/*
 * Gives a pointer to `len` bytes at physical address `pa`, or NULL if they cannot be read.
 */
typedef const void *(*boot_map_fn)(paddr_t pa, size_t len);

/*
 * Reads the loader's information at `info` into *bi (zeroed first).  `magic` is what the loader
 * left in EAX.  `map` may be NULL: phys_to_virt() for everything below 4 GiB.
 * 0; -EINVAL: unknown magic or malformed structures; -E2BIG: a command line, the number of
 * modules or of memory ranges is beyond what boot_info holds; -ENOENT: no memory map;
 * -EFAULT: `map` refused.  On error *bi is zero.
 */
int multiboot_parse(uint32_t magic, paddr_t info, boot_map_fn map, struct boot_info *bi);

/*
 * Sorts `nr` ranges in place and resolves overlaps (the more restrictive type wins: unusable,
 * then NVS, ACPI data, reserved, RAM), joins neighbours of one type.  Returns the new number, or
 * -E2BIG when more than `max` would be needed.  Empty and wrapping ranges are cut or dropped.
 */
int boot_mem_sanitize(struct boot_mem *mem, unsigned nr, unsigned max);

/*
 * The whole pages of a range: RAM shrinks to page bounds, anything else grows.  False if nothing
 * remains.  *start and *end are byte addresses, end not included.
 */
bool boot_mem_pages(const struct boot_mem *mem, uint64_t *start, uint64_t *end);

/* Type of the byte at `pa`; 0 for a hole. */
uint32_t boot_mem_type(const struct boot_mem *mem, unsigned nr, uint64_t pa);

/* End of the highest RAM range, in bytes; and the sum of all RAM. */
uint64_t boot_mem_ram_end(const struct boot_mem *mem, unsigned nr);
uint64_t boot_mem_ram_total(const struct boot_mem *mem, unsigned nr);

#endif
