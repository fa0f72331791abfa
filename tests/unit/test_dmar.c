/* SPDX-License-Identifier: MIT */
/*
 * The DMAR parser: good tables, among them the one that QEMU builds; every truncation; each rule
 * broken once; paths through bridges; and random damage, which must never read outside of the
 * buffer (the sanitizers watch) or leave half a result.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "iommu/dmar.h"
#include "lib/errno.h"
#include "lib/string.h"

static uint8_t buf[4096];
static size_t len;
static struct dmar_info info;
static char why[96];

static void put8(unsigned v)
{
    buf[len++] = (uint8_t)v;
}

static void put(uint64_t v, unsigned bytes)
{
    memcpy(buf + len, &v, bytes);
    len += bytes;
}

static void start(unsigned width, unsigned flags)
{
    memset(buf, 0, sizeof(buf));
    memcpy(buf, "DMAR", 4);
    buf[8] = 1;
    buf[36] = (uint8_t)(width - 1);
    buf[37] = (uint8_t)flags;
    len = 48;
}

static void seal(void)
{
    uint32_t l = (uint32_t)len;
    uint8_t sum = 0;

    memcpy(buf + 4, &l, 4);
    buf[9] = 0;
    for (size_t i = 0; i < len; i++)
        sum = (uint8_t)(sum + buf[i]);
    buf[9] = (uint8_t)-sum;
}

/* Structures: begin, scopes, end (which writes the length). */
static size_t struct_start;

static void begin(unsigned type)
{
    struct_start = len;
    put(type, 2);
    put(0, 2);
}

static void end(void)
{
    uint16_t l = (uint16_t)(len - struct_start);

    memcpy(buf + struct_start + 2, &l, 2);
}

static void drhd(unsigned flags, unsigned segment, uint64_t base)
{
    begin(0);
    put8(flags);
    put8(0);
    put(segment, 2);
    put(base, 8);
}

static void rmrr(unsigned segment, uint64_t base, uint64_t limit)
{
    begin(1);
    put(0, 2);
    put(segment, 2);
    put(base, 8);
    put(limit, 8);
}

static void scope(unsigned type, unsigned id, unsigned bus, unsigned steps, ...)
{
    va_list ap;

    put8(type);
    put8(6 + 2 * steps);
    put(0, 2);
    put8(id);
    put8(bus);
    va_start(ap, steps);
    for (unsigned i = 0; i < 2 * steps; i++)
        put8(va_arg(ap, unsigned));
    va_end(ap);
}

/* A copy of exactly the right size, so that the sanitizer sees the first byte too many. */
static int parse_len(size_t n)
{
    void *copy = malloc(n ? n : 1);
    int err;

    memcpy(copy, buf, n);
    memset(&info, 0x5a, sizeof(info));
    why[0] = '\0';
    err = dmar_parse(copy, n, &info, why, sizeof(why));
    free(copy);
    return err;
}

static int parse(void)
{
    seal();
    return parse_len(len);
}

static void assert_refused(const char *message)
{
    static const struct dmar_info none;
    int err = parse();

    assert_true(err == -EINVAL || err == -E2BIG);
    assert_memory_equal(&info, &none, sizeof(none));
    if (!strstr(why, message))
        print_error("wanted \"%s\", got \"%s\"\n", message, why);
    assert_non_null(strstr(why, message));
}

/*
 * What QEMU 7.2 gives for -M q35 -device intel-iommu,intremap=on: one unit for all, the IO-APIC at
 * ff:00.0.
 */
static void qemu_table(void)
{
    start(39, 1);
    drhd(1, 0, 0xfed90000);
    scope(DMAR_SCOPE_IOAPIC, 0, 0xff, 1, 0, 0);
    end();
}

