/* SPDX-License-Identifier: MIT */
/*
 * xl-lite audit: has the hypervisor prove its isolation sentences; and xl-lite p2m: what a domain's
 * page table holds, and how one address is translated.
 */
#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "traps.h"
#include "xl.h"

/* Breaches shown; all are counted. */
#define MOST_SHOWN 256

static void add_number(struct json_object *o, const char *key, uint64_t value)
{
    json_object_object_add(o, key, json_object_new_uint64(value));
}

static void add_text(struct json_object *o, const char *key, const char *value)
{
    json_object_object_add(o, key, json_object_new_string(value));
}

/* null when there is none. */
static void add_optional(struct json_object *o, const char *key, uint64_t value, uint64_t none)
{
    json_object_object_add(o, key, value != none ? json_object_new_uint64(value) : NULL);
}

static void print_json(struct json_object *o)
{
    puts(json_object_to_json_string_ext(o,
                                        JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_NOSLASHESCAPE));
    json_object_put(o);
}

static int json_option(int argc, char **argv, bool *json, int *status)
{
    static const struct option options[] = { { "json", no_argument, NULL, 'j' },
                                             { NULL, 0, NULL, 0 } };
    int option;

    *status = XL_USAGE;
    while ((option = xl_getopt(argc, argv, "", options, status)) != -1) {
        if (option != 'j') {
            return -1;
        }
        *json = true;
    }
    return 0;
}

/* ---- audit ---- */

static struct json_object *breach_json(const struct xenlite_breach *b)
{
    struct json_object *o = json_object_new_object();
    char bdf[BDF_TEXT], sentence[8];

    snprintf(sentence, sizeof(sentence), "A%u", b->sentence);
    bdf_format(b->sbdf, bdf);
    add_text(o, "sentence", sentence);
    add_text(o, "text", b->text);
    add_optional(o, "domid", b->domid, XENLITE_NO_DOMAIN);
    json_object_object_add(o, "device",
                           b->sbdf != XENLITE_NO_DEVICE ? json_object_new_string(bdf) : NULL);
    add_optional(o, "gfn", b->gfn, XENLITE_NO_FRAME);
    add_optional(o, "mfn", b->mfn, XENLITE_NO_FRAME);
    add_number(o, "entry", b->entry);
    add_number(o, "expected", b->expected);
    return o;
}

static struct json_object *audit_json(const struct xenlite_audit_run *run,
                                      const struct xenlite_breach *breaches)
{
    struct json_object *o = json_object_new_object(), *array = json_object_new_array();

    for (unsigned i = 0; i < run->nr; i++) {
        json_object_array_add(array, breach_json(&breaches[i]));
    }
    json_object_object_add(o, "clean", json_object_new_boolean(run->breaches == 0));
    add_number(o, "breaches", run->breaches);
    json_object_object_add(o, "list", array);
    add_number(o, "domains", run->domains);
    add_number(o, "frames", run->frames);
    add_number(o, "tables", run->tables);
    add_number(o, "foreign", run->foreign);
    add_number(o, "grants", run->grants);
    add_number(o, "contexts", run->contexts);
    add_number(o, "remapping_entries", run->remapping_entries);
    add_number(o, "ns", run->ns);
    return o;
}

static void print_breach(const struct xenlite_breach *b)
{
    char bdf[BDF_TEXT];

    printf("A%u broken: %s", b->sentence, b->text);
    if (b->domid != XENLITE_NO_DOMAIN) {
        printf("; domain %u", b->domid);
    }
    if (b->sbdf != XENLITE_NO_DEVICE) {
        bdf_format(b->sbdf, bdf);
        printf("; device %s", bdf);
    }
    if (b->gfn != XENLITE_NO_FRAME) {
        printf("; %s %#" PRIx64, b->sentence == 5 ? "index" : "guest frame", b->gfn);
    }
    if (b->mfn != XENLITE_NO_FRAME) {
        printf("; machine frame %#" PRIx64, b->mfn);
    }
    printf("; entry %#" PRIx64, b->entry);
    if (b->expected != 0) {
        printf(", should be %#" PRIx64, b->expected);
    }
    putchar('\n');
}

