/* SPDX-License-Identifier: MIT */
/* The control socket's commands about devices: giving them to guests, taking them away, what is known of them; the policy. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dm/devices.h"
#include "dm/dmd.h"
#include "dm/eject.h"
#include "dm/hv_server.h"
#include "dm/json.h"
#include "dm/logfile.h"
#include "dm/moves.h"
#include "libs/xenlite.h"

static struct json_object *no_memory(struct qmp_error *error)
{
    qmp_set_error(error, NULL, "not enough memory");
    return NULL;
}

/* ---- device-add, device-del ---- */

static void add_move(struct json_object *answer, const struct xenlite_pci_move *move, bool dry_run)
{
    add_bdf(answer, "bdf", move->sbdf);
    add_number(answer, "slot", move->slot);
    add_number(answer, "functions", move->nr);
    add_bool(answer, "dry-run", dry_run);
}

/* Why the hypervisor did not move it: its sentence, and which stage and rule that was. */
static void refused(const char *what, const struct move *move, struct qmp_error *error)
{
    const char *stage = xenlite_pci_stage_name(move->pci.stage);

    errno = move->error;
    if (move->error == ENOSYS || !move->sentence[0])
        hv_failed(what, error);
    else
        qmp_set_error(error, NULL, "%s (stage %s, rule %.32s)", move->sentence, stage ? stage : "?",
                      move->pci.rule_name);
}

/* The answer of a job's client; NULL: an error. */
static void give_answer(struct move *move, struct json_object *answer,
                        const struct qmp_error *error)
{
    struct qmp_later *later = move->later;

    move->later = NULL;
    qmp_answer(later, answer, error);
}

static bool take_device(struct json_object *arguments, uint32_t *sbdf, struct qmp_error *error)
{
    bool given;

    if (!take_bdf(arguments, sbdf, &given, error))
        return false;
    if (!given)
        qmp_set_error(error, NULL, "'bdf' is missing");
    return given;
}

static bool take_flag(struct json_object *arguments, const char *key, uint32_t flag,
                      uint32_t *flags, struct qmp_error *error)
{
    bool on = false;

    if (!take_bool(arguments, key, &on, error))
        return false;
    if (on)
        *flags |= flag;
    return true;
}

static void device_added(struct move *move, struct domain *domain)
{
    struct json_object *answer = NULL;
    struct qmp_error error = { 0 };

    (void)domain;
    if (move->error) {
        refused("the device cannot be attached", move, &error);
    } else {
        answer = json_object_new_object();
        add_move(answer, &move->pci, move->pci.flags & XENLITE_PCI_DRY_RUN);
    }
    give_answer(move, answer, &error);
}

struct json_object *cmd_device_add(void *context, struct json_object *arguments,
                                   struct qmp_error *error)
{
    struct domain *domain = need_domain(context, arguments, error);
    struct xenlite_pci_move pci = { 0 };
    struct move *move;
    uint64_t slot = 0;

    if (!domain || !take_device(arguments, &pci.sbdf, error) ||
        !take_flag(arguments, "dry-run", XENLITE_PCI_DRY_RUN, &pci.flags, error) ||
        !take_flag(arguments, "permissive", XENLITE_PCI_PERMISSIVE, &pci.flags, error) ||
        !take_flag(arguments, "group", XENLITE_PCI_GROUP, &pci.flags, error) ||
        !take_number(arguments, "slot", XENLITE_PCI_NR_SLOTS, &slot, error))
        return NULL;
    pci.slot = (uint32_t)slot;
    /* Whoever serves the device's requests is there before the device is. */
    model_poll(domain);
    move = move_new(domain->dmd, MOVE_ATTACH, domain);
    if (!move)
        return no_memory(error);
    move->pci = pci;
    move->then = device_added;
    (void)move_for_client(move, error);
    return NULL;
}

static void answer_gone(struct move *move, bool waiting)
{
    struct json_object *answer = json_object_new_object();

    add_bdf(answer, "bdf", move->pci.sbdf);
    add_bool(answer, "waiting", waiting);
    give_answer(move, answer, NULL);
}

