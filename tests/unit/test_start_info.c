/* SPDX-License-Identifier: MIT */
/*
 * What the control domain is told: memory map, ACPI tables and start info, checked by reading them
 * back as a kernel does.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <xen/arch-x86/hvm/start_info.h>
#include <xen/xen.h>

#include "domain/start_info.h"
#include "lib/errno.h"
#include "lib/le.h"
#include "lib/string.h"
#include "mm/phys.h"

#define MIB (1ull << 20)

/* A q35 machine of 4 GiB. */
static const struct boot_mem q35[] = {
    { 0, 0x9fc00, BOOT_MEM_RAM },
    { 0x9fc00, 0x400, BOOT_MEM_RESERVED },
    { 0xf0000, 0x10000, BOOT_MEM_RESERVED },
    { 0x100000, 0x7fedf800, BOOT_MEM_RAM },
    { 0x7ffdf800, 0x800, BOOT_MEM_ACPI },
    { 0x7ffe0000, 0x20000, BOOT_MEM_RESERVED },
    { 0xb0000000, 0x10000000, BOOT_MEM_RESERVED },
    { 0x100000000, 0x80000000, BOOT_MEM_RAM },
};

static struct boot_mem map[CTL_MAX_MEMMAP];

static int build(uint64_t quota, const struct boot_mem *carve, unsigned n, uint64_t *given)
{
    return ctl_memmap_build(q35, ARRAY_SIZE(q35), quota, carve, n, map, CTL_MAX_MEMMAP, given);
}

static void ram_up_to_the_quota(void **state)
{
    uint64_t given;
    int nr = build(1024 * MIB, NULL, 0, &given), i;

    (void)state;
    assert_int_equal(nr, 9);
    assert_int_equal(given, 1024 * MIB);
    assert_int_equal(boot_mem_ram_total(map, 9), 1024 * MIB);
    assert_int_equal(map[0].len, 0x9f000);
    assert_int_equal(map[1].base, 0x9f000); /* where RAM shrank */
    assert_int_equal(map[1].len, 0x1000);
    assert_int_equal(map[1].type, BOOT_MEM_RESERVED);
    assert_int_equal(map[3].type, BOOT_MEM_RAM);
    assert_int_equal(map[4].type, BOOT_MEM_UNUSABLE);
    assert_int_equal(map[4].base + map[4].len, 0x7ffdf000);
    assert_int_equal(map[5].type, BOOT_MEM_ACPI);
    assert_int_equal(map[5].base, 0x7ffdf000);
    assert_int_equal(map[8].base, 0x100000000);
    assert_int_equal(map[8].type, BOOT_MEM_UNUSABLE);
    for (i = 0; i < nr; i++) {
        assert_int_equal(map[i].base & 4095, 0);
        assert_int_equal(map[i].len & 4095, 0);
        assert_true(!i || map[i].base >= map[i - 1].base + map[i - 1].len);
    }
}

static void quota_bounds(void **state)
{
    uint64_t given;
    int nr;

    (void)state;
    nr = build(~0ull, NULL, 0, &given);
    assert_int_equal(given, 0x9f000 + 0x7fedf000 + 0x80000000ull);
    assert_int_equal(boot_mem_ram_total(map, (unsigned)nr), given);
    assert_int_equal(boot_mem_type(map, (unsigned)nr, 0x17fffffff), BOOT_MEM_RAM);
    nr = build(0, NULL, 0, &given);
    assert_int_equal(given, 0);
    assert_int_equal(boot_mem_ram_total(map, (unsigned)nr), 0);
    assert_int_equal(boot_mem_type(map, (unsigned)nr, 0x100000), BOOT_MEM_UNUSABLE);
    build(0x1800, NULL, 0, &given); /* whole pages only */
    assert_int_equal(given, 0x1000);
}

