/* SPDX-License-Identifier: MIT */
/*
 * Kernel images: XZ and Zstandard streams (made by xz and zstd at test time, where they are
 * installed, and one of each embedded), bzImage headers, and PVH ELF files; damaged ones, too.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "domain/bzimage.h"
#include "domain/pvh_elf.h"
#include "domain/unxz.h"
#include "domain/unzstd.h"
#include "lib/errno.h"
#include "lib/le.h"
#include "lib/string.h"

#define MAX_DATA (1u << 20)

static uint8_t data[MAX_DATA], packed[MAX_DATA + 4096], out[MAX_DATA + 64];
static void *work;

/* Runs a packer on data[0..len); 0 if it is not installed. */
static size_t pack(const char *command, size_t len)
{
    char name[] = "/tmp/xl-packXXXXXX", line[256];
    int fd = mkstemp(name);
    FILE *f = fd < 0 ? NULL : fdopen(fd, "wb");
    size_t n;

    if (!f)
        return 0;
    n = fwrite(data, 1, len, f);
    fclose(f);
    assert_int_equal(n, len);
    snprintf(line, sizeof(line), "%s -c < %s 2>/dev/null", command, name);
    f = popen(line, "r");
    n = f ? fread(packed, 1, sizeof(packed), f) : 0;
    if (f && pclose(f))
        n = 0;
    remove(name);
    return n;
}

/* Text-like, code-like and random stretches, with repetitions near and far. */
static void make_data(size_t len, unsigned seed)
{
    size_t i = 0;

    srand(seed);
    while (i < len) {
        unsigned kind = (unsigned)rand() % 5, n = 1 + (unsigned)rand() % 600;

        if (i + n > len)
            n = (unsigned)(len - i);
        if (kind == 4 && i) {
            size_t back = 1 + (size_t)rand() % i;

            for (; n; n--, i++)
                data[i] = data[i - back];
            continue;
        }
        for (; n; n--, i++) {
            if (kind == 0)
                data[i] = (uint8_t)("etaoin shrdlu\n"[(unsigned)rand() % 14]);
            else if (kind == 1)
                data[i] = (uint8_t)(rand() % 4   ? rand() % 2 ? 0xe8 : 0x00
                                    : rand() % 3 ? 0xff
                                                 : 0xe9);
            else if (kind == 2)
                data[i] = (uint8_t)rand();
            else
                data[i] = 0;
        }
    }
}

/* gcc's ASan sees an overrun only at the end of an allocation. */
typedef int (*unpack_fn)(const void *in, size_t in_len, void *out, size_t out_max, size_t *out_len,
                         void *work);

static int unpack_with(unpack_fn fn, size_t packed_len, size_t out_max, size_t *out_len)
{
    uint8_t *in = malloc(packed_len ? packed_len : 1), *to = malloc(out_max ? out_max : 1);
    int rc;

    memcpy(in, packed, packed_len);
    rc = fn(in, packed_len, to, out_max, out_len, work);
    if (!rc)
        memcpy(out, to, *out_len);
    free(in);
    free(to);
    return rc;
}

static int unpack_exact(size_t packed_len, size_t out_max, size_t *out_len)
{
    return unpack_with(unxz, packed_len, out_max, out_len);
}

static void xz_round_trips(void **state)
{
    static const char *const options[] = {
        "xz --check=crc32 --x86 --lzma2=dict=32MiB",
        "xz -0 --check=crc64",
        "xz -9 --check=none",
        "xz --lzma2=lc=0,lp=4,pb=4",
        "xz --lzma2=lc=4,lp=0,pb=0",
        "xz --block-size=50000 --x86 --lzma2",
        "xz --lzma2=nice=273,mode=normal,mf=bt4",
    };
    static const size_t sizes[] = { 0, 1, 4, 5, 9, 300, 70000, 300000 };
    unsigned i, k;
    size_t n, len;

    (void)state;
    if (!pack("xz", 0))
        skip(); /* xz is not installed */
    for (i = 0; i < ARRAY_SIZE(sizes); i++) {
        make_data(sizes[i], i);
        for (k = 0; k < ARRAY_SIZE(options); k++) {
            n = pack(options[k], sizes[i]);
            assert_int_not_equal(n, 0);
            len = 77;
            assert_int_equal(unpack_exact(n, sizes[i], &len), 0);
            assert_int_equal(len, sizes[i]);
            assert_memory_equal(out, data, sizes[i]);
            if (sizes[i])
                assert_int_equal(unpack_exact(n, sizes[i] - 1, &len), -ENOSPC);
        }
    }
}

