/* SPDX-License-Identifier: MIT */
/*
 * xl-lite domid, domname, rename, mem-set, vcpu-pin: names, memory and CPUs of domains that exist.
 */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cpus.h"
#include "xl.h"

/* -------- names -------- */

int cmd_domid(int argc, char **argv)
{
    uint32_t domid;
    bool stop;
    int status = xl_plain_arguments(argc, argv, 1, 1, &stop);

    if (stop) {
        return status;
    }
    if (xl_find_domain(argv[optind], &domid) != 0) {
        return XL_FAILED;
    }
    printf("%u\n", domid);
    return XL_OK;
}

int cmd_domname(int argc, char **argv)
{
    char name[STATE_NAME_MAX + 1];
    xc_domaininfo_t info;
    uint32_t domid;
    bool stop;
    int status = xl_plain_arguments(argc, argv, 1, 1, &stop);

    if (stop) {
        return status;
    }
    if (xl_find_domain(argv[optind], &domid) != 0 || xl_domain_info(domid, &info) != 1) {
        return XL_FAILED;
    }
    xl_domain_name(&info, name);
    if (name[0] == '\0') {
        xl_error("domain %u has no name", domid);
        return XL_FAILED;
    }
    puts(name);
    return XL_OK;
}

static bool name_is_taken(const char *wanted)
{
    char name[STATE_NAME_MAX + 1];
    xc_domaininfo_t *list = NULL;
    const int count = xl_domains(&list);
    bool taken = count < 0;

    for (int i = 0; i < count && !taken; i++) {
        xl_domain_name(&list[i], name);
        taken = strcmp(name, wanted) == 0;
    }
    free(list);
    return taken;
}

static bool name_is_fine(const char *name)
{
    const size_t len = strlen(name);
    bool digits = true;

    for (size_t i = 0; i < len; i++) {
        if (!isgraph((unsigned char)name[i]) || name[i] == '/') {
            return false;
        }
        digits = digits && isdigit((unsigned char)name[i]);
    }
    return len > 0 && len <= STATE_NAME_MAX && !digits;
}

static int rename_locked(uint32_t domid, const char *name)
{
    struct guest_state state;
    xc_domaininfo_t info;
    int rc;

    if (name_is_taken(name)) {
        return xl_error("there is a domain '%s' already", name);
    }
    if (xl_domain_info(domid, &info) != 1) {
        return xl_error("domain %u has gone", domid);
    }
    rc = xl_domain_state(&info, &state);
    if (rc == 0) {
        snprintf(state.name, sizeof(state.name), "%s", name);
        rc = guest_state_write(STATE_DOMAIN_DIR, &state);
    }
    guest_state_free(&state);
    if (rc != 0) {
        return xl_error("domain %u cannot be renamed: %s", domid,
                        rc == -ENOENT ? "xl-lite did not create it" : strerror(-rc));
    }
    if (xl_store_works()) {
        xl_store_write(domid, "name", name);
    }
    return 0;
}

int cmd_rename(int argc, char **argv)
{
    uint32_t domid;
    bool stop;
    int lock, rc, status = xl_plain_arguments(argc, argv, 2, 2, &stop);

    if (stop) {
        return status;
    }
    if (!name_is_fine(argv[optind + 1])) {
        xl_error("'%s' is no name: 1 to %d characters without spaces or slashes, not all digits",
                 argv[optind + 1], STATE_NAME_MAX);
        return XL_USAGE;
    }
    if (xl_find_guest(argv[optind], &domid, "rename") != 0) {
        return XL_FAILED;
    }
    lock = guest_state_lock(STATE_RUN_DIR, 5000);
    if (lock < 0) {
        xl_error("cannot lock %s: %s", STATE_RUN_DIR, strerror(-lock));
        return XL_FAILED;
    }
    rc = rename_locked(domid, argv[optind + 1]);
    close(lock);
    return rc == 0 ? XL_OK : XL_FAILED;
}

/* -------- memory and CPUs -------- */

/* A size in MiB, or with a letter in that unit, as KiB. */
static int parse_memory(const char *text, uint64_t *kb)
{
    char digits[24];
    const size_t len = strlen(text);
    uint64_t unit = 1024;
    size_t used = len;

    if (len == 0 || len >= sizeof(digits)) {
        return -1;
    }
    if (!isdigit((unsigned char)text[len - 1])) {
        switch (tolower((unsigned char)text[len - 1])) {
        case 'k':
            unit = 1;
            break;
        case 'm':
            unit = 1024;
            break;
        case 'g':
            unit = 1024 * 1024;
            break;
        case 't':
            unit = 1024 * 1024 * 1024;
            break;
        default:
            return -1;
        }
        used--;
    }
    memcpy(digits, text, used);
    digits[used] = '\0';
    if (xl_number(digits, UINT32_MAX, kb) != 0 || *kb == 0) {
        return -1;
    }
    *kb *= unit;
    return 0;
}

