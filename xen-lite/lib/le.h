/* SPDX-License-Identifier: MIT */
/*
 * Little-endian integers at any alignment: how tables and files made by others are read and
 * written without trusting their layout to match a structure.
 */
#ifndef XL_LIB_LE_H
#define XL_LIB_LE_H

#include "lib/types.h"

static inline uint16_t get_le16(const void *p)
{
    uint16_t v;

    __builtin_memcpy(&v, p, sizeof(v));
    return v;
}

static inline uint32_t get_le32(const void *p)
{
    uint32_t v;

    __builtin_memcpy(&v, p, sizeof(v));
    return v;
}

static inline uint64_t get_le64(const void *p)
{
    uint64_t v;

    __builtin_memcpy(&v, p, sizeof(v));
    return v;
}

static inline uint32_t get_be32(const void *p)
{
    return __builtin_bswap32(get_le32(p));
}

static inline void put_le16(void *p, uint16_t v)
{
    __builtin_memcpy(p, &v, sizeof(v));
}

static inline void put_le32(void *p, uint32_t v)
{
    __builtin_memcpy(p, &v, sizeof(v));
}

static inline void put_le64(void *p, uint64_t v)
{
    __builtin_memcpy(p, &v, sizeof(v));
}

#endif