static void test_qemu(void **state)
{
    unsigned unit = 9;
    uint16_t sid = 0;

    (void)state;
    qemu_table();
    assert_int_equal(len, 72);
    assert_int_equal(parse(), 0);
    assert_int_equal(info.address_bits, 39);
    assert_true(info.intr_remap);
    assert_int_equal(info.nr_units, 1);
    assert_true(info.unit[0].base == 0xfed90000);
    assert_int_equal(info.unit[0].size, 4096);
    assert_true(info.unit[0].include_all);
    assert_int_equal(dmar_unit_for(&info, 0, 0x0018), 0);
    assert_int_equal(dmar_unit_for(&info, 1, 0x0018), -ENODEV);
    assert_int_equal(dmar_special(&info, DMAR_SCOPE_IOAPIC, 0, &unit, &sid), 0);
    assert_int_equal(unit, 0);
    assert_int_equal(sid, 0xff00);
    assert_int_equal(dmar_special(&info, DMAR_SCOPE_IOAPIC, 1, &unit, &sid), -ENODEV);
    assert_int_equal(dmar_special(&info, DMAR_SCOPE_HPET, 0, &unit, &sid), -ENODEV);
}

/* A larger machine: graphics unit, unit by bridge, all others, a second segment. */
static void big_table(void)
{
    start(46, 5);
    drhd(0, 0, 0xfed90000);
    scope(DMAR_SCOPE_ENDPOINT, 0, 0, 1, 2, 0);
    end();
    drhd(0, 0, 0xfed91000);
    scope(DMAR_SCOPE_BRIDGE, 0, 0, 1, 0x1c, 0);
    scope(DMAR_SCOPE_ENDPOINT, 0, 0, 3, 0x1d, 1, 0, 0, 3, 2);
    end();
    begin(7); /* unknown type */
    put(0, 4);
    end();
    drhd(1, 0, 0xfed92000);
    scope(DMAR_SCOPE_IOAPIC, 8, 0xf0, 1, 0x1f, 7);
    scope(DMAR_SCOPE_HPET, 0, 0, 1, 0x1f, 6);
    end();
    drhd(1, 1, 0xfed93000);
    end();
    rmrr(0, 0x7b800000, 0x7fffffff);
    scope(DMAR_SCOPE_ENDPOINT, 0, 0, 1, 2, 0);
    end();
    rmrr(0, 0x7a000000, 0x7a000fff);
    scope(DMAR_SCOPE_ENDPOINT, 0, 0, 1, 0x14, 0);
    scope(DMAR_SCOPE_ENDPOINT, 0, 0, 1, 2, 0);
    end();
    begin(2); /* ATSR */
    put8(0);
    put8(0);
    put(0, 2);
    scope(DMAR_SCOPE_BRIDGE, 0, 0, 1, 0x1c, 0);
    end();
    begin(3); /* RHSA */
    put(0, 4);
    put(0xfed91000, 8);
    put(1, 4);
    end();
    begin(4); /* ANDD */
    put(0, 8);
    put(0, 4);
    end();
}

static void test_big(void **state)
{
    uint32_t domain = 0;
    unsigned unit;
    uint16_t sid;

    (void)state;
    big_table();
    assert_int_equal(parse(), 0);
    assert_true(info.dma_opt_in && info.intr_remap && !info.x2apic_opt_out);
    assert_int_equal(info.nr_units, 4);
    assert_int_equal(info.nr_rmrrs, 2);
    assert_int_equal(info.nr_atsrs, 1);
    assert_int_equal(info.nr_rhsas, 1);
    assert_int_equal(info.nr_skipped, 2);
    assert_int_equal(dmar_unit_for(&info, 0, 2 << 3), 0);
    assert_int_equal(dmar_unit_for(&info, 0, 0x1c << 3), 1);
    assert_int_equal(dmar_unit_for(&info, 0, 0x14 << 3), 2);
    assert_int_equal(dmar_unit_for(&info, 1, 0x14 << 3), 3);
    assert_int_equal(dmar_unit_for(&info, 2, 0), -ENODEV);
    assert_int_equal(dmar_special(&info, DMAR_SCOPE_IOAPIC, 8, &unit, &sid), 0);
    assert_int_equal(unit, 2);
    assert_int_equal(sid, 0xf0ff);
    assert_int_equal(dmar_special(&info, DMAR_SCOPE_HPET, 0, &unit, &sid), 0);
    assert_int_equal(sid, 0x00fe);
    assert_true(dmar_unit_domain(&info, 1, &domain));
    assert_int_equal(domain, 1);
    assert_false(dmar_unit_domain(&info, 0, &domain));

    assert_true(dmar_rmrr_for(&info, 0, 2 << 3, 0)->base == 0x7b800000);
    assert_true(dmar_rmrr_for(&info, 0, 2 << 3, 1)->end == 0x7a000fff);
    assert_null(dmar_rmrr_for(&info, 0, 2 << 3, 2));
    assert_true(dmar_rmrr_for(&info, 0, 0x14 << 3, 0)->base == 0x7a000000);
    assert_null(dmar_rmrr_for(&info, 1, 0x14 << 3, 0));
}

