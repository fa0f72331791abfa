/* SPDX-License-Identifier: MIT */
/*
 * The policy of configuration writes: configs/policy.json for a device with every class of registers, strict and permissive;
 * policies that are refused, with the line; and what a decision costs.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "dm/policy.h"

#define C(x)   ((uint16_t)(x))
#define LEN(a) (sizeof(a) / sizeof((a)[0]))

/* PM at 40, MSI at 50, PCIe at 60, VPD at a0, vendor at b0, unknown at d0; AER at 100, SR-IOV 150, vendor 200, unknown 300. */
static const struct policy_capability caps[] = {
    { 0x40, 0x01, false }, { 0x50, 0x05, false },   { 0x60, 0x10, false }, { 0xa0, 0x03, false },
    { 0xb0, 0x09, false }, { 0xd0, 0x55, false },   { 0x100, 0x01, true }, { 0x150, 0x10, true },
    { 0x200, 0x0b, true }, { 0x300, 0x7777, true },
};

static struct policy *policy;
static struct policy_table strict, permissive;

static void compile(const struct policy *p, bool is_permissive, struct policy_table *table)
{
    const struct policy_device device = { .sbdf = 0x28,
                                          .vendor = 0x1b36,
                                          .device = 0x10,
                                          .permissive = is_permissive,
                                          .capabilities = caps,
                                          .nr_capabilities = LEN(caps) };

    memset(table, 0xa5, sizeof(*table));
    policy_compile(p, &device, table);
}

static int load(void **state)
{
    char error[POLICY_ERROR_MAX];

    (void)state;
    policy = policy_load(SOURCE_DIR "/configs/policy.json", error);
    if (!policy)
        fail_msg("%s", error);
    compile(policy, false, &strict);
    compile(policy, true, &permissive);
    return 0;
}

static int unload(void **state)
{
    (void)state;
    policy_free(policy);
    return 0;
}

static const struct {
    uint16_t offset;
    uint8_t size;
    uint32_t strict, permissive, clear; /* masks */
    const char *rule;
} registers[] = {
    { 0x00, 4, 0, 0, 0, "header" },
    { 0x0c, 1, 0xff, 0xff, 0, "cache line size" },
    { 0x0c, 2, 0xffff, 0xffff, 0, "cache line size" },
    { 0x0c, 4, 0xffff, 0xffff, 0, "header" }, /* the byte that is refused first */
    { 0x0f, 1, 0, 0, 0, "BIST" },
    { 0x42, 2, 0, 0, 0, "power management" },
    { 0x44, 2, 0x9f03, 0x9f03, 0x8000, "PM control/status" },
    { 0x44, 4, 0x9f03, 0x9f03, 0x8000, "PM control/status" },
    { 0x45, 1, 0x9f, 0x9f, 0x80, "PM control/status" },
    { 0x48, 4, 0, 0xffffffff, 0, "device-specific" }, /* behind the capability */
    { 0x52, 2, 0, 0, 0, "MSI" },
    { 0x64, 4, 0, 0, 0, "PCI Express" },
    { 0x68, 2, 0x791f, 0x79ff, 0, "PCIe DevCtl" },
    { 0x68, 4, 0x000f791f, 0x000f79ff, 0x000f0000, "PCIe DevCtl" },
    { 0x6a, 2, 0x000f, 0x000f, 0x000f, "PCIe DevSta" },
    { 0x70, 2, 0, 0x03cb, 0, "PCIe LnkCtl" },
    { 0x72, 2, 0, 0xc000, 0xc000, "PCIe LnkSta" },
    { 0x78, 2, 0, 0, 0, "PCIe slot and root" },
    { 0x88, 2, 0x031f, 0x037f, 0, "PCIe DevCtl2" },
    { 0x90, 2, 0, 0x0fff, 0, "PCIe LnkCtl2" },
    { 0x9c, 4, 0, 0xffffffff, 0, "device-specific" },
    { 0xa2, 2, 0x7fff, 0xffff, 0x8000, "VPD address" },
    { 0xa4, 4, 0, 0xffffffff, 0, "VPD data" },
    { 0xb4, 4, 0, 0xffffffff, 0, "vendor capability" },
    { 0xcf, 1, 0, 0xff, 0, "vendor capability" },
    { 0xd4, 4, 0, 0xffffffff, 0, "unknown capability" },
    { 0xff, 1, 0, 0xff, 0, "unknown capability" },
    { 0x104, 4, 0xffffffff, 0xffffffff, 0xffffffff, "AER uncorrectable status" },
    { 0x108, 4, 0, 0xffffffff, 0, "AER uncorrectable mask" },
    { 0x10c, 4, 0, 0xffffffff, 0, "AER severity" },
    { 0x110, 4, 0xffffffff, 0xffffffff, 0xffffffff, "AER correctable status" },
    { 0x114, 2, 0, 0xffff, 0, "AER correctable mask" },
    { 0x118, 4, 0, 0x540, 0, "AER control" },
    { 0x12c, 4, 0, 0, 0, "AER" },
    { 0x148, 4, 0, 0xffffffff, 0, "device-specific" },
    { 0x158, 2, 0, 0, 0, "SR-IOV" },
    { 0x208, 4, 0, 0xffffffff, 0, "vendor extended capability" },
    { 0x304, 4, 0, 0xffffffff, 0, "unknown extended capability" },
    { 0xffc, 4, 0, 0xffffffff, 0, "unknown extended capability" },
};

