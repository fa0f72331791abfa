/* SPDX-License-Identifier: MIT */
/*
 * Refusals: the table of rules, their counters, and the record of each refusal.
 */
#include "trap/rules.h"

#include "lib/printf.h"
#include "lib/string.h"
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

/* One operand as `form` says: u, f or, by default, hexadecimal. */
static size_t put_operand(char *out, size_t len, char form, uint64_t val)
{
    unsigned bdf = (unsigned)val;

    if (form == 'u')
        return (size_t)snprintf(out, len, "%llu", (unsigned long long)val);
    if (form == 'f')
        return (size_t)snprintf(out, len, "%04x:%02x:%02x.%u", bdf >> 16, bdf >> 8 & 0xff,
                                bdf >> 3 & 0x1f, bdf & 7);
    return (size_t)snprintf(out, len, "%#llx", (unsigned long long)val);
}

/* Length of "{a}" or "{a:u}" at s, and what it says; 0: there is none. */
static size_t operand_at(const char *s, char *which, char *form)
{
    if (s[0] != '{' || (s[1] != 'a' && s[1] != 'b'))
        return 0;
    *which = s[1];
    *form = s[2] == ':' ? s[3] : 'x';
    return s[2] == ':' ? 5 : 3;
}

size_t deny_describe(enum deny_rule rule, uint32_t sbdf, uint64_t a, uint64_t b, char *out,
                     size_t len)
{
    const char *s = deny_sentence(rule);
    size_t n = 0;

    if (len)
        out[0] = '\0';
    if (sbdf != DENY_NO_DEVICE) {
        n = put_operand(out, len, 'f', sbdf);
        n += (size_t)snprintf(n < len ? out + n : NULL, n < len ? len - n : 0, ": ");
    }
    while (*s) {
        char *at = n < len ? out + n : NULL, which, form;
        size_t room = n < len ? len - n : 0, skip = operand_at(s, &which, &form);

        if (skip)
            n += put_operand(at, room, form, which == 'a' ? a : b);
        else
            n += (size_t)snprintf(at, room, "%c", *s);
        s += skip ? skip : 1;
    }
    return n;
}

int deny_errno(enum deny_rule rule)
{
    return rule < DENY_NR_RULES ? rules[rule].err : 0;
}

uint64_t deny_count(enum deny_rule rule)
{
    return rule < DENY_NR_RULES ? READ_ONCE(counts[rule]) : 0;
}