/* ---- bridges ---- */

static struct {
    uint16_t bdf;
    uint8_t header, secondary, subordinate;
} bridges[4];

static uint32_t cfg_read(uint16_t segment, uint16_t bdf, uint16_t reg, unsigned width)
{
    for (unsigned i = 0; i < 4; i++) {
        if (segment || !bridges[i].bdf || bridges[i].bdf != bdf)
            continue;
        switch (reg) {
        case 0:
            return 0x8086;
        case 0x0e:
            return bridges[i].header;
        case 0x19:
            return bridges[i].secondary;
        case 0x1a:
            return bridges[i].subordinate;
        default:
            fail();
        }
    }
    return width == 4 ? ~0u : (1u << (8 * width)) - 1;
}

static void set_bridges(void)
{
    memset(bridges, 0, sizeof(bridges));
    bridges[0].bdf = 0x1c << 3;
    bridges[0].header = 0x81; /* multi-function */
    bridges[0].secondary = 1;
    bridges[0].subordinate = 3;
    bridges[1].bdf = 0x1d << 3 | 1;
    bridges[1].header = 1;
    bridges[1].secondary = 4;
    bridges[1].subordinate = 9;
    bridges[2].bdf = 4 << 8;
    bridges[2].header = 1;
    bridges[2].secondary = 6;
    bridges[2].subordinate = 6;
}

static void test_bridges(void **state)
{
    (void)state;
    big_table();
    assert_int_equal(parse(), 0);
    /* before: paths of several steps match nothing */
    assert_int_equal(dmar_unit_for(&info, 0, 6 << 8 | 3 << 3 | 2), 2);
    assert_int_equal(dmar_unit_for(&info, 0, 0x0200), 2);

    set_bridges();
    assert_int_equal(dmar_resolve(&info, cfg_read), 0);
    assert_int_equal(dmar_unit_for(&info, 0, 6 << 8 | 3 << 3 | 2), 1);
    assert_int_equal(dmar_unit_for(&info, 0, 6 << 8 | 3 << 3 | 1), 2);
    assert_int_equal(dmar_unit_for(&info, 0, 0x0100), 1);
    assert_int_equal(dmar_unit_for(&info, 0, 0x03ff), 1);
    assert_int_equal(dmar_unit_for(&info, 0, 0x0400), 2);
    assert_int_equal(dmar_unit_for(&info, 0, 0x00e0), 1);

    /* the inner bridge is gone */
    bridges[2].bdf = 0;
    assert_int_equal(dmar_resolve(&info, cfg_read), 1);
    assert_int_equal(dmar_unit_for(&info, 0, 6 << 8 | 3 << 3 | 2), 2);

    /* bus numbers that nobody has set, or that lead in a circle */
    set_bridges();
    bridges[1].secondary = 0;
    bridges[0].secondary = 0;
    assert_int_equal(dmar_resolve(&info, cfg_read), 1);
    assert_int_equal(dmar_unit_for(&info, 0, 0x0100), 2);
    set_bridges();
    bridges[2].secondary = 4;
    bridges[0].subordinate = 0;
    assert_int_equal(dmar_resolve(&info, cfg_read), 1);
    assert_int_equal(dmar_unit_for(&info, 0, 0x0100), 2);

    /* and back again */
    set_bridges();
    assert_int_equal(dmar_resolve(&info, cfg_read), 0);
    assert_int_equal(dmar_unit_for(&info, 0, 6 << 8 | 3 << 3 | 2), 1);
}

/* ---- damage ---- */

