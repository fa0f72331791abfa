/* SPDX-License-Identifier: MIT */
/*
 * xl-lite top: CPU time and memory of the domains, again and again; q ends it.
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "xl.h"

struct sample {
    xc_domaininfo_t *list;
    int count;
    uint64_t when_ns;
};

static struct termios saved;
static bool changed;

static void restore_terminal(void)
{
    if (changed) {
        tcsetattr(STDIN_FILENO, TCSANOW, &saved);
        changed = false;
    }
}

/* Keys one by one, without echo; Ctrl-C stays what it is. */
static void take_keys(void)
{
    struct termios keys;

    if (tcgetattr(STDIN_FILENO, &saved) == 0) {
        keys = saved;
        keys.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
        changed = tcsetattr(STDIN_FILENO, TCSANOW, &keys) == 0;
        atexit(restore_terminal);
    }
}

static uint64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static int take_sample(struct sample *sample)
{
    sample->count = xl_domains(&sample->list);
    sample->when_ns = now_ns();
    return sample->count < 0 ? -1 : 0;
}

/* CPU time used since the sample before, in per cent of one CPU. A new domain counts from its
 * birth. */
static double cpu_percent(const struct sample *before, const struct sample *now,
                          const xc_domaininfo_t *info)
{
    uint64_t used = info->cpu_time;

    if (before->list == NULL || now->when_ns <= before->when_ns) {
        return 0;
    }
    for (int i = 0; i < before->count; i++) {
        if (before->list[i].domain == info->domain &&
            memcmp(before->list[i].handle, info->handle, 16) == 0) {
            used = info->cpu_time >= before->list[i].cpu_time
                       ? info->cpu_time - before->list[i].cpu_time
                       : 0;
        }
    }
    return 100.0 * (double)used / (double)(now->when_ns - before->when_ns);
}

static void print_sample(const struct sample *before, const struct sample *now,
                         const xc_physinfo_t *phys)
{
    const uint64_t page_kb = XC_PAGE_SIZE / 1024;

    printf("%d domains, %u CPUs, memory: %" PRIu64 "k total, %" PRIu64 "k free\n", now->count,
           phys->nr_cpus, phys->total_pages * page_kb, phys->free_pages * page_kb);
    printf("%-24s %-6s %10s %7s %12s %7s %5s\n", "NAME", "STATE", "CPU(sec)", "CPU(%)", "MEM(k)",
           "MEM(%)", "VCPUS");
    for (int i = 0; i < now->count; i++) {
        const xc_domaininfo_t *info = &now->list[i];
        char name[STATE_NAME_MAX + 1];

        xl_domain_name(info, name);
        printf("%-24.24s --%c%c%c%c %10.0f %7.1f %12" PRIu64 " %7.1f %5u\n", name,
               (info->flags & XEN_DOMINF_blocked) != 0 ? 'b' : '-',
               (info->flags & XEN_DOMINF_dying) != 0 ? 'd' : '-',
               (info->flags & XEN_DOMINF_paused) != 0 ? 'p' : '-',
               (info->flags & XEN_DOMINF_running) != 0 ? 'r' : '-', (double)info->cpu_time / 1e9,
               cpu_percent(before, now, info), info->tot_pages * page_kb,
               phys->total_pages > 0 ? 100.0 * (double)info->tot_pages / (double)phys->total_pages
                                     : 0.0,
               info->nr_online_vcpus);
    }
    fflush(stdout);
}

/* Waits. Returns true if the user wants to leave. */
static bool pause_for(unsigned seconds, bool batch)
{
    struct pollfd key = { .fd = batch ? -1 : STDIN_FILENO, .events = POLLIN };
    char c;

    if (poll(&key, 1, (int)seconds * 1000) <= 0) {
        return false;
    }
    return read(STDIN_FILENO, &c, 1) != 1 || c == 'q' || c == 'Q';
}

static int show(unsigned seconds, uint64_t times, bool batch)
{
    struct sample before = { 0 };

    for (uint64_t i = 0; times == 0 || i < times; i++) {
        struct sample now = { 0 };
        xc_physinfo_t phys;

        if (i > 0 && pause_for(seconds, batch)) {
            break;
        }
        if (xc_physinfo(xl.xch, &phys) != 0) {
            free(before.list);
            return xl_hv_error("cannot ask what the machine has");
        }
        if (take_sample(&now) != 0) {
            free(before.list);
            return -1;
        }
        if (!batch) {
            fputs("\033[H\033[2J", stdout);
        }
        print_sample(&before, &now, &phys);
        free(before.list);
        before = now;
    }
    free(before.list);
    return 0;
}

int cmd_top(int argc, char **argv)
{
    static const struct option options[] = {
        { "batch", no_argument, NULL, 'b' },
        { "delay", required_argument, NULL, 'd' },
        { "iterations", required_argument, NULL, 'n' },
        { NULL, 0, NULL, 0 },
    };
    uint64_t seconds = 3, times = 0;
    int option, status = XL_USAGE;
    bool batch = false;

    while ((option = xl_getopt(argc, argv, "bd:n:", options, &status)) != -1) {
        if (option == 'b') {
            batch = true;
        } else if (option == 'd' || option == 'n') {
            if (xl_number(optarg, option == 'd' ? 3600 : UINT32_MAX,
                          option == 'd' ? &seconds : &times) != 0 ||
                (option == 'd' ? seconds : times) == 0) {
                xl_error("-%c needs a number, not '%s'", option, optarg);
                return XL_USAGE;
            }
        } else {
            return status;
        }
    }
    if (xl_arguments(argc, 0, 0) != 0) {
        return XL_USAGE;
    }
    if (xl_open() != 0) {
        return XL_FAILED;
    }
    batch = batch || !isatty(STDOUT_FILENO);
    if (!batch) {
        take_keys();
    }
    return show((unsigned)seconds, times, batch) == 0 ? XL_OK : XL_FAILED;
}
