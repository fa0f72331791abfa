/* SPDX-License-Identifier: MIT */
/*
 * guest.cfg: what is accepted, what is refused and with which message and line, warnings,
 * overrides; and sets of CPUs and UUIDs.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "tools/cfg_lines.h"
#include "tools/cpus.h"
#include "tools/guest_cfg.h"
#include "tools/uuid.h"

#define BASE "name = \"g\"\ntype = \"pvh\"\nkernel = \"/k\"\nmemory = 128\n"

static struct guest_cfg cfg;
static char *complaints;

/* Parses text with overrides; leaves cfg and complaints, which release() frees. */
static int parse(const char *text, char *const *overrides, unsigned nr)
{
    size_t size = 0;
    FILE *report = open_memstream(&complaints, &size);
    int rc;

    assert_non_null(report);
    rc = guest_cfg_parse(&cfg, "g.cfg", text, strlen(text), overrides, nr, report);
    fclose(report);
    return rc;
}

static void release(void)
{
    guest_cfg_free(&cfg);
    free(complaints);
    complaints = NULL;
}

static void accepts(const char *text)
{
    if (parse(text, NULL, 0) != 0) {
        fail_msg("refused: %s", complaints);
    }
}

static void refuses(const char *text, const char *message)
{
    assert_int_not_equal(parse(text, NULL, 0), 0);
    if (strstr(complaints, message) == NULL) {
        fail_msg("'%s' is not in: %s", message, complaints);
    }
    release();
}

static void test_minimal(void **state)
{
    (void)state;
    accepts(BASE);
    assert_string_equal(complaints, "");
    assert_string_equal(cfg.name, "g");
    assert_string_equal(cfg.kernel, "/k");
    assert_string_equal(cfg.cmdline, "");
    assert_null(cfg.ramdisk);
    assert_int_equal(cfg.memory_mb, 128);
    assert_int_equal(cfg.maxmem_mb, 128);
    assert_int_equal(cfg.vcpus, 1);
    assert_int_equal(cfg.maxvcpus, 1);
    assert_int_equal(cfg.nr_pins, 0);
    assert_int_equal(cfg.on_poweroff, ACTION_DESTROY);
    assert_int_equal(cfg.on_reboot, ACTION_RESTART);
    assert_int_equal(cfg.on_crash, ACTION_DESTROY);
    assert_int_equal(cfg.timer_mode, 1);
    assert_false(cfg.has_uuid);
    release();
}

static void test_pci(void **state)
{
    (void)state;
    accepts(BASE "pci = [ \"00:05.0\" ]\n");
    assert_int_equal(cfg.nr_pci, 1);
    assert_true(cfg.pci_root);
    assert_int_equal(cfg.pci[0].sbdf, 5 << 3);
    assert_false(cfg.pci[0].permissive || cfg.pci[0].seize || cfg.pci[0].group);
    release();
    accepts(BASE "pci_permissive = 1\npci = [ \"0001:ff:1f.7@10,permissive=0,rdm_policy=strict\",\n"
                 "\"bdf=02:00.*,seize=1,power_mgmt=1\" ]\n");
    assert_int_equal(cfg.nr_pci, 2);
    assert_int_equal(cfg.pci_line, 6);
    assert_int_equal(cfg.pci[0].sbdf, 0x1ffff);
    assert_int_equal(cfg.pci[0].slot, 16);
    assert_false(cfg.pci[0].permissive);
    assert_int_equal(cfg.pci[1].sbdf, 0x200);
    assert_true(cfg.pci[1].permissive && cfg.pci[1].seize && cfg.pci[1].group);
    release();
    accepts(BASE "passthrough = \"enabled\"\n");
    assert_true(cfg.pci_root);
    assert_int_equal(cfg.nr_pci, 0);
    release();
    accepts(BASE "pci = [ ]\n");
    assert_false(cfg.pci_root);
    release();
}