/* "xen-lite xen-lite xen-lite xen-lite\n", xz --check=crc32 --x86 */
static const uint8_t hello_xz[] = {
    0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00, 0x00, 0x01, 0x69, 0x22, 0xde, 0x36, 0x02, 0x01, 0x04, 0x00,
    0x21, 0x01, 0x16, 0x00, 0x0d, 0x86, 0x35, 0x1f, 0xe0, 0x00, 0x23, 0x00, 0x11, 0x5d, 0x00, 0x3c,
    0x19, 0x4a, 0x1c, 0xfd, 0xe5, 0x9c, 0x53, 0x9f, 0xcb, 0x5e, 0xa1, 0x76, 0xee, 0xd9, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0xbb, 0x8d, 0x46, 0xa4, 0x00, 0x01, 0x29, 0x24, 0x11, 0xce, 0xc3, 0x58,
    0x90, 0x42, 0x99, 0x0d, 0x01, 0x00, 0x00, 0x00, 0x00, 0x01, 0x59, 0x5a,
};

static void xz_embedded(void **state)
{
    size_t len;

    (void)state;
    memcpy(packed, hello_xz, sizeof(hello_xz));
    assert_int_equal(unpack_exact(sizeof(hello_xz), 64, &len), 0);
    assert_int_equal(len, 36);
    assert_memory_equal(out, "xen-lite xen-lite xen-lite xen-lite\n", 36);
}

static void xz_damage_is_found(void **state)
{
    unsigned i, bit;
    size_t len;

    (void)state;
    for (i = 0; i < sizeof(hello_xz); i++) {
        memcpy(packed, hello_xz, sizeof(hello_xz));
        assert_int_not_equal(unpack_exact(i, 64, &len), 0); /* cut short */
        for (bit = 0; bit < 8; bit++) {
            packed[i] ^= (uint8_t)(1 << bit);
            assert_int_not_equal(unpack_exact(sizeof(hello_xz), 64, &len), 0);
            packed[i] ^= (uint8_t)(1 << bit);
        }
    }
}

/* Without a check the decoder meets the damage itself: no overrun, whatever it makes of it. */
static void xz_rubbish_is_survived(void **state)
{
    size_t n, len;
    unsigned i;

    (void)state;
    make_data(20000, 5);
    n = pack("xz --check=none", 20000);
    if (!n)
        skip();
    for (i = 0; i < 300; i++) {
        size_t at = 24 + (size_t)rand() % (n - 24);
        uint8_t old = packed[at];

        packed[at] = (uint8_t)rand();
        unpack_exact(n, 20000, &len);
        packed[at] = old;
    }
    assert_int_equal(unpack_exact(n, 20000, &len), 0);
}

static void xz_unsupported(void **state)
{
    size_t n, len;

    (void)state;
    make_data(100, 1);
    n = pack("xz --check=sha256", 100);
    if (!n)
        skip();
    assert_int_equal(unpack_exact(n, 100, &len), -EOPNOTSUPP);
    n = pack("xz --delta --lzma2", 100);
    assert_int_equal(unpack_exact(n, 100, &len), -EOPNOTSUPP);
}

/* Zstandard */

static void zstd_round_trips(void **state)
{
    static const char *const options[] = {
        "zstd -1",
        "zstd -15 --check",
        "zstd -3 --no-check --no-content-size",
        "zstd --fast=5",
    };
    static const size_t sizes[] = { 0, 1, 7, 300, 131073, 400000 };
    unsigned i, k;
    size_t n, len;

    (void)state;
    if (!pack("zstd", 0))
        skip(); /* zstd is not installed */
    for (i = 0; i < ARRAY_SIZE(sizes); i++) {
        make_data(sizes[i], i + 10);
        for (k = 0; k < ARRAY_SIZE(options); k++) {
            n = pack(options[k], sizes[i]);
            assert_int_not_equal(n, 0);
            len = 77;
            assert_int_equal(unpack_with(unzstd, n, sizes[i], &len), 0);
            assert_int_equal(len, sizes[i]);
            assert_memory_equal(out, data, sizes[i]);
            if (sizes[i])
                assert_int_equal(unpack_with(unzstd, n, sizes[i] - 1, &len), -ENOSPC);
        }
    }
}

