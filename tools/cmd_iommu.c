/* SPDX-License-Identifier: MIT */
/*
 * xl-lite iommu: DMA remapping units, whose page table each device goes through, and faults.
 */
#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "traps.h"
#include "xl.h"

struct all {
    struct xenlite_iommu info;
    struct xenlite_iommu_unit *unit;
    struct xenlite_iommu_device *device;
    struct xenlite_iommu_fault *fault;
    struct xenlite_pci_entry *function; /* for groups; NULL: not known */
    unsigned units, devices, faults, functions;
};

static const struct {
    uint32_t flag;
    const char *name;
} unit_flags[] = {
    { XENLITE_UNIT_ALL_OTHERS, "all-others" },
    { XENLITE_UNIT_QUEUE, "queue" },
    { XENLITE_UNIT_REMAPS, "interrupt-remapping" },
    { XENLITE_UNIT_EXTENDED, "extended-destinations" },
    { XENLITE_UNIT_PAGE_SELECTIVE, "page-selective" },
    { XENLITE_UNIT_COHERENT, "coherent" },
    { XENLITE_UNIT_CACHING, "caching-mode" },
    { XENLITE_UNIT_WRITE_BUFFER, "write-buffer" },
    { XENLITE_UNIT_CAN_POST, "posted-interrupts" },
    { XENLITE_UNIT_FAILED, "FAILED" },
};
#define NR_FLAGS (sizeof(unit_flags) / sizeof(unit_flags[0]))

static const char *state_name(unsigned state)
{
    static const char *const names[] = { "blocked", "attached", "quarantined" };

    return state < 3 ? names[state] : "?";
}

static const char *page_size(unsigned order)
{
    return order == 18 ? "1 GiB" : order == 9 ? "2 MiB" : "4 KiB";
}

/* The number of the device's group; -1: not known. */
static int group_of(const struct all *all, uint32_t sbdf)
{
    for (unsigned i = 0; i < all->functions; i++) {
        if (all->function[i].sbdf == sbdf) {
            return all->function[i].group;
        }
    }
    return -1;
}

/* ---- JSON ---- */

static void add_number(struct json_object *o, const char *key, uint64_t value)
{
    json_object_object_add(o, key, json_object_new_uint64(value));
}

static void add_text(struct json_object *o, const char *key, const char *value)
{
    json_object_object_add(o, key, json_object_new_string(value));
}

static void add_flag(struct json_object *o, const char *key, bool value)
{
    json_object_object_add(o, key, json_object_new_boolean(value));
}

static void add_bdf(struct json_object *o, uint32_t sbdf)
{
    char bdf[BDF_TEXT];

    bdf_format(sbdf, bdf);
    add_text(o, "device", bdf);
}

static void add_owner(struct json_object *o, uint16_t domid)
{
    json_object_object_add(o, "domid",
                           domid != XENLITE_NO_DOMAIN ? json_object_new_int64(domid) : NULL);
}

static struct json_object *unit_json(const struct xenlite_iommu_unit *u)
{
    struct json_object *o = json_object_new_object(), *flags = json_object_new_array();
    char version[8];

    for (size_t i = 0; i < NR_FLAGS; i++) {
        if ((u->flags & unit_flags[i].flag) != 0) {
            json_object_array_add(flags, json_object_new_string(unit_flags[i].name));
        }
    }
    snprintf(version, sizeof(version), "%u.%u", u->version >> 4, u->version & 15);
    add_number(o, "registers", u->registers);
    add_number(o, "segment", u->segment);
    add_text(o, "version", version);
    add_number(o, "levels", u->levels);
    add_number(o, "address_bits", u->address_bits);
    add_text(o, "largest_page", page_size(u->max_order));
    json_object_object_add(o, "features", flags);
    add_flag(o, "posted_interrupts_available", (u->flags & XENLITE_UNIT_CAN_POST) != 0);
    add_flag(o, "posted_interrupts_used", (u->flags & XENLITE_UNIT_POSTS) != 0);
    add_number(o, "cap", u->cap);
    add_number(o, "ecap", u->ecap);
    add_number(o, "remapping_entries_used", u->remap_used);
    add_number(o, "remapping_entries", u->remap_size);
    add_number(o, "faults", u->faults);
    add_number(o, "faults_lost", u->faults_lost);
    add_number(o, "invalidations", u->invalidations);
    add_text(o, "failure", u->failure);
    return o;
}