static uint32_t full(unsigned size)
{
    return size == 4 ? 0xffffffffu : (1u << (8 * size)) - 1;
}

static void check_decision(const struct policy_table *table, size_t i, uint32_t mask)
{
    const struct policy_decision d = policy_decide(table, registers[i].offset, registers[i].size);
    const unsigned outcome = mask == full(registers[i].size) ? POLICY_WRITTEN
                             : mask                          ? POLICY_PARTLY
                                                             : POLICY_REFUSED;

    if (d.mask != mask || d.clear != registers[i].clear || (d.reason - REASON_RULES) % 4 != outcome)
        fail_msg("%#x/%u: mask %#x for %#x, clear %#x, reason %u", registers[i].offset,
                 registers[i].size, d.mask, mask, d.clear, d.reason);
    assert_true(strlen(policy_reason(policy, d.reason)) > 5);
    /* Whole writes name the rule of their first byte, others that of the byte that is refused. */
    if (outcome == POLICY_WRITTEN || mask == registers[i].strict)
        assert_string_equal(policy_rule_name(policy, d.reason), registers[i].rule);
}

static void test_registers(void **state)
{
    (void)state;
    for (size_t i = 0; i < LEN(registers); i++) {
        check_decision(&strict, i, registers[i].strict);
        check_decision(&permissive, i, registers[i].permissive);
    }
}

/* Whatever a device looks like: permissive allows at least what strict does, and some things never. */
static void test_bounds(void **state)
{
    static const uint16_t never[] = { 0x0d, 0x0e, 0x0f, 0x10, 0x13, 0x1b, 0x15 };

    (void)state;
    for (unsigned i = 0; i < POLICY_SPACE; i++) {
        assert_int_equal(strict.write[i] & ~permissive.write[i], 0);
        assert_true(strict.rule[i] < policy_rules(policy) &&
                    permissive.rule[i] < policy_rules(policy));
    }
    for (size_t i = 0; i < LEN(never); i++) {
        const struct policy_capability cap = { 0x100, never[i], true };
        const struct policy_device device = { .permissive = true,
                                              .capabilities = &cap,
                                              .nr_capabilities = 1 };
        struct policy_table table;

        policy_compile(policy, &device, &table);
        assert_int_equal(policy_decide(&table, 0x104, 4).mask, 0);
        assert_int_equal(policy_decide(&table, 0xff8, 4).mask, 0);
    }
}

