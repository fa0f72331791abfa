/* SPDX-License-Identifier: MIT */
/* The command line of xl-dmd. */
#ifndef DM_OPTIONS_H
#define DM_OPTIONS_H

#include <stdbool.h>

struct options {
    bool foreground, keep_privileges, help, version;
    const char *pidfile, *log, *run_dir, *log_dir, *policy;
};

/* 0, or -1 after saying on standard error what is wrong. */
int parse_options(struct options *options, int argc, char **argv);
void print_help(void);

#endif
