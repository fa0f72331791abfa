/* SPDX-License-Identifier: MIT */
/* The list of domains: kept in step with the hypervisor's, told about in events. */
#include "dm/dmd.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <json-c/json.h>
#include <xen/sched.h>
#include <xen/xen.h>

#include "dm/console.h"
#include "dm/devices.h"
#include "dm/domains.h"
#include "dm/eject.h"
#include "dm/hv.h"
#include "dm/logfile.h"
#include "libs/guest_state.h"

const char *shutdown_reason_name(unsigned reason)
{
    switch (reason) {
    case SHUTDOWN_poweroff:
        return "poweroff";
    case SHUTDOWN_reboot:
        return "reboot";
    case SHUTDOWN_suspend:
        return "suspend";
    case SHUTDOWN_crash:
        return "crash";
    case SHUTDOWN_watchdog:
        return "watchdog";
    case SHUTDOWN_soft_reset:
        return "soft-reset";
    default:
        return "unknown";
    }
}

void format_uuid(char out[37], const uint8_t handle[16])
{
    const uint8_t *h = handle;

    snprintf(out, 37, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", h[0],
             h[1], h[2], h[3], h[4], h[5], h[6], h[7], h[8], h[9], h[10], h[11], h[12], h[13],
             h[14], h[15]);
}

static struct json_object *domain_data(const struct domain *domain)
{
    struct json_object *data = json_object_new_object();

    json_object_object_add(data, "domid", json_object_new_int(domain->domid));
    json_object_object_add(data, "name", json_object_new_string(domain->name));
    json_object_object_add(data, "uuid", json_object_new_string(domain->uuid));
    return data;
}

static bool set_name(struct domain *domain, const char *name)
{
    char *copy;

    if (domain->name && !strcmp(domain->name, name))
        return false;
    copy = strdup(name);
    if (!copy)
        return false;
    free(domain->name);
    domain->name = copy;
    return true;
}

/*
 * Takes over what the toolstack's file says. A file of a domain that had the number before has another uuid
 * and is not believed. While the file says that the domain is being built, its console is left alone.
 */
static void load_file(struct domain *domain)
{
    char dir[4096], fallback[32];
    struct guest_state state;
    int r;

    snprintf(dir, sizeof(dir), "%s/domains", domain->dmd->options.run_dir);
    r = guest_state_read(dir, domain->domid, &state);
    if (r && r != -ENOENT)
        message("%s/%u.json is not used: %s", dir, domain->domid, strerror(-r));
    if (r || strcasecmp(state.uuid, domain->uuid)) {
        guest_state_free(&state);
        state.ready = true;
    }
    domain->being_built = !state.ready;
    domain->file_gfn = state.console_gfn;
    domain->file_port = state.console_port;
    if (state.name[0] && set_name(domain, state.name) && domain->console)
        console_renamed(domain->console);
    /* A file that is taken away before its domain does not cost the domain its name. */
    snprintf(fallback, sizeof(fallback), "domain-%u", domain->domid);
    if (!domain->name)
        set_name(domain, fallback);
    guest_state_free(&state);
}

static void remove_domain(struct domain *domain)
{
    struct dmd *dmd = domain->dmd;

    LIST_REMOVE(domain, link);
    console_free(domain->console);
    domain->console = NULL;
    eject_forget(domain);
    model_free(domain->model);
    domain->model = NULL;
    dmd_event(dmd, "DOMAIN_REMOVED", domain_data(domain));
    message("%s (domain %u) is gone", domain->name, domain->domid);
    free(domain->name);
    free(domain);
}

static struct domain *add_domain(struct dmd *dmd, const struct hv_domain *info)
{
    struct domain *domain = calloc(1, sizeof(*domain));

    if (!domain)
        return NULL;
    domain->dmd = dmd;
    domain->domid = info->domid;
    memcpy(domain->handle, info->uuid, sizeof(domain->handle));
    format_uuid(domain->uuid, info->uuid);
    load_file(domain);
    if (domain->name)
        domain->console = console_new(domain);
    if (!domain->console) {
        free(domain->name);
        free(domain);
        return NULL;
    }
    LIST_INSERT_HEAD(&dmd->domains, domain, link);
    message("%s is domain %u, %s", domain->name, domain->domid, domain->uuid);
    dmd_event(dmd, "DOMAIN_ADDED", domain_data(domain));
    return domain;
}

