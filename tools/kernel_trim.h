/* SPDX-License-Identifier: MIT */
/*
 * Makes an unpacked kernel smaller for the cache: Linux' file ends with megabytes of zeros (.bss
 * and .brk), and a guest's fresh memory is zero anyway. Each page less is one that need not be
 * mapped, copied and unmapped.
 */
#ifndef TOOLS_KERNEL_TRIM_H
#define TOOLS_KERNEL_TRIM_H

#include <stddef.h>
#include <stdint.h>

#define KERNEL_TRIM_HEAD 4096 /* bytes at the beginning of the file that trimming may change */

/*
 * Takes the ELF image apart. If its last segment ends with whole pages of zeros, writes the changed
 * beginning of the file to head, to *kept how many bytes of the file remain, and to *end the
 * physical address where the kernel really ends. Returns 0, or -EINVAL if there is nothing to gain
 * or the image is not of the expected kind: it is then used as it is.
 */
int kernel_trim(const void *image, size_t size, uint8_t head[KERNEL_TRIM_HEAD], size_t *kept,
                uint64_t *end);

/*
 * Gives a trimmed image (in memory that may be written) its full size in memory back: for loaders
 * that place things right behind it. Returns 0, or -EINVAL if this cannot be an image that
 * kernel_trim() made.
 */
int kernel_untrim(void *image, size_t size, uint64_t end);

#endif
