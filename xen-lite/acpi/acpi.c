/* SPDX-License-Identifier: MIT */
/*
 * Finds the ACPI root pointer and indexes the tables behind it.  Everything read here may be
 * wrong: an address is used only through the mapping callback, a length only within bounds, and
 * a table only if its checksum holds.
 */
#include "acpi/acpi.h"

#include "lib/errno.h"
#include "lib/le.h"
#include "lib/printf.h"
#include "lib/string.h"
#include "mm/phys.h"

#define RSDP_V1_LEN     20
#define RSDP_MAX_LEN    64
#define BDA_EBDA_SEG    0x40e   /* word in the BIOS data area: segment of the EBDA */
#define EBDA_SCAN_LEN   1024    /* ACPI 6.4, 5.2.5.1: first KiB of the EBDA, */
#define BIOS_SCAN_START 0xe0000 /* then the BIOS read-only area */
#define BIOS_SCAN_END   0x100000
#define RSDP_ALIGN      16

static const void *default_map(paddr_t pa, size_t len)
{
    if (pa >= BIT(46) || len > BIT(46) - pa)
        return NULL;
    return phys_to_virt(pa);
}

static struct {
    acpi_map_fn map;
    unsigned nr;
    struct acpi_table table[ACPI_MAX_TABLES];
    char oem_id[6];
} acpi = { .map = default_map };

void acpi_set_map(acpi_map_fn fn)
{
    acpi.map = fn ? fn : default_map;
}

uint8_t acpi_checksum(const void *data, size_t len)
{
    const uint8_t *p = data;
    uint8_t sum = 0;

    while (len--)
        sum = (uint8_t)(sum + *p++);
    return sum;
}

/* Signature and checksum of the part that all revisions have. */
static bool rsdp_sound(const void *p)
{
    return !memcmp(p, "RSD PTR ", 8) && !acpi_checksum(p, RSDP_V1_LEN);
}

static paddr_t scan_range(paddr_t start, size_t len)
{
    const uint8_t *p = acpi.map(start, len);
    size_t off;

    if (!p)
        return 0;
    for (off = 0; off + RSDP_V1_LEN <= len; off += RSDP_ALIGN)
        if (rsdp_sound(p + off))
            return start + off;
    return 0;
}

static paddr_t scan_rsdp(void)
{
    const void *seg = acpi.map(BDA_EBDA_SEG, 2);
    paddr_t ebda = seg ? (paddr_t)get_le16(seg) << 4 : 0;
    paddr_t found = 0;

    /* The EBDA sits in the last part of conventional memory; anything else is a stray value. */
    if (ebda >= 0x400 && ebda < 0xa0000)
        found = scan_range(ebda, MIN((paddr_t)EBDA_SCAN_LEN, 0xa0000 - ebda));
    if (!found)
        found = scan_range(BIOS_SCAN_START, BIOS_SCAN_END - BIOS_SCAN_START);
    return found;
}

/* Maps a table whole.  NULL, with a message, if it is damaged. */
static const struct acpi_table_header *map_table(paddr_t pa, uint32_t *length)
{
    const struct acpi_table_header *h = pa ? acpi.map(pa, sizeof(*h)) : NULL;
    uint32_t len;

    if (!h) {
        pr_warn("ACPI: no table can be read at %#llx", (unsigned long long)pa);
        return NULL;
    }
    len = h->length;
    if (len < sizeof(*h) || len > ACPI_MAX_TABLE_LEN) {
        pr_warn("ACPI: table at %#llx has a length of %u", (unsigned long long)pa, len);
        return NULL;
    }
    h = acpi.map(pa, len);
    if (!h || acpi_checksum(h, len)) {
        pr_warn("ACPI: table at %#llx, %u bytes, is %s", (unsigned long long)pa, len,
                h ? "damaged (checksum)" : "not readable");
        return NULL;
    }
    *length = len;
    return h;
}

static void index_table(paddr_t pa)
{
    struct acpi_table *t = &acpi.table[acpi.nr];

    if (!pa)
        return;
    if (acpi.nr == ACPI_MAX_TABLES) {
        pr_warn("ACPI: more than %u tables, %#llx is left out", ACPI_MAX_TABLES,
                (unsigned long long)pa);
        return;
    }
    t->header = map_table(pa, &t->length);
    if (!t->header)
        return;
    t->pa = pa;
    acpi.nr++;
}

/* Indexes what an XSDT (entries of 8 bytes) or RSDT (4) lists. */
static int index_root(paddr_t pa, const char *sig, unsigned entry)
{
    uint32_t len, off;
    const uint8_t *root = (const uint8_t *)map_table(pa, &len);

    if (!root || memcmp(root, sig, 4))
        return -EINVAL;
    for (off = sizeof(struct acpi_table_header); off + entry <= len; off += entry)
        index_table(entry == 8 ? get_le64(root + off) : get_le32(root + off));
    return acpi.nr ? 0 : -EINVAL;
}

/* A revision 2 root pointer counts only if its whole length sums up too. */
static paddr_t rsdp_xsdt(const struct acpi_rsdp *rsdp, size_t avail)
{
    if (rsdp->revision < 2 || avail < sizeof(*rsdp))
        return 0;
    if (rsdp->length < sizeof(*rsdp) || rsdp->length > avail)
        return 0;
    return acpi_checksum(rsdp, rsdp->length) ? 0 : rsdp->xsdt_address;
}

int acpi_init_copy(const void *data, size_t len)
{
    const struct acpi_rsdp *rsdp = data;
    paddr_t xsdt;
    int rc = -EINVAL;

    acpi.nr = 0;
    if (len < RSDP_V1_LEN || !rsdp_sound(data))
        return -EINVAL;
    memcpy(acpi.oem_id, rsdp->oem_id, sizeof(acpi.oem_id));

    xsdt = rsdp_xsdt(rsdp, len);
    if (xsdt)
        rc = index_root(xsdt, "XSDT", 8);
    if (rc && rsdp->rsdt_address)
        rc = index_root(rsdp->rsdt_address, "RSDT", 4);
    return rc;
}

int acpi_init(paddr_t rsdp)
{
    const struct acpi_rsdp *p;
    size_t len = RSDP_V1_LEN;

    acpi.nr = 0;
    if (!rsdp)
        rsdp = scan_rsdp();
    if (!rsdp)
        return -ENOENT;
    p = acpi.map(rsdp, RSDP_V1_LEN);
    if (!p)
        return -EINVAL;
    if (p->revision >= 2) {
        p = acpi.map(rsdp, sizeof(*p));
        if (p && p->length >= sizeof(*p) && p->length <= RSDP_MAX_LEN) {
            len = p->length;
            p = acpi.map(rsdp, len);
        }
    }
    return p ? acpi_init_copy(p, len) : -EINVAL;
}

const struct acpi_table *acpi_find_table(const char sig[4], unsigned instance)
{
    unsigned i;

    for (i = 0; i < acpi.nr; i++)
        if (!memcmp(acpi.table[i].header->signature, sig, 4) && !instance--)
            return &acpi.table[i];
    return NULL;
}

const struct acpi_table_header *acpi_find(const char sig[4], unsigned instance)
{
    const struct acpi_table *t = acpi_find_table(sig, instance);

    return t ? t->header : NULL;
}

unsigned acpi_nr_tables(void)
{
    return acpi.nr;
}

const struct acpi_table *acpi_table(unsigned index)
{
    return index < acpi.nr ? &acpi.table[index] : NULL;
}

const char *acpi_oem_id(void)
{
    return acpi.oem_id;
}
