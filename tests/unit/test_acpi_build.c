/* SPDX-License-Identifier: MIT */
/*
 * Guests' ACPI tables: walked as a guest walks them, checksums, MADT entries; and disassembled by
 * iasl where that is installed.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "libs/acpi_build.h"

static uint8_t *blob;
static size_t blob_size;

static void build(unsigned vcpus, unsigned max_vcpus)
{
    blob_size = guest_acpi_size(max_vcpus);
    assert_true(blob_size > 0);
    blob = malloc(blob_size);
    assert_non_null(blob);
    assert_int_equal(guest_acpi_build(blob, blob_size, GUEST_ACPI_ADDRESS, vcpus, max_vcpus), 0);
}

static uint32_t get32(const uint8_t *p)
{
    uint32_t value;

    memcpy(&value, p, sizeof(value));
    return value;
}

static uint8_t sum(const uint8_t *p, size_t len)
{
    uint8_t total = 0;

    while (len-- > 0) {
        total = (uint8_t)(total + *p++);
    }
    return total;
}

/* The table at a guest-physical address: inside the blob, with the right signature and checksum. */
static const uint8_t *table(uint64_t address, const char *signature)
{
    const uint8_t *at = blob + (address - GUEST_ACPI_ADDRESS);

    assert_true(address >= GUEST_ACPI_ADDRESS && address - GUEST_ACPI_ADDRESS + 36 <= blob_size);
    assert_int_equal(address % 16, 0);
    assert_memory_equal(at, signature, 4);
    assert_true(address - GUEST_ACPI_ADDRESS + get32(at + 4) <= blob_size);
    assert_int_equal(sum(at, get32(at + 4)), 0);
    return at;
}

static uint64_t get64(const uint8_t *p)
{
    uint64_t value;

    memcpy(&value, p, sizeof(value));
    return value;
}

static const uint8_t *xsdt(void)
{
    assert_memory_equal(blob, "RSD PTR ", 8);
    assert_int_equal(blob[15], 2);
    assert_int_equal(sum(blob, 20), 0);
    assert_int_equal(sum(blob, 36), 0);
    return table(get64(blob + 24), "XSDT");
}

static void test_walk(void **state)
{
    const uint8_t *fadt, *root;

    (void)state;
    build(2, 2);
    root = xsdt();
    assert_int_equal(get32(root + 4), 36 + 16);
    fadt = table(get64(root + 36), "FACP");
    assert_int_equal(fadt[8], 5);
    assert_int_equal(get32(fadt + 4), 268);
    assert_int_equal(get32(fadt + 112) & (1u << 20), 1u << 20); /* HW_REDUCED_ACPI */
    assert_int_equal(fadt[109] & 0x26, 0x24);                   /* no VGA, no RTC; no 8042 */
    assert_int_equal(get64(fadt + 140), get32(fadt + 40));
    assert_int_equal(get64(fadt + 208), 0); /* no PM timer */
    table(get64(fadt + 140), "DSDT");
    table(get64(root + 44), "APIC");
    free(blob);
}

static void check_madt(unsigned vcpus, unsigned max_vcpus)
{
    const uint8_t *madt, *entry, *end;
    unsigned seen = 0;

    build(vcpus, max_vcpus);
    madt = table(get64(xsdt() + 44), "APIC");
    assert_int_equal(get32(madt + 36), 0xfee00000);
    end = madt + get32(madt + 4);
    for (entry = madt + 44; entry < end; entry += entry[1], seen++) {
        const uint32_t enabled = seen < vcpus ? 1 : 0;

        if (entry[0] == 0) {
            assert_int_equal(entry[1], 8);
            assert_int_equal(entry[2], seen);
            assert_int_equal(entry[3], 2 * seen);
            assert_int_equal(get32(entry + 4), enabled);
        } else {
            assert_int_equal(entry[0], 9);
            assert_int_equal(entry[1], 16);
            assert_true(2 * seen >= 255);
            assert_int_equal(get32(entry + 4), 2 * seen);
            assert_int_equal(get32(entry + 8), enabled);
            assert_int_equal(get32(entry + 12), seen);
        }
    }
    assert_ptr_equal(entry, end);
    assert_int_equal(seen, max_vcpus);
    free(blob);
}

static void test_madt(void **state)
{
    (void)state;
    check_madt(1, 1);
    check_madt(2, 8);
    check_madt(128, 128);
    check_madt(130, 300);
}

static void test_refusals(void **state)
{
    uint8_t small[64];

    (void)state;
    assert_int_equal(guest_acpi_size(0), 0);
    assert_int_equal(guest_acpi_size(GUEST_ACPI_MAX_VCPUS + 1), 0);
    assert_int_equal(guest_acpi_build(small, sizeof(small), GUEST_ACPI_ADDRESS, 1, 1), -EINVAL);
    blob = malloc(4096);
    assert_int_equal(guest_acpi_build(blob, 4096, GUEST_ACPI_ADDRESS, 0, 1), -EINVAL);
    assert_int_equal(guest_acpi_build(blob, 4096, GUEST_ACPI_ADDRESS, 2, 1), -EINVAL);
    assert_int_equal(guest_acpi_build(blob, 4096, 0xfffffff0, 1, 1), -EINVAL);
    free(blob);
}

/* An independent judge: iasl must take every table apart without an error. */
static void test_iasl(void **state)
{
    static const char *const names[] = { "FACP", "APIC" };
    char dir[] = "/tmp/test_acpi_build.XXXXXX", path[128], command[512];
    const uint8_t *root;

    (void)state;
    if (system("command -v iasl >/dev/null 2>&1") != 0) {
        skip();
    }
    build(2, 4);
    root = xsdt();
    assert_non_null(mkdtemp(dir));
    for (unsigned i = 0; i < 2; i++) {
        const uint8_t *t = table(get64(root + 36 + 8 * i), names[i]);
        FILE *out;

        snprintf(path, sizeof(path), "%s/%s.aml", dir, names[i]);
        out = fopen(path, "wb");
        assert_non_null(out);
        assert_int_equal(fwrite(t, 1, get32(t + 4), out), get32(t + 4));
        fclose(out);
        snprintf(command, sizeof(command),
                 "cd %s && iasl -d %s.aml >log 2>&1 && ! grep -qi 'error\\|invalid\\|incorrect "
                 "checksum' log "
                 "&& ! grep -qi 'invalid\\|incorrect' %s.dsl",
                 dir, names[i], names[i]);
        assert_int_equal(system(command), 0);
    }
    snprintf(command, sizeof(command), "rm -rf %s", dir);
    assert_int_equal(system(command), 0);
    free(blob);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_walk),
        cmocka_unit_test(test_madt),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_iasl),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
