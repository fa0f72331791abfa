/* SPDX-License-Identifier: MIT */
/*
 * Unpacked kernels: unpacking Debian's xz kernel takes longer than all else of a guest's start, so
 * the result is kept in /var/cache/xen-lite. A few files, private to root, each of which belongs to
 * one version of one kernel file.
 */
#ifndef TOOLS_KERNEL_CACHE_H
#define TOOLS_KERNEL_CACHE_H

#include <stddef.h>
#include <stdint.h>

#define KERNEL_CACHE_DIR   "/var/cache/xen-lite"
#define KERNEL_CACHE_FILES 4
#define KERNEL_CACHE_KEY   160

struct kernel_cached {
    void *map;             /* NULL: not found */
    size_t map_size, size; /* bytes mapped, bytes of the kernel */
    uint64_t end; /* physical address where it ends in memory if zeros were cut off, else 0 */
};

/* The key of a kernel file: what tells this version of it from any other. Returns 0 or a negative
 * errno. */
int kernel_cache_key(const char *path, char key[KERNEL_CACHE_KEY]);

/* Maps the unpacked kernel of that key. Files that somebody other than root could have written are
 * ignored. */
int kernel_cache_find(const char *dir, const char *key, struct kernel_cached *found);
void kernel_cache_release(struct kernel_cached *found);

/*
 * Keeps the kernel (size bytes, without trailing zeros) under key, and throws out the files used
 * longest ago so that at most KERNEL_CACHE_FILES stay. Returns 0 or a negative errno (-ENOSPC also
 * if the file system would be more than three quarters full of it): the caller does without.
 */
int kernel_cache_keep(const char *dir, const char *key, const void *data, size_t size);

#endif
