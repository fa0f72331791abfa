/* SPDX-License-Identifier: MIT */
/*
 * Boot information: multiboot 1 and 2 as real loaders fill them, then every way to get them wrong,
 * and the memory map arithmetic against a byte-wise model.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "boot/multiboot.h"
#include "lib/errno.h"
#include "lib/le.h"
#include "lib/string.h"
#include "mm/phys.h"

#define SIM_SIZE (2u << 20)
#define INFO     0x9500u

static struct boot_info bi;

/* What is outside of the simulated memory cannot be mapped. */
static const void *sim_map(paddr_t pa, size_t len)
{
    if (pa >= SIM_SIZE || len > SIM_SIZE - pa)
        return NULL;
    return phys_to_virt(pa);
}

static uint8_t *at(paddr_t pa)
{
    return phys_to_virt(pa);
}

static void put_string(paddr_t pa, const char *s)
{
    memcpy(at(pa), s, strlen(s) + 1);
}

static paddr_t put_mb1_range(paddr_t pa, uint64_t base, uint64_t len, uint32_t type)
{
    put_le32(at(pa), 20);
    put_le64(at(pa + 4), base);
    put_le64(at(pa + 12), len);
    put_le32(at(pa + 20), type);
    return pa + 24;
}

static void make_mb1(void)
{
    paddr_t end;

    sim_phys_init(SIM_SIZE);
    put_le32(at(INFO), 0x24d);
    put_le32(at(INFO + 16), 0xa000);
    put_string(0xa000, "/path/xen-lite console=com1 loglvl=debug");
    put_le32(at(INFO + 20), 2);
    put_le32(at(INFO + 24), 0xb000);
    put_le32(at(0xb000), 0x200000);
    put_le32(at(0xb004), 0x900000);
    put_le32(at(0xb008), 0xbffc); /* a string across a page */
    put_string(0xbffc, "/boot/vmlinuz root=/dev/sda quiet");
    put_le32(at(0xb010), 0x900000);
    put_le32(at(0xb014), 0xa00001);
    put_le32(at(0xb018), 0xc100);
    put_string(0xc100, "initrd.img");
    end = put_mb1_range(0xd000, 0, 0x9fc00, 1);
    end = put_mb1_range(end, 0x9fc00, 0x400, 2);
    end = put_mb1_range(end, 0xf0000, 0x10000, 2);
    end = put_mb1_range(end, 0x100000, 0x7fee0000, 1);
    end = put_mb1_range(end, 0x7ffe0000, 0x20000, 2);
    end = put_mb1_range(end, 0x100000000, 0x80000000, 1);
    put_le32(at(INFO + 44), (uint32_t)(end - 0xd000));
    put_le32(at(INFO + 48), 0xd000);
    put_le32(at(INFO + 64), 0xe000);
    put_string(0xe000, "qemu");
}

static int parse1(void)
{
    return multiboot_parse(MULTIBOOT1_MAGIC, INFO, sim_map, &bi);
}

static void mb1_reads_everything(void **state)
{
    (void)state;
    make_mb1();
    assert_int_equal(parse1(), 0);
    assert_string_equal(bi.cmdline, "console=com1 loglvl=debug");
    assert_string_equal(bi.loader, "qemu");
    assert_int_equal(bi.nr_mods, 2);
    assert_int_equal(bi.mod[0].start, 0x200000);
    assert_int_equal(bi.mod[0].end, 0x900000);
    assert_string_equal(bi.mod[0].cmdline, "root=/dev/sda quiet");
    assert_int_equal(bi.mod[1].end, 0xa00001);
    assert_string_equal(bi.mod[1].cmdline, "");
    assert_int_equal(bi.nr_mem, 6);
    assert_int_equal(bi.mem[3].base, 0x100000);
    assert_int_equal(bi.mem[3].len, 0x7fee0000);
    assert_int_equal(bi.mem[5].base, 0x100000000);
    assert_int_equal(boot_mem_ram_end(bi.mem, bi.nr_mem), 0x180000000);
    assert_int_equal(boot_mem_ram_total(bi.mem, bi.nr_mem), 0x9fc00ull + 0x7fee0000 + 0x80000000);
    assert_int_equal(bi.rsdp_len, 0);
    assert_false(bi.efi);
}

