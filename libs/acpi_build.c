/* SPDX-License-Identifier: MIT */
/*
 * Builds a PVH guest's ACPI tables byte by byte (ACPI 6.3; sections are named at each table). The
 * guest has no chipset, so the FADT declares the hardware-reduced model: no PM timer, no SCI, no
 * 8042, no RTC, no VGA. A guest that may own PCI devices also gets an IO-APIC, an MCFG and a DSDT with
 * the host bridge, which iasl compiles from guest_dsdt.asl.
 */
#include "acpi_build.h"

#include <errno.h>
#include <string.h>

#include "../xen-lite/include/xenlite/pci.h"

static const uint8_t pci_dsdt[] = {
#include "libs/guest_dsdt.inc"
};

enum {
    HEADER_SIZE = 36,
    RSDP_SIZE = 36,
    FADT_SIZE = 268, /* revision 5 */
    MADT_FIXED = HEADER_SIZE + 8,
    LAPIC_ENTRY = 8,
    X2APIC_ENTRY = 16,
    IOAPIC_ENTRY = 12,
    MCFG_SIZE = HEADER_SIZE + 8 + 16,
    TABLE_ALIGN = 16,
};

/* Offsets in the blob. */
struct layout {
    size_t xsdt, fadt, dsdt, dsdt_size, madt, madt_size, mcfg, end;
    unsigned xsdt_entries;
};

static size_t align_table(size_t offset)
{
    return (offset + TABLE_ALIGN - 1) & ~(size_t)(TABLE_ALIGN - 1);
}

/* 8-bit local APIC ids end at 254: 255 is the broadcast id, and larger ones need x2APIC entries
 * (5.2.12.12). */
static bool needs_x2apic(unsigned vcpu)
{
    return 2 * vcpu >= 255;
}

static size_t madt_size(unsigned max_vcpus, bool pci)
{
    size_t size = MADT_FIXED + (pci ? IOAPIC_ENTRY : 0);

    for (unsigned i = 0; i < max_vcpus; i++) {
        size += needs_x2apic(i) ? X2APIC_ENTRY : LAPIC_ENTRY;
    }
    return size;
}

static struct layout make_layout(unsigned max_vcpus, bool pci)
{
    struct layout l;

    l.xsdt_entries = pci ? 3 : 2;
    l.dsdt_size = pci ? sizeof(pci_dsdt) : HEADER_SIZE;
    l.madt_size = madt_size(max_vcpus, pci);
    l.xsdt = align_table(RSDP_SIZE);
    l.fadt = align_table(l.xsdt + HEADER_SIZE + 8 * l.xsdt_entries);
    l.dsdt = align_table(l.fadt + FADT_SIZE);
    l.madt = align_table(l.dsdt + l.dsdt_size);
    l.mcfg = align_table(l.madt + l.madt_size);
    l.end = pci ? l.mcfg + MCFG_SIZE : l.madt + l.madt_size;
    return l;
}

static void put16(uint8_t *p, uint16_t value)
{
    memcpy(p, &value, sizeof(value));
}

static void put32(uint8_t *p, uint32_t value)
{
    memcpy(p, &value, sizeof(value));
}

static void put64(uint8_t *p, uint64_t value)
{
    memcpy(p, &value, sizeof(value));
}

static uint8_t checksum(const uint8_t *p, size_t len)
{
    uint8_t sum = 0;

    for (size_t i = 0; i < len; i++) {
        sum = (uint8_t)(sum + p[i]);
    }
    return (uint8_t)-sum;
}

/* System description table header, 5.2.6. The checksum comes last, with finish_table(). */
static void begin_table(uint8_t *table, const char *signature, uint8_t revision, size_t length)
{
    memcpy(table, signature, 4);
    put32(table + 4, (uint32_t)length);
    table[8] = revision;
    memcpy(table + 10, "XENLTE", 6);
    memcpy(table + 16, "PVHGUEST", 8);
    put32(table + 24, 1);
    memcpy(table + 28, "XLTE", 4);
    put32(table + 32, 1);
}

static void finish_table(uint8_t *table, size_t length)
{
    table[9] = checksum(table, length);
}

/* Root system description pointer, 5.2.5.3, revision 2: it names the XSDT only. */
static void build_rsdp(uint8_t *rsdp, uint64_t xsdt)
{
    memcpy(rsdp, "RSD PTR ", 8);
    memcpy(rsdp + 9, "XENLTE", 6);
    rsdp[15] = 2;
    put32(rsdp + 20, RSDP_SIZE);
    put64(rsdp + 24, xsdt);
    rsdp[8] = checksum(rsdp, 20);
    rsdp[32] = checksum(rsdp, RSDP_SIZE);
}

static void build_xsdt(uint8_t *base, const struct layout *l, uint64_t address)
{
    const size_t length = HEADER_SIZE + 8 * l->xsdt_entries;
    uint8_t *xsdt = base + l->xsdt;

    begin_table(xsdt, "XSDT", 1, length);
    put64(xsdt + HEADER_SIZE, address + l->fadt);
    put64(xsdt + HEADER_SIZE + 8, address + l->madt);
    if (l->xsdt_entries > 2) {
        put64(xsdt + HEADER_SIZE + 16, address + l->mcfg);
    }
    finish_table(xsdt, length);
}

