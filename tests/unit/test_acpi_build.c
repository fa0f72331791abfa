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
#include "xen-lite/include/xenlite/pci.h"

static uint8_t *blob;
static size_t blob_size;

static int build_at(void *to, size_t size, uint64_t address, unsigned vcpus, unsigned max_vcpus,
                    bool pci)
{
    const struct guest_acpi guest = { address, vcpus, max_vcpus, pci };

    return guest_acpi_build(to, size, &guest);
}

static void build(unsigned vcpus, unsigned max_vcpus, bool pci)
{
    blob_size = guest_acpi_size(max_vcpus, pci);
    assert_true(blob_size > 0);
    blob = malloc(blob_size);
    assert_non_null(blob);
    assert_int_equal(build_at(blob, blob_size, GUEST_ACPI_ADDRESS, vcpus, max_vcpus, pci), 0);
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
    build(2, 2, false);
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

static void check_madt(unsigned vcpus, unsigned max_vcpus, bool pci)
{
    const uint8_t *madt, *entry, *end;
    unsigned seen = 0;

    build(vcpus, max_vcpus, pci);
    madt = table(get64(xsdt() + 44), "APIC");
    assert_int_equal(get32(madt + 36), 0xfee00000);
    end = madt + get32(madt + 4);
    for (entry = madt + 44; entry < end && entry[0] != 1; entry += entry[1], seen++) {
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
    if (pci) {
        assert_int_equal(entry[0], 1);
        assert_int_equal(entry[1], 12);
        assert_int_equal(entry[2] & 1, 1); /* no vCPU's id */
        assert_int_equal(get32(entry + 4), 0xfec00000);
        assert_int_equal(get32(entry + 8), 0);
        entry += entry[1];
    }
    assert_ptr_equal(entry, end);
    assert_int_equal(seen, max_vcpus);
    free(blob);
}

static void test_madt(void **state)
{
    (void)state;
    check_madt(1, 1, false);
    check_madt(2, 8, false);
    check_madt(128, 128, false);
    check_madt(130, 300, false);
    check_madt(1, 1, true);
    check_madt(3, 128, true);
}

static void test_refusals(void **state)
{
    uint8_t small[64];

    (void)state;
    assert_int_equal(guest_acpi_size(0, true), 0);
    assert_int_equal(guest_acpi_size(GUEST_ACPI_MAX_VCPUS + 1, false), 0);
    assert_int_equal(build_at(small, sizeof(small), GUEST_ACPI_ADDRESS, 1, 1, false), -EINVAL);
    blob = malloc(4096);
    assert_int_equal(build_at(blob, guest_acpi_size(1, false), GUEST_ACPI_ADDRESS, 1, 1, true),
                     -EINVAL);
    assert_int_equal(build_at(blob, 4096, GUEST_ACPI_ADDRESS, 0, 1, true), -EINVAL);
    assert_int_equal(build_at(blob, 4096, GUEST_ACPI_ADDRESS, 2, 1, false), -EINVAL);
    assert_int_equal(build_at(blob, 4096, 0xfffffff0, 1, 1, false), -EINVAL);
    free(blob);
}

static void test_mcfg(void **state)
{
    const uint8_t *root, *mcfg;

    (void)state;
    build(2, 4, true);
    root = xsdt();
    assert_int_equal(get32(root + 4), 36 + 24);
    mcfg = table(get64(root + 52), "MCFG");
    assert_int_equal(get32(mcfg + 4), 44 + 16);
    assert_int_equal(get64(mcfg + 44), XENLITE_PCI_ECAM_BASE);
    assert_int_equal(mcfg[54], 0);
    assert_int_equal(mcfg[55], XENLITE_PCI_ECAM_SIZE / 0x100000 - 1);
    table(get64(table(get64(root + 36), "FACP") + 140), "DSDT");
    free(blob);
}

/* The tables of a guest with PCI as files NAME.aml in a new directory, which is the caller's to remove. */
static void write_tables(char *dir)
{
    static const char *const names[] = { "FACP", "APIC", "MCFG", "DSDT" };
    const uint8_t *root;
    char path[128];

    build(2, 4, true);
    root = xsdt();
    assert_non_null(mkdtemp(dir));
    for (unsigned i = 0; i < 4; i++) {
        const uint64_t address =
            i < 3 ? get64(root + 36 + 8 * i) : get64(table(get64(root + 36), "FACP") + 140);
        const uint8_t *t = table(address, names[i]);
        FILE *out;

        snprintf(path, sizeof(path), "%s/%s.aml", dir, names[i]);
        out = fopen(path, "wb");
        assert_non_null(out);
        assert_int_equal(fwrite(t, 1, get32(t + 4), out), get32(t + 4));
        fclose(out);
    }
    free(blob);
}

/* Runs a shell line in dir; nothing of what it writes is shown. */
static int in_directory(const char *dir, const char *line)
{
    char command[1024];

    snprintf(command, sizeof(command), "cd %s && { %s; } >log 2>&1", dir, line);
    return system(command);
}

static void remove_tables(const char *dir)
{
    char command[128];

    snprintf(command, sizeof(command), "rm -rf %s", dir);
    assert_int_equal(system(command), 0);
}

/* An independent judge: iasl must take every table apart without an error. */
static void test_iasl(void **state)
{
    char dir[] = "/tmp/test_acpi_build.XXXXXX";

    (void)state;
    if (system("command -v iasl >/dev/null 2>&1") != 0) {
        skip();
    }
    write_tables(dir);
    assert_int_equal(
        in_directory(dir, "for t in FACP APIC MCFG DSDT; do iasl -d $t.aml || exit 1; done"), 0);
    assert_int_equal(in_directory(dir, "! grep -qi 'error\\|invalid\\|incorrect checksum' log"), 0);
    assert_int_equal(in_directory(dir, "! grep -qi 'invalid\\|incorrect' *.dsl"), 0);
    remove_tables(dir);
}

/*
 * ACPICA's interpreter runs the methods: _PRT gives every pin of every slot the GSI that the hypervisor uses, _OSC
 * grants what a kernel may have and masks the rest, and the windows are the hypervisor's.
 */
static void test_methods(void **state)
{
    char dir[] = "/tmp/test_acpi_build.XXXXXX", line[512];

    (void)state;
    if (system("command -v acpiexec >/dev/null 2>&1") != 0) {
        skip();
    }
    write_tables(dir);
    assert_int_equal(in_directory(dir, "acpiexec -b 'execute \\_SB.PCI0._PRT' DSDT.aml >prt"), 0);
    assert_int_equal(
        in_directory(dir, "[ $(grep -c 'Contains 4 Elements' prt) = 64 ] && grep Integer prt | "
                          "sed 's/.*= 0*//; s/^$/0/' | paste - - - - >pins"),
        0);
    for (unsigned slot = 1; slot <= XENLITE_PCI_NR_SLOTS; slot++) {
        for (unsigned pin = 0; pin < 4; pin++) {
            snprintf(line, sizeof(line),
                     "[ $(awk '$1 == \"%XFFFF\" && $2 == \"%X\" && $3 == \"0\" { print $4 }' pins) "
                     "= %X ]",
                     slot, pin, XENLITE_PCI_INTX_GSI(slot, pin));
            assert_int_equal(in_directory(dir, line), 0);
        }
    }
    /* Asked for everything: revision 1, three words; answered: 0x1D, and "masked" (0x10) in the first word. */
    assert_int_equal(
        in_directory(
            dir,
            "acpiexec -b 'execute \\_SB.PCI0._OSC "
            "(5B4DDB33F71F1C4096577441C03DD766) 1 3 (000000001F000000FF000000)' DSDT.aml >osc; "
            "cat osc; grep -q '10 00 00 00 1F 00 00 00 1D 00 00 00' osc"),
        0);
    assert_int_equal(
        in_directory(
            dir,
            "acpiexec -b 'execute \\_SB.PCI0._OSC "
            "(005B4DDB33F71F1C4096577441C03D00) 1 3 (000000001F000000FF000000)' DSDT.aml >osc; "
            "cat osc; grep -q '04 00 00 00 1F 00 00 00 FF 00 00 00' osc"),
        0);
    remove_tables(dir);
}

static bool dsdt_has(uint64_t value, size_t size)
{
    const uint8_t *dsdt = table(get64(table(get64(xsdt() + 36), "FACP") + 140), "DSDT");

    return memmem(dsdt, get32(dsdt + 4), &value, size) != NULL;
}

/* The windows of _CRS are the ones that the hypervisor's headers name. */
static void test_windows(void **state)
{
    (void)state;
    build(1, 1, true);
    assert_true(dsdt_has(XENLITE_PCI_MMIO_BASE, 4));
    assert_true(dsdt_has(XENLITE_PCI_MMIO_BASE + XENLITE_PCI_MMIO_SIZE - 1, 4));
    assert_true(dsdt_has(XENLITE_PCI_MMIO64_BASE, 8));
    assert_true(dsdt_has(XENLITE_PCI_MMIO64_BASE + XENLITE_PCI_MMIO64_SIZE - 1, 8));
    assert_true(dsdt_has(XENLITE_PCI_IO_BASE, 2));
    assert_true(dsdt_has(XENLITE_PCI_ECAM_BASE, 4));
    assert_true(dsdt_has(XENLITE_PCI_ECAM_SIZE, 4));
    free(blob);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_walk),     cmocka_unit_test(test_madt),
        cmocka_unit_test(test_refusals), cmocka_unit_test(test_mcfg),
        cmocka_unit_test(test_windows),  cmocka_unit_test(test_iasl),
        cmocka_unit_test(test_methods),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