static struct json_object *fault_json(const struct xenlite_iommu_fault *f)
{
    struct json_object *o = json_object_new_object();

    add_number(o, "time", f->time);
    add_bdf(o, f->sbdf);
    add_owner(o, f->domid);
    add_number(o, "unit", f->unit);
    add_text(o, "access", f->interrupt ? "interrupt" : f->write ? "write" : "read");
    add_number(o, "address", f->addr);
    add_number(o, "reason", f->reason);
    add_text(o, "text", f->text);
    add_text(o, "there", f->there);
    return o;
}

static struct json_object *device_json(const struct all *all, const struct xenlite_iommu_device *d)
{
    struct json_object *o = json_object_new_object();
    const int group = group_of(all, d->sbdf);

    add_bdf(o, d->sbdf);
    add_owner(o, d->domid);
    json_object_object_add(o, "group", group >= 0 ? json_object_new_int(group) : NULL);
    add_number(o, "unit", d->unit);
    add_text(o, "state", state_name(d->state));
    add_number(o, "since", d->since);
    add_number(o, "context_root", d->context_root);
    add_number(o, "p2m_root", d->p2m_root);
    add_number(o, "cpu_root", d->cpu_root);
    add_number(o, "levels", d->levels);
    add_number(o, "tag", d->tag);
    add_flag(o, "shared", d->shared);
    add_number(o, "faults", d->faults);
    json_object_object_add(o, "last_fault", d->faults != 0 ? fault_json(&d->last) : NULL);
    add_text(o, "why", d->why);
    return o;
}

static void print_json(const struct all *all)
{
    struct json_object *o = json_object_new_object(), *units = json_object_new_array(),
                       *devices = json_object_new_array(), *faults = json_object_new_array();

    for (unsigned i = 0; i < all->units; i++) {
        json_object_array_add(units, unit_json(&all->unit[i]));
    }
    for (unsigned i = 0; i < all->devices; i++) {
        json_object_array_add(devices, device_json(all, &all->device[i]));
    }
    for (unsigned i = 0; i < all->faults; i++) {
        json_object_array_add(faults, fault_json(&all->fault[i]));
    }
    add_flag(o, "present", all->info.present);
    add_flag(o, "enabled", all->info.enabled);
    add_flag(o, "interrupt_remapping", all->info.interrupt_remapping);
    add_flag(o, "posted_interrupts", all->info.posted_interrupts);
    add_flag(o, "shared_tables", all->info.shared);
    add_text(o, "reason", all->info.reason);
    add_number(o, "address_bits", all->info.address_bits);
    json_object_object_add(o, "units", units);
    json_object_object_add(o, "devices", devices);
    json_object_object_add(o, "faults", faults);
    puts(json_object_to_json_string_ext(o,
                                        JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_NOSLASHESCAPE));
    json_object_put(o);
}

/* ---- text ---- */

static void print_unit(const struct xenlite_iommu_unit *u, unsigned n)
{
    printf("Unit %u at %#" PRIx64 ", segment %u: version %u.%u, %u levels, %u bits, pages to %s,",
           n, u->registers, u->segment, u->version >> 4, u->version & 15, u->levels,
           u->address_bits, page_size(u->max_order));
    for (size_t i = 0; i < NR_FLAGS; i++) {
        if ((u->flags & unit_flags[i].flag) != 0) {
            printf(" %s", unit_flags[i].name);
        }
    }
    printf("; posted interrupts %s; %u of %u remapping entries used, %" PRIu64 " faults, %" PRIu64
           " invalidations\n",
           (u->flags & XENLITE_UNIT_POSTS) != 0      ? "used"
           : (u->flags & XENLITE_UNIT_CAN_POST) != 0 ? "available, not used"
                                                     : "not available",
           u->remap_used, u->remap_size, u->faults, u->invalidations);
    if (u->failure[0] != '\0') {
        printf("  failed: %s\n", u->failure);
    }
}