static void carved_ranges(void **state)
{
    struct boot_mem carve[] = {
        { 0x200800, 0x300000, BOOT_MEM_RESERVED }, /* the hypervisor */
        { 0x3ff00000, 0x1000, BOOT_MEM_ACPI },
    };
    uint64_t given;
    int nr = build(1024 * MIB, carve, 2, &given);

    (void)state;
    assert_true(nr > 0);
    assert_int_equal(given, 1024 * MIB);
    assert_int_equal(boot_mem_type(map, (unsigned)nr, 0x1fffff), BOOT_MEM_RAM);
    assert_int_equal(boot_mem_type(map, (unsigned)nr, 0x200000), BOOT_MEM_RESERVED);
    assert_int_equal(boot_mem_type(map, (unsigned)nr, 0x500fff), BOOT_MEM_RESERVED);
    assert_int_equal(boot_mem_type(map, (unsigned)nr, 0x501000), BOOT_MEM_RAM);
    assert_int_equal(boot_mem_type(map, (unsigned)nr, 0x3ff00fff), BOOT_MEM_ACPI);
    assert_int_equal(boot_mem_type(map, (unsigned)nr, 0x3ff01000), BOOT_MEM_RAM);

    carve[0].type = BOOT_MEM_RAM;
    assert_int_equal(build(1, carve, 2, NULL), -EINVAL);
    carve[0] = (struct boot_mem){ ~0ull - 10, 100, BOOT_MEM_RESERVED };
    assert_int_equal(build(1, carve, 2, NULL), -EINVAL);
    carve[0] = (struct boot_mem){ 0x1000, 0, BOOT_MEM_RESERVED };
    assert_int_equal(build(1, carve, 2, NULL), -EINVAL);
    assert_int_equal(ctl_memmap_build(q35, ARRAY_SIZE(q35), 1, NULL, 0, map, 3, NULL), -E2BIG);
}

static void too_many_ranges(void **state)
{
    static struct boot_mem many[BOOT_MAX_MEM];
    unsigned i;

    (void)state;
    for (i = 0; i < BOOT_MAX_MEM; i++)
        many[i] = (struct boot_mem){ i * 0x4000, 0x1000, BOOT_MEM_RAM };
    assert_int_equal(ctl_memmap_build(many, 120, ~0ull, NULL, 0, map, 500, NULL), 120);
    assert_int_equal(ctl_memmap_build(many, 121, ~0ull, NULL, 0, map, 500, NULL), -E2BIG);
    for (i = 0; i < BOOT_MAX_MEM; i++)
        many[i].base += 0x800; /* two reserved pages each */
    assert_int_equal(ctl_memmap_build(many, 128, ~0ull, NULL, 0, map, 500, NULL), -E2BIG);
}

static void places_near_the_top(void **state)
{
    struct boot_mem busy[] = { { 0x3ff00000, 0x1000, 0 }, { 0x3fff0000, 0x1800, 0 } };
    unsigned nr = (unsigned)build(1024 * MIB, NULL, 0, NULL);
    uint64_t top = map[3].base + map[3].len;

    (void)state;
    assert_int_equal(ctl_memmap_find_top(map, nr, NULL, 0, 1, 4096, BIT(32)), top - 4096);
    assert_int_equal(ctl_memmap_find_top(map, nr, NULL, 0, 4096, 2 * MIB, BIT(32)), 0x40000000);
    assert_int_equal(ctl_memmap_find_top(map, nr, NULL, 0, 0x5000, 4096, 0x40000000), 0x3fffb000);
    assert_int_equal(ctl_memmap_find_top(map, nr, busy, 2, 0x10000, 4096, 0x40000000), 0x3ffe0000);
    assert_int_equal(ctl_memmap_find_top(map, nr, busy, 2, 0xf0000, 4096, 0x40000000), 0x3fe10000);
    assert_int_equal(ctl_memmap_find_top(map, nr, NULL, 0, 0x1000, 4096, 0x100000), 0x9e000);
    assert_int_equal(ctl_memmap_find_top(map, nr, NULL, 0, 2048 * MIB, 4096, BIT(32)), 0);
    assert_int_equal(ctl_memmap_find_top(map, nr, NULL, 0, ~0ull, 4096, BIT(32)), 0);
    assert_int_equal(ctl_memmap_find_top(map, nr, NULL, 0, 1, 3, BIT(32)), 0);
}

/* ACPI */

#define ACPI_BASE 0x180000u

static const struct boot_mem acpi_host[] = {
    { 0, 0x180000, BOOT_MEM_RAM },
    { 0x180000, 0x20000, BOOT_MEM_ACPI },
    { 0x1a0000, 0x10000, BOOT_MEM_NVS },
};
static struct acpi_madt_info madt;

static uint8_t *at(paddr_t pa)
{
    return phys_to_virt(pa);
}

static void table(paddr_t pa, const char *sig, uint32_t len)
{
    struct acpi_table_header *h = phys_to_virt(pa);

    memcpy(h->signature, sig, 4);
    memcpy(h->oem_id, "TEST  ", 6);
    memcpy(h->oem_table_id, "TESTTABL", 8);
    h->length = len;
    h->checksum = 0;
    h->checksum = (uint8_t)-acpi_checksum(h, len);
}