/* Literals that compress well and badly, alone: each kind of literals section. */
static void zstd_literals(void **state)
{
    static const unsigned alphabets[] = { 1, 2, 3, 16, 100, 200, 256 };
    size_t n, len, size, i;
    unsigned k;

    (void)state;
    if (!pack("zstd", 0))
        skip();
    for (k = 0; k < ARRAY_SIZE(alphabets); k++) {
        for (size = 100; size <= 40000; size *= 20) {
            for (i = 0; i < size; i++) {
                unsigned a = (unsigned)rand() % alphabets[k], b = (unsigned)rand() % alphabets[k];

                data[i] = (uint8_t)(MIN(a, b) * 7);
            }
            n = pack("zstd -3", size);
            assert_int_equal(unpack_with(unzstd, n, size, &len), 0);
            assert_int_equal(len, size);
            assert_memory_equal(out, data, size);
        }
    }
}

/* "xen-lite xen-lite xen-lite xen-lite\n", zstd -19 --check, behind a frame to skip */
static const uint8_t hello_zstd[] = {
    0x53, 0x2a, 0x4d, 0x18, 0x03, 0x00, 0x00, 0x00, 0x01, 0x02, 0x03, 0x28, 0xb5, 0x2f,
    0xfd, 0x04, 0x68, 0x85, 0x00, 0x00, 0x50, 0x78, 0x65, 0x6e, 0x2d, 0x6c, 0x69, 0x74,
    0x65, 0x20, 0x0a, 0x01, 0x00, 0xb4, 0xcb, 0x11, 0x5e, 0xb0, 0x84, 0x96,
};

static void zstd_embedded(void **state)
{
    unsigned i, bit;
    size_t len;

    (void)state;
    memcpy(packed, hello_zstd, sizeof(hello_zstd));
    assert_int_equal(unpack_with(unzstd, sizeof(hello_zstd), 64, &len), 0);
    assert_int_equal(len, 36);
    assert_memory_equal(out, "xen-lite xen-lite xen-lite xen-lite\n", 36);
    for (i = 11; i < sizeof(hello_zstd); i++) {
        assert_int_not_equal(unpack_with(unzstd, i, 64, &len), 0); /* cut short */
        for (bit = 0; bit < 8; bit++) {
            packed[i] ^= (uint8_t)(1 << bit);
            /* The header has a bit for nobody and a window size that does not matter here. */
            if (unpack_with(unzstd, sizeof(hello_zstd), 64, &len) == 0)
                assert_in_range(i, 11 + 4, 11 + 5);
            packed[i] ^= (uint8_t)(1 << bit);
        }
    }
}

static void zstd_rubbish_is_survived(void **state)
{
    size_t n, len;
    unsigned i;

    (void)state;
    make_data(20000, 6);
    n = pack("zstd -9 --no-check", 20000);
    if (!n)
        skip();
    for (i = 0; i < 600; i++) {
        size_t at = 4 + (size_t)rand() % (i & 1 ? n - 4 : 200);
        uint8_t old = packed[at];

        packed[at] = (uint8_t)rand();
        unpack_with(unzstd, n, 20000, &len);
        packed[at] = old;
    }
    assert_int_equal(unpack_with(unzstd, n, 20000, &len), 0);
}

/* bzImage */

static size_t make_bzimage(const uint8_t *payload, size_t len, uint32_t unpacked)
{
    memset(data, 0, 8192);
    data[0x1f1] = 2;
    put_le16(data + 0x1fe, 0xaa55);
    memcpy(data + 0x202, "HdrS", 4);
    put_le16(data + 0x206, 0x20f);
    put_le16(data + 0x20e, 0x300);
    memcpy(data + 0x500, "6.1.0 test", 11);
    put_le32(data + 0x248, 100);
    put_le32(data + 0x24c, (uint32_t)len + 4);
    memcpy(data + 1536 + 100, payload, len);
    put_le32(data + 1536 + 100 + len, unpacked);
    return 1536 + 100 + len + 4;
}

