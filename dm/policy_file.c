/* SPDX-License-Identifier: MIT */
/* Reads a policy from JSON and checks all of it; whatever is wrong is refused with the line it is on. */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <json-c/json.h>

#include "dm/policy_priv.h"

#define POLICY_VERSION 1
#define NAME_MAX_LEN   40
#define REASON_MAX     200
#define LINES_MAX      POLICY_RULES_MAX
#define DEPTH          8 /* objects and arrays in each other */

/* One reading. */
struct reader {
    const char *source;
    char *error;
    struct policy *policy;
    unsigned line;             /* of what is being looked at */
    unsigned lines[LINES_MAX]; /* where the rules begin */
    unsigned permissive_line;
};

static const struct {
    const char *name;
    uint16_t id;
    bool extended;
} capability_names[] = {
    { "pm", 0x01, false },          { "agp", 0x02, false },      { "vpd", 0x03, false },
    { "slot-id", 0x04, false },     { "msi", 0x05, false },      { "pci-x", 0x07, false },
    { "ht", 0x08, false },          { "vendor", 0x09, false },   { "debug", 0x0a, false },
    { "subsystem", 0x0d, false },   { "pcie", 0x10, false },     { "msix", 0x11, false },
    { "sata", 0x12, false },        { "af", 0x13, false },       { "ea", 0x14, false },
    { "aer", 0x01, true },          { "vc", 0x02, true },        { "serial", 0x03, true },
    { "power-budget", 0x04, true }, { "vsec", 0x0b, true },      { "acs", 0x0d, true },
    { "ari", 0x0e, true },          { "ats", 0x0f, true },       { "sr-iov", 0x10, true },
    { "multicast", 0x12, true },    { "pri", 0x13, true },       { "rebar", 0x15, true },
    { "dpa", 0x16, true },          { "tph", 0x17, true },       { "ltr", 0x18, true },
    { "secondary", 0x19, true },    { "pasid", 0x1b, true },     { "dpc", 0x1d, true },
    { "l1pm", 0x1e, true },         { "ptm", 0x1f, true },       { "dvsec", 0x23, true },
    { "vf-rebar", 0x24, true },     { "data-link", 0x25, true },
};

static int __attribute__((format(printf, 2, 3))) bad(struct reader *r, const char *format, ...)
{
    int n = snprintf(r->error, POLICY_ERROR_MAX, "%.100s:%u: ", r->source, r->line);
    va_list args;

    va_start(args, format);
    vsnprintf(r->error + n, (size_t)(POLICY_ERROR_MAX - n), format, args);
    va_end(args);
    return -1;
}

/* ---- where things are in the text ---- */

static unsigned line_at(const char *text, size_t offset)
{
    unsigned line = 1;

    for (size_t i = 0; i < offset; i++)
        line += text[i] == '\n';
    return line;
}

/*
 * Notes the lines on which the elements of "rules" begin. json-c has taken the text already, so that brackets match and
 * strings end; its objects do not tell where they were.
 */
static void note_lines(struct reader *r, const char *text, size_t len)
{
    unsigned line = 1, depth = 0, rule = 0;
    bool in_string = false, rules = false;
    const char *string = text;

    for (size_t i = 0; i < len; i++) {
        const char c = text[i];

        line += c == '\n';
        if (in_string) {
            if (c == '\\')
                i++;
            else if (c == '"')
                in_string = false;
            if (in_string || depth != 1)
                continue;
            rules = !strncmp(string, "\"rules\"", 7);
            if (!strncmp(string, "\"permissive\"", 12))
                r->permissive_line = line;
        } else if (c == '"') {
            in_string = true;
            string = text + i;
        } else if (c == '{' || c == '[') {
            depth++;
            if (depth == 3 && rules && rule < LINES_MAX)
                r->lines[rule++] = line;
        } else if (c == '}' || c == ']') {
            depth--;
        }
    }
}

/* ---- members ---- */

static struct json_object *member(struct json_object *object, const char *key)
{
    struct json_object *value = NULL;

    json_object_object_get_ex(object, key, &value);
    return value;
}

static int check_members(struct reader *r, struct json_object *object, const char *const *names,
                         const char *what)
{
    if (!json_object_is_type(object, json_type_object))
        return bad(r, "%s is no object", what);
    json_object_object_foreach(object, key, value)
    {
        const char *const *name = names;

        (void)value;
        while (*name && strcmp(*name, key))
            name++;
        if (!*name)
            return bad(r, "%s has no member '%.40s'", what, key);
    }
    return 0;
}