static void make_host_tables(void)
{
    static const struct {
        const char *sig;
        uint32_t pa, len;
    } t[] = {
        { "FACP", 0x182000, 244 },    { "APIC", 0x183000, 44 }, { "DMAR", 0x184000, 48 },
        { "SSDT", 0x19f000, 0x2000 }, /* across two kinds of firmware memory */
        { "MCFG", 0x185000, 60 },     { "HPET", 0x186000, 56 }, { "SSDT", 0x1000, 40 }, /* in RAM */
        { "FPDT", 0x1c0000, 40 }, /* in a hole */
        { "SRAT", 0x187000, 40 },     { "SSDT", 0x188000, 40 },
    };
    uint8_t rsdp[20] = "RSD PTR \0MADEBY";
    unsigned i;

    sim_phys_init(2 * MIB);
    for (i = 0; i < ARRAY_SIZE(t); i++) {
        table(t[i].pa, t[i].sig, t[i].len);
        put_le32(at(ACPI_BASE + 36 + 4 * i), t[i].pa);
    }
    table(ACPI_BASE, "RSDT", 36 + 4 * ARRAY_SIZE(t));
    put_le32(rsdp + 16, ACPI_BASE);
    rsdp[8] = (uint8_t)-acpi_checksum(rsdp, 20);
    assert_int_equal(acpi_init_copy(rsdp, 20), 0);
    assert_int_equal(acpi_nr_tables(), ARRAY_SIZE(t));

    memset(&madt, 0, sizeof(madt));
    madt.nr_ioapics = 1;
    madt.ioapic[0] = (struct acpi_madt_ioapic){ .id = 3, .base = 0xfec00000, .gsi_base = 24 };
    madt.nr_overrides = 2;
    madt.override[0] = (struct acpi_madt_override){ .source = 0, .gsi = 2 };
    madt.override[1] = (struct acpi_madt_override){ .source = 9, .gsi = 9, .flags = 0xd };
    madt.nr_nmis = 1;
    madt.nmi[0].uid = ACPI_NMI_ALL_CPUS;
}

/* The domain's tables are read back with the parser, which sees them at 1 MiB. */
static void acpi_for_the_domain(void **state)
{
    struct ctl_acpi_args a = { &madt, acpi_host, ARRAY_SIZE(acpi_host), 3 };
    static const char *const seen[] = { "APIC", "FACP", "SSDT", "MCFG", "SSDT" };
    static struct acpi_madt_info m;
    const uint8_t *raw;
    uint32_t off;
    size_t size;
    unsigned i;

    (void)state;
    make_host_tables();
    size = ctl_acpi_size(&a);
    assert_int_equal(size, 4096);
    assert_int_equal(ctl_acpi_build(&a, at(0x100000), size - 1, 0x100000), -ENOSPC);
    assert_int_equal(ctl_acpi_build(&a, at(0x100000), size, 0x100000), 0);

    assert_int_equal(at(0x100000)[15], 2);
    assert_int_equal(get_le32(at(0x100010)), 0); /* no RSDT */
    assert_memory_equal(at(0x100009), "MADEBY", 6);
    assert_int_equal(acpi_init(0x100000), 0);
    assert_int_equal(acpi_nr_tables(), ARRAY_SIZE(seen));
    for (i = 0; i < ARRAY_SIZE(seen); i++)
        assert_memory_equal(acpi_table(i)->header->signature, seen[i], 4);
    assert_int_equal(acpi_table(2)->pa, 0x19f000);
    assert_memory_equal(acpi_table(0)->header->oem_table_id, "TESTTABL", 8);

    assert_int_equal(acpi_get_madt(&m), 0);
    assert_false(m.pcat_compat);
    assert_int_equal(m.lapic_base, 0xfee00000);
    assert_int_equal(m.nr_cpus, 3);
    for (i = 0; i < 3; i++) {
        assert_int_equal(m.cpu[i].uid, i);
        assert_int_equal(m.cpu[i].apic_id, 2 * i);
        assert_true(m.cpu[i].enabled);
    }
    assert_int_equal(m.nr_ioapics, 1);
    assert_int_equal(m.ioapic[0].id, 3);
    assert_int_equal(m.ioapic[0].gsi_base, 24);
    assert_int_equal(m.nr_overrides, 2);
    assert_int_equal(m.override[1].flags, 0xd);
    assert_int_equal(m.nr_nmis, 0);
    raw = (const uint8_t *)acpi_find("APIC", 0);
    for (off = 44; off < get_le32(raw + 4); off += raw[off + 1])
        assert_true(raw[off] == 1 || raw[off] == 2 || raw[off] == 9);
}

