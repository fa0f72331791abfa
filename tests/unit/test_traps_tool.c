/* SPDX-License-Identifier: MIT */
/*
 * libxenlite and xl-lite traps without a hypervisor: what is asked of it (a stand-in for libxencall
 * answers), names of registers, and which rows are shown in which order.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <xencall.h>

#include "tools/traps.h"

/* ---- a stand-in for the hypervisor ---- */

static struct xenlite_op last;
static unsigned calls, regions, again;
static int answer;
static unsigned buffers;

struct xencall_handle *xc_interface_xcall_handle(xc_interface *xch)
{
    (void)xch;
    return NULL;
}

void *xencall_alloc_buffer(xencall_handle *xcall, size_t size)
{
    (void)xcall;
    buffers++;
    return calloc(1, size);
}

void xencall_free_buffer(xencall_handle *xcall, void *p)
{
    (void)xcall;
    buffers--;
    errno = 77;
    free(p);
}

static void give_regions(struct xenlite_list *list)
{
    struct xenlite_trap_region *out = (void *)(uintptr_t)list->buffer;

    assert_int_equal(list->entry_size, sizeof(*out));
    for (list->nr = 0; list->nr < regions && list->nr < list->max; list->nr++) {
        out[list->nr].first = list->nr;
        out[list->nr].reads = 1;
    }
    list->total = regions;
}

static int give_records(struct xenlite_trace_read *r)
{
    struct xenlite_trap_record *out = (void *)(uintptr_t)r->buffer;

    if (r->token != 7) {
        errno = ESTALE;
        return -1;
    }
    r->nr = 2;
    r->lost = r->cpu;
    for (unsigned i = 0; i < 2; i++) {
        out[i].time = 100 * i + 10 - r->cpu;
        out[i].vcpu = (uint16_t)r->cpu;
    }
    return 0;
}

int xencall1(xencall_handle *xcall, unsigned nr, uint64_t arg)
{
    struct xenlite_op *op = (void *)(uintptr_t)arg;

    (void)xcall;
    assert_int_equal(nr, XENLITE_HYPERCALL);
    assert_int_equal(op->interface_version, XENLITE_INTERFACE_VERSION);
    calls++;
    last = *op;
    if (answer != 0) {
        errno = answer;
        return -1;
    }
    if (op->cmd == XENLITE_TRACE_regions) {
        give_regions((void *)op->args);
    }
    if (op->cmd == XENLITE_TRACE_read) {
        return give_records((void *)op->args);
    }
    if (op->cmd == XENLITE_AUDIT_run && again != 0) {
        again--;
        errno = EAGAIN;
        return -1;
    }
    return 0;
}

static int setup(void **state)
{
    (void)state;
    calls = regions = again = 0;
    answer = 0;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    assert_int_equal(buffers, 0);
    return 0;
}

/* ---- the library ---- */

static void test_lists(void **state)
{
    struct xenlite_trap_region *list = NULL;
    unsigned nr = 9;

    (void)state;
    assert_int_equal(xenlite_trap_regions(NULL, 5, &list, &nr), 0);
    assert_int_equal(nr, 0);
    assert_non_null(list);
    free(list);
    assert_int_equal(last.domid, 5);
    assert_int_equal(last.cmd, XENLITE_TRACE_regions);
    calls = 0;
    regions = 1000;
    assert_int_equal(xenlite_trap_regions(NULL, 5, &list, &nr), 0);
    assert_int_equal(nr, 1000);
    assert_int_equal(calls, 2);
    assert_int_equal(list[999].first, 999);
    free(list);
    answer = ESRCH;
    errno = 0;
    assert_int_equal(xenlite_trap_regions(NULL, 5, &list, &nr), -1);
    assert_int_equal(errno, ESRCH);
    regions = 0xffffffff;
    answer = 0;
    assert_int_equal(xenlite_trap_regions(NULL, 5, &list, &nr), -1);
    assert_int_equal(errno, EPROTO);
    assert_int_equal(xenlite_trap_regions(NULL, 0x10000, &list, &nr), -1);
    assert_int_equal(errno, EINVAL);
}

static void test_records_of_all(void **state)
{
    struct xenlite_trace_session session = { .token = 7, .cpus = 3, .ring = 16 };
    struct xenlite_trap_record *rec = NULL;
    uint64_t lost = 0;
    unsigned nr = 0;

    (void)state;
    assert_int_equal(xenlite_trace_read_all(NULL, &session, &rec, &nr, &lost), 0);
    assert_int_equal(nr, 6);
    assert_int_equal(lost, 0 + 1 + 2);
    for (unsigned i = 1; i < nr; i++) {
        assert_true(rec[i - 1].time <= rec[i].time);
    }
    assert_int_equal(rec[0].vcpu, 2);
    free(rec);
    session.token = 8;
    assert_int_equal(xenlite_trace_read_all(NULL, &session, &rec, &nr, &lost), -1);
    assert_int_equal(errno, ESTALE);
    session.cpus = 0;
    assert_int_equal(xenlite_trace_read_all(NULL, &session, &rec, &nr, &lost), -1);
    assert_int_equal(errno, EINVAL);
}