/* A number of JSON, or a string "0x..." or of decimal digits: JSON knows no hexadecimal numbers. */
static int read_number(struct reader *r, struct json_object *value, const char *key, uint64_t max,
                       uint64_t *out)
{
    const char *text;
    char *end;

    if (json_object_is_type(value, json_type_int)) {
        const int64_t number = json_object_get_int64(value);

        *out = (uint64_t)number;
        if (number >= 0 && *out <= max)
            return 0;
    } else if (json_object_is_type(value, json_type_string)) {
        text = json_object_get_string(value);
        errno = 0;
        *out = strtoull(text, &end, 0);
        if (text[0] >= '0' && text[0] <= '9' && !*end && !errno && *out <= max)
            return 0;
    }
    return bad(r, "'%s' is no number from 0 to 0x%llx", key, (unsigned long long)max);
}

/* Printable text of a bounded length; it goes to terminals. */
static int read_string(struct reader *r, struct json_object *object, const char *key, size_t max,
                       char **out)
{
    struct json_object *value = member(object, key);
    const char *text;

    if (!json_object_is_type(value, json_type_string))
        return bad(r, "'%s' is missing, or no string", key);
    text = json_object_get_string(value);
    if (!*text || strlen(text) > max || strlen(text) != (size_t)json_object_get_string_len(value))
        return bad(r, "'%s' has to have 1 to %zu characters", key, max);
    for (const char *p = text; *p; p++)
        if ((unsigned char)*p < ' ' || *p == 0x7f)
            return bad(r, "'%s' has a control character", key);
    *out = strdup(text);
    return *out ? 0 : bad(r, "not enough memory");
}

/* "8086:10d3" or "0000:00:05.0". */
static int read_match(struct reader *r, const char *text, uint32_t *sbdf, uint32_t *vendor_device)
{
    unsigned a, b, c, d;
    int end = 0;

    *sbdf = POLICY_NO_SBDF;
    *vendor_device = 0;
    if (strspn(text, "0123456789abcdefABCDEF:.") == strlen(text)) {
        if (sscanf(text, "%4x:%2x:%2x.%1x%n", &a, &b, &c, &d, &end) == 4 && end == 12 &&
            !text[end] && c < 32 && d < 8) {
            *sbdf = a << 16 | b << 8 | c << 3 | d;
            return 0;
        }
        end = 0;
        if (sscanf(text, "%4x:%4x%n", &a, &b, &end) == 2 && end == 9 && !text[end] && (a | b)) {
            *vendor_device = a << 16 | b;
            return 0;
        }
    }
    return bad(r,
               "'%.40s' is no device: write \"8086:10d3\" (vendor and device) or \"0000:00:05.0\"",
               text);
}

/* ---- rules ---- */

static int read_capability(struct reader *r, const char *text, struct policy_rule *rule)
{
    const bool extended = rule->where == WHERE_EXTENDED;
    unsigned long id;
    char *end;

    if (!strcmp(text, "*")) {
        rule->id = POLICY_ANY_ID;
        return 0;
    }
    for (size_t i = 0; i < sizeof(capability_names) / sizeof(capability_names[0]); i++) {
        if (capability_names[i].extended == extended && !strcmp(capability_names[i].name, text)) {
            rule->id = capability_names[i].id;
            return 0;
        }
    }
    id = strtoul(text, &end, 0);
    if (text[0] < '0' || text[0] > '9' || *end || id > (extended ? 0xfffeu : 0xffu))
        return bad(r, "'where': there is no capability '%.40s'", text);
    rule->id = (uint16_t)id;
    return 0;
}

static int read_where(struct reader *r, struct json_object *object, struct policy_rule *rule)
{
    struct json_object *value = member(object, "where");
    const char *text =
        json_object_is_type(value, json_type_string) ? json_object_get_string(value) : "";

    if (!strcmp(text, "anywhere")) {
        rule->where = WHERE_ANYWHERE;
    } else if (!strcmp(text, "header")) {
        rule->where = WHERE_HEADER;
    } else if (!strncmp(text, "capability:", 11)) {
        rule->where = WHERE_CAPABILITY;
        return read_capability(r, text + 11, rule);
    } else if (!strncmp(text, "extended:", 9)) {
        rule->where = WHERE_EXTENDED;
        return read_capability(r, text + 9, rule);
    } else {
        return bad(r,
                   "'where' is \"anywhere\", \"header\", \"capability:...\" or \"extended:...\"");
    }
    return 0;
}

static int read_range(struct reader *r, struct json_object *object, struct policy_rule *rule)
{
    struct json_object *offset = member(object, "offset"), *size = member(object, "size");
    uint64_t number = 0;

    if (offset && read_number(r, offset, "offset", POLICY_SPACE - 1, &number))
        return -1;
    rule->offset = (uint16_t)number;
    number = 0;
    if (size && (read_number(r, size, "size", POLICY_SPACE, &number) || !number))
        return number ? -1 : bad(r, "'size' is 0");
    if (rule->offset + number > POLICY_SPACE)
        return bad(r, "the register lies beyond the configuration space");
    rule->size = (uint16_t)number;
    return 0;
}

