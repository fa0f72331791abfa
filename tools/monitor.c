/* SPDX-License-Identifier: MIT */
/*
 * Looks after a running guest: waits for it to shut down, then destroys, restarts or leaves it as
 * its configuration says.
 *
 * It asks four times a second instead of binding VIRQ_DOM_EXC: that interrupt has room for one
 * listener in the control domain, and xenstored does not start without it.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "create.h"
#include "xl.h"

#define POLL_NS (250 * 1000 * 1000)
#define RESTART_PAUSE_S                                                                            \
    1 /* so that a guest that reboots at once does not take the machine for itself */

static void say(const struct guest_cfg *cfg, const char *what)
{
    char when[32];
    const time_t now = time(NULL);
    struct tm tm;

    gmtime_r(&now, &tm);
    strftime(when, sizeof(when), "%Y-%m-%d %H:%M:%S", &tm);
    printf("%s %s: %s\n", when, cfg->name, what);
}

/* Waits until the domain is shut down (0, with its reason) or gone (1). */
static int wait_for_end(const struct guest_cfg *cfg, uint32_t domid, xc_domaininfo_t *info)
{
    const struct timespec nap = { .tv_nsec = POLL_NS };

    for (;;) {
        const int found = xl_domain_info(domid, info);

        if (found == 0 || (found == 1 && (memcmp(info->handle, cfg->uuid, 16) != 0 ||
                                          (info->flags & XEN_DOMINF_dying) != 0))) {
            return 1;
        }
        if (found == 1 && (info->flags & XEN_DOMINF_shutdown) != 0) {
            return 0;
        }
        nanosleep(&nap, NULL);
    }
}

static enum guest_action action_for(const struct guest_cfg *cfg, unsigned reason)
{
    switch (reason) {
    case SHUTDOWN_poweroff:
        say(cfg, "powered off");
        return cfg->on_poweroff;
    case SHUTDOWN_reboot:
        say(cfg, "asks for a reboot");
        return cfg->on_reboot;
    default:
        say(cfg, reason == SHUTDOWN_watchdog ? "watchdog expired" : "crashed");
        return cfg->on_crash;
    }
}

/* The guest may have another name by now. */
static void take_new_name(struct guest_cfg *cfg, const xc_domaininfo_t *info)
{
    struct guest_state state;

    if (xl_domain_state(info, &state) == 0 && strcmp(state.name, cfg->name) != 0) {
        char *name = strdup(state.name);

        if (name != NULL) {
            free(cfg->name);
            cfg->name = name;
        }
    }
    guest_state_free(&state);
}

int guest_watch(struct guest_cfg *cfg, const struct start_options *options, uint32_t domid)
{
    struct start_options again = *options;
    xc_domaininfo_t info;
    enum guest_action action;

    again.paused = false;
    for (;;) {
        if (xl_open() != 0) {
            return XL_FAILED;
        }
        if (wait_for_end(cfg, domid, &info) != 0) {
            say(cfg, "gone");
            return XL_OK;
        }
        action = action_for(cfg, xl_shutdown_reason(&info));
        if (action == ACTION_PRESERVE) {
            return XL_OK;
        }
        take_new_name(cfg, &info);
        if (xl_domain_destroy(domid) != 0) {
            xl_hv_error("cannot destroy domain %u", domid);
            return XL_FAILED;
        }
        if (action == ACTION_DESTROY) {
            return XL_OK;
        }
        sleep(RESTART_PAUSE_S);
        xl_close();
        if (guest_start(cfg, &again, &domid) != 0) {
            return XL_FAILED;
        }
        say(cfg, "restarted");
        if (!again.foreground) {
            /* The new guest has a monitor of its own. */
            return XL_OK;
        }
    }
}
