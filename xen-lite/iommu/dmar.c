/* SPDX-License-Identifier: MIT */
/*
 * Parser of the ACPI DMAR table (VT-d specification chapter 8) and the look-ups on its result. The
 * buffer is firmware's: every field is read with memcpy after a length check, nothing points into
 * it afterwards.
 */
#include "iommu/dmar.h"

#include "lib/errno.h"
#include "lib/printf.h"
#include "lib/string.h"

/*
 * VT-d specification 8.1: the ACPI header (36 bytes), host address width, flags, 10 reserved bytes
 */
#define DMAR_HEADER_LEN          48
#define DMAR_OFF_WIDTH           36
#define DMAR_OFF_FLAGS           37
#define DMAR_FLAG_INTR_REMAP     BIT(0)
#define DMAR_FLAG_X2APIC_OPT_OUT BIT(1)
#define DMAR_FLAG_DMA_OPT_IN     BIT(2)

/* 8.2: structure types */
enum {
    DMAR_DRHD = 0,
    DMAR_RMRR = 1,
    DMAR_ATSR = 2,
    DMAR_RHSA = 3,
};

#define SCOPE_HEADER_LEN 6

/* What the parser is at: the table, and where a complaint goes. */
struct parser {
    const uint8_t *data;
    size_t len;
    struct dmar_info *out;
    char *why;
    size_t why_len;
};

#define REFUSE(p, err, ...)                                                                        \
    ({                                                                                             \
        if ((p)->why && (p)->why_len)                                                              \
            snprintf((p)->why, (p)->why_len, __VA_ARGS__);                                         \
        (err);                                                                                     \
    })

static uint64_t get(const struct parser *p, size_t off, unsigned bytes)
{
    uint64_t v = 0;

    memcpy(&v, p->data + off, bytes);
    return v;
}

static uint8_t byte_sum(const uint8_t *data, size_t len)
{
    uint8_t sum = 0;

    while (len--)
        sum = (uint8_t)(sum + *data++);
    return sum;
}

static int parse_header(struct parser *p, size_t buf_len)
{
    uint64_t table_len;
    unsigned bits;

    if (buf_len < DMAR_HEADER_LEN)
        return REFUSE(p, -EINVAL, "table of %zu bytes is shorter than its header", buf_len);
    if (memcmp(p->data, "DMAR", 4))
        return REFUSE(p, -EINVAL, "signature at offset 0 is not DMAR");
    table_len = get(p, 4, 4);
    if (table_len < DMAR_HEADER_LEN || table_len > buf_len)
        return REFUSE(p, -EINVAL, "length %u at offset 4 does not fit the buffer of %zu bytes",
                      (unsigned)table_len, buf_len);
    p->len = (size_t)table_len;
    if (byte_sum(p->data, p->len))
        return REFUSE(p, -EINVAL, "checksum at offset 9 is wrong");

    bits = p->data[DMAR_OFF_WIDTH] + 1u;
    if (bits < 32 || bits > 64)
        return REFUSE(p, -EINVAL, "host address width %u at offset 36 is impossible", bits);
    p->out->address_bits = (uint8_t)bits;
    p->out->intr_remap = p->data[DMAR_OFF_FLAGS] & DMAR_FLAG_INTR_REMAP;
    p->out->x2apic_opt_out = p->data[DMAR_OFF_FLAGS] & DMAR_FLAG_X2APIC_OPT_OUT;
    p->out->dma_opt_in = p->data[DMAR_OFF_FLAGS] & DMAR_FLAG_DMA_OPT_IN;
    return 0;
}

