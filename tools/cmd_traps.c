/* SPDX-License-Identifier: MIT */
/*
 * xl-lite traps: who traps most, and the records of accesses as they happen.
 */
#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "traps.h"
#include "xl.h"

#define DEFAULT_TOP 20
#define POLL_MS     100

struct options {
    bool follow, json;
    struct trap_filter filter;
};

/* ---- following ---- */

static volatile sig_atomic_t stopped;

static void on_signal(int number)
{
    (void)number;
    stopped = 1;
}

static void show_record(struct trap_names *names, const struct xenlite_trap_record *rec, bool json)
{
    struct json_object *o;

    if (!json) {
        trap_record_print(names, rec);
        return;
    }
    o = trap_record_json(names, rec);
    puts(
        json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
    json_object_put(o);
}

/* Once through all rings. 0 or -1. *shown grows. */
static int follow_once(struct trap_names *names, const struct xenlite_trace_session *session,
                       const struct trap_filter *filter, bool json, unsigned *shown)
{
    struct xenlite_trap_record *rec;
    uint64_t lost;
    unsigned nr;

    if (xenlite_trace_read_all(xl.xch, session, &rec, &nr, &lost) != 0) {
        return -1;
    }
    for (unsigned i = 0; i < nr && (filter->top == 0 || *shown < filter->top); i++) {
        if (trap_record_wanted(filter, &rec[i])) {
            show_record(names, &rec[i], json);
            ++*shown;
        }
    }
    free(rec);
    if (lost != 0) {
        fprintf(stderr, "xl-lite: %" PRIu64 " records found the rings full\n", lost);
    }
    return fflush(stdout) == 0 ? 0 : -1;
}

int traps_follow(struct trap_names *names, const struct trap_filter *filter, bool json)
{
    const struct sigaction action = { .sa_handler = on_signal };
    const struct timespec pause = { .tv_nsec = POLL_MS * 1000000 };
    struct xenlite_trace_session session;
    unsigned shown = 0;
    int rc = 0;

    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGHUP, &action, NULL);
    if (xenlite_trace_start(xl.xch, &session) != 0) {
        if (errno == EBUSY) {
            xl_error("somebody listens to trap records already (xl-dmd does for its clients)");
        } else {
            xl_hv_error("cannot listen to trap records");
        }
        return XL_FAILED;
    }
    while (!stopped && rc == 0 && (filter->top == 0 || shown < filter->top)) {
        rc = follow_once(names, &session, filter, json, &shown);
        if (rc == 0) {
            nanosleep(&pause, NULL);
        }
    }
    if (rc != 0 && errno != EPIPE) {
        xl_hv_error("cannot read trap records");
    }
    xenlite_trace_stop(xl.xch, &session);
    return rc == 0 ? XL_OK : XL_FAILED;
}

/* ---- counters ---- */

static struct json_object *exits_json(uint32_t domid)
{
    struct json_object *o = json_object_new_object();
    struct xenlite_exit_count *list;
    unsigned nr;

    if (xenlite_exit_counts(xl.xch, domid, XENLITE_ALL_VCPUS, &list, &nr) == 0) {
        for (unsigned i = 0; i < nr; i++) {
            json_object_object_add(o, list[i].name, json_object_new_uint64(list[i].count));
        }
        free(list);
    }
    return o;
}

static struct json_object *refusals_json(const struct trap_names *names)
{
    struct json_object *array = json_object_new_array();

    for (unsigned i = 0; i < names->nr_rules; i++) {
        struct json_object *o;

        if (names->rule[i].count == 0) {
            continue;
        }
        o = json_object_new_object();
        json_object_object_add(o, "rule", json_object_new_string(names->rule[i].name));
        json_object_object_add(o, "sentence", json_object_new_string(names->rule[i].sentence));
        json_object_object_add(o, "count", json_object_new_uint64(names->rule[i].count));
        json_object_array_add(array, o);
    }
    return array;
}

static void print_json(const struct trap_rows *rows, const struct trap_names *names,
                       const uint32_t *domids, int count)
{
    struct json_object *o = json_object_new_object(), *exits = json_object_new_array();

    for (int i = 0; i < count; i++) {
        struct json_object *d = json_object_new_object();

        json_object_object_add(d, "domid", json_object_new_int64(domids[i]));
        json_object_object_add(d, "count", exits_json(domids[i]));
        json_object_array_add(exits, d);
    }
    json_object_object_add(o, "traps", trap_rows_json(rows));
    json_object_object_add(o, "exits", exits);
    json_object_object_add(o, "refusals", refusals_json(names));
    puts(json_object_to_json_string_ext(o,
                                        JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_NOSLASHESCAPE));
    json_object_put(o);
}

