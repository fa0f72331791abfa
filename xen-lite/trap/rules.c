/* SPDX-License-Identifier: MIT */
/*
 * Refusals: the table of rules, their counters, and the record of each refusal.
 */
#include "trap/rules.h"

#include "lib/time.h"
#include "trap/record.h"
#include "trap/trap.h"

static const struct {
    const char *name, *sentence;
    int err;
} rules[DENY_NR_RULES] = {
#define X(n, e, text) [DENY_##n] = { #n, text, e },
    DENY_RULES(X)
#undef X
};

static uint64_t counts[DENY_NR_RULES];

int deny(enum deny_rule rule, uint16_t domid, uint32_t sbdf, uint64_t a, uint64_t b)
{
    struct trap_record rec = {
        .time = now_ns(),
        .addr = a,
        .value = b,
        .sbdf = sbdf,
        .domid = domid,
        .vcpu = RECORD_NO_VCPU,
        .rule = (uint16_t)rule,
        .kind = RECORD_DENY,
        .disposition = TRAP_DENIED,
    };

    __atomic_fetch_add(&counts[rule], 1, __ATOMIC_RELAXED);
    record_denial(&rec);
    return -rules[rule].err;
}

const char *deny_name(enum deny_rule rule)
{
    return rule < DENY_NR_RULES ? rules[rule].name : "?";
}

const char *deny_sentence(enum deny_rule rule)
{
    return rule < DENY_NR_RULES ? rules[rule].sentence : "?";
}

int deny_errno(enum deny_rule rule)
{
    return rule < DENY_NR_RULES ? rules[rule].err : 0;
}

uint64_t deny_count(enum deny_rule rule)
{
    return rule < DENY_NR_RULES ? READ_ONCE(counts[rule]) : 0;
}
