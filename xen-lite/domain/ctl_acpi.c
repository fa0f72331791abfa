/* SPDX-License-Identifier: MIT */
/*
 * The control domain's ACPI tables.  It gets a root pointer, an XSDT and a MADT of its own; the
 * machine's other tables stay where they are, and the XSDT lists those that it may see.
 */
#include "domain/start_info.h"
#include "lib/errno.h"
#include "lib/le.h"
#include "lib/string.h"

#define RSDP_LEN      36
#define TABLE_ALIGN   64
#define HEADER_LEN    sizeof(struct acpi_table_header)
#define MADT_FIXED    44
#define MADT_IOAPIC   12
#define MADT_OVERRIDE 10
#define MADT_X2APIC   16

#define OUR_OEM_TABLE_ID "XENLITE " /* 8 characters */
#define OUR_CREATOR      "XLIT"

static size_t madt_len(const struct ctl_acpi_args *a)
{
    return MADT_FIXED + MADT_IOAPIC * (size_t)a->madt->nr_ioapics +
           MADT_OVERRIDE * (size_t)a->madt->nr_overrides + MADT_X2APIC * (size_t)a->nr_vcpus;
}

/*
 * Tables that describe what the domain really has: its fixed hardware, its ECAM and AML.
 * Those about processors, memory, interrupts, timers and the IOMMU are the hypervisor's.
 */
static bool signature_allowed(const char *sig)
{
    static const char allowed[][5] = { "FACP", "SSDT", "PSDT", "SBST", "MCFG",
                                       "SLIC", "MSDM", "WDAT", "FPDT", "S3PT" };
    unsigned i;

    for (i = 0; i < ARRAY_SIZE(allowed); i++)
        if (!memcmp(sig, allowed[i], 4))
            return true;
    return false;
}

/* Is each byte of the table in memory that the machine keeps for firmware? */
static bool memory_allowed(const struct ctl_acpi_args *a, const struct acpi_table *t)
{
    uint64_t pa = t->pa, end = t->pa + t->length;

    while (pa < end) {
        unsigned i;

        for (i = 0; i < a->nr_host; i++)
            if (pa >= a->host[i].base && pa - a->host[i].base < a->host[i].len)
                break;
        if (i == a->nr_host)
            return false;
        if (a->host[i].type != BOOT_MEM_RESERVED && a->host[i].type != BOOT_MEM_ACPI &&
            a->host[i].type != BOOT_MEM_NVS)
            return false;
        pa = a->host[i].base + a->host[i].len;
    }
    return true;
}

static bool table_allowed(const struct ctl_acpi_args *a, const struct acpi_table *t)
{
    return signature_allowed(t->header->signature) && memory_allowed(a, t);
}

size_t ctl_acpi_size(const struct ctl_acpi_args *a)
{
    size_t xsdt = HEADER_LEN + 8 * ((size_t)acpi_nr_tables() + 1);

    return ALIGN_UP(ALIGN_UP((size_t)RSDP_LEN, TABLE_ALIGN) + ALIGN_UP(madt_len(a), TABLE_ALIGN) +
                        xsdt,
                    PAGE_SIZE);
}

static void fill_header(struct acpi_table_header *h, const char *sig, uint32_t len,
                        uint8_t revision)
{
    const struct acpi_table_header *fadt = acpi_find("FACP", 0);

    memcpy(h->signature, sig, 4);
    h->length = len;
    h->revision = revision;
    h->checksum = 0;
    /* The OEM's name is what kernels look for to know a machine's quirks. */
    memcpy(h->oem_id, fadt ? fadt->oem_id : acpi_oem_id(), 6);
    memcpy(h->oem_table_id, fadt ? fadt->oem_table_id : OUR_OEM_TABLE_ID, 8);
    h->oem_revision = fadt ? fadt->oem_revision : 1;
    memcpy(h->creator_id, OUR_CREATOR, 4);
    h->creator_revision = 1;
}