static void grub2_names_no_file(void **state)
{
    (void)state;
    make_mb1();
    put_string(0xe000, "GRUB 2.06-13+deb12u1");
    assert_int_equal(parse1(), 0);
    assert_string_equal(bi.cmdline, "/path/xen-lite console=com1 loglvl=debug");
    assert_string_equal(bi.mod[1].cmdline, "initrd.img");
    put_string(0xe000, "GRUB 1.99");
    assert_int_equal(parse1(), 0);
    assert_string_equal(bi.mod[1].cmdline, "initrd.img");
    put_string(0xe000, "GRUB 0.97");
    assert_int_equal(parse1(), 0);
    assert_string_equal(bi.mod[1].cmdline, "");
}

static void mb1_bad_input_is_refused(void **state)
{
    struct boot_info zero;

    (void)state;
    memset(&zero, 0, sizeof(zero));
    make_mb1();
    assert_int_equal(multiboot_parse(0x1234, INFO, sim_map, &bi), -EINVAL);
    assert_int_equal(multiboot_parse(MULTIBOOT1_MAGIC, SIM_SIZE - 8, sim_map, &bi), -EFAULT);
    put_le32(at(INFO + 20), BOOT_MAX_MODS + 1);
    assert_int_equal(parse1(), -E2BIG);
    assert_memory_equal(&bi, &zero, sizeof(bi));
    put_le32(at(INFO + 20), 0x10000001); /* times 16 wraps 32 bits */
    assert_int_equal(parse1(), -E2BIG);

    make_mb1();
    put_le32(at(0xb004), 0x200000); /* empty module */
    assert_int_equal(parse1(), -EINVAL);
    make_mb1();
    put_le32(at(INFO + 24), SIM_SIZE - 16); /* second entry outside */
    assert_int_equal(parse1(), -EFAULT);
    make_mb1();
    put_le32(at(INFO + 16), 0xfffffff0);
    assert_int_equal(parse1(), -EFAULT);
    make_mb1();
    memset(at(0x20000), 'a', 0x4000);
    put_le32(at(INFO + 16), 0x20000);
    assert_int_equal(parse1(), -E2BIG);
    put_le32(at(INFO + 16), 0xa000);
    put_le32(at(INFO + 64), 0x20000); /* a long loader name is only cut */
    assert_int_equal(parse1(), 0);
    assert_int_equal(strlen(bi.loader), sizeof(bi.loader) - 1);
}

static void mb1_bad_map_is_refused(void **state)
{
    unsigned i;
    paddr_t pa;

    (void)state;
    make_mb1();
    put_le32(at(0xd000), 19);
    assert_int_equal(parse1(), -EINVAL);
    put_le32(at(0xd000), 0xfffffffc);
    assert_int_equal(parse1(), -EINVAL);
    make_mb1();
    put_le32(at(INFO + 44), 0xffffffff);
    assert_int_equal(parse1(), -EINVAL);
    put_le32(at(INFO + 44), 23); /* less than one entry */
    assert_int_equal(parse1(), -ENOENT);
    put_le32(at(INFO), 0xd); /* no map at all */
    assert_int_equal(parse1(), -ENOENT);

    make_mb1();
    for (i = 0, pa = 0x10000; i <= BOOT_MAX_MEM; i++)
        pa = put_mb1_range(pa, i * 0x2000ull, 0x1000, 1);
    put_le32(at(INFO + 44), (uint32_t)(pa - 0x10000));
    put_le32(at(INFO + 48), 0x10000);
    assert_int_equal(parse1(), -E2BIG);
    put_le32(at(INFO + 44), (uint32_t)(pa - 0x10000 - 24));
    assert_int_equal(parse1(), 0);
    assert_int_equal(bi.nr_mem, BOOT_MAX_MEM);
}