/* One device scope at off, which ends before end (8.3.1). Returns its length or an error. */
static int parse_scope(struct parser *p, size_t off, size_t end)
{
    struct dmar_info *info = p->out;
    struct dmar_scope *s;
    unsigned len, steps;

    if (end - off < SCOPE_HEADER_LEN)
        return REFUSE(p, -EINVAL, "device scope at offset %zu is cut off", off);
    len = p->data[off + 1];
    if (len < SCOPE_HEADER_LEN + 2 || (len & 1) || len > end - off)
        return REFUSE(p, -EINVAL, "device scope at offset %zu has length %u", off, len);
    steps = (len - SCOPE_HEADER_LEN) / 2;
    if (steps > DMAR_MAX_PATH)
        return REFUSE(p, -E2BIG, "device scope at offset %zu has a path of %u steps", off, steps);
    if (info->nr_scopes == DMAR_MAX_SCOPES)
        return REFUSE(p, -E2BIG, "more than %d device scopes (offset %zu)", DMAR_MAX_SCOPES, off);

    s = &info->scope[info->nr_scopes];
    memset(s, 0, sizeof(*s));
    s->type = p->data[off];
    s->enum_id = p->data[off + 4];
    s->start_bus = p->data[off + 5];
    s->path_len = (uint8_t)steps;
    for (unsigned i = 0; i < steps; i++) {
        s->path[i].dev = p->data[off + SCOPE_HEADER_LEN + 2 * i];
        s->path[i].fn = p->data[off + SCOPE_HEADER_LEN + 2 * i + 1];
        if (s->path[i].dev > 31 || s->path[i].fn > 7)
            return REFUSE(p, -EINVAL, "device scope at offset %zu names device %u function %u", off,
                          s->path[i].dev, s->path[i].fn);
    }
    if (steps == 1) {
        /*
         * IO-APIC and HPET scopes too: their path is the requester id of their messages (8.3.1.1)
         */
        s->bdf = (uint16_t)(s->start_bus << 8 | s->path[0].dev << 3 | s->path[0].fn);
        s->resolved = true;
    }
    info->nr_scopes++;
    return (int)len;
}

static int parse_scopes(struct parser *p, size_t off, size_t end, struct dmar_scopes *out)
{
    out->first = (uint16_t)p->out->nr_scopes;
    while (off < end) {
        int len = parse_scope(p, off, end);

        if (len < 0)
            return len;
        off += (size_t)len;
    }
    out->count = (uint16_t)(p->out->nr_scopes - out->first);
    return 0;
}

/* An address that the platform can have, as firmware declared it. */
static bool fits(const struct parser *p, uint64_t addr)
{
    return p->out->address_bits == 64 || !(addr >> p->out->address_bits);
}

/* 8.3: type, length, flags, size, segment, register base, scopes */
static int parse_drhd(struct parser *p, size_t off, size_t len)
{
    struct dmar_info *info = p->out;
    struct dmar_unit *u;
    unsigned order;

    if (len < 16)
        return REFUSE(p, -EINVAL, "DRHD at offset %zu has length %zu", off, len);
    if (info->nr_units == DMAR_MAX_UNITS)
        return REFUSE(p, -E2BIG, "more than %d units (offset %zu)", DMAR_MAX_UNITS, off);
    u = &info->unit[info->nr_units];
    u->include_all = get(p, off + 4, 1) & 1;
    /* since revision 4.0 of the specification: 2^n pages of registers, 0 in older tables */
    order = (unsigned)get(p, off + 5, 1) & 0xf;
    u->size = (uint32_t)PAGE_SIZE << order;
    u->segment = (uint16_t)get(p, off + 6, 2);
    u->base = get(p, off + 8, 8);
    if (!u->base || (u->base & ~PAGE_MASK) || !fits(p, u->base) ||
        !fits(p, u->base + u->size - 1) || u->base + u->size < u->base)
        return REFUSE(p, -EINVAL, "DRHD at offset %zu has its registers at %llx", off,
                      (unsigned long long)u->base);
    for (unsigned i = 0; i < info->nr_units; i++) {
        const struct dmar_unit *v = &info->unit[i];

        if (u->base < v->base + v->size && v->base < u->base + u->size)
            return REFUSE(p, -EINVAL, "DRHD at offset %zu shares registers with unit %u", off, i);
        if (u->include_all && v->include_all && u->segment == v->segment)
            return REFUSE(p, -EINVAL, "DRHD at offset %zu is the second to take all of segment %u",
                          off, u->segment);
    }
    info->nr_units++;
    return parse_scopes(p, off + 16, off + len, &u->scopes);
}

