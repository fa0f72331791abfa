/* SPDX-License-Identifier: MIT */
/*
 * Reads MADT, MCFG, FADT and HPET into plain structures.  Offsets are those of the ACPI
 * specification 6.4, chapter 5.2; fields beyond a table's length count as zero, since older
 * revisions are shorter.
 */
#include "acpi/acpi.h"
#include "lib/errno.h"
#include "lib/le.h"
#include "lib/printf.h"
#include "lib/string.h"

/* A table as bytes with its checked length. */
struct bytes {
    const uint8_t *p;
    uint32_t len;
};

static int open_table(const char *sig, uint32_t min_len, struct bytes *b)
{
    const struct acpi_table *t = acpi_find_table(sig, 0);

    if (!t)
        return -ENOENT;
    b->p = (const uint8_t *)t->header;
    b->len = t->length;
    if (b->len < min_len) {
        pr_warn("ACPI: %s has only %u bytes", sig, b->len);
        return -EINVAL;
    }
    return 0;
}

static uint8_t u8_at(const struct bytes *b, uint32_t off)
{
    return off < b->len ? b->p[off] : 0;
}

static uint16_t u16_at(const struct bytes *b, uint32_t off)
{
    return off + 2 <= b->len ? get_le16(b->p + off) : 0;
}

static uint32_t u32_at(const struct bytes *b, uint32_t off)
{
    return off + 4 <= b->len ? get_le32(b->p + off) : 0;
}

static uint64_t u64_at(const struct bytes *b, uint32_t off)
{
    return off + 8 <= b->len ? get_le64(b->p + off) : 0;
}

/* MADT (ACPI 6.4, 5.2.12) */

#define MADT_LAPIC_BASE  36
#define MADT_FLAGS       40
#define MADT_ENTRIES     44
#define MADT_PCAT_COMPAT 1u
#define MADT_CPU_ENABLED 1u

enum madt_type {
    MADT_LAPIC = 0,
    MADT_IOAPIC = 1,
    MADT_OVERRIDE = 2,
    MADT_NMI_SOURCE = 3,
    MADT_LAPIC_NMI = 4,
    MADT_LAPIC_ADDRESS = 5,
    MADT_X2APIC = 9,
    MADT_X2APIC_NMI = 10,
};

static void madt_add_cpu(struct acpi_madt_info *m, uint32_t uid, uint32_t id, uint32_t flags)
{
    unsigned i;

    /* 5.2.12.12: a processor may be listed as both LAPIC and x2APIC; the first entry counts. */
    for (i = 0; i < m->nr_cpus; i++)
        if (m->cpu[i].apic_id == id)
            return;
    if (m->nr_cpus == ACPI_MAX_CPUS) {
        pr_warn("ACPI: more than %u processors, APIC id %u is left out", ACPI_MAX_CPUS, id);
        return;
    }
    m->cpu[m->nr_cpus++] = (struct acpi_madt_cpu){
        .uid = uid,
        .apic_id = id,
        .enabled = flags & MADT_CPU_ENABLED,
    };
}

static void madt_add_ioapic(struct acpi_madt_info *m, const struct bytes *e)
{
    struct acpi_madt_ioapic io = {
        .id = u8_at(e, 2),
        .base = u32_at(e, 4),
        .gsi_base = u32_at(e, 8),
    };

    if (!io.base || m->nr_ioapics == ACPI_MAX_IOAPICS) {
        pr_warn("ACPI: IO-APIC %u at %#llx is left out", io.id, (unsigned long long)io.base);
        return;
    }
    m->ioapic[m->nr_ioapics++] = io;
}

static void madt_add_override(struct acpi_madt_info *m, const struct bytes *e)
{
    struct acpi_madt_override o = {
        .bus = u8_at(e, 2),
        .source = u8_at(e, 3),
        .gsi = u32_at(e, 4),
        .flags = u16_at(e, 8),
    };

    /* ISA is the only bus that the specification knows, with 16 interrupts. */
    if (o.bus || o.source > 15 || m->nr_overrides == ACPI_MAX_OVERRIDES) {
        pr_warn("ACPI: override of bus %u interrupt %u is left out", o.bus, o.source);
        return;
    }
    m->override[m->nr_overrides++] = o;
}

