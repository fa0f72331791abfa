/* SPDX-License-Identifier: MIT */
/*
 * ACPI tables: a small machine's set built in simulated memory, found by scan and by address, and
 * the same set damaged in every way that a careless firmware or an attacker could think of.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "acpi/acpi.h"
#include "lib/errno.h"
#include "lib/le.h"
#include "lib/string.h"
#include "mm/phys.h"

#define SIM_SIZE (2u << 20)
#define RSDP     0xf5a40u
#define XSDT     0x180000u
#define RSDT     0x181000u
#define MADT     0x182000u
#define MCFG     0x183000u
#define FADT     0x184000u
#define HPET     0x185000u
#define SSDT1    0x186000u
#define SSDT2    0x187000u

static uint8_t *at(paddr_t pa)
{
    return phys_to_virt(pa);
}

static const void *sim_map(paddr_t pa, size_t len)
{
    if (pa >= SIM_SIZE || len > SIM_SIZE - pa)
        return NULL;
    return phys_to_virt(pa);
}

static void seal(paddr_t pa)
{
    struct acpi_table_header *h = phys_to_virt(pa);

    h->checksum = 0;
    h->checksum = (uint8_t)-acpi_checksum(h, h->length);
}

static void header(paddr_t pa, const char *sig, uint32_t len, uint8_t rev)
{
    memcpy(at(pa), sig, 4);
    put_le32(at(pa + 4), len);
    *at(pa + 8) = rev;
    seal(pa);
}

static void seal_rsdp(paddr_t pa)
{
    *at(pa + 8) = 0;
    *at(pa + 8) = (uint8_t)-acpi_checksum(at(pa), 20);
    *at(pa + 32) = 0;
    *at(pa + 32) = (uint8_t)-acpi_checksum(at(pa), 36);
}

static void make_rsdp(paddr_t pa, uint8_t rev)
{
    memcpy(at(pa), "RSD PTR ", 8);
    memcpy(at(pa + 9), "BOCHS ", 6);
    *at(pa + 15) = rev;
    put_le32(at(pa + 16), RSDT);
    if (rev >= 2) {
        put_le32(at(pa + 20), 36);
        put_le64(at(pa + 24), XSDT);
    }
    seal_rsdp(pa);
}

static const uint8_t madt_entries[] = {
    0,   8,  0,    0,    1,    0, 0,    0,                               /* LAPIC uid 0 id 0 */
    0,   8,  1,    2,    1,    0, 0,    0,                               /* LAPIC uid 1 id 2 */
    0,   8,  2,    4,    0,    0, 0,    0,                               /* disabled */
    0,   8,  3,    0xff, 1,    0, 0,    0,                               /* no processor */
    127, 5,  1,    2,    3,                                              /* unknown type */
    1,   12, 9,    0,    0,    0, 0xc0, 0xfe, 0,    0, 0, 0,             /* IO-APIC 9 */
    2,   10, 0,    0,    2,    0, 0,    0,    0,    0,                   /* IRQ 0 -> GSI 2 */
    2,   10, 0,    9,    9,    0, 0,    0,    0x0d, 0,                   /* SCI: level, high */
    2,   10, 1,    3,    3,    0, 0,    0,    0,    0,                   /* not ISA: left out */
    4,   6,  0xff, 0,    0,    1,                                        /* LINT1 everywhere */
    3,   8,  5,    0,    17,   0, 0,    0,                               /* NMI source */
    9,   16, 0,    0,    2,    0, 0,    0,    1,    0, 0, 0, 1, 0, 0, 0, /* x2APIC twin of id 2 */
    9,   16, 0,    0,    0x2c, 1, 0,    0,    1,    0, 0, 0, 7, 0, 0, 0, /* x2APIC id 300 */
    10,  12, 5,    0,    7,    0, 0,    0,    1,    0, 0, 0,             /* x2APIC NMI */
    5,   12, 0,    0,    0,    0, 0xe0, 0xfe, 1,    0, 0, 0, /* LAPIC base above 4 GiB */
};

static void make_madt(void)
{
    put_le32(at(MADT + 36), 0xfee00000);
    put_le32(at(MADT + 40), 1);
    memcpy(at(MADT + 44), madt_entries, sizeof(madt_entries));
    header(MADT, "APIC", 44 + sizeof(madt_entries), 4);
}

