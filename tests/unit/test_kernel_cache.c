/* SPDX-License-Identifier: MIT */
/*
 * The cache of unpacked kernels: what it keeps and returns, what it does not trust, its bound; and
 * the cutting of trailing zeros.
 */
#include <dirent.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "tools/kernel_cache.h"
#include "tools/kernel_trim.h"

static char top[] = "/tmp/test_kernel_cache.XXXXXX";
static char dir[64];

static int setup(void **state)
{
    (void)state;
    if (mkdtemp(top) == NULL) {
        return -1;
    }
    snprintf(dir, sizeof(dir), "%s/cache", top);
    return 0;
}

static int teardown(void **state)
{
    char command[128];

    (void)state;
    snprintf(command, sizeof(command), "rm -rf %s", top);
    return system(command);
}

static unsigned count_files(void)
{
    DIR *d = opendir(dir);
    unsigned n = 0;

    assert_non_null(d);
    while (readdir(d) != NULL) {
        n++;
    }
    closedir(d);
    return n - 2;
}

static void test_keep_and_find(void **state)
{
    struct kernel_cached found;

    (void)state;
    assert_int_not_equal(kernel_cache_find(dir, "k", &found), 0);
    assert_int_equal(kernel_cache_keep(dir, "k", "kernel", 6), 0);
    assert_int_equal(kernel_cache_find(dir, "k", &found), 0);
    assert_int_equal(found.size, 6);
    assert_int_equal(found.end, 0);
    assert_memory_equal(found.map, "kernel", 6);
    kernel_cache_release(&found);
    assert_null(found.map);
    assert_int_equal(kernel_cache_find(dir, "other", &found), -ENOENT);
}

static void test_trust(void **state)
{
    struct kernel_cached found;
    char path[96];

    (void)state;
    snprintf(path, sizeof(path), "%s/k", dir);
    assert_int_equal(kernel_cache_keep(dir, "k", "kernel", 6), 0);
    assert_int_equal(truncate(path, 20), 0);
    assert_int_not_equal(kernel_cache_find(dir, "k", &found), 0);
    assert_int_equal(kernel_cache_keep(dir, "k", "kernel", 6), 0);
    assert_int_equal(chmod(path, 0644), 0);
    assert_int_equal(kernel_cache_find(dir, "k", &found), -EPERM);
    assert_int_equal(chmod(path, 0600), 0);
    assert_int_equal(chmod(dir, 0777), 0);
    assert_int_equal(kernel_cache_find(dir, "k", &found), -EPERM);
    assert_int_equal(kernel_cache_keep(dir, "k", "kernel", 6), -EPERM);
    assert_int_equal(chmod(dir, 0700), 0);
    if (geteuid() == 0) {
        assert_int_equal(chown(path, 12345, 0), 0);
        assert_int_equal(kernel_cache_find(dir, "k", &found), -EPERM);
    }
}

static void test_bound(void **state)
{
    struct kernel_cached found;
    char key[8];

    (void)state;
    for (unsigned i = 0; i < 3 * KERNEL_CACHE_FILES; i++) {
        snprintf(key, sizeof(key), "n%u", i);
        assert_int_equal(kernel_cache_keep(dir, key, "kernel", 6), 0);
        assert_true(count_files() <= KERNEL_CACHE_FILES);
    }
    assert_int_equal(kernel_cache_find(dir, key, &found), 0);
    kernel_cache_release(&found);
}

static void test_key(void **state)
{
    char path[96], first[KERNEL_CACHE_KEY], second[KERNEL_CACHE_KEY];
    FILE *out;

    (void)state;
    snprintf(path, sizeof(path), "%s/vmlinuz", top);
    out = fopen(path, "w");
    fputs("one", out);
    fclose(out);
    assert_int_equal(kernel_cache_key(path, first), 0);
    assert_null(strchr(first, '/'));
    assert_int_equal(kernel_cache_key(path, second), 0);
    assert_string_equal(first, second);
    out = fopen(path, "w");
    fputs("other", out);
    fclose(out);
    assert_int_equal(kernel_cache_key(path, second), 0);
    assert_string_not_equal(first, second);
    assert_int_equal(kernel_cache_key("/nonexistent", second), -ENOENT);
}

#define IMAGE_SIZE 0x10000

/* Two segments at file offsets 0x1000 and 0x4000, the second with data up to 0x5010 and zeros
 * behind; a third header in the first. */
