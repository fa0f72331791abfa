/* SPDX-License-Identifier: MIT */
/*
 * Where things lie in the control domain's memory while it is built, and its page table at the end.
 */
#ifndef XL_DOMAIN_CONTROL_MAP_H
#define XL_DOMAIN_CONTROL_MAP_H

#include "boot/multiboot.h"
#include "domain/start_info.h"
#include "lib/types.h"

struct domain;

#define CTL_MAX_BUSY 24

struct ctl_layout {
    const struct boot_info *bi;
    struct boot_mem map[CTL_MAX_MEMMAP]; /* the control domain's memory map */
    unsigned nr;
    uint64_t given;                      /* bytes of RAM it has */
    uint64_t acpi, acpi_size;            /* for its ACPI tables; type 3 in the map */
    struct boot_mem busy[CTL_MAX_BUSY];  /* ranges of its RAM that are in use during the build */
    unsigned nr_busy;
};

/* Divides the machine's memory: `quota` bytes for the control domain, the hypervisor's and `acpi_size` bytes carved out. Panics on failure. */
void ctl_layout_init(struct ctl_layout *l, const struct boot_info *bi, uint64_t quota, uint64_t acpi_size);
#define CTL_LOW_4G (1UL << 32)
/* Linux reads start info through its first page tables, which reach 1 GiB. */
#define CTL_LOW_1G (1UL << 30)

/* `size` bytes of the control domain's RAM below `limit` that nothing else uses, as high as possible; 0 if there are none. */
uint64_t ctl_layout_take(struct ctl_layout *l, uint64_t size, uint64_t limit);
bool ctl_layout_is_busy(const struct ctl_layout *l, uint64_t gpa, uint64_t size);
bool ctl_layout_is_ram(const struct ctl_layout *l, uint64_t gpa, uint64_t size);
/*
 * Makes it real: frames become the domain's, the rest of RAM free memory, and the p2m maps RAM and firmware memory 1:1,
 * without anything that only the hypervisor may touch. The boot modules are gone after this. Panics on failure.
 */
void ctl_layout_commit(struct ctl_layout *l, struct domain *d);

#endif