/* Multiboot 2 */

static paddr_t tag(paddr_t pa, uint32_t type, const void *body, uint32_t len)
{
    put_le32(at(pa), type);
    put_le32(at(pa + 4), len + 8);
    if (len)
        memcpy(at(pa + 8), body, len);
    return pa + ALIGN_UP(len + 8, 8);
}

#define MB2 0x9800u

static void close_mb2(paddr_t end)
{
    end = tag(end, 0, NULL, 0);
    put_le32(at(MB2), (uint32_t)(end - MB2));
    put_le32(at(MB2 + 4), 0);
}

/* Memory map tag with one RAM range from 1 MiB. */
static paddr_t tag_mmap(paddr_t pa, uint32_t entry)
{
    uint8_t body[8 + 24] = { 0 };

    put_le32(body, entry);
    put_le64(body + 8, 0x100000);
    put_le64(body + 16, 0x700000);
    put_le32(body + 24, 1);
    return tag(pa, 6, body, sizeof(body));
}

static paddr_t tag_module(paddr_t pa, uint32_t start, uint32_t end, const char *s, uint32_t len)
{
    uint8_t body[64] = { 0 };

    put_le32(body, start);
    put_le32(body + 4, end);
    memcpy(body + 8, s, len);
    return tag(pa, 3, body, 8 + len);
}

static int parse2(void)
{
    return multiboot_parse(MULTIBOOT2_MAGIC, MB2, sim_map, &bi);
}

static void mb2_reads_everything(void **state)
{
    uint8_t rsdp[36], systab[8];
    unsigned i;
    paddr_t pa;

    (void)state;
    for (i = 0; i < sizeof(rsdp); i++)
        rsdp[i] = (uint8_t)(i + 1);
    put_le64(systab, 0x17feee018ull);
    sim_phys_init(SIM_SIZE);
    pa = tag(MB2 + 8, 1, "console=com1", 13);
    pa = tag(pa, 2, "GRUB 2.06", 10);
    pa = tag_module(pa, 0x200000, 0x300000, "root=/dev/vda", 14);
    pa = tag(pa, 15, rsdp, 36);
    pa = tag(pa, 14, rsdp + 1, 20);
    pa = tag(pa, 12, systab, 8);
    pa = tag(pa, 99, "unknown", 7);
    pa = tag_mmap(pa, 24);
    close_mb2(pa);
    assert_int_equal(parse2(), 0);
    assert_string_equal(bi.cmdline, "console=com1");
    assert_string_equal(bi.loader, "GRUB 2.06");
    assert_int_equal(bi.nr_mods, 1);
    assert_string_equal(bi.mod[0].cmdline, "root=/dev/vda");
    assert_int_equal(bi.rsdp_len, 36);
    assert_memory_equal(bi.rsdp, rsdp, 36);
    assert_true(bi.efi);
    assert_int_equal(bi.efi_system_table, 0x17feee018ull);
    assert_int_equal(bi.nr_mem, 1);
    assert_int_equal(bi.mem[0].len, 0x700000);
}

static void mb2_efi_map_stands_in(void **state)
{
    uint8_t body[8 + 3 * 48] = { 0 };
    static const struct {
        uint32_t type;
        uint64_t base, pages;
    } d[] = {
        { 7, 0x100000, 0x100 },
        { 4, 0x200000, 0x10 },
        { 9, 0x210000, 2 },
    };
    unsigned i;
    paddr_t pa;

    (void)state;
    put_le32(body, 48);
    for (i = 0; i < 3; i++) {
        put_le32(body + 8 + i * 48, d[i].type);
        put_le64(body + 8 + i * 48 + 8, d[i].base);
        put_le64(body + 8 + i * 48 + 24, d[i].pages);
    }
    sim_phys_init(SIM_SIZE);
    pa = tag(MB2 + 8, 17, body, sizeof(body));
    close_mb2(pa);
    assert_int_equal(parse2(), 0);
    assert_int_equal(bi.nr_mem, 2);
    assert_int_equal(bi.mem[0].len, 0x110000);
    assert_int_equal(bi.mem[1].type, BOOT_MEM_ACPI);
    pa = tag_mmap(pa, 24); /* the E820 map wins, whatever came first */
    close_mb2(pa);
    assert_int_equal(parse2(), 0);
    assert_int_equal(bi.nr_mem, 1);
    put_le64(at(MB2 + 16 + 8 + 24), BIT(60)); /* pages that wrap */
    assert_int_equal(parse2(), -EINVAL);
}