static uint8_t *make_image(void)
{
    uint8_t *image = calloc(1, IMAGE_SIZE);
    Elf64_Ehdr ehdr = { .e_phoff = 64,
                        .e_phnum = 3,
                        .e_phentsize = sizeof(Elf64_Phdr),
                        .e_shoff = 0xf000,
                        .e_shnum = 4,
                        .e_shstrndx = 3 };
    const Elf64_Phdr phdrs[3] = {
        { .p_type = PT_LOAD,
          .p_offset = 0x1000,
          .p_filesz = 0x3000,
          .p_memsz = 0x3000,
          .p_paddr = 0x1000000 },
        { .p_type = PT_LOAD,
          .p_offset = 0x4000,
          .p_filesz = 0x8000,
          .p_memsz = 0x9000,
          .p_paddr = 0x1003000 },
        { .p_type = PT_NOTE, .p_offset = 0x2000, .p_filesz = 0x100, .p_memsz = 0x100 },
    };

    assert_non_null(image);
    memcpy(ehdr.e_ident, ELFMAG, SELFMAG);
    ehdr.e_ident[EI_CLASS] = ELFCLASS64;
    ehdr.e_ident[EI_DATA] = ELFDATA2LSB;
    memcpy(image, &ehdr, sizeof(ehdr));
    memcpy(image + 64, phdrs, sizeof(phdrs));
    memset(image + 0x1000, 0x11, 0x3000);
    memset(image + 0x4000, 0x22, 0x1010);
    return image;
}

static void test_trim(void **state)
{
    uint8_t *image = make_image(), head[KERNEL_TRIM_HEAD];
    Elf64_Phdr phdr;
    uint64_t end = 0;
    size_t kept = 0;

    (void)state;
    assert_int_equal(kernel_trim(image, IMAGE_SIZE, head, &kept, &end), 0);
    assert_int_equal(kept, 0x6000);
    assert_int_equal(end, 0x100c000);
    memcpy(&phdr, head + 64 + sizeof(phdr), sizeof(phdr));
    assert_int_equal(phdr.p_filesz, 0x2000);
    assert_int_equal(phdr.p_memsz, 0x2000);
    assert_memory_equal(head + 64, image + 64, sizeof(phdr));
    memcpy(image, head, sizeof(head));
    assert_int_equal(kernel_untrim(image, kept, end), 0);
    memcpy(&phdr, image + 64 + sizeof(phdr), sizeof(phdr));
    assert_int_equal(phdr.p_memsz, 0x9000);
    assert_int_equal(phdr.p_filesz, 0x2000);
    assert_int_equal(kernel_untrim(image, kept, 0x1003000), -EINVAL);
    assert_int_equal(kernel_untrim(image, 100, end), -EINVAL);
    free(image);
}

/* Images that lie are left alone, whatever single byte of their headers lies. */
static void test_trim_hostile(void **state)
{
    uint8_t head[KERNEL_TRIM_HEAD];
    uint64_t end;
    size_t kept;

    (void)state;
    for (unsigned at = 0; at < 64 + 3 * sizeof(Elf64_Phdr); at++) {
        uint8_t *image = make_image();

        image[at] ^= 0xff;
        if (kernel_trim(image, IMAGE_SIZE, head, &kept, &end) == 0) {
            assert_true(kept <= IMAGE_SIZE && kept >= KERNEL_TRIM_HEAD);
        }
        kernel_untrim(image, IMAGE_SIZE, 0x2000000);
        free(image);
    }
    memset(head, 0, sizeof(head));
    assert_int_equal(kernel_trim(head, sizeof(head), head, &kept, &end), -EINVAL);
    assert_int_equal(kernel_trim(head, 10, head, &kept, &end), -EINVAL);
}

static void test_trimmed_in_cache(void **state)
{
    uint8_t *image = make_image();
    struct kernel_cached found;

    (void)state;
    assert_int_equal(kernel_cache_keep(dir, "elf", image, IMAGE_SIZE), 0);
    assert_int_equal(kernel_cache_find(dir, "elf", &found), 0);
    assert_int_equal(found.size, 0x6000);
    assert_int_equal(found.end, 0x100c000);
    assert_memory_equal((uint8_t *)found.map + 0x1000, image + 0x1000, 0x5000);
    kernel_cache_release(&found);
    free(image);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keep_and_find),
        cmocka_unit_test(test_trust),
        cmocka_unit_test(test_bound),
        cmocka_unit_test(test_key),
        cmocka_unit_test(test_trim),
        cmocka_unit_test(test_trim_hostile),
        cmocka_unit_test(test_trimmed_in_cache),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
