/* SPDX-License-Identifier: MIT */
/* The control socket's commands about traps: counters, records, listening. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "dm/dmd.h"
#include "dm/hv.h"
#include "dm/hv_server.h"
#include "dm/json.h"
#include "dm/tracing.h"
#include "libs/xenlite.h"

#define SECONDS      60 /* that a trace runs, if nothing else is said */
#define SECONDS_MAX  3600
#define RECORDS      100
#define KINDS        6 /* XENLITE_TRAP_* */
#define DISPOSITIONS 6

/* ---- query-traps ---- */

static void add_regions(struct json_object *object, xc_interface *xc, uint32_t domid)
{
    struct json_object *array = json_object_new_array();
    struct xenlite_trap_region *list;
    unsigned nr;

    if (!xenlite_trap_regions(xc, domid, &list, &nr)) {
        for (unsigned i = 0; i < nr; i++) {
            struct json_object *region = json_object_new_object();

            add_string(region, "name", list[i].name);
            add_string(region, "kind", xenlite_kind_name(list[i].kind));
            add_hex(region, "first", list[i].first);
            add_hex(region, "last", list[i].last);
            add_number(region, "reads", list[i].reads);
            add_number(region, "writes", list[i].writes);
            add_number(region, "denied", list[i].denied);
            add_number(region, "dropped", list[i].dropped);
            add_number(region, "forwarded", list[i].forwarded);
            json_object_array_add(array, region);
        }
        free(list);
    }
    json_object_object_add(object, "regions", array);
}

static struct json_object *describe_registers(xc_interface *xc, uint32_t domid,
                                              const struct xenlite_trap_function *f)
{
    struct json_object *array = json_object_new_array();
    struct xenlite_capability *caps = NULL;
    struct xenlite_trap_register *list;
    unsigned nr, nr_caps = 0;

    if (xenlite_trap_registers(xc, domid, f->sbdf, &list, &nr))
        return array;
    if (f->hw_sbdf == XENLITE_NO_DEVICE || xenlite_capabilities(xc, f->hw_sbdf, &caps, &nr_caps))
        nr_caps = 0;
    for (unsigned i = 0; i < nr; i++) {
        struct json_object *reg = json_object_new_object();
        char name[XENLITE_NAME_MAX];

        if (list[i].space == XENLITE_SPACE_MSIX)
            xenlite_msix_name(list[i].offset, name);
        else
            xenlite_config_name(caps, nr_caps, 0, list[i].offset, name);
        add_string(reg, "name", name);
        add_hex(reg, "offset", list[i].offset);
        add_string(reg, "space", list[i].space == XENLITE_SPACE_MSIX ? "msix" : "config");
        add_bool(reg, "emulated", list[i].managed);
        add_number(reg, "reads", list[i].reads);
        add_number(reg, "writes", list[i].writes);
        json_object_array_add(array, reg);
    }
    free(caps);
    free(list);
    return array;
}

static void add_functions(struct json_object *object, xc_interface *xc, uint32_t domid)
{
    struct json_object *array = json_object_new_array();
    struct xenlite_trap_function *list;
    unsigned nr;

    if (!xenlite_trap_functions(xc, domid, &list, &nr)) {
        for (unsigned i = 0; i < nr; i++) {
            struct json_object *f = json_object_new_object();

            add_bdf(f, "guest-bdf", list[i].sbdf);
            if (list[i].hw_sbdf != XENLITE_NO_DEVICE)
                add_bdf(f, "bdf", list[i].hw_sbdf);
            add_number(f, "config-reads", list[i].reads);
            add_number(f, "config-writes", list[i].writes);
            add_number(f, "config-denied", list[i].denied);
            add_number(f, "msi-binds", list[i].msi_binds);
            add_number(f, "msix-reads", list[i].msix_reads);
            add_number(f, "msix-writes", list[i].msix_writes);
            add_number(f, "msix-mask-writes", list[i].msix_mask_writes);
            add_number(f, "msix-binds", list[i].msix_binds);
            add_number(f, "neighbour-reads", list[i].neighbour_reads);
            add_number(f, "neighbour-writes", list[i].neighbour_writes);
            json_object_object_add(f, "registers", describe_registers(xc, domid, &list[i]));
            json_object_array_add(array, f);
        }
        free(list);
    }
    json_object_object_add(object, "functions", array);
}

static void add_exits(struct json_object *object, xc_interface *xc, uint32_t domid)
{
    struct json_object *array = json_object_new_array();
    struct xenlite_exit_count *list;
    unsigned nr;

    if (!xenlite_exit_counts(xc, domid, XENLITE_ALL_VCPUS, &list, &nr)) {
        for (unsigned i = 0; i < nr; i++) {
            struct json_object *entry = json_object_new_object();

            add_string(entry, "name", list[i].name);
            add_number(entry, "count", list[i].count);
            json_object_array_add(array, entry);
        }
        free(list);
    }
    json_object_object_add(object, "exits", array);
}

static struct json_object *describe_traps(xc_interface *xc, uint32_t domid)
{
    struct json_object *object = json_object_new_object();

    add_number(object, "domid", domid);
    add_regions(object, xc, domid);
    add_functions(object, xc, domid);
    add_exits(object, xc, domid);
    return object;
}

