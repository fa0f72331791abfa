/* SPDX-License-Identifier: MIT */
/*
 * Reads the boot loader's information, multiboot 1 (specification 0.6.96, 3.3) or 2 (2.0, 3.6),
 * into struct boot_info.  The loader is trusted to hand over the machine, but not to be free of
 * mistakes: each length and count is checked before use, and a malformed structure is refused.
 */
#include "boot/multiboot.h"

#include "lib/errno.h"
#include "lib/le.h"
#include "lib/string.h"
#include "mm/phys.h"

/* Multiboot 1 information: flags say which fields are there. */
#define MB1_INFO_LEN    68
#define MB1_FLAGS       0
#define MB1_CMDLINE     16
#define MB1_MODS_COUNT  20
#define MB1_MODS_ADDR   24
#define MB1_MMAP_LENGTH 44
#define MB1_MMAP_ADDR   48
#define MB1_LOADER      64
#define MB1_HAS_CMDLINE BIT(2)
#define MB1_HAS_MODS    BIT(3)
#define MB1_HAS_MMAP    BIT(6)
#define MB1_HAS_LOADER  BIT(9)
#define MB1_MOD_LEN     16
#define MB1_MMAP_MIN    20 /* base, length, type; the size field in front does not count itself */

/* Multiboot 2 tags. */
#define MB2_MAX_SIZE   (1u << 20)
#define MB2_TAG_HEADER 8
enum mb2_tag {
    MB2_END = 0,
    MB2_CMDLINE = 1,
    MB2_LOADER = 2,
    MB2_MODULE = 3,
    MB2_MMAP = 6,
    MB2_EFI32 = 11,
    MB2_EFI64 = 12,
    MB2_RSDP_OLD = 14,
    MB2_RSDP_NEW = 15,
    MB2_EFI_MMAP = 17,
};

/* UEFI 2.9, 7.2: memory descriptors, as far as they matter. */
#define EFI_DESC_MIN   40
#define EFI_DESC_BASE  8
#define EFI_DESC_PAGES 24

struct parser {
    boot_map_fn map;
    struct boot_info *bi;
};

static const void *default_map(paddr_t pa, size_t len)
{
    if (pa >= BIT(32) || len > BIT(32) - pa)
        return NULL;
    return phys_to_virt(pa);
}

/* Copies a string of unknown length, never reading past the page that it ends in. */
static int copy_string(const struct parser *p, paddr_t pa, char *dst, size_t max)
{
    size_t done = 0;

    while (done < max) {
        size_t chunk = MIN(PAGE_SIZE - (pa & (PAGE_SIZE - 1)), max - done);
        const char *src = p->map(pa, chunk);
        size_t n;

        if (!src)
            return -EFAULT;
        n = strnlen(src, chunk);
        memcpy(dst + done, src, n);
        done += n;
        pa += n;
        if (n < chunk) {
            dst[done] = '\0';
            return 0;
        }
    }
    dst[max - 1] = '\0';
    return -E2BIG;
}

/* GRUB 2 hands over the arguments alone, all others put the file's name in front. */
static bool loader_names_file(const char *loader)
{
    if (!strncmp(loader, "GRUB 1.9", 8))
        return false;
    return strncmp(loader, "GRUB ", 5) || loader[5] < '2' || loader[5] > '9';
}

static void strip_first_word(char *s)
{
    const char *p = s;

    while (*p == ' ')
        p++;
    while (*p && *p != ' ')
        p++;
    while (*p == ' ')
        p++;
    memmove(s, p, strlen(p) + 1);
}

/* Adds a range, joining it with the one before if it goes on from there. */
static int add_mem(struct boot_info *bi, uint64_t base, uint64_t len, uint32_t type)
{
    struct boot_mem *last = bi->nr_mem ? &bi->mem[bi->nr_mem - 1] : NULL;

    if (!len)
        return 0;
    if (type < BOOT_MEM_RAM || type > BOOT_MEM_UNUSABLE)
        type = BOOT_MEM_RESERVED;
    if (last && last->type == type && last->base + last->len == base && base) {
        last->len += len;
        return 0;
    }
    if (bi->nr_mem == BOOT_MAX_MEM)
        return -E2BIG;
    bi->mem[bi->nr_mem++] = (struct boot_mem){ .base = base, .len = len, .type = type };
    return 0;
}

static int add_module(struct boot_info *bi, uint32_t start, uint32_t end, struct boot_module **mod)
{
    if (end <= start)
        return -EINVAL;
    if (bi->nr_mods == BOOT_MAX_MODS)
        return -E2BIG;
    *mod = &bi->mod[bi->nr_mods++];
    (*mod)->start = start;
    (*mod)->end = end;
    return 0;
}

/* Multiboot 1 */

