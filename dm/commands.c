/* SPDX-License-Identifier: MIT */
/* The commands of the control socket. dm/schema.json describes each; a test holds the two together. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "dm/console.h"
#include "dm/dmd.h"
#include "dm/domains.h"
#include "dm/hv.h"
#include "dm/json.h"
#include "dm/qmp.h"

static const char *state_name(const struct hv_domain *info)
{
    if (info->dying)
        return "dying";
    if (info->shutdown)
        return "shutdown";
    if (info->paused)
        return "paused";
    return info->running ? "running" : "blocked";
}

static struct json_object *describe_domain(struct dmd *dmd, const struct hv_domain *info)
{
    const struct domain *domain = dmd_find(dmd, info->domid);
    struct json_object *object = json_object_new_object();
    char uuid[37];

    format_uuid(uuid, info->uuid);
    add_number(object, "domid", info->domid);
    if (domain && !memcmp(domain->handle, info->uuid, sizeof(domain->handle)))
        add_string(object, "name", domain->name);
    else if (!info->domid)
        add_string(object, "name", "Domain-0");
    add_string(object, "uuid", uuid);
    add_string(object, "state", state_name(info));
    if (info->shutdown)
        add_string(object, "shutdown-reason", shutdown_reason_name(info->shutdown_reason));
    add_number(object, "vcpus", info->vcpus);
    add_number(object, "memory-kib", info->memory_kib);
    add_number(object, "max-memory-kib", info->max_memory_kib);
    add_number(object, "cpu-time-ns", info->cpu_ns);
    return object;
}

static struct json_object *not_found(int domid, struct qmp_error *error)
{
    qmp_set_error(error, "DeviceNotFound", "There is no domain %d", domid);
    return NULL;
}

static struct json_object *query_domains(void *context, struct json_object *arguments,
                                         struct qmp_error *error)
{
    struct dmd *dmd = context;
    struct hv_domain *list;
    struct json_object *array;
    int domid, n;

    if (!take_domid(arguments, &domid, error))
        return NULL;
    n = hv_list(dmd->hv, &list);
    if (n < 0) {
        qmp_set_error(error, NULL, "The hypervisor's list of domains cannot be read: %s",
                      strerror(errno));
        return NULL;
    }
    array = json_object_new_array();
    for (int i = 0; i < n; i++)
        if (domid < 0 || list[i].domid == domid)
            json_object_array_add(array, describe_domain(dmd, &list[i]));
    free(list);
    if (domid < 0 || json_object_array_length(array))
        return array;
    json_object_put(array);
    return not_found(domid, error);
}

static struct json_object *describe_console(const struct domain *domain)
{
    static const char *const states[] = {
        [CONSOLE_WAITING] = "waiting",
        [CONSOLE_ATTACHED] = "attached",
        [CONSOLE_BROKEN] = "broken",
    };
    struct json_object *object = json_object_new_object();
    struct console_info info;

    console_info(domain->console, &info);
    add_number(object, "domid", domain->domid);
    add_string(object, "name", domain->name);
    add_string(object, "state", states[info.state]);
    if (info.state != CONSOLE_ATTACHED)
        add_string(object, "reason", info.reason);
    if (info.pty[0])
        add_string(object, "pty", info.pty);
    if (info.socket[0])
        add_string(object, "socket", info.socket);
    if (info.log[0])
        add_string(object, "log", info.log);
    add_number(object, "port", info.port);
    add_number(object, "clients", info.clients);
    add_number(object, "output-bytes", info.output_bytes);
    add_number(object, "input-bytes", info.input_bytes);
    add_number(object, "skipped-bytes", info.skipped_bytes);
    add_number(object, "log-lost-bytes", info.log_lost_bytes);
    return object;
}

static struct json_object *query_consoles(void *context, struct json_object *arguments,
                                          struct qmp_error *error)
{
    struct dmd *dmd = context;
    struct json_object *array;
    struct domain *domain;
    int domid;

    if (!take_domid(arguments, &domid, error))
        return NULL;
    array = json_object_new_array();
    LIST_FOREACH(domain, &dmd->domains, link)
    if (domid < 0 || domain->domid == domid)
        json_object_array_add(array, describe_console(domain));
    if (domid < 0 || json_object_array_length(array))
        return array;
    json_object_put(array);
    return not_found(domid, error);
}

static struct json_object *query_version(void *context, struct json_object *arguments,
                                         struct qmp_error *error)
{
    struct dmd *dmd = context;
    struct json_object *version;
    char hypervisor[64];

    (void)arguments;
    if (hv_version(dmd->hv, hypervisor, sizeof(hypervisor))) {
        qmp_set_error(error, NULL, "The hypervisor does not tell its version: %s", strerror(errno));
        return NULL;
    }
    version = qmp_version();
    add_string(version, "hypervisor", hypervisor);
    return version;
}

static void add_command(struct json_object *array, const char *name)
{
    struct json_object *object = json_object_new_object();

    add_string(object, "name", name);
    json_object_array_add(array, object);
}

static struct json_object *query_commands(void *context, struct json_object *arguments,
                                          struct qmp_error *error)
{
    struct json_object *array = json_object_new_array();

    (void)context;
    (void)arguments;
    (void)error;
    add_command(array, "qmp_capabilities"); /* the session's own */
    for (const struct qmp_command *command = dmd_commands; command->name; command++)
        add_command(array, command->name);
    return array;
}

static struct json_object *quit(void *context, struct json_object *arguments,
                                struct qmp_error *error)
{
    (void)arguments;
    (void)error;
    dmd_stop(context);
    return json_object_new_object();
}

static const char *const no_arguments[] = { NULL };
static const char *const domid_only[] = { "domid", NULL };
static const char *const device_add[] = { "domid", "bdf",     "permissive", "group",
                                          "slot",  "dry-run", NULL };
static const char *const device_del[] = { "domid", "bdf", "force", NULL };
static const char *const which_device[] = { "domid", "bdf", NULL };
static const char *const records[] = { "domid", "bdf", "kind", "disposition", "limit", NULL };
static const char *const trace_start[] = { "domid", "bdf", "kind", "disposition", "seconds", NULL };
static const char *const one_address[] = { "domid", "address", NULL };
static const char *const set_policy[] = { "policy", "reload", NULL };

const struct qmp_command dmd_commands[] = {
    { "query-version", no_arguments, query_version },
    { "query-commands", no_arguments, query_commands },
    { "query-domains", domid_only, query_domains },
    { "query-consoles", domid_only, query_consoles },
    { "device-add", device_add, cmd_device_add },
    { "device-del", device_del, cmd_device_del },
    { "query-pci", which_device, cmd_query_pci },
    { "query-iommu", no_arguments, cmd_query_iommu },
    { "query-traps", domid_only, cmd_query_traps },
    { "query-trap-records", records, cmd_query_trap_records },
    { "trap-trace-start", trace_start, cmd_trap_trace_start },
    { "trap-trace-stop", no_arguments, cmd_trap_trace_stop },
    { "query-p2m", one_address, cmd_query_p2m },
    { "audit", no_arguments, cmd_audit },
    { "query-ioreq", domid_only, cmd_query_ioreq },
    { "query-policy", no_arguments, cmd_query_policy },
    { "set-policy", set_policy, cmd_set_policy },
    { "quit", no_arguments, quit },
    { 0 },
};
