/* SPDX-License-Identifier: MIT */
/*
 * Static ACPI tables: finding the root pointer, indexing the tables that it leads to, and reading
 * MADT, MCFG, FADT and HPET into plain structures.  No AML.  Firmware tables are careless, so
 * every pointer goes through a mapping callback that may refuse it, every length is bounded, and
 * a table with a bad checksum is left out with a message.
 *
 * Locking: acpi_init*() runs once on the boot CPU; afterwards everything here is read only.
 */
#ifndef XL_ACPI_ACPI_H
#define XL_ACPI_ACPI_H

#include "lib/types.h"

/* Longest table that is believed; real DSDTs stay far below it. */
#define ACPI_MAX_TABLE_LEN (4u << 20)
#define ACPI_MAX_TABLES    128
#define ACPI_MAX_CPUS      256
#define ACPI_MAX_IOAPICS   16
#define ACPI_MAX_OVERRIDES 32
#define ACPI_MAX_NMIS      64
#define ACPI_MAX_MCFG      16

/* ACPI 6.4, 5.2.6: the header that all tables but RSDP and FACS share. */
struct acpi_table_header {
    char signature[4];
    uint32_t length; /* bytes, header included */
    uint8_t revision;
    uint8_t checksum;
    char oem_id[6];
    char oem_table_id[8];
    uint32_t oem_revision;
    char creator_id[4];
    uint32_t creator_revision;
} __packed;

/* ACPI 6.4, 5.2.5.3.  The first 20 bytes are all there is in revision 0. */
struct acpi_rsdp {
    char signature[8];
    uint8_t checksum; /* of the first 20 bytes */
    char oem_id[6];
    uint8_t revision;
    uint32_t rsdt_address;
    uint32_t length;
    uint64_t xsdt_address;
    uint8_t ext_checksum; /* of `length` bytes */
    uint8_t reserved[3];
} __packed;

/*
 * One indexed table.  `length` was checked when the table was indexed; the control domain can
 * write to ACPI memory, so whoever reads a table after that has started uses this one and not
 * header->length.
 */
struct acpi_table {
    paddr_t pa;
    uint32_t length;
    const struct acpi_table_header *header; /* mapped for `length` bytes */
};

/*
 * Gives a pointer to `len` bytes of physical memory at `pa`, or NULL if they cannot be read.
 * The pointer stays valid for ever.
 */
typedef const void *(*acpi_map_fn)(paddr_t pa, size_t len);

struct acpi_madt_cpu {
    uint32_t uid;     /* ACPI processor UID */
    uint32_t apic_id; /* xAPIC or x2APIC id */
    bool enabled;     /* false: present in the table but unusable, or only hot-pluggable */
};

struct acpi_madt_ioapic {
    uint8_t id;
    uint32_t gsi_base;
    paddr_t base;
};

struct acpi_madt_override {
    uint8_t bus;    /* 0: ISA */
    uint8_t source; /* ISA IRQ */
    uint16_t flags; /* MPS INTI flags: bits 1:0 polarity, 3:2 trigger mode */
    uint32_t gsi;
};

struct acpi_madt_nmi {
    bool is_gsi;    /* an NMI source on an IO-APIC pin; otherwise a LINT pin of a local APIC */
    uint32_t uid;   /* processor UID, ACPI_NMI_ALL_CPUS for all of them; LINT entries only */
    uint32_t gsi;   /* IO-APIC entries only */
    uint8_t lint;   /* 0 or 1; LINT entries only */
    uint16_t flags; /* MPS INTI flags */
};
#define ACPI_NMI_ALL_CPUS 0xffffffffu

struct acpi_madt_info {
    paddr_t lapic_base;
    bool pcat_compat; /* dual 8259s are present too */
    unsigned nr_cpus, nr_ioapics, nr_overrides, nr_nmis;
    struct acpi_madt_cpu cpu[ACPI_MAX_CPUS];
    struct acpi_madt_ioapic ioapic[ACPI_MAX_IOAPICS];
    struct acpi_madt_override override[ACPI_MAX_OVERRIDES];
    struct acpi_madt_nmi nmi[ACPI_MAX_NMIS];
};

