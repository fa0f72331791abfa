/* SPDX-License-Identifier: MIT */
/*
 * Scans configuration text for "key =" and "key +=" at the beginning of statements (cfg_lines.h):
 * outside of strings, comments and brackets.
 */
#include "cfg_lines.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

struct scan {
    const char *at, *end;
    int line;
    unsigned depth;
    bool statement; /* at the beginning of one */
};

static bool is_name(char c)
{
    return isalnum((unsigned char)c) || c == '_';
}

static void skip_string(struct scan *s)
{
    const char quote = *s->at++;

    for (; s->at < s->end && *s->at != quote && *s->at != '\n'; s->at++) {
        if (*s->at == '\\' && s->at + 1 < s->end && s->at[1] != '\n') {
            s->at++;
        }
    }
    if (s->at < s->end && *s->at == quote) {
        s->at++;
    }
}

static void skip_comment(struct scan *s)
{
    while (s->at < s->end && *s->at != '\n') {
        s->at++;
    }
}

/* At the first character of a name: consumes it, and says whether an assignment follows. */
static bool take_key(struct scan *s, struct cfg_key *key)
{
    size_t len = 0;
    const char *next;

    key->line = s->line;
    for (; s->at < s->end && is_name(*s->at); s->at++) {
        if (len < CFG_KEY_MAX - 1) {
            key->name[len++] = *s->at;
        }
    }
    key->name[len] = '\0';
    for (next = s->at; next < s->end && (*next == ' ' || *next == '\t'); next++) {
    }
    if (next < s->end && *next == '+') {
        next++;
    }
    return next < s->end && *next == '=';
}

static void take_other(struct scan *s)
{
    const char c = *s->at++;

    if (c == '\n') {
        s->line++;
    }
    if ((c == '\n' || c == ';') && s->depth == 0) {
        s->statement = true;
    } else if (c == '[') {
        s->depth++;
    } else if (c == ']' && s->depth > 0) {
        s->depth--;
    }
    if (!isspace((unsigned char)c) && c != ';') {
        s->statement = false;
    }
}

size_t cfg_find_keys(const char *text, size_t len, struct cfg_key *keys, size_t max)
{
    struct scan s = { .at = text, .end = text + len, .line = 1, .statement = true };
    size_t found = 0;

    while (s.at < s.end && found < max) {
        if (*s.at == '"' || *s.at == '\'') {
            skip_string(&s);
            s.statement = false;
        } else if (*s.at == '#') {
            skip_comment(&s);
        } else if (is_name(*s.at)) {
            const bool statement = s.statement;

            s.statement = false;
            if (take_key(&s, &keys[found]) && statement) {
                found++;
            }
        } else {
            take_other(&s);
        }
    }
    return found;
}
