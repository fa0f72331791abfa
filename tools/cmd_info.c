/* SPDX-License-Identifier: MIT */
/*
 * xl-lite info, dmesg and uptime: what the hypervisor says about itself and the machine, and for
 * how long domains exist.
 */
#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>

#include "xl.h"

#define LOG_MAX (4u << 20) /* bytes of the hypervisor's log */

/* Lines of info: collected once, printed as text or JSON. */
struct lines {
    struct json_object *json;
    bool text;
};

static void line(struct lines *lines, const char *key, const char *value)
{
    if (lines->text) {
        printf("%-23s: %s\n", key, value);
    } else {
        json_object_object_add(lines->json, key, json_object_new_string(value));
    }
}

static void number(struct lines *lines, const char *key, uint64_t value)
{
    if (lines->text) {
        printf("%-23s: %" PRIu64 "\n", key, value);
    } else {
        json_object_object_add(lines->json, key, json_object_new_int64((int64_t)value));
    }
}

static void print_host(struct lines *lines)
{
    struct utsname name;

    if (uname(&name) == 0) {
        line(lines, "host", name.nodename);
        line(lines, "release", name.release);
        line(lines, "version", name.version);
        line(lines, "machine", name.machine);
    }
}

static void print_capabilities(struct lines *lines, const xc_physinfo_t *phys)
{
    static const struct {
        uint32_t bit;
        const char *name;
    } caps[] = {
        { XEN_SYSCTL_PHYSCAP_pv, "pv" },
        { XEN_SYSCTL_PHYSCAP_hvm, "hvm" },
        { XEN_SYSCTL_PHYSCAP_directio, "hvm_directio" },
        { XEN_SYSCTL_PHYSCAP_hap, "hap" },
        { XEN_SYSCTL_PHYSCAP_shadow, "shadow" },
        { XEN_SYSCTL_PHYSCAP_iommu_hap_pt_share, "iommu_hap_pt_share" },
        { XEN_SYSCTL_PHYSCAP_gnttab_v1, "gnttab-v1" },
        { XEN_SYSCTL_PHYSCAP_gnttab_v2, "gnttab-v2" },
    };
    char text[160] = "";
    size_t used = 0;

    for (size_t i = 0; i < sizeof(caps) / sizeof(caps[0]); i++) {
        if ((phys->capabilities & caps[i].bit) != 0) {
            used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%s", used != 0 ? " " : "",
                                     caps[i].name);
        }
    }
    line(lines, "virt_caps", text);
}

static int print_machine(struct lines *lines)
{
    xc_physinfo_t phys;
    char caps[9 * 8 + 1];
    size_t used = 0;

    if (xc_physinfo(xl.xch, &phys) != 0) {
        return xl_hv_error("cannot ask what the machine has");
    }
    number(lines, "nr_cpus", phys.nr_cpus);
    number(lines, "max_cpu_id", phys.max_cpu_id);
    number(lines, "nr_nodes", phys.nr_nodes);
    number(lines, "cores_per_socket", phys.cores_per_socket);
    number(lines, "threads_per_core", phys.threads_per_core);
    if (lines->text) {
        printf("%-23s: %u.%03u\n", "cpu_mhz", phys.cpu_khz / 1000, phys.cpu_khz % 1000);
    } else {
        number(lines, "cpu_khz", phys.cpu_khz);
    }
    for (int i = 0; i < 8; i++) {
        used += (size_t)snprintf(caps + used, sizeof(caps) - used, "%s%08x", i != 0 ? ":" : "",
                                 phys.hw_cap[i]);
    }
    line(lines, "hw_caps", caps);
    print_capabilities(lines, &phys);
    number(lines, "total_memory", phys.total_pages / (1048576 / XC_PAGE_SIZE));
    number(lines, "free_memory", phys.free_pages / (1048576 / XC_PAGE_SIZE));
    if (!lines->text) {
        number(lines, "free_memory_kb", phys.free_pages * (XC_PAGE_SIZE / 1024));
    }
    return 0;
}

