/* SPDX-License-Identifier: MIT */
/* Finds requests in the bytes of a control connection. */
#include "dm/qmp_frame.h"

#include <stdlib.h>
#include <string.h>

void qmp_frame_free(struct qmp_framer *framer)
{
    free(framer->text);
    memset(framer, 0, sizeof(*framer));
}

bool qmp_frame_partial(const struct qmp_framer *framer)
{
    return framer->depth > 0;
}

static bool keep(struct qmp_framer *framer, char c)
{
    size_t room = framer->room ? framer->room * 2 : 512;
    char *text;

    if (framer->len == framer->room) {
        text = realloc(framer->text, room);
        if (!text)
            return false;
        framer->text = text;
        framer->room = room;
    }
    framer->text[framer->len++] = c;
    return true;
}

/* Gives up what was read; a line end is where both sides can agree on a new beginning. */
static enum qmp_frame_result fail(struct qmp_framer *framer, char c, const char *error)
{
    framer->error = error;
    framer->depth = 0;
    framer->in_string = framer->escaped = false;
    framer->skipping = c != '\n';
    return QMP_FRAME_ERROR;
}

static enum qmp_frame_result inside_string(struct qmp_framer *framer, char c)
{
    if ((unsigned char)c < ' ')
        return fail(framer, c, "control character in a string");
    if (framer->escaped)
        framer->escaped = false;
    else if (c == '\\')
        framer->escaped = true;
    else if (c == '"')
        framer->in_string = false;
    return QMP_FRAME_MORE;
}

static enum qmp_frame_result outside_string(struct qmp_framer *framer, char c)
{
    switch (c) {
    case '"':
        framer->in_string = true;
        return QMP_FRAME_MORE;
    case '{':
    case '[':
        if (framer->depth == QMP_DEPTH_MAX)
            return fail(framer, c, "request is nested too deeply");
        framer->depth++;
        return QMP_FRAME_MORE;
    case '}':
    case ']':
        return --framer->depth ? QMP_FRAME_MORE : QMP_FRAME_REQUEST;
    case '\t':
    case '\n':
    case '\r':
        return QMP_FRAME_MORE;
    default:
        if ((unsigned char)c < ' ' || (unsigned char)c >= 127)
            return fail(framer, c, "byte that JSON does not have");
        return QMP_FRAME_MORE;
    }
}

static enum qmp_frame_result take(struct qmp_framer *framer, char c)
{
    if (framer->skipping) {
        framer->skipping = c != '\n';
        return QMP_FRAME_MORE;
    }
    if (!framer->depth) {
        framer->len = 0;
        if (c == ' ' || c == '\t' || c == '\n' || c == '\r')
            return QMP_FRAME_MORE;
        if (c != '{')
            return fail(framer, c, "a request is a JSON object");
    }
    if (framer->len == QMP_REQUEST_MAX)
        return fail(framer, c, "request is longer than 65536 bytes");
    if (!keep(framer, c))
        return fail(framer, c, "not enough memory");
    return framer->in_string ? inside_string(framer, c) : outside_string(framer, c);
}

size_t qmp_frame_feed(struct qmp_framer *framer, const char *data, size_t len,
                      enum qmp_frame_result *result)
{
    size_t n = 0;

    *result = QMP_FRAME_MORE;
    while (n < len && *result == QMP_FRAME_MORE)
        *result = take(framer, data[n++]);
    return n;
}
