/* SPDX-License-Identifier: MIT */
/*
 * Domains as xl-lite's commands see them: numbers from the hypervisor, names from state files (or
 * xenstore, for domains that others created).
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "uuid.h"
#include "xl.h"

#define DOMAINS_AT_ONCE 64

int xl_domains(xc_domaininfo_t **list)
{
    xc_domaininfo_t *all = NULL;
    unsigned count = 0;

    for (;;) {
        xc_domaininfo_t *more = realloc(all, (count + DOMAINS_AT_ONCE) * sizeof(*all));
        int got;

        if (more == NULL) {
            free(all);
            return xl_error("out of memory");
        }
        all = more;
        got = xc_domain_getinfolist(xl.xch, count > 0 ? all[count - 1].domain + 1u : 0,
                                    DOMAINS_AT_ONCE, all + count);
        if (got < 0) {
            free(all);
            return xl_hv_error("cannot list domains");
        }
        count += (unsigned)got;
        if (got < DOMAINS_AT_ONCE) {
            break;
        }
    }
    *list = all;
    return (int)count;
}

int xl_domain_info(uint32_t domid, xc_domaininfo_t *info)
{
    const int got = xc_domain_getinfolist(xl.xch, domid, 1, info);

    if (got < 0) {
        return -1;
    }
    return got == 1 && info->domain == domid ? 1 : 0;
}

int xl_domain_state(const xc_domaininfo_t *info, struct guest_state *state)
{
    char uuid[37];
    int rc = guest_state_read(STATE_DOMAIN_DIR, info->domain, state);

    if (rc != 0) {
        return rc;
    }
    uuid_format(info->handle, uuid);
    /* A file that an earlier domain of this number left behind says nothing about this one. */
    return strcmp(uuid, state->uuid) == 0 ? 0 : -ESTALE;
}

void xl_domain_name(const xc_domaininfo_t *info, char name[STATE_NAME_MAX + 1])
{
    struct guest_state state;
    char *stored;

    name[0] = '\0';
    if (info->domain == 0) {
        strcpy(name, XL_CONTROL_NAME);
        return;
    }
    if (xl_domain_state(info, &state) == 0) {
        memcpy(name, state.name, STATE_NAME_MAX + 1);
    } else if ((stored = xl_store_read(info->domain, "name")) != NULL) {
        snprintf(name, STATE_NAME_MAX + 1, "%s", stored);
        free(stored);
    }
    guest_state_free(&state);
}

static int find_by_name(const char *text, uint32_t *domid)
{
    xc_domaininfo_t *list;
    const int count = xl_domains(&list);
    char name[STATE_NAME_MAX + 1];
    int rc = -1;

    if (count < 0) {
        return -1;
    }
    for (int i = 0; i < count && rc != 0; i++) {
        if ((list[i].flags & XEN_DOMINF_dying) != 0) {
            continue;
        }
        xl_domain_name(&list[i], name);
        if (strcmp(name, text) == 0) {
            *domid = list[i].domain;
            rc = 0;
        }
    }
    free(list);
    return rc == 0 ? 0 : xl_error("there is no domain '%s'", text);
}

int xl_find_domain(const char *text, uint32_t *domid)
{
    xc_domaininfo_t info;
    uint64_t number;
    int found;

    if (xl_open() != 0) {
        return -1;
    }
    if (xl_number(text, XL_LAST_DOMID, &number) != 0) {
        return find_by_name(text, domid);
    }
    found = xl_domain_info((uint32_t)number, &info);
    if (found < 0) {
        return xl_hv_error("domain %s", text);
    }
    if (found == 0) {
        return xl_error("there is no domain %s", text);
    }
    *domid = (uint32_t)number;
    return 0;
}

int xl_domain_destroy(uint32_t domid)
{
    struct guest_state state;
    xc_domaininfo_t info;
    bool ours = false;

    if (xl_domain_info(domid, &info) == 1) {
        ours = xl_domain_state(&info, &state) == 0;
        guest_state_free(&state);
    }
    /* Paused first: otherwise its vCPUs go on running while their memory is taken away. */
    xc_domain_pause(xl.xch, domid);
    if (xc_domain_destroy(xl.xch, domid) != 0 && errno != ESRCH) {
        return -1;
    }
    xl_store_forget(domid);
    if (ours) {
        guest_state_remove(STATE_DOMAIN_DIR, domid);
    }
    return 0;
}

unsigned xl_shutdown_reason(const xc_domaininfo_t *info)
{
    return (info->flags >> XEN_DOMINF_shutdownshift) & XEN_DOMINF_shutdownmask;
}

int xl_find_guest(const char *text, uint32_t *domid, const char *what)
{
    if (xl_find_domain(text, domid) != 0) {
        return -1;
    }
    return *domid != 0 ? 0 : xl_error("cannot %s the control domain", what);
}