struct json_object *cmd_query_traps(void *context, struct json_object *arguments,
                                    struct qmp_error *error)
{
    struct dmd *dmd = context;
    xc_interface *xc = hv_xc(dmd->hv);
    struct xenlite_trap_region *probe;
    struct json_object *array;
    struct hv_domain *list;
    int domid, n;
    unsigned nr;

    if (!take_domid(arguments, &domid, error))
        return NULL;
    /* An unknown domain, and a hypervisor without the call, are errors; a list that changes meanwhile is not. */
    if (xenlite_trap_regions(xc, domid < 0 ? 0 : (uint32_t)domid, &probe, &nr))
        return hv_failed("the counters of traps cannot be read", error);
    free(probe);
    array = json_object_new_array();
    if (domid >= 0) {
        json_object_array_add(array, describe_traps(xc, (uint32_t)domid));
        return array;
    }
    n = hv_list(dmd->hv, &list);
    for (int i = 0; i < n; i++)
        json_object_array_add(array, describe_traps(xc, list[i].domid));
    if (n >= 0)
        free(list);
    return array;
}

/* ---- records ---- */

static bool take_name(struct json_object *arguments, const char *key,
                      const char *(*name_of)(unsigned), int nr, int *out, struct qmp_error *error)
{
    const char *text;

    *out = -1;
    if (!take_string(arguments, key, &text, error))
        return false;
    for (int i = 0; text && i < nr; i++)
        if (!strcmp(text, name_of((unsigned)i)))
            *out = i;
    if (!text || *out >= 0)
        return true;
    qmp_set_error(error, NULL, "there is no %s '%.40s'", key, text);
    return false;
}

static bool take_filter(struct json_object *arguments, struct trap_filter *filter,
                        struct qmp_error *error)
{
    memset(filter, 0, sizeof(*filter));
    return take_domid(arguments, &filter->domid, error) &&
           take_bdf(arguments, &filter->sbdf, &filter->has_bdf, error) &&
           take_name(arguments, "kind", xenlite_kind_name, KINDS, &filter->kind, error) &&
           take_name(arguments, "disposition", xenlite_disposition_name, DISPOSITIONS,
                     &filter->disposition, error);
}

/* The newest `limit` that match, oldest first. */
static struct json_object *choose(struct dmd *dmd, const struct xenlite_trap_record *records,
                                  unsigned nr, const struct trap_filter *filter, unsigned limit)
{
    struct json_object *array = json_object_new_array();
    struct xenlite_handler *handlers = NULL;
    struct xenlite_rule *rules = NULL;
    unsigned nr_handlers = 0, nr_rules = 0, matching = 0;

    if (xenlite_handlers(hv_xc(dmd->hv), &handlers, &nr_handlers))
        nr_handlers = 0;
    if (xenlite_rules(hv_xc(dmd->hv), &rules, &nr_rules))
        nr_rules = 0;
    for (unsigned i = 0; i < nr; i++)
        matching += trap_matches(filter, &records[i]);
    for (unsigned i = 0; i < nr; i++)
        if (trap_matches(filter, &records[i]) && matching-- <= limit)
            json_object_array_add(
                array, describe_record(dmd, &records[i], handlers, nr_handlers, rules, nr_rules));
    free(handlers);
    free(rules);
    return array;
}

struct json_object *cmd_query_trap_records(void *context, struct json_object *arguments,
                                           struct qmp_error *error)
{
    struct dmd *dmd = context;
    const struct xenlite_trap_record *kept;
    struct xenlite_trap_record *denials;
    struct json_object *object;
    struct trap_filter filter;
    uint64_t limit = RECORDS;
    unsigned nr;

    if (!take_filter(arguments, &filter, error) ||
        !take_number(arguments, "limit", TRACING_KEEP, &limit, error))
        return NULL;
    if (xenlite_denials(hv_xc(dmd->hv), &denials, &nr))
        return hv_failed("the refusals cannot be read", error);
    object = json_object_new_object();
    json_object_object_add(object, "refusals", choose(dmd, denials, nr, &filter, (unsigned)limit));
    free(denials);
    kept = tracing_kept(dmd->tracing, &nr);
    json_object_object_add(object, "records", choose(dmd, kept, nr, &filter, (unsigned)limit));
    add_bool(object, "tracing", tracing_runs(dmd->tracing));
    return object;
}

struct json_object *cmd_trap_trace_start(void *context, struct json_object *arguments,
                                         struct qmp_error *error)
{
    struct dmd *dmd = context;
    struct trap_filter filter;
    uint64_t seconds = SECONDS;
    struct json_object *answer;

    if (!take_filter(arguments, &filter, error) ||
        !take_number(arguments, "seconds", SECONDS_MAX, &seconds, error))
        return NULL;
    if (!seconds) {
        qmp_set_error(error, NULL, "'seconds' is at least 1");
        return NULL;
    }
    if (!tracing_start(dmd->tracing, &filter, (unsigned)seconds, error))
        return NULL;
    answer = json_object_new_object();
    add_number(answer, "seconds", seconds);
    return answer;
}

struct json_object *cmd_trap_trace_stop(void *context, struct json_object *arguments,
                                        struct qmp_error *error)
{
    struct dmd *dmd = context;
    struct json_object *answer;
    int64_t told;

    (void)arguments;
    told = tracing_stop(dmd->tracing);
    if (told < 0) {
        qmp_set_error(error, NULL, "nobody listens to trap records");
        return NULL;
    }
    answer = json_object_new_object();
    add_number(answer, "records", (uint64_t)told);
    return answer;
}