static void print_audit(const struct xenlite_audit_run *run, const struct xenlite_breach *breaches)
{
    for (unsigned i = 0; i < run->nr; i++) {
        print_breach(&breaches[i]);
    }
    for (unsigned n = 1; n <= XENLITE_AUDIT_SENTENCES; n++) {
        unsigned broken = 0;

        for (unsigned i = 0; i < run->nr; i++) {
            broken += breaches[i].sentence == n;
        }
        printf("A%u %-6s %s\n", n, broken != 0 ? "BROKEN" : "holds", xenlite_audit_sentence(n));
    }
    printf("Looked at %u domains, %" PRIu64 " frames in %" PRIu64 " tables, %" PRIu64
           " foreign frames, %u grants, %u context entries, %u remapping entries in %.1f ms.\n",
           run->domains, run->frames, run->tables, run->foreign, run->grants, run->contexts,
           run->remapping_entries, (double)run->ns / 1e6);
    if (run->breaches != 0) {
        printf("%" PRIu64 " breaches.\n", run->breaches);
    } else {
        puts("No breach.");
    }
}

int cmd_audit(int argc, char **argv)
{
    static struct xenlite_breach breaches[MOST_SHOWN];
    struct xenlite_audit_run run;
    bool json = false;
    int status;

    if (json_option(argc, argv, &json, &status) != 0 || xl_arguments(argc, 0, 0) != 0) {
        return status;
    }
    if (xl_open() != 0) {
        return XL_FAILED;
    }
    if (xenlite_audit(xl.xch, breaches, MOST_SHOWN, &run) != 0) {
        xl_hv_error("cannot audit");
        return XL_FAILED;
    }
    if (json) {
        print_json(audit_json(&run, breaches));
    } else {
        print_audit(&run, breaches);
    }
    return run.breaches == 0 ? XL_OK : XL_FAILED;
}

/* ---- p2m ---- */

static const char *const sizes[3] = { "4 KiB", "2 MiB", "1 GiB" };

static struct json_object *p2m_json(const struct xenlite_p2m *p)
{
    static const char *const keys[3] = { "4k", "2m", "1g" };
    struct json_object *o = json_object_new_object(), *types = json_object_new_object(),
                       *leaves = json_object_new_object();

    for (unsigned i = 1; i < XENLITE_P2M_TYPES && p->type[i][0] != '\0'; i++) {
        add_number(types, p->type[i], p->frames[i]);
    }
    for (unsigned i = 0; i < 3; i++) {
        add_number(leaves, keys[i], p->leaves[i]);
    }
    json_object_object_add(o, "frames", types);
    json_object_object_add(o, "leaves", leaves);
    add_number(o, "tables", p->tables);
    add_number(o, "root", p->root << 12);
    add_number(o, "subroot", p->subroot << 12);
    add_number(o, "address_bits", p->address_bits);
    add_number(o, "top", p->top_gfn << 12);
    add_number(o, "devices", p->devices);
    json_object_object_add(o, "shared", json_object_new_boolean(p->shared[0] == '\0'));
    add_text(o, "reason", p->shared);
    add_number(o, "splits", p->splits);
    add_number(o, "merges", p->merges);
    add_number(o, "cpu_flushes", p->cpu_flushes);
    add_number(o, "iommu_flushes", p->iommu_flushes);
    return o;
}

static void print_p2m(const struct xenlite_p2m *p)
{
    printf("Root %#" PRIx64 ", below it %#" PRIx64 " for units with three levels; %u bits; %" PRIu64
           " tables\n",
           p->root << 12, p->subroot << 12, p->address_bits, p->tables);
    if (p->shared[0] == '\0') {
        printf("Shared by processors and %u devices\n", p->devices);
    } else {
        printf("Not shared with devices: %s\n", p->shared);
    }
    for (unsigned i = 1; i < XENLITE_P2M_TYPES && p->type[i][0] != '\0'; i++) {
        if (p->frames[i] != 0) {
            printf("%-12s %10" PRIu64 " frames %10" PRIu64 " KiB\n", p->type[i], p->frames[i],
                   p->frames[i] * 4);
        }
    }
    for (unsigned i = 0; i < 3; i++) {
        printf("%-12s %10" PRIu64 " entries\n", sizes[i], p->leaves[i]);
    }
    printf("%" PRIu64 " splits, %" PRIu64 " merges, %" PRIu64 " flushes of processors, %" PRIu64
           " of units\n",
           p->splits, p->merges, p->cpu_flushes, p->iommu_flushes);
}

