/* SPDX-License-Identifier: MIT */
/*
 * Memory and string functions: a freestanding implementation in the hypervisor, the C library's on the host.
 */
#ifndef XL_LIB_STRING_H
#define XL_LIB_STRING_H

#include "lib/types.h"

#ifdef XL_HOST
#include <string.h>
#else
void *memcpy(void *dst, const void *src, size_t n);
void *memmove(void *dst, const void *src, size_t n);
void *memset(void *dst, int c, size_t n);
int memcmp(const void *a, const void *b, size_t n);
size_t strlen(const char *s);
size_t strnlen(const char *s, size_t max);
int strcmp(const char *a, const char *b);
int strncmp(const char *a, const char *b, size_t n);
char *strchr(const char *s, int c);
char *strstr(const char *hay, const char *needle);
#endif

/* Copies at most size - 1 bytes and always terminates; returns strlen(src). */
static inline size_t xl_strlcpy(char *dst, const char *src, size_t size)
{
    size_t n = strlen(src);

    if (size) {
        size_t k = n < size ? n : size - 1;
        memcpy(dst, src, k);
        dst[k] = '\0';
    }
    return n;
}
#define strlcpy xl_strlcpy

#endif