static void madt_add_nmi(struct acpi_madt_info *m, struct acpi_madt_nmi nmi)
{
    if (m->nr_nmis == ACPI_MAX_NMIS || nmi.lint > 1) {
        pr_warn("ACPI: an NMI entry is left out");
        return;
    }
    m->nmi[m->nr_nmis++] = nmi;
}

static void madt_lapic_nmi(struct acpi_madt_info *m, const struct bytes *e)
{
    uint32_t uid = u8_at(e, 2);

    madt_add_nmi(m, (struct acpi_madt_nmi){ .uid = uid == 0xff ? ACPI_NMI_ALL_CPUS : uid,
                                            .flags = u16_at(e, 3),
                                            .lint = u8_at(e, 5) });
}

/* Shortest sound entry of each type that is read; 0 for those that are skipped. */
static uint8_t madt_min_len(uint8_t type)
{
    static const uint8_t min_len[] = {
        [MADT_LAPIC] = 8,      [MADT_IOAPIC] = 12,     [MADT_OVERRIDE] = 10,
        [MADT_NMI_SOURCE] = 8, [MADT_LAPIC_NMI] = 6,   [MADT_LAPIC_ADDRESS] = 12,
        [MADT_X2APIC] = 16,    [MADT_X2APIC_NMI] = 12,
    };

    return type < ARRAY_SIZE(min_len) ? min_len[type] : 0;
}

static void madt_entry(struct acpi_madt_info *m, const struct bytes *e)
{
    uint8_t type = e->p[0];

    if (e->len < madt_min_len(type)) {
        pr_warn("ACPI: MADT entry of type %u has only %u bytes", type, e->len);
        return;
    }
    switch (type) {
    case MADT_LAPIC:
        if (u8_at(e, 3) != 0xff) /* the broadcast id stands for "no processor" */
            madt_add_cpu(m, u8_at(e, 2), u8_at(e, 3), u32_at(e, 4));
        break;
    case MADT_X2APIC:
        if (u32_at(e, 4) != 0xffffffff)
            madt_add_cpu(m, u32_at(e, 12), u32_at(e, 4), u32_at(e, 8));
        break;
    case MADT_IOAPIC:
        madt_add_ioapic(m, e);
        break;
    case MADT_OVERRIDE:
        madt_add_override(m, e);
        break;
    case MADT_NMI_SOURCE:
        madt_add_nmi(m, (struct acpi_madt_nmi){
                            .is_gsi = true, .flags = u16_at(e, 2), .gsi = u32_at(e, 4) });
        break;
    case MADT_LAPIC_NMI:
        madt_lapic_nmi(m, e);
        break;
    case MADT_X2APIC_NMI:
        madt_add_nmi(m, (struct acpi_madt_nmi){
                            .uid = u32_at(e, 4), .flags = u16_at(e, 2), .lint = u8_at(e, 8) });
        break;
    case MADT_LAPIC_ADDRESS:
        m->lapic_base = u64_at(e, 4);
        break;
    default:
        break;
    }
}

int acpi_get_madt(struct acpi_madt_info *out)
{
    struct bytes t, e;
    uint32_t off;
    int rc;

    memset(out, 0, sizeof(*out));
    rc = open_table("APIC", MADT_ENTRIES, &t);
    if (rc)
        return rc;
    out->lapic_base = u32_at(&t, MADT_LAPIC_BASE);
    out->pcat_compat = u32_at(&t, MADT_FLAGS) & MADT_PCAT_COMPAT;

    for (off = MADT_ENTRIES; off + 2 <= t.len; off += e.len) {
        e.p = t.p + off;
        e.len = e.p[1];
        if (e.len < 2 || e.len > t.len - off) {
            pr_warn("ACPI: MADT entry at offset %u has a length of %u", off, e.len);
            return -EINVAL;
        }
        madt_entry(out, &e);
    }
    return out->nr_cpus ? 0 : -EINVAL;
}

