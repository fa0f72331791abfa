/* SPDX-License-Identifier: MIT */
/* The control socket's commands about isolation, all of them the second thread's: the audit, page tables, DMA remapping. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "dm/ask.h"
#include "dm/json.h"
#include "libs/xenlite.h"

#define BREACHES_MAX 64

/* ---- audit ---- */

static struct json_object *describe_breach(const struct xenlite_breach *breach)
{
    struct json_object *object = json_object_new_object();

    add_number(object, "sentence", breach->sentence);
    add_string(object, "says", xenlite_audit_sentence(breach->sentence));
    add_string(object, "text", breach->text);
    if (breach->domid != XENLITE_NO_DOMAIN)
        add_number(object, "domid", breach->domid);
    if (breach->sbdf != XENLITE_NO_DEVICE)
        add_bdf(object, "bdf", breach->sbdf);
    if (breach->gfn != XENLITE_NO_FRAME)
        add_hex(object, "gfn", breach->gfn);
    if (breach->mfn != XENLITE_NO_FRAME)
        add_hex(object, "mfn", breach->mfn);
    add_hex(object, "entry", breach->entry);
    add_hex(object, "expected", breach->expected);
    return object;
}

static struct json_object *ask_audit(xc_interface *xch, const struct subject *subject,
                                     struct qmp_error *error)
{
    struct xenlite_breach *breaches = calloc(BREACHES_MAX, sizeof(*breaches));
    struct xenlite_audit_run run = { 0 };
    struct json_object *object, *array;

    (void)subject;
    if (!breaches || xenlite_audit(xch, breaches, BREACHES_MAX, &run)) {
        hv_failed("the audit cannot be made", error);
        free(breaches);
        return NULL;
    }
    object = json_object_new_object();
    array = json_object_new_array();
    for (unsigned i = 0; i < run.nr && i < BREACHES_MAX; i++)
        json_object_array_add(array, describe_breach(&breaches[i]));
    free(breaches);
    add_bool(object, "clean", !run.breaches);
    add_number(object, "breaches", run.breaches);
    json_object_object_add(object, "first", array);
    add_number(object, "domains", run.domains);
    add_number(object, "frames", run.frames);
    add_number(object, "tables", run.tables);
    add_number(object, "contexts", run.contexts);
    add_number(object, "remapping-entries", run.remapping_entries);
    add_number(object, "grants", run.grants);
    add_number(object, "foreign", run.foreign);
    add_number(object, "ns", run.ns);
    return object;
}

struct json_object *cmd_audit(void *context, struct json_object *arguments, struct qmp_error *error)
{
    (void)arguments;
    return ask_later(context, ask_audit, &(struct subject){ 0 }, error);
}

/* ---- query-p2m ---- */

static struct json_object *describe_types(const struct xenlite_p2m *p2m)
{
    struct json_object *array = json_object_new_array();

    for (unsigned i = 1; i < XENLITE_P2M_TYPES; i++) {
        struct json_object *type;

        if (!p2m->type[i][0])
            continue;
        type = json_object_new_object();
        add_string(type, "name", p2m->type[i]);
        add_number(type, "frames", p2m->frames[i]);
        json_object_array_add(array, type);
    }
    return array;
}

static struct json_object *describe_explain(const struct xenlite_explain *e)
{
    struct json_object *object = json_object_new_object(), *steps = json_object_new_array();

    add_hex(object, "gfn", e->gfn);
    for (unsigned i = 0; i < e->levels && i < 4; i++) {
        struct json_object *step = json_object_new_object();

        add_number(step, "level", e->step[i].level);
        add_hex(step, "table", e->step[i].table);
        add_number(step, "index", e->step[i].index);
        add_hex(step, "entry", e->step[i].entry);
        json_object_array_add(steps, step);
    }
    json_object_object_add(object, "steps", steps);
    add_number(object, "order", e->order);
    add_string(object, "type", e->type_name);
    if (e->mfn != XENLITE_NO_FRAME) {
        add_hex(object, "mfn", e->mfn);
        add_owner(object, "owner", e->owner);
        add_bool(object, "writable", e->writable);
        add_bool(object, "cached", e->cached);
        add_string(object, "use", e->use);
    }
    if (e->region[0])
        add_string(object, "region", e->region);
    if (e->reserved[0])
        add_string(object, "reserved", e->reserved);
    return object;
}

static struct json_object *describe_p2m(const struct xenlite_p2m *p2m, uint32_t domid)
{
    struct json_object *object = json_object_new_object();

    add_number(object, "domid", domid);
    add_hex(object, "root", p2m->root);
    add_number(object, "tables", p2m->tables);
    add_number(object, "pages-4k", p2m->leaves[0]);
    add_number(object, "pages-2m", p2m->leaves[1]);
    add_number(object, "pages-1g", p2m->leaves[2]);
    json_object_object_add(object, "types", describe_types(p2m));
    add_hex(object, "top-gfn", p2m->top_gfn);
    add_number(object, "address-bits", p2m->address_bits);
    add_number(object, "cpu-flushes", p2m->cpu_flushes);
    add_number(object, "iommu-flushes", p2m->iommu_flushes);
    add_number(object, "generation", p2m->generation);
    add_number(object, "devices", p2m->devices);
    add_bool(object, "shared", !p2m->shared[0]);
    if (p2m->shared[0])
        add_string(object, "reason", p2m->shared);
    return object;
}

#define NO_ADDRESS UINT64_MAX

static struct json_object *ask_p2m(xc_interface *xch, const struct subject *subject,
                                   struct qmp_error *error)
{
    const bool explained = subject->address != NO_ADDRESS;
    struct xenlite_explain explain;
    struct json_object *object;
    struct xenlite_p2m p2m;

