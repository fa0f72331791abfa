/* SPDX-License-Identifier: MIT */
/*
 * What the control domain finds in memory when its PVH kernel starts: the start info with module
 * list, command line and memory map, its memory map derived from the machine's, and the ACPI
 * tables made for it (RSDP, XSDT, MADT).  Pure functions on buffers; nothing here touches a
 * domain or the p2m.
 */
#ifndef XL_DOMAIN_START_INFO_H
#define XL_DOMAIN_START_INFO_H

#include "acpi/acpi.h"
#include "boot/multiboot.h"
#include "lib/types.h"

/*
 * Most entries in a control domain's map.  Linux 6.1 copies the map into an array of 128 without
 * a check and adds the ISA hole itself.
 */
#define CTL_MAX_MEMMAP 120

/*
 * Builds the control domain's memory map from the machine's (`host`, sanitized).
 *
 * RAM keeps type 1 at its address until `quota` bytes have been given, from the lowest address
 * up; the rest of RAM becomes unusable (5), never a hole, so that the kernel places nothing
 * there.  `carve` lists RAM that is something else for the domain: the hypervisor's memory
 * (BOOT_MEM_RESERVED), the tables built for the domain (BOOT_MEM_ACPI); it does not count
 * against the quota.  Where ranges overlap the larger type number wins.  All bounds are page
 * aligned: RAM shrinks and leaves a reserved page where it did, everything else grows.
 *
 * Returns the number of entries in `out` (sorted, no overlaps), -E2BIG if `max` (at most
 * CTL_MAX_MEMMAP counts) is too small, -EINVAL if a carved range is empty, wraps or is RAM.
 * *given, if not NULL, receives the bytes of RAM given: less than `quota` on a small machine.
 * Boot CPU only.
 */
int ctl_memmap_build(const struct boot_mem *host, unsigned nr_host, uint64_t quota,
                     const struct boot_mem *carve, unsigned nr_carve, struct boot_mem *out,
                     unsigned max, uint64_t *given);

/*
 * Finds `size` bytes (page aligned, `align` a power of two >= PAGE_SIZE) of type 1 below `limit`
 * in a map, as high as possible, avoiding the ranges of `busy` (types ignored).  Returns the
 * address or 0.
 */
uint64_t ctl_memmap_find_top(const struct boot_mem *map, unsigned nr, const struct boot_mem *busy,
                             unsigned nr_busy, uint64_t size, uint64_t align, uint64_t limit);

/* The ACPI tables for the control domain. */
struct ctl_acpi_args {
    const struct acpi_madt_info *madt; /* the machine's */
    const struct boot_mem *host;       /* the machine's map: decides which tables may be seen */
    unsigned nr_host;
    unsigned nr_vcpus;
};

/* Bytes that ctl_acpi_build() needs at most; a multiple of PAGE_SIZE. */
size_t ctl_acpi_size(const struct ctl_acpi_args *args);

/*
 * Writes RSDP, MADT and XSDT into `buf` (`size` bytes), which the domain sees at `gpa` (page
 * aligned, below 4 GiB).  The RSDP is at `gpa` itself.  Host tables come from acpi_table(); those
 * outside of the allowed set, or outside of reserved and ACPI memory, are left out.
 * 0, -EINVAL, or -ENOSPC.
 */
int ctl_acpi_build(const struct ctl_acpi_args *args, void *buf, size_t size, uint64_t gpa);

/* One vCPU's local APIC id: what MADT, CPUID and the vLAPIC must agree on. */
static inline uint32_t ctl_vcpu_apic_id(unsigned vcpu)
{
    return 2 * vcpu;
}

/* The start info. */
struct start_info_args {
    const char *cmdline;          /* kernel's; may be NULL */
    uint64_t initrd, initrd_size; /* GPA and bytes; size 0: no initrd */
    uint64_t rsdp;                /* GPA */
    const struct boot_mem *memmap;
    unsigned nr_memmap;
    bool control; /* sets the PRIVILEGED and INITDOMAIN flags */
};

/* Bytes that start_info_build() needs; a multiple of PAGE_SIZE. */
size_t start_info_size(const struct start_info_args *args);

/*
 * Writes struct hvm_start_info, module list, memory map and command line into `buf` (`size`
 * bytes, zeroed here), which the domain sees at `gpa`; hvm_start_info is at `gpa` itself.
 * 0, -EINVAL (too many entries, not below 4 GiB), or -ENOSPC.
 */
int start_info_build(const struct start_info_args *args, void *buf, size_t size, uint64_t gpa);

#endif
