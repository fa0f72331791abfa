/* SPDX-License-Identifier: MIT */
/*
 * Which ports a domain's vCPUs reach without an exit. The layout is the one that the processors of both vendors read: a
 * bit a port, set to make it exit, and ones behind the last port for accesses that run over the end.
 */
#include "cpu/vcpu.h"

void cpu_iobitmap_allow(struct cpu_domain *cd, uint16_t first, uint16_t last)
{
    for (uint32_t port = first; port <= last; port++)
        cd->io_bitmap[port / 8] &= (uint8_t) ~(1u << port % 8);
}

void cpu_iobitmap_deny(struct cpu_domain *cd, uint16_t first, uint16_t last)
{
    for (uint32_t port = first; port <= last; port++)
        cd->io_bitmap[port / 8] |= (uint8_t)(1u << port % 8);
}

bool cpu_iobitmap_allowed(const struct cpu_domain *cd, uint16_t port, unsigned size)
{
    for (uint32_t p = port; p < port + size; p++) {
        if (cd->io_bitmap[p / 8] & 1u << p % 8)
            return false;
    }
    return true;
}
