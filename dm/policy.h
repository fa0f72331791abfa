/* SPDX-License-Identifier: MIT */
/*
 * What a guest may write into the configuration space of its devices, beyond what the hypervisor decides by itself. The
 * policy is data (configs/policy.json says how it is written); for each device it is compiled into a table with an entry
 * a byte, so that a decision is two loads and an and.
 */
#ifndef DM_POLICY_H
#define DM_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define POLICY_SPACE     4096 /* bytes of a function's configuration space */
#define POLICY_RULES_MAX 1024
#define POLICY_FILE_MAX  262144 /* bytes */
#define POLICY_ERROR_MAX 256

struct json_object;
struct policy;

/* A capability of a device: where it begins, and its number. */
struct policy_capability {
    uint16_t offset;
    uint16_t id;
    bool extended;
};

/* What the policy needs to know of a device. */
struct policy_device {
    uint32_t sbdf; /* physical: segment << 16 | bus << 8 | device << 3 | function */
    uint16_t vendor, device;
    bool permissive;
    const struct policy_capability *capabilities;
    unsigned nr_capabilities;
};

/* By byte: bits that may be written, bits that hardware clears when 1 is written, and whose rule that is. */
struct policy_table {
    uint8_t write[POLICY_SPACE];
    uint8_t clear[POLICY_SPACE];
    uint16_t rule[POLICY_SPACE];
};

/*
 * Numbers of reasons, as they stand in trap records. Rules of the policy have some each, behind the daemon's own.
 */
enum {
    REASON_NONE,
    REASON_NO_DEVICE,  /* the daemon does not know the function */
    REASON_BAD_ACCESS, /* a request that makes no sense */
    REASON_NOBODY,     /* a port or address that no device model serves */
    REASON_MESSAGE,    /* a valid message, bound */
    REASON_MESSAGE_ADDRESS,
    REASON_MESSAGE_MODE,
    REASON_MESSAGE_VECTOR,
    REASON_MESSAGE_BIND, /* the hypervisor refused to bind it */
    REASON_RULES = 16,   /* + 4 * rule + enum policy_outcome */
};

enum policy_outcome { POLICY_WRITTEN, POLICY_PARTLY, POLICY_REFUSED };

struct policy_decision {
    uint32_t mask;   /* bits that are written */
    uint32_t clear;  /* bits that would be cleared by writing 1 */
    uint32_t reason; /* REASON_* */
};

/* Decides on a write of size (1, 2 or 4) bytes that lies inside one dword of configuration space. */
static inline struct policy_decision policy_decide(const struct policy_table *table,
                                                   unsigned offset, unsigned size)
{
    const uint32_t full = size == 4 ? 0xffffffffu : (1u << (8 * size)) - 1;
    struct policy_decision d;
    uint32_t refused;

    memcpy(&d.mask, table->write + (offset & ~3u), sizeof(d.mask));
    memcpy(&d.clear, table->clear + (offset & ~3u), sizeof(d.clear));
    d.mask = d.mask >> (8 * (offset & 3)) & full;
    d.clear = d.clear >> (8 * (offset & 3)) & full;
    refused = full & ~d.mask;
    if (refused)
        offset += (unsigned)__builtin_ctz(refused) / 8;
    d.reason = REASON_RULES + 4u * table->rule[offset] + (refused != 0) + (d.mask == 0);
    return d;
}

/*
 * Reads a policy from text. Returns NULL with a sentence in error[], which begins with "source:line: ". json-c's own
 * complaints and ours alike name the line.
 */
struct policy *policy_parse(const char *source, const char *text, size_t len,
                            char error[POLICY_ERROR_MAX]);
/* The same from a file. */
struct policy *policy_load(const char *path, char error[POLICY_ERROR_MAX]);
void policy_free(struct policy *policy);

/* Is the device permissive by the policy's own list (of BDFs and of vendor:device)? */
bool policy_is_permissive(const struct policy *policy, uint32_t sbdf, uint16_t vendor,
                          uint16_t device);
void policy_compile(const struct policy *policy, const struct policy_device *device,
                    struct policy_table *table);

/* The sentence of a reason; never NULL. And the rule's name, "" for the daemon's own reasons. */
const char *policy_reason(const struct policy *policy, uint32_t reason);
const char *policy_rule_name(const struct policy *policy, uint32_t reason);
unsigned policy_rules(const struct policy *policy);
/* The text it was made of, as JSON; a new reference. */
struct json_object *policy_json(const struct policy *policy);

#endif
