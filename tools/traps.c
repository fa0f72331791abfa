/* SPDX-License-Identifier: MIT */
/*
 * Rows of trap counters: from the hypervisor's lists to what a person reads. Names of registers
 * follow from a function's capabilities, which are asked for once.
 */
#include "traps.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int bdf_parse(const char *text, uint32_t *sbdf)
{
    unsigned segment = 0, bus, device, function;
    int end = 0;

    if (sscanf(text, "%4x:%2x:%2x.%1x%n", &segment, &bus, &device, &function, &end) != 4 ||
        text[end] != '\0') {
        segment = 0;
        end = 0;
        if (sscanf(text, "%2x:%2x.%1x%n", &bus, &device, &function, &end) != 3 ||
            text[end] != '\0') {
            return -1;
        }
    }
    if (device > 31 || function > 7) {
        return -1;
    }
    *sbdf = segment << 16 | bus << 8 | device << 3 | function;
    return 0;
}

void bdf_format(uint32_t sbdf, char out[BDF_TEXT])
{
    snprintf(out, BDF_TEXT, "%04x:%02x:%02x.%x", sbdf >> 16 & 0xffff, sbdf >> 8 & 0xff,
             sbdf >> 3 & 0x1f, sbdf & 7);
}

int trap_kind_parse(const char *text, unsigned *kind)
{
    for (unsigned i = XENLITE_TRAP_MMIO; i <= XENLITE_TRAP_DECIDE; i++) {
        if (strcmp(text, xenlite_kind_name(i)) == 0) {
            *kind = i;
            return 0;
        }
    }
    return -1;
}

/* ---- rows ---- */

struct trap_row *trap_rows_add(struct trap_rows *rows)
{
    if (rows->nr == rows->room) {
        const unsigned room = rows->room != 0 ? rows->room * 2 : 64;
        struct trap_row *row = reallocarray(rows->row, room, sizeof(*row));

        if (row == NULL) {
            return NULL;
        }
        rows->row = row;
        rows->room = room;
    }
    memset(&rows->row[rows->nr], 0, sizeof(rows->row[0]));
    rows->row[rows->nr].sbdf = XENLITE_NO_DEVICE;
    return &rows->row[rows->nr++];
}

void trap_rows_free(struct trap_rows *rows)
{
    free(rows->row);
    memset(rows, 0, sizeof(*rows));
}

static bool wanted(const struct trap_row *row, const struct trap_filter *filter)
{
    if (row->reads + row->writes == 0) {
        return false;
    }
    /* What rows of registers show already is shown again only to those who ask for this kind. */
    return (filter->has_kind ? row->kind == filter->kind : !row->sum) &&
           (!filter->has_domain || row->domid == filter->domid) &&
           (!filter->has_device || row->sbdf == filter->sbdf);
}

static int by_count(const void *a, const void *b)
{
    const struct trap_row *x = a, *y = b;
    const uint64_t nx = x->reads + x->writes, ny = y->reads + y->writes;

    if (nx != ny) {
        return nx > ny ? -1 : 1;
    }
    if (x->domid != y->domid) {
        return x->domid < y->domid ? -1 : 1;
    }
    if (x->sbdf != y->sbdf) {
        return x->sbdf < y->sbdf ? -1 : 1;
    }
    return strcmp(x->name, y->name);
}

void trap_rows_select(struct trap_rows *rows, const struct trap_filter *filter)
{
    unsigned nr = 0;

    for (unsigned i = 0; i < rows->nr; i++) {
        if (wanted(&rows->row[i], filter)) {
            rows->row[nr++] = rows->row[i];
        }
    }
    rows->nr = nr;
    if (nr != 0) {
        qsort(rows->row, nr, sizeof(rows->row[0]), by_count);
    }
    if (filter->top != 0 && rows->nr > filter->top) {
        rows->nr = filter->top;
    }
}