static void bzimage_is_read(void **state)
{
    struct kernel_image k;
    size_t n = make_bzimage(hello_xz, sizeof(hello_xz), 36), len;

    (void)state;
    assert_int_equal(kernel_image_parse(data, n, &k), 0);
    assert_int_equal(k.type, KERNEL_XZ);
    assert_string_equal(k.version, "6.1.0 test");
    assert_int_equal(k.unpacked_len, 36);
    assert_int_equal(kernel_image_unpack(&k, out, 36, &len, work), 0);
    assert_int_equal(len, 36);
    assert_memory_equal(out, "xen-lite", 8);
    assert_int_equal(kernel_image_unpack(&k, out, 35, &len, work), -ENOSPC);

    n = make_bzimage(hello_zstd + 11, sizeof(hello_zstd) - 11, 36);
    assert_int_equal(kernel_image_parse(data, n, &k), 0);
    assert_int_equal(k.type, KERNEL_ZSTD);
    memset(out, 0, 36);
    assert_int_equal(kernel_image_unpack(&k, out, 36, &len, work), 0);
    assert_memory_equal(out, "xen-lite", 8);

    assert_int_equal(kernel_image_parse("\177ELF....", 8, &k), 0);
    assert_int_equal(k.type, KERNEL_ELF);
    assert_int_equal(kernel_image_unpack(&k, out, 8, &len, work), 0);
    assert_int_equal(kernel_image_unpack(&k, out, 7, &len, work), -ENOSPC);
}

static void bzimage_nonsense(void **state)
{
    struct kernel_image k;
    size_t n = make_bzimage(hello_xz, sizeof(hello_xz), 36), i;

    (void)state;
    for (i = 0; i < n; i++) /* cut short: never believed, never overrun */
        assert_int_not_equal(kernel_image_parse(data, i, &k), 0);
    put_le32(data + 0x24c, 0xffffffff);
    assert_int_equal(kernel_image_parse(data, n, &k), -EINVAL);
    put_le32(data + 0x24c, 0);
    assert_int_equal(kernel_image_parse(data, n, &k), -EINVAL);
    make_bzimage(hello_xz, sizeof(hello_xz), 36);
    put_le32(data + 0x248, 0xffffff00);
    assert_int_equal(kernel_image_parse(data, n, &k), -EINVAL);
    make_bzimage(hello_xz, sizeof(hello_xz), 0xffffffff);
    assert_int_equal(kernel_image_parse(data, n, &k), -EINVAL);
    make_bzimage((const uint8_t *)"BZh9....", 8, 36);
    assert_int_equal(kernel_image_parse(data, n, &k), -EOPNOTSUPP);
    put_le16(data + 0x206, 0x207);
    assert_int_equal(kernel_image_parse(data, n, &k), -EINVAL);
    make_bzimage(hello_xz, sizeof(hello_xz), 36);
    put_le16(data + 0x20e, 0xffff); /* version outside */
    assert_int_equal(kernel_image_parse(data, n, &k), 0);
    assert_string_equal(k.version, "");
}

/* PVH ELF */

static uint8_t elf[4096];

static void put_phdr(unsigned i, uint32_t type, uint64_t off, uint64_t pa, uint64_t filesz,
                     uint64_t memsz)
{
    uint8_t *p = elf + 64 + 56 * i;

    put_le32(p, type);
    put_le64(p + 8, off);
    put_le64(p + 24, pa);
    put_le64(p + 32, filesz);
    put_le64(p + 40, memsz);
}

static void make_elf(void)
{
    memset(elf, 0, sizeof(elf));
    memcpy(elf, "\177ELF\2\1\1", 7);
    put_le16(elf + 16, 2);
    put_le16(elf + 18, 62);
    put_le64(elf + 32, 64);
    put_le16(elf + 54, 56);
    put_le16(elf + 56, 3);
    put_phdr(0, 1, 0x400, 0x1000000, 0x200, 0x200);
    put_phdr(1, 1, 0x600, 0x2000000, 0x100, 0x5000);
    put_phdr(2, 4, 0x800, 0x1000100, 24 + 24, 24 + 24);
    memcpy(elf + 0x800, "\4\0\0\0\6\0\0\0\6\0\0\0GNU\0abcdef\0\0", 24);
    put_le32(elf + 0x818, 4);
    put_le32(elf + 0x81c, 8);
    put_le32(elf + 0x820, 18);
    memcpy(elf + 0x824, "Xen", 4);
    put_le64(elf + 0x828, 0x1000050);
}

struct placed {
    unsigned calls;
    uint64_t gpa[4], filesz[4], memsz[4];
    int fail_at;
};

static int place(void *ctx, uint64_t gpa, const void *src, size_t filesz, size_t memsz)
{
    struct placed *p = ctx;

    assert_true((const uint8_t *)src >= elf && (const uint8_t *)src + filesz <= elf + sizeof(elf));
    if ((int)p->calls == p->fail_at)
        return -ENOMEM;
    p->gpa[p->calls] = gpa;
    p->filesz[p->calls] = filesz;
    p->memsz[p->calls++] = memsz;
    return 0;
}

