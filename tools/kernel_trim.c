/* SPDX-License-Identifier: MIT */
/*
 * Cuts trailing zeros off an ELF kernel (kernel_trim.h).
 */
#include "kernel_trim.h"

#include <elf.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#define PAGE ((uint64_t)4096)

static bool header_is_fine(const Elf64_Ehdr *ehdr)
{
    return memcmp(ehdr->e_ident, ELFMAG, SELFMAG) == 0 && ehdr->e_ident[EI_CLASS] == ELFCLASS64 &&
           ehdr->e_ident[EI_DATA] == ELFDATA2LSB && ehdr->e_phentsize == sizeof(Elf64_Phdr) &&
           ehdr->e_phnum > 0 && ehdr->e_phoff % 8 == 0 && ehdr->e_phoff <= KERNEL_TRIM_HEAD &&
           ehdr->e_phnum <= (KERNEL_TRIM_HEAD - ehdr->e_phoff) / sizeof(Elf64_Phdr);
}

static bool segment_is_fine(const Elf64_Phdr *phdr, size_t size)
{
    return phdr->p_offset <= size && phdr->p_filesz <= size - phdr->p_offset &&
           phdr->p_filesz <= phdr->p_memsz && phdr->p_memsz <= UINT32_MAX &&
           phdr->p_paddr <= UINT32_MAX;
}

/* The segment that ends last in memory, if it also ends last in the file; all that is loaded or
 * read must be in order. */
static Elf64_Phdr *last_segment(Elf64_Phdr *phdrs, unsigned count, size_t size)
{
    Elf64_Phdr *last = NULL;

    for (unsigned i = 0; i < count; i++) {
        if (!segment_is_fine(&phdrs[i], size)) {
            return NULL;
        }
        if (phdrs[i].p_type == PT_LOAD &&
            (last == NULL || phdrs[i].p_paddr + phdrs[i].p_memsz > last->p_paddr + last->p_memsz)) {
            last = &phdrs[i];
        }
    }
    for (unsigned i = 0; i < count && last != NULL; i++) {
        if (phdrs[i].p_offset + phdrs[i].p_filesz > last->p_offset + last->p_filesz) {
            return NULL;
        }
    }
    return last;
}

/* Bytes of the segment up to its last one that is not zero, in whole pages, and never cutting into
 * what another header points to. */
static uint64_t useful_size(const uint8_t *image, const Elf64_Phdr *last, const Elf64_Phdr *phdrs,
                            unsigned count)
{
    uint64_t size = last->p_filesz;

    while (size > 0 && image[last->p_offset + size - 1] == 0) {
        size--;
    }
    for (unsigned i = 0; i < count; i++) {
        const uint64_t end = phdrs[i].p_offset + phdrs[i].p_filesz;

        if (&phdrs[i] != last && end > last->p_offset + size) {
            size = end - last->p_offset;
        }
    }
    size = (size + PAGE - 1) & ~(PAGE - 1);
    return size < last->p_filesz ? size : last->p_filesz;
}

int kernel_trim(const void *image, size_t size, uint8_t head[KERNEL_TRIM_HEAD], size_t *kept,
                uint64_t *end)
{
    Elf64_Ehdr ehdr;
    Elf64_Phdr phdrs[KERNEL_TRIM_HEAD / sizeof(Elf64_Phdr)], *last;
    uint64_t useful;

    if (size < KERNEL_TRIM_HEAD) {
        return -EINVAL;
    }
    memcpy(&ehdr, image, sizeof(ehdr));
    if (!header_is_fine(&ehdr)) {
        return -EINVAL;
    }
    memcpy(phdrs, (const uint8_t *)image + ehdr.e_phoff, ehdr.e_phnum * sizeof(Elf64_Phdr));
    last = last_segment(phdrs, ehdr.e_phnum, size);
    if (last == NULL) {
        return -EINVAL;
    }
    useful = useful_size(image, last, phdrs, ehdr.e_phnum);
    if (useful == 0 || useful + PAGE > last->p_memsz ||
        last->p_offset + useful < KERNEL_TRIM_HEAD) {
        return -EINVAL;
    }
    *end = (last->p_paddr + last->p_memsz + PAGE - 1) & ~(PAGE - 1);
    *kept = last->p_offset + useful;
    last->p_filesz = useful;
    last->p_memsz = useful;
    /* Section headers lie behind what is kept, and loading needs none. */
    ehdr.e_shoff = 0;
    ehdr.e_shnum = 0;
    ehdr.e_shstrndx = 0;
    memcpy(head, image, KERNEL_TRIM_HEAD);
    memcpy(head, &ehdr, sizeof(ehdr));
    memcpy(head + ehdr.e_phoff, phdrs, ehdr.e_phnum * sizeof(Elf64_Phdr));
    return 0;
}

int kernel_untrim(void *image, size_t size, uint64_t end)
{
    Elf64_Ehdr ehdr;
    Elf64_Phdr phdrs[KERNEL_TRIM_HEAD / sizeof(Elf64_Phdr)], *last;

    if (size < KERNEL_TRIM_HEAD) {
        return -EINVAL;
    }
    memcpy(&ehdr, image, sizeof(ehdr));
    if (!header_is_fine(&ehdr)) {
        return -EINVAL;
    }
    memcpy(phdrs, (const uint8_t *)image + ehdr.e_phoff, ehdr.e_phnum * sizeof(Elf64_Phdr));
    last = last_segment(phdrs, ehdr.e_phnum, size);
    if (last == NULL || end < last->p_paddr + last->p_memsz || end > UINT32_MAX) {
        return -EINVAL;
    }
    last->p_memsz = end - last->p_paddr;
    memcpy((uint8_t *)image + ehdr.e_phoff, phdrs, ehdr.e_phnum * sizeof(Elf64_Phdr));
    return 0;
}