static void test_truncated(void **state)
{
    size_t full;

    (void)state;
    big_table();
    seal();
    full = len;
    assert_int_equal(parse_len(full), 0);
    /* a shorter buffer with the table's own length, */
    for (size_t n = 0; n < full; n++)
        assert_int_equal(parse_len(n), -EINVAL);
    /* and a table that says it is shorter: fine only where a structure ends */
    for (size_t n = 48; n < full; n++) {
        size_t at = 48;
        uint16_t l;

        while (at < n) {
            memcpy(&l, buf + at + 2, 2);
            at += l;
        }
        big_table();
        len = n;
        seal();
        assert_int_equal(parse_len(n), at == n && n > 48 ? 0 : -EINVAL);
    }
}

static void test_header(void **state)
{
    (void)state;
    qemu_table();
    seal();
    buf[9]++;
    assert_int_equal(parse_len(len), -EINVAL);
    assert_non_null(strstr(why, "checksum"));
    qemu_table();
    buf[0] = 'd';
    assert_refused("signature");
    qemu_table();
    buf[36] = 30;
    assert_refused("width");
    qemu_table();
    buf[36] = 64;
    assert_refused("width");
    start(39, 1);
    assert_refused("no unit");
    /* the buffer may be longer than the table */
    qemu_table();
    seal();
    assert_int_equal(parse_len(len + 100), 0);
    /* no place for a message */
    qemu_table();
    buf[0] = 'x';
    seal();
    assert_int_equal(dmar_parse(buf, len, &info, NULL, 0), -EINVAL);
}

static void test_structures(void **state)
{
    (void)state;
    /* lengths of zero and of less than a header: no endless loop */
    for (unsigned l = 0; l < 4; l++) {
        qemu_table();
        begin(9);
        put(0, 4);
        end();
        buf[struct_start + 2] = (uint8_t)l;
        assert_refused("offset 72 has length");
    }
    qemu_table();
    put(0, 3);
    assert_refused("offset 72 is cut off");
    qemu_table();
    begin(9);
    end();
    buf[struct_start + 2] = 5;
    assert_refused("offset 72 has length 5");
    for (unsigned type = 0; type < 4; type++) {
        qemu_table();
        begin(type);
        put(0, 3);
        end();
        assert_refused("has length 7");
    }
}

static void test_drhd(void **state)
{
    static const uint64_t bad[] = { 0, 0xfed90800, 1ULL << 39, ~0xfffULL, (1ULL << 39) - 0x800 };

    (void)state;
    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        start(39, 1);
        drhd(1, 0, bad[i]);
        end();
        assert_refused("registers at");
    }
    qemu_table();
    drhd(0, 1, 0xfed90000);
    end();
    assert_refused("shares registers");
    /* a unit of four pages that reaches into the next */
    start(39, 1);
    drhd(1, 0, 0xfed90000);
    buf[struct_start + 5] = 2;
    end();
    drhd(1, 1, 0xfed93000);
    end();
    assert_refused("shares registers");
    qemu_table();
    drhd(1, 0, 0xfed91000);
    end();
    assert_refused("second to take all");
    start(39, 1);
    for (unsigned i = 0; i <= DMAR_MAX_UNITS; i++) {
        drhd(0, 0, 0xfed00000 + i * 0x1000);
        end();
    }
    assert_refused("more than 16 units");
}