static void device_detached(struct move *move, struct domain *domain)
{
    struct qmp_error error = { 0 };

    if (!move->error) {
        answer_gone(move, domain && model_device(domain->model, move->pci.sbdf));
        return;
    }
    errno = move->error;
    if (move->sentence[0])
        qmp_set_error(&error, NULL, "%s", move->sentence);
    else
        hv_failed("the device cannot be taken away", &error);
    give_answer(move, NULL, &error);
}

/* The same client goes on waiting, for another job. */
static void detach_now(struct move *listed, const struct domain *domain)
{
    struct move *move = move_new(listed->dmd, MOVE_DETACH, domain);
    struct qmp_error error = { 0 };

    if (!move) {
        give_answer(listed, no_memory(&error), &error);
        return;
    }
    move->pci.sbdf = listed->pci.sbdf;
    move->then = device_detached;
    move->later = listed->later;
    listed->later = NULL;
    move_submit(move, true, NULL);
}

/* Which devices there are is known as it is now: the guest is asked, or the device taken at once. */
static void device_del_listed(struct move *move, struct domain *domain)
{
    struct device *device = domain ? model_device(domain->model, move->pci.sbdf) : NULL;
    struct qmp_error error = { 0 };

    if (!device) {
        qmp_set_error(&error, "DeviceNotFound", "Domain %u does not have this device", move->domid);
        give_answer(move, NULL, &error);
        return;
    }
    switch (eject(domain, device, move->force, &error)) {
    case EJECT_NOW:
        detach_now(move, domain);
        break;
    case EJECT_UNDER_WAY:
        answer_gone(move, true);
        break;
    default:
        give_answer(move, NULL, &error);
        break;
    }
}

struct json_object *cmd_device_del(void *context, struct json_object *arguments,
                                   struct qmp_error *error)
{
    struct domain *domain = need_domain(context, arguments, error);
    bool force = false;
    struct move *move;
    uint32_t sbdf;

    if (!domain || !take_device(arguments, &sbdf, error) ||
        !take_bool(arguments, "force", &force, error))
        return NULL;
    model_poll(domain);
    move = move_new(domain->dmd, MOVE_LIST, domain);
    if (!move)
        return no_memory(error);
    move->pci.sbdf = sbdf;
    move->force = force;
    move->then = device_del_listed;
    (void)move_for_client(move, error);
    return NULL;
}

/* ---- query-pci ---- */

static void add_decisions(struct json_object *object, const struct device *device)
{
    struct json_object *decisions = json_object_new_object();

    add_number(decisions, "written", device->written);
    add_number(decisions, "partly", device->partly);
    add_number(decisions, "refused", device->refused);
    add_number(decisions, "bound", device->bound);
    add_number(decisions, "bind-failed", device->bind_failed);
    json_object_object_add(object, "decisions", decisions);
}

static struct json_object *describe_bars(const struct xenlite_pci_info *info)
{
    static const char *const kinds[] = { "none", "io", "memory32", "memory64", "rom" };
    struct json_object *array = json_object_new_array();

    for (unsigned i = 0; i < XENLITE_PCI_NR_BARS; i++) {
        const struct xenlite_pci_bar *bar = &info->bar[i];
        struct json_object *object;

        if (!bar->size)
            continue;
        object = json_object_new_object();
        add_number(object, "index", i);
        add_string(object, "kind", bar->kind < 5 ? kinds[bar->kind] : "none");
        add_hex(object, "address", bar->addr);
        add_number(object, "size", bar->size);
        add_bool(object, "mapped", bar->mapped);
        json_object_array_add(array, object);
    }
    return array;
}

static struct json_object *describe_resets(const struct xenlite_pci_info *info)
{
    static const char *const names[] = { "flr", "af-flr", "pm", "bus" };
    struct json_object *array = json_object_new_array();

    for (unsigned i = 0; i < 4; i++)
        if (info->reset & 1u << i)
            json_object_array_add(array, json_object_new_string(names[i]));
    return array;
}

static void add_info(struct json_object *object, const struct xenlite_pci_info *info)
{
    add_number(object, "msi-vectors", info->cap_msi ? info->msi_vectors : 0);
    add_number(object, "msix-vectors", info->msix_vectors);
    add_number(object, "group-size", info->nr_group);
    add_number(object, "reserved-regions", info->nr_rmrr);
    add_number(object, "faults", info->faults);
    json_object_object_add(object, "resets", describe_resets(info));
    json_object_object_add(object, "bars", describe_bars(info));
}