static const char *scheduler_name(int id)
{
    switch (id) {
    case XEN_SCHEDULER_CREDIT:
        return "credit";
    case XEN_SCHEDULER_CREDIT2:
        return "credit2";
    case XEN_SCHEDULER_RTDS:
        return "rtds";
    case XEN_SCHEDULER_NULL:
        return "null";
    default:
        return "unknown";
    }
}

static int print_hypervisor(struct lines *lines)
{
    const int version = xc_version(xl.xch, XENVER_version, NULL);
    xen_extraversion_t extra = "";
    xen_capabilities_info_t caps = "";
    xen_changeset_info_t changes = "";
    xen_commandline_t command = "";
    xen_compile_info_t compiled = { .compiler = "" };
    xen_platform_parameters_t platform = { 0 };
    char text[64];
    int scheduler = -1;

    if (version < 0) {
        return xl_hv_error("cannot ask for the hypervisor's version");
    }
    xc_version(xl.xch, XENVER_extraversion, &extra);
    xc_version(xl.xch, XENVER_capabilities, &caps);
    xc_version(xl.xch, XENVER_changeset, &changes);
    xc_version(xl.xch, XENVER_commandline, &command);
    xc_version(xl.xch, XENVER_compile_info, &compiled);
    xc_version(xl.xch, XENVER_platform_parameters, &platform);
    xc_sched_id(xl.xch, &scheduler);
    number(lines, "xen_major", (unsigned)version >> 16);
    number(lines, "xen_minor", (unsigned)version & 0xffff);
    line(lines, "xen_extra", extra);
    snprintf(text, sizeof(text), "%u.%u%.16s", (unsigned)version >> 16, (unsigned)version & 0xffff,
             extra);
    line(lines, "xen_version", text);
    line(lines, "xen_caps", caps);
    line(lines, "xen_scheduler", scheduler_name(scheduler));
    number(lines, "xen_pagesize", XC_PAGE_SIZE);
    snprintf(text, sizeof(text), "virt_start=0x%lx", platform.virt_start);
    line(lines, "platform_params", text);
    line(lines, "xen_changeset", changes);
    line(lines, "xen_commandline", command);
    line(lines, "cc_compiler", compiled.compiler);
    line(lines, "cc_compile_by", compiled.compile_by);
    line(lines, "cc_compile_domain", compiled.compile_domain);
    line(lines, "cc_compile_date", compiled.compile_date);
    return 0;
}

int cmd_info(int argc, char **argv)
{
    static const struct option options[] = { { "json", no_argument, NULL, 'j' },
                                             { NULL, 0, NULL, 0 } };
    struct lines lines = { .text = true };
    int option, status = XL_USAGE;

    while ((option = xl_getopt(argc, argv, "", options, &status)) != -1) {
        if (option != 'j') {
            return status;
        }
        lines.text = false;
    }
    if (xl_arguments(argc, 0, 0) != 0) {
        return XL_USAGE;
    }
    if (xl_open() != 0) {
        return XL_FAILED;
    }
    lines.json = json_object_new_object();
    print_host(&lines);
    status = print_machine(&lines) == 0 && print_hypervisor(&lines) == 0 ? XL_OK : XL_FAILED;
    if (!lines.text && status == XL_OK) {
        puts(json_object_to_json_string_ext(lines.json, JSON_C_TO_STRING_PRETTY |
                                                            JSON_C_TO_STRING_NOSLASHESCAPE));
    }
    json_object_put(lines.json);
    return status;
}

/* The log goes round in the hypervisor: pieces are asked for until there is no more, so that a long
 * one comes whole. */