static void test_reasons(void **state)
{
    (void)state;
    for (uint32_t reason = 0; reason < 100000; reason++)
        assert_true(strlen(policy_reason(policy, reason)) > 0);
    assert_non_null(strstr(policy_reason(policy, policy_decide(&strict, 0x68, 2).reason),
                           "the other bits stay"));
    assert_string_equal(policy_rule_name(policy, REASON_MESSAGE), "");
    assert_string_equal(policy_reason(policy, 0xffffffff), "a reason of another policy");
}

#define RULE0                                                                                      \
    "{\"name\": \"all\", \"where\": \"anywhere\", \"strict\": \"none\", \"permissive\": \"all\", " \
    "\"allow\": \"a\", \"deny\": \"d\"}"
#define POLICY(more) "{ \"version\": 1,\n \"rules\": [\n" RULE0 more "]\n}\n"
#define REG(more)    ",\n{\"name\": \"x\", \"where\": \"capability:pm\", \"deny\": \"d\", " more "}"

static const struct {
    const char *text, *error;
} malformed[] = {
    { "", "p:1: the text ends in the middle" },
    { "{", "p:1: the text ends in the middle" },
    { "\n\n{ \"version\": 1, }", "p:3: this is no JSON" },
    { "{}", "p:1: 'version' is no number" },
    { "[]", "p:1: a policy is no object" },
    { "{ \"version\": 7 }", "p:1: 'version' is no number from 0 to 0x1" },
    { "{ \"version\": 0 }", "p:1: this is version 0" },
    { "{ \"version\": 1 }", "'rules' is missing" },
    { "{ \"version\": 1, \"rules\": [] }", "1 to 1024 rules" },
    { "{ \"version\": 1, \"rules\": [\n\n4] }", "a rule is no object" },
    { "{ \"version\": 1, \"color\": 1, \"rules\": [] }", "a policy has no member 'color'" },
    { POLICY("") "x", "p:5: this is no JSON" },
    { POLICY(REG("\"strict\": \"0x3\", \"permissive\": \"all\"")),
      "p:4: 'strict': a mask of bits wants a 'size'" },
    { POLICY(REG("\"size\": 1, \"strict\": \"0x100\", \"permissive\": \"all\"")),
      "p:4: 'strict' is no number" },
    { POLICY(REG("\"size\": 1, \"strict\": \"3x\", \"permissive\": \"all\"")),
      "p:4: 'strict' is no number" },
    { POLICY(REG("\"size\": 1, \"strict\": -1, \"permissive\": \"all\"")),
      "p:4: 'strict' is no number" },
    { POLICY(REG("\"size\": 1, \"strict\": 3, \"permissive\": 1")),
      "p:4: 'permissive' has less bits" },
    { POLICY(REG("\"size\": 0, \"strict\": \"none\", \"permissive\": \"none\"")),
      "p:4: 'size' is 0" },
    { POLICY(REG("\"offset\": 5000, \"strict\": \"none\", \"permissive\": \"none\"")),
      "p:4: 'offset' is no number" },
    { POLICY(REG("\"offset\": 4095, \"size\": 2, \"strict\": \"none\", \"permissive\": \"none\"")),
      "p:4: the register lies beyond" },
    { POLICY(REG("\"strict\": \"none\"")), "p:4: 'permissive' is missing" },
    { POLICY(REG("\"strict\": \"none\", \"permissive\": \"all\"")), "p:4: 'allow' is missing" },
    { POLICY(REG("\"strict\": \"none\", \"permissive\": \"none\", \"allow\": \"x\"")),
      "p:4: 'allow' is given" },
    { POLICY(REG("\"strict\": \"none\", \"permissive\": \"none\", \"device\": \"x\"")),
      "p:4: 'x' is no device" },
    { POLICY(REG("\"strict\": \"none\", \"permissive\": \"none\", \"device\": \"00:05.0\"")),
      "is no device" },
    { POLICY(",\n{\"name\": \"\\u001b[2J\", \"where\": \"header\"}"),
      "p:4: 'name' has a control character" },
    { POLICY(",\n{\"name\": \"x\", \"where\": \"capability:nope\"}"),
      "p:4: 'where': there is no capability 'nope'" },
    { POLICY(",\n{\"name\": \"x\", \"where\": \"capability:0x1ff\"}"),
      "p:4: 'where': there is no capability" },
    { POLICY(",\n{\"name\": \"x\", \"where\": \"somewhere\"}"), "p:4: 'where' is" },
    { POLICY(",\n{\"name\": 4}"), "p:4: 'name' is missing, or no string" },
    { "{ \"version\": 1, \"rules\": [\n{\"name\": \"x\", \"where\": \"header\", \"strict\": "
      "\"none\", \"permissive\": \"none\", \"deny\": \"d\"}] }",
      "p:2: the first rule has to cover everything" },
    { "{ \"version\": 1,\n\"permissive\": [\"8086\"],\n\"rules\": [" RULE0 "] }",
      "p:2: '8086' is no device" },
    { "{ \"version\": 1,\n\"permissive\": 1, \"rules\": [" RULE0 "] }",
      "p:2: 'permissive' is no array" },
    { "[[[[[[[[[[[[1]]]]]]]]]]]]", "p:1: this is no JSON" },
};

