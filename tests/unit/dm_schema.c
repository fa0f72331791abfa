/* SPDX-License-Identifier: MIT */
/* A small validator for dm/schema.json. */
#include "dm_schema.h"

#include <stdio.h>
#include <string.h>

#include "dm_rig.h"

#include <json-c/json.h>

const char *schema_string(struct json_object *object, const char *key)
{
    struct json_object *value;

    assert_true(json_object_object_get_ex(object, key, &value));
    assert_true(json_object_is_type(value, json_type_string));
    return json_object_get_string(value);
}

static struct json_object *member(struct json_object *object, const char *key)
{
    struct json_object *value = NULL;

    json_object_object_get_ex(object, key, &value);
    return value;
}

static bool flag(struct json_object *object, const char *key)
{
    return json_object_get_boolean(member(object, key));
}

static void bad(const char *where, const char *what, const char *text)
{
    fail_msg("%s: %s %s", where, what, text);
}

static void check_values(struct json_object *spec, struct json_object *value, const char *where)
{
    struct json_object *values = member(spec, "values");

    for (size_t i = 0; values && i < json_object_array_length(values); i++)
        if (!strcmp(json_object_get_string(json_object_array_get_idx(values, i)),
                    json_object_get_string(value)))
            return;
    if (values)
        bad(where, "may not be", json_object_get_string(value));
}

void schema_check_members(struct json_object *schema, struct json_object *members, struct json_object *value,
                          const char *where)
{
    char place[200];

    if (!json_object_is_type(value, json_type_object))
        bad(where, "is no object:", json_object_to_json_string(value));
    json_object_object_foreach(value, given, ignored) {
        (void)ignored;
        if (!member(members, given))
            bad(where, "has a member that the schema has not:", given);
    }
    json_object_object_foreach(members, name, spec) {
        struct json_object *inner;

        if (!json_object_object_get_ex(value, name, &inner)) {
            if (!flag(spec, "optional"))
                bad(where, "has no member", name);
            continue;
        }
        snprintf(place, sizeof(place), "%.100s.%.80s", where, name);
        schema_check(schema, schema_string(spec, "type"), inner, place);
        check_values(spec, inner, place);
    }
}

static void check_array(struct json_object *schema, const char *type, struct json_object *value,
                        const char *where)
{
    char inner[80];

    if (!json_object_is_type(value, json_type_array))
        bad(where, "is no array:", json_object_to_json_string(value));
    snprintf(inner, sizeof(inner), "%.*s", (int)strlen(type) - 2, type + 1);
    for (size_t i = 0; i < json_object_array_length(value); i++)
        schema_check(schema, inner, json_object_array_get_idx(value, i), where);
}

void schema_check(struct json_object *schema, const char *type, struct json_object *value, const char *where)
{
    static const struct {
        const char *name;
        enum json_type type;
    } simple[] = {
        { "integer", json_type_int }, { "string", json_type_string }, { "boolean", json_type_boolean },
    };
    struct json_object *defined;

    if (!strcmp(type, "any"))
        return;
    if (type[0] == '[') {
        check_array(schema, type, value, where);
        return;
    }
    for (size_t i = 0; i < sizeof(simple) / sizeof(simple[0]); i++) {
        if (!strcmp(simple[i].name, type)) {
            if (!json_object_is_type(value, simple[i].type))
                bad(where, "is not of the type", type);
            return;
        }
    }
    defined = member(member(schema, "types"), type);
    if (!defined)
        bad(where, "has an unknown type", type);
    schema_check_members(schema, member(defined, "members"), value, where);
}

struct json_object *schema_load(void)
{
    struct json_object *schema = json_object_from_file(SOURCE_DIR "/dm/schema.json");

    if (!schema)
        fail_msg("dm/schema.json: %s", json_util_get_last_err());
    return schema;
}

struct json_object *schema_find(struct json_object *schema, const char *kind, const char *name)
{
    struct json_object *list = member(schema, kind);

    for (size_t i = 0; i < json_object_array_length(list); i++) {
        struct json_object *entry = json_object_array_get_idx(list, i);

        if (!strcmp(schema_string(entry, "name"), name))
            return entry;
    }
    return NULL;
}