static int print_log(bool clear)
{
    unsigned size = 16384;
    char *buffer = malloc(LOG_MAX);
    unsigned total = 0;
    uint32_t index = 0;

    if (buffer == NULL) {
        return xl_error("out of memory");
    }
    do {
        unsigned count = LOG_MAX - total < size ? LOG_MAX - total : size;

        if (xc_readconsolering(xl.xch, buffer + total, &count, 0, 1, &index) != 0) {
            free(buffer);
            return xl_hv_error("cannot read the hypervisor's log");
        }
        if (count == 0) {
            break;
        }
        total += count;
    } while (total < LOG_MAX);
    fwrite(buffer, 1, total, stdout);
    free(buffer);
    if (clear) {
        char nothing[1];
        unsigned none = 0;

        if (xc_readconsolering(xl.xch, nothing, &none, 1, 0, NULL) != 0) {
            return xl_hv_error("cannot clear the hypervisor's log");
        }
    }
    return 0;
}

int cmd_dmesg(int argc, char **argv)
{
    static const struct option options[] = { { "clear", no_argument, NULL, 'c' },
                                             { NULL, 0, NULL, 0 } };
    int option, status = XL_USAGE;
    bool clear = false;

    while ((option = xl_getopt(argc, argv, "c", options, &status)) != -1) {
        if (option != 'c') {
            return status;
        }
        clear = true;
    }
    if (xl_arguments(argc, 0, 0) != 0) {
        return XL_USAGE;
    }
    return xl_open() == 0 && print_log(clear) == 0 ? XL_OK : XL_FAILED;
}

/* -------- uptime -------- */

static int64_t control_uptime(void)
{
    struct timespec now;

    return clock_gettime(CLOCK_BOOTTIME, &now) == 0 ? now.tv_sec : 0;
}

/* Seconds since the domain was created; -1 if nobody noted it. */
static int64_t uptime_of(const xc_domaininfo_t *info)
{
    struct guest_state state;
    int64_t up = -1;

    if (info->domain == 0) {
        return control_uptime();
    }
    if (xl_domain_state(info, &state) == 0 && state.created > 0) {
        up = (int64_t)time(NULL) - state.created;
        up = up < 0 ? 0 : up;
    }
    guest_state_free(&state);
    return up;
}

static void print_uptime(const xc_domaininfo_t *info, bool brief)
{
    char name[STATE_NAME_MAX + 1], days[32] = "", clock_text[16] = "unknown";
    const int64_t up = uptime_of(info);
    const time_t now = time(NULL);
    struct tm tm;

    xl_domain_name(info, name);
    if (up >= 86400) {
        snprintf(days, sizeof(days), "%" PRId64 " day%s, ", up / 86400, up >= 2 * 86400 ? "s" : "");
    }
    if (brief) {
        strftime(clock_text, sizeof(clock_text), "%H:%M:%S", localtime_r(&now, &tm));
        printf("%s up %s%2u:%02u, %s (%u)\n", clock_text, days, (unsigned)(up / 3600 % 24),
               (unsigned)(up / 60 % 60), name, info->domain);
        return;
    }
    if (up >= 0) {
        snprintf(clock_text, sizeof(clock_text), "%2u:%02u:%02u", (unsigned)(up / 3600 % 24),
                 (unsigned)(up / 60 % 60), (unsigned)(up % 60));
    }
    printf("%-32s %5u %s%s\n", name, info->domain, days, clock_text);
}

int cmd_uptime(int argc, char **argv)
{
    xc_domaininfo_t *list = NULL;
    int option, count, status = XL_USAGE;
    bool brief = false;

    while ((option = xl_getopt(argc, argv, "s", NULL, &status)) != -1) {
        if (option != 's') {
            return status;
        }
        brief = true;
    }
    if (xl_open() != 0) {
        return XL_FAILED;
    }
    if (!brief) {
        printf("%-32s %5s %s\n", "Name", "ID", "Uptime");
    }
    if (optind < argc) {
        for (int i = optind; i < argc; i++) {
            xc_domaininfo_t info;
            uint32_t domid;

            if (xl_find_domain(argv[i], &domid) != 0 || xl_domain_info(domid, &info) != 1) {
                return XL_FAILED;
            }
            print_uptime(&info, brief);
        }
        return XL_OK;
    }
    count = xl_domains(&list);
    for (int i = 0; i < count; i++) {
        print_uptime(&list[i], brief);
    }
    free(list);
    return count < 0 ? XL_FAILED : XL_OK;
}
