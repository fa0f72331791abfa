/* SPDX-License-Identifier: MIT */
/* Guests' device models: servers, devices, requests and the decisions about them. */
#include "dm/devices.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/event.h>
#include <json-c/json.h>
#include <xen/hvm/ioreq.h>

#include "dm/dmd.h"
#include "dm/eject.h"
#include "dm/hv.h"
#include "dm/hv_server.h"
#include "dm/intx.h"
#include "dm/logfile.h"
#include "dm/moves.h"
#include "dm/policy.h"
#include "libs/xenlite.h"

/* Requests of one vCPU in one go; a guest that writes all the time does not keep others waiting. */
#define REQUESTS_AT_ONCE 16

struct port {
    struct model *model;
    struct event *event;
    unsigned vcpu;
};

struct models {
    struct dmd *dmd;
    struct policy *policy;
    bool list_asked;  /* for a scan, and not come yet */
    bool list_failed; /* said already */
};

struct model {
    struct domain *domain;
    struct models *models;
    struct hv *hv;
    struct hv_server server;
    struct port port[HV_VCPUS_MAX]; /* the first server.nr_vcpus */
    struct device *last; /* whose request came last */
    struct device_list devices;
    struct model_counters counters;
    uint64_t wanted; /* a list with this number or a higher one tells whose requests wait; 0: none do */
    bool known;      /* a list has come */
    bool newest;     /* what the last list does not have is nobody's */
};

/* ---- decisions ---- */

static struct device *find_device(struct model *model, uint32_t sbdf)
{
    struct device *device;

    LIST_FOREACH(device, &model->devices, link)
    {
        if (device->sbdf == sbdf) {
            model->last = device;
            return device;
        }
    }
    return NULL;
}

static inline struct device *device_of(struct model *model, uint32_t sbdf)
{
    if (model->last && model->last->sbdf == sbdf)
        return model->last;
    return find_device(model, sbdf);
}

/*
 * A message that a local APIC of the guest can take (SDM vol. 3, 11.11): what else a device writes into memory is DMA, and
 * goes through the IOMMU like all DMA, but the guest has asked for an interrupt.
 */
static uint32_t check_message(uint64_t address, uint32_t data)
{
    const unsigned mode = data >> 8 & 7, vector = data & 0xff;

    if (address >> 20 != 0xfee)
        return REASON_MESSAGE_ADDRESS;
    if (mode > 1)
        return REASON_MESSAGE_MODE;
    if (vector < 16)
        return REASON_MESSAGE_VECTOR;
    return REASON_MESSAGE;
}

static void decide_config(struct device *device, unsigned reg, unsigned size,
                          struct xenlite_ioreq_complete *c)
{
    struct policy_decision d;

    if (reg >= POLICY_SPACE || (size != 1 && size != 2 && size != 4) || (reg & 3) + size > 4) {
        c->reason = REASON_BAD_ACCESS;
        c->decision = XENLITE_IOREQ_DENY;
        return;
    }
    d = policy_decide(&device->table, reg, size);
    c->reason = d.reason;
    c->mask = d.mask;
    c->w1c = d.clear;
    c->decision = d.mask ? XENLITE_IOREQ_WRITE : XENLITE_IOREQ_DENY;
}

static void decide(struct device *device, const struct xenlite_ioreq_detail *detail, unsigned size,
                   struct xenlite_ioreq_complete *c)
{
    c->decision = XENLITE_IOREQ_DROP;
    switch (detail->kind) {
    case XENLITE_IOREQ_CONFIG:
        if (device)
            decide_config(device, detail->index, size, c);
        else
            c->reason = REASON_NO_DEVICE;
        break;
    case XENLITE_IOREQ_MSI:
    case XENLITE_IOREQ_MSIX:
        c->reason = check_message(detail->address, detail->message);
        c->decision = c->reason == REASON_MESSAGE ? XENLITE_IOREQ_BIND : XENLITE_IOREQ_DENY;
        break;
    default:
        c->reason = REASON_NOBODY;
        break;
    }
}

static void count(struct device *device, const struct xenlite_ioreq_complete *c)
{
    if (!device)
        return;
    if (c->decision == XENLITE_IOREQ_BIND)
        device->bound++;
    else if (c->decision != XENLITE_IOREQ_WRITE)
        device->refused++;
    else if ((c->reason - REASON_RULES) % 4 == POLICY_PARTLY)
        device->partly++;
    else
        device->written++;
}

/* ---- requests ---- */