static void acpi_bad_arguments(void **state)
{
    struct ctl_acpi_args a = { &madt, acpi_host, ARRAY_SIZE(acpi_host), 256 };
    static uint8_t buf[64 << 10];

    (void)state;
    make_host_tables();
    assert_true(ctl_acpi_size(&a) >= 256 * 16);
    assert_int_equal(ctl_acpi_build(&a, buf, sizeof(buf), 0x1000), 0);
    assert_int_equal(ctl_acpi_build(&a, buf, sizeof(buf), 0x1010), -EINVAL);
    assert_int_equal(ctl_acpi_build(&a, buf, sizeof(buf), BIT(32)), -EINVAL);
    assert_int_equal(ctl_acpi_build(&a, buf, sizeof(buf), BIT(32) - 4096), -EINVAL);
    a.nr_vcpus = 0;
    assert_int_equal(ctl_acpi_build(&a, buf, sizeof(buf), 0x1000), -EINVAL);
    a.nr_vcpus = 257;
    assert_int_equal(ctl_acpi_build(&a, buf, sizeof(buf), 0x1000), -EINVAL);
}

/* Start info */

static void start_info_is_complete(void **state)
{
    struct start_info_args a = {
        .cmdline = "root=/dev/vda console=hvc0",
        .initrd = 0x3f000000,
        .initrd_size = 0x123456,
        .rsdp = 0x3ff00000,
        .memmap = q35,
        .nr_memmap = ARRAY_SIZE(q35),
        .control = true,
    };
    static uint8_t buf[8192] __aligned(8);
    const struct hvm_start_info *si = (const void *)buf;
    const struct hvm_modlist_entry *mod;
    const struct hvm_memmap_table_entry *m;
    const uint64_t gpa = 0x3fe00000;
    unsigned i;

    (void)state;
    assert_int_equal(start_info_size(&a), 4096);
    memset(buf, 0xff, sizeof(buf));
    assert_int_equal(start_info_build(&a, buf, 4096, gpa), 0);
    assert_int_equal(si->magic, 0x336ec578);
    assert_int_equal(si->version, 1);
    assert_int_equal(si->flags, 3);
    assert_int_equal(si->nr_modules, 1);
    assert_int_equal(si->rsdp_paddr, 0x3ff00000);
    assert_string_equal((char *)buf + (si->cmdline_paddr - gpa), "root=/dev/vda console=hvc0");
    mod = (const void *)(buf + (si->modlist_paddr - gpa));
    assert_int_equal(mod->paddr, 0x3f000000);
    assert_int_equal(mod->size, 0x123456);
    assert_int_equal(mod->cmdline_paddr, 0);
    assert_int_equal(si->memmap_entries, ARRAY_SIZE(q35));
    m = (const void *)(buf + (si->memmap_paddr - gpa));
    for (i = 0; i < ARRAY_SIZE(q35); i++) {
        assert_int_equal(m[i].addr, q35[i].base);
        assert_int_equal(m[i].size, q35[i].len);
        assert_int_equal(m[i].type, q35[i].type);
        assert_int_equal(m[i].reserved, 0);
    }
    assert_int_equal(buf[4096], 0xff);

    a.control = false;
    a.initrd_size = 0;
    a.cmdline = NULL;
    assert_int_equal(start_info_build(&a, buf, 4096, gpa), 0);
    assert_int_equal(si->flags, 0);
    assert_int_equal(si->nr_modules, 0);
    assert_int_equal(buf[si->cmdline_paddr - gpa], 0);
}

static void start_info_bad_arguments(void **state)
{
    struct start_info_args a = { .memmap = map, .nr_memmap = CTL_MAX_MEMMAP + 1 };
    static char line[3000];
    static uint8_t buf[8192] __aligned(8);

    (void)state;
    assert_int_equal(start_info_build(&a, buf, 8192, 0x1000), -EINVAL);
    a.nr_memmap = CTL_MAX_MEMMAP;
    assert_int_equal(start_info_build(&a, buf, 4096, BIT(32)), -EINVAL);
    memset(line, 'a', sizeof(line) - 1);
    a.cmdline = line;
    assert_int_equal(start_info_size(&a), 8192);
    assert_int_equal(start_info_build(&a, buf, 4096, 0x1000), -ENOSPC);
    assert_int_equal(start_info_build(&a, buf, 8192, 0x1000), 0);
    a.initrd = BIT(32) - 10;
    a.initrd_size = 11;
    assert_int_equal(start_info_build(&a, buf, 8192, 0x1000), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ram_up_to_the_quota),
        cmocka_unit_test(quota_bounds),
        cmocka_unit_test(carved_ranges),
        cmocka_unit_test(too_many_ranges),
        cmocka_unit_test(places_near_the_top),
        cmocka_unit_test(acpi_for_the_domain),
        cmocka_unit_test(acpi_bad_arguments),
        cmocka_unit_test(start_info_is_complete),
        cmocka_unit_test(start_info_bad_arguments),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