static bool has_register_size(const struct policy_rule *rule)
{
    return rule->size == 1 || rule->size == 2 || rule->size == 4;
}

static int read_bits(struct reader *r, struct json_object *value, const char *key,
                     const struct policy_rule *rule, uint32_t *mask)
{
    uint64_t number;

    if (!has_register_size(rule))
        return bad(r, "'%s': a mask of bits wants a 'size' of 1, 2 or 4", key);
    if (read_number(r, value, key, (1ull << (8 * rule->size)) - 1, &number))
        return -1;
    *mask = (uint32_t)number;
    return 0;
}

/* "all", "none", or bits. */
static int read_mask(struct reader *r, struct json_object *object, const char *key,
                     struct policy_rule *rule, int which)
{
    struct json_object *value = member(object, key);
    const char *text =
        json_object_is_type(value, json_type_string) ? json_object_get_string(value) : "";

    if (!value)
        return bad(r, "'%s' is missing", key);
    if (!strcmp(text, "none"))
        return 0;
    rule->all[which] = !strcmp(text, "all");
    if (rule->all[which])
        return 0;
    if (read_bits(r, value, key, rule, &rule->mask[which]))
        return -1;
    rule->all[which] =
        rule->mask[which] == (rule->size == 4 ? 0xffffffffu : (1u << (8 * rule->size)) - 1);
    return 0;
}

/* A reason is there where the case can happen, and nowhere else. */
static int read_reason(struct reader *r, struct json_object *object, const char *key, bool needed,
                       char **out)
{
    if (needed)
        return read_string(r, object, key, REASON_MAX, out);
    if (member(object, key))
        return bad(r, "'%s' is given, but it cannot happen", key);
    *out = strdup("");
    return *out ? 0 : bad(r, "not enough memory");
}

static int read_reasons(struct reader *r, struct json_object *object, struct policy_rule *rule)
{
    const bool allows = rule->all[0] || rule->all[1] || rule->mask[1];
    char **reason = rule->reason;

    if (read_reason(r, object, "allow", allows, &reason[POLICY_WRITTEN]) ||
        read_reason(r, object, "deny", !rule->all[0] || !rule->all[1], &reason[POLICY_REFUSED]))
        return -1;
    if (asprintf(&reason[POLICY_PARTLY], "%s; the other bits stay as they are: %s",
                 reason[POLICY_WRITTEN], reason[POLICY_REFUSED]) >= 0)
        return 0;
    reason[POLICY_PARTLY] = NULL;
    return bad(r, "not enough memory");
}

static int read_rule(struct reader *r, struct json_object *object, struct policy_rule *rule)
{
    static const char *const names[] = { "name",   "where",      "offset", "size",
                                         "strict", "permissive", "clear",  "allow",
                                         "deny",   "device",     NULL };
    struct json_object *value;

    rule->sbdf = POLICY_NO_SBDF;
    if (check_members(r, object, names, "a rule") ||
        read_string(r, object, "name", NAME_MAX_LEN, &rule->name) || read_where(r, object, rule) ||
        read_range(r, object, rule) || read_mask(r, object, "strict", rule, 0) ||
        read_mask(r, object, "permissive", rule, 1))
        return -1;
    value = member(object, "clear");
    if (value && read_bits(r, value, "clear", rule, &rule->clear))
        return -1;
    value = member(object, "device");
    if (value && (!json_object_is_type(value, json_type_string) ||
                  read_match(r, json_object_get_string(value), &rule->sbdf, &rule->vendor_device)))
        return json_object_is_type(value, json_type_string) ? -1 : bad(r, "'device' is no string");
    if ((rule->mask[0] & ~rule->mask[1] && !rule->all[1]) || (rule->all[0] && !rule->all[1]))
        return bad(r, "'permissive' has less bits than 'strict'");
    return read_reasons(r, object, rule);
}

static bool covers_everything(const struct policy_rule *rule)
{
    return rule->where == WHERE_ANYWHERE && !rule->offset && !rule->size &&
           rule->sbdf == POLICY_NO_SBDF && !rule->vendor_device;
}

static int read_rules(struct reader *r, struct json_object *array)
{
    struct policy *policy = r->policy;
    size_t nr;

    if (!json_object_is_type(array, json_type_array))
        return bad(r, "'rules' is missing, or no array");
    nr = json_object_array_length(array);
    if (!nr || nr > POLICY_RULES_MAX)
        return bad(r, "there have to be 1 to %d rules", POLICY_RULES_MAX);
    policy->rules = calloc(nr, sizeof(*policy->rules));
    if (!policy->rules)
        return bad(r, "not enough memory");
    for (size_t i = 0; i < nr; i++) {
        r->line = r->lines[i] ? r->lines[i] : r->line;
        policy->nr_rules++;
        if (read_rule(r, json_object_array_get_idx(array, i), &policy->rules[i]))
            return -1;
        if (!i && !covers_everything(&policy->rules[0]))
            return bad(r, "the first rule has to cover everything: \"where\": \"anywhere\" alone");
    }
    return 0;
}