static void mb2_bad_input_is_refused(void **state)
{
    static char text[BOOT_CMDLINE_LEN + 1];
    paddr_t pa;

    (void)state;
    sim_phys_init(SIM_SIZE);
    pa = tag_mmap(MB2 + 8, 24);
    close_mb2(pa);
    assert_int_equal(parse2(), 0);
    assert_int_equal(multiboot_parse(MULTIBOOT2_MAGIC, MB2 + 4, sim_map, &bi), -EINVAL);
    put_le32(at(MB2), 0xffffffff);
    assert_int_equal(parse2(), -EINVAL);
    put_le32(at(MB2), (uint32_t)(pa - MB2)); /* no end tag */
    assert_int_equal(parse2(), -EINVAL);
    close_mb2(pa);
    put_le32(at(MB2 + 12), 7); /* tag shorter than its header: would never move on */
    assert_int_equal(parse2(), -EINVAL);
    put_le32(at(MB2 + 12), 0xfffffff8); /* wraps when rounded up */
    assert_int_equal(parse2(), -EINVAL);
    sim_phys_init(SIM_SIZE);
    close_mb2(tag_mmap(MB2 + 8, 0)); /* entries without a size */
    assert_int_equal(parse2(), -EINVAL);
    close_mb2(tag_module(MB2 + 8, 0x1000, 0x2000, "abc", 3)); /* string without an end */
    assert_int_equal(parse2(), -EINVAL);
    close_mb2(tag_module(MB2 + 8, 0x2000, 0x2000, "", 1));
    assert_int_equal(parse2(), -EINVAL);
    close_mb2(tag(MB2 + 8, 15, text, 35)); /* root pointer cut short */
    assert_int_equal(parse2(), -EINVAL);
    memset(text, 'x', BOOT_CMDLINE_LEN);
    close_mb2(tag(MB2 + 8, 1, text, sizeof(text)));
    assert_int_equal(parse2(), -E2BIG);
    close_mb2(tag(MB2 + 8, 1, text, 0));
    assert_int_equal(parse2(), -EINVAL);
}

/* Any bytes: no overrun (the sanitizers watch), and an error leaves nothing behind. */
static void random_input_is_survived(void **state)
{
    struct boot_info zero;
    unsigned i, k;

    (void)state;
    memset(&zero, 0, sizeof(zero));
    srand(1);
    for (i = 0; i < 200; i++) {
        if (i & 1)
            make_mb1();
        else
            sim_phys_init(SIM_SIZE);
        for (k = 0; k < (i & 1 ? 4u : 400u); k++)
            *at(0x9500 + (unsigned)rand() % (i & 1 ? 0x3c00 : 0x400)) = (uint8_t)rand();
        if (!(i & 1)) {
            tag_mmap(MB2 + 8, 24);
            put_le32(at(MB2), 0x200);
        }
        if (multiboot_parse(i & 1 ? MULTIBOOT1_MAGIC : MULTIBOOT2_MAGIC, i & 1 ? INFO : MB2,
                            sim_map, &bi))
            assert_memory_equal(&bi, &zero, sizeof(bi));
    }
}

/* Memory map arithmetic */

