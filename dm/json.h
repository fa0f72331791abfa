/* SPDX-License-Identifier: MIT */
/* What the commands of the control socket share: members of answers, arguments of requests. */
#ifndef DM_JSON_H
#define DM_JSON_H

#include <stdbool.h>
#include <stdint.h>

#include <json-c/json.h>

#include "dm/qmp.h"

struct dmd;
struct domain;

void add_string(struct json_object *object, const char *key, const char *value);
void add_number(struct json_object *object, const char *key, uint64_t value);
void add_bool(struct json_object *object, const char *key, bool value);
/* "0x1f": for what people read in hexadecimal. */
void add_hex(struct json_object *object, const char *key, uint64_t value);
void add_bdf(struct json_object *object, const char *key, uint32_t sbdf);
/* "none" for no domain and "hypervisor" for it, else the number as text. */
void add_owner(struct json_object *object, const char *key, unsigned domid);

/* Each reads an optional argument; false, with *error, if it is wrong. *out stays as it was if it is missing. */
bool take_domid(struct json_object *arguments, int *out, struct qmp_error *error); /* -1: missing */
bool take_bool(struct json_object *arguments, const char *key, bool *out, struct qmp_error *error);
bool take_number(struct json_object *arguments, const char *key, uint64_t max, uint64_t *out,
                 struct qmp_error *error);
/* A function as text; *given tells whether it is there. */
bool take_bdf(struct json_object *arguments, uint32_t *out, bool *given, struct qmp_error *error);
/* NULL if missing. */
bool take_string(struct json_object *arguments, const char *key, const char **out,
                 struct qmp_error *error);

/* For commands that need one: the domain, looked for anew if the daemon does not know it yet. NULL with *error. */
struct domain *need_domain(struct dmd *dmd, struct json_object *arguments, struct qmp_error *error);
/* NULL, with *error from errno: what the hypervisor said to `what` ("the page table cannot be read"). */
struct json_object *hv_failed(const char *what, struct qmp_error *error);

/* commands_*.c */
typedef struct json_object *command_fn(void *context, struct json_object *arguments,
                                       struct qmp_error *error);
command_fn cmd_device_add, cmd_device_del, cmd_query_pci, cmd_query_policy, cmd_set_policy;
command_fn cmd_query_traps, cmd_query_trap_records, cmd_trap_trace_start, cmd_trap_trace_stop;
command_fn cmd_query_iommu, cmd_query_p2m, cmd_audit, cmd_query_ioreq;

#endif