static int read_permissive(struct reader *r, struct json_object *array)
{
    struct policy *policy = r->policy;
    size_t nr;

    r->line = r->permissive_line;
    if (!array)
        return 0;
    if (!json_object_is_type(array, json_type_array) ||
        json_object_array_length(array) > POLICY_RULES_MAX)
        return bad(r, "'permissive' is no array of at most %d devices", POLICY_RULES_MAX);
    nr = json_object_array_length(array);
    policy->permissive = calloc(nr + 1, sizeof(*policy->permissive));
    if (!policy->permissive)
        return bad(r, "not enough memory");
    for (size_t i = 0; i < nr; i++) {
        struct json_object *entry = json_object_array_get_idx(array, i);
        struct policy_match *match = &policy->permissive[i];

        if (!json_object_is_type(entry, json_type_string))
            return bad(r, "'permissive' has an entry that is no string");
        if (read_match(r, json_object_get_string(entry), &match->sbdf, &match->vendor_device))
            return -1;
        policy->nr_permissive++;
    }
    return 0;
}

static int read_policy(struct reader *r)
{
    static const char *const names[] = { "title", "version", "permissive", "rules", NULL };
    struct json_object *json = r->policy->json;
    uint64_t version;

    r->line = 1;
    if (check_members(r, json, names, "a policy") ||
        read_number(r, member(json, "version"), "version", POLICY_VERSION, &version))
        return -1;
    if (version != POLICY_VERSION)
        return bad(r, "this is version %llu; version %d is understood", (unsigned long long)version,
                   POLICY_VERSION);
    if (member(json, "title") && !json_object_is_type(member(json, "title"), json_type_string))
        return bad(r, "'title' is no string");
    return read_rules(r, member(json, "rules")) || read_permissive(r, member(json, "permissive"))
               ? -1
               : 0;
}

/* The whole text has to be one object. */
static int parse_text(struct reader *r, const char *text, size_t len)
{
    struct json_tokener *tokener = json_tokener_new_ex(DEPTH);
    enum json_tokener_error error;
    size_t end;

    if (!tokener)
        return bad(r, "not enough memory");
    json_tokener_set_flags(tokener, JSON_TOKENER_STRICT);
    r->policy->json = json_tokener_parse_ex(tokener, text, (int)len);
    error = json_tokener_get_error(tokener);
    end = json_tokener_get_parse_end(tokener);
    json_tokener_free(tokener);
    while (!error && end < len && strchr(" \t\r\n", text[end]))
        end++;
    r->line = line_at(text, end < len ? end : len);
    if (error == json_tokener_continue)
        return bad(r, "the text ends in the middle of an object");
    if (error)
        return bad(r, "this is no JSON: %s", json_tokener_error_desc(error));
    return end == len ? 0 : bad(r, "something follows the policy");
}

struct policy *policy_parse(const char *source, const char *text, size_t len,
                            char error[POLICY_ERROR_MAX])
{
    struct policy *policy = calloc(1, sizeof(*policy));
    struct reader *r = calloc(1, sizeof(*r));

    snprintf(error, POLICY_ERROR_MAX, "%.100s: not enough memory", source);
    if (policy && r) {
        *r = (struct reader){ .source = source, .error = error, .policy = policy, .line = 1 };
        if (len > POLICY_FILE_MAX || memchr(text, 0, len)) {
            bad(r, "this is no text of at most %d bytes", POLICY_FILE_MAX);
        } else if (!parse_text(r, text, len)) {
            note_lines(r, text, len);
            if (!read_policy(r)) {
                free(r);
                *error = 0;
                return policy;
            }
        }
    }
    free(r);
    policy_free(policy);
    return NULL;
}

struct policy *policy_load(const char *path, char error[POLICY_ERROR_MAX])
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct policy *policy = NULL;
    struct stat st;
    char *text = NULL;
    ssize_t n = -1;

    if (fd >= 0 && !fstat(fd, &st) && S_ISREG(st.st_mode)) {
        text = malloc(POLICY_FILE_MAX + 1);
        n = text ? read(fd, text, POLICY_FILE_MAX + 1) : -1;
    } else if (fd >= 0) {
        errno = EINVAL;
    }
    if (n < 0)
        snprintf(error, POLICY_ERROR_MAX, "%.100s: %s", path, strerror(errno));
    else
        policy = policy_parse(path, text, (size_t)n, error);
    free(text);
    if (fd >= 0)
        close(fd);
    return policy;
}