void trap_rows_print(const struct trap_rows *rows)
{
    printf("%5s %-12s %-6s %-28s %11s %11s %8s %8s %9s\n", "ID", "Device", "Kind", "Register",
           "Reads", "Writes", "Denied", "Dropped", "Forwarded");
    for (unsigned i = 0; i < rows->nr; i++) {
        const struct trap_row *r = &rows->row[i];
        char bdf[BDF_TEXT] = "-";

        if (r->sbdf != XENLITE_NO_DEVICE) {
            bdf_format(r->sbdf, bdf);
        }
        printf("%5u %-12s %-6s %-28s %11" PRIu64 " %11" PRIu64 " %8" PRIu64 " %8" PRIu64
               " %9" PRIu64 "\n",
               r->domid, bdf, xenlite_kind_name(r->kind), r->name, r->reads, r->writes, r->denied,
               r->dropped, r->forwarded);
    }
}

static void add_number(struct json_object *o, const char *key, uint64_t value)
{
    json_object_object_add(o, key, json_object_new_uint64(value));
}

static void add_text(struct json_object *o, const char *key, const char *value)
{
    json_object_object_add(o, key, json_object_new_string(value));
}

static void add_device(struct json_object *o, uint32_t sbdf)
{
    char bdf[BDF_TEXT];

    bdf_format(sbdf, bdf);
    json_object_object_add(o, "device",
                           sbdf != XENLITE_NO_DEVICE ? json_object_new_string(bdf) : NULL);
}

static struct json_object *row_json(const struct trap_row *r)
{
    struct json_object *o = json_object_new_object();

    add_number(o, "domid", r->domid);
    add_device(o, r->sbdf);
    add_text(o, "kind", xenlite_kind_name(r->kind));
    add_text(o, "register", r->name);
    if (r->sbdf == XENLITE_NO_DEVICE) {
        add_number(o, "first", r->first);
        add_number(o, "last", r->last);
        add_number(o, "denied", r->denied);
        add_number(o, "dropped", r->dropped);
        add_number(o, "forwarded", r->forwarded);
    } else {
        add_number(o, "offset", r->first);
    }
    add_number(o, "reads", r->reads);
    add_number(o, "writes", r->writes);
    return o;
}

struct json_object *trap_rows_json(const struct trap_rows *rows)
{
    struct json_object *array = json_object_new_array();

    for (unsigned i = 0; i < rows->nr; i++) {
        json_object_array_add(array, row_json(&rows->row[i]));
    }
    return array;
}

/* ---- names ---- */

int trap_names_init(struct trap_names *names, xc_interface *xch)
{
    memset(names, 0, sizeof(*names));
    names->xch = xch;
    if (xenlite_handlers(xch, &names->handler, &names->nr_handlers) != 0) {
        return -1;
    }
    return xenlite_rules(xch, &names->rule, &names->nr_rules);
}

void trap_names_free(struct trap_names *names)
{
    for (unsigned i = 0; i < names->nr; i++) {
        free(names->layout[i].caps);
    }
    free(names->layout);
    free(names->handler);
    free(names->rule);
    memset(names, 0, sizeof(*names));
}

/* The physical function behind a domain's; XENLITE_NO_DEVICE: none. */
static uint32_t hardware_of(xc_interface *xch, uint32_t domid, uint32_t sbdf)
{
    struct xenlite_trap_function *list = NULL;
    uint32_t hw = XENLITE_NO_DEVICE;
    unsigned nr = 0;

    if (xenlite_trap_functions(xch, domid, &list, &nr) != 0) {
        return hw;
    }
    for (unsigned i = 0; i < nr; i++) {
        if (list[i].sbdf == sbdf) {
            hw = list[i].hw_sbdf;
        }
    }
    free(list);
    return hw;
}

static void learn(struct trap_names *names, struct trap_layout *l)
{
    const uint32_t hw = hardware_of(names->xch, l->domid, l->sbdf);
    struct xenlite_pci_info info;

    if (hw == XENLITE_NO_DEVICE || xenlite_capabilities(names->xch, hw, &l->caps, &l->nr) != 0) {
        l->caps = NULL;
        l->nr = 0;
        return;
    }
    l->bridge = xenlite_pci_info(names->xch, hw, &info) == 0 && (info.header & 0x7f) == 1;
}

