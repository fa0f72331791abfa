/* SPDX-License-Identifier: MIT */
/*
 * The ACPI DMAR table: which remapping unit translates which device, memory that firmware wants
 * mapped 1:1, and the requester ids of IO-APICs and HPETs. Pure parsing, no hardware, no
 * allocation; a table that breaks a rule is refused as a whole, because half a description of who
 * is protected is worse than none.
 *
 * No locking: filled once at boot, read only afterwards.
 */
#ifndef XL_IOMMU_DMAR_H
#define XL_IOMMU_DMAR_H

#include "lib/types.h"

#define DMAR_MAX_UNITS  16
#define DMAR_MAX_RMRRS  32
#define DMAR_MAX_ATSRS  8
#define DMAR_MAX_RHSAS  16
#define DMAR_MAX_SCOPES 128
#define DMAR_MAX_PATH   8

/* VT-d specification 8.3.1, device scope types */
enum dmar_scope_type {
    DMAR_SCOPE_ENDPOINT = 1,
    DMAR_SCOPE_BRIDGE = 2, /* a bridge and everything behind it */
    DMAR_SCOPE_IOAPIC = 3,
    DMAR_SCOPE_HPET = 4,
    DMAR_SCOPE_ACPI = 5,
};

struct dmar_scope {
    uint8_t type;
    uint8_t enum_id; /* IO-APIC id, HPET number or ACPI device number */
    uint8_t start_bus;
    uint8_t path_len;
    struct {
        uint8_t dev, fn;
    } path[DMAR_MAX_PATH];
    bool resolved; /* bdf is known: a path of one step always, longer ones after dmar_resolve() */
    uint16_t bdf;
    uint8_t secondary, subordinate; /* buses behind a DMAR_SCOPE_BRIDGE, both 0 until resolved */
};

/* A structure's run of scopes in dmar_info.scope. */
struct dmar_scopes {
    uint16_t first, count;
};

struct dmar_unit {
    paddr_t base;  /* registers */
    uint32_t size; /* bytes of registers, at least a page */
    uint16_t segment;
    bool include_all; /* every device of the segment that no other unit names */
    struct dmar_scopes scopes;
};

struct dmar_rmrr {
    uint64_t base, end; /* page aligned; end included */
    uint16_t segment;
    struct dmar_scopes scopes;
};

struct dmar_atsr {
    uint16_t segment;
    bool all_ports;
    struct dmar_scopes scopes;
};

struct dmar_rhsa {
    paddr_t base;
    uint32_t domain;
};

struct dmar_info {
    uint8_t address_bits; /* of the platform's DMA */
    bool intr_remap;      /* firmware says that interrupt remapping may be used */
    bool x2apic_opt_out;  /* firmware asks not to use x2APIC mode */
    bool dma_opt_in;      /* firmware protected memory with the units before the hand-over */
    unsigned nr_units, nr_rmrrs, nr_atsrs, nr_rhsas, nr_scopes;
    unsigned nr_skipped; /* structures that need nothing: ANDD, SATC, unknown types */
    struct dmar_unit unit[DMAR_MAX_UNITS];
    struct dmar_rmrr rmrr[DMAR_MAX_RMRRS];
    struct dmar_atsr atsr[DMAR_MAX_ATSRS];
    struct dmar_rhsa rhsa[DMAR_MAX_RHSAS];
    struct dmar_scope scope[DMAR_MAX_SCOPES];
};

/*
 * Reads the table of `len` bytes (the buffer's length; the table's own may be smaller). 0; -EINVAL
 * malformed, -E2BIG more than the limits above: *out is then all zero, and `why` (may be NULL) says
 * what and at which offset.
 */
int dmar_parse(const void *table, size_t len, struct dmar_info *out, char *why, size_t why_len);

/* `width` 1, 2 or 4 bytes of configuration space of segment:bdf; all ones if nothing answers. */
typedef uint32_t (*dmar_cfg_read_fn)(uint16_t segment, uint16_t bdf, uint16_t reg, unsigned width);

/*
 * Follows device-scope paths through bridges with the bus numbers that the bridges hold now. A path
 * that leads to no bridge stays unresolved and matches nothing. Returns the number of unresolved
 * scopes of PCI devices.
 */
unsigned dmar_resolve(struct dmar_info *info, dmar_cfg_read_fn read);

/* Index of the unit that translates the device, -ENODEV if none does. */
int dmar_unit_for(const struct dmar_info *info, uint16_t segment, uint16_t bdf);

/* The n-th RMRR of the device, NULL after the last. */
const struct dmar_rmrr *dmar_rmrr_for(const struct dmar_info *info, uint16_t segment, uint16_t bdf,
                                      unsigned n);

/* True if the scope names the device, itself or by a bridge above it. */
bool dmar_scope_matches(const struct dmar_scope *s, uint16_t bdf);

/*
 * The IO-APIC with this APIC id, or the HPET with this number: its unit and the requester id that
 * its interrupt messages carry. 0 or -ENODEV.
 */
int dmar_special(const struct dmar_info *info, enum dmar_scope_type type, uint8_t enum_id,
                 unsigned *unit, uint16_t *sid);

/* NUMA domain of a unit, false if the table does not say. */
bool dmar_unit_domain(const struct dmar_info *info, unsigned unit, uint32_t *domain);

#endif