/*
 * libxl makes a domain first and gives it its uuid in a second call, so a uuid that was zero is filled in;
 * any other change means that the number belongs to another domain now.
 */
static struct domain *check_identity(struct domain *domain, const struct hv_domain *info)
{
    static const uint8_t none[16];
    struct dmd *dmd = domain->dmd;

    if (!memcmp(domain->handle, info->uuid, sizeof(domain->handle)))
        return domain;
    if (!memcmp(domain->handle, none, sizeof(none))) {
        memcpy(domain->handle, info->uuid, sizeof(domain->handle));
        format_uuid(domain->uuid, info->uuid);
        load_file(domain);
        return domain;
    }
    remove_domain(domain);
    return info->dying ? NULL : add_domain(dmd, info);
}

static void tell_shutdown(struct domain *domain, const struct hv_domain *info)
{
    struct json_object *data;

    if (info->shutdown == domain->shutdown)
        return;
    domain->shutdown = info->shutdown;
    if (!info->shutdown)
        return; /* the toolstack resumed it */
    message("%s (domain %u) shut down: %s", domain->name, domain->domid,
            shutdown_reason_name(info->shutdown_reason));
    data = domain_data(domain);
    json_object_object_add(data, "reason",
                           json_object_new_string(shutdown_reason_name(info->shutdown_reason)));
    dmd_event(domain->dmd, "DOMAIN_SHUTDOWN", data);
}

static void look_at(struct dmd *dmd, const struct hv_domain *info, bool reload)
{
    struct domain *domain = dmd_find(dmd, info->domid);

    if (info->domid == 0 || info->domid >= DOMID_FIRST_RESERVED)
        return;
    if (domain)
        domain = check_identity(domain, info);
    else if (!info->dying)
        domain = add_domain(dmd, info);
    if (!domain)
        return;
    if (reload)
        load_file(domain);
    tell_shutdown(domain, info);
    /* Our mapping keeps the console's page, and with it the dying domain: read the rest, then let it go. */
    if (info->dying)
        return;
    domain->seen = true;
    model_poll(domain);
    if (!domain->being_built)
        console_attach(domain->console);
    console_poll(domain->console);
}

void dmd_scan(struct dmd *dmd, bool reload)
{
    struct domain *domain, *next;
    struct hv_domain *list;
    int n = hv_list(dmd->hv, &list);

    if (n < 0) {
        if (!dmd->list_failed)
            message("the hypervisor's list of domains cannot be read: %m");
        dmd->list_failed = true;
        return;
    }
    dmd->list_failed = false;
    LIST_FOREACH(domain, &dmd->domains, link)
    domain->seen = false;
    for (int i = 0; i < n; i++)
        look_at(dmd, &list[i], reload);
    free(list);
    for (domain = LIST_FIRST(&dmd->domains); domain; domain = next) {
        next = LIST_NEXT(domain, link);
        if (!domain->seen)
            remove_domain(domain);
    }
    models_look(dmd->models);
}

void domains_forget(struct dmd *dmd)
{
    struct domain *domain;

    while ((domain = LIST_FIRST(&dmd->domains))) {
        LIST_REMOVE(domain, link);
        console_free(domain->console);
        eject_forget(domain);
        model_free(domain->model);
        free(domain->name);
        free(domain);
    }
}

struct domain *dmd_find(struct dmd *dmd, uint16_t domid)
{
    struct domain *domain;

    LIST_FOREACH(domain, &dmd->domains, link)
    if (domain->domid == domid)
        return domain;
    return NULL;
}

void dmd_reopen_logs(struct dmd *dmd)
{
    struct domain *domain;

    LIST_FOREACH(domain, &dmd->domains, link)
    console_reopen_log(domain->console);
}
