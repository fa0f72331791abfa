/* SPDX-License-Identifier: MIT */
/*
 * A checker of the rules that VM entry goes by (SDM vol. 3, 27.2 and 27.3.1), on the current VMCS. A CPU says only that
 * one of them is broken; this says which.
 */
#ifndef XL_CPU_VMX_CHECK_H
#define XL_CPU_VMX_CHECK_H

#include "cpu/vmx/caps.h"

#define VMX_MAX_BROKEN 8

struct vmx_verdict {
    unsigned nr;                       /* broken rules, also those for which there was no room */
    const char *rule[VMX_MAX_BROKEN];  /* the rule as it should be, with the SDM's section */
};

/* addr_bits: width of the machine's physical addresses. */
void vmx_check_entry(const struct vmx_caps *caps, unsigned addr_bits, struct vmx_verdict *out);

#endif