static void seal(struct acpi_table_header *h)
{
    h->checksum = (uint8_t)-acpi_checksum(h, h->length);
}

/*
 * MADT (ACPI 6.4, 5.2.12).  PCAT_COMPAT stays clear: the domain has no 8259s.  The UID is the
 * vCPU's number, which Linux uses in hypercalls.
 */
static void write_madt(const struct ctl_acpi_args *a, uint8_t *table)
{
    const struct acpi_madt_info *m = a->madt;
    uint8_t *p = table + MADT_FIXED;
    unsigned i;

    fill_header((struct acpi_table_header *)table, "APIC", (uint32_t)madt_len(a), 4);
    put_le32(table + 36, 0xfee00000);
    for (i = 0; i < m->nr_ioapics; i++, p += MADT_IOAPIC) {
        p[0] = 1;
        p[1] = MADT_IOAPIC;
        p[2] = m->ioapic[i].id;
        put_le32(p + 4, (uint32_t)m->ioapic[i].base);
        put_le32(p + 8, m->ioapic[i].gsi_base);
    }
    for (i = 0; i < m->nr_overrides; i++, p += MADT_OVERRIDE) {
        p[0] = 2;
        p[1] = MADT_OVERRIDE;
        p[2] = m->override[i].bus;
        p[3] = m->override[i].source;
        put_le32(p + 4, m->override[i].gsi);
        put_le16(p + 8, m->override[i].flags);
    }
    for (i = 0; i < a->nr_vcpus; i++, p += MADT_X2APIC) {
        p[0] = 9;
        p[1] = MADT_X2APIC;
        put_le32(p + 4, ctl_vcpu_apic_id(i));
        put_le32(p + 8, 1); /* enabled */
        put_le32(p + 12, i);
    }
    seal((struct acpi_table_header *)table);
}

static void write_xsdt(const struct ctl_acpi_args *a, uint8_t *table, uint64_t madt_gpa)
{
    uint32_t len = HEADER_LEN + 8;
    unsigned i;

    put_le64(table + HEADER_LEN, madt_gpa);
    for (i = 0; i < acpi_nr_tables(); i++) {
        const struct acpi_table *t = acpi_table(i);

        if (!table_allowed(a, t))
            continue;
        put_le64(table + len, t->pa);
        len += 8;
    }
    fill_header((struct acpi_table_header *)table, "XSDT", len, 1);
    seal((struct acpi_table_header *)table);
}

static void write_rsdp(struct acpi_rsdp *r, uint64_t xsdt_gpa)
{
    memcpy(r->signature, "RSD PTR ", 8);
    memcpy(r->oem_id, acpi_oem_id(), sizeof(r->oem_id));
    r->revision = 2;
    r->length = RSDP_LEN;
    r->xsdt_address = xsdt_gpa;
    r->checksum = (uint8_t)-acpi_checksum(r, 20);
    r->ext_checksum = (uint8_t)-acpi_checksum(r, RSDP_LEN);
}

int ctl_acpi_build(const struct ctl_acpi_args *a, void *buf, size_t size, uint64_t gpa)
{
    size_t madt = ALIGN_UP((size_t)RSDP_LEN, TABLE_ALIGN);
    size_t xsdt = madt + ALIGN_UP(madt_len(a), TABLE_ALIGN);
    uint8_t *p = buf;

    if (!a->nr_vcpus || a->nr_vcpus > ACPI_MAX_CPUS || gpa & (PAGE_SIZE - 1) || gpa >= BIT(32) ||
        size > BIT(32) - gpa)
        return -EINVAL;
    if (size < ctl_acpi_size(a))
        return -ENOSPC;
    memset(p, 0, size);
    write_madt(a, p + madt);
    write_xsdt(a, p + xsdt, gpa + madt);
    write_rsdp((struct acpi_rsdp *)p, gpa + xsdt);
    return 0;
}
