/* SPDX-License-Identifier: MIT */
/* xl-lite pci-assignable-list, -add, -remove, pci-attach, pci-detach, pci-list. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../libs/xenlite.h"
#include "dmd_client.h"
#include "pci_dev.h"
#include "xl.h"

/* xl-dmd gives the guest's kernel 20 s. */
#define DETACH_MS 30000

static void print_json(struct json_object *object)
{
    puts(json_object_to_json_string_ext(object,
                                        JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_NOSLASHESCAPE));
    json_object_put(object);
}

static int take_bdf(const char *text, uint32_t *sbdf)
{
    if (pci_bdf_parse(text, sbdf) != 0) {
        return xl_error("'%s' is no PCI function (as 0000:00:05.0 or 00:05.0)", text);
    }
    return 0;
}

/* ---- assignable ---- */

static struct json_object *describe(const struct xenlite_pci_entry *entry)
{
    struct json_object *o = json_object_new_object();
    char text[PCI_BDF_TEXT], driver[PCI_DRIVER_MAX];

    pci_bdf_format(entry->sbdf, text);
    json_object_object_add(o, "bdf", json_object_new_string(text));
    snprintf(text, sizeof(text), "%04x:%04x", entry->vendor, entry->device);
    json_object_object_add(o, "id", json_object_new_string(text));
    snprintf(text, sizeof(text), "%06x", entry->class_rev >> 8);
    json_object_object_add(o, "class", json_object_new_string(text));
    if (entry->slot != 0) {
        json_object_object_add(o, "slot", json_object_new_int(entry->slot));
        json_object_object_add(o, "function", json_object_new_int(entry->fn));
        json_object_object_add(
            o, "permissive",
            json_object_new_boolean((entry->flags & XENLITE_PCI_IS_PERMISSIVE) != 0));
    } else if (pci_driver(entry->sbdf, driver)) {
        json_object_object_add(o, "driver", json_object_new_string(driver));
    }
    return o;
}

static const char *text_of(struct json_object *o, const char *key)
{
    struct json_object *value;

    return json_object_object_get_ex(o, key, &value) ? json_object_get_string(value) : "";
}

/* Functions that `wanted` says, as an array; NULL after an error. */
static struct json_object *
collect(bool (*wanted)(const struct xenlite_pci_entry *entry, uint32_t domid), uint32_t domid)
{
    struct json_object *array;
    struct xenlite_pci_entry *list;
    unsigned nr;

    if (xl_open() != 0) {
        return NULL;
    }
    if (xenlite_pci_list(xl.xch, &list, &nr) != 0) {
        xl_hv_error("cannot list PCI functions");
        return NULL;
    }
    array = json_object_new_array();
    for (unsigned i = 0; i < nr; i++) {
        if (wanted(&list[i], domid)) {
            json_object_array_add(array, describe(&list[i]));
        }
    }
    free(list);
    return array;
}

static bool is_assignable(const struct xenlite_pci_entry *entry, uint32_t domid)
{
    char driver[PCI_DRIVER_MAX];

    (void)domid;
    return entry->owner == XENLITE_PCI_NOBODY ||
           (entry->owner == 0 && pci_driver(entry->sbdf, driver) && pci_driver_is_stub(driver));
}

static bool is_guests(const struct xenlite_pci_entry *entry, uint32_t domid)
{
    return entry->owner == domid && entry->slot != 0;
}

static const struct option json_option[] = { { "json", no_argument, NULL, 'j' },
                                             { NULL, 0, NULL, 0 } };

/* Options that are --json alone; returns the exit code to leave with, or -1 to go on. */
static int take_json(int argc, char **argv, bool *json)
{
    int option, status = XL_USAGE;

    *json = false;
    while ((option = xl_getopt(argc, argv, "", json_option, &status)) != -1) {
        if (option != 'j') {
            return status;
        }
        *json = true;
    }
    return -1;
}

int cmd_pci_assignable_list(int argc, char **argv)
{
    struct json_object *array;
    bool json;
    int status = take_json(argc, argv, &json);

    if (status != -1) {
        return status;
    }
    if (xl_arguments(argc, 0, 0) != 0) {
        return XL_USAGE;
    }
    array = collect(is_assignable, 0);
    if (array == NULL) {
        return XL_FAILED;
    }
    if (json) {
        print_json(array);
        return XL_OK;
    }
    for (size_t i = 0; i < json_object_array_length(array); i++) {
        puts(text_of(json_object_array_get_idx(array, i), "bdf"));
    }
    json_object_put(array);
    return XL_OK;
}

