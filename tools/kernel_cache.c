/* SPDX-License-Identifier: MIT */
/*
 * Keeps unpacked kernels in a directory (kernel_cache.h). A file is the kernel followed by a
 * footer; without the right footer, owner and mode it does not count, so neither a torn write nor
 * another user can put a kernel into a guest.
 */
#include "kernel_cache.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "../libs/guest_state.h"
#include "kernel_trim.h"

struct footer {
    char magic[8];
    uint64_t size, end;
};
static const char footer_magic[8] = { 'x', 'l', 'k', 'e', 'r', 'n', '0', '2' };

int kernel_cache_key(const char *path, char key[KERNEL_CACHE_KEY])
{
    struct stat st;

    if (stat(path, &st) != 0) {
        return -errno;
    }
    /* The change time cannot be set back: a file that was replaced in place has another key. */
    snprintf(key, KERNEL_CACHE_KEY, "%llx-%llx-%llx-%llx.%lx-%llx.%lx",
             (unsigned long long)st.st_dev, (unsigned long long)st.st_ino,
             (unsigned long long)st.st_size, (unsigned long long)st.st_mtim.tv_sec,
             st.st_mtim.tv_nsec, (unsigned long long)st.st_ctim.tv_sec, st.st_ctim.tv_nsec);
    return 0;
}

/* The directory itself, if it is private to this user. */
static int open_directory(const char *dir)
{
    struct stat st;
    const int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

    if (fd < 0) {
        return -errno;
    }
    if (fstat(fd, &st) != 0 || st.st_uid != geteuid() || (st.st_mode & 022) != 0) {
        close(fd);
        return -EPERM;
    }
    return fd;
}

static int map_file(int fd, struct kernel_cached *found)
{
    struct footer footer;
    struct stat st;
    void *map;

    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_uid != geteuid() ||
        (st.st_mode & 077) != 0 || st.st_size <= (off_t)sizeof(footer)) {
        return -EPERM;
    }
    /* Private and writable: libelf's loader is not bound to leave its input alone. */
    map = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    if (map == MAP_FAILED) {
        return -errno;
    }
    found->map = map;
    found->map_size = (size_t)st.st_size;
    found->size = found->map_size - sizeof(footer);
    memcpy(&footer, (const char *)map + found->size, sizeof(footer));
    found->end = footer.end;
    if (memcmp(footer.magic, footer_magic, sizeof(footer_magic)) != 0 ||
        footer.size != found->size) {
        kernel_cache_release(found);
        return -EINVAL;
    }
    futimens(fd, NULL);
    return 0;
}

int kernel_cache_find(const char *dir, const char *key, struct kernel_cached *found)
{
    const int dirfd = open_directory(dir);
    int fd, rc;

    memset(found, 0, sizeof(*found));
    if (dirfd < 0) {
        return dirfd;
    }
    fd = openat(dirfd, key, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    rc = fd < 0 ? -errno : map_file(fd, found);
    if (fd >= 0) {
        close(fd);
    }
    close(dirfd);
    return rc;
}

void kernel_cache_release(struct kernel_cached *found)
{
    if (found->map != NULL) {
        munmap(found->map, found->map_size);
    }
    memset(found, 0, sizeof(*found));
}

/* Removes the file used longest ago if there are KERNEL_CACHE_FILES or more. Returns whether it
 * removed one. */
static bool drop_oldest(int dirfd)
{
    char oldest[KERNEL_CACHE_KEY + 32] = "";
    struct timespec when = { 0 };
    unsigned count = 0;
    DIR *dir = fdopendir(dup(dirfd));
    struct dirent *entry;
    struct stat st;

    if (dir == NULL) {
        return false;
    }
    rewinddir(dir);
    while ((entry = readdir(dir)) != NULL) {
        if (fstatat(dirfd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(st.st_mode) ||
            strlen(entry->d_name) >= sizeof(oldest)) {
            continue;
        }
        if (count++ == 0 || st.st_mtim.tv_sec < when.tv_sec ||
            (st.st_mtim.tv_sec == when.tv_sec && st.st_mtim.tv_nsec < when.tv_nsec)) {
            when = st.st_mtim;
            strcpy(oldest, entry->d_name);
        }
    }
    closedir(dir);
    return count >= KERNEL_CACHE_FILES && unlinkat(dirfd, oldest, 0) == 0;
}

static int write_all(int fd, const void *data, size_t size)
{
    const char *at = data;

    while (size > 0) {
        const ssize_t n = write(fd, at, size);

        if (n < 0 && errno != EINTR) {
            return -errno;
        }
        at += n > 0 ? n : 0;
        size -= n > 0 ? (size_t)n : 0;
    }
    return 0;
}

static int write_file(int dirfd, const char *key, const void *data, size_t size)
{
    struct footer footer = { .size = size };
    uint8_t head[KERNEL_TRIM_HEAD];
    size_t head_size = 0;
    char temporary[KERNEL_CACHE_KEY + 16];
    int fd, rc;

    if (kernel_trim(data, size, head, &size, &footer.end) == 0) {
        head_size = sizeof(head);
        footer.size = size;
    }
    memcpy(footer.magic, footer_magic, sizeof(footer_magic));
    snprintf(temporary, sizeof(temporary), "new-%ld", (long)getpid());
    fd = openat(dirfd, temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        return -errno;
    }
    rc = write_all(fd, head, head_size);
    if (rc == 0) {
        rc = write_all(fd, (const uint8_t *)data + head_size, size - head_size);
    }
    if (rc == 0) {
        rc = write_all(fd, &footer, sizeof(footer));
    }
    if (close(fd) != 0 && rc == 0) {
        rc = -errno;
    }
    if (rc == 0 && renameat(dirfd, temporary, dirfd, key) != 0) {
        rc = -errno;
    }
    if (rc != 0) {
        unlinkat(dirfd, temporary, 0);
    }
    return rc;
}

int kernel_cache_keep(const char *dir, const char *key, const void *data, size_t size)
{
    struct statvfs fs;
    int dirfd, rc = make_directories(dir, 0700);

    dirfd = rc == 0 ? open_directory(dir) : rc;
    if (dirfd < 0) {
        return dirfd;
    }
    for (unsigned i = 0; i < 2 * KERNEL_CACHE_FILES && drop_oldest(dirfd); i++) {
    }
    if (fstatvfs(dirfd, &fs) == 0 && fs.f_blocks != 0 &&
        (uint64_t)fs.f_bavail * fs.f_frsize < 4 * (uint64_t)size) {
        rc = -ENOSPC;
    } else {
        rc = write_file(dirfd, key, data, size);
    }
    close(dirfd);
    return rc;
}