static void make_fadt(void)
{
    header(FADT, "FACP", 244, 3);
    put_le32(at(FADT + 36), 0x1000);
    put_le32(at(FADT + 40), 0x2000);
    put_le16(at(FADT + 46), 9);
    put_le32(at(FADT + 48), 0xb2);
    put_le32(at(FADT + 56), 0x600);
    put_le32(at(FADT + 64), 0x604);
    put_le32(at(FADT + 76), 0x608);
    *at(FADT + 88) = 4;
    *at(FADT + 89) = 2;
    *at(FADT + 91) = 4;
    put_le32(at(FADT + 112), 1u << 10);
    memcpy(at(FADT + 116), "\1\10\0\1\xf9\xc\0\0\0\0\0\0", 12);
    *at(FADT + 128) = 0xf;
    put_le64(at(FADT + 140), 0x12340000ull);
    memcpy(at(FADT + 172), "\1\20\0\2\x44\x6\0\0\0\0\0\0", 12); /* X_PM1a_CNT 0x644 */
    seal(FADT);
}

static void make_machine(uint8_t rev)
{
    static const uint32_t tables[] = { FADT, SSDT1, MADT, MCFG, HPET, SSDT2 };
    unsigned i;

    sim_phys_init(SIM_SIZE);
    acpi_set_map(sim_map);
    make_rsdp(RSDP, rev);
    for (i = 0; i < ARRAY_SIZE(tables); i++) {
        put_le64(at(XSDT + 36 + 8 * i), tables[i]);
        put_le32(at(RSDT + 36 + 4 * i), tables[i]);
    }
    header(XSDT, "XSDT", 36 + 8 * ARRAY_SIZE(tables), 1);
    header(RSDT, "RSDT", 36 + 4 * (ARRAY_SIZE(tables) - 1), 1); /* tells it from the XSDT */
    make_madt();
    make_fadt();
    put_le64(at(MCFG + 44), 0xb0000000);
    *at(MCFG + 55) = 255;
    header(MCFG, "MCFG", 60, 1);
    put_le32(at(HPET + 36), 0x8086a201);
    put_le64(at(HPET + 44), 0xfed00000);
    header(HPET, "HPET", 56, 1);
    header(SSDT1, "SSDT", 40, 1);
    header(SSDT2, "SSDT", 44, 1);
}

static void found_by_scan_and_by_address(void **state)
{
    (void)state;
    make_machine(2);
    assert_int_equal(acpi_init(0), 0);
    assert_int_equal(acpi_nr_tables(), 6);
    assert_memory_equal(acpi_oem_id(), "BOCHS ", 6);
    assert_int_equal(acpi_table(1)->pa, SSDT1);
    assert_int_equal(acpi_table(5)->length, 44);
    assert_null(acpi_table(6));
    assert_ptr_equal(acpi_find("SSDT", 0), at(SSDT1));
    assert_ptr_equal(acpi_find("SSDT", 1), at(SSDT2));
    assert_null(acpi_find("SSDT", 2));
    assert_null(acpi_find("DMAR", 0));

    memcpy(at(0x500), at(RSDP), 36);
    memset(at(RSDP), 0, 36);
    assert_int_equal(acpi_init(0), -ENOENT);
    assert_int_equal(acpi_nr_tables(), 0);
    assert_int_equal(acpi_init(0x500), 0);
    assert_int_equal(acpi_init_copy(at(0x500), 36), 0);
    assert_int_equal(acpi_nr_tables(), 6);

    put_le16(at(0x40e), 0x9fc0); /* EBDA */
    memcpy(at(0x9fc00 + 976), at(0x500), 36);
    assert_int_equal(acpi_init(0), 0);
    put_le16(at(0x40e), 0xffff); /* a stray EBDA pointer */
    assert_int_equal(acpi_init(0), -ENOENT);
}

static void revisions_and_fallbacks(void **state)
{
    (void)state;
    make_machine(0);
    assert_int_equal(acpi_init(0), 0);
    assert_int_equal(acpi_nr_tables(), 5);

    make_machine(2); /* a damaged XSDT: the RSDT serves */
    *at(XSDT + 20) ^= 1;
    assert_int_equal(acpi_init(0), 0);
    assert_int_equal(acpi_nr_tables(), 5);
    *at(RSDT + 20) ^= 1;
    assert_int_equal(acpi_init(0), -EINVAL);

    make_machine(2); /* a damaged second half of the root pointer: revision 1 is believed */
    *at(RSDP + 33) ^= 1;
    assert_int_equal(acpi_init(0), 0);
    assert_int_equal(acpi_nr_tables(), 5);

    make_machine(2); /* a length in the root pointer that leads far away */
    put_le32(at(RSDP + 20), 0xffffffff);
    assert_int_equal(acpi_init(RSDP), 0);
    assert_int_equal(acpi_nr_tables(), 5);
    *at(RSDP + 10) ^= 1;
    assert_int_equal(acpi_init(RSDP), -EINVAL);
    assert_int_equal(acpi_init(SIM_SIZE - 10), -EINVAL);
    assert_int_equal(acpi_init_copy("RSD PTR ", 9), -EINVAL);
}

