/* SPDX-License-Identifier: MIT */
/*
 * Starts a guest (create.h): guard, preparation, domain, contents, state file, go. Whatever fails
 * in between, the guard or the failing step itself takes the domain away again.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "build.h"
#include "create.h"
#include "pci_dev.h"
#include "uuid.h"
#include "xl.h"

#define LOCK_TIMEOUT_MS 10000

static void fill_state(struct guest_state *state, const struct guest_cfg *cfg,
                       const struct start_options *options, const struct build *b)
{
    memset(state, 0, sizeof(*state));
    state->domid = b->domid;
    snprintf(state->name, sizeof(state->name), "%s", cfg->name);
    uuid_format(cfg->uuid, state->uuid);
    snprintf(state->on_poweroff, sizeof(state->on_poweroff), "%s",
             guest_action_names[cfg->on_poweroff]);
    snprintf(state->on_reboot, sizeof(state->on_reboot), "%s", guest_action_names[cfg->on_reboot]);
    snprintf(state->on_crash, sizeof(state->on_crash), "%s", guest_action_names[cfg->on_crash]);
    state->config_file = (char *)options->config_file; /* borrowed: never freed through this copy */
    state->config = cfg->text;
    state->created = (int64_t)time(NULL);
    state->creator = (int64_t)getpid();
}

static int write_state(const struct guest_state *state)
{
    const int rc = guest_state_write(STATE_DOMAIN_DIR, state);

    return rc == 0 ? 0 : xl_error("cannot write to %s: %s", STATE_DOMAIN_DIR, strerror(-rc));
}

/* Guests whose builder and guard were both killed: their state file still says that they are being
 * built. */
static void reap_orphans(const xc_domaininfo_t *list, int count)
{
    for (int i = 0; i < count; i++) {
        struct guest_state state;

        if (list[i].domain != 0 && xl_domain_state(&list[i], &state) == 0 && !state.ready &&
            state.creator > 0 && kill((pid_t)state.creator, 0) != 0 && errno == ESRCH) {
            xl_warn("removing the unfinished domain %u (%s): its builder is gone", list[i].domain,
                    state.name);
            xl_domain_destroy(list[i].domain);
        }
        if (list[i].domain != 0) {
            guest_state_free(&state);
        }
    }
}

/* Names and UUIDs are given once. */
static int check_unique(const struct guest_cfg *cfg)
{
    xc_domaininfo_t *list = NULL;
    char name[STATE_NAME_MAX + 1];
    int count = xl_domains(&list), rc = 0;

    if (count < 0) {
        return -1;
    }
    reap_orphans(list, count);
    free(list);
    count = xl_domains(&list);
    for (int i = 0; i < count && rc == 0; i++) {
        if ((list[i].flags & XEN_DOMINF_dying) != 0) {
            continue;
        }
        xl_domain_name(&list[i], name);
        if (strcmp(name, cfg->name) == 0) {
            guest_cfg_error(cfg, stderr, cfg->name_line, "name \"%s\" is domain %u's already",
                            cfg->name, list[i].domain);
            rc = -1;
        } else if (list[i].domain != 0 && memcmp(list[i].handle, cfg->uuid, 16) == 0) {
            guest_cfg_error(cfg, stderr, 0, "the uuid is domain %u's already", list[i].domain);
            rc = -1;
        }
    }
    if (count >= 0) {
        free(list);
    }
    return count < 0 ? -1 : rc;
}

/* Under the lock, so that two guests started at once cannot both find the name free. */
static int claim_name(struct build *b, const struct guest_cfg *cfg,
                      const struct start_options *options)
{
    const int lock = guest_state_lock(STATE_RUN_DIR, LOCK_TIMEOUT_MS);
    struct guest_state state;
    int rc;

    if (lock < 0) {
        return xl_error("cannot lock %s: %s", STATE_RUN_DIR, strerror(-lock));
    }
    rc = check_unique(cfg);
    if (rc == 0) {
        rc = build_create(b);
    }
    if (rc == 0) {
        fill_state(&state, cfg, options, b);
        rc = write_state(&state);
    }
    close(lock);
    return rc;
}

static int publish(struct build *b, const struct guest_cfg *cfg,
                   const struct start_options *options, pid_t monitor)
{
    struct guest_state state;

    fill_state(&state, cfg, options, b);
    state.ready = true;
    state.console_port = b->console_port;
    state.console_gfn = b->console_gfn;
    state.store = xl_store_works();
    state.creator = monitor;
    if (xl_store_introduce(b->domid,
                           &(struct xl_store_guest){ .name = cfg->name,
                                                     .uuid = state.uuid,
                                                     .memory_kb = cfg->memory_mb * 1024ull,
                                                     .vcpus = cfg->vcpus,
                                                     .maxvcpus = cfg->maxvcpus },
                           b->store_gfn, b->store_port) != 0) {
        return -1;
    }
    return write_state(&state);
}

static int build_guest(struct build *b, const struct guest_cfg *cfg,
                       const struct start_options *options, pid_t monitor)
{
    if (xl_open() != 0 || pci_check_config(cfg) != 0 || build_prepare(b, cfg) != 0 ||
        claim_name(b, cfg, options) != 0 || build_fill(b) != 0 ||
        publish(b, cfg, options, monitor) != 0 || pci_attach_config(cfg, b->domid) != 0) {
        return -1;
    }
    if (!options->paused && xc_domain_unpause(xl.xch, b->domid) != 0) {
        return xl_hv_error("cannot start the domain");
    }
    return 0;
}

int guest_start(struct guest_cfg *cfg, const struct start_options *options, uint32_t *domid)
{
    const bool monitor = options->monitor && !options->foreground;
    struct guard guard;
    struct build b;
    int rc;

    if (!cfg->has_uuid) {
        rc = uuid_random(cfg->uuid);
        if (rc != 0) {
            return xl_error("no random numbers for a uuid: %s", strerror(-rc));
        }
        cfg->has_uuid = true;
    }
    memset(&b, 0, sizeof(b));
    rc = guard_start(&guard, cfg->uuid, domid);
    if (rc == 1) {
        guard_detach(cfg->name);
        exit(guest_watch(cfg, options, *domid));
    }
    if (rc != 0) {
        return -1;
    }
    rc = build_guest(&b, cfg, options, options->foreground ? getpid() : monitor ? guard.pid : 0);
    if (rc == 0) {
        *domid = b.domid;
        guard_release(&guard, b.domid, monitor);
        build_keep_kernel(&b);
    } else if (b.domid != 0 && xl_domain_destroy(b.domid) != 0) {
        xl_hv_error("cannot remove the unfinished domain %u", b.domid);
    }
    build_release(&b);
    if (rc != 0) {
        guard_abort(&guard);
    }
    return rc;
}