static int mb1_mods(const struct parser *p, const uint8_t *info)
{
    uint32_t nr = get_le32(info + MB1_MODS_COUNT), i;
    const uint8_t *e;
    int rc = 0;

    if (!nr)
        return 0;
    if (nr > BOOT_MAX_MODS)
        return -E2BIG;
    e = p->map(get_le32(info + MB1_MODS_ADDR), nr * MB1_MOD_LEN);
    if (!e)
        return -EFAULT;
    for (i = 0; i < nr && !rc; i++, e += MB1_MOD_LEN) {
        struct boot_module *mod;
        uint32_t string = get_le32(e + 8);

        rc = add_module(p->bi, get_le32(e), get_le32(e + 4), &mod);
        if (!rc && string)
            rc = copy_string(p, string, mod->cmdline, sizeof(mod->cmdline));
    }
    return rc;
}

static int mb1_mmap(const struct parser *p, const uint8_t *info)
{
    uint32_t len = get_le32(info + MB1_MMAP_LENGTH), off = 0;
    const uint8_t *map;
    int rc = 0;

    if (len > MB2_MAX_SIZE)
        return -EINVAL;
    map = p->map(get_le32(info + MB1_MMAP_ADDR), len);
    if (!map)
        return -EFAULT;
    while (!rc && off + 4 + MB1_MMAP_MIN <= len) {
        const uint8_t *e = map + off;
        uint32_t size = get_le32(e);

        if (size < MB1_MMAP_MIN || size > len - off - 4)
            return -EINVAL;
        rc = add_mem(p->bi, get_le64(e + 4), get_le64(e + 12), get_le32(e + 20));
        off += 4 + size;
    }
    return rc;
}

static int mb1_parse(const struct parser *p, paddr_t pa)
{
    const uint8_t *info = p->map(pa, MB1_INFO_LEN);
    struct boot_info *bi = p->bi;
    uint32_t flags;
    int rc = 0;

    if (!info)
        return -EFAULT;
    flags = get_le32(info + MB1_FLAGS);
    if (flags & MB1_HAS_LOADER) {
        rc = copy_string(p, get_le32(info + MB1_LOADER), bi->loader, sizeof(bi->loader));
        if (rc == -E2BIG) /* a long name is cut */
            rc = 0;
    }
    if (!rc && flags & MB1_HAS_CMDLINE)
        rc = copy_string(p, get_le32(info + MB1_CMDLINE), bi->cmdline, sizeof(bi->cmdline));
    if (!rc && flags & MB1_HAS_MODS)
        rc = mb1_mods(p, info);
    if (!rc && flags & MB1_HAS_MMAP)
        rc = mb1_mmap(p, info);
    return rc;
}

/* Multiboot 2 */

/* A string that fills the rest of a tag; it must end inside of it. */
static int tag_string(const uint8_t *s, uint32_t len, char *dst, size_t max, bool cut)
{
    size_t n = strnlen((const char *)s, len);

    if (n == len)
        return -EINVAL;
    if (n >= max) {
        if (!cut)
            return -E2BIG;
        n = max - 1;
    }
    memcpy(dst, s, n);
    dst[n] = '\0';
    return 0;
}

static int mb2_module(struct boot_info *bi, const uint8_t *tag, uint32_t size)
{
    struct boot_module *mod;
    int rc;

    if (size < 17)
        return -EINVAL;
    rc = add_module(bi, get_le32(tag + 8), get_le32(tag + 12), &mod);
    if (rc)
        return rc;
    return tag_string(tag + 16, size - 16, mod->cmdline, sizeof(mod->cmdline), false);
}

static int mb2_mmap(struct boot_info *bi, const uint8_t *tag, uint32_t size)
{
    uint32_t entry = size >= 16 ? get_le32(tag + 8) : 0, off;
    int rc = 0;

    if (entry < 24 || entry > 256)
        return -EINVAL;
    bi->nr_mem = 0; /* this tag counts, should a UEFI map have come first */
    for (off = 16; off + entry <= size && !rc; off += entry)
        rc = add_mem(bi, get_le64(tag + off), get_le64(tag + off + 8), get_le32(tag + off + 16));
    return rc;
}

/* UEFI 2.9, 7.2, table 7-6: what each type is once boot services are gone. */
static uint32_t efi_mem_type(uint32_t type)
{
    switch (type) {
    case 1: /* loader code and data, boot services code and data, conventional */
    case 2:
    case 3:
    case 4:
    case 7:
        return BOOT_MEM_RAM;
    case 8:
        return BOOT_MEM_UNUSABLE;
    case 9:
        return BOOT_MEM_ACPI;
    case 10:
        return BOOT_MEM_NVS;
    default:
        return BOOT_MEM_RESERVED;
    }
}