/* MCFG (PCI Firmware 3.3, 4.1.2) */

#define MCFG_ENTRIES   44
#define MCFG_ENTRY_LEN 16
#define ECAM_BUS_SHIFT 20

static bool mcfg_sound(const struct acpi_mcfg_segment *s)
{
    uint64_t len = ((uint64_t)s->end_bus + 1) << ECAM_BUS_SHIFT;

    return s->base && s->base < BIT(52) && !(s->base & (BIT(ECAM_BUS_SHIFT) - 1)) &&
           s->start_bus <= s->end_bus && s->base + len <= BIT(52);
}

int acpi_get_mcfg(struct acpi_mcfg_info *out)
{
    struct bytes t;
    uint32_t off;
    int rc;

    memset(out, 0, sizeof(*out));
    rc = open_table("MCFG", MCFG_ENTRIES, &t);
    if (rc)
        return rc;
    for (off = MCFG_ENTRIES; off + MCFG_ENTRY_LEN <= t.len; off += MCFG_ENTRY_LEN) {
        struct acpi_mcfg_segment s = {
            .base = u64_at(&t, off),
            .segment = u16_at(&t, off + 8),
            .start_bus = u8_at(&t, off + 10),
            .end_bus = u8_at(&t, off + 11),
        };

        if (!mcfg_sound(&s) || out->nr_segments == ACPI_MAX_MCFG) {
            pr_warn("ACPI: MCFG segment %u, base %#llx, buses %u-%u is left out", s.segment,
                    (unsigned long long)s.base, s.start_bus, s.end_bus);
            continue;
        }
        out->segment[out->nr_segments++] = s;
    }
    return out->nr_segments ? 0 : -EINVAL;
}

/* FADT (ACPI 6.4, 5.2.9) */

#define FADT_MIN_LEN      116 /* revision 1 */
#define FADT_FACS         36
#define FADT_DSDT         40
#define FADT_SCI_INT      46
#define FADT_SMI_CMD      48
#define FADT_ACPI_ENABLE  52
#define FADT_ACPI_DISABLE 53
#define FADT_PM1A_EVENT   56
#define FADT_PM1B_EVENT   60
#define FADT_PM1A_CONTROL 64
#define FADT_PM1B_CONTROL 68
#define FADT_PM2_CONTROL  72
#define FADT_PM_TIMER     76
#define FADT_GPE0         80
#define FADT_GPE1         84
#define FADT_PM1_EVT_LEN  88
#define FADT_PM1_CNT_LEN  89
#define FADT_PM2_CNT_LEN  90
#define FADT_PM_TMR_LEN   91
#define FADT_GPE0_LEN     92
#define FADT_GPE1_LEN     93
#define FADT_BOOT_ARCH    109
#define FADT_FLAGS        112
#define FADT_RESET_REG    116
#define FADT_RESET_VALUE  128
#define FADT_X_FACS       132
#define FADT_X_DSDT       140
#define FADT_X_BLOCKS     148 /* the extended twins of PM1A_EVENT to GPE1, 12 bytes each */
#define GAS_LEN           12

static struct acpi_gas gas_at(const struct bytes *b, uint32_t off)
{
    struct acpi_gas g = { 0 };

    if (off + GAS_LEN > b->len)
        return g;
    g.space = u8_at(b, off);
    g.width = u8_at(b, off + 1);
    g.offset = u8_at(b, off + 2);
    g.access = u8_at(b, off + 3);
    g.address = u64_at(b, off + 4);
    return g;
}

/* A register block: the extended field if it is filled, else the 32-bit port number. */
static struct acpi_gas fadt_block(const struct bytes *t, uint32_t off, uint32_t len_off)
{
    uint32_t index = (off - FADT_PM1A_EVENT) / 4;
    struct acpi_gas g = gas_at(t, FADT_X_BLOCKS + index * GAS_LEN);