static void elf_is_loaded(void **state)
{
    struct placed p = { .fail_at = -1 };
    struct pvh_elf e;

    (void)state;
    make_elf();
    assert_int_equal(pvh_elf_parse(elf, sizeof(elf), &e), 0);
    assert_int_equal(e.entry, 0x1000050);
    assert_int_equal(e.start, 0x1000000);
    assert_int_equal(e.end, 0x2005000);
    assert_int_equal(e.nr_segments, 2);
    assert_int_equal(pvh_elf_load(elf, sizeof(elf), place, &p), 0);
    assert_int_equal(p.calls, 2);
    assert_int_equal(p.gpa[1], 0x2000000);
    assert_int_equal(p.filesz[1], 0x100);
    assert_int_equal(p.memsz[1], 0x5000);
    p = (struct placed){ .fail_at = 1 };
    assert_int_equal(pvh_elf_load(elf, sizeof(elf), place, &p), -ENOMEM);
    assert_int_equal(p.calls, 1);
    put_le32(elf + 0x81c, 4); /* a descriptor of 4 bytes */
    assert_int_equal(pvh_elf_parse(elf, sizeof(elf), &e), 0);
    assert_int_equal(e.entry, 0x1000050);
}

static int elf_with(size_t off, uint64_t v, unsigned size)
{
    struct pvh_elf e;

    make_elf();
    memcpy(elf + off, &v, size);
    return pvh_elf_parse(elf, sizeof(elf), &e);
}

static void elf_nonsense(void **state)
{
    const size_t ph1 = 64 + 56;
    struct pvh_elf e;
    size_t i;

    (void)state;
    assert_int_equal(elf_with(4, 1, 1), -EINVAL);      /* 32 bits */
    assert_int_equal(elf_with(18, 183, 2), -EINVAL);   /* another machine */
    assert_int_equal(elf_with(16, 1, 2), -EINVAL);     /* relocatable */
    assert_int_equal(elf_with(32, ~0ull, 8), -EINVAL); /* headers far away */
    assert_int_equal(elf_with(32, sizeof(elf) - 100, 8), -EINVAL);
    assert_int_equal(elf_with(54, 8, 2), -EINVAL);          /* tiny headers */
    assert_int_equal(elf_with(56, 0xffff, 2), -EINVAL);     /* too many */
    assert_int_equal(elf_with(ph1 + 8, ~0ull, 8), -EINVAL); /* contents outside of the file */
    assert_int_equal(elf_with(ph1 + 32, 0xf00, 8), -EINVAL);
    assert_int_equal(elf_with(ph1 + 40, 0x10, 8), -EINVAL);      /* more file than memory */
    assert_int_equal(elf_with(ph1 + 24, 0x1000100, 8), -EINVAL); /* overlap */
    assert_int_equal(elf_with(ph1 + 24, BIT(32), 8), -ERANGE);
    assert_int_equal(elf_with(ph1 + 40, BIT(32), 8), -ERANGE);
    assert_int_equal(elf_with(0x820, 17, 4), -ENOENT); /* no entry note */
    assert_int_equal(elf_with(0x81c, 0xfffffff0, 4), -EINVAL);
    assert_int_equal(elf_with(0x800, 0xffffffff, 4), -EINVAL);
    assert_int_equal(elf_with(0x828, 0x3000000, 8), -EINVAL); /* entry outside */
    assert_int_equal(elf_with(0x828, 0x2001000, 8), -EINVAL); /* entry in zeroes */
    make_elf();
    for (i = 0; i < 0x830; i++)
        assert_int_not_equal(pvh_elf_parse(elf, i, &e), 0);
}

static int setup(void **state)
{
    (void)state;
    work = aligned_alloc(64, KERNEL_UNPACK_WORK);
    return work ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    free(work);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(xz_embedded),
        cmocka_unit_test(xz_damage_is_found),
        cmocka_unit_test(xz_round_trips),
        cmocka_unit_test(xz_rubbish_is_survived),
        cmocka_unit_test(xz_unsupported),
        cmocka_unit_test(zstd_round_trips),
        cmocka_unit_test(zstd_literals),
        cmocka_unit_test(zstd_embedded),
        cmocka_unit_test(zstd_rubbish_is_survived),
        cmocka_unit_test(bzimage_is_read),
        cmocka_unit_test(bzimage_nonsense),
        cmocka_unit_test(elf_is_loaded),
        cmocka_unit_test(elf_nonsense),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
