/* SPDX-License-Identifier: MIT */
/*
 * docs/compatibility.md against the code: each row of a table of sub-operations is called from the
 * control domain with an argument of zeroes. What the page calls refused must give that error, what
 * it calls implemented must not be unknown.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "evtchn_guest.h"
#include "hc_sim.h"
#include "hypercall/handlers.h"
#include "lib/errno.h"
#include "lib/string.h"

#include <xen/hvm/dm_op.h>
#include <xen/platform.h>
#include <xen/sysctl.h>

/* ---- how each call takes a number ---- */

static long by_struct(hc_handler fn, struct vcpu *v, uint32_t cmd, uint32_t version)
{
    uint32_t *op = hc_mem(v->domain, HC_ARG);

    memset(op, 0, 256);
    op[0] = cmd;
    op[1] = version;
    return fn(v, HC_ARG, 0, 0, 0, 0);
}

/* For another domain: device models have no business with their own. */
static long by_buffer(struct vcpu *v, uint32_t cmd)
{
    struct xen_dm_op *op = hc_mem(v->domain, HC_ARG + 256);
    struct xen_dm_op_buf buf = { .size = sizeof(struct xen_dm_op) };

    hc_domain(5, 1, 64);
    memset(op, 0, 256);
    op->op = cmd;
    /* Of these the page's remarks tell what is refused. */
    if (cmd == XEN_DMOP_get_ioreq_server_info)
        op->u.get_ioreq_server_info.flags = XEN_DMOP_no_gfns;
    if (cmd == XEN_DMOP_map_io_range_to_ioreq_server || cmd == XEN_DMOP_unmap_io_range_from_ioreq_server)
        op->u.map_io_range_to_ioreq_server.type = XEN_DMOP_IO_RANGE_PCI;
    buf.h.p = (void *)(HC_ARG + 256ul);
    memcpy(hc_mem(v->domain, HC_ARG), &buf, sizeof(buf));
    return do_dm_op(v, 5, 1, HC_ARG, 0, 0);
}

static long call(const char *section, struct vcpu *v, uint32_t cmd)
{
    static const struct {
        const char *name;
        hc_handler fn;
        uint32_t version; /* != 0: number and version are in a structure */

    } calls[] = {
        { "xen_version", do_xen_version, 0 },
        { "vcpu_op", do_vcpu_op, 0 },
        { "sched_op", do_sched_op, 0 },
        { "event_channel_op", do_event_channel_op, 0 },
        { "physdev_op", do_physdev_op, 0 },
        { "hvm_op", do_hvm_op, 0 },
        { "console_io", do_console_io, 0 },
        { "platform_op", do_platform_op, XENPF_INTERFACE_VERSION },
        { "sysctl", do_sysctl, XEN_SYSCTL_INTERFACE_VERSION },
        { "domctl", do_domctl, XEN_DOMCTL_INTERFACE_VERSION },
    };

    for (unsigned i = 0; i < ARRAY_SIZE(calls); i++) {
        bool vcpu = strcmp(section, "vcpu_op") == 0, console = strcmp(section, "console_io") == 0;

        if (strcmp(section, "dm_op") == 0)
            return by_buffer(v, cmd);
        if (strcmp(section, calls[i].name) != 0)
            continue;
        if (calls[i].version)
            return by_struct(calls[i].fn, v, cmd, calls[i].version);
        memset(hc_mem(v->domain, HC_ARG), 0, 256);
        if (vcpu || console)
            return calls[i].fn(v, cmd, 0, HC_ARG, 0, 0);
        return calls[i].fn(v, cmd, HC_ARG, 0, 0, 0);
    }
    return 1; /* a table of somebody else's */
}

static long error_of(const char *name)
{
    static const struct {
        const char *name;
        long value;
    } errors[] = {
        { "-ENOSYS", -ENOSYS },         { "-EINVAL", -EINVAL }, { "-ENODATA", -ENODATA },
        { "-EOPNOTSUPP", -EOPNOTSUPP }, { "-EPERM", -EPERM },
    };

    for (unsigned i = 0; i < ARRAY_SIZE(errors); i++)
        if (strcmp(name, errors[i].name) == 0)
            return errors[i].value;
    fail_msg("no such error: %s", name);
    return 0;
}

/* Every row on a fresh machine, where operations that need the FIFO ABI find it. */
static long fresh_call(const char *section, uint32_t nr)
{
    struct evtchn_guest g;
    struct domain *d;

    hc_reset();
    d = hc_domain(0, 1, 1024);
    eg_init(&g, d);
    if (strcmp(section, "event_channel_op") == 0 && nr == EVTCHNOP_set_priority)
        assert_int_equal(eg_use_fifo(&g, 1024), 0);
    return call(section, d->vcpu[0], nr);
}

static void check_row(const char *section, const char *row, unsigned *checked)
{
    char name[80], answer[40];
    unsigned nr;
    long rc;

    if (sscanf(row, "| %u | %79s | %39s |", &nr, name, answer) != 3)
        return;
    rc = fresh_call(section, nr);
    if (rc == 1 && strcmp(name, "VCPUOP_is_up") != 0 && strcmp(name, "SCHEDOP_watchdog") != 0)
        return;
    if (strcmp(answer, "yes") == 0) {
        if (rc == -ENOSYS || (rc == -EOPNOTSUPP && strcmp(section, "dm_op") == 0))
            fail_msg("%s is said to be implemented", name);
    } else if (rc != error_of(answer)) {
        fail_msg("%s answers %ld, not %s", name, rc, answer);
    }
    (*checked)++;
}

static void test_page(void **state)
{
    const char *srcdir = getenv("srcdir");
    char path[512], line[1024], section[64] = "";
    unsigned checked = 0;
    FILE *f;

    (void)state;
    snprintf(path, sizeof(path), "%s/docs/compatibility.md", srcdir ? srcdir : ".");
    f = fopen(path, "r");
    assert_non_null(f);
    while (fgets(line, sizeof(line), f)) {
        if (line[0] == '#')
            section[0] = '\0';
        if (sscanf(line, "## %63s (", section) != 1)
            check_row(section, line, &checked);
    }
    fclose(f);
    hc_reset();
    assert_true(checked > 200);
}

/* Numbers beyond the tables are unknown. */
static void test_unknown(void **state)
{
    (void)state;
    for (uint32_t nr = 100; nr < 1u << 31; nr = nr * 3 + 1) {
        assert_int_equal(fresh_call("xen_version", nr), -ENOSYS);
        assert_int_equal(fresh_call("vcpu_op", nr), -ENOSYS);
        assert_int_equal(fresh_call("sched_op", nr), -ENOSYS);
        assert_int_equal(fresh_call("event_channel_op", nr), -ENOSYS);
        assert_int_equal(fresh_call("physdev_op", nr), -ENOSYS);
        assert_int_equal(fresh_call("hvm_op", nr), -ENOSYS);
        assert_int_equal(fresh_call("console_io", nr), -ENOSYS);
        assert_int_equal(fresh_call("platform_op", nr), -ENOSYS);
        assert_int_equal(fresh_call("sysctl", nr), -ENOSYS);
        assert_int_equal(fresh_call("domctl", nr), -ENOSYS);
        assert_int_equal(fresh_call("dm_op", nr), -EOPNOTSUPP);
    }
    hc_reset();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_page),
        cmocka_unit_test(test_unknown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