/* 8.4: reserved memory region: segment, base, limit (last byte), scopes */
static int parse_rmrr(struct parser *p, size_t off, size_t len)
{
    struct dmar_info *info = p->out;
    struct dmar_rmrr *r;

    if (len < 24)
        return REFUSE(p, -EINVAL, "RMRR at offset %zu has length %zu", off, len);
    if (info->nr_rmrrs == DMAR_MAX_RMRRS)
        return REFUSE(p, -E2BIG, "more than %d RMRRs (offset %zu)", DMAR_MAX_RMRRS, off);
    r = &info->rmrr[info->nr_rmrrs];
    r->segment = (uint16_t)get(p, off + 6, 2);
    r->base = get(p, off + 8, 8);
    r->end = get(p, off + 16, 8);
    if ((r->base & ~PAGE_MASK) || (r->end & ~PAGE_MASK) != PAGE_SIZE - 1 || r->end < r->base ||
        !fits(p, r->end))
        return REFUSE(p, -EINVAL, "RMRR at offset %zu covers %llx to %llx", off,
                      (unsigned long long)r->base, (unsigned long long)r->end);
    info->nr_rmrrs++;
    return parse_scopes(p, off + 24, off + len, &r->scopes);
}

/* 8.5: root ports whose devices may use address translation services */
static int parse_atsr(struct parser *p, size_t off, size_t len)
{
    struct dmar_info *info = p->out;
    struct dmar_atsr *a;

    if (len < 8)
        return REFUSE(p, -EINVAL, "ATSR at offset %zu has length %zu", off, len);
    if (info->nr_atsrs == DMAR_MAX_ATSRS)
        return REFUSE(p, -E2BIG, "more than %d ATSRs (offset %zu)", DMAR_MAX_ATSRS, off);
    a = &info->atsr[info->nr_atsrs++];
    a->all_ports = get(p, off + 4, 1) & 1;
    a->segment = (uint16_t)get(p, off + 6, 2);
    return parse_scopes(p, off + 8, off + len, &a->scopes);
}

/* 8.6: proximity domain of a unit */
static int parse_rhsa(struct parser *p, size_t off, size_t len)
{
    struct dmar_info *info = p->out;

    if (len < 20)
        return REFUSE(p, -EINVAL, "RHSA at offset %zu has length %zu", off, len);
    if (info->nr_rhsas == DMAR_MAX_RHSAS)
        return REFUSE(p, -E2BIG, "more than %d RHSAs (offset %zu)", DMAR_MAX_RHSAS, off);
    info->rhsa[info->nr_rhsas].base = get(p, off + 8, 8);
    info->rhsa[info->nr_rhsas].domain = (uint32_t)get(p, off + 16, 4);
    info->nr_rhsas++;
    return 0;
}

static int parse_structure(struct parser *p, unsigned type, size_t off, size_t len)
{
    switch (type) {
    case DMAR_DRHD:
        return parse_drhd(p, off, len);
    case DMAR_RMRR:
        return parse_rmrr(p, off, len);
    case DMAR_ATSR:
        return parse_atsr(p, off, len);
    case DMAR_RHSA:
        return parse_rhsa(p, off, len);
    default:
        /*
         * ANDD and SATC describe what is not used here; 8.2 asks to ignore types that are not known
         */
        p->out->nr_skipped++;
        return 0;
    }
}

static bool same_place(const struct dmar_scope *a, const struct dmar_scope *b)
{
    return a->type == b->type && a->start_bus == b->start_bus && a->path_len == b->path_len &&
           !memcmp(a->path, b->path, sizeof(a->path[0]) * a->path_len) &&
           (a->type <= DMAR_SCOPE_BRIDGE || a->enum_id == b->enum_id);
}

/* A device in the scopes of two units of a segment would be protected by neither. */
static int check_scopes_disjoint(struct parser *p, unsigned i, unsigned j)
{
    const struct dmar_info *info = p->out;
    const struct dmar_unit *u = &info->unit[i], *v = &info->unit[j];

    if (u->segment != v->segment)
        return 0;
    for (unsigned a = 0; a < u->scopes.count; a++)
        for (unsigned b = 0; b < v->scopes.count; b++) {
            const struct dmar_scope *s = &info->scope[u->scopes.first + a];

            if (same_place(s, &info->scope[v->scopes.first + b]))
                return REFUSE(p, -EINVAL, "units %u and %u both claim device %02x:%02x.%x", j, i,
                              s->start_bus, s->path[s->path_len - 1].dev,
                              s->path[s->path_len - 1].fn);
        }
    return 0;
}

