/* SPDX-License-Identifier: MIT */
/*
 * The PVH start info: one buffer that holds the structure itself, the module list, the memory map
 * and the command line.
 */
#include "domain/start_info.h"

#include <xen/arch-x86/hvm/start_info.h>
#include <xen/xen.h>

#include "lib/errno.h"
#include "lib/string.h"

#define CHUNK_ALIGN 64

/* Offsets into the buffer. */
struct layout {
    size_t modlist, memmap, cmdline, total;
};

static struct layout lay_out(const struct start_info_args *a)
{
    struct layout l;

    l.modlist = ALIGN_UP(sizeof(struct hvm_start_info), CHUNK_ALIGN);
    l.memmap = l.modlist + ALIGN_UP(sizeof(struct hvm_modlist_entry), CHUNK_ALIGN);
    l.cmdline =
        l.memmap + ALIGN_UP(a->nr_memmap * sizeof(struct hvm_memmap_table_entry), CHUNK_ALIGN);
    l.total = l.cmdline + (a->cmdline ? strlen(a->cmdline) : 0) + 1;
    return l;
}

size_t start_info_size(const struct start_info_args *a)
{
    return ALIGN_UP(lay_out(a).total, PAGE_SIZE);
}

static void write_memmap(struct hvm_memmap_table_entry *e, const struct boot_mem *m, unsigned nr)
{
    unsigned i;

    for (i = 0; i < nr; i++) {
        e[i].addr = m[i].base;
        e[i].size = m[i].len;
        e[i].type = m[i].type;
    }
}

int start_info_build(const struct start_info_args *a, void *buf, size_t size, uint64_t gpa)
{
    struct layout l = lay_out(a);
    struct hvm_start_info *si = buf;
    uint8_t *p = buf;

    if (a->nr_memmap > CTL_MAX_MEMMAP || gpa & 7 || gpa >= BIT(32) || size > BIT(32) - gpa)
        return -EINVAL;
    if (a->initrd_size && (a->initrd >= BIT(32) || a->initrd_size > BIT(32) - a->initrd))
        return -EINVAL;
    if (size < l.total)
        return -ENOSPC;

    memset(buf, 0, size);
    si->magic = XEN_HVM_START_MAGIC_VALUE;
    si->version = 1;
    si->flags = a->control ? SIF_PRIVILEGED | SIF_INITDOMAIN : 0;
    si->rsdp_paddr = a->rsdp;
    si->memmap_paddr = gpa + l.memmap;
    si->memmap_entries = a->nr_memmap;
    si->cmdline_paddr = gpa + l.cmdline;
    if (a->cmdline)
        memcpy(p + l.cmdline, a->cmdline, strlen(a->cmdline) + 1);
    if (a->initrd_size) {
        struct hvm_modlist_entry *mod = (struct hvm_modlist_entry *)(p + l.modlist);

        si->nr_modules = 1;
        si->modlist_paddr = gpa + l.modlist;
        mod->paddr = a->initrd;
        mod->size = a->initrd_size;
    }
    write_memmap((struct hvm_memmap_table_entry *)(p + l.memmap), a->memmap, a->nr_memmap);
    return 0;
}