int cmd_mem_set(int argc, char **argv)
{
    uint32_t domid;
    uint64_t kb;
    char *target, number[32];
    xc_domaininfo_t info;
    bool stop;
    int status = xl_plain_arguments(argc, argv, 2, 2, &stop);

    if (stop) {
        return status;
    }
    if (parse_memory(argv[optind + 1], &kb) != 0) {
        xl_error("'%s' is no memory size (as 512, 512m, 1g)", argv[optind + 1]);
        return XL_USAGE;
    }
    if (xl_find_guest(argv[optind], &domid, "resize") != 0 || xl_domain_info(domid, &info) != 1) {
        return XL_FAILED;
    }
    if (kb > info.max_pages * (XC_PAGE_SIZE / 1024)) {
        xl_error("%llu KiB is more than the domain's limit of %llu KiB", (unsigned long long)kb,
                 (unsigned long long)(info.max_pages * (XC_PAGE_SIZE / 1024)));
        return XL_FAILED;
    }
    target = xl_store_read(domid, "memory/target");
    snprintf(number, sizeof(number), "%llu", (unsigned long long)kb);
    if (target == NULL || xl_store_write(domid, "memory/target", number) != 0) {
        free(target);
        xl_error("domain %u cannot be asked: its balloon driver listens to xenstore, and no "
                 "xenstored ran when it was created",
                 domid);
        return XL_FAILED;
    }
    free(target);
    return XL_OK;
}

/* "-" leaves the map out. Returns 0 or an exit code. */
static int parse_map(const char *text, xc_cpumap_t *map)
{
    const int cpus = xc_get_cpumap_size(xl.xch) * 8;
    struct cpu_set set;

    *map = NULL;
    if (text == NULL || strcmp(text, "-") == 0) {
        return 0;
    }
    if (cpu_set_parse(text, &set) != 0) {
        xl_error("'%s' is no set of CPUs (as 0-3,^1 or all)", text);
        return XL_USAGE;
    }
    *map = xc_cpumap_alloc(xl.xch);
    for (int i = 0; *map != NULL && i < cpus; i++) {
        if (cpu_set_test(&set, (unsigned)i)) {
            xc_cpumap_setcpu(i, *map);
        }
    }
    return *map != NULL ? 0 : XL_FAILED;
}

static int pin(uint32_t domid, const char *vcpu_text, xc_cpumap_t hard, xc_cpumap_t soft)
{
    const uint32_t flags =
        (hard != NULL ? XEN_VCPUAFFINITY_HARD : 0) | (soft != NULL ? XEN_VCPUAFFINITY_SOFT : 0);
    uint64_t first = 0, last;
    xc_domaininfo_t info;

    if (xl_domain_info(domid, &info) != 1) {
        return XL_FAILED;
    }
    last = info.max_vcpu_id;
    if (strcmp(vcpu_text, "all") != 0) {
        if (xl_number(vcpu_text, last, &first) != 0) {
            xl_error("domain %u has no vCPU '%s'", domid, vcpu_text);
            return XL_FAILED;
        }
        last = first;
    }
    for (uint64_t vcpu = first; vcpu <= last && flags != 0; vcpu++) {
        if (xc_vcpu_setaffinity(xl.xch, domid, (int)vcpu, hard, soft, flags) != 0) {
            xl_hv_error("cannot pin vCPU %u of domain %u", (unsigned)vcpu, domid);
            return XL_FAILED;
        }
    }
    return XL_OK;
}

int cmd_vcpu_pin(int argc, char **argv)
{
    static const struct option options[] = { { "force", no_argument, NULL, 'f' },
                                             { NULL, 0, NULL, 0 } };
    xc_cpumap_t hard = NULL, soft = NULL;
    int option, status = XL_USAGE;
    uint32_t domid;

    while ((option = xl_getopt(argc, argv, "f", options, &status)) != -1) {
        if (option != 'f') {
            return status;
        }
    }
    if (xl_arguments(argc, 3, 4) != 0) {
        return XL_USAGE;
    }
    if (xl_find_domain(argv[optind], &domid) != 0) {
        return XL_FAILED;
    }
    status = parse_map(argv[optind + 2], &hard);
    if (status == 0) {
        status = parse_map(argc - optind > 3 ? argv[optind + 3] : NULL, &soft);
    }
    if (status == 0) {
        status = pin(domid, argv[optind + 1], hard, soft);
    }
    free(hard);
    free(soft);
    return status;
}