/* info: all zero if it is not known. */
static struct json_object *describe_function(struct dmd *dmd, const struct xenlite_pci_entry *entry,
                                             const struct xenlite_pci_info *info)
{
    struct domain *domain = dmd_find(dmd, entry->owner);
    struct device *device = domain ? model_device(domain->model, entry->sbdf) : NULL;
    struct json_object *object = json_object_new_object();
    char text[16];

    add_bdf(object, "bdf", entry->sbdf);
    snprintf(text, sizeof(text), "%04x:%04x", entry->vendor, entry->device);
    add_string(object, "id", text);
    add_hex(object, "class", entry->class_rev >> 8);
    add_owner(object, "owner", entry->owner);
    add_bool(object, "bridge", entry->flags & XENLITE_PCI_IS_BRIDGE);
    add_bool(object, "quarantined", entry->flags & XENLITE_PCI_QUARANTINED);
    if (entry->slot) {
        add_number(object, "slot", entry->slot);
        add_number(object, "function", entry->fn);
    }
    if (device) {
        add_bool(object, "permissive", device->permissive);
        add_decisions(object, device);
    }
    if (info->nr_group)
        add_info(object, info);
    return object;
}

/* Of one function or all (move->one), of one domain or all (move->pci.slot, a domain's number + 1). */
static void functions_listed(struct move *move, struct domain *domain)
{
    struct json_object *array;
    struct qmp_error error = { 0 };

    (void)domain;
    if (move->list_error || !move->info) {
        errno = move->list_error ? move->list_error : ENOMEM;
        hv_failed("the list of PCI functions cannot be read", &error);
        give_answer(move, NULL, &error);
        return;
    }
    array = json_object_new_array();
    for (unsigned i = 0; i < move->nr; i++)
        if ((!move->one || move->list[i].sbdf == move->pci.sbdf) &&
            (!move->pci.slot || move->list[i].owner == move->pci.slot - 1))
            json_object_array_add(array,
                                  describe_function(move->dmd, &move->list[i], &move->info[i]));
    if (move->one && !json_object_array_length(array)) {
        json_object_put(array);
        array = NULL;
        qmp_set_error(&error, "DeviceNotFound", "There is no such function");
    }
    give_answer(move, array, &error);
}

struct json_object *cmd_query_pci(void *context, struct json_object *arguments,
                                  struct qmp_error *error)
{
    struct move *move;
    uint32_t sbdf = 0;
    bool one;
    int domid;

    if (!take_domid(arguments, &domid, error) || !take_bdf(arguments, &sbdf, &one, error))
        return NULL;
    move = move_new(context, MOVE_DETAIL, NULL);
    if (!move)
        return no_memory(error);
    move->one = one;
    move->pci.sbdf = sbdf;
    move->pci.slot = domid < 0 ? 0 : (uint32_t)domid + 1;
    move->then = functions_listed;
    (void)move_for_client(move, error);
    return NULL;
}

/* ---- query-ioreq ---- */

static void add_statistics(struct json_object *object, const struct xenlite_ioreq_statistics *s)
{
    add_number(object, "forwarded", s->forwarded);
    add_number(object, "written", s->written);
    add_number(object, "bound", s->bound);
    add_number(object, "done", s->done + s->classic);
    add_number(object, "dropped", s->dropped);
    add_number(object, "denied", s->denied);
    add_number(object, "expired", s->expired);
    add_number(object, "presented", s->presented);
    add_number(object, "stale", s->stale);
    add_number(object, "waiting", s->waiting);
    add_number(object, "wait-ns", s->wait_ns);
    add_number(object, "wait-max-ns", s->wait_max_ns);
}

struct json_object *cmd_query_ioreq(void *context, struct json_object *arguments,
                                    struct qmp_error *error)
{
    struct domain *domain = need_domain(context, arguments, error);
    struct xenlite_ioreq_statistics statistics;
    struct json_object *object;

    if (!domain)
        return NULL;
    if (xenlite_ioreq_statistics(hv_xc(domain->dmd->hv), domain->domid, &statistics))
        return hv_failed("the counters of requests cannot be read", error);
    object = json_object_new_object();
    add_number(object, "domid", domain->domid);
    add_statistics(object, &statistics);
    add_number(object, "served-here", domain->model ? model_counters(domain->model)->requests : 0);
    return object;
}

