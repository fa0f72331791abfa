/* SPDX-License-Identifier: MIT */
/*
 * Checks and loads ELF64 kernels that have a Xen note with a 32-bit physical entry point
 * (docs/misc/pvh in Xen; System V ABI, chapter 5).
 */
#include "domain/pvh_elf.h"

#include "lib/errno.h"
#include "lib/le.h"
#include "lib/string.h"

#define EHDR_LEN     64
#define EHDR_TYPE    16
#define EHDR_MACHINE 18
#define EHDR_PHOFF   32
#define EHDR_PHSIZE  54
#define EHDR_PHNUM   56
#define PHDR_LEN     56
#define MAX_PHDRS    64
#define EM_X86_64    62
#define ET_EXEC      2
#define ET_DYN       3
#define PT_LOAD      1
#define PT_NOTE      4

#define NOTE_PHYS32_ENTRY 18
#define LIMIT             BIT(32)

struct phdr {
    uint32_t type;
    uint64_t offset, paddr, filesz, memsz;
};

struct elf {
    const uint8_t *data;
    size_t len;
    uint64_t phoff;
    unsigned phsize, phnum;
};

static int open_elf(const void *data, size_t len, struct elf *e)
{
    const uint8_t *p = data;
    uint16_t type;

    /* 64 bits, little-endian, version 1 */
    if (len < EHDR_LEN || memcmp(p, "\177ELF\2\1\1", 7) || get_le16(p + EHDR_MACHINE) != EM_X86_64)
        return -EINVAL;
    type = get_le16(p + EHDR_TYPE);
    if (type != ET_EXEC && type != ET_DYN)
        return -EINVAL;
    e->data = data;
    e->len = len;
    e->phoff = get_le64(p + EHDR_PHOFF);
    e->phsize = get_le16(p + EHDR_PHSIZE);
    e->phnum = get_le16(p + EHDR_PHNUM);
    if (e->phsize < PHDR_LEN || !e->phnum || e->phnum > MAX_PHDRS || e->phoff > len ||
        (uint64_t)e->phsize * e->phnum > len - e->phoff)
        return -EINVAL;
    return 0;
}

/* Program header i, its part of the file checked. */
static int get_phdr(const struct elf *e, unsigned i, struct phdr *ph)
{
    const uint8_t *p = e->data + e->phoff + (size_t)i * e->phsize;

    ph->type = get_le32(p);
    ph->offset = get_le64(p + 8);
    ph->paddr = get_le64(p + 24);
    ph->filesz = get_le64(p + 32);
    ph->memsz = get_le64(p + 40);
    if (ph->type != PT_LOAD && ph->type != PT_NOTE)
        return 0;
    if (ph->offset > e->len || ph->filesz > e->len - ph->offset)
        return -EINVAL;
    if (ph->type == PT_LOAD && ph->filesz > ph->memsz)
        return -EINVAL;
    return 0;
}

/* Looks for the entry note in one note segment.  Owner and descriptor are padded to 4 bytes. */
static int scan_notes(const uint8_t *p, uint64_t len, uint64_t *entry)
{
    while (len >= 12) {
        uint64_t namesz = get_le32(p), descsz = get_le32(p + 4);
        uint64_t desc = 12 + ALIGN_UP(namesz, 4), total = desc + ALIGN_UP(descsz, 4);

        if (desc + descsz > len)
            return -EINVAL;
        if (get_le32(p + 8) == NOTE_PHYS32_ENTRY && namesz == 4 && !memcmp(p + 12, "Xen", 4)) {
            if (descsz != 4 && descsz != 8)
                return -EINVAL;
            *entry = descsz == 8 ? get_le64(p + desc) : get_le32(p + desc);
            return 0;
        }
        total = MIN(total, len);
        p += total;
        len -= total;
    }
    return -ENOENT;
}

static int find_entry(const struct elf *e, uint64_t *entry)
{
    struct phdr ph;
    unsigned i;
    int rc;

    for (i = 0; i < e->phnum; i++) {
        rc = get_phdr(e, i, &ph);
        if (rc)
            return rc;
        if (ph.type != PT_NOTE)
            continue;
        rc = scan_notes(e->data + ph.offset, ph.filesz, entry);
        if (rc != -ENOENT)
            return rc;
    }
    return -ENOENT;
}

/* Is there another segment, before number `n`, in [start, end)? */
static bool overlaps(const struct elf *e, unsigned n, uint64_t start, uint64_t end)
{
    struct phdr ph;
    unsigned i;

    for (i = 0; i < n; i++)
        if (!get_phdr(e, i, &ph) && ph.type == PT_LOAD && ph.memsz && ph.paddr < end &&
            start < ph.paddr + ph.memsz)
            return true;
    return false;
}

static int check_segments(const struct elf *e, struct pvh_elf *out)
{
    bool entry_inside = false;
    struct phdr ph;
    unsigned i;
    int rc;

    out->start = ~0ull;
    for (i = 0; i < e->phnum; i++) {
        rc = get_phdr(e, i, &ph);
        if (rc)
            return rc;
        if (ph.type != PT_LOAD || !ph.memsz)
            continue;
        if (ph.paddr >= LIMIT || ph.memsz > LIMIT - ph.paddr)
            return -ERANGE;
        if (overlaps(e, i, ph.paddr, ph.paddr + ph.memsz))
            return -EINVAL;
        out->start = MIN(out->start, ph.paddr);
        out->end = MAX(out->end, ph.paddr + ph.memsz);
        out->nr_segments++;
        entry_inside |= out->entry >= ph.paddr && out->entry - ph.paddr < ph.filesz;
    }
    return entry_inside ? 0 : -EINVAL;
}

int pvh_elf_parse(const void *elf, size_t len, struct pvh_elf *out)
{
    struct elf e;
    int rc;

    memset(out, 0, sizeof(*out));
    rc = open_elf(elf, len, &e);
    if (!rc)
        rc = find_entry(&e, &out->entry);
    return rc ? rc : check_segments(&e, out);
}

int pvh_elf_load(const void *elf, size_t len, pvh_place_fn place, void *ctx)
{
    struct pvh_elf info;
    struct phdr ph;
    struct elf e;
    unsigned i;
    int rc;

    rc = pvh_elf_parse(elf, len, &info);
    if (rc || (rc = open_elf(elf, len, &e)))
        return rc;
    for (i = 0; i < e.phnum && !rc; i++) {
        rc = get_phdr(&e, i, &ph);
        if (!rc && ph.type == PT_LOAD && ph.memsz)
            rc = place(ctx, ph.paddr, e.data + ph.offset, ph.filesz, ph.memsz);
    }
    return rc;
}
