/* SPDX-License-Identifier: MIT */
/*
 * Splits the hypervisor's command line into words and answers questions about them.
 */
#include "boot/cmdline.h"

#include "boot/multiboot.h"
#include "lib/errno.h"
#include "lib/string.h"

struct word {
    const char *name;
    const char *value; /* "" if there is none */
    bool used;
};

static char text[BOOT_CMDLINE_LEN];
static struct word words[CMDLINE_MAX_WORDS];
static unsigned nr_words;

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* Cuts one word out of the text in place, dropping its quotes; returns where the next may start. */
static char *cut_word(char *p, struct word *w)
{
    char *dst = p;
    bool quoted = false;

    w->name = p;
    w->value = NULL;
    w->used = false;
    for (; *p && (quoted || !is_blank(*p)); p++) {
        if (*p == '"') {
            quoted = !quoted;
            continue;
        }
        if (*p == '=' && !w->value) {
            *dst++ = '\0';
            w->value = dst;
            continue;
        }
        *dst++ = *p;
    }
    if (*p)
        p++;
    *dst = '\0';
    if (!w->value)
        w->value = dst;
    return p;
}

int cmdline_init(const char *line)
{
    int rc = strlcpy(text, line, sizeof(text)) < sizeof(text) ? 0 : -E2BIG;
    char *p = text;

    for (nr_words = 0; *p;) {
        if (is_blank(*p)) {
            p++;
            continue;
        }
        if (nr_words == CMDLINE_MAX_WORDS)
            return -E2BIG;
        p = cut_word(p, &words[nr_words++]);
    }
    return rc;
}

const char *cmdline_get(const char *name)
{
    const char *value = NULL;
    unsigned i;

    for (i = 0; i < nr_words; i++)
        if (!strcmp(words[i].name, name)) {
            words[i].used = true;
            value = words[i].value;
        }
    return value;
}

/* Digits in the given base; *end is the first character that is none. */
static int parse_digits(const char *s, uint64_t *out, const char **end)
{
    unsigned base = 10;
    uint64_t v = 0;
    const char *first;

    if (s[0] == '0' && (s[1] == 'x' || s[1] == 'X')) {
        base = 16;
        s += 2;
    }
    for (first = s;; s++) {
        unsigned d;

        if (*s >= '0' && *s <= '9')
            d = (unsigned)(*s - '0');
        else if (base == 16 && (*s | 0x20) >= 'a' && (*s | 0x20) <= 'f')
            d = (unsigned)((*s | 0x20) - 'a') + 10;
        else
            break;
        if (v > (UINT64_MAX - d) / base)
            return -ERANGE;
        v = v * base + d;
    }
    if (s == first)
        return -EINVAL;
    *out = v;
    *end = s;
    return 0;
}

int parse_u64(const char *s, uint64_t *out)
{
    uint64_t v;
    const char *end;
    int rc = parse_digits(s, &v, &end);

    if (rc)
        return rc;
    if (*end)
        return -EINVAL;
    *out = v;
    return 0;
}

int parse_size(const char *s, uint64_t *out)
{
    static const char suffixes[] = "kmgt";
    unsigned shift = 0;
    uint64_t v;
    const char *end;
    int rc = parse_digits(s, &v, &end);

    if (rc)
        return rc;
    if (*end) {
        const char *x = strchr(suffixes, *end | 0x20);

        if (!x || !*x || end[1])
            return -EINVAL;
        shift = 10 * (unsigned)(x - suffixes + 1);
    }
    if (v > UINT64_MAX >> shift)
        return -ERANGE;
    *out = v << shift;
    return 0;
}

int cmdline_size(const char *name, uint64_t *out)
{
    const char *value = cmdline_get(name);

    return value ? parse_size(value, out) : -ENOENT;
}

int cmdline_uint(const char *name, unsigned *out)
{
    const char *value = cmdline_get(name);
    uint64_t v;
    int rc = value ? parse_u64(value, &v) : -ENOENT;

    if (rc)
        return rc;
    if (v > UINT32_MAX)
        return -ERANGE;
    *out = (unsigned)v;
    return 0;
}

static bool one_of(const char *value, const char *const *list)
{
    for (; *list; list++)
        if (!strcmp(value, *list))
            return true;
    return false;
}

bool cmdline_bool(const char *name, bool dflt)
{
    static const char *const yes[] = { "", "1", "on", "yes", "true", NULL };
    static const char *const no[] = { "0", "off", "no", "false", NULL };
    const char *value = cmdline_get(name);

    if (!value)
        return dflt;
    if (one_of(value, yes))
        return true;
    return one_of(value, no) ? false : dflt;
}

bool cmdline_list_has(const char *name, const char *item)
{
    const char *p = cmdline_get(name);
    size_t len = strlen(item);

    while (p) {
        if (!strncmp(p, item, len) && (p[len] == ',' || !p[len]))
            return true;
        p = strchr(p, ',');
        if (p)
            p++;
    }
    return false;
}

unsigned cmdline_report_unknown(void (*report)(const char *name))
{
    unsigned i, n = 0;

    for (i = 0; i < nr_words; i++)
        if (!words[i].used) {
            report(words[i].name);
            n++;
        }
    return n;
}