struct acpi_mcfg_segment {
    paddr_t base; /* address of bus 0 of the segment, even if start_bus is not 0 */
    uint16_t segment;
    uint8_t start_bus, end_bus; /* both included */
};

struct acpi_mcfg_info {
    unsigned nr_segments;
    struct acpi_mcfg_segment segment[ACPI_MAX_MCFG];
};

/* ACPI 6.4, 5.2.3.2: generic address structure, unpacked. */
struct acpi_gas {
    uint8_t space; /* ACPI_SPACE_*; meaningless if address is 0 */
    uint8_t width; /* bits */
    uint8_t offset;
    uint8_t access;
    uint64_t address; /* 0: the register does not exist */
};
#define ACPI_SPACE_MEMORY 0
#define ACPI_SPACE_IO     1
#define ACPI_SPACE_PCI    2

struct acpi_fadt_info {
    uint8_t revision;
    uint16_t sci_int;
    uint32_t smi_cmd;
    uint8_t acpi_enable, acpi_disable;
    uint32_t flags;
    uint16_t boot_flags; /* IA-PC boot architecture flags */
    uint8_t pm1_event_len, pm1_control_len, pm_timer_len; /* bytes */
    struct acpi_gas pm1a_event, pm1b_event, pm1a_control, pm1b_control, pm2_control, pm_timer;
    struct acpi_gas gpe0, gpe1; /* block addresses; width is the block's length in bits */
    bool has_reset;
    struct acpi_gas reset;
    uint8_t reset_value;
    paddr_t dsdt, facs; /* 0: none */
};
#define ACPI_FADT_TMR_VAL_EXT BIT(8)  /* PM timer counts 32 bits */
#define ACPI_FADT_RESET_SUP   BIT(10) /* reset register is there */

struct acpi_hpet_info {
    paddr_t base;
    uint32_t block_id;
    uint8_t number;
    uint16_t min_tick;
};

/*
 * Sets how physical memory is reached; to be called before acpi_init() if the default does not
 * suit.  The default is phys_to_virt() for whatever lies below 2^46.
 */
void acpi_set_map(acpi_map_fn fn);

/*
 * Indexes the tables.  `rsdp` is the physical address of the root pointer, 0 to look for it in
 * the EBDA and the BIOS area.  0, or -ENOENT (no root pointer), -EINVAL (a bad one or no usable
 * root table).  Tables that are damaged are left out with a warning.
 */
int acpi_init(paddr_t rsdp);

/* The same with a copy of the root pointer, as multiboot 2 hands it over.  `len` in bytes. */
int acpi_init_copy(const void *rsdp, size_t len);

/* The `instance`th (from 0) table with a signature; NULL if there is none. */
const struct acpi_table_header *acpi_find(const char sig[4], unsigned instance);
const struct acpi_table *acpi_find_table(const char sig[4], unsigned instance);

/* All tables that root table listed and that are sound, in its order. */
unsigned acpi_nr_tables(void);
const struct acpi_table *acpi_table(unsigned index);

/* OEM id of the root pointer (6 characters, no terminator). */
const char *acpi_oem_id(void);

/*
 * Typed readers; each fills *out completely.  0, -ENOENT (no such table) or -EINVAL (too short
 * or nonsense).  Entries beyond the arrays' bounds are dropped with a warning.
 */
int acpi_get_madt(struct acpi_madt_info *out);
int acpi_get_mcfg(struct acpi_mcfg_info *out);
int acpi_get_fadt(struct acpi_fadt_info *out);
int acpi_get_hpet(struct acpi_hpet_info *out);

/* Sum of bytes modulo 256; 0 for a sound table.  Also used to seal tables built for a guest. */
uint8_t acpi_checksum(const void *data, size_t len);

#endif
