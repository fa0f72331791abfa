/* SPDX-License-Identifier: MIT */
/*
 * What xl-lite traps shows: rows of counters, names of registers, and trap records as text and JSON.
 * What asks the hypervisor is apart from what chooses, sorts and prints.
 */
#ifndef TOOLS_TRAPS_H
#define TOOLS_TRAPS_H

#include <json-c/json.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../libs/xenlite.h"

/* "0000:00:05.0" with the terminating 0. */
#define BDF_TEXT 13
/* Segment may be left out. 0 or -1. */
int bdf_parse(const char *text, uint32_t *sbdf);
void bdf_format(uint32_t sbdf, char out[BDF_TEXT]);

/* One thing that traps. */
struct trap_row {
    uint32_t domid;
    uint32_t sbdf; /* XENLITE_NO_DEVICE: of no function */
    unsigned kind; /* XENLITE_TRAP_MMIO, _PIO, _CONFIG, _MSIX */
    bool sum;      /* a way to what other rows have one by one */
    uint64_t reads, writes, denied, dropped, forwarded;
    uint64_t first, last; /* of a region */
    char name[XENLITE_NAME_MAX];
};

struct trap_rows {
    struct trap_row *row;
    unsigned nr, room;
};

/* Zeroed place for one more. NULL: no memory. */
struct trap_row *trap_rows_add(struct trap_rows *rows);
void trap_rows_free(struct trap_rows *rows);

struct trap_filter {
    bool has_domain, has_device, has_kind;
    uint32_t domid, sbdf;
    unsigned kind;
    unsigned top; /* 0: all */
};

/* "mmio", "port", "config", "msi-x", "denial", "decision". 0 or -1. */
int trap_kind_parse(const char *text, unsigned *kind);

/* Leaves the rows that the filter wants, those that trap most first. */
void trap_rows_select(struct trap_rows *rows, const struct trap_filter *filter);
void trap_rows_print(const struct trap_rows *rows);
struct json_object *trap_rows_json(const struct trap_rows *rows);

/* -------- names, asked for once a function -------- */

/* The capabilities of a function that a domain has. */
struct trap_layout {
    uint32_t domid, sbdf;
    struct xenlite_capability *caps;
    unsigned nr;
    bool bridge;
};

struct trap_names {
    xc_interface *xch;
    struct trap_layout *layout;
    unsigned nr;
    struct xenlite_handler *handler;
    unsigned nr_handlers;
    struct xenlite_rule *rule;
    unsigned nr_rules;
};

/* Reads handlers and rules. 0 or -1 with errno; trap_names_free() in either case. */
int trap_names_init(struct trap_names *names, xc_interface *xch);
void trap_names_free(struct trap_names *names);
/* The layout of a function; asked for when it is not known yet. Never NULL: at worst without capabilities. */
const struct trap_layout *trap_layout_of(struct trap_names *names, uint32_t domid, uint32_t sbdf);
const char *trap_handler_text(const struct trap_names *names, unsigned id);
const char *trap_rule_text(const struct trap_names *names, unsigned id);

/* The counters of a domain. 0 or -1 with errno. */
int trap_rows_gather(struct trap_rows *rows, struct trap_names *names, uint32_t domid);

/* -------- records -------- */

bool trap_record_wanted(const struct trap_filter *filter, const struct xenlite_trap_record *rec);
/* What is accessed: "MSI-X[3].vector_control", "PCIe DevCtl", "0xfee00300". */
void trap_record_name(struct trap_names *names, const struct xenlite_trap_record *rec,
                      char name[XENLITE_NAME_MAX]);
void trap_record_print(struct trap_names *names, const struct xenlite_trap_record *rec);
struct json_object *trap_record_json(struct trap_names *names,
                                     const struct xenlite_trap_record *rec);

/* xl-lite traps --follow: until a signal ends it. Exit code. */
int traps_follow(struct trap_names *names, const struct trap_filter *filter, bool json);

#endif
