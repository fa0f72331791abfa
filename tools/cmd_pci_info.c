/* SPDX-License-Identifier: MIT */
/* xl-lite pci-info: what is known of a function, and whether and why it can be given to a guest, before anything is tried. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../libs/xenlite.h"
#include "pci_dev.h"
#include "xl.h"

static const struct {
    uint32_t bit;
    const char *name, *words;
} resets[] = {
    { XENLITE_PCI_RESET_flr, "flr", "function level reset" },
    { XENLITE_PCI_RESET_af_flr, "af-flr", "function level reset (advanced features)" },
    { XENLITE_PCI_RESET_pm, "pm", "power management (D3hot and back)" },
    { XENLITE_PCI_RESET_bus, "bus", "reset of its bus" },
};

static const char *class_words(uint32_t class_rev)
{
    static const struct {
        uint32_t code, mask;
        const char *words;
    } classes[] = {
        { 0x010802, 0xffffff, "NVMe controller" },
        { 0x010601, 0xffffff, "AHCI controller" },
        { 0x010000, 0xff0000, "storage controller" },
        { 0x020000, 0xffff00, "Ethernet controller" },
        { 0x020000, 0xff0000, "network controller" },
        { 0x030000, 0xff0000, "display controller" },
        { 0x040000, 0xff0000, "multimedia device" },
        { 0x060400, 0xffff00, "PCI bridge" },
        { 0x060000, 0xff0000, "bridge" },
        { 0x0c0330, 0xffffff, "USB controller (xHCI)" },
        { 0x0c0300, 0xffff00, "USB controller" },
        { 0x0c0000, 0xff0000, "serial bus controller" },
    };

    for (size_t i = 0; i < sizeof(classes) / sizeof(classes[0]); i++) {
        if ((class_rev >> 8 & classes[i].mask) == classes[i].code) {
            return classes[i].words;
        }
    }
    return "device";
}

static void print_owner(const struct xenlite_pci_info *info)
{
    char driver[PCI_DRIVER_MAX];

    if (info->owner == XENLITE_PCI_NOBODY) {
        puts("Owner: nobody; its DMA is blocked.");
    } else if (info->owner == XENLITE_PCI_HYPERVISOR) {
        puts("Owner: the hypervisor.");
    } else if (info->owner != 0) {
        printf("Owner: domain %u, slot %u, function %u%s.\n", info->owner, info->slot, info->fn,
               (info->flags & XENLITE_PCI_IS_PERMISSIVE) != 0 ? ", permissive" : "");
    } else if (pci_driver(info->sbdf, driver) && driver[0] != '\0') {
        printf("Owner: the control domain; its driver %s %s.\n", driver,
               pci_driver_is_stub(driver) ? "holds it for guests" : "uses it");
    } else {
        puts("Owner: the control domain, without a driver.");
    }
}

static void print_group(const struct xenlite_pci_info *info)
{
    struct xenlite_pci_member *members;
    unsigned nr;

    if (info->nr_group < 2 || xenlite_pci_group(xl.xch, info->sbdf, &members, &nr, NULL) != 0) {
        puts("Group: it is alone.");
        return;
    }
    printf("Group:");
    for (unsigned i = 0; i < nr; i++) {
        char bdf[PCI_BDF_TEXT];

        pci_bdf_format(members[i].sbdf, bdf);
        printf("%s %s", i > 0 ? "," : "", bdf);
    }
    puts(".");
    free(members);
}

static void print_iommu(const struct xenlite_pci_info *info)
{
    if (info->unit == 0xff) {
        puts("IOMMU: none covers it.");
        return;
    }
    printf("IOMMU: unit %u, %u address bits, DMA %s, interrupts %s", info->unit, info->address_bits,
           (info->flags & XENLITE_PCI_TRANSLATED) != 0 ? "translated" : "not translated",
           (info->flags & XENLITE_PCI_REMAPPED) != 0 ? "remapped" : "not remapped");
    if ((info->requester & 0xffff) != (info->sbdf & 0xffff)) {
        char bdf[PCI_BDF_TEXT];

        pci_bdf_format(info->requester, bdf);
        printf(", its requests come as %s", bdf);
    }
    printf("; %llu faults.\n", (unsigned long long)info->faults);
    for (uint32_t i = 0; i < info->nr_rmrr && i < XENLITE_PCI_NR_RMRR; i++) {
        printf("Reserved memory: 0x%llx to 0x%llx.\n", (unsigned long long)info->rmrr[i].start,
               (unsigned long long)info->rmrr[i].end);
    }
}

static void print_resets(const struct xenlite_pci_info *info)
{
    const char *between = "";

    printf("Reset: ");
    for (size_t i = 0; i < sizeof(resets) / sizeof(resets[0]); i++) {
        if ((info->reset & resets[i].bit) != 0) {
            printf("%s%s", between, resets[i].words);
            between = ", else ";
        }
    }
    puts(between[0] == '\0' ? "there is no way." : ".");
}

static void print_interrupts(const struct xenlite_pci_info *info)
{
    printf("Interrupts:");
    if (info->cap_msix != 0) {
        printf(" MSI-X with %u vectors (table in BAR %u at 0x%x, pending bits in BAR %u at 0x%x);",
               info->msix_vectors, info->table_bar, info->table_offset, info->pba_bar,
               info->pba_offset);
    }
    if (info->cap_msi != 0) {
        printf(" MSI with %u vector%s;", info->msi_vectors, info->msi_vectors == 1 ? "" : "s");
    }
    if (info->intx_pin != 0) {
        printf(" INT%c;", 'A' + info->intx_pin - 1);
    }
    puts(info->cap_msix == 0 && info->cap_msi == 0 && info->intx_pin == 0 ? " none." : "");
}

static void print_bars(const struct xenlite_pci_info *info)
{
    static const char *const kinds[] = { "", "ports", "memory, 32 bit", "memory, 64 bit", "ROM" };
    static const char *const why[] = { "", "MSI-X table", "MSI-X pending bits",
                                       "shares its page with others" };

    for (unsigned i = 0; i < XENLITE_PCI_NR_BARS; i++) {
        const struct xenlite_pci_bar *bar = &info->bar[i];

        if (bar->size != 0) {
            printf("BAR %u: 0x%llx, %llu KiB, %s%s.\n", i, (unsigned long long)bar->addr,
                   (unsigned long long)(bar->size + 1023) / 1024,
                   bar->kind < 5 ? kinds[bar->kind] : "?",
                   bar->prefetchable ? ", prefetchable" : "");
        }
    }
    for (uint32_t i = 0; i < info->nr_trapped && i < XENLITE_PCI_NR_TRAPPED; i++) {
        const struct xenlite_pci_trapped *t = &info->trapped[i];

        printf("Traps: BAR %u from 0x%llx, %llu bytes: %s.\n", t->bar,
               (unsigned long long)t->offset, (unsigned long long)t->size,
               t->why < 4 ? why[t->why] : "?");
    }
}

static void print_verdict(const struct xenlite_pci_info *info)
{
    struct json_object *hard = pci_obstacles(info, false, false),
                       *all = pci_obstacles(info, false, true);
    const size_t nr_all = json_object_array_length(all);

    if (nr_all == 0) {
        puts("It can be given to a guest now.");
    } else if (json_object_array_length(hard) == 0) {
        puts("It can be given to a guest, but not as things are.");
    } else {
        puts("It cannot be given to a guest.");
    }
    for (size_t i = 0; i < nr_all; i++) {
        printf("- %s\n", json_object_get_string(json_object_array_get_idx(all, i)));
    }
    json_object_put(hard);
    json_object_put(all);
}

static void print_text(const struct xenlite_pci_info *info)
{
    const bool is_virtual = (info->flags & XENLITE_PCI_IS_VIRTUAL) != 0;
    char bdf[PCI_BDF_TEXT], physfn[PCI_BDF_TEXT] = "";

    pci_bdf_format(info->sbdf, bdf);
    if (is_virtual)
        pci_bdf_format(info->physfn, physfn);
    printf("%s: %s %04x:%04x (class %06x)%s%s\n", bdf, class_words(info->class_rev), info->vendor,
           info->device, info->class_rev >> 8, is_virtual ? ", a virtual function of " : "",
           physfn);
    print_verdict(info);
    print_owner(info);
    print_group(info);
    print_iommu(info);
    print_resets(info);
    print_interrupts(info);
    print_bars(info);
}

/* ---- JSON ---- */

