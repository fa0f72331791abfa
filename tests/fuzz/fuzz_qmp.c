/* SPDX-License-Identifier: MIT */
/* FUZZ_SOURCES: dm/qmp_frame.c dm/qmp.c -I. -D_GNU_SOURCE -DPACKAGE_VERSION="0.0.0" -ljson-c */
/*
 * Any bytes on the control socket, in pieces whose sizes come from the input: what the framer keeps stays
 * bounded, every request is answered with exactly one of return and error, and the pieces' sizes change
 * nothing.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "dm/qmp.h"
#include "dm/qmp_frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const arguments[] = { "a", NULL };

static struct json_object *run(void *context, struct json_object *given, struct qmp_error *error)
{
    struct json_object *value;

    (void)context;
    if (json_object_object_get_ex(given, "a", &value) && value)
        return json_object_get(value);
    qmp_set_error(error, NULL, "no");
    return NULL;
}

static const struct qmp_command commands[] = { { "q", arguments, run }, { 0 } };

static void answer(struct qmp_session *session, const char *text, size_t len)
{
    struct json_object *reply = qmp_request(session, text, len), *value;

    assert(reply);
    assert(json_object_object_get_ex(reply, "return", &value) !=
           json_object_object_get_ex(reply, "error", &value));
    assert(json_object_to_json_string(reply));
    json_object_put(reply);
}

/* Returns a checksum of what the stream came to. */
static uint32_t feed(const char *data, size_t size, size_t step, struct qmp_session *session)
{
    struct qmp_framer framer = { 0 };
    enum qmp_frame_result result;
    uint32_t sum = 0;

    for (size_t at = 0; at < size;) {
        at += qmp_frame_feed(&framer, data + at, size - at < step ? size - at : step, &result);
        assert(framer.len <= QMP_REQUEST_MAX && framer.depth <= QMP_DEPTH_MAX);
        if (result != QMP_FRAME_MORE)
            sum = sum * 31 + (uint32_t)result + (result == QMP_FRAME_REQUEST ? (uint32_t)framer.len : 0);
        if (session && result == QMP_FRAME_REQUEST)
            answer(session, framer.text, framer.len);
    }
    qmp_frame_free(&framer);
    return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct qmp_session session = { .commands = commands };
    const char *text = (const char *)data;
    uint32_t sum;

    if (!size)
        return 0;
    session.negotiated = data[0] & 1;
    sum = feed(text + 1, size - 1, 1u + data[0], &session);
    assert(sum == feed(text + 1, size - 1, SIZE_MAX, NULL));
    /* And the parser alone, without the framer's care. */
    answer(&session, text + 1, size - 1);
    return 0;
}