/* What the hypervisor could not do is refused, so that the guest does not wait for it until the deadline. */
static void refuse_failed(struct model *model, struct device *device,
                          struct xenlite_ioreq_complete *c)
{
    const int error = errno;

    model->counters.failed++;
    if (c->decision == XENLITE_IOREQ_BIND && device)
        device->bind_failed++;
    c->decision = XENLITE_IOREQ_DENY;
    c->reason = REASON_MESSAGE_BIND;
    if (hv_complete(model->hv, model->server.domid, c) && errno != ESTALE && errno != ENODEV)
        message("domain %u: a request can be neither carried out (%s) nor refused (%s)",
                model->server.domid, strerror(error), strerror(errno));
}

static void complete(struct model *model, struct device *device, struct xenlite_ioreq_complete *c)
{
    if (!hv_complete(model->hv, model->server.domid, c))
        count(device, c);
    else if (errno == ESTALE || errno == ENODEV || errno == ESRCH)
        model->counters
            .stale++; /* dropped meanwhile, or done by our predecessor; the guest does not wait */
    else
        refuse_failed(model, device, c);
}

/* A copy of the slot's detail; false if nothing waits there. The hypervisor writes the id last. */
static bool take_detail(const struct model *model, unsigned vcpu, struct xenlite_ioreq_detail *out)
{
    const volatile struct xenlite_ioreq_detail *detail = &model->server.detail[vcpu];

    out->id = __atomic_load_n(&detail->id, __ATOMIC_ACQUIRE);
    out->address = detail->address;
    out->message = detail->message;
    out->hw_sbdf = detail->hw_sbdf;
    out->index = detail->index;
    out->kind = detail->kind;
    out->waiting = detail->waiting;
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    return out->waiting && out->id && out->id == detail->id;
}

/* Requests of functions that are not known wait for the next list that is asked for from now on. */
static void want_list(struct model *model)
{
    struct move *move;

    if (model->wanted)
        return;
    move = move_new(model->models->dmd, MOVE_LIST, NULL);
    if (move)
        move_submit(move, true, &model->wanted);
}

static bool serve_one(struct model *model, unsigned vcpu)
{
    struct xenlite_ioreq_detail detail;
    struct xenlite_ioreq_complete c;
    struct device *device;

    if (!take_detail(model, vcpu, &detail))
        return false;
    device = device_of(model, detail.hw_sbdf);
    if (__builtin_expect(!device && detail.hw_sbdf != XENLITE_NO_DEVICE && !model->newest, 0)) {
        want_list(model);
        return false;
    }
    memset(&c, 0, sizeof(c));
    c.id = detail.id;
    c.vcpu = vcpu;
    c.value = model->server.slot[vcpu].data;
    decide(device, &detail, model->server.slot[vcpu].size, &c);
    model->counters.requests++;
    complete(model, device, &c);
    return true;
}

/* What is left after that many has an event of its own, which comes when the port is unmasked. */
static void serve(struct model *model, unsigned vcpu)
{
    for (int i = 0; i < REQUESTS_AT_ONCE && serve_one(model, vcpu); i++)
        ;
}

/* The event's number is read when its vCPU does not wait any more: the descriptor says already whose it is. */
static void on_event(evutil_socket_t fd, short what, void *arg)
{
    const struct port *port = arg;
    struct hv_port *channel = port->model->server.port[port->vcpu];

    (void)fd;
    (void)what;
    serve(port->model, port->vcpu);
    if (hv_take(channel))
        hv_unmask(channel);
}

/* ---- devices ---- */

static void compile_table(struct model *model, struct device *device)
{
    struct xenlite_capability *list = NULL;
    struct policy_capability *caps;
    unsigned nr = 0;

    /* Without a list every register is device-specific, which is refused unless permissive. */
    if (xenlite_capabilities(hv_xc(model->hv), device->sbdf, &list, &nr))
        message("the capabilities of a device of domain %u cannot be read: %m",
                model->server.domid);
    caps = calloc(nr + 1, sizeof(*caps));
    for (unsigned i = 0; caps && i < nr; i++)
        caps[i] = (struct policy_capability){ list[i].offset, list[i].id, list[i].extended };
    policy_compile(model->models->policy,
                   &(struct policy_device){ .sbdf = device->sbdf,
                                            .vendor = device->vendor,
                                            .device = device->device,
                                            .permissive = device->permissive,
                                            .capabilities = caps,
                                            .nr_capabilities = caps ? nr : 0 },
                   &device->table);
    free(caps);
    free(list);
}