static void add_text(struct json_object *o, const char *key, const char *value)
{
    json_object_object_add(o, key, json_object_new_string(value));
}

static void add_int(struct json_object *o, const char *key, uint64_t value)
{
    json_object_object_add(o, key, json_object_new_int64((int64_t)value));
}

static struct json_object *group_json(const struct xenlite_pci_info *info)
{
    struct json_object *array = json_object_new_array();
    struct xenlite_pci_member *members;
    unsigned nr;

    if (xenlite_pci_group(xl.xch, info->sbdf, &members, &nr, NULL) == 0) {
        for (unsigned i = 0; i < nr; i++) {
            char bdf[PCI_BDF_TEXT];

            pci_bdf_format(members[i].sbdf, bdf);
            json_object_array_add(array, json_object_new_string(bdf));
        }
        free(members);
    }
    return array;
}

static struct json_object *bars_json(const struct xenlite_pci_info *info)
{
    struct json_object *array = json_object_new_array();

    for (unsigned i = 0; i < XENLITE_PCI_NR_BARS; i++) {
        struct json_object *bar;

        if (info->bar[i].size == 0) {
            continue;
        }
        bar = json_object_new_object();
        add_int(bar, "index", i);
        add_int(bar, "address", info->bar[i].addr);
        add_int(bar, "size", info->bar[i].size);
        json_object_object_add(bar, "mapped", json_object_new_boolean(info->bar[i].mapped != 0));
        json_object_array_add(array, bar);
    }
    return array;
}