static void test_audit_again(void **state)
{
    struct xenlite_breach breaches[4];
    struct xenlite_audit_run run;

    (void)state;
    again = 2;
    assert_int_equal(xenlite_audit(NULL, breaches, 4, &run), 0);
    assert_int_equal(calls, 3);
    again = 100;
    assert_int_equal(xenlite_audit(NULL, breaches, 4, &run), -1);
    assert_int_equal(errno, EAGAIN);
}

static void test_refusal_text(void **state)
{
    struct xenlite_pci_move move = { .sbdf = 0x28 };
    char text[16] = "old";

    (void)state;
    assert_int_equal(xenlite_pci_attach(NULL, 3, &move, text, sizeof(text)), 0);
    assert_string_equal(text, "");
    assert_int_equal(last.cmd, XENLITE_PCI_attach);
    assert_int_equal(move.text, 0);
    answer = EBUSY;
    assert_int_equal(xenlite_pci_detach(NULL, 3, &move, text, sizeof(text)), -1);
    assert_int_equal(errno, EBUSY);
    assert_string_equal(xenlite_pci_stage_name(XENLITE_PCI_STAGE_group), "group");
    assert_null(xenlite_pci_stage_name(XENLITE_PCI_STAGE_done + 1));
}

/* ---- names ---- */

static const struct xenlite_capability caps[] = {
    { .offset = 0x40, .id = 0x01 },
    { .offset = 0x50, .id = 0x05, .control = 0x80 },
    { .offset = 0x70, .id = 0x10 },
    { .offset = 0xb0, .id = 0x11 },
    { .offset = 0xd0, .id = 0x5a },
    { .offset = 0x100, .id = 0x01, .extended = 1 },
    { .offset = 0x140, .id = 0x03, .extended = 1 },
};

static void check_name(int bridge, unsigned offset, const char *expected)
{
    char name[XENLITE_NAME_MAX];

    xenlite_config_name(caps, sizeof(caps) / sizeof(caps[0]), bridge, offset, name);
    assert_string_equal(name, expected);
}

static void test_names(void **state)
{
    char name[XENLITE_NAME_MAX];

    (void)state;
    check_name(0, 0x00, "vendor");
    check_name(0, 0x05, "command");
    check_name(0, 0x13, "BAR0");
    check_name(0, 0x3a, "0x03a");
    check_name(0, 0x18, "BAR2");
    check_name(1, 0x18, "bus_numbers");
    check_name(1, 0x3e, "bridge_ctl");
    check_name(0, 0x40, "PM header");
    check_name(0, 0x44, "PM PMCSR");
    check_name(0, 0x52, "MSI Control");
    check_name(0, 0x58, "MSI AddressHi");
    check_name(0, 0x5c, "MSI Data");
    check_name(0, 0x78, "PCIe DevCtl");
    check_name(0, 0x80, "PCIe LnkCtl");
    check_name(0, 0xac, "PCIe+0x3c");
    check_name(0, 0xb2, "MSI-X Control");
    check_name(0, 0xd4, "cap 0x5a+0x4");
    check_name(0, 0x104, "AER UESta");
    check_name(0, 0x144, "Serial Low");
    xenlite_config_name(caps, 5, 0, 0x200, name);
    assert_string_equal(name, "0x200");
    xenlite_config_name(NULL, 0, 0, 0xfff, name);
    assert_string_equal(name, "0xfff");
    xenlite_msix_name(3 * 16 + 12, name);
    assert_string_equal(name, "MSI-X[3].vector_control");
    xenlite_msix_name(0, name);
    assert_string_equal(name, "MSI-X[0].address");
    assert_string_equal(xenlite_kind_name(99), "?");
}

/* ---- the tool ---- */

static void test_addresses(void **state)
{
    static const char *const wrong[] = {
        "",         "5.0",        "00:05",   "00:20.0",  "00:05.8",
        "00:05.0 ", "0:00:05.0x", "xx:05.0", "00:05.00", "1:2:3:4"
    };
    uint32_t sbdf = 0;
    char text[BDF_TEXT];

    (void)state;
    assert_int_equal(bdf_parse("0001:02:03.4", &sbdf), 0);
    assert_int_equal(sbdf, 0x1021c);
    bdf_format(sbdf, text);
    assert_string_equal(text, "0001:02:03.4");
    assert_int_equal(bdf_parse("1f:1f.7", &sbdf), 0);
    assert_int_equal(sbdf, 0x1fff);
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        assert_int_equal(bdf_parse(wrong[i], &sbdf), -1);
    }
}