static void test_everything(void **state)
{
    (void)state;
    accepts("# a comment\n" BASE "uuid = \"01234567-89ab-cdef-0123-456789ABCDEF\"\nramdisk = "
            "'/r'\nextra = \"quiet\"; root = \"/dev/xvda\"\n"
            "maxmem = 256\nvcpus = 2\nmaxvcpus = 4\ncpus = [\"0\",\n \"1-2,^1\"]\ncpu_weight = "
            "512\non_poweroff = \"preserve\"\n"
            "on_reboot = \"destroy\"\non_crash = \"restart\"\ntsc_mode = \"native\"\ntimer_mode = "
            "2\npci = [ ]");
    assert_string_equal(complaints, "");
    assert_true(cfg.has_uuid);
    assert_int_equal(cfg.uuid[0], 0x01);
    assert_int_equal(cfg.uuid[15], 0xef);
    assert_string_equal(cfg.ramdisk, "/r");
    assert_string_equal(cfg.cmdline, "root=/dev/xvda quiet");
    assert_int_equal(cfg.maxmem_mb, 256);
    assert_int_equal(cfg.maxvcpus, 4);
    assert_int_equal(cfg.nr_pins, 2);
    assert_true(cpu_set_test(&cfg.pins[1], 2));
    assert_false(cpu_set_test(&cfg.pins[1], 1));
    assert_int_equal(cfg.cpu_weight, 512);
    assert_int_equal(cfg.on_poweroff, ACTION_PRESERVE);
    assert_int_equal(cfg.on_reboot, ACTION_DESTROY);
    assert_int_equal(cfg.on_crash, ACTION_RESTART);
    assert_int_equal(cfg.tsc_mode, 2);
    assert_int_equal(cfg.timer_mode, 2);
    release();
}

static void test_no_ramdisk(void **state)
{
    (void)state;
    accepts(BASE "ramdisk = \"/r\"\nramdisk = \"\"\n");
    assert_null(cfg.ramdisk);
    release();
}

static void test_cmdline_wins(void **state)
{
    (void)state;
    accepts(BASE "cmdline = \"a b\"\nroot = \"x\"\n");
    assert_string_equal(cfg.cmdline, "a b");
    assert_string_equal(complaints, "g.cfg:6: warning: ignored, because cmdline is given\n");
    release();
}

/* A list of one entry binds the first vCPU only, a string all of them. */
static void test_cpus_forms(void **state)
{
    (void)state;
    accepts(BASE "vcpus = 2\ncpus = \"1\"\n");
    assert_int_equal(cfg.nr_pins, 1);
    release();
    accepts(BASE "vcpus = 2\ncpus = [\"1\"]\n");
    assert_int_equal(cfg.nr_pins, 2);
    assert_true(cpu_set_is_all(&cfg.pins[1], CPU_SET_MAX));
    release();
}

static void test_dedicated_cpus(void **state)
{
    static const char *const wrong[] = {
        "vcpus = 2\ndedicated_cpus = 1\n",
        "vcpus = 2\ncpus = \"1\"\ndedicated_cpus = 1\n",
        "vcpus = 2\ncpus = \"0-1\"\ndedicated_cpus = 1\n",
        "vcpus = 2\ncpus = [\"1\"]\ndedicated_cpus = 1\n",
        "vcpus = 2\ncpus = [\"1\", \"1\"]\ndedicated_cpus = 1\n",
        "vcpus = 2\ncpus = [\"1\", \"2-3\"]\ndedicated_cpus = 1\n",
        "vcpus = 3\ncpus = [\"1\", \"2\"]\ndedicated_cpus = 1\n",
        "vcpus = 1\ncpus = \"1\"\ndedicated_cpus = 2\n",
        "vcpus = 1\ncpus = \"1\"\ndedicated_cpus = \"yes\"\n",
    };
    char text[256];

    (void)state;
    accepts(BASE "vcpus = 2\ncpus = \"2-5,^3\"\ndedicated_cpus = 1\n");
    assert_true(cfg.dedicated_cpus);
    assert_int_equal(cfg.nr_pins, 2);
    assert_int_equal(cfg.pins[0].bits[0], 1u << 2);
    assert_int_equal(cfg.pins[1].bits[0], 1u << 4);
    release();
    accepts(BASE "vcpus = 2\ncpus = [\"7\", \"1\"]\ndedicated_cpus = 1\n");
    assert_int_equal(cfg.pins[0].bits[0], 1u << 7);
    assert_int_equal(cfg.pins[1].bits[0], 1u << 1);
    release();
    accepts(BASE "cpus = \"0-1\"\ndedicated_cpus = 0\n");
    assert_false(cfg.dedicated_cpus);
    assert_int_equal(cfg.nr_pins, 1);
    release();
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        snprintf(text, sizeof(text), BASE "%s", wrong[i]);
        refuses(text, ": error: ");
    }
}