static void print_json(const struct xenlite_pci_info *info)
{
    struct json_object *o = json_object_new_object(), *ways = json_object_new_array();
    char text[PCI_DRIVER_MAX];

    pci_bdf_format(info->sbdf, text);
    add_text(o, "bdf", text);
    snprintf(text, sizeof(text), "%04x:%04x", info->vendor, info->device);
    add_text(o, "id", text);
    snprintf(text, sizeof(text), "%06x", info->class_rev >> 8);
    add_text(o, "class", text);
    if ((info->flags & XENLITE_PCI_IS_VIRTUAL) != 0) {
        pci_bdf_format(info->physfn, text);
        add_text(o, "physical_function", text);
    }
    add_int(o, "owner", info->owner);
    if (info->owner == 0 && pci_driver(info->sbdf, text)) {
        add_text(o, "driver", text);
    }
    json_object_object_add(o, "obstacles", pci_obstacles(info, false, true));
    json_object_object_add(o, "group", group_json(info));
    for (size_t i = 0; i < sizeof(resets) / sizeof(resets[0]); i++) {
        if ((info->reset & resets[i].bit) != 0) {
            json_object_array_add(ways, json_object_new_string(resets[i].name));
        }
    }
    json_object_object_add(o, "resets", ways);
    add_int(o, "iommu_unit", info->unit);
    add_int(o, "reserved_regions", info->nr_rmrr);
    add_int(o, "msix_vectors", info->msix_vectors);
    add_int(o, "msi_vectors", info->cap_msi != 0 ? info->msi_vectors : 0);
    add_int(o, "faults", info->faults);
    json_object_object_add(o, "bars", bars_json(info));
    puts(json_object_to_json_string_ext(o,
                                        JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_NOSLASHESCAPE));
    json_object_put(o);
}

int cmd_pci_info(int argc, char **argv)
{
    static const struct option options[] = { { "json", no_argument, NULL, 'j' },
                                             { NULL, 0, NULL, 0 } };
    struct xenlite_pci_info info;
    bool json = false;
    int option, status = XL_USAGE;
    uint32_t sbdf;

    while ((option = xl_getopt(argc, argv, "", options, &status)) != -1) {
        if (option != 'j') {
            return status;
        }
        json = true;
    }
    if (xl_arguments(argc, 1, 1) != 0) {
        return XL_USAGE;
    }
    if (pci_bdf_parse(argv[optind], &sbdf) != 0) {
        xl_error("'%s' is no PCI function (as 0000:00:05.0 or 00:05.0)", argv[optind]);
        return XL_FAILED;
    }
    if (xl_open() != 0) {
        return XL_FAILED;
    }
    if (xenlite_pci_info(xl.xch, sbdf, &info) != 0) {
        if (errno == ENODEV) {
            xl_error("there is no PCI function %s", argv[optind]);
        } else {
            xl_hv_error("cannot ask about %s", argv[optind]);
        }
        return XL_FAILED;
    }
    if (json) {
        print_json(&info);
    } else {
        print_text(&info);
    }
    return XL_OK;
}
