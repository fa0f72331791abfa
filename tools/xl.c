/* SPDX-License-Identifier: MIT */
/*
 * The connection to the hypervisor, messages and options for xl-lite's commands (xl.h). Messages of
 * Xen's libraries are kept, not shown: the last one becomes the reason in ours. With -v they all go
 * to standard error.
 */
#include "xl.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct xl xl;
const struct xl_command *xl_current;

static void __attribute__((format(printf, 5, 0)))
keep_message(xentoollog_logger *logger, xentoollog_level level, int error, const char *context,
             const char *format, va_list args)
{
    struct xl *self = (struct xl *)logger;
    char text[sizeof(self->last)];

    if (level < XTL_ERROR && self->verbose == 0) {
        return;
    }
    vsnprintf(text, sizeof(text), format, args);
    if (self->verbose >= 2 || (self->verbose == 1 && level > XTL_DETAIL)) {
        fprintf(stderr, "%s: %s: %s%s%s\n", context != NULL ? context : "xen",
                xtl_level_to_string(level), text, error >= 0 ? ": " : "",
                error >= 0 ? strerror(error) : "");
    }
    if (level >= XTL_ERROR) {
        memcpy(self->last, text, sizeof(text));
    }
}

static void forget_progress(xentoollog_logger *logger, const char *context, const char *doing,
                            int percent, unsigned long done, unsigned long total)
{
    (void)logger, (void)context, (void)doing, (void)percent, (void)done, (void)total;
}

static void keep_logger(xentoollog_logger *logger)
{
    (void)logger;
}

int xl_open(void)
{
    if (xl.xch != NULL) {
        return 0;
    }
    xl.logger.vmessage = keep_message;
    xl.logger.progress = forget_progress;
    xl.logger.destroy = keep_logger;
    xl.xch = xc_interface_open(&xl.logger, &xl.logger, XC_OPENFLAG_NON_REENTRANT);
    if (xl.xch == NULL) {
        if (geteuid() != 0) {
            return xl_error("cannot reach the hypervisor: this needs root");
        }
        return xl_error("cannot reach the hypervisor: %s (is this the control domain, and is "
                        "xen-privcmd loaded?)",
                        strerror(errno));
    }
    xl.last[0] = '\0';
    return 0;
}

void xl_close(void)
{
    if (xl.xch != NULL) {
        xc_interface_close(xl.xch);
        xl.xch = NULL;
    }
}

int xl_error(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    fputs("xl-lite: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    return -1;
}

void xl_warn(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    fputs("xl-lite: warning: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
}

int xl_hv_error(const char *format, ...)
{
    const int error = errno;
    va_list args;

    va_start(args, format);
    fputs("xl-lite: ", stderr);
    vfprintf(stderr, format, args);
    va_end(args);
    fprintf(stderr, ": %s",
            error == ENOSYS ? "the hypervisor does not have this call" : strerror(error));
    if (xl.last[0] != '\0') {
        fprintf(stderr, " (%s)", xl.last);
        xl.last[0] = '\0';
    }
    fputc('\n', stderr);
    errno = error;
    return -1;
}

int xl_number(const char *text, uint64_t max, uint64_t *out)
{
    char *end;
    unsigned long long value;

    if (text[0] < '0' || text[0] > '9') {
        return -1;
    }
    errno = 0;
    value = strtoull(text, &end, strncmp(text, "0x", 2) == 0 ? 16 : 10);
    if (errno != 0 || *end != '\0' || value > max) {
        return -1;
    }
    *out = value;
    return 0;
}

void xl_print_help(const struct xl_command *command, bool to_stderr)
{
    FILE *out = to_stderr ? stderr : stdout;

    fprintf(out, "Usage: xl-lite [-v] %s %s\n\n%s.\n", command->name, command->arguments,
            command->summary);
    if (command->options != NULL) {
        fprintf(out, "\nOptions:\n\n%s", command->options);
    }
}

int xl_getopt(int argc, char **argv, const char *short_options, const struct option *long_options,
              int *status)
{
    static const struct option none[] = { { NULL, 0, NULL, 0 } };
    char with_help[32];
    int option;

    /* The colon first: messages are ours. */
    snprintf(with_help, sizeof(with_help), ":h%s", short_options);
    option = getopt_long(argc, argv, with_help, long_options != NULL ? long_options : none, NULL);
    if (option == 'h') {
        xl_print_help(xl_current, false);
        *status = XL_OK;
        return 0;
    }
    if (option == '?' || option == ':') {
        /* --help is every command's, without being in each table. */
        if (option == '?' && strcmp(argv[optind - 1], "--help") == 0) {
            xl_print_help(xl_current, false);
            *status = XL_OK;
            return 0;
        }
        if (option == '?' && optopt != 0) {
            xl_error("option '-%c' is not supported", optopt);
        } else {
            xl_error("option '%s' %s", argv[optind - 1],
                     option == ':' ? "needs a value" : "is not supported");
        }
        xl_print_help(xl_current, true);
        *status = XL_USAGE;
        return 0;
    }
    return option;
}

int xl_arguments(int argc, int min, int max)
{
    const int have = argc - optind;

    if (have >= min && have <= max) {
        return 0;
    }
    if (have < min) {
        xl_error("'xl-lite %s' requires at least %d argument%s", xl_current->name, min,
                 min == 1 ? "" : "s");
    } else {
        xl_error("'xl-lite %s' takes at most %d argument%s", xl_current->name, max,
                 max == 1 ? "" : "s");
    }
    xl_print_help(xl_current, true);
    return XL_USAGE;
}

int xl_plain_arguments(int argc, char **argv, int min, int max, bool *stop)
{
    int status = XL_USAGE;

    *stop = true;
    if (xl_getopt(argc, argv, "", NULL, &status) != -1) {
        return status;
    }
    if (xl_arguments(argc, min, max) != 0) {
        return XL_USAGE;
    }
    *stop = false;
    return 0;
}