/* ---- the policy ---- */

static struct json_object *describe_reasons(const struct policy *policy)
{
    struct json_object *array = json_object_new_array();
    const uint32_t end = REASON_RULES + 4 * policy_rules(policy);

    for (uint32_t i = 0; i < end; i++) {
        struct json_object *object;

        if (i >= REASON_RULES ? (i - REASON_RULES) % 4 > POLICY_REFUSED : i > REASON_MESSAGE_BIND)
            continue;
        object = json_object_new_object();
        add_number(object, "number", i);
        add_string(object, "rule", policy_rule_name(policy, i));
        add_string(object, "sentence", policy_reason(policy, i));
        json_object_array_add(array, object);
    }
    return array;
}

struct json_object *cmd_query_policy(void *context, struct json_object *arguments,
                                     struct qmp_error *error)
{
    struct dmd *dmd = context;
    const struct policy *policy = models_policy(dmd->models);
    struct json_object *object = json_object_new_object();
    char path[POLICY_PATH_MAX];

    (void)arguments;
    (void)error;
    models_policy_path(dmd, path);
    add_string(object, "source", access(path, F_OK) ? dmd->options.policy : path);
    add_number(object, "rules", policy_rules(policy));
    json_object_object_add(object, "policy", policy_json(policy));
    json_object_object_add(object, "reasons", describe_reasons(policy));
    return object;
}

/* In one step, so that a daemon that starts finds the former one or this one. */
static int keep_policy(const struct dmd *dmd, const char *text)
{
    char path[POLICY_PATH_MAX], temporary[POLICY_PATH_MAX + 8];
    const size_t len = strlen(text);
    int fd, r;

    models_policy_path(dmd, path);
    snprintf(temporary, sizeof(temporary), "%s.new", path);
    fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return -1;
    r = write(fd, text, len) == (ssize_t)len ? 0 : -1;
    if (close(fd) || r)
        return -1;
    return rename(temporary, path);
}

static struct policy *given_policy(struct dmd *dmd, struct json_object *given,
                                   char error[POLICY_ERROR_MAX])
{
    const char *text = json_object_to_json_string_ext(given, JSON_C_TO_STRING_PRETTY |
                                                                 JSON_C_TO_STRING_NOSLASHESCAPE);
    struct policy *policy = text ? policy_parse("policy", text, strlen(text), error) : NULL;

    if (policy && keep_policy(dmd, text)) {
        snprintf(error, POLICY_ERROR_MAX, "it cannot be kept in %s: %s", dmd->options.run_dir,
                 strerror(errno));
        policy_free(policy);
        return NULL;
    }
    return policy;
}

/* Back to the file, which may have been changed meanwhile. */
static struct policy *installed_policy(struct dmd *dmd, char error[POLICY_ERROR_MAX])
{
    struct policy *policy = policy_load(dmd->options.policy, error);
    char path[POLICY_PATH_MAX];

    models_policy_path(dmd, path);
    if (!policy || !unlink(path) || errno == ENOENT)
        return policy;
    snprintf(error, POLICY_ERROR_MAX, "%.150s cannot be removed: %s", path, strerror(errno));
    policy_free(policy);
    return NULL;
}

struct json_object *cmd_set_policy(void *context, struct json_object *arguments,
                                   struct qmp_error *error)
{
    struct dmd *dmd = context;
    struct json_object *given = NULL, *answer;
    char sentence[POLICY_ERROR_MAX] = "not enough memory";
    struct policy *policy;
    bool reload = false;

    json_object_object_get_ex(arguments, "policy", &given);
    if (!take_bool(arguments, "reload", &reload, error))
        return NULL;
    if (reload == (given != NULL)) {
        qmp_set_error(error, NULL, "set-policy wants either 'policy' or 'reload': true");
        return NULL;
    }
    policy = reload ? installed_policy(dmd, sentence) : given_policy(dmd, given, sentence);
    if (!policy) {
        qmp_set_error(error, NULL, "The policy stays as it was: %s", sentence);
        return NULL;
    }
    models_set_policy(dmd->models, policy);
    message("the policy was changed: %u rules", policy_rules(policy));
    answer = json_object_new_object();
    add_number(answer, "rules", policy_rules(policy));
    return answer;
}