int cmd_pci_assignable_add(int argc, char **argv)
{
    bool stop;
    int status = xl_plain_arguments(argc, argv, 1, 1, &stop);
    uint32_t sbdf;

    if (stop) {
        return status;
    }
    return take_bdf(argv[optind], &sbdf) == 0 && pci_make_assignable(sbdf) == 0 ? XL_OK : XL_FAILED;
}

int cmd_pci_assignable_remove(int argc, char **argv)
{
    bool rebind = false;
    int option, status = XL_USAGE;
    uint32_t sbdf;

    while ((option = xl_getopt(argc, argv, "r", NULL, &status)) != -1) {
        if (option != 'r') {
            return status;
        }
        rebind = true;
    }
    if (xl_arguments(argc, 1, 1) != 0) {
        return XL_USAGE;
    }
    return take_bdf(argv[optind], &sbdf) == 0 && pci_make_unassignable(sbdf, rebind) == 0
               ? XL_OK
               : XL_FAILED;
}

/* ---- pci-list ---- */

int cmd_pci_list(int argc, char **argv)
{
    struct json_object *array;
    uint32_t domid;
    bool json;
    int status = take_json(argc, argv, &json);

    if (status != -1) {
        return status;
    }
    if (xl_arguments(argc, 1, 1) != 0) {
        return XL_USAGE;
    }
    if (xl_find_guest(argv[optind], &domid, "list the devices of") != 0) {
        return XL_FAILED;
    }
    array = collect(is_guests, domid);
    if (array == NULL) {
        return XL_FAILED;
    }
    if (json) {
        print_json(array);
        return XL_OK;
    }
    puts("Vdev Device        ID        Class");
    for (size_t i = 0; i < json_object_array_length(array); i++) {
        struct json_object *o = json_object_array_get_idx(array, i);

        printf("%02x.%s %s  %s %s%s\n", atoi(text_of(o, "slot")), text_of(o, "function"),
               text_of(o, "bdf"), text_of(o, "id"), text_of(o, "class"),
               strcmp(text_of(o, "permissive"), "true") == 0 ? " permissive" : "");
    }
    json_object_put(array);
    return XL_OK;
}

/* ---- pci-attach ---- */

struct attach_options {
    bool dry_run, json, permissive, group;
};

static int take_attach_options(int argc, char **argv, struct attach_options *o)
{
    static const struct option options[] = {
        { "dry-run", no_argument, NULL, 'n' },
        { "json", no_argument, NULL, 'j' },
        { "permissive", no_argument, NULL, 'p' },
        { "group", no_argument, NULL, 'g' },
        { NULL, 0, NULL, 0 },
    };
    int option, status = XL_USAGE;

    while ((option = xl_getopt(argc, argv, "n", options, &status)) != -1) {
        switch (option) {
        case 'n':
            o->dry_run = true;
            break;
        case 'j':
            o->json = true;
            break;
        case 'p':
            o->permissive = true;
            break;
        case 'g':
            o->group = true;
            break;
        default:
            return status;
        }
    }
    return xl_arguments(argc, 2, 3) != 0 ? XL_USAGE : -1;
}

/* The control domain's driver must have let go: the hypervisor would take the function from under it. */
static int check_driver(const struct pci_spec *spec)
{
    char bdf[PCI_BDF_TEXT], driver[PCI_DRIVER_MAX];
    struct xenlite_pci_info info;

    pci_bdf_format(spec->sbdf, bdf);
    if (xenlite_pci_info(xl.xch, spec->sbdf, &info) != 0 || info.owner != 0 ||
        !pci_driver(spec->sbdf, driver) || driver[0] == '\0' || pci_driver_is_stub(driver)) {
        return 0;
    }
    return xl_error("%s is not assignable, because the control domain uses it with its driver %s: "
                    "make it so with "
                    "'xl-lite pci-assignable-add %s'",
                    bdf, driver, bdf);
}

