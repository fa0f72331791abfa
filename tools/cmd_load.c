/* SPDX-License-Identifier: MIT */
/*
 * xl-lite load: copies files or text into the memory of a paused guest. With create -p before and
 * unpause after it, the second of three steps that start a guest with contents of one's own.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xenforeignmemory.h>

#include "xl.h"

#define ADDRESS_MAX   ((uint64_t)1 << 48)
#define PAGES_AT_ONCE 512

struct piece {
    const char *what; /* for messages */
    const char *data;
    size_t size;
    bool mapped;
    uint64_t address;
};

static int map_file(const char *path, struct piece *piece)
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    void *map = MAP_FAILED;

    if (fd < 0) {
        return xl_error("%s: %s", path, strerror(errno));
    }
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_size == 0) {
        close(fd);
        return xl_error("%s: not a regular file with contents", path);
    }
    map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    close(fd);
    if (map == MAP_FAILED) {
        return xl_error("%s: %s", path, strerror(errno));
    }
    *piece =
        (struct piece){ .what = path, .data = map, .size = (size_t)st.st_size, .mapped = true };
    return 0;
}

/* Copies what of the piece lies in count pages from gfn on. */
static int copy_pages(uint32_t domid, const struct piece *piece, uint64_t gfn, size_t count)
{
    xenforeignmemory_handle *memory = xenforeignmemory_open(&xl.logger, 0);
    const uint64_t start = gfn << XC_PAGE_SHIFT;
    const uint64_t from = piece->address > start ? piece->address : start;
    const uint64_t end = piece->address + piece->size;
    const uint64_t to = end < start + count * XC_PAGE_SIZE ? end : start + count * XC_PAGE_SIZE;
    xen_pfn_t gfns[PAGES_AT_ONCE];
    char *map = NULL;

    if (memory == NULL) {
        return xl_hv_error("cannot map the guest's memory");
    }
    for (size_t i = 0; i < count; i++) {
        gfns[i] = gfn + i;
    }
    map = xenforeignmemory_map(memory, domid, PROT_READ | PROT_WRITE, count, gfns, NULL);
    if (map != NULL) {
        memcpy(map + (from - start), piece->data + (from - piece->address), to - from);
        xenforeignmemory_unmap(memory, map, count);
    }
    xenforeignmemory_close(memory);
    if (map == NULL) {
        return xl_hv_error("%s: the guest has no memory somewhere from 0x%" PRIx64 " on",
                           piece->what, from);
    }
    return 0;
}

static int load_piece(uint32_t domid, const struct piece *piece)
{
    const uint64_t last = (piece->address + piece->size - 1) >> XC_PAGE_SHIFT;

    for (uint64_t gfn = piece->address >> XC_PAGE_SHIFT; gfn <= last; gfn += PAGES_AT_ONCE) {
        const size_t count =
            last - gfn + 1 < PAGES_AT_ONCE ? (size_t)(last - gfn + 1) : PAGES_AT_ONCE;

        if (copy_pages(domid, piece, gfn, count) != 0) {
            return -1;
        }
    }
    return 0;
}

/* The next file or -s string at argv[*at], with its -a. */
static int next_piece(int argc, char **argv, int *at, struct piece *piece)
{
    if (strcmp(argv[*at], "-s") == 0) {
        if (*at + 1 >= argc || argv[*at + 1][0] == '\0') {
            return xl_error("-s needs a text");
        }
        *piece = (struct piece){ .what = "the text",
                                 .data = argv[*at + 1],
                                 .size = strlen(argv[*at + 1]) };
        *at += 2;
    } else if (argv[*at][0] == '-') {
        return xl_error("'%s' belongs behind a file or text", argv[*at]);
    } else if (map_file(argv[*at], piece) != 0) {
        return -1;
    } else {
        (*at)++;
    }
    if (*at < argc && strcmp(argv[*at], "-a") == 0) {
        if (*at + 1 >= argc ||
            xl_number(argv[*at + 1], ADDRESS_MAX - piece->size, &piece->address) != 0) {
            return xl_error("-a needs an address");
        }
        *at += 2;
    }
    return 0;
}

int cmd_load(int argc, char **argv)
{
    xc_domaininfo_t info;
    uint32_t domid;
    int at = 2;

    if (argc > 1 && (strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "--help") == 0)) {
        xl_print_help(xl_current, false);
        return XL_OK;
    }
    /* Options belong to the file before them: getopt would sort them away. */
    optind = 1;
    if (xl_arguments(argc, 2, argc) != 0) {
        return XL_USAGE;
    }
    if (xl_find_domain(argv[1], &domid) != 0) {
        return XL_FAILED;
    }
    if (domid == 0 || xl_domain_info(domid, &info) != 1 || (info.flags & XEN_DOMINF_paused) == 0) {
        xl_error("domain %u is not paused: nothing is loaded into a running one", domid);
        return XL_FAILED;
    }
    while (at < argc) {
        struct piece piece = { 0 };
        int rc = next_piece(argc, argv, &at, &piece);

        if (rc == 0) {
            rc = load_piece(domid, &piece);
        }
        if (piece.mapped) {
            munmap((void *)(uintptr_t)piece.data, piece.size);
        }
        if (rc != 0) {
            return XL_FAILED;
        }
    }
    return XL_OK;
}
