/* SPDX-License-Identifier: MIT */
/*
 * Accesses to device registers: exactly one access of exactly this width, in program order.
 */
#ifndef XL_LIB_MMIO_H
#define XL_LIB_MMIO_H

#include "lib/types.h"

#define MMIO_ACCESSORS(bits)                                                                       \
    static inline uint##bits##_t mmio_read##bits(const volatile void *p)                           \
    {                                                                                              \
        return *(const volatile uint##bits##_t *)p;                                                \
    }                                                                                              \
    static inline void mmio_write##bits(volatile void *p, uint##bits##_t v)                        \
    {                                                                                              \
        *(volatile uint##bits##_t *)p = v;                                                         \
    }

MMIO_ACCESSORS(8)
MMIO_ACCESSORS(16)
MMIO_ACCESSORS(32)
MMIO_ACCESSORS(64)
#undef MMIO_ACCESSORS

#endif