static void overlaps_give_the_stricter_type(void **state)
{
    struct boot_mem m[8] = {
        { 0x100000, 0x100000, BOOT_MEM_RAM },   { 0x180000, 0x1000, BOOT_MEM_RESERVED },
        { 0x1f0000, 0x20000, BOOT_MEM_ACPI },   { 0x0, 0x1000, BOOT_MEM_RAM },
        { 0x1000, 0x1000, BOOT_MEM_RAM },       { 0x1f8000, 0, BOOT_MEM_UNUSABLE },
        { ~0ull - 10, 100, BOOT_MEM_RESERVED },
    };

    (void)state;
    assert_int_equal(boot_mem_sanitize(m, 7, 8), 5);
    assert_int_equal(m[0].base, 0);
    assert_int_equal(m[0].len, 0x2000);
    assert_int_equal(m[1].len, 0x80000);
    assert_int_equal(m[2].base, 0x180000);
    assert_int_equal(m[2].type, BOOT_MEM_RESERVED);
    assert_int_equal(m[3].base, 0x181000);
    assert_int_equal(m[3].len, 0x6f000);
    assert_int_equal(m[4].base, 0x1f0000);
    assert_int_equal(m[4].len, 0x20000);
    assert_int_equal(m[4].type, BOOT_MEM_ACPI);
}

static void sanitize_agrees_with_a_model(void **state)
{
    enum { SPACE = 256, NR = 20 };
    struct boot_mem m[64];
    unsigned round, i, k;

    (void)state;
    srand(2);
    for (round = 0; round < 300; round++) {
        uint8_t model[SPACE] = { 0 };
        int nr;

        for (i = 0; i < NR; i++) {
            m[i].base = (unsigned)rand() % SPACE;
            m[i].len = (unsigned)rand() % (SPACE - m[i].base);
            m[i].type = 1 + (unsigned)rand() % 5;
            for (k = 0; k < m[i].len; k++)
                model[m[i].base + k] = (uint8_t)MAX(m[i].type, (uint32_t)model[m[i].base + k]);
        }
        nr = boot_mem_sanitize(m, NR, 64);
        assert_true(nr > 0);
        for (k = 0; k < SPACE; k++)
            assert_int_equal(boot_mem_type(m, (unsigned)nr, k), model[k]);
        for (i = 1; i < (unsigned)nr; i++) {
            assert_true(m[i].base >= m[i - 1].base + m[i - 1].len);
            if (m[i].base == m[i - 1].base + m[i - 1].len)
                assert_true(m[i].type != m[i - 1].type);
        }
    }
    assert_int_equal(boot_mem_sanitize(m, 4, 1), -E2BIG);
}

static void ram_shrinks_to_pages(void **state)
{
    struct boot_mem ram = { 0x1800, 0x2000, BOOT_MEM_RAM };
    struct boot_mem acpi = { 0x1800, 0x2000, BOOT_MEM_ACPI };
    struct boot_mem tiny = { 0x1800, 0x7ff, BOOT_MEM_RAM };
    uint64_t s, e;

    (void)state;
    assert_true(boot_mem_pages(&ram, &s, &e));
    assert_int_equal(s, 0x2000);
    assert_int_equal(e, 0x3000);
    assert_true(boot_mem_pages(&acpi, &s, &e));
    assert_int_equal(s, 0x1000);
    assert_int_equal(e, 0x4000);
    assert_false(boot_mem_pages(&tiny, &s, &e));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mb1_reads_everything),
        cmocka_unit_test(grub2_names_no_file),
        cmocka_unit_test(mb1_bad_input_is_refused),
        cmocka_unit_test(mb1_bad_map_is_refused),
        cmocka_unit_test(mb2_reads_everything),
        cmocka_unit_test(mb2_efi_map_stands_in),
        cmocka_unit_test(mb2_bad_input_is_refused),
        cmocka_unit_test(random_input_is_survived),
        cmocka_unit_test(overlaps_give_the_stricter_type),
        cmocka_unit_test(sanitize_agrees_with_a_model),
        cmocka_unit_test(ram_shrinks_to_pages),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