static void test_scopes(void **state)
{
    (void)state;
    qemu_table();
    drhd(0, 0, 0xfed91000);
    scope(DMAR_SCOPE_ENDPOINT, 0, 0, 1, 3, 0);
    end();
    drhd(0, 0, 0xfed92000);
    scope(DMAR_SCOPE_ENDPOINT, 0, 0, 1, 3, 0);
    end();
    assert_refused("both claim device 00:03.0");
    qemu_table();
    drhd(0, 0, 0xfed91000);
    scope(DMAR_SCOPE_IOAPIC, 0, 0xff, 1, 0, 0);
    end();
    assert_refused("both claim");

    static const uint8_t lengths[] = { 0, 1, 5, 6, 7, 9, 10, 255 };

    for (unsigned i = 0; i < sizeof(lengths); i++) {
        start(39, 1);
        drhd(1, 0, 0xfed90000);
        scope(DMAR_SCOPE_ENDPOINT, 0, 0, 1, 3, 0);
        end();
        buf[struct_start + 17] = lengths[i];
        assert_refused("device scope at offset 64 has length");
    }
    start(39, 1);
    drhd(1, 0, 0xfed90000);
    put(0, 5);
    end();
    assert_refused("device scope at offset 64 is cut off");
    start(39, 1);
    drhd(1, 0, 0xfed90000);
    scope(DMAR_SCOPE_ENDPOINT, 0, 0, 1, 32, 0);
    end();
    assert_refused("device 32 function 0");
    start(39, 1);
    drhd(1, 0, 0xfed90000);
    scope(DMAR_SCOPE_ENDPOINT, 0, 0, 2, 3, 0, 3, 8);
    end();
    assert_refused("device 3 function 8");
    start(39, 1);
    drhd(1, 0, 0xfed90000);
    scope(DMAR_SCOPE_ENDPOINT, 0, 0, 9, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0);
    end();
    assert_refused("path of 9 steps");
    start(39, 1);
    drhd(1, 0, 0xfed90000);
    for (unsigned i = 0; i <= DMAR_MAX_SCOPES; i++)
        scope(DMAR_SCOPE_ENDPOINT, 0, i, 1, 1, 0);
    end();
    assert_refused("more than 128 device scopes");
}

static void test_rmrr(void **state)
{
    static const uint64_t bad[][2] = {
        { 0x7b800800, 0x7fffffff }, /* not aligned */
        { 0x7b800000, 0x7ffffffe },
        { 0x7b800000, 0x80000000 },
        { 0x7b800000, 0x7b7fffff }, /* empty, the wrong way round */
        { 0x7b800000, 0x7fffffffff | 1ULL << 39 },
    };

    (void)state;
    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        qemu_table();
        rmrr(0, bad[i][0], bad[i][1]);
        scope(DMAR_SCOPE_ENDPOINT, 0, 0, 1, 2, 0);
        end();
        assert_refused("RMRR at offset 72 covers");
    }
    qemu_table();
    rmrr(0, 0xfed80000, 0xfed90fff);
    scope(DMAR_SCOPE_ENDPOINT, 0, 0, 1, 2, 0);
    end();
    assert_refused("covers the registers of unit 0");
    qemu_table();
    rmrr(0, 0xfed91000, 0xfed91fff);
    scope(DMAR_SCOPE_ENDPOINT, 0, 0, 1, 2, 0);
    end();
    assert_int_equal(parse(), 0);
    qemu_table();
    for (unsigned i = 0; i <= DMAR_MAX_RMRRS; i++) {
        rmrr(0, 0x1000, 0x1fff);
        end();
    }
    assert_refused("more than 32 RMRRs");
}

/* Whatever is accepted must make sense; the same seed each time. */
static void test_random_damage(void **state)
{
    static const struct dmar_info none;
    unsigned accepted = 0;

    (void)state;
    srand(1);
    for (unsigned round = 0; round < 20000; round++) {
        big_table();
        for (int i = rand() % 4; i >= 0; i--)
            buf[48 + (unsigned)rand() % (len - 48)] = (uint8_t)rand();
        if (parse()) {
            assert_memory_equal(&info, &none, sizeof(none));
            continue;
        }
        accepted++;
        set_bridges();
        dmar_resolve(&info, cfg_read);
        assert_true(info.nr_units >= 1 && info.nr_units <= DMAR_MAX_UNITS);
        for (unsigned bdf = 0; bdf < 0x10000; bdf += 0x1f8 + (unsigned)rand() % 0x100) {
            int unit = dmar_unit_for(&info, 0, (uint16_t)bdf);

            assert_true(unit == -ENODEV || (unit >= 0 && (unsigned)unit < info.nr_units));
        }
        for (unsigned i = 0; i < info.nr_rmrrs; i++)
            assert_true(info.rmrr[i].base < info.rmrr[i].end);
    }
    assert_true(accepted > 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_qemu),    cmocka_unit_test(test_big),
        cmocka_unit_test(test_bridges), cmocka_unit_test(test_truncated),
        cmocka_unit_test(test_header),  cmocka_unit_test(test_structures),
        cmocka_unit_test(test_drhd),    cmocka_unit_test(test_scopes),
        cmocka_unit_test(test_rmrr),    cmocka_unit_test(test_random_damage),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
