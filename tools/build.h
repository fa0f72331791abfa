/* SPDX-License-Identifier: MIT */
/*
 * Builds a PVH guest with libxenguest, in two halves: what can be refused before a domain exists,
 * and the domain itself.
 */
#ifndef TOOLS_BUILD_H
#define TOOLS_BUILD_H

#include <stdbool.h>
#include <stdint.h>

#include "guest_cfg.h"
#include "kernel_cache.h"

/* What a hostile image may take of the control domain's memory when it is unpacked. */
#define BUILD_KERNEL_MAX (512u << 20)

struct xc_dom_image;

struct build {
    const struct guest_cfg *cfg;
    struct xc_dom_image *dom;
    struct kernel_cached cached;
    char key[KERNEL_CACHE_KEY];
    size_t kernel_file_size; /* as the library has it before unpacking */
    void *acpi;
    uint32_t domid; /* 0: not created */
    uint32_t console_port, store_port;
    uint64_t console_gfn, store_gfn;
    uint64_t
        kernel_end; /* physical address behind the kernel, with what the library does not know of */
    uint64_t need_kb, free_kb; /* memory the guest takes, memory there is */
    bool hap, grant_v2;
};

/*
 * Reads and unpacks the kernel and checks the configuration against it and the machine. Creates
 * nothing. Complaints go to standard error. Returns 0 or -1; build_release() in either case.
 */
int build_prepare(struct build *b, const struct guest_cfg *cfg);

/* Creates the domain with its limits: paused, without memory. Sets domid. Returns 0 or -1. */
int build_create(struct build *b);

/* Fills the domain: memory, kernel, tables, registers. On error the domain is the caller's to
 * destroy. Returns 0 or -1. */
int build_fill(struct build *b);

/* Remembers the unpacked kernel for the next time. Best done when the guest already runs. */
void build_keep_kernel(struct build *b);

void build_release(struct build *b);

#endif