static int attach(uint32_t domid, struct pci_spec *spec, const struct attach_options *o)
{
    struct json_object *answer;
    char *error = NULL;

    if (!(spec->seize && !o->dry_run) && check_driver(spec) != 0) {
        return XL_FAILED;
    }
    if (spec->seize && !o->dry_run && pci_make_assignable(spec->sbdf) != 0) {
        return XL_FAILED;
    }
    answer = pci_attach(domid, spec, o->dry_run, &error);
    if (answer == NULL) {
        if (error != NULL) {
            xl_error("%s", error);
        }
        free(error);
        return XL_FAILED;
    }
    if (o->json) {
        print_json(answer);
        return XL_OK;
    }
    if (o->dry_run) {
        printf("%s could be attached: slot %s, functions: %s. Nothing was done.\n",
               text_of(answer, "bdf"), text_of(answer, "slot"), text_of(answer, "functions"));
    }
    json_object_put(answer);
    return XL_OK;
}

int cmd_pci_attach(int argc, char **argv)
{
    struct attach_options o = { 0 };
    struct pci_spec spec = { 0 };
    char text[320], error[160];
    uint32_t domid;
    int status = take_attach_options(argc, argv, &o);

    if (status != -1) {
        return status;
    }
    /* xl's third argument is the slot. */
    snprintf(text, sizeof(text), "%.200s%s%.16s", argv[optind + 1],
             argc - optind > 2 ? ",vslot=" : "", argc - optind > 2 ? argv[optind + 2] : "");
    spec.permissive = o.permissive;
    if (pci_spec_parse(text, &spec, error, sizeof(error)) != 0) {
        xl_error("%s", error);
        return XL_FAILED;
    }
    spec.group = spec.group || o.group;
    if (xl_open() != 0 || xl_find_guest(argv[optind], &domid, "attach a device to") != 0) {
        return XL_FAILED;
    }
    return attach(domid, &spec, &o);
}

/* ---- pci-detach ---- */

static int wait_detached(struct dmd_client *client, const char *bdf)
{
    static const char *const ends[] = { "DEVICE_DELETED", "DEVICE_UNPLUG_GUEST_ERROR", NULL };
    struct json_object *event = dmd_wait(client, ends, bdf, DETACH_MS), *data;
    int status = XL_FAILED;

    if (event == NULL) {
        return XL_FAILED;
    }
    if (strcmp(text_of(event, "event"), ends[0]) == 0) {
        status = XL_OK;
    } else {
        json_object_object_get_ex(event, "data", &data);
        xl_error("%s is not detached: %s", bdf, text_of(data, "reason"));
    }
    json_object_put(event);
    return status;
}

static int detach(uint32_t domid, uint32_t sbdf, bool force)
{
    struct json_object *arguments = json_object_new_object(), *answer = NULL;
    struct dmd_client client;
    char bdf[PCI_BDF_TEXT], *error = NULL;
    int status = XL_FAILED;

    pci_bdf_format(sbdf, bdf);
    json_object_object_add(arguments, "domid", json_object_new_int((int)domid));
    json_object_object_add(arguments, "bdf", json_object_new_string(bdf));
    json_object_object_add(arguments, "force", json_object_new_boolean(force));
    if (dmd_open(&client) == 0) {
        answer = dmd_execute(&client, "device-del", arguments, DETACH_MS, &error);
    } else {
        json_object_put(arguments);
    }
    if (answer != NULL) {
        status =
            strcmp(text_of(answer, "waiting"), "true") == 0 ? wait_detached(&client, bdf) : XL_OK;
        json_object_put(answer);
    } else if (error != NULL) {
        xl_error("%s", error);
    }
    free(error);
    dmd_close(&client);
    return status;
}

int cmd_pci_detach(int argc, char **argv)
{
    static const struct option options[] = { { "force", no_argument, NULL, 'f' },
                                             { NULL, 0, NULL, 0 } };
    bool force = false;
    int option, status = XL_USAGE;
    uint32_t domid, sbdf;

    while ((option = xl_getopt(argc, argv, "f", options, &status)) != -1) {
        if (option != 'f') {
            return status;
        }
        force = true;
    }
    if (xl_arguments(argc, 2, 2) != 0) {
        return XL_USAGE;
    }
    if (take_bdf(argv[optind + 1], &sbdf) != 0 ||
        xl_find_guest(argv[optind], &domid, "detach a device from") != 0) {
        return XL_FAILED;
    }
    return detach(domid, sbdf, force);
}