const struct trap_layout *trap_layout_of(struct trap_names *names, uint32_t domid, uint32_t sbdf)
{
    static const struct trap_layout unknown;
    struct trap_layout *l;

    for (unsigned i = 0; i < names->nr; i++) {
        if (names->layout[i].domid == domid && names->layout[i].sbdf == sbdf) {
            return &names->layout[i];
        }
    }
    l = reallocarray(names->layout, names->nr + 1, sizeof(*l));
    if (l == NULL) {
        return &unknown;
    }
    names->layout = l;
    l = &names->layout[names->nr++];
    memset(l, 0, sizeof(*l));
    l->domid = domid;
    l->sbdf = sbdf;
    learn(names, l);
    return l;
}

const char *trap_handler_text(const struct trap_names *names, unsigned id)
{
    return id < names->nr_handlers ? names->handler[id].name : "?";
}

const char *trap_rule_text(const struct trap_names *names, unsigned id)
{
    return id < names->nr_rules ? names->rule[id].name : "?";
}

/* ---- gathering ---- */

/* Regions whose accesses are counted by register as well. */
static bool is_sum(const char *region)
{
    return strcmp(region, "pci-data") == 0 || strcmp(region, "pci-ecam") == 0 ||
           strcmp(region, "msix-page") == 0;
}

static int gather_regions(struct trap_rows *rows, xc_interface *xch, uint32_t domid)
{
    struct xenlite_trap_region *list;
    unsigned nr;
    int rc = 0;

    if (xenlite_trap_regions(xch, domid, &list, &nr) != 0) {
        return -1;
    }
    for (unsigned i = 0; i < nr && rc == 0; i++) {
        struct trap_row *row = trap_rows_add(rows);

        if (row == NULL) {
            rc = -1;
            break;
        }
        row->domid = domid;
        row->kind = list[i].kind;
        row->reads = list[i].reads;
        row->writes = list[i].writes;
        row->denied = list[i].denied;
        row->dropped = list[i].dropped;
        row->forwarded = list[i].forwarded;
        row->first = list[i].first;
        row->last = list[i].last;
        row->sum = is_sum(list[i].name);
        snprintf(row->name, sizeof(row->name), "%s", list[i].name);
    }
    free(list);
    return rc;
}

/* Of a capability's first dword, what stands behind id and link is the one that is accessed. */
static void dword_name(const struct trap_layout *l, unsigned offset, char name[XENLITE_NAME_MAX])
{
    char behind[XENLITE_NAME_MAX];

    xenlite_config_name(l->caps, l->nr, l->bridge, offset, name);
    xenlite_config_name(l->caps, l->nr, l->bridge, offset + 2, behind);
    if (strstr(name, " header") != NULL && strchr(behind, '+') == NULL) {
        memcpy(name, behind, sizeof(behind));
    }
}

static int gather_registers(struct trap_rows *rows, struct trap_names *names, uint32_t domid,
                            uint32_t sbdf)
{
    const struct trap_layout *l = trap_layout_of(names, domid, sbdf);
    struct xenlite_trap_register *list;
    unsigned nr;
    int rc = 0;

    if (xenlite_trap_registers(names->xch, domid, sbdf, &list, &nr) != 0) {
        /* It may have gone since the functions were listed. */
        return errno == ENODEV ? 0 : -1;
    }
    for (unsigned i = 0; i < nr && rc == 0; i++) {
        const bool msix = list[i].space == XENLITE_SPACE_MSIX;
        struct trap_row *row = trap_rows_add(rows);

        if (row == NULL) {
            rc = -1;
            break;
        }
        row->domid = domid;
        row->sbdf = sbdf;
        row->kind = msix ? XENLITE_TRAP_MSIX : XENLITE_TRAP_CONFIG;
        row->reads = list[i].reads;
        row->writes = list[i].writes;
        row->first = row->last = list[i].offset;
        if (msix) {
            xenlite_msix_name(list[i].offset, row->name);
        } else {
            dword_name(l, list[i].offset, row->name);
        }
    }
    free(list);
    return rc;
}

