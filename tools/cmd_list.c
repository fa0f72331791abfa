/* SPDX-License-Identifier: MIT */
/*
 * xl-lite list and vcpu-list: tables with xl's columns, and JSON.
 */
#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cpus.h"
#include "uuid.h"
#include "../libs/xenlite_sched.h"
#include "xl.h"

/* Six letters as xl prints them: running, blocked, paused, shut down, crashed, dying. */
static void state_letters(const xc_domaininfo_t *info, char out[7])
{
    const bool down = (info->flags & XEN_DOMINF_shutdown) != 0;

    out[0] = (info->flags & XEN_DOMINF_running) != 0 ? 'r' : '-';
    out[1] = (info->flags & XEN_DOMINF_blocked) != 0 ? 'b' : '-';
    out[2] = (info->flags & XEN_DOMINF_paused) != 0 ? 'p' : '-';
    out[3] = down ? 's' : '-';
    out[4] = down && xl_shutdown_reason(info) == SHUTDOWN_crash ? 'c' : '-';
    out[5] = (info->flags & XEN_DOMINF_dying) != 0 ? 'd' : '-';
    out[6] = '\0';
}

static uint64_t memory_mb(const xc_domaininfo_t *info)
{
    return (info->tot_pages + info->outstanding_pages) * (XC_PAGE_SIZE / 1024) / 1024;
}

static struct json_object *domain_json(const xc_domaininfo_t *info)
{
    struct json_object *o = json_object_new_object();
    char name[STATE_NAME_MAX + 1], letters[7], uuid[37];

    xl_domain_name(info, name);
    state_letters(info, letters);
    uuid_format(info->handle, uuid);
    json_object_object_add(o, "domid", json_object_new_int64(info->domain));
    json_object_object_add(o, "name", json_object_new_string(name));
    json_object_object_add(o, "uuid", json_object_new_string(uuid));
    json_object_object_add(o, "memory_mb", json_object_new_int64((int64_t)memory_mb(info)));
    json_object_object_add(o, "vcpus", json_object_new_int64(info->nr_online_vcpus));
    json_object_object_add(o, "state", json_object_new_string(letters));
    json_object_object_add(o, "cpu_time_ns", json_object_new_int64((int64_t)info->cpu_time));
    if ((info->flags & XEN_DOMINF_shutdown) != 0) {
        json_object_object_add(o, "shutdown_reason",
                               json_object_new_int64(xl_shutdown_reason(info)));
    }
    return o;
}

/* The long form: everything the hypervisor says, and how the guest was configured. */
static struct json_object *long_json(const xc_domaininfo_t *info)
{
    struct json_object *o = domain_json(info), *config = json_object_new_object();
    struct guest_state state;

    json_object_object_add(o, "pages", json_object_new_int64((int64_t)info->tot_pages));
    json_object_object_add(o, "max_pages", json_object_new_int64((int64_t)info->max_pages));
    json_object_object_add(o, "max_vcpu_id", json_object_new_int64(info->max_vcpu_id));
    json_object_object_add(o, "flags", json_object_new_int64(info->flags));
    json_object_object_add(o, "cpupool", json_object_new_int64(info->cpupool));
    if (info->domain != 0 && xl_domain_state(info, &state) == 0) {
        json_object_object_add(config, "file",
                               state.config_file != NULL ? json_object_new_string(state.config_file)
                                                         : NULL);
        json_object_object_add(config, "text",
                               state.config != NULL ? json_object_new_string(state.config) : NULL);
        json_object_object_add(config, "on_poweroff", json_object_new_string(state.on_poweroff));
        json_object_object_add(config, "on_reboot", json_object_new_string(state.on_reboot));
        json_object_object_add(config, "on_crash", json_object_new_string(state.on_crash));
        json_object_object_add(o, "created", json_object_new_int64(state.created));
        json_object_object_add(o, "console_port", json_object_new_int64(state.console_port));
        json_object_object_add(o, "console_gfn", json_object_new_int64((int64_t)state.console_gfn));
        json_object_object_add(o, "store", json_object_new_boolean(state.store));
    }
    if (info->domain != 0) {
        guest_state_free(&state);
    }
    json_object_object_add(o, "config", config);
    return o;
}

static void print_json(struct json_object *o)
{
    puts(json_object_to_json_string_ext(o,
                                        JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_NOSLASHESCAPE));
    json_object_put(o);
}

