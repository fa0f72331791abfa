/* SPDX-License-Identifier: MIT */
/*
 * Loads and stores in an ECAM window.  AMD processors want them made with AL, AX or EAX and no
 * other register (BKDG for family 10h, 2.11.1, and later ones), which a compiler does not promise.
 */
#ifndef XL_VDEV_PCI_MMCFG_H
#define XL_VDEV_PCI_MMCFG_H

#include "lib/types.h"

#define MMCFG_ACCESSORS(bits, insn)                                                                \
    static inline uint##bits##_t mmcfg_read##bits(const volatile uint8_t *p)                       \
    {                                                                                              \
        uint##bits##_t val;                                                                        \
                                                                                                   \
        __asm__ __volatile__(insn " %1, %0"                                                        \
                             : "=a"(val)                                                           \
                             : "m"(*(const volatile uint##bits##_t *)p));                          \
        return val;                                                                                \
    }                                                                                              \
    static inline void mmcfg_write##bits(volatile uint8_t *p, uint##bits##_t val)                  \
    {                                                                                              \
        __asm__ __volatile__(insn " %1, %0" : "=m"(*(volatile uint##bits##_t *)p) : "a"(val));     \
    }

MMCFG_ACCESSORS(8, "movb")
MMCFG_ACCESSORS(16, "movw")
MMCFG_ACCESSORS(32, "movl")
#undef MMCFG_ACCESSORS

#endif