static void test_unknown_keys_warn(void **state)
{
    (void)state;
    accepts(BASE "vif = [ 'a=1',\n 'b' ]\n\n# x = 1\nnote = \"memory = 3\"; seven = 7\n");
    assert_string_equal(complaints, "g.cfg:5: warning: unknown key 'vif' is ignored\n"
                                    "g.cfg:9: warning: unknown key 'note' is ignored\n"
                                    "g.cfg:9: warning: unknown key 'seven' is ignored\n");
    release();
}

static void test_refusals(void **state)
{
    (void)state;
    refuses("", "g.cfg: error: name is missing");
    refuses("name=\"g\"\nkernel=\"k\"\n", "memory is missing");
    refuses("name=\"g\"\nmemory=64\n", "kernel is missing");
    refuses(BASE "memory = 0\n", "g.cfg:5: error: memory = 0 is out of range");
    refuses(BASE "memory = -1\n", "g.cfg");
    refuses(BASE "memory = \"lots\"\n", "g.cfg:5: error: memory must be a whole number");
    refuses(BASE "memory = [\"1\"]\n", "g.cfg:5: error: memory must be a whole number");
    refuses(BASE "memory = 99999999999999999999\n",
            "g.cfg:5: error: memory must be a whole number");
    refuses(BASE "maxmem = 64\n", "g.cfg:5: error: maxmem = 64 is less than memory = 128");
    refuses(BASE "vcpus = 0\n", "g.cfg:5: error: vcpus = 0 is out of range: 1 to 128");
    refuses(BASE "vcpus = 10000\n", "g.cfg:5: error: vcpus = 10000 is out of range");
    refuses(BASE "vcpus = 4\nmaxvcpus = 2\n",
            "g.cfg:6: error: maxvcpus = 2 is less than vcpus = 4");
    refuses(BASE "cpus = \"3-1\"\n", "g.cfg:5: error: cpus: '3-1' is no set of CPUs");
    refuses(BASE "cpus = 3.5\n", "g.cfg");
    refuses(BASE "cpus = [\"0\", \"1\"]\n", "cpus has 2 entries for 1 vCPUs");
    refuses(BASE "cpus = [ [\"0\"] ]\n", "entry 1 is no string");
    refuses(BASE "cpu_weight = 70000\n", "g.cfg:5: error: cpu_weight = 70000 is out of range");
    refuses(BASE "type = \"hvm\"\n", "g.cfg:5: error: type 'hvm' is not supported");
    refuses(BASE "uuid = \"0123\"\n", "g.cfg:5: error: uuid '0123' has not the form");
    refuses(BASE "on_crash = \"coredump-destroy\"\n",
            "g.cfg:5: error: on_crash = \"coredump-destroy\" is not supported");
    refuses(BASE "tsc_mode = \"x\"\n", "g.cfg:5: error: tsc_mode = \"x\" is not known");
    refuses(BASE "tsc_mode = 9\n", "g.cfg:5: error: tsc_mode = 9 is out of range");
    refuses(BASE "pci = [ \"00:02\" ]\n", "g.cfg:5: error: pci: '00:02' is no PCI function");
    refuses(BASE "pci = [ \"00:20.0\" ]\n", "'00:20.0' is no PCI function");
    refuses(BASE "pci = [ \"00:02.8\" ]\n", "'00:02.8' is no PCI function");
    refuses(BASE "pci = [ \"00:02.0x\" ]\n", "'00:02.0x' is no PCI function");
    refuses(BASE "pci = [ \"00:02.0@11\" ]\n", "there is no slot '11'");
    refuses(BASE "pci = [ \"00:02.0,permissive\" ]\n", "permissive wants 0 or 1");
    refuses(BASE "pci = [ \"00:02.0,speed=1\" ]\n", "option 'speed' is not supported");
    refuses(BASE "pci = [ \"permissive=1\" ]\n", "names no function");
    refuses(BASE "pci = [ \"00:02.0\", \"0000:00:02.0\" ]\n", "is named twice");
    refuses(BASE "pci = [ \"00:02.0@3\", \"00:03.0@3\" ]\n", "slot 3 is given twice");
    refuses(BASE "pci = [ \"00:02.0\" ]\npassthrough = \"disabled\"\n", "contradict each other");
    refuses(BASE "passthrough = \"sync_pt\"\n", "g.cfg:5: error: passthrough = \"sync_pt\"");
    refuses(BASE "passthrough = \"enabled\"\nmaxmem = 300000\n", "has at most 261120 MiB");
    refuses(BASE "pci = \"00:02.0\"\n", "g.cfg:5: error: pci must be a list");
    refuses(BASE "kernel = \"\"\n", "g.cfg:5: error: kernel is empty");
    refuses(BASE "kernel = [ ]\n", "g.cfg:5: error: kernel must be a string");
}

