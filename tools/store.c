/* SPDX-License-Identifier: MIT */
/*
 * xenstore, where one runs beside xl-lite: guests are made known to it, so that their kernels can
 * be asked to shut down and to balloon. Nothing else depends on it.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xenstore.h>

#include "xl.h"

#define STORE_SOCKET "/run/xenstored/socket"

/* Opened at the first use and kept; a process that forks must not share it, see xl_store_works().
 */
static struct xs_handle *store;
static pid_t store_owner;

bool xl_store_works(void)
{
    if (store != NULL && store_owner == getpid()) {
        return true;
    }
    /* A handle inherited over fork() talks on the parent's connection: it is left alone. */
    store = NULL;
    if (access(STORE_SOCKET, R_OK | W_OK) == 0) {
        store = xs_open(0);
        store_owner = getpid();
    }
    return store != NULL;
}

static bool put(const char *base, const char *key, const char *value, struct xs_permissions *perms,
                unsigned nr)
{
    char path[256];

    snprintf(path, sizeof(path), "%s%s%s", base, key[0] != '\0' ? "/" : "", key);
    if (value != NULL ? !xs_write(store, XBT_NULL, path, value, (unsigned)strlen(value))
                      : !xs_mkdir(store, XBT_NULL, path)) {
        return false;
    }
    return xs_set_permissions(store, XBT_NULL, path, perms, nr);
}

static bool write_records(const char *base, uint32_t domid, const char *name, const char *uuid,
                          uint64_t memory_kb)
{
    struct xs_permissions read_only[] = { { .id = 0, .perms = XS_PERM_NONE },
                                          { .id = domid, .perms = XS_PERM_READ } };
    struct xs_permissions guests[] = { { .id = domid, .perms = XS_PERM_NONE } };
    char number[32], vm[64];

    snprintf(vm, sizeof(vm), "/vm/%s", uuid);
    snprintf(number, sizeof(number), "%u", domid);
    return put(base, "", NULL, read_only, 2) && put(base, "name", name, read_only, 2) &&
           put(base, "domid", number, read_only, 2) && put(base, "vm", vm, read_only, 2) &&
           put(base, "control", NULL, read_only, 2) &&
           put(base, "control/shutdown", "", guests, 1) &&
           put(base, "control/feature-poweroff", "", guests, 1) &&
           put(base, "control/feature-reboot", "", guests, 1) &&
           put(base, "control/feature-suspend", "", guests, 1) &&
           put(base, "device", NULL, read_only, 2) && put(base, "data", NULL, guests, 1) &&
           put(base, "memory", NULL, read_only, 2) &&
           (snprintf(number, sizeof(number), "%llu", (unsigned long long)memory_kb),
            put(base, "memory/target", number, read_only, 2)) &&
           put(base, "memory/static-max", number, read_only, 2);
}

/* Which vCPUs there are to begin with; the guest's hotplug driver asks. */
static bool write_cpus(const char *base, uint32_t domid, unsigned online, unsigned max)
{
    struct xs_permissions read_only[] = { { .id = 0, .perms = XS_PERM_NONE },
                                          { .id = domid, .perms = XS_PERM_READ } };
    bool done = put(base, "cpu", NULL, read_only, 2);

    for (unsigned i = 0; i < max && done; i++) {
        char key[48];

        snprintf(key, sizeof(key), "cpu/%u/availability", i);
        done = put(base, key, i < online ? "online" : "offline", read_only, 2);
    }
    return done;
}

int xl_store_introduce(uint32_t domid, const struct xl_store_guest *guest, uint64_t gfn,
                       uint32_t port)
{
    char base[64];

    if (!xl_store_works()) {
        return 0;
    }
    snprintf(base, sizeof(base), "/local/domain/%u", domid);
    if (!write_records(base, domid, guest->name, guest->uuid, guest->memory_kb) ||
        !write_cpus(base, domid, guest->vcpus, guest->maxvcpus) ||
        !xs_introduce_domain(store, domid, gfn, port)) {
        return xl_hv_error("xenstore does not take domain %u", domid);
    }
    return 0;
}

void xl_store_forget(uint32_t domid)
{
    char base[64];

    if (!xl_store_works()) {
        return;
    }
    snprintf(base, sizeof(base), "/local/domain/%u", domid);
    xs_rm(store, XBT_NULL, base);
    /* Fails for a domain that was never introduced: nothing to undo then. */
    xs_release_domain(store, domid);
}

char *xl_store_read(uint32_t domid, const char *key)
{
    char path[256];
    unsigned len;

    if (!xl_store_works()) {
        return NULL;
    }
    snprintf(path, sizeof(path), "/local/domain/%u/%s", domid, key);
    return xs_read(store, XBT_NULL, path, &len);
}

int xl_store_write(uint32_t domid, const char *key, const char *value)
{
    char path[256];

    if (!xl_store_works()) {
        errno = ENOTCONN;
        return -1;
    }
    snprintf(path, sizeof(path), "/local/domain/%u/%s", domid, key);
    return xs_write(store, XBT_NULL, path, value, (unsigned)strlen(value)) ? 0 : -1;
}