    if (!g.address) {
        g = (struct acpi_gas){ .space = ACPI_SPACE_IO, .address = u32_at(t, off) };
        g.width = (uint8_t)MIN(u8_at(t, len_off) * 8u, 255u);
    }
    return g;
}

int acpi_get_fadt(struct acpi_fadt_info *out)
{
    struct bytes t;
    int rc;

    memset(out, 0, sizeof(*out));
    rc = open_table("FACP", FADT_MIN_LEN, &t);
    if (rc)
        return rc;
    out->revision = u8_at(&t, offsetof(struct acpi_table_header, revision));
    out->sci_int = u16_at(&t, FADT_SCI_INT);
    out->smi_cmd = u32_at(&t, FADT_SMI_CMD);
    out->acpi_enable = u8_at(&t, FADT_ACPI_ENABLE);
    out->acpi_disable = u8_at(&t, FADT_ACPI_DISABLE);
    out->flags = u32_at(&t, FADT_FLAGS);
    out->boot_flags = u16_at(&t, FADT_BOOT_ARCH);
    out->pm1_event_len = u8_at(&t, FADT_PM1_EVT_LEN);
    out->pm1_control_len = u8_at(&t, FADT_PM1_CNT_LEN);
    out->pm_timer_len = u8_at(&t, FADT_PM_TMR_LEN);
    out->pm1a_event = fadt_block(&t, FADT_PM1A_EVENT, FADT_PM1_EVT_LEN);
    out->pm1b_event = fadt_block(&t, FADT_PM1B_EVENT, FADT_PM1_EVT_LEN);
    out->pm1a_control = fadt_block(&t, FADT_PM1A_CONTROL, FADT_PM1_CNT_LEN);
    out->pm1b_control = fadt_block(&t, FADT_PM1B_CONTROL, FADT_PM1_CNT_LEN);
    out->pm2_control = fadt_block(&t, FADT_PM2_CONTROL, FADT_PM2_CNT_LEN);
    out->pm_timer = fadt_block(&t, FADT_PM_TIMER, FADT_PM_TMR_LEN);
    out->gpe0 = fadt_block(&t, FADT_GPE0, FADT_GPE0_LEN);
    out->gpe1 = fadt_block(&t, FADT_GPE1, FADT_GPE1_LEN);
    out->reset = gas_at(&t, FADT_RESET_REG);
    out->reset_value = u8_at(&t, FADT_RESET_VALUE);
    out->has_reset = (out->flags & ACPI_FADT_RESET_SUP) && out->reset.address;
    out->facs = u64_at(&t, FADT_X_FACS);
    if (!out->facs)
        out->facs = u32_at(&t, FADT_FACS);
    out->dsdt = u64_at(&t, FADT_X_DSDT);
    if (!out->dsdt)
        out->dsdt = u32_at(&t, FADT_DSDT);
    return 0;
}

/* HPET (IA-PC HPET 1.0a, 3.2.4) */

#define HPET_BLOCK_ID 36
#define HPET_BASE     40
#define HPET_NUMBER   52
#define HPET_MIN_TICK 53
#define HPET_LEN      56

int acpi_get_hpet(struct acpi_hpet_info *out)
{
    struct acpi_gas gas;
    struct bytes t;
    int rc;

    memset(out, 0, sizeof(*out));
    rc = open_table("HPET", HPET_LEN, &t);
    if (rc)
        return rc;
    gas = gas_at(&t, HPET_BASE);
    if (gas.space != ACPI_SPACE_MEMORY || !gas.address || gas.address & 7)
        return -EINVAL;
    out->base = gas.address;
    out->block_id = u32_at(&t, HPET_BLOCK_ID);
    out->number = u8_at(&t, HPET_NUMBER);
    out->min_tick = u16_at(&t, HPET_MIN_TICK);
    return 0;
}