static void print_row(const xc_domaininfo_t *info, bool verbose)
{
    char name[STATE_NAME_MAX + 1], letters[7], uuid[37];

    xl_domain_name(info, name);
    state_letters(info, letters);
    printf("%-40s %5u %5" PRIu64 " %5u     %s  %8.1f", name[0] != '\0' ? name : "(null)",
           info->domain, memory_mb(info), info->nr_online_vcpus, letters,
           (double)info->cpu_time / 1e9);
    if (verbose) {
        uuid_format(info->handle, uuid);
        printf(" %s", uuid);
        if ((info->flags & XEN_DOMINF_shutdown) != 0) {
            printf(" %8u", xl_shutdown_reason(info));
        } else {
            printf(" %8s", "-");
        }
    }
    putchar('\n');
}

static void print_table(const xc_domaininfo_t *list, int count, bool verbose)
{
    printf("Name                                        ID   Mem VCPUs\tState\tTime(s)");
    if (verbose) {
        printf("   UUID                            Reason-Code");
    }
    putchar('\n');
    for (int i = 0; i < count; i++) {
        print_row(&list[i], verbose);
    }
}

/* All domains, or the one that argument names. */
static int pick_domains(const char *argument, xc_domaininfo_t **list)
{
    uint32_t domid;

    if (argument == NULL) {
        return xl_open() == 0 ? xl_domains(list) : -1;
    }
    if (xl_find_domain(argument, &domid) != 0) {
        return -1;
    }
    *list = calloc(1, sizeof(**list));
    if (*list == NULL) {
        return xl_error("out of memory");
    }
    if (xl_domain_info(domid, *list) != 1) {
        free(*list);
        return xl_error("domain %u has gone", domid);
    }
    return 1;
}

int cmd_list(int argc, char **argv)
{
    static const struct option options[] = {
        { "long", no_argument, NULL, 'l' },
        { "verbose", no_argument, NULL, 'v' },
        { "json", no_argument, NULL, 'j' },
        { NULL, 0, NULL, 0 },
    };
    bool verbose = false, details = false, json = false;
    xc_domaininfo_t *list = NULL;
    int option, count, status = XL_USAGE;

    while ((option = xl_getopt(argc, argv, "lv", options, &status)) != -1) {
        switch (option) {
        case 'l':
            details = true;
            break;
        case 'v':
            verbose = true;
            break;
        case 'j':
            json = true;
            break;
        default:
            return status;
        }
    }
    if (xl_arguments(argc, 0, 1) != 0) {
        return XL_USAGE;
    }
    count = pick_domains(argv[optind], &list);
    if (count < 0) {
        return XL_FAILED;
    }
    if (json || details) {
        struct json_object *array = json_object_new_array();

        for (int i = 0; i < count; i++) {
            json_object_array_add(array, details ? long_json(&list[i]) : domain_json(&list[i]));
        }
        print_json(array);
    } else {
        print_table(list, count, verbose);
    }
    free(list);
    return XL_OK;
}

/* -------- vcpu-list -------- */

struct vcpu_row {
    char name[STATE_NAME_MAX + 1], cpu[12], state[4], hard[256], soft[256];
    unsigned domid, vcpu;
    uint64_t time_ns;
    bool has_sched; /* xen-lite's own counters are there */
    struct xenlite_sched_vcpu sched;
};

static void format_map(xc_cpumap_t map, int cpus, char *out, size_t size)
{
    struct cpu_set set = { { 0 } };

    for (int i = 0; i < cpus && i < CPU_SET_MAX; i++) {
        if (xc_cpumap_testcpu(i, map) != 0) {
            cpu_set_add(&set, (unsigned)i);
        }
    }
    cpu_set_format(&set, (unsigned)cpus, out, size);
    if (out[0] == '\0') {
        snprintf(out, size, "none");
    }
}

static int read_vcpu(const xc_domaininfo_t *info, unsigned vcpu, int cpus, struct vcpu_row *row)
{
    xc_cpumap_t hard = xc_cpumap_alloc(xl.xch), soft = xc_cpumap_alloc(xl.xch);
    xc_vcpuinfo_t v;
    int rc = -1;

    memset(row, 0, sizeof(*row));
    if (hard != NULL && soft != NULL && xc_vcpu_getinfo(xl.xch, info->domain, vcpu, &v) == 0 &&
        xc_vcpu_getaffinity(xl.xch, info->domain, (int)vcpu, hard, soft,
                            XEN_VCPUAFFINITY_HARD | XEN_VCPUAFFINITY_SOFT) == 0) {
        xl_domain_name(info, row->name);
        row->domid = info->domain;
        row->vcpu = vcpu;
        row->time_ns = v.cpu_time;
        if (v.online != 0) {
            snprintf(row->cpu, sizeof(row->cpu), "%u", v.cpu);
            snprintf(row->state, sizeof(row->state), "%c%c-", v.running != 0 ? 'r' : '-',
                     v.blocked != 0 ? 'b' : '-');
        } else {
            strcpy(row->cpu, "-");
            strcpy(row->state, "--p");
        }
        format_map(hard, cpus, row->hard, sizeof(row->hard));
        format_map(soft, cpus, row->soft, sizeof(row->soft));
        row->has_sched = xenlite_sched_get_vcpu(xl.xch, info->domain, vcpu, &row->sched) == 0;
        rc = 0;
    }
    free(hard);
    free(soft);
    return rc == 0 ? 0 : xl_hv_error("vCPU %u of domain %u", vcpu, info->domain);
}

