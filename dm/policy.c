/* SPDX-License-Identifier: MIT */
/* Compiles a policy into a device's table, and names reasons. */
#include "dm/policy.h"

#include <stdlib.h>

#include <json-c/json.h>

#include "dm/policy_priv.h"

#define HEADER_END  0x40
#define CLASSIC_END 0x100

/* Indexed by REASON_*. */
static const char *const own_reasons[REASON_RULES] = {
    [REASON_NONE] = "no reason was given",
    [REASON_NO_DEVICE] =
        "xl-dmd does not know the function: it was taken away, or attached without xl-dmd",
    [REASON_BAD_ACCESS] = "the access leaves its register",
    [REASON_NOBODY] = "no device model serves this address",
    [REASON_MESSAGE] = "an interrupt message to one of the guest's own vectors",
    [REASON_MESSAGE_ADDRESS] = "the message's address is no local APIC's (0xfeexxxxx below 4 GiB)",
    [REASON_MESSAGE_MODE] = "the message's delivery mode is neither fixed nor lowest priority",
    [REASON_MESSAGE_VECTOR] = "the message's vector is below 16, which no local APIC takes",
    [REASON_MESSAGE_BIND] = "the hypervisor could not bind the message",
};

static bool matches(uint32_t sbdf, uint32_t vendor_device, uint32_t my_sbdf, uint32_t mine)
{
    return (sbdf == POLICY_NO_SBDF || sbdf == my_sbdf) && (!vendor_device || vendor_device == mine);
}

bool policy_is_permissive(const struct policy *policy, uint32_t sbdf, uint16_t vendor,
                          uint16_t device)
{
    const uint32_t mine = (uint32_t)vendor << 16 | device;

    for (unsigned i = 0; i < policy->nr_permissive; i++)
        if (matches(policy->permissive[i].sbdf, policy->permissive[i].vendor_device, sbdf, mine))
            return true;
    return false;
}

/* Enters a rule for the bytes from start up to end, where the capability or the space ends. */
static void enter(const struct policy *policy, unsigned index, bool permissive, unsigned start,
                  unsigned end, struct policy_table *table)
{
    const struct policy_rule *rule = &policy->rules[index];
    const unsigned first = start + rule->offset;
    const unsigned last = rule->size && first + rule->size < end ? first + rule->size : end;

    for (unsigned at = first; at < last; at++) {
        const unsigned shift = 8 * (at - first);

        table->write[at] = rule->all[permissive] ? 0xff
                           : shift < 32          ? (uint8_t)(rule->mask[permissive] >> shift)
                                                 : 0;
        table->clear[at] = shift < 32 ? (uint8_t)(rule->clear >> shift) : 0;
        table->rule[at] = (uint16_t)index;
    }
}

/* Where the capability ends at the latest: at the next one, or with its space. */
static unsigned capability_end(const struct policy_device *device,
                               const struct policy_capability *cap)
{
    unsigned end = cap->extended ? POLICY_SPACE : CLASSIC_END;

    for (unsigned i = 0; i < device->nr_capabilities; i++) {
        const struct policy_capability *other = &device->capabilities[i];

        if (other->offset > cap->offset && other->offset < end)
            end = other->offset;
    }
    return end;
}

/* "Any" capability is each that no rule names. */
static bool is_named(const struct policy *policy, const struct policy_capability *cap)
{
    const enum policy_where where = cap->extended ? WHERE_EXTENDED : WHERE_CAPABILITY;

    for (unsigned i = 0; i < policy->nr_rules; i++)
        if (policy->rules[i].where == where && policy->rules[i].id == cap->id)
            return true;
    return false;
}

static void enter_in_capabilities(const struct policy *policy, unsigned index,
                                  const struct policy_device *device, struct policy_table *table)
{
    const struct policy_rule *rule = &policy->rules[index];

    for (unsigned i = 0; i < device->nr_capabilities; i++) {
        const struct policy_capability *cap = &device->capabilities[i];

        if (cap->extended == (rule->where == WHERE_EXTENDED) &&
            (rule->id == POLICY_ANY_ID ? !is_named(policy, cap) : rule->id == cap->id))
            enter(policy, index, device->permissive, cap->offset, capability_end(device, cap),
                  table);
    }
}

void policy_compile(const struct policy *policy, const struct policy_device *device,
                    struct policy_table *table)
{
    const uint32_t mine = (uint32_t)device->vendor << 16 | device->device;

    /* The first rule covers everything: policy_parse() has seen to it. Later rules win. */
    for (unsigned i = 0; i < policy->nr_rules; i++) {
        const struct policy_rule *rule = &policy->rules[i];

        if (!matches(rule->sbdf, rule->vendor_device, device->sbdf, mine))
            continue;
        if (rule->where == WHERE_ANYWHERE)
            enter(policy, i, device->permissive, 0, POLICY_SPACE, table);
        else if (rule->where == WHERE_HEADER)
            enter(policy, i, device->permissive, 0, HEADER_END, table);
        else
            enter_in_capabilities(policy, i, device, table);
    }
}

static const struct policy_rule *rule_of(const struct policy *policy, uint32_t reason)
{
    const uint32_t index = (reason - REASON_RULES) / 4;

    return reason >= REASON_RULES && index < policy->nr_rules ? &policy->rules[index] : NULL;
}

const char *policy_reason(const struct policy *policy, uint32_t reason)
{
    const struct policy_rule *rule = rule_of(policy, reason);

    if (rule && (reason - REASON_RULES) % 4 <= POLICY_REFUSED &&
        *rule->reason[(reason - REASON_RULES) % 4])
        return rule->reason[(reason - REASON_RULES) % 4];
    return reason < REASON_RULES && own_reasons[reason] ? own_reasons[reason]
                                                        : "a reason of another policy";
}

const char *policy_rule_name(const struct policy *policy, uint32_t reason)
{
    const struct policy_rule *rule = rule_of(policy, reason);

    return rule ? rule->name : "";
}

unsigned policy_rules(const struct policy *policy)
{
    return policy->nr_rules;
}

struct json_object *policy_json(const struct policy *policy)
{
    return json_object_get(policy->json);
}

void policy_free(struct policy *policy)
{
    if (!policy)
        return;
    for (unsigned i = 0; i < policy->nr_rules; i++) {
        free(policy->rules[i].name);
        for (unsigned k = 0; k <= POLICY_REFUSED; k++)
            free(policy->rules[i].reason[k]);
    }
    free(policy->rules);
    free(policy->permissive);
    json_object_put(policy->json);
    free(policy);
}