int trap_rows_gather(struct trap_rows *rows, struct trap_names *names, uint32_t domid)
{
    struct xenlite_trap_function *list;
    unsigned nr;
    int rc;

    if (gather_regions(rows, names->xch, domid) != 0 ||
        xenlite_trap_functions(names->xch, domid, &list, &nr) != 0) {
        return -1;
    }
    rc = 0;
    for (unsigned i = 0; i < nr && rc == 0; i++) {
        rc = gather_registers(rows, names, domid, list[i].sbdf);
    }
    free(list);
    return rc;
}

/* ---- records ---- */

bool trap_record_wanted(const struct trap_filter *filter, const struct xenlite_trap_record *rec)
{
    return (!filter->has_domain || rec->domid == filter->domid) &&
           (!filter->has_device || rec->sbdf == filter->sbdf) &&
           (!filter->has_kind || rec->kind == filter->kind);
}

void trap_record_name(struct trap_names *names, const struct xenlite_trap_record *rec,
                      char name[XENLITE_NAME_MAX])
{
    const struct trap_layout *l;

    if (rec->kind == XENLITE_TRAP_MSIX) {
        xenlite_msix_name((unsigned)rec->addr, name);
    } else if (rec->kind == XENLITE_TRAP_CONFIG && rec->sbdf != XENLITE_NO_DEVICE) {
        l = trap_layout_of(names, rec->domid, rec->sbdf);
        xenlite_config_name(l->caps, l->nr, l->bridge, (unsigned)rec->addr & 0xfff, name);
    } else if (rec->kind == XENLITE_TRAP_DENY) {
        snprintf(name, XENLITE_NAME_MAX, "%s", trap_rule_text(names, rec->rule));
    } else {
        snprintf(name, XENLITE_NAME_MAX, "%#" PRIx64, rec->addr);
    }
}

void trap_record_print(struct trap_names *names, const struct xenlite_trap_record *rec)
{
    char name[XENLITE_NAME_MAX], bdf[BDF_TEXT] = "-", vcpu[8] = "-";

    trap_record_name(names, rec, name);
    if (rec->sbdf != XENLITE_NO_DEVICE) {
        bdf_format(rec->sbdf, bdf);
    }
    if (rec->vcpu != XENLITE_NO_VCPU) {
        snprintf(vcpu, sizeof(vcpu), "%u", rec->vcpu);
    }
    printf("%10" PRIu64 ".%09" PRIu64 " d%-3u v%-3s %-8s %-12s %-5s %-28s/%u %#-18" PRIx64
           " %-9s %-16s %6u ns",
           rec->time / 1000000000, rec->time % 1000000000, rec->domid, vcpu,
           xenlite_kind_name(rec->kind), bdf, rec->write ? "write" : "read", name, rec->size,
           rec->value, xenlite_disposition_name(rec->disposition),
           trap_handler_text(names, rec->handler), rec->ns);
    if (rec->kind == XENLITE_TRAP_DECIDE) {
        printf(" reason %u", rec->reason);
    }
    putchar('\n');
}

struct json_object *trap_record_json(struct trap_names *names,
                                     const struct xenlite_trap_record *rec)
{
    struct json_object *o = json_object_new_object();
    char name[XENLITE_NAME_MAX];

    trap_record_name(names, rec, name);
    add_number(o, "time", rec->time);
    add_number(o, "domid", rec->domid);
    json_object_object_add(o, "vcpu",
                           rec->vcpu != XENLITE_NO_VCPU ? json_object_new_int64(rec->vcpu) : NULL);
    add_text(o, "kind", xenlite_kind_name(rec->kind));
    add_device(o, rec->sbdf);
    add_text(o, "register", name);
    add_number(o, "address", rec->addr);
    add_number(o, "size", rec->size);
    json_object_object_add(o, "write", json_object_new_boolean(rec->write));
    add_number(o, "value", rec->value);
    add_text(o, "disposition", xenlite_disposition_name(rec->disposition));
    add_text(o, "handler", trap_handler_text(names, rec->handler));
    add_number(o, "ns", rec->ns);
    if (rec->kind == XENLITE_TRAP_DENY) {
        add_text(o, "rule", trap_rule_text(names, rec->rule));
    }
    if (rec->kind == XENLITE_TRAP_DECIDE) {
        add_number(o, "reason", rec->reason);
    }
    return o;
}