static struct json_object *vcpu_json(const struct vcpu_row *row)
{
    struct json_object *o = json_object_new_object();

    json_object_object_add(o, "name", json_object_new_string(row->name));
    json_object_object_add(o, "domid", json_object_new_int64(row->domid));
    json_object_object_add(o, "vcpu", json_object_new_int64(row->vcpu));
    json_object_object_add(o, "cpu",
                           row->cpu[0] == '-' ? NULL : json_object_new_int64(atoi(row->cpu)));
    json_object_object_add(o, "state", json_object_new_string(row->state));
    json_object_object_add(o, "cpu_time_ns", json_object_new_int64((int64_t)row->time_ns));
    json_object_object_add(o, "hard_affinity", json_object_new_string(row->hard));
    json_object_object_add(o, "soft_affinity", json_object_new_string(row->soft));
    if (row->has_sched) {
        json_object_object_add(o, "dedicated", json_object_new_boolean(row->sched.dedicated != 0));
        json_object_object_add(o, "scheduled", json_object_new_int64((int64_t)row->sched.runs));
        json_object_object_add(o, "interruptions",
                               json_object_new_int64((int64_t)row->sched.interruptions));
        json_object_object_add(o, "slices", json_object_new_int64((int64_t)row->sched.slices));
        json_object_object_add(o, "migrations",
                               json_object_new_int64((int64_t)row->sched.migrations));
    }
    return o;
}

static int list_vcpus(const xc_domaininfo_t *info, int cpus, struct json_object *array)
{
    for (unsigned vcpu = 0; vcpu <= info->max_vcpu_id; vcpu++) {
        struct vcpu_row row;

        if (read_vcpu(info, vcpu, cpus, &row) != 0) {
            return -1;
        }
        if (array != NULL) {
            json_object_array_add(array, vcpu_json(&row));
        } else {
            printf("%-32s %5u %5u %5s   %s %9.1f  %s / %s\n", row.name, row.domid, row.vcpu,
                   row.cpu, row.state, (double)row.time_ns / 1e9, row.hard, row.soft);
        }
    }
    return 0;
}

/* The domains that arguments name, one after the other; all without arguments. */
static int list_vcpus_of(int argc, char **argv, int cpus, struct json_object *array)
{
    int at = optind;

    do {
        xc_domaininfo_t *list = NULL;
        const int count = pick_domains(at < argc ? argv[at] : NULL, &list);
        int rc = count < 0 ? -1 : 0;

        for (int i = 0; i < count && rc == 0; i++) {
            rc = list_vcpus(&list[i], cpus, array);
        }
        free(list);
        if (rc != 0) {
            return -1;
        }
    } while (++at < argc);
    return 0;
}

int cmd_vcpu_list(int argc, char **argv)
{
    static const struct option options[] = { { "json", no_argument, NULL, 'j' },
                                             { NULL, 0, NULL, 0 } };
    struct json_object *array = NULL;
    int option, rc, status = XL_USAGE;
    xc_physinfo_t phys;

    while ((option = xl_getopt(argc, argv, "", options, &status)) != -1) {
        if (option != 'j') {
            return status;
        }
        array = json_object_new_array();
    }
    if (xl_open() != 0) {
        return XL_FAILED;
    }
    if (xc_physinfo(xl.xch, &phys) != 0) {
        xl_hv_error("cannot ask how many CPUs there are");
        return XL_FAILED;
    }
    if (array == NULL) {
        printf("%-32s %5s %5s %5s %5s %9s %s\n", "Name", "ID", "VCPU", "CPU", "State", "Time(s)",
               "Affinity (Hard / Soft)");
    }
    rc = list_vcpus_of(argc, argv, (int)phys.max_cpu_id + 1, array);
    if (array != NULL && rc == 0) {
        print_json(array);
    }
    return rc == 0 ? XL_OK : XL_FAILED;
}
