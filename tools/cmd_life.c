/* SPDX-License-Identifier: MIT */
/*
 * xl-lite destroy, shutdown, reboot, pause, unpause: the life of a guest after its creation.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "xl.h"

int cmd_destroy(int argc, char **argv)
{
    uint32_t domid;
    bool stop;
    int status = xl_plain_arguments(argc, argv, 1, 1, &stop);

    if (stop) {
        return status;
    }
    if (xl_find_guest(argv[optind], &domid, "destroy") != 0) {
        return XL_FAILED;
    }
    if (xl_domain_destroy(domid) != 0) {
        xl_hv_error("cannot destroy domain %u", domid);
        return XL_FAILED;
    }
    return XL_OK;
}

static int pause_or_unpause(int argc, char **argv, bool pause)
{
    uint32_t domid;
    bool stop;
    int status = xl_plain_arguments(argc, argv, 1, 1, &stop);

    if (stop) {
        return status;
    }
    if (xl_find_guest(argv[optind], &domid, pause ? "pause" : "unpause") != 0) {
        return XL_FAILED;
    }
    if ((pause ? xc_domain_pause(xl.xch, domid) : xc_domain_unpause(xl.xch, domid)) != 0) {
        xl_hv_error("cannot %s domain %u", pause ? "pause" : "unpause", domid);
        return XL_FAILED;
    }
    return XL_OK;
}

int cmd_pause(int argc, char **argv)
{
    return pause_or_unpause(argc, argv, true);
}

int cmd_unpause(int argc, char **argv)
{
    return pause_or_unpause(argc, argv, false);
}

/* -------- shutdown and reboot: asked through xenstore, as on Xen -------- */

static int ask(uint32_t domid, const char *request, bool fall_back)
{
    char *node = xl_store_read(domid, "control/shutdown");

    if (node != NULL) {
        free(node);
        if (xl_store_write(domid, "control/shutdown", request) == 0) {
            return 0;
        }
        return xl_hv_error("cannot ask domain %u", domid);
    }
    if (fall_back) {
        if (xc_domain_send_trigger(xl.xch, domid, XEN_DOMCTL_SENDTRIGGER_POWER, 0) == 0) {
            return 0;
        }
        return xl_hv_error("domain %u has no power button", domid);
    }
    return xl_error("domain %u cannot be asked to %s: no xenstored ran when it was created (on its "
                    "console: %s; by force: "
                    "xl-lite destroy)",
                    domid, request, request);
}

/* Returns when the domain is shut down, restarted under another number, or gone. */
static void wait_down(uint32_t domid)
{
    const struct timespec nap = { .tv_nsec = 100 * 1000 * 1000 };
    xc_domaininfo_t info;

    while (xl_domain_info(domid, &info) == 1 &&
           (info.flags & (XEN_DOMINF_shutdown | XEN_DOMINF_dying)) == 0) {
        nanosleep(&nap, NULL);
    }
}

static int ask_all(const char *request, bool wait, bool fall_back)
{
    xc_domaininfo_t *list = NULL;
    const int count = xl_open() == 0 ? xl_domains(&list) : -1;
    int rc = count < 0 ? -1 : 0;

    for (int i = 0; i < count; i++) {
        if (list[i].domain != 0 &&
            (list[i].flags & (XEN_DOMINF_shutdown | XEN_DOMINF_dying)) == 0 &&
            ask(list[i].domain, request, fall_back) != 0) {
            rc = -1;
        }
    }
    for (int i = 0; i < count && wait && rc == 0; i++) {
        if (list[i].domain != 0) {
            wait_down(list[i].domain);
        }
    }
    free(list);
    return rc;
}

static int shutdown_or_reboot(int argc, char **argv, const char *request)
{
    static const struct option options[] = {
        { "all", no_argument, NULL, 'a' },
        { "wait", no_argument, NULL, 'w' },
        { NULL, 0, NULL, 0 },
    };
    bool all = false, wait = false, fall_back = false;
    int option, status = XL_USAGE;
    uint32_t domid;

    while ((option = xl_getopt(argc, argv, strcmp(request, "reboot") == 0 ? "aF" : "awF", options,
                               &status)) != -1) {
        switch (option) {
        case 'a':
            all = true;
            break;
        case 'w':
            wait = true;
            break;
        case 'F':
            fall_back = true;
            break;
        default:
            return status;
        }
    }
    if (xl_arguments(argc, all ? 0 : 1, all ? 0 : 1) != 0) {
        return XL_USAGE;
    }
    if (all) {
        return ask_all(request, wait, fall_back) == 0 ? XL_OK : XL_FAILED;
    }
    if (xl_find_guest(argv[optind], &domid, request) != 0 || ask(domid, request, fall_back) != 0) {
        return XL_FAILED;
    }
    if (wait) {
        wait_down(domid);
    }
    return XL_OK;
}

int cmd_shutdown(int argc, char **argv)
{
    return shutdown_or_reboot(argc, argv, "poweroff");
}

int cmd_reboot(int argc, char **argv)
{
    return shutdown_or_reboot(argc, argv, "reboot");
}
