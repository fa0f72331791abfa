/* SPDX-License-Identifier: MIT */
/*
 * guest.cfg: what a guest is to be, read from text in xl.cfg's syntax and checked completely before
 * anything is created.
 */
#ifndef TOOLS_GUEST_CFG_H
#define TOOLS_GUEST_CFG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "cpus.h"
#include "pci_spec.h"

#define CFG_MAX_VCPUS     128
#define CFG_MAX_CMDLINE   2047 /* Linux' COMMAND_LINE_SIZE less the terminating 0 */
#define CFG_MIN_MEMORY_MB 8
#define CFG_MAX_MEMORY_MB (8u << 20)
#define CFG_MAX_PCI       16
#define CFG_MAX_TEXT      (256 << 10) /* bytes of a configuration */

enum guest_action { ACTION_DESTROY, ACTION_RESTART, ACTION_PRESERVE, ACTION_COUNT };
extern const char *const guest_action_names[ACTION_COUNT];

struct guest_cfg {
    char *source; /* for messages: the file's name */
    char *name;
    uint8_t uuid[16];
    bool has_uuid;
    char *kernel, *ramdisk; /* ramdisk may be NULL */
    char *cmdline;          /* never NULL */
    unsigned memory_mb, maxmem_mb;
    unsigned vcpus, maxvcpus;
    struct cpu_set *pins; /* hard affinity: NULL, or one for all vCPUs, or one each (nr_pins) */
    unsigned nr_pins;
    bool dedicated_cpus; /* no other domain runs there; pins are then one CPU for each of maxvcpus */
    unsigned cpu_weight; /* 0: the scheduler's default */
    struct pci_spec pci[CFG_MAX_PCI]; /* devices that it gets */
    unsigned nr_pci;
    bool pci_root; /* it has PCI: devices can be attached, now or later */
    enum guest_action on_poweroff, on_reboot, on_crash;
    unsigned tsc_mode;   /* XEN_DOMCTL_settscinfo's numbers */
    unsigned timer_mode; /* HVM_PARAM_TIMER_MODE's numbers */
    char *text; /* the whole text, with the overrides: what another program needs to create the
                   guest again */
    int kernel_line, ramdisk_line, memory_line, vcpus_line, cpus_line,
        name_line, pci_line; /* 0: not in the text */
    int text_lines; /* lines of the file; those beyond are overrides */
};

/*
 * Reads text (len bytes, need not end in a 0) and the nr assignments "key=value" that override it.
 * Complaints go to report as "source:line: error: reason" or ": warning: ". Touches no file.
 * Returns 0, or -EINVAL after having reported; cfg is valid for guest_cfg_free() in either case.
 */
int guest_cfg_parse(struct guest_cfg *cfg, const char *source, const char *text, size_t len,
                    char *const *overrides, unsigned nr, FILE *report);

/* The same for a file. Its kernel and ramdisk must exist and are made absolute. */
int guest_cfg_load(struct guest_cfg *cfg, const char *path, char *const *overrides, unsigned nr,
                   FILE *report);

/* Reports "source:line: error: ..." for a line of the text (0: the file as a whole). Returns
 * -EINVAL. */
int guest_cfg_error(const struct guest_cfg *cfg, FILE *report, int line, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

void guest_cfg_free(struct guest_cfg *cfg);

#endif