/* Fixed ACPI description table, 5.2.9. */
static void build_fadt(uint8_t *fadt, uint64_t dsdt)
{
    enum {
        /* IAPC_BOOT_ARCH, 5.2.9.3: no VGA, MSI as a device asks, no CMOS RTC; the bits "legacy
           devices" and "8042" stay clear. */
        BOOT_NO_VGA = 1 << 2,
        BOOT_NO_RTC = 1 << 5,
        /* Flags, 5.2.9: WBINVD works; power and sleep buttons are no fixed hardware;
           HW_REDUCED_ACPI. */
        FLAG_WBINVD = 1 << 0,
        FLAG_PWR_BUTTON = 1 << 4,
        FLAG_SLP_BUTTON = 1 << 5,
        FLAG_HW_REDUCED = 1 << 20,
    };

    begin_table(fadt, "FACP", 5, FADT_SIZE);
    put32(fadt + 40, (uint32_t)dsdt);
    fadt[109] = BOOT_NO_VGA | BOOT_NO_RTC;
    put32(fadt + 112, FLAG_WBINVD | FLAG_PWR_BUTTON | FLAG_SLP_BUTTON | FLAG_HW_REDUCED);
    put64(fadt + 140, dsdt);
    finish_table(fadt, FADT_SIZE);
}

static uint8_t *put_lapic(uint8_t *entry, unsigned vcpu, bool is_enabled)
{
    const uint32_t enabled = is_enabled ? 1 : 0;

    if (needs_x2apic(vcpu)) {
        entry[0] = 9;
        entry[1] = X2APIC_ENTRY;
        put32(entry + 4, 2 * vcpu);
        put32(entry + 8, enabled);
        put32(entry + 12, vcpu);
        return entry + X2APIC_ENTRY;
    }
    entry[0] = 0;
    entry[1] = LAPIC_ENTRY;
    entry[2] = (uint8_t)vcpu;
    entry[3] = (uint8_t)(2 * vcpu);
    put32(entry + 4, enabled);
    return entry + LAPIC_ENTRY;
}

/* Multiple APIC description table, 5.2.12; its flag PCAT_COMPAT stays clear: there is no 8259. */
static void build_madt(uint8_t *madt, size_t length, const struct guest_acpi *guest)
{
    uint8_t *entry = madt + MADT_FIXED;

    begin_table(madt, "APIC", 3, length);
    put32(madt + 36, 0xfee00000);
    for (unsigned i = 0; i < guest->max_vcpus; i++) {
        entry = put_lapic(entry, i, i < guest->vcpus);
    }
    if (guest->pci) {
        entry[0] = 1;
        entry[1] = IOAPIC_ENTRY;
        entry[2] = GUEST_IOAPIC_ID;
        put32(entry + 4, XENLITE_PCI_IOAPIC_BASE);
        put32(entry + 8, 0); /* its first GSI */
    }
    finish_table(madt, length);
}

/* PCI Firmware Specification 3.3, 4.1.2: one segment. */
static void build_mcfg(uint8_t *mcfg)
{
    uint8_t *entry = mcfg + HEADER_SIZE + 8;

    begin_table(mcfg, "MCFG", 1, MCFG_SIZE);
    put64(entry, XENLITE_PCI_ECAM_BASE);
    put16(entry + 8, 0);
    entry[10] = 0;
    entry[11] = XENLITE_PCI_NR_BUSES - 1;
    finish_table(mcfg, MCFG_SIZE);
}

size_t guest_acpi_size(unsigned max_vcpus, bool pci)
{
    return max_vcpus >= 1 && max_vcpus <= GUEST_ACPI_MAX_VCPUS ? make_layout(max_vcpus, pci).end
                                                               : 0;
}

int guest_acpi_build(void *blob, size_t size, const struct guest_acpi *guest)
{
    const bool counts_fit = guest->vcpus >= 1 && guest->vcpus <= guest->max_vcpus &&
                            guest->max_vcpus <= GUEST_ACPI_MAX_VCPUS;
    const struct layout l = make_layout(counts_fit ? guest->max_vcpus : 0, guest->pci);
    const uint64_t address = guest->address;
    uint8_t *base = blob;

    /* The FADT's 32-bit pointer to the DSDT is filled too. */
    if (!counts_fit || size < l.end || address > UINT32_MAX - l.end) {
        return -EINVAL;
    }
    memset(base, 0, size);
    build_rsdp(base, address + l.xsdt);
    build_xsdt(base, &l, address);
    build_fadt(base + l.fadt, address + l.dsdt);
    if (guest->pci) {
        memcpy(base + l.dsdt, pci_dsdt,
               sizeof(pci_dsdt)); /* complete: iasl made header and checksum */
        build_mcfg(base + l.mcfg);
    } else {
        begin_table(base + l.dsdt, "DSDT", 2, HEADER_SIZE);
        finish_table(base + l.dsdt, HEADER_SIZE);
    }
    build_madt(base + l.madt, l.madt_size, guest);
    return 0;
}