static void damaged_tables_are_left_out(void **state)
{
    struct acpi_hpet_info hpet;

    (void)state;
    make_machine(2);
    put_le64(at(XSDT + 36), 0xfffffffffffffff0ull);
    put_le64(at(XSDT + 44), 0);
    put_le64(at(XSDT + 52), SIM_SIZE - 36); /* header readable, rest not */
    put_le32(at(SIM_SIZE - 32), 100);
    seal(XSDT);
    put_le32(at(MCFG + 4), 35);
    put_le32(at(HPET + 4), ACPI_MAX_TABLE_LEN + 1);
    assert_int_equal(acpi_init(0), 0);
    assert_int_equal(acpi_nr_tables(), 1);
    assert_ptr_equal(acpi_find("SSDT", 0), at(SSDT2));
    assert_int_equal(acpi_get_hpet(&hpet), -ENOENT);
    *at(SSDT2 + 40) ^= 1;
    put_le32(at(RSDP + 16), 0);
    seal_rsdp(RSDP);
    assert_int_equal(acpi_init(0), -EINVAL);
}

static void madt_is_read(void **state)
{
    static struct acpi_madt_info m;

    (void)state;
    make_machine(2);
    assert_int_equal(acpi_init(0), 0);
    assert_int_equal(acpi_get_madt(&m), 0);
    assert_int_equal(m.lapic_base, 0x1fee00000ull);
    assert_true(m.pcat_compat);
    assert_int_equal(m.nr_cpus, 4);
    assert_int_equal(m.cpu[1].apic_id, 2);
    assert_true(m.cpu[1].enabled);
    assert_false(m.cpu[2].enabled);
    assert_int_equal(m.cpu[3].apic_id, 300);
    assert_int_equal(m.cpu[3].uid, 7);
    assert_int_equal(m.nr_ioapics, 1);
    assert_int_equal(m.ioapic[0].id, 9);
    assert_int_equal(m.ioapic[0].base, 0xfec00000);
    assert_int_equal(m.nr_overrides, 2);
    assert_int_equal(m.override[0].gsi, 2);
    assert_int_equal(m.override[1].flags, 0x0d);
    assert_int_equal(m.nr_nmis, 3);
    assert_int_equal(m.nmi[0].uid, ACPI_NMI_ALL_CPUS);
    assert_int_equal(m.nmi[0].lint, 1);
    assert_true(m.nmi[1].is_gsi);
    assert_int_equal(m.nmi[1].gsi, 17);
    assert_int_equal(m.nmi[2].uid, 7);
}

static void madt_nonsense(void **state)
{
    static struct acpi_madt_info m;
    unsigned i;

    (void)state;
    make_machine(2);
    *at(MADT + 45) = 0; /* an entry that would never end */
    seal(MADT);
    assert_int_equal(acpi_init(0), 0);
    assert_int_equal(acpi_get_madt(&m), -EINVAL);
    *at(MADT + 45) = 255; /* beyond the table */
    seal(MADT);
    acpi_init(0);
    assert_int_equal(acpi_get_madt(&m), -EINVAL);
    *at(MADT + 44) = 1; /* an IO-APIC of 8 bytes: skipped */
    *at(MADT + 45) = 8;
    seal(MADT);
    acpi_init(0);
    assert_int_equal(acpi_get_madt(&m), 0);
    assert_int_equal(m.nr_ioapics, 1);

    for (i = 0; i < 400; i++) { /* more processors than there is room for */
        uint8_t e[16] = { 9, 16, 0, 0, 0, 0, 0, 0, 1 };

        put_le32(e + 4, i);
        memcpy(at(0x188000 + 44 + 16 * i), e, 16);
    }
    header(0x188000, "APIC", 44 + 16 * 400, 4);
    put_le64(at(XSDT + 36 + 16), 0x188000);
    seal(XSDT);
    acpi_init(0);
    assert_int_equal(acpi_get_madt(&m), 0);
    assert_int_equal(m.nr_cpus, ACPI_MAX_CPUS);
}

/* The control domain may scribble over ACPI memory later: the length of the index counts. */
static void a_length_changed_later_is_ignored(void **state)
{
    static struct acpi_madt_info m;

    (void)state;
    make_machine(2);
    assert_int_equal(acpi_init(0), 0);
    put_le32(at(MADT + 4), 0xffffffff);
    assert_int_equal(acpi_get_madt(&m), 0);
    assert_int_equal(m.nr_cpus, 4);
}