static void add(struct trap_rows *rows, uint32_t domid, uint32_t sbdf, unsigned kind,
                uint64_t reads, bool sum)
{
    struct trap_row *row = trap_rows_add(rows);

    assert_non_null(row);
    row->domid = domid;
    row->sbdf = sbdf;
    row->kind = kind;
    row->reads = reads;
    row->sum = sum;
}

static void fill(struct trap_rows *rows)
{
    trap_rows_free(rows);
    add(rows, 1, 0x28, XENLITE_TRAP_CONFIG, 5, false);
    add(rows, 0, XENLITE_NO_DEVICE, XENLITE_TRAP_PIO, 900, true);
    add(rows, 1, 0x30, XENLITE_TRAP_MSIX, 50, false);
    add(rows, 0, XENLITE_NO_DEVICE, XENLITE_TRAP_PIO, 7, false);
    add(rows, 2, 0x28, XENLITE_TRAP_CONFIG, 0, false);
}

static void test_rows(void **state)
{
    struct trap_rows rows = { NULL, 0, 0 };
    struct trap_filter filter = { .top = 0 };
    struct json_object *json;

    (void)state;
    fill(&rows);
    trap_rows_select(&rows, &filter);
    assert_int_equal(rows.nr, 3); /* neither sums nor what was never touched */
    assert_int_equal(rows.row[0].reads, 50);
    assert_int_equal(rows.row[2].reads, 5);
    filter.top = 1;
    trap_rows_select(&rows, &filter);
    assert_int_equal(rows.nr, 1);
    json = trap_rows_json(&rows);
    assert_string_equal(json_object_get_string(
                            json_object_object_get(json_object_array_get_idx(json, 0), "device")),
                        "0000:00:06.0");
    json_object_put(json);
    fill(&rows);
    filter = (struct trap_filter){ .has_kind = true, .kind = XENLITE_TRAP_PIO };
    trap_rows_select(&rows, &filter);
    assert_int_equal(rows.nr, 2); /* asked for: sums as well */
    assert_int_equal(rows.row[0].reads, 900);
    fill(&rows);
    filter =
        (struct trap_filter){ .has_device = true, .sbdf = 0x28, .has_domain = true, .domid = 1 };
    trap_rows_select(&rows, &filter);
    assert_int_equal(rows.nr, 1);
    assert_int_equal(rows.row[0].reads, 5);
    trap_rows_free(&rows);
    trap_rows_select(&rows, &filter);
    assert_int_equal(rows.nr, 0);
}

static void test_record(void **state)
{
    struct xenlite_trap_record rec = {
        .kind = XENLITE_TRAP_MSIX, .addr = 28, .sbdf = 0x28, .domid = 4
    };
    struct trap_names names = { .xch = NULL };
    struct trap_filter filter = { .has_device = true, .sbdf = 0x28 };
    char name[XENLITE_NAME_MAX];
    struct json_object *json;
    unsigned kind = 0;

    (void)state;
    trap_record_name(&names, &rec, name);
    assert_string_equal(name, "MSI-X[1].vector_control");
    assert_true(trap_record_wanted(&filter, &rec));
    rec.sbdf = 0x29;
    assert_false(trap_record_wanted(&filter, &rec));
    assert_int_equal(trap_kind_parse("msi-x", &kind), 0);
    assert_int_equal(kind, XENLITE_TRAP_MSIX);
    assert_int_equal(trap_kind_parse("?", &kind), -1);
    /* The hypervisor does not know the function (any more): its register has a number. */
    rec = (struct xenlite_trap_record){ .kind = XENLITE_TRAP_CONFIG, .addr = 0x78, .sbdf = 0x28 };
    trap_record_name(&names, &rec, name);
    assert_string_equal(name, "0x078");
    json = trap_record_json(&names, &rec);
    assert_string_equal(json_object_get_string(json_object_object_get(json, "register")), "0x078");
    assert_string_equal(json_object_get_string(json_object_object_get(json, "kind")), "config");
    json_object_put(json);
    trap_names_free(&names);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_lists),        TEST(test_records_of_all), TEST(test_audit_again),
        TEST(test_refusal_text), TEST(test_names),          TEST(test_addresses),
        TEST(test_rows),         TEST(test_record),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