static int mb2_efi_mmap(struct boot_info *bi, const uint8_t *tag, uint32_t size)
{
    uint32_t desc = size >= 16 ? get_le32(tag + 8) : 0, off;
    int rc = 0;

    if (desc < EFI_DESC_MIN || desc > 256)
        return -EINVAL;
    for (off = 16; off + desc <= size && !rc; off += desc) {
        uint64_t pages = get_le64(tag + off + EFI_DESC_PAGES);

        if (pages > BIT(52))
            return -EINVAL;
        rc = add_mem(bi, get_le64(tag + off + EFI_DESC_BASE), pages << PAGE_SHIFT,
                     efi_mem_type(get_le32(tag + off)));
    }
    return rc;
}

static int mb2_rsdp(struct boot_info *bi, const uint8_t *tag, uint32_t size, uint32_t want)
{
    if (size < MB2_TAG_HEADER + want)
        return -EINVAL;
    if (bi->rsdp_len >= want) /* the newer tag wins, in whichever order they come */
        return 0;
    memcpy(bi->rsdp, tag + MB2_TAG_HEADER, want);
    bi->rsdp_len = want;
    return 0;
}

static int mb2_efi(struct boot_info *bi, const uint8_t *tag, uint32_t size, bool is64)
{
    if (size < MB2_TAG_HEADER + (is64 ? 8u : 4u))
        return -EINVAL;
    bi->efi = true;
    bi->efi_system_table = is64 ? get_le64(tag + 8) : get_le32(tag + 8);
    return 0;
}

static int mb2_tag(struct boot_info *bi, uint32_t type, const uint8_t *tag, uint32_t size,
                   bool *have_mmap)
{
    const uint8_t *body = tag + MB2_TAG_HEADER;
    uint32_t len = size - MB2_TAG_HEADER;

    switch (type) {
    case MB2_CMDLINE:
        return tag_string(body, len, bi->cmdline, sizeof(bi->cmdline), false);
    case MB2_LOADER:
        return tag_string(body, len, bi->loader, sizeof(bi->loader), true);
    case MB2_MODULE:
        return mb2_module(bi, tag, size);
    case MB2_MMAP:
        *have_mmap = true;
        return mb2_mmap(bi, tag, size);
    case MB2_EFI_MMAP:
        return *have_mmap ? 0 : mb2_efi_mmap(bi, tag, size);
    case MB2_EFI32:
    case MB2_EFI64:
        return mb2_efi(bi, tag, size, type == MB2_EFI64);
    case MB2_RSDP_OLD:
        return mb2_rsdp(bi, tag, size, 20);
    case MB2_RSDP_NEW:
        return mb2_rsdp(bi, tag, size, BOOT_RSDP_LEN);
    default:
        return 0;
    }
}

static int mb2_parse(const struct parser *p, paddr_t pa)
{
    const uint8_t *info = p->map(pa, 8);
    uint32_t total, off;
    bool have_mmap = false;
    int rc = 0;

    if (!info)
        return -EFAULT;
    total = get_le32(info);
    if (pa & 7 || total < 16 || total > MB2_MAX_SIZE)
        return -EINVAL;
    info = p->map(pa, total);
    if (!info)
        return -EFAULT;

    for (off = 8; off + MB2_TAG_HEADER <= total && !rc;) {
        uint32_t type = get_le32(info + off), size = get_le32(info + off + 4);

        if (size < MB2_TAG_HEADER || size > total - off)
            return -EINVAL;
        if (type == MB2_END)
            return 0;
        rc = mb2_tag(p->bi, type, info + off, size, &have_mmap);
        off += ALIGN_UP(size, 8);
    }
    return rc ? rc : -EINVAL; /* the end tag is missing */
}

/* What both versions need once everything is read. */
static int finish(struct boot_info *bi)
{
    unsigned i;
    int nr;

    if (loader_names_file(bi->loader)) {
        strip_first_word(bi->cmdline);
        for (i = 0; i < bi->nr_mods; i++)
            strip_first_word(bi->mod[i].cmdline);
    }
    nr = boot_mem_sanitize(bi->mem, bi->nr_mem, BOOT_MAX_MEM);
    if (nr < 0)
        return nr;
    bi->nr_mem = (unsigned)nr;
    return boot_mem_ram_total(bi->mem, bi->nr_mem) ? 0 : -ENOENT;
}

int multiboot_parse(uint32_t magic, paddr_t info, boot_map_fn map, struct boot_info *bi)
{
    struct parser p = { .map = map ? map : default_map, .bi = bi };
    int rc = -EINVAL;

    memset(bi, 0, sizeof(*bi));
    if (magic == MULTIBOOT1_MAGIC)
        rc = mb1_parse(&p, info);
    else if (magic == MULTIBOOT2_MAGIC)
        rc = mb2_parse(&p, info);
    if (!rc)
        rc = finish(bi);
    if (rc)
        memset(bi, 0, sizeof(*bi));
    return rc;
}