static void test_names(void **state)
{
    static const char *const wrong[] = {
        "",
        "a b",
        "a/b",
        "17",
        "Domain-0",
        "a\tb",
        "0123456789012345678901234567890123456789012345678901234567890123x"
    };
    char text[256];

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        snprintf(text, sizeof(text), BASE "name = \"%s\"\n", wrong[i]);
        refuses(text, "g.cfg:5: error: name must be");
    }
    accepts(BASE "name = \"web-1.x\"\n");
    release();
}

static void test_syntax(void **state)
{
    (void)state;
    refuses(BASE "memory = \n", "g.cfg:");
    refuses("= 3\n", "not the syntax");
    refuses(BASE "name = \"open\n", "not the syntax");
    refuses(BASE "cpus = [ \"0\"\n", "not the syntax");
}

static void test_overrides(void **state)
{
    char memory[] = "memory=512", name[] = "name='h'", bad_value[] = "vcpus=0",
         bad_syntax[] = "name=h i", none[] = "hello";
    char *good[] = { memory, name }, *value[] = { bad_value }, *syntax[] = { bad_syntax },
         *nothing[] = { none };

    (void)state;
    assert_int_equal(parse(BASE, good, 2), 0);
    assert_string_equal(cfg.name, "h");
    assert_int_equal(cfg.memory_mb, 512);
    assert_non_null(strstr(cfg.text, "memory=512"));
    release();
    assert_int_not_equal(parse(BASE, value, 1), 0);
    assert_non_null(strstr(complaints, "command line: error: vcpus = 0 is out of range"));
    release();
    assert_int_not_equal(parse(BASE, syntax, 1), 0);
    assert_non_null(strstr(complaints, "command line"));
    release();
    assert_int_not_equal(parse(BASE, nothing, 1), 0);
    assert_non_null(strstr(complaints, "is no assignment"));
    release();
}

static void test_limits(void **state)
{
    char *text = malloc(CFG_MAX_TEXT + 16);

    (void)state;
    assert_non_null(text);
    memset(text, '\n', CFG_MAX_TEXT + 15);
    text[CFG_MAX_TEXT + 15] = '\0';
    refuses(text, "larger than");
    strcpy(text, BASE "cmdline = \"");
    memset(text + strlen(text), 'x', CFG_MAX_CMDLINE + 1);
    strcpy(text + strlen(BASE "cmdline = \"") + CFG_MAX_CMDLINE + 1, "\"\n");
    refuses(text, "g.cfg:5: error: the command line is longer");
    free(text);
}

