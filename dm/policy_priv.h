/* SPDX-License-Identifier: MIT */
/* A policy in memory: what policy_file.c reads and policy.c compiles. */
#ifndef DM_POLICY_PRIV_H
#define DM_POLICY_PRIV_H

#include "dm/policy.h"

#define POLICY_ANY_ID 0xffffu

enum policy_where { WHERE_ANYWHERE, WHERE_HEADER, WHERE_CAPABILITY, WHERE_EXTENDED };

struct policy_rule {
    char *name;
    char *reason[3]; /* by enum policy_outcome; "" where it cannot happen */
    enum policy_where where;
    uint16_t id;           /* of the capability; POLICY_ANY_ID: any */
    uint16_t offset, size; /* size 0: up to the next capability, or the end of the space */
    bool all[2];           /* strict, permissive: every bit may be written */
    uint32_t mask[2];      /* else these; 0 if size is more than 4 */
    uint32_t clear;
    uint32_t sbdf;          /* POLICY_NO_SBDF: every device */
    uint32_t vendor_device; /* vendor << 16 | device; 0: every one */
};

#define POLICY_NO_SBDF 0xffffffffu

struct policy_match {
    uint32_t sbdf, vendor_device; /* one of them is set, as above */
};

struct policy {
    struct policy_rule *rules;
    unsigned nr_rules;
    struct policy_match *permissive;
    unsigned nr_permissive;
    struct json_object *json;
};

#endif
