/* SPDX-License-Identifier: MIT */
/* Members of answers, arguments of requests. */
#include "dm/json.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "dm/devices.h"
#include "dm/dmd.h"

void add_string(struct json_object *object, const char *key, const char *value)
{
    json_object_object_add(object, key, json_object_new_string(value));
}

/* json-c's numbers are signed; counters that large do not occur. */
void add_number(struct json_object *object, const char *key, uint64_t value)
{
    json_object_object_add(object, key,
                           json_object_new_int64(value > INT64_MAX ? INT64_MAX : (int64_t)value));
}

void add_bool(struct json_object *object, const char *key, bool value)
{
    json_object_object_add(object, key, json_object_new_boolean(value));
}

void add_hex(struct json_object *object, const char *key, uint64_t value)
{
    char text[24];

    snprintf(text, sizeof(text), "0x%llx", (unsigned long long)value);
    add_string(object, key, text);
}

void add_bdf(struct json_object *object, const char *key, uint32_t sbdf)
{
    char text[BDF_TEXT];

    format_bdf(text, sbdf);
    add_string(object, key, text);
}

void add_owner(struct json_object *object, const char *key, unsigned domid)
{
    char text[16];

    snprintf(text, sizeof(text), "%u", domid);
    add_string(object, key, domid == 0xffff ? "none" : domid == 0xfffe ? "hypervisor" : text);
}

bool take_number(struct json_object *arguments, const char *key, uint64_t max, uint64_t *out,
                 struct qmp_error *error)
{
    struct json_object *value;

    if (!json_object_object_get_ex(arguments, key, &value))
        return true;
    if (json_object_is_type(value, json_type_int) && json_object_get_int64(value) >= 0 &&
        json_object_get_uint64(value) <= max) {
        *out = json_object_get_uint64(value);
        return true;
    }
    qmp_set_error(error, NULL, "'%s' is a number from 0 to %llu", key, (unsigned long long)max);
    return false;
}

bool take_domid(struct json_object *arguments, int *out, struct qmp_error *error)
{
    struct json_object *value;

    *out = -1;
    if (!json_object_object_get_ex(arguments, "domid", &value))
        return true;
    if (json_object_is_type(value, json_type_int) && json_object_get_int64(value) >= 0 &&
        json_object_get_int64(value) < 0x7ff0) {
        *out = json_object_get_int(value);
        return true;
    }
    qmp_set_error(error, NULL, "'domid' is the number of a domain");
    return false;
}

bool take_bool(struct json_object *arguments, const char *key, bool *out, struct qmp_error *error)
{
    struct json_object *value;

    if (!json_object_object_get_ex(arguments, key, &value))
        return true;
    *out = json_object_get_boolean(value);
    if (json_object_is_type(value, json_type_boolean))
        return true;
    qmp_set_error(error, NULL, "'%s' is true or false", key);
    return false;
}

bool take_string(struct json_object *arguments, const char *key, const char **out,
                 struct qmp_error *error)
{
    struct json_object *value;

    *out = NULL;
    if (!json_object_object_get_ex(arguments, key, &value))
        return true;
    *out = json_object_get_string(value);
    if (json_object_is_type(value, json_type_string))
        return true;
    qmp_set_error(error, NULL, "'%s' is a string", key);
    return false;
}

bool take_bdf(struct json_object *arguments, uint32_t *out, bool *given, struct qmp_error *error)
{
    const char *text;

    *given = false;
    if (!take_string(arguments, "bdf", &text, error))
        return false;
    *given = text != NULL;
    if (!text || parse_bdf(text, out))
        return true;
    qmp_set_error(error, NULL, "'bdf' is a PCI function, as 0000:00:05.0");
    return false;
}

struct domain *need_domain(struct dmd *dmd, struct json_object *arguments, struct qmp_error *error)
{
    struct domain *domain;
    int domid;

    if (!take_domid(arguments, &domid, error))
        return NULL;
    if (domid <= 0) {
        qmp_set_error(error, NULL, domid ? "'domid' is missing" : "the control domain is no guest");
        return NULL;
    }
    domain = dmd_find(dmd, (uint16_t)domid);
    if (!domain) {
        dmd_scan(dmd, true);
        domain = dmd_find(dmd, (uint16_t)domid);
    }
    if (!domain)
        qmp_set_error(error, "DeviceNotFound", "There is no guest %d", domid);
    return domain;
}

struct json_object *hv_failed(const char *what, struct qmp_error *error)
{
    const bool missing = errno == ENOSYS;

    qmp_set_error(error, errno == ESRCH || errno == ENODEV ? "DeviceNotFound" : NULL, "%s: %s",
                  what, missing ? "the hypervisor does not have this call" : strerror(errno));
    return NULL;
}