static void test_files(void **state)
{
    char path[] = "/tmp/test_guest_cfg.XXXXXX", text[512];
    const int fd = mkstemp(path);
    size_t size = 0;
    FILE *report;
    int len;

    (void)state;
    assert_true(fd >= 0);
    len = snprintf(text, sizeof(text),
                   "name=\"g\"\ntype=\"pvh\"\nmemory=64\nkernel=\"%s\"\nramdisk=\"%s.none\"\n",
                   path, path);
    assert_int_equal(write(fd, text, (size_t)len), len);
    close(fd);
    report = open_memstream(&complaints, &size);
    assert_int_not_equal(guest_cfg_load(&cfg, path, NULL, 0, report), 0);
    fclose(report);
    assert_non_null(strstr(complaints, ":5: error: ramdisk '"));
    assert_non_null(strstr(complaints, "No such file"));
    release();
    report = open_memstream(&complaints, &size);
    assert_int_not_equal(guest_cfg_load(&cfg, "/tmp", NULL, 0, report), 0);
    assert_int_not_equal(guest_cfg_load(&cfg, "/nonexistent.cfg", NULL, 0, report), 0);
    fclose(report);
    release();
    unlink(path);
}

static void test_lines(void **state)
{
    static const char text[] =
        "a=1\n  b += 2 ; c = [ 'd=1',\ne = 2 ]\nf = \"x\\\"g = 1\"\n# h = 1\ni 3\nj=1";
    struct cfg_key keys[8];

    (void)state;
    assert_int_equal(cfg_find_keys(text, strlen(text), keys, 8), 5);
    assert_string_equal(keys[0].name, "a");
    assert_string_equal(keys[1].name, "b");
    assert_int_equal(keys[1].line, 2);
    assert_string_equal(keys[2].name, "c");
    assert_string_equal(keys[3].name, "f");
    assert_int_equal(keys[3].line, 4);
    assert_string_equal(keys[4].name, "j");
    assert_int_equal(keys[4].line, 7);
    assert_int_equal(cfg_find_keys(text, strlen(text), keys, 2), 2);
}

static void test_cpu_sets(void **state)
{
    static const char *const wrong[] = { "",    ",",   "1,", "a",   "1-",          "-1",
                                         "3-2", "256", "^1", "1 2", "99999999999", "al" };
    struct cpu_set set;
    char text[64];

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        assert_int_not_equal(cpu_set_parse(wrong[i], &set), 0);
    }
    assert_int_equal(cpu_set_parse("0-3,^1,6", &set), 0);
    cpu_set_format(&set, 8, text, sizeof(text));
    assert_string_equal(text, "0,2-3,6");
    assert_int_equal(cpu_set_last(&set), 6);
    assert_int_equal(cpu_set_parse("all,^2", &set), 0);
    cpu_set_format(&set, 4, text, sizeof(text));
    assert_string_equal(text, "0-1,3");
    cpu_set_format(&set, 2, text, sizeof(text));
    assert_string_equal(text, "all");
    cpu_set_format(&set, 4, text, 4);
    assert_int_equal(strlen(text), 3);
}

static void test_uuids(void **state)
{
    uint8_t uuid[16], other[16];
    char text[37];

    (void)state;
    assert_int_equal(uuid_random(uuid), 0);
    uuid_format(uuid, text);
    assert_int_equal(strlen(text), 36);
    assert_int_equal(text[14], '4');
    assert_int_equal(uuid_parse_text(text, other), 0);
    assert_memory_equal(uuid, other, 16);
    text[8] = '0';
    assert_int_not_equal(uuid_parse_text(text, other), 0);
    assert_int_not_equal(uuid_parse_text("01234567-89ab-cdef-0123-456789abcdeg", other), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_minimal),
        cmocka_unit_test(test_everything),
        cmocka_unit_test(test_pci),
        cmocka_unit_test(test_cmdline_wins),
        cmocka_unit_test(test_cpus_forms), cmocka_unit_test(test_no_ramdisk), cmocka_unit_test(test_dedicated_cpus),
        cmocka_unit_test(test_unknown_keys_warn),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_syntax),
        cmocka_unit_test(test_overrides),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_files),
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_cpu_sets),
        cmocka_unit_test(test_uuids),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
