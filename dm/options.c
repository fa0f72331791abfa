/* SPDX-License-Identifier: MIT */
/* The command line of xl-dmd. */
#include "dm/options.h"

#include <getopt.h>
#include <stdio.h>
#include <unistd.h>

#define DEFAULT_RUN_DIR "/run/xen-lite"
#define DEFAULT_LOG_DIR "/var/log/xen-lite"
/* The machine's own policy, else the one that was installed. */
#define ETC_POLICY "/etc/xen-lite/policy.json"
#ifndef INSTALLED_POLICY
#define INSTALLED_POLICY ETC_POLICY
#endif

enum { OPT_PIDFILE = 256, OPT_LOG, OPT_RUN_DIR, OPT_LOG_DIR, OPT_POLICY, OPT_KEEP_PRIVILEGES };

static const struct option long_options[] = {
    { "foreground", no_argument, NULL, 'F' },
    { "daemonize", no_argument, NULL, 'd' },
    { "pidfile", required_argument, NULL, OPT_PIDFILE },
    { "log", required_argument, NULL, OPT_LOG },
    { "run-dir", required_argument, NULL, OPT_RUN_DIR },
    { "log-dir", required_argument, NULL, OPT_LOG_DIR },
    { "policy", required_argument, NULL, OPT_POLICY },
    { "keep-privileges", no_argument, NULL, OPT_KEEP_PRIVILEGES },
    { "help", no_argument, NULL, 'h' },
    { "version", no_argument, NULL, 'V' },
    { 0 },
};

static int check_directory(const char *option, const char *path)
{
    if (path[0] == '/')
        return 0;
    fprintf(stderr, "xl-dmd: %s wants an absolute path, not '%s'\n", option, path);
    return -1;
}

int parse_options(struct options *options, int argc, char **argv)
{
    int c;

    *options = (struct options){ .run_dir = DEFAULT_RUN_DIR, .log_dir = DEFAULT_LOG_DIR };
    while ((c = getopt_long(argc, argv, "FdhV", long_options, NULL)) != -1) {
        switch (c) {
        case 'F':
            options->foreground = true;
            break;
        case 'd':
            options->foreground = false;
            break;
        case OPT_PIDFILE:
            options->pidfile = optarg;
            break;
        case OPT_LOG:
            options->log = optarg;
            break;
        case OPT_RUN_DIR:
            options->run_dir = optarg;
            break;
        case OPT_LOG_DIR:
            options->log_dir = optarg;
            break;
        case OPT_POLICY:
            options->policy = optarg;
            break;
        case OPT_KEEP_PRIVILEGES:
            options->keep_privileges = true;
            break;
        case 'h':
            options->help = true;
            break;
        case 'V':
            options->version = true;
            break;
        default:
            fprintf(stderr, "Try 'xl-dmd --help'.\n");
            return -1;
        }
    }
    if (optind < argc) {
        fprintf(stderr, "xl-dmd: there is no argument '%s'\nTry 'xl-dmd --help'.\n", argv[optind]);
        return -1;
    }
    /* The daemon leaves the directory it was started in. */
    if (check_directory("--run-dir", options->run_dir) ||
        check_directory("--log-dir", options->log_dir) ||
        (options->policy && check_directory("--policy", options->policy)) ||
        (options->log && check_directory("--log", options->log)) ||
        (options->pidfile && check_directory("--pidfile", options->pidfile)))
        return -1;
    if (!options->policy)
        options->policy = access(ETC_POLICY, F_OK) ? INSTALLED_POLICY : ETC_POLICY;
    return 0;
}

void print_help(void)
{
    printf("Usage: xl-dmd [OPTION]...\n"
           "Keeps the consoles of guests and answers on the control socket.\n\n"
           "  -F, --foreground     stay in the foreground; messages go to standard error\n"
           "  -d, --daemonize      go to the background once everything is open (default)\n"
           "      --pidfile FILE   write the process's number to FILE\n"
           "      --log FILE       write messages to FILE (in the background: LOG-DIR/xl-dmd.log)\n"
           "      --run-dir DIR    domains, consoles and control.sock (%s)\n"
           "      --log-dir DIR    logs of guests' consoles (%s)\n"
           "      --policy FILE    what guests may write into their devices' configuration space\n"
           "                       (" ETC_POLICY ", else " INSTALLED_POLICY ")\n"
           "      --keep-privileges\n"
           "                       keep root's capabilities after the start\n"
           "  -h, --help           show this text\n"
           "  -V, --version        show the version\n",
           DEFAULT_RUN_DIR, DEFAULT_LOG_DIR);
}