static struct json_object *device_data(const struct model *model, const struct device *device)
{
    struct json_object *data = json_object_new_object();
    char bdf[BDF_TEXT];

    format_bdf(bdf, device->sbdf);
    json_object_object_add(data, "domid", json_object_new_int(model->domain->domid));
    json_object_object_add(data, "name", json_object_new_string(model->domain->name));
    json_object_object_add(data, "bdf", json_object_new_string(bdf));
    json_object_object_add(data, "slot", json_object_new_int((int)device->slot));
    json_object_object_add(data, "function", json_object_new_int((int)device->fn));
    return data;
}

static void tell(struct model *model, const struct device *device, const char *event)
{
    char bdf[BDF_TEXT];

    format_bdf(bdf, device->sbdf);
    message("%s (domain %u): %s %s", model->domain->name, model->domain->domid, event, bdf);
    dmd_event(model->models->dmd, event, device_data(model, device));
}

static void remove_device(struct model *model, struct device *device, bool say)
{
    LIST_REMOVE(device, link);
    model->last = NULL;
    if (say)
        tell(model, device, "DEVICE_DELETED");
    free(device);
}

static void add_device(struct model *model, const struct xenlite_pci_entry *entry)
{
    struct device *device = calloc(1, sizeof(*device));

    if (!device)
        return;
    device->sbdf = entry->sbdf;
    device->vendor = entry->vendor;
    device->device = entry->device;
    device->class_rev = entry->class_rev;
    device->permissive =
        entry->flags & XENLITE_PCI_IS_PERMISSIVE ||
        policy_is_permissive(model->models->policy, entry->sbdf, entry->vendor, entry->device);
    device->slot = entry->slot;
    device->fn = entry->fn;
    device->seen = true;
    compile_table(model, device);
    LIST_INSERT_HEAD(&model->devices, device, link);
    intx_connect(model->domain, device->sbdf);
    tell(model, device, "DEVICE_ADDED");
}

static void look_at(struct model *model, const struct xenlite_pci_entry *entry)
{
    struct device *device = find_device(model, entry->sbdf);
    const bool quarantined = entry->flags & XENLITE_PCI_QUARANTINED;

    if (device && (device->slot != entry->slot || device->fn != entry->fn)) {
        remove_device(model, device, true);
        device = NULL;
    }
    if (!device) {
        add_device(model, entry);
        device = find_device(model, entry->sbdf);
    }
    if (!device)
        return;
    device->seen = true;
    if (quarantined && !device->quarantined)
        tell(model, device, "DEVICE_QUARANTINED");
    device->quarantined = quarantined;
}

static void update(struct model *model, const struct move *move)
{
    struct device *device, *next;

    LIST_FOREACH(device, &model->devices, link)
    device->seen = false;
    for (unsigned i = 0; i < move->nr; i++)
        if (move->list[i].owner == model->server.domid && move->list[i].slot)
            look_at(model, &move->list[i]);
    for (device = LIST_FIRST(&model->devices); device; device = next) {
        next = LIST_NEXT(device, link);
        if (!device->seen)
            remove_device(model, device, true);
    }
    if (model->known)
        return;
    model->known = true;
    LIST_FOREACH(device, &model->devices, link)
    eject_resume(model->domain, device);
}

/* What waited for the list. The requests behind these have events of their own. */
static void serve_waiting(struct model *model)
{
    model->wanted = 0;
    model->newest = true;
    for (unsigned i = 0; i < model->server.nr_vcpus; i++)
        serve_one(model, i);
    model->newest = false;
}

/* Without a list nobody knows more than before: what waits is decided with what is known. */
void models_listed(struct models *models, const struct move *move)
{
    const bool failed = move->list_error;
    struct domain *domain;

    if (failed && !models->list_failed)
        message("the hypervisor's list of PCI functions cannot be read: %s",
                strerror(move->list_error));
    models->list_failed = failed;
    LIST_FOREACH(domain, &models->dmd->domains, link) {
        struct model *model = domain->model;

        if (!model)
            continue;
        if (!failed)
            update(model, move);
        if (model->wanted && move->job.seq >= model->wanted)
            serve_waiting(model);
    }
}

static void on_list(struct move *move, struct domain *domain)
{
    (void)domain;
    move->dmd->models->list_asked = false;
}

void models_look(struct models *models)
{
    struct domain *domain;
    struct move *move;
    bool any = false;

    LIST_FOREACH(domain, &models->dmd->domains, link)
    any |= domain->model != NULL;
    if (!any || models->list_asked)
        return;
    move = move_new(models->dmd, MOVE_LIST, NULL);
    if (!move)
        return;
    move->then = on_list;
    models->list_asked = move_submit(move, true, NULL);
}