/* Rules between structures, once all are read. */
static int check_whole(struct parser *p)
{
    const struct dmar_info *info = p->out;

    if (!info->nr_units)
        return REFUSE(p, -EINVAL, "the table names no unit");
    for (unsigned i = 0; i < info->nr_units; i++) {
        const struct dmar_unit *u = &info->unit[i];

        for (unsigned j = 0; j < i; j++) {
            int err = check_scopes_disjoint(p, i, j);

            if (err)
                return err;
        }
        /* such a region would open the unit's registers to a device and its driver */
        for (unsigned j = 0; j < info->nr_rmrrs; j++)
            if (info->rmrr[j].base < u->base + u->size && u->base <= info->rmrr[j].end)
                return REFUSE(p, -EINVAL, "RMRR %llx to %llx covers the registers of unit %u",
                              (unsigned long long)info->rmrr[j].base,
                              (unsigned long long)info->rmrr[j].end, i);
    }
    return 0;
}

static int parse_all(struct parser *p, size_t buf_len)
{
    size_t off = DMAR_HEADER_LEN;
    int err = parse_header(p, buf_len);

    if (err)
        return err;
    while (off < p->len) {
        size_t len;

        if (p->len - off < 4)
            return REFUSE(p, -EINVAL, "structure at offset %zu is cut off", off);
        len = (size_t)get(p, off + 2, 2);
        if (len < 4 || len > p->len - off)
            return REFUSE(p, -EINVAL, "structure at offset %zu has length %zu", off, len);
        err = parse_structure(p, (unsigned)get(p, off, 2), off, len);
        if (err)
            return err;
        off += len;
    }
    return check_whole(p);
}

int dmar_parse(const void *table, size_t len, struct dmar_info *out, char *why, size_t why_len)
{
    struct parser p = { .data = table, .out = out, .why = why, .why_len = why_len };
    int err;

    memset(out, 0, sizeof(*out));
    err = parse_all(&p, len);
    if (err)
        memset(out, 0, sizeof(*out));
    return err;
}

/* PCI-to-PCI bridge specification 1.2, 3.2: header type 1, bus numbers at 0x18 */
#define PCI_VENDOR          0x00
#define PCI_HEADER_TYPE     0x0e
#define PCI_SECONDARY_BUS   0x19
#define PCI_SUBORDINATE_BUS 0x1a

static bool read_bridge(dmar_cfg_read_fn read, uint16_t segment, uint16_t bdf, uint8_t *secondary,
                        uint8_t *subordinate)
{
    if ((read(segment, bdf, PCI_VENDOR, 2) & 0xffff) == 0xffff)
        return false;
    if ((read(segment, bdf, PCI_HEADER_TYPE, 1) & 0x7f) != 1)
        return false;
    *secondary = (uint8_t)read(segment, bdf, PCI_SECONDARY_BUS, 1);
    *subordinate = (uint8_t)read(segment, bdf, PCI_SUBORDINATE_BUS, 1);
    /*
     * buses behind a bridge have higher numbers; anything else is a bridge that nobody has set up
     */
    return *secondary > bdf >> 8 && *subordinate >= *secondary;
}

static bool resolve_scope(struct dmar_scope *s, uint16_t segment, dmar_cfg_read_fn read)
{
    uint8_t bus = s->start_bus, subordinate;
    uint16_t bdf = 0;

    for (unsigned i = 0; i < s->path_len; i++) {
        bdf = (uint16_t)(bus << 8 | s->path[i].dev << 3 | s->path[i].fn);
        if (i + 1u < s->path_len && !read_bridge(read, segment, bdf, &bus, &subordinate))
            return false;
    }
    s->bdf = bdf;
    s->resolved = true;
    s->secondary = 0;
    s->subordinate = 0;
    if (s->type == DMAR_SCOPE_BRIDGE &&
        !read_bridge(read, segment, bdf, &s->secondary, &s->subordinate)) {
        s->secondary = 0;
        s->subordinate = 0;
    }
    return true;
}

