/* SPDX-License-Identifier: MIT */
/*
 * The audit: a walk over the live tables of all domains that proves the isolation sentences A1 to A6
 * of docs/architecture.md, or names what breaks one.
 *
 * It runs in parts, each with locks of its own, while everything else goes on. What two tables say
 * of each other may therefore be seen half changed: such a finding counts only if it is still there
 * when looked at again.
 */
#ifndef XL_DOMAIN_AUDIT_H
#define XL_DOMAIN_AUDIT_H

#include "include/xenlite/audit.h"
#include "lib/types.h"

/* Most breaches that one part tells of; with more, the first ones. */
#define AUDIT_BREACHES 16

struct audit_result {
    struct xenlite_breach breach[AUDIT_BREACHES];
    unsigned nr;
    uint64_t breaches; /* all of them */
};

struct audit_figures {
    uint32_t domains, contexts, remapping_entries, grants;
    uint64_t frames, tables, foreign;
};

/* Begins anew and returns the run's number, never 0. An older run is then over. */
uint64_t audit_begin(void);
/*
 * The next part of the run: what it found. False when it was the last one; -EAGAIN in *err: the run
 * is over because another one began. Figures are of all parts so far.
 */
bool audit_part(uint64_t run, struct audit_result *res, struct audit_figures *figures, int *err);

#endif
