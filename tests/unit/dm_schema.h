/* SPDX-License-Identifier: MIT */
/* A small validator for dm/schema.json. */
#ifndef TESTS_DM_SCHEMA_H
#define TESTS_DM_SCHEMA_H

struct json_object;

/* Reads the schema. */
struct json_object *schema_load(void);
/* The command or event of that name; NULL if there is none. */
struct json_object *schema_find(struct json_object *schema, const char *kind, const char *name);
/* Fails unless value is of the type that the string type names. where: for the message. */
void schema_check(struct json_object *schema, const char *type, struct json_object *value, const char *where);
/* The same for an object with these members. */
void schema_check_members(struct json_object *schema, struct json_object *members, struct json_object *value,
                          const char *where);
const char *schema_string(struct json_object *object, const char *key);

#endif