static void print_device(const struct all *all, const struct xenlite_iommu_device *d)
{
    char bdf[BDF_TEXT], owner[8] = "-", group[8] = "-";

    bdf_format(d->sbdf, bdf);
    if (d->domid != XENLITE_NO_DOMAIN) {
        snprintf(owner, sizeof(owner), "%u", d->domid);
    }
    if (group_of(all, d->sbdf) >= 0) {
        snprintf(group, sizeof(group), "%04x", (unsigned)group_of(all, d->sbdf) & 0xffffu);
    }
    printf("%-12s %5s %-5s %4u %-11s %#12" PRIx64 " %#12" PRIx64 " %-6s %6" PRIu64 "%s%s\n", bdf,
           owner, group, d->unit, state_name(d->state), d->context_root, d->p2m_root,
           d->context_root == 0 ? "blocks"
           : d->shared          ? "equal"
                                : "DIFFER",
           d->faults, d->why[0] != '\0' ? "  " : "", d->why);
}

static void print_fault(const struct xenlite_iommu_fault *f)
{
    char bdf[BDF_TEXT];

    bdf_format(f->sbdf, bdf);
    printf("%10" PRIu64 ".%06" PRIu64 " %s %s %s%#" PRIx64 ": %s (reason %#x); there: %s\n",
           f->time / 1000000000, f->time / 1000 % 1000000, bdf,
           f->interrupt ? "interrupt"
           : f->write   ? "write"
                        : "read",
           f->interrupt ? "" : "at ", f->addr, f->text, f->reason, f->there);
}

static const char *posting(const struct all *all)
{
    if (all->info.posted_interrupts) {
        return "on";
    }
    for (unsigned n = 0; n < all->units; n++) {
        if ((all->unit[n].flags & XENLITE_UNIT_CAN_POST) != 0) {
            return "off";
        }
    }
    return "not available";
}

static void print_text(const struct all *all)
{
    const struct xenlite_iommu *i = &all->info;

    if (!i->present) {
        printf("No DMA remapping: %s\n", i->reason);
        return;
    }
    printf("DMA remapping %s, interrupt remapping %s, posted interrupts %s\n",
           i->enabled ? "on" : "off", i->interrupt_remapping ? "on" : "off", posting(all));
    if (i->shared) {
        puts("Processors and units walk the same page tables");
    } else {
        printf("Page tables are not shared: %s\n", i->reason);
    }
    for (unsigned n = 0; n < all->units; n++) {
        print_unit(&all->unit[n], n);
    }
    printf("\n%-12s %5s %-5s %4s %-11s %12s %12s %-6s %6s\n", "Device", "ID", "Group", "Unit",
           "State", "Context", "Page table", "Roots", "Faults");
    for (unsigned n = 0; n < all->devices; n++) {
        print_device(all, &all->device[n]);
    }
    if (all->faults != 0) {
        puts("\nFaults, newest first:");
    }
    for (unsigned n = 0; n < all->faults; n++) {
        print_fault(&all->fault[n]);
    }
}

static int gather(struct all *all)
{
    if (xenlite_iommu(xl.xch, &all->info) != 0 ||
        xenlite_iommu_units(xl.xch, &all->unit, &all->units) != 0 ||
        xenlite_iommu_devices(xl.xch, &all->device, &all->devices) != 0 ||
        xenlite_iommu_faults(xl.xch, &all->fault, &all->faults) != 0) {
        return -1;
    }
    /* Groups are an extra here: without them the rest is still true. */
    if (xenlite_pci_list(xl.xch, &all->function, &all->functions) != 0) {
        all->function = NULL;
        all->functions = 0;
    }
    return 0;
}

int cmd_iommu(int argc, char **argv)
{
    static const struct option options[] = { { "json", no_argument, NULL, 'j' },
                                             { NULL, 0, NULL, 0 } };
    struct all all;
    bool json = false;
    int option, rc, status = XL_USAGE;

    while ((option = xl_getopt(argc, argv, "", options, &status)) != -1) {
        if (option != 'j') {
            return status;
        }
        json = true;
    }
    if (xl_arguments(argc, 0, 0) != 0) {
        return XL_USAGE;
    }
    if (xl_open() != 0) {
        return XL_FAILED;
    }
    memset(&all, 0, sizeof(all));
    rc = gather(&all);
    if (rc != 0) {
        xl_hv_error("cannot ask about DMA remapping");
    } else if (json) {
        print_json(&all);
    } else {
        print_text(&all);
    }
    free(all.unit);
    free(all.device);
    free(all.fault);
    free(all.function);
    return rc == 0 ? XL_OK : XL_FAILED;
}
