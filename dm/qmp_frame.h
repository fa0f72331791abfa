/* SPDX-License-Identifier: MIT */
/*
 * Finds requests in the bytes of a control connection. A request is one JSON object; what is between two of
 * them is white space. Works byte by byte with bounded memory, however the bytes arrive.
 */
#ifndef DM_QMP_FRAME_H
#define DM_QMP_FRAME_H

#include <stdbool.h>
#include <stddef.h>

#define QMP_REQUEST_MAX 65536 /* bytes */
#define QMP_DEPTH_MAX 32      /* objects and arrays inside each other */

enum qmp_frame_result {
    QMP_FRAME_MORE,    /* everything was consumed, nothing is complete */
    QMP_FRAME_REQUEST, /* text and len are a complete object (whose inside may still be bad JSON) */
    QMP_FRAME_ERROR,   /* error says what is wrong; input is skipped up to the end of its line */
};

struct qmp_framer {
    char *text;
    size_t len, room;
    unsigned depth;
    bool in_string, escaped, skipping;
    const char *error;
};

/* A framer is ready when it is all zeros. */
void qmp_frame_free(struct qmp_framer *framer);

/*
 * Consumes bytes until one of them completes a request or is an error, and returns how many; *result says
 * what came of it. text stays valid until the next call.
 */
size_t qmp_frame_feed(struct qmp_framer *framer, const char *data, size_t len,
                      enum qmp_frame_result *result);

/* Has a request begun that is not complete? */
bool qmp_frame_partial(const struct qmp_framer *framer);

#endif