struct device *model_device(struct model *model, uint32_t sbdf)
{
    return model ? find_device(model, sbdf) : NULL;
}

const struct device_list *model_devices(const struct model *model)
{
    return &model->devices;
}

const struct model_counters *model_counters(const struct model *model)
{
    return &model->counters;
}

/* ---- models ---- */

static int watch_ports(struct model *model)
{
    for (unsigned i = 0; i < model->server.nr_vcpus; i++) {
        struct port *port = &model->port[i];

        *port = (struct port){ .model = model, .vcpu = i };
        port->event = event_new(model->domain->dmd->base, hv_port_fd(model->server.port[i]),
                                EV_READ | EV_PERSIST, on_event, port);
        if (!port->event || event_add(port->event, NULL))
            return -1;
    }
    return 0;
}

/* Has it a root? A guest that ran without one gets none any more, but looking is cheap. */
static bool has_root(const struct domain *domain)
{
    struct xenlite_pci_slot_op op = { .slot = 1, .action = XENLITE_PCI_SLOT_query };

    return !xenlite_pci_slot(hv_xc(domain->dmd->hv), domain->domid, &op);
}

/* It is tried again at each scan. */
static void say_no_model(struct domain *domain, int error)
{
    if (domain->model_error == error)
        return;
    domain->model_error = error;
    message("%s (domain %u): no ioreq server: %s%s", domain->name, domain->domid, strerror(error),
            error == EMFILE
                ? ": each of its vCPUs takes one, see ulimit -Hn where xl-dmd is started"
                : "");
}

static struct model *model_new(struct domain *domain)
{
    struct model *model = calloc(1, sizeof(*model));

    if (!model)
        return NULL;
    LIST_INIT(&model->devices);
    model->domain = domain;
    model->models = domain->dmd->models;
    model->hv = domain->dmd->hv;
    if (hv_server_open(model->hv, domain->domid, &model->server)) {
        say_no_model(domain, errno);
        free(model);
        return NULL;
    }
    if (watch_ports(model)) {
        say_no_model(domain, ENOMEM);
        model_free(model);
        return NULL;
    }
    domain->model_error = 0;
    return model;
}

void model_poll(struct domain *domain)
{
    if (domain->model || !has_root(domain))
        return;
    domain->model = model_new(domain);
    if (!domain->model)
        return;
    want_list(domain->model);
    /* Requests that were there before us sent their events to our predecessor. */
    for (unsigned i = 0; i < domain->model->server.nr_vcpus; i++)
        serve(domain->model, i);
}

void model_free(struct model *model)
{
    struct device *device;

    if (!model)
        return;
    for (unsigned i = 0; i < model->server.nr_vcpus; i++)
        if (model->port[i].event)
            event_free(model->port[i].event);
    while ((device = LIST_FIRST(&model->devices)))
        remove_device(model, device, false);
    hv_server_close(model->hv, &model->server);
    free(model);
}

void models_policy_path(const struct dmd *dmd, char path[POLICY_PATH_MAX])
{
    snprintf(path, POLICY_PATH_MAX, "%s/policy.json", dmd->options.run_dir);
}

struct models *models_new(struct dmd *dmd)
{
    struct models *models = calloc(1, sizeof(*models));
    char kept[POLICY_PATH_MAX], error[POLICY_ERROR_MAX];

    if (!models)
        return NULL;
    models->dmd = dmd;
    models_policy_path(dmd, kept);
    if (!access(kept, F_OK)) {
        models->policy = policy_load(kept, error);
        if (!models->policy)
            message("the policy given at run time is not used: %s", error);
    }
    if (!models->policy)
        models->policy = policy_load(dmd->options.policy, error);
    if (models->policy)
        return models;
    message("cannot use the policy: %s", error);
    free(models);
    return NULL;
}

void models_free(struct models *models)
{
    if (!models)
        return;
    policy_free(models->policy);
    free(models);
}

const struct policy *models_policy(const struct models *models)
{
    return models->policy;
}

void models_set_policy(struct models *models, struct policy *policy)
{
    struct domain *domain;
    struct device *device;

    policy_free(models->policy);
    models->policy = policy;
    LIST_FOREACH(domain, &models->dmd->domains, link)
    if (domain->model)
        LIST_FOREACH(device, &domain->model->devices, link)
    compile_table(domain->model, device);
}