static void test_malformed(void **state)
{
    (void)state;
    for (size_t i = 0; i < LEN(malformed); i++) {
        char error[POLICY_ERROR_MAX] = "";

        assert_null(policy_parse("p", malformed[i].text, strlen(malformed[i].text), error));
        if (!strstr(error, malformed[i].error))
            fail_msg("%zu: '%s', expected '%s'", i, error, malformed[i].error);
    }
}

/* The installed policy cut off anywhere, or with any byte changed, is refused or is a policy; nothing else happens. */
static void test_torn(void **state)
{
    char *text = malloc(POLICY_FILE_MAX), error[POLICY_ERROR_MAX];
    FILE *file = fopen(SOURCE_DIR "/configs/policy.json", "r");
    size_t len;

    (void)state;
    assert_non_null(file);
    len = fread(text, 1, POLICY_FILE_MAX, file);
    fclose(file);
    for (size_t cut = 0; cut + 2 < len; cut += 37)
        assert_null(policy_parse("p", text, cut, error));
    for (size_t at = 0; at < len; at += 53) {
        const char was = text[at];

        text[at] = "{}[]\",:x0\\\n"[at % 11];
        policy_free(policy_parse("p", text, len, error));
        text[at] = was;
    }
    free(text);
}

/* Rules and permissiveness for one device only. */
static void test_devices(void **state)
{
    static const char text[] =
        "{ \"version\": 1, \"permissive\": [\"8086:10d3\", \"0001:02:03.4\"], \"rules\": [" RULE0
        ",{\"name\": \"x\", \"where\": \"anywhere\", \"offset\": 8, \"size\": 1, \"strict\": "
        "\"all\", \"permissive\": \"all\","
        " \"allow\": \"a\", \"device\": \"1b36:0010\"}"
        ",{\"name\": \"y\", \"where\": \"anywhere\", \"offset\": 9, \"size\": 1, \"strict\": "
        "\"all\", \"permissive\": \"all\","
        " \"allow\": \"a\", \"device\": \"0000:00:06.0\"}] }";
    char error[POLICY_ERROR_MAX];
    struct policy *p = policy_parse("p", text, strlen(text), error);
    struct policy_table table;

    (void)state;
    if (!p)
        fail_msg("%s", error);
    assert_true(policy_is_permissive(p, 0, 0x8086, 0x10d3));
    assert_true(policy_is_permissive(p, 0x1021c, 1, 1));
    assert_false(policy_is_permissive(p, 0, 0x8086, 0x10d4));
    compile(p, false, &table);
    assert_int_equal(policy_decide(&table, 8, 1).mask, 0xff);
    assert_int_equal(policy_decide(&table, 9, 1).mask, 0);
    policy_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_registers), cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_reasons),   cmocka_unit_test(test_malformed),
        cmocka_unit_test(test_torn),      cmocka_unit_test(test_devices),
    };

    return cmocka_run_group_tests(tests, load, unload);
}