static void print_exits(uint32_t domid)
{
    struct xenlite_exit_count *list;
    unsigned nr;

    if (xenlite_exit_counts(xl.xch, domid, XENLITE_ALL_VCPUS, &list, &nr) != 0) {
        return;
    }
    printf("Exits of domain %u:", domid);
    for (unsigned i = 0; i < nr; i++) {
        printf("%s %s %" PRIu64, i != 0 ? "," : "", list[i].name, list[i].count);
    }
    putchar('\n');
    free(list);
}

static void print_table(const struct trap_rows *rows, const struct trap_names *names,
                        const uint32_t *domids, int count)
{
    trap_rows_print(rows);
    putchar('\n');
    for (int i = 0; i < count; i++) {
        print_exits(domids[i]);
    }
    for (unsigned i = 0; i < names->nr_rules; i++) {
        if (names->rule[i].count != 0) {
            printf("Refused %" PRIu64 " times: %s: %s\n", names->rule[i].count, names->rule[i].name,
                   names->rule[i].sentence);
        }
    }
}

static int show_counters(struct trap_names *names, const struct options *options,
                         const uint32_t *domids, int count)
{
    struct trap_filter filter = options->filter;
    struct trap_rows rows = { NULL, 0, 0 };
    int rc = 0;

    for (int i = 0; i < count && rc == 0; i++) {
        rc = trap_rows_gather(&rows, names, domids[i]);
        /* It may have gone since domains were listed. */
        if (rc != 0 && errno == ESRCH && !filter.has_domain) {
            rc = 0;
        }
    }
    if (rc != 0) {
        xl_hv_error("cannot read trap counters");
    } else {
        if (filter.top == 0 && !options->json) {
            filter.top = DEFAULT_TOP;
        }
        trap_rows_select(&rows, &filter);
        if (options->json) {
            print_json(&rows, names, domids, count);
        } else {
            print_table(&rows, names, domids, count);
        }
    }
    trap_rows_free(&rows);
    return rc == 0 ? XL_OK : XL_FAILED;
}

/* The domain named, or all. The caller frees. Returns their number or -1. */
static int pick_domids(const struct options *options, uint32_t **domids)
{
    xc_domaininfo_t *list = NULL;
    int count = 1;

    if (!options->filter.has_domain) {
        count = xl_domains(&list);
    }
    *domids = count > 0 ? calloc((size_t)count, sizeof(**domids)) : NULL;
    if (*domids == NULL) {
        free(list);
        return -1;
    }
    for (int i = 0; i < count; i++) {
        (*domids)[i] = list != NULL ? list[i].domain : options->filter.domid;
    }
    free(list);
    return count;
}

/* ---- arguments ---- */

static int parse(int argc, char **argv, struct options *o, int *status)
{
    static const struct option options[] = {
        { "follow", no_argument, NULL, 'f' },     { "device", required_argument, NULL, 'd' },
        { "kind", required_argument, NULL, 'k' }, { "json", no_argument, NULL, 'j' },
        { "top", required_argument, NULL, 'n' },  { NULL, 0, NULL, 0 }
    };
    uint64_t number = 0;
    int option;

    *status = XL_USAGE;
    while ((option = xl_getopt(argc, argv, "fd:k:n:", options, status)) != -1) {
        if (option == 'f') {
            o->follow = true;
        } else if (option == 'j') {
            o->json = true;
        } else if (option == 'd') {
            o->filter.has_device = true;
            if (bdf_parse(optarg, &o->filter.sbdf) != 0) {
                return xl_error("'%s' is no device address such as 0000:00:05.0", optarg);
            }
        } else if (option == 'k') {
            o->filter.has_kind = true;
            if (trap_kind_parse(optarg, &o->filter.kind) != 0) {
                return xl_error("'%s' is no kind of trap: mmio, port, config, msi-x, denial, "
                                "decision",
                                optarg);
            }
        } else if (option == 'n') {
            if (xl_number(optarg, 1000000, &number) != 0 || number == 0) {
                return xl_error("'%s' is no number of rows", optarg);
            }
            o->filter.top = (unsigned)number;
        } else {
            return -1;
        }
    }
    return xl_arguments(argc, 0, 1) == 0 ? 0 : -1;
}

int cmd_traps(int argc, char **argv)
{
    struct options options = { .follow = false };
    struct trap_names names;
    uint32_t *domids = NULL;
    int count, status;

    if (parse(argc, argv, &options, &status) != 0) {
        return status;
    }
    if (xl_open() != 0) {
        return XL_FAILED;
    }
    if (optind < argc) {
        options.filter.has_domain = true;
        if (xl_find_domain(argv[optind], &options.filter.domid) != 0) {
            return XL_FAILED;
        }
    }
    status = XL_FAILED;
    if (trap_names_init(&names, xl.xch) != 0) {
        xl_hv_error("cannot read the names of traps");
    } else if (options.follow) {
        status = traps_follow(&names, &options.filter, options.json);
    } else {
        count = pick_domids(&options, &domids);
        if (count > 0) {
            status = show_counters(&names, &options, domids, count);
        }
    }
    free(domids);
    trap_names_free(&names);
    return status;
}