    if (xenlite_p2m(xch, subject->domid, &p2m) ||
        (explained && xenlite_explain(xch, subject->domid, subject->address, &explain)))
        return hv_failed("the page table cannot be read", error);
    object = describe_p2m(&p2m, subject->domid);
    if (explained)
        json_object_object_add(object, "explain", describe_explain(&explain));
    return object;
}

struct json_object *cmd_query_p2m(void *context, struct json_object *arguments,
                                  struct qmp_error *error)
{
    struct subject subject = { .address = NO_ADDRESS };
    int domid;

    if (!take_domid(arguments, &domid, error) ||
        !take_number(arguments, "address", INT64_MAX, &subject.address, error))
        return NULL;
    if (domid < 0) {
        qmp_set_error(error, NULL, "'domid' is missing");
        return NULL;
    }
    subject.domid = (uint32_t)domid;
    return ask_later(context, ask_p2m, &subject, error);
}

/* ---- query-iommu ---- */

static struct json_object *describe_fault(const struct xenlite_iommu_fault *fault)
{
    struct json_object *object = json_object_new_object();

    add_number(object, "time-ns", fault->time);
    add_bdf(object, "bdf", fault->sbdf);
    if (fault->domid != XENLITE_NO_DOMAIN)
        add_owner(object, "owner", fault->domid);
    add_string(object, "access", fault->interrupt ? "interrupt" : fault->write ? "write" : "read");
    add_hex(object, "address", fault->addr);
    add_number(object, "code", fault->reason);
    add_string(object, "text", fault->text);
    add_string(object, "there", fault->there);
    return object;
}

static struct json_object *describe_units(xc_interface *xc)
{
    struct json_object *array = json_object_new_array();
    struct xenlite_iommu_unit *list;
    unsigned nr;

    if (xenlite_iommu_units(xc, &list, &nr))
        return array;
    for (unsigned i = 0; i < nr; i++) {
        struct json_object *unit = json_object_new_object();

        add_hex(unit, "registers", list[i].registers);
        add_number(unit, "segment", list[i].segment);
        add_hex(unit, "cap", list[i].cap);
        add_hex(unit, "ecap", list[i].ecap);
        add_number(unit, "levels", list[i].levels);
        add_number(unit, "address-bits", list[i].address_bits);
        add_bool(unit, "remaps-interrupts", list[i].flags & XENLITE_UNIT_REMAPS);
        add_bool(unit, "can-post-interrupts", list[i].flags & XENLITE_UNIT_CAN_POST);
        add_bool(unit, "posts-interrupts", list[i].flags & XENLITE_UNIT_POSTS);
        add_bool(unit, "failed", list[i].flags & XENLITE_UNIT_FAILED);
        add_number(unit, "remapping-entries-used", list[i].remap_used);
        add_number(unit, "faults", list[i].faults);
        add_number(unit, "invalidations", list[i].invalidations);
        json_object_array_add(array, unit);
    }
    free(list);
    return array;
}

static struct json_object *describe_devices(xc_interface *xc)
{
    static const char *const states[] = { "blocked", "attached", "quarantined" };
    struct json_object *array = json_object_new_array();
    struct xenlite_iommu_device *list;
    struct xenlite_pci_info info;
    unsigned nr;

    if (xenlite_iommu_devices(xc, &list, &nr))
        return array;
    for (unsigned i = 0; i < nr; i++) {
        struct json_object *device = json_object_new_object();

        add_bdf(device, "bdf", list[i].sbdf);
        add_owner(device, "owner", list[i].domid);
        add_number(device, "unit", list[i].unit);
        add_string(device, "state", list[i].state < 3 ? states[list[i].state] : "blocked");
        if (!xenlite_pci_info(xc, list[i].sbdf, &info))
            add_bdf(device, "group", (list[i].sbdf & 0xffff0000u) | info.group);
        add_hex(device, "context-root", list[i].context_root);
        add_hex(device, "p2m-root", list[i].p2m_root);
        add_bool(device, "shared", list[i].shared);
        add_number(device, "faults", list[i].faults);
        json_object_array_add(array, device);
    }
    free(list);
    return array;
}

static struct json_object *describe_faults(xc_interface *xc)
{
    struct json_object *array = json_object_new_array();
    struct xenlite_iommu_fault *list;
    unsigned nr;

    if (xenlite_iommu_faults(xc, &list, &nr))
        return array;
    for (unsigned i = 0; i < nr; i++)
        json_object_array_add(array, describe_fault(&list[i]));
    free(list);
    return array;
}

/* What is known of each device waits while one is being reset. */
static struct json_object *ask_iommu(xc_interface *xc, const struct subject *subject,
                                     struct qmp_error *error)
{
    struct json_object *object;
    struct xenlite_iommu iommu;

    (void)subject;
    if (xenlite_iommu(xc, &iommu))
        return hv_failed("the IOMMU's state cannot be read", error);
    object = json_object_new_object();
    add_bool(object, "present", iommu.present);
    add_bool(object, "enabled", iommu.enabled);
    add_bool(object, "interrupt-remapping", iommu.interrupt_remapping);
    add_bool(object, "posted-interrupts", iommu.posted_interrupts);
    add_bool(object, "shared", iommu.shared);
    if (iommu.reason[0])
        add_string(object, "reason", iommu.reason);
    json_object_object_add(object, "units", describe_units(xc));
    json_object_object_add(object, "devices", describe_devices(xc));
    json_object_object_add(object, "faults", describe_faults(xc));
    return object;
}

struct json_object *cmd_query_iommu(void *context, struct json_object *arguments,
                                    struct qmp_error *error)
{
    (void)arguments;
    return ask_later(context, ask_iommu, &(struct subject){ 0 }, error);
}