static struct json_object *explain_json(const struct xenlite_explain *e)
{
    struct json_object *o = json_object_new_object(), *steps = json_object_new_array();

    for (unsigned i = 0; i < e->levels && i < 4; i++) {
        struct json_object *s = json_object_new_object();

        add_number(s, "level", e->step[i].level);
        add_number(s, "table", e->step[i].table << 12);
        add_number(s, "index", e->step[i].index);
        add_number(s, "entry", e->step[i].entry);
        json_object_array_add(steps, s);
    }
    add_number(o, "gfn", e->gfn);
    json_object_object_add(o, "levels", steps);
    add_text(o, "type", e->type_name);
    add_number(o, "size", 4096ull << e->order);
    add_optional(o, "mfn", e->mfn, XENLITE_NO_FRAME);
    add_optional(o, "owner", e->owner, XENLITE_NO_DOMAIN);
    json_object_object_add(o, "writable", json_object_new_boolean(e->writable));
    json_object_object_add(o, "cached", json_object_new_boolean(e->cached));
    add_number(o, "users", e->users);
    add_text(o, "use", e->use);
    add_text(o, "trapped_by", e->region);
    add_text(o, "reserved", e->reserved);
    return o;
}

static void print_explain(const struct xenlite_explain *e)
{
    for (unsigned i = 0; i < e->levels && i < 4; i++) {
        printf("level %u  table %#014" PRIx64 "  entry %3u  %#018" PRIx64 "\n", e->step[i].level,
               e->step[i].table << 12, e->step[i].index, e->step[i].entry);
    }
    if (e->mfn == XENLITE_NO_FRAME) {
        printf("Guest frame %#" PRIx64 " is not mapped", e->gfn);
        printf(e->region[0] != '\0' ? "; accesses trap to %s\n" : "; nothing traps there\n",
               e->region);
        return;
    }
    printf("Guest frame %#" PRIx64 " is machine frame %#" PRIx64 ", %s, %s%s, in a %s page\n",
           e->gfn, e->mfn, e->type_name, e->writable ? "writable" : "read-only",
           e->cached ? "" : ", uncached", e->order < 27 ? sizes[e->order / 9] : "?");
    printf("The frame is %s of ", e->use);
    if (e->owner < DOMID_FIRST_RESERVED) {
        printf("domain %u", e->owner);
    } else {
        printf("%s", e->owner == DOMID_IO ? "no domain" : "the hypervisor");
    }
    printf(", %u other references\n", e->users);
    if (e->reserved[0] != '\0') {
        printf("No domain may map it: %s\n", e->reserved);
    }
}

static int explain_address(uint32_t domid, const char *text, bool json)
{
    struct xenlite_explain e;
    uint64_t address;

    if (xl_number(text, UINT64_MAX, &address) != 0) {
        xl_error("'%s' is no address", text);
        return XL_USAGE;
    }
    if (xenlite_explain(xl.xch, domid, address, &e) != 0) {
        xl_hv_error("cannot read the page table");
        return XL_FAILED;
    }
    if (json) {
        print_json(explain_json(&e));
    } else {
        print_explain(&e);
    }
    return XL_OK;
}

int cmd_p2m(int argc, char **argv)
{
    struct xenlite_p2m p;
    bool json = false;
    uint32_t domid;
    int status;

    if (json_option(argc, argv, &json, &status) != 0 || xl_arguments(argc, 1, 2) != 0) {
        return status;
    }
    if (xl_open() != 0 || xl_find_domain(argv[optind], &domid) != 0) {
        return XL_FAILED;
    }
    if (optind + 1 < argc) {
        return explain_address(domid, argv[optind + 1], json);
    }
    if (xenlite_p2m(xl.xch, domid, &p) != 0) {
        xl_hv_error("cannot read the page table");
        return XL_FAILED;
    }
    if (json) {
        print_json(p2m_json(&p));
    } else {
        print_p2m(&p);
    }
    return XL_OK;
}
