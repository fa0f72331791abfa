/* SPDX-License-Identifier: MIT */
/* Listening to trap records: one session for everybody on the control socket, which ends by itself. */
#ifndef DM_TRACING_H
#define DM_TRACING_H

#include <stdbool.h>
#include <stdint.h>

#include <xenlite/trace.h>

struct dmd;
struct json_object;
struct qmp_error;
struct tracing;

#define TRACING_KEEP 4096 /* records for query-trap-records */

/* What is wanted; negative: any. */
struct trap_filter {
    int domid, kind, disposition;
    bool has_bdf;
    uint32_t sbdf;
};

struct tracing *tracing_new(struct dmd *dmd);
void tracing_free(struct tracing *tracing);
/* Restarts the clock and takes the new filter if it runs already. Returns false with *error. */
bool tracing_start(struct tracing *tracing, const struct trap_filter *filter, unsigned seconds,
                   struct qmp_error *error);
/* How many records were told; -1: it did not run. */
int64_t tracing_stop(struct tracing *tracing);
bool tracing_runs(const struct tracing *tracing);
/* What is kept, oldest first; *nr entries. Valid until the loop runs. */
const struct xenlite_trap_record *tracing_kept(const struct tracing *tracing, unsigned *nr);

bool trap_matches(const struct trap_filter *filter, const struct xenlite_trap_record *record);
/* An object for the socket; handlers: names by number, may be NULL. */
struct json_object *describe_record(struct dmd *dmd, const struct xenlite_trap_record *record,
                                    const struct xenlite_handler *handlers, unsigned nr_handlers,
                                    const struct xenlite_rule *rules, unsigned nr_rules);

#endif