static unsigned resolve_scopes(struct dmar_info *info, const struct dmar_scopes *run,
                               uint16_t segment, dmar_cfg_read_fn read)
{
    unsigned missing = 0;

    for (unsigned i = 0; i < run->count; i++) {
        struct dmar_scope *s = &info->scope[run->first + i];

        if (s->type > DMAR_SCOPE_HPET)
            continue;
        if (!resolve_scope(s, segment, read)) {
            s->resolved = false;
            missing++;
        }
    }
    return missing;
}

unsigned dmar_resolve(struct dmar_info *info, dmar_cfg_read_fn read)
{
    unsigned missing = 0;

    for (unsigned i = 0; i < info->nr_units; i++)
        missing += resolve_scopes(info, &info->unit[i].scopes, info->unit[i].segment, read);
    for (unsigned i = 0; i < info->nr_rmrrs; i++)
        missing += resolve_scopes(info, &info->rmrr[i].scopes, info->rmrr[i].segment, read);
    for (unsigned i = 0; i < info->nr_atsrs; i++)
        missing += resolve_scopes(info, &info->atsr[i].scopes, info->atsr[i].segment, read);
    return missing;
}

bool dmar_scope_matches(const struct dmar_scope *s, uint16_t bdf)
{
    uint8_t bus = (uint8_t)(bdf >> 8);

    if (!s->resolved || (s->type != DMAR_SCOPE_ENDPOINT && s->type != DMAR_SCOPE_BRIDGE))
        return false;
    if (s->bdf == bdf)
        return true;
    return s->type == DMAR_SCOPE_BRIDGE && s->secondary && bus >= s->secondary &&
           bus <= s->subordinate;
}

static bool scopes_match(const struct dmar_info *info, const struct dmar_scopes *run, uint16_t bdf)
{
    for (unsigned i = 0; i < run->count; i++)
        if (dmar_scope_matches(&info->scope[run->first + i], bdf))
            return true;
    return false;
}

/* True if a scope of the run names exactly this device, not a bridge above it. */
static bool scopes_name(const struct dmar_info *info, const struct dmar_scopes *run, uint16_t bdf)
{
    for (unsigned i = 0; i < run->count; i++) {
        const struct dmar_scope *s = &info->scope[run->first + i];

        if (dmar_scope_matches(s, bdf) && s->bdf == bdf)
            return true;
    }
    return false;
}

int dmar_unit_for(const struct dmar_info *info, uint16_t segment, uint16_t bdf)
{
    int best = -ENODEV;

    /*
     * a unit that names the device beats one that names a bridge above it, which beats "all others"
     */
    for (unsigned i = 0; i < info->nr_units; i++) {
        const struct dmar_unit *u = &info->unit[i];

        if (u->segment != segment)
            continue;
        if (scopes_name(info, &u->scopes, bdf))
            return (int)i;
        if (scopes_match(info, &u->scopes, bdf))
            best = (int)i;
        else if (u->include_all && best < 0)
            best = (int)i;
    }
    return best;
}

const struct dmar_rmrr *dmar_rmrr_for(const struct dmar_info *info, uint16_t segment, uint16_t bdf,
                                      unsigned n)
{
    for (unsigned i = 0; i < info->nr_rmrrs; i++) {
        const struct dmar_rmrr *r = &info->rmrr[i];

        if (r->segment != segment || !scopes_match(info, &r->scopes, bdf))
            continue;
        if (!n--)
            return r;
    }
    return NULL;
}

int dmar_special(const struct dmar_info *info, enum dmar_scope_type type, uint8_t enum_id,
                 unsigned *unit, uint16_t *sid)
{
    for (unsigned i = 0; i < info->nr_units; i++) {
        const struct dmar_unit *u = &info->unit[i];

        for (unsigned k = 0; k < u->scopes.count; k++) {
            const struct dmar_scope *s = &info->scope[u->scopes.first + k];

            if (s->type == type && s->enum_id == enum_id && s->resolved) {
                *unit = i;
                *sid = s->bdf;
                return 0;
            }
        }
    }
    return -ENODEV;
}

bool dmar_unit_domain(const struct dmar_info *info, unsigned unit, uint32_t *domain)
{
    for (unsigned i = 0; i < info->nr_rhsas; i++)
        if (info->rhsa[i].base == info->unit[unit].base) {
            *domain = info->rhsa[i].domain;
            return true;
        }
    return false;
}