static void mcfg_hpet_fadt_are_read(void **state)
{
    struct acpi_mcfg_info mcfg;
    struct acpi_hpet_info hpet;
    struct acpi_fadt_info f;

    (void)state;
    make_machine(2);
    assert_int_equal(acpi_init(0), 0);
    assert_int_equal(acpi_get_mcfg(&mcfg), 0);
    assert_int_equal(mcfg.nr_segments, 1);
    assert_int_equal(mcfg.segment[0].base, 0xb0000000);
    assert_int_equal(mcfg.segment[0].end_bus, 255);
    assert_int_equal(acpi_get_hpet(&hpet), 0);
    assert_int_equal(hpet.base, 0xfed00000);
    assert_int_equal(acpi_get_fadt(&f), 0);
    assert_int_equal(f.sci_int, 9);
    assert_int_equal(f.dsdt, 0x12340000);
    assert_int_equal(f.facs, 0x1000);
    assert_int_equal(f.pm1a_event.address, 0x600);
    assert_int_equal(f.pm1a_event.space, ACPI_SPACE_IO);
    assert_int_equal(f.pm1a_event.width, 32);
    assert_int_equal(f.pm1a_control.address, 0x644);
    assert_int_equal(f.pm1a_control.width, 16);
    assert_int_equal(f.pm_timer.address, 0x608);
    assert_int_equal(f.pm1b_control.address, 0);
    assert_true(f.has_reset);
    assert_int_equal(f.reset.address, 0xcf9);
    assert_int_equal(f.reset_value, 0xf);

    put_le32(at(FADT + 4), 116); /* revision 1: no reset register, no extended fields */
    seal(FADT);
    acpi_init(0);
    assert_int_equal(acpi_get_fadt(&f), 0);
    assert_false(f.has_reset);
    assert_int_equal(f.dsdt, 0x2000);
    assert_int_equal(f.pm1a_control.address, 0x604);
    put_le32(at(FADT + 4), 115);
    seal(FADT);
    acpi_init(0);
    assert_int_equal(acpi_get_fadt(&f), -EINVAL);
}

static void mcfg_nonsense(void **state)
{
    struct acpi_mcfg_info m;

    (void)state;
    make_machine(2);
    put_le64(at(MCFG + 44), 0xb0080000); /* not on a bus */
    put_le64(at(MCFG + 60), 0xfffffffff0000000ull);
    *at(MCFG + 71) = 255;
    put_le64(at(MCFG + 76), 0xc0000000);
    *at(MCFG + 86) = 16; /* start behind end */
    *at(MCFG + 87) = 15;
    put_le64(at(MCFG + 92), 0xd0000000);
    *at(MCFG + 100) = 1; /* segment 1 */
    *at(MCFG + 102) = 3;
    *at(MCFG + 103) = 3;
    header(MCFG, "MCFG", 44 + 64 + 7, 1);
    assert_int_equal(acpi_init(0), 0);
    assert_int_equal(acpi_get_mcfg(&m), 0);
    assert_int_equal(m.nr_segments, 1);
    assert_int_equal(m.segment[0].segment, 1);
    header(MCFG, "MCFG", 44, 1);
    acpi_init(0);
    assert_int_equal(acpi_get_mcfg(&m), -EINVAL);
}

/* Sealed rubbish in each table: no overrun, no endless loop. */
static void random_tables_are_survived(void **state)
{
    static const uint32_t tables[] = { MADT, MCFG, FADT, HPET, XSDT };
    static struct acpi_madt_info m;
    struct acpi_mcfg_info mcfg;
    struct acpi_fadt_info f;
    struct acpi_hpet_info hpet;
    unsigned round, i;

    (void)state;
    srand(3);
    for (round = 0; round < 300; round++) {
        uint32_t pa = tables[round % ARRAY_SIZE(tables)];

        if (round % 20 == 0)
            make_machine(2);
        for (i = 0; i < 6; i++)
            *at(pa + 36 + (unsigned)rand() % 160) = (uint8_t)(rand() % 20);
        put_le32(at(pa + 4), 36 + (unsigned)rand() % 200);
        seal(pa);
        if (acpi_init(0))
            continue;
        acpi_get_madt(&m);
        acpi_get_mcfg(&mcfg);
        acpi_get_fadt(&f);
        acpi_get_hpet(&hpet);
        assert_true(m.nr_cpus <= ACPI_MAX_CPUS && mcfg.nr_segments <= ACPI_MAX_MCFG);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(found_by_scan_and_by_address),
        cmocka_unit_test(revisions_and_fallbacks),
        cmocka_unit_test(damaged_tables_are_left_out),
        cmocka_unit_test(madt_is_read),
        cmocka_unit_test(madt_nonsense),
        cmocka_unit_test(a_length_changed_later_is_ignored),
        cmocka_unit_test(mcfg_hpet_fadt_are_read),
        cmocka_unit_test(mcfg_nonsense),
        cmocka_unit_test(random_tables_are_survived),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
